//! What of a mirrored SIP message matters to a call, taken out of it once: later nobody looks at the message again.
//!
//! Left out: everything that is no call (OPTIONS, SUBSCRIBE, PUBLISH, NOTIFY of other packages than refer), INFO and PRACK.

use core::net::IpAddr;

use crate::{
    numbers::trunks::Source,
    switches::sip::wire::{self, Address, Message},
    words::Wall,
};

use super::settings::Rules;

/// Vias of one message that are kept: more hops than any call makes (Max-Forwards begins at 70).
const PATH: usize = 32;
/// Longest text kept of a header: a User-to-User has some 128 octets, an X- header rarely a kilobyte.
const TEXT: usize = 4096;
/// Headers kept of one INVITE for attributes, in all.
const WANTED: usize = 64;
/// An id longer than this is no id: Call-ID, tags and branches are keys of tables.
const KEY: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    Invite,
    Ack,
    Bye,
    Cancel,
    Update,
    Refer,
    Notify,
    Register,
}

/// One message, as far as it matters.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Microseconds since 1970, put right for the agent's clock.
    pub micros: i64,
    pub source: Option<IpAddr>,
    pub target: Option<IpAddr>,
    /// Of the request, or of the request it answers.
    pub method: Method,
    /// Absent: a request.
    pub status: Option<u16>,
    pub call_id: String,
    pub cseq: u32,
    pub from: Side,
    pub to: Side,
    /// Branches of the Vias, the top one first: the way back, which every answer repeats.
    pub path: Vec<String>,
    /// The user of the Request-URI.
    pub user: Option<String>,
    /// `user@host:port` of it, and of the Contact: how a registration is found again.
    pub place: Option<String>,
    pub contact: Option<(String, String)>,
    pub media: Option<Media>,
    /// Seconds for which the session lasts without a refresh (RFC 4028, 4).
    pub session_s: Option<u32>,
    /// Why: the Reason header (RFC 3326).
    pub reason: Reason,
    pub more: Option<Box<More>>,
}

/// One side of From or To.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    pub user: Option<String>,
    pub name: Option<String>,
    pub tag: Option<String>,
}

/// Which way the sender of an SDP lets the sound go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    Open,
    /// `recvonly`: what one says to somebody who holds.
    Listens,
    /// `sendonly`, `inactive`, or the address 0.0.0.0 of older phones (RFC 3264, 8.4).
    Holds,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reason {
    pub q850: Option<u16>,
    pub sip: Option<u16>,
}

/// What only some requests have.
#[derive(Clone, Debug, Default)]
pub struct More {
    pub caller: Identity,
    /// Where the dialled number stands, each place with a number once.
    pub dialled: Vec<(Source, String)>,
    /// Wanted headers, with their values as they came.
    pub headers: Vec<(String, Vec<u8>)>,
    pub replaces: Option<Replaces>,
    pub referred_by: Option<String>,
    pub refer_to: Option<ReferTo>,
    /// The status in a sipfrag (RFC 3420).
    pub fragment: Option<u16>,
}

/// Who calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    pub number: Option<String>,
    pub name: Option<String>,
    /// Asked not to be shown.
    pub withheld: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaces {
    pub call_id: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferTo {
    pub user: Option<String>,
    pub replaces: Option<Replaces>,
}

impl Heard {
    #[must_use]
    pub fn at(&self) -> Wall {
        Wall(self.micros.div_euclid(1000))
    }

    /// Of a request outside a dialog, or an answer to one.
    #[must_use]
    pub fn top(&self) -> &str {
        self.path.first().map(String::as_str).unwrap_or_default()
    }

    /// Takes out of a message what matters; `None`: nothing.
    #[must_use]
    pub fn of(
        message: &Message,
        micros: i64,
        source: Option<IpAddr>,
        target: Option<IpAddr>,
        rules: &Rules,
    ) -> Option<Self> {
        let (cseq, called) = message.cseq();
        let status = message.status();
        // The method in CSeq is the request's own (RFC 3261, 8.1.1.5).
        let method = match message.method().unwrap_or(called) {
            "INVITE" => Method::Invite,
            "ACK" => Method::Ack,
            "BYE" => Method::Bye,
            "CANCEL" => Method::Cancel,
            "UPDATE" => Method::Update,
            "REFER" => Method::Refer,
            "NOTIFY" if status.is_none() && is_refer(message) => Method::Notify,
            "REGISTER" => Method::Register,
            _ => return None,
        };
        if message.call_id().len() > KEY {
            return None;
        }
        let begins = method == Method::Invite && status.is_none() && message.to().tag().is_none();
        let path = message.headers("Via").into_iter().take(PATH).map(branch).collect::<Option<Vec<String>>>()?;
        let uri = message.request_uri();
        Some(Self {
            micros,
            source,
            target,
            method,
            status,
            call_id: message.call_id().to_owned(),
            cseq,
            from: side(message.from())?,
            to: side(message.to())?,
            path,
            user: uri.and_then(|uri| text(uri.user())),
            place: uri.map(|uri| place(uri.user(), &uri.host, uri.port)),
            contact: contact(message),
            media: media(message),
            session_s: session(message),
            reason: reason(message),
            more: match method {
                Method::Invite if begins => Some(Box::new(beginning(message, source, rules))),
                Method::Refer if status.is_none() => {
                    Some(Box::new(More { refer_to: refer_to(message), ..asked(message) }))
                }
                Method::Notify => Some(Box::new(More { fragment: fragment(message.body()), ..More::default() })),
                _ => None,
            },
        })
    }
}

fn is_refer(message: &Message) -> bool {
    let event = message.header("Event").unwrap_or_default();
    event.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("refer")
}

fn branch(via: &str) -> Option<String> {
    let branch = wire::via(via)?.branch.unwrap_or_default();
    (branch.len() <= KEY).then_some(branch)
}

fn side(address: &Address) -> Option<Side> {
    let tag = address.tag().filter(|tag| !tag.is_empty());
    if tag.is_some_and(|tag| tag.len() > KEY) {
        return None;
    }
    Some(Side {
        user: text(address.uri.user()),
        name: address.display.as_deref().and_then(text),
        tag: tag.map(str::to_owned),
    })
}

fn text(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty() && text.len() <= TEXT).then(|| text.to_owned())
}

