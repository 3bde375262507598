//! What agents ask for. Ids are idempotent per agent: the same id again gets the same answer, and does nothing twice.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::{
    calls::{
        self, Directory,
        command::{Deed, Failure, RequestId},
        directory::{Agent, Device},
        face::AgentLeg,
    },
    customers::{Candidate, Choice, FoundBy, Person},
    private::Private,
    records::{self, Said, callbacks::Wish},
    words::{CallId, Now, SwitchId, TenantId},
};

use super::{
    super::{
        ScreenId,
        protocol::{
            AttributeSet, CandidateChoose, Code, CustomerAttach, CustomerCreate, Dial, Done, Failed, OpsCount,
            WrapupSubmit,
        },
        wire::{self, Request, Wanted},
    },
    About, Ask, Due, Key, Output, Roster, Token, callbacks, deliver,
    mask::Shade,
    stream::Stage,
    verbs::Wanting,
};

/// A request whose answer hangs on somebody else.
pub(super) type Asked = (Key, String);

pub(super) enum Waiting {
    /// Durable is all it takes.
    Durable(Asked),
    /// Durable, and then the pop leaves the screen.
    WrapUp(Asked, Box<str>),
    /// Durable; the flow's id, once it has one.
    Flow(Asked, Option<String>),
    Search(Asked, Option<CallId>),
    Tickets(Asked, Option<CallId>),
    Recording(Asked),
    /// Part of a request that is answered by another part.
    Nobody,
}

/// The last answers of one agent.
#[derive(Default)]
pub(super) struct Answers {
    last: VecDeque<Entry>,
}

struct Entry {
    id: String,
    /// Where the answer goes: the screen that asked last.
    screen: ScreenId,
    answer: Option<Bytes>,
}

impl Answers {
    pub fn none_waiting(&self) -> bool {
        self.last.iter().all(|entry| entry.answer.is_some())
    }
}

