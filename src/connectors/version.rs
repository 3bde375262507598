//! Which version of a vendor's API a file was written for, how requests say so, and what is seen of it: what the system calls itself, by which version it answers, and what it
//! says of an operation's end (`Deprecation`, RFC 9745; `Sunset`, RFC 8594). Still; `live` asks.
//!
//! A vendor that takes a version away seldom refuses it: it answers by another one, with other fields. So what was sent is held against what answers say.

pub mod live;

use std::{cmp::Ordering, collections::BTreeMap};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::words::{Mono, Wall};

/// `version:` of a connector file, beside `api:`, which says which one it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VersionFile {
    /// How each request says which version it wants.
    pub send: Option<SendBy>,
    /// The header in which answers say by which version they were made. Another one than `api` is a drift.
    pub answered: Option<String>,
    /// Which versions the operation `version` may tell. Absent: `api`.
    pub expect: Option<Range>,
}

/// Where `api` stands in a request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SendBy {
    Header(String),
    Query(String),
    /// Where the file writes `{{ api_version }}`: in `base_url`, a path, a body.
    Inline,
}

/// Both ends belong to it; `6.0` has every `6.0.x` in it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Range {
    pub from: String,
    pub to: String,
}

impl Range {
    #[must_use]
    pub fn one(version: &str) -> Self {
        Self { from: version.to_owned(), to: version.to_owned() }
    }

    #[must_use]
    pub fn holds(&self, version: &str) -> bool {
        below(&self.from, version) && below(version, &self.to)
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.from == self.to { f.write_str(&self.from) } else { write!(f, "{} to {}", self.from, self.to) }
    }
}

/// The numbers of a version in their order: `saas~17.2`, `v62.0`, `2026-07`. Without any, its text.
fn numbers(version: &str) -> Vec<u64> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

/// Not newer, as far as both say it: `6.0.5` is not newer than `6.0`.
fn below(one: &str, other: &str) -> bool {
    let (mine, theirs) = (numbers(one), numbers(other));
    if mine.is_empty() || theirs.is_empty() {
        return one == other;
    }
    let length = mine.len().min(theirs.len());
    mine.iter().take(length).cmp(theirs.iter().take(length)) != Ordering::Greater
}

/// Whether two texts name one version, as far as both say it.
#[must_use]
pub fn same(one: &str, other: &str) -> bool {
    below(one, other) && below(other, one)
}

/// What a file says, compiled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    pub api: Option<String>,
    /// In lower case.
    pub answered: Option<String>,
    pub expect: Option<Range>,
}

/// What an answer's headers say of the operation's end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notice {
    /// It is said to be deprecated, and since (or from) when, if that is said.
    pub deprecated: Option<Option<Wall>>,
    pub sunset: Option<Wall>,
    /// Where the vendor writes about it.
    pub link: Option<String>,
}

/// Of the headers of an answer, whose names are in lower case.
#[must_use]
pub fn notice(headers: &[(String, String)]) -> Option<Notice> {
    let mut notice = Notice::default();
    for (name, value) in headers {
        match name.as_str() {
            // The drafts before the RFC had a date as in `Date`, or "true".
            "deprecation" if !value.trim().is_empty() && value.trim() != "?0" => notice.deprecated = Some(date(value)),
            "sunset" => notice.sunset = date(value).or(notice.sunset),
            _ => {}
        }
    }
    if notice == Notice::default() {
        return None;
    }
    let links = headers.iter().filter(|(name, _)| name == "link").flat_map(|(_, value)| value.split(','));
    notice.link = links.filter(|link| link.contains("deprecation") || link.contains("sunset")).find_map(|link| {
        link.split_once('<')?.1.split_once('>').map(|(address, _)| address.chars().take(200).collect())
    });
    Some(notice)
}

/// `@1688169599` (RFC 9651), else as in `Date`.
fn date(value: &str) -> Option<Wall> {
    let value = value.trim();
    if let Some(seconds) = value.strip_prefix('@') {
        let seconds = seconds.split(';').next()?.trim().parse::<i64>().ok()?;
        return seconds.checked_mul(1000).map(Wall);
    }
    let at = jiff::fmt::rfc2822::parse(value).ok()?;
    Some(Wall(at.timestamp().as_millisecond()))
}

/// What was seen of one system's versions since the start.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// What it calls itself, and when it last said so.
    told: Option<(String, Wall)>,
    /// Why it could not be asked, the last time.
    trouble: Option<String>,
    /// By which version it answered last, where that is not the one that was asked for.
    answered: Option<(String, Mono)>,
    ends: BTreeMap<&'static str, (Notice, Mono)>,
    due: Mono,
}

