//! The desk's clerk, who carries batches to the store, and the outbox, which carries effects to the business systems.
//! Both run on the back runtime.

use std::{collections::HashMap, future::Future, time::Duration};

use serde_json::{Map, Value};
use tokio::{
    sync::mpsc,
    task::{Id, JoinSet},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    connectors::{Ask, Connectors, Idempotency, Outcome, Priority},
    live::{dice, now},
    store::{Batch, CallKey, Claim, EffectRow, History, Next, Settled, Store, StoreError},
    words::{SystemId, TenantId},
};

use super::{
    desk::{Output, Token},
    expression,
    judge::{self, Try},
    settings::Delivery,
};

/// What the clerk brings back to the desk's thread.
// A history is large and rare, the others small and at once consumed: a box would only move the bytes.
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
pub enum Answer {
    /// What this request said is durable: `done`.
    Done(Token),
    /// It is not durable now: `failed`. The batch itself is still tried until there is room; saying the same again is harmless.
    Failed(Token, StoreError),
    /// For [`super::Desk::loaded`].
    Loaded(CallKey, Result<History, StoreError>),
}

/// Carries the desk's outputs to the store in their order, several at a time, and the answers back. A full disk is waited out: the batch
/// in hand stays in hand, `outputs` fills, and the desk takes no more words of agents. Ends when `outputs` is closed and all is written, or
/// when `stop` is cancelled while the disk refuses.
pub async fn clerk(
    store: Store,
    mut outputs: mpsc::Receiver<Output>,
    answers: mpsc::Sender<Answer>,
    stop: CancellationToken,
) {
    let mut hand = Vec::new();
    while outputs.recv_many(&mut hand, 64).await > 0 {
        let mut gathered = Gathered::default();
        for output in hand.drain(..) {
            match output {
                Output::Submit { batch, tokens } => gathered.add(*batch, tokens),
                Output::Load(key) => {
                    if !gathered.write(&store, &answers, &stop).await {
                        return;
                    }
                    let history = store.history(key.clone()).await;
                    let _ = answers.send(Answer::Loaded(key, history)).await;
                }
                Output::Refused { token, reason } => {
                    let _ = answers.send(Answer::Failed(token, StoreError::Refused { what: reason })).await;
                }
            }
        }
        if !gathered.write(&store, &answers, &stop).await {
            return;
        }
    }
}

#[derive(Default)]
struct Gathered {
    parts: Vec<Batch>,
    tokens: Vec<Token>,
}

impl Gathered {
    fn add(&mut self, batch: Batch, tokens: Vec<Token>) {
        self.parts.push(batch);
        self.tokens.extend(tokens);
    }

    /// False when it had to be given up because of `stop`.
    async fn write(&mut self, store: &Store, answers: &mpsc::Sender<Answer>, stop: &CancellationToken) -> bool {
        let parts = std::mem::take(&mut self.parts);
        if parts.is_empty() {
            return true;
        }
        let mut whole = Batch::default();
        for part in parts.clone() {
            whole.append(part);
        }
        let mut tokens = std::mem::take(&mut self.tokens);
        let mut wait = Duration::from_millis(100);
        loop {
            match store.submit(whole.clone()).await {
                Ok(()) => break,
                Err(error) if error.passes() => {
                    for token in tokens.drain(..) {
                        let _ = answers.send(Answer::Failed(token, error.clone())).await;
                    }
                    tokio::select! {
                        () = sleep(wait) => wait = (wait * 2).min(Duration::from_secs(2)),
                        () = stop.cancelled() => {
                            tracing::error!(%error, batches = parts.len(), "stopped with records that the disk would not take");
                            return false;
                        }
                    }
                }
                // One row that is refused must not take its neighbours along.
                Err(error) => {
                    tracing::error!(%error, "the store refused a batch; its parts are written one by one");
                    for part in parts {
                        if let Err(error) = store.submit(part).await {
                            tracing::error!(%error, "the store refused a part of a batch for good");
                        }
                    }
                    for token in tokens.drain(..) {
                        let _ = answers.send(Answer::Failed(token, error.clone())).await;
                    }
                    return true;
                }
            }
        }
        for token in tokens {
            let _ = answers.send(Answer::Done(token)).await;
        }
        true
    }
}

