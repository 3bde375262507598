//! What the store holds of a person: rows of any table, to be shown, emptied or removed.

use serde::Serialize;

use crate::{
    private::Private,
    words::{CallId, Wall},
};

/// Where a row lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shelf {
    Records,
    OpenCalls,
    Notes,
    Effects,
    Traces,
    Callbacks,
    Choices,
    Contacts,
    Flows,
    FlowWords,
    Differences,
    Audit,
}

impl Shelf {
    pub const ALL: [Self; 12] = [
        Self::Records,
        Self::OpenCalls,
        Self::Notes,
        Self::Effects,
        Self::Traces,
        Self::Callbacks,
        Self::Choices,
        Self::Contacts,
        Self::Flows,
        Self::FlowWords,
        Self::Differences,
        Self::Audit,
    ];

    /// For a count: `3 notes`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::OpenCalls => "open calls",
            Self::Notes => "notes",
            Self::Effects => "outbox entries",
            Self::Traces => "traces",
            Self::Callbacks => "callbacks",
            Self::Choices => "choices",
            Self::Contacts => "last contacts",
            Self::Flows => "flows",
            Self::FlowWords => "words to flows",
            Self::Differences => "differences",
            Self::Audit => "audit rows",
        }
    }
}

/// One row of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub shelf: Shelf,
    /// The row in its table.
    pub row: Row,
    pub key: Private<String>,
    pub call: Option<CallId>,
    pub at: Option<Wall>,
    /// An effect's, a flow's, or the kind of a note.
    pub state: Option<String>,
    /// There is something to do with it still.
    pub open: bool,
    /// Its texts, each by its column; JSON where the column is a body.
    pub texts: Vec<(&'static str, Private<String>)>,
}

/// What finds a row again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    Number(i64),
    /// Tables without row numbers have their key.
    Key,
}

/// What is to become of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    Removed,
    /// New texts by their columns; an effect may get another state with its reason.
    Rewritten {
        texts: Vec<(&'static str, String)>,
        dropped: bool,
    },
}
