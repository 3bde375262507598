//! Carries flows on: takes what is due out of the store, lets the machine decide, puts the run on disk, and then asks the systems.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::mpsc,
    task::{Id, JoinSet},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    connectors::{Ask, Outcome, Priority},
    live::{dice, now},
    records::live::Systems,
    store::{AuditRow, Batch, FlowDue, FlowFileRow, FlowWordRow, Store, StoreError},
    words::{TenantId, Wall},
};

use super::{
    Inscription, Settings, Starter,
    answers::{Mailbox, live::Post},
    compile::{self, Plan},
    machine::{Answered, Run, Wanted},
    view::View,
    word::{Said, Word},
};

/// Between two looks at the store without a reason: words come from the command line too, and say nothing to us.
const LOOK: Duration = Duration::from_secs(1);

/// How long an answer is held for a flow that does not wait for it yet.
const HELD_MS: i64 = 86_400_000;

/// As many as screens remember.
const RECALLED: usize = 5_000;

/// The flows in use, for whoever begins them; the texts of all others are in the store.
#[derive(Clone, Default)]
pub struct Plans {
    starter: Arc<ArcSwap<Starter>>,
    old: Old,
}

impl Plans {
    #[must_use]
    pub fn starter(&self) -> Arc<Starter> {
        self.starter.load_full()
    }

    /// The file that a flow began with, whatever stands in the folder now.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub async fn of(&self, store: &Store, name: &str, hash: &str) -> Result<Arc<Plan>, String> {
        if let Some(plan) = self.starter().plans().iter().find(|plan| plan.hash == hash) {
            return Ok(plan.clone());
        }
        if let Some(plan) = self.old.lock().unwrap_or_else(PoisonError::into_inner).get(hash) {
            return Ok(plan.clone());
        }
        let text = store.flow_file(hash.to_owned()).await.map_err(|e| e.to_string())?;
        let text = text.ok_or_else(|| "the text of its file is not in the store".to_owned())?;
        let plan = compile::again(name, &text).map_err(|problems| {
            problems.first().map_or_else(|| "its file cannot be read any more".to_owned(), ToString::to_string)
        })?;
        let plan = Arc::new(plan);
        let mut old = self.old.lock().unwrap_or_else(PoisonError::into_inner);
        if old.len() > 100 {
            old.clear();
        }
        old.insert(hash.to_owned(), plan.clone());
        Ok(plan)
    }

    /// Puts whole new files in place, once their texts are in the store: a flow may not begin by a text that a restart could not find.
    ///
    /// # Errors
    /// The disk refuses; what was in use stays.
    pub async fn swap(&self, store: &Store, plans: Vec<Arc<Plan>>) -> Result<(), StoreError> {
        let row = |plan: &Arc<Plan>| FlowFileRow {
            hash: plan.hash.clone(),
            flow: plan.name.clone(),
            text: plan.text.clone(),
        };
        let batch = Batch { flow_files: plans.iter().map(row).collect(), ..Batch::default() };
        if !batch.is_empty() {
            store.submit(batch).await?;
        }
        self.starter.store(Arc::new(Starter::new(plans)));
        Ok(())
    }
}

/// What it takes besides the store.
#[derive(Clone)]
pub struct Means<S> {
    pub systems: S,
    pub plans: Plans,
    pub settings: Settings,
    /// Where flows that the clock begins belong.
    pub tenant: TenantId,
    /// To the desk, which owns the records.
    pub inscriptions: mpsc::Sender<Inscription>,
    /// Who waits for which answer.
    pub post: Post,
}

/// Carries on what is due until `stop`. What is on its way then is marked so on disk: the next start looks before it sends anything again.
pub async fn drive<S: Systems>(store: Store, means: Means<S>, news: mpsc::Sender<View>, stop: CancellationToken) {
    let woken = store.flows();
    let mut driver = Driver {
        store,
        means: Arc::new(means),
        news,
        recalled: false,
        flying: JoinSet::new(),
        hand: HashMap::new(),
        minute: 0,
        stop: stop.clone(),
    };
    // First, while the screens are not back yet: to them all of it at once would be too much.
    driver.recall().await;
    loop {
        driver.post().await;
        let wait = driver.claim().await;
        tokio::select! {
            () = stop.cancelled() => break,
            () = woken.notified() => {}
            () = sleep(wait) => {}
            Some(ended) = driver.flying.join_next_with_id() => driver.landed(&ended),
        }
        while let Some(ended) = driver.flying.try_join_next_with_id() {
            driver.landed(&ended);
        }
    }
    while driver.flying.join_next().await.is_some() {}
}

