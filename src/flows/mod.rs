//! What follows a call across several systems, with its undo.
//!
//! One YAML file is one flow (`config/demo/flows/refund.yaml`): what begins it, what it must be told, its steps over the connectors, and how each is
//! taken back. [`compile`] checks a file whole and makes a [`Plan`] of it; [`start`] concludes from calls, records and agents' buttons that a
//! flow begins, in the batch that makes its cause durable; the [`machine`] decides how it goes on, told the time and what the systems
//! answered; [`answers`] is how people's answers at a system find the flow that waits for them; [`live`] carries that out: an intent is on disk before its request is sent, an outcome before the next step.
//!
//! What this room leaves out: how a system is asked (connectors), whether a write may be done again after an unknown outcome (the same
//! judgement as the outbox's, `records::judge`), and who sees it (agents).

pub mod answers;
pub mod compile;
pub mod file;
pub mod list;
pub mod live;
pub mod machine;
pub mod settings;
pub mod start;
mod template;
pub mod view;
mod why;
pub mod word;

pub use compile::{Plan, read};
pub use machine::{Inscription, Run};
pub use settings::Settings;
pub use start::Starter;
pub use view::View;
pub use word::{Said, Word};
