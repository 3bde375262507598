//! `GET /v1/route-hint`: what a dialplan may want to know of a caller before it rings anybody. Who may ask, and how the answer is written.
//!
//! A dialplan waits while we think, so an answer comes within the budget whatever the business systems do, and is one of the same shape whatever is known.

use core::net::IpAddr;
use std::fmt::Write as _;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    customers::{Answer, Card, Reason},
    files::{Net, SecretRef},
    private::{Private, Secret},
    words::{AgentId, TenantId},
};

/// Tags of one answer, and characters of one word of it.
const TAGS: usize = 16;
const WORD: usize = 64;

/// Who may ask for hints, and what of a customer is told.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Within this an answer is given, with what is known then.
    pub budget_ms: u64,
    /// The fact of a customer (as a connector maps it) that is the priority: `tier`.
    pub priority: Option<String>,
    /// The fact that is the customer's language; absent, or not known: the language of the line (trunks.yaml).
    pub language: Option<String>,
    /// Facts that are told as tags.
    pub tags: Vec<String>,
    /// Who asks; empty: nobody may.
    pub sources: Vec<Source>,
}

/// One dialplan that asks.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Stands in the audit; the user of HTTP basic authentication.
    pub name: String,
    #[serde(default)]
    pub tenant: TenantId,
    /// Good for hints and nothing else. 16 characters at least.
    pub token: SecretRef,
    /// Addresses and networks from which this source asks.
    pub from: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { budget_ms: 300, priority: None, language: None, tags: Vec::new(), sources: Vec::new() }
    }
}

impl Settings {
    /// What cannot be meant: key, what was found, what would be right.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String, &'static str)> {
        let mut wrong = Vec::new();
        if !(20..=3_000).contains(&self.budget_ms) {
            wrong.push((
                "budget_ms".to_owned(),
                format!("found {}", self.budget_ms),
                "20 to 3000: a caller waits for it",
            ));
        }
        if self.tags.len() > TAGS {
            wrong.push(("tags".to_owned(), format!("there are {}", self.tags.len()), "16 at most"));
        }
        for (i, source) in self.sources.iter().enumerate() {
            let word = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
            if source.name.is_empty() || !source.name.bytes().all(word) {
                let wanted = "letters, digits, \"-\", \"_\" and \".\"";
                wrong.push((format!("sources[{i}].name"), "this is no name".to_owned(), wanted));
            }
            if source.from.is_empty() {
                wrong.push((
                    format!("sources[{i}].from"),
                    "nobody may ask".to_owned(),
                    "the switch's address, for example [\"192.0.2.10\"]",
                ));
            }
            for (n, text) in source.from.iter().enumerate() {
                if let Err(wanted) = Net::read(text) {
                    wrong.push((format!("sources[{i}].from[{n}]"), "this is no address".to_owned(), wanted));
                }
            }
        }
        wrong
    }
}

/// Who may ask, read for use.
#[derive(Default)]
pub struct Gate(Vec<Known>);

struct Known {
    name: String,
    tenant: TenantId,
    digest: [u8; 32],
    from: Vec<Net>,
}

/// Why somebody is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No source of ours has this token.
    Unknown,
    /// The token is good and comes from elsewhere.
    Elsewhere,
}

/// Who asks, by the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker<'a> {
    pub name: &'a str,
    pub tenant: &'a TenantId,
}

impl Gate {
    /// # Errors
    /// A token cannot be read, or is too short to be one.
    pub fn new(settings: &Settings) -> Result<Self, String> {
        let known = settings.sources.iter().map(|source| {
            let token = source.token.resolve().map_err(|why| format!("route_hint, source {}: {why}", source.name))?;
            if token.expose().len() < 16 {
                return Err(format!("route_hint, source {}: the token is shorter than 16 characters", source.name));
            }
            let from = source.from.iter().filter_map(|text| Net::read(text).ok()).collect();
            Ok(Known { name: source.name.clone(), tenant: source.tenant.clone(), digest: digest(&token), from })
        });
        Ok(Self(known.collect::<Result<_, _>>()?))
    }

    /// By `Authorization: Bearer TOKEN`, or basic with the source's name and the token: what a dialplan can send. Never by the address, which is logged.
    ///
    /// # Errors
    /// Who is not let in.
    pub fn admits(&self, authorization: Option<&str>, peer: IpAddr) -> Result<Asker<'_>, Refusal> {
        let (scheme, value) = authorization.and_then(|a| a.split_once(' ')).ok_or(Refusal::Unknown)?;
        let (user, token) = match scheme.to_ascii_lowercase().as_str() {
            "bearer" => (None, value.trim().to_owned()),
            "basic" => {
                let bytes = BASE64_STANDARD.decode(value.trim()).map_err(|_| Refusal::Unknown)?;
                let text = String::from_utf8(bytes).map_err(|_| Refusal::Unknown)?;
                let (user, token) = text.split_once(':').ok_or(Refusal::Unknown)?;
                (Some(user.to_owned()), token.to_owned())
            }
            _ => return Err(Refusal::Unknown),
        };
        // Digests are compared: how long it takes says nothing of the token.
        let digest = digest(&Secret::new(token));
        let known = self.0.iter().find(|k| k.digest == digest && user.as_ref().is_none_or(|user| *user == k.name));
        let known = known.ok_or(Refusal::Unknown)?;
        if known.from.iter().any(|net| net.has(peer)) {
            Ok(Asker { name: &known.name, tenant: &known.tenant })
        } else {
            Err(Refusal::Elsewhere)
        }
    }
}

