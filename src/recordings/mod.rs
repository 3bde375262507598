//! Who may hear which recording, where its bytes are, and for how long they are kept.
//!
//! The switch records; the call's record says what and when. An agent asks for a recording on the WebSocket and is given a link ([`links`]): a path
//! with a token that is good for this one recording and a few minutes. [`live`] answers such asks and serves what the agents' listener is asked for:
//! by range ([`range`]), from a folder of this machine ([`folder`]) or by HTTP from the switch ([`http`]). [`permit`] decides who may hear a call,
//! [`retention`] what is too old.
//!
//! What it leaves out: it never records, never changes a file, and never removes one that no old record of the tenant names.

pub mod folder;
pub mod http;
pub mod links;
pub mod live;
pub mod permit;
pub mod range;
pub mod retention;
mod settings;
pub mod wire;

use std::sync::Arc;

use crate::{
    calls::{Directory, Record},
    private::Private,
    words::{AgentId, CallId, SwitchId, TenantId, Wall},
};

pub use settings::{Keep, Place, Settings};

/// An agent wants to hear a call.
#[derive(Debug)]
pub struct Ask {
    /// Comes back with the answer.
    pub token: u64,
    pub asker: Asker,
    pub call: CallId,
    /// Which of the call's recordings, from 0.
    pub recording: usize,
    /// The record where it is at hand; the store is asked otherwise.
    pub known: Option<Box<Record>>,
    /// Who is in whose team.
    pub directory: Arc<Directory>,
}

/// Who asks, by their token and the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    pub tenant: TenantId,
    pub agent: AgentId,
    pub roles: Vec<String>,
}

/// What came of an ask.
#[derive(Debug)]
pub struct Answer {
    pub token: u64,
    pub result: Result<Link, Refused>,
}

/// Where a recording can be heard for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Below the address of the agents' listener.
    pub url: Private<String>,
    pub expires_at: Wall,
    pub recording: usize,
    /// How many recordings the call has.
    pub of: usize,
}

/// Why there is no link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refused {
    NotPermitted,
    /// There is no such call, or it has no such recording.
    Unknown,
    /// Too old, or removed.
    Gone,
    /// The call is still up.
    CallUp,
    /// The settings name no place for recordings of this switch.
    NoPlace,
    /// It is not where it should be, or nobody can say now.
    Unavailable,
}

impl Refused {
    /// For the audit.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotPermitted => "not-permitted",
            Self::Unknown => "unknown-recording",
            Self::Gone => "recording-gone",
            Self::CallUp => "call-up",
            Self::NoPlace => "no-place",
            Self::Unavailable => "unavailable",
        }
    }
}

/// What the agents' room needs to know of the settings: which calls have something to hear, and for whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offered {
    pub switches: Vec<SwitchId>,
    pub own: bool,
    pub all: Vec<String>,
}

impl Offered {
    /// Whether an agent who was in a call at this switch may hear it.
    #[must_use]
    pub fn to<'a>(&self, switch: &SwitchId, mut roles: impl Iterator<Item = &'a str>) -> bool {
        self.switches.contains(switch) && (self.own || roles.any(|role| self.all.iter().any(|all| all == role)))
    }
}
