//! One call: its facts, its face, and where it stands between first sight and forgetting.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    private::Private,
    words::{AgentId, CallId, Mono, SwitchId, TenantId, Wall},
};

use super::{
    attributes::{self, Mapping, Told},
    edges::{EDGES, EdgeFacts, Key, Related, Twin},
    event::{DialStatus, Feed},
    face::Face,
    facts::{Kind, Leg, Moment, OfferFacts, OfferState, Transfer},
    record::{Direction, Origin, Record, Reference},
};

/// Everything that must outlive us so that a restart finds the same call. Serialised, it is some KiB.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    pub call: CallId,
    pub switch: SwitchId,
    pub facts: Facts,
}

/// What is known. Order in `legs` is the order of first sight; others refer to legs by index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    pub tenant: TenantId,
    pub origin: Origin,
    pub reference: Option<Reference>,
    /// The number an agent asked to be called, from the request or from the switch's late answer.
    pub wanted: Option<Private<String>>,
    pub legs: Vec<Leg>,
    pub transfers: Vec<Transfer>,
    pub offers: Vec<OfferFacts>,
    pub attributes: BTreeMap<String, Told>,
    /// What is only looked up by: in memory alone.
    #[serde(skip)]
    pub secrets: BTreeMap<String, Told>,
    /// Bridges that are conference rooms.
    #[serde(default)]
    pub conferences: Vec<String>,
    /// The last that was heard of it.
    pub last: Moment,
    /// Part of it was not seen: no link, or events were dropped. Said in the record for ever.
    #[serde(default)]
    pub hole: bool,
    /// The feeds that told of it, as bits; kept only where a switch is heard over SIP.
    #[serde(default)]
    pub told: u8,
    /// Where it stands is not known: a hole, and no snapshot since. A record that ends like this claims no outcome but an answer that was seen.
    #[serde(default)]
    pub blind: bool,
    /// Calls of edges that proved to be this one.
    #[serde(default)]
    pub edges: Vec<EdgeFacts>,
    /// Calls at the other switch of an edge and its PBX that may be this one.
    #[serde(default)]
    pub related: Vec<Related>,
    /// Only an edge had it: what became of it behind the edge is not known.
    #[serde(default)]
    pub at_edge: bool,
}

/// A call in the book.
#[derive(Debug)]
pub(super) struct Call {
    pub facts: Facts,
    /// Absent while it is not known to be a call at all: a leg that never dials, queues or bridges is none.
    pub shown: Option<Shown>,
    /// When its last leg ended, by our clock.
    pub over: Option<Mono>,
    /// When it was last heard of, by our clock.
    pub heard: Mono,
    pub revision: u32,
    pub record: Option<Box<Record>>,
    /// What it is known by to the other switch of an edge and its PBX.
    pub keys: Vec<Key>,
    /// Of an edge's call: whose it is at the PBX.
    pub twin: Option<Twin>,
}

#[derive(Debug)]
pub(super) struct Shown {
    pub id: CallId,
    pub face: Face,
}

impl Call {
    pub fn new(facts: Facts) -> Self {
        Self { facts, shown: None, over: None, heard: Mono(0), revision: 1, record: None, keys: Vec::new(), twin: None }
    }
}

/// Legs of one call. A conference of a few hundred is the largest thing that is still a call.
pub(super) const LEGS: usize = 2_000;

impl Facts {
    pub(super) fn new(tenant: TenantId, at: Moment) -> Self {
        Self {
            tenant,
            origin: Origin::Phone,
            reference: None,
            wanted: None,
            legs: Vec::new(),
            transfers: Vec::new(),
            offers: Vec::new(),
            attributes: BTreeMap::new(),
            secrets: BTreeMap::new(),
            conferences: Vec::new(),
            last: at,
            hole: false,
            told: 0,
            blind: false,
            edges: Vec::new(),
            related: Vec::new(),
            at_edge: false,
        }
    }

    /// A value for an attribute. Says whether anything that counts changed. An empty one says nothing, unless an agent took one back.
    pub(super) fn tell(&mut self, mapping: &Mapping, value: &[u8], at: Moment, written: bool) -> bool {
        if value.is_empty() && !written {
            return false;
        }
        let (value, fault) = mapping.read(value);
        let fault = fault.filter(|_| !written);
        let told = Told { value, fault, at, written };
        attributes::put(if mapping.secret { &mut self.secrets } else { &mut self.attributes }, &mapping.name, told)
    }

