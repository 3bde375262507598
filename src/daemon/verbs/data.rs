//! `records` and `outbox`: what was written, what waits. They open the store's file beside a running daemon.

use serde_json::Value;

use super::{Exit, fail, settings_of};
use crate::{
    daemon::cli::{Agents, Audit, Folder, Outbox, Records, StoreFile},
    records::list::{self, EffectLine},
    store::{AuditFilter, EffectFilter, Reader, RecordFilter, SeatRow, State, StoreError},
    words::{CallId, Wall},
};

pub fn records(verb: Records) -> Exit {
    match verb {
        Records::List { store, open: true, .. } => with(&store, |reader| {
            for row in reader.open_calls()? {
                match store.json {
                    true => println!(
                        "{}",
                        serde_json::json!({"call": row.call, "switch": row.switch, "opened_at": row.opened_at})
                    ),
                    false => println!("{}  {}  {}", row.call, row.opened_at, row.switch),
                }
            }
            Ok(())
        }),
        Records::List { store, limit, .. } => with(&store, |reader| {
            let filter = RecordFilter { limit: limit as usize, ..RecordFilter::default() };
            let rows = list::records_list(reader, &filter, store.full)?;
            if !store.json {
                println!(
                    "{:<26} {:<24} {:<9} {:<15} {:>7}  {:<10} agents",
                    "call", "started", "direction", "outcome", "talk", "queue"
                );
            }
            for row in &rows {
                if store.json { println!("{row}") } else { println!("{}", record(row)) }
            }
            Ok(())
        }),
        Records::Show { call, store } => {
            let Ok(call) = call.parse::<CallId>() else {
                return fail("this is no call id: 26 letters and digits, from `linecard records list`");
            };
            with(&store, |reader| {
                let row = list::records_show(reader, call, store.full)?;
                if store.json {
                    println!("{row}");
                    return Ok(());
                }
                println!("{}", serde_json::to_string_pretty(&row).unwrap_or_default());
                let of_call = EffectFilter { call: Some(call), states: State::ALL.to_vec(), ..EffectFilter::default() };
                for effect in list::outbox_list(reader, &of_call)? {
                    println!("{}", line(&effect));
                }
                Ok(())
            })
        }
    }
}

pub fn outbox(verb: Outbox) -> Exit {
    let now = crate::live::now().wall;
    match verb {
        Outbox::List { store, all } => effects(&store, all, ""),
        Outbox::Show { key, store } => effect(&store, &key),
        Outbox::Retry { key, store } => with(&store, |reader| {
            let key = reader.effect(&key)?.key;
            print(&list::outbox_retry(reader, &key, now)?, store.json);
            Ok(())
        }),
        Outbox::Drop { key, why, store } => with(&store, |reader| {
            let key = reader.effect(&key)?.key;
            print(&list::outbox_drop(reader, &key, &why, now)?, store.json);
            Ok(())
        }),
    }
}

/// Effects at systems whose names begin so, oldest first.
pub fn effects(store: &StoreFile, all: bool, system: &str) -> Exit {
    with(store, |reader| {
        let states = if all { State::ALL.to_vec() } else { Vec::new() };
        let mut rows = list::outbox_list(reader, &EffectFilter { states, limit: 100_000, ..EffectFilter::default() })?;
        rows.retain(|row| row.system.as_str().starts_with(system));
        rows.reverse();
        for row in &rows {
            print(row, store.json);
        }
        if rows.is_empty() && !store.json {
            println!("nothing waits");
        }
        Ok(())
    })
}

pub fn effect(store: &StoreFile, key: &str) -> Exit {
    with(store, |reader| {
        let row = list::outbox_show(reader, key, store.full)?;
        if store.json {
            print(&row, true);
        } else {
            println!("{}", serde_json::to_string_pretty(&row).unwrap_or_default());
        }
        Ok(())
    })
}

