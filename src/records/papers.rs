//! What the desk writes into the bodies of the store's rows, and reads back.

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use crate::{
    calls::{Record, record::Reference},
    customers::Candidate,
    private::Private,
    store::EffectRow,
    words::Wall,
};

/// The body of a checkpoint.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Paper {
    #[serde(default)]
    pub record: Option<Record>,
    #[serde(default)]
    pub link: Option<Candidate>,
    #[serde(default)]
    pub tickets: Vec<Value>,
    #[serde(default)]
    pub line: Option<String>,
    #[serde(default)]
    pub book: Option<Private<Box<RawValue>>>,
}

/// Bodies of notes, by kind.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Noted {
    pub text: Private<String>,
}
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Wrapped {
    #[serde(default)]
    pub disposition: Vec<String>,
    #[serde(default)]
    pub notes: Option<Private<String>>,
    #[serde(default)]
    pub ticket: bool,
}
/// Everything that one agent wrote into the call's attributes, by name, with its moment.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Written(pub std::collections::BTreeMap<String, (Wall, Private<String>)>);

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Chosen {
    /// `None`: the agent refused all candidates.
    #[serde(default)]
    pub candidate: Option<Candidate>,
}

impl Noted {
    pub const KIND: &str = "notes";
}
impl Wrapped {
    pub const KIND: &str = "wrapup";
}
impl Written {
    pub const KIND: &str = "attributes";
}
impl Chosen {
    pub const KIND: &str = "customer";
}

/// The customer that an effect was made for.
pub(super) fn customer_of(row: &EffectRow) -> Option<Candidate> {
    let inputs: Value = serde_json::from_str(row.inputs.expose()).ok()?;
    let customer = inputs.get("customer")?;
    let text = |name: &str| customer.get(name).and_then(Value::as_str).map(str::to_owned);
    let link = Reference { system: text("system")?, kind: text("type")?, id: text("id")? };
    Some(Candidate {
        id: format!("{}:{}:{}", link.system, link.kind, link.id),
        link,
        name: text("name").map(Into::into),
        reason: None,
        url: None,
        facts: Some(std::sync::Arc::new(customer.clone())),
    })
}

/// The values here hold string keys only and no foreign serialiser, so JSON cannot fail; if it did, an empty object is what a reader can bear.
pub(super) fn json_text(value: &impl Serialize) -> Private<String> {
    Private::new(serde_json::to_string(value).unwrap_or_else(|_| "{}".to_owned()))
}

/// An enum's word as JSON writes it.
pub(super) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}
