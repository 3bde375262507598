//! A supervisor's look at the agents of their teams: the list when it is asked for, and news of those who changed while somebody looks.
//!
//! News are gathered for a moment and made from what is true then: an agent whose call is offered, taken and named within it is one frame. What is sent is
//! whole, so a newer frame takes the place of an older one that still waits.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use crate::{
    calls::{Directory, Face, command::Deed, directory::Agent},
    customers::Answer,
    words::{CallId, Now},
};

use super::{
    super::{
        CoalesceKey, ScreenId,
        protocol::{Done, Member, MemberCall, Team, TeamChanged, TeamList},
        wire,
    },
    Due, Key, OnDesk, Output, Roster, deliver, frames,
    mask::Shade,
    requests::failed,
    stream::{OnScreen, Stage, Stream},
    verbs::{NOT_YOUR_TEAM, is_of},
};

/// Who looks, and whom there is news of.
#[derive(Default)]
pub(super) struct Watch {
    screens: BTreeMap<ScreenId, Key>,
    changed: BTreeSet<Key>,
    /// News will be told.
    due: bool,
}

impl Watch {
    pub fn leave(&mut self, screen: ScreenId) {
        self.screens.remove(&screen);
    }
}

/// News wait so long for more of the same agent.
const GATHER_MS: u64 = 250;
/// Agents whose news are told in one turn of the core, so that a switch that comes back with a thousand calls does not keep it from the next pop.
const A_TURN: usize = 200;
/// The rest of them follows after this.
const AGAIN_MS: u64 = 10;
/// Agents in a list at most: about 60 kB.
const MOST: usize = 200;

impl Roster {
    pub(super) fn list_team(
        &mut self,
        now: Now,
        (key, screen, id): (&Key, ScreenId, &str),
        list: &TeamList,
        directory: &Directory,
    ) {
        if !self.is_supervisor(screen, directory) {
            let (code, message) = NOT_YOUR_TEAM;
            return self.out.push_back(deliver(screen, None, failed(now, id, code, message)));
        }
        match list.watch {
            true => drop(self.watch.screens.insert(screen, key.clone())),
            false => self.watch.leave(screen),
        }
        let mut agents: Vec<&Agent> =
            directory.agents().map(|agent| &**agent).filter(|agent| is_of(directory, key, &agent.id)).collect();
        agents.sort_by(|a, b| a.id.cmp(&b.id));
        let list: Vec<Member<'_>> = agents.iter().take(MOST).map(|agent| self.member(key, agent, directory)).collect();
        let calls: Vec<CallId> = list.iter().filter_map(|member| Some(member.call.as_ref()?.call)).collect();
        let team = Team { agents: agents.len(), list };
        let frame = wire::write(0, now.wall, &Done { team: Some(team), ..Done::of(id) });
        self.out.push_back(deliver(screen, None, frame));
        calls.into_iter().for_each(|call| self.viewed(key, call, "team"));
    }

    /// Something about this agent may look different now.
    pub(super) fn seen(&mut self, now: Now, key: &Key) {
        self.time(now, key);
        self.stir(now);
        if self.watch.screens.is_empty() {
            return;
        }
        self.watch.changed.insert(key.clone());
        if !std::mem::replace(&mut self.watch.due, true) {
            self.later(now.mono.plus_ms(GATHER_MS), Due::Team);
        }
    }

    /// And of all who have this call.
    pub(super) fn call_seen(&mut self, now: Now, call: CallId) {
        if self.watch.screens.is_empty() {
            return;
        }
        for key in self.calls.get(&call).map(|call| call.agents.clone()).unwrap_or_default() {
            self.seen(now, &key);
        }
    }

    /// To who looks: the agents of theirs that changed.
    pub(super) fn tell_team(&mut self, now: Now, directory: &Directory) {
        self.watch.due = false;
        let mut told = 0;
        while told < A_TURN
            && let Some(key) = self.watch.changed.pop_first()
        {
            told += 1;
            let Some(agent) = directory.agent(&key.1).filter(|agent| agent.tenant == key.0) else { continue };
            let watching = self
                .watch
                .screens
                .iter()
                .filter(|(screen, who)| is_of(directory, who, &key.1) && self.is_supervisor(**screen, directory));
            let mut viewed = Vec::new();
            let frames = watching.map(|(screen, who)| {
                let body = TeamChanged(self.member(who, agent, directory));
                viewed.extend(body.0.call.as_ref().map(|call| (who.clone(), call.call)));
                let frame = wire::write(0, now.wall, &body);
                deliver(*screen, Some(CoalesceKey::Member(key.1.clone())), frame)
            });
            let frames: Vec<Output> = frames.collect();
            self.out.extend(frames);
            viewed.iter().for_each(|(who, call)| self.viewed(who, *call, "team"));
        }
        if !self.watch.changed.is_empty() {
            self.watch.due = true;
            self.later(now.mono.plus_ms(AGAIN_MS), Due::Team);
        }
    }

