//! One SIP message, read and written. The only file that names rsip.
//!
//! rsip 0.4 is the message model (its headers, kept in order), the builder and the digest helper. Its own parser stays unused: it cannot read
//! six of thirteen valid messages of RFC 4475, IPv6 hosts or folded lines, its list of methods is closed, and it would take a message apart
//! twice. So `normal.rs` makes the head plain, `value.rs` reads addresses, and what a message must have is checked here, once.
//!
//! A message that cannot be read is a [`Refusal`]: the status owed and why. What a readable message may still do wrong is `verdict.rs`.

use std::fmt::{self, Write as _};

use rsip::{Header, Headers, headers::UntypedHeader as _};

use super::normal;
pub use super::value::{Address, Params, Uri, Via, address, list, token_and_params, uri, via};

/// One message, well-formed: it has a start line, Via, From, To, Call-ID and CSeq that could be read.
#[derive(Clone)]
pub struct Message {
    start: Start,
    version: Box<str>,
    headers: Headers,
    from: Address,
    to: Address,
    via: Via,
    cseq: (u32, Box<str>),
    body: Vec<u8>,
}

#[derive(Clone)]
enum Start {
    Request { method: Box<str>, uri: Uri },
    Response { status: u16, reason: Box<str> },
}

/// Why a message cannot be read. No status: nothing is answered (a response, an ACK, bytes that are no SIP).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: Option<u16>,
    pub reason: String,
}

/// Whether Content-Length counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Length {
    /// Datagrams and streams (RFC 3261, 18.3).
    Counts,
    /// A WebSocket message has its own length (RFC 7118, 5.2).
    Ignored,
}

/// Reads the bytes of one datagram, or of one message that `frame.rs` cut from a stream. What is behind Content-Length is ignored.
pub fn read(bytes: &[u8]) -> Result<Message, Refusal> {
    message(bytes, Length::Counts)
}

/// Reads one WebSocket message: Content-Length is not looked at.
pub fn read_websocket(bytes: &[u8]) -> Result<Message, Refusal> {
    message(bytes, Length::Ignored)
}

impl Message {
    /// Of a request.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        match &self.start {
            Start::Request { method, .. } => Some(method),
            Start::Response { .. } => None,
        }
    }

    #[must_use]
    pub fn request_uri(&self) -> Option<&Uri> {
        match &self.start {
            Start::Request { uri, .. } => Some(uri),
            Start::Response { .. } => None,
        }
    }

    /// Of a response.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match &self.start {
            Start::Request { .. } => None,
            Start::Response { status, .. } => Some(*status),
        }
    }

    /// The words behind the status.
    #[must_use]
    pub fn reason(&self) -> &str {
        match &self.start {
            Start::Request { .. } => "",
            Start::Response { reason, .. } => reason,
        }
    }

    /// `SIP/2.0`, or what stands there.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The first value, trimmed. Names in any case.
    #[must_use]
    pub fn header<'a>(&'a self, name: &str) -> Option<&'a str> {
        let name = normal::usual(name).unwrap_or(name);
        let value = self.lines(name).next()?;
        if is_single(name) || !value.contains(',') { Some(value) } else { list(value).first().copied() }
    }

    /// All values; comma lists are split where the header is one.
    #[must_use]
    pub fn headers<'a>(&'a self, name: &str) -> Vec<&'a str> {
        let name = normal::usual(name).unwrap_or(name);
        if is_single(name) { self.lines(name).collect() } else { self.lines(name).flat_map(list).collect() }
    }

    /// All headers in order, a line each; compact names are long.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(parts)
    }

    #[must_use]
    pub fn call_id(&self) -> &str {
        self.lines("Call-ID").next().unwrap_or_default()
    }

    #[must_use]
    pub fn cseq(&self) -> (u32, &str) {
        (self.cseq.0, &self.cseq.1)
    }

    #[must_use]
    pub fn from(&self) -> &Address {
        &self.from
    }

    #[must_use]
    pub fn to(&self) -> &Address {
        &self.to
    }

    /// The top one.
    #[must_use]
    pub fn via(&self) -> &Via {
        &self.via
    }

    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.header("Content-Type")
    }

    fn lines<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.all().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// What it is, and no word of what it says: numbers and names are people's.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.start {
            Start::Request { method, .. } => write!(f, "Message({method}, {} bytes of body)", self.body.len()),
            Start::Response { status, .. } => write!(f, "Message({status} to {})", self.cseq.1),
        }
    }
}

