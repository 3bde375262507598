//! Names nobody can guess, and jitter. The dice are handed in once, as a key; what follows from it is the same in every replay.
//!
//! Call-IDs, tags and branches are all that stands between a stranger and a NOTIFY that we would believe, so they carry 96 bits and do not tell
//! what came before them (RFC 3261, 19.3 asks for 32).

use sha2::{Digest as _, Sha256};

#[derive(Clone)]
pub struct Dice {
    key: [u8; 32],
    count: u64,
}

impl Dice {
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self { key, count: 0 }
    }

    fn block(&mut self) -> [u8; 32] {
        self.count += 1;
        let mut hash = Sha256::new();
        hash.update(self.key);
        hash.update(self.count.to_le_bytes());
        hash.finalize().into()
    }

    /// 24 hexadecimal digits.
    pub fn name(&mut self) -> String {
        let block = self.block();
        block.iter().take(12).fold(String::with_capacity(24), |mut text, byte| {
            for half in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(half), 16).unwrap_or('0'));
            }
            text
        })
    }

    /// A number in `from..=to`.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.block();
        let span = to.saturating_sub(from).saturating_add(1);
        from + u64::from_le_bytes([a, b, c, d, e, f, g, h]) % span.max(1)
    }

    /// A name that belongs to `text`: the same each time, and only we can make it. For tags of answers that are not remembered.
    #[must_use]
    pub fn of(&self, text: &str) -> String {
        let mut hash = Sha256::new();
        hash.update(self.key);
        hash.update(text.as_bytes());
        let block: [u8; 32] = hash.finalize().into();
        block.iter().take(5).map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_and_come_again_in_a_replay() {
        let (mut a, mut b) = (Dice::new([7; 32]), Dice::new([7; 32]));
        let names: Vec<String> = (0..100).map(|_| a.name()).collect();
        let again: Vec<String> = (0..100).map(|_| b.name()).collect();
        assert_eq!(names, again);
        let mut sorted = names.clone();
        sorted.sort();
        sorted.dedup();
        assert!(sorted.len() == 100 && names.iter().all(|n| n.len() == 24));
        assert!((0..1000).map(|_| a.between(5, 9)).all(|n| (5..=9).contains(&n)));
        assert_eq!((a.of("x"), a.of("x") == a.of("y")), (b.of("x"), false));
    }
}
