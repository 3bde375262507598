//! Whether a question is asked again, and after which pause.
//!
//! Retries multiply the load of a system that is already in trouble, so all of a system's together have a budget: a tenth of what was asked lately, and a few.

use std::collections::VecDeque;

use super::file::RetriesFile;
use crate::{connectors::Outcome, words::Mono};

/// "Lately", in slices of ten seconds.
const SLICES: usize = 12;
const SLICE_MS: u64 = 10_000;
const A_FEW: u64 = 3;
const LONGEST_PAUSE_MS: u64 = 5_000;
/// A system's usual time, before it has answered: what a first answer over a new TLS connection takes.
const TYPICAL_MS: u64 = 200;

pub struct Retries {
    settings: RetriesFile,
    /// Number of the slice, questions asked, retries.
    slices: VecDeque<(u64, u64, u64)>,
    /// A sliding mean of good answers.
    typical_ms: Option<u64>,
}

/// One question's state.
#[derive(Clone, Copy, Debug)]
pub struct Tried {
    pub retries: u32,
    /// It may be asked again without doing anything twice.
    pub safe: bool,
    /// Until its deadline.
    pub left_ms: u64,
}

impl Retries {
    #[must_use]
    pub fn new(settings: RetriesFile) -> Self {
        Self { settings, slices: VecDeque::new(), typical_ms: None }
    }

    pub fn refit(&mut self, settings: RetriesFile) {
        self.settings = settings;
    }

    pub fn asked(&mut self, now: Mono) {
        self.slice(now).1 += 1;
    }

    pub fn answered(&mut self, took_ms: u64) {
        let known = self.typical_ms.unwrap_or(took_ms);
        self.typical_ms = Some((known.saturating_mul(7).saturating_add(took_ms)) / 8);
    }

    /// The pause in milliseconds after which it is asked again; `None`: not at all. `dice` is `0.0..1.0`.
    pub fn again(&mut self, outcome: &Outcome, tried: Tried, dice: f64, now: Mono) -> Option<u64> {
        if !tried.safe || tried.retries >= self.settings.most {
            return None;
        }
        let step = self.settings.pause_ms.max(1) << tried.retries.min(10);
        // From half to the whole of twice the step, so that those who failed together do not come back together.
        let pause = ((step as f64) * (0.5 + 1.5 * dice)) as u64;
        let pause = match outcome {
            Outcome::Busy { .. } | Outcome::RateLimited { wait_ms: None } => pause.min(LONGEST_PAUSE_MS),
            // As long as the system wants, and a little for clocks that differ.
            Outcome::RateLimited { wait_ms: Some(ms) } => ms.saturating_add(pause.min(50)),
            _ => return None,
        };
        // What would come too late is not asked: somebody waits for it, and is better told now.
        let takes = pause.saturating_add(self.typical_ms.unwrap_or(TYPICAL_MS));
        if takes >= tried.left_ms {
            return None;
        }
        self.slice(now);
        let (asked, retried) = self.slices.iter().fold((0, 0), |(a, r), (_, asked, retried)| (a + asked, r + retried));
        if retried >= asked / 10 + A_FEW {
            return None;
        }
        self.slice(now).2 += 1;
        Some(pause)
    }

    fn slice(&mut self, now: Mono) -> &mut (u64, u64, u64) {
        let at = now.0 / (SLICE_MS * 1000);
        let last = self.slices.back().map_or(at, |(last, ..)| (*last).max(at));
        while self.slices.front().is_some_and(|(slice, ..)| slice + SLICES as u64 <= last) {
            self.slices.pop_front();
        }
        if self.slices.back().is_none_or(|(known, ..)| *known < last) {
            self.slices.push_back((last, 0, 0));
        }
        let end = self.slices.len() - 1;
        &mut self.slices[end]
    }
}
