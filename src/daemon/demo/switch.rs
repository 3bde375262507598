//! The simulated Asterisk: calls that follow stories, sessions that speak AMI, faults that can be dropped in.
//!
//! Still: it is told the time, thrown its dice by a seed and handed bytes. One door takes (`connected`, `received`, `closed`,
//! `play` and the faults), the other is drained: [`Switch::poll`] gives what to send and when to come back. `live.rs` holds the
//! sockets. What happens on a line is in `acts.rs`, what is answered to actions in `answers.rs`.
//!
//! What it leaves out: CDR events (off in Asterisk's default), recordings, DTMF, ARI.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use crate::words::{Mono, Now, Wall};

use super::{
    dice::Dice,
    events::{Channel, Framer, Message, State},
    story::{Step, Story, Truth, script},
};

/// A person at a phone.
#[derive(Clone, Debug)]
pub struct Seat {
    /// `1001`: the extension, the endpoint `PJSIP/1001` and the agent's id are the same.
    pub extension: String,
    pub name: String,
}

/// How the simulated switch is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    pub seats: Vec<Seat>,
    pub user: String,
    pub secret: String,
    pub queue: String,
    /// Dialled for the queue.
    pub queue_did: String,
    /// Dialled for the n-th seat's own line; a seat without one is reached through the first.
    pub direct_dids: Vec<String>,
    /// What the far end sees of outbound calls.
    pub presented: String,
    /// All times of a story are multiplied with this; 1.0 is life.
    pub pace: f64,
}

impl Default for Settings {
    fn default() -> Self {
        let seat = |extension: &str, name: &str| Seat { extension: extension.into(), name: name.into() };
        Settings {
            seats: vec![seat("1001", "Agent Li"), seat("1002", "Agent Wang"), seat("1003", "Agent Zhang")],
            user: "linecard".into(),
            secret: "demo".into(),
            queue: "support".into(),
            queue_did: "4008001234".into(),
            direct_dids: vec!["02161234567".into(), "02161234569".into(), "02161234570".into()],
            presented: "02161234500".into(),
            pace: 1.0,
        }
    }
}

/// A link that a client made to us.
pub type SessionId = u64;

/// What the world has to do now.
#[derive(Debug)]
pub enum Output {
    Send { session: SessionId, bytes: Bytes },
    Close { session: SessionId },
}

pub(super) struct Session {
    pub framer: Framer,
    pub logged_in: bool,
    /// Classes of events it wants; `None`: all.
    pub mask: Option<BTreeSet<String>>,
    pub filters: Vec<super::answers::Filter>,
}

/// A call while it is up.
pub(super) struct Call {
    pub truth: usize,
    /// In the order of their making; a leg that hung up is `None`.
    pub legs: Vec<Option<Channel>>,
    pub customer: Option<usize>,
    /// The leg of the agent who rings or talks.
    pub agent: Option<usize>,
    /// A consultation: the agent's own second leg, and the colleague's.
    pub consult: Option<(usize, usize)>,
    pub bridge: Option<String>,
    pub consult_bridge: Option<String>,
    /// Seats it keeps busy: index into the settings.
    pub seats: Vec<usize>,
    /// The queue's own call (Queue app is running with it).
    pub queued: bool,
    pub waiting_since: Option<Wall>,
    pub ringing_since: Option<Wall>,
    pub talking_since: Option<Wall>,
    pub script: VecDeque<(u64, Step)>,
    pub originate: Option<Originate>,
}

/// What a click-to-dial asked for.
pub(super) struct Originate {
    pub action_id: Option<String>,
    pub context: String,
    pub number: String,
    pub caller_number: String,
    pub caller_name: String,
    pub variables: Vec<String>,
}

/// The simulated switch.
pub struct Switch {
    pub(super) settings: Settings,
    pub(super) dice: Dice,
    pub(super) started: Wall,
    /// Of Uniqueid; from 0 again after a restart.
    counter: u64,
    /// Of channel names; from 0 again after a restart.
    channels: u32,
    bridges: u64,
    /// The last event's time; events are at least a microsecond apart.
    micros: i64,
    pub(super) calls: BTreeMap<u64, Call>,
    next_call: u64,
    agenda: BTreeSet<(Mono, u64)>,
    pub(super) sessions: BTreeMap<SessionId, Session>,
    out: VecDeque<(Mono, Output)>,
    double: bool,
    delay_ms: u64,
    pub(super) truths: Vec<Truth>,
}

