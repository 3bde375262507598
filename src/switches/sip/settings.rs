//! What a file in `config/switches/` says of a SIP switch.

// An address as a value: nothing is opened.
use core::net::SocketAddr;
use std::{collections::BTreeSet, sync::Arc};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    calls::{
        Attributes, Directory,
        attributes::{Mapping, Source},
        command::{Deed, Dial, Failure},
        directory::Device,
        edges::Join,
        seats::Places,
    },
    files::{Problem, Read, SecretRef},
    numbers::{DialOut, OutRule, Plan},
    switches::{
        Settings as AnySettings, Tls, attributes,
        dialled::{is_number, is_request},
        hep::{self, TRUNK},
        inside::Inside,
        pairs::Pairing,
        unknown_trunks,
    },
    words::{SwitchId, TenantId},
};

use super::{
    client::{self, Credentials, Server, Transport, refer::Wish},
    translate::Ours,
    wire,
};

/// One SIP switch: a proxy or a PBX whose dialog events are subscribed to. Several edges are several files.
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
    /// Numbers of our own people; `X` stands for a digit (`100X`), `*` for any text. Whoever is neither internal nor an agent's device is outside.
    #[serde(default)]
    pub internal: Vec<String>,
    /// What stands behind the @ of the addresses that are watched: `pbx.example.com`.
    pub domain: String,
    /// `edge`: a proxy or SBC before a PBX, whose calls are the PBX's too.
    #[serde(default)]
    pub role: Role,
    /// Of an edge: the switch that it stands before.
    #[serde(default)]
    pub before: Option<SwitchId>,
    /// Of an edge: by what its calls are found among that switch's; the first that does counts.
    #[serde(default = "joins")]
    pub joins: Vec<Join>,
    #[serde(skip)]
    pub pairing: Pairing,
    /// Where SUBSCRIBE goes; absent: nobody is subscribed to, and `hep` tells of the calls.
    #[serde(default)]
    pub server: Option<ServerSettings>,
    /// Who watches: the user part at `domain`, and the user of the digest.
    #[serde(default = "user")]
    pub user: String,
    /// Mirrored signalling of the same switch: it tells what dialog events do not (hold, who ended it, transfers for certain).
    #[serde(default)]
    pub hep: Option<hep::Settings>,
    /// What is kept of a call besides the call: headers of its first INVITE (`sip-header`), which `hep` shows, and what agents write.
    #[serde(default)]
    pub attributes: Vec<Mapping>,
    /// Absent: nobody is given a password, whoever asks.
    #[serde(default)]
    pub secret: Option<SecretRef>,
    /// The only realm that is given our credentials; default: `domain`.
    #[serde(default)]
    pub realm: Option<String>,
    /// Watched besides the devices that `agents.yaml` names at this switch: numbers and users at `domain`, or whole SIP addresses (a DID, a queue).
    #[serde(default)]
    pub watch: Vec<String>,
    /// Addresses of resource lists (RFC 4662): each tells of all its members in one subscription.
    #[serde(default)]
    pub lists: Vec<String>,
    /// Where the switch offers the reg package (RFC 3680): each device is watched for whether a phone is registered there, in a subscription of its own.
    #[serde(default)]
    pub registrations: bool,
    /// Click-to-dial; absent: nobody is called here.
    #[serde(default)]
    pub dial: Option<DialSettings>,
    /// How long a subscription is asked for, in seconds.
    #[serde(default = "expires")]
    pub expires_s: u32,
    /// SUBSCRIBEs begun in a second, and under way at once: at a start thousands are due.
    #[serde(default = "pace")]
    pub starts_a_second: u32,
    #[serde(default = "pace")]
    pub in_flight: u32,
}

