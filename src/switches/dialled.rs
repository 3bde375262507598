//! What goes into the text of a command, whatever the switch: nothing that came from outside goes there unchecked.

use std::fmt::Write as _;

use crate::calls::command::{Dial, RequestId};

/// Digits as a switch dials them.
#[must_use]
pub fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() <= 32 && text.bytes().all(|b| b.is_ascii_digit() || b"+*#".contains(&b))
}

/// A device as a switch names it: `PJSIP/1001`, `sofia/2001`.
#[must_use]
pub fn is_device(text: &str) -> bool {
    text.contains('/') && text.len() <= 128 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-_.@+".contains(&b))
}

/// A channel's name for itself, as it came from the wire.
#[must_use]
pub fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= 128 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// The name of a request is a channel's name too.
#[must_use]
pub fn is_request(request: &RequestId) -> bool {
    is_id(&request.0)
}

/// What a call was started from: `SYSTEM:TYPE:ID`, each percent-encoded.
#[must_use]
pub fn reference(dial: &Dial) -> Option<String> {
    let reference = dial.reference.as_ref()?;
    let part = |text: &str| {
        text.bytes().fold(String::new(), |mut out, b| {
            if b.is_ascii_alphanumeric() || b"-_.".contains(&b) {
                out.push(char::from(b));
            } else {
                let _ = write!(out, "%{b:02X}");
            }
            out
        })
    };
    Some(format!("{}:{}:{}", part(&reference.system), part(&reference.kind), part(&reference.id)))
}
