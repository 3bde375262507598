//! Asterisk 16 and later, by AMI, by ARI, or by both.

pub mod ami;
mod settings;

pub use settings::{Ami, Ari, DialSettings, Settings, Tls, Via};
