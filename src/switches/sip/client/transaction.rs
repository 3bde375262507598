//! Requests under way (RFC 3261, 17.1.2) and answers that are remembered (17.2.2).
//!
//! A response is matched by the branch of its Via and the method of its CSeq (17.1.3). Timer K has nothing to do here: a final response that comes
//! again matches no branch any more and is passed over, and a branch is never used twice.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasherDefault, Hasher},
};

use super::{Client, Flow, GIVE_UP_MS, Output, T1_MS, T2_MS, Timer, digest::Sent};
use crate::{switches::sip::wire::Message, words::Mono};

#[derive(Default)]
pub struct Transactions {
    all: HashMap<String, Transaction>,
    starting: usize,
}

pub struct Transaction {
    pub purpose: Purpose,
    pub begun: Mono,
    method: &'static str,
    bytes: Vec<u8>,
    flow: Flow,
    reliable: bool,
    /// The pause before the next retransmission (Timer E).
    pause_ms: u64,
    proceeding: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `tag`: the dialog that is refreshed, `None` while there is none.
    Subscribe {
        call: String,
        tag: Option<String>,
        asked_s: u32,
        sent: Sent,
    },
    /// `call`: its Call-ID.
    Refer {
        call: String,
        sent: Sent,
    },
    Options,
}

impl Purpose {
    fn is_start(&self) -> bool {
        matches!(self, Self::Subscribe { tag: None, .. })
    }
}

impl Transactions {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// SUBSCRIBEs that start something and have no final answer yet.
    #[must_use]
    pub fn starting(&self) -> usize {
        self.starting
    }

    /// Everything over a flow that is gone.
    pub fn clear(&mut self) {
        self.all.clear();
        self.starting = 0;
    }

    /// It goes over the stream that was opened for it, or over UDP after all: its bytes, with the Via that says so.
    pub fn over(&mut self, branch: &str, flow: Flow, reliable: bool) -> Option<Vec<u8>> {
        let transaction = self.all.get_mut(branch)?;
        (transaction.flow, transaction.reliable) = (flow, reliable);
        transaction.bytes = stamped(&transaction.bytes, reliable);
        Some(transaction.bytes.clone())
    }

    /// Those of one usage, for an end that comes before their answers.
    pub fn forget_call(&mut self, gone: &str) {
        let starting = &mut self.starting;
        self.all.retain(|_, t| {
            let stays = !matches!(&t.purpose, Purpose::Subscribe { call, .. } if call == gone);
            if !stays && t.purpose.is_start() {
                *starting = starting.saturating_sub(1);
            }
            stays
        });
    }

    /// A final answer takes the transaction out; a provisional one slows it down (17.1.2.2).
    pub fn answered(&mut self, branch: &str, method: &str, status: u16) -> Option<Transaction> {
        let transaction = self.all.get_mut(branch).filter(|t| t.method == method)?;
        if status < 200 {
            transaction.proceeding = true;
            return None;
        }
        self.remove(branch)
    }

    fn remove(&mut self, branch: &str) -> Option<Transaction> {
        let transaction = self.all.remove(branch)?;
        if transaction.purpose.is_start() {
            self.starting = self.starting.saturating_sub(1);
        }
        Some(transaction)
    }
}

