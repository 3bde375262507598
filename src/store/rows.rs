//! The store's own words. Plain serialisable values; a body is JSON text that the store never reads.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    private::Private,
    words::{AgentId, CallId, SwitchId, SystemId, TenantId, Wall},
};

/// One transaction: all of it is durable when `submit` answers, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    pub records: Vec<RecordRow>,
    pub checkpoints: Vec<CheckpointRow>,
    /// Calls that are open no longer: their checkpoint rows go.
    pub closed: Vec<CallKey>,
    pub notes: Vec<NoteRow>,
    pub effects: Vec<EffectSet>,
    pub seats: Vec<SeatRow>,
    pub choices: Vec<ChoiceRow>,
    pub contacts: Vec<ContactRow>,
    pub audit: Vec<AuditRow>,
    pub traces: Vec<TraceRow>,
    /// Up to where switches' own records were read.
    pub positions: Vec<PositionRow>,
    pub callbacks: Vec<CallbackRow>,
    pub states: Vec<StateRow>,
    /// Texts of flow files, by their hashes: a flow in hand goes on by the one it began with.
    pub flow_files: Vec<FlowFileRow>,
    pub flows: Vec<FlowRow>,
    pub flow_words: Vec<FlowWordRow>,
    /// Words that are in a flow of this batch: their rows go.
    pub flow_heard: Vec<String>,
    pub compared: Vec<Compared>,
    pub operations: Vec<OperationRow>,
    pub times: Vec<TimeRow>,
}

impl Batch {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
            && self.checkpoints.is_empty()
            && self.closed.is_empty()
            && self.notes.is_empty()
            && self.effects.is_empty()
            && self.seats.is_empty()
            && self.choices.is_empty()
            && self.contacts.is_empty()
            && self.audit.is_empty()
            && self.traces.is_empty()
            && self.positions.is_empty()
            && self.callbacks.is_empty()
            && self.states.is_empty()
            && self.flow_files.is_empty()
            && self.flows.is_empty()
            && self.flow_words.is_empty()
            && self.flow_heard.is_empty()
            && self.compared.is_empty()
            && self.operations.is_empty()
            && self.times.is_empty()
    }

    /// Adds `next` behind this one; the order within each kind is kept.
    pub fn append(&mut self, mut next: Batch) {
        // A checkpoint that comes after a close of the same call (or the other way round) must win, as it would have in two batches.
        self.checkpoints.retain(|row| !next.closed.iter().any(|key| key.call == row.call && key.tenant == row.tenant));
        self.closed.retain(|key| !next.checkpoints.iter().any(|row| key.call == row.call && key.tenant == row.tenant));
        self.records.append(&mut next.records);
        self.checkpoints.append(&mut next.checkpoints);
        self.closed.append(&mut next.closed);
        self.notes.append(&mut next.notes);
        self.effects.append(&mut next.effects);
        self.seats.append(&mut next.seats);
        self.choices.append(&mut next.choices);
        self.contacts.append(&mut next.contacts);
        self.audit.append(&mut next.audit);
        self.traces.append(&mut next.traces);
        self.positions.append(&mut next.positions);
        self.callbacks.append(&mut next.callbacks);
        self.states.append(&mut next.states);
        self.flow_files.append(&mut next.flow_files);
        self.flows.append(&mut next.flows);
        self.flow_words.append(&mut next.flow_words);
        self.flow_heard.append(&mut next.flow_heard);
        self.compared.append(&mut next.compared);
        self.operations.append(&mut next.operations);
        self.times.append(&mut next.times);
    }

    /// About how many bytes it holds, for the bound of the writer's queue.
    #[must_use]
    pub fn weight(&self) -> usize {
        let records: usize = self.records.iter().map(|row| row.body.expose().len()).sum();
        let open: usize = self.checkpoints.iter().map(|row| row.body.expose().len()).sum();
        let notes: usize = self.notes.iter().map(|row| row.body.expose().len()).sum();
        let effects: usize =
            self.effects.iter().flat_map(|set| &set.puts).map(|put| put.row.inputs.expose().len()).sum();
        let traces: usize = self.traces.iter().map(|row| row.body.expose().len()).sum();
        let callbacks: usize = self.callbacks.iter().map(|row| row.body.expose().len()).sum();
        let flows: usize = self.flows.iter().map(|row| row.body.expose().len()).sum();
        let words: usize = self.flow_words.iter().map(|row| row.body.expose().len()).sum();
        256 + records + open + notes + effects + traces + callbacks + flows + words
    }
}

