//! What is held of a person is shown whole, and after an erasure it is nowhere: not in a row, and not in a byte of the store's files.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use linecard::daemon::demo::story::Story;
use linecard::{
    numbers::{Plan, Sought},
    privacy::trail,
    store::{
        AuditFilter, AuditRow, Batch, CallKey, CallbackRow, ChoiceRow, Claim, ContactRow, EffectPut, EffectRow,
        EffectSet, Ended, FlowRow, FlowWordRow, Next, NoteRow, OperationRow, Reader, RecordRow, Settings, Settled,
        State, Store, TimeRow, TraceRow, effect_key,
    },
    words::{CallId, TenantId, Wall},
};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_linecard");
const DAY: i64 = 86_400_000;
/// Long before any test runs.
const THEN: Wall = Wall(1_795_347_846_000);
const NOW: Wall = Wall(THEN.0 + DAY);

struct Folder(PathBuf);
impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("linecard-holdings-{:032x}", rand::random::<u128>()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
    fn settings(&self) -> Settings {
        Settings { path: self.0.join("linecard.db"), ..Settings::default() }
    }
    /// Whether a text stands in any file, as bytes; with what stands around it.
    fn around(&self, text: &str) -> Option<String> {
        let files = std::fs::read_dir(&self.0).unwrap().map(|file| file.unwrap().path());
        files.into_iter().find_map(|path| {
            let bytes = std::fs::read(&path).unwrap_or_default();
            let at = bytes.windows(text.len()).position(|w| w == text.as_bytes())?;
            let near = bytes.get(at.saturating_sub(60)..(at + 60).min(bytes.len())).unwrap_or_default();
            Some(format!("{} at {at}: {}", path.display(), String::from_utf8_lossy(near)))
        })
    }
    fn holds(&self, text: &str) -> bool {
        self.around(text).is_some()
    }
}
impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn call(n: u64) -> CallId {
    CallId(ulid::Ulid::from_parts(1_795_347_846_000, n.into()))
}

fn record(n: u64, raw: &str, e164: &str, name: &str, ended: Wall) -> RecordRow {
    let body = json!({"record": 1, "revision": 1, "call": call(n), "tenant": "default", "switch": "pbx1", "direction": "inbound",
        "origin": "phone", "customer": {"raw": raw, "e164": e164, "class": "mobile", "name": name,
            "links": [{"system": "erp", "type": "customer", "id": "C7"}]},
        "dialled": {"raw": "4008001234", "class": "service"}, "outcome": "answered", "end": "seen", "ended_at": ended, "talk_ms": 61_000,
        "agents": ["1001"], "parties": [{"id": "p1", "role": "customer", "number": raw}, {"id": "p2", "role": "agent", "agent": "1001"}],
        "wrapups": [{"agent": "1001", "disposition": ["order"], "notes": format!("{name} pays friday")}],
        "attributes": {"ivr.account": format!("account of {name}")}, "quality": "exact", "segments": [],
        "recordings": [{"id": format!("{raw}.wav"), "uri": format!("file:///r/{raw}.wav"), "state": "recorded"}]});
    RecordRow {
        tenant: TenantId::default(),
        call: call(n),
        revision: 1,
        schema: 1,
        started_at: Some(ended),
        ended_at: Some(ended),
        direction: Some("inbound".to_owned()),
        outcome: Some("answered".to_owned()),
        queue: None,
        body: body.to_string().into(),
    }
}

fn effect(n: u64, step: &str, inputs: &Value) -> EffectSet {
    let (tenant, system) = (TenantId::default(), "erp".into());
    let key = effect_key(&tenant, call(n), &system, step);
    let row = EffectRow {
        base: key.clone(),
        key,
        tenant: tenant.clone(),
        call: call(n),
        place: 0,
        step: step.to_owned(),
        system,
        operation: "note.add".to_owned(),
        inputs: inputs.to_string().into(),
        from_result: Vec::new(),
        revision: 1,
        state: State::Waiting,
        due_at: THEN,
        born_at: THEN,
        attempts: 0,
        unsure: false,
        reason: None,
        result: None,
        base_result: None,
        record: None,
        rules_hash: "r".to_owned(),
        connector_hash: "c".to_owned(),
        version: None,
        fence: 0,
        updated_at: THEN,
    };
    let put = EffectPut { row, content: inputs.to_string().into(), amend: None };
    EffectSet { call: CallKey { tenant, call: call(n) }, puts: vec![put], at: THEN, adds: true }
}

