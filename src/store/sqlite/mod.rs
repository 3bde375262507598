//! SQLite behind the store's words: one writer thread with group commit, a checkpointer beside it, and a door for
//! the command line.
//!
//! WAL with synchronous=FULL: what was answered is on the disk. The queue to the writer is bounded by weight (64 MiB) and by
//! number (10,000); when it is full, `submit` waits for room, and its caller's own bounded channel fills.

mod differences;
mod flows;
mod held;
mod outbox;
mod queue;
mod read;
mod reader;
mod schema;
mod write;
mod writer;

use std::{path::PathBuf, sync::Arc};

use tokio::sync::{Notify, Semaphore, oneshot};

use super::{
    OnDamage, Settings, StoreError,
    rows::{
        Batch, CallKey, CallbackRow, CheckpointRow, ChoiceRow, Claim, ContactRow, Decided, DifferenceRow, EffectRow,
        FlowDue, FlowRow, FlowWordRow, History, RecordRow, SeatRow, Settled, StateRow, Stats,
    },
};
use crate::{
    private::Private,
    words::{CallId, SwitchId, TenantId, Wall},
};

use queue::Queue;
pub use reader::Reader;
use writer::{Job, Sent, Writer};

/// 64 MiB in units of [`UNIT`]; a batch costs at least one unit, so 10,485 batches at most.
const ROOM: usize = 64 * 1024 * 1024 / UNIT;
const UNIT: usize = 6_400;

/// The daemon's handle; clones share one writer. When the last clone goes, the writer finishes what it was given and ends.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    jobs: Arc<Queue>,
    room: Arc<Semaphore>,
    fence: u64,
    path: PathBuf,
    set_aside: Option<PathBuf>,
    effects: Arc<Notify>,
    flows: Arc<Notify>,
    writer: Option<std::thread::JoinHandle<()>>,
}

impl Store {
    /// Opens, locks, checks and migrates the file, takes the next fence and starts the writer. Blocks; call it before the runtimes start.
    ///
    /// # Errors
    /// The file is damaged, in use, newer than this program, or the disk refuses.
    pub fn open(settings: &Settings) -> Result<Self, StoreError> {
        let path = settings.path.clone();
        let lock = schema::lock(&path)?;
        let mut set_aside = None;
        let conn = match schema::open_writer(&path) {
            Err(StoreError::Damaged { what, .. }) if settings.on_damage == OnDamage::SetAside => {
                let to = schema::set_aside(&path, crate::live::now().wall.0)?;
                tracing::error!(what, aside = %to.display(), "the store was damaged and is set aside; a new one is started");
                set_aside = Some(to);
                schema::open_writer(&path)?
            }
            other => other?,
        };
        let fence = schema::take_fence(&conn, &path)?;
        // Not in wiring: it is the inside of this store, as its file is. Bounded by the permits of `room`, which weigh bytes.
        let jobs = Arc::new(Queue::default());
        let inbox = jobs.clone();
        let (effects, flows) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let writer = Writer::new(settings, conn, lock, fence, (effects.clone(), flows.clone()));
        let writer = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || {
                crate::live::behind();
                writer.run(&inbox)
            })
            .map_err(|e| schema::disk(&path, &e.to_string()))?;
        let room = Arc::new(Semaphore::new(ROOM));
        let inner = Inner { jobs, room, fence, path, set_aside, effects, flows, writer: Some(writer) };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// One transaction. Answers when it is durable.
    ///
    /// # Errors
    /// Nothing of the batch was written. [`StoreError::passes`] says whether the same batch may be tried again.
    pub async fn submit(&self, batch: Batch) -> Result<(), StoreError> {
        let weight = batch.weight();
        self.ask(weight, |answer| Job::Submit(Box::new(batch), answer)).await
    }

    /// Claims what is due, in order within each call, bounded per system. What is handed out must be settled before its lease ends.
    /// `unsure` on a row is that of before this claim: true where an earlier attempt may have been done by the system.
    ///
    /// # Errors
    /// As `submit`.
    pub async fn claim(&self, claim: Claim) -> Result<Vec<EffectRow>, StoreError> {
        self.ask(0, |answer| Job::Claim(claim, answer)).await
    }

