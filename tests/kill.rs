//! SIGKILL at random moments, while calls run and the ticket system is slow, drops answers, refuses, babbles or is dead. At the end the
//! ledgers of the fakes, which live in this process and were never killed, are held against what the daemon wrote.
//!
//! `cargo test` kills 20 times; `LINECARD_KILLS=200` is the full form. The seed is printed; `LINECARD_SEED` plays it again (the
//! stories and the moments; what the machine does between them is its own).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Child,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use linecard::{
    calls::{
        Record,
        record::{Direction, Outcome, Quality},
    },
    daemon::demo::{
        dice::Dice,
        hosts::{Hosts, Mode},
        live::Pbx,
        people::CALLERS,
        stage::{Places, Stage, free},
        story::{Story, Truth},
        switch::{Seat, Settings},
        systems::Written,
    },
    live,
    store::{self, EffectFilter, EffectRow, Reader, RecordFilter, State},
    words::Wall,
};
use tokio::time::{Instant, sleep};

const PROGRAM: &str = env!("CARGO_BIN_EXE_linecard");
const SEATS: usize = 12;

/// Every call that ended gets a ticket, so that each call is an effect to be done exactly once; what changes later is a note on it.
const RULES: &str = r#"
wait_for_wrapup_ms: 100
rules:
  - name: every call is a ticket
    do:
      - step: ticket
        system: desk
        operation: ticket.create
        inputs: {title: "Call {{ record.call }}", text: "Outcome: {{ record.outcome }}"}
        amend:
          operation: note.add
          from_result: {target: result}
          inputs: {text: "Now: {{ record.outcome }}"}
"#;

/// Short waits, so that a life of a second sees every state: the slow desk needs at most 600 ms.
const OUTBOX: &str = "
outbox: {deadline_ms: 2000, quiet_ms: 700, backoff_ms: 50, backoff_cap_ms: 400}
";

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

#[test]
fn nothing_is_lost_and_nothing_done_twice_when_the_daemon_is_killed_at_any_moment() {
    let (kills, seed) = (number("LINECARD_KILLS", 20), number("LINECARD_SEED", live::now().wall.0.unsigned_abs()));
    println!("LINECARD_SEED={seed} LINECARD_KILLS={kills}");
    let folder = std::env::temp_dir().join(format!("linecard-kill-{}", std::process::id()));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let play = runtime.block_on(Play::run(&folder, kills, seed));
    let faults = play.judge();
    // The folder stays when something is wrong: its log and its store are the evidence.
    assert!(faults.is_empty(), "seed {seed}, {}:\n{}", folder.display(), faults.join("\n"));
    std::fs::remove_dir_all(&folder).unwrap();
}

/// What is known when it is over.
struct Play {
    truths: Vec<Truth>,
    written: Vec<Written>,
    records: Vec<Record>,
    effects: Vec<EffectRow>,
    /// The open callbacks, as they were written.
    callbacks: Vec<String>,
    /// Calls that were in the store at some kill, with everything that was stored of them then.
    committed: BTreeMap<String, String>,
    /// Start and end of each life of the daemon, as the wall has it.
    lives: Vec<(Wall, Wall)>,
    /// When the last life had its link to the switch: what is up from here on is seen.
    looked: Wall,
    ended_well: bool,
}

