//! What an admin is told of an agent: how they stand, on which phones, and why nothing would pop for them.
//!
//! It is what a supervisor's board is made of, with what lies beneath it. Numbers are masked, and no name of a customer is told.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    calls::{
        Directory,
        directory::{Agent, Device, SeatKind},
        members::Post,
    },
    words::{AgentId, SwitchId, TenantId, Wall},
};

use super::{
    super::protocol::{AgentCondition, BoardQueue, InQueue, LinkKind, MemberCall},
    Key, Roster, mask, state,
    stream::{Stage, Stream, Work},
    team,
};

/// Of people who were asked for.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct People {
    pub agents: Vec<Person>,
    /// Pages that are open for somebody whom agents.yaml does not have: nothing ever pops there.
    pub strangers: Vec<Stranger>,
    /// There are more agents than were asked for.
    pub more: bool,
}

/// Whose token names an agent that there is not, or one of another tenant.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Stranger {
    pub tenant: TenantId,
    pub agent: AgentId,
    pub pages: usize,
}

/// One agent.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Person {
    pub agent: AgentId,
    pub name: Option<String>,
    pub tenant: TenantId,
    pub teams: Vec<String>,
    pub roles: Vec<String>,
    /// Whether this person takes a seat.
    pub takes_seat: bool,
    /// Queues that this person may log in to from the page.
    pub may_join: Vec<String>,
    pub state: AgentCondition,
    /// Absent: not known, or never otherwise since the start.
    pub since: Option<Wall>,
    /// For `not-ready`.
    pub reason: Option<String>,
    /// When the time after a call, or the reason's time, is over.
    pub until: Option<Wall>,
    /// The reason's time is over.
    pub overrun: bool,
    /// Pages that are open, and whether one of them gets the pops.
    pub pages: usize,
    pub page_active: bool,
    /// Since when there is a page, or none any more; absent: there never was one since the start.
    pub page_since: Option<Wall>,
    /// Calls whose wrap-up was not submitted.
    pub wrap_ups: usize,
    pub phones: Vec<Phone>,
    /// Where a call of theirs was seen last.
    pub seen_at: Option<PhoneAt>,
    /// Places in queues, as the switches tell.
    #[schemars(with = "Vec<InQueue<'static>>")]
    pub queues: Vec<Value>,
    /// The call they talk in, else the one that rings. The number is masked.
    #[schemars(with = "Option<MemberCall<'static>>")]
    pub call: Option<Value>,
    /// Why nothing would pop for this agent, or no call of a queue would come; the most likely first.
    pub obstacles: Vec<Obstacle>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PhoneAt {
    pub switch: SwitchId,
    pub device: String,
}

/// A phone of an agent.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Phone {
    /// Absent: at any switch, or outside.
    pub switch: Option<SwitchId>,
    /// As agents.yaml or the seat's row writes it; a number outside is masked.
    pub device: String,
    pub how: PhoneHow,
    pub state: PhoneState,
}

/// How a phone is somebody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PhoneHow {
    /// By agents.yaml.
    File,
    /// By a seat that was taken.
    Seat,
    /// A number outside, behind a trunk.
    Outside,
}

/// What is known of a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PhoneState {
    /// A call rings or is up there.
    InUse,
    /// The link to its switch is away.
    SwitchAway,
    /// The switch says that no phone is registered there.
    Unregistered,
    /// It is watched, and the switch tells nothing of it now.
    Unseen,
    /// It is watched, and nothing is wrong.
    Good,
    /// This switch tells of calls, and not of phones.
    NotTold,
}

/// Something that stands between an agent and a pop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Obstacle {
    /// No device in agents.yaml.
    NoPhone,
    /// Takes a seat, and has none.
    NoSeat,
    /// No page is open, or none that has come up.
    NoPage,
    SwitchAway {
        switch: SwitchId,
    },
    Unregistered {
        switch: SwitchId,
        device: String,
    },
    Unseen {
        switch: SwitchId,
        device: String,
    },
    /// By the file the device is somebody else's at this switch: the whole name goes before the extension alone.
    Shared {
        switch: SwitchId,
        device: String,
        agent: AgentId,
    },
    LoggedOff,
    NotReady,
    AfterCall,
    /// Others are in queues, and this agent in none: only direct calls come.
    NoQueue,
}

/// A queue as a board has it, and who is in it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct QueueNow {
    pub tenant: TenantId,
    #[serde(flatten)]
    pub now: BoardQueue,
    /// Places in it, as the switches tell; only of one queue that was asked for.
    pub places: Vec<QueuePlace>,
}