fn place(user: &str, host: &str, port: Option<u16>) -> String {
    format!("{user}@{host}:{}", port.unwrap_or(5060))
}

fn contact(message: &Message) -> Option<(String, String)> {
    let address = wire::address(message.header("Contact")?)?;
    let user = text(address.uri.user())?;
    let place = place(&user, &address.uri.host, address.uri.port);
    (place.len() <= KEY).then_some((user, place))
}

/// Less than 90 s is not allowed, and a day is no timer (RFC 4028, 4 and 5).
fn session(message: &Message) -> Option<u32> {
    let value = message.header("Session-Expires")?.split(';').next()?.trim();
    value.parse().ok().map(|seconds: u32| seconds.clamp(90, 86_400))
}

/// The first audio stream that is not refused decides; what stands before it holds for all (RFC 8866, 6.7; RFC 3264, 5.1).
fn media(message: &Message) -> Option<Media> {
    let kind = message.content_type()?;
    if !kind.to_ascii_lowercase().contains("sdp") && !kind.starts_with("multipart/") {
        return None;
    }
    let body = String::from_utf8_lossy(message.body());
    let (mut all, mut own, mut zero, mut inside) = (Media::Open, None, false, false);
    for line in body.lines().map(str::trim_end) {
        if let Some(stream) = line.strip_prefix("m=") {
            if inside {
                break;
            }
            inside = stream.strip_prefix("audio ").is_some_and(|rest| !rest.starts_with("0 "));
            continue;
        }
        let way = match line {
            "a=sendrecv" => Media::Open,
            "a=recvonly" => Media::Listens,
            "a=sendonly" | "a=inactive" => Media::Holds,
            "c=IN IP4 0.0.0.0" => {
                zero = true;
                continue;
            }
            _ => continue,
        };
        if inside { own = Some(way) } else { all = way }
    }
    if !inside {
        return None;
    }
    Some(if zero { Media::Holds } else { own.unwrap_or(all) })
}

fn reason(message: &Message) -> Reason {
    let mut found = Reason::default();
    for value in message.headers("Reason").into_iter().take(8) {
        let (protocol, rest) = value.split_once(';').unwrap_or((value, ""));
        let cause = rest.split(';').find_map(|p| p.trim().strip_prefix("cause=")?.trim().parse().ok());
        match protocol.trim() {
            p if p.eq_ignore_ascii_case("Q.850") => found.q850 = found.q850.or(cause.filter(|c| *c < 128)),
            p if p.eq_ignore_ascii_case("SIP") => found.sip = found.sip.or(cause),
            _ => {}
        }
    }
    found
}

/// What an INVITE says of who calls whom.
fn beginning(message: &Message, source: Option<IpAddr>, rules: &Rules) -> More {
    More {
        caller: identity(message, source.is_some_and(|ip| rules.trusts(ip))),
        dialled: dialled(message),
        headers: wanted(message, rules),
        replaces: message.header("Replaces").and_then(replaces),
        ..asked(message)
    }
}

fn asked(message: &Message) -> More {
    let by = message.header("Referred-By").and_then(wire::address);
    More { referred_by: by.and_then(|by| text(by.uri.user())), ..More::default() }
}

