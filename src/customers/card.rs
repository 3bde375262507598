//! What we know of a customer: an answer, and one block per source.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    calls::record::Reference,
    connectors::Saw,
    numbers::Number,
    private::Private,
    words::{CallId, SystemId, TenantId, Wall},
};

/// Asked at the first sight of a call, and again when the number changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub tenant: TenantId,
    pub call: CallId,
    pub number: Number,
    /// Which systems, in the order of their blocks. `None`: all that offer `customer.by_phone`.
    pub systems: Option<Vec<SystemId>>,
}

/// One question of a call and what came of it, for whoever has to explain the card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looked {
    pub system: SystemId,
    /// For example `customer.by_phone`.
    pub operation: String,
    pub way: Way,
    /// The outcome's word (`ok`, `empty`, `denied`); see [`crate::connectors::Outcome::word`]. From the cache: `ok` or `empty`.
    pub outcome: String,
    /// Why there was no answer, without personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub saw: Vec<Saw>,
}

/// How an answer was come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// The system was asked, and took so long.
    Asked { ms: u64 },
    /// Another call had asked the same already and both got the answer.
    Shared { ms: u64 },
    /// Known so long.
    Cached { age_ms: u64, fresh: bool },
}

impl Question {
    /// Of a call that is over: all systems, by its number.
    #[must_use]
    pub fn by_number(tenant: TenantId, call: CallId, number: Number) -> Self {
        Self { tenant, call, number, systems: None }
    }
}

/// A card became richer. `card` is whole each time, so a lost one does no harm.
#[derive(Clone, Debug)]
pub struct Answered {
    pub call: CallId,
    /// Rises with each card of a call; one that was overtaken on the way is dropped.
    pub version: u64,
    pub card: Arc<Card>,
}

/// Everything a pop shows of the customer of one call.
#[derive(Clone, Debug)]
pub struct Card {
    pub answer: Answer,
    /// In the order of the question's systems, then of each connector file; the order never changes while blocks fill.
    pub blocks: Vec<Block>,
}

/// The five answers, never mixed up: "we could not ask" is never shown as "nobody".
#[derive(Clone, Debug)]
pub enum Answer {
    Pending,
    Found(Arc<Candidate>),
    Absent,
    /// Several customers have this number; a person chooses.
    Ambiguous(Vec<Arc<Candidate>>),
    Unavailable {
        /// A lower-case fragment for people, without personal data: `redmine did not answer within 3000 ms`.
        reason: String,
    },
}

/// One customer at one system.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Candidate {
    /// Stable within the card: `<system>:<type>:<id>`.
    pub id: String,
    pub link: Reference,
    pub name: Option<Private<String>>,
    /// Why it matches, in a few words (`mobile`, `second number`).
    pub reason: Option<String>,
    /// The page of this customer at the system, if the connector knows it.
    pub url: Option<String>,
    /// What the connector's `customer.by_phone` mapped, as a JSON object.
    pub facts: Option<Arc<serde_json::Value>>,
}

/// One source's facts: `customer`, `finance`, `loyalty`, `orders` or `tickets` of one system.
#[derive(Clone, Debug)]
pub struct Block {
    pub system: SystemId,
    /// The operation that fills it, for example `tickets.open`.
    pub kind: String,
    pub title: Option<String>,
    pub state: BlockState,
    /// When the facts were asked for; their age is counted from here.
    pub asked_at: Option<Wall>,
    /// For `Unavailable`: why, without personal data.
    pub reason: Option<String>,
    /// Serialised once when it came; pop frames copy the bytes.
    pub body: Option<Arc<RawValue>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BlockState {
    Pending,
    Fresh,
    Stale,
    Absent,
    Unavailable,
    Ambiguous,
}
