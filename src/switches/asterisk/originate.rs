//! Click-to-dial as the switch wants it, and its refusals in our words.
//!
//! Nothing that came from outside goes into a line or a URL unchecked: the writer of AMI lines refuses CR, LF and NUL, a number is digits,
//! a device is an endpoint's name, and a reference is percent-encoded.

use std::fmt::Write as _;

use crate::{
    calls::command::{Dial, Failure},
    switches::dialled::{is_device, is_number, is_request, reference},
};

use super::settings::{DialSettings, Settings};

/// The channel variable that says what a call was started from, inherited by the channels that are dialled from it: `SYSTEM:TYPE:ID`, each
/// percent-encoded.
pub const REFERENCE: &str = "LINECARD_REF";

/// The bytes of one AMI action; `None` if a value would break out of its line.
#[must_use]
pub fn action(name: &str, id: &str, fields: &[(&str, &str)]) -> Option<Vec<u8>> {
    let mut text = format!("Action: {name}\r\n");
    for (key, value) in std::iter::once(&("ActionID", id)).chain(fields) {
        if value.bytes().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
            return None;
        }
        let _ = write!(text, "{key}: {value}\r\n");
    }
    text.push_str("\r\n");
    Some(text.into_bytes())
}

/// The Originate of a dial.
///
/// # Errors
/// [`Failure::NotPermitted`] when click-to-dial is not set up, [`Failure::UnknownTarget`] when device or number are none.
pub fn ami_action(settings: &Settings, dial: &Dial) -> Result<Vec<u8>, Failure> {
    let plan = checked(settings, dial)?;
    let timeout = plan.timeout_ms.to_string();
    let (number, reference) = (dial.number.expose().as_str(), reference(dial));
    let variable = reference.map(|r| format!("__{REFERENCE}={r}"));
    let mut fields = vec![
        ("Channel", dial.device.as_str()),
        ("Context", plan.context.as_str()),
        ("Exten", number),
        ("Priority", "1"),
        ("Timeout", timeout.as_str()),
        ("CallerID", plan.caller_id.as_deref().unwrap_or(number)),
        ("Async", "true"),
        ("ChannelId", dial.request.0.as_str()),
    ];
    if let Some(variable) = &variable {
        fields.push(("Variable", variable));
    }
    action("Originate", &dial.request.0, &fields).ok_or(Failure::UnknownTarget)
}

/// Keys and values, not yet percent-encoded.
pub type Query = Vec<(&'static str, String)>;

/// The query and the body of `POST /channels/{id}`.
///
/// # Errors
/// As [`ami_action`].
pub fn ari_request(settings: &Settings, dial: &Dial) -> Result<(Query, String), Failure> {
    let plan = checked(settings, dial)?;
    let number = dial.number.expose();
    let query = vec![
        ("endpoint", dial.device.clone()),
        ("context", plan.context.clone()),
        ("extension", number.clone()),
        ("priority", "1".to_owned()),
        ("callerId", plan.caller_id.clone().unwrap_or_else(|| number.clone())),
        // Whole seconds is all that ARI takes.
        ("timeout", plan.timeout_ms.div_ceil(1000).to_string()),
    ];
    let mut variables = serde_json::Map::new();
    if let Some(reference) = reference(dial) {
        variables.insert(format!("__{REFERENCE}"), reference.into());
    }
    Ok((query, serde_json::json!({ "variables": variables }).to_string()))
}

fn checked<'a>(settings: &'a Settings, dial: &Dial) -> Result<&'a DialSettings, Failure> {
    let plan = settings.dial.as_ref().ok_or(Failure::NotPermitted)?;
    if is_number(dial.number.expose()) && is_device(&dial.device) && is_request(&dial.request) {
        Ok(plan)
    } else {
        Err(Failure::UnknownTarget)
    }
}

/// What `Response: Error` to an Originate means, by its `Message`.
#[must_use]
pub fn ami_refusal(message: &str) -> Failure {
    let text = message.to_ascii_lowercase();
    match () {
        () if text.contains("permission") || text.contains("forbidden") => Failure::NotPermitted,
        () if text.contains("extension") || text.contains("channel") || text.contains("invalid") => {
            Failure::UnknownTarget
        }
        () => Failure::SwitchUnavailable,
    }
}

