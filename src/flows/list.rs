//! Flows for people who look at them from beside the daemon, on the command line and in the console: personal data masked unless asked for, and what they say as
//! a row of the store, which the daemon hears within a second.

use serde_json::Value;

use super::{Run, Said, Settings, View, Word, compile, machine::refusal};
use crate::{
    records::list,
    store::{AuditRow, FlowFilter, FlowRow, Reader, StoreError, several, short},
    words::{
        Wall,
        refusal::{Refusal, code},
    },
};

/// By its id or the beginning of it, at least four letters.
///
/// # Errors
/// None or several have it, or the file cannot be read.
pub fn one(reader: &Reader, id: &str) -> Result<FlowRow, StoreError> {
    if id.len() < 4 {
        return Err(short("an id", "four", 4));
    }
    let filter = FlowFilter { id: Some(id.to_ascii_uppercase()), all: true, limit: 2, ..FlowFilter::default() };
    let mut rows = reader.flows(&filter)?;
    match (rows.pop(), rows.pop()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(none(id)),
        _ => Err(several("flows", id)),
    }
}

/// None begins so, or it is another tenant's.
#[must_use]
pub fn none(id: &str) -> StoreError {
    StoreError::Missing(Refusal::new(code::NO_FLOW, format!("there is no flow {id}")).with("id", id))
}

fn read(reader: &Reader, row: &FlowRow) -> Result<(Run, compile::Plan), StoreError> {
    let unread = |what: String| StoreError::Row { what: format!("flow {}: {what}", row.id) };
    let text = reader.flow_file(&row.hash)?.ok_or_else(|| unread("its file's text is not there".to_owned()))?;
    let plan = compile::again(&row.flow, &text)
        .map_err(|problems| unread(problems.first().map_or_else(String::new, ToString::to_string)))?;
    // Only looked at, so nothing is made of what is on its way.
    let run = Run::of(row, row.updated_at, &Settings::default()).map_err(unread)?;
    Ok((run, plan))
}

/// As it stands.
///
/// # Errors
/// Its row or its file's text cannot be read.
pub fn view(reader: &Reader, row: &FlowRow) -> Result<View, StoreError> {
    let (run, plan) = read(reader, row)?;
    Ok(View::of(&run, &plan))
}

/// As JSON; without `full` what systems and people said is masked.
#[must_use]
pub fn shown(view: &View, full: bool) -> Value {
    let mut value = serde_json::to_value(view).unwrap_or_default();
    if !full {
        for task in value["tasks"].as_array_mut().into_iter().flatten() {
            list::mask_all(&mut task["inputs"]);
        }
        for step in value["steps"].as_array_mut().into_iter().flatten() {
            if let Some(answer) = step.get_mut("answer") {
                list::mask_all(answer);
            }
        }
        if let Some(amount) = value.get_mut("amount") {
            list::mask_all(amount);
        }
    }
    value
}

/// Says something to a flow. `id` is the word's own: the same one twice is one.
///
/// # Errors
/// It would change nothing; or the disk refuses.
pub fn say(reader: &Reader, row: &FlowRow, who: &str, said: Said, id: String, now: Wall) -> Result<(), StoreError> {
    let (mut run, plan) = read(reader, row)?;
    let word = Word::here(who.to_owned(), Vec::new(), said);
    // What would change nothing is told at once; who hears it decides again by what is true then.
    run.hear(&plan, &word, now).map_err(|why| StoreError::Refused(refusal(why)))?;
    let audit = AuditRow {
        tenant: row.tenant.clone(),
        at: now,
        who: who.to_owned(),
        what: "flow.said".to_owned(),
        about: row.id.clone(),
        reason: None,
    };
    reader.say(word.row(&row.tenant, &row.id, id, now), audit)
}
