//! The proofs inside a connector file, run without network: the same planning and judging as for a real request.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value as Json, json};

use crate::{private::Secret, words::Mono};

use super::{
    Outcome, System,
    charset::{self, Charsets},
    csv::Which,
    file::{Example, ExampleExchange, Is},
    oauth2::REFRESH,
    page::{Held, Walk},
    run::{Next, Payload, Request, Response, Run, Trouble, WebRequest},
    session::{For, Login, Session, Step, set_cookie},
    sign::EXAMPLE_SECRET,
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
    let asked = system.examples.iter().map(|e| ExampleResult { name: e.name.clone(), result: play(system, e) });
    let told = super::hook::examples(system).into_iter().map(|(name, result)| ExampleResult { name, result });
    asked.chain(told).collect()
}

fn play(system: &System, example: &Example) -> Result<(), String> {
    let open = [For::All, For::Changes].map(|what| {
        let auth = system.session(what).filter(|_| example.logged_in);
        auth.map(|auth| Arc::new(Session::example(auth)))
    });
    let mut bench = Bench { system, example, exchanges: example.exchanges.iter(), open, logins: 0 };
    let walk = system.operation(&example.operation).and_then(|o| o.page.as_ref()).map(|page| Walk::new(page.plan));
    let mut inputs: Map<String, Json> = example.inputs.clone().into_iter().collect();
    let outcome = match walk {
        None => bench.run(&inputs)?,
        // All pages, as the index and the audit read them; a page that is asked for again has a second exchange.
        Some(mut walk) => {
            let mut all = Vec::new();
            loop {
                inputs.insert("page".to_owned(), walk.turn().to_json());
                let page = match bench.run(&inputs)? {
                    Outcome::Ok(value) => Held::from_json(value).ok_or("the page is no page")?,
                    Outcome::Empty | Outcome::NotFound => Held::default(),
                    trouble if walk.troubled(&trouble).is_err() || bench.exchanges.len() == 0 => break trouble,
                    _ => continue,
                };
                match walk.told(&page) {
                    Err(reason) => break Outcome::Broken { reason },
                    Ok(told) => {
                        all.extend(told.new.iter().filter_map(|at| page.records.get(*at)?.clone()).map(Json::Object));
                        if told.done {
                            break if all.is_empty() { Outcome::Empty } else { Outcome::Ok(Json::Array(all)) };
                        }
                    }
                }
            }
        }
    };
    let unsent = bench.exchanges.count();
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

/// Where an example is played: the answers that are written down, and the session, which lasts from one page to the next.
struct Bench<'a> {
    system: &'a System,
    example: &'a Example,
    exchanges: std::slice::Iter<'a, ExampleExchange>,
    /// The sign-in, and what requests need that change something.
    open: [Option<Arc<Session>>; 2],
    logins: u64,
}

