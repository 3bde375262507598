//! One switch's part of the book: which leg belongs to which call. Events become facts here.
//!
//! Legs are tied into calls by the switch's own group (AMI `Linkedid`), by dials, by sharing a bridge, by the two halves of a Local channel, and
//! by transfers; a tie is never undone. A colleague asked while the customer holds is tied at once, because that is one call for us.

use std::collections::{HashMap, VecDeque};

use crate::{
    numbers::trunks::Source as Dialled,
    private::Private,
    words::{AgentId, CallId, Mono, Now, SwitchId},
};

use super::{
    What,
    attributes::{self, Mapping, Source},
    book::{Desk, KEEP_MS, LEGS, Settings, fits},
    call::{self, Call, Checkpoint, Facts},
    change::TransferKind,
    command::RequestId,
    edges::{ALONE_MS, Key},
    event::{self, BridgeKind, Caller, DialStatus, Feed, LegState, Said},
    face::{Face, OpenLeg},
    facts::{self, Dial, Ended, Kind, Leg, Listener, Moment, OfferState, Transfer},
    judge,
    record::{Origin, Record, Reference},
    standing,
};

pub(super) struct Board {
    pub switch: SwitchId,
    pub calls: HashMap<u32, Call>,
    next: u32,
    /// Leg id to call and place in it.
    pub legs: HashMap<String, (u32, u16)>,
    /// A mixing bridge to the call in it.
    bridges: HashMap<String, u32>,
    /// A Local channel (without `;1`/`;2`) to its call.
    locals: HashMap<String, u32>,
    /// Agents whose customers wait, and in which calls, the last held last: asked at every call an agent makes.
    pub holding: HashMap<AgentId, Vec<u32>>,
    /// Calls that are over, with the moment to forget them, oldest first.
    over: VecDeque<(Mono, u32)>,
    /// Feeds that have spoken since they were last lost, as bits.
    pub feeds: u8,
    /// It stands before another switch, whose calls its own are: none is shown before it is known that the other has not got it.
    pub edge: bool,
    /// What its calls are known by to the other switch, with the legs; empty where there is no other.
    pub keys: HashMap<Key, Vec<String>>,
    /// Of an edge: calls that are over and wait for the other's word, oldest first.
    pub alone: VecDeque<(Mono, u32)>,
}

/// Where a leg is.
type Place = (u32, u16);

impl Board {
    pub fn new(switch: SwitchId, edge: bool) -> Self {
        Self {
            switch,
            edge,
            keys: HashMap::new(),
            alone: VecDeque::new(),
            calls: HashMap::new(),
            next: 0,
            legs: HashMap::new(),
            bridges: HashMap::new(),
            locals: HashMap::new(),
            holding: HashMap::new(),
            over: VecDeque::new(),
            feeds: 0,
        }
    }

