//! `webhooks`: what a business system tells by itself. Whether it is that system that speaks, what it said happened, and whom that concerns.
//!
//! Vendors sign in as many ways as they are signed for, so a file writes their formula here too: what the sender must have sent, and where it stands. Both are compared in constant
//! time. Nothing of the body is read before. Some vendors first want something of a request back, to see that the address is ours: that is a [`Handshake`], and it is answered to
//! nobody who has not proved who he is.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::value::{Value, ValueKind};
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::{
    private::{Private, Secret},
    words::{SystemId, Wall},
};

use super::{
    System,
    value::{from_json, to_json},
    wire::decoded,
    words::{Compiled, text_of},
};

/// A vendor's event is some KiB; a list of a hundred of them some hundred.
pub const BODY_CAP: usize = 1024 * 1024;
/// Signatures a request may carry, and those that may be right (a secret and the one before it).
const SIGNATURES: usize = 16;
/// Events in one request, and customers or numbers that one names.
const MANY: usize = 1_000;
/// What stands on a button of ours at most.
const TOKEN: usize = 300;
/// What is answered to a handshake at most: a challenge has some hundred characters.
const ANSWER: usize = 4 * 1024;

/// What expressions see besides the variables: of the request, before anything of its body is read.
pub const SEES: [&str; 6] = ["method", "path", "url", "query", "headers", "text"];

/// The section of a connector's file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    pub verify: Verify,
    /// Expression over the request and the secrets: the body's text, where it comes encrypted. Default: the body as it came.
    pub open: Option<String>,
    /// How the vendor sees that the address is ours, where it asks before it sends events.
    pub handshake: Option<Handshake>,
    /// When it was sent, which must be signed too: an older one is somebody's copy.
    pub time: Option<Time>,
    /// Expression over the request: what names this event. One that was taken already is taken again and does nothing.
    pub id: Option<String>,
    /// Expression over the request: a list of which each element is an event of its own, `item`.
    pub each: Option<String>,
    /// What becomes of an event: all that hold.
    #[serde(default)]
    pub events: Vec<Event>,
    /// Which events are somebody's answer to something that an operation of this file wrote: a message in a thread. Flows wait for them.
    #[serde(default)]
    pub answers: Vec<Answers>,
    /// Which events are a button's that `approval.ask` of this file has made.
    #[serde(default)]
    pub decisions: Vec<Decisions>,
    #[serde(default)]
    pub examples: Vec<Example>,
}

/// How the sender proves who it is. Expressions see `headers` (lower-case names), `method`, `path`, `url` (as the vendor was given it), `query`, `text` (the body as it came), and
/// the secrets as `secret.NAME`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verify {
    Signature(Signature),
    /// Standard Webhooks (standardwebhooks.com, 1.0.0): `webhook-id`, `webhook-timestamp`, `webhook-signature`.
    Standard(Shared),
    /// A secret that is sent as it is.
    Token(Token),
}

/// A request that wants something of itself back. It is no event: nothing is remembered of it, and nobody is told.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Handshake {
    #[serde(default)]
    pub method: Method,
    /// Expression over the request and `body`: whether it is one.
    pub when: String,
    /// How it is proved, where the vendor does not sign it like an event; expressions see `body` too. Where the vendor proves nothing, a secret in the address that it is given does:
    /// `token: {secret: hook, query: key}`.
    pub verify: Option<Verify>,
    pub answer: Reply,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    Get,
    #[default]
    Post,
}

/// Expressions over the request, `body` and the secrets. What would tell a secret as it is, is not answered.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// As `text/plain`.
    Text(String),
    /// An object of these.
    Json(BTreeMap<String, String>),
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// Expression: what it must be, or a list of what it may be.
    pub value: String,
    /// Expression: what was sent, or a list of it: `headers['x-hub-signature-256']`.
    pub given: String,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shared {
    /// The name of a secret variable; `whsec_` before it is no part of it.
    pub secret: String,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// The name of a secret variable.
    pub secret: String,
    pub header: Option<String>,
    pub query: Option<String>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Time {
    /// Expression over the request.
    pub value: String,
    #[serde(default)]
    pub unit: Unit,
    /// Default: five minutes either way.
    #[serde(default = "five_minutes")]
    pub within_s: u32,
}

fn five_minutes() -> u32 {
    300
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Seconds since 1970.
    #[default]
    S,
    Ms,
    Rfc3339,
}

/// Expressions see what [`Verify`] names but the secrets, and `body`, which is the body's JSON (or its fields, if it is a form), and `item` where there is `each`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Absent: every event.
    pub when: Option<String>,
    /// Expression: the id, or the ids, of customers of this system whose facts are to be asked for anew.
    pub customers: Option<String>,
    /// The same by numbers as they are stored there: who has one may have changed.
    pub numbers: Option<String>,
}