fn message(bytes: &[u8], length: Length) -> Result<Message, Refusal> {
    let head = normal::head(bytes).map_err(|why| owed(first_line(bytes).trim_start(), 400, why))?;
    let start = head.start.trim_end();
    let wrong = |why: &str| owed(start, 400, why);
    let (parsed, version) = start_line(start)?;

    let one = |name: &str, missing: &str, twice: &str| {
        let mut all = head.fields.iter().filter(|f| f.name == name).map(|f| &*f.value);
        match (all.next(), all.next()) {
            (Some(value), None) => Ok(value),
            (None, _) => Err(wrong(missing)),
            (Some(_), Some(_)) => Err(wrong(twice)),
        }
    };
    let from = address(one("From", "no From", "two From")?).ok_or_else(|| wrong("From is not one address"))?;
    let to = address(one("To", "no To", "two To")?).ok_or_else(|| wrong("To is not one address"))?;
    if one("Call-ID", "no Call-ID", "two Call-ID")?.is_empty() {
        return Err(wrong("an empty Call-ID"));
    }
    let cseq = one("CSeq", "no CSeq", "two CSeq")?;
    let cseq = cseq_of(cseq).ok_or_else(|| wrong("CSeq is not a number of 32 bits and a method"))?;
    let mut top = None;
    for text in head.fields.iter().filter(|f| f.name == "Via").flat_map(|f| list(&f.value)) {
        let via = via(text).ok_or_else(|| wrong("a Via that cannot be read"))?;
        top.get_or_insert(via);
    }
    let via = top.ok_or_else(|| wrong("no Via"))?;

    let body = match length {
        Length::Ignored => head.rest,
        Length::Counts => {
            let mut stated = None;
            for field in head.fields.iter().filter(|f| f.name == "Content-Length") {
                let digits = !field.value.is_empty() && field.value.bytes().all(|b| b.is_ascii_digit());
                let value = field.value.parse::<usize>().ok().filter(|_| digits);
                let value = value.ok_or_else(|| wrong("Content-Length is no length"))?;
                if stated.is_some_and(|before| before != value) {
                    return Err(wrong("two Content-Length that differ"));
                }
                stated = Some(value);
            }
            match stated {
                None => head.rest,
                Some(n) if n < head.rest.len() && head.bare => {
                    return Err(wrong("line ends were changed on the way and Content-Length does not fit"));
                }
                Some(n) => head.rest.get(..n).ok_or_else(|| wrong("shorter than Content-Length"))?,
            }
        }
    };
    Ok(Message {
        start: parsed,
        version,
        from,
        to,
        via,
        cseq,
        body: body.to_vec(),
        headers: head.fields.into_iter().map(|f| model(&f.name, f.value.into_owned())).collect::<Vec<_>>().into(),
    })
}

/// Spaces at the end of the line, and several between its parts, are tolerated (RFC 4475, 3.1.2.9 and 3.1.2.10 leave the choice).
fn start_line(line: &str) -> Result<(Start, Box<str>), Refusal> {
    if line.get(..4).is_some_and(|p| p.eq_ignore_ascii_case("SIP/")) {
        let mut words = line.splitn(3, ' ');
        let (version, code, reason) = (words.next(), words.next(), words.next());
        let status = code
            .filter(|c| c.len() == 3 && c.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|c| c.parse::<u16>().ok())
            .filter(|status| (100..700).contains(status))
            .ok_or_else(|| owed(line, 400, "a response without a status of three digits"))?;
        let start = Start::Response { status, reason: reason.unwrap_or_default().trim().into() };
        return Ok((start, version.unwrap_or_default().into()));
    }
    let words: Vec<&str> = line.split([' ', '\t']).filter(|w| !w.is_empty()).take(4).collect();
    let [method, target, version] = words.as_slice() else {
        return Err(owed(line, 400, "the first line is not METHOD URI SIP/2.0"));
    };
    let numbers = version.get(..4).filter(|p| p.eq_ignore_ascii_case("SIP/")).and_then(|_| version.get(4..));
    let is_version = numbers.and_then(|n| n.split_once('.')).is_some_and(|(major, minor)| {
        let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
        digits(major) && digits(minor)
    });
    if !is_version || !super::value::is_token(method) {
        return Err(owed(line, 400, "the first line is not METHOD URI SIP/2.0"));
    }
    let uri = uri(target).ok_or_else(|| owed(line, 400, "the Request-URI cannot be read"))?;
    Ok((Start::Request { method: (*method).into(), uri }, (*version).into()))
}

