//! MySQL's protocol on a real MariaDB: the file of `docs/connectors.md`, and what such a server may do to whoever asks it.

use std::time::{Duration, Instant};

use linecard::connectors::{Ask, Outcome};
use serde_json::json;
use tokio::sync::RwLock;

use crate::real_kinds::{Only, env, finds_the_callers, load, pages, without};

const FILE: &str = r#"
connector: shop
schema: 1
variables:
  user: {text: ""}
  password: {secret: {env: MARIADB_PASSWORD}}
tls_ca: CA
sql:
  mysql: {host: HOST, database: biz, user: "{{ user }}", secret: password}
operations:
  check:
    steps: [{name: who, sql: "select current_user() as user", records: body}]
    fields: {id: record.user}
    one: true
  customer.by_phone:
    steps:
      - name: search
        sql: select id, code, mobile, phone from customers where mobile like :like or phone like :like or mobile like :wide
        with: {like: "{{ number.national | like }}", wide: "{{ '%' ~ (number.national | fullwidth | list | join('%')) ~ '%' }}"}
        records: body
    fields: {id: record.id | string, code: record.code, mobile: record.mobile, phone: record.phone}
    phones: {mobile: mobile, phone: phone}
  customer.search:
    steps:
      - name: search
        sql: select id, code, tier from customers where code = :text or locate(:text, name) > 0
        with: {text: "{{ text }}"}
        records: body
    fields: {id: record.id | string, code: record.code, tier: record.tier}
  customer.list:
    page: {by: offset, size: 500, total: "body[0].total if body else 0"}
    steps:
      - name: list
        sql: |
          select id, mobile, count(*) over () as total from customers
          where :since is null or updated_at >= :since order by id limit :size offset :from
        with: {since: "{{ since }}", size: "{{ page.size }}", from: "{{ page.offset }}"}
        records: body
    fields: {id: record.id | string, mobile: record.mobile}
    phones: {mobile: mobile}
  orders:
    steps:
      - name: orders
        sql: STATEMENT
        records: body
    fields: {no: record}
    cap: 20000
"#;

/// Written to by what stops the server; read by all others.
static SERVER: RwLock<()> = RwLock::const_new(());

fn mariadb(user: &str, statement: &str, change: impl Fn(String) -> String) -> Only {
    let file = FILE.replace("HOST", &env("MARIADB_HOST")).replace("CA\n", &format!("{}\n", env("MARIADB_CA")));
    let file = file.replace("STATEMENT", &format!("{statement:?}"));
    Only::new(load(&change(file), &[("user", env(user))]))
}

fn asks(user: &str, statement: &str) -> Only {
    mariadb(user, statement, |file| file)
}

async fn orders(system: &Only) -> Outcome {
    system.run("orders", json!({"customer": {"id": "1"}})).await
}

#[tokio::test]
async fn every_caller_of_the_real_database_is_found_and_nobody_else() {
    let _up = SERVER.read().await;
    let system = asks("MARIADB_READER", "select 1 as no");
    finds_the_callers(&system).await;
    assert_eq!(system.all("customer.by_phone", json!({"number": "13900008888"}), "code").await, ["C10009"]);
    let (count, ids) = pages(&system, 4).await;
    assert_eq!((count, ids.len()), (3, 10), "{ids:?}");
    // A table in GBK comes as Unicode; a value goes the same way.
    let found = system.ok("customer.search", json!({"text": "王小"})).await;
    assert_eq!((&found[0]["code"], &found[0]["tier"]), (&json!("C10001"), &json!("金卡")));
    for hostile in ["' or '1'='1", "x'; drop table customers; --", "\\' or 1=1 -- ", "%", "?", ":text"] {
        assert_eq!(system.run("customer.search", json!({"text": hostile})).await, Outcome::Empty, "{hostile:?}");
    }
}

