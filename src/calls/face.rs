//! The face of a call: what screens, lookups and rules may know of it at this moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{
    numbers::{Number, TrunkRow, trunks::Source},
    private::Private,
    words::{AgentId, CallId, SwitchId, TenantId, Wall},
};

use super::{
    attributes::{Attributes, Fault},
    change::Offer,
    record::{Direction, Origin, Reference},
};

/// Plain values, kept true by the book at every change.
#[derive(Clone, Debug, PartialEq)]
pub struct Face {
    pub call: CallId,
    pub tenant: TenantId,
    pub switch: SwitchId,
    /// Absent until the first leg is understood.
    pub direction: Option<Direction>,
    pub origin: Origin,
    pub reference: Option<Reference>,
    /// The customer's number (for internal calls: the called colleague's); never overwritten by a leg's caller id.
    pub customer: Option<Number>,
    /// The name the switch showed.
    pub name: Option<Private<String>>,
    pub dialled: Option<Number>,
    /// Where it stood.
    pub dialled_in: Option<Source>,
    pub presented: Option<Number>,
    /// The trunk endpoint (`PJSIP/trunk` without channel suffix).
    pub trunk: Option<String>,
    /// The row of trunks.yaml that won.
    pub line: Option<Arc<TrunkRow>>,
    /// The queue it is in, or was answered from.
    pub queue: Option<String>,
    pub started_at: Option<Wall>,
    pub queued_at: Option<Wall>,
    pub answered_at: Option<Wall>,
    pub ended_at: Option<Wall>,
    pub state: CallState,
    /// Everyone who has it on a phone now, ringing or talking.
    pub agents: Vec<OnCall>,
    /// Who talked with the customer before, and has it no more; in the order in which they were offered it.
    pub had: Vec<Had>,
    pub attributes: BTreeMap<String, Private<String>>,
    /// What is wrong with some of them.
    pub faults: BTreeMap<String, Fault>,
    /// By which customers are looked up before the number; absent while none is known, or none that is whole.
    pub account: Option<Private<String>>,
    /// What the switch's file declares.
    pub declared: Arc<Attributes>,
    /// In how many places the signalling has a dialled number.
    pub places: usize,
    /// Edges that had it too, and by what that was known.
    pub edges: Vec<(SwitchId, String)>,
    /// It may be another call that is the customer's: nothing is done for this one.
    pub aside: bool,
    /// The switch told of a recording.
    pub recorded: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CallState {
    /// In an IVR or on its way.
    Entered,
    Queued,
    Ringing,
    Talking,
    Held,
    Ended,
}

/// One agent's part in a call now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnCall {
    pub offer: Offer,
    pub state: AgentLeg,
    pub since: Option<Wall>,
    /// The switch's own attended transfer is under way: the customer waits, and a colleague is asked.
    pub asking: bool,
}

/// One agent's part in a call that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Had {
    pub agent: AgentId,
    pub name: Option<String>,
    /// When they answered, and when they had it no more.
    pub from: Option<Wall>,
    pub to: Option<Wall>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AgentLeg {
    Ringing,
    Dialling,
    Talking,
    Holding,
}

impl Face {
    /// The agent's current part in the call, if any.
    #[must_use]
    pub fn part_of(&self, agent: &AgentId) -> Option<&OnCall> {
        self.agents.iter().find(|on| &on.offer.agent == agent)
    }
}

/// A leg that is up, for a feed that has no list to ask for after a restart.
#[derive(Clone, Debug)]
pub struct OpenLeg {
    pub id: String,
    /// Its endpoint.
    pub name: String,
    /// Legs of one number are one party.
    pub party: u32,
    pub number: Option<Private<String>>,
    /// What it dialled, by every place of it.
    pub dialled: Vec<Private<String>>,
    pub began: Wall,
    pub rang: bool,
    pub up: bool,
    pub holding: bool,
}
