//! China's ranges as a table: areas with the length of their numbers, what begins like what, prefixes that choose a carrier.
//!
//! The table is `china.csv` beside this file, compiled in; its head names sources and date. A site lays a file of its own over it (a city that
//! gets 8 digits is one line). There is one table in a process: two readings of one number would be two keys of one line, so the table is set
//! when the settings are loaded and every [`super::Plan`] made after that reads by it.

use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;

use super::Class;
use crate::files::Problem;

const BUILT_IN: &str = include_str!("china.csv");

/// The table in force.
static IN_FORCE: LazyLock<ArcSwap<China>> = LazyLock::new(|| ArcSwap::new(China::built_in()));

/// What is compiled in, parsed once.
static PARSED: LazyLock<Arc<China>> = LazyLock::new(|| {
    let mut table = China::default();
    let problems = table.lay("china.csv", BUILT_IN);
    debug_assert!(problems.is_empty(), "{problems:?}");
    table.settle();
    Arc::new(table)
});

/// An area code and what is known of the numbers behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area {
    /// Without the trunk zero.
    pub code: String,
    lengths: Lengths,
    pub zh: String,
    pub en: String,
}

/// Bit n: n digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lengths(u32);

impl Lengths {
    const fn has(self, n: usize) -> bool {
        n < 32 && self.0 >> n & 1 == 1
    }

    /// `11`, or `5..8`.
    fn read(text: &str) -> Option<Self> {
        let (from, to) = text.split_once("..").unwrap_or((text, text));
        let (from, to): (u32, u32) = (from.parse().ok()?, to.parse().ok()?);
        (1 <= from && from <= to && to <= 31).then(|| Self((from..=to).fold(0, |bits, n| bits | 1 << n)))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Range {
    prefix: String,
    lengths: Lengths,
    class: Class,
    /// Also a number by itself (then a service), but read away before a complete one.
    carrier: bool,
}

/// All of it. Looked up by first digits, so that a number costs a handful of comparisons and no allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct China {
    areas: Vec<Area>,
    ranges: Vec<Range>,
    /// First digits of subscriber numbers, bit by digit.
    subscriber: u16,
    /// By the number an area code is (10, 20 to 29, 300 to 999): its place in `areas`.
    by_code: Vec<Option<u16>>,
    /// By the first two digits: places in `ranges`, longest prefix first.
    by_head: Vec<Vec<u16>>,
    /// Places in `ranges` of carriers, shortest first.
    carriers: Vec<u16>,
}

impl China {
    /// What is compiled in.
    #[must_use]
    pub fn built_in() -> Arc<Self> {
        PARSED.clone()
    }

    /// The table by which numbers are read now.
    #[must_use]
    pub fn in_force() -> Arc<Self> {
        IN_FORCE.load_full()
    }

    /// Makes this the table by which every [`super::Plan`] reads that is made from now on.
    pub fn put_in_force(table: Arc<Self>) {
        IN_FORCE.store(table);
    }

    /// What is compiled in with a site's own rows over it.
    ///
    /// # Errors
    /// Every row that cannot be understood, with its line.
    pub fn with(file: &str, text: &str) -> Result<Arc<Self>, Vec<Problem>> {
        let mut table = (*Self::built_in()).clone();
        let problems = table.lay(file, text);
        if !problems.is_empty() {
            return Err(problems);
        }
        table.settle();
        Ok(Arc::new(table))
    }

    /// The text of the table that is compiled in, to copy from.
    #[must_use]
    pub const fn text() -> &'static str {
        BUILT_IN
    }

    /// What kind of number these digits are as a whole; `None` for geographic ones and nonsense.
    #[must_use]
    pub(super) fn class(&self, digits: &str) -> Option<Class> {
        let places = self.by_head.get(head(digits)?)?;
        let ranges = places.iter().filter_map(|p| self.ranges.get(usize::from(*p)));
        ranges.filter(|r| r.lengths.has(digits.len())).find(|r| digits.starts_with(&r.prefix)).map(|r| r.class)
    }

