//! `people:` of linecard.yaml.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::words::{TenantId, Wall};

const DAY_MS: i64 = 86_400_000;

/// How long what we hold of people is kept, and where views of customers are on record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Who is not here keeps it for ever.
    pub keep: Vec<Keep>,
    /// Tenants for which it is written down who was shown which customer.
    #[schemars(with = "Vec<String>")]
    pub views: Vec<TenantId>,
}

/// One tenant's retention.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    #[serde(default)]
    #[schemars(with = "String")]
    pub tenant: TenantId,
    /// From the end of a call: its record, notes, outbox entries, traces and flows; choices of customers and last contacts from their own moment.
    #[serde(default)]
    pub days: Option<u32>,
    /// Rows of the audit.
    #[serde(default)]
    pub audit_days: Option<u32>,
}

impl Keep {
    /// What ended before is too old: of calls, and of the audit.
    #[must_use]
    pub fn before(&self, now: Wall) -> (Option<Wall>, Option<Wall>) {
        let before = |days: u32| now.plus_ms(-i64::from(days) * DAY_MS);
        (self.days.map(before), self.audit_days.map(before))
    }
}

impl Settings {
    /// What is wrong beyond the shape: key (below `people`), found, wanted. `recordings`: for how many days a tenant's recordings are kept until they are removed.
    #[must_use]
    pub fn problems(&self, recordings: impl Fn(&TenantId) -> Option<u32>) -> Vec<(String, String, &'static str)> {
        let mut out = Vec::new();
        for (n, keep) in self.keep.iter().enumerate() {
            if self.keep.iter().take(n).any(|other| other.tenant == keep.tenant) {
                out.push((
                    format!("keep[{n}].tenant"),
                    format!("{} stands there twice", keep.tenant),
                    "each tenant once",
                ));
            }
            // A switch's own records are read up to a week late, and the outbox tries for three days.
            for (name, days) in [("days", keep.days), ("audit_days", keep.audit_days)] {
                if days.is_some_and(|days| !(14..=36_500).contains(&days)) {
                    out.push((format!("keep[{n}].{name}"), days.unwrap_or_default().to_string(), "14 to 36500 days"));
                }
            }
            if let (Some(days), Some(sound)) = (keep.days, recordings(&keep.tenant))
                && days <= sound
            {
                out.push((
                    format!("keep[{n}].days"),
                    format!("{days}, and recordings.keep has {sound}"),
                    "more days than the recordings: without its record nobody finds and removes a recording",
                ));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_meant_is_told() {
        let keep = |tenant: &str, days, audit_days| Keep { tenant: tenant.into(), days, audit_days };
        let settings = Settings {
            keep: vec![
                keep("a", Some(400), Some(30)),
                keep("a", Some(13), None),
                keep("b", Some(90), Some(0)),
                keep("c", None, None),
            ],
            views: Vec::new(),
        };
        let found = settings.problems(|tenant| (tenant.as_str() == "b").then_some(90));
        let keys: Vec<&str> = found.iter().map(|(key, ..)| key.as_str()).collect();
        assert_eq!(keys, ["keep[1].tenant", "keep[1].days", "keep[2].audit_days", "keep[2].days"]);
        assert_eq!(keep("a", Some(1), None).before(Wall(DAY_MS * 3)), (Some(Wall(DAY_MS * 2)), None));
    }
}
