//! A read operation of a connector, tried from its panel: by the connectors that run, so that limits, sessions and breakers count; nothing is written.

use std::{sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    Console,
    api::{Ask, Nothing, Trouble},
    reads::no_connector,
    whole_site,
};
use crate::{
    connectors::{self, Outcome, Priority, masked, operation::OPERATIONS, trail::Trail},
    words::{
        SystemId, TenantId,
        refusal::{Refusal, code},
    },
};

/// A person waits; a file's own deadline is shorter.
const PATIENCE: Duration = Duration::from_secs(30);
/// Characters of one input.
const LONGEST: usize = 2_000;

/// An operation that can be tried: it reads.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReadOperation {
    pub operation: &'static str,
    /// What it must be told, and what it may.
    pub needs: &'static [&'static str],
    pub may: &'static [&'static str],
}

pub(super) fn reads(console: &Console, system: &SystemId) -> Vec<ReadOperation> {
    let offered = OPERATIONS.iter().filter(|one| !one.writes && console.connectors.offers(system, one.name));
    offered.map(|one| ReadOperation { operation: one.name, needs: one.required, may: one.optional }).collect()
}

/// What is to be tried.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TryRead {
    /// One that reads: `customer.by_phone`.
    pub operation: String,
    /// What it is told: texts, or objects where the operation takes one (`customer`: `{"id": "42", "type": "customer"}`).
    #[serde(default)]
    pub inputs: Map<String, Value>,
}

/// What came of it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReadTried {
    /// `ok`, `empty`, `not_found`, ...
    pub outcome: &'static str,
    pub reason: Option<String>,
    pub took_ms: u64,
    /// Each thing that happened, as `linecard connector try --json` tells it; of answers there is the shape alone.
    pub happened: Vec<Value>,
    /// What a card would take of it, as its shape; absent where nothing came.
    pub value: Option<Value>,
}

pub(super) async fn attempt(console: Arc<Console>, ask: Ask<Nothing, TryRead>) -> Result<ReadTried, Trouble> {
    whole_site(&ask.who)?;
    let system = SystemId::from(ask.place("id"));
    if !console.connectors.files().contains(&system) {
        return Err(no_connector(&system));
    }
    let TryRead { operation, inputs } = ask.body;
    let known = reads(&console, &system);
    let Some(read) = known.iter().find(|read| read.operation == operation) else {
        let known: Vec<&str> = known.iter().map(|read| read.operation).collect();
        let known = known.join(", ");
        let why =
            Refusal::new(code::NOT_READING, format!("operation: one that {system} offers and that reads: {known}"));
        return Err(Trouble::Wrong(why.with("system", system).with("known", known)));
    };
    let takes = |name: &str| read.needs.contains(&name) || read.may.contains(&name);
    if let Some(needed) = read.needs.iter().find(|name| !inputs.contains_key(**name)) {
        let why = Refusal::new(code::NO_INPUT, format!("inputs: {operation} has to be told {needed}"));
        return Err(Trouble::Wrong(why.with("operation", operation).with("input", needed)));
    }
    if inputs.keys().any(|name| !takes(name)) || inputs.values().any(|value| value.to_string().len() > LONGEST) {
        let all: Vec<&str> = read.needs.iter().chain(read.may).copied().collect();
        let known = all.join(", ");
        let says = format!("inputs: {operation} takes {known}, each of {LONGEST} characters at most");
        let why = Refusal::new(code::OTHER_INPUT, says).with("operation", operation);
        return Err(Trouble::Wrong(why.with("known", known).with("most", LONGEST)));
    }
    // Before it is asked: who looked whom up stands in the audit whatever comes of it, without what was asked with.
    console.note(&ask.who, "connector.tried", system.as_str(), Some(operation.clone())).await?;
    let (trail, begun) = (Trail::new(false), std::time::Instant::now());
    let asked = connectors::Ask {
        tenant: TenantId::default(),
        system,
        operation,
        inputs: inputs.clone(),
        deadline: PATIENCE,
        priority: Priority::Background,
    };
    let outcome = console.connectors.try_out(asked, &trail).await;
    let value = match &outcome {
        Outcome::Ok(value) => Some(masked::shape(value, &inputs)),
        _ => None,
    };
    Ok(ReadTried {
        outcome: outcome.word(),
        reason: outcome.reason().map(|reason| trail.blotted(reason)),
        took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        happened: masked::happened(&trail, &inputs),
        value,
    })
}
