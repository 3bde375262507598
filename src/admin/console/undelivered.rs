//! What was not delivered: the outbox as the console shows it, tried again or given up.

use std::{collections::BTreeMap, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Console,
    api::{Ask, Nothing, Trouble},
    reads::Why,
};
use crate::{
    live::now,
    records::list::{self, EffectLine},
    store::{EffectFilter, EffectRow, Reader, State, StoreError, no_effect},
    words::{
        CallId, SystemId, TenantId,
        refusal::{Refusal, code},
    },
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

pub(super) async fn list(console: Arc<Console>, ask: Ask<Which, Nothing>) -> Result<Vec<EffectLine>, Trouble> {
    let Which { system, state, call, limit } = ask.query;
    let filter = EffectFilter {
        tenant: ask.who.tenant.clone(),
        call,
        system,
        states: state.into_iter().collect(),
        limit: usize::from(limit.unwrap_or(200).clamp(1, 1000)),
        ..EffectFilter::default()
    };
    console.read(move |reader| list::outbox_list(reader, &filter)).await
}

/// By its whole key, of a tenant that he sees.
fn own(reader: &Reader, key: &str, tenant: Option<&TenantId>) -> Result<EffectRow, StoreError> {
    let row = reader.effect(key)?;
    match tenant {
        Some(tenant) if *tenant != row.tenant => Err(no_effect(key)),
        _ => Ok(row),
    }
}

pub(super) async fn one(console: Arc<Console>, ask: Ask<Nothing, Nothing>) -> Result<EffectLine, Trouble> {
    let (key, tenant) = (ask.place("key").to_owned(), ask.who.tenant.clone());
    console
        .read(move |reader| {
            let key = own(reader, &key, tenant.as_ref())?.key;
            list::outbox_show(reader, &key, false)
        })
        .await
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
    /// As in an answer that refuses all.
    #[schemars(extend("enum" = code::ALL))]
    pub code: &'static str,
    pub values: BTreeMap<&'static str, String>,
}

async fn each(
    console: &Console,
    keys: Vec<String>,
    tenant: Option<TenantId>,
    work: impl Fn(&Reader, &str) -> Result<EffectRow, StoreError> + Send + 'static,
) -> Result<Counted, Trouble> {
    if keys.is_empty() || keys.len() > MANY {
        return Err(Trouble::too_many("keys", format!("keys: 1 to {MANY} of them"), MANY));
    }
    console
        .read(move |reader| {
            let mut counted = Counted { done: 0, not: Vec::new() };
            for key in keys {
                let done = own(reader, &key, tenant.as_ref()).and_then(|row| work(reader, &row.key));
                match done {
                    Ok(_) => counted.done += 1,
                    Err(StoreError::Missing(why) | StoreError::Refused(why)) => {
                        let Refusal { code, says, values } = why;
                        counted.not.push(Not { key, why: says, code, values });
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
