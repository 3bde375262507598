//! Verbs on calls: what an agent may do to which call now, and what comes of it. Offered is what would be taken.

use crate::{
    calls::{
        Directory,
        ability::{Abilities, Ability},
        command::{Deed, Digits, Failure, Made, Outcome, RequestId, Target, Verb},
        face::{AgentLeg, CallState, Face},
    },
    words::{AgentId, CallId, Now, SwitchId},
};

use super::{
    super::{
        ScreenId,
        protocol::{CallDigits, CallOf, CallPickup, CallTo, CallVerb, Code, Done},
        wire,
    },
    Ask, Due, Key, Roster, frames,
    requests::{Asked, NOT_YOURS, Refusable, UNKNOWN_TARGET, failed, place, why},
    stream::{OnScreen, Recording, Stage},
};

/// What a request wants to be done to a call, for whoever knows its legs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errand {
    pub request: RequestId,
    pub asker: Key,
    pub call: CallId,
    /// Whose leg it is about: the asker's own, a colleague's, or that of an agent who is supervised.
    pub of: AgentId,
    /// The asker's phone, where it is to ring.
    pub device: String,
    pub verb: Verb,
}

/// For the audit: who asked for what, about which call, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deeds {
    pub asker: Key,
    pub deed: Deed,
    pub about: Option<About>,
    /// `done`, or the code of the failure.
    pub result: String,
}

/// What something was done to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    Call(CallId),
    /// Whose state it was.
    Agent(AgentId),
}

/// A verb that is not answered yet.
pub(super) struct Acting {
    pub asked: Asked,
    pub call: CallId,
    pub deed: Deed,
}

/// What may be asked of this call by who has this pop.
pub(super) fn offered(abilities: &Abilities, pop: &OnScreen, face: &Face) -> Vec<Deed> {
    let part = face.part_of(&pop.offer.agent).filter(|_| pop.stage.is_live());
    let record = match pop.recording {
        Recording::Off => [Deed::RecordStart, Deed::RecordPause],
        Recording::On => [Deed::RecordStop, Deed::RecordPause],
        Recording::Paused => [Deed::RecordStop, Deed::RecordResume],
    };
    let mute = if pop.muted { Deed::Unmute } else { Deed::Mute };
    let away = [Deed::Transfer, Deed::Consult, Deed::Park];
    let all: Vec<Deed> = match part.map(|part| (part.state, part.asking)) {
        Some((AgentLeg::Ringing, _)) => vec![Deed::Answer, Deed::HangUp],
        Some((AgentLeg::Dialling, _)) => vec![Deed::HangUp],
        Some((_, true)) => vec![Deed::Complete, Deed::Cancel, Deed::Conference],
        Some((AgentLeg::Talking, false)) => {
            [Deed::HangUp, Deed::Hold, mute, Deed::Digits].into_iter().chain(away).chain(record).collect()
        }
        Some((AgentLeg::Holding, false)) => [Deed::HangUp, Deed::Retrieve].into_iter().chain(away).collect(),
        None if face.state == CallState::Held && face.agents.is_empty() => vec![Deed::Pickup],
        None => Vec::new(),
    };
    all.into_iter().filter(|deed| abilities.can(*deed)).collect()
}

/// A request, its text made into what a switch may be told.
pub(super) enum Wanting {
    Mine(CallId, Verb),
    Fetch(CallPickup),
    Theirs(AgentId, Verb),
}

impl Wanting {
    pub fn plain(deed: Deed, wanted: &CallVerb) -> Result<Self, (Code, &'static str)> {
        let verb = match deed {
            Deed::Answer => Verb::Answer,
            Deed::HangUp => Verb::HangUp,
            Deed::Hold => Verb::Hold,
            Deed::Retrieve => Verb::Retrieve,
            Deed::Mute => Verb::Mute,
            Deed::Unmute => Verb::Unmute,
            Deed::Complete => Verb::Complete,
            Deed::Cancel => Verb::Cancel,
            Deed::Conference => Verb::Conference,
            Deed::Park => Verb::Park,
            Deed::RecordStart => Verb::RecordStart,
            Deed::RecordStop => Verb::RecordStop,
            Deed::RecordPause => Verb::RecordPause,
            Deed::RecordResume => Verb::RecordResume,
            // These come with more than a call, and are read as such.
            Deed::Dial | Deed::Digits | Deed::Transfer | Deed::Consult | Deed::Pickup => return Err(NOT_NOW),
            Deed::Listen | Deed::Whisper | Deed::Barge | Deed::Take => return Err(NOT_NOW),
            Deed::AgentState | Deed::QueueLogin | Deed::QueueLogout => return Err(NOT_NOW),
        };
        Ok(Self::Mine(wanted.call, verb))
    }