impl Roster {
    pub(super) fn request(&mut self, now: Now, screen: ScreenId, request: Request, directory: &Directory) {
        let Some(key) = self.key_of(screen) else { return };
        let Request { id, what } = request;
        // These do no harm twice, and a ping a minute must not push real answers out.
        match what {
            Wanted::Ping => return self.out.push_back(deliver(screen, None, done(now, &id, None))),
            Wanted::ScreenActivate => {
                self.activate(now, &key, screen, directory);
                return self.out.push_back(deliver(screen, None, done(now, &id, None)));
            }
            Wanted::CallbackList(list) => return self.list_callbacks(&key, screen, id, &list),
            Wanted::FlowList => return self.list_flows(&key, screen, id, directory),
            Wanted::QueueWatch(of) => return self.watch_queues(now, (&key, screen, &id), &of),
            Wanted::BoardWatch(of) => return self.watch_board(now, (&key, screen, &id), &of, directory),
            Wanted::TeamList(list) => return self.list_team(now, (&key, screen, &id), &list, directory),
            _ => {}
        }
        let Some(stream) = self.streams.get_mut(&key) else { return };
        let answers = &mut stream.busy().answers.last;
        if let Some(entry) = answers.iter_mut().find(|entry| entry.id == id) {
            entry.screen = screen;
            let answer = entry.answer.clone();
            return self.out.extend(answer.map(|frame| deliver(screen, None, frame)));
        }
        if answers.len() >= MOST_ANSWERS {
            let Some(oldest) = answers.iter().position(|entry| entry.answer.is_some()) else {
                let frame = failed(now, &id, Code::TooMany, "too many requests wait for their answer");
                return self.out.push_back(deliver(screen, None, frame));
            };
            answers.remove(oldest);
        }
        answers.push_back(Entry { id: id.clone(), screen, answer: None });
        let asked = (key, id);
        let dials = matches!(what, Wanted::Dial(_));
        let result = match what {
            Wanted::NotesSet(notes) => self.notes(&asked, notes.call, notes.text),
            Wanted::AttributeSet(set) => self.attribute(now, &asked, set),
            Wanted::WrapupSubmit(wrapup) => self.wrapup(&asked, wrapup),
            Wanted::OpsCount(count) => self.count(&asked, &count),
            Wanted::CandidateChoose(choice) => self.choose(now, &asked, &choice),
            Wanted::CandidateForget(forget) => self.forget(now, &asked, forget.call),
            Wanted::CustomerAttach(attach) => self.attach(now, &asked, &attach),
            Wanted::CustomerCreate(create) => self.create(&asked, create),
            Wanted::CustomerUpdate(update) => self.update(&asked, &update),
            Wanted::TicketSearch(search) => self.search_tickets(&asked, search),
            Wanted::TicketComment(of) => self.comment(&asked, of),
            Wanted::TicketReopen(of) => self.reopen(&asked, of),
            Wanted::TicketAssign(of) => self.assign(&asked, of, directory),
            Wanted::TicketEscalate(of) => self.escalate(&asked, *of),
            Wanted::CustomerSearch(search) => {
                let token = self.wait(Waiting::Search(asked.clone(), search.call));
                let tenant = asked.0.0.clone();
                self.ask(Ask::Search { tenant, call: search.call, query: search.query, token });
                Ok(())
            }
            Wanted::Dial(dial) => self.dial(now, &asked, dial, directory),
            Wanted::Verb(deed, of) => {
                self.ask_verb(now, &asked, Wanting::plain(deed, &of), (deed, Some(of.call)), directory)
            }
            Wanted::To(deed, of) => {
                self.ask_verb(now, &asked, Wanting::to(deed, &of), (deed, Some(of.call)), directory)
            }
            Wanted::Digits(of) => {
                self.ask_verb(now, &asked, Wanting::digits(&of), (Deed::Digits, Some(of.call)), directory)
            }
            Wanted::Pickup(of) => {
                let call = of.call;
                self.ask_verb(now, &asked, Ok(Wanting::Fetch(of)), (Deed::Pickup, call), directory)
            }
            Wanted::Of(deed, of) => self.ask_verb(now, &asked, Ok(Wanting::of(deed, of)), (deed, None), directory),
            Wanted::AgentState(set) => self.ask_state(now, &asked, &set, directory),
            Wanted::AgentNext(next) => self.ask_next(now, &asked, &next, directory),
            Wanted::Queue { log_on, of } => self.ask_queue(now, &asked, log_on, &of, directory),
            Wanted::WrapupExtend(extend) => self.extend(now, &asked, &extend),
            Wanted::RecordingLink(wanted) => {
                self.want_recording(screen, &asked, &wanted, directory);
                Ok(())
            }
            Wanted::SeatClaim(claim) => {
                self.seat(&asked, Some(claim));
                Ok(())
            }
            Wanted::SeatLeave => {
                self.seat(&asked, None);
                Ok(())
            }
            Wanted::CallbackClaim(it) => self.callback(&asked, it.callback, Wish::Claim),
            Wanted::CallbackRelease(it) => self.callback(&asked, it.callback, Wish::Release),
            Wanted::CallbackClose(it) => self.callback(&asked, it.callback, Wish::Close),
            Wanted::CallbackAsk(ask) => self.ask_callback(&asked, ask),
            Wanted::FlowStart(start) => self.start_flow(screen, &asked, start, directory),
            Wanted::FlowAgree { agrees, of } => self.agree(screen, &asked, agrees, of, directory),
            Wanted::FlowStop(stop) => self.stop_flow(screen, &asked, stop, directory),
            Wanted::FlowTask(task) => self.flow_task(screen, &asked, task, directory),
            Wanted::Ping
            | Wanted::ScreenActivate
            | Wanted::CallbackList(_)
            | Wanted::TeamList(_)
            | Wanted::BoardWatch(_)
            | Wanted::QueueWatch(_)
            | Wanted::FlowList => Ok(()),
        };
        if let Err((code, message)) = result {
            if dials {
                self.audit(&asked.0, Deed::Dial, None, Err(code));
            }
            self.answer(&asked, failed(now, &asked.1, code, message));
        }
    }