/// Up to where one switch's own records were read; the newest counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PositionRow {
    pub tenant: TenantId,
    pub switch: SwitchId,
    /// JSON of the room that wrote it.
    pub body: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CallKey {
    pub tenant: TenantId,
    pub call: CallId,
}

/// A call as written down. An older revision never replaces a newer one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordRow {
    pub tenant: TenantId,
    pub call: CallId,
    pub revision: u32,
    /// Version of the body's shape.
    pub schema: u32,
    pub started_at: Option<Wall>,
    pub ended_at: Option<Wall>,
    pub direction: Option<String>,
    pub outcome: Option<String>,
    pub queue: Option<String>,
    /// The call record as JSON.
    pub body: Private<String>,
}

/// A call that is still up: what a restart must know of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointRow {
    pub tenant: TenantId,
    pub call: CallId,
    pub switch: SwitchId,
    pub schema: u32,
    /// When it was first seen.
    pub opened_at: Wall,
    /// JSON of the room that wrote it.
    pub body: Private<String>,
}

/// What one agent said of one call; the newest replaces what the same agent said before under the same kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteRow {
    pub tenant: TenantId,
    pub call: CallId,
    pub agent: AgentId,
    /// `notes`, `wrapup` or `customer`.
    pub kind: String,
    pub at: Wall,
    /// JSON of the room that wrote it.
    pub body: Private<String>,
}

/// One person at one seat, from a moment to a moment. Written when it begins and again when it ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeatRow {
    pub tenant: TenantId,
    pub agent: AgentId,
    pub switch: SwitchId,
    pub device: String,
    pub from: Wall,
    /// Absent while it lasts.
    pub to: Option<Wall>,
    /// `page` or `queue`.
    pub how: String,
    /// Why it ended: `left`, `moved`, `taken-over`, `logged-out`, `settings`.
    pub why: Option<String>,
}

/// An agent's state apart from calls; the last one counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateRow {
    pub tenant: TenantId,
    pub agent: AgentId,
    /// `logged-off`, `not-ready` or `ready`.
    pub state: String,
    pub reason: Option<String>,
    pub since: Wall,
}

/// Something that an agent did by hand in another system for a call, once more; the store adds them up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationRow {
    pub tenant: TenantId,
    pub call: CallId,
    pub agent: AgentId,
    /// `record-opened`, `number-copied`, `search-typed` or `ticket-outside`.
    pub kind: String,
    pub count: u32,
    pub at: Wall,
}

/// So much longer an agent was in a state on a day; the store adds them up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeRow {
    pub tenant: TenantId,
    pub agent: AgentId,
    /// `2026-11-26`, in the zone of whoever counts.
    pub day: String,
    /// `ready`, `busy`, `working-after-call` or `not-ready`.
    pub state: String,
    pub ms: u64,
}

/// The record of a call that ended, borrowed from its row, with what else is counted of the call.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    pub tenant: &'a str,
    pub call: &'a str,
    pub at: Wall,
    /// The call record as JSON.
    pub body: &'a str,
    /// A ticket was made of it; one was opened again.
    pub ticket_made: bool,
    pub ticket_reopened: bool,
    /// What was done by hand for it: `record-opened=2,number-copied=1`.
    pub operations: Option<&'a str>,
}

/// Which customer an agent chose for a number; an older choice never replaces a newer one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChoiceRow {
    pub tenant: TenantId,
    /// E.164, else what stands for it.
    pub number: Private<String>,
    /// `<system>:<type>:<id>`; `None`: nobody any more.
    pub customer: Option<String>,
    pub call: CallId,
    pub agent: AgentId,
    pub at: Wall,
}

/// The last call in which somebody talked with a customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactRow {
    pub tenant: TenantId,
    /// `<system>:<type>:<id>`.
    pub customer: String,
    pub call: CallId,
    pub agent: Option<AgentId>,
    pub at: Wall,
}

