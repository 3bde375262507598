//! How each switch speaks; gives what happened on the line.
//!
//! One file in `config/switches/` is one switch; its first key is its kind. The list of kinds is closed: adding one is a folder, captures, an
//! example, one line in [`Settings`], and the compiler points at every place that has to know.

pub mod ability;
pub mod asterisk;
mod attributes;
mod dialled;
pub mod esl;
pub mod hep;
pub mod inside;
pub mod link;
pub mod live;
pub mod pairs;
pub mod sip;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    calls::{
        attributes::Mapping,
        book::fits,
        command::{Outcome, RequestId},
        event::{Event, Feed},
    },
    files::{Problem, Read},
    numbers::OutRule,
    words::{Now, SwitchId, TenantId},
};

/// What a link hands on to the core. A full channel loses only events, and never silently: a `Gap` and a snapshot follow.
#[derive(Debug)]
pub struct Said {
    pub switch: SwitchId,
    pub feed: Feed,
    /// When it was heard.
    pub at: Now,
    pub what: Heard,
}

#[derive(Debug, PartialEq)]
pub enum Heard {
    /// For the book, in order. `LinkLost`, `Gap` and `Snapshot` are among them.
    Events(Vec<Event>),
    /// For screens, metrics and readiness; the book hears of it by events.
    Link(LinkState),
    /// What keeps devices from ringing with a pop. For screens; told whole when it changes.
    Devices(Devices),
    /// The one answer to a command: `Ok` is "it is done", with what exists now; for a dial, "the agent's leg exists".
    Answered { request: RequestId, result: Outcome },
}

/// Devices (`SIP/1001`) of a switch that may not ring, or ring without a pop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Devices {
    /// Watched, and nothing is known of their calls now: not seen is not idle.
    pub unseen: BTreeSet<String>,
    /// Known to have no phone. Of whom it is not known is not in it.
    pub unregistered: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// What the other end says it is.
    Up { version: String },
    /// Why, in words; without personal data.
    Down { reason: String },
}

/// Whom to trust.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file of the authorities that may have signed the switch's certificate.
    #[serde(default = "ca_file")]
    pub ca_file: std::path::PathBuf,
    /// The name in the certificate, where it is not the host connected to. Only for AMI.
    #[serde(default)]
    pub server_name: Option<String>,
}

/// What a file in `config/switches/` says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(clippy::large_enum_variant, reason = "there is one for each switch, made once")]
pub enum Settings {
    Asterisk(asterisk::Settings),
    #[serde(rename = "freeswitch")]
    FreeSwitch(esl::Settings),
    Sip(sip::Settings),
}

/// The system's authorities.
impl Default for Tls {
    fn default() -> Self {
        Self { ca_file: ca_file(), server_name: None }
    }
}

fn ca_file() -> std::path::PathBuf {
    "/etc/ssl/certs/ca-certificates.crt".into()
}

/// Where a switch's file does not say.
fn zone() -> String {
    "Asia/Shanghai".to_owned()
}
fn country() -> String {
    "CN".to_owned()
}

/// Rules of `dial.out` that name a trunk which is none of the switch: key below `out`, what was found, what would be right.
fn unknown_trunks<'a>(
    out: &'a [OutRule],
    trunks: &'a [String],
) -> impl Iterator<Item = (String, String, &'static str)> + 'a {
    let known = |name: &str| {
        let short = name.split_once('/').map_or(name, |(_, short)| short);
        trunks.iter().any(|pattern| fits(pattern, name, false) || fits(pattern, short, false))
    };
    let unknown = move |(i, rule): (usize, &OutRule)| {
        let name = rule.trunk.as_ref().filter(|name| !name.is_empty() && !known(name))?;
        let found = format!("{name:?} is none of the switch's \"trunks\"");
        Some((format!("[{i}].trunk"), found, "an endpoint that one of \"trunks\" takes"))
    };
    out.iter().enumerate().filter_map(unknown)
}

impl Settings {
    #[must_use]
    pub fn id(&self) -> &SwitchId {
        match self {
            Self::Asterisk(s) => &s.id,
            Self::FreeSwitch(s) => &s.id,
            Self::Sip(s) => &s.id,
        }
    }

    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        match self {
            Self::Asterisk(s) => &s.tenant,
            Self::FreeSwitch(s) => &s.tenant,
            Self::Sip(s) => &s.tenant,
        }
    }

    /// Endpoints that are trunks.
    #[must_use]
    pub fn trunks(&self) -> Vec<String> {
        match self {
            Self::Asterisk(s) => s.trunks.clone(),
            Self::FreeSwitch(s) => s.trunks.clone(),
            Self::Sip(s) => s.trunks(),
        }
    }

    /// What is kept of a call besides the call.
    #[must_use]
    pub fn attributes(&self) -> &[Mapping] {
        match self {
            Self::Asterisk(s) => &s.attributes,
            Self::FreeSwitch(s) => &s.attributes,
            Self::Sip(s) => &s.attributes,
        }
    }

    /// What stands before an extension where this switch names a phone.
    #[must_use]
    pub const fn technology(&self) -> &'static str {
        match self {
            Self::Asterisk(_) => "PJSIP",
            Self::FreeSwitch(_) => "sofia",
            Self::Sip(_) => "SIP",
        }
    }

    /// What the shape of the file cannot say; empty when it is good.
    #[must_use]
    pub fn problems(&self, read: &Read<Settings>) -> Vec<Problem> {
        match self {
            Self::Asterisk(s) => s.problems(read),
            Self::FreeSwitch(s) => s.problems(read),
            Self::Sip(s) => s.problems(read),
        }
    }
}
