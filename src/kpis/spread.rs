//! How times are spread: counts of them in classes, a sixty-fourth wide.

use std::collections::BTreeMap;

use super::answer::{Interval, Method, Percentiles};

/// Times up to here have a class of their own each, longer ones share it with those up to 1/64 longer.
const EXACT: u64 = 128;
const BITS: u32 = 6;

/// Milliseconds, counted. It takes a few kilobytes however many there are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spread {
    classes: BTreeMap<u16, u64>,
    count: u64,
    sum: u128,
    longest: u64,
}

impl Spread {
    pub fn add(&mut self, ms: u64) {
        *self.classes.entry(class(ms)).or_default() += 1;
        self.count += 1;
        self.sum += u128::from(ms);
        self.longest = self.longest.max(ms);
    }

    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    #[must_use]
    pub const fn longest(&self) -> u64 {
        self.longest
    }

    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a year are far below 2^52")]
        (self.count > 0).then(|| self.sum as f64 / self.count as f64)
    }

    /// The `n`-th shortest, from 1; the middle of its class, and never above the longest.
    fn ranked(&self, n: u64) -> u64 {
        let mut seen = 0;
        for (class, count) in &self.classes {
            seen += count;
            if seen >= n {
                return middle(*class).min(self.longest);
            }
        }
        self.longest
    }

    /// Below which so many of a hundred are.
    #[must_use]
    pub fn percentile(&self, percent: u64) -> Option<u64> {
        (self.count > 0).then(|| self.ranked((self.count * percent).div_ceil(100).max(1)))
    }

    #[must_use]
    pub fn percentiles(&self) -> Option<Percentiles> {
        Some(Percentiles {
            mean: self.mean()?,
            median: self.percentile(50)?,
            p90: self.percentile(90)?,
            longest: self.longest,
        })
    }

    /// Where the median lies, by the ranks between which it is in 95 of 100 samples (binomial).
    #[must_use]
    pub fn interval(&self) -> Option<Interval> {
        if self.count < 6 {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let (half, reach) = (self.count as f64 / 2.0, 1.96 * (self.count as f64).sqrt() / 2.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "held between 1 and the count")]
        let rank = |at: f64| (at.max(1.0) as u64).min(self.count);
        let (low, high) = (self.ranked(rank((half - reach).floor())), self.ranked(rank((half + reach).ceil() + 1.0)));
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a call")]
        Some(Interval { low: low as f64, high: high as f64, method: Method::MedianByRanks })
    }
}

fn class(ms: u64) -> u16 {
    if ms < EXACT {
        return u16::try_from(ms).unwrap_or(0);
    }
    // 64 classes for each doubling.
    let shift = ms.ilog2() - BITS;
    let within = (ms >> shift) - (1 << BITS);
    let base = EXACT + u64::from(shift - 1) * (1 << BITS);
    u16::try_from(base + within).unwrap_or(u16::MAX)
}

fn middle(class: u16) -> u64 {
    let class = u64::from(class);
    if class < EXACT {
        return class;
    }
    let (shift, within) = ((class - EXACT) / (1 << BITS) + 1, (class - EXACT) % (1 << BITS));
    (((1 << BITS) + within) << shift) + (1 << shift) / 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn of_nothing_there_is_nothing() {
        let none = Spread::default();
        assert_eq!((none.mean(), none.percentile(50), none.interval()), (None, None, None));
    }

    #[test]
    fn by_hand() {
        let mut spread = Spread::default();
        (1..=100).for_each(|ms| spread.add(ms));
        let told = spread.percentiles().unwrap();
        assert_eq!((told.mean, told.median, told.p90, told.longest), (50.5, 50, 90, 100));
        // Ranks 40 and 61 of 100 (half of 1.96 times ten on each side, to the outside).
        assert_eq!(spread.interval().map(|i| (i.low, i.high)), Some((40.0, 61.0)));
    }

    proptest! {
        #[test]
        fn a_class_is_no_wider_than_a_sixty_fourth(ms in 0u64..100_000_000_000) {
            let told = middle(class(ms));
            prop_assert!(told.abs_diff(ms) <= ms / 64, "{ms} is told as {told}");
            prop_assert!(class(ms) <= class(ms + 1));
        }

        #[test]
        fn percentiles_are_the_sorted_ones(mut all in proptest::collection::vec(0u64..4_000_000, 1..200), percent in 1u64..100) {
            let mut spread = Spread::default();
            all.iter().for_each(|ms| spread.add(*ms));
            all.sort_unstable();
            let n = usize::try_from((all.len() as u64 * percent).div_ceil(100).max(1)).unwrap();
            let (told, is) = (spread.percentile(percent).unwrap(), all[n - 1]);
            prop_assert!(told.abs_diff(is) <= is / 64, "{told} is {is}");
        }
    }
}
