//! What the reader of mirrored signalling concludes, in the book's events. Both feeds of a SIP switch tell alike: the legs of a call are
//! `{Call-ID}/caller` and `{Call-ID}/{user}`, a conversation is a bridge with the Call-ID's name.

use crate::{
    calls::event::{BridgeKind, Caller, DialStatus, Event, Leg, LegState, Said},
    private::Private,
    words::Wall,
};

use super::{
    call::{Call, Callee},
    heard::{Identity, Reason},
};

/// Events that wait to be taken.
#[derive(Debug, Default)]
pub struct Out(pub std::collections::VecDeque<Event>);

/// How a call to somebody failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub status: DialStatus,
    /// Who was called said no.
    pub refused: bool,
    pub cause: Option<u16>,
}

/// Why a callee's INVITE ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The caller gave up.
    Caller,
    /// Somebody else answered.
    Elsewhere,
    /// The switch gave up on it.
    Switch,
    /// It answered with this status.
    Status(u16),
}

impl Out {
    pub fn say(&mut self, at: Wall, said: Said) {
        self.0.push_back(Event { at: Some(at), said });
    }

    /// The caller, with all that its INVITE told.
    pub fn caller(&mut self, call: &Call) {
        let leg = &call.caller.leg;
        let fallback = Identity { number: call.caller.user.clone(), ..Identity::default() };
        let known = call.first.as_ref().map_or(&fallback, |first| &first.caller);
        let dialled = call.first.as_ref().and_then(|first| first.dialled.first()).map(|(_, number)| number);
        let places = call.first.iter().flat_map(|first| &first.dialled);
        let places = places.map(|(place, number)| (place.clone(), Private::new(number.clone())));
        let number = if call.caller.inside { &call.caller.user } else { &known.number };
        self.say(
            call.began,
            Said::NewLeg {
                leg: leg.clone(),
                state: LegState::Calling,
                caller: Caller { number: private(number), name: private(&known.name) },
                dialled: dialled.or(call.to.as_ref()).cloned().map(Private::new),
                places: places.collect(),
                created: Some(call.began),
            },
        );
        // Only its INVITE says whether the caller wishes to be shown.
        if call.first.is_some() {
            let restricted = known.withheld && !call.caller.inside;
            self.say(call.began, Said::CallerId { leg: leg.clone(), caller: Caller::default(), restricted });
        }
        self.headers(call);
    }

    /// The mapped headers of its INVITE.
    pub fn headers(&mut self, call: &Call) {
        for (name, value) in call.first.iter().flat_map(|first| &first.headers) {
            let value = Private::new(value.clone());
            self.say(call.began, Said::Variable { leg: call.caller.leg.clone(), name: format!("sip:{name}"), value });
        }
    }

    /// Somebody is called.
    pub fn callee(&mut self, call: &Call, callee: &Callee) {
        let to = callee.party.leg.clone();
        self.say(
            callee.began,
            Said::NewLeg {
                leg: to.clone(),
                state: LegState::Down,
                caller: Caller::default(),
                dialled: None,
                places: Vec::new(),
                created: Some(callee.began),
            },
        );
        let shown = call.first.as_ref().and_then(|first| first.caller.number.clone());
        // Our own extension is what nobody outside is shown.
        let presented = shown.filter(|_| !callee.party.inside && !call.caller.inside);
        self.say(
            callee.began,
            Said::DialBegin {
                by: Some(call.caller.leg.clone()),
                to,
                dialled: private(&callee.number),
                presented: private(&presented),
            },
        );
    }

    pub fn rings(&mut self, at: Wall, leg: &Leg) {
        self.say(at, Said::State { leg: leg.clone(), state: LegState::Ringing });
    }

    pub fn up(&mut self, at: Wall, leg: &Leg) {
        self.say(at, Said::State { leg: leg.clone(), state: LegState::Up });
    }

    pub fn answers(&mut self, at: Wall, by: &Leg, to: &Leg) {
        self.say(at, Said::DialEnd { by: Some(by.clone()), to: to.clone(), status: DialStatus::Answer });
    }

    pub fn enters(&mut self, at: Wall, leg: &Leg, bridge: &str) {
        let (leg, bridge) = (leg.clone(), bridge.to_owned());
        self.say(at, Said::BridgeEnter { leg, bridge, kind: BridgeKind::Mixing });
    }

    pub fn leaves(&mut self, at: Wall, leg: &Leg, bridge: &str) {
        self.say(at, Said::BridgeLeave { leg: leg.clone(), bridge: bridge.to_owned() });
    }

    pub fn holds(&mut self, at: Wall, leg: &Leg, holds: bool) {
        let leg = leg.clone();
        self.say(at, if holds { Said::Hold { leg } } else { Said::Unhold { leg } });
    }

    /// A callee is not called any more.
    pub fn fails(&mut self, at: Wall, by: &Leg, to: &Leg, verdict: Verdict) {
        if verdict.refused {
            self.say(at, Said::HangupRequest { leg: to.clone(), cause: verdict.cause });
        }
        self.say(at, Said::DialEnd { by: Some(by.clone()), to: to.clone(), status: verdict.status });
        self.hangs_up(at, to, verdict.cause);
    }

    pub fn asks_end(&mut self, at: Wall, leg: &Leg) {
        self.say(at, Said::HangupRequest { leg: leg.clone(), cause: None });
    }

    pub fn hangs_up(&mut self, at: Wall, leg: &Leg, cause: Option<u16>) {
        self.say(at, Said::Hangup { leg: leg.clone(), cause, text: None });
    }
}

fn private(text: &Option<String>) -> Option<Private<String>> {
    text.clone().map(Private::new)
}

/// What a final answer says of who was called. `rang`: it had said 180 or 183.
#[must_use]
pub fn verdict(why: Why, rang: bool, reason: Reason) -> Verdict {
    let waited = if rang { DialStatus::NoAnswer } else { DialStatus::Unavailable };
    let (status, refused) = match why {
        Why::Caller => (DialStatus::Cancel, false),
        Why::Elsewhere => (DialStatus::Cancel, false),
        Why::Switch if rang => (DialStatus::NoAnswer, false),
        Why::Switch => (DialStatus::Cancel, false),
        Why::Status(486 | 600) => (DialStatus::Busy, true),
        // 603 Decline, 607 Unwanted, 608 Rejected (RFC 8197, RFC 8688).
        Why::Status(603 | 607 | 608) => (DialStatus::Busy, true),
        Why::Status(300..=399 | 408 | 480 | 487 | 504) => (waited, false),
        Why::Status(404 | 410 | 484 | 604) => (DialStatus::Unavailable, false),
        Why::Status(_) => (DialStatus::Congestion, false),
    };
    let cause = match why {
        Why::Caller => None,
        Why::Elsewhere => Some(26),
        Why::Switch => reason.q850.or(Some(19)),
        Why::Status(status) => reason.q850.or(q850(status)),
    };
    Verdict { status, refused, cause }
}

/// RFC 3398, 7.2.6.1 (SIP to ISUP).
#[must_use]
pub fn q850(status: u16) -> Option<u16> {
    Some(match status {
        486 | 600 => 17,
        603 | 607 | 608 | 401 | 402 | 403 | 407 => 21,
        404 | 604 => 1,
        410 => 22,
        408 | 504 => 102,
        480 => 18,
        482 | 483 => 25,
        484 => 28,
        501 => 79,
        502 => 38,
        400..=499 => 127,
        500..=599 => 41,
        _ => return None,
    })
}
