//! Values inside SIP headers: addresses, URIs, Via, parameters.
//!
//! Read by hand because rsip 0.4 cannot hold IPv6 hosts, user parts with parameters or URIs of other schemes. Strict where a
//! wrong reading could make a call somebody else's (two addresses in a From, an open quote), lenient where devices are known to be sloppy
//! (spaces around separators, one trailing semicolon). Nothing here recurses, and each value is read in one pass.

// An address as a value: nothing is opened.
use core::net::Ipv6Addr;
use std::{borrow::Cow, fmt};

/// `;name=value` in order. Names are compared without case (RFC 3261, 7.3.1).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Params(Vec<(Box<str>, Option<Box<str>>)>);

impl Params {
    /// The value, unquoted; empty where the parameter stands alone (`;lr`).
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name))?;
        Some(value.as_deref().unwrap_or_default())
    }

    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(name, value)| (&**name, value.as_deref()))
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn read<'a>(pieces: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut all = Vec::new();
        each_param(pieces, |name, value| all.push((name.into(), value.map(|v| v.into_owned().into_boxed_str()))))?;
        Some(Self(all))
    }
}

/// Pieces between semicolons, as they stand. `None` if one of them is nothing a parameter could be; the last may be empty (a trailing semicolon).
fn each_param<'a>(
    mut pieces: impl Iterator<Item = &'a str>,
    mut each: impl FnMut(&'a str, Option<Cow<'a, str>>),
) -> Option<()> {
    while let Some(piece) = pieces.next() {
        let piece = trimmed(without_comment(piece));
        if piece.is_empty() {
            return pieces.next().is_none().then_some(());
        }
        let (name, value) = match split_once(piece, b'=') {
            Some((name, value)) => (trimmed(name), Some(value.trim_start())),
            None => (piece, None),
        };
        if !is_token(name) {
            return None;
        }
        let value = match value {
            Some(quoted) if quoted.starts_with('"') => Some(unquote(quoted)?),
            Some(plain) => Some(Cow::Borrowed(plain)),
            None => None,
        };
        each(name, value);
    }
    Some(())
}

/// A SIP, SIPS or tel URI taken apart; of any other scheme all that follows it stands in `host`. Prints as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uri {
    /// In small letters.
    pub scheme: Box<str>,
    /// Percent-decoded, without the password and without the user part's own parameters (`user;par=x@host`). The number of a tel URI.
    pub user: Option<String>,
    /// As written; an IPv6 address without its brackets. Empty for tel.
    pub host: String,
    pub port: Option<u16>,
    pub params: Params,
    /// What stands behind `?`, names and values percent-decoded.
    pub headers: Vec<(String, String)>,
    text: Box<str>,
}

impl Uri {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// sip, sips and tel are what we can act on (RFC 3261, 21.4.14: 416 for others).
    #[must_use]
    pub fn is_known(&self) -> bool {
        matches!(&*self.scheme, "sip" | "sips" | "tel")
    }

    /// The number of a tel URI, else the user.
    #[must_use]
    pub fn user(&self) -> &str {
        self.user.as_deref().unwrap_or_default()
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// `"Display" <uri>;params`, or `uri;params` (then the parameters are the header's: RFC 3261, 20.10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Unquoted; absent where it is empty.
    pub display: Option<String>,
    pub uri: Uri,
    pub params: Params,
}

impl Address {
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.params.get("tag")
    }
}

/// One Via value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// In capitals: UDP, TCP, TLS, WS, WSS, or what it says.
    pub transport: String,
    pub host: String,
    pub port: Option<u16>,
    pub branch: Option<String>,
    pub params: Params,
}

/// Reads one address; `None` where it is not exactly one.
#[must_use]
pub fn address(text: &str) -> Option<Address> {
    let (display, spec, params) = address_parts(text)?;
    let display = match display.starts_with('"') {
        true => unquote(display)?.into_owned(),
        false => display.to_owned(),
    };
    Some(Address { display: Some(display).filter(|d| !d.is_empty()), uri: uri(spec)?, params: Params::read(params)? })
}

/// Is this one address? The same as [`address`], and nothing of it is kept but what `each` takes of its parameters. Gives its URI.
pub fn address_checked<'a>(text: &'a str, each: impl FnMut(&'a str, Option<Cow<'a, str>>)) -> Option<&'a str> {
    let (_, spec, params) = address_parts(text)?;
    uri_parts(spec)?;
    each_param(params, each)?;
    Some(spec)
}

