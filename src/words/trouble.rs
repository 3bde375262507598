//! Why something is not there or was not done, as a word that pages say in their reader's language. Beside it goes the sentence, for logs and for
//! whoever does not know the word.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Trouble {
    // The words of a business system's outcomes.
    NotFound,
    /// The system does not let us in, or not there.
    Denied,
    /// Our sign-in there is over.
    AuthExpired,
    /// One was expected and several are there.
    Ambiguous,
    /// The system does not take these values.
    Invalid,
    /// It was changed there meanwhile.
    Conflict,
    /// It was asked too often.
    RateLimited {
        /// When it may be asked again, where it says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<u64>,
    },
    /// It is not there, or has no time just now.
    Busy,
    /// What it answered cannot be read.
    Broken,
    /// It was asked and gave no usable answer.
    Unknown,
    /// It gave no answer in its time.
    Late {
        seconds: u64,
    },
    // Not asked at all.
    /// There is no number to ask by.
    NotAsked,
    /// The customer has no number or account that this system knows.
    NoKey,
    /// The system was taken out of the settings.
    TakenOut,
    /// Too many calls are asked for at once.
    Full,
    // Of what was to be written.
    /// It was tried for so long.
    GivenUp {
        hours: u64,
    },
    /// It may have been done, and the system offers no way to look.
    Undecidable,
    // Of flows.
    /// Somebody did not agree.
    Refused,
    /// Somebody stopped it.
    Stopped,
    /// Nobody agreed in time.
    NoAgreement,
    /// Nobody answered in time.
    NoReply,
    /// The flow was stopped before its turn.
    NotTried,
    /// Somebody looked: it was not done.
    NotDone,
    /// A person left it as it is.
    LeftOut,
    /// The daemon ended while it was on its way.
    Interrupted,
    /// The flow's file does not fit what is known: somebody must mend it.
    Unworkable,
    /// The flow is about no call.
    NoCall,
    /// More things than the flow takes.
    TooMany {
        count: u64,
        most: u64,
    },
}

impl Trouble {
    /// What the word of an outcome says (`busy`, `not-found`); `None`: there is no trouble, or no such word.
    #[must_use]
    pub fn of(outcome: &str) -> Option<Self> {
        Some(match outcome {
            "not-found" => Self::NotFound,
            "denied" => Self::Denied,
            "auth-expired" => Self::AuthExpired,
            "ambiguous" => Self::Ambiguous,
            "invalid" => Self::Invalid,
            "conflict" => Self::Conflict,
            "rate-limited" => Self::RateLimited { seconds: None },
            "busy" => Self::Busy,
            "broken" => Self::Broken,
            "unknown" => Self::Unknown,
            _ => return None,
        })
    }
}
