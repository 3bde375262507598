//! What is known of one call: its legs, and for each the few things that happened to it, once.
//!
//! The book is a join. An event only adds a fact that was not there yet, so the same event twice, or the same story over a second feed, changes
//! nothing; what a call *is* (who talks with whom, how it ended) is concluded from the facts afresh each time, in `standing.rs` while it
//! lives and in `judge.rs` for its record. That is what makes the order of events matter little.

use serde::{Deserialize, Serialize};

use crate::{
    numbers::trunks::Source,
    private::Private,
    words::{AgentId, Wall},
};

use super::{
    change::{Offer, TransferKind},
    event::{DialStatus, LegState},
};

/// When something happened: `wall` where the feed told a time, `order` always (a count of events), so that a capture without times still has an
/// order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    pub wall: Option<Wall>,
    pub order: u64,
}

impl Moment {
    /// Earlier or at the same time. Two feeds reach us with a lag, so the switch's stamps go before our order.
    #[must_use]
    pub fn until(self, other: Moment) -> bool {
        match (self.wall, other.wall) {
            (Some(a), Some(b)) if a != b => a < b,
            _ => self.order <= other.order,
        }
    }
    #[must_use]
    pub fn earlier(self, other: Moment) -> Moment {
        if self.until(other) { self } else { other }
    }
    #[must_use]
    pub fn later(self, other: Moment) -> Moment {
        if self.until(other) { other } else { self }
    }
    /// Milliseconds from `earlier` to here, if both have a time.
    #[must_use]
    pub fn since(self, earlier: Moment) -> Option<u64> {
        Some(self.wall?.since(earlier.wall?))
    }
    fn near(self, other: Moment) -> bool {
        match (self.wall, other.wall) {
            (Some(a), Some(b)) => a.0.abs_diff(b.0) <= ECHO_MS,
            _ => false,
        }
    }
}

/// How far apart two feeds may tell the same thing. They come within a few milliseconds of each other; a busy loop adds some.
const ECHO_MS: u64 = 2_000;

/// A stretch that was opened and closed, and by which feeds: each feed tells each stretch once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub from: Moment,
    pub to: Option<Moment>,
    opened: u8,
    closed: u8,
}

impl Span {
    #[must_use]
    pub fn open_at(from: Moment, feed: u8) -> Self {
        Self { from, to: None, opened: feed, closed: 0 }
    }

    /// Whether this feed told of its beginning.
    #[must_use]
    pub fn told_by(&self, feed: u8) -> bool {
        self.opened & feed != 0
    }

    /// The end, with an open one ending at `last`.
    #[must_use]
    pub fn end(&self, last: Moment) -> Moment {
        self.to.unwrap_or(last)
    }

    /// Closes it; says whether it was open.
    pub fn close(&mut self, at: Moment, feed: u8) -> bool {
        self.closed |= feed;
        if self.to.is_some() {
            return false;
        }
        self.to = Some(at.later(self.from));
        true
    }

    /// How far from its beginning `at` is, if this may be it told again.
    fn apart(&self, at: Moment) -> Option<u64> {
        match (self.from.wall, at.wall) {
            (Some(a), Some(b)) if self.from.near(at) => Some(a.0.abs_diff(b.0)),
            _ => None,
        }
    }

    fn ended_near(&self, at: Moment) -> bool {
        self.to.is_some_and(|to| to.near(at))
    }
}

/// Opens a stretch with `key` in `list` unless it is told again. Says whether it is new.
///
/// A feed tells beginnings and ends in turn, and what one feed tells, the other tells within moments: so each telling finds the stretch that is meant
/// even where an agent retrieves and holds again at once, both feeds are heard, and each says everything twice.
pub fn open<K: PartialEq>(list: &mut Vec<(K, Span)>, key: K, at: Moment, feed: u8) -> bool {
    let mine = |span: &Span| span.opened & feed != 0 && span.closed & feed == 0;
    if list.iter().any(|(k, span)| *k == key && mine(span) && span.apart(at).is_some()) {
        return false;
    }
    let others = list.iter_mut().filter(|(k, span)| *k == key && span.opened & feed == 0);
    let meant = others.filter_map(|(_, span)| Some((span.apart(at)?, span))).min_by_key(|(apart, _)| *apart);
    if let Some((_, span)) = meant {
        span.opened |= feed;
        return false;
    }
    if let Some((_, span)) = list.iter_mut().rev().find(|(k, span)| *k == key && span.to.is_none()) {
        span.opened |= feed;
        return false;
    }
    if list.len() >= SPANS {
        return false;
    }
    list.push((key, Span::open_at(at, feed)));
    true
}