/// What a system says is believed for so long after it said it last.
const BELIEVED_MS: u64 = 2 * DAY_MS;
const DAY_MS: u64 = 86_400_000;
/// After a failure it is asked again so much later.
const AGAIN_MS: u64 = 600_000;

impl Seen {
    /// An answer came, with these headers.
    pub fn answer(&mut self, operation: &'static str, declared: &Declared, headers: &[(String, String)], now: Mono) {
        if let Some(notice) = notice(headers) {
            self.ends.insert(operation, (notice, now));
        }
        let (Some(api), Some(name)) = (&declared.api, &declared.answered) else { return };
        if let Some((_, value)) = headers.iter().find(|(header, _)| header == name) {
            self.answered = (!same(api, value)).then(|| (short(value), now));
        }
    }

    /// Whether it is to be asked what it calls itself: at the start, then once a day.
    #[must_use]
    pub fn due(&self, now: Mono) -> bool {
        now >= self.due
    }

    /// What came of asking: the answer of the operation `version`.
    pub fn probed(&mut self, outcome: &super::Outcome, now: Mono, wall: Wall) {
        let said = match outcome {
            super::Outcome::Ok(value) => match value.get("version") {
                Some(Value::String(text)) if !text.trim().is_empty() => Ok(short(text)),
                Some(Value::Number(number)) => Ok(number.to_string()),
                _ => Err("its answer says no version".to_owned()),
            },
            other => Err(format!("{}: {}", other.word(), other.reason().unwrap_or("it says nothing"))),
        };
        self.due = now.plus_ms(if said.is_ok() { DAY_MS } else { AGAIN_MS });
        match said {
            Ok(version) => (self.told, self.trouble) = (Some((version, wall)), None),
            Err(why) => self.trouble = Some(why),
        }
    }

    /// Another file is in use: what was seen by the old one says nothing of it.
    pub fn reloaded(&mut self) {
        *self = Self::default();
    }

    #[must_use]
    pub fn shown(&self, declared: &Declared, now: Mono) -> Shown {
        let lately = |at: Mono| now.since_ms(at) < BELIEVED_MS;
        let answered = self.answered.as_ref().filter(|(_, at)| lately(*at)).map(|(version, _)| version.clone());
        let range = declared.expect.clone().or_else(|| declared.api.as_deref().map(Range::one));
        let outside = self.told.as_ref().zip(range).filter(|((version, _), range)| !range.holds(version));
        let api = declared.api.as_deref().unwrap_or_default();
        let drift = match (&answered, outside) {
            (Some(version), _) => Some(format!("it was asked for version {api} and answers by {version}")),
            (None, Some(((version, _), range))) => Some(format!("it is version {version}; its file expects {range}")),
            (None, None) => None,
        };
        Shown {
            told: self.told.clone(),
            trouble: self.trouble.clone(),
            answered,
            drift,
            ends: self
                .ends
                .iter()
                .filter(|(_, (_, at))| lately(*at))
                .map(|(name, (n, _))| (*name, n.clone()))
                .collect(),
        }
    }
}

fn short(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(80).collect()
}

/// What is known now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    pub told: Option<(String, Wall)>,
    pub trouble: Option<String>,
    pub answered: Option<String>,
    /// Why it is not what the file was written for.
    pub drift: Option<String>,
    pub ends: BTreeMap<&'static str, Notice>,
}

