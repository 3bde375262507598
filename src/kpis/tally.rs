//! What calls come to, one at a time: counts and histograms of one group.

use std::collections::BTreeMap;

use crate::calls::record::{Direction, Outcome};

use super::{
    answer::{Figure, Interval, Method},
    compare::wilson,
    definitions::Unit,
    figures::Id,
    query::Dimension,
    seen::{Handled, Seen},
    settings::Settings,
    spread::Spread,
};

/// Yes, of so many; and how many are not judged yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    pub yes: u64,
    pub of: u64,
    pub open: u64,
}

/// How long agents were in which states, milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    pub ready: u64,
    pub busy: u64,
    pub after_call: u64,
    pub not_ready: u64,
}

/// One group. Memory does not grow with the number of calls.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    calls: BTreeMap<(&'static str, &'static str), u64>,
    pub records: u64,
    pub offered: u64,
    pub in_time: u64,
    pub answered_inbound: u64,
    pub abandoned: u64,
    pub short: u64,
    pub wait: Spread,
    handling: Spread,
    talk: Spread,
    hold: Spread,
    wrap: Spread,
    answered: u64,
    with_customer: u64,
    surveyed: u64,
    resolved: Rate,
    scores: BTreeMap<u8, u64>,
    recommended: BTreeMap<u8, u64>,
    operations: BTreeMap<&'static str, u64>,
    operations_squared: u64,
    pub contact: Rate,
    pub ticket: Rate,
    pub times: Option<Times>,
    pub differences: BTreeMap<String, u64>,
}

/// What agents do by hand across systems, as the frames and the store name it.
pub const OPERATIONS: [&str; 4] = ["record-opened", "number-copied", "search-typed", "ticket-outside"];

impl Tally {
    /// A call, once for the group. `operations`: what was done by hand for it (`record-opened=2`).
    pub fn call(&mut self, seen: &Seen<'_>, operations: Option<&str>, settings: &Settings) {
        self.records += 1;
        *self.calls.entry((direction(seen.direction), outcome(seen.outcome))).or_default() += 1;
        if seen.is_offered() {
            self.offer(seen, settings);
        }
        if !seen.is_answered() {
            return;
        }
        self.answered += 1;
        self.by_hand(operations);
        let score = score(seen, settings);
        let recommended = number(seen, &settings.nps.attribute).filter(|score| *score <= 10);
        let resolved = seen.attribute(&settings.resolved.attribute).and_then(|word| {
            let is = |words: &[String]| words.iter().any(|known| known.eq_ignore_ascii_case(word));
            if is(&settings.resolved.yes) { Some(true) } else { is(&settings.resolved.no).then_some(false) }
        });
        score.into_iter().for_each(|score| *self.scores.entry(score).or_default() += 1);
        recommended.into_iter().for_each(|score| *self.recommended.entry(score).or_default() += 1);
        if let Some(yes) = resolved {
            self.resolved.of += 1;
            self.resolved.yes += u64::from(yes);
        }
        if seen.direction != Some(Direction::Internal) {
            self.with_customer += 1;
            self.surveyed += u64::from(score.is_some() || recommended.is_some() || resolved.is_some());
        }
    }

    fn offer(&mut self, seen: &Seen<'_>, settings: &Settings) {
        let waited = seen.wait_ms.unwrap_or(0);
        let left = seen.outcome == Some(Outcome::Abandoned);
        if left && waited <= settings.short_ms() {
            self.short += 1;
            return;
        }
        self.offered += 1;
        self.wait.add(waited);
        self.abandoned += u64::from(left);
        if seen.is_answered() {
            self.answered_inbound += 1;
            self.in_time += u64::from(waited <= settings.in_time_ms(seen.queue.as_deref()));
        }
    }

