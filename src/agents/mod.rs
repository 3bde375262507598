//! Whose screen shows it: the roster, the shards, the WebSocket protocol.

pub mod protocol;
