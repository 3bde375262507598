//! Calls that nobody watched, from the switch's own records: what happened wholly while a link was down.
//!
//! A detail record tells parties and whole seconds, one row a pair of channels (Asterisk 22.10.1, facts 16). It does not tell when an agent
//! answered (a queue's row is answered by the queue), who hung up, or what was held; so the record made here has none of that, and
//! an outcome only where the rows leave no other. Its id is the one that the book would have given.

use std::collections::{BTreeMap, HashMap};

use crate::{
    private::Private,
    words::{AgentId, SwitchId, Wall},
};

use super::{
    Book,
    board::kind_of,
    call::Facts,
    facts::{Dial, Kind, Leg, Moment},
    record::{Customer, Direction, End, Id, Origin, Outcome, Party, PartyRole, Quality, Record, Related},
    standing::first_face,
};

/// One row of a switch's own records: a pair of channels, or one channel alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The first channel's own id.
    pub id: String,
    /// The id of the call's oldest channel, where the records have it.
    pub linked: Option<String>,
    pub channel: String,
    /// The second channel's name; empty if there was none.
    pub other: String,
    pub number: Option<Private<String>>,
    pub dialled: Option<Private<String>>,
    pub application: String,
    pub data: Private<String>,
    pub start: Wall,
    pub end: Wall,
    pub disposition: Disposition,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    Answered,
    Failed,
    /// Not answered, busy or something new: it is not told who gave up.
    Other,
}

/// A missed call's record, and the title of the line it came in on.
pub type Missed = (Record, Option<String>);

/// Rows that touch in time within this are of one channel, if they name one: a channel's name comes again after a restart of the switch.
const TOUCH_MS: i64 = 60_000;
/// The same where no row has its id: one row begins in the second in which the other ends.
const SAME_MS: i64 = 1_000;

/// Rows of one call together, each call's in the order of their beginnings.
#[must_use]
pub fn calls(mut rows: Vec<Row>) -> Vec<Vec<Row>> {
    // Of several channels of one second the one with the lower count is the older: the call's id is made from it.
    let count = |id: &str| id.rsplit_once('.').and_then(|(_, n)| n.parse().ok()).unwrap_or(u64::MAX);
    rows.sort_by(|a, b| (a.start, count(&a.id), a.end, &a.id).cmp(&(b.start, count(&b.id), b.end, &b.id)));
    let mut root: Vec<usize> = (0..rows.len()).collect();
    let mut ids: HashMap<&str, usize> = HashMap::new();
    // A name, whose id it had as first channel, until when it was seen, in which row.
    let mut names: HashMap<&str, (Option<&str>, Wall, usize)> = HashMap::new();
    for (n, row) in rows.iter().enumerate() {
        for id in std::iter::once(row.id.as_str()).chain(row.linked.as_deref()) {
            let first = *ids.entry(id).or_insert(n);
            join(&mut root, first, n);
        }
        // The two halves of a Local channel are one.
        for (name, id) in [(row.channel.as_str(), Some(row.id.as_str())), (row.other.as_str(), None)] {
            if name.is_empty() {
                continue;
            }
            let local = name.strip_suffix(";1").or_else(|| name.strip_suffix(";2"));
            let (name, id) = (local.unwrap_or(name), id.filter(|_| local.is_none()));
            let touch = |known: Option<&str>| if known.or(id).is_some() { TOUCH_MS } else { SAME_MS };
            match names.get_mut(name) {
                Some((known, until, first))
                    if row.start.0 <= until.0.saturating_add(touch(*known))
                        && (known.is_none() || id.is_none() || *known == id) =>
                {
                    join(&mut root, *first, n);
                    *known = known.or(id);
                    *until = (*until).max(row.end);
                }
                _ => drop(names.insert(name, (id, row.end, n))),
            }
        }
    }
    let mut groups: BTreeMap<usize, Vec<Row>> = BTreeMap::new();
    let roots: Vec<usize> = (0..rows.len()).map(|n| find(&mut root, n)).collect();
    for (root, row) in roots.into_iter().zip(rows) {
        groups.entry(root).or_default().push(row);
    }
    groups.into_values().collect()
}

