//! Who may ask a system now: places for requests at one time, windows, and what the system itself said of its limits.
//!
//! Still: [`Gate::enter`] takes a request, [`Gate::leaves`] and [`Gate::told`] what became of it, and [`Gate::next`] gives those who may go until nothing more is to be
//! said before [`Gate::wake_at`]. Ringing phones go first, in the order in which they came, then background work in its own; a request that waits for its operation's own
//! window lets others pass. One in [`FAVOUR`] goes to background work even if phones ring all the time, so that what must be written is written one day.

use std::collections::{BTreeMap, VecDeque};

use crate::words::Mono;

use super::{
    hints::Told,
    window::{Rate, Window},
};
use crate::connectors::Priority;

/// While background work waits, it gets one of so many turns.
const FAVOUR: u32 = 20;
/// Who comes when so many wait is told at once: with ten answers a second they would wait for minutes.
const WAITERS: usize = 4096;
/// However long a system asks us to stay away, we look again after this: a maintenance page that says "tomorrow" is often wrong. What a file calls a block is believed to the end.
const LONGEST_WAIT_MS: u64 = 900_000;
const LONGEST_BLOCK_MS: u64 = 86_400_000;
/// After "asked too often" without a time: the first wait, doubled with each further one up to a minute.
const UNTOLD_MS: u64 = 1_000;
const UNTOLD_DOUBLINGS: u32 = 6;
/// What is left is believed for so long where the system does not say when it comes back.
const RESET_UNTOLD_MS: u64 = 10_000;

/// What a file allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Requests at one time.
    pub places: u32,
    pub logins: bool,
    pub windows: Vec<Rate>,
    /// Operations with limits of their own.
    pub own: BTreeMap<&'static str, Own>,
    /// Operations that are counted in the limits of one of those, and what a request of them costs.
    pub shares: BTreeMap<&'static str, (&'static str, u32)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    pub windows: Vec<Rate>,
    pub cost: u32,
    pub alone: bool,
}

/// A request on its way. To be given back to [`Gate::leaves`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    own: Option<&'static str>,
    cost: u64,
    background: bool,
    /// How much had been sent when this had, by all and by its operation.
    sent: (u64, u64),
}

/// What [`Gate::enter`] says.
#[derive(Debug, PartialEq, Eq)]
pub enum Entry<T> {
    Go(Pass, T),
    /// Its turn comes through [`Gate::next`].
    Waits(u64),
    No(Why),
}

/// Why a request does not go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Not in its time; there may be room after so many milliseconds.
    Enough { wait_ms: u64 },
    /// Those who are there take too long.
    Full,
}

/// How much of a limit is used, for figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    pub operation: Option<&'static str>,
    pub what: Quota,
    pub used: u64,
    pub of: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// One of the file's windows, by its seconds.
    Window { per_s: u64 },
    /// As the system itself counts.
    Told,
}

struct Waiter<T> {
    ticket: u64,
    who: T,
    own: Option<&'static str>,
    cost: u64,
    deadline: Mono,
}

#[derive(Default)]
struct Scope {
    windows: Vec<Window>,
    /// Sent and not answered.
    held: u64,
    /// Sent since the start: what a hint does not know of yet is what was sent after its request.
    sent: u64,
    closed_until: Mono,
    refused_in_row: u32,
    said: Option<Said>,
}

/// What the system said is left.
struct Said {
    left: u64,
    of: Option<u64>,
    until: Mono,
    /// `sent` of the request that brought it: an answer that was overtaken says nothing.
    as_of: u64,
}

impl Scope {
    fn refit(&mut self, rates: &[Rate], now: Mono) {
        let mut old = std::mem::take(&mut self.windows);
        // What a new window was for is not known; what was spent in the fullest of the old ones may count in it too.
        let spent = old.iter_mut().map(|window| window.used(now)).max().unwrap_or(0);
        self.windows = rates
            .iter()
            .map(|rate| match old.iter().position(|window| window.rate == *rate) {
                Some(at) => old.swap_remove(at),
                None => {
                    let mut window = Window::new(rate.clone());
                    window.spend(now, spent.min(rate.depth()));
                    window
                }
            })
            .collect();
    }

