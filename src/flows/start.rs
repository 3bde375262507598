//! What begins a flow. Still; asked where its cause is known, so that the flow's first row goes into the batch that makes the cause durable.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::{Map, Value, json};

use crate::{
    calls::{
        Change, Directory, Face, Record, What,
        record::{Direction, Outcome},
    },
    customers::Person,
    private::Private,
    records::rules,
    store::{Batch, FlowRow},
    words::{AgentId, CallId, SystemId, TenantId, Wall},
};

use super::{
    compile::{Plan, amount},
    file::{Input, Kind, Trigger},
    machine::{self, Cause, Run},
    template,
};

/// A switch's own records are read up to a week late. Below the fewest days that flows may be kept (`keep_days`).
const OLD_MS: u64 = 8 * 86_400_000;

/// The flows in use; swapped whole at a reload.
#[derive(Clone, Default)]
pub struct Starter {
    plans: Arc<Vec<Arc<Plan>>>,
}

/// An agent's button.
#[derive(Clone, Debug)]
pub struct Press {
    pub tenant: TenantId,
    pub agent: AgentId,
    pub roles: Vec<String>,
    pub flow: String,
    /// Names the press: the same one twice is one.
    pub request: String,
    pub inputs: Private<Map<String, Value>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    Unknown,
    NotPermitted,
    /// What is wrong with which input.
    Input(String, String),
    /// Its condition does not hold for this call.
    NotNow,
}

impl Starter {
    #[must_use]
    pub fn new(plans: Vec<Arc<Plan>>) -> Self {
        Self { plans: Arc::new(plans) }
    }

    #[must_use]
    pub fn plans(&self) -> &[Arc<Plan>] {
        &self.plans
    }

    /// Flows with a button that these roles may press.
    pub fn buttons<'s>(&'s self, roles: &'s [String]) -> impl Iterator<Item = &'s Arc<Plan>> {
        self.plans.iter().filter(move |plan| plan.on.iter().any(|trigger| presses(trigger, roles)))
    }

    /// Records that are about to be written: what ended, was missed or wrapped up. A new revision of an old one begins nothing: a recording that is
    /// removed after a year would otherwise begin a file that was not there then, or begin again what was pruned since.
    pub fn written(&self, batch: &mut Batch, now: Wall, directory: &Directory) {
        if self.plans.iter().all(|plan| !plan.on.iter().any(of_record)) {
            return;
        }
        let mut begun = Vec::new();
        for row in &batch.records {
            let Ok(record) = serde_json::from_str::<Record>(row.body.expose()) else { continue };
            if record.ended_at.is_some_and(|at| now.since(at) > OLD_MS) {
                continue;
            }
            for plan in self.plans.iter() {
                for trigger in &plan.on {
                    let Some((word, event)) = by_record(trigger, &record) else { continue };
                    let agent = (record.wrapups.last().filter(|_| word == "wrap-up").map(|wrapup| &wrapup.agent))
                        .or(record.final_agent.as_ref());
                    let cause = Cause {
                        trigger: word.to_owned(),
                        agent: agent.cloned(),
                        agent_ids: ids(directory, agent),
                        call: of_the_record(&record),
                        customer: customer_of(&record),
                        event,
                        inputs: Map::new(),
                    };
                    begun.extend(begin(plan, record.tenant.clone(), Some(record.call), None, cause, now).ok());
                }
            }
        }
        batch.flows.append(&mut begun);
    }

