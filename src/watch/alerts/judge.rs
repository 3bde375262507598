//! What fires and what is over, still. It has to be bad for a while to be told and good for a while to be over; a rule that fires for many at once says it once, and a rule that
//! comes and goes is told a few times and then counted.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::{Rule, Sample, Target};
use crate::words::Wall;

/// More subjects than this of one rule at one time are one notice.
const TOGETHER: usize = 3;
/// A rule's notices within `STORM_MS`; more are counted and told as a number.
const STORM: usize = 6;
const STORM_MS: u64 = 600_000;
/// Subjects of all rules together: a system has some twenty operations.
const SUBJECTS: usize = 2_000;

/// A subject, and what is said of it.
type About = (String, String);

/// To be told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// Of its own, and the same if it is told again.
    pub key: String,
    pub rule: String,
    pub over: bool,
    pub at: Wall,
    pub text: String,
    pub to: Vec<Target>,
}

/// What is known of all rules; kept over a restart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Judge {
    /// By rule, by subject.
    states: BTreeMap<String, BTreeMap<String, State>>,
    /// When each rule's last notices were, and how many were held back since.
    told: BTreeMap<String, (VecDeque<Wall>, u32)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Bad { since: Wall },
    Firing { since: Wall, good_since: Option<Wall> },
}

impl Judge {
    /// The notices of this moment.
    pub fn judge(&mut self, now: Wall, rules: &[Rule], zone: &TimeZone, samples: &[Sample]) -> Vec<Notice> {
        // A rule that is there no longer has nothing more to say.
        self.states.retain(|id, _| rules.iter().any(|rule| rule.id == *id));
        self.told.retain(|id, _| rules.iter().any(|rule| rule.id == *id));
        let mut notices = Vec::new();
        for rule in rules {
            let (fired, ended) = self.of(rule, now, zone, samples);
            let first = |list: &[(String, String)]| {
                let shown: Vec<&str> = list.iter().take(TOGETHER).map(|(_, text)| text.as_str()).collect();
                let more = list.len().saturating_sub(TOGETHER);
                format!("{}{}", shown.join("; "), if more > 0 { format!("; and {more} more") } else { String::new() })
            };
            for (list, over) in [(fired, false), (ended, true)] {
                let groups: Vec<&[(String, String)]> =
                    if list.len() > TOGETHER { vec![&list[..]] } else { list.chunks(1).collect() };
                for group in groups {
                    let Some((subject, _)) = group.first() else { continue };
                    let word = if over { "over" } else { "alert" };
                    let key = format!("{word}-{}-{subject}-{}", rule.id, now.0).replace(' ', "-");
                    let text = format!("{word}: {}: {}", rule.id, first(group));
                    notices.extend(self.paced(
                        rule,
                        now,
                        Notice { key, rule: rule.id.clone(), over, at: now, text, to: rule.to.clone() },
                    ));
                }
            }
            notices.extend(self.held_back(rule, now));
        }
        notices
    }

    /// Which fire now: rule, subject.
    pub fn firing(&self) -> impl Iterator<Item = (&str, &str)> {
        let all =
            self.states.iter().flat_map(|(rule, subjects)| subjects.iter().map(move |(s, state)| (rule, s, state)));
        all.filter(|(.., state)| matches!(state, State::Firing { .. })).map(|(rule, s, _)| (rule.as_str(), s.as_str()))
    }

