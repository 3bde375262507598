//! `config/agents.yaml`: who the agents are and where they sit.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::words::{AgentId, SwitchId, TenantId};

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