    /// One event, as facts. An event that adds nothing ends early.
    pub fn join(&mut self, desk: &mut Desk, now: Now, at: Moment, feed: Feed, said: Said) {
        let bit = feed.bit();
        if !matches!(said, Said::LinkLost { .. }) {
            self.feeds |= bit;
        }
        let others = self.feeds & !bit;
        // What dialog events alone tell is judged by other rules, and FreeSWITCH has names of its own; with AMI and ARI this costs nothing.
        let named = match (self.feeds | bit) & (Feed::Esl.bit() | Feed::Sip.bit() | Feed::Hep.bit()) {
            0 => None,
            _ => said.leg().map(|leg| leg.id.clone()),
        };
        let touched = match said {
            Said::NewLeg { leg, state, caller, dialled, places, created } => {
                self.new_leg(desk, now, at, leg, state, caller, dialled, places, created)
            }
            Said::State { leg, state } => self.with(desk, now, &leg, |l| l.reach(state, at)),
            Said::CallerId { leg, restricted, .. } => {
                self.with(desk, now, &leg, |l| {
                    // Of the feeds only the signalling itself tells this for every call.
                    l.shows |= !restricted && bit & (Feed::Esl.bit() | Feed::Hep.bit()) != 0;
                    // What the switch told before it knew is forgotten, so that no checkpoint has it either.
                    if restricted {
                        (l.number, l.shown_name) = (None, None);
                    }
                    restricted && !std::mem::replace(&mut l.restricted, true)
                })
            }
            Said::DialBegin { by, to, dialled, presented } => {
                self.dial_begin(desk, now, at, by, to, dialled, presented)
            }
            Said::DialEnd { by, to, status } => {
                self.dial_of(desk, now, at, by.as_ref(), &to, status);
                self.with(desk, now, &to, |l| {
                    let answered = status == DialStatus::Answer && l.reach(LegState::Up, at);
                    if l.status.is_some() || l.up.is_some() && status != DialStatus::Answer {
                        return answered;
                    }
                    l.status = Some((status, at));
                    true
                })
            }
            Said::BridgeEnter { leg, bridge, kind } => self.bridge_enter(desk, now, at, bit, leg, bridge, kind),
            Said::BridgeLeave { leg, bridge } => self.with(desk, now, &leg, |l| {
                facts::close(&mut l.bridges, &bridge, at, bit) | facts::close(&mut l.parks, &bridge, at, bit)
            }),
            Said::Hold { leg } => {
                self.with(desk, now, &leg, |l| l.ended.is_none() && facts::open(&mut l.holds, (), at, bit))
            }
            // A REFER brings an Unhold without a Hold (trace d): there is nothing to close then.
            Said::Unhold { leg } => self.with(desk, now, &leg, |l| facts::close(&mut l.holds, &(), at, bit)),
            Said::QueueJoin { leg, queue } => {
                self.adopt_caller(desk, now, at, &leg);
                self.queue_join(desk, now, at, bit, &leg, queue)
            }
            // At a timeout too (trace c2): whether the caller gave up shows in the caller's own end.
            Said::QueueLeave { leg, queue } | Said::QueueAbandon { leg, queue } => {
                self.with(desk, now, &leg, |l| facts::close(&mut l.queues, &queue, at, bit))
            }
            Said::AgentCalled { leg, agent, .. } | Said::AgentConnect { leg, agent, .. } => {
                self.tie_all(desk, now, &[Some(&leg), Some(&agent)]);
                None
            }
            // Comes before the DialEnd pair (trace c); a refusal looks the same but for the leg's own end.
            Said::AgentRingNoAnswer { agent, .. } => self.with(desk, now, &agent, |l| {
                let first = l.status.is_none() && l.up.is_none();
                if first {
                    l.status = Some((DialStatus::NoAnswer, at));
                }
                first
            }),
            Said::Application { leg, name, data } => self.application(desk, now, at, bit, &leg, name, data),
            Said::BlindTransfer { by, customer, to, success } => {
                self.tie_all(desk, now, &[Some(&by), customer.as_ref()]);
                if !success {
                    return;
                }
                self.transfer(desk, now, at, TransferKind::Blind, &[&by], None, to)
            }
            Said::AttendedTransfer { first, second, customer, target, success } => {
                if !success {
                    return;
                }
                self.guessed_wrong(desk, now, at, &[&second, &first], None);
                self.tie_all(desk, now, &[Some(&first), Some(&second), customer.as_ref(), target.as_ref()]);
                self.transfer(desk, now, at, TransferKind::Attended, &[&first, &second], target, None)
            }
            Said::HangupRequest { leg, .. } => self.with(desk, now, &leg, |l| {
                let first = l.asked_end.is_none();
                l.asked_end = l.asked_end.or(Some(at));
                first
            }),
            Said::Stopped { leg } => self.with(desk, now, &leg, |l| !std::mem::replace(&mut l.stopped, true)),
            // Dialog events tell the end of one dialog; who is in another by now is known from the signalling.
            Said::Hangup { leg, .. } if feed == Feed::Sip && self.goes_on(&leg) => None,
            Said::Hangup { leg, cause, text } => {
                self.moves_on(desk, at, &leg.id);
                self.with(desk, now, &leg, |l| {
                    l.close_all(at, bit);
                    match &mut l.ended {
                        // Dialog events tell the end and not the reason, and a mirror is heard a moment later.
                        Some(ended) if !ended.lost => {
                            let (known, reason) = (ended.feeds, ended.cause.is_none() && cause.is_some());
                            ended.feeds |= bit;
                            if reason {
                                (ended.cause, ended.text) = (cause, text);
                            }
                            reason || known != ended.feeds
                        }
                        ended => {
                            *ended = Some(Ended { at, cause, text, lost: false, feeds: bit });
                            true
                        }
                    }
                })
            }
            Said::Variable { leg, name, value } => self.variable(desk, now, at, bit, &leg, &name, value.expose()),
            Said::UserEvent { leg, event, headers } => self.user_event(desk, now, at, &leg, &event, &headers),
            Said::Digit { leg, digit, place } => self.digit(desk, at, bit, &leg, *digit.expose(), place),
            Said::RecordingStop { leg } => self.with(desk, now, &leg, |l| {
                // It does not say which: of several that go on, none is known to have been meant.
                let mut open = l.recordings.iter_mut().filter(|(_, span)| span.to.is_none());
                match (open.next(), open.next()) {
                    (Some((_, span)), None) => span.close(at, bit),
                    _ => false,
                }
            }),
            Said::Listen { leg, by } => {
                let device = kind_of(&by.name, &[]).1;
                let listener = Listener { agent: desk.agent_at(&self.switch, &device), device };
                self.with(desk, now, &leg, |l| l.ended.is_none() && facts::open(&mut l.listeners, listener, at, bit))
            }
            Said::Unlisten { leg, by } => {
                let device = kind_of(&by.name, &[]).1;
                self.with(desk, now, &leg, |l| {
                    let open =
                        l.listeners.iter_mut().filter(|(known, span)| known.device == device && span.to.is_none());
                    open.fold(false, |any, (_, span)| any | span.close(at, bit))
                })
            }
            Said::Originated { leg, number, .. } => self.with_call(desk, now, &leg, |f| {
                let new = f.wanted.is_none() && number.is_some();
                f.wanted = f.wanted.take().or(number);
                new
            }),
            Said::Requested { leg, request } => {
                let place = self.legs.get(&leg.id).copied();
                if let Some(place) = place {
                    self.expected(desk, now, at, place, &request);
                }
                place.map(|(key, _)| key)
            }
            Said::CallId { leg } => self.with(desk, now, &leg, |_| false),
            Said::Same { leg, also } => self.same(desk, now, &leg, &also),
            Said::Unseen { leg, answer } => {
                let place = self.legs.get(&leg.id).copied();
                if let Some(call) = place.and_then(|(key, _)| self.calls.get_mut(&key)) {
                    call.facts.hole = true;
                }
                self.with(desk, now, &leg, |l| {
                    l.adopted |= answer;
                    true
                })
            }
            Said::Gap { .. } => {
                self.unwatched();
                None
            }
            // What lives goes on unseen, unless another feed watches it; the next snapshot tells, or `lose_all`.
            Said::LinkLost { .. } => {
                self.feeds &= !bit;
                if self.feeds == 0 {
                    self.unwatched();
                }
                None
            }
            Said::Found(found) => {
                self.find(desk, now, at, bit, &found);
                let key = self.legs.get(&found.leg.id).map(|(key, _)| *key);
                if let Some(call) = key.and_then(|key| self.calls.get_mut(&key)).filter(|c| c.over.is_none()) {
                    call.facts.blind = false;
                }
                key
            }
            // Another feed that tells of the call, and lives, has seen it.
            Said::Doubt { leg } => self.with_call(desk, now, &leg, |f| {
                let unseen = f.told & others == 0;
                if unseen {
                    f.unwatched();
                }
                unseen
            }),
            Said::Gone { leg } => {
                if let Some(&(key, index)) = self.legs.get(&leg.id)
                    && let Some(call) = self.calls.get(&key).filter(|c| c.facts.told & others == 0)
                {
                    // Its end is the last that was heard of the call, not this word of it.
                    let last = call.facts.last;
                    self.lose((key, index), last);
                    self.settle(desk, now, last, key);
                }
                None
            }
            Said::Snapshot(_) | Said::LoggedOn(_) | Said::LoggedOff(_) | Said::Stands(_) | Said::Members(_) => None,
        };
        if let Some(call) = named.and_then(|id| self.legs.get(&id)).and_then(|(key, _)| self.calls.get_mut(key)) {
            call.facts.told |= bit;
        }
        if let Some(key) = touched {
            self.settle(desk, now, at, key);
        }
    }

    /// One party under two ids. Who is not known yet under the second is so from now on; who is, was told by another feed or before this was known.
    fn same(&mut self, desk: &mut Desk, now: Now, leg: &event::Leg, also: &event::Leg) -> Option<u32> {
        let place = *self.legs.get(&leg.id)?;
        let Some(&there) = self.legs.get(&also.id) else {
            let leg = self.leg_mut(place).filter(|l| l.aliases.len() < call::LEGS)?;
            leg.aliases.push(also.id.clone());
            self.legs.insert(also.id.clone(), place);
            return None;
        };
        if there == place || there.0 != place.0 && self.tie(desk, Some(now), place.0, there.0).is_none() {
            return None;
        }
        let ((key, into), (other, from)) = (*self.legs.get(&leg.id)?, *self.legs.get(&also.id)?);
        // A call that is over stays over: what lives of the second leg is no reason to begin it again.
        let open = self.calls.get_mut(&key).filter(|call| call.over.is_none());
        let facts = &mut open.filter(|_| key == other && into != from)?.facts;
        facts.fold(into, from);
        for id in facts.legs.get(usize::from(into))?.ids() {
            self.legs.insert(id.clone(), (key, into));
        }
        Some(key)
    }

