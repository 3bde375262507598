//! What a screen is shown, made from a call's face and its card; and who is told when something changed.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use crate::{
    access::Who,
    calls::{
        Directory, Face,
        ability::Abilities,
        attributes::Kind,
        change::{TransferKind, Withdrawal},
        command::Deed,
        face::CallState,
        record::Direction,
    },
    customers::{Answer, Card, for_agent},
    numbers::{
        Class, NoMatch, Number,
        trunks::target::{self, Place},
    },
    words::{AgentId, CallId, Now, SwitchId, Wall},
};

use super::{
    super::{
        CoalesceKey, Deliver, ScreenId,
        protocol::{
            AgentChanged, AgentState, AtSwitch, AttributeField, CallChanged, Dialable, FieldType, HadBy, Handover,
            Link, LinkChanged, LinkKind, Me, Note, OnPhone, Pop, PopUpdated, PopWithdrawn, Queue, ReasonChoice,
            Snapshot, SnapshotCall, Welcome, WrapUpDue,
        },
        settings::{Opens, States},
        wire,
    },
    Key, LinkNow, OnDesk, Roster, deliver,
    facts::Around,
    mask::{self, Shade},
    recordings, seat,
    stream::{OnScreen, Stage, Work},
    tickets, verbs,
};

/// A transfer to be told with a change: kind, from, to.
pub(super) type Passed = (TransferKind, AgentId, Option<AgentId>);

type Links = BTreeMap<(LinkKind, Arc<str>), LinkNow>;

/// The token's roles, and those that the directory adds.
pub(super) fn roles<'a>(who: &'a Who, directory: &'a Directory) -> Vec<&'a str> {
    let known = directory.agent(&who.agent).filter(|agent| agent.tenant == who.tenant);
    let mut roles: Vec<&str> = who.roles.iter().map(String::as_str).collect();
    for role in known.iter().flat_map(|agent| &agent.roles) {
        if !roles.contains(&role.as_str()) {
            roles.push(role);
        }
    }
    roles
}

pub(super) fn welcome<'a>(
    epoch: u64,
    who: &'a Who,
    directory: &'a Directory,
    states: &'a States,
    outcomes: &'a BTreeMap<String, Vec<String>>,
    ping_ms: u64,
) -> Welcome<'a> {
    let known = directory.agent(&who.agent).filter(|agent| agent.tenant == who.tenant);
    Welcome {
        epoch,
        features: &[],
        agent: Me {
            id: who.agent.as_str(),
            tenant: who.tenant.as_str(),
            name: known.and_then(|agent| agent.name.as_deref()),
            roles: roles(who, directory),
        },
        reasons: states
            .reasons
            .iter()
            .map(|row| ReasonChoice { id: &row.id, label: row.label.as_deref(), limit_s: row.limit_s })
            .collect(),
        queues: known.iter().flat_map(|agent| &agent.queues).map(String::as_str).collect(),
        open: Opens::default(),
        outcomes,
        systems: Vec::new(),
        ping_ms,
    }
}

pub(super) fn links(known: &Links) -> Vec<Link<'_>> {
    known.iter().map(|((kind, id), link)| link_of(*kind, id, link)).collect()
}

fn link_of<'a>(kind: LinkKind, id: &'a str, link: &'a LinkNow) -> Link<'a> {
    Link { kind, id, up: link.up, since: link.since, reason: link.reason.as_deref() }
}

pub(super) fn withdrawn(pop: &OnScreen, reason: Withdrawal) -> PopWithdrawn<'_> {
    PopWithdrawn { pop: &pop.id, call: pop.call, reason, by: None }
}

