//! What is wrong with the attributes that a switch's file asks for; the same for every kind of switch, but each kind tells other things.

use crate::calls::attributes::{Kind, MAPPINGS, Mapping, Recordings, Source, WHOLE_CAP};

/// Of a variable's name.
const VARIABLE: &str = "letters, digits and \"_\", without the \"_\" in front that make it inherited";
const WORD: &str = "letters, digits, \"_\" and \"-\"";

fn variable(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('_') && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Told as key, what was found, what would be right. `not_told` says of a source that this switch never tells it: found, and right.
pub fn problems(
    list: &[Mapping],
    key: &str,
    not_told: impl Fn(&Source) -> Option<(&'static str, &'static str)>,
    wrong: &mut impl FnMut(&str, String, &str),
) {
    if list.len() > MAPPINGS {
        wrong(key, format!("there are {}", list.len()), "64 at most");
    }
    let whole = list.iter().fold(0, |sum: usize, m| sum.saturating_add(m.cap));
    if whole > WHOLE_CAP {
        let found = format!("all caps together are {whole} characters");
        wrong(key, found, "16384 at most: a caller must not be able to fill the memory");
    }
    for (i, m) in list.iter().enumerate() {
        let at = |part: &str| format!("{key}[{i}].{part}");
        let named = !m.name.is_empty()
            && m.name.len() <= 64
            && m.name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if !named {
            let wanted = "1 to 64 letters, digits, \".\", \"_\" and \"-\", for example \"ivr.account\"";
            wrong(&at("name"), "this is no name of an attribute".into(), wanted);
        }
        // Two sources may feed one attribute, but it is one attribute: of one type, with one use.
        let alike = |o: &Mapping| {
            (o.secret, o.writable, o.flows, o.purpose, &o.kind, o.cap)
                == (m.secret, m.writable, m.flows, m.purpose, &m.kind, m.cap)
        };
        let before = list.iter().take(i).find(|o| o.name == m.name);
        if before.is_some_and(|o| !alike(o) || o.from.is_none() || m.from.is_none()) {
            let wanted = "for a second source: the same type, cap, use, secret, writable and flows as above";
            wrong(&at("name"), format!("{:?} stands above with other words", m.name), wanted);
        }
        if !(1..=4096).contains(&m.cap) {
            wrong(&at("cap"), format!("found {}", m.cap), "1 to 4096 characters");
        }
        if m.from.is_none() && !m.writable && !m.flows {
            let wanted = "add \"from\", \"writable: true\" (agents) or \"flows: true\"";
            wrong(&at("from"), "nobody gives this attribute a value".into(), wanted);
        }
        if m.from.is_none() && !m.decode.is_empty() {
            wrong(&at("decode"), "what agents and flows write is not packed".into(), "no \"decode\" without \"from\"");
        }
        if m.secret && m.writable {
            let found = "a secret is not shown, so nobody can write it";
            wrong(&at("writable"), found.into(), "\"secret\" or \"writable\"");
        }
        if m.secret && m.flows {
            let found = "what a flow writes is in the record, and a secret is not";
            wrong(&at("flows"), found.into(), "\"secret\" or \"flows\"");
        }
        if m.secret && m.purpose.is_none() {
            let wanted = "\"use: account\": a secret is there to look up by, and for nothing else";
            wrong(&at("secret"), "nothing could be done with it".into(), wanted);
        }
        if let Kind::Choice(list) = &m.kind
            && (list.is_empty() || list.iter().any(|one| one.is_empty() || one.chars().count() > m.cap))
        {
            wrong(
                &at("type.choice"),
                "no choice, or an empty or too long one".into(),
                "texts of 1 to \"cap\" characters",
            );
        }
        let Some(source) = &m.from else { continue };
        if let Some((found, wanted)) = not_told(source) {
            wrong(&at(&format!("from.{}", named_in_files(source))), found.into(), wanted);
            continue;
        }
        source_problems(source, &at, wrong);
    }
}

fn source_problems(source: &Source, at: &impl Fn(&str) -> String, wrong: &mut impl FnMut(&str, String, &str)) {
    let word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    match source {
        Source::Variable(name) => {
            if !variable(name) {
                wrong(&at("from.variable"), "this is no channel variable".into(), VARIABLE);
            }
        }
        Source::UserEvent(u) => {
            // FreeSWITCH's subclasses have colons in them: `crm::customer`.
            if !word(&u.event.replace(':', "")) {
                wrong(&at("from.user-event.event"), "this is no name of an event".into(), WORD);
            }
            if !word(&u.header) {
                wrong(&at("from.user-event.header"), "this is no name of a header".into(), WORD);
            }
        }
        Source::Digits(d) => {
            if d.end.is_some_and(|end| !end.is_ascii_digit() && !"*#ABCD".contains(end)) {
                wrong(&at("from.digits.end"), "this is no key of a phone".into(), "\"#\" or \"*\", quoted");
            }
            if d.max.is_some_and(|max| !(1..=64).contains(&max)) {
                wrong(&at("from.digits.max"), format!("found {}", d.max.unwrap_or(0)), "1 to 64 digits");
            }
            if d.gap_ms.is_some_and(|gap| !(500..=60_000).contains(&gap)) {
                wrong(&at("from.digits.gap_ms"), format!("found {}", d.gap_ms.unwrap_or(0)), "500 to 60000");
            }
        }
        Source::SipHeader(name) => {
            if !word(name) {
                let wanted = "letters, digits, \"_\" and \"-\", for example X-Account or User-to-User";
                wrong(&at("from.sip-header"), "this is no name of a header".into(), wanted);
            }
        }
    }
}

/// The same for recordings.
pub fn recording_problems(r: &Recordings, key: &str, wrong: &mut impl FnMut(&str, String, &str)) {
    if !variable(&r.variable) {
        wrong(&format!("{key}.variable"), "this is no channel variable".into(), VARIABLE);
    }
    if let Some(uri) = &r.uri
        && web_address(uri).is_none()
        && uri.strip_prefix("file:///").is_none_or(|rest| rest.bytes().any(|b| b.is_ascii_control()))
    {
        let wanted = "http://, https:// or file:/// and the folder of the recordings, without query";
        wrong(&format!("{key}.uri"), "this is no address of recordings".into(), wanted);
    }
}

/// Secure or not, and the url as it is used (no slash at its end); `None` when it is not one we can use.
pub(super) fn web_address(text: &str) -> Option<(bool, String)> {
    let (secure, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return None,
    };
    let usable = |b: u8| b.is_ascii_alphanumeric() || b"-._~:[]/".contains(&b);
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.is_empty() || !rest.bytes().all(usable) {
        return None;
    }
    Some((secure, text.trim_end_matches('/').to_owned()))
}

const fn named_in_files(source: &Source) -> &'static str {
    match source {
        Source::Variable(_) => "variable",
        Source::UserEvent(_) => "user-event",
        Source::Digits(_) => "digits",
        Source::SipHeader(_) => "sip-header",
    }
}