    /// What was asked with this token is durable, or could not be made so.
    pub fn committed(&mut self, now: Now, token: Token, durable: bool) {
        let Some(waiting) = self.waiting.remove(&token) else { return };
        let (asked, pop) = match waiting {
            Waiting::Durable(asked) => (asked, None),
            Waiting::WrapUp(asked, pop) => (asked, Some(pop)),
            Waiting::Flow(asked, flow) => {
                let frame = match durable {
                    true => wire::write(0, now.wall, &Done { flow: flow.as_deref(), ..Done::of(&asked.1) }),
                    false => failed(now, &asked.1, Code::Unavailable, "it could not be written down; try again"),
                };
                return self.answer(&asked, frame);
            }
            Waiting::Search(asked, _) | Waiting::Tickets(asked, _) | Waiting::Recording(asked) => (asked, None),
            Waiting::Nobody => return,
        };
        if !durable {
            let frame = failed(now, &asked.1, Code::Unavailable, "it could not be written down; try again");
            return self.answer(&asked, frame);
        }
        self.answer(&asked, done(now, &asked.1, None));
        if let Some(pop) = pop {
            self.wrapped(now, &asked.0, &pop);
        }
    }

    /// What a search found, or why it could not be done (without personal data).
    pub fn found(&mut self, now: Now, token: Token, found: Result<Vec<Arc<Candidate>>, String>) {
        let Some(Waiting::Search(asked, call)) = self.waiting.remove(&token) else { return };
        let mut viewed = Vec::new();
        let frame = match found {
            Err(reason) => failed(now, &asked.1, Code::Unavailable, &reason),
            Ok(found) => {
                viewed.extend(found.iter().map(|one| one.link.clone()));
                let masked = self.masks(&asked.0, call);
                let mut candidates = wire::candidates(&found);
                if masked {
                    candidates = self.shade(&asked.0, call).raw(&candidates);
                }
                let body = Done { candidates: Some(&candidates), ..Done::of(&asked.1) };
                let frame = wire::write(0, now.wall, &body);
                if let Some(call) = call.filter(|call| self.has(&asked.0, *call))
                    && let Some(on_desk) = self.calls.get_mut(&call)
                {
                    on_desk.found = found;
                }
                frame
            }
        };
        self.answer(&asked, frame);
        for link in viewed {
            self.view(&asked.0, format!("{}:{}:{}", link.system, link.kind, link.id), call, "search");
        }
    }

    /// A click-to-dial has its first leg, or will never have one. Later news of it is ignored.
    pub fn dialled(&mut self, now: Now, request: &RequestId, result: Result<CallId, Failure>) {
        let Some(asked) = self.dials.remove(request) else { return };
        self.audit(&asked.0, Deed::Dial, result.ok().map(About::Call), result.map(drop).map_err(Code::from));
        let frame = match result {
            Ok(call) => done(now, &asked.1, Some(call)),
            Err(failure) => failed(now, &asked.1, failure.into(), why(failure)),
        };
        self.answer(&asked, frame);
    }

