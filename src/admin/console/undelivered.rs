//! What was not delivered: the outbox as the console shows it, tried again or given up.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Console,
    api::{Ask, Nothing, Trouble},
    reads::Why,
};
use crate::{
    live::now,
    records::list::{self, EffectLine},
    store::{EffectFilter, EffectRow, Reader, State, StoreError},
    words::{CallId, SystemId, TenantId, Wall},
};

/// At once, by one press.
const MANY: usize = 500;

/// Which of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Which {
    pub system: Option<SystemId>,
    /// Absent: all that is not done, withdrawn or dropped.
    pub state: Option<State>,
    pub call: Option<CallId>,
    /// At most 1000; absent: 200.
    pub limit: Option<u16>,
}

/// One effect: something that is to be done at a business system.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Undelivered {
    pub key: String,
    pub state: State,
    pub tenant: TenantId,
    pub call: CallId,
    /// The name that the rule gives it.
    pub step: String,
    pub system: SystemId,
    pub operation: String,
    pub attempts: u32,
    pub due_at: Wall,
    pub born_at: Wall,
    pub updated_at: Wall,
    /// An attempt may have been done without our knowing: it is looked for before it is tried again.
    pub unsure: bool,
    /// Why it is where it is, in a sentence.
    pub reason: Option<String>,
    /// The key of the effect that this one amends.
    pub amends: Option<String>,
    /// Only of one: what is to be sent, and what the system answered; masked.
    pub inputs: Option<Value>,
    pub result: Option<Value>,
}

impl From<EffectLine> for Undelivered {
    fn from(line: EffectLine) -> Self {
        let EffectLine {
            key, state, tenant, call, step, system, operation, attempts, due_at, born_at, updated_at, ..
        } = line;
        let EffectLine { unsure, reason, amends, inputs, result, .. } = line;
        Self {
            key,
            state,
            tenant,
            call,
            step,
            system,
            operation,
            attempts,
            due_at,
            born_at,
            updated_at,
            unsure,
            reason,
            amends,
            inputs,
            result,
        }
    }
}

pub(super) async fn list(console: Arc<Console>, ask: Ask<Which, Nothing>) -> Result<Vec<Undelivered>, Trouble> {
    let Which { system, state, call, limit } = ask.query;
    let filter = EffectFilter {
        tenant: ask.who.tenant.clone(),
        call,
        system,
        states: state.into_iter().collect(),
        limit: usize::from(limit.unwrap_or(200).clamp(1, 1000)),
        ..EffectFilter::default()
    };
    let rows = console.read(move |reader| list::outbox_list(reader, &filter)).await?;
    Ok(rows.into_iter().map(Undelivered::from).collect())
}

/// By its whole key, of a tenant that he sees.
fn own(reader: &Reader, key: &str, tenant: Option<&TenantId>) -> Result<EffectRow, StoreError> {
    let row = reader.effect(key)?;
    match tenant {
        Some(tenant) if *tenant != row.tenant => Err(StoreError::Missing { what: format!("effect {key}") }),
        _ => Ok(row),
    }
}

pub(super) async fn one(console: Arc<Console>, ask: Ask<Nothing, Nothing>) -> Result<Undelivered, Trouble> {
    let (key, tenant) = (ask.place("key").to_owned(), ask.who.tenant.clone());
    let line = console.read(move |reader| {
        let key = own(reader, &key, tenant.as_ref())?.key;
        list::outbox_show(reader, &key, false)
    });
    Ok(line.await?.into())
}

/// Which effects.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// At most 500.
    #[schemars(length(min = 1, max = 500))]
    pub keys: Vec<String>,
}

/// Which, and why.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeysWhy {
    /// At most 500.
    #[schemars(length(min = 1, max = 500))]
    pub keys: Vec<String>,
    /// Stands in the audit; no names and numbers of customers.
    #[schemars(length(min = 1, max = 400), regex(pattern = r"\S"))]
    pub why: String,
}

/// How many it was done to, and to which it was not.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Counted {
    pub done: usize,
    pub not: Vec<Not>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Not {
    pub key: String,
    pub why: String,
}

async fn each(
    console: &Console,
    keys: Vec<String>,
    tenant: Option<TenantId>,
    work: impl Fn(&Reader, &str) -> Result<EffectRow, StoreError> + Send + 'static,
) -> Result<Counted, Trouble> {
    if keys.is_empty() || keys.len() > MANY {
        return Err(Trouble::Wrong(format!("keys: 1 to {MANY} of them")));
    }
    console
        .read(move |reader| {
            let mut counted = Counted { done: 0, not: Vec::new() };
            for key in keys {
                let done = own(reader, &key, tenant.as_ref()).and_then(|row| work(reader, &row.key));
                match done {
                    Ok(_) => counted.done += 1,
                    Err(why @ (StoreError::Missing { .. } | StoreError::Refused { .. })) => {
                        counted.not.push(Not { key, why: why.to_string() });
                    }
                    Err(other) => return Err(other),
                }
            }
            Ok(counted)
        })
        .await
}

pub(super) async fn retry(console: Arc<Console>, ask: Ask<Nothing, Keys>) -> Result<Counted, Trouble> {
    let (who, at) = (ask.who.who.clone(), now().wall);
    each(&console, ask.body.keys, ask.who.tenant.clone(), move |reader, key| reader.retry(key, &who, at)).await
}

pub(super) async fn give_up(console: Arc<Console>, ask: Ask<Nothing, KeysWhy>) -> Result<Counted, Trouble> {
    let KeysWhy { keys, why } = ask.body;
    let why = Why { why }.said()?;
    let (who, at) = (ask.who.who.clone(), now().wall);
    each(&console, keys, ask.who.tenant.clone(), move |reader, key| reader.drop(key, &why, &who, at)).await
}
