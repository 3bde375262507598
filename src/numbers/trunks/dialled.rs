//! Which dialled numbers a row takes: one, or all like a prefix, a pattern or a range; and how two of these lie to each other.

use super::{
    super::number::{Class, Number, Plan},
    code,
};

/// Which dialled numbers a row takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dialled {
    One(Number),
    /// Digits (and perhaps a plus) in front, `X` for any digit; `open`: whatever follows.
    Like {
        text: String,
        open: bool,
    },
    /// Both ends in E.164 and of one length, so that the order of text is the order of numbers.
    Range(String, String),
}

/// How the numbers of two rows lie to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meeting {
    /// No number is taken by both, as far as can be told.
    Apart,
    /// The first takes all that the second takes.
    Covers,
    /// The second takes all that the first takes, and more.
    Within,
    /// Some numbers are taken by both, and each takes some of its own.
    Partly,
}

/// A number as rows may mean it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spellings<'a> {
    /// What tells one line from another.
    pub key: Option<&'a str>,
    pub e164: Option<&'a str>,
    /// E.164, national with and without the trunk's zero, the short code, and as it came.
    pub all: Vec<String>,
}

impl Dialled {
    /// # Errors
    /// What would be right, with its word (see [`code`]).
    pub fn read(text: &str, plan: &Plan) -> Result<Self, (&'static str, &'static str)> {
        if let Some((from, to)) = text.split_once("..") {
            let end = |text: &str| plan.read(text).e164.map(|e| e.expose().clone());
            return match (end(from), end(to)) {
                (Some(from), Some(to)) if from.len() == to.len() && from <= to => Ok(Self::Range(from, to)),
                _ => Err((
                    code::NO_RANGE,
                    "both ends of a range are whole numbers of one length, the lower first: 02161234500..02161234599",
                )),
            };
        }
        if !text.contains(['*', 'X', 'x']) {
            let number = plan.read(text);
            let none = matches!(number.class, Class::Invalid | Class::Unknown | Class::SipUser | Class::Anonymous);
            let right = (code::NO_NUMBER, "write it as dialled, or with + and country code");
            return if none { Err(right) } else { Ok(Self::One(number)) };
        }
        let (body, open) = text.strip_suffix('*').map_or((text, false), |body| (body, true));
        let body: String = body.chars().filter(|c| !matches!(c, ' ' | '-')).map(|c| c.to_ascii_uppercase()).collect();
        let digits = body.strip_prefix('+').unwrap_or(&body);
        if digits.is_empty() || digits.len() > 24 || !digits.chars().all(|c| c.is_ascii_digit() || c == 'X') {
            return Err((
                code::NO_PATTERN,
                "a pattern is digits, X for any digit, and at most one * at its end: 0216123*, 0216123XX00",
            ));
        }
        Ok(Self::Like { text: body, open })
    }

    #[must_use]
    pub fn takes(&self, number: &Spellings<'_>) -> bool {
        match self {
            Self::One(own) => own.key().is_some_and(|key| number.key == Some(key)),
            Self::Range(from, to) => {
                number.e164.is_some_and(|e| e.len() == from.len() && from.as_str() <= e && e <= to.as_str())
            }
            Self::Like { text, open } => number.all.iter().any(|dialled| like(text, *open, dialled)),
        }
    }

    /// What all its numbers begin with, in each spelling that [`Self::meets`] holds against another's.
    pub(super) fn begins(&self) -> Vec<String> {
        match self {
            // Found by its key.
            Self::One(_) => Vec::new(),
            Self::Like { text, .. } => vec![text.split('X').next().unwrap_or_default().to_owned()],
            Self::Range(from, to) => {
                let same = from.bytes().zip(to.bytes()).take_while(|(a, b)| a == b).count();
                spelt(from.get(..same).unwrap_or_default())
            }
        }
    }

    /// How this one lies to another. Where it cannot be told (a range against a pattern of another length, a national pattern against one with
    /// a plus) nothing is said.
    #[must_use]
    pub fn meets(&self, other: &Self) -> Meeting {
        match (self, other) {
            (_, Self::One(number)) if self.takes(&spellings(number)) => Meeting::Covers,
            (Self::One(number), _) if other.takes(&spellings(number)) => Meeting::Within,
            (Self::One(_), _) | (_, Self::One(_)) => Meeting::Apart,
            (Self::Range(from, to), Self::Range(a, b)) if from.len() == a.len() && from <= b && a <= to => {
                match (from <= a && b <= to, a <= from && to <= b) {
                    (true, _) => Meeting::Covers,
                    (_, true) => Meeting::Within,
                    _ => Meeting::Partly,
                }
            }
            (Self::Range(..), Self::Range(..)) => Meeting::Apart,
            (Self::Like { text, open }, Self::Like { text: t, open: o }) => {
                if like(text, *open, t) && (*open || !*o) {
                    Meeting::Covers
                } else if like(t, *o, text) && (*o || !*open) {
                    Meeting::Within
                } else if crosses((text, *open), (t, *o)) {
                    Meeting::Partly
                } else {
                    Meeting::Apart
                }
            }
            (Self::Range(from, to), Self::Like { text, open }) => range_and_like((from, to), (text, *open)),
            (Self::Like { text, open }, Self::Range(from, to)) => match range_and_like((from, to), (text, *open)) {
                Meeting::Covers => Meeting::Within,
                Meeting::Within => Meeting::Covers,
                other => other,
            },
        }
    }
}

