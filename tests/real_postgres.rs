//! `config/connectors/postgres.yaml` on a real PostgreSQL, and what a database server may do to whoever asks it.

use std::time::{Duration, Instant};

use linecard::connectors::{Ask, Outcome};
use serde_json::json;
use tokio::sync::RwLock;

use crate::{
    real_kinds::{Only, env, finds_the_callers, load, pages, without},
    tried::Folder,
};

const FILE: &str = include_str!("../config/connectors/postgres.yaml");

/// Written to by what stops the server; read by all others.
static SERVER: RwLock<()> = RwLock::const_new(());

/// The ready file for a role; `change` is what a test changes of it.
fn postgres(role: &str, change: impl Fn(String) -> String) -> Only {
    let tls = format!("tls_ca: {}\nsql:", env("POSTGRES_CA"));
    let values = [("host", env("POSTGRES_HOST")), ("database", env("POSTGRES_DB")), ("user", env(role))];
    Only::new(load(&change(FILE.replace("\nsql:", &format!("\n{tls}"))), &values))
}

fn reader() -> Only {
    postgres("POSTGRES_READER", |file| file)
}

/// A system whose `orders` is this statement.
fn asks(role: &str, statement: &str) -> Only {
    postgres(role, |file| {
        let (head, _) = file.split_once("operations:").unwrap();
        format!("{head}operations:\n  orders:\n    steps:\n      - name: orders\n        sql: {statement:?}\n        records: body\n    fields: {{no: record}}\n    cap: 20000\n")
            .replace("keys: {customer_no: code}\n", "")
    })
}

async fn orders(system: &Only) -> Outcome {
    system.run("orders", json!({"customer": {"id": "1"}})).await
}

#[tokio::test]
async fn every_caller_of_the_real_database_is_found_and_nobody_else() {
    let _up = SERVER.read().await;
    let system = reader();
    finds_the_callers(&system).await;
    assert_eq!(system.all("customer.by_phone", json!({"number": "13900008888"}), "code").await, ["C10009"]);
    assert!(system.systems.standing()[0].certificate_ends.is_some());
    let who = system.ok("check", json!({})).await;
    assert_eq!(who, json!({"id": "reader", "read_only": "on"}));
    let found = system.ok("customer.get", json!({"customer": {"id": "1", "type": "customer"}})).await;
    assert_eq!((&found["code"], &found["points"]), (&json!("C10001"), &json!(12850)));
    let found = system.ok("finance", json!({"customer": {"id": "3"}})).await;
    assert_eq!(found, json!({"credit_limit": "200000.00", "balance": "65321.00"}));
    assert_eq!(system.run("finance", json!({"customer": {"id": "77"}})).await, Outcome::NotFound);
    let found = system.ok("orders", json!({"customer": {"id": "1"}})).await;
    assert_eq!(
        found[0],
        json!({"no": "SO-2025-0003", "what": "便携打印机", "amount": "3500.50", "state": "draft", "at": "2025-05-20"})
    );
    // What is no number is refused by the server, and its words, which repeat it, are not ours.
    match system.run("finance", json!({"customer": {"id": "13800138000x"}})).await {
        Outcome::Invalid { reason } => assert_eq!(reason, "postgres refuses a value (SQLSTATE 22P02)"),
        other => panic!("{other:?}"),
    }
}

