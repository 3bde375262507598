//! Who is calling; gives the same change with an answer attached.
//!
//! Customers never hold up a call: a card is there at once with what the cache holds and `pending` for the rest, and comes
//! again, whole, when more is known. What is asked next and what the card says is decided in `asking.rs`, which is still; `live.rs`
//! keeps the cache, the clock and the tasks.

mod asking;
pub mod card;
mod lately;
pub mod live;
mod people;
mod ranking;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::numbers::Plan;

pub use asking::{ATTACH, CREATE, Site};
pub use card::{
    Answer, Answered, Around, Away, Block, BlockState, Candidate, Card, Choice, FoundBy, Joined, JoinedBy, Looked,
    NotAsked, Person, Question, Reason, Remembered, Shared, Way,
};
pub use live::{Customers, Memory, Recalled, Systems};
pub use ranking::{Own, Owners, for_agent};

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Answers kept at most. A customer is about 1.2 kB, a block 0.7 kB (`cargo bench --bench lookup`).
    pub cache_entries: u64,
    /// Numbers that many share, in any spelling, quoted: a company's exchange, a hotel. Nobody is chosen by such a number.
    pub shared: Vec<String>,
    /// A number of more customers than this is taken for a shared one. 0: never.
    pub shared_above: usize,
}

impl Settings {
    /// What cannot be seen in the shape of the file: the places in `shared` of numbers that are none.
    #[must_use]
    pub fn unread(&self, plan: &Plan) -> Vec<usize> {
        let none = |number: &str| plan.read(number).key().is_none_or(|key| !key.contains(|c: char| c.is_ascii_digit()));
        self.shared.iter().enumerate().filter(|(_, number)| none(number)).map(|(n, _)| n).collect()
    }

    /// What the room is told of the site.
    #[must_use]
    pub fn site(&self, plan: &Plan, owners: Owners) -> Site {
        let keys = self.shared.iter().filter_map(|number| Some(plan.read(number).key()?.to_owned()));
        Site { shared: keys.collect(), shared_above: self.shared_above, owners }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { cache_entries: 200_000, shared: Vec::new(), shared_above: 5 }
    }
}
