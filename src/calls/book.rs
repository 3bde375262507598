//! The book owns all calls: events in, changes out.
//!
//! Two doors: [`Book::take`] is told an event, [`Book::next_change`] is drained; [`Book::deadline`] says when [`Book::tick`] is due. The book is
//! still: it reads no clock. What it keeps is bounded: see the caps below.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use crate::{
    numbers::{DialOut, Number, Plan, TrunkMap},
    private::Private,
    words::{AgentId, CallId, Mono, Now, SwitchId, TenantId, Wall},
};

use super::{
    Attributes, Directory,
    attributes::Mapping,
    board::Board,
    call::Checkpoint,
    change::Change,
    command::Dial,
    directory::Device,
    edges::{Alone, Pair},
    event::{Event, Feed, Said},
    face::{Face, OpenLeg},
    facts::Moment,
    members::{Members, Post},
    record::Record,
    seats::{Refusal, Seats, Sitting, Turn, Wish},
};

/// Ended calls are kept for late facts (a second feed that lags, a switch's own record, a transferer's BYE). A transferer's dialog may
/// live a minute after the REFER (facts: Asterisk sends the BYE after about 60 s), but adds nothing by then.
pub const KEEP_MS: u64 = 60_000;
/// Legs known at one time, of all switches. 500 calls/s of three minutes are 90,000 calls; 300,000 legs are some 300 MB, the most we may take.
pub const LEGS: usize = 300_000;
/// Dials asked for and not seen yet.
const EXPECTED: usize = 10_000;
/// How long an asked-for dial's first leg may take to appear: longer than any switch rings.
const EXPECT_MS: u64 = 120_000;

/// How one switch's channels and numbers are to be read.
#[derive(Clone, Debug)]
pub struct Rules {
    pub tenant: TenantId,
    /// IANA zone of its calls, where the trunk's row names none.
    pub zone: Option<String>,
    pub plan: Plan,
    /// Endpoints that are trunks, `*` for any text: `PJSIP/trunk*`, or without technology `trunk*`.
    pub trunks: Vec<String>,
    /// Numbers of our own people, `X` for a digit, `*` for any text.
    pub internal: Vec<String>,
    /// What is kept of a call besides the call.
    pub attributes: Arc<Attributes>,
    /// How numbers are written for this switch to dial.
    pub out: Arc<DialOut>,
    /// Its part where another switch tells the same calls.
    pub pair: Pair,
    /// The switch as which its mirrored signalling is told, where its legs are known better from its own events: one that stands before it.
    pub mirror: Option<SwitchId>,
}

/// What may be swapped whole while calls run.
#[derive(Clone, Debug)]
pub struct Settings {
    pub directory: Arc<Directory>,
    pub trunks: Arc<TrunkMap>,
    pub switches: HashMap<SwitchId, Rules>,
    /// Where an event has no stamp: `true`, its arrival counts (live); `false`, there is no time (replay).
    pub arrival_times: bool,
}

/// All calls of all switches.
pub struct Book {
    pub(super) boards: HashMap<SwitchId, Board>,
    pub(super) desk: Desk,
}

/// What the boards share: settings, what goes out, and the count of everything.
pub(super) struct Desk {
    pub settings: Settings,
    pub changes: VecDeque<Change>,
    pub seats: Seats,
    pub turns: VecDeque<Turn>,
    pub members: Members,
    /// Devices whose places in queues are otherwise since they were asked for.
    pub placed: BTreeSet<(SwitchId, String)>,
    pub ids: HashMap<CallId, (SwitchId, u32)>,
    pub expected: HashMap<String, (Dial, Mono)>,
    /// Legs that were asked for to come into a call, by the request's id: a leg of that call.
    pub joining: HashMap<String, (String, Mono)>,
    pub legs: usize,
    pub refused: u64,
    /// Calls of edges that had no twin, oldest first: the PBX's own records may tell of them later.
    pub alone: VecDeque<Alone>,
    order: u64,
}

