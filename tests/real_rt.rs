//! `config/connectors/request-tracker.yaml` on a real Request Tracker 5. Needs `RT_URL` and `RT_TOKEN`, which `tests/servers/rt/setup.sh` writes into `rt.env`; it
//! fails, and does not skip, where they are absent.

use std::{collections::BTreeMap, time::Duration};

use linecard::connectors::{self, Ask, Connectors, Outcome, Priority, Set, System, audit::Audit, index::live::walk};
use serde_json::{Value, json};
use tokio::sync::RwLock;

/// Read by who counts all customers, written by who makes one or changes a number.
static CUSTOMERS: RwLock<()> = RwLock::const_new(());

const FILE: &str = include_str!("../config/connectors/request-tracker.yaml");

fn rt() -> Connectors {
    with(FILE, &[])
}

fn with(file: &str, more: &[(&str, &str)]) -> Connectors {
    Connectors::new(Set::new(vec![system(file, more)]))
}

fn system(file: &str, more: &[(&str, &str)]) -> System {
    let url = std::env::var("RT_URL").expect("RT_URL is not set: source rt.env, or use tests/run");
    let mut values = BTreeMap::from([("url".to_owned(), url)]);
    values.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    // A server for trials, on SQLite and with one process: a busy machine may keep its questions in a row.
    let patient =
        file.replace("deadline_ms: 5000", "deadline_ms: 40000").replace("deadline_ms: 10000", "deadline_ms: 40000");
    connectors::load_with("request-tracker.yaml", &patient, &values).unwrap_or_else(|p| panic!("{p:#?}"))
}

async fn run(rt: &Connectors, operation: &str, inputs: Value) -> Outcome {
    let ask = Ask {
        tenant: "default".into(),
        system: "request-tracker".into(),
        operation: operation.to_owned(),
        inputs: inputs.as_object().unwrap().clone(),
        deadline: Duration::from_secs(60),
        priority: Priority::Pop,
    };
    rt.run(ask).await
}

async fn ok(rt: &Connectors, operation: &str, inputs: Value) -> Value {
    match run(rt, operation, inputs).await {
        Outcome::Ok(value) => value,
        other => panic!("{operation}: {other:?}"),
    }
}

async fn ids(rt: &Connectors, number: &str) -> Vec<String> {
    let mut ids: Vec<String> = match run(rt, "customer.by_phone", json!({"number": number})).await {
        Outcome::Ok(Value::Array(found)) => found.iter().map(|c| c["id"].as_str().unwrap().to_owned()).collect(),
        Outcome::Empty => Vec::new(),
        other => panic!("{number}: {other:?}"),
    };
    ids.sort_unstable();
    ids
}

fn call() -> String {
    ulid::Ulid::new().to_string()
}

#[tokio::test]
async fn every_customer_is_found_in_whatever_spelling_and_nobody_else() {
    let rt = rt();
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
        assert_eq!(ids(&rt, number).await, wanted, "{number}");
    }
    let found = ok(&rt, "customer.search", json!({"text": "王小"})).await;
    assert_eq!(found[0]["id"], "C10001");
    assert_eq!(found[0]["company"], "杭州青禾贸易有限公司");
    let one = ok(&rt, "customer.get", json!({"customer": {"id": "C10001"}})).await;
    assert_eq!((&one["mobile"], &one["phone"]), (&json!("13800138000"), &json!("0571-8765 4321")));
    assert_eq!(run(&rt, "customer.get", json!({"customer": {"id": "nobody-at-all"}})).await, Outcome::NotFound);
}

/// What is skipped in silence would be a system without customers, and tickets that are never found again.
#[tokio::test]
async fn what_rt_would_pass_over_in_silence_is_told_by_check() {
    assert_eq!(run(&rt(), "check", json!({})).await, Outcome::Ok(json!({"queue": "General"})));
    let stranger = with(&FILE.replace("{env: RT_TOKEN}", "{env: RT_URL}"), &[]);
    assert!(matches!(run(&stranger, "check", json!({})).await, Outcome::Denied { .. }));
    assert!(matches!(run(&with(FILE, &[("queue", "Nowhere")]), "check", json!({})).await, Outcome::Invalid { .. }));
    let elsewhere = with(FILE, &[("mobile_field", "Handy")]);
    assert!(matches!(run(&elsewhere, "check", json!({})).await, Outcome::Invalid { .. }));
    let lost = with(&FILE.replace("linecard_call", "another_call"), &[]);
    assert!(matches!(run(&lost, "check", json!({})).await, Outcome::Invalid { .. }));
    // And without check: everybody comes, and nobody is taken for the caller by a field that is not there.
    let found = run(&elsewhere, "customer.by_phone", json!({"number": "+8613912345678"})).await;
    assert!(!matches!(found, Outcome::Ok(_)), "{found:?}");
}

