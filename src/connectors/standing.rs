//! What a connector file stands on: a real server that it was proved on, or a vendor's pages that somebody read. The two are not the same, and who copies a file
//! is to see which it is before the first call rings.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::file::{Auth, File, Grant, SqlFile};

/// At the head of a file. One's own file need not say it; each ready-made one does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StandsOn {
    Server(Server),
    Documentation(Documentation),
}

/// The file's operations did what they say on a real server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Product and version: `Redmine 6.0.5`.
    pub product: String,
    /// The test that asks that server.
    pub test: String,
    /// What that test leaves out.
    pub not_checked: Option<String>,
}

/// Nobody asked a server: requests and answers are as the vendor's pages show them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Documentation {
    pub pages: Vec<Page>,
    /// What those pages do not say, or what was not read: whoever tries the file first looks here.
    pub not_checked: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// Its address.
    pub page: String,
    /// When it was read: `2026-11-26`.
    pub read: String,
}

impl StandsOn {
    /// What is wrong with it: the key below it, what was found, what would be right.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String, &'static str)> {
        let mut problems = Vec::new();
        let mut filled = |key: &str, text: &str, wanted| {
            if text.trim().is_empty() {
                problems.push((key.to_owned(), "it is empty".to_owned(), wanted));
            }
        };
        match self {
            Self::Server(server) => {
                filled("/server/product", &server.product, "product and version: Redmine 6.0.5");
                filled("/server/test", &server.test, "the test that asks that server");
            }
            Self::Documentation(documentation) => {
                filled("/documentation/not_checked", &documentation.not_checked, "what was not checked, in words");
                if documentation.pages.is_empty() {
                    let found = "there is no page".to_owned();
                    problems.push(("/documentation/pages".to_owned(), found, "at least one {page: ..., read: ...}"));
                }
                for (n, page) in documentation.pages.iter().enumerate() {
                    let at = format!("/documentation/pages/{n}");
                    if !page.page.starts_with("https://") && !page.page.starts_with("http://") {
                        problems.push((format!("{at}/page"), "no web address".to_owned(), "https://..."));
                    }
                    // Ten characters, so that the texts order as the days do.
                    if page.read.len() != 10 || page.read.parse::<jiff::civil::Date>().is_err() {
                        problems.push((format!("{at}/read"), "no date".to_owned(), "a day as 2026-11-26"));
                    }
                }
            }
        }
        problems
    }

    #[must_use]
    pub fn not_checked(&self) -> Option<&str> {
        match self {
            Self::Server(server) => server.not_checked.as_deref(),
            Self::Documentation(documentation) => Some(&documentation.not_checked),
        }
    }
}

/// `proved on Redmine 6.0.5`, `from documentation (read 2026-11-26)`; of several pages the day of the one that was read first.
impl fmt::Display for StandsOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(server) => write!(f, "proved on {}", server.product),
            Self::Documentation(documentation) => {
                let read = documentation.pages.iter().map(|page| page.read.as_str()).min().unwrap_or_default();
                write!(f, "from documentation (read {read})")
            }
        }
    }
}

/// How a file proves who we are, in a few words.
#[must_use]
pub fn sign_in(file: &File) -> String {
    let auth = match &file.auth {
        Auth::None if matches!(file.sql, Some(SqlFile::Postgres(_) | SqlFile::Mysql(_))) => "user and password",
        Auth::None if file.ldap.as_ref().is_some_and(|ldap| ldap.user.is_some()) => "user and password (bind)",
        Auth::None if file.smtp.as_ref().is_some_and(|smtp| smtp.user.is_some()) => "user and password (AUTH)",
        Auth::None => "",
        Auth::Key(key) => match (&key.header, &key.query) {
            (Some(name), _) => return signed(&format!("key ({name})"), file),
            (None, Some(name)) => return signed(&format!("key in the address ({name})"), file),
            (None, None) if key.body.is_some() => "key in the body",
            (None, None) => "key in the path",
        },
        Auth::Basic(_) => "user and password (HTTP basic)",
        Auth::Session(_) => "login",
        Auth::Oauth2(oauth2) => match oauth2.grant {
            Grant::ClientCredentials => "OAuth 2.0, client credentials",
            Grant::Password(_) => "OAuth 2.0, password",
            Grant::JwtBearer(_) => "OAuth 2.0, signed statement",
            Grant::RefreshToken(_) => "OAuth 2.0, refresh token",
            Grant::AuthorizationCode(_) => "OAuth 2.0, an administrator's sign-in",
        },
    };
    signed(auth, file)
}

