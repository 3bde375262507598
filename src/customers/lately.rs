//! What was said to have changed lately. A question that was on its way meanwhile may be answered as things were before: such an answer is not kept.

use std::{collections::VecDeque, sync::Arc};

use crate::connectors::hook::Heard;

/// Changes that are remembered. A question that is older than all of them counts as overtaken; a hundred changes a second are 40 s of them, and no question takes so
/// long.
const KEPT: usize = 4_096;

/// Changes in their order.
#[derive(Debug, Default)]
pub(super) struct Lately {
    /// Of the change that comes next.
    next: u64,
    changes: VecDeque<Change>,
}

#[derive(Debug)]
struct Change {
    heard: Arc<[Heard]>,
    again: bool,
}

impl Lately {
    /// How many there were; a question remembers it.
    pub const fn so_far(&self) -> u64 {
        self.next
    }

    /// `again`: what is on its way is asked once more, else it is only not kept.
    pub fn note(&mut self, heard: Arc<[Heard]>, again: bool) {
        self.next += 1;
        self.changes.push_back(Change { heard, again });
        if self.changes.len() > KEPT {
            self.changes.pop_front();
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn of(system: &str) -> Arc<[Heard]> {
        [Heard { system: system.into(), customers: ["7".to_owned()].into(), numbers: [].into() }].into()
    }

    #[test]
    fn only_what_came_after_a_question_and_touches_it_overtakes_it() {
        let mut lately = Lately::default();
        let mine = |heard: &Heard| heard.system.as_str() == "crm";
        lately.note(of("crm"), true);
        let began = lately.so_far();
        assert_eq!(lately.overtook(began, mine), None, "it was before");
        lately.note(of("erp"), true);
        assert_eq!(lately.overtook(began, mine), None, "another system's");
        lately.note(of("crm"), false);
        assert_eq!(lately.overtook(began, mine), Some(false));
        lately.note(of("crm"), true);
        assert_eq!(lately.overtook(began, mine), Some(true));
        for _ in 0..KEPT {
            lately.note(of("erp"), false);
        }
        assert_eq!(lately.overtook(began, mine), Some(true), "nobody knows any more what was then");
        assert_eq!((lately.changes.len(), lately.overtook(lately.so_far(), mine)), (KEPT, None));
    }
}