/// Whose place in a queue it is, and how it stands.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct QueuePlace {
    /// Absent: the device is no agent's, so nothing pops when it rings.
    pub agent: Option<AgentId>,
    pub name: Option<String>,
    /// As the switch names it.
    pub device: String,
    pub switch: SwitchId,
    pub state: AgentCondition,
    pub reason: Option<String>,
    pub since: Wall,
}

impl QueuePlace {
    #[must_use]
    pub fn new(post: &Post, agent: Option<&Agent>) -> Self {
        let InQueue { state, reason, since, .. } = state::in_queue(post);
        Self {
            agent: agent.map(|agent| agent.id.clone()),
            name: agent.and_then(|agent| agent.name.clone()),
            device: post.member.device.clone(),
            switch: post.switch.clone(),
            state,
            reason: reason.map(str::to_owned),
            since,
        }
    }
}

/// Strangers in a list at most.
const STRANGERS: usize = 50;

impl Roster {
    /// Those who were asked for, in that order. `told`: switches that tell of phones.
    #[must_use]
    pub fn people(&self, of: &[AgentId], told: &BTreeSet<SwitchId>, directory: &Directory) -> People {
        let queues = self.duties.keys().any(|key| self.in_queue(key));
        let agents = of.iter().filter_map(|id| directory.agent(id));
        let agents = agents.map(|agent| self.standing_of(agent, told, queues, directory)).collect();
        let open = self.streams.iter().filter(|(_, stream)| !stream.screens.is_empty());
        let strange = open.filter(|(key, _)| directory.agent(&key.1).is_none_or(|agent| agent.tenant != key.0));
        let mut strangers: Vec<Stranger> = strange
            .take(STRANGERS)
            .map(|((tenant, agent), stream)| Stranger {
                tenant: tenant.clone(),
                agent: agent.clone(),
                pages: stream.screens.len(),
            })
            .collect();
        strangers.sort_by(|a, b| (&a.tenant, &a.agent).cmp(&(&b.tenant, &b.agent)));
        People { agents, strangers, more: false }
    }

    fn standing_of(&self, agent: &Agent, told: &BTreeSet<SwitchId>, queues: bool, directory: &Directory) -> Person {
        let key = (agent.tenant.clone(), agent.id.clone());
        let stream = self.streams.get(&key);
        let is = self.shown_state(&key);
        let phones = self.phones_of(agent, &key, told);
        let obstacles = self.obstacles(agent, &key, &phones, queues, directory);
        Person {
            agent: agent.id.clone(),
            name: agent.name.clone(),
            tenant: agent.tenant.clone(),
            teams: agent.teams.clone(),
            roles: agent.roles.clone(),
            takes_seat: agent.seat == SeatKind::Login,
            may_join: agent.queues.clone(),
            state: is.condition,
            since: is.since,
            reason: is.reason.map(str::to_owned),
            until: is.until,
            overrun: is.overrun,
            pages: stream.map_or(0, |stream| stream.screens.len()),
            page_active: stream.is_some_and(|stream| stream.active.is_some()),
            page_since: stream.and_then(|stream| stream.turned),
            wrap_ups: stream.map_or(&[][..], Stream::pops).iter().filter(|pop| awaited(pop.stage)).count(),
            phones,
            seen_at: stream
                .and_then(Stream::seen_at)
                .map(|(switch, device)| PhoneAt { switch: switch.clone(), device: device.clone() }),
            queues: is.queues.iter().map(|post| json!(post)).collect(),
            call: self.their_call(agent, stream).map(|call| json!(call)),
            obstacles,
        }
    }

    fn their_call<'a>(&'a self, agent: &Agent, stream: Option<&'a Stream>) -> Option<MemberCall<'a>> {
        let pop = team::main(stream?)?;
        let call = self.calls.get(&pop.call)?;
        let call = Self::member_call(true, agent, (pop, call, call.face.as_deref()?))?;
        Some(MemberCall { name: None, ..call })
    }

    fn phones_of(&self, agent: &Agent, key: &Key, told: &BTreeSet<SwitchId>) -> Vec<Phone> {
        let state = |switch: Option<&SwitchId>, device: &str| self.phone_state(key, switch, device, told);
        let file = agent.devices.iter().map(|device| match device {
            Device::At { switch, name } => Phone {
                state: state(switch.as_ref(), name),
                switch: switch.clone(),
                device: name.clone(),
                how: PhoneHow::File,
            },
            Device::Outside { number } => Phone {
                switch: None,
                device: mask::mask(number.expose()),
                how: PhoneHow::Outside,
                state: PhoneState::NotTold,
            },
        });
        let sitting = self.seats.get(key).and_then(|seat| seat.sitting.as_ref());
        let seat = sitting.map(|seat| Phone {
            state: state(Some(&seat.switch), &seat.device),
            switch: Some(seat.switch.clone()),
            device: seat.device.clone(),
            how: PhoneHow::Seat,
        });
        file.chain(seat).collect()
    }

