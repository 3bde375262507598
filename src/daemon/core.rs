//! The core: book, roster and records desk joined on one thread. It decides nothing about telephony; it hands each conclusion to those who
//! need it, in one fixed order, and their outputs to the channels.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    sync::{Arc, PoisonError},
};

use jiff::tz::TimeZone;
use tokio::sync::{mpsc, watch as watching};

use crate::{
    agents::{
        self, Ask, Heard, LinkState, Output, People, Phones, QueueNow, QueuePlace, Roster, Screens, Token, View,
        protocol::{
            Board, BoardAlert, BoardCount, BoardHour, BoardLimits, BoardQueue, CalledBefore, LinkKind, MyCsat,
            SeatClaim,
        },
    },
    calls::{
        self, Book, Change, Command, Directory, Face, What,
        book::Rules,
        call::Checkpoint,
        command::{Act, Failure, Target, Verb},
        directory::Device,
        event::Feed,
        guard::{Guard, Guarded, Outside},
        hand::Hand,
        missed::Row,
        seats::{How, Places, Refusal, Sitting, Turn, Wish},
    },
    customers::{Answer, Answered, Around, Candidate, Card, Customers, NotAsked, Question},
    flows::{self, Inscription},
    kpis::{self, Today},
    numbers::{Class, NoMatch, Number, TrunkRow, dial_out::Refused},
    private::Private,
    recordings,
    records::{self, Desk, callbacks, live::Answer as Kept},
    store::{
        AuditRow, Batch, CheckpointRow, OperationRow, PositionRow, RecordRow, SeatRow, StateRow, TimeRow, TraceRow,
    },
    switches::{Devices, Heard as FromSwitch, LinkState as SwitchLink, Said},
    watch::{self, Metrics, Trace, Traces, systems::Firing},
    words::{AgentId, CallId, Mono, Now, SwitchId, TenantId, Wall},
};

/// How long a call's card is kept after its end: an agent's wrap-up still shows it.
const CARD_MS: u64 = 600_000;

/// Changes that wait to be written down while pops go first. 4,096 are the changes of about a second at the heaviest load measured; above
/// that the desk works in step with the switch again.
const LATER: usize = 4_096;

/// Above so many outputs that wait for the clerk no story is written: records go first.
const STORIES: usize = 1_000;

/// A system that is away when a customer would be made is looked at again after this.
const CREATE_AGAIN_MS: u64 = 5_000;
/// Who makes customers by the line's policy, where an agent's id stands otherwise.
const POLICY: &str = "linecard";

/// Places of one queue that are shown at most.
const PLACES: usize = 500;

/// What is so short is an extension or a code of the switch's own.
const SHORT: usize = 6;

/// A search an agent asked for; it runs on the back runtime.
#[derive(Debug)]
pub struct Search {
    pub tenant: TenantId,
    pub query: Private<String>,
    pub what: Sought,
    pub token: Token,
}

#[derive(Debug)]
pub enum Sought {
    Customers,
    /// Of these customers only, where some are named.
    Tickets(Option<Vec<Arc<Candidate>>>),
}

/// What a search found.
#[derive(Debug)]
pub enum Found {
    Customers(Vec<Arc<Candidate>>),
    Tickets(Vec<agents::FoundTicket>),
}

/// A caller that a dialplan asks about; see [`crate::admin::hint`].
#[derive(Debug)]
pub struct Caller {
    pub tenant: TenantId,
    pub switch: Option<SwitchId>,
    pub trunk: Option<String>,
    pub from: Private<String>,
    pub to: Option<Private<String>>,
    /// Names the asking.
    pub id: CallId,
}

/// What is to be asked of the caller, where, and the language of the line.
#[derive(Debug)]
pub struct Asking {
    pub switch: SwitchId,
    pub question: Question,
    pub language: Option<String>,
}

/// Where the core's outputs go.
pub struct Outs {
    pub screens: Arc<Screens>,
    pub commands: HashMap<SwitchId, mpsc::Sender<Command>>,
    pub outputs: mpsc::Sender<records::Output>,
    pub searches: mpsc::Sender<Search>,
    pub recordings: mpsc::Sender<recordings::Ask>,
    pub places: watching::Sender<Places>,
}

pub struct Core {
    pub book: Book,
    pub roster: Roster,
    pub desk: Desk,
    pub customers: Customers,
    pub directory: Arc<Directory>,
    pub metrics: Metrics,
    outs: Outs,
    cards: HashMap<CallId, (u64, Arc<Card>)>,
    asked: HashMap<CallId, String>,
    /// When a customer is made of a call's number, if still nobody knows it then (trunks.yaml `no_match`). A call is here once.
    create: BTreeSet<(Mono, CallId)>,
    forget: VecDeque<(Mono, CallId)>,
    /// Screens know these; the desk is told when no switch has anything to say.
    later: VecDeque<Change>,
    /// Calls whose first card the desk has not seen: it is told behind the change that made the call known.
    carded: HashSet<CallId>,
    /// What the clerk's channel had no room for, in order.
    unsent: VecDeque<records::Output>,
    links: HashMap<(SwitchId, Feed), bool>,
    /// Devices of which their switch tells nothing now, or that they have no phone.
    devices: BTreeMap<SwitchId, Devices>,
    /// Since when no feed of a switch is up.
    unwatched: HashMap<SwitchId, Mono>,
    switches: Vec<SwitchId>,
    /// The stories of calls; the default tells none.
    pub traces: Traces,
    /// What is held against every dial.
    pub guard: Guard,
    /// What begins a flow; the default begins none.
    pub flows: flows::live::Plans,
    /// In which a day is a day, for the time of agents.
    pub zone: TimeZone,
    /// The day so far, for boards.
    pub today: Today,
    /// Who called in the last days, for pops.
    pub callers: kpis::Callers,
    /// What flows want written into records and the desk has not answered yet, by the desk's token. They ask again: the oldest may be forgotten.
    inscribing: BTreeMap<u64, Inscription>,
    inscribed: u64,
}

/// Tokens of flows at the desk: out of reach of those that screens wait for.
const OF_FLOWS: u64 = 1 << 63;
const INSCRIBING: usize = 1_000;

impl Core {
    #[must_use]
    pub fn new(
        (book, roster, desk): (Book, Roster, Desk),
        customers: Customers,
        directory: Arc<Directory>,
        switches: Vec<SwitchId>,
        metrics: Metrics,
        outs: Outs,
    ) -> Self {
        outs.places.send_modify(|places| places.directory = directory.clone());
        Self {
            book,
            roster,
            desk,
            customers,
            directory,
            metrics,
            outs,
            cards: HashMap::new(),
            asked: HashMap::new(),
            create: BTreeSet::new(),
            forget: VecDeque::new(),
            later: VecDeque::new(),
            carded: HashSet::new(),
            unsent: VecDeque::new(),
            links: HashMap::new(),
            devices: BTreeMap::new(),
            unwatched: HashMap::new(),
            switches,
            traces: Traces::default(),
            guard: Guard::default(),
            flows: flows::live::Plans::default(),
            zone: TimeZone::UTC,
            today: Today::default(),
            callers: kpis::Callers::default(),
            inscribing: BTreeMap::new(),
            inscribed: OF_FLOWS,
        }
    }

    /// Calls that were up when the last run ended. The book goes on with them; screens that come back see what they saw, and the
    /// first snapshot of each switch then says which of them are over.
    pub fn restore(&mut self, now: Now, rows: Vec<CheckpointRow>, seats: Vec<SeatRow>) {
        self.restore_seats(now, seats);
        let open = self.desk.restore(rows);
        let checkpoints: Vec<Checkpoint> = open
            .iter()
            .filter_map(|call| {
                let text = call.book.as_ref()?;
                serde_json::from_str(text.expose().get())
                    .inspect_err(|error| tracing::error!(call = %call.key.call, %error, "a checkpoint cannot be read"))
                    .ok()
            })
            .collect();
        tracing::info!(calls = checkpoints.len(), "open calls were taken over from the last run");
        self.book.restore(checkpoints);
        let faces: Vec<_> = self.book.open_calls().cloned().collect();
        for face in faces {
            let mut tell = |what| {
                let change = Change { call: face.call, at: now, what };
                if let Some(question) = self.question(&change, &face) {
                    self.ask(now, &question);
                }
                let card = self.cards.get(&face.call).map(|(_, card)| card);
                self.roster.change(now, &change, &face, card, &self.directory);
            };
            tell(What::Appeared);
            for on in &face.agents {
                tell(What::Offered(on.offer.clone()));
                if matches!(on.state, calls::face::AgentLeg::Talking | calls::face::AgentLeg::Holding) {
                    tell(What::Established(on.offer.clone()));
                }
            }
            if face.answered_at.is_some() {
                self.plan_create(now, &face);
            }
        }
        self.settle(now, None);
    }