impl Switch {
    #[must_use]
    pub fn new(settings: Settings, seed: u64, now: Now) -> Switch {
        Switch {
            settings,
            dice: Dice::new(seed),
            started: now.wall,
            counter: 0,
            channels: 0,
            bridges: 0,
            micros: 0,
            calls: BTreeMap::new(),
            next_call: 0,
            agenda: BTreeSet::new(),
            sessions: BTreeMap::new(),
            out: VecDeque::new(),
            double: false,
            delay_ms: 0,
            truths: Vec::new(),
        }
    }

    /// Starts a story with this customer's number (empty: withheld). Answers the call's linkedid, or `None` when not enough agents
    /// are free for it. `first` asks for this seat to be the story's first agent.
    pub fn play(&mut self, story: Story, customer: &str, first: Option<usize>, now: Now) -> Option<String> {
        let mut free = self.free_seats();
        // Any rotation of the free seats is fair and keeps the order of a linear queue recognisable.
        let turn = usize::try_from(self.dice.between(0, 1_000)).unwrap_or(0);
        if !free.is_empty() {
            let turn = turn % free.len();
            free.rotate_left(turn);
        }
        if let Some(first) = first {
            let at = free.iter().position(|seat| *seat == first)?;
            free.swap(0, at);
        }
        if free.len() < story.agents() {
            return None;
        }
        free.truncate(story.agents());
        let steps = script(story, &mut self.dice);
        let dialled = if story.outbound() {
            customer.to_owned()
        } else if matches!(story, Story::Direct | Story::DirectMissed) {
            let seat = *free.first()?;
            self.settings.direct_dids.get(seat)?.clone()
        } else {
            self.settings.queue_did.clone()
        };
        let queue = (!story.outbound() && dialled == self.settings.queue_did).then(|| self.settings.queue.clone());
        let direction = if story.outbound() { "outbound" } else { "inbound" };
        let truth = self.new_truth(Some(story), direction, customer, dialled, queue, now);
        let id = self.admit(truth, free, steps, None, now);
        self.perform_due(now);
        self.truths.get(truth).map(|t| t.linkedid.clone()).filter(|_| id > 0)
    }

    /// A client came; it is greeted.
    pub fn connected(&mut self, session: SessionId, now: Now) {
        self.sessions
            .insert(session, Session { framer: Framer::default(), logged_in: false, mask: None, filters: Vec::new() });
        self.send(session, Bytes::from_static(b"Asterisk Call Manager/11.0.0\r\n"), now);
    }

    /// A client said something.
    pub fn received(&mut self, session: SessionId, bytes: &[u8], now: Now) {
        let Some(actions) = self.sessions.get_mut(&session).map(|s| s.framer.take(bytes)) else { return };
        let Some(actions) = actions else {
            self.close(session, now);
            return;
        };
        for action in actions {
            self.answer(session, &action, now);
        }
        self.perform_due(now);
    }

    /// A client is gone.
    pub fn closed(&mut self, session: SessionId) {
        self.sessions.remove(&session);
    }

    /// What is to be done now, and when to ask again (absent: when something comes).
    pub fn poll(&mut self, now: Now) -> (Vec<Output>, Option<Mono>) {
        self.perform_due(now);
        let mut due = Vec::new();
        while self.out.front().is_some_and(|(at, _)| *at <= now.mono) {
            due.extend(self.out.pop_front().map(|(_, output)| output));
        }
        let next = self.agenda.first().map(|(at, _)| *at);
        let next_out = self.out.front().map(|(at, _)| *at);
        (due, next.into_iter().chain(next_out).min())
    }

    /// Fault: all links are cut, the calls go on.
    pub fn cut(&mut self, now: Now) {
        for session in self.sessions.keys().copied().collect::<Vec<_>>() {
            self.close(session, now);
        }
    }