    /// When `cost` fits, if nothing else were sent; `kept` is left for others.
    fn ready_at(&mut self, now: Mono, cost: u64, background: bool) -> Mono {
        let held = self.held;
        let mut at = self.closed_until.max(now);
        for window in &mut self.windows {
            let kept = if background { u64::from(window.rate.kept) } else { 0 };
            at = at.max(window.ready_at(now, cost.saturating_add(kept), held));
        }
        if self.said.as_ref().is_some_and(|said| said.until <= now) {
            self.said = None;
        }
        if let Some(said) = &self.said {
            let kept = if background { said.of.unwrap_or(0) / 10 } else { 0 };
            if said.left < cost.saturating_add(kept) {
                at = at.max(said.until);
            }
        }
        at
    }

    fn fits(&mut self, now: Mono, cost: u64, background: bool) -> bool {
        let held = self.held;
        let windows = self.windows.iter_mut().all(|window| {
            let kept = if background { u64::from(window.rate.kept) } else { 0 };
            window.room(now, held) >= cost.saturating_add(kept)
        });
        windows && self.closed_until <= now && {
            let said = self.said.as_ref().filter(|said| said.until > now);
            said.is_none_or(|said| {
                let kept = if background { said.of.unwrap_or(0) / 10 } else { 0 };
                said.left >= cost.saturating_add(kept)
            })
        }
    }

    fn takes(&mut self, cost: u64) -> u64 {
        self.held = self.held.saturating_add(cost);
        self.sent = self.sent.saturating_add(cost);
        if let Some(said) = &mut self.said {
            said.left = said.left.saturating_sub(cost);
        }
        self.sent
    }

    fn gives_back(&mut self, now: Mono, cost: u64) {
        self.held = self.held.saturating_sub(cost);
        self.spend(now, cost);
    }

    fn spend(&mut self, now: Mono, cost: u64) {
        for window in &mut self.windows {
            window.spend(now, cost);
        }
    }

    fn told(&mut self, now: Mono, sent: u64, told: &Told) {
        let wait_ms = match (told.wait_ms, told.refused) {
            (Some(ms), _) if told.blocked => Some(ms.min(LONGEST_BLOCK_MS)),
            (Some(ms), _) => Some(ms.min(LONGEST_WAIT_MS)),
            // Several that were refused together are one refusal.
            (None, true) if self.closed_until > now => None,
            (None, true) => {
                self.refused_in_row = self.refused_in_row.saturating_add(1);
                Some(UNTOLD_MS << (self.refused_in_row - 1).min(UNTOLD_DOUBLINGS))
            }
            (None, false) => None,
        };
        if !told.refused {
            self.refused_in_row = 0;
        }
        if let Some(ms) = wait_ms {
            self.closed_until = self.closed_until.max(now.plus_ms(ms));
        }
        let newer = self.said.as_ref().is_none_or(|said| said.as_of <= sent || said.until <= now);
        if let Some(left) = told.remaining.filter(|_| newer) {
            let since = self.sent.saturating_sub(sent);
            let until = now.plus_ms(told.reset_ms.unwrap_or(RESET_UNTOLD_MS).min(LONGEST_WAIT_MS));
            self.said = Some(Said { left: left.saturating_sub(since), of: told.limit, until, as_of: sent });
        }
    }
}

/// One system's. `T` is whom to tell.
pub struct Gate<T> {
    plan: Plan,
    whole: Scope,
    own: BTreeMap<&'static str, Scope>,
    places: u32,
    background_places: u32,
    /// Ringing phones, background.
    queues: [VecDeque<Waiter<T>>; 2],
    /// Turns of phones while background work waited.
    passed_over: u32,
    tickets: u64,
}

