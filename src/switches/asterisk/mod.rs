//! Asterisk 16 and later, by AMI, by ARI, or by both.

pub mod ami;
pub mod ari;
mod settings;
pub mod translate_ami;
pub mod translate_ari;

pub use settings::{Ami, Ari, DialSettings, Settings, Tls, Via};
