//! What of versions beside each other must outlast the process: that a canary was stopped, and what was compared. One small file each, so that the command line can stop and resume
//! while the daemon runs or not: where the file of a canary is, that canary is stopped.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Kind,
    compare::Comparison,
    guard::{Guard, Side, Tally},
};
use crate::{
    connectors::{Connectors, Outcome},
    live::{keep_file, now},
    words::{Mono, SystemId, Wall},
};

/// How soon a word of the command line is heard, and a canary that became worse is stopped.
const EVERY: Duration = Duration::from_secs(2);

/// Why a canary is asked no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    pub at: Wall,
    /// Free of personal data.
    pub reason: String,
    /// Of the canary's file: another file begins anew.
    pub hash: String,
}

/// A canary on trial: what both files' questions came to, and whether it is stopped. It outlives a reload that does not change its file.
pub struct Trial {
    guard: Guard,
    of: SystemId,
    tally: Mutex<Tally>,
    /// With it, whether the disk has it.
    stop: Mutex<Option<(Stopped, bool)>>,
    is_stopped: AtomicBool,
}

impl Trial {
    #[must_use]
    pub fn new(guard: Guard, of: SystemId) -> Self {
        let (tally, stop, is_stopped) = Default::default();
        Self { guard, of, tally, stop, is_stopped }
    }

    pub fn saw(&self, side: Side, operation: &'static str, outcome: &Outcome, took_ms: u64, at: Mono) {
        self.tally().saw(side, operation, outcome, took_ms, at);
    }

    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn asked(&self, at: Mono) -> (u64, u64) {
        self.tally().asked(at)
    }

    fn worse(&self, at: Mono) -> Option<String> {
        self.tally().worse(&self.guard, &self.of, at)
    }

    #[must_use]
    pub fn stopped(&self) -> Option<(Stopped, bool)> {
        self.stop.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops it, or lets it go on, with fresh figures.
    fn put(&self, stop: Option<Stopped>, on_disk: bool) {
        self.is_stopped.store(stop.is_some(), Ordering::Relaxed);
        if stop.is_none() {
            *self.tally() = Tally::default();
        }
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner) = stop.map(|stop| (stop, on_disk));
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        // Nobody panics while holding it, and if so: what it says is still true.
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A canary in use.
pub struct Canary {
    pub id: SystemId,
    pub of: SystemId,
    pub hash: String,
    pub trial: Arc<Trial>,
}

/// How a file stands beside another.
#[derive(Clone, Debug)]
pub struct Shown {
    pub kind: Kind,
    pub of: SystemId,
    pub calls: String,
    /// Of a canary.
    pub stopped: Option<Stopped>,
    /// Questions within the hour, by it and by the other.
    pub asked: Option<(u64, u64)>,
    /// Of a shadow: of a hundred answers so many differ, and how many there were.
    pub differing: Option<(f64, u64)>,
}

impl Shown {
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "kind": self.kind.as_str(), "of": self.of, "calls": self.calls, "stopped": self.stopped,
            "asked_of_it": self.asked.map(|(mine, _)| mine), "asked_of_the_other": self.asked.map(|(_, other)| other),
            "differing_percent": self.differing.map(|(percent, _)| percent), "compared": self.differing.map(|(_, n)| n),
        })
    }
}

/// What happened to a canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its guard stopped it.
    Stopped(SystemId, String),
}

/// For as long as the daemon runs. `told` is called for each event when it is on disk.
pub async fn keep(connectors: Connectors, folder: PathBuf, told: impl Fn(Event)) {
    let mut clock = tokio::time::interval(EVERY);
    loop {
        clock.tick().await;
        look(&connectors, &folder).await.into_iter().for_each(&told);
    }
}

/// At the start, before anybody is asked: what was stopped stays so.
pub fn recall(connectors: &Connectors, folder: &Path) {
    for canary in connectors.canaries() {
        let kept = stopped(folder, &canary.id).filter(|stopped| stopped.hash == canary.hash);
        canary.trial.put(kept, true);
    }
    for (id, hash) in connectors.shadows() {
        if let Some(kept) = comparison(folder, &id).filter(|kept| kept.hash == hash) {
            connectors.compared(&id, kept);
        }
    }
}

