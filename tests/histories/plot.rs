//! What happens to made-up calls, and the truth about each: who rang, who talked when, how it ended.
//!
//! A history is some plots side by side; a plot is how a call begins and a list of deeds with the time before each. A deed that does not fit where
//! the call stands is left out, so any list is a history, and a failing one shrinks to the few deeds that matter.

use std::fmt::Write as _;

use linecard::daemon::demo::events::State;

use super::pbx::{Br, Ch, Pbx, Room};

/// How a call begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// Over the trunk; the number is withheld or not, and an IVR answers or the phone is rung at once.
    Inbound {
        known: bool,
        ivr: bool,
    },
    Outbound(u8),
    ClickToDial(u8),
    Internal(u8, u8),
}

/// Agents and queues are named by a number that is taken modulo how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Into a queue; from another one because its time is over.
    Queue(u8),
    /// The queue's time is over and the dialplan goes on without another.
    TimeOut,
    /// A phone rings: of the queue, or dialled directly; of an outbound call the far end's.
    Ring(u8),
    /// The queue's member is a Local channel.
    RingLocal(u8),
    /// Two phones at once.
    RingBoth(u8, u8),
    /// Refuses without ringing.
    Busy(u8),
    Answer(u8),
    RingOut(u8),
    Refuse(u8),
    PickUp(u8),
    Hold,
    Retrieve,
    Consult(u8),
    ConsultAnswer,
    ConsultRefuse,
    ConsultEnd,
    HandOver,
    Blind(u8),
    BlindQueue(u8),
    Park,
    Unpark(u8),
    /// Customer and agent go to a conference room.
    Room,
    Join(u8),
    Leave(u8),
    CustomerEnds,
    AgentEnds,
    SwitchEnds,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plot {
    pub start: u16,
    pub begin: Begin,
    pub deeds: Vec<(u16, Deed)>,
}

/// A stretch of a call: what, whose, from, to, how it ended. Milliseconds after the start of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub kind: &'static str,
    /// An agent or a queue.
    pub who: String,
    pub from: i64,
    pub to: Option<i64>,
    pub outcome: &'static str,
}