/// How an agent's call is placed: the agent's phone is told to call (REFER outside of a dialog, RFC 3515; RFC 5359 section 2.19).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DialSettings {
    /// How numbers are written for the phone to dial; the first rule that takes a number counts. Empty: as they were typed, with 00 for a plus.
    pub out: Vec<OutRule>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// A name or an IP address.
    pub host: String,
    /// Given: no SRV record is asked for. Default: what SRV says, else 5060, 5061 with tls, 80 with ws, 443 with wss.
    #[serde(default)]
    pub port: Option<u16>,
    #[serde(default)]
    pub transport: TransportName,
    /// Whom to trust with `tls` and `wss`; absent: the system's authorities.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// Of `ws` and `wss`.
    #[serde(default = "path")]
    pub path: String,
    /// The name server to ask, address and port; absent: the system's (`/etc/resolv.conf`).
    #[serde(default)]
    pub dns: Option<String>,
}

impl ServerSettings {
    /// # Errors
    /// It is no address with a port.
    pub fn name_server(&self) -> Result<Option<SocketAddr>, &'static str> {
        let parsed = self.dns.as_deref().map(|text| text.parse().map_err(|_| "this is no address with a port"));
        parsed.transpose()
    }
}

/// What is watched, by its address. Calls come first: in this order they are subscribed to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Watched {
    /// The calls of a device, or of whatever the switch shows.
    Dialogs(String),
    /// The calls of a list's members (RFC 4662).
    List(String),
    /// Where a device is registered (RFC 3680).
    Registrations(String),
}

/// What a SIP switch is to the customer's calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Its calls are calls.
    #[default]
    Pbx,
    Edge,
}

/// RFC 3261, 18 and RFC 7118.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TransportName {
    #[default]
    Udp,
    Tcp,
    Tls,
    Ws,
    Wss,
    /// What the domain offers, in its order: udp, tcp or tls (RFC 3263, 4.1).
    Auto,
}

impl TransportName {
    /// `None`: the domain's NAPTR records decide.
    #[must_use]
    pub const fn transport(self) -> Option<Transport> {
        match self {
            Self::Auto => None,
            Self::Udp => Some(Transport::Udp),
            Self::Tcp => Some(Transport::Tcp),
            Self::Tls => Some(Transport::Tls),
            Self::Ws => Some(Transport::Ws),
            Self::Wss => Some(Transport::Wss),
        }
    }
}

impl Settings {
    #[must_use]
    pub fn plan(&self) -> Plan {
        Plan::new(&self.country, self.area.as_deref())
    }

    /// What the book reads names of legs by: everybody outside is at [`TRUNK`], or at a trunk that `hep` knows by its addresses.
    #[must_use]
    pub fn trunks(&self) -> Vec<String> {
        self.hep.as_ref().map_or_else(|| vec![TRUNK.to_owned()], hep::Settings::endpoints)
    }

    /// What the book is to keep, for it and for the mirror's reader.
    #[must_use]
    pub fn declared(&self) -> Attributes {
        Attributes { list: self.attributes.clone(), recordings: None }
    }

    #[must_use]
    pub fn ours(&self, directory: Arc<Directory>) -> Ours {
        Ours { inside: self.inside(directory), plan: self.plan(), trunk: TRUNK.to_owned() }
    }

    /// Who is one of us here.
    #[must_use]
    pub fn inside(&self, directory: Arc<Directory>) -> Inside {
        Inside { switch: self.id.clone(), technology: "SIP", directory, internal: self.internal.clone() }
    }

    /// What the client machine needs to know.
    ///
    /// # Errors
    /// The secret cannot be had.
    pub fn client(&self, server: &ServerSettings) -> Result<client::Settings, String> {
        let credentials = match &self.secret {
            Some(secret) => Some(Credentials {
                user: self.user.clone(),
                realm: self.realm.clone().unwrap_or_else(|| self.domain.clone()),
                password: secret.resolve()?,
            }),
            None => None,
        };
        Ok(client::Settings {
            server: Server { host: server.host.clone(), port: server.port, transport: server.transport.transport() },
            identity: self.uri(&self.user),
            credentials,
            expires_s: self.expires_s,
            starts_a_second: self.starts_a_second,
            in_flight: self.in_flight,
            agent: format!("Linecard/{}", env!("CARGO_PKG_VERSION")),
        })
    }

