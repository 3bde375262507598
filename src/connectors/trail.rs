//! What happened in one operation, in its order, for who tries a file out: what was asked, what came, which of the file's rules held and why the others did not.
//!
//! Who tries a file at a shell sees his own data, and no secret. So a request is made a second time to be shown, with `(secret)` in the place of each secret (`run.rs`); of a login's answer
//! there is what [`super::evidence`] shows of any; and where an answer repeats a secret that is known, [`Trail::blotted`] takes it out of the text that is printed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use minijinja::value::Value;
use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::{numbers::Class, private::Secret, words::percent};

use super::{
    Outcome,
    csv::Which,
    evidence,
    run::{Request, WebRequest},
    session::{For, Session},
    set::{Place, SessionAuth},
    sign::EXAMPLE_SECRET,
    value::to_json,
    words::{Compiled, looked_up},
};

/// Shorter ones are words that stand in answers anyhow, and to blot them out would tell them.
const SHORTEST: usize = 8;
/// Values shown beside an expression, and how much of each.
const VALUES: usize = 6;
const SHOWN: usize = 80;
const NOT_THERE: &str = "not there";

/// Takes what happens. Clones share it.
#[derive(Clone, Default)]
pub struct Trail {
    inner: Arc<Mutex<Inner>>,
    /// Whether what changes something over there is sent.
    pub writes: bool,
}

#[derive(Default)]
struct Inner {
    happened: Vec<Happened>,
    /// Requests made so far, and how many before those that are under way.
    asked: usize,
    before: usize,
    /// How long each of those took and waited.
    times: Vec<(u64, u64)>,
    secrets: Vec<Secret>,
}

/// One thing that happened. Requests are counted from 1.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "happened", rename_all = "kebab-case")]
pub enum Happened {
    /// How the number that is asked for is read.
    Number {
        given: String,
        reads: Reading,
    },
    /// A session, or what requests need that change something, is there already.
    SessionIsOpen {
        of: Need,
    },
    /// There is none, or it is over.
    LogsIn {
        of: Need,
    },
    LoggedIn {
        of: Need,
        gives: Vec<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        base: Option<String>,
    },
    NotLoggedIn {
        of: Need,
        outcome: &'static str,
        reason: Option<String>,
    },
    /// "Nobody" and "you may not" are believed of a system only if it says who we are.
    ChecksWhoWeAre,
    /// Before a write: whether it was written already.
    LooksBefore {
        with: String,
    },
    LookedBefore {
        found: bool,
    },
    /// A step's `when` does not hold.
    Skipped {
        step: String,
        when: Condition,
    },
    Asked {
        request: usize,
        step: String,
        /// That of `for_each`.
        #[serde(skip_serializing_if = "Option::is_none")]
        item: Option<Json>,
        asked: Asked,
    },
    /// It changes something, and nobody said that it may.
    NotSent,
    Answered {
        request: usize,
        took_ms: u64,
        /// For our own limits, before it was sent.
        waited_ms: u64,
        answer: Answer,
    },
    Tried {
        request: usize,
        /// In their order; the last one holds, if one does.
        rules: Vec<Tried>,
        /// Rules behind it.
        untried: usize,
    },
    /// The operation goes no further, because of this answer.
    Judged {
        request: usize,
        outcome: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// After an answer that put us off.
    AsksAgain {
        pause_ms: u64,
    },
    Saved {
        name: String,
        value: Json,
    },
    /// What a step's `records` gave.
    Records {
        step: String,
        count: usize,
    },
    Record {
        record: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        taken: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        why: Option<String>,
        /// The `keep` that leaves it out.
        #[serde(skip_serializing_if = "Option::is_none")]
        keep: Option<Condition>,
        /// Its numbers, by their fields, as they are read.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        numbers: Vec<Spelled>,
        fields: Map<String, Json>,
    },
    /// The page that was asked for, and what the answer says of the next.
    Page {
        asked: Json,
        records: usize,
        total: Option<u64>,
        next: Json,
    },
    /// One of several pages, as the walk that reads them all takes it.
    Walked {
        page: u32,
        records: usize,
        new: usize,
        last: bool,
    },
    /// An expression or a template of the file that this answer, or these inputs, do not fit.
    Misfit {
        what: String,
        why: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        expression: Option<Condition>,
    },
}

/// A number as a field has it, and as it is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Spelled {
    pub field: String,
    pub text: String,
    pub reads: Reading,
}

/// A number, read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// Absent: nothing can be made of it.
    pub number: Option<String>,
    pub class: Class,
}

impl From<&crate::numbers::Number> for Reading {
    fn from(number: &crate::numbers::Number) -> Self {
        let read = [&number.e164, &number.short].into_iter().flatten().next();
        Self { number: read.map(|n| n.expose().clone()), class: number.class }
    }
}

/// What a request needs before it can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    SignIn,
    Csrf,
}

impl From<For> for Need {
    fn from(what: For) -> Self {
        match what {
            For::All => Self::SignIn,
            For::Changes => Self::Csrf,
        }
    }
}

