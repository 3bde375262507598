//! Whose screen shows it: the roster, the shards, the WebSocket protocol.
//!
//! The [`Roster`] lives on the core thread and is still: it knows every agent's stream, pops and screens, and says what is to
//! be delivered. The shards (`shards/live.rs`) own sockets and know nothing of calls. What goes between them is plain and
//! serialisable: [`Deliver`] out, [`Heard`] in; so that a process of its own can hold the sockets one day.

pub mod pages;
pub mod protocol;
pub mod roster;
pub mod screen;
mod settings;
pub mod shards;
pub mod wire;

use std::sync::Arc;

use bytes::Bytes;

pub use roster::{
    About, Ask, Available, DayOf, Deeds, Errand, FlowAsk, FoundTicket, Kept, Lasted, LinkState, Output, People, Phones,
    QueueNow, QueuePlace, Roster, Stranger, Token, View,
};
pub use screen::{Figures, Screens};
pub use settings::{Limits, Settings, States, Tls};

use crate::{
    access::Who,
    words::{AgentId, CallId},
};

/// One socket of one agent: shard in the upper 16 bits, the shard's count below. Never used again in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScreenId(pub u64);

/// To a shard: a finished frame for one screen.
#[derive(Clone, Debug)]
pub struct Deliver {
    pub screen: ScreenId,
    /// A newer frame of the same key takes the place of an older one that was not sent yet. Pops have none.
    pub key: Option<CoalesceKey>,
    /// JSON text, UTF-8.
    pub frame: Bytes,
}

/// What newer replaces older of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CoalesceKey {
    /// `call.changed` of a call.
    Call(CallId),
    /// `pop.updated` of a call.
    Card(CallId),
    /// `agent.changed`.
    Agent,
    /// `link.changed` of a link.
    Link(Arc<str>),
    /// `flow.changed` of a flow.
    Flow(Arc<str>),
    /// `wish.changed` of a wish.
    Wish(Arc<str>),
    /// `team.changed` of an agent.
    Member(AgentId),
    /// `board.changed`.
    Board,
    /// `queues.changed`.
    Queues,
}

/// To the core: what a screen did. Whose it is was settled by the token when it attached.
#[derive(Clone, Debug)]
pub struct Heard {
    pub screen: ScreenId,
    pub what: Told,
}

#[derive(Clone, Debug)]
pub enum Told {
    /// The token was accepted.
    Attached {
        who: Arc<Who>,
    },
    Resume(protocol::Resume),
    Request(wire::Request),
    /// The socket is gone. Comes last, and exactly once after `Attached`.
    Detached,
}
