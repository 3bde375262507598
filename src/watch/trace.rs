//! Why a call popped, or did not: the story of one call from its number to the screens, in words an admin can act on.
//!
//! While a call lives only what concerns an agent is noted here ([`Traces`]); the rest is read off the call's face, its card and its questions
//! when it ends. The same [`Trace`] is made for a call that was made up (`linecard explain --from N --to N`), so that the answer to "what
//! would happen" and to "what happened" read alike. A console gets it as JSON; [`Trace::lines`] is the text.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::{
    calls::{
        Change, Face, Record, What,
        change::{Role, Withdrawal},
        record::{Direction, Outcome, SegmentKind},
    },
    connectors::Saw,
    customers::{Answer, BlockState, Card, FoundBy, Looked, Person, Shared, Way},
    numbers::{Number, trunks::Source},
    private::Private,
    records::list::{mask, masked},
    words::{AgentId, CallId, Now, SwitchId, SystemId, TenantId, Wall},
};

/// Steps of one call. A queue that offers a call again and again makes more; the first ones tell what is wrong.
const STEPS: usize = 200;

/// The story of one call. Absent keys are not known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// Version of this shape.
    pub trace: u32,
    pub call: CallId,
    pub tenant: TenantId,
    pub switch: SwitchId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Wall>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<Number>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialled: Option<Number>,
    /// Where that number stood: `extension`, `diversion`, `attribute:NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialled_in: Option<String>,
    /// The trunk's endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trunk: Option<String>,
    /// Edges that had the call too, and by what that was known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<Edge>,
    /// The row of trunks.yaml that won.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<Line>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Each question that was asked for it, in the order of their ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked: Vec<Looked>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<CardSeen>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// Devices that rang or talked and belong to no agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strangers: Vec<String>,
}

/// A switch before the call's own that had the call too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    pub switch: SwitchId,
    /// `call-id`, `number-and-time`, `header X-Call-Ref`.
    pub by: String,
}