    /// What is up at a switch, for its links.
    #[must_use]
    pub fn open_legs(&self, switch: &SwitchId) -> Vec<calls::face::OpenLeg> {
        self.book.open_legs(switch)
    }

    /// What a switch link says: events, or that it came or went.
    pub fn said(&mut self, now: Now, said: Said) {
        match said.what {
            FromSwitch::Events(events) => {
                let snapshot = events.iter().any(|e| matches!(e.said, calls::event::Said::Snapshot(_)));
                for event in events {
                    self.book.take(said.at, &said.switch, said.feed, event);
                    // Screens see each conclusion while the book still knows the calls it is about: the next event may make two of them one.
                    self.conclude(now, Some(said.at));
                }
                self.posts(now);
                if snapshot {
                    // What a checkpoint told us of and the book could not take over is over: written as lost, not forgotten.
                    self.settle(now, Some(said.at));
                    self.catch_up(now);
                    for call in self.desk.unseen(&said.switch) {
                        if self.book.face(call).is_none() {
                            self.desk.lost(now, call);
                        }
                    }
                }
            }
            FromSwitch::Link(state) => self.link(now, &said.switch, said.feed, state),
            FromSwitch::Devices(devices) => {
                self.devices.insert(said.switch, devices);
                self.phones(now);
            }
            FromSwitch::Answered { request, result } => {
                // Of a dial accepted is no news: the leg will come, and then the book says Launched.
                if let Err(failure) = result {
                    self.book.forget_expected(&request);
                    self.guard.forget(&request);
                    self.roster.dialled(now, &request, Err(failure));
                }
                self.roster.attended(now, &request, &result);
                self.roster.acted(now, &request, result, &self.directory);
            }
        }
        self.settle(now, Some(said.at));
    }

    /// Tells the roster whose places in queues are otherwise.
    fn posts(&mut self, now: Now) {
        let mut agents = BTreeSet::new();
        while let Some((switch, device)) = self.book.next_placed() {
            agents.extend(self.book.whose(&switch, &device));
        }
        for (tenant, agent) in agents {
            let posts = self.book.posts(&tenant, &agent);
            self.roster.posts(now, &(tenant, agent), posts);
        }
    }

    /// Tells the roster whose devices are not seen or have no phone: after news of a switch, of seats and of the directory.
    fn phones(&mut self, now: Now) {
        let mut phones: BTreeMap<_, Phones> = BTreeMap::new();
        for (switch, devices) in &self.devices {
            for (unseen, device) in [(true, &devices.unseen), (false, &devices.unregistered)]
                .into_iter()
                .flat_map(|(unseen, all)| all.iter().map(move |device| (unseen, device)))
            {
                let sits = self.book.seats().at(switch, device).map(|s| (s.tenant.clone(), s.agent.clone()));
                let whose =
                    sits.or_else(|| self.directory.at_device(switch, device).map(|a| (a.tenant.clone(), a.id.clone())));
                if let Some(key) = whose {
                    let of = phones.entry(key).or_default();
                    let list = if unseen { &mut of.unseen } else { &mut of.unregistered };
                    list.push((switch.clone(), device.clone()));
                }
            }
        }
        self.roster.phones(now, phones);
    }

    /// Of calls in a switch's own records, those that are known neither to the book nor to the desk. `None` while nobody watches the switch: then nobody
    /// can say.
    #[must_use]
    pub fn unknown(&self, switch: &SwitchId, mut calls: Vec<Vec<Row>>) -> Option<Vec<Vec<Row>>> {
        if !self.links.iter().any(|((s, _), up)| s == switch && *up) {
            return None;
        }
        calls.retain(|rows| {
            !self.book.knows(switch, rows)
                && self.book.missed(switch, rows).is_some_and(|(record, _)| !self.desk.knows(record.call))
        });
        Some(calls)
    }

    /// Calls that nobody knows but the switch: written down as gaps, with lookups and effects like any other.
    pub fn missed(&mut self, now: Now, switch: &SwitchId, calls: &[Vec<Row>], position: Option<PositionRow>) {
        self.catch_up(now);
        let found: Vec<_> = calls
            .iter()
            .filter(|rows| !self.book.knows(switch, rows))
            .filter_map(|rows| self.book.missed(switch, rows))
            .collect();
        let mut questions = Vec::new();
        for (record, _) in &found {
            if let Some(number) = record.customer.as_ref().and_then(|c| c.raw.as_ref())
                && let Some(number) = self.book.number(switch, number.expose())
            {
                let refused = not_asked(&self.book, switch, &number);
                questions.push(Question { refused, ..Question::by_number(record.tenant.clone(), record.call, number) });
            }
        }
        let taken = self.desk.missed(now, found, position);
        if !taken.is_empty() {
            tracing::warn!(%switch, calls = taken.len(), "calls that nobody watched were taken from the switch's own records");
        }
        self.metrics.missed.inc_by(taken.len() as u64);
        for question in questions.into_iter().filter(|q| taken.contains(&q.call)) {
            let call = question.call;
            self.ask(now, &question);
            self.carded.remove(&call);
            if let Some((_, card)) = self.cards.get(&call) {
                self.desk.card(now, call, card);
            }
            self.forget.push_back((now.mono.plus_ms(CARD_MS), call));
        }
        self.settle(now, None);
    }

    fn link(&mut self, now: Now, switch: &SwitchId, feed: Feed, state: SwitchLink) {
        let (up, reason) = match state {
            SwitchLink::Up { version } => {
                tracing::info!(%switch, feed = feed.as_str(), version, "a switch link is up");
                (true, None)
            }
            SwitchLink::Down { reason } => {
                tracing::warn!(%switch, feed = feed.as_str(), reason, "a switch link is down");
                (false, Some(reason))
            }
        };
        // What only adds to calls that other feeds tell is no watcher of them.
        let watches = feed != Feed::Hep || self.book.rules(switch).is_none_or(|rules| rules.mirror.is_none());
        if watches {
            self.links.insert((switch.clone(), feed), up);
        }
        let label = watch::Link { switch: switch.to_string(), feed: feed.as_str().to_owned() };
        self.metrics.link_up.get_or_create(&label).set(i64::from(up));
        // An agent is told of the switch, not of its feeds: it is there while one of them is.
        let any = self.links.iter().any(|((s, _), up)| s == switch && *up);
        if !any {
            self.unwatched.entry(switch.clone()).or_insert(now.mono);
        } else if let Some(since) = self.unwatched.remove(switch) {
            let ms = now.mono.since_ms(since);
            self.metrics.unwatched_seconds.inc_by(ms.div_ceil(1000));
            tracing::warn!(%switch, ms, "the switch was not watched for a while: calls that began and ended in it are known only from its own records (\"records\" in its file)");
        }
        self.roster.link(
            now,
            LinkState { kind: LinkKind::Switch, id: switch.to_string(), up: any, reason: reason.filter(|_| !any) },
        );
    }

    /// A business system came or went, as lookups and deliveries see it.
    pub fn system(&mut self, now: Now, id: String, up: bool, reason: Option<String>) {
        self.roster.link(now, LinkState { kind: LinkKind::System, id, up, reason });
        self.settle(now, None);
    }

    pub fn heard(&mut self, now: Now, heard: Heard) {
        self.roster.heard(now, heard, &self.directory);
        self.settle(now, None);
    }

