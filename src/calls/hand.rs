//! By which legs an agent has a call now: what a verb on it is about.

use crate::words::{AgentId, CallId, SwitchId};

use super::{
    Book,
    call::Facts,
    command::Channel,
    facts::{Kind, Leg, OfferState, Rooms},
};

/// An agent's part in a call, as the switch names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hand {
    pub switch: SwitchId,
    pub own: Channel,
    /// The leg it talks with, the customer's where that is one of several; for a leg that asks a colleague, the one that waits meanwhile.
    pub with: Option<Channel>,
}

impl Book {
    /// `None`: the agent has no leg in it, or the call is over.
    #[must_use]
    pub fn hand(&self, call: CallId, agent: &AgentId) -> Option<Hand> {
        let (switch, facts) = self.facts(call)?;
        let own = facts.hand(agent)?;
        let leg = facts.legs.get(own)?;
        let rooms = Rooms::of(&facts.legs);
        let talks = |other: &usize| {
            *other != own && facts.legs.get(*other).is_some_and(|o| o.real() && rooms.together_now(leg, o))
        };
        let others = || 0..facts.legs.len();
        let waits = facts.is_asking(own).then(|| facts.customer()).flatten();
        let with = waits.or_else(|| facts.far().filter(talks)).or_else(|| others().find(talks));
        let dialler = || facts.dialler(own).filter(|_| leg.up.is_none());
        let with = with.or_else(dialler).and_then(|at| facts.legs.get(at)).map(channel);
        Some(Hand { switch: switch.clone(), own: channel(leg), with })
    }

    /// The leg that waits in a parking lot, if the call does.
    #[must_use]
    pub fn parked(&self, call: CallId) -> Option<Hand> {
        let (switch, facts) = self.facts(call)?;
        let leg = facts.legs.iter().find(|leg| leg.real() && leg.parked_now())?;
        Some(Hand { switch: switch.clone(), own: channel(leg), with: None })
    }

    fn facts(&self, call: CallId) -> Option<(&SwitchId, &Facts)> {
        let (switch, key) = self.desk.ids.get(&call)?;
        let call = self.board(switch)?.calls.get(key).filter(|call| call.over.is_none())?;
        Some((switch, &call.facts))
    }
}

impl Facts {
    /// The agent's leg that does most in this call.
    fn hand(&self, agent: &AgentId) -> Option<usize> {
        let offer = self.offers.get(self.open_offer(agent)?)?;
        let live = |at: &usize| self.legs.get(*at).is_some_and(|leg| leg.kind == Kind::Device && leg.live());
        let legs = || offer.legs.iter().map(|leg| usize::from(*leg)).filter(live);
        let up = |at: &usize| self.legs.get(*at).is_some_and(|leg| leg.up.is_some());
        let bridged = |at: &usize| self.legs.get(*at).is_some_and(|leg| leg.bridged_now().is_some());
        let rings = |at: &usize| offer.state != OfferState::Over && !up(at);
        legs().find(bridged).or_else(|| legs().find(up)).or_else(|| legs().find(rings))
    }

    /// Whether an agent's only leg asks a colleague by the switch's own attended transfer: it holds, and is in a bridge without the customer, who
    /// waits in theirs (Asterisk 22.10.1, `Atxfer`).
    #[must_use]
    pub fn is_asking(&self, index: usize) -> bool {
        let Some(leg) = self.legs.get(index) else { return false };
        let Some(customer) = self.far().filter(|far| *far != index).and_then(|far| self.legs.get(far)) else {
            return false;
        };
        leg.kind == Kind::Device
            && leg.agent.is_some()
            && leg.holding_now()
            && match (leg.bridged_now(), customer.bridged_now()) {
                (Some(own), Some(theirs)) => {
                    own != theirs && leg.bridges.iter().any(|(bridge, _)| bridge == theirs) && self.piped(own)
                }
                _ => false,
            }
    }

    /// Whether a Local channel's half is in this bridge.
    fn piped(&self, bridge: &str) -> bool {
        self.legs.iter().any(|leg| leg.kind == Kind::Local && leg.bridges.iter().any(|(name, _)| name == bridge))
    }

    /// The agent's leg that asks `index` in that way: it holds, and was in a bridge with the Local channel through which `index` was dialled.
    #[must_use]
    pub fn asked_through(&self, index: usize) -> Option<usize> {
        let dialler = self.legs.get(index)?.dial.as_ref()?.by?;
        let pipe = self.legs.get(usize::from(dialler)).filter(|leg| leg.kind == Kind::Local)?;
        let halves = || self.legs.iter().filter(|leg| leg.kind == Kind::Local && leg.endpoint == pipe.endpoint);
        let met = |leg: &Leg| {
            let bridges = || leg.bridges.iter().map(|(bridge, _)| bridge);
            halves().any(|half| half.bridges.iter().any(|(bridge, _)| bridges().any(|own| own == bridge)))
        };
        self.legs.iter().enumerate().position(|(at, leg)| {
            at != index && leg.kind == Kind::Device && leg.agent.is_some() && !leg.holds.is_empty() && met(leg)
        })
    }
}

fn channel(leg: &Leg) -> Channel {
    Channel { id: leg.id.clone(), name: leg.name.clone() }
}
