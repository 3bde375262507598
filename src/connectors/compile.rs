//! From a file's text to a [`System`]: every template and expression compiled, every name known, all problems told at
//! once with their places. What passes here cannot fail later for a word misspelt.

mod kinds;

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use minijinja::{Environment, value::Value};
use sha2::{Digest as _, Sha256};

use crate::{
    files::{self, Problem, Read, SecretRef},
    numbers::Plan,
    private::Secret,
};

use super::{
    Idempotency,
    assertion::Assertion,
    beside::{Beside, Kind as BesideKind},
    body::Body,
    charset::Charsets,
    csrf,
    file::{self, File, IdempotentFile, SqlFile, Variable},
    home,
    hook::{self, Hooks},
    kept::Refresh,
    oauth2, operation,
    page::{By, Next, Page, Plan as Pages},
    set::{
        At, Auth, Database, Leaf, Operation, Place, Rule, Server, SessionAuth, Step, System, Token, Tree, Web, WebStep,
        What,
    },
    sign::{self, EXAMPLE_SECRET, Sign, Stamp},
    sign_in::{self, SignIn},
    sql::Statement,
    standing,
    value::from_json,
    version::{Declared, SendBy},
    words::{Compiled, environment, render, unknown_word},
};

use kinds::Kind;

/// What a site gives besides the file: values for variables, how a secret is fetched, and the clock.
pub struct Given<'a> {
    /// Name of a text or choice variable, and its value here.
    pub values: &'a BTreeMap<String, String>,
    pub secret: &'a dyn Fn(&SecretRef) -> Result<Secret, String>,
    /// When a request is made, and what makes it unlike every other.
    pub stamp: fn() -> Stamp,
}

/// Compiles the file. `name` is what problems call it.
///
/// # Errors
/// Every problem found; never empty.
pub fn compile(name: &str, text: &str, given: &Given) -> Result<System, Vec<Problem>> {
    let read = files::read::<File>(name, text)?;
    let mut maker = Maker {
        read: &read,
        problems: Vec::new(),
        env: environment(),
        kind: Kind::Web,
        templates: 0,
        known: BTreeSet::new(),
        used: BTreeSet::new(),
        used_ever: BTreeSet::new(),
    };
    let hash = Sha256::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect();
    match maker.system(&read.value, hash, given) {
        Some(system) if maker.problems.is_empty() => Ok(System { env: maker.env, ..system }),
        _ => Err(maker.problems),
    }
}

pub(super) struct Maker<'a> {
    read: &'a Read<File>,
    problems: Vec<Problem>,
    env: Environment<'static>,
    kind: Kind,
    templates: usize,
    /// Names that may stand in what is compiled now.
    known: BTreeSet<String>,
    /// Names that the operation which is compiled now looks up.
    used: BTreeSet<String>,
    /// Names that anything of the file looks up.
    used_ever: BTreeSet<String>,
}

/// What the language itself brings.
const GLOBALS: [&str; 6] = ["omit", "range", "dict", "namespace", "numbers", "loop"];
/// What templates call the file's `api:`.
const API_VERSION: &str = "api_version";
/// The operations whose answers are customers.
const CUSTOMERS: [&str; 4] = ["customer.by_phone", "customer.by_account", "customer.get", "customer.search"];
/// What stands beside an answer.
const ANSWER: [&str; 3] = ["status", "headers", "body"];
/// What each request has of its own.
const EACH: [&str; 2] = ["now", "nonce"];

