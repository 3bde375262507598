//! What a number is, and what a trunk's DID means.
//!
//! [`number`] turns what was dialled or shown into a [`Number`]; nothing is ever dropped because it does not
//! parse: such a number has class [`Class::Unknown`] and keeps its raw text. [`trunks`] is `config/trunks.yaml`.

pub mod china;
pub mod dial_out;
pub mod number;
pub mod sought;
pub mod trunks;
mod world;

pub use china::China;
pub use dial_out::{DialOut, OutRule};
pub use number::{Class, Number, Plan};
pub use sought::Sought;
pub use trunks::{Mask, NoMatch, TrunkMap, TrunkRow, TrunksFile};