/// Expressions see what those of [`Event`] do.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answers {
    /// Leave out what programs write, and this one among them: an answer is a person's.
    pub when: Option<String>,
    /// What is answered, as the operation that wrote it gave it as `id`.
    pub key: String,
    pub text: String,
    /// The user's id there.
    pub who: String,
    /// By which people know that one, where the event says it.
    pub name: Option<String>,
}

/// Expressions see the request and `body`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decisions {
    pub when: Option<String>,
    /// What stood on the button: the text that `approval.ask` was told as `approve` or `refuse`.
    pub token: String,
    /// The user's id there, which agents.yaml has under `ids:` of a person.
    pub who: String,
    /// What is answered to the request, where the vendor shows it to who pressed. Expressions see `body`, `message` (what became of it, in English), `code` (`agreed`, `refused`, `decided`,
    /// `not-permitted`, `unknown-user`, `over`), `by` (who decided before) and `good`.
    pub answer: Option<Reply>,
}

/// A proof inside the file, with the vendor's own secret of its documents.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Example {
    pub name: String,
    /// When it comes, RFC 3339. Default: 2026-01-01 00:00 UTC.
    pub at: Option<String>,
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    #[serde(default)]
    pub method: Method,
    /// Default: `https://cti.example.com/v1/hooks/` and the connector.
    pub url: Option<String>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub text: String,
    /// Absent, with `answered` too: it is refused.
    pub accepted: Option<Accepted>,
    /// A handshake: what is answered.
    pub answered: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Accepted {
    pub id: Option<String>,
    pub customers: BTreeSet<String>,
    pub numbers: BTreeSet<String>,
    pub answers: Vec<Answer>,
    pub decision: Option<Decision>,
}

/// Somebody pressed a button.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    pub token: String,
    pub who: String,
    /// Which of the file's `decisions:` it is.
    #[serde(skip)]
    pub nth: usize,
}

/// Who said it is no business of a log.
impl std::fmt::Debug for Decision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a press of {}", self.token)
    }
}

/// What became of a press.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    pub code: &'static str,
    pub message: String,
    pub by: Option<String>,
}

impl Decided {
    #[must_use]
    pub fn of(code: &'static str, message: &str) -> Self {
        Self { code, message: message.to_owned(), by: None }
    }
}

/// Somebody's answer to what is there under `key`.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    pub key: String,
    pub text: String,
    pub who: String,
    #[serde(default)]
    pub name: Option<String>,
}

/// What people say is no business of a log.
impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "an answer to {}", self.key)
    }
}

/// The section, compiled.
pub struct Hooks {
    pub value: Compiled,
    pub given: Compiled,
    pub open: Option<Compiled>,
    pub handshake: Option<Shake>,
    pub time: Option<(Compiled, Unit, u32)>,
    pub id: Option<Compiled>,
    pub each: Option<Compiled>,
    pub events: Vec<Told>,
    pub answers: Vec<AnswersTo>,
    pub decisions: Vec<Press>,
    pub secrets: BTreeMap<String, Secret>,
    pub examples: Vec<Example>,
}

/// A [`Handshake`], compiled.
pub struct Shake {
    pub method: Method,
    pub when: Compiled,
    /// What must be sent, and what was.
    pub verify: Option<(Compiled, Compiled)>,
    pub answer: Replied,
}

/// A [`Reply`], compiled.
pub enum Replied {
    Text(Compiled),
    Json(Vec<(String, Compiled)>),
}

/// An [`Event`], compiled.
pub struct Told {
    pub when: Option<Compiled>,
    pub customers: Option<Compiled>,
    pub numbers: Option<Compiled>,
}