    /// What is left behind each carrier's prefix in front of these digits.
    pub(super) fn behind_carrier<'a>(&self, digits: &'a str) -> impl Iterator<Item = &'a str> {
        self.carriers.iter().filter_map(move |p| digits.strip_prefix(self.ranges.get(usize::from(*p))?.prefix.as_str()))
    }

    /// The area whose code stands in front of these digits, and what is behind it.
    #[must_use]
    pub(super) fn area_of<'a>(&self, digits: &'a str) -> Option<(&Area, &'a str)> {
        // No code of three digits begins like one of two: 10 and 2x are taken.
        [2, 3].into_iter().find_map(|n| Some((self.area(digits.get(..n)?)?, digits.get(n..)?)))
    }

    /// An area by its code without the trunk zero.
    #[must_use]
    pub fn area(&self, code: &str) -> Option<&Area> {
        let place = (*self.by_code.get(code.parse::<usize>().ok()?)?)?;
        self.areas.get(usize::from(place)).filter(|a| a.code == code)
    }

    /// Whether these digits can be a subscriber in the area of this code; in an area that is not in the table, 7 and 8 digits can.
    #[must_use]
    pub(super) fn is_subscriber(&self, code: &str, digits: &str) -> bool {
        let lengths = self.area(code).map_or(Lengths(0b1_1000_0000), |a| a.lengths);
        lengths.has(digits.len()) && self.begins_subscriber(digits)
    }

    /// A subscriber number somewhere, though not in every area.
    #[must_use]
    pub(super) fn is_somebodys(&self, digits: &str) -> bool {
        matches!(digits.len(), 7 | 8) && self.begins_subscriber(digits)
    }

    fn begins_subscriber(&self, digits: &str) -> bool {
        digits.bytes().next().is_some_and(|b| b.is_ascii_digit() && self.subscriber >> (b - b'0') & 1 == 1)
    }

    /// Lays rows over those that are there.
    fn lay(&mut self, file: &str, text: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (line, row) in text.lines().enumerate().map(|(i, l)| (i + 1, l.trim_start_matches('\u{feff}').trim())) {
            if row.is_empty() || row.starts_with('#') || row == "kind,prefix,digits,zh,en" {
                continue;
            }
            if let Err((column, found, wanted)) = self.row(row) {
                let (line, column) = (u32::try_from(line).unwrap_or(0), u32::try_from(column).unwrap_or(0));
                let (found, wanted) = (found.to_owned(), wanted.to_owned());
                problems.push(Problem { file: file.to_owned(), line, column, found, wanted, ..Problem::default() });
            }
        }
        problems
    }

    fn row(&mut self, row: &str) -> Result<(), (usize, &'static str, &'static str)> {
        let mut fields = row.splitn(5, ',');
        let mut field = || fields.next().unwrap_or_default().trim();
        let (kind, prefix, digits, zh) = (field(), field(), field(), field());
        let en = field().trim_matches('"');
        // A field that is not there has no place in the row: the row's end is told.
        let at = |what: &str| (what.as_ptr() as usize).wrapping_sub(row.as_ptr() as usize).min(row.len()) + 1;
        let lengths = Lengths::read(digits);
        let lengths = lengths.ok_or((at(digits), "this is no length", "a count of digits, or two: 11, 5..8"))?;
        let prefixes = prefixes(prefix);
        let prefixes =
            prefixes.ok_or((at(prefix), "this is no prefix", "leading digits, or two of one length: 13..19"))?;
        for prefix in prefixes {
            match kind {
                "area" => {
                    let code = prefix.as_bytes();
                    let shaped = matches!(code, [b'1', b'0'] | [b'2', _] | [b'3'..=b'9', _, _]);
                    if !shaped || lengths.0 & !0b1_1000_0000 != 0 {
                        let wanted =
                            "an area code without its zero (10, 2x or three digits), and 7, 8 or 7..8 digits behind it";
                        return Err((1, "this is no area", wanted));
                    }
                    self.areas.retain(|a| a.code != prefix);
                    self.areas.push(Area { code: prefix, lengths, zh: zh.to_owned(), en: en.to_owned() });
                }
                "subscriber" => match prefix.as_bytes() {
                    [b @ b'0'..=b'9'] => self.subscriber |= 1 << (b - b'0'),
                    _ => return Err((at(kind), "this is no first digit", "one digit, or two: 2..8")),
                },
                _ => {
                    let carrier = kind == "carrier";
                    let class = match kind {
                        "carrier" => Some(Class::Service),
                        word => KINDS.iter().find(|(name, _)| *name == word).map(|(_, class)| *class),
                    };
                    let wanted = "area, subscriber, carrier, mobile, m2m, sms-port, masked, emergency, service, shared-cost or toll-free";
                    let class = class.ok_or((at(kind), "this is no kind", wanted))?;
                    if prefix.len() < 2 {
                        return Err((1, "this prefix is too short", "two digits or more"));
                    }
                    self.ranges.retain(|r| (r.class, r.carrier, &r.prefix) != (class, carrier, &prefix));
                    self.ranges.push(Range { prefix, lengths, class, carrier });
                }
            }
        }
        Ok(())
    }

    /// The indexes, once all rows are there.
    fn settle(&mut self) {
        let place = |i: usize| u16::try_from(i).unwrap_or(u16::MAX);
        self.by_code = vec![None; 1000];
        for (i, area) in self.areas.iter().enumerate() {
            if let Some(slot) = area.code.parse().ok().and_then(|n: usize| self.by_code.get_mut(n)) {
                *slot = Some(place(i));
            }
        }
        self.by_head = vec![Vec::new(); 100];
        for (i, range) in self.ranges.iter().enumerate() {
            if let Some(slot) = head(&range.prefix).and_then(|h| self.by_head.get_mut(h)) {
                slot.push(place(i));
            }
        }
        let ranges = &self.ranges;
        let length = |p: &u16| ranges.get(usize::from(*p)).map_or(0, |r| r.prefix.len());
        for slot in &mut self.by_head {
            slot.sort_by_key(|p| std::cmp::Reverse(length(p)));
        }
        self.carriers = (0..ranges.len()).filter(|i| ranges.get(*i).is_some_and(|r| r.carrier)).map(place).collect();
        self.carriers.sort_by_key(length);
    }
}

