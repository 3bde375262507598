//! Who has which call on which screen.
//!
//! The roster owns every agent's stream. It hears what the book concluded, what is known of customers, what links do and what
//! screens say; it is drained for frames to deliver and for things to ask of others. It is still: it knows no socket, no
//! clock and no database. A `done` leaves only when whoever makes things durable has said so.
//!
//! What an agent sees hangs on (tenant, agent) alone, both from the token: nothing that a client says names another agent.

mod board;
mod callbacks;
mod facts;
mod flows;
mod frames;
mod mask;
mod people;
mod queues;
mod recordings;
mod requests;
mod seat;
mod state;
mod stream;
mod team;
mod tickets;
mod times;
mod verbs;
mod views;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use serde_json::value::RawValue;

use crate::{
    access::Who,
    calls::{
        self, Change, Directory, Face, What,
        ability::Abilities,
        change::{Offer, Role, Withdrawal},
        command::{Failure, RequestId},
    },
    customers::{Answer, Candidate, Card, Choice},
    private::Private,
    recordings::{Asker, Offered},
    records,
    words::{AgentId, CallId, Mono, Now, SwitchId, TenantId, Wall},
};

pub use facts::DayOf;
pub use people::{Obstacle, People, Person, Phone, PhoneAt, PhoneHow, PhoneState, QueueNow, QueuePlace, Stranger};
pub use state::{Available, Kept};
pub use tickets::FoundTicket;
pub use times::Lasted;
pub use verbs::{About, Deeds, Errand};
pub use views::View;

use super::{
    Deliver, Heard, Limits, ScreenId, States, Told,
    protocol::{ByHand, CalledBefore, Colleague, LinkKind, PopWithdrawn, Resume, Resumed, SeatClaim},
    settings::Opens,
    wire,
};
use stream::{OnScreen, Stage, Stream, Work};

/// Names one question of the roster to somebody else; the answer brings it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u64);

/// What comes out when the roster is drained.
#[derive(Clone, Debug)]
pub enum Output {
    Deliver(Deliver),
    /// One screen too many of one agent: it is closed, and its `Detached` follows.
    Close(ScreenId),
    Ask(Ask),
}

/// What the roster wants of other rooms; joined in `daemon/wiring.rs`.
#[derive(Clone, Debug)]
pub enum Ask {
    /// Make it durable, then say [`Roster::committed`].
    Record(records::Command, Token),
    /// Then [`Roster::dialled`], or the book's `Launched`.
    Dial(calls::command::Dial),
    /// Then [`Roster::acted`].
    Act(Errand),
    /// Then [`Roster::attended`].
    Attend(calls::command::Attendance),
    /// An agent's state, apart from calls, for the next start. With a token: then [`Roster::committed`].
    Keep { key: (TenantId, AgentId), kept: Kept, token: Option<Token> },
    /// Something was done by hand in another system: then [`Roster::committed`].
    ByHand { key: (TenantId, AgentId), call: CallId, kind: ByHand, count: u32, token: Token },
    /// What is true of these tenants' calls: then [`Roster::board`].
    Board(Vec<TenantId>),
    /// How long agents were in which states.
    Lasted(Vec<Lasted>),
    /// An agent was not ready for longer than the reason allows.
    Overran { key: (TenantId, AgentId) },
    /// A verb was answered: for the audit.
    Audit(Deeds),
    /// The card of this call shall be this customer's. No answer: a new card comes.
    Choose { tenant: TenantId, call: CallId, choice: Choice },
    /// A seat for this agent, or (`None`) none any more: then [`Roster::committed`], when it is durable, or [`Roster::no_seat`].
    Seat { tenant: TenantId, agent: AgentId, claim: Option<SeatClaim>, token: Token },
    /// Then [`Roster::found`].
    Search { tenant: TenantId, call: Option<CallId>, query: Private<String>, token: Token },
    /// Then [`Roster::tickets_found`]. With customers only theirs.
    Tickets { tenant: TenantId, query: Private<String>, customers: Option<Vec<Arc<Candidate>>>, token: Token },
    /// Then [`Roster::linked`].
    Recording { asker: Asker, call: CallId, recording: usize, token: Token },
    /// A customer was shown to somebody: for the audit.
    Viewed(View),
    /// Then [`Roster::callbacks`].
    Callbacks { key: (TenantId, AgentId), screen: ScreenId, id: String, most: usize },
    /// Then [`Roster::flow_begun`] and [`Roster::committed`], or [`Roster::no_flow`].
    Flow(Box<FlowAsk>, Token),
    /// Then [`Roster::flows_listed`].
    Flows { key: (TenantId, AgentId), screen: ScreenId, id: String },
    /// Then [`Roster::committed`], or [`Roster::no_callback`].
    Callback { key: (TenantId, AgentId), id: CallId, wish: records::callbacks::Wish, token: Token },
}

