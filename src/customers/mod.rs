//! Who is calling; gives the same change with an answer attached.
//!
//! Customers never hold up a call: a card is there at once with what the cache holds and `pending` for the rest, and comes
//! again, whole, when more is known. What is asked next and what the card says is decided in `asking.rs`, which is still; `live.rs`
//! keeps the cache, the clock and the tasks.

mod asking;
pub mod card;
pub mod live;

use schemars::JsonSchema;
use serde::Deserialize;

pub use card::{Answer, Answered, Block, BlockState, Candidate, Card, Looked, Question, Way};
pub use live::{Customers, Systems};

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Answers kept at most. One is about 1.5 kB.
    pub cache_entries: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { cache_entries: 200_000 }
    }
}