impl Play {
    async fn run(folder: &Path, kills: u64, seed: u64) -> Play {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let seat = |n: usize| Seat { extension: format!("{}", 1001 + n), name: format!("Agent {n}") };
        let settings = Settings {
            seats: (0..SEATS).map(seat).collect(),
            direct_dids: (0..SEATS).map(|n| format!("021612345{}", 67 + n)).collect(),
            // A call lasts two to three seconds: many are up at each kill. Not faster, because a consultation must not begin
            // in the second in which its call began: a snapshot tells creation in whole seconds, and no agent is that quick.
            pace: 0.16,
            ..Settings::default()
        };
        let pbx = Arc::new(Pbx::start(settings, seed, any).await.unwrap());
        let hosts = Arc::new(Hosts::start(Places::preferred()).await.unwrap());
        let places = Places {
            agents: free(any).unwrap(),
            admin: free(any).unwrap(),
            hooks: free(any).unwrap(),
            console: free(any).unwrap(),
            ami: pbx.address(),
            erp: hosts.erp.address(),
            loyalty: hosts.loyalty.address(),
            orders: hosts.orders.address(),
            desk: hosts.tickets.address(),
            survey: hosts.survey.address(),
            mail: hosts.mails.address(),
        };
        let stage = Stage::set(folder, places).unwrap();
        stage.write("rules.yaml", RULES).unwrap();
        let linecard = stage.settings().join("linecard.yaml");
        let settings = std::fs::read_to_string(&linecard).unwrap();
        std::fs::write(linecard, settings + OUTBOX).unwrap();
        let agents: String =
            (0..SEATS).map(|n| format!("  - {{id: \"{0}\", devices: [PJSIP/{0}]}}\n", 1001 + n)).collect();
        stage.write("agents.yaml", &format!("agents:\n{agents}")).unwrap();
        let database = folder.join("store/linecard.db");

        let going = Arc::new(AtomicBool::new(true));
        let calls = tokio::spawn(call(Arc::clone(&pbx), Arc::clone(&going), Dice::new(seed ^ 1)));
        let trouble =
            tokio::spawn(trouble(Arc::clone(&pbx), Arc::clone(&hosts), Arc::clone(&going), Dice::new(seed ^ 2)));

        let mut dice = Dice::new(seed ^ 3);
        let (mut committed, mut lives) = (BTreeMap::new(), Vec::new());
        for _ in 0..kills {
            let mut daemon = stage.start(Path::new(PROGRAM)).unwrap();
            let born = live::now().wall;
            // One in five dies while it starts, the others at any moment of their work.
            if !dice.chance(20) {
                logged_in(&pbx, &mut daemon, &stage).await;
            }
            // One in six lives long enough to see whole calls.
            let life = if dice.chance(16) { dice.between(3_000, 5_000) } else { dice.between(0, 900) };
            sleep(Duration::from_millis(life)).await;
            daemon.kill().unwrap();
            daemon.wait().unwrap();
            lives.push((born, live::now().wall));
            committed.extend(stored(&database));
        }

        let mut daemon = stage.start(Path::new(PROGRAM)).unwrap();
        let born = live::now().wall;
        logged_in(&pbx, &mut daemon, &stage).await;
        let looked = live::now().wall;
        sleep(Duration::from_secs(6)).await;
        going.store(false, Ordering::Relaxed);
        calls.await.unwrap();
        trouble.await.unwrap();
        let patience = Instant::now() + Duration::from_secs(60);
        while pbx.up() > 0 && Instant::now() < patience {
            sleep(Duration::from_millis(20)).await;
        }
        settle(&database, &mut daemon, &stage).await;
        terminate(&daemon);
        let ended_well = ended(&mut daemon).await;
        lives.push((born, live::now().wall));
        committed.extend(stored(&database));

        let reader = reader(&database);
        let records = reader.records(&RecordFilter { limit: 1_000_000, ..RecordFilter::default() }).unwrap();
        Play {
            truths: pbx.ledger(),
            written: hosts.tickets.ledger(),
            records: records.iter().map(|row| serde_json::from_str(row.body.expose()).unwrap()).collect(),
            effects: effects(&reader, State::ALL.to_vec()),
            callbacks: reader.callbacks().unwrap().into_iter().map(|row| row.body.into_inner()).collect(),
            committed,
            lives,
            looked,
            ended_well,
        }
    }

