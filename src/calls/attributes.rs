//! Attributes: what is known of a call besides who, where and when, because a mapping in the switch's file asks for it (the account keyed in
//! the IVR), or because an agent wrote it.
//!
//! Nothing that is not mapped is kept, and a caller cannot make a name: so what one call may hold is bounded by the file. Values are strangers'
//! data: they are decoded, held against their type and cut at their cap, and they are never a template. What does not decode or fit is kept as it came and
//! marked with a [`Fault`]; nothing is dropped for it.
//!
//! One value counts for a name: what an agent wrote stays, else the newest by the switch's own stamps. So it does not matter in which order two feeds
//! tell it, or whether two legs became one call before or after.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD, prelude::BASE64_STANDARD_NO_PAD};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::private::Private;

use super::facts::{Leg, Moment};

/// Mappings of one switch at most, and the characters that all of them together may give a call.
pub const MAPPINGS: usize = 64;
pub const WHOLE_CAP: usize = 16 * 1024;
/// Digits kept of one leg: more than anybody keys in to be understood by a machine.
const KEYS: usize = 256;

/// What a switch's file wants to know of its calls besides the call itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    pub list: Vec<Mapping>,
    pub recordings: Option<Recordings>,
}

/// One attribute: where it comes from, how it is read, what it is for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// The attribute's name in pops, records and rules: `ivr.account`.
    pub name: String,
    /// What pages call it; absent: its name.
    #[serde(default)]
    pub label: Option<String>,
    /// Where the switch tells it; absent: only agents or flows write it.
    #[serde(default)]
    pub from: Option<Source>,
    /// How the value is packed, outermost first: `[base64, gbk]`.
    #[serde(default)]
    pub decode: Vec<Decode>,
    #[serde(default, rename = "type")]
    pub kind: Kind,
    /// Longest value in characters; what is longer is cut there and marked.
    #[serde(default = "cap")]
    pub cap: usize,
    /// `account`: customers are looked up by it before the number that called.
    #[serde(default, rename = "use")]
    pub purpose: Option<Purpose>,
    /// Looked up by and nothing else: it is in no pop, record, log or file of ours.
    #[serde(default)]
    pub secret: bool,
    /// Agents who have the call may write it.
    #[serde(default)]
    pub writable: bool,
    /// Flows may write it, also long after the call: what a customer answered in a survey.
    #[serde(default)]
    pub flows: bool,
}

/// Where an attribute is told.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A channel variable, without the `_` that make it inherited.
    Variable(String),
    /// A header of an event that the dialplan or another program raises by name.
    UserEvent(UserEvent),
    /// Digits that the caller keys in before the call moves on to a queue or a phone.
    Digits(Digits),
    /// A header of the SIP message that began the call.
    SipHeader(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserEvent {
    pub event: String,
    pub header: String,
}

/// Digits of one leg make a value when the end key or the last of `max` comes, when the next key comes later than `gap_ms`, or when the call moves on. Of
/// several values the last counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Digits {
    /// The key that ends a value and is no part of it, usually `"#"`.
    #[serde(default)]
    pub end: Option<char>,
    #[serde(default)]
    pub max: Option<usize>,
    /// Keys further apart belong to two values.
    #[serde(default)]
    pub gap_ms: Option<u64>,
    /// Only keys that come while the dialplan stands here.
    #[serde(default)]
    pub at: Place,
}

/// A place in the dialplan; what is absent may be anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Place {
    #[serde(default)]
    pub context: Option<String>,
    /// Quoted.
    #[serde(default)]
    pub exten: Option<String>,
    #[serde(default)]
    pub priority: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Decode {
    /// `%E5%BC%A0`; a `+` stays one.
    Url,
    /// With or without `=` at its end.
    Base64,
    /// GBK and GB18030.
    Gbk,
}

/// What a value must look like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    #[default]
    Text,
    /// 0 to 9 only.
    Digits,
    /// `-12.50`.
    Number,
    /// `2026-11-25`.
    Date,
    /// One of these.
    Choice(Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    Account,
}