fn flow(n: u64, open: bool) -> FlowRow {
    FlowRow {
        tenant: TenantId::default(),
        id: format!("flow-{n}"),
        flow: "refund".to_owned(),
        hash: "h".to_owned(),
        call: Some(call(n)),
        revision: 0,
        state: if open { "running" } else { "done" }.to_owned(),
        open,
        person: false,
        due_at: None,
        born_at: THEN,
        updated_at: THEN,
        body: json!({"inputs": {"iban": "zhao-secret-account"}}).to_string().into(),
    }
}

/// One call of Zhao Li (1), one of somebody else that speaks of her (2), one of somebody else that does not (3).
async fn told(store: &Store) {
    let tenant = TenantId::default;
    let note = |n, text: &str| NoteRow {
        tenant: tenant(),
        call: call(n),
        agent: "1001".into(),
        kind: "notes".to_owned(),
        at: THEN,
        body: json!({"text": text}).to_string().into(),
    };
    let trace = |n, body: Value| TraceRow {
        tenant: tenant(),
        call: call(n),
        at: THEN,
        until: Wall(i64::MAX),
        body: body.to_string().into(),
    };
    let batch = Batch {
        records: vec![
            record(1, "138 0013 8000", "+8613800138000", "赵丽", THEN),
            record(2, "13900139000", "+8613900139000", "钱进", THEN),
            record(3, "13700137000", "+8613700137000", "孙悦", THEN),
        ],
        notes: vec![
            note(1, "zhao wants her money back"),
            note(2, "his wife is at 138-0013-8000, ask her"),
            note(3, "nothing"),
        ],
        effects: vec![
            effect(1, "done", &json!({"text": "zhao done", "number": "13800138000"})),
            effect(1, "dead", &json!({"text": "zhao dead"})),
            effect(2, "done", &json!({"text": "wife 013800138000"})),
        ],
        traces: vec![trace(1, json!({"number": {"raw": "13800138000"}})), trace(3, json!({"x": 1}))],
        callbacks: vec![CallbackRow {
            tenant: tenant(),
            id: call(1),
            at: THEN,
            open: false,
            body: json!({"number": "13800138000", "name": "赵丽"}).to_string().into(),
        }],
        choices: vec![ChoiceRow {
            tenant: tenant(),
            number: "+8613800138000".into(),
            customer: Some("erp:customer:C7".to_owned()),
            call: call(1),
            agent: "1001".into(),
            at: THEN,
        }],
        contacts: vec![ContactRow {
            tenant: tenant(),
            customer: "erp:customer:C7".to_owned(),
            call: call(1),
            agent: Some("1001".into()),
            at: THEN,
        }],
        // One that no call began: a webhook named her.
        flows: vec![
            flow(1, false),
            FlowRow {
                call: None,
                id: "flow-9".to_owned(),
                body: json!({"event": {"phone": "13800138000", "name": "赵丽"}}).to_string().into(),
                ..flow(1, false)
            },
        ],
        flow_words: vec![FlowWordRow {
            tenant: tenant(),
            id: "w1".to_owned(),
            flow: "flow-9".to_owned(),
            at: THEN,
            body: json!({"answer": "she is at 13800138000"}).to_string().into(),
        }],
        ..Batch::default()
    };
    store.submit(batch).await.unwrap();
    // Each is settled: two are done with an answer that names her, one is given up.
    let claim = Claim { now: THEN, lease_ms: 60_000, quiet_ms: 0, room: Vec::new(), room_else: 8 };
    loop {
        let claimed = store.claim(claim.clone()).await.unwrap();
        if claimed.is_empty() {
            break;
        }
        let settle = |row: &EffectRow| {
            let next = match row.step.as_str() {
                "dead" => Next::Dead { reason: "refused: zhao".to_owned(), unsure: false },
                _ if row.call == call(1) => Next::Done { result: Some(json!({"customer": "zhao"}).to_string().into()) },
                _ => Next::Done { result: Some(json!({"customer": "qian, or 13800138000"}).to_string().into()) },
            };
            Settled { key: row.key.clone(), fence: row.fence, at: THEN, next }
        };
        store.settle(claimed.iter().map(settle).collect()).await.unwrap();
    }
}

