//! What waits for the writer. Filled by [`super::Store`]'s clones, drained by the writer thread in groups; its bound is the semaphore whose
//! permit each job carries (see `ROOM`), so a full queue makes the asker wait, never the disk grow behind.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::writer::Sent;

#[derive(Default)]
pub(super) struct Queue {
    inside: Mutex<Inside>,
    news: Condvar,
}

#[derive(Default)]
struct Inside {
    jobs: VecDeque<Sent>,
    closed: bool,
}

impl Queue {
    /// False when the writer has ended.
    pub(super) fn push(&self, sent: Sent) -> bool {
        let mut inside = self.lock();
        if inside.closed {
            return false;
        }
        inside.jobs.push_back(sent);
        self.news.notify_one();
        true
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.news.notify_all();
    }

    /// Waits for one job, then for company: until there are `most`, or `window` is over. Empty when closed and drained.
    pub(super) fn gather(&self, most: usize, window: Duration) -> Vec<Sent> {
        let mut inside = self.lock();
        while inside.jobs.is_empty() && !inside.closed {
            inside = self.news.wait(inside).unwrap_or_else(PoisonError::into_inner);
        }
        let until = Instant::now() + window;
        while inside.jobs.len() < most && !inside.closed {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            inside = self.news.wait_timeout(inside, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let n = inside.jobs.len().min(most);
        inside.jobs.drain(..n).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        // Nothing that can panic runs under the lock.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
