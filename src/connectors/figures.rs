//! What asking each system came to in the last five minutes: how often, how it ended, how long it took. Still; bounded by the operations there are.

use std::collections::{BTreeMap, VecDeque};

use crate::words::{Mono, Wall};

/// Five minutes in slices of ten seconds.
const SLICES: u64 = 30;
const SLICE_US: u64 = 10_000_000;
pub const WINDOW_S: u64 = SLICES * SLICE_US / 1_000_000;

/// Milliseconds counted in buckets that are as wide as an eighth of their power of two, as HDR histograms have them: a quantile is wrong by at most a sixteenth. From 1 ms to a minute, and what is
/// longer in the last one.
#[derive(Clone, Debug)]
pub struct Times {
    buckets: [u32; BUCKETS],
}

const BUCKETS: usize = 112;

impl Default for Times {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS] }
    }
}

fn bucket(ms: u64) -> usize {
    let power = ms.max(1).ilog2();
    if power < 3 {
        return usize::try_from(ms).unwrap_or(0);
    }
    // Three bits below the highest one.
    let part = (ms >> (power - 3)) & 7;
    let at = u64::from(power - 2) * 8 + part;
    usize::try_from(at).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// The middle of a bucket.
fn middle(bucket: usize) -> u64 {
    let at = bucket as u64;
    if at < 8 {
        return at;
    }
    let shift = at / 8 - 1;
    ((8 + at % 8) << shift) + (1 << shift) / 2
}

impl Times {
    pub fn add(&mut self, ms: u64) {
        if let Some(n) = self.buckets.get_mut(bucket(ms)) {
            *n = n.saturating_add(1);
        }
    }

    fn join(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine = mine.saturating_add(*theirs);
        }
    }

    /// The time within which this part of all was answered, `0.0..=1.0`; `None` where nothing was.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Option<u64> {
        let all: u64 = self.buckets.iter().map(|n| u64::from(*n)).sum();
        let wanted = ((all as f64) * part).ceil().max(1.0) as u64;
        let mut sum = 0;
        let found = self.buckets.iter().position(|n| {
            sum += u64::from(*n);
            sum >= wanted
        });
        found.filter(|_| all > 0).map(middle)
    }
}

/// One operation of one system, over the last five minutes.
#[derive(Clone, Debug, Default)]
pub struct Figure {
    /// By [`super::Outcome::word`].
    pub ended: BTreeMap<&'static str, u64>,
    pub times: Times,
}

impl Figure {
    pub fn join(&mut self, other: &Self) {
        self.times.join(&other.times);
        for (outcome, n) in &other.ended {
            *self.ended.entry(outcome).or_default() += n;
        }
    }

    #[must_use]
    pub fn asked(&self) -> u64 {
        self.ended.values().sum()
    }

    /// Those of which no use came, for a reason that is not the question's.
    #[must_use]
    pub fn failed(&self) -> u64 {
        const FAILED: [&str; 6] = ["busy", "broken", "unknown", "denied", "auth-expired", "rate-limited"];
        FAILED.iter().filter_map(|word| self.ended.get(word)).sum()
    }

    /// Of those that were answered, how many had somebody: meant for `customer.by_phone`.
    #[must_use]
    pub fn matched(&self) -> (u64, u64) {
        let of = |words: &[&str]| words.iter().filter_map(|word| self.ended.get(word)).sum::<u64>();
        (of(&["ok", "ambiguous"]), of(&["ok", "ambiguous", "empty", "not-found"]))
    }
}

/// Of one system.
pub struct Figures {
    slice_us: u64,
    slices: BTreeMap<&'static str, VecDeque<(u64, Figure)>>,
    /// Its clock less ours in milliseconds, as of that moment.
    clock: Option<(i64, Mono)>,
}

impl Default for Figures {
    fn default() -> Self {
        Self { slice_us: SLICE_US, slices: BTreeMap::new(), clock: None }
    }
}

