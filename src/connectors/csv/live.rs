//! A table's file, watched: looked at when it is asked for, at most once a second, and read anew beside the questions when it is another. The new table is in use when
//! it was read whole; a faulty file leaves the old one in use, and is told in the log with its line and column.

use std::{
    os::unix::fs::MetadataExt as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use serde_json::json;

use super::{
    super::run::{Payload, Response, Trouble},
    Rows, Spec, Table,
};
use crate::live::now;

/// What one answer may hold.
const ROWS: usize = 10_000;
const LOOK_EVERY_US: u64 = 1_000_000;

/// One file. Clones share its table.
#[derive(Clone)]
pub struct Csv(Arc<State>);

struct State {
    name: String,
    spec: Spec,
    table: ArcSwapOption<Table>,
    looked_at: AtomicU64,
    /// Of the file that was read last, good or not; held while one is read.
    reading: tokio::sync::Mutex<Option<Stamp>>,
    /// Why the last one is not in use.
    fault: Mutex<Option<String>>,
}

/// What tells one file from the next: its number, size and time.
type Stamp = (u64, u64, i64, i64);

impl Csv {
    #[must_use]
    pub fn new(name: &str, spec: &Spec) -> Self {
        Self(Arc::new(State {
            name: name.to_owned(),
            spec: spec.clone(),
            table: ArcSwapOption::empty(),
            looked_at: AtomicU64::new(0),
            reading: tokio::sync::Mutex::default(),
            fault: Mutex::default(),
        }))
    }

    /// Asks and waits, at most until `deadline`; what begins to be read is read to its end.
    pub async fn send(&self, rows: Rows, deadline: Instant) -> Result<Response, Trouble> {
        let state = &self.0;
        let name = &state.name;
        let at = now().mono.0.max(1);
        let looked_at = state.looked_at.load(Ordering::Relaxed);
        let due = looked_at == 0 || at.saturating_sub(looked_at) > LOOK_EVERY_US;
        let table = state.table.load_full();
        if due || table.is_none() {
            state.looked_at.store(at, Ordering::Relaxed);
            let task = tokio::spawn(look(state.clone()));
            if table.is_none() {
                let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
                let late = |_| Trouble::NotSent(format!("{name}'s file was not read in time"));
                let read = tokio::time::timeout(left, task).await.map_err(late)?;
                read.map_err(|_| Trouble::NotSent(format!("{name}'s file was not read")))?;
            }
        }
        let Some(table) = table.or_else(|| state.table.load_full()) else {
            let fault = state.fault.lock().unwrap_or_else(PoisonError::into_inner).clone();
            return Err(match fault {
                Some(fault) => Trouble::Unusable(format!("{name}'s file cannot be used: {fault}")),
                None => Trouble::NotSent(format!("{name}'s file cannot be opened")),
            });
        };
        let found = table.rows(&rows.which, ROWS);
        let body = json!({"rows": found, "total": table.len()});
        Ok(Response { status: 0, headers: Vec::new(), body: Payload::Value(body) })
    }
}

/// Looks whether the file is another, and reads it then. One at a time; who comes meanwhile waits for the same.
async fn look(state: Arc<State>) {
    let mut last = state.reading.lock().await;
    let Ok(meta) = tokio::fs::metadata(&state.spec.path).await else { return };
    let stamp = (meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec());
    if *last == Some(stamp) {
        return;
    }
    let read = {
        let state = state.clone();
        tokio::task::spawn_blocking(move || read(&state.spec))
    };
    let Ok(Some(read)) = read.await else { return };
    *last = Some(stamp);
    let name = &state.name;
    let fault = match read {
        Ok(table) => {
            tracing::info!(system = %name, rows = table.len(), "a table was read");
            state.table.store(Some(Arc::new(table)));
            None
        }
        Err(fault) => {
            let kept = state.table.load().is_some();
            tracing::warn!(system = %name, fault, kept, "a table's file cannot be used; the old one stays in use");
            Some(fault)
        }
    };
    *state.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
}

/// `None`: it is gone again.
fn read(spec: &Spec) -> Option<Result<Table, String>> {
    let size = std::fs::metadata(&spec.path).ok()?.len();
    if size > spec.most {
        return Some(Err(format!("it is larger than max_bytes: {size}")));
    }
    let bytes = std::fs::read(&spec.path).ok()?;
    Some(
        Table::read(bytes, spec)
            .map_err(|fault| format!("line {}, column {}: {}", fault.line, fault.column, fault.why)),
    )
}