impl Maker<'_> {
    pub(super) fn problem(&mut self, at: &str, found: impl Into<String>, wanted: impl Into<String>) {
        self.problems.push(self.read.problem_at(at, found, wanted));
    }

    fn system(&mut self, file: &File, hash: String, given: &Given) -> Option<System> {
        if file.schema != 1 {
            self.problem("/schema", format!("found {}", file.schema), "this daemon knows schema 1");
        }
        for (key, found, wanted) in file.stands_on.iter().flat_map(standing::StandsOn::problems) {
            self.problem(&format!("/stands_on{key}"), found, wanted);
        }
        let beside = self.beside(file);
        let mut context = BTreeMap::new();
        let mut secrets = BTreeMap::new();
        for (name, variable) in &file.variables {
            let at = format!("/variables/{name}");
            let value = given.values.get(name);
            match variable {
                Variable::Text(text) => {
                    context.insert(name.clone(), Value::from(value.unwrap_or(text).as_str()));
                }
                Variable::Choice(choice) => {
                    let value = value.unwrap_or(&choice.value);
                    if !choice.of.contains(value) {
                        self.problem(
                            &at,
                            "the value is none of the choices",
                            format!("one of: {}", choice.of.join(", ")),
                        );
                    }
                    context.insert(name.clone(), Value::from(value.as_str()));
                }
                Variable::Secret(place) => match (given.secret)(place) {
                    Ok(secret) => drop(secrets.insert(name.clone(), secret)),
                    Err(why) => self.problem(&at, why, "a secret that can be read"),
                },
            }
        }
        for name in given.values.keys().filter(|n| !context.contains_key(*n)) {
            let at = "/variables";
            self.problem(
                at,
                format!("linecard.yaml gives a value to \"{name}\""),
                "no text or choice variable of that name",
            );
        }
        for (name, table) in &file.tables {
            if file.variables.contains_key(name) {
                self.problem(&format!("/tables/{name}"), "a variable has this name", "a name of its own");
            }
            context.insert(name.clone(), Value::from_pairs(table.iter().map(|(k, v)| (k.as_str(), from_json(v)))));
        }
        if let Some(api) = &file.api {
            if file.variables.contains_key(API_VERSION) || file.tables.contains_key(API_VERSION) {
                let found = format!("\"{API_VERSION}\" is the name of \"api:\" in templates");
                self.problem("/variables", found, "another name");
            }
            context.insert(API_VERSION.to_owned(), Value::from(api.as_str()));
        }
        let numbers = Plan::new(&file.numbers.country, file.numbers.area.as_deref());
        let area = numbers.area.as_deref().map_or(Value::from(()), Value::from);
        context.insert(
            "numbers".to_owned(),
            Value::from_pairs([("country", Value::from(numbers.country.as_str())), ("area", area)]),
        );
        let variables: BTreeSet<String> = context.keys().cloned().collect();
        self.known.clone_from(&variables);
        let at = self.at(file, &context, &secrets);
        let auth = self.auth(file, &context, &secrets);
        let also = (0..).zip(&file.also_sign).map(|(n, sign)| (format!("/also_sign/{n}"), sign));
        let signs = file.sign.iter().map(|sign| ("/sign".to_owned(), sign)).chain(also);
        let signs: Vec<Sign> = signs.filter_map(|(at, sign)| self.sign(&at, sign, &secrets)).collect();
        if file.sign.is_none() && !file.also_sign.is_empty() {
            self.problem("/also_sign", "there is no first signature", "\"sign:\"");
        }
        let mut secret_headers = Vec::new();
        for (name, secret) in &file.secret_headers {
            let at = format!("/secret_headers/{name}");
            self.header_name(&at, name);
            if file.headers.keys().any(|known| known.eq_ignore_ascii_case(name)) {
                self.problem(&at, "this header stands in \"headers:\" too", "one of the two");
            }
            secret_headers.extend(self.secret(&at, secret, file, &secrets).map(|secret| (name.clone(), secret)));
        }
        let csrf = file.csrf.as_ref().map(|csrf| {
            let csrf = csrf::session(csrf);
            Box::new(self.session("/csrf", &csrf, (&context, &secrets), None))
        });
        let hooks = file.webhooks.as_ref().and_then(|webhooks| self.webhooks(file, webhooks, &secrets));
        self.known.extend(ANSWER.map(str::to_owned));
        let limits = self.limits(file);
        self.known.clone_from(&variables);
        self.known.extend(EACH.map(str::to_owned));
        let mut headers = self.headers("/headers", &file.headers);
        let mut operations = BTreeMap::new();
        let mut changes = false;
        for (name, operation) in &file.operations {
            let at = format!("/operations/{name}");
            let Some(spec) = operation::named(name) else {
                self.problem(&at, "there is no such operation", format!("one of: {}", operation::names()));
                continue;
            };
            self.known.clone_from(&variables);
            self.known.extend(spec.required.iter().chain(spec.optional).map(|s| (*s).to_owned()));
            self.known.extend(operation.inputs.keys().cloned());
            self.known.extend(operation.page.is_some().then(|| "page".to_owned()));
            self.used.clear();
            let operation = self.operation(&at, spec, operation, file);
            if spec.name == "customer.list" {
                changes = self.used.contains("since");
            }
            operations.insert(spec.name, operation);
        }
        let (version, query) = self.version(file, &mut headers, &operations);
        self.index(file, changes);
        self.places(&auth, &signs, &operations);
        self.joins_bytes(file, &auth, &operations);
        for operation in operations.values() {
            if let Idempotency::Lookup(find) = &operation.idempotency {
                let at = format!("/operations/{}/idempotent", operation.spec.name);
                match operations.get(find.as_str()) {
                    None => self.problem(&at, format!("\"{find}\" is not offered in this file"), "add that operation"),
                    Some(found) if found.spec.writes => {
                        self.problem(&at, "a lookup must not write", "a .find operation")
                    }
                    Some(found) if found.fields.is_some() && found.keep.is_none() && found.phones.is_empty() => self
                        .problem(
                            &format!("/operations/{find}"),
                            "this lookup believes the system's filter",
                            "add \"keep:\" that compares the call id or key itself",
                        ),
                    Some(_) => {}
                }
            }
        }
        self.keys(file);
        for (n, example) in file.examples.iter().enumerate() {
            if !file.operations.contains_key(&example.operation) {
                self.problem(&format!("/examples/{n}/operation"), "this operation is not in the file", "one that is");
            }
        }
        // A token endpoint may lie elsewhere, and nothing else of the file names its host.
        let elsewhere = match &auth {
            Auth::Session(session) => match session.login.steps.first().map(|step| &step.what) {
                Some(What::Web(web)) => web.base.as_deref(),
                _ => None,
            },
            _ => None,
        };
        let elsewhere = elsewhere.and_then(|base| base.split_once("://")).map(|(scheme, host)| {
            let port = if scheme == "https" { 443 } else { 80 };
            if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
                host.to_owned()
            } else {
                format!("{host}:{port}")
            }
        });
        let mut at = at?;
        if let At::Web(web) = &mut at {
            web.hosts.extend(elsewhere);
        }
        let texts = context.values().filter_map(|value| value.as_str().map(str::to_owned));
        let mapped = file.operations.values().flat_map(|o| o.output.iter().chain(&o.fields));
        let written = mapped.filter_map(|map| map.get("url").cloned());
        let pages = texts.chain(written).chain(file.base_url.clone()).flat_map(|text| home::hosts(&text)).collect();
        Some(System {
            pages,
            id: file.connector.clone(),
            hash,
            title: file.title.clone(),
            draft: file.draft,
            version,
            beside,
            stands_on: file.stands_on.clone(),
            sign_in: standing::sign_in(file),
            at,
            limits,
            index: file.index,
            auth,
            signs,
            secret_headers,
            csrf,
            hooks,
            stamp: given.stamp,
            env: Environment::new(),
            secrets: secrets.values().cloned().collect(),
            numbers,
            context,
            headers,
            query,
            keys: file.keys.iter().map(|(name, field)| (std::sync::Arc::from(name.as_str()), field.clone())).collect(),
            operations,
            examples: file.examples.clone(),
        })
    }

    /// Beside which other file it is, if it is.
    fn beside(&mut self, file: &File) -> Option<Beside> {
        let (kind, of) = match (&file.canary, &file.shadow) {
            (Some(_), Some(_)) => {
                self.problem("/shadow", "it is a canary and a shadow", "one of both");
                return None;
            }
            (Some(of), None) => (BesideKind::Canary, of),
            (None, Some(of)) => (BesideKind::Shadow, of),
            (None, None) => return None,
        };
        match Beside::new(&file.connector, kind, of) {
            Ok(beside) => Some(beside),
            Err(mistakes) => {
                for (at, found, wanted) in mistakes {
                    self.problem(&format!("/{}{at}", kind.as_str()), found, wanted);
                }
                None
            }
        }
    }

    /// Which version the file depends on, how requests say so, and what they have for it in the query.
    fn version(
        &mut self,
        file: &File,
        headers: &mut Vec<(String, Leaf)>,
        operations: &BTreeMap<&'static str, Operation>,
    ) -> (Declared, Vec<(String, String)>) {
        if operations.contains_key("version")
            && file
                .operations
                .get("version")
                .is_some_and(|o| o.output.as_ref().is_none_or(|o| !o.contains_key("version")))
        {
            self.problem("/operations/version", "it says no version", "\"output:\" with \"version:\"");
        }
        let mut declared = Declared { api: file.api.clone(), ..Declared::default() };
        let Some(version) = &file.version else { return (declared, Vec::new()) };
        let mut query = Vec::new();
        let Some(api) = &file.api else {
            self.problem("/version", "it is not said which version that is", "\"api:\" at the head of the file");
            return (declared, query);
        };
        if file.base_url.is_none() && (version.send.is_some() || version.answered.is_some()) {
            self.problem("/version", "only what speaks HTTP is told a version", "\"expect:\" alone, or none");
        }
        match &version.send {
            Some(SendBy::Header(name)) => {
                let one = BTreeMap::from([(name.clone(), api.clone())]);
                headers.extend(self.headers("/version/send/header", &one));
            }
            Some(SendBy::Query(name)) => query.push((name.clone(), api.clone())),
            Some(SendBy::Inline) if !self.used_ever.contains(API_VERSION) => {
                let wanted = format!("{{{{ {API_VERSION} }}}} in base_url, a path or a body");
                self.problem("/version/send", "no template of the file uses it", wanted);
            }
            Some(SendBy::Inline) | None => {}
        }
        if version.expect.is_some() && !operations.contains_key("version") {
            self.problem("/version/expect", "nothing asks which version it is", "the operation \"version\"");
        }
        declared.answered = version.answered.as_ref().map(|name| name.to_ascii_lowercase());
        declared.expect.clone_from(&version.expect);
        (declared, query)
    }

    /// A token or a signature that stands in bodies has its place in each of them.
    fn places(&mut self, auth: &Auth, signs: &[Sign], operations: &BTreeMap<&'static str, Operation>) {
        let session = if let Auth::Session(session) = auth { Some(session) } else { None };
        let token =
            session.and_then(|session| session.token.as_ref()).map(|token| ("the session's token", &token.place));
        let key = if let Auth::Key { place, .. } = auth { Some(("the key", place)) } else { None };
        let places: Vec<_> = signs.iter().map(|sign| ("the signature", &sign.place)).chain(token).chain(key).collect();
        for (n, (what, place)) in places.iter().enumerate() {
            if places.iter().skip(n + 1).any(|(_, other)| other == place) {
                self.problem(
                    "",
                    format!("{what} stands where something else of the file stands"),
                    "a place of its own",
                );
            }
            for (name, operation) in operations {
                for (n, step) in operation.steps.iter().enumerate() {
                    self.fits(&format!("/operations/{name}/steps/{n}"), what, place, step);
                }
            }
        }
        if let Some((sign, login)) = session.and_then(|s| Some((s.sign.as_ref()?, s.login.steps.first()?))) {
            self.fits("/auth/session/login", "the signature", &sign.place, login);
        }
    }

    /// A body in another character set is bytes: joined to a text they would become one that nobody sends, and each signature would be wrong.
    fn joins_bytes(&mut self, file: &File, auth: &Auth, operations: &BTreeMap<&'static str, Operation>) {
        let bytes = |step: &Step| matches!(&step.what, What::Web(web) if !web.charsets.utf8());
        let steps = operations.values().any(|operation| operation.steps.iter().any(bytes));
        let mut formulas = vec![("/sign", file.sign.as_ref(), steps)];
        formulas.extend(file.also_sign.iter().map(|sign| ("/also_sign", Some(sign), steps)));
        if let (file::Auth::Session(session), Auth::Session(made)) = (&file.auth, auth) {
            let login = made.login.steps.iter().any(bytes);
            formulas.push(("/auth/session/login/sign", session.login.sign.as_ref(), login));
        }
        for (at, sign, bytes) in formulas {
            if bytes && sign.is_some_and(|sign| sign::joins_body(&sign.value)) {
                let wanted = "[secret.key, body] | bytes, which joins them";
                self.problem(&format!("{at}/value"), "body is bytes in this character set, and ~ makes a text", wanted);
            }
        }
    }

    fn fits(&mut self, at: &str, what: &str, place: &Place, step: &Step) {
        let What::Web(web) = &step.what else { return };
        if let Err(found) = place.fits(web.body.as_ref()) {
            let at = if web.body.is_some() { format!("{at}/body") } else { at.to_owned() };
            self.problem(&at, format!("{what} has no place: {found}"), "a body that has it, or a header or query");
        }
    }

    /// Where the system is, and by what it is spoken to. `None` after a problem.
    fn at(&mut self, file: &File, context: &BTreeMap<String, Value>, secrets: &BTreeMap<String, Secret>) -> Option<At> {
        let places =
            [file.base_url.is_some(), file.sql.is_some(), file.csv.is_some(), file.ldap.is_some(), file.smtp.is_some()];
        match places.iter().filter(|there| **there).count() {
            1 => {}
            count => {
                let found = if count == 0 { "nowhere where the system is" } else { "two places where the system is" };
                self.problem("", found, "one of: base_url, sql, csv, ldap, smtp");
                return None;
            }
        }
        if let Some(csv) = &file.csv {
            self.kind = Kind::Csv;
            return self.csv(csv, file, context).map(At::Csv);
        }
        if let Some(ldap) = &file.ldap {
            self.kind = Kind::Ldap;
            return Some(At::Ldap(self.ldap(ldap, file, context, secrets)));
        }
        if let Some(smtp) = &file.smtp {
            self.kind = Kind::Smtp;
            return Some(At::Smtp(self.smtp(smtp, file, context, secrets)));
        }
        match (&file.base_url, &file.sql) {
            (Some(base_url), _) => {
                let base_url = self.now("/base_url", base_url, context);
                let rest = base_url.strip_prefix("https://").or_else(|| base_url.strip_prefix("http://"));
                if rest.is_none_or(|r| r.is_empty() || r.starts_with('/') || r.contains('@')) || base_url.ends_with('/')
                {
                    let wanted = "https://host or http://host:port, without a slash at the end";
                    self.problem("/base_url", "no web address", wanted);
                }
                self.kind = Kind::Web;
                let base = match &file.auth {
                    file::Auth::Session(session) => session.base.as_ref(),
                    file::Auth::Oauth2(oauth2) => oauth2.base.as_ref(),
                    _ => None,
                };
                let led = base.map(|base| base.hosts.clone()).unwrap_or_default();
                Some(At::Web(Web { base_url, hosts: file.hosts.clone(), led, tls_ca: file.tls_ca.clone() }))
            }
            (None, Some(sql)) => {
                self.kind = Kind::Sql;
                self.only_web(file, !matches!(sql, SqlFile::Sqlite(_)));
                Some(At::Sql(match sql {
                    SqlFile::Sqlite(sqlite) => {
                        Database::Sqlite { path: self.now("/sql/sqlite/path", &sqlite.path, context) }
                    }
                    SqlFile::Postgres(server) => {
                        Database::Postgres(self.server("/sql/postgres", server, 5432, file, context, secrets))
                    }
                    SqlFile::Mysql(server) => {
                        Database::MySql(self.server("/sql/mysql", server, 3306, file, context, secrets))
                    }
                }))
            }
            (None, None) => None,
        }
    }

    /// The secret variable of that name; one that cannot be read was told already.
    fn secret(&mut self, at: &str, name: &str, file: &File, secrets: &BTreeMap<String, Secret>) -> Option<Secret> {
        if !matches!(file.variables.get(name), Some(Variable::Secret(_))) {
            let wanted = "the name of a variable that is a secret";
            self.problem(at, format!("\"{name}\" is no secret variable"), wanted);
        }
        secrets.get(name).cloned()
    }

    fn server(
        &mut self,
        at: &str,
        server: &file::ServerFile,
        port: u16,
        file: &File,
        context: &BTreeMap<String, Value>,
        secrets: &BTreeMap<String, Secret>,
    ) -> Server {
        let [host, database, user] = [("host", &server.host), ("database", &server.database), ("user", &server.user)]
            .map(|(key, text)| {
                let text = self.now(&format!("{at}/{key}"), text, context);
                if text.is_empty() {
                    self.problem(&format!("{at}/{key}"), "it is empty", "a name");
                }
                text
            });
        if !server.tls && file.tls_ca.is_some() {
            self.problem("/tls_ca", "the database is asked without TLS", "leave it out, or \"tls: true\"");
        }
        let password =
            server.secret.as_ref().and_then(|name| self.secret(&format!("{at}/secret"), name, file, secrets));
        Server {
            host,
            port: server.port.unwrap_or(port),
            database,
            user,
            password,
            tls: server.tls,
            tls_ca: file.tls_ca.clone(),
        }
    }

    /// What an index of numbers stands on. `changes`: the list is told `since`.
    fn index(&mut self, file: &File, changes: bool) {
        let Some(index) = &file.index else { return };
        let operation = |name: &str| file.operations.get(name);
        let Some(list) = operation("customer.list") else {
            return self.problem("/index", "customer.list is not offered in this file", "add that operation");
        };
        if list.phones.is_none() {
            let at = "/operations/customer.list";
            self.problem(at, "it does not say which fields are numbers", "\"phones:\" with those fields");
        }
        if index.every_s.is_some() && !changes {
            let wanted = "a customer.list that uses since, or only full_every_s";
            self.problem("/index/every_s", "customer.list cannot tell what changed", wanted);
        }
        if index.every_s.is_some_and(|s| s < 10) || index.full_every_s < 60 {
            self.problem(
                "/index",
                "the system would be walked through all the time",
                "every_s from 10, full_every_s from 60",
            );
        }
        let Some(by_phone) = operation("customer.by_phone") else {
            return self.problem("/index", "customer.by_phone is not offered in this file", "add that operation");
        };
        let Some(get) = operation("customer.get") else {
            return self.problem("/index", "customer.get is not offered in this file", "add that operation");
        };
        let gives = get.output.as_ref().or(get.fields.as_ref());
        for name in by_phone.phones.iter().flat_map(BTreeMap::keys) {
            if gives.is_none_or(|fields| !fields.contains_key(name)) {
                let found = format!("it does not give \"{name}\", so whether the number is still there cannot be seen");
                self.problem("/operations/customer.get", found, "the fields of customer.by_phone");
            }
        }
    }

    fn page(&mut self, at: &str, operation: &str, file: &file::OperationFile) -> Option<Page> {
        let Some(page) = &file.page else {
            if operation == "customer.list" {
                self.problem(
                    at,
                    "it does not say how it comes in pages",
                    "\"page:\" (by: offset, number, cursor, next_url or link)",
                );
            }
            return None;
        };
        let paged = file.steps.len() == 1 && file.steps.iter().all(|s| s.for_each.is_none() && s.records.is_some());
        if !paged || !file.fields.as_ref().is_some_and(|f| f.contains_key("id")) {
            let wanted = "one step with \"records:\" and without for_each, and \"fields:\" with an id";
            self.problem(&format!("{at}/page"), "this cannot come in pages", wanted);
        }
        if !(2..=10_000).contains(&page.size) {
            self.problem(&format!("{at}/page/size"), format!("found {}", page.size), "2 to 10000");
        }
        if self.kind == Kind::Ldap && !matches!(page.by, file::PageBy::Cursor(_)) {
            self.problem(
                &format!("{at}/page/by"),
                "a directory gives pages by its cookie",
                "by: {cursor: body.cookie}",
            );
        }
        let outside = self.known.clone();
        self.known.extend(ANSWER.map(str::to_owned));
        let total = page.total.as_ref().and_then(|t| self.expression(&format!("{at}/page/total"), t));
        let mut expression = |key: &str, text: &str| self.expression(&format!("{at}/page/by/{key}"), text);
        let (by, next) = match &page.by {
            file::PageBy::Offset => (By::Offset, Some(Next::Counted)),
            file::PageBy::Number(first) => (By::Number(*first), Some(Next::Counted)),
            file::PageBy::Cursor(next) => (By::Cursor, expression("cursor", next).map(Next::Cursor)),
            file::PageBy::NextUrl(next) => (By::Url, expression("next_url", next).map(Next::Url)),
            file::PageBy::Link => (By::Url, Some(Next::Link)),
        };
        self.known = outside;
        let plan = Pages {
            by,
            size: page.size,
            repeats_last_page: page.repeats_last_page,
            max_pages: page.max_pages.unwrap_or(20_000),
            pause_ms: page.pause_ms.unwrap_or(200),
        };
        Some(Page { plan, total, next: next? })
    }

    /// Each shared key's field is one that the customer operations map.
    fn keys(&mut self, file: &File) {
        let maps = |name: &str, field: &str| {
            let operation = file.operations.get(name)?;
            let fields = operation.fields.as_ref().or(operation.output.as_ref())?;
            Some(fields.contains_key(field))
        };
        for (key, field) in &file.keys {
            let at = format!("/keys/{key}");
            if ["id", "type", "by", "name"].contains(&key.as_str()) {
                self.problem(
                    &at,
                    "this word has a meaning of its own in customer",
                    "a name that says whose key it is: customer_no",
                );
            }
            let told: Vec<bool> = CUSTOMERS.iter().filter_map(|name| maps(name, field)).collect();
            let found = match maps("customer.by_phone", field) {
                Some(mapped) => mapped,
                None => told.contains(&true),
            };
            if !found {
                let wanted = "a name that stands in \"fields:\" of customer.by_phone";
                self.problem(&at, format!("no customer operation maps \"{field}\""), wanted);
            }
        }
    }

    /// A template over the variables, rendered now.
    fn now(&mut self, at: &str, text: &str, context: &BTreeMap<String, Value>) -> String {
        let context = Value::from_pairs(context.iter().map(|(k, v)| (k.as_str(), v.clone())));
        let leaf = self.leaf(at, text, "text");
        let made = match &leaf {
            Leaf::Template(name) => render(&self.env, name, &context),
            leaf => leaf.text(&self.env, &context),
        };
        made.unwrap_or_else(|why| {
            self.problem(at, why, "a template over the variables");
            String::new()
        })
    }

    fn auth(&mut self, file: &File, context: &BTreeMap<String, Value>, secrets: &BTreeMap<String, Secret>) -> Auth {
        let named = |maker: &mut Self, at: &str, name: &str| {
            maker.secret(at, name, file, secrets).map_or(String::new(), |s| s.expose().to_owned())
        };
        match &file.auth {
            file::Auth::None => Auth::None,
            file::Auth::Key(key) => {
                let secret = named(self, "/auth/key/secret", &key.secret);
                let value = Secret::new(format!("{}{secret}", key.prefix));
                match (&key.path, [&key.header, &key.query, &key.body]) {
                    (None, places) => match self.place("/auth/key", "key", places) {
                        Some(place) => Auth::Key { place, value, shown: format!("{}{EXAMPLE_SECRET}", key.prefix) },
                        None => Auth::None,
                    },
                    (Some(before), [None, None, None]) => {
                        let before = self.now("/auth/key/path", before, context);
                        let value = format!("{before}{}", value.expose());
                        let odd = |c: char| !c.is_ascii_graphic() || "?#%\\".contains(c);
                        if !before.starts_with('/') || value.contains(odd) {
                            self.problem("/auth/key/path", "this and the key make no path", "/services/");
                        }
                        let shown = format!("{before}{}{EXAMPLE_SECRET}", key.prefix);
                        Auth::Path { value: Secret::new(value), shown }
                    }
                    (Some(_), _) => {
                        self.problem("/auth/key", "the key has two places", "one of: header, query, body, path");
                        Auth::None
                    }
                }
            }
            file::Auth::Basic(basic) => {
                let user = self.now("/auth/basic/user", &basic.user, context);
                let secret = named(self, "/auth/basic/secret", &basic.secret);
                let both = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{secret}"));
                let place = Place::Header("Authorization".to_owned());
                Auth::Key {
                    place,
                    value: Secret::new(format!("Basic {both}")),
                    shown: format!("Basic {EXAMPLE_SECRET}"),
                }
            }
            file::Auth::Session(session) => {
                Auth::Session(Box::new(self.session("/auth/session", session, (context, secrets), None)))
            }
            file::Auth::Oauth2(oauth2) => self.oauth2(file, oauth2, context, secrets),
        }
    }

    fn oauth2(
        &mut self,
        file: &File,
        oauth2: &file::Oauth2Auth,
        context: &BTreeMap<String, Value>,
        secrets: &BTreeMap<String, Secret>,
    ) -> Auth {
        let at = "/auth/oauth2";
        let url = self.now(&format!("{at}/token_url"), &oauth2.token_url, context);
        let parts = url.split_once("://").filter(|(scheme, _)| ["https", "http"].contains(scheme));
        let split = parts.and_then(|(scheme, rest)| {
            let (host, path) = rest.split_once('/')?;
            (!host.is_empty() && !host.contains('@')).then(|| (format!("{scheme}://{host}"), format!("/{path}")))
        });
        let Some((base, path)) = split else {
            self.problem(&format!("{at}/token_url"), "no web address", "https://host/path");
            return Auth::None;
        };
        let id = oauth2.client_id.as_ref().map(|id| self.now(&format!("{at}/client_id"), id, context));
        let none = id.is_none() && !matches!(oauth2.grant, file::Grant::JwtBearer(_));
        if none || id.is_none() && !matches!(oauth2.client_auth, file::ClientAuth::Basic | file::ClientAuth::BasicPlain)
        {
            self.problem(at, "there is no client_id", "\"client_id:\"");
        }
        let id = id.unwrap_or_default();
        let (client_key, needs_secret) = match &oauth2.client_auth {
            file::ClientAuth::Basic | file::ClientAuth::BasicPlain | file::ClientAuth::Body => (None, false),
            file::ClientAuth::PrivateKeyJwt(jwt) => (Some(jwt.key.as_str()), false),
            file::ClientAuth::ClientSecretJwt => (None, true),
        };
        if needs_secret != oauth2.client_secret.is_some() && (needs_secret || client_key.is_some()) {
            let (found, wanted) = match needs_secret {
                true => ("there is no secret to sign with", "\"client_secret:\""),
                false => ("the client signs with a key of its own", "no client_secret"),
            };
            self.problem(&format!("{at}/client_auth"), found, wanted);
        }
        let mut secrets = secrets.clone();
        let grant = match &oauth2.grant {
            file::Grant::ClientCredentials => None,
            file::Grant::Password(password) => Some(password.secret.as_str()),
            file::Grant::JwtBearer(jwt) => Some(jwt.key.as_str()),
            file::Grant::RefreshToken(refresh) => Some(refresh.secret.as_str()),
            file::Grant::AuthorizationCode(_) => None,
        };
        let names = [("client_secret", oauth2.client_secret.as_deref()), ("client_auth", client_key), ("grant", grant)];
        for (key, name) in names.into_iter().filter_map(|(key, name)| Some((key, name?))) {
            if !matches!(file.variables.get(name), Some(Variable::Secret(_))) {
                let wanted = "the name of a variable that is a secret";
                self.problem(&format!("{at}/{key}"), format!("\"{name}\" is no secret variable"), wanted);
            }
        }
        let mut assertions = Vec::new();
        let who = [("iss", &id), ("aud", &url)];
        if let file::Grant::JwtBearer(jwt) = &oauth2.grant {
            let at = format!("{at}/grant/jwt_bearer");
            assertions.extend(self.assertion(&at, jwt, &who, context, &secrets).map(|a| (oauth2::ASSERTION, a)));
        }
        let client = match (&oauth2.client_auth, &oauth2.client_secret) {
            (file::ClientAuth::PrivateKeyJwt(jwt), _) => Some(jwt.clone()),
            (file::ClientAuth::ClientSecretJwt, Some(secret)) => Some(file::Jwt::shared(secret)),
            _ => None,
        };
        if let Some(jwt) = client {
            let (at, who) = (format!("{at}/client_auth"), [who[0], who[1], ("sub", &id)]);
            let made = self.assertion(&at, &jwt, &who, context, &secrets);
            assertions.extend(made.map(|a| (oauth2::CLIENT_ASSERTION, a)));
        }
        if let Some(secret) = oauth2.client_secret.as_ref().and_then(|name| secrets.get(name)) {
            let both = Secret::new(oauth2::basic(
                &id,
                secret.expose(),
                matches!(oauth2.client_auth, file::ClientAuth::BasicPlain),
            ));
            secrets.insert(oauth2::BASIC.to_owned(), both);
        }
        // A path is a template, and this one is made already.
        let path = path.replace('{', "%7B");
        let session = oauth2::session(oauth2, &path, oauth2::For::Use);
        let session = self.session(at, &session, (context, &secrets), Some(base.clone()));
        let (mut refresh, mut sign_in) = (None, None);
        match &oauth2.grant {
            file::Grant::RefreshToken(file::RefreshToken { secret }) => {
                refresh = secrets.get(secret).map(|first| Refresh::new(Some(first.clone()), [&url, &id]));
            }
            file::Grant::AuthorizationCode(file) => {
                refresh = Some(Refresh::new(None, [&url, &id]));
                let exchange = oauth2::session(oauth2, &path, oauth2::For::SignIn);
                let exchange = self.session(at, &exchange, (context, &secrets), Some(base));
                let (assertions, refresh) = (assertions.clone(), Some(Refresh::new(None, [&url, &id])));
                let exchange = SessionAuth { assertions, refresh, ..exchange };
                let mut parameters = vec![("client_id".to_owned(), id.clone())];
                let mut put = |maker: &mut Self, at: String, name: &str, text: &str| {
                    parameters.push((name.to_owned(), maker.now(&at, text, context)));
                };
                if let Some(scope) = &oauth2.scope {
                    put(self, format!("{at}/scope"), "scope", scope);
                }
                let at = format!("{at}/grant/authorization_code");
                for (name, text) in &file.more {
                    put(self, format!("{at}/more/{name}"), name, text);
                }
                let authorize_url = self.now(&format!("{at}/authorize_url"), &file.authorize_url, context);
                let redirect = file.redirect.as_deref().unwrap_or(sign_in::LOOPBACK);
                let redirect = self.now(&format!("{at}/redirect"), redirect, context);
                for (key, url) in [("authorize_url", &authorize_url), ("redirect", &redirect)] {
                    if !url.starts_with("https://") && !url.starts_with("http://") {
                        self.problem(&format!("{at}/{key}"), "no web address", "https://host/path");
                    }
                }
                sign_in = Some(Box::new(SignIn { authorize_url, redirect, parameters, exchange }));
            }
            _ => {}
        }
        Auth::Session(Box::new(SessionAuth { assertions, refresh, sign_in, ..session }))
    }

    /// `who`: the claims that stand unless the file says otherwise; an empty one says nothing.
    fn assertion(
        &mut self,
        at: &str,
        jwt: &file::Jwt,
        who: &[(&str, &String)],
        context: &BTreeMap<String, Value>,
        secrets: &BTreeMap<String, Secret>,
    ) -> Option<Assertion> {
        let header = jwt.header.iter().map(|(name, text)| {
            let text = self.now(&format!("{at}/header/{name}"), text, context);
            (name.clone(), text)
        });
        let header = header.collect();
        let said = who.iter().filter(|(_, value)| !value.is_empty());
        let mut claims: BTreeMap<_, _> =
            said.map(|(name, value)| ((*name).to_owned(), serde_json::Value::from(value.as_str()))).collect();
        let variables = Value::from_pairs(context.iter().map(|(k, v)| (k.as_str(), v.clone())));
        for (name, value) in &jwt.claims {
            let at = format!("{at}/claims/{name}");
            match self.tree(&at, value).json(&self.env, &variables) {
                Ok(value) => drop(claims.insert(name.clone(), value.unwrap_or_default())),
                Err(why) => self.problem(&at, why, "a template over the variables"),
            }
        }
        if !(1..=86_400).contains(&jwt.lives_s) {
            self.problem(&format!("{at}/lives_s"), format!("found {}", jwt.lives_s), "1 to 86400 seconds");
        }
        match Assertion::new(jwt.algorithm, secrets.get(&jwt.key)?, &header, claims, jwt.lives_s) {
            Ok(assertion) => Some(assertion),
            Err(why) => {
                let wanted = format!("what {} signs with", jwt.algorithm.as_str());
                self.problem(&format!("{at}/key"), why, wanted);
                None
            }
        }
    }

    fn webhooks(&mut self, file: &File, webhooks: &hook::File, secrets: &BTreeMap<String, Secret>) -> Option<Hooks> {
        let at = "/webhooks";
        self.proof(file, &webhooks.verify, &format!("{at}/verify"));
        let (value, given, time, id) = hook::formula(&webhooks.verify);
        let time = webhooks.time.clone().or(time);
        let id = webhooks.id.clone().or(id);
        let variables = self.known.clone();
        self.known.extend(hook::SEES.map(str::to_owned));
        let timed = time.as_ref().map(|time| (self.expression(&format!("{at}/time/value"), &time.value), time));
        self.known.insert("secret".to_owned());
        let value = self.expression(&format!("{at}/verify/signature/value"), &value);
        let given = self.expression(&format!("{at}/verify/signature/given"), &given);
        let open = webhooks.open.as_ref().map(|open| self.expression(&format!("{at}/open"), open));
        self.known.insert("body".to_owned());
        let shake = webhooks.handshake.as_ref().map(|shake| self.handshake(file, shake, &format!("{at}/handshake")));
        self.known.remove("secret");
        let id = id.as_ref().map(|id| self.expression(&format!("{at}/id"), id));
        let each = webhooks.each.as_ref().map(|each| self.expression(&format!("{at}/each"), each));
        self.known.extend(each.is_some().then(|| "item".to_owned()));
        let mut events = Vec::new();
        for (n, event) in webhooks.events.iter().enumerate() {
            let mut expression = |key: &str, text: &Option<String>| {
                text.as_ref().and_then(|text| self.expression(&format!("{at}/events/{n}/{key}"), text))
            };
            events.push(hook::Told {
                when: expression("when", &event.when),
                customers: expression("customers", &event.customers),
                numbers: expression("numbers", &event.numbers),
            });
        }
        let mut answers = Vec::new();
        for (n, answer) in webhooks.answers.iter().enumerate() {
            let at = format!("{at}/answers/{n}");
            let mut optional = |key: &str, text: &Option<String>| {
                text.as_ref().map_or(Some(None), |text| self.expression(&format!("{at}/{key}"), text).map(Some))
            };
            let (when, name) = (optional("when", &answer.when), optional("name", &answer.name));
            let mut expression = |key: &str, text: &str| self.expression(&format!("{at}/{key}"), text);
            let (key, text) = (expression("key", &answer.key), expression("text", &answer.text));
            let who = expression("who", &answer.who);
            if let (Some(when), Some(name), Some(key), Some(text), Some(who)) = (when, name, key, text, who) {
                answers.push(hook::AnswersTo { when, key, text, who, name });
            }
        }
        let mut decisions = Vec::new();
        for (n, press) in webhooks.decisions.iter().enumerate() {
            let at = format!("{at}/decisions/{n}");
            let when = press.when.as_ref().map(|when| self.expression(&format!("{at}/when"), when));
            let token = self.expression(&format!("{at}/token"), &press.token);
            let who = self.expression(&format!("{at}/who"), &press.who);
            let before = self.known.clone();
            self.known = variables.clone();
            self.known.extend(["body", "message", "code", "by", "good"].map(str::to_owned));
            let answer = press.answer.as_ref().map(|answer| self.reply(answer, &format!("{at}/answer")));
            self.known = before;
            let when = when.map_or(Some(None), |when| when.map(Some));
            let answer = answer.map_or(Some(None), |answer| answer.map(Some));
            if let (Some(when), Some(token), Some(who), Some(answer)) = (when, token, who, answer) {
                decisions.push(hook::Press { when, token, who, answer });
            }
        }
        self.known = variables;
        let time = match timed {
            None => None,
            Some((value, time)) => Some((value?, time.unit, time.within_s)),
        };
        Some(Hooks {
            value: value?,
            given: given?,
            open: open.map_or(Some(None), |open| open.map(Some))?,
            handshake: shake.map_or(Some(None), |shake| shake.map(Some))?,
            time,
            id: id.flatten(),
            each: each.flatten(),
            events,
            answers,
            decisions,
            secrets: secrets.clone(),
            examples: webhooks.examples.clone(),
        })
    }

    /// Whether a secret that is named is one, and a token has its place.
    fn proof(&mut self, file: &File, verify: &hook::Verify, at: &str) {
        let named = match verify {
            hook::Verify::Signature(_) => None,
            hook::Verify::Standard(shared) => Some(&shared.secret),
            hook::Verify::Token(token) => {
                if token.header.is_some() == token.query.is_some() {
                    let wanted = "either \"header:\" or \"query:\"";
                    self.problem(&format!("{at}/token"), "the token has no place, or two", wanted);
                }
                Some(&token.secret)
            }
        };
        if let Some(name) = named.filter(|name| !matches!(file.variables.get(*name), Some(Variable::Secret(_)))) {
            let wanted = "the name of a variable that is a secret";
            self.problem(at, format!("\"{name}\" is no secret variable"), wanted);
        }
    }

    fn reply(&mut self, reply: &hook::Reply, at: &str) -> Option<hook::Replied> {
        match reply {
            hook::Reply::Text(text) => self.expression(&format!("{at}/text"), text).map(hook::Replied::Text),
            hook::Reply::Json(fields) => {
                let mut made = Vec::new();
                for (name, text) in fields {
                    made.extend(self.expression(&format!("{at}/json/{name}"), text).map(|it| (name.clone(), it)));
                }
                (made.len() == fields.len()).then_some(hook::Replied::Json(made))
            }
        }
    }

    /// With the request, `body` and `secret` known.
    fn handshake(&mut self, file: &File, shake: &hook::Handshake, at: &str) -> Option<hook::Shake> {
        let verify = shake.verify.as_ref().map(|verify| {
            self.proof(file, verify, &format!("{at}/verify"));
            let (value, given, ..) = hook::formula(verify);
            let at = format!("{at}/verify/signature");
            Some((self.expression(&format!("{at}/value"), &value)?, self.expression(&format!("{at}/given"), &given)?))
        });
        let answer = self.reply(&shake.answer, &format!("{at}/answer"));
        self.known.remove("secret");
        let when = self.expression(&format!("{at}/when"), &shake.when);
        let verify = verify.map_or(Some(None), |verify| verify.map(Some))?;
        Some(hook::Shake { method: shake.method, when: when?, verify, answer: answer? })
    }

    /// `base`: scheme and host of the login, where they are not the system's.
    fn session(
        &mut self,
        at: &str,
        file: &file::SessionAuth,
        (context, secrets): (&BTreeMap<String, Value>, &BTreeMap<String, Secret>),
        base: Option<String>,
    ) -> SessionAuth {
        // A token endpoint's request is made by us and may use what we sign; a file's own login has nothing of that.
        let sees = if base.is_some() { &oauth2::SEES[..] } else { &["secret"] };
        if file.cookies.is_empty() && file.token.is_none() {
            self.problem(at, "nothing of the login is kept", "\"cookies:\" with their names, or \"token:\"");
        }
        let login = &file.login;
        let step = file::Step {
            name: "log in".to_owned(),
            when: None,
            for_each: None,
            sql: None,
            with: BTreeMap::new(),
            find: None,
            rows: None,
            search: None,
            mail: None,
            method: login.method,
            path: Some(login.path.clone()),
            query: login.query.clone(),
            headers: login.headers.clone(),
            body: login.body.clone(),
            decode: login.decode.clone(),
            charset: login.charset.clone(),
            answer_charset: login.answer_charset.clone(),
            outcome: login.outcome.clone(),
            save: BTreeMap::new(),
            records: None,
        };
        let mut step = self.step_with(&format!("{at}/login"), &step, sees);
        if let What::Web(web) = &mut step.what {
            web.base = base;
        }
        let sign = login.sign.as_ref().and_then(|sign| self.sign(&format!("{at}/login/sign"), sign, secrets));
        let variables = self.known.clone();
        self.known.extend(ANSWER.map(str::to_owned));
        let token = file.token.as_ref().and_then(|token| {
            let at = format!("{at}/token");
            let place = self.place(&at, "token", [&token.header, &token.query, &token.body])?;
            let value = self.expression(&format!("{at}/value"), &token.value)?;
            Some(Token { value, place, prefix: token.prefix.clone() })
        });
        let lives_ms = file.lives_ms.as_ref().and_then(|l| self.expression(&format!("{at}/lives_ms"), l));
        let base = file.base.as_ref().and_then(|base| {
            let at = format!("{at}/base");
            let plain = |host: &str| host.chars().all(|c| c.is_ascii_alphanumeric() || "-.:_".contains(c));
            for (n, host) in base.hosts.iter().enumerate() {
                // `.com` would be everybody's.
                if !plain(host) || host.trim_start_matches('.').split('.').filter(|part| !part.is_empty()).count() < 2 {
                    let wanted = "a host, or a dot and the domain that all are below: .my.salesforce.com";
                    self.problem(&format!("{at}/hosts/{n}"), format!("\"{host}\" is too much, or no host"), wanted);
                }
            }
            if base.hosts.is_empty() {
                self.problem(&format!("{at}/hosts"), "no host may be named", "at least one");
            }
            Some((self.expression(&format!("{at}/value"), &base.value)?, base.hosts.clone()))
        });
        let expired = file.expired.iter().enumerate().map(|(n, expired)| {
            let at = format!("{at}/expired/{n}");
            if expired.status.is_none() && expired.when.is_none() {
                self.problem(&at, "every answer would be an expired session", "\"status:\" or \"when:\"");
            }
            Rule {
                status: expired.status.clone(),
                when: expired.when.as_ref().and_then(|w| self.expression(&format!("{at}/when"), w)),
                is: file::Is::AuthExpired,
                reason: None,
                wait_ms: None,
                blocked_ms: None,
            }
        });
        let expired = expired.collect();
        self.known = variables;
        // Length before each part, so that no two lists of parts look the same.
        let mut hash = Sha256::new();
        let values = context.iter().map(|(k, v)| (k.as_str(), v.to_string()));
        let secrets_too = secrets.iter().map(|(k, v)| (k.as_str(), v.expose().to_owned()));
        for (key, value) in values.chain(secrets_too) {
            for part in [key.as_bytes(), value.as_bytes()] {
                hash.update(part.len().to_le_bytes());
                hash.update(part);
            }
        }
        SessionAuth {
            login: Operation {
                spec: &operation::LOGIN,
                title: None,
                deadline_ms: login.deadline_ms.unwrap_or(10_000).clamp(1, 600_000),
                idempotency: Idempotency::Read,
                writable: Vec::new(),
                cache: file::Cache::default(),
                by: Vec::new(),
                inputs: Vec::new(),
                steps: vec![step],
                output: None,
                fields: None,
                keep: None,
                one: false,
                cap: 0,
                phones: Vec::new(),
                page: None,
            },
            sign,
            secrets: secrets.clone(),
            assertions: Vec::new(),
            cookies: file.cookies.clone(),
            token,
            lives_ms,
            base,
            refresh: None,
            sign_in: None,
            expired,
            fingerprint: hash.finalize().into(),
        }
    }

    /// The one place of what proves who we are; `places` are header, query and body.
    fn place(&mut self, at: &str, what: &str, places: [&Option<String>; 3]) -> Option<Place> {
        match places {
            [Some(name), None, None] => return Some(Place::Header(name.clone())),
            [None, Some(name), None] => return Some(Place::Query(name.clone())),
            [None, None, Some(pointer)] if pointer.len() > 1 && pointer.starts_with('/') => {
                return Some(Place::Body(pointer.split('/').skip(1).map(str::to_owned).collect()));
            }
            _ => {}
        }
        let found = if places.iter().any(|p| p.is_some()) { "two places, or none that can be" } else { "no place" };
        let wanted = "one of: header, query, body (a pointer: /params/token)";
        self.problem(at, format!("the {what} has {found}"), wanted);
        None
    }

    fn sign(&mut self, at: &str, file: &file::Sign, secrets: &BTreeMap<String, Secret>) -> Option<Sign> {
        let place = self.place(at, "signature", [&file.header, &file.query, &file.body]);
        let outside = self.known.clone();
        self.known.extend(EACH.iter().chain(&sign::SEES).map(|name| (*name).to_owned()));
        if !matches!(place, Some(Place::Body(_))) {
            self.known.insert("body".to_owned());
        }
        let value = self.expression(&format!("{at}/value"), &file.value);
        self.known = outside;
        let text = sign::text_in(&file.value).and_then(|text| Compiled::new(text).ok());
        Some(Sign { value: value?, place: place?, prefix: file.prefix.clone(), secrets: secrets.clone(), text })
    }

    /// What may be changed can be asked for by the same name, or nobody knew whether it is still as it was shown.
    fn writable(&mut self, at: &str, name: &str, file: &file::OperationFile, whole: &File) {
        if name != operation::UPDATE {
            if !file.writable.is_empty() {
                self.problem(
                    &format!("{at}/writable"),
                    "nothing is changed here",
                    "\"writable:\" only at customer.update",
                );
            }
            return;
        }
        if file.writable.is_empty() {
            self.problem(at, "it does not say which fields may be changed", "\"writable:\" with their names");
        }
        let shown = whole.operations.get("customer.get").and_then(|get| get.output.as_ref().or(get.fields.as_ref()));
        for field in file.writable.iter().filter(|field| shown.is_none_or(|shown| !shown.contains_key(*field))) {
            let found = format!("customer.get does not give \"{field}\"");
            self.problem(&format!("{at}/writable"), found, "fields that customer.get gives by the same name");
        }
    }

    fn operation(
        &mut self,
        at: &str,
        spec: &'static operation::Operation,
        file: &file::OperationFile,
        whole: &File,
    ) -> Operation {
        let idempotency = match (&file.idempotent, spec.writes) {
            (_, false) => Idempotency::Read,
            (Some(IdempotentFile::Key), _) => Idempotency::Key,
            (Some(IdempotentFile::Put), _) => Idempotency::Put,
            (Some(IdempotentFile::Lookup(find)), _) => Idempotency::Lookup(find.clone()),
            (Some(IdempotentFile::None), _) => Idempotency::None,
            (None, true) => {
                let wanted = "\"idempotent:\" key, put, none, or lookup: and the operation that finds";
                self.problem(at, "a write must say what makes it safe to do again", wanted);
                Idempotency::None
            }
        };
        let page = self.page(at, spec.name, file);
        if file.steps.is_empty() {
            self.problem(&format!("{at}/steps"), "there are no steps", "at least one");
        }
        if file.output.is_some() == file.fields.is_some() {
            self.problem(
                at,
                "the answer has no shape, or two",
                "either \"output:\" for one object or \"fields:\" for a list",
            );
        }
        if spec.name == "customer.by_phone" && file.phones.is_none() {
            self.problem(at, "the system's filter is believed", "\"phones:\" with the fields that are compared");
        }
        if spec.name == "customer.by_account" && file.keep.is_none() {
            self.problem(at, "the system's filter is believed", "\"keep:\" that compares the account itself");
        }
        if !file.by.is_empty() && (spec.writes || !spec.required.contains(&"customer")) {
            let wanted = "\"by:\" only at operations that read something of a customer";
            self.problem(&format!("{at}/by"), "this operation is not told of a customer to look for", wanted);
        }
        let steps = file.steps.iter().enumerate().map(|(n, s)| self.step(&format!("{at}/steps/{n}"), s));
        let steps: Vec<Step> = steps.collect();
        if !spec.writes && steps.iter().any(|step| matches!(step.what, What::Mail(Some(_)))) {
            let wanted = "\"mail:\" in mail.send or notify";
            self.problem(&format!("{at}/steps"), "a question would send a mail", wanted);
        }
        let outside = self.known.clone();
        self.known.extend(ANSWER.map(str::to_owned));
        let output = file.output.as_ref().map(|o| self.expressions(&format!("{at}/output"), o));
        self.known.clone_from(&outside);
        self.known.insert("record".to_owned());
        let fields = file.fields.as_ref().map(|f| self.expressions(&format!("{at}/fields"), f));
        let keep = file.keep.as_ref().and_then(|k| self.expression(&format!("{at}/keep"), k));
        self.known = outside;
        let phones = file.phones.clone().unwrap_or_default();
        for name in phones.keys() {
            if !file.fields.as_ref().is_some_and(|f| f.contains_key(name)) {
                self.problem(
                    &format!("{at}/phones/{name}"),
                    "there is no such field",
                    "a name that stands in \"fields:\"",
                );
            }
        }
        if matches!(spec.name, "customer.by_phone" | "customer.by_account" | "customer.search")
            && !file.fields.as_ref().is_some_and(|f| f.contains_key("id"))
        {
            self.problem(&format!("{at}/fields"), "a customer has no id", "a field \"id:\"");
        }
        self.writable(at, spec.name, file, whole);
        Operation {
            spec,
            writable: file.writable.clone(),
            title: file.title.clone(),
            deadline_ms: file.deadline_ms.or(whole.deadline_ms).unwrap_or(5_000).clamp(1, 600_000),
            idempotency,
            cache: file.cache,
            by: file.by.clone(),
            inputs: file.inputs.iter().map(|(k, v)| (k.clone(), from_json(v))).collect(),
            steps,
            output,
            fields,
            keep,
            one: file.one,
            // One page of a list is as long as was asked for.
            cap: file.cap.unwrap_or_else(|| file.page.as_ref().map_or(100, |p| p.size.max(100))) as usize,
            phones: phones.into_iter().collect(),
            page,
        }
    }

    fn step(&mut self, at: &str, file: &file::Step) -> Step {
        self.step_with(at, file, &[])
    }

    /// `sent`: names that only what is sent in headers and body may use.
    fn step_with(&mut self, at: &str, file: &file::Step, sent: &[&str]) -> Step {
        let when = file.when.as_ref().and_then(|w| self.expression(&format!("{at}/when"), w));
        let for_each = file.for_each.as_ref().and_then(|e| self.expression(&format!("{at}/for_each"), e));
        let outside = self.known.clone();
        if for_each.is_some() {
            self.known.insert("item".to_owned());
        }
        let answered = self.known.clone();
        self.foreign(at, self.kind, file);
        let what = match (self.kind, &self.read.value.csv) {
            (Kind::Web, _) => self.web_step(at, file, sent),
            (Kind::Csv, Some(csv)) => self.csv_step(at, file, csv),
            (Kind::Ldap, _) => self.ldap_step(at, file),
            (Kind::Smtp, _) => self.mail_step(at, file),
            (Kind::Sql | Kind::Csv, _) => self.sql_step(at, file),
        };
        self.known = answered;
        if self.kind == Kind::Web {
            self.known.extend(ANSWER.map(str::to_owned));
        } else {
            self.known.insert("body".to_owned());
        }
        let outcome = file.outcome.iter().enumerate().map(|(n, rule)| self.rule(&format!("{at}/outcome/{n}"), rule));
        let mut outcome: Vec<Rule> = outcome.collect();
        if outcome.is_empty() && self.kind != Kind::Web {
            outcome.push(Rule {
                status: None,
                when: None,
                is: file::Is::Ok,
                reason: None,
                wait_ms: None,
                blocked_ms: None,
            });
        }
        if !outcome.iter().any(|r| r.is == file::Is::Ok) {
            self.problem(&format!("{at}/outcome"), "nothing is a success", "a rule with \"is: ok\"");
        }
        let save = self.expressions(&format!("{at}/save"), &file.save);
        let records = file.records.as_ref().and_then(|r| self.expression(&format!("{at}/records"), r));
        self.known = outside;
        self.known.extend(file.save.keys().cloned());
        Step { name: file.name.clone(), when, for_each, what, outcome, save, records }
    }

    fn sql_step(&mut self, at: &str, file: &file::Step) -> What {
        self.known.extend(EACH.map(str::to_owned));
        let with = file.with.iter().map(|(k, v)| (k.clone(), self.tree(&format!("{at}/with/{k}"), v))).collect();
        let statement = match &file.sql {
            None => Err("there is none".to_owned()),
            Some(text) => Statement::new(text),
        };
        let statement = statement.unwrap_or_else(|why| {
            self.problem(&format!("{at}/sql"), why, "one SELECT, with :name where a value of \"with:\" goes");
            Statement::default()
        });
        let names = statement.names();
        let missing: Vec<&str> = names.iter().copied().filter(|n| !file.with.contains_key(*n)).collect();
        let unused: Vec<&str> = file.with.keys().map(String::as_str).filter(|n| !names.contains(n)).collect();
        for (names, found, wanted) in [
            (missing, "a parameter has no value", "in \"with:\""),
            (unused, "\"with:\" gives a value that the statement does not use", "a statement with"),
        ] {
            for name in names {
                self.problem(&format!("{at}/sql"), format!("{found}: {name}"), format!("{wanted} {name}"));
            }
        }
        What::Sql { statement, with }
    }

    fn web_step(&mut self, at: &str, file: &file::Step, sent: &[&str]) -> What {
        let path = file.path.as_deref().unwrap_or_default();
        if !path.starts_with('/') {
            self.problem(&format!("{at}/path"), "the path does not begin with a slash", "/...");
        }
        let path = self.leaf(&format!("{at}/path"), path, "path");
        self.known.extend(EACH.map(str::to_owned));
        let query = file.query.iter().map(|(k, v)| (k.clone(), self.tree(&format!("{at}/query/{k}"), v))).collect();
        self.known.extend(sent.iter().map(|name| (*name).to_owned()));
        let headers = self.headers(&format!("{at}/headers"), &file.headers);
        let body = file.body.as_ref().map(|body| self.body(&format!("{at}/body"), body));
        let charsets = self.charsets(at, file);
        let is_call = file.body.as_ref().is_some_and(file::Body::is_call);
        let method = if is_call && file.method == file::Method::Get { file::Method::Post } else { file.method };
        if matches!(body, Some(Body::Query(_))) && !matches!(file.method, file::Method::Get | file::Method::Delete) {
            self.problem(&format!("{at}/body"), "this request has a body", "\"method:\" GET or DELETE");
        }
        let answered = || file.body.as_ref().map_or(file::Decode::Json, file::Body::answered_in);
        let decode = file.decode.clone().unwrap_or_else(answered);
        if matches!(decode, file::Decode::Jsonrpc) && !matches!(body, Some(Body::JsonRpc(..))) {
            self.problem(&format!("{at}/decode"), "this request is no call by JSON-RPC", "\"body: {jsonrpc: ...}\"");
        }
        What::Web(Box::new(WebStep { base: None, method, path, query, headers, body, charsets, decode }))
    }

    fn charsets(&mut self, at: &str, file: &file::Step) -> Charsets {
        let whole = (&self.read.value.charset, &self.read.value.answer_charset);
        let sent = file.charset.as_ref().or(whole.0.as_ref());
        let answers = file.answer_charset.as_ref().or(whole.1.as_ref());
        Charsets::named(sent.map(String::as_str), answers.map(String::as_str)).unwrap_or_else(|(key, why)| {
            let own = if key == "charset" { &file.charset } else { &file.answer_charset };
            let at = if own.is_some() { format!("{at}/{key}") } else { format!("/{key}") };
            self.problem(&at, why, "a name of the WHATWG: utf-8, gbk, gb18030, big5");
            Charsets::default()
        })
    }

    fn rule(&mut self, at: &str, file: &file::Rule) -> Rule {
        if file.is != file::Is::RateLimited && (file.blocked_ms.is_some() || file.wait_ms.is_some()) {
            self.problem(
                at,
                "a wait, and nothing was asked too often",
                "wait_ms and blocked_ms only with is: rate_limited",
            );
        }
        Rule {
            status: file.status.clone(),
            when: file.when.as_ref().and_then(|w| self.expression(&format!("{at}/when"), w)),
            is: file.is,
            reason: file.reason.clone(),
            wait_ms: file.wait_ms.as_ref().and_then(|w| self.expression(&format!("{at}/wait_ms"), w)),
            blocked_ms: file.blocked_ms,
        }
    }

    fn header_name(&mut self, at: &str, name: &str) {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
            self.problem(at, "no name of a header", "letters, digits and hyphens");
        }
    }

    fn headers(&mut self, at: &str, map: &BTreeMap<String, String>) -> Vec<(String, Leaf)> {
        map.iter()
            .map(|(name, text)| {
                let at = format!("{at}/{name}");
                self.header_name(&at, name);
                (name.clone(), self.leaf(&at, text, "text"))
            })
            .collect()
    }

    fn expressions(&mut self, at: &str, map: &BTreeMap<String, String>) -> Vec<(String, Compiled)> {
        map.iter()
            .filter_map(|(name, text)| Some((name.clone(), self.expression(&format!("{at}/{name}"), text)?)))
            .collect()
    }

    pub(super) fn expression(&mut self, at: &str, text: &str) -> Option<Compiled> {
        match Compiled::new(text) {
            Ok(compiled) => {
                self.names(at, compiled.names());
                Some(compiled)
            }
            Err(why) => {
                self.problem(at, why, "an expression, without {{ }}");
                None
            }
        }
    }

    fn names(&mut self, at: &str, names: impl IntoIterator<Item = String>) {
        let names: Vec<String> = names.into_iter().collect();
        self.used.extend(names.iter().cloned());
        self.used_ever.extend(names.iter().cloned());
        let mut unknown: Vec<String> =
            names.into_iter().filter(|n| !self.known.contains(n) && !GLOBALS.contains(&n.as_str())).collect();
        unknown.sort();
        for name in unknown {
            let known: Vec<&str> = self.known.iter().map(String::as_str).collect();
            let wanted = format!("one of: {}", known.join(", "));
            self.problem(at, format!("\"{name}\" is not known here"), wanted);
        }
    }

    pub(super) fn map<'a>(
        &mut self,
        at: &str,
        map: impl IntoIterator<Item = (&'a String, &'a serde_json::Value)>,
    ) -> Tree {
        let mut entries: Vec<_> = map.into_iter().map(|(k, v)| (format!("{at}/{k}"), k, v)).collect();
        entries.sort_by_key(|(at, ..)| self.read.place_of(at));
        Tree::Map(entries.into_iter().map(|(at, k, v)| (k.clone(), self.tree(&at, v))).collect())
    }

    pub(super) fn tree(&mut self, at: &str, value: &serde_json::Value) -> Tree {
        match value {
            serde_json::Value::String(text) => Tree::Leaf(self.leaf(at, text, "text")),
            serde_json::Value::Array(items) => {
                Tree::List(items.iter().enumerate().map(|(n, v)| self.tree(&format!("{at}/{n}"), v)).collect())
            }
            serde_json::Value::Object(map) => match map.get("json_text").filter(|_| map.len() == 1) {
                Some(inside) => Tree::JsonText(Box::new(self.tree(&format!("{at}/json_text"), inside))),
                None => self.map(at, map),
            },
            other => Tree::Fixed(other.clone()),
        }
    }

    pub(super) fn leaf(&mut self, at: &str, text: &str, place: &str) -> Leaf {
        if !text.contains("{{") && !text.contains("{%") {
            return Leaf::Fixed(text.to_owned());
        }
        let single = text.trim().strip_prefix("{{").and_then(|t| t.strip_suffix("}}"));
        if place == "text"
            && let Some(inside) = single.filter(|t| !t.contains("{{") && !t.contains("}}") && !t.contains("{%"))
        {
            return self.expression(at, inside.trim()).map_or(Leaf::Fixed(String::new()), Leaf::Value);
        }
        if let Some(unknown) = unknown_word(text, true) {
            self.problem(at, unknown, "a template");
        }
        self.templates += 1;
        let name = format!("{place}/{}", self.templates);
        match self.env.add_template_owned(name.clone(), text.to_owned()) {
            Ok(()) => {
                let names = self.env.get_template(&name).map(|t| t.undeclared_variables(false)).unwrap_or_default();
                self.names(at, names);
            }
            Err(error) => {
                let why = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
                self.problem(at, why, "a template");
            }
        }
        Leaf::Template(name)
    }
}
