//! One body and what it makes of one entity's calls: the rules of `dialogs.rs`, dialog by dialog.

use std::{borrow::Cow, collections::HashSet};

use crate::words::Wall;

use super::{
    Table,
    dialog_info::{Dialog, State},
    dialogs::{Counts, TALKS},
    talk::{Change, Step, Talk},
};

/// How long a call that is over is remembered after it was last listed: a second watcher lags by less.
const KEEP_MS: u64 = 60_000;
/// How far one watcher may be behind another where nothing but the time tells a late word from a new call.
const LAG_MS: u64 = 2_000;

/// One body while it is applied.
pub(super) struct Sight<'s> {
    pub now: Wall,
    pub id: u64,
    pub name: &'s str,
    pub found: bool,
    pub lost: bool,
    /// Only what changed is listed.
    pub partial: bool,
    pub view: &'s mut View,
    pub entity: &'s mut Entity,
    pub counts: &'s mut Counts,
    pub say: &'s mut dyn FnMut(Change<'_>),
}

/// A call before a body was applied.
struct Before {
    state: Option<State>,
    doubted: bool,
}

impl Sight<'_> {
    /// Applies what is listed: first all dialogs, then what each call came to by them, so that forks of one body are one step.
    pub fn list<'b>(&mut self, dialogs: Vec<Dialog<'b>>, keys: &mut Vec<Cow<'b, str>>) {
        let mut before: Vec<(usize, Before)> = Vec::with_capacity(dialogs.len());
        for dialog in dialogs {
            // chan_sip invents a call-id for an id that is always the same (facts: `pickup-`).
            let named = dialog.call_id.as_deref().is_some_and(|c| !c.starts_with("pickup-"));
            let key = if named { dialog.call_id.clone().unwrap_or_default() } else { dialog.id.clone() };
            if key.is_empty() {
                continue;
            }
            let at = keys.iter().position(|known| *known == key).unwrap_or_else(|| {
                keys.push(key);
                keys.len() - 1
            });
            let Some(key) = keys.get(at) else { continue };
            if let Some(state) = self.take(key, named, dialog)
                && before.iter().all(|(known, _)| *known != at)
            {
                before.push((at, state));
            }
        }
        for (at, before) in before {
            if let Some(key) = keys.get(at) {
                self.step(key, before);
            }
        }
    }

    /// One dialog into its call. Gives what was before; `None`: it does not count.
    fn take(&mut self, key: &str, named: bool, dialog: Dialog<'_>) -> Option<Before> {
        if !self.entity.talks.contains_key(key) {
            if self.entity.talks.len() >= TALKS {
                self.counts.crowded += 1;
                return None;
            }
            // Nothing that is known was said of it.
            let state = dialog.state?;
            let mut talk = Talk { key: key.to_owned(), named, ..Talk::default() };
            // Who tells changes tells of an end once; in a full body of theirs, the answer to a refresh, it is an old one.
            let old = self.found || self.view.partial && !self.partial;
            if state == State::Terminated && (!named || old) {
                (talk.state, talk.over) = (Some(state), Some(self.now));
            }
            self.entity.talks.insert(key.to_owned(), talk);
        }
        let talk = self.entity.talks.get_mut(key)?;
        let state = dialog.state;
        if let Some(state) = state.filter(|_| !named) {
            if self.view.seen.len() >= TALKS {
                self.view.seen.clear();
            }
            let seen = self.view.seen.insert(key.to_owned(), (talk.cycle, state));
            if talk.over.is_none() {
                // Its end of the call before comes late.
                if let Some((cycle, _)) = seen.filter(|(cycle, _)| *cycle < talk.cycle && state == State::Terminated) {
                    self.view.seen.insert(key.to_owned(), (cycle, state));
                    return None;
                }
            } else if state != State::Terminated {
                // Another call under the same id, unless this view has yet to tell the end of the last, or all of it.
                if let Some((cycle, last)) = seen {
                    let behind = cycle < talk.cycle && talk.over.is_some_and(|over| self.now.since(over) <= LAG_MS);
                    if behind {
                        self.view.seen.insert(key.to_owned(), (talk.cycle, state));
                    }
                    if behind || cycle == talk.cycle && last != State::Terminated {
                        return None;
                    }
                }
                let cycle = talk.cycle.saturating_add(1);
                *talk = Talk { key: key.to_owned(), named, cycle, ..Talk::default() };
                self.view.seen.insert(key.to_owned(), (cycle, state));
            }
        }
        if !talk.views.contains(&self.id) {
            talk.views.push(self.id);
        }
        if talk.over.is_some() {
            return None;
        }
        let before = Before { state: talk.state, doubted: std::mem::take(&mut talk.doubted) };
        talk.unsure = false;
        talk.learn(dialog);
        Some(before)
    }

    /// What a call came to.
    fn step(&mut self, key: &str, Before { state: before, doubted }: Before) {
        let Some(talk) = self.entity.talks.get_mut(key) else { return };
        let together = talk.together();
        if together.is_some() {
            talk.state = together;
        }
        if talk.state == Some(State::Terminated) {
            talk.over = Some(self.now);
            if self.partial {
                talk.views.retain(|view| *view != self.id);
            }
        }
        let moved = talk.state != before;
        if doubted && talk.over.is_none() {
            (self.say)(Change { entity: self.name, talk, step: Step::Seen });
        }
        // Before it rang nothing can have been missed that matters.
        let missed = moved && self.lost && talk.state >= Some(State::Confirmed);
        if missed && before.is_some() {
            (self.say)(Change { entity: self.name, talk, step: Step::Doubt });
        }
        if moved {
            (self.say)(Change {
                entity: self.name,
                talk,
                step: Step::Moved { before, found: self.found && before.is_none(), missed: missed && before.is_none() },
            });
        }
        let held = talk.state == Some(State::Confirmed) && talk.local.rendering == Some(false);
        if held != talk.held && talk.over.is_none() {
            talk.held = held;
            (self.say)(Change { entity: self.name, talk, step: Step::Held(held) });
        }
    }

    /// A partial body behind one that was lost: what it does not list may have moved.
    pub fn doubt(&mut self, keys: &[Cow<'_, str>]) {
        for talk in
            self.entity.talks.values_mut().filter(|t| t.live() && !t.doubted && keys.iter().all(|key| *key != t.key))
        {
            if talk.views.contains(&self.id) {
                talk.doubted = true;
                (self.say)(Change { entity: self.name, talk, step: Step::Doubt });
            }
        }
    }

    /// What a full body does not list.
    pub fn missing(&mut self, keys: &[Cow<'_, str>], none: bool, partial_known: bool, silence: bool) {
        for talk in self.entity.talks.values_mut() {
            if keys.iter().any(|key| *key == talk.key) {
                continue;
            }
            let mine = talk.views.contains(&self.id);
            if !talk.live() {
                talk.views.retain(|v| *v != self.id);
                continue;
            }
            if talk.unsure {
                talk.over = Some(self.now);
                talk.views.clear();
                (self.say)(Change { entity: self.name, talk, step: Step::Gone });
            } else if mine && !silence && (none || partial_known) {
                let before = talk.state;
                (talk.state, talk.over) = (Some(State::Terminated), Some(self.now));
                talk.views.retain(|v| *v != self.id);
                if (self.lost || !none) && !talk.doubted {
                    (self.say)(Change { entity: self.name, talk, step: Step::Doubt });
                }
                (self.say)(Change {
                    entity: self.name,
                    talk,
                    step: Step::Moved { before, found: false, missed: false },
                });
            }
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Entity {
    pub talks: Table<String, Talk>,
    /// The views that have told of it.
    pub views: HashSet<u64>,
}

/// One entity as one subscription sees it.
#[derive(Debug)]
pub(super) struct View {
    pub id: u64,
    pub entity: String,
    pub version: Option<u32>,
    /// NOTIFYs without a body since the last with one: each may have used up a version.
    pub silent: u32,
    /// Something was told of it: what comes is news.
    pub started: bool,
    /// How many losses of its list it has told after.
    pub checked: u32,
    /// This notifier knows the difference between partial and full.
    pub partial: bool,
    /// Of an id that is used again and again: which of its calls was told last, and in what state.
    pub seen: Table<String, (u32, State)>,
}

impl Entity {
    /// Forgets what is over and listed no more.
    pub fn tidy(&mut self, now: Wall) {
        if self.talks.len() > 4 {
            self.talks.retain(|_, talk| match talk.over {
                Some(over) => !talk.views.is_empty() || now.since(over) < KEEP_MS,
                None => true,
            });
        }
    }
}