    /// A verb on a call, refused or on its way; a refusal is in the audit like any other answer.
    fn ask_verb(
        &mut self,
        now: Now,
        asked: &Asked,
        wanting: Result<Wanting, (Code, &'static str)>,
        (deed, call): (Deed, Option<CallId>),
        directory: &Directory,
    ) -> Refusable {
        let result = wanting.and_then(|wanting| self.verb(now, asked, wanting, directory));
        result.inspect_err(|(code, _)| self.audit(&asked.0, deed, call.map(About::Call), Err(*code)))
    }

    fn notes(&mut self, asked: &Asked, call: CallId, text: Private<String>) -> Refusable {
        if !self.has(&asked.0, call) {
            return Err(NOT_YOURS);
        }
        if let Some(on_desk) = self.calls.get_mut(&call) {
            on_desk.note(&asked.0.1, text.clone());
        }
        let token = self.wait(Waiting::Durable(asked.clone()));
        self.record(asked, call, Said::Notes { text }, token);
        Ok(())
    }

    fn count(&mut self, asked: &Asked, count: &OpsCount) -> Refusable {
        if !self.has(&asked.0, count.call) {
            return Err(NOT_YOURS);
        }
        let token = self.wait(Waiting::Durable(asked.clone()));
        let count_of = u32::from(count.count.unwrap_or(1));
        self.ask(Ask::ByHand { key: asked.0.clone(), call: count.call, kind: count.kind, count: count_of, token });
        Ok(())
    }

    fn attribute(&mut self, now: Now, asked: &Asked, set: AttributeSet) -> Refusable {
        if !self.has(&asked.0, set.call) {
            return Err(NOT_YOURS);
        }
        let Some(face) = self.calls.get_mut(&set.call).and_then(|call| call.face.as_mut()) else {
            return Err(NOT_YOURS);
        };
        let Some(field) = face.declared.writable(&set.name) else {
            return Err((Code::UnknownAttribute, "this attribute is not there, or is not for agents to write"));
        };
        if !field.takes(set.value.expose()) {
            return Err((Code::InvalidValue, "the value is too long or not of the attribute's type"));
        }
        // Shown at once, as the book will have it: it may have forgotten a call that is still being wrapped up.
        face.faults.remove(&set.name);
        match set.value.expose().is_empty() {
            true => drop(face.attributes.remove(&set.name)),
            false => drop(face.attributes.insert(set.name.clone(), set.value.clone())),
        }
        let token = self.wait(Waiting::Durable(asked.clone()));
        self.record(asked, set.call, Said::Attribute { name: set.name, value: set.value }, token);
        self.tell_pop(now, set.call);
        Ok(())
    }

    /// What a flow wrote of a call that is still on screens though the book has forgotten it.
    pub fn told(&mut self, now: Now, tenant: &TenantId, id: CallId, values: &BTreeMap<String, Private<String>>) {
        let face = self.calls.get_mut(&id).and_then(|call| call.face.as_mut());
        let Some(face) = face.filter(|face| face.tenant == *tenant) else { return };
        // As the desk will judge it.
        if face.declared.refused(values).is_some() {
            return;
        }
        for (name, value) in values {
            match value.expose().is_empty() {
                true => drop(face.attributes.remove(name)),
                false => drop(face.attributes.insert(name.clone(), value.clone())),
            }
        }
        self.tell_pop(now, id);
    }

    fn wrapup(&mut self, asked: &Asked, wrapup: WrapupSubmit) -> Refusable {
        let pop = self.streams.get(&asked.0).and_then(|s| s.pops().iter().find(|pop| pop.call == wrapup.call));
        let Some(pop) = pop.map(|pop| pop.id.clone()) else { return Err(NOT_YOURS) };
        let face = self.calls.get(&wrapup.call).and_then(|call| call.face.as_deref());
        if wrapup.disposition.is_empty() && face.is_some_and(|face| self.outcome_required.of(face)) {
            return Err((Code::OutcomeRequired, "calls of this queue need an outcome"));
        }
        if let (Some(text), Some(on_desk)) = (&wrapup.notes, self.calls.get_mut(&wrapup.call)) {
            on_desk.note(&asked.0.1, text.clone());
        }
        let token = self.wait(Waiting::WrapUp(asked.clone(), pop));
        let said = Said::WrapUp { disposition: wrapup.disposition, notes: wrapup.notes, ticket: wrapup.ticket };
        self.record(asked, wrapup.call, said, token);
        Ok(())
    }

    /// The wrap-up is durable: the pop leaves the screen, unless the call is still up.
    fn wrapped(&mut self, now: Now, key: &Key, id: &str) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        let Some(pop) = stream.busy().pops.iter_mut().find(|pop| *pop.id == *id) else { return };
        pop.wrapped = true;
        if matches!(pop.stage, Stage::WrapUp { .. }) {
            pop.stage = Stage::Kept;
            let call = pop.call;
            self.tell_one(now, key, call);
            self.settle_state(now, key);
        }
    }

    fn choose(&mut self, now: Now, asked: &Asked, choice: &CandidateChoose) -> Refusable {
        if !self.has(&asked.0, choice.call) {
            return Err(NOT_YOURS);
        }
        let chosen = match &choice.candidate {
            None => Choice::Nobody,
            Some(id) => Choice::Person(self.person(asked, choice.call, id)?.0),
        };
        self.chosen(now, asked, choice.call, chosen);
        Ok(())
    }

    fn forget(&mut self, now: Now, asked: &Asked, call: CallId) -> Refusable {
        if !self.has(&asked.0, call) {
            return Err(NOT_YOURS);
        }
        self.chosen(now, asked, call, Choice::Open);
        Ok(())
    }