fn cseq_of(text: &str) -> Option<(u32, Box<str>)> {
    let (number, method) = text.split_once([' ', '\t'])?;
    let method = method.trim_start();
    if !number.bytes().all(|b| b.is_ascii_digit()) || !super::value::is_token(method) {
        return None;
    }
    Some((number.parse().ok()?, method.into()))
}

/// A response and an ACK are never answered (RFC 3261, 17.1.1.3), and what is no SIP least of all.
fn owed(start: &str, status: u16, reason: &str) -> Refusal {
    let answered = !start.starts_with("SIP/") && !start.starts_with("ACK ") && start.contains(" SIP/");
    Refusal { status: answered.then_some(status), reason: reason.to_owned() }
}

fn first_line(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    let bytes = bytes.trim_ascii_start();
    let end = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
    normal::text(bytes.get(..end).unwrap_or_default())
}

/// Headers in which a comma is just a sign, or that stand once.
fn is_single(name: &str) -> bool {
    const SINGLE: [&str; 14] = [
        "Call-ID",
        "CSeq",
        "WWW-Authenticate",
        "Proxy-Authenticate",
        "Authorization",
        "Proxy-Authorization",
        "Authentication-Info",
        "Date",
        "Subject",
        "Server",
        "User-Agent",
        "Organization",
        "From",
        "To",
    ];
    SINGLE.iter().any(|single| single.eq_ignore_ascii_case(name))
}

/// A message being written. Names and values come from here or from what was read, and hold no line end.
#[derive(Clone, Debug)]
pub struct Draft {
    start: String,
    headers: Vec<Header>,
    body: Vec<u8>,
}

impl Draft {
    #[must_use]
    pub fn request(method: &str, uri: &str) -> Self {
        Self { start: format!("{method} {uri} SIP/2.0"), headers: Vec::with_capacity(12), body: Vec::new() }
    }

    /// What an answer copies (RFC 3261, 8.2.6.2), with `received` and `rport` where `source` says that they are owed (RFC 3581, 4).
    #[must_use]
    pub fn response(request: &Message, status: u16, reason: &str, source: Option<(&str, u16)>) -> Self {
        Self::answer(request.all(), status, reason, source)
    }

    fn answer<'a>(
        fields: impl Iterator<Item = (&'a str, &'a str)>,
        status: u16,
        reason: &str,
        source: Option<(&str, u16)>,
    ) -> Self {
        let mut draft =
            Self { start: format!("SIP/2.0 {status} {reason}"), headers: Vec::with_capacity(8), body: Vec::new() };
        let mut source = source;
        let mut copied = Vec::with_capacity(4);
        for (name, value) in fields.filter(|(n, _)| ["Via", "From", "To", "Call-ID", "CSeq"].contains(n)) {
            // A request that is refused for having two gets the first one back.
            if name != "Via" {
                if copied.contains(&name) {
                    continue;
                }
                copied.push(name);
            }
            match source.filter(|_| name == "Via") {
                Some(seen) => {
                    draft = draft.header(name, &super::value::via_with_source(value, seen));
                    source = None;
                }
                None => draft = draft.header(name, value),
            }
        }
        draft
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push(model(normal::usual(name).unwrap_or(name), value.replace(['\r', '\n'], " ")));
        self
    }

    /// Puts `;tag=` behind the To of an answer that has none yet.
    #[must_use]
    pub fn to_tag(mut self, tag: &str) -> Self {
        for header in &mut self.headers {
            let (name, value) = parts(header);
            if name == "To" && address(value).is_none_or(|to| to.tag().is_none()) {
                let value = value.trim_end_matches([';', ' ', '\t']);
                *header = model("To", format!("{value};tag={tag}"));
            }
        }
        self
    }

    #[must_use]
    pub fn body(self, content_type: &str, bytes: &[u8]) -> Self {
        let mut with = self.header("Content-Type", content_type);
        with.body = bytes.to_vec();
        with
    }

    /// The bytes, with Content-Length.
    #[must_use]
    pub fn bytes(self) -> Vec<u8> {
        let mut text = self.start;
        text.push_str("\r\n");
        let headers = self.headers.iter().map(parts);
        for (name, value) in headers {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        let _ = write!(text, "Content-Length: {}\r\n\r\n", self.body.len());
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// The answer to bytes that could not be read: what an answer copies is taken from the lines that can be. `None` where none is owed, or where
/// not even a Via says where it would go.
#[must_use]
pub fn refuse(bytes: &[u8], refusal: &Refusal, source: Option<(&str, u16)>) -> Option<Vec<u8>> {
    let status = refusal.status?;
    let fields = normal::remains(bytes);
    let top = fields.iter().find(|f| f.name == "Via")?;
    via(list(&top.value).first()?)?;
    let fields = fields.iter().map(|f| (&*f.name, &*f.value));
    Some(Draft::answer(fields, status, phrase(status), source).bytes())
}

/// The usual words for a status that we send.
#[must_use]
pub fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Request Entity Too Large",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        481 => "Subscription Does Not Exist",
        489 => "Bad Event",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        _ => "Refused",
    }
}

