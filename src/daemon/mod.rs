//! Settings, wiring, shutdown, health, logs, and the command line.

pub mod cli;
pub mod layers;
pub mod logs;
pub mod replay;
pub mod verbs;

pub mod demo;