    /// All that is to be watched now: agents' devices and taken seats here, and what the file names.
    #[must_use]
    pub fn watched(&self, places: &Places) -> BTreeSet<Watched> {
        let taken = places.taken.iter().filter(|(switch, _)| *switch == self.id);
        let mut devices: BTreeSet<String> = taken.filter_map(|(_, device)| self.device(device)).collect();
        for agent in places.directory.agents().filter(|agent| agent.tenant == self.tenant) {
            devices.extend(agent.devices.iter().filter_map(|device| match device {
                Device::At { switch, name } if switch.as_ref().is_none_or(|at| *at == self.id) => self.device(name),
                _ => None,
            }));
        }
        let mut all: BTreeSet<Watched> = self.lists.iter().map(|list| Watched::List(self.uri(list))).collect();
        all.extend(self.watch.iter().map(|name| Watched::Dialogs(self.uri(name))));
        if self.registrations {
            all.extend(devices.iter().cloned().map(Watched::Registrations));
        }
        all.extend(devices.into_iter().map(Watched::Dialogs));
        all
    }

    /// `1001` and `SIP/1001` are devices here, `PJSIP/1001` is another switch's.
    fn device(&self, name: &str) -> Option<String> {
        let user = match name.split_once('/') {
            Some((technology, user)) => technology.eq_ignore_ascii_case("sip").then_some(user)?,
            None => name,
        };
        Some(self.uri(user))
    }

    /// What the phone of a device is told to do, and whose it is.
    ///
    /// # Errors
    /// Why it cannot be asked.
    pub fn wish(&self, dial: &Dial) -> Result<(Wish, String), Failure> {
        if self.dial.is_none() || self.server.is_none() {
            return Err(Failure::UnavailableHere);
        }
        let uri = self.device(&dial.device).ok_or(Failure::UnknownTarget)?;
        let number = dial.number.expose();
        let user = wire::uri(&uri).and_then(|uri| uri.user).ok_or(Failure::UnknownTarget)?;
        if !is_number(number) || !is_request(&dial.request) {
            return Err(Failure::UnknownTarget);
        }
        // `#` is no character of a user part (RFC 3261 section 25.1).
        let to = format!("sip:{}@{}", number.replace('#', "%23"), self.domain);
        Ok((Wish { request: dial.request.0.clone(), uri, to }, user))
    }

