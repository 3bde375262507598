//! The stories that the simulated switch plays, each shaped after a recording of a real Asterisk 22, and the truth about every call,
//! kept for whoever has to judge what the daemon made of it.
//!
//! A story is a list of steps with the time before each. Times are those of the recordings in spirit, thrown with dice, and all
//! of them times `pace`.

use serde::{Deserialize, Serialize};

use crate::words::{AgentId, Wall};

use super::dice::Dice;

/// What can happen to a customer. In brackets the recording that shows the order of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Story {
    /// Queue, agent answers, customer or agent hangs up (a, a3).
    Answered,
    /// The customer leaves the queue while an agent's phone rings (b).
    Abandoned,
    /// The first agent does not answer, the second does (c).
    NoAnswerThenOther,
    /// Answered from the queue, sent on unasked, answered by the colleague (d).
    BlindTransfer,
    /// Answered, hold, consultation, handed over (e).
    AttendedTransfer,
    /// A direct line rings and is answered (i).
    Direct,
    /// A direct line rings and the caller gives up (i2).
    DirectMissed,
    /// The agent dials out, the customer answers (j).
    Outbound,
    /// The agent dials out, the far end is busy (j2).
    OutboundBusy,
}

impl Story {
    pub const ALL: [Story; 9] = [
        Story::Answered,
        Story::Abandoned,
        Story::NoAnswerThenOther,
        Story::BlindTransfer,
        Story::AttendedTransfer,
        Story::Direct,
        Story::DirectMissed,
        Story::Outbound,
        Story::OutboundBusy,
    ];

    /// How many agents it keeps busy.
    #[must_use]
    pub fn agents(self) -> usize {
        match self {
            Story::NoAnswerThenOther | Story::BlindTransfer | Story::AttendedTransfer => 2,
            _ => 1,
        }
    }

    #[must_use]
    pub fn outbound(self) -> bool {
        matches!(self, Story::Outbound | Story::OutboundBusy)
    }
}

/// One thing that happens on a line. `first` and `second` are the agents that the call was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The INVITE from the trunk; for queue calls the switch answers it at once.
    Arrive,
    JoinQueue,
    OfferFirst,
    OfferSecond,
    /// The ringing agent of the queue answers.
    Answer,
    /// The ringing agent of the queue does not.
    NoAnswer,
    /// The customer hangs up while waiting or ringing.
    GiveUp,
    /// A direct line: the first agent's phone is dialled.
    DialFirst,
    /// Of a direct line, or of a blind transfer's target.
    DialAnswer,
    BlindTransfer,
    Hold,
    Consult,
    ConsultAnswer,
    HandOver,
    CustomerHangsUp,
    AgentHangsUp,
    /// The agent's phone calls out over the trunk.
    DialOut,
    FarRings,
    FarAnswers,
    FarBusy,
    /// Click-to-dial: the agent's phone rings, answers, the number is dialled.
    OriginateRing,
    OriginateAnswer,
    OriginateFails,
}

/// The steps of a story with the milliseconds before each.
#[must_use]
pub fn script(story: Story, dice: &mut Dice) -> Vec<(u64, Step)> {
    use Step::{
        AgentHangsUp, Answer, Arrive, BlindTransfer, Consult, ConsultAnswer, CustomerHangsUp, DialAnswer, DialFirst,
        DialOut, FarAnswers, FarBusy, FarRings, GiveUp, HandOver, Hold, JoinQueue, NoAnswer, OfferFirst, OfferSecond,
    };
    let ring = dice.between(3_000, 6_000);
    let talk = dice.between(6_000, 15_000);
    let last = if dice.chance(25) { AgentHangsUp } else { CustomerHangsUp };
    // Answer() in a dialplan costs half a second when no media comes (facts of the recordings).
    let queue = [(0, Arrive), (500, JoinQueue), (2, OfferFirst)];
    let then = |steps: &[(u64, Step)]| queue.iter().chain(steps).copied().collect();
    match story {
        Story::Answered => then(&[(ring, Answer), (talk, last)]),
        Story::Abandoned => then(&[(ring, GiveUp)]),
        Story::NoAnswerThenOther => then(&[(8_000, NoAnswer), (1_000, OfferSecond), (ring, Answer), (talk, last)]),
        Story::BlindTransfer => then(&[(ring, Answer), (talk / 2, BlindTransfer), (ring, DialAnswer), (talk, last)]),
        Story::AttendedTransfer => then(&[
            (ring, Answer),
            (talk / 2, Hold),
            (300, Consult),
            (ring, ConsultAnswer),
            (talk / 3, HandOver),
            (talk, last),
        ]),
        Story::Direct => vec![(0, Arrive), (3, DialFirst), (ring, DialAnswer), (talk, last)],
        Story::DirectMissed => vec![(0, Arrive), (3, DialFirst), (ring, GiveUp)],
        Story::Outbound => vec![(0, DialOut), (20, FarRings), (ring, FarAnswers), (talk, last)],
        Story::OutboundBusy => vec![(0, DialOut), (600, FarBusy)],
    }
}

/// The steps of a click-to-dial; the numbers are asked of the phone first.
#[must_use]
pub fn click_to_dial(dice: &mut Dice, agent_busy: bool) -> Vec<(u64, Step)> {
    if agent_busy {
        return vec![(5, Step::OriginateFails)];
    }
    let talk = dice.between(6_000, 15_000);
    let last = if dice.chance(25) { Step::AgentHangsUp } else { Step::CustomerHangsUp };
    vec![
        (5, Step::OriginateRing),
        (1_500, Step::OriginateAnswer),
        (20, Step::FarRings),
        (2_500, Step::FarAnswers),
        (talk, last),
    ]
}

/// How a call really went. Words are those of the call record.
#[derive(Clone, Debug, Serialize)]
pub struct Truth {
    /// Uniqueid of the call's oldest channel: what every record of it names as `linkedid`.
    pub linkedid: String,
    /// All its channels, in the order of their making.
    pub uniqueids: Vec<String>,
    /// `None` for a click-to-dial.
    pub story: Option<Story>,
    /// `inbound` or `outbound`.
    pub direction: &'static str,
    pub customer: String,
    pub dialled: String,
    pub queue: Option<String>,
    /// Those who talked with the customer, in order.
    pub agents: Vec<AgentId>,
    /// `answered`, `abandoned`, `unanswered`, `busy`, `agent-unreached`, and `cut` for a call that a restart of the switch took
    /// before its outcome was known.
    pub outcome: Option<&'static str>,
    pub started: Wall,
    pub answered: Option<Wall>,
    pub ended: Option<Wall>,
    /// A restart of the switch took it.
    pub cut: bool,
    /// The first moment at which a logged-in client was told of it, by event or in a list.
    pub shown: Option<Wall>,
    /// Something happened to it, after a client had been told of it, while nobody was logged in.
    pub missed: bool,
    /// A client that had been told of it was logged in when it ended.
    pub end_shown: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_story_ends_and_a_seed_tells_the_same_again() {
        for story in Story::ALL {
            let one = script(story, &mut Dice::new(7));
            assert_eq!(one, script(story, &mut Dice::new(7)));
            let (_, last) = one.last().unwrap();
            assert!(
                matches!(last, Step::CustomerHangsUp | Step::AgentHangsUp | Step::GiveUp | Step::FarBusy),
                "{story:?} ends with {last:?}"
            );
        }
    }
}