/// An [`Answers`], compiled.
pub struct AnswersTo {
    pub when: Option<Compiled>,
    pub key: Compiled,
    pub text: Compiled,
    pub who: Compiled,
    pub name: Option<Compiled>,
}

/// A [`Decisions`], compiled.
pub struct Press {
    pub when: Option<Compiled>,
    pub token: Compiled,
    pub who: Compiled,
    pub answer: Option<Replied>,
}

/// A file's words for the three ways: what must be sent, what was sent, when, and what names it.
#[must_use]
pub fn formula(verify: &Verify) -> (String, String, Option<Time>, Option<String>) {
    match verify {
        Verify::Signature(signature) => (signature.value.clone(), signature.given.clone(), None, None),
        Verify::Standard(Shared { secret }) => (
            format!(
                "'v1,' ~ ((headers['webhook-id'] ~ '.' ~ headers['webhook-timestamp'] ~ '.' ~ text) | hmac_sha256(secret['{secret}'] | replace('whsec_', '') | from_base64) | base64)"
            ),
            "headers['webhook-signature'] | split(' ')".to_owned(),
            Some(Time { value: "headers['webhook-timestamp']".to_owned(), unit: Unit::S, within_s: five_minutes() }),
            Some("headers['webhook-id']".to_owned()),
        ),
        Verify::Token(token) => {
            let given = match (&token.header, &token.query) {
                (Some(name), _) => format!("headers['{}']", name.to_ascii_lowercase()),
                (None, name) => format!("query['{}']", name.as_deref().unwrap_or_default()),
            };
            (format!("secret['{}']", token.secret), given, None, None)
        }
    }
}

/// A request as it came.
pub struct Request<'a> {
    pub method: &'a str,
    /// As the vendor was given it, with the query.
    pub url: &'a str,
    /// Names in lower case.
    pub headers: &'a [(String, String)],
    pub body: &'a [u8],
}

/// A verified webhook, for whoever keeps what it says has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    pub system: SystemId,
    /// Ids at that system.
    pub customers: BTreeSet<String>,
    /// [`crate::numbers::Number::key`] each.
    pub numbers: BTreeSet<Private<String>>,
}

/// What a request is.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not that system, or a copy of long ago: why, for us alone.
    Refused(&'static str),
    /// `id`: SHA-256 of what names it; `event`: its body, null where that is neither JSON nor a form.
    Accepted {
        id: Option<[u8; 32]>,
        heard: Heard,
        event: Private<serde_json::Value>,
        answers: Vec<Answer>,
        decision: Option<Decision>,
    },
    /// That system wants to know whether it is us.
    Handshake(Said),
}

/// What a vendor hears besides 200.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub text: String,
    /// Otherwise plain text.
    pub json: bool,
}

impl Said {
    #[must_use]
    pub const fn content_type(&self) -> &'static str {
        if self.json { "application/json" } else { "text/plain; charset=utf-8" }
    }
}

/// Judges a request that came at `now`.
#[must_use]
pub fn judge(system: &System, request: &Request, now: Wall) -> Verdict {
    let Some(hooks) = &system.hooks else { return Verdict::Refused("its file has no webhooks") };
    judge_with(system, hooks, &hooks.secrets, request, now).0
}