    /// Subjects that begin to fire, and those that are over, each with its text.
    fn of(&mut self, rule: &Rule, now: Wall, zone: &TimeZone, samples: &[Sample]) -> (Vec<About>, Vec<About>) {
        let all: usize = self.states.values().map(BTreeMap::len).sum();
        let states = self.states.entry(rule.id.clone()).or_default();
        let (mut fired, mut ended) = (Vec::new(), Vec::new());
        let mut seen = BTreeMap::new();
        for sample in samples.iter().filter(|sample| rule.concerns(sample)) {
            seen.insert(sample.subject(), (rule.bad(sample, now, zone), sample));
        }
        let subjects: BTreeSet<String> = states.keys().chain(seen.keys()).cloned().collect();
        for subject in subjects {
            let told = seen.get(&subject);
            let bad = told.is_some_and(|(bad, _)| *bad);
            let text = told.map_or_else(
                || format!("{subject}: {}: no figure any more", rule.signal),
                |(_, sample)| {
                    format!("{subject}: {} ({} {:.0}, {})", sample.text, rule.signal, sample.value, rule.bound)
                },
            );
            let state = match (states.remove(&subject), bad) {
                (None, true) if all < SUBJECTS => Some(State::Bad { since: now }),
                (None, _) | (Some(State::Bad { .. }), false) => None,
                (Some(State::Firing { since, .. }), true) => Some(State::Firing { since, good_since: None }),
                (Some(State::Firing { since, good_since }), false) => {
                    let good_since = good_since.unwrap_or(now);
                    if now.since(good_since) >= rule.clear_ms {
                        let minutes = good_since.since(since) / 60_000;
                        ended.push((subject.clone(), format!("{text}, after {minutes} min")));
                        None
                    } else {
                        Some(State::Firing { since, good_since: Some(good_since) })
                    }
                }
                (Some(state @ State::Bad { .. }), true) => Some(state),
            };
            let state = match state {
                Some(State::Bad { since }) if now.since(since) >= rule.for_ms => {
                    fired.push((subject.clone(), text));
                    Some(State::Firing { since, good_since: None })
                }
                other => other,
            };
            if let Some(state) = state {
                states.insert(subject, state);
            }
        }
        (fired, ended)
    }

    /// The notice, if the rule has not said enough lately.
    fn paced(&mut self, rule: &Rule, now: Wall, notice: Notice) -> Option<Notice> {
        let (times, held) = self.told.entry(rule.id.clone()).or_default();
        times.retain(|at| now.since(*at) < STORM_MS);
        if times.len() >= STORM {
            *held = held.saturating_add(1);
            return None;
        }
        times.push_back(now);
        Some(notice)
    }