/// Recordings that the switch makes of calls.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recordings {
    /// The channel variable that names the file when a recording begins.
    #[serde(default = "recording_variable")]
    pub variable: String,
    /// The folder at the switch that is cut off a name.
    #[serde(default)]
    pub folder: Option<String>,
    /// What is put in its place, to make the address at which people and systems find it.
    #[serde(default)]
    pub uri: Option<String>,
}

/// What is wrong with a value that was kept all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// It is not packed as the mapping says: kept as it came.
    Undecoded,
    /// It was longer than its cap and ends there.
    Cut,
    /// It is not of the mapping's type.
    Misfit,
}

/// A value as it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    pub value: Private<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    pub at: Moment,
    /// An agent or a flow wrote it.
    #[serde(default)]
    pub written: bool,
}

impl Attributes {
    /// Channel variables that are wanted, each once.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        let mapped = self.list.iter().filter_map(|m| match &m.from {
            Some(Source::Variable(name)) => Some(name.as_str()),
            _ => None,
        });
        let recordings = self.recordings.as_ref().map(|r| r.variable.as_str());
        let mut seen: Vec<&str> = Vec::new();
        mapped.chain(recordings).filter(move |name| {
            let new = !seen.contains(name);
            seen.push(name);
            new
        })
    }

    #[must_use]
    pub fn wants_variable(&self, name: &str) -> bool {
        self.variables().any(|wanted| wanted == name)
    }

    /// Names of user events that are wanted.
    pub fn user_events(&self) -> impl Iterator<Item = &str> {
        self.list.iter().filter_map(|m| match &m.from {
            Some(Source::UserEvent(u)) => Some(u.event.as_str()),
            _ => None,
        })
    }

    #[must_use]
    pub fn wants_digits(&self) -> bool {
        self.digits().next().is_some()
    }

    pub(super) fn digits(&self) -> impl Iterator<Item = (&Mapping, &Digits)> {
        self.list.iter().filter_map(|m| match &m.from {
            Some(Source::Digits(digits)) => Some((m, digits)),
            _ => None,
        })
    }

    /// What an agent may write under this name.
    #[must_use]
    pub fn writable(&self, name: &str) -> Option<&Mapping> {
        self.list.iter().find(|m| m.writable && m.name == name)
    }

    /// What a flow may write under this name.
    #[must_use]
    pub fn by_flows(&self, name: &str) -> Option<&Mapping> {
        self.list.iter().find(|m| m.flows && m.name == name)
    }

    /// The first of these that a flow may not write, and why: it writes all of them or nothing.
    #[must_use]
    pub fn refused<'v>(&self, values: &'v BTreeMap<String, Private<String>>) -> Option<(&'v str, &'static str)> {
        values.iter().find_map(|(name, value)| match self.by_flows(name) {
            None => Some((name.as_str(), "is none that the file of the call's switch lets flows write")),
            Some(mapping) if !mapping.takes(value.expose()) => {
                Some((name.as_str(), "was given a value that is too long or not of its type"))
            }
            Some(_) => None,
        })
    }
}

impl Mapping {
    /// A value as it came, read as the mapping says.
    #[must_use]
    pub fn read(&self, raw: &[u8]) -> (Private<String>, Option<Fault>) {
        let (text, mut fault) = match self.unpack(raw) {
            Some(text) => (text, None),
            None => (plain(raw), Some(Fault::Undecoded)),
        };
        let (text, cut) = match text.char_indices().nth(self.cap) {
            Some((at, _)) => (text.get(..at).unwrap_or_default().to_owned(), true),
            None => (text, false),
        };
        if fault.is_none() && cut {
            fault = Some(Fault::Cut);
        }
        if fault.is_none() && !self.kind.fits(&text) {
            fault = Some(Fault::Misfit);
        }
        (Private::new(text), fault)
    }

    /// Whether an agent or a flow may write this value: in whole, and of the type.
    #[must_use]
    pub fn takes(&self, text: &str) -> bool {
        text.chars().nth(self.cap).is_none() && (text.is_empty() || self.kind.fits(text))
    }

