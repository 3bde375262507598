//! Where a call stands now: from its facts to its face, and what changed for whom. Concluded afresh after each new fact and compared with
//! what was concluded before; only differences are said.

use std::collections::BTreeMap;

use crate::{
    numbers::{
        Class, Number,
        trunks::{Seen, Source},
    },
    private::Private,
    words::{AgentId, CallId, Now, SwitchId, TenantId},
};

use super::{
    What,
    attributes::Purpose,
    board::Board,
    book::{Desk, Rules},
    call::{self, Facts},
    change::{Offer, Role, TransferKind, Withdrawal},
    directory::Directory,
    event::DialStatus,
    face::{AgentLeg, CallState, Face, Had, OnCall},
    facts::{Kind, Leg, Moment, OfferFacts, OfferState, Rooms},
    record::Direction,
};

/// The face of a call that is seen for the first time. `id` is given after a restart.
pub(super) fn first_face(desk: &Desk, switch: &SwitchId, facts: &mut Facts, id: Option<CallId>) -> Option<Face> {
    let rules = desk.rules(switch)?;
    let mut face = Face {
        call: CallId(ulid::Ulid::nil()),
        tenant: facts.tenant.clone(),
        switch: switch.clone(),
        direction: None,
        origin: facts.origin,
        reference: facts.reference.clone(),
        customer: None,
        name: None,
        dialled: None,
        dialled_in: None,
        presented: None,
        trunk: None,
        line: None,
        queue: None,
        started_at: None,
        queued_at: None,
        answered_at: None,
        ended_at: None,
        state: CallState::Entered,
        agents: Vec::new(),
        had: Vec::new(),
        attributes: BTreeMap::new(),
        faults: BTreeMap::new(),
        account: None,
        declared: rules.attributes.clone(),
        places: 0,
        edges: Vec::new(),
        aside: false,
        recorded: false,
    };
    identify(desk, rules, facts, &mut face);
    // The trunk's row decides whose call it is, else the agent who makes it, else the switch's file. It never changes after: it is in the id.
    if id.is_none() && face.tenant == rules.tenant {
        let line = face.line.as_ref().map(|l| l.tenant.clone()).filter(|t| *t != TenantId::default());
        let agent = facts.root().and_then(|r| facts.legs.get(r)?.agent.clone());
        let agent = agent.and_then(|a| Some(desk.settings.directory.agent(&a)?.tenant.clone()));
        face.tenant = line.or(agent.filter(|t| *t != TenantId::default())).unwrap_or(face.tenant);
        facts.tenant = face.tenant.clone();
    }
    face.call = match id {
        Some(id) => id,
        None => {
            let oldest = facts.oldest()?;
            let mut ids = (0..=u8::MAX).map(|again| call::call_id(&face.tenant, switch, oldest, again));
            ids.find(|id| !desk.ids.contains_key(id))?
        }
    };
    refresh(&desk.settings.directory, facts, &mut face);
    Some(face)
}

