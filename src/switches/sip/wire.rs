//! One SIP message, read and written. The only file that names rsip.
//!
//! rsip 0.4 is the message model (its headers, in order), the builder and the digest helper of all that we write. Its own parser stays unused: it
//! cannot read six of thirteen valid messages of RFC 4475, IPv6 hosts or folded lines, its list of methods is closed, and it would take a message apart
//! twice. So `normal.rs` makes the head plain, `value.rs` reads addresses, and what a message must have is checked here, once.
//!
//! A message that was read stays as its text with a table of its lines: a NOTIFY has fourteen headers, and five of them are looked at. Addresses are
//! taken apart when somebody asks for them. The 200 that answers it is copied from its lines ([`ok`]).
//!
//! A message that cannot be read is a [`Refusal`]: the status owed and why. What a readable message may still do wrong is `verdict.rs`.

use std::{
    borrow::Cow,
    cell::OnceCell,
    fmt::{self, Write as _},
};

use rsip::{Header, headers::UntypedHeader as _};

pub use super::value::{
    Address, Params, Uri, Via, address, address_checked, each_of, list, token_and_param, token_and_params, uri, via,
};
use super::{
    normal::{self, Known, Line, Span},
    value,
};

/// One message, well-formed: it has a start line, Via, From, To, Call-ID and CSeq that could be read.
#[derive(Clone)]
pub struct Message {
    /// The plain head: its start line and its headers.
    head: String,
    lines: Vec<Line>,
    start: Start,
    version: Span,
    /// Lines of the headers that stand once.
    one: One,
    via: Top,
    from_tag: Tag,
    to_tag: Tag,
    cseq: (u32, Span),
    body: Vec<u8>,
    from: OnceCell<Address>,
    to: OnceCell<Address>,
    via_whole: OnceCell<Via>,
    uri: OnceCell<Option<Uri>>,
}

#[derive(Clone)]
enum Start {
    Request { method: Span, uri: Span },
    Response { status: u16, reason: Span },
}

#[derive(Clone, Copy)]
struct One {
    from: Span,
    /// Its URI.
    from_uri: Span,
    to: Span,
    call_id: Span,
}

/// The top Via.
#[derive(Clone, Copy)]
struct Top {
    whole: Span,
    host: Span,
    port: Option<u16>,
    branch: Tag,
    rport: bool,
}

