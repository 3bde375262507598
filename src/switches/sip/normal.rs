//! The head of a message made plain: folded lines joined, compact names long, names in one spelling, characters readable.
//!
//! What devices and old texts allow is undone here, so that nobody behind this file has to know of it: empty lines in front, bare line
//! feeds, a line folded before its colon, a head that ends without an empty line, text in GB18030.

use std::borrow::Cow;

/// More header lines than any message has; what is left of a message that has more is no use to anybody.
const FIELDS: usize = 1000;

/// A message's start line, header fields and what follows them.
#[derive(Debug, PartialEq, Eq)]
pub struct Head<'a> {
    pub start: Cow<'a, str>,
    pub fields: Vec<Field<'a>>,
    /// Everything behind the empty line.
    pub rest: &'a [u8],
    /// Some line ended in a bare line feed: then a length that does not fit is no length (lines were changed on the way).
    pub bare: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// In its usual spelling if it is a known one, else as written.
    pub name: Cow<'a, str>,
    /// Without surrounding space; holds no line end.
    pub value: Cow<'a, str>,
}

/// Takes a message apart, or says what is wrong with its head. What could be read up to there is lost: a refusal is answered from the bytes.
pub fn head(bytes: &[u8]) -> Result<Head<'_>, &'static str> {
    let (lines, rest, bare) = lines(bytes).ok_or("more header lines than a message may have")?;
    let mut lines = lines.into_iter();
    let start = readable(lines.next().unwrap_or_default());
    let mut fields = Vec::with_capacity(lines.len());
    for line in lines {
        fields.push(field(line).ok_or("a header line without a name")?);
    }
    Ok(Head { start, fields, rest, bare })
}

impl Head<'_> {
    /// The same as a plain head: its text, the start line and the headers in it.
    #[must_use]
    pub fn written(&self) -> Option<(String, Span, Vec<Line>)> {
        let mut text = String::with_capacity(512);
        text.push_str(&self.start);
        let start = Span::new(0, text.len())?;
        let mut lines = Vec::with_capacity(self.fields.len());
        for Field { name, value } in &self.fields {
            text.push_str("\r\n");
            let at = text.len();
            text.push_str(name);
            let name_at = Span::new(at, text.len())?;
            text.push_str(": ");
            let at = text.len();
            text.push_str(value);
            lines.push(Line { known: known(name.as_bytes()), name: name_at, value: Span::new(at, text.len())? });
        }
        text.push_str("\r\n");
        Some((text, start, lines))
    }
}

/// A head that was plain as it came: UTF-8 whose lines end in CRLF, none of them folded, each with a name. Nearly all are, and they are read at one look.
#[derive(Debug)]
pub struct Plain<'a> {
    /// From the start line to the last header's line end.
    pub text: &'a str,
    /// Of the start line.
    pub start: Span,
    pub lines: Vec<Line>,
    pub rest: &'a [u8],
}

/// Where something stands in a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub from: u32,
    pub to: u32,
}

impl Span {
    /// `None`: no message is that long.
    #[must_use]
    pub fn new(from: usize, to: usize) -> Option<Self> {
        Some(Self { from: u32::try_from(from).ok()?, to: u32::try_from(to).ok()? })
    }

    /// What stands there.
    #[must_use]
    pub fn of(self, text: &str) -> &str {
        text.get(self.from as usize..self.to as usize).unwrap_or_default()
    }
}

/// One header's line.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// [`known`]'s number; absent: the name is as it is written.
    pub known: Option<Known>,
    pub name: Span,
    pub value: Span,
}

