//! When a canary is worse than the file in whose place it is asked. Both are counted over the same hour, operation by operation and all together, and nothing is said before each
//! has been asked often enough. Still.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    connectors::{
        Outcome,
        figures::{Figure, Figures},
    },
    words::{Mono, SystemId},
};

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GuardFile {
    /// So often each of both must have been asked within the hour. Default 100.
    pub minimum: Option<u64>,
    /// By how many percent points more may fail. Default 5.
    pub error_rate: Option<f64>,
    /// By how many percent longer the slowest twentieth may take; less than 50 ms longer is nothing. Default 50.
    pub latency: Option<f64>,
    /// By how many percent points fewer callers may be found. Default 10.
    pub match_rate: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guard {
    minimum: u64,
    error_rate: f64,
    latency: f64,
    match_rate: f64,
}

impl Default for Guard {
    fn default() -> Self {
        Self { minimum: 100, error_rate: 5.0, latency: 50.0, match_rate: 10.0 }
    }
}

/// An hour in the figures' slices.
const SLICE_S: u64 = 120;
/// Longer by less than this is no harm to anybody.
const NOTHING_MS: u64 = 50;
/// What is asked for reasons of our own says nothing of either: the canary would have more or less of it.
const OWN: [&str; 3] = ["check", "version", "customer.list"];

impl Guard {
    /// # Errors
    /// What was found.
    pub fn new(file: &GuardFile) -> Result<Self, String> {
        let ready = Self::default();
        let this = Self {
            minimum: file.minimum.unwrap_or(ready.minimum),
            error_rate: file.error_rate.unwrap_or(ready.error_rate),
            latency: file.latency.unwrap_or(ready.latency),
            match_rate: file.match_rate.unwrap_or(ready.match_rate),
        };
        let rates = [this.error_rate, this.latency, this.match_rate];
        if this.minimum == 0 || rates.iter().any(|rate| !rate.is_finite() || *rate <= 0.0) {
            return Err("a figure that is none, or 0".to_owned());
        }
        Ok(this)
    }

    /// Why the canary is worse, if it is.
    fn worse(&self, canary: &All, other: &All, of: &SystemId) -> Option<String> {
        let mut sums = (Figure::default(), Figure::default());
        for (name, mine) in canary.iter().filter(|(name, _)| !OWN.contains(name)) {
            let Some(theirs) = other.get(name) else { continue };
            sums.0.join(mine);
            sums.1.join(theirs);
            if let Some(why) = self.one(name, mine, theirs, of) {
                return Some(why);
            }
        }
        // Of what is seldom asked there are enough only together.
        self.failures("all operations", &sums.0, &sums.1, of)
    }

    fn one(&self, name: &str, mine: &Figure, theirs: &Figure, of: &SystemId) -> Option<String> {
        if let Some(why) = self.failures(name, mine, theirs, of) {
            return Some(why);
        }
        let enough = |figure: &Figure| figure.asked() >= self.minimum;
        if enough(mine)
            && enough(theirs)
            && let (Some(slow), Some(usual)) = (mine.times.quantile(0.95), theirs.times.quantile(0.95))
            && slow > usual + NOTHING_MS
            && slow as f64 > usual as f64 * (1.0 + self.latency / 100.0)
        {
            return Some(format!("{name}: 95 % took up to {slow} ms, where {of} takes {usual} ms"));
        }
        let ((found, of_mine), (usual, of_theirs)) = (mine.matched(), theirs.matched());
        if name == "customer.by_phone" && of_mine >= self.minimum && of_theirs >= self.minimum {
            let rate = |found: u64, of: u64| 100.0 * found as f64 / of as f64;
            if rate(found, of_mine) < rate(usual, of_theirs) - self.match_rate {
                return Some(format!(
                    "{name}: {found} of {of_mine} callers were found, where {of} finds {usual} of {of_theirs}"
                ));
            }
        }
        None
    }

    fn failures(&self, name: &str, mine: &Figure, theirs: &Figure, of: &SystemId) -> Option<String> {
        let (asked, usual) = (mine.asked(), theirs.asked());
        if asked < self.minimum || usual < self.minimum {
            return None;
        }
        let rate = |figure: &Figure| 100.0 * figure.failed() as f64 / figure.asked() as f64;
        (rate(mine) > rate(theirs) + self.error_rate).then(|| {
            let (failed, fail) = (mine.failed(), theirs.failed());
            format!("{name}: {failed} of {asked} questions failed, where of {of}'s {fail} of {usual} do")
        })
    }
}

type All = BTreeMap<&'static str, Figure>;

/// Which of both was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Canary,
    Other,
}

/// Both over the last hour.
pub struct Tally {
    canary: Figures,
    other: Figures,
}

impl Default for Tally {
    fn default() -> Self {
        Self { canary: Figures::in_slices_of(SLICE_S), other: Figures::in_slices_of(SLICE_S) }
    }
}