    /// Writes down what a claimed effect is to do; answers whether it was still its claimer's. Nothing is sent before this answered.
    ///
    /// # Errors
    /// As `submit`.
    pub async fn decide(&self, decided: Decided) -> Result<bool, StoreError> {
        let weight = decided.inputs.expose().len();
        self.ask(weight, |answer| Job::Decide(Box::new(decided), answer)).await
    }

    /// Settles claims; answers how many were still those of their claimers.
    ///
    /// # Errors
    /// As `submit`.
    pub async fn settle(&self, settled: Vec<Settled>) -> Result<usize, StoreError> {
        self.ask(0, |answer| Job::Settle(settled, answer)).await
    }

    /// Calls that were up when they were last written, oldest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn open_calls(&self) -> Result<Vec<CheckpointRow>, StoreError> {
        self.ask(0, Job::OpenCalls).await
    }

    /// Seats that were taken when they were last written, oldest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn seats(&self) -> Result<Vec<SeatRow>, StoreError> {
        self.ask(0, Job::Seats).await
    }

    /// What each agent was last, apart from calls.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn states(&self) -> Result<Vec<StateRow>, StoreError> {
        self.ask(0, Job::States).await
    }

    /// Customers who are to be called back still, oldest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn callbacks(&self) -> Result<Vec<CallbackRow>, StoreError> {
        self.ask(0, Job::Callbacks).await
    }

    /// All that is stored of one call, as of all submits that were answered.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn history(&self, key: CallKey) -> Result<History, StoreError> {
        self.ask(0, |answer| Job::History(key, answer)).await
    }

    /// Up to where a switch's own records were read, as it was given.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn position(&self, tenant: TenantId, switch: SwitchId) -> Result<Option<String>, StoreError> {
        self.ask(0, |answer| Job::Position(tenant, switch, answer)).await
    }

    /// Records (JSON) of calls that ended in this time.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn ended(&self, from: Wall, to: Wall) -> Result<Vec<Private<String>>, StoreError> {
        self.ask(0, |answer| Job::Ended(from, to, answer)).await
    }

    /// Records of a tenant's calls that ended before `until`, in the order of their ends, behind the call that was seen last.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn ended_after(
        &self,
        tenant: TenantId,
        after: (Wall, Option<CallId>),
        until: Wall,
        most: usize,
    ) -> Result<Vec<RecordRow>, StoreError> {
        self.ask(0, |answer| Job::EndedAfter { tenant, after, until, most, answer }).await
    }

    /// What an agent chose for a number, if that still stands, and the last calls with these customers (`<system>:<type>:<id>`).
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn recall(
        &self,
        tenant: TenantId,
        number: Option<Private<String>>,
        customers: Vec<String>,
    ) -> Result<(Option<ChoiceRow>, Vec<ContactRow>), StoreError> {
        self.ask(0, |answer| Job::Recall(tenant, number, customers, answer)).await
    }

    /// Flows that are due, oldest first, but not those in `hand`; and when the next one will be.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn flows_due(
        &self,
        now: Wall,
        most: usize,
        hand: Vec<String>,
    ) -> Result<(Vec<FlowDue>, Option<Wall>), StoreError> {
        self.ask(0, |answer| Job::Flows { now, most, hand, answer }).await
    }

    /// The text of a flow's file by its hash.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn flow_file(&self, hash: String) -> Result<Option<String>, StoreError> {
        self.ask(0, |answer| Job::FlowFile(hash, answer)).await
    }

    /// Flows that are not over, oldest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn flows_open(&self, most: usize) -> Result<Vec<FlowRow>, StoreError> {
        self.ask(0, |answer| Job::FlowsOpen(most, answer)).await
    }

    /// Flows that are not over, by their ids, behind the one that was seen last.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn flows_open_after(&self, after: String, most: usize) -> Result<Vec<FlowRow>, StoreError> {
        self.ask(0, |answer| Job::FlowsOpenAfter(after, most, answer)).await
    }

    /// One flow, with what was said to it and not heard yet.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn flow(&self, tenant: TenantId, id: String) -> Result<Option<FlowDue>, StoreError> {
        self.ask(0, |answer| Job::Flow(tenant, id, answer)).await
    }

    /// What was said to this one and not heard yet, in order.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn flow_words(&self, tenant: TenantId, flow: String) -> Result<Vec<FlowWordRow>, StoreError> {
        self.ask(0, |answer| Job::FlowWords(tenant, flow, answer)).await
    }

    /// To whom, beginning so, something was said that is not heard yet.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn flow_words_to(&self, prefix: String) -> Result<Vec<(TenantId, String)>, StoreError> {
        self.ask(0, |answer| Job::FlowWordsTo(prefix, answer)).await
    }

    /// Removes what was said before to none that goes on; answers how many.
    ///
    /// # Errors
    /// As `submit`.
    pub async fn forget_words(&self, before: Wall) -> Result<usize, StoreError> {
        self.ask(0, |answer| Job::ForgetWords(before, answer)).await
    }

    /// Removes calls of a tenant that ended before, with all that is of them and nothing that is still to be done, and audit rows of before the
    /// second moment: `most` of each, so that no commit waits for long. Answers how many calls and audit rows went.
    ///
    /// # Errors
    /// As `submit`.
    pub async fn prune(
        &self,
        tenant: TenantId,
        calls: Option<Wall>,
        audit: Option<Wall>,
        most: usize,
    ) -> Result<(usize, usize), StoreError> {
        self.ask(0, |answer| Job::Prune { tenant, calls, audit, most, answer }).await
    }

    /// Removes at most so many flows that were over before. Answers how many went; none: no more are left.
    ///
    /// # Errors
    /// As `submit`.
    pub async fn prune_flows(&self, before: Wall, most: usize) -> Result<usize, StoreError> {
        self.ask(0, |answer| Job::PruneFlows(before, most, answer)).await
    }

    /// Differences at a switch that a person wants mended.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn wanted(&self, switch: SwitchId) -> Result<Vec<DifferenceRow>, StoreError> {
        self.ask(0, |answer| Job::Wanted(switch, answer)).await
    }

    /// Whether a difference was mended: what was wanted is done, or open again.
    ///
    /// # Errors
    /// As `submit`.
    pub async fn mended(&self, row: DifferenceRow, done: bool) -> Result<(), StoreError> {
        self.ask(0, |answer| Job::Mended(Box::new(row), done, answer)).await
    }

    /// # Errors
    /// The file cannot be read.
    pub async fn stats(&self) -> Result<Stats, StoreError> {
        self.ask(0, Job::Stats).await
    }

    /// Told after each commit that put effects.
    #[must_use]
    pub fn effects(&self) -> Arc<Notify> {
        self.inner.effects.clone()
    }

    /// Told after each commit in which a flow begins or somebody says something to one.
    #[must_use]
    pub fn flows(&self) -> Arc<Notify> {
        self.inner.flows.clone()
    }

    /// Of this opening; it rises with each.
    #[must_use]
    pub fn fence(&self) -> u64 {
        self.inner.fence
    }

    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        &self.inner.path
    }

    /// Where a damaged file was put at this start, if there was one.
    #[must_use]
    pub fn set_aside(&self) -> Option<&std::path::Path> {
        self.inner.set_aside.as_deref()
    }

    async fn ask<T>(
        &self,
        weight: usize,
        job: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Job,
    ) -> Result<T, StoreError> {
        let units = u32::try_from((weight / UNIT + 1).min(ROOM)).unwrap_or(1);
        let room = self.inner.room.clone().acquire_many_owned(units).await.map_err(|_| StoreError::Closed)?;
        let (answer, answered) = oneshot::channel();
        if !self.inner.jobs.push(Sent { job: job(answer), room }) {
            return Err(StoreError::Closed);
        }
        answered.await.map_err(|_| StoreError::Closed)?
    }
}

#[cfg(test)]
impl Inner {
    /// Makes the writer's connection believe that the disk ends at so many pages.
    async fn limit_pages(&self, pages: Option<u32>) {
        let room = self.room.clone().acquire_owned().await.unwrap();
        let (answer, answered) = oneshot::channel();
        assert!(self.jobs.push(Sent { job: Job::LimitPages(pages, answer), room }));
        answered.await.unwrap().unwrap();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The writer ends when the queue is empty and closed; waiting for it is the sync of a clean shutdown.
        self.jobs.close();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

#[cfg(test)]
mod tests;