pub fn agents(verb: &Agents) -> Exit {
    let Agents::Seats { folder, all, json, limit } = verb;
    open(folder, |reader| {
        let rows = if *all { reader.sat(*limit)? } else { reader.seats()? };
        if !json {
            println!("{:<12} {:<20} {:<16} {:<24} {:<24} {:<6} why", "switch", "device", "agent", "from", "to", "how");
        }
        for row in &rows {
            if *json {
                println!("{}", serde_json::to_string(row).unwrap_or_default())
            } else {
                println!("{}", seat(row))
            }
        }
        Ok(())
    })
}

fn seat(row: &SeatRow) -> String {
    let time = |at: Option<Wall>| serde_json::to_value(at).ok().and_then(|v| v.as_str().map(str::to_owned));
    format!(
        "{:<12} {:<20} {:<16} {:<24} {:<24} {:<6} {}",
        row.switch.as_str(),
        row.device,
        row.agent.as_str(),
        time(Some(row.from)).unwrap_or_default(),
        time(row.to).unwrap_or_else(|| "-".to_owned()),
        row.how,
        row.why.as_deref().unwrap_or("-")
    )
}

/// Who did what.
pub fn audit(verb: &Audit) -> Exit {
    let filter = AuditFilter {
        tenant: None,
        who: verb.who.clone(),
        what: verb.what.clone(),
        about: verb.about.clone(),
        limit: verb.limit,
    };
    with(&verb.store, |reader| {
        let rows = reader.audit(&filter)?;
        if !verb.store.json {
            println!("{:<24} {:<16} {:<20} {:<32} result or reason", "at", "who", "what", "about");
        }
        for row in &rows {
            if verb.store.json {
                println!("{}", serde_json::to_string(row).unwrap_or_default());
            } else {
                let at = serde_json::to_value(row.at).ok().and_then(|v| v.as_str().map(str::to_owned));
                let (at, reason) = (at.unwrap_or_default(), row.reason.as_deref().unwrap_or("-"));
                println!("{at:<24} {:<16} {:<20} {:<32} {reason}", row.who, row.what, row.about);
            }
        }
        Ok(())
    })
}

pub(super) fn with(store: &StoreFile, work: impl FnOnce(&Reader) -> Result<(), StoreError>) -> Exit {
    open(&store.folder, work)
}

pub(super) fn open(folder: &Folder, work: impl FnOnce(&Reader) -> Result<(), StoreError>) -> Exit {
    let settings = match settings_of(folder) {
        Ok(settings) => settings,
        Err(exit) => return exit,
    };
    match Reader::open(&settings.store).and_then(|reader| work(&reader)) {
        Ok(()) => Exit::Good,
        Err(error) => fail(&error.to_string()),
    }
}

/// One record on a line for people.
fn record(row: &Value) -> String {
    let text = |key: &str| row[key].as_str().unwrap_or("-").to_owned();
    let agents: Vec<&str> = row["agents"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let talk =
        row["talk_ms"].as_u64().map_or_else(|| "-".to_owned(), |ms| format!("{}:{:02}", ms / 60_000, ms / 1000 % 60));
    format!(
        "{:<26} {:<24} {:<9} {:<15} {talk:>7}  {:<10} {}",
        text("call"),
        text("started_at"),
        text("direction"),
        text("outcome"),
        text("queue"),
        agents.join(",")
    )
}

fn print(row: &EffectLine, json: bool) {
    if json {
        println!("{}", serde_json::to_string(row).unwrap_or_default());
    } else {
        println!("{}", line(row));
    }
}

fn line(row: &EffectLine) -> String {
    format!(
        "{}  {:<9} {:<14} {:<20} call {}  tried {}  due {}  {}",
        row.key.get(..12).unwrap_or(&row.key),
        row.state.as_str(),
        row.system.as_str(),
        row.step,
        row.call,
        row.attempts,
        row.due_at,
        row.reason.as_deref().unwrap_or("")
    )
}