/// Who and what: direction, numbers, trunk, line. Says whether anything became known. Numbers are read and the line is looked for only when
/// something came that was not there before.
fn identify(desk: &Desk, rules: &Rules, facts: &Facts, face: &mut Face) -> bool {
    let mut changed = false;
    let direction = facts.direction();
    changed |= update(&mut face.direction, direction);
    face.origin = facts.origin;
    if face.reference.is_none() {
        face.reference.clone_from(&facts.reference);
    }
    let customer = facts.customer().and_then(|i| facts.legs.get(i));
    let oldest = facts.oldest();
    face.started_at = oldest.and_then(|l| l.created.wall);
    let text = |raw| Option::map(raw, |raw: &Private<String>| bare(raw.expose()));
    let (mut number, mut dialled, mut presented) = (None, None, None);
    match direction {
        Some(Direction::Inbound) => {
            number = text(customer.and_then(|l| l.number.as_ref()));
            dialled = text(customer.and_then(|l| l.dialled.as_ref()));
        }
        Some(Direction::Outbound) => {
            let dial = customer.and_then(|l| l.dial.as_ref());
            number = text(dial.and_then(|d| d.number.as_ref()).or(facts.wanted.as_ref()));
            // The record says whom, not how: the digits that give a line are none of the number's.
            number = number.map(|n| rules.out.without_access(&rules.plan, n));
            presented = text(dial.and_then(|d| d.presented.as_ref()));
            dialled = number;
        }
        Some(Direction::Internal) => {
            dialled = text(facts.root().and_then(|r| facts.legs.get(r)?.dialled.as_ref()));
        }
        None => {}
    }
    changed |= attributes(facts, face);
    // Nobody is told of it before the call is over.
    face.recorded |= facts.legs.iter().any(|leg| !leg.recordings.is_empty());
    if !facts.edges.iter().map(|edge| (&edge.switch, &edge.by)).eq(face.edges.iter().map(|(switch, by)| (switch, by))) {
        face.edges = facts.edges.iter().map(|edge| (edge.switch.clone(), edge.by.clone())).collect();
    }
    // Told later by other signalling: the row is looked for again.
    let places = customer.map_or(0, |leg| leg.places.len());
    changed |= std::mem::replace(&mut face.places, places) != places;
    if let Some(leg) = customer
        && face.trunk.as_deref() != Some(leg.endpoint.as_str())
    {
        face.trunk = Some(leg.endpoint.clone());
        changed = true;
    }
    let restricted = customer.is_some_and(|l| l.restricted && l.incoming);
    let outbound = direction == Some(Direction::Outbound);
    let seen = Seen {
        switch: &face.switch,
        trunk: face.trunk.as_deref(),
        plan: &rules.plan,
        extension: if outbound { presented } else { dialled },
        places: customer.filter(|_| !outbound).map(|l| l.places.as_slice()).unwrap_or_default(),
        attributes: &face.attributes,
    };
    let called = match &face.line {
        Some(row) if !outbound => row.dialled_text(&seen),
        _ => dialled,
    };
    let news = changed
        || (restricted && face.customer.as_ref().is_none_or(|n| n.class != Class::Anonymous))
        || (!restricted && other(face.customer.as_ref(), number))
        || other(face.dialled.as_ref(), called)
        || other(face.presented.as_ref(), presented);
    if !news {
        return false;
    }
    let found = desk.settings.trunks.find(&seen);
    let plan = found.as_ref().and_then(|f| f.plan).unwrap_or(&rules.plan);
    let read = |text: Option<&str>| text.map(|t| plan.read(t));
    let own = found.as_ref().filter(|_| !outbound).and_then(|f| Some((f.dialled.clone()?, f.from.clone())));
    let place = if outbound { None } else { seen.place(&Source::Extension) };
    let (called, from) = own.map_or_else(|| (read(dialled), place), |(number, from)| (Some(number), from));
    changed |= update(&mut face.dialled, called);
    face.dialled_in = from;
    changed |= update(&mut face.presented, read(presented));
    if direction == Some(Direction::Inbound)
        && face.name.is_none()
        && let Some(name) = customer.and_then(|l| l.shown_name.as_ref())
        && Some(name.expose().as_str()) != number
        && !customer.is_some_and(|l| l.restricted)
    {
        face.name = Some(name.clone());
        changed = true;
    }
    changed |= update(&mut face.customer, if restricted { Some(Number::anonymous()) } else { read(number) });
    let row = found.map(|f| f.row.clone());
    if face.line != row {
        face.line = row;
        changed = true;
    }
    changed
}

