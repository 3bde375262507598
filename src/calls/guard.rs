//! What is held against every dial before a switch hears of it: numbers that are not called, hours in which nobody is, a number that was dialled a moment
//! ago, and how many calls a switch may be given in a second.

use std::collections::{HashMap, HashSet, VecDeque};

use jiff::{Timestamp, tz::TimeZone};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    numbers::{Number, Plan},
    words::{Mono, Now, SwitchId, Wall},
};

use super::{
    command::{Failure, RequestId},
    hours::Hours,
};

/// `dial:` in linecard.yaml.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// A number is not dialled again so soon after it was; 0: at once.
    pub cool_down_s: u32,
    /// Calls that may begin at one switch in a second; 0: any number.
    pub per_second: u32,
    /// A file with one number a line, behind `#` what is said of it; they are never dialled.
    pub do_not_call: Option<std::path::PathBuf>,
    /// When people outside may be called, by the zone of the switch's file; absent: always.
    pub hours: Option<Hours>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { cool_down_s: 3, per_second: 10, do_not_call: None, hours: None }
    }
}

/// The settings as they are used, and the list.
#[derive(Clone, Debug, Default)]
pub struct Guarded {
    settings: Settings,
    /// As numbers are compared: international, else as it is dialled.
    blocked: HashSet<String>,
}

impl Guarded {
    /// `list`: what stands in the file.
    ///
    /// # Errors
    /// Lines of it that are no numbers, counted from 1.
    pub fn new(settings: Settings, list: &str, plan: &Plan) -> Result<Self, Vec<usize>> {
        let (mut blocked, mut wrong) = (HashSet::new(), Vec::new());
        for (at, line) in list.lines().enumerate() {
            let text = line.split('#').next().unwrap_or_default().trim();
            match text.is_empty() {
                true => {}
                false => match plan.read(text).key().filter(|key| key.bytes().any(|b| b.is_ascii_digit())) {
                    Some(key) => drop(blocked.insert(key.to_owned())),
                    None => wrong.push(at + 1),
                },
            }
        }
        if wrong.is_empty() { Ok(Self { settings, blocked }) } else { Err(wrong) }
    }
}

impl Settings {
    /// What is wrong beyond the shape: key (below `dial`), found, wanted.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String, &'static str)> {
        let of = |(key, found, wanted)| (format!("hours.{key}"), found, wanted);
        self.hours.iter().flat_map(Hours::problems).map(of).collect()
    }
}

/// What was dialled, and how often.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    rules: std::sync::Arc<Guarded>,
    /// Numbers that were dialled, oldest first.
    dialled: VecDeque<(Mono, String, RequestId)>,
    begun: HashMap<SwitchId, VecDeque<Mono>>,
}

/// Numbers remembered for the cool-down: more than a thousand agents dial in its longest.
const REMEMBERED: usize = 10_000;

impl Guard {
    /// New rules; what was dialled stays known.
    pub fn reload(&mut self, rules: std::sync::Arc<Guarded>) {
        self.rules = rules;
    }

    /// Whether this number may be dialled now; then it counts as dialled.
    ///
    /// # Errors
    /// Why not.
    pub fn dial(
        &mut self,
        now: Now,
        request: &RequestId,
        (switch, zone): (&SwitchId, Option<&str>),
        number: &Number,
    ) -> Result<(), Failure> {
        let settings = &self.rules.settings;
        let key = number.key().unwrap_or_default();
        if self.rules.blocked.contains(key) {
            return Err(Failure::BlockedNumber);
        }
        if settings.hours.as_ref().is_some_and(|hours| !open(hours, zone, now.wall)) {
            return Err(Failure::ForbiddenHours);
        }
        let cool_ms = u64::from(settings.cool_down_s) * 1000;
        while self.dialled.front().is_some_and(|(at, ..)| now.mono >= at.plus_ms(cool_ms)) {
            self.dialled.pop_front();
        }
        if self.dialled.iter().any(|(_, known, _)| known == key) {
            return Err(Failure::CoolDown);
        }
        let begun = self.begun.entry(switch.clone()).or_default();
        while begun.front().is_some_and(|at| now.mono >= at.plus_ms(1000)) {
            begun.pop_front();
        }
        let most = usize::try_from(settings.per_second).unwrap_or(usize::MAX);
        if most > 0 && begun.len() >= most {
            return Err(Failure::TooManyCalls);
        }
        if most > 0 {
            begun.push_back(now.mono);
        }
        if cool_ms > 0 && self.dialled.len() < REMEMBERED {
            self.dialled.push_back((now.mono, key.to_owned(), request.clone()));
        }
        Ok(())
    }
}

impl Guard {
    /// A dial came to nothing before the number was called: it may be tried again at once.
    pub fn forget(&mut self, request: &RequestId) {
        self.dialled.retain(|(.., known)| known != request);
    }
}

