//! What is asked: a time, groups, and of which calls.

use std::collections::BTreeMap;

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::words::Wall;

use super::settings::Settings;

/// By what calls are grouped and chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// On which it ended.
    Day,
    /// Of the day, `00` to `23`, in which it ended.
    Hour,
    /// As the switch names it.
    Queue,
    /// What trunks.yaml calls the line.
    Line,
    Agent,
    /// As agents.yaml has them now.
    Team,
    Tenant,
    Brand,
}

impl Dimension {
    pub const ALL: [Self; 8] =
        [Self::Day, Self::Hour, Self::Queue, Self::Line, Self::Agent, Self::Team, Self::Tenant, Self::Brand];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Hour => "hour",
            Self::Queue => "queue",
            Self::Line => "line",
            Self::Agent => "agent",
            Self::Team => "team",
            Self::Tenant => "tenant",
            Self::Brand => "brand",
        }
    }
}

/// From a moment to before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Span {
    #[schemars(with = "String")]
    pub from: Wall,
    #[schemars(with = "String")]
    pub to: Wall,
}

/// A question as it is typed: at the command line and in an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Asked {
    /// The first day (`2026-11-01`, `today`, `today-6`) or moment (RFC 3339); default: today.
    pub from: Option<String>,
    /// The day or moment behind the last (`today+1`); default: the day after `from`.
    pub to: Option<String>,
    /// Up to three of day, hour, queue, line, agent, team, tenant, brand, with commas.
    pub by: Option<String>,
    /// An earlier time to compare with: `2026-10-25..2026-11-01`, or `before`: as many days just before.
    pub against: Option<String>,
    /// Only calls of these, with commas.
    pub queue: Option<String>,
    pub line: Option<String>,
    pub agent: Option<String>,
    pub team: Option<String>,
    pub tenant: Option<String>,
    pub brand: Option<String>,
}

/// A question that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    pub span: Span,
    pub by: Vec<Dimension>,
    pub of: BTreeMap<Dimension, Vec<String>>,
    pub against: Option<Span>,
}

/// What is wrong with a question: which part, what stands there, what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part}: {found}; {wanted}")]
pub struct Problem {
    pub part: &'static str,
    pub found: String,
    pub wanted: &'static str,
}

/// At most ten years are read at once.
const MOST_MS: u64 = 3660 * 24 * 3_600_000;
const A_TIME: &str = "a day (2026-11-01, today, today-6) or a moment (2026-11-01T08:00:00Z)";

impl Asked {
    /// # Errors
    /// What is wrong with it.
    pub fn read(&self, settings: &Settings, now: Wall) -> Result<Query, Problem> {
        let zone = settings.zone();
        let today = zone_date(&zone, now);
        let day = |word: &String| relative(today, word).unwrap_or_else(|| word.clone());
        let from = self.from.as_ref().map_or_else(|| today.to_string(), day);
        let to = match &self.to {
            Some(to) => day(to),
            None => behind(&from),
        };
        let span = span(&zone, ("from", &from), ("to", &to))?;
        let against = self.against.as_ref().map(|against| {
            if against.trim() == "before" {
                return Ok(before(&zone, span));
            }
            let Some((from, to)) = against.split_once("..") else {
                let wanted = "`before`, or FROM..TO, for example 2026-10-25..2026-11-01";
                return Err(Problem { part: "against", found: against.clone(), wanted });
            };
            self::span(&zone, ("against", &day(&from.to_owned())), ("against", &day(&to.to_owned())))
        });
        let against = against.transpose()?;
        let mut by = Vec::new();
        for word in list(self.by.as_deref()) {
            let known = Dimension::ALL.into_iter().find(|dimension| dimension.as_str() == word);
            let Some(dimension) = known.filter(|dimension| !by.contains(dimension)) else {
                let wanted = "each once of day, hour, queue, line, agent, team, tenant, brand";
                return Err(Problem { part: "by", found: word, wanted });
            };
            by.push(dimension);
        }
        if by.len() > 3 {
            return Err(Problem { part: "by", found: format!("{} of them", by.len()), wanted: "at most three" });
        }
        let of = [
            (Dimension::Queue, &self.queue),
            (Dimension::Line, &self.line),
            (Dimension::Agent, &self.agent),
            (Dimension::Team, &self.team),
            (Dimension::Tenant, &self.tenant),
            (Dimension::Brand, &self.brand),
        ];
        let of = of.into_iter().map(|(dimension, words)| (dimension, list(words.as_deref())));
        Ok(Query { span, by, of: of.filter(|(_, words)| !words.is_empty()).collect(), against })
    }
}

impl Query {
    /// All by which calls are told apart.
    #[must_use]
    pub fn dimensions(&self) -> Vec<Dimension> {
        self.by.iter().chain(self.of.keys()).copied().collect()
    }

    /// Agents' own parts are counted.
    #[must_use]
    pub fn by_people(&self) -> bool {
        self.dimensions().iter().any(|dimension| matches!(dimension, Dimension::Agent | Dimension::Team))
    }
}