impl Figures {
    /// Over thirty slices of so many seconds, in place of five minutes.
    #[must_use]
    pub fn in_slices_of(seconds: u64) -> Self {
        Self { slice_us: seconds * 1_000_000, ..Self::default() }
    }

    pub fn ended(&mut self, operation: &'static str, outcome: &'static str, took_ms: u64, now: Mono) {
        let number = now.0 / self.slice_us;
        let slices = self.slices.entry(operation).or_default();
        forget(slices, number);
        if slices.back().is_none_or(|(last, _)| *last < number) {
            slices.push_back((number, Figure::default()));
        }
        let Some((_, figure)) = slices.back_mut() else { return };
        *figure.ended.entry(outcome).or_default() += 1;
        figure.times.add(took_ms);
    }

    /// An answer's `Date`, which has whole seconds: what is less than two is nothing.
    pub fn clock(&mut self, theirs: Wall, ours: Wall, now: Mono) {
        let apart = theirs.0.saturating_sub(ours.0);
        self.clock = Some((if apart.abs() < 2_000 { 0 } else { apart }, now));
    }

    /// How far its clock is from ours, if it told within the window.
    #[must_use]
    pub fn apart_ms(&self, now: Mono) -> Option<i64> {
        self.clock.filter(|(_, at)| now.since_ms(*at) < WINDOW_S * 1000).map(|(apart, _)| apart)
    }

    pub fn now(&mut self, now: Mono) -> BTreeMap<&'static str, Figure> {
        let number = now.0 / self.slice_us;
        let mut all = BTreeMap::new();
        for (operation, slices) in &mut self.slices {
            forget(slices, number);
            let mut sum = Figure::default();
            slices.iter().for_each(|(_, figure)| sum.join(figure));
            if !slices.is_empty() {
                all.insert(*operation, sum);
            }
        }
        all
    }
}

fn forget(slices: &mut VecDeque<(u64, Figure)>, number: u64) {
    while slices.front().is_some_and(|(slice, _)| slice + SLICES <= number) {
        slices.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_right_to_a_sixteenth() {
        for ms in 0..70_000_u64 {
            let found = middle(bucket(ms)) as f64;
            if ms < 61_000 {
                assert!((found - ms as f64).abs() <= ms as f64 / 16.0 + 0.5, "{ms}: {found}");
            }
        }
        let mut times = Times::default();
        assert_eq!(times.quantile(0.5), None);
        for ms in 1..=1000 {
            times.add(ms);
        }
        times.add(u64::MAX);
        for (part, wanted) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0)] {
            let found = times.quantile(part).unwrap() as f64;
            assert!((found - wanted).abs() < wanted / 14.0, "{part}: {found}");
        }
        assert!(times.quantile(1.0).unwrap() > 57_000);
    }

    #[test]
    fn five_minutes_and_no_more() {
        let mut figures = Figures::default();
        let at = |s: u64| Mono(s * 1_000_000);
        figures.ended("customer.by_phone", "ok", 20, at(5));
        figures.ended("customer.by_phone", "empty", 20, at(100));
        figures.ended("customer.by_phone", "busy", 3_000, at(100));
        figures.ended("orders", "broken", 20, at(100));
        let now = figures.now(at(200));
        let by_phone = &now["customer.by_phone"];
        assert_eq!((by_phone.asked(), by_phone.failed(), by_phone.matched()), (3, 1, (1, 2)));
        assert_eq!(figures.now(at(305))["customer.by_phone"].matched(), (0, 1));
        assert!(figures.now(at(1_000)).is_empty());
        figures.clock(Wall(1_000), Wall(2_500), at(1_000));
        assert_eq!(figures.apart_ms(at(1_001)), Some(0));
        figures.clock(Wall(100_000), Wall(2_500), at(1_000));
        assert_eq!(figures.apart_ms(at(1_001)), Some(97_500));
        assert_eq!(figures.apart_ms(at(1_400)), None);
    }
}
