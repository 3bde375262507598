//! One system's limits, breaker and retry budget in use: requests wait here for their turn. The machines outlive a reload.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{
    Limits,
    breaker::{Breaker, Ended, Shown, Way},
    file::{BreakerFile, RetriesFile},
    gate::{Entry, Gate, Pass, Plan, Used, Why},
    hints::Told,
    retry::{Retries, Tried},
};
use crate::{
    connectors::{Outcome, Priority},
    live::{dice, instant, now},
    words::{Mono, SystemId},
};

type Answer = oneshot::Sender<Result<Permit, Why>>;

pub struct Limiter {
    system: SystemId,
    state: Mutex<State>,
}

struct State {
    gate: Gate<Answer>,
    /// For when a task is there that looks again.
    armed: Option<Mono>,
    retries: Retries,
    breaker: Breaker,
    breakers: BTreeMap<&'static str, Breaker>,
}

/// Leave to send one request. Its end is the answer's arrival.
pub struct Permit {
    limiter: Arc<Limiter>,
    pass: Option<Pass>,
}

impl Permit {
    /// For what the answer says of the limits, which is known later.
    #[must_use]
    pub fn pass(&self) -> Option<Pass> {
        self.pass
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(pass) = self.pass.take() {
            self.limiter.lock().gate.leaves(pass, now().mono);
            self.limiter.pump();
        }
    }
}

/// Whoever waits and goes away leaves the queue.
struct Waiting<'a> {
    limiter: &'a Arc<Limiter>,
    ticket: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let gone = self.limiter.lock().gate.gives_up(self.ticket, now().mono);
        if gone.is_some() {
            self.limiter.pump();
        }
    }
}

/// A question that the breaker let through.
pub struct Turn {
    limiter: Arc<Limiter>,
    operation: &'static str,
    pub probe: bool,
    ended: bool,
}

impl Turn {
    pub fn ended(mut self, ended: Ended) {
        self.end(ended);
    }

    fn end(&mut self, ended: Ended) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let (changed, shown) = {
            let mut state = self.limiter.lock();
            if let Ended::Answered { took_ms, .. } = ended {
                state.retries.answered(took_ms);
            }
            let breaker = state.breaker(self.operation);
            (breaker.ended(self.probe, ended, now()), breaker.shown())
        };
        if !changed {
            return;
        }
        let system = &self.limiter.system;
        match shown.until {
            Some(until) => {
                tracing::warn!(%system, operation = self.operation, why = shown.why, %until, "a business system fails and is left alone");
            }
            None => tracing::info!(%system, operation = self.operation, "a business system answers again"),
        }
    }
}

impl Drop for Turn {
    /// Whoever asked went away: nothing was learnt.
    fn drop(&mut self) {
        self.end(Ended::Unasked);
    }
}

impl State {
    fn breaker(&mut self, operation: &str) -> &mut Breaker {
        self.breakers.get_mut(operation).unwrap_or(&mut self.breaker)
    }
}

impl Limiter {
    #[must_use]
    pub fn new(system: SystemId, limits: &Limits) -> Self {
        let this = Self {
            system,
            state: Mutex::new(State {
                gate: Gate::new(Plan::default()),
                armed: None,
                retries: Retries::new(RetriesFile::default()),
                breaker: Breaker::new(BreakerFile::default()),
                breakers: BTreeMap::new(),
            }),
        };
        this.refit(limits);
        this
    }

    /// After a reload: what did not change goes on as it was.
    pub fn refit(&self, limits: &Limits) {
        let mut state = self.lock();
        state.gate.refit(limits.plan.clone(), now().mono);
        state.retries.refit(limits.retries);
        state.breaker.refit(limits.breaker);
        state.breakers.retain(|name, _| limits.breakers.contains_key(name));
        for (name, rules) in &limits.breakers {
            state.breakers.entry(name).or_insert_with(|| Breaker::new(*rules)).refit(*rules);
        }
    }

