//! One flow under way: what is known of it goes in with the moment, what is to be asked comes out. Still.
//!
//! There is no program counter. Each step has a mark, and where the flow stands follows from its marks and its file: the same after a restart. A
//! turn sets marks (an intent among them) and gives what is to be sent; the live part puts the run on disk, and sends then. Nothing
//! else may be sent for a step that is marked as sent: if its answer never comes, the outcome is unknown.
//!
//! A step that failed, a refusal or somebody's word stops the run. What is under way is brought to its end first, because what may have been done
//! must be known before it can be taken back; then what was done is undone, last first. Behind a pivot nothing is undone.

mod answer;
mod hear;
mod listen;
mod record;
mod sight;
mod turn;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{
    connectors::{Idempotency, Outcome},
    private::Private,
    store::FlowRow,
    words::{AgentId, CallId, SystemId, TenantId, Wall},
};

use super::{
    Settings,
    answers::{Answer, Mailbox},
    compile::Plan,
    why,
    word::Settled,
};
pub(super) use hear::{NOTHING_WAITS, refusal};
pub use record::Inscription;
pub(super) use sight::Leaf;

/// Why it began, and with what; never changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// `button`, `wrap-up`, ...
    pub trigger: String,
    /// Who asked for it.
    #[serde(default)]
    pub agent: Option<AgentId>,
    /// The agent's ids at the systems.
    #[serde(default)]
    pub agent_ids: BTreeMap<String, String>,
    #[serde(default)]
    pub call: Value,
    #[serde(default)]
    pub customer: Value,
    #[serde(default)]
    pub event: Value,
    #[serde(default)]
    pub inputs: Map<String, Value>,
}

