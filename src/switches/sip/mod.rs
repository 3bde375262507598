//! Any SIP switch, as a watcher: dialog events (RFC 6665, 4235, 4662) over UDP, TCP, TLS, WS and WSS. Never a phone.
//!
//! Bytes come in through `frame.rs` (one message's bytes), `normal.rs` (a plain head) and `wire.rs` (the message; the only file that
//! names rsip) with `value.rs` (addresses, URIs, Via); `verdict.rs` says whether a message is acted on and which answer is owed.
//!
//! Bodies are read by `dialog_info.rs`, `rlmi.rs` and `reg_info.rs` over `xml.rs` and `multipart.rs`; `dialogs.rs` knows from them what each entity does, and
//! what is not known; `translate.rs` makes that into the book's events. `registrations.rs` knows which devices have no phone. `watcher.rs` is all of it behind one door.

pub mod client;
pub mod dialog_info;
pub mod dialogs;
#[cfg(test)]
mod dialogs_tests;
pub mod frame;
pub mod live;
pub mod locate;
pub mod multipart;
pub mod normal;
pub mod reg_info;
pub mod registrations;
pub mod rlmi;
mod settings;
mod sight;
mod talk;
mod told;
pub mod translate;
#[cfg(test)]
mod translate_tests;
pub mod value;
pub mod verdict;
pub mod watcher;
pub mod wire;
pub mod xml;

/// A table by names that others make up: call-ids, tags. A NOTIFY looks into fourteen, and with the standard library's hash that was a twelfth of its cost; the
/// seed is random too, and each table is bounded.
type Table<K, V> = std::collections::HashMap<K, V, ahash::RandomState>;

pub use settings::{Role, ServerSettings, Settings, TransportName};