fn list(words: Option<&str>) -> Vec<String> {
    let words = words.unwrap_or_default().split(',').map(str::trim);
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn span(zone: &TimeZone, from: (&'static str, &str), to: (&'static str, &str)) -> Result<Span, Problem> {
    let read = |(part, text): (&'static str, &str)| {
        moment(zone, text.trim()).ok_or_else(|| Problem { part, found: text.to_owned(), wanted: A_TIME })
    };
    let span = Span { from: read(from)?, to: read(to)? };
    if span.from >= span.to || span.to.since(span.from) > MOST_MS {
        let found = format!("from {} to {}", from.1, to.1);
        return Err(Problem {
            part: to.0,
            found,
            wanted: "after its beginning, and at most ten years; the day that `to` names is not in it",
        });
    }
    Ok(span)
}

fn moment(zone: &TimeZone, text: &str) -> Option<Wall> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(Wall(at.as_millisecond()));
    }
    begins(zone, text.parse().ok()?)
}

pub(super) fn begins(zone: &TimeZone, day: Date) -> Option<Wall> {
    Some(Wall(day.to_zoned(zone.clone()).ok()?.timestamp().as_millisecond()))
}

/// `today`, `today-6`, `today+1` as a date.
fn relative(today: Date, word: &str) -> Option<String> {
    let days = match word.trim().strip_prefix("today")? {
        "" => 0,
        shift => {
            shift.strip_prefix('+').unwrap_or(shift).parse::<i32>().ok().filter(|_| shift.starts_with(['+', '-']))?
        }
    };
    today.checked_add(jiff::Span::new().try_days(days).ok()?).ok().map(|day| day.to_string())
}

/// As many days just before, so that a week stands beside a week also where a clock was changed; of what is no whole days, as many hours.
fn before(zone: &TimeZone, span: Span) -> Span {
    let (from, to) = (zone_date(zone, span.from), zone_date(zone, span.to));
    let whole = begins(zone, from) == Some(span.from) && begins(zone, to) == Some(span.to);
    let earlier = whole.then(|| from.checked_sub(to - from).ok()).flatten().and_then(|day| begins(zone, day));
    let ms = i64::try_from(span.to.since(span.from)).unwrap_or(i64::MAX);
    Span { from: earlier.unwrap_or(Wall(span.from.0.saturating_sub(ms))), to: span.from }
}

fn behind(from: &str) -> String {
    if let Ok(day) = from.trim().parse::<Date>() {
        return day.checked_add(1.day()).map(|day| day.to_string()).unwrap_or_default();
    }
    let end = from.trim().parse::<Timestamp>().ok().and_then(|at| at.checked_add(24.hours()).ok());
    end.map(|at| at.to_string()).unwrap_or_default()
}

fn zone_date(zone: &TimeZone, at: Wall) -> Date {
    Timestamp::from_millisecond(at.0).map_or(Date::ZERO, |at| at.to_zoned(zone.clone()).date())
}

/// `2026-11-26`.
#[must_use]
pub fn day_of(zone: &TimeZone, at: Wall) -> String {
    zone_date(zone, at).to_string()
}

/// A stretch by the days of a zone: `("2026-11-26", 3600000)`.
#[must_use]
pub fn by_day(zone: &TimeZone, from: Wall, to: Wall) -> Vec<(String, u64)> {
    let mut days = Vec::new();
    let mut from = from;
    while from < to {
        let day = day_of(zone, from);
        let next = day.parse::<Date>().ok().and_then(|day| begins(zone, day.checked_add(1.day()).ok()?));
        let until = next.filter(|next| *next > from).unwrap_or(to).min(to);
        days.push((day, until.since(from)));
        from = until;
    }
    days
}

/// Day and hour of moments that come in order: a zone is looked up once for each hour.
#[derive(Debug)]
pub struct Calendar {
    zone: TimeZone,
    known: (i64, String, String),
}

impl Calendar {
    #[must_use]
    pub fn new(zone: TimeZone) -> Self {
        Self { zone, known: (i64::MIN, String::new(), String::new()) }
    }

    /// `("2026-11-26", "14")`.
    pub fn of(&mut self, at: Wall) -> (&str, &str) {
        // Zones change at whole quarters of an hour.
        let quarter = at.0.div_euclid(900_000);
        if self.known.0 != quarter
            && let Ok(at) = Timestamp::from_millisecond(at.0)
        {
            let at = at.to_zoned(self.zone.clone());
            self.known = (quarter, at.date().to_string(), format!("{:02}", at.hour()));
        }
        (&self.known.1, &self.known.2)
    }
}

/// The days of a time if it is made of whole days.
#[must_use]
pub fn whole_days(zone: &TimeZone, span: Span) -> Option<(String, String)> {
    let day = |at: Wall| {
        let day = day_of(zone, at);
        (begins(zone, day.parse().ok()?)? == at).then_some(day)
    };
    day(span.from).zip(day(span.to))
}
