//! The call record, version 1: what `replay` prints, `records` store and connectors receive.
//!
//! A key that is absent means not known from this feed; nothing is invented to fill one. Durations are milliseconds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    numbers::{Class, Number},
    private::Private,
    words::{AgentId, CallId, SwitchId, TenantId, Wall},
};

use super::{attributes::Fault, change::TransferKind};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Version of this shape.
    pub record: u32,
    /// Counts amendments from 1.
    pub revision: u32,
    pub call: CallId,
    pub tenant: TenantId,
    pub switch: SwitchId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    pub origin: Origin,
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<Customer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialled: Option<Number>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presented: Option<Number>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trunk: Option<String>,
    /// What trunks.yaml calls the line that was called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    pub end: End,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<EndedBy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Wall>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<Wall>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Wall>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub talk_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrap_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_agent: Option<AgentId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_agent: Option<AgentId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents: Option<Vec<AgentId>>,
    #[serde(default)]
    pub parties: Vec<Party>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfers: Option<Vec<Transfer>>,
    #[serde(default)]
    pub segments: Vec<Segment>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wrapups: Vec<WrapUp>,
    /// In the order in which they began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recordings: Vec<Recording>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Private<String>>,
    /// Attributes that are not what their mapping says, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attribute_faults: BTreeMap<String, Fault>,
    #[serde(default)]
    pub ids: Vec<Id>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<Related>,
    pub quality: Quality,
    /// When what it told of a person was taken out of it (`linecard people erase`); nothing is added to it any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased_at: Option<Wall>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    Inbound,
    Outbound,
    Internal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    #[default]
    Phone,
    ClickToDial,
    Callback,
    Campaign,
    Flow,
}

/// The record or ticket a call was started from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Reference {
    pub system: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub id: String,
}

impl Reference {
    /// A callback of ours (`records::callbacks`).
    #[must_use]
    pub fn callback(id: CallId) -> Self {
        Self { system: "linecard".to_owned(), kind: "callback".to_owned(), id: id.to_string() }
    }

    #[must_use]
    pub fn is_callback(&self) -> bool {
        self.system == "linecard" && self.kind == "callback"
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<Private<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub e164: Option<Private<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// True: the number appears nowhere and is not looked up. Absent: this feed cannot tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withheld: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Private<String>>,
    /// Who this is at the business systems, once known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Reference>,
    /// An agent said that it is nobody who is to be linked: none of those who were found, or only the call is kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nobody: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Answered,
    Abandoned,
    Unanswered,
    SelfService,
    Voicemail,
    Closed,
    Busy,
    Rejected,
    Failed,
    NoAnswer,
    Cancelled,
    AgentUnreached,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    Seen,
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndedBy {
    Customer,
    Agent,
    Switch,
    Application,
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// ITU-T Q.850.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q850: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    pub id: String,
    pub role: PartyRole,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<Private<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartyRole {
    Customer,
    Agent,
    Supervisor,
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    pub kind: TransferKind,
    pub from: AgentId,
    /// The agent who answered, else the number.
    pub to: Private<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Wall>,
    pub certain: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    pub kind: SegmentKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub party: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Wall>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Wall>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<SegmentOutcome>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SegmentKind {
    Ivr,
    Queue,
    Ring,
    Talk,
    Hold,
    Consult,
    Conference,
    Park,
    Voicemail,
    Monitor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SegmentOutcome {
    Answered,
    NoAnswer,
    Busy,
    Rejected,
    Elsewhere,
    Cancelled,
    Unreachable,
    Abandoned,
    Overflow,
    Timeout,
    Empty,
    Full,
    ExitKey,
    Transferred,
    Lost,
}

/// What an agent said of the call afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrapUp {
    pub agent: AgentId,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disposition: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<Private<String>>,
    /// From the end of the agent's talk to the wrap-up's completion; absent while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ms: Option<u64>,
}

/// One recording that the switch made of a leg of the call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// The file's name; dialplans put numbers into it.
    pub id: Private<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Wall>,
    /// Absent while it goes on, and where the feed does not tell when one is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Wall>,
    pub uri: Private<String>,
    pub state: RecordingState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordingState {
    Recording,
    Recorded,
    /// Nobody saw its end.
    Lost,
    /// Older than its tenant keeps recordings: not served any more.
    Expired,
    /// The same, and its file was removed.
    Removed,
}

/// What the switch calls this call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Id {
    pub switch: SwitchId,
    /// `linkedid`, `uniqueid`, `sip-call-id`, `uuid` or `bridge`.
    pub kind: String,
    pub value: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Related {
    pub call: CallId,
    pub relation: String,
    pub certain: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quality {
    Exact,
    /// A time was guessed, or the call was lost or adopted.
    Estimated,
    /// Known to have existed and not seen.
    Gap,
}