    /// An agent, as this supervisor sees them.
    fn member<'a>(&'a self, viewer: &Key, agent: &'a Agent, directory: &Directory) -> Member<'a> {
        let key = (agent.tenant.clone(), agent.id.clone());
        let stream = self.streams.get(&key);
        let live = stream.and_then(main).and_then(|pop| {
            let call = self.calls.get(&pop.call)?;
            Some((pop, call, call.face.as_deref()?))
        });
        let is = self.shown_state(&key);
        let part = live.and_then(|(.., face)| face.part_of(&agent.id));
        let phones = self.phones.get(&key);
        Member {
            agent: agent.id.as_str(),
            name: agent.name.as_deref(),
            state: is.condition,
            since: part.and_then(|part| part.since).or(is.since),
            reason: is.reason,
            overrun: is.overrun,
            here: stream.is_some_and(|stream| !stream.screens.is_empty()),
            in_queue: self.in_queue(&key),
            unseen: phones.is_some_and(|phones| !phones.unseen.is_empty()),
            unregistered: phones.is_some_and(|phones| !phones.unregistered.is_empty()),
            actions: live
                .map(|(pop, _, face)| self.over(viewer, pop, face, directory))
                .unwrap_or_default()
                .into_iter()
                .chain([Deed::AgentState.word()])
                .collect(),
            call: live.and_then(|(pop, call, face)| {
                let line = face.line.as_deref();
                let masked = self.streams.get(viewer).is_none_or(|stream| stream.masks(line));
                Self::member_call(masked, agent, (pop, call, face))
            }),
        }
    }

    pub(super) fn member_call<'a>(
        masked: bool,
        agent: &Agent,
        (pop, call, face): (&OnScreen, &'a OnDesk, &'a Face),
    ) -> Option<MemberCall<'a>> {
        let line = face.line.as_deref();
        let shade = masked.then(|| Shade::of(face.customer.as_ref()));
        let name = name(call, face).map(|name| shade.map_or(Cow::Borrowed(name), |shade| shade.text(name)));
        Some(MemberCall {
            call: face.call,
            leg: face.part_of(&agent.id).map(|part| part.state).or_else(|| pop.stage.leg())?,
            role: pop.offer.role,
            direction: face.direction,
            title: line.and_then(|line| line.title.as_deref()),
            queue: face.queue.as_deref().map(|id| line.and_then(|line| line.queue_label.as_deref()).unwrap_or(id)),
            // Without a handle: a supervisor takes the call, or has it from the agent.
            number: face.customer.as_ref().map(|number| frames::dialable(number, masked, None)),
            name,
        })
    }

    /// What a supervisor can do about the call that an agent talks in: what works at its switch, and only where they have a phone there themselves.
    fn over(&self, viewer: &Key, pop: &OnScreen, face: &Face, directory: &Directory) -> Vec<&'static str> {
        let Some(abilities) = self.abilities.get(&face.switch).filter(|_| pop.stage == Stage::Talking) else {
            return Vec::new();
        };
        let all = Deed::ALL.into_iter().filter(|deed| deed.is_supervisors() && abilities.can(*deed));
        let mut words: Vec<_> = all.map(Deed::word).collect();
        if !words.is_empty() && self.phone(viewer, &face.switch, directory).is_err() {
            words.clear();
        }
        words
    }
}

/// The pop that says what an agent does: the call they talk in, as a verb on them would be about, else what rings.
pub(super) fn main(stream: &Stream) -> Option<&OnScreen> {
    let last = |of: fn(Stage) -> bool| stream.pops().iter().rev().find(|pop| of(pop.stage));
    last(|stage| stage == Stage::Talking).or_else(|| last(Stage::is_live))
}

/// The customer's name: of the one who was found or chosen, else as the switch showed it.
fn name<'a>(call: &'a OnDesk, face: &'a Face) -> Option<&'a str> {
    let card = call.card.as_deref();
    let known = match (&call.chosen, card.map(|card| &card.answer)) {
        (Some(None), _) => return None,
        (Some(Some(id)), _) => card.and_then(|card| card.people().find(|person| person.is(id))),
        (None, Some(Answer::Found(person))) => Some(person),
        (None, _) => None,
    };
    let name = known.and_then(|person| person.head.name.as_ref()).or(face.name.as_ref())?;
    Some(name.expose())
}