/// Closes the open stretch with `key`. Says whether there was one.
pub fn close<K: PartialEq>(list: &mut [(K, Span)], key: &K, at: Moment, feed: u8) -> bool {
    // A second feed that lags tells the end of an earlier stretch while the next is open already.
    let echo = |s: &Span| s.closed & feed == 0 && s.opened & feed != 0 && s.ended_near(at);
    if let Some((_, span)) = list.iter_mut().find(|(k, s)| k == key && echo(s)) {
        span.closed |= feed;
        return false;
    }
    let Some(last) = list.iter().rposition(|(k, span)| k == key && span.to.is_none()) else { return false };
    // It did not tell that the open one began: then it means the one before, and says so once more.
    if !list[last].1.told_by(feed)
        && let Some((_, span)) = list.iter_mut().rev().find(|(k, s)| k == key && s.ended_near(at))
    {
        span.closed |= feed;
        return false;
    }
    list[last].1.close(at, feed)
}

/// Stretches of one kind kept of one leg. A call that holds and retrieves a thousand times is no call.
const SPANS: usize = 1_000;

/// Steps kept of one leg: a second watcher lags by fewer.
const STEPS: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Trunk,
    /// A phone, an agent's or another.
    Device,
    /// The other end of a leg, of which nothing is known but that it is there (Asterisk's hints tell of one end only).
    Unknown,
    /// One half of a Local channel: a pipe, nobody's leg. Holds the name without `;1`/`;2`.
    Local,
    /// A conference's announcer, a recorder, a spy's helper: not a party.
    Plumbing,
}

/// Somebody who listens in on a leg.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    pub agent: Option<AgentId>,
    pub device: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    pub id: String,
    pub name: String,
    /// `PJSIP/1001`: the name without what the channel adds.
    pub endpoint: String,
    pub kind: Kind,
    pub agent: Option<AgentId>,
    /// The far end called the switch; else the switch called it.
    pub incoming: bool,
    pub created: Moment,
    /// From its first event: caller id, display name, dialled extension.
    pub number: Option<Private<String>>,
    pub shown_name: Option<Private<String>>,
    pub dialled: Option<Private<String>>,
    /// Where the signalling has a dialled number.
    #[serde(default)]
    pub places: Vec<(Source, Private<String>)>,
    pub restricted: bool,
    pub linked: Option<String>,
    pub sip_call_id: Option<String>,
    /// The first dial to this leg.
    pub dial: Option<Dial>,
    /// The first end of that dial, with the status told first: `NOANSWER` is followed by a meaningless `CANCEL` (Asterisk 22.10.1, trace c).
    pub status: Option<(DialStatus, Moment)>,
    pub ringing: Option<Moment>,
    pub up: Option<Moment>,
    pub bridges: Vec<(String, Span)>,
    pub holds: Vec<((), Span)>,
    pub queues: Vec<(String, Span)>,
    /// Stretches in a parking lot, by its bridge.
    #[serde(default)]
    pub parks: Vec<(String, Span)>,
    /// It came to fetch a call that rang at a colleague's phone.
    #[serde(default)]
    pub pickup: bool,
    /// The last applications it ran (ARI), newest last, to tell a step from its echo.
    pub applications: Vec<Step>,
    /// The far end asked for the end, or refused.
    pub asked_end: Option<Moment>,
    /// The switch ended it because it stopped.
    #[serde(default)]
    pub stopped: bool,
    pub ended: Option<Ended>,
    /// It handed its partner over: free, although its own dialog may live on for a minute (trace e, facts 7).
    pub released: Option<Moment>,
    /// Not seen from its beginning.
    pub adopted: bool,
    /// Recordings of it, by the name of the file.
    #[serde(default)]
    pub recordings: Vec<(Private<String>, Span)>,
    /// Who listened in on it.
    #[serde(default)]
    pub listeners: Vec<(Listener, Span)>,
    /// Keys pressed before it moved on; in memory only, and only while a mapping asks for them.
    #[serde(skip)]
    pub keys: Vec<super::attributes::Key>,
    /// Its dialogue with a machine is over: it waits in a queue, dials or talks.
    #[serde(default)]
    pub moved_on: Option<Moment>,
    /// Other ids of the same party: it called anew because it was referred.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// The signalling says that its number may be shown.
    #[serde(default)]
    pub shows: bool,
}

/// One step of the dialplan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub at: Moment,
    pub name: String,
    pub data: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dial {
    pub at: Moment,
    /// Index of the leg that dials; absent: the switch itself.
    pub by: Option<u16>,
    pub number: Option<Private<String>>,
    pub presented: Option<Private<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    pub at: Moment,
    pub cause: Option<u16>,
    pub text: Option<String>,
    /// Gone from a snapshot or with the link; nobody saw it end.
    pub lost: bool,
    /// The feeds that told of it.
    #[serde(default)]
    pub feeds: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    pub kind: TransferKind,
    pub at: Moment,
    /// Index of the transferring agent's leg that had the customer.
    pub by: u16,
    /// Index of the leg it went to, where that is known at once.
    pub target: Option<u16>,
    pub number: Option<Private<String>>,
}