/// The systems as the outbox sees them; [`Connectors`], or a fake with a brain in tests.
pub trait Systems: Clone + Send + Sync + 'static {
    fn idempotency(&self, tenant: &TenantId, system: &SystemId, operation: &str) -> Idempotency;
    fn ask(&self, ask: Ask) -> impl Future<Output = Outcome> + Send;
}

impl Systems for Connectors {
    fn idempotency(&self, _tenant: &TenantId, system: &SystemId, operation: &str) -> Idempotency {
        Connectors::idempotency(self, system, operation)
    }
    fn ask(&self, ask: Ask) -> impl Future<Output = Outcome> + Send {
        self.run(ask)
    }
}

/// Delivers what is due until `stop`: as much at each system as `per_system` says, a call's effects one after another. A commit that put effects
/// wakes it; besides it asks the file once a second, for retries from the command line and for what becomes due.
pub async fn deliver<S: Systems>(store: Store, systems: S, settings: Delivery, stop: CancellationToken) {
    let woken = store.effects();
    let mut outbox =
        Outbox { store, systems, settings, flying: JoinSet::new(), places: HashMap::new(), settled: Vec::new() };
    while !stop.is_cancelled() {
        outbox.claim().await;
        tokio::select! {
            () = stop.cancelled() => break,
            () = woken.notified() => {}
            () = sleep(Duration::from_secs(1)) => {}
            Some(ended) = outbox.flying.join_next_with_id() => outbox.landed(ended),
        }
        outbox.settle().await;
    }
    // What does not end within the grace stays claimed and unsure; the next start looks before it writes.
    let until = Instant::now() + Duration::from_millis(outbox.settings.grace_ms);
    while let Ok(Some(ended)) =
        timeout(until.saturating_duration_since(Instant::now()), outbox.flying.join_next_with_id()).await
    {
        outbox.landed(ended);
    }
    outbox.settle().await;
}

struct Outbox<S> {
    store: Store,
    systems: S,
    settings: Delivery,
    flying: JoinSet<Settled>,
    places: HashMap<Id, SystemId>,
    /// Ended and not yet written; nothing new is claimed while the disk refuses these.
    settled: Vec<Settled>,
}

impl<S: Systems> Outbox<S> {
    async fn claim(&mut self) {
        if !self.settled.is_empty() {
            return;
        }
        let mut used: HashMap<SystemId, usize> = HashMap::new();
        for system in self.places.values() {
            *used.entry(system.clone()).or_default() += 1;
        }
        let most = self.settings.per_system.max(1);
        let claim = Claim {
            now: now().wall,
            // Longer than any attempt, so that a lease ends only when its deliverer is gone.
            lease_ms: ms(self.settings.deadline_ms.saturating_add(self.settings.quiet_ms).saturating_add(5_000)),
            quiet_ms: ms(self.settings.quiet_ms),
            room: used.into_iter().map(|(system, n)| (system, most.saturating_sub(n))).collect(),
            room_else: most,
        };
        match self.store.claim(claim).await {
            Ok(rows) => {
                for row in rows {
                    let system = row.system.clone();
                    let task = self.flying.spawn(attempt(row, self.systems.clone(), self.settings.clone()));
                    self.places.insert(task.id(), system);
                }
            }
            Err(error) => tracing::warn!(%error, "cannot take effects out of the outbox"),
        }
    }

