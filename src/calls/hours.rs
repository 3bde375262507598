//! Hours of the week, as settings write them: when people outside may be called.

use jiff::civil::{Time, Weekday};
use schemars::JsonSchema;
use serde::Deserialize;

/// On these days, from one time of day to another.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// Absent: every day.
    #[serde(default)]
    pub days: Option<Vec<Day>>,
    /// `09:00`.
    pub from: String,
    /// `20:30`: not at that minute any more, and on the same day.
    pub to: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Day {
    const fn weekday(self) -> Weekday {
        match self {
            Self::Mon => Weekday::Monday,
            Self::Tue => Weekday::Tuesday,
            Self::Wed => Weekday::Wednesday,
            Self::Thu => Weekday::Thursday,
            Self::Fri => Weekday::Friday,
            Self::Sat => Weekday::Saturday,
            Self::Sun => Weekday::Sunday,
        }
    }
}

impl Hours {
    /// Whether this day has them.
    #[must_use]
    pub fn on(&self, day: Weekday) -> bool {
        self.days.as_ref().is_none_or(|days| days.iter().any(|one| one.weekday() == day))
    }

    /// From and to, if both are times.
    #[must_use]
    pub fn times(&self) -> Option<(Time, Time)> {
        time(&self.from).zip(time(&self.to))
    }

    /// What cannot be meant: key, what was found, what would be right.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String, &'static str)> {
        let mut problems = Vec::new();
        for (key, text) in [("from", &self.from), ("to", &self.to)] {
            if time(text).is_none() {
                problems.push((key, format!("{text:?}"), "a time in quotes, for example \"09:00\""));
            }
        }
        if self.times().is_some_and(|(from, to)| from >= to) {
            problems.push(("to", format!("{:?}", self.to), "later than \"from\", on the same day"));
        }
        if self.days.as_ref().is_some_and(Vec::is_empty) {
            problems.push(("days", "no day".to_owned(), "at least one of mon to sun, or no \"days\" for every day"));
        }
        problems
    }
}

fn time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
}