/// A customer who is to be called back; the newest replaces what was written of it before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackRow {
    pub tenant: TenantId,
    /// Of the call that it began with.
    pub id: CallId,
    pub at: Wall,
    /// There is still something to do.
    pub open: bool,
    /// JSON of the room that wrote it.
    pub body: Private<String>,
}

/// The text of a flow's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowFileRow {
    pub hash: String,
    /// Its name.
    pub flow: String,
    pub text: String,
}

/// One run of a flow, as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowRow {
    pub tenant: TenantId,
    /// The same for the same cause: a second beginning of it changes nothing.
    pub id: String,
    /// Name of its file, and the hash of the text it goes by.
    pub flow: String,
    pub hash: String,
    pub call: Option<CallId>,
    /// 0 begins it; otherwise one more than what it follows, or it is refused.
    pub revision: u32,
    pub state: String,
    /// There is still something to do, by us or by people.
    pub open: bool,
    /// Something waits for a person.
    pub person: bool,
    /// When it goes on; absent: when somebody says something.
    pub due_at: Option<Wall>,
    pub born_at: Wall,
    pub updated_at: Wall,
    /// JSON of the room that wrote it.
    pub body: Private<String>,
}

/// What somebody said to a flow, until the flow has heard it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowWordRow {
    pub tenant: TenantId,
    /// The same word twice is one.
    pub id: String,
    pub flow: String,
    pub at: Wall,
    /// JSON of the room that wrote it.
    pub body: Private<String>,
}

/// What a comparison found; a difference of before that it would have found again and did not is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    pub tenant: TenantId,
    /// Of calls and effects of this time.
    pub from: Wall,
    pub to: Wall,
    pub at: Wall,
    /// Kinds that were looked for, each with the switch or system that was asked; those that could not be asked are not here.
    pub asked: Vec<(String, Option<String>)>,
    pub found: Vec<DifferenceRow>,
}

/// One thing that our records, a switch or a business system tell differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferenceRow {
    pub tenant: TenantId,
    /// The same at each look.
    pub id: String,
    pub kind: String,
    /// Of the call or the effect.
    pub at: Wall,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub switch: Option<SwitchId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<SystemId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<CallId>,
    /// Its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<String>,
    /// In words, without personal data.
    pub what: String,
    /// What mending needs, JSON of the room that wrote it.
    #[serde(skip)]
    pub place: Option<String>,
    /// `open`, `wanted` (it is to be mended), `mended`, `accepted` or `gone`.
    pub state: String,
    /// When it was seen last.
    pub seen_at: Wall,
}

/// A flow that is due, and what was said to it, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowDue {
    pub row: FlowRow,
    pub words: Vec<FlowWordRow>,
}

/// Of flows: what is wanted, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowFilter {
    /// Absent: of all.
    pub tenant: Option<TenantId>,
    /// By the beginning of its id.
    pub id: Option<String>,
    pub call: Option<CallId>,
    /// Those that are over too.
    pub all: bool,
    /// Only those that wait for a person.
    pub person: bool,
    /// 0 is 100.
    pub limit: usize,
}

/// Everything a call is to have done at the business systems by what is known now. What was put before for this call and is not in
/// `puts` any more is withdrawn, unless it may have been sent already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectSet {
    pub call: CallKey,
    pub puts: Vec<EffectPut>,
    /// When this was concluded; a withdrawal is dated with it.
    pub at: Wall,
    /// Nothing is withdrawn: these are events, and what has happened is not taken back.
    #[serde(default)]
    pub adds: bool,
}

/// An effect as it should be. If it does not exist, it is made. If it exists and cannot have reached the system yet, it is changed
/// in place. If it may have, and its content differs from what was put last, `amend` is done as an effect of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectPut {
    pub row: EffectRow,
    /// What it says, as text: an effect whose content did not change is not amended, whatever else came to be known.
    pub content: Private<String>,
    pub amend: Option<Amend>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amend {
    pub operation: String,
    /// JSON object.
    pub inputs: Private<String>,
    /// Input name to an expression over `result`, the answer that the amended effect got; filled when it is sent.
    pub from_result: Vec<(String, String)>,
    /// When it may go.
    pub due_at: Wall,
}

