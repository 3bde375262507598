//! `connector`: what is there, a file's own examples, one live operation.

use std::{fs, path::Path};

use serde_json::{Map, Value, json};

use super::{Exit, fail, wrong};
use crate::{
    connectors::{self, Ask, Connectors, Outcome, Priority, Set, System, index::live as index, operation},
    daemon::{cli::Connector, load},
    words::TenantId,
};

pub fn connector(verb: Connector) -> Exit {
    match verb {
        Connector::List { folder, json } => match load::load(&folder.config, &[]) {
            Err(problems) => wrong(&problems),
            Ok(loaded) => {
                for system in loaded.live.connectors.iter() {
                    let offers: Vec<&str> = operation::OPERATIONS
                        .iter()
                        .map(|o| o.name)
                        .filter(|n| system.operation(n).is_some())
                        .collect();
                    let index = system.index.map(|_| index::on_disk(&loaded.settings.index_folder(), &system.id));
                    if json {
                        let mut line = json!({"system": system.id, "title": system.title, "operations": offers, "hash": system.hash});
                        if let Some(index) = &index {
                            line["index"] = index.as_ref().map_or(Value::Null, shown);
                        }
                        println!("{line}");
                    } else {
                        println!(
                            "{:<16} {:<24} {}",
                            system.id.as_str(),
                            system.title.as_deref().unwrap_or(""),
                            offers.join(" ")
                        );
                        match index {
                            Some(Some(index)) => println!("{:<16} index of numbers: {index}", ""),
                            Some(None) => println!("{:<16} index of numbers: not read yet, or not readable by you", ""),
                            None => {}
                        }
                    }
                }
                Exit::Good
            }
        },
        Connector::Test { file } => match read(&file, true) {
            Err(exit) => exit,
            Ok(system) => {
                let results = connectors::examples::run(&system);
                let failed = results.iter().filter(|r| r.result.is_err()).count();
                for result in &results {
                    match &result.result {
                        Ok(()) => println!("ok    {}", result.name),
                        Err(why) => println!("FAIL  {}: {why}", result.name),
                    }
                }
                println!("{} example(s), {failed} failed", results.len());
                if results.is_empty() {
                    return fail("a connector without examples is not proved: add some");
                }
                if failed == 0 { Exit::Good } else { Exit::Failed }
            }
        },
        Connector::Try { file, operation, inputs } => tried(&file, operation, &inputs),
    }
}

/// What lies on the disk of an index.
fn shown(index: &index::Status) -> Value {
    let holds = index.holds.unwrap_or_default();
    json!({
        "customers": holds.customers, "numbers": holds.numbers, "unreadable": holds.odd, "bytes": index.bytes,
        "known_at": index.known_at, "whole_at": index.whole_at, "walk_ms": index.took_ms,
    })
}

fn tried(file: &Path, operation: String, inputs: &[String]) -> Exit {
    let system = match read(file, false) {
        Ok(system) => system,
        Err(exit) => return exit,
    };
    let mut given = Map::new();
    for input in inputs {
        let Some((key, value)) = input.split_once('=') else { return fail(&format!("\"{input}\" is not key=value")) };
        // A text unless it is JSON of another kind; a number of a phone stays a text.
        let value = match serde_json::from_str::<Value>(value) {
            Ok(json @ (Value::Object(_) | Value::Array(_) | Value::Bool(_))) => json,
            _ => Value::String(value.to_owned()),
        };
        given.insert(key.to_owned(), value);
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    let id = system.id.clone();
    let connectors = Connectors::new(Set::new(vec![system]));
    let ask = Ask {
        tenant: TenantId::default(),
        system: id,
        operation,
        inputs: given,
        deadline: std::time::Duration::from_secs(30),
        priority: Priority::Background,
    };
    match runtime.block_on(connectors.run(ask)) {
        Outcome::Ok(value) => {
            println!("{}", serde_json::to_string_pretty(&value).unwrap_or_default());
            Exit::Good
        }
        other => {
            println!("{}{}", other.word(), other.reason().map_or_else(String::new, |r| format!(": {r}")));
            if matches!(other, Outcome::Empty | Outcome::NotFound) { Exit::Good } else { Exit::Failed }
        }
    }
}

fn read(file: &Path, offline: bool) -> Result<System, Exit> {
    let name = file.display().to_string();
    let text = fs::read_to_string(file).map_err(|e| fail(&format!("cannot read {name}: {e}")))?;
    let read = if offline { connectors::load_offline(&name, &text) } else { connectors::load(&name, &text) };
    read.map_err(|problems| wrong(&problems))
}
