//! The seat of an agent, as screens show it, and whether who has one is there.

use std::collections::HashMap;

use crate::{
    calls::{
        Directory,
        directory::SeatKind,
        seats::{Refusal, Sitting, Turn},
    },
    words::{AgentId, Mono, Now, TenantId},
};

use super::{
    super::{
        protocol::{Code, Failed, Seat, SeatClaim},
        wire,
    },
    Ask, Key, Output, Roster, Token,
    requests::{Asked, Waiting},
};

/// Of one agent who takes a seat.
#[derive(Default)]
pub(super) struct SeatNow {
    pub sitting: Option<Sitting>,
    /// Since when no screen is open.
    gone: Option<Mono>,
}

/// What an agent's screen says of it.
pub(super) fn shown<'a>(seats: &'a HashMap<Key, SeatNow>, key: &Key) -> Option<Option<Seat<'a>>> {
    let seat = |s: &'a Sitting| Seat { switch: s.switch.as_str(), device: &s.device, since: s.from, how: s.how };
    seats.get(key).map(|now| now.sitting.as_ref().map(seat))
}

impl Roster {
    /// A seat was taken or left. The agent's screens hear of it.
    pub fn seated(&mut self, now: Now, turn: &Turn) {
        let key = (turn.sitting.tenant.clone(), turn.sitting.agent.clone());
        let away = self.streams.get(&key).is_none_or(|stream| stream.screens.is_empty());
        let seat = self.seats.entry(key.clone()).or_default();
        match turn.left {
            None => {
                seat.sitting = Some(turn.sitting.clone());
                // From here on: whoever was logged in by the switch, or before a restart, has the time to open a page.
                seat.gone = away.then_some(now.mono);
            }
            Some(_)
                if seat
                    .sitting
                    .as_ref()
                    .is_some_and(|s| s.from != turn.sitting.from || s.device != turn.sitting.device) => {}
            Some(_) if away => {
                self.seats.remove(&key);
            }
            Some(_) => seat.sitting = None,
        }
        self.tell_screens(now, &key, None);
    }

    /// Whether an agent who took a seat is there: with a screen, with a call, or gone for no longer than a reconnect may take.
    #[must_use]
    pub fn is_there(&self, now: Now, tenant: &TenantId, agent: &AgentId) -> bool {
        let key = (tenant.clone(), agent.clone());
        let busy = self
            .streams
            .get(&key)
            .is_some_and(|stream| !stream.screens.is_empty() || stream.pops().iter().any(|pop| pop.stage.is_live()));
        let gone = self.seats.get(&key).and_then(|seat| seat.gone);
        busy || gone.is_some_and(|gone| now.mono < gone.plus_ms(self.limits.resume_ms))
    }

    /// The seat was not given.
    pub fn no_seat(&mut self, now: Now, token: Token, why: &Refusal, directory: &Directory) {
        let Some(Waiting::Durable(asked)) = self.waiting.remove(&token) else { return };
        let (code, by) = match why {
            Refusal::NotYours => (Code::NotPermitted, None),
            Refusal::NoSeat => (Code::UnknownSeat, None),
            Refusal::Taken { by } => (Code::SeatTaken, Some(by)),
        };
        // Who has it is a colleague: of the same tenant, or nobody that may be named.
        let known = by.and_then(|by| directory.agent(by)).filter(|agent| agent.tenant == asked.0.0);
        let frame = Failed {
            id: Some(&asked.1),
            code,
            message: &why.to_string(),
            agent: known.map(|agent| agent.id.as_str()),
            name: known.and_then(|agent| agent.name.as_deref()),
        };
        let frame = wire::write(0, now.wall, &frame);
        self.answer(&asked, frame);
    }

    pub(super) fn seat(&mut self, asked: &Asked, claim: Option<SeatClaim>) {
        let token = self.wait(Waiting::Durable(asked.clone()));
        let (tenant, agent) = asked.0.clone();
        self.out.push_back(Output::Ask(Ask::Seat { tenant, agent, claim, token }));
    }

    pub(super) fn comes(&mut self, key: &Key, directory: &Directory) {
        let takes = directory.agent(&key.1).is_some_and(|a| a.tenant == key.0 && a.seat == SeatKind::Login);
        if takes {
            self.seats.entry(key.clone()).or_default().gone = None;
        }
    }

    pub(super) fn goes(&mut self, now: Now, key: &Key) {
        let Some(seat) = self.seats.get_mut(key) else { return };
        if seat.sitting.is_none() {
            self.seats.remove(key);
        } else {
            seat.gone = Some(now.mono);
        }
    }
}