/// Flows of one transaction, and the rest behind it: other commits go in between.
const STEP: usize = 100;
const REST: Duration = Duration::from_millis(100);
const DAY: Duration = Duration::from_secs(86_400);

/// Removes flows that were over long ago, once a day, until the daemon ends.
pub async fn prune(store: Store, settings: Settings) {
    let mut clock = tokio::time::interval(DAY);
    loop {
        clock.tick().await;
        let mut gone = 0;
        loop {
            match store.prune_flows(settings.before(now().wall), STEP).await {
                Ok(0) => break,
                Ok(some) => gone += some,
                Err(error) => {
                    tracing::warn!(%error, "flows that were over long ago could not be removed; tomorrow again");
                    break;
                }
            }
            sleep(REST).await;
        }
        if gone > 0 {
            tracing::info!(flows = gone, days = settings.keep_days, "flows that were over long ago were removed");
        }
    }
}

struct Driver<S> {
    store: Store,
    means: Arc<Means<S>>,
    news: mpsc::Sender<View>,
    flying: JoinSet<()>,
    hand: HashMap<Id, String>,
    /// Whether all that wait for answers are known; until then answers are held.
    recalled: bool,
    minute: i64,
    stop: CancellationToken,
}

/// Plans of earlier files that flows still go by.
type Old = Arc<Mutex<HashMap<String, Arc<Plan>>>>;

impl<S: Systems> Driver<S> {
    /// Flows that wait for a person or a moment, for screens of this run: they are not told again until they go on.
    async fn recall(&self) {
        let rows = match self.store.flows_open(RECALLED).await {
            Ok(rows) => rows,
            Err(error) => {
                return tracing::warn!(%error, "flows that wait cannot be read; screens see them when they go on");
            }
        };
        for row in rows {
            let carrier = self.carrier();
            let run = Run::of(&row, row.updated_at, &self.means.settings);
            if let (Ok(run), Ok(plan)) = (run, self.means.plans.of(&self.store, &row.flow, &row.hash).await) {
                carrier.tell(&run, &plan).await;
            }
        }
    }

    async fn post(&mut self) {
        if self.recalled {
            return;
        }
        match self.means.post.recall(&self.means.settings).await {
            Ok(()) => self.recalled = true,
            Err(error) => tracing::warn!(%error, "flows that wait for answers cannot be read; trying again"),
        }
    }

    fn carrier(&self) -> Carrier<S> {
        Carrier {
            store: self.store.clone(),
            means: self.means.clone(),
            news: self.news.clone(),
            stop: self.stop.clone(),
        }
    }

    fn landed(&mut self, ended: &Result<(Id, ()), tokio::task::JoinError>) {
        let id = match ended {
            Ok((id, ())) => *id,
            // Its row says what was on its way; it is due again when it is looked at next.
            Err(error) => {
                tracing::error!(%error, "a flow broke off; it is taken up again");
                error.id()
            }
        };
        self.hand.remove(&id);
    }

    /// Takes in hand what is due, and says how long there is nothing else.
    async fn claim(&mut self) -> Duration {
        self.schedule().await;
        let room = self.means.settings.at_once.max(1).saturating_sub(self.hand.len());
        if room == 0 {
            return LOOK;
        }
        let hand: Vec<String> = self.hand.values().cloned().collect();
        let at = now().wall;
        match self.store.flows_due(at, room, hand).await {
            Ok((due, next)) => {
                for due in due {
                    let id = due.row.id.clone();
                    let task = self.flying.spawn(self.carrier().carry(due));
                    self.hand.insert(task.id(), id);
                }
                next.map_or(LOOK, |next| {
                    Duration::from_millis(next.since(now().wall)).clamp(Duration::from_millis(1), LOOK)
                })
            }
            Err(error) => {
                tracing::warn!(%error, "cannot take flows out of the store");
                LOOK
            }
        }
    }

