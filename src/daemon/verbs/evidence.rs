//! `evidence`: the failing requests of a system, masked, for its vendor.

use super::{Exit, fail, wrong};
use crate::{
    connectors::evidence::{Failure, live},
    daemon::{cli::Evidence, load},
    words::SystemId,
};

pub fn evidence(args: &Evidence) -> Exit {
    let loaded = match load::load(&args.folder.config, &[]) {
        Ok(loaded) => loaded,
        Err(problems) => return wrong(&problems),
    };
    let system = SystemId::from(args.connector.as_str());
    if loaded.live.connectors.file(&system).is_none() {
        let known: Vec<&str> = loaded.live.connectors.iter().map(|s| s.id.as_str()).collect();
        return fail(&format!("there is no connector {system}; there are: {}", known.join(", ")));
    }
    let failures = match live::read(&loaded.settings.watch_folder(), &system) {
        Ok(failures) => failures,
        Err(error) => return fail(&format!("cannot read what is kept of {system}: {error}")),
    };
    if failures.is_empty() && !args.json {
        println!("no failing request of {system} is kept");
    }
    for failure in &failures {
        match args.json {
            true => println!("{}", serde_json::to_string(failure).unwrap_or_default()),
            false => print(failure),
        }
    }
    Exit::Good
}

fn print(failure: &Failure) {
    let Failure { at, operation, step, method, path, query, took_ms, .. } = failure;
    println!("{at}  {operation}, step \"{step}\", {took_ms} ms");
    let names = if query.is_empty() { String::new() } else { format!("  (parameters: {})", query.join(", ")) };
    println!("  asked     {method} {path}{names}");
    match failure.status {
        Some(status) => println!("  answered  {status}"),
        None => println!("  answered  nothing"),
    }
    for (name, value) in &failure.headers {
        println!("            {name}: {value}");
    }
    if let Some(body) = &failure.body {
        println!("            {body}");
    }
    let reason = failure.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    println!("  judged    {}{reason}\n", failure.outcome);
}
