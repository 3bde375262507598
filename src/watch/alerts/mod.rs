//! Alerts: which figure is bad for how long, and who is told. The rules are YAML (`config/alerts.yaml`, compiled in); a site's own file changes, adds and switches off.
//!
//! `judge` decides over time, so that nothing flaps or storms; `trend` says when a limit will be reached, `drift` that something is another version than it was; `live` gathers the figures, keeps what fires over a restart and tells it.

pub mod drift;
pub mod judge;
pub mod live;
pub mod trend;

use std::{collections::BTreeMap, fmt};

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    calls::hours::Hours,
    files::{self, Problem, Read},
    flows::{file::Text, view::languages},
    words::{SystemId, Wall},
};

/// The ready rules, with a sentence each.
pub const READY: &str = include_str!("../../../config/alerts.yaml");

/// Who is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Target {
    /// A connector, by its `notify`.
    Connector(SystemId),
    Mail(Mail),
    Webhook(Hook),
}

/// By a connector's `mail.send`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// Addresses, several with commas.
    pub mail: String,
    /// The connector that sends it.
    pub by: SystemId,
}

/// One of webhooks.yaml, in its standard format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    pub webhook: String,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connector(system) => f.write_str(system.as_str()),
            // An address is a person's.
            Self::Mail(mail) => write!(f, "mail by {}", mail.by),
            Self::Webhook(hook) => write!(f, "webhook {}", hook.webhook),
        }
    }
}

/// alerts.yaml.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    /// Who is told of every alert that names no others: connectors that offer `notify`, `{mail: ADDRESS, by: CONNECTOR}`, `{webhook: NAME}`. The log and `/metrics` always are.
    pub to: Vec<Target>,
    /// IANA name, for `hours`. Default: Asia/Shanghai.
    pub zone: Option<String>,
    pub rules: Vec<RuleFile>,
}

/// One rule. One with the id of a ready rule takes its place, whole.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleFile {
    pub id: String,
    /// What people are told in its place, by language (`en`, `zh`). Default: the ready rule's of the same id, or the id.
    pub title: Option<Text>,
    pub signal: Signal,
    /// Bad is more than this, in the signal's unit.
    pub above: Option<f64>,
    /// Bad is less than this.
    pub below: Option<f64>,
    /// With fewer questions than this a rate or a time says nothing. Default 10.
    #[serde(default = "ten")]
    pub minimum: u64,
    /// It is told when it has been bad for so long. Default 60.
    #[serde(default = "minute")]
    pub for_s: u32,
    /// And that it is over when it has been good for so long. Default 180.
    #[serde(default = "three_minutes")]
    pub clear_s: u32,
    /// Judged only then; outside of it is good.
    #[serde(default)]
    pub hours: Vec<Hours>,
    /// Only these systems or switches.
    pub only: Option<Vec<String>>,
    /// In place of the file's `to`.
    pub to: Option<Vec<Target>>,
    /// Not judged at all.
    #[serde(default)]
    pub off: bool,
}

fn ten() -> u64 {
    10
}
fn minute() -> u32 {
    60
}
fn three_minutes() -> u32 {
    180
}

/// What there is to judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// Percent of a system's questions that failed, by operation, over five minutes.
    ErrorRate,
    /// Milliseconds within which 95 of 100 questions were answered, by operation, over five minutes.
    LatencyP95,
    /// Seconds for which the breaker of a system or operation has been open.
    LeftAlone,
    /// By how many percent points fewer callers are found at a system than usual.
    MatchRateDrop,
    /// Minutes until a limit of a system is used up, at the rate of the last ten.
    QuotaMinutes,
    /// Seconds by which a system's clock is apart from ours.
    ClockSkew,
    /// Seconds for which the oldest effect has been due in the outbox.
    OutboxAge,
    /// Seconds since a switch said anything.
    SwitchSilent,
    /// Calls of the last ten minutes to numbers without a row in trunks.yaml.
    UnmappedCalls,
    /// 1 where a system's API or a switch is another version than was expected, or than it was until lately.
    VersionDrift,
    /// 1 where a system's answers say that an operation's way is deprecated.
    Deprecated,
    /// Days until an operation's way ends, as the system's answers say.
    SunsetDays,
    /// 1 while a canary is stopped.
    CanaryStopped,
    /// Percent of a shadow's answers that differ from the other's.
    ShadowDiffers,
    /// Days until a certificate ends: ours, a switch's, a system's.
    CertificateDays,
    /// What our records, a switch or a business system tell differently, and nobody mended or accepted.
    ConsistencyErrors,
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ErrorRate => "failed questions, percent",
            Self::LatencyP95 => "95 of 100 answered within, ms",
            Self::LeftAlone => "left alone, s",
            Self::MatchRateDrop => "fewer callers found than usual, percent points",
            Self::QuotaMinutes => "until the limit is used up, min",
            Self::ClockSkew => "clocks apart, s",
            Self::OutboxAge => "oldest effect due for, s",
            Self::SwitchSilent => "nothing heard for, s",
            Self::UnmappedCalls => "calls without a row within 10 min",
            Self::VersionDrift => "another version",
            Self::Deprecated => "deprecated",
            Self::SunsetDays => "days until its end",
            Self::CanaryStopped => "canary stopped",
            Self::ShadowDiffers => "answers that differ, percent",
            Self::CertificateDays => "days until its end",
            Self::ConsistencyErrors => "differences between records",
        })
    }
}

