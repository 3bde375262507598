//! What the command line shows of records and the outbox: serialisable rows, personal data masked unless asked for.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    numbers::Sought,
    store::{EffectFilter, EffectRow, History, Reader, RecordFilter, State, StoreError},
    words::{CallId, SystemId, TenantId, Wall},
};

/// One effect, for `outbox list`, `outbox show` and the console.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct EffectLine {
    pub key: String,
    pub state: State,
    pub tenant: TenantId,
    pub call: CallId,
    pub step: String,
    pub system: SystemId,
    pub operation: String,
    pub attempts: u32,
    pub due_at: Wall,
    pub born_at: Wall,
    pub updated_at: Wall,
    /// An attempt may have been done without our knowing.
    pub unsure: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The key of the effect that this one amends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amends: Option<String>,
    pub rules_hash: String,
    pub connector_hash: String,
    /// The file by which it is written, where that is not the system's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<SystemId>,
    /// Only in `show`. Texts are masked unless asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
}

impl EffectLine {
    fn new(row: &EffectRow) -> Self {
        Self {
            key: row.key.clone(),
            state: row.state,
            tenant: row.tenant.clone(),
            call: row.call,
            step: row.step.clone(),
            system: row.system.clone(),
            operation: row.operation.clone(),
            attempts: row.attempts,
            due_at: row.due_at,
            born_at: row.born_at,
            updated_at: row.updated_at,
            unsure: row.unsure,
            reason: row.reason.clone(),
            amends: (row.base != row.key).then(|| row.base.clone()),
            rules_hash: row.rules_hash.clone(),
            connector_hash: row.connector_hash.clone(),
            version: row.version.clone(),
            inputs: None,
            result: None,
        }
    }
}

/// # Errors
/// The store cannot be read.
pub fn outbox_list(store: &Reader, filter: &EffectFilter) -> Result<Vec<EffectLine>, StoreError> {
    Ok(store.effects(filter)?.iter().map(EffectLine::new).collect())
}

/// # Errors
/// No such effect, or the store cannot be read.
pub fn outbox_show(store: &Reader, key: &str, unmasked: bool) -> Result<EffectLine, StoreError> {
    let row = store.effect(key)?;
    let shown = |text: &str| {
        let mut value: Value = serde_json::from_str(text).unwrap_or(Value::Null);
        if !unmasked {
            mask_all(&mut value);
        }
        value
    };
    let mut line = EffectLine::new(&row);
    line.inputs = Some(shown(row.inputs.expose()));
    line.result = row.result.as_ref().map(|result| shown(result.expose()));
    Ok(line)
}

/// # Errors
/// It is done or being sent, there is no such effect, or the disk refuses.
pub fn outbox_retry(store: &Reader, key: &str, now: Wall) -> Result<EffectLine, StoreError> {
    store.retry(key, "cli", now).map(|row| EffectLine::new(&row))
}

/// # Errors
/// It is done or being sent, there is no such effect, or the disk refuses.
pub fn outbox_drop(store: &Reader, key: &str, reason: &str, now: Wall) -> Result<EffectLine, StoreError> {
    store.drop(key, reason, "cli", now).map(|row| EffectLine::new(&row))
}

/// Whole call records, newest first.
///
/// # Errors
/// The store cannot be read.
pub fn records_list(store: &Reader, filter: &RecordFilter, unmasked: bool) -> Result<Vec<Value>, StoreError> {
    Ok(store.records(filter)?.iter().map(|row| record(row.body.expose(), unmasked)).collect())
}

/// # Errors
/// There is no record of this call, or the store cannot be read.
pub fn records_show(store: &Reader, call: CallId, unmasked: bool) -> Result<Value, StoreError> {
    store.record(call).map(|row| record(row.body.expose(), unmasked))
}

fn record(body: &str, unmasked: bool) -> Value {
    let mut value = serde_json::from_str(body).unwrap_or(Value::Null);
    if !unmasked {
        mask(&mut value);
    }
    value
}

/// Masks what is personal in a record: numbers keep their first three and last four digits, other texts only their length.
pub fn mask(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, value) in map.iter_mut() {
                match name.as_str() {
                    "raw" | "e164" | "number" | "ext" | "to" | "value" => mask_text(value),
                    "name" | "notes" | "attributes" => mask_all(value),
                    // When there was one, and whether it is there still, is nobody's secret.
                    "recordings" => mask_names(value),
                    _ => mask(value),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(mask),
        _ => {}
    }
}

