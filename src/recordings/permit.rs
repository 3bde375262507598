//! Who may hear a call: whoever talked in it, who supervises one of those, and roles that hear everything.

use crate::{
    calls::{Directory, Record},
    words::AgentId,
};

use super::{Asker, Settings};

/// Whether `asker` may hear the recordings of this call. Another tenant's call is as if there were none: look at that first.
#[must_use]
pub fn may_hear(settings: &Settings, asker: &Asker, record: &Record, directory: &Directory) -> bool {
    let has = |roles: &[String]| roles.iter().any(|role| asker.roles.contains(role));
    let talked = record.agents.as_deref().unwrap_or_default();
    has(&settings.all)
        || settings.own && talked.contains(&asker.agent)
        || has(&settings.teams) && talked.iter().any(|agent| share_a_team(directory, asker, agent))
}

/// Who is in no team supervises nobody.
fn share_a_team(directory: &Directory, asker: &Asker, other: &AgentId) -> bool {
    let here = |id: &AgentId| directory.agent(id).filter(|agent| agent.tenant == asker.tenant);
    let (Some(one), Some(two)) = (here(&asker.agent), here(other)) else { return false };
    one.teams.iter().any(|team| two.teams.contains(team))
}