/// How a range lies to a pattern, in the spelling that the pattern is written in. Nothing is allocated: a table has many such pairs.
fn range_and_like((from, to): (&str, &str), (text, open): (&str, bool)) -> Meeting {
    let national = from.strip_prefix("+86").zip(to.strip_prefix("+86"));
    let zeroed = national.and_then(|(a, b)| Some((text.strip_prefix('0')?, a, b)));
    let plain = national.map(|(a, b)| (text, a, b));
    for (text, a, b) in [Some((text, from, to)), zeroed, plain].into_iter().flatten() {
        if if open { text.len() > a.len() } else { text.len() != a.len() } {
            continue;
        }
        let filled = |with: u8| {
            let body = text.bytes().map(move |c| if c == b'X' { with } else { c });
            body.chain(std::iter::repeat(with)).take(a.len())
        };
        if filled(b'0').gt(b.bytes()) || filled(b'9').lt(a.bytes()) {
            continue;
        }
        // The pattern takes the whole range where nothing is fixed in it from the first digit on in which the ends differ.
        let common = a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
        if text.bytes().skip(common).all(|c| c == b'X') && like(text, open, a) {
            return Meeting::Within;
        }
        // Longer numbers are no numbers of the range.
        let inside = !open && a.bytes().le(filled(b'0')) && filled(b'9').le(b.bytes());
        if inside {
            return Meeting::Covers;
        }
        if first_like(text.as_bytes(), a.as_bytes()).is_some_and(|first| first.as_slice() <= b.as_bytes()) {
            return Meeting::Partly;
        }
    }
    Meeting::Apart
}

/// The first number from `from` on that is like the pattern, of the same length.
fn first_like(pattern: &[u8], from: &[u8]) -> Option<Vec<u8>> {
    let digit = |i: usize| pattern.get(i).copied().unwrap_or(b'X');
    // As many digits of `from` as can stay, then the next greater one, then the least there are.
    (0..=from.len()).rev().find_map(|kept| {
        let mut number: Vec<u8> = from.iter().copied().take(kept).collect();
        let stays = number.iter().enumerate().all(|(i, d)| matches!(digit(i), p if p == b'X' || p == *d));
        if !stays {
            return None;
        }
        if let Some(old) = from.get(kept) {
            number.push(match digit(kept) {
                b'X' if *old < b'9' => old + 1,
                p if p != b'X' && p > *old => p,
                _ => return None,
            });
            number.extend((kept + 1..from.len()).map(|i| if digit(i) == b'X' { b'0' } else { digit(i) }));
        }
        Some(number)
    })
}

/// E.164, and China's national forms.
fn spelt(e164: &str) -> Vec<String> {
    let national = e164.strip_prefix("+86");
    [Some(e164.to_owned()), national.map(|n| format!("0{n}")), national.map(str::to_owned)]
        .into_iter()
        .flatten()
        .collect()
}

/// A number as rows may mean it.
#[must_use]
pub fn spellings(number: &Number) -> Spellings<'_> {
    let e164 = number.e164.as_ref().map(|e| e.expose().as_str());
    let mut all = e164.map(spelt).unwrap_or_default();
    all.extend(number.short.iter().map(|short| short.expose().clone()));
    // Letters are a name's: nothing is stripped from it.
    let raw = number.raw.iter().filter(|_| number.class != Class::SipUser);
    all.extend(raw.map(|raw| raw.expose().chars().filter(|c| c.is_ascii_digit() || *c == '+').collect()));
    Spellings { key: number.key(), e164, all }
}

/// `X` takes any digit (and an `X`, where a pattern is held against a pattern).
fn like(pattern: &str, open: bool, text: &str) -> bool {
    let fits = |(p, t): (char, char)| p == t || p == 'X' && (t.is_ascii_digit() || t == 'X');
    (if open { text.len() >= pattern.len() } else { text.len() == pattern.len() })
        && pattern.chars().zip(text.chars()).all(fits)
}

/// Whether one number can be like both patterns.
fn crosses((a, a_open): (&str, bool), (b, b_open): (&str, bool)) -> bool {
    let lengths = match (a_open, b_open) {
        (false, false) => a.len() == b.len(),
        (true, false) => b.len() >= a.len(),
        (false, true) => a.len() >= b.len(),
        (true, true) => true,
    };
    let both = |(p, t): (char, char)| p == t || p == 'X' && t.is_ascii_digit() || t == 'X' && p.is_ascii_digit();
    lengths && a.chars().zip(b.chars()).all(both)
}