    pub fn to(deed: Deed, wanted: &CallTo) -> Result<Self, (Code, &'static str)> {
        let to = Target::new(wanted.to.expose()).ok_or(UNKNOWN_TARGET)?;
        Ok(Self::Mine(wanted.call, if deed == Deed::Consult { Verb::Consult(to) } else { Verb::Transfer(to) }))
    }

    pub fn digits(wanted: &CallDigits) -> Result<Self, (Code, &'static str)> {
        let digits =
            Digits::new(wanted.digits.expose()).ok_or((Code::UnknownTarget, "these are no keys of a phone"))?;
        Ok(Self::Mine(wanted.call, Verb::Digits(digits)))
    }

    pub fn of(deed: Deed, wanted: CallOf) -> Self {
        let verb = match deed {
            Deed::Whisper => Verb::Whisper,
            Deed::Barge => Verb::Barge,
            Deed::Take => Verb::Take,
            _ => Verb::Listen,
        };
        Self::Theirs(wanted.agent.into(), verb)
    }

    pub fn deed(&self) -> Deed {
        match self {
            Self::Mine(_, verb) | Self::Theirs(_, verb) => verb.deed(),
            Self::Fetch(_) => Deed::Pickup,
        }
    }
}

impl Roster {
    /// What can be done at each switch.
    pub fn can(&mut self, abilities: std::collections::HashMap<SwitchId, Abilities>) {
        self.abilities = abilities;
    }

    pub(super) fn verb(&mut self, now: Now, asked: &Asked, wanting: Wanting, directory: &Directory) -> Refusable {
        let key = &asked.0;
        let deed = wanting.deed();
        let (call, of, verb) = match wanting {
            Wanting::Mine(call, verb) => (call, key.1.clone(), verb),
            Wanting::Fetch(CallPickup { call: Some(call), .. }) => (call, key.1.clone(), Verb::Pickup),
            Wanting::Fetch(CallPickup { agent, .. }) => {
                let colleague = AgentId::from(agent.unwrap_or_default());
                if !colleagues(directory, key, &colleague) {
                    return Err(NOT_YOUR_TEAM);
                }
                let call = self.call_of(&(key.0.clone(), colleague.clone()), Stage::Ringing);
                (call.ok_or((Code::CallOver, "nothing rings there"))?, colleague, Verb::Pickup)
            }
            Wanting::Theirs(agent, verb) => {
                if !self.supervises(key, &agent, directory) {
                    return Err(NOT_YOUR_TEAM);
                }
                let call = self.call_of(&(key.0.clone(), agent.clone()), Stage::Talking);
                (call.ok_or((Code::CallOver, "this agent talks with nobody"))?, agent, verb)
            }
        };
        let face = self.calls.get(&call).and_then(|on_desk| on_desk.face.as_deref());
        let mine = of == key.1;
        let pop = self.streams.get(key).and_then(|stream| stream.pops().iter().find(|pop| pop.call == call));
        if mine && pop.is_none() {
            return Err(NOT_YOURS);
        }
        let Some(face) = face else { return Err(why_code(Failure::CallOver)) };
        let unable = Abilities::default();
        let abilities = self.abilities.get(&face.switch).unwrap_or(&unable);
        if let Ability::Cannot(reason) = abilities.ability(deed) {
            return Err((Code::UnavailableHere, reason));
        }
        if let Some(pop) = pop.filter(|_| mine) {
            if !pop.stage.is_live() && deed != Deed::Pickup {
                return Err(why_code(Failure::CallOver));
            }
            // Pausing and resuming are also for what the switch records by itself, and muting twice is muting.
            let again =
                matches!(deed, Deed::Mute | Deed::Unmute | Deed::RecordStop | Deed::RecordPause | Deed::RecordResume)
                    && pop.stage == Stage::Talking;
            if !again && !offered(abilities, pop, face).contains(&deed) {
                return Err(NOT_NOW);
            }
        }
        if self.acts.values().any(|acting| acting.call == call && acting.deed == deed) {
            return Err((Code::VerbPending, "the same is being done to this call"));
        }
        let rings = matches!(deed, Deed::Pickup) || deed.is_supervisors();
        let device = if rings { self.phone(key, &face.switch.clone(), directory)? } else { String::new() };
        let ulid = self.request_ulid(now, asked);
        let listens = matches!(deed, Deed::Listen | Deed::Whisper | Deed::Barge);
        let request = RequestId(format!("{}{ulid}", if listens { RequestId::EAR } else { "lc-" }));
        self.acts.insert(request.clone(), Acting { asked: asked.clone(), call, deed });
        self.later(now.mono.plus_ms(self.limits.dial_ms), Due::Act(request.clone()));
        self.ask(Ask::Act(Errand { request, asker: key.clone(), call, of, device, verb }));
        Ok(())
    }

