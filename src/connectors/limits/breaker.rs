//! When a system that fails is left alone. It is spared, and those who wait are told at once instead of after their deadline.
//!
//! Closed: everybody asks. Open: nobody does. After its time one question is tried, and only one, however many come; on its success all is as before.

use std::collections::VecDeque;

use super::file::BreakerFile;
use crate::words::{Mono, Now, Wall};

const SLICES: u64 = 10;
/// While tries fail the time doubles, so often.
const DOUBLINGS: u32 = 3;

/// How a question ended, for the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The system answered, whatever it said of the question.
    Answered {
        took_ms: u64,
        somebody_waits: bool,
    },
    Failed,
    /// It was never asked: our own limits, a mistake of ours.
    Unasked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Go,
    /// This one is the try: [`Breaker::ended`] must be told with `probe`.
    Probe,
    No,
}

/// As it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    pub state: &'static str,
    pub since: Option<Wall>,
    pub until: Option<Wall>,
    pub why: Option<String>,
}

enum State {
    Closed {
        since: Option<Wall>,
    },
    Open {
        since: Wall,
        until: Now,
        why: String,
    },
    /// One question is on its way; the others wait for what comes of it.
    Trying {
        since: Wall,
        why: String,
    },
}

#[derive(Default)]
struct Slice {
    number: u64,
    asked: u32,
    failed: u32,
    /// Of those for whom somebody waited: all, and the slow ones.
    waited: u32,
    slow: u32,
}

pub struct Breaker {
    rules: BreakerFile,
    state: State,
    slices: VecDeque<Slice>,
    /// Tries that failed one after the other.
    failed_tries: u32,
}

impl Breaker {
    #[must_use]
    pub fn new(rules: BreakerFile) -> Self {
        Self { rules, state: State::Closed { since: None }, slices: VecDeque::new(), failed_tries: 0 }
    }

    pub fn refit(&mut self, rules: BreakerFile) {
        if self.rules != rules {
            *self = Self::new(rules);
        }
    }

    pub fn ask(&mut self, now: Now) -> Way {
        match &self.state {
            State::Closed { .. } => Way::Go,
            State::Open { until, .. } if now.mono < until.mono => Way::No,
            State::Open { since, why, .. } => {
                self.state = State::Trying { since: *since, why: why.clone() };
                Way::Probe
            }
            State::Trying { .. } => Way::No,
        }
    }

    /// Whether its state changed.
    pub fn ended(&mut self, probe: bool, ended: Ended, now: Now) -> bool {
        match (&self.state, probe, ended) {
            (State::Trying { since, why }, true, Ended::Unasked) => {
                // Nothing was learnt: the next one tries.
                self.state = State::Open { since: *since, until: now, why: why.clone() };
                false
            }
            (State::Trying { since, why }, true, Ended::Failed) => {
                let (since, why) = (*since, why.clone());
                self.failed_tries = (self.failed_tries + 1).min(DOUBLINGS);
                self.open(since, why, now);
                false
            }
            (State::Trying { .. }, true, Ended::Answered { .. }) => {
                self.state = State::Closed { since: Some(now.wall) };
                self.slices.clear();
                self.failed_tries = 0;
                true
            }
            (State::Closed { .. }, _, ended) => {
                self.count(ended, now.mono);
                let Some(why) = self.judge() else { return false };
                self.failed_tries = 0;
                self.open(now.wall, why, now);
                true
            }
            // Asked before it opened.
            (State::Open { .. } | State::Trying { .. }, ..) => false,
        }
    }

    #[must_use]
    pub fn shown(&self) -> Shown {
        match &self.state {
            State::Closed { since } => Shown { state: "closed", since: *since, until: None, why: None },
            State::Open { since, until, why } => {
                Shown { state: "open", since: Some(*since), until: Some(until.wall), why: Some(why.clone()) }
            }
            State::Trying { since, why } => {
                Shown { state: "trying", since: Some(*since), until: None, why: Some(why.clone()) }
            }
        }
    }

    fn open(&mut self, since: Wall, why: String, now: Now) {
        let ms = (u64::from(self.rules.open_s) * 1000) << self.failed_tries;
        let wall = now.wall.plus_ms(i64::try_from(ms).unwrap_or(i64::MAX));
        self.state = State::Open { since, until: Now { wall, mono: now.mono.plus_ms(ms) }, why };
        self.slices.clear();
    }

    fn count(&mut self, ended: Ended, now: Mono) {
        if ended == Ended::Unasked || self.rules.open_s == 0 {
            return;
        }
        let width = (u64::from(self.rules.window_s) * 1_000_000 / SLICES).max(1);
        let number = (now.0 / width).max(self.slices.back().map_or(0, |slice| slice.number));
        while self.slices.front().is_some_and(|slice| slice.number + SLICES <= number) {
            self.slices.pop_front();
        }
        if self.slices.back().is_none_or(|slice| slice.number < number) {
            self.slices.push_back(Slice { number, ..Slice::default() });
        }
        let Some(slice) = self.slices.back_mut() else { return };
        slice.asked += 1;
        match ended {
            Ended::Failed => slice.failed += 1,
            Ended::Answered { took_ms, somebody_waits: true } => {
                slice.waited += 1;
                slice.slow += u32::from(took_ms > self.rules.slow_ms);
            }
            Ended::Answered { .. } | Ended::Unasked => {}
        }
    }

    fn judge(&self) -> Option<String> {
        let sum = |of: fn(&Slice) -> u32| self.slices.iter().map(|s| u64::from(of(s))).sum::<u64>();
        let (asked, failed) = (sum(|s| s.asked), sum(|s| s.failed));
        let (waited, slow) = (sum(|s| s.waited), sum(|s| s.slow));
        let (minimum, seconds) = (u64::from(self.rules.minimum.max(1)), self.rules.window_s);
        let reached = |part: u64, of: u64, percent: u32| of >= minimum && part * 100 >= of * u64::from(percent.max(1));
        if reached(failed, asked, self.rules.failed_percent) {
            return Some(format!("{failed} of the last {asked} questions failed (within {seconds} s)"));
        }
        if reached(slow, waited, self.rules.slow_percent) {
            let ms = self.rules.slow_ms;
            return Some(format!("{slow} of the last {waited} answers took longer than {ms} ms (within {seconds} s)"));
        }
        None
    }
}