    /// The person of this id: on the call's card (with the number that led there), or found by a search for it.
    fn person(&self, asked: &Asked, id: CallId, wanted: &str) -> Result<(Arc<Person>, bool), (Code, &'static str)> {
        let call = self.calls.get(&id).ok_or(NOT_YOURS)?;
        // A system whose ids are numbers: a viewer without whole numbers knows the id as it was shown.
        let masked = self.masks(&asked.0, Some(id));
        let shade = self.shade(&asked.0, Some(id));
        let is = |record: &Candidate| record.id == wanted || (masked && shade.id(&record.id) == wanted);
        let mut people = call.card.iter().flat_map(|card| card.people());
        if let Some(person) = people.find(|person| person.records().any(|record| is(record))) {
            return Ok((person.clone(), true));
        }
        let found = call.found.iter().find(|candidate| is(candidate));
        let alone = found.map(|candidate| (Arc::new(Person::alone(candidate.clone())), false));
        alone.ok_or((Code::UnknownCandidate, "not a candidate of this call"))
    }

    fn chosen(&mut self, now: Now, asked: &Asked, id: CallId, choice: Choice) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.chosen = match &choice {
            Choice::Person(person) => Some(Some(person.head.id.clone())),
            Choice::Nobody => Some(None),
            Choice::Open => None,
        };
        // What was found by this number is remembered for it; a shared number leads to somebody else tomorrow.
        let card = call.card.as_ref().filter(|card| card.shared.is_none() && card.found_by == Some(FoundBy::Number));
        let known = |person: &Person| card.is_some_and(|card| card.people().any(|other| other.is(&person.head.id)));
        let remember = match &choice {
            Choice::Person(person) => known(person),
            Choice::Nobody | Choice::Open => card.is_some(),
        };
        let number = self.number_of(id).filter(|_| remember);
        self.ask(Ask::Choose { tenant: asked.0.0.clone(), call: id, choice: choice.clone() });
        let token = self.wait(Waiting::Durable(asked.clone()));
        self.record(asked, id, Said::Customer { choice, number }, token);
        self.tell_pop(now, id);
    }

    pub(super) fn number_of(&self, call: CallId) -> Option<Private<String>> {
        let number = self.calls.get(&call)?.face.as_ref()?.customer.as_ref()?;
        number.key().map(Private::from)
    }

    fn attach(&mut self, now: Now, asked: &Asked, attach: &CustomerAttach) -> Refusable {
        if !self.has(&asked.0, attach.call) {
            return Err(NOT_YOURS);
        }
        let (person, by_number) = self.person(asked, attach.call, &attach.candidate)?;
        let card = self.calls.get(&attach.call).and_then(|call| call.card.clone());
        let can = |system: &str| card.as_ref().is_some_and(|card| card.attach.iter().any(|id| id.as_str() == system));
        // Where the number stands already there is nothing to put.
        let record = person.records().find(|record| can(&record.link.system)).filter(|_| !by_number);
        let Some((customer, number)) = record.cloned().zip(self.number_of(attach.call)) else {
            return Err(NOT_OFFERED);
        };
        self.chosen_for(now, asked, attach.call, Choice::Person(person));
        let token = self.wait(Waiting::Durable(asked.clone()));
        self.record(asked, attach.call, Said::Attach { customer, number }, token);
        Ok(())
    }

    /// As `chosen`, where the request is answered by what comes behind it.
    fn chosen_for(&mut self, now: Now, asked: &Asked, id: CallId, choice: Choice) {
        if let (Some(call), Choice::Person(person)) = (self.calls.get_mut(&id), &choice) {
            call.chosen = Some(Some(person.head.id.clone()));
        }
        self.ask(Ask::Choose { tenant: asked.0.0.clone(), call: id, choice: choice.clone() });
        let token = self.wait(Waiting::Nobody);
        self.record(asked, id, Said::Customer { choice, number: None }, token);
        self.tell_pop(now, id);
    }

    fn create(&mut self, asked: &Asked, create: CustomerCreate) -> Refusable {
        if !self.has(&asked.0, create.call) {
            return Err(NOT_YOURS);
        }
        let offers =
            self.calls.get(&create.call).and_then(|call| call.card.as_ref()).map(|card| card.create.as_slice());
        let mut offers = offers.unwrap_or_default().iter();
        let system = match &create.system {
            Some(wanted) => offers.find(|system| system.as_str() == wanted),
            None => offers.next(),
        };
        let Some((system, number)) = system.cloned().zip(self.number_of(create.call)) else { return Err(NOT_OFFERED) };
        let mut fields = records::Fields::from([("name", create.name)]);
        fields.extend(create.company.map(|company| ("company", company)));
        fields.extend(create.email.map(|email| ("email", email)));
        let token = self.wait(Waiting::Durable(asked.clone()));
        self.record(asked, create.call, Said::Create { system, number, fields }, token);
        Ok(())
    }

    fn dial(&mut self, now: Now, asked: &Asked, mut dial: Dial, directory: &Directory) -> Refusable {
        let (key, id) = asked;
        let agent = directory.agent(&key.1).filter(|agent| agent.tenant == key.0);
        let Some(agent) = agent else { return Err((Code::NoDevice, "this agent is not in the directory")) };
        if self.dials.values().any(|(other, _)| other == key) {
            return Err((Code::DialPending, "the last dial is not answered yet"));
        }
        let in_call = self.streams.get(key).is_some_and(|stream| {
            stream.pops().iter().filter(|pop| pop.stage.is_live()).any(|pop| {
                let face = self.calls.get(&pop.call).and_then(|call| call.face.as_ref());
                face.and_then(|face| face.part_of(&key.1)).is_none_or(|part| part.state != AgentLeg::Holding)
            })
        });
        if in_call {
            return Err((Code::AgentInCall, "the agent's phone is in a call"));
        }
        let back = callbacks::dialled(&mut dial);
        let text = match (dial.number, dial.handle) {
            // Its number is at the desk, which says whether the agent may have it.
            _ if back => Private::default(),
            (Some(number), _) => number,
            (None, Some(handle)) => self.handle(key, &handle).ok_or(UNKNOWN_TARGET)?,
            (None, None) => return Err(UNKNOWN_TARGET),
        };
        if !back && !dialable(text.expose()) {
            return Err(UNKNOWN_TARGET);
        }
        let (seen, devices) = self.devices(key, agent);
        let (switch, device) = place(seen, &devices, &self.switches)?;
        let request = RequestId(format!("lc-{}", self.request_ulid(now, asked)));
        self.dials.insert(request.clone(), (key.clone(), id.clone()));
        self.later(now.mono.plus_ms(self.limits.dial_ms), Due::Dial(request.clone()));
        self.ask(Ask::Dial(calls::command::Dial {
            request,
            tenant: key.0.clone(),
            switch,
            agent: key.1.clone(),
            device,
            number: text,
            reference: dial.reference,
        }));
        Ok(())
    }

    /// Where an agent's phone was seen last, and the phones there are: the seat's first.
    pub(super) fn devices(&self, key: &Key, agent: &Agent) -> (Option<(SwitchId, String)>, Vec<Device>) {
        let seen = self.streams.get(key).and_then(|stream| stream.seen_at().cloned());
        let seat = self.seats.get(key).and_then(|seat| seat.sitting.as_ref());
        let seat = seat.map(|s| Device::At { switch: Some(s.switch.clone()), name: s.device.clone() });
        (seen, seat.into_iter().chain(agent.devices.iter().cloned()).collect())
    }

    /// The number behind a handle of a pop that this agent has.
    fn handle(&self, key: &Key, handle: &str) -> Option<Private<String>> {
        let call = handle.strip_prefix("customer@")?.parse().ok()?;
        if !self.has(key, call) {
            return None;
        }
        let face = self.calls.get(&call)?.face.as_ref()?;
        let number = face.customer.as_ref()?;
        // A line that reads its numbers by rules of its own: only the whole number says what is meant.
        let own = face.line.as_ref().is_some_and(|line| line.country.is_some() || line.area.is_some());
        let (first, second) = if own { (&number.e164, &number.raw) } else { (&number.raw, &number.e164) };
        first.clone().or_else(|| second.clone())
    }

    /// Whether an agent sees the numbers of this call with their middle hidden.
    pub(super) fn masks(&self, key: &Key, call: Option<CallId>) -> bool {
        let call = call.filter(|call| self.has(key, *call)).and_then(|call| self.calls.get(&call));
        let line = call.and_then(|call| call.face.as_ref()?.line.as_deref());
        self.streams.get(key).is_some_and(|stream| stream.masks(line))
    }

    /// What must be masked for an agent at this call.
    pub(super) fn shade(&self, key: &Key, call: Option<CallId>) -> Shade {
        let call = call.filter(|call| self.has(key, *call)).and_then(|call| self.calls.get(&call));
        Shade::of(call.and_then(|call| call.face.as_ref()?.customer.as_ref()))
    }

    pub(super) fn has(&self, key: &Key, call: CallId) -> bool {
        self.streams.get(key).is_some_and(|stream| stream.pops().iter().any(|pop| pop.call == call))
    }

    /// The same request of the same agent has the same name within an epoch; no dice are needed.
    pub(super) fn request_ulid(&self, now: Now, ((tenant, agent), id): &Asked) -> ulid::Ulid {
        let mut hash = Sha256::new();
        for part in [tenant.as_str(), agent.as_str(), id, &self.epoch.to_string()] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let mut random = [0; 16];
        random.copy_from_slice(&hash.finalize()[..16]);
        ulid::Ulid::from_parts(u64::try_from(now.wall.0).unwrap_or(0), u128::from_be_bytes(random))
    }

    pub(super) fn answer(&mut self, asked: &Asked, frame: Bytes) {
        let Some(stream) = self.streams.get_mut(&asked.0) else { return };
        let answers = &mut stream.busy().answers.last;
        let Some(entry) = answers.iter_mut().find(|entry| entry.id == asked.1) else { return };
        entry.answer = Some(frame.clone());
        self.out.push_back(deliver(entry.screen, None, frame));
        // It may have been the last thing that held this stream.
        self.idle(&asked.0);
    }

    pub(super) fn wait(&mut self, waiting: Waiting) -> Token {
        self.count += 1;
        self.waiting.insert(Token(self.count), waiting);
        Token(self.count)
    }

    pub(super) fn record(&mut self, ((tenant, agent), _): &Asked, call: CallId, said: Said, token: Token) {
        let command = records::Command { tenant: tenant.clone(), call, agent: agent.clone(), said };
        self.ask(Ask::Record(command, token));
    }

    pub(super) fn ask(&mut self, ask: Ask) {
        self.out.push_back(Output::Ask(ask));
    }
}