/// A row of trunks.yaml, as far as it names itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Its place in the file, counted from 1; of a made-up call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialled: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// What the card came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardSeen {
    /// `pending`, `found`, `absent`, `ambiguous`, `unavailable` or `not-asked`.
    pub answer: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Private<String>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<BlockSeen>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockSeen {
    pub system: SystemId,
    pub kind: String,
    pub state: BlockState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What concerned one agent, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Wall>,
    pub agent: AgentId,
    #[serde(flatten)]
    pub what: StepKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum StepKind {
    /// The pop. `screens`: how many pages the agent had open to show it.
    Offered {
        device: String,
        role: Role,
        screens: usize,
    },
    Withdrawn {
        reason: Withdrawal,
    },
    Established,
}

/// The calls that are up, as far as agents are concerned. Still; on the core thread.
#[derive(Debug, Default)]
pub struct Traces {
    open: HashMap<CallId, Vec<Step>>,
    /// 0: nothing is noted.
    keep_ms: i64,
}

impl Traces {
    #[must_use]
    pub fn new(settings: &super::Settings) -> Self {
        Self { open: HashMap::new(), keep_ms: i64::from(settings.keep_days) * 86_400_000 }
    }

    /// How long a story is kept; `None`: none is told.
    #[must_use]
    pub fn keep_ms(&self) -> Option<i64> {
        (self.keep_ms > 0).then_some(self.keep_ms)
    }

    /// A change that screens were told of. `screens`: pages that the offered agent has open.
    pub fn change(&mut self, now: Now, change: &Change, screens: impl FnOnce(&AgentId) -> usize) {
        if self.keep_ms == 0 {
            return;
        }
        let (agent, what) = match &change.what {
            What::Offered(offer) => {
                let device = offer.device.clone();
                (&offer.agent, StepKind::Offered { device, role: offer.role, screens: screens(&offer.agent) })
            }
            What::Withdrawn { offer, reason, .. } => (&offer.agent, StepKind::Withdrawn { reason: *reason }),
            What::Established(offer) => (&offer.agent, StepKind::Established),
            What::Absorbed { into } => {
                if let Some(steps) = self.open.remove(&change.call) {
                    let all = self.open.entry(*into).or_default();
                    all.extend(steps);
                    all.sort_by_key(|step| step.at);
                    all.truncate(STEPS);
                }
                return;
            }
            _ => return,
        };
        let steps = self.open.entry(change.call).or_default();
        if steps.len() < STEPS {
            steps.push(Step { at: Some(now.wall), agent: agent.clone(), what });
        }
    }

    /// The call is over: its whole story.
    pub fn finish(&mut self, face: &Face, record: Option<&Record>, card: Option<&Card>, asked: Vec<Looked>) -> Trace {
        let steps = self.open.remove(&face.call).unwrap_or_default();
        Trace::new(face, record, card, asked, steps)
    }

    /// The story so far of a call that is up.
    #[must_use]
    pub fn so_far(&self, face: &Face, record: Option<&Record>, card: Option<&Card>, asked: Vec<Looked>) -> Trace {
        Trace::new(face, record, card, asked, self.open.get(&face.call).cloned().unwrap_or_default())
    }
}

impl Trace {
    /// Puts together what the rooms know of one call.
    #[must_use]
    pub fn new(
        face: &Face,
        record: Option<&Record>,
        card: Option<&Card>,
        asked: Vec<Looked>,
        steps: Vec<Step>,
    ) -> Self {
        Self {
            trace: 1,
            call: face.call,
            tenant: face.tenant.clone(),
            switch: face.switch.clone(),
            at: face.started_at,
            direction: face.direction,
            outcome: record.and_then(|r| r.outcome),
            number: face.customer.clone(),
            dialled: face.dialled.clone(),
            dialled_in: face.dialled.as_ref().and(face.dialled_in.as_ref()).map(Source::word),
            trunk: face.trunk.clone(),
            edges: face.edges.iter().map(|(switch, by)| Edge { switch: switch.clone(), by: by.clone() }).collect(),
            line: face.line.as_ref().map(|row| Line {
                row: None,
                dialled: row.dialled.clone(),
                title: row.title.clone(),
            }),
            queue: face.queue.clone(),
            asked,
            card: card.map(seen),
            steps,
            strangers: record.map(strangers).unwrap_or_default(),
        }
    }

    /// Why no screen showed it, or what kept it from being right; empty where there is nothing to say.
    #[must_use]
    pub fn verdict(&self) -> Vec<String> {
        let mut told = Vec::new();
        let mut blind: Vec<&AgentId> = Vec::new();
        let mut popped = false;
        for step in &self.steps {
            match &step.what {
                StepKind::Offered { screens: 0, .. } if !blind.contains(&&step.agent) => blind.push(&step.agent),
                StepKind::Offered { screens, .. } => popped |= *screens > 0,
                _ => {}
            }
        }
        for device in &self.strangers {
            told.push(format!("{device} belongs to no agent: name it among an agent's devices in agents.yaml"));
        }
        for agent in blind {
            told.push(format!("agent {agent} had no page open when the phone rang"));
        }
        if self.steps.is_empty() && self.strangers.is_empty() {
            told.push("no agent's phone rang, so there was nobody to show it to".to_owned());
        } else if popped && told.is_empty() && self.direction == Some(Direction::Inbound) && self.line.is_none() {
            told.push("no row of trunks.yaml takes the dialled number: the pop had no title of its own".to_owned());
        }
        if let Some(card) = &self.card
            && card.answer == "unavailable"
        {
            told.push(format!("who calls could not be asked: {}", card.reason.as_deref().unwrap_or("no reason given")));
        }
        told
    }

    /// With the verdict beside what it stands on. `full`: numbers and ids whole.
    #[must_use]
    pub fn json(&self, full: bool) -> serde_json::Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if !full {
            mask(&mut value);
        }
        value["verdict"] = self.verdict().into();
        value
    }

    /// For people, a line each. `full`: numbers and ids whole.
    #[must_use]
    pub fn lines(&self, full: bool) -> Vec<String> {
        let shown = |text: &str| if full { text.to_owned() } else { masked(text) };
        let number = |number: &Number| {
            let part = |p: &Option<Private<String>>| p.as_ref().map_or_else(String::new, |p| shown(p.expose()));
            let read = [part(&number.e164), part(&number.short)].concat();
            let read = if read.is_empty() { "no number that could be called back".to_owned() } else { read };
            format!("{}  {}  {read}", part(&number.raw), word(&number.class))
        };
        let mut lines = vec![format!(
            "{:<10}{}  {}{} at {}{}",
            "call",
            self.call,
            self.at.map(|at| format!("{at}  ")).unwrap_or_default(),
            self.direction.as_ref().map_or_else(|| "of unknown direction".to_owned(), word),
            self.switch,
            self.trunk.as_ref().map(|t| format!(" over {t}")).unwrap_or_default()
        )];
        let mut line = |head: &str, text: String| lines.push(format!("{head:<10}{text}"));
        for edge in &self.edges {
            line("edge", format!("{} had it too: found by {}", edge.switch, edge.by));
        }
        match &self.number {
            Some(n) if n.key().is_none() => line("number", "withheld: nobody is looked up".to_owned()),
            Some(n) => line("number", number(n)),
            None => line("number", "not known".to_owned()),
        }
        if let Some(dialled) = &self.dialled {
            let place = self.dialled_in.as_deref().filter(|place| *place != "extension");
            line(
                "dialled",
                format!("{}{}", number(dialled), place.map(|p| format!("   (by {p})")).unwrap_or_default()),
            );
        }
        match &self.line {
            Some(row) => {
                let place = row.row.map(|n| format!("{n}: ")).unwrap_or_default();
                let dialled = row.dialled.as_ref().map_or_else(|| "any number".to_owned(), |d| format!("\"{d}\""));
                let title = row.title.as_ref().map(|t| format!(": {t}")).unwrap_or_default();
                line("row", format!("{place}{dialled} of trunks.yaml{title}"));
            }
            None if self.direction == Some(Direction::Inbound) => {
                line("row", "none of trunks.yaml takes it".to_owned())
            }
            None => {}
        }
        if let Some(queue) = &self.queue {
            line("queue", queue.clone());
        }
        for looked in &self.asked {
            line("asked", looked_line(looked));
            for saw in &looked.saw {
                match saw {
                    Saw::Indexed { customers, age_ms } => {
                        let age = crate::connectors::index::age(*age_ms);
                        line("", format!("  the index of numbers names {customers}; what it knows is {age} old"));
                    }
                    Saw::Answered { step, status: Some(status) } => line("", format!("  {step}: status {status}")),
                    Saw::Answered { step, status: None } => line("", format!("  {step}: no answer")),
                    Saw::Matched { id, why } => line(
                        "",
                        format!(
                            "  matched {}{}",
                            told(id.as_ref()),
                            why.as_ref().map(|w| format!(": {w}")).unwrap_or_default()
                        ),
                    ),
                    Saw::Refused { id, why } => line("", format!("  refused {}: {why}", told(id.as_ref()))),
                }
            }
        }
        if let Some(card) = &self.card {
            let reason = card.reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default();
            let who = card.candidates.iter().map(|c| c.expose().as_str()).collect::<Vec<_>>().join(", ");
            line("card", format!("{}{reason}{}{who}", card.answer, if who.is_empty() { "" } else { "  " }));
            for block in &card.blocks {
                let reason = block.reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default();
                line("", format!("  {} {}: {}{reason}", block.system, block.kind, word(&block.state)));
            }
        }
        for step in &self.steps {
            let at = step.at.map(|at| format!("{at}  ")).unwrap_or_default();
            match &step.what {
                StepKind::Offered { device, role, screens } => {
                    let s = if *screens == 1 { "" } else { "s" };
                    line(
                        "offered",
                        format!("{at}{} at {device} ({}): pop to {screens} screen{s}", step.agent, word(role)),
                    );
                }
                StepKind::Withdrawn { reason } => line("withdrawn", format!("{at}{}: {}", step.agent, word(reason))),
                StepKind::Established => line("talks", format!("{at}{}", step.agent)),
            }
        }
        if let Some(outcome) = &self.outcome {
            line("outcome", word(outcome));
        }
        for verdict in self.verdict() {
            line("so", verdict);
        }
        lines
    }
}

