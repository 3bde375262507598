//! The shape of a connector file. Unknown keys are refused; what the words mean stands beside them and in
//! `config/connectors/redmine.yaml`, which uses most of them.
//!
//! Texts called *template* are minijinja templates (`/issues/{{ target.id }}.json`); texts called *expression* are the
//! inside of `{{ }}` (`body.issue.id`). In both stand the variables, the operation's inputs, what earlier steps saved,
//! `item` in a `for_each`, and once there is an answer `status`, `headers` (lower-case names) and `body`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::beside::BesideFile;
use super::limits::file::{BreakerFile, LimitsFile, OperationLimitsFile, RetriesFile};
use crate::{files::SecretRef, words::SystemId};

use super::kinds::{CsvFile, LdapFile, MailFile, RowsFile, SearchFile, SmtpFile};
use super::{standing::StandsOn, version::VersionFile};

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// The id: the same as the file's name without `.yaml`.
    pub connector: SystemId,
    /// Version of this shape: 1.
    pub schema: u32,
    /// A file that nobody has read yet: `connector test` and `try` take it, the daemon leaves it out.
    #[serde(default)]
    pub draft: bool,
    /// What agents see.
    pub title: Option<String>,
    /// The vendor's API version this file was written for; templates see it as `api_version`.
    pub api: Option<String>,
    /// How that is said to the system, and what the system may say of it.
    pub version: Option<VersionFile>,
    /// A server that this file was proved on, or the pages that it was written from.
    pub stands_on: Option<StandsOn>,
    /// This file is asked in another's place for some calls.
    pub canary: Option<Box<BesideFile>>,
    /// This file is asked besides another for some calls, and only compared; it never writes.
    pub shadow: Option<Box<BesideFile>>,
    #[serde(default)]
    pub variables: BTreeMap<String, Variable>,
    /// Words for codes; each is seen under its name, like a variable: `record.state | table(order_states)`.
    #[serde(default)]
    pub tables: BTreeMap<String, BTreeMap<String, Value>>,
    /// Where a system that speaks HTTP is. Template over the variables: scheme, host, perhaps a path; no slash at the end. A file has one of `base_url`, `sql`, `csv`, `ldap` and `smtp`.
    pub base_url: Option<String>,
    /// Where a database is, in place of `base_url`.
    pub sql: Option<SqlFile>,
    /// Where a table is, in place of `base_url`.
    pub csv: Option<CsvFile>,
    /// Where a directory is, in place of `base_url`.
    pub ldap: Option<LdapFile>,
    /// Where a mail server is, in place of `base_url`.
    pub smtp: Option<SmtpFile>,
    /// Hosts (`host` or `host:port`) that may be asked besides that of `base_url`.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// The character set of what is sent (a name of the WHATWG: gbk, gb18030, big5), where it is not UTF-8; also of answers that say none.
    pub charset: Option<String>,
    /// The character set of answers, whatever they say. A byte order mark is obeyed all the same.
    pub answer_charset: Option<String>,
    /// A PEM file with the root that signed the system's certificate, in place of the public roots.
    pub tls_ca: Option<String>,
    #[serde(default)]
    pub auth: Auth,
    /// A token against forged requests (CSRF) that the system wants with each request that changes something, beside `auth`.
    pub csrf: Option<Box<Csrf>>,
    /// What the system tells by itself, at `/v1/hooks/` and this connector's name.
    pub webhooks: Option<super::hook::File>,
    /// Computed over each request of an operation, beside `auth`.
    pub sign: Option<Sign>,
    /// Further signatures, each in a place of its own. Those in a body come first; others see that body.
    #[serde(default)]
    pub also_sign: Vec<Sign>,
    /// How numbers stored without country or area are read.
    #[serde(default)]
    pub numbers: Numbers,
    /// Requests at one time; background work leaves one place free for a ringing phone. Default 4.
    pub concurrency: Option<u32>,
    pub limits: Option<LimitsFile>,
    pub retries: Option<RetriesFile>,
    pub breaker: Option<BreakerFile>,
    /// For each operation that has none of its own. Default 5000.
    pub deadline_ms: Option<u64>,
    /// Sent with every request; values are templates.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Further secrets that stand in headers of each request to the system, the login's too: the header's name, and the name of a secret variable (GLPI's `App-Token` beside its session).
    #[serde(default)]
    pub secret_headers: BTreeMap<String, String>,
    /// Keep all numbers of the system here, read by `customer.list`, so that a customer is found in whatever spelling it is stored.
    pub index: Option<IndexFile>,
    /// Keys that this system's customers have in common with other systems' (a customer number, a member number, an e-mail address): the
    /// key's name, the same in every file, and the field of `fields:` that holds it. Records of two systems with one key of equal
    /// value are one person, and by such a key the other systems are asked (`by:`).
    #[serde(default)]
    pub keys: BTreeMap<String, String>,
    pub operations: BTreeMap<String, OperationFile>,
    #[serde(default)]
    pub examples: Vec<Example>,
}

