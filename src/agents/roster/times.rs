//! How long agents are ready, busy, working after a call, not ready: stretches, given away to be added up (docs/kpis.md).
//!
//! Only of who is there: a page is open, or a queue has them logged in; a call proves it too. What lasts is given away every few minutes, so that a crash loses no more than that.

use std::collections::HashMap;

use crate::words::{AgentId, Now, TenantId, Wall};

use super::{super::protocol::AgentCondition, Ask, Due, Key, Roster};

/// An agent was in a state from then to then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lasted {
    pub tenant: TenantId,
    pub agent: AgentId,
    pub state: AgentCondition,
    pub from: Wall,
    pub to: Wall,
}

/// What each agent who is there is, and since when that is not counted yet.
#[derive(Default)]
pub(super) struct Times {
    of: HashMap<Key, (AgentCondition, Wall)>,
    /// A count is planned.
    due: bool,
}

/// So long a state that lasts is in memory alone.
const EVERY_MS: u64 = 60_000;
/// Agents counted in one turn of the core; the rest follows at once.
const A_TURN: usize = 500;
const AGAIN_MS: u64 = 10;

impl Roster {
    /// Something about this agent may be otherwise from now on.
    pub(super) fn time(&mut self, now: Now, key: &Key) {
        let is = self.there(key);
        let was = self.times.of.get(key).copied();
        if was.map(|(state, _)| state) == is {
            return;
        }
        match is {
            Some(state) => drop(self.times.of.insert(key.clone(), (state, now.wall))),
            None => drop(self.times.of.remove(key)),
        }
        if let Some((state, from)) = was.filter(|(_, from)| *from < now.wall) {
            self.ask(Ask::Lasted(vec![lasted(key, state, from, now.wall)]));
        }
        if !self.times.of.is_empty() && !std::mem::replace(&mut self.times.due, true) {
            self.later(now.mono.plus_ms(EVERY_MS), Due::Times);
        }
    }

    /// Counts what has lasted long, up to now.
    pub(super) fn count_times(&mut self, now: Now) {
        let before = now.wall.plus_ms(-i64::try_from(EVERY_MS / 2).unwrap_or(0));
        let all = self.count_up(now, before, A_TURN);
        self.times.due = !self.times.of.is_empty();
        if self.times.due {
            self.later(now.mono.plus_ms(if all { EVERY_MS } else { AGAIN_MS }), Due::Times);
        }
    }

    /// Everything up to now: the daemon stops.
    pub fn end_times(&mut self, now: Now) {
        self.count_up(now, now.wall, usize::MAX);
    }

    /// False: there are more.
    fn count_up(&mut self, now: Now, before: Wall, most: usize) -> bool {
        let long = self.times.of.iter_mut().filter(|(_, (_, from))| *from < before);
        let counted: Vec<Lasted> = long
            .take(most)
            .map(|(key, (state, from))| lasted(key, *state, std::mem::replace(from, now.wall), now.wall))
            .collect();
        let all = counted.len() < most;
        if !counted.is_empty() {
            self.ask(Ask::Lasted(counted));
        }
        all
    }

    /// The state that counts; `None`: logged off, or ready without a sign of being there.
    pub(super) fn there(&self, key: &Key) -> Option<AgentCondition> {
        match self.condition(key) {
            AgentCondition::LoggedOff => None,
            state @ (AgentCondition::Ready | AgentCondition::NotReady) => {
                let page = self.streams.get(key).is_some_and(|stream| !stream.screens.is_empty());
                (page || self.in_queue(key)).then_some(state)
            }
            state @ (AgentCondition::Busy | AgentCondition::WorkingAfterCall) => Some(state),
        }
    }
}

fn lasted(key: &Key, state: AgentCondition, from: Wall, to: Wall) -> Lasted {
    Lasted { tenant: key.0.clone(), agent: key.1.clone(), state, from, to }
}