    /// The switch did it, or will not. Later news of it is ignored.
    pub fn acted(&mut self, now: Now, request: &RequestId, outcome: Outcome, directory: &Directory) {
        let Some(Acting { asked, call, deed }) = self.acts.remove(request) else { return };
        let result = match &outcome {
            Ok(_) => Ok(()),
            Err(failure) => Err(Code::from(*failure)),
        };
        self.audit(&asked.0, deed, Some(About::Call(call)), result);
        let frame = match outcome {
            Ok(Made { space, recording, .. }) => {
                self.done_to(&asked.0, call, deed);
                let recording = recording.as_ref().map(|recording| recording.expose().as_str());
                let body = Done { call: Some(call), space: space.as_deref(), recording, ..Done::of(&asked.1) };
                wire::write(0, now.wall, &body)
            }
            Err(failure) => failed(now, &asked.1, failure.into(), why(failure)),
        };
        self.answer(&asked, frame);
        if matches!(
            deed,
            Deed::Mute | Deed::Unmute | Deed::RecordStart | Deed::RecordStop | Deed::RecordPause | Deed::RecordResume
        ) {
            self.tell_call(now, call, None, None, directory);
        }
    }

    pub(super) fn audit(&mut self, asker: &Key, deed: Deed, about: Option<About>, result: Result<(), Code>) {
        let result = result.map_or_else(Code::word, |()| "done".to_owned());
        self.ask(Ask::Audit(Deeds { asker: asker.clone(), deed, about, result }));
    }

    /// What is now true of this agent's part.
    fn done_to(&mut self, key: &Key, call: CallId, deed: Deed) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        let Some(pop) = stream.busy().pops.iter_mut().find(|pop| pop.call == call) else { return };
        match deed {
            Deed::Mute => pop.muted = true,
            Deed::Unmute => pop.muted = false,
            Deed::RecordStart | Deed::RecordResume => pop.recording = Recording::On,
            Deed::RecordStop => pop.recording = Recording::Off,
            Deed::RecordPause => pop.recording = Recording::Paused,
            _ => {}
        }
    }

    /// The call of which an agent's pop is at this stage.
    fn call_of(&self, key: &Key, stage: Stage) -> Option<CallId> {
        self.streams.get(key)?.pops().iter().rev().find(|pop| pop.stage == stage).map(|pop| pop.call)
    }

    /// Whether the token's or the file's roles make a supervisor of a team in which the agent is.
    pub(super) fn supervises(&self, key: &Key, agent: &AgentId, directory: &Directory) -> bool {
        let mut screens = self.streams.get(key).into_iter().flat_map(|stream| &stream.screens);
        screens.any(|screen| self.is_supervisor(*screen, directory)) && is_of(directory, key, agent)
    }

    /// By the token of this screen, or by the file.
    pub(super) fn is_supervisor(&self, screen: ScreenId, directory: &Directory) -> bool {
        self.screens.get(&screen).is_some_and(|screen| frames::roles(&screen.who, directory).contains(&"supervisor"))
    }

    /// The asker's phone at this switch.
    pub(super) fn phone(
        &self,
        key: &Key,
        switch: &SwitchId,
        directory: &Directory,
    ) -> Result<String, (Code, &'static str)> {
        let agent = directory.agent(&key.1).filter(|agent| agent.tenant == key.0);
        let Some(agent) = agent else { return Err((Code::NoDevice, "this agent is not in the directory")) };
        let (seen, devices) = self.devices(key, agent);
        place(seen, &devices, std::slice::from_ref(switch)).map(|(_, device)| device)
    }
}

/// Whether both are in one team; `None`: the agent is not of this tenant, or neither is in any.
fn teams(directory: &Directory, key: &Key, other: &AgentId) -> Option<bool> {
    let here = |id: &AgentId| directory.agent(id).filter(|agent| agent.tenant == key.0);
    let (one, two) = (here(&key.1)?, here(other)?);
    (!(one.teams.is_empty() && two.teams.is_empty())).then(|| one.teams.iter().any(|team| two.teams.contains(team)))
}

/// Whether the agent is of a team of who would supervise them.
pub(super) fn is_of(directory: &Directory, key: &Key, agent: &AgentId) -> bool {
    *agent != key.1 && teams(directory, key, agent) == Some(true)
}

/// Colleagues are of one team; where neither is in a team, of one tenant.
fn colleagues(directory: &Directory, key: &Key, other: &AgentId) -> bool {
    let known = directory.agent(other).is_some_and(|agent| agent.tenant == key.0);
    known && *other != key.1 && teams(directory, key, other).unwrap_or(true)
}

const NOT_NOW: (Code, &str) = (Code::NotOffered, "this cannot be done to the call as it is now");
pub(super) const NOT_YOUR_TEAM: (Code, &str) = (Code::NotPermitted, "this agent is none of yours");

fn why_code(failure: Failure) -> (Code, &'static str) {
    (failure.into(), why(failure))
}
