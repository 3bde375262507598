//! What is held against every call to somebody outside before a switch hears of it: numbers that are not called, hours in which nobody is, how many calls a
//! switch and a trunk may be given in a second, and for a dial a number that was dialled a moment ago.

use std::collections::{HashMap, HashSet, VecDeque};

use jiff::{Timestamp, tz::TimeZone};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    numbers::{Class, Number, Plan, dial_out::Trunk},
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
    /// Calls that may begin at one switch in a second, over all its trunks; 0: any number.
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
    /// The calls that began in the last second: of a switch, and of each of its trunks that its rules name.
    begun: HashMap<(SwitchId, Option<String>), VecDeque<Mono>>,
}

/// Numbers remembered for the cool-down: more than a thousand agents dial in its longest.
const REMEMBERED: usize = 10_000;

/// Who is to be called from where.
#[derive(Clone, Copy, Debug)]
pub struct Outside<'a> {
    pub switch: &'a SwitchId,
    /// IANA name; UTC where it is none.
    pub zone: Option<&'a str>,
    pub number: &'a Number,
    /// The trunk that the switch's rules name for it.
    pub trunk: Option<&'a Trunk>,
}

impl Guard {
    /// New rules; what was dialled stays known.
    pub fn reload(&mut self, rules: std::sync::Arc<Guarded>) {
        self.rules = rules;
    }

    /// Whether this number may be dialled now; then it counts as dialled.
    ///
    /// # Errors
    /// Why not.
    pub fn dial(&mut self, now: Now, request: &RequestId, to: Outside<'_>) -> Result<(), Failure> {
        let key = to.number.key().unwrap_or_default();
        self.allowed(now.wall, to)?;
        let cool_ms = u64::from(self.rules.settings.cool_down_s) * 1000;
        while self.dialled.front().is_some_and(|(at, ..)| now.mono >= at.plus_ms(cool_ms)) {
            self.dialled.pop_front();
        }
        let urgent = to.number.class == Class::Emergency;
        if !urgent && self.dialled.iter().any(|(_, known, _)| known == key) {
            return Err(Failure::CoolDown);
        }
        self.begin(now.mono, to)?;
        if cool_ms > 0 && self.dialled.len() < REMEMBERED {
            self.dialled.push_back((now.mono, key.to_owned(), request.clone()));
        }
        Ok(())
    }

    /// Whether a call that is up may be sent to this number, or its agent ask there; then one more call begins. Whom an agent asked a moment ago may be asked
    /// again: nothing cools down.
    ///
    /// # Errors
    /// Why not.
    pub fn send(&mut self, now: Now, to: Outside<'_>) -> Result<(), Failure> {
        self.allowed(now.wall, to)?;
        self.begin(now.mono, to)
    }

    /// By the list and the hours. Help may be called at any hour.
    fn allowed(&self, now: Wall, to: Outside<'_>) -> Result<(), Failure> {
        if self.rules.blocked.contains(to.number.key().unwrap_or_default()) {
            return Err(Failure::BlockedNumber);
        }
        let shut = |hours: &Hours| to.number.class != Class::Emergency && !open(hours, to.zone, now);
        if self.rules.settings.hours.as_ref().is_some_and(shut) { Err(Failure::ForbiddenHours) } else { Ok(()) }
    }