fn signed(auth: &str, file: &File) -> String {
    let more: String = file.secret_headers.keys().map(|name| format!(", key ({name})")).collect();
    let both = format!("{auth}{more}{}", if file.csrf.is_some() { ", CSRF token" } else { "" });
    let auth = both.trim_start_matches(", ");
    match (auth, &file.sign) {
        ("", None) => "none".to_owned(),
        ("", Some(_)) => "signature".to_owned(),
        (auth, Some(_)) => format!("{auth}, signature"),
        (auth, None) => auth.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::{fmt::Write as _, path::Path};

    use super::*;
    use crate::connectors::{load_offline, operation};

    #[test]
    fn what_a_file_stands_on_is_said_in_full() {
        let documentation = |page: &str, read: &str, not_checked: &str| {
            let pages = vec![
                Page { page: "https://example.com/a".to_owned(), read: "2026-11-26".to_owned() },
                Page { page: page.to_owned(), read: read.to_owned() },
            ];
            StandsOn::Documentation(Documentation { pages, not_checked: not_checked.to_owned() })
        };
        let good = documentation("https://example.com/b", "2026-10-01", "no server was asked");
        assert_eq!(good.problems(), []);
        assert_eq!(good.to_string(), "from documentation (read 2026-10-01)");
        let keys = |stands: StandsOn| stands.problems().into_iter().map(|(key, ..)| key).collect::<Vec<_>>();
        assert_eq!(
            keys(documentation("example.com", "26.11.2026", " ")),
            ["/documentation/not_checked", "/documentation/pages/1/page", "/documentation/pages/1/read"]
        );
        assert_eq!(keys(documentation("https://example.com/b", "2026-02-30", "x")), ["/documentation/pages/1/read"]);
        let server = Server { product: String::new(), test: "tests/real_redmine.rs".to_owned(), not_checked: None };
        assert_eq!(keys(StandsOn::Server(server.clone())), ["/server/product"]);
        let server = Server { product: "Redmine 6.0.5".to_owned(), ..server };
        assert_eq!(StandsOn::Server(server).to_string(), "proved on Redmine 6.0.5");
    }

    /// The catalogue's rows: a line for each ready-made file, in the order of their names.
    fn table() -> String {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/connectors");
        let names = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        let mut text = String::from("| system | file | operations | sign-in | stands on |\n|---|---|---|---|---|\n");
        for name in names {
            let yaml = std::fs::read_to_string(folder.join(&name)).unwrap();
            let system = load_offline(&name, &yaml).unwrap_or_else(|problems| panic!("{problems:#?}"));
            let stands = system.stands_on.as_ref().unwrap_or_else(|| panic!("{name} does not say what it stands on"));
            let offers = operation::OPERATIONS.iter().map(|o| o.name).filter(|o| system.operation(o).is_some());
            let offers: Vec<String> = offers.map(|o| format!("`{o}`")).collect();
            let title = system.title.as_deref().unwrap_or(system.id.as_str());
            let api = system.version.api.as_ref().map(|api| format!(" ({api})")).unwrap_or_default();
            let (offers, sign_in) = (offers.join(" "), &system.sign_in);
            writeln!(
                text,
                "| {title}{api} | [`{name}`](../config/connectors/{name}) | {offers} | {sign_in} | {stands} |"
            )
            .unwrap();
            if let StandsOn::Server(server) = stands {
                let root = Path::new(env!("CARGO_MANIFEST_DIR"));
                assert!(root.join(&server.test).is_file(), "{name} names a test that is not there");
            }
        }
        text
    }

    /// Both languages have the same table. After a change of a file: `UPDATE_DOCS=1 cargo test the_table_in_the_catalogue`.
    #[test]
    fn the_table_in_the_catalogue_is_made_from_the_files() {
        let table = table();
        for name in ["catalogue.md", "catalogue.zh-CN.md"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
            let text = std::fs::read_to_string(&path).unwrap();
            let (before, rest) = text.split_once("the_table_in_the_catalogue -->\n").unwrap();
            let (_, after) = rest.split_once("<!-- /made -->").unwrap();
            let whole = format!("{before}the_table_in_the_catalogue -->\n{table}<!-- /made -->{after}");
            if std::env::var_os("UPDATE_DOCS").is_some() {
                std::fs::write(&path, &whole).unwrap();
            } else {
                assert!(text == whole, "docs/{name} is to have this table:\n{table}");
            }
        }
    }
}