/// An expression of the file, and what stood in what it looks up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Condition {
    pub text: String,
    pub sees: BTreeMap<String, String>,
}

impl Condition {
    /// `masked`: values are shown as [`evidence`] shows them.
    #[must_use]
    pub fn of(expression: &Compiled, context: &Value, masked: bool) -> Self {
        let mut names: Vec<String> = looked_up(expression.text(), true).unwrap_or_default().into_iter().collect();
        names.sort_unstable();
        names.retain(|name| name != "omit");
        names.truncate(VALUES);
        let sees = names.into_iter().map(|name| {
            let value = Compiled::new(&name).and_then(|path| path.eval(context));
            let value = value.map_or_else(|_| NOT_THERE.to_owned(), |value| brief(&name, &value, masked));
            (name, value)
        });
        Self { text: expression.text().to_owned(), sees: sees.collect() }
    }
}

/// A value on one short line.
fn brief(name: &str, value: &Value, masked: bool) -> String {
    if value.is_undefined() {
        return NOT_THERE.to_owned();
    }
    let text = match to_json(value) {
        Ok(Some(json)) if masked => {
            let name = name.rsplit('.').next().unwrap_or_default();
            let one = Json::Object(Map::from_iter([(name.to_owned(), json)]));
            evidence::login(&one).get(name).map(Json::to_string).unwrap_or_default()
        }
        Ok(Some(json)) => json.to_string(),
        _ if masked => "no JSON".to_owned(),
        _ => value.to_string(),
    };
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text,
    }
}

/// A request as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asked {
    Web {
        method: &'static str,
        url: String,
        headers: Vec<(String, String)>,
        body: Option<String>,
        /// Over which text the signature is computed.
        #[serde(skip_serializing_if = "Option::is_none")]
        signed: Option<String>,
    },
    Sql {
        statement: String,
        with: Map<String, Json>,
    },
    Csv {
        rows: Json,
    },
    Ldap {
        base: String,
        scope: String,
        filter: String,
        attributes: Vec<String>,
        page: Option<u32>,
    },
    /// Absent: only a login.
    Mail {
        mail: Option<Map<String, Json>>,
    },
}

impl Asked {
    /// `request` is one that was made to be shown.
    #[must_use]
    pub fn of(request: &Request) -> Self {
        match request {
            Request::Web(WebRequest { method, url, headers, body, charsets, signed, .. }) => Self::Web {
                method: method.as_str(),
                url: url.clone(),
                headers: headers.clone(),
                body: body.as_deref().map(|body| charsets.own(body).into_owned()),
                signed: signed.clone(),
            },
            Request::Sql(query) => Self::Sql { statement: query.statement.text(), with: query.with.clone() },
            Request::Csv(rows) => Self::Csv {
                rows: match &rows.which {
                    Which::Where(columns) => Json::Object(columns.clone()),
                    Which::From(from, size) => serde_json::json!({"from": from, "size": size}),
                },
            },
            Request::Ldap(search) => Self::Ldap {
                base: search.base.clone(),
                scope: format!("{:?}", search.scope).to_lowercase(),
                filter: search.filter.clone(),
                attributes: search.attributes.clone(),
                page: search.page.as_ref().map(|(size, _)| *size),
            },
            Request::Mail(letter) => Self::Mail { mail: letter.mail.as_ref().map(super::smtp::Mail::shown) },
        }
    }
}

/// What came back, or why nothing did.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    Came {
        /// That of HTTP.
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        headers: Vec<(String, String)>,
        bytes: usize,
        /// As rules see it.
        #[serde(skip_serializing_if = "Option::is_none")]
        body: Option<Json>,
        /// As it came, where it could not be read, and why not.
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        unread: Option<String>,
    },
    None {
        why: String,
    },
}

/// One rule, tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tried {
    pub rule: Rules,
    /// In its list, from 1.
    pub number: usize,
    /// What it says the answer is.
    pub is: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Vec<u16>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<Condition>,
    /// Absent: it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not: Option<Not>,
}

/// Which list of the file a rule stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rules {
    /// The step's `outcome`.
    Outcome,
    /// `expired` of the sign-in.
    Expired,
    /// `refused` of `csrf`.
    Refused,
}

/// Why a rule does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Not {
    Status(u16),
    /// Its `when` is false.
    When,
    /// Its `when` cannot be worked out over this answer.
    Unclear(String),
    /// It would be a success, and the answer cannot be read, or says itself that it is a fault.
    Unread(String),
}