fn find(reader: &Reader, sought: &Sought) -> (Vec<linecard::store::held::Held>, BTreeSet<CallId>) {
    let tenant = TenantId::default();
    let named = reader.held(&tenant, &BTreeSet::new(), &|text| sought.stands_in(text)).unwrap();
    let calls = trail::calls_of(&named, sought).unwrap();
    (reader.held(&tenant, &calls, &|text| sought.stands_in(text)).unwrap(), calls)
}

fn audit() -> AuditRow {
    AuditRow {
        tenant: TenantId::default(),
        at: NOW,
        who: "cli".to_owned(),
        what: "people.erase".to_owned(),
        about: String::new(),
        reason: Some("asked".to_owned()),
    }
}

#[tokio::test]
async fn what_is_erased_is_in_no_byte_of_the_store_and_what_is_others_stays() {
    let folder = Folder::new();
    let store = Store::open(&folder.settings()).unwrap();
    told(&store).await;
    let reader = Reader::open(&folder.settings()).unwrap();
    let sought = Sought::new(&Plan::new("CN", None), "0086-13800138000").unwrap();

    let (held, calls) = find(&reader, &sought);
    assert_eq!(calls, [call(1)].into());
    let shown = trail::export(&TenantId::default(), sought.number(), &held, &calls, NOW);
    for (kind, n) in [
        ("records", 1),
        ("notes", 1),
        ("outbox entries", 2),
        ("traces", 1),
        ("callbacks", 1),
        ("choices", 1),
        ("last contacts", 1),
        ("flows", 2),
    ] {
        assert_eq!(shown["held"][kind].as_array().map(Vec::len), Some(n), "{kind} {shown:#}");
    }
    assert_eq!(shown["held"]["records"][0]["body"]["customer"]["name"], "赵丽");
    assert_eq!(shown["named_elsewhere"]["notes"][0]["body"]["text"], "his wife is at 138-0013-8000, ask her");

    let plan = trail::plan(held, &calls, &sought, NOW, false).unwrap();
    assert_eq!(plan.recordings, [(call(1), "pbx1".to_owned(), "138 0013 8000.wav".to_owned())]);
    assert_eq!(plan.report.emptied, [("records", 1), ("outbox entries", 2)].into());
    assert_eq!(plan.report.taken_out_of, [("notes", 1), ("outbox entries", 1)].into());
    // The daemon has the file open beside it.
    reader.erase(&plan.changes, &audit()).unwrap();

    for text in ["13800138000", "138-0013-8000", "138 0013 8000", "赵丽", "zhao"] {
        assert_eq!(folder.around(text), None, "{text}");
    }
    for text in ["钱进", "孙悦", "13900139000", "his wife is at (erased), ask her", "qian, or (erased)"] {
        assert!(folder.holds(text), "{text} is gone");
    }
    let kept: Value = serde_json::from_str(reader.record(call(1)).unwrap().body.expose()).unwrap();
    assert_eq!(kept["customer"], json!({"class": "mobile"}));
    assert_eq!(
        (&kept["talk_ms"], &kept["agents"], &kept["outcome"]),
        (&json!(61_000), &json!(["1001"]), &json!("answered"))
    );
    assert_eq!(kept["wrapups"], json!([{"agent": "1001", "disposition": ["order"]}]));
    assert_eq!(kept["dialled"]["raw"], "4008001234");
    assert!(!kept["erased_at"].is_null());
    // What was done stays done: its key is there, and what was given up cannot be sent again.
    let effects = reader.history(&TenantId::default(), call(1)).unwrap().effects;
    let states: Vec<(&str, State)> = effects.iter().map(|row| (row.step.as_str(), row.state)).collect();
    assert_eq!(states, [("done", State::Done), ("dead", State::Dropped)]);
    assert_eq!(reader.audit(&AuditFilter { limit: 9, ..AuditFilter::default() }).unwrap(), [audit()]);

    // Whoever had the call in memory writes nothing of it any more, and what was given up is not sent.
    let mut late = record(1, "13800138000", "+8613800138000", "赵丽", THEN);
    late.revision = 9;
    let note = NoteRow {
        tenant: TenantId::default(),
        call: call(1),
        agent: "1001".into(),
        kind: "notes".to_owned(),
        at: NOW,
        body: json!({"text": "zhao again"}).to_string().into(),
    };
    let late = Batch {
        records: vec![late],
        notes: vec![note],
        effects: vec![effect(1, "new", &json!({"text": "zhao"}))],
        ..Batch::default()
    };
    store.submit(late).await.unwrap();
    assert_eq!((folder.around("赵丽"), folder.around("zhao")), (None, None));
    for (step, again) in [("dead", false), ("done", true)] {
        let key = &effects.iter().find(|row| row.step == step).unwrap().key;
        let refused = if again { reader.again(key, "cli", NOW) } else { reader.retry(key, "cli", NOW) };
        assert!(refused.unwrap_err().to_string().contains("erased"), "{step}");
    }
    // Once more: nothing is left to find but the emptied call, of whom nobody knows.
    let (held, calls) = find(&reader, &sought);
    assert_eq!((held.len(), calls.len()), (0, 0));
}

