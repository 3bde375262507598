//! How mirrored signalling is to be read: which users are our own, whose word counts, which headers are wanted.

use core::net::{IpAddr, SocketAddr};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    calls::{Attributes, attributes::Source},
    files::{Net, SecretRef},
    private::Secret,
    switches::{inside::Inside, pairs::Pairing},
};

/// The endpoint of everybody outside whose trunk has no name.
pub const TRUNK: &str = "SIP/trunk";

/// Where a switch, or a capture agent beside it, mirrors its signalling to (HEP version 3, UDP and TCP).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Address and port on this machine. Custom is 9060.
    pub listen: SocketAddr,
    /// Who may send: addresses and networks. Others are counted and heard by nobody.
    pub from: Vec<String>,
    /// The agents' key (HEP chunk 14); absent: none is asked for. It is clear text on the wire.
    #[serde(default)]
    pub key: Option<SecretRef>,
    /// Whose P-Asserted-Identity and Remote-Party-ID are believed.
    #[serde(default)]
    pub trusted: Vec<String>,
    /// Carriers and other peers outside, by their addresses; whoever else is outside is `SIP/trunk`.
    #[serde(default)]
    pub trunks: Vec<Peer>,
    /// A call that is talked in and has no session timer is taken for lost when nothing was heard of it for so many minutes.
    #[serde(default = "silence")]
    pub silence_min: u32,
}

const fn silence() -> u32 {
    720
}

/// One peer outside.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Rows of `trunks.yaml` know it as `SIP/` and this name.
    pub name: String,
    /// Its addresses and networks.
    pub at: Vec<String>,
}

/// The same, read.
#[derive(Clone, Debug)]
pub struct Door {
    pub listen: SocketAddr,
    pub from: Vec<Net>,
    pub key: Option<Secret>,
}

impl Door {
    #[must_use]
    pub fn lets(&self, ip: IpAddr) -> bool {
        self.from.iter().any(|net| net.has(ip))
    }
}

impl Settings {
    /// What cannot be meant: key, what was found, what would be right.
    #[must_use]
    pub fn wrong(&self) -> Vec<(String, &'static str, &'static str)> {
        let mut out = Vec::new();
        let trunks = self.trunks.iter().enumerate().map(|(i, trunk)| (format!("trunks[{i}].at"), &trunk.at));
        let lists = [("from".to_owned(), &self.from), ("trusted".to_owned(), &self.trusted)];
        for (key, list) in lists.into_iter().chain(trunks) {
            for (i, text) in list.iter().enumerate() {
                if let Err(wanted) = Net::read(text) {
                    out.push((format!("{key}[{i}]"), "this is no address", wanted));
                }
            }
        }
        for (i, trunk) in self.trunks.iter().enumerate() {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
            if trunk.name.is_empty() || !trunk.name.bytes().all(plain) {
                let wanted = "letters, digits, \"-\", \"_\" and \".\"";
                out.push((format!("trunks[{i}].name"), "this is no name of a trunk", wanted));
            }
            if trunk.at.is_empty() {
                out.push((
                    format!("trunks[{i}].at"),
                    "the list is empty",
                    "its addresses, for example [\"192.0.2.10\"]",
                ));
            }
        }
        if !(5..=10_080).contains(&self.silence_min) {
            out.push(("silence_min".to_owned(), "too short or too long", "5 to 10080: minutes, a week at most"));
        }
        if self.from.is_empty() {
            out.push((
                "from".to_owned(),
                "nobody may send",
                "the addresses of those who mirror, for example [\"192.0.2.10\"]",
            ));
        }
        out
    }

    /// # Errors
    /// The key cannot be had.
    pub fn door(&self) -> Result<Door, String> {
        let key = self.key.as_ref().map(SecretRef::resolve).transpose()?;
        Ok(Door { listen: self.listen, from: nets(&self.from), key })
    }

    /// `inside` and `attributes` are the switch's, `pairing` is what it is to another switch.
    #[must_use]
    pub fn rules(&self, inside: Inside, attributes: &Attributes, pairing: &Pairing) -> Rules {
        let trunk = |peer: &Peer| Trunk { name: peer.name.clone(), at: nets(&peer.at) };
        let mut rules = Rules::plain(inside, attributes);
        rules.want(&pairing.headers);
        Rules {
            trusted: nets(&self.trusted),
            trunks: self.trunks.iter().map(trunk).collect(),
            closed: pairing.edge && !self.trunks.is_empty(),
            silence_ms: Some(u64::from(self.silence_min) * 60_000),
            ..rules
        }
    }

    /// What legs outside are called: at the trunks that have a name, and at all others.
    #[must_use]
    pub fn endpoints(&self) -> Vec<String> {
        let named = self.trunks.iter().map(|trunk| format!("SIP/{}", trunk.name));
        std::iter::once(TRUNK.to_owned()).chain(named).collect()
    }
}

fn nets(list: &[String]) -> Vec<Net> {
    list.iter().filter_map(|text| Net::read(text).ok()).collect()
}

/// What the reader of one switch's mirrored signalling is told.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Who is one of us.
    pub inside: Inside,
    /// Peers outside. Who is neither internal nor one of these is `trunk`.
    pub trunks: Vec<Trunk>,
    /// Whose P-Asserted-Identity and Remote-Party-ID are believed.
    pub trusted: Vec<Net>,
    /// Headers of the first INVITE that attributes are mapped from, or calls of two switches are joined by.
    pub headers: Vec<String>,
    /// Whoever does not call from a trunk calls from inside: an edge's trunks are all there are.
    pub closed: bool,
    /// How long a call that is talked in may be silent; absent: half a day.
    pub silence_ms: Option<u64>,
}

/// A peer outside, by its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trunk {
    /// As the trunks' table and `trunks:` of the switch's file name it.
    pub name: String,
    pub at: Vec<Net>,
}

impl Rules {
    /// The trunk that has this address, if one is named for it.
    #[must_use]
    pub fn trunk_at(&self, ip: IpAddr) -> Option<&str> {
        self.trunks.iter().find(|t| t.at.iter().any(|net| net.has(ip))).map(|t| t.name.as_str())
    }

    #[must_use]
    pub fn trusts(&self, ip: IpAddr) -> bool {
        self.trusted.iter().any(|net| net.has(ip))
    }

    /// Where no `hep` section says more.
    #[must_use]
    pub fn plain(inside: Inside, attributes: &Attributes) -> Self {
        let mut rules = Self { inside, ..Self::default() };
        let mapped = attributes.list.iter().filter_map(|mapping| match &mapping.from {
            Some(Source::SipHeader(name)) => Some(name),
            _ => None,
        });
        rules.want(mapped);
        rules
    }

    fn want<'a>(&mut self, headers: impl IntoIterator<Item = &'a String>) {
        for name in headers {
            if self.headers.iter().all(|known| !known.eq_ignore_ascii_case(name)) {
                self.headers.push(name.clone());
            }
        }
    }
}
