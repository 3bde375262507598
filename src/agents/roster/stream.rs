//! One agent's stream: what was said under which seq, and what is on the screen.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::{
    calls::{change::Offer, face::AgentLeg},
    numbers::{TrunkRow, trunks::Mask},
    words::{CallId, Now, SwitchId, Wall},
};

use super::{
    super::{CoalesceKey, ScreenId, protocol::Body, wire},
    Output, deliver,
    requests::Answers,
};

/// Small while nothing happens: most of 140,000 agents are idle most of the time.
pub(super) struct Stream {
    /// In the order in which they came.
    pub screens: Vec<ScreenId>,
    pub active: Option<ScreenId>,
    /// Since when it has a screen, or none any more.
    pub turned: Option<Wall>,
    pub seq: u64,
    /// Numbers are shown with their middle hidden, where the line does not say otherwise.
    pub masked: bool,
    /// The roles of whose screen came last: lines may show numbers by role.
    roles: Box<[String]>,
    busy: Option<Box<Busy>>,
}

#[derive(Default)]
pub(super) struct Busy {
    pub pops: Vec<OnScreen>,
    pub answers: Answers,
    /// Where the agent's phone was seen last: where a dial begins.
    pub seen_at: Option<(SwitchId, String)>,
    ring: VecDeque<Sent>,
    ring_bytes: usize,
    /// Everything after this seq is in the ring (or was replaced by something newer that is).
    floor: u64,
}

struct Sent {
    seq: u64,
    key: Option<CoalesceKey>,
    frame: Bytes,
}

/// A pop.
pub(super) struct OnScreen {
    /// `<call>-<ordinal>` of the offer that made it; stays when the call is absorbed by another.
    pub id: Box<str>,
    pub call: CallId,
    pub offer: Offer,
    pub stage: Stage,
    /// It was sent to a screen.
    pub shown: bool,
    /// The wrap-up is durable already.
    pub wrapped: bool,
    /// By a request of this agent.
    pub muted: bool,
    pub recording: Recording,
}

/// What this agent asked to be recorded. What the switch records by itself is not known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recording {
    Off,
    On,
    Paused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Ringing,
    Talking,
    WrapUp {
        since: Wall,
        until: Wall,
        work: Work,
        /// How often its time may still be extended.
        extensions: u8,
    },
    /// Wrapped up: off the screen, but notes may still be corrected until it is let go.
    Kept,
    /// To be taken off.
    Over,
}

/// How long a wrap-up keeps its agent from the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// As long as it is awaited.
    Open,
    Until(Wall),
    /// No longer; what was not submitted stays on the screen.
    Over,
}

impl Stage {
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Ringing | Self::Talking)
    }

    /// On the screen, ringing to wrap-up.
    pub const fn is_shown(self) -> bool {
        matches!(self, Self::Ringing | Self::Talking | Self::WrapUp { .. })
    }

    /// The agent's part, where the book's face does not say it.
    pub const fn leg(self) -> Option<AgentLeg> {
        match self {
            Self::Ringing => Some(AgentLeg::Ringing),
            Self::Talking => Some(AgentLeg::Talking),
            Self::WrapUp { .. } | Self::Kept | Self::Over => None,
        }
    }
}

impl OnScreen {
    pub fn new(call: CallId, offer: Offer) -> Self {
        let id = format!("{call}-{}", offer.ordinal).into_boxed_str();
        Self {
            id,
            call,
            offer,
            stage: Stage::Ringing,
            shown: false,
            wrapped: false,
            muted: false,
            recording: Recording::Off,
        }
    }
}

impl Stream {
    pub fn new(seq: u64) -> Self {
        Self { screens: Vec::new(), active: None, turned: None, seq, masked: false, roles: Box::default(), busy: None }
    }

    pub fn busy(&mut self) -> &mut Busy {
        let seq = self.seq;
        self.busy.get_or_insert_with(|| Box::new(Busy { floor: seq, ..Busy::default() }))
    }

    pub fn pops(&self) -> &[OnScreen] {
        self.busy.as_ref().map_or(&[], |busy| &busy.pops)
    }

    /// Where the agent's phone was seen last.
    pub fn seen_at(&self) -> Option<&(SwitchId, String)> {
        self.busy.as_ref()?.seen_at.as_ref()
    }

