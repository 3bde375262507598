//! What the desk writes into the bodies of the store's rows, and reads back.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use crate::{
    calls::{Record, record::Reference},
    customers::{Candidate, Joined, JoinedBy, Person},
    private::Private,
    store::{EffectRow, History},
    words::{SystemId, Wall},
};

use super::list::is_erased;

/// The body of a checkpoint.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Paper {
    #[serde(default)]
    pub record: Option<Record>,
    #[serde(default)]
    pub link: Option<Candidate>,
    /// The same person's records at other systems.
    #[serde(default)]
    pub also: Vec<Candidate>,
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
/// Everything that one agent, or one flow, wrote into the call's attributes, by name, with its moment.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Written(pub std::collections::BTreeMap<String, (Wall, Private<String>)>);

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Chosen {
    /// `None`: nobody is to be linked. The agent refused all candidates, or only logs the call.
    #[serde(default)]
    pub candidate: Option<Candidate>,
    #[serde(default)]
    pub also: Vec<Candidate>,
    /// The agent took an earlier choice back.
    #[serde(default)]
    pub undone: bool,
}

/// What an agent (or the line's policy) wants done at a system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wish {
    pub system: SystemId,
    /// Part of the effect's key.
    pub step: String,
    pub operation: String,
    pub inputs: Private<String>,
    pub at: Wall,
}

impl Wish {
    pub const ATTACH: &str = "attach";
    pub const CREATE: &str = "create";
    /// With the step behind it: there may be several.
    pub const WRITE: &str = "write:";
}

/// A person's records as they are stored, and back.
pub(super) fn records_of(person: &Person) -> (Candidate, Vec<Candidate>) {
    ((*person.head).clone(), person.also.iter().map(|joined| (*joined.candidate).clone()).collect())
}

pub(super) fn person_of(head: Candidate, also: Vec<Candidate>) -> Person {
    // How they were joined is not asked any more: it was settled when it was written.
    let joined = |candidate| Joined { candidate: Arc::new(candidate), by: JoinedBy::Number };
    Person { head: Arc::new(head), also: also.into_iter().map(joined).collect(), reasons: Vec::new() }
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
        name: text("name").map(Into::into),
        facts: serde_json::value::to_raw_value(customer).ok().map(Arc::from),
        ..Candidate::at(link)
    })
}

/// Who the customer is by the record: where their records are, and no more.
pub(super) fn linked(record: &Record) -> Vec<Candidate> {
    let of = |customer: &crate::calls::record::Customer| -> Vec<Candidate> {
        let links = customer.links.iter();
        links.map(|link| Candidate { name: customer.name.clone(), ..Candidate::at(link.clone()) }).collect()
    };
    record.customer.as_ref().map(of).unwrap_or_default()
}

/// The record of a call as far as it is stored, also of one that is up; `None`: there is none, or what it told of a person was erased.
#[must_use]
pub fn known(history: &History) -> Option<Record> {
    match (&history.record, &history.checkpoint) {
        _ if is_erased(history) => None,
        (Some(row), _) => serde_json::from_str(row.body.expose()).ok(),
        (None, Some(row)) => {
            let paper: Paper = serde_json::from_str(row.body.expose()).ok()?;
            let mut record = paper.record?;
            if let Some(customer) = record.customer.as_mut().filter(|customer| customer.links.is_empty()) {
                customer.links = paper.link.into_iter().chain(paper.also).map(|candidate| candidate.link).collect();
            }
            Some(record)
        }
        (None, None) => None,
    }
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