    /// A change of a call that is up.
    #[must_use]
    pub fn changed(
        &self,
        change: &Change,
        face: &Face,
        customer: impl Fn() -> Value,
        directory: &Directory,
    ) -> Vec<FlowRow> {
        let (word, agent) = match &change.what {
            What::Offered(offer) => ("delivered", Some(&offer.agent)),
            What::Established(offer) => ("established", Some(&offer.agent)),
            What::Transferred { to, from, .. } => ("transferred", to.as_ref().or(Some(from))),
            _ => return Vec::new(),
        };
        let mut begun = Vec::new();
        for plan in self.plans.iter() {
            let wanted = plan.on.iter().any(|trigger| {
                matches!(
                    (trigger, word),
                    (Trigger::Delivered, "delivered")
                        | (Trigger::Established, "established")
                        | (Trigger::Transferred, "transferred")
                )
            });
            if wanted {
                let cause = Cause {
                    trigger: word.to_owned(),
                    agent: agent.cloned(),
                    agent_ids: ids(directory, agent),
                    call: of_the_face(face),
                    customer: customer(),
                    event: Value::Null,
                    inputs: Map::new(),
                };
                begun.extend(begin(plan, face.tenant.clone(), Some(change.call), None, cause, change.at.wall).ok());
            }
        }
        begun
    }

    /// An agent's button, with or without a call on the screen.
    ///
    /// # Errors
    /// Why it does not begin.
    pub fn pressed(
        &self,
        press: Press,
        face: Option<&Face>,
        customer: Value,
        directory: &Directory,
        now: Wall,
    ) -> Result<FlowRow, Refused> {
        let plan = self.plans.iter().find(|plan| plan.name == press.flow).ok_or(Refused::Unknown)?;
        if !plan.on.iter().any(|trigger| matches!(trigger, Trigger::Button(_))) {
            return Err(Refused::Unknown);
        }
        if !plan.on.iter().any(|trigger| presses(trigger, &press.roles)) {
            return Err(Refused::NotPermitted);
        }
        let cause = Cause {
            trigger: "button".to_owned(),
            agent_ids: ids(directory, Some(&press.agent)),
            agent: Some(press.agent.clone()),
            call: face.map_or(Value::Null, of_the_face),
            customer,
            event: Value::Null,
            inputs: press.inputs.into_inner(),
        };
        let named = format!("{} {}", press.agent, press.request);
        begin(plan, press.tenant, face.map(|face| face.call), Some(&named), cause, now)
    }

    /// The calls that an event of a business system is about: [`Starter::told`] needs what is known of them.
    #[must_use]
    pub fn about(&self, system: &SystemId, event: &Value) -> BTreeSet<CallId> {
        self.by_event(system).filter_map(|plan| call_of(plan, event)).collect()
    }

    fn by_event<'s>(&'s self, system: &'s SystemId) -> impl Iterator<Item = &'s Arc<Plan>> {
        let here = move |trigger: &Trigger| matches!(trigger, Trigger::Webhook(of) if of == system);
        self.plans.iter().filter(move |plan| plan.on.iter().any(here))
    }

    /// Flows that begin with an event of a business system. `named`: the event, the same when it comes again. `calls`: those that it is about, as far
    /// as they are on record.
    #[must_use]
    pub fn told(
        &self,
        tenant: &TenantId,
        (system, named, event): (&SystemId, &str, &Value),
        calls: &BTreeMap<CallId, Record>,
        now: Wall,
    ) -> Vec<FlowRow> {
        let begun = self.by_event(system).filter_map(|plan| {
            let mut cause = Cause { trigger: "webhook".to_owned(), event: event.clone(), ..Cause::default() };
            let record = call_of(plan, event).and_then(|call| calls.get(&call));
            match record {
                Some(record) => {
                    cause.agent.clone_from(&record.final_agent);
                    (cause.call, cause.customer) = (of_the_record(record), customer_of(record));
                }
                None if plan.call.is_some() => {
                    tracing::warn!(flow = plan.name, %system, "an event began no flow: it names no call that is on record here, or one of which a person was erased");
                    return None;
                }
                None => {}
            }
            match begin(plan, tenant.clone(), record.map(|record| record.call), Some(&format!("webhook {system} {named}")), cause, now) {
                Ok(row) => Some(row),
                Err(Refused::NotNow) => None,
                Err(refused) => {
                    // Whoever sent it cannot be asked; the file's `when` should have left it out.
                    let input = if let Refused::Input(name, _) = &refused { name.as_str() } else { "" };
                    tracing::warn!(flow = plan.name, %system, input, "an event began no flow: what an input needs is not in it");
                    None
                }
            }
        });
        begun.collect()
    }

