//! `config/trunks.yaml`: what a dialled number means. First match wins.

use std::sync::Arc;

use serde::Deserialize;

use crate::words::{SwitchId, SystemId, TenantId};

/// One row of the mapping: a dialled number (as E.164, short code or raw digits) at a switch and trunk.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrunkRow {
    /// Only for calls of this switch; absent: any.
    pub switch: Option<SwitchId>,
    /// Only for calls on this trunk; absent: any.
    pub trunk: Option<String>,
    /// The dialled number, quoted. Absent: every number (the last row, usually).
    pub dialled: Option<String>,
    #[serde(default)]
    pub tenant: TenantId,
    /// What the agent sees as the line's name.
    pub title: Option<String>,
    pub brand: Option<String>,
    pub language: Option<String>,
    /// IANA time zone.
    pub zone: Option<String>,
    /// What the agent sees as the queue's name.
    pub queue_label: Option<String>,
    /// Which systems are asked who calls, in the order of their blocks. Absent: all.
    pub connectors: Option<Vec<SystemId>>,
}

/// All rows, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrunkMap {
    pub rows: Vec<Arc<TrunkRow>>,
}