    /// A bridge is a conference room. A call that goes to more rooms than it has legs is no call.
    pub(super) fn conference(&mut self, room: String) {
        if !self.conferences.contains(&room) && self.conferences.len() < LEGS {
            self.conferences.push(room);
        }
    }

    /// Nobody watches it any more.
    pub(super) fn unwatched(&mut self) {
        (self.hole, self.blind) = (true, true);
    }

    /// The oldest leg: its id makes the call's.
    #[must_use]
    pub fn oldest(&self) -> Option<&Leg> {
        self.legs.iter().reduce(|a, b| if a.created.until(b.created) { a } else { b })
    }

    /// Whether this is a call: somebody came in over a trunk, dialled, queued, was bridged, or was called by the switch.
    #[must_use]
    pub fn is_call(&self) -> bool {
        self.legs.iter().any(|l| {
            (l.kind == Kind::Trunk && l.incoming)
                || l.dial.as_ref().is_some_and(|d| d.by.is_some() && l.kind != Kind::Plumbing)
                || (l.originated() && (l.agent.is_some() || l.kind == Kind::Trunk))
                || (l.real() && (!l.queues.is_empty() || !l.bridges.is_empty()))
        })
    }

    /// Nothing of it lives: no party's leg, or where there never was one, no leg at all.
    #[must_use]
    pub fn quiet(&self) -> bool {
        match self.legs.iter().any(Leg::real) {
            true => self.legs.iter().filter(|l| l.real()).all(|l| !l.live()),
            false => self.legs.iter().all(|l| l.ended.is_some()),
        }
    }

    #[must_use]
    pub fn direction(&self) -> Option<Direction> {
        let mut trunks = self.legs.iter().filter(|l| l.kind == Kind::Trunk).peekable();
        let any = trunks.peek().is_some();
        // Of a leg that was met in the middle only a dial says that it was called.
        let ours = self.legs.iter().any(Leg::originated);
        let (mut came, mut called) = (false, ours);
        for leg in trunks {
            // Met in the middle of a call that we made, it dials because somebody transferred it.
            came |= leg.incoming && !(leg.adopted && ours);
            called |= !leg.incoming && (!leg.adopted || leg.dial.is_some());
        }
        match () {
            () if came => Some(Direction::Inbound),
            () if called => Some(Direction::Outbound),
            () if !any && self.is_call() && self.legs.iter().all(|l| l.kind != Kind::Unknown) => {
                Some(Direction::Internal)
            }
            () => None,
        }
    }

    /// The customer's leg: who came in over a trunk, else who was called over one (the first who answered, else the last: one who is
    /// asked later, while the customer holds, is no customer).
    #[must_use]
    pub fn customer(&self) -> Option<usize> {
        let trunk = |l: &&Leg| l.kind == Kind::Trunk;
        self.legs
            .iter()
            .position(|l| l.kind == Kind::Trunk && l.incoming)
            .or_else(|| self.legs.iter().position(|l| trunk(&l) && l.up.is_some()))
            .or_else(|| self.legs.iter().rposition(|l| trunk(&l)))
    }

    /// Whether all that is known of it was told by dialog events. They tell when a phone rang, was taken and was put back, and who was at the other end;
    /// neither why it ended, nor who ended it, nor a hold; and a transfer only looks like one.
    #[must_use]
    pub fn dialogs_alone(&self) -> bool {
        self.told == Feed::Sip.bit()
    }

    /// Who stands in the customer's place: the customer, whoever it is of whom nothing is known, or in an internal call the called phone (that answered,
    /// else the last).
    #[must_use]
    pub fn far(&self) -> Option<usize> {
        let called = |l: &Leg| l.real() && !l.incoming && l.dial.as_ref().is_some_and(|d| d.by.is_some());
        self.customer()
            .or_else(|| self.legs.iter().position(|l| l.kind == Kind::Unknown))
            .or_else(|| self.legs.iter().position(|l| called(l) && l.up.is_some()))
            .or_else(|| self.legs.iter().rposition(called))
    }

    /// The phone the call began at, where the customer did not begin it.
    #[must_use]
    pub fn root(&self) -> Option<usize> {
        match self.direction()? {
            Direction::Inbound => None,
            Direction::Outbound | Direction::Internal => {
                self.legs.iter().position(|l| l.kind == Kind::Device && (l.incoming || l.originated()))
            }
        }
    }