/// What an agent says of flows.
#[derive(Clone, Debug)]
pub enum FlowAsk {
    Start { call: Option<CallId>, press: crate::flows::start::Press },
    Say { tenant: TenantId, flow: String, word: crate::flows::Word, request: String },
}

/// A switch or system came or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkState {
    pub kind: LinkKind,
    pub id: String,
    pub up: bool,
    /// Without personal data.
    pub reason: Option<String>,
}

/// Whose stream it is.
type Key = (TenantId, AgentId);

/// Devices of an agent that may not ring, or ring without a pop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Phones {
    /// Of which the switch tells nothing at present.
    pub unseen: Vec<(SwitchId, String)>,
    /// At which, as the switch tells, no phone is registered.
    pub unregistered: Vec<(SwitchId, String)>,
}

pub struct Roster {
    epoch: u64,
    limits: Limits,
    /// `None`: everybody sees whole numbers.
    full_numbers: Option<Vec<String>>,
    switches: Vec<SwitchId>,
    screens: HashMap<ScreenId, Screen>,
    streams: HashMap<Key, Stream>,
    /// Of those who take one.
    seats: HashMap<Key, seat::SeatNow>,
    phones: BTreeMap<Key, Phones>,
    calls: HashMap<CallId, OnDesk>,
    links: BTreeMap<(LinkKind, Arc<str>), LinkNow>,
    waiting: HashMap<Token, requests::Waiting>,
    dials: HashMap<RequestId, requests::Asked>,
    acts: HashMap<RequestId, verbs::Acting>,
    states: States,
    duties: HashMap<Key, state::Duty>,
    attending: HashMap<RequestId, state::Attending>,
    /// What can be done at each switch.
    abilities: HashMap<SwitchId, Abilities>,
    /// Who looks at their team.
    watch: team::Watch,
    /// Who looks at a board.
    boards: board::Boards,
    /// Who looks at their own queues.
    looks: queues::Looks,
    /// How long agents are in which states.
    times: times::Times,
    /// When a record's page opens by itself.
    opens: Opens,
    /// By queue, or `*`: what agents choose from as the outcome.
    outcomes: BTreeMap<String, Vec<String>>,
    outcome_required: facts::Required,
    /// Which business systems offer what.
    offers: Arc<records::Offers>,
    /// Those under way.
    flows: flows::Flows,
    views: views::Views,
    /// Who waits in which queue.
    queued: facts::Queued,
    /// Each agent's own day.
    days: facts::Days,
    /// What of it can be heard afterwards.
    heard: Offered,
    due: BTreeMap<(Mono, u64), Due>,
    /// Counts tokens and deadlines.
    count: u64,
    /// Streams begin here: above every seq of a stream that was dropped, so that seqs never repeat in an epoch.
    lowest: u64,
    /// Screens that have not yet heard of the newest links; served a few at a time, after everything else.
    behind: VecDeque<(ScreenId, (LinkKind, Arc<str>))>,
    out: VecDeque<Output>,
}

struct Screen {
    who: Arc<Who>,
    /// It said `resume`: before that it gets nothing but its welcome.
    resumed: bool,
}

/// A call as screens need it.
struct OnDesk {
    /// Kept true only while an agent has it.
    face: Option<Box<Face>>,
    card: Option<Arc<Card>>,
    /// The card's bytes, made once for all frames.
    rendered: Option<Box<RawValue>>,
    /// The same for viewers without whole numbers; made only where there is one.
    hidden: Option<Box<RawValue>>,
    /// `Some(None)`: an agent said that it is none of the candidates.
    chosen: Option<Option<String>>,
    /// What agents found for it by searching.
    found: Vec<Arc<Candidate>>,
    /// Tickets that agents found for it.
    tickets: Vec<tickets::Found>,
    /// What became of what was asked to be written of it.
    told: Vec<records::wishes::Told>,
    notes: Vec<(AgentId, Private<String>)>,
    agents: Vec<Key>,
    ended: bool,
    /// How often the number called before.
    before: Option<CalledBefore>,
}