    async fn schedule(&mut self) {
        let at = now().wall;
        let minute = at.0.div_euclid(60_000);
        if minute == self.minute {
            return;
        }
        let flows = self.means.plans.starter().scheduled(&self.means.tenant, at);
        // Answers that nobody waited for, the seldom time that there are some.
        if minute.rem_euclid(60) == 0 || self.minute == 0 {
            match self.store.forget_words(at.plus_ms(-HELD_MS)).await {
                Ok(0) => {}
                Ok(words) => tracing::info!(words, "words that no flow waited for are forgotten"),
                Err(error) => tracing::warn!(%error, "words that no flow waited for cannot be forgotten yet"),
            }
        }
        // Rows that are there already change nothing: a restart within the minute begins nothing twice.
        if !flows.is_empty()
            && let Err(error) = self.store.submit(Batch { flows, ..Batch::default() }).await
        {
            return tracing::warn!(%error, "flows that are due by the clock could not begin; trying again");
        }
        self.minute = minute;
    }
}

struct Carrier<S> {
    store: Store,
    means: Arc<Means<S>>,
    news: mpsc::Sender<View>,
    stop: CancellationToken,
}

impl<S: Systems> Carrier<S> {
    /// As far as it goes without waiting for a moment or a person.
    async fn carry(self, due: FlowDue) {
        let FlowDue { row, words } = due;
        let at = now().wall;
        let read = Run::of(&row, at, &self.means.settings);
        let (mut run, plan) = match (read, self.means.plans.of(&self.store, &row.flow, &row.hash).await) {
            (Ok(run), Ok(plan)) => (run, plan),
            (Err(why), _) | (_, Err(why)) => {
                tracing::error!(
                    flow = row.flow,
                    id = row.id,
                    why,
                    "a flow cannot go on; it is tried again in a minute"
                );
                // Not in hand for this long, so that others are not held up by it.
                tokio::select! { () = sleep(Duration::from_secs(60)) => {}, () = self.stop.cancelled() => {} }
                return;
            }
        };
        let mut batch = hear(&mut run, &plan, words, at);
        let mut answers = FuturesUnordered::new();
        let mut listening = run.mailboxes();
        loop {
            let at = now().wall;
            let was = run.state();
            let systems = &self.means.systems;
            let tenant = run.tenant.clone();
            let wanted = if self.stop.is_cancelled() {
                // Nothing new is begun; what is on its way is still heard.
                Vec::new()
            } else {
                run.turn(&plan, at, |system, operation| systems.idempotency(&tenant, system, operation))
            };
            let wishes = run.inscriptions();
            if !self.keep(&mut run, at, std::mem::take(&mut batch)).await {
                // Nothing was sent for what is not on disk; it is taken up again as the disk has it.
                return;
            }
            if run.state() != was && ["person", "undone", "done"].contains(&run.state()) {
                match run.state() {
                    "done" => tracing::info!(flow = run.flow, id = run.id, "a flow is done"),
                    state => tracing::warn!(
                        flow = run.flow,
                        id = run.id,
                        state,
                        "a flow needs a look: see `linecard flows show`"
                    ),
                }
            }
            self.tell(&run, &plan).await;
            for wish in wishes {
                // Full: it is asked for again.
                let _ = self.means.inscriptions.try_send(wish);
            }
            if !self.listen(&run, &mut listening).await {
                return;
            }
            for one in wanted {
                answers.push(self.ask(tenant.clone(), one));
            }
            let Some(answered) = answers.next().await else { return };
            run.answered(&plan, answered, now().wall, &self.means.settings);
            // What was said while that was under way was said before the clock is asked. Where it cannot be read now, it is in the next round.
            if run.awaits()
                && let Ok(words) = self.store.flow_words(run.tenant.clone(), run.id.clone()).await
            {
                batch = hear(&mut run, &plan, words, now().wall);
            }
        }
    }