    /// An agent's own second leg, with which a colleague is asked.
    #[must_use]
    pub fn consults(&self, index: usize) -> bool {
        self.legs.get(index).is_some_and(|l| l.kind == Kind::Device && l.incoming && l.agent.is_some())
            && self.root() != Some(index)
    }

    /// The leg that dialled `index`; through a Local channel, whoever dialled the Local.
    #[must_use]
    pub fn dialler(&self, index: usize) -> Option<usize> {
        self.dialled_through(index).1
    }

    /// How the dial to `index` ended. Through a Local channel the outer dial says why (a queue's timeout), the inner one only `CANCEL`.
    #[must_use]
    pub fn dial_status(&self, index: usize) -> Option<DialStatus> {
        let own = self.legs.get(index)?.status.map(|(s, _)| s);
        match (own, self.dialled_through(index).0) {
            (None | Some(DialStatus::Cancel), Some(pipe)) => pipe.status.map(|(s, _)| s).or(own),
            _ => own,
        }
    }

    /// The outermost Local that was dialled to reach `index`, if any, and who dialled.
    fn dialled_through(&self, index: usize) -> (Option<&Leg>, Option<usize>) {
        let mut pipe = None;
        let mut by = self.legs.get(index).and_then(|l| l.dial.as_ref()?.by);
        // A Local may dial a Local; more than a few in a row is a loop.
        for _ in 0..8 {
            let Some(at) = by else { break };
            let Some(leg) = self.legs.get(usize::from(at)) else { break };
            if leg.kind != Kind::Local {
                return (pipe, Some(usize::from(at)));
            }
            let half = |l: &&Leg| l.kind == Kind::Local && l.endpoint == leg.endpoint && l.dial.is_some();
            pipe = self.legs.iter().find(half).or(pipe);
            by = pipe.and_then(|l| l.dial.as_ref()?.by).filter(|next| *next != at);
        }
        (pipe, None)
    }

    #[must_use]
    pub fn open_offer(&self, agent: &AgentId) -> Option<usize> {
        self.offers.iter().position(|o| o.state != OfferState::Over && &o.offer.agent == agent)
    }

    #[must_use]
    pub fn offer_of(&self, leg: usize) -> Option<usize> {
        self.offers.iter().rposition(|o| o.legs.iter().any(|&l| usize::from(l) == leg))
    }

    /// The legs of a consultation: the asking leg, whom it dialled, and through a Local channel its other half. `None` with the customer among them.
    pub(super) fn asked_by(&self, asking: u16) -> Option<Vec<u16>> {
        let mut out = vec![asking];
        let among = |out: &[u16], endpoint: &str| {
            out.iter().any(|o| self.legs.get(usize::from(*o)).is_some_and(|l| l.endpoint == endpoint))
        };
        while let Some((index, _)) = (0_u16..).zip(&self.legs).find(|(index, leg)| {
            let dialled = leg.dial.as_ref().and_then(|d| d.by).is_some_and(|by| out.contains(&by));
            !out.contains(index) && (dialled || leg.kind == Kind::Local && among(&out, &leg.endpoint))
        }) {
            out.push(index);
        }
        let customer = self.customer().and_then(|c| u16::try_from(c).ok());
        (!customer.is_some_and(|c| out.contains(&c))).then_some(out)
    }

    /// Takes some legs out into facts of their own: they proved to be part of another call. Offers that were of them alone are left without a leg.
    pub(super) fn part(&mut self, out: &[u16]) -> Facts {
        let mut other = Facts::new(self.tenant.clone(), self.last);
        (other.hole, other.blind, other.told) = (self.hole, self.blind, self.told);
        // Old index to new index, of those that stay and of those that go.
        let (mut stay, mut go) = (HashMap::new(), HashMap::new());
        for (index, leg) in (0_u16..).zip(std::mem::take(&mut self.legs)) {
            let (places, legs) =
                if out.contains(&index) { (&mut go, &mut other.legs) } else { (&mut stay, &mut self.legs) };
            places.insert(index, u16::try_from(legs.len()).unwrap_or(u16::MAX));
            legs.push(leg);
        }
        for (legs, places) in [(&mut self.legs, &stay), (&mut other.legs, &go)] {
            for leg in legs {
                if let Some(dial) = &mut leg.dial {
                    dial.by = dial.by.and_then(|by| places.get(&by).copied());
                }
            }
        }
        self.transfers.retain_mut(|t| {
            t.target = t.target.and_then(|target| stay.get(&target).copied());
            stay.get(&t.by).map(|by| t.by = *by).is_some()
        });
        for offer in &mut self.offers {
            offer.legs = offer.legs.iter().filter_map(|leg| stay.get(leg).copied()).collect();
        }
        other
    }

