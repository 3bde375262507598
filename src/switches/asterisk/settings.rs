//! `config/switches/*.yaml` of kind `asterisk`: what a file may say, and what is wrong with it beyond its shape.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    calls::{
        Attributes, Directory,
        attributes::{Mapping, Recordings, Source},
        command::Deed,
    },
    files::{Problem, Read, SecretRef},
    numbers::{DialOut, OutRule, Plan},
    words::{SwitchId, TenantId},
};

use super::cdr::{NEEDED, Records};
use crate::switches::{
    Settings as AnySettings, Tls,
    attributes::{self, web_address},
    hep,
    inside::Inside,
    pairs::Pairing,
    unknown_trunks,
};

/// One Asterisk. `ami`, `ari` or both must be there.
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
    /// Endpoints that are trunks, without channel suffix; `*` stands for any text (`PJSIP/trunk*`).
    pub trunks: Vec<String>,
    /// Numbers of our own people; `X` stands for a digit (`100X`), `*` for any text.
    #[serde(default)]
    pub internal: Vec<String>,
    /// What is kept of a call besides the call: variables, user events, keyed digits. Nothing else of what dialplans set leaves the switch.
    #[serde(default)]
    pub attributes: Vec<Mapping>,
    /// Recordings that the dialplan makes; absent: not wanted.
    #[serde(default)]
    pub recordings: Option<Recordings>,
    /// The switch's own records, from which calls are taken that nobody watched; absent: such calls are not known.
    #[serde(default)]
    pub records: Option<Records>,
    /// Signalling that the switch (res_hep, res_hep_pjsip) or somebody beside it mirrors: it adds to the calls that AMI and ARI tell, and makes none.
    #[serde(default)]
    pub hep: Option<hep::Settings>,
    #[serde(skip)]
    pub pairing: Pairing,
    #[serde(default)]
    pub ami: Option<Ami>,
    #[serde(default)]
    pub ari: Option<Ari>,
    /// Click-to-dial; absent: refused.
    #[serde(default)]
    pub dial: Option<DialSettings>,
    /// What agents may do to their calls besides dialling; absent: nothing.
    #[serde(default)]
    pub control: Option<Control>,
}

/// Verbs on calls that are up.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// The dialplan context in which the targets of transfers and consultations are dialled: mostly that of the phones.
    pub context: String,
    /// The parking lot (res_parking.conf); absent: that of the channel, else `default`.
    #[serde(default)]
    pub parking: Option<String>,
    /// How recordings that agents begin are written, which is also the ending of their names: `wav`. Absent: agents begin, stop and pause none.
    #[serde(default)]
    pub record: Option<String>,
    /// The keys that make three of an attended transfer (features.conf, `atxferthreeway`).
    #[serde(default = "threeway")]
    pub threeway: String,
    /// The agents' phones answer, hold and retrieve when they are told to (NOTIFY `talk` and `hold`, a custom of many makers; res_pjsip_notify). Phones that do
    /// not know it do nothing, so it is off where nobody says so.
    #[serde(default)]
    pub phones_obey: bool,
}

/// The manager interface, `manager.conf` on the switch.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ami {
    pub host: String,
    /// 5038, or 5039 with TLS, by Asterisk's own custom.
    #[serde(default = "ami_port")]
    pub port: u16,
    /// Absent: plain TCP, which is for loopback and nothing else: the password goes over it as it is.
    #[serde(default)]
    pub tls: Option<Tls>,
    pub user: String,
    pub secret: SecretRef,
}

/// The REST interface, `ari.conf` on the switch.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ari {
    /// `http://127.0.0.1:8088` or `https://pbx.example.com:8089`, with the prefix of `http.conf` if it has one, without `/ari`.
    pub url: String,
    /// Only for `https`; absent: the system's certificate authorities.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// Name of the Stasis application. Whoever connects with the same name later takes the events over, so each
    /// daemon needs its own.
    #[serde(default = "app")]
    pub app: String,
    pub user: String,
    pub secret: SecretRef,
}

/// How an agent's call is placed: the agent's phone first, then `context` is run with the number as extension.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DialSettings {
    /// The dialplan context that takes the number over to the trunk.
    pub context: String,
    /// What the agent's phone shows while it rings; absent: the number that will be dialled.
    #[serde(default)]
    pub caller_id: Option<String>,
    /// How long the agent's phone may ring.
    #[serde(default = "dial_timeout")]
    pub timeout_ms: u32,
    /// Absent: by AMI if there is AMI, else by ARI.
    #[serde(default)]
    pub via: Option<Via>,
    /// How numbers are written for that context; the first rule that takes a number counts. Empty: as they were typed, with 00 for a plus.
    #[serde(default)]
    pub out: Vec<OutRule>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    Ami,
    Ari,
}

