//! The SDK's types of frames and requests, made from the protocol's schemas.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// `web/sdk/frames.d.ts` as it must be. `schemas`: frame type and schema; what has an `id` that is needed, or says who one is, goes to the daemon.
pub fn frames(schemas: &[(&'static str, Value)]) -> String {
    let mut out = String::from("// Made from docs/protocol/schemas: UPDATE_SCHEMAS=1 cargo test schemas\n");
    let mut shared: BTreeMap<String, Value> = BTreeMap::new();
    let mut names: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (_, schema) in schemas {
        for (name, of) in schema["$defs"].as_object().into_iter().flatten() {
            let seen = names.entry(name.clone()).or_default();
            if !seen.contains(of) {
                seen.push(of.clone());
            }
        }
    }
    for (name, of) in names {
        // What is told and what is asked for may differ in what may be left out: then the looser one is the type.
        let loosest = of.into_iter().min_by_key(|of| of["required"].as_array().map_or(0, Vec::len)).unwrap();
        shared.insert(name, loosest);
    }
    for (name, of) in &shared {
        declare(&mut out, name, of);
    }
    // `resume` says a `seq` of its own.
    let told = |(kind, schema): &&(&str, Value)| *kind != "resume" && schema["properties"].get("seq").is_some();
    let from: Vec<&(&str, Value)> = schemas.iter().filter(told).collect();
    for (kind, schema) in &from {
        declare(&mut out, &title(kind), schema);
    }
    let union: Vec<String> = from.iter().map(|(kind, _)| title(kind)).collect();
    out += &format!("\n/** What the daemon says. */\nexport type Frame = {};\n", union.join(" | "));
    out += "\n/** What can be asked, by its type: the body without `type` and `id`. */\nexport interface Requests {\n";
    for (kind, schema) in schemas.iter().filter(|(kind, _)| !from.iter().any(|(other, _)| other == kind)) {
        if ["resume", "ping"].contains(kind) {
            continue;
        }
        comment(&mut out, "  ", schema);
        let mut schema = schema.clone();
        for part in ["type", "id"] {
            schema["properties"].as_object_mut().unwrap().remove(part);
        }
        out += &format!("  \"{kind}\": {};\n", of(&schema, "  "));
    }
    out += "}\n";
    out
}

/// `agent.changed` is `AgentChanged`.
fn title(kind: &str) -> String {
    let big = |part: &str| {
        let mut rest = part.chars();
        rest.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(rest).collect::<String>()
    };
    kind.split(['.', '-']).map(big).collect()
}

fn declare(out: &mut String, name: &str, schema: &Value) {
    out.push('\n');
    comment(out, "", schema);
    let text = of(schema, "");
    *out += &match schema.get("properties") {
        Some(_) => format!("export interface {name} {text}\n"),
        None => format!("export type {name} = {text};\n"),
    };
}

fn comment(out: &mut String, indent: &str, schema: &Value) {
    if let Some(text) = schema["description"].as_str() {
        *out +=
            &format!("{indent}/** {} */\n", text.replace("*/", "* /").split_whitespace().collect::<Vec<_>>().join(" "));
    }
}

fn of(schema: &Value, indent: &str) -> String {
    if let Some(name) = schema["$ref"].as_str() {
        return name.trim_start_matches("#/$defs/").to_owned();
    }
    if let Some(only) = schema.get("const") {
        return only.to_string();
    }
    if let Some(all) = schema["enum"].as_array() {
        return all.iter().map(Value::to_string).collect::<Vec<_>>().join(" | ");
    }
    for union in ["oneOf", "anyOf"] {
        if let Some(all) = schema[union].as_array() {
            let mut parts: Vec<String> = all.iter().map(|one| of(one, indent)).collect();
            parts.dedup();
            return parts.join(" | ");
        }
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => return "unknown".to_owned(),
    };
    kinds.into_iter().map(|kind| kind_of(kind, schema, indent)).collect::<Vec<_>>().join(" | ")
}

fn kind_of(kind: &str, schema: &Value, indent: &str) -> String {
    match kind {
        "integer" | "number" => "number".to_owned(),
        "array" => {
            let inner = of(&schema["items"], indent);
            if inner.contains('|') { format!("({inner})[]") } else { format!("{inner}[]") }
        }
        "object" => object(schema, indent),
        other => other.to_owned(), // string, boolean, null
    }
}

fn object(schema: &Value, indent: &str) -> String {
    let empty = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&empty);
    let needed = |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
    if properties.is_empty() {
        return match schema.get("additionalProperties") {
            Some(Value::Bool(false)) => "Record<string, never>".to_owned(),
            Some(inner @ Value::Object(_)) => format!("Record<string, {}>", of(inner, indent)),
            _ => "Record<string, unknown>".to_owned(),
        };
    }
    let deeper = format!("{indent}  ");
    let mut out = String::from("{\n");
    for (name, inner) in properties {
        comment(&mut out, &deeper, inner);
        let mark = if needed(name) { "" } else { "?" };
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let name = if plain { name.clone() } else { format!("{name:?}") };
        out += &format!("{deeper}{name}{mark}: {};\n", of(inner, &deeper));
    }
    out + indent + "}"
}
