//! Two switches that tell the same calls: a proxy or SBC before a PBX (an edge), or a PBX that mirrors its own signalling beside its events.
//!
//! The PBX's call is the customer's call. An edge's calls lie on a board like any other's, but none is shown: each looks for its twin among the PBX's by the
//! keys that the edge's file declares, from both sides, because either may speak first. What only the edge knows is then lent to the twin:
//! where the dialled number stood, whether the caller wishes to be shown, headers, who ended it. An edge's call that is over and found nobody is
//! shown then, as a call of its own; one that is in doubt (the PBX had a call at that time, and no key says whose) is linked to it and is nobody's
//! customer. So a customer is never two calls, and a pop never waits for an edge.

use serde::{Deserialize, Serialize};

use crate::{
    private::Private,
    words::{CallId, Now, SwitchId, Wall},
};

use super::{
    Book, What,
    board::Board,
    book::{Desk, Rules},
    call::Facts,
    event::{Feed, Said},
    facts::{Kind, Leg, Moment},
    record::Direction,
};

/// What an edge's call and the PBX's have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Join {
    /// The Call-ID of one of its dialogs. A proxy hands it on; a B2BUA makes another.
    CallId,
    /// The Session-ID header (RFC 7989), which is made to outlive B2BUAs.
    SessionId,
    /// The User-to-User header (RFC 7433).
    Uui,
    /// A header that both sides' signalling has: `X-Call-Ref`.
    Header(String),
    /// An attribute that both files map: here from a header, at the PBX from a channel variable.
    Attribute(String),
    /// The caller's number, and that both began within [`NEAR_MS`]. Of several that could be meant none is.
    NumberAndTime,
}

impl Join {
    /// The header that it stands in.
    #[must_use]
    pub fn header(&self) -> Option<&str> {
        match self {
            Self::SessionId => Some("Session-ID"),
            Self::Uui => Some("User-to-User"),
            Self::Header(name) => Some(name),
            Self::CallId | Self::Attribute(_) | Self::NumberAndTime => None,
        }
    }

    /// As the file writes it.
    #[must_use]
    pub fn word(&self) -> String {
        match self {
            Self::CallId => "call-id".to_owned(),
            Self::SessionId => "session-id".to_owned(),
            Self::Uui => "uui".to_owned(),
            Self::Header(name) => format!("header {name}"),
            Self::Attribute(name) => format!("attribute {name}"),
            Self::NumberAndTime => "number-and-time".to_owned(),
        }
    }

    fn takes(&self, key: &Key) -> bool {
        match (self, key) {
            (Self::CallId, Key::CallId(_)) | (Self::NumberAndTime, Key::Number(_)) => true,
            (Self::Attribute(name), Key::Attribute(known, _)) => name == known,
            (join, Key::Header(name, _)) => join.header().is_some_and(|wanted| wanted.eq_ignore_ascii_case(name)),
            _ => false,
        }
    }
}

/// A switch's part where another tells the same calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Pair {
    #[default]
    Alone,
    /// It stands before `pbx`. `keeps`: a call that no one else has is a call of its own; else it is none.
    Edge { pbx: SwitchId, joins: Vec<Join>, keeps: bool },
    /// These stand before it.
    Behind(Vec<SwitchId>),
}

/// How far apart the two may begin. A proxy hands an INVITE on within milliseconds, one that asks a directory first takes a second or two.
const NEAR_MS: u64 = 3_000;
/// How long an edge's call that is over waits for the PBX's word of it: longer than a link may be silent before it counts as dead.
pub(super) const ALONE_MS: u64 = 5_000;
/// Keys of one call, and legs of one key: more parallel calls of one number are not told apart by it.
const KEYS: usize = 64;
const SAME: usize = 16;
/// Edges' calls that are kept of one call. One SBC has two of it.
pub(super) const EDGES: usize = 8;
/// Calls that an edge had alone, remembered for the PBX's own records: a thousand are an hour without a PBX at one in four seconds.
const ALONE: usize = 1_000;