impl Settings {
    /// Over which link commands go; `None` when click-to-dial is not set up.
    #[must_use]
    pub fn dial_via(&self) -> Option<Via> {
        let dial = self.dial.as_ref()?;
        Some(dial.via.unwrap_or(if self.ami.is_some() { Via::Ami } else { Via::Ari }))
    }

    /// Whether commands go over ARI: there is no AMI, or dialling is set to go by ARI.
    #[must_use]
    pub fn by_ari(&self) -> bool {
        self.ami.is_none() || self.dial_via() == Some(Via::Ari)
    }

    /// What this file does not set up for a verb.
    #[must_use]
    pub fn lacks(&self, deed: Deed) -> Option<&'static str> {
        match deed {
            Deed::Dial if self.dial.is_none() => Some("the switch's file has no \"dial\""),
            Deed::Dial => None,
            _ if self.control.is_none() => Some("the switch's file has no \"control\""),
            Deed::Answer | Deed::Hold | Deed::Retrieve if self.control.as_ref().is_some_and(|c| !c.phones_obey) => {
                Some(
                    "no action of AMI does this but by the phone (\"control.phones_obey\"); the phone's own key does, and it is seen",
                )
            }
            Deed::RecordStart | Deed::RecordStop | Deed::RecordPause | Deed::RecordResume
                if self.control.as_ref().is_some_and(|c| c.record.is_none()) =>
            {
                Some("the switch's file has no \"control.record\"")
            }
            _ => None,
        }
    }

    /// Whether the SIP Call-ID of each channel is asked for: what another tells of the call is found by it. ARI says it unasked.
    #[must_use]
    pub fn asks_call_ids(&self) -> bool {
        self.ari.is_none() && (self.hep.is_some() || self.pairing.call_ids)
    }

    /// Who is one of us here, for what is mirrored.
    #[must_use]
    pub fn inside(&self, directory: Arc<Directory>) -> Inside {
        Inside { switch: self.id.clone(), technology: "PJSIP", directory, internal: self.internal.clone() }
    }

    /// What the book is to keep, for it and for the links.
    #[must_use]
    pub fn declared(&self) -> Attributes {
        Attributes { list: self.attributes.clone(), recordings: self.recordings.clone() }
    }

    /// What the shape of the file cannot say.
    #[must_use]
    pub fn problems(&self, read: &Read<AnySettings>) -> Vec<Problem> {
        let mut out = Vec::new();
        let mut wrong = |key: &str, found: String, wanted: &str| out.push(read.problem(key, found, wanted));
        if self.ami.is_none() && self.ari.is_none() {
            wrong("asterisk", "there is neither \"ami\" nor \"ari\"".into(), "add one of them, or both");
        }
        if self.id.as_str().is_empty()
            || !self.id.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        {
            wrong("asterisk.id", "this is no id".into(), "letters, digits, \"-\", \"_\" and \".\"");
        }
        if self.trunks.is_empty() {
            wrong("asterisk.trunks", "the list is empty".into(), "at least one endpoint, for example \"PJSIP/trunk*\"");
        }
        for (i, pattern) in self.trunks.iter().enumerate() {
            if !pattern.contains('/') {
                wrong(
                    &format!("asterisk.trunks[{i}]"),
                    "there is no technology in it".into(),
                    "technology and endpoint, for example \"PJSIP/trunk*\"",
                );
            }
        }
        attributes::problems(
            &self.attributes,
            "asterisk.attributes",
            |source| not_told(source).filter(|_| self.hep.is_none()),
            &mut wrong,
        );
        for (key, found, wanted) in self.hep.iter().flat_map(hep::Settings::wrong) {
            wrong(&format!("asterisk.hep.{key}"), found.to_owned(), wanted);
        }
        self.record_problems(&mut wrong);
        if let Some(ami) = &self.ami {
            line(&mut wrong, "asterisk.ami.host", &ami.host);
            line(&mut wrong, "asterisk.ami.user", &ami.user);
        }
        if let Some(ari) = &self.ari {
            line(&mut wrong, "asterisk.ari.user", &ari.user);
            let url = web_address(&ari.url);
            match &url {
                Some((secure, _)) if ari.tls.is_some() && !secure => {
                    wrong("asterisk.ari.tls", "the url begins with http".into(), "an https url, or no \"tls\"");
                }
                Some(_) => {}
                None => wrong(
                    "asterisk.ari.url",
                    "this is no address of an ARI".into(),
                    "http://HOST:8088 or https://HOST:8089, without user, query and \"/ari\"",
                ),
            }
            if ari.app.is_empty() || !ari.app.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
                wrong(
                    "asterisk.ari.app",
                    "this is no name of an application".into(),
                    "letters, digits, \"-\", \"_\" and \".\"",
                );
            }
            if ari.user.contains(':') {
                wrong(
                    "asterisk.ari.user",
                    "there is a colon in it".into(),
                    "HTTP's basic authentication has no colon in a user's name",
                );
            }
        }
        if let Some(control) = &self.control {
            let name = |text: &str| {
                !text.is_empty()
                    && text.len() <= 64
                    && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
            };
            let context = Some(control.context.clone());
            for (key, value) in [("context", &context), ("parking", &control.parking), ("record", &control.record)] {
                if value.as_deref().is_some_and(|value| !name(value)) {
                    let wanted = "a name of letters, digits, - _ .";
                    wrong(&format!("asterisk.control.{key}"), "this is no name of the switch".into(), wanted);
                }
            }
        }
        if let Some(control) = &self.control
            && !((1..=8).contains(&control.threeway.len())
                && control.threeway.bytes().all(|b| b.is_ascii_digit() || b"*#".contains(&b)))
        {
            wrong("asterisk.control.threeway", "these are no keys".into(), "digits, * and #, in quotes");
        }
        if let Some(dial) = &self.dial {
            line(&mut wrong, "asterisk.dial.context", &dial.context);
            if let Some(caller_id) = &dial.caller_id {
                line(&mut wrong, "asterisk.dial.caller_id", caller_id);
            }
            if !(1_000..=120_000).contains(&dial.timeout_ms) {
                wrong("asterisk.dial.timeout_ms", format!("found {}", dial.timeout_ms), "1000 to 120000");
            }
            let plan = Plan::new(&self.country, self.area.as_deref());
            for (key, found, wanted) in DialOut::new(&dial.out, &plan).err().into_iter().flatten() {
                wrong(&format!("asterisk.dial.out{key}"), found, wanted);
            }
            for (key, found, wanted) in unknown_trunks(&dial.out, &self.trunks) {
                wrong(&format!("asterisk.dial.out{key}"), found, wanted);
            }
            let there = match self.dial_via() {
                Some(Via::Ami) => self.ami.is_some(),
                Some(Via::Ari) => self.ari.is_some(),
                None => true,
            };
            if !there {
                wrong("asterisk.dial.via", "the link named here is not set up".into(), "one that this file sets up");
            }
        }
        out
    }
}

