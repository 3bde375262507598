//! From rows to what is of a person, what becomes of it, and what stands in the way. Still.
//!
//! A call is of a person when its record has the number as its customer's. All that is of such a call is of the person, whether the number stands in it or not. Where it stands
//! elsewhere (a note in another call, an amount sent to a system) the number is taken out and the rest stays, for the rest is somebody else's.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::{
    numbers::{Number, Sought},
    records::list,
    store::held::{Fate, Held, Shelf},
    words::{CallId, TenantId, Wall},
};

/// A call that ended so lately may still be in the daemon's hands, which would write it again.
const SETTLING_MS: u64 = 15 * 60_000;

/// Which of these records and open calls are of the person; `Err`: the number is one of our own.
///
/// # Errors
/// Customers dialled it: it is a line of the house and no person.
pub fn calls_of(held: &[Held], sought: &Sought) -> Result<BTreeSet<CallId>, String> {
    let mut calls = BTreeSet::new();
    for row in held.iter().filter(|row| matches!(row.shelf, Shelf::Records | Shelf::OpenCalls)) {
        let Some(body) = body(row) else { continue };
        // The body of an open call has the record inside.
        let record = if row.shelf == Shelf::OpenCalls { &body["record"] } else { &body };
        if record["direction"] == "inbound" && is(&record["dialled"], sought) {
            return Err("customers dialled this number: it is a line of the house and no person's".to_owned());
        }
        if is(&record["customer"], sought) {
            calls.extend(row.call);
        }
    }
    Ok(calls)
}

/// A number as records have it: `raw` and `e164`.
fn is(value: &Value, sought: &Sought) -> bool {
    ["e164", "raw"].iter().any(|name| value[*name].as_str().is_some_and(|text| sought.is(text)))
}

fn body(row: &Held) -> Option<Value> {
    let (_, text) = row.texts.iter().find(|(column, _)| *column == "body")?;
    serde_json::from_str(text.expose()).ok()
}

/// What is to be done, and what of it somebody must do elsewhere.
#[derive(Debug, Default)]
pub struct Plan {
    pub changes: Vec<(Held, Fate)>,
    /// Recordings of the person's calls that are there still: call, switch, name.
    pub recordings: Vec<(CallId, String, String)>,
    pub report: Report,
}

/// How many rows of each kind were removed, emptied, or had the number taken out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub calls: usize,
    pub removed: BTreeMap<&'static str, usize>,
    pub emptied: BTreeMap<&'static str, usize>,
    pub taken_out_of: BTreeMap<&'static str, usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recordings_left: Vec<String>,
}

/// What becomes of each row.
///
/// # Errors
/// Each thing that stands in the way, in words: a call that is up or ended a moment ago, what is still to be written or decided. With `drop_waiting`, entries of the
/// outbox that wait are dropped and stand in nobody's way.
pub fn plan(
    held: Vec<Held>,
    calls: &BTreeSet<CallId>,
    sought: &Sought,
    now: Wall,
    drop_waiting: bool,
) -> Result<Plan, Vec<String>> {
    let mut plan = Plan { report: Report { calls: calls.len(), ..Report::default() }, ..Plan::default() };
    let mut hindered = Vec::new();
    // One that no call began (a webhook, an agent's button) is of whom it names.
    let flows: BTreeSet<String> = held
        .iter()
        .filter(|row| row.shelf == Shelf::Flows && row.call.is_none_or(|call| calls.contains(&call)))
        .map(|row| row.key.expose().clone())
        .collect();
    for row in held {
        let own = row.call.is_some_and(|call| calls.contains(&call))
            || (row.shelf == Shelf::Choices && sought.is(row.key.expose()))
            || (matches!(row.shelf, Shelf::Flows | Shelf::FlowWords) && flows.contains(row.key.expose()));
        if let Some(why) = hindrance(&row, own, now, drop_waiting) {
            hindered.push(why);
            continue;
        }
        if own && row.shelf == Shelf::Records {
            plan.recordings.extend(recordings(&row));
        }
        let Some(fate) = fate(&row, own, sought, now) else { continue };
        let counts = match (&fate, own) {
            (Fate::Removed, _) => &mut plan.report.removed,
            (Fate::Rewritten { .. }, true) => &mut plan.report.emptied,
            (Fate::Rewritten { .. }, false) => &mut plan.report.taken_out_of,
        };
        *counts.entry(row.shelf.as_str()).or_default() += 1;
        plan.changes.push((row, fate));
    }
    if hindered.is_empty() { Ok(plan) } else { Err(hindered) }
}

