//! linecard.yaml in layers: the compiled-in defaults, the operator's file, the environment, flags. Later ones win, key by key.
//!
//! The file is checked alone first, so that its mistakes are told with line and column; the sum is checked again, because an environment
//! variable can be wrong too. Variables are `LINECARD__<SECTION>__<KEY>`, for example `LINECARD__ADMIN__LISTEN`.

use config::{Config, ConfigError, Environment, Map, Source, Value, ValueKind};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::files::{self, Problem};

/// Reads one settings type from all layers. `flags` are dotted keys with their values.
///
/// # Errors
/// All problems of the file, else what is wrong with the sum.
pub fn read<T: DeserializeOwned + JsonSchema>(
    defaults: &str,
    file: Option<(&str, &str)>,
    environment: Option<Vec<(String, String)>>,
    flags: &[(&str, String)],
) -> Result<T, Vec<Problem>> {
    let mut builder = Config::builder().add_source(tree("the compiled-in defaults", defaults)?);
    if let Some((name, text)) = file {
        files::read::<T>(name, text)?;
        builder = builder.add_source(tree(name, text)?);
    }
    let variables = environment.map(|list| list.into_iter().collect::<Map<String, String>>());
    builder = builder.add_source(
        Environment::with_prefix("LINECARD").prefix_separator("__").separator("__").try_parsing(true).source(variables),
    );
    for (key, value) in flags {
        builder = builder.set_override(*key, value.clone()).map_err(|e| whole(&e))?;
    }
    builder.build().and_then(Config::try_deserialize).map_err(|e| whole(&e))
}

/// Each key that counts, its value as YAML has it on one line, and the layer it came from.
///
/// # Errors
/// As [`read`].
pub fn told(defaults: &str, file: Option<(&str, &str)>) -> Result<Vec<(String, String, String)>, Vec<Problem>> {
    let mut builder = Config::builder().add_source(tree(DEFAULT, defaults)?);
    if let Some((name, text)) = file {
        builder = builder.add_source(tree(name, text)?);
    }
    builder = builder
        .add_source(Environment::with_prefix("LINECARD").prefix_separator("__").separator("__").try_parsing(true));
    let sum = builder.build().and_then(|sum| sum.collect()).map_err(|e| whole(&e))?;
    let mut lines = Vec::new();
    for (key, value) in sum {
        flat(key, value, &mut lines);
    }
    lines.sort();
    Ok(lines)
}

/// As the origin of values that nobody set.
pub const DEFAULT: &str = "default";

fn flat(key: String, value: Value, lines: &mut Vec<(String, String, String)>) {
    // Only what a layer gave has an origin; a table that nobody filled has none.
    let from = value.origin().unwrap_or(DEFAULT).to_owned();
    match value.kind {
        ValueKind::Table(map) if !map.is_empty() => {
            for (name, value) in map {
                flat(format!("{key}.{name}"), value, lines);
            }
        }
        kind => lines.push((key, shown(kind), from)),
    }
}

/// As YAML has it on one line.
fn shown(kind: ValueKind) -> String {
    match kind {
        ValueKind::Array(all) => {
            format!("[{}]", all.into_iter().map(|value| shown(value.kind)).collect::<Vec<_>>().join(", "))
        }
        ValueKind::Table(map) => {
            let mut pairs: Vec<String> =
                map.into_iter().map(|(key, value)| format!("{key}: {}", shown(value.kind))).collect();
            pairs.sort();
            format!("{{{}}}", pairs.join(", "))
        }
        other => other.to_string(),
    }
}

fn whole(error: &ConfigError) -> Vec<Problem> {
    let wanted = "look at the LINECARD__ variables and flags: the file itself is well formed";
    vec![Problem {
        file: "settings".to_owned(),
        line: 0,
        column: 0,
        key: String::new(),
        found: error.to_string(),
        wanted: wanted.to_owned(),
        ..Problem::default()
    }]
}

#[derive(Clone, Debug)]
struct Layer(Map<String, Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }
    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

fn tree(name: &str, text: &str) -> Result<Layer, Vec<Problem>> {
    let read = files::read::<serde_json::Map<String, serde_json::Value>>(name, text)?;
    let origin = name.to_owned();
    Ok(Layer(read.value.into_iter().map(|(key, value)| (key, layered(&origin, value))).collect()))
}

fn layered(origin: &String, value: serde_json::Value) -> Value {
    let kind = match value {
        serde_json::Value::Null => ValueKind::Nil,
        serde_json::Value::Bool(b) => ValueKind::Boolean(b),
        serde_json::Value::Number(n) => match (n.as_i64(), n.as_f64()) {
            (Some(i), _) => ValueKind::I64(i),
            (None, Some(f)) => ValueKind::Float(f),
            (None, None) => ValueKind::String(n.to_string()),
        },
        serde_json::Value::String(s) => ValueKind::String(s),
        serde_json::Value::Array(items) => ValueKind::Array(items.into_iter().map(|v| layered(origin, v)).collect()),
        serde_json::Value::Object(map) => {
            ValueKind::Table(map.into_iter().map(|(k, v)| (k, layered(origin, v))).collect())
        }
    };
    Value::new(Some(origin), kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct All {
        #[serde(default)]
        admin: Admin,
    }
    #[derive(Debug, Default, PartialEq, serde::Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields, default)]
    struct Admin {
        listen: String,
        workers: u32,
    }

    const DEFAULTS: &str = "admin:\n  listen: 127.0.0.1:9090\n  workers: 2\n";

    #[test]
    fn later_layers_win_key_by_key() {
        let environment = vec![("LINECARD__ADMIN__WORKERS".to_owned(), "7".to_owned())];
        let file = Some(("linecard.yaml", "admin:\n  listen: 127.0.0.1:1\n"));
        let all: All = read(DEFAULTS, file, Some(environment), &[]).unwrap();
        assert_eq!(all.admin, Admin { listen: "127.0.0.1:1".to_owned(), workers: 7 });
        let all: All = read(DEFAULTS, file, Some(vec![]), &[("admin.listen", "127.0.0.1:2".to_owned())]).unwrap();
        assert_eq!(all.admin, Admin { listen: "127.0.0.1:2".to_owned(), workers: 2 });
    }

    #[test]
    fn an_unknown_variable_is_refused() {
        let environment = vec![("LINECARD__ADMIN__LISTNE".to_owned(), "x".to_owned())];
        let problems = read::<All>(DEFAULTS, None, Some(environment), &[]).unwrap_err();
        assert!(problems[0].found.contains("listne"), "{problems:?}");
    }
}
