//! The one thread that writes: it gathers what waits, writes it in one transaction, then answers all of it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use rusqlite::Connection;
use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};

use crate::{
    private::Private,
    store::{
        Settings, StoreError,
        rows::{
            Batch, CallKey, CallbackRow, CheckpointRow, ChoiceRow, Claim, ContactRow, Decided, DifferenceRow,
            EffectRow, FlowDue, FlowRow, FlowWordRow, History, RecordRow, SeatRow, Settled, StateRow, Stats,
        },
    },
    words::{CallId, SwitchId, TenantId, Wall},
};

use super::{differences, flows, held, outbox, queue::Queue, read, schema, write};

type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

pub(super) enum Job {
    Submit(Box<Batch>, Answer<()>),
    Claim(Claim, Answer<Vec<EffectRow>>),
    Decide(Box<Decided>, Answer<bool>),
    Settle(Vec<Settled>, Answer<usize>),
    OpenCalls(Answer<Vec<CheckpointRow>>),
    Seats(Answer<Vec<SeatRow>>),
    States(Answer<Vec<StateRow>>),
    Callbacks(Answer<Vec<CallbackRow>>),
    History(CallKey, Answer<History>),
    Recall(TenantId, Option<Private<String>>, Vec<String>, Answer<(Option<ChoiceRow>, Vec<ContactRow>)>),
    Stats(Answer<Stats>),
    Position(TenantId, SwitchId, Answer<Option<String>>),
    Flows {
        now: Wall,
        most: usize,
        hand: Vec<String>,
        answer: Answer<(Vec<FlowDue>, Option<Wall>)>,
    },
    FlowFile(String, Answer<Option<String>>),
    FlowsOpen(usize, Answer<Vec<FlowRow>>),
    FlowsOpenAfter(String, usize, Answer<Vec<FlowRow>>),
    Flow(TenantId, String, Answer<Option<FlowDue>>),
    FlowWords(TenantId, String, Answer<Vec<FlowWordRow>>),
    FlowWordsTo(String, Answer<Vec<(TenantId, String)>>),
    ForgetWords(Wall, Answer<usize>),
    Ended(Wall, Wall, Answer<Vec<Private<String>>>),
    EndedAfter {
        tenant: TenantId,
        after: (Wall, Option<CallId>),
        until: Wall,
        most: usize,
        answer: Answer<Vec<RecordRow>>,
    },
    Wanted(SwitchId, Answer<Vec<DifferenceRow>>),
    Mended(Box<DifferenceRow>, bool, Answer<()>),
    Prune {
        tenant: TenantId,
        calls: Option<Wall>,
        audit: Option<Wall>,
        most: usize,
        answer: Answer<(usize, usize)>,
    },
    PruneFlows(Wall, usize, Answer<usize>),
    #[cfg(test)]
    LimitPages(Option<u32>, Answer<()>),
}

/// A job and its place in the bounded queue.
pub(super) struct Sent {
    pub job: Job,
    pub room: OwnedSemaphorePermit,
}

/// Told what became of the transaction; held back until the commit.
type Held = Box<dyn FnOnce(Result<(), StoreError>)>;

pub(super) struct Writer {
    path: PathBuf,
    owner: String,
    window: Duration,
    most: usize,
    fence: u64,
    /// `None` after an I/O error: the file is opened and checked anew before anything else is written, for after a failed fsync nobody
    /// knows what the kernel kept.
    conn: Option<Connection>,
    effects: Arc<Notify>,
    flows: Arc<Notify>,
    commits: Arc<AtomicU64>,
    batches: u64,
    _lock: schema::Lock,
}

impl Writer {
    pub(super) fn new(
        settings: &Settings,
        conn: Connection,
        lock: schema::Lock,
        fence: u64,
        (effects, flows): (Arc<Notify>, Arc<Notify>),
    ) -> Self {
        Self {
            path: settings.path.clone(),
            owner: settings.owner.clone(),
            window: Duration::from_millis(settings.commit_window_ms),
            most: settings.commit_batches.max(1),
            fence,
            conn: Some(conn),
            effects,
            flows,
            commits: Arc::new(AtomicU64::new(0)),
            batches: 0,
            _lock: lock,
        }
    }

    pub(super) fn run(mut self, inbox: &Queue) {
        let checkpointer = Checkpointer::start(&self.path, self.commits.clone());
        loop {
            let group = inbox.gather(self.most, self.window);
            if group.is_empty() {
                break;
            }
            self.group(group);
        }
        drop(checkpointer);
        // Closing the last connection folds the log into the file.
        self.conn = None;
    }

