//! The outbox over the real store, with a system that has a brain: it keeps a ledger, and it can be slow, dead, or silent
//! after it has done what was asked.

use std::{
    collections::{HashMap, VecDeque},
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use linecard::{
    connectors::{Ask, Idempotency, Outcome},
    private::Private,
    records::{
        Delivery,
        live::{Systems, deliver},
    },
    store::{Batch, CallKey, EffectPut, EffectRow, EffectSet, Settings, State, Store, effect_key},
    words::{CallId, SystemId, TenantId},
};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;

#[derive(Clone, Default)]
struct Fake(Arc<Brain>);

#[derive(Default)]
struct Brain {
    /// Key to how often it was really done.
    ledger: Mutex<HashMap<String, u32>>,
    order: Mutex<Vec<String>>,
    /// What it does with the next requests; when empty, it does what is asked.
    moods: Mutex<VecDeque<Mood>>,
    asked: Notify,
    asks: Mutex<u32>,
    /// Tickets of the one customer there is, newest first, each with what was written to it.
    tickets: Mutex<Vec<(serde_json::Value, Vec<String>)>>,
    /// Before the next answer to `tickets.open` is given, this happens.
    meanwhile: Mutex<Option<Arc<Notify>>>,
}

#[derive(Clone, Copy)]
enum Mood {
    Busy,
    DoneAndSilent,
    Refuses,
    Hangs,
}

impl Systems for Fake {
    fn idempotency(&self, _: &TenantId, system: &SystemId, _: &str) -> Idempotency {
        if system.as_str() == "blind" { Idempotency::None } else { Idempotency::Lookup("ticket.find".to_owned()) }
    }
    fn offers(&self, _: &SystemId, _: &str) -> bool {
        true
    }
    async fn ask(&self, ask: Ask) -> Outcome {
        if ask.operation.starts_with("tickets.") {
            return self.tickets(&ask).await;
        }
        let key = ask.inputs["key"].as_str().unwrap().to_owned();
        let mood = self.0.moods.lock().unwrap().pop_front();
        *self.0.asks.lock().unwrap() += 1;
        self.0.asked.notify_waiters();
        let done = |by_lookup: bool| {
            let mut ledger = self.0.ledger.lock().unwrap();
            // A connector with a lookup looks first, by itself.
            if !(by_lookup && ledger.contains_key(&key)) {
                *ledger.entry(key.clone()).or_default() += 1;
                self.0.order.lock().unwrap().push(key.clone());
                self.write(&ask, &key);
            }
        };
        let looks = ask.system.as_str() != "blind";
        match mood {
            None => {
                done(looks);
                Outcome::Ok(serde_json::json!({"id": "7"}))
            }
            Some(Mood::Busy) => Outcome::Busy { reason: "no connection".to_owned() },
            Some(Mood::Refuses) => Outcome::Invalid { reason: "no".to_owned() },
            Some(Mood::DoneAndSilent) => {
                done(looks);
                Outcome::Unknown { reason: "the answer got lost".to_owned() }
            }
            Some(Mood::Hangs) => {
                done(looks);
                std::future::pending().await
            }
        }
    }
}

impl Fake {
    /// A question: moods are for what is written.
    async fn tickets(&self, ask: &Ask) -> Outcome {
        let open = ask.operation == "tickets.open";
        let list: Vec<_> = self.0.tickets.lock().unwrap().iter().map(|(ticket, _)| ticket.clone()).collect();
        let hold = if open { self.0.meanwhile.lock().unwrap().take() } else { None };
        if let Some(hold) = hold {
            self.0.asked.notify_waiters();
            hold.notified().await;
        }
        let found: Vec<_> = list.into_iter().filter(|ticket| ticket["closed_at"].is_null() == open).collect();
        if found.is_empty() { Outcome::Empty } else { Outcome::Ok(found.into()) }
    }
    fn write(&self, ask: &Ask, key: &str) {
        let mut tickets = self.0.tickets.lock().unwrap();
        let words = format!("{} {key}", ask.operation);
        let target = ask.inputs.get("target").map(|target| target["id"].clone());
        match target.and_then(|id| tickets.iter_mut().find(|(ticket, _)| ticket["id"] == id)) {
            Some((ticket, written)) => {
                written.push(words);
                if ask.operation == "ticket.reopen" {
                    ticket["closed_at"] = serde_json::Value::Null;
                }
            }
            None if ask.inputs.contains_key("instead") => panic!("sent before it was decided"),
            None => tickets.insert(0, (serde_json::json!({"id": format!("new {key}")}), vec![words])),
        }
    }
    fn has(&self, tickets: &[serde_json::Value]) {
        *self.0.tickets.lock().unwrap() = tickets.iter().map(|ticket| (ticket.clone(), Vec::new())).collect();
    }
    /// What was written at each ticket, without the keys.
    fn written(&self) -> Vec<(String, Vec<String>)> {
        let plain = |words: &String| words.split(' ').next().unwrap().to_owned();
        let tickets = self.0.tickets.lock().unwrap();
        let id = |ticket: &serde_json::Value| ticket["id"].as_str().unwrap().split(' ').next().unwrap().to_owned();
        tickets.iter().map(|(ticket, written)| (id(ticket), written.iter().map(plain).collect())).collect()
    }
    fn moods(&self, moods: &[Mood]) {
        self.0.moods.lock().unwrap().extend(moods);
    }
    fn most(&self) -> u32 {
        self.0.ledger.lock().unwrap().values().copied().max().unwrap_or(0)
    }
}

struct Bench {
    folder: PathBuf,
    fake: Fake,
}

struct Running {
    store: Store,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Bench {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("linecard-outbox-{:032x}", rand::random::<u128>()));
        std::fs::create_dir_all(&folder).unwrap();
        Self { folder, fake: Fake::default() }
    }
    fn start(&self) -> Running {
        let store = Store::open(&Settings { path: self.folder.join("linecard.db"), ..Settings::default() }).unwrap();
        let stop = CancellationToken::new();
        let settings = Delivery { backoff_ms: 5, quiet_ms: 20, deadline_ms: 300, grace_ms: 0, ..Delivery::default() };
        let task = tokio::spawn(deliver(store.clone(), self.fake.clone(), settings, stop.clone()));
        Running { store, stop, task }
    }
}
impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Running {
    /// A ticket for the customer, or a word on one that there is.
    async fn reach(&self, n: u64) {
        let mut put = effect(n, "desk", "follow-up");
        let instead = r#"{"append":{},"reopen":{"days":3}}"#;
        let inputs = format!(r#"{{"title":"t","text":"x","customer":{{"id":"1"}},"instead":{instead}}}"#);
        put.row.inputs = inputs.into();
        self.submit(n, vec![put]).await;
    }
    async fn submit(&self, n: u64, puts: Vec<EffectPut>) {
        let set = EffectSet { call: key(n), puts, at: linecard::live::now().wall, adds: false };
        self.store.submit(Batch { effects: vec![set], ..Batch::default() }).await.unwrap();
    }
    async fn put(&self, n: u64, steps: &[(&str, &str)]) -> Vec<String> {
        let puts: Vec<EffectPut> = steps.iter().map(|(system, step)| effect(n, system, step)).collect();
        let keys = puts.iter().map(|put| put.row.key.clone()).collect();
        self.submit(n, puts).await;
        keys
    }
    /// Waits until the call's effects are in these states; the limit is only for a test that fails.
    async fn until(&self, n: u64, wanted: &[State]) -> Vec<EffectRow> {
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        for _ in 0..1_500 {
            tick.tick().await;
            let rows = self.store.history(key(n)).await.unwrap().effects;
            if rows.iter().map(|row| row.state).collect::<Vec<_>>() == wanted {
                return rows;
            }
        }
        panic!("{:?}", self.store.history(key(n)).await.unwrap().effects);
    }
    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

pub fn key(n: u64) -> CallKey {
    CallKey { tenant: TenantId::default(), call: CallId(ulid::Ulid::from_parts(1_795_347_846_000, n.into())) }
}

pub fn effect(n: u64, system: &str, step: &str) -> EffectPut {
    let now = linecard::live::now().wall;
    let (CallKey { tenant, call }, system) = (key(n), SystemId::from(system));
    let key = effect_key(&tenant, call, &system, step);
    let row = EffectRow {
        base: key.clone(),
        key,
        tenant,
        call,
        place: 0,
        step: step.to_owned(),
        system,
        operation: "ticket.create".to_owned(),
        inputs: Private::new("{\"title\":\"t\",\"text\":\"x\"}".to_owned()),
        from_result: Vec::new(),
        revision: 1,
        state: State::Waiting,
        due_at: now,
        born_at: now,
        attempts: 0,
        unsure: false,
        reason: None,
        result: None,
        base_result: None,
        record: None,
        rules_hash: String::new(),
        connector_hash: String::new(),
        version: None,
        fence: 0,
        updated_at: now,
    };
    EffectPut { row, content: "x".into(), amend: None }
}

#[tokio::test]
async fn a_lost_answer_is_looked_up_and_the_ticket_made_once() {
    let bench = Bench::new();
    bench.fake.moods(&[Mood::Busy, Mood::DoneAndSilent, Mood::Busy]);
    let run = bench.start();
    run.put(1, &[("desk", "a")]).await;
    let rows = run.until(1, &[State::Done]).await;
    assert_eq!((rows[0].attempts, rows[0].unsure), (4, false));
    assert_eq!(rows[0].result, Some("{\"id\":\"7\"}".into()));
    assert_eq!(bench.fake.most(), 1);
    run.end().await;
}

#[tokio::test]
async fn where_nobody_can_look_a_person_must() {
    let bench = Bench::new();
    bench.fake.moods(&[Mood::DoneAndSilent]);
    let run = bench.start();
    run.put(1, &[("blind", "a")]).await;
    run.until(1, &[State::Person]).await;
    assert_eq!(bench.fake.most(), 1);
    run.end().await;
}

#[tokio::test]
async fn what_hung_when_the_daemon_stopped_is_done_once_by_the_next_one() {
    let bench = Bench::new();
    bench.fake.moods(&[Mood::Hangs]);
    let run = bench.start();
    let asked = bench.fake.0.asked.notified();
    run.put(1, &[("desk", "a")]).await;
    asked.await;
    run.end().await;
    let run = bench.start();
    run.until(1, &[State::Done]).await;
    assert_eq!(bench.fake.most(), 1);
    run.end().await;

    // The same where nobody can look: it is not sent again.
    bench.fake.moods(&[Mood::Hangs]);
    let run = bench.start();
    let asked = bench.fake.0.asked.notified();
    run.put(2, &[("blind", "a")]).await;
    asked.await;
    run.end().await;
    let run = bench.start();
    run.until(2, &[State::Person]).await;
    assert_eq!(bench.fake.most(), 1);
    run.end().await;
}

#[tokio::test]
async fn a_call_keeps_its_order_and_a_refused_step_ends_with_its_reason() {
    let bench = Bench::new();
    bench.fake.moods(&[Mood::Busy, Mood::Busy]);
    let run = bench.start();
    let keys = run.put(1, &[("desk", "a"), ("redmine", "b"), ("desk", "c")]).await;
    run.until(1, &[State::Done; 3]).await;
    assert_eq!(*bench.fake.0.order.lock().unwrap(), keys);
    bench.fake.moods(&[Mood::Refuses]);
    run.put(2, &[("desk", "a"), ("desk", "b")]).await;
    let rows = run.until(2, &[State::Dead, State::Done]).await;
    assert_eq!(rows[0].reason.as_deref(), Some("invalid: no"));
    run.end().await;
}

#[tokio::test]
async fn a_system_that_hangs_holds_up_no_other() {
    let bench = Bench::new();
    bench.fake.moods(&[Mood::Hangs; 4]);
    let run = bench.start();
    for n in 0..4 {
        let asked = bench.fake.0.asked.notified();
        run.put(n, &[("slow", "a")]).await;
        asked.await;
    }
    run.put(9, &[("desk", "a")]).await;
    run.until(9, &[State::Done]).await;
    let slow = run.store.history(key(0)).await.unwrap().effects[0].state;
    assert!(matches!(slow, State::Claimed | State::Later), "{slow:?}");
    run.end().await;
}

fn days_ago(days: i64) -> String {
    linecard::live::now().wall.plus_ms(-days * 86_400_000).to_string()
}

/// What a ticket got, and what the effect gives to an amendment: always the ticket.
#[tokio::test]
async fn a_call_goes_to_the_newest_open_ticket_else_to_one_just_closed_else_to_a_new_one() {
    use serde_json::json;
    for (there, wanted, result) in [
        (vec![json!({"id": "9"}), json!({"id": "8"})], [("9", "note.add")], "9"),
        (vec![json!({"id": "9", "closed_at": days_ago(1)}), json!({"id": "8"})], [("8", "note.add")], "8"),
        (
            vec![json!({"id": "9", "closed_at": days_ago(2)}), json!({"id": "8", "closed_at": days_ago(1)})],
            [("8", "ticket.reopen")],
            "8",
        ),
        (vec![json!({"id": "9", "closed_at": days_ago(4)})], [("new", "ticket.create")], "7"),
    ] {
        let bench = Bench::new();
        bench.fake.has(&there);
        // The first answer is lost after the deed; it must be found again, and the world looks another way by then.
        bench.fake.moods(&[Mood::DoneAndSilent]);
        let run = bench.start();
        run.reach(1).await;
        let rows = run.until(1, &[State::Done]).await;
        let written: Vec<_> = bench.fake.written().into_iter().filter(|(_, words)| !words.is_empty()).collect();
        let wanted = wanted.map(|(id, word)| (id.to_owned(), vec![word.to_owned()]));
        assert_eq!(written, wanted, "{there:?}");
        assert_eq!((rows[0].attempts, bench.fake.most()), (2, 1));
        let given: serde_json::Value = serde_json::from_str(rows[0].result.as_ref().unwrap().expose()).unwrap();
        assert_eq!(given["id"], result, "{there:?}");
        run.end().await;
    }
}

#[tokio::test]
async fn which_ticket_it_is_is_decided_once_whatever_is_opened_meanwhile() {
    let bench = Bench::new();
    bench.fake.has(&[serde_json::json!({"id": "8"})]);
    // Written, and the daemon dies before it hears so; then a colleague opens another ticket and closes the first.
    bench.fake.moods(&[Mood::Hangs]);
    let run = bench.start();
    let asked = bench.fake.0.asked.notified();
    run.reach(1).await;
    asked.await;
    run.end().await;
    bench.fake.0.tickets.lock().unwrap()[0].0["closed_at"] = days_ago(0).into();
    bench.fake.0.tickets.lock().unwrap().insert(0, (serde_json::json!({"id": "9"}), Vec::new()));
    let run = bench.start();
    let rows = run.until(1, &[State::Done]).await;
    assert_eq!(rows[0].operation, "note.add");
    let wanted = [("9", vec![]), ("8", vec!["note.add".to_owned()])].map(|(id, words)| (id.to_owned(), words));
    assert_eq!(bench.fake.written(), wanted);

    // It dies while it looks: nothing was decided, and nothing written.
    *bench.fake.0.meanwhile.lock().unwrap() = Some(Arc::default());
    let asked = bench.fake.0.asked.notified();
    run.reach(2).await;
    asked.await;
    run.end().await;
    bench.fake.has(&[serde_json::json!({"id": "11"})]);
    let run = bench.start();
    run.until(2, &[State::Done]).await;
    assert_eq!(bench.fake.written(), [("11".to_owned(), vec!["note.add".to_owned()])]);
    run.end().await;
}

#[tokio::test]
async fn calls_of_one_customer_that_were_written_at_once_make_one_ticket() {
    let bench = Bench::new();
    let hold = Arc::new(Notify::new());
    *bench.fake.0.meanwhile.lock().unwrap() = Some(hold.clone());
    let run = bench.start();
    let asked = bench.fake.0.asked.notified();
    run.reach(1).await;
    asked.await;
    run.reach(2).await;
    run.reach(3).await;
    run.until(3, &[State::Later]).await;
    hold.notify_one();
    for n in 1..=3 {
        run.until(n, &[State::Done]).await;
    }
    let wanted = ["ticket.create", "note.add", "note.add"].map(str::to_owned).to_vec();
    assert_eq!(bench.fake.written(), [("new".to_owned(), wanted)]);
    run.end().await;
}