/// A database. It is only read: a connection that cannot write, and steps that are one SELECT each.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SqlFile {
    Sqlite(SqliteFile),
    /// PostgreSQL from 9.6.
    Postgres(ServerFile),
    /// MySQL from 5.7.8 and MariaDB from 10.1.
    Mysql(ServerFile),
}

/// A database server. The session is read-only whatever the user may do; give it a user that may only read all the same.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerFile {
    /// Template over the variables, as are `database` and `user`.
    pub host: String,
    /// Default: 5432, and 3306 for MySQL.
    pub port: Option<u16>,
    pub database: String,
    pub user: String,
    /// The name of a secret variable: the password.
    pub secret: Option<String>,
    /// The server's certificate is verified, by `tls_ca` or the public roots. `false`: in the clear, for a server on this machine.
    #[serde(default = "yes")]
    pub tls: bool,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqliteFile {
    /// Template over the variables: the file.
    pub path: String,
}

/// A value that differs from site to site. Texts and choices may be set in linecard.yaml too.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Variable {
    Text(String),
    Choice(Choice),
    /// Never seen by templates; named in `auth`.
    Secret(SecretRef),
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    pub of: Vec<String>,
    pub value: String,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    #[default]
    None,
    Key(KeyAuth),
    Basic(BasicAuth),
    /// Boxed: it is twice as large as the others, and most files have none.
    Session(Box<SessionAuth>),
    Oauth2(Box<Oauth2Auth>),
}

/// A key in a header, in the query, in the body or in the path.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyAuth {
    pub header: Option<String>,
    pub query: Option<String>,
    /// Template over the variables: what stands in each path before the key (`/services/`); a step's own path follows it, and one that is `/` adds nothing.
    pub path: Option<String>,
    /// As a session token's `body`: `/params/2`.
    pub body: Option<String>,
    /// Before the key, for example `Bearer `.
    #[serde(default)]
    pub prefix: String,
    /// The name of a secret variable.
    pub secret: String,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// Template over the variables.
    pub user: String,
    /// The name of a secret variable.
    pub secret: String,
}

/// One login for all operations: what it gives goes with every request until the system says that it is over. Then there is one new
/// login, whoever notices first, and the request that noticed is made once more.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionAuth {
    pub login: Login,
    /// Cookies of the login's answer that are sent back; a name that ends with `*` means all that begin so. One that the answer does not set is `broken`.
    #[serde(default)]
    pub cookies: Vec<String>,
    /// What else of the login's answer proves who we are.
    pub token: Option<Token>,
    /// Expression over the login's answer: for how many milliseconds it is good. Absent: until the system says otherwise.
    pub lives_ms: Option<String>,
    /// Where requests go from then on, if the login's answer says it.
    pub base: Option<BaseFile>,
    /// How an answer says that the session is over; tried before each step's own `outcome`, as is a plain 401 after it.
    #[serde(default)]
    pub expired: Vec<Expired>,
}

/// An address that comes with a session (Salesforce's `instance_url`) and takes the place of `base_url`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BaseFile {
    /// Expression over the login's answer: scheme, host, perhaps a path. One that gives nothing leaves `base_url`.
    pub value: String,
    /// The hosts it may name, and no others: `api.example.com`, or `.my.salesforce.com` for all below it; with a port only where one is written.
    pub hosts: Vec<String>,
}

