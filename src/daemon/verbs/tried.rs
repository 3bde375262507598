//! `connector try`: one live operation, and everything that happened in it.

use std::{fmt::Write as _, path::Path, sync::Arc, time::Duration, time::Instant};

use serde_json::{Map, Value, json};

use super::{Exit, connector, fail, wrong};
use crate::{
    connectors::{
        Ask, Connectors, Outcome, Priority, Set, System, operation,
        page::{Held, Walk},
        trail::{Answer, Asked, Condition, Happened, Need, Not, Reading, Rules, Spelled, Trail, Tried},
    },
    daemon::{cli::Try, load},
    words::{SystemId, TenantId},
};

/// A person waits; a file's own deadline is shorter.
const PATIENCE: Duration = Duration::from_secs(30);
/// Of a body, and of records, without `--full`.
const LINES: usize = 40;
const LINE: usize = 400;
const RECORDS: usize = 5;

pub fn tried(args: &Try) -> Exit {
    let (connectors, system) = match found(args) {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    let inputs = match inputs(args) {
        Ok(inputs) => inputs,
        Err(why) => return fail(&why),
    };
    if system.operation(&args.operation).is_none() {
        let offers: Vec<&str> = connector::offers(&system).map(|o| o.spec.name).collect();
        let (id, operation) = (&system.id, &args.operation);
        return fail(&format!("{id} does not offer {operation}; it offers: {}", offers.join(", ")));
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    let trail = Trail::new(args.write);
    let begun = Instant::now();
    let outcome = runtime.block_on(asked(&connectors, &system, args, &inputs, &trail));
    let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let text = match args.json {
        true => as_json(&system, args, &inputs, &trail, &outcome, took_ms),
        false => as_text(&system, args, &inputs, &trail, &outcome, took_ms),
    };
    print!("{}", trail.blotted(&text));
    match outcome {
        Outcome::Ok(_) | Outcome::Empty | Outcome::NotFound => Exit::Good,
        _ => Exit::Failed,
    }
}

/// A file as it stands; else a connector of the settings folder, as the daemon uses it.
fn found(args: &Try) -> Result<(Connectors, Arc<System>), Exit> {
    let file = Path::new(&args.connector);
    let id = SystemId::from(args.connector.as_str());
    let (connectors, set) = if file.exists() || args.connector.contains(['/', '.']) {
        let system = connector::read(file, false)?;
        let set = Set::new(vec![system]);
        (None, set)
    } else {
        let loaded = load::load(&args.folder.config, &[]).map_err(|problems| {
            eprintln!("linecard: there is no file {id}, so it is looked for in {}", args.folder.config.display());
            wrong(&problems)
        })?;
        (Some(loaded.settings.tokens_folder()), loaded.live.connectors)
    };
    let system = match connectors {
        Some(_) => set.system(&id).cloned(),
        None => set.iter().next().cloned(),
    };
    let Some(system) = system else {
        let known: Vec<&str> = set.iter().map(|s| s.id.as_str()).collect();
        let folder = args.folder.config.display();
        return Err(fail(&format!(
            "there is no file {id}, and no connector {id} in {folder}; there are: {}",
            known.join(", ")
        )));
    };
    let connectors = match connectors {
        Some(tokens) => Connectors::keeping(set, tokens),
        None => Connectors::new(set),
    };
    Ok((connectors, system))
}

/// What was given, and for a write the call and the key that the daemon would give.
fn inputs(args: &Try) -> Result<Map<String, Value>, String> {
    let mut given = Map::new();
    for input in &args.inputs {
        let Some((key, value)) = input.split_once('=') else { return Err(format!("\"{input}\" is not key=value")) };
        // A text unless it is JSON of another kind; a number of a phone stays a text.
        let value = match serde_json::from_str::<Value>(value) {
            Ok(json @ (Value::Object(_) | Value::Array(_) | Value::Bool(_))) => json,
            _ => Value::String(value.to_owned()),
        };
        given.insert(key.to_owned(), value);
    }
    let made_up = format!("linecard-try-{}", crate::live::now().wall.0);
    for name in operation::named(&args.operation).into_iter().flat_map(|o| o.required) {
        if ["call", "key"].contains(name) && !given.contains_key(*name) {
            given.insert((*name).to_owned(), made_up.as_str().into());
        }
    }
    Ok(given)
}

async fn asked(
    connectors: &Connectors,
    system: &System,
    args: &Try,
    inputs: &Map<String, Value>,
    trail: &Trail,
) -> Outcome {
    let ask = |inputs: Map<String, Value>| Ask {
        tenant: TenantId::default(),
        system: system.id.clone(),
        operation: args.operation.clone(),
        inputs,
        deadline: PATIENCE,
        priority: Priority::Background,
    };
    let plan = system.operation(&args.operation).and_then(|o| o.pages());
    let (Some(pages), Some(plan)) = (args.pages, plan) else {
        return connectors.try_out(ask(inputs.clone()), trail).await;
    };
    let (mut walk, mut all) = (Walk::new(plan), Vec::new());
    for number in 1..=pages {
        let mut inputs = inputs.clone();
        inputs.insert("page".to_owned(), walk.turn().to_json());
        let page = match connectors.try_out(ask(inputs), trail).await {
            Outcome::Ok(value) => Held::from_json(value).unwrap_or_default(),
            Outcome::Empty | Outcome::NotFound => Held::default(),
            trouble => return trouble,
        };
        let told = match walk.told(&page) {
            Ok(told) => told,
            Err(reason) => return Outcome::Broken { reason },
        };
        trail.tell(Happened::Walked { page: number, records: page.ids.len(), new: told.new.len(), last: told.done });
        let new = told.new.iter().filter_map(|at| page.records.get(*at)?.clone());
        all.extend(new.map(Value::Object));
        if told.done {
            break;
        }
    }
    if all.is_empty() { Outcome::Empty } else { Outcome::Ok(Value::Array(all)) }
}

fn as_json(
    system: &System,
    args: &Try,
    inputs: &Map<String, Value>,
    trail: &Trail,
    outcome: &Outcome,
    took_ms: u64,
) -> String {
    let value = if let Outcome::Ok(value) = outcome { value.clone() } else { Value::Null };
    let whole = json!({
        "system": system.id, "at": system.at.text(), "operation": args.operation, "inputs": inputs, "happened": trail.happened(),
        "outcome": outcome.word(), "reason": outcome.reason(), "value": value, "took_ms": took_ms,
    });
    format!("{whole}\n")
}

fn as_text(
    system: &System,
    args: &Try,
    inputs: &Map<String, Value>,
    trail: &Trail,
    outcome: &Outcome,
    took_ms: u64,
) -> String {
    let mut page = Sheet { text: String::new(), full: args.full, records: 0, got: Vec::new(), holds: true };
    page.line(0, &format!("{} at {}: {}", system.id, system.at.text(), args.operation));
    for (name, value) in inputs {
        page.line(1, &format!("{name} = {value}"));
    }
    for happened in trail.happened() {
        page.happened(&happened);
    }
    let reason = outcome.reason().map_or_else(String::new, |why| format!(": {why}"));
    page.line(0, "");
    page.line(0, &format!("{}{reason} ({took_ms} ms in all)", outcome.word()));
    if let Outcome::Ok(value) = outcome {
        page.block(0, &serde_json::to_string_pretty(value).unwrap_or_default());
    }
    page.text
}

/// What is printed.
struct Sheet {
    text: String,
    full: bool,
    /// Records of this answer that were shown.
    records: usize,
    /// Sessions that were told of.
    got: Vec<Need>,
    /// One of the last answer's rules held.
    holds: bool,
}

impl Sheet {
    fn line(&mut self, depth: usize, text: &str) {
        let _ = writeln!(self.text, "{:width$}{text}", "", width = if text.is_empty() { 0 } else { depth * 4 });
    }

    /// A text of several lines, cut unless all is wanted.
    fn block(&mut self, depth: usize, text: &str) {
        let all: Vec<&str> = text.lines().collect();
        let (lines, width) = if self.full { (usize::MAX, usize::MAX) } else { (LINES, LINE) };
        for line in all.iter().take(lines) {
            match line.char_indices().nth(width) {
                Some((at, _)) => self.line(depth, &format!("{}… (cut: --full)", line.get(..at).unwrap_or_default())),
                None => self.line(depth, line),
            }
        }
        if all.len() > lines {
            self.line(depth, &format!("… and {} lines more: --full", all.len() - lines));
        }
    }

    fn happened(&mut self, happened: &Happened) {
        match happened {
            Happened::Number { given, reads } => self.line(1, &format!("{given} is read as {}", read(reads))),
            // Each request needs it; once it was told, it is known.
            Happened::SessionIsOpen { of } if self.got.contains(of) => {}
            Happened::SessionIsOpen { of } => self.line(0, &format!("\n{}: it is there already", need(*of))),
            Happened::LogsIn { of } => self.line(0, &format!("\n{}: there is none, or it is over", need(*of))),
            Happened::LoggedIn { of, gives, base } => {
                let base = base.as_ref().map_or_else(String::new, |base| format!("; requests go to {base}"));
                self.got.push(*of);
                self.line(0, &format!("{}: got it, as {}{base}", need(*of), gives.join(", ")));
            }
            Happened::NotLoggedIn { of, outcome, reason } => {
                let reason = reason.as_ref().map_or_else(String::new, |why| format!(": {why}"));
                self.line(0, &format!("{}: not given, {outcome}{reason}", need(*of)));
            }
            Happened::ChecksWhoWeAre => {
                self.line(0, "\nbefore that is believed, \"check\" asks the system who we are");
            }
            Happened::LooksBefore { with } => {
                self.line(0, &format!("\nbefore it is written, {with} looks whether it was written already"));
            }
            Happened::LookedBefore { found: true } => self.line(0, "it was: nothing is written"),
            Happened::LookedBefore { found: false } => self.line(0, "it was not"),
            Happened::Skipped { step, when } => {
                self.line(
                    0,
                    &format!("\n{step}: left out, for its \"when\" does not hold: {}{}", when.text, sees(when)),
                );
            }
            Happened::Asked { request, step, item, asked } => {
                let item = item.as_ref().map_or_else(String::new, |item| format!(", item {item}"));
                self.line(0, &format!("\n{request}. {step}{item}"));
                self.asked(asked);
            }
            Happened::NotSent => {
                self.line(1, "not sent: it changes something over there. To send it, say --write");
            }
            Happened::Answered { request, took_ms, waited_ms, answer } => {
                self.records = 0;
                let waited = match waited_ms {
                    0 => String::new(),
                    ms => format!(", after {ms} ms of waiting for our own limits"),
                };
                self.answered(*request, &format!("{took_ms} ms{waited}"), answer);
            }
            Happened::Tried { rules, untried, .. } => self.tried(rules, *untried),
            Happened::Judged { outcome, reason, .. } => {
                let by = if self.holds { "" } else { "no rule holds; by its status it is " };
                let reason = reason.as_ref().map_or_else(String::new, |why| format!(": {why}"));
                self.line(1, &format!("so: {by}{outcome}{reason}"));
            }
            Happened::AsksAgain { pause_ms } => self.line(0, &format!("\nasked again after {pause_ms} ms")),
            Happened::Saved { name, value } => self.block(1, &format!("save {name} = {value}")),
            Happened::Records { step, count } => self.line(1, &format!("records of {step}: {count}")),
            Happened::Record { .. } => self.record(happened),
            Happened::Page { records, total, next, .. } => {
                let total = total.map_or_else(String::new, |total| format!(" of {total}"));
                let next = if next.is_null() { "nothing".to_owned() } else { next.to_string() };
                self.line(1, &format!("page: {records} records{total}; the answer says that next comes {next}"));
            }
            Happened::Walked { page, records, new, last } => {
                let last = if *last { ", and it is the last one" } else { "" };
                self.line(0, &format!("page {page}: {records} records, {new} of them new{last}"));
            }
            Happened::Misfit { what, why, expression } => {
                let expression = expression.as_ref();
                let text = expression.map_or_else(String::new, |e| format!(": {}{}", e.text, sees(e)));
                self.line(1, &format!("does not fit: {what}: {why}{text}"));
            }
        }
    }

    fn asked(&mut self, asked: &Asked) {
        match asked {
            Asked::Web { method, url, headers, body, signed } => {
                self.line(1, &format!("{method} {url}"));
                for (name, value) in headers {
                    self.block(1, &format!("{name}: {value}"));
                }
                if let Some(body) = body {
                    let pretty = serde_json::from_str::<Value>(body).ok().filter(|_| body.len() > LINE / 4);
                    let pretty = pretty.and_then(|json| serde_json::to_string_pretty(&json).ok());
                    self.block(1, pretty.as_deref().unwrap_or(body));
                }
                if let Some(signed) = signed {
                    self.block(1, &format!("signed is: {signed}"));
                }
            }
            Asked::Sql { statement, with } => {
                self.block(1, statement.trim());
                self.pairs(with);
            }
            Asked::Csv { rows } => self.line(1, &format!("rows where {rows}")),
            Asked::Ldap { base, scope, filter, attributes, page } => {
                self.line(1, &format!("search {filter}"));
                let page = page.map_or_else(String::new, |size| format!(", {size} entries a page"));
                self.line(1, &format!("base \"{base}\", scope {scope}{page}; attributes: {}", attributes.join(", ")));
            }
            Asked::Mail { mail: None } => self.line(1, "a login, and no mail"),
            Asked::Mail { mail: Some(mail) } => self.pairs(mail),
        }
    }

    fn pairs(&mut self, pairs: &Map<String, Value>) {
        for (name, value) in pairs {
            match value.as_str().filter(|text| text.contains('\n')) {
                Some(text) => {
                    self.line(1, &format!("{name}:"));
                    self.block(2, text);
                }
                None => self.block(1, &format!("{name} = {value}")),
            }
        }
    }

    fn answered(&mut self, request: usize, took: &str, answer: &Answer) {
        match answer {
            Answer::None { why } => self.line(0, &format!("{request}. no answer after {took}: {why}")),
            Answer::Came { status, headers, bytes, body, text, unread } => {
                let status = status.map_or_else(|| "answered".to_owned(), |s| format!("answered {s}, {bytes} bytes,"));
                self.line(0, &format!("{request}. {status} after {took}"));
                for (name, value) in headers {
                    if self.full || tells(name) {
                        self.line(1, &format!("{name}: {value}"));
                    }
                }
                if let Some(why) = unread {
                    self.line(1, &format!("not read: {why}"));
                }
                match (body, text) {
                    (Some(Value::String(text)), _) | (None, Some(text)) => self.block(1, text),
                    (Some(body), _) => self.block(1, &serde_json::to_string_pretty(body).unwrap_or_default()),
                    (None, None) => {}
                }
            }
        }
    }

    fn tried(&mut self, rules: &[Tried], untried: usize) {
        self.holds = rules.last().is_some_and(|rule| rule.not.is_none());
        for Tried { rule, number, is, status, when, not } in rules {
            let list = match rule {
                Rules::Outcome => "",
                Rules::Expired => "session over, ",
                Rules::Refused => "token refused, ",
            };
            let status = status.as_ref().map(|all| {
                let all: Vec<String> = all.iter().map(u16::to_string).collect();
                format!("status {}", all.join(" or "))
            });
            let wants: Vec<String> = status.into_iter().chain(when.iter().map(|when| when.text.clone())).collect();
            let wants = if wants.is_empty() { "any answer".to_owned() } else { wants.join(", and ") };
            let values = when.as_ref().map(sees).unwrap_or_default();
            let verdict = match not {
                None => "holds".to_owned(),
                Some(Not::Status(status)) => format!("no, the status is {status}"),
                Some(Not::When) => format!("no{values}"),
                Some(Not::Unclear(why)) => format!("no, {why}{values}"),
                Some(Not::Unread(why)) => format!("no, it would be a success, and {why}"),
            };
            self.line(1, &format!("rule {list}{number} ({wants}: {is}): {verdict}"));
        }
        if untried > 0 && self.holds && self.full {
            self.line(1, &format!("{untried} rules behind it were not tried"));
        }
    }

    fn record(&mut self, happened: &Happened) {
        let Happened::Record { record, id, taken, why, keep, numbers, fields } = happened else { return };
        self.records += 1;
        if self.records > RECORDS && !self.full {
            if self.records == RECORDS + 1 {
                self.line(1, "… and more records: --full");
            }
            return;
        }
        let id = id.as_ref().map_or_else(String::new, |id| format!(", id {id}"));
        let verdict = match (taken, why) {
            (true, None) => "taken".to_owned(),
            (true, Some(why)) => format!("taken: {why}"),
            (false, why) => format!("refused: {}", why.as_deref().unwrap_or_default()),
        };
        let keep = keep.as_ref().map_or_else(String::new, |keep| format!(": {}{}", keep.text, sees(keep)));
        self.line(1, &format!("record {record}{id}: {verdict}{keep}"));
        for Spelled { field, text, reads } in numbers {
            self.line(2, &format!("{field} \"{text}\" is read as {}", read(reads)));
        }
        for (name, value) in fields {
            self.block(2, &format!("{name}: {value}"));
        }
    }
}

/// Whether a header of an answer says something about how it was answered.
fn tells(name: &str) -> bool {
    const NAMES: [&str; 6] = ["content-type", "location", "retry-after", "www-authenticate", "deprecation", "sunset"];
    const PARTS: [&str; 6] = ["ratelimit", "rate-limit", "request-id", "error", "warning", "cookie"];
    let name = name.to_ascii_lowercase();
    NAMES.contains(&name.as_str()) || PARTS.iter().any(|part| name.contains(part))
}

fn read(reading: &Reading) -> String {
    let class = serde_json::to_value(reading.class).unwrap_or_default();
    let class = class.as_str().unwrap_or_default();
    match &reading.number {
        Some(number) => format!("{number} ({class})"),
        None => format!("no number of any plan ({class})"),
    }
}

fn need(of: Need) -> &'static str {
    match of {
        Need::SignIn => "the session",
        Need::Csrf => "the token for changes",
    }
}

/// Where the expression looked, and what stood there.
fn sees(condition: &Condition) -> String {
    let sees: Vec<String> = condition.sees.iter().map(|(name, value)| format!("{name} is {value}")).collect();
    if sees.is_empty() { String::new() } else { format!(" ({})", sees.join("; ")) }
}