#[tokio::test]
async fn every_type_is_json_to_the_last_digit() {
    let _up = SERVER.read().await;
    let all =
        "select id, b, i1, u8, i8, n, f4, f8, t, c, d, tm, ts, tz, bits, e, s, yr, j, nothing from kinds order by id";
    let Outcome::Ok(rows) = orders(&asks("MARIADB_READER", all)).await else { panic!() };
    assert_eq!(rows[0]["no"]["n"].to_string(), "12800.500000");
    assert_eq!(
        rows[0]["no"],
        serde_json::from_str::<serde_json::Value>(
            r#"{"id":1,"b":1,"i1":-7,"u8":18446744073709551615,"i8":9007199254740993,"n":12800.500000,"f4":0.1,"f8":0.1,
            "t":"陈静 'x' \\ \"q\"","c":"ab","d":"2025-03-02","tm":"-08:05:06.5","ts":"2025-03-02T08:05:06.123456",
            "tz":"2025-03-02T08:05:06.123456Z","bits":257,"e":"b","s":"x,y","yr":2025,"j":"{\"a\": 1.50}","nothing":null}"#
        )
        .unwrap()
    );
    assert_eq!((&rows[1]["no"]["d"], &rows[1]["no"]["tm"]), (&json!("0000-00-00"), &json!("838:59:59")));
    for (statement, why) in [
        ("select id, y from kinds", "column \"y\" holds bytes"),
        ("select bi from kinds", "column \"bi\" holds bytes"),
        ("select 1 as x, 2 as x", "two columns \"x\""),
        ("select seq from seq_1_to_10001", "larger than 10000 rows"),
        ("select repeat('x', 200000) as x from seq_1_to_6", "1048576 bytes"),
        ("select * from order_lines", "order_lines' doesn't exist"),
    ] {
        match orders(&asks("MARIADB_READER", statement)).await {
            Outcome::Broken { reason } => assert!(reason.contains(why), "{statement}: {reason}"),
            other => panic!("{statement}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn even_an_account_that_may_write_writes_nothing() {
    let _up = SERVER.read().await;
    let outcome = orders(&asks("MARIADB_WRITER", "select call_up('linecard-would-write') as no")).await;
    assert_eq!(outcome, Outcome::Broken { reason: "shop: the statement would write".to_owned() });
    let written = orders(&asks("MARIADB_READER", "select count(*) as no from calls")).await;
    assert_eq!(written, Outcome::Ok(json!([{"no": {"no": 0}}])));
}

#[tokio::test]
async fn who_may_not_is_denied_and_who_cannot_be_trusted_is_told_nothing() {
    let _up = SERVER.read().await;
    let one = "select 1 as no";
    let denied = |outcome: Outcome| assert!(matches!(outcome, Outcome::Denied { .. }), "{outcome:?}");
    denied(orders(&mariadb("MARIADB_READER", one, |file| file.replace("MARIADB_PASSWORD", "MARIADB_DB"))).await);
    denied(orders(&asks("MARIADB_READER", "select user from mysql.global_priv")).await);
    let off = |file: String| {
        let file = file.replace("secret: password}", "secret: password, tls: false}");
        file.replace(&format!("tls_ca: {}\n", env("MARIADB_CA")), "")
    };
    denied(orders(&mariadb("MARIADB_READER", one, off)).await);
    assert!(matches!(orders(&mariadb("MARIADB_PLAIN", one, off)).await, Outcome::Ok(_)));
    let stranger = mariadb("MARIADB_READER", one, |file| file.replace(&env("MARIADB_CA"), &env("POSTGRES_CA")));
    let outcome = orders(&stranger).await;
    assert!(matches!(outcome, Outcome::Busy { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_question_that_takes_too_long_ends_here_and_there() {
    let _up = SERVER.read().await;
    let slow = asks("MARIADB_READER", "select sleep(30) as no");
    let began = Instant::now();
    let soon = Ask { deadline: Duration::from_millis(300), ..slow.ask("orders", json!({"customer": {"id": "1"}})) };
    let outcome = slow.systems.run(soon).await;
    assert!(matches!(outcome, Outcome::Busy { .. }), "{outcome:?}");
    // Half of what it would sleep: the machine may be busy.
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    let still = asks(
        "MARIADB_READER",
        "select id as no from information_schema.processlist where info like '%sleep(30)%' and id <> connection_id()",
    );
    let ended = async { while orders(&still).await != Outcome::Empty {} };
    tokio::time::timeout(Duration::from_secs(5), ended).await.expect("the server still sleeps for nobody");
}

#[tokio::test]
async fn a_server_that_was_started_anew_is_asked_as_before() {
    let system = asks("MARIADB_READER", "select 1 as no");
    {
        let _up = SERVER.read().await;
        futures_util::future::join_all((0..8).map(|_| system.ok("check", json!({})))).await;
    }
    without("MARIADB", &SERVER, async || {
        let outcome = system.run("check", json!({})).await;
        assert!(matches!(outcome, Outcome::Busy { .. }), "{outcome:?}");
    })
    .await;
    let _up = SERVER.read().await;
    assert_eq!(system.ok("check", json!({})).await["id"], "reader@%");
}
