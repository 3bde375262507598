//! One number looked for in texts: in whatever spelling it stands there, it is found, and can be taken out.
//!
//! For what is held of a person: a store has the number as E.164, as it was dialled, with an outside line's digits before it, and in notes as people write it. Found is
//! what the plan reads as the same line, and what ends with the number's last nine digits behind some prefix. A shorter run is found only where the
//! plan reads it as this line: eight digits alone are some other town's number too.

use serde_json::Value;

use super::{Class, Number, Plan};

/// Fewer digits are an extension or a short code, which many texts hold and which is nobody's.
const FEWEST: usize = 7;
/// So many last digits name a line within a country, together with what stands before them.
const TAIL: usize = 9;
/// What may stand before a number: an outside line, 00 and a country code.
const BEFORE: usize = 7;

/// What stands in place of a number that was taken out.
const GONE: &str = "(erased)";

#[derive(Clone, Debug)]
pub struct Sought {
    plan: Plan,
    number: Number,
    /// The last digits that every spelling ends with: what a scan looks for before anything is read.
    core: Vec<char>,
    tail: Option<String>,
}

impl Sought {
    /// # Errors
    /// It is no number of a person: withheld, too short, a name; the text says what would be right.
    pub fn new(plan: &Plan, text: &str) -> Result<Self, &'static str> {
        let number = plan.read(text);
        let digits: Vec<char> = number.key().unwrap_or_default().chars().filter_map(digit).collect();
        if matches!(number.class, Class::Anonymous | Class::SipUser) || digits.len() < FEWEST {
            return Err("a whole number of a person is wanted, as it is dialled or with + and the country code");
        }
        let last = |n: usize| digits.iter().copied().skip(digits.len().saturating_sub(n)).collect::<Vec<char>>();
        let tail = (digits.len() >= TAIL).then(|| last(TAIL).into_iter().collect());
        Ok(Self { core: last(FEWEST), tail, plan: plan.clone(), number })
    }

    #[must_use]
    pub const fn number(&self) -> &Number {
        &self.number
    }

    /// Whether a text that is a number is this one.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        let digits: String = text.chars().filter_map(digit).collect();
        self.reads(text, &digits)
    }

    /// Whether it stands somewhere in the text. JSON may be given as text: digits are written as they are there.
    #[must_use]
    pub fn stands_in(&self, text: &str) -> bool {
        let mut found = false;
        self.each(text, |_, _| found = true);
        found
    }

    /// Takes it out of every text in the value, keys too; says whether it stood anywhere.
    pub fn take_out(&self, value: &mut Value) -> bool {
        match value {
            Value::Null | Value::Bool(_) => false,
            Value::String(text) => match self.without(text) {
                Some(new) => {
                    *text = new;
                    true
                }
                None => false,
            },
            Value::Number(number) => {
                let is = self.is(&number.to_string());
                if is {
                    *value = Value::from(GONE);
                }
                is
            }
            Value::Array(list) => list.iter_mut().fold(false, |any, item| self.take_out(item) | any),
            Value::Object(object) => {
                let named: Vec<String> = object.keys().filter(|key| self.stands_in(key)).cloned().collect();
                let mut any = !named.is_empty();
                for key in named {
                    if let (Some(new), Some(item)) = (self.without(&key), object.remove(&key)) {
                        object.insert(new, item);
                    }
                }
                for item in object.values_mut() {
                    any |= self.take_out(item);
                }
                any
            }
        }
    }

    /// The text without it; `None`: it does not stand there.
    #[must_use]
    pub fn without(&self, text: &str) -> Option<String> {
        let (mut out, mut at) = (String::new(), 0);
        self.each(text, |from, to| {
            out.push_str(text.get(at..from).unwrap_or_default());
            out.push_str(GONE);
            at = to;
        });
        (at > 0).then(|| out + text.get(at..).unwrap_or_default())
    }

    fn reads(&self, spelled: &str, digits: &str) -> bool {
        if digits.len() < FEWEST {
            return false;
        }
        let whole = self.number.key().unwrap_or_default().chars().filter_map(digit).count();
        let prefixed = self.tail.as_ref().is_some_and(|tail| digits.ends_with(tail.as_str()))
            && digits.len() <= whole + BEFORE
            // A country code says which line it is; and what the plan reads as some other line is that line, however it ends.
            && !spelled.starts_with('+')
            && !self.other(spelled);
        prefixed || self.plan.read(spelled).same_line(&self.number)
    }

    /// Whether the digits are the number with its area, so that nothing before them can make them another's.
    fn is_whole(&self, digits: &str) -> bool {
        let whole = self.number.key().unwrap_or_default().chars().filter_map(digit).count();
        self.tail.as_ref().is_some_and(|tail| digits.ends_with(tail.as_str())) && digits.len() + 3 > whole
    }

    fn other(&self, spelled: &str) -> bool {
        let read = self.plan.read(spelled);
        read.e164.is_some() && self.number.e164.is_some() && !read.same_line(&self.number)
    }

    /// Each run of digits, with what people write between them, that is the number: from byte to byte.
    fn each(&self, text: &str, mut found: impl FnMut(usize, usize)) {
        let mut chars = text.char_indices().peekable();
        let mut digits = String::new();
        while let Some((start, first)) = chars.next() {
            let plus = first == '+' && chars.peek().is_some_and(|(_, c)| digit(*c).is_some());
            let Some(first) = digit(first).or(plus.then_some('+')) else { continue };
            digits.clear();
            digits.extend(Some(first).filter(char::is_ascii_digit));
            // Pieces of the run with the byte behind each, for a number may stand behind another: "ref 2026 13800138000".
            let mut end = start + 1;
            let mut gap = 0;
            let mut starts = vec![(start, 0)];
            while let Some(&(at, c)) = chars.peek() {
                if let Some(c) = digit(c) {
                    if gap > 0 {
                        starts.push((at, digits.len()));
                    }
                    digits.push(c);
                    (end, gap) = (at + text.get(at..).and_then(|t| t.chars().next()).map_or(1, char::len_utf8), 0);
                } else if between(c) && gap < 2 {
                    gap += 1;
                } else {
                    break;
                }
                chars.next();
            }
            if !holds(&digits, &self.core) {
                continue;
            }
            let ends: Vec<(usize, usize)> = starts.iter().skip(1).copied().chain([(end, digits.len())]).collect();
            // The longest reading that begins first: what stands between two pieces belongs to neither.
            let mut n = 0;
            'next: while let Some(&(from, skip)) = starts.get(n) {
                for (m, &(_, upto)) in ends.iter().enumerate().skip(n).rev() {
                    let stop = if m + 1 == ends.len() { end } else { piece_end(text, starts.get(m + 1)) };
                    let spelled = text.get(from..stop).unwrap_or_default();
                    if self.reads(spelled, digits.get(skip..upto).unwrap_or_default()) {
                        found(from, stop);
                        n = m + 1;
                        continue 'next;
                    }
                    // Somebody else's number, all of it: its end is not a local number of ours. ("10:00 13800138000" reads as a number abroad; what is whole inside is ours all the same.)
                    let inside = starts.iter().take(m + 1).skip(n + 1).any(|&(_, skip)| {
                        ends.iter()
                            .take(m + 1)
                            .any(|&(_, upto)| self.is_whole(digits.get(skip..upto).unwrap_or_default()))
                    });
                    if !inside && self.other(spelled) {
                        n = m + 1;
                        continue 'next;
                    }
                }
                n += 1;
            }
        }
    }
}

