//! Requests that failed, masked, to hand to a vendor: what was asked for by the file's own words, what came back, how long it took. No secret and nobody's data is in it.
//!
//! Of the request there is what the file says (the path's template, names of parameters), never a value. Of the answer there is its shape, and texts only where a name says that they are
//! about the error; in those, digits, quotations and addresses are blotted out, and so is everything that was an input of the question.

pub mod live;

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Outcome;
use crate::words::Wall;

/// So many of each system are kept.
pub const KEPT: usize = 64;
const TEXT: usize = 400;
const DEPTH: usize = 12;
const ENTRIES: usize = 40;
/// Names (without case and separators) under which systems put what they say of an error.
const ABOUT_ERRORS: [&str; 18] = [
    "error",
    "errors",
    "errorcode",
    "errcode",
    "errmsg",
    "errormessage",
    "errordescription",
    "message",
    "msg",
    "code",
    "status",
    "reason",
    "detail",
    "details",
    "fault",
    "faultcode",
    "faultstring",
    "type",
];
/// Headers that help a vendor to find the request, and say nothing of anybody.
const HEADERS: [&str; 9] = [
    "date",
    "content-type",
    "content-length",
    "retry-after",
    "server",
    "via",
    "deprecation",
    "sunset",
    "transfer-encoding",
];
const HEADER_PARTS: [&str; 6] = ["ratelimit", "rate-limit", "request-id", "requestid", "trace", "correlation"];

/// One request that failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    pub at: Wall,
    pub operation: String,
    pub step: String,
    pub method: String,
    /// As the file writes it: a template, or a path without anything of the call.
    pub path: String,
    /// Names of the parameters.
    pub query: Vec<String>,
    /// Absent: no answer came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    pub outcome: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Waiting for a limit is no part of it.
    pub took_ms: u64,
}

/// What a run saw of a request that failed.
pub struct Failing {
    pub step: String,
    pub method: String,
    pub path: String,
    pub query: Vec<String>,
    pub status: Option<u16>,
    pub headers: BTreeMap<String, String>,
    pub body: Option<Value>,
    pub bytes: usize,
    pub outcome: Outcome,
}

impl Failing {
    /// As it may be kept. `inputs` are the question's.
    #[must_use]
    pub fn masked(self, at: Wall, operation: &str, took_ms: u64, inputs: &Map<String, Value>) -> Failure {
        Failure {
            at,
            operation: operation.to_owned(),
            step: self.step,
            method: self.method,
            path: self.path,
            query: self.query,
            status: self.status,
            headers: self.headers,
            body: self.status.map(|_| body(self.body.as_ref(), self.bytes, inputs)),
            outcome: self.outcome.word().to_owned(),
            reason: self.outcome.reason().map(str::to_owned),
            took_ms,
        }
    }
}

/// The last of one system.
#[derive(Debug, Default)]
pub struct Ring {
    failures: VecDeque<Failure>,
    changed: bool,
}

impl Ring {
    pub fn add(&mut self, failure: Failure) {
        if self.failures.len() >= KEPT {
            self.failures.pop_front();
        }
        self.failures.push_back(failure);
        self.changed = true;
    }

    /// All of it as lines of JSON, if there is something new since the last time.
    pub fn lines(&mut self) -> Option<String> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let lines = self.failures.iter().filter_map(|failure| serde_json::to_string(failure).ok());
        Some(lines.map(|line| line + "\n").collect())
    }

    /// What an earlier run kept; the newest where that is too much. Lines that are none are passed over.
    #[must_use]
    pub fn read(lines: &str) -> Self {
        let mut ring = Self::default();
        for failure in lines.lines().filter_map(|line| serde_json::from_str(line).ok()) {
            ring.add(failure);
        }
        ring.changed = false;
        ring
    }

    pub fn iter(&self) -> impl Iterator<Item = &Failure> {
        self.failures.iter()
    }
}

/// Of an answer's headers those that may be shown.
#[must_use]
pub fn headers(headers: &[(String, String)]) -> BTreeMap<String, String> {
    let shown = headers.iter().filter_map(|(name, value)| {
        let name = name.to_ascii_lowercase();
        let may = HEADERS.contains(&name.as_str()) || HEADER_PARTS.iter().any(|part| name.contains(part));
        (may && !name.contains("cookie")).then(|| (name, cut(value)))
    });
    shown.take(ENTRIES).collect()
}