    /// One more call at the switch, and on its trunk: only where both have room for it, so that what is refused counts nowhere. A call for help is never too
    /// many, but counts.
    fn begin(&mut self, now: Mono, to: Outside<'_>) -> Result<(), Failure> {
        let all = ((to.switch.clone(), None), self.rules.settings.per_second);
        let trunk = to.trunk.map(|trunk| ((to.switch.clone(), Some(trunk.name.clone())), trunk.per_second));
        let caps: Vec<_> = [Some(all), trunk].into_iter().flatten().filter(|(_, most)| *most > 0).collect();
        for (key, most) in &caps {
            let begun = self.begun.entry(key.clone()).or_default();
            while begun.front().is_some_and(|at| now >= at.plus_ms(1000)) {
                begun.pop_front();
            }
            let full = begun.len() >= usize::try_from(*most).unwrap_or(usize::MAX);
            if full && to.number.class != Class::Emergency {
                return Err(Failure::TooManyCalls);
            }
        }
        for (key, _) in caps {
            self.begun.entry(key).or_default().push_back(now);
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

    /// Thursday 2026-11-26, 06:00 in UTC and 14:00 in Shanghai, and so much later.
    fn later(ms: u64) -> Now {
        let wall = Wall(1_795_672_800_000).plus_ms(i64::try_from(ms).unwrap());
        Now { mono: Mono(0).plus_ms(ms), wall }
    }

    fn number(text: &str) -> Number {
        Plan::new("CN", Some("21")).read(text)
    }

    fn ask(guard: &mut Guard, ms: u64, to: &str) -> Result<(), Failure> {
        ask_by(guard, ms, to, "pbx1", None)
    }

    fn ask_by(guard: &mut Guard, ms: u64, to: &str, at: &str, trunk: Option<&Trunk>) -> Result<(), Failure> {
        let request = RequestId(format!("lc-{ms}"));
        let (switch, number) = (at.into(), number(to));
        guard.dial(
            later(ms),
            &request,
            Outside { switch: &switch, zone: Some("Asia/Shanghai"), number: &number, trunk },
        )
    }

    fn send(guard: &mut Guard, ms: u64, to: &str) -> Result<(), Failure> {
        let (switch, number) = ("pbx1".into(), number(to));
        guard.send(later(ms), Outside { switch: &switch, zone: Some("Asia/Shanghai"), number: &number, trunk: None })
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
    fn a_trunk_is_given_so_many_a_second_and_the_switch_no_more_for_it() {
        let mut guard = guard(Settings { cool_down_s: 0, per_second: 3, ..Settings::default() }, "");
        let trunk = |name: &str, per_second| Some(Trunk { name: name.to_owned(), per_second });
        let (slow, wide) = (trunk("PJSIP/slow", 1), trunk("PJSIP/wide", 0));
        assert_eq!(ask_by(&mut guard, 0, "13800138000", "pbx1", slow.as_ref()), Ok(()));
        let again = ask_by(&mut guard, 999, "13800138001", "pbx1", slow.as_ref());
        assert_eq!(again, Err(Failure::TooManyCalls), "one a second on this trunk");
        assert_eq!(ask_by(&mut guard, 999, "13800138001", "pbx2", slow.as_ref()), Ok(()), "another switch's trunk");
        // What the trunk refused did not count at the switch.
        assert_eq!(ask_by(&mut guard, 999, "13800138001", "pbx1", wide.as_ref()), Ok(()));
        assert_eq!(ask_by(&mut guard, 999, "13800138002", "pbx1", None), Ok(()), "no trunk is known: the switch alone");
        assert_eq!(ask_by(&mut guard, 999, "13800138003", "pbx1", wide.as_ref()), Err(Failure::TooManyCalls));
        assert_eq!(ask_by(&mut guard, 1_000, "13800138004", "pbx1", slow.as_ref()), Ok(()));
        // Nor does what the switch refused count on the trunk.
        assert_eq!(ask_by(&mut guard, 1_998, "13800138004", "pbx1", slow.as_ref()), Err(Failure::TooManyCalls));
        assert_eq!(ask_by(&mut guard, 2_000, "13800138004", "pbx1", slow.as_ref()), Ok(()));
    }

    #[test]
    fn a_call_is_sent_on_as_one_is_dialled_but_again_at_once() {
        let hours = Some(Hours { days: None, from: "09:00".to_owned(), to: "14:01".to_owned() });
        let mut guard = guard(Settings { hours, per_second: 2, ..Settings::default() }, "13800138000\n");
        assert_eq!(send(&mut guard, 0, "013800138000"), Err(Failure::BlockedNumber));
        assert_eq!(send(&mut guard, 0, "13800138001"), Ok(()));
        assert_eq!(send(&mut guard, 0, "13800138001"), Ok(()), "who was asked is asked again");
        assert_eq!(send(&mut guard, 0, "13800138001"), Err(Failure::TooManyCalls));
        assert_eq!(ask(&mut guard, 1_000, "13800138001"), Ok(()), "and it was not dialled");
        assert_eq!(send(&mut guard, 60_000, "13800138001"), Err(Failure::ForbiddenHours));
    }

    #[test]
    fn help_is_called_at_any_hour_and_any_number_of_times() {
        let hours = Some(Hours { days: None, from: "09:00".to_owned(), to: "10:00".to_owned() });
        let mut guard = guard(Settings { hours, per_second: 1, ..Settings::default() }, "");
        assert_eq!(ask(&mut guard, 0, "13800138000"), Err(Failure::ForbiddenHours));
        for _ in 0..3 {
            assert_eq!(ask(&mut guard, 0, "120"), Ok(()));
            assert_eq!(send(&mut guard, 0, "110"), Ok(()));
        }
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
