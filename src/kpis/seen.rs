//! A record as far as it is counted: what is read of its text, and nothing else.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    calls::record::{Direction, End, Outcome, SegmentKind},
    words::Wall,
};

/// Read without copying; a record of a later version that has more is read as well.
#[derive(Clone, Debug, Deserialize)]
pub struct Seen<'a> {
    #[serde(borrow)]
    pub switch: Cow<'a, str>,
    pub direction: Option<Direction>,
    pub outcome: Option<Outcome>,
    pub end: End,
    #[serde(borrow)]
    pub queue: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub line: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub brand: Option<Cow<'a, str>>,
    pub wait_ms: Option<u64>,
    pub talk_ms: Option<u64>,
    pub hold_ms: Option<u64>,
    pub wrap_ms: Option<u64>,
    #[serde(borrow, default)]
    pub agents: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow)]
    pub customer: Option<Customer<'a>>,
    #[serde(borrow)]
    segments: Option<&'a RawValue>,
    #[serde(borrow, default)]
    wrapups: Vec<WrapUp<'a>>,
    #[serde(borrow, default)]
    pub attributes: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    #[serde(default)]
    related: Vec<Related>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Customer<'a> {
    /// Who this is at the business systems.
    #[serde(borrow, default)]
    pub links: Vec<Link<'a>>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Link<'a> {
    #[serde(borrow)]
    pub system: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    pub kind: Cow<'a, str>,
    #[serde(borrow)]
    pub id: Cow<'a, str>,
}

#[derive(Clone, Debug, Deserialize)]
struct WrapUp<'a> {
    #[serde(borrow)]
    agent: Cow<'a, str>,
    ms: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
struct Related {
    certain: bool,
}

#[derive(Deserialize)]
struct Segment<'a> {
    kind: SegmentKind,
    #[serde(borrow)]
    agent: Option<Cow<'a, str>>,
    from: Option<Wall>,
    to: Option<Wall>,
}

/// Talk, hold and wrap of one call, or of one agent's part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handled {
    pub talk: u64,
    pub hold: Option<u64>,
    pub wrap: Option<u64>,
}

impl<'a> Seen<'a> {
    /// # Errors
    /// It is no record.
    pub fn read(body: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(body)
    }

    /// Another record certainly tells of the same call.
    #[must_use]
    pub fn has_twin(&self) -> bool {
        self.related.iter().any(|related| related.certain)
    }

    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.outcome == Some(Outcome::Answered)
    }

    #[must_use]
    pub fn is_inbound(&self) -> bool {
        self.direction == Some(Direction::Inbound)
    }

    /// Somebody was to answer: it waited in a queue or rang a phone, and how that ended is known.
    #[must_use]
    pub fn is_offered(&self) -> bool {
        let ended = matches!(
            self.outcome,
            Some(
                Outcome::Answered
                    | Outcome::Abandoned
                    | Outcome::Unanswered
                    | Outcome::Voicemail
                    | Outcome::Busy
                    | Outcome::Rejected
                    | Outcome::Failed
            )
        );
        self.is_inbound() && self.wait_ms.is_some() && ended
    }

    /// The call as a whole; `None`: nobody talked, or for how long is not known.
    #[must_use]
    pub fn handled(&self) -> Option<Handled> {
        let talk = self.talk_ms.filter(|_| self.is_answered())?;
        Some(Handled { talk, hold: self.hold_ms, wrap: self.wrap_ms })
    }

    /// One agent's part of it.
    #[must_use]
    pub fn handled_by(&self, agent: &str) -> Option<Handled> {
        self.talk_ms.filter(|_| self.is_answered())?;
        let segments: Vec<Segment<'_>> = serde_json::from_str(self.segments?.get()).ok()?;
        let of = |kinds: &[SegmentKind]| {
            let own = segments.iter().filter(|s| s.agent.as_deref() == Some(agent) && kinds.contains(&s.kind));
            length(own.filter_map(|s| s.from.zip(s.to)).collect())
        };
        Some(Handled {
            talk: of(&[SegmentKind::Talk, SegmentKind::Conference]),
            hold: self.hold_ms.map(|_| of(&[SegmentKind::Hold])),
            wrap: self.wrapups.iter().find(|wrap| wrap.agent == agent).and_then(|wrap| wrap.ms),
        })
    }

    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }
}

/// Of all stretches together, what two share once.
fn length(mut stretches: Vec<(Wall, Wall)>) -> u64 {
    stretches.sort_unstable();
    let (mut sum, mut until) = (0, Wall(i64::MIN));
    for (from, to) in stretches {
        sum += to.since(from.max(until));
        until = until.max(to);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_stretches_share_counts_once() {
        let wall = |(from, to)| (Wall(from), Wall(to));
        assert_eq!(length([(0, 10), (5, 20), (30, 40), (32, 35)].map(wall).to_vec()), 30);
        assert_eq!(length(Vec::new()), 0);
    }
}