fn judge_with(
    system: &System,
    hooks: &Hooks,
    secrets: &BTreeMap<String, Secret>,
    request: &Request,
    now: Wall,
) -> (Verdict, Option<String>) {
    let refused = |why: &'static str| (Verdict::Refused(why), None);
    // Each vendor's body is text; what is none was signed by nobody.
    let Ok(text) = std::str::from_utf8(request.body) else { return refused("the body is no text") };
    let headers = request.headers.iter().map(|(name, value)| (name.as_str(), Value::from(value.as_str())));
    let (address, query) = request.url.split_once('?').unwrap_or((request.url, ""));
    let path = address.split_once("://").and_then(|(_, rest)| rest.find('/').and_then(|at| rest.get(at..)));
    let fields = |text: &str| {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).take(MANY);
        Value::from_pairs(pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), Value::from(decoded(value)))
        }))
    };
    let seen = [
        ("method", Value::from(request.method)),
        ("url", Value::from(request.url)),
        ("path", Value::from(path.unwrap_or("/"))),
        ("query", fields(query)),
        ("headers", Value::from_pairs(headers)),
        ("text", Value::from(text)),
    ];
    let variables = || system.context.iter().map(|(k, v)| (k.as_str(), v.clone()));
    let with = |more: &[(&'static str, Value)]| {
        let both = seen.iter().chain(more).map(|(k, v)| (*k, v.clone()));
        Value::from_pairs(variables().chain(both))
    };
    let shown = secrets.iter().map(|(name, secret)| (name.as_str(), Value::from(secret.expose())));
    let secret = Value::from_pairs(shown);
    let signed = with(&[("secret", secret.clone())]);
    let form = header(request, "content-type").is_some_and(|kind| kind.contains("x-www-form-urlencoded"));
    // `None`: it came encrypted, and cannot be opened.
    let read = || -> Option<Vec<(&'static str, Value)>> {
        let opened = hooks.open.as_ref().map(|open| open.eval(&signed).ok().and_then(|value| opened(&value)));
        let text = match &opened {
            None => text,
            Some(None) => return None,
            Some(Some(opened)) => opened,
        };
        let body = match form {
            true => Some(fields(text)),
            false => serde_json::from_str(text).ok().map(|json| from_json(&json)),
        };
        Some(body.map(|body| ("body", body)).into_iter().collect())
    };
    let knowing = |mut body: Vec<(&'static str, Value)>| {
        body.push(("secret", secret.clone()));
        with(&body)
    };
    let shake = hooks.handshake.as_ref().filter(|shake| shake.method == request.method());
    // One with a proof of its own is known by its body before it is proved.
    if let Some((shake, (value, given))) = shake.and_then(|shake| Some((shake, shake.verify.as_ref()?))) {
        let body = read().unwrap_or_default();
        if shake.when.holds(&with(&body)) {
            let seen = knowing(body);
            let (Ok(value), Ok(given)) = (value.eval(&seen), given.eval(&seen)) else {
                return refused("the handshake is not signed");
            };
            if !same(&value, &given) {
                return refused("the handshake's signature is another one");
            }
            return (answered(&shake.answer, &seen, secrets), None);
        }
    }
    let (Ok(value), Ok(given)) = (hooks.value.eval(&signed), hooks.given.eval(&signed)) else {
        return refused("it is not signed");
    };
    if !same(&value, &given) {
        return refused("the signature is another one");
    }
    let plain = with(&[]);
    if let Some((time, unit, within_s)) = &hooks.time {
        let sent = time.eval(&plain).ok().and_then(|value| moment(&value, *unit));
        let good = sent.is_some_and(|sent| sent.abs_diff(now.0) <= u64::from(*within_s) * 1000);
        if !good {
            return refused("it is too old, or has no time");
        }
    }
    let read = read();
    let opens = read.is_some();
    let body = read.unwrap_or_default();
    let whole = with(&body);
    if let Some(shake) = shake.filter(|shake| shake.verify.is_none() && shake.when.holds(&whole)) {
        return (answered(&shake.answer, &knowing(body), secrets), None);
    }
    if request.method() == Method::Get {
        return refused("it is no handshake");
    }
    if !opens {
        return refused("it cannot be opened");
    }
    let event = body.first().and_then(|(_, body)| to_json(body).ok().flatten()).unwrap_or_default();
    let event = Private::new(event);
    let name = hooks.id.as_ref().and_then(|id| id.eval(&whole).ok());
    let name = name.filter(|name| !name.is_undefined() && !name.is_none()).map(|name| text_of(&name));
    let items = match &hooks.each {
        None => vec![None],
        Some(each) => {
            let list = each.eval(&whole).ok();
            let items = list.and_then(|list| Some(list.try_iter().ok()?.take(MANY).map(Some).collect()));
            items.unwrap_or_default()
        }
    };
    let mut answers = Vec::new();
    let mut heard = Heard { system: system.id.clone(), customers: BTreeSet::new(), numbers: BTreeSet::new() };
    for item in items {
        let context = match item {
            None => whole.clone(),
            Some(item) => {
                let mut more = body.clone();
                more.push(("item", item));
                with(&more)
            }
        };
        for event in hooks.events.iter().filter(|event| event.when.as_ref().is_none_or(|when| when.holds(&context))) {
            heard.customers.extend(all(event.customers.as_ref(), &context));
            let keys = all(event.numbers.as_ref(), &context);
            let keys = keys.iter().filter_map(|text| system.numbers.read(text).key().map(str::to_owned));
            heard.numbers.extend(keys.map(Private::new));
        }
        answers.extend(hooks.answers.iter().filter_map(|to| to.read(&context)));
    }
    let pressed = |(nth, press): (usize, &Press)| {
        let token = said(&press.token, &whole).filter(|token| token.len() <= TOKEN)?;
        let holds = press.when.as_ref().is_none_or(|when| when.holds(&whole));
        Some(Decision { token, who: said(&press.who, &whole)?, nth }).filter(|_| holds)
    };
    let decision = hooks.decisions.iter().enumerate().find_map(pressed);
    let id = name.as_ref().map(|name| Sha256::digest(name).into());
    (Verdict::Accepted { id, heard, event, answers, decision }, name)
}

