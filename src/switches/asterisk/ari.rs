//! ARI on the wire: one JSON text is one event; fields borrow from the text where JSON lets them.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// Longest event text. The longest of the recordings has 3 KiB; variables may hold some KiB more.
pub const TEXT_CAP: usize = 64 * 1024;

/// A text that borrows if it has no escapes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

/// What every event says first; the rest is read only for kinds that matter.
#[derive(Debug, Deserialize)]
pub struct Kind<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
}

/// The fields of all kinds of event that the book understands.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Happening<'a> {
    #[serde(borrow)]
    pub timestamp: Text<'a>,
    #[serde(borrow)]
    pub channel: Option<Channel<'a>>,
    #[serde(borrow)]
    pub caller: Option<Channel<'a>>,
    #[serde(borrow)]
    pub peer: Option<Channel<'a>>,
    #[serde(borrow)]
    pub transferee: Option<Channel<'a>>,
    #[serde(borrow)]
    pub transfer_target: Option<Channel<'a>>,
    #[serde(borrow)]
    pub transferer_first_leg: Option<Channel<'a>>,
    #[serde(borrow)]
    pub transferer_second_leg: Option<Channel<'a>>,
    #[serde(borrow)]
    pub bridge: Option<Bridge<'a>>,
    #[serde(borrow)]
    pub dialstatus: Text<'a>,
    #[serde(borrow)]
    pub dialstring: Text<'a>,
    #[serde(borrow)]
    pub destination_type: Text<'a>,
    #[serde(borrow)]
    pub dialplan_app: Text<'a>,
    #[serde(borrow)]
    pub dialplan_app_data: Text<'a>,
    #[serde(borrow)]
    pub exten: Text<'a>,
    #[serde(borrow)]
    pub result: Text<'a>,
    #[serde(borrow)]
    pub variable: Text<'a>,
    #[serde(borrow)]
    pub value: Text<'a>,
    #[serde(borrow)]
    pub digit: Text<'a>,
    #[serde(borrow)]
    pub eventname: Text<'a>,
    /// The headers of a user event.
    #[serde(borrow)]
    pub userevent: Option<&'a RawValue>,
    #[serde(borrow)]
    pub cause_txt: Text<'a>,
    pub cause: Option<u16>,
    /// The SIP answer.
    pub tech_cause: Option<u16>,
    pub soft: bool,
    pub caller_presentation: u16,
}

/// ARI's Channel, in events and in `GET /channels`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Channel<'a> {
    #[serde(borrow)]
    pub id: Text<'a>,
    #[serde(borrow)]
    pub name: Text<'a>,
    #[serde(borrow)]
    pub state: Text<'a>,
    /// The SIP Call-ID of the leg; empty in the first moment.
    #[serde(borrow)]
    pub protocol_id: Text<'a>,
    #[serde(borrow)]
    pub caller: Party<'a>,
    #[serde(borrow)]
    pub connected: Party<'a>,
    #[serde(borrow)]
    pub dialplan: Dialplan<'a>,
    #[serde(borrow)]
    pub creationtime: Text<'a>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Party<'a> {
    #[serde(borrow)]
    pub name: Text<'a>,
    #[serde(borrow)]
    pub number: Text<'a>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Dialplan<'a> {
    #[serde(borrow)]
    pub context: Text<'a>,
    #[serde(borrow)]
    pub exten: Text<'a>,
    pub priority: Option<u32>,
    #[serde(borrow)]
    pub app_name: Text<'a>,
    #[serde(borrow)]
    pub app_data: Text<'a>,
}

/// ARI's Bridge, in events and in `GET /bridges`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Bridge<'a> {
    #[serde(borrow)]
    pub id: Text<'a>,
    /// `mixing` or `holding`.
    #[serde(borrow)]
    pub bridge_type: Text<'a>,
    /// `ConfBridge`, `Parking`, or nothing.
    #[serde(borrow)]
    pub creator: Text<'a>,
    #[serde(borrow)]
    pub channels: Vec<Text<'a>>,
}

/// What came that is no ARI event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("an event is longer than {cap} bytes")]
    TooLong { cap: usize },
    #[error("a text is no JSON object with a \"type\": this is no ARI (column {column})")]
    NotAnEvent { column: usize },
}

/// The event's type, without reading the rest.
///
/// # Errors
/// Too long, or no ARI event.
pub fn kind(text: &str) -> Result<Kind<'_>, ReadError> {
    if text.len() > TEXT_CAP {
        return Err(ReadError::TooLong { cap: TEXT_CAP });
    }
    serde_json::from_str(text).map_err(|e| ReadError::NotAnEvent { column: e.column() })
}

/// The whole event.
///
/// # Errors
/// Not an ARI event: a field has another type than ARI's.
pub fn happening(text: &str) -> Result<Happening<'_>, ReadError> {
    serde_json::from_str(text).map_err(|e| ReadError::NotAnEvent { column: e.column() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_event_is_told_apart() {
        assert_eq!(
            kind(&format!("{{\"type\":\"X\",\"a\":\"{}\"}}", "x".repeat(TEXT_CAP))).unwrap_err(),
            ReadError::TooLong { cap: TEXT_CAP }
        );
        for text in ["{\"type\":\"Dial\"", "<html>", "[]", "{}", "{\"type\":1}"] {
            assert!(matches!(kind(text), Err(ReadError::NotAnEvent { .. })), "{text}");
        }
        assert_eq!(&*kind("{\"a\":{\"type\":1},\"type\":\"Dial\"}").unwrap().kind, "Dial");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,200}|\\{\"type\":\"Dial\",\"peer\":\\PC{0,40}\\}") {
            if kind(&text).is_ok() {
                let _ = happening(&text);
            }
        }
    }
}