impl Settings {
    fn record_problems(&self, wrong: &mut impl FnMut(&str, String, &str)) {
        if let Some(r) = &self.records {
            for column in NEEDED.iter().filter(|c| !r.columns.contains(c)) {
                let found = format!("there is no {}", format!("{column:?}").to_lowercase());
                wrong(
                    "asterisk.records.columns",
                    found,
                    "at least channel, dstchannel, start, end, disposition and uniqueid",
                );
            }
            if r.cdr_csv.is_some() == r.cdr_sqlite.is_some() {
                let found = if r.cdr_csv.is_some() { "a file and a table" } else { "neither a file nor a table" };
                wrong("asterisk.records", found.into(), "cdr_csv: with a file, or cdr_sqlite: with a database");
            } else if !r.path().is_absolute() {
                let key = if r.cdr_csv.is_some() { "asterisk.records.cdr_csv" } else { "asterisk.records.cdr_sqlite" };
                let wanted = "the whole path, for example /var/log/asterisk/cdr-csv/Master.csv";
                wrong(key, "this path does not begin with /".into(), wanted);
            }
        }
        if let Some(r) = &self.recordings {
            attributes::recording_problems(r, "asterisk.recordings", wrong);
        }
    }
}

/// Of where an attribute may be told, what AMI and ARI never tell.
fn not_told(source: &Source) -> Option<(&'static str, &'static str)> {
    match source {
        Source::SipHeader(_) => Some((
            "Asterisk tells no SIP headers over AMI and ARI",
            "Set(NAME=${PJSIP_HEADER(read,X-Name)}) in the dialplan, and \"from: {variable: NAME}\" here; or mirrored signalling (\"hep\")",
        )),
        _ => None,
    }
}

/// A value that goes into a line of AMI as it is.
fn line(wrong: &mut impl FnMut(&str, String, &str), key: &str, value: &str) {
    if value.is_empty() || value.bytes().any(|b| b.is_ascii_control()) {
        wrong(key, "it is empty or has control characters in it".into(), "one line of text");
    }
}