struct LinkNow {
    up: bool,
    since: Wall,
    reason: Option<String>,
}

enum Due {
    /// The wrap-up, or what is kept of a call after it.
    PopEnds(Key, Box<str>),
    /// Nobody came back for this stream.
    Idle(Key),
    Dial(RequestId),
    Act(RequestId),
    /// A wrap-up keeps its agent no longer; when that was planned for.
    WorkEnds(Key, Box<str>, Wall),
    /// A reason for not being ready is overrun; since when it is the reason.
    Limit(Key, Wall),
    /// Supervisors are told what changed since the last time.
    Team,
    /// Boards are told what is true now.
    Board,
    /// Desks at rest are told how it stands in their queues.
    Queues,
    /// States that last are counted up to here.
    Times,
}

impl Roster {
    /// `epoch` counts the core's starts. `switches` are those that can dial; the first is used for an agent who was not seen
    /// at any.
    #[must_use]
    pub fn new(epoch: u64, limits: Limits, full_numbers: Option<Vec<String>>, switches: Vec<SwitchId>) -> Self {
        Self {
            epoch,
            limits,
            full_numbers,
            switches,
            screens: HashMap::new(),
            streams: HashMap::new(),
            seats: HashMap::new(),
            calls: HashMap::new(),
            links: BTreeMap::new(),
            phones: BTreeMap::new(),
            waiting: HashMap::new(),
            dials: HashMap::new(),
            acts: HashMap::new(),
            states: States::default(),
            duties: HashMap::new(),
            attending: HashMap::new(),
            abilities: HashMap::new(),
            watch: team::Watch::default(),
            boards: board::Boards::default(),
            looks: queues::Looks::default(),
            times: times::Times::default(),
            opens: Opens::default(),
            outcomes: BTreeMap::new(),
            outcome_required: facts::Required::default(),
            offers: Arc::default(),
            flows: flows::Flows::default(),
            views: views::Views::default(),
            queued: facts::Queued::default(),
            days: facts::Days::default(),
            heard: Offered::default(),
            due: BTreeMap::new(),
            count: 0,
            lowest: 0,
            behind: VecDeque::new(),
            out: VecDeque::new(),
        }
    }

    /// The next thing to do; `None`: nothing more until [`Roster::next_due`] or the next input. Frames for every screen at
    /// once (a link went) come one by one and last, so that a caller may take other inputs in between.
    pub fn drain(&mut self, now: Now) -> Option<Output> {
        if let Some(output) = self.out.pop_front() {
            return Some(output);
        }
        while let Some((screen, link)) = self.behind.pop_front() {
            if let Some(deliver) = self.link_changed(now, screen, &link) {
                return Some(Output::Deliver(deliver));
            }
        }
        None
    }

    /// When [`Roster::tick`] has something to do.
    #[must_use]
    pub fn next_due(&self) -> Option<Mono> {
        self.due.keys().next().map(|(at, _)| *at)
    }

    /// Lets go of what is over.
    pub fn tick(&mut self, now: Now, directory: &Directory) {
        while let Some(entry) = self.due.first_entry()
            && entry.key().0 <= now.mono
        {
            match entry.remove() {
                Due::PopEnds(key, pop) => self.pop_ends(now, &key, &pop),
                Due::Idle(key) => {
                    if let Some(stream) = self.streams.get_mut(&key).filter(|s| s.screens.is_empty()) {
                        stream.forget_frames();
                    }
                    self.idle(&key);
                }
                Due::Dial(request) => self.dialled(now, &request, Err(Failure::Timeout)),
                Due::Act(request) => self.acted(now, &request, Err(Failure::Timeout), directory),
                Due::WorkEnds(key, pop, at) => self.work_ends(now, &key, &pop, at),
                Due::Limit(key, since) => self.limit(now, &key, since),
                Due::Team => self.tell_team(now, directory),
                Due::Board => self.board_due(now),
                Due::Queues => self.tell_queues(now, directory),
                Due::Times => self.count_times(now),
            }
        }
    }

    /// How many agents have a screen open, and how many pops are on screens: for metrics.
    #[must_use]
    pub fn figures(&self) -> (usize, usize) {
        let open = self.streams.values().filter(|s| !s.screens.is_empty()).count();
        (open, self.calls.values().map(|call| call.agents.len()).sum())
    }

    /// How many pages an agent has open.
    #[must_use]
    pub fn screens_of(&self, tenant: &TenantId, agent: &AgentId) -> usize {
        self.streams.get(&(tenant.clone(), agent.clone())).map_or(0, |stream| stream.screens.len())
    }