/// Where the piece before this one ends: before what people write between two.
fn piece_end(text: &str, next: Option<&(usize, usize)>) -> usize {
    let before = next.and_then(|(at, _)| text.get(..*at)).unwrap_or_default();
    before.trim_end_matches(between).len()
}

fn holds(digits: &str, core: &[char]) -> bool {
    digits.len() >= core.len()
        && digits.as_bytes().windows(core.len()).any(|w| w.iter().zip(core).all(|(a, b)| char::from(*a) == *b))
}

/// Digits as people type them here, full-width ones too.
pub(crate) const fn digit(c: char) -> Option<char> {
    match c {
        '0'..='9' => Some(c),
        '\u{ff10}'..='\u{ff19}' => char::from_digit(c as u32 - 0xff10, 10),
        _ => None,
    }
}

/// What people write between the digits of a number.
pub(crate) const fn between(c: char) -> bool {
    matches!(c, ' ' | '-' | '(' | ')' | '.' | '/' | '\u{a0}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sought(text: &str) -> Sought {
        Sought::new(&Plan::new("CN", Some("21")), text).unwrap()
    }

    #[test]
    fn every_spelling_of_it_is_found_and_no_other_number() {
        let mobile = sought("13800138000");
        for text in [
            "13800138000",
            "+8613800138000",
            "0086 138-0013-8000",
            "013800138000",
            "9013800138000",
            "call 138 0013 8000 tomorrow",
            "１３８００１３８０００",
            "(138) 0013.8000",
            "{\"raw\":\"13800138000\",\"at\":1795347846123}",
            "2026-11-26 13800138000",
        ] {
            assert!(mobile.stands_in(text), "{text}");
        }
        for text in ["13800138001", "0013-8000", "8000", "113800138000123", "", "a138"] {
            assert!(!mobile.stands_in(text), "{text}");
        }
        assert!(
            !mobile.is("+1 380 013 8000") && mobile.is("+86 138 0013 8000"),
            "a country code says which line it is"
        );
        let landline = sought("61808888");
        for text in ["02161808888", "021-6180 8888", "61808888", "+86 21 6180 8888", "9,02161808888"] {
            assert!(landline.stands_in(text), "{text}");
        }
        for text in ["075561808888", "0755 6180 8888"] {
            assert!(!landline.stands_in(text), "{text}");
        }
    }

    #[test]
    fn it_is_taken_out_and_the_rest_stays() {
        let mobile = sought("+86 138 0013 8000");
        let mut value = json!({"text": "ring 138-0013-8000 or 13900139000", "n": 13_800_138_000_u64, "m": 5,
            "13800138000": [true, "x"], "when": "2026-11-26 10:00 13800138000"});
        assert!(mobile.take_out(&mut value));
        let wanted = json!({"text": "ring (erased) or 13900139000", "n": "(erased)", "m": 5,
            "(erased)": [true, "x"], "when": "2026-11-26 10:00 (erased)"});
        assert_eq!(value, wanted);
        assert!(!mobile.take_out(&mut value));
        assert!(!mobile.stands_in(&value.to_string()));
    }

    #[test]
    fn what_is_nobodys_number_is_not_sought() {
        let plan = Plan::new("CN", Some("21"));
        for text in ["", "anonymous", "1001", "95588", "sip:li.na@pbx.example"] {
            assert!(Sought::new(&plan, text).is_err(), "{text}");
        }
    }
}
