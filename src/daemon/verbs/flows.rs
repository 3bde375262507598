//! `flows`: what is under way and what waits for people. It reads the store's file beside a running daemon; what is said here is a row of the store, which
//! the daemon hears within a second.

use serde_json::{Value, json};

use super::{Exit, data::with, fail};
use crate::{
    daemon::cli::{FlowTask, FlowTaskOf, Flows, StoreFile},
    flows::{Run, Said, Settings, View, Word, compile, word::Settled},
    records::list,
    store::{AuditRow, FlowFilter, FlowRow, Reader, StoreError},
};

pub fn flows(verb: Flows) -> Exit {
    match verb {
        Flows::List { store, all, person, limit } => with(&store, |reader| {
            let rows = reader.flows(&FlowFilter { all, person, limit, ..FlowFilter::default() })?;
            for row in &rows {
                match store.json {
                    true => println!("{}", shown(&view(reader, row)?, store.full)),
                    false => println!("{}", line(&view(reader, row)?)),
                }
            }
            if rows.is_empty() && !store.json {
                println!("no flow is under way");
            }
            Ok(())
        }),
        Flows::Show { flow, store } => with(&store, |reader| {
            let view = view(reader, &one(reader, &flow)?)?;
            let value = shown(&view, store.full);
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
        let row = one(reader, flow)?;
        let now = crate::live::now().wall;
        let (mut run, plan) = read(reader, &row)?;
        let word = Word::here(who.to_owned(), Vec::new(), said);
        // What would change nothing is told at once; who hears it decides again by what is true then.
        run.hear(&plan, &word, now).map_err(|why| StoreError::Refused { what: why.to_owned() })?;
        let id = format!("cli-{:032x}", rand::random::<u128>());
        let audit = AuditRow {
            tenant: row.tenant.clone(),
            at: now,
            who: who.to_owned(),
            what: "flow.said".to_owned(),
            about: row.id.clone(),
            reason: None,
        };
        reader.say(word.row(&row.tenant, &row.id, id, now), audit)?;
        println!("{}: said; a running daemon hears it within a second", row.id);
        Ok(())
    })
}

fn one(reader: &Reader, id: &str) -> Result<FlowRow, StoreError> {
    if id.len() < 4 {
        return Err(StoreError::Refused { what: "an id has at least its first four letters".to_owned() });
    }
    let filter = FlowFilter { id: Some(id.to_ascii_uppercase()), all: true, limit: 2, ..FlowFilter::default() };
    let mut rows = reader.flows(&filter)?;
    match (rows.pop(), rows.pop()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(StoreError::Missing { what: format!("flow {id}") }),
        _ => Err(StoreError::Refused { what: format!("several flows begin with {id}; give more of the id") }),
    }
}

fn read(reader: &Reader, row: &FlowRow) -> Result<(Run, compile::Plan), StoreError> {
    let unread = |what: String| StoreError::Row { what: format!("flow {}: {what}", row.id) };
    let text = reader.flow_file(&row.hash)?.ok_or_else(|| unread("its file's text is not there".to_owned()))?;
    let plan = compile::again(&row.flow, &text)
        .map_err(|problems| unread(problems.first().map_or_else(String::new, ToString::to_string)))?;
    // Only looked at, so nothing is made of what is on its way.
    let run = Run::of(row, row.updated_at, &Settings::default()).map_err(unread)?;
    Ok((run, plan))
}

fn view(reader: &Reader, row: &FlowRow) -> Result<View, StoreError> {
    let (run, plan) = read(reader, row)?;
    Ok(View::of(&run, &plan))
}

fn shown(view: &View, full: bool) -> Value {
    let mut value = serde_json::to_value(view).unwrap_or_default();
    if !full {
        for task in value["tasks"].as_array_mut().into_iter().flatten() {
            list::mask_all(&mut task["inputs"]);
        }
        for step in value["steps"].as_array_mut().into_iter().flatten() {
            if let Some(answer) = step.get_mut("answer") {
                list::mask_all(answer);
            }
        }
        if let Some(amount) = value.get_mut("amount") {
            list::mask_all(amount);
        }
    }
    value
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