/// One thing to be done at a business system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectRow {
    /// [`effect_key`] of tenant, call, system and step; the same for ever.
    pub key: String,
    /// The key of the effect that this one amends; its own key where it amends none.
    pub base: String,
    pub tenant: TenantId,
    pub call: CallId,
    /// Place among the call's effects, assigned by the store: lower goes first.
    pub place: u64,
    /// The name that the rule gives it.
    pub step: String,
    pub system: SystemId,
    pub operation: String,
    /// JSON object.
    pub inputs: Private<String>,
    /// See [`Amend::from_result`].
    pub from_result: Vec<(String, String)>,
    /// Counts changes of the inputs from 1.
    pub revision: u32,
    pub state: State,
    pub due_at: Wall,
    /// When its 72 hours began.
    pub born_at: Wall,
    pub attempts: u32,
    /// An attempt may have been done by the system without our knowing: look before the next one.
    pub unsure: bool,
    /// Why it is where it is, without personal data.
    pub reason: Option<String>,
    /// What the system answered when it was done, JSON.
    pub result: Option<Private<String>>,
    /// The answer that the amended effect got, JSON; filled by a claim.
    pub base_result: Option<Private<String>>,
    /// The call's record as it now is, JSON; filled by a claim.
    pub record: Option<Private<String>>,
    pub rules_hash: String,
    pub connector_hash: String,
    /// The file by which it is written, where that is not the system's own: decided by the first effect of the call at this system, and the same for all that follow.
    pub version: Option<SystemId>,
    /// Of the claim it is under.
    pub fence: u64,
    pub updated_at: Wall,
}

/// Where an effect is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Not tried yet.
    Waiting,
    /// In the hands of a deliverer, until its lease ends.
    Claimed,
    /// Tried; goes again at `due_at`.
    Later,
    /// The system has it.
    Done,
    /// Given up, with a reason; a person may retry it.
    Dead,
    /// Nobody can know whether the system has it; a person must look.
    Person,
    /// Taken out by a person.
    Dropped,
    /// Never sent, and no longer called for by the amended record.
    Withdrawn,
}

impl State {
    pub const ALL: [Self; 8] = [
        Self::Waiting,
        Self::Claimed,
        Self::Later,
        Self::Done,
        Self::Dead,
        Self::Person,
        Self::Dropped,
        Self::Withdrawn,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Claimed => "claimed",
            Self::Later => "later",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Person => "person",
            Self::Dropped => "dropped",
            Self::Withdrawn => "withdrawn",
        }
    }

    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Still to be done by us; what comes behind it in the same call waits.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::Claimed | Self::Later)
    }
}

/// What a deliverer asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub now: Wall,
    /// How long the claim holds without a settlement.
    pub lease_ms: i64,
    /// How long after a claim was abandoned (lease over, or its daemon gone) it is left alone: the request may still be on
    /// its way inside the system, and a look that comes too early would not see it.
    pub quiet_ms: i64,
    /// Effects per system at most; systems not named get `room_else`.
    pub room: Vec<(SystemId, usize)>,
    pub room_else: usize,
}

/// What a claimed effect is to do, where that was open until its time came: durable before it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    pub key: String,
    /// That of the claim; a decision under another fence changes nothing.
    pub fence: u64,
    pub at: Wall,
    pub operation: String,
    /// JSON object.
    pub inputs: Private<String>,
}

/// How a claimed effect went on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    pub key: String,
    /// That of the claim; a settlement under another fence changes nothing.
    pub fence: u64,
    pub at: Wall,
    pub next: Next,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    Done {
        result: Option<Private<String>>,
    },
    Later {
        due_at: Wall,
        reason: String,
        unsure: bool,
    },
    Dead {
        reason: String,
        unsure: bool,
    },
    Person {
        reason: String,
    },
    /// The version that it was for wrote nothing and does not go on: the system's own file writes it, from now on.
    Elsewhere,
    /// Given back untried (shutdown, or no room), as sure or unsure as it was claimed.
    Back {
        unsure: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    pub tenant: TenantId,
    pub at: Wall,
    /// An agent's id, or `cli`, or `outbox`.
    pub who: String,
    /// `outbox.drop`, `outbox.retry`, `customer.chosen`, ...
    pub what: String,
    /// A call id or an effect's key.
    pub about: String,
    /// Free of personal data.
    pub reason: Option<String>,
}

