//! What is asked of a business system, and how it ends.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    private::Private,
    words::{SystemId, TenantId, trouble::Trouble},
};

/// One operation at one system.
#[derive(Clone, Debug)]
pub struct Ask {
    pub tenant: TenantId,
    pub system: SystemId,
    /// One of [`super::operation::OPERATIONS`], for example `ticket.create`.
    pub operation: String,
    /// The operation's inputs; which there are stands in [`super::operation`]. Unknown ones are ignored, missing required
    /// ones give [`Outcome::Invalid`].
    pub inputs: Map<String, Value>,
    /// For the whole of it, waiting for a free place at the system included. The file's own deadline may be shorter.
    pub deadline: Duration,
    pub priority: Priority,
}

/// Who waits for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Priority {
    /// A phone rings.
    Pop,
    /// The outbox, a check.
    Background,
}

/// What makes it safe to do an operation again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Idempotency {
    /// The system keeps a key of ours and does nothing twice.
    Key,
    /// The same PUT again changes nothing.
    Put,
    /// This operation finds by our call id (or effect key) what was written. [`super::Connectors::run`] runs it before each
    /// write by itself, so that running the write again is safe.
    Lookup(String),
    /// Nothing is written.
    Read,
    /// After [`Outcome::Unknown`] only a person can tell.
    None,
}

/// How it ended. Reasons are lower-case fragments without personal data or secrets, fit for logs and screens.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// What the operation's file maps: one object, or a list of them. Numbers keep every digit.
    Ok(Value),
    /// Asked, and there is nothing.
    Empty,
    /// The thing that was named does not exist.
    NotFound,
    Denied {
        reason: String,
    },
    AuthExpired {
        reason: String,
    },
    /// One was expected and several are there.
    Ambiguous {
        count: usize,
        reason: String,
    },
    /// The system refuses these values, or ours do not fit the file: trying again is no use.
    Invalid {
        reason: String,
    },
    Conflict {
        reason: String,
    },
    RateLimited {
        wait_ms: Option<u64>,
    },
    /// Nothing was done and later may be better: no connection, no place, 503.
    Busy {
        reason: String,
    },
    /// An answer that fits nothing the file knows: the file or the system is wrong. For a write it may have happened.
    Broken {
        reason: String,
    },
    /// The request went out and no usable answer came: a write may have happened.
    Unknown {
        reason: String,
    },
}

/// Something seen on the way to an outcome, for whoever has to explain it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "saw", rename_all = "kebab-case")]
pub enum Saw {
    /// The index of numbers named so many customers, who are then asked for by id. What it knows is as old as this.
    Indexed { customers: usize, age_ms: u64 },
    /// A request of this step was answered; without a status nothing usable came.
    Answered {
        step: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
    },
    /// A record of the answer was taken.
    Matched {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Private<String>>,
        /// In the file's words: which of its numbers it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// The system gave a record that is not what was asked for.
    Refused {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Private<String>>,
        why: String,
    },
}

/// Takes what is seen; see [`super::Connectors::run_seen`].
pub type Seen = Arc<Mutex<Vec<Saw>>>;

impl Outcome {
    /// One word for counters and logs.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Ok(_) => "ok",
            Self::Empty => "empty",
            Self::NotFound => "not-found",
            Self::Denied { .. } => "denied",
            Self::AuthExpired { .. } => "auth-expired",
            Self::Ambiguous { .. } => "ambiguous",
            Self::Invalid { .. } => "invalid",
            Self::Conflict { .. } => "conflict",
            Self::RateLimited { .. } => "rate-limited",
            Self::Busy { .. } => "busy",
            Self::Broken { .. } => "broken",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// What went wrong, for those who say it in their own language.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::RateLimited { wait_ms: Some(ms) } => Some(Trouble::RateLimited { seconds: Some(ms.div_ceil(1_000)) }),
            other => Trouble::of(other.word()),
        }
    }

    /// The reason, where there is one.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Ok(_) | Self::Empty | Self::NotFound => None,
            Self::RateLimited { .. } => Some("asked too often"),
            Self::Denied { reason }
            | Self::AuthExpired { reason }
            | Self::Ambiguous { reason, .. }
            | Self::Invalid { reason }
            | Self::Conflict { reason }
            | Self::Busy { reason }
            | Self::Broken { reason }
            | Self::Unknown { reason } => Some(reason),
        }
    }
}
