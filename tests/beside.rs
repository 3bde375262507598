//! Two files of one system beside each other, over real sockets: a canary that lies, is slow and is stopped, and a shadow that is only compared.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use linecard::{
    connectors::{
        self, Ask, Connectors, Outcome, Priority, Set, System,
        beside::{
            Lane,
            compare::Comparison,
            live::{self, Event, Stopped},
        },
    },
    customers::{Answer, Answered, Around, Card, Customers, Question, Settings},
    numbers::Plan,
    records::{Delivery, live::deliver},
    store::{self, Batch, EffectSet, State, Store},
    watch::{
        self, Metrics,
        alerts::{Rules, live::Watcher},
    },
    words::{CallId, SystemId, Wall},
};
use serde_json::{Value, json};
use tokio::{runtime::Handle, sync::mpsc};
use tokio_util::sync::CancellationToken;

use super::{
    limits::{Ledger, answer, open, system},
    outbox,
};

fn file(id: &str, address: SocketAddr, more: &str) -> String {
    format!(
        r#"
connector: {id}
schema: 1
base_url: "http://{address}"
concurrency: 16
retries: {{most: 0}}
breaker: {{open_s: 0}}
numbers: {{country: CN}}
{more}
operations:
  customer.by_phone:
    steps: [{{name: by number, path: /people, query: {{q: "{{{{ number.e164 }}}}"}}, outcome: [{{status: [200], is: ok}}], records: body.people}}]
    fields: {{id: record.id, name: record.name, mobile: record.mobile}}
    phones: {{mobile: mobile}}
  orders:
    steps: [{{name: orders, path: "/orders/{{{{ customer.id }}}}", outcome: [{{status: [200], is: ok}}]}}]
    output: {{open: body.open}}
  ticket.find:
    steps: [{{name: find, path: /tickets, query: {{key: "{{{{ key }}}}"}}, outcome: [{{status: [200], is: ok}}], records: body.tickets}}]
    fields: {{id: record.id, key: record.key}}
    keep: record.key == key
    one: true
  ticket.create:
    idempotent: {{lookup: ticket.find}}
    steps: [{{name: make, method: POST, path: /tickets, query: {{key: "{{{{ key }}}}"}}, outcome: [{{status: [201], is: ok}}]}}]
    output: {{id: body.id}}
"#
    )
}

