//! All systems of one reload: swapped whole or not at all. A [`System`] is one file, compiled.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use minijinja::{Environment, value::Value};

use crate::{numbers, private::Secret, words::SystemId};

use super::{
    Idempotency,
    assertion::Assertion,
    beside::{Beside, Kind},
    body::Body,
    charset::Charsets,
    csv, file,
    hook::Hooks,
    kept::Refresh,
    kinds::MailTls,
    ldap,
    limits::Limits,
    operation::Operation as Spec,
    page::{Page, Plan},
    session::For,
    sign::{Sign, Stamp},
    sign_in::SignIn,
    sql::Statement,
    standing::StandsOn,
    version::Declared,
    words::{Compiled, render},
};

/// The systems of `config/connectors/`.
#[derive(Default)]
pub struct Set {
    systems: BTreeMap<SystemId, Arc<System>>,
    /// Canaries and shadows: nobody asks them by their own names.
    beside: BTreeMap<SystemId, Arc<System>>,
}

impl Set {
    #[must_use]
    pub fn new(systems: Vec<System>) -> Self {
        let systems = systems.into_iter().map(|s| (s.id.clone(), Arc::new(s)));
        let (beside, systems) = systems.partition(|(_, system)| system.beside.is_some());
        Self { systems, beside }
    }
    #[must_use]
    pub fn system(&self, id: &SystemId) -> Option<&Arc<System>> {
        self.systems.get(id)
    }
    pub fn iter(&self) -> impl Iterator<Item = &Arc<System>> {
        self.systems.values()
    }
    /// Canaries and shadows.
    pub fn beside(&self) -> impl Iterator<Item = &Arc<System>> {
        self.beside.values()
    }
    /// Any file by its own id, also one beside another.
    #[must_use]
    pub fn file(&self, id: &SystemId) -> Option<&Arc<System>> {
        self.systems.get(id).or_else(|| self.beside.get(id))
    }

    /// Files beside another that cannot be: which, what was found, what would be right.
    #[must_use]
    pub fn misplaced(&self) -> Vec<(&SystemId, String, String)> {
        let wrong = |system: &Arc<System>| {
            let beside = system.beside.as_ref()?;
            let (of, kind) = (&beside.of, beside.kind);
            let Some(other) = self.systems.get(of) else {
                let known: Vec<&str> = self.systems.keys().map(SystemId::as_str).collect();
                return Some((
                    format!("it is a {} of \"{of}\", which is no connector in use", kind.as_str()),
                    known.join(", "),
                ));
            };
            let missing = other.operations.keys().filter(|name| !system.operations.contains_key(*name));
            let missing: Vec<&str> = missing.copied().collect();
            (kind == Kind::Canary && !missing.is_empty()).then(|| {
                let found = format!(
                    "a canary does all that \"{of}\" does, and this file does not offer {}",
                    missing.join(", ")
                );
                (found, "those operations, or \"shadow:\" for a first look".to_owned())
            })
        };
        self.beside
            .values()
            .filter_map(|system| wrong(system).map(|(found, wanted)| (&system.id, found, wanted)))
            .collect()
    }

    /// Operations that want a customer by a shared key that no system gives: system, operation, key.
    #[must_use]
    pub fn missing_keys(&self) -> Vec<(&SystemId, &'static str, &str)> {
        let given = |key: &str| self.iter().any(|system| system.keys.iter().any(|(name, _)| &**name == key));
        let wanted = self.iter().flat_map(|system| {
            let operations = system.operations.values();
            operations.flat_map(|o| o.by.iter().map(|key| (&system.id, o.spec.name, key.as_str())))
        });
        wanted.filter(|(_, _, key)| !given(key)).collect()
    }

