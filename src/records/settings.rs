//! What an operator can say about deliveries.

use serde::Deserialize;

/// The `outbox:` part of linecard.yaml.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Delivery {
    /// Deliveries under way at one system at a time.
    pub per_system: usize,
    /// For one attempt, the connector's own looks included.
    pub deadline_ms: u64,
    /// After an unknown outcome: how long a system may need to finish what it began, before we look.
    pub quiet_ms: u64,
    /// Wait after the first failure; it doubles, with full jitter.
    pub backoff_ms: u64,
    /// The longest wait.
    pub backoff_cap_ms: u64,
    /// From when it was due, then it is given up.
    pub give_up_after_ms: u64,
    /// At shutdown: how long deliveries under way may take to end.
    pub grace_ms: u64,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            per_system: 4,
            deadline_ms: 15_000,
            quiet_ms: 15_000,
            backoff_ms: 1_000,
            backoff_cap_ms: 900_000,
            give_up_after_ms: 72 * 3_600_000,
            grace_ms: 5_000,
        }
    }
}