#[tokio::test]
async fn what_is_not_over_stands_in_the_way_and_nothing_is_erased_then() {
    let folder = Folder::new();
    let store = Store::open(&folder.settings()).unwrap();
    told(&store).await;
    let more = Batch {
        records: vec![record(4, "13800138000", "+8613800138000", "赵丽", NOW.plus_ms(-60_000))],
        effects: vec![effect(4, "waits", &json!({"text": "zhao waits"}))],
        flows: vec![flow(4, true)],
        ..Batch::default()
    };
    store.submit(more).await.unwrap();
    let reader = Reader::open(&folder.settings()).unwrap();
    let sought = Sought::new(&Plan::new("CN", None), "13800138000").unwrap();
    let (held, calls) = find(&reader, &sought);
    let why = trail::plan(held.clone(), &calls, &sought, NOW, false).unwrap_err().join("\n");
    for told in ["ended a moment ago", "waits to be delivered", "flow flow-4 of call"] {
        assert!(why.contains(told), "{told}: {why}");
    }
    let why = trail::plan(held.clone(), &calls, &sought, NOW, true).unwrap_err().join("\n");
    assert!(!why.contains("waits to be delivered"), "{why}");
    // A line of the house is nobody's number.
    let line = Sought::new(&Plan::new("CN", None), "4008001234").unwrap();
    let named = reader.held(&TenantId::default(), &BTreeSet::new(), &|text| line.stands_in(text)).unwrap();
    assert!(trail::calls_of(&named, &line).is_err());
    // A row that changed since it was read: all or nothing.
    let later = NOW.plus_ms(DAY);
    let held: Vec<_> = held.into_iter().filter(|row| row.call != Some(call(4))).collect();
    let plan = trail::plan(held, &calls, &sought, later, false).unwrap();
    let mut changed = record(1, "13800138000", "+8613800138000", "赵丽", THEN);
    changed.revision = 2;
    store.submit(Batch { records: vec![changed], ..Batch::default() }).await.unwrap();
    assert!(reader.erase(&plan.changes, &audit()).unwrap_err().to_string().contains("changed while it was read"));
    assert!(folder.holds("zhao wants her money back"));
}