    /// What this file does not set up.
    #[must_use]
    pub const fn lacks(&self, deed: Deed) -> Option<&'static str> {
        match deed {
            Deed::Dial if self.server.is_none() => Some("who only mirrors tells no phone to call"),
            Deed::Dial if self.dial.is_none() => Some("the switch's file has no \"dial\""),
            _ => None,
        }
    }

    fn uri(&self, name: &str) -> String {
        match name.starts_with("sip:") || name.starts_with("sips:") {
            true => name.to_owned(),
            false => format!("sip:{name}@{}", self.domain),
        }
    }

    /// What the shape of the file cannot say.
    #[must_use]
    pub fn problems(&self, read: &Read<AnySettings>) -> Vec<Problem> {
        let mut out = Vec::new();
        let not_told = |source: &Source| match source {
            Source::SipHeader(_) if self.hep.is_some() => None,
            Source::SipHeader(_) => {
                Some(("dialog events tell no headers", "a \"hep\" section: mirrored signalling shows them"))
            }
            _ => Some((
                "a SIP switch tells none of this",
                "from: {sip-header: X-NAME}, or no \"from\" and writable: true or flows: true",
            )),
        };
        attributes::problems(&self.attributes, "sip.attributes", not_told, &mut |key, found, wanted| {
            out.push(read.problem(key, found, wanted));
        });
        let mut wrong = |key: &str, found: &str, wanted: &str| out.push(read.problem(key, found.to_owned(), wanted));
        let id = self.id.as_str();
        if id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
            wrong("sip.id", "this is no id", "letters, digits, \"-\", \"_\" and \".\"");
        }
        if wire::uri(&self.uri(&self.user)).is_none() {
            wrong(
                "sip.user",
                "this and the domain make no SIP address",
                "for example user: linecard, domain: pbx.example.com",
            );
        }
        for (key, list) in [("watch", &self.watch), ("lists", &self.lists)] {
            for (i, name) in list.iter().enumerate() {
                if wire::uri(&self.uri(name)).is_none() {
                    wrong(
                        &format!("sip.{key}[{i}]"),
                        "this is no SIP address",
                        "a number, a user's name, or sip:NAME@DOMAIN",
                    );
                }
            }
        }
        if let Some(dial) = &self.dial {
            let rules = DialOut::new(&dial.out, &self.plan()).err().into_iter().flatten();
            for (key, found, wanted) in rules.chain(unknown_trunks(&dial.out, &self.trunks())) {
                wrong(&format!("sip.dial.out{key}"), &found, wanted);
            }
            if self.server.is_none() || matches!(self.role, Role::Edge) {
                wrong(
                    "sip.dial",
                    "no phone can be told from here",
                    "only with a \"server\", and not at an edge: its PBX dials",
                );
            }
        }
        if self.server.is_none() && self.hep.is_none() {
            wrong("sip", "there is neither \"server\" nor \"hep\"", "add one of them, or both");
        }
        for (key, found, wanted) in self.hep.iter().flat_map(hep::Settings::wrong) {
            wrong(&format!("sip.hep.{key}"), found, wanted);
        }
        if let Some(server) = &self.server {
            if !server.path.starts_with('/') || server.path.bytes().any(|b| b <= b' ' || b == 0x7f) {
                wrong("sip.server.path", "this is no path", "it begins with \"/\" and has no blanks");
            }
            if server.tls.is_some()
                && !matches!(server.transport, TransportName::Tls | TransportName::Wss | TransportName::Auto)
            {
                wrong("sip.server.tls", "this transport has no TLS", "transport: tls, wss or auto, or no \"tls\"");
            }
            if let Err(found) = server.name_server() {
                wrong("sip.server.dns", found, "for example 192.0.2.53:53");
            }
        }
        if !(10..=86_400).contains(&self.expires_s) {
            wrong("sip.expires_s", "too short or too long", "10 to 86400");
        }
        for (key, n) in [("starts_a_second", self.starts_a_second), ("in_flight", self.in_flight)] {
            if !(1..=1_000).contains(&n) {
                wrong(&format!("sip.{key}"), "too few or too many", "1 to 1000");
            }
        }
        out
    }
}

