//! `config/connectors/redmine.yaml` on a real Redmine. Needs `REDMINE_URL`, `REDMINE_KEY` and the ids that
//! `tests/servers/redmine/setup.sh` writes into `redmine.env`; it fails, and does not skip, where they are absent.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use linecard::connectors::{
    self, Ask, Connectors, Idempotency, Outcome, Priority, Set, System,
    audit::Audit,
    index::live::{Status, keep, walk},
};
use serde_json::{Value, json};
use tokio::sync::RwLock;

/// Read by who counts all customers, written by who makes one.
static CUSTOMERS: RwLock<()> = RwLock::const_new(());

const FILE: &str = include_str!("../config/connectors/redmine.yaml");

fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: source redmine.env, or use tests/run"))
}

pub fn redmine(key: &str) -> Connectors {
    Connectors::new(Set::new(vec![system(key)]))
}

/// What a site gives to the variables of the file.
pub fn values() -> BTreeMap<String, String> {
    let ids = [
        ("url", "REDMINE_URL"),
        ("cf_code", "REDMINE_CF_CODE"),
        ("cf_mobile", "REDMINE_CF_MOBILE"),
        ("cf_landline", "REDMINE_CF_PHONE"),
        ("cf_company", "REDMINE_CF_COMPANY"),
        ("cf_tier", "REDMINE_CF_TIER"),
        ("cf_points", "REDMINE_CF_POINTS"),
        ("cf_credit", "REDMINE_CF_CREDIT"),
        ("cf_balance", "REDMINE_CF_BALANCE"),
        ("cf_call", "REDMINE_CF_CALLID"),
        ("cf_amount", "REDMINE_CF_AMOUNT"),
        ("tracker_ticket", "REDMINE_TRACKER_TICKET"),
        ("status_open", "REDMINE_STATUS_OPEN"),
    ];
    ids.iter().map(|(name, from)| ((*name).to_owned(), env(from))).collect()
}

/// The connector as a site would set it. `key`: the variable of the environment that holds the key.
fn system(key: &str) -> System {
    system_of(key, FILE)
}

fn system_of(key: &str, file: &str) -> System {
    let text = file.replace("{env: REDMINE_KEY}", &format!("{{env: {key}}}"));
    connectors::load_with("redmine.yaml", &text, &values()).unwrap_or_else(|p| panic!("{p:#?}"))
}

async fn run(redmine: &Connectors, operation: &str, inputs: Value) -> Outcome {
    let ask = Ask {
        tenant: "default".into(),
        system: "redmine".into(),
        operation: operation.to_owned(),
        inputs: inputs.as_object().unwrap().clone(),
        deadline: Duration::from_secs(10),
        priority: Priority::Pop,
    };
    redmine.run(ask).await
}

pub async fn by_phone(redmine: &Connectors, number: &str) -> Vec<Value> {
    match run(redmine, "customer.by_phone", json!({"number": number})).await {
        Outcome::Ok(Value::Array(found)) => found,
        Outcome::Empty => Vec::new(),
        other => panic!("{number}: {other:?}"),
    }
}

fn codes(found: &[Value]) -> Vec<&str> {
    let mut codes: Vec<&str> = found.iter().map(|c| c["code"].as_str().unwrap()).collect();
    codes.sort_unstable();
    codes
}

#[tokio::test]
async fn every_customer_is_found_in_whatever_spelling_and_nobody_else() {
    let redmine = redmine("REDMINE_KEY");
    for (number, wanted) in [
        ("+8613800138000", vec!["C10001", "C10004"]),
        ("13800138000", vec!["C10001", "C10004"]),
        ("+8657187654321", vec!["C10001"]),
        ("+8613912345678", vec!["C10002"]),
        ("+8618600001111", vec!["C10003"]),
        ("+862168881234", vec!["C10003"]),
        ("+8613712345678", vec!["C10005"]),
        ("+442079460958", vec!["C10006"]),
        ("+8613800138001", vec!["C10007"]),
        ("057500138000", vec!["C10008"]),
        ("+8613900008888", vec!["C10009"]),
        ("+8615900002222", vec!["C10010"]),
        ("+8613800138002", vec![]),
        ("+862161234567", vec![]),
        ("95588", vec![]),
    ] {
        assert_eq!(codes(&by_phone(&redmine, number).await), wanted, "{number}");
    }
    let found = by_phone(&redmine, "+8657187654321").await;
    assert_eq!(found[0]["tier"], "金卡");
    assert_eq!(found[0]["points"], "12850");
    assert_eq!(found[0]["balance"], "12800.5");
    assert_eq!(found[0]["reason"], "固话");
}

