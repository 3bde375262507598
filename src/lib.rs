//! Linecard: from a ringing phone to the right screen, and into the business systems for good.
//!
//! ARCHITECTURE.md is the map; the rooms are listed there in the order in which the data travels.

pub mod access;
pub mod admin;
pub mod agents;
pub mod calls;
pub mod connectors;
pub mod customers;
pub mod daemon;
pub mod files;
pub mod flows;
pub mod kpis;
pub mod live;
pub mod numbers;
pub mod privacy;
pub mod private;
pub mod reconcile;
pub mod recordings;
pub mod records;
pub mod store;
pub mod switches;
pub mod watch;
pub mod words;