/// An agent's share, kept with its ordinal so that a pop's id outlives us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferFacts {
    pub offer: Offer,
    pub legs: Vec<u16>,
    pub since: Moment,
    pub state: OfferState,
    pub established: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OfferState {
    Over,
    Dialling,
    Ringing,
    Holding,
    Talking,
}

impl Leg {
    #[must_use]
    pub fn new(id: String, created: Moment) -> Self {
        Self {
            id,
            name: String::new(),
            endpoint: String::new(),
            kind: Kind::Plumbing,
            agent: None,
            incoming: false,
            created,
            number: None,
            shown_name: None,
            dialled: None,
            places: Vec::new(),
            restricted: false,
            linked: None,
            sip_call_id: None,
            dial: None,
            status: None,
            ringing: None,
            up: None,
            bridges: Vec::new(),
            holds: Vec::new(),
            queues: Vec::new(),
            parks: Vec::new(),
            pickup: false,
            applications: Vec::new(),
            asked_end: None,
            stopped: false,
            ended: None,
            released: None,
            adopted: false,
            recordings: Vec::new(),
            listeners: Vec::new(),
            keys: Vec::new(),
            moved_on: None,
            aliases: Vec::new(),
            shows: false,
        }
    }

    /// All ids under which it is spoken of.
    pub fn ids(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.id).chain(&self.aliases).filter(|id| !id.is_empty())
    }

    /// Takes over what was told of another leg that proved to be this party's. What is left of the other is nobody's.
    pub(super) fn absorb(&mut self, other: &mut Leg) {
        self.aliases.extend(other.ids().cloned().collect::<Vec<_>>());
        (other.kind, other.agent, other.dial, other.incoming) = (Kind::Plumbing, None, None, false);
        other.id.clear();
        other.aliases.clear();
        self.bridges.append(&mut other.bridges);
        self.holds.append(&mut other.holds);
        self.queues.append(&mut other.queues);
        self.up = [self.up, other.up].into_iter().flatten().reduce(Moment::earlier);
        self.asked_end = self.asked_end.or(other.asked_end);
        self.number = self.number.take().or_else(|| other.number.take());
        // It goes on where the other does.
        if other.ended.is_none() {
            self.ended = None;
        }
    }

    /// Adds a step; `false` if it is one that was told before: the same as the last, or with the very stamp of an earlier one (a second watcher).
    pub fn step(&mut self, at: Moment, name: String, data: String) -> bool {
        let same = |s: &Step| s.name == name && s.data == data;
        let echo = |s: &Step| same(s) && s.at.wall.is_some() && s.at.wall == at.wall;
        if self.applications.iter().any(echo) {
            return false;
        }
        // A caller who comes into the same queue once more, after a talk, runs the same step: out of any bridge, where ARI's echo at a REFER (trace
        // d) comes while the caller is still in one.
        let bridged = |s: &Span| s.from.until(at) && s.to.is_none_or(|to| at.until(to));
        let back = |s: &Step| {
            self.bridges.iter().any(|(_, span)| span.to.is_some_and(|to| s.at.until(to)))
                && !self.bridges.iter().any(|(_, span)| bridged(span))
        };
        let new = !self.applications.last().is_some_and(|s| same(s) && !back(s));
        if self.applications.len() >= STEPS {
            self.applications.remove(0);
        }
        self.applications.push(Step { at, name, data });
        new
    }

    /// A person's or the outside's, not plumbing.
    #[must_use]
    pub fn real(&self) -> bool {
        matches!(self.kind, Kind::Trunk | Kind::Device | Kind::Unknown)
    }

    #[must_use]
    pub fn live(&self) -> bool {
        self.ended.is_none() && self.released.is_none()
    }

    /// Adds a state; the first moment of each stays.
    pub fn reach(&mut self, state: LegState, at: Moment) -> bool {
        let place = match state {
            LegState::Down | LegState::Calling => return false,
            LegState::Ringing => &mut self.ringing,
            LegState::Up => &mut self.up,
        };
        if place.is_some() {
            return false;
        }
        *place = Some(at);
        true
    }

    /// The moment at which a called leg is known to be over or answered: the dial's end, the answer, or its own end.
    #[must_use]
    pub fn settled(&self) -> Option<Moment> {
        [self.up, self.status.map(|(_, at)| at), self.ended.as_ref().map(|e| e.at)]
            .into_iter()
            .flatten()
            .reduce(Moment::earlier)
    }

    /// The switch called it by itself (Originate), nobody dialled.
    #[must_use]
    pub fn originated(&self) -> bool {
        !self.incoming && self.dial.as_ref().is_some_and(|d| d.by.is_none())
    }

    #[must_use]
    pub fn refused(&self) -> bool {
        self.up.is_none()
            && (self.asked_end.is_some()
                || self.status.is_some_and(|(s, _)| s == DialStatus::Busy)
                || self.ended.as_ref().is_some_and(|e| matches!(e.cause, Some(17 | 21))))
    }

    #[must_use]
    pub fn bridged_now(&self) -> Option<&str> {
        if self.ended.is_some() {
            return None;
        }
        self.bridges.iter().rev().find(|(_, span)| span.to.is_none()).map(|(bridge, _)| bridge.as_str())
    }

    #[must_use]
    pub fn holding_now(&self) -> bool {
        self.holds.iter().any(|(_, span)| span.to.is_none())
    }

    /// Waits in a parking lot.
    #[must_use]
    pub fn parked_now(&self) -> bool {
        self.ended.is_none() && self.parks.iter().any(|(_, span)| span.to.is_none())
    }

    /// It came into `bridge`: a channel is in one bridge at a time, so a leave that was missed happened. In a queue's list on ARI it is until
    /// something else is said; being bridged is that.
    pub fn left_for(&mut self, bridge: &str, at: Moment, feed: u8) {
        for (_, span) in &mut self.queues {
            span.close(at, feed);
        }
        for (_, span) in self.bridges.iter_mut().chain(&mut self.parks).filter(|(other, _)| other != bridge) {
            span.close(at, feed);
        }
    }

    /// Closes everything that is open: the leg ended.
    pub fn close_all(&mut self, at: Moment, feed: u8) {
        for (_, span) in &mut self.bridges {
            span.close(at, feed);
        }
        for (_, span) in &mut self.holds {
            span.close(at, feed);
        }
        for (_, span) in &mut self.queues {
            span.close(at, feed);
        }
        for (_, span) in &mut self.parks {
            span.close(at, feed);
        }
        for (_, span) in &mut self.recordings {
            span.close(at, feed);
        }
        for (_, span) in &mut self.listeners {
            span.close(at, feed);
        }
    }
}