#[tokio::test]
async fn what_is_older_than_a_tenant_keeps_goes_and_what_is_still_to_be_done_stays() {
    let folder = Folder::new();
    let store = Store::open(&folder.settings()).unwrap();
    told(&store).await;
    let more = Batch {
        records: vec![
            record(4, "13600136000", "+8613600136000", "李", THEN),
            record(5, "13600136001", "+8613600136001", "周", NOW),
        ],
        effects: vec![effect(4, "waits", &json!({"text": "li waits"}))],
        audit: vec![AuditRow { at: THEN, ..audit() }, audit()],
        operations: vec![by_hand(1), by_hand(5)],
        times: [THEN, NOW].map(state).to_vec(),
        ..Batch::default()
    };
    store.submit(more).await.unwrap();
    let tenant = TenantId::default;
    let (before, other) = (Some(NOW), TenantId::from("other"));
    assert_eq!(store.prune(other, before, before, 10).await.unwrap(), (0, 0), "another tenant's");
    // In steps: no commit takes them all.
    let mut gone = Vec::new();
    loop {
        let step = store.prune(tenant(), before, before, 2).await.unwrap();
        if step == (0, 0) {
            break;
        }
        gone.push(step);
    }
    assert_eq!(gone, [(2, 1), (1, 0)]);
    let reader = Reader::open(&folder.settings()).unwrap();
    for n in 1..=3 {
        assert!(reader.record(call(n)).is_err() && reader.trace(call(n)).is_err(), "{n}");
        let history = reader.history(&tenant(), call(n)).unwrap();
        assert!(history.notes.is_empty() && history.effects.is_empty(), "{n}");
    }
    assert!(reader.record(call(4)).is_ok(), "something of it waits still");
    assert!(reader.record(call(5)).is_ok(), "it is young");
    assert_eq!(reader.audit(&AuditFilter { limit: 9, ..AuditFilter::default() }).unwrap(), [audit()]);
    let mut counted = Vec::new();
    let seen = |ended: Ended<'_>| counted.extend(ended.operations.map(|what| (ended.call.to_owned(), what.to_owned())));
    reader.ended(Wall(0), Wall(i64::MAX), seen).unwrap();
    assert_eq!(counted, [(call(5).to_string(), "number-copied=2".to_owned())]);
    assert_eq!(reader.times("0", "9").unwrap(), [state(NOW)]);
}

fn by_hand(n: u64) -> OperationRow {
    let kind = "number-copied".to_owned();
    OperationRow { tenant: TenantId::default(), call: call(n), agent: "1001".into(), kind, count: 2, at: THEN }
}

/// Of the day of that moment.
fn state(at: Wall) -> TimeRow {
    let day = at.to_string().get(..10).unwrap().to_owned();
    TimeRow { tenant: TenantId::default(), agent: "1001".into(), day, state: "ready".to_owned(), ms: 1_000 }
}