/// The name as written, the URI, and the pieces of the parameters.
fn address_parts(text: &str) -> Option<(&str, &str, Pieces<'_>)> {
    let text = trimmed(text);
    let (display, rest) = if text.starts_with('"') {
        let (quoted, rest) = text.split_at_checked(closing_quote(text)?)?;
        (quoted, rest.trim_start().strip_prefix('<')?)
    } else if let Some((display, rest)) = split_once(text, b'<') {
        // A comma here means two addresses, or a name that had to be quoted (RFC 4475, 3.1.2.15); nobody can tell which.
        if display.bytes().any(|b| matches!(b, b',' | b';' | b'"' | b'>')) {
            return None;
        }
        (trimmed(display), rest)
    } else {
        let mut pieces = pieces(text, b';');
        let spec = trimmed(pieces.next()?);
        // RFC 3261, 20: a URI with `?`, `,` or `;` must stand in `<>`.
        if spec.bytes().any(|b| matches!(b, b'?' | b',')) {
            return None;
        }
        return Some(("", spec, pieces));
    };
    let (inside, after) = split_once(rest, b'>')?;
    let mut pieces = pieces(after, b';');
    let between = pieces.next()?;
    if !between.is_empty() && !without_comment(between).trim().is_empty() {
        return None;
    }
    Some((display, trimmed(inside), pieces))
}

/// Like `str`'s, for signs of ASCII.
fn split_once(text: &str, sign: u8) -> Option<(&str, &str)> {
    // Values are short: a loop is done before a search at memory speed has begun.
    let at = text.bytes().position(|b| b == sign)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// Reads a URI of any scheme; sip, sips and tel are taken apart.
#[must_use]
pub fn uri(text: &str) -> Option<Uri> {
    let parts = uri_parts(text)?;
    Some(Uri {
        scheme: parts.scheme.to_ascii_lowercase().into_boxed_str(),
        user: parts.user.map(decoded),
        host: parts.host.to_owned(),
        port: parts.port,
        params: uri_params(parts.params)?,
        headers: uri_headers(parts.headers),
        text: text.into(),
    })
}

/// Whether [`uri`] reads it.
#[must_use]
pub fn is_uri(text: &str) -> bool {
    uri_parts(text).is_some()
}

/// A URI where it stands.
struct UriParts<'a> {
    scheme: &'a str,
    /// Not decoded yet, and not empty.
    user: Option<&'a str>,
    host: &'a str,
    port: Option<u16>,
    /// Between semicolons, each with a name or empty.
    params: &'a str,
    headers: &'a str,
}

fn uri_parts(text: &str) -> Option<UriParts<'_>> {
    let (scheme, rest) = split_once(text, b':')?;
    let mut letters = scheme.bytes();
    if !letters.next()?.is_ascii_alphabetic()
        || !letters.all(|c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'-' | b'.'))
        || rest.is_empty()
        || rest.bytes().any(|b| NO_URI[usize::from(b)])
    {
        return None;
    }
    let found = UriParts { scheme, user: None, host: rest, port: None, params: "", headers: "" };
    let (user, rest) = match scheme {
        _ if scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips") => {
            // A user part may hold `;`, `?` and `/`, so the `@` is looked for first (RFC 4475, 3.1.1.2).
            match split_once(rest, b'@') {
                Some((info, rest)) => {
                    let end = info.bytes().position(|b| matches!(b, b':' | b';')).unwrap_or(info.len());
                    (info.get(..end).filter(|user| !user.is_empty()), rest)
                }
                None => (None, rest),
            }
        }
        _ if scheme.eq_ignore_ascii_case("tel") => {
            let (number, params) = split_once(rest, b';').unwrap_or((rest, ""));
            let good = !number.is_empty() && are_uri_params(params);
            return good.then_some(UriParts { user: Some(number), host: "", params, ..found });
        }
        _ => return Some(found),
    };
    let (rest, headers) = split_once(rest, b'?').unwrap_or((rest, ""));
    let (host, params) = split_once(rest, b';').unwrap_or((rest, ""));
    let (host, port) = host_port(host)?;
    are_uri_params(params).then_some(UriParts { scheme, user, host, port, params, headers })
}

/// Signs that stand in no URI.
static NO_URI: [bool; 256] = {
    let mut signs = [false; 256];
    let mut n = 0;
    while n < 256 {
        signs[n] = n <= b' ' as usize || matches!(n as u8, 0x7f | b'<' | b'>' | b'"');
        n += 1;
    }
    signs
};

/// One Via value (RFC 3261, 20.42), spaces anywhere the grammar has them.
#[must_use]
pub fn via(text: &str) -> Option<Via> {
    let (transport, (host, port), pieces) = via_parts(text)?;
    let params = Params::read(pieces)?;
    let branch = params.get("branch").map(str::to_owned);
    Some(Via { transport: transport.to_ascii_uppercase(), host: host.to_owned(), port, branch, params })
}