/// The shape of an answer's body. `inputs` are the question's own, whose texts are blotted out wherever they stand.
#[must_use]
pub fn body(decoded: Option<&Value>, bytes: usize, inputs: &Map<String, Value>) -> Value {
    let mut known = Vec::new();
    for input in inputs.values() {
        texts(input, &mut known, 0);
    }
    // Longer ones first, so that none leaves half of itself.
    known.sort_unstable_by_key(|text| std::cmp::Reverse(text.len()));
    let mask = Mask { known: &known, words: false };
    match decoded {
        Some(value @ (Value::Object(_) | Value::Array(_))) => mask.masked(value, false, 0),
        Some(_) | None => Value::String(format!("({bytes} bytes, not JSON)")),
    }
}

/// The shape of a login's answer, for who is about to log in: also small numbers and whole sentences, which are no tokens, in whatever place they stand.
#[must_use]
pub fn login(decoded: &Value) -> Value {
    Mask { known: &[], words: true }.masked(decoded, false, 0)
}

fn texts<'a>(value: &'a Value, known: &mut Vec<&'a str>, depth: usize) {
    if depth > DEPTH || known.len() > 200 {
        return;
    }
    match value {
        Value::String(text) if text.chars().count() > 1 => known.push(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, known, depth + 1)),
        Value::Object(map) => map.values().for_each(|item| texts(item, known, depth + 1)),
        _ => {}
    }
}

/// What is taken out of a value.
struct Mask<'a> {
    known: &'a [&'a str],
    /// Small numbers and sentences stay.
    words: bool,
}

impl Mask<'_> {
    fn masked(&self, value: &Value, about_error: bool, depth: usize) -> Value {
        if depth > DEPTH {
            return "(deeper)".into();
        }
        match value {
            Value::Null | Value::Bool(_) => value.clone(),
            Value::Number(_) if (about_error || self.words) && value.to_string().len() <= 6 => value.clone(),
            Value::Number(_) => "(number)".into(),
            // A code is one word with letters in it, and no number of anybody.
            Value::String(text) if about_error && code(text) && !self.known.contains(&text.as_str()) => value.clone(),
            Value::String(text) if about_error || self.words && sentence(text) => blotted(text, self.known).into(),
            Value::String(text) => format!("(text, {} characters)", text.chars().count()).into(),
            Value::Array(items) => {
                let mut shown: Vec<Value> =
                    items.iter().take(3).map(|item| self.masked(item, about_error, depth + 1)).collect();
                if items.len() > 3 {
                    shown.push(format!("(and {} more)", items.len() - 3).into());
                }
                shown.into()
            }
            Value::Object(map) => {
                let entries = map.iter().take(ENTRIES).map(|(name, value)| {
                    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
                    let about = about_error || ABOUT_ERRORS.contains(&plain.to_ascii_lowercase().as_str());
                    // Below an "error" all is about it, but an object named "status" may hold anything: only texts right at a name count as said there.
                    let about = about && (!value.is_object() || plain.to_ascii_lowercase().starts_with("err"));
                    // A name may be somebody's too, where a system keys by it.
                    (blotted(name, self.known), self.masked(value, about, depth + 1))
                });
                Value::Object(entries.collect())
            }
        }
    }
}

/// Several short words, or signs of another script: said to a person, and no token.
fn sentence(text: &str) -> bool {
    let words = || text.split_whitespace();
    let odd = |word: &str| word.len() > 24 || word.chars().filter(char::is_ascii_digit).count() > 3;
    (words().count() > 1 || !text.is_ascii()) && !words().any(|word| word.is_ascii() && odd(word))
}

fn code(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
    let digits = text.chars().filter(char::is_ascii_digit).count();
    text.len() <= 48 && text.chars().all(plain) && digits <= 6 && text.chars().any(|c| c.is_ascii_alphabetic())
}