    /// Flows of the slots that the clock is in: the same ids as long as a slot lasts, so that it begins once whoever looks when, and is made up for while it lasts.
    #[must_use]
    pub fn scheduled(&self, tenant: &TenantId, now: Wall) -> Vec<FlowRow> {
        let minute = now.0.div_euclid(60_000);
        let mut begun = Vec::new();
        for plan in self.plans.iter() {
            for trigger in &plan.on {
                let Trigger::Schedule(schedule) = trigger else { continue };
                let every = i64::from(schedule.every_min.max(1));
                // From midnight UTC on, so that it is the same moment after a restart.
                let of_day = minute.rem_euclid(1_440);
                let began = minute - of_day.rem_euclid(every);
                let cause = Cause {
                    trigger: "schedule".to_owned(),
                    event: json!({"at": Wall(began * 60_000)}),
                    ..Cause::default()
                };
                let named = format!("schedule {began}");
                begun.extend(begin(plan, tenant.clone(), None, Some(&named), cause, now).ok());
            }
        }
        begun
    }
}

/// The call that an event names.
fn call_of(plan: &Plan, event: &Value) -> Option<CallId> {
    let seen = template::context([("event".to_owned(), event.clone())].into_iter().collect());
    template::value(plan.call.as_ref()?, &seen).ok()?.as_str()?.parse().ok()
}

/// The first row. `named` tells this cause from others where the call does not.
fn begin(
    plan: &Plan,
    tenant: TenantId,
    call: Option<CallId>,
    named: Option<&str>,
    mut cause: Cause,
    now: Wall,
) -> Result<FlowRow, Refused> {
    let mut context = Map::new();
    context.insert("flow".to_owned(), json!({"name": plan.name, "at": now, "trigger": cause.trigger, "id": null}));
    context.insert("call".to_owned(), cause.call.clone());
    context.insert("customer".to_owned(), cause.customer.clone());
    context.insert("event".to_owned(), cause.event.clone());
    context.insert("agent".to_owned(), cause.agent.as_ref().map_or(Value::Null, |a| a.to_string().into()));
    let seen = template::context(context.clone());
    let mut inputs = Map::new();
    for (name, input) in &plan.inputs {
        let given = cause.inputs.remove(name).filter(|value| !value.is_null() && value.as_str() != Some(""));
        let made = match (given, plan.from.iter().find(|(of, _)| of == name)) {
            (Some(given), _) => Some(given),
            // What cannot be worked out is not known.
            (None, Some((_, from))) => from.json(&plan.env, &seen).ok().flatten().filter(|value| !value.is_null()),
            (None, None) => None,
        };
        let value = match made {
            None if input.optional => Value::Null,
            None => return Err(Refused::Input(name.clone(), "is needed".to_owned())),
            Some(value) => fit(input, value).map_err(|why| Refused::Input(name.clone(), why))?,
        };
        inputs.insert(name.clone(), value);
    }
    if let Some(more) = cause.inputs.keys().next() {
        return Err(Refused::Input(more.clone(), "is not asked for".to_owned()));
    }
    context.insert("inputs".to_owned(), Value::Object(inputs.clone()));
    let seen = template::context(context);
    if let Some(when) = &plan.when
        && !when.holds(&seen)
    {
        return Err(Refused::NotNow);
    }
    let once = plan.once.as_ref().and_then(|once| template::value(once, &seen).ok()).filter(|once| !once.is_null());
    let named = match (once, named, call) {
        (Some(once), _, _) => format!("once {once}"),
        (None, Some(named), _) => format!("named {named}"),
        (None, None, Some(call)) => format!("call {call} {}", cause.trigger),
        (None, None, None) => format!("at {now}"),
    };
    cause.inputs = inputs;
    let id = machine::id(&tenant, &plan.name, &named);
    Ok(Run::new(id, plan, tenant, call, cause, now).row(now))
}