    /// Waits for leave to send one request, at most until `deadline`.
    ///
    /// # Errors
    /// Why it is not sent.
    pub async fn pass(self: &Arc<Self>, operation: &str, priority: Priority, deadline: Instant) -> Result<Permit, Why> {
        let left = deadline.saturating_duration_since(Instant::now());
        let (ticket, turn) = {
            let mut state = self.lock();
            let at = now().mono;
            if let Some(pass) = state.gate.at_once(operation, priority, at) {
                return Ok(Permit { limiter: self.clone(), pass: Some(pass) });
            }
            let until = Mono(at.0.saturating_add(u64::try_from(left.as_micros()).unwrap_or(u64::MAX)));
            let (sender, turn) = oneshot::channel();
            match state.gate.enter(sender, operation, priority, until, at) {
                Entry::Go(pass, _) => return Ok(Permit { limiter: self.clone(), pass: Some(pass) }),
                Entry::No(why) => return Err(why),
                Entry::Waits(ticket) => (ticket, turn),
            }
        };
        let _waiting = Waiting { limiter: self, ticket };
        self.pump();
        match tokio::time::timeout_at(tokio::time::Instant::from_std(deadline), turn).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Why::Full),
            Err(_) => Err(self.lock().gate.gives_up(ticket, now().mono).unwrap_or(Why::Full)),
        }
    }

    /// What an answer said of the limits.
    pub fn told(self: &Arc<Self>, pass: Pass, told: &Told) {
        self.lock().gate.told(pass, told, now().mono);
        // Those who will not be in time any more are told so.
        self.pump();
    }

    /// Whether logins wait here too.
    #[must_use]
    pub fn counts_logins(&self) -> bool {
        self.lock().gate.plan().logins
    }

    /// Asks the breaker.
    ///
    /// # Errors
    /// Busy, and until when.
    pub fn knock(self: &Arc<Self>, operation: &'static str) -> Result<Turn, Outcome> {
        let mut state = self.lock();
        let at = now();
        state.retries.asked(at.mono);
        let breaker = state.breaker(operation);
        let probe = match breaker.ask(at) {
            Way::Go => false,
            Way::Probe => true,
            Way::No => {
                let Shown { until, why, .. } = breaker.shown();
                let why = why.unwrap_or_default();
                let system = &self.system;
                let reason = match until {
                    Some(until) => format!("{system} is not asked until {until}: {why}"),
                    None => format!("{system} is being tried again: {why}"),
                };
                return Err(Outcome::Busy { reason });
            }
        };
        Ok(Turn { limiter: self.clone(), operation, probe, ended: false })
    }

    /// The pause after which a question that ended so is asked again.
    #[must_use]
    pub fn again(&self, outcome: &Outcome, retries: u32, safe: bool, deadline: Instant) -> Option<Duration> {
        let left = deadline.saturating_duration_since(Instant::now());
        let tried = Tried { retries, safe, left_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX) };
        self.lock().retries.again(outcome, tried, dice(), now().mono).map(Duration::from_millis)
    }

    /// The breakers: the system's own, and those of operations.
    #[must_use]
    pub fn standing(&self) -> Vec<(Option<&'static str>, Shown)> {
        let state = self.lock();
        let own = state.breakers.iter().map(|(name, breaker)| (Some(*name), breaker.shown()));
        std::iter::once((None, state.breaker.shown())).chain(own).collect()
    }

    #[must_use]
    pub fn used(&self) -> Vec<Used> {
        self.lock().gate.used(now().mono)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nobody panics while holding it, and if so: what it says is still true.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go whoever may, and sees to it that somebody looks again in time.
    fn pump(self: &Arc<Self>) {
        loop {
            let (told, wake) = {
                let mut state = self.lock();
                let at = now().mono;
                let told: Vec<_> = std::iter::from_fn(|| state.gate.next(at)).collect();
                let wake = state.gate.wake_at(at).filter(|wake| state.armed.is_none_or(|armed| *wake < armed));
                if wake.is_some() {
                    state.armed = wake;
                }
                (told, wake)
            };
            if let Some(wake) = wake {
                self.look_again_at(wake);
            }
            let mut unused = false;
            for (who, result) in told {
                let result = result.map(|pass| Permit { limiter: self.clone(), pass: Some(pass) });
                // Whoever went away in this very moment did not use it; not by its own drop, which would come back here.
                if let Err(Ok(mut permit)) = who.send(result)
                    && let Some(pass) = permit.pass.take()
                {
                    self.lock().gate.leaves(pass, now().mono);
                    unused = true;
                }
            }
            if !unused {
                return;
            }
        }
    }

    fn look_again_at(self: &Arc<Self>, wake: Mono) {
        // Without a runtime the process is ending, and nobody waits.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let this = self.clone();
        runtime.spawn(async move {
            tokio::time::sleep_until(instant(wake)).await;
            {
                let mut state = this.lock();
                if state.armed == Some(wake) {
                    state.armed = None;
                }
            }
            this.pump();
        });
    }
}
