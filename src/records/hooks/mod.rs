//! Webhooks, out: what happens to calls is told to any address, in the order of each call, until it is accepted.
//!
//! An event is an effect like a ticket: durable with the batch that concludes it, sent by the outbox, never twice at one time, again after a crash, with one id for ever. What it says is
//! decided here, and so is its signature (Standard Webhooks, 1.0.0); `live` sends it. Zammad's generic CTI form is a dialect of the same.
//! Left out: `Queued`, holds and offers that came to nothing. Who wants those wants the agents' protocol.

pub mod live;

use base64::Engine as _;
use hmac::{Hmac, Mac as _};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    calls::{
        Change, Record, What,
        change::Role,
        record::{Direction, Outcome},
    },
    files::{self, Problem, SecretRef},
    private::{Private, Secret},
    store::{CallKey, EffectPut, EffectRow, EffectSet, State, effect_key},
    words::{CallId, SystemId, TenantId, Wall},
};

/// Before a webhook's name, where a business system's id stands otherwise.
pub const PREFIX: &str = "webhook:";

/// webhooks.yaml.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    pub webhooks: Vec<OneFile>,
    /// Hosts and addresses that may be private ones: a Zammad in the same house.
    #[serde(default)]
    pub allow: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OneFile {
    /// Letters, digits and hyphens; part of each event's key for ever.
    pub name: String,
    #[serde(default)]
    pub tenant: TenantId,
    /// `{token}` in it is the secret `token`.
    pub url: String,
    pub token: Option<SecretRef>,
    /// What events are signed with: any text, or `whsec_` and base64. Zammad wants none.
    pub secret: Option<SecretRef>,
    #[serde(default)]
    pub format: Format,
    /// Which are sent; absent: all.
    pub events: Option<Vec<Event>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Standard Webhooks.
    #[default]
    Standard,
    /// Zammad's generic CTI: newCall, answer, hangup, as a form.
    Zammad,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// An agent's phone rings with it.
    Delivered,
    Established,
    Transferred,
    Ended,
    /// A customer's call that nobody answered.
    Missed,
    /// The whole record, and again with each revision.
    Record,
    Wrapup,
}

impl Event {
    /// As it is called in what is sent.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Delivered => "call.delivered",
            Self::Established => "call.established",
            Self::Transferred => "call.transferred",
            Self::Ended => "call.ended",
            Self::Missed => "call.missed",
            Self::Record => "call.record",
            Self::Wrapup => "call.wrapup",
        }
    }
}

/// All of them, read for use.
#[derive(Clone, Debug, Default)]
pub struct Webhooks {
    pub list: Vec<Webhook>,
    pub allow: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Webhook {
    pub name: String,
    pub tenant: TenantId,
    pub url: Secret,
    pub key: Option<Secret>,
    pub format: Format,
    pub events: Option<Vec<Event>>,
}

/// One thing that happened, before it is known who wants it.
struct Told {
    event: Event,
    /// With the call and the webhook, what names it.
    step: String,
    more: Map<String, Value>,
}

impl Webhooks {
    /// # Errors
    /// Every problem; never empty.
    pub fn read(
        name: &str,
        text: &str,
        secret: &dyn Fn(&SecretRef) -> Result<Secret, String>,
    ) -> Result<Self, Vec<Problem>> {
        let read = files::read::<File>(name, text)?;
        let (mut problems, mut list) = (Vec::<Problem>::new(), Vec::<Webhook>::new());
        for (n, file) in read.value.webhooks.iter().enumerate() {
            let at = |key: &str| format!("webhooks[{n}].{key}");
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
            if file.name.is_empty() || !file.name.bytes().all(plain) || list.iter().any(|w| w.name == file.name) {
                let wanted = "letters, digits and hyphens, each name once";
                problems.push(read.problem(&at("name"), "this is no name, or somebody else's", wanted));
            }
            let mut get = |key: &str, place: &Option<SecretRef>| match place.as_ref().map(secret) {
                Some(Err(why)) => {
                    problems.push(read.problem(&at(key), why, "a secret that can be read"));
                    None
                }
                Some(Ok(secret)) => Some(secret),
                None => None,
            };
            let (token, key) = (get("token", &file.token), get("secret", &file.secret));
            if file.url.contains("{token}") != file.token.is_some() {
                problems.push(read.problem(&at("url"), "{token} and \"token:\" go together", "both, or none"));
            }
            let token = token.as_ref().map_or("", Secret::expose);
            let url = file.url.replace("{token}", &crate::words::percent(token));
            if host(&url).is_none() {
                problems.push(read.problem(&at("url"), "no web address", "https://host/path"));
            }
            if file.format == Format::Standard && file.secret.is_none() {
                let wanted = "\"secret:\", with which the receiver knows that it is us";
                problems.push(read.problem(&at("secret"), "nothing would be signed", wanted));
            }
            if key.as_ref().is_some_and(|key| signing(key).is_none_or(|key| key.len() < 16)) {
                let wanted = "16 bytes at least, as text or as whsec_ and base64";
                problems.push(read.problem(&at("secret"), "this is no key", wanted));
            }
            list.push(Webhook {
                name: file.name.clone(),
                tenant: file.tenant.clone(),
                url: Secret::new(url),
                key,
                format: file.format,
                events: file.events.clone(),
            });
        }
        let allow = read.value.allow.iter().map(|host| host.to_ascii_lowercase()).collect();
        if problems.is_empty() { Ok(Self { list, allow }) } else { Err(problems) }
    }

