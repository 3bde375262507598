//! How each business system is asked and told, described in files, not in Rust.
//!
//! One YAML file is one system (`config/connectors/redmine.yaml`). What an operation sends and how its answer is judged is
//! still code here; only `http.rs` and `live.rs` touch the world, so the examples inside a file run
//! through the same code as a real request, without network.

pub mod ask;
pub mod live;
pub mod operation;
pub mod set;

pub use ask::{Ask, Idempotency, Outcome, Priority};
pub use live::Connectors;