    /// The names of all keys that some system gives, for messages.
    #[must_use]
    pub fn key_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.iter().flat_map(|s| s.keys.iter().map(|(name, _)| &**name)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// One system's file, compiled, with the values of its site.
pub struct System {
    pub id: SystemId,
    /// SHA-256 of the file's text, hex.
    pub hash: String,
    pub title: Option<String>,
    /// Not to be used yet.
    pub draft: bool,
    /// Which version of the vendor's API it depends on.
    pub version: Declared,
    /// It is tried beside another file.
    pub beside: Option<Beside>,
    pub stands_on: Option<StandsOn>,
    /// How it proves who we are, in a few words.
    pub sign_in: String,
    pub at: At,
    pub limits: Limits,
    pub index: Option<file::IndexFile>,
    pub(super) auth: Auth,
    pub(super) signs: Vec<Sign>,
    /// Beside `auth`: names of headers, and what stands in them.
    pub(super) secret_headers: Vec<(String, Secret)>,
    /// What the system tells by itself.
    pub(super) hooks: Option<Hooks>,
    /// What only requests that change something need, fetched as a session is opened.
    pub(super) csrf: Option<Box<SessionAuth>>,
    pub(super) stamp: fn() -> Stamp,
    pub(super) env: Environment<'static>,
    /// All that the file names, to be kept out of what is shown.
    pub(super) secrets: Vec<Secret>,
    pub(super) numbers: numbers::Plan,
    /// Variables and `numbers`, as templates see them.
    pub(super) context: BTreeMap<String, Value>,
    pub(super) headers: Vec<(String, Leaf)>,
    /// Parameters of each request.
    pub(super) query: Vec<(String, String)>,
    /// The hosts that the file names, with their ports: an address of a page (`url`) leads to one of them or is none.
    pub(super) pages: BTreeSet<String>,
    /// Shared key and the field that holds it.
    pub keys: Arc<[(Arc<str>, String)]>,
    pub(super) operations: BTreeMap<&'static str, Operation>,
    pub(super) examples: Vec<file::Example>,
}

impl System {
    /// Whether it tells things by itself.
    #[must_use]
    pub const fn has_webhooks(&self) -> bool {
        self.hooks.is_some()
    }

    /// Whether it tells what people answer.
    #[must_use]
    pub fn has_answers(&self) -> bool {
        self.hooks.as_ref().is_some_and(|hooks| !hooks.answers.is_empty())
    }

    /// Whether it tells who pressed a button of ours.
    #[must_use]
    pub fn has_decisions(&self) -> bool {
        self.hooks.as_ref().is_some_and(|hooks| !hooks.decisions.is_empty())
    }

    /// Whether it can tell one user something that nobody else sees.
    #[must_use]
    pub fn offers_tell(&self) -> bool {
        self.operations.contains_key("approval.tell")
    }

    /// How what these requests need is come by.
    pub(super) fn session(&self, what: For) -> Option<&SessionAuth> {
        match (what, &self.auth) {
            (For::All, Auth::Session(auth)) => Some(auth),
            (For::All, _) => None,
            (For::Changes, _) => self.csrf.as_deref(),
        }
    }

    /// It is asked besides another, and never writes.
    #[must_use]
    pub fn is_shadow(&self) -> bool {
        self.beside.as_ref().is_some_and(|beside| beside.kind == Kind::Shadow)
    }

    #[must_use]
    pub fn operation(&self, name: &str) -> Option<&Operation> {
        self.operations.get(name)
    }
}

/// Where a system is, and by what it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    Web(Web),
    Sql(Database),
    Csv(csv::Spec),
    Ldap(Directory),
    Smtp(MailServer),
}

impl At {
    /// Whose account and quota it is, as far as an address tells: the host of a web address, else all of it.
    #[must_use]
    pub fn host(&self) -> String {
        match self {
            Self::Web(web) => web.base_url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/"),
            other => other.text(),
        }
    }

    /// As one text, for people and for telling one place from another.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Web(web) => web.base_url.clone(),
            Self::Sql(Database::Sqlite { path }) => format!("sqlite:{path}"),
            Self::Sql(Database::Postgres(server)) => server.text("postgres"),
            Self::Sql(Database::MySql(server)) => server.text("mysql"),
            Self::Csv(spec) => format!("csv:{}", spec.path),
            Self::Ldap(Directory { host, port, wrapped, .. }) => {
                format!("ldap{}://{host}:{port}", if *wrapped { "s" } else { "" })
            }
            Self::Smtp(MailServer { host, port, .. }) => format!("smtp://{host}:{port}"),
        }
    }
}

/// A system that speaks HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Web {
    /// Scheme, host and perhaps a path, without a slash at the end.
    pub base_url: String,
    /// `host` or `host:port`, besides that of `base_url`.
    pub hosts: Vec<String>,
    /// What a session may lead to besides: hosts, and domains that begin with a dot.
    pub led: Vec<String>,
    /// Path of a PEM file.
    pub tls_ca: Option<String>,
}

/// A database that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    Sqlite { path: String },
    Postgres(Server),
    MySql(Server),
}

/// A database server, and who asks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub host: String,
    pub port: u16,
    pub database: String,
    pub user: String,
    pub password: Option<Secret>,
    pub tls: bool,
    /// Path of a PEM file.
    pub tls_ca: Option<String>,
}

