//! How each switch speaks; gives what happened on the line.
//!
//! One file in `config/switches/` is one switch; its first key is its kind. The list of kinds is closed: adding one is a folder, captures, an
//! example, one line in [`Settings`], and the compiler points at every place that has to know.

pub mod asterisk;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    files::{Problem, Read},
    words::{SwitchId, TenantId},
};

/// What a file in `config/switches/` says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Settings {
    Asterisk(asterisk::Settings),
}

impl Settings {
    #[must_use]
    pub fn id(&self) -> &SwitchId {
        match self {
            Self::Asterisk(s) => &s.id,
        }
    }

    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        match self {
            Self::Asterisk(s) => &s.tenant,
        }
    }

    /// What the shape of the file cannot say; empty when it is good.
    #[must_use]
    pub fn problems(&self, read: &Read<Settings>) -> Vec<Problem> {
        match self {
            Self::Asterisk(s) => s.problems(read),
        }
    }
}