const POPS: usize = 0;
const BACKGROUND: usize = 1;

enum Fit {
    Yes,
    /// It waits for what all share.
    All,
    /// It waits for what its operation alone has.
    Own,
}

impl<T> Gate<T> {
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let mut this = Self {
            plan: Plan::default(),
            whole: Scope::default(),
            own: BTreeMap::new(),
            places: 0,
            background_places: 0,
            queues: [VecDeque::new(), VecDeque::new()],
            passed_over: 0,
            tickets: 0,
        };
        this.refit(plan, Mono(0));
        this
    }

    /// After a reload. What is on its way, what was spent and what the system said stays.
    pub fn refit(&mut self, plan: Plan, now: Mono) {
        if self.plan == plan {
            return;
        }
        self.whole.refit(&plan.windows, now);
        for (name, own) in &plan.own {
            self.own.entry(name).or_default().refit(&own.windows, now);
        }
        for (name, scope) in &mut self.own {
            if !plan.own.contains_key(name) {
                scope.windows.clear();
            }
        }
        self.plan = plan;
    }

    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Leave for one who need not wait.
    pub fn at_once(&mut self, operation: &str, priority: Priority, now: Mono) -> Option<Pass> {
        let (own, cost, class) = self.kind(operation, priority);
        let nobody_waits = self.queues.iter().all(VecDeque::is_empty);
        let goes = nobody_waits && matches!(self.fit(own, cost, class == BACKGROUND, now), Fit::Yes);
        goes.then(|| self.take(own, cost, class))
    }

    fn kind(&self, operation: &str, priority: Priority) -> (Option<&'static str>, u64, usize) {
        let shared = self.plan.shares.get(operation).map(|(with, cost)| (Some(*with), u64::from(*cost)));
        let own = || self.plan.own.get_key_value(operation).map(|(name, own)| (Some(*name), u64::from(own.cost)));
        let (own, cost) = shared.or_else(own).unwrap_or((None, 1));
        (own, cost, if priority == Priority::Pop { POPS } else { BACKGROUND })
    }

    /// A request of `operation`, to be sent before `deadline`.
    pub fn enter(&mut self, who: T, operation: &str, priority: Priority, deadline: Mono, now: Mono) -> Entry<T> {
        if let Some(pass) = self.at_once(operation, priority, now) {
            return Entry::Go(pass, who);
        }
        let (own, cost, class) = self.kind(operation, priority);
        if self.queues.iter().map(VecDeque::len).sum::<usize>() >= WAITERS {
            return Entry::No(Why::Full);
        }
        let at = self.earliest(own, cost, class, now);
        if at > deadline {
            return Entry::No(Why::Enough { wait_ms: at.since_ms(now).max(1) });
        }
        self.tickets += 1;
        let waiter = Waiter { ticket: self.tickets, who, own, cost, deadline };
        if let Some(queue) = self.queues.get_mut(class) {
            queue.push_back(waiter);
        }
        Entry::Waits(self.tickets)
    }

    /// The next who may go, or who is told that it will not be in time.
    pub fn next(&mut self, now: Mono) -> Option<(T, Result<Pass, Why>)> {
        if let Some(late) = self.late(now) {
            return Some(late);
        }
        let favoured = self.passed_over >= FAVOUR;
        let order = if favoured { [BACKGROUND, POPS] } else { [POPS, BACKGROUND] };
        for class in order {
            let mut stuck: Vec<&'static str> = Vec::new();
            let places_left = class == POPS || self.background_place();
            let queue = self.queues.get(class).map_or(0, VecDeque::len);
            for at in 0..if places_left { queue } else { 0 } {
                let Some((own, cost)) = self.queues.get(class).and_then(|q| q.get(at)).map(|w| (w.own, w.cost)) else {
                    break;
                };
                if own.is_some_and(|own| stuck.contains(&own)) {
                    continue;
                }
                match self.fit(own, cost, class == BACKGROUND && !favoured, now) {
                    Fit::Yes => {
                        let waiter = self.queues.get_mut(class)?.remove(at)?;
                        let pass = self.take(own, cost, class);
                        return Some((waiter.who, Ok(pass)));
                    }
                    // Who comes later must not take what this one waits for.
                    Fit::All => return None,
                    Fit::Own => stuck.extend(own),
                }
            }
        }
        None
    }

    /// When something may change by itself.
    #[must_use]
    pub fn wake_at(&mut self, now: Mono) -> Option<Mono> {
        // The first of each queue, and behind it those of other operations: whatever is beyond the first few waits for them anyway.
        const LOOKED_AT: usize = 64;
        let favoured = self.passed_over >= FAVOUR;
        let mut first: Option<Mono> = None;
        for class in [POPS, BACKGROUND] {
            for at in 0..LOOKED_AT {
                let Some((own, cost)) = self.queues.get(class).and_then(|q| q.get(at)).map(|w| (w.own, w.cost)) else {
                    break;
                };
                let ready = self.ready_at(own, cost, class == BACKGROUND && !favoured, now);
                if ready > now {
                    first = Some(first.map_or(ready, |known| known.min(ready)));
                }
            }
        }
        first
    }

    /// Its answer came, or none will.
    pub fn leaves(&mut self, pass: Pass, now: Mono) {
        self.places = self.places.saturating_sub(1);
        if pass.background {
            self.background_places = self.background_places.saturating_sub(1);
        }
        self.whole.gives_back(now, pass.cost);
        if let Some(scope) = pass.own.and_then(|own| self.own.get_mut(own)) {
            scope.gives_back(now, pass.cost);
        }
    }

    /// What an answer said of the limits.
    pub fn told(&mut self, pass: Pass, told: &Told, now: Mono) {
        let extra = told.cost.map_or(0, |cost| cost.saturating_sub(pass.cost));
        let alone = pass.own.is_some_and(|own| self.plan.own.get(own).is_some_and(|own| own.alone));
        if extra > 0 {
            self.whole.spend(now, extra);
        }
        if !alone {
            self.whole.told(now, pass.sent.0, told);
        }
        if let Some(scope) = pass.own.and_then(|own| self.own.get_mut(own)) {
            scope.spend(now, extra);
            if alone {
                scope.told(now, pass.sent.1, told);
            }
        }
    }

    /// It waits no longer. Why it had to, if it is still in the queue.
    pub fn gives_up(&mut self, ticket: u64, now: Mono) -> Option<Why> {
        for class in [POPS, BACKGROUND] {
            let at = self.queues.get(class).and_then(|queue| queue.iter().position(|w| w.ticket == ticket));
            let Some(waiter) = at.and_then(|at| self.queues.get_mut(class)?.remove(at)) else { continue };
            let ready = self.ready_at(waiter.own, waiter.cost, class == BACKGROUND, now);
            return Some(if ready > now { Why::Enough { wait_ms: ready.since_ms(now).max(1) } } else { Why::Full });
        }
        None
    }

    /// How much of each limit is used.
    pub fn used(&mut self, now: Mono) -> Vec<Used> {
        let mut all = Vec::new();
        let scopes = self.own.iter_mut().map(|(name, scope)| (Some(*name), scope));
        for (operation, scope) in std::iter::once((None, &mut self.whole)).chain(scopes) {
            let held = scope.held;
            for window in &mut scope.windows {
                let (used, of) = (window.used(now).saturating_add(held), window.rate.depth());
                all.push(Used { operation, what: Quota::Window { per_s: window.rate.per_us / 1_000_000 }, used, of });
            }
            if let Some((left, of)) =
                scope.said.as_ref().filter(|said| said.until > now).and_then(|said| Some((said.left, said.of?)))
            {
                all.push(Used { operation, what: Quota::Told, used: of.saturating_sub(left), of });
            }
        }
        all
    }

    /// Until when nothing may be asked at all.
    #[must_use]
    pub fn closed_until(&self) -> Mono {
        self.whole.closed_until
    }

    /// One who will not be in time, however it goes on.
    fn late(&mut self, now: Mono) -> Option<(T, Result<Pass, Why>)> {
        for class in [POPS, BACKGROUND] {
            let (closed, own) = (self.whole.closed_until, &self.own);
            let until = |w: &Waiter<T>| w.own.and_then(|o| own.get(o)).map_or(closed, |o| closed.max(o.closed_until));
            let queue = self.queues.get_mut(class)?;
            // Only what the system said can make somebody late who was not when he came.
            if let Some(at) = queue.iter().position(|w| until(w) > w.deadline) {
                let wait_ms = queue.get(at).map_or(0, |w| until(w).since_ms(now)).max(1);
                return Some((queue.remove(at)?.who, Err(Why::Enough { wait_ms })));
            }
        }
        None
    }

    fn background_place(&self) -> bool {
        self.background_places < self.plan.places.saturating_sub(1).max(1)
    }

    fn fit(&mut self, own: Option<&'static str>, cost: u64, background: bool, now: Mono) -> Fit {
        let places = self.places < self.plan.places && (!background || self.background_place());
        if !places || !self.whole.fits(now, cost, background) {
            return Fit::All;
        }
        let scope = own.and_then(|own| self.own.get_mut(own));
        if scope.is_none_or(|scope| scope.fits(now, cost, background)) { Fit::Yes } else { Fit::Own }
    }

    fn ready_at(&mut self, own: Option<&'static str>, cost: u64, background: bool, now: Mono) -> Mono {
        let at = self.whole.ready_at(now, cost, background);
        match own.and_then(|own| self.own.get_mut(own)) {
            Some(scope) => at.max(scope.ready_at(now, cost, background)),
            None => at,
        }
    }

    /// Not before this moment it is its turn, by what is known now.
    fn earliest(&mut self, own: Option<&'static str>, cost: u64, class: usize, now: Mono) -> Mono {
        let ahead = |mine: Option<&'static str>| -> u64 {
            let queues = self.queues.iter().take(class + 1);
            queues.flatten().filter(|w| mine.is_none() || w.own == mine).fold(0, |sum, w| sum.saturating_add(w.cost))
        };
        let (all, same) = (ahead(None), own.map(|own| ahead(Some(own))));
        // Those who wait for their own window do not hold up others, so only what all share is sure to be taken by those ahead; and of that nothing is sure but
        // that it is spent. An estimate that is too early costs a wait, one that is too late an answer: windows alone, no kept share.
        let at = self.whole.ready_at(now, if self.stuck_on_own() { cost } else { cost.saturating_add(all) }, false);
        match (own.and_then(|own| self.own.get_mut(own)), same) {
            (Some(scope), Some(same)) => at.max(scope.ready_at(now, cost.saturating_add(same), false)),
            _ => at,
        }
    }

    fn stuck_on_own(&self) -> bool {
        self.queues.iter().flatten().any(|w| w.own.is_some())
    }

    fn take(&mut self, own: Option<&'static str>, cost: u64, class: usize) -> Pass {
        self.places += 1;
        let background = class == BACKGROUND;
        if background {
            self.background_places += 1;
            self.passed_over = 0;
        } else if self.queues.get(BACKGROUND).is_none_or(VecDeque::is_empty) {
            self.passed_over = 0;
        } else {
            self.passed_over = self.passed_over.saturating_add(1);
        }
        let of_own = own.and_then(|own| self.own.get_mut(own)).map_or(0, |scope| scope.takes(cost));
        Pass { own, cost, background, sent: (self.whole.takes(cost), of_own) }
    }
}
