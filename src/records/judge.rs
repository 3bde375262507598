//! How a delivery goes on after what the system answered: done, later, given up, or a person must look.
//!
//! A connector looks before each write by itself where its file names a lookup, so an unknown outcome of a keyed, put
//! or looked-up write is simply done again, after a pause in which a slow system may finish what it began.

use crate::{
    connectors::{Idempotency, Outcome},
    store::Next,
    words::{SystemId, Wall, trouble::Trouble},
};

use super::settings::Delivery;

/// The effect as far as the judgement needs it.
#[derive(Clone, Copy, Debug)]
pub struct Try {
    pub now: Wall,
    /// When its hours began.
    pub born_at: Wall,
    /// Attempts before this one.
    pub attempts: u32,
    /// An earlier attempt may have been done.
    pub unsure: bool,
    /// In `0.0..1.0`.
    pub dice: f64,
}

/// May it be sent at all? An effect that may have been done at a system that offers no way to look is a person's.
#[must_use]
pub fn before(unsure: bool, can: &Idempotency) -> Option<Next> {
    (unsure && *can == Idempotency::None).then(|| Next::Person { reason: UNDECIDABLE.to_owned() })
}

/// What becomes of an effect of another version than the one in use, before it is sent. `goes`: that version may write something new; `there`: its file is there. What it may have written is looked
/// for where it may be, and nowhere else.
#[must_use]
pub fn elsewhere(version: &SystemId, goes: bool, there: bool, unsure: bool) -> Option<Next> {
    match (goes, unsure, there) {
        (true, ..) | (false, true, true) => None,
        (false, false, _) => Some(Next::Elsewhere),
        (false, true, false) => Some(Next::Person {
            reason: format!(
                "{version} may have written it, and its file is not there any more: bring it back, or look yourself"
            ),
        }),
    }
}

const UNDECIDABLE: &str = "an earlier attempt may have been done and this system offers no way to look";

const GIVEN_UP: &str = "given up after ";

/// A reason of an effect, or of what goes like one, as a word; `None`: it is no sentence of ours.
#[must_use]
pub fn trouble(reason: &str) -> Option<Trouble> {
    if reason == UNDECIDABLE {
        return Some(Trouble::Undecidable);
    }
    if let Some(rest) = reason.strip_prefix(GIVEN_UP) {
        return Some(Trouble::GivenUp { hours: rest.split_once(' ')?.0.parse().ok()? });
    }
    Trouble::of(reason.split_once(':').map_or(reason, |(word, _)| word))
}

/// What the outcome means for the effect. `Ok`'s value is given as JSON in `Next::Done`.
#[must_use]
pub fn judge(outcome: &Outcome, can: &Idempotency, this: Try, settings: &Delivery) -> Next {
    let repeatable = *can != Idempotency::None;
    let reason = || match outcome.reason() {
        Some(reason) => format!("{}: {reason}", outcome.word()),
        None => outcome.word().to_owned(),
    };
    match outcome {
        Outcome::Ok(value) => Next::Done { result: Some(value.to_string().into()) },
        Outcome::Empty => Next::Done { result: None },
        Outcome::NotFound => {
            Next::Dead { reason: "not-found: what it is about is not there".to_owned(), unsure: this.unsure }
        }
        Outcome::Ambiguous { .. } | Outcome::Invalid { .. } | Outcome::Conflict { .. } => {
            Next::Dead { reason: reason(), unsure: this.unsure }
        }
        // A refused key is a matter of settings: once they are right, what waited goes without anybody's doing.
        Outcome::Denied { .. } | Outcome::AuthExpired { .. } | Outcome::Busy { .. } => {
            later(this, settings, reason(), None, this.unsure, 0)
        }
        Outcome::RateLimited { wait_ms } => later(this, settings, reason(), *wait_ms, this.unsure, 0),
        Outcome::Broken { .. } | Outcome::Unknown { .. } if repeatable => {
            later(this, settings, reason(), None, true, settings.quiet_ms)
        }
        Outcome::Broken { .. } | Outcome::Unknown { .. } => Next::Person { reason: reason() },
    }
}