    fn landed(&mut self, mut ended: Result<(Id, Settled), tokio::task::JoinError>) {
        loop {
            match ended {
                Ok((id, settled)) => {
                    self.places.remove(&id);
                    self.settled.push(settled);
                }
                // Its row stays claimed until the lease ends, then somebody looks.
                Err(error) => {
                    self.places.remove(&error.id());
                    tracing::error!(%error, "a delivery broke off");
                }
            }
            match self.flying.try_join_next_with_id() {
                Some(next) => ended = next,
                None => return,
            }
        }
    }

    async fn settle(&mut self) {
        if self.settled.is_empty() {
            return;
        }
        match self.store.settle(self.settled.clone()).await {
            Ok(_) => self.settled.clear(),
            Err(error) => {
                tracing::warn!(%error, effects = self.settled.len(), "cannot write down how deliveries ended; trying again");
                sleep(Duration::from_millis(250)).await;
            }
        }
    }
}

async fn attempt<S: Systems>(row: EffectRow, systems: S, settings: Delivery) -> Settled {
    let can = systems.idempotency(&row.tenant, &row.system, &row.operation);
    let next = match judge::before(row.unsure, &can) {
        Some(next) => next,
        None => match inputs(&row) {
            Err(next) => next,
            Ok(inputs) => {
                let deadline = Duration::from_millis(settings.deadline_ms);
                let ask = Ask {
                    tenant: row.tenant.clone(),
                    system: row.system.clone(),
                    operation: row.operation.clone(),
                    inputs,
                    deadline,
                    priority: Priority::Background,
                };
                // The connector keeps the deadline itself; the second one is for a fake or a bug, so that no lease is ever overrun.
                let outcome = timeout(deadline + Duration::from_secs(1), systems.ask(ask))
                    .await
                    .unwrap_or_else(|_| Outcome::Unknown { reason: "no answer within the deadline".to_owned() });
                let this = Try {
                    now: now().wall,
                    born_at: row.born_at,
                    attempts: row.attempts,
                    unsure: row.unsure,
                    dice: dice(),
                };
                judge::judge(&outcome, &can, this, &settings)
            }
        },
    };
    match &next {
        Next::Dead { reason, .. } | Next::Person { reason } => {
            tracing::error!(call = %row.call, system = %row.system, effect = row.key, reason, "an effect needs a person: see `linecard outbox show`");
        }
        Next::Later { reason, .. } => {
            tracing::debug!(call = %row.call, system = %row.system, effect = row.key, reason, "an effect goes later");
        }
        Next::Done { .. } | Next::Back { .. } => {
            tracing::debug!(call = %row.call, system = %row.system, effect = row.key, "an effect is done");
        }
    }
    Settled { key: row.key, fence: row.fence, at: now().wall, next }
}

/// The stored inputs, with call, key and record, and for an amendment what the amended effect got.
fn inputs(row: &EffectRow) -> Result<Map<String, Value>, Next> {
    let dead = |reason: &str| Next::Dead { reason: reason.to_owned(), unsure: row.unsure };
    let mut inputs: Map<String, Value> =
        serde_json::from_str(row.inputs.expose()).map_err(|_| dead("its inputs are no JSON object"))?;
    inputs.insert("call".to_owned(), row.call.to_string().into());
    inputs.insert("key".to_owned(), row.key.clone().into());
    if let Some(record) = row.record.as_ref().and_then(|r| serde_json::from_str(r.expose()).ok()) {
        inputs.insert("record".to_owned(), record);
    }
    if !row.from_result.is_empty() {
        let Some(result) = row.base_result.as_ref().and_then(|r| serde_json::from_str::<Value>(r.expose()).ok()) else {
            return Err(dead("what it amends was not done, or gave no answer"));
        };
        let context = serde_json::json!({ "result": result });
        for (name, text) in &row.from_result {
            match expression::value(text, &context) {
                Ok(Value::Null) | Err(_) => {
                    return Err(dead(&format!("the answer to what it amends does not give `{name}`")));
                }
                Ok(value) => inputs.insert(name.clone(), value),
            };
        }
    }
    Ok(inputs)
}

fn ms(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