/// The pop of a call whose card was rendered, with what is known around it. A viewer without whole numbers is shown none anywhere in it.
pub(super) fn pop<'a>(
    now: Wall,
    call: &'a OnDesk,
    (face, around): (&'a Face, Around),
    pop: &'a OnScreen,
    viewer: &AgentId,
    masked: bool,
    abilities: Option<&Abilities>,
) -> Pop<'a> {
    let shade = masked.then(|| Shade::of(face.customer.as_ref()));
    let seen = |text: &'a str| shade.as_ref().map_or(Cow::Borrowed(text), |shade| shade.text(text));
    let line = face.line.as_deref();
    let number = face.customer.as_ref().map(|number| dialable(number, masked, Some(face.call)));
    let can_dial = number.as_ref().is_some_and(|number| number.handle.is_some());
    Pop {
        pop: &pop.id,
        call: pop.call,
        role: pop.offer.role,
        device: &pop.offer.device,
        direction: face.direction,
        origin: face.origin,
        target: line
            .and_then(|line| line.target.as_deref())
            .and_then(|target| opens(target, call, face, viewer, masked)),
        title: line.and_then(|line| line.title.as_deref()),
        brand: line.and_then(|line| line.brand.as_deref()),
        language: line.and_then(|line| line.language.as_deref()),
        queue: face.queue.as_deref().map(|id| Queue {
            id,
            label: line.and_then(|l| l.queue_label.as_deref()).unwrap_or(id),
            waiting: face.answered_at.is_none().then_some(around.waiting),
        }),
        number,
        name: face.name.as_ref().map(|name| seen(name.expose())),
        line: face
            .dialled
            .as_ref()
            .filter(|_| face.direction == Some(Direction::Inbound))
            .map(|n| dialable(n, false, None)),
        waited_since: match face.direction {
            Some(Direction::Outbound) => None,
            _ => face.queued_at.or(face.started_at),
        },
        outcome_required: around.outcome_required,
        called_before: call.before,
        had_by: face
            .had
            .iter()
            .map(|had| HadBy {
                agent: had.agent.as_str(),
                name: had.name.as_deref(),
                ms: had.from.zip(had.to).map(|(from, to)| to.since(from)),
            })
            .collect(),
        reference: face.reference.as_ref(),
        attributes: match &shade {
            None => Cow::Borrowed(&face.attributes),
            Some(shade) => Cow::Owned(
                face.attributes
                    .iter()
                    .map(|(name, value)| (name.clone(), shade.attribute(name, value.expose()).into_owned().into()))
                    .collect(),
            ),
        },
        attribute_faults: &face.faults,
        fields: fields(face),
        notes: call
            .notes
            .iter()
            .filter(|(agent, _)| agent != viewer)
            .map(|(agent, text)| Note { agent: agent.as_str(), text: seen(text.expose()) })
            .collect(),
        card: rendered(now, call, viewer, shade.as_ref()),
        chosen: call
            .chosen
            .as_ref()
            .map(|chosen| chosen.as_deref().map(|id| shade.as_ref().map_or(Cow::Borrowed(id), |shade| shade.id(id)))),
        actions: actions(call, face, can_dial).into_iter().chain(call_actions(abilities, pop, face)).collect(),
    }
}

/// What an agent may do to the call.
fn call_actions(abilities: Option<&Abilities>, pop: &OnScreen, face: &Face) -> Vec<&'static str> {
    let offered = abilities.map(|abilities| verbs::offered(abilities, pop, face)).unwrap_or_default();
    offered.into_iter().map(Deed::word).collect()
}

/// What an agent may do about the customer of this pop. Attaching to a customer and making one are for callers whom no system knows, and as
/// the line's row of trunks.yaml says.
fn actions(call: &OnDesk, face: &Face, can_dial: bool) -> Vec<&'static str> {
    let card = call.card.as_deref();
    let is = |of: fn(&Card) -> bool| card.is_some_and(of);
    let offered = face.line.as_ref().map_or_else(NoMatch::default, |line| line.no_match) != NoMatch::None;
    let unknown = offered && is(|card| matches!(card.answer, Answer::Absent));
    let wanted = [
        (
            "candidate.choose",
            is(|card| matches!(card.answer, Answer::Ambiguous(_) | Answer::Absent) || !card.rest.is_empty()),
        ),
        ("candidate.forget", call.chosen.is_some() || is(|card| card.remembered.is_some())),
        ("customer.search", true),
        ("customer.attach", unknown && is(|card| !card.attach.is_empty())),
        ("customer.create", unknown && is(|card| !card.create.is_empty())),
        ("notes.set", true),
        ("attribute.set", face.declared.list.iter().any(|mapping| mapping.writable)),
        ("wrapup.submit", true),
        ("dial", can_dial),
    ];
    wanted.into_iter().filter(|(_, can)| *can).map(|(name, _)| name).collect()
}

/// The card's bytes, made once for all; anew only for an agent whose own customer stands elsewhere in the list for that.
fn rendered<'a>(
    now: Wall,
    call: &'a OnDesk,
    viewer: &AgentId,
    shade: Option<&Shade>,
) -> Cow<'a, serde_json::value::RawValue> {
    let made = if shade.is_some() { &call.hidden } else { &call.rendered };
    let all = || Cow::Borrowed(made.as_deref().unwrap_or(serde_json::value::RawValue::NULL));
    let Some(card) = call.card.as_deref() else { return all() };
    let Answer::Ambiguous(people) = &card.answer else { return all() };
    match for_agent(people, viewer, now) {
        Some(people) => {
            let whole = wire::ordered(card, people.iter());
            Cow::Owned(shade.map_or_else(|| whole.clone(), |shade| shade.raw(&whole)))
        }
        None => all(),
    }
}