#[tokio::test]
async fn tickets_and_orders_are_those_of_the_customer() {
    let redmine = redmine("REDMINE_KEY");
    let customer = by_phone(&redmine, "+8618600001111").await.remove(0);
    let outcome = run(&redmine, "tickets.open", json!({"customer": customer})).await;
    let Outcome::Ok(Value::Array(tickets)) = outcome else { panic!("{outcome:?}") };
    assert!(tickets.iter().any(|t| t["subject"] == "申请提高信用额度"), "{tickets:?}");
    let outcome = run(&redmine, "orders", json!({"customer": customer})).await;
    let Outcome::Ok(Value::Array(orders)) = outcome else { panic!("{outcome:?}") };
    let mut names: Vec<&str> = orders.iter().map(|o| o["no"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["SO-2025-0005", "SO-2025-0006"]);
    assert!(matches!(run(&redmine, "customer.get", json!({"customer": customer})).await, Outcome::Ok(_)));
    let outcome = run(&redmine, "customer.search", json!({"text": "王小明"})).await;
    let Outcome::Ok(Value::Array(found)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(codes(&found), ["C10001"]);
}

#[tokio::test]
async fn a_ticket_is_made_once_and_a_note_appended_once() {
    let redmine = redmine("REDMINE_KEY");
    assert_eq!(redmine.idempotency(&"redmine".into(), "ticket.create"), Idempotency::Lookup("ticket.find".to_owned()));
    let customer = by_phone(&redmine, "+8613912345678").await.remove(0);
    let call = ulid::Ulid::new().to_string();
    let create = json!({"call": call, "key": "k", "title": "来电咨询 <测试> & 引号\"", "text": "客户来电。\n第二行", "customer": customer});
    assert_eq!(run(&redmine, "ticket.find", json!({"call": call})).await, Outcome::Empty);
    let Outcome::Ok(first) = run(&redmine, "ticket.create", create.clone()).await else { panic!("not made") };
    let Outcome::Ok(second) = run(&redmine, "ticket.create", create).await else { panic!("not found again") };
    assert_eq!(first, second);
    let Outcome::Ok(found) = run(&redmine, "ticket.find", json!({"call": call})).await else { panic!("more than one") };
    assert_eq!(found["id"], first["id"]);

    let key = format!("{call}/note");
    let note = json!({"call": call, "key": key, "target": first, "text": "通话 3 分 12 秒，客户要求回电。"});
    let find = json!({"key": key, "target": first});
    assert_eq!(run(&redmine, "note.find", find.clone()).await, Outcome::Empty);
    for _ in 0..2 {
        let outcome = run(&redmine, "note.add", note.clone()).await;
        assert!(matches!(outcome, Outcome::Ok(_)), "{outcome:?}");
    }
    // `one: true`: twice would be ambiguous.
    let outcome = run(&redmine, "note.find", find).await;
    assert!(matches!(outcome, Outcome::Ok(_)), "{outcome:?}");
}

#[tokio::test]
async fn a_closed_ticket_is_found_opened_again_once_given_to_somebody_and_made_urgent() {
    let redmine = redmine("REDMINE_KEY");
    let customer = by_phone(&redmine, "+8613712345678").await.remove(0);
    let call = ulid::Ulid::new().to_string();
    let about = |key: &str, more: Value| {
        let mut inputs =
            json!({"call": call, "key": format!("{call}/{key}"), "customer": customer, "text": "又来电了 <急>。"});
        inputs.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        inputs
    };
    let title = format!("漏接 {call}");
    let Outcome::Ok(ticket) = run(&redmine, "ticket.create", about("t", json!({"title": title}))).await else {
        panic!("not made")
    };
    let since = linecard::live::now().wall.plus_ms(-3 * 86_400_000).to_string();
    let listed = async |operation: &str| {
        let outcome = run(&redmine, operation, json!({"customer": customer, "since": since, "text": title})).await;
        let Outcome::Ok(Value::Array(list)) = outcome else { return Vec::new() };
        list.into_iter().filter(|t| t["id"] == ticket["id"]).collect()
    };
    assert_eq!(listed("tickets.open").await.len(), 1);
    assert_eq!(listed("tickets.closed").await.len(), 0);
    assert_eq!(listed("ticket.search").await.len(), 1);
    let path = format!("/issues/{}.json", ticket["id"].as_str().unwrap());
    edit(reqwest::Method::PUT, &path, json!({"issue": {"status_id": env("REDMINE_STATUS_CLOSED")}})).await;
    assert_eq!(listed("tickets.open").await.len(), 0);
    let closed = listed("tickets.closed").await;
    assert!(closed[0]["closed_at"].as_str().unwrap() > since.as_str(), "{closed:?}");
    // The rule that decides by it reads it.
    let rule: linecard::records::instead::Instead = serde_json::from_value(json!({"reopen": {"days": 3}})).unwrap();
    assert_eq!(rule.closed(linecard::live::now().wall, &closed, &serde_json::Map::new()), closed.first());

    for _ in 0..2 {
        let outcome = run(&redmine, "ticket.reopen", about("again", json!({"target": ticket}))).await;
        assert!(matches!(outcome, Outcome::Ok(_)), "{outcome:?}");
    }
    assert_eq!(listed("tickets.open").await.len(), 1);
    let me = run(&redmine, "check", json!({})).await;
    let Outcome::Ok(me) = me else { panic!("{me:?}") };
    let assign = about("mine", json!({"target": ticket, "to": me["id"].to_string()}));
    assert!(matches!(run(&redmine, "ticket.assign", assign).await, Outcome::Ok(_)));
    let stranger = run(&redmine, "ticket.assign", about("whose", json!({"target": ticket, "to": "999999"}))).await;
    assert!(matches!(stranger, Outcome::Invalid { .. }), "{stranger:?}");
    let priorities = edit(reqwest::Method::GET, "/enumerations/issue_priorities.json", Value::Null).await;
    let highest = priorities["issue_priorities"].as_array().unwrap().last().unwrap()["id"].to_string();
    let urgent = about("urgent", json!({"target": ticket, "priority": highest}));
    for _ in 0..2 {
        let outcome = run(&redmine, "ticket.escalate", urgent.clone()).await;
        assert!(matches!(outcome, Outcome::Ok(_)), "{outcome:?}");
    }
    let issue = edit(reqwest::Method::GET, &format!("{path}?include=journals"), Value::Null).await["issue"].clone();
    assert_eq!((&issue["assigned_to"]["id"], issue["priority"]["id"].to_string()), (&me["id"], highest));
    let said = issue["journals"].to_string();
    for key in ["again", "urgent"] {
        assert_eq!(said.matches(&format!("{call}/{key}]")).count(), 1, "{said}");
    }
    let nowhere = run(&redmine, "ticket.reopen", about("x", json!({"target": {"id": "999999"}}))).await;
    assert!(!matches!(nowhere, Outcome::Ok(_) | Outcome::Unknown { .. }), "{nowhere:?}");
    edit(reqwest::Method::DELETE, &path, Value::Null).await;
}

#[tokio::test]
async fn an_unknown_number_makes_a_customer_once_and_is_put_to_one_where_there_is_room() {
    let _customers = CUSTOMERS.write().await;
    let redmine = redmine("REDMINE_KEY");
    let lookup = |name: &str| Idempotency::Lookup(name.to_owned());
    assert_eq!(redmine.idempotency(&"redmine".into(), "customer.create"), lookup("customer.by_phone"));
    assert_eq!(redmine.idempotency(&"redmine".into(), "customer.attach"), lookup("attach.find"));
    let call = ulid::Ulid::new().to_string();
    let create = json!({"call": call, "key": "k", "number": "+8613700137123", "name": "新客户 <临时> & \"引号\"", "company": "杭州青禾"});
    let Outcome::Ok(made) = run(&redmine, "customer.create", create.clone()).await else { panic!("not made") };
    let again = run(&redmine, "customer.create", create).await;
    let Outcome::Ok(again) = again else { panic!("not found again: {again:?}") };
    let found = by_phone(&redmine, "13700137123").await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&found[0]["id"], &found[0]["company"]), (&made["id"], &json!("杭州青禾")));
    assert_eq!(again[0]["id"], made["id"]);

    let attach = |number: &str| json!({"call": call, "key": "k", "number": number, "customer": made});
    for _ in 0..2 {
        let outcome = run(&redmine, "customer.attach", attach("+862161237123")).await;
        assert!(matches!(&outcome, Outcome::Ok(to) if to["id"] == made["id"]), "{outcome:?}");
    }
    assert_eq!(by_phone(&redmine, "02161237123").await.len(), 1);
    // Both fields are filled: nothing is written over.
    let outcome = run(&redmine, "customer.attach", attach("+8613700137124")).await;
    assert!(matches!(outcome, Outcome::Invalid { .. }), "{outcome:?}");
    assert_eq!(by_phone(&redmine, "13700137123").await.len(), 1);
    let nobody = json!({"call": call, "key": "k", "number": "+8613700137124", "customer": {"id": "999999"}});
    assert_eq!(run(&redmine, "customer.attach", nobody).await, Outcome::NotFound);

    // What is known of the customer is changed, and nothing besides.
    let change =
        |id: &Value, fields: Value| json!({"call": call, "key": "k", "customer": {"id": id}, "fields": fields});
    let fields = json!({"company": "蓝海 <贸易> & \"引号\"", "name": "改名"});
    for _ in 0..2 {
        let outcome = run(&redmine, "customer.update", change(&made["id"], fields.clone())).await;
        assert!(matches!(outcome, Outcome::Ok(_)), "{outcome:?}");
    }
    let now = run(&redmine, "customer.get", json!({"customer": made})).await;
    let Outcome::Ok(now) = now else { panic!("{now:?}") };
    assert_eq!((&now["company"], &now["name"]), (&fields["company"], &fields["name"]));
    assert_eq!(now["mobile"], "+8613700137123");
    let outcome = run(&redmine, "customer.update", change(&made["id"], json!({"code": "C10001"}))).await;
    assert!(matches!(outcome, Outcome::Invalid { .. }), "{outcome:?}");
    let nobody = run(&redmine, "customer.update", change(&json!("999999"), fields)).await;
    assert_eq!(nobody, Outcome::NotFound);
    let path = format!("/issues/{}.json", made["id"].as_str().unwrap());
    edit(reqwest::Method::DELETE, &path, Value::Null).await;
}

