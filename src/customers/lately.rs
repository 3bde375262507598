//! What was said to have changed lately. A question that was on its way meanwhile may be answered as things were before: such an answer is not kept.

use std::{collections::VecDeque, sync::Arc};

use crate::{connectors::hook::Heard, words::Mono};

/// So long a change is remembered. A question that is older than all that are remembered counts as overtaken: it is asked once more for nothing at worst.
pub(super) const KEPT_MS: u64 = 60_000;
/// Ids and numbers that are remembered at most.
const MOST: usize = 200_000;

/// Changes in their order.
#[derive(Debug, Default)]
pub(super) struct Lately {
    /// Of the change that comes next.
    next: u64,
    changes: VecDeque<Change>,
    ids: usize,
}

#[derive(Debug)]
struct Change {
    at: Mono,
    heard: Arc<[Heard]>,
    again: bool,
}

impl Lately {
    /// How many there were; a question remembers it.
    pub const fn so_far(&self) -> u64 {
        self.next
    }

    /// `again`: what is on its way is asked once more, else it is only not kept. Says whether it is the only one that is remembered: then somebody must come by and
    /// [`Self::forget`].
    pub fn note(&mut self, at: Mono, heard: Arc<[Heard]>, again: bool) -> bool {
        self.forget(at);
        self.next += 1;
        self.ids += ids(&heard);
        self.changes.push_back(Change { at, heard, again });
        while self.ids > MOST && self.drop_first() {}
        self.changes.len() == 1
    }

    /// What is old; it may name somebody who wants to be forgotten. Says whether anything is left.
    pub fn forget(&mut self, at: Mono) -> bool {
        while self.changes.front().is_some_and(|change| at.since_ms(change.at) >= KEPT_MS) && self.drop_first() {}
        !self.changes.is_empty()
    }

    fn drop_first(&mut self) -> bool {
        let first = self.changes.pop_front();
        self.ids -= first.as_ref().map_or(0, |change| ids(&change.heard));
        first.is_some()
    }

    /// Whether a question that began after `so_far` changes was overtaken by one that touches it, and whether it is then asked once more.
    pub fn overtook(&self, so_far: u64, touches: impl Fn(&Heard) -> bool) -> Option<bool> {
        let first = self.next - self.changes.len() as u64;
        if so_far < first {
            return Some(true);
        }
        let since = usize::try_from(so_far - first).unwrap_or(usize::MAX);
        let hit = |change: &&Change| change.heard.iter().any(&touches);
        self.changes.iter().skip(since).filter(hit).map(|change| change.again).reduce(|one, other| one || other)
    }
}

fn ids(heard: &[Heard]) -> usize {
    heard.iter().map(|one| 1 + one.customers.len() + one.numbers.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::now;

    fn of(system: &str) -> Arc<[Heard]> {
        [Heard { system: system.into(), customers: ["7".to_owned()].into(), numbers: [].into() }].into()
    }

    #[test]
    fn only_what_came_after_a_question_and_touches_it_overtakes_it() {
        let (mut lately, at) = (Lately::default(), now().mono);
        let mine = |heard: &Heard| heard.system.as_str() == "crm";
        assert!(lately.note(at, of("crm"), true), "somebody must come by");
        let began = lately.so_far();
        assert_eq!(lately.overtook(began, mine), None, "it was before");
        assert!(!lately.note(at, of("erp"), true));
        assert_eq!(lately.overtook(began, mine), None, "another system's");
        lately.note(at, of("crm"), false);
        assert_eq!(lately.overtook(began, mine), Some(false));
        lately.note(at, of("crm"), true);
        assert_eq!(lately.overtook(began, mine), Some(true));
    }

    #[test]
    fn what_is_old_or_too_much_is_forgotten_and_counts_as_overtaken() {
        let (mut lately, at) = (Lately::default(), now().mono);
        let (began, mine) = (lately.so_far(), |heard: &Heard| heard.system.as_str() == "crm");
        lately.note(at, of("erp"), false);
        assert!(lately.forget(at.plus_ms(KEPT_MS - 1)));
        assert_eq!(lately.overtook(began, mine), None);
        assert!(!lately.forget(at.plus_ms(KEPT_MS)));
        assert_eq!(lately.overtook(began, mine), Some(true), "nobody knows any more what was then");
        assert_eq!((lately.ids, lately.overtook(lately.so_far(), mine)), (0, None));
        for _ in 0..MOST {
            lately.note(at, of("erp"), false);
        }
        assert_eq!((lately.ids, lately.changes.len()), (MOST, MOST / 2));
    }
}