/// What is shown of attributes, and the account among them.
fn attributes(facts: &Facts, face: &mut Face) -> bool {
    // Empty: an agent took it back.
    let shown = || facts.attributes.iter().filter(|(_, told)| !told.value.expose().is_empty());
    let same = face.attributes.len() == shown().count()
        && face.attributes.iter().zip(shown()).all(|((a, x), (b, y))| a == b && *x == y.value);
    if !same {
        face.attributes = shown().map(|(name, told)| (name.clone(), told.value.clone())).collect();
        face.faults = shown().filter_map(|(name, told)| Some((name.clone(), told.fault?))).collect();
    }
    let account = face.declared.list.iter().filter(|m| m.purpose == Some(Purpose::Account)).find_map(|m| {
        let told = if m.secret { facts.secrets.get(&m.name) } else { facts.attributes.get(&m.name) };
        told.filter(|told| told.fault.is_none() && !told.value.expose().is_empty()).map(|told| &told.value)
    });
    let new = account != face.account.as_ref();
    if new {
        face.account = account.cloned();
    }
    !same || new
}

fn update<T: PartialEq>(place: &mut Option<T>, value: Option<T>) -> bool {
    if value.is_none() || *place == value {
        return false;
    }
    *place = value;
    true
}

/// Whether a text is another than the one that was read before. What was withheld stays withheld.
fn other(place: Option<&Number>, text: Option<&str>) -> bool {
    let Some(text) = text else { return false };
    place.is_none_or(|n| n.class != Class::Anonymous && n.raw.as_ref().is_none_or(|r| r.expose() != text))
}

/// The number in a dial string: `13800138000@trunk`, `trunk/13800138000`, `PJSIP/trunk/sip:13800138000@carrier.example`.
pub(super) fn bare(text: &str) -> &str {
    let text = text.split('@').next().unwrap_or(text);
    let text = text.rsplit('/').next().unwrap_or(text);
    text.trim_start_matches("sip:").trim()
}

impl Board {
    /// Compares what is with what was said, and says the difference.
    pub fn stand(&mut self, desk: &mut Desk, now: Now, at: Moment, key: u32) {
        let switch = &self.switch;
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(shown) = &mut call.shown else { return };
        let id = shown.id;
        if let Some(rules) = desk.settings.switches.get(switch)
            && identify(desk, rules, &call.facts, &mut shown.face)
        {
            desk.change(id, now, What::Informed);
        }
        let mut said = Vec::new();
        offers(&mut call.facts, at, &mut said);
        if shown.face.answered_at.is_none()
            && said.iter().any(|w| matches!(w, What::Established(o) if o.role != Role::Consult))
        {
            shown.face.answered_at = at.wall;
        }
        let asking = |face: &Face| face.agents.iter().filter(|on| on.asking).count();
        let before = asking(&shown.face);
        refresh(&desk.settings.directory, &call.facts, &mut shown.face);
        if asking(&shown.face) != before && said.is_empty() {
            said.push(What::Informed);
        }
        for what in said {
            match &what {
                What::Held { agent } => self.holds(agent, key),
                What::Retrieved { agent } => self.holds_no_more(agent, key),
                What::Cleared { offer } => self.holds_no_more(&offer.agent, key),
                _ => {}
            }
            desk.change(id, now, what);
        }
    }
}