/// What a call is known by on both sides.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    CallId(String),
    /// The name in lower case.
    Header(String, Vec<u8>),
    Attribute(String, String),
    /// As the switch's plan reads it.
    Number(String),
}

/// Numbers and headers are personal.
impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::CallId(_) => "CallId",
            Self::Header(..) => "Header",
            Self::Attribute(..) => "Attribute",
            Self::Number(_) => "Number",
        })
    }
}

/// Of an edge's call: whose it is at the PBX.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Twin {
    pub leg: String,
    /// By number and time.
    pub guessed: bool,
}

/// An edge's call that proved to be this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeFacts {
    pub switch: SwitchId,
    pub call_id: Option<String>,
    /// By what it was found.
    pub by: String,
    /// It said where the dialled number stood.
    pub lent: bool,
}

/// A call at the other switch that may be this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Related {
    pub call: CallId,
    pub certain: bool,
}

/// A call that was an edge's alone.
#[derive(Debug)]
pub(super) struct Alone {
    pbx: SwitchId,
    number: Option<Private<String>>,
    at: Wall,
    call: CallId,
}

/// What of an event may join calls: its leg, and a key that it tells itself.
pub(super) type Hint = (String, Option<Key>);

impl Book {
    /// What is to be looked at behind this event, where another switch tells the same calls.
    pub(super) fn hints(&self, switch: &SwitchId, said: &Said) -> Vec<Hint> {
        match said {
            Said::Snapshot(snapshot) => snapshot.legs.iter().map(|found| (found.leg.id.clone(), None)).collect(),
            Said::Variable { leg, name, value } => {
                vec![(leg.id.clone(), self.header(switch, name, value.expose()))]
            }
            said => said.leg().map(|leg| (leg.id.clone(), None)).into_iter().collect(),
        }
    }

    fn header(&self, switch: &SwitchId, name: &str, value: &[u8]) -> Option<Key> {
        let name = name.strip_prefix("sip:")?;
        self.joins(switch)
            .into_iter()
            .find(|join| join.header().is_some_and(|wanted| wanted.eq_ignore_ascii_case(name)))?;
        let name = name.to_ascii_lowercase();
        // Behind the caller's half stands the other's, which each hop fills in anew. All zeros is "none" (RFC 7989, 5).
        let value = match name.as_str() {
            "session-id" => {
                let half = value.split(|b| *b == b';').next().unwrap_or_default();
                half.trim_ascii().to_ascii_lowercase()
            }
            _ => value.trim_ascii().to_vec(),
        };
        (!value.iter().all(|b| *b == b'0')).then_some(Key::Header(name, value))
    }

    /// By what calls of this switch and the other's are joined. A PBX's mirror tells headers for it.
    fn joins(&self, switch: &SwitchId) -> Vec<&Join> {
        match self.pair(switch) {
            Some(Pair::Edge { joins, keeps: true, .. }) => joins.iter().collect(),
            Some(Pair::Edge { pbx, .. }) => self.behind(pbx),
            Some(Pair::Behind(_)) => self.behind(switch),
            Some(Pair::Alone) | None => Vec::new(),
        }
    }

    /// By what calls of this PBX are found by all that stands before it.
    fn behind(&self, pbx: &SwitchId) -> Vec<&Join> {
        let Some(Pair::Behind(edges)) = self.pair(pbx) else { return Vec::new() };
        let joins = edges.iter().filter_map(|edge| match self.pair(edge)? {
            Pair::Edge { joins, .. } => Some(joins),
            Pair::Alone | Pair::Behind(_) => None,
        });
        joins.flatten().collect()
    }

    fn pair(&self, switch: &SwitchId) -> Option<&Pair> {
        self.desk.rules(switch).map(|rules| &rules.pair)
    }

