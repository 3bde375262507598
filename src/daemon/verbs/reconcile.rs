//! `reconcile`: what the sides tell differently, and what is to be done about each.

use std::sync::Arc;

use super::{Exit, data::open, fail, wrong};
use crate::{
    connectors::Connectors,
    daemon::{
        cli::Reconcile,
        load,
        reconcile::{Report, Sides},
    },
    live::now,
    reconcile::compare::Kind,
    store::{AuditRow, DifferenceRow, StoreError},
    words::refusal::{Refusal, code},
};

pub fn reconcile(verb: Reconcile) -> Exit {
    match verb {
        Reconcile::Run { folder, day, hours, no_systems, json } => match load::load(&folder.config, &[]) {
            Err(problems) => wrong(&problems),
            Ok(loaded) => run(loaded, day.as_deref(), hours, no_systems, json),
        },
        Reconcile::List { folder, all, json } => open(&folder, |reader| {
            let rows = reader.differences(None, all, usize::MAX)?;
            for row in &rows {
                print(row, json);
            }
            if rows.is_empty() && !json {
                println!("nothing differs");
            }
            Ok(())
        }),
        Reconcile::Repair { id, folder } => open(&folder, |reader| {
            let row = reader.difference(&id)?;
            let key = row.effect.as_deref().unwrap_or_default();
            let audit = audit(&row, "reconcile.repair", None);
            let state = match Kind::from_word(&row.kind) {
                Some(Kind::Missing) => {
                    reader.again(key, "cli", now().wall)?;
                    "mended"
                }
                Some(Kind::Undelivered) => {
                    reader.retry(key, "cli", now().wall)?;
                    "mended"
                }
                Some(Kind::Unrecorded) => "wanted",
                _ => {
                    let cure = Kind::from_word(&row.kind).map_or("accept it with a reason", Kind::cure);
                    let says = format!("nothing can be repaired here: {cure}");
                    return Err(StoreError::Refused(Refusal::new(code::NOT_NOW, says)));
                }
            };
            reader.settle_difference(&row, state, &audit)?;
            match state {
                "wanted" => println!(
                    "a running daemon writes the call down within seconds; `linecard reconcile list --all` says whether it did"
                ),
                _ => println!("it is in the outbox again: `linecard outbox show {}`", key.get(..12).unwrap_or(key)),
            }
            Ok(())
        }),
        Reconcile::Accept { id, why, folder } => open(&folder, |reader| {
            let row = reader.difference(&id)?;
            reader.settle_difference(&row, "accepted", &audit(&row, "reconcile.accept", Some(why)))
        }),
    }
}

fn run(loaded: load::Loaded, day: Option<&str>, hours: Option<u32>, no_systems: bool, json: bool) -> Exit {
    let settings = loaded.settings.reconcile.clone();
    let at = now().wall;
    let time = match hours {
        Some(hours) => Some((at.plus_ms(-i64::from(hours) * 3_600_000), at)),
        None => settings.day(day, at),
    };
    let Some(time) = time else { return fail("a day is YYYY-MM-DD, for example 2026-11-25") };
    let sides = Arc::new(Sides {
        store: loaded.settings.store.clone(),
        switches: loaded.switches.clone(),
        book: loaded.book_settings(false),
    });
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    let tokens = loaded.settings.tokens_folder();
    let done = runtime.block_on(async {
        let systems = (!no_systems).then(|| Connectors::keeping(loaded.live.connectors, tokens));
        sides.compare(time, systems.as_ref(), &settings).await
    });
    match done {
        Ok(report) if json => {
            println!("{}", serde_json::to_string(&report).unwrap_or_default());
            Exit::Good
        }
        Ok(report) => {
            told(&report);
            Exit::Good
        }
        Err(error) => fail(&error.to_string()),
    }
}

fn told(report: &Report) {
    println!("{} to {}: {} calls of ours", report.from, report.to, report.calls);
    for (switch, read) in &report.switches {
        match read {
            Ok(calls) => println!("switch {switch}: {calls} calls in its own records"),
            Err(why) => println!("switch {switch}: not compared, {why}"),
        }
    }
    if report.switches.is_empty() {
        println!("no switch keeps records that are read here (`records:` in its file)");
    }
    println!("business systems: {} things that were delivered were looked for", report.asked);
    for (what, n) in &report.unknown {
        println!("  {n} x {what}");
    }
    for row in &report.found {
        print(row, false);
    }
    println!("{} difference{}", report.found.len(), if report.found.len() == 1 { "" } else { "s" });
}

fn print(row: &DifferenceRow, json: bool) {
    if json {
        println!("{}", serde_json::to_string(row).unwrap_or_default());
        return;
    }
    let state = if row.state.is_empty() || row.state == "open" { String::new() } else { format!(" ({})", row.state) };
    let call = row.call.map(|call| format!("  call {call}")).unwrap_or_default();
    println!("{}  {}  {:<11}{state}{call}  {}", row.id, row.at, row.kind, row.what);
    if state.is_empty()
        && let Some(kind) = Kind::from_word(&row.kind)
    {
        println!("{:<16}  {}", "", kind.cure());
    }
}

fn audit(row: &DifferenceRow, what: &str, reason: Option<String>) -> AuditRow {
    AuditRow {
        tenant: row.tenant.clone(),
        at: now().wall,
        who: "cli".to_owned(),
        what: what.to_owned(),
        about: row.call.map_or_else(|| row.id.clone(), |call| call.to_string()),
        reason: Some(reason.map_or_else(|| row.id.clone(), |why| format!("{}: {why}", row.id))),
    }
}
