//! A database as a business system: asked by statements that only read, with values that never become their text.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use linecard::connectors::{self, Ask, Connectors, Outcome, Priority, Set, examples};
use serde_json::{Value, json};

const FILE: &str = r#"
connector: ledger
schema: 1
variables: {path: {text: "PATH"}}
sql: {sqlite: {path: "{{ path }}"}}
operations:
  customer.by_phone:
    steps:
      - name: search
        sql: |
          select id, name, mobile, balance from partner
          where mobile like :like or id = (select partner from contact where number like :like) -- not :here
        with: {like: "{{ number.national | like }}"}
        records: body
    fields: {id: record.id | string, name: record.name, mobile: record.mobile, balance: record.balance | money}
    phones: {mobile: mobile}
  orders:
    steps:
      - name: orders
        sql: select no, total from orders where partner = :id order by no
        with: {id: "{{ customer.id }}"}
        outcome:
          - {when: body | length > 50, is: broken, reason: more orders than anybody has}
          - {is: ok}
        records: body
    fields: {id: record.no, total: record.total}
examples:
  - name: of two who look alike one is the caller
    operation: customer.by_phone
    inputs: {number: "13800138000"}
    exchanges:
      - request: {step: search, with: {like: "%1%3%8%0%0%1%3%8%0%0%0%"}}
        answer:
          json:
            - {id: 7, name: 陈静, mobile: 138-0013-8000, balance: 12800.5}
            - {id: 8, name: 周敏, mobile: 0512 00138000, balance: null}
    outcome: ok
    value: [{id: "7", name: 陈静, mobile: 138-0013-8000, balance: "12800.5", reason: mobile}]
  - name: a database that does not answer
    operation: orders
    inputs: {customer: {id: "7"}}
    exchanges: [{request: {step: orders, with: {id: "7"}}, answer: {}}]
    outcome: busy
"#;

/// Removed with all it holds when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("linecard-databases-{}", ulid::Ulid::new()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn written(path: &Path) {
    let db = rusqlite::Connection::open(path).unwrap();
    db.execute_batch(
        "create table partner (id integer primary key, name text, mobile text, balance numeric);
         create table contact (partner integer, number text);
         create table orders (no text, partner text, total numeric, picture blob);
         insert into partner values (7, '陈静', '138-0013-8000', 12800.5), (8, '周敏', '0512 00138000', null);
         insert into orders values ('S1', '7', 99, null), ('S2', '7''; drop table partner; --', 1, x'00ff');",
    )
    .unwrap();
}

fn ledger(path: &Path, change: impl Fn(String) -> String) -> Connectors {
    let file = change(FILE.replace("PATH", &path.display().to_string()));
    Connectors::new(Set::new(vec![connectors::load("ledger.yaml", &file).unwrap_or_else(|p| panic!("{p:#?}"))]))
}

fn ask(operation: &str, inputs: Value) -> Ask {
    Ask {
        tenant: Default::default(),
        system: "ledger".into(),
        operation: operation.to_owned(),
        inputs: inputs.as_object().cloned().unwrap(),
        deadline: Duration::from_secs(5),
        priority: Priority::Pop,
    }
}