    fn group(&mut self, group: Vec<Sent>) {
        let mut rooms = Vec::with_capacity(group.len());
        let mut held: Vec<Held> = Vec::with_capacity(group.len());
        let (mut put_effects, mut put_flows) = (false, false);
        let outcome = self.begin();
        // Where the transaction could not even begin, or was rolled back under us, every job of the group is told so.
        let mut broken = outcome.err();
        for Sent { job, room } in group {
            rooms.push(room);
            put_effects |= matches!(&job, Job::Submit(batch, _) if !batch.effects.is_empty());
            put_flows |= matches!(&job, Job::Submit(batch, _) if flows::wakes(batch));
            self.batches += u64::from(matches!(&job, Job::Submit(..)));
            let (answer, rolled_back) = self.job(job, broken.as_ref());
            held.push(answer);
            broken = broken.or(rolled_back);
        }
        let outcome = match broken {
            Some(error) => {
                self.roll_back();
                Err(error)
            }
            None => self.commit(),
        };
        if let Err(error) = &outcome {
            tracing::warn!(%error, batches = held.len(), "the store could not commit");
            if matches!(error, StoreError::Disk { .. } | StoreError::Damaged { .. }) {
                self.conn = None;
            }
        }
        drop(rooms);
        for answer in held {
            answer(outcome.clone());
        }
        if outcome.is_ok() && put_effects {
            self.effects.notify_one();
        }
        if outcome.is_ok() && put_flows {
            self.flows.notify_one();
        }
    }

    /// Runs one job inside its savepoint. The second value is set when SQLite rolled the whole transaction back.
    fn job(&self, job: Job, broken: Option<&StoreError>) -> (Held, Option<StoreError>) {
        let who = write::Who { owner: &self.owner, fence: self.fence };
        let stats = |conn: &Connection| {
            let mut stats = read::stats(conn, None)?;
            stats.commits = self.commits.load(Ordering::Relaxed);
            stats.batches = self.batches;
            stats.wal_bytes = wal_bytes(&self.path);
            Ok(stats)
        };
        match job {
            Job::Submit(batch, answer) => self.step(broken, answer, |conn| write::batch(conn, &who, &batch)),
            Job::Claim(claim, answer) => self.step(broken, answer, |conn| outbox::claim(conn, &who, &claim)),
            Job::Decide(decided, answer) => self.step(broken, answer, |conn| outbox::decide(conn, &decided)),
            Job::Settle(settled, answer) => self.step(broken, answer, |conn| {
                settled.iter().try_fold(0, |n, one| Ok(n + usize::from(outbox::settle(conn, one)?)))
            }),
            Job::OpenCalls(answer) => self.step(broken, answer, read::open_calls),
            Job::Seats(answer) => self.step(broken, answer, read::seats),
            Job::States(answer) => self.step(broken, answer, read::states),
            Job::Callbacks(answer) => self.step(broken, answer, read::callbacks),
            Job::History(key, answer) => self.step(broken, answer, |conn| read::history(conn, &key)),
            Job::Position(tenant, switch, answer) => {
                self.step(broken, answer, |conn| read::position(conn, &tenant, &switch))
            }
            Job::Flows { now, most, hand, answer } => {
                self.step(broken, answer, |conn| flows::due(conn, now, most, &hand))
            }
            Job::FlowFile(hash, answer) => self.step(broken, answer, |conn| flows::file(conn, &hash)),
            Job::FlowsOpenAfter(after, most, answer) => {
                self.step(broken, answer, |conn| flows::open_after(conn, &after, most))
            }
            Job::Flow(tenant, id, answer) => self.step(broken, answer, |conn| flows::one(conn, &tenant, &id)),
            Job::FlowWords(tenant, flow, answer) => {
                self.step(broken, answer, |conn| flows::words(conn, &tenant, &flow))
            }
            Job::FlowWordsTo(prefix, answer) => self.step(broken, answer, |conn| flows::words_to(conn, &prefix)),
            Job::ForgetWords(before, answer) => self.step(broken, answer, |conn| flows::forget_words(conn, before)),
            Job::FlowsOpen(most, answer) => self.step(broken, answer, |conn| flows::open(conn, most)),
            Job::Ended(from, to, answer) => self.step(broken, answer, |conn| read::ended(conn, from, to)),
            Job::EndedAfter { tenant, after, until, most, answer } => {
                self.step(broken, answer, |conn| read::ended_after(conn, &tenant, after, until, most))
            }
            Job::Recall(tenant, number, customers, answer) => self.step(broken, answer, |conn| {
                let choice = number.as_ref().map(|number| read::choice(conn, &tenant, number.expose()));
                let contacts = customers.iter().filter_map(|id| read::contact(conn, &tenant, id).transpose());
                Ok((choice.transpose()?.flatten(), contacts.collect::<rusqlite::Result<_>>()?))
            }),
            Job::Stats(answer) => self.step(broken, answer, stats),
            Job::Wanted(switch, answer) => self.step(broken, answer, |conn| differences::wanted(conn, switch.as_str())),
            Job::Mended(row, done, answer) => {
                self.step(broken, answer, |conn| differences::set(conn, &row, if done { "mended" } else { "open" }))
            }
            Job::Prune { tenant, calls, audit, most, answer } => self.step(broken, answer, |conn| {
                let gone = calls.map_or(Ok(0), |before| held::prune(conn, &tenant, before, most))?;
                let rows = audit.map_or(Ok(0), |before| held::prune_audit(conn, &tenant, before, most))?;
                give_back(conn)?;
                Ok((gone, rows))
            }),
            Job::PruneFlows(before, most, answer) => self.step(broken, answer, |conn| {
                let gone = flows::prune(conn, before, most)?;
                give_back(conn)?;
                Ok(gone)
            }),
            #[cfg(test)]
            Job::LimitPages(pages, answer) => self.step(broken, answer, |conn| {
                let pages = pages.unwrap_or(1_000_000);
                conn.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
            }),
        }
    }