impl Shown {
    #[must_use]
    pub fn json(&self) -> Value {
        let ends = self.ends.iter().map(|(operation, notice)| {
            json!({"operation": operation, "deprecated": notice.deprecated.is_some(), "since": notice.deprecated.flatten(),
                   "sunset": notice.sunset, "link": notice.link})
        });
        json!({
            "told": self.told.as_ref().map(|(version, _)| version), "told_at": self.told.as_ref().map(|(_, at)| at),
            "trouble": self.trouble, "answers_by": self.answered, "drift": self.drift, "ends": ends.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectors::Outcome;

    #[test]
    fn versions_compare_as_far_as_both_say_them() {
        let range = |from: &str, to: &str| Range { from: from.to_owned(), to: to.to_owned() };
        for (range, version, holds) in [
            (range("6.0", "6.1"), "6.0.5", true),
            (range("6.0", "6.1"), "6.1.12.stable", true),
            (range("6.0", "6.1"), "6.2.0", false),
            (range("6.0", "6.1"), "5.9", false),
            (range("6.0", "6.1"), "6.10", false),
            (range("17.0", "18.0"), "saas~17.2", true),
            (range("2026-04", "2026-07"), "2026-07", true),
            (range("2026-04", "2026-07"), "2026-10", false),
            (Range::one("v62.0"), "62.0", true),
            (Range::one("v62.0"), "v63.0", false),
            (Range::one("apirest"), "apirest", true),
            (Range::one("apirest"), "graphql", false),
            (Range::one("14.0"), "", false),
        ] {
            assert_eq!(range.holds(version), holds, "{range} {version}");
        }
    }

    fn headers(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn an_end_is_read_as_both_rfcs_and_their_drafts_write_it() {
        let wall = |text: &str| Wall(text.parse::<jiff::Timestamp>().unwrap().as_millisecond());
        let of = |list: &[(&str, &str)]| notice(&headers(list));
        // The examples of RFC 9745 and RFC 8594.
        let whole = of(&[
            ("deprecation", "@1688169599"),
            ("link", "<https://developer.example.com/deprecation>; rel=\"deprecation\"; type=\"text/html\""),
            ("sunset", "Sun, 30 Jun 2024 23:59:59 GMT"),
        ]);
        let whole = whole.unwrap();
        assert_eq!(whole.deprecated, Some(Some(wall("2023-06-30T23:59:59Z"))));
        assert_eq!(whole.sunset, Some(wall("2024-06-30T23:59:59Z")));
        assert_eq!(whole.link.as_deref(), Some("https://developer.example.com/deprecation"));
        assert_eq!(of(&[("deprecation", "true")]).unwrap().deprecated, Some(None));
        let dated = of(&[("deprecation", "Sun, 11 Nov 2018 23:59:59 GMT")]).unwrap();
        assert_eq!(dated.deprecated, Some(Some(wall("2018-11-11T23:59:59Z"))));
        assert_eq!(of(&[("sunset", "soon")]), None);
        assert_eq!(of(&[("date", "Sun, 30 Jun 2024 23:59:59 GMT")]), None);
        assert_eq!(of(&[("deprecation", "@99999999999999999999")]).unwrap().deprecated, Some(None));
    }

    #[test]
    fn what_does_not_fit_is_a_drift_and_a_good_answer_takes_it_back() {
        let declared = Declared { api: Some("2026-07".into()), answered: Some("x-api-version".into()), expect: None };
        let mut seen = Seen::default();
        let at = |hours: u64| Mono(hours * 3_600_000_000);
        seen.answer("orders", &declared, &headers(&[("x-api-version", "2026-07")]), at(0));
        assert_eq!(seen.shown(&declared, at(0)).drift, None);
        seen.answer("orders", &declared, &headers(&[("x-api-version", "2026-10"), ("deprecation", "true")]), at(1));
        let shown = seen.shown(&declared, at(1));
        assert_eq!(shown.drift.as_deref(), Some("it was asked for version 2026-07 and answers by 2026-10"));
        assert_eq!(shown.ends.keys().collect::<Vec<_>>(), [&"orders"]);
        // An answer that says nothing changes nothing; two days later nothing of it is believed.
        seen.answer("orders", &declared, &headers(&[]), at(2));
        assert!(seen.shown(&declared, at(3)).drift.is_some());
        assert_eq!(seen.shown(&declared, at(60)), Shown::default());
        seen.answer("orders", &declared, &headers(&[("x-api-version", "2026-07")]), at(61));
        assert_eq!(seen.shown(&declared, at(61)).drift, None);
    }

    #[test]
    fn it_is_asked_at_the_start_and_daily_and_sooner_after_a_failure() {
        let declared = Declared { expect: Some(Range { from: "6.0".into(), to: "6.1".into() }), ..Declared::default() };
        let mut seen = Seen::default();
        let at = |minutes: u64| Mono(minutes * 60_000_000);
        let said = |version: Value| Outcome::Ok(json!({ "version": version }));
        assert!(seen.due(at(0)));
        seen.probed(&Outcome::Busy { reason: "desk cannot be reached".into() }, at(0), Wall(0));
        assert_eq!(seen.shown(&declared, at(0)).trouble.as_deref(), Some("busy: desk cannot be reached"));
        assert!(!seen.due(at(9)) && seen.due(at(10)));
        seen.probed(&said("6.0.5".into()), at(10), Wall(5));
        let shown = seen.shown(&declared, at(10));
        assert_eq!((shown.told, shown.trouble, shown.drift), (Some(("6.0.5".to_owned(), Wall(5))), None, None));
        assert!(!seen.due(at(10 + 1439)) && seen.due(at(10 + 1440)));
        seen.probed(&said("7.0".into()), at(1450), Wall(6));
        assert_eq!(
            seen.shown(&declared, at(1450)).drift.as_deref(),
            Some("it is version 7.0; its file expects 6.0 to 6.1")
        );
        // What cannot be asked now is what it was.
        seen.probed(&said(Value::Null), at(2890), Wall(7));
        assert!(seen.shown(&declared, at(2890)).drift.is_some());
        seen.reloaded();
        assert!(seen.due(at(2891)) && seen.shown(&declared, at(2891)) == Shown::default());
    }
}