    /// Something was told of a leg: what its call is known by may be known now, or what is to be lent.
    pub(super) fn meet(&mut self, now: Now, switch: &SwitchId, (leg, key): Hint) {
        let news = self.known_by(switch, &leg, key);
        let Some(&(call, _)) = self.boards.get(switch).and_then(|board| board.legs.get(&leg)) else { return };
        match self.desk.rules(switch).map(|rules| rules.pair.clone()) {
            Some(Pair::Edge { .. }) => self.find_twin(now, switch, call),
            Some(Pair::Behind(edges)) if news => {
                for edge in &edges {
                    for other in self.sharing(switch, call, edge) {
                        self.find_twin(now, edge, other);
                    }
                }
            }
            _ => {}
        }
    }

    /// Calls of an edge that share a key with the PBX's call.
    fn sharing(&self, pbx: &SwitchId, call: u32, edge: &SwitchId) -> Vec<u32> {
        let (Some(here), Some(board)) = (self.boards.get(pbx), self.boards.get(edge)) else { return Vec::new() };
        let keys = here.calls.get(&call).map(|call| call.keys.as_slice()).unwrap_or_default();
        let legs = keys.iter().filter_map(|key| board.keys.get(key)).flatten();
        let mut calls: Vec<u32> = legs.filter_map(|leg| board.legs.get(leg)).map(|(call, _)| *call).collect();
        calls.sort_unstable();
        calls.dedup();
        calls
    }

    /// Remembers what the call of a leg is known by. Says whether anything is new.
    pub(super) fn known_by(&mut self, switch: &SwitchId, leg: &str, key: Option<Key>) -> bool {
        let joins: Vec<Join> = self.joins(switch).into_iter().cloned().collect();
        let (Some(board), Some(rules)) = (self.boards.get_mut(switch), self.desk.settings.switches.get(switch)) else {
            return false;
        };
        let Some((call, index)) = board.legs.get(leg).copied() else { return false };
        let Some(facts) = board.calls.get(&call).map(|call| &call.facts) else { return false };
        let Some(known) = facts.legs.get(usize::from(index)) else { return false };
        let numbered = board.calls.get(&call).is_some_and(|c| c.keys.iter().any(|key| matches!(key, Key::Number(_))));
        let mut keys: Vec<Key> = key.into_iter().collect();
        for join in &joins {
            match join {
                Join::CallId => {
                    keys.extend(known.sip_call_id.clone().map(Key::CallId));
                    // Of a call that was taken over from the last run.
                    keys.extend(facts.edges.iter().filter_map(|edge| edge.call_id.clone()).map(Key::CallId));
                }
                Join::Attribute(name) => {
                    let told = facts.attributes.get(name).or_else(|| facts.secrets.get(name));
                    let told = told.map(|told| told.value.expose()).filter(|value| !value.is_empty());
                    keys.extend(told.map(|value| Key::Attribute(name.clone(), value.clone())));
                }
                // Read once: that costs more than all the rest.
                Join::NumberAndTime if numbered => {}
                Join::NumberAndTime => keys.extend(number(rules, facts).map(Key::Number)),
                Join::SessionId | Join::Uui | Join::Header(_) => {}
            }
        }
        keys.into_iter().fold(false, |news, key| news | board.know(call, leg, key))
    }

