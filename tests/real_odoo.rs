//! `config/connectors/odoo.yaml` on a real Odoo 14. Needs what `tests/servers/odoo/setup.sh` writes into `odoo.env`; it fails,
//! and does not skip, where that is absent.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use linecard::connectors::{
    self, Ask, Connectors, Idempotency, Outcome, Priority, Set, System, beside, index::live::keep,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::RwLock,
};

use crate::real_redmine;

const FILE: &str = include_str!("../config/connectors/odoo.yaml");

/// Written to by what stops the server or ends its sessions; read by all others.
static SERVER: RwLock<()> = RwLock::const_new(());

fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: source odoo.env, or use tests/run"))
}

/// Who logs in: the prefix of the variables that hold the account.
fn system(user: &str, password: &str, url: &str) -> System {
    system_of(FILE, user, password, url)
}

fn system_of(file: &str, user: &str, password: &str, url: &str) -> System {
    let values = BTreeMap::from(
        [("url", url.to_owned()), ("db", env("ODOO_DB")), ("user", env(user)), ("project", env("ODOO_PROJECT"))]
            .map(|(name, value)| (name.to_owned(), value)),
    );
    let text = file.replace("{env: ODOO_PASSWORD}", &format!("{{env: {password}}}"));
    connectors::load_with("odoo.yaml", &text, &values).unwrap_or_else(|p| panic!("{p:#?}"))
}

fn odoo() -> Connectors {
    Connectors::new(Set::new(vec![system("ODOO_USER", "ODOO_PASSWORD", &env("ODOO_URL"))]))
}

async fn run(systems: &Connectors, operation: &str, inputs: Value) -> Outcome {
    let ask = Ask {
        tenant: "default".into(),
        system: "odoo".into(),
        operation: operation.to_owned(),
        inputs: inputs.as_object().unwrap().clone(),
        deadline: Duration::from_secs(10),
        priority: Priority::Pop,
    };
    systems.run(ask).await
}

async fn by_phone(systems: &Connectors, number: &str) -> Vec<Value> {
    match run(systems, "customer.by_phone", json!({"number": number})).await {
        Outcome::Ok(Value::Array(found)) => found,
        Outcome::Empty => Vec::new(),
        other => panic!("{number}: {other:?}"),
    }
}

/// The customers' codes; of a company, which has none, the name.
fn codes(found: &[Value]) -> Vec<&str> {
    let mut codes: Vec<&str> = found.iter().map(|c| c["code"].as_str().or(c["name"].as_str()).unwrap()).collect();
    codes.sort_unstable();
    codes
}