/// P-Asserted-Identity of a trusted peer, tel before sip (RFC 3325, 9.1), then Remote-Party-ID of one, then From.
fn identity(message: &Message, trusted: bool) -> Identity {
    let of = |address: &Address| Identity {
        number: text(address.uri.user()),
        name: address.display.as_deref().and_then(text),
        withheld: false,
    };
    let privacy = message.headers("Privacy");
    let mut asks = privacy.iter().flat_map(|p| p.split(';')).map(str::trim);
    let mut withheld = asks.any(|p| p.eq_ignore_ascii_case("id") || p.eq_ignore_ascii_case("user"));
    let mut known = None;
    if trusted {
        let asserted: Vec<Address> =
            message.headers("P-Asserted-Identity").into_iter().take(4).filter_map(wire::address).collect();
        let tel = asserted.iter().find(|a| &*a.uri.scheme == "tel").map(of);
        let sip = asserted.iter().find(|a| &*a.uri.scheme != "tel").map(of);
        known = match (tel, sip) {
            (Some(tel), sip) => Some(Identity { name: tel.name.clone().or(sip.and_then(|s| s.name)), ..tel }),
            (None, sip) => sip,
        };
        if let Some(remote) = message.header("Remote-Party-ID").and_then(wire::address) {
            let hidden = remote.params.get("privacy").unwrap_or_default();
            withheld |= hidden.eq_ignore_ascii_case("full") || hidden.eq_ignore_ascii_case("uri");
            known = known.or_else(|| Some(of(&remote)));
        }
    }
    let mut known = known.unwrap_or_else(|| of(message.from()));
    if known.name.is_none() {
        known.name = message.from().display.as_deref().and_then(text).filter(|name| !is_anonymous(name));
    }
    // RFC 3323, 4.1: who gives no number is called `anonymous` there.
    withheld |= known.number.as_deref().is_none_or(is_anonymous);
    if withheld { Identity { withheld: true, ..Identity::default() } } else { known }
}

fn is_anonymous(text: &str) -> bool {
    ["anonymous", "unknown", "unavailable", "restricted", "private"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// All places in which the dialled number may stand, each with its own number. Of History-Info the entry with the lowest index (RFC 7044, 10.1), of
/// Diversion the last, which is the oldest (RFC 5806, 4.1).
fn dialled(message: &Message) -> Vec<(Source, String)> {
    let user = |value: &str| wire::address(value).and_then(|a| text(a.uri.user()));
    let history = message.headers("History-Info").into_iter().take(32).filter_map(|value| {
        let entry = wire::address(value)?;
        let index: Vec<u32> = entry.params.get("index")?.split('.').take(16).map_while(|n| n.parse().ok()).collect();
        Some((index, text(entry.uri.user())?))
    });
    let diversion = message.headers("Diversion").into_iter().take(32).filter_map(user).next_back();
    [
        (Source::HistoryInfo, history.min().map(|(_, user)| user)),
        (Source::Diversion, diversion),
        (Source::PCalledPartyId, message.header("P-Called-Party-ID").and_then(user)),
        (Source::RequestUri, message.request_uri().and_then(|uri| text(uri.user()))),
        (Source::To, text(message.to().uri.user())),
    ]
    .into_iter()
    .filter_map(|(source, number)| Some((source, number?)))
    .collect()
}

/// Headers that the switch's file maps. Of several with one name the first counts.
fn wanted(message: &Message, rules: &Rules) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<(String, Vec<u8>)> = Vec::new();
    for (name, value) in message.all() {
        let wanted = rules.headers.iter().find(|wanted| wanted.eq_ignore_ascii_case(name));
        let Some(wanted) = wanted.filter(|w| value.len() <= TEXT && found.iter().all(|(known, _)| known != *w)) else {
            continue;
        };
        if found.len() >= WANTED {
            break;
        }
        let value = if wanted.eq_ignore_ascii_case("User-to-User") { user_to_user(value) } else { value.into() };
        found.push((wanted.clone(), value));
    }
    found
}

/// The data of a User-to-User header (RFC 7433, 4.1): hex unless it says otherwise; what is no hex stays as it came.
fn user_to_user(value: &str) -> Vec<u8> {
    let mut parts = value.split(';');
    let data = parts.next().unwrap_or_default().trim().trim_matches('"');
    let encoding = parts.find_map(|p| p.trim().strip_prefix("encoding=")).unwrap_or("hex");
    let bytes = data.as_bytes();
    let hex = encoding.eq_ignore_ascii_case("hex") && !bytes.is_empty() && bytes.len().is_multiple_of(2);
    let decoded = hex.then(|| {
        let digit = |b: &u8| char::from(*b).to_digit(16).and_then(|d| u8::try_from(d).ok());
        bytes
            .chunks_exact(2)
            .map(|pair| match pair {
                [high, low] => Some(digit(high)? << 4 | digit(low)?),
                _ => None,
            })
            .collect::<Option<Vec<u8>>>()
    });
    decoded.flatten().unwrap_or_else(|| bytes.to_vec())
}

fn replaces(value: &str) -> Option<Replaces> {
    let call_id = value.split(';').next()?.trim();
    (!call_id.is_empty() && call_id.len() <= KEY).then(|| Replaces { call_id: call_id.to_owned() })
}

/// `<sip:1002@pbx.lab?Replaces=...%3Bto-tag%3D...>` (RFC 3515, RFC 3891).
fn refer_to(message: &Message) -> Option<ReferTo> {
    let target = wire::address(message.header("Refer-To")?)?;
    let header = target.uri.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("Replaces"));
    Some(ReferTo { user: text(target.uri.user()), replaces: header.and_then(|(_, value)| replaces(value)) })
}

fn fragment(body: &[u8]) -> Option<u16> {
    let line = body.split(|b| *b == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?.trim();
    line.strip_prefix("SIP/2.0 ")?.split(' ').next()?.parse().ok()
}