fn later(this: Try, settings: &Delivery, reason: String, asked: Option<u64>, unsure: bool, floor_ms: u64) -> Next {
    let jitter = backoff_ms(this.attempts, this.dice, settings);
    // What the system asks for is obeyed; a part of our own jitter on top keeps its clients from coming back together.
    let wait = asked.map_or(jitter, |asked| asked.saturating_add(jitter.min(1_000))).max(floor_ms);
    let due_at = this.now.plus_ms(i64::try_from(wait).unwrap_or(i64::MAX));
    if due_at.since(this.born_at) > settings.give_up_after_ms {
        let hours = settings.give_up_after_ms / 3_600_000;
        return Next::Dead { reason: format!("{GIVEN_UP}{hours} h; last: {reason}"), unsure };
    }
    Next::Later { due_at, reason, unsure }
}

/// Full jitter: evenly between 0 and the doubled base, capped.
#[must_use]
pub fn backoff_ms(attempts: u32, dice: f64, settings: &Delivery) -> u64 {
    let top = settings.backoff_ms.saturating_mul(1_u64 << attempts.min(32)).min(settings.backoff_cap_ms);
    // Figures far below 2^52: exact.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let wait = (top as f64 * dice.clamp(0.0, 1.0)) as u64;
    wait.min(top)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const TRY: Try = Try { now: Wall(10_000), born_at: Wall(0), attempts: 3, unsure: false, dice: 0.5 };

    fn said(outcome: &Outcome, can: &Idempotency, this: Try) -> String {
        match judge(outcome, can, this, &Delivery::default()) {
            Next::Done { result } => format!("done {}", result.map_or("-".to_owned(), |r| r.expose().clone())),
            Next::Later { due_at, unsure, .. } => format!("later +{} unsure={unsure}", due_at.0 - this.now.0),
            Next::Dead { reason, unsure } => format!("dead unsure={unsure} ({reason})"),
            Next::Person { reason } => format!("person ({reason})"),
            Next::Back { .. } => "back".to_owned(),
            Next::Elsewhere => "elsewhere".to_owned(),
        }
    }

    #[test]
    fn every_outcome_has_its_verdict() {
        let r = || "why".to_owned();
        let look = Idempotency::Lookup("ticket.find".to_owned());
        let table = [
            (Outcome::Ok(json!({"id": "7"})), &look, r#"done {"id":"7"}"#),
            (Outcome::Empty, &look, "done -"),
            (Outcome::NotFound, &look, "dead unsure=false (not-found: what it is about is not there)"),
            (Outcome::Denied { reason: r() }, &look, "later +4000 unsure=false"),
            (Outcome::AuthExpired { reason: r() }, &look, "later +4000 unsure=false"),
            (Outcome::Ambiguous { count: 2, reason: r() }, &look, "dead unsure=false (ambiguous: why)"),
            (Outcome::Invalid { reason: r() }, &look, "dead unsure=false (invalid: why)"),
            (Outcome::Conflict { reason: r() }, &look, "dead unsure=false (conflict: why)"),
            (Outcome::RateLimited { wait_ms: Some(90_000) }, &look, "later +91000 unsure=false"),
            (Outcome::RateLimited { wait_ms: None }, &look, "later +4000 unsure=false"),
            (Outcome::Busy { reason: r() }, &Idempotency::None, "later +4000 unsure=false"),
            (Outcome::Broken { reason: r() }, &look, "later +15000 unsure=true"),
            (Outcome::Unknown { reason: r() }, &look, "later +15000 unsure=true"),
            (Outcome::Unknown { reason: r() }, &Idempotency::Key, "later +15000 unsure=true"),
            (Outcome::Unknown { reason: r() }, &Idempotency::Put, "later +15000 unsure=true"),
            (Outcome::Unknown { reason: r() }, &Idempotency::None, "person (unknown: why)"),
            (Outcome::Broken { reason: r() }, &Idempotency::None, "person (broken: why)"),
        ];
        for (outcome, can, wanted) in table {
            assert_eq!(said(&outcome, can, TRY), wanted, "{outcome:?} {can:?}");
        }
    }

    #[test]
    fn every_reason_of_ours_is_a_word_too() {
        let reason = "why: with words".to_owned();
        let outcomes = [
            Outcome::NotFound,
            Outcome::Denied { reason: reason.clone() },
            Outcome::AuthExpired { reason: reason.clone() },
            Outcome::Ambiguous { count: 2, reason: reason.clone() },
            Outcome::Invalid { reason: reason.clone() },
            Outcome::Conflict { reason: reason.clone() },
            Outcome::RateLimited { wait_ms: None },
            Outcome::Busy { reason: reason.clone() },
            Outcome::Broken { reason: reason.clone() },
            Outcome::Unknown { reason },
        ];
        for outcome in outcomes {
            let next = judge(&outcome, &Idempotency::None, TRY, &Delivery::default());
            let (Next::Later { reason, .. } | Next::Dead { reason, .. } | Next::Person { reason }) = next else {
                panic!("{outcome:?}")
            };
            assert!(outcome.trouble().is_some() && trouble(&reason) == outcome.trouble(), "{reason}");
        }
        assert_eq!((Outcome::Empty.trouble(), Outcome::Ok(json!(1)).trouble()), (None, None));
        let waits = Outcome::RateLimited { wait_ms: Some(1_001) }.trouble();
        assert_eq!(waits, Some(Trouble::RateLimited { seconds: Some(2) }));
        let late = Try { now: Wall(100 * 3_600_000), dice: 0.0, ..TRY };
        let busy = Outcome::Busy { reason: String::new() };
        let Next::Dead { reason, .. } = judge(&busy, &Idempotency::Key, late, &Delivery::default()) else { panic!() };
        assert_eq!(trouble(&reason), Some(Trouble::GivenUp { hours: 72 }));
        let Some(Next::Person { reason }) = before(true, &Idempotency::None) else { panic!() };
        assert_eq!(trouble(&reason), Some(Trouble::Undecidable));
        assert_eq!(trouble("another call of this customer is being written"), None);
    }

    #[test]
    fn it_is_given_up_after_72_hours_and_not_before() {
        let busy = Outcome::Busy { reason: "no connection".to_owned() };
        let hours = 72 * 3_600_000;
        let at = |now| said(&busy, &Idempotency::Key, Try { now: Wall(now), dice: 0.0, ..TRY });
        assert_eq!(at(hours), "later +0 unsure=false");
        assert_eq!(at(hours + 1), "dead unsure=false (given up after 72 h; last: busy: no connection)");
    }

    #[test]
    fn an_undecidable_effect_is_never_sent_again_by_us() {
        assert!(matches!(before(true, &Idempotency::None), Some(Next::Person { .. })));
        assert_eq!(before(false, &Idempotency::None), None);
        assert_eq!(before(true, &Idempotency::Key), None);
    }

    proptest! {
        #[test]
        fn jitter_keeps_its_bounds(attempts in 0_u32..10_000, dice in 0.0_f64..1.0) {
            let settings = Delivery::default();
            let wait = backoff_ms(attempts, dice, &settings);
            prop_assert!(wait <= settings.backoff_cap_ms);
            prop_assert!(wait <= settings.backoff_ms.saturating_mul(1 << attempts.min(32)));
        }

        /// Whatever a system that cannot be looked at answers, in any order: once an attempt may have been done, none follows.
        #[test]
        fn without_a_way_to_look_nothing_follows_an_unknown_outcome(words in prop::collection::vec(0_u8..6, 1..40), dice in 0.0_f64..1.0) {
            let settings = Delivery::default();
            let (mut now, mut attempts, mut unsure, mut unknown) = (Wall(0), 0, false, false);
            for word in words {
                if let Some(next) = before(unsure, &Idempotency::None) {
                    let person = matches!(next, Next::Person { .. });
                    prop_assert!(person);
                    break;
                }
                prop_assert!(!unknown, "sent again after an unknown outcome");
                let reason = String::new();
                let outcome = match word {
                    0 => Outcome::Busy { reason },
                    1 => Outcome::Unknown { reason },
                    2 => Outcome::Broken { reason },
                    3 => Outcome::RateLimited { wait_ms: Some(7_000) },
                    4 => Outcome::Denied { reason },
                    _ => Outcome::AuthExpired { reason },
                };
                unknown = matches!(outcome, Outcome::Unknown { .. } | Outcome::Broken { .. });
                let limited = matches!(outcome, Outcome::RateLimited { .. });
                match judge(&outcome, &Idempotency::None, Try { now, born_at: Wall(0), attempts, unsure, dice }, &settings) {
                    Next::Later { due_at, unsure: still, .. } => {
                        prop_assert!(due_at >= now && (!limited || due_at.since(now) >= 7_000));
                        prop_assert!(due_at.since(Wall(0)) <= settings.give_up_after_ms);
                        (now, unsure) = (due_at, still);
                    }
                    Next::Dead { .. } | Next::Person { .. } => break,
                    other => prop_assert!(false, "{other:?}"),
                }
                attempts += 1;
            }
        }
    }
}