impl Server {
    fn text(&self, kind: &str) -> String {
        let Self { host, port, database, .. } = self;
        format!("{kind}://{host}:{port}/{database}")
    }
}

/// A directory that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    pub host: String,
    pub port: u16,
    /// TLS from the first byte; else by StartTLS.
    pub wrapped: bool,
    pub tls: bool,
    pub login: Option<(String, Secret)>,
    /// Path of a PEM file.
    pub tls_ca: Option<String>,
}

/// A mail server that takes our mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailServer {
    pub host: String,
    pub port: u16,
    pub tls: MailTls,
    pub login: Option<(String, Secret)>,
    /// Whose mail it is, where a step does not say.
    pub from: String,
    pub hello: String,
    /// Bytes of the largest mail.
    pub most: usize,
    /// Path of a PEM file.
    pub tls_ca: Option<String>,
}

/// How a request proves who we are.
pub(super) enum Auth {
    None,
    Key {
        place: Place,
        value: Secret,
        /// The same without the secret, for people.
        shown: String,
    },
    /// Before each step's path.
    Path {
        value: Secret,
        shown: String,
    },
    Session(Box<SessionAuth>),
}

/// One login for all operations.
pub(super) struct SessionAuth {
    /// One step without inputs.
    pub login: Operation,
    pub sign: Option<Sign>,
    /// Seen by the login's request alone.
    pub secrets: BTreeMap<String, Secret>,
    /// Made anew for each login, and seen by its request alone.
    pub assertions: Vec<(&'static str, Assertion)>,
    pub cookies: Vec<String>,
    pub token: Option<Token>,
    pub lives_ms: Option<Compiled>,
    /// Where requests go, and the hosts that may be named.
    pub base: Option<(Compiled, Vec<String>)>,
    /// A refresh token that may change with each use.
    pub refresh: Option<Refresh>,
    pub sign_in: Option<Box<SignIn>>,
    /// Tried before a step's own rules.
    pub expired: Vec<Rule>,
    /// SHA-256 of whom and how we log in: with the same a session stays good over a reload.
    pub fingerprint: [u8; 32],
}

pub(super) struct Token {
    pub value: Compiled,
    pub place: Place,
    pub prefix: String,
}

#[derive(PartialEq, Eq)]
pub(super) enum Place {
    Header(String),
    Query(String),
    /// The way down to it.
    Body(Vec<String>),
}

/// One operation of one system.
pub struct Operation {
    pub spec: &'static Spec,
    /// What agents see above the block.
    pub title: Option<String>,
    pub deadline_ms: u64,
    pub idempotency: Idempotency,
    pub cache: file::Cache,
    /// Shared keys by which it takes another system's customer.
    pub by: Vec<String>,
    /// Of `customer.update`: the fields that may be changed.
    pub writable: Vec<String>,
    pub(super) inputs: Vec<(String, Value)>,
    pub(super) steps: Vec<Step>,
    pub(super) output: Option<Vec<(String, Compiled)>>,
    pub(super) fields: Option<Vec<(String, Compiled)>>,
    pub(super) keep: Option<Compiled>,
    pub(super) one: bool,
    pub(super) cap: usize,
    pub(super) phones: Vec<(String, String)>,
    pub(super) page: Option<Page>,
}

impl Operation {
    /// How its pages are counted, where it has some.
    #[must_use]
    pub fn pages(&self) -> Option<Plan> {
        self.page.as_ref().map(|page| page.plan)
    }
}

pub(super) struct Step {
    pub name: String,
    pub when: Option<Compiled>,
    pub for_each: Option<Compiled>,
    pub what: What,
    pub outcome: Vec<Rule>,
    pub save: Vec<(String, Compiled)>,
    pub records: Option<Compiled>,
}

impl Step {
    /// Whether it may have changed something over there.
    pub fn changes(&self) -> bool {
        match &self.what {
            What::Web(web) => web.method != file::Method::Get,
            What::Sql { .. } | What::Csv(_) | What::Ldap(_) => false,
            What::Mail(mail) => mail.is_some(),
        }
    }
}

/// What a step asks.
pub(super) enum What {
    Web(Box<WebStep>),
    Sql {
        statement: Statement,
        with: Vec<(String, Tree)>,
    },
    Csv(Find),
    Ldap(Box<LdapStep>),
    /// `None`: only a login.
    Mail(Option<Box<MailStep>>),
}

/// Which rows of a table.
pub(super) enum Find {
    Where(Vec<(String, Tree)>),
    /// From which on, and how many.
    From(Box<(Leaf, Leaf)>),
}

#[derive(Default)]
pub(super) struct LdapStep {
    pub base: Leaf,
    pub scope: ldap::Scope,
    pub filter: Leaf,
    pub attributes: Vec<String>,
}

pub(super) struct MailStep {
    pub from: Option<Leaf>,
    pub reply_to: Option<Leaf>,
    pub to: Tree,
    pub cc: Option<Tree>,
    pub subject: Leaf,
    pub text: Leaf,
    pub html: Option<Leaf>,
}

pub(super) struct WebStep {
    /// Scheme and host, where they are not the system's.
    pub base: Option<String>,
    pub method: file::Method,
    pub path: Leaf,
    pub query: Vec<(String, Tree)>,
    pub headers: Vec<(String, Leaf)>,
    pub body: Option<Body>,
    pub charsets: Charsets,
    pub decode: file::Decode,
}

pub(super) struct Rule {
    pub status: Option<Vec<u16>>,
    pub when: Option<Compiled>,
    pub is: file::Is,
    pub reason: Option<String>,
    pub wait_ms: Option<Compiled>,
    pub blocked_ms: Option<u64>,
}

/// A text of the file.
pub(super) enum Leaf {
    Fixed(String),
    /// A single `{{ }}`: the value keeps its type.
    Value(Compiled),
    /// The name of a template in the system's environment.
    Template(String),
}

impl Default for Leaf {
    fn default() -> Self {
        Self::Fixed(String::new())
    }
}

impl Leaf {
    /// As the file writes it, without anything of a call.
    pub fn source<'a>(&'a self, env: &'a Environment<'static>) -> String {
        match self {
            Self::Fixed(text) => text.clone(),
            Self::Value(_) => "{{ … }}".to_owned(),
            Self::Template(name) => env.get_template(name).map(|t| t.source().to_owned()).unwrap_or_default(),
        }
    }