impl Request<'_> {
    fn method(&self) -> Method {
        if self.method == "GET" { Method::Get } else { Method::Post }
    }
}

/// What a file's `open` gave, as text.
fn opened(value: &Value) -> Option<String> {
    match value.kind() {
        ValueKind::Bytes => String::from_utf8(value.as_bytes()?.to_vec()).ok(),
        ValueKind::String => Some(text_of(value)),
        _ => None,
    }
}

fn answered(answer: &Replied, context: &Value, secrets: &BTreeMap<String, Secret>) -> Verdict {
    let one = |expression: &Compiled| expression.eval(context).ok().and_then(|value| opened(&value));
    let (made, json) = match answer {
        Replied::Text(text) => (one(text), false),
        Replied::Json(fields) => {
            let json = |value: &Compiled| {
                let value = value.eval(context).ok()?;
                match value.kind() {
                    ValueKind::Bytes => opened(&value).map(Into::into),
                    ValueKind::Undefined | ValueKind::None => None,
                    _ => to_json(&value).ok().flatten(),
                }
            };
            let fields = fields.iter().map(|(name, value)| Some((name.clone(), json(value)?)));
            let object: Option<serde_json::Map<_, _>> = fields.collect();
            (object.map(|object| serde_json::Value::Object(object).to_string()), true)
        }
    };
    let Some(text) = made.filter(|text| !text.is_empty()) else {
        return Verdict::Refused("what the handshake wants back is not in it");
    };
    if text.len() > ANSWER {
        return Verdict::Refused("what the handshake wants back is too long");
    }
    let tells = |secret: &Secret| secret.expose().len() > 3 && text.contains(secret.expose());
    if secrets.values().any(tells) {
        return Verdict::Refused("what the handshake wants back holds a secret");
    }
    Verdict::Handshake(Said { text, json })
}

/// A text that says something.
fn said(expression: &Compiled, context: &Value) -> Option<String> {
    let value = expression.eval(context).ok()?;
    Some(text_of(&value)).filter(|text| !value.is_none() && !value.is_undefined() && !text.trim().is_empty())
}

/// What is answered to who pressed; `None` where the vendor shows nothing, or the file's expressions do not fit.
#[must_use]
pub fn reply(system: &System, decision: &Decision, event: &serde_json::Value, decided: &Decided) -> Option<Said> {
    let answer = system.hooks.as_ref()?.decisions.get(decision.nth)?.answer.as_ref()?;
    let variables = system.context.iter().map(|(name, value)| (name.as_str(), value.clone()));
    let seen = [
        ("body", from_json(event)),
        ("message", Value::from(decided.message.as_str())),
        ("code", Value::from(decided.code)),
        ("by", Value::from(decided.by.as_deref())),
        ("good", Value::from(["agreed", "refused"].contains(&decided.code))),
    ];
    match answered(answer, &Value::from_pairs(variables.chain(seen)), &BTreeMap::new()) {
        Verdict::Handshake(said) => Some(said),
        _ => None,
    }
}

