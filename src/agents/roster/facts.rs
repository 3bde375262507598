//! What a pop says beside the customer, and what agents see of their own day: counts that others make, and one that is made here.

use std::collections::{BTreeMap, HashMap};

use super::{super::protocol::CalledBefore, Key, OnDesk, Roster};
use crate::{
    agents::protocol::{MyCsat, MyDay},
    calls::{Face, What, face::CallState},
    words::{CallId, Now, TenantId, Wall},
};

/// In which queue a call waits, and since when.
#[derive(Debug, PartialEq)]
struct Waits {
    of: (TenantId, String),
    since: Option<Wall>,
}

/// Who waits for an answer in which queue.
#[derive(Debug, Default)]
pub(super) struct Queued {
    calls: HashMap<CallId, Waits>,
    waiting: HashMap<(TenantId, String), u32>,
}

impl Queued {
    /// Whether somebody waits now, or waits no longer, or since another moment.
    pub fn note(&mut self, call: CallId, what: &What, face: &Face) -> bool {
        let waits = matches!(face.state, CallState::Queued | CallState::Ringing)
            && face.answered_at.is_none()
            && !face.aside
            && !matches!(what, What::Ended | What::Absorbed { .. });
        let queue = face.queue.as_ref().filter(|_| waits);
        let waits = queue.map(|queue| Waits { of: (face.tenant.clone(), queue.clone()), since: face.queued_at });
        if self.calls.get(&call) == waits.as_ref() {
            return false;
        }
        if let Some(Waits { of, .. }) = self.calls.remove(&call)
            && let Some(count) = self.waiting.get_mut(&of)
        {
            *count -= 1;
            if *count == 0 {
                self.waiting.remove(&of);
            }
        }
        if let Some(waits) = waits {
            *self.waiting.entry(waits.of.clone()).or_default() += 1;
            self.calls.insert(call, waits);
        }
        true
    }

    /// How many wait in each queue, and since when the first of them does.
    pub fn all(&self) -> HashMap<(&TenantId, &str), (u32, Option<Wall>)> {
        let mut all: HashMap<_, (u32, Option<Wall>)> = HashMap::new();
        for Waits { of: (tenant, queue), since } in self.calls.values() {
            let (count, longest) = all.entry((tenant, queue.as_str())).or_default();
            *count += 1;
            *longest = [*longest, *since].into_iter().flatten().min();
        }
        all
    }

    /// How many wait in the queue of a call besides it.
    pub fn others(&self, face: &Face) -> u32 {
        let Some(queue) = &face.queue else { return 0 };
        let own = self.calls.get(&face.call).is_some_and(|waits| waits.of.1 == *queue);
        let all = self.waiting.get(&(face.tenant.clone(), queue.clone())).copied().unwrap_or(0);
        all - u32::from(own)
    }
}

/// Queues of which a wrap-up is not taken without an outcome.
#[derive(Debug, Default)]
pub(super) struct Required(pub Vec<String>);

impl Required {
    pub fn of(&self, face: &Face) -> bool {
        self.0.iter().any(|queue| queue == "*" || face.queue.as_ref() == Some(queue))
    }
}

/// What the roster knows beside a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around {
    /// How many others wait in its queue.
    pub waiting: u32,
    /// Its wrap-up needs an outcome.
    pub outcome_required: bool,
}

/// Each agent's calls of the day.
#[derive(Debug, Default)]
pub(super) struct Days {
    /// When the day ends; absent until it was read as a whole.
    until: Option<Wall>,
    /// Whether customers are asked at all.
    surveys: bool,
    of: BTreeMap<Key, DayOf>,
}

/// One agent's calls of the day, as others count them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DayOf {
    pub calls: u64,
    pub handling_ms: u64,
    pub csat: MyCsat,
}

impl Days {
    pub fn of(&self, key: &Key) -> Option<MyDay> {
        let DayOf { calls, handling_ms, csat } = self.of.get(key).copied().unwrap_or_default();
        self.until.map(|until| MyDay { calls, handling_ms, csat: self.surveys.then_some(csat), until })
    }
}

impl Roster {
    /// These agents have so many calls today, which ends at `until`. Whoever else was counted for an earlier day has none. `surveys`: customers are asked what they think.
    pub fn days(&mut self, now: Now, until: Wall, surveys: bool, days: impl IntoIterator<Item = (Key, DayOf)>) {
        let first = self.days.until.is_none();
        self.days.surveys = surveys;
        let mut news = Vec::new();
        if self.days.until.replace(until) != Some(until) {
            news.extend(std::mem::take(&mut self.days.of).into_keys());
        }
        for (key, day) in days {
            self.days.of.insert(key.clone(), day);
            news.push(key);
        }
        if first {
            news.extend(self.streams.keys().cloned());
        }
        news.sort();
        news.dedup();
        for key in news {
            self.tell_screens(now, &key, None);
        }
    }

    /// Whether it is still to be said how often this call's number called before.
    #[must_use]
    pub fn lacks_before(&self, call: CallId) -> bool {
        self.calls.get(&call).is_none_or(|call| call.before.is_none())
    }

    /// How often this call's number called before. Who has it on the screen already sees it.
    pub fn called_before(&mut self, now: Now, call: CallId, before: CalledBefore) {
        let on_desk = self.calls.entry(call).or_insert_with(OnDesk::new);
        if on_desk.before.replace(before).is_none() && !on_desk.agents.is_empty() {
            self.tell_pop(now, call);
        }
    }
}