    fn unpack(&self, raw: &[u8]) -> Option<String> {
        let mut bytes = raw.to_vec();
        for step in &self.decode {
            bytes = match step {
                Decode::Url => unescape(&bytes)?,
                Decode::Base64 => {
                    let trimmed = bytes.trim_ascii();
                    BASE64_STANDARD.decode(trimmed).or_else(|_| BASE64_STANDARD_NO_PAD.decode(trimmed)).ok()?
                }
                Decode::Gbk => encoding_rs::GB18030
                    .decode_without_bom_handling_and_without_replacement(&bytes)?
                    .into_owned()
                    .into_bytes(),
            };
        }
        if self.decode.is_empty() {
            return Some(plain(&bytes));
        }
        String::from_utf8(bytes).ok()
    }
}

impl Kind {
    fn fits(&self, text: &str) -> bool {
        match self {
            Self::Text => true,
            Self::Digits => !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()),
            Self::Number => {
                let digits = text.strip_prefix('-').unwrap_or(text);
                let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
                let all = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
                all(whole) && all(part)
            }
            Self::Date => text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok(),
            Self::Choice(list) => list.iter().any(|one| one == text),
        }
    }
}

impl Recordings {
    /// What a file's name as the switch told it is called in records: without the folder.
    #[must_use]
    pub fn id<'a>(&self, file: &'a str) -> &'a str {
        self.folder.as_deref().and_then(|folder| file.strip_prefix(folder)).unwrap_or(file).trim_start_matches('/')
    }

    /// Where it is found; without `uri`, the file at the switch. The name is a stranger's data (dialplans put numbers and names into it): what is not
    /// plain in it is escaped.
    #[must_use]
    pub fn uri(&self, file: &str) -> String {
        use std::fmt::Write as _;
        let (before, name) = match &self.uri {
            Some(uri) => (format!("{}/", uri.trim_end_matches('/')), self.id(file)),
            None => ("file:///".to_owned(), file.trim_start_matches('/')),
        };
        // A name that climbs out of its folder stays inside: dots alone are no step of a path.
        name.split('/').filter(|step| !matches!(*step, "" | "." | "..")).enumerate().fold(
            before,
            |mut out, (n, step)| {
                if n > 0 {
                    out.push('/');
                }
                for b in step.bytes() {
                    if b.is_ascii_alphanumeric() || b"-._~+@=,".contains(&b) {
                        out.push(char::from(b));
                    } else {
                        let _ = write!(out, "%{b:02X}");
                    }
                }
                out
            },
        )
    }
}

impl Told {
    /// Whether this counts where that was known.
    fn beats(&self, old: &Told) -> bool {
        match (self.written, old.written) {
            (true, false) => true,
            (false, true) => false,
            _ => old.at.until(self.at) && old.at != self.at,
        }
    }
}

/// Takes a value in if it counts. Says whether anything that is shown changed.
pub(super) fn put(list: &mut BTreeMap<String, Told>, name: &str, told: Told) -> bool {
    let Some(old) = list.get_mut(name) else {
        list.insert(name.to_owned(), told);
        return true;
    };
    if !told.beats(old) {
        return false;
    }
    let changed = old.value != told.value || old.fault != told.fault;
    *old = told;
    changed
}

/// One key that was pressed, and which feeds told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    digit: Private<char>,
    at: Moment,
    feeds: u8,
    place: Place,
}

impl Leg {
    /// A key was pressed on this leg. Each feed tells each key once, so the second feed's next key of that digit is a copy; of one feed only the
    /// very same stamp proves one. Says whether it is new.
    pub(super) fn press(&mut self, digit: char, place: Place, at: Moment, feed: u8) -> bool {
        let late = self.moved_on.is_some_and(|moved| !at.until(moved));
        if late || self.keys.len() >= KEYS {
            return false;
        }
        let same = |k: &&mut Key| *k.digit.expose() == digit;
        let stamped = |k: &Key| at.wall.is_some() && k.at.wall == at.wall;
        if self.keys.iter_mut().filter(same).any(|k| k.feeds & feed != 0 && stamped(k)) {
            return false;
        }
        if let Some(copy) = self.keys.iter_mut().filter(same).find(|k| k.feeds & feed == 0) {
            copy.feeds |= feed;
            return false;
        }
        let place_in = self.keys.iter().rposition(|k| k.at.until(at)).map_or(0, |before| before + 1);
        self.keys.insert(place_in, Key { digit: Private::new(digit), at, feeds: feed, place });
        true
    }