pub(super) type Refusable = Result<(), (Code, &'static str)>;

pub(super) const NOT_YOURS: (Code, &str) = (Code::UnknownCall, "this call is not on your screen");
pub(super) const NOT_OFFERED: (Code, &str) = (Code::NotOffered, "this number, line or system does not allow it");
pub(super) const UNKNOWN_TARGET: (Code, &str) = (Code::UnknownTarget, "nothing that can be dialled");

/// Answers kept for an agent: more than a page can have under way, even after a reconnect.
const MOST_ANSWERS: usize = 64;

pub(super) fn done(now: Now, id: &str, call: Option<CallId>) -> Bytes {
    wire::write(0, now.wall, &Done { call, ..Done::of(id) })
}

pub(super) fn failed(now: Now, id: &str, code: Code, message: &str) -> Bytes {
    wire::write(0, now.wall, &Failed { id: Some(id), code, message, agent: None, name: None })
}

pub(super) fn why(failure: Failure) -> &'static str {
    match failure {
        Failure::Busy => "the agent's phone is busy",
        Failure::NoAnswer => "the agent's phone was not answered",
        Failure::NotRegistered => "the agent's phone is not registered",
        Failure::NotPermitted => "the switch does not permit it",
        Failure::AgentInCall => "the agent's phone is in a call",
        Failure::UnknownTarget => "the switch does not know the number or device",
        Failure::NotDialable => "this number cannot be called",
        Failure::SwitchUnavailable => "the switch is away",
        Failure::Timeout => "the switch did not answer in time",
        Failure::BlockedNumber => "this number is on the list of those that are not called",
        Failure::ForbiddenHours => "nobody is called at this hour",
        Failure::CoolDown => "this number was dialled a moment ago",
        Failure::TooManyCalls => "too many calls begin at this switch now",
        Failure::UnavailableHere => "the switch cannot do this here",
        Failure::CallOver => "the call has ended",
        Failure::NotRecording => "nothing records this call",
    }
}

