//! What an operator can say about flows.

use serde::Deserialize;

use crate::records::Delivery;

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
        }
    }
}

impl Settings {
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
