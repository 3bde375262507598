//! Bodies of several parts (RFC 2046 section 5.1), as a resource list sends them (RFC 4662 section 5): `multipart/related` with an RLMI part and a
//! dialog-info for each instance. Nothing is copied; a part is a stretch of the body.

use std::borrow::Cow;

use super::xml::{Fault, SIZE};

/// Parts of one body: each agent of a list of some hundred, with its list of instances in front.
pub const PARTS: usize = 1_024;
/// The longest boundary (RFC 2046 section 5.1.1).
const BOUNDARY: usize = 70;
/// Header lines of a part.
const HEADERS: usize = 32;

/// One part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'b> {
    /// Content-ID without `<` and `>`; empty where there is none.
    pub id: &'b str,
    /// Content-Type with its parameters; `text/plain` where there is none (RFC 2046 section 5.2).
    pub content_type: &'b str,
    pub body: &'b [u8],
}

/// Whether a Content-Type is of several parts.
#[must_use]
pub fn is_multipart(content_type: &str) -> bool {
    content_type.trim_start().get(..10).is_some_and(|kind| kind.eq_ignore_ascii_case("multipart/"))
}

/// The parts of a body, in their order. What stands before the first and behind the last is no part.
///
/// # Errors
/// No boundary, a body that is cut off, too large, or with too many parts.
pub fn parts<'b>(content_type: &str, body: &'b [u8]) -> Result<Vec<Part<'b>>, Fault> {
    if body.len() > SIZE {
        return Err(Fault::Size);
    }
    let boundary = parameter(content_type, "boundary").ok_or(Fault::Broken)?;
    if boundary.is_empty() || boundary.len() > BOUNDARY {
        return Err(Fault::Broken);
    }
    let line = format!("--{boundary}");
    let mut found = Vec::new();
    let mut begun: Option<usize> = None;
    for at in memchr::memmem::find_iter(body, line.as_bytes()) {
        let Some(end) = line_start(body, at) else { continue };
        let rest = body.get(at + line.len()..).unwrap_or_default();
        let last = rest.starts_with(b"--");
        let Some(next) = line_end(rest.get(if last { 2 } else { 0 }..).unwrap_or_default(), last) else { continue };
        if let Some(from) = begun {
            if found.len() >= PARTS {
                return Err(Fault::Count);
            }
            found.push(part(body.get(from..end.max(from)).unwrap_or_default())?);
        }
        if last {
            return Ok(found);
        }
        begun = Some(at + line.len() + next);
    }
    Err(Fault::Broken)
}

/// Where the line before `at` ends without its line end, if `at` begins a line.
fn line_start(body: &[u8], at: usize) -> Option<usize> {
    let before = body.get(..at)?;
    if before.is_empty() {
        return Some(0);
    }
    let before = before.strip_suffix(b"\n")?;
    Some(before.strip_suffix(b"\r").unwrap_or(before).len())
}

/// How many bytes of white space and line end follow; `None`: something else does, so it was a longer boundary.
fn line_end(rest: &[u8], last: bool) -> Option<usize> {
    let blank = rest.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    match rest.get(blank..)? {
        [] if last => Some(blank),
        [b'\r', b'\n', ..] => Some(blank + 2),
        [b'\n', ..] => Some(blank + 1),
        _ => None,
    }
}

fn part(bytes: &[u8]) -> Result<Part<'_>, Fault> {
    let mut part = Part { id: "", content_type: "text/plain", body: bytes };
    for _ in 0..HEADERS {
        let end = memchr::memchr(b'\n', part.body).ok_or(Fault::Broken)?;
        let (line, rest) = part.body.split_at(end);
        part.body = rest.get(1..).unwrap_or_default();
        let line = std::str::from_utf8(line).map_err(|_| Fault::Charset)?.trim_end();
        if line.is_empty() {
            return Ok(part);
        }
        // A folded line goes on with the one before: none of those that are read here is ever folded by a list server.
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-id") {
            part.id = value.strip_prefix('<').and_then(|v| v.strip_suffix('>')).unwrap_or(value);
        } else if name.eq_ignore_ascii_case("content-type") || name.eq_ignore_ascii_case("c") {
            part.content_type = value;
        }
    }
    Err(Fault::Count)
}

