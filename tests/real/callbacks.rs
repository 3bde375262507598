//! A customer who gave up is called back: on the agents' screens, taken by one, dialled from there, and over when they were talked with.

use serde_json::{Value, json};

use crate::{
    Stage,
    hands::PATIENCE,
    site::{Feed, Site},
    wait::until,
};

const NUMBER: &str = "13800138000";
/// As it is shown.
const SHOWN: &str = "+8613800138000";

/// What an agent's page has of this number to call back.
fn owed(site: &mut Site, agent: &str) -> Result<Option<Value>, String> {
    let answer = site.screen(agent)?.ask("callback.list", json!({}))?;
    let list = answer["callbacks"]["list"].as_array().ok_or(format!("callback.list was answered by {answer}"))?;
    Ok(list.iter().find(|entry| entry["display"] == SHOWN).cloned())
}

fn refused(site: &mut Site, agent: &str, kind: &str, body: Value, code: &str) -> Result<(), String> {
    let answer = site.screen(agent)?.ask(kind, body)?;
    if answer["code"] == code { Ok(()) } else { Err(format!("{kind} of {agent} was answered by {answer}")) }
}

/// The figure of a metric of the default tenant.
fn figure(site: &Site, name: &str) -> Option<u64> {
    let (_, text) = site.admin("/metrics").ok()?;
    let begin = format!("{name}{{tenant=\"default\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&begin)?.parse().ok())
}

pub fn called_back(stage: &mut Stage) -> Result<(), String> {
    stage.phones.register(&["1001"])?;
    let silent = stage.phones.phone("1001", "uas_noanswer", 1, &[])?;
    stage.phones.customer(NUMBER, "4008005678", "trunk_call", &[("TALK_MS", "3000")])?.done()?;
    silent.done()?;
    let site = stage.sites.iter_mut().find(|site| site.feed == Feed::Both).ok_or("no such daemon")?;
    let entry = until("the customer in the list", PATIENCE, || owed(site, "1001").transpose())??;
    if entry["why"] != "abandoned" || entry["queue"] != "support" || entry["line"] != "Pre-sales" {
        return Err(format!("the entry does not say what happened: {entry}"));
    }
    let (id, handle) = (entry["callback"].clone(), entry["handle"].clone());
    until("the figures of whom to call back", PATIENCE, || {
        figure(site, "linecard_callbacks_open").filter(|open| *open > 0)?;
        figure(site, "linecard_callbacks_oldest_seconds").filter(|age| *age < 3_600)
    })?;

    let claim = json!({"callback": id});
    let answer = site.screen("1001")?.ask("callback.claim", claim.clone())?;
    if answer["type"] != "done" {
        return Err(format!("callback.claim was answered by {answer}"));
    }
    match owed(site, "1002")? {
        Some(entry) if entry["owner"] == "1001" && entry["callback"] == id => {}
        other => return Err(format!("1002 does not see whose it is: {other:?}")),
    }
    refused(site, "1002", "callback.claim", claim, "callback-claimed")?;
    refused(site, "1002", "dial", json!({"handle": handle}), "not-permitted")?;
    // 1003 is not of the hotline, which calls the customers of this queue back.
    if let Some(entry) = owed(site, "1003")? {
        return Err(format!("1003 sees what another team calls back: {entry}"));
    }
    refused(site, "1003", "callback.claim", json!({"callback": id}), "not-permitted")?;

    let agent = stage.phones.phone("1001", "uas_answer", 1, &[("RING_MS", "500")])?;
    let customer = stage.phones.carrier("uas_answer_bye", &[("RING_MS", "1000"), ("TALK_MS", "2000")])?;
    let dialled = site.screen("1001")?.ask("dial", json!({"handle": handle}))?;
    let call = dialled["call"].as_str().ok_or(format!("dial was answered by {dialled}"))?.to_owned();
    customer.done()?;
    agent.done()?;
    let record = until("the record of the call back", PATIENCE, || {
        site.new_records().ok()?.into_iter().find(|record| record["call"] == call.as_str())
    })?;
    if record["origin"] != "callback" || record["ref"]["id"] != id || record["outcome"] != "answered" {
        return Err(format!("the record does not say what it was: {record}"));
    }
    // Whoever watched saw the customer talked with: it is over, for everybody and by itself.
    for site in &mut stage.sites {
        for agent in ["1001", "1002"] {
            until(&format!("[{}] nothing owed at {agent}", site.feed.name()), PATIENCE, || {
                matches!(owed(site, agent), Ok(None)).then_some(())
            })?;
        }
    }
    Ok(())
}
