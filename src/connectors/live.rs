//! The connectors in use: which systems there are now, and the one door through which they are asked.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::words::SystemId;

use super::{Ask, Idempotency, Outcome, set::Set};

/// All systems. Clones share one set; [`Connectors::swap`] puts a new one in for all of them, while requests under way
/// finish by the old. Lives on the back runtime.
#[derive(Clone, Default)]
pub struct Connectors {
    set: Arc<ArcSwap<Set>>,
}

impl Connectors {
    #[must_use]
    pub fn new(set: Set) -> Self {
        Self { set: Arc::new(ArcSwap::from_pointee(set)) }
    }

    /// Puts a new set in place of the old, whole.
    pub fn swap(&self, set: Set) {
        self.set.store(Arc::new(set));
    }

    #[must_use]
    pub fn offers(&self, system: &SystemId, operation: &str) -> bool {
        self.set.load().system(system).is_some_and(|s| s.operation(operation).is_some())
    }

    /// In the order of their ids.
    #[must_use]
    pub fn systems(&self) -> Vec<SystemId> {
        self.set.load().ids().cloned().collect()
    }

    /// [`Idempotency::None`] also for what is not offered.
    #[must_use]
    pub fn idempotency(&self, system: &SystemId, operation: &str) -> Idempotency {
        let set = self.set.load();
        set.system(system).and_then(|s| s.idempotency(operation)).unwrap_or(Idempotency::None)
    }

    /// SHA-256 of the file's text, in hex: what an effect was made from.
    #[must_use]
    pub fn file_hash(&self, system: &SystemId) -> Option<String> {
        self.set.load().system(system).map(|s| s.hash.clone())
    }

    /// Runs one operation to its end. Never longer than the ask's deadline.
    pub async fn run(&self, ask: Ask) -> Outcome {
        let set = self.set.load_full();
        let Some(system) = set.system(&ask.system) else {
            return Outcome::Invalid { reason: format!("there is no system {}", ask.system) };
        };
        if system.operation(&ask.operation).is_none() {
            return Outcome::Invalid { reason: format!("{} does not offer {}", ask.system, ask.operation) };
        }
        Outcome::Busy { reason: format!("{} is not connected yet", ask.system) }
    }
}