/// Without digits in rows, quotations, mail addresses and what was asked with.
fn blotted(text: &str, known: &[&str]) -> String {
    let mut text = cut(text);
    for word in known {
        text = text.replace(word, "(input)");
    }
    let mut out = String::with_capacity(text.len());
    let mut word = String::new();
    let mut quote: Option<char> = None;
    let close = |open: char| match open {
        '“' => '”',
        '「' => '」',
        '《' => '》',
        same => same,
    };
    let flush = |word: &mut String, out: &mut String| {
        if word.contains('@') {
            out.push_str("(address)");
        } else if word.chars().filter(|c| c.is_numeric()).count() >= 4 {
            out.push_str("(digits)");
        } else {
            out.push_str(word);
        }
        word.clear();
    };
    for c in text.chars() {
        if let Some(open) = quote {
            if c == close(open) {
                out.push_str("(quoted)");
                out.push(c);
                quote = None;
            }
        } else if matches!(c, '"' | '“' | '「' | '《' | '\'') && (c != '\'' || word.is_empty()) {
            flush(&mut word, &mut out);
            out.push(c);
            quote = Some(c);
        } else if c.is_whitespace() || matches!(c, ',' | ';' | '(' | ')' | '，' | '；' | '。' | '：') {
            flush(&mut word, &mut out);
            out.push(c);
        } else {
            word.push(c);
        }
    }
    if quote.is_some() {
        out.push_str("(quoted)");
    }
    flush(&mut word, &mut out);
    out
}

fn cut(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_vendor_needs_is_there_and_nobody_is() {
        let inputs =
            json!({"customer": {"id": "7", "name": "陈静", "email": "jing@example.com"}, "number": "+8613800138000"});
        let answer = json!({
            "error": {"code": "ER-4711", "message": "Kein Kunde 陈静 mit 138 0013 8000 oder jing@example.com, lei@example.org, see \"Li Lei\"", "status": 409},
            "errcode": 40014,
            "customer": {"name": "李雷", "phone": "13900139000", "balance": 12.5, "blocked": true},
            "rows": [{"name": "韩梅梅"}, {}, {}, {}],
            "陈静": 1,
        });
        let shown = body(Some(&answer), 500, inputs.as_object().unwrap());
        let text = shown.to_string();
        for there in
            ["ER-4711", "40014", "409", "Kein Kunde (input)", "(address)", "\\\"(quoted)\\\"", "true", "(number)"]
        {
            assert!(text.contains(there), "{there}: {text}");
        }
        for nobody in ["陈静", "李雷", "韩梅梅", "Li Lei", "13800138000", "13900139000", "0013", "jing", "lei@", "12.5"]
        {
            assert!(!text.contains(nobody), "{nobody}: {text}");
        }
        assert_eq!(body(None, 12, &Map::new()), json!("(12 bytes, not JSON)"));
        // A hostile answer is no larger for it.
        let mut deep = json!({"error": "x".repeat(100_000)});
        for _ in 0..200 {
            deep = json!({"error": deep});
        }
        assert!(body(Some(&deep), 1, &Map::new()).to_string().len() < 10_000);
    }

    #[test]
    fn of_a_login_sentences_and_small_numbers_stay_and_tokens_go() {
        let answer = json!({"rc": 7, "rm": "bad login", "tip": "密码不正确", "ticket": "Zk3aQpLmXy", "id": 1234567,
            "cookie": "a 0123456789abcdef0123", "error": {"type": "invalid_grant"}});
        let wanted = json!({"rc": 7, "rm": "bad login", "tip": "密码不正确", "ticket": "(text, 10 characters)", "id": "(number)",
            "cookie": "(text, 22 characters)", "error": {"type": "invalid_grant"}});
        assert_eq!(login(&answer), wanted);
    }

    #[test]
    fn headers_are_those_that_say_nothing_of_anybody() {
        let given = [("X-Request-Id", "ab-12"), ("Set-Cookie", "session=1"), ("X-User", "li"), ("Retry-After", "3")];
        let given: Vec<_> = given.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let shown: Vec<_> = headers(&given).into_keys().collect();
        assert_eq!(shown, ["retry-after", "x-request-id"]);
    }

    #[test]
    fn a_ring_keeps_the_newest_and_comes_back() {
        let failure = |n: i64| Failure {
            at: Wall(n),
            operation: "finance".into(),
            step: "balance".into(),
            method: "GET".into(),
            path: "/f/{{ customer.id }}".into(),
            query: vec!["q".into()],
            status: None,
            headers: BTreeMap::new(),
            body: None,
            outcome: "busy".into(),
            reason: None,
            took_ms: 5,
        };
        let mut ring = Ring::default();
        for n in 0..100 {
            ring.add(failure(n));
        }
        let lines = ring.lines().unwrap();
        assert_eq!(ring.lines(), None);
        let again = Ring::read(&format!("{lines}half a li"));
        assert_eq!(again.iter().map(|f| f.at.0).collect::<Vec<_>>(), (36..100).collect::<Vec<_>>());
    }
}
