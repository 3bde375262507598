//! What is to be done about a number that no system knows: put to a customer, or made one of. Still.
//!
//! A wish is an effect of its call like those of the rules: durable before it is answered, looked for before it is written, done once. Its
//! key comes from the call and the step, so the same wish of the same call is the same effect after a restart.

use serde_json::{Map, Value};

use crate::{
    connectors::beside::Lane,
    customers::{ATTACH, CREATE, Candidate},
    private::Private,
    store::{CallKey, EffectPut, EffectRow, State, effect_key},
    words::{AgentId, SystemId, Wall},
};

use super::{
    command::Fields,
    papers::Wish,
    rules::{Offers, customer},
};

/// Who wants it, and when.
pub(super) struct By<'a> {
    pub agent: &'a AgentId,
    /// The agent's id at the system.
    pub agent_id: Option<&'a String>,
    pub at: Wall,
    pub line: Option<&'a str>,
}

pub(super) fn attach(record: &Candidate, number: &Private<String>, by: &By<'_>) -> Wish {
    let mut inputs = told(number, by);
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
    let mut inputs = told(number, by);
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

fn told(number: &Private<String>, by: &By<'_>) -> Map<String, Value> {
    let mut inputs = Map::from_iter([
        ("number".to_owned(), Value::from(number.expose().as_str())),
        ("agent".to_owned(), Value::from(by.agent.as_str())),
        ("at".to_owned(), Value::from(by.at.to_string())),
    ]);
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