    fn by_hand(&mut self, operations: Option<&str>) {
        let mut sum = 0;
        for one in operations.unwrap_or_default().split(',') {
            let known = one.split_once('=').and_then(|(kind, n)| {
                let kind = OPERATIONS.into_iter().find(|known| *known == kind)?;
                Some((kind, n.parse::<u64>().ok()?))
            });
            if let Some((kind, n)) = known {
                *self.operations.entry(kind).or_default() += n;
                sum += n;
            }
        }
        self.operations_squared += sum * sum;
    }

    /// Talk, hold and wrap of a call, or of an agent's part in it.
    pub fn handled(&mut self, handled: Handled) {
        self.talk.add(handled.talk);
        handled.hold.into_iter().for_each(|ms| self.hold.add(ms));
        handled.wrap.into_iter().for_each(|ms| self.wrap.add(ms));
        self.handling.add(handled.talk + handled.hold.unwrap_or(0) + handled.wrap.unwrap_or(0));
    }

    pub fn difference(&mut self, kind: &str) {
        *self.differences.entry(kind.to_owned()).or_default() += 1;
    }

    /// The figures that can be told for groups by these.
    #[must_use]
    pub fn figures(&self, by: &[Dimension], settings: &Settings) -> Vec<Figure> {
        Id::ALL.into_iter().filter(|id| id.can_be_told(by)).filter_map(|id| self.figure(id, settings)).collect()
    }

    fn figure(&self, id: Id, settings: &Settings) -> Option<Figure> {
        let unit = id.unit();
        let rate = |rate: Rate| {
            share(id, rate.yes, rate.of).of([("yes", rate.yes), ("no", rate.of - rate.yes), ("not_over", rate.open)])
        };
        Some(match id {
            Id::Calls => {
                let mut figure = Figure::new(id, unit, self.records, Some(float(self.records)));
                figure.parts = self.calls.iter().map(|((d, o), n)| (format!("{d}.{o}"), *n)).collect();
                figure
            }
            Id::Offered => Figure::new(id, unit, self.offered, Some(float(self.offered))).of([
                ("answered", self.answered_inbound),
                ("abandoned", self.abandoned),
                ("otherwise", self.offered - self.answered_inbound - self.abandoned),
                ("short_abandons", self.short),
            ]),
            Id::ServiceLevel => share(id, self.in_time, self.offered)
                .of([("in_time", self.in_time), ("late", self.answered_inbound - self.in_time)]),
            Id::Abandonment => share(id, self.abandoned, self.offered)
                .of([("abandoned", self.abandoned), ("short_abandons", self.short)]),
            Id::Wait => time(id, &self.wait),
            Id::Aht => {
                time(id, &self.handling).of([("hold_known", self.hold.count()), ("wrap_known", self.wrap.count())])
            }
            Id::Talk => time(id, &self.talk),
            Id::Hold => time(id, &self.hold),
            Id::Wrap => time(id, &self.wrap),
            Id::Occupancy => {
                let times = self.times?;
                let (busy, all) = (times.busy + times.after_call, times.busy + times.after_call + times.ready);
                let value = (all > 0).then(|| float(busy) / float(all));
                Figure::new(id, unit, all, value).of([
                    ("ready_ms", times.ready),
                    ("busy_ms", times.busy),
                    ("after_call_ms", times.after_call),
                    ("not_ready_ms", times.not_ready),
                ])
            }
            Id::FcrContact => rate(self.contact),
            Id::FcrTicket => rate(self.ticket),
            Id::FcrAnswer => {
                let Rate { yes, of, .. } = self.resolved;
                share(id, yes, of).of([("yes", yes), ("no", of - yes)])
            }
            Id::Surveys => share(id, self.surveyed, self.with_customer),
            Id::Csat => {
                let n = self.scores.values().sum();
                let good = self.scores.range(settings.csat.good..).map(|(_, n)| *n).sum();
                let mut figure = share(id, good, n);
                figure.parts = self.scores.iter().map(|(score, n)| (score.to_string(), *n)).collect();
                figure
            }
            Id::Nps => self.nps(),
            Id::ManualOperations => {
                let sum: u64 = self.operations.values().sum();
                let n = float(self.answered);
                let mean = (self.answered > 0).then(|| float(sum) / n);
                let interval = mean.filter(|_| self.answered > 1).map(|mean| {
                    let variance = ((float(self.operations_squared) - n * mean * mean) / (n - 1.0)).max(0.0);
                    let reach = 1.96 * (variance / n).sqrt();
                    Interval { low: (mean - reach).max(0.0), high: mean + reach, method: Method::Normal }
                });
                let parts = OPERATIONS.map(|kind| (kind, self.operations.get(kind).copied().unwrap_or(0)));
                Figure::new(id, unit, self.answered, mean).with(interval).of(parts)
            }
            Id::ConsistencyErrors => {
                let sum: u64 = self.differences.values().sum();
                let per = |share: f64| share * 1000.0;
                let value = (self.records > 0).then(|| per(float(sum) / float(self.records)));
                let interval = wilson(sum.min(self.records), self.records).map(|i| Interval {
                    low: per(i.low),
                    high: per(i.high),
                    method: i.method,
                });
                let mut figure = Figure::new(id, unit, self.records, value).with(interval);
                figure.parts = self.differences.clone();
                figure
            }
        })
    }

