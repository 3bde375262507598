//! `flows`: what is under way and what waits for people. It reads the store's file beside a running daemon; what is said here is a row of the store, which
//! the daemon hears within a second.

use serde_json::{Value, json};

use super::{Exit, data::with, fail};
use crate::{
    daemon::cli::{FlowTask, FlowTaskOf, Flows, StoreFile},
    flows::{Said, View, list, word::Settled},
    store::FlowFilter,
};

pub fn flows(verb: Flows) -> Exit {
    match verb {
        Flows::List { store, all, person, limit } => with(&store, |reader| {
            let rows = reader.flows(&FlowFilter { all, person, limit, ..FlowFilter::default() })?;
            for row in &rows {
                match store.json {
                    true => println!("{}", list::shown(&list::view(reader, row)?, store.full)),
                    false => println!("{}", line(&list::view(reader, row)?)),
                }
            }
            if rows.is_empty() && !store.json {
                println!("no flow is under way");
            }
            Ok(())
        }),
        Flows::Show { flow, store } => with(&store, |reader| {
            let view = list::view(reader, &list::one(reader, &flow)?)?;
            let value = list::shown(&view, store.full);
            match store.json {
                true => println!("{value}"),
                false => println!("{}", serde_json::to_string_pretty(&value).unwrap_or_default()),
            }
            Ok(())
        }),
        Flows::Stop { flow, why, store } => say(&store, &flow, "cli", Said::Stop { why: Some(why.into()) }),
        Flows::Task(FlowTask::Take(of)) => say(&of.store, &of.flow, &of.who, Said::Take { task: of.task }),
        Flows::Task(FlowTask::Done(of)) => settle(of, Settled::Done),
        Flows::Task(FlowTask::NotDone(of)) => settle(of, Settled::NotDone),
        Flows::Task(FlowTask::Again(of)) => settle(of, Settled::Again),
    }
}

fn settle(of: FlowTaskOf, how: Settled) -> Exit {
    let result = match of.result.as_deref().map(serde_json::from_str::<Value>).transpose() {
        Ok(result) => result.map(Into::into),
        Err(error) => return fail(&format!("--result is no JSON: {error}")),
    };
    let said = Said::Settle { task: of.task, how, note: of.note.map(Into::into), result };
    say(&of.store, &of.flow, &of.who, said)
}

fn say(store: &StoreFile, flow: &str, who: &str, said: Said) -> Exit {
    with(store, |reader| {
        let row = list::one(reader, flow)?;
        let id = format!("cli-{:032x}", rand::random::<u128>());
        list::say(reader, &row, who, said, id, crate::live::now().wall)?;
        println!("{}: said; a running daemon hears it within a second", row.id);
        Ok(())
    })
}

fn line(view: &View) -> String {
    let open = view.tasks.iter().filter(|task| task.settled.is_none()).map(|task| {
        let taken = task.taken.as_ref().map_or(String::new(), |who| format!(", taken by {who}"));
        format!(
            "\n    task {}: {} {} at {} ({}){taken}",
            task.task,
            json!(task.kind).as_str().unwrap_or_default(),
            task.operation,
            task.system,
            task.reason
        )
    });
    format!(
        "{}  {:<8} {:<20} {}  by {}  {}{}",
        view.flow,
        view.state,
        view.name,
        view.at,
        view.agent.as_ref().map_or("-", |agent| agent.as_str()),
        view.reason.as_deref().unwrap_or(""),
        open.collect::<String>()
    )
}