/// A parameter of a header.
#[derive(Clone, Copy)]
enum Tag {
    None,
    At(Span),
    /// Quoted, with signs that are escaped: it is read with the whole.
    Quoted,
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
            Start::Request { method, .. } => Some(method.of(&self.head)),
            Start::Response { .. } => None,
        }
    }

    #[must_use]
    pub fn request_uri(&self) -> Option<&Uri> {
        match &self.start {
            Start::Request { uri: at, .. } => self.uri.get_or_init(|| uri(at.of(&self.head))).as_ref(),
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
            Start::Response { reason, .. } => reason.of(&self.head),
        }
    }

    /// `SIP/2.0`, or what stands there.
    #[must_use]
    pub fn version(&self) -> &str {
        self.version.of(&self.head)
    }

    /// Whether the Request-URI is one that we can act on: sip, sips or tel.
    #[must_use]
    pub fn is_for_us(&self) -> bool {
        match &self.start {
            Start::Request { uri: at, .. } => {
                let scheme = at.of(&self.head).split(':').next().unwrap_or_default();
                ["sip", "sips", "tel"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
            }
            Start::Response { .. } => true,
        }
    }

    /// The first value, trimmed. Names in any case.
    #[must_use]
    pub fn header<'a>(&'a self, name: &str) -> Option<&'a str> {
        let value = self.values(name).next()?;
        if !value.contains(',') || is_single(name) { Some(value) } else { each_of(value).next() }
    }

    /// The same of a header that is known, and whose commas are no list's.
    #[must_use]
    pub fn line(&self, known: Known) -> Option<&str> {
        self.lines.iter().find(|line| line.known == Some(known)).map(|line| line.value.of(&self.head))
    }

    /// All values; comma lists are split where the header is one.
    #[must_use]
    pub fn headers<'a>(&'a self, name: &str) -> Vec<&'a str> {
        if is_single(name) { self.values(name).collect() } else { self.values(name).flat_map(each_of).collect() }
    }

    /// All headers in order, a line each; compact names are long.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines.iter().map(|line| (self.name(line), line.value.of(&self.head)))
    }

    /// The lines of those headers that are known by number.
    pub fn known(&self) -> impl Iterator<Item = (Known, &str)> {
        self.lines.iter().filter_map(|line| Some((line.known?, line.value.of(&self.head))))
    }

    #[must_use]
    pub fn call_id(&self) -> &str {
        self.one.call_id.of(&self.head)
    }

    #[must_use]
    pub fn cseq(&self) -> (u32, &str) {
        (self.cseq.0, self.cseq.1.of(&self.head))
    }

    #[must_use]
    pub fn from(&self) -> &Address {
        self.from.get_or_init(|| address(self.one.from.of(&self.head)).expect("it was checked when it was read"))
    }

    #[must_use]
    pub fn to(&self) -> &Address {
        self.to.get_or_init(|| address(self.one.to.of(&self.head)).expect("it was checked when it was read"))
    }

    /// The tag of From, without the rest of it.
    #[must_use]
    pub fn from_tag(&self) -> Option<&str> {
        match self.from_tag {
            Tag::None => None,
            Tag::At(at) => Some(at.of(&self.head)),
            Tag::Quoted => self.from().tag(),
        }
    }

    #[must_use]
    pub fn to_tag(&self) -> Option<&str> {
        match self.to_tag {
            Tag::None => None,
            Tag::At(at) => Some(at.of(&self.head)),
            Tag::Quoted => self.to().tag(),
        }
    }

    /// The URI of From as it is written.
    #[must_use]
    pub fn from_uri(&self) -> &str {
        self.one.from_uri.of(&self.head)
    }

    /// The top one.
    #[must_use]
    pub fn via(&self) -> &Via {
        self.via_whole.get_or_init(|| via(self.via.whole.of(&self.head)).expect("it was checked when it was read"))
    }

    /// Host and port of the top Via.
    #[must_use]
    pub fn sent_by(&self) -> (&str, Option<u16>) {
        (self.via.host.of(&self.head), self.via.port)
    }

    /// Whether the answer goes back to the port that it came from (RFC 3581).
    #[must_use]
    pub fn has_rport(&self) -> bool {
        self.via.rport
    }

    /// The branch of the top Via.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        match self.via.branch {
            Tag::None => None,
            Tag::At(at) => Some(at.of(&self.head)),
            Tag::Quoted => self.via().branch.as_deref(),
        }
    }

    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.header("Content-Type")
    }

    fn name<'a>(&'a self, line: &Line) -> &'a str {
        match line.known {
            Some(known) => known.name(),
            None => line.name.of(&self.head),
        }
    }

    /// The values of a header, a line each.
    fn values<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        let known = normal::known(name.as_bytes());
        let lines = self.lines.iter().filter(move |line| match known {
            Some(_) => line.known == known,
            None => line.known.is_none() && line.name.of(&self.head).eq_ignore_ascii_case(name),
        });
        lines.map(|line| line.value.of(&self.head))
    }
}

/// What it is, and no word of what it says: numbers and names are people's.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.start {
            Start::Request { method, .. } => {
                write!(f, "Message({}, {} bytes of body)", method.of(&self.head), self.body.len())
            }
            Start::Response { status, .. } => write!(f, "Message({status} to {})", self.cseq().1),
        }
    }
}

