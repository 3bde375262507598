//! One limit over time.
//!
//! A request counts from its being sent until a whole window after its answer came, for the system counts it somewhere between the two: so no slow network can make two of our
//! windows one of theirs. Without a burst nothing is averaged: what was spent is kept in slices of a 64th of the window, and a slice counts until its last moment has left the window.

use std::collections::VecDeque;

use crate::words::Mono;

const SLICES: u64 = 64;

/// At most `requests` in any `per_us`; with `burst` a bucket so deep that leaks `requests` in `per_us`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    pub requests: u32,
    pub per_us: u64,
    pub burst: Option<u32>,
    /// Background work leaves so many.
    pub kept: u32,
}

impl Rate {
    /// So many at once.
    #[must_use]
    pub fn depth(&self) -> u64 {
        u64::from(self.burst.unwrap_or(self.requests))
    }
}

/// What of a [`Rate`] is spent. What was sent and is not answered yet is the caller's to add: `held`.
#[derive(Debug)]
pub struct Window {
    pub rate: Rate,
    spent: Spent,
}

#[derive(Debug)]
enum Spent {
    /// Number of the slice, and what was spent in it; the oldest first. And all of it.
    Slices(VecDeque<(u64, u64)>, u64),
    /// In requests times `per_us`, at that moment.
    Bucket { level: u64, at: Mono },
}

impl Window {
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        let spent = match rate.burst {
            None => Spent::Slices(VecDeque::new(), 0),
            Some(_) => Spent::Bucket { level: 0, at: Mono(0) },
        };
        Self { rate, spent }
    }

    fn slice_us(&self) -> u64 {
        (self.rate.per_us / SLICES).max(1)
    }

    fn level(&self, now: Mono) -> u64 {
        match &self.spent {
            Spent::Slices(..) => 0,
            Spent::Bucket { level, at } => {
                let leaked = now.0.saturating_sub(at.0).saturating_mul(u64::from(self.rate.requests));
                level.saturating_sub(leaked)
            }
        }
    }

    pub fn spend(&mut self, now: Mono, cost: u64) {
        // What no longer counts goes, so that nothing grows.
        let _ = self.used(now);
        let (slice, level, per) = (now.0 / self.slice_us(), self.level(now), self.rate.per_us);
        match &mut self.spent {
            Spent::Slices(slices, sum) => {
                *sum = sum.saturating_add(cost);
                match slices.back_mut() {
                    // Clocks of two threads may be told a little out of order: what is later counts longer.
                    Some((last, spent)) if *last >= slice => *spent = spent.saturating_add(cost),
                    _ => slices.push_back((slice, cost)),
                }
            }
            Spent::Bucket { level: kept, at } => {
                *kept = level.saturating_add(cost.saturating_mul(per));
                *at = now.max(*at);
            }
        }
    }

    /// How many may be sent now.
    pub fn room(&mut self, now: Mono, held: u64) -> u64 {
        self.rate.depth().saturating_sub(self.used(now).saturating_add(held))
    }

    /// What counts now.
    pub fn used(&mut self, now: Mono) -> u64 {
        let (width, per) = (self.slice_us(), self.rate.per_us);
        let level = self.level(now);
        match &mut self.spent {
            Spent::Slices(slices, sum) => {
                while let Some((slice, spent)) = slices.front()
                    && gone_at(*slice, width, per) <= now
                {
                    *sum = sum.saturating_sub(*spent);
                    slices.pop_front();
                }
                *sum
            }
            Spent::Bucket { .. } => level.div_ceil(per.max(1)),
        }
    }

    /// Not before this moment there is room for `need`, if what is held were answered now and nothing else were sent.
    pub fn ready_at(&mut self, now: Mono, need: u64, held: u64) -> Mono {
        let used = self.used(now);
        let (width, per, depth) = (self.slice_us(), self.rate.per_us, self.rate.depth().max(1));
        let level = self.level(now);
        match &self.spent {
            Spent::Slices(slices, _) => {
                let rounds = need.saturating_sub(1) / depth;
                let need = need.saturating_sub(rounds.saturating_mul(depth));
                // Negative where more was spent than there was.
                let mut free = i128::from(depth) - i128::from(used) - i128::from(held);
                let mut at = now;
                let mut slices = slices.iter();
                while free < i128::from(need) {
                    let Some((slice, spent)) = slices.next() else {
                        at = at.max(Mono(now.0.saturating_add(per)));
                        break;
                    };
                    at = gone_at(*slice, width, per);
                    free += i128::from(*spent);
                }
                Mono(at.0.saturating_add(rounds.saturating_mul(per)))
            }
            Spent::Bucket { .. } => {
                let wanted = level.saturating_add(need.saturating_add(held).saturating_mul(per));
                let over = wanted.saturating_sub(depth.saturating_mul(per));
                Mono(now.0.saturating_add(over.div_ceil(u64::from(self.rate.requests.max(1)))))
            }
        }
    }
}

fn gone_at(slice: u64, width: u64, per: u64) -> Mono {
    Mono(slice.saturating_add(1).saturating_mul(width).saturating_add(per))
}