    /// What the book concluded; `face` is the call after it, `card` what is known of the customer, if anything.
    pub fn change(&mut self, now: Now, change: &Change, face: &Face, card: Option<&Arc<Card>>, directory: &Directory) {
        let id = change.call;
        if self.queued.note(id, &change.what, face) {
            self.stir_queues(now);
        }
        if matches!(change.what, What::Ended | What::Amended | What::Absorbed { .. }) && !self.calls.contains_key(&id) {
            return;
        }
        let call = self.calls.entry(id).or_insert_with(OnDesk::new);
        if let Some(card) = card {
            call.learn(card);
            // While the caller still waits, so that a ring finds it made.
            call.render(false);
        }
        // Only calls on a screen are copied: of 18 events of a call most come before or concern nobody.
        if !call.agents.is_empty() {
            call.face = Some(Box::new(face.clone()));
        }
        match &change.what {
            What::Offered(offer) => self.offered(now, face, offer),
            What::Established(offer) => {
                self.offered(now, face, offer);
                self.set_stage(&face.tenant, id, offer, Stage::Talking);
                self.tell_call(now, id, Some(&offer.agent), None, directory);
                self.settle_state(now, &(face.tenant.clone(), offer.agent.clone()));
            }
            What::Withdrawn { offer, reason, by } => {
                let key = (face.tenant.clone(), offer.agent.clone());
                let by = by.as_ref().map(|by| (by, directory.agent(by).and_then(|agent| agent.name.as_deref())));
                self.withdraw(now, &key, id, offer.ordinal, *reason, by);
            }
            What::Cleared { offer } => self.cleared(now, face, offer, directory),
            What::Held { .. } | What::Retrieved { .. } => self.tell_call(now, id, None, None, directory),
            What::Transferred { kind, from, to } => {
                self.roles_follow(now, id);
                self.tell_call(now, id, None, Some((*kind, from.clone(), to.clone())), directory);
            }
            What::Appeared | What::Queued { .. } => {}
            What::Informed => {
                // The number may be new, or an agent's part in it.
                if let Some(call) = self.calls.get_mut(&id) {
                    call.hidden = None;
                }
                if !self.roles_follow(now, id) {
                    self.tell_pop(now, id);
                }
            }
            What::Launched { request } => self.dialled(now, request, Ok(id)),
            What::Ended => self.ended(now, id, directory),
            What::Amended => {}
            What::Absorbed { into } => self.absorbed(now, id, *into, directory),
        }
    }

    /// A card became richer.
    pub fn card(&mut self, now: Now, call: CallId, card: &Arc<Card>) {
        let Some(on_desk) = self.calls.get_mut(&call) else { return };
        if on_desk.learn(card) {
            self.tell_pop(now, call);
        }
    }

    /// What an agent wrote before a restart, as it was read back.
    pub fn recall_notes(&mut self, call: CallId, agent: &AgentId, text: Private<String>) {
        self.calls.entry(call).or_insert_with(OnDesk::new).note(agent, text);
    }

    /// Whose devices are not seen, or have no phone, from now on. Those for whom it changed hear of it.
    pub fn phones(&mut self, now: Now, phones: BTreeMap<(TenantId, AgentId), Phones>) {
        let before = std::mem::replace(&mut self.phones, phones);
        let news = self.phones.iter().filter(|(key, phones)| before.get(*key) != Some(*phones)).map(|(key, _)| key);
        let gone = before.keys().filter(|key| !self.phones.contains_key(*key));
        for key in news.chain(gone).cloned().collect::<Vec<_>>() {
            self.tell_screens(now, &key, None);
            self.seen(now, &key);
        }
    }

    /// A link came or went. Every screen hears of it.
    pub fn link(&mut self, now: Now, link: LinkState) {
        let key = (link.kind, Arc::<str>::from(link.id));
        let known = self.links.get(&key);
        if known.is_some_and(|known| known.up == link.up && known.reason == link.reason) {
            return;
        }
        let since = known.filter(|known| known.up == link.up).map_or(now.wall, |known| known.since);
        self.links.insert(key.clone(), LinkNow { up: link.up, since, reason: link.reason });
        self.behind.extend(self.screens.iter().filter(|(_, s)| s.resumed).map(|(id, _)| (*id, key.clone())));
    }