impl Book {
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let desk = Desk {
            settings,
            changes: VecDeque::new(),
            seats: Seats::default(),
            turns: VecDeque::new(),
            members: Members::default(),
            placed: BTreeSet::new(),
            ids: HashMap::new(),
            expected: HashMap::new(),
            joining: HashMap::new(),
            legs: 0,
            refused: 0,
            alone: VecDeque::new(),
            order: 0,
        };
        Self { boards: HashMap::new(), desk }
    }

    /// New directory, trunks and rules; calls that run keep what was concluded of them.
    pub fn reload(&mut self, settings: Settings) {
        self.desk.settings = settings;
        // Whose devices they are may be otherwise.
        self.desk.placed.extend(self.desk.members.devices());
    }

    /// One event of one switch. An event of a switch that is not in the settings is dropped.
    pub fn take(&mut self, now: Now, switch: &SwitchId, feed: Feed, event: Event) {
        let Some(rules) = self.desk.settings.switches.get(switch) else { return };
        if feed == Feed::Hep
            && let Some(mirror) = rules.mirror.clone()
        {
            return self.take(now, &mirror, feed, event);
        }
        let (edge, paired) = (matches!(rules.pair, Pair::Edge { .. }), rules.pair != Pair::Alone);
        self.desk.order += 1;
        let arrival = self.desk.settings.arrival_times.then_some(now.wall);
        let at = Moment { wall: event.at.or(arrival), order: self.desk.order };
        if let Said::LoggedOn(_) | Said::LoggedOff(_) | Said::Stands(_) | Said::Members(_) = event.said {
            return self.desk.login(at.wall.unwrap_or(now.wall), switch, &event.said);
        }
        if !self.boards.contains_key(switch) {
            self.boards.insert(switch.clone(), Board::new(switch.clone(), edge));
        }
        let hints = if paired { self.hints(switch, &event.said) } else { Vec::new() };
        let Some(board) = self.boards.get_mut(switch) else { return };
        match event.said {
            Said::Snapshot(snapshot) => board.merge(&mut self.desk, now, at, snapshot),
            said => board.join(&mut self.desk, now, at, feed, said),
        }
        for hint in hints {
            self.meet(now, switch, hint);
        }
    }

    /// The next conclusion, oldest first; drain until `None`.
    pub fn next_change(&mut self) -> Option<Change> {
        self.desk.changes.pop_front()
    }

    /// Who sits where.
    #[must_use]
    pub fn seats(&self) -> &Seats {
        &self.desk.seats
    }

    /// The next seat that was taken or left, oldest first; drain until `None`.
    pub fn next_turn(&mut self) -> Option<Turn> {
        self.desk.turns.pop_front()
    }

    /// The next device whose places in queues are otherwise than before; drain until `None`.
    pub fn next_placed(&mut self) -> Option<(SwitchId, String)> {
        self.desk.placed.pop_first()
    }

    /// Whose member of a queue this device is now.
    #[must_use]
    pub fn whose(&self, switch: &SwitchId, device: &str) -> Option<(TenantId, AgentId)> {
        let id = self.desk.member_at(switch, device)?;
        self.desk.settings.directory.agent(&id).map(|agent| (agent.tenant.clone(), id))
    }

    /// The places in a queue, at every switch.
    pub fn in_queue<'a>(&'a self, queue: &'a str) -> impl Iterator<Item = &'a Post> {
        self.desk.members.in_queue(queue)
    }

    /// An agent's places in queues, at all of the agent's devices.
    #[must_use]
    pub fn posts(&self, tenant: &TenantId, agent: &AgentId) -> Vec<Post> {
        let desk = &self.desk;
        let known = desk.settings.directory.agent(agent).filter(|known| known.tenant == *tenant);
        let mut devices: Vec<(&SwitchId, &str)> = Vec::new();
        for device in known.iter().flat_map(|known| &known.devices) {
            let Device::At { switch, name } = device else { continue };
            match switch {
                Some(switch) => devices.push((switch, name)),
                None => devices.extend(desk.settings.switches.keys().map(|switch| (switch, name.as_str()))),
            }
        }
        devices.extend(desk.seats.of(tenant, agent).map(|sitting| (&sitting.switch, sitting.device.as_str())));
        let mut posts: Vec<Post> = Vec::new();
        for (switch, device) in devices {
            for post in desk.members.at(switch, device) {
                let theirs = desk.member_at(switch, &post.member.device).as_ref() == Some(agent);
                if theirs && !posts.contains(post) {
                    posts.push(post.clone());
                }
            }
        }
        posts.sort_by(|a, b| (&a.switch, &a.member.queue).cmp(&(&b.switch, &b.member.queue)));
        posts
    }

    /// A person takes a seat; see [`Seats::take`]. Legs that appear from now on there are that person's.
    ///
    /// # Errors
    /// Why not; then nothing changed.
    pub fn take_seat(&mut self, now: Now, wish: Wish, there: impl FnOnce(&Sitting) -> bool) -> Result<(), Refusal> {
        let turns = self.desk.seats.take(now.wall, &self.desk.settings.directory, wish, there)?;
        self.desk.turns.extend(turns);
        Ok(())
    }

    /// A person gets up.
    pub fn leave_seat(&mut self, now: Now, tenant: &TenantId, agent: &AgentId) {
        let turns = self.desk.seats.leave(now.wall, tenant, agent);
        self.desk.turns.extend(turns);
    }

    /// Frees what is no seat any more by the settings.
    pub fn check_seats(&mut self, now: Now) {
        let turns = self.desk.seats.reload(now.wall, &self.desk.settings.directory);
        self.desk.turns.extend(turns);
    }

    /// Who sat where when we stopped.
    pub fn restore_seats(&mut self, now: Now, sittings: Vec<Sitting>) {
        self.desk.seats.restore(sittings);
        self.check_seats(now);
    }

    /// When `tick` is due next.
    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        self.boards.values().filter_map(Board::deadline).min()
    }

    /// Forgets what is over long enough.
    pub fn tick(&mut self, now: Now) {
        self.show_alone(now);
        for board in self.boards.values_mut() {
            board.tick(&mut self.desk, now);
        }
        self.desk.expected.retain(|_, (_, until)| *until > now.mono);
        self.desk.joining.retain(|_, (_, until)| *until > now.mono);
    }

    /// A call as it stands, while it lives and [`KEEP_MS`] after.
    #[must_use]
    pub fn face(&self, call: CallId) -> Option<&Face> {
        let (switch, key) = self.desk.ids.get(&call)?;
        self.boards.get(switch)?.face(*key)
    }

    /// The record as far as it is known: final (but for amendments) once the call has ended.
    #[must_use]
    pub fn record(&self, call: CallId) -> Option<Record> {
        let (switch, key) = self.desk.ids.get(&call)?;
        self.boards.get(switch)?.record(&self.desk.settings, *key)
    }

    /// All calls that have not ended.
    pub fn open_calls(&self) -> impl Iterator<Item = &Face> {
        self.boards.values().flat_map(Board::open_faces)
    }

    /// All legs of a switch that have not ended, under each of their ids.
    #[must_use]
    pub fn open_legs(&self, switch: &SwitchId) -> Vec<OpenLeg> {
        self.boards.get(switch).map(|board| board.open_legs().collect()).unwrap_or_default()
    }

    /// Legs in the book, and legs refused because it was full.
    #[must_use]
    pub fn counts(&self) -> (usize, u64) {
        (self.desk.legs, self.desk.refused)
    }

    /// What must be durable so that a restart finds the same call; small, to be taken at `Appeared` and after later changes.
    #[must_use]
    pub fn checkpoint(&self, call: CallId) -> Option<Checkpoint> {
        let (switch, key) = self.desk.ids.get(&call)?;
        self.boards.get(switch)?.checkpoint(*key)
    }

    /// Puts back what was open when we stopped, before the first snapshot. Says no change: who restores knows these calls. The first snapshot
    /// of the switch then goes on with them or ends them as lost.
    pub fn restore(&mut self, checkpoints: Vec<Checkpoint>) {
        for checkpoint in checkpoints {
            let last =
                checkpoint.facts.legs.iter().map(|l| l.created.order).fold(checkpoint.facts.last.order, u64::max);
            self.desk.order = self.desk.order.max(last);
            let switch = checkpoint.switch.clone();
            let edge = self.rules(&switch).is_some_and(|rules| matches!(rules.pair, Pair::Edge { .. }));
            let legs: Vec<String> = checkpoint.facts.legs.iter().map(|leg| leg.id.clone()).collect();
            let board = self.boards.entry(switch.clone()).or_insert_with(|| Board::new(switch.clone(), edge));
            board.restore(&mut self.desk, checkpoint);
            for leg in legs {
                self.known_by(&switch, &leg, None);
            }
        }
    }

    /// A dial that was asked of a switch: its first leg will have the request's id, and is then known to be this.
    pub fn expect(&mut self, now: Now, dial: Dial) {
        if self.desk.expected.len() < EXPECTED {
            self.desk.expected.insert(dial.request.0.clone(), (dial, now.mono.plus_ms(EXPECT_MS)));
        }
    }

    /// A leg was asked for that comes into the call of `leg`: who picks a call up or takes it over has it from the first ring.
    pub fn expect_in(&mut self, now: Now, request: &super::command::RequestId, leg: &str) {
        if self.desk.joining.len() < EXPECTED {
            self.desk.joining.insert(request.0.clone(), (leg.to_owned(), now.mono.plus_ms(EXPECT_MS)));
        }
    }

    /// The dial will not come: the switch refused it.
    pub fn forget_expected(&mut self, request: &super::command::RequestId) {
        self.desk.expected.remove(&request.0);
        self.desk.joining.remove(&request.0);
    }

    /// What an agent wrote under a name that the switch's file lets agents write. Nothing happens where the call is not known (any more), or
    /// the name or the value is none: who asks has looked before.
    pub fn write(&mut self, now: Now, call: CallId, name: &str, value: &str) {
        self.put(now, call, name, value, Attributes::writable);
    }

    /// The same, of a flow.
    pub fn told(&mut self, now: Now, call: CallId, values: &BTreeMap<String, Private<String>>) {
        let switch = self.desk.ids.get(&call).map(|(switch, _)| switch);
        let declared = switch.and_then(|switch| Some(self.desk.settings.switches.get(switch)?.attributes.clone()));
        if declared.is_none_or(|declared| declared.refused(values).is_some()) {
            return;
        }
        for (name, value) in values {
            self.put(now, call, name, value.expose(), Attributes::by_flows);
        }
    }

    fn put(
        &mut self,
        now: Now,
        call: CallId,
        name: &str,
        value: &str,
        may: for<'a> fn(&'a Attributes, &str) -> Option<&'a Mapping>,
    ) {
        let Some((switch, key)) = self.desk.ids.get(&call).cloned() else { return };
        let Some(rules) = self.desk.settings.switches.get(&switch) else { return };
        let declared = rules.attributes.clone();
        let Some(mapping) = may(&declared, name).filter(|m| m.takes(value)) else { return };
        self.desk.order += 1;
        let at = Moment { wall: Some(now.wall), order: self.desk.order };
        if let Some(board) = self.boards.get_mut(&switch) {
            board.write(&mut self.desk, now, at, key, mapping, value);
        }
    }

    /// How a switch's numbers are read and written; `None` for one that is not in the settings.
    #[must_use]
    pub fn rules(&self, switch: &SwitchId) -> Option<&Rules> {
        self.desk.rules(switch)
    }

    /// The rows of trunks.yaml as they are in force.
    #[must_use]
    pub fn trunks(&self) -> &TrunkMap {
        &self.desk.settings.trunks
    }

    /// Whether the switch's file calls this number internal: `internal:` patterns over the number as it came.
    #[must_use]
    pub fn is_internal(&self, switch: &SwitchId, number: &Number) -> bool {
        let raw = number.raw.as_ref().map(|raw| raw.expose().as_str()).unwrap_or_default();
        let rules = self.desk.rules(switch);
        rules.is_some_and(|rules| rules.internal.iter().any(|pattern| fits(pattern, raw, true)))
    }

    /// Whether the number is one of our own lines (trunks.yaml).
    #[must_use]
    pub fn is_own_line(&self, number: &Number) -> bool {
        self.desk.settings.trunks.is_ours(number)
    }

    /// Ends every open call of a switch as lost: it was taken out of the settings, or the capture is over.
    pub fn lose_all(&mut self, now: Now, switch: &SwitchId) {
        if let Some(board) = self.boards.get_mut(switch) {
            board.lose_all(&mut self.desk, now);
        }
    }
}