/// Which bridges are one room because a Local channel pipes between them. Few calls have one, so most have an empty list.
#[derive(Debug, Default)]
pub struct Rooms<'a> {
    same: Vec<(&'a str, &'a str)>,
}

impl<'a> Rooms<'a> {
    #[must_use]
    pub fn of(legs: &'a [Leg]) -> Self {
        let mut same = Vec::new();
        for one in legs.iter().filter(|l| l.kind == Kind::Local) {
            for two in legs.iter().filter(|l| l.kind == Kind::Local && l.endpoint == one.endpoint && l.id < one.id) {
                for (a, _) in &one.bridges {
                    for (b, _) in &two.bridges {
                        same.push((a.as_str(), b.as_str()));
                    }
                }
            }
        }
        Self { same }
    }

    /// The name of the room a bridge belongs to: the smallest of all that are one.
    #[must_use]
    pub fn room<'b>(&self, bridge: &'b str) -> &'b str
    where
        'a: 'b,
    {
        if self.same.is_empty() {
            return bridge;
        }
        let mut known: Vec<&'b str> = vec![bridge];
        let mut next = 0;
        while let Some(&here) = known.get(next) {
            next += 1;
            for (a, b) in &self.same {
                let other: &'b str = if *a == here {
                    b
                } else if *b == here {
                    a
                } else {
                    continue;
                };
                if !known.contains(&other) {
                    known.push(other);
                }
            }
        }
        known.into_iter().min().unwrap_or(bridge)
    }

    /// Stretches in which two legs heard each other.
    #[must_use]
    pub fn together(&self, a: &Leg, b: &Leg, last: Moment) -> Vec<(Moment, Moment)> {
        let mut out = Vec::new();
        for (x, one) in &a.bridges {
            for (y, two) in &b.bridges {
                if self.room(x) != self.room(y) {
                    continue;
                }
                let (from, to) = (one.from.later(two.from), one.end(last).earlier(two.end(last)));
                if from.until(to) {
                    out.push((from, to));
                }
            }
        }
        out.sort_by(|a, b| {
            if a.0 == b.0 {
                std::cmp::Ordering::Equal
            } else if a.0.until(b.0) {
                std::cmp::Ordering::Less
            } else {
                std::cmp::Ordering::Greater
            }
        });
        out
    }

    /// Whether two legs hear each other now.
    #[must_use]
    pub fn together_now(&self, a: &Leg, b: &Leg) -> bool {
        match (a.bridged_now(), b.bridged_now()) {
            (Some(x), Some(y)) => self.room(x) == self.room(y),
            _ => false,
        }
    }
}