    /// What a screen did.
    pub fn heard(&mut self, now: Now, heard: Heard, directory: &Directory) {
        match heard.what {
            Told::Attached { who } => self.attached(now, heard.screen, who, directory),
            Told::Resume(resume) => self.resume(now, heard.screen, &resume, directory),
            Told::Request(request) => self.request(now, heard.screen, request, directory),
            Told::Detached => self.detached(now, heard.screen, directory),
        }
    }

    fn attached(&mut self, now: Now, screen: ScreenId, who: Arc<Who>, directory: &Directory) {
        let key = (who.tenant.clone(), who.agent.clone());
        self.comes(&key, directory);
        let of = key.clone();
        let lowest = self.lowest;
        let stream = self.streams.entry(key).or_insert_with(|| Stream::new(lowest));
        let roles = frames::roles(&who, directory);
        let whole = |full: &[String]| roles.iter().any(|role| full.iter().any(|other| other == role));
        stream.view(self.full_numbers.as_deref().is_some_and(|full| !whole(full)), &roles);
        if stream.screens.is_empty() {
            stream.turned = Some(now.wall);
        }
        stream.screens.push(screen);
        if stream.screens.len() > self.limits.screens_per_agent.max(1)
            && let Some(oldest) = stream.screens.iter().find(|id| Some(**id) != stream.active).copied()
        {
            self.out.push_back(Output::Close(oldest));
        }
        let mut welcome =
            frames::welcome(self.epoch, &who, directory, &self.states, &self.outcomes, self.limits.ping_ms);
        welcome.systems = self.system_offers();
        welcome.open = self.opens;
        self.out.push_back(deliver(screen, None, wire::write(0, now.wall, &welcome)));
        self.screens.insert(screen, Screen { who, resumed: false });
        self.seen(now, &of);
    }

    fn resume(&mut self, now: Now, screen: ScreenId, resume: &Resume, directory: &Directory) {
        let Some(key) = self.key_of(screen) else { return };
        if let Some(entry) = self.screens.get_mut(&screen) {
            entry.resumed = true;
        }
        let Some(stream) = self.streams.get_mut(&key) else { return };
        if resume.active || stream.active.is_none() {
            stream.active = Some(screen);
        }
        let active = stream.active == Some(screen);
        let missed = match (resume.epoch, resume.seq) {
            (Some(epoch), Some(seq)) if active && epoch == self.epoch => stream.missed(seq),
            _ => None,
        };
        match missed {
            Some(missed) => {
                let agent = self.agent_state(&key, screen);
                let body = agent.map(|agent| Resumed { agent, links: frames::links(&self.links) });
                let frame = body.map(|body| deliver(screen, None, wire::write(0, now.wall, &body)));
                self.out.extend(frame);
                self.out.extend(missed.into_iter().map(|frame| deliver(screen, None, frame)));
                // What was missed holds the pops that nobody was there to see.
                if let Some(stream) = self.streams.get_mut(&key).filter(|stream| !stream.pops().is_empty()) {
                    let pops = &mut stream.busy().pops;
                    let seen: Vec<CallId> = pops.iter().filter(|pop| !pop.shown).map(|pop| pop.call).collect();
                    pops.iter_mut().for_each(|pop| pop.shown = true);
                    seen.into_iter().for_each(|call| self.viewed(&key, call, "pop"));
                }
            }
            None => self.snapshot(now, &key, screen, directory),
        }
        self.tell_screens(now, &key, Some(screen));
    }

    fn detached(&mut self, now: Now, screen: ScreenId, directory: &Directory) {
        let Some(key) = self.key_of(screen) else { return };
        self.screens.remove(&screen);
        self.watch.leave(screen);
        self.boards.leave(screen);
        self.looks.leave(screen);
        self.flows.leave(screen);
        let Some(stream) = self.streams.get_mut(&key) else { return };
        stream.screens.retain(|other| *other != screen);
        if stream.screens.is_empty() {
            stream.turned = Some(now.wall);
        }
        self.seen(now, &key);
        let Some(stream) = self.streams.get_mut(&key) else { return };
        if stream.active == Some(screen) {
            let screens = &self.screens;
            let next = stream.screens.iter().rev().find(|id| screens.get(id).is_some_and(|s| s.resumed)).copied();
            stream.active = next;
            if let Some(next) = next {
                self.snapshot(now, &key, next, directory);
            }
        }
        if self.streams.get(&key).is_some_and(|s| s.screens.is_empty()) {
            self.goes(now, &key);
            self.views_over(&key);
            self.later(now.mono.plus_ms(self.limits.resume_ms), Due::Idle(key));
        } else {
            self.tell_screens(now, &key, None);
        }
    }

