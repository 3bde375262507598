//! What we hold of a person: shown to whom it concerns, erased when they ask for it, kept only so long, and who looked.
//!
//! [`trail`] (still) decides from rows what is of a person, what becomes of each when it is erased, and why it cannot be just now; the store finds the rows
//! and changes them. [`live`] goes through what is too old, once a day. What the business systems hold is theirs to erase: what we looked up lies in memory
//! for minutes and is dropped there when a number is erased.

pub mod live;
pub mod settings;
pub mod trail;

pub use settings::Settings;