#[tokio::test]
async fn a_stranger_is_told_from_nobody() {
    let good = redmine("REDMINE_KEY");
    assert!(matches!(run(&good, "check", json!({})).await, Outcome::Ok(who) if who["user"] == "linecard"));
    // A right key without rights.
    let limited = redmine("REDMINE_LIMITED_KEY");
    let outcome = run(&limited, "customer.by_phone", json!({"number": "+8613800138000"})).await;
    assert!(matches!(outcome, Outcome::Denied { .. }), "{outcome:?}");
    // No key of this Redmine: any text will do.
    let stranger = redmine("REDMINE_URL");
    let outcome = run(&stranger, "check", json!({})).await;
    assert!(matches!(outcome, Outcome::Denied { .. }), "{outcome:?}");
    // It lists nothing with status 200 where a stranger may look; that must not be "nobody".
    for inputs in [json!({"call": ulid::Ulid::new().to_string()})] {
        let outcome = run(&stranger, "ticket.find", inputs).await;
        assert!(!matches!(outcome, Outcome::Empty | Outcome::Ok(_)), "{outcome:?}");
    }
    let title = json!({"call": "c", "key": "k", "title": "", "text": "x"});
    let outcome = run(&good, "ticket.create", title).await;
    assert!(matches!(outcome, Outcome::Invalid { .. }), "{outcome:?}");
}

