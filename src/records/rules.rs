//! `config/rules.yaml`: what is to be done at the business systems for a call, by what is known of it.
//!
//! Still: a [`Known`] goes in, effects come out, the same for the same input.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{
    calls::record::{Direction, Outcome, Record, WrapUp},
    connectors::beside::Lane,
    connectors::operation,
    customers::{Candidate, Person},
    files::{self, Problem},
    private::Private,
    store::{Amend, CallKey, EffectPut, EffectRow, EffectSet, State, effect_key},
    words::{SystemId, TenantId, Wall},
};

use super::{
    expression,
    hooks::Webhooks,
    instead::{self, Instead},
};

/// The rules in use, and the hash of the text they were read from.
#[derive(Clone, Debug)]
pub struct Rules {
    pub hash: String,
    file: RulesFile,
}

/// rules.yaml.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RulesFile {
    #[serde(default = "minute")]
    wait_for_wrapup_ms: u64,
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// A sentence for people.
    #[allow(dead_code)]
    name: String,
    #[serde(default)]
    when: When,
    #[serde(rename = "do")]
    steps: Vec<Step>,
}

/// All that are named must hold; a list holds if one of it does.
#[derive(Clone, Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct When {
    direction: Option<Vec<Direction>>,
    outcome: Option<Vec<Outcome>>,
    queue: Option<Vec<String>>,
    tenant: Option<Vec<TenantId>>,
    /// The beginning of a path in the disposition tree, `billing/refund`.
    disposition: Option<Vec<String>>,
    ticket_asked: Option<bool>,
    customer: Option<Customer>,
    /// A minijinja expression over what templates see.
    #[serde(rename = "if")]
    condition: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Customer {
    Known,
    Unknown,
}

#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Step {
    /// Part of the effect's key.
    step: String,
    /// Absent: the customer's system if it offers the operation, else the first that does.
    system: Option<SystemId>,
    operation: String,
    /// Waits for the wrap-up of the agent who had the call last.
    #[serde(default)]
    wait_for_wrapup: bool,
    inputs: BTreeMap<String, String>,
    /// With `ticket.create`: what is done instead where the customer has a ticket already.
    instead: Option<Instead>,
    /// What is done if the content changes after it was sent. Absent: nothing.
    amend: Option<AmendStep>,
}

#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct AmendStep {
    operation: String,
    inputs: BTreeMap<String, String>,
    /// Input name to an expression over `result`, what the system answered to the step.
    #[serde(default)]
    from_result: BTreeMap<String, String>,
}

/// What a step need not say, because every write is told it.
const BESIDE: [&str; 3] = ["call", "key", "customer"];

const fn minute() -> u64 {
    60_000
}

/// Which system offers what, and from which file it was read; told by wiring at start and at each reload.
#[derive(Clone, Debug, Default)]
pub struct Offers {
    /// Operation to systems, in the order in which they are preferred.
    pub systems: HashMap<String, Vec<SystemId>>,
    /// System to the fields of its customers that may be changed from here.
    pub writable: HashMap<SystemId, Vec<String>>,
    /// System to what people call it.
    pub titles: HashMap<SystemId, String>,
    /// System to its file's hash.
    pub hashes: HashMap<SystemId, String>,
    /// Who is told of calls besides.
    pub webhooks: Arc<Webhooks>,
}

impl Offers {
    /// Of the file by which a call's effects are written at this system.
    pub(super) fn hash(&self, system: &SystemId, lane: &Lane) -> String {
        self.hashes.get(lane.version(system).unwrap_or(system)).cloned().unwrap_or_default()
    }

    /// The customer's own system, else another that knows them, else the first that offers it.
    fn choose(&self, operation: &str, customer: Option<&Person>) -> Option<SystemId> {
        let offering = self.systems.get(operation)?;
        let records = customer.into_iter().flat_map(Person::records);
        let known = records.filter_map(|record| offering.iter().find(|id| id.as_str() == record.link.system)).next();
        known.or_else(|| offering.first()).cloned()
    }
}