    pub fn answered(&mut self, now: Now, answered: Answered) {
        let newer = self.cards.get(&answered.call).is_none_or(|(version, _)| *version < answered.version);
        if newer && self.asked.contains_key(&answered.call) {
            self.cards.insert(answered.call, (answered.version, answered.card.clone()));
            if self.later.iter().any(|change| change.call == answered.call) {
                // The desk is told behind what is still to be written of the call.
                self.carded.insert(answered.call);
            } else {
                self.desk.card(now, answered.call, &answered.card);
            }
            self.roster.card(now, answered.call, &answered.card);
            self.settle(now, None);
        }
    }

    /// What the clerk says: durable, not durable now, or read back.
    pub fn kept(&mut self, now: Now, answer: Kept) {
        match answer {
            // A flow is told by a word in the store.
            Kept::Done(token) | Kept::Failed(token, _) if token >= OF_FLOWS => {}
            Kept::Done(token) => self.roster.committed(now, Token(token), true),
            Kept::Failed(token, error) => {
                tracing::error!(%error, "what an agent said is not durable yet");
                self.roster.committed(now, Token(token), false);
            }
            Kept::Loaded(key, history) => self.desk.loaded(now, &key, history),
        }
        self.settle(now, None);
    }

    pub fn found(&mut self, now: Now, token: Token, found: Found) {
        match found {
            Found::Customers(list) => self.roster.found(now, token, Ok(list)),
            Found::Tickets(list) => self.roster.tickets_found(now, token, Ok(list)),
        }
        self.settle(now, None);
    }

    /// What became of something that was to be written at a system.
    pub fn wish(&mut self, now: Now, told: records::wishes::Told) {
        self.roster.wish(now, told);
        self.settle(now, None);
    }

    /// A link to a recording, or why there is none.
    pub fn linked(&mut self, now: Now, answer: recordings::Answer) {
        self.roster.linked(now, Token(answer.token), answer.result);
        self.settle(now, None);
    }

    /// What became of a call's recordings, as its record's next revision. False: the call is in hand.
    pub fn amended(&mut self, now: Now, row: RecordRow) -> bool {
        self.catch_up(now);
        let taken = self.desk.amended(row);
        self.settle(now, None);
        taken
    }

