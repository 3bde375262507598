//! The day so far, by queue and by hour, for a board: counted as records are written.
//!
//! A record counts as it was first written; what is amended later is in `linecard kpis`. After a start the day until then is read beside everything else and put in.

use std::collections::{BTreeMap, BTreeSet};

use crate::words::{SwitchId, TenantId, Wall};

use super::{query::Calendar, seen::Seen, settings::Settings, tally::Tally};

/// Of one queue or hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Without short abandons.
    pub offered: u64,
    pub answered: u64,
    pub in_time: u64,
    pub abandoned: u64,
}

impl Count {
    fn add(&mut self, other: &Self) {
        self.offered += other.offered;
        self.answered += other.answered;
        self.in_time += other.in_time;
        self.abandoned += other.abandoned;
    }
}

/// Of one tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Day {
    /// By queue, as the switch names it; "" where there was none.
    pub queues: BTreeMap<String, Count>,
    /// By the hour of the day.
    pub hours: BTreeMap<u8, Count>,
}

#[derive(Debug)]
pub struct Today {
    settings: Settings,
    edges: BTreeSet<SwitchId>,
    calendar: Calendar,
    day: String,
    of: BTreeMap<TenantId, Day>,
    /// Nothing of the day is missing.
    pub complete: bool,
}

/// Queues of one tenant at most; names are the switch's.
const QUEUES: usize = 1_000;

impl Default for Today {
    fn default() -> Self {
        Self::new(Settings::default(), BTreeSet::new(), Wall(0))
    }
}

impl Today {
    #[must_use]
    pub fn new(settings: Settings, edges: BTreeSet<SwitchId>, now: Wall) -> Self {
        let mut calendar = Calendar::new(settings.zone());
        let day = calendar.of(now).0.to_owned();
        Self { settings, edges, calendar, day, of: BTreeMap::new(), complete: false }
    }

    /// How its calls are counted.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A record that was written for the first time. One of another day is not of today.
    pub fn take(&mut self, now: Wall, tenant: &TenantId, ended: Wall, body: &str) {
        self.turn(now);
        let (day, hour) = self.calendar.of(ended);
        if day != self.day {
            return;
        }
        let hour: u8 = hour.parse().unwrap_or(0);
        let Ok(seen) = Seen::read(body) else { return };
        if !seen.is_offered() || (seen.has_twin() && self.edges.contains(&SwitchId::from(&*seen.switch))) {
            return;
        }
        let mut one = Tally::default();
        one.call(&seen, None, &self.settings);
        let count = Count {
            offered: one.offered,
            answered: one.answered_inbound,
            in_time: one.in_time,
            abandoned: one.abandoned,
        };
        let of = self.of.entry(tenant.clone()).or_default();
        of.hours.entry(hour).or_default().add(&count);
        let queue = seen.queue.as_deref().unwrap_or_default();
        if of.queues.len() < QUEUES || of.queues.contains_key(queue) {
            of.queues.entry(queue.to_owned()).or_default().add(&count);
        }
    }

    /// The day until the daemon started, as it was read.
    pub fn put_in(&mut self, now: Wall, earlier: Self) {
        self.turn(now);
        if earlier.day == self.day {
            for (tenant, day) in earlier.of {
                let of = self.of.entry(tenant).or_default();
                day.queues.iter().for_each(|(queue, count)| of.queues.entry(queue.clone()).or_default().add(count));
                day.hours.iter().for_each(|(hour, count)| of.hours.entry(*hour).or_default().add(count));
            }
        }
        self.complete = true;
    }

    /// A tenant's day so far.
    pub fn of(&mut self, now: Wall, tenant: &TenantId) -> Day {
        self.turn(now);
        self.of.get(tenant).cloned().unwrap_or_default()
    }

    /// Who had calls today.
    pub fn tenants(&self) -> impl Iterator<Item = &TenantId> {
        self.of.keys()
    }

    /// When the day began.
    #[must_use]
    pub fn begins(&self) -> Option<Wall> {
        super::query::begins(&self.settings.zone(), self.day.parse().ok()?)
    }

    /// After midnight it is another day, of which nothing is missing.
    fn turn(&mut self, now: Wall) {
        let day = self.calendar.of(now).0;
        if day != self.day {
            self.day = day.to_owned();
            self.of.clear();
            self.complete = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_day_is_counted_as_records_come_and_ends_at_midnight() {
        let at = |text: &str| Wall(text.parse::<jiff::Timestamp>().unwrap().as_millisecond());
        let now = at("2026-11-02T06:00:00Z");
        let tenant = TenantId::default();
        let record = |outcome: &str, wait: u64| {
            json!({"switch": "pbx1", "end": "seen", "direction": "inbound", "queue": "support", "outcome": outcome, "wait_ms": wait}).to_string()
        };
        let mut earlier = Today::new(Settings::default(), BTreeSet::new(), now);
        earlier.take(now, &tenant, at("2026-11-02T01:30:00Z"), &record("abandoned", 60_000));
        // Before midnight in Shanghai.
        earlier.take(now, &tenant, at("2026-11-01T15:59:59Z"), &record("answered", 1));
        let mut today = Today::new(Settings::default(), BTreeSet::new(), now);
        today.take(now, &tenant, now, &record("answered", 20_000));
        today.take(now, &tenant, now, &record("abandoned", 1_000));
        assert!(!today.complete);
        today.put_in(now, earlier);
        let day = today.of(now, &tenant);
        assert_eq!(day.queues["support"], Count { offered: 2, answered: 1, in_time: 1, abandoned: 1 });
        assert_eq!(day.hours.keys().copied().collect::<Vec<_>>(), [9, 14]);
        assert_eq!(today.begins(), Some(at("2026-11-01T16:00:00Z")));
        let next = at("2026-11-02T16:00:00Z");
        assert_eq!(today.of(next, &tenant), Day::default());
        today.take(next, &tenant, now, &record("answered", 1));
        assert_eq!(today.of(next, &tenant), Day::default(), "it ended yesterday");
    }
}
