//! Flows in the whole daemon: a refund that is seen, agreed to, done or taken back; and five thousand of them against a bank that acts and then
//! loses every tenth answer, with SIGKILLs in between. The bank's own ledger, which lives in this process and was never killed, judges.
//!
//! `cargo test` plays 600 refunds; `LINECARD_REFUNDS=5000` is the full form.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use linecard::{
    daemon::demo::story::Story,
    flows::{Run, Said, Settings, Word, machine::Mark, word::Settled},
    live,
    store::{self, AuditRow, FlowFilter, FlowRow, Reader},
};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{agents::desk::Screen, daemon::Desk, who};

const PROGRAM: &str = env!("CARGO_BIN_EXE_linecard");
pub const QUICK: &str = "\nflows: {deadline_ms: 2000, quiet_ms: 300, backoff_ms: 20, backoff_cap_ms: 200}\n";

pub fn configure(desk: &Desk, more: &str) {
    let file = desk.stage.settings().join("linecard.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(file, text + more).unwrap();
}

fn reader(desk: &Desk) -> Reader {
    let path = desk.folder.join("store/linecard.db");
    Reader::open(&store::Settings { path, ..store::Settings::default() }).unwrap()
}

async fn with_role(desk: &Desk, agent: &str, role: &str) -> Screen {
    let words = ["token", "--agent", agent, "--ttl", "1h", "--roles", role];
    let token = desk.stage.verb(Path::new(PROGRAM), &words).unwrap();
    who::screen_with(desk, token.trim()).await
}

/// The next `flow.changed` that is so; what came on the way is in `seen`.
async fn flow(screen: &mut Screen, so: impl Fn(&Value) -> bool) -> Value {
    loop {
        let frame = screen.next_of("flow.changed").await;
        if so(&frame) {
            return frame;
        }
    }
}

fn states(frame: &Value) -> BTreeMap<&str, &str> {
    let steps = frame["steps"].as_array().unwrap().iter();
    steps.map(|step| (step["step"].as_str().unwrap(), step["state"].as_str().unwrap())).collect()
}

fn what(desk: &Desk) -> Vec<&'static str> {
    let mut all = desk.hosts.tickets.ledger();
    all.extend(desk.hosts.orders.ledger());
    all.sort_by_key(|w| w.at);
    all.iter().map(|w| w.what).filter(|what| !["customer", "phone"].contains(what)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_is_begun_on_a_call_agreed_to_by_another_done_once_and_taken_back_when_it_fails() {
    let mut desk = Desk::set(1.0).await;
    desk.stage.write("rules.yaml", "rules: []\n").unwrap();
    configure(&desk, QUICK);
    desk.start(None).await;
    desk.until("the daemon is logged in", |desk| desk.pbx.logged_in() > 0).await;
    let mut agent = who::screen(&desk, "1001").await;
    let mut boss = with_role(&desk, "1003", "supervisor").await;

    // What may be begun, and what it must be told.
    agent.say(json!({"type": "flow.list", "id": "l"})).await;
    let flows = agent.next_of("done").await["flows"].clone();
    let inputs: Vec<_> =
        flows["offers"][1]["inputs"].as_array().unwrap().iter().map(|i| i["name"].as_str().unwrap()).collect();
    assert_eq!(
        (flows["offers"].as_array().unwrap().len(), &flows["offers"][1]["name"], inputs),
        (2, &json!("refund"), vec!["amount", "order", "reason"])
    );
    boss.say(json!({"type": "flow.list", "id": "l"})).await;
    boss.next_of("done").await;

    desk.pbx.play(Story::Answered, "13800138000", Some(0));
    let pop = loop {
        let frame = agent.next().await;
        let found = frame["card"]["answer"]["state"] == "found"
            && frame["card"]["blocks"].as_array().unwrap().iter().all(|b| b["state"] != "pending");
        if found {
            break frame;
        }
    };
    let call = pop["call"].clone();
    let start = |id: &str, order: &str, amount: &str| json!({"type": "flow.start", "id": id, "name": "refund", "call": call, "inputs": {"order": order, "amount": amount, "reason": "damaged"}});
    for (id, order, amount, code) in [
        ("a", "SO-20261120-03", "-1", "invalid-input"),
        ("b", "SO-20261120-03", "1e3", "invalid-input"),
        ("c", "", "1", "invalid-input"),
    ] {
        agent.say(start(id, order, amount)).await;
        assert_eq!(agent.next_of("failed").await["code"], code, "{order} {amount}");
    }

    // A small one goes by itself, and the agent sees each step.
    agent.say(start("small", "SO-20261120-03", "129.00")).await;
    let id = agent.next_of("done").await["flow"].clone();
    let done = flow(&mut agent, |f| f["flow"] == id && f["state"] == "done").await;
    assert_eq!(
        states(&done),
        [
            ("agree", "skipped"),
            ("finance", "done"),
            ("freeze", "done"),
            // The ERP has no address of hers.
            ("mail", "skipped"),
            ("note", "done"),
            ("ticket", "done"),
            ("verify", "done")
        ]
        .into()
    );
    let mut made = what(&desk);
    made[2..].sort_unstable();
    assert_eq!(made, ["ticket", "freeze", "note", "notice"]);

    // The same order and amount again is the same flow: nothing is done twice.
    agent.say(start("twice", "SO-20261120-03", "129.00")).await;
    assert_eq!(agent.next_of("done").await["flow"], id);

    // Somebody else's order ends before anything is written.
    agent.say(start("other", "SO-20261117-29", "10")).await;
    let other = agent.next_of("done").await["flow"].clone();
    let ended = flow(&mut agent, |f| f["flow"] == other && f["state"] == "undone").await;
    assert_eq!((&ended["reason"], what(&desk).len()), (&json!("the order is not this customer's"), 4));

    // More than the order is worth: the ticket that was made for it is closed with the reason.
    agent.say(start("much", "SO-20261120-03", "400.00")).await;
    agent.next_of("done").await;
    agent.say(start("more", "SO-20261120-03", "499.00")).await;
    let more = agent.next_of("done").await["flow"].clone();
    for n in 0..6 {
        agent.say(start(&format!("m{n}"), "SO-20261120-03", &format!("49{n}.50"))).await;
        agent.next_of("done").await;
    }
    let all_held = flow(&mut agent, |f| f["state"] == "undone").await;
    assert_eq!(all_held["reason"], "conflict: more than the order's amount would be frozen", "{more} {all_held}");
    assert_eq!(states(&all_held)["ticket"], "undone");
    let closed = desk.hosts.tickets.ledger().into_iter().find(|w| w.what == "close").unwrap();
    assert_eq!(closed.text, "The refund came to nothing: conflict: more than the order's amount would be frozen");

    // A large one waits for a supervisor; the agent who asked may not agree, and a restart forgets nothing of it.
    agent.say(start("large", "SO-20261102-17", "900.00")).await;
    let large = agent.next_of("done").await["flow"].clone();
    flow(&mut agent, |f| f["flow"] == large && f["state"] == "approval").await;
    let seen = flow(&mut boss, |f| f["flow"] == large && f["state"] == "approval").await;
    assert_eq!(seen["actions"], json!(["flow.approve", "flow.refuse", "flow.stop"]));
    agent.say(json!({"type": "flow.approve", "id": "own", "flow": large, "step": "agree"})).await;
    assert_eq!(agent.next_of("failed").await["code"], "not-permitted");
    desk.child.as_mut().unwrap().kill().unwrap();
    desk.child.take().unwrap().wait().unwrap();
    desk.start(None).await;
    let mut agent = who::screen(&desk, "1001").await;
    let mut boss = with_role(&desk, "1003", "supervisor").await;
    until_listed(&mut boss, &large).await;
    boss.say(json!({"type": "flow.list", "id": "again"})).await;
    let listed = boss.next_of("done").await["flows"]["list"][0].clone();
    assert_eq!((&listed["flow"], &listed["state"], &listed["amount"]), (&large, &json!("approval"), &json!("900.00")));

    // He agrees, and it is done.
    boss.say(json!({"type": "flow.approve", "id": "yes", "flow": large, "step": "agree"})).await;
    boss.next_of("done").await;
    flow(&mut agent, |f| f["flow"] == large && f["state"] == "done").await;
    let audit = desk.stage.verb(Path::new(PROGRAM), &["audit", "--about", large.as_str().unwrap(), "--json"]).unwrap();
    assert!(audit.contains("\"flow.approve\"") && audit.contains("\"1003\""), "{audit}");

    // Without a customer there is nobody whose order it could be: nothing is written.
    let before = what(&desk).len();
    agent.say(json!({"type": "flow.start", "id": "much", "name": "refund", "inputs": {"order": "SO-20261120-03", "amount": "1", "reason": "late"}})).await;
    let without = agent.next_of("done").await["flow"].clone();
    let ended = flow(&mut agent, |f| f["flow"] == without && f["state"] == "undone").await;
    assert!(ended["reason"].as_str().unwrap().starts_with("its inputs cannot be worked out"), "{ended}");
    assert_eq!(what(&desk).len(), before);
    let list = desk.stage.verb(Path::new(PROGRAM), &["flows", "list", "--all"]).unwrap();
    assert_eq!(list.lines().count(), 12, "{list}");
}

/// The agent's screen, and the call of a customer whom the systems know.
async fn on_the_line(desk: &Desk, number: &str) -> (Screen, Value) {
    let mut agent = who::screen(desk, "1001").await;
    desk.until("the phone is free", |desk| desk.pbx.free_seats().contains(&0)).await;
    desk.pbx.play(Story::Answered, number, Some(0)).unwrap();
    loop {
        let frame = agent.next().await;
        let known = |at: &str| {
            let head = &frame["card"]["candidates"][0];
            let also = head["also"].as_array().into_iter().flatten();
            also.chain([head]).any(|one| one["link"]["system"] == at || one["system"] == at)
        };
        if frame["card"]["answer"]["state"] == "found" && known("orders") && known("erp") {
            return (agent, frame["call"].clone());
        }
    }
}

pub async fn refund(desk: &Desk, number: &str, order: &str, amounts: &[&str]) -> Vec<Value> {
    let (mut agent, call) = on_the_line(desk, number).await;
    let mut ended = Vec::new();
    for amount in amounts {
        agent.say(json!({"type": "flow.start", "id": amount, "name": "refund", "call": call, "inputs": {"order": order, "amount": amount, "reason": "damaged"}})).await;
        let id = agent.next_of("done").await["flow"].clone();
        ended.push(
            flow(&mut agent, |f| f["flow"] == id && ["done", "undone"].contains(&f["state"].as_str().unwrap())).await,
        );
    }
    ended
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_has_a_refund_in_writing_when_nothing_can_take_it_back_any_more() {
    let mut desk = Desk::set(1.0).await;
    desk.stage.write("rules.yaml", "rules: []\n").unwrap();
    configure(&desk, QUICK);
    desk.start(None).await;
    desk.until("the daemon is logged in", |desk| desk.pbx.logged_in() > 0).await;
    // The second is more than what is left of the order: it is taken back, and the customer is told nothing of it.
    let ended =
        refund(&desk, "13900139000", "SO-20261119-08", &["499.00", "499.50", "499.60", "499.70", "499.80"]).await;
    let state = |n: usize| (ended[n]["state"].as_str().unwrap(), states(&ended[n])["mail"]);
    assert_eq!((state(0), state(3), state(4)), (("done", "done"), ("done", "done"), ("undone", "open")));
    let letters = desk.hosts.mails.letters();
    assert_eq!(letters.len(), 4);
    let first = &letters[0];
    assert_eq!(first.to, ["li.wei@customers.example"]);
    let ticket = desk.hosts.tickets.ledger().into_iter().find(|w| w.what == "ticket").unwrap();
    assert!(
        mail_text(&first.text).contains(&format!(
            "499.00 for your order SO-20261119-08 is on its way back to you. Our reference is {}.",
            ticket.id
        )),
        "{}",
        first.text
    );
    assert!(!letters.iter().any(|letter| mail_text(&letter.text).contains("499.80")));
    // It is the last thing that is done.
    let told = desk.hosts.tickets.ledger().into_iter().filter(|w| w.what == "notice").count();
    assert_eq!(told, 4);

    // A mail that does not come through takes no refund back.
    let file = desk.stage.settings().join("flows/refund.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("to: \"{{ customer.at.erp.email }}\"", "to: \"nobody\"")).unwrap();
    desk.signal(Signal::HUP);
    desk.until("the reload was taken", |d| d.metrics().contains("linecard_reloads_total{kind=\"good\"} 1")).await;
    let ended = refund(&desk, "02161230001", "SO-20261121-11", &["100.00"]).await;
    assert_eq!((ended[0]["state"].as_str(), states(&ended[0])["mail"]), (Some("done"), "failed"));
    assert_eq!(desk.hosts.mails.letters().len(), 4);
}

/// The text of a mail, whichever way it was packed for the way.
pub fn mail_text(mail: &str) -> String {
    let (head, body) = mail.split_once("\n\n").unwrap_or((mail, ""));
    let head = head.to_ascii_lowercase();
    if head.contains("transfer-encoding: base64") {
        use base64::Engine as _;
        let packed: String = body.split_whitespace().collect();
        return String::from_utf8(base64::engine::general_purpose::STANDARD.decode(packed).unwrap()).unwrap();
    }
    if head.contains("transfer-encoding: quoted-printable") {
        let unfolded = body.replace("=\r\n", "").replace("=\n", "");
        return String::from_utf8_lossy(&linecard::words::unpercent(&unfolded.replace('%', "%25").replace('=', "%")))
            .into_owned();
    }
    body.to_owned()
}

const RING: &str = r#"
flow: ring
schema: 1
title: Ring
on: [delivered]
steps:
  - step: {name: tell, system: desk, operation: notify, inputs: {text: "{{ customer.name if customer else call.number }} rings at {{ agent }}"}, undo: none}
"#;

const WRAPPED: &str = r#"
flow: wrapped
schema: 1
title: Wrapped
on: [{wrap-up: [billing]}]
inputs:
  what: {type: text, from: "{{ event.disposition }}"}
steps:
  - step: {name: tell, system: desk, operation: notify, inputs: {text: "{{ inputs.what }} by {{ agent }} of {{ customer.at.erp.id }}"}, undo: none}
"#;

pub fn notices(desk: &Desk) -> Vec<String> {
    desk.hosts.tickets.ledger().into_iter().filter(|w| w.what == "notice").map(|w| w.text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_and_wrap_ups_begin_theirs_once_and_a_flow_goes_on_by_the_text_it_began_with() {
    let mut desk = Desk::set(0.3).await;
    desk.stage.write("rules.yaml", "rules: []\n").unwrap();
    configure(&desk, QUICK);
    let file = |name: &str| desk.stage.settings().join("flows").join(name);
    let (missed, refund) = (file("missed-call.yaml"), file("refund.yaml"));
    let text = std::fs::read_to_string(&missed).unwrap();
    std::fs::write(&missed, text.replace("call.number and call.wait_ms and call.wait_ms > 5000", "call.number"))
        .unwrap();
    desk.stage.write("flows/ring.yaml", RING).unwrap();
    desk.stage.write("flows/wrapped.yaml", WRAPPED).unwrap();
    desk.start(None).await;
    desk.until("the daemon is logged in", |desk| desk.pbx.logged_in() > 0).await;
    let mut agent = who::screen(&desk, "1001").await;
    let mut boss = with_role(&desk, "1003", "supervisor").await;
    boss.say(json!({"type": "flow.list", "id": "l"})).await;
    boss.next_of("done").await;

    desk.pbx.play(Story::Answered, "13800138000", Some(0));
    let pop = agent.next_of("pop").await;
    desk.until("whose phone rings is told", |desk| notices(desk).len() == 1).await;
    assert!(notices(&desk)[0].ends_with(" rings at 1001"), "{:?}", notices(&desk));
    desk.until("the call is over", |desk| desk.records().len() == 1).await;
    let wrapup = json!({"type": "wrapup.submit", "id": "w", "call": pop["call"], "disposition": ["billing", "refund"]});
    agent.say(wrapup).await;
    desk.until("the wrap-up begins its flow", |desk| notices(desk).len() == 2).await;
    assert_eq!(notices(&desk)[1], "billing/refund by 1001 of 1001");

    desk.pbx.play(Story::DirectMissed, "13800138000", Some(1));
    let subjects = |desk: &Desk| -> Vec<String> {
        desk.hosts.tickets.ledger().into_iter().filter(|w| w.what == "ticket").map(|w| w.subject).collect()
    };
    desk.until("a missed call is a ticket", |desk| subjects(desk).len() == 1).await;
    assert_eq!(subjects(&desk), ["Call back 陈静"]);

    // A refund waits; the file is changed under it, and it goes on by the old one. The next one goes by the new.
    desk.pbx.play(Story::Answered, "13800138000", Some(0));
    let call = loop {
        let frame = agent.next().await;
        if frame["card"]["answer"]["state"] == "found"
            && frame["call"] != pop["call"]
            && frame["card"]["candidates"][0]["also"].as_array().is_some_and(|also| also.len() > 1)
        {
            break frame["call"].clone();
        }
    };
    let start = |id: &str, amount: &str| json!({"type": "flow.start", "id": id, "name": "refund", "call": call, "inputs": {"order": "SO-20261102-17", "amount": amount, "reason": "late"}});
    agent.say(start("one", "900.00")).await;
    let one = agent.next_of("done").await["flow"].clone();
    flow(&mut boss, |f| f["flow"] == one && f["state"] == "approval").await;
    let old = std::fs::read_to_string(&refund).unwrap();
    let new = old
        .replace("title: \"Refund {{ inputs.amount }}", "title: \"Money back {{ inputs.amount }}")
        .replace("float > 500", "float > 5000");
    assert_ne!(old, new);
    std::fs::write(&refund, new.replace("system: orders", "system: nobody")).unwrap();
    desk.signal(Signal::HUP);
    desk.until("a file with mistakes is refused whole", |d| {
        d.metrics().contains("linecard_reloads_total{kind=\"refused\"} 1")
    })
    .await;
    std::fs::write(&refund, new).unwrap();
    desk.signal(Signal::HUP);
    desk.until("the reload was taken", |d| d.metrics().contains("linecard_reloads_total{kind=\"good\"} 1")).await;
    desk.child.as_mut().unwrap().kill().unwrap();
    desk.child.take().unwrap().wait().unwrap();
    desk.start(None).await;
    let mut boss = with_role(&desk, "1003", "supervisor").await;
    until_listed(&mut boss, &one).await;
    boss.say(json!({"type": "flow.approve", "id": "y", "flow": one, "step": "agree"})).await;
    boss.next_of("done").await;
    desk.until("it goes on by the old text", |desk| subjects(desk).len() == 2).await;
    assert!(subjects(&desk)[1].starts_with("Refund 900.00"), "{:?}", subjects(&desk));
    // Nothing was begun a second time by the restart, or by the records that were written again.
    assert_eq!(notices(&desk).iter().filter(|text| text.contains("billing/refund")).count(), 1);
}

/// Asks until this flow is among those that wait.
async fn until_listed(boss: &mut Screen, flow: &Value) {
    loop {
        boss.say(json!({"type": "flow.list", "id": format!("l{}", live::now().mono.0)})).await;
        let list = boss.next_of("done").await["flows"]["list"].clone();
        if list.as_array().unwrap().iter().any(|one| one["flow"] == *flow) {
            return;
        }
    }
}

/// What the bank was told, and what it did.
#[derive(Default)]
struct Bank {
    frozen: BTreeMap<String, u32>,
    /// By order: the keys under which it was paid.
    paid: BTreeMap<String, Vec<String>>,
    tickets: BTreeMap<String, u32>,
    /// Orders of the kind that cannot be looked for, whose answer was lost.
    lost: BTreeSet<String>,
    writes: u64,
    answers_lost: u64,
}

impl Bank {
    /// The answer, and whether it is lost on the way.
    fn answer(&mut self, method: &str, path: &str, body: &Value) -> (Value, bool) {
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        let (key, order) = (text("key"), text("order"));
        if method == "GET" {
            let wanted = path.split("key=").nth(1).unwrap_or_default();
            let known = self.frozen.contains_key(wanted) || self.paid.values().flatten().any(|key| key == wanted);
            let found = if known { json!([{"id": wanted, "key": wanted}]) } else { json!([]) };
            return (json!({"found": found}), false);
        }
        match path {
            // Each time that it is asked: who asks twice without looking, does it twice.
            "/freeze" => *self.frozen.entry(key.clone()).or_default() += 1,
            "/pay/lookup" | "/pay/none" => self.paid.entry(order.clone()).or_default().push(key.clone()),
            "/pay/key" => {
                let keys = self.paid.entry(order.clone()).or_default();
                if !keys.contains(&key) {
                    keys.push(key.clone());
                }
            }
            "/ticket" => *self.tickets.entry(key.clone()).or_insert(0) = 1,
            "/unfreeze" => {}
            other => panic!("the bank was asked for {other}"),
        }
        self.writes += 1;
        let lost = self.writes.is_multiple_of(10);
        self.answers_lost += u64::from(lost);
        if lost && path == "/pay/none" {
            self.lost.insert(order);
        }
        (json!({"id": key}), lost)
    }
}

async fn serve(listener: TcpListener, bank: Arc<Mutex<Bank>>) {
    while let Ok((stream, _)) = listener.accept().await {
        // A client that is killed in the middle ends its connection with an error: that is how it should be.
        tokio::spawn(guest(stream, bank.clone()));
    }
}

async fn guest(mut stream: TcpStream, bank: Arc<Mutex<Bank>>) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        let head = loop {
            if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
        };
        let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
        let length = text
            .split("content-length: ")
            .nth(1)
            .and_then(|rest| rest.split("\r\n").next())
            .map_or(0, |n| n.parse().unwrap());
        while bytes.len() < head + length {
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
        }
        let line = String::from_utf8_lossy(&bytes[..head]).into_owned();
        let mut words = line.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let body: Value = serde_json::from_slice(&bytes[head..head + length]).unwrap_or_default();
        let (answer, lost) = bank.lock().unwrap().answer(method, path, &body);
        bytes.drain(..head + length);
        if lost {
            return Ok(());
        }
        let answer = answer.to_string();
        let whole = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{answer}",
            answer.len()
        );
        stream.write_all(whole.as_bytes()).await?;
    }
}

const CONNECTOR: &str = r#"
connector: bank_KIND
schema: 1
title: Bank
base_url: "http://ADDRESS"
auth: none
numbers: {country: CN}
deadline_ms: 1500
concurrency: 32
operations:
  refund.find:
    steps:
      - name: find
        path: /find
        query: {key: "{{ key }}"}
        outcome:
          - {status: [200], when: not body.found, is: empty}
          - {status: [200], when: body.found, is: ok}
        records: body.found
    keep: record.key == key
    fields: {id: record.id}
    one: true
  refund.freeze:
    idempotent: {lookup: refund.find}
    steps:
      - name: freeze
        method: POST
        path: /freeze
        body: {json: {key: "{{ key }}", order: "{{ order }}"}}
        outcome: [{status: [200], when: body.id is defined, is: ok}]
    output: {id: key}
  refund.unfreeze:
    idempotent: put
    steps:
      - name: unfreeze
        method: PUT
        path: /unfreeze
        body: {json: {key: "{{ target.id }}"}}
        outcome: [{status: [200], when: body.id is defined, is: ok}]
    output: {id: key}
  refund.pay:
    idempotent: IDEMPOTENT
    steps:
      - name: pay
        method: POST
        path: /pay/KIND
        headers: {Idempotency-Key: "{{ key }}"}
        body: {json: {key: "{{ key }}", order: "{{ order }}", amount: "{{ amount }}"}}
        outcome: [{status: [200], when: body.id is defined, is: ok}]
    output: {id: key}
  ticket.create:
    idempotent: key
    steps:
      - name: ticket
        method: POST
        path: /ticket
        headers: {Idempotency-Key: "{{ key }}"}
        body: {json: {key: "{{ key }}", text: "{{ text }}"}}
        outcome: [{status: [200], when: body.id is defined, is: ok}]
    output: {id: key}
"#;

const FLOW: &str = r#"
flow: refund
schema: 1
title: Refund
on: [{button: {}}]
once: inputs.order
inputs:
  order: {type: text}
  amount: {type: amount}
  kind: {type: choice, choices: [lookup, key, none]}
steps:
  - step: {name: freeze, system: bank_lookup, operation: refund.freeze, inputs: {order: "{{ inputs.order }}", amount: "{{ inputs.amount }}"}, save: frozen,
           undo: {operation: refund.unfreeze, inputs: {order: "{{ inputs.order }}", target: "{{ frozen }}"}}}
  - step: {name: pay-lookup, when: inputs.kind == 'lookup', system: bank_lookup, operation: refund.pay, inputs: &pay {order: "{{ inputs.order }}", amount: "{{ inputs.amount }}"}, undo: none, pivot: true}
  - step: {name: pay-key, when: inputs.kind == 'key', system: bank_key, operation: refund.pay, inputs: *pay, undo: none, pivot: true}
  - step: {name: pay-none, when: inputs.kind == 'none', system: bank_none, operation: refund.pay, inputs: *pay, undo: none, pivot: true}
  - step: {name: ticket, system: bank_key, operation: ticket.create, inputs: {title: "{{ inputs.order }}", text: paid}, undo: none}
"#;

const KINDS: [(&str, &str); 3] = [("lookup", "{lookup: refund.find}"), ("key", "key"), ("none", "none")];

fn order(n: usize) -> (String, &'static str) {
    (format!("O-{n}"), KINDS[n % 3].0)
}

fn order_of(row: &FlowRow) -> String {
    let body: Value = serde_json::from_str(row.body.expose()).unwrap();
    body["cause"]["inputs"]["order"].as_str().unwrap().to_owned()
}

fn all(desk: &Desk) -> Vec<FlowRow> {
    reader(desk).flows(&FlowFilter { all: true, limit: 1_000_000, ..FlowFilter::default() }).unwrap()
}

/// Sends what is to be begun until so many are durable.
async fn begin(screen: &mut Screen, left: &mut VecDeque<usize>, until: usize) {
    let mut sent = BTreeSet::new();
    while left.len() > until || !sent.is_empty() {
        while sent.len() < 16 && left.len() > until {
            let n = left.pop_front().unwrap();
            let (order, kind) = order(n);
            let inputs = json!({"order": order, "amount": "1.00", "kind": kind});
            screen.say(json!({"type": "flow.start", "id": format!("r{n}"), "name": "refund", "inputs": inputs})).await;
            sent.insert(n);
        }
        let frame = screen.skim("done").await;
        let n: usize = frame["id"].as_str().unwrap().strip_prefix('r').unwrap().parse().unwrap();
        assert!(sent.remove(&n), "an answer to nothing: {frame}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_refund_is_paid_twice_none_is_silent_and_people_get_exactly_those_that_nobody_can_know() {
    let wanted: usize = std::env::var("LINECARD_REFUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(600);
    let began = Instant::now();
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = listener.local_addr().unwrap();
    let bank = Arc::new(Mutex::new(Bank::default()));
    let server = tokio::spawn(serve(listener, bank.clone()));

    let mut desk = Desk::set(1.0).await;
    std::fs::remove_dir_all(desk.stage.settings().join("flows")).unwrap();
    for (kind, idempotent) in KINDS {
        let text =
            CONNECTOR.replace("KIND", kind).replace("IDEMPOTENT", idempotent).replace("ADDRESS", &address.to_string());
        desk.stage.write(&format!("connectors/bank_{kind}.yaml"), &text).unwrap();
    }
    desk.stage.write("flows/refund.yaml", FLOW).unwrap();
    configure(&desk, QUICK);

    // Killed while they begin and while they run; what the disk has then of requests on their way that cannot be looked for, nobody can know.
    let kills = (wanted / 500).clamp(4, 10);
    let mut left: VecDeque<usize> = (0..wanted).collect();
    let mut torn = BTreeSet::new();
    for life in 0..kills {
        desk.start(None).await;
        let mut screen = who::screen(&desk, "1001").await;
        begin(&mut screen, &mut left, wanted - wanted * (life + 1) / (kills + 1)).await;
        desk.child.as_mut().unwrap().kill().unwrap();
        desk.child.take().unwrap().wait().unwrap();
        for row in all(&desk) {
            let run = Run::of(&row, row.updated_at, &Settings::default()).unwrap();
            // As it was read it is unsure; only what was on its way is so and due later.
            if matches!(run.marks.get("pay-none"), Some(Mark::Trying(trying)) if trying.unsure) {
                torn.insert(order_of(&row));
            }
        }
    }
    desk.start(None).await;
    let mut screen = who::screen(&desk, "1001").await;
    begin(&mut screen, &mut left, 0).await;
    drop(screen);
    let rest = |desk: &Desk| {
        let open = reader(desk).flows(&FlowFilter { limit: 1_000_000, ..FlowFilter::default() }).unwrap();
        open.iter().all(|row| row.person)
    };
    wait(&desk, "all refunds are done or a person's", rest).await;

    let rows = all(&desk);
    let person: BTreeSet<String> = rows.iter().filter(|row| row.person).map(order_of).collect();
    {
        let bank = bank.lock().unwrap();
        let twice: Vec<_> = bank.paid.iter().filter(|(_, keys)| keys.len() > 1).collect();
        assert!(twice.is_empty(), "paid twice: {twice:?}");
        assert!(bank.frozen.values().chain(bank.tickets.values()).all(|times| *times == 1), "frozen or written twice");
        assert_eq!(rows.len(), wanted, "each refund is one flow");
        let silent: Vec<_> = rows
            .iter()
            .filter(|row| !row.person && (row.state != "done" || !bank.paid.contains_key(&order_of(row))))
            .collect();
        assert!(silent.is_empty(), "neither paid nor a person's: {silent:?}");
        let expected: BTreeSet<String> = bank.lost.union(&torn).cloned().collect();
        assert_eq!(person, expected, "the list for people is exactly what nobody can know");
        assert!(!bank.lost.is_empty() && bank.answers_lost > 0, "nothing was lost: this proves nothing");
        println!(
            "{wanted} refunds, {kills} kills: {} writes at the bank, {} answers lost; {} for people ({} lost by the bank, {} on their way at a kill); paid twice 0, silent 0; {:?}",
            bank.writes,
            bank.answers_lost,
            person.len(),
            bank.lost.len(),
            torn.len(),
            began.elapsed()
        );
    }

    // A person looks at the bank, says what is there, and all of them are paid once.
    let reader = reader(&desk);
    for (n, row) in rows.iter().filter(|row| row.person).enumerate() {
        let order = order_of(row);
        let run = Run::of(row, row.updated_at, &Settings::default()).unwrap();
        let task = run.open_tasks().next().unwrap();
        assert_eq!(
            (task.system.as_str(), task.operation.as_str(), task.inputs.expose()["order"].as_str()),
            ("bank_none", "refund.pay", Some(order.as_str()))
        );
        let paid = bank.lock().unwrap().paid.contains_key(&order);
        let verb = if paid { "done" } else { "again" };
        if n < 3 {
            let words = ["flows", "task", verb, &row.id, "1", "--note", "seen in the bank's list"];
            desk.stage.verb(Path::new(PROGRAM), &words).unwrap();
            continue;
        }
        let how = if paid { Settled::Done } else { Settled::Again };
        let said = Said::Settle { task: 1, how, note: None, result: None };
        let word = Word::here("test".into(), Vec::new(), said);
        let now = live::now().wall;
        let audit = AuditRow {
            tenant: row.tenant.clone(),
            at: now,
            who: "test".into(),
            what: "flow.said".into(),
            about: row.id.clone(),
            reason: None,
        };
        reader.say(word.row(&row.tenant, &row.id, format!("test {}", row.id), now), audit).unwrap();
    }
    // What was tried again may be lost again: then it is a person's again, and never paid twice.
    wait(&desk, "every flow rests again", |desk| {
        rest(desk) && all(desk).iter().filter(|row| row.person).all(|row| row.body.expose().contains("\"task\":2"))
    })
    .await;
    let bank = bank.lock().unwrap();
    assert!(bank.paid.values().all(|keys| keys.len() == 1), "paid twice");
    for row in all(&desk) {
        assert!(
            bank.paid.contains_key(&order_of(&row)) && (row.state == "done" || row.person),
            "{} is {}",
            order_of(&row),
            row.state
        );
    }
    server.abort();
}

async fn wait(desk: &Desk, what: &str, so: impl Fn(&Desk) -> bool) {
    let end = Instant::now() + Duration::from_secs(100);
    while !so(desk) {
        let log = || std::fs::read_to_string(desk.stage.log()).unwrap_or_default();
        assert!(Instant::now() < end, "it never came true that {what}; the daemon says:\n{}", log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
