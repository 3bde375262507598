//! Flows and what in them waits for a person.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Console, Done,
    api::{Ask, Nothing, Trouble},
    reads::Why,
};
use crate::{
    flows::{Said, list, word::Settled},
    live::now,
    store::{FlowFilter, FlowRow, Reader, StoreError},
    words::{
        TenantId,
        refusal::{Refusal, code},
    },
};

/// Which flows.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// Those that are over too.
    #[serde(default)]
    pub all: bool,
    /// Only those that wait for a person.
    #[serde(default)]
    pub person: bool,
    /// At most 500; absent: 100.
    pub limit: Option<u16>,
}

/// Flows, newest first: each with its steps and tasks, masked (docs/flows.md).
#[derive(Debug, Serialize, JsonSchema)]
pub struct Shown {
    pub id: String,
    pub flow: Value,
}

fn shown(reader: &Reader, row: &FlowRow) -> Shown {
    // One that cannot be read must not hide the others.
    let flow = list::view(reader, row).map_or_else(
        |error| serde_json::json!({"flow": row.flow, "state": row.state, "unreadable": error.to_string()}),
        |view| list::shown(&view, false),
    );
    Shown { id: row.id.clone(), flow }
}

fn own(reader: &Reader, id: &str, tenant: Option<&TenantId>) -> Result<FlowRow, StoreError> {
    let row = list::one(reader, id)?;
    match tenant {
        Some(tenant) if *tenant != row.tenant => Err(list::none(id)),
        _ => Ok(row),
    }
}

pub(super) async fn list(console: Arc<Console>, ask: Ask<Which, Nothing>) -> Result<Vec<Shown>, Trouble> {
    let Which { all, person, limit } = ask.query;
    let limit = usize::from(limit.unwrap_or(100).clamp(1, 500));
    let filter = FlowFilter { tenant: ask.who.tenant.clone(), all, person, limit, ..FlowFilter::default() };
    console.read(move |reader| Ok(reader.flows(&filter)?.iter().map(|row| shown(reader, row)).collect())).await
}

pub(super) async fn one(console: Arc<Console>, ask: Ask<Nothing, Nothing>) -> Result<Shown, Trouble> {
    let (id, tenant) = (ask.place("id").to_owned(), ask.who.tenant.clone());
    console.read(move |reader| Ok(shown(reader, &own(reader, &id, tenant.as_ref())?))).await
}

pub(super) async fn stop(console: Arc<Console>, ask: Ask<Nothing, Why>) -> Result<Done, Trouble> {
    let said = Said::Stop { why: Some(ask.body.said()?.into()) };
    say(&console, &ask.who.who, ask.who.tenant.clone(), ask.place("id"), said).await
}

/// What a person found out about a task.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Found {
    pub what: What,
    /// For whoever reads the flow later.
    #[serde(default)]
    #[schemars(length(max = 2000))]
    pub note: Option<String>,
    /// What the system gave, where later steps need it.
    #[serde(default)]
    pub result: Option<Value>,
}

/// What is said of a task.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// It is mine.
    Take,
    /// I looked, and it was done; or I did it.
    Done,
    /// I looked, and it was not: what was done before is taken back, or it is left out.
    NotDone,
    /// I looked, and it was not: try it again.
    Again,
}

pub(super) async fn settle(console: Arc<Console>, ask: Ask<Nothing, Found>) -> Result<Done, Trouble> {
    let task = ask.place("task").parse();
    let task = task.map_err(|_| Trouble::Wrong(Refusal::new(code::TASK_NUMBER, "a task is a number")))?;
    let Found { what, note, result } = ask.body;
    if note.as_ref().is_some_and(|note| note.chars().count() > 2000) {
        return Err(Trouble::too_long("note", 2000));
    }
    let settled = |how| Said::Settle { task, how, note: note.map(Into::into), result: result.map(Into::into) };
    let said = match what {
        What::Take => Said::Take { task },
        What::Done => settled(Settled::Done),
        What::NotDone => settled(Settled::NotDone),
        What::Again => settled(Settled::Again),
    };
    let id = ask.path.get("id").cloned().unwrap_or_default();
    say(&console, &ask.who.who, ask.who.tenant.clone(), &id, said).await
}

async fn say(console: &Console, who: &str, tenant: Option<TenantId>, id: &str, said: Said) -> Result<Done, Trouble> {
    let (who, id) = (who.to_owned(), id.to_owned());
    let word = format!("console-{:032x}", rand::random::<u128>());
    console
        .read(move |reader| {
            let row = own(reader, &id, tenant.as_ref())?;
            list::say(reader, &row, &who, said, word, now().wall)?;
            Ok(Done { done: format!("{}: said; it is heard within a second", row.id) })
        })
        .await
}