/// A token of OAuth 2.0 (RFC 6749), sent as `Authorization: Bearer`. It is a session: asked for when it is needed, and anew when it is over.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Oauth2Auth {
    /// Template over the variables: the whole address of the token endpoint. Its host may be asked besides that of `base_url`.
    pub token_url: String,
    #[serde(default)]
    pub grant: Grant,
    /// Template over the variables. Only `jwt_bearer` does without it.
    pub client_id: Option<String>,
    /// The name of a secret variable; absent: a public client, or one that signs.
    pub client_secret: Option<String>,
    /// Where id and secret of the client stand.
    #[serde(default)]
    pub client_auth: ClientAuth,
    /// Template over the variables.
    pub scope: Option<String>,
    /// What else the endpoint wants in the form: `audience`, `resource`, `tenant`. Templates over the variables.
    #[serde(default)]
    pub more: BTreeMap<String, String>,
    /// Where requests go, if the token's answer says it.
    pub base: Option<BaseFile>,
    /// How else than by 401 an answer says that the token is over.
    #[serde(default)]
    pub expired: Vec<Expired>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// RFC 6749, section 4.4: the client itself.
    #[default]
    ClientCredentials,
    /// Section 4.3: a user of the system.
    Password(BasicAuth),
    /// RFC 7523, section 2.1: a statement that we sign with a key of our own (Salesforce, Google, SAP).
    JwtBearer(Jwt),
    /// Section 6: what an administrator's sign-in gave once. Where each use gives another one, that is kept.
    RefreshToken(RefreshToken),
    /// Section 4.1, with PKCE (RFC 7636): an administrator signs in by `linecard connector sign-in`, and what that gives is kept.
    AuthorizationCode(SignIn),
}

/// A sign-in in a browser.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// Template over the variables: the address to open.
    pub authorize_url: String,
    /// As it is registered at the system. One of the loopback is listened at (RFC 8252), another one is pasted. Default: any port of 127.0.0.1.
    pub redirect: Option<String>,
    /// What else stands in the address: `access_type: offline`, `prompt: consent`. Templates over the variables.
    #[serde(default)]
    pub more: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshToken {
    /// The name of a secret variable.
    pub secret: String,
}

/// A statement that is signed anew for each token request.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    /// The name of a secret variable: a private key in PEM, for HS256 the secret that both know.
    pub key: String,
    #[serde(default)]
    pub algorithm: Algorithm,
    /// Besides `alg` and `typ`: `kid`, `x5t`. Templates over the variables.
    #[serde(default)]
    pub header: BTreeMap<String, String>,
    /// What is said. `iss` is the client's id and `aud` the token endpoint's address unless the file says otherwise, `iat`, `exp` and `jti` are made; null leaves
    /// one out. Texts are templates over the variables.
    #[serde(default)]
    pub claims: BTreeMap<String, Value>,
    /// From `iat` to `exp`. Default 180: Salesforce takes no longer ones.
    #[serde(default = "three_minutes")]
    pub lives_s: u32,
}

impl Jwt {
    /// That of a client whose key is its secret.
    #[must_use]
    pub fn shared(secret: &str) -> Self {
        let (header, claims) = (BTreeMap::new(), BTreeMap::new());
        Self { key: secret.to_owned(), algorithm: Algorithm::HS256, header, claims, lives_s: three_minutes() }
    }
}

fn three_minutes() -> u32 {
    180
}

/// RFC 7518, section 3.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Algorithm {
    #[default]
    RS256,
    ES256,
    HS256,
}

impl Algorithm {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::ES256 => "ES256",
            Self::HS256 => "HS256",
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// HTTP basic authentication, which every server takes that follows the RFC (section 2.3.1).
    #[default]
    Basic,
    /// The same without the encoding that the RFC wants, for servers that do not undo it (Glewlwyd 2.7): it matters where id or secret has other characters than
    /// letters and digits.
    BasicPlain,
    /// `client_id` and `client_secret` in the form.
    Body,
    /// RFC 7523, section 2.2: a statement signed with the client's own key; `sub` is the client's id.
    PrivateKeyJwt(Jwt),
    /// OpenID Connect Core, section 9: the same, with the client's secret as the key (HS256).
    ClientSecretJwt,
}