    /// Looks for the call at the PBX that an edge's call is; lends what is new where it is found already.
    fn find_twin(&mut self, now: Now, edge: &SwitchId, key: u32) {
        let Some(Pair::Edge { pbx, joins, keeps }) = self.desk.rules(edge).map(|rules| rules.pair.clone()) else {
            return;
        };
        let [Some(here), Some(there)] = self.boards.get_disjoint_mut([edge, &pbx]) else { return };
        let Some(call) = here.calls.get(&key) else { return };
        let twin = call.twin.as_ref().and_then(|twin| Some((*there.legs.get(&twin.leg)?, twin.guessed)));
        let search = |guessing: bool| {
            joins.iter().filter(|join| guessing || **join != Join::NumberAndTime).find_map(|join| {
                let mut keys = call.keys.iter().filter(|key| join.takes(key));
                let place = keys.find_map(|shared| match join {
                    Join::NumberAndTime => here.only_one(there, edge, key, shared),
                    _ => there.known(shared),
                })?;
                Some((place, Some(join)))
            })
        };
        let found = match twin {
            // By number and time it was a guess: a key knows better.
            Some((place, true)) => search(false).or(Some((place, None))),
            Some((place, false)) => Some((place, None)),
            None => search(true),
        };
        let Some((place, by)) = found else { return };
        let (guessed, by) = (by == Some(&Join::NumberAndTime), by.map(Join::word));
        let call_id = call.facts.legs.iter().find_map(|leg| leg.sip_call_id.clone());
        if let Some((wrong, _)) = twin.filter(|(old, _)| old.0 != place.0)
            && let Some(other) = there.calls.get_mut(&wrong.0)
        {
            take_back(&mut other.facts, edge, call_id.as_ref());
            there.refresh(&mut self.desk, now, wrong.0);
        }
        let Some(call) = here.calls.get_mut(&key) else { return };
        let Some(leg) = there.leg_mut(place).map(|leg| leg.id.clone()) else { return };
        let late = call.shown.as_ref().map(|shown| shown.id).filter(|_| by.is_some());
        if by.is_some() {
            call.twin = Some(Twin { leg: leg.clone(), guessed });
        }
        let Some(other) = there.calls.get_mut(&place.0) else { return };
        let mut news = keeps && note(&mut other.facts, edge, call_id, by);
        news |= lend(&call.facts, &mut other.facts, usize::from(place.1), keeps.then_some(edge));
        // It was taken for a call of its own: both are written down by now, or will be.
        if let Some(id) = late {
            if let (Some(shown), Some(twin)) = (&mut call.shown, &other.shown) {
                shown.face.aside = true;
                relate(&mut call.facts, twin.id, true);
            }
            relate(&mut other.facts, id, true);
            here.refresh(&mut self.desk, now, key);
            news = true;
        }
        // What the PBX's own signalling tells by headers, its calls are known by too.
        let header = |key: &&Key| matches!(key, Key::Header(..)) && !there.keys.contains_key(*key);
        let headers: Vec<Key> =
            here.calls.get(&key).map(|call| call.keys.iter().filter(header).cloned().collect()).unwrap_or_default();
        if news {
            there.refresh(&mut self.desk, now, place.0);
        }
        if !keeps && (news || !headers.is_empty()) {
            for key in headers.into_iter().map(Some).chain([None]) {
                self.meet(now, &pbx, (leg.clone(), key));
            }
        }
    }

    /// Calls of edges that are over, and waited long enough for somebody to know them.
    pub(super) fn show_alone(&mut self, now: Now) {
        let edges: Vec<SwitchId> = self.boards.values().filter(|b| b.edge).map(|b| b.switch.clone()).collect();
        for edge in edges {
            while let Some(key) = self.boards.get_mut(&edge).and_then(|board| board.next_alone(now.mono)) {
                self.alone(now, &edge, key);
            }
        }
    }