/// What the switch's file says of attributes that a page shows by another name or lets agents write.
fn fields(face: &Face) -> Vec<AttributeField<'_>> {
    let mut fields: Vec<AttributeField<'_>> = Vec::new();
    for m in face.declared.list.iter().filter(|m| !m.secret && (m.writable || m.label.is_some())) {
        if fields.iter().any(|known| known.name == m.name) {
            continue;
        }
        let (kind, choices) = match &m.kind {
            Kind::Text => (FieldType::Text, &[][..]),
            Kind::Digits => (FieldType::Digits, &[][..]),
            Kind::Number => (FieldType::Number, &[][..]),
            Kind::Date => (FieldType::Date, &[][..]),
            Kind::Choice(list) => (FieldType::Choice, list.as_slice()),
        };
        let label = m.label.as_deref();
        fields.push(AttributeField { name: &m.name, label, kind, choices, cap: m.cap, writable: m.writable });
    }
    fields
}

/// The address that a line's target is for this call and viewer. Who sees the number masked gets none that has it in it.
fn opens(target: &str, call: &OnDesk, face: &Face, viewer: &AgentId, masked: bool) -> Option<String> {
    let number = || {
        let number = face.customer.as_ref().filter(|_| !masked)?;
        number.e164.as_ref().or(number.raw.as_ref()).map(|n| n.expose().as_str())
    };
    // A customer's id or an attribute may be the number in another dress.
    let shade = masked.then(|| Shade::of(face.customer.as_ref()));
    let shown = |value: &Cow<'_, str>| shade.as_ref().is_none_or(|shade| shade.text(value) == *value);
    target::address(target, |place| {
        let value = match place {
            Place::Number => number().map(Cow::Borrowed),
            Place::Digits => number().map(|n| Cow::Borrowed(n.trim_start_matches('+'))),
            Place::Dialled => face.dialled.as_ref().and_then(Number::key).map(Cow::Borrowed),
            Place::Call => Some(Cow::Owned(face.call.to_string())),
            Place::Queue => face.queue.as_deref().map(Cow::Borrowed),
            Place::Agent => Some(Cow::Borrowed(viewer.as_str())),
            Place::Customer => call.customer().first().map(|c| Cow::Borrowed(c.link.id.as_str())),
            Place::CustomerOf(system) => {
                let at = call.customer().into_iter().find(|c| c.link.system == system);
                at.map(|c| Cow::Borrowed(c.link.id.as_str()))
            }
            Place::Attribute(name) => face.attributes.get(name).map(|value| Cow::Borrowed(value.expose().as_str())),
        };
        value.filter(shown)
    })
}

/// A number as a viewer may see it. `call`: whose customer it is, if it can be dialled by handle.
pub(super) fn dialable(number: &Number, masked: bool, call: Option<CallId>) -> Dialable<'_> {
    let raw = number.raw.as_ref().map(|raw| raw.expose().as_str());
    let e164 = number.e164.as_ref().map(|e164| e164.expose().as_str());
    let whole = raw.or(e164).unwrap_or_default();
    let withheld = number.class == Class::Anonymous || whole.is_empty();
    let display = match (withheld, masked) {
        (true, _) => Cow::Borrowed(""),
        (false, false) => Cow::Borrowed(whole),
        (false, true) => Cow::Owned(mask::mask(whole)),
    };
    Dialable {
        display,
        e164: e164.filter(|_| !masked && !withheld),
        class: number.class,
        masked,
        handle: call.filter(|_| !withheld).map(|call| format!("customer@{call}")),
    }
}