impl Bench<'_> {
    /// One operation to its end.
    fn run(&mut self, inputs: &Map<String, Json>) -> Result<Outcome, String> {
        let mut run = match Run::new(self.system, &self.example.operation, inputs) {
            Err(outcome) => return Ok(outcome),
            Ok(run) => run,
        };
        loop {
            match run.next() {
                Next::Done(outcome) => return Ok(outcome),
                Next::LogIn { what, over } => {
                    let result = self.log_in(what, over)?;
                    run.logged_in(what, result);
                }
                Next::Send(requests) => {
                    run.answers(requests.iter().map(|request| self.exchange(request)).collect::<Result<_, _>>()?);
                }
            }
        }
    }

    /// The session there is, or a new one.
    fn log_in(&mut self, what: For, over: Option<u64>) -> Result<Result<Arc<Session>, Outcome>, String> {
        let good = self.open[what as usize].clone().filter(|session| over.is_none_or(|over| session.number > over));
        if let Some(session) = good {
            return Ok(Ok(session));
        }
        let told = [(REFRESH, Secret::new(EXAMPLE_SECRET.to_owned()))];
        let Some(mut login) = Login::new(self.system, what, &told) else { return Err("there is no login".to_owned()) };
        loop {
            match login.next() {
                Step::Send(request) => login.answer(self.exchange(&request)?),
                Step::SignIn { over } => {
                    // A sign-in needs none before it.
                    let session = self.log_in(For::All, over)?;
                    login.signed_in(session);
                }
                Step::Done => break,
            }
        }
        self.logins += 1;
        let result = login.session(self.logins, Mono(0)).map(Arc::new);
        self.open[what as usize] = result.as_ref().ok().cloned();
        Ok(result)
    }

    fn exchange(&mut self, request: &Request) -> Result<Result<Response, Trouble>, String> {
        let exchange =
            self.exchanges.next().ok_or_else(|| format!("one request more than written: {}", request.name()))?;
        match request {
            Request::Web(request) => {
                same(request, exchange)?;
                answer(exchange, request.charsets)
            }
            Request::Sql(query) => told(&query.step, &query.with, exchange),
            Request::Csv(rows) => {
                let asked = match &rows.which {
                    Which::Where(columns) => columns.clone(),
                    Which::From(from, size) => {
                        json!({"from": from, "size": size}).as_object().cloned().unwrap_or_default()
                    }
                };
                told(&rows.step, &asked, exchange)
            }
            Request::Ldap(search) => {
                let mut asked = Map::new();
                asked.insert("base".to_owned(), search.base.clone().into());
                asked.insert("filter".to_owned(), search.filter.clone().into());
                if let Some((_, Some(cookie))) = &search.page {
                    asked.insert("cookie".to_owned(), cookie.clone().into());
                }
                told(&search.step, &asked, exchange)
            }
            Request::Mail(letter) => {
                let asked = letter.mail.as_ref().map(|mail| mail.shown()).unwrap_or_default();
                told(&letter.step, &asked, exchange)
            }
        }
    }
}

/// What answers a step that has no path, if it asks what is written.
fn told(
    step: &str,
    asked: &Map<String, Json>,
    exchange: &ExampleExchange,
) -> Result<Result<Response, Trouble>, String> {
    same_step(step, asked, exchange)?;
    Ok(match &exchange.answer.json {
        Some(rows) => Ok(Response { status: 0, headers: Vec::new(), body: Payload::Value(rows.clone()) }),
        None => Err(no_answer()),
    })
}

fn same_step(step: &str, with: &Map<String, Json>, exchange: &ExampleExchange) -> Result<(), String> {
    let wanted = &exchange.request;
    if wanted.step.as_deref() != Some(step) {
        let other = wanted.step.as_ref().or(wanted.path.as_ref()).map_or("none", String::as_str);
        return Err(format!("the step is \"{step}\", not \"{other}\""));
    }
    match &wanted.with {
        Some(wanted) if !with.iter().eq(wanted.iter()) => {
            Err(format!("{step}: the parameters are {}, not {}", json!(with), json!(wanted)))
        }
        _ => Ok(()),
    }
}

fn same(request: &WebRequest, exchange: &ExampleExchange) -> Result<(), String> {
    let wanted = &exchange.request;
    let at = format!("{} {}", request.method.as_str(), request.path);
    if request.method != wanted.method || Some(&request.path) != wanted.path.as_ref() {
        let path = wanted.path.as_deref().unwrap_or("a step without a path");
        return Err(format!("the request is {at}, not {} {path}", wanted.method.as_str()));
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
    let body = request.body.as_deref().map(|body| request.charsets.own(body)).unwrap_or_default();
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

/// The answer of an example, in the character set in which it will be read.
fn answer(exchange: &ExampleExchange, charsets: Charsets) -> Result<Result<Response, Trouble>, String> {
    let given = &exchange.answer;
    let Some(status) = given.status else { return Ok(Err(no_answer())) };
    let body = match (&given.json, &given.text) {
        (Some(json), _) => json.to_string(),
        (None, Some(text)) => text.clone(),
        (None, None) => String::new(),
    };
    let content_type = given.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let set = charsets.of_answer(content_type.map(|(_, kind)| kind.as_str()));
    let body = if set.name() == "UTF-8" { body.into_bytes() } else { charset::encode(set, &body)? };
    let headers = given.headers.iter().map(|(k, v)| (k.clone(), v.clone()));
    let headers = headers.chain(given.cookies.iter().map(|(k, v)| set_cookie(k, v))).collect();
    Ok(Ok(Response { status, headers, body: Payload::Bytes(body) }))
}

fn no_answer() -> Trouble {
    Trouble::NoAnswer("no answer, as the example says".to_owned())
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