    fn step<T: 'static>(
        &self,
        broken: Option<&StoreError>,
        answer: Answer<T>,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> (Held, Option<StoreError>) {
        let Some(conn) = self.conn.as_ref().filter(|_| broken.is_none()) else {
            return (hold(answer, Err(StoreError::Closed)), None);
        };
        let done = conn.execute_batch("SAVEPOINT job").and_then(|()| work(conn));
        let ended = match &done {
            Ok(_) => conn.execute_batch("RELEASE job"),
            // A full disk may have rolled back everything already; then there is no savepoint left to go back to.
            Err(_) if conn.is_autocommit() => Ok(()),
            Err(_) => conn.execute_batch("ROLLBACK TO job; RELEASE job"),
        };
        let told = |e| schema::error(&self.path, &e);
        let done = done.map_err(told).and_then(|value| ended.map(|()| value).map_err(told));
        let rolled_back = match &done {
            Err(error)
                if conn.is_autocommit() || matches!(error, StoreError::Disk { .. } | StoreError::Damaged { .. }) =>
            {
                Some(error.clone())
            }
            _ => None,
        };
        (hold(answer, done), rolled_back)
    }

    fn commit(&self) -> Result<(), StoreError> {
        let conn = self.conn.as_ref().ok_or(StoreError::Closed)?;
        match conn.execute_batch("COMMIT") {
            Ok(()) => {
                self.commits.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(e) => {
                self.roll_back();
                Err(schema::error(&self.path, &e))
            }
        }
    }

    fn roll_back(&self) {
        if let Some(conn) = self.conn.as_ref().filter(|conn| !conn.is_autocommit()) {
            let _ = conn.execute_batch("ROLLBACK");
        }
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        let conn = match self.conn.take() {
            Some(conn) => conn,
            None => schema::open_writer(&self.path)?,
        };
        let conn = self.conn.insert(conn);
        conn.execute_batch("BEGIN IMMEDIATE").map_err(|e| schema::error(&self.path, &e))?;
        schema::check_fence(conn, &self.path, self.fence)
    }
}

/// Freed pages go back to the disk, a few at a time as well.
fn give_back(conn: &Connection) -> rusqlite::Result<()> {
    let mut pages = conn.prepare_cached("PRAGMA incremental_vacuum(256)")?;
    let mut pages = pages.query([])?;
    while pages.next()?.is_some() {}
    Ok(())
}

/// Holds an answer back until it is known whether the transaction was committed.
fn hold<T: 'static>(answer: Answer<T>, done: Result<T, StoreError>) -> Held {
    Box::new(move |committed| {
        // Nobody waits any more: the asker gave up, the write stands.
        let _ = answer.send(committed.and(done));
    })
}

/// Folds the log into the file on a connection of its own, so that no commit has to.
struct Checkpointer {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Checkpointer {
    fn start(path: &Path, commits: Arc<AtomicU64>) -> Self {
        let path = path.to_owned();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::Builder::new().name("store-checkpoint".to_owned()).spawn(move || {
            crate::live::behind();
            let mut seen = 0;
            while !stopped.load(Ordering::Acquire) {
                std::thread::park_timeout(Duration::from_secs(1));
                let now = commits.load(Ordering::Relaxed);
                if now != seen {
                    seen = now;
                    checkpoint(&path);
                }
            }
        });
        Self { stop, thread: thread.ok() }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

fn checkpoint(path: &Path) {
    // Above 64 MiB the writer is held for a moment so that the log starts at its beginning again; below, nobody waits.
    let mode = if wal_bytes(path) > 64 << 20 { "TRUNCATE" } else { "PASSIVE" };
    let done = schema::open_beside(path)
        .map_err(|e| e.to_string())
        .and_then(|conn| conn.execute_batch(&format!("PRAGMA wal_checkpoint({mode})")).map_err(|e| e.to_string()));
    if let Err(error) = done {
        tracing::debug!(error, "the store's log could not be folded into the file; it is tried again");
    }
}

fn wal_bytes(path: &Path) -> u64 {
    fs::metadata(schema::beside(path, "-wal")).map_or(0, |m| m.len())
}