    #[must_use]
    pub fn named(&self, system: &SystemId) -> Option<&Webhook> {
        let name = system.as_str().strip_prefix(PREFIX)?;
        self.list.iter().find(|webhook| webhook.name == name)
    }

    /// What a change is to have told of it.
    pub fn change(&self, change: &Change, record: Option<&Record>, out: &mut Vec<EffectSet>) {
        if self.list.is_empty() {
            return;
        }
        let of = |event, step: String, offer: &crate::calls::change::Offer| {
            let more = json!({"agent": offer.agent, "device": offer.device, "role": offer.role});
            Told { event, step, more: object(more) }
        };
        let told = match &change.what {
            What::Offered(offer) => of(Event::Delivered, format!("delivered-{}", offer.ordinal), offer),
            What::Established(offer) => of(Event::Established, format!("established-{}", offer.ordinal), offer),
            What::Transferred { kind, from, to } => {
                let nth = record.and_then(|record| record.transfers.as_ref()).map_or(0, Vec::len);
                let more = object(json!({"kind": kind, "from": from, "to": to}));
                Told { event: Event::Transferred, step: format!("transferred-{nth}"), more }
            }
            _ => return,
        };
        if let Some(record) = record {
            self.put(record, change.at.wall, told, out);
        }
    }

    /// A record was written; `first`: it is the call's end.
    pub fn written(&self, record: &Record, first: bool, at: Wall, out: &mut Vec<EffectSet>) {
        if self.list.is_empty() {
            return;
        }
        let none = Map::new;
        if first {
            self.put(record, at, Told { event: Event::Ended, step: "ended".to_owned(), more: none() }, out);
            if missed(record) {
                self.put(record, at, Told { event: Event::Missed, step: "missed".to_owned(), more: none() }, out);
            }
        }
        let more = object(json!({ "record": record }));
        let step = format!("record-{}", record.revision);
        self.put(record, at, Told { event: Event::Record, step, more }, out);
    }

    /// An agent wrapped the call up.
    pub fn wrapped(&self, record: &Record, agent: &str, wrapup: &str, at: Wall, out: &mut Vec<EffectSet>) {
        // Told again it is the same event, whenever that is; another wrap-up of the same agent is another.
        let mark: String = Sha256::digest(wrapup).iter().take(8).map(|b| format!("{b:02x}")).collect();
        let wrapup: Value = serde_json::from_str(wrapup).unwrap_or_default();
        let more = object(json!({"agent": agent, "wrapup": wrapup}));
        self.put(record, at, Told { event: Event::Wrapup, step: format!("wrapup-{agent}-{mark}"), more }, out);
    }

