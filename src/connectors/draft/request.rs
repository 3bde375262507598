//! A request that somebody made by hand, as steps of a file have it: which part of it is the caller's number, and which is a key that nobody should read.

use crate::{
    numbers::{Class, Number, Plan},
    words::{percent, unpercent},
};

use super::{
    super::wire,
    Guess,
    yaml::{Entry, Node},
};

/// How the file signs in, with the variables that this needs.
#[derive(Clone, Default)]
pub struct SignIn {
    /// `auth:`, and `headers:` where there are others.
    pub entries: Vec<Entry>,
    pub variables: Vec<Entry>,
}

impl SignIn {
    /// A key in a header or in the query. `place` is `header` or `query`.
    pub fn key(id: &str, place: &str, name: &str, prefix: &str, guess: Guess) -> Self {
        let mut key = vec![Entry::new(place, Node::text(name))];
        if !prefix.is_empty() {
            key.push(Entry::new("prefix", Node::text(prefix)));
        }
        key.push(Entry::new("secret", Node::text("key")));
        let auth = Node::map([Entry::new("key", Node::Map(key))]);
        Self { entries: vec![Entry::new("auth", auth).guess(guess)], variables: vec![secret(id, "key")] }
    }

    pub fn basic(id: &str, guess: Guess) -> Self {
        let basic =
            Node::map([Entry::new("user", Node::text("{{ user }}")), Entry::new("secret", Node::text("password"))]);
        let user = Entry::new("user", Node::map([Entry::new("text", Node::text("linecard"))]));
        let auth = Entry::new("auth", Node::map([Entry::new("basic", basic)])).guess(guess);
        Self { entries: vec![auth], variables: vec![user, secret(id, "password")] }
    }

    pub fn client_credentials(id: &str, token_url: &str, scope: &str, guess: Guess) -> Self {
        let mut oauth2 = vec![
            Entry::new("token_url", Node::text(token_url)),
            Entry::new("client_id", Node::text("{{ client }}")),
            Entry::new("client_secret", Node::text("key")),
        ];
        if !scope.is_empty() {
            oauth2.push(Entry::new("scope", Node::text(scope)));
        }
        let client = Entry::new("client", Node::map([Entry::new("text", Node::text("linecard"))]));
        let auth = Entry::new("auth", Node::map([Entry::new("oauth2", Node::Map(oauth2))])).guess(guess);
        Self { entries: vec![auth], variables: vec![client, secret(id, "key")] }
    }

    /// From the headers of a request. What they hold of secrets is not repeated.
    pub fn from_headers(id: &str, headers: &[(String, String)]) -> Self {
        let mut others = Vec::new();
        let mut found = None;
        for (name, value) in headers {
            let lower = name.to_ascii_lowercase();
            let (scheme, _) = value.split_once(' ').unwrap_or(("", value));
            if lower == "authorization" && scheme.eq_ignore_ascii_case("basic") {
                found = Some(Self::basic(id, Guess::new(90, "the request has basic authentication")));
            } else if lower == "authorization" {
                let prefix = if scheme.is_empty() { String::new() } else { format!("{scheme} ") };
                found = Some(Self::key(
                    id,
                    "header",
                    name,
                    &prefix,
                    Guess::new(
                        85,
                        "the request has this header; does the key live for ever? If not: oauth2 or session",
                    ),
                ));
            } else if ["key", "token", "secret"].iter().any(|word| lower.contains(word)) {
                found = Some(Self::key(id, "header", name, "", Guess::new(85, "the request has this header")));
            } else if ["accept", "user-agent", "host", "content-type", "content-length", "cookie"]
                .contains(&lower.as_str())
            {
                // Ours, or a session's, which no file can hold.
            } else if lower.ends_with("version") || ["accept-language", "x-requested-with"].contains(&lower.as_str()) {
                others.push(Entry::new(name, Node::text(value)));
            } else if found.is_none() {
                let guess = Guess::new(60, "the request has this header, and only you know whether it is a secret");
                found = Some(Self::key(id, "header", name, "", guess));
            } else {
                let guess = Guess::new(0, "what it held may be a secret and is not repeated: what is it?");
                others.push(Entry::new(name, Node::text("")).guess(guess));
            }
        }
        let mut sign_in = found.unwrap_or_default();
        if !others.is_empty() {
            sign_in.entries.push(Entry::new("headers", Node::Map(others)));
        }
        sign_in
    }
}

fn secret(id: &str, name: &str) -> Entry {
    let place: String =
        id.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    let place = format!("{place}_{}", name.to_ascii_uppercase());
    Entry::new(name, Node::map([Entry::new("secret", Node::map([Entry::new("env", Node::text(&place))]))]))
}