/// As an integrator tries the file at a shell.
#[tokio::test]
async fn a_try_tells_what_the_real_database_was_asked_and_what_it_answered() {
    let _up = SERVER.read().await;
    let filled = |file: &str| {
        file.replace("\nsql:", &format!("\ntls_ca: {}\nsql:", env("POSTGRES_CA")))
            .replace("host: {text: \"127.0.0.1\"}", &format!("host: {{text: {}}}", env("POSTGRES_HOST")))
            .replace("database: {text: crm}", &format!("database: {{text: {}}}", env("POSTGRES_DB")))
            .replace("user: {text: linecard}", &format!("user: {{text: {}}}", env("POSTGRES_READER")))
    };
    let folder = Folder::new(&[("postgres.yaml", &filled(FILE))]);
    let secrets = ["POSTGRES_PASSWORD"];
    let (said, code) = folder.tries("postgres.yaml", &["customer.by_phone", "number=13800138000"], &secrets).await;
    assert_eq!(code, 0, "{said}");
    for part in [
        "1. search",
        ":like",
        "like = \"%1%3%8%0%0%1%3%8%0%0%0%\"",
        "1. answered after",
        "taken",
        "is read as +8613800138000",
        "C10001",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // A column that is not there: the server's own state, and nothing of the data.
    let folder = Folder::new(&[("postgres.yaml", &filled(&FILE.replace("mobile", "mobbile")))]);
    let (said, code) = folder.tries("postgres.yaml", &["customer.by_phone", "number=13800138000"], &secrets).await;
    assert_eq!((code, said.contains("SQLSTATE 42703")), (1, true), "{said}");
    assert!(!said.contains(&env("POSTGRES_PASSWORD")), "{said}");
}

#[tokio::test]
async fn the_real_databases_list_comes_in_pages() {
    let _up = SERVER.read().await;
    let system = reader();
    let (count, ids) = pages(&system, 4).await;
    assert_eq!((count, ids.len()), (3, 10), "{ids:?}");
    let since = system.run("customer.list", json!({"since": "2026-01-01T00:00:00Z"})).await;
    assert_eq!(since, Outcome::Empty);
    assert_eq!(system.all("customer.list", json!({"since": "2025-06-01T08:00:00Z"}), "id").await.len(), 10);
}

#[tokio::test]
async fn a_value_never_becomes_text_of_a_statement() {
    let _up = SERVER.read().await;
    let system = reader();
    for hostile in ["' or '1'='1", "x'; drop table customers; --", "\\", "%", "$1", ":text", "\u{0}"] {
        let found = system.run("customer.search", json!({"text": hostile})).await;
        let refused = matches!(&found, Outcome::Invalid { reason } if hostile == "\u{0}" && reason.contains("22021"));
        assert!(found == Outcome::Empty || refused, "{hostile:?}: {found:?}");
    }
    assert_eq!(system.all("customer.search", json!({"text": "smith"}), "code").await, ["C10006"]);
}

#[tokio::test]
async fn every_type_is_json_to_the_last_digit() {
    let _up = SERVER.read().await;
    let all = "select id, b, i2, i4, i8, n, f4, f8, t, c, v, d, tm, ts, tz, u, j, ta, ia, inet, iv, e, nothing from kinds order by id";
    let Outcome::Ok(rows) = orders(&asks("POSTGRES_READER", all)).await else { panic!() };
    let first = rows[0]["no"].to_string();
    for wanted in [
        r#""n":12800.50"#,
        r#""i8":9007199254740993"#,
        r#""f8":0.1"#,
        r#""d":"2025-03-02""#,
        r#""tm":"08:05:06.5""#,
        r#""ts":"2025-03-02T08:05:06.123456""#,
        r#""tz":"2025-03-02T08:05:06.123456+00:00""#,
        r#""j":{"a":1.50}"#,
        r#""ta":["a",null,"b,c"]"#,
        r#""ia":[1,2]"#,
        r#""b":true"#,
        r#""nothing":null"#,
        r#""t":"陈静 'x' \\ \"q\"""#,
    ] {
        assert!(first.contains(wanted), "{wanted} is not in {first}");
    }
    assert_eq!((&rows[1]["no"]["n"], &rows[1]["no"]["d"]), (&json!("NaN"), &json!("infinity")));
    assert!(rows[2]["no"].to_string().contains(r#""n":340282366920938463463374607431768211455.000001"#));
    for (statement, why) in [
        ("select id, y from kinds", "column \"y\" holds bytes"),
        ("select 1 as x, 2 as x", "two columns \"x\""),
        ("select g from generate_series(1, 10001) g", "larger than 10000 rows"),
        ("select repeat('x', 200000) as x from generate_series(1, 6)", "1048576 bytes"),
        ("select * from order_lines", "relation \"order_lines\" does not exist"),
        // It would end our own brackets and be another statement.
        ("select 1) q, (select 2", "syntax error"),
    ] {
        match orders(&asks("POSTGRES_READER", statement)).await {
            Outcome::Broken { reason } => assert!(reason.contains(why), "{statement}: {reason}"),
            other => panic!("{statement}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn even_a_role_that_may_write_writes_nothing() {
    let _up = SERVER.read().await;
    let outcome = orders(&asks("POSTGRES_WRITER", "select call_up('linecard-would-write') as no")).await;
    assert_eq!(outcome, Outcome::Broken { reason: "postgres: the statement would write".to_owned() });
    // A statement that opens the door for the next one: that one has a lock of its own.
    let open = asks("POSTGRES_WRITER", "select set_config('default_transaction_read_only', 'off', false) as no");
    assert!(matches!(orders(&open).await, Outcome::Ok(_)));
    let both = "select case when current_setting('default_transaction_read_only') = 'off' then call_up('opened') end as no from \
                (select set_config('default_transaction_read_only', 'off', false)) x";
    assert!(matches!(orders(&asks("POSTGRES_WRITER", both)).await, Outcome::Broken { .. }));
    let written = orders(&asks("POSTGRES_READER", "select count(*) as no from calls")).await;
    assert_eq!(written, Outcome::Ok(json!([{"no": {"no": 0}}])));
}

#[tokio::test]
async fn who_may_not_is_denied_and_who_cannot_be_trusted_is_told_nothing() {
    let _up = SERVER.read().await;
    let denied = |outcome: Outcome| matches!(outcome, Outcome::Denied { .. });
    let secret = |file: String, to: &str| file.replace("{env: POSTGRES_PASSWORD}", &format!("{{env: {to}}}"));
    let wrong = postgres("POSTGRES_READER", |file| secret(file, "POSTGRES_DB"));
    assert!(denied(wrong.run("check", json!({})).await), "a wrong password");
    assert!(denied(orders(&asks("POSTGRES_READER", "select rolname as no from pg_authid")).await), "a table of others");
    let off = |file: String| {
        let file = file.replace("secret: password}", "secret: password, tls: false}");
        file.replace(&format!("tls_ca: {}\n", env("POSTGRES_CA")), "")
    };
    assert!(denied(postgres("POSTGRES_READER", off).run("check", json!({})).await), "in the clear");
    let plain = postgres("POSTGRES_PLAIN", off);
    assert_eq!(plain.ok("check", json!({})).await["id"], "plain");
    // A certificate by somebody else: no password is sent there.
    let stranger = |file: String| file.replace(&env("POSTGRES_CA"), &env("MARIADB_CA"));
    let outcome = postgres("POSTGRES_READER", stranger).run("check", json!({})).await;
    assert!(matches!(outcome, Outcome::Busy { .. }), "{outcome:?}");
    let nowhere = postgres("POSTGRES_READER", |file| file.replace("database: \"{{ database }}\"", "database: nothere"));
    assert!(
        matches!(nowhere.run("check", json!({})).await, Outcome::Broken { reason } if reason.contains("no such database"))
    );
}

#[tokio::test]
async fn a_question_that_takes_too_long_ends_here_and_there() {
    let _up = SERVER.read().await;
    let slow = asks("POSTGRES_READER", "select pg_sleep(30)::text as no");
    let began = Instant::now();
    let soon = Ask { deadline: Duration::from_millis(300), ..slow.ask("orders", json!({"customer": {"id": "1"}})) };
    let outcome = slow.systems.run(soon).await;
    assert!(matches!(outcome, Outcome::Busy { .. }), "{outcome:?}");
    // Half of what it would sleep: the machine may be busy.
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    let still = asks(
        "POSTGRES_READER",
        "select pid::text as no from pg_stat_activity where usename = 'reader' and state = 'active' and query like '%pg_sleep(30)%' and pid <> pg_backend_pid()",
    );
    let ended = async { while orders(&still).await != Outcome::Empty {} };
    tokio::time::timeout(Duration::from_secs(5), ended).await.expect("the server still sleeps for nobody");
}

#[tokio::test]
async fn a_server_that_was_started_anew_is_asked_as_before() {
    let system = reader();
    {
        let _up = SERVER.read().await;
        let asked = (0..8).map(|_| system.ok("finance", json!({"customer": {"id": "1"}})));
        futures_util::future::join_all(asked).await;
    }
    without("POSTGRES", &SERVER, async || {
        let outcome = system.run("check", json!({})).await;
        assert!(matches!(outcome, Outcome::Busy { .. }), "{outcome:?}");
    })
    .await;
    let _up = SERVER.read().await;
    assert_eq!(system.ok("check", json!({})).await["id"], "reader");
}
