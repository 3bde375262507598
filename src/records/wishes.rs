//! What somebody wants written at a system, whatever the rules say: an unknown number put to a customer or made one of, words on a ticket, a change of
//! what is known of the customer. Still.
//!
//! A wish is an effect of its call like those of the rules: durable before it is answered, looked for before it is written, done once. Its
//! key comes from the call and the step, so the same wish of the same call is the same effect after a restart.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{
    connectors::{beside::Lane, hook::Heard},
    customers::{ATTACH, CREATE, Candidate},
    private::Private,
    store::{CallKey, EffectPut, EffectRow, Next, State, effect_key},
    words::{AgentId, CallId, SystemId, TenantId, Wall},
};

use super::{
    command::{Fields, Write},
    papers::Wish,
    rules::{Offers, customer},
};

/// What became of a wish, as far as a screen wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub tenant: TenantId,
    pub call: CallId,
    /// The effect's.
    pub key: String,
    pub system: SystemId,
    pub operation: String,
    /// The ticket that it is about.
    pub ticket: Option<String>,
    pub stands: Where,
    /// Free of personal data.
    pub reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    Done,
    /// It goes again by itself.
    Later,
    Refused,
    /// A person must look whether it was done.
    Person,
}

/// What an attempt says of the wish that it was for; `None`: it was for none, or says nothing.
#[must_use]
pub fn became(row: &EffectRow, next: &Next) -> Option<Told> {
    if !row.rules_hash.is_empty() {
        return None;
    }
    let (stands, reason) = match next {
        Next::Done { .. } => (Where::Done, None),
        Next::Later { reason, .. } => (Where::Later, Some(reason)),
        Next::Dead { reason, .. } => (Where::Refused, Some(reason)),
        Next::Person { reason } => (Where::Person, Some(reason)),
        Next::Back { .. } | Next::Elsewhere => return None,
    };
    let inputs: Map<String, Value> = serde_json::from_str(row.inputs.expose()).ok()?;
    let ticket = inputs.get("target").and_then(|target| target.get("id")).and_then(Value::as_str);
    Some(Told {
        tenant: row.tenant.clone(),
        call: row.call,
        key: row.key.clone(),
        system: row.system.clone(),
        operation: row.operation.clone(),
        ticket: ticket.map(str::to_owned),
        stands,
        reason: reason.cloned(),
    })
}

/// Of which customer something is another now at the system, after a wish was done.
#[must_use]
pub fn changed(row: &EffectRow) -> Option<Heard> {
    of_customer(&row.system, &serde_json::from_str(row.inputs.expose()).ok()?)
}

/// Which customer of a system the inputs of a write name.
#[must_use]
pub fn of_customer(system: &SystemId, inputs: &Map<String, Value>) -> Option<Heard> {
    let customer = inputs.get("customer")?.get("id")?.as_str()?.to_owned();
    Some(Heard { system: system.clone(), customers: [customer].into(), numbers: BTreeSet::new() })
}

/// Who wants it, and when.
pub(super) struct By<'a> {
    pub agent: &'a AgentId,
    /// The agent's id at the system.
    pub agent_id: Option<&'a String>,
    pub at: Wall,
    pub line: Option<&'a str>,
}

pub(super) fn attach(record: &Candidate, number: &Private<String>, by: &By<'_>) -> Wish {
    let mut inputs = told(Some(number), by);
    inputs.insert("customer".to_owned(), customer(record));
    Wish {
        system: record.link.system.as_str().into(),
        // Another customer is another effect: what was written at the first one is not undone by it.
        step: format!("customer-attach-{}-{}", record.link.kind, record.link.id),
        operation: ATTACH.to_owned(),
        inputs: text(inputs),
        at: by.at,
    }
}

pub(super) fn create(system: &SystemId, number: &Private<String>, fields: &Fields, by: &By<'_>) -> Wish {
    let mut inputs = told(Some(number), by);
    for (name, value) in fields {
        inputs.insert((*name).to_owned(), Value::from(value.expose().as_str()));
    }
    Wish {
        system: system.clone(),
        step: "customer-create".to_owned(),
        operation: CREATE.to_owned(),
        inputs: text(inputs),
        at: by.at,
    }
}

/// What an agent asked for: another request is another wish, and the same one again is the same.
pub(super) fn write(write: &Write, by: &By<'_>) -> Wish {
    let mut inputs = told(write.number.as_ref(), by);
    if let Some(record) = &write.customer {
        inputs.insert("customer".to_owned(), customer(record));
    }
    inputs.extend(write.inputs.expose().as_object().cloned().unwrap_or_default());
    let mut hash = Sha256::new();
    for part in [by.agent.as_str(), &write.id] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let id: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Wish {
        system: write.system.clone(),
        step: format!("{}-{id}", write.operation),
        operation: write.operation.to_owned(),
        inputs: text(inputs),
        at: by.at,
    }
}

fn told(number: Option<&Private<String>>, by: &By<'_>) -> Map<String, Value> {
    let mut inputs = Map::from_iter([
        ("agent".to_owned(), Value::from(by.agent.as_str())),
        ("at".to_owned(), Value::from(by.at.to_string())),
    ]);
    if let Some(number) = number {
        inputs.insert("number".to_owned(), Value::from(number.expose().as_str()));
    }
    if let Some(id) = by.agent_id {
        inputs.insert("agent_id".to_owned(), Value::from(id.as_str()));
    }
    if let Some(line) = by.line {
        inputs.insert("line".to_owned(), Value::from(line));
    }
    inputs
}

fn text(inputs: Map<String, Value>) -> Private<String> {
    Private::new(Value::Object(inputs).to_string())
}

/// The effect of a wish.
pub(super) fn put(wish: &Wish, call: &CallKey, offers: &Offers, lane: &Lane) -> EffectPut {
    let key = effect_key(&call.tenant, call.call, &wish.system, &wish.step);
    let row = EffectRow {
        base: key.clone(),
        key,
        tenant: call.tenant.clone(),
        call: call.call,
        place: 0,
        step: wish.step.clone(),
        operation: wish.operation.clone(),
        inputs: wish.inputs.clone(),
        from_result: Vec::new(),
        revision: 1,
        state: State::Waiting,
        due_at: wish.at,
        born_at: wish.at,
        attempts: 0,
        unsure: false,
        reason: None,
        result: None,
        base_result: None,
        record: None,
        // Not of a rule: somebody asked for it, or the line's policy did.
        rules_hash: String::new(),
        connector_hash: offers.hash(&wish.system, lane),
        version: lane.version(&wish.system).cloned(),
        fence: 0,
        updated_at: wish.at,
        system: wish.system.clone(),
    };
    EffectPut { row, content: wish.inputs.clone(), amend: None }
}