/// As the flow will have it.
fn fit(input: &Input, value: Value) -> Result<Value, String> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    match input.kind {
        Kind::List => {
            let Value::Array(items) = value else { return Err("is no list".to_owned()) };
            if items.len() > 500 {
                return Err("has more than 500 items".to_owned());
            }
            let texts: Option<Vec<Value>> =
                items.iter().map(|item| text(item).filter(|t| t.len() <= 1_000).map(Value::from)).collect();
            texts.map(Value::from).ok_or_else(|| "is a list of something else than texts".to_owned())
        }
        kind => {
            let text = text(&value).ok_or_else(|| "is no text".to_owned())?;
            match kind {
                Kind::Text | Kind::List => {
                    let most = input.most.unwrap_or(2_000) as usize;
                    if text.chars().nth(most).is_some() {
                        return Err(format!("has more than {most} characters"));
                    }
                }
                Kind::Amount => {
                    let sum =
                        amount(&text).filter(|sum| *sum > 0).ok_or("is no amount: digits and at most four places")?;
                    if input.min.as_deref().and_then(amount).is_some_and(|min| sum < min) {
                        return Err(format!("is less than {}", input.min.as_deref().unwrap_or_default()));
                    }
                    if input.max.as_deref().and_then(amount).is_some_and(|max| sum > max) {
                        return Err(format!("is more than {}", input.max.as_deref().unwrap_or_default()));
                    }
                }
                Kind::Choice if !input.choices.contains(&text) => return Err("is none of the choices".to_owned()),
                Kind::Choice => {}
                Kind::Date => {
                    text.parse::<jiff::civil::Date>().map_err(|_| "is no date: 2026-11-26")?;
                }
            }
            Ok(text.into())
        }
    }
}

fn presses(trigger: &Trigger, roles: &[String]) -> bool {
    let Trigger::Button(button) = trigger else { return false };
    button.roles.as_ref().is_none_or(|wanted| wanted.iter().any(|role| roles.contains(role)))
}

fn of_record(trigger: &Trigger) -> bool {
    matches!(trigger, Trigger::Ended | Trigger::Missed | Trigger::WrapUp(_) | Trigger::Transferred)
}

/// The trigger's word and its event, where this record is its cause.
fn by_record(trigger: &Trigger, record: &Record) -> Option<(&'static str, Value)> {
    let missed = record.direction == Some(Direction::Inbound)
        && matches!(record.outcome, Some(Outcome::Abandoned | Outcome::Unanswered));
    match trigger {
        Trigger::Ended => Some(("ended", Value::Null)),
        Trigger::Missed if missed => Some(("missed", Value::Null)),
        // Whoever saw it while the call was up has begun it already: it is one cause.
        Trigger::Transferred if record.transfers.as_ref().is_some_and(|list| !list.is_empty()) => {
            Some(("transferred", Value::Null))
        }
        Trigger::WrapUp(wanted) => record.wrapups.iter().find_map(|wrapup| {
            let path = wrapup.disposition.join("/");
            let is = |wanted: &String| {
                path == *wanted || path.strip_prefix(wanted.as_str()).is_some_and(|rest| rest.starts_with('/'))
            };
            wanted.iter().any(is).then(|| {
                let event = json!({"agent": wrapup.agent, "disposition": path, "notes": wrapup.notes});
                ("wrap-up", event)
            })
        }),
        _ => None,
    }
}

fn ids(directory: &Directory, agent: Option<&AgentId>) -> BTreeMap<String, String> {
    let known = agent.and_then(|agent| directory.agent(agent));
    known
        .map(|agent| agent.ids.iter().map(|(system, id)| (system.to_string(), id.clone())).collect())
        .unwrap_or_default()
}