/// Opens, moves and ends offers.
fn offers(facts: &mut Facts, at: Moment, said: &mut Vec<What>) {
    let states: Vec<OfferState> = {
        let rooms = Rooms::of(&facts.legs);
        (0..facts.legs.len()).map(|i| state_of(facts, &rooms, i)).collect()
    };
    for (index, state) in states.iter().enumerate() {
        if *state == OfferState::Over || facts.offer_of(index).is_some() {
            continue;
        }
        let Some(leg) = facts.legs.get(index) else { continue };
        let Some(agent) = leg.agent.clone() else { continue };
        let place = u16::try_from(index).unwrap_or(u16::MAX);
        if let Some(open) = facts.open_offer(&agent) {
            // The agent's second device, or second leg: one offer, one pop.
            if let Some(offer) = facts.offers.get_mut(open) {
                offer.legs.push(place);
            }
            continue;
        }
        let ordinal = facts.offers.iter().map(|o| o.offer.ordinal).max().unwrap_or(0) + 1;
        let offer = Offer { ordinal, agent, device: leg.endpoint.clone(), role: role_of(facts, index) };
        said.push(What::Offered(offer.clone()));
        let fresh = match state {
            OfferState::Talking | OfferState::Holding => OfferState::Ringing,
            other => *other,
        };
        facts.offers.push(OfferFacts { offer, legs: vec![place], since: at, state: fresh, established: false });
    }
    for index in 0..facts.offers.len() {
        let Some(offer) = facts.offers.get(index).filter(|o| o.state != OfferState::Over) else { continue };
        let state = offer
            .legs
            .iter()
            .map(|l| states.get(usize::from(*l)).copied().unwrap_or(OfferState::Over))
            .max()
            .unwrap_or(OfferState::Over);
        let role = match (offer.offer.role, offer.legs.first()) {
            // What looked like a call among us, until the customer came into it.
            (Role::Internal, Some(leg)) if facts.direction() != Some(Direction::Internal) => {
                role_of(facts, usize::from(*leg))
            }
            // The dial may be told before who asks has left the customer.
            (Role::Inbound | Role::Transfer, Some(leg))
                if !offer.established && facts.asked_through(usize::from(*leg)).is_some() =>
            {
                Role::Consult
            }
            (role, _) => role,
        };
        let role = match role {
            Role::Consult if with_customer(facts, index) => Role::Transfer,
            role => role,
        };
        let withdrawn = (state == OfferState::Over && !offer.established).then(|| reason(facts, index));
        let by = withdrawn.filter(|why| *why == Withdrawal::AnsweredElsewhere).and_then(|_| answered_by(facts, index));
        let Some(offer) = facts.offers.get_mut(index) else { continue };
        // Who was asked has the customer too now; where nobody handed over (all three talk), nothing else says so.
        if offer.established && offer.offer.role == Role::Consult && role == Role::Transfer {
            said.push(What::Informed);
        }
        offer.offer.role = role;
        // An answered leg that is not bridged yet, or for a moment between two bridges.
        let state = match (offer.established, state) {
            (true, OfferState::Ringing | OfferState::Dialling) => offer.state,
            (_, state) => state,
        };
        if state == offer.state {
            continue;
        }
        let (before, named) = (offer.state, offer.offer.clone());
        (offer.state, offer.since) = (state, at);
        match state {
            OfferState::Over => said.push(match withdrawn {
                Some(reason) => What::Withdrawn { offer: named, reason, by },
                None => What::Cleared { offer: named },
            }),
            OfferState::Talking | OfferState::Holding if !offer.established => {
                offer.established = true;
                said.push(What::Established(named.clone()));
                if state == OfferState::Holding {
                    said.push(What::Held { agent: named.agent });
                }
            }
            OfferState::Holding => said.push(What::Held { agent: named.agent }),
            OfferState::Talking if before == OfferState::Holding => said.push(What::Retrieved { agent: named.agent }),
            OfferState::Talking | OfferState::Ringing | OfferState::Dialling => {}
        }
    }
}

