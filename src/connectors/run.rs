//! One operation from its inputs to its outcome, still: [`Run::next`] gives the requests to send (or the end),
//! [`Run::answers`] takes what came. Both a live request and an example of a file go through here.
//!
//! A write that has a lookup asks it first, each time: what was written by an earlier try whose answer was lost is found
//! and given as the outcome, and nothing is written twice.

use std::{collections::BTreeMap, sync::Arc};

use minijinja::value::Value;
use serde_json::{Map, Value as Json};

use crate::{
    private::{Private, Secret},
    words::Wall,
};

use super::{
    Idempotency, Outcome, Saw,
    answer::{self, Answer},
    assertion::Assertion,
    body::Body,
    charset::Charsets,
    csv::{Rows, Which},
    evidence::{self, Failing},
    file::{Is, Method},
    home, index,
    ldap::Search,
    limits::hints::{Told, retry_after},
    operation::{LOGIN, UPDATE},
    page::{self, Held, Turn},
    session::{For, Session},
    set::{
        At, Auth, Find, Leaf, MailServer, MailStep, Operation, Place, Rule, SessionAuth, Step, System, Tree, Web,
        WebStep, What,
    },
    sign::{EXAMPLE_SECRET, Sign, Stamp},
    smtp::{Mail, Parts},
    sql::Statement,
    trail::{self, Condition, Happened, Not, Reading, Rules, Spelled, Trail, Tried},
    value::{from_json, to_json},
    wire,
    words::{Compiled, national},
};

/// At most so many requests of one `for_each`.
const FAN_OUT: usize = 16;
/// What is kept for an explanation. A system that ignores its filter gives thousands of records; these tell what is wrong.
const SEEN: usize = 32;

/// What to send. It may hold a secret, so it does not print.
pub enum Request {
    Web(WebRequest),
    Sql(Query),
    Csv(Rows),
    Ldap(Search),
    Mail(Box<Letter>),
}

impl Request {
    /// As people call it: the method and the path, or the step.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Web(web) => format!("{} {}", web.method.as_str(), web.path),
            Self::Sql(query) => query.step.clone(),
            Self::Csv(rows) => rows.step.clone(),
            Self::Ldap(search) => search.step.clone(),
            Self::Mail(letter) => letter.step.clone(),
        }
    }
}

/// A mail; or only a login.
pub struct Letter {
    pub step: String,
    pub mail: Option<Mail>,
}

/// A question to a database.
pub struct Query {
    pub step: String,
    pub statement: Statement,
    /// The parameters' values.
    pub with: Map<String, Json>,
}

/// One over HTTP. A secret may stand in a header or in the query.
pub struct WebRequest {
    pub method: Method,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<Vec<u8>>,
    /// The path without the query, and the query before encoding and without a key: for examples.
    pub path: String,
    pub query: Map<String, Json>,
    pub charsets: Charsets,
    /// That of a call by JSON-RPC.
    pub id: u32,
    /// Of one that is shown: the text that is signed.
    pub signed: Option<String>,
}

/// What came back.
pub struct Response {
    /// That of HTTP; 0 where there is none.
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Payload,
}

/// What an answer holds.
pub enum Payload {
    /// To be read as the step's `decode` says.
    Bytes(Vec<u8>),
    /// Read already, by a protocol that has types of its own.
    Value(Json),
}

/// Why nothing usable came back. The texts name the system, never the data.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// Nothing was sent.
    NotSent(String),
    /// It was sent, or may have been.
    NoAnswer(String),
    /// An answer came and cannot be taken: too large, for example.
    Unusable(String),
    /// The protocol itself says how it ended, in words that it defines.
    Told(Outcome),
    /// It was not sent, because of limits.
    Held(Outcome),
}

pub enum Next {
    Send(Vec<Request>),
    /// A session is needed, to be given to [`Run::logged_in`]: any, or one that is newer than the one of this number.
    LogIn {
        what: For,
        over: Option<u64>,
    },
    Done(Outcome),
}

/// What a request is made for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    Send,
    /// Without secrets.
    Show,
}

impl To {
    fn which<'a>(self, secret: &'a Secret, shown: &'a str) -> &'a str {
        match self {
            Self::Send => secret.expose(),
            Self::Show => shown,
        }
    }
}

/// A session that this run needs.
#[derive(Default)]
struct Need<'a> {
    /// How it is come by, where it is needed.
    auth: Option<&'a SessionAuth>,
    session: Option<Arc<Session>>,
    /// The one that expired under this run. There is one new one for each run, or two systems could keep each other busy.
    over: Option<u64>,
}