    fn put(&self, record: &Record, at: Wall, told: Told, out: &mut Vec<EffectSet>) {
        for webhook in self.list.iter().filter(|webhook| webhook.tenant == record.tenant) {
            if webhook.events.as_ref().is_some_and(|events| !events.contains(&told.event)) {
                continue;
            }
            let said = match webhook.format {
                Format::Standard => Some((told.step.clone(), standard(record, &told, at))),
                Format::Zammad => zammad(record, &told),
            };
            let Some((step, inputs)) = said else { continue };
            let system = SystemId::from(format!("{PREFIX}{}", webhook.name).as_str());
            let key = effect_key(&record.tenant, record.call, &system, &step);
            // Each webhook has its own order in each call: what one does not take holds up neither another nor a ticket.
            let line = CallKey { tenant: record.tenant.clone(), call: own(record.call, &webhook.name) };
            let inputs: Private<String> = inputs.to_string().into();
            let row = EffectRow {
                key: key.clone(),
                base: key,
                tenant: record.tenant.clone(),
                call: line.call,
                place: 0,
                step,
                system,
                operation: told.event.word().to_owned(),
                inputs: inputs.clone(),
                from_result: Vec::new(),
                revision: 1,
                state: State::Waiting,
                due_at: at,
                born_at: at,
                attempts: 0,
                unsure: false,
                reason: None,
                result: None,
                base_result: None,
                record: None,
                rules_hash: String::new(),
                connector_hash: String::new(),
                version: None,
                fence: 0,
                updated_at: at,
            };
            let puts = vec![EffectPut { row, content: inputs, amend: None }];
            out.push(EffectSet { call: line, puts, at, adds: true });
        }
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// The line in which one webhook's events of one call wait.
fn own(call: CallId, webhook: &str) -> CallId {
    let hash = Sha256::digest(format!("linecard webhook 1 {call} {webhook}"));
    let bytes: [u8; 16] = hash.first_chunk::<16>().copied().unwrap_or_default();
    CallId(ulid::Ulid(u128::from_be_bytes(bytes)))
}

fn missed(record: &Record) -> bool {
    record.direction == Some(Direction::Inbound)
        && matches!(
            record.outcome,
            Some(Outcome::Abandoned | Outcome::Unanswered | Outcome::Voicemail | Outcome::Busy | Outcome::Rejected)
        )
}

/// What every event says of its call.
const FACTS: [&str; 13] = [
    "call",
    "tenant",
    "switch",
    "direction",
    "origin",
    "customer",
    "dialled",
    "trunk",
    "queue",
    "outcome",
    "started_at",
    "answered_at",
    "ended_at",
];

fn standard(record: &Record, told: &Told, at: Wall) -> Value {
    let whole = serde_json::to_value(record).unwrap_or_default();
    let facts = FACTS.iter().filter_map(|name| Some(((*name).to_owned(), whole.get(*name)?.clone())));
    let mut data: Map<String, Value> = facts.collect();
    data.extend(told.more.clone());
    json!({"type": told.event.word(), "timestamp": at, "data": data})
}

/// docs.zammad.org, Generic CTI (read in November 2026): three events, numbers without a plus.
fn zammad(record: &Record, told: &Told) -> Option<(String, Value)> {
    let inbound = match record.direction? {
        Direction::Inbound => true,
        Direction::Outbound => false,
        Direction::Internal => return None,
    };
    let role = told.more.get("role").and_then(|role| serde_json::from_value::<Role>(role.clone()).ok());
    if matches!(role, Some(Role::Consult | Role::Internal)) {
        return None;
    }
    let agent = told.more.get("agent").and_then(Value::as_str);
    let plain = |e164: &Option<Private<String>>, raw: &Option<Private<String>>| {
        let text = e164.as_ref().or(raw.as_ref()).map_or("anonymous", |number| number.expose().as_str());
        text.trim_start_matches('+').to_owned()
    };
    let number = |number: &Option<crate::numbers::Number>| {
        number.as_ref().map_or_else(String::new, |number| plain(&number.e164, &number.raw))
    };
    let customer = record.customer.as_ref();
    let customer = customer.map_or_else(|| "anonymous".to_owned(), |customer| plain(&customer.e164, &customer.raw));
    let (from, to) = match inbound {
        true => (customer, number(&record.dialled)),
        false => (number(&record.presented), number(&record.dialled)),
    };
    let mut form = Map::from_iter([
        ("from".to_owned(), json!(from)),
        ("to".to_owned(), json!(to)),
        ("direction".to_owned(), json!(if inbound { "in" } else { "out" })),
        ("callId".to_owned(), json!(record.call)),
    ]);
    let mut put = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            form.insert(name.to_owned(), json!(value));
        }
    };
    put("queue", record.queue.as_deref());
    let step = match told.event {
        Event::Delivered => {
            put("event", Some("newCall"));
            put("user[]", agent);
            // Once for a call, however many phones ring.
            "new-call".to_owned()
        }
        Event::Established => {
            put("event", Some("answer"));
            put("user[]", agent);
            put("answeringNumber", agent);
            told.step.clone()
        }
        Event::Ended => {
            put("event", Some("hangup"));
            put("cause", Some(cause(record.outcome)));
            put("answeringNumber", record.final_agent.as_ref().map(crate::words::AgentId::as_str));
            told.step.clone()
        }
        _ => return None,
    };
    Some((step, json!({ "form": form })))
}

fn cause(outcome: Option<Outcome>) -> &'static str {
    match outcome {
        Some(Outcome::Abandoned | Outcome::Cancelled) => "cancel",
        Some(Outcome::Unanswered | Outcome::NoAnswer | Outcome::AgentUnreached) => "noAnswer",
        Some(Outcome::Busy | Outcome::Rejected) => "busy",
        Some(Outcome::Voicemail) => "forwarded",
        Some(Outcome::Failed) => "congestion",
        Some(Outcome::Answered | Outcome::SelfService | Outcome::Closed) | None => "normalClearing",
    }
}