fn call_changed<'a>(
    call: &OnDesk,
    face: &'a Face,
    pop: &'a OnScreen,
    passed: Option<&'a Passed>,
    directory: &'a Directory,
    (abilities, hear): (Option<&Abilities>, bool),
) -> CallChanged<'a> {
    let part = if pop.stage.is_live() { face.part_of(&pop.offer.agent) } else { None };
    let wrapup = match pop.stage {
        Stage::WrapUp { since, until, work, extensions } => Some(WrapUpDue {
            since,
            until,
            ready_at: match work {
                Work::Until(at) => Some(at),
                Work::Open | Work::Over => None,
            },
            may_extend: matches!(work, Work::Until(_)) && extensions > 0,
        }),
        _ => None,
    };
    CallChanged {
        pop: &pop.id,
        call: pop.call,
        state: if call.ended { CallState::Ended } else { face.state },
        leg: part.map(|part| part.state).or_else(|| pop.stage.leg()),
        since: part.and_then(|part| part.since),
        role: pop.offer.role,
        started_at: face.started_at,
        answered_at: face.answered_at,
        ended_at: face.ended_at,
        agents: face
            .agents
            .iter()
            .map(|on| OnPhone {
                agent: on.offer.agent.as_str(),
                name: directory.agent(&on.offer.agent).and_then(|agent| agent.name.as_deref()),
                role: on.offer.role,
                state: on.state,
            })
            .collect(),
        transferred: passed.map(|(kind, from, to)| Handover {
            kind: *kind,
            from: from.as_str(),
            to: to.as_ref().map(AgentId::as_str),
        }),
        wrapup,
        actions: call_actions(abilities, pop, face).into_iter().chain(hear.then_some(recordings::LINK)).collect(),
    }
}

// Who is told.

impl Roster {
    /// The pop again, whole, to everyone who has it up.
    pub(super) fn tell_pop(&mut self, now: Now, id: CallId) {
        self.call_seen(now, id);
        let Some(call) = self.calls.get_mut(&id) else { return };
        let line = call.face.as_ref().and_then(|face| face.line.as_deref());
        let masked = call.agents.iter().any(|key| self.streams.get(key).is_some_and(|stream| stream.masks(line)));
        call.render(masked);
        let Some(face) = &call.face else { return };
        let mut viewers = Vec::new();
        for key in &call.agents {
            let Some(stream) = self.streams.get_mut(key) else { continue };
            let looks = stream.active.is_some();
            let masked = stream.masks(face.line.as_deref());
            let around = Around { waiting: self.queued.others(face), outcome_required: self.outcome_required.of(face) };
            let mut pops = std::mem::take(&mut stream.busy().pops);
            for on_screen in pops.iter_mut().filter(|p| p.call == id && p.stage.is_shown()) {
                let can = self.abilities.get(&face.switch);
                let body = PopUpdated(pop(now.wall, call, (face, around), on_screen, &key.1, masked, can));
                stream.emit(now, Some(CoalesceKey::Card(id)), &body, &mut self.out);
                viewers.extend(looks.then(|| key.clone()));
            }
            stream.busy().pops = pops;
        }
        viewers.iter().for_each(|key| self.viewed(key, id, "pop"));
    }

    /// Where the call is, to those who have it (a phone that only rings learns nothing from it) and to `subject`.
    pub(super) fn tell_call(
        &mut self,
        now: Now,
        id: CallId,
        subject: Option<&AgentId>,
        passed: Option<Passed>,
        directory: &Directory,
    ) {
        self.call_seen(now, id);
        let Some(call) = self.calls.get(&id) else { return };
        let Some(face) = &call.face else { return };
        for key in &call.agents {
            let Some(stream) = self.streams.get_mut(key) else { continue };
            let pops = std::mem::take(&mut stream.busy().pops);
            for pop in pops.iter().filter(|pop| pop.call == id) {
                if (pop.stage == Stage::Ringing && subject != Some(&key.1)) || pop.stage == Stage::Kept {
                    continue;
                }
                let hear = recordings::offered(&self.heard, call.ended, face, stream.roles());
                let can = (self.abilities.get(&face.switch), hear);
                let body = call_changed(call, face, pop, passed.as_ref(), directory, can);
                stream.emit(now, Some(CoalesceKey::Call(id)), &body, &mut self.out);
            }
            stream.busy().pops = pops;
        }
    }

    /// Where the call is, to one agent, whatever the stage.
    pub(super) fn tell_one(&mut self, now: Now, key: &Key, id: CallId) {
        let Some(call) = self.calls.get(&id) else { return };
        let Some(face) = &call.face else { return };
        let Some(stream) = self.streams.get_mut(key) else { return };
        let nobody = Directory::default();
        let pops = std::mem::take(&mut stream.busy().pops);
        for pop in pops.iter().filter(|pop| pop.call == id) {
            let hear = recordings::offered(&self.heard, call.ended, face, stream.roles());
            let can = (self.abilities.get(&face.switch), hear);
            let body = call_changed(call, face, pop, None, &nobody, can);
            stream.emit(now, Some(CoalesceKey::Call(id)), &body, &mut self.out);
        }
        stream.busy().pops = pops;
    }

