//! What an agent says of a call. Joined to the screens only in `daemon/wiring.rs`.

use crate::{
    private::Private,
    words::{AgentId, CallId, TenantId},
};

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
    /// The agent chose (or, with `None`, refused) a candidate: effects go to that customer.
    Customer { candidate: Option<std::sync::Arc<crate::customers::Candidate>> },
}
