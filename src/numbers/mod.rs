//! What a number is, and what a trunk's DID means.
//!
//! [`number`] turns what was dialled or shown into a [`Number`]; nothing is ever dropped because it does not
//! parse: such a number has class [`Class::Unknown`] and keeps its raw text. [`trunks`] is `config/trunks.yaml`.

pub mod number;
pub mod trunks;
mod world;

pub use number::{Class, Number, Plan};
pub use trunks::{NoMatch, TrunkMap, TrunkRow, TrunksFile};
