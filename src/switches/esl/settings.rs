//! `config/switches/*.yaml` of kind `freeswitch`: what a file may say, and what is wrong with it beyond its shape.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    calls::{
        Attributes,
        attributes::{Mapping, Recordings},
        command::Deed,
    },
    files::{Problem, Read, SecretRef},
    numbers::{DialOut, OutRule, Plan},
    switches::{Settings as AnySettings, Tls, attributes, pairs::Pairing, unknown_trunks},
    words::{SwitchId, TenantId},
};

/// One FreeSWITCH.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Names this switch in records, metrics and logs; never changed afterwards, because call ids are made from it.
    pub id: SwitchId,
    #[serde(default)]
    pub tenant: TenantId,
    /// IANA time zone of its calls, where the trunk's row names none.
    #[serde(default = "crate::switches::zone")]
    pub zone: String,
    /// ISO 3166 country whose numbering its numbers follow.
    #[serde(default = "crate::switches::country")]
    pub country: String,
    /// Area code without the leading 0 (`"21"`) of numbers that are dialled without one.
    #[serde(default)]
    pub area: Option<String>,
    /// What is a trunk: `gateway/NAME`, or `sofia/PROFILE` where a profile has nothing but trunks; `*` stands for any text.
    pub trunks: Vec<String>,
    /// Numbers of our own people; `X` stands for a digit (`100X`), `*` for any text.
    #[serde(default)]
    pub internal: Vec<String>,
    /// What is kept of a call besides the call: variables, headers that begin with X-, events of a subclass, keyed digits.
    #[serde(default)]
    pub attributes: Vec<Mapping>,
    /// Recordings that the dialplan makes; absent: not wanted.
    #[serde(default)]
    pub recordings: Option<Recordings>,
    #[serde(skip)]
    pub pairing: Pairing,
    pub event_socket: EventSocket,
    /// Click-to-dial; absent: refused.
    #[serde(default)]
    pub dial: Option<DialSettings>,
}

/// The event socket, `event_socket.conf.xml` on the switch. Two connections are made: one hears, the other asks.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventSocket {
    pub host: String,
    /// 8021 by FreeSWITCH's own custom.
    #[serde(default = "port")]
    pub port: u16,
    /// For a TLS proxy before it; mod_event_socket has none itself. Absent: plain TCP, which is for loopback and nothing else.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// `linecard@pbx.example.com`: a user of the directory, who may do what its entry allows. Absent: the socket's own password, which may do all.
    #[serde(default)]
    pub user: Option<String>,
    pub secret: SecretRef,
}

/// How an agent's call is placed: the agent's phone first, then the dialplan is run with the number.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DialSettings {
    /// The dialplan context that takes the number over to the gateway.
    pub context: String,
    /// How the switch calls an agent's phone; `{user}` is the user of its device (`2001` of `sofia/2001`).
    #[serde(default = "phone")]
    pub phone: String,
    /// The number that the agent's phone shows while it rings; absent: the number that will be dialled.
    #[serde(default)]
    pub caller_id: Option<String>,
    /// How long the agent's phone may ring.
    #[serde(default = "dial_timeout")]
    pub timeout_ms: u32,
    /// How numbers are written for that context; the first rule that takes a number counts. Empty: as they were typed, with 00 for a plus.
    #[serde(default)]
    pub out: Vec<OutRule>,
}

fn port() -> u16 {
    8021
}
fn phone() -> String {
    "user/{user}".to_owned()
}
fn dial_timeout() -> u32 {
    30_000
}

impl Settings {
    #[must_use]
    pub fn plan(&self) -> Plan {
        Plan::new(&self.country, self.area.as_deref())
    }

    /// What the book is to keep, for it and for the link.
    #[must_use]
    pub fn declared(&self) -> Attributes {
        Attributes { list: self.attributes.clone(), recordings: self.recordings.clone() }
    }