/// What one leg is doing, as far as its agent's offer goes. `Over` also for legs that nobody was offered yet.
fn state_of(facts: &Facts, rooms: &Rooms<'_>, index: usize) -> OfferState {
    let Some(leg) = facts.legs.get(index) else { return OfferState::Over };
    if leg.agent.is_none() || leg.kind != Kind::Device || !leg.live() {
        return OfferState::Over;
    }
    if leg.up.is_none() && leg.status.is_some_and(|(s, _)| s != DialStatus::Answer) {
        return OfferState::Over;
    }
    let customer = facts.customer().filter(|c| *c != index);
    let asked = facts.dialler(index).is_some_and(|d| facts.consults(d)) || facts.asked_through(index).is_some();
    let talks =
        |other: usize| other != index && facts.legs.get(other).is_some_and(|o| o.real() && rooms.together_now(leg, o));
    let together = customer.is_some_and(talks)
        || ((customer.is_none() || asked)
            && (0..facts.legs.len()).any(|other| Some(other) != customer && talks(other)));
    if together {
        return if leg.holding_now() { OfferState::Holding } else { OfferState::Talking };
    }
    if facts.is_asking(index) {
        return OfferState::Holding;
    }
    if leg.incoming {
        return OfferState::Dialling;
    }
    match (leg.up.is_some(), leg.ringing.is_some(), leg.originated()) {
        (true, _, true) => OfferState::Dialling,
        (true, _, false) | (false, true, _) => OfferState::Ringing,
        (false, false, _) => OfferState::Over,
    }
}

/// Why this leg's agent has the call.
fn role_of(facts: &Facts, index: usize) -> Role {
    let Some(leg) = facts.legs.get(index) else { return Role::Inbound };
    match facts.direction() {
        Some(Direction::Internal) => return Role::Internal,
        // Who dialled in to a customer's call took it: from a colleague's ringing phone, or out of the parking lot.
        Some(Direction::Inbound) if leg.incoming => {
            let had = |l: &Leg| l.agent.is_some() && l.agent != leg.agent && !l.bridges.is_empty();
            let parked = facts.customer().and_then(|c| facts.legs.get(c)).is_some_and(|c| !c.parks.is_empty());
            return if parked && facts.legs.iter().any(had) { Role::Transfer } else { Role::Inbound };
        }
        // The switch called a phone into a customer's call: somebody picks it up, or takes it over from who has it.
        Some(Direction::Inbound) if leg.originated() => {
            let had = |l: &Leg| l.agent.is_some() && l.agent != leg.agent && !l.bridges.is_empty();
            return if facts.legs.iter().any(had) { Role::Transfer } else { Role::Inbound };
        }
        _ if leg.originated() || facts.root() == Some(index) => return Role::Outbound,
        _ if leg.incoming => return Role::Transfer,
        _ => {}
    }
    if facts.dialler(index).is_some_and(|d| facts.consults(d)) || facts.asked_through(index).is_some() {
        return Role::Consult;
    }
    let dialled = leg.dial.as_ref().map_or(leg.created, |d| d.at);
    let handed = facts.transfers.iter().any(|t| t.kind == TransferKind::Blind && t.at.until(dialled));
    if handed || facts.direction() == Some(Direction::Outbound) { Role::Transfer } else { Role::Inbound }
}

fn with_customer(facts: &Facts, offer: usize) -> bool {
    let rooms = Rooms::of(&facts.legs);
    let Some(customer) = facts.customer().and_then(|c| facts.legs.get(c)) else { return false };
    facts.offers.get(offer).is_some_and(|o| {
        o.legs.iter().any(|l| facts.legs.get(usize::from(*l)).is_some_and(|leg| rooms.together_now(leg, customer)))
    })
}

/// Why an offer ended without a talk.
fn reason(facts: &Facts, offer: usize) -> Withdrawal {
    let place = facts.offers.get(offer).and_then(|o| o.legs.last()).map(|l| usize::from(*l));
    let Some((index, leg)) = place.and_then(|i| Some((i, facts.legs.get(i)?))) else { return Withdrawal::CallerGone };
    if leg.ended.as_ref().is_some_and(|e| e.lost) {
        return Withdrawal::Lost;
    }
    if leg.released.is_some() {
        return Withdrawal::Transferred;
    }
    if leg.refused() {
        return Withdrawal::Rejected;
    }
    let elsewhere = answered_instead(facts, index).is_some();
    match facts.dial_status(index) {
        Some(DialStatus::NoAnswer) => Withdrawal::NoAnswer,
        _ if elsewhere || leg.ended.as_ref().is_some_and(|e| e.cause == Some(26)) => Withdrawal::AnsweredElsewhere,
        // A dial by the switch itself ends without a status when nobody picks up (trace g2).
        None if leg.originated() => Withdrawal::NoAnswer,
        _ => Withdrawal::CallerGone,
    }
}

