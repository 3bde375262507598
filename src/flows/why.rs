//! The sentences that the machine itself says of a step, each with its word. What systems say of themselves has the outbox's words, and what a flow's
//! file says has none.

use crate::{records::judge, words::trouble::Trouble};

pub(super) const REFUSED: &str = "it was refused";
pub(super) const STOPPED: &str = "it was stopped";
pub(super) const NO_AGREEMENT: &str = "nobody agreed in time";
pub(super) const NO_REPLY: &str = "nobody answered in time";
pub(super) const NOT_TRIED: &str = "stopped before it was tried";
pub(super) const NOT_DONE: &str = "somebody looked: it was not done";
pub(super) const LEFT: &str = "left as it is";
pub(super) const LEFT_OUT: &str = "left out by a person";
pub(super) const INTERRUPTED: &str = "we ended while it was on its way";
pub(super) const NO_CALL: &str = "it is about no call";
pub(super) const NO_ID: &str = "what was asked has no id, so nobody can be heard to answer it";
pub(super) const NO_LIST: &str = "what it goes through is no list";
const UNWORKABLE: &str = "cannot be worked out";
const MOST: &str = " items, and at most ";

/// What of a step cannot be worked out from what is known.
#[derive(Clone, Copy)]
pub(super) enum Part {
    Condition,
    Approval,
    Inputs,
    Record,
}

impl Part {
    const ALL: [Self; 4] = [Self::Condition, Self::Approval, Self::Inputs, Self::Record];

    const fn name(self) -> &'static str {
        match self {
            Self::Condition => "its condition",
            Self::Approval => "who is to agree",
            Self::Inputs => "its inputs",
            Self::Record => "what is to be written",
        }
    }

    pub fn unworkable(self, why: &str) -> String {
        let colon = if why.is_empty() { "" } else { ": " };
        format!("{} {UNWORKABLE}{colon}{why}", self.name())
    }
}

pub(super) fn too_many(count: usize, most: usize) -> String {
    format!("{count}{MOST}{most} are taken")
}

/// A step's, a task's or a stop's reason as a word; `None`: it is a sentence of the flow's file.
pub(super) fn trouble(reason: &str) -> Option<Trouble> {
    let said = match reason {
        REFUSED => Trouble::Refused,
        STOPPED => Trouble::Stopped,
        NO_AGREEMENT => Trouble::NoAgreement,
        NO_REPLY => Trouble::NoReply,
        NOT_TRIED => Trouble::NotTried,
        NOT_DONE => Trouble::NotDone,
        LEFT | LEFT_OUT => Trouble::LeftOut,
        INTERRUPTED => Trouble::Interrupted,
        NO_CALL => Trouble::NoCall,
        NO_ID | NO_LIST => Trouble::Unworkable,
        _ if Part::ALL.iter().any(|part| reason.starts_with(&part.unworkable(""))) => Trouble::Unworkable,
        _ => return items(reason).or_else(|| judge::trouble(reason)),
    };
    Some(said)
}

fn items(reason: &str) -> Option<Trouble> {
    let (count, rest) = reason.split_once(MOST)?;
    Some(Trouble::TooMany { count: count.parse().ok()?, most: rest.split_once(' ')?.0.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_says_is_a_word_and_what_a_file_says_is_none() {
        let of = |reason: &str| trouble(reason);
        assert_eq!(of(&Part::Inputs.unworkable("undefined value")), Some(Trouble::Unworkable));
        assert_eq!(of(&Part::Condition.unworkable("")), Some(Trouble::Unworkable));
        assert_eq!(of(&too_many(4, 3)), Some(Trouble::TooMany { count: 4, most: 3 }));
        assert_eq!(of("invalid: no such account"), Some(Trouble::Invalid));
        assert_eq!(of("given up after 72 h; last: busy: away"), Some(Trouble::GivenUp { hours: 72 }));
        for own in ["the order is not paid", "many items, and at most few", "by 1001", ""] {
            assert_eq!(of(own), None, "{own}");
        }
    }
}