#[tokio::test]
async fn a_ticket_and_its_note_are_written_once() {
    let rt = rt();
    let call = call();
    let title = "来电咨询 <测试> & \"引号\" 'x'";
    let create = json!({"call": call, "key": "k-1", "title": title, "text": "第一行\n第二行",
        "customer": {"id": "C10002", "email": "li.na@mail.example"}});
    assert_eq!(run(&rt, "ticket.find", json!({"call": call})).await, Outcome::Empty);
    let made = ok(&rt, "ticket.create", create.clone()).await;
    assert_eq!(ok(&rt, "ticket.create", create).await["id"], made["id"], "the same call makes no second ticket");
    assert_eq!(ok(&rt, "ticket.find", json!({"call": call})).await["id"], made["id"]);

    let open = ok(&rt, "tickets.open", json!({"customer": {"id": "C10002"}})).await;
    let ticket = open.as_array().unwrap().iter().find(|t| t["id"] == made["id"]).unwrap();
    assert_eq!((&ticket["subject"], &ticket["state"]), (&json!(title), &json!("new")));
    assert_eq!(run(&rt, "tickets.open", json!({"customer": {"id": "o'hara \\"}})).await, Outcome::Empty);

    let note =
        json!({"call": call, "key": call, "target": {"type": "ticket", "id": made["id"]}, "text": "通话 3 分 12 秒。"});
    assert_eq!(run(&rt, "note.find", note.clone()).await, Outcome::Empty);
    ok(&rt, "note.add", note.clone()).await;
    let there = ok(&rt, "note.find", note.clone()).await;
    assert_eq!(ok(&rt, "note.add", note.clone()).await["id"], there["id"], "the same key makes no second comment");
    let mut nowhere = note;
    nowhere["target"]["id"] = json!("999999");
    let outcome = run(&rt, "note.add", nowhere).await;
    assert!(!matches!(outcome, Outcome::Ok(_) | Outcome::Unknown { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_closed_ticket_is_found_opened_again_once_given_to_somebody_and_made_urgent() {
    let rt = rt();
    let call = call();
    let customer = json!({"id": "C10003", "email": "shop3@mail.example"});
    let about = |key: &str, more: Value| {
        let mut inputs =
            json!({"call": call, "key": format!("{call}/{key}"), "customer": customer, "text": "又来电了。"});
        inputs.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        inputs
    };
    let mut known = ok(&rt, "customer.get", json!({"customer": customer})).await;
    known["id"] = json!("C10003");
    let title = format!("漏接 {call}");
    let mut create = about("t", json!({"title": title}));
    create["customer"] = known;
    let ticket = ok(&rt, "ticket.create", create).await;
    let since = linecard::live::now().wall.plus_ms(-3 * 86_400_000).to_string();
    let listed = async |operation: &str, text: &str| {
        let outcome = run(&rt, operation, json!({"customer": customer, "since": since, "text": text})).await;
        let Outcome::Ok(Value::Array(list)) = outcome else { return Vec::new() };
        list.into_iter().filter(|t| t["id"] == ticket["id"]).collect()
    };
    let id = ticket["id"].as_str().unwrap();
    assert_eq!(listed("tickets.open", "").await.len(), 1);
    assert_eq!(listed("ticket.search", &call).await.len(), 1);
    assert_eq!(listed("ticket.search", id).await.len(), 1);
    edit(&format!("/ticket/{id}"), json!({"Status": "resolved"})).await;
    assert_eq!(listed("tickets.open", "").await.len(), 0);
    let closed = listed("tickets.closed", "").await;
    let rule: linecard::records::instead::Instead = serde_json::from_value(json!({"reopen": {"days": 3}})).unwrap();
    assert_eq!(rule.closed(linecard::live::now().wall, &closed, &serde_json::Map::new()), closed.first(), "{closed:?}");
    assert_eq!(closed.len(), 1);
    let again = about("again", json!({"target": ticket}));
    for _ in 0..2 {
        ok(&rt, "ticket.reopen", again.clone()).await;
    }
    assert_eq!(listed("tickets.open", "").await.len(), 1);
    ok(&rt, "ticket.assign", about("mine", json!({"target": ticket, "to": "linecard"}))).await;
    let stranger = run(&rt, "ticket.assign", about("whose", json!({"target": ticket, "to": "C10002"}))).await;
    assert!(!matches!(stranger, Outcome::Ok(_)), "{stranger:?}");
    let urgent = about("urgent", json!({"target": ticket, "priority": "80"}));
    for _ in 0..2 {
        ok(&rt, "ticket.escalate", urgent.clone()).await;
    }
    let elsewhere = run(&rt, "ticket.escalate", about("x", json!({"target": ticket, "into": "Nowhere"}))).await;
    assert!(!matches!(elsewhere, Outcome::Ok(_)), "{elsewhere:?}");
    assert_eq!(listed("tickets.open", "").await[0]["priority"], "80");
    // `one: true`: twice would be ambiguous.
    for key in ["again", "urgent"] {
        ok(&rt, "note.find", about(key, json!({"target": ticket}))).await;
    }
}

/// A change by somebody else's hand.
async fn edit(path: &str, body: Value) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let env = |name: &str| std::env::var(name).unwrap();
    let request = reqwest::Client::new().put(format!("{}/REST/2.0{path}", env("RT_URL"))).json(&body);
    let answer = request.header("Authorization", format!("token {}", env("RT_TOKEN"))).send().await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
}

#[tokio::test]
async fn a_number_is_put_to_a_customer_and_a_customer_made_of_one() {
    let _alone = CUSTOMERS.write().await;
    let rt = rt();
    let digits = format!("{:08}", rand::random::<u32>() % 100_000_000);
    let number = format!("+86137{digits}");
    let write =
        |call: String, number: &str| json!({"call": call, "key": call, "number": number, "name": "来电 <测试>"});
    let made = ok(&rt, "customer.create", write(call(), &number)).await;
    assert_eq!(ids(&rt, &number).await, [made["id"].as_str().unwrap()]);
    let again = ok(&rt, "customer.create", write(call(), &number)).await;
    assert_eq!(again[0]["id"], made["id"], "a number that somebody has makes nobody");

    let attach = |number: &str| {
        let mut inputs = write(call(), number);
        inputs["customer"] = json!({"id": made["id"]});
        inputs
    };
    let second = format!("+86138{digits}");
    ok(&rt, "customer.attach", attach(&second)).await;
    ok(&rt, "customer.attach", attach(&second)).await;
    for number in [&number, &second] {
        assert_eq!(ids(&rt, number).await, [made["id"].as_str().unwrap()], "{number}");
    }
    let full = run(&rt, "customer.attach", attach(&format!("+86139{digits}"))).await;
    assert!(matches!(full, Outcome::Invalid { .. }), "{full:?}");

    // What is known of the user is changed, and nothing besides; an address that another user has is passed over by RT, and told.
    let change = |fields: Value| json!({"call": call(), "key": "k", "customer": {"id": made["id"]}, "fields": fields});
    let email = format!("u{digits}@mail.example");
    let (head, tail) = digits.split_at(4);
    let fields = json!({"email": email, "company": "蓝海 & 贸易", "mobile": format!("135 {head} {tail}")});
    for _ in 0..2 {
        ok(&rt, "customer.update", change(fields.clone())).await;
    }
    let now = ok(&rt, "customer.get", json!({"customer": {"id": made["id"]}})).await;
    assert_eq!(
        (&now["email"], &now["company"], &now["mobile"]),
        (&fields["email"], &fields["company"], &fields["mobile"])
    );
    assert_eq!(now["name"], "来电 <测试>");
    let taken = ok(&rt, "customer.get", json!({"customer": {"id": "C10002"}})).await["email"].clone();
    let outcome = run(&rt, "customer.update", change(json!({"email": taken}))).await;
    assert!(matches!(outcome, Outcome::Invalid { .. }), "{outcome:?}");
}

#[tokio::test]
async fn the_walk_meets_everybody_and_the_audit_names_the_traps() {
    let _customers = CUSTOMERS.read().await;
    let system = system(FILE, &[]);
    let rt = rt();
    let mut audit = Audit::default();
    let mut seed = 0;
    // RT's own users and the customers of the other test are no part of the seed.
    let each = |record: &serde_json::Map<String, Value>| {
        if record["id"].as_str().is_some_and(|id| id.starts_with("C10")) {
            seed += 1;
            audit.record(&system, record);
        }
    };
    walk(&rt, &system, None, each, |_| {}).await.unwrap();
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

#[tokio::test]
async fn rt_says_which_version_it_is() {
    let rt = rt();
    connectors::version::live::look(&rt).await;
    let version = &rt.standing()[0].version;
    assert!(version.told.as_ref().is_some_and(|(told, _)| told.starts_with("5.0")), "{version:?}");
    assert_eq!(version.drift, None);
}
