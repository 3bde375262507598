//! `reconcile:` of linecard.yaml.

use jiff::{Timestamp, ToSpan, civil::Time, tz::TimeZone};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::words::Wall;

/// When the sides are compared by themselves.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `HH:MM`; absent: only by hand.
    pub nightly: Option<String>,
    /// IANA name of the zone of `nightly`, and in which a day is a day.
    pub zone: String,
    /// Whether the business systems are asked for each thing that was delivered to them.
    pub ask_systems: bool,
    /// Questions to them at once.
    pub at_once: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { nightly: Some("03:30".to_owned()), zone: "Asia/Shanghai".to_owned(), ask_systems: true, at_once: 2 }
    }
}

impl Settings {
    /// Key (below `reconcile`), what was found, what would be right.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String, &'static str)> {
        let mut out = Vec::new();
        if TimeZone::get(&self.zone).is_err() {
            out.push(("zone".to_owned(), self.zone.clone(), "an IANA time zone, for example Asia/Shanghai"));
        }
        if let Some(at) = self.nightly.as_ref().filter(|at| time(at).is_none()) {
            out.push(("nightly".to_owned(), at.clone(), "a time of day, HH:MM"));
        }
        if !(1..=32).contains(&self.at_once) {
            out.push(("at_once".to_owned(), self.at_once.to_string(), "1 to 32"));
        }
        out
    }

    /// The next moment at which they are compared; `None`: never by itself.
    #[must_use]
    pub fn next(&self, now: Wall) -> Option<Wall> {
        let at = time(self.nightly.as_deref()?)?;
        let zone = TimeZone::get(&self.zone).ok()?;
        let now = Timestamp::from_millisecond(now.0).ok()?;
        let today = now.to_zoned(zone.clone()).date();
        let on = |day: jiff::civil::Date| Some(day.to_datetime(at).to_zoned(zone.clone()).ok()?.timestamp());
        let next = [today, today.checked_add(1.day()).ok()?].into_iter().filter_map(on).find(|at| *at > now)?;
        Some(Wall(next.as_millisecond()))
    }

    /// From when to when a day (`2026-11-25`; absent: yesterday) lasts.
    #[must_use]
    pub fn day(&self, day: Option<&str>, now: Wall) -> Option<(Wall, Wall)> {
        let zone = TimeZone::get(&self.zone).ok()?;
        let day: jiff::civil::Date = match day {
            Some(day) => day.parse().ok()?,
            None => Timestamp::from_millisecond(now.0).ok()?.to_zoned(zone.clone()).date().checked_sub(1.day()).ok()?,
        };
        let begins = |day: jiff::civil::Date| Some(day.to_zoned(zone.clone()).ok()?.timestamp().as_millisecond());
        Some((Wall(begins(day)?), Wall(begins(day.checked_add(1.day()).ok()?)? - 1)))
    }
}

fn time(text: &str) -> Option<Time> {
    Time::strptime("%H:%M", text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wall(text: &str) -> Wall {
        Wall(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn the_night_comes_once_a_day_in_the_sites_zone() {
        let settings = Settings::default();
        assert_eq!(settings.problems(), []);
        assert_eq!(settings.next(wall("2026-11-26T00:00:00Z")), Some(wall("2026-11-26T19:30:00Z")));
        assert_eq!(settings.next(wall("2026-11-26T19:30:00Z")), Some(wall("2026-11-27T19:30:00Z")));
        assert_eq!(Settings { nightly: None, ..settings.clone() }.next(Wall(0)), None);
        let (from, to) = settings.day(None, wall("2026-11-26T00:00:00Z")).unwrap();
        assert_eq!((from, to), (wall("2026-11-24T16:00:00Z"), wall("2026-11-25T15:59:59.999Z")));
        assert_eq!(settings.day(Some("2026-11-25"), Wall(0)), Some((from, to)));
        assert_eq!(settings.day(Some("25.11."), Wall(0)), None);
        let wrong =
            Settings { nightly: Some("25:00".to_owned()), zone: "Mars".to_owned(), ask_systems: true, at_once: 0 };
        assert_eq!(wrong.problems().len(), 3);
    }
}