impl AnswersTo {
    /// `None`: it answers nothing, or says nothing.
    fn read(&self, context: &Value) -> Option<Answer> {
        if self.when.as_ref().is_some_and(|when| !when.holds(context)) {
            return None;
        }
        let text = |expression: &Compiled| said(expression, context);
        let name = self.name.as_ref().and_then(text);
        Some(Answer { key: text(&self.key)?, text: text(&self.text)?, who: text(&self.who)?, name })
    }
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
}

/// A text, or some.
fn texts(value: &Value, most: usize) -> Vec<String> {
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => {
            value.try_iter().map(|list| list.take(most).map(|one| text_of(&one)).collect()).unwrap_or_default()
        }
        ValueKind::Undefined | ValueKind::None => Vec::new(),
        _ => vec![text_of(value)],
    }
}

/// Whether one of what was given is one of what it may be. Digests are compared, all of them: how long it takes says nothing.
fn same(value: &Value, given: &Value) -> bool {
    let digests = |value: &Value| -> Vec<[u8; 32]> {
        let texts = texts(value, SIGNATURES).into_iter().filter(|text| !text.is_empty());
        texts.map(|text| Sha256::digest(text.as_bytes()).into()).collect()
    };
    let (value, given) = (digests(value), digests(given));
    let mut found = subtle::Choice::from(0);
    for (a, b) in value.iter().flat_map(|a| given.iter().map(move |b| (a, b))) {
        found |= a.ct_eq(b);
    }
    found.into()
}

/// Milliseconds since 1970.
fn moment(value: &Value, unit: Unit) -> Option<i64> {
    let text = text_of(value);
    match unit {
        Unit::S => text.trim().parse::<i64>().ok()?.checked_mul(1000),
        Unit::Ms => text.trim().parse().ok(),
        Unit::Rfc3339 => Some(text.trim().parse::<jiff::Timestamp>().ok()?.as_millisecond()),
    }
}

fn all(expression: Option<&Compiled>, context: &Value) -> Vec<String> {
    let value = expression.and_then(|expression| expression.eval(context).ok());
    let texts = value.map(|value| texts(&value, MANY)).unwrap_or_default();
    texts.into_iter().filter(|text| !text.is_empty()).collect()
}

/// Plays the section's examples.
#[must_use]
pub fn examples(system: &System) -> Vec<(String, Result<(), String>)> {
    let Some(hooks) = &system.hooks else { return Vec::new() };
    hooks.examples.iter().map(|example| (example.name.clone(), play(system, hooks, example))).collect()
}

fn play(system: &System, hooks: &Hooks, example: &Example) -> Result<(), String> {
    let at = match &example.at {
        None => super::sign::Stamp::example().ms,
        Some(text) => text.parse::<jiff::Timestamp>().map_err(|_| "\"at:\" is no moment (RFC 3339)")?.as_millisecond(),
    };
    let mut secrets = hooks.secrets.clone();
    secrets.extend(example.secrets.iter().map(|(name, secret)| (name.clone(), Secret::new(secret.clone()))));
    let headers: Vec<(String, String)> =
        example.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
    let default = format!("https://cti.example.com/v1/hooks/{}", system.id);
    let url = example.url.as_deref().unwrap_or(&default);
    let method = if example.method == Method::Get { "GET" } else { "POST" };
    let request = Request { method, url, headers: &headers, body: example.text.as_bytes() };
    match (judge_with(system, hooks, &secrets, &request, Wall(at)), &example.accepted, &example.answered) {
        (_, Some(_), Some(_)) => Err("it is either accepted or answered".to_owned()),
        ((Verdict::Refused(_), _), None, None) => Ok(()),
        ((Verdict::Refused(why), _), ..) => Err(format!("it is refused: {why}")),
        ((Verdict::Handshake(said), _), _, Some(wanted)) if said.text == *wanted => Ok(()),
        ((Verdict::Handshake(said), _), ..) => Err(format!("it is answered: {}", said.text)),
        ((Verdict::Accepted { .. }, _), None, _) => Err("it is accepted".to_owned()),
        ((Verdict::Accepted { heard, answers, decision, .. }, id), Some(wanted), None) => {
            let numbers = heard.numbers.into_iter().map(Private::into_inner).collect();
            let found = Accepted { id, customers: heard.customers, numbers, answers, decision };
            if found == *wanted { Ok(()) } else { Err(format!("it says {found:?}, not {wanted:?}")) }
        }
    }
}