    /// Frames already made show numbers as the last screen might see them: another view cannot have them.
    pub fn view(&mut self, masked: bool, roles: &[&str]) {
        let same = self.roles.iter().map(String::as_str).eq(roles.iter().copied());
        if self.masked != masked || !same {
            self.masked = masked;
            self.roles = roles.iter().map(|role| (*role).to_owned()).collect();
            self.forget_frames();
        }
    }

    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.roles.iter().map(String::as_str)
    }

    /// Whether this agent sees the customer's number of a call on this line with its middle hidden.
    pub fn masks(&self, line: Option<&TrunkRow>) -> bool {
        self.masks_by(line.and_then(|line| line.mask.as_ref()))
    }

    /// The same by what the line's row says of it.
    pub fn masks_by(&self, mask: Option<&Mask>) -> bool {
        mask.map_or(self.masked, |mask| mask.hides(&self.roles))
    }

    /// Says something in the stream: to the active screen, and into the ring for one that comes back. Where nobody ever
    /// listened, or not for long, nothing is made.
    pub fn emit<B: Body>(&mut self, now: Now, key: Option<CoalesceKey>, body: &B, out: &mut VecDeque<Output>) {
        self.seq += 1;
        let seq = self.seq;
        let listened = !self.screens.is_empty();
        let active = self.active;
        let busy = self.busy();
        if !listened && busy.ring.is_empty() {
            busy.floor = seq;
            return;
        }
        let frame = wire::write(seq, now.wall, body);
        busy.remember(Sent { seq, key: key.clone(), frame: frame.clone() });
        if let Some(screen) = active {
            out.push_back(deliver(screen, key, frame));
        }
    }

    /// What a screen that saw `seq` has missed; `None` if that is no longer known.
    pub fn missed(&mut self, seq: u64) -> Option<Vec<Bytes>> {
        if seq > self.seq {
            return None;
        }
        let newest = self.seq;
        match &self.busy {
            Some(busy) if seq >= busy.floor => {
                Some(busy.ring.iter().filter(|sent| sent.seq > seq).map(|sent| sent.frame.clone()).collect())
            }
            None if seq == newest => Some(Vec::new()),
            _ => None,
        }
    }

    /// No pop, no open question, and no frame kept for one who comes back.
    pub fn is_empty(&self) -> bool {
        self.busy.as_ref().is_none_or(|b| b.pops.is_empty() && b.answers.none_waiting() && b.ring.is_empty())
    }

    pub fn forget_frames(&mut self) {
        let seq = self.seq;
        if let Some(busy) = &mut self.busy {
            busy.ring = VecDeque::new();
            busy.ring_bytes = 0;
            busy.floor = seq;
        }
    }
}

impl Busy {
    /// The pop of this offer, else the agent's live one on this call (an absorbed consultation has another ordinal).
    pub fn find(&mut self, call: CallId, ordinal: u32) -> Option<&mut OnScreen> {
        let at = self.position(call, ordinal)?;
        self.pops.get_mut(at)
    }

    pub fn take(&mut self, call: CallId, ordinal: u32) -> Option<OnScreen> {
        let at = self.position(call, ordinal)?;
        Some(self.pops.remove(at))
    }

    fn position(&self, call: CallId, ordinal: u32) -> Option<usize> {
        let on = |pop: &OnScreen| pop.call == call;
        self.pops
            .iter()
            .position(|pop| on(pop) && pop.offer.ordinal == ordinal)
            .or_else(|| self.pops.iter().position(|pop| on(pop) && pop.stage.is_live()))
    }

    fn remember(&mut self, sent: Sent) {
        if let Some(key) = &sent.key
            && let Some(at) = self.ring.iter().position(|old| old.key.as_ref() == Some(key))
            && let Some(old) = self.ring.remove(at)
        {
            self.ring_bytes -= old.frame.len();
        }
        self.ring_bytes += sent.frame.len();
        self.ring.push_back(sent);
        while self.ring.len() > RING_FRAMES || self.ring_bytes > RING_BYTES {
            let Some(old) = self.ring.pop_front() else { break };
            self.ring_bytes -= old.frame.len();
            self.floor = old.seq;
        }
    }
}

/// A reconnect takes seconds; an agent sees about four frames a call.
const RING_FRAMES: usize = 48;
const RING_BYTES: usize = 64 * 1024;