    /// Swaps what a reload may swap; calls that run keep what was concluded of them.
    pub fn reload(
        &mut self,
        now: Now,
        settings: calls::book::Settings,
        rules: Arc<records::Rules>,
        offers: Arc<records::Offers>,
        guarded: Arc<Guarded>,
    ) {
        self.guard.reload(guarded);
        self.catch_up(now);
        self.directory = settings.directory.clone();
        self.outs.places.send_modify(|places| places.directory = self.directory.clone());
        self.book.reload(settings);
        self.book.check_seats(now);
        self.turns(now, None);
        self.posts(now);
        self.phones(now);
        // The rows changed: what still has none is told again.
        self.metrics.unmapped_lines.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.roster.offer(offers.clone());
        self.roster.stir_queues(now);
        self.desk.reload(rules, offers, self.directory.clone());
        self.settle(now, None);
    }

    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        let forget = self.forget.front().map(|(at, _)| *at);
        let create = self.create.first().map(|(at, _)| *at);
        [self.book.deadline(), self.roster.next_due(), forget, create].into_iter().flatten().min()
    }

    pub fn tick(&mut self, now: Now) {
        self.book.tick(now);
        self.roster.tick(now, &self.directory);
        while let Some((at, call)) = self.forget.front().copied()
            && at <= now.mono
        {
            self.forget.pop_front();
            self.cards.remove(&call);
            self.asked.remove(&call);
            self.customers.forget(call);
        }
        while let Some((at, call)) = self.create.first().copied()
            && at <= now.mono
        {
            self.create.pop_first();
            self.create_for(now, call);
        }
        self.settle(now, None);
    }

    /// The line wants a customer made of an unknown caller's number after so much talk.
    fn plan_create(&mut self, now: Now, face: &Face) {
        let inbound = face.direction == Some(calls::record::Direction::Inbound);
        let Some(NoMatch::CreateAfterS(seconds)) = face.line.as_ref().map(|line| line.no_match) else { return };
        if !inbound || self.create.iter().any(|(_, call)| *call == face.call) {
            return;
        }
        let talked = face.answered_at.map_or(0, |at| now.wall.since(at));
        self.create.insert((now.mono.plus_ms((u64::from(seconds) * 1000).saturating_sub(talked)), face.call));
    }

    /// The time of talk is over: still up, and asked everywhere without finding anybody, the number becomes a customer. Not while a system
    /// that could know them is away, or an agent said that only the call is kept: then it is looked at again a little later.
    fn create_for(&mut self, now: Now, call: CallId) {
        let Some(face) = self.book.face(call) else { return };
        let up = !matches!(face.state, calls::face::CallState::Ended) && !face.agents.is_empty();
        let (Some((_, card)), true) = (self.cards.get(&call), up) else { return };
        match &card.answer {
            Answer::Absent if !self.desk.is_nobodys(call) => {}
            // What an agent said may be taken back.
            Answer::Absent | Answer::Pending | Answer::Unavailable(_) => {
                self.create.insert((now.mono.plus_ms(CREATE_AGAIN_MS), call));
                return;
            }
            Answer::Found(_) | Answer::Ambiguous(_) | Answer::NotAsked(_) => return,
        }
        let number = face.customer.as_ref().and_then(|number| number.key());
        let Some((system, number)) = card.create.first().cloned().zip(number) else { return };
        let fields = records::Fields::from_iter(face.name.clone().map(|name| ("name", name)));
        let said = records::Said::Create { system, number: number.into(), fields };
        let command = records::Command { tenant: face.tenant.clone(), call, agent: POLICY.into(), said };
        tracing::info!(%call, "a customer is made of a number that no system knows");
        self.catch_up(now);
        // Nobody waits for an answer: the roster's tokens begin at 1.
        self.desk.command(now, command, 0);
    }

    /// A sign of life: counts what is cheap to count now and then, and says which switches have no link.
    #[must_use]
    pub fn beat(&self, now: Now) -> Vec<String> {
        for (tenant, (open, oldest)) in self.desk.callbacks().figures() {
            let label = watch::Tenant { tenant: tenant.to_string() };
            let age_s = oldest.map_or(0, |oldest| now.wall.since(oldest) / 1000);
            let whole = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
            self.metrics.callbacks_open.get_or_create(&label).set(whole(open as u64));
            self.metrics.callbacks_oldest_seconds.get_or_create(&label).set(whole(age_s));
        }
        self.metrics.calls_open.set(i64::try_from(self.book.open_calls().count()).unwrap_or(i64::MAX));
        let (agents, _) = self.roster.figures();
        self.metrics.agents.set(i64::try_from(agents).unwrap_or(i64::MAX));
        self.waiting_for()
    }

    fn waiting_for(&self) -> Vec<String> {
        let up = |switch: &SwitchId| self.links.iter().any(|((s, _), up)| s == switch && *up);
        self.switches.iter().filter(|s| !up(s)).map(|s| format!("switch {s}")).collect()
    }

    /// The day until this start was read.
    pub fn earlier(&mut self, now: Now, earlier: Today) {
        self.today.put_in(now.wall, earlier);
        self.roster.stir(now);
        let all = self.today.agents().cloned().collect();
        self.own_days(now, all);
        self.settle(now, None);
    }

    /// The days before this start were read.
    pub fn called(&mut self, now: Now, earlier: kpis::Callers) {
        self.callers.put_in(now.wall, earlier);
        for face in self.book.open_calls().filter(|face| !face.agents.is_empty()) {
            called_before(&mut self.callers, &mut self.roster, now, face);
        }
        self.settle(now, None);
    }

    /// Tells these agents their own figures of the day.
    fn own_days(&mut self, now: Now, agents: Vec<(TenantId, AgentId)>) {
        let Some(until) = self.today.ends().filter(|_| self.today.complete) else { return };
        let mut days = Vec::new();
        for key in agents {
            let kpis::Mine { calls, handling_ms, rated, good } = self.today.of_agent(now.wall, &key.0, &key.1);
            days.push((key, agents::DayOf { calls, handling_ms, csat: MyCsat { good, of: rated } }));
        }
        let surveys = self.desk.declares(&self.today.settings().csat.attribute);
        self.roster.days(now, until, surveys, days);
    }

    /// What a board shows of a tenant's calls, now and today.
    fn board(&mut self, now: Now, tenant: &TenantId) -> Board {
        let (day, complete) = (self.today.of(now.wall, tenant), self.today.complete);
        let settings = self.today.settings();
        let count = |count: &kpis::Count| BoardCount {
            offered: count.offered,
            answered: count.answered,
            in_time: count.in_time,
            abandoned: count.abandoned,
        };
        let queue = |name: &str| BoardQueue {
            queue: name.to_owned(),
            in_time_s: u32::try_from(settings.in_time_ms(Some(name)) / 1000).unwrap_or(u32::MAX),
            ..BoardQueue::default()
        };
        let counted = day.queues.iter();
        let counted = counted.map(|(name, today)| (name.clone(), BoardQueue { today: count(today), ..queue(name) }));
        let mut queues: BTreeMap<String, BoardQueue> = counted.collect();
        let mut board = Board { complete, ..Board::default() };
        for face in self.book.open_calls().filter(|face| face.tenant == *tenant && !face.aside) {
            let waits = matches!(face.state, calls::face::CallState::Queued | calls::face::CallState::Ringing);
            match &face.queue {
                Some(name) if waits && face.answered_at.is_none() => {
                    board.calls.waiting += 1;
                    let one = queues.entry(name.clone()).or_insert_with(|| queue(name));
                    one.waiting += 1;
                    one.longest_since = [one.longest_since, face.queued_at].into_iter().flatten().min();
                    let label = face.line.as_ref().and_then(|line| line.queue_label.clone());
                    one.label = one.label.take().or(label);
                }
                _ if matches!(face.state, calls::face::CallState::Talking | calls::face::CallState::Held) => {
                    board.calls.talking += 1;
                }
                _ => board.calls.otherwise += 1,
            }
        }
        board.queues = queues.into_values().collect();
        board.hours = day.hours.iter().map(|(hour, today)| BoardHour { hour: *hour, today: count(today) }).collect();
        let firing = self.metrics.systems.firing().into_iter();
        board.alerts = firing.map(|Firing { alert, title, subject }| BoardAlert { alert, title, subject }).collect();
        let limits = &settings.limits;
        board.limits = BoardLimits {
            waiting: limits.waiting,
            longest_s: limits.longest_s,
            service_level: limits.service_level,
            abandonment: limits.abandonment,
        };
        board
    }

    /// How these agents stand, and what stands between them and a pop.
    #[must_use]
    pub fn people(&self, of: &[AgentId]) -> People {
        let told = self.devices.keys().cloned().collect();
        self.roster.people(of, &told, &self.directory)
    }

    /// Queues of a tenant, or of all: as a board has them. Of one that is named, the places in it too; those that are no agent's are shown to who sees the site.
    pub fn queues(&mut self, now: Now, tenant: Option<&TenantId>, of: Option<&str>) -> Vec<QueueNow> {
        let tenants: BTreeSet<TenantId> = match tenant {
            Some(tenant) => [tenant.clone()].into(),
            None => {
                let agents = self.directory.agents().map(|agent| agent.tenant.clone());
                let calls = self.book.open_calls().map(|face| face.tenant.clone());
                agents.chain(calls).chain(self.today.tenants().cloned()).collect()
            }
        };
        let mut all = Vec::new();
        for own in tenants {
            let mut board = self.board(now, &own);
            self.roster.put_members(&own, &mut board);
            for queue in board.queues.into_iter().filter(|queue| of.is_none_or(|of| queue.queue == of)) {
                let mut places = Vec::new();
                for post in of.into_iter().flat_map(|of| self.book.in_queue(of)).take(PLACES) {
                    let whose = self.book.whose(&post.switch, &post.member.device);
                    let agent = whose.as_ref().and_then(|(_, id)| self.directory.agent(id));
                    if agent.map_or(tenant.is_none(), |agent| agent.tenant == own) {
                        places.push(QueuePlace::new(post, agent.map(|agent| &**agent)));
                    }
                }
                all.push(QueueNow { tenant: own.clone(), now: queue, places });
            }
        }
        all
    }

    /// The daemon stops: how long agents were in their states is counted up to here.
    pub fn last(&mut self, now: Now) {
        self.roster.end_times(now);
        self.settle(now, None);
    }

    /// Outputs that still wait for the clerk.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.unsent.len()
    }

    /// Drains everybody until all are quiet. `arrived` is when the bytes that started this came.
    pub fn settle(&mut self, now: Now, arrived: Option<Now>) {
        loop {
            let mut busy = self.conclude(now, arrived);
            busy |= self.deliver(now);
            busy |= self.papers(now);
            if !busy {
                break;
            }
        }
        // No more than what is above the bound: a burst must not be paid for by the pop behind it.
        while self.later.len() > LATER
            && let Some(change) = self.later.pop_front()
        {
            self.write_down(now, &change);
        }
        self.papers(now);
        self.flush();
    }

    /// Shows what the book concluded; says whether there was anything.
    fn conclude(&mut self, now: Now, arrived: Option<Now>) -> bool {
        self.turns(now, None);
        let mut changes: Vec<Change> = std::iter::from_fn(|| self.book.next_change()).collect();
        let merged: Vec<(CallId, CallId)> = changes
            .iter()
            .filter_map(|c| if let What::Absorbed { into } = c.what { Some((c.call, into)) } else { None })
            .collect();
        for change in &mut changes {
            if let What::Absorbed { into } = &mut change.what {
                // Of several that became one at once, the one that is left.
                for _ in 0..merged.len() {
                    let Some((_, next)) = merged.iter().find(|(gone, _)| gone == into) else { break };
                    *into = *next;
                }
            }
        }
        let any = !changes.is_empty();
        for change in changes {
            self.change(now, &change, arrived);
            self.later.push_back(change);
        }
        any
    }

    /// Whether [`Core::work`] has something to do.
    #[must_use]
    pub fn has_work(&self) -> bool {
        !self.later.is_empty()
    }

    /// Writes down one change: the pop's way is free again after each.
    pub fn work(&mut self, now: Now) {
        if let Some(change) = self.later.pop_front() {
            self.write_down(now, &change);
            self.settle(now, None);
        }
    }

    /// Everything that happened is at the desk, before something that builds on it.
    fn catch_up(&mut self, now: Now) {
        while let Some(change) = self.later.pop_front() {
            self.write_down(now, &change);
        }
        self.papers(now);
    }

    /// What the desk has for the clerk; says whether there was any.
    fn papers(&mut self, now: Now) -> bool {
        let mut busy = false;
        while let Some(output) = self.desk.output() {
            busy = true;
            match output {
                records::Output::Refused { token, reason, passes } if token >= OF_FLOWS => {
                    // What passes is asked for again.
                    if let Some(of) = self.inscribing.remove(&token).filter(|_| !passes) {
                        let batch =
                            Box::new(Batch { flow_words: vec![of.refused(reason, now.wall)], ..Batch::default() });
                        self.unsent.push_back(records::Output::Submit { batch, tokens: Vec::new() });
                    }
                }
                records::Output::Refused { token, reason, .. } => {
                    tracing::warn!(reason, "what an agent said was refused");
                    self.roster.committed(now, Token(token), false);
                }
                records::Output::Submit { mut batch, tokens } => {
                    // A flow that a record begins is durable with it, and that a flow's words stand in it.
                    self.flows.starter().written(&mut batch, now.wall, &self.directory);
                    let mut agents = Vec::new();
                    for row in &batch.records {
                        let (tenant, body) = (&row.tenant, row.body.expose());
                        let (first, ended) = (row.revision == 1, row.ended_at.unwrap_or(now.wall));
                        let written = kpis::Written { tenant, call: row.call, ended, first, body };
                        let others = self.today.take(now.wall, written).into_iter();
                        agents.extend(others.map(|agent| (tenant.clone(), agent)));
                        if first {
                            self.callers.take(now.wall, tenant, ended, body);
                            self.roster.stir(now);
                        }
                    }
                    if !agents.is_empty() {
                        self.own_days(now, agents);
                    }
                    let told = tokens.iter().filter_map(|token| self.inscribing.remove(token));
                    batch.flow_words.extend(told.map(|of| of.written(now.wall)));
                    self.unsent.push_back(records::Output::Submit { batch, tokens });
                }
                output @ records::Output::Load(_) => self.unsent.push_back(output),
            }
        }
        busy
    }

    fn search(&mut self, now: Now, search: Search) {
        if let Err(e) = self.outs.searches.try_send(search) {
            let (mpsc::error::TrySendError::Full(search) | mpsc::error::TrySendError::Closed(search)) = e;
            let too_many = "too many searches at once".to_owned();
            match search.what {
                Sought::Customers => self.roster.found(now, search.token, Err(too_many)),
                Sought::Tickets(_) => self.roster.tickets_found(now, search.token, Err(too_many)),
            }
        }
    }

    /// Hands what waits to the clerk, as much as he has room for.
    pub fn flush(&mut self) {
        while let Some(output) = self.unsent.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(output) | mpsc::error::TrySendError::Closed(output)) =
                self.outs.outputs.try_send(output)
            {
                self.unsent.push_front(output);
                return;
            }
        }
    }

    /// Gives the roster's outputs away; says whether there were any.
    fn deliver(&mut self, now: Now) -> bool {
        let mut busy = false;
        while let Some(output) = self.roster.drain(now) {
            busy = true;
            match output {
                Output::Deliver(deliver) => self.outs.screens.deliver(deliver),
                Output::Close(screen) => self.outs.screens.too_many(screen),
                Output::Ask(ask) => self.asked(now, ask),
            }
        }
        busy
    }

    /// A change on screens.
    fn change(&mut self, now: Now, change: &Change, arrived: Option<Now>) {
        let call = change.call;
        if let What::Absorbed { into } = change.what {
            // The book knows it only as the other by now; on screens it still has its own id.
            if let Some(face) = self.book.face(into) {
                self.roster.change(now, change, face, None, &self.directory);
                self.deliver(now);
            }
            self.traces.change(now, change, |_| 0);
            return;
        }
        let Some(face) = self.book.face(call) else { return };
        if let Some(question) = self.question(change, face) {
            self.ask(now, &question);
        }
        let Some(face) = self.book.face(call) else { return };
        if matches!(change.what, What::Offered(_) | What::Informed) {
            called_before(&mut self.callers, &mut self.roster, now, face);
        }
        let card = self.cards.get(&call).map(|(_, card)| card);
        let pop = arrived.filter(|_| matches!(change.what, What::Offered(_)));
        let observe = |metrics: &Metrics, stage| {
            if let Some(arrived) = pop {
                let seconds = crate::live::now().mono.0.saturating_sub(arrived.mono.0) as f64 / 1e6;
                metrics.pop_seconds.get_or_create(&watch::Stage { stage }).observe(seconds);
            }
        };
        observe(&self.metrics, "concluded");
        self.roster.change(now, change, face, card, &self.directory);
        let creates = |line: &TrunkRow| matches!(line.no_match, NoMatch::CreateAfterS(_));
        if matches!(change.what, What::Established(_)) && face.line.as_deref().is_some_and(creates) {
            let face = face.clone();
            self.plan_create(now, &face);
        }
        self.deliver(now);
        observe(&self.metrics, "framed");
        self.roster.stir(now);
        if pop.is_some() {
            self.metrics.pops.inc();
        }
        if let Some(face) = self.book.face(call) {
            self.traces.change(now, change, |agent| self.roster.screens_of(&face.tenant, agent));
        }
    }

    /// A change for the desk, with what it wants to know of the call as it stands by now.
    fn write_down(&mut self, now: Now, change: &Change) {
        let call = change.call;
        let Some(face) = self.book.face(call) else {
            if let What::Absorbed { into } = &change.what {
                self.desk.change(now, change, None, None, None);
                self.customers.forget(call);
                self.cards.remove(&call);
                self.asked.remove(&call);
                self.carded.remove(&call);
                tracing::debug!(%call, %into, "a call proved to be part of another");
            }
            return;
        };
        // Of several changes that wait, the last tells where the call stands. Its end is always told.
        let over = matches!(change.what, What::Ended | What::Amended);
        let again = |other: &Change| other.call == call && records::wants_record(&other.what);
        let wants = records::wants_record(&change.what) && (over || !self.later.iter().take(64).any(again));
        let record = wants.then(|| self.book.record(call)).flatten();
        let checkpoint = (wants && !over).then(|| self.book.checkpoint(call)).flatten();
        let checkpoint = checkpoint.and_then(|c| serde_json::value::to_raw_value(&c).ok()).map(Private::new);
        let story = (matches!(change.what, What::Ended) && self.unsent.len() < STORIES)
            .then(|| self.traces.keep_ms())
            .flatten()
            .map(|keep| {
                let card = self.cards.get(&call).map(|(_, card)| &**card);
                let asked = self.customers.take_looked(call);
                let trace = self.traces.finish(face, record.as_ref(), card, asked);
                let body = Private::new(serde_json::to_string(&trace).unwrap_or_default());
                let (at, until) = (now.wall, now.wall.plus_ms(keep));
                TraceRow { tenant: trace.tenant, call, at, until, body }
            });
        self.desk.change(now, change, Some(face), record, checkpoint);
        let flows = self.flows.starter().changed(change, face, || self.customer(call), &self.directory);
        if !flows.is_empty() {
            let batch = Box::new(Batch { flows, ..Batch::default() });
            self.unsent.push_back(records::Output::Submit { batch, tokens: Vec::new() });
        }
        if let Some(row) = story {
            let batch = Box::new(Batch { traces: vec![row], ..Batch::default() });
            self.unsent.push_back(records::Output::Submit { batch, tokens: Vec::new() });
        }
        if self.carded.remove(&call)
            && let Some((_, card)) = self.cards.get(&call)
        {
            self.desk.card(now, call, card);
        }
        match &change.what {
            What::Ended => {
                self.metrics.records.inc();
                self.forget.push_back((now.mono.plus_ms(CARD_MS), call));
                tracing::debug!(%call, switch = %face.switch, "a call ended");
            }
            what => tracing::debug!(%call, switch = %face.switch, what = word(what), "a call changed"),
        }
    }

    /// Who calls, as flows see it: the record of the system that knew them first, and those of all systems under `at`.
    fn customer(&self, call: CallId) -> serde_json::Value {
        match self.cards.get(&call).map(|(_, card)| &card.answer) {
            Some(Answer::Found(person)) => flows::start::customer(person),
            _ => serde_json::Value::Null,
        }
    }

    /// A call's checkpoint as it stands now, before what an agent said is called durable.
    fn keep(&mut self, now: Now, call: CallId) {
        let Some(face) = self.book.face(call) else { return };
        let checkpoint = self.book.checkpoint(call);
        let checkpoint = checkpoint.and_then(|c| serde_json::value::to_raw_value(&c).ok()).map(Private::new);
        let change = Change { call, at: now, what: What::Informed };
        self.desk.change(now, &change, Some(face), self.book.record(call), checkpoint);
    }

    /// What is to be asked for a call now, if its number or its account is new.
    fn question(&self, change: &Change, face: &Face) -> Option<Question> {
        let number = &caller(face)?;
        let over = matches!(change.what, What::Ended | What::Amended | What::Absorbed { .. });
        let same = self.asked.get(&change.call).is_some_and(|asked| *asked == asked_for(number, face));
        if over || same && !self.customers.moves(change.call, || question(&self.book, face)) {
            return None;
        }
        if !self.asked.contains_key(&change.call) {
            self.unmapped(change.at.wall, face);
        }
        question(&self.book, face)
    }

    /// The story so far of a call that is up.
    #[must_use]
    pub fn trace(&self, call: CallId) -> Option<Trace> {
        let face = self.book.face(call)?;
        let card = self.cards.get(&call).map(|(_, card)| &**card);
        let record = self.book.record(call);
        Some(self.traces.so_far(face, record.as_ref(), card, self.customers.looked(call)))
    }

    /// Counts an inbound call to a number that no row of trunks.yaml takes; each number is told once.
    fn unmapped(&self, now: Wall, face: &Face) {
        let Some(dialled) = face.dialled.as_ref().filter(|_| face.line.is_none()).and_then(Number::key) else { return };
        if face.direction != Some(calls::record::Direction::Inbound) {
            return;
        }
        self.metrics.unmapped.inc();
        let mut lines = self.metrics.unmapped_lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.seen(now, &face.switch, face.trunk.as_deref(), dialled) {
            let (switch, trunk) = (&face.switch, face.trunk.as_deref().unwrap_or_default());
            // A line of the site's own, unless a trunk is used to pass calls on: a person's number stays out of the logs.
            let own = [Class::Geographic, Class::SharedCost, Class::TollFree, Class::Service, Class::Extension];
            let class = face.dialled.as_ref().map_or(Class::Unknown, |n| n.class);
            let dialled = if own.contains(&class) { dialled } else { "(see /v1/trunks/unmapped)" };
            tracing::warn!(%switch, trunk, dialled, "calls come to a number that has no row in trunks.yaml; told once a number");
        }
    }

    /// The digits that the rules of the switch make of what was asked for.
    fn written(&self, dial: &calls::command::Dial) -> Result<String, Failure> {
        let rules = self.book.rules(&dial.switch).ok_or(Failure::SwitchUnavailable)?;
        digits(rules, &rules.plan.read(dial.number.expose()))
    }

    /// What would be asked of this caller if they called now.
    pub fn asking(&self, caller: &Caller) -> Option<Asking> {
        let known = |switch: &&SwitchId| {
            self.book.rules(switch).is_some_and(|rules| rules.tenant == caller.tenant)
                && caller.switch.as_ref().is_none_or(|wanted| wanted == *switch)
        };
        let switch = self.switches.iter().find(known)?.clone();
        let number = self.book.number(&switch, caller.from.expose())?;
        let line = caller.to.as_ref().and_then(|to| self.book.line(&switch, caller.trunk.as_deref(), to.expose()));
        let refused = not_asked(&self.book, &switch, &number);
        let systems = line.as_ref().and_then(|line| line.connectors.clone());
        let language = line.and_then(|line| line.language.clone());
        let around = Around { trunk: caller.trunk.clone(), ..Around::default() };
        let question =
            Question { refused, systems, around, ..Question::by_number(caller.tenant.clone(), caller.id, number) };
        Some(Asking { switch, question, language })
    }

    /// The device of an agent at this switch: the seat that is taken, else the first of the directory.
    pub fn device_of(&self, tenant: &TenantId, agent: &AgentId, switch: &SwitchId) -> Option<String> {
        let seat = self.book.seats().of(tenant, agent).filter(|seat| seat.switch == *switch);
        seat.map(|seat| seat.device.clone()).or_else(|| {
            let agent = self.directory.agent(agent).filter(|agent| agent.tenant == *tenant)?;
            agent.devices.iter().find_map(|device| match device {
                Device::At { switch: at, name } if at.as_ref().is_none_or(|at| at == switch) => Some(name.clone()),
                _ => None,
            })
        })
    }

    /// Whether the number may be called now, which colleagues always may.
    fn may_dial(&mut self, now: Now, dial: &calls::command::Dial) -> Result<(), Failure> {
        let rules = self.book.rules(&dial.switch).ok_or(Failure::SwitchUnavailable)?;
        let number = rules.plan.read(dial.number.expose());
        if self.book.is_internal(&dial.switch, &number) {
            return Ok(());
        }
        self.guard.dial(now, &dial.request, outside(rules, &dial.switch, &number))
    }

    /// A verb on a call, with the legs it is about, to the switch that has them.
    fn act(&mut self, now: Now, errand: agents::Errand) -> Result<(), Failure> {
        let agents::Errand { request, asker: (tenant, agent), call, of, device, mut verb } = errand;
        let parked = (verb == Verb::Pickup).then(|| self.book.parked(call)).flatten();
        let hand = parked.or_else(|| self.book.hand(call, &of)).ok_or(Failure::CallOver)?;
        if let Verb::Transfer(to) | Verb::Consult(to) = &mut verb {
            *to = self.target(now, &hand.switch, to)?;
        }
        // Who fetches a call has it from the first ring of their phone.
        let into = match verb {
            Verb::Pickup => Some(&hand.own),
            Verb::Take => Some(hand.with.as_ref().ok_or(Failure::CallOver)?),
            _ => None,
        };
        if let Some(leg) = into {
            self.book.expect_in(now, &request, &leg.id);
        }
        let Hand { switch, own, with } = hand;
        let link = self.outs.commands.get(&switch).ok_or(Failure::SwitchUnavailable)?;
        let act = Act { request, tenant, switch, agent, call, device, own, with, verb };
        link.try_send(Command::Act(act)).map_err(|_| Failure::SwitchUnavailable)
    }

    /// Where a call is sent, as this switch dials it: extensions and codes as they are, numbers outside by its rules, and only where they may be called now.
    fn target(&mut self, now: Now, switch: &SwitchId, to: &Target) -> Result<Target, Failure> {
        let rules = self.book.rules(switch).ok_or(Failure::SwitchUnavailable)?;
        let number = rules.plan.read(to.expose());
        if self.book.is_internal(switch, &number) {
            return Ok(to.clone());
        }
        let short = to.expose().len() <= SHORT && !to.expose().starts_with('+');
        let public = matches!(number.class, Class::Service | Class::Emergency);
        if short && !public {
            return Ok(to.clone());
        }
        let written =
            if short { None } else { Some(Target::new(&digits(rules, &number)?).ok_or(Failure::UnknownTarget)?) };
        self.guard.send(now, outside(rules, switch, &number))?;
        Ok(written.unwrap_or_else(|| to.clone()))
    }

    /// Goes out before the frame is made: what the cache holds is in the first frame.
    fn ask(&mut self, now: Now, question: &Question) {
        let call = question.call;
        let card = self.customers.ask(question);
        let key = self.book.face(call).map(|face| asked_for(&question.number, face));
        self.asked.insert(call, key.unwrap_or_default());
        self.carded.insert(call);
        self.roster.card(now, call, &card);
        // Version 0: whatever comes through the channel is newer.
        self.cards.insert(call, (0, card));
    }

    fn seat(&mut self, now: Now, (tenant, agent): (TenantId, AgentId), claim: Option<SeatClaim>, token: Token) {
        let Some(claim) = claim else {
            self.book.leave_seat(now, &tenant, &agent);
            return self.turns(now, Some(token));
        };
        let named = claim.switch.map(SwitchId::from).or_else(|| self.directory.seat_switch(&claim.device).cloned());
        let only = if let [one] = self.switches.as_slice() { Some(one.clone()) } else { None };
        let taken = match named.or(only).filter(|switch| self.switches.contains(switch)) {
            None => Err(Refusal::NoSeat),
            Some(switch) => {
                let wish = Wish { tenant, agent, switch, device: claim.device, how: How::Page };
                let roster = &self.roster;
                self.book.take_seat(now, wish, |sitting| roster.is_there(now, &sitting.tenant, &sitting.agent))
            }
        };
        match taken {
            Ok(()) => self.turns(now, Some(token)),
            Err(why) => self.roster.no_seat(now, token, &why, &self.directory),
        }
    }

    /// Seats that were taken and left: to the screens at once, and to disk. With a token even where nothing changed: what was asked for is
    /// durable when everything before it is.
    fn turns(&mut self, now: Now, token: Option<Token>) {
        let mut batch = Batch::default();
        while let Some(turn) = self.book.next_turn() {
            self.roster.seated(now, &turn);
            let Sitting { tenant, agent, .. } = &turn.sitting;
            let posts = self.book.posts(tenant, agent);
            self.roster.posts(now, &(tenant.clone(), agent.clone()), posts);
            self.outs.places.send_modify(|places| places.turn(&turn));
            let (row, audit) = seat_rows(&turn);
            // Who it is stands in the audit.
            tracing::debug!(switch = %row.switch, device = row.device, how = row.how, why = row.why, "a seat was taken or left");
            batch.seats.push(row);
            batch.audit.push(audit);
        }
        if !batch.is_empty() || token.is_some() {
            self.phones(now);
            let tokens = token.iter().map(|token| token.0).collect();
            self.unsent.push_back(records::Output::Submit { batch: Box::new(batch), tokens });
        }
    }

    fn restore_seats(&mut self, now: Now, rows: Vec<SeatRow>) {
        let sittings: Vec<Sitting> = rows.into_iter().filter_map(sitting).collect();
        self.book.restore_seats(now, sittings);
        for sitting in self.book.seats().all().cloned().collect::<Vec<_>>() {
            let turn = Turn { sitting, left: None };
            self.roster.seated(now, &turn);
            self.outs.places.send_modify(|places| places.turn(&turn));
        }
        self.turns(now, None);
    }

    /// The number of the callback that a dial is for, which is this agent's from now on.
    fn called_back(&mut self, now: Now, dial: &calls::command::Dial) -> Result<Option<Private<String>>, Failure> {
        let Some(reference) = dial.reference.as_ref().filter(|r| r.is_callback()) else { return Ok(None) };
        let id = reference.id.parse().map_err(|_| Failure::UnknownTarget)?;
        self.catch_up(now);
        let claimed = self.desk.callback(now, (&dial.tenant, id), &dial.agent, &callbacks::Wish::Claim, None);
        claimed.map_err(|refused| match refused {
            callbacks::Refused::Unknown => Failure::UnknownTarget,
            callbacks::Refused::Claimed | callbacks::Refused::NotYours => Failure::NotPermitted,
        })?;
        Ok(Some(self.desk.callbacks().number(&dial.tenant, id).ok_or(Failure::UnknownTarget)?.clone()))
    }

    /// A flow stands elsewhere than before.
    pub fn flow(&mut self, now: Now, view: flows::View) {
        self.roster.flow(now, view, &self.directory);
        self.settle(now, None);
    }

    /// A flow writes into a call's record. The desk's batch carries the word that it is written; until that is on disk the flow asks again.
    pub fn inscribe(&mut self, now: Now, wish: Inscription) {
        let call = wish.call;
        let here = |core: &Self| core.book.face(call).is_some_and(|face| face.tenant == wish.tenant);
        if here(self) {
            self.book.told(now, call, &wish.values);
            self.conclude(now, None);
        } else {
            self.roster.told(now, &wish.tenant, call, &wish.values);
        }
        self.catch_up(now);
        if here(self) {
            self.keep(now, call);
        }
        if self.inscribing.len() >= INSCRIBING {
            self.inscribing.pop_first();
        }
        self.inscribed += 1;
        let command = records::Command {
            tenant: wish.tenant.clone(),
            call,
            agent: records::by_flow(&wish.flow),
            said: records::Said::Told(wish.values.clone()),
        };
        self.inscribing.insert(self.inscribed, wish);
        self.desk.command(now, command, self.inscribed);
        self.settle(now, None);
    }

    /// What an agent says of flows is a row of the store before it is answered; whoever carries flows on hears it there.
    fn flow_asked(&mut self, now: Now, ask: agents::FlowAsk, token: Token) {
        let mut batch = Batch::default();
        match ask {
            agents::FlowAsk::Start { call, press } => {
                let face = call.and_then(|call| self.book.face(call));
                let customer = call.map_or(serde_json::Value::Null, |call| self.customer(call));
                let (tenant, who) = (press.tenant.clone(), press.agent.to_string());
                match self.flows.starter().pressed(press, face, customer, &self.directory, now.wall) {
                    Err(refused) => return self.roster.no_flow(now, token, &refused),
                    Ok(row) => {
                        self.roster.flow_begun(token, &row.id);
                        let (what, about) = ("flow.start".to_owned(), row.id.clone());
                        batch.audit.push(AuditRow {
                            tenant,
                            at: now.wall,
                            who,
                            what,
                            about,
                            reason: Some(row.flow.clone()),
                        });
                        batch.flows.push(row);
                    }
                }
            }
            agents::FlowAsk::Say { tenant, flow, word, request } => {
                let id = format!("{} {flow} {request}", word.who);
                batch.flow_words.push(word.row(&tenant, &flow, id, now.wall));
            }
        }
        self.unsent.push_back(records::Output::Submit { batch: Box::new(batch), tokens: vec![token.0] });
    }

    fn asked(&mut self, now: Now, ask: Ask) {
        match ask {
            Ask::Record(command, token) => {
                if let records::Said::Attribute { name, value } = &command.said {
                    self.book.write(now, command.call, name, value.expose());
                    self.conclude(now, None);
                }
                self.catch_up(now);
                if matches!(command.said, records::Said::Attribute { .. }) {
                    self.keep(now, command.call);
                }
                self.desk.command(now, command, token.0);
            }
            Ask::Dial(mut dial) => {
                let request = dial.request.clone();
                match self.called_back(now, &dial) {
                    Ok(Some(number)) => dial.number = number,
                    Ok(None) => {}
                    Err(failure) => return self.roster.dialled(now, &request, Err(failure)),
                }
                match self.written(&dial).and_then(|digits| self.may_dial(now, &dial).map(|()| digits)) {
                    Ok(digits) => dial.number = Private::new(digits),
                    Err(failure) => return self.roster.dialled(now, &request, Err(failure)),
                }
                self.book.expect(now, dial.clone());
                let sent =
                    self.outs.commands.get(&dial.switch).is_some_and(|c| c.try_send(Command::Dial(dial)).is_ok());
                if !sent {
                    self.book.forget_expected(&request);
                    self.roster.dialled(now, &request, Err(Failure::SwitchUnavailable));
                }
            }
            Ask::Callbacks { key, screen, id, most } => {
                let agent = self.directory.agent(&key.1).filter(|agent| agent.tenant == key.0);
                let teams = agent.map_or(&[][..], |agent| &agent.teams);
                let (open, list) = self.desk.callbacks().list(&key.0, teams, most);
                self.roster.callbacks(now, (&key, screen, &id), (open, &list), &self.directory);
            }
            Ask::Callback { key: (tenant, agent), id, wish, token } => {
                if let Err(refused) = self.desk.callback(now, (&tenant, id), &agent, &wish, Some(token.0)) {
                    self.roster.no_callback(now, token, refused);
                }
            }
            Ask::Flows { key, screen, id } => {
                let starter = self.flows.starter();
                self.roster.flows_listed(now, (&key, screen, &id), &starter, &self.directory);
            }
            Ask::Flow(ask, token) => self.flow_asked(now, *ask, token),
            Ask::Act(errand) => {
                let request = errand.request.clone();
                if let Err(failure) = self.act(now, errand) {
                    self.book.forget_expected(&request);
                    self.roster.acted(now, &request, Err(failure), &self.directory);
                }
            }
            Ask::Attend(attendance) => {
                let request = attendance.request.clone();
                let link = self.outs.commands.get(&attendance.switch);
                if link.is_none_or(|link| link.try_send(Command::Attend(attendance)).is_err()) {
                    self.roster.attended(now, &request, &Err(Failure::SwitchUnavailable));
                }
            }
            Ask::Keep { key: (tenant, agent), kept, token } => {
                let state = word_of(kept.is.state);
                let row = StateRow { tenant, agent, state, reason: kept.is.reason, since: kept.since };
                let batch = Box::new(Batch { states: vec![row], ..Batch::default() });
                let tokens = token.iter().map(|token| token.0).collect();
                self.unsent.push_back(records::Output::Submit { batch, tokens });
            }
            Ask::ByHand { key: (tenant, agent), call, kind, count, token } => {
                let row = OperationRow { tenant, call, agent, kind: word_of(kind), count, at: now.wall };
                let batch = Box::new(Batch { operations: vec![row], ..Batch::default() });
                self.unsent.push_back(records::Output::Submit { batch, tokens: vec![token.0] });
            }
            Ask::Board(tenants) => {
                let boards = tenants.into_iter().map(|tenant| (tenant.clone(), self.board(now, &tenant))).collect();
                self.roster.board(now, boards, &self.directory);
            }
            Ask::Lasted(lasted) => {
                let rows = lasted.into_iter().flat_map(|one| {
                    let agents::Lasted { tenant, agent, state, from, to } = one;
                    let days = kpis::by_day(&self.zone, from, to).into_iter();
                    let state = word_of(state);
                    days.map(move |(day, ms)| {
                        let (tenant, agent, state) = (tenant.clone(), agent.clone(), state.clone());
                        TimeRow { tenant, agent, day, state, ms }
                    })
                });
                let batch = Box::new(Batch { times: rows.collect(), ..Batch::default() });
                self.unsent.push_back(records::Output::Submit { batch, tokens: Vec::new() });
            }
            Ask::Overran { key: (_, agent) } => {
                self.metrics.overruns.inc();
                tracing::debug!(%agent, "not ready for longer than the reason allows");
            }
            Ask::Recording { asker, call, recording, token } => {
                // What was said of its end is at the desk first: the record is asked for in the moment in which the call is over.
                self.catch_up(now);
                let known = self.desk.ended(&asker.tenant, call).cloned().map(Box::new);
                let directory = self.directory.clone();
                let ask = recordings::Ask { token: token.0, asker, call, recording, known, directory };
                if self.outs.recordings.try_send(ask).is_err() {
                    self.roster.linked(now, token, Err(recordings::Refused::Unavailable));
                }
            }
            Ask::Audit(deeds) => {
                let row = AuditRow {
                    tenant: deeds.asker.0,
                    at: now.wall,
                    who: deeds.asker.1.to_string(),
                    what: deeds.deed.word().to_owned(),
                    about: match deeds.about {
                        Some(agents::About::Call(call)) => call.to_string(),
                        Some(agents::About::Agent(agent)) => agent.to_string(),
                        None => String::new(),
                    },
                    reason: Some(deeds.result),
                };
                let batch = Box::new(Batch { audit: vec![row], ..Batch::default() });
                self.unsent.push_back(records::Output::Submit { batch, tokens: Vec::new() });
            }
            Ask::Viewed(View { tenant, agent, customer, call, place }) => {
                let call = call.map(|call| format!(", call {call}")).unwrap_or_default();
                let row = AuditRow {
                    tenant,
                    at: now.wall,
                    who: agent.to_string(),
                    what: "customer.viewed".to_owned(),
                    about: customer,
                    reason: Some(format!("{place}{call}")),
                };
                let batch = Box::new(Batch { audit: vec![row], ..Batch::default() });
                self.unsent.push_back(records::Output::Submit { batch, tokens: Vec::new() });
            }
            Ask::Seat { tenant, agent, claim, token } => self.seat(now, (tenant, agent), claim, token),
            Ask::Choose { call, choice, .. } => self.customers.choose(call, choice),
            Ask::Search { tenant, query, token, .. } => {
                self.search(now, Search { tenant, query, what: Sought::Customers, token });
            }
            Ask::Tickets { tenant, query, customers, token } => {
                self.search(now, Search { tenant, query, what: Sought::Tickets(customers), token });
            }
        }
    }
}