impl Book {
    /// A number as it is read at this switch.
    #[must_use]
    pub fn number(&self, switch: &SwitchId, raw: &str) -> Option<crate::numbers::Number> {
        Some(self.desk.rules(switch)?.plan.read(raw))
    }

    /// The line that a number is, called at this switch.
    #[must_use]
    pub fn line(
        &self,
        switch: &SwitchId,
        trunk: Option<&str>,
        dialled: &str,
    ) -> Option<std::sync::Arc<crate::numbers::TrunkRow>> {
        let rules = self.desk.rules(switch)?;
        let none = std::collections::BTreeMap::new();
        let seen = crate::numbers::trunks::Seen {
            switch,
            trunk,
            plan: &rules.plan,
            extension: Some(dialled),
            places: &[],
            attributes: &none,
        };
        self.desk.settings.trunks.find(&seen).map(|found| found.row.clone())
    }

    pub(super) fn board(&self, switch: &SwitchId) -> Option<&Board> {
        self.boards.get(switch)
    }
}

impl Desk {
    pub fn change(&mut self, call: CallId, at: Now, what: super::What) {
        self.changes.push_back(Change { call, at, what });
    }

    pub fn rules(&self, switch: &SwitchId) -> Option<&Rules> {
        self.settings.switches.get(switch)
    }

