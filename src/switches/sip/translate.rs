//! What moved at the entities, as the book's events. Dialog events tell of each call once for each entity in it; here they become one call.
//!
//! How a call is told (the same as from mirrored signalling, so that both feeds of one switch are one call):
//! - The caller's leg is `{call-id}/caller`, the called one's `{call-id}/{user}`; the talk is a bridge named by the call-id, entered by both at the answer.
//! - Who is nobody's device and no internal number is outside: a trunk leg. Nothing tells of the trunk itself.
//! - **A transferred customer keeps the first call's leg.** When the caller of an agent's live call reaches another agent's *extension* (not a DID), the
//!   new dialog adds only the called leg, dialled by the leg that is there. If it is answered that was a transfer: attended if the two agents talked, else
//!   blind; never certain, because no REFER was seen. One number at two DIDs is two calls.
//! - **An agent who dials a colleague while a customer is on the line consults**: the new call is tied to the customer's.
//! - Where the switch is a back-to-back user agent, two of us who call each other have a call-id each: one call all the same.
//! - Without a call-id (Asterisk's hints) the legs are named by entity, id and cycle, and the other side is a leg of which nothing is known.
//! - Why a call ended is told only where the notifier says so (RFC 4235 section 4.1.2, `event` and `code`); most do not.

use std::{cell::RefCell, collections::VecDeque};

use crate::{
    calls::event::{BridgeKind, Caller, DialStatus, Event, Leg, LegState, Said, Snapshot, SnapshotLeg},
    private::Private,
    words::Wall,
};

use super::{
    Table,
    dialog_info::{self, Direction, Reason, Side, State},
    dialogs::{Change, Step, Talk},
    told::{self, Line, Party, Told},
};

pub use super::told::Ours;

/// How long a call that is over is remembered: a second watcher's word of it comes within that.
const KEEP_MS: u64 = 120_000;
/// People and numbers remembered as ours or not.
const KNOWN: usize = 20_000;
/// How long a phone that was referred may take until its call is seen, and how many such there are at once.
const ASKED_MS: i64 = 60_000;
const ASKED: usize = 500;
/// Called legs of one call.
const CALLED: usize = 64;

/// The calls of one switch, from the side of what has been told to the book.
#[derive(Debug)]
pub struct Translator {
    ours: Ours,
    /// Whom we looked up already: a look-up costs more than all the rest of a NOTIFY.
    known: RefCell<Table<String, bool>>,
    calls: Table<String, Told>,
    /// A half's call-id to the call.
    halves: Table<String, String>,
    /// Legs of those outside, by their id: one may be in several calls, one after the other.
    lines: Table<String, Line>,
    /// Lines by their number.
    numbers: Table<String, Vec<String>>,
    /// Live calls by the people of ours in them.
    people: Table<String, Vec<String>>,
    over: VecDeque<(Wall, String)>,
    /// Whose phone was referred, to which number (as it is compared), under which request.
    asked: Vec<(Wall, String, String, String)>,
    order: u64,
    out: Vec<Event>,
}

impl Translator {
    #[must_use]
    pub fn new(ours: Ours) -> Self {
        Self {
            ours,
            known: RefCell::default(),
            calls: Table::default(),
            halves: Table::default(),
            lines: Table::default(),
            numbers: Table::default(),
            people: Table::default(),
            over: VecDeque::new(),
            asked: Vec::new(),
            order: 0,
            out: Vec::new(),
        }
    }

    /// Calls that are remembered, those included that are over for a short while.
    #[must_use]
    pub fn held(&self) -> usize {
        self.calls.len() + self.lines.len() + self.people.len() + self.numbers.len() + self.halves.len()
    }

    /// Other settings; calls that run keep what was concluded of them.
    pub fn reload(&mut self, ours: Ours) {
        self.ours = ours;
        self.known.borrow_mut().clear();
    }

    /// The phone of this user was told to call this number: its next call there is what was asked for.
    pub fn expect(&mut self, now: Wall, user: &str, number: &str, request: &str) {
        self.asked.retain(|(at, ..)| at.plus_ms(ASKED_MS) > now);
        if self.asked.len() < ASKED {
            self.asked.push((now, user.to_owned(), self.ours.same(number), request.to_owned()));
        }
    }