/// Fetched once, by somebody who is signed in, and sent with each request whose method is not GET until one is refused for it; then it is fetched anew, once, and that
/// request made once more.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Csrf {
    pub fetch: Fetch,
    /// Cookies of that answer that belong to the token; a name that ends with `*` means all that begin so.
    #[serde(default)]
    pub cookies: Vec<String>,
    pub token: Token,
    /// How an answer says that the token is over or was none.
    pub refused: Vec<Expired>,
    /// Expression over the answer: for how many milliseconds it is good. Absent: until it is refused.
    pub lives_ms: Option<String>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fetch {
    #[serde(default)]
    pub method: Method,
    /// Template.
    pub path: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub query: BTreeMap<String, Value>,
    pub decode: Option<Decode>,
    /// As in a step.
    pub outcome: Vec<Rule>,
}

/// The request that logs in. In `headers` and `body`, and nowhere else in the file, templates see the secrets, as `secret.NAME`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    #[serde(default = "post")]
    pub method: Method,
    /// Template.
    pub path: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub query: BTreeMap<String, Value>,
    pub body: Option<Body>,
    /// Computed over this request.
    pub sign: Option<Sign>,
    pub decode: Option<Decode>,
    /// As the file's, for this request alone.
    pub charset: Option<String>,
    pub answer_charset: Option<String>,
    /// As in a step. What is neither `ok` nor a trouble of the line (`busy`, `rate_limited`) is a refusal, and is not tried again soon.
    pub outcome: Vec<Rule>,
    /// At most so long, whoever waits for it. Default 10000.
    pub deadline_ms: Option<u64>,
}

fn post() -> Method {
    Method::Post
}

/// A signature: an expression over the request as it will be sent, and the signature's one place in it. Templates of a request see `now.s`, `now.ms` and `nonce`; here the
/// same stand beside `secret.NAME`, `method`, `path` (with that of `base_url`), `query` and `form` (the parameters and the body's fields, before encoding; without a key or a
/// token in the query) and, where the signature does not stand in it, `body`: the text that is sent.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sign {
    /// Expression: `(secret.key ~ (form | pairs(equals='', between=''))) | md5 | hex`.
    pub value: String,
    pub header: Option<String>,
    pub query: Option<String>,
    /// As a session token's `body`: `/sign` is the field of that name, in a form or in JSON.
    pub body: Option<String>,
    /// Before the signature, in its place.
    #[serde(default)]
    pub prefix: String,
}

/// A value of the login's answer, and its one place in each request.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Expression over the login's answer.
    pub value: String,
    pub header: Option<String>,
    pub query: Option<String>,
    /// In a JSON body the JSON pointer of the value (`/params/token`), in a form the field's name after a slash.
    pub body: Option<String>,
    /// Before the value, for example `Bearer `.
    #[serde(default)]
    pub prefix: String,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expired {
    /// Any of these; absent: any status.
    pub status: Option<Vec<u16>>,
    /// Expression over the answer; one that cannot be worked out does not hold.
    pub when: Option<String>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Numbers {
    /// ISO 3166 alpha-2.
    #[serde(default = "china")]
    pub country: String,
    /// Area code of numbers stored without one.
    pub area: Option<String>,
}

fn china() -> String {
    "CN".to_owned()
}

impl Default for Numbers {
    fn default() -> Self {
        Self { country: china(), area: None }
    }
}

/// The index of numbers: how often the system is walked through, in the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IndexFile {
    /// Seconds between two readings of what changed since the last one; `customer.list` must use `since`. Absent: only whole walks.
    pub every_s: Option<u64>,
    /// Seconds between two walks through everybody. They alone notice who was deleted. Default: a day.
    #[serde(default = "a_day")]
    pub full_every_s: u64,
    /// By how many seconds two readings of changes overlap, for clocks that differ. Default 120.
    #[serde(default = "two_minutes")]
    pub overlap_s: u64,
    /// When the system's own `customer.by_phone` is asked too.
    #[serde(default)]
    pub search: Search,
}

