//! Finds the first row that takes a call among tens of thousands in a few hash look-ups.
//!
//! Rows that name one number are found by its key. Prefixes, patterns and ranges are sorted by their shape (which places are fixed, how long
//! the whole is): a table has few shapes, and within a shape a row is found by its fixed digits. A range becomes the prefixes it consists of
//! (02161234550..99 is 0216123455 to 0216123459). Measured over 10,000 rows in `tests.rs` beside this file.

use std::collections::HashMap;

use super::dialled::{Dialled, Spellings};

/// Places of rows in the order of the file.
type Places = Vec<u32>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    exact: HashMap<Box<str>, Places>,
    shapes: Vec<Shape>,
    /// Rows without a number, by the trunk they name; `None`: those that name none.
    any: HashMap<Option<Box<str>>, Places>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Shape {
    /// The whole length; with `open`, at least.
    length: usize,
    open: bool,
    /// Only the E.164 form is held against it.
    e164: bool,
    /// Bit i: place i is fixed; the others take any digit.
    fixed: u32,
    rows: HashMap<Box<[u8]>, Places>,
}

impl Index {
    /// Rows are added in the order of the file.
    pub fn add(&mut self, place: u32, dialled: Option<&Dialled>, trunk: Option<&str>) {
        match dialled {
            None => self.any.entry(trunk.map(Into::into)).or_default().push(place),
            Some(Dialled::One(number)) => {
                if let Some(key) = number.key() {
                    self.exact.entry(key.into()).or_default().push(place);
                }
            }
            Some(Dialled::Like { text, open }) => self.like(place, text, *open, false),
            Some(Dialled::Range(from, to)) => {
                let mut pieces = Vec::new();
                split(from.as_bytes(), to.as_bytes(), Vec::new(), &mut pieces);
                for piece in pieces {
                    let text = format!("{}{}", String::from_utf8_lossy(&piece), "X".repeat(from.len() - piece.len()));
                    self.like(place, &text, false, true);
                }
            }
        }
    }

    fn like(&mut self, place: u32, text: &str, open: bool, e164: bool) {
        let fixed = text.bytes().enumerate().filter(|(_, b)| *b != b'X').fold(0, |bits, (i, _)| bits | 1 << (i & 31));
        let length = text.len();
        let same = |s: &Shape| (s.length, s.open, s.e164, s.fixed) == (length, open, e164, fixed);
        let at = self.shapes.iter().position(same).unwrap_or_else(|| {
            self.shapes.push(Shape { length, open, e164, fixed, rows: HashMap::new() });
            self.shapes.len() - 1
        });
        let key: Box<[u8]> = text.bytes().filter(|b| *b != b'X').collect();
        if let Some(shape) = self.shapes.get_mut(at) {
            shape.rows.entry(key).or_default().push(place);
        }
    }

    /// The first row that takes the number and for which `fits` is true. `trunk` as the switch names it, whole and without technology.
    pub fn first(
        &self,
        number: Option<&Spellings<'_>>,
        trunk: [Option<&str>; 2],
        fits: impl Fn(u32) -> bool,
    ) -> Option<u32> {
        let mut best: Option<u32> = None;
        let mut better = |places: Option<&Places>| {
            let before = |p: &&u32| best.is_none_or(|b| **p < b);
            if let Some(found) = places.into_iter().flatten().take_while(before).find(|p| fits(**p)) {
                best = Some(*found);
            }
        };
        better(self.any.get(&None));
        for name in trunk.into_iter().flatten() {
            better(self.any.get(&Some(name.into())));
        }
        if let Some(number) = number {
            better(number.key.and_then(|key| self.exact.get(key)));
            for shape in &self.shapes {
                if shape.e164 {
                    better(number.e164.and_then(|e| shape.find(e)));
                } else {
                    number.all.iter().for_each(|text| better(shape.find(text)));
                }
            }
        }
        best
    }
}

impl Shape {
    fn find(&self, text: &str) -> Option<&Places> {
        if if self.open { text.len() < self.length } else { text.len() != self.length } {
            return None;
        }
        let mut key = [0u8; 32];
        let mut n = 0;
        for (i, byte) in text.bytes().take(self.length).enumerate() {
            if self.fixed >> (i & 31) & 1 == 1 {
                *key.get_mut(n)? = byte;
                n += 1;
            } else if !byte.is_ascii_digit() {
                return None;
            }
        }
        self.rows.get(key.get(..n)?)
    }
}

/// The prefixes of which all numbers from `from` to `to` consist.
fn split(from: &[u8], to: &[u8], prefix: Vec<u8>, out: &mut Vec<Vec<u8>>) {
    if from.iter().all(|b| *b == b'0') && to.iter().all(|b| *b == b'9') {
        out.push(prefix);
        return;
    }
    let ([first, low @ ..], [last, high @ ..]) = (from, to) else { return };
    let with = |digit: u8| [prefix.as_slice(), &[digit]].concat();
    if first == last {
        return split(low, high, with(*first), out);
    }
    split(low, &vec![b'9'; low.len()], with(*first), out);
    for digit in first + 1..*last {
        out.push(with(digit));
    }
    split(&vec![b'0'; high.len()], high, with(*last), out);
}
