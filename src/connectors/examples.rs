//! The proofs inside a connector file, run without network: the same planning and judging as for a real request.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value as Json;

use crate::words::Mono;

use super::{
    Outcome, System,
    file::{Example, ExampleExchange, Is},
    run::{Next, Request, Response, Run, Trouble},
    session::{Login, Session, set_cookie},
    set::Auth,
    wire::plain,
};

/// How one example went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExampleResult {
    pub name: String,
    /// `Err`: what differs, with what was expected and what came.
    pub result: Result<(), String>,
}

/// Runs the file's examples in their order. The system is one of [`super::load_offline`], whose secrets are `(secret)`.
#[must_use]
pub fn run(system: &System) -> Vec<ExampleResult> {
    system.examples.iter().map(|e| ExampleResult { name: e.name.clone(), result: play(system, e) }).collect()
}

fn play(system: &System, example: &Example) -> Result<(), String> {
    let inputs = example.inputs.clone().into_iter().collect();
    let mut exchanges = example.exchanges.iter();
    let mut exchange = |request: &Request| {
        let (method, path) = (request.method.as_str(), &request.path);
        let exchange = exchanges.next().ok_or_else(|| format!("one request more than written: {method} {path}"))?;
        same(request, exchange)?;
        Ok::<_, String>(answer(exchange))
    };
    let mut open = match &system.auth {
        Auth::Session(auth) if example.logged_in => Some(Arc::new(Session::example(auth))),
        _ => None,
    };
    let mut logins = 0;
    let outcome = match Run::new(system, &example.operation, &inputs) {
        Err(outcome) => outcome,
        Ok(mut run) => loop {
            match run.next() {
                Next::Done(outcome) => break outcome,
                Next::LogIn { over } => {
                    let good = open.clone().filter(|session| over.is_none_or(|over| session.number > over));
                    let result = match (good, Login::new(system)) {
                        (Some(session), _) => Ok(session),
                        (None, None) => return Err("there is no login".to_owned()),
                        (None, Some(mut login)) => {
                            while let Some(request) = login.next() {
                                login.answer(exchange(&request)?);
                            }
                            logins += 1;
                            login.session(logins, Mono(0)).map(Arc::new)
                        }
                    };
                    open = result.as_ref().ok().cloned();
                    run.logged_in(result);
                }
                Next::Send(requests) => {
                    run.answers(requests.iter().map(&mut exchange).collect::<Result<_, _>>()?);
                }
            }
        },
    };
    let unsent = exchanges.count();
    if word(&outcome) != example.outcome {
        let reason = outcome.reason().unwrap_or_default();
        return Err(format!("the outcome is {} ({reason}), not {:?}", outcome.word(), example.outcome));
    }
    if unsent > 0 {
        return Err(format!("{unsent} of the written requests were not made"));
    }
    match (&outcome, &example.value) {
        (Outcome::Ok(found), Some(wanted)) if found != wanted => Err(format!("the answer is {found}, not {wanted}")),
        (Outcome::Ok(_), None) => Err("an example that is ok must say its \"value:\"".to_owned()),
        _ => Ok(()),
    }
}

fn same(request: &Request, exchange: &ExampleExchange) -> Result<(), String> {
    let wanted = &exchange.request;
    let at = format!("{} {}", request.method.as_str(), request.path);
    if request.method != wanted.method || request.path != wanted.path {
        return Err(format!("the request is {at}, not {} {}", wanted.method.as_str(), wanted.path));
    }
    if let Some(query) = &wanted.query {
        let found: BTreeMap<String, String> = request.query.iter().map(|(k, v)| (k.clone(), plain(v))).collect();
        if &found != query {
            return Err(format!("{at}: the query is {found:?}, not {query:?}"));
        }
    }
    for (name, value) in &wanted.headers {
        let found = request.headers.iter().find(|(k, _)| k.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str());
        if found != Some(value) {
            return Err(format!("{at}: the header {name} is {found:?}, not {value:?}"));
        }
    }
    let body = request.body.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    if let Some(json) = &wanted.json
        && serde_json::from_str::<Json>(&body).ok().as_ref() != Some(json)
    {
        return Err(format!("{at}: the body is {body}, not {json}"));
    }
    match &wanted.text {
        Some(text) if *text != body => Err(format!("{at}: the body is {body}, not {text}")),
        _ => Ok(()),
    }
}

fn answer(exchange: &ExampleExchange) -> Result<Response, Trouble> {
    let given = &exchange.answer;
    let status = given.status.ok_or_else(|| Trouble::NoAnswer("no answer, as the example says".to_owned()))?;
    let body = match (&given.json, &given.text) {
        (Some(json), _) => json.to_string(),
        (None, Some(text)) => text.clone(),
        (None, None) => String::new(),
    };
    let headers = given.headers.iter().map(|(k, v)| (k.clone(), v.clone()));
    let headers = headers.chain(given.cookies.iter().map(|(k, v)| set_cookie(k, v))).collect();
    Ok(Response { status, headers, body: body.into_bytes() })
}

fn word(outcome: &Outcome) -> Is {
    match outcome {
        Outcome::Ok(_) => Is::Ok,
        Outcome::Empty => Is::Empty,
        Outcome::NotFound => Is::NotFound,
        Outcome::Denied { .. } => Is::Denied,
        Outcome::AuthExpired { .. } => Is::AuthExpired,
        Outcome::Ambiguous { .. } => Is::Ambiguous,
        Outcome::Invalid { .. } => Is::Invalid,
        Outcome::Conflict { .. } => Is::Conflict,
        Outcome::RateLimited { .. } => Is::RateLimited,
        Outcome::Busy { .. } => Is::Busy,
        Outcome::Broken { .. } => Is::Broken,
        Outcome::Unknown { .. } => Is::Unknown,
    }
}