/// Of the audit: what is wanted, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Absent: of all.
    pub tenant: Option<TenantId>,
    pub who: Option<String>,
    /// With a `*` behind it, all that begin so.
    pub what: Option<String>,
    pub about: Option<String>,
    pub limit: u32,
}

/// How a call came to be shown as it was; for explanations, and gone after a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceRow {
    pub tenant: TenantId,
    pub call: CallId,
    pub at: Wall,
    /// After this it may be forgotten.
    pub until: Wall,
    /// JSON of the room that wrote it.
    pub body: Private<String>,
}

/// All that is stored of one call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    pub record: Option<RecordRow>,
    pub checkpoint: Option<CheckpointRow>,
    pub notes: Vec<NoteRow>,
    pub effects: Vec<EffectRow>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordFilter {
    pub tenant: Option<TenantId>,
    pub outcome: Option<String>,
    pub since: Option<Wall>,
    pub until: Option<Wall>,
    /// Newest first; 0 is 100.
    pub limit: usize,
}

/// Calls that came in to one number of a switch, over one trunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called {
    pub switch: SwitchId,
    pub trunk: Option<String>,
    /// As its row found it: E.164, a short code, or as it came.
    pub dialled: String,
    pub calls: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EffectFilter {
    pub tenant: Option<TenantId>,
    pub call: Option<CallId>,
    pub system: Option<SystemId>,
    /// Empty: all but done, withdrawn and dropped.
    pub states: Vec<State>,
    /// Changed last (delivered, given up) in this time.
    pub since: Option<Wall>,
    pub until: Option<Wall>,
    /// Newest first; 0 is 100.
    pub limit: usize,
}

/// For the metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Effects in each state that has any but `done`, `withdrawn` and `dropped` (which only grow).
    pub outbox: Vec<(State, u64)>,
    /// The earliest `due_at` of those still to be done by us; it may lie ahead.
    pub oldest_due: Option<Wall>,
    pub open_calls: u64,
    /// Flows that are not over, and those of them that wait for a person.
    pub flows_open: u64,
    pub flows_person: u64,
    /// Differences that nobody mended or accepted, by kind.
    pub differences: Vec<(String, u64)>,
    /// Commits, and batches that went into them, since this daemon opened the store.
    pub commits: u64,
    pub batches: u64,
    /// Length of the write-ahead log file, bytes.
    pub wal_bytes: u64,
}

/// The key of an effect: the same bytes after a restart, a restore and at another daemon, for as long as the record lives. 160 bits of
/// SHA-256 in hex; each part is preceded by its length, so that no two lists of parts read the same.
#[must_use]
pub fn effect_key(tenant: &TenantId, call: CallId, system: &SystemId, step: &str) -> String {
    let call = call.to_string();
    let mut hash = Sha256::new();
    for part in ["linecard effect 1", tenant.as_str(), &call, system.as_str(), step] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().take(20).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_never_changes() {
        let call: CallId = "01JD0000000000000000000001".parse().unwrap();
        let key = effect_key(&"default".into(), call, &"redmine".into(), "call-note");
        // Written down once: if this fails, every effect in the field gets a second key and is done twice.
        assert_eq!(key, "7bf9f62d569e4a960b0b6a64259e327aec5d8799");
        assert_ne!(key, effect_key(&"default".into(), call, &"redminec".into(), "all-note"));
    }

    #[test]
    fn appended_batches_end_where_the_same_batches_one_by_one_would() {
        let call: CallId = "01JD0000000000000000000001".parse().unwrap();
        let key = CallKey { tenant: TenantId::default(), call };
        let row = CheckpointRow {
            tenant: TenantId::default(),
            call,
            switch: "pbx1".into(),
            schema: 1,
            opened_at: Wall(1),
            body: "{}".into(),
        };
        let open = Batch { checkpoints: vec![row], ..Batch::default() };
        let close = Batch { closed: vec![key], ..Batch::default() };
        let mut first = open.clone();
        first.append(close.clone());
        assert_eq!((first.checkpoints.len(), first.closed.len()), (0, 1));
        let mut second = close;
        second.append(open);
        assert_eq!((second.checkpoints.len(), second.closed.len()), (1, 0));
    }
}