fn find(root: &mut [usize], mut at: usize) -> usize {
    while let Some(&up) = root.get(at).filter(|up| **up != at) {
        at = up;
    }
    at
}

/// The earlier row stays the root.
fn join(root: &mut [usize], a: usize, b: usize) {
    let (a, b) = (find(root, a), find(root, b));
    if let Some(place) = root.get_mut(a.max(b)) {
        *place = a.min(b);
    }
}

/// All ids of channels that a call's rows name.
pub fn ids(rows: &[Row]) -> impl Iterator<Item = &str> {
    rows.iter().flat_map(|row| std::iter::once(row.id.as_str()).chain(row.linked.as_deref()))
}

impl Book {
    /// Whether any channel of these rows is in the book, as it is while its call lives and a while after.
    #[must_use]
    pub fn knows(&self, switch: &SwitchId, rows: &[Row]) -> bool {
        let Some(board) = self.board(switch) else { return false };
        ids(rows).any(|id| board.legs.contains_key(id))
    }

    /// The record of a call that nobody watched; `None` if its rows are of no call (a feature code).
    #[must_use]
    pub fn missed(&self, switch: &SwitchId, rows: &[Row]) -> Option<Missed> {
        let rules = self.desk.rules(switch)?;
        let mut facts = facts(self, switch, rows)?;
        if !facts.is_call() {
            return None;
        }
        let face = first_face(&self.desk, switch, &mut facts, None)?;
        let told = Told { switch, facts: &facts, rows };
        let direction = face.direction;
        let agents = told.agents(direction);
        let line = face.line.as_ref();
        let internal = direction == Some(Direction::Internal);
        // An edge that was watched meanwhile has told of it already.
        let number = face.customer.as_ref().filter(|_| !internal).and_then(|n| n.key());
        let twin = (!internal).then(|| self.told_alone(switch, number, face.started_at)).flatten();
        let record = Record {
            record: 1,
            revision: 1,
            call: face.call,
            tenant: face.tenant.clone(),
            switch: switch.clone(),
            direction,
            origin: Origin::Phone,
            reference: None,
            customer: face.customer.as_ref().filter(|_| !internal).map(|n| Customer {
                raw: n.raw.clone(),
                e164: n.e164.clone(),
                class: Some(n.class),
                withheld: None,
                name: None,
                links: Vec::new(),
                nobody: false,
            }),
            dialled: face.dialled.clone(),
            presented: None,
            trunk: face.trunk.clone(),
            line: line.and_then(|l| l.title.clone()),
            brand: line.and_then(|l| l.brand.clone()),
            language: line.and_then(|l| l.language.clone()),
            zone: line.and_then(|l| l.zone.clone()).or_else(|| rules.zone.clone()),
            outcome: told.outcome(direction),
            end: End::Seen,
            ended_by: None,
            cause: None,
            queue: told.queue(),
            started_at: face.started_at,
            answered_at: None,
            ended_at: rows.iter().map(|r| r.end).max(),
            wait_ms: None,
            ring_ms: None,
            talk_ms: None,
            hold_ms: None,
            wrap_ms: None,
            first_agent: agents.first().cloned(),
            final_agent: agents.last().cloned(),
            parties: told.parties(),
            agents: Some(agents),
            transfers: None,
            segments: Vec::new(),
            wrapups: Vec::new(),
            recordings: Vec::new(),
            attributes: BTreeMap::new(),
            attribute_faults: BTreeMap::new(),
            ids: told.ids(),
            related: twin
                .map(|call| Related { call, relation: "edge".to_owned(), certain: false })
                .into_iter()
                .collect(),
            quality: Quality::Gap,
            erased_at: None,
        };
        Some((record, line.and_then(|l| l.title.clone())))
    }
}

