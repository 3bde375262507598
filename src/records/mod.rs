//! What is written down, and delivered until it is accepted.

pub mod command;

pub use command::{Command, Said};
