//! What mirrors do to messages: clocks that differ, copies, and an order that is not that of the causes.
//!
//! A mirror may show an answer a millisecond before its request (Kamailio 5.6.3, every recording), two mirrors many milliseconds apart. Holding everything
//! back would cost each pop that time, so only what can wait does: see [`super::passive`].

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque, hash_map::RandomState},
    hash::BuildHasher as _,
};

use crate::words::{Mono, Wall};

use super::heard::Heard;

/// How far out of order messages are put right.
pub const WINDOW_MS: u64 = 50;
/// A clock that is off by less is taken as it is: its stamps are better than our arrival times.
const SKEW_MICROS: i64 = 2_000_000;
/// Agents whose clocks are known. A site has a handful.
const AGENTS: usize = 1_000;
/// Longer than a SIP transaction lives (64*T1, RFC 3261, 17.1.1.2): its last retransmission is a copy still.
const COPY_MS: u64 = 40_000;
/// 5,000 messages/s for the whole of that time; some 6 MB.
const COPIES: usize = 200_000;
/// Messages held back at once. 50 ms of 100,000 messages/s.
const HELD: usize = 5_000;

/// By how much each agent's clock is off.
#[derive(Debug, Default)]
pub struct Clocks {
    off: HashMap<u32, i64>,
    /// How often a clock was found to be off, or to have jumped.
    pub jumps: u64,
}

impl Clocks {
    /// The stamp on our clock. Without an arrival (a file) there is nothing to hold it against.
    pub fn right(&mut self, agent: u32, stamp: Option<i64>, arrival: Option<Wall>) -> Option<i64> {
        let (Some(stamp), Some(arrival)) = (stamp, arrival.map(|wall| wall.0.saturating_mul(1000))) else {
            return stamp.or(arrival.map(|wall| wall.0.saturating_mul(1000)));
        };
        if self.off.len() >= AGENTS && !self.off.contains_key(&agent) {
            return Some(arrival);
        }
        let off = self.off.entry(agent).or_default();
        let now = arrival.saturating_sub(stamp);
        if now.saturating_sub(*off).saturating_abs() > SKEW_MICROS {
            self.jumps += 1;
            *off = if now.saturating_abs() > SKEW_MICROS { now } else { 0 };
        }
        Some(stamp.saturating_add(*off))
    }
}

/// What was heard lately, so that it counts once: from two mirrors, as it came in and went out, or sent again.
#[derive(Debug, Default)]
pub struct Copies {
    by: RandomState,
    known: HashSet<u64>,
    ages: VecDeque<(Mono, u64)>,
}

impl Copies {
    /// Whether this was heard already.
    pub fn is_copy(&mut self, now: Mono, heard: &Heard) -> bool {
        while let Some(&(until, key)) = self.ages.front()
            && (until <= now || self.ages.len() >= COPIES)
        {
            self.ages.pop_front();
            self.known.remove(&key);
        }
        let tags = (&heard.from.tag, &heard.to.tag);
        let key = self.by.hash_one((&heard.call_id, heard.cseq, heard.method, heard.status, heard.top(), tags));
        let new = self.known.insert(key);
        if new {
            self.ages.push_back((now.plus_ms(COPY_MS), key));
        }
        !new
    }
}

/// Messages that wait for what may have been before them.
#[derive(Debug, Default)]
pub struct Held {
    waiting: BTreeMap<(i64, u64), Heard>,
    due: VecDeque<(Mono, (i64, u64))>,
    count: u64,
}

impl Held {
    pub fn push(&mut self, now: Mono, heard: Heard) {
        self.count += 1;
        let key = (heard.micros, self.count);
        self.due.push_back((now.plus_ms(WINDOW_MS), key));
        self.waiting.insert(key, heard);
    }

    /// The next that has waited long enough, or was before one that has; by the stamps.
    pub fn next(&mut self, now: Mono) -> Option<Heard> {
        let full = self.waiting.len() > HELD;
        while let Some((due, key)) = self.due.front() {
            if !self.waiting.contains_key(key) {
                self.due.pop_front();
                continue;
            }
            return match *due <= now || full {
                true => self.waiting.pop_first().map(|(_, heard)| heard),
                false => None,
            };
        }
        None
    }

    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        self.due.iter().find(|(_, key)| self.waiting.contains_key(key)).map(|(due, _)| *due)
    }
}
