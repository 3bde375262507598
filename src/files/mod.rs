//! How a settings file is read: all its problems at once, each with file, line, column, what was found and what would be right.
//!
//! Three steps over one text: a located tree (any YAML, with the place of every node), the JSON Schema of the type (so that one run
//! names every mistake, not the first), then serde. Rooms own their types; this room only reads them.

mod live;
mod located;
mod net;
mod secret;

use std::{collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

pub use net::{Net, public};
pub use secret::SecretRef;

/// One thing wrong in one file. Its `Display` is a line an operator can act on.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, JsonSchema)]
pub struct Problem {
    /// As named on the command line or relative to the settings folder.
    pub file: String,
    /// From 1; 0 where the file as a whole is meant.
    pub line: u32,
    /// From 1; 0 where the line as a whole is meant.
    pub column: u32,
    /// Path of the key, as `rows[3].dialled`; empty for the file as a whole.
    pub key: String,
    /// What is wrong: what was found.
    pub found: String,
    /// What would be right.
    pub wanted: String,
    /// A word for this kind of wrong, the same for ever, for whoever says it in another language; absent where there is none yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// What stands in the sentences, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(default)]
    pub values: BTreeMap<&'static str, String>,
}

/// Words of what is wrong with a file's shape: a kind of value, one of several words, anything else.
pub const SHAPES: [&str; 3] = ["shape.type", "shape.one-of", "shape"];

impl Problem {
    /// The same by a word that stays, with what stands in its sentences.
    #[must_use]
    pub fn coded(mut self, code: &'static str, values: &[(&'static str, &str)]) -> Self {
        self.code = Some(code);
        self.values = values.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
            if self.column > 0 {
                write!(f, ":{}", self.column)?;
            }
        }
        f.write_str(": ")?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}", self.found)?;
        if !self.wanted.is_empty() {
            write!(f, "; {}", self.wanted)?;
        }
        Ok(())
    }
}

/// A file that was read, with the places of its keys kept, so that checks that come after serde (a name that does
/// not exist, a number mapped twice) can still name line and column.
#[derive(Clone, Debug)]
pub struct Read<T> {
    pub value: T,
    places: located::Places,
}

impl<T> Read<T> {
    /// A problem at `key` (`rows[3].dialled`; the nearest parent that stands in the file is named if that key does not).
    #[must_use]
    pub fn problem(&self, key: &str, found: impl Into<String>, wanted: impl Into<String>) -> Problem {
        self.places.problem(key, found.into(), wanted.into())
    }

    /// Line and column of a key, by JSON pointer: what a map had first is first by it. `(0, 0)` where it is not in the file.
    #[must_use]
    pub fn place_of(&self, pointer: &str) -> (u32, u32) {
        self.places.of(pointer)
    }

    /// Line and column of a value, likewise: of a list's item, for example.
    #[must_use]
    pub fn value_place(&self, pointer: &str) -> (u32, u32) {
        self.places.of_value(pointer)
    }

    /// The same by JSON pointer (`/operations/ticket.create/steps/0`), for keys that have dots in them.
    #[must_use]
    pub fn problem_at(&self, pointer: &str, found: impl Into<String>, wanted: impl Into<String>) -> Problem {
        self.places.problem_at(pointer, found.into(), wanted.into())
    }
}

/// Reads YAML text as `T`.
///
/// # Errors
/// Every problem found; never empty.
pub fn read<T: DeserializeOwned + JsonSchema>(file: &str, text: &str) -> Result<Read<T>, Vec<Problem>> {
    located::read(file, text)
}
