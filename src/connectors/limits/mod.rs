//! How often a system is asked, what is asked again, and when it is left alone.
//!
//! `window` is one limit over time; `gate` joins windows, places, what the system says of its limits, and who waits; `hints` reads that from an answer; `retry` and `breaker`
//! decide what is asked again and what is not asked at all. They are told the time; `live` holds them for one system and lets requests wait. `file` is what a connector's
//! file says of all this, `compile` makes it ready.

pub mod breaker;
mod compile;
pub mod file;
pub mod gate;
pub mod hints;
pub mod live;
pub mod retry;
#[cfg(test)]
mod tests;
pub mod window;

use std::collections::BTreeMap;

/// All of a file that is said of this.
pub struct Limits {
    pub plan: gate::Plan,
    pub hints: hints::Hints,
    pub retries: file::RetriesFile,
    pub breaker: file::BreakerFile,
    /// Operations that have one of their own.
    pub breakers: BTreeMap<&'static str, file::BreakerFile>,
}
