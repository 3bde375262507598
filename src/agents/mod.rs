//! Whose screen shows it: the roster, the shards, the WebSocket protocol.

pub mod pages;
pub mod protocol;