/// What the `Reason` of an OriginateResponse means when no channel was made: the switch's control frame (frame.h).
#[must_use]
pub fn ami_failure(reason: Option<u8>) -> Failure {
    match reason {
        // 0: "No such extension or number", which is also what a phone gives that is not registered.
        Some(0) => Failure::NotRegistered,
        // 1 the other end hung up, 3 it rang to the timeout.
        Some(1 | 3) => Failure::NoAnswer,
        Some(5) => Failure::Busy,
        // 8: congestion, "circuits busy".
        _ => Failure::SwitchUnavailable,
    }
}

/// What a status other than 2xx to `POST /channels/{id}` means.
#[must_use]
pub fn ari_refusal(status: u16, body: &[u8]) -> Failure {
    match status {
        401 | 403 => Failure::NotPermitted,
        // The channel could not be made: an endpoint without a registered phone gives "Allocation failed" with 500.
        500 if String::from_utf8_lossy(body).contains("Allocation failed") => Failure::NotRegistered,
        400 | 404 | 409 | 422 => Failure::UnknownTarget,
        _ => Failure::SwitchUnavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        calls::{command::RequestId, record::Reference},
        switches::asterisk::tests::{SETTINGS, dial, settings},
    };

    #[test]
    fn an_originate_is_what_the_switch_wants() {
        let mut dial = dial();
        dial.reference = Some(Reference { system: "redmine".into(), kind: "ticket".into(), id: "47,11=\r\n".into() });
        let text = String::from_utf8(ami_action(&settings(SETTINGS), &dial).unwrap()).unwrap();
        assert_eq!(
            text,
            "Action: Originate\r\nActionID: lc-1\r\nChannel: PJSIP/1001\r\nContext: click2dial\r\nExten: 13800138000\r\nPriority: 1\r\nTimeout: 30000\r\nCallerID: 13800138000\r\nAsync: true\r\nChannelId: lc-1\r\nVariable: __LINECARD_REF=redmine:ticket:47%2C11%3D%0D%0A\r\n\r\n"
        );
        let (query, body) = ari_request(&settings(SETTINGS), &dial).unwrap();
        assert!(query.contains(&("timeout", "30".to_owned())));
        assert_eq!(body, r#"{"variables":{"__LINECARD_REF":"redmine:ticket:47%2C11%3D%0D%0A"}}"#);
    }

    #[test]
    fn nothing_breaks_out_of_its_line() {
        let settings = settings(SETTINGS);
        let with = |change: &dyn Fn(&mut Dial)| {
            let mut dial = dial();
            change(&mut dial);
            (ami_action(&settings, &dial), ari_request(&settings, &dial).map(|_| ()))
        };
        let refused = (Err(Failure::UnknownTarget), Err(Failure::UnknownTarget));
        assert_eq!(with(&|d| d.number = "138\r\nAction: Command".into()), refused);
        assert_eq!(with(&|d| d.number = "".into()), refused);
        assert_eq!(with(&|d| d.number = "１３８".into()), refused);
        assert_eq!(with(&|d| d.device = "PJSIP/1001\nX: y".into()), refused);
        assert_eq!(with(&|d| d.device = "1001".into()), refused);
        assert_eq!(with(&|d| d.device = "PJSIP/1001&PJSIP/1002".into()), refused);
        assert_eq!(with(&|d| d.request = RequestId("a/../b".into())), refused);
        for bad in ["\r", "\n", "\0", "x\r\nSecret: y"] {
            assert_eq!(action("Login", "1", &[("Username", bad)]), None);
        }
    }

    #[test]
    fn refusals_have_their_words() {
        assert_eq!(ami_refusal("Permission denied"), Failure::NotPermitted);
        assert_eq!(ami_refusal("Extension does not exist."), Failure::UnknownTarget);
        assert_eq!(ami_failure(Some(0)), Failure::NotRegistered);
        assert_eq!(ami_failure(Some(3)), Failure::NoAnswer);
        assert_eq!(ami_failure(Some(5)), Failure::Busy);
        assert_eq!(ami_failure(Some(8)), Failure::SwitchUnavailable);
        assert_eq!(ari_refusal(500, b"{\"message\":\"Allocation failed\"}"), Failure::NotRegistered);
        assert_eq!(ari_refusal(403, b""), Failure::NotPermitted);
        assert_eq!(ari_refusal(503, b""), Failure::SwitchUnavailable);
    }
}
