//! Filters as texts (RFC 4515) and as LDAP sends them (RFC 4511, 4.5.1.7), and how a value is written so that it stays one.

use super::ber::{put, put_bytes};

/// How deep brackets may stand in each other.
const DEPTH: usize = 16;

/// A value in a filter's text: what would be an operator is written as its bytes (RFC 4515, section 3).
#[must_use]
pub fn value(text: &str) -> String {
    escaped(text, |c| matches!(c, '(' | ')' | '*' | '\\') || c.is_control())
}

/// A value in a name's text (RFC 4514, 2.4), likewise.
#[must_use]
pub fn name(text: &str) -> String {
    let end = text.trim_end_matches(' ').len();
    let outer = |at: usize, c: char| (c == ' ' && at >= end) || (at == 0 && matches!(c, ' ' | '#'));
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        match c {
            _ if c.is_control() || outer(at, c) || matches!(c, '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=') => {
                hex(&mut out, c);
            }
            c => out.push(c),
        }
    }
    out
}

fn escaped(text: &str, special: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if special(c) { hex(&mut out, c) } else { out.push(c) }
    }
    out
}

fn hex(out: &mut String, c: char) {
    let mut bytes = [0; 4];
    for byte in c.encode_utf8(&mut bytes).bytes() {
        out.push_str(&format!("\\{byte:02x}"));
    }
}

/// Reads a filter's text and writes it as it is sent.
///
/// # Errors
/// A fragment that says what is wrong; never a value.
pub fn put_filter(out: &mut Vec<u8>, text: &str) -> Result<(), String> {
    let rest = one(out, text.trim(), 0)?;
    if rest.is_empty() { Ok(()) } else { Err("something stands behind the filter".to_owned()) }
}

/// One filter in its brackets; what stands behind it is given back.
fn one<'a>(out: &mut Vec<u8>, text: &'a str, depth: usize) -> Result<&'a str, String> {
    if depth > DEPTH {
        return Err("the filter is nested too deep".to_owned());
    }
    let open = text.strip_prefix('(').ok_or("a filter does not begin with a bracket")?;
    let close =
        |rest: &'a str| rest.strip_prefix(')').ok_or_else(|| "a bracket of the filter is not closed".to_owned());
    let (tag, mut rest) = match open.chars().next() {
        Some('&') => (0xa0, open.get(1..).unwrap_or_default()),
        Some('|') => (0xa1, open.get(1..).unwrap_or_default()),
        Some('!') => (0xa2, open.get(1..).unwrap_or_default()),
        _ => {
            let end = open.find(')').ok_or("a bracket of the filter is not closed")?;
            let (item, rest) = open.split_at_checked(end).unwrap_or((open, ""));
            put_item(out, item)?;
            return close(rest);
        }
    };
    let mut result = Ok(());
    let mut count = 0;
    put(out, tag, |inside| {
        while result.is_ok() && rest.starts_with('(') {
            count += 1;
            match one(inside, rest, depth + 1) {
                Ok(behind) => rest = behind,
                Err(why) => result = Err(why),
            }
        }
    });
    result?;
    match (tag, count) {
        (_, 0) => Err("an operator of the filter has nothing to join".to_owned()),
        (0xa2, 2..) => Err("\"!\" of the filter takes one".to_owned()),
        _ => close(rest),
    }
}