impl Trail {
    /// One for a try that may change something over there, or may not.
    #[must_use]
    pub fn new(writes: bool) -> Self {
        Self { writes, ..Self::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nobody panics while holding it, and if so: what it holds is still true.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn tell(&self, happened: Happened) {
        self.inner().happened.push(happened);
    }

    /// Requests that are made together.
    pub fn asked(&self, step: &str, requests: impl Iterator<Item = (Option<Json>, Asked)>) {
        let mut inner = self.inner();
        inner.before = inner.asked;
        inner.times.clear();
        for (item, asked) in requests {
            inner.asked += 1;
            let request = inner.asked;
            inner.happened.push(Happened::Asked { request, step: step.to_owned(), item, asked });
        }
    }

    /// The number of one of those that are under way.
    #[must_use]
    pub fn number(&self, at: usize) -> usize {
        self.inner().before + at + 1
    }

    /// How long each of them took, and waited before.
    pub fn took(&self, times: Vec<(u64, u64)>) {
        self.inner().times = times;
    }

    pub fn answered(&self, at: usize, answer: Answer) {
        let mut inner = self.inner();
        let (took_ms, waited_ms) = inner.times.get(at).copied().unwrap_or_default();
        let request = inner.before + at + 1;
        inner.happened.push(Happened::Answered { request, took_ms, waited_ms, answer });
    }

    pub(super) fn logged_in(&self, what: For, auth: &SessionAuth, session: &Session) {
        let mut gives: Vec<String> = auth.cookies.iter().map(|name| format!("cookie {name}")).collect();
        gives.extend(auth.token.as_ref().map(|token| match &token.place {
            Place::Header(name) => format!("header {name}"),
            Place::Query(name) => format!("parameter {name}"),
            Place::Body(path) => format!("/{} of each body", path.join("/")),
        }));
        // A cookie's header is pairs, and each value may stand alone somewhere.
        let values = session.secrets().flat_map(|secret| secret.expose().split([';', '=', ' ']));
        let values: Vec<Secret> = values.map(|value| Secret::new(value.to_owned())).collect();
        self.knows(values.iter());
        self.tell(Happened::LoggedIn { of: what.into(), gives, base: session.base.clone() });
    }

    pub(super) fn not_logged_in(&self, what: For, outcome: &Outcome) {
        let reason = outcome.reason().map(str::to_owned);
        self.tell(Happened::NotLoggedIn { of: what.into(), outcome: outcome.word(), reason });
    }

    /// What is to be taken out wherever it stands.
    pub fn knows<'a>(&self, secrets: impl Iterator<Item = &'a Secret>) {
        self.inner().secrets.extend(secrets.cloned());
    }

    #[must_use]
    pub fn happened(&self) -> Vec<Happened> {
        self.inner().happened.clone()
    }

    /// A text without any secret that is known, as it is or percent-encoded.
    #[must_use]
    pub fn blotted(&self, text: &str) -> String {
        let inner = self.inner();
        let mut text = text.to_owned();
        for secret in inner.secrets.iter().map(Secret::expose).filter(|secret| secret.len() >= SHORTEST) {
            text = text.replace(secret, EXAMPLE_SECRET).replace(&percent(secret), EXAMPLE_SECRET);
        }
        text
    }
}

/// An answer's headers; those that may let somebody in are named and no more.
#[must_use]
pub fn headers(headers: &[(String, String)]) -> Vec<(String, String)> {
    const PARTS: [&str; 7] = ["token", "cookie", "secret", "session", "key", "password", "auth"];
    let shown = headers.iter().map(|(name, value)| {
        let low = name.to_ascii_lowercase();
        // `WWW-Authenticate` says what is wanted, and holds nothing that is.
        let value = if low != "www-authenticate" && PARTS.iter().any(|part| low.contains(part)) {
            match value.split_once('=').filter(|_| low == "set-cookie") {
                Some((cookie, _)) => format!("{cookie}={EXAMPLE_SECRET}"),
                None => EXAMPLE_SECRET.to_owned(),
            }
        } else {
            value.clone()
        };
        (name.clone(), value)
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectors::value::from_json;

    #[test]
    fn a_condition_says_what_stood_where_it_looked() {
        let context = from_json(&serde_json::json!({"body": {"code": 40_001, "list": [1]}, "status": 200}));
        let condition = Condition::of(&Compiled::new("body.code == 0 and body.data.rows").unwrap(), &context, false);
        let sees: Vec<_> = condition.sees.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(sees, [("body.code", "40001"), ("body.data.rows", "not there")]);
        let login = from_json(&serde_json::json!({"body": {"error": "E1", "token": "t-4711-secret"}}));
        let condition = Condition::of(&Compiled::new("body.token and not body.error").unwrap(), &login, true);
        let sees: Vec<_> = condition.sees.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(sees, [("body.error", "\"E1\""), ("body.token", "\"(text, 13 characters)\"")]);
    }

    #[test]
    fn what_lets_somebody_in_is_named_and_no_more() {
        let given = [
            ("Set-Cookie", "session_id=abc; Path=/"),
            ("X-CSRF-Token", "t-1"),
            ("WWW-Authenticate", "Bearer"),
            ("X-Auth", "a-1"),
            ("Date", "now"),
        ];
        let given: Vec<_> = given.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let shown: Vec<String> = headers(&given).into_iter().map(|(_, value)| value).collect();
        assert_eq!(shown, ["session_id=(secret)", "(secret)", "Bearer", "(secret)", "now"]);
        let trail = Trail::new(false);
        trail.knows([Secret::new("p/4711 long".to_owned()), Secret::new("admin".to_owned())].iter());
        assert_eq!(trail.blotted("a p/4711 long, p%2F4711%20long of admin"), "a (secret), (secret) of admin");
    }
}