/// Legs as far as rows tell them.
fn facts(book: &Book, switch: &SwitchId, rows: &[Row]) -> Option<Facts> {
    let rules = book.desk.rules(switch)?;
    let at = |wall, n: usize| Moment { wall: Some(wall), order: n as u64 };
    let mut facts = Facts::new(rules.tenant.clone(), at(rows.first()?.start, 0));
    let moved = rows.iter().filter(|r| r.answered_pair() && !r.channel.starts_with("Local/")).count() > 1;
    for (n, row) in rows.iter().enumerate() {
        if facts.legs.iter().any(|l| l.id == row.id) {
            continue;
        }
        let mut leg = named(book, switch, rules, row.id.clone(), &row.channel, at(row.start, n));
        // Who is the second channel of an older one was called.
        let called = rows.iter().any(|r| r.other == row.channel && r.start < row.start);
        leg.incoming = leg.real() && !called && !row.application.starts_with("AppDial");
        leg.linked.clone_from(&row.linked);
        leg.number.clone_from(&row.number);
        // A transfer and a Goto to a phone overwrite the number that was called.
        let ours = |number: &str| {
            rules.internal.iter().any(|p| super::book::fits(p, number, true))
                || book.desk.settings.directory.at_device(switch, number).is_some()
        };
        leg.dialled = row.dialled.clone().filter(|d| !moved && d.expose() != "s" && !ours(d.expose()));
        if row.application.starts_with("AppDial2") {
            leg.dial = Some(Dial { at: leg.created, by: None, number: None, presented: None });
        }
        facts.legs.push(leg);
    }
    let count = facts.legs.len();
    for (n, row) in rows.iter().enumerate().filter(|(_, r)| !r.other.is_empty()) {
        let by = facts.legs.iter().position(|l| l.id == row.id).and_then(|i| u16::try_from(i).ok());
        let number = (row.application == "Dial").then(|| row.data.expose().split(',').next().unwrap_or_default());
        let number = number.filter(|n| !n.is_empty()).map(|n| Private::new(n.to_owned()));
        let known = facts.legs.iter().position(|l| l.name == row.other);
        let place = match known {
            Some(place) => place,
            None => {
                // It has no id here; its name stands in for one and goes into no record.
                facts.legs.push(named(book, switch, rules, row.other.clone(), &row.other, at(row.start, count + n)));
                facts.legs.len() - 1
            }
        };
        let Some(leg) = facts.legs.get_mut(place) else { continue };
        if !leg.incoming && leg.dial.is_none() {
            leg.dial = Some(Dial { at: leg.created, by, number, presented: None });
        }
        if row.disposition == Disposition::Answered {
            leg.up = leg.up.or(Some(at(row.start, n)));
        }
    }
    Some(facts)
}

fn named(book: &Book, switch: &SwitchId, rules: &super::book::Rules, id: String, name: &str, at: Moment) -> Leg {
    let mut leg = Leg::new(id, at);
    name.clone_into(&mut leg.name);
    (leg.kind, leg.endpoint) = kind_of(name, &rules.trunks);
    if leg.kind == Kind::Device {
        leg.agent = book.desk.settings.directory.at_device(switch, &leg.endpoint).map(|a| a.id.clone());
    }
    leg
}

impl Row {
    fn answered_pair(&self) -> bool {
        self.disposition == Disposition::Answered && !self.other.is_empty()
    }
}

/// What can be concluded from rows and the legs made of them.
struct Told<'a> {
    switch: &'a SwitchId,
    facts: &'a Facts,
    rows: &'a [Row],
}

