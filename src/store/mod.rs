//! Where what must last lies: words of its own, SQLite behind them.
//!
//! Whoever stores something turns it into a row of [`rows`] first, so that nobody's types leak in here and another
//! database can stand behind the same words later. One [`Batch`] is one transaction: a call's record, what is open of
//! it, what agents said, and what is to be done at the business systems become durable together or not at all.
//!
//! What this room leaves out: it never decides what a record says, which effect is due to a rule, or what an outcome means.
//! It does decide what must be decided inside a transaction: whether an effect may still be changed in place or has to be
//! amended by another one, who may claim it, and whether a settlement is that of the claimer.

pub mod held;
pub mod rows;
pub mod settings;
mod sqlite;

pub use rows::{
    Amend, AuditFilter, AuditRow, Batch, CallKey, CallbackRow, Called, CheckpointRow, ChoiceRow, Claim, Compared,
    ContactRow, Decided, DifferenceRow, EffectFilter, EffectPut, EffectRow, EffectSet, Ended, FlowDue, FlowFileRow,
    FlowFilter, FlowRow, FlowWordRow, History, Next, NoteRow, OperationRow, PositionRow, RecordFilter, RecordRow,
    SeatRow, Settled, State, StateRow, Stats, TimeRow, TraceRow, effect_key,
};
pub use settings::{OnDamage, Settings};
pub use sqlite::{Reader, Store};

use std::path::PathBuf;

use crate::words::{
    CallId,
    refusal::{Refusal, code},
};

/// Why the store could not do it. The name lays the blame: the disk, the file, another daemon, or us.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// SQLITE_FULL or a file size limit. Nothing of the batch was written; it goes again by itself when there is room.
    #[error("the disk of {path} is full; free some space, writing resumes by itself")]
    DiskFull { path: PathBuf },
    /// The queue to the writer is full (10,000 batches or 64 MiB): the disk is slower than what comes in.
    #[error("the writer is behind, its queue is full")]
    Busy,
    /// The file is no database any more, or parts of it do not add up.
    #[error(
        "{path} is damaged ({what}); nothing was deleted: put a copy back, or set `on_damage: set-aside` to go on with a new file beside it"
    )]
    Damaged { path: PathBuf, what: String },
    /// Written by a later version in a way this one cannot work with.
    #[error("{path} has schema {found} and this program knows {known}; run the newer program")]
    Newer { path: PathBuf, found: u32, known: u32 },
    /// Another daemon has the file.
    #[error("{path} is in use by another linecard daemon")]
    InUse { path: PathBuf },
    /// A later daemon took the store over: this one may no longer write.
    #[error("another daemon took over the store (fence {theirs}, ours is {ours})")]
    Fenced { ours: u64, theirs: u64 },
    /// The disk answered with an error that is neither full nor damaged.
    #[error("cannot use {path}: {what}")]
    Disk { path: PathBuf, what: String },
    /// A row that we made ourselves was refused: a bug of ours, or a row made by hand.
    #[error("the store refused a row: {what}")]
    Row { what: String },
    /// No such record or effect.
    #[error("{0}")]
    Missing(Refusal),
    /// Not possible in the state it is in.
    #[error("{0}")]
    Refused(Refusal),
    /// The writer has ended (shutdown).
    #[error("the store is closed")]
    Closed,
}

/// Whoever looks for one by the beginning of its id may give too little of it.
#[must_use]
pub fn short(what: &str, word: &str, least: usize) -> StoreError {
    let says = format!("{what} has at least its first {word} letters");
    StoreError::Refused(Refusal::new(code::SHORT_ID, says).with("least", least))
}

/// Several begin so.
#[must_use]
pub fn several(what: &str, id: &str) -> StoreError {
    let says = format!("several {what} begin with {id}; give more of it");
    StoreError::Refused(Refusal::new(code::SEVERAL, says).with("id", id))
}

/// None begins so, or it is another tenant's.
#[must_use]
pub fn no_effect(key: &str) -> StoreError {
    StoreError::Missing(Refusal::new(code::NO_EFFECT, format!("there is no effect {key}")).with("id", key))
}

/// Of this call there is none, or it is another tenant's.
#[must_use]
pub fn no_record(call: CallId) -> StoreError {
    StoreError::Missing(Refusal::new(code::NO_RECORD, format!("there is no record of call {call}")).with("call", call))
}

impl StoreError {
    /// True where trying the same again later may well succeed, with no one doing anything to the batch.
    #[must_use]
    pub const fn passes(&self) -> bool {
        matches!(self, Self::DiskFull { .. } | Self::Busy | Self::Disk { .. })
    }
}