/// What is known of an ended call. All of it is personal.
#[derive(Clone, Debug)]
pub struct Known<'a> {
    pub now: Wall,
    pub record: &'a Record,
    pub customer: Option<&'a Person>,
    /// The customer's open tickets as their system answered, newest first.
    pub tickets: &'a [Value],
    pub wrapup: Option<&'a WrapUp>,
    /// The wrap-up is complete: nothing waits for it any more.
    pub wrapped: bool,
    pub asked: bool,
    pub line: Option<&'a str>,
    /// By which files its systems were asked.
    pub lane: &'a Lane,
    /// The agent's ids at other systems.
    pub agent_ids: &'a HashMap<String, String>,
}

impl Rules {
    /// # Errors
    /// Every problem of the file; never empty.
    pub fn read(file: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let read = files::read::<RulesFile>(file, text)?;
        let mut problems = Vec::new();
        let mut bad = |key: String, text: &str, bare: bool| {
            if let Err(found) = expression::check(text, bare) {
                problems.push(read.problem(&key, found, "a minijinja expression or template"));
            }
        };
        for (r, rule) in read.value.rules.iter().enumerate() {
            if let Some(text) = &rule.when.condition {
                bad(format!("rules[{r}].when.if"), text, true);
            }
            for (s, step) in rule.steps.iter().enumerate() {
                let at = format!("rules[{r}].do[{s}]");
                for (name, text) in &step.inputs {
                    bad(format!("{at}.inputs.{name}"), text, false);
                }
                let append = step.instead.iter().filter_map(|i| i.append.as_ref()?.condition.as_ref());
                let reopen = step.instead.iter().filter_map(|i| i.reopen.as_ref()?.condition.as_ref());
                append.for_each(|text| bad(format!("{at}.instead.append.if"), text, true));
                reopen.for_each(|text| bad(format!("{at}.instead.reopen.if"), text, true));
                for (name, text) in step.amend.iter().flat_map(|amend| &amend.inputs) {
                    bad(format!("{at}.amend.inputs.{name}"), text, false);
                }
                for (name, text) in step.amend.iter().flat_map(|amend| &amend.from_result) {
                    bad(format!("{at}.amend.from_result.{name}"), text, true);
                }
            }
        }
        for (r, rule) in read.value.rules.iter().enumerate() {
            for (s, step) in rule.steps.iter().enumerate() {
                let at = format!("rules[{r}].do[{s}]");
                let amend = step.amend.as_ref();
                if let Some(instead) = &step.instead {
                    let key = format!("{at}.instead");
                    if step.operation != instead::CREATE {
                        let found = format!("nothing can be done instead of {}", step.operation);
                        problems.push(read.problem(&key, found, "\"operation: ticket.create\""));
                    } else if instead.needs().next().is_none() {
                        problems.push(read.problem(&key, "neither append nor reopen", "one of them, or both"));
                    }
                    if let Some(name) = instead::RESERVED.iter().find(|name| step.inputs.contains_key(**name)) {
                        let found = format!("the input {name} says where it goes, and here the customer's tickets do");
                        problems.push(read.problem(&format!("{at}.inputs"), found, "that line taken out"));
                    }
                }
                for (key, name, given) in [
                    Some((format!("{at}.operation"), &step.operation, (&step.inputs, None))),
                    amend.map(|a| (format!("{at}.amend.operation"), &a.operation, (&a.inputs, Some(&a.from_result)))),
                ]
                .into_iter()
                .flatten()
                {
                    let Some(known) = operation::named(name).filter(|known| known.writes) else {
                        let wanted = "ticket.create, note.add, mail.send or notify";
                        problems.push(read.problem(&key, format!("there is no operation {name} that writes"), wanted));
                        continue;
                    };
                    for input in known.required.iter().filter(|input| !BESIDE.contains(input)) {
                        if !given.0.contains_key(*input) && given.1.is_none_or(|from| !from.contains_key(*input)) {
                            problems.push(read.problem(
                                &key,
                                format!("{name} needs the input {input}"),
                                format!("add \"{input}:\" to inputs"),
                            ));
                        }
                    }
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let hash = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { hash, file: read.value })
    }

    /// Systems that rules name, for `check`: (system, operation).
    pub fn named(&self) -> impl Iterator<Item = (&SystemId, &str)> {
        let steps = self.file.rules.iter().flat_map(|rule| &rule.steps);
        steps.flat_map(|step| {
            let mut operations = vec![step.operation.as_str()];
            step.instead.iter().flat_map(Instead::needs).for_each(|operation| operations.push(operation));
            operations.into_iter().filter_map(|operation| Some((step.system.as_ref()?, operation)))
        })
    }

    /// All that this call is to have done, by what is known now. The second value: steps that were left out, and why (free of personal data).
    #[must_use]
    pub fn effects(&self, known: &Known<'_>, offers: &Offers) -> (EffectSet, Vec<String>) {
        let record = known.record;
        let call = CallKey { tenant: record.tenant.clone(), call: record.call };
        let mut set = EffectSet { call, puts: Vec::new(), at: known.now, adds: false };
        let mut left_out = Vec::new();
        let context = context(known);
        for rule in &self.file.rules {
            if !holds(&rule.when, known, &context) {
                continue;
            }
            for step in &rule.steps {
                match self.effect(step, known, &context, offers) {
                    Ok(put) if set.puts.iter().any(|other| other.row.key == put.row.key) => {}
                    Ok(put) => set.puts.push(put),
                    Err(why) => left_out.push(format!("{}: {why}", step.step)),
                }
            }
        }
        (set, left_out)
    }

    fn effect(&self, step: &Step, known: &Known<'_>, context: &Value, offers: &Offers) -> Result<EffectPut, String> {
        let record = known.record;
        let system = match &step.system {
            Some(system) => system.clone(),
            None => offers
                .choose(&step.operation, known.customer)
                .ok_or_else(|| format!("no system offers {}", step.operation))?,
        };
        let said = inputs(&step.inputs, context)?;
        let content = Value::Object(said.clone()).to_string();
        let wait = i64::try_from(self.file.wait_for_wrapup_ms).unwrap_or(i64::MAX);
        let talked = record.agents.as_ref().is_some_and(|agents| !agents.is_empty());
        let due_at = if step.wait_for_wrapup && talked && !known.wrapped {
            record.ended_at.unwrap_or(known.now).plus_ms(wait)
        } else {
            known.now
        };
        // What an agent is still typing goes once, not letter by letter.
        let amend_at = if known.wrapped { known.now } else { known.now.plus_ms(wait) };
        let amend = match &step.amend {
            None => None,
            Some(amend) => {
                let inputs = beside(inputs(&amend.inputs, context)?, known, context, &system);
                Some(Amend {
                    operation: amend.operation.clone(),
                    inputs: json_text(inputs),
                    from_result: amend.from_result.clone().into_iter().collect(),
                    due_at: amend_at,
                })
            }
        };
        let key = effect_key(&record.tenant, record.call, &system, &step.step);
        let mut inputs = beside(said, known, context, &system);
        if !inputs.contains_key("customer")
            && operation::named(&step.operation).is_some_and(|o| o.required.contains(&"customer"))
        {
            return Err(format!("the customer is not known at {system}"));
        }
        // Whose tickets are to be looked through is known only of a customer of this system.
        if let Some(instead) = step.instead.as_ref().filter(|_| inputs.contains_key("customer")) {
            instead.put(&mut inputs);
        }
        let row = EffectRow {
            base: key.clone(),
            key,
            tenant: record.tenant.clone(),
            call: record.call,
            place: 0,
            step: step.step.clone(),
            operation: step.operation.clone(),
            inputs: json_text(inputs),
            from_result: Vec::new(),
            revision: 1,
            state: State::Waiting,
            due_at,
            born_at: due_at,
            attempts: 0,
            unsure: false,
            reason: None,
            result: None,
            base_result: None,
            record: None,
            rules_hash: self.hash.clone(),
            connector_hash: offers.hash(&system, known.lane),
            version: known.lane.version(&system).cloned(),
            fence: 0,
            updated_at: known.now,
            system,
        };
        Ok(EffectPut { row, content: content.into(), amend })
    }
}

fn holds(when: &When, known: &Known<'_>, context: &Value) -> bool {
    let record = known.record;
    let one_of = |list: &Option<Vec<String>>, word: Option<&String>| {
        list.as_ref().is_none_or(|list| word.is_some_and(|word| list.contains(word)))
    };
    let disposition = known.wrapup.map(|wrapup| wrapup.disposition.join("/")).unwrap_or_default();
    when.direction.as_ref().is_none_or(|list| record.direction.is_some_and(|d| list.contains(&d)))
        && when.outcome.as_ref().is_none_or(|list| record.outcome.is_some_and(|o| list.contains(&o)))
        && one_of(&when.queue, record.queue.as_ref())
        && when.tenant.as_ref().is_none_or(|list| list.contains(&record.tenant))
        && when.disposition.as_ref().is_none_or(|list| {
            list.iter().any(|path| disposition == *path || disposition.starts_with(&format!("{path}/")))
        })
        && when.ticket_asked.is_none_or(|asked| asked == known.asked)
        && when.customer.is_none_or(|wanted| (wanted == Customer::Known) == known.customer.is_some())
        && when
            .condition
            .as_ref()
            .is_none_or(|text| expression::value(text, context).is_ok_and(|value| expression::truthy(&value)))
}

/// What templates see.
fn context(known: &Known<'_>) -> Value {
    let ticket = known.tickets.first().map(|ticket| {
        let kind = ticket.get("type").cloned().unwrap_or_else(|| "ticket".into());
        json!({ "id": ticket.get("id"), "type": kind })
    });
    json!({
        "record": known.record,
        "customer": known.customer.map(|person| customer(&person.head)),
        "tickets": known.tickets,
        "ticket": ticket.filter(|ticket| !ticket["id"].is_null()),
        "wrapups": known.record.wrapups,
        "wrapup": known.wrapup,
        "asked": known.asked,
        "line": known.line,
    })
}

/// What templates see of a customer.
#[must_use]
pub fn customer(candidate: &Candidate) -> Value {
    let mut map = candidate.facts();
    map.insert("id".to_owned(), candidate.link.id.clone().into());
    map.insert("type".to_owned(), candidate.link.kind.clone().into());
    map.insert("system".to_owned(), candidate.link.system.clone().into());
    if let Some(name) = &candidate.name {
        map.insert("name".to_owned(), name.expose().clone().into());
    }
    Value::Object(map)
}

fn inputs(templates: &BTreeMap<String, String>, context: &Value) -> Result<Map<String, Value>, String> {
    let mut map = Map::new();
    for (name, text) in templates {
        match expression::leaf(text, context).map_err(|why| format!("input {name} {why}"))? {
            Value::Null => {}
            value => {
                map.insert(name.clone(), value);
            }
        }
    }
    Ok(map)
}

/// Adds what every write may be told and the file did not say: customer (of this system), agent, number, time.
fn beside(mut said: Map<String, Value>, known: &Known<'_>, context: &Value, system: &SystemId) -> Map<String, Value> {
    let mut add = |name: &str, value: Value| {
        if !value.is_null() {
            said.entry(name).or_insert(value);
        }
    };
    if let Some(record) = known.customer.and_then(|person| person.at(system.as_str())) {
        add("customer", customer(record));
    }
    add("agent", json!(known.record.final_agent));
    add("agent_id", json!(known.agent_ids.get(system.as_str())));
    add("number", context["record"]["customer"]["e164"].clone());
    add("at", json!(known.record.ended_at));
    said
}

fn json_text(map: Map<String, Value>) -> Private<String> {
    Private::new(Value::Object(map).to_string())
}

#[cfg(test)]
#[path = "rules_tests.rs"]
pub(in crate::records) mod tests;