    /// On disk, or not: then it must not go on from here.
    async fn keep(&self, run: &mut Run, at: Wall, mut batch: Batch) -> bool {
        run.revision = run.revision.saturating_add(1);
        batch.flows = vec![run.row(at)];
        let mut wait = Duration::from_millis(100);
        loop {
            match self.store.submit(batch.clone()).await {
                Ok(()) => return true,
                Err(error) if error.passes() => {
                    tracing::warn!(flow = run.flow, id = run.id, %error, "a flow waits for the disk");
                    tokio::select! {
                        () = sleep(wait) => wait = (wait * 2).min(Duration::from_secs(2)),
                        () = self.stop.cancelled() => return false,
                    }
                }
                Err(error) => {
                    tracing::error!(flow = run.flow, id = run.id, %error, "the store refused a flow");
                    return false;
                }
            }
        }
    }

    /// Answers find it from here on. Not before it is on disk that it waits: what comes until now is held, and found.
    async fn listen(&self, run: &Run, listening: &mut Vec<Mailbox>) -> bool {
        let now_at = run.mailboxes();
        let (old, new): (Vec<_>, Vec<_>) = (
            listening.iter().filter(|of| !now_at.contains(of)).cloned().collect(),
            now_at.iter().filter(|of| !listening.contains(of)).cloned().collect(),
        );
        self.means.post.leave(&run.id, &old).await;
        *listening = now_at;
        let mut wait = Duration::from_millis(100);
        while let Err(error) = self.means.post.listen(&run.tenant, &run.id, &new).await {
            tracing::warn!(flow = run.flow, id = run.id, %error, "a flow that waits for an answer waits for the disk");
            tokio::select! {
                () = sleep(wait) => wait = (wait * 2).min(Duration::from_secs(2)),
                // The next start reads who waits.
                () = self.stop.cancelled() => return false,
            }
        }
        true
    }

    /// Screens are told where it stands; where the core is gone, it goes on all the same.
    async fn tell(&self, run: &Run, plan: &Plan) {
        let view = View::of(run, plan);
        tokio::select! {
            _ = self.news.send(view) => {}
            () = self.stop.cancelled() => {}
        }
    }

    async fn ask(&self, tenant: TenantId, wanted: Wanted) -> Answered {
        let Wanted { path, undo, system, operation, inputs } = wanted;
        let deadline = Duration::from_millis(self.means.settings.deadline_ms);
        let can = self.means.systems.idempotency(&tenant, &system, operation);
        let ask =
            Ask { tenant, system, operation: operation.to_owned(), inputs, deadline, priority: Priority::Background };
        // The connector keeps the deadline itself; the second one is for a fake or a bug.
        let outcome = timeout(deadline + Duration::from_secs(1), self.means.systems.ask(ask))
            .await
            .unwrap_or_else(|_| Outcome::Unknown { reason: "no answer within the deadline".to_owned() });
        Answered { path, undo, outcome, can, dice: dice() }
    }
}

/// Says words to a flow: what goes to the disk with it then.
fn hear(run: &mut Run, plan: &Plan, words: Vec<FlowWordRow>, at: Wall) -> Batch {
    let mut batch = Batch::default();
    for word in words {
        batch.flow_heard.push(word.id.clone());
        let Some(said) = Word::of(&word) else { continue };
        let heard = run.hear(plan, &said, at);
        if let Err(why) = heard {
            tracing::info!(flow = run.flow, id = run.id, why, "a word to a flow changes nothing");
        }
        let Some(what) = word_of(&said.said) else { continue };
        batch.audit.push(AuditRow {
            tenant: run.tenant.clone(),
            at,
            who: said.who.clone(),
            what: what.to_owned(),
            about: run.id.clone(),
            reason: Some(match (heard, &said.via) {
                (Err(why), _) => why.to_owned(),
                (Ok(()), None) => "done".to_owned(),
                (Ok(()), Some(via)) => format!("done, by {via}"),
            }),
        });
    }
    batch
}

/// For the audit; `None`: nobody said it.
pub(super) const fn word_of(said: &Said) -> Option<&'static str> {
    Some(match said {
        Said::Approve { .. } => "flow.approve",
        Said::Refuse { .. } => "flow.refuse",
        Said::Answer { .. } => "flow.answer",
        Said::Stop { .. } => "flow.stop",
        Said::Take { .. } => "flow.task.take",
        Said::Settle { .. } => "flow.task.settle",
        Said::Written { .. } | Said::Unwritten { .. } => return None,
    })
}