    /// What this file does not set up for a verb.
    #[must_use]
    pub const fn lacks(&self, deed: Deed) -> Option<&'static str> {
        match deed {
            Deed::Dial | Deed::Transfer | Deed::Pickup | Deed::Listen | Deed::Take if self.dial.is_none() => {
                Some("the switch's file has no \"dial\"")
            }
            Deed::RecordStart | Deed::RecordPause | Deed::RecordResume => match &self.recordings {
                Some(Recordings { folder: Some(_), .. }) => None,
                _ => Some("the switch's file names no folder of recordings"),
            },
            _ => None,
        }
    }

    /// What the shape of the file cannot say.
    #[must_use]
    pub fn problems(&self, read: &Read<AnySettings>) -> Vec<Problem> {
        let mut out = Vec::new();
        let mut wrong = |key: &str, found: String, wanted: &str| out.push(read.problem(key, found, wanted));
        if self.id.as_str().is_empty()
            || !self.id.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        {
            wrong("freeswitch.id", "this is no id".into(), "letters, digits, \"-\", \"_\" and \".\"");
        }
        let example = "at least one, for example \"gateway/carrier\"";
        if self.trunks.is_empty() {
            wrong("freeswitch.trunks", "the list is empty".into(), example);
        }
        for (i, trunk) in self.trunks.iter().enumerate() {
            if !["gateway/", "sofia/"].iter().any(|kind| trunk.strip_prefix(kind).is_some_and(|name| !name.is_empty()))
            {
                let wanted = "gateway/NAME, or sofia/PROFILE where a profile has nothing but trunks";
                wrong(&format!("freeswitch.trunks[{i}]"), "this names no gateway and no profile".into(), wanted);
            }
        }
        attributes::problems(&self.attributes, "freeswitch.attributes", |_| None, &mut wrong);
        if let Some(r) = &self.recordings {
            attributes::recording_problems(r, "freeswitch.recordings", &mut wrong);
        }
        let socket = &self.event_socket;
        if socket.host.is_empty() || socket.host.bytes().any(|b| b.is_ascii_control() || b == b' ') {
            wrong("freeswitch.event_socket.host", "this is no host".into(), "a name or an address");
        }
        if socket.user.as_ref().is_some_and(|user| {
            user.split_once('@').is_none_or(|(name, domain)| name.is_empty() || domain.is_empty())
                || user.bytes().any(|b| b.is_ascii_control() || b" :".contains(&b))
        }) {
            let wanted = "a user of the directory and its domain, for example linecard@pbx.example.com";
            wrong("freeswitch.event_socket.user", "this is no user of the directory".into(), wanted);
        }
        if let Some(dial) = &self.dial {
            let word =
                |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
            if !word(&dial.context) {
                wrong(
                    "freeswitch.dial.context",
                    "this is no name of a context".into(),
                    "letters, digits, \"-\", \"_\" and \".\"",
                );
            }
            if !dial.phone.contains("{user}") || !dial.phone.replace("{user}", "").bytes().all(is_dial_string) {
                let wanted = "one dial string with {user} in it, for example user/{user}@pbx.example.com";
                wrong("freeswitch.dial.phone", "this calls nobody's phone".into(), wanted);
            }
            if dial
                .caller_id
                .as_ref()
                .is_some_and(|n| n.is_empty() || !n.bytes().all(|b| b.is_ascii_digit() || b"+*#".contains(&b)))
            {
                wrong("freeswitch.dial.caller_id", "this is no number".into(), "digits, \"+\", \"*\" and \"#\"");
            }
            if !(1_000..=120_000).contains(&dial.timeout_ms) {
                wrong("freeswitch.dial.timeout_ms", format!("found {}", dial.timeout_ms), "1000 to 120000");
            }
            for (key, found, wanted) in DialOut::new(&dial.out, &self.plan()).err().into_iter().flatten() {
                wrong(&format!("freeswitch.dial.out{key}"), found, wanted);
            }
            for (key, found, wanted) in unknown_trunks(&dial.out, &self.trunks) {
                wrong(&format!("freeswitch.dial.out{key}"), found, wanted);
            }
        }
        out
    }
}

/// What may stand in a dial string of ours: nothing that begins variables, a second phone or another argument.
pub(super) fn is_dial_string(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"/@%._-:;=+*#".contains(&b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    const EXAMPLE: &str = include_str!("../../../config/switches/freeswitch.yaml");

    #[test]
    fn the_example_file_is_good_and_says_every_default() {
        let read = files::read::<AnySettings>("freeswitch.yaml", EXAMPLE).unwrap();
        assert_eq!(read.value.problems(&read), []);
        let AnySettings::FreeSwitch(told) = &read.value else { panic!("this is no FreeSWITCH") };
        let short = "freeswitch:\n  id: fs1\n  trunks: [gateway/carrier]\n  event_socket: {host: 127.0.0.1, secret: {credential: secret_fs1}}\n  dial: {context: default}\n";
        let short = files::read::<AnySettings>("short.yaml", short).unwrap();
        let AnySettings::FreeSwitch(defaults) = &short.value else { panic!("this is no FreeSWITCH") };
        // What has no default of ours is an example there.
        let mut told = told.clone();
        told.area = None;
        told.internal.clear();
        told.attributes.clear();
        told.recordings = None;
        told.event_socket.user = None;
        assert_eq!(&told, defaults);
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        let text = "freeswitch:\n  id: 'fs 1'\n  trunks: [carrier]\n  attributes: [{name: a, from: {variable: 'a b'}}]\n  recordings: {uri: 'ftp://x'}\n  event_socket: {host: 'a b', user: linecard, secret: {env: A}}\n  dial: {context: 'a b', phone: 'user/2001', caller_id: 'x', timeout_ms: 5, out: [{trunk: gateway/other}]}\n";
        let read = files::read::<AnySettings>("x.yaml", text).unwrap();
        let keys: Vec<(u32, String)> = read.value.problems(&read).into_iter().map(|p| (p.line, p.key)).collect();
        let expected = [
            (2, "id"),
            (3, "trunks[0]"),
            (4, "attributes[0].from.variable"),
            (5, "recordings.uri"),
            (6, "event_socket.host"),
            (6, "event_socket.user"),
            (7, "dial.context"),
            (7, "dial.phone"),
            (7, "dial.caller_id"),
            (7, "dial.timeout_ms"),
            (7, "dial.out[0].trunk"),
        ];
        assert_eq!(keys, expected.map(|(line, key)| (line, format!("freeswitch.{key}"))));
        for phone in
            ["user/{user},user/1", "{x=y}user/{user}", "user/{user} &park", "user/{user}|user/1", "user/{user}\nexit"]
        {
            let text = format!(
                "freeswitch:\n  id: a\n  trunks: [gateway/a]\n  event_socket: {{host: a, secret: {{env: A}}}}\n  dial: {{context: c, phone: {phone:?}}}\n"
            );
            let read = files::read::<AnySettings>("x.yaml", &text).unwrap();
            let keys: Vec<String> = read.value.problems(&read).into_iter().map(|p| p.key).collect();
            assert_eq!(keys, ["freeswitch.dial.phone"], "{phone:?}");
        }
    }
}