#[test]
fn a_databases_examples_are_played_without_it() {
    let system = connectors::load_offline("ledger.yaml", FILE).unwrap_or_else(|p| panic!("{p:#?}"));
    for result in examples::run(&system) {
        assert_eq!(result.result, Ok(()), "{}", result.name);
    }
    let wrong = FILE.replace("{id: \"7\"}}, answer", "{id: \"8\"}}, answer");
    let system = connectors::load_offline("ledger.yaml", &wrong).unwrap();
    let told: Vec<String> = examples::run(&system).into_iter().filter_map(|r| r.result.err()).collect();
    assert_eq!(told, [r#"orders: the parameters are {"id":"7"}, not {"id":"8"}"#]);
}

#[tokio::test]
async fn a_caller_is_found_in_a_database_and_values_stay_values() {
    let folder = Folder::new();
    let path = folder.0.join("ledger.db");
    written(&path);
    let ledger = ledger(&path, |file| file);
    let found = ledger.run(ask("customer.by_phone", json!({"number": "+8613800138000"}))).await;
    let wanted =
        json!([{"id": "7", "name": "陈静", "mobile": "138-0013-8000", "balance": "12800.5", "reason": "mobile"}]);
    assert_eq!(found, Outcome::Ok(wanted));
    assert_eq!(ledger.run(ask("customer.by_phone", json!({"number": "13800138009"}))).await, Outcome::Empty);
    // What would end the statement is a value like any other, and finds the order that has it.
    let hostile = "7'; drop table partner; --";
    let found = ledger.run(ask("orders", json!({"customer": {"id": hostile}}))).await;
    assert_eq!(found, Outcome::Ok(json!([{"id": "S2", "total": 1}])));
    let found = ledger.run(ask("orders", json!({"customer": {"id": "7"}}))).await;
    assert_eq!(found, Outcome::Ok(json!([{"id": "S1", "total": 99}])));
    // Another file in its place, as a nightly export leaves it, is what is read from then on.
    let newer = folder.0.join("newer.db");
    written(&newer);
    rusqlite::Connection::open(&newer).unwrap().execute("update orders set total = 100", []).unwrap();
    std::fs::rename(&newer, &path).unwrap();
    let found = ledger.run(ask("orders", json!({"customer": {"id": "7"}}))).await;
    assert_eq!(found, Outcome::Ok(json!([{"id": "S1", "total": 100}])));
}

#[tokio::test]
async fn what_a_database_cannot_give_is_said() {
    let folder = Folder::new();
    let path = folder.0.join("ledger.db");
    let orders = || ask("orders", json!({"customer": {"id": "7"}}));
    // Not there yet: and it is there as soon as it is.
    let there = ledger(&path, |file| file);
    assert_eq!(there.run(orders()).await, Outcome::Busy { reason: "ledger cannot be opened".to_owned() });
    written(&path);
    assert!(matches!(there.run(orders()).await, Outcome::Ok(_)));

    let reason = async |change: &dyn Fn(String) -> String, ask: Ask| match ledger(&path, change).run(ask).await {
        Outcome::Broken { reason } => reason,
        other => panic!("{other:?}"),
    };
    let told = reason(&|file| file.replace("from orders", "from order_lines"), orders()).await;
    assert!(told.ends_with("no such table: order_lines"), "{told}");
    let told = reason(&|file| file.replace("select no, total", "select no, total as no"), orders()).await;
    assert!(told.contains("two columns \"no\""), "{told}");
    let bytes = ask("orders", json!({"customer": {"id": "7'; drop table partner; --"}}));
    let told = reason(&|file| file.replace("select no, total", "select no, picture as total"), bytes).await;
    assert!(told.contains("\"total\" holds bytes"), "{told}");
    let endless = "select no, total from orders, (with recursive n(x) as (select 1 union all select x + 1 from n) select x from n) where partner = :id";
    let told =
        reason(&|file| file.replace("select no, total from orders where partner = :id order by no", endless), orders())
            .await;
    assert!(told.contains("larger than 10000 rows"), "{told}");

    // One that computes for ever is stopped at the deadline, and the next question is answered.
    let sums = endless.replace("select no, total", "select count(*) as no, 1 as total");
    let busy =
        ledger(&path, |file| file.replace("select no, total from orders where partner = :id order by no", &sums));
    let soon = Ask { deadline: Duration::from_millis(200), ..orders() };
    assert!(matches!(busy.run(soon).await, Outcome::Busy { reason } if reason.contains("did not answer within")));
    assert!(matches!(busy.run(ask("customer.by_phone", json!({"number": "13800138000"}))).await, Outcome::Ok(_)));
}

#[test]
fn mistakes_of_a_database_file_have_their_places() {
    let text = FILE
        .replace("select no, total", "update orders set total = 0; select no, total")
        .replace("mobile like :like or", "mobile like :lik or")
        .replace("schema: 1", "schema: 1\nauth: {key: {header: X, secret: key}}")
        .replace("        with: {id: \"{{ customer.id }}\"}", "        path: /orders");
    let problems = connectors::load_offline("ledger.yaml", &text).err().unwrap();
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    for wanted in ["more than one statement", "no value: lik", "speaks HTTP", "no path, query"] {
        assert!(told.iter().any(|t| t.contains(wanted)), "{wanted}: {told:#?}");
    }
    assert!(problems.iter().all(|p| p.line > 0), "{told:#?}");
    let both = FILE.replace("schema: 1", "schema: 1\nbase_url: http://127.0.0.1");
    let problems = connectors::load_offline("ledger.yaml", &both).err().unwrap();
    assert!(problems.iter().any(|p| p.to_string().contains("two places")), "{problems:#?}");
}
