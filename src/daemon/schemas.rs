//! JSON Schemas of the settings files, for editors: the same types that read the files. Draft 07, which is what YAML editors know best.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::Value;

use super::settings::Settings;
use crate::{
    access::AccountsFile, calls::AgentsFile, connectors, flows, numbers::TrunksFile, records, switches, watch,
};

/// The schema of one kind of files.
pub struct Published {
    /// `schemas/NAME.json`.
    pub name: &'static str,
    /// Which files of a settings folder.
    pub files: &'static str,
    pub schema: Value,
}

impl Published {
    /// As it is written to a file.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{:#}\n", self.schema)
    }
}

/// All of them.
#[must_use]
pub fn all() -> Vec<Published> {
    vec![
        of::<connectors::file::File>("connector", "connectors/*.yaml"),
        of::<flows::file::FlowFile>("flow", "flows/*.yaml"),
        of::<switches::Settings>("switch", "switches/*.yaml"),
        of::<Settings>("linecard", "linecard.yaml"),
        of::<AgentsFile>("agents", "agents.yaml"),
        of::<TrunksFile>("trunks", "trunks.yaml"),
        of::<records::rules::RulesFile>("rules", "rules.yaml"),
        of::<records::hooks::File>("webhooks", "webhooks.yaml"),
        of::<watch::alerts::File>("alerts", "alerts.yaml"),
        of::<AccountsFile>("accounts", "accounts.yaml"),
    ]
}

fn of<T: JsonSchema>(name: &'static str, files: &'static str) -> Published {
    let schema = SchemaSettings::draft07().for_deserialize().into_generator().into_root_schema_for::<T>();
    let mut schema = schema.to_value();
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("title".to_owned(), format!("Linecard: {files}").into());
    }
    Published { name, files, schema }
}