fn a_day() -> u64 {
    86_400
}
fn two_minutes() -> u64 {
    120
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Search {
    /// At each call, beside the index: finds also who got the number since the last walk.
    Always,
    /// Where the index knows nobody.
    #[default]
    Missed,
    /// Where the index knows nobody and is older than its schedule. The system is spared, and a customer
    /// made since the last walk is unknown until the next.
    Stale,
}

/// A list that comes in pages. A lookup at a ringing phone takes the first; walks take all.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PageFile {
    /// How the next page is asked for.
    pub by: PageBy,
    /// Records asked for in one page, `page.size`; the system may give fewer. Default 100.
    #[serde(default = "hundred")]
    pub size: u32,
    /// Expression over the answer: how many there are in all. Leave it out where a system counts what it does not show.
    pub total: Option<String>,
    /// Asking past the end gives the last page again (Magento). Without it a page that repeats means that the page is not obeyed.
    #[serde(default)]
    pub repeats_last_page: bool,
    /// More pages than this are a mistake. Default 20000.
    pub max_pages: Option<u32>,
    /// Between two pages, so that the system's own users are not held up. Default 200.
    pub pause_ms: Option<u64>,
}

fn hundred() -> u32 {
    100
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PageBy {
    /// `page.offset` counts records from 0. Pages overlap by one record, so that a row deleted meanwhile is noticed: the list must
    /// have an order that stays (by id).
    Offset,
    /// `page.number` counts pages from this one.
    Number(u64),
    /// Expression over the answer; its value is `page.cursor` of the next page (null in the first), and nothing ends the list.
    Cursor(String),
    /// Expression over the answer that gives the next page's address, whole or relative, on the same host; nothing ends the list.
    NextUrl(String),
    /// The address stands in the header `Link` as `rel="next"`.
    Link,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OperationFile {
    /// What agents see above the block.
    pub title: Option<String>,
    /// Further inputs, each with what it is when nobody tells it.
    #[serde(default)]
    pub inputs: BTreeMap<String, Value>,
    pub deadline_ms: Option<u64>,
    pub limits: Option<OperationLimitsFile>,
    /// It is left alone by itself, and not with the system.
    pub breaker: Option<BreakerFile>,
    /// Shared keys by which this operation takes a customer whom another system found, best first. Its `customer.id` is then the key's
    /// value and `customer.by` the key's name (`id` for a customer of this system itself).
    #[serde(default)]
    pub by: Vec<String>,
    /// For writes: what makes doing it again safe. Writes must say it.
    pub idempotent: Option<IdempotentFile>,
    #[serde(default)]
    pub cache: Cache,
    pub page: Option<PageFile>,
    pub steps: Vec<Step>,
    /// The answer is one object, made of these expressions after the last step.
    pub output: Option<BTreeMap<String, String>>,
    /// The answer is a list: each `record` the steps found, mapped by these expressions. Records with one `id` are one.
    pub fields: Option<BTreeMap<String, String>>,
    /// Expression over `record` and the inputs: only records for which it holds are taken. Never trust a server's filter.
    pub keep: Option<String>,
    /// With `fields`: one is expected and given as an object; several are `ambiguous`.
    #[serde(default)]
    pub one: bool,
    /// With `fields`: more records than this before `keep` and `phones` mean that the filter is not obeyed. Default 100.
    pub cap: Option<u32>,
    /// Which fields are numbers, each with the words that say why it matches. Only records of which one
    /// is the number that was asked for, compared in E.164, are taken.
    pub phones: Option<BTreeMap<String, String>>,
    /// Of `customer.update`: which fields may be changed, by the names that `customer.get` gives them.
    #[serde(default)]
    pub writable: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IdempotentFile {
    Key,
    Put,
    None,
    /// The operation that finds by our call id or key what was written; it is asked before each write.
    Lookup(String),
}

/// How long an answer is good, from when it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cache {
    /// Shown as fresh. Default 60000.
    pub fresh_ms: u64,
    /// Older than this it is not shown at all; between the two it is shown as stale and asked again. Default 3600000.
    pub stale_ms: u64,
    /// "Nobody" is believed for so long. Default 30000.
    pub negative_ms: u64,
}

impl Default for Cache {
    fn default() -> Self {
        Self { fresh_ms: 60_000, stale_ms: 3_600_000, negative_ms: 30_000 }
    }
}

/// One exchange, or with `for_each` several at the same time.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub name: String,
    /// Expression: the step is left out when it is false.
    pub when: Option<String>,
    /// Expression that gives a list of at most 16: one request for each `item`, all at once.
    pub for_each: Option<String>,
    #[serde(default)]
    pub method: Method,
    /// At `base_url`. Template; each value in it is percent-encoded.
    pub path: Option<String>,
    /// Templates; a value that is `omit` leaves the parameter out.
    #[serde(default)]
    pub query: BTreeMap<String, Value>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    pub body: Option<Body>,
    pub decode: Option<Decode>,
    /// As the file's, for this request alone.
    pub charset: Option<String>,
    pub answer_charset: Option<String>,
    /// At `sql`: one SELECT, as it is, no template. `:name` is a parameter of `with`. The answer, `body`, is the list of rows, each a map from column to value.
    pub sql: Option<String>,
    /// Templates: the values of a statement's parameters. They never become text of the statement.
    #[serde(default)]
    pub with: BTreeMap<String, Value>,
    /// At `csv`: templates, by columns of `find_by`; the rows of which one of them has this value. The answer, `body`, has `rows`, each a map from column to text, and how many there are
    /// in all, `total`.
    #[serde(rename = "where")]
    pub find: Option<BTreeMap<String, Value>>,
    /// At `csv`, in place of `where`: rows by their places.
    pub rows: Option<RowsFile>,
    /// At `ldap`.
    pub search: Option<SearchFile>,
    /// At `smtp`. A step without it logs in and sends nothing.
    pub mail: Option<MailFile>,
    /// The first rule that holds decides. Over HTTP there is no success by default: an answer that no rule fits, and whose status
    /// is no plain refusal, is `broken`. A database says itself whether it answered: without rules its rows are `ok`.
    #[serde(default)]
    pub outcome: Vec<Rule>,
    /// Expressions over the answer, kept for later steps.
    #[serde(default)]
    pub save: BTreeMap<String, String>,
    /// Expression over the answer that gives a list: records for `fields`.
    pub records: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    #[default]
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// The texts are templates; one that is a single `{{ }}` keeps the value's type. Everywhere in them `{json_text: ...}` is a text: the JSON of what stands under it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    Json(Value),
    Form(BTreeMap<String, Value>),
    /// Parameters in the address of a request that has no body; signatures see them as `form`.
    Query(BTreeMap<String, Value>),
    /// One root; attributes are `"@name"`, text is `"#text"`, a list repeats its element. Elements stand in the file's order.
    Xml(BTreeMap<String, Value>),
    Soap(Box<Soap>),
    Xmlrpc(XmlRpc),
    Jsonrpc(JsonRpc),
    Graphql(Graphql),
    Raw(Raw),
}

impl Body {
    /// Calls are always made by POST.
    #[must_use]
    pub const fn is_call(&self) -> bool {
        matches!(self, Self::Soap(_) | Self::Xmlrpc(_) | Self::Jsonrpc(_) | Self::Graphql(_))
    }

    /// How the answer is read, unless the step says otherwise.
    #[must_use]
    pub fn answered_in(&self) -> Decode {
        match self {
            Self::Soap(_) => Decode::Soap(XmlDecode::default()),
            Self::Xmlrpc(_) => Decode::Xmlrpc,
            Self::Jsonrpc(_) => Decode::Jsonrpc,
            Self::Graphql(_) => Decode::Graphql,
            _ => Decode::Json,
        }
    }
}

/// What stands in the envelope, by the mapping of `xml`; the envelope's own prefix is `soap`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Soap {
    #[serde(default)]
    pub version: SoapVersion,
    /// Template: the header `SOAPAction` of 1.1, the parameter `action` of 1.2.
    pub action: Option<String>,
    /// Prefix and name of each namespace that the elements use.
    #[serde(default)]
    pub namespaces: BTreeMap<String, String>,
    #[serde(default)]
    pub header: BTreeMap<String, Value>,
    pub body: BTreeMap<String, Value>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum SoapVersion {
    #[default]
    #[serde(rename = "1.1")]
    V11,
    #[serde(rename = "1.2")]
    V12,
}

/// A call by XML-RPC. A value's own type is sent; `{"#double": "..."}` says another (string, int, i4, i8, boolean, double, dateTime.iso8601, base64).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct XmlRpc {
    /// Template.
    pub method: String,
    #[serde(default)]
    pub params: Vec<Value>,
}