    /// The agent's own state, as one screen of the agent is told it.
    pub(super) fn agent_state<'a>(&'a self, key: &'a Key, screen: ScreenId) -> Option<AgentState<'a>> {
        let stream = self.streams.get(key)?;
        let phones = self.phones.get(key);
        let devices = |devices: &'a Vec<(SwitchId, String)>| {
            devices.iter().map(|(switch, device)| AtSwitch { switch: switch.as_str(), device }).collect()
        };
        let shown = self.shown_state(key);
        Some(AgentState {
            agent: key.1.as_str(),
            state: shown.condition,
            since: shown.since,
            reason: shown.reason,
            until: shown.until,
            overrun: shown.overrun,
            next: shown.next,
            queues: shown.queues,
            today: self.days.of(key),
            active: stream.active == Some(screen),
            screens: stream.screens.len(),
            seat: seat::shown(&self.seats, key),
            unseen: phones.map(|phones| devices(&phones.unseen)).unwrap_or_default(),
            unregistered: phones.map(|phones| devices(&phones.unregistered)).unwrap_or_default(),
        })
    }

    /// The agent's state and which screen is the active one, to every screen but `except`.
    pub(super) fn tell_screens(&mut self, now: Now, key: &Key, except: Option<ScreenId>) {
        self.seen(now, key);
        self.stir_queues(now);
        let screens = self.streams.get(key).map(|stream| stream.screens.clone()).unwrap_or_default();
        for screen in screens {
            if Some(screen) == except || !self.screens.get(&screen).is_some_and(|s| s.resumed) {
                continue;
            }
            let frame = self.agent_state(key, screen).map(|state| wire::write(0, now.wall, &AgentChanged(state)));
            self.out.extend(frame.map(|frame| deliver(screen, Some(CoalesceKey::Agent), frame)));
        }
    }

    pub(super) fn link_changed(&self, now: Now, screen: ScreenId, key: &(LinkKind, Arc<str>)) -> Option<Deliver> {
        self.screens.get(&screen)?;
        let link = self.links.get(key)?;
        let body = LinkChanged(link_of(key.0, &key.1, link));
        // Kind and id together name the link.
        let name = Arc::from(format!("{:?}/{}", key.0, key.1));
        Some(Deliver { screen, key: Some(CoalesceKey::Link(name)), frame: wire::write(0, now.wall, &body) })
    }

    /// Everything as it is now, to one screen. Only the active one sees calls, and has seen their pops from then on.
    pub(super) fn snapshot(&mut self, now: Now, key: &Key, screen: ScreenId, directory: &Directory) {
        let Some(stream) = self.streams.get(key) else { return };
        let active = stream.active == Some(screen);
        for id in stream.pops().iter().map(|pop| pop.call) {
            if let Some(call) = self.calls.get_mut(&id) {
                let masked = stream.masks(call.face.as_ref().and_then(|face| face.line.as_deref()));
                call.render(masked);
            }
        }
        let (mut calls, mut viewed) = (Vec::new(), Vec::new());
        for on_screen in stream.pops().iter().filter(|pop| active && pop.stage.is_shown()) {
            let Some(call) = self.calls.get(&on_screen.call) else { continue };
            let Some(face) = &call.face else { continue };
            let can = self.abilities.get(&face.switch);
            let hear = recordings::offered(&self.heard, call.ended, face, stream.roles());
            viewed.push(face.call);
            let around = Around { waiting: self.queued.others(face), outcome_required: self.outcome_required.of(face) };
            calls.push(SnapshotCall {
                pop: pop(now.wall, call, (face, around), on_screen, &key.1, stream.masks(face.line.as_deref()), can),
                state: call_changed(call, face, on_screen, None, directory, (can, hear)),
                shown: on_screen.shown,
                wishes: call.told.iter().map(tickets::shown).collect(),
                notes: call.notes.iter().find(|(agent, _)| *agent == key.1).map(|(_, text)| text.expose().as_str()),
            });
        }
        let Some(agent) = self.agent_state(key, screen) else { return };
        let body = Snapshot { agent, links: links(&self.links), calls };
        let frame = wire::write(stream.seq, now.wall, &body);
        self.out.push_back(deliver(screen, None, frame));
        if active && let Some(stream) = self.streams.get_mut(key).filter(|stream| !stream.pops().is_empty()) {
            stream.busy().pops.iter_mut().for_each(|pop| pop.shown = true);
        }
        viewed.into_iter().for_each(|call| self.viewed(key, call, "pop"));
    }
}

/// When a wrap-up that begins now is awaited no more.
pub(super) fn until(now: Wall, wait_ms: u64) -> Wall {
    now.plus_ms(i64::try_from(wait_ms).unwrap_or(i64::MAX))
}