impl Client {
    /// Sends a request and keeps it until it is answered. `send`: not where a stream for it is being opened.
    pub(super) fn start(
        &mut self,
        now: Mono,
        branch: String,
        (method, bytes): (&'static str, Vec<u8>),
        (flow, reliable, send): (Flow, bool, bool),
        purpose: Purpose,
    ) {
        self.counts.sent += 1;
        let bytes = stamped(&bytes, reliable);
        if send {
            self.out.push_back(Output::Send { flow, bytes: bytes.clone() });
        }
        // Timer F also where nothing is retransmitted, and from the moment of the wish: a stream that does not open is a failure too.
        self.timer(now.plus_ms(GIVE_UP_MS), Timer::GiveUp(branch.clone()));
        self.timer(now.plus_ms(T1_MS), Timer::Retransmit(branch.clone()));
        if purpose.is_start() {
            self.transactions.starting += 1;
        }
        let transaction =
            Transaction { purpose, begun: now, method, bytes, flow, reliable, pause_ms: T1_MS, proceeding: false };
        self.transactions.all.insert(branch, transaction);
    }

    pub(super) fn retransmit(&mut self, now: Mono, branch: &str) {
        let Some(transaction) = self.transactions.all.get_mut(branch) else { return };
        transaction.pause_ms = if transaction.proceeding { T2_MS } else { (transaction.pause_ms * 2).min(T2_MS) };
        let at = now.plus_ms(transaction.pause_ms);
        // While a stream is being opened nothing can be said of it yet.
        if !transaction.reliable {
            self.counts.retransmitted += 1;
            self.out.push_back(Output::Send { flow: transaction.flow, bytes: transaction.bytes.clone() });
        }
        self.timer(at, Timer::Retransmit(branch.to_owned()));
    }

    /// Timer F: 408 of our own (RFC 3261, 8.1.3.1).
    pub(super) fn give_up(&mut self, now: Mono, branch: &str) {
        if let Some(transaction) = self.transactions.remove(branch) {
            self.unanswered(now, transaction);
        }
    }
}

/// Only UDP and the stream beside it are ever exchanged, and only the Via that we wrote is first.
fn stamped(bytes: &[u8], reliable: bool) -> Vec<u8> {
    let (from, to) = if reliable { ("SIP/2.0/UDP ", "SIP/2.0/TCP ") } else { ("SIP/2.0/TCP ", "SIP/2.0/UDP ") };
    match memchr::memmem::find(bytes, from.as_bytes()) {
        Some(at) => {
            let (before, after) = bytes.split_at(at);
            [before, to.as_bytes(), after.get(from.len()..).unwrap_or_default()].concat()
        }
        None => bytes.to_vec(),
    }
}

/// What was answered, for requests that come again: 64*T1 (Timer J). Bounded: what is oldest goes first, and its request would be answered anew.
#[derive(Default)]
pub struct Memory {
    /// By the hash of what makes a request the same one: it is computed once for looking, keeping and forgetting.
    answers: HashMap<u64, (String, Answer), BuildHasherDefault<Hashed>>,
    order: VecDeque<(Mono, u64)>,
    seed: ahash::RandomState,
}

/// One answer.
pub enum Answer {
    /// A 200, which is made from the request again.
    Ok,
    Other(Vec<u8>),
}

/// What makes a request that comes again the same one (RFC 3261, 17.2.3), and for a branch without the cookie what RFC 2543 went by.
pub struct Key {
    hash: u64,
    text: String,
}

/// A number that is a hash already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// 32 s of 600 NOTIFYs a second.
const REMEMBERED: usize = 20_000;

impl Memory {
    #[must_use]
    pub fn key(&self, message: &Message) -> Key {
        let (host, port) = message.sent_by();
        let (number, method) = message.cseq();
        let mut text = String::with_capacity(192);
        for part in [
            message.branch().unwrap_or_default(),
            host,
            method,
            message.call_id(),
            message.from_tag().unwrap_or_default(),
        ] {
            text.push_str(part);
            text.push('|');
        }
        for number in [u32::from(port.unwrap_or(0)), number] {
            // Eight signs of four bits.
            text.extend((0..8).map(|n| char::from(b'a' + (number >> (n * 4) & 15) as u8)));
        }
        Key { hash: self.seed.hash_one(&*text), text }
    }

    #[must_use]
    pub fn answer(&self, key: &Key) -> Option<&Answer> {
        self.answers.get(&key.hash).filter(|(text, _)| *text == key.text).map(|(_, answer)| answer)
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.answers.len()
    }

    /// `true`: the first one, and [`Memory::forget`] is to be called in 64*T1.
    pub fn keep(&mut self, now: Mono, key: Key, answer: Answer) -> bool {
        if self.order.len() >= REMEMBERED
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.answers.remove(&oldest);
        }
        let first = self.order.is_empty();
        self.order.push_back((now.plus_ms(GIVE_UP_MS), key.hash));
        self.answers.insert(key.hash, (key.text, answer));
        first
    }

    /// Drops what is old; when to come again: not for each, so an answer may be remembered for twice its time.
    pub fn forget(&mut self, now: Mono) -> Option<Mono> {
        while let Some((until, key)) = self.order.front() {
            if *until > now {
                return self.order.back().map(|(until, _)| *until);
            }
            self.answers.remove(key);
            self.order.pop_front();
        }
        None
    }
}