    /// Everything that is wrong, each in a line.
    fn judge(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !self.ended_well {
            faults.push("the daemon did not end well when it was asked to".to_owned());
        }
        let (mut of_call, mut apart): (BTreeMap<&str, Vec<&Record>>, usize) = (BTreeMap::new(), 0);
        for record in &self.records {
            let linked: BTreeSet<&str> =
                record.ids.iter().filter(|id| id.kind == "linkedid").map(|id| id.value.as_str()).collect();
            match self.truths.iter().find(|t| linked.contains(t.linkedid.as_str())) {
                Some(truth) => of_call.entry(&truth.linkedid).or_default().push(record),
                // A consultation whose call went on while nobody looked: a call of its own to the switch, and no second record of
                // the customer's.
                None if self.truths.iter().any(|t| t.uniqueids.iter().any(|id| linked.contains(id.as_str()))) => {
                    apart += 1
                }
                None => faults.push(format!("record {} is of no call that ever was: {linked:?}", record.call)),
            }
        }
        let mut whole = 0;
        for truth in &self.truths {
            let records = of_call.get(truth.linkedid.as_str()).map_or(&[][..], Vec::as_slice);
            let kept: Vec<(&String, bool)> = self
                .committed
                .iter()
                .filter(|(_, body)| truth.uniqueids.iter().any(|id| body.contains(&format!("\"{id}\""))))
                .map(|(call, body)| (call, body.contains(&format!("\"{}\"", truth.linkedid))))
                .collect();
            // Up when the last life looked, or begun in it, and not while the link was cut.
            let still_up = truth.shown.is_some() && truth.ended.is_none_or(|at| at.0 > self.looked.0 + 2_000);
            if records.len() > 1 {
                faults.push(format!("{}: {} records", said(truth), records.len()));
            }
            if records.is_empty() && (!kept.is_empty() || still_up) {
                faults.push(format!("{}: no record; committed as {kept:?}, still up {still_up}", said(truth)));
            }
            let [record] = records else { continue };
            let call = record.call.to_string();
            if let Some((other, _)) = kept.iter().find(|(id, own)| *own && **id != call) {
                faults.push(format!("{}: committed as {other}, written down as {call}", said(truth)));
            }
            // Seen from its first event to its last in one life: nothing excuses a wrong record.
            let in_one_life = truth.shown.zip(truth.ended).is_some_and(|(from, to)| {
                from == truth.started && self.lives.iter().any(|(born, died)| *born < from && to.0 + 500 < died.0)
            });
            let seen_whole = in_one_life && truth.end_shown && !truth.cut && !truth.missed;
            whole += usize::from(seen_whole);
            let outcome = serde_json::to_value(record.outcome).unwrap();
            let agents = record.agents.clone().unwrap_or_default();
            let right = outcome.as_str() == truth.outcome && agents == truth.agents;
            // What was not seen may be absent, and then the record says so; what is there is true.
            let exact = seen_whole || record.quality == Quality::Exact;
            let true_as_far = (outcome.is_null() || outcome.as_str() == truth.outcome)
                && agents.iter().all(|agent| truth.agents.contains(agent));
            if !(right || !exact && true_as_far) {
                faults.push(format!(
                    "{}: written as {outcome} by {agents:?}, {:?}, {:?}: {:?}",
                    said(truth),
                    record.quality,
                    record.direction,
                    record.segments
                ));
            }
        }
        let mut done: BTreeMap<&str, usize> = BTreeMap::new();
        for line in &self.written {
            *done.entry(&line.key).or_default() += 1;
        }
        for (key, times) in done.iter().filter(|(_, times)| **times > 1) {
            faults.push(format!("effect {key} was done {times} times"));
        }
        for effect in &self.effects {
            let times = done.remove(effect.key.as_str()).unwrap_or(0);
            let about = format!("effect {} ({} of {}, {:?})", effect.key, effect.operation, effect.call, effect.state);
            match effect.state {
                State::Done if times != 1 => faults.push(format!("{about} is done, and was done {times} times")),
                State::Waiting | State::Claimed => faults.push(format!("{about} waits without a reason")),
                State::Later | State::Dead | State::Person => {
                    faults.push(format!("{about} could have been done by now; it says {:?}", effect.reason));
                }
                _ => {}
            }
        }
        faults
            .extend(done.keys().map(|key| format!("the desk was told something with key {key:?} that no effect has")));
        for record in &self.records {
            if !self.effects.iter().any(|e| e.call == record.call && e.operation == "ticket.create") {
                faults.push(format!("record {} has no ticket", record.call));
            }
        }
        // Whoever was missed, and was neither talked with nor called since, is to be called back, once.
        let number = |record: &Record| record.customer.as_ref()?.e164.as_ref().map(|n| n.expose().clone());
        let mut owed = BTreeMap::new();
        for record in &self.records {
            let Some(number) = number(record) else { continue };
            let missed = matches!(record.outcome, Some(Outcome::Abandoned | Outcome::Unanswered));
            let (last, after) = owed.entry(number).or_insert((None, None));
            match record.direction {
                Some(Direction::Inbound) if missed => *last = record.ended_at.max(*last),
                Some(Direction::Inbound | Direction::Outbound) => *after = record.ended_at.max(*after),
                _ => {}
            }
        }
        owed.retain(|_, (last, after)| last > after);
        for number in owed.keys() {
            let open = self.callbacks.iter().filter(|body| body.contains(&format!("\"number\":\"{number}\""))).count();
            if open != 1 {
                faults.push(format!("a customer who was missed last is {open} callbacks"));
            }
        }
        println!("{} customers are owed a call, {} are to be called back", owed.len(), self.callbacks.len());
        println!(
            "{} lives, {} calls, {} records ({apart} consultations apart, {whole} calls whole in one life), {} effects, {} writes at the desk",
            self.lives.len(),
            self.truths.len(),
            self.records.len(),
            self.effects.len(),
            self.written.len(),
        );
        if self.records.is_empty() || self.written.is_empty() || whole == 0 {
            faults.push("nothing happened: this proves nothing".to_owned());
        }
        faults
    }
}

fn said(truth: &Truth) -> String {
    let Truth { linkedid, story, started, ended, outcome, shown, .. } = truth;
    format!("call {linkedid} ({story:?}, {started} to {ended:?}, {outcome:?}, shown {shown:?})")
}