/// A call by JSON-RPC; its id is ours, and an answer with another is none.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonRpc {
    #[serde(default)]
    pub version: JsonRpcVersion,
    /// Template.
    pub method: String,
    pub params: Option<Value>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum JsonRpcVersion {
    /// Without `jsonrpc` in the call.
    #[serde(rename = "1.0")]
    V1,
    #[default]
    #[serde(rename = "2.0")]
    V2,
}

/// A query or mutation of GraphQL. Its text is fixed, no template, so nothing can be put into it; what differs from call to call is a variable.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Graphql {
    pub query: String,
    #[serde(default)]
    pub variables: BTreeMap<String, Value>,
    /// `operationName`, where the text holds several.
    pub operation: Option<String>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Raw {
    pub content_type: String,
    pub text: String,
}

/// How the answer's body is read; without it as the request's body is written, for a call, and else as JSON. What cannot be read leaves `body` undefined, so that no rule over it holds.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decode {
    #[default]
    Json,
    /// The mapping of [`Body::Xml`], without namespaces.
    Xml(XmlDecode),
    /// What stands in the envelope's body; what stands in its header is `body['#header']`. A fault of either version is `body.fault`, with `code`, `subcode`, `reason`, `actor`
    /// and `detail`, and no rule makes a success of it.
    Soap(XmlDecode),
    /// `body.result`, or `body.fault` with `code` and `reason`.
    Xmlrpc,
    /// `body.result`, or `body.error`.
    Jsonrpc,
    /// `body.data` and `body.errors`.
    Graphql,
    /// Parameters, as in an address.
    Form,
    Text,
    Empty,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct XmlDecode {
    /// Elements that are always lists, even when there is one.
    #[serde(default)]
    pub lists: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Any of these; absent: any status.
    pub status: Option<Vec<u16>>,
    /// Expression over the answer; one that cannot be worked out does not hold.
    pub when: Option<String>,
    pub is: Is,
    /// For people and logs: a fixed lower-case fragment, no template, so that no personal data gets in.
    pub reason: Option<String>,
    /// For `rate_limited`: expression, milliseconds. Absent: `limits.hints`, then the `Retry-After` header.
    pub wait_ms: Option<String>,
    /// For `rate_limited`: who asks again before this time only makes the block longer (DingTalk: 600000). A told wait is believed for a quarter of an hour, this to its end.
    pub blocked_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Is {
    Ok,
    Empty,
    NotFound,
    Denied,
    AuthExpired,
    Ambiguous,
    Invalid,
    Conflict,
    RateLimited,
    Busy,
    Broken,
    Unknown,
}

impl Is {
    /// As a file writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Empty => "empty",
            Self::NotFound => "not_found",
            Self::Denied => "denied",
            Self::AuthExpired => "auth_expired",
            Self::Ambiguous => "ambiguous",
            Self::Invalid => "invalid",
            Self::Conflict => "conflict",
            Self::RateLimited => "rate_limited",
            Self::Busy => "busy",
            Self::Broken => "broken",
            Self::Unknown => "unknown",
        }
    }
}