/// The type alone, without parameters: `application/rlmi+xml`.
#[must_use]
pub fn kind(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// A parameter of a header's value, without its quotes. Names are compared without case.
#[must_use]
pub fn parameter<'t>(value: &'t str, wanted: &str) -> Option<Cow<'t, str>> {
    let mut rest = value.split_once(';')?.1;
    loop {
        let (name, after) = match rest.find(['=', ';']) {
            None => return None,
            Some(at) => (rest.get(..at)?, rest.get(at..)?),
        };
        let Some(after) = after.strip_prefix('=') else {
            // A parameter without a value.
            rest = after.get(1..)?;
            continue;
        };
        let (value, next) = word(after.trim_start());
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = next.split_once(';')?.1;
    }
}

/// A quoted or a bare word, and what is behind it.
fn word(text: &str) -> (Cow<'_, str>, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        return text.split_at_checked(end).map_or((Cow::Borrowed(text), ""), |(word, rest)| (word.trim().into(), rest));
    };
    let mut escaped = false;
    let end = quoted.find(|c: char| {
        let closes = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        closes
    });
    let Some((inside, rest)) = end.and_then(|end| quoted.split_at_checked(end)) else { return (quoted.into(), "") };
    if !inside.contains('\\') {
        return (inside.into(), rest);
    }
    let mut plain = String::with_capacity(inside.len());
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        plain.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    (plain.into(), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"before\r\n--b\r\nContent-ID: <1@x>\r\nContent-Type: application/rlmi+xml;charset=\"UTF-8\"\r\n\r\n<list/>\r\n--bb\r\n\r\n--b \t\r\n\r\n\x00\xff--b\r\n\r\n--b--\r\nbehind\r\n--b--";

    #[test]
    fn parts_between_their_boundaries() {
        for kind in ["multipart/related;boundary=b", "Multipart/Related; type=\"application/rlmi+xml\"; BOUNDARY=\"b\""]
        {
            assert!(is_multipart(kind));
            let parts = parts(kind, BODY).unwrap();
            assert_eq!(parts.len(), 2, "{kind}");
            assert_eq!((parts[0].id, super::kind(parts[0].content_type)), ("1@x", "application/rlmi+xml"));
            assert_eq!(parameter(parts[0].content_type, "charset").as_deref(), Some("UTF-8"));
            assert_eq!(parts[0].body, b"<list/>\r\n--bb\r\n");
            // No header is no type; a part may hold any bytes, and a boundary only begins a line.
            assert_eq!(
                (parts[1].id, parts[1].content_type, parts[1].body),
                ("", "text/plain", &b"\x00\xff--b\r\n"[..])
            );
        }
        // Line ends without CR, as scripts write them.
        let bare: Vec<u8> = b"--b\nContent-ID: 2\n\nx\n--b--".to_vec();
        let parts = parts("multipart/mixed; boundary=b", &bare).unwrap();
        assert_eq!((parts[0].id, parts[0].body), ("2", &b"x"[..]));
    }

    #[test]
    fn what_is_refused() {
        assert_eq!(parts("multipart/related", BODY), Err(Fault::Broken));
        assert_eq!(parts("multipart/related;boundary=", BODY), Err(Fault::Broken));
        assert_eq!(parts("multipart/related;boundary=c", BODY), Err(Fault::Broken));
        assert_eq!(parts("multipart/related;boundary=b", b"--b\r\n\r\ncut off"), Err(Fault::Broken));
        assert_eq!(parts("multipart/related;boundary=b", b"--b\r\nA: b\r\n--b--"), Err(Fault::Broken));
        assert_eq!(
            parts("multipart/related;boundary=b", &"--b\r\n\r\n\r\n".repeat(PARTS + 2).into_bytes()),
            Err(Fault::Count)
        );
        assert_eq!(parts("multipart/related;boundary=b", &vec![b'-'; SIZE + 1]), Err(Fault::Size));
        for end in 0..BODY.len() {
            let _ = parts("multipart/related;boundary=b", &BODY[..end]);
        }
    }

    #[test]
    fn parameters_as_they_are_written() {
        let text = "a/b ; x ; y=1;z=\"q;\\\"w\";last = v ";
        for (name, value) in [("y", Some("1")), ("Z", Some("q;\"w")), ("last", Some("v")), ("x", None), ("none", None)]
        {
            assert_eq!(parameter(text, name).as_deref(), value, "{name}");
        }
        assert_eq!(parameter("a/b;y=\"open", "y").as_deref(), Some("open"));
        assert_eq!(parameter("a/b", "y"), None);
    }
}