/// Calls keep coming as long as it goes.
async fn call(pbx: Arc<Pbx>, going: Arc<AtomicBool>, mut dice: Dice) {
    while going.load(Ordering::Relaxed) {
        let story = *dice.pick(&Story::ALL).unwrap();
        let customer = if story.outbound() { "13800138000" } else { dice.pick(CALLERS).unwrap() };
        pbx.play(story, customer, None);
        sleep(Duration::from_millis(dice.between(40, 200))).await;
    }
}

/// The desk lets down in every way it knows, the link is cut now and then; in the end all is well.
async fn trouble(pbx: Arc<Pbx>, hosts: Arc<Hosts>, going: Arc<AtomicBool>, mut dice: Dice) {
    while going.load(Ordering::Relaxed) {
        hosts.tickets.set(match dice.between(0, 9) {
            0..=3 => Mode::Well,
            4 | 5 => Mode::Slow(Duration::from_millis(dice.between(20, 300))),
            6 | 7 => Mode::DropsAnswers,
            8 => *dice.pick(&[Mode::Refuses, Mode::Babbles]).unwrap(),
            _ => Mode::Dead,
        });
        if dice.chance(10) {
            pbx.cut();
        }
        sleep(Duration::from_millis(dice.between(100, 900))).await;
    }
    hosts.tickets.set(Mode::Well);
}

/// Until the daemon is logged in at the switch.
async fn logged_in(pbx: &Pbx, daemon: &mut Child, stage: &Stage) {
    let patience = Instant::now() + Duration::from_secs(30);
    while pbx.logged_in() == 0 {
        let alive = matches!(daemon.try_wait(), Ok(None)) && Instant::now() < patience;
        assert!(alive, "the daemon does not come up; see {}", stage.log().display());
        sleep(Duration::from_millis(5)).await;
    }
}

/// Until no call is open and no effect waits; what waits for a later try is asked to go now.
async fn settle(database: &Path, daemon: &mut Child, stage: &Stage) {
    let reader = reader(database);
    let patience = Instant::now() + Duration::from_secs(90);
    let mut asked = Instant::now();
    loop {
        assert!(matches!(daemon.try_wait(), Ok(None)), "the daemon died; see {}", stage.log().display());
        let waiting = effects(&reader, vec![State::Waiting, State::Claimed, State::Later, State::Dead, State::Person]);
        if (reader.stats().unwrap().open_calls == 0 && waiting.is_empty()) || Instant::now() > patience {
            return;
        }
        if Instant::now() > asked {
            for effect in waiting.iter().filter(|e| e.state != State::Claimed && e.state != State::Waiting) {
                // It may be claimed at this very moment; then it needs no asking.
                let _ = reader.retry(&effect.key, "the kill test", live::now().wall);
            }
            asked = Instant::now() + Duration::from_secs(2);
        }
        sleep(Duration::from_millis(50)).await;
    }
}

fn terminate(daemon: &Child) {
    let pid = i32::try_from(daemon.id()).ok().and_then(rustix::process::Pid::from_raw).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
}

async fn ended(daemon: &mut Child) -> bool {
    let patience = Instant::now() + Duration::from_secs(20);
    while Instant::now() < patience {
        if let Ok(Some(status)) = daemon.try_wait() {
            return status.success();
        }
        sleep(Duration::from_millis(20)).await;
    }
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    false
}

fn reader(database: &Path) -> Reader {
    Reader::open(&store::Settings { path: PathBuf::from(database), ..store::Settings::default() }).unwrap()
}

fn effects(reader: &Reader, states: Vec<State>) -> Vec<EffectRow> {
    reader.effects(&EffectFilter { states, limit: 1_000_000, ..EffectFilter::default() }).unwrap()
}

/// What a dead daemon left in the store: call ids with what was stored of each. Read past the store's own code, which this test is about.
fn stored(database: &Path) -> BTreeMap<String, String> {
    // Killed before it made the file: nothing was committed.
    if !database.exists() {
        return BTreeMap::new();
    }
    let connection = rusqlite::Connection::open(database).unwrap();
    let tables = ["open_calls", "records"];
    let there = |table: &&str| {
        let known = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?1";
        connection.query_row(known, [*table], |row| row.get::<_, i64>(0)).unwrap() > 0
    };
    let mut stored = BTreeMap::new();
    for table in tables.iter().filter(|table| there(table)) {
        let mut rows = connection.prepare(&format!("SELECT key, body FROM {table}")).unwrap();
        let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        stored.extend(rows.map(Result::unwrap));
    }
    stored
}