    /// Fault: the switch restarts as with `core restart now`. No Hangup reaches anyone; all calls are gone; ids count from 0.
    pub fn restart(&mut self, now: Now) {
        self.out.clear();
        for session in std::mem::take(&mut self.sessions).into_keys() {
            self.out.push_back((now.mono, Output::Close { session }));
        }
        self.agenda.clear();
        for call in std::mem::take(&mut self.calls).into_values() {
            if let Some(truth) = self.truths.get_mut(call.truth) {
                truth.cut = true;
                truth.ended = Some(now.wall);
                truth.outcome.get_or_insert("cut");
            }
        }
        self.counter = 0;
        self.channels = 0;
        self.started = now.wall;
    }

    /// Fault: every event comes twice.
    pub fn double(&mut self, on: bool) {
        self.double = on;
    }

    /// Fault: everything the switch says comes this much later.
    pub fn delay(&mut self, ms: u64) {
        self.delay_ms = ms;
    }

    /// What really happened, call by call, in the order of their start.
    #[must_use]
    pub fn ledger(&self) -> &[Truth] {
        &self.truths
    }

    /// Calls that are up.
    #[must_use]
    pub fn up(&self) -> usize {
        self.calls.len()
    }

    /// Clients that are logged in.
    #[must_use]
    pub fn logged_in(&self) -> usize {
        self.sessions.values().filter(|s| s.logged_in).count()
    }

    /// Seats that no call keeps busy.
    #[must_use]
    pub fn free_seats(&self) -> Vec<usize> {
        let busy: BTreeSet<usize> = self.calls.values().flat_map(|c| c.seats.iter().copied()).collect();
        (0..self.settings.seats.len()).filter(|seat| !busy.contains(seat)).collect()
    }

    pub(super) fn new_truth(
        &mut self,
        story: Option<Story>,
        direction: &'static str,
        customer: &str,
        dialled: String,
        queue: Option<String>,
        now: Now,
    ) -> usize {
        self.truths.push(Truth {
            linkedid: String::new(),
            uniqueids: Vec::new(),
            story,
            direction,
            customer: customer.to_owned(),
            dialled,
            queue,
            agents: Vec::new(),
            outcome: None,
            started: now.wall,
            answered: None,
            ended: None,
            cut: false,
            shown: None,
            missed: false,
            end_shown: false,
        });
        self.truths.len() - 1
    }

    pub(super) fn admit(
        &mut self,
        truth: usize,
        seats: Vec<usize>,
        steps: Vec<(u64, Step)>,
        originate: Option<Originate>,
        now: Now,
    ) -> u64 {
        self.next_call += 1;
        let id = self.next_call;
        let call = Call {
            truth,
            legs: Vec::new(),
            customer: None,
            agent: None,
            consult: None,
            bridge: None,
            consult_bridge: None,
            seats,
            queued: false,
            waiting_since: None,
            ringing_since: None,
            talking_since: None,
            script: steps.into(),
            originate,
        };
        let wait = call.script.front().map_or(0, |(ms, _)| *ms);
        self.calls.insert(id, call);
        self.schedule(id, wait, now.mono);
        id
    }

    /// The call's next step, `ms` of story time after `from`.
    fn schedule(&mut self, call: u64, ms: u64, from: Mono) {
        let ms = std::time::Duration::from_millis(ms).mul_f64(self.settings.pace.max(0.0));
        let at = Mono(from.0.saturating_add(u64::try_from(ms.as_micros()).unwrap_or(u64::MAX)));
        self.agenda.insert((at, call));
    }

    fn perform_due(&mut self, now: Now) {
        while let Some(&(at, id)) = self.agenda.first() {
            if at > now.mono {
                return;
            }
            self.agenda.remove(&(at, id));
            let Some(mut call) = self.calls.remove(&id) else { continue };
            let Some((_, step)) = call.script.pop_front() else { continue };
            self.perform(&mut call, step, now);
            match call.script.front().map(|(ms, _)| *ms) {
                Some(ms) => {
                    self.calls.insert(id, call);
                    self.schedule(id, ms, at);
                }
                None => self.over(&call, now),
            }
        }
    }