/// The classes that have ranges; areas make the geographic ones.
const KINDS: [(&str, Class); 8] = [
    ("mobile", Class::Mobile),
    ("m2m", Class::M2m),
    ("sms-port", Class::SmsPort),
    ("masked", Class::Masked),
    ("emergency", Class::Emergency),
    ("service", Class::Service),
    ("shared-cost", Class::SharedCost),
    ("toll-free", Class::TollFree),
];

/// The first two digits as a number.
fn head(digits: &str) -> Option<usize> {
    match digits.as_bytes() {
        [a @ b'0'..=b'9', b @ b'0'..=b'9', ..] => Some(usize::from(a - b'0') * 10 + usize::from(b - b'0')),
        _ => None,
    }
}

/// `13`, or all from the first to the last of `145..149`.
fn prefixes(text: &str) -> Option<Vec<String>> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let digits = |t: &str| (1..=8).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_digit());
    if !digits(from) || !digits(to) || from.len() != to.len() {
        return None;
    }
    let (first, last): (u32, u32) = (from.parse().ok()?, to.parse().ok()?);
    (first <= last && last - first < 1000).then(|| (first..=last).map(|n| format!("{n:0w$}", w = from.len())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_that_is_compiled_in_is_well_formed() {
        let mut table = China::default();
        assert_eq!(table.lay("china.csv", BUILT_IN), []);
        table.settle();
        assert_eq!(&table, &*China::built_in());
        assert!(BUILT_IN.contains("Sources, looked at in November 2026"), "the source and its date stand in the head");
        // The plan has some 320 areas; each has a name in both languages, and no code begins like another.
        assert_eq!(table.areas.len(), 320);
        for area in &table.areas {
            assert!(!area.zh.is_empty() && !area.en.is_empty(), "{area:?}");
            let others = table.areas.iter().filter(|o| o.code != area.code);
            assert!(others.into_iter().all(|o| !o.code.starts_with(&area.code)), "{area:?}");
            assert_eq!(table.area(&area.code), Some(area));
        }
        let double = |a: &Range, b: &Range| a.prefix == b.prefix && a.lengths.0 & b.lengths.0 != 0;
        for (i, range) in table.ranges.iter().enumerate() {
            // `12520` is a prefix of carriers and would be a public service by its look; the prefix is the longer one.
            assert!(!table.ranges.iter().take(i).any(|other| double(range, other)), "{range:?}");
        }
    }

    #[test]
    fn lengths_are_those_of_the_city() {
        let table = China::built_in();
        for (code, number, is) in [
            ("10", "65551234", true),
            ("10", "6555123", false),
            ("592", "5051234", true),
            ("592", "50512345", false),
            ("991", "2851234", true),
            ("755", "28512345", true),
            ("755", "2851234", false),
            ("571", "28512345", true),
            ("433", "2851234", true),
            ("433", "28512345", true),
            // Not in the table: both.
            ("378", "2851234", true),
            ("378", "28512345", true),
            ("21", "91234567", false),
            ("21", "", false),
        ] {
            assert_eq!(table.is_subscriber(code, number), is, "{code} {number}");
        }
    }

    #[test]
    fn a_site_s_rows_lie_over_the_table_and_mistakes_are_told() {
        let text = "\u{feff}# Xiamen has 8 digits\narea,592,8,福建厦门,\"Xiamen, Fujian\"\r\n\nmobile,160,11,,new\n";
        let table = China::with("china.csv", text).unwrap();
        assert!(table.is_subscriber("592", "50512345") && !table.is_subscriber("592", "5051234"));
        assert_eq!(table.class("16012345678"), Some(Class::Mobile));
        assert_eq!(China::built_in().class("16012345678"), None);
        let told =
            China::with("china.csv", "area,592,9,x,y\nmobil,13,11,,\nmobile,13a,11,,\nmobile,13,,,\narea,1592,8,,\n")
                .unwrap_err();
        let lines: Vec<(u32, u32)> = told.iter().map(|p| (p.line, p.column)).collect();
        assert_eq!(lines, [(1, 1), (2, 1), (3, 8), (4, 11), (5, 1)]);
        // A row that is torn is told, whatever is missing.
        for torn in ["area", "area,592", ",,", "mobile,,11"] {
            assert_eq!(China::with("china.csv", torn).unwrap_err().len(), 1, "{torn}");
        }
    }
}
