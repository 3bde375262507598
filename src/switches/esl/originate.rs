//! Click-to-dial as FreeSWITCH wants it, and its refusals in our words.
//!
//! Nothing that came from outside goes into a command unchecked: a number is digits, a device's user is a word, a reference is percent-encoded, and the
//! writer of commands ([`super::session::command`]) refuses CR, LF and NUL.

use crate::{
    calls::command::{Dial, Failure},
    switches::dialled::{is_number, is_request, reference},
};

use super::{acts::phone, settings::Settings};

/// The channel variable that says what a call was started from.
pub const REFERENCE: &str = "linecard_ref";

/// What is given to `bgapi`: the agent's phone first, then the dialplan with the number. The channel has the request's name (`origination_uuid`), so that the
/// leg that comes is known to be the one that was asked for.
///
/// # Errors
/// [`Failure::NotPermitted`] when click-to-dial is not set up, [`Failure::UnknownTarget`] when device or number are none.
pub fn originate(settings: &Settings, dial: &Dial) -> Result<String, Failure> {
    let plan = settings.dial.as_ref().ok_or(Failure::NotPermitted)?;
    let number = dial.number.expose();
    if !(is_number(number) && is_request(&dial.request)) {
        return Err(Failure::UnknownTarget);
    }
    let phone = phone(plan, &dial.device)?;
    let (request, caller_id) = (&dial.request.0, plan.caller_id.as_ref().unwrap_or(number));
    let (timeout, context) = (plan.timeout_ms.div_ceil(1000), &plan.context);
    let reference = reference(dial).map(|r| format!(",{REFERENCE}={r}")).unwrap_or_default();
    Ok(format!(
        "originate {{origination_uuid={request},origination_caller_id_number={caller_id},ignore_early_media=true,originate_timeout={timeout}{reference}}}{phone} {number} XML {context}"
    ))
}

/// What the result of an `originate` that failed means: `-ERR` and the cause of the leg's end (click-to-dial; the names are those of
/// `switch_channel.c`, CAUSE_CHART).
#[must_use]
pub fn failure(result: &str) -> Failure {
    match result.trim().trim_start_matches("-ERR").trim() {
        "USER_BUSY" | "CALL_REJECTED" => Failure::Busy,
        "NO_ANSWER" | "NO_USER_RESPONSE" | "ALLOTTED_TIMEOUT" | "PROGRESS_TIMEOUT" | "ORIGINATOR_CANCEL" => {
            Failure::NoAnswer
        }
        // A phone that is not registered has no channel at all; an unknown user neither.
        "SUBSCRIBER_ABSENT" | "USER_NOT_REGISTERED" => Failure::NotRegistered,
        "UNALLOCATED_NUMBER"
        | "NO_ROUTE_DESTINATION"
        | "INVALID_NUMBER_FORMAT"
        | "INVALID_URL"
        | "CHAN_NOT_IMPLEMENTED" => Failure::UnknownTarget,
        "OUTGOING_CALL_BARRED" | "permission denied" => Failure::NotPermitted,
        _ => Failure::SwitchUnavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        calls::{command::RequestId, record::Reference},
        switches::esl::tests::{SETTINGS, dial, settings},
    };

    #[test]
    fn an_originate_is_what_the_switch_wants() {
        let mut dial = dial();
        dial.reference = Some(Reference { system: "redmine".into(), kind: "ticket".into(), id: "47,11}\r\n".into() });
        assert_eq!(
            originate(&settings(SETTINGS), &dial).unwrap(),
            "originate {origination_uuid=lc-1,origination_caller_id_number=13800138000,ignore_early_media=true,originate_timeout=30,linecard_ref=redmine:ticket:47%2C11%7D%0D%0A}user/2001@cc.example 13800138000 XML default"
        );
    }

    #[test]
    fn nothing_breaks_out_of_its_place() {
        let settings = settings(SETTINGS);
        let with = |change: &dyn Fn(&mut Dial)| {
            let mut dial = dial();
            change(&mut dial);
            originate(&settings, &dial)
        };
        let refused = Err(Failure::UnknownTarget);
        for number in ["138\n\napi fsctl shutdown now", "", "１３８", "138 XML other", "138,1"] {
            assert_eq!(with(&|d| d.number = number.into()), refused, "{number:?}");
        }
        for device in ["sofia/", "sofia/2001 &park()", "sofia/2001,user/2002", "sofia/{x=y}2001", "sofia/2001\nexit"] {
            assert_eq!(with(&|d| d.device = device.into()), refused, "{device:?}");
        }
        assert_eq!(with(&|d| d.request = RequestId("a,b=c".into())), refused);
    }

    #[test]
    fn refusals_have_their_words() {
        // All four are recorded (click-to-dial).
        assert_eq!(failure("-ERR USER_BUSY\n"), Failure::Busy);
        assert_eq!(failure("-ERR NO_ANSWER"), Failure::NoAnswer);
        assert_eq!(failure("-ERR SUBSCRIBER_ABSENT"), Failure::NotRegistered);
        assert_eq!(failure("-ERR permission denied"), Failure::NotPermitted);
        assert_eq!(failure("-ERR NORMAL_TEMPORARY_FAILURE"), Failure::SwitchUnavailable);
    }
}
