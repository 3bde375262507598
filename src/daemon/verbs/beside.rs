//! `connector canary` and `connector compare`: a second file of one system on trial.

use serde_json::json;

use super::{Exit, fail, wrong};
use crate::{
    connectors::{
        System,
        beside::{
            Kind,
            live::{self, Stopped},
        },
    },
    daemon::{
        cli::{Canary, Folder},
        load::{self, Loaded},
    },
    live::now,
    store::{AuditRow, Reader},
    words::TenantId,
};

pub fn canary(verb: Canary) -> Exit {
    match verb {
        Canary::List { folder, json } => match load::load(&folder.config, &[]) {
            Err(problems) => wrong(&problems),
            Ok(loaded) => {
                list(&loaded, json);
                Exit::Good
            }
        },
        Canary::Stop { connector, why, folder } => changed(&folder, &connector, |loaded, system| {
            let stop = Stopped { at: now().wall, reason: why.clone(), hash: system.hash.clone() };
            let done = live::stop_by(&loaded.settings.watch_folder(), &system.id, &stop);
            done.map_err(|error| format!("it cannot be stopped: {error}"))?;
            println!("{} is stopped: new calls are asked by the other file", system.id);
            Ok(("canary.stop", Some(why.clone())))
        }),
        Canary::Resume { connector, folder } => changed(&folder, &connector, |loaded, system| {
            match live::resume(&loaded.settings.watch_folder(), &system.id) {
                Ok(true) => {
                    println!("{} goes on", system.id);
                    Ok(("canary.resume", None))
                }
                Ok(false) => Err(format!("{} is not stopped", system.id)),
                Err(error) => Err(format!("it cannot go on: {error}")),
            }
        }),
    }
}

/// What the audit says of it: the word and the reason.
type Done = (&'static str, Option<String>);

fn changed(folder: &Folder, connector: &str, change: impl Fn(&Loaded, &System) -> Result<Done, String>) -> Exit {
    let loaded = match load::load(&folder.config, &[]) {
        Ok(loaded) => loaded,
        Err(problems) => return wrong(&problems),
    };
    let system = match file(&loaded, connector, Kind::Canary) {
        Ok(system) => system,
        Err(why) => return fail(&why),
    };
    let (what, reason) = match change(&loaded, system) {
        Ok(done) => done,
        Err(why) => return fail(&why),
    };
    let (tenant, at, about) = (TenantId::default(), now().wall, system.id.to_string());
    let audit = AuditRow { tenant, at, who: "cli".to_owned(), what: what.to_owned(), about, reason };
    match Reader::open(&loaded.settings.store).and_then(|reader| reader.note(audit)) {
        Ok(()) => Exit::Good,
        Err(error) => fail(&format!("it is done, and it is not in the audit: {error}")),
    }
}

fn file<'a>(loaded: &'a Loaded, connector: &str, kind: Kind) -> Result<&'a System, String> {
    let of_kind = |system: &&std::sync::Arc<System>| system.beside.as_ref().is_some_and(|beside| beside.kind == kind);
    let all = || loaded.live.connectors.beside().filter(of_kind);
    let found = all().find(|system| system.id.as_str() == connector);
    found.map(|system| &**system).ok_or_else(|| {
        let (known, kind): (Vec<&str>, _) = (all().map(|system| system.id.as_str()).collect(), kind.as_str());
        let known =
            if known.is_empty() { "there is none".to_owned() } else { format!("there are: {}", known.join(", ")) };
        format!("no connector \"{connector}\" is a {kind}; {known}")
    })
}

fn list(loaded: &Loaded, as_json: bool) {
    let folder = loaded.settings.watch_folder();
    for system in loaded.live.connectors.beside() {
        let Some(beside) = system.beside.as_ref().filter(|beside| beside.kind == Kind::Canary) else { continue };
        let stopped = live::stopped(&folder, &system.id).filter(|stopped| stopped.hash == system.hash);
        if as_json {
            println!("{}", json!({"canary": system.id, "of": beside.of, "calls": beside.calls(), "stopped": stopped}));
            continue;
        }
        println!("{:<16} in the place of {} for {}", system.id.as_str(), beside.of, beside.calls());
        if let Some(Stopped { at, reason, .. }) = stopped {
            println!("{:<16} stopped {at}: {reason}", "");
        }
    }
}

pub fn compare(connector: &str, folder: &Folder, as_json: bool) -> Exit {
    let loaded = match load::load(&folder.config, &[]) {
        Ok(loaded) => loaded,
        Err(problems) => return wrong(&problems),
    };
    let system = match file(&loaded, connector, Kind::Shadow) {
        Ok(system) => system,
        Err(why) => return fail(&why),
    };
    let comparison = live::comparison(&loaded.settings.watch_folder(), &system.id);
    let Some(comparison) = comparison.filter(|kept| kept.hash == system.hash) else {
        if !as_json {
            println!("nothing was compared with {connector} yet");
        }
        return Exit::Good;
    };
    if as_json {
        println!("{}", serde_json::to_string(&comparison).unwrap_or_default());
        return Exit::Good;
    }
    for (operation, compared) in &comparison.operations {
        let both = compared.asked.saturating_sub(compared.unanswered);
        println!("{operation}: {} asked, {both} answered by both, {} the same", compared.asked, compared.same);
        let mut differences: Vec<_> = comparison.differences.iter().filter(|d| d.operation == *operation).collect();
        differences.sort_by_key(|difference| std::cmp::Reverse(difference.times));
        for difference in differences {
            println!("  {:>6}  {:<28} {}", difference.times, difference.field, difference.how);
        }
    }
    if comparison.passed_over > 0 {
        println!("{} questions were passed over, because enough were on their way", comparison.passed_over);
    }
    Exit::Good
}