async fn customer(systems: &Connectors, code: &str) -> Value {
    let outcome = run(systems, "customer.search", json!({"text": code})).await;
    let Outcome::Ok(Value::Array(mut found)) = outcome else { panic!("{code}: {outcome:?}") };
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// Between us and the real Odoo: counts the logins, and on demand loses the answer to a request that holds certain words.
struct Ledger {
    address: SocketAddr,
    logins: Arc<AtomicUsize>,
    asked: Arc<AtomicUsize>,
    lose: Arc<AtomicBool>,
}

impl Ledger {
    /// `lost`: the words, for example `"method":"create"`.
    async fn before_odoo(lost: &'static str) -> Self {
        let odoo = env("ODOO_URL").strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ledger = Self {
            address: listener.local_addr().unwrap(),
            logins: Arc::default(),
            asked: Arc::default(),
            lose: Arc::default(),
        };
        let (logins, asked, lose) = (ledger.logins.clone(), ledger.asked.clone(), ledger.lose.clone());
        tokio::spawn(async move {
            while let Ok((mut ours, _)) = listener.accept().await {
                let (odoo, logins, asked, lose) = (odoo.clone(), logins.clone(), asked.clone(), lose.clone());
                tokio::spawn(async move {
                    // Odoo 14 speaks HTTP/1.0: one request a connection.
                    let Some(request) = whole(&mut ours).await else { return };
                    let text = String::from_utf8_lossy(&request);
                    asked.fetch_add(1, Ordering::SeqCst);
                    logins.fetch_add(usize::from(text.contains("/web/session/authenticate")), Ordering::SeqCst);
                    let Ok(mut theirs) = TcpStream::connect(&odoo).await else { return };
                    theirs.write_all(&request).await.unwrap();
                    let mut answer = Vec::new();
                    theirs.read_to_end(&mut answer).await.unwrap();
                    if text.contains(lost) && lose.swap(false, Ordering::SeqCst) {
                        return;
                    }
                    let _ = ours.write_all(&answer).await;
                });
            }
        });
        ledger
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
    fn logins(&self) -> usize {
        self.logins.load(Ordering::SeqCst)
    }
}

async fn whole(socket: &mut TcpStream) -> Option<Vec<u8>> {
    let mut request = Vec::new();
    let mut part = [0_u8; 8192];
    loop {
        let n = socket.read(&mut part).await.ok().filter(|n| *n > 0)?;
        request.extend_from_slice(&part[..n]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, _)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|l| l.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if request.len() >= head.len() + 4 + length.unwrap_or(0) {
            return Some(request);
        }
    }
}

/// Ends every session as an administrator would: Odoo keeps each in a file.
fn end_sessions() -> usize {
    let files = std::fs::read_dir(env("ODOO_SESSIONS")).unwrap().map(|f| f.unwrap().path());
    let files: Vec<PathBuf> = files.filter(|f| f.extension().is_some_and(|e| e == "sess")).collect();
    files.iter().for_each(|f| std::fs::remove_file(f).unwrap());
    files.len()
}

fn server(verb: &str) {
    let done = Command::new(env("ODOO_SETUP")).arg(verb).env("ODOO_HOME", env("ODOO_HOME")).status().unwrap();
    assert!(done.success(), "setup.sh {verb}");
}

#[tokio::test]
async fn every_customer_is_found_in_whatever_spelling_and_nobody_else() {
    let _server = SERVER.read().await;
    let odoo = odoo();
    let wanted: [(&str, &[&str]); 22] = [
        // Two share it, one as `138 0013 8000`; the landline that ends the same and the one a digit off are not them.
        ("+8613800138000", &["C10001", "C10004"]),
        ("13800138000", &["C10001", "C10004"]),
        ("0086 138-0013-8000", &["C10001", "C10004"]),
        ("１３８００１３８０００", &["C10001", "C10004"]),
        ("+8613800138001", &["C10007"]),
        // That twin is no number of China's plan; stored and sent all the same, it is compared by its digits.
        ("057500138000", &["C10008", "绍兴文创<测试>\"部\" & 工坊"]),
        ("0575-00138000", &["C10008", "绍兴文创<测试>\"部\" & 工坊"]),
        // A switchboard is the company's and of whoever has it in their own card.
        ("+8657187654321", &["C10001", "杭州青禾贸易有限公司"]),
        ("0571 8765 4321", &["C10001", "杭州青禾贸易有限公司"]),
        ("+8613912345678", &["C10002"]),
        ("+8618600001111", &["C10003"]),
        ("18600001111", &["C10003"]),
        ("02168881234", &["C10003", "上海云帆科技有限公司"]),
        ("+8613712345678", &["C10005"]),
        ("+442079460958", &["C10006", "Harbour & Sons Ltd"]),
        // Stored in full width; stored with an extension behind it.
        ("+8613900008888", &["C10009"]),
        ("13900008888", &["C10009"]),
        ("+8615900002222", &["C10010"]),
        ("+8613800138002", &[]),
        ("+862161234567", &[]),
        ("95588", &[]),
        ("10086", &[]),
    ];
    for (number, wanted) in wanted {
        assert_eq!(codes(&by_phone(&odoo, number).await), wanted, "{number}");
    }
    let found = by_phone(&odoo, "057500138000").await;
    let person = found.iter().find(|c| c["code"] == "C10008").unwrap();
    assert_eq!((&person["company"], &person["kind"]), (&json!("绍兴文创<测试>\"部\" & 工坊"), &json!("person")));
    assert_eq!((&person["mobile"], &person["reason"]), (&Value::Null, &json!("固话")));
    // Names that would break out of a query find nobody and everybody's data stays where it is.
    for text in ["'; drop table res_partner; --", "<测试>\"部\" & ", "C1000"] {
        let outcome = run(&odoo, "customer.search", json!({"text": text})).await;
        match text {
            "<测试>\"部\" & " => {
                assert!(matches!(&outcome, Outcome::Ok(Value::Array(found)) if found.len() == 1), "{outcome:?}")
            }
            _ => assert_eq!(outcome, Outcome::Empty, "{text}"),
        }
    }
}

/// What an agent would see of this caller, with both systems up: `linecard explain` on a settings folder as a site has it.
fn card(number: &str) -> Value {
    let folder = std::env::temp_dir().join(format!("linecard-both-{}", ulid::Ulid::new()));
    let odoo = json!({"url": env("ODOO_URL"), "db": env("ODOO_DB"), "project": env("ODOO_PROJECT")});
    let values = json!({"odoo": odoo, "redmine": real_redmine::values()});
    let tokens = "{issuer: desk, keys: {hs256: {env: LINECARD_TEST_SECRET}}}";
    let trunk = "asterisk:\n  id: pbx1\n  trunks: [PJSIP/trunk]\n  ami: {host: 127.0.0.1, user: linecard, secret: {env: LINECARD_TEST_SECRET}}\n";
    for (name, text) in [
        ("linecard.yaml", format!("agents:\n  tokens: {tokens}\nconnectors: {values}\n")),
        ("switches/pbx1.yaml", trunk.to_owned()),
        ("trunks.yaml", "rows:\n  - {dialled: \"4008001234\", title: Sales}\n".to_owned()),
        ("agents.yaml", "agents:\n  - {id: \"1001\", devices: [PJSIP/1001]}\n".to_owned()),
        ("connectors/odoo.yaml", FILE.to_owned()),
        ("connectors/redmine.yaml", include_str!("../config/connectors/redmine.yaml").to_owned()),
    ] {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let output = Command::new(env!("CARGO_BIN_EXE_linecard"))
        .args(["explain", "--json", "--from", number, "--to", "4008001234", "--config"])
        .arg(&folder)
        .env("LINECARD_TEST_SECRET", "a-secret-of-at-least-thirty-two-bytes")
        .output()
        .unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let told: Value =
        serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{}", String::from_utf8_lossy(&output.stderr)));
    told["pop"]["card"].clone()
}

/// Of each person on the card the systems that know them, with the code there.
fn people(card: &Value, codes: &BTreeMap<(String, String), String>) -> Vec<BTreeMap<String, String>> {
    let of = |link: &Value| {
        let (system, id) = (link["system"].as_str().unwrap().to_owned(), link["id"].as_str().unwrap().to_owned());
        let code = codes.get(&(system.clone(), id)).unwrap_or_else(|| panic!("{link}")).clone();
        (system, code)
    };
    let candidates = card["candidates"].as_array().unwrap_or_else(|| panic!("{card:#}"));
    let also = |candidate: &Value| candidate["also"].as_array().cloned().unwrap_or_default();
    candidates
        .iter()
        .map(|c| std::iter::once(of(&c["link"])).chain(also(c).iter().map(|a| of(&a["link"]))).collect())
        .collect()
}

#[tokio::test]
async fn one_card_shows_the_two_customers_of_a_number_each_with_both_systems() {
    let _server = SERVER.read().await;
    let odoo = odoo();
    let redmine = real_redmine::redmine("REDMINE_KEY");
    let mut codes = BTreeMap::new();
    for number in ["13800138000", "13912345678"] {
        for (system, found) in
            [("odoo", by_phone(&odoo, number).await), ("redmine", real_redmine::by_phone(&redmine, number).await)]
        {
            for one in found {
                let text = |key: &str| one[key].as_str().unwrap().to_owned();
                codes.insert((system.to_owned(), text("id")), text("code"));
            }
        }
    }
    let both = |code: &str| BTreeMap::from(["odoo", "redmine"].map(|system| (system.to_owned(), code.to_owned())));
    for number in ["13800138000", "+8613800138000", "0086 138 0013 8000"] {
        let card = card(number);
        assert_eq!(card["answer"]["state"], "ambiguous", "{card:#}");
        let mut people = people(&card, &codes);
        people.sort();
        assert_eq!(people, [both("C10001"), both("C10004")], "{number}");
    }
    // One customer: the facts of both systems on one card.
    let card = card("13912345678");
    assert_eq!(card["answer"]["state"], "found", "{card:#}");
    assert_eq!(people(&card, &codes), [both("C10002")]);
    let block = |system: &str, kind: &str| {
        let found = card["blocks"].as_array().unwrap().iter().find(|b| b["system"] == system && b["kind"] == kind);
        found.unwrap_or_else(|| panic!("{system} {kind}: {card:#}")).clone()
    };
    assert_eq!(block("odoo", "finance")["body"]["credit"], "8000.0");
    assert_eq!(block("odoo", "loyalty")["body"], json!({"tier": "银卡", "points": 3200}));
    assert_eq!(block("odoo", "orders")["body"][0]["what"], "SO-2025-0004");
    assert_eq!(block("redmine", "orders")["body"][0]["no"], "SO-2025-0004");
}

#[tokio::test]
async fn facts_are_the_companys_or_the_persons_and_money_is_exact() {
    let _server = SERVER.read().await;
    let odoo = odoo();
    let by_code = |code: &'static str| customer(&odoo, code);
    let c10001 = by_code("C10001").await;
    let finance = |customer: &Value| run(&odoo, "finance", json!({"customer": customer}));
    assert_eq!(
        finance(&c10001).await,
        Outcome::Ok(
            json!({"account": "杭州青禾贸易有限公司", "credit": "50000.0", "balance": "12800.5", "currency": "CNY"})
        )
    );
    // Nobody's company: their own.
    assert_eq!(
        finance(&by_code("C10005").await).await,
        Outcome::Ok(json!({"account": "陈静", "credit": "2000.0", "balance": "199.9", "currency": "CNY"}))
    );
    let loyalty = run(&odoo, "loyalty", json!({"customer": c10001})).await;
    assert_eq!(loyalty, Outcome::Ok(json!({"tier": "金卡", "points": 12850})));
    let outcome = run(&odoo, "orders", json!({"customer": c10001})).await;
    let Outcome::Ok(Value::Array(orders)) = outcome else { panic!("{outcome:?}") };
    let orders: Vec<_> =
        orders.iter().map(|o| ["what", "amount", "state", "at"].map(|f| o[f].as_str().unwrap_or_default())).collect();
    assert_eq!(
        orders,
        [
            ["SO-2025-0003", "3500.5", "报价单", "2025-05-20T02:00:00Z"],
            ["SO-2025-0002", "2500.0", "已确认", "2025-04-11T02:00:00Z"],
            ["SO-2025-0001", "6800.0", "已确认", "2025-03-02T02:00:00Z"],
        ]
    );
    // The company's are those of its people too.
    let company = by_phone(&odoo, "057187654321").await.into_iter().find(|c| c["kind"] == "company").unwrap();
    let outcome = run(&odoo, "orders", json!({"customer": company})).await;
    assert!(matches!(&outcome, Outcome::Ok(Value::Array(all)) if all.len() == 3), "{outcome:?}");
    assert_eq!(run(&odoo, "orders", json!({"customer": by_code("C10009").await})).await, Outcome::Empty);
    let c10003 = by_code("C10003").await;
    let outcome = run(&odoo, "tickets.open", json!({"customer": c10003})).await;
    let Outcome::Ok(Value::Array(tickets)) = outcome else { panic!("{outcome:?}") };
    assert!(
        tickets.iter().any(|t| t["subject"] == "申请提高信用额度" && t["state"] == "待处理" && t["priority"] == "普通"),
        "{tickets:?}"
    );
    // The one that is closed is not there.
    let outcome = run(&odoo, "tickets.open", json!({"customer": c10001})).await;
    let Outcome::Ok(Value::Array(tickets)) = outcome else { panic!("{outcome:?}") };
    let subjects: Vec<&str> = tickets.iter().filter_map(|t| t["subject"].as_str()).collect();
    assert!(subjects.contains(&"扫码枪无法充电") && !subjects.contains(&"发票抬头更正"), "{subjects:?}");
    assert!(tickets[0]["url"].as_str().unwrap().contains("model=project.task"));
    let outcome = run(&odoo, "customer.get", json!({"customer": c10001})).await;
    let Outcome::Ok(got) = &outcome else { panic!("{outcome:?}") };
    assert_eq!((&got["code"], &got["company"]), (&json!("C10001"), &json!("杭州青禾贸易有限公司")));
    assert_eq!(run(&odoo, "customer.get", json!({"customer": {"id": "999999"}})).await, Outcome::NotFound);
}

#[tokio::test]
async fn a_ticket_is_made_once_and_a_note_added_once_even_if_the_answer_is_lost() {
    let _server = SERVER.read().await;
    let ledger = Ledger::before_odoo("\"method\":\"create\"").await;
    let odoo = Connectors::new(Set::new(vec![system("ODOO_USER", "ODOO_PASSWORD", &ledger.url())]));
    let lookup = Idempotency::Lookup("ticket.find".to_owned());
    assert_eq!(odoo.idempotency(&"odoo".into(), "ticket.create"), lookup);
    let customer = by_phone(&odoo, "+8613912345678").await.remove(0);
    let call = ulid::Ulid::new().to_string();
    let create = json!({"call": call, "key": "k", "title": "来电咨询 <测试> & 引号\"", "text": "客户 <来电>。\n第二行", "customer": customer, "priority": "high"});
    let find = json!({"call": call});
    assert_eq!(run(&odoo, "ticket.find", find.clone()).await, Outcome::Empty);
    // It is committed over there, and we never hear of it.
    ledger.lose.store(true, Ordering::SeqCst);
    let outcome = run(&odoo, "ticket.create", create.clone()).await;
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    assert!(!ledger.lose.load(Ordering::SeqCst), "the answer was not lost");
    let Outcome::Ok(first) = run(&odoo, "ticket.create", create.clone()).await else { panic!("not found") };
    let Outcome::Ok(second) = run(&odoo, "ticket.create", create).await else { panic!("not found again") };
    assert_eq!(first, second);
    // `one: true`: twice would be ambiguous.
    assert_eq!(run(&odoo, "ticket.find", find).await, Outcome::Ok(first.clone()));
    let outcome = run(&odoo, "tickets.open", json!({"customer": customer})).await;
    let Outcome::Ok(Value::Array(open)) = outcome else { panic!("{outcome:?}") };
    let ticket = open.iter().find(|t| t["id"] == first["id"]).unwrap();
    assert_eq!((&ticket["subject"], &ticket["priority"]), (&json!("来电咨询 <测试> & 引号\""), &json!("高")));

    for target in [first, json!({"type": "customer", "id": customer["id"]})] {
        let key = format!("{call}/note/{}", target["type"].as_str().unwrap());
        let note = json!({"call": call, "key": key, "target": target, "text": "通话 3 分 12 秒，<b>客户</b> 要求回电。\n& 再见"});
        let find = json!({"key": key, "target": target});
        assert_eq!(run(&odoo, "note.find", find.clone()).await, Outcome::Empty);
        for _ in 0..2 {
            let outcome = run(&odoo, "note.add", note.clone()).await;
            assert!(matches!(outcome, Outcome::Ok(_)), "{outcome:?}");
        }
        let outcome = run(&odoo, "note.find", find).await;
        assert!(matches!(outcome, Outcome::Ok(_)), "{outcome:?}");
    }
    let nowhere = json!({"call": call, "key": "k", "target": {"type": "ticket", "id": "999999"}, "text": "x"});
    assert_eq!(run(&odoo, "note.add", nowhere).await, Outcome::NotFound);
    let strange = json!({"call": ulid::Ulid::new().to_string(), "key": "k", "title": "x", "text": "x", "customer": {"id": "999999"}});
    let outcome = run(&odoo, "ticket.create", strange).await;
    assert!(matches!(outcome, Outcome::Invalid { .. }), "{outcome:?}");
    assert_eq!(ledger.logins(), 1);
}

#[tokio::test]
async fn a_closed_ticket_is_found_opened_again_once_given_to_somebody_and_made_urgent() {
    let _server = SERVER.read().await;
    let ledger = Ledger::before_odoo("message_post").await;
    let odoo = Connectors::new(Set::new(vec![system("ODOO_USER", "ODOO_PASSWORD", &ledger.url())]));
    let customer = customer(&odoo, "C10005").await;
    let call = ulid::Ulid::new().to_string();
    let about = |key: &str, more: Value| {
        let mut inputs =
            json!({"call": call, "key": format!("{call}/{key}"), "customer": customer, "text": "又来电了 <急>。"});
        inputs.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        inputs
    };
    let title = format!("漏接 {call}");
    let Outcome::Ok(ticket) = run(&odoo, "ticket.create", about("t", json!({"title": title}))).await else {
        panic!("not made")
    };
    let since = linecard::live::now().wall.plus_ms(-3 * 86_400_000).to_string();
    let listed = async |operation: &str, text: &Value| {
        let outcome = run(&odoo, operation, json!({"customer": customer, "since": since, "text": text})).await;
        let Outcome::Ok(Value::Array(list)) = outcome else { return Vec::new() };
        list.into_iter().filter(|t| t["id"] == ticket["id"]).collect()
    };
    assert_eq!(listed("tickets.open", &json!("")).await.len(), 1);
    assert_eq!(listed("ticket.search", &json!(title)).await.len(), 1);
    assert_eq!(listed("ticket.search", &ticket["id"]).await.len(), 1);
    // The same file the other way round closes it.
    let closing = FILE.replace(r#"[is_closed, "=", false]"#, r#"[is_closed, "=", true]"#);
    assert_ne!(closing, FILE);
    let closing = system_of(&closing, "ODOO_USER", "ODOO_PASSWORD", &env("ODOO_URL"));
    let closing = Connectors::new(Set::new(vec![closing]));
    let outcome = run(&closing, "ticket.reopen", about("close", json!({"target": ticket}))).await;
    assert!(matches!(outcome, Outcome::Ok(_)), "{outcome:?}");
    assert_eq!(listed("tickets.open", &json!("")).await.len(), 0);
    let closed = listed("tickets.closed", &json!("")).await;
    assert_eq!(closed.len(), 1);
    let rule: linecard::records::instead::Instead = serde_json::from_value(json!({"reopen": {"days": 3}})).unwrap();
    assert_eq!(rule.closed(linecard::live::now().wall, &closed, &serde_json::Map::new()), closed.first(), "{closed:?}");

    // It is opened again and told so, and we never hear of it; the next try looks first.
    let again = about("again", json!({"target": ticket}));
    ledger.lose.store(true, Ordering::SeqCst);
    let outcome = run(&odoo, "ticket.reopen", again.clone()).await;
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    let outcome = run(&odoo, "ticket.reopen", again).await;
    assert!(matches!(outcome, Outcome::Ok(_)), "{outcome:?}");
    assert_eq!(listed("tickets.open", &json!("")).await.len(), 1);
    let Outcome::Ok(me) = run(&odoo, "check", json!({})).await else { panic!("who am I?") };
    let outcome =
        run(&odoo, "ticket.assign", about("mine", json!({"target": ticket, "to": me["id"].to_string()}))).await;
    assert!(matches!(outcome, Outcome::Ok(_)), "{outcome:?}");
    for _ in 0..2 {
        let urgent = about("urgent", json!({"target": ticket, "priority": "high"}));
        let outcome = run(&odoo, "ticket.escalate", urgent).await;
        assert!(matches!(outcome, Outcome::Ok(_)), "{outcome:?}");
    }
    assert_eq!(listed("tickets.open", &json!("")).await[0]["priority"], "高");
    // `keep:` and `one: true`: twice would be ambiguous.
    for key in ["again", "urgent"] {
        let outcome = run(&odoo, "note.find", about(key, json!({"target": ticket}))).await;
        assert!(matches!(outcome, Outcome::Ok(_)), "{key}: {outcome:?}");
    }
    let nowhere = run(&odoo, "ticket.assign", about("x", json!({"target": {"id": "999999"}, "to": "1"}))).await;
    assert!(!matches!(nowhere, Outcome::Ok(_) | Outcome::Unknown { .. }), "{nowhere:?}");
}

#[tokio::test]
async fn an_unknown_number_makes_a_customer_once_and_is_put_to_one_where_there_is_room() {
    let _server = SERVER.read().await;
    let ledger = Ledger::before_odoo("\"method\":\"create\"").await;
    let odoo = Connectors::new(Set::new(vec![system("ODOO_USER", "ODOO_PASSWORD", &ledger.url())]));
    let call = ulid::Ulid::new();
    // This server may have seen an earlier run: the numbers are this one's own.
    let own = call.0 % 10_000;
    let (mobile, landline, third) =
        (format!("+86137001{own:05}"), format!("+86216124{own:04}"), format!("+86137002{own:05}"));
    let call = call.to_string();
    let create =
        json!({"call": call, "key": "k", "number": mobile, "name": "新客户 <临时> & \"引号\"", "company": "杭州青禾"});
    // It is committed over there, and we never hear of it; the next try looks first.
    ledger.lose.store(true, Ordering::SeqCst);
    let outcome = run(&odoo, "customer.create", create.clone()).await;
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    for _ in 0..2 {
        let outcome = run(&odoo, "customer.create", create.clone()).await;
        assert!(matches!(&outcome, Outcome::Ok(Value::Array(found)) if found.len() == 1), "{outcome:?}");
    }
    let made = by_phone(&odoo, &mobile).await;
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!(made[0]["name"], "新客户 <临时> & \"引号\"");
    let attach = |number: &str| json!({"call": call, "key": "k", "number": number, "customer": made[0]});
    for _ in 0..2 {
        let outcome = run(&odoo, "customer.attach", attach(&landline)).await;
        assert!(matches!(&outcome, Outcome::Ok(to) if to["id"] == made[0]["id"]), "{outcome:?}");
    }
    assert_eq!(by_phone(&odoo, &landline).await.len(), 1);
    // Both fields are filled: nothing is written over.
    let outcome = run(&odoo, "customer.attach", attach(&third)).await;
    assert!(matches!(outcome, Outcome::Invalid { .. }), "{outcome:?}");
    assert_eq!(by_phone(&odoo, &mobile).await.len(), 1);
    let nobody = json!({"call": call, "key": "k", "number": third, "customer": {"id": "999999"}});
    assert_eq!(run(&odoo, "customer.attach", nobody).await, Outcome::NotFound);

    // What is known of the customer is changed, and nothing besides.
    let change =
        |id: &Value, fields: Value| json!({"call": call, "key": "k", "customer": {"id": id}, "fields": fields});
    let fields = json!({"email": "new@mail.example", "name": "改名 <b>&", "landline": ""});
    for _ in 0..2 {
        let outcome = run(&odoo, "customer.update", change(&made[0]["id"], fields.clone())).await;
        assert!(matches!(outcome, Outcome::Ok(_)), "{outcome:?}");
    }
    let Outcome::Ok(now) = run(&odoo, "customer.get", json!({"customer": made[0]})).await else { panic!("not there") };
    assert_eq!((&now["email"], &now["name"], &now["landline"]), (&fields["email"], &fields["name"], &Value::Null));
    assert_eq!(now["mobile"], mobile);
    let nobody = run(&odoo, "customer.update", change(&json!("999999"), fields)).await;
    assert!(!matches!(nobody, Outcome::Ok(_) | Outcome::Unknown { .. }), "{nobody:?}");
}

/// The file with its index switched on, as the comment in it says, but for the times; a page holds three.
#[tokio::test]
async fn by_the_index_everybody_is_found_in_any_spelling_and_who_is_new_after_the_next_walk() {
    let _server = SERVER.read().await;
    let off = "# index: {every_s: 300, full_every_s: 86400}";
    assert!(FILE.contains(off) && FILE.contains("size: 500"));
    let file =
        FILE.replace(off, "index: {every_s: 10, full_every_s: 86400, search: missed}").replace("size: 500", "size: 3");
    let odoo = Connectors::new(Set::new(vec![system_of(&file, "ODOO_USER", "ODOO_PASSWORD", &env("ODOO_URL"))]));
    let folder = std::env::temp_dir().join(format!("linecard-odoo-{}", std::process::id()));
    let keeper = tokio::spawn(keep(odoo.clone(), folder.clone()));
    let status = real_redmine::until(&odoo, "the first walk", |s| s.holds.is_some()).await;
    assert!(status.holds.unwrap().customers >= 10, "{status}");
    for (wanted, spellings) in [
        (
            &["C10001", "C10004"][..],
            &["13800138000", "+8613800138000", "１３８００１３８０００", "17909013800138000"][..],
        ),
        (&["C10002"], &["13912345678", "008613912345678"]),
        (&["C10006", "Harbour & Sons Ltd"], &["+442079460958", "0044 20 7946 0958"]),
        (&["C10009"], &["13900008888", "139-0000-8888"]),
        (&["C10010"], &["15900002222", "tel:+8615900002222;ext=806"]),
        (&[], &["13800138002", "02161234567", "95588"]),
    ] {
        for spelling in spellings {
            assert_eq!(codes(&by_phone(&odoo, spelling).await), wanted, "{spelling}");
        }
    }
    // What the search gives and what the index gives is the same record.
    assert_eq!(by_phone(&odoo, "13912345678").await, by_phone(&self::odoo(), "13912345678").await);
    let call = ulid::Ulid::new();
    let number = format!("+86137003{:05}", call.0 % 100_000);
    let before = odoo.indexes()[0].known_at;
    let create = json!({"call": call.to_string(), "key": "k", "number": number, "name": "新客户"});
    assert!(matches!(run(&odoo, "customer.create", create).await, Outcome::Ok(_)));
    real_redmine::until(&odoo, "who is new", |s| s.known_at > before).await;
    assert_eq!(by_phone(&odoo, &number).await.len(), 1);
    keeper.abort();
    let _ = std::fs::remove_dir_all(folder);
}

#[tokio::test]
async fn a_session_that_odoo_ended_is_opened_once_more_for_everybody() {
    let _server = SERVER.write().await;
    let ledger = Ledger::before_odoo("never").await;
    let odoo = Connectors::new(Set::new(vec![system("ODOO_USER", "ODOO_PASSWORD", &ledger.url())]));
    for logins in 1..=3 {
        let asks = (0..6).map(|_| run(&odoo, "customer.by_phone", json!({"number": "13800138000"})));
        for outcome in futures_util::future::join_all(asks).await {
            let Outcome::Ok(Value::Array(found)) = outcome else { panic!("{logins}: {outcome:?}") };
            assert_eq!(codes(&found), ["C10001", "C10004"]);
        }
        assert_eq!(ledger.logins(), logins);
        assert!(end_sessions() > 0);
    }
    // In the middle of a write, too: the lookup is answered with a session that the write no longer finds.
    let call = ulid::Ulid::new().to_string();
    let create = json!({"call": call, "key": "k", "title": "会话过期", "text": "x"});
    let Outcome::Ok(made) = run(&odoo, "ticket.create", create).await else { panic!("not made") };
    assert_eq!(run(&odoo, "ticket.find", json!({"call": call})).await, Outcome::Ok(made));
    assert_eq!(ledger.logins(), 4);
}

#[tokio::test]
async fn a_wrong_password_is_denied_and_tried_once() {
    let _server = SERVER.read().await;
    let ledger = Ledger::before_odoo("never").await;
    let set = || Set::new(vec![system("ODOO_USER", "ODOO_WRONG_PASSWORD", &ledger.url())]);
    let odoo = Connectors::new(set());
    for operation in ["check", "customer.by_phone", "finance", "ticket.find", "customer.by_phone"] {
        let inputs = json!({"number": "13800138000", "customer": {"id": "8"}, "call": "c"});
        let asks = (0..10).map(|_| run(&odoo, operation, inputs.clone()));
        for outcome in futures_util::future::join_all(asks).await {
            let told = |reason: &str| reason.starts_with("odoo refuses the user or the password");
            assert!(matches!(&outcome, Outcome::Denied { reason } if told(reason)), "{operation}: {outcome:?}");
        }
        odoo.swap(set());
    }
    assert_eq!((ledger.logins(), ledger.asked.load(Ordering::SeqCst)), (1, 1));
}

#[tokio::test]
async fn who_may_not_look_is_told_and_never_nobody() {
    let _server = SERVER.read().await;
    let good = odoo();
    let outcome = run(&good, "check", json!({})).await;
    assert!(
        matches!(&outcome, Outcome::Ok(who) if who["user"] == "linecard" && who["version"] == "14.0"),
        "{outcome:?}"
    );
    let limited =
        Connectors::new(Set::new(vec![system("ODOO_LIMITED_USER", "ODOO_LIMITED_PASSWORD", &env("ODOO_URL"))]));
    let c10001 = customer(&good, "C10001").await;
    let call = ulid::Ulid::new().to_string();
    for (operation, inputs) in [
        ("finance", json!({"customer": c10001})),
        ("orders", json!({"customer": c10001})),
        ("ticket.create", json!({"call": call, "key": "k", "title": "x", "text": "x"})),
    ] {
        let outcome = run(&limited, operation, inputs).await;
        assert!(matches!(outcome, Outcome::Denied { .. }), "{operation}: {outcome:?}");
    }
    assert_eq!(run(&good, "ticket.find", json!({"call": call})).await, Outcome::Empty);
    // Somebody from outside is let in, and sees nobody but itself: HTTP 200, an empty list.
    let portal = Connectors::new(Set::new(vec![system("ODOO_PORTAL_USER", "ODOO_PORTAL_PASSWORD", &env("ODOO_URL"))]));
    for _ in 0..2 {
        let outcome = run(&portal, "customer.by_phone", json!({"number": "13800138000"})).await;
        assert!(matches!(&outcome, Outcome::Denied { reason } if reason.contains("no internal user")), "{outcome:?}");
    }
}

#[tokio::test]
async fn an_odoo_that_is_stopped_is_unavailable_and_then_back() {
    let _server = SERVER.write().await;
    let odoo = odoo();
    assert_eq!(by_phone(&odoo, "13800138000").await.len(), 2);
    server("down");
    let write = json!({"call": ulid::Ulid::new().to_string(), "key": "k", "title": "x", "text": "x"});
    for _ in 0..3 {
        let outcome = run(&odoo, "customer.by_phone", json!({"number": "13800138000"})).await;
        assert!(matches!(outcome, Outcome::Busy { .. }), "{outcome:?}");
        let outcome = run(&odoo, "ticket.create", write.clone()).await;
        assert!(matches!(outcome, Outcome::Busy { .. }), "{outcome:?}");
    }
    // Who comes for the first time finds no door, which is no refusal.
    let late = self::odoo();
    let outcome = run(&late, "check", json!({})).await;
    assert!(matches!(outcome, Outcome::Busy { .. }), "{outcome:?}");
    server("up");
    assert_eq!(codes(&by_phone(&odoo, "13800138000").await), ["C10001", "C10004"]);
    assert!(matches!(run(&late, "check", json!({})).await, Outcome::Ok(_)));
}

/// Odoo as programs ask it, without a session: the password goes with each call. `COMMON` and `OBJECT` are its two services, by either protocol.
const RPC: &str = r#"
connector: odoo
schema: 1
variables:
  url: {text: ""}
  db: {text: ""}
  user: {text: ""}
  project: {text: ""}
  password: {secret: {env: ODOO_PASSWORD}}
base_url: "{{ url }}"
auth: {key: {secret: password, body: PLACE}}
operations:
  check:
    steps:
      - &who
        name: who
        COMMON ["{{ db }}", "{{ user }}", "", {}] END
        outcome:
          - {status: [200], when: body.result == false, is: denied, reason: odoo refuses the user or the password}
          - {status: [200], is: ok}
        save: {uid: body.result}
    output: {id: uid}
  customer.search:
    steps:
      - *who
      - name: by code
        OBJECT ["{{ db }}", "{{ uid }}", "", res.partner, search_read, [[[ref, "=", "{{ text }}"]]], {fields: [ref, name, mobile, credit, active, parent_id, category_id], limit: 5}] END
        outcome: [{status: [200], is: ok}]
        records: body.result
    fields: {id: record.id | string, code: record.ref, name: record.name, credit: record.credit | money, active: record.active, parent: record.parent_id, tags: record.category_id}
  orders:
    steps:
      - *who
      - name: a field that there is not
        OBJECT ["{{ db }}", "{{ uid }}", "", res.partner, search_read, [[]], {fields: [nothing_of_this_name], limit: 1}] END
        outcome:
          - {when: body.fault.code == 1, is: invalid, reason: odoo does not know the field}
          - {when: body.error.code == 200, is: invalid, reason: odoo does not know the field}
          - {status: [200], is: ok}
    fields: {no: record}
  finance:
    steps:
      - *who
      - name: invoices
        OBJECT ["{{ db }}", "{{ uid }}", "", account.move, search_count, [[]]] END
        outcome:
          - {when: body.fault.code == 4, is: denied}
          - {when: body.error.data.name == 'odoo.exceptions.AccessError', is: denied}
          - {status: [200], is: ok}
    output: {invoices: body.result}
  ticket.find:
    one: true
    steps:
      - *who
      - name: find
        OBJECT ["{{ db }}", "{{ uid }}", "", project.task, search_read, [[[x_call_id, "=", "{{ call }}"]]], {fields: [x_call_id, name]}] END
        outcome: [{status: [200], is: ok}]
        records: body.result
    keep: record.x_call_id == call
    fields: {id: record.id, name: record.name}
  ticket.create:
    idempotent: {lookup: ticket.find}
    steps:
      - *who
      - name: make
        OBJECT ["{{ db }}", "{{ uid }}", "", project.task, create, [{name: "{{ title }}", x_call_id: "{{ call }}", project_id: "{{ project | int }}"}]] END
        outcome: [{status: [200], is: ok}]
    output: {id: body.result, name: title}
"#;

fn rpc(json: bool, user: &str, password: &str) -> Connectors {
    Connectors::new(Set::new(vec![system_of(&rpc_file(json), user, password, &env("ODOO_URL"))]))
}

fn rpc_file(json: bool) -> String {
    let (place, common, object, end) = match json {
        false => (
            "/params/2",
            "path: /xmlrpc/2/common\n        body: {xmlrpc: {method: authenticate, params:",
            "path: /xmlrpc/2/object\n        body: {xmlrpc: {method: execute_kw, params:",
            "}}",
        ),
        true => (
            "/params/args/2",
            "path: /jsonrpc\n        body: {jsonrpc: {method: call, params: {service: common, method: authenticate, args:",
            "path: /jsonrpc\n        body: {jsonrpc: {method: call, params: {service: object, method: execute_kw, args:",
            "}}}",
        ),
    };
    RPC.replace("PLACE", place).replace("COMMON", common).replace("OBJECT", object).replace(" END", end)
}

/// Odoo by XML-RPC, and the same by JSON-RPC beside it.
fn both(beside: &str, change: impl Fn(String) -> String) -> Connectors {
    let next = rpc_file(true).replace("connector: odoo\n", &format!("connector: odoo-json\n{beside}\n"));
    let systems = [rpc_file(false), change(next)];
    let systems = systems.map(|file| system_of(&file, "ODOO_USER", "ODOO_PASSWORD", &env("ODOO_URL")));
    Connectors::new(Set::new(systems.into()))
}

#[tokio::test]
async fn a_shadow_of_odoo_by_another_protocol_differs_only_where_it_does() {
    let _server = SERVER.read().await;
    let folder = std::env::temp_dir().join(format!("linecard-odoo-{:032x}", rand::random::<u128>()));
    let codes = ["C10001", "C10002", "C10003"];
    let compared = async |systems: Connectors| {
        for code in codes {
            let inputs = json!({ "text": code });
            let outcome = run(&systems, "customer.search", inputs.clone()).await;
            assert!(matches!(outcome, Outcome::Ok(_)), "{outcome:?}");
            let inputs = inputs.as_object().unwrap().clone();
            let (system, operation) = ("odoo-json".into(), "customer.search".to_owned());
            let (deadline, priority) = (Duration::from_secs(10), Priority::Pop);
            let ask = Ask { tenant: "default".into(), system, operation, inputs, deadline, priority };
            systems.shadow(ask, outcome);
        }
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        for _ in 0..1_500 {
            tick.tick().await;
            beside::live::look(&systems, &folder).await;
            let kept = beside::live::comparison(&folder, &"odoo-json".into()).unwrap_or_default();
            if kept.operations.get("customer.search").is_some_and(|all| all.asked == 3) {
                return kept;
            }
        }
        panic!("{:?}", beside::live::comparison(&folder, &"odoo-json".into()));
    };
    let shadow = "shadow: {of: odoo, percent: 100}";
    // Money is a double in the one and a number in the other: another spelling is no other amount.
    let kept = compared(both(shadow, |file| file)).await;
    assert_eq!(kept.operations["customer.search"].unanswered, 0, "{kept:?}");
    let other = kept.differences.iter().find(|d| d.field != "[].credit" || !d.how.contains("written otherwise"));
    assert_eq!(other, None);
    // A field that the new file takes from the wrong place is found, and nobody's name is told.
    let kept =
        compared(both(shadow, |file| file.replace("name: record.name, credit", "name: record.ref, credit"))).await;
    let found = kept.differences.iter().find(|d| d.field == "[].name").unwrap();
    assert_eq!((found.how.as_str(), found.times), ("another text", 3));
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn what_a_canary_wrote_at_odoo_the_other_file_finds() {
    let _server = SERVER.read().await;
    let systems = both("canary: {of: odoo, percent: 100}", |file| file);
    assert_eq!(systems.systems(), ["odoo".into()]);
    let call = ulid::Ulid::new().to_string();
    let inputs = json!({"call": call, "key": "k", "title": "两个版本", "text": "x"}).as_object().unwrap().clone();
    let ask = |system: &str| Ask {
        tenant: "default".into(),
        system: system.into(),
        operation: "ticket.create".to_owned(),
        inputs: inputs.clone(),
        deadline: Duration::from_secs(10),
        priority: Priority::Background,
    };
    let Outcome::Ok(made) = systems.run(ask("odoo-json")).await else { panic!("not made") };
    for system in ["odoo", "odoo-json", "odoo"] {
        let again = systems.run(ask(system)).await;
        assert!(matches!(&again, Outcome::Ok(ticket) if ticket["id"] == made["id"]), "{system}: {again:?}");
    }
}

#[tokio::test]
async fn odoo_says_which_version_it_is_and_another_one_is_a_drift() {
    let _server = SERVER.read().await;
    for (text, drift) in [
        (FILE.to_owned(), None),
        (FILE.replace("{from: \"14.0\", to: \"14.0\"}", "{from: \"15.0\", to: \"18.0\"}"), Some("15.0 to 18.0")),
    ] {
        let odoo = system_of(&text, "ODOO_USER", "ODOO_PASSWORD", &env("ODOO_URL"));
        let systems = Connectors::new(Set::new(vec![odoo]));
        connectors::version::live::look(&systems).await;
        let shown = &systems.standing()[0].version;
        assert!(shown.told.as_ref().is_some_and(|(version, _)| version.starts_with("14.0")), "{shown:?}");
        let told = shown.drift.as_deref();
        assert!(told.is_some() == drift.is_some() && told.is_none_or(|told| told.contains(drift.unwrap())), "{told:?}");
    }
}

#[tokio::test]
async fn odoo_is_asked_and_told_by_xml_rpc_and_by_json_rpc_alike() {
    let _server = SERVER.read().await;
    let both = [rpc(false, "ODOO_USER", "ODOO_PASSWORD"), rpc(true, "ODOO_USER", "ODOO_PASSWORD")];
    let mut found = Vec::new();
    for odoo in &both {
        assert!(matches!(run(odoo, "check", json!({})).await, Outcome::Ok(who) if who["id"].is_i64()));
        let c10001 = customer(odoo, "C10001").await;
        assert_eq!((&c10001["active"], c10001["tags"].is_array()), (&json!(true), true));
        found.push(c10001);
        // What it does not know, it says by a fault with status 200.
        let outcome = run(odoo, "orders", json!({"customer": {"id": 1}})).await;
        assert_eq!(outcome, Outcome::Invalid { reason: "odoo does not know the field".to_owned() });
    }
    // Money is a double in the one and a number in the other: the digits may differ, the amount not.
    let credit = |customer: &Value| customer["credit"].as_str().unwrap().parse::<f64>().unwrap();
    assert!((credit(&found[0]) - credit(&found[1])).abs() < 0.001, "{found:?}");
    for key in ["id", "code", "name", "parent"] {
        assert_eq!(found[0][key], found[1][key], "{key}");
    }
    // What the one wrote the other finds, and writes no second.
    let call = ulid::Ulid::new().to_string();
    let title = "漏接 <临时> & \"引号\" \u{20BB7}\r\n第二行";
    let create = json!({"call": call, "key": "k", "title": title, "text": "x"});
    let Outcome::Ok(made) = run(&both[0], "ticket.create", create.clone()).await else { panic!("not made") };
    assert!(made["id"].is_i64(), "{made}");
    for odoo in &both {
        let again = run(odoo, "ticket.create", create.clone()).await;
        assert!(matches!(&again, Outcome::Ok(ticket) if ticket["id"] == made["id"]), "{again:?}");
    }
    let outcome = run(&both[1], "ticket.find", json!({"call": call})).await;
    assert!(
        matches!(&outcome, Outcome::Ok(ticket) if ticket["name"].as_str().unwrap().starts_with("漏接 <临时> & \"引号\" \u{20BB7}")),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn by_rpc_too_a_refusal_is_denied() {
    let _server = SERVER.read().await;
    for json in [false, true] {
        let outcome = run(&rpc(json, "ODOO_USER", "ODOO_WRONG_PASSWORD"), "check", json!({})).await;
        assert_eq!(outcome, Outcome::Denied { reason: "odoo refuses the user or the password".to_owned() });
        let limited = rpc(json, "ODOO_LIMITED_USER", "ODOO_LIMITED_PASSWORD");
        let outcome = run(&limited, "finance", json!({"customer": {"id": 1}})).await;
        assert!(matches!(outcome, Outcome::Denied { .. }), "{outcome:?}");
    }
}
