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
    private::Private,
    store::{Batch, CallKey, Claim, Decided, EffectRow, History, Next, Settled, Store, StoreError},
    words::{
        SystemId, TenantId, Wall,
        refusal::{Refusal, code},
    },
};

use super::{
    desk::{Output, Token},
    expression,
    instead::{self, Instead},
    judge::{self, Try},
    settings::Delivery,
    update,
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
                Output::Refused { token, reason, .. } => {
                    let _ = answers
                        .send(Answer::Failed(token, StoreError::Refused(Refusal::new(code::NOT_NOW, reason))))
                        .await;
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
    fn offers(&self, system: &SystemId, operation: &str) -> bool;
    fn ask(&self, ask: Ask) -> impl Future<Output = Outcome> + Send;
    /// Whether something new may be written by this version of a system.
    fn goes(&self, version: &SystemId, operation: &str) -> bool {
        let _ = (version, operation);
        true
    }
    /// How an attempt ended, for whoever wants to see it.
    fn told(&self, row: &EffectRow, next: &Next) {
        let _ = (row, next);
    }
}

impl Systems for Connectors {
    fn idempotency(&self, _tenant: &TenantId, system: &SystemId, operation: &str) -> Idempotency {
        Connectors::idempotency(self, system, operation)
    }
    fn offers(&self, system: &SystemId, operation: &str) -> bool {
        Connectors::offers(self, system, operation)
    }
    fn ask(&self, ask: Ask) -> impl Future<Output = Outcome> + Send {
        self.run(ask)
    }
    fn goes(&self, version: &SystemId, operation: &str) -> bool {
        Connectors::goes(self, version, operation)
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
    /// Where each of them is; with the customer, where it looks for the customer's tickets first.
    places: HashMap<Id, (SystemId, Option<String>)>,
    /// Ended and not yet written; nothing new is claimed while the disk refuses these.
    settled: Vec<Settled>,
}

impl<S: Systems> Outbox<S> {
    async fn claim(&mut self) {
        if !self.settled.is_empty() {
            return;
        }
        let mut used: HashMap<SystemId, usize> = HashMap::new();
        for (system, _) in self.places.values() {
            *used.entry(system.clone()).or_default() += 1;
        }
        let most = self.settings.per_system.max(1);
        let claim = Claim {
            now: now().wall,
            // Longer than any attempt, so that a lease ends only when its deliverer is gone.
            // Two looks for the customer's tickets may come before the write.
            lease_ms: ms((self.settings.deadline_ms.saturating_mul(3))
                .saturating_add(self.settings.quiet_ms)
                .saturating_add(8_000)),
            quiet_ms: ms(self.settings.quiet_ms),
            room: used.into_iter().map(|(system, n)| (system, most.saturating_sub(n))).collect(),
            room_else: most,
        };
        match self.store.claim(claim).await {
            Ok(rows) => {
                for row in rows {
                    let place = (row.system.clone(), looks_for(&row));
                    // Two calls of one customer that looked at the same time would both find nothing, and make a ticket each.
                    if place.1.is_some() && self.places.values().any(|other| *other == place) {
                        let reason = "another call of this customer is being written".to_owned();
                        let at = now().wall;
                        let next = Next::Later { due_at: at.plus_ms(TURN_MS), reason, unsure: row.unsure };
                        self.settled.push(Settled { key: row.key, fence: row.fence, at, next });
                        continue;
                    }
                    // The store is lent only to who has something to write down before it sends.
                    let store = place.1.is_some().then(|| self.store.clone());
                    let task = self.flying.spawn(attempt(row, store, self.systems.clone(), self.settings.clone()));
                    self.places.insert(task.id(), place);
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

/// How long an effect waits for another one of the same customer, before it looks for that customer's tickets.
const TURN_MS: i64 = 500;

async fn attempt<S: Systems>(mut row: EffectRow, store: Option<Store>, systems: S, settings: Delivery) -> Settled {
    // Where it is not decided yet what it does, nothing was written.
    let unsure = row.unsure && store.is_none();
    let decided = match (elsewhere(&row, unsure, &systems), &store) {
        (Some(next), _) => Err(next),
        (None, Some(store)) => decide(&mut row, store, &systems, &settings).await,
        (None, None) => Ok(()),
    };
    drop(store);
    let next = match decided {
        Ok(()) => deliver_one(&row, &systems, &settings).await,
        Err(next) => next,
    };
    match &next {
        Next::Dead { reason, .. } | Next::Person { reason } => {
            tracing::error!(call = %row.call, system = %row.system, effect = row.key, reason, "an effect needs a person: see `linecard outbox show`");
        }
        Next::Elsewhere => {
            tracing::info!(call = %row.call, system = %row.system, version = ?row.version, effect = row.key, "the version of an effect wrote nothing and does not go on: the one in use writes it");
        }
        Next::Later { reason, .. } => {
            tracing::debug!(call = %row.call, system = %row.system, effect = row.key, reason, "an effect goes later");
        }
        Next::Done { .. } | Next::Back { .. } => {
            tracing::debug!(call = %row.call, system = %row.system, effect = row.key, "an effect is done");
        }
    }
    systems.told(&row, &next);
    Settled { key: row.key, fence: row.fence, at: now().wall, next }
}

/// By which file it is written.
pub(crate) fn by(row: &EffectRow) -> &SystemId {
    row.version.as_ref().unwrap_or(&row.system)
}

fn elsewhere<S: Systems>(row: &EffectRow, unsure: bool, systems: &S) -> Option<Next> {
    let (version, operation) = (row.version.as_ref()?, &row.operation);
    judge::elsewhere(version, systems.goes(version, operation), systems.offers(version, operation), unsure)
}

async fn deliver_one<S: Systems>(row: &EffectRow, systems: &S, settings: &Delivery) -> Next {
    let can = systems.idempotency(&row.tenant, by(row), &row.operation);
    if let Some(next) = judge::before(row.unsure, &can) {
        return next;
    }
    let mut inputs = match inputs(row) {
        Ok(inputs) => inputs,
        Err(next) => return next,
    };
    if row.operation == update::UPDATE {
        match compare(row, &mut inputs, systems, settings).await {
            Ok(true) => {}
            Ok(false) => return Next::Done { result: None },
            Err(next) => return next,
        }
    }
    let chosen = instead::chosen(&inputs).map(Value::to_string);
    let outcome = ask(row, &row.operation, inputs, systems, settings).await;
    match judge::judge(&outcome, &can, this(row), settings) {
        // An earlier try's words may have been found in place of the ticket: what is amended is the ticket.
        Next::Done { result } => Next::Done { result: chosen.map(Private::new).or(result) },
        next => next,
    }
}

/// Leaves of a change what is not there yet; false: all of it is.
async fn compare<S: Systems>(
    row: &EffectRow,
    inputs: &mut Map<String, Value>,
    systems: &S,
    settings: &Delivery,
) -> Result<bool, Next> {
    let outcome = match ask(row, update::GET, inputs.clone(), systems, settings).await {
        Outcome::Ok(Value::Object(now)) => match update::left(inputs, &now) {
            Ok(left) => {
                let any = !left.is_empty();
                inputs.insert("fields".to_owned(), left.into());
                return Ok(any);
            }
            Err(name) => {
                Outcome::Conflict { reason: format!("somebody else changed \"{name}\" meanwhile; nothing was written") }
            }
        },
        Outcome::Ok(_) | Outcome::Empty => Outcome::NotFound,
        other => asked(other),
    };
    Err(judge::judge(&outcome, &Idempotency::Read, this(row), settings))
}

/// Of a question nobody need know whether it was done: it may be asked again.
fn asked(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Broken { reason } | Outcome::Unknown { reason } => Outcome::Busy { reason },
        outcome => outcome,
    }
}

fn this(row: &EffectRow) -> Try {
    Try { now: now().wall, born_at: row.born_at, attempts: row.attempts, unsure: row.unsure, dice: dice() }
}

async fn ask<S: Systems>(
    row: &EffectRow,
    operation: &str,
    inputs: Map<String, Value>,
    systems: &S,
    settings: &Delivery,
) -> Outcome {
    let deadline = Duration::from_millis(settings.deadline_ms);
    let ask = Ask {
        tenant: row.tenant.clone(),
        system: by(row).clone(),
        operation: operation.to_owned(),
        inputs,
        deadline,
        priority: Priority::Background,
    };
    // The connector keeps the deadline itself; the second one is for a fake or a bug, so that no lease is ever overrun.
    timeout(deadline + Duration::from_secs(1), systems.ask(ask))
        .await
        .unwrap_or_else(|_| Outcome::Unknown { reason: "no answer within the deadline".to_owned() })
}

/// The customer whose tickets this effect looks for before it is known what it does.
fn looks_for(row: &EffectRow) -> Option<String> {
    let inputs: Map<String, Value> = serde_json::from_str(row.inputs.expose()).ok()?;
    Instead::of(&inputs)?;
    Some(format!("{} {}", row.tenant, inputs.get("customer")?.get("id")?))
}

/// Which ticket the effect is about, where that is open: looked for, written down, and from then on never asked again.
async fn decide<S: Systems>(row: &mut EffectRow, store: &Store, systems: &S, settings: &Delivery) -> Result<(), Next> {
    // Nothing is written before it is decided, whatever became of an earlier try.
    row.unsure = false;
    let mut told = inputs(row)?;
    let Some(rule) = Instead::of(&told) else { return Ok(()) };
    let look = async |operation: &str, since: Option<Wall>| -> Result<Vec<Value>, Next> {
        let mut about = told.clone();
        if let Some(since) = since {
            about.insert("since".to_owned(), since.to_string().into());
        }
        match ask(row, operation, about, systems, settings).await {
            Outcome::Ok(Value::Array(list)) => Ok(list),
            Outcome::Ok(_) | Outcome::Empty | Outcome::NotFound => Ok(Vec::new()),
            outcome => Err(asked(outcome)),
        }
        .map_err(|outcome| judge::judge(&outcome, &Idempotency::Read, this(row), settings))
    };
    let offered = |operations: [&str; 2]| operations.iter().all(|operation| systems.offers(by(row), operation));
    let at = now().wall;
    let mut decision = (instead::CREATE, None);
    if rule.append.is_some() && offered([instead::OPEN, instead::APPEND]) {
        let open = look(instead::OPEN, None).await?;
        decision = rule.open(at, &open, &told).map_or(decision, |ticket| (instead::APPEND, Some(ticket.clone())));
    }
    if let (None, Some(since), true) = (&decision.1, rule.closed_since(at), offered([instead::CLOSED, instead::REOPEN]))
    {
        let closed = look(instead::CLOSED, Some(since)).await?;
        decision = rule.closed(at, &closed, &told).map_or(decision, |ticket| (instead::REOPEN, Some(ticket.clone())));
    }
    let (operation, ticket) = decision;
    told = stored(row)?;
    instead::decided(&mut told, ticket.as_ref());
    row.operation = operation.to_owned();
    row.inputs = Private::new(Value::Object(told).to_string());
    let decided = Decided {
        key: row.key.clone(),
        fence: row.fence,
        at: now().wall,
        operation: row.operation.clone(),
        inputs: row.inputs.clone(),
    };
    match store.decide(decided).await {
        Ok(true) => Ok(()),
        // Somebody else's by now: what we settle changes nothing.
        Ok(false) => Err(Next::Back { unsure: false }),
        Err(error) => {
            tracing::warn!(%error, "cannot write down which ticket a call is about; looking again");
            Err(Next::Back { unsure: false })
        }
    }
}

fn stored(row: &EffectRow) -> Result<Map<String, Value>, Next> {
    serde_json::from_str(row.inputs.expose())
        .map_err(|_| Next::Dead { reason: "its inputs are no JSON object".to_owned(), unsure: row.unsure })
}

/// The stored inputs, with call, key and record, and for an amendment what the amended effect got.
/// What is asked with, for an effect; also when it is only looked for.
pub(crate) fn inputs(row: &EffectRow) -> Result<Map<String, Value>, Next> {
    let dead = |reason: &str| Next::Dead { reason: reason.to_owned(), unsure: row.unsure };
    let mut inputs = stored(row)?;
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