/// What a digest is computed with (RFC 7616, 3.4; RFC 8760). SHA-512-256 and the `-sess` forms are not offered by rsip's helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Md5,
    Sha256,
}

/// The `response` of a digest. `counted` is (nc, cnonce) where qop=auth is used.
///
/// rsip writes nc in decimal and holds it in a byte, so for qop=auth the counted part goes in with the nonce: the hash is over
/// `HA1:nonce:nc:cnonce:auth:HA2`, and without qop over `HA1:nonce:HA2`. `None`: a method that rsip does not know.
#[must_use]
pub fn digest(
    algorithm: Algorithm,
    (user, realm, password): (&str, &str, &str),
    (method, uri): (&str, &str),
    nonce: &str,
    counted: Option<(u32, &str)>,
) -> Option<String> {
    let nonce = match counted {
        Some((count, cnonce)) => format!("{nonce}:{count:08x}:{cnonce}:auth"),
        None => nonce.to_owned(),
    };
    // The URI as sent, byte for byte: held whole as a domain, so that rsip prints it as it is.
    let host = rsip::common::uri::Host::Domain(rsip::common::uri::Domain::from(uri));
    let uri: rsip::Uri = rsip::common::uri::HostWithPort::from(host).into();
    Some(
        rsip::services::DigestGenerator {
            username: user,
            password,
            realm,
            nonce: &nonce,
            uri: &uri,
            method: &method.parse().ok()?,
            qop: None,
            algorithm: match algorithm {
                Algorithm::Md5 => rsip::headers::auth::Algorithm::Md5,
                Algorithm::Sha256 => rsip::headers::auth::Algorithm::Sha256,
            },
        }
        .compute(),
    )
}

/// rsip's header of a usual name, and the name and value of rsip's header.
macro_rules! headers {
    ($($variant:ident $name:literal),* $(,)?) => {
        fn model(name: &str, value: String) -> Header {
            match name {
                $($name => Header::$variant(value.into()),)*
                other => Header::Other(other.to_owned(), value),
            }
        }

        fn parts(header: &Header) -> (&str, &str) {
            match header {
                $(Header::$variant(header) => ($name, header.value()),)*
                Header::Other(name, value) => (name, value),
            }
        }
    };
}