fn looked_line(looked: &Looked) -> String {
    let way = match looked.way {
        Way::Asked { ms } => format!("in {ms} ms"),
        Way::Shared { ms } => format!("in {ms} ms, with another call's question"),
        Way::Cached { age_ms, fresh } => {
            format!("from the cache, {} s old{}", age_ms / 1000, if fresh { "" } else { " (stale: asked again)" })
        }
    };
    let reason = looked.reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default();
    let version = looked.version.as_ref().map(|version| format!(" (by {version})")).unwrap_or_default();
    format!("{}{version} {}: {} {way}{reason}", looked.system, looked.operation, looked.outcome)
}

fn told(id: Option<&Private<String>>) -> String {
    id.map_or_else(|| "a record".to_owned(), |id| id.expose().clone())
}

fn seen(card: &Card) -> CardSeen {
    // One entry a person, with the records that were joined: `erp:customer:1001 = desk:contact:7`.
    let person = |p: &Person| p.records().map(|record| record.id.as_str()).collect::<Vec<_>>().join(" = ");
    let (answer, reason, candidates) = match &card.answer {
        Answer::Pending => ("pending", None, Vec::new()),
        Answer::Found(one) => ("found", found_by(card), vec![person(one)]),
        Answer::Absent => ("absent", None, Vec::new()),
        Answer::Ambiguous(list) => ("ambiguous", found_by(card), list.iter().map(|p| person(p)).collect()),
        Answer::Unavailable(away) => ("unavailable", Some(away.reason.clone()), Vec::new()),
        Answer::NotAsked(why) => ("not-asked", Some(why.reason().to_owned()), Vec::new()),
    };
    let block = |b: &crate::customers::Block| BlockSeen {
        system: b.system.clone(),
        kind: b.kind.clone(),
        state: b.state,
        reason: b.reason.clone(),
    };
    CardSeen {
        answer: answer.to_owned(),
        reason,
        candidates: candidates.into_iter().map(Private::new).collect(),
        blocks: card.blocks.iter().map(block).collect(),
    }
}