/// What really happened.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// Of the channels that the call is known by: the first, and the customer's.
    pub ids: Vec<String>,
    /// Of all its channels.
    pub all: Vec<String>,
    pub direction: &'static str,
    pub customer: Option<String>,
    pub pieces: Vec<Piece>,
    /// Kind, from, to: an agent or a number.
    pub transfers: Vec<(&'static str, String, String)>,
    pub outcome: &'static str,
    pub ended_by: &'static str,
    pub start: i64,
    pub answered: Option<i64>,
    pub end: i64,
    /// Of the answering phone's ring, else the last one's.
    pub ring_ms: i64,
    /// Kind and from of all transfers that were accepted.
    pub handed: Vec<(&'static str, String)>,
    /// Through a conference room: who hears whom is told by conference segments.
    pub room: bool,
    /// Only AMI says whom an agent who was not reached should have called.
    pub unreached: bool,
}

#[derive(Clone, Debug)]
struct Offer {
    agent: u8,
    ch: Ch,
    pipe: Option<(Ch, Ch)>,
    by: Ch,
    piece: usize,
}

#[derive(Clone, Debug)]
struct Consult {
    agent: u8,
    own: Ch,
    to: Ch,
    answered: bool,
    ring: usize,
    piece: usize,
    /// Whose customer it looks to be about until it is known: of several that wait, the one held last.
    home: usize,
}

#[derive(Clone, Debug)]
struct Talk {
    agent: u8,
    ch: Ch,
    pipe: Option<(Ch, Ch)>,
    piece: usize,
    held: bool,
    since: i64,
    consult: Option<Consult>,
}

#[derive(Clone, Debug)]
enum Stage {
    /// With the switch: an IVR, or the dialplan goes on.
    Open,
    Waiting {
        queue: &'static str,
        piece: usize,
    },
    /// The agent's own phone is called by the switch.
    Originating {
        agent: u8,
        own: Ch,
        piece: usize,
    },
    /// The far end is called.
    Calling {
        agent: u8,
        own: Ch,
        rings: bool,
        piece: usize,
    },
    Talking(Talk),
    Parked {
        piece: usize,
    },
    Room {
        room: Br,
        members: Vec<(u8, Ch, usize)>,
        piece: usize,
    },
    Over,
}

struct Call {
    plot: usize,
    customer: Option<Ch>,
    colleague: Option<u8>,
    stage: Stage,
    offers: Vec<Offer>,
    queued: bool,
    /// The transfer that nobody has taken up yet: an index of the truth's list.
    pending: Option<usize>,
    last_ring: Option<usize>,
    first_ring: Option<i64>,
    truth: Truth,
    legs: Vec<Ch>,
}

const AGENTS: u8 = 4;
const QUEUES: [&str; 3] = ["support", "sales", "callback"];
pub const DID: &str = "4008001234";

fn ext(agent: u8) -> String {
    format!("100{}", agent % AGENTS + 1)
}

fn device(agent: u8) -> String {
    format!("PJSIP/{}", ext(agent))
}

/// A history as it was told, and the truth about it.
pub struct Told {
    pub pbx: Pbx,
    pub truths: Vec<Truth>,
    /// What was really done, in order, for people.
    pub tale: String,
    /// Lists asked for at a moment: how many lines had been said, and what each feed's lists told.
    pub snapshots: Vec<(usize, linecard::calls::Event, linecard::calls::Event)>,
}

/// Plays a history; the lists are asked for at the moments `asked`.
pub fn play(plots: &[Plot], seed: u64, asked: &[i64]) -> Told {
    let mut times: Vec<(i64, usize, usize)> = Vec::new();
    for (n, plot) in plots.iter().enumerate() {
        let mut at = i64::from(plot.start) + 7 * n as i64;
        times.push((at, n, 0));
        for (d, (gap, _)) in plot.deeds.iter().enumerate() {
            at += i64::from(*gap);
            times.push((at, n, d + 1));
        }
        // Whatever still goes on ends.
        times.push((at + 1_500, n, usize::MAX));
    }
    times.sort_unstable();
    let mut world = World { pbx: Pbx::new(seed), calls: Vec::new(), late: Vec::new(), tale: String::new() };
    let mut snapshots = Vec::new();
    let mut asked: Vec<i64> = asked.to_vec();
    asked.sort_unstable();
    let mut asked = asked.into_iter().peekable();
    for (at, n, step) in times {
        while let Some(when) = asked.next_if(|when| *when <= at) {
            world.late(when);
            world.pbx.at(when);
            snapshots.push(world.snapshot());
        }
        world.late(at);
        world.pbx.at(at);
        match step {
            0 => world.begin(n, plots[n].begin),
            usize::MAX => world.deed(n, Deed::CustomerEnds),
            _ => world.deed(n, plots[n].deeds[step - 1].1),
        }
    }
    let end = world.pbx.now() + 100_000;
    world.late(end);
    for _ in asked {
        snapshots.push(world.snapshot());
    }
    let truths = world.calls.into_iter().map(|c| c.truth).collect();
    Told { pbx: world.pbx, truths, tale: world.tale, snapshots }
}

struct World {
    pbx: Pbx,
    calls: Vec<Call>,
    /// A transferer's dialog that lives on for a while.
    late: Vec<(i64, Ch)>,
    tale: String,
}

impl World {
    fn snapshot(&mut self) -> (usize, linecard::calls::Event, linecard::calls::Event) {
        use linecard::calls::event::Feed;
        let _ = writeln!(self.tale, "{:>7} the lists are asked for", self.pbx.now());
        (self.pbx.lines.len(), self.pbx.snapshot(Feed::Ami), self.pbx.snapshot(Feed::Ari))
    }

    fn late(&mut self, now: i64) {
        self.late.sort_unstable();
        while let Some(&(at, ch)) = self.late.first().filter(|(at, _)| *at <= now) {
            self.late.remove(0);
            self.pbx.at(at);
            self.pbx.hangup(ch, 16);
        }
    }

    /// The transferer's leg: gone at once, or when the phone says BYE.
    fn dismiss(&mut self, ch: Ch) {
        match self.pbx.toss() {
            true => self.pbx.hangup(ch, 16),
            false => self.late.push((self.pbx.now() + 2_600, ch)),
        }
    }

    // ------------------------------------------------------------------ the truth

    fn open(&mut self, n: usize, kind: &'static str, who: &str) -> usize {
        let from = self.pbx.now();
        let pieces = &mut self.calls[n].truth.pieces;
        pieces.push(Piece { kind, who: who.to_owned(), from, to: None, outcome: "" });
        pieces.len() - 1
    }

    fn close(&mut self, n: usize, piece: usize, outcome: &'static str) {
        let now = self.pbx.now();
        let piece = &mut self.calls[n].truth.pieces[piece];
        if piece.to.is_none() {
            (piece.to, piece.outcome) = (Some(now), outcome);
        }
    }

    /// A phone began to ring.
    fn rings(&mut self, n: usize, agent: u8) -> usize {
        let piece = self.open(n, "ring", &ext(agent));
        self.calls[n].last_ring = Some(piece);
        let now = self.pbx.now();
        self.calls[n].first_ring.get_or_insert(now);
        piece
    }

    fn answered(&mut self, n: usize, by: u8, rang: i64, along: bool) {
        let now = self.pbx.now();
        let call = &mut self.calls[n];
        if call.truth.answered.is_none() {
            call.truth.answered = Some(now);
            call.truth.ring_ms = now - rang;
        }
        call.truth.outcome = "answered";
        if let Some(t) = call.pending.take() {
            let (kind, from, _) = call.truth.transfers[t].clone();
            if along && from == ext(by) {
                call.truth.transfers.remove(t);
            } else {
                call.truth.transfers[t] = (kind, from, ext(by));
            }
        }
    }

    fn over(&mut self, n: usize, by: &'static str) {
        let now = self.pbx.now();
        let last = self.calls[n].last_ring;
        let call = &mut self.calls[n];
        call.stage = Stage::Over;
        call.offers.clear();
        call.truth.end = now;
        call.truth.ended_by = by;
        let closed = last.and_then(|l| call.truth.pieces.get(l)).map(|p| p.to.unwrap_or(now) - p.from);
        if call.truth.answered.is_none() {
            call.truth.ring_ms = closed.unwrap_or(0);
        }
        for piece in &mut call.truth.pieces {
            piece.to.get_or_insert(now);
        }
        let id = |c: &Ch| self.pbx.channels[*c].uniqueid.clone();
        call.truth.all = call.legs.iter().map(id).collect();
        call.truth.ids = call.legs.first().iter().copied().chain(call.customer.as_ref()).map(id).collect();
    }

    fn talk(&mut self, n: usize, agent: u8, ch: Ch, pipe: Option<(Ch, Ch)>) {
        let piece = self.open(n, "talk", &ext(agent));
        self.calls[n].stage = Stage::Talking(Talk { agent, ch, pipe, piece, held: false, since: 0, consult: None });
    }

    // ------------------------------------------------------------------ legs

    fn make(&mut self, n: usize, endpoint: &str, linked: Option<Ch>, state: State, number: &str, exten: &str) -> Ch {
        let ch = self.pbx.make(endpoint, linked, state, number, exten);
        self.calls[n].legs.push(ch);
        ch
    }

    /// A phone cannot talk twice: what its agent is in is held.
    fn seize(&mut self, agent: u8, but: usize) {
        for n in 0..self.calls.len() {
            let busy =
                matches!(&self.calls[n].stage, Stage::Talking(t) if t.agent == agent && !t.held && t.consult.is_none());
            if n != but && busy {
                self.hold(n);
            }
        }
    }

    fn hold(&mut self, n: usize) {
        let Stage::Talking(talk) = self.calls[n].stage.clone() else { return };
        self.pbx.hold(talk.ch);
        self.close(n, talk.piece, "");
        let piece = self.open(n, "hold", &ext(talk.agent));
        let since = self.pbx.now();
        self.calls[n].stage = Stage::Talking(Talk { held: true, since, piece, ..talk });
    }

    fn retrieve(&mut self, n: usize) {
        let Stage::Talking(talk) = self.calls[n].stage.clone() else { return };
        self.seize(talk.agent, n);
        self.pbx.unhold(talk.ch);
        self.close(n, talk.piece, "");
        let piece = self.open(n, "talk", &ext(talk.agent));
        self.calls[n].stage = Stage::Talking(Talk { held: false, piece, ..talk });
    }

    /// Whether this agent holds another customer, or consults: whose consultation it is would be a guess.
    fn holds_others(&self, agent: u8, but: usize) -> bool {
        self.calls.iter().enumerate().any(
            |(n, c)| matches!(&c.stage, Stage::Talking(t) if n != but && t.agent == agent && (t.held || t.consult.is_some())),
        )
    }

    fn consults(&self, agent: u8) -> bool {
        self.calls.iter().any(|c| {
            matches!(&c.stage, Stage::Talking(t) if t.consult.as_ref().is_some_and(|x| t.agent == agent || x.agent == agent))
        })
    }

    fn in_call(&self, n: usize, agent: u8) -> bool {
        let call = &self.calls[n];
        call.offers.iter().any(|o| o.agent == agent)
            || match &call.stage {
                Stage::Talking(t) => t.agent == agent || t.consult.as_ref().is_some_and(|c| c.agent == agent),
                Stage::Room { members, .. } => members.iter().any(|(a, ..)| *a == agent),
                Stage::Calling { agent: a, .. } | Stage::Originating { agent: a, .. } => *a == agent,
                _ => false,
            }
    }

    // ------------------------------------------------------------------ how it begins

    fn begin(&mut self, plot: usize, begin: Begin) {
        let n = self.calls.len();
        let _ = writeln!(self.tale, "{:>7} call {plot}: {begin:?}", self.pbx.now());
        self.calls.push(Call {
            plot,
            customer: None,
            colleague: None,
            stage: Stage::Open,
            offers: Vec::new(),
            queued: false,
            pending: None,
            last_ring: None,
            first_ring: None,
            truth: Truth { start: self.pbx.now(), outcome: "failed", ..Truth::default() },
            legs: Vec::new(),
        });
        let number = format!("1380013{:04}", 8000 + plot);
        match begin {
            Begin::Inbound { known, ivr } => {
                let shown = if known { number.as_str() } else { "" };
                let trunk = self.make(n, "PJSIP/trunk", None, State::Ring, shown, DID);
                self.pbx.goto(trunk, "s");
                self.pbx.noise(trunk);
                if ivr {
                    self.pbx.run(trunk, "Answer", "");
                    self.pbx.state(trunk, State::Up);
                }
                let call = &mut self.calls[n];
                call.customer = Some(trunk);
                call.truth.direction = "inbound";
                call.truth.customer = known.then_some(number);
            }
            Begin::Outbound(agent) => {
                let agent = agent % AGENTS;
                self.seize(agent, n);
                let own = self.make(n, &device(agent), None, State::Ring, &ext(agent), &format!("9{number}"));
                self.call_out(n, agent, own, &number);
            }
            Begin::ClickToDial(agent) => {
                let agent = agent % AGENTS;
                let id = format!("lc-{plot}");
                let own = self.pbx.make_as(&id, &device(agent), None, State::Down, &ext(agent), "s");
                self.calls[n].legs.push(own);
                self.pbx.run(own, "AppDial2", "(Outgoing Line)");
                self.pbx.dial_begin(None, own, &ext(agent));
                self.pbx.dial_rings(None, own);
                let piece = self.open(n, "ring", &ext(agent));
                let call = &mut self.calls[n];
                call.truth.direction = "outbound";
                call.truth.customer = Some(number);
                call.stage = Stage::Originating { agent, own, piece };
            }
            Begin::Internal(agent, other) => {
                let agent = agent % AGENTS;
                let other = if other % AGENTS == agent { (agent + 1) % AGENTS } else { other % AGENTS };
                if self.holds_others(agent, n) || self.consults(agent) {
                    // It would be a consultation of that customer.
                    self.calls.pop();
                    return self.begin(plot, Begin::Inbound { known: true, ivr: true });
                }
                self.seize(agent, n);
                // Which of the two calls it is that now waits cannot be known: the one it holds.
                if self.holds_others(agent, n) {
                    self.calls.pop();
                    return self.begin(plot, Begin::Inbound { known: true, ivr: true });
                }
                let own = self.make(n, &device(agent), None, State::Ring, &ext(agent), &ext(other));
                self.pbx.run(own, "Dial", &device(other));
                let to = self.make(n, &device(other), Some(own), State::Down, &ext(other), "s");
                self.pbx.run(to, "AppDial", "(Outgoing Line)");
                self.pbx.dial_begin(Some(own), to, &ext(other));
                self.pbx.dial_rings(Some(own), to);
                let piece = self.rings(n, other);
                let call = &mut self.calls[n];
                call.truth.direction = "internal";
                call.customer = Some(to);
                call.colleague = Some(other);
                call.stage = Stage::Calling { agent, own, rings: true, piece };
            }
        }
    }

    fn call_out(&mut self, n: usize, agent: u8, own: Ch, number: &str) {
        self.pbx.run(own, "Dial", &format!("PJSIP/{number}@trunk"));
        let far = self.make(n, "PJSIP/trunk", Some(own), State::Down, "", "s");
        self.pbx.run(far, "AppDial", "(Outgoing Line)");
        self.pbx.dial_begin(Some(own), far, &format!("{number}@trunk"));
        let piece = self.open(n, "far", "");
        let call = &mut self.calls[n];
        call.truth.direction = "outbound";
        call.truth.customer = Some(number.to_owned());
        call.customer = Some(far);
        call.stage = Stage::Calling { agent, own, rings: false, piece };
    }

    // ------------------------------------------------------------------ what happens then

    fn deed(&mut self, plot: usize, deed: Deed) {
        let Some(n) = self.calls.iter().position(|c| c.plot == plot) else { return };
        let before = self.pbx.lines.len();
        let at = self.pbx.now();
        self.act(n, deed);
        if self.pbx.lines.len() > before {
            let _ = writeln!(self.tale, "{at:>7} call {plot}: {deed:?}");
        }
    }

    #[allow(clippy::too_many_lines, reason = "one arm a deed")]
    fn act(&mut self, n: usize, deed: Deed) {
        let stage = self.calls[n].stage.clone();
        let customer = self.calls[n].customer;
        let ringing = !self.calls[n].offers.is_empty();
        match (deed, stage) {
            (Deed::CustomerEnds, stage) => self.end(n, stage, "customer"),
            (Deed::AgentEnds, stage @ (Stage::Talking(_) | Stage::Calling { .. })) => self.end(n, stage, "agent"),
            (Deed::SwitchEnds, stage) => self.end(n, stage, "switch"),
            (Deed::Queue(q), Stage::Open) if !ringing && customer.is_some() => {
                self.enqueue(n, QUEUES[usize::from(q) % 3]);
            }
            (Deed::Queue(q), Stage::Waiting { queue, piece }) => {
                let next = QUEUES[usize::from(q) % 3];
                if next != queue {
                    self.time_out(n, queue, piece, "overflow");
                    self.enqueue(n, next);
                }
            }
            (Deed::TimeOut, Stage::Waiting { queue, piece }) => self.time_out(n, queue, piece, "timeout"),
            (Deed::Ring(a) | Deed::RingLocal(a), Stage::Waiting { queue, .. }) => {
                let agent = a % AGENTS;
                if !self.in_call(n, agent) {
                    self.offer(n, agent, Some(queue), matches!(deed, Deed::RingLocal(_)));
                }
            }
            (Deed::RingBoth(a, b), Stage::Waiting { queue, .. }) => {
                for agent in [a % AGENTS, b % AGENTS] {
                    if !self.in_call(n, agent) {
                        self.offer(n, agent, Some(queue), false);
                    }
                }
            }
            (Deed::Ring(a) | Deed::RingLocal(a), Stage::Open) if !ringing => self.offer(n, a % AGENTS, None, false),
            (Deed::RingBoth(a, b), Stage::Open) if !ringing => {
                for agent in [a % AGENTS, b % AGENTS] {
                    if !self.in_call(n, agent) {
                        self.offer(n, agent, None, false);
                    }
                }
            }
            (Deed::Busy(a), Stage::Waiting { queue, .. }) if !self.in_call(n, a % AGENTS) => {
                self.busy(n, a % AGENTS, Some(queue));
            }
            (Deed::Busy(a), Stage::Open) if !ringing => self.busy(n, a % AGENTS, None),
            (Deed::Answer(i), Stage::Waiting { .. } | Stage::Open) if ringing => {
                let i = usize::from(i) % self.calls[n].offers.len();
                self.answer(n, i, None);
            }
            (Deed::PickUp(a), Stage::Waiting { .. } | Stage::Open) if ringing => {
                let agent = a % AGENTS;
                if !self.in_call(n, agent) && !self.consults(agent) {
                    self.answer(n, 0, Some(agent));
                }
            }
            (Deed::RingOut(i), Stage::Waiting { .. }) if ringing => {
                let i = usize::from(i) % self.calls[n].offers.len();
                self.ring_out(n, i);
            }
            (Deed::RingOut(_), Stage::Open) if ringing => {
                while !self.calls[n].offers.is_empty() {
                    self.ring_out(n, 0);
                }
            }
            (Deed::Refuse(i), Stage::Waiting { .. } | Stage::Open) if ringing => {
                let i = usize::from(i) % self.calls[n].offers.len();
                self.refuse(n, i);
            }
            (Deed::Answer(_), Stage::Originating { agent, own, piece }) => {
                self.seize(agent, n);
                self.pbx.state(own, State::Up);
                self.close(n, piece, "answered");
                self.pbx.dial_end(None, own, "ANSWER");
                let number = self.calls[n].truth.customer.clone().unwrap();
                self.pbx.originated(own, &number, true);
                self.call_out(n, agent, own, &number);
            }
            (Deed::Refuse(_) | Deed::RingOut(_), Stage::Originating { own, piece, .. }) => {
                let refused = matches!(deed, Deed::Refuse(_));
                self.close(n, piece, if refused { "rejected" } else { "no-answer" });
                let number = self.calls[n].truth.customer.clone().unwrap();
                if refused {
                    self.pbx.asks(own, 17);
                    self.pbx.dial_end(None, own, "BUSY");
                }
                self.pbx.originated(own, &number, false);
                self.pbx.hangup(own, if refused { 17 } else { 19 });
                self.calls[n].truth.outcome = "agent-unreached";
                self.calls[n].truth.unreached = true;
                self.over(n, if refused { "agent" } else { "switch" });
            }
            (Deed::Ring(_), Stage::Calling { agent, own, rings: false, piece }) => {
                self.pbx.dial_rings(Some(own), customer.unwrap());
                self.calls[n].truth.pieces[piece].from = self.pbx.now();
                self.calls[n].last_ring = Some(piece);
                self.calls[n].stage = Stage::Calling { agent, own, rings: true, piece };
            }
            (Deed::Answer(_), Stage::Calling { agent, own, rings, piece }) => {
                let far = customer.unwrap();
                if let Some(other) = self.calls[n].colleague {
                    self.seize(other, usize::MAX);
                }
                self.pbx.state(far, State::Up);
                self.pbx.dial_end(Some(own), far, "ANSWER");
                let from = self.calls[n].truth.pieces[piece].from;
                let now = self.pbx.now();
                self.close(n, piece, "answered");
                self.answered(n, agent, if rings { from } else { now }, false);
                if !self.pbx.up(own) {
                    self.pbx.state(own, State::Up);
                }
                self.pbx.connect(far, own);
                self.talk(n, agent, own, None);
            }
            (Deed::Refuse(_) | Deed::RingOut(_), Stage::Calling { own, rings, piece, .. }) => {
                let far = customer.unwrap();
                let refused = matches!(deed, Deed::Refuse(_));
                if refused {
                    self.pbx.asks(far, 17);
                }
                self.pbx.dial_end(Some(own), far, if refused { "BUSY" } else { "NOANSWER" });
                let (outcome, ring) = match (refused, rings) {
                    (true, true) => ("rejected", "rejected"),
                    (true, false) => ("busy", "busy"),
                    (false, _) => ("no-answer", "no-answer"),
                };
                self.close(n, piece, ring);
                self.pbx.hangup(far, if refused { 17 } else { 0 });
                self.pbx.soft(own);
                self.pbx.hangup(own, if refused { 17 } else { 0 });
                self.calls[n].truth.outcome = outcome;
                if !rings {
                    self.calls[n].last_ring = None;
                }
                self.over(n, if refused { "customer" } else { "switch" });
            }
            (Deed::Hold, Stage::Talking(t)) if !t.held => self.hold(n),
            (Deed::Retrieve, Stage::Talking(t)) if t.held && t.consult.is_none() => self.retrieve(n),
            (Deed::Consult(a), Stage::Talking(t)) if t.consult.is_none() && self.calls[n].colleague.is_none() => {
                let other = a % AGENTS;
                if other != t.agent && !self.consults(t.agent) && !self.consults(other) {
                    self.consult(n, other);
                }
            }
            (Deed::ConsultAnswer, Stage::Talking(t)) => {
                let Some(consult) = t.consult.clone().filter(|c| !c.answered) else { return };
                self.seize(consult.agent, n);
                self.pbx.state(consult.to, State::Up);
                self.pbx.dial_end(Some(consult.own), consult.to, "ANSWER");
                self.close(consult.home, consult.ring, "answered");
                self.pbx.state(consult.own, State::Up);
                self.pbx.connect(consult.to, consult.own);
                let consult = Some(Consult { answered: true, ..consult });
                self.calls[n].stage = Stage::Talking(Talk { consult, ..t });
            }
            (Deed::ConsultRefuse, Stage::Talking(t)) => {
                let Some(consult) = t.consult.clone().filter(|c| !c.answered) else { return };
                self.pbx.asks(consult.to, 17);
                self.pbx.dial_end(Some(consult.own), consult.to, "BUSY");
                self.close(consult.home, consult.ring, "rejected");
                self.pbx.hangup(consult.to, 17);
                self.close(consult.home, consult.piece, "");
                self.pbx.hangup(consult.own, 17);
                self.calls[n].stage = Stage::Talking(Talk { consult: None, ..t });
            }
            (Deed::ConsultEnd, Stage::Talking(t)) if t.consult.is_some() => {
                self.end_consult(n);
            }
            (Deed::HandOver, Stage::Talking(t))
                if t.pipe.is_none() && t.consult.as_ref().is_some_and(|c| c.answered) =>
            {
                self.hand_over(n, t);
            }
            (Deed::Blind(a), Stage::Talking(t)) if self.may_transfer(n, &t) && a % AGENTS != t.agent => {
                let other = a % AGENTS;
                self.transfer(n, &t, &ext(other));
                self.offer(n, other, None, false);
            }
            (Deed::BlindQueue(q), Stage::Talking(t)) if self.may_transfer(n, &t) => {
                let queue = QUEUES[usize::from(q) % 3];
                self.transfer(n, &t, &format!("700{}", q % 3));
                self.enqueue(n, queue);
            }
            (Deed::Park, Stage::Talking(t)) if self.may_transfer(n, &t) => {
                let customer = customer.unwrap();
                self.refer(n, &t, "700");
                // In the switch's words it is a transfer; where the lot was not seen, in ours too.
                self.calls[n].truth.handed.push(("blind", ext(t.agent)));
                let lot = self.pbx.bridge(Room::Parking);
                self.pbx.leave(customer);
                self.pbx.enter(customer, lot, None);
                self.pbx.parked("ParkedCall", customer, None);
                self.dismiss(t.ch);
                let piece = self.open(n, "park", &ext(t.agent));
                self.calls[n].stage = Stage::Parked { piece };
            }
            (Deed::Unpark(a), Stage::Parked { piece }) => {
                let agent = a % AGENTS;
                if self.consults(agent) {
                    return;
                }
                self.seize(agent, n);
                let own = self.make(n, &device(agent), None, State::Ring, &ext(agent), "701");
                self.pbx.run(own, "ParkedCall", "default,701");
                self.pbx.state(own, State::Up);
                let bridge = self.pbx.bridge(Room::Talk);
                let customer = customer.unwrap();
                self.pbx.parked("UnParkedCall", customer, Some(own));
                self.pbx.leave(customer);
                self.close(n, piece, "");
                self.pbx.enter(customer, bridge, None);
                self.pbx.enter(own, bridge, None);
                self.talk(n, agent, own, None);
            }
            (Deed::Room, Stage::Talking(t)) if self.may_transfer(n, &t) => {
                let customer = customer.unwrap();
                self.transfer(n, &t, "8001");
                self.pbx.run(customer, "ConfBridge", "8001");
                let room = self.pbx.bridge(Room::Conference);
                self.pbx.enter(customer, room, None);
                let piece = self.open(n, "conference", "");
                self.calls[n].truth.room = true;
                self.calls[n].stage = Stage::Room { room, members: Vec::new(), piece };
                self.join_room(n, t.agent);
            }
            (Deed::Join(a), Stage::Room { .. }) if !self.in_call(n, a % AGENTS) && !self.consults(a % AGENTS) => {
                self.join_room(n, a % AGENTS);
            }
            (Deed::Leave(i), Stage::Room { room, mut members, piece }) if members.len() > 1 => {
                let (_, ch, talk) = members.remove(usize::from(i) % members.len());
                self.pbx.asks(ch, 16);
                self.pbx.leave(ch);
                self.close(n, talk, "");
                self.pbx.hangup(ch, 16);
                self.calls[n].stage = Stage::Room { room, members, piece };
            }
            _ => {}
        }
    }

    // ------------------------------------------------------------------ queues and rings

    fn enqueue(&mut self, n: usize, queue: &'static str) {
        let customer = self.calls[n].customer.unwrap();
        if !self.pbx.up(customer) {
            self.pbx.state(customer, State::Up);
        }
        // Another queue came next, if only after a phone that nobody answered.
        let pieces = &mut self.calls[n].truth.pieces;
        if let Some(last) = pieces.iter().rposition(|p| p.kind == "queue")
            && pieces[last].outcome == "timeout"
            && !pieces[last..].iter().any(|p| p.kind == "talk")
        {
            pieces[last].outcome = "overflow";
        }
        self.pbx.join(customer, queue);
        let piece = self.open(n, "queue", queue);
        self.calls[n].queued = true;
        self.calls[n].stage = Stage::Waiting { queue, piece };
    }

    fn time_out(&mut self, n: usize, queue: &str, piece: usize, outcome: &'static str) {
        let customer = self.calls[n].customer.unwrap();
        while !self.calls[n].offers.is_empty() {
            self.ring_out(n, 0);
        }
        self.pbx.abandon(customer, queue);
        self.pbx.out_of_queue(customer, queue);
        self.close(n, piece, outcome);
        self.pbx.run(customer, "NoOp", "TIMEOUT");
        self.calls[n].stage = Stage::Open;
    }

    fn offer(&mut self, n: usize, agent: u8, queue: Option<&'static str>, local: bool) {
        let customer = self.calls[n].customer.unwrap();
        let Some(queue) = queue else {
            self.pbx.run(customer, "Dial", &format!("{},20,tT", device(agent)));
            let ch = self.make(n, &device(agent), Some(customer), State::Down, &ext(agent), "s");
            self.pbx.run(ch, "AppDial", "(Outgoing Line)");
            self.pbx.dial_begin(Some(customer), ch, &ext(agent));
            self.pbx.dial_rings(Some(customer), ch);
            let piece = self.rings(n, agent);
            self.calls[n].offers.push(Offer { agent, ch, pipe: None, by: customer, piece });
            return;
        };
        if !local {
            let ch = self.make(n, &device(agent), Some(customer), State::Down, &ext(agent), "s");
            self.pbx.agent_event("AgentCalled", customer, ch, queue, "Priority", 1);
            self.pbx.dial_begin(Some(customer), ch, &device(agent));
            self.pbx.run(ch, "AppQueue", "(Outgoing Line)");
            self.pbx.dial_rings(Some(customer), ch);
            let piece = self.rings(n, agent);
            self.calls[n].offers.push(Offer { agent, ch, pipe: None, by: customer, piece });
            return;
        }
        let name = format!("Local/{}@queue-member-{:08x}", ext(agent), self.pbx.lines.len());
        let one = self.make(n, &format!("{name};1"), Some(customer), State::Down, "", &ext(agent));
        let two = self.make(n, &format!("{name};2"), Some(customer), State::Ring, "", &ext(agent));
        self.pbx.local_bridge(one, two);
        self.pbx.agent_event("AgentCalled", customer, one, queue, "Priority", 1);
        self.pbx.dial_begin(Some(customer), one, &format!("Local/{}@queue-member/n", ext(agent)));
        self.pbx.run(two, "Dial", &device(agent));
        let ch = self.make(n, &device(agent), Some(customer), State::Down, &ext(agent), "s");
        self.pbx.run(ch, "AppDial", "(Outgoing Line)");
        self.pbx.dial_begin(Some(two), ch, &ext(agent));
        self.pbx.dial_rings(Some(two), ch);
        let piece = self.rings(n, agent);
        self.pbx.dial_rings(Some(customer), one);
        self.calls[n].offers.push(Offer { agent, ch, pipe: Some((one, two)), by: two, piece });
    }

    fn busy(&mut self, n: usize, agent: u8, queue: Option<&'static str>) {
        let customer = self.calls[n].customer.unwrap();
        if queue.is_none() {
            self.pbx.run(customer, "Dial", &format!("{},20,tT", device(agent)));
        }
        let ch = self.make(n, &device(agent), Some(customer), State::Down, &ext(agent), "s");
        if let Some(queue) = queue {
            self.pbx.agent_event("AgentCalled", customer, ch, queue, "Priority", 1);
        }
        self.pbx.dial_begin(Some(customer), ch, &device(agent));
        let piece = self.open(n, "ring", &ext(agent));
        let now = self.pbx.now();
        self.calls[n].first_ring.get_or_insert(now);
        self.pbx.asks(ch, 17);
        self.pbx.dial_end(Some(customer), ch, if queue.is_some() { "NOANSWER" } else { "BUSY" });
        if let Some(queue) = queue {
            self.pbx.agent_event("AgentRingNoAnswer", customer, ch, queue, "RingTime", 0);
        }
        self.pbx.hangup(ch, 17);
        self.close(n, piece, "busy");
        self.calls[n].truth.outcome = if self.calls[n].truth.outcome == "answered" { "answered" } else { "busy" };
    }

    /// A Local's halves after their phone.
    fn drop_pipe(&mut self, pipe: Option<(Ch, Ch)>) {
        if let Some((one, two)) = pipe {
            self.pbx.hangup(one, 0);
            self.pbx.hangup(two, 0);
        }
    }

    fn ring_out(&mut self, n: usize, i: usize) {
        let offer = self.calls[n].offers.remove(i);
        let customer = self.calls[n].customer.unwrap();
        let outer = offer.pipe.map_or(offer.ch, |(one, _)| one);
        if let Stage::Waiting { queue, .. } = self.calls[n].stage {
            // The event before the dial's end, and that twice.
            self.pbx.agent_event("AgentRingNoAnswer", customer, outer, queue, "RingTime", 8_000);
            self.pbx.dial_end(Some(customer), outer, "NOANSWER");
            if offer.pipe.is_some() {
                self.pbx.dial_end(Some(offer.by), offer.ch, "CANCEL");
            }
            self.pbx.dial_end(Some(customer), outer, "CANCEL");
        } else {
            self.pbx.dial_end(Some(customer), outer, "NOANSWER");
        }
        self.pbx.hangup(offer.ch, 0);
        self.drop_pipe(offer.pipe);
        self.close(n, offer.piece, "no-answer");
        if self.calls[n].truth.outcome != "answered" {
            self.calls[n].truth.outcome = "unanswered";
        }
    }

    fn refuse(&mut self, n: usize, i: usize) {
        let offer = self.calls[n].offers.remove(i);
        let customer = self.calls[n].customer.unwrap();
        self.pbx.asks(offer.ch, 17);
        match self.calls[n].stage {
            Stage::Waiting { queue, .. } => {
                let outer = offer.pipe.map_or(offer.ch, |(one, _)| one);
                if offer.pipe.is_some() {
                    self.pbx.dial_end(Some(offer.by), offer.ch, "BUSY");
                }
                self.pbx.dial_end(Some(customer), outer, "NOANSWER");
                self.pbx.agent_event("AgentRingNoAnswer", customer, outer, queue, "RingTime", 0);
            }
            _ => self.pbx.dial_end(Some(offer.by), offer.ch, "BUSY"),
        }
        self.pbx.hangup(offer.ch, 17);
        self.drop_pipe(offer.pipe);
        self.close(n, offer.piece, "rejected");
        if self.calls[n].truth.outcome != "answered" && self.calls[n].offers.is_empty() {
            self.calls[n].truth.outcome = "rejected";
        }
    }

    /// Who rings is let go: somebody else answered (`elsewhere`), or nobody is there any more (`cancelled`).
    fn drop_offers(&mut self, n: usize, elsewhere: bool) {
        let customer = self.calls[n].customer.unwrap();
        let queued = matches!(self.calls[n].stage, Stage::Waiting { .. });
        for offer in std::mem::take(&mut self.calls[n].offers) {
            let outer = offer.pipe.map_or(offer.ch, |(one, _)| one);
            if !elsewhere || self.pbx.toss() {
                for _ in 0..if queued && !elsewhere { 2 } else { 1 } {
                    self.pbx.dial_end(Some(customer), outer, "CANCEL");
                }
                if offer.pipe.is_some() {
                    self.pbx.dial_end(Some(offer.by), offer.ch, "CANCEL");
                }
            }
            // Direct calls end with another cause than a queue's (trace i2).
            self.pbx.hangup(
                offer.ch,
                if elsewhere {
                    26
                } else if queued {
                    0
                } else {
                    127
                },
            );
            self.drop_pipe(offer.pipe);
            self.close(n, offer.piece, if elsewhere { "elsewhere" } else { "cancelled" });
        }
    }

    /// A ringing phone answers, or a colleague picks the call up.
    fn answer(&mut self, n: usize, i: usize, picker: Option<u8>) {
        let offer = self.calls[n].offers.remove(i);
        let customer = self.calls[n].customer.unwrap();
        let queue = match self.calls[n].stage {
            Stage::Waiting { queue, piece } => Some((queue, piece)),
            _ => None,
        };
        let agent = picker.unwrap_or(offer.agent);
        self.seize(agent, n);
        let rang = self.calls[n].truth.pieces[offer.piece].from;
        let ch = match picker {
            None => {
                self.pbx.state(offer.ch, State::Up);
                self.close(n, offer.piece, "answered");
                self.pbx.dial_end(Some(offer.by), offer.ch, "ANSWER");
                offer.ch
            }
            Some(_) => {
                let own = self.make(n, &device(agent), None, State::Ring, &ext(agent), "*8");
                self.pbx.run(own, "Pickup", "");
                self.pbx.state(own, State::Up);
                // Answer() costs half a second.
                let later = self.pbx.now() + 500;
                self.pbx.at(later);
                self.pbx.run(own, "AppDial", "(Outgoing Line)");
                self.pbx.pickup(own, offer.ch);
                self.pbx.soft(offer.ch);
                let first = self.pbx.toss();
                if first {
                    self.pbx.hangup(offer.ch, 26);
                }
                self.close(n, offer.piece, "elsewhere");
                self.pbx.dial_end(Some(offer.by), own, "ANSWER");
                if !first {
                    self.pbx.hangup(offer.ch, 26);
                }
                own
            }
        };
        // A pickup counts from the first ring of those that rang for it.
        let first = self.calls[n].offers.iter().map(|o| self.calls[n].truth.pieces[o.piece].from).min();
        let rang = if picker.is_some() { first.map_or(rang, |f| f.min(rang)) } else { rang };
        self.answered(n, agent, rang, false);
        if let Some((one, two)) = offer.pipe {
            self.pbx.state(one, State::Up);
            self.pbx.dial_end(Some(customer), one, "ANSWER");
            self.pbx.state(two, State::Up);
        }
        self.drop_offers(n, true);
        if !self.pbx.up(customer) {
            self.pbx.state(customer, State::Up);
        }
        let connect = |world: &mut World| {
            if let Some((queue, piece)) = queue {
                let outer = offer.pipe.map_or(ch, |(one, _)| one);
                world.pbx.out_of_queue(customer, queue);
                world.close(n, piece, "answered");
                world.pbx.agent_event("AgentConnect", customer, outer, queue, "HoldTime", 3);
            }
        };
        match offer.pipe {
            Some((one, two)) => {
                let inner = self.pbx.bridge(Room::Talk);
                self.pbx.enter(ch, inner, None);
                connect(self);
                self.pbx.enter(two, inner, None);
                self.pbx.connect(one, customer);
            }
            None => {
                connect(self);
                self.pbx.connect(ch, customer);
            }
        }
        self.talk(n, agent, ch, offer.pipe);
    }

    // ------------------------------------------------------------------ transfers

    fn may_transfer(&self, n: usize, talk: &Talk) -> bool {
        talk.pipe.is_none() && talk.consult.is_none() && self.calls[n].colleague.is_none()
    }

    /// The phone's REFER is accepted.
    fn refer(&mut self, n: usize, talk: &Talk, to: &str) {
        let customer = self.calls[n].customer.unwrap();
        // Without a Hold, too.
        self.pbx.unhold(talk.ch);
        self.close(n, talk.piece, "");
        let (application, data) = {
            let c = &self.pbx.channels[customer];
            (c.application.clone(), c.data.clone())
        };
        if application == "Queue" {
            // ARI tells the old queue once more (trace d).
            self.pbx.goto(customer, to);
            self.pbx.run(customer, &application, &data);
        }
        self.pbx.blind_transfer(talk.ch, customer, to);
        self.pbx.goto(customer, to);
    }

    fn transfer(&mut self, n: usize, talk: &Talk, to: &str) {
        let customer = self.calls[n].customer.unwrap();
        self.refer(n, talk, to);
        let truth = &mut self.calls[n].truth;
        truth.transfers.push(("blind", ext(talk.agent), to.to_owned()));
        truth.handed.push(("blind", ext(talk.agent)));
        self.calls[n].pending = Some(self.calls[n].truth.transfers.len() - 1);
        let (first, second) = if self.pbx.toss() { (customer, talk.ch) } else { (talk.ch, customer) };
        self.pbx.leave(first);
        self.pbx.leave(second);
        self.dismiss(talk.ch);
        self.calls[n].stage = Stage::Open;
    }

    fn consult(&mut self, n: usize, other: u8) {
        if matches!(&self.calls[n].stage, Stage::Talking(t) if !t.held) {
            self.hold(n);
        }
        let Stage::Talking(talk) = self.calls[n].stage.clone() else { return };
        let held = |c: &Call| match &c.stage {
            Stage::Talking(t) if t.held && t.agent == talk.agent && c.colleague.is_none() => Some(t.since),
            _ => None,
        };
        let home = (0..self.calls.len()).max_by_key(|m| held(&self.calls[*m]).unwrap_or(-1)).unwrap_or(n);
        let own = self.make(n, &device(talk.agent), None, State::Ring, &ext(talk.agent), &ext(other));
        self.pbx.run(own, "Dial", &device(other));
        let to = self.make(n, &device(other), Some(own), State::Down, &ext(other), "s");
        self.pbx.run(to, "AppDial", "(Outgoing Line)");
        self.pbx.dial_begin(Some(own), to, &ext(other));
        let piece = self.open(home, "consult", &ext(talk.agent));
        self.pbx.dial_rings(Some(own), to);
        let ring = self.open(home, "ring", &ext(other));
        let consult = Some(Consult { agent: other, own, to, answered: false, ring, piece, home });
        self.calls[n].stage = Stage::Talking(Talk { consult, ..talk });
    }

    /// The agent or the colleague ends the consultation; the customer waits on.
    fn end_consult(&mut self, n: usize) {
        let Stage::Talking(talk) = self.calls[n].stage.clone() else { return };
        let Some(consult) = talk.consult.clone() else { return };
        if consult.answered {
            let asker = if self.pbx.toss() { consult.own } else { consult.to };
            self.pbx.asks(asker, 16);
            self.pbx.leave(consult.own);
            self.pbx.leave(consult.to);
        } else {
            self.pbx.asks(consult.own, 127);
            self.pbx.dial_end(Some(consult.own), consult.to, "CANCEL");
            self.close(consult.home, consult.ring, "cancelled");
        }
        self.close(consult.home, consult.piece, "");
        self.pbx.hangup(consult.to, 16);
        self.pbx.hangup(consult.own, 16);
        self.calls[n].stage = Stage::Talking(Talk { consult: None, ..talk });
    }

    fn hand_over(&mut self, n: usize, talk: Talk) {
        let Some(consult) = talk.consult.clone() else { return };
        let customer = self.calls[n].customer.unwrap();
        let (Some(first), Some(second)) = (self.pbx.place(customer), self.pbx.place(consult.to)) else { return };
        self.pbx.unhold(talk.ch);
        self.pbx.unhold(consult.own);
        self.close(n, talk.piece, "");
        self.close(consult.home, consult.piece, "");
        if consult.home != n {
            // Now it is known whom it was about.
            for piece in [consult.ring, consult.piece] {
                let moved = self.calls[consult.home].truth.pieces[piece].clone();
                self.calls[consult.home].truth.pieces[piece].kind = "moved";
                self.calls[n].truth.pieces.push(moved);
            }
        }
        // Either party may be the one that moves.
        let end = if self.pbx.toss() {
            self.pbx.leave(consult.to);
            self.pbx.leave(talk.ch);
            self.pbx.enter(consult.to, first, Some(talk.ch));
            first
        } else {
            self.pbx.leave(customer);
            self.pbx.leave(consult.own);
            self.pbx.enter(customer, second, Some(consult.own));
            second
        };
        self.pbx.soft(consult.own);
        self.pbx.attended_transfer(talk.ch, consult.own, customer, consult.to, end);
        self.calls[n].truth.transfers.push(("attended", ext(talk.agent), ext(consult.agent)));
        self.calls[n].truth.handed.push(("attended", ext(talk.agent)));
        self.talk(n, consult.agent, consult.to, None);
        self.pbx.leave(consult.own);
        self.pbx.hangup(consult.own, 16);
        self.dismiss(talk.ch);
    }

    fn join_room(&mut self, n: usize, agent: u8) {
        let Stage::Room { room, mut members, piece } = self.calls[n].stage.clone() else { return };
        self.seize(agent, n);
        let own = self.make(n, &device(agent), None, State::Ring, &ext(agent), "8001");
        self.pbx.run(own, "Answer", "");
        self.pbx.state(own, State::Up);
        self.pbx.run(own, "ConfBridge", "8001");
        self.pbx.enter(own, room, None);
        self.answered(n, agent, 0, true);
        let talk = self.open(n, "conference", &ext(agent));
        members.push((agent, own, talk));
        self.calls[n].stage = Stage::Room { room, members, piece };
    }

    // ------------------------------------------------------------------ ends

    fn end(&mut self, n: usize, stage: Stage, by: &'static str) {
        let customer = self.calls[n].customer;
        let about = |c: &Call| matches!(&c.stage, Stage::Talking(t) if t.consult.as_ref().is_some_and(|x| x.home == n));
        while let Some(other) = (0..self.calls.len()).find(|m| *m != n && about(&self.calls[*m])) {
            self.end_consult(other);
        }
        match stage {
            Stage::Over => {}
            Stage::Originating { .. } => self.act(n, Deed::RingOut(0)),
            Stage::Calling { own, rings, piece, .. } => {
                let far = customer.unwrap();
                self.pbx.asks(own, 127);
                self.pbx.dial_end(Some(own), far, "CANCEL");
                self.close(n, piece, "cancelled");
                self.pbx.hangup(far, 0);
                self.pbx.hangup(own, 127);
                self.calls[n].truth.outcome = "cancelled";
                if !rings {
                    self.calls[n].last_ring = None;
                }
                self.over(n, "agent");
            }
            Stage::Talking(_) => {
                if matches!(&self.calls[n].stage, Stage::Talking(t) if t.consult.is_some()) {
                    self.end_consult(n);
                }
                let Stage::Talking(talk) = self.calls[n].stage.clone() else { return };
                let far = customer.unwrap();
                match by {
                    "customer" => self.pbx.asks(far, 16),
                    "agent" => self.pbx.asks(talk.ch, 16),
                    _ => self.pbx.soft(talk.ch),
                }
                let now_by = match (by, self.calls[n].colleague) {
                    ("customer", Some(_)) => "agent",
                    ("switch", _) => "application",
                    _ => by,
                };
                self.close(n, talk.piece, "");
                let (first, second) = if self.pbx.toss() { (far, talk.ch) } else { (talk.ch, far) };
                self.pbx.leave(first);
                if let Some((one, two)) = talk.pipe {
                    self.pbx.leave(one);
                    self.pbx.hangup(one, 16);
                    self.pbx.leave(two);
                    self.pbx.hangup(two, 16);
                }
                self.pbx.leave(second);
                self.pbx.soft(second);
                self.pbx.hangup(first, 16);
                self.pbx.hangup(second, 16);
                self.over(n, now_by);
            }
            Stage::Room { members, .. } => {
                let far = customer.unwrap();
                if by == "customer" {
                    self.pbx.asks(far, 16);
                }
                self.pbx.leave(far);
                self.pbx.hangup(far, 16);
                for (_, ch, _) in members {
                    self.pbx.leave(ch);
                    self.pbx.soft(ch);
                    self.pbx.hangup(ch, 16);
                }
                self.over(n, if by == "customer" { "customer" } else { "application" });
            }
            Stage::Open | Stage::Waiting { .. } | Stage::Parked { .. } => {
                let far = customer.unwrap();
                let gone = by == "customer";
                let busy = self.calls[n].truth.outcome;
                let rang = self.calls[n].first_ring.is_some();
                match gone {
                    true => self.pbx.asks(far, 16),
                    false => self.pbx.soft(far),
                }
                let ringing = !self.calls[n].offers.is_empty();
                self.drop_offers(n, false);
                if let Stage::Waiting { queue, piece } = stage {
                    self.pbx.abandon(far, queue);
                    self.pbx.out_of_queue(far, queue);
                    self.close(n, piece, if gone { "abandoned" } else { "timeout" });
                }
                let up = self.pbx.up(far);
                self.pbx.hangup(far, 16);
                let call = &mut self.calls[n];
                let answered = call.truth.outcome == "answered";
                let refused = !call.queued && !ringing && matches!(busy, "busy" | "rejected");
                call.truth.outcome = match () {
                    () if answered => "answered",
                    () if (call.queued || rang) && gone => "abandoned",
                    () if refused => busy,
                    () if call.queued || rang => "unanswered",
                    () if up => "self-service",
                    () => "failed",
                };
                let by = match (answered, gone, refused) {
                    (_, true, _) => "customer",
                    (true, false, _) => "application",
                    (false, false, true) => "agent",
                    (false, false, false) => "switch",
                };
                self.over(n, by);
            }
        }
    }
}