/// Reads a head that is plain. `None`: it is not, or something is wrong with it; [`head`] says what.
#[must_use]
pub fn plain(bytes: &[u8]) -> Option<Plain<'_>> {
    let mut lines = Vec::with_capacity(16);
    let mut start = None;
    let mut at = 0;
    loop {
        let line = bytes.get(at..)?;
        let length = memchr::memchr2(b'\r', b'\n', line)?;
        if line.get(length..length + 2)? != b"\r\n" {
            return None;
        }
        let line = line.get(..length)?;
        let next = at + length + 2;
        match line.first() {
            None => {
                let (head, rest) = bytes.split_at_checked(next)?;
                return Some(Plain { text: std::str::from_utf8(head.get(..at)?).ok()?, start: start?, lines, rest });
            }
            Some(b' ' | b'\t') => return None,
            Some(_) if start.is_none() => start = Some(Span::new(at, at + length)?),
            Some(_) => {
                if lines.len() >= FIELDS {
                    return None;
                }
                let colon = memchr::memchr(b':', line)?;
                let (name, value) = line.split_at_checked(colon)?;
                let name = name.trim_ascii_end();
                let known = known(name);
                if known.is_none() && !name.iter().all(|b| super::value::TOKEN[usize::from(*b)]) || name.is_empty() {
                    return None;
                }
                let value = value.get(1..)?;
                // A space of other scripts at an end is left to the long way.
                let from = value.len() - value.trim_ascii_start().len();
                let value = value.trim_ascii();
                if let ([first, ..], [.., last]) = (value, value)
                    && (!first.is_ascii() || !last.is_ascii() || *first < b' ' || *last < b' ')
                {
                    return None;
                }
                let from = at + colon + 1 + from;
                let value = Span::new(from, from + value.len())?;
                lines.push(Line { known, name: Span::new(at, at + name.len())?, value });
            }
        }
        at = next;
    }
}

/// The fields that can be read, for the answer to a message that cannot.
#[must_use]
pub fn remains(bytes: &[u8]) -> Vec<Field<'_>> {
    lines(bytes).map(|(lines, ..)| lines.into_iter().skip(1).filter_map(field).collect()).unwrap_or_default()
}

/// Bytes as text: UTF-8, else GB18030, which is what Chinese devices send. A carriage return on its own becomes a space: no value may
/// carry a line end into a message that we write.
#[must_use]
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => encoding_rs::GB18030.decode_without_bom_handling(bytes).0,
    }
}

/// Logical lines, what is behind the empty line, and whether a bare line feed was seen. `None`: too many.
#[allow(clippy::type_complexity)]
fn lines(bytes: &[u8]) -> Option<(Vec<Cow<'_, [u8]>>, &[u8], bool)> {
    let start = bytes.iter().position(|b| !matches!(b, b'\r' | b'\n')).unwrap_or(bytes.len());
    let mut rest = bytes.get(start..).unwrap_or_default();
    let mut lines: Vec<Cow<'_, [u8]>> = Vec::with_capacity(20);
    let mut bare = false;
    while !rest.is_empty() {
        let (line, after) = match memchr::memchr(b'\n', rest).and_then(|at| rest.split_at_checked(at)) {
            Some((line, after)) => (line, after.get(1..).unwrap_or_default()),
            // The end of the bytes ends the head as well.
            None => (rest, [].as_slice()),
        };
        let line = match line.strip_suffix(b"\r") {
            Some(line) => line,
            None => {
                bare |= rest.len() > line.len();
                line
            }
        };
        rest = after;
        match line.first() {
            None => return Some((lines, rest, bare)),
            // A start line is never folded: what is indented behind it is the first header.
            Some(b' ' | b'\t') if lines.len() == 1 => {
                let line = line.trim_ascii_start();
                if !line.is_empty() {
                    lines.push(Cow::Borrowed(line));
                }
            }
            Some(b' ' | b'\t') if !lines.is_empty() => {
                if let Some(last) = lines.last_mut() {
                    let last = last.to_mut();
                    last.push(b' ');
                    last.extend_from_slice(line.trim_ascii());
                }
            }
            Some(_) if lines.len() > FIELDS => return None,
            Some(_) => lines.push(Cow::Borrowed(line)),
        }
    }
    Some((lines, rest, bare))
}

