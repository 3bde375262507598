//! `connector`: what is there, what a file says of itself, its own examples.

use std::{fs, path::Path};

use serde_json::{Map, Value, json};

use super::{Exit, fail, wrong};
use crate::{
    connectors::{
        self, Idempotency, System, draft, evidence::live as evidence, index::live as index, operation, set::Operation,
        standing::StandsOn,
    },
    daemon::{
        cli::{Connector, New},
        load,
    },
};

pub fn connector(verb: Connector) -> Exit {
    match verb {
        Connector::List { folder, json } => match load::load(&folder.config, &[]) {
            Err(problems) => wrong(&problems),
            Ok(loaded) => {
                let standing = evidence::standing(&loaded.settings.watch_folder());
                let set = &loaded.live.connectors;
                for system in set.iter().chain(set.beside()) {
                    let offers: Vec<&str> = offers(system).map(|o| o.spec.name).collect();
                    let index = system.index.map(|_| index::on_disk(&loaded.settings.index_folder(), &system.id));
                    if json {
                        let mut line = json!({"system": system.id, "title": system.title, "operations": offers, "hash": system.hash, "stands_on": system.stands_on});
                        if let Some(index) = &index {
                            line["index"] = index.as_ref().map_or(Value::Null, shown);
                        }
                        if let Some(standing) = &standing {
                            let mine = standing["systems"]
                                .as_array()
                                .and_then(|all| all.iter().find(|s| s["system"] == json!(system.id)));
                            line["standing"] = mine.cloned().unwrap_or_default();
                            line["standing_at"] = standing["at"].clone();
                        }
                        println!("{line}");
                    } else {
                        println!(
                            "{:<16} {:<24} {}",
                            system.id.as_str(),
                            system.title.as_deref().unwrap_or(""),
                            offers.join(" ")
                        );
                        if let Some(beside) = &system.beside {
                            println!("{:<16} {} of {}: {}", "", beside.kind.as_str(), beside.of, beside.calls());
                        }
                        if let Some(stands) = &system.stands_on {
                            println!("{:<16} {stands}", "");
                        }
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
        Connector::Show { file, json } => match read(&file, true) {
            Err(exit) => exit,
            Ok(system) => {
                show(&system, json);
                Exit::Good
            }
        },
        Connector::New(new) => match drafted(&new) {
            Ok(text) => {
                print!("{text}");
                Exit::Good
            }
            Err(why) => fail(&why),
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
        Connector::SignIn { connector, folder } => super::sign_in::sign_in(&connector, &folder),
        Connector::Try(args) => super::tried::tried(&args),
        Connector::Canary(verb) => super::beside::canary(verb),
        Connector::Compare { connector, folder, json } => super::beside::compare(&connector, &folder, json),
    }
}

fn drafted(new: &New) -> Result<String, String> {
    if new.id.is_empty() || !new.id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
        return Err(format!("\"{}\" is no id: letters, digits and hyphens", new.id));
    }
    let text = |file: &Path| fs::read_to_string(file).map_err(|e| format!("cannot read {}: {e}", file.display()));
    let area = new.area.as_deref();
    match (&new.sample, &new.openapi, &new.template) {
        (Some(file), ..) => {
            let answer =
                serde_json::from_str(&text(file)?).map_err(|e| format!("{} is no JSON: {e}", file.display()))?;
            let headers = new.headers.iter().map(|header| match header.split_once(':') {
                Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
                None => Err("a header is \"Name: value\"".to_owned()),
            });
            let asked = draft::sample::Asked {
                address: new.address.clone(),
                headers: headers.collect::<Result<_, _>>()?,
                country: new.country.clone(),
                area: new.area.clone(),
            };
            draft::sample::draft(&new.id, &answer, &asked)
        }
        (_, Some(file), _) => {
            let document = serde_saphyr::from_str(&text(file)?)
                .map_err(|_| format!("{} is neither JSON nor YAML", file.display()))?;
            draft::openapi::draft(&new.id, &document, &new.country, area)
        }
        (.., Some(file)) => draft::template::draft(&new.id, &text(file)?, &new.country, area),
        (None, None, None) => Err("one of --sample, --openapi, --template".to_owned()),
    }
}

pub(super) fn offers(system: &System) -> impl Iterator<Item = &Operation> {
    operation::OPERATIONS.iter().filter_map(|o| system.operation(o.name))
}

/// One file, for who is about to use it.
fn show(system: &System, as_json: bool) {
    let safe = |operation: &Operation| match &operation.idempotency {
        Idempotency::Read => None,
        Idempotency::Key => Some("written once: the system keeps our key".to_owned()),
        Idempotency::Put => Some("may be written again".to_owned()),
        Idempotency::Lookup(find) => Some(format!("looked for by {find} before it is written")),
        Idempotency::None => Some("a person decides when an answer was lost".to_owned()),
    };
    if as_json {
        let operations: Map<String, Value> =
            offers(system).map(|o| (o.spec.name.to_owned(), safe(o).map_or(Value::Null, Value::from))).collect();
        println!(
            "{}",
            json!({"system": system.id, "title": system.title, "api": system.version.api, "sign_in": system.sign_in,
                   "at": system.at.text(), "stands_on": system.stands_on, "operations": operations})
        );
        return;
    }
    let api = system.version.api.as_ref().map(|api| format!(", version {api}")).unwrap_or_default();
    println!("{}: {}{api}", system.id, system.title.as_deref().unwrap_or("no title"));
    match &system.stands_on {
        None => println!("stands on    not said"),
        Some(stands) => println!("stands on    {stands}"),
    }
    match &system.stands_on {
        Some(StandsOn::Server(server)) => println!("             {}", server.test),
        Some(StandsOn::Documentation(documentation)) => {
            for page in &documentation.pages {
                println!("             {} ({})", page.page, page.read);
            }
        }
        None => {}
    }
    if let Some(not_checked) = system.stands_on.as_ref().and_then(StandsOn::not_checked) {
        println!("not checked  {}", not_checked.trim().replace('\n', "\n             "));
    }
    println!("sign-in      {}", system.sign_in);
    println!("asks         {}", system.at.text());
    for operation in offers(system) {
        println!("  {:<20} {}", operation.spec.name, safe(operation).unwrap_or_default());
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

pub(super) fn read(file: &Path, offline: bool) -> Result<System, Exit> {
    let name = file.display().to_string();
    let text = fs::read_to_string(file).map_err(|e| fail(&format!("cannot read {name}: {e}")))?;
    let read = if offline { connectors::load_offline(&name, &text) } else { connectors::load(&name, &text) };
    read.map_err(|problems| wrong(&problems))
}