    fn alone(&mut self, now: Now, edge: &SwitchId, key: u32) {
        // Of several that could be meant when it spoke last, one may be left by now.
        self.find_twin(now, edge, key);
        let Some(rules) = self.desk.rules(edge) else { return };
        let Pair::Edge { pbx, keeps: true, .. } = rules.pair.clone() else { return };
        let Some(pbx_rules) = self.desk.rules(&pbx) else { return };
        let Some(call) = self.boards.get(edge).and_then(|board| board.calls.get(&key)) else { return };
        if call.twin.is_some() || call.shown.is_some() || call.over.is_none() || !whole(&call.facts) {
            return;
        }
        let own = number(rules, &call.facts);
        let started = call.facts.oldest().and_then(|leg| leg.created.wall);
        let there = self.boards.get(&pbx);
        let near = there.and_then(|board| {
            board.near(&call.facts, |facts| match (&own, number(pbx_rules, facts)) {
                (Some(own), Some(other)) => *own == other,
                _ => true,
            })
        });
        // A PBX that is watched has told of every call that passed through it to the outside.
        let unwatched = there.is_none_or(|board| board.feeds == 0);
        let counts = match call.facts.direction() {
            Some(Direction::Inbound) => true,
            Some(Direction::Outbound) => unwatched || near.is_some(),
            Some(Direction::Internal) | None => false,
        };
        if !counts {
            return;
        }
        let Some(here) = self.boards.get_mut(edge) else { return };
        let Some(id) = here.show_alone(&mut self.desk, now, key, near.map(|(_, id)| id)) else { return };
        if let Some(at) = started {
            if self.desk.alone.len() >= ALONE {
                self.desk.alone.pop_front();
            }
            self.desk.alone.push_back(Alone { pbx: pbx.clone(), number: own.map(Private::new), at, call: id });
        }
        if let Some((near, _)) = near
            && let Some(board) = self.boards.get_mut(&pbx)
            && let Some(other) = board.calls.get_mut(&near)
        {
            relate(&mut other.facts, id, false);
            board.refresh(&mut self.desk, now, near);
        }
    }
}

impl Book {
    /// The call that an edge told alone and that this one, which the PBX's own records tell, may be. Those have whole seconds.
    pub(super) fn told_alone(&self, pbx: &SwitchId, number: Option<&str>, at: Option<Wall>) -> Option<CallId> {
        let at = at?;
        let near = |alone: &&Alone| alone.pbx == *pbx && alone.at.0.abs_diff(at.0) <= NEAR_MS + 1_000;
        let same = |alone: &&Alone| {
            number.is_none() || alone.number.as_ref().is_none_or(|own| Some(own.expose().as_str()) == number)
        };
        self.desk.alone.iter().filter(near).find(same).map(|alone| alone.call)
    }
}

impl Board {
    /// The leg that has this key; of several, one of a call that is up.
    fn known(&self, key: &Key) -> Option<(u32, u16)> {
        let over = |call: &u32| self.calls.get(call).is_none_or(|call| call.over.is_some());
        let legs = self.keys.get(key)?.iter().filter_map(|leg| self.legs.get(leg));
        legs.min_by_key(|(call, _)| over(call)).copied()
    }

    /// A call is known by this key, through this leg.
    fn know(&mut self, call: u32, leg: &str, key: Key) -> bool {
        let Some(call) = self.calls.get_mut(&call).filter(|call| call.keys.len() < KEYS) else { return false };
        if call.keys.contains(&key) {
            return false;
        }
        let legs = self.keys.entry(key.clone()).or_default();
        if legs.len() >= SAME {
            return false;
        }
        legs.push(leg.to_owned());
        call.keys.push(key);
        true
    }

    /// The call is forgotten, and what it was known by.
    pub(super) fn forget_keys(&mut self, keys: &[Key], legs: &[Leg]) {
        for key in keys {
            if let Some(known) = self.keys.get_mut(key) {
                known.retain(|id| !legs.iter().any(|leg| leg.ids().any(|own| own == id)));
                if known.is_empty() {
                    self.keys.remove(key);
                }
            }
        }
    }

    /// The one inbound call at the other switch that has this number and began at that time, if it could be no other of either side.
    fn only_one(&self, there: &Board, edge: &SwitchId, call: u32, number: &Key) -> Option<(u32, u16)> {
        let began = |facts: &Facts| Some(facts.oldest()?.created);
        let mine = began(&self.calls.get(&call)?.facts)?;
        let close =
            |facts: &Facts, to: Moment| began(facts).is_some_and(|at| apart(at, to).is_some_and(|ms| ms <= NEAR_MS));
        let mut places = there.keys.get(number)?.iter().filter_map(|leg| there.legs.get(leg)).filter(|(key, _)| {
            there.calls.get(key).is_some_and(|other| {
                // One that has a call of this edge for certain may have another: an SBC has two of each.
                let guessed = |known: &EdgeFacts| known.switch == *edge && known.by == Join::NumberAndTime.word();
                close(&other.facts, mine) && !other.facts.edges.iter().any(guessed)
            })
        });
        let place = *places.next()?;
        if places.any(|(key, _)| *key != place.0) {
            return None;
        }
        let theirs = began(&there.calls.get(&place.0)?.facts)?;
        let mut rivals = self.keys.get(number)?.iter().filter_map(|leg| self.legs.get(leg)).filter(|(key, _)| {
            *key != call && self.calls.get(key).is_some_and(|c| c.twin.is_none() && close(&c.facts, theirs))
        });
        rivals.next().is_none().then_some(place)
    }

