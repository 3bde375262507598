//! `kpis:` of linecard.yaml.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;

/// What the figures of docs/kpis.md are counted by.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// IANA name of the zone in which a day is a day.
    pub zone: String,
    /// A call is answered in time if somebody answers within so many seconds.
    pub service_level_s: u32,
    /// The same for single queues, as the switch names them.
    pub service_levels: BTreeMap<String, u32>,
    /// Who hangs up within so many seconds was not served badly: such calls are counted apart.
    pub short_abandon_s: u32,
    /// A customer who comes again within so many days was not helped the first time.
    pub fcr_days: u32,
    /// The attribute of a record that says whether the customer was helped, and by which values.
    pub resolved: Resolved,
    /// The attribute with a survey's score.
    pub csat: Csat,
    /// The attribute with the answer, 0 to 10, to "would you recommend us".
    pub nps: Nps,
    /// From where on a board calls a figure over its limit.
    pub limits: Limits,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Callers who wait in a queue.
    pub waiting: u32,
    /// Seconds that one of them waits.
    pub longest_s: u32,
    /// Percent of today's calls that are to be answered in time.
    pub service_level: u8,
    /// Percent of today's callers who may give up.
    pub abandonment: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Resolved {
    pub attribute: String,
    pub yes: Vec<String>,
    pub no: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Csat {
    pub attribute: String,
    /// Scores from this one on are content customers.
    pub good: u8,
    /// The best score, at most 10.
    pub best: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Nps {
    pub attribute: String,
}

impl Default for Resolved {
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        Self {
            attribute: "survey.resolved".to_owned(),
            yes: words(&["yes", "1", "true"]),
            no: words(&["no", "0", "false"]),
        }
    }
}

impl Default for Csat {
    fn default() -> Self {
        Self { attribute: "survey.score".to_owned(), good: 4, best: 5 }
    }
}

impl Default for Nps {
    fn default() -> Self {
        Self { attribute: "survey.nps".to_owned() }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            zone: "Asia/Shanghai".to_owned(),
            service_level_s: 20,
            service_levels: BTreeMap::new(),
            short_abandon_s: 5,
            fcr_days: 7,
            resolved: Resolved::default(),
            csat: Csat::default(),
            nps: Nps::default(),
            limits: Limits::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { waiting: 5, longest_s: 60, service_level: 80, abandonment: 5 }
    }
}

impl Settings {
    /// Key (below `kpis`), what was found, what would be right.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String, &'static str)> {
        let mut out = Vec::new();
        if TimeZone::get(&self.zone).is_err() {
            out.push(("zone".to_owned(), self.zone.clone(), "an IANA time zone, for example Asia/Shanghai"));
        }
        let mut seconds = |key: String, s: u32| {
            if !(1..=3600).contains(&s) {
                out.push((key, s.to_string(), "1 to 3600"));
            }
        };
        seconds("service_level_s".to_owned(), self.service_level_s);
        self.service_levels.iter().for_each(|(queue, s)| seconds(format!("service_levels.{queue}"), *s));
        if self.short_abandon_s > 60 {
            out.push(("short_abandon_s".to_owned(), self.short_abandon_s.to_string(), "0 to 60"));
        }
        if !(1..=90).contains(&self.fcr_days) {
            out.push(("fcr_days".to_owned(), self.fcr_days.to_string(), "1 to 90"));
        }
        if self.csat.best > 10 || self.csat.good > self.csat.best || self.csat.good == 0 {
            let found = format!("good: {}, best: {}", self.csat.good, self.csat.best);
            out.push(("csat".to_owned(), found, "good from 1 to best, best at most 10"));
        }
        if let Some(both) = self.resolved.yes.iter().find(|word| self.resolved.no.contains(word)) {
            out.push(("resolved".to_owned(), format!("{both} is yes and no"), "each value once"));
        }
        for (key, percent) in
            [("limits.service_level", self.limits.service_level), ("limits.abandonment", self.limits.abandonment)]
        {
            if percent > 100 {
                out.push((key.to_owned(), percent.to_string(), "0 to 100"));
            }
        }
        out
    }

    /// How long a call of this queue may wait, milliseconds.
    #[must_use]
    pub fn in_time_ms(&self, queue: Option<&str>) -> u64 {
        let own = queue.and_then(|queue| self.service_levels.get(queue));
        u64::from(*own.unwrap_or(&self.service_level_s)) * 1000
    }

    #[must_use]
    pub fn short_ms(&self) -> u64 {
        u64::from(self.short_abandon_s) * 1000
    }

    /// The zone; settings that were checked have one.
    #[must_use]
    pub fn zone(&self) -> TimeZone {
        TimeZone::get(&self.zone).unwrap_or(TimeZone::UTC)
    }
}