/// A proof inside the file: these inputs give these requests, these answers give this outcome.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Example {
    pub name: String,
    pub operation: String,
    #[serde(default)]
    pub inputs: BTreeMap<String, Value>,
    /// With `auth: session`: false begins before the login. Else a session is open, whose cookies and token are `(secret)`.
    #[serde(default = "yes")]
    pub logged_in: bool,
    #[serde(default)]
    pub exchanges: Vec<ExampleExchange>,
    pub outcome: Is,
    /// For `ok`: the whole answer.
    pub value: Option<Value>,
}

fn yes() -> bool {
    true
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExampleExchange {
    pub request: ExampleRequest,
    pub answer: ExampleAnswer,
}

/// What is given here is compared; what is absent is not. Secrets are `(secret)`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExampleRequest {
    #[serde(default)]
    pub method: Method,
    /// Without the query, as sent.
    pub path: Option<String>,
    /// Of a step that has no path: its name, and the values of its parameters.
    pub step: Option<String>,
    pub with: Option<BTreeMap<String, Value>>,
    /// All parameters, before encoding.
    pub query: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    pub json: Option<Value>,
    pub text: Option<String>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExampleAnswer {
    /// Absent: the request went out and nothing came back. A database has none: its rows are `json`.
    pub status: Option<u16>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Those it sets, by name.
    #[serde(default)]
    pub cookies: BTreeMap<String, String>,
    pub json: Option<Value>,
    pub text: Option<String>,
}
