//! Any SIP switch, as a watcher: dialog events (RFC 6665, 4235, 4662) over UDP, TCP, TLS, WS and WSS. Never a phone.
//!
//! Bytes come in through `frame.rs` (one message's bytes), `normal.rs` (a plain head) and `wire.rs` (the message; the only file that
//! names rsip) with `value.rs` (addresses, URIs, Via); `verdict.rs` says whether a message is acted on and which answer is owed.

pub mod client;
pub mod frame;
pub mod normal;
pub mod value;
pub mod verdict;
pub mod wire;
