//! The two things of the world that every live file needs and no still file may have: the clock and the dice.

use std::{
    sync::LazyLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::words::{Mono, Now, Wall};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// This moment, for a still machine. Monotonic time counts from the first call in this process.
#[must_use]
pub fn now() -> Now {
    let wall =
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX));
    let mono = u64::try_from(START.elapsed().as_micros()).unwrap_or(u64::MAX);
    Now { wall: Wall(wall), mono: Mono(mono) }
}

/// The tokio instant at which `deadline` is reached.
#[must_use]
pub fn instant(deadline: Mono) -> tokio::time::Instant {
    tokio::time::Instant::from_std(*START + Duration::from_micros(deadline.0))
}

/// Puts the calling thread behind the core and the shards when all want the processor: on two busy cores a commit or a lookup would
/// otherwise run in front of a pop. Linux keeps niceness by thread (setpriority(2), notes); where a sandbox forbids it nothing is lost.
pub fn behind() {
    let _ = rustix::process::setpriority_process(None, 5);
}

/// Dice for jitter: a number in `0.0..1.0`, handed to still code that spreads retries.
#[must_use]
pub fn dice() -> f64 {
    rand::random()
}