    /// Makes a screen the one that gets the pops.
    fn activate(&mut self, now: Now, key: &Key, screen: ScreenId, directory: &Directory) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        if stream.active == Some(screen) {
            return;
        }
        stream.active = Some(screen);
        if let Some(entry) = self.screens.get_mut(&screen) {
            entry.resumed = true;
        }
        self.snapshot(now, key, screen, directory);
        self.tell_screens(now, key, Some(screen));
    }

    fn offered(&mut self, now: Now, face: &Face, offer: &Offer) {
        let key = (face.tenant.clone(), offer.agent.clone());
        let lowest = self.lowest;
        let stream = self.streams.entry(key.clone()).or_insert_with(|| Stream::new(lowest));
        let busy = stream.busy();
        busy.seen_at = Some((face.switch.clone(), offer.device.clone()));
        if let Some(pop) = busy.find(face.call, offer.ordinal) {
            if pop.stage.is_live() && pop.offer.role != offer.role {
                pop.offer.role = offer.role;
                self.tell_pop(now, face.call);
            }
            return;
        }
        // The same agent is offered the call again after having had it: the old pop makes room.
        if let Some(at) = busy.pops.iter().position(|pop| pop.call == face.call) {
            let old = busy.pops.remove(at);
            stream.emit(now, None, &frames::withdrawn(&old, Withdrawal::Transferred), &mut self.out);
        }
        let pop = OnScreen::new(face.call, offer.clone());
        let Some(call) = self.calls.get_mut(&face.call) else { return };
        let masked = stream.masks(face.line.as_deref());
        if masked {
            // The number may be another than when the card was hidden.
            call.hidden = None;
            call.face = Some(Box::new(face.clone()));
        }
        call.render(masked);
        let around =
            facts::Around { waiting: self.queued.others(face), outcome_required: self.outcome_required.of(face) };
        let can = self.abilities.get(&face.switch);
        let frame = frames::pop(now.wall, call, (face, around), &pop, &key.1, masked, can);
        stream.emit(now, None, &frame, &mut self.out);
        let shown = stream.active.is_some();
        stream.busy().pops.push(OnScreen { shown, ..pop });
        if !call.agents.contains(&key) {
            call.agents.push(key.clone());
        }
        call.face = Some(Box::new(face.clone()));
        if shown {
            self.viewed(&key, face.call, "pop");
        }
        self.settle_state(now, &key);
    }

    fn set_stage(&mut self, tenant: &TenantId, call: CallId, offer: &Offer, stage: Stage) {
        let key = (tenant.clone(), offer.agent.clone());
        if let Some(pop) = self.streams.get_mut(&key).and_then(|s| s.busy().find(call, offer.ordinal)) {
            pop.stage = stage;
        }
    }

    fn withdraw(
        &mut self,
        now: Now,
        key: &Key,
        call: CallId,
        ordinal: u32,
        reason: Withdrawal,
        by: Option<(&AgentId, Option<&str>)>,
    ) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        let Some(pop) = stream.busy().take(call, ordinal) else { return };
        let by = by.map(|(agent, name)| Colleague { agent: agent.as_str(), name });
        stream.emit(now, None, &PopWithdrawn { by, ..frames::withdrawn(&pop, reason) }, &mut self.out);
        self.leave(key, call);
        self.settle_state(now, key);
    }

    /// The agent's connection is cleared: wrap-up where a customer was in it, else the pop is over.
    fn cleared(&mut self, now: Now, face: &Face, offer: &Offer, directory: &Directory) {
        let key = (face.tenant.clone(), offer.agent.clone());
        self.wrap_up(now, &key, face.call, offer.ordinal);
        self.tell_call(now, face.call, Some(&offer.agent), None, directory);
        self.drop_over(&key, face.call);
        self.settle_state(now, &key);
    }

    fn wrap_up(&mut self, now: Now, key: &Key, call: CallId, ordinal: u32) {
        let until = now.mono.plus_ms(self.limits.wrapup_ms);
        let (work_ms, extensions) = (self.work_ms(call), self.states.after_call.extensions);
        let Some(pop) = self.streams.get_mut(key).and_then(|s| s.busy().find(call, ordinal)) else { return };
        if !pop.stage.is_live() {
            return;
        }
        let with_customer = match pop.offer.role {
            Role::Inbound | Role::Outbound | Role::Transfer => true,
            Role::Consult | Role::Internal => false,
        };
        pop.stage = if !with_customer {
            Stage::Over
        } else if pop.wrapped {
            Stage::Kept
        } else {
            let work = work_ms.map_or(Work::Open, |ms| Work::Until(frames::until(now.wall, ms)));
            Stage::WrapUp { since: now.wall, until: frames::until(now.wall, self.limits.wrapup_ms), work, extensions }
        };
        let (id, stage) = (pop.id.clone(), pop.stage);
        if let (Stage::WrapUp { work: Work::Until(at), .. }, Some(ms)) = (stage, work_ms) {
            self.later(now.mono.plus_ms(ms), Due::WorkEnds(key.clone(), id.clone(), at));
            self.work_begins(key);
        }
        if with_customer {
            self.later(until, Due::PopEnds(key.clone(), id));
        }
    }

    fn ended(&mut self, now: Now, id: CallId, directory: &Directory) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.ended = true;
        for key in call.agents.clone() {
            let Some(stream) = self.streams.get_mut(&key) else { continue };
            let pops: Vec<(u32, Stage)> =
                stream.busy().pops.iter().filter(|p| p.call == id).map(|p| (p.offer.ordinal, p.stage)).collect();
            for (ordinal, stage) in pops {
                match stage {
                    // The book says why before it says that a call ended; should it not, no screen keeps a dead pop.
                    Stage::Ringing => self.withdraw(now, &key, id, ordinal, Withdrawal::CallerGone, None),
                    Stage::Talking => self.wrap_up(now, &key, id, ordinal),
                    Stage::WrapUp { .. } | Stage::Kept | Stage::Over => {}
                }
            }
        }
        self.tell_call(now, id, None, None, directory);
        for key in self.calls.get(&id).map(|call| call.agents.clone()).unwrap_or_default() {
            self.drop_over(&key, id);
            self.settle_state(now, &key);
        }
        self.forget_if_done(id);
    }

    /// A consultation proved to be part of the customer's call: who had it goes on under that call's id.
    fn absorbed(&mut self, now: Now, id: CallId, into: CallId, directory: &Directory) {
        self.view_over(id);
        let Some(old) = self.calls.remove(&id) else { return };
        self.flows.forget(id);
        let call = self.calls.entry(into).or_insert_with(OnDesk::new);
        if call.face.is_none() {
            call.face = old.face;
        }
        for (agent, text) in old.notes {
            if !call.notes.iter().any(|(other, _)| *other == agent) {
                call.note(&agent, text);
            }
        }
        for key in old.agents {
            let Some(stream) = self.streams.get_mut(&key) else { continue };
            let has = stream.busy().pops.iter().any(|pop| pop.call == into && pop.stage.is_live());
            let ordinals: Vec<u32> =
                stream.busy().pops.iter().filter(|p| p.call == id).map(|p| p.offer.ordinal).collect();
            if has {
                // Who consulted has the customer's call already; their own consultation goes.
                for ordinal in ordinals {
                    if let Some(pop) = stream.busy().take(id, ordinal) {
                        stream.emit(now, None, &frames::withdrawn(&pop, Withdrawal::Transferred), &mut self.out);
                    }
                }
            } else {
                for pop in stream.busy().pops.iter_mut().filter(|pop| pop.call == id) {
                    pop.call = into;
                }
                if let Some(call) = self.calls.get_mut(&into)
                    && !call.agents.contains(&key)
                {
                    call.agents.push(key.clone());
                }
            }
            self.settle_state(now, &key);
        }
        self.roles_follow(now, into);
        self.tell_pop(now, into);
        self.tell_call(now, into, None, None, directory);
        self.forget_if_done(into);
    }

    /// The role an agent has may change with the call (a consultation becomes a transfer): the pop says it.
    fn roles_follow(&mut self, now: Now, id: CallId) -> bool {
        let Some(call) = self.calls.get(&id) else { return false };
        let Some(face) = &call.face else { return false };
        let mut changed = false;
        for on in &face.agents {
            let key = (face.tenant.clone(), on.offer.agent.clone());
            if let Some(pop) = self.streams.get_mut(&key).and_then(|s| s.busy().find(id, on.offer.ordinal))
                && pop.offer.role != on.offer.role
            {
                pop.offer.role = on.offer.role;
                changed = true;
            }
        }
        if changed {
            self.tell_pop(now, id);
        }
        changed
    }

    fn pop_ends(&mut self, now: Now, key: &Key, pop: &str) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        let Some(pop) = stream.busy().pops.iter_mut().find(|other| *other.id == *pop) else { return };
        if pop.stage.is_live() {
            return;
        }
        let call = pop.call;
        let told = matches!(pop.stage, Stage::Kept);
        pop.stage = Stage::Over;
        if !told {
            self.tell_one(now, key, call);
        }
        self.drop_over(key, call);
        self.settle_state(now, key);
        self.forget_if_done(call);
    }

    /// Takes pops off that are over; the screens were told.
    fn drop_over(&mut self, key: &Key, call: CallId) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        let before = stream.busy().pops.len();
        stream.busy().pops.retain(|pop| pop.call != call || pop.stage != Stage::Over);
        if stream.busy().pops.len() != before {
            self.leave(key, call);
        }
    }

    /// The agent has no more to do with the call, unless another pop says so.
    fn leave(&mut self, key: &Key, id: CallId) {
        if self.streams.get_mut(key).is_some_and(|s| s.busy().pops.iter().any(|pop| pop.call == id)) {
            return;
        }
        if let Some(call) = self.calls.get_mut(&id) {
            call.agents.retain(|other| other != key);
        }
        self.idle(key);
    }

    fn forget_if_done(&mut self, id: CallId) {
        if self.calls.get(&id).is_some_and(|call| call.ended && call.agents.is_empty()) {
            self.calls.remove(&id);
            self.flows.forget(id);
            self.view_over(id);
        }
    }

    /// Lets go of a stream that nobody listens to, that holds no frame for anybody who may come back, and on which nothing is.
    fn idle(&mut self, key: &Key) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        if stream.screens.is_empty() && stream.is_empty() {
            self.lowest = self.lowest.max(stream.seq);
            self.streams.remove(key);
        }
    }

    fn key_of(&self, screen: ScreenId) -> Option<Key> {
        self.screens.get(&screen).map(|s| (s.who.tenant.clone(), s.who.agent.clone()))
    }

    fn later(&mut self, at: Mono, due: Due) {
        self.count += 1;
        self.due.insert((at, self.count), due);
    }
}