/// What templates see of a call, the same keys whatever is known; what is not is null.
fn of_the_record(record: &Record) -> Value {
    let customer = record.customer.as_ref();
    json!({
        "id": record.call,
        "direction": record.direction,
        "number": customer.and_then(|c| c.e164.as_ref().or(c.raw.as_ref())),
        "name": customer.and_then(|c| c.name.as_ref()),
        "dialled": record.dialled.as_ref().and_then(|number| number.key().map(str::to_owned)),
        "queue": record.queue,
        "brand": record.brand,
        "language": record.language,
        "outcome": record.outcome,
        "agent": record.final_agent,
        "started_at": record.started_at,
        "ended_at": record.ended_at,
        "wait_ms": record.wait_ms,
        "talk_ms": record.talk_ms,
        "attributes": record.attributes,
    })
}

fn of_the_face(face: &Face) -> Value {
    let agent = face.agents.first().map(|on| &on.offer.agent);
    json!({
        "id": face.call,
        "direction": face.direction,
        "number": face.customer.as_ref().and_then(|number| number.key().map(str::to_owned)),
        "name": face.name,
        "dialled": face.dialled.as_ref().and_then(|number| number.key().map(str::to_owned)),
        "queue": face.queue,
        "brand": face.line.as_ref().and_then(|line| line.brand.clone()),
        "language": face.line.as_ref().and_then(|line| line.language.clone()),
        "outcome": null,
        "agent": agent,
        "started_at": face.started_at,
        "ended_at": face.ended_at,
        "wait_ms": null,
        "talk_ms": null,
        "attributes": face.attributes,
    })
}

fn customer_of(record: &Record) -> Value {
    let Some(customer) = &record.customer else { return Value::Null };
    let links = customer.links.iter().map(|link| {
        (link.system.clone(), json!({"system": link.system, "type": link.kind, "id": link.id, "name": customer.name}))
    });
    at_systems(links.collect())
}

/// A customer with a card.
#[must_use]
pub fn customer(person: &Person) -> Value {
    at_systems(person.records().map(|record| (record.link.system.clone(), rules::customer(record))).collect())
}

/// The first of them, and all under `at`, by system.
fn at_systems(records: Vec<(String, Value)>) -> Value {
    let Some((_, Value::Object(mut head))) = records.first().cloned() else { return Value::Null };
    head.insert("at".to_owned(), Value::Object(records.into_iter().collect()));
    Value::Object(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{flows::compile, store::RecordRow};

    const NOW: Wall = Wall(1_795_723_200_000);

    fn starter(on: &str) -> Starter {
        let text = format!(
            "flow: one\nschema: 1\ntitle: One\non: [{on}]\nsteps:\n  - step: {{name: a, system: desk, operation: notify, inputs: {{text: x}}, undo: none}}\n"
        );
        Starter::new(vec![Arc::new(compile::again("one.yaml", &text).unwrap_or_else(|p| panic!("{p:?}")))])
    }

    fn ended(ago_ms: i64) -> Batch {
        let at = NOW.plus_ms(-ago_ms);
        let body = json!({"record": 1, "revision": 3, "call": "01JD0000000000000000000001", "tenant": "default", "switch": "pbx1",
            "direction": "inbound", "origin": "phone", "outcome": "answered", "end": "seen", "quality": "exact", "ended_at": at,
            "wrapups": [{"agent": "1001", "disposition": ["billing"]}]});
        let row = RecordRow {
            tenant: "default".into(),
            call: "01JD0000000000000000000001".parse().unwrap(),
            revision: 3,
            schema: 1,
            started_at: None,
            ended_at: Some(at),
            direction: None,
            outcome: None,
            queue: None,
            body: body.to_string().into(),
        };
        Batch { records: vec![row], ..Batch::default() }
    }

    #[test]
    fn a_revision_of_an_old_record_begins_nothing() {
        const DAY: i64 = 86_400_000;
        for on in ["ended", "wrap-up: [billing]"] {
            for (ago, begun) in [(0, 1), (7 * DAY, 1), (9 * DAY, 0), (400 * DAY, 0)] {
                let mut batch = ended(ago);
                starter(on).written(&mut batch, NOW, &Directory::default());
                assert_eq!(batch.flows.len(), begun, "{on} {ago}");
            }
        }
    }
}