    /// It will not.
    pub fn forget(&mut self, request: &str) {
        self.asked.retain(|(.., other)| other != request);
    }

    fn asked(&mut self, now: Wall, user: &str, number: &str) -> Option<String> {
        let number = self.ours.same(number);
        self.asked.retain(|(at, ..)| at.plus_ms(ASKED_MS) > now);
        let at = self.asked.iter().position(|(_, whose, to, _)| whose == user && *to == number)?;
        Some(self.asked.remove(at).3)
    }

    /// Everything that lives, as far as it was told: for a book that knows calls from before, when each subscription has had its first NOTIFY.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        told::snapshot(&self.calls)
    }

    fn inside(&self, user: &str) -> bool {
        if let Some(known) = self.known.borrow().get(user) {
            return *known;
        }
        let inside = self.ours.inside.has(user);
        let mut known = self.known.borrow_mut();
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(user.to_owned(), inside);
        inside
    }

    /// The events since they were last taken.
    pub fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.out)
    }

    /// One thing that moved at an entity.
    pub fn change(&mut self, now: Wall, change: &Change<'_>) {
        self.tidy(now);
        let (entity, talk) = (change.entity, change.talk);
        let key = key_of(entity, talk);
        let key = self.halves.get(&key).cloned().unwrap_or(key);
        match change.step {
            Step::Moved { found, missed, .. } => self.moved(now, entity, talk, &key, found, missed),
            Step::Held(held) => {
                if let Some(leg) = self.own_leg(entity, talk, &key) {
                    self.say(now, if held { Said::Hold { leg } } else { Said::Unhold { leg } });
                }
            }
            Step::Doubt => {
                if let Some(leg) = self.own_leg(entity, talk, &key) {
                    self.say(now, Said::Doubt { leg });
                }
            }
            Step::Seen => {
                let state = match talk.state {
                    Some(State::Confirmed) => LegState::Up,
                    Some(State::Early) => LegState::Ringing,
                    _ => return,
                };
                if let Some(leg) = self.own_leg(entity, talk, &key) {
                    self.found(now, talk, leg, state, Caller::default(), None, "");
                }
            }
            Step::Gone => self.ended(now, entity, talk, &key, true),
        }
    }

    fn moved(&mut self, now: Wall, entity: &str, talk: &Talk, key: &str, found: bool, missed: bool) {
        let Some(state) = talk.state else { return };
        let mut known = self.calls.contains_key(key);
        let half = if known { None } else { self.other_half(entity, talk) };
        if let Some(call) = half.as_ref().and_then(|half| self.calls.get_mut(half)) {
            call.halves.push(key.to_owned());
            known = true;
        }
        if let Some(half) = &half {
            self.halves.insert(key.to_owned(), half.clone());
        }
        let key = half.as_deref().unwrap_or(key);
        // Who it is comes with the next body: FreeSWITCH tells identities from `early` on.
        if !known && state < State::Early && talk.direction.is_some() && talk.remote.identity.is_none() {
            return;
        }
        if self.calls.get(key).is_some_and(|call| call.over) {
            return;
        }
        if !known {
            self.begin(now, entity, talk, key, found);
        }
        self.reach(now, entity, talk, key, found);
        let device = self.device(entity, talk);
        if let Some(call) = self.calls.get_mut(key) {
            match talk.direction {
                Some(Direction::Initiator) => call.caller_told = true,
                _ => call.called.iter_mut().filter(|p| p.user.as_ref() == Some(&device)).for_each(|p| p.told = true),
            }
        }
        if missed && let Some(leg) = self.own_leg(entity, talk, key) {
            self.say(now, Said::Doubt { leg });
        }
        match state {
            State::Trying | State::Proceeding => {}
            State::Early => self.ringing(now, entity, talk, key),
            State::Confirmed => self.answered(now, entity, talk, key),
            State::Terminated => self.ended(now, entity, talk, key, false),
        }
    }

    /// The call of which this is the other half: two of us who call each other through a back-to-back user agent have a call-id each, and each half was
    /// told by one end only.
    fn other_half(&self, entity: &str, talk: &Talk) -> Option<String> {
        let remote = dialog_info::user(talk.remote.identity.as_deref()?)?;
        let initiates = match talk.direction? {
            Direction::Initiator => true,
            Direction::Recipient => false,
        };
        let (caller, called) = if initiates { (entity, remote.as_str()) } else { (remote.as_str(), entity) };
        let half = |call: &Told| {
            let [party] = call.called.as_slice() else { return false };
            let ends = call.caller.user.as_deref() == Some(caller) && party.user.as_deref() == Some(called);
            let other = if initiates { !call.caller_told && party.told } else { call.caller_told && !party.told };
            ends && other && !call.over && call.caller.inside && party.inside && call.halves.is_empty()
        };
        let keys = self.people.get(caller)?;
        keys.iter().rev().find(|key| self.calls.get(*key).is_some_and(half)).cloned()
    }

    /// The caller's side of a call that is new.
    fn begin(&mut self, now: Wall, entity: &str, talk: &Talk, key: &str, found: bool) {
        let remote = talk.remote.identity.as_deref().and_then(dialog_info::user);
        let withheld = talk.direction == Some(Direction::Recipient) && talk.remote.withheld();
        let user = match talk.direction {
            Some(Direction::Initiator) => Some(entity.to_owned()),
            Some(Direction::Recipient) => remote.clone().filter(|_| !withheld),
            None => None,
        };
        let inside =
            user.as_deref().is_some_and(|user| self.inside(user)) || talk.direction == Some(Direction::Initiator);
        let outside = talk.direction.is_some() && !inside;
        let device = self.device(entity, talk);
        let number = user.as_deref().filter(|_| outside).map(|user| self.ours.same(user));
        if let Some(line) = number.as_deref().and_then(|number| self.handed(number, &device, talk)) {
            let leg = self.lines.get_mut(&line).map(|l| {
                l.live += 1;
                l.calls.push(key.to_owned());
                l.leg.clone()
            });
            if let Some(leg) = leg {
                let caller = Party { leg, user, inside: false, told: false, up: None, over: false };
                return self.insert(key, caller, Some(line), true);
            }
        }
        let dialled = match talk.direction {
            Some(Direction::Initiator) => remote,
            // The number on our side, unless it is only the extension.
            _ if outside => {
                let local = talk.local.identity.as_deref().and_then(dialog_info::user);
                local.filter(|local| !self.inside(local))
            }
            _ => Some(device.clone()),
        };
        let name = match (&user, talk.direction) {
            (Some(user), _) => self.name(user, inside),
            (None, Some(_)) => self.ours.trunk.clone(),
            // A leg of which nothing is known.
            (None, None) => "SIP/".to_owned(),
        };
        let colleague = match talk.direction {
            Some(Direction::Initiator) => dialled.as_deref().is_some_and(|to| self.inside(to)),
            _ => self.inside(&device),
        };
        let linked = user.as_deref().filter(|_| inside && colleague).and_then(|user| self.served(user));
        let leg = Leg { id: format!("{key}/caller"), name, linked, sip_call_id: call_id(talk) };
        let display = match talk.direction {
            Some(Direction::Recipient) => talk.remote.display.as_deref(),
            _ => talk.local.display.as_deref(),
        };
        let caller = Caller {
            name: display.filter(|d| !withheld && Some(*d) != user.as_deref()).map(|d| Private::new(d.to_owned())),
            number: user.clone().map(Private::new),
        };
        let asked = match (talk.direction, &user, &dialled) {
            (Some(Direction::Initiator), Some(user), Some(to)) => self.asked(now, user, to),
            _ => None,
        };
        let dialled = dialled.map(Private::new);
        if found {
            let state = if talk.state >= Some(State::Confirmed) { LegState::Up } else { LegState::Calling };
            self.found(now, talk, leg.clone(), state, caller, dialled, "");
        } else {
            let state = LegState::Calling;
            self.say(now, Said::NewLeg { leg: leg.clone(), state, caller, dialled, places: Vec::new(), created: None });
        }
        if let Some(request) = asked {
            self.say(now, Said::Requested { leg: leg.clone(), request });
        }
        if withheld {
            let caller = Caller::default();
            self.say(now, Said::CallerId { leg: leg.clone(), caller, restricted: true });
        }
        let line = outside.then(|| self.line(&leg, number, key));
        self.insert(key, Party { leg, user, inside, told: false, up: None, over: false }, line, false);
    }

    fn insert(&mut self, key: &str, caller: Party, line: Option<String>, handed: bool) {
        if let Some(user) = caller.user.as_ref().filter(|_| caller.inside) {
            self.people.entry(user.clone()).or_default().push(key.to_owned());
        }
        let told = Told {
            caller,
            called: Vec::new(),
            line,
            handed,
            transferred: false,
            caller_told: false,
            halves: Vec::new(),
            up: false,
            over: false,
        };
        self.calls.insert(key.to_owned(), told);
    }

    /// A leg of somebody outside, for calls to come.
    fn line(&mut self, leg: &Leg, number: Option<String>, key: &str) -> String {
        if let Some(number) = &number {
            self.numbers.entry(number.clone()).or_default().push(leg.id.clone());
        }
        let line = Line { leg: leg.clone(), number, calls: vec![key.to_owned()], live: 1 };
        self.lines.insert(leg.id.clone(), line);
        leg.id.clone()
    }

    /// The called side, if this entity's dialog is the first to name it.
    fn reach(&mut self, now: Wall, entity: &str, talk: &Talk, key: &str, found: bool) {
        let user = match talk.direction {
            Some(Direction::Initiator) => {
                // What is called is known better by those who ring.
                if self.calls.get(key).is_none_or(|call| !call.called.is_empty()) {
                    return;
                }
                let target = talk.remote.target.as_deref().and_then(dialog_info::user);
                let identity = talk.remote.identity.as_deref().and_then(dialog_info::user);
                match target.filter(|user| self.inside(user)).or(identity) {
                    Some(user) => user,
                    None => return,
                }
            }
            _ => self.device(entity, talk),
        };
        let Some(call) = self.calls.get(key) else { return };
        if call.called.iter().any(|p| p.user.as_ref() == Some(&user)) || call.called.len() >= CALLED {
            return;
        }
        let inside = self.inside(&user) || talk.direction != Some(Direction::Initiator);
        let name = self.name(&user, inside);
        let leg = Leg { id: format!("{key}/{user}"), name, linked: None, sip_call_id: call_id(talk) };
        let by = call.caller.leg.clone();
        let outside = !inside && call.line.is_none();
        let dialled = Some(Private::new(user.clone()));
        if found {
            let state = if talk.state >= Some(State::Confirmed) { LegState::Up } else { LegState::Ringing };
            self.found(now, talk, leg.clone(), state, Caller::default(), None, "AppDial");
        } else {
            let (caller, state) = (Caller::default(), LegState::Down);
            self.say(
                now,
                Said::NewLeg { leg: leg.clone(), state, caller, dialled: None, places: Vec::new(), created: None },
            );
        }
        self.say(now, Said::DialBegin { by: Some(by), to: leg.clone(), dialled, presented: None });
        let line = outside.then(|| self.line(&leg, Some(self.ours.same(&user)), key));
        if inside {
            self.people.entry(user.clone()).or_default().push(key.to_owned());
        }
        if let Some(call) = self.calls.get_mut(key) {
            call.line = call.line.take().or(line);
            call.called.push(Party { leg, user: Some(user), inside, told: false, up: None, over: false });
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one leg")]
    fn found(
        &mut self,
        now: Wall,
        talk: &Talk,
        leg: Leg,
        state: LegState,
        caller: Caller,
        dialled: Option<Private<String>>,
        application: &str,
    ) {
        let created = talk.duration.map(|seconds| now.plus_ms(-1000 * i64::from(seconds)));
        let (connected, application) = (Caller::default(), application.to_owned());
        let (data, variables) = (String::new(), Vec::new());
        let found = SnapshotLeg { leg, state, created, caller, connected, dialled, application, data, variables };
        self.say(now, Said::Found(found));
    }

    fn ringing(&mut self, now: Wall, entity: &str, talk: &Talk, key: &str) {
        let Some(call) = self.calls.get(key) else { return };
        let rings = match talk.direction {
            // Who of several rings is told by themselves.
            Some(Direction::Initiator) => {
                Some(call.called.as_slice()).filter(|all| all.len() == 1).and_then(<[_]>::first)
            }
            _ => self.called(entity, talk, key),
        };
        if let Some(leg) = rings.filter(|p| p.up.is_none() && !p.over).map(|p| p.leg.clone()) {
            self.say(now, Said::State { leg, state: LegState::Ringing });
        }
    }

    fn answered(&mut self, now: Wall, entity: &str, talk: &Talk, key: &str) {
        let Some(call) = self.calls.get(key) else { return };
        let caller = call.caller.leg.clone();
        let live = || call.called.iter().enumerate().filter(|(_, p)| !p.over);
        let place = match talk.direction {
            Some(Direction::Initiator) => {
                let mut live = live();
                live.next().filter(|_| live.next().is_none()).map(|(place, _)| place)
            }
            _ => {
                let device = self.device(entity, talk);
                live().find(|(_, p)| p.user.as_ref() == Some(&device)).map(|(place, _)| place)
            }
        };
        let fresh = place.filter(|place| call.called.get(*place).is_some_and(|p| p.up.is_none()));
        let enters = !call.up;
        self.order += 1;
        let order = self.order;
        if let Some(call) = self.calls.get_mut(key) {
            call.up = true;
            call.caller.up = call.caller.up.or(Some(order));
        }
        if let Some(place) = fresh {
            let Some(party) = self.calls.get_mut(key).and_then(|call| call.called.get_mut(place)) else { return };
            party.up = Some(order);
            let (leg, user) = (party.leg.clone(), party.user.clone());
            let to = leg.clone();
            self.say(now, Said::DialEnd { by: Some(caller.clone()), to, status: DialStatus::Answer });
            if let Some(user) = user {
                self.transferred(now, key, &leg, &user);
            }
            self.enter(now, leg, key);
        }
        if enters {
            self.say(now, Said::State { leg: caller.clone(), state: LegState::Up });
            self.enter(now, caller, key);
        }
    }

    fn enter(&mut self, now: Wall, leg: Leg, bridge: &str) {
        self.say(now, Said::BridgeEnter { leg, bridge: bridge.to_owned(), kind: BridgeKind::Mixing });
    }

    /// An answered call of a customer who was handed on: who did that, and how.
    fn transferred(&mut self, now: Wall, key: &str, target: &Leg, user: &str) {
        let Some(call) = self.calls.get(key).filter(|call| call.handed && !call.transferred) else { return };
        let Some(line) = call.line.as_ref().and_then(|line| self.lines.get(line)) else { return };
        // Of those who talked with the customer before, one who still does, else the last.
        let before = line.calls.iter().filter(|other| *other != key).filter_map(|other| self.calls.get(other));
        let talked = before.flat_map(|call| {
            let live = !call.over;
            call.called.iter().chain([&call.caller]).map(move |p| (live && !p.over, p))
        });
        let Some((_, from)) = talked.filter(|(_, p)| p.inside && p.up.is_some()).max_by_key(|(live, p)| (*live, p.up))
        else {
            return;
        };
        let (first, agent) = (from.leg.clone(), from.user.clone());
        if agent.as_deref() == Some(user) {
            return;
        }
        let customer = Some(line.leg.clone());
        let asked = |call: &&Told| {
            call.line.is_none()
                && call.up
                && call.caller.user == agent
                && call.called.iter().any(|p| p.user.as_deref() == Some(user) && p.up.is_some())
        };
        let consult = agent.as_ref().and_then(|agent| self.people.get(agent)).and_then(|keys| {
            keys.iter().rev().filter_map(|key| self.calls.get(key)).find(asked).map(|call| call.caller.leg.clone())
        });
        let said = match consult {
            Some(second) => {
                Said::AttendedTransfer { first, second, customer, target: Some(target.clone()), success: true }
            }
            None => Said::BlindTransfer { by: first, customer, to: Some(Private::new(user.to_owned())), success: true },
        };
        self.say(now, said);
        if let Some(call) = self.calls.get_mut(key) {
            call.transferred = true;
        }
    }

    /// This entity's dialog is over. `gone`: nobody saw how.
    fn ended(&mut self, now: Wall, entity: &str, talk: &Talk, key: &str, gone: bool) {
        let own = self.own_leg(entity, talk, key);
        let device = self.device(entity, talk);
        let Some(call) = self.calls.get_mut(key).filter(|call| !call.over) else { return };
        let mut ends: Vec<Leg> = Vec::new();
        let mut answered = false;
        for party in call.called.iter_mut().filter(|p| !p.over) {
            if talk.direction == Some(Direction::Initiator) || party.user.as_ref() == Some(&device) {
                party.over = true;
                answered |= party.up.is_some();
                ends.push(party.leg.clone());
            }
        }
        let caller = call.caller.leg.clone();
        let last = talk.direction == Some(Direction::Initiator) || call.called.iter().all(|p| p.over);
        let (line, up) = (call.line.clone(), call.up);
        let users: Vec<Option<String>> = match last {
            true => call.called.iter().chain([&call.caller]).map(|party| party.user.clone()).collect(),
            false => Vec::new(),
        };
        call.over |= last;
        let cause = match (gone, own) {
            (false, Some(own)) => self.why(now, talk, &own, &caller, &ends, answered),
            _ => None,
        };
        let mut all = ends;
        if last {
            all.push(caller);
            self.over.push_back((now, key.to_owned()));
            for user in users.iter().flatten() {
                if let Some(keys) = self.people.get_mut(user) {
                    keys.retain(|k| k != key);
                    if keys.is_empty() {
                        self.people.remove(user);
                    }
                }
            }
        }
        for leg in all {
            if line.as_ref() == Some(&leg.id)
                && let Some(line) = self.lines.get_mut(&leg.id)
            {
                line.live = line.live.saturating_sub(1);
                if line.live > 0 {
                    // The customer goes on in another call.
                    if up {
                        self.say(now, Said::BridgeLeave { leg, bridge: key.to_owned() });
                    }
                    continue;
                }
                if let Some(number) = &line.number
                    && let Some(known) = self.numbers.get_mut(number)
                {
                    known.retain(|id| *id != leg.id);
                    if known.is_empty() {
                        self.numbers.remove(number);
                    }
                }
                self.lines.remove(&leg.id);
            }
            let said = if gone { Said::Gone { leg } } else { Said::Hangup { leg, cause, text: None } };
            self.say(now, said);
        }
    }

    /// What the notifier says of the end. Gives the cause, where one follows.
    fn why(&mut self, now: Wall, talk: &Talk, own: &Leg, caller: &Leg, called: &[Leg], answered: bool) -> Option<u16> {
        let other = if own.id == caller.id { called.first() } else { Some(caller) };
        let event = talk.event.or(match talk.code {
            Some(487) => Some(Reason::Cancelled),
            Some(408) => Some(Reason::Timeout),
            Some(300..) => Some(Reason::Rejected),
            _ => None,
        });
        match event? {
            Reason::LocalBye => self.say(now, Said::HangupRequest { leg: own.clone(), cause: None }),
            Reason::RemoteBye => {
                let leg = other?.clone();
                self.say(now, Said::HangupRequest { leg, cause: None });
            }
            _ if answered => {}
            Reason::Cancelled => {
                self.say(now, Said::HangupRequest { leg: caller.clone(), cause: None });
                self.dial_end(now, caller, called, DialStatus::Cancel);
            }
            Reason::Timeout => self.dial_end(now, caller, called, DialStatus::NoAnswer),
            Reason::Rejected => {
                let (status, cause) = match talk.code {
                    Some(404 | 410 | 484 | 485 | 604) => (DialStatus::Unavailable, Some(1)),
                    Some(408 | 480) => (DialStatus::NoAnswer, Some(19)),
                    Some(500..=599) => (DialStatus::Congestion, Some(38)),
                    Some(603 | 403) => (DialStatus::Busy, Some(21)),
                    Some(486 | 600) => (DialStatus::Busy, Some(17)),
                    _ => (DialStatus::Busy, None),
                };
                if status == DialStatus::Busy {
                    for leg in called {
                        self.say(now, Said::HangupRequest { leg: leg.clone(), cause });
                    }
                }
                self.dial_end(now, caller, called, status);
                return cause;
            }
            Reason::Replaced | Reason::Error => {}
        }
        None
    }

    fn dial_end(&mut self, now: Wall, caller: &Leg, called: &[Leg], status: DialStatus) {
        for to in called {
            self.say(now, Said::DialEnd { by: Some(caller.clone()), to: to.clone(), status });
        }
    }

    /// The name of a leg. What follows the last dash of a channel's name is no part of the endpoint's.
    fn name(&self, user: &str, inside: bool) -> String {
        match inside {
            true if user.contains('-') => format!("SIP/{user}-"),
            true => format!("SIP/{user}"),
            false => self.ours.trunk.clone(),
        }
    }

    /// The device behind an entity: itself, or where the entity is a DID, the one that its early body names (trace entity-is-did).
    fn device(&self, entity: &str, talk: &Talk) -> String {
        if self.inside(entity) {
            return entity.to_owned();
        }
        let of = |uri: Option<&str>| uri.and_then(dialog_info::user).filter(|user| self.inside(user));
        let Side { identity, target, .. } = &talk.local;
        of(target.as_deref()).or_else(|| of(identity.as_deref())).unwrap_or_else(|| entity.to_owned())
    }

    /// The leg of the entity itself.
    fn own_leg(&self, entity: &str, talk: &Talk, key: &str) -> Option<Leg> {
        match talk.direction {
            Some(Direction::Initiator) => Some(self.calls.get(key)?.caller.leg.clone()),
            _ => Some(self.called(entity, talk, key)?.leg.clone()),
        }
    }

    fn called(&self, entity: &str, talk: &Talk, key: &str) -> Option<&Party> {
        let device = self.device(entity, talk);
        self.calls.get(key)?.called.iter().find(|p| p.user.as_ref() == Some(&device))
    }

    /// The line of the same caller, if it is at another of us already and comes to an extension now.
    fn handed(&self, number: &str, device: &str, talk: &Talk) -> Option<String> {
        let local = dialog_info::user(talk.local.identity.as_deref()?)?;
        if local != device && !self.inside(&local) {
            return None;
        }
        let elsewhere = |call: &Told| {
            let mut people = call.called.iter().chain([&call.caller]).filter(|p| p.inside && !p.over).peekable();
            !call.over && people.peek().is_some() && people.all(|p| p.user.as_deref() != Some(device))
        };
        let lines = self.numbers.get(number)?;
        lines
            .iter()
            .rev()
            .find(|id| {
                self.lines.get(*id).is_some_and(|line| {
                    line.live > 0 && line.calls.iter().filter_map(|key| self.calls.get(key)).any(elsewhere)
                })
            })
            .cloned()
    }

    /// The leg of the customer with whom one of us talks.
    fn served(&self, user: &str) -> Option<String> {
        let calls = self.people.get(user)?.iter().rev().filter_map(|key| self.calls.get(key));
        let talks = |call: &&Told| {
            let mut own = call.called.iter().chain([&call.caller]).filter(|p| p.user.as_deref() == Some(user));
            !call.over && own.any(|p| p.up.is_some() && !p.over)
        };
        calls.filter(talks).find_map(|call| call.line.clone())
    }

    fn say(&mut self, now: Wall, said: Said) {
        self.out.push(Event { at: Some(now), said });
    }

    fn tidy(&mut self, now: Wall) {
        while let Some((over, _)) = self.over.front()
            && now.since(*over) > KEEP_MS
            && let Some((_, key)) = self.over.pop_front()
        {
            let Some(call) = self.calls.remove(&key) else { continue };
            for half in &call.halves {
                self.halves.remove(half);
            }
            if let Some(line) = call.line.and_then(|line| self.lines.get_mut(&line)) {
                line.calls.retain(|k| *k != key);
            }
        }
    }
}

/// The name of a call: its call-id, else what stands for one.
fn key_of(entity: &str, talk: &Talk) -> String {
    if talk.named { talk.key.clone() } else { format!("{entity}!{}!{}", talk.key, talk.cycle) }
}

fn call_id(talk: &Talk) -> Option<String> {
    talk.named.then(|| talk.key.clone())
}