impl OnDesk {
    fn new() -> Self {
        Self {
            face: None,
            card: None,
            rendered: None,
            hidden: None,
            chosen: None,
            found: Vec::new(),
            tickets: Vec::new(),
            told: Vec::new(),
            notes: Vec::new(),
            agents: Vec::new(),
            ended: false,
            before: None,
        }
    }

    /// The records of the call's customer, the one that stands for the person first: as an agent chose, else as it was found.
    fn customer(&self) -> Vec<&Arc<Candidate>> {
        let Some(card) = self.card.as_deref() else { return Vec::new() };
        match (&self.chosen, &card.answer) {
            (Some(None), _) => Vec::new(),
            (Some(Some(id)), _) => match card.people().find(|person| person.is(id)) {
                Some(person) => person.records().collect(),
                None => self.found.iter().filter(|candidate| candidate.id == *id).collect(),
            },
            (None, Answer::Found(person)) => person.records().collect(),
            (None, _) => Vec::new(),
        }
    }

    /// Whether it is another card than before.
    fn learn(&mut self, card: &Arc<Card>) -> bool {
        if self.card.as_ref().is_some_and(|old| Arc::ptr_eq(old, card)) {
            return false;
        }
        self.card = Some(card.clone());
        (self.rendered, self.hidden) = (None, None);
        true
    }

    /// `masked`: also for viewers without whole numbers.
    fn render(&mut self, masked: bool) {
        let card = &self.card;
        let rendered =
            self.rendered.get_or_insert_with(|| card.as_ref().map_or_else(wire::pending, |card| wire::card(card)));
        if masked && self.hidden.is_none() {
            let number = self.face.as_ref().and_then(|face| face.customer.as_ref());
            self.hidden = Some(mask::Shade::of(number).raw(rendered));
        }
    }

    fn note(&mut self, agent: &AgentId, text: Private<String>) {
        match self.notes.iter_mut().find(|(other, _)| other == agent) {
            Some((_, old)) => *old = text,
            None => self.notes.push((agent.clone(), text)),
        }
    }
}

fn deliver(screen: ScreenId, key: Option<super::CoalesceKey>, frame: bytes::Bytes) -> Output {
    Output::Deliver(Deliver { screen, key, frame })
}
