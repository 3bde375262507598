//! Answers from outside, by messengers, to what a flow has asked: by which name an answer finds the flow that waits for it, and what of it is kept.
//!
//! The name is made of the system and of what is answered (a message's id), so that an answer looks no flow through. What comes before a flow waits is held in the store under that name;
//! [`live`] knows who waits for which, and hands it over.

pub mod live;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::word::Said;
use crate::{connectors::hook, private::Private, words::SystemId};

/// What of an answer is kept and shown; what is longer is cut.
const TEXT: usize = 2_000;
const NAME: usize = 100;

/// Where answers to this lie.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mailbox(String);

/// As it stands in the store.
impl From<String> for Mailbox {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl Mailbox {
    /// No flow's id begins so.
    pub const PREFIX: &'static str = "answer ";

    #[must_use]
    pub fn of(system: &SystemId, key: &str) -> Self {
        let mut hash = Sha256::new();
        for part in ["linecard answer 1", system.as_str(), key] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        Self(hash.finalize().iter().take(16).fold(Self::PREFIX.to_owned(), |text, byte| text + &format!("{byte:02x}")))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An answer as it is said to a flow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Names the event; the same when it comes again.
    pub event: String,
    pub text: Private<String>,
    /// The user's id at the system.
    pub who: Private<String>,
    /// By which people know that one.
    pub name: Private<String>,
}

impl Answer {
    /// `name`: of one of ours, where it is one.
    #[must_use]
    pub fn of(event: String, told: &hook::Answer, name: Option<&str>) -> Self {
        let name = name.or(told.name.as_deref()).filter(|name| !name.trim().is_empty()).unwrap_or(&told.who);
        Self {
            event,
            text: shown(&told.text, TEXT).into(),
            who: shown(&told.who, NAME).into(),
            name: shown(name, NAME).into(),
        }
    }

    /// What follows in the flow sees it so.
    #[must_use]
    pub fn result(&self) -> Value {
        json!({"text": self.text.expose(), "who": self.who.expose(), "name": self.name.expose(), "event": self.event})
    }
}

/// What stands on a button of an approval's card: of this one, and of no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Button {
    pub agrees: bool,
    pub flow: String,
    /// The approval's.
    pub path: String,
}

impl Button {
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}/{}/{}", if self.agrees { "approve" } else { "refuse" }, self.flow, self.path)
    }

    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (word, rest) = text.split_once('/')?;
        let (flow, path) = rest.split_once('/')?;
        let agrees = match word {
            "approve" => true,
            "refuse" => false,
            _ => return None,
        };
        Some(Self { agrees, flow: flow.to_owned(), path: path.to_owned() })
    }

    #[must_use]
    pub fn said(&self) -> Said {
        match self.agrees {
            true => Said::Approve { step: self.path.clone() },
            false => Said::Refuse { step: self.path.clone(), why: None },
        }
    }
}

/// A stranger's text without what plays tricks on a screen.
fn shown(text: &str, most: usize) -> String {
    let bad = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut chars = text.trim().chars().filter(|c| !bad(*c));
    let mut out: String = chars.by_ref().take(most).collect();
    if chars.next().is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_text_is_cut_and_plays_no_tricks() {
        let told = hook::Answer {
            key: "k".into(),
            text: format!(" a\u{202e}b\u{7}\nc{}", "x".repeat(9_000)),
            who: "U1".into(),
            name: Some(" ".into()),
        };
        let answer = Answer::of("e".into(), &told, None);
        assert!(answer.text.expose().starts_with("ab\ncxxx") && answer.text.expose().chars().count() == TEXT + 1);
        assert_eq!(answer.name.expose(), "U1");
        assert_eq!(Answer::of("e".into(), &told, Some("Zhang")).name.expose(), "Zhang");
        assert!(!format!("{answer:?}").contains("U1"));
    }

    #[test]
    fn a_button_is_of_one_approval_and_one_word() {
        let button = Button { agrees: true, flow: "F1".into(), path: "each[0].agree".into() };
        assert_eq!((button.text().as_str(), Button::read(&button.text())), ("approve/F1/each[0].agree", Some(button)));
        for none in ["", "approve", "approve/F1", "agree/F1/x"] {
            assert_eq!(Button::read(none), None);
        }
    }

    #[test]
    fn a_mailbox_is_of_one_system_and_one_thing() {
        let of = |system: &str, key: &str| Mailbox::of(&SystemId::from(system), key);
        assert_eq!(of("slack", "1"), of("slack", "1"));
        assert_ne!(of("slack", "1"), of("feishu", "1"));
        assert_ne!(of("slack", "1"), of("slack", "2"));
    }
}