/// A number as the rules of the switch write it.
fn digits(rules: &Rules, number: &Number) -> Result<String, Failure> {
    rules.out.write(&rules.plan, number).map_err(|refused| match refused {
        Refused::ByRule => Failure::NotPermitted,
        Refused::NoNumber => Failure::UnknownTarget,
        Refused::Withheld | Refused::MessagePort | Refused::Invalid => Failure::NotDialable,
    })
}

fn outside<'a>(rules: &'a Rules, switch: &'a SwitchId, number: &'a Number) -> Outside<'a> {
    Outside { switch, zone: rules.zone.as_deref(), number, trunk: rules.out.trunk(&rules.plan, number) }
}

/// What is asked of the business systems for a call as it stands; nothing before there is a number (or the word that it is withheld).
#[must_use]
pub fn question(book: &Book, face: &Face) -> Option<Question> {
    let number = caller(face)?;
    let internal = face.direction == Some(calls::record::Direction::Internal);
    Some(Question {
        tenant: face.tenant.clone(),
        call: face.call,
        account: account(face),
        refused: if internal { Some(NotAsked::Internal) } else { not_asked(book, &face.switch, &number) },
        number,
        systems: face.line.as_ref().and_then(|line| line.connectors.clone()),
        around: Around {
            trunk: face.trunk.clone(),
            queue: face.queue.clone(),
            agents: face.agents.iter().map(|on| on.offer.agent.clone()).collect(),
        },
    })
}