fn load(id: &str, address: SocketAddr, more: &str) -> System {
    let text = file(id, address, more);
    connectors::load(&format!("{id}.yaml"), &text).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// A system whose people have this name; `open` orders.
async fn desk(name: &'static str, open_orders: u32) -> (SocketAddr, Arc<Ledger>) {
    // Kept by the system itself, or nobody would be let through.
    let (keep, is_open) = open();
    let brain = move |_, path: &str| match path.split_once("q=%2B") {
        Some((_, number)) => {
            answer(200, "", &json!({"people": [{"id": number, "name": name, "mobile": format!("+{number}")}]}))
        }
        None => answer(200, "", &json!({"open": open_orders})).filter(|_| *keep.borrow()),
    };
    system(brain, is_open).await
}

fn folder() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("linecard-beside-{:032x}", rand::random::<u128>()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn question(call: u128, number: &str, around: Around) -> Question {
    let number = Plan::new("CN", None).read(number);
    Question { around, ..Question::by_number("default".into(), CallId(ulid::Ulid(call)), number) }
}

struct Room {
    connectors: Connectors,
    customers: Customers,
    cards: mpsc::Receiver<Answered>,
    calls: u128,
}

impl Room {
    fn new(files: Vec<System>) -> Self {
        let connectors = Connectors::new(Set::new(files));
        let (out, cards) = mpsc::channel(256);
        let systems = Arc::new(connectors.clone());
        let customers = Customers::new(systems, &Settings::default(), Handle::current(), out);
        Self { connectors, customers, cards, calls: 0 }
    }

    /// A whole call, to its last card.
    async fn call(&mut self, number: &str, around: Around) -> (Arc<Card>, CallId) {
        self.calls += 1;
        let asked = question(self.calls, number, around);
        let (call, first) = (asked.call, self.customers.ask(&asked));
        (self.whole(call, first).await, call)
    }

    async fn whole(&mut self, call: CallId, mut card: Arc<Card>) -> Arc<Card> {
        let pending = |card: &Card| {
            matches!(card.answer, Answer::Pending)
                || card.blocks.iter().any(|block| block.state == linecard::customers::BlockState::Pending)
        };
        while pending(&card) {
            let answered = self.cards.recv().await.unwrap();
            if answered.call == call {
                card = answered.card;
            }
        }
        card
    }
}

fn name(card: &Card) -> &str {
    match &card.answer {
        Answer::Found(person) => person.head.name.as_ref().unwrap().expose(),
        other => panic!("{other:?}"),
    }
}

fn crm() -> SystemId {
    "crm".into()
}

#[tokio::test]
async fn a_caller_has_one_version_and_is_never_shown_what_the_other_said() {
    let (old, old_asked) = desk("旧", 1).await;
    let (new, new_asked) = desk("新", 2).await;
    let mut room = Room::new(vec![load("crm", old, ""), load("crm-next", new, "canary: {of: crm, percent: 40}")]);
    let numbers: Vec<String> = (0..60).map(|n| format!("+86138001380{n:02}")).collect();
    let mut by_new = BTreeSet::new();
    for number in &numbers {
        let (card, call) = room.call(number, Around::default()).await;
        let is_new = card.lane.version(&crm()).is_some();
        assert_eq!(name(&card), if is_new { "新" } else { "旧" });
        let orders = card.blocks.iter().find(|block| block.kind == "orders").unwrap();
        assert_eq!(orders.body.as_ref().unwrap().get(), if is_new { r#"{"open":2}"# } else { r#"{"open":1}"# });
        // To everybody else it is one system.
        let Answer::Found(person) = &card.answer else { unreachable!() };
        assert_eq!((person.head.link.system.as_str(), orders.system.as_str()), ("crm", "crm"));
        let looked = room.customers.looked(call);
        assert!(looked.iter().all(|l| l.system == crm() && l.version.is_some() == is_new), "{looked:?}");
        if is_new {
            by_new.insert(number.clone());
        }
    }
    assert!((12..38).contains(&by_new.len()), "{}", by_new.len());
    assert_eq!(new_asked.count(), 2 * by_new.len());
    assert_eq!(old_asked.count(), 2 * (numbers.len() - by_new.len()));
    // Again: the same, and out of the cache.
    for number in &numbers {
        let (card, _) = room.call(number, Around::default()).await;
        assert_eq!(name(&card) == "新", by_new.contains(number), "{number}");
    }
    assert_eq!(new_asked.count() + old_asked.count(), 2 * numbers.len());
    // All of them now: who is in the cache by the old one is asked by the new one.
    let files = vec![load("crm", old, ""), load("crm-next", new, "canary: {of: crm, percent: 100}")];
    room.connectors.swap(Set::new(files));
    for number in &numbers {
        assert_eq!(name(&room.call(number, Around::default()).await.0), "新");
    }
    // Nobody asks it by its own name.
    assert_eq!(room.connectors.systems(), [crm()]);
    // What is written about a number makes both versions' answers old.
    let before = new_asked.count();
    room.customers.changed(&"default".into(), &numbers[0]).await;
    room.call(&numbers[0], Around::default()).await;
    assert!(new_asked.count() > before);
}

#[tokio::test]
async fn a_call_moves_when_its_queue_and_agent_are_known_and_not_back() {
    let (old, _) = desk("旧", 1).await;
    let (new, _) = desk("新", 2).await;
    let canary = "canary: {of: crm, queues: [sales], agents: ['1002']}";
    let mut room = Room::new(vec![load("crm", old, ""), load("crm-next", new, canary)]);
    let number = "+8613800138000";
    let (card, call) = room.call(number, Around::default()).await;
    assert_eq!(name(&card), "旧");
    let at = |queue: &str, agent: &str| {
        let around = Around { trunk: None, queue: Some(queue.to_owned()), agents: vec![agent.into()] };
        Question { call, ..question(0, number, around) }
    };
    assert!(!room.customers.moves(call, || Some(at("sales", "1001"))));
    assert!(!room.customers.moves(call, || Some(at("support", "1002"))));
    assert!(room.customers.moves(call, || Some(at("sales", "1002"))));
    let first = room.customers.ask(&at("sales", "1002"));
    assert!(matches!(first.answer, Answer::Pending), "the other's answer is not shown meanwhile");
    let card = room.whole(call, first).await;
    assert_eq!(name(&card), "新");
    // Handed on to another queue it stays what it is.
    assert!(!room.customers.moves(call, || Some(at("support", "1001"))));
    let again = room.customers.ask(&at("support", "1001"));
    assert_eq!(name(&again), "新");
    // Where no file asks for queues and agents, nobody looks at them.
    room.connectors.swap(Set::new(vec![load("crm", old, "")]));
    assert!(!room.customers.moves(CallId(ulid::Ulid(99)), || panic!("nobody asks for it")));
}

fn ask(system: &str, operation: &str) -> Ask {
    Ask {
        tenant: Default::default(),
        system: system.into(),
        operation: operation.to_owned(),
        inputs: json!({"customer": {"id": "7"}, "number": "+8613800138000", "call": "c", "key": "k", "title": "t", "text": "x"})
            .as_object()
            .unwrap()
            .clone(),
        deadline: Duration::from_secs(5),
        priority: Priority::Pop,
    }
}

fn lane(connectors: &Connectors) -> Lane {
    let asked = question(1, "+8613800138000", Around::default());
    connectors.lane(&|| asked.facts(), &Lane::default())
}

#[tokio::test]
async fn a_canary_that_is_worse_is_stopped_for_good_and_that_is_told() {
    let (good, _) = desk("旧", 1).await;
    let (_keep, is_open) = open();
    let (bad, bad_asked) =
        system(|n, _: &str| answer(if n % 3 == 0 { 500 } else { 200 }, "", &json!({"open": 1})), is_open).await;
    let guard = "canary: {of: crm, percent: 100, guard: {minimum: 20}}";
    let files = || vec![load("crm", good, ""), load("crm-next", bad, guard)];
    let crms = Connectors::new(Set::new(files()));
    let folder = folder();
    let next: SystemId = "crm-next".into();
    for n in 0..40 {
        // Nothing is said before each was asked often enough.
        if n < 20 {
            assert_eq!(live::look(&crms, &folder).await, []);
            crms.run(ask("crm-next", "orders")).await;
        }
        crms.run(ask("crm", "orders")).await;
    }
    assert_eq!(lane(&crms).version(&crm()), Some(&next));
    let events = live::look(&crms, &folder).await;
    let why = "orders: 7 of 20 questions failed, where of crm's 0 of 40 do";
    assert_eq!(events, [Event::Stopped(next.clone(), why.to_owned())]);
    assert_eq!(lane(&crms).version(&crm()), None);
    assert_eq!(live::look(&crms, &folder).await, [], "it is told once");
    // In figures and as an alert.
    let (metrics, registry) = Metrics::new();
    let rules = Arc::new(arc_swap::ArcSwap::from_pointee(Rules::read("alerts.yaml", None, &|_| true).unwrap()));
    let mut watcher = Watcher::new(crms.clone(), metrics, Box::new(Vec::new), rules, &folder);
    watcher.look(Wall(1_800_000_000_000)).await;
    let page = watch::render(&registry);
    assert!(page.contains("linecard_alerts{alert=\"canary-stopped\",subject=\"crm-next\"} 1"), "{page}");
    assert_eq!(page.matches("alert=\"canary-stopped\"").count(), 1);
    assert!(page.contains("linecard_system_canary_stopped{system=\"crm-next\"} 1"), "{page}");
    let standing = crms.standing().into_iter().find(|one| one.system == next).unwrap().json();
    assert_eq!(standing["beside"]["stopped"]["reason"], why);
    // Over a restart, until somebody lets it go on.
    let again = Connectors::new(Set::new(files()));
    live::recall(&again, &folder);
    assert_eq!(lane(&again).version(&crm()), None);
    live::look(&again, &folder).await;
    assert_eq!(lane(&again).version(&crm()), None);
    assert!(live::resume(&folder, &next).unwrap());
    live::look(&again, &folder).await;
    assert_eq!(lane(&again).version(&crm()), Some(&next));
    live::look(&crms, &folder).await;
    assert_eq!(lane(&crms).version(&crm()), Some(&next), "with fresh figures it goes on there too");
    assert_eq!(live::look(&crms, &folder).await, []);
    // By hand; and a changed file begins anew.
    let hash = crms.file_hash(&next).unwrap();
    live::stop_by(&folder, &next, &Stopped { at: Wall(1), reason: "the vendor called".into(), hash }).unwrap();
    live::look(&crms, &folder).await;
    assert_eq!(lane(&crms).version(&crm()), None);
    crms.swap(Set::new(vec![load("crm", good, ""), load("crm-next", bad, &format!("{guard}\ntitle: corrected"))]));
    assert_eq!(lane(&crms).version(&crm()), Some(&next));
    live::look(&crms, &folder).await;
    assert_eq!((lane(&crms).version(&crm()), live::stopped(&folder, &next)), (Some(&next), None));
    assert_eq!(bad_asked.count(), 20);
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_canary_that_finds_nobody_or_is_slow_is_stopped_too() {
    let (good, _) = desk("旧", 1).await;
    let (keep, is_open) = open();
    let (blind, _) = system(|_, _: &str| answer(200, "", &json!({"people": []})), is_open.clone()).await;
    let (slow, _) = desk("慢", 1).await;
    let guard = "{of: crm, percent: 50, guard: {minimum: 10, latency: 20}}";
    let crms = Connectors::new(Set::new(vec![
        load("crm", good, ""),
        // A busy machine is slow with everybody: only what it finds counts here.
        load("crm-blind", blind, &format!("canary: {}", guard.replace("latency: 20", "latency: 1000000"))),
        // Its own limit makes it slow: the time counts that a caller waits.
        load("crm-slow", slow, &format!("canary: {guard}\nlimits: {{windows: [{{requests: 1, per_s: 1, burst: 8}}]}}")),
    ]));
    let folder = folder();
    for system in ["crm", "crm-blind", "crm-slow"] {
        for _ in 0..11 {
            crms.run(ask(system, "customer.by_phone")).await;
        }
    }
    let mut told: Vec<String> =
        live::look(&crms, &folder).await.into_iter().map(|Event::Stopped(id, why)| format!("{id}: {why}")).collect();
    told.sort();
    assert_eq!(told[0], "crm-blind: customer.by_phone: 0 of 11 callers were found, where crm finds 11 of 11");
    assert!(told[1].starts_with("crm-slow: customer.by_phone: 95 % took up to "), "{told:#?}");
    drop(keep);
    std::fs::remove_dir_all(folder).unwrap();
}

/// A system that keeps tickets by their keys, and loses the answer of the first.
async fn tickets(loses: usize) -> (SocketAddr, Arc<Ledger>, Arc<Mutex<Vec<String>>>) {
    let (keep, is_open) = open();
    let (made, lost): (Arc<Mutex<Vec<String>>>, _) = (Arc::default(), AtomicUsize::new(loses));
    let kept = made.clone();
    let brain = move |_, path: &str| {
        let key = path.split_once("key=").map(|(_, key)| key.to_owned()).unwrap_or_default();
        let mut made = kept.lock().unwrap();
        // A question has been asked for the key before it is written: the second time it is the write.
        let asked = made.iter().filter(|k| **k == format!("? {key}")).count();
        let there = made.contains(&key);
        if there {
            return answer(200, "", &json!({"tickets": [{"id": "1", "key": key}]}));
        }
        if asked % 2 == 0 {
            made.push(format!("? {key}"));
            return answer(200, "", &json!({"tickets": []}));
        }
        made.push(format!("? {key}"));
        made.push(key);
        let again = |n: usize| n.checked_sub(1);
        match lost.fetch_update(Ordering::SeqCst, Ordering::SeqCst, again) {
            Ok(_) => None,
            Err(_) => answer(201, "", &json!({"id": "1"})).filter(|_| *keep.borrow()),
        }
    };
    let (address, ledger) = system(brain, is_open).await;
    (address, ledger, made)
}

#[tokio::test]
async fn what_a_canary_may_have_written_is_looked_for_there_and_written_nowhere_else() {
    let (old, old_asked, old_made) = tickets(0).await;
    let (new, _, new_made) = tickets(1).await;
    let folder = folder();
    let files = |canary: &str| vec![load("crm", old, ""), load("crm-next", new, canary)];
    let crms = Connectors::new(Set::new(files("canary: {of: crm, percent: 100}")));
    let next: SystemId = "crm-next".into();
    let store = Store::open(&store::Settings { path: folder.join("linecard.db"), ..Default::default() }).unwrap();
    let settings =
        Delivery { backoff_ms: 400, quiet_ms: 300, deadline_ms: 3_000, grace_ms: 100, ..Delivery::default() };
    let stop = CancellationToken::new();
    let outbox = tokio::spawn(deliver(store.clone(), crms.clone(), settings, stop.clone()));
    let put = async |n: u64, steps: &[(&str, bool)]| {
        let puts = steps.iter().map(|(step, by_next)| {
            let mut put = outbox::effect(n, "crm", step);
            put.row.version = by_next.then(|| next.clone());
            put
        });
        let set = EffectSet { call: outbox::key(n), puts: puts.collect(), at: linecard::live::now().wall, adds: true };
        store.submit(Batch { effects: vec![set], ..Batch::default() }).await.unwrap();
    };
    let until = async |n: u64, wanted: fn(&store::EffectRow) -> bool| {
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        for _ in 0..3_000 {
            tick.tick().await;
            let rows = store.history(outbox::key(n)).await.unwrap().effects;
            if !rows.is_empty() && rows.iter().all(wanted) {
                return rows;
            }
        }
        panic!("{:?}", store.history(outbox::key(n)).await.unwrap().effects);
    };
    // The canary writes it and loses the answer; while it is not known, the guard stops it.
    put(1, &[("ticket", true)]).await;
    until(1, |row| row.state == State::Later && row.unsure).await;
    let hash = crms.file_hash(&next).unwrap();
    live::stop_by(&folder, &next, &Stopped { at: Wall(1), reason: "worse".into(), hash }).unwrap();
    live::look(&crms, &folder).await;
    let rows = until(1, |row| row.state == State::Done).await;
    assert_eq!(rows[0].version, Some(next.clone()));
    let written = |made: &Mutex<Vec<String>>| made.lock().unwrap().iter().filter(|k| !k.starts_with('?')).count();
    assert_eq!((written(&new_made), old_asked.count()), (1, 0));
    // What was not begun goes by the one in use, and says so for ever.
    put(2, &[("ticket", true)]).await;
    let rows = until(2, |row| row.state == State::Done).await;
    assert_eq!((rows[0].version.as_ref(), rows[0].attempts), (None, 1));
    assert_eq!((written(&new_made), written(&old_made)), (1, 1));
    // A later effect of a call goes the way of its first one, whatever is decided for new calls.
    put(1, &[("note", false)]).await;
    let rows = until(1, |row| row.state == State::Done).await;
    assert_eq!(rows.len(), 2);
    assert_eq!((written(&new_made), written(&old_made)), (1, 2), "it was decided for the canary, which is stopped");
    live::resume(&folder, &next).unwrap();
    live::look(&crms, &folder).await;
    put(1, &[("second note", false)]).await;
    let rows = until(1, |row| row.state == State::Done).await;
    assert_eq!(rows[2].version, Some(next.clone()));
    assert_eq!((written(&new_made), written(&old_made)), (2, 2));
    // The file is gone while it is not known: a person's.
    let (again, _, _) = tickets(1).await;
    let file = load("crm-next", again, "canary: {of: crm, percent: 100}\ntitle: another");
    crms.swap(Set::new(vec![load("crm", old, ""), file]));
    put(3, &[("ticket", true)]).await;
    until(3, |row| row.unsure && row.state == State::Later).await;
    crms.swap(Set::new(vec![load("crm", old, "")]));
    let rows = until(3, |row| row.state == State::Person).await;
    let why = rows[0].reason.as_deref().unwrap();
    assert!(why.starts_with("crm-next may have written it, and its file is not there any more"), "{why}");
    assert_eq!(written(&old_made), 2);
    stop.cancel();
    outbox.await.unwrap();
    drop(store);
    std::fs::remove_dir_all(folder).unwrap();
}

async fn compared(crms: &Connectors, shadow: &SystemId, folder: &std::path::Path, asked: u64) -> Comparison {
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    for _ in 0..2_000 {
        tick.tick().await;
        live::look(crms, folder).await;
        let kept = live::comparison(folder, shadow).unwrap_or_default();
        if kept.operations.values().map(|one| one.asked).sum::<u64>() >= asked {
            return kept;
        }
    }
    panic!("{:?}", live::comparison(folder, shadow));
}

#[tokio::test]
async fn a_shadow_is_compared_field_by_field_and_never_seen_and_never_writes() {
    let (old, _) = desk("陈静", 1).await;
    let (new, new_asked) = desk("陳靜", 1).await;
    let shadow: SystemId = "crm-next".into();
    let mut room = Room::new(vec![load("crm", old, ""), load("crm-next", new, "shadow: {of: crm, percent: 100}")]);
    let folder = folder();
    for n in 0..5 {
        let (card, call) = room.call(&format!("+861380013800{n}"), Around::default()).await;
        assert_eq!((name(&card), card.lane.version(&crm())), ("陈静", None));
        assert!(room.customers.looked(call).iter().all(|looked| looked.version.is_none()));
    }
    let kept = compared(&room.connectors, &shadow, &folder, 10).await;
    assert_eq!(kept.operations["customer.by_phone"].same, 0);
    assert_eq!((kept.operations["orders"].asked, kept.operations["orders"].same), (5, 5));
    let [difference] = &kept.differences[..] else { panic!("{kept:?}") };
    assert_eq!((difference.field.as_str(), difference.how.as_str(), difference.times), ("[].name", "another text", 5));
    let text = std::fs::read_to_string(folder.join("crm-next.compared.json")).unwrap();
    for nobody in ["陈", "陳", "138001"] {
        assert!(!text.contains(nobody), "{text}");
    }
    // What is cached asks no shadow; and nothing is written by one.
    let before = new_asked.count();
    room.call("+8613800138000", Around::default()).await;
    let outcome = room.connectors.run(ask("crm-next", "ticket.create")).await;
    assert_eq!(outcome, Outcome::Invalid { reason: "crm-next is a shadow, and a shadow never writes".to_owned() });
    room.connectors.shadow(ask("crm-next", "ticket.create"), Outcome::Empty);
    assert_eq!(new_asked.count(), before);
    // It goes on over a restart.
    let again =
        Connectors::new(Set::new(vec![load("crm", old, ""), load("crm-next", new, "shadow: {of: crm, percent: 100}")]));
    live::recall(&again, &folder);
    let differing = again.standing().into_iter().find(|one| one.system == shadow).unwrap().beside.unwrap().differing;
    assert_eq!(differing, Some((50.0, 10)));
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_shadow_that_hangs_holds_up_nobody_and_its_questions_leave_room_for_callers() {
    // One host for both: the quota is the account's.
    let (keep, is_open) = open();
    let brain = |_, path: &str| match path.starts_with("/next") {
        true => None,
        false => answer(200, "", &json!({"open": 1})),
    };
    let (address, asked) = system(brain, is_open).await;
    let limit = "limits: {windows: [{requests: 6, per_s: 600, kept_for_pops: 4}]}";
    let next = file("crm-next", address, "shadow: {of: crm, percent: 100}").replace("\"/orders/", "\"/next/orders/");
    let next = connectors::load("crm-next.yaml", &next).unwrap();
    let crms = Connectors::new(Set::new(vec![load("crm", address, limit), next]));
    let asks = async |n: usize| {
        for _ in 0..n {
            let outcome = crms.run(ask("crm", "orders")).await;
            assert_eq!(outcome, Outcome::Ok(json!({"open": 1})));
            crms.shadow(ask("crm-next", "orders"), outcome);
        }
    };
    asks(4).await;
    let folder = folder();
    let shadow: SystemId = "crm-next".into();
    let kept = compared(&crms, &shadow, &folder, 4).await;
    assert_eq!(kept.operations["orders"].unanswered, 4);
    let by_shadow = asked.paths().iter().filter(|path| path.starts_with("/next")).count();
    assert!(by_shadow <= 2, "background has two of six: {by_shadow}");
    assert_eq!(asked.count() - by_shadow, 4);
    drop(keep);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn files_beside_each_other_are_checked_with_their_places() {
    let address: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let told = |more: &str| -> Vec<String> {
        let Err(problems) = connectors::load("crm-next.yaml", &file("crm-next", address, more)) else {
            return Vec::new();
        };
        assert!(problems.iter().all(|problem| problem.line > 0), "{problems:#?}");
        problems.iter().map(ToString::to_string).collect()
    };
    for (more, wanted) in [
        ("canary: {of: crm}", "for which calls"),
        ("canary: {of: crm, percent: 120}", "from 0 to 100"),
        ("canary: {of: crm-next, percent: 1}", "beside itself"),
        ("shadow: {of: crm, percent: 1, guard: {minimum: 5}}", "no guard"),
        ("canary: {of: crm, percent: 1}\nshadow: {of: crm, percent: 1}", "one of both"),
        ("canary: {of: crm, percents: 1}", "percents"),
    ] {
        let problems = told(more);
        assert!(problems.iter().any(|problem| problem.contains(wanted)), "{wanted}: {problems:#?}");
    }
    assert_eq!(told("canary: {of: crm, percent: 0.5, tenants: [default]}"), Vec::<String>::new());
    // What only all files together show.
    let less = file("crm-next", address, "canary: {of: crm, percent: 1}");
    let (less, _) = less.split_once("  ticket.find").unwrap();
    let set = |more: Vec<System>| Set::new(more);
    let less = || connectors::load("crm-next.yaml", less).unwrap();
    let both = set(vec![load("crm", address, ""), less()]);
    let [(id, found, _)] = &both.misplaced()[..] else { panic!("{:?}", both.misplaced()) };
    assert_eq!(id.as_str(), "crm-next");
    assert!(found.ends_with("does not offer ticket.create, ticket.find"), "{found}");
    let alone = set(vec![less()]);
    assert!(alone.misplaced()[0].1.contains("a canary of \"crm\", which is no connector in use"));
    let value: Value = json!(
        set(vec![load("crm", address, ""), load("crm-next", address, "canary: {of: crm, percent: 1}")])
            .misplaced()
            .len()
    );
    assert_eq!(value, 0);
}