    /// The call that may be this one, by its time and as far as it shows its caller; the nearest in time.
    fn near(&self, facts: &Facts, same: impl Fn(&Facts) -> bool) -> Option<(u32, CallId)> {
        let (from, last, direction) = (facts.oldest()?.created, facts.last, facts.direction());
        let during = |at: Moment| match (from.wall, at.wall, last.wall) {
            (Some(from), Some(at), Some(last)) => {
                let slack = i64::try_from(NEAR_MS).unwrap_or(0);
                from.plus_ms(-slack) <= at && at <= last.plus_ms(slack)
            }
            _ => false,
        };
        self.calls
            .iter()
            .filter_map(|(key, call)| {
                let at = call.facts.oldest()?.created;
                let alike = call.facts.direction() == direction && same(&call.facts);
                let id = call.shown.as_ref().filter(|_| alike && during(at))?.id;
                Some((apart(at, from)?, id, *key))
            })
            .min()
            .map(|(_, id, key)| (key, id))
    }

    /// Concludes a call again although its own switch said nothing: that is no sighting of it.
    fn refresh(&mut self, desk: &mut Desk, now: Now, key: u32) {
        let Some(call) = self.calls.get(&key) else { return };
        let (last, heard) = (call.facts.last, call.heard);
        self.settle(desk, now, last, key);
        if let Some(call) = self.calls.get_mut(&key) {
            call.heard = heard;
        }
    }

    fn next_alone(&mut self, now: crate::words::Mono) -> Option<u32> {
        let (due, key) = *self.alone.front()?;
        (due <= now).then(|| self.alone.pop_front().map(|_| key))?
    }

    /// Nobody else has this call: it is one of its own. `near`: it may be that one.
    fn show_alone(&mut self, desk: &mut Desk, now: Now, key: u32, near: Option<CallId>) -> Option<CallId> {
        if let Some(near) = near {
            relate(&mut self.calls.get_mut(&key)?.facts, near, false);
        }
        let id = self.show(desk, key, None)?;
        let call = self.calls.get_mut(&key)?;
        call.facts.at_edge = true;
        // It ends once more, now that somebody looks.
        call.over = None;
        if let Some(shown) = &mut call.shown {
            shown.face.aside = near.is_some();
        }
        desk.change(id, now, What::Appeared);
        self.refresh(desk, now, key);
        Some(id)
    }
}

fn apart(a: Moment, b: Moment) -> Option<u64> {
    Some(a.wall?.0.abs_diff(b.wall?.0))
}

/// The caller's number, as this switch's plan reads it.
fn number(rules: &Rules, facts: &Facts) -> Option<String> {
    let leg = facts.legs.get(facts.customer()?).filter(|leg| leg.incoming)?;
    rules.plan.read(leg.number.as_ref()?.expose()).key().map(str::to_owned)
}

/// Whether the call was seen from its beginning: of one that was not, nobody can say that the PBX never had it.
fn whole(facts: &Facts) -> bool {
    let begun = |leg: &Leg| !leg.adopted && (facts.told & Feed::Hep.bit() == 0 || leg.shows || leg.restricted);
    facts.customer().and_then(|customer| facts.legs.get(customer)).is_some_and(|leg| !leg.incoming || begun(leg))
}

