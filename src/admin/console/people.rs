//! Agents with their phones and pages, and queues: how they stand now, as the core knows it.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Console,
    api::{Ask, Nothing, Trouble},
    kpis::sees_agent,
};
use crate::{
    access::Session,
    agents::{People, QueueNow, Stranger},
    calls::directory::{Agent, Device},
    words::{
        AgentId,
        refusal::{Refusal, code},
    },
};

/// Agents in an answer at most: the core makes it in one turn, between two pops.
const MOST: u16 = 200;

/// Which agents.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Whom {
    /// In the id, the name, a team, a queue or a device.
    pub find: Option<String>,
    /// One by id.
    pub agent: Option<AgentId>,
    /// At most 200; absent: 200.
    pub limit: Option<u16>,
}

fn has(agent: &Agent, text: &str) -> bool {
    let holds = |own: &str| own.to_lowercase().contains(text);
    let device = |device: &Device| matches!(device, Device::At { name, .. } if holds(name));
    holds(agent.id.as_str())
        || agent.name.as_deref().is_some_and(holds)
        || agent.teams.iter().chain(&agent.queues).any(|own| holds(own))
        || agent.devices.iter().any(device)
}

fn away() -> Trouble {
    Trouble::Away(Refusal::new(code::CORE_AWAY, "the core gave no answer; the daemon is starting or stopping"))
}

pub(super) async fn agents(console: Arc<Console>, ask: Ask<Whom, Nothing>) -> Result<People, Trouble> {
    let Whom { find, agent, limit } = ask.query;
    let find = find.unwrap_or_default().trim().to_lowercase();
    let directory = console.directory.load_full();
    let wanted = |one: &&Arc<Agent>| {
        sees_agent(&ask.who, one)
            && agent.as_ref().is_none_or(|agent| one.id == *agent)
            && (find.is_empty() || has(one, &find))
    };
    let mut of: Vec<&AgentId> = directory.agents().filter(wanted).map(|one| &one.id).collect();
    let most = usize::from(limit.unwrap_or(MOST).clamp(1, MOST));
    let more = of.len() > most;
    if more {
        // Of 140,000 only the first are put in order.
        of.select_nth_unstable(most);
        of.truncate(most);
    }
    of.sort_unstable();
    let of = of.into_iter().cloned().collect();
    let mut people = console.house.people(of).await.ok_or_else(away)?;
    people.more = more;
    people.strangers.retain(|stranger| sees_tenant(&ask.who, stranger));
    Ok(people)
}

/// Who sees only teams sees no one of whom no team is known.
fn sees_tenant(who: &Session, stranger: &Stranger) -> bool {
    who.tenant.as_ref().is_none_or(|tenant| *tenant == stranger.tenant && who.teams.is_none())
}

/// Which queues.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhichQueue {
    /// Only this one, and with the places in it.
    pub queue: Option<String>,
}

pub(super) async fn queues(console: Arc<Console>, ask: Ask<WhichQueue, Nothing>) -> Result<Vec<QueueNow>, Trouble> {
    let told = console.house.queues(ask.who.tenant.clone(), ask.query.queue).await;
    let mut queues = told.ok_or_else(away)?;
    // Whom a supervisor's token does not name is not told of.
    let directory = console.directory.load();
    for queue in &mut queues {
        queue.places.retain(|place| {
            let agent = place.agent.as_ref().and_then(|id| directory.agent(id));
            agent.map_or(ask.who.tenant.is_none(), |agent| sees_agent(&ask.who, agent))
        });
    }
    Ok(queues)
}