pub struct Run<'a> {
    system: &'a System,
    op: &'a Operation,
    context: BTreeMap<String, Value>,
    /// The lookup before a write, while it lasts.
    look: Option<Box<Run<'a>>>,
    step: usize,
    /// Items of the step that is under way; one `None` for a plain step.
    items: Vec<Option<Value>>,
    /// The id of each request, for calls whose answers repeat it.
    ids: Vec<u32>,
    /// Those of them whose session had expired, or of whom nothing came: to be asked once more.
    again: Option<Vec<Option<Value>>>,
    sign_in: Need<'a>,
    /// What only requests that change something need.
    csrf: Need<'a>,
    /// Which of the two the answer that was judged last says is over, if it says so.
    lapsed: For,
    signs: &'a [Sign],
    /// What a login signs.
    assertions: &'a [(&'static str, Assertion)],
    /// Status, headers and body of the last answer, for `output`.
    last: Vec<(&'static str, Value)>,
    records: Vec<Value>,
    /// The number that was asked for, for the strict comparison.
    asked: Option<crate::numbers::Number>,
    /// The page that was asked for by name; without it the first is taken and the answer is the plain list.
    turn: Option<Turn>,
    /// The address of the last request, for a next page that is relative to it.
    address: String,
    /// A step that may write was answered well: from here on "nothing was done" would be a lie.
    wrote: bool,
    done: Option<Outcome>,
    /// What an explanation needs; at most [`SEEN`].
    seen: Vec<Saw>,
    /// What the last answers said of limits, by their place.
    told: Vec<(usize, Told)>,
    /// Those of the last requests that failed, by their place.
    failed: Vec<(usize, Failing)>,
    /// Who wants to know everything, if somebody does.
    trail: Option<Trail>,
    /// What stands for secrets in a request that is shown; a login's alone has any.
    masks: Vec<(&'static str, Value)>,
}

impl<'a> Run<'a> {
    /// # Errors
    /// [`Outcome::Invalid`]: the operation is not offered, or an input is missing.
    pub fn new(system: &'a System, operation: &str, inputs: &Map<String, Json>) -> Result<Self, Outcome> {
        let invalid = |reason: String| Outcome::Invalid { reason };
        let Some(op) = system.operation(operation) else {
            return Err(invalid(format!("{} does not offer {operation}", system.id)));
        };
        let mut context = system.context.clone();
        context.extend(op.inputs.iter().cloned());
        context.extend(op.spec.optional.iter().map(|name| ((*name).to_owned(), Value::from(()))));
        for name in op.spec.required {
            match inputs.get(*name) {
                None | Some(Json::Null) => return Err(invalid(format!("{operation} was not told the {name}"))),
                Some(_) => {}
            }
        }
        for (name, value) in inputs {
            if op.spec.required.contains(&name.as_str())
                || context.contains_key(name) && !system.context.contains_key(name)
            {
                context.insert(name.clone(), from_json(value));
            }
        }
        if let Some(Json::Object(fields)) = inputs.get("fields").filter(|_| operation == UPDATE)
            && let Some(name) = fields.keys().find(|name| !op.writable.contains(name))
        {
            return Err(invalid(format!("{} does not let \"{name}\" be changed from here", system.id)));
        }
        let mut turn = None;
        if let Some(page) = &op.page {
            turn = inputs.get("page").and_then(Turn::from_json);
            let shown = turn.clone().unwrap_or_else(|| Turn::first(&page.plan));
            context.insert("page".to_owned(), from_json(&shown.to_json()));
        }
        let mut asked = None;
        if op.spec.name == "customer.by_phone" {
            let text = inputs.get("number").and_then(Json::as_str).unwrap_or_default();
            let number = system.numbers.read(text);
            let Some(key) = number.key() else {
                return Err(invalid("there is no number to look for".to_owned()));
            };
            let national = national(&system.numbers, text);
            context.insert(
                "number".to_owned(),
                Value::from_pairs([
                    ("raw", Value::from(text)),
                    ("e164", number.e164.as_ref().map_or(Value::from(()), |e| Value::from(e.expose().as_str()))),
                    ("national", Value::from(national)),
                    ("digits", Value::from(key.chars().filter(char::is_ascii_digit).collect::<String>())),
                    ("class", Value::from(format!("{:?}", number.class).to_lowercase())),
                ]),
            );
            asked = Some(number);
        }
        let look = match &op.idempotency {
            Idempotency::Lookup(find) => Some(Box::new(Run::new(system, find, inputs)?)),
            _ => None,
        };
        let csrf = Need { auth: system.csrf.as_deref(), ..Need::default() };
        Ok(Self { look, asked, turn, csrf, ..Self::begin(system, op, context, true) })
    }

    /// The request that gives what requests that change something need; it is made as whoever makes those.
    pub fn csrf(system: &'a System, csrf: &'a SessionAuth) -> Self {
        Self::begin(system, &csrf.login, system.context.clone(), true)
    }

    /// The login itself: the one request that needs no session and sees the secrets.
    /// `told`: what else its request sees.
    pub fn login(system: &'a System, auth: &'a SessionAuth, told: &[(&'static str, Secret)]) -> Self {
        let mut context = system.context.clone();
        context.extend(told.iter().map(|(name, secret)| ((*name).to_owned(), Value::from(secret.expose()))));
        let secrets = auth.secrets.iter().map(|(name, secret)| (name.as_str(), Value::from(secret.expose())));
        context.insert("secret".to_owned(), Value::from_pairs(secrets));
        let (signs, assertions) = (auth.sign.as_slice(), &auth.assertions[..]);
        let names = auth.secrets.keys().map(|name| (name.as_str(), Value::from(EXAMPLE_SECRET)));
        let mut masks = vec![("secret", Value::from_pairs(names))];
        let others = told.iter().map(|(name, _)| *name).chain(assertions.iter().map(|(name, _)| *name));
        masks.extend(others.map(|name| (name, Value::from(EXAMPLE_SECRET))));
        Self { signs, assertions, masks, ..Self::begin(system, &auth.login, context, false) }
    }

    fn begin(system: &'a System, op: &'a Operation, context: BTreeMap<String, Value>, signed_in: bool) -> Self {
        let auth = match &system.auth {
            Auth::Session(auth) if signed_in => Some(&**auth),
            _ => None,
        };
        Self {
            system,
            op,
            context,
            look: None,
            step: 0,
            items: Vec::new(),
            ids: Vec::new(),
            again: None,
            sign_in: Need { auth, ..Need::default() },
            csrf: Need::default(),
            lapsed: For::All,
            signs: &system.signs,
            assertions: &[],
            last: Vec::new(),
            records: Vec::new(),
            asked: None,
            turn: None,
            address: String::new(),
            wrote: false,
            done: None,
            seen: Vec::new(),
            told: Vec::new(),
            failed: Vec::new(),
            trail: None,
            masks: Vec::new(),
        }
    }

    /// Tells everything that happens from now on.
    #[must_use]
    pub fn telling(mut self, trail: Option<&Trail>) -> Self {
        let Some(trail) = trail else { return self };
        if let (Some(number), None) = (&self.asked, &self.trail) {
            let given = number.raw.as_ref().map(|raw| raw.expose().clone()).unwrap_or_default();
            trail.tell(Happened::Number { given, reads: Reading::from(number) });
        }
        if let Some(look) = self.look.take() {
            trail.tell(Happened::LooksBefore { with: look.op.spec.name.to_owned() });
            self.look = Some(Box::new(look.telling(Some(trail))));
        }
        self.trail = Some(trail.clone());
        self
    }

    fn tell(&self, happened: impl FnOnce() -> Happened) {
        if let Some(trail) = &self.trail {
            trail.tell(happened());
        }
    }

    /// An expression of the file, told if it does not fit.
    fn eval(&self, what: &str, expression: &Compiled, context: &Value) -> Result<Value, String> {
        expression.eval(context).inspect_err(|why| self.misfits(what, why, Some((expression, context))))
    }

    fn misfits(&self, what: &str, why: &str, expression: Option<(&Compiled, &Value)>) {
        self.tell(|| Happened::Misfit {
            what: what.to_owned(),
            why: why.to_owned(),
            expression: expression.map(|(expression, context)| self.condition(expression, context)),
        });
    }

    /// What a login sees lets somebody in, and is shown as evidence is.
    fn condition(&self, expression: &Compiled, context: &Value) -> Condition {
        Condition::of(expression, context, self.op.spec.name == LOGIN.name)
    }

    /// Whether the requests of [`Self::next`] may change something over there.
    pub fn changes(&self) -> bool {
        match &self.look {
            Some(look) => look.changes(),
            None => self.op.spec.writes && self.op.steps.get(self.step).is_some_and(Step::changes),
        }
    }

    /// The last answer, as expressions see it.
    pub fn last_answer(&self) -> Value {
        self.with(&self.last)
    }

    /// The session that [`Next::LogIn`] asked for, or why there is none.
    pub fn logged_in(&mut self, what: For, session: Result<Arc<Session>, Outcome>) {
        if let Some(look) = &mut self.look {
            return look.logged_in(what, session);
        }
        match session {
            Ok(session) => self.need(what).session = Some(session),
            Err(outcome) => self.end(outcome),
        }
    }

    fn need(&mut self, what: For) -> &mut Need<'a> {
        match what {
            For::All => &mut self.sign_in,
            For::Changes => &mut self.csrf,
        }
    }

    /// What was seen so far; the lookup before a write comes first.
    pub fn seen(&mut self) -> Vec<Saw> {
        let mut seen = self.look.as_mut().map(|look| look.seen()).unwrap_or_default();
        seen.append(&mut self.seen);
        seen
    }

    /// What the last answers said of the system's limits, each with its request's place.
    pub fn told(&mut self) -> Vec<(usize, Told)> {
        match &mut self.look {
            Some(look) => look.told(),
            None => std::mem::take(&mut self.told),
        }
    }

    /// Those of the last requests that failed, each with its place.
    pub fn failed(&mut self) -> Vec<(usize, Failing)> {
        match &mut self.look {
            Some(look) => look.failed(),
            None => std::mem::take(&mut self.failed),
        }
    }

    fn failing(&self, step: &Step, response: Option<&Response>, id: u32, outcome: &Outcome) -> Failing {
        let (method, path, query) = match &step.what {
            What::Web(web) => {
                let query = web.query.iter().map(|(name, _)| name.clone()).collect();
                (web.method.as_str().to_owned(), web.path.source(&self.system.env), query)
            }
            _ => Default::default(),
        };
        let (mut body, mut bytes) = (None, 0);
        if let (Some(Payload::Bytes(text)), What::Web(web)) = (response.map(|r| &r.body), &step.what) {
            let kind =
                response.and_then(|r| r.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type")));
            let kind = kind.map(|(_, value)| value.as_str());
            body = answer::read(&web.decode, text, kind, web.charsets, id).ok().map(|answer| answer.body);
            bytes = text.len();
        }
        Failing {
            step: step.name.clone(),
            method,
            path,
            query,
            status: response.map(|r| r.status),
            headers: response.map(|r| evidence::headers(&r.headers)).unwrap_or_default(),
            body,
            bytes,
            outcome: outcome.clone(),
        }
    }

    /// It ended because the system was busy or had enough, and nothing was done.
    pub fn may_go_on(&self) -> bool {
        match &self.look {
            Some(look) => look.may_go_on(),
            None => {
                self.again.is_some() && matches!(self.done, Some(Outcome::Busy { .. } | Outcome::RateLimited { .. }))
            }
        }
    }

    /// Then: with those requests of which that was said.
    pub fn goes_on(&mut self) {
        if let Some(look) = &mut self.look {
            return look.goes_on();
        }
        if self.may_go_on() {
            self.done = None;
        }
    }

    /// Whether something was written.
    pub fn wrote(&self) -> bool {
        self.wrote
    }

    fn saw(&mut self, saw: Saw) {
        if self.seen.len() < SEEN {
            self.seen.push(saw);
        }
    }

    /// What to send now, all at once; or the end.
    pub fn next(&mut self) -> Next {
        if let Some(look) = &mut self.look {
            match look.next() {
                Next::Done(Outcome::Empty | Outcome::NotFound) => {
                    self.seen = look.seen();
                    self.look = None;
                    self.tell(|| Happened::LookedBefore { found: false });
                }
                next => {
                    if matches!(next, Next::Done(Outcome::Ok(_))) {
                        self.tell(|| Happened::LookedBefore { found: true });
                    }
                    return next;
                }
            }
        }
        let op = self.op;
        loop {
            if let Some(outcome) = &self.done {
                return Next::Done(outcome.clone());
            }
            let Some(step) = op.steps.get(self.step) else {
                let outcome = self.finish(op).unwrap_or_else(|outcome| outcome);
                self.done = Some(outcome);
                continue;
            };
            for (what, need) in [(For::All, &self.sign_in), (For::Changes, &self.csrf)] {
                if need.auth.is_some() && need.session.is_none() && (what == For::All || step.changes()) {
                    return Next::LogIn { what, over: need.over };
                }
            }
            match self.requests(step) {
                Ok(requests) if requests.is_empty() => self.step += 1,
                Ok(requests) => return Next::Send(requests),
                Err(reason) => {
                    let reason = format!("cannot make the request \"{}\": {reason}", step.name);
                    self.end(Outcome::Invalid { reason });
                }
            }
        }
    }

    /// What came, in the order of the requests.
    pub fn answers(&mut self, answers: Vec<Result<Response, Trouble>>) {
        if let Some(look) = &mut self.look {
            return look.answers(answers);
        }
        let op = self.op;
        let Some(step) = op.steps.get(self.step) else { return };
        let items = std::mem::take(&mut self.items).into_iter().zip(std::mem::take(&mut self.ids));
        let (mut again, mut over) = (Vec::new(), Vec::new());
        let mut late = Vec::new();
        let mut put_off = None;
        for (at, ((item, id), answer)) in items.zip(answers).enumerate() {
            let status = answer.as_ref().ok().map(|response| response.status);
            self.saw(Saw::Answered { step: step.name.clone(), status });
            self.lapsed = For::All;
            self.tell_answer(at, step, &answer, id);
            let outcome = match answer {
                Ok(response) => {
                    let (outcome, told) = self.judge(op, step, at, (item.clone(), id), &response);
                    self.told.push((at, told));
                    if let Some(bad) = outcome.as_ref().filter(|outcome| outcome.reason().is_some()) {
                        self.failed.push((at, self.failing(step, Some(&response), id, bad)));
                    }
                    outcome
                }
                Err(Trouble::Held(outcome)) => Some(outcome),
                Err(trouble) => {
                    let outcome = self.trouble(op, step, trouble);
                    self.failed.push((at, self.failing(step, None, id, &outcome)));
                    Some(outcome)
                }
            };
            let what = self.lapsed;
            let need = self.need(what);
            let renews = need.session.is_some() && need.over.is_none();
            match outcome {
                // It was refused for its session and nothing was done: with a new one it may be asked again, once.
                Some(Outcome::AuthExpired { .. }) if renews => {
                    again.push(item);
                    over.push(what);
                }
                // Nothing was done either. What the others said is heard first, for they may have done something.
                Some(outcome @ (Outcome::Busy { .. } | Outcome::RateLimited { .. })) => {
                    late.push(item);
                    put_off.get_or_insert(outcome);
                }
                Some(outcome) => return self.end(outcome),
                None => {}
            }
        }
        for what in over {
            let need = self.need(what);
            need.over = need.session.take().map(|session| session.number).or(need.over);
        }
        again.append(&mut late);
        if again.is_empty() {
            self.step += 1;
        } else {
            self.again = Some(again);
        }
        if let Some(outcome) = put_off {
            self.end(outcome);
        }
    }

    fn end(&mut self, outcome: Outcome) {
        self.done = Some(match outcome {
            Outcome::Busy { reason } if self.wrote => Outcome::Unknown { reason },
            Outcome::RateLimited { .. } if self.wrote => {
                Outcome::Unknown { reason: format!("{} had enough between two steps of a write", self.system.id) }
            }
            outcome => outcome,
        });
    }

    fn trouble(&self, op: &Operation, step: &Step, trouble: Trouble) -> Outcome {
        let may_have_written = op.spec.writes && step.changes();
        match trouble {
            Trouble::Told(outcome) => outcome,
            Trouble::NoAnswer(reason) | Trouble::Unusable(reason) if may_have_written => Outcome::Unknown { reason },
            Trouble::NotSent(reason) | Trouble::NoAnswer(reason) => Outcome::Busy { reason },
            Trouble::Held(outcome) => outcome,
            Trouble::Unusable(reason) => Outcome::Broken { reason },
        }
    }

    /// Scheme, host and perhaps a path: the file's, or what the session brought.
    fn base<'b>(&'b self, at: &'b Web) -> &'b str {
        self.sign_in.session.as_ref().and_then(|session| session.base.as_deref()).unwrap_or(&at.base_url)
    }

    fn with(&self, more: &[(&'static str, Value)]) -> Value {
        let all = self.context.iter().map(|(k, v)| (k.as_str(), v.clone()));
        Value::from_pairs(all.chain(more.iter().map(|(k, v)| (*k, v.clone()))))
    }

    /// The step's requests; none if its `when` is false.
    fn requests(&mut self, step: &Step) -> Result<Vec<Request>, String> {
        if let Some(again) = self.again.take() {
            self.items = again;
            return self.made(step);
        }
        let context = self.with(&[]);
        if let Some(when) = &step.when
            && !self.eval("when", when, &context)?.is_true()
        {
            self.tell(|| Happened::Skipped { step: step.name.clone(), when: self.condition(when, &context) });
            return Ok(Vec::new());
        }
        self.items = match &step.for_each {
            None => vec![None],
            Some(list) => {
                let list = self.eval("for_each", list, &context)?;
                let items: Vec<_> =
                    list.try_iter().map_err(|_| "for_each gives no list")?.map(Some).take(FAN_OUT + 1).collect();
                if items.len() > FAN_OUT {
                    return Err(format!("for_each gives more than {FAN_OUT} items"));
                }
                items
            }
        };
        self.made(step)
    }

    fn made(&mut self, step: &Step) -> Result<Vec<Request>, String> {
        let items = self.items.iter().map(|item| ((self.system.stamp)(), item.as_ref()));
        let items: Vec<_> = items.collect();
        let made = items.iter().map(|(stamp, item)| self.request(step, *item, *stamp, To::Send));
        let made = made.collect::<Result<Vec<_>, _>>().inspect_err(|why| self.misfits(&step.name, why, None))?;
        if let Some(trail) = &self.trail {
            let shown = items.iter().filter_map(|(stamp, item)| {
                let (request, _) = self.request(step, *item, *stamp, To::Show).ok()?;
                Some((item.and_then(|item| to_json(item).ok().flatten()), trail::Asked::of(&request)))
            });
            trail.asked(&step.name, shown);
        }
        let (made, addresses): (Vec<_>, Vec<_>) = made.into_iter().unzip();
        self.ids = made.iter().map(|request| if let Request::Web(web) = request { web.id } else { 0 }).collect();
        self.address = addresses.into_iter().next_back().unwrap_or_default();
        Ok(made)
    }

    /// The request, and its address without a key in it.
    fn request(&self, step: &Step, item: Option<&Value>, stamp: Stamp, to: To) -> Result<(Request, String), String> {
        let mut each = stamp.values();
        match to {
            To::Send => {
                for (nth, (name, assertion)) in (0..).zip(self.assertions) {
                    each.push((name, assertion.made(stamp, nth)?.into()));
                }
            }
            To::Show => each.extend(self.masks.iter().cloned()),
        }
        each.extend(item.map(|item| ("item", item.clone())));
        match (&step.what, &self.system.at) {
            (What::Web(web), At::Web(at)) => {
                let (request, address) = self.web(web, at, &each, stamp.id(), to)?;
                Ok((Request::Web(request), address))
            }
            (What::Sql { statement, with }, _) => {
                let with = trees(with, &self.system.env, &self.with(&each))?;
                Ok((Request::Sql(Query { step: step.name.clone(), statement: statement.clone(), with }), String::new()))
            }
            (What::Csv(find), _) => {
                let (env, context) = (&self.system.env, self.with(&each));
                let which = match find {
                    Find::Where(columns) => Which::Where(trees(columns, env, &context)?),
                    Find::From(range) => {
                        let number = |leaf: &Leaf| {
                            let text = leaf.text(env, &context)?;
                            text.trim().parse::<u64>().map_err(|_| "\"rows:\" gives no number".to_owned())
                        };
                        Which::From(number(&range.0)?, number(&range.1)?)
                    }
                };
                Ok((Request::Csv(Rows { step: step.name.clone(), which }), String::new()))
            }
            (What::Ldap(ldap), _) => {
                let (env, context) = (&self.system.env, self.with(&each));
                let (base, filter) = (ldap.base.text(env, &context)?, ldap.filter.text(env, &context)?);
                let page = self.op.page.as_ref().map(|page| {
                    let turn = self.turn.clone().unwrap_or_else(|| Turn::first(&page.plan));
                    (turn.size, turn.cursor.as_str().map(str::to_owned))
                });
                let (step, attributes) = (step.name.clone(), ldap.attributes.clone());
                let search = Search { step, base, scope: ldap.scope, filter, attributes, page };
                Ok((Request::Ldap(search), String::new()))
            }
            (What::Mail(mail), At::Smtp(server)) => {
                let mail = mail.as_ref().map(|mail| self.mail(step, mail, server, &each)).transpose()?;
                Ok((Request::Mail(Box::new(Letter { step: step.name.clone(), mail })), String::new()))
            }
            _ => Err("the system is of another kind".to_owned()),
        }
    }

    fn mail(
        &self,
        step: &Step,
        mail: &MailStep,
        server: &MailServer,
        each: &[(&'static str, Value)],
    ) -> Result<Mail, String> {
        let (env, context) = (&self.system.env, self.with(each));
        let text = |leaf: &Option<Leaf>| leaf.as_ref().map_or(Ok(String::new()), |leaf| leaf.text(env, &context));
        let addresses = |tree: &Tree| -> Result<Vec<String>, String> {
            match tree.json(env, &context)? {
                None | Some(Json::Null) => Ok(Vec::new()),
                Some(Json::String(text)) => Ok(vec![text]),
                Some(Json::Array(list)) => Ok(list.iter().map(wire::plain).collect()),
                Some(_) => Err("the recipients are neither a text nor a list".to_owned()),
            }
        };
        let from = text(&mail.from)?;
        let parts = Parts {
            from: if from.trim().is_empty() { server.from.clone() } else { from },
            reply_to: text(&mail.reply_to)?,
            to: addresses(&mail.to)?,
            cc: mail.cc.as_ref().map_or(Ok(Vec::new()), addresses)?,
            subject: mail.subject.text(env, &context)?,
            text: mail.text.text(env, &context)?,
            html: text(&mail.html)?,
        };
        let key = self.context.get("key").map(Value::to_string).unwrap_or_default();
        Mail::new(&step.name, &key, u64::try_from((self.system.stamp)().ms).unwrap_or_default(), server.most, parts)
    }

    fn web(
        &self,
        step: &WebStep,
        at: &Web,
        each: &[(&'static str, Value)],
        id: u32,
        to: To,
    ) -> Result<(WebRequest, String), String> {
        let env = &self.system.env;
        let context = self.with(each);
        let mut path = step.path.text(env, &context)?;
        if !path.starts_with('/') || path.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("the path is no path".to_owned());
        }
        let mut query = trees(&step.query, env, &context)?;
        if step.base.is_none() {
            query.extend(self.system.query.iter().map(|(name, value)| (name.clone(), value.as_str().into())));
        }
        let mut headers = Vec::new();
        for (name, leaf) in self.system.headers.iter().chain(&step.headers) {
            let value = header_value(leaf, env, &context).map_err(|why| format!("{name}: {why}"))?;
            headers.push((name.clone(), value));
        }
        let csrf = if step.method == Method::Get { None } else { Some(&self.csrf) };
        let needs = [Some(&self.sign_in), csrf];
        let sessions = needs.into_iter().flatten().filter_map(|need| need.auth.zip(need.session.clone()));
        let sessions = sessions.map(|(auth, session)| match to {
            To::Send => (auth, session),
            To::Show => (auth, Arc::new(Session::example(auth))),
        });
        let sessions: Vec<_> = sessions.collect();
        let base = step.base.as_deref().unwrap_or_else(|| self.base(at));
        let mut url = match &self.system.auth {
            Auth::Path { value, shown } => {
                format!("{base}{}{}", to.which(value, shown), if path == "/" { "" } else { &path })
            }
            _ => format!("{base}{path}"),
        };
        if let Some(next) = self.turn.as_ref().and_then(|turn| turn.url.as_deref()) {
            // The system itself said where the next page lies; it was held against our host when it was read.
            url = next.to_owned();
            path = next.strip_prefix(self.base(at)).unwrap_or(next).to_owned();
            query.clear();
        }
        let signed = std::cell::RefCell::new(None::<String>);
        // What is signed, with the body once that is made.
        let signature = |sign: &Sign, form: &Json, body: Option<&[u8]>| -> Result<String, String> {
            let mut seen = each.to_vec();
            seen.extend(sign.sees(step.method, &url, &query, form, body));
            if to == To::Show {
                let texts = signed.take().into_iter().chain(sign.shown(seen, |seen| self.with(seen)));
                let texts: Vec<_> = texts.collect();
                signed.replace((!texts.is_empty()).then(|| texts.join("\n")));
                return Ok(format!("{}(signature)", sign.prefix));
            }
            sign.over(&self.with(&seen))
        };
        let mut form = Json::Null;
        if let Some(body) = &step.body {
            form = body.form(env, &context)?;
            for (auth, session) in &sessions {
                session.body(auth, &mut form)?;
            }
            if let Auth::Key { place, value, shown } = &self.system.auth {
                place.in_body(to.which(value, shown), &mut form).map_err(|why| format!("the key: {why}"))?;
            }
        }
        let (in_body, beside): (Vec<_>, Vec<_>) =
            self.signs.iter().partition(|sign| matches!(sign.place, Place::Body(_)));
        for sign in in_body {
            let value = signature(sign, &form, None)?;
            sign.place.in_body(&value, &mut form).map_err(|why| format!("the signature: {why}"))?;
        }
        let written = match &step.body {
            Some(body) => body.write(&form, env, &context, step.charsets, id)?,
            None => None,
        };
        let mut body = None;
        if let Some(written) = written {
            let more = [Some(("Content-Type".to_owned(), written.content_type)), written.header];
            for (name, value) in more.into_iter().flatten() {
                if !headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name)) {
                    headers.push((name, value));
                }
            }
            body = Some(written.bytes);
        }
        let mut key = Map::new();
        for sign in beside {
            let value = signature(sign, &form, body.as_deref())?;
            match &sign.place {
                Place::Header(name) => headers.push((name.clone(), value)),
                Place::Query(name) => drop(key.insert(name.clone(), value.into())),
                Place::Body(_) => {}
            }
        }
        // What the system itself gave as the next page's address holds all of them.
        if let (Some(Body::Query(_)), Json::Object(fields)) = (&step.body, form)
            && self.turn.as_ref().is_none_or(|turn| turn.url.is_none())
        {
            query.extend(fields);
        }
        let mut pairs = |pairs: &Map<String, Json>| -> Result<String, String> {
            if !pairs.is_empty() {
                url.push(if url.contains('?') { '&' } else { '?' });
                url.push_str(&wire::pairs(pairs, step.charsets)?);
            }
            Ok(url.clone())
        };
        let address = pairs(&query)?;
        match &self.system.auth {
            Auth::None | Auth::Path { .. } => {}
            Auth::Key { place: Place::Header(name), value, shown } => {
                headers.push((name.clone(), to.which(value, shown).to_owned()));
            }
            Auth::Key { place: Place::Query(name), value, shown } => {
                key.insert(name.clone(), to.which(value, shown).into());
            }
            Auth::Key { place: Place::Body(_), .. } => {}
            Auth::Session(_) => {}
        }
        // A token endpoint of somebody else's gets none of them.
        if step.base.is_none() {
            for (name, value) in &self.system.secret_headers {
                headers.push((name.clone(), to.which(value, EXAMPLE_SECRET).to_owned()));
            }
        }
        for (auth, session) in &sessions {
            session.header(auth, &mut headers);
            session.query(auth, &mut key);
        }
        let url = pairs(&key)?;
        let charsets = step.charsets;
        let (method, signed) = (step.method, signed.into_inner());
        Ok((WebRequest { method, url, headers, body, path, query, charsets, id, signed }, address))
    }

    /// What came, for who tries a file out. A login's answer holds what lets somebody in: its shape is enough.
    fn tell_answer(&self, at: usize, step: &Step, answer: &Result<Response, Trouble>, id: u32) {
        let Some(trail) = &self.trail else { return };
        let login = self.op.spec.name == LOGIN.name;
        let response = match answer {
            Ok(response) => response,
            Err(Trouble::NotSent(why) | Trouble::NoAnswer(why) | Trouble::Unusable(why)) => {
                return trail.answered(at, trail::Answer::None { why: why.clone() });
            }
            Err(Trouble::Told(outcome) | Trouble::Held(outcome)) => {
                let why = outcome.reason().unwrap_or_default();
                return trail.answered(at, trail::Answer::None { why: format!("{}: {why}", outcome.word()) });
            }
        };
        let (mut status, mut bytes, mut text, mut unread) = (None, 0, None, None);
        let body = match (&response.body, &step.what) {
            (Payload::Value(value), _) => Some(value.clone()),
            (Payload::Bytes(came), What::Web(web)) => {
                let kind = response.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
                let kind = kind.map(|(_, value)| value.as_str());
                (status, bytes) = (Some(response.status), came.len());
                match answer::read(&web.decode, came, kind, web.charsets, id) {
                    Ok(answer) => Some(answer.body),
                    Err(why) => {
                        unread = Some(why);
                        text = (!login).then(|| web.charsets.decode(came, kind, false).into_owned());
                        None
                    }
                }
            }
            (Payload::Bytes(_), _) => None,
        };
        let (headers, body) = match login {
            true => {
                let body = body.filter(|body| !body.is_null());
                (evidence::headers(&response.headers).into_iter().collect(), body.map(|body| evidence::login(&body)))
            }
            false => (trail::headers(&response.headers), body),
        };
        trail.answered(at, trail::Answer::Came { status, headers, bytes, body, text, unread });
    }

    /// `None`: go on. And what was said of limits.
    fn judge(
        &mut self,
        op: &Operation,
        step: &Step,
        at: usize,
        sent: (Option<Value>, u32),
        response: &Response,
    ) -> (Option<Outcome>, Told) {
        let mut told = Told::default();
        let outcome = self.judged(op, step, at, sent, response, &mut told);
        if let (Some(outcome), Some(trail)) = (&outcome, &self.trail) {
            let (request, reason) = (trail.number(at), outcome.reason().map(str::to_owned));
            trail.tell(Happened::Judged { request, outcome: outcome.word(), reason });
        }
        if let Some(Outcome::RateLimited { wait_ms }) = &outcome {
            told.refused = true;
            told.wait_ms = *wait_ms;
        }
        (outcome, told)
    }

    fn judged(
        &mut self,
        op: &Operation,
        step: &Step,
        at: usize,
        (item, id): (Option<Value>, u32),
        response: &Response,
        told: &mut Told,
    ) -> Option<Outcome> {
        let headers: BTreeMap<String, &str> =
            response.headers.iter().map(|(k, v)| (k.to_ascii_lowercase(), v.as_str())).collect();
        let decoded = match (&response.body, &step.what) {
            (Payload::Value(value), _) => Ok(Answer { body: value.clone(), fault: false }),
            (Payload::Bytes(bytes), What::Web(web)) => {
                answer::read(&web.decode, bytes, headers.get("content-type").copied(), web.charsets, id)
            }
            (Payload::Bytes(_), _) => Err("the answer has no type".to_owned()),
        };
        let mut seen = Vec::new();
        if matches!(step.what, What::Web(_)) {
            let headers = headers.iter().map(|(k, v)| (k.as_str(), Value::from(*v)));
            seen = vec![("status", Value::from(response.status)), ("headers", Value::from_pairs(headers))];
        }
        if let Ok(answer) = &decoded {
            seen.push(("body", from_json(&answer.body)));
        }
        seen.extend(item.map(|item| ("item", item)));
        let context = self.with(&seen);
        let expired = self.sign_in.auth.map_or(&[][..], |auth| &auth.expired);
        let csrf = self.csrf.auth.filter(|_| step.changes()).map_or(&[][..], |auth| &auth.expired);
        let lists = [(Rules::Refused, csrf), (Rules::Expired, expired), (Rules::Outcome, &step.outcome[..])];
        let rules = lists.iter().flat_map(|(list, rules)| (1..).zip(*rules).map(|(n, rule)| (*list, n, rule)));
        let good = match &decoded {
            Ok(answer) if answer.fault => Err("the answer says itself that it is a fault"),
            Ok(_) => Ok(()),
            Err(why) => Err(why.as_str()),
        };
        let found = rules.clone().find(|(.., rule)| misses(rule, response.status, &context, good).is_none());
        if let Some(trail) = &self.trail {
            let count = rules.clone().count();
            let tried = rules.map(|(list, number, rule)| Tried {
                rule: list,
                number,
                is: rule.is.as_str(),
                status: rule.status.clone(),
                when: rule.when.as_ref().map(|when| self.condition(when, &context)),
                not: misses(rule, response.status, &context, good),
            });
            let mut all = Vec::new();
            for tried in tried {
                let holds = tried.not.is_none();
                all.push(tried);
                if holds {
                    break;
                }
            }
            let untried = count - all.len();
            trail.tell(Happened::Tried { request: trail.number(at), rules: all, untried });
        }
        let found = found.map(|(list, _, rule)| (if list == Rules::Refused { For::Changes } else { For::All }, rule));
        let wall = Wall((self.system.stamp)().ms);
        *told = self.system.limits.hints.read(&headers, &context, wall);
        let reset = told.reset_ms.filter(|_| told.remaining == Some(0));
        let wait = told.wait_ms.or_else(|| retry_after(&headers, wall)).or(reset);
        self.lapsed = found.map_or(For::All, |(what, _)| what);
        let Some((_, rule)) = found else {
            let unread = match decoded {
                Ok(answer) => answer.fault.then(|| "it is a fault".to_owned()),
                Err(why) => Some(why),
            };
            return Some(self.by_status(op, step, response.status, wait, unread));
        };
        let reason = || {
            rule.reason.clone().unwrap_or_else(|| {
                format!("{} answered \"{}\" with status {}", self.system.id, step.name, response.status)
            })
        };
        let outcome = match rule.is {
            Is::Ok => {
                self.wrote |= op.spec.writes && step.changes();
                self.last = seen;
                return self.take(step, &context).err();
            }
            // One of several questions found nothing: the others may.
            Is::Empty if op.fields.is_some() => return None,
            Is::Empty => Outcome::Empty,
            Is::NotFound => Outcome::NotFound,
            Is::Denied => Outcome::Denied { reason: reason() },
            Is::AuthExpired => Outcome::AuthExpired { reason: reason() },
            Is::Ambiguous => Outcome::Ambiguous { count: 2, reason: reason() },
            Is::Invalid => Outcome::Invalid { reason: reason() },
            Is::Conflict => Outcome::Conflict { reason: reason() },
            Is::RateLimited => {
                told.blocked = rule.blocked_ms.is_some();
                let by_rule =
                    rule.wait_ms.as_ref().and_then(|w| w.eval(&context).ok()).and_then(|v| u64::try_from(v).ok());
                Outcome::RateLimited { wait_ms: rule.blocked_ms.or(by_rule).or(wait) }
            }
            Is::Busy => Outcome::Busy { reason: reason() },
            Is::Broken => Outcome::Broken { reason: reason() },
            Is::Unknown => Outcome::Unknown { reason: reason() },
        };
        Some(outcome)
    }

    /// No rule fits: plain refusals by their status, and everything else is broken.
    fn by_status(
        &self,
        op: &Operation,
        step: &Step,
        status: u16,
        wait: Option<u64>,
        unread: Option<String>,
    ) -> Outcome {
        let system = &self.system.id;
        if !matches!(step.what, What::Web(_)) {
            return Outcome::Broken {
                reason: format!("{system} answered \"{}\", and no rule of the file fits", step.name),
            };
        }
        let reason = format!("{system} answered \"{}\" with status {status}", step.name);
        let may_have_written = op.spec.writes && step.changes();
        match status {
            401 => Outcome::AuthExpired { reason },
            403 => Outcome::Denied { reason },
            404 | 410 => Outcome::NotFound,
            409 | 412 => Outcome::Conflict { reason },
            400 | 413 | 414 | 415 | 422 => Outcome::Invalid { reason },
            429 => Outcome::RateLimited { wait_ms: wait },
            503 if wait.is_some() => Outcome::RateLimited { wait_ms: wait },
            503 => Outcome::Busy { reason },
            408 | 502 | 504 if may_have_written => Outcome::Unknown { reason },
            408 | 502 | 504 => Outcome::Busy { reason },
            300..400 => Outcome::Broken { reason: format!("{reason}: redirects are not followed") },
            _ => match unread {
                Some(why) => Outcome::Broken { reason: format!("{reason}: {why}") },
                None => Outcome::Broken { reason: format!("{reason}, and no rule of the file fits") },
            },
        }
    }

    /// Saves and records of a good answer.
    fn take(&mut self, step: &Step, context: &Value) -> Result<(), Outcome> {
        let broken = |what: &str, why: String| self.misfit(&format!("\"{what}\" of \"{}\"", step.name), &why);
        let mut saved = Vec::new();
        for (name, expression) in &step.save {
            let value = self.eval(name, expression, context).map_err(|why| broken(name, why))?;
            if value.is_undefined() {
                self.misfits(name, "it is not there", Some((expression, context)));
                return Err(broken(name, "it is not there".to_owned()));
            }
            self.tell(|| Happened::Saved {
                name: name.clone(),
                value: to_json(&value).ok().flatten().unwrap_or_default(),
            });
            saved.push((name.clone(), value));
        }
        let mut records = Vec::new();
        if let Some(expression) = &step.records {
            let list = self.eval("records", expression, context).map_err(|why| broken("records", why))?;
            if !list.is_none() {
                records.extend(list.try_iter().map_err(|_| {
                    self.misfits("records", "it is no list", Some((expression, context)));
                    broken("records", "it is no list".to_owned())
                })?);
            }
            self.tell(|| Happened::Records { step: step.name.clone(), count: records.len() });
        }
        self.context.extend(saved);
        self.records.extend(records);
        Ok(())
    }

    /// The answer is not what the file says. Once something was written, that it was must not be forgotten.
    fn misfit(&self, what: &str, why: &str) -> Outcome {
        Outcome::Broken { reason: format!("{}'s answer does not fit its file: {what}: {why}", self.system.id) }
    }

    fn finish(&mut self, op: &Operation) -> Result<Outcome, Outcome> {
        if let Some(output) = &op.output {
            let context = self.with(&self.last);
            return Ok(Outcome::Ok(Json::Object(self.mapped(output, &context)?)));
        }
        let Some(fields) = &op.fields else { return Ok(Outcome::Empty) };
        if self.turn.is_some() {
            return self.page(op, fields);
        }
        if self.records.len() > op.cap {
            let (count, cap) = (self.records.len(), op.cap);
            let system = &self.system.id;
            return Err(Outcome::Broken {
                reason: format!(
                    "{system} gave {count} records where at most {cap} are likely: its filter is not obeyed"
                ),
            });
        }
        let mut kept: Vec<Map<String, Json>> = Vec::new();
        for (number, record) in (1..).zip(std::mem::take(&mut self.records)) {
            let context = self.with(&[("record", record)]);
            if let Some(keep) = &op.keep
                && !self.eval("keep", keep, &context).map_err(|why| self.misfit("\"keep\"", &why))?.is_true()
            {
                const WHY: &str = "\"keep\" of its file leaves it out";
                self.saw(Saw::Refused { id: None, why: WHY.to_owned() });
                self.tell(|| self.told_of(op, number, Err((WHY, Some(self.condition(keep, &context)))), Map::new()));
                continue;
            }
            let mut mapped = self.mapped(fields, &context)?;
            let id = mapped.get("id").map(|id| Private::new(wire::plain(id)));
            if let Some(asked) = &self.asked {
                // A field may hold several.
                let same = |name: &str| {
                    let spelled = index::spellings(mapped.get(name));
                    spelled.iter().any(|text| self.system.numbers.read(text).same_line(asked))
                };
                let Some((_, why)) = op.phones.iter().find(|(name, _)| same(name)) else {
                    const WHY: &str = "none of its numbers is the one that was asked for";
                    self.saw(Saw::Refused { id, why: WHY.to_owned() });
                    self.tell(|| self.told_of(op, number, Err((WHY, None)), mapped));
                    continue;
                };
                mapped.entry("reason").or_insert_with(|| why.clone().into());
            }
            let known = mapped.get("id").is_some_and(|id| kept.iter().any(|k| k.get("id") == Some(id)));
            if known {
                self.tell(|| self.told_of(op, number, Err(("a record of this id was taken already", None)), mapped));
            } else {
                let why = mapped.get("reason").and_then(Json::as_str).map(str::to_owned);
                self.tell(|| self.told_of(op, number, Ok(why.as_deref()), mapped.clone()));
                self.saw(Saw::Matched { id, why });
                kept.push(mapped);
            }
        }
        match (kept.len(), op.one) {
            (0, _) => Ok(Outcome::Empty),
            (1, true) => Ok(Outcome::Ok(Json::Object(kept.remove(0)))),
            (count, true) => {
                let reason = format!("{} has {count} where one was expected", self.system.id);
                Ok(Outcome::Ambiguous { count, reason })
            }
            (_, false) => Ok(Outcome::Ok(Json::Array(kept.into_iter().map(Json::Object).collect()))),
        }
    }

    /// One record, for who tries a file out: taken, or why not.
    fn told_of(
        &self,
        op: &Operation,
        record: usize,
        verdict: Result<Option<&str>, (&str, Option<Condition>)>,
        fields: Map<String, Json>,
    ) -> Happened {
        let phones = op.phones.iter().filter(|_| self.asked.is_some());
        let numbers = phones.flat_map(|(name, _)| {
            let spelled = index::spellings(fields.get(name)).into_iter();
            spelled.map(|text| {
                let reads = Reading::from(&self.system.numbers.read(&text));
                Spelled { field: name.clone(), text: text.clone(), reads }
            })
        });
        let numbers = numbers.collect();
        let (taken, why, keep) = match verdict {
            Ok(why) => (true, why.map(str::to_owned), None),
            Err((why, keep)) => (false, Some(why.to_owned()), keep),
        };
        Happened::Record { record, id: fields.get("id").map(wire::plain), taken, why, keep, numbers, fields }
    }

    /// One page of a walk. A page without records is `empty`, so that who we are is asked before it is believed.
    fn page(&self, op: &Operation, fields: &[(String, super::words::Compiled)]) -> Result<Outcome, Outcome> {
        let Some(page) = op.page.as_ref().filter(|_| !self.records.is_empty()) else { return Ok(Outcome::Empty) };
        let mut seen = Held::default();
        for record in &self.records {
            let context = self.with(&[("record", record.clone())]);
            let kept = match &op.keep {
                Some(keep) => keep.eval(&context).map_err(|why| self.misfit("\"keep\"", &why))?.is_true(),
                None => true,
            };
            let mapped = self.mapped(fields, &context)?;
            let id = mapped.get("id").map(wire::plain).unwrap_or_default();
            if id.is_empty() {
                return Err(self.misfit("\"id\"", "a record has none"));
            }
            seen.ids.push(id);
            seen.records.push(kept.then_some(mapped));
        }
        let context = self.with(&self.last);
        if let Some(total) = &page.total {
            let total = total.eval(&context).map_err(|why| self.misfit("\"total\"", &why))?;
            // `26.0` is what some languages make of a count.
            seen.total = total.to_string().split('.').next().and_then(|t| t.parse().ok());
        }
        seen.next = match &page.next {
            page::Next::Counted => Json::Null,
            page::Next::Cursor(next) | page::Next::Url(next) => {
                let next = next.eval(&context).map_err(|why| self.misfit("the next page", &why))?;
                if next.is_true() { to_json(&next).ok().flatten().unwrap_or_default() } else { Json::Null }
            }
            page::Next::Link => {
                let headers = self.last.iter().find(|(name, _)| *name == "headers").map(|(_, headers)| headers);
                let link = headers.and_then(|h| h.get_attr("link").ok());
                link.as_ref().and_then(Value::as_str).and_then(page::link_next).map_or(Json::Null, Json::from)
            }
        };
        if let (page::Next::Url(_) | page::Next::Link, Json::String(next)) = (&page.next, &seen.next) {
            let At::Web(web) = &self.system.at else { return Err(self.misfit("the next page", "it has no address")) };
            let whole =
                page::resolve(self.base(web), &self.address, next).map_err(|why| self.misfit("the next page", &why))?;
            seen.next = Json::String(whole);
        }
        self.tell(|| Happened::Page {
            asked: self.turn.as_ref().map_or(Json::Null, Turn::to_json),
            records: seen.ids.len(),
            total: seen.total,
            next: seen.next.clone(),
        });
        Ok(Outcome::Ok(seen.into_json()))
    }

    fn leads_home(&self, url: &str) -> bool {
        home::host(url).is_some_and(|host| self.system.pages.contains(&host))
    }

    fn mapped(
        &self,
        fields: &[(String, super::words::Compiled)],
        context: &Value,
    ) -> Result<Map<String, Json>, Outcome> {
        let mut map = Map::new();
        for (name, expression) in fields {
            let value = expression.eval(context).and_then(|value| to_json(&value));
            let value = value.map_err(|why| {
                self.misfits(name, &why, Some((expression, context)));
                self.misfit(&format!("\"{name}\""), &why)
            });
            if let Some(value) = value? {
                // A page is opened by a click: where to, the file says and not what somebody wrote into a record.
                let foreign = name == "url" && value.as_str().is_some_and(|url| !self.leads_home(url));
                map.insert(name.clone(), if foreign { Json::Null } else { value });
            }
        }
        Ok(map)
    }
}

/// Why a rule does not hold; `good` is why it may be no success.
fn misses(rule: &Rule, status: u16, context: &Value, good: Result<(), &str>) -> Option<Not> {
    if rule.status.as_ref().is_some_and(|s| !s.contains(&status)) {
        return Some(Not::Status(status));
    }
    match rule.when.as_ref().map(|when| when.eval(context)) {
        Some(Ok(value)) if !value.is_true() => return Some(Not::When),
        Some(Err(why)) => return Some(Not::Unclear(why)),
        _ => {}
    }
    match good {
        // What cannot be read, or is a fault, is no success, whatever its status.
        Err(why) if matches!(rule.is, Is::Ok | Is::Empty) => Some(Not::Unread(why.to_owned())),
        _ => None,
    }
}

/// What is not omitted.
fn trees(
    trees: &[(String, Tree)],
    env: &minijinja::Environment<'static>,
    context: &Value,
) -> Result<Map<String, Json>, String> {
    let mut map = Map::new();
    for (name, tree) in trees {
        if let Some(value) = tree.json(env, context).map_err(|why| format!("{name}: {why}"))? {
            map.insert(name.clone(), value);
        }
    }
    Ok(map)
}

fn header_value(leaf: &Leaf, env: &minijinja::Environment<'static>, context: &Value) -> Result<String, String> {
    let text = leaf.text(env, context)?;
    if text.chars().any(char::is_control) { Err("a header would hold a line end".to_owned()) } else { Ok(text) }
}