/// The file with its index switched on, as the comment in it says, but for the times.
fn indexed() -> Connectors {
    let off = "# index: {every_s: 300, full_every_s: 86400}";
    assert!(FILE.contains(off));
    let file =
        FILE.replace(off, "index: {every_s: 10, full_every_s: 86400, search: missed}").replace("size: 100", "size: 4");
    Connectors::new(Set::new(vec![system_of("REDMINE_KEY", &file)]))
}

/// Looks at the state of the first index until it is as wanted.
pub async fn until(redmine: &Connectors, what: &str, wanted: impl Fn(&Status) -> bool) -> Status {
    let patience = Instant::now() + Duration::from_secs(60);
    loop {
        let status = redmine.indexes().into_iter().next();
        if let Some(status) = status.as_ref().filter(|s| wanted(s)) {
            return status.clone();
        }
        assert!(Instant::now() < patience, "{what}: {status:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A change by somebody else's hand.
async fn edit(method: reqwest::Method, path: &str, body: Value) -> Value {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let request = reqwest::Client::new().request(method, format!("{}{path}", env("REDMINE_URL"))).json(&body);
    let answer = request.header("X-Redmine-API-Key", env("REDMINE_KEY")).send().await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default()
}

#[tokio::test]
async fn by_the_index_all_ten_are_found_in_any_spelling_and_a_change_after_the_next_walk() {
    let _customers = CUSTOMERS.read().await;
    let folder = std::env::temp_dir().join(format!("linecard-redmine-{}", std::process::id()));
    let redmine = indexed();
    let keeper = tokio::spawn(keep(redmine.clone(), folder.clone()));
    let status = until(&redmine, "the first walk", |s| s.holds.is_some()).await;
    let holds = status.holds.unwrap();
    assert_eq!((holds.customers, holds.numbers, holds.odd), (10, 12, 1), "{status}");
    for (code, spellings) in [
        ("C10001", &["057187654321", "0571-8765 4321", "+86 571 87654321", "０５７１８７６５４３２１"][..]),
        ("C10002", &["13912345678", "139 1234 5678", "008613912345678"]),
        ("C10003", &["18600001111", "+8618600001111", "021-68881234", "(021) 6888 1234"]),
        ("C10005", &["13712345678", "+86-137-1234-5678", "86 13712345678"]),
        ("C10006", &["+442079460958", "0044 20 7946 0958"]),
        ("C10007", &["13800138001"]),
        // No number of the plan, and a switch may show it all the same.
        ("C10008", &["057500138000", "0575-00138000", "+8657500138000"]),
        ("C10009", &["13900008888", "１３９００００８８８８", "139-0000-8888"]),
        ("C10010", &["15900002222", "+86 159 0000 2222", "15900002222转806", "tel:+8615900002222;ext=806"]),
    ] {
        for spelling in spellings {
            assert_eq!(codes(&by_phone(&redmine, spelling).await), [code], "{spelling}");
        }
    }
    for both in ["13800138000", "+8613800138000", "138 0013 8000", "１３８００１３８０００", "17909013800138000"]
    {
        assert_eq!(codes(&by_phone(&redmine, both).await), ["C10001", "C10004"], "{both}");
    }
    for nobody in ["13800138002", "02161234567", "95588"] {
        assert!(by_phone(&redmine, nobody).await.is_empty(), "{nobody}");
    }
    // What the search gives and what the index gives is the same record.
    let searched = self::redmine("REDMINE_KEY");
    assert_eq!(by_phone(&redmine, "13912345678").await, by_phone(&searched, "13912345678").await);

    // A new customer, spelled so that Redmine's own search cannot find it; then another number; then deleted.
    let fields = |mobile: &str| json!([{"id": env("REDMINE_CF_MOBILE"), "value": mobile}, {"id": env("REDMINE_CF_CODE"), "value": "C19999"}]);
    let made = edit(
        reqwest::Method::POST,
        "/issues.json",
        json!({"issue": {"project_id": "customers", "subject": "C19999 临时", "custom_fields": fields("1.3.7.0.0.1.3.7.0.0.0")}}),
    )
    .await;
    let path = format!("/issues/{}.json", made["issue"]["id"]);
    let before = redmine.indexes()[0].known_at;
    until(&redmine, "who is new", |s| s.known_at > before).await;
    assert_eq!(codes(&by_phone(&redmine, "13700137000").await), ["C19999"]);
    assert!(by_phone(&searched, "13700137000").await.is_empty(), "Redmine's search cannot find it");
    edit(reqwest::Method::PUT, &path, json!({"issue": {"custom_fields": fields("1.3.7.0.0.1.3.7.0.0.9")}})).await;
    assert!(by_phone(&redmine, "13700137000").await.is_empty(), "the number is another's now");
    let before = redmine.indexes()[0].known_at;
    until(&redmine, "who changed", |s| s.known_at > before).await;
    assert_eq!(codes(&by_phone(&redmine, "13700137009").await), ["C19999"]);
    edit(reqwest::Method::DELETE, &path, Value::Null).await;
    assert!(by_phone(&redmine, "13700137009").await.is_empty(), "deleted, and shown by nobody");
    keeper.abort();
    let _ = std::fs::remove_dir_all(folder);
}

#[tokio::test]
async fn the_audit_names_the_traps_of_the_seed_and_nothing_else() {
    let _customers = CUSTOMERS.read().await;
    let system = system("REDMINE_KEY");
    let redmine = redmine("REDMINE_KEY");
    let mut audit = Audit::default();
    // Another test makes a customer meanwhile; the seed's are the first.
    let mut seed = 0;
    let mut each = |record: &serde_json::Map<String, Value>| {
        if record["mobile"].as_str().is_none_or(|m| !m.starts_with("1.3.7")) {
            seed += 1;
            audit.record(&system, record);
        }
    };
    walk(&redmine, &system, None, &mut each, |_| {}).await.unwrap();
    assert_eq!(seed, 10);
    let (findings, counts) = audit.finish();
    let found: Vec<(&str, &str)> = findings.iter().map(|f| (f.problem.word(), f.written.as_str())).collect();
    assert_eq!(
        found,
        [
            ("unreadable", "0575-0013 8000"),
            ("shared", "13800138000"),
            ("shared", "138 0013 8000"),
            ("extension", "+86-159-0000-2222 转 806"),
            ("full-width", "１３９００００８８８８"),
        ]
    );
    assert_eq!((counts.customers, counts.numbers), (10, 12));
}
