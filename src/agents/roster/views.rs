//! Who was shown which customer, where the tenant wants that on record: a row of the audit for each agent, call and customer, however often a frame of it is written.
//!
//! Written down with the frame and not waited for: a pop that waits for a disk is a late pop. Frames that nobody looks at (no page is open) are no view.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{Ask, Key, OnDesk, Output, Roster};
use crate::words::{CallId, TenantId};

/// Views outside of any call (a search, the list of callbacks) that are remembered for one agent; more are written down again.
const OTHERS: usize = 200;

#[derive(Debug, Default)]
pub(super) struct Views {
    tenants: BTreeSet<TenantId>,
    of_calls: HashMap<CallId, HashSet<(Key, String)>>,
    others: HashMap<Key, HashSet<String>>,
}

/// One customer on one screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    pub tenant: TenantId,
    pub agent: crate::words::AgentId,
    /// `<system>:<type>:<id>`; where nobody is known by the number, the call's id.
    pub customer: String,
    pub call: Option<CallId>,
    /// `pop`, `team`, `search`, `callbacks` or `flow-task`.
    pub place: &'static str,
}

impl Roster {
    /// For which tenants views are written down.
    pub fn record_views(&mut self, tenants: impl IntoIterator<Item = TenantId>) {
        self.views.tenants = tenants.into_iter().collect();
    }

    /// This agent was shown the call's customers, as far as they are known.
    pub(super) fn viewed(&mut self, key: &Key, call: CallId, place: &'static str) {
        if !self.views.tenants.contains(&key.0) {
            return;
        }
        let customers = self.calls.get(&call).map(customers).filter(|list| !list.is_empty());
        for customer in customers.unwrap_or_else(|| vec![call.to_string()]) {
            self.view(key, customer, Some(call), place);
        }
    }

    /// This agent was shown a customer.
    pub(super) fn view(&mut self, key: &Key, customer: String, call: Option<CallId>, place: &'static str) {
        let views = &mut self.views;
        if !views.tenants.contains(&key.0) {
            return;
        }
        let new = match call.filter(|call| self.calls.contains_key(call)) {
            Some(call) => views.of_calls.entry(call).or_default().insert((key.clone(), customer.clone())),
            None => {
                let others = views.others.entry(key.clone()).or_default();
                if others.len() >= OTHERS {
                    others.clear();
                }
                others.insert(format!("{place} {customer}"))
            }
        };
        if new {
            let (tenant, agent) = key.clone();
            self.out.push_back(Output::Ask(Ask::Viewed(View { tenant, agent, customer, call, place })));
        }
    }

    /// The call is on nobody's screen any more.
    pub(super) fn view_over(&mut self, call: CallId) {
        self.views.of_calls.remove(&call);
    }

    /// The agent's last page is closed: what is shown from now on is shown anew.
    pub(super) fn views_over(&mut self, key: &Key) {
        self.views.others.remove(key);
    }
}

fn customers(call: &OnDesk) -> Vec<String> {
    let card = call.card.as_deref();
    let found = card.into_iter().flat_map(|card| card.people()).flat_map(|person| person.records());
    found.map(|record| format!("{}:{}:{}", record.link.system, record.link.kind, record.link.id)).collect()
}