/// One figure at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub signal: Signal,
    /// The system or switch.
    pub of: String,
    /// And which part of it: an operation, a window.
    pub part: Option<String>,
    pub value: f64,
    /// How many questions it stands on; `None` where that is no matter.
    pub questions: Option<u64>,
    /// What explains it, as it is told.
    pub text: String,
}

impl Sample {
    #[must_use]
    pub fn subject(&self) -> String {
        match &self.part {
            Some(part) => format!("{} {part}", self.of),
            None => self.of.clone(),
        }
    }
}

/// A rule in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub id: String,
    /// By language; empty where there is none.
    pub title: BTreeMap<String, String>,
    pub signal: Signal,
    pub bound: Bound,
    pub minimum: u64,
    pub for_ms: u64,
    pub clear_ms: u64,
    hours: Vec<Hours>,
    only: Option<Vec<String>>,
    pub to: Vec<Target>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    Above(f64),
    Below(f64),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Above(bound) => write!(f, "above {bound}"),
            Self::Below(bound) => write!(f, "below {bound}"),
        }
    }
}

impl Rule {
    /// Whether this figure is one of the rule's.
    #[must_use]
    pub fn concerns(&self, sample: &Sample) -> bool {
        self.signal == sample.signal && self.only.as_ref().is_none_or(|only| only.contains(&sample.of))
    }

    /// Whether it is bad now.
    #[must_use]
    pub fn bad(&self, sample: &Sample, now: Wall, zone: &TimeZone) -> bool {
        let over = match self.bound {
            Bound::Above(bound) => sample.value > bound,
            Bound::Below(bound) => sample.value < bound,
        };
        over && sample.questions.is_none_or(|n| n >= self.minimum) && self.on(now, zone)
    }

    fn on(&self, now: Wall, zone: &TimeZone) -> bool {
        let Ok(at) = jiff::Timestamp::from_millisecond(now.0) else { return true };
        let local = at.to_zoned(zone.clone()).datetime();
        let within = |hours: &Hours| {
            hours.on(local.weekday())
                && hours.times().is_some_and(|(from, to)| from <= local.time() && local.time() < to)
        };
        self.hours.is_empty() || self.hours.iter().any(within)
    }
}

/// All rules in force.
#[derive(Clone, Debug)]
pub struct Rules {
    pub rules: Vec<Rule>,
    pub zone: TimeZone,
}

impl Rules {
    /// The ready rules with a site's file on top of them. `takes`: whether this one can be told.
    ///
    /// # Errors
    /// Every problem of the file; never empty.
    pub fn read(name: &str, text: Option<&str>, takes: &dyn Fn(&Target) -> bool) -> Result<Self, Vec<Problem>> {
        let ready = files::read::<File>("config/alerts.yaml", READY)?.value;
        let Some(text) = text else {
            return Ok(Self { rules: rules(&ready.rules, &ready.to), zone: zone(&ready).unwrap_or(TimeZone::UTC) });
        };
        let read = files::read::<File>(name, text)?;
        let problems = problems(&read, takes);
        if !problems.is_empty() {
            return Err(problems);
        }
        let own = read.value;
        let kept = ready.rules.iter().filter(|rule| own.rules.iter().all(|mine| mine.id != rule.id));
        let mut all: Vec<RuleFile> = kept.chain(&own.rules).cloned().collect();
        for rule in all.iter_mut().filter(|rule| rule.title.is_none()) {
            rule.title = ready.rules.iter().find(|ready| ready.id == rule.id).and_then(|ready| ready.title.clone());
        }
        let zone = zone(&own).or_else(|| zone(&ready)).unwrap_or(TimeZone::UTC);
        Ok(Self { rules: rules(&all, &own.to), zone })
    }
}