fn put_item(out: &mut Vec<u8>, item: &str) -> Result<(), String> {
    let (left, value) = item.split_once('=').ok_or("a part of the filter compares nothing")?;
    let (attribute, tag) = match left.as_bytes().last() {
        Some(b'>') => (left.trim_end_matches('>'), 0xa5),
        Some(b'<') => (left.trim_end_matches('<'), 0xa6),
        Some(b'~') => (left.trim_end_matches('~'), 0xa8),
        _ => (left, 0xa3),
    };
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | ';' | '.' | '_');
    if attribute.is_empty() || !attribute.chars().all(named) {
        return Err("a part of the filter names no attribute".to_owned());
    }
    if tag == 0xa3 && value == "*" {
        put_bytes(out, 0x87, attribute.as_bytes());
        return Ok(());
    }
    let parts = value.split('*').map(bytes).collect::<Result<Vec<_>, _>>()?;
    match parts.as_slice() {
        [whole] => put(out, tag, |out| {
            put_bytes(out, 4, attribute.as_bytes());
            put_bytes(out, 4, whole);
        }),
        [_, ..] if tag != 0xa3 => return Err("a \"*\" of the filter stands where none can be".to_owned()),
        parts => put(out, 0xa4, |out| {
            put_bytes(out, 4, attribute.as_bytes());
            put(out, 0x30, |out| {
                let last = parts.len() - 1;
                for (at, part) in parts.iter().enumerate().filter(|(_, part)| !part.is_empty()) {
                    let tag = if at == 0 {
                        0x80
                    } else if at == last {
                        0x82
                    } else {
                        0x81
                    };
                    put_bytes(out, tag, part);
                }
            });
        }),
    }
    Ok(())
}

/// A value's bytes: `\2a` is a byte.
fn bytes(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        if *byte == b'\\' {
            let digits = rest.get(..2).and_then(|two| std::str::from_utf8(two).ok());
            let value = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
            out.push(value.ok_or("a \"\\\" of the filter has no two digits")?);
            rest = rest.get(2..).unwrap_or_default();
        } else {
            out.push(*byte);
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(text: &str) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        put_filter(&mut out, text).map(|()| out)
    }

    #[test]
    fn a_filter_is_sent_as_the_protocol_says() {
        assert_eq!(sent("(uid=*)").unwrap(), b"\x87\x03uid");
        assert_eq!(sent("(uid=a)").unwrap(), b"\xa3\x08\x04\x03uid\x04\x01a");
        assert_eq!(sent("(n>=5)").unwrap(), b"\xa5\x06\x04\x01n\x04\x015");
        assert_eq!(sent(r"(cn=a\2a)").unwrap(), b"\xa3\x08\x04\x02cn\x04\x02a*");
        assert_eq!(sent("(m=a*b*c)").unwrap(), b"\xa4\x0e\x04\x01m\x30\x09\x80\x01a\x81\x01b\x82\x01c");
        assert_eq!(sent("(m=*b*)").unwrap(), b"\xa4\x08\x04\x01m\x30\x03\x81\x01b");
        assert_eq!(
            sent("(&(a=1)(!(b=2)))").unwrap(),
            b"\xa0\x12\xa3\x06\x04\x01a\x04\x011\xa2\x08\xa3\x06\x04\x01b\x04\x012"
        );
    }

    #[test]
    fn what_is_no_filter_is_refused_and_depth_ends() {
        let deep = "(!".repeat(100_000);
        for text in [
            "",
            "uid=a",
            "(uid=a",
            "(uid=a))",
            "(&)",
            "(!(a=1)(b=2))",
            "(=a)",
            "(u d=a)",
            r"(a=\zz)",
            r"(a=\2)",
            "(a>=1*2)",
            &deep,
        ] {
            assert!(sent(text).is_err(), "{}", text.get(..20).unwrap_or(text));
        }
    }

    #[test]
    fn a_value_stays_a_value() {
        let evil = "a)(uid=*))(|(uid=*\\\u{0}";
        let text = format!("(uid={})", value(evil));
        assert_eq!(text, r"(uid=a\29\28uid=\2a\29\29\28|\28uid=\2a\5c\00)");
        let out = sent(&text).unwrap();
        assert!(out.starts_with(&[0xa3]) && out.ends_with(evil.as_bytes()), "{out:?}");
        assert_eq!(name(" #a,b=c\\ "), r"\20#a\2cb\3dc\5c\20");
        assert_eq!(name("#a"), r"\23a");
        assert_eq!(name("陈静 (x)"), "陈静 (x)");
    }
}
