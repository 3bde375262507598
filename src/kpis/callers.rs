//! Who called in the last days, and how often: so that a pop says at once that somebody calls for the second time, and no disk is asked for it.
//!
//! Kept in memory as hashes under a key of this run: no number can be read back from it. Counted as records are written; after a start the days before are read beside
//! everything else and put in, and until then nothing is said.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap, VecDeque, hash_map::RandomState},
    hash::BuildHasher as _,
};

use serde::Deserialize;

use crate::{
    calls::record::Direction,
    words::{SwitchId, TenantId, Wall},
};

/// How far back it is counted.
pub const DAYS: u32 = 7;
const WINDOW_MS: i64 = DAYS as i64 * 86_400_000;
/// Calls that are remembered; one takes about 50 bytes. Where more come in these days, nothing is said.
const MOST: usize = 500_000;

/// Calls of a number that ended within [`DAYS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Before {
    pub calls: u32,
    pub last: Option<Wall>,
}

#[derive(Clone, Debug, Default)]
pub struct Callers {
    edges: BTreeSet<SwitchId>,
    key: RandomState,
    /// In the order of their ends.
    calls: VecDeque<(Wall, u64)>,
    of: HashMap<u64, Before>,
    /// Nothing of these days is missing.
    whole: bool,
}

/// What is read of a record.
#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    switch: Cow<'a, str>,
    direction: Option<Direction>,
    #[serde(borrow)]
    customer: Option<Customer<'a>>,
    #[serde(default)]
    related: Vec<Related>,
}

#[derive(Deserialize)]
struct Customer<'a> {
    #[serde(borrow)]
    raw: Option<Cow<'a, str>>,
    #[serde(borrow)]
    e164: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Related {
    certain: bool,
}

impl Callers {
    /// `edges`: switches that stand before others; a call that both wrote down is the other's.
    #[must_use]
    pub fn new(edges: BTreeSet<SwitchId>) -> Self {
        Self { edges, ..Self::default() }
    }

    /// Without calls, to read the days before into.
    #[must_use]
    pub fn empty(&self) -> Self {
        Self { edges: self.edges.clone(), key: self.key.clone(), ..Self::default() }
    }

    /// A record that was written for the first time.
    pub fn take(&mut self, now: Wall, tenant: &TenantId, ended: Wall, body: &str) {
        let Ok(record) = serde_json::from_str::<Record<'_>>(body) else { return };
        let twin = || record.related.iter().any(|r| r.certain) && self.edges.contains(&SwitchId::from(&*record.switch));
        if record.direction != Some(Direction::Inbound) || ended < now.plus_ms(-WINDOW_MS) || twin() {
            return;
        }
        let number = record.customer.and_then(|c| c.e164.or(c.raw)).filter(|n| !n.is_empty());
        if let Some(number) = number {
            let key = self.key.hash_one((tenant, &*number));
            self.add(now, ended, key);
        }
    }

    /// The days until the daemon started, as they were read into [`Self::empty`].
    pub fn put_in(&mut self, now: Wall, earlier: Self) {
        let ours = std::mem::take(&mut self.calls);
        self.of.clear();
        self.whole = true;
        for (ended, key) in earlier.calls.into_iter().chain(ours) {
            self.add(now, ended, key);
        }
    }

    /// How often this number (E.164, or as the switch shows it) called; `None`: it is not known.
    pub fn of(&mut self, now: Wall, tenant: &TenantId, number: &str) -> Option<Before> {
        self.turn(now);
        self.whole.then(|| self.of.get(&self.key.hash_one((tenant, number))).copied().unwrap_or_default())
    }

    fn add(&mut self, now: Wall, ended: Wall, key: u64) {
        self.turn(now);
        if self.calls.len() >= MOST {
            self.whole = false;
            self.drop_first();
        }
        self.calls.push_back((ended, key));
        let before = self.of.entry(key).or_default();
        *before = Before { calls: before.calls + 1, last: before.last.max(Some(ended)) };
    }

    /// What is older than the days is forgotten.
    fn turn(&mut self, now: Wall) {
        while self.calls.front().is_some_and(|(ended, _)| *ended < now.plus_ms(-WINDOW_MS)) {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        let Some((_, key)) = self.calls.pop_front() else { return };
        if let Some(before) = self.of.get_mut(&key) {
            before.calls -= 1;
            if before.calls == 0 {
                self.of.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const DAY: i64 = 86_400_000;

    #[test]
    fn a_number_is_counted_for_its_days_and_never_before_they_were_read() {
        let tenant = TenantId::default();
        let body = |number: &str, direction: &str| {
            json!({"switch": "pbx1", "direction": direction, "customer": {"raw": "x", "e164": number}}).to_string()
        };
        let now = Wall(100 * DAY);
        let mut callers = Callers::new(BTreeSet::from(["edge1".into()]));
        let mut earlier = callers.empty();
        callers.take(now, &tenant, now, &body("+8613800138000", "inbound"));
        assert_eq!(callers.of(now, &tenant, "+8613800138000"), None, "the days before are not read yet");
        // Eight days ago, six days ago, our own call to them, another tenant's, and what an edge had too.
        earlier.take(now, &tenant, Wall(92 * DAY), &body("+8613800138000", "inbound"));
        earlier.take(now, &tenant, Wall(94 * DAY), &body("+8613800138000", "inbound"));
        earlier.take(now, &tenant, Wall(95 * DAY), &body("+8613800138000", "outbound"));
        earlier.take(now, &"other".into(), Wall(95 * DAY), &body("+8613800138000", "inbound"));
        let twin = json!({"switch": "edge1", "direction": "inbound", "customer": {"e164": "+8613800138000"}, "related": [{"certain": true}]});
        earlier.take(now, &tenant, Wall(95 * DAY), &twin.to_string());
        callers.put_in(now, earlier);
        let of = |callers: &mut Callers, day: i64| callers.of(Wall(day), &tenant, "+8613800138000");
        assert_eq!(of(&mut callers, now.0), Some(Before { calls: 2, last: Some(now) }));
        assert_eq!(callers.of(now, &tenant, "+8613900139000"), Some(Before::default()));
        assert_eq!(of(&mut callers, 101 * DAY + 1), Some(Before { calls: 1, last: Some(now) }));
        assert_eq!(of(&mut callers, 107 * DAY + 1), Some(Before::default()));
        assert!(callers.of.is_empty() && callers.calls.is_empty());
    }
}