/// A proxy keeps the Call-ID. The number comes last: it only tells who called, and when.
fn joins() -> Vec<Join> {
    vec![Join::CallId, Join::SessionId, Join::NumberAndTime]
}
fn user() -> String {
    "linecard".to_owned()
}
fn path() -> String {
    "/".to_owned()
}
const fn expires() -> u32 {
    600
}
const fn pace() -> u32 {
    50
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    const EXAMPLE: &str = include_str!("../../../config/switches/sip.yaml");

    fn sip(text: &str) -> Settings {
        match files::read::<AnySettings>("sip.yaml", text).unwrap().value {
            AnySettings::Sip(settings) => settings,
            AnySettings::Asterisk(_) | AnySettings::FreeSwitch(_) => panic!("this is no SIP switch"),
        }
    }

    #[test]
    fn the_example_file_is_good_and_says_every_default() {
        let read = files::read::<AnySettings>("sip.yaml", EXAMPLE).unwrap();
        assert_eq!(read.value.problems(&read), []);
        let schema = schemars::schema_for!(Settings);
        for key in schema.get("properties").and_then(|p| p.as_object()).unwrap().keys() {
            let there = |before: &str| EXAMPLE.contains(&format!("\n  {before}{key}:"));
            assert!(there("") || there("# "), "{key} is not in config/switches/sip.yaml");
        }
        let bare = "sip: {id: edge1, domain: pbx.example.com, server: {host: 127.0.0.1}}";
        let (mut example, bare) = (sip(EXAMPLE), sip(bare));
        // What has no default of ours is an example there.
        (example.area, example.internal, example.secret, example.realm) = (None, Vec::new(), None, None);
        (example.watch, example.lists, example.hep, example.attributes) = (Vec::new(), Vec::new(), None, Vec::new());
        example.dial = None;
        example.server.as_mut().unwrap().port = None;
        assert_eq!(example, bare);
    }

    #[test]
    fn what_the_mirror_shows_is_kept_by_the_book() {
        let sip = sip(EXAMPLE);
        assert_eq!(sip.trunks(), ["SIP/trunk", "SIP/carrier1"]);
        let rules = sip.hep.as_ref().unwrap().rules(sip.inside(Arc::default()), &sip.declared(), &sip.pairing);
        assert_eq!(rules.headers, ["X-Account", "User-to-User"]);
        assert_eq!(rules.trunk_at("192.0.2.100".parse().unwrap()), Some("carrier1"));
        // Dialog events alone show no headers.
        let text = "sip: {id: e, domain: d, server: {host: h}, attributes: [{name: a, from: {sip-header: X-A}}]}";
        let read = files::read::<AnySettings>("sip.yaml", text).unwrap();
        let problems = read.value.problems(&read);
        assert_eq!(problems.iter().map(|p| p.key.as_str()).collect::<Vec<_>>(), ["sip.attributes[0].from.sip-header"]);
        assert!(problems[0].wanted.contains("hep"), "{problems:?}");
    }

    #[test]
    fn whom_to_watch_is_whoever_sits_here() {
        let agents = "agents:\n  - {id: a, devices: [\"1001\", SIP/1002, PJSIP/1003]}\n  - {id: b, devices: [{edge1: \"1004\"}, {other: \"1005\"}]}\n  - {id: c, tenant: elsewhere, devices: [\"1006\"]}\n";
        let seat = |switch: &str, device: &str| (switch.into(), device.to_owned());
        let taken = [seat("edge1", "SIP/2001"), seat("other", "SIP/2002")].into();
        let places =
            Places { directory: Directory::of(files::read("agents.yaml", agents).unwrap().value).into(), taken };
        let at = |user: &str| format!("sip:{user}@pbx.example.com");
        let mut dialogs: Vec<Watched> =
            ["+862161234567", "1001", "1002", "1004", "2001"].map(at).map(Watched::Dialogs).into();
        dialogs.push(Watched::List(at("all")));
        let mut settings = sip(EXAMPLE);
        assert_eq!(settings.watched(&places).into_iter().collect::<Vec<_>>(), dialogs);
        // A number or a list is no phone that registers.
        settings.registrations = true;
        let devices = ["1001", "1002", "1004", "2001"].map(at).map(Watched::Registrations);
        assert_eq!(settings.watched(&places).into_iter().collect::<Vec<_>>(), [dialogs, devices.into()].concat());
    }

    #[test]
    fn what_cannot_be_meant_is_told() {
        for (good, bad, key) in [
            ("id: edge1", "id: \"edge 1\"", "sip.id"),
            ("path: /", "path: x", "sip.server.path"),
            ("expires_s: 600", "expires_s: 5", "sip.expires_s"),
            ("in_flight: 50", "in_flight: 0", "sip.in_flight"),
            ("watch: [\"+862161234567\"]", "watch: [\"a b\"]", "sip.watch[0]"),
            ("192.0.2.64/26", "192.0.2.64/36", "sip.hep.trunks[0].at[1]"),
            ("{name: carrier1,", "{name: \"carrier 1\",", "sip.hep.trunks[0].name"),
            ("sip-header: X-Account", "variable: ACCOUNT", "sip.attributes[0].from.variable"),
            ("sip-header: X-Account", "sip-header: \"X Account\"", "sip.attributes[0].from.sip-header"),
            ("    path: /", "    tls: {}\n    path: /", "sip.server.tls"),
            ("    path: /", "    dns: nowhere\n    path: /", "sip.server.dns"),
            ("dial: {out: []}", "dial: {out: [{trunk: SIP/other}]}", "sip.dial.out[0].trunk"),
        ] {
            assert!(EXAMPLE.contains(good), "{good}");
            let read = files::read::<AnySettings>("sip.yaml", &EXAMPLE.replacen(good, bad, 1)).unwrap();
            let problems = read.value.problems(&read);
            assert!(problems.len() == 1 && problems[0].key == key, "{bad}: {problems:?}");
        }
    }
}
