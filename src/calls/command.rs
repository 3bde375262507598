//! What an agent asks of a line. Joined to the switches only in `daemon/wiring.rs`.

use crate::{
    private::Private,
    words::{AgentId, SwitchId, TenantId},
};

use super::record::Reference;

/// Names one request of one agent to a switch; for a dial it is also the channel id the switch is told to use
/// (`lc-` and a ULID), so that the leg that comes is known to be the one that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub String);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Dial(Dial),
}

impl Command {
    /// Under what name it is answered.
    #[must_use]
    pub const fn request(&self) -> &RequestId {
        match self {
            Self::Dial(dial) => &dial.request,
        }
    }
}

/// Click-to-dial: the agent's phone first, then the number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    pub request: RequestId,
    pub tenant: TenantId,
    pub switch: SwitchId,
    pub agent: AgentId,
    /// The device that rings first, as the switch names it (`PJSIP/1001`).
    pub device: String,
    /// As it was typed, stored or clicked; then, as the switch is told it, the digits that its `dial.out` made of it.
    pub number: Private<String>,
    /// The record or ticket it was started from.
    pub reference: Option<Reference>,
}

/// Why a command could not be done. The words an agent's `failed` frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    Busy,
    NoAnswer,
    NotRegistered,
    NotPermitted,
    AgentInCall,
    UnknownTarget,
    /// Withheld, a source of messages, or digits that are no number: nobody can call it.
    NotDialable,
    SwitchUnavailable,
    Timeout,
}