fn digest(token: &Secret) -> [u8; 32] {
    Sha256::digest(token.expose().as_bytes()).into()
}

/// What is asked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// The caller, as the switch has it.
    pub from: Private<String>,
    /// The number that was called.
    #[serde(default)]
    pub to: Option<Private<String>>,
    /// The switch that asks; absent: the first of the tenant.
    #[serde(default)]
    pub switch: Option<String>,
    #[serde(default)]
    pub trunk: Option<String>,
    /// `json` (default) or `form`.
    #[serde(default)]
    pub format: Format,
    /// Only this key's value, as text.
    #[serde(default)]
    pub field: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    #[default]
    Json,
    /// `agent=1001&extension=1001`: what Asterisk's CURL reads into a HASH.
    Form,
}

/// What is known of the caller when the budget is over. What is not known is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Hint {
    /// `found`, `ambiguous`, `absent`, `unavailable`, `not-asked`, or `pending`: the systems did not answer in time.
    pub customer: &'static str,
    /// Whose customer it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// Where this agent sits at the switch that asks, and the number of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    pub tags: Vec<String>,
}

impl Hint {
    /// Of a card, and the language of the line that was called.
    #[must_use]
    pub fn new(card: &Card, line: Option<&str>, settings: &Settings) -> Self {
        let mut hint = Self {
            customer: match card.answer {
                Answer::Pending => "pending",
                Answer::Found(_) => "found",
                Answer::Absent => "absent",
                Answer::Ambiguous(_) => "ambiguous",
                Answer::Unavailable(_) => "unavailable",
                Answer::NotAsked(_) => "not-asked",
            },
            language: line.map(str::to_owned),
            ..Self::default()
        };
        // Of several nobody is taken for the caller.
        let Answer::Found(person) = &card.answer else { return hint };
        hint.agent = person.reasons.iter().find_map(|reason| match reason {
            Reason::Owner { agent } => Some(agent.clone()),
            _ => None,
        });
        let facts: Vec<_> = person.records().map(|record| record.facts()).collect();
        let words = |name: &str| facts.iter().find_map(|facts| facts.get(name)).map(words).unwrap_or_default();
        let one = |name: &Option<String>| name.as_deref().and_then(|name| words(name).into_iter().next());
        hint.priority = one(&settings.priority);
        hint.language = one(&settings.language).or(hint.language);
        for tag in settings.tags.iter().flat_map(|name| words(name)) {
            if hint.tags.len() < TAGS && !hint.tags.contains(&tag) {
                hint.tags.push(tag);
            }
        }
        hint
    }

    /// The device, and the number that is dialled for it.
    pub fn at(&mut self, device: Option<String>) {
        self.extension = device.as_deref().and_then(|device| device.rsplit('/').next()).map(str::to_owned);
        self.device = device;
    }

    /// The value of one key, as it stands in the other formats; a key that is not there is empty.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<String> {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        Some(match name {
            "customer" => self.customer.to_owned(),
            "agent" => self.agent.as_ref().map(ToString::to_string).unwrap_or_default(),
            "device" => text(&self.device),
            "extension" => text(&self.extension),
            "priority" => text(&self.priority),
            "language" => text(&self.language),
            "tags" => self.tags.join(" "),
            _ => return None,
        })
    }

    /// `customer=found&agent=1001&...&tags=vip+key-account`.
    #[must_use]
    pub fn form(&self) -> String {
        let mut out = String::new();
        for name in ["customer", "agent", "device", "extension", "priority", "language", "tags"] {
            let value = self.field(name).unwrap_or_default();
            let _ = write!(out, "{}{name}=", if out.is_empty() { "" } else { "&" });
            for b in value.bytes() {
                match b {
                    b' ' => out.push('+'),
                    b if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) => out.push(char::from(b)),
                    b => drop(write!(out, "%{b:02X}")),
                }
            }
        }
        out
    }
}