    /// How many were held back, when it may speak again.
    fn held_back(&mut self, rule: &Rule, now: Wall) -> Option<Notice> {
        let firing = self.states.get(&rule.id).into_iter().flat_map(BTreeMap::values);
        let firing = firing.filter(|state| matches!(state, State::Firing { .. })).count();
        let (times, held) = self.told.get_mut(&rule.id)?;
        times.retain(|at| now.since(*at) < STORM_MS);
        if *held == 0 || times.len() >= STORM {
            return None;
        }
        let text = format!("alert: {}: {held} more notices were held back; {firing} fire now", rule.id);
        *held = 0;
        times.push_back(now);
        let key = format!("held-{}-{}", rule.id, now.0);
        Some(Notice { key, rule: rule.id.clone(), over: firing == 0, at: now, text, to: rule.to.clone() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::{Rules, Signal},
        *,
    };

    fn rules(text: &str) -> Vec<Rule> {
        let only: Vec<String> =
            text.lines().filter_map(|l| Some(l.split("id: ").nth(1)?.split(',').next()?.to_owned())).collect();
        let all = Rules::read("alerts.yaml", Some(text), &|_| true).unwrap().rules;
        all.into_iter().filter(|rule| only.contains(&rule.id)).collect()
    }

    fn sample(of: &str, value: f64) -> Sample {
        let text = format!("{value} % of 20 questions failed");
        Sample { signal: Signal::ErrorRate, of: of.to_owned(), part: None, value, questions: Some(20), text }
    }

    const RATE: &str = "to: [chat]\nrules:\n  - {id: rate, signal: error-rate, above: 20, for_s: 60, clear_s: 120}\n";

    #[test]
    fn it_is_told_after_its_time_and_over_after_its_time_and_nothing_flaps() {
        let rules = rules(RATE);
        let mut judge = Judge::default();
        let mut tell = |s: i64, value: f64| -> Vec<String> {
            let notices = judge.judge(Wall(s * 1000), &rules, &TimeZone::UTC, &[sample("desk", value)]);
            // A restart in every moment changes nothing.
            judge = serde_json::from_str(&serde_json::to_string(&judge).unwrap()).unwrap();
            notices.into_iter().map(|n| n.text).collect()
        };
        assert!(tell(0, 90.0).is_empty());
        assert!(tell(50, 90.0).is_empty());
        // Good for a moment: it begins anew.
        assert!(tell(55, 10.0).is_empty());
        assert!(tell(60, 50.0).is_empty());
        assert!(tell(110, 50.0).is_empty());
        let wanted = "alert: rate: desk: 50 % of 20 questions failed (failed questions, percent 50, above 20)";
        assert_eq!(tell(120, 50.0), [wanted]);
        // Bad and good by turns: it goes on, and nobody hears of it.
        for n in 13..40 {
            assert!(tell(n * 10, if n % 2 == 0 { 90.0 } else { 0.0 }).is_empty());
        }
        for n in 40..51 {
            assert!(tell(n * 10, 0.0).is_empty(), "{n}");
        }
        assert_eq!(tell(510, 0.0).len(), 1);
        assert!(tell(520, 0.0).is_empty());
    }

    #[test]
    fn too_few_questions_and_other_hours_say_nothing() {
        let text = "rules:\n  - {id: rate, signal: error-rate, above: 20, for_s: 0, only: [desk], hours: [{days: [thu], from: '09:00', to: '18:00'}]}\n";
        let rules = rules(text);
        let mut judge = Judge::default();
        // 2026-11-26 is a Thursday; 10:00 in Shanghai is 02:00 UTC.
        let at = |text: &str| Wall(text.parse::<jiff::Timestamp>().unwrap().as_millisecond());
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        let few = Sample { questions: Some(9), ..sample("desk", 90.0) };
        let now = at("2026-11-26T02:00:00Z");
        assert!(judge.judge(now, &rules, &zone, &[few, sample("crm", 90.0)]).is_empty());
        assert!(judge.judge(at("2026-11-26T10:00:00Z"), &rules, &zone, &[sample("desk", 90.0)]).is_empty());
        assert!(judge.judge(at("2026-11-27T02:00:00Z"), &rules, &zone, &[sample("desk", 90.0)]).is_empty());
        assert_eq!(judge.judge(now, &rules, &zone, &[sample("desk", 90.0)]).len(), 1);
        assert_eq!(judge.firing().collect::<Vec<_>>(), [("rate", "desk")]);
        // A rule that a reload took away fires no longer, and says nothing.
        assert!(judge.judge(now, &[], &zone, &[sample("desk", 90.0)]).is_empty());
        assert_eq!(judge.firing().count(), 0);
    }

    #[test]
    fn many_at_once_are_one_notice() {
        let rules = rules(&RATE.replace("for_s: 60", "for_s: 0"));
        let samples: Vec<Sample> = (0..50).map(|n| sample(&format!("s{n:02}"), 90.0)).collect();
        let notices = Judge::default().judge(Wall(0), &rules, &TimeZone::UTC, &samples);
        assert_eq!(notices.len(), 1);
        assert!(notices[0].text.ends_with("and 47 more"), "{}", notices[0].text);
        assert_eq!(notices[0].to, [Target::Connector("chat".into())]);
    }

    proptest! {
        #[test]
        fn never_a_storm_and_nothing_is_lost_of_it(values in proptest::collection::vec((any::<bool>(), 1..400_i64), 1..300)) {
            let rules = rules(&RATE.replace("for_s: 60", "for_s: 0").replace("clear_s: 120", "clear_s: 0"));
            let (mut judge, mut now, mut told) = (Judge::default(), 0, Vec::new());
            let (mut alerts, mut held) = (0_i64, 0_i64);
            let mut was = false;
            let mut changes = 0_i64;
            for (bad, gap) in values {
                now += gap * 1000;
                changes += i64::from(bad != was);
                was = bad;
                for notice in judge.judge(Wall(now), &rules, &TimeZone::UTC, &[sample("desk", if bad { 90.0 } else { 0.0 })]) {
                    told.push(now);
                    match notice.text.strip_prefix("alert: rate: ").and_then(|t| t.split(" more notices").next()?.parse::<i64>().ok()) {
                        Some(n) => held += n,
                        None => alerts += 1,
                    }
                }
                prop_assert!(told.iter().filter(|at| now - **at < 600_000).count() <= 6);
                prop_assert_eq!(judge.firing().count(), usize::from(bad));
            }
            let still_held = judge.told.get("rate").map_or(0, |(_, held)| i64::from(*held));
            prop_assert_eq!(alerts + held + still_held, changes);
        }
    }
}