fn field(line: Cow<'_, [u8]>) -> Option<Field<'_>> {
    match readable(line) {
        Cow::Borrowed(text) => parts(text),
        Cow::Owned(text) => {
            let Field { name, value } = parts(&text)?;
            Some(Field { name: Cow::Owned(name.into_owned()), value: Cow::Owned(value.into_owned()) })
        }
    }
}

fn parts(text: &str) -> Option<Field<'_>> {
    let (name, value) = text.split_once(':')?;
    let name = name.trim_end();
    if !super::value::is_token(name) {
        return None;
    }
    let name = usual(name).map_or(Cow::Borrowed(name), Cow::Borrowed);
    Some(Field { name, value: Cow::Borrowed(value.trim()) })
}

/// A line as text, with nothing in it that ends a line.
fn readable(line: Cow<'_, [u8]>) -> Cow<'_, str> {
    let plain = match line {
        Cow::Borrowed(bytes) => text(bytes),
        Cow::Owned(bytes) => Cow::Owned(text(&bytes).into_owned()),
    };
    if plain.contains('\r') { Cow::Owned(plain.replace('\r', " ")) } else { plain }
}

/// A header that somebody asks for, by its number in the list of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known(u8);

impl Known {
    pub const VIA: Self = Self::at("Via");
    pub const FROM: Self = Self::at("From");
    pub const TO: Self = Self::at("To");
    pub const CALL_ID: Self = Self::at("Call-ID");
    pub const CSEQ: Self = Self::at("CSeq");
    pub const CONTACT: Self = Self::at("Contact");
    pub const MAX_FORWARDS: Self = Self::at("Max-Forwards");
    pub const CONTENT_LENGTH: Self = Self::at("Content-Length");
    pub const EXPIRES: Self = Self::at("Expires");
    pub const MIN_EXPIRES: Self = Self::at("Min-Expires");
    pub const REQUIRE: Self = Self::at("Require");

    /// The usual spelling.
    #[must_use]
    pub fn name(self) -> &'static str {
        KNOWN.get(usize::from(self.0)).copied().unwrap_or_default()
    }

    /// For names that are written here.
    const fn at(name: &str) -> Self {
        let mut n = 0;
        while n < KNOWN.len() {
            if same(KNOWN[n].as_bytes(), name.as_bytes()) {
                return Self(n as u8);
            }
            n += 1;
        }
        panic!("not in the list of names")
    }
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    let mut n = 0;
    while n < a.len() && n < b.len() && a[n] == b[n] {
        n += 1;
    }
    n == a.len() && n == b.len()
}

/// Which header a name is, in any case or in its compact form.
#[must_use]
pub fn known(name: &[u8]) -> Option<Known> {
    if let [letter] = name {
        let letter = letter.to_ascii_lowercase();
        return COMPACT.iter().find(|(short, _)| *short == letter).map(|(_, long)| *long);
    }
    let mut slot = slot(name);
    loop {
        let number = *SLOTS.get(slot)?;
        let known = KNOWN.get(usize::from(number))?.as_bytes();
        if known == name || known.eq_ignore_ascii_case(name) {
            return Some(Known(number));
        }
        slot = (slot + 1) % SLOTS.len();
    }
}

/// The usual spelling of a header's name, given in any case or in its compact form.
#[must_use]
pub fn usual(name: &str) -> Option<&'static str> {
    known(name.as_bytes()).map(Known::name)
}

/// Where a name is looked for first in [`SLOTS`]: from its length and three of its letters, in any case.
const fn slot(name: &[u8]) -> usize {
    if name.is_empty() {
        return 0;
    }
    let (first, middle, last) = (name[0] | 0x20, name[name.len() / 2] | 0x20, name[name.len() - 1] | 0x20);
    (name.len() * 29 + first as usize * 7 + middle as usize * 3 + last as usize * 13) % SIZE
}

const SIZE: usize = 256;
/// No name.
const EMPTY: u8 = u8::MAX;

