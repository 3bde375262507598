//! The shapes of what is no HTTP and no database: a table in a file, a directory, a mail server. `file` says where they stand.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{csv::By, ldap::Scope};

/// A table in a file (CSV), read whole and kept in memory; when another file takes its place, that one is read.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CsvFile {
    /// Template over the variables.
    pub path: String,
    /// `utf-8` (the default), `gbk`, `gb18030`, `windows-1252` and the other names of the web (WHATWG Encoding).
    #[serde(default = "utf8")]
    pub charset: String,
    /// One character: `,` (the default), `;`, or a tab (`"\t"`).
    #[serde(default = "comma")]
    pub delimiter: String,
    #[serde(default = "quote")]
    pub quote: String,
    /// The columns' names where the file does not begin with them.
    pub columns: Option<Vec<String>>,
    /// The columns by which rows are found: `number` in any spelling of a phone number, `text` as it is.
    pub find_by: BTreeMap<String, By>,
    /// A larger file is refused. Default 268435456 (256 MiB).
    #[serde(default = "quarter")]
    pub max_bytes: u64,
}

fn utf8() -> String {
    "utf-8".to_owned()
}
fn comma() -> String {
    ",".to_owned()
}
fn quote() -> String {
    "\"".to_owned()
}
fn quarter() -> u64 {
    256 * 1024 * 1024
}

/// So many rows of the table, from one on.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RowsFile {
    /// Template.
    pub from: String,
    /// Template.
    pub size: String,
}

/// A directory (LDAP version 3).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LdapFile {
    /// Template over the variables: `ldap://host` (StartTLS) or `ldaps://host`, perhaps with a port.
    pub url: String,
    /// `false` with `ldap://`: in the clear, for a server on this machine.
    #[serde(default = "yes")]
    pub tls: bool,
    /// Template over the variables: who asks, a distinguished name or what the server takes for one. Absent: nobody in particular.
    pub user: Option<String>,
    /// The name of a secret variable: the password.
    pub secret: Option<String>,
}

fn yes() -> bool {
    true
}

/// A search. The answer, `body`, has `entries`, each a map from attribute to list of values with `dn` beside, and `cookie`, which is not null while there are more pages.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchFile {
    /// Template: a distinguished name; each value in it is escaped (RFC 4514), unless it goes through `| safe`.
    pub base: String,
    #[serde(default)]
    pub scope: Scope,
    /// Template: a filter (RFC 4515); each value in it is escaped, likewise.
    pub filter: String,
    /// What is asked of each entry. One that it has not is an empty list.
    pub attributes: Vec<String>,
}

/// A mail server that takes mail for others (RFC 6409).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SmtpFile {
    /// Template over the variables.
    pub host: String,
    /// Default: 587, and 465 with `tls: wrapped`.
    pub port: Option<u16>,
    #[serde(default)]
    pub tls: MailTls,
    /// Template over the variables. Absent: no login.
    pub user: Option<String>,
    /// The name of a secret variable: the password.
    pub secret: Option<String>,
    /// Template over the variables: `desk@example.com`, or `Desk <desk@example.com>`. Its domain stands in each Message-ID.
    pub from: String,
    /// Template over the variables: how we call ourselves. Default: the domain of `from`.
    pub hello: Option<String>,
    /// A larger mail is not sent. Default 1048576.
    pub max_bytes: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MailTls {
    /// A server that does not offer it is told nothing.
    #[default]
    Starttls,
    /// TLS from the first byte (RFC 8314).
    Wrapped,
    /// In the clear, for a server on this machine; never with a login.
    None,
}

/// A mail. Its parts are templates; a line end in an address or in the subject is refused. The answer, `body`, has `message_id` and the server's `reply`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MailFile {
    /// Absent: that of `smtp:`.
    pub from: Option<String>,
    pub reply_to: Option<String>,
    /// A text with addresses, or a list of them. Each may have a name.
    pub to: Value,
    pub cc: Option<Value>,
    pub subject: String,
    pub text: String,
    /// Each value in it is escaped, unless it goes through `| safe`. Empty: none.
    pub html: Option<String>,
}
