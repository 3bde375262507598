//! All systems of one reload: swapped whole or not at all.

use std::{collections::BTreeMap, sync::Arc};

use crate::words::SystemId;

use super::Idempotency;

/// The systems of `config/connectors/`.
#[derive(Default)]
pub struct Set {
    systems: BTreeMap<SystemId, Arc<System>>,
}

impl Set {
    #[must_use]
    pub fn new(systems: Vec<System>) -> Self {
        Self { systems: systems.into_iter().map(|s| (s.id.clone(), Arc::new(s))).collect() }
    }
    #[must_use]
    pub fn system(&self, id: &SystemId) -> Option<&Arc<System>> {
        self.systems.get(id)
    }
    pub fn ids(&self) -> impl Iterator<Item = &SystemId> {
        self.systems.keys()
    }
}

/// One system's file.
pub struct System {
    pub id: SystemId,
    pub hash: String,
    operations: BTreeMap<String, Idempotency>,
}

impl System {
    #[must_use]
    pub fn operation(&self, name: &str) -> Option<&Idempotency> {
        self.operations.get(name)
    }
    #[must_use]
    pub fn idempotency(&self, name: &str) -> Option<Idempotency> {
        self.operations.get(name).cloned()
    }
}