/// What a fact says, as words: business systems are strangers, and this goes into a dialplan. Line ends, commas and what a dialplan reads as its own are no part of a
/// word.
fn words(fact: &serde_json::Value) -> Vec<String> {
    let word = |text: &str| {
        let plain = |c: &char| c.is_alphanumeric() || "-_.".contains(*c);
        let word: String =
            text.trim().chars().map(|c| if c == ' ' { '-' } else { c }).filter(plain).take(WORD).collect();
        (!word.is_empty()).then_some(word)
    };
    match fact {
        serde_json::Value::String(text) => word(text).into_iter().collect(),
        serde_json::Value::Number(number) => word(&number.to_string()).into_iter().collect(),
        serde_json::Value::Bool(true) => vec!["yes".to_owned()],
        serde_json::Value::Array(list) => list.iter().filter_map(|one| word(one.as_str()?)).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        calls::record::Reference,
        customers::{Candidate, Person},
    };

    fn person(facts: serde_json::Value, reasons: Vec<Reason>) -> Arc<Person> {
        let facts = serde_json::value::to_raw_value(&facts).unwrap();
        let link = Reference { system: "erp".into(), kind: "customer".into(), id: "7".into() };
        let mut person = Person::alone(Arc::new(Candidate { facts: Some(facts.into()), ..Candidate::at(link) }));
        person.reasons = reasons;
        Arc::new(person)
    }

    fn settings() -> Settings {
        Settings {
            priority: Some("tier".into()),
            language: Some("lang".into()),
            tags: vec!["tags".into(), "vip".into()],
            ..Settings::default()
        }
    }

    #[test]
    fn a_found_customer_gives_owner_priority_language_and_tags() {
        let facts = serde_json::json!({"tier": "gold", "lang": "en", "tags": ["key account", "b2b"], "vip": true});
        let card = Card::of(Answer::Found(person(facts, vec![Reason::Owner { agent: "1001".into() }])));
        let mut hint = Hint::new(&card, Some("zh"), &settings());
        hint.at(Some("PJSIP/1001".to_owned()));
        assert_eq!(
            hint.form(),
            "customer=found&agent=1001&device=PJSIP%2F1001&extension=1001&priority=gold&language=en&tags=key-account+b2b+yes"
        );
        assert_eq!((hint.field("extension").as_deref(), hint.field("secret")), (Some("1001"), None));
    }

    #[test]
    fn of_several_or_none_nothing_is_told_but_the_line_s_language() {
        let both = || person(serde_json::json!({"tier": "gold"}), vec![Reason::Owner { agent: "1001".into() }]);
        for (answer, word) in [
            (Answer::Ambiguous(vec![both(), both()]), "ambiguous"),
            (Answer::Absent, "absent"),
            (Answer::Pending, "pending"),
        ] {
            let hint = Hint::new(&Card::of(answer), Some("zh"), &settings());
            assert_eq!(hint, Hint { customer: word, language: Some("zh".into()), ..Hint::default() });
        }
    }

    #[test]
    fn what_a_system_says_cannot_leave_its_place_in_a_dialplan() {
        let nasty = serde_json::json!({"tier": "gold,SYSTEM(x)\r\n${ENV(HOME)}&agent=9", "tags": ["a\"b", "", "x".repeat(200)]});
        let hint = Hint::new(&Card::of(Answer::Found(person(nasty, Vec::new()))), None, &settings());
        assert_eq!(hint.priority.as_deref(), Some("goldSYSTEMxENVHOMEagent9"));
        assert_eq!((hint.tags.len(), hint.tags[0].as_str(), hint.tags[1].len()), (2, "ab", WORD));
    }

    #[test]
    fn who_may_ask() {
        let gate = |name: &str, token: &str| Known {
            name: name.to_owned(),
            tenant: TenantId::default(),
            digest: digest(&Secret::new(token.to_owned())),
            from: vec![Net::read("192.0.2.0/24").unwrap()],
        };
        let gate = Gate(vec![gate("pbx1", "0123456789abcdef"), gate("fs1", "fedcba9876543210")]);
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
        let name = |authorization: &str, peer: &str| {
            gate.admits(Some(authorization), ip(peer)).map(|asker| asker.name.to_owned())
        };
        assert_eq!(name("Bearer 0123456789abcdef", "192.0.2.7"), Ok("pbx1".to_owned()));
        assert_eq!(name(&basic("fs1:fedcba9876543210"), "::ffff:192.0.2.7"), Ok("fs1".to_owned()));
        assert_eq!(name("Bearer 0123456789abcdef", "198.51.100.1"), Err(Refusal::Elsewhere));
        for wrong in [
            "Bearer 0123456789abcde",
            "Bearer",
            "",
            "Digest x",
            "Basic !!!",
            &basic("pbx1:fedcba9876543210"),
            &basic("fs1"),
        ] {
            assert_eq!(name(wrong, "192.0.2.7"), Err(Refusal::Unknown), "{wrong}");
        }
        assert_eq!(gate.admits(None, ip("192.0.2.7")), Err(Refusal::Unknown));
    }
}
