//! One call of one entity, as its notifiers tell it, and what can happen to it.

use std::borrow::Cow;

use crate::words::Wall;

use super::dialog_info::{Dialog, Direction, Reason, Side, State};

/// Forks of one call at one entity.
const FORKS: usize = 64;

/// One thing that happened to a call of an entity.
#[derive(Clone, Copy, Debug)]
pub struct Change<'c> {
    /// Who it is: the user part of the entity's URI.
    pub entity: &'c str,
    /// The call as it is now.
    pub talk: &'c Talk,
    pub step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Another state; `before` is absent at first sight. `found`: it was there before we looked. `missed`: at first sight, and what came before it may
    /// have been lost.
    Moved { before: Option<State>, found: bool, missed: bool },
    /// The entity put the other side on hold, or took it back.
    Held(bool),
    /// Part of its story was not seen.
    Doubt,
    /// After a doubt: where it stands is known again. When it came there is not.
    Seen,
    /// It is not there any more, and nobody saw its end.
    Gone,
}

/// One call of one entity: what its dialogs (more than one where it forked) say together.
#[derive(Clone, Debug, Default)]
pub struct Talk {
    /// The call-id, else the dialog's id.
    pub key: String,
    /// Whether `key` is a call-id.
    pub named: bool,
    /// Counts the calls that had this id before, where it is none of its own.
    pub cycle: u32,
    /// Absent until a word was told that is known.
    pub state: Option<State>,
    pub direction: Option<Direction>,
    /// What was told first of each side stays: later bodies often have less.
    pub local: Side<'static>,
    pub remote: Side<'static>,
    /// Of the end.
    pub event: Option<Reason>,
    pub code: Option<u16>,
    pub replaces: Option<String>,
    /// Seconds since it began, as told at first sight.
    pub duration: Option<u32>,
    pub held: bool,
    pub(super) forks: Vec<(String, State)>,
    /// Who listed it: only they can say that it is over by leaving it out.
    pub(super) views: Vec<u64>,
    /// Nobody watches it: a body that does not list it says that it is gone.
    pub(super) unsure: bool,
    /// Doubt was told of it, and it was not seen since.
    pub(super) doubted: bool,
    pub(super) over: Option<Wall>,
}

impl Talk {
    #[must_use]
    pub fn live(&self) -> bool {
        self.over.is_none() && self.state.is_some()
    }

    /// What one dialog's lines add.
    pub(super) fn learn(&mut self, dialog: Dialog<'_>) {
        if let Some(state) = dialog.state {
            let room = self.forks.len() < FORKS;
            match self.forks.iter_mut().find(|(id, _)| *id == dialog.id) {
                Some((_, known)) => *known = state,
                None if room => self.forks.push((dialog.id.into_owned(), state)),
                None => {}
            }
        }
        self.direction = self.direction.or(dialog.direction);
        self.event = dialog.event.or(self.event);
        self.code = dialog.code.or(self.code);
        if self.replaces.is_none() {
            self.replaces = dialog.replaces.map(Cow::into_owned);
        }
        self.duration = self.duration.or(dialog.duration);
        self.local.learn(dialog.local);
        self.remote.learn(dialog.remote);
    }

    /// The state of all forks: one that talks is the call, and it is over when the last is.
    pub(super) fn together(&self) -> Option<State> {
        let live = self.forks.iter().map(|(_, state)| *state).filter(|state| *state != State::Terminated).max();
        live.or(self.forks.first().map(|_| State::Terminated))
    }
}