/// Is this one Via? The same as [`via`], and nothing of it is kept but what `each` takes of its parameters. Gives its host and port.
pub fn via_checked<'a>(
    text: &'a str,
    each: impl FnMut(&'a str, Option<Cow<'a, str>>),
) -> Option<(&'a str, Option<u16>)> {
    let (_, place, pieces) = via_parts(text)?;
    each_param(pieces, each)?;
    Some(place)
}

#[allow(clippy::type_complexity, reason = "transport, host and port, and the pieces of the parameters")]
fn via_parts(text: &str) -> Option<(&str, (&str, Option<u16>), Pieces<'_>)> {
    let mut pieces = pieces(text, b';');
    let (protocol, rest) = split_once(pieces.next()?, b'/')?;
    let (version, rest) = split_once(rest, b'/')?;
    let rest = rest.trim_start();
    let at = rest.bytes().position(|b| matches!(b, b' ' | b'\t'))?;
    let (transport, sent_by) = rest.split_at_checked(at)?;
    if !trimmed(protocol).eq_ignore_ascii_case("SIP") || !is_token(trimmed(version)) || !is_token(transport) {
        return None;
    }
    Some((transport, host_port(trimmed(without_comment(sent_by.get(1..)?)))?, pieces))
}

/// The top Via of an answer: a bare `rport` gets the port the request came from, and `received` its address (RFC 3581, 4). `received` is also
/// added where the host that the sender put there is another (RFC 3261, 18.2.1).
#[must_use]
pub fn via_with_source(line: &str, (host, port): (&str, u16)) -> String {
    let mut values = pieces(line, b',');
    let top = values.next().unwrap_or_default();
    let bare = pieces(top, b';').any(|p| p.trim().eq_ignore_ascii_case("rport"));
    let mut text = String::with_capacity(line.len() + 48);
    for piece in pieces(top, b';') {
        let name = piece.split('=').next().unwrap_or_default().trim();
        // A trailing semicolon would stand in the middle now.
        if name.is_empty() || name.eq_ignore_ascii_case("received") {
            continue;
        }
        if !text.is_empty() {
            text.push(';');
        }
        if piece.trim().eq_ignore_ascii_case("rport") {
            text.push_str(&format!("rport={port}"));
        } else {
            text.push_str(piece.trim());
        }
    }
    if bare || via(top).is_none_or(|v| v.host != host) {
        text.push_str(&format!(";received={host}"));
    }
    for value in values {
        text.push_str(", ");
        text.push_str(value.trim());
    }
    text
}

/// Parameters alone: what follows a token such as `active;expires=60` in Subscription-State, Event or Content-Type.
#[must_use]
pub fn token_and_params(text: &str) -> Option<(&str, Params)> {
    let mut pieces = pieces(text, b';');
    let token = trimmed(pieces.next()?);
    Some((token, Params::read(pieces)?))
}

/// The same, with one parameter of them and nothing kept.
#[must_use]
pub fn token_and_param<'a>(text: &'a str, name: &str) -> Option<(&'a str, Option<Cow<'a, str>>)> {
    let mut pieces = pieces(text, b';');
    let token = trimmed(pieces.next()?);
    let mut found = None;
    each_param(pieces, |known, value| {
        if found.is_none() && known.eq_ignore_ascii_case(name) {
            found = Some(value.unwrap_or_default());
        }
    })?;
    Some((token, found))
}

/// `name=value, name="value"` of a challenge. Names as written, values unquoted.
#[must_use]
pub fn comma_params(text: &str) -> Option<Params> {
    Params::read(pieces(text, b','))
}

/// `str::trim`, and nearly nothing where there is nothing to trim.
#[must_use]
pub fn trimmed(text: &str) -> &str {
    match text.as_bytes() {
        [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => text,
        _ => text.trim(),
    }
}

/// Splits at commas that stand in no quotes, no `<>` and no comment.
#[must_use]
pub fn list(text: &str) -> Vec<&str> {
    each_of(text).collect()
}

/// The same, one by one.
pub fn each_of(text: &str) -> impl Iterator<Item = &str> {
    pieces(text, b',').map(trimmed)
}

/// RFC 3261, 25.1.
#[must_use]
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| TOKEN[usize::from(b)])
}