    /// The call moves on from this leg's dialogue with a machine: what was keyed in so far is all.
    pub(super) fn moves_on(&mut self, at: Moment) -> bool {
        let first = self.moved_on.is_none() && !self.keys.is_empty();
        self.moved_on = self.moved_on.or(Some(at));
        first
    }
}

impl Digits {
    /// The last whole value among these keys, and when it was whole.
    pub(super) fn collect(&self, leg: &Leg) -> Option<(Private<String>, Moment)> {
        let mut whole: Option<(String, Moment)> = None;
        let mut now = String::new();
        let mut last: Option<Moment> = None;
        // A key that was heard before the word of the move came, and pressed after it, is talk.
        let wanted = |key: &&Key| self.at.takes(&key.place) && leg.moved_on.is_none_or(|moved| key.at.until(moved));
        for key in leg.keys.iter().filter(wanted) {
            let digit = *key.digit.expose();
            let apart = self.gap_ms.zip(last).is_some_and(|(gap, last)| key.at.since(last).is_some_and(|ms| ms > gap));
            if apart && !now.is_empty() {
                whole = last.map(|last| (std::mem::take(&mut now), last));
            }
            last = Some(key.at);
            if Some(digit) == self.end {
                if !now.is_empty() {
                    whole = Some((std::mem::take(&mut now), key.at));
                }
                continue;
            }
            now.push(digit);
            if Some(now.len()) == self.max {
                whole = Some((std::mem::take(&mut now), key.at));
            }
        }
        if let (false, Some(moved)) = (now.is_empty(), leg.moved_on) {
            whole = Some((now, last.unwrap_or(moved)));
        }
        whole.map(|(text, at)| (Private::new(text), at))
    }
}

impl Place {
    /// Whether `told` is here.
    fn takes(&self, told: &Place) -> bool {
        fn fits<T: PartialEq>(wanted: Option<&T>, told: Option<&T>) -> bool {
            wanted.is_none() || wanted == told
        }
        fits(self.context.as_ref(), told.context.as_ref())
            && fits(self.exten.as_ref(), told.exten.as_ref())
            && fits(self.priority.as_ref(), told.priority.as_ref())
    }
}

/// UTF-8, else GB18030, which reads any bytes.
fn plain(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => encoding_rs::GB18030.decode_without_bom_handling(bytes).0.into_owned(),
    }
}

fn unescape(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter();
    let hex = |b: Option<&u8>| char::from(*b?).to_digit(16).and_then(|d| u8::try_from(d).ok());
    while let Some(b) = rest.next() {
        out.push(match b {
            b'%' => hex(rest.next())? << 4 | hex(rest.next())?,
            b => *b,
        });
    }
    Some(out)
}

