//! What is written down, and delivered until it is accepted.
//!
//! The [`desk`] (still, on the core thread) turns changes of calls and words of agents into batches; its clerk in [`live`] carries them to the
//! store. [`rules`] say which effects an ended call has. The outbox in [`live`] carries effects to the business systems, and [`judge`]
//! decides from each outcome how an effect goes on; [`instead`] of which ticket a call speaks where the customer has one; [`update`] holds a change of a customer against what the system has. [`hooks`] tell of calls as they happen, by the same outbox.

pub mod callbacks;
pub mod command;
pub mod desk;
pub mod expression;
pub mod hooks;
pub mod instead;
pub mod judge;
pub mod list;
pub mod live;
mod papers;
pub mod rules;
pub mod settings;
pub mod update;
pub mod wishes;

pub use callbacks::{Callback, Callbacks};
pub use command::{Command, Fields, Said, Write, by_flow};
pub use desk::{Desk, Output, Token, wants_record};
pub use papers::known;
pub use rules::{Offers, Rules};
pub use settings::Delivery;