fn zone(file: &File) -> Option<TimeZone> {
    TimeZone::get(file.zone.as_deref()?).ok()
}

fn bound(rule: &RuleFile) -> Option<Bound> {
    match (rule.above, rule.below) {
        (Some(bound), None) => Some(Bound::Above(bound)),
        (None, Some(bound)) => Some(Bound::Below(bound)),
        _ => None,
    }
}

fn rules(files: &[RuleFile], to: &[Target]) -> Vec<Rule> {
    let rules = files.iter().filter(|rule| !rule.off).filter_map(|file| {
        Some(Rule {
            id: file.id.clone(),
            title: languages(file.title.as_ref()),
            signal: file.signal,
            bound: bound(file)?,
            minimum: file.minimum,
            for_ms: u64::from(file.for_s) * 1000,
            clear_ms: u64::from(file.clear_s) * 1000,
            hours: file.hours.clone(),
            only: file.only.clone(),
            to: file.to.clone().unwrap_or_else(|| to.to_vec()),
        })
    });
    rules.collect()
}

fn problems(read: &Read<File>, takes: &dyn Fn(&Target) -> bool) -> Vec<Problem> {
    let mut problems = Vec::new();
    let file = &read.value;
    if file.zone.is_some() && zone(file).is_none() {
        problems.push(read.problem_at("/zone", "no time zone", "an IANA name: Asia/Shanghai"));
    }
    let mut targets = |at: String, to: &[Target]| {
        for (n, target) in to.iter().enumerate().filter(|(_, target)| !takes(target)) {
            let (found, wanted) = match target {
                Target::Connector(system) => {
                    (format!("no connector \"{system}\" offers notify"), "the id of one that does")
                }
                Target::Mail(Mail { mail, .. }) if !mail.contains('@') => {
                    ("there is no address".to_owned(), "mail: ops@example.com")
                }
                Target::Mail(Mail { by, .. }) => {
                    (format!("no connector \"{by}\" offers mail.send"), "by: the id of one that does")
                }
                Target::Webhook(Hook { webhook }) => {
                    (format!("there is no webhook \"{webhook}\" of the standard format"), "a name of webhooks.yaml")
                }
            };
            problems.push(read.problem_at(&format!("{at}/{n}"), found, wanted));
        }
    };
    targets("/to".to_owned(), &file.to);
    for (n, rule) in file.rules.iter().enumerate() {
        targets(format!("/rules/{n}/to"), rule.to.as_deref().unwrap_or_default());
    }
    for (n, rule) in file.rules.iter().enumerate() {
        let at = format!("/rules/{n}");
        let number = [rule.above, rule.below].into_iter().flatten().all(f64::is_finite);
        if bound(rule).is_none() || !number {
            problems.push(read.problem_at(&at, "it does not say what is bad", "either \"above:\" or \"below:\""));
        }
        if rule.id.is_empty() || file.rules.iter().take(n).any(|other| other.id == rule.id) {
            problems.push(read.problem_at(
                &format!("{at}/id"),
                "no id, or one that is there already",
                "an id of its own",
            ));
        }
        for (m, hours) in rule.hours.iter().enumerate() {
            for (key, found, wanted) in hours.problems() {
                problems.push(read.problem_at(&format!("{at}/hours/{m}/{key}"), found, wanted));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ready_rule_has_a_title_in_both_languages_and_lends_it_to_a_rule_in_its_place() {
        let takes = |_: &Target| true;
        let titles = |rules: &Rules, id: &str| rules.rules.iter().find(|rule| rule.id == id).unwrap().title.clone();
        for rule in Rules::read("alerts.yaml", None, &takes).unwrap().rules {
            assert_eq!(rule.title.keys().collect::<Vec<_>>(), ["en", "zh"], "{}", rule.id);
        }
        let own = "rules:\n  - {id: latency, signal: latency-p95, above: 1}\n  - {id: mine, signal: outbox-age, above: 1}\n  - {id: quota, title: Our limit, signal: quota-minutes, below: 1}\n";
        let rules = Rules::read("alerts.yaml", Some(own), &takes).unwrap();
        assert_eq!(titles(&rules, "latency")["en"], "Answers come late");
        assert_eq!(titles(&rules, "quota")["en"], "Our limit");
        assert!(titles(&rules, "mine").is_empty());
    }
}
