//! The threads that hold sockets: accept, upgrade, and nothing of calls.

pub mod http;
pub mod live;

pub use live::{Door, Shards, open};