    pub fn text(&self, env: &Environment<'static>, context: &Value) -> Result<String, String> {
        match self {
            Self::Fixed(text) => Ok(text.clone()),
            Self::Value(expression) => {
                let value = expression.eval(context).map_err(|why| in_file(expression.text(), &why))?;
                if value.is_undefined() {
                    return Err(in_file(expression.text(), "is undefined"));
                }
                Ok(if value.is_none() { String::new() } else { value.to_string() })
            }
            Self::Template(name) => render(env, name, context).map_err(|why| in_file(&self.source(env), &why)),
        }
    }
}

/// Where in the file it is, by the file's own words. A long one is a body, and is known by its place.
fn in_file(text: &str, why: &str) -> String {
    if text.len() <= 80 { format!("\"{text}\" {why}") } else { why.to_owned() }
}

/// A structure whose texts are templates.
pub(super) enum Tree {
    Fixed(serde_json::Value),
    Leaf(Leaf),
    List(Vec<Tree>),
    /// In the file's order.
    Map(Vec<(String, Tree)>),
    /// A text: the JSON of what stands under it.
    JsonText(Box<Tree>),
}

impl Tree {
    /// `None` for what is omitted.
    pub fn json(&self, env: &Environment<'static>, context: &Value) -> Result<Option<serde_json::Value>, String> {
        Ok(Some(match self {
            Self::Fixed(value) => value.clone(),
            Self::Leaf(Leaf::Value(expression)) => {
                let made = expression.eval(context).and_then(|value| super::value::to_json(&value));
                return made.map_err(|why| in_file(expression.text(), &why));
            }
            Self::Leaf(leaf) => leaf.text(env, context)?.into(),
            Self::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    list.extend(item.json(env, context)?);
                }
                list.into()
            }
            Self::Map(entries) => {
                let mut map = serde_json::Map::new();
                for (key, tree) in entries {
                    if let Some(value) = tree.json(env, context)? {
                        map.insert(key.clone(), value);
                    }
                }
                map.into()
            }
            Self::JsonText(inside) => match inside.json(env, context)? {
                Some(value) => value.to_string().into(),
                None => return Ok(None),
            },
        }))
    }

    /// The entries of a map; none of anything else.
    pub fn entries(&self) -> &[(String, Self)] {
        if let Self::Map(entries) = self { entries } else { &[] }
    }

    pub fn under(&self, name: &str) -> Option<&Self> {
        self.entries().iter().find(|(key, _)| key == name).map(|(_, inside)| inside)
    }

    /// One of a list; what is no list stands for each of what it became.
    pub fn item(&self, n: usize) -> Option<&Self> {
        if let Self::List(items) = self { items.get(n) } else { Some(self) }
    }
}