/// Takes out of a record's body what it tells of its customer, and says when. What is left is for counting: times, queue, agents, outcome.
#[must_use]
pub fn erased(body: &str, sought: &Sought, at: Wall) -> String {
    let mut value: Value = serde_json::from_str(body).unwrap_or_default();
    let Value::Object(record) = &mut value else { return "{}".to_owned() };
    for name in ["ref", "attributes", "attribute_faults"] {
        record.remove(name);
    }
    let outbound = record.get("direction").and_then(Value::as_str) == Some("outbound");
    if outbound {
        record.remove("dialled");
    }
    if let Some(customer) = record.get_mut("customer").and_then(Value::as_object_mut) {
        customer.retain(|key, _| matches!(key.as_str(), "class" | "withheld"));
    }
    let mut each = |name: &str, change: &dyn Fn(&mut Map<String, Value>)| {
        let items = record.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten();
        items.filter_map(Value::as_object_mut).for_each(change);
    };
    each("wrapups", &|wrapup| {
        wrapup.remove("notes");
    });
    each("parties", &|party| {
        if party.get("role").and_then(Value::as_str) == Some("customer") {
            party.retain(|key, _| matches!(key.as_str(), "id" | "role"));
        }
    });
    each("recordings", &|recording| {
        recording.extend(["id", "uri"].map(|name| (name.to_owned(), Value::from(""))));
        recording.insert("state".to_owned(), Value::from("removed"));
    });
    record.insert("erased_at".to_owned(), serde_json::to_value(at).unwrap_or_default());
    // Whatever is left, and whatever a later version writes into it.
    sought.take_out(&mut value);
    value.to_string()
}

/// Whether [`erased`] was done to what is stored of a call.
pub(super) fn is_erased(history: &History) -> bool {
    let body = history.record.as_ref().map(|row| row.body.expose().as_str()).unwrap_or_default();
    // Most are not: they are not read twice.
    body.contains("\"erased_at\"")
        && serde_json::from_str::<Value>(body).is_ok_and(|record| !record["erased_at"].is_null())
}

fn mask_names(value: &mut Value) {
    for recording in value.as_array_mut().into_iter().flatten() {
        for name in ["id", "uri"] {
            recording.get_mut(name).into_iter().for_each(mask_all);
        }
    }
}

/// Masks every text.
pub fn mask_all(value: &mut Value) {
    match value {
        Value::Object(map) => map.values_mut().for_each(mask_all),
        Value::Array(list) => list.iter_mut().for_each(mask_all),
        Value::String(text) => *text = format!("({} characters)", text.chars().count()),
        _ => {}
    }
}

fn mask_text(value: &mut Value) {
    let Value::String(text) = value else { return mask(value) };
    *text = masked(text);
}

/// A number without its middle; what is no number of a person (a short extension, a time, an id with letters) stays.
#[must_use]
pub fn masked(text: &str) -> String {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let number = text.chars().all(|c| c.is_ascii_digit() || "+-() ".contains(c));
    if digits < 7 || !number {
        return text.to_owned();
    }
    let mut seen = 0;
    let mask = |c: char| {
        if !c.is_ascii_digit() {
            return c;
        }
        seen += 1;
        if seen <= 3 || seen + 4 > digits { c } else { '*' }
    };
    text.chars().map(mask).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_masked_record_shows_no_number_name_or_note() {
        let mut value = json!({"customer": {"raw": "13800138000", "name": "王小明"}, "wrapups": [{"notes": "pays friday"}],
            "transfers": [{"to": "1003", "at": "2026-11-22T11:44:06.007Z"}], "segments": [{"to": "2026-11-22T11:44:06.007Z"}],
            "attributes": {"ivr.account": "88001234"}, "ids": [{"value": "1795347846.12"}], "talk_ms": 5,
            "recordings": [{"id": "13800138000.wav", "uri": "file:///r/13800138000.wav", "from": "2026-11-22T11:44:06.007Z", "state": "removed"}]});
        mask(&mut value);
        let wanted = json!({"customer": {"raw": "138****8000", "name": "(3 characters)"}, "wrapups": [{"notes": "(11 characters)"}],
            "transfers": [{"to": "1003", "at": "2026-11-22T11:44:06.007Z"}], "segments": [{"to": "2026-11-22T11:44:06.007Z"}],
            "attributes": {"ivr.account": "(8 characters)"}, "ids": [{"value": "1795347846.12"}], "talk_ms": 5,
            "recordings": [{"id": "(15 characters)", "uri": "(25 characters)", "from": "2026-11-22T11:44:06.007Z", "state": "removed"}]});
        assert_eq!(value, wanted);
    }
}