fn threeway() -> String {
    "*3".to_owned()
}
const fn ami_port() -> u16 {
    5038
}
fn app() -> String {
    "linecard".to_owned()
}
const fn dial_timeout() -> u32 {
    30_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    const EXAMPLE: &str = include_str!("../../../config/switches/asterisk.yaml");

    #[test]
    fn the_example_file_is_good_and_says_every_default() {
        let read = files::read::<AnySettings>("asterisk.yaml", EXAMPLE).unwrap();
        assert_eq!(read.value.problems(&read), []);
        let AnySettings::Asterisk(told) = &read.value else { panic!("this is no Asterisk") };
        let short = "asterisk:\n  id: pbx1\n  trunks: ['PJSIP/trunk*']\n  ami: {host: 127.0.0.1, user: linecard, secret: {credential: secret_ami}}\n  ari: {url: 'http://127.0.0.1:8088', user: linecard, secret: {credential: secret_ari}}\n  dial: {context: click2dial}\n";
        let short = files::read::<AnySettings>("short.yaml", short).unwrap();
        let AnySettings::Asterisk(defaults) = &short.value else { panic!("this is no Asterisk") };
        // What has no default of ours is an example there.
        let mut told = told.clone();
        told.area = None;
        told.internal.clear();
        told.attributes.clear();
        told.recordings = None;
        told.records = None;
        told.hep = None;
        told.dial.as_mut().unwrap().via = None;
        told.control = None;
        assert_eq!(&told, defaults);
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        let text = "asterisk:\n  id: 'pbx 1'\n  trunks: [trunk]\n  attributes: [{name: a, from: {variable: CHANNEL(x)}}]\n  ari: {url: 'ftp://x', user: 'a:b', secret: {env: A}}\n  dial: {context: c, timeout_ms: 5, via: ami}\n";
        let read = files::read::<AnySettings>("x.yaml", text).unwrap();
        let keys: Vec<(u32, String)> = read.value.problems(&read).into_iter().map(|p| (p.line, p.key)).collect();
        let expected = [
            (2, "asterisk.id"),
            (3, "asterisk.trunks[0]"),
            (4, "asterisk.attributes[0].from.variable"),
            (5, "asterisk.ari.url"),
            (5, "asterisk.ari.user"),
            (6, "asterisk.dial.timeout_ms"),
            (6, "asterisk.dial.via"),
        ];
        assert_eq!(keys, expected.map(|(line, key)| (line, key.to_owned())));
    }

    #[test]
    fn mistakes_in_attributes_are_told_with_what_would_be_right() {
        let list = "    - {name: 'a b', from: {variable: __A}}\n    - {name: a}\n    - {name: b, from: {sip-header: X-Account}}\n    - {name: c, from: {user-event: {event: 'A B', header: ''}}, cap: 5000}\n    - {name: d, from: {digits: {end: x, max: 0, gap_ms: 1}}}\n    - {name: e, from: {variable: E}, secret: true, writable: true}\n    - {name: f, writable: true, decode: [url], type: {choice: []}}\n    - {name: g, from: {variable: G}, cap: 4096}\n    - {name: g, from: {variable: H}}\n    - {name: h, from: {variable: G}, cap: 4096}\n    - {name: i, from: {variable: G}, cap: 4096}\n";
        let text = format!(
            "asterisk:\n  id: pbx1\n  trunks: [PJSIP/trunk]\n  attributes:\n{list}  recordings: {{variable: _A, uri: 'ftp://x'}}\n  ami: {{host: h, user: u, secret: {{env: A}}}}\n"
        );
        let read = files::read::<AnySettings>("x.yaml", &text).unwrap();
        let told = read.value.problems(&read);
        let keys: Vec<String> = told.iter().map(|p| p.key.replace("asterisk.", "")).collect();
        let expected = [
            "attributes",
            "attributes[0].name",
            "attributes[0].from.variable",
            "attributes[1].from",
            "attributes[2].from.sip-header",
            "attributes[3].cap",
            "attributes[3].from.user-event.event",
            "attributes[3].from.user-event.header",
            "attributes[4].from.digits.end",
            "attributes[4].from.digits.max",
            "attributes[4].from.digits.gap_ms",
            "attributes[5].writable",
            "attributes[5].secret",
            "attributes[6].decode",
            "attributes[6].type.choice",
            "attributes[8].name",
            "recordings.variable",
            "recordings.uri",
        ];
        assert_eq!(keys, expected, "{told:#?}");
        let sip = told.iter().find(|p| p.key.ends_with("sip-header")).unwrap().to_string();
        assert!(sip.contains("x.yaml:7:") && sip.contains("PJSIP_HEADER"), "{sip}");
    }

    #[test]
    fn unknown_and_missing_keys_are_named_inside_the_kind() {
        let text = "asterisk:\n  id: pbx1\n  trunk: [PJSIP/trunk]\n";
        let lines: Vec<String> = files::read::<AnySettings>("x.yaml", text)
            .map(|_| ())
            .unwrap_err()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(lines.iter().any(|l| l.contains("the key \"trunks\" is missing")), "{lines:?}");
        assert!(lines.iter().any(|l| l.starts_with("x.yaml:3:3: asterisk.trunk: ")), "{lines:?}");
    }
}