    /// Whose device it is now: by the file, else by who sits there.
    pub fn agent_at(&self, switch: &SwitchId, device: &str) -> Option<AgentId> {
        let fixed = self.settings.directory.at_device(switch, device).map(|agent| &agent.id);
        fixed.or_else(|| self.seats.at(switch, device).map(|sitting| &sitting.agent)).cloned()
    }

    /// The same of a queue's member, which may be told by its extension alone.
    pub fn member_at(&self, switch: &SwitchId, device: &str) -> Option<AgentId> {
        let named = || self.settings.directory.at_extension(switch, device).map(|agent| agent.id.clone());
        self.agent_at(switch, device).or_else(named)
    }

    /// What the switch says of its own logins.
    fn login(&mut self, at: Wall, switch: &SwitchId, said: &Said) {
        let directory = &self.settings.directory;
        let turns = match said {
            Said::LoggedOn(member) => self.seats.logged_on(at, directory, switch, member),
            Said::LoggedOff(member) => self.seats.logged_off(at, directory, switch, member),
            Said::Members(all) => self.seats.members(at, directory, switch, all),
            _ => Vec::new(),
        };
        self.turns.extend(turns);
        let devices = self.members.take(at, switch, said);
        self.placed.extend(devices.into_iter().map(|device| (switch.clone(), device)));
    }
}

/// `*` stands for any text, `X` (where `digits` is asked for) for one digit.
#[must_use]
pub fn fits(pattern: &str, text: &str, digits: bool) -> bool {
    // Backtracks to the last star only, so it is linear in pattern times text at worst.
    let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut i, mut j, mut star) = (0, 0, None);
    while let Some(&c) = t.get(j) {
        match p.get(i) {
            Some('*') => {
                star = Some((i, j));
                i += 1;
            }
            Some(&w) if w == c || (digits && w == 'X' && c.is_ascii_digit()) => {
                i += 1;
                j += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    i = at + 1;
                    j = from + 1;
                }
                None => return false,
            },
        }
    }
    p.iter().skip(i).all(|&c| c == '*')
}