    /// Whether this leg's party is known to be in more calls than one, by signalling that is still heard.
    fn goes_on(&self, named: &event::Leg) -> bool {
        let leg = self.legs.get(&named.id).and_then(|(key, i)| self.calls.get(key)?.facts.legs.get(usize::from(*i)));
        self.feeds & Feed::Hep.bit() != 0 && leg.is_some_and(|l| !l.aliases.is_empty())
    }

    fn unwatched(&mut self) {
        for call in self.calls.values_mut().filter(|c| c.over.is_none()) {
            call.facts.unwatched();
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one event")]
    fn new_leg(
        &mut self,
        desk: &mut Desk,
        now: Now,
        at: Moment,
        named: event::Leg,
        state: LegState,
        caller: Caller,
        dialled: Option<crate::private::Private<String>>,
        places: Vec<(Dialled, Private<String>)>,
        created: Option<crate::words::Wall>,
    ) -> Option<u32> {
        let created = Moment { wall: created.or(at.wall), ..at };
        if let Some(&place) = self.legs.get(&named.id) {
            // A switch that restarted counts from 0 again: within one second an id comes twice, and the first has been lost.
            let lost = |l: &mut Leg| l.ended.as_ref().is_some_and(|e| e.lost && e.at.until(created) && e.at != created);
            if !self.leg_mut(place).is_some_and(lost) {
                self.tie_linked(desk, now, &named);
                return Some(place.0);
            }
            self.legs.remove(&named.id);
        }
        let (key, index) = self.insert(desk, &named, created)?;
        let leg = self.leg_mut((key, index))?;
        leg.incoming = state == LegState::Calling;
        leg.number = caller.number;
        leg.shown_name = caller.name;
        leg.dialled = dialled;
        leg.places = places;
        leg.reach(state, at);
        // A Local's second half is in state Ring although nobody called: it is no leg of a party.
        leg.incoming &= leg.real();
        self.tie_linked(desk, now, &named);
        let place = *self.legs.get(&named.id)?;
        self.expected(desk, now, at, place, &named.id);
        self.joins(desk, now, at, &named.id);
        Some(self.legs.get(&named.id)?.0)
    }

    /// A leg that was not announced (a capture that begins in the middle): taken in as it is.
    pub fn adopt(&mut self, desk: &mut Desk, now: Now, at: Moment, named: &event::Leg) -> Option<Place> {
        if let Some(place) = self.legs.get(&named.id) {
            return Some(*place);
        }
        let place = self.insert(desk, named, at)?;
        self.leg_mut(place)?.adopted = true;
        self.calls.get_mut(&place.0)?.facts.blind = true;
        self.tie_linked(desk, now, named);
        self.legs.get(&named.id).copied()
    }

    /// As [`Board::adopt`], of a leg that dials or waits in a queue: a party's leg that does came in.
    fn adopt_caller(&mut self, desk: &mut Desk, now: Now, at: Moment, named: &event::Leg) -> Option<Place> {
        let known = self.legs.contains_key(&named.id);
        let place = self.adopt(desk, now, at, named)?;
        let leg = self.leg_mut(place)?;
        leg.incoming |= !known && leg.real();
        Some(place)
    }

    /// A dial whose end is told: where its beginning was missed, its legs are taken in now.
    fn dial_of(
        &mut self,
        desk: &mut Desk,
        now: Now,
        at: Moment,
        by: Option<&event::Leg>,
        to: &event::Leg,
        status: DialStatus,
    ) {
        if let Some(by) = by.filter(|_| !self.legs.contains_key(&to.id)) {
            self.adopt_caller(desk, now, at, by);
            self.adopt(desk, now, at, to);
        }
        self.tie_all(desk, now, &[by, Some(to)]);
        let place = |leg: &event::Leg| self.legs.get(&leg.id).copied();
        if let (Some((there, by)), Some((key, index))) = (by.and_then(place), place(to))
            && there == key
            && let Some(leg) = self.leg_mut((key, index))
            && leg.dial.is_none()
            && leg.ended.is_none()
        {
            let mut begun = leg.ringing.unwrap_or(leg.created);
            // Who called the switch and ends a dial to another phone as its answer came to fetch the call (22.10.1, scenario pickup): there its
            // own `Up`, half a second before, is only the feature's Answer().
            if leg.incoming && status == DialStatus::Answer {
                begun = at;
                (leg.incoming, leg.pickup, leg.up) = (false, true, Some(at));
            }
            leg.dial = Some(Dial { at: begun, by: Some(by), number: None, presented: None });
        }
    }

    /// A leg in a call of its own, until something ties it to another.
    pub fn insert(&mut self, desk: &mut Desk, named: &event::Leg, created: Moment) -> Option<Place> {
        if desk.legs >= LEGS || named.id.is_empty() {
            desk.refused += 1;
            return None;
        }
        let rules = desk.rules(&self.switch)?;
        let mut leg = Leg::new(named.id.clone(), created);
        leg.name.clone_from(&named.name);
        leg.linked.clone_from(&named.linked);
        leg.sip_call_id.clone_from(&named.sip_call_id);
        (leg.kind, leg.endpoint) = kind_of(&named.name, &rules.trunks);
        if named.id.starts_with(RequestId::EAR) {
            leg.kind = Kind::Plumbing;
        }
        if leg.kind == Kind::Device {
            // Decided here, once: who takes the seat while the call is up has not this call.
            leg.agent = desk.agent_at(&self.switch, &leg.endpoint);
        }
        let mut facts = Facts::new(rules.tenant.clone(), created);
        let local = (leg.kind == Kind::Local).then(|| leg.endpoint.clone());
        facts.legs.push(leg);
        let key = self.next;
        self.next = self.next.wrapping_add(1);
        self.calls.insert(key, Call::new(facts));
        self.legs.insert(named.id.clone(), (key, 0));
        desk.legs += 1;
        if let Some(name) = local {
            let other = *self.locals.entry(name).or_insert(key);
            self.tie(desk, None, other, key);
        }
        self.legs.get(&named.id).copied()
    }

    /// A leg has come that was asked for into a call.
    fn joins(&mut self, desk: &mut Desk, now: Now, at: Moment, id: &str) {
        let Some((other, _)) = desk.joining.remove(id) else { return };
        let (Some(&place), Some(&(call, _))) = (self.legs.get(id), self.legs.get(&other)) else { return };
        if let Some(leg) = self.leg_mut(place) {
            leg.dial.get_or_insert(Dial { at, by: None, number: None, presented: None });
        }
        self.tie(desk, Some(now), call, place.0);
    }

    /// The leg that an agent asked for has come.
    fn expected(&mut self, desk: &mut Desk, now: Now, at: Moment, (key, _): Place, id: &str) {
        let Some((dial, _)) = desk.expected.remove(id) else { return };
        let Some(call) = self.calls.get_mut(&key) else { return };
        let back = dial.reference.as_ref().is_some_and(Reference::is_callback);
        call.facts.origin = if back { Origin::Callback } else { Origin::ClickToDial };
        call.facts.reference = dial.reference;
        call.facts.wanted = Some(dial.number);
        call.facts.tenant = dial.tenant;
        if let Some(leg) = call.facts.legs.first_mut() {
            leg.dial.get_or_insert(Dial { at, by: None, number: None, presented: None });
        }
        self.appear(desk, now, key);
        if let Some(shown) = self.calls.get(&key).and_then(|c| c.shown.as_ref()) {
            desk.change(shown.id, now, What::Launched { request: dial.request });
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one event")]
    fn dial_begin(
        &mut self,
        desk: &mut Desk,
        now: Now,
        at: Moment,
        by: Option<event::Leg>,
        to: event::Leg,
        number: Option<crate::private::Private<String>>,
        presented: Option<crate::private::Private<String>>,
    ) -> Option<u32> {
        if let Some(by) = &by {
            self.adopt_caller(desk, now, at, by)?;
        }
        self.adopt(desk, now, at, &to)?;
        self.tie_all(desk, now, &[by.as_ref(), Some(&to)]);
        if let Some(by) = &by {
            self.moves_on(desk, at, &by.id);
        }
        let (key, index) = *self.legs.get(&to.id)?;
        let by = match &by {
            // The dialling leg's call may be over, and takes nobody in: then it is not known who dials.
            Some(by) => Some(self.legs.get(&by.id).filter(|(there, _)| *there == key)?.1),
            None => None,
        };
        let leg = self.leg_mut((key, index))?;
        match &mut leg.dial {
            // A request of ours made an empty one; and the second feed may know what the first did not.
            Some(dial) => {
                let before = (dial.by, dial.number.is_some(), dial.presented.is_some());
                dial.by = dial.by.or(by);
                dial.number = dial.number.take().or(number);
                dial.presented = dial.presented.take().or(presented);
                if before == (dial.by, dial.number.is_some(), dial.presented.is_some()) {
                    return None;
                }
            }
            None => leg.dial = Some(Dial { at, by, number, presented }),
        }
        self.outside(desk, (key, index));
        // Who calls out over a trunk while a customer waits may ask there, or have put the customer aside for another one: that shows when
        // the two are handed to each other.
        let asks = self.leg_mut((key, index)).is_some_and(|l| l.kind != Kind::Trunk);
        match by.filter(|_| asks).and_then(|by| self.held_customer(key, by)) {
            Some(held) => self.tie(desk, Some(now), held, key),
            None => Some(key),
        }
    }

    /// A leg that goes out over a trunk to a person's phone outside is that person's device, as a desk phone is. It is known with the dial, and
    /// never for a leg that a list told of: no list has the number.
    fn outside(&mut self, desk: &Desk, place: Place) {
        if !desk.settings.directory.any_outside() {
            return;
        }
        let Some(plan) = desk.rules(&self.switch).map(|rules| &rules.plan) else { return };
        let Some(leg) = self.leg_mut(place).filter(|l| l.kind == Kind::Trunk && !l.incoming && l.agent.is_none())
        else {
            return;
        };
        let Some(number) = leg.dial.as_ref().and_then(|dial| dial.number.as_ref()) else { return };
        let Some(e164) = plan.read(standing::bare(number.expose())).e164 else { return };
        if let Some(agent) = desk.settings.directory.outside(e164.expose()) {
            (leg.kind, leg.agent) = (Kind::Device, Some(agent.id.clone()));
        }
    }

    /// The call whose customer waits while this agent dials a colleague.
    fn held_customer(&self, key: u32, by: u16) -> Option<u32> {
        let leg = self.calls.get(&key)?.facts.legs.get(usize::from(by))?;
        let agent = leg.agent.as_ref().filter(|_| leg.incoming)?;
        self.holding.get(agent)?.iter().rev().copied().find(|held| {
            let Some(call) = self.calls.get(held).filter(|c| *held != key && c.over.is_none()) else { return false };
            let holds = call.facts.offers.iter().any(|o| &o.offer.agent == agent && o.state == OfferState::Holding);
            holds && call.facts.customer().is_some()
        })
    }

    pub fn holds(&mut self, agent: &AgentId, key: u32) {
        let held = self.holding.entry(agent.clone()).or_default();
        held.retain(|k| *k != key);
        held.push(key);
    }

    pub fn holds_no_more(&mut self, agent: &AgentId, key: u32) {
        if let Some(held) = self.holding.get_mut(agent) {
            held.retain(|k| *k != key);
            if held.is_empty() {
                self.holding.remove(agent);
            }
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one event")]
    pub fn bridge_enter(
        &mut self,
        desk: &mut Desk,
        now: Now,
        at: Moment,
        bit: u8,
        leg: event::Leg,
        bridge: String,
        kind: BridgeKind,
    ) -> Option<u32> {
        self.adopt(desk, now, at, &leg)?;
        self.tie_linked(desk, now, &leg);
        self.moves_on(desk, at, &leg.id);
        let (key, _) = *self.legs.get(&leg.id)?;
        // A parking lot and a waiting room hold strangers: nobody there is tied, or talks.
        if matches!(kind, BridgeKind::Holding | BridgeKind::Parking) {
            return self.with(desk, now, &leg, |l| {
                let new = kind == BridgeKind::Parking
                    && l.ended.is_none()
                    && facts::open(&mut l.parks, bridge.clone(), at, bit);
                if new {
                    l.left_for(&bridge, at, bit);
                }
                new
            });
        }
        self.guessed_wrong(desk, now, at, &[&leg], Some(&bridge));
        let (key, _) = self.legs.get(&leg.id).copied().unwrap_or((key, 0));
        let there = *self.bridges.entry(bridge.clone()).or_insert(key);
        let occupied = self.calls.get(&there).is_some_and(|c| c.over.is_none());
        if there != key && occupied {
            self.tie(desk, Some(now), there, key);
        } else if !occupied {
            self.bridges.insert(bridge.clone(), key);
        }
        if kind == BridgeKind::Conference
            && let Some((key, _)) = self.legs.get(&leg.id)
            && let Some(call) = self.calls.get_mut(key)
        {
            call.facts.conference(bridge.clone());
        }
        self.with(desk, now, &leg, |l| {
            let new = l.ended.is_none() && facts::open(&mut l.bridges, bridge.clone(), at, bit);
            if new {
                l.left_for(&bridge, at, bit);
            }
            new
        })
    }

    pub fn queue_join(
        &mut self,
        desk: &mut Desk,
        now: Now,
        at: Moment,
        bit: u8,
        leg: &event::Leg,
        queue: String,
    ) -> Option<u32> {
        self.moves_on(desk, at, &leg.id);
        let mut joined = false;
        let key = self.with(desk, now, leg, |l| {
            joined = l.ended.is_none() && facts::open(&mut l.queues, queue.clone(), at, bit);
            if joined {
                for (other, span) in &mut l.queues {
                    if *other != queue {
                        span.close(at, bit);
                    }
                }
            }
            joined
        })?;
        if self.calls.get(&key).is_some_and(|c| c.over.is_none() && c.facts.is_call()) {
            self.appear(desk, now, key);
        }
        if let Some(shown) = self.calls.get_mut(&key).and_then(|c| c.shown.as_mut()) {
            shown.face.queue = Some(queue.clone());
            shown.face.queued_at = shown.face.queued_at.or(at.wall);
            let id = shown.id;
            desk.change(id, now, What::Queued { queue });
        }
        Some(key)
    }

    /// ARI tells queues by the application. After a blind transfer it says the old `Queue(...)` once more (trace d): the same step is no step.
    #[allow(clippy::too_many_arguments, reason = "the fields of one event")]
    fn application(
        &mut self,
        desk: &mut Desk,
        now: Now,
        at: Moment,
        bit: u8,
        leg: &event::Leg,
        name: String,
        data: String,
    ) -> Option<u32> {
        let place = *self.legs.get(&leg.id)?;
        let known = self.leg_mut(place)?;
        let queue = (name == "Queue").then(|| data.split(',').next().unwrap_or_default().to_owned());
        if !known.step(at, name, data) {
            return None;
        }
        if let Some(queue) = queue {
            return match queue.is_empty() {
                true => None,
                false => self.queue_join(desk, now, at, bit, leg, queue),
            };
        }
        // Another step of the dialplan: the queue is left, if this feed told of it. A step that lags behind the other feed's join does not.
        self.with(desk, now, leg, |l| {
            l.queues.iter_mut().filter(|(_, s)| s.told_by(bit)).fold(false, |any, (_, span)| any | span.close(at, bit))
        })
    }

    /// An agent with two customers on hold asked a colleague, and for which of the two was a guess. Where two customers' calls would become one
    /// by that consultation (in one bridge, or by the transfer itself) it was wrong: its legs leave the call that they were tied to.
    fn guessed_wrong(&mut self, desk: &mut Desk, now: Now, at: Moment, named: &[&event::Leg], bridge: Option<&str>) {
        let mut places: Vec<Place> = named.iter().filter_map(|l| self.legs.get(&l.id).copied()).collect();
        let there = bridge.and_then(|b| Some((b, *self.bridges.get(b)?)));
        if let Some((bridge, key)) = there
            && let Some(call) = self.calls.get(&key)
        {
            let inside = |l: &Leg| l.bridges.iter().any(|(b, span)| b == bridge && span.to.is_none());
            places.extend((0_u16..).zip(&call.facts.legs).filter(|(_, l)| inside(l)).map(|(index, _)| (key, index)));
        }
        let served = |key: u32| self.calls.get(&key).is_some_and(|c| c.over.is_none() && c.facts.customer().is_some());
        let mut keys: Vec<u32> = places.iter().map(|(key, _)| *key).filter(|key| served(*key)).collect();
        keys.sort_unstable();
        keys.dedup();
        if keys.len() < 2 {
            return;
        }
        let asks = |&(key, index): &Place| {
            let facts = &self.calls.get(&key)?.facts;
            let own = |index: &usize| facts.consults(*index);
            let asking = Some(usize::from(index)).filter(own).or_else(|| facts.dialler(index.into()).filter(own))?;
            Some((key, facts.asked_by(u16::try_from(asking).ok()?)?))
        };
        if let Some((key, out)) = places.iter().find_map(asks) {
            self.part(desk, now, at, key, &out);
        }
    }

    /// Some legs of a call become a call of their own.
    fn part(&mut self, desk: &mut Desk, now: Now, at: Moment, there: u32, out: &[u16]) {
        let Some(call) = self.calls.get_mut(&there) else { return };
        let part = call.facts.part(out);
        let key = self.next;
        self.next = self.next.wrapping_add(1);
        for leg in &part.legs {
            for (bridge, span) in &leg.bridges {
                if span.to.is_none() {
                    self.bridges.insert(bridge.clone(), key);
                }
            }
            if leg.kind == Kind::Local {
                self.locals.insert(leg.endpoint.clone(), key);
            }
        }
        for (key, legs) in [(key, &part.legs), (there, &call.facts.legs)] {
            for (index, leg) in (0_u16..).zip(legs) {
                for id in leg.ids() {
                    if let Some(place) = self.legs.get_mut(id).filter(|(old, _)| *old == there) {
                        *place = (key, index);
                    }
                }
            }
        }
        self.calls.insert(key, Call::new(part));
        self.settle(desk, now, at, there);
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one event")]
    fn transfer(
        &mut self,
        desk: &mut Desk,
        now: Now,
        at: Moment,
        kind: TransferKind,
        by: &[&event::Leg],
        target: Option<event::Leg>,
        number: Option<crate::private::Private<String>>,
    ) -> Option<u32> {
        let places: Vec<Place> = by.iter().filter_map(|l| self.legs.get(&l.id).copied()).collect();
        let target = target.and_then(|t| self.legs.get(&t.id).copied());
        let &(key, _) = places.first()?;
        let call = self.calls.get_mut(&key)?;
        if call.facts.transfers.iter().any(|t| t.kind == kind && places.iter().any(|(_, i)| *i == t.by))
            || call.facts.transfers.len() >= call::LEGS
        {
            return None;
        }
        // Of an attended transfer's two legs, the one that had the customer.
        let customer = call.facts.customer();
        let met = |index: u16| {
            let (Some(a), Some(b)) =
                (customer.and_then(|c| call.facts.legs.get(c)), call.facts.legs.get(usize::from(index)))
            else {
                return false;
            };
            a.bridges.iter().any(|(x, _)| b.bridges.iter().any(|(y, _)| x == y))
        };
        let by = places.iter().map(|(_, i)| *i).find(|i| met(*i)).or(places.first().map(|(_, i)| *i))?;
        for (_, index) in &places {
            if let Some(leg) = call.facts.legs.get_mut(usize::from(*index)) {
                leg.released = leg.released.or(Some(at));
                for (_, span) in &mut leg.holds {
                    span.close(at, 0);
                }
            }
        }
        let target = target.filter(|(k, _)| *k == key).map(|(_, i)| i);
        call.facts.transfers.push(Transfer { kind, at, by, target, number: number.clone() });
        let from = call.facts.legs.get(usize::from(by)).and_then(|l| l.agent.clone());
        let to = match target {
            Some(index) => call.facts.legs.get(usize::from(index)).and_then(|l| l.agent.clone()),
            None => number.and_then(|n| desk.agent_at(&self.switch, n.expose())),
        };
        if let (Some(from), Some(shown)) = (from, &call.shown) {
            desk.change(shown.id, now, What::Transferred { kind, from, to });
        }
        Some(key)
    }

    /// A variable that is mapped, or that names a recording.
    #[allow(clippy::too_many_arguments, reason = "the fields of one event")]
    pub fn variable(
        &mut self,
        desk: &mut Desk,
        now: Now,
        at: Moment,
        bit: u8,
        leg: &event::Leg,
        name: &str,
        value: &[u8],
    ) -> Option<u32> {
        let began = self.recording(desk, now, at, bit, leg, name, value);
        let declared = desk.rules(&self.switch)?.attributes.clone();
        // `__CTI_ACCOUNT` is how a dialplan says that CTI_ACCOUNT is inherited.
        let name = name.trim_start_matches('_');
        let header = name.strip_prefix("sip:");
        let from = |m: &&Mapping| match &m.from {
            Some(Source::Variable(wanted)) => wanted == name,
            // Told by the signalling under this name; headers are the same in any case (RFC 3261, 7.3.1).
            Some(Source::SipHeader(wanted)) => header.is_some_and(|header| wanted.eq_ignore_ascii_case(header)),
            _ => false,
        };
        self.told(desk, now, at, leg, declared.list.iter().filter(from).map(|m| (m, value))).or(began)
    }

    /// A recording began, if that is what this variable says.
    #[allow(clippy::too_many_arguments, reason = "the fields of one event")]
    pub fn recording(
        &mut self,
        desk: &mut Desk,
        now: Now,
        at: Moment,
        bit: u8,
        leg: &event::Leg,
        name: &str,
        file: &[u8],
    ) -> Option<u32> {
        let wanted = desk.rules(&self.switch)?.attributes.recordings.as_ref()?;
        if wanted.variable != name.trim_start_matches('_') || file.is_empty() {
            return None;
        }
        let file = Private::new(String::from_utf8_lossy(file).into_owned());
        self.with(desk, now, leg, |l| l.ended.is_none() && facts::open(&mut l.recordings, file, at, bit))
    }

    fn user_event(
        &mut self,
        desk: &mut Desk,
        now: Now,
        at: Moment,
        leg: &event::Leg,
        event: &str,
        headers: &[(String, Private<Vec<u8>>)],
    ) -> Option<u32> {
        let declared = desk.rules(&self.switch)?.attributes.clone();
        let values = declared.list.iter().filter_map(|m| match &m.from {
            Some(Source::UserEvent(wanted)) if wanted.event == event => {
                let (_, value) = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(&wanted.header))?;
                Some((m, value.expose().as_slice()))
            }
            _ => None,
        });
        self.told(desk, now, at, leg, values)
    }

    fn digit(
        &mut self,
        desk: &Desk,
        at: Moment,
        bit: u8,
        named: &event::Leg,
        digit: char,
        place: attributes::Place,
    ) -> Option<u32> {
        if !desk.rules(&self.switch)?.attributes.wants_digits() {
            return None;
        }
        let here = *self.legs.get(&named.id)?;
        // A part of what was keyed in is another value: after a hole none is better.
        let hole = self.calls.get(&here.0)?.facts.hole;
        let leg = self.leg_mut(here)?;
        if hole || leg.adopted || !leg.press(digit, place, at, bit) {
            return None;
        }
        self.keyed(desk, here)
    }

    /// What the keys of a leg make by now.
    fn keyed(&mut self, desk: &Desk, (key, index): Place) -> Option<u32> {
        let declared = &desk.rules(&self.switch)?.attributes;
        let facts = &mut self.calls.get_mut(&key)?.facts;
        if facts.hole {
            return None;
        }
        let leg = facts.legs.get(usize::from(index))?;
        let found: Vec<_> =
            declared.digits().filter_map(|(m, digits)| digits.collect(leg).map(|(text, at)| (m, text, at))).collect();
        let mut new = false;
        for (mapping, text, at) in found {
            new |= facts.tell(mapping, text.expose().as_bytes(), at, false);
        }
        new.then_some(key)
    }

    /// The leg's dialogue with a machine is over.
    fn moves_on(&mut self, desk: &Desk, at: Moment, id: &str) {
        let Some(&place) = self.legs.get(id) else { return };
        if self.leg_mut(place).is_some_and(|leg| leg.moves_on(at)) {
            self.keyed(desk, place);
        }
    }

    /// Values that were told of a leg, for its call.
    fn told<'a>(
        &mut self,
        desk: &mut Desk,
        now: Now,
        at: Moment,
        leg: &event::Leg,
        values: impl Iterator<Item = (&'a Mapping, &'a [u8])>,
    ) -> Option<u32> {
        self.with_call(desk, now, leg, |facts| {
            values.fold(false, |new, (mapping, value)| new | facts.tell(mapping, value, at, false))
        })
    }

    /// What an agent wrote.
    pub fn write(&mut self, desk: &mut Desk, now: Now, at: Moment, key: u32, mapping: &Mapping, value: &str) {
        if let Some(call) = self.calls.get_mut(&key)
            && call.facts.tell(mapping, value.as_bytes(), at, true)
        {
            self.settle(desk, now, at, key);
        }
    }

    /// Does something to a known leg; gives its call if that changed anything.
    fn with(&mut self, desk: &mut Desk, now: Now, named: &event::Leg, f: impl FnOnce(&mut Leg) -> bool) -> Option<u32> {
        self.tie_linked(desk, now, named);
        let place = *self.legs.get(&named.id)?;
        let leg = self.leg_mut(place)?;
        if leg.sip_call_id.is_none() && named.sip_call_id.is_some() {
            leg.sip_call_id.clone_from(&named.sip_call_id);
        }
        f(leg).then_some(place.0)
    }

    fn with_call(
        &mut self,
        desk: &mut Desk,
        now: Now,
        named: &event::Leg,
        f: impl FnOnce(&mut Facts) -> bool,
    ) -> Option<u32> {
        self.tie_linked(desk, now, named);
        let (key, _) = *self.legs.get(&named.id)?;
        f(&mut self.calls.get_mut(&key)?.facts).then_some(key)
    }

    pub fn leg_mut(&mut self, (key, index): Place) -> Option<&mut Leg> {
        self.calls.get_mut(&key)?.facts.legs.get_mut(usize::from(index))
    }

    /// The switch's own group: `Linkedid` is the id of the group's oldest channel.
    pub fn tie_linked(&mut self, desk: &mut Desk, now: Now, named: &event::Leg) {
        let Some(linked) = &named.linked else { return };
        let Some(&(here, index)) = self.legs.get(&named.id) else { return };
        if *linked == named.id {
            if let Some(leg) = self.leg_mut((here, index))
                && leg.linked.is_none()
            {
                leg.linked = Some(linked.clone());
            }
            return;
        }
        if self.legs.get(linked).is_some_and(|(there, _)| *there != here) {
            let oldest = event::Leg { id: linked.clone(), ..event::Leg::default() };
            let last = self.calls.get(&here).map(|c| c.facts.last);
            if let Some(last) = last {
                self.guessed_wrong(desk, now, last, &[named, &oldest], None);
            }
        }
        let place = |id: &String| self.legs.get(id).map(|(key, _)| *key);
        if let (Some(here), Some(there)) = (place(&named.id), place(linked)) {
            self.tie(desk, Some(now), there, here);
        }
    }

    fn tie_all(&mut self, desk: &mut Desk, now: Now, named: &[Option<&event::Leg>]) {
        let mut first: Option<u32> = None;
        for leg in named.iter().copied().flatten() {
            self.tie_linked(desk, now, leg);
            let Some(&(key, _)) = self.legs.get(&leg.id) else { continue };
            first = match first {
                Some(other) if other != key => self.tie(desk, Some(now), other, key),
                Some(other) => Some(other),
                None => Some(key),
            };
        }
    }

    /// Two calls are one. Who is shown stays, of two shown ones the older; the other is absorbed. Gives the key that is left.
    pub fn tie(&mut self, desk: &mut Desk, now: Option<Now>, a: u32, b: u32) -> Option<u32> {
        if a == b {
            return Some(a);
        }
        let (one, two) = (self.calls.get(&a)?, self.calls.get(&b)?);
        if one.facts.legs.len() + two.facts.legs.len() > call::LEGS {
            return Some(b);
        }
        let age = |call: &Call| call.facts.oldest().map(|l| l.created);
        let older = match (age(one), age(two)) {
            (Some(x), Some(y)) => x.until(y),
            _ => true,
        };
        // An ended call takes nobody in: a late event names it, the living goes on.
        let first = match (one.over.is_some(), two.over.is_some(), one.shown.is_some(), two.shown.is_some()) {
            (true, true, ..) => return Some(b),
            (true, false, ..) if one.shown.is_some() => return Some(b),
            (false, true, ..) if two.shown.is_some() => return Some(a),
            (_, _, true, false) => true,
            (_, _, false, true) => false,
            _ => older,
        };
        let (into, gone) = if first { (a, b) } else { (b, a) };
        let gone_call = self.calls.remove(&gone)?;
        let call = self.calls.get_mut(&into)?;
        let of = |(index, leg): (u16, &Leg)| leg.ids().map(move |id| (index, id.clone())).collect::<Vec<_>>();
        let names: Vec<(u16, String)> = (0_u16..).zip(&gone_call.facts.legs).flat_map(of).collect();
        let shift = call.facts.absorb(gone_call.facts);
        for (n, name) in names {
            let index = shift.saturating_add(n);
            // Not of one that was lost and whose id another has by now.
            if let Some(place) = self.legs.get_mut(&name).filter(|(key, _)| *key == gone) {
                *place = (into, index);
            }
        }
        let holds = |o: &&facts::OfferFacts| o.state == OfferState::Holding;
        let holders: Vec<AgentId> = call.facts.offers.iter().filter(holds).map(|o| o.offer.agent.clone()).collect();
        for leg in &call.facts.legs {
            for (bridge, span) in &leg.bridges {
                if span.to.is_none() {
                    self.bridges.insert(bridge.clone(), into);
                }
            }
            if leg.kind == Kind::Local {
                self.locals.insert(leg.endpoint.clone(), into);
            }
        }
        call.keys.extend(gone_call.keys);
        call.twin = call.twin.take().or(gone_call.twin);
        if let (Some(gone), Some(kept)) = (&gone_call.shown, &call.shown) {
            desk.ids.remove(&gone.id);
            if let Some(now) = now {
                desk.change(gone.id, now, What::Absorbed { into: kept.id });
            }
        }
        for agent in holders {
            self.holds_no_more(&agent, gone);
            self.holds(&agent, into);
        }
        Some(into)
    }

    /// After a fact: is it a call now, what changed for agents, is it over.
    pub fn settle(&mut self, desk: &mut Desk, now: Now, at: Moment, key: u32) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.facts.last = call.facts.last.later(at);
        call.heard = now.mono;
        let quiet = call.facts.quiet();
        if !quiet && call.shown.is_none() {
            // What looked over has been tied to something that lives.
            call.over = None;
        }
        if self.edge && call.shown.is_none() {
            if quiet && call.over.is_none() {
                call.over = Some(now.mono);
                self.over.push_back((now.mono.plus_ms(KEEP_MS), key));
                self.alone.push_back((now.mono.plus_ms(ALONE_MS), key));
            }
            return;
        }
        if call.shown.is_none() {
            let trunk = call.facts.legs.iter().any(|l| l.kind == Kind::Trunk);
            // A trunk leg is always a record, even one that nothing ever tied to anything.
            if call.facts.is_call() || (quiet && trunk) {
                // It may have looked over already: a second feed told late what made it a call.
                call.over = None;
                self.appear(desk, now, key);
            } else if quiet && call.over.is_none() {
                call.over = Some(now.mono);
                self.over.push_back((now.mono.plus_ms(KEEP_MS), key));
                return;
            } else {
                return;
            }
        }
        self.stand(desk, now, at, key);
        let switch = &self.switch;
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(shown) = &call.shown else { return };
        if call.over.is_some() {
            let record = judge::record(&desk.settings, switch, &call.facts, shown, call.revision);
            if call.record.as_deref().is_some_and(|old| *old != record) {
                call.revision += 1;
                call.record = Some(Box::new(Record { revision: call.revision, ..record }));
                desk.change(shown.id, now, What::Amended);
            }
        } else if quiet {
            call.over = Some(now.mono);
            self.over.push_back((now.mono.plus_ms(KEEP_MS), key));
            let record = judge::record(&desk.settings, switch, &call.facts, shown, call.revision);
            let id = shown.id;
            if let Some(shown) = &mut call.shown {
                shown.face.ended_at = record.ended_at;
                shown.face.answered_at = record.answered_at.or(shown.face.answered_at);
            }
            call.record = Some(Box::new(record));
            desk.change(id, now, What::Ended);
        }
    }

    pub fn deadline(&self) -> Option<Mono> {
        let front = |list: &VecDeque<(Mono, u32)>| list.front().map(|(due, _)| *due);
        [front(&self.over), front(&self.alone)].into_iter().flatten().min()
    }

    pub fn tick(&mut self, desk: &mut Desk, now: Now) {
        while let Some(&(due, key)) = self.over.front()
            && due <= now.mono
        {
            self.over.pop_front();
            self.forget(desk, due, key);
        }
    }

    fn forget(&mut self, desk: &mut Desk, due: Mono, key: u32) {
        // What only looked over goes on, and has a later place in the queue when it ends.
        let ended = self.calls.get(&key).and_then(|c| c.over);
        if ended.is_none_or(|at| at.plus_ms(KEEP_MS) > due) {
            return;
        }
        let Some(call) = self.calls.remove(&key) else { return };
        self.forget_keys(&call.keys, &call.facts.legs);
        for leg in &call.facts.legs {
            for id in leg.ids() {
                if self.legs.get(id).is_some_and(|(there, _)| *there == key) {
                    self.legs.remove(id);
                }
            }
            desk.legs = desk.legs.saturating_sub(1);
            if self.locals.get(&leg.endpoint) == Some(&key) {
                self.locals.remove(&leg.endpoint);
            }
            for (bridge, _) in &leg.bridges {
                if self.bridges.get(bridge) == Some(&key) {
                    self.bridges.remove(bridge);
                }
            }
        }
        if let Some(shown) = call.shown {
            desk.ids.remove(&shown.id);
        }
    }

    /// Marks a leg as gone without anybody having seen it.
    pub fn lose(&mut self, place: Place, at: Moment) {
        if let Some(leg) = self.leg_mut(place)
            && leg.ended.is_none()
        {
            leg.close_all(at, 0);
            leg.ended = Some(Ended { at, cause: None, text: None, lost: true, feeds: 0 });
        }
    }

    pub fn lose_all(&mut self, desk: &mut Desk, now: Now) {
        let mut open: Vec<u32> = self.calls.iter().filter(|(_, c)| c.over.is_none()).map(|(k, _)| *k).collect();
        open.sort_unstable();
        for key in open {
            self.lose_call(desk, now, key);
        }
    }

    /// Ends what is left of a call at its last sighting.
    pub fn lose_call(&mut self, desk: &mut Desk, now: Now, key: u32) {
        let Some(call) = self.calls.get(&key) else { return };
        let (last, count) = (call.facts.last, call.facts.legs.len());
        for index in 0..count {
            self.lose((key, u16::try_from(index).unwrap_or(u16::MAX)), last);
        }
        self.settle(desk, now, last, key);
    }

    pub fn face(&self, key: u32) -> Option<&Face> {
        Some(&self.calls.get(&key)?.shown.as_ref()?.face)
    }

    pub fn open_faces(&self) -> impl Iterator<Item = &Face> {
        self.calls.values().filter(|c| c.over.is_none()).filter_map(|c| c.shown.as_ref()).map(|s| &s.face)
    }

    pub fn open_legs(&self) -> impl Iterator<Item = OpenLeg> {
        let legs = self.calls.values().filter(|c| c.over.is_none()).flat_map(|c| &c.facts.legs);
        (0_u32..).zip(legs.filter(|leg| leg.ended.is_none())).flat_map(|(party, leg)| {
            leg.ids().map(move |id| OpenLeg {
                id: id.clone(),
                name: leg.endpoint.clone(),
                party,
                number: leg.number.clone(),
                dialled: leg.dialled.iter().chain(leg.places.iter().map(|(_, text)| text)).cloned().collect(),
                began: leg.created.wall.unwrap_or(crate::words::Wall(0)),
                rang: leg.ringing.is_some(),
                up: leg.up.is_some(),
                holding: leg.holding_now(),
            })
        })
    }

    pub fn record(&self, settings: &Settings, key: u32) -> Option<Record> {
        let call = self.calls.get(&key)?;
        match &call.record {
            Some(record) => Some((**record).clone()),
            None => Some(judge::record(settings, &self.switch, &call.facts, call.shown.as_ref()?, call.revision)),
        }
    }

    pub fn checkpoint(&self, key: u32) -> Option<Checkpoint> {
        let call = self.calls.get(&key)?;
        Some(Checkpoint { call: call.shown.as_ref()?.id, switch: self.switch.clone(), facts: call.facts.clone() })
    }

    pub fn restore(&mut self, desk: &mut Desk, checkpoint: Checkpoint) {
        let (key, id) = (self.next, checkpoint.call);
        let mut facts = checkpoint.facts;
        // Whatever happened while we were away was not seen.
        facts.unwatched();
        for leg in &mut facts.legs {
            leg.adopted |= leg.ended.is_none();
        }
        // Over when it was last written, and killed before its record was: the book has nothing left to conclude of it. Who
        // restores finds it unknown here and writes its end.
        if facts.legs.iter().all(|leg| leg.ended.is_some()) {
            return;
        }
        if desk.ids.contains_key(&id) || facts.legs.iter().any(|l| self.legs.contains_key(&l.id)) {
            return;
        }
        self.next = self.next.wrapping_add(1);
        for (index, leg) in facts.legs.iter().enumerate() {
            for id in leg.ids() {
                self.legs.insert(id.clone(), (key, u16::try_from(index).unwrap_or(u16::MAX)));
            }
            desk.legs += 1;
            if leg.kind == Kind::Local {
                self.locals.insert(leg.endpoint.clone(), key);
            }
            for (bridge, span) in &leg.bridges {
                if span.to.is_none() {
                    self.bridges.insert(bridge.clone(), key);
                }
            }
        }
        for offer in facts.offers.iter().filter(|o| o.state == OfferState::Holding) {
            self.holds(&offer.offer.agent, key);
        }
        self.calls.insert(key, Call::new(facts));
        self.show(desk, key, Some(id));
    }

    /// Gives the call its id and its face. Says so, unless it is shown already.
    pub fn appear(&mut self, desk: &mut Desk, now: Now, key: u32) {
        let Some(call) = self.calls.get(&key) else { return };
        if call.shown.is_some() || self.edge {
            return;
        }
        if let Some(id) = self.show(desk, key, None) {
            desk.change(id, now, What::Appeared);
        }
    }

    pub fn show(&mut self, desk: &mut Desk, key: u32, id: Option<CallId>) -> Option<CallId> {
        let call = self.calls.get_mut(&key)?;
        let face = super::standing::first_face(desk, &self.switch, &mut call.facts, id)?;
        let id = face.call;
        call.shown = Some(call::Shown { id, face });
        // An id that is taken: the same channel id within one second, on a switch that chose it twice. The newer is the one asked for.
        desk.ids.insert(id, (self.switch.clone(), key));
        Some(id)
    }
}

/// What a channel is, by its name, and the endpoint behind it.
pub(super) fn kind_of(name: &str, trunks: &[String]) -> (Kind, String) {
    let technology = name.split('/').next().unwrap_or_default();
    match technology {
        "Local" => {
            let pipe = name.strip_suffix(";1").or_else(|| name.strip_suffix(";2")).unwrap_or(name);
            return (Kind::Local, pipe.to_owned());
        }
        "" | "CBAnn" | "CBRec" | "Announcer" | "Bridge" | "ConfBridgeRecorder" | "Message" | "Recorder" | "Snoop"
        | "Surrogate" | "UnicastRTP" | "MulticastRTP" | "AsyncGoto" | "Parking" => {
            return (Kind::Plumbing, name.to_owned());
        }
        _ => {}
    }
    let endpoint = name.rsplit_once('-').map_or(name, |(endpoint, _)| endpoint);
    let short = endpoint.split_once('/').map_or(endpoint, |(_, short)| short);
    if short.is_empty() {
        return (Kind::Unknown, endpoint.to_owned());
    }
    let trunk = trunks.iter().any(|p| fits(p, endpoint, false) || fits(p, short, false));
    (if trunk { Kind::Trunk } else { Kind::Device }, endpoint.to_owned())
}