/// What is sent, and how.
pub struct Request {
    pub url: Secret,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

/// An event as it goes out at this moment. `id` stays the same for ever, the time and so the signature do not.
#[must_use]
pub fn request(webhook: &Webhook, inputs: &Map<String, Value>, id: &str, now: Wall) -> Request {
    let url = webhook.url.clone();
    if let Some(form) = inputs.get("form").and_then(Value::as_object) {
        let percent = crate::words::percent;
        let pairs = form.iter().map(|(k, v)| format!("{}={}", percent(k), percent(v.as_str().unwrap_or_default())));
        let headers = vec![("Content-Type", "application/x-www-form-urlencoded".to_owned())];
        return Request { url, headers, body: pairs.collect::<Vec<_>>().join("&") };
    }
    let said: Map<String, Value> =
        ["type", "timestamp", "data"].iter().filter_map(|k| Some(((*k).to_owned(), inputs.get(*k)?.clone()))).collect();
    let (body, at) = (Value::Object(said).to_string(), (now.0 / 1000).to_string());
    let mut headers = vec![
        ("Content-Type", "application/json".to_owned()),
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", at.clone()),
    ];
    if let Some(key) = webhook.key.as_ref().and_then(signing) {
        headers.push(("webhook-signature", signature(&key, &format!("{id}.{at}.{body}"))));
    }
    Request { url, headers, body }
}

fn signature(key: &[u8], text: &str) -> String {
    let mac =
        <Hmac<Sha256> as hmac::Mac>::new_from_slice(key).map(|mac| mac.chain_update(text).finalize().into_bytes());
    // HMAC takes keys of every length.
    format!("v1,{}", base64::engine::general_purpose::STANDARD.encode(mac.unwrap_or_default()))
}

/// The bytes that are signed with; nothing where `whsec_` is followed by no base64.
fn signing(key: &Secret) -> Option<Vec<u8>> {
    match key.expose().strip_prefix("whsec_") {
        Some(encoded) => base64::engine::general_purpose::STANDARD.decode(encoded).ok(),
        None => Some(key.expose().as_bytes().to_vec()),
    }
}

/// The host of a web address, in lower case, without brackets.
#[must_use]
fn host(url: &str) -> Option<String> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() || authority.contains(['@', '\\']) || url.chars().any(|c| c.is_control() || c == ' ') {
        return None;
    }
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_specification() {
        let key = signing(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned())).unwrap();
        let text = r#"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}"#;
        assert_eq!(signature(&key, text), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn hosts_are_read_and_what_hides_one_is_none() {
        for (url, wanted) in [
            ("https://Hooks.Example.com/a?b", Some("hooks.example.com")),
            ("http://[::1]:8080/", Some("::1")),
            ("https://h:1/", Some("h")),
            ("https://h@evil/", None),
            ("ftp://h/", None),
            ("https:///x", None),
            ("https://h\\@evil/", None),
        ] {
            assert_eq!(host(url).as_deref(), wanted, "{url}");
        }
    }

    #[test]
    fn mistakes_are_told_together() {
        let text = "webhooks:\n  - {name: 'a b', url: 'ftp://x', secret: {env: A}}\n  - {name: c, url: 'https://x/{token}', secret: {env: SHORT}}\n  - {name: d, url: 'https://x/'}\n";
        let secret = |place: &SecretRef| match place {
            SecretRef::Env(name) if name == "SHORT" => Ok(Secret::new("short".to_owned())),
            _ => Ok(Secret::new("0123456789abcdef".to_owned())),
        };
        let problems = Webhooks::read("webhooks.yaml", text, &secret).unwrap_err();
        let keys: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
        for key in ["webhooks[0].name", "webhooks[0].url", "webhooks[1].url", "webhooks[1].secret", "webhooks[2]"] {
            assert!(keys.iter().any(|found| found.starts_with(key)), "{key}: {keys:?}");
        }
    }
}