    /// Two legs of this call are one party's: all that refers to the second refers to the first from now on.
    pub(super) fn fold(&mut self, into: u16, from: u16) {
        let Ok([leg, other]) = self.legs.get_disjoint_mut([usize::from(into), usize::from(from)]) else { return };
        leg.absorb(other);
        let turn = |index: &mut u16| {
            if *index == from {
                *index = into;
            }
        };
        for leg in &mut self.legs {
            if let Some(by) = leg.dial.as_mut().and_then(|d| d.by.as_mut()) {
                turn(by);
            }
        }
        for t in &mut self.transfers {
            turn(&mut t.by);
            if let Some(target) = &mut t.target {
                turn(target);
            }
        }
        for offer in &mut self.offers {
            offer.legs.iter_mut().for_each(turn);
        }
    }

    /// Takes all of another call into this one. Says at which index its legs begin now.
    pub(super) fn absorb(&mut self, other: Facts) -> u16 {
        let shift = u16::try_from(self.legs.len()).unwrap_or(u16::MAX);
        for mut leg in other.legs {
            if let Some(by) = leg.dial.as_mut().and_then(|d| d.by.as_mut()) {
                *by = by.saturating_add(shift);
            }
            self.legs.push(leg);
        }
        for mut t in other.transfers {
            t.by = t.by.saturating_add(shift);
            t.target = t.target.map(|i| i.saturating_add(shift));
            self.transfers.push(t);
        }
        let ordinals = self.offers.iter().map(|o| o.offer.ordinal).max().unwrap_or(0);
        for mut o in other.offers {
            o.offer.ordinal = o.offer.ordinal.saturating_add(ordinals);
            for leg in &mut o.legs {
                *leg = leg.saturating_add(shift);
            }
            self.offers.push(o);
        }
        for (name, told) in other.attributes {
            attributes::put(&mut self.attributes, &name, told);
        }
        for (name, told) in other.secrets {
            attributes::put(&mut self.secrets, &name, told);
        }
        for room in other.conferences {
            self.conference(room);
        }
        self.wanted = self.wanted.take().or(other.wanted);
        self.reference = self.reference.take().or(other.reference);
        if self.origin == Origin::Phone {
            self.origin = other.origin;
        }
        self.hole |= other.hole;
        self.blind |= other.blind;
        self.told |= other.told;
        self.edges.extend(other.edges);
        self.edges.truncate(EDGES);
        self.related.extend(other.related);
        self.related.truncate(EDGES);
        self.last = self.last.later(other.last);
        shift
    }
}

/// The call's id: the time is the oldest channel's creation in whole seconds, which every way of hearing of it tells; the rest a hash.
///
/// `again` counts the calls before it that began with a channel of the same id: a switch that restarts counts from 0 again, and may choose an id
/// twice within one second.
#[must_use]
pub fn call_id(tenant: &TenantId, switch: &SwitchId, leg: &Leg, again: u8) -> CallId {
    // `1795347846.0` and `pbx-1795347846.0` say the second themselves; an id that we chose does not.
    let told = leg.id.rsplit_once('.').and_then(|(before, count)| {
        count.parse::<u32>().ok()?;
        let digits = before.rsplit('-').next().unwrap_or(before);
        (digits.len() >= 9).then(|| digits.parse::<u64>().ok()).flatten()
    });
    let created = || leg.created.wall.map_or(0, |Wall(ms)| u64::try_from(ms).unwrap_or(0) / 1000);
    // A ULID's time has 48 bits.
    let ms = told.unwrap_or_else(created).saturating_mul(1000) & ((1 << 48) - 1);
    let mut hash = Sha256::new();
    for part in [tenant.as_str(), switch.as_str(), &leg.id] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    if again > 0 {
        hash.update([again]);
    }
    let hash = hash.finalize();
    let rest = hash.iter().take(10).fold(0u128, |n, byte| n << 8 | u128::from(*byte));
    CallId(ulid::Ulid::from_parts(ms, rest))
}
