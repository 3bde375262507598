//! What an operator can say about the store.

use std::path::PathBuf;

use serde::Deserialize;

/// The `store:` part of linecard.yaml.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The database file; its `-wal`, `-shm` and `.lock` lie beside it.
    pub path: PathBuf,
    /// Who writes, for the `owner` columns: one name per daemon.
    pub owner: String,
    /// How long a commit waits for company, in milliseconds. It delays `done` to an agent, never a pop.
    pub commit_window_ms: u64,
    /// Batches that share one commit at most.
    pub commit_batches: usize,
    /// What to do with a damaged file.
    pub on_damage: OnDamage,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            path: "/var/lib/linecard/linecard.db".into(),
            owner: "linecard".to_owned(),
            // One fdatasync is 0.1 to 1 ms; at 500 calls a second 3 ms gather about four batches, and nobody notices 3 ms.
            commit_window_ms: 3,
            commit_batches: 64,
            on_damage: OnDamage::Refuse,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnDamage {
    /// Do not start; say what is wrong.
    Refuse,
    /// Rename the file to `<name>.damaged-<time>` and start with a new one. Nothing is deleted.
    SetAside,
}
