//! How it stands in an agent's own queues, for a desk at rest: who waits and since when, and what is to be read there. Told to a screen that asked for it, while its agent has no
//! call; gathered for a moment, and only where it is otherwise than what the screen knows. The time runs at the page, so a queue that stands still costs nothing.

use std::{collections::BTreeMap, ops::Bound};

use crate::{
    calls::Directory,
    words::{Mono, Now},
};

use super::{
    super::{
        CoalesceKey, ScreenId,
        protocol::{MyQueue, MyQueues, QueueWatch, QueuesChanged},
        wire,
    },
    Due, Key, Roster, deliver,
    requests::done,
    state::Duty,
    stream::{Stage, Stream},
};

/// Who looks at their queues, what each was told last, and when they are told next.
#[derive(Default)]
pub(super) struct Looks {
    screens: BTreeMap<ScreenId, (Key, Option<MyQueues>)>,
    next: Option<Mono>,
    /// The screen at which a round that is under way goes on.
    from: Option<ScreenId>,
    /// Something changed since the round began: screens that were told in it are told anew.
    stirred: bool,
}

impl Looks {
    pub fn leave(&mut self, screen: ScreenId) {
        self.screens.remove(&screen);
    }
}

/// News wait so long for more.
const GATHER_MS: u64 = 500;
/// Screens in one turn of the core, and how soon the next ones have theirs: of ten thousand desks at rest no pop waits for all.
const AT_ONCE: usize = 200;
const TURN_MS: u64 = 10;

impl Roster {
    pub(super) fn watch_queues(&mut self, now: Now, (key, screen, id): (&Key, ScreenId, &str), of: &QueueWatch) {
        match of.watch {
            true => drop(self.looks.screens.insert(screen, (key.clone(), None))),
            false => self.looks.leave(screen),
        }
        self.out.push_back(deliver(screen, None, done(now, id, None)));
        self.queues_at(now.mono);
    }

    /// Something that desks at rest show of their queues may be otherwise.
    pub fn stir_queues(&mut self, now: Now) {
        self.queues_at(now.mono.plus_ms(GATHER_MS));
    }

    fn queues_at(&mut self, at: Mono) {
        self.looks.stirred |= self.looks.from.is_some();
        self.plan_queues(at);
    }

    fn plan_queues(&mut self, at: Mono) {
        if !self.looks.screens.is_empty() && self.looks.next.is_none_or(|next| at < next) {
            self.looks.next = Some(at);
            self.later(at, Due::Queues);
        }
    }

    /// Tells what is true now, if that was planned for now.
    pub(super) fn tell_queues(&mut self, now: Now, directory: &Directory) {
        if self.looks.next.is_none_or(|next| next > now.mono) {
            return;
        }
        let Looks { screens, next, from, stirred } = &mut self.looks;
        *next = None;
        let begin = from.take().map_or(Bound::Unbounded, Bound::Included);
        let waiting = self.queued.all();
        for (n, (screen, (key, told))) in screens.range_mut((begin, Bound::Unbounded)).enumerate() {
            if n == AT_ONCE {
                *from = Some(*screen);
                break;
            }
            let has_call =
                |stream: &Stream| stream.pops().iter().any(|pop| !matches!(pop.stage, Stage::Kept | Stage::Over));
            if self.streams.get(key).is_none_or(has_call) {
                continue;
            }
            let mut names: Vec<&str> =
                self.duties.get(key).into_iter().flat_map(Duty::in_queues).map(|(queue, _)| queue).collect();
            names.sort_unstable();
            names.dedup();
            let queues = names.into_iter().map(|queue| {
                let (waiting, longest_since) = waiting.get(&(&key.0, queue)).copied().unwrap_or_default();
                let notice = directory.notice(queue).map(str::to_owned);
                MyQueue { queue: queue.to_owned(), waiting, longest_since, notice }
            });
            let now_is = MyQueues { queues: queues.collect(), notice: directory.notice("*").map(str::to_owned) };
            if told.as_ref() == Some(&now_is) {
                continue;
            }
            let frame = wire::write(0, now.wall, &QueuesChanged(&now_is));
            self.out.push_back(deliver(*screen, Some(CoalesceKey::Queues), frame));
            *told = Some(now_is);
        }
        if from.is_some() {
            self.plan_queues(now.mono.plus_ms(TURN_MS));
        } else if std::mem::take(stirred) {
            self.plan_queues(now.mono.plus_ms(GATHER_MS));
        }
    }
}