    /// A client asked for a channel to be hung up: the call ends at once.
    pub(super) fn hang_up_channel(&mut self, name: &str, now: Now) -> bool {
        let has = |call: &Call| call.legs.iter().flatten().any(|leg| leg.name == name);
        let Some(id) = self.calls.iter().find(|(_, call)| has(call)).map(|(id, _)| *id) else { return false };
        let Some(call) = self.calls.get_mut(&id) else { return false };
        let step = if call.bridge.is_some() { Step::AgentHangsUp } else { Step::GiveUp };
        call.script = VecDeque::from([(0, step)]);
        self.agenda.retain(|(_, call)| *call != id);
        self.schedule(id, 0, now.mono);
        true
    }

    fn over(&mut self, call: &Call, now: Now) {
        let watched = self.sessions.values().any(|s| s.logged_in);
        if let Some(truth) = self.truths.get_mut(call.truth) {
            truth.ended = Some(now.wall);
            truth.end_shown = watched && truth.shown.is_some();
        }
    }

    /// Makes a channel of `device` (`PJSIP/1001`), with the next uniqueid or one that was asked for. Without a linkedid it starts its own.
    pub(super) fn make(
        &mut self,
        device: &str,
        wanted: Option<&str>,
        linkedid: Option<&str>,
        truth: usize,
        now: Now,
    ) -> Channel {
        let seconds = now.wall.0.div_euclid(1000);
        let uniqueid = match wanted {
            Some(id) => id.to_owned(),
            None => format!("{seconds}.{}", self.counter),
        };
        self.counter += u64::from(wanted.is_none());
        let name = format!("{device}-{:08x}", self.channels);
        self.channels += 1;
        if let Some(truth) = self.truths.get_mut(truth) {
            if truth.uniqueids.is_empty() {
                truth.linkedid.clone_from(&uniqueid);
            }
            truth.uniqueids.push(uniqueid.clone());
        }
        Channel {
            name,
            state: State::Down,
            number: String::new(),
            display: String::new(),
            connected: String::new(),
            connected_display: String::new(),
            context: "agents".into(),
            exten: "s".into(),
            priority: 1,
            linkedid: linkedid.unwrap_or(&uniqueid).to_owned(),
            uniqueid,
            application: String::new(),
            data: String::new(),
            bridge: None,
            created: now.wall,
        }
    }

    /// An id in the form of Asterisk's bridges.
    pub(super) fn bridge_id(&mut self) -> String {
        self.bridges += 1;
        let (a, b) = (self.dice.throw(), self.dice.throw());
        format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xffff,
            a & 0xfff,
            b >> 52,
            b & 0xffff_ffff_ffff
        )
    }

    pub(super) fn event(&mut self, name: &str, class: &'static str, now: Now) -> Message {
        self.micros = (self.micros + 7).max(now.wall.0.saturating_mul(1000));
        Message::event(name, class, self.micros)
    }

    /// Tells every client whose mask and filters let it through.
    pub(super) fn say(&mut self, call: Option<usize>, message: Message, now: Now) {
        let wanted: Vec<SessionId> =
            self.sessions.iter().filter(|(_, s)| s.wants(&message)).map(|(id, _)| *id).collect();
        if wanted.is_empty() {
            if self.logged_in() == 0
                && let Some(truth) = call.and_then(|call| self.truths.get_mut(call))
            {
                truth.missed |= truth.shown.is_some();
            }
            return;
        }
        if let Some(truth) = call.and_then(|call| self.truths.get_mut(call)) {
            truth.shown.get_or_insert(now.wall);
        }
        let bytes = message.finish();
        for session in wanted {
            self.send(session, bytes.clone(), now);
            if self.double {
                self.send(session, bytes.clone(), now);
            }
        }
    }

    pub(super) fn send(&mut self, session: SessionId, bytes: Bytes, now: Now) {
        let at = self.out_at(now);
        self.out.push_back((at, Output::Send { session, bytes }));
    }

    pub(super) fn close(&mut self, session: SessionId, now: Now) {
        self.sessions.remove(&session);
        let at = self.out_at(now);
        self.out.push_back((at, Output::Close { session }));
    }

    /// What is said later never overtakes what was said before, also when the delay was just taken away.
    fn out_at(&self, now: Now) -> Mono {
        now.mono.plus_ms(self.delay_ms).max(self.out.back().map_or(Mono(0), |(at, _)| *at))
    }
}