fn message(bytes: &[u8], length: Length) -> Result<Message, Refusal> {
    let (head, start, lines, rest, bare) = match normal::plain(bytes) {
        Some(plain) => (Cow::Borrowed(plain.text), plain.start, plain.lines, plain.rest, false),
        None => {
            let head = normal::head(bytes).map_err(|why| owed(first_line(bytes).trim_start(), 400, why))?;
            let (text, start, lines) = head.written().ok_or_else(|| owed(&head.start, 400, "too long a head"))?;
            (Cow::Owned(text), start, lines, head.rest, head.bare)
        }
    };
    let first = start.of(&head).trim_end();
    let wrong = |why: &str| owed(first, 400, why);
    let (parsed, version) = start_line(first)?;

    let mut seen: [Option<Span>; 4] = [None; 4];
    let mut twice = [false; 4];
    let (mut top, mut stated) = (None, None);
    for line in &lines {
        let place = match line.known {
            Some(Known::FROM) => 0,
            Some(Known::TO) => 1,
            Some(Known::CALL_ID) => 2,
            Some(Known::CSEQ) => 3,
            _ => continue,
        };
        twice[place] |= seen[place].replace(line.value).is_some();
    }
    let one = |place: usize, missing: &str, two: &str| match (seen[place], twice[place]) {
        (Some(_), true) => Err(wrong(two)),
        (Some(at), false) => Ok(at),
        (None, _) => Err(wrong(missing)),
    };
    let from = one(0, "no From", "two From")?;
    let (from_tag, from_uri) = tag_of(&head, from).ok_or_else(|| wrong("From is not one address"))?;
    let to = one(1, "no To", "two To")?;
    let (to_tag, _) = tag_of(&head, to).ok_or_else(|| wrong("To is not one address"))?;
    let call_id = one(2, "no Call-ID", "two Call-ID")?;
    if call_id.of(&head).is_empty() {
        return Err(wrong("an empty Call-ID"));
    }
    let cseq = one(3, "no CSeq", "two CSeq")?.of(&head);
    let (number, method) = cseq_of(cseq).ok_or_else(|| wrong("CSeq is not a number of 32 bits and a method"))?;
    let cseq = (number, within(&head, method));
    for line in lines.iter().filter(|line| line.known == Some(Known::VIA)) {
        for text in each_of(line.value.of(&head)) {
            let read = top_via(&head, text).ok_or_else(|| wrong("a Via that cannot be read"))?;
            top.get_or_insert(read);
        }
    }
    let via = top.ok_or_else(|| wrong("no Via"))?;

    let body = match length {
        Length::Ignored => rest,
        Length::Counts => {
            for line in lines.iter().filter(|line| line.known == Some(Known::CONTENT_LENGTH)) {
                let value = line.value.of(&head);
                let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
                let value = value.parse::<usize>().ok().filter(|_| digits);
                let value = value.ok_or_else(|| wrong("Content-Length is no length"))?;
                if stated.is_some_and(|before| before != value) {
                    return Err(wrong("two Content-Length that differ"));
                }
                stated = Some(value);
            }
            match stated {
                None => rest,
                Some(n) if n < rest.len() && bare => {
                    return Err(wrong("line ends were changed on the way and Content-Length does not fit"));
                }
                Some(n) => rest.get(..n).ok_or_else(|| wrong("shorter than Content-Length"))?,
            }
        }
    };
    let version = within(&head, version);
    let start = match parsed {
        StartLine::Request { method, uri } => Start::Request { method: within(&head, method), uri: within(&head, uri) },
        StartLine::Response { status, reason } => Start::Response { status, reason: within(&head, reason) },
    };
    Ok(Message {
        start,
        version,
        one: One { from, from_uri, to, call_id },
        via,
        from_tag,
        to_tag,
        cseq,
        body: body.to_vec(),
        lines,
        head: head.into_owned(),
        from: OnceCell::new(),
        to: OnceCell::new(),
        via_whole: OnceCell::new(),
        uri: OnceCell::new(),
    })
}

/// Where a part of the head stands in it. A stranger's part would be an empty one.
fn within(head: &str, part: &str) -> Span {
    let from = (part.as_ptr() as usize).wrapping_sub(head.as_ptr() as usize);
    let span = from.checked_add(part.len()).filter(|to| *to <= head.len()).and_then(|to| Span::new(from, to));
    span.unwrap_or(Span { from: 0, to: 0 })
}

/// A parameter's value, if this is the one wanted and the first of its name.
fn keep(head: &str, found: &mut Tag, value: Option<Cow<'_, str>>) {
    if matches!(found, Tag::None) {
        *found = match value.unwrap_or_default() {
            Cow::Borrowed("") => Tag::At(Span { from: 0, to: 0 }),
            Cow::Borrowed(text) => Tag::At(within(head, text)),
            Cow::Owned(_) => Tag::Quoted,
        };
    }
}

/// The tag and the URI of an address; `None`: it is not one address.
fn tag_of(head: &str, at: Span) -> Option<(Tag, Span)> {
    let mut tag = Tag::None;
    let uri = address_checked(at.of(head), |name, value| {
        if name.eq_ignore_ascii_case("tag") {
            keep(head, &mut tag, value);
        }
    })?;
    Some((tag, within(head, uri)))
}

fn top_via(head: &str, text: &str) -> Option<Top> {
    let (mut branch, mut rport) = (Tag::None, false);
    let (host, port) = value::via_checked(text, |name, value| {
        if name.eq_ignore_ascii_case("branch") {
            keep(head, &mut branch, value);
        } else {
            rport |= name.eq_ignore_ascii_case("rport");
        }
    })?;
    Some(Top { whole: within(head, text), host: within(head, host), port, branch, rport })
}

enum StartLine<'a> {
    Request { method: &'a str, uri: &'a str },
    Response { status: u16, reason: &'a str },
}

