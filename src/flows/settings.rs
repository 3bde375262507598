//! What an operator can say about flows.

use serde::Deserialize;

use crate::{records::Delivery, words::Wall};

/// The `flows:` part of linecard.yaml.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Flows that are carried on at a time; the others wait in the store.
    pub at_once: usize,
    /// For one attempt of a step, the connector's own looks included.
    pub deadline_ms: u64,
    /// After an unknown outcome: how long a system may need to finish what it began, before we look.
    pub quiet_ms: u64,
    /// Wait after the first failure of a step; it doubles, with full jitter.
    pub backoff_ms: u64,
    pub backoff_cap_ms: u64,
    /// How long a step is tried where its file does not say.
    pub within_ms: u64,
    /// How long an undo is tried before it is a person's.
    pub undo_within_ms: u64,
    /// How long a flow that is over is kept, and with it what `once` knows.
    pub keep_days: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            at_once: 64,
            deadline_ms: 15_000,
            quiet_ms: 15_000,
            backoff_ms: 1_000,
            backoff_cap_ms: 60_000,
            within_ms: 600_000,
            undo_within_ms: 3_600_000,
            keep_days: 400,
        }
    }
}

impl Settings {
    /// What cannot be meant: key, what was found, what would be right.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String, &'static str)> {
        // A record may begin its flows, and an event come again, for days: what they began must be known then.
        match (14..=36_500).contains(&self.keep_days) {
            true => Vec::new(),
            false => vec![("keep_days", self.keep_days.to_string(), "14 to 36500 days")],
        }
    }

    /// What was over before is too old.
    #[must_use]
    pub(super) fn before(&self, now: Wall) -> Wall {
        now.plus_ms(-i64::from(self.keep_days) * 86_400_000)
    }

    /// As the judgement of outcomes needs it.
    #[must_use]
    pub(super) fn delivery(&self, within_ms: u64) -> Delivery {
        Delivery {
            deadline_ms: self.deadline_ms,
            quiet_ms: self.quiet_ms,
            backoff_ms: self.backoff_ms,
            backoff_cap_ms: self.backoff_cap_ms,
            give_up_after_ms: within_ms,
            ..Delivery::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_are_kept_for_two_weeks_at_least() {
        let told = |keep_days| Settings { keep_days, ..Settings::default() }.problems();
        assert_eq!(told(13), [("keep_days", "13".to_owned(), "14 to 36500 days")]);
        assert!(told(14).is_empty() && Settings::default().problems().is_empty());
        const DAY: i64 = 86_400_000;
        assert_eq!(Settings { keep_days: 14, ..Settings::default() }.before(Wall(20 * DAY)), Wall(6 * DAY));
    }
}