/// The numbers of the names, each at its slot or in the next that was free.
static SLOTS: [u8; SIZE] = {
    let mut slots = [EMPTY; SIZE];
    let mut n = 0;
    while n < KNOWN.len() {
        let mut at = slot(KNOWN[n].as_bytes());
        while slots[at] != EMPTY {
            at = (at + 1) % SIZE;
        }
        slots[at] = n as u8;
        n += 1;
    }
    slots
};

/// IANA's list of compact forms (RFC 3261, 7.3.3; RFC 3515, 3841, 3892, 4028, 6665, 8224).
const COMPACT: [(u8, Known); 20] = [
    (b'a', Known::at("Accept-Contact")),
    (b'b', Known::at("Referred-By")),
    (b'c', Known::at("Content-Type")),
    (b'd', Known::at("Request-Disposition")),
    (b'e', Known::at("Content-Encoding")),
    (b'f', Known::at("From")),
    (b'i', Known::at("Call-ID")),
    (b'j', Known::at("Reject-Contact")),
    (b'k', Known::at("Supported")),
    (b'l', Known::at("Content-Length")),
    (b'm', Known::at("Contact")),
    (b'n', Known::at("Identity-Info")),
    (b'o', Known::at("Event")),
    (b'r', Known::at("Refer-To")),
    (b's', Known::at("Subject")),
    (b't', Known::at("To")),
    (b'u', Known::at("Allow-Events")),
    (b'v', Known::at("Via")),
    (b'x', Known::at("Session-Expires")),
    (b'y', Known::at("Identity")),
];