/// An address taken apart: where the system is, and a step's `path` and `query`.
pub struct Asked {
    pub base_url: String,
    pub path: Entry,
    pub query: Option<Entry>,
    /// A key in the query.
    pub sign_in: Option<SignIn>,
}

/// What may be the caller's number in an address: each part and each value that can be called.
pub fn numbers(address: &str, plan: &Plan) -> Vec<Number> {
    let parts = address.split(['/', '?', '&', '=']).map(|part| plan.read(&String::from_utf8_lossy(&unpercent(part))));
    parts.filter(|number| callable(number.class)).collect()
}

/// A line that rings somewhere, in a plan of its own.
pub fn callable(class: Class) -> bool {
    use Class::{Geographic, GeographicOrMobile, International, Mobile, SharedCost, TollFree};
    matches!(class, Mobile | Geographic | GeographicOrMobile | SharedCost | TollFree | International)
}

/// Reads a whole address. `phones` are the numbers in the answer: what is equal to one of them in the address is what was asked for.
///
/// # Errors
/// It is no web address.
pub fn asked(id: &str, address: &str, phones: &[String], plan: &Plan) -> Result<Asked, String> {
    let wrong = || "the address is no whole one: https://host/path?name=value".to_owned();
    let (scheme, rest) = address.trim().split_once("://").ok_or_else(wrong)?;
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, rest) = rest.split_at_checked(at).ok_or_else(wrong)?;
    if !["http", "https"].contains(&scheme) || host.is_empty() || host.contains('@') {
        return Err(wrong());
    }
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = if path.is_empty() { "/" } else { path };
    let numbers: Vec<_> = phones.iter().map(|phone| plan.read(phone)).collect();
    let number = |text: &str| -> Option<(String, Guess)> {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let found = numbers.iter().find(|number| plan.read(text).same_line(number));
        if found.is_some() && digits.len() > 6 {
            let template = if text.starts_with('+') { "{{ number.e164 }}" } else { "{{ number.national }}" };
            return Some((template.to_owned(), Guess::new(90, "the number of the sample's caller stands here")));
        }
        // The last digits of it.
        let tail = (7..=10).contains(&digits.len())
            && digits == text
            && numbers.iter().any(|number| number.key().is_some_and(|key| key.ends_with(&digits)));
        if !tail && digits.len() > 9 && callable(plan.read(text).class) {
            let why = "it can be called: is it the caller's number?";
            return Some(("{{ number.national }}".to_owned(), Guess::new(60, why)));
        }
        tail.then(|| {
            (
                format!("{{{{ number.national[-{}:] }}}}", digits.len()),
                Guess::new(80, "the last digits of the caller's number stand here"),
            )
        })
    };
    let mut guess = None;
    let parts: Vec<String> = path
        .split('/')
        .map(|part| match number(&String::from_utf8_lossy(&unpercent(part))) {
            Some((template, why)) => {
                guess = Some(why);
                template
            }
            None => path_literal(part),
        })
        .collect();
    let path = Entry::new("path", Node::text(&parts.join("/"))).guess(guess);
    let mut entries = Vec::new();
    let mut sign_in = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (wire::decoded(name), wire::decoded(value));
        let lower = name.to_ascii_lowercase();
        if ["key", "token", "secret", "sign"].iter().any(|word| lower.contains(word)) {
            sign_in = Some(SignIn::key(id, "query", &name, "", Guess::new(80, "its name is that of a key")));
            continue;
        }
        let entry = match number(&value) {
            Some((template, why)) => Entry::new(&name, Node::text(&template)).guess(why),
            None => Entry::new(&name, Node::text(&literal(&value))),
        };
        entries.push(entry);
    }
    let query = (!entries.is_empty()).then(|| Entry::new("query", Node::Map(entries)));
    Ok(Asked { base_url: format!("{scheme}://{host}"), path, query, sign_in })
}

/// A stranger's text as a template that gives just that text.
pub fn literal(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = ["{{", "{%", "{#"].iter().filter_map(|mark| rest.find(mark)).min() {
        let (before, after) = rest.split_at_checked(at).unwrap_or((rest, ""));
        let (mark, after) = after.split_at_checked(2).unwrap_or((after, ""));
        out.push_str(&format!("{before}{{{{ '{mark}' }}}}"));
        rest = after;
    }
    out.push_str(rest);
    out
}

/// A part of a path, as it is sent: braces have no place in one (RFC 3986, appendix A).
pub fn path_literal(part: &str) -> String {
    let sent =
        |c: char| if "{} ".contains(c) || c.is_control() { percent(c.encode_utf8(&mut [0; 4])) } else { c.to_string() };
    part.chars().map(sent).collect()
}
