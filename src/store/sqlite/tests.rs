use crate::{
    private::Private,
    store::{
        Amend, AuditFilter, AuditRow, EffectFilter, EffectPut, EffectSet, FlowFilter, FlowRow, FlowWordRow, Next,
        NoteRow, RecordFilter, RecordRow, State, TraceRow, effect_key,
    },
    words::{CallId, TenantId, Wall},
};

use super::*;

/// A folder that goes when the test ends.
struct Folder(PathBuf);
impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("linecard-store-{:032x}", rand::random::<u128>()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
    fn settings(&self) -> Settings {
        Settings { path: self.0.join("linecard.db"), ..Settings::default() }
    }
    /// What the disk would hold if the process were killed now: a copy of the files as they are.
    fn image(&self, name: &str) -> Settings {
        let to = self.0.join(name);
        std::fs::create_dir_all(&to).unwrap();
        for end in ["", "-wal"] {
            let from = schema::beside(&self.settings().path, end);
            if from.exists() {
                std::fs::copy(&from, schema::beside(&to.join("linecard.db"), end)).unwrap();
            }
        }
        Settings { path: to.join("linecard.db"), ..Settings::default() }
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
fn key(n: u64) -> CallKey {
    CallKey { tenant: TenantId::default(), call: call(n) }
}
fn record(n: u64, revision: u32) -> RecordRow {
    RecordRow {
        tenant: TenantId::default(),
        call: call(n),
        revision,
        schema: 1,
        started_at: Some(Wall(1_000)),
        ended_at: Some(Wall(2_000)),
        direction: Some("inbound".to_owned()),
        outcome: Some("answered".to_owned()),
        queue: None,
        body: Private::new(format!("{{\"revision\":{revision}}}")),
    }
}
fn checkpoint(n: u64) -> CheckpointRow {
    CheckpointRow {
        tenant: TenantId::default(),
        call: call(n),
        switch: "pbx1".into(),
        schema: 1,
        opened_at: Wall(1_000),
        body: "{}".into(),
    }
}
fn effect(n: u64, system: &str, step: &str, text: &str) -> EffectPut {
    let system = system.into();
    let tenant = TenantId::default();
    let key = effect_key(&tenant, call(n), &system, step);
    let row = EffectRow {
        base: key.clone(),
        key,
        tenant,
        call: call(n),
        place: 0,
        step: step.to_owned(),
        system,
        operation: "ticket.create".to_owned(),
        inputs: Private::new(format!("{{\"text\":\"{text}\"}}")),
        from_result: Vec::new(),
        revision: 1,
        state: State::Waiting,
        due_at: Wall(2_000),
        born_at: Wall(2_000),
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
        updated_at: Wall(2_000),
    };
    let amend = Amend {
        operation: "note.add".to_owned(),
        inputs: Private::new(format!("{{\"note\":\"{text}\"}}")),
        from_result: vec![("ticket".to_owned(), "result.id".to_owned())],
        due_at: Wall(2_000),
    };
    EffectPut { row, content: text.into(), amend: Some(amend) }
}
fn set(n: u64, puts: Vec<EffectPut>) -> Batch {
    Batch { effects: vec![EffectSet { call: key(n), puts, at: Wall(2_000), adds: false }], ..Batch::default() }
}
fn claim_at(now: i64) -> Claim {
    Claim { now: Wall(now), lease_ms: 60_000, quiet_ms: 5_000, room: Vec::new(), room_else: 8 }
}
fn settled(row: &EffectRow, next: Next) -> Settled {
    Settled { key: row.key.clone(), fence: row.fence, at: Wall(3_000), next }
}
fn done(row: &EffectRow) -> Settled {
    settled(row, Next::Done { result: Some("{\"id\":42}".into()) })
}
async fn states(store: &Store, n: u64) -> Vec<(String, State)> {
    store.history(key(n)).await.unwrap().effects.into_iter().map(|row| (row.step, row.state)).collect()
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_kill_at_every_step() {
    let folder = Folder::new();
    let store = Store::open(&folder.settings()).unwrap();
    store.submit(Batch { checkpoints: vec![checkpoint(1)], ..Batch::default() }).await.unwrap();
    let image = Store::open(&folder.image("a")).unwrap();
    assert_eq!(image.open_calls().await.unwrap(), [checkpoint(1)]);

    let note = NoteRow {
        tenant: TenantId::default(),
        call: call(1),
        agent: "1001".into(),
        kind: "notes".to_owned(),
        at: Wall(1_500),
        body: "{}".into(),
    };
    store.submit(Batch { notes: vec![note.clone()], ..Batch::default() }).await.unwrap();
    let image = Store::open(&folder.image("b")).unwrap();
    assert_eq!(image.history(key(1)).await.unwrap().notes, [note]);

    let mut end = set(1, vec![effect(1, "redmine", "call-note", "x")]);
    end.records.push(record(1, 1));
    end.closed.push(key(1));
    store.submit(end).await.unwrap();
    let image = Store::open(&folder.image("c")).unwrap();
    let history = image.history(key(1)).await.unwrap();
    assert_eq!(history.record, Some(record(1, 1)));
    assert_eq!(history.checkpoint, None);
    assert_eq!(history.effects.len(), 1);

    let claimed = store.claim(claim_at(2_000)).await.unwrap();
    let image = Store::open(&folder.image("d")).unwrap();
    assert_eq!(image.claim(claim_at(6_999)).await.unwrap(), [], "the request may still be on its way");
    let again = image.claim(claim_at(7_000)).await.unwrap();
    assert_eq!(again.len(), 1);
    assert!(again[0].unsure, "whoever finds it after a kill must look before it writes");

    assert_eq!(store.settle(vec![done(&claimed[0])]).await.unwrap(), 1);
    let image = Store::open(&folder.image("e")).unwrap();
    assert_eq!(states(&image, 1).await, [("call-note".to_owned(), State::Done)]);
}

fn flow_row(n: i64) -> FlowRow {
    FlowRow {
        tenant: TenantId::default(),
        id: format!("flow-{n}"),
        flow: "refund".to_owned(),
        hash: String::new(),
        call: None,
        revision: 0,
        state: String::new(),
        open: true,
        person: false,
        due_at: None,
        born_at: Wall(n),
        updated_at: Wall(n),
        body: String::new().into(),
    }
}

/// Asked of one tenant, the rows of others neither count nor push anything out of a list.
#[tokio::test]
async fn what_is_asked_of_a_tenant_is_that_tenants() {
    let folder = Folder::new();
    let store = Store::open(&folder.settings()).unwrap();
    let flow = |tenant: &str, n: i64| FlowRow { tenant: tenant.into(), ..flow_row(n) };
    let flows = vec![flow("other", 1), flow("default", 2), flow("default", 3)];
    store.submit(Batch { flows, ..set(1, vec![effect(1, "redmine", "a", "x")]) }).await.unwrap();
    let conn = schema::open_beside(store.path()).unwrap();
    for (tenant, at) in [("default", 1), ("other", 2)] {
        let found = "INSERT INTO differences (tenant, key, revision, schema, owner, fence, kind, at, what, place, state, seen_at)
             VALUES (?1, ?1 || '-1', 1, 1, 'x', 1, 'missing', ?2, 'x', 'x', 'open', 1)";
        conn.execute(found, rusqlite::params![tenant, at]).unwrap();
    }
    let reader = Reader::open(&folder.settings()).unwrap();
    let other = TenantId::from("other");
    for (tenant, flow, difference) in [(None, "flow-3", "default-1"), (Some(&other), "flow-1", "other-1")] {
        let filter = FlowFilter { tenant: tenant.cloned(), limit: 1, ..FlowFilter::default() };
        assert_eq!(reader.flows(&filter).unwrap()[0].id, flow);
        assert_eq!(reader.differences(tenant, false, 1).unwrap()[0].id, difference);
    }
    let whole = reader.stats_of(None).unwrap();
    assert_eq!((whole.flows_open, whole.outbox.len(), whole.differences[0].1), (3, 1, 2));
    let of = reader.stats_of(Some(&other)).unwrap();
    assert_eq!((of.flows_open, of.outbox.len(), of.oldest_due, of.differences[0].1), (1, 0, None, 1));
}

#[tokio::test]
async fn flows_that_were_over_long_ago_go_a_few_at_a_time_and_no_other() {
    let folder = Folder::new();
    let store = Store::open(&folder.settings()).unwrap();
    let flow = |n: i64, open: bool, person: bool, at: i64| {
        let body = format!("the number of flow {n}").into();
        FlowRow { open, person, born_at: Wall(at), updated_at: Wall(at), body, ..flow_row(n) }
    };
    let mut flows: Vec<FlowRow> = (0..7).map(|n| flow(n, false, false, 10 + n)).collect();
    // Open, a person's, and over since then.
    flows.extend([flow(7, true, false, 1), flow(8, true, true, 1), flow(9, false, false, 20)]);
    let word = |n: i64| FlowWordRow {
        tenant: TenantId::default(),
        id: format!("word-{n}"),
        flow: format!("flow-{n}"),
        at: Wall(1),
        body: "x".to_owned().into(),
    };
    store.submit(Batch { flows, flow_words: vec![word(0), word(7)], ..Batch::default() }).await.unwrap();
    let gone = [3, 3, 1, 0, 0];
    for wanted in gone {
        assert_eq!(store.prune_flows(Wall(20), 3).await.unwrap(), wanted);
    }
    let left = |store: &Store| {
        let reader = Reader::open(&Settings { path: store.path().to_owned(), ..Settings::default() }).unwrap();
        let all = reader.flows(&FlowFilter { all: true, ..FlowFilter::default() }).unwrap();
        let mut ids: Vec<String> = all.into_iter().map(|row| row.id).collect();
        ids.sort();
        ids
    };
    assert_eq!(left(&store), ["flow-7", "flow-8", "flow-9"]);
    // What was said to an open one waits for it still.
    let (due, _) = store.flows_due(Wall(30), 10, Vec::new()).await.unwrap();
    let words: Vec<(String, usize)> = due.into_iter().map(|due| (due.row.id, due.words.len())).collect();
    assert_eq!(words, [("flow-7".to_owned(), 1)]);
    // An id that went begins anew: `once` knows it no longer.
    store.submit(Batch { flows: vec![flow(0, true, false, 21)], ..Batch::default() }).await.unwrap();
    assert_eq!(left(&store).len(), 4);
}

/// The writer's thread does nothing else meanwhile: how long one step of a large clean-up takes. `cargo test` plays a small one.
#[tokio::test]
async fn a_step_of_pruning_reads_what_it_removes_and_not_the_rest() {
    let folder = Folder::new();
    let store = Store::open(&folder.settings()).unwrap();
    let wanted: i64 = std::env::var("LINECARD_FLOWS").ok().and_then(|n| n.parse().ok()).unwrap_or(2_000);
    for some in (0..wanted).collect::<Vec<_>>().chunks(500) {
        let flows = some.iter().map(|n| FlowRow {
            tenant: TenantId::default(),
            id: format!("flow-{n}"),
            flow: "refund".to_owned(),
            hash: String::new(),
            call: None,
            revision: 0,
            state: "done".to_owned(),
            open: false,
            person: false,
            due_at: None,
            born_at: Wall(*n),
            updated_at: Wall(*n),
            body: "x".repeat(4_000).into(),
        });
        store.submit(Batch { flows: flows.collect(), ..Batch::default() }).await.unwrap();
    }
    let conn = schema::open_beside(&folder.settings().path).unwrap();
    let plan: String = conn
        .query_row(
            "EXPLAIN QUERY PLAN SELECT tenant, key FROM flows WHERE open = 0 AND person = 0 AND updated_at < 9 ORDER BY updated_at LIMIT 9",
            [],
            |row| row.get(3),
        )
        .unwrap();
    assert!(plan.contains("flows_ended"), "{plan}");
    let mut steps = Vec::new();
    loop {
        let began = std::time::Instant::now();
        if store.prune_flows(Wall(wanted), 100).await.unwrap() == 0 {
            break;
        }
        steps.push(began.elapsed());
    }
    steps.sort();
    let (half, last) = (steps[steps.len() / 2], steps[steps.len() - 1]);
    println!("{wanted} flows of 4 KB, {} steps: half of them took at most {half:?}, the longest {last:?}", steps.len());
}

#[tokio::test]
async fn an_older_revision_never_replaces_a_newer_one() {
    let folder = Folder::new();
    let store = Store::open(&folder.settings()).unwrap();
    for revision in [2, 1] {
        store.submit(Batch { records: vec![record(1, revision)], ..Batch::default() }).await.unwrap();
    }
    assert_eq!(store.history(key(1)).await.unwrap().record, Some(record(1, 2)));
}

#[tokio::test]
async fn many_submits_share_few_commits_and_one_bad_batch_harms_no_other() {
    let folder = Folder::new();
    let store = Store::open(&Settings { commit_window_ms: 200, ..folder.settings() }).unwrap();
    let good = (0..32).map(|n| store.submit(Batch { records: vec![record(n, 1)], ..Batch::default() }));
    let answers = futures_util::future::join_all(good).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let stats = store.stats().await.unwrap();
    assert_eq!(stats.batches, 32);
    assert!(stats.commits <= 3, "{stats:?}");

    // A row that SQLite refuses, between two that it takes, in one group.
    let conn = schema::open_beside(store.path()).unwrap();
    conn.execute_batch(
        "CREATE TRIGGER refuse BEFORE INSERT ON records WHEN new.outcome = 'bad' BEGIN SELECT RAISE(ABORT, 'no'); END",
    )
    .unwrap();
    let bad = RecordRow { outcome: Some("bad".to_owned()), ..record(101, 1) };
    let (a, b, c) = tokio::join!(
        store.submit(Batch { records: vec![record(100, 1)], ..Batch::default() }),
        store.submit(Batch { records: vec![record(103, 1), bad], ..Batch::default() }),
        store.submit(Batch { records: vec![record(102, 1)], ..Batch::default() }),
    );
    assert_eq!((a, c), (Ok(()), Ok(())));
    assert!(matches!(b, Err(StoreError::Row { .. })), "{b:?}");
    let has = async |n| store.history(key(n)).await.unwrap().record.is_some();
    assert_eq!((has(100).await, has(101).await, has(103).await, has(102).await), (true, false, false, true));
}

#[tokio::test]
async fn effects_of_a_call_go_one_after_another_and_hold_up_no_other_call() {
    let folder = Folder::new();
    let store = Store::open(&folder.settings()).unwrap();
    store.submit(set(1, vec![effect(1, "redmine", "a", "x"), effect(1, "erp", "b", "x")])).await.unwrap();
    store.submit(set(2, vec![effect(2, "erp", "a", "x")])).await.unwrap();
    let steps = |rows: &[EffectRow]| {
        let mut steps: Vec<String> = rows.iter().map(|row| format!("{} {}", row.call.0.random(), row.step)).collect();
        steps.sort();
        steps
    };
    let first = store.claim(claim_at(2_000)).await.unwrap();
    assert_eq!(steps(&first), ["1 a", "2 a"], "b of call 1 waits for a, though it is for another system");
    let a = first.iter().find(|row| row.call == call(1)).unwrap();
    let later = Next::Later { due_at: Wall(9_000), reason: "busy".to_owned(), unsure: false };
    store.settle(vec![settled(a, later)]).await.unwrap();
    assert_eq!(store.claim(claim_at(8_999)).await.unwrap(), []);
    let again = store.claim(claim_at(9_000)).await.unwrap();
    assert_eq!(steps(&again), ["1 a"]);
    assert!(!again[0].unsure, "it was refused for certain");
    store.settle(vec![done(&again[0])]).await.unwrap();
    assert_eq!(steps(&store.claim(claim_at(9_000)).await.unwrap()), ["1 b"]);
}

#[tokio::test]
async fn room_is_per_system() {
    let folder = Folder::new();
    let store = Store::open(&folder.settings()).unwrap();
    for n in 0..10 {
        let system = if n < 8 { "slow" } else { "quick" };
        store.submit(set(n, vec![effect(n, system, "a", "x")])).await.unwrap();
    }
    let claimed = store.claim(Claim { room: vec![("slow".into(), 1)], ..claim_at(2_000) }).await.unwrap();
    let slow = claimed.iter().filter(|row| row.system.as_str() == "slow").count();
    assert_eq!((slow, claimed.len()), (1, 3));
}

#[tokio::test]
async fn a_settlement_counts_only_under_its_own_fence() {
    let folder = Folder::new();
    let store = Store::open(&folder.settings()).unwrap();
    store.submit(set(1, vec![effect(1, "redmine", "a", "x")])).await.unwrap();
    let old = store.claim(claim_at(2_000)).await.unwrap();
    drop(store);
    let store = Store::open(&folder.settings()).unwrap();
    let new = store.claim(claim_at(10_000)).await.unwrap();
    assert!(new[0].fence > old[0].fence);
    assert_eq!(store.settle(vec![done(&old[0])]).await.unwrap(), 0);
    assert_eq!(states(&store, 1).await, [("a".to_owned(), State::Claimed)]);
    assert_eq!(store.settle(vec![done(&new[0])]).await.unwrap(), 1);
    // Nor may an opener that lost the store write anything.
    let conn = schema::open_beside(store.path()).unwrap();
    let theirs = schema::take_fence(&conn, store.path()).unwrap();
    let refused = store.submit(Batch { records: vec![record(1, 1)], ..Batch::default() }).await;
    assert_eq!(refused, Err(StoreError::Fenced { ours: store.fence(), theirs }));
}

#[tokio::test]
async fn one_daemon_at_a_time() {
    let folder = Folder::new();
    let store = Store::open(&folder.settings()).unwrap();
    assert!(matches!(Store::open(&folder.settings()), Err(StoreError::InUse { .. })));
    drop(store);
    assert!(Store::open(&folder.settings()).is_ok());
}

#[tokio::test]
async fn an_unsent_effect_is_changed_in_place_and_a_sent_one_amended_by_another() {
    let folder = Folder::new();
    let store = Store::open(&folder.settings()).unwrap();
    store.submit(set(1, vec![effect(1, "redmine", "a", "one")])).await.unwrap();
    store.submit(set(1, vec![effect(1, "redmine", "a", "two")])).await.unwrap();
    let claimed = store.claim(claim_at(2_000)).await.unwrap();
    assert_eq!((claimed[0].inputs.expose().as_str(), claimed[0].revision), ("{\"text\":\"two\"}", 2));

    // In flight: it may be there already.
    store.submit(set(1, vec![effect(1, "redmine", "a", "three")])).await.unwrap();
    store.submit(set(1, vec![effect(1, "redmine", "a", "three")])).await.unwrap();
    assert_eq!(states(&store, 1).await, [("a".to_owned(), State::Claimed), ("a~3".to_owned(), State::Waiting)]);
    // The amendment itself is still unsent, so it is changed in place.
    store.submit(set(1, vec![effect(1, "redmine", "a", "four")])).await.unwrap();
    store.settle(vec![done(&claimed[0])]).await.unwrap();
    let amending = store.claim(claim_at(2_000)).await.unwrap();
    assert_eq!(amending.len(), 1);
    assert_eq!(amending[0].operation, "note.add");
    assert_eq!(amending[0].inputs.expose(), "{\"note\":\"four\"}");
    assert_eq!(amending[0].base_result, Some("{\"id\":42}".into()));
    assert_ne!(amending[0].key, claimed[0].key);
    store.settle(vec![done(&amending[0])]).await.unwrap();
    // The same content again asks for nothing.
    store.submit(set(1, vec![effect(1, "redmine", "a", "four")])).await.unwrap();
    assert_eq!(store.claim(claim_at(99_000)).await.unwrap(), []);
}

#[tokio::test]
async fn what_the_amended_record_no_longer_calls_for_is_withdrawn_and_comes_back_if_called_for_again() {
    let folder = Folder::new();
    let store = Store::open(&folder.settings()).unwrap();
    store.submit(set(1, vec![effect(1, "redmine", "a", "x"), effect(1, "redmine", "b", "x")])).await.unwrap();
    let a = store.claim(claim_at(2_000)).await.unwrap();
    store.submit(set(1, Vec::new())).await.unwrap();
    let words = [("a".to_owned(), State::Claimed), ("b".to_owned(), State::Withdrawn)];
    assert_eq!(states(&store, 1).await, words, "what may have been sent stays");
    store.settle(vec![done(&a[0])]).await.unwrap();
    store.submit(set(1, vec![effect(1, "redmine", "b", "y")])).await.unwrap();
    assert_eq!(store.claim(claim_at(2_000)).await.unwrap()[0].inputs.expose(), "{\"text\":\"y\"}");
}

#[tokio::test]
async fn a_person_retries_and_drops_beside_the_running_daemon() {
    let folder = Folder::new();
    let store = Store::open(&folder.settings()).unwrap();
    store.submit(set(1, vec![effect(1, "redmine", "a", "x")])).await.unwrap();
    store.submit(set(2, vec![effect(2, "redmine", "a", "x")])).await.unwrap();
    let claimed = store.claim(claim_at(2_000)).await.unwrap();
    let desk = Reader::open(&folder.settings()).unwrap();
    let refused = desk.drop(&claimed[0].key, "no", "cli", Wall(3_000));
    assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");
    let person = Next::Person { reason: "outcome unknown".to_owned() };
    let dead = Next::Dead { reason: "refused".to_owned(), unsure: false };
    store.settle(vec![settled(&claimed[0], person), settled(&claimed[1], dead)]).await.unwrap();
    assert_eq!(desk.effects(&EffectFilter::default()).unwrap().len(), 2);

    let again = desk.retry(claimed[0].key.get(..12).unwrap(), "cli", Wall(4_000)).unwrap();
    assert_eq!((again.state, again.unsure, again.attempts), (State::Waiting, false, 0));
    desk.drop(&claimed[1].key, "sent by hand", "cli", Wall(4_000)).unwrap();
    let now = store.claim(claim_at(4_000)).await.unwrap();
    assert_eq!(now.iter().map(|row| &row.key).collect::<Vec<_>>(), [&claimed[0].key]);
    // A late fact does not bring back what a person took out.
    let n = claimed[1].call.0.random() as u64;
    store.submit(set(n, vec![effect(n, "redmine", "a", "new")])).await.unwrap();
    assert_eq!(states(&store, n).await, [("a".to_owned(), State::Dropped)]);
    let audit: i64 = desk_count(&desk, "audit");
    assert_eq!(audit, 2);
}

fn desk_count(desk: &Reader, table: &str) -> i64 {
    let conn = schema::open_beside(desk.path()).unwrap();
    conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn a_full_disk_is_told_loses_nothing_and_ends_by_itself() {
    let folder = Folder::new();
    let store = Store::open(&folder.settings()).unwrap();
    store.submit(Batch { records: vec![record(1, 1)], ..Batch::default() }).await.unwrap();
    // The page limit is kept per connection, so the full disk is a statement to the writer's own.
    store.inner.limit_pages(Some(60)).await;
    let body = Private::new("x".repeat(20_000));
    let mut taken = Vec::new();
    let mut refused = None;
    for n in 2..100 {
        let mut batch = set(n, vec![effect(n, "redmine", "a", "x")]);
        batch.records.push(RecordRow { body: body.clone(), ..record(n, 1) });
        match store.submit(batch).await {
            Ok(()) => taken.push(n),
            Err(error) => {
                refused = Some((n, error));
                break;
            }
        }
    }
    let (n, error) = refused.expect("60 pages cannot hold 2 MB");
    assert!(matches!(error, StoreError::DiskFull { .. }) && error.passes(), "{error:?}");
    let history = store.history(key(n)).await.unwrap();
    assert_eq!((history.record, history.effects.len()), (None, 0), "nothing half done");
    for n in &taken {
        assert!(store.history(key(*n)).await.unwrap().record.is_some());
    }
    store.inner.limit_pages(None).await;
    store.submit(Batch { records: vec![RecordRow { body, ..record(n, 1) }], ..Batch::default() }).await.unwrap();
}

#[tokio::test]
async fn a_damaged_file_is_refused_with_a_reason_or_set_aside_and_never_deleted() {
    let folder = Folder::new();
    let store = Store::open(&folder.settings()).unwrap();
    for n in 0..50 {
        store.submit(Batch { records: vec![record(n, 1)], ..Batch::default() }).await.unwrap();
    }
    drop(store);
    let path = folder.settings().path;
    let whole = std::fs::read(&path).unwrap();
    for (name, bytes) in [
        ("no database", b"this was a letter to my aunt".repeat(40)),
        ("cut", whole[..whole.len() / 2].to_vec()),
        ("a page of zeros", [&whole[..4096], &[0; 4096][..], &whole[8192..]].concat()),
    ] {
        std::fs::write(&path, &bytes).unwrap();
        let refused = Store::open(&folder.settings()).err();
        assert!(matches!(refused, Some(StoreError::Damaged { .. })), "{name}: {refused:?}");
        assert_eq!(std::fs::read(&path).unwrap().len(), bytes.len(), "{name}: untouched");
    }
    let store = Store::open(&Settings { on_damage: OnDamage::SetAside, ..folder.settings() }).unwrap();
    assert!(store.set_aside().unwrap().exists());
    store.submit(Batch { records: vec![record(1, 1)], ..Batch::default() }).await.unwrap();
}

#[tokio::test]
async fn a_newer_file_is_refused_unless_it_says_that_this_program_may() {
    let folder = Folder::new();
    drop(Store::open(&folder.settings()).unwrap());
    let conn = rusqlite::Connection::open(folder.settings().path).unwrap();
    conn.execute_batch("PRAGMA user_version = 1000; UPDATE meta SET value = 1000 WHERE name = 'compatible_from'")
        .unwrap();
    assert!(matches!(Store::open(&folder.settings()), Err(StoreError::Newer { found: 1000, .. })));
    conn.execute_batch("UPDATE meta SET value = 1 WHERE name = 'compatible_from'").unwrap();
    assert!(Store::open(&folder.settings()).is_ok());
}

#[tokio::test]
async fn records_are_listed_newest_first_and_audit_is_kept() {
    let folder = Folder::new();
    let store = Store::open(&folder.settings()).unwrap();
    for n in 0..3 {
        let row = RecordRow { ended_at: Some(Wall(n as i64)), ..record(n, 1) };
        store.submit(Batch { records: vec![row], ..Batch::default() }).await.unwrap();
    }
    let audit = AuditRow {
        tenant: TenantId::default(),
        at: Wall(1),
        who: "1001".to_owned(),
        what: "customer.chosen".to_owned(),
        about: call(1).to_string(),
        reason: None,
    };
    store.submit(Batch { audit: vec![audit], ..Batch::default() }).await.unwrap();
    let desk = Reader::open(&folder.settings()).unwrap();
    let listed = desk.records(&RecordFilter { limit: 2, ..RecordFilter::default() }).unwrap();
    assert_eq!(listed.iter().map(|row| row.call).collect::<Vec<_>>(), [call(2), call(1)]);
    assert_eq!(desk_count(&desk, "audit"), 1);
    let found = |who: &str, what: &str, about: &str| {
        let part = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let filter = AuditFilter { tenant: None, who: part(who), what: part(what), about: part(about), limit: 9 };
        desk.audit(&filter).unwrap().len()
    };
    assert_eq!((found("", "", ""), found("1001", "customer.*", &call(1).to_string())), (1, 1));
    assert_eq!(
        (found("1002", "", ""), found("", "customer", ""), found("", "", "x"), found("", "call.*", "")),
        (0, 0, 0, 0)
    );
    assert!(matches!(desk.record(call(77)), Err(StoreError::Missing { .. })));
}

/// A full outbox stays quick only if each question of the hot path has an index: an earlier shape scanned every effect ever made.
#[tokio::test]
async fn the_outbox_never_scans_what_is_done() {
    let folder = Folder::new();
    drop(Store::open(&folder.settings()).unwrap());
    let conn = schema::open_beside(&folder.settings().path).unwrap();
    let plan = |sql: &str| {
        let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let lines: Vec<String> = plan.query_map([], |row| row.get(3)).unwrap().map(Result::unwrap).collect();
        lines.join("; ")
    };
    for (sql, index) in [
        (
            "SELECT key FROM effects WHERE system = 'a' AND state IN ('waiting', 'claimed', 'later') AND (
                 (state IN ('waiting', 'later') AND due_at <= 2) OR (state = 'claimed' AND lease <= 2)) ORDER BY due_at",
            "effects_open",
        ),
        ("UPDATE effects SET lease = NULL WHERE key = 'a' AND state = 'claimed' AND fence = 2", "sqlite_autoindex_effects_1"),
        ("SELECT key FROM effects WHERE tenant = 'a' AND call = 'b' AND state IN ('waiting', 'later')", "effects_call"),
        ("SELECT body FROM records WHERE key = 'a'", "sqlite_autoindex_records_1"),
    ] {
        let plan = plan(sql);
        assert!(plan.contains(index) && !plan.contains("SCAN"), "{sql}: {plan}");
    }
}

/// Not a test of right or wrong: run it by name with `--release -- --ignored --nocapture` for the figure.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, not a check"]
async fn measure_commits() {
    let folder = Folder::new();
    let store = Store::open(&folder.settings()).unwrap();
    let body = Private::new("x".repeat(1_500));
    let start = std::time::Instant::now();
    let each = 500;
    let tasks: Vec<_> = (0..64u64)
        .map(|task| {
            let (store, body) = (store.clone(), body.clone());
            tokio::spawn(async move {
                for n in 0..each {
                    let n = task * each + n;
                    let mut batch = set(n, vec![effect(n, "redmine", "a", "x")]);
                    batch.records.push(RecordRow { body: body.clone(), ..record(n, 1) });
                    batch.closed.push(key(n));
                    store.submit(batch).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let took = start.elapsed().as_secs_f64();
    let stats = store.stats().await.unwrap();
    let batches = stats.batches;
    println!("{:.0} batches/s, {:.0} commits/s, {batches} batches", batches as f64 / took, stats.commits as f64 / took);
}

/// The newest story of a call is told, and what is past its time goes while others are written.
#[tokio::test]
async fn stories_are_told_until_their_time_is_over() {
    let folder = Folder::new();
    let store = Store::open(&folder.settings()).unwrap();
    let tell = |n: u64, at: i64, body: &str| Batch {
        traces: vec![TraceRow {
            tenant: TenantId::default(),
            call: call(n),
            at: Wall(at),
            until: Wall(at + 1_000),
            body: body.into(),
        }],
        ..Batch::default()
    };
    for n in 0..10 {
        store.submit(tell(n, 0, "{\"first\":1}")).await.unwrap();
    }
    store.submit(tell(0, 500, "{\"second\":2}")).await.unwrap();
    let reader = Reader::open(&folder.settings()).unwrap();
    assert_eq!(reader.trace(call(0)).unwrap().expose(), "{\"second\":2}");
    assert_eq!(reader.trace(call(9)).unwrap().expose(), "{\"first\":1}");
    // At 1,200 nine are over and the second telling of the first is not.
    for n in 20..23 {
        store.submit(tell(n, 1_200, "{}")).await.unwrap();
    }
    let left: Vec<u64> = (0..10).filter(|n| reader.trace(call(*n)).is_ok()).collect();
    assert_eq!(left, [0]);
    assert!(matches!(reader.trace(call(5)), Err(StoreError::Missing { .. })));
}

#[tokio::test]
async fn whom_to_call_back_is_there_until_it_is_over() {
    let folder = Folder::new();
    let store = Store::open(&folder.settings()).unwrap();
    let row = |n: u64, open: bool, body: &str| CallbackRow {
        tenant: "default".into(),
        id: call(n),
        at: Wall(5),
        open,
        body: body.into(),
    };
    let both = Batch { callbacks: vec![row(2, true, "b"), row(1, true, "a")], ..Batch::default() };
    store.submit(both).await.unwrap();
    assert_eq!(store.callbacks().await.unwrap(), [row(1, true, "a"), row(2, true, "b")]);
    // The last word of one batch counts.
    let later = Batch { callbacks: vec![row(1, true, "c"), row(1, false, "d"), row(2, true, "e")], ..Batch::default() };
    store.submit(later).await.unwrap();
    assert_eq!(store.callbacks().await.unwrap(), [row(2, true, "e")]);
}

#[tokio::test]
async fn a_choice_for_a_number_and_the_last_call_with_a_customer_are_kept_and_never_go_back() {
    let folder = Folder::new();
    let store = Store::open(&folder.settings()).unwrap();
    let call = call(1);
    let choice = |customer: Option<&str>, at: i64| ChoiceRow {
        tenant: "default".into(),
        number: "+8613800138000".into(),
        customer: customer.map(str::to_owned),
        call,
        agent: "1001".into(),
        at: Wall(at),
    };
    let contact = |at: i64| ContactRow {
        tenant: "default".into(),
        customer: "erp:customer:1".to_owned(),
        call,
        agent: Some("1001".into()),
        at: Wall(at),
    };
    let recall = |tenant: &str| {
        let customers = vec!["erp:customer:1".to_owned(), "erp:customer:2".to_owned()];
        store.recall(tenant.into(), Some("+8613800138000".into()), customers)
    };
    let first =
        Batch { choices: vec![choice(Some("erp:customer:1"), 5)], contacts: vec![contact(5)], ..Batch::default() };
    store.submit(first).await.unwrap();
    let late =
        Batch { choices: vec![choice(Some("erp:customer:2"), 4)], contacts: vec![contact(4)], ..Batch::default() };
    store.submit(late).await.unwrap();
    let (chosen, contacts) = recall("default").await.unwrap();
    assert_eq!((chosen, contacts), (Some(choice(Some("erp:customer:1"), 5)), vec![contact(5)]));
    let other = recall("other").await.unwrap();
    assert_eq!(other, (None, Vec::new()), "another tenant's are another's");
    store.submit(Batch { choices: vec![choice(None, 6)], ..Batch::default() }).await.unwrap();
    assert_eq!(recall("default").await.unwrap().0, None, "taken back");
}
