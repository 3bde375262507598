//! What an agent, or a flow, says of a call. Joined to the screens only in `daemon/wiring.rs`.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use crate::{
    customers::{Candidate, Choice},
    private::Private,
    words::{AgentId, CallId, SystemId, TenantId},
};

/// What is known of a customer who is to be made: `name`, `company`, `email`.
pub type Fields = BTreeMap<&'static str, Private<String>>;

/// A note or a wrap-up. Accepted (and answered `done`) only when durable.
#[derive(Clone, Debug)]
pub struct Command {
    pub tenant: TenantId,
    pub call: CallId,
    pub agent: AgentId,
    pub said: Said,
}

#[derive(Clone, Debug)]
pub enum Said {
    /// The whole text so far; replaces what this agent wrote before on this call.
    Notes { text: Private<String> },
    WrapUp {
        /// A path in the disposition tree, for example `["billing", "refund"]`.
        disposition: Vec<String>,
        notes: Option<Private<String>>,
        /// The agent asks for a follow-up ticket.
        ticket: bool,
    },
    /// An attribute that agents may write; empty takes it back.
    Attribute { name: String, value: Private<String> },
    /// Attributes that flows may write, by name; empty takes one back. Who says it is [`by_flow`].
    Told(BTreeMap<String, Private<String>>),
    /// Who the customer is: effects go to that one.
    Customer {
        choice: Choice,
        /// The number ([`crate::numbers::Number::key`]) under which the choice is remembered, or forgotten, for later calls.
        number: Option<Private<String>>,
    },
    /// The customer asks to be called back.
    Callback { note: Option<Private<String>> },
    /// The number is to be put to this customer at this system.
    Attach { customer: Arc<Candidate>, number: Private<String> },
    /// A customer is to be made of the number; once in a call.
    Create { system: SystemId, number: Private<String>, fields: Fields },
    /// Something is to be written at a system: on a ticket, or of a customer.
    Write(Box<Write>),
}

/// Who says what a flow says: no agent has such an id.
#[must_use]
pub fn by_flow(name: &str) -> AgentId {
    AgentId::from(format!("flow:{name}"))
}

/// What an agent has written at a system; once by its id.
#[derive(Clone, Debug)]
pub struct Write {
    /// The request's: the same again, after a restart too, is the same.
    pub id: String,
    pub system: SystemId,
    /// One of the connectors' operations.
    pub operation: &'static str,
    /// What it is about, for the audit: `ticket 12`.
    pub about: String,
    /// What the operation is told besides customer, agent, number and time: a JSON object.
    pub inputs: Private<Value>,
    /// The customer's record at that system, where they have one.
    pub customer: Option<Arc<Candidate>>,
    pub number: Option<Private<String>>,
}
