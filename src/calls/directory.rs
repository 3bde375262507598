//! `config/agents.yaml`: who the agents are and where they sit.

use std::collections::HashMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    files::{Problem, Read},
    words::{AgentId, SwitchId, TenantId},
};

/// The whole file.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentsFile {
    #[serde(default)]
    pub agents: Vec<Agent>,
}

/// One person.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    pub id: AgentId,
    pub name: Option<String>,
    #[serde(default)]
    pub tenant: TenantId,
    #[serde(default)]
    pub teams: Vec<String>,
    #[serde(default)]
    pub roles: Vec<String>,
    /// Devices as the switch names them (`PJSIP/1001`), or plain extensions (`"1001"`), at any switch.
    pub devices: Vec<String>,
    /// Ids of this person in other systems, for example `redmine: "7"`.
    #[serde(default)]
    pub ids: HashMap<String, String>,
}

/// Devices to agents. A device belongs to one agent of one tenant.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    agents: HashMap<AgentId, Arc<Agent>>,
    devices: HashMap<String, Arc<Agent>>,
}

impl Directory {
    /// Builds the tables; a device named twice is the caller's to refuse before (see `check`): the first stays.
    #[must_use]
    pub fn new(agents: Vec<Agent>) -> Self {
        let mut directory = Self::default();
        for agent in agents {
            let agent = Arc::new(agent);
            for device in &agent.devices {
                directory.devices.entry(device.clone()).or_insert_with(|| agent.clone());
            }
            directory.agents.entry(agent.id.clone()).or_insert(agent);
        }
        directory
    }

    #[must_use]
    pub fn agent(&self, id: &AgentId) -> Option<&Arc<Agent>> {
        self.agents.get(id)
    }

    /// Who sits at `device` (`PJSIP/1001`): by its full name, else by the extension after the slash.
    #[must_use]
    pub fn at_device(&self, _switch: &SwitchId, device: &str) -> Option<&Arc<Agent>> {
        self.devices.get(device).or_else(|| self.devices.get(device.rsplit('/').next()?))
    }

    pub fn agents(&self) -> impl Iterator<Item = &Arc<Agent>> {
        self.agents.values()
    }
}

/// What a schema cannot see: an agent or a device named twice, an agent without a device.
#[must_use]
pub fn check(file: &Read<AgentsFile>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut ids: HashMap<&AgentId, usize> = HashMap::new();
    let mut devices: HashMap<&str, &AgentId> = HashMap::new();
    for (i, agent) in file.value.agents.iter().enumerate() {
        if let Some(first) = ids.insert(&agent.id, i) {
            let found = format!("agent \"{}\" stands here for the second time (first: agents[{first}])", agent.id);
            problems.push(file.problem(
                &format!("agents[{i}].id"),
                found,
                "one entry for each person, with all devices in it",
            ));
        }
        if agent.devices.is_empty() {
            let key = format!("agents[{i}].devices");
            problems.push(file.problem(
                &key,
                "no device, so no call ever reaches this agent",
                "for example [PJSIP/1001]",
            ));
        }
        for (j, device) in agent.devices.iter().enumerate() {
            if let Some(other) = devices.insert(device, &agent.id) {
                let found = format!("device \"{device}\" is agent \"{other}\"'s already");
                problems.push(file.problem(
                    &format!("agents[{i}].devices[{j}]"),
                    found,
                    "a device belongs to one agent",
                ));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    #[test]
    fn a_device_is_found_by_its_full_name_or_its_extension() {
        let text = "agents:\n  - id: '1001'\n    name: Agent Li\n    devices: [PJSIP/1001]\n  - id: wang\n    devices: ['1002']\n";
        let file = files::read::<AgentsFile>("agents.yaml", text).unwrap();
        assert!(check(&file).is_empty());
        let directory = Directory::new(file.value.agents);
        let at = |device: &str| directory.at_device(&"pbx1".into(), device).map(|a| a.id.to_string());
        assert_eq!(at("PJSIP/1001").as_deref(), Some("1001"));
        assert_eq!(at("PJSIP/1002").as_deref(), Some("wang"));
        assert_eq!(at("PJSIP/1003"), None);
    }

    #[test]
    fn one_device_for_two_is_told() {
        let text =
            "agents:\n  - id: a\n    devices: ['1']\n  - id: b\n    devices: ['1']\n  - id: a\n    devices: []\n";
        let file = files::read::<AgentsFile>("agents.yaml", text).unwrap();
        let told: Vec<String> = check(&file).iter().map(|p| p.key.clone()).collect();
        assert_eq!(told, ["agents[1].devices[0]", "agents[2].id", "agents[2].devices"]);
    }
}
