//! What the book concluded from what the switches said.

use serde::{Deserialize, Serialize};

use crate::words::{AgentId, CallId, Now};

use super::command::RequestId;

/// One conclusion about one call. Changes of a call come in the order in which they were concluded; whoever needs
/// more than is said here reads the call's [`super::Face`] in the book, which is already the state after the change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub call: CallId,
    pub at: Now,
    pub what: What,
}

/// Names follow CSTA III (ECMA-269) where it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// First sight of a call: identity is committed, lookups start.
    Appeared,
    /// A click-to-dial that an agent asked for has its first leg (the agent's). Follows `Appeared`.
    Launched {
        request: RequestId,
    },
    /// Number, dialled number, queue, name or attributes became known or changed.
    Informed,
    Queued {
        queue: String,
    },
    /// Delivered: an agent's phone rings with it, or for an agent's own outbound call, it is being made. The pop.
    Offered(Offer),
    /// The offer is over without this agent having the call.
    Withdrawn {
        offer: Offer,
        reason: Withdrawal,
        /// Who took it instead, where that is an agent.
        by: Option<AgentId>,
    },
    /// The agent talks with the customer (or, for `Role::Consult`, with the colleague). A phone that answers by itself gives
    /// `Offered` and `Established` at once.
    Established(Offer),
    Held {
        agent: AgentId,
    },
    Retrieved {
        agent: AgentId,
    },
    Transferred {
        kind: TransferKind,
        from: AgentId,
        to: Option<AgentId>,
    },
    /// The agent's connection is cleared; the call may go on elsewhere.
    Cleared {
        offer: Offer,
    },
    /// CallCleared: the call is over and its record complete, as far as is known now.
    Ended,
    /// A fact came late: the record has a new revision.
    Amended,
    /// This call proved to be part of another (a consultation before its transfer): it gets no record of its own; screens
    /// go on under the other id.
    Absorbed {
        into: CallId,
    },
}

/// One agent asked to take one call, once. `ordinal` counts the offers of the call from 1, so (call, ordinal) is a pop's id and is
/// the same after a restart and in a replay. Two devices of one agent ringing are one offer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Offer {
    pub ordinal: u32,
    pub agent: AgentId,
    pub device: String,
    pub role: Role,
}

/// Why the agent has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// From a queue, or rung directly.
    Inbound,
    /// The agent's own outbound call.
    Outbound,
    /// A colleague asks while the customer holds; becomes `Transfer` when the customer is handed over.
    Consult,
    /// Handed over by a colleague.
    Transfer,
    /// A colleague's call, no customer in it.
    Internal,
}

/// Why a pop is taken back; the words of `pop.withdrawn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Withdrawal {
    AnsweredElsewhere,
    NoAnswer,
    Rejected,
    CallerGone,
    Transferred,
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TransferKind {
    Blind,
    Attended,
}