fn verb(config: &Path, words: &[&str]) -> (bool, String, String) {
    let output = Command::new(PROGRAM).args(words).arg("--config").arg(config).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_exports_and_erases_while_the_daemon_runs_and_it_asks_anew() {
    let mut desk = crate::daemon::Desk::set(0.3).await;
    desk.start(None).await;
    let caller = "13800138000";
    desk.pbx.play(Story::Answered, caller, None).unwrap();
    desk.until("the call is written down", |desk| desk.records().len() == 1).await;
    let nothing_waits = |desk: &crate::daemon::Desk| {
        let waits = desk.stage.verb(Path::new(PROGRAM), &["outbox", "list"]).unwrap();
        waits.trim() == "nothing waits"
    };
    desk.until("what follows from it is delivered", nothing_waits).await;
    let config = desk.stage.settings().to_owned();

    let (good, shown, told) = verb(&config, &["people", "export", caller]);
    assert!(good, "{told}");
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["calls"], shown["held"]["records"].as_array().map(Vec::len)), (&json!(1), Some(1)), "{shown:#}");

    // It ended a moment ago: the daemon has it in hand.
    let erase = ["people", "erase", caller, "--why", "asked"];
    let (good, _, told) = verb(&config, &erase);
    assert!(!good && told.contains("a moment ago") && !told.contains(caller), "{told}");

    let store_file = desk.folder.join("store/linecard.db");
    let store = rusqlite::Connection::open(&store_file).unwrap();
    store.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    store.execute("UPDATE records SET ended_at = ended_at - 86400000", []).unwrap();
    let (good, said, told) = verb(&config, &erase);
    assert!(good, "{said}{told}");
    assert!(said.starts_with("1 call: emptied 1 records"), "{said}");
    // The demo's systems were asked for the customer and for what is told of her.
    let dropped =
        said.lines().find_map(|line| line.strip_prefix("the daemon dropped ")?.split(' ').next()?.parse::<u32>().ok());
    assert!(dropped.is_some_and(|n| n >= 2), "{said}");
    let files: Vec<PathBuf> = ["", "-wal"].map(|end| PathBuf::from(format!("{}{end}", store_file.display()))).into();
    for file in files {
        let bytes = std::fs::read(&file).unwrap_or_default();
        for text in [caller, "陈静", "138-0013-8000"] {
            assert!(!bytes.windows(text.len()).any(|w| w == text.as_bytes()), "{text} stands in {}", file.display());
        }
    }
    // Who calls again is a customer like any other.
    desk.pbx.play(Story::Answered, caller, None).unwrap();
    desk.until("the next call is written down", |desk| desk.records().len() == 2).await;
    let audit = desk.stage.verb(Path::new(PROGRAM), &["audit", "--what", "people.*", "--json"]).unwrap();
    let whats: Vec<Value> =
        audit.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["what"].take()).collect();
    assert_eq!(whats, ["people.erase", "people.export"], "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_shown_a_customer_is_on_record_once_for_each_call() {
    let mut desk = crate::daemon::Desk::set(0.3).await;
    let settings = desk.stage.settings().join("linecard.yaml");
    let text = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(&settings, text + "\npeople: {views: [default]}\n").unwrap();
    desk.start(None).await;
    let viewed = |desk: &crate::daemon::Desk| -> Vec<Value> {
        let rows = desk.stage.verb(Path::new(PROGRAM), &["audit", "--what", "customer.viewed", "--json"]).unwrap();
        rows.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    // Nobody looks: no page is open.
    desk.pbx.play(Story::Answered, "13800138000", Some(0)).unwrap();
    desk.until("the first call is written down", |desk| desk.records().len() == 1).await;
    assert_eq!(viewed(&desk), Vec::<Value>::new());

    let mut screen = crate::privacy::Screen::of(&desk, "1001").await;
    desk.pbx.play(Story::Answered, "13800138000", Some(0)).unwrap();
    screen.hear("pop").await;
    desk.until("the second call is written down", |desk| desk.records().len() == 2).await;
    desk.until("the view is on record", |desk| !viewed(desk).is_empty()).await;
    let rows = viewed(&desk);
    let call = desk.records()[0]["call"].as_str().unwrap().to_owned();
    assert!(rows.iter().all(|row| row["who"] == "1001"), "{rows:?}");
    // The first call's wrap-up was still to be written when the page was opened: it is shown with its customer.
    let of = |row: &Value| (row["about"].as_str().unwrap().to_owned(), row["reason"].as_str().unwrap().to_owned());
    let each: BTreeSet<(String, String)> = rows.iter().map(of).collect();
    assert_eq!(each.len(), rows.len(), "once each: {rows:?}");
    assert!(
        each.iter().any(|(about, why)| about.starts_with("erp:customer:") && *why == format!("pop, call {call}")),
        "{rows:?}"
    );
    assert!(!rows.iter().any(|row| row.to_string().contains("13800138000")), "{rows:?}");
}
