//! The day so far, by queue and by hour, for a board, and each agent's own: counted as records are written.
//!
//! For queues and hours a record counts as it was first written; what is amended later is in `linecard kpis`. An agent's own figures follow what is amended, for the time after a call
//! is written down when it is over. After a start the day until then is read beside everything else and put in.

use std::collections::{BTreeMap, BTreeSet};

use crate::words::{AgentId, CallId, SwitchId, TenantId, Wall};

use super::{
    query::Calendar,
    seen::Seen,
    settings::Settings,
    tally::{Tally, score},
};

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

/// An agent's own calls of the day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mine {
    /// Calls that the agent talked on.
    pub calls: u64,
    /// Talk, hold and wrap of these, as docs/kpis.md has the handling time of an agent's part.
    pub handling_ms: u64,
    /// Customers of these who answered a survey, and those of them whose answer is a good one.
    pub rated: u64,
    pub good: u64,
}

/// An agent's part of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    ms: u64,
    /// What the customer answered: whether it was good.
    good: Option<bool>,
}

/// A record as it is written.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    pub tenant: &'a TenantId,
    pub call: CallId,
    pub ended: Wall,
    /// It was not written before.
    pub first: bool,
    /// The call record as JSON.
    pub body: &'a str,
}

#[derive(Debug)]
pub struct Today {
    settings: Settings,
    edges: BTreeSet<SwitchId>,
    calendar: Calendar,
    day: String,
    of: BTreeMap<TenantId, Day>,
    /// By call, so that what is amended counts once.
    agents: BTreeMap<(TenantId, AgentId), BTreeMap<CallId, Part>>,
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
        Self { settings, edges, calendar, day, of: BTreeMap::new(), agents: BTreeMap::new(), complete: false }
    }

    /// How its calls are counted.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A record that was written; one of another day is not of today. Gives the agents whose figures are others now.
    pub fn take(&mut self, now: Wall, written: Written<'_>) -> Vec<AgentId> {
        let Written { tenant, call, ended, first, body } = written;
        self.turn(now);
        let (day, hour) = self.calendar.of(ended);
        if day != self.day {
            return Vec::new();
        }
        let hour: u8 = hour.parse().unwrap_or(0);
        let Ok(seen) = Seen::read(body) else { return Vec::new() };
        if seen.has_twin() && self.edges.contains(&SwitchId::from(&*seen.switch)) {
            return Vec::new();
        }
        if first {
            self.offer(tenant, hour, &seen);
        }
        let good = score(&seen, &self.settings).map(|score| score >= self.settings.csat.good);
        let mut agents = Vec::new();
        for agent in seen.agents.iter().flatten() {
            let Some(handled) = seen.handled_by(agent).filter(|handled| handled.talk > 0) else { continue };
            let agent = AgentId::from(&**agent);
            let of = self.agents.entry((tenant.clone(), agent.clone())).or_default();
            let ms = handled.talk + handled.hold.unwrap_or(0) + handled.wrap.unwrap_or(0);
            let part = Part { ms, good };
            if of.insert(call, part) != Some(part) {
                agents.push(agent);
            }
        }
        agents
    }

    fn offer(&mut self, tenant: &TenantId, hour: u8, seen: &Seen<'_>) {
        if !seen.is_offered() {
            return;
        }
        let mut one = Tally::default();
        one.call(seen, None, &self.settings);
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
            for (agent, calls) in earlier.agents {
                let of = self.agents.entry(agent).or_default();
                // What was amended since is newer than what was read.
                for (call, part) in calls {
                    of.entry(call).or_insert(part);
                }
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

    /// An agent's own day so far.
    pub fn of_agent(&mut self, now: Wall, tenant: &TenantId, agent: &AgentId) -> Mine {
        self.turn(now);
        let calls = self.agents.get(&(tenant.clone(), agent.clone()));
        let count = |calls: &BTreeMap<CallId, Part>| {
            let answers = || calls.values().filter_map(|part| part.good);
            Mine {
                calls: calls.len() as u64,
                handling_ms: calls.values().map(|part| part.ms).sum(),
                rated: answers().count() as u64,
                good: answers().filter(|good| *good).count() as u64,
            }
        };
        calls.map(count).unwrap_or_default()
    }

    /// Who has calls of this day.
    pub fn agents(&self) -> impl Iterator<Item = &(TenantId, AgentId)> {
        self.agents.keys()
    }

    /// When the day ends.
    #[must_use]
    pub fn ends(&self) -> Option<Wall> {
        super::query::begins(&self.settings.zone(), self.day.parse::<jiff::civil::Date>().ok()?.tomorrow().ok()?)
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
            self.agents.clear();
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
        let take = |today: &mut Today, now: Wall, ended: Wall, body: &str| {
            today.take(now, Written { tenant: &tenant, call: CallId(ulid::Ulid::nil()), ended, first: true, body });
        };
        let record = |outcome: &str, wait: u64| {
            json!({"switch": "pbx1", "end": "seen", "direction": "inbound", "queue": "support", "outcome": outcome, "wait_ms": wait}).to_string()
        };
        let mut earlier = Today::new(Settings::default(), BTreeSet::new(), now);
        take(&mut earlier, now, at("2026-11-02T01:30:00Z"), &record("abandoned", 60_000));
        // Before midnight in Shanghai.
        take(&mut earlier, now, at("2026-11-01T15:59:59Z"), &record("answered", 1));
        let mut today = Today::new(Settings::default(), BTreeSet::new(), now);
        take(&mut today, now, now, &record("answered", 20_000));
        take(&mut today, now, now, &record("abandoned", 1_000));
        assert!(!today.complete);
        today.put_in(now, earlier);
        let day = today.of(now, &tenant);
        assert_eq!(day.queues["support"], Count { offered: 2, answered: 1, in_time: 1, abandoned: 1 });
        assert_eq!(day.hours.keys().copied().collect::<Vec<_>>(), [9, 14]);
        assert_eq!(today.begins(), Some(at("2026-11-01T16:00:00Z")));
        let next = at("2026-11-02T16:00:00Z");
        assert_eq!(today.of(next, &tenant), Day::default());
        take(&mut today, next, now, &record("answered", 1));
        assert_eq!(today.of(next, &tenant), Day::default(), "it ended yesterday");
    }

    #[test]
    fn what_a_customer_answers_later_is_of_every_agent_who_talked_with_them() {
        let now = Wall("2026-11-02T06:00:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond());
        let (tenant, li) = (TenantId::default(), AgentId::from("1001"));
        let mut today = Today::new(Settings::default(), BTreeSet::new(), now);
        let mut answered = |call: u128, score: Option<&str>| {
            let segment =
                json!({"kind": "talk", "agent": "1001", "from": "2026-11-02T05:00:00Z", "to": "2026-11-02T05:01:00Z"});
            let mut body = json!({"switch": "pbx1", "end": "seen", "direction": "inbound", "outcome": "answered", "talk_ms": 60_000,
                "agents": ["1001"], "segments": [segment]});
            if let Some(score) = score {
                body["attributes"] = json!({"survey.score": score});
            }
            let call = CallId(ulid::Ulid(call));
            today.take(
                now,
                Written { tenant: &tenant, call, ended: now, first: score.is_none(), body: &body.to_string() },
            )
        };
        for call in 1..=3 {
            assert_eq!(answered(call, None), std::slice::from_ref(&li));
        }
        assert_eq!(answered(1, Some("5")), std::slice::from_ref(&li), "an answer is news");
        assert_eq!(answered(1, Some("5")), [], "the same again is none");
        answered(2, Some("3"));
        assert_eq!(answered(3, Some("9")), [], "it is no answer of 1 to 5");
        assert_eq!(today.of_agent(now, &tenant, &li), Mine { calls: 3, handling_ms: 180_000, rated: 2, good: 1 });
    }

    #[test]
    fn an_agents_own_figures_follow_what_is_amended_and_a_call_counts_once() {
        let at = |text: &str| Wall(text.parse::<jiff::Timestamp>().unwrap().as_millisecond());
        let now = at("2026-11-02T06:00:00Z");
        let (tenant, li, wang) = (TenantId::default(), AgentId::from("1001"), AgentId::from("1002"));
        let body = |wrap: u64| {
            let segment = |kind: &str, agent: &str, from: &str, to: &str| json!({"kind": kind, "agent": agent, "from": from, "to": to});
            json!({"switch": "pbx1", "end": "seen", "direction": "inbound", "outcome": "answered", "wait_ms": 1, "talk_ms": 90_000, "hold_ms": 10_000,
                "agents": ["1001", "1002"], "wrapups": [{"agent": "1001", "ms": wrap}],
                "segments": [segment("talk", "1001", "2026-11-02T05:00:00Z", "2026-11-02T05:01:00Z"), segment("hold", "1001", "2026-11-02T05:01:00Z", "2026-11-02T05:01:10Z"),
                    segment("talk", "1002", "2026-11-02T05:01:10Z", "2026-11-02T05:01:40Z")]})
            .to_string()
        };
        let take = |today: &mut Today, first: bool, wrap: u64| {
            today.take(
                now,
                Written { tenant: &tenant, call: CallId(ulid::Ulid::nil()), ended: now, first, body: &body(wrap) },
            )
        };
        let mut today = Today::new(Settings::default(), BTreeSet::new(), now);
        assert_eq!(take(&mut today, true, 0), [li.clone(), wang.clone()]);
        assert_eq!(take(&mut today, false, 5_000), std::slice::from_ref(&li), "the other's part is as it was");
        let mut earlier = Today::new(Settings::default(), BTreeSet::new(), now);
        take(&mut earlier, true, 0);
        today.put_in(now, earlier);
        assert_eq!(today.of_agent(now, &tenant, &li), Mine { calls: 1, handling_ms: 75_000, rated: 0, good: 0 });
        assert_eq!(today.of_agent(now, &tenant, &wang), Mine { calls: 1, handling_ms: 30_000, ..Mine::default() });
        assert_eq!(today.ends(), Some(at("2026-11-02T16:00:00Z")));
        assert_eq!(today.of_agent(at("2026-11-02T16:00:00Z"), &tenant, &li), Mine::default());
    }
}