impl Told<'_> {
    fn leg(&self, name: &str) -> Option<&Leg> {
        self.facts.legs.iter().find(|l| l.name == name)
    }

    /// Rows of two who heard each other: the customer (or who stands in the customer's place) and a phone, through a Local channel or not.
    fn talks(&self, direction: Option<Direction>) -> impl Iterator<Item = (&Row, &Leg, &Leg)> {
        let pairs = self.rows.iter().filter(|row| row.answered_pair());
        pairs.filter_map(move |row| {
            let (a, b) = (self.leg(&row.channel)?, self.leg(&row.other)?);
            // A phone whose call a colleague took stands in the customer's row as answered, and in its own as not (22.10.1, `pickup`).
            let taken =
                |r: &Row| r.channel == row.other && r.other.is_empty() && r.disposition != Disposition::Answered;
            if self.rows.iter().any(taken) {
                return None;
            }
            let customer = |l: &Leg| l.kind == Kind::Trunk || l.kind == Kind::Local;
            let inside = direction == Some(Direction::Internal);
            let fits =
                inside || customer(a) && b.kind == Kind::Device || a.kind == Kind::Device && b.kind == Kind::Trunk;
            fits.then_some((row, a, b))
        })
    }

    fn agents(&self, direction: Option<Direction>) -> Vec<AgentId> {
        let mut agents: Vec<AgentId> = Vec::new();
        for (_, a, b) in self.talks(direction) {
            for agent in [a, b].into_iter().filter_map(|l| l.agent.clone()) {
                if !agents.contains(&agent) {
                    agents.push(agent);
                }
            }
        }
        agents
    }

    fn outcome(&self, direction: Option<Direction>) -> Option<Outcome> {
        let talked = self.talks(direction).next().is_some();
        let offered = self.rows.iter().any(|row| !row.other.is_empty());
        match direction? {
            _ if talked => Some(Outcome::Answered),
            // It rang and ended, and who gave up is not told.
            Direction::Inbound => offered.then_some(Outcome::Unanswered),
            Direction::Outbound if !offered && self.rows.iter().all(|r| r.disposition != Disposition::Answered) => {
                let originated = self.rows.iter().all(|r| r.application.starts_with("AppDial2"));
                originated.then_some(Outcome::AgentUnreached)
            }
            _ => {
                let failed = offered && self.rows.iter().all(|r| r.disposition == Disposition::Failed);
                failed.then_some(Outcome::Failed)
            }
        }
    }

    /// The queue that was answered first, else the last.
    fn queue(&self) -> Option<String> {
        let queue = |row: &&Row| row.application == "Queue";
        let answered = self.rows.iter().find(|row| queue(row) && row.answered_pair());
        let row = answered.or_else(|| self.rows.iter().rfind(queue))?;
        row.data.expose().split(',').next().filter(|q| !q.is_empty()).map(str::to_owned)
    }

    fn parties(&self) -> Vec<Party> {
        let customer = self.facts.customer();
        let mut parties: Vec<Party> = Vec::new();
        for (index, leg) in self.facts.legs.iter().enumerate().filter(|(_, l)| l.real()) {
            let role = match &leg.agent {
                _ if customer == Some(index) => PartyRole::Customer,
                Some(_) => PartyRole::Agent,
                None => PartyRole::Other,
            };
            if parties.iter().any(|p| p.role == role && p.device.as_deref() == Some(&leg.endpoint)) {
                continue;
            }
            let agent = leg.agent.clone();
            let number = (role == PartyRole::Customer).then(|| leg.number.clone()).flatten().filter(|_| leg.incoming);
            let id = format!("p{}", parties.len() + 1);
            parties.push(Party { id, role, agent, device: Some(leg.endpoint.clone()), number });
        }
        parties
    }

    fn ids(&self) -> Vec<Id> {
        let mut list: Vec<Id> = Vec::new();
        let linked = self.rows.iter().filter_map(|r| Some(("linkedid", r.linked.as_deref()?)));
        let own = self.rows.iter().filter(|r| !r.channel.starts_with("Local/")).map(|r| ("uniqueid", r.id.as_str()));
        for (kind, value) in linked.chain(own) {
            let id = Id { switch: self.switch.clone(), kind: kind.to_owned(), value: value.to_owned() };
            if !list.contains(&id) {
                list.push(id);
            }
        }
        list
    }
}