headers! {
    Accept "Accept", AcceptEncoding "Accept-Encoding", AcceptLanguage "Accept-Language", AlertInfo "Alert-Info", Allow "Allow",
    AuthenticationInfo "Authentication-Info", Authorization "Authorization", CSeq "CSeq", CallId "Call-ID", CallInfo "Call-Info",
    Contact "Contact", ContentDisposition "Content-Disposition", ContentEncoding "Content-Encoding",
    ContentLanguage "Content-Language", ContentLength "Content-Length", ContentType "Content-Type", Date "Date",
    ErrorInfo "Error-Info", Event "Event", Expires "Expires", From "From", InReplyTo "In-Reply-To", MaxForwards "Max-Forwards",
    MimeVersion "MIME-Version", MinExpires "Min-Expires", Organization "Organization", Priority "Priority",
    ProxyAuthenticate "Proxy-Authenticate", ProxyAuthorization "Proxy-Authorization", ProxyRequire "Proxy-Require",
    RecordRoute "Record-Route", ReplyTo "Reply-To", Require "Require", RetryAfter "Retry-After", Route "Route", Server "Server",
    Subject "Subject", SubscriptionState "Subscription-State", Supported "Supported", Timestamp "Timestamp", To "To",
    Unsupported "Unsupported", UserAgent "User-Agent", Via "Via", Warning "Warning", WwwAuthenticate "WWW-Authenticate",
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTIFY: &[u8] = b"NOTIFY sip:cti@127.20.0.30:37287 SIP/2.0\r\nv: SIP/2.0/UDP 127.20.0.10;branch=z9hG4bKb99a.7;rport\r\nt: <sip:cti@pbx.lab>;tag=b5\r\nFrom: \"\xe5\xbc\xa0\xe4\xbc\x9f\" <sip:1001@pbx.lab>;tag=bc.94\r\nCSEQ: 2 NOTIFY\r\ni: gj6\r\nl: 4\r\nEvent: dialog;id=7\r\nm: <sip:a@b>, \"x, y\" <sip:c@[::1]:5>\r\nX-Own: 1\r\nSubscription-State: active;expires=120\r\n\r\nbody and more";

    #[test]
    fn a_notify_is_read() {
        let m = read(NOTIFY).unwrap();
        assert_eq!((m.method(), m.status(), m.call_id(), m.cseq()), (Some("NOTIFY"), None, "gj6", (2, "NOTIFY")));
        assert_eq!(m.request_uri().unwrap().to_string(), "sip:cti@127.20.0.30:37287");
        assert_eq!(
            (m.from().display.as_deref(), m.from().tag(), m.to().tag()),
            (Some("张伟"), Some("bc.94"), Some("b5"))
        );
        assert_eq!((&*m.via().transport, m.via().branch.as_deref()), ("UDP", Some("z9hG4bKb99a.7")));
        assert_eq!(
            (m.header("EVENT"), m.header("x-own"), m.header("o")),
            (Some("dialog;id=7"), Some("1"), Some("dialog;id=7"))
        );
        assert_eq!(m.headers("Contact"), ["<sip:a@b>", "\"x, y\" <sip:c@[::1]:5>"]);
        assert_eq!((m.body(), m.content_type()), (b"body".as_slice(), None));
        assert_eq!(read_websocket(NOTIFY).unwrap().body(), b"body and more");
    }

    #[test]
    fn an_answer_copies_what_it_must_and_says_where_it_saw_the_request() {
        let m = read(NOTIFY).unwrap();
        let bytes = Draft::response(&m, 481, phrase(481), Some(("127.20.0.10", 5060))).to_tag("mine").bytes();
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.starts_with("SIP/2.0 481 Subscription Does Not Exist\r\nVia: SIP/2.0/UDP 127.20.0.10;branch=z9hG4bKb99a.7;rport=5060;received=127.20.0.10\r\n"), "{text}");
        let answer = read(&bytes).unwrap();
        assert_eq!(
            (answer.status(), answer.to().tag(), answer.from().tag(), answer.cseq()),
            (Some(481), Some("b5"), Some("bc.94"), (2, "NOTIFY"))
        );
        assert!(text.ends_with("Content-Length: 0\r\n\r\n") && !text.contains("X-Own"));
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_answered_from_what_can() {
        let broken = String::from_utf8_lossy(NOTIFY).replace("t: <sip:cti@pbx.lab>", "t: Bell, A <sip:cti@pbx.lab>");
        let refusal = read(broken.as_bytes()).unwrap_err();
        assert_eq!(refusal, Refusal { status: Some(400), reason: "To is not one address".into() });
        let answer = String::from_utf8(refuse(broken.as_bytes(), &refusal, None).unwrap()).unwrap();
        assert!(answer.starts_with("SIP/2.0 400 Bad Request\r\nVia: SIP/2.0/UDP 127.20.0.10;"), "{answer}");
        assert!(answer.len() < broken.len() && answer.contains("To: Bell, A <sip:cti@pbx.lab>;tag=b5\r\n"), "{answer}");
        for silent in [
            "SIP/2.0 4294967301 no\r\nVia: SIP/2.0/UDP a\r\n\r\n",
            "ACK sip:a@b SIP/2.0\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "",
            "\r\n\r\n",
            "\0\0",
        ] {
            let refusal = read(silent.as_bytes()).unwrap_err();
            assert_eq!((refusal.status, refuse(silent.as_bytes(), &refusal, None)), (None, None), "{silent:?}");
        }
    }

    #[test]
    fn digests_are_those_of_the_rfcs() {
        // RFC 2617, 3.5 and RFC 7616, 3.9.1.
        let nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093";
        let got = digest(
            Algorithm::Md5,
            ("Mufasa", "testrealm@host.com", "Circle Of Life"),
            ("REGISTER", "/dir/index.html"),
            nonce,
            Some((1, "0a4f113b")),
        );
        assert_eq!(got.as_deref(), Some("59d17b90f0e821045ecceb843e5b38c4"));
        // A real Kamailio took these: digest-challenge and digest-sha256 of the recorded traces.
        let got = digest(
            Algorithm::Md5,
            ("cti", "pbx.lab", "pw-cti"),
            ("SUBSCRIBE", "sip:1001@pbx.lab"),
            "awLS+msC0twFkQKAvQOfnULAg5SRLWRN",
            None,
        );
        assert_eq!(got.as_deref(), Some("353dc1af5f6b33e8ff140426a652c200"));
    }
}
