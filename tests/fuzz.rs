//! Hostile bytes, on stable and without libFuzzer: the bodies of the fuzz targets (`fuzz/`) with every seed of their corpora, and with seeded mutations.
//! Counted, not timed: it is the same work at every run, and a finding has a seed that gives it again.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

#[path = "../fuzz/bodies.rs"]
mod bodies;

/// Mutations a target. `LINECARD_FUZZ=1000000` makes more.
const MUTATIONS: usize = 6_000;
/// A recorded stream is long; a piece of it does.
const LONG: usize = 24 * 1024;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below.max(1) as u64).unwrap()
    }
}

/// What the readers look for.
const SIGNS: &[u8] = b"\r\n \t:;,<>\"\\()@?=%[]&/!-\0\xff0";

/// Changes some of it: cut, dropped, doubled, put in from elsewhere, other signs, and lengths that lie.
fn spoil(bytes: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    for _ in 0..=dice.roll(6) {
        let (at, some) = (dice.roll(bytes.len()), dice.roll(40));
        let end = (at + some).min(bytes.len());
        match dice.roll(8) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => bytes.splice(at..at, std::iter::repeat_n(SIGNS[some % SIGNS.len()], some * some)).for_each(drop),
            3 => {
                let piece = bytes[at..end].to_vec();
                let to = dice.roll(bytes.len());
                bytes.splice(to..to, piece).for_each(drop);
            }
            4 => {
                let from = dice.roll(other.len());
                let piece = &other[from..(from + some * 8).min(other.len())];
                bytes.splice(at..at, piece.iter().copied()).for_each(drop);
            }
            5 if at < bytes.len() => bytes[at] ^= 1 << dice.roll(8),
            // A length is two octets of HEP, or digits of SIP.
            6 if at + 1 < bytes.len() => {
                let lie = [0, 1, 5, 6, 7, 0x00ff, 0x7fff, 0xffff][dice.roll(8)];
                bytes[at..at + 2].copy_from_slice(&u16::to_be_bytes(lie));
            }
            7 => {
                let digits: Vec<usize> = (0..bytes.len()).filter(|i| bytes[*i].is_ascii_digit()).collect();
                if let Some(at) = digits.get(dice.roll(digits.len())) {
                    let lie = ["", "0", "9", "99999999999999999999", "-1", "4294967296"][dice.roll(6)];
                    bytes.splice(*at..=*at, lie.bytes()).for_each(drop);
                }
            }
            _ if at < bytes.len() => bytes[at] = SIGNS[some % SIGNS.len()],
            _ => {}
        }
    }
}

fn holds(target: &str) {
    let body = bodies::TARGETS.iter().find(|(name, _)| *name == target).unwrap().1;
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-fixtures");
    let mut seeds: Vec<(String, Vec<u8>)> = bodies::seeds(target, &fixtures).into_iter().collect();
    assert!(seeds.len() >= 5, "{target} has {} seeds", seeds.len());
    for (name, bytes) in &seeds {
        assert!(catch_unwind(|| body(bytes)).is_ok(), "{target} does not hold for its seed {name}");
    }
    for (_, bytes) in &mut seeds {
        bytes.truncate(LONG);
    }
    let wanted = std::env::var("LINECARD_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(MUTATIONS);
    for seed in 1..=wanted {
        let mut dice = Dice((seed as u64).wrapping_mul(0x2545_f491_4f6c_dd1d) | 1);
        let (name, bytes) = &seeds[dice.roll(seeds.len())];
        let (mut bytes, other) = (bytes.clone(), &seeds[dice.roll(seeds.len())].1);
        spoil(&mut bytes, other, &mut dice);
        let held = catch_unwind(AssertUnwindSafe(|| body(&bytes)));
        assert!(held.is_ok(), "{target} does not hold for mutation {seed} of {name}:\n{}", bytes.escape_ascii());
    }
}

#[test]
fn sip_messages() {
    holds("sip");
}

#[test]
fn dialog_info_bodies() {
    holds("dialog_info");
}

#[test]
fn multipart_bodies() {
    holds("multipart");
}

#[test]
fn hep_streams() {
    holds("hep");
}

#[test]
fn ami_streams() {
    holds("ami");
}

#[test]
fn event_socket_streams() {
    holds("esl");
}