/// The signs of a token.
pub static TOKEN: [bool; 256] = {
    let mut signs = [false; 256];
    let mut n = 0;
    while n < 256 {
        let sign = n as u8;
        signs[n] = sign.is_ascii_alphanumeric()
            || matches!(sign, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~');
        n += 1;
    }
    signs
};

/// Splits at `separator`, which is an ASCII sign. A comment is only one behind a space: user parts may hold brackets.
fn pieces(text: &str, separator: u8) -> Pieces<'_> {
    let plain = text.bytes().all(|b| !matches!(b, b'"' | b'<' | b'('));
    Pieces { rest: Some(text), separator, plain, before: b' ' }
}

struct Pieces<'a> {
    rest: Option<&'a str>,
    separator: u8,
    /// It has no sign in which a separator could stand.
    plain: bool,
    /// The sign before `rest`.
    before: u8,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest?;
        let end = match self.plain {
            true => rest.bytes().position(|b| b == self.separator),
            false => separator(rest.as_bytes(), self.separator, self.before),
        };
        self.before = self.separator;
        let Some(end) = end else {
            self.rest = None;
            return Some(rest);
        };
        self.rest = rest.get(end + 1..);
        rest.get(..end)
    }
}

/// Where the next separator is that stands in no quotes, no `<>` and no comment.
fn separator(bytes: &[u8], separator: u8, mut before: u8) -> Option<usize> {
    let (mut quoted, mut angle, mut comment, mut escaped) = (false, false, 0usize, false);
    for (at, &byte) in bytes.iter().enumerate() {
        if escaped {
            escaped = false;
        } else if quoted {
            match byte {
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => {}
            }
        } else if comment > 0 {
            match byte {
                b'\\' => escaped = true,
                b'(' => comment += 1,
                b')' => comment -= 1,
                _ => {}
            }
        } else if angle {
            angle = byte != b'>';
        } else {
            match byte {
                b'"' => quoted = true,
                b'<' => angle = true,
                b'(' if matches!(before, b' ' | b'\t') => comment = 1,
                b if b == separator => return Some(at),
                _ => {}
            }
        }
        before = byte;
    }
    None
}

/// What stands before ` (a comment)`.
fn without_comment(text: &str) -> &str {
    if text.bytes().all(|b| b != b'(') || text.contains('"') {
        return text;
    }
    text.find(" (").and_then(|at| text.get(..at)).unwrap_or(text)
}