fn hindrance(row: &Held, own: bool, now: Wall, drop_waiting: bool) -> Option<String> {
    let call = row.call.map(|call| call.to_string()).unwrap_or_default();
    match row.shelf {
        Shelf::OpenCalls => Some(format!("call {call} is not over yet")),
        Shelf::Records if row.at.is_some_and(|at| now.since(at) < SETTLING_MS) => Some(format!(
            "call {call} ended a moment ago and may still be written to; say it again in a quarter of an hour"
        )),
        Shelf::Effects if row.open && row.state.as_deref() == Some("claimed") => {
            Some(format!("outbox entry {} is being sent at this moment; say it again in a minute", short(row)))
        }
        Shelf::Effects if row.open && !(own && drop_waiting) => Some(format!(
            "outbox entry {} of call {call} waits to be delivered; let it, or drop it (`linecard outbox drop`, or --drop-waiting for all of the person's calls)",
            short(row)
        )),
        Shelf::Flows if row.open => Some(format!(
            "flow {} of call {call} is not over; `linecard flows show` says what it waits for",
            short(row)
        )),
        Shelf::Callbacks if row.open => {
            Some(format!("the customer of call {call} is to be called back still; close it on the page first"))
        }
        _ => None,
    }
}

fn short(row: &Held) -> &str {
    row.key.expose().get(..12).unwrap_or(row.key.expose())
}

fn fate(row: &Held, own: bool, sought: &Sought, now: Wall) -> Option<Fate> {
    let text = |column: &str| row.texts.iter().find(|(name, _)| *name == column).map(|(_, text)| text.expose());
    let rewritten = |texts| Fate::Rewritten { texts, dropped: false };
    match (row.shelf, own) {
        // Erased before.
        (Shelf::Records, true) if body(row).is_some_and(|body| !body["erased_at"].is_null()) => None,
        (Shelf::Records, true) => Some(rewritten(vec![("body", list::erased(text("body")?, sought, now))])),
        // Its key goes on saying that this was done once.
        (Shelf::Effects, true) => {
            let empty = |column: &&'static str| text(column).is_some();
            let mut texts: Vec<(&'static str, String)> = ["inputs", "result"]
                .iter()
                .filter(|column| empty(column))
                .map(|column| (*column, "{}".to_owned()))
                .collect();
            texts.push(("digest", String::new()));
            let done = matches!(row.state.as_deref(), Some("done" | "dropped" | "withdrawn"));
            texts.push(("reason", if done { String::new() } else { "erased".to_owned() }));
            (text("digest").is_some_and(|digest| !digest.is_empty()))
                .then_some(Fate::Rewritten { texts, dropped: !done })
        }
        (Shelf::Audit, _) | (_, false) => {
            let changed: Vec<(&'static str, String)> = row
                .texts
                .iter()
                .filter_map(|(column, text)| Some((*column, without(text.expose(), sought)?)))
                .collect();
            (!changed.is_empty()).then_some(rewritten(changed))
        }
        (_, true) => Some(Fate::Removed),
    }
}

/// A text without the number, JSON or not.
fn without(text: &str, sought: &Sought) -> Option<String> {
    match serde_json::from_str::<Value>(text) {
        Ok(mut value) if value.is_object() || value.is_array() => {
            sought.take_out(&mut value).then(|| value.to_string())
        }
        _ => sought.without(text),
    }
}

fn recordings(row: &Held) -> Vec<(CallId, String, String)> {
    let (Some(call), Some(body)) = (row.call, body(row)) else { return Vec::new() };
    let switch = body["switch"].as_str().unwrap_or_default().to_owned();
    let names = body["recordings"].as_array().into_iter().flatten();
    names
        .filter(|recording| recording["state"] != "removed")
        .filter_map(|recording| Some((call, switch.clone(), recording["id"].as_str()?.to_owned())))
        .collect()
}

/// All that is held, for the person: rows by their kind, with every text as it lies there.
#[must_use]
pub fn export(tenant: &TenantId, number: &Number, held: &[Held], calls: &BTreeSet<CallId>, now: Wall) -> Value {
    let mut own: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    let mut elsewhere: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for row in held {
        let mut shown = serde_json::Map::new();
        shown.insert("key".to_owned(), Value::from(row.key.expose().as_str()));
        for (name, value) in [
            ("call", row.call.map(|call| call.to_string())),
            ("at", row.at.map(|at| at.to_string())),
            ("state", row.state.clone()),
        ] {
            shown.extend(value.map(|value| (name.to_owned(), Value::from(value))));
        }
        for (column, text) in row.texts.iter().filter(|(column, _)| *column != "digest") {
            let value = serde_json::from_str(text.expose()).unwrap_or_else(|_| Value::from(text.expose().as_str()));
            shown.insert((*column).to_owned(), value);
        }
        let of = row.call.is_none_or(|call| calls.contains(&call));
        let part = if of { &mut own } else { &mut elsewhere };
        part.entry(row.shelf.as_str()).or_default().push(Value::Object(shown));
    }
    serde_json::json!({"export": 1, "at": now, "tenant": tenant, "number": number.key(), "calls": calls.len(), "held": own, "named_elsewhere": elsewhere})
}