/// Where a dial begins: where the phone was seen last, if it is still the agent's; else the first device, the full name
/// (`PJSIP/1001`) before a bare extension. A phone outside is none of a switch's own: no dial begins there.
pub(super) fn place(
    seen: Option<(SwitchId, String)>,
    devices: &[Device],
    switches: &[SwitchId],
) -> Result<(SwitchId, String), (Code, &'static str)> {
    let at = |device: &Device| match device {
        Device::At { switch, name } => Some((switch.clone(), name.clone())),
        Device::Outside { .. } => None,
    };
    let devices: Vec<(Option<SwitchId>, String)> = devices.iter().filter_map(at).collect();
    let own = |switch: &SwitchId, device: &str| {
        devices.iter().any(|(at, name)| {
            at.as_ref().is_none_or(|at| at == switch)
                && (name == device || Some(name.as_str()) == device.rsplit('/').next())
        })
    };
    if let Some(seen) = seen.filter(|(switch, device)| switches.contains(switch) && own(switch, device)) {
        return Ok(seen);
    }
    let device = devices.iter().find(|(_, name)| name.contains('/')).or(devices.first());
    let (at, device) = device.ok_or((Code::NoDevice, "this agent has no device"))?;
    let switch = match at {
        Some(at) => switches.iter().find(|switch| *switch == at),
        None => switches.first(),
    };
    let switch = switch.ok_or((Code::SwitchUnavailable, "no switch can dial"))?;
    Ok((switch.clone(), device.clone()))
}

