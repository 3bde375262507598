//! Settings, wiring, shutdown, health, logs, and the command line.

pub mod cli;
pub mod core;
pub mod gaps;
pub mod house;
pub mod layers;
pub mod load;
pub mod logs;
pub mod pcap;
pub mod reconcile;
pub mod replay;
mod replay_hep;
pub mod run;
pub mod schemas;
pub mod settings;
pub mod sip_capture;
pub mod verbs;
pub mod wiring;

pub mod demo;