/// A number that is nobody's outside.
fn not_asked(book: &Book, switch: &SwitchId, number: &Number) -> Option<NotAsked> {
    let own = || book.is_own_line(number).then_some(NotAsked::Own);
    if book.is_internal(switch, number) { Some(NotAsked::Internal) } else { own() }
}

/// Whose card a call has. A caller of whom the switch shows nothing while an agent's phone rings has none: the card says so and does not wait.
fn caller(face: &Face) -> Option<Number> {
    let shown = face.customer.clone();
    let nothing = face.direction == Some(calls::record::Direction::Inbound) && !face.agents.is_empty();
    shown.or_else(|| nothing.then(Number::anonymous))
}

/// What a question is about, to know when there is a new one: another number or account, or other systems because another line proved to be
/// called.
fn asked_for(number: &Number, face: &Face) -> String {
    let account = face.account.as_ref().map(|a| a.expose().as_str()).unwrap_or_default();
    let mut key = format!("{} {account}", number.key().unwrap_or_default());
    for system in face.line.iter().flat_map(|line| line.connectors.iter().flatten()) {
        key.push('\n');
        key.push_str(system.as_str());
    }
    key
}

/// The word by which a value goes over the wire and into the store.
fn word_of(value: impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Tells the roster how often the caller called before, where that is known and was not told.
fn called_before(callers: &mut kpis::Callers, roster: &mut Roster, now: Now, face: &Face) {
    let number = face.customer.as_ref().and_then(|n| n.e164.as_ref().or(n.raw.as_ref()));
    let inbound = face.direction == Some(calls::record::Direction::Inbound);
    let Some(number) = number.filter(|_| inbound && roster.lacks_before(face.call)) else { return };
    if let Some(kpis::Before { calls, last }) = callers.of(now.wall, &face.tenant, number.expose()) {
        roster.called_before(now, face.call, CalledBefore { days: kpis::DAYS, calls, last_at: last });
    }
}

/// An agent's state as it was when the last run ended.
pub fn kept_state(row: StateRow) -> Option<((TenantId, AgentId), agents::Kept)> {
    let state = serde_json::from_value(row.state.into()).ok()?;
    let is = agents::Available { state, reason: row.reason };
    Some(((row.tenant, row.agent), agents::Kept { is, since: row.since }))
}

/// A seat's row, and what the audit says of it.
fn seat_rows(turn: &Turn) -> (SeatRow, AuditRow) {
    let sitting = &turn.sitting;
    let how = word_of(sitting.how);
    let why = turn.left.map(|(_, why)| word_of(why));
    let row = SeatRow {
        tenant: sitting.tenant.clone(),
        agent: sitting.agent.clone(),
        switch: sitting.switch.clone(),
        device: sitting.device.clone(),
        from: sitting.from,
        to: turn.left.map(|(at, _)| at),
        how: how.clone(),
        why: why.clone(),
    };
    let audit = AuditRow {
        tenant: sitting.tenant.clone(),
        at: turn.left.map_or(sitting.from, |(at, _)| at),
        who: sitting.agent.to_string(),
        what: if why.is_some() { "seat.left" } else { "seat.taken" }.to_owned(),
        about: format!("{} {}", sitting.switch, sitting.device),
        reason: Some(why.unwrap_or(how)),
    };
    (row, audit)
}

/// A row as it was when the last run ended. The queues are told again by the switch.
fn sitting(row: SeatRow) -> Option<Sitting> {
    let how = serde_json::from_value(row.how.into()).ok()?;
    let SeatRow { tenant, agent, switch, device, from, .. } = row;
    Some(Sitting { tenant, agent, switch, device, from, how, queues: std::collections::BTreeSet::new() })
}

/// What the caller gave of themselves before an agent came.
fn account(face: &Face) -> Option<Private<String>> {
    face.account.clone().filter(|account| !account.expose().trim().is_empty())
}

const fn word(what: &What) -> &'static str {
    match what {
        What::Appeared => "appeared",
        What::Launched { .. } => "launched",
        What::Informed => "informed",
        What::Queued { .. } => "queued",
        What::Offered(_) => "offered",
        What::Withdrawn { .. } => "withdrawn",
        What::Established(_) => "established",
        What::Held { .. } => "held",
        What::Retrieved { .. } => "retrieved",
        What::Transferred { .. } => "transferred",
        What::Cleared { .. } => "cleared",
        What::Ended => "ended",
        What::Amended => "amended",
        What::Absorbed { .. } => "absorbed",
    }
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