/// What else decided who it is, or kept it open.
fn found_by(card: &Card) -> Option<String> {
    let told = [
        (card.found_by == Some(FoundBy::Account), "by the account that the caller gave"),
        (card.account_unknown, "no system knows the account that the caller gave"),
        (card.remembered.is_some(), "chosen by an agent in an earlier call of this number"),
        (card.shared == Some(Shared::Listed), "the number is listed as a shared one"),
        (card.shared == Some(Shared::Many), "more customers have this number than customers.shared_above"),
    ];
    let told: Vec<&str> = told.into_iter().filter(|(so, _)| *so).map(|(_, text)| text).collect();
    (!told.is_empty()).then(|| told.join("; "))
}

/// Devices of a call that rang or talked on our side and are nobody's.
fn strangers(record: &Record) -> Vec<String> {
    let rang = |party: &str| {
        let kinds = [SegmentKind::Ring, SegmentKind::Talk, SegmentKind::Consult];
        record.segments.iter().any(|s| s.party.as_deref() == Some(party) && kinds.contains(&s.kind))
    };
    let mut list: Vec<String> = Vec::new();
    for party in record.parties.iter().filter(|p| p.agent.is_none()) {
        if let Some(device) = party.device.as_ref().filter(|d| Some(*d) != record.trunk.as_ref() && !list.contains(*d))
            && party.role == crate::calls::record::PartyRole::Other
            && rang(&party.id)
        {
            list.push(device.clone());
        }
    }
    list
}

/// An enum's word as JSON writes it.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}