/// Spaces at the end of the line, and several between its parts, are tolerated (RFC 4475, 3.1.2.9 and 3.1.2.10 leave the choice).
fn start_line(line: &str) -> Result<(StartLine<'_>, &str), Refusal> {
    if line.get(..4).is_some_and(|p| p.eq_ignore_ascii_case("SIP/")) {
        let mut words = line.splitn(3, ' ');
        let (version, code, reason) = (words.next(), words.next(), words.next());
        let status = code
            .filter(|c| c.len() == 3 && c.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|c| c.parse::<u16>().ok())
            .filter(|status| (100..700).contains(status))
            .ok_or_else(|| owed(line, 400, "a response without a status of three digits"))?;
        let start = StartLine::Response { status, reason: reason.unwrap_or_default().trim() };
        return Ok((start, version.unwrap_or_default()));
    }
    let mut words = line.split([' ', '\t']).filter(|w| !w.is_empty());
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(owed(line, 400, "the first line is not METHOD URI SIP/2.0"));
    };
    let numbers = version.get(..4).filter(|p| p.eq_ignore_ascii_case("SIP/")).and_then(|_| version.get(4..));
    let is_version = numbers.and_then(|n| n.split_once('.')).is_some_and(|(major, minor)| {
        let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
        digits(major) && digits(minor)
    });
    if !is_version || !value::is_token(method) {
        return Err(owed(line, 400, "the first line is not METHOD URI SIP/2.0"));
    }
    if !value::is_uri(target) {
        return Err(owed(line, 400, "the Request-URI cannot be read"));
    }
    Ok((StartLine::Request { method, uri: target }, version))
}

fn cseq_of(text: &str) -> Option<(u32, &str)> {
    let at = text.bytes().position(|b| matches!(b, b' ' | b'\t'))?;
    let (number, method) = text.split_at_checked(at)?;
    let method = method.get(1..)?.trim_start();
    if !number.bytes().all(|b| b.is_ascii_digit()) || !value::is_token(method) {
        return None;
    }
    Some((number.parse().ok()?, method))
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
    let name = normal::usual(name).unwrap_or(name);
    SINGLE.contains(&name)
}

/// The 200 of a request: what an answer copies (RFC 3261, 8.2.6.2), straight from its lines, and what [`Draft::response`] would say. `source`: where it
/// came from, which its Via is told where that is owed.
#[must_use]
pub fn ok(request: &Message, source: (&str, u16)) -> Vec<u8> {
    let mut text = String::with_capacity(512);
    text.push_str("SIP/2.0 200 OK\r\n");
    let mut first = true;
    for line in &request.lines {
        let name = match line.known {
            Some(Known::VIA) => "Via: ",
            Some(Known::FROM) => "From: ",
            Some(Known::TO) => "To: ",
            Some(Known::CALL_ID) => "Call-ID: ",
            Some(Known::CSEQ) => "CSeq: ",
            _ => continue,
        };
        let value = line.value.of(&request.head);
        text.push_str(name);
        let top = line.known == Some(Known::VIA) && std::mem::take(&mut first);
        if top && (request.via.rport || request.via.host.of(&request.head) != source.0) {
            text.push_str(&value::via_with_source(value, source));
        } else {
            text.push_str(value);
        }
        text.push_str("\r\n");
    }
    text.push_str("Content-Length: 0\r\n\r\n");
    text.into_bytes()
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
                    draft = draft.header(name, &value::via_with_source(value, seen));
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
    fn the_200_that_is_copied_says_what_a_built_one_says() {
        let text = String::from_utf8(NOTIFY.to_vec()).unwrap();
        let two = text.replacen("t: ", "Via: SIP/2.0/TCP b, SIP/2.0/UDP [::1]:5;branch=\"q\\\"\"\r\nt: ", 1);
        for text in [text.clone(), text.replace(";rport", ""), text.replace("5060 ", "\t"), two] {
            for source in [("127.20.0.10", 5060), ("203.0.113.5", 9)] {
                let request = read(text.as_bytes()).unwrap();
                let copied = read(&ok(&request, source)).unwrap();
                let built = read(&Draft::response(&request, 200, "OK", Some(source)).bytes()).unwrap();
                assert!(copied.all().eq(built.all()), "{:?}", copied.all().collect::<Vec<_>>());
                assert_eq!(
                    (copied.status(), copied.branch(), copied.from_tag()),
                    (Some(200), request.branch(), request.from().tag())
                );
            }
        }
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