fn relate(facts: &mut Facts, call: CallId, certain: bool) {
    if let Some(known) = facts.related.iter_mut().find(|known| known.call == call) {
        known.certain |= certain;
    } else if facts.related.len() < EDGES {
        facts.related.push(Related { call, certain });
    }
}

/// Remembers which edge's call it is.
fn note(facts: &mut Facts, edge: &SwitchId, call_id: Option<String>, by: Option<String>) -> bool {
    let Some(by) = by else { return false };
    if let Some(known) = facts.edges.iter_mut().find(|known| known.switch == *edge && known.call_id == call_id) {
        // Guessed first, and by a key now.
        known.by = by;
        return true;
    }
    let room = facts.edges.len() < EDGES;
    if room {
        facts.edges.push(EdgeFacts { switch: edge.clone(), call_id, by, lent: false });
    }
    room
}

/// It was another's.
fn take_back(facts: &mut Facts, edge: &SwitchId, call_id: Option<&String>) {
    let Some(at) = facts.edges.iter().position(|k| k.switch == *edge && k.call_id.as_ref() == call_id) else { return };
    if facts.edges.remove(at).lent
        && let Some(leg) = facts.customer().and_then(|customer| facts.legs.get_mut(customer))
    {
        leg.places.clear();
    }
}

/// What the edge's call knows and the PBX's does not. `place`: the leg at the PBX that was found; `edge`: absent for the mirror of the PBX itself, which
/// fills in what no edge told. Says whether anything is new.
fn lend(from: &Facts, to: &mut Facts, place: usize, edge: Option<&SwitchId>) -> bool {
    let mut news = false;
    for (list, other) in [(&mut to.attributes, &from.attributes), (&mut to.secrets, &from.secrets)] {
        for (name, told) in other {
            news |= list.get(name) != Some(told) && super::attributes::put(list, name, told.clone());
        }
    }
    let comes = |leg: &&Leg| leg.kind == Kind::Trunk && leg.incoming;
    let Some(caller) = from.customer().and_then(|customer| from.legs.get(customer)).filter(comes) else { return news };
    // Found by a Call-ID it is that dialog's leg; by anything else, the caller's.
    let place = match to.legs.get(place) {
        Some(leg) if leg.sip_call_id.is_some() && leg.sip_call_id == caller.sip_call_id => Some(place),
        _ => to.customer(),
    };
    let lent = to.edges.iter().any(|known| known.lent);
    let Some(leg) = place.and_then(|place| to.legs.get_mut(place)).filter(|leg| comes(&&**leg)) else { return news };
    let theirs = if edge.is_some() { !lent } else { leg.places.is_empty() };
    if theirs && !caller.places.is_empty() {
        leg.places.clone_from(&caller.places);
        news = true;
        let last = to.edges.iter_mut().rev().find(|known| Some(&known.switch) == edge);
        if let Some(known) = last {
            known.lent = true;
        }
    }
    let Some(leg) = place.and_then(|place| to.legs.get_mut(place)) else { return news };
    if caller.restricted && !leg.restricted {
        // What the PBX was told all the same is forgotten: the caller asked not to be shown.
        (leg.restricted, leg.number, leg.shown_name) = (true, None, None);
        news = true;
    }
    if caller.shows && !leg.shows {
        leg.shows = true;
        news = true;
    }
    if !leg.restricted && leg.number.is_none() && caller.number.is_some() {
        leg.number.clone_from(&caller.number);
        news = true;
    }
    if !leg.restricted && leg.shown_name.is_none() && caller.shown_name.is_some() {
        leg.shown_name.clone_from(&caller.shown_name);
        news = true;
    }
    // One whose end nobody saw at the PBX may have gone on there after the edge's.
    if leg.asked_end.is_none() && leg.ended.as_ref().is_none_or(|ended| !ended.lost) && caller.asked_end.is_some() {
        leg.asked_end = caller.asked_end;
        news = true;
    }
    news
}
