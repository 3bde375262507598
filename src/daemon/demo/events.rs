//! AMI as Asterisk 22 writes it: channels, events, responses, line by line in the order of the recordings.
//!
//! Still: values in, bytes out. What is left out: the events that no client of a call centre wants (RTCP, tests, security).

use std::fmt::Write as _;

use bytes::Bytes;

use crate::words::Wall;

/// AMI's empty number.
pub const UNKNOWN: &str = "<unknown>";

/// Channel states as AMI numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Down = 0,
    /// The caller hears ringing.
    Ring = 4,
    /// The phone rings.
    Ringing = 5,
    Up = 6,
}

impl State {
    fn words(self) -> &'static str {
        match self {
            State::Down => "Down",
            State::Ring => "Ring",
            State::Ringing => "Ringing",
            State::Up => "Up",
        }
    }
}

/// One leg as the switch knows it. Numbers are plain text here: this is the switch's side, and everything in it is made up.
#[derive(Clone, Debug)]
pub struct Channel {
    pub name: String,
    pub state: State,
    /// Empty where unknown.
    pub number: String,
    pub display: String,
    pub connected: String,
    pub connected_display: String,
    pub context: String,
    pub exten: String,
    pub priority: u32,
    pub uniqueid: String,
    pub linkedid: String,
    pub application: String,
    pub data: String,
    pub bridge: Option<String>,
    pub created: Wall,
}

impl Channel {
    /// `PJSIP/1001` of `PJSIP/1001-00000001`.
    #[must_use]
    pub fn device(&self) -> &str {
        self.name.rsplit_once('-').map_or(self.name.as_str(), |(device, _)| device)
    }
}

/// One event or response while it is written. Values never break a line: what a caller may have put in is stripped, as Asterisk does.
#[derive(Debug)]
pub struct Message {
    text: String,
    /// The class of the event (`call`, `agent`, `system`), by which a login's mask lets it through; empty for answers.
    pub class: &'static str,
    pub name: String,
}

impl Message {
    /// An event with `Privilege` and, as with `timestampevents = yes`, a `Timestamp` of seconds and microseconds.
    #[must_use]
    pub fn event(name: &str, class: &'static str, micros: i64) -> Message {
        let message = Message { text: String::with_capacity(600), class, name: name.to_owned() };
        message
            .field("Event", name)
            .field("Privilege", format_args!("{class},all"))
            .field("Timestamp", format_args!("{}.{:06}", micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000)))
    }

    /// A line of a list that was asked for: no privilege, no time.
    #[must_use]
    pub fn item(name: &str) -> Message {
        Message { text: String::with_capacity(600), class: "", name: name.to_owned() }.field("Event", name)
    }

    #[must_use]
    pub fn response(what: &str, action_id: Option<&str>) -> Message {
        Message { text: String::new(), class: "", name: String::new() }.field("Response", what).action_id(action_id)
    }

    #[must_use]
    pub fn action_id(self, id: Option<&str>) -> Message {
        match id {
            Some(id) => self.field("ActionID", id),
            None => self,
        }
    }

    #[must_use]
    pub fn field(mut self, key: &str, value: impl std::fmt::Display) -> Message {
        self.text.push_str(key);
        self.text.push_str(": ");
        let from = self.text.len();
        // Writing to a string cannot fail.
        let _ = write!(self.text, "{value}");
        if self.text.get(from..).is_some_and(|v| v.contains(['\r', '\n'])) {
            let clean = self.text.split_off(from).replace(['\r', '\n'], " ");
            self.text.push_str(&clean);
        }
        self.text.push_str("\r\n");
        self
    }

    /// The fourteen headers of a channel, with a prefix (`Dest`, `Transferer`) where the event names several.
    #[must_use]
    pub fn channel(self, prefix: &str, channel: &Channel) -> Message {
        let key = |name: &str| format!("{prefix}{name}");
        self.field(&key("Channel"), &channel.name)
            .field(&key("ChannelState"), channel.state as u8)
            .field(&key("ChannelStateDesc"), channel.state.words())
            .field(&key("CallerIDNum"), known(&channel.number))
            .field(&key("CallerIDName"), known(&channel.display))
            .field(&key("ConnectedLineNum"), known(&channel.connected))
            .field(&key("ConnectedLineName"), known(&channel.connected_display))
            .field(&key("Language"), "en")
            .field(&key("AccountCode"), "")
            .field(&key("Context"), &channel.context)
            .field(&key("Exten"), &channel.exten)
            .field(&key("Priority"), channel.priority)
            .field(&key("Uniqueid"), &channel.uniqueid)
            .field(&key("Linkedid"), &channel.linkedid)
    }

    #[must_use]
    pub fn bridge(self, prefix: &str, id: &str, channels: usize) -> Message {
        let key = |name: &str| format!("{prefix}Bridge{name}");
        self.field(&key("Uniqueid"), id)
            .field(&key("Type"), "basic")
            .field(&key("Technology"), "simple_bridge")
            .field(&key("Creator"), UNKNOWN)
            .field(&key("Name"), UNKNOWN)
            .field(&key("NumChannels"), channels)
            .field(&key("VideoSourceMode"), "none")
    }

    /// The bytes, with the empty line that ends a message.
    #[must_use]
    pub fn finish(mut self) -> Bytes {
        self.text.push_str("\r\n");
        Bytes::from(self.text)
    }

    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// A number or name as AMI shows it.
