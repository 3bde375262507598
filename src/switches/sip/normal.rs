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

/// The usual spelling of a header's name, given in any case or in its compact form.
#[must_use]
pub fn usual(name: &str) -> Option<&'static str> {
    if let [letter] = name.as_bytes() {
        let letter = letter.to_ascii_lowercase();
        return COMPACT.iter().find(|(short, _)| *short == letter).map(|(_, long)| *long);
    }
    KNOWN.iter().find(|known| known.eq_ignore_ascii_case(name)).copied()
}

/// IANA's list of compact forms (RFC 3261, 7.3.3; RFC 3515, 3841, 3892, 4028, 6665, 8224).
const COMPACT: [(u8, &str); 20] = [
    (b'a', "Accept-Contact"),
    (b'b', "Referred-By"),
    (b'c', "Content-Type"),
    (b'd', "Request-Disposition"),
    (b'e', "Content-Encoding"),
    (b'f', "From"),
    (b'i', "Call-ID"),
    (b'j', "Reject-Contact"),
    (b'k', "Supported"),
    (b'l', "Content-Length"),
    (b'm', "Contact"),
    (b'n', "Identity-Info"),
    (b'o', "Event"),
    (b'r', "Refer-To"),
    (b's', "Subject"),
    (b't', "To"),
    (b'u', "Allow-Events"),
    (b'v', "Via"),
    (b'x', "Session-Expires"),
    (b'y', "Identity"),
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
        assert!(COMPACT.iter().all(|(_, long)| KNOWN.contains(long)));
    }
}
