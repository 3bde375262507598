//! Who is calling; gives the same change with an answer attached.
//!
//! Customers never hold up a call: a card is there at once with what the cache holds and `pending` for the rest, and comes
//! again, whole, when more is known.

pub mod card;

pub use card::{Answer, Answered, Block, BlockState, Candidate, Card, Question};