fn open(hours: &Hours, zone: Option<&str>, now: Wall) -> bool {
    let zone = zone.and_then(|zone| TimeZone::get(zone).ok()).unwrap_or(TimeZone::UTC);
    let Ok(now) = Timestamp::from_millisecond(now.0) else { return false };
    let here = now.to_zoned(zone);
    let within = |(from, to)| from <= here.time() && here.time() < to;
    hours.on(here.weekday()) && hours.times().is_some_and(within)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::hours::Day;

    fn guard(settings: Settings, list: &str) -> Guard {
        let mut guard = Guard::default();
        guard.reload(Guarded::new(settings, list, &Plan::new("CN", Some("21"))).unwrap().into());
        guard
    }

    fn ask(guard: &mut Guard, ms: u64, number: &str) -> Result<(), Failure> {
        // Thursday 2026-11-26, 06:00 in UTC and 14:00 in Shanghai.
        let wall = Wall(1_795_672_800_000).plus_ms(i64::try_from(ms).unwrap());
        let now = Now { mono: Mono(0).plus_ms(ms), wall };
        let request = RequestId(format!("lc-{ms}"));
        guard.dial(now, &request, (&"pbx1".into(), Some("Asia/Shanghai")), &Plan::new("CN", Some("21")).read(number))
    }

    #[test]
    fn a_number_on_the_list_is_not_called_however_it_is_written() {
        let list = "# asked not to be called\n+8613800138000  # 2026-11-20\n\n61808888\n";
        let mut guard = guard(Settings::default(), list);
        for number in ["13800138000", "0086 138 0013 8000", "02161808888"] {
            assert_eq!(ask(&mut guard, 0, number), Err(Failure::BlockedNumber), "{number}");
        }
        assert_eq!(ask(&mut guard, 0, "13800138001"), Ok(()));
        assert_eq!(Guarded::new(Settings::default(), "12\nnobody\n", &Plan::new("CN", None)).unwrap_err(), [2]);
    }

    #[test]
    fn hours_are_those_of_the_switch_and_end_at_their_end() {
        let hours = |from: &str, to: &str, days| Some(Hours { days, from: from.to_owned(), to: to.to_owned() });
        let at = |hours, ms| ask(&mut guard(Settings { hours, ..Settings::default() }, ""), ms, "13800138000");
        assert_eq!(at(hours("09:00", "14:00", None), 0), Err(Failure::ForbiddenHours));
        assert_eq!(at(hours("14:00", "20:30", None), 0), Ok(()));
        assert_eq!(at(hours("05:00", "07:00", None), 0), Err(Failure::ForbiddenHours), "six o'clock is UTC's");
        assert_eq!(at(hours("09:00", "20:30", Some(vec![Day::Wed, Day::Fri])), 0), Err(Failure::ForbiddenHours));
        assert_eq!(at(hours("09:00", "20:30", Some(vec![Day::Thu])), 0), Ok(()));
        assert_eq!(
            at(hours("09:00", "20:30", Some(vec![Day::Fri])), 36_000_000),
            Err(Failure::ForbiddenHours),
            "midnight"
        );
    }

    #[test]
    fn a_number_cools_down_and_a_switch_is_given_so_many_a_second() {
        let mut guard = guard(Settings { cool_down_s: 5, per_second: 2, ..Settings::default() }, "");
        assert_eq!(ask(&mut guard, 0, "13800138000"), Ok(()));
        assert_eq!(ask(&mut guard, 4_999, "+8613800138000"), Err(Failure::CoolDown));
        assert_eq!(ask(&mut guard, 5_000, "13800138000"), Ok(()));
        assert_eq!(ask(&mut guard, 5_000, "13800138001"), Ok(()));
        assert_eq!(ask(&mut guard, 5_999, "13800138002"), Err(Failure::TooManyCalls));
        assert_eq!(ask(&mut guard, 6_000, "13800138002"), Ok(()), "what was refused did not count");
        assert_eq!(ask(&mut guard, 6_500, "13800138002"), Err(Failure::CoolDown));
        guard.forget(&RequestId("lc-6000".to_owned()));
        assert_eq!(ask(&mut guard, 6_500, "13800138002"), Ok(()), "the agent's phone was busy: nobody was called");
    }

    #[test]
    fn mistakes_in_hours_are_told() {
        let hours = |from: &str, to: &str| Settings {
            hours: Some(Hours { days: None, from: from.to_owned(), to: to.to_owned() }),
            ..Settings::default()
        };
        assert_eq!(hours("09:00", "20:30").problems(), []);
        let keys = |settings: Settings| settings.problems().into_iter().map(|(key, ..)| key).collect::<Vec<_>>();
        assert_eq!(keys(hours("9", "25:00")), ["hours.from", "hours.to"]);
        assert_eq!(keys(hours("20:30", "09:00")), ["hours.to"]);
    }
}