    fn nps(&self) -> Figure {
        let n: u64 = self.recommended.values().sum();
        let count = |from: u8, to: u8| self.recommended.range(from..=to).map(|(_, n)| *n).sum::<u64>();
        let (low, high) = (count(0, 6), count(9, 10));
        let value = (n > 0).then(|| (float(high) - float(low)) / float(n) * 100.0);
        let interval = value.map(|value| {
            let (p, q, mean) = (float(high) / float(n), float(low) / float(n), value / 100.0);
            let reach = 1.96 * ((p + q - mean * mean) / float(n)).max(0.0).sqrt();
            let (low, high) = ((mean - reach).max(-1.0) * 100.0, (mean + reach).min(1.0) * 100.0);
            Interval { low, high, method: Method::Normal }
        });
        Figure::new(Id::Nps, Unit::Points, n, value).with(interval).of([
            ("promoters", high),
            ("passives", n - high - low),
            ("detractors", low),
        ])
    }
}

fn share(id: Id, yes: u64, of: u64) -> Figure {
    let value = (of > 0).then(|| float(yes) / float(of));
    Figure::new(id, id.unit(), of, value).with(wilson(yes, of))
}

fn time(id: Id, spread: &Spread) -> Figure {
    let mut figure = Figure::new(id, id.unit(), spread.count(), spread.mean()).with(spread.interval());
    figure.percentiles = spread.percentiles();
    figure
}

/// What the customer answered, as CSAT counts it.
pub(super) fn score(seen: &Seen<'_>, settings: &Settings) -> Option<u8> {
    number(seen, &settings.csat.attribute).filter(|score| (1..=settings.csat.best).contains(score))
}

fn number(seen: &Seen<'_>, name: &str) -> Option<u8> {
    seen.attribute(name)?.parse().ok()
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(super) const fn float(n: u64) -> f64 {
    n as f64
}

const fn direction(direction: Option<Direction>) -> &'static str {
    match direction {
        Some(Direction::Inbound) => "inbound",
        Some(Direction::Outbound) => "outbound",
        Some(Direction::Internal) => "internal",
        None => "unknown",
    }
}

const fn outcome(outcome: Option<Outcome>) -> &'static str {
    match outcome {
        Some(Outcome::Answered) => "answered",
        Some(Outcome::Abandoned) => "abandoned",
        Some(Outcome::Unanswered) => "unanswered",
        Some(Outcome::SelfService) => "self-service",
        Some(Outcome::Voicemail) => "voicemail",
        Some(Outcome::Closed) => "closed",
        Some(Outcome::Busy) => "busy",
        Some(Outcome::Rejected) => "rejected",
        Some(Outcome::Failed) => "failed",
        Some(Outcome::NoAnswer) => "no-answer",
        Some(Outcome::Cancelled) => "cancelled",
        Some(Outcome::AgentUnreached) => "agent-unreached",
        None => "unknown",
    }
}