/// Another phone that the same party called at the same time as this leg, and that answered.
fn answered_instead(facts: &Facts, index: usize) -> Option<&Leg> {
    let (leg, dialler) = (facts.legs.get(index)?, facts.dialler(index)?);
    let since = leg.dial.as_ref().map_or(leg.created, |d| d.at);
    let other = facts.legs.iter().enumerate().find(|(other, l)| {
        *other != index
            && l.real()
            && l.live()
            && l.up.is_some_and(|up| since.until(up))
            && facts.dialler(*other) == Some(dialler)
    });
    other.map(|(_, leg)| leg)
}

/// Whose phone was answered in this offer's place.
fn answered_by(facts: &Facts, offer: usize) -> Option<AgentId> {
    let index = facts.offers.get(offer)?.legs.last().copied()?;
    answered_instead(facts, usize::from(index))?.agent.clone()
}

/// Agents who talked with the customer and have the call no more.
fn had(facts: &Facts) -> impl Iterator<Item = &OfferFacts> {
    let theirs = |role| matches!(role, Role::Inbound | Role::Outbound | Role::Transfer);
    facts.offers.iter().filter(move |o| o.state == OfferState::Over && o.established && theirs(o.offer.role))
}

/// The parts of a face that follow from facts and offers.
fn refresh(directory: &Directory, facts: &Facts, face: &mut Face) {
    face.agents.clear();
    face.agents.extend(facts.offers.iter().filter(|o| o.state != OfferState::Over).map(|o| OnCall {
        offer: o.offer.clone(),
        state: match o.state {
            OfferState::Talking => AgentLeg::Talking,
            OfferState::Holding => AgentLeg::Holding,
            OfferState::Ringing => AgentLeg::Ringing,
            OfferState::Dialling | OfferState::Over => AgentLeg::Dialling,
        },
        since: o.since.wall,
        asking: o.legs.iter().any(|leg| facts.is_asking(usize::from(*leg))),
    }));
    face.had.clear();
    for over in had(facts) {
        let began = over.legs.iter().filter_map(|leg| facts.legs.get(usize::from(*leg))?.up?.wall).min();
        let ended = over.since.wall;
        // Who asked a colleague by another leg meanwhile still had the customer: that is one part.
        let same = |had: &&mut Had| had.agent == over.offer.agent && began.is_none_or(|at| Some(at) <= had.to);
        match face.had.iter_mut().find(same) {
            Some(had) => had.to = had.to.max(ended),
            None => face.had.push(Had {
                agent: over.offer.agent.clone(),
                name: directory.agent(&over.offer.agent).and_then(|agent| agent.name.clone()),
                from: began,
                to: ended,
            }),
        }
    }
    let any = |state: AgentLeg| face.agents.iter().any(|a| a.state == state && a.offer.role != Role::Consult);
    let parked = || facts.legs.iter().any(|l| l.real() && l.parked_now());
    let waits = || facts.legs.iter().any(|l| l.queues.iter().any(|(_, span)| span.to.is_none()));
    let live = facts.legs.iter().any(|l: &Leg| l.real() && l.live());
    face.state = if !live {
        CallState::Ended
    } else if any(AgentLeg::Talking) {
        CallState::Talking
    } else if any(AgentLeg::Holding) {
        CallState::Held
    } else if any(AgentLeg::Ringing) || any(AgentLeg::Dialling) {
        CallState::Ringing
    } else if parked() {
        CallState::Held
    } else if waits() {
        CallState::Queued
    } else {
        CallState::Entered
    };
}
