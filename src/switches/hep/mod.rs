//! Any SIP switch, by the signalling that it or a capture agent mirrors to us over HEP version 3 (Kamailio siptrace, OpenSIPS, Asterisk res_hep,
//! FreeSWITCH, captagent, heplify). Nothing is ever answered.
//!
//! `packet.rs` is the wire, `heard.rs` takes out of a message what matters, `order.rs` deals with copies, clocks and order, `passive.rs` (with `call.rs`, `refer.rs` and
//! `restart.rs`) rebuilds the calls, `translate.rs` tells them in the book's words.

mod call;
pub mod heard;
pub mod live;
mod order;
pub mod packet;
pub mod passive;
mod refer;
mod restart;
mod settings;
mod translate;

pub use crate::files::Net;
pub use settings::{Door, Rules, Settings, TRUNK, Trunk};
