//! linecard.yaml: the sum of the rooms' settings.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::logs;
use crate::{
    admin, agents, calls, customers, files::Problem, flows, kpis, numbers::Plan, privacy, reconcile, recordings,
    records, store, watch,
};

/// Every key with its default and a sentence: the manual and the behaviour are the same text.
pub const DEFAULTS: &str = include_str!("../../config/linecard.yaml");

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    #[serde(default)]
    pub log: logs::Settings,
    #[serde(default)]
    pub numbers: Numbers,
    pub agents: agents::Settings,
    #[serde(default)]
    pub admin: admin::Settings,
    #[serde(default)]
    pub hooks: admin::hooks::Settings,
    #[serde(default)]
    pub console: admin::console::Settings,
    #[serde(default)]
    pub store: store::Settings,
    #[serde(default)]
    pub dial: calls::guard::Settings,
    #[serde(default)]
    pub customers: customers::Settings,
    #[serde(default)]
    pub outbox: records::Delivery,
    #[serde(default)]
    pub flows: flows::Settings,
    #[serde(default)]
    pub callbacks: records::callbacks::Settings,
    #[serde(default)]
    pub recordings: recordings::Settings,
    #[serde(default)]
    pub people: privacy::Settings,
    #[serde(default)]
    pub reconcile: reconcile::Settings,
    #[serde(default)]
    pub kpis: kpis::Settings,
    #[serde(default)]
    pub traces: watch::Settings,
    /// Values of this site for the variables of connector files, by connector: `redmine: {mobile_field: "3"}`.
    #[serde(default)]
    pub connectors: BTreeMap<String, BTreeMap<String, String>>,
    #[serde(default)]
    pub shutdown: Shutdown,
}

/// How numbers in trunks.yaml and in dial requests are read; each switch's file says it for its own calls.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Numbers {
    /// ISO 3166 alpha-2.
    pub country: String,
    /// Area code without the trunk zero, quoted.
    pub area: Option<String>,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { country: "CN".to_owned(), area: None }
    }
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Shutdown {
    /// How long a stop may take: what was accepted is committed and what is on its way to a business system is settled. The unit's
    /// `TimeoutStopSec` must be longer.
    pub grace_ms: u64,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { grace_ms: 10_000 }
    }
}

impl Settings {
    #[must_use]
    pub fn plan(&self) -> Plan {
        Plan::new(&self.numbers.country, self.numbers.area.as_deref())
    }

    /// Where the indexes of numbers lie: beside the store, for the same eyes.
    #[must_use]
    pub fn index_folder(&self) -> std::path::PathBuf {
        self.store.path.with_file_name("index")
    }

    /// Where refresh tokens of business systems lie: there too.
    #[must_use]
    pub fn tokens_folder(&self) -> std::path::PathBuf {
        self.store.path.with_file_name("tokens")
    }

    /// Where ids of events lie that business systems told.
    #[must_use]
    pub fn hooks_folder(&self) -> std::path::PathBuf {
        self.store.path.with_file_name("hooks")
    }

    /// Where what is seen of business systems is kept, and what fires.
    #[must_use]
    pub fn watch_folder(&self) -> std::path::PathBuf {
        self.store.path.with_file_name("watch")
    }

    /// What a schema cannot see.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let problem = |key: String, found: String, wanted: &str| Problem {
            file: "linecard.yaml".to_owned(),
            line: 0,
            column: 0,
            key,
            found,
            wanted: wanted.to_owned(),
            ..Problem::default()
        };
        let agents = self.agents.problems().into_iter();
        let mut problems: Vec<Problem> = agents
            .map(|(key, found, wanted)| problem(format!("agents.{key}"), format!("found {found}"), wanted))
            .collect();
        problems.extend(
            self.admin
                .route_hint
                .problems()
                .into_iter()
                .map(|(key, found, wanted)| problem(format!("admin.route_hint.{key}"), found, wanted)),
        );
        problems.extend(
            self.callbacks
                .problems()
                .into_iter()
                .map(|(key, found, wanted)| problem(format!("callbacks.{key}"), format!("found {found}"), wanted)),
        );
        let sound = |tenant: &_| self.recordings.keep(tenant).filter(|keep| keep.remove).map(|keep| keep.days);
        let people = self.people.problems(sound).into_iter();
        problems.extend(people.map(|(key, found, wanted)| problem(format!("people.{key}"), found, wanted)));
        let compared = self.reconcile.problems().into_iter();
        problems.extend(compared.map(|(key, found, wanted)| problem(format!("reconcile.{key}"), found, wanted)));
        let counted = self.kpis.problems().into_iter();
        problems.extend(counted.map(|(key, found, wanted)| problem(format!("kpis.{key}"), found, wanted)));
        let hooks = self.hooks.problems().into_iter();
        problems.extend(hooks.map(|(key, found, wanted)| problem(format!("hooks.{key}"), found.to_owned(), wanted)));
        let console = self.console.problems().into_iter();
        problems.extend(console.map(|(key, found, wanted)| problem(format!("console.{key}"), found, wanted)));
        let flows = self.flows.problems().into_iter();
        problems.extend(flows.map(|(key, found, wanted)| problem(format!("flows.{key}"), found, wanted)));
        let dial = self.dial.problems().into_iter();
        problems.extend(dial.map(|(key, found, wanted)| problem(format!("dial.{key}"), found, wanted)));
        problems.extend(self.customers.unread(&self.plan()).into_iter().map(|n| {
            let wanted = "a number as it is dialled, quoted, or with + and country code";
            problem(format!("customers.shared[{n}]"), "no number".to_owned(), wanted)
        }));
        problems
    }
}
