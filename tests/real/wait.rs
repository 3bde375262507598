//! Waiting for other programs. They give us no event to wait on, so we look again, ten times a second, up to a stated time.

use std::{
    thread::park_timeout,
    time::{Duration, Instant},
};

/// Looks until `look` finds something.
///
/// # Errors
/// What was awaited, and how long.
pub fn until<T>(what: &str, at_most: Duration, mut look: impl FnMut() -> Option<T>) -> Result<T, String> {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if start.elapsed() > at_most {
            return Err(format!("waited {} s for {what}", at_most.as_secs()));
        }
        park_timeout(Duration::from_millis(100));
    }
}