/// One past the quote that closes the one at the start.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The inside of a quoted string that is all of `text`.
fn unquote(text: &str) -> Option<Cow<'_, str>> {
    let text = text.trim();
    if closing_quote(text)? != text.len() {
        return None;
    }
    let inside = text.strip_prefix('"')?.strip_suffix('"')?;
    if !inside.contains('\\') {
        return Some(Cow::Borrowed(inside));
    }
    let (mut plain, mut escaped) = (String::with_capacity(inside.len()), false);
    for c in inside.chars() {
        if !escaped && c == '\\' {
            escaped = true;
        } else {
            plain.push(c);
            escaped = false;
        }
    }
    Some(Cow::Owned(plain))
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`. An IPv6 address without brackets is refused (RFC 5118, 4.2).
fn host_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        let port = port.trim_start();
        (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
    } else {
        let (host, port) = match split_once(text, b':') {
            Some((host, port)) => (host.trim_end(), Some(port)),
            None => (text, None),
        };
        if host.is_empty() || !host.bytes().all(|b| HOST[usize::from(b)]) {
            return None;
        }
        (host, port)
    };
    let port = match port.map(str::trim) {
        None => None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
        Some(_) => return None,
    };
    Some((host, port))
}

/// The signs of a host's name.
static HOST: [bool; 256] = {
    let mut signs = [false; 256];
    let mut n = 0;
    while n < 256 {
        signs[n] = (n as u8).is_ascii_alphanumeric() || matches!(n as u8, b'-' | b'.' | b'_');
        n += 1;
    }
    signs
};

/// Of a URI: empty ones are skipped, values stay as written.
fn uri_params(text: &str) -> Option<Params> {
    let mut all = Vec::new();
    for part in text.split(';').filter(|p| !p.is_empty()) {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (part, None),
        };
        if name.is_empty() {
            return None;
        }
        all.push((name.into(), value.map(Into::into)));
    }
    Some(Params(all))
}

/// Whether each has a name.
fn are_uri_params(text: &str) -> bool {
    text.is_empty() || text.split(';').all(|part| !part.starts_with('='))
}

fn uri_headers(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (decoded(name), decoded(value))
        })
        .collect()
}

/// Percent-decoded; what is no escape stays (RFC 4475, 3.1.1.5). `%00` is a sign like any other.
#[must_use]
pub fn decoded(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    super::normal::text(&crate::words::unpercent(text)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_taken_apart_as_the_rfcs_write_them() {
        let u = uri("sip:+8613800138000;phone-context=x@pbx.lab:5070;transport=TCP;lr?Replaces=a%40b%3Bto-tag%3D1&X=y")
            .unwrap();
        assert_eq!((u.user(), &*u.host, u.port), ("+8613800138000", "pbx.lab", Some(5070)));
        assert_eq!((u.params.get("Transport"), u.params.get("lr")), (Some("TCP"), Some("")));
        assert_eq!(u.headers, [("Replaces".into(), "a@b;to-tag=1".into()), ("X".into(), "y".into())]);
        let u = uri("SIPS:[2001:db8::9:1]:5061").unwrap();
        assert_eq!((&*u.scheme, &*u.host, u.port, u.user.as_deref()), ("sips", "2001:db8::9:1", Some(5061), None));
        let u = uri("tel:+86-10-8555-1001;ext=12").unwrap();
        assert_eq!((u.user(), u.params.get("ext")), ("+86-10-8555-1001", Some("12")));
        let u = uri("sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com").unwrap();
        assert_eq!((u.user(), &*u.host), ("1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/", "example.com"));
        assert_eq!(uri("sip:null-%00-null@example.com").unwrap().user(), "null-\0-null");
        assert_eq!(uri("sip:%E5%BC%A0@example.com").unwrap().user(), "张");
        assert_eq!(uri("sip:%Z%45@example.com").unwrap().user(), "%ZE");
        assert_eq!(uri("http://www.example.com").unwrap().host, "//www.example.com");
        for wrong in [
            "",
            "sip:",
            "sip:2001:db8::10",
            "sip:[2001:db8::10",
            "sip:a b@c",
            "sip:x@",
            "sip:x:y:z",
            "sip:h:70000",
            "no",
            ":x",
        ] {
            assert_eq!(uri(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_address_is_exactly_one() {
        let a = address("\"J Rosenberg \\\\\\\"\"   <sip:jdrosen@lucent.com> ; tag = 98asjd8").unwrap();
        assert_eq!(
            (a.display.as_deref(), a.tag(), a.uri.user()),
            (Some("J Rosenberg \\\""), Some("98asjd8"), "jdrosen")
        );
        let a = address("sip:+19725552222@gw1.example.net;unknownparam").unwrap();
        assert!(a.params.has("unknownparam") && a.uri.params.is_empty());
        let a = address("caller<sip:caller@example.com;x=\"\">").is_none();
        assert!(a);
        let a = address("A. Bell <sip:a.g.bell@bell-tel.com;tag=no>;tag=\"yes\"").unwrap();
        assert_eq!((a.display.as_deref(), a.tag()), (Some("A. Bell"), Some("yes")));
        for wrong in [
            "Bell, Alexander <sip:a@b>",
            "\"open <sip:a@b>",
            "sip:user@example.com?Route=%3Csip:sip.example.com%3E",
            "<sip:a@b> x;tag=1",
            "<sip:a@b>;;tag=1",
            "\"\" <>",
            "sip:a@b, sip:c@d",
            "",
        ] {
            assert_eq!(address(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn via_takes_spaces_and_ipv6_and_no_stray_separators() {
        let v = via("SIP   /  2.0/  udp   135.180.130.133 : 5062 ; branch = z9hG4bK1 ; hidden").unwrap();
        assert_eq!(
            (&*v.transport, &*v.host, v.port, v.branch.as_deref()),
            ("UDP", "135.180.130.133", Some(5062), Some("z9hG4bK1"))
        );
        let v = via("SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKas3-111").unwrap();
        assert_eq!((&*v.host, v.params.get("received")), ("2001:db8::9:1", Some("[2001:db8::9:255]")));
        for wrong in
            ["SIP/2.0/UDP 192.0.2.15;;", "SIP/2.0/UDP", "SIP/2.0 host", "HTTP/1.1/TCP host", "", "SIP/2.0/UDP a b"]
        {
            assert_eq!(via(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn lists_are_split_outside_quotes_brackets_and_comments() {
        let text = "\"a, \\\"b\" <sip:x@y;z=1,2>;q=0.3 (((n, e) and (m)))  , tel:4443322,<sip:a(b@c>";
        assert_eq!(list(text), ["\"a, \\\"b\" <sip:x@y;z=1,2>;q=0.3 (((n, e) and (m)))", "tel:4443322", "<sip:a(b@c>"]);
        assert_eq!(address(list(text)[0]).unwrap().params.get("q"), Some("0.3"));
    }
}
