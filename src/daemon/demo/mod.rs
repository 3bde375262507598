//! The demonstration: a simulated Asterisk and small business systems, over real sockets on loopback, with the daemon beside them.
//!
//! The same fakes judge the daemon in `tests/kill.rs` and `benches/pop.rs`: they keep a ledger of what they really did, and faults can
//! be dropped in. They are made of still files (`events`, `story`, `switch`, `acts`, `answers`, `dice`) with the sockets in `live`.

pub mod dice;
pub mod events;
mod experts;
pub mod hosts;
pub mod live;
pub mod mail;
pub mod people;
pub mod show;
pub mod stage;
pub mod story;
pub mod survey;
pub mod switch;
pub mod systems;
mod told;

pub use show::run;

mod acts;
mod answers;

#[cfg(test)]
mod asked;
#[cfg(test)]
mod plays;
#[cfg(test)]
mod torn;