/// A flow under way. All of it is personal; its `Debug` says only where it stands.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub id: String,
    pub tenant: TenantId,
    pub flow: String,
    pub hash: String,
    #[serde(default)]
    pub call: Option<CallId>,
    pub born_at: Wall,
    pub cause: Cause,
    #[serde(default)]
    pub marks: BTreeMap<String, Mark>,
    #[serde(default)]
    pub undos: BTreeMap<String, Mark>,
    #[serde(default)]
    lists: BTreeMap<String, Vec<Value>>,
    #[serde(default)]
    pub stop: Option<Stop>,
    #[serde(default)]
    pub end: Option<End>,
    #[serde(default)]
    pub tasks: Vec<Task>,
    /// Answers that came while nothing waited for them, for what may.
    #[serde(default)]
    early: Vec<(Mailbox, Answer)>,
    /// Steps that were done, counted: they are undone the other way round.
    #[serde(default)]
    count: u32,
    #[serde(skip)]
    pub revision: u32,
    /// Of this turn, for the desk.
    #[serde(skip)]
    wishes: Vec<Inscription>,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.flow, self.id, self.state())
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Mark {
    /// Its condition did not hold.
    Skipped,
    Trying(Trying),
    /// For somebody who agrees.
    Waiting {
        since: Wall,
        until: Wall,
        #[serde(default)]
        amount: Option<String>,
    },
    /// For somebody's answer.
    Listening {
        since: Wall,
        until: Wall,
        mailbox: Mailbox,
    },
    Done {
        at: Wall,
        order: u32,
        result: Private<Value>,
        /// Who agreed, or said that it is done.
        #[serde(default)]
        by: Option<String>,
    },
    Failed {
        at: Wall,
        reason: String,
        /// The flow goes on without it.
        #[serde(default)]
        passed: bool,
    },
    /// A person must look, or do it.
    Person {
        at: Wall,
        reason: String,
        task: u32,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trying {
    pub born_at: Wall,
    pub due_at: Wall,
    pub attempts: u32,
    /// An attempt may have been done.
    pub unsure: bool,
    /// A request may be on its way: this was on disk before it.
    pub sent: bool,
    #[serde(default)]
    pub reason: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    pub at: Wall,
    /// The step, if it was one.
    #[serde(default)]
    pub step: Option<String>,
    /// Free of personal data.
    pub reason: String,
    /// Who said so, if somebody did, and why.
    #[serde(default)]
    pub who: Option<String>,
    #[serde(default)]
    pub why: Option<Private<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    pub at: Wall,
    /// All steps were done; otherwise what was done is undone.
    pub done: bool,
}

/// Something for a person, with all that is needed for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    pub task: u32,
    pub kind: TaskKind,
    pub step: String,
    pub system: SystemId,
    pub operation: String,
    /// By which it is known at the system.
    pub key: String,
    pub inputs: Private<Value>,
    pub reason: String,
    pub at: Wall,
    /// What was done so far, in order: where, and under which id there.
    pub done: Vec<DoneThere>,
    #[serde(default)]
    pub taken: Option<String>,
    #[serde(default)]
    pub settled: Option<SettledBy>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TaskKind {
    /// Nobody knows whether it was done: look there, and say.
    Decide,
    /// It is to be taken back by hand.
    Undo,
    /// It is to be done by hand: there is no way back any more.
    Finish,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DoneThere {
    pub step: String,
    #[schemars(with = "String")]
    pub system: SystemId,
    pub operation: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub id: Option<Private<String>>,
    #[schemars(with = "String")]
    pub at: Wall,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SettledBy {
    pub who: String,
    pub at: Wall,
    pub how: Settled,
    #[serde(default)]
    pub note: Option<Private<String>>,
}

/// To be sent, once the run is on disk as it is now.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub path: String,
    pub undo: bool,
    pub system: SystemId,
    pub operation: &'static str,
    pub inputs: Map<String, Value>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Answered {
    pub path: String,
    pub undo: bool,
    pub outcome: Outcome,
    pub can: Idempotency,
    /// In `0.0..1.0`.
    pub dice: f64,
}

/// Names one run: the same for the same cause.
#[must_use]
pub fn id(tenant: &TenantId, flow: &str, cause: &str) -> String {
    ulid(&digest(&["linecard flow 1", tenant.as_str(), flow, cause]))
}

fn digest(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

fn ulid(hash: &[u8; 32]) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    ulid::Ulid(u128::from_be_bytes(bytes)).to_string()
}

impl Run {
    #[must_use]
    pub fn new(id: String, plan: &Plan, tenant: TenantId, call: Option<CallId>, cause: Cause, now: Wall) -> Self {
        Self {
            id,
            tenant,
            flow: plan.name.clone(),
            hash: plan.hash.clone(),
            call,
            born_at: now,
            cause,
            marks: BTreeMap::new(),
            undos: BTreeMap::new(),
            lists: BTreeMap::new(),
            stop: None,
            end: None,
            tasks: Vec::new(),
            early: Vec::new(),
            count: 0,
            revision: 0,
            wishes: Vec::new(),
        }
    }

    /// As it was written down. What was on its way then may have been done, and nobody has heard of it: it is left alone for a while, and then
    /// looked at.
    ///
    /// # Errors
    /// The row was not written by this program.
    pub fn of(row: &FlowRow, now: Wall, settings: &Settings) -> Result<Self, String> {
        let mut run: Self =
            serde_json::from_str(row.body.expose()).map_err(|_| "what was written of it cannot be read".to_owned())?;
        run.revision = row.revision;
        let quiet = i64::try_from(settings.quiet_ms).unwrap_or(i64::MAX);
        for mark in run.marks.values_mut().chain(run.undos.values_mut()) {
            if let Mark::Trying(trying) = mark
                && trying.sent
            {
                (trying.sent, trying.unsure, trying.due_at) = (false, true, now.plus_ms(quiet));
                trying.attempts = trying.attempts.saturating_add(1);
                trying.reason = Some(why::INTERRUPTED.to_owned());
            }
        }
        Ok(run)
    }

    /// As it is written down next.
    #[must_use]
    pub fn row(&self, now: Wall) -> FlowRow {
        FlowRow {
            tenant: self.tenant.clone(),
            id: self.id.clone(),
            flow: self.flow.clone(),
            hash: self.hash.clone(),
            call: self.call,
            revision: self.revision,
            state: self.state().to_owned(),
            open: self.end.is_none(),
            person: self.end.is_none() && self.open_tasks().next().is_some(),
            due_at: self.due(now),
            born_at: self.born_at,
            updated_at: now,
            body: serde_json::to_string(self).unwrap_or_default().into(),
        }
    }

    /// `running`, `approval`, `undoing`, `person`, `done`, `undone`.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match (&self.end, &self.stop) {
            (Some(End { done: true, .. }), _) => "done",
            (Some(_), _) => "undone",
            _ if self.open_tasks().next().is_some() => "person",
            (None, Some(_)) => "undoing",
            _ if self.marks.values().any(|mark| matches!(mark, Mark::Waiting { .. })) => "approval",
            _ => "running",
        }
    }

    pub fn open_tasks(&self) -> impl Iterator<Item = &Task> {
        self.tasks.iter().filter(|task| task.settled.is_none())
    }

    /// Where it waits for answers.
    #[must_use]
    pub fn mailboxes(&self) -> Vec<Mailbox> {
        let of = |mark: &Mark| match mark {
            Mark::Listening { mailbox, .. } => Some(mailbox.clone()),
            _ => None,
        };
        self.marks.values().filter_map(of).collect()
    }

    /// When it goes on by itself.
    fn due(&self, now: Wall) -> Option<Wall> {
        if self.end.is_some() {
            return None;
        }
        if self.marks.is_empty() {
            return Some(now);
        }
        let all = self.marks.values().chain(self.undos.values());
        all.filter_map(|mark| match mark {
            // After a restart it is due at once, and `of` says how long it is left alone.
            Mark::Trying(trying) => Some(if trying.sent { now } else { trying.due_at }),
            Mark::Waiting { until, .. } | Mark::Listening { until, .. } => Some(*until),
            _ => None,
        })
        .min()
    }

    /// By what a step is known at its system, for ever. `call` names it there in place of a call: what is found by it is this step's.
    fn key(&self, path: &str, undo: bool) -> (String, String) {
        let hash =
            digest(&["linecard flow step 1", self.tenant.as_str(), &self.id, path, if undo { "undo" } else { "do" }]);
        (hash.iter().take(20).map(|byte| format!("{byte:02x}")).collect(), ulid(&hash))
    }
}

#[cfg(test)]
mod tests;