#[must_use]
pub fn known(value: &str) -> &str {
    if value.is_empty() { UNKNOWN } else { value }
}

/// What Asterisk calls a Q.850 cause.
#[must_use]
pub fn cause_text(cause: u16) -> &'static str {
    match cause {
        16 => "Normal Clearing",
        17 => "User busy",
        19 => "User alerting, no answer",
        26 => "Answered elsewhere",
        127 => "Interworking, unspecified",
        _ => "Unknown",
    }
}

/// One action that a client sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Action {
    headers: Vec<(String, String)>,
}

impl Action {
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(k, _)| k.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// All values of a header that may come several times.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(k, _)| k.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

/// Cuts what a client sends into actions. An action larger than [`Framer::MOST`] ends the session, as a broken client would.
#[derive(Debug, Default)]
pub struct Framer {
    line: Vec<u8>,
    headers: Vec<(String, String)>,
    size: usize,
}

impl Framer {
    /// Asterisk refuses lines of more than 1,024 bytes; we only guard the memory of the test.
    pub const MOST: usize = 65_536;

    /// The actions that `bytes` complete; `None` once too much came without an end.
    pub fn take(&mut self, bytes: &[u8]) -> Option<Vec<Action>> {
        let mut actions = Vec::new();
        for &byte in bytes {
            if byte != b'\n' {
                self.line.push(byte);
                self.size += 1;
                if self.size > Self::MOST {
                    return None;
                }
                continue;
            }
            let line = String::from_utf8_lossy(&self.line).trim_end_matches('\r').to_owned();
            self.line.clear();
            if line.is_empty() {
                self.size = 0;
                let headers = std::mem::take(&mut self.headers);
                if !headers.is_empty() {
                    actions.push(Action { headers });
                }
            } else if let Some((key, value)) = line.split_once(':') {
                self.headers.push((key.trim().to_owned(), value.trim().to_owned()));
            }
        }
        Some(actions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_the_headers_of_the_recording_in_their_order() {
        // From the recording a-queue-answered, Newchannel of the trunk.
        let recorded = "Event: Newchannel\r\nPrivilege: call,all\r\nTimestamp: 1795347846.715317\r\nChannel: PJSIP/trunk-00000000\r\n\
            ChannelState: 4\r\nChannelStateDesc: Ring\r\nCallerIDNum: 13800138000\r\nCallerIDName: <unknown>\r\n\
            ConnectedLineNum: <unknown>\r\nConnectedLineName: <unknown>\r\nLanguage: en\r\nAccountCode: \r\nContext: from-trunk\r\n\
            Exten: 4008001234\r\nPriority: 1\r\nUniqueid: 1795347846.0\r\nLinkedid: 1795347846.0\r\n\r\n";
        let channel = Channel {
            name: "PJSIP/trunk-00000000".into(),
            state: State::Ring,
            number: "13800138000".into(),
            display: String::new(),
            connected: String::new(),
            connected_display: String::new(),
            context: "from-trunk".into(),
            exten: "4008001234".into(),
            priority: 1,
            uniqueid: "1795347846.0".into(),
            linkedid: "1795347846.0".into(),
            application: String::new(),
            data: String::new(),
            bridge: None,
            created: Wall(1_795_347_846_715),
        };
        let ours = Message::event("Newchannel", "call", 1_795_347_846_715_317).channel("", &channel).finish();
        assert_eq!(ours, recorded.as_bytes());
        assert_eq!(channel.device(), "PJSIP/trunk");
    }

    #[test]
    fn a_value_cannot_smuggle_a_line() {
        let bytes = Message::item("X").field("Name", "a\r\nEvent: Hangup").finish();
        assert_eq!(bytes, "Event: X\r\nName: a  Event: Hangup\r\n\r\n".as_bytes());
    }

    #[test]
    fn actions_come_out_whole_however_the_bytes_are_cut() {
        let text = b"Action: Login\r\nUsername: a\r\nSecret: b:c\r\n\r\nAction: Ping\nActionID: 7\n\n";
        for cut in 0..text.len() {
            let mut framer = Framer::default();
            let mut actions = framer.take(&text[..cut]).unwrap();
            actions.extend(framer.take(&text[cut..]).unwrap());
            assert_eq!(actions.len(), 2, "cut at {cut}");
            assert_eq!(actions[0].header("secret"), Some("b:c"));
            assert_eq!(actions[1].header("ActionID"), Some("7"));
        }
        assert_eq!(Framer::default().take(&vec![b'x'; Framer::MOST + 1]), None);
    }
}