const fn cap() -> usize {
    256
}
fn recording_variable() -> String {
    "MIXMONITOR_FILENAME".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Wall;

    fn mapping(yaml: &str) -> Mapping {
        crate::files::read::<Mapping>("x.yaml", yaml).unwrap().value
    }

    fn read(yaml: &str, raw: &[u8]) -> (String, Option<Fault>) {
        let (value, fault) = mapping(yaml).read(raw);
        (value.into_inner(), fault)
    }

    #[test]
    fn values_are_unpacked_as_the_mapping_says_and_what_cannot_be_stays_as_it_came() {
        let name = "name: a\ndecode: ";
        let gbk = [0xD5, 0xC5, 0xC8, 0xFD];
        assert_eq!(read("name: a", "张三".as_bytes()), ("张三".into(), None));
        assert_eq!(read("name: a", &gbk), ("张三".into(), None), "no UTF-8 is read as GB18030");
        assert_eq!(read(&format!("{name}[gbk]"), &gbk), ("张三".into(), None));
        assert_eq!(read(&format!("{name}[url]"), b"%E5%BC%A0+1"), ("张+1".into(), None));
        assert_eq!(read(&format!("{name}[url, gbk]"), b"%D5%C5%C8%FD"), ("张三".into(), None));
        assert_eq!(read(&format!("{name}[base64, gbk]"), b"1cXI/Q=="), ("张三".into(), None));
        assert_eq!(read(&format!("{name}[base64, gbk]"), b" 1cXI/Q "), ("张三".into(), None));
        for (decode, raw) in [
            ("[url]", "100%"),
            ("[url]", "%zz"),
            ("[url]", "%D5%C5"),
            ("[base64]", "not base64!"),
            ("[base64, gbk]", "/w=="),
            ("[url, base64]", "%"),
        ] {
            let as_it_came = (raw.to_owned(), Some(Fault::Undecoded));
            assert_eq!(read(&format!("{name}{decode}"), raw.as_bytes()), as_it_came, "{decode} {raw}");
        }
        assert_eq!(read("name: a", b"{{ secrets }}"), ("{{ secrets }}".into(), None), "data, no template");
    }

    #[test]
    fn a_value_is_held_against_its_type_and_cut_at_its_cap() {
        let fault = |kind: &str, raw: &str| read(&format!("name: a\ntype: {kind}\ncap: 12"), raw.as_bytes()).1;
        let misfit = Some(Fault::Misfit);
        assert_eq!(fault("digits", "8642"), None);
        assert_eq!(fault("digits", "８６"), misfit);
        assert_eq!(fault("digits", "86 42"), misfit);
        assert_eq!(fault("number", "-12.50"), None);
        assert_eq!([fault("number", "1e9"), fault("number", "."), fault("number", "1.2.3")], [misfit; 3]);
        assert_eq!(fault("date", "2026-02-28"), None);
        assert_eq!([fault("date", "2026-02-30"), fault("date", "20260228")], [misfit; 2]);
        assert_eq!(fault("{choice: [billing, 报修]}", "报修"), None);
        assert_eq!(fault("{choice: [billing, 报修]}", "Billing"), misfit);
        let (text, cut) = read("name: a\ncap: 3", "张三李四".as_bytes());
        assert_eq!((text.as_str(), cut), ("张三李", Some(Fault::Cut)));
        assert_eq!(read("name: a\ncap: 4", "张三李四".as_bytes()).1, None);
        let writes = mapping("name: a\ntype: digits\ncap: 3");
        assert!(writes.takes("123") && writes.takes("") && !writes.takes("1234") && !writes.takes("x"));
    }

    fn moment(ms: i64, order: u64) -> Moment {
        Moment { wall: Some(Wall(ms)), order }
    }

    #[test]
    fn the_newest_value_counts_in_whatever_order_it_is_told_and_what_an_agent_wrote_stays() {
        let told = |value: &str, ms, written| Told { value: value.into(), fault: None, at: moment(ms, 0), written };
        let mut tellings = [told("old", 1, false), told("new", 2, false), told("newest", 3, false)];
        for _ in 0..2 {
            let mut list = BTreeMap::new();
            for one in &tellings {
                put(&mut list, "a", one.clone());
                assert!(!put(&mut list, "a", one.clone()), "told again");
            }
            assert_eq!(list["a"].value.expose(), "newest");
            assert!(put(&mut list, "a", told("agent's", 4, true)));
            assert!(!put(&mut list, "a", told("switch's", 9, false)));
            assert!(put(&mut list, "a", told("corrected", 5, true)));
            assert_eq!(list["a"].value.expose(), "corrected");
            tellings.reverse();
        }
    }

    /// Keys as (feed, digit, milliseconds); the leg moves on at `moves`.
    fn keyed(digits: &Digits, keys: &[(u8, char, i64)], moves: Option<i64>) -> Option<String> {
        let mut leg = Leg::new("1.0".into(), moment(0, 0));
        for (n, (feed, digit, ms)) in keys.iter().enumerate() {
            leg.press(*digit, Place::default(), moment(*ms, n as u64), *feed);
        }
        if let Some(ms) = moves {
            leg.moves_on(moment(ms, 999));
        }
        digits.collect(&leg).map(|(text, _)| text.into_inner())
    }

    #[test]
    fn digits_end_with_their_key_their_number_a_pause_or_when_the_call_moves_on() {
        let some = |text: &str| Some(text.to_owned());
        let end = Digits { end: Some('#'), ..Digits::default() };
        assert_eq!(keyed(&end, &[(1, '8', 1), (1, '6', 2)], None), None, "nobody knows yet whether it is all");
        assert_eq!(keyed(&end, &[(1, '8', 1), (1, '6', 2), (1, '#', 3)], None), some("86"));
        assert_eq!(keyed(&end, &[(1, '#', 1), (1, '#', 2)], Some(9)), None);
        assert_eq!(keyed(&end, &[(1, '8', 1), (1, '#', 2), (1, '4', 3), (1, '2', 4)], Some(9)), some("42"));
        let max = Digits { max: Some(2), ..Digits::default() };
        assert_eq!(keyed(&max, &[(1, '8', 1), (1, '6', 2)], None), some("86"));
        let gap = Digits { gap_ms: Some(1000), ..Digits::default() };
        let keys = [(1, '1', 0), (1, '8', 2000), (1, '6', 2500)];
        assert_eq!(keyed(&gap, &keys, None), some("1"));
        assert_eq!(keyed(&gap, &keys, Some(3000)), some("86"));
        assert_eq!(keyed(&gap, &[(1, '8', 1), (1, '6', 5000)], Some(3)), some("8"), "what comes after is talk");
    }

    #[test]
    fn two_feeds_tell_each_key_once_and_a_copy_is_proved_by_its_stamp() {
        let all = Digits::default();
        let twice = [(1, '8', 1), (2, '8', 2), (1, '8', 300), (2, '8', 301), (2, '4', 600), (1, '4', 601)];
        assert_eq!(keyed(&all, &twice, Some(900)).as_deref(), Some("884"));
        let lag = [(1, '8', 1), (1, '6', 2), (1, '8', 3), (2, '8', 4), (2, '6', 5), (2, '8', 6)];
        assert_eq!(keyed(&all, &lag, Some(900)).as_deref(), Some("868"));
        let copies = [(1, '8', 1), (1, '8', 1), (1, '8', 2), (1, '8', 2)];
        assert_eq!(keyed(&all, &copies, Some(900)).as_deref(), Some("88"));
        let swapped = [(1, '6', 2), (1, '8', 1)];
        assert_eq!(keyed(&all, &swapped, Some(900)).as_deref(), Some("86"));
    }

    #[test]
    fn a_recording_s_address_holds_nothing_that_a_name_put_there() {
        let r = |yaml: &str| crate::files::read::<Recordings>("x.yaml", yaml).unwrap().value;
        let plain = r("{}");
        assert_eq!(plain.variable, "MIXMONITOR_FILENAME");
        assert_eq!(
            plain.uri("/var/spool/asterisk/monitor/1795.0.wav"),
            "file:///var/spool/asterisk/monitor/1795.0.wav"
        );
        let moved = r("folder: /var/spool/asterisk/monitor\nuri: https://rec.example.com/calls/");
        assert_eq!(moved.id("/var/spool/asterisk/monitor/2026/a.wav"), "2026/a.wav");
        assert_eq!(
            moved.uri("/var/spool/asterisk/monitor/2026/a b?x#y.wav"),
            "https://rec.example.com/calls/2026/a%20b%3Fx%23y.wav"
        );
        assert_eq!(
            moved.uri("/var/spool/asterisk/monitor/../../etc/passwd"),
            "https://rec.example.com/calls/etc/passwd"
        );
    }
}