    /// Of a device at one switch, or at any: then the worst that one of them says.
    fn phone_state(&self, key: &Key, switch: Option<&SwitchId>, device: &str, told: &BTreeSet<SwitchId>) -> PhoneState {
        let at = |here: &SwitchId, name: &str| {
            switch.is_none_or(|switch| switch == here) && extension(name) == extension(device)
        };
        let pops = self.streams.get(key).map_or(&[][..], Stream::pops);
        let used = pops.iter().filter(|pop| pop.stage.is_live()).any(|pop| {
            let face = self.calls.get(&pop.call).and_then(|call| call.face.as_deref());
            face.is_some_and(|face| at(&face.switch, &pop.offer.device))
        });
        let known = self.phones.get(key);
        let lists = |list: fn(&super::Phones) -> &Vec<(SwitchId, String)>| {
            known.is_some_and(|phones| list(phones).iter().any(|(here, name)| at(here, name)))
        };
        let here: Vec<_> = self.switches.iter().filter(|here| switch.is_none_or(|switch| switch == *here)).collect();
        match () {
            () if used => PhoneState::InUse,
            () if lists(|phones| &phones.unregistered) => PhoneState::Unregistered,
            () if lists(|phones| &phones.unseen) => PhoneState::Unseen,
            () if !here.is_empty() && here.iter().all(|here| self.is_away(here)) => PhoneState::SwitchAway,
            () if here.iter().any(|here| told.contains(*here)) => PhoneState::Good,
            () => PhoneState::NotTold,
        }
    }

    fn is_away(&self, switch: &SwitchId) -> bool {
        self.links.iter().any(|((kind, id), link)| *kind == LinkKind::Switch && **id == *switch.as_str() && !link.up)
    }

    fn obstacles(
        &self,
        agent: &Agent,
        key: &Key,
        phones: &[Phone],
        queues: bool,
        directory: &Directory,
    ) -> Vec<Obstacle> {
        let mut all = Vec::new();
        if phones.is_empty() {
            all.push(if agent.seat == SeatKind::Login { Obstacle::NoSeat } else { Obstacle::NoPhone });
        }
        if self.streams.get(key).is_none_or(|stream| stream.active.is_none()) {
            all.push(Obstacle::NoPage);
        }
        let switches = |phone: &Phone| match (&phone.switch, phone.how) {
            (_, PhoneHow::Outside) => Vec::new(),
            (Some(switch), _) => vec![switch.clone()],
            (None, _) => self.switches.clone(),
        };
        let mut away: Vec<SwitchId> = phones.iter().flat_map(switches).filter(|switch| self.is_away(switch)).collect();
        away.sort();
        away.dedup();
        all.extend(away.into_iter().map(|switch| Obstacle::SwitchAway { switch }));
        if let Some(phones) = self.phones.get(key) {
            let owned = |(switch, device): &(SwitchId, String)| (switch.clone(), device.clone());
            let gone = phones.unregistered.iter().map(owned);
            all.extend(gone.map(|(switch, device)| Obstacle::Unregistered { switch, device }));
            let unseen = phones.unseen.iter().map(owned);
            all.extend(unseen.map(|(switch, device)| Obstacle::Unseen { switch, device }));
        }
        for phone in phones.iter().filter(|phone| phone.how == PhoneHow::File) {
            let other = switches(phone).into_iter().find_map(|switch| {
                // A phone that the file names by its extension alone is whose whole name ends in it: the switch says the whole name.
                let whole = directory.at_extension(&switch, &phone.device);
                let whose = whole.or_else(|| directory.at_device(&switch, &phone.device));
                let whose = whose.filter(|whose| whose.id != agent.id)?.id.clone();
                Some((switch, whose))
            });
            all.extend(other.map(|(switch, agent)| Obstacle::Shared { switch, device: phone.device.clone(), agent }));
        }
        all.extend(match self.condition(key) {
            AgentCondition::LoggedOff => Some(Obstacle::LoggedOff),
            AgentCondition::NotReady => Some(Obstacle::NotReady),
            AgentCondition::WorkingAfterCall => Some(Obstacle::AfterCall),
            AgentCondition::Ready | AgentCondition::Busy => None,
        });
        if queues && !self.in_queue(key) {
            all.push(Obstacle::NoQueue);
        }
        all
    }
}

fn awaited(stage: Stage) -> bool {
    matches!(stage, Stage::WrapUp { work: Work::Open | Work::Until(_) | Work::Over, .. })
}

/// `1001` of `PJSIP/1001`: a feed may name the technology otherwise than the file.
fn extension(device: &str) -> &str {
    device.rsplit('/').next().unwrap_or(device)
}