/// One look: words of the command line are heard, canaries judged, comparisons written.
pub async fn look(connectors: &Connectors, folder: &Path) -> Vec<Event> {
    let mut events = Vec::new();
    for canary in connectors.canaries() {
        let (path, id) = (folder.to_owned(), canary.id.clone());
        let kept = tokio::task::spawn_blocking(move || stopped(&path, &id)).await.unwrap_or_default();
        let other = kept.as_ref().is_some_and(|kept| kept.hash != canary.hash);
        if other {
            // Of an earlier file: this one was not stopped yet.
            let (path, id) = (folder.to_owned(), canary.id.clone());
            let _ = tokio::task::spawn_blocking(move || resume(&path, &id)).await;
        }
        let kept = kept.filter(|_| !other);
        match (kept, canary.trial.stopped()) {
            (Some(kept), None) => {
                tracing::warn!(canary = %canary.id, of = %canary.of, reason = kept.reason, "a canary is stopped");
                canary.trial.put(Some(kept), true);
            }
            (None, Some((_, true))) => {
                tracing::info!(canary = %canary.id, of = %canary.of, "a canary goes on");
                canary.trial.put(None, true);
            }
            (None, Some((stop, false))) => {
                // The disk did not take it the last time; it is stopped all the same.
                if write(folder, &canary.id, &stop).await {
                    canary.trial.put(Some(stop), true);
                }
            }
            (Some(_), Some(_)) => {}
            (None, None) => {
                let at = now();
                if let Some(reason) = canary.trial.worse(at.mono) {
                    let stop = Stopped { at: at.wall, reason: reason.clone(), hash: canary.hash.clone() };
                    // First of all nobody more is asked.
                    canary.trial.put(Some(stop.clone()), false);
                    tracing::error!(canary = %canary.id, of = %canary.of, reason, "a canary is worse and was stopped");
                    if write(folder, &canary.id, &stop).await {
                        canary.trial.put(Some(stop), true);
                    }
                    events.push(Event::Stopped(canary.id.clone(), reason));
                }
            }
        }
    }
    for (id, comparison) in connectors.new_comparisons() {
        let file = compared(folder, &id);
        let text = serde_json::to_string(&comparison).unwrap_or_default();
        let written = tokio::task::spawn_blocking(move || keep_file(&file, &text)).await;
        if let Ok(Err(error)) | Err(error) = written.map_err(io::Error::other) {
            tracing::warn!(shadow = %id, %error, "what was compared is not kept");
        }
    }
    events
}

async fn write(folder: &Path, id: &SystemId, stop: &Stopped) -> bool {
    let (folder, name, stop) = (folder.to_owned(), id.clone(), stop.clone());
    let written = tokio::task::spawn_blocking(move || stop_by(&folder, &name, &stop)).await;
    match written.map_err(io::Error::other) {
        Ok(Ok(())) => true,
        Ok(Err(error)) | Err(error) => {
            tracing::error!(canary = %id, %error, "a canary was stopped and that is not on disk: a restart now would let it go on");
            false
        }
    }
}

/// Whether and why it is stopped, as the disk says.
#[must_use]
pub fn stopped(folder: &Path, id: &SystemId) -> Option<Stopped> {
    serde_json::from_str(&fs::read_to_string(canary(folder, id)).ok()?).ok()
}

/// # Errors
/// The disk refuses.
pub fn stop_by(folder: &Path, id: &SystemId, stop: &Stopped) -> io::Result<()> {
    keep_file(&canary(folder, id), &serde_json::to_string(stop).unwrap_or_default())
}

/// Whether there was anything to resume.
///
/// # Errors
/// The disk refuses.
pub fn resume(folder: &Path, id: &SystemId) -> io::Result<bool> {
    match fs::remove_file(canary(folder, id)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// What was compared, as the daemon last wrote it.
#[must_use]
pub fn comparison(folder: &Path, id: &SystemId) -> Option<Comparison> {
    serde_json::from_str(&fs::read_to_string(compared(folder, id)).ok()?).ok()
}

// An id is a file's name without its ending, so it is part of one here too.
fn canary(folder: &Path, id: &SystemId) -> PathBuf {
    folder.join(format!("{id}.stopped.json"))
}

fn compared(folder: &Path, id: &SystemId) -> PathBuf {
    folder.join(format!("{id}.compared.json"))
}