impl Tally {
    pub fn saw(&mut self, side: Side, operation: &'static str, outcome: &Outcome, took_ms: u64, now: Mono) {
        let figures = match side {
            Side::Canary => &mut self.canary,
            Side::Other => &mut self.other,
        };
        figures.ended(operation, outcome.word(), took_ms, now);
    }

    pub fn worse(&mut self, guard: &Guard, of: &SystemId, now: Mono) -> Option<String> {
        guard.worse(&self.canary.now(now), &self.other.now(now), of)
    }

    /// How often each was asked.
    pub fn asked(&mut self, now: Mono) -> (u64, u64) {
        let sum = |all: All| all.iter().filter(|(name, _)| !OWN.contains(name)).map(|(_, figure)| figure.asked()).sum();
        (sum(self.canary.now(now)), sum(self.other.now(now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Mono = Mono(1_000_000_000);

    fn guard() -> Guard {
        Guard { minimum: 50, ..Guard::default() }
    }

    fn said(canary: &[(&'static str, &str, u64, u64)], other: &[(&'static str, &str, u64, u64)]) -> Option<String> {
        let mut tally = Tally::default();
        for (side, list) in [(Side::Canary, canary), (Side::Other, other)] {
            for (operation, word, took, n) in list {
                let outcome = match *word {
                    "ok" => Outcome::Ok(serde_json::Value::Null),
                    "empty" => Outcome::Empty,
                    _ => Outcome::Broken { reason: String::new() },
                };
                (0..*n).for_each(|_| tally.saw(side, operation, &outcome, *took, NOW));
            }
        }
        tally.worse(&guard(), &"crm".into(), NOW)
    }

    #[test]
    fn worse_is_told_with_its_figures_and_not_before_there_are_enough() {
        let usual = [("orders", "ok", 100, 900), ("orders", "broken", 100, 9)];
        assert_eq!(said(&[("orders", "ok", 100, 50)], &usual), None);
        assert_eq!(said(&[("orders", "broken", 100, 49)], &usual), None);
        assert_eq!(
            said(&[("orders", "ok", 100, 44), ("orders", "broken", 100, 6)], &usual).as_deref(),
            Some("orders: 6 of 50 questions failed, where of crm's 9 of 909 do")
        );
        // As bad as the other is not worse.
        assert_eq!(said(&[("orders", "broken", 100, 90)], &[("orders", "broken", 100, 90)]), None);
        // Of the other there are not enough.
        assert_eq!(said(&[("orders", "broken", 100, 90)], &[("orders", "ok", 100, 40)]), None);
    }

    #[test]
    fn slow_and_blind_is_worse_too() {
        let usual = [("customer.by_phone", "ok", 100, 70), ("customer.by_phone", "empty", 100, 30)];
        assert_eq!(
            said(&[("customer.by_phone", "ok", 140, 70), ("customer.by_phone", "empty", 140, 30)], &usual),
            None
        );
        let slow =
            said(&[("customer.by_phone", "ok", 400, 70), ("customer.by_phone", "empty", 400, 30)], &usual).unwrap();
        assert!(
            slow.starts_with("customer.by_phone: 95 % took up to 4") && slow.ends_with("where crm takes 100 ms"),
            "{slow}"
        );
        assert_eq!(
            said(&[("customer.by_phone", "ok", 100, 20), ("customer.by_phone", "empty", 100, 30)], &usual).as_deref(),
            Some("customer.by_phone: 20 of 50 callers were found, where crm finds 70 of 100")
        );
        // What takes 20 ms in place of 2 is ten times as long and nobody sees it.
        assert_eq!(said(&[("orders", "ok", 20, 90)], &[("orders", "ok", 2, 90)]), None);
    }

    #[test]
    fn what_is_seldom_asked_counts_together() {
        let few = [("ticket.create", "broken", 50, 20), ("note.add", "broken", 50, 20), ("orders", "ok", 50, 40)];
        let usual = [("ticket.create", "ok", 50, 200), ("note.add", "ok", 50, 200), ("orders", "ok", 50, 400)];
        let why = said(&few, &usual).unwrap();
        assert_eq!(why, "all operations: 40 of 80 questions failed, where of crm's 0 of 800 do");
        // Our own looks are no part of it.
        assert_eq!(said(&[("check", "broken", 50, 500)], &[("check", "ok", 50, 500)]), None);
        let mut tally = Tally::default();
        tally.saw(Side::Canary, "check", &Outcome::Empty, 1, NOW);
        tally.saw(Side::Canary, "orders", &Outcome::Empty, 1, NOW);
        assert_eq!(tally.asked(NOW), (1, 0));
        assert_eq!(tally.asked(Mono(NOW.0 + 3_700_000_000)), (0, 0), "after an hour it is gone");
    }
}