/// Names that somebody asks for, the frequent ones first.
const KNOWN: [&str; 73] = [
    "Via",
    "From",
    "To",
    "Call-ID",
    "CSeq",
    "Contact",
    "Max-Forwards",
    "Content-Length",
    "Content-Type",
    "User-Agent",
    "Event",
    "Subscription-State",
    "Expires",
    "Record-Route",
    "Route",
    "Server",
    "Allow",
    "Supported",
    "Require",
    "Accept",
    "Authorization",
    "WWW-Authenticate",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Authentication-Info",
    "Allow-Events",
    "Min-Expires",
    "Retry-After",
    "P-Asserted-Identity",
    "Privacy",
    "Diversion",
    "History-Info",
    "P-Called-Party-ID",
    "P-Preferred-Identity",
    "Remote-Party-ID",
    "Refer-To",
    "Referred-By",
    "Replaces",
    "User-to-User",
    "Session-ID",
    "Session-Expires",
    "Min-SE",
    "Reason",
    "Identity",
    "Identity-Info",
    "Call-Info",
    "Alert-Info",
    "Error-Info",
    "Accept-Encoding",
    "Accept-Language",
    "Accept-Contact",
    "Reject-Contact",
    "Request-Disposition",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
    "Date",
    "In-Reply-To",
    "MIME-Version",
    "Organization",
    "Priority",
    "Proxy-Require",
    "RAck",
    "RSeq",
    "Reply-To",
    "SIP-ETag",
    "SIP-If-Match",
    "Subject",
    "Timestamp",
    "Unsupported",
    "Warning",
    "P-Charging-Vector",
    "P-Access-Network-Info",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(bytes: &[u8]) -> Vec<(String, String)> {
        head(bytes).unwrap().fields.iter().map(|f| (f.name.to_string(), f.value.to_string())).collect()
    }

    #[test]
    fn folds_compact_names_and_odd_line_ends_are_undone() {
        let bytes = b"\r\n\r\nINVITE sip:a@b SIP/2.0\r\n  \r\n To :\n sip:v@c ;\r\n\ttag = 1\r\nCaLl-Id\r\n : 0ha0\r\nv: one\r\nX-Odd: a\rb\r\n\r\nbody";
        let head = head(bytes).unwrap();
        assert_eq!((&*head.start, head.rest, head.bare), ("INVITE sip:a@b SIP/2.0", b"body".as_slice(), true));
        let expected = [("To", "sip:v@c ; tag = 1"), ("Call-ID", "0ha0"), ("Via", "one"), ("X-Odd", "a b")];
        assert_eq!(fields(bytes), expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
    }

    #[test]
    fn a_head_may_end_with_the_bytes_and_hold_gb18030() {
        let mut bytes = b"OPTIONS sip:a@b SIP/2.0\r\nFrom: \"".to_vec();
        bytes.extend_from_slice(&encoding_rs::GB18030.encode("张伟").0);
        bytes.extend_from_slice(b"\" <sip:a@b>");
        let head = head(&bytes).unwrap();
        assert_eq!((&*head.fields[0].value, head.rest, head.bare), ("\"张伟\" <sip:a@b>", b"".as_slice(), false));
    }

    #[test]
    fn lines_without_a_name_and_too_many_lines_are_refused() {
        assert!(head(b"OPTIONS sip:a@b SIP/2.0\r\nno colon\r\n\r\n").is_err());
        assert!(head(b"OPTIONS sip:a@b SIP/2.0\r\n: x\r\n\r\n").is_err());
        let mut many = b"OPTIONS sip:a@b SIP/2.0\r\n".to_vec();
        many.extend(b"a:b\r\n".repeat(FIELDS + 1));
        assert!(head(&many).is_err());
        // A thousand folds of one line are one pass, not a thousand.
        let mut folded = b"OPTIONS sip:a@b SIP/2.0\r\nX: y\r\n".to_vec();
        folded.extend(b" z\r\n".repeat(20_000));
        assert_eq!(fields(&folded)[0].1.len(), 1 + 2 * 20_000);
    }

    #[test]
    fn every_name_is_there_once() {
        let mut names = KNOWN.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), KNOWN.len());
        assert!(COMPACT.iter().all(|(_, long)| usual(long.name()) == Some(long.name())));
        for name in KNOWN {
            let shout = name.to_ascii_uppercase();
            assert_eq!((usual(name), usual(&shout), usual(&format!("{name}x"))), (Some(name), Some(name), None));
        }
        assert_eq!((usual(""), usual("V"), usual("q"), usual("no-such-name")), (None, Some("Via"), None, None));
    }

    /// The short way and the long way are one: whatever the short one reads, the long one reads alike.
    #[test]
    fn a_plain_head_is_read_the_same_both_ways() {
        let lines = [
            "Via: SIP/2.0/UDP a",
            "v:b",
            "Call-ID :  x ",
            "X-Own: \u{a0}y\u{3000}",
            "X: \u{b}z\u{c}",
            "From: \"张伟\" <sip:a@b>",
            " folded",
            "no colon",
            ": none",
            "l\r\n : 0",
            "X: a\rb",
            "CSEQ:",
            "Über: x",
        ];
        let (mut short, mut long) = (0, 0);
        for one in lines {
            for two in lines {
                for end in ["\r\n\r\nrest", "\n\r\n", "\r\n", "\r\n\n", ""] {
                    let bytes = format!("NOTIFY sip:a@b SIP/2.0 \r\n{one}\r\n{two}{end}").into_bytes();
                    let Some(plain) = plain(&bytes) else {
                        long += 1;
                        continue;
                    };
                    short += 1;
                    let head = head(&bytes).unwrap();
                    assert_eq!((plain.start.of(plain.text), plain.rest, head.bare), (&*head.start, head.rest, false));
                    let read = plain.lines.iter().map(|line| {
                        let name = line
                            .known
                            .map_or_else(|| line.name.of(plain.text).to_owned(), |known| known.name().to_owned());
                        (name, line.value.of(plain.text).to_owned())
                    });
                    let read: Vec<_> = read.collect();
                    assert_eq!(read, fields(&bytes), "{}", bytes.escape_ascii());
                }
            }
        }
        assert!(short > 20 && long > 20, "{short} {long}");
    }
}