/// Whether there is anything to dial in what was typed or stored: the switch's rules say what becomes of it.
fn dialable(text: &str) -> bool {
    text.len() <= 64 && text.chars().any(|c| c.is_ascii_digit()) && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_digit_is_not_even_asked() {
        for text in [" 138-0013-8000 ", "+8613800138000", "转 8012", "tel:+8613800138000"] {
            assert!(dialable(text), "{text}");
        }
        for junk in ["", "+", "abc", "138\r\nAction: Logoff", &"1".repeat(65)] {
            assert!(!dialable(junk), "{junk}");
        }
    }

    #[test]
    fn a_dial_begins_where_the_phone_is() {
        let devices = ["1001".into(), "PJSIP/1001".into()];
        let switches = [SwitchId::from("pbx1"), SwitchId::from("pbx2")];
        let seen = |device: &str| Some((SwitchId::from("pbx2"), device.to_owned()));
        assert_eq!(place(None, &devices, &switches), Ok(("pbx1".into(), "PJSIP/1001".to_owned())));
        assert_eq!(place(seen("SIP/1001"), &devices, &switches), Ok(("pbx2".into(), "SIP/1001".to_owned())));
        assert_eq!(place(seen("SIP/1009"), &devices, &switches), Ok(("pbx1".into(), "PJSIP/1001".to_owned())));
        let second = [Device::At { switch: Some("pbx2".into()), name: "PJSIP/7".to_owned() }];
        assert_eq!(place(None, &second, &switches), Ok(("pbx2".into(), "PJSIP/7".to_owned())));
        assert_eq!(place(seen("PJSIP/7"), &second, &switches), Ok(("pbx2".into(), "PJSIP/7".to_owned())));
        assert_eq!(place(None, &second, &switches[..1]).unwrap_err().0, Code::SwitchUnavailable);
        let outside = [Device::Outside { number: "+8613800138001".into() }];
        assert_eq!(place(None, &outside, &switches).unwrap_err().0, Code::NoDevice);
        assert_eq!(place(None, &[], &switches).unwrap_err().0, Code::NoDevice);
        assert_eq!(place(None, &devices, &[]).unwrap_err().0, Code::SwitchUnavailable);
    }
}
