//! What is going on right now, for every call; gives "this changed".
//!
//! The book owns all calls. A switch says [`event::Event`]s, the book concludes [`change::Change`]s, and at the end
//! of a call there is one [`record::Record`]. The book is still: it is told the time and handed the events.

pub mod ability;
pub mod attributes;
mod board;
pub mod book;
pub mod call;
pub mod change;
pub mod command;
pub mod directory;
pub mod edges;
pub mod event;
pub mod face;
pub mod facts;
pub mod guard;
pub mod hand;
pub mod hours;
mod judge;
pub mod members;
mod merge;
pub mod missed;
pub mod record;
pub mod seats;
mod standing;
#[cfg(test)]
mod stories;

pub use attributes::Attributes;
pub use book::Book;
pub use call::Checkpoint;
pub use change::{Change, What};
pub use command::Command;
pub use directory::{AgentsFile, Directory};
pub use event::{Event, Feed, Said};
pub use face::Face;
pub use record::Record;
