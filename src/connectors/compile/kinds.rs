//! Files of what is no HTTP and no database: where it is, and what their steps ask.

use std::collections::BTreeMap;

use encoding_rs::Encoding;
use lettre::message::Mailbox;
use minijinja::value::Value;

use crate::{numbers::Plan, private::Secret};

use super::{
    super::{
        csv,
        file::{self, File},
        kinds::{CsvFile, LdapFile, MailFile, MailTls, SmtpFile},
        ldap::filter,
        set::{Directory, Find, LdapStep, Leaf, MailServer, MailStep, What},
    },
    EACH, Maker,
};

/// By what a file's system is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Web,
    Sql,
    Csv,
    Ldap,
    Smtp,
}

impl Maker<'_> {
    /// What only a system that speaks HTTP has. `tls`: this one has certificates.
    pub(super) fn only_web(&mut self, file: &File, tls: bool) {
        let only_web = [
            ("auth", !matches!(file.auth, file::Auth::None)),
            ("sign", file.sign.is_some()),
            ("also_sign", !file.also_sign.is_empty()),
            ("secret_headers", !file.secret_headers.is_empty()),
            ("csrf", file.csrf.is_some()),
            ("webhooks", file.webhooks.is_some()),
            ("headers", !file.headers.is_empty()),
            ("hosts", !file.hosts.is_empty()),
            ("tls_ca", file.tls_ca.is_some() && !tls),
            ("charset", file.charset.is_some()),
            ("answer_charset", file.answer_charset.is_some()),
        ];
        for (key, _) in only_web.into_iter().filter(|(_, there)| *there) {
            self.problem(&format!("/{key}"), "this is for a system that speaks HTTP", "leave it out");
        }
    }

    pub(super) fn csv(&mut self, csv: &CsvFile, file: &File, context: &BTreeMap<String, Value>) -> Option<csv::Spec> {
        self.only_web(file, false);
        let path = self.now("/csv/path", &csv.path, context);
        let charset = Encoding::for_label(csv.charset.trim().as_bytes());
        if charset.is_none() {
            self.problem("/csv/charset", "there is no such character set", "utf-8, gbk, gb18030, ...");
        }
        let mut one = |key: &str, text: &str| match text.as_bytes() {
            [byte] if byte.is_ascii() => *byte,
            _ => {
                self.problem(&format!("/csv/{key}"), "it is not one ASCII character", "one character");
                b','
            }
        };
        let (delimiter, quote) = (one("delimiter", &csv.delimiter), one("quote", &csv.quote));
        if let Some(columns) = &csv.columns {
            for name in csv.find_by.keys().filter(|name| !columns.contains(name)) {
                self.problem(&format!("/csv/find_by/{name}"), "there is no such column", "one of \"columns:\"");
            }
        }
        Some(csv::Spec {
            path,
            charset: charset?,
            delimiter,
            quote,
            columns: csv.columns.clone(),
            find_by: csv.find_by.iter().map(|(name, by)| (name.clone(), *by)).collect(),
            most: csv.max_bytes,
            numbers: Plan::new(&file.numbers.country, file.numbers.area.as_deref()),
        })
    }

    pub(super) fn ldap(
        &mut self,
        ldap: &LdapFile,
        file: &File,
        context: &BTreeMap<String, Value>,
        secrets: &BTreeMap<String, Secret>,
    ) -> Directory {
        let url = self.now("/ldap/url", &ldap.url, context);
        let (wrapped, rest) = match (url.strip_prefix("ldaps://"), url.strip_prefix("ldap://")) {
            (Some(rest), _) => (true, rest),
            (None, rest) => (false, rest.unwrap_or_default()),
        };
        let bare = |host: &str| host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (bare(host), port.parse().ok()),
            _ => (bare(rest), Some(if wrapped { 636 } else { 389 })),
        };
        if host.is_empty() || host.contains(['/', '@', '?', ' ']) || port.is_none() {
            self.problem("/ldap/url", "no address of a directory", "ldap://host or ldaps://host, perhaps with a port");
        }
        if wrapped && !ldap.tls {
            self.problem("/ldap/tls", "ldaps is TLS", "leave it out");
        }
        self.only_web(file, ldap.tls);
        let login = self.login("/ldap", ldap.user.as_deref(), ldap.secret.as_deref(), file, context, secrets);
        let tls_ca = file.tls_ca.clone();
        Directory { host, port: port.unwrap_or_default(), wrapped, tls: ldap.tls, login, tls_ca }
    }

    pub(super) fn smtp(
        &mut self,
        smtp: &SmtpFile,
        file: &File,
        context: &BTreeMap<String, Value>,
        secrets: &BTreeMap<String, Secret>,
    ) -> MailServer {
        self.only_web(file, smtp.tls != MailTls::None);
        let host = self.now("/smtp/host", &smtp.host, context);
        if host.is_empty() {
            self.problem("/smtp/host", "it is empty", "a name");
        }
        let from = self.now("/smtp/from", &smtp.from, context);
        let mailbox = from.parse::<Mailbox>();
        if mailbox.is_err() {
            self.problem("/smtp/from", "no address", "desk@example.com, or Desk <desk@example.com>");
        }
        let hello = match &smtp.hello {
            Some(hello) => self.now("/smtp/hello", hello, context),
            None => mailbox.map_or(String::new(), |mailbox| mailbox.email.domain().to_owned()),
        };
        if hello.chars().any(|c| c.is_control() || c.is_whitespace()) {
            self.problem("/smtp/hello", "no name of a host", "a name");
        }
        let login = self.login("/smtp", smtp.user.as_deref(), smtp.secret.as_deref(), file, context, secrets);
        if login.is_some() && smtp.tls == MailTls::None {
            self.problem("/smtp/tls", "the password would go in the clear", "starttls or wrapped");
        }
        MailServer {
            host,
            port: smtp.port.unwrap_or(if smtp.tls == MailTls::Wrapped { 465 } else { 587 }),
            tls: smtp.tls,
            login,
            from,
            hello,
            most: smtp.max_bytes.unwrap_or(1024 * 1024) as usize,
            tls_ca: file.tls_ca.clone(),
        }
    }

    /// A user and a password, or neither.
    fn login(
        &mut self,
        at: &str,
        user: Option<&str>,
        secret: Option<&str>,
        file: &File,
        context: &BTreeMap<String, Value>,
        secrets: &BTreeMap<String, Secret>,
    ) -> Option<(String, Secret)> {
        match (user, secret) {
            (None, None) => None,
            (Some(user), Some(name)) => {
                let user = self.now(&format!("{at}/user"), user, context);
                let secret = self.secret(&format!("{at}/secret"), name, file, secrets)?;
                // A directory takes a name without a password for nobody in particular, and says that all is well (RFC 4513, 5.1.2).
                if user.is_empty() || secret.expose().is_empty() {
                    self.problem(at, "the user or the password is empty", "both, or neither");
                }
                Some((user, secret))
            }
            _ => {
                self.problem(at, "a user without a password, or a password without a user", "both, or neither");
                None
            }
        }
    }

    /// Keys of a step that are of another kind.
    pub(super) fn foreign(&mut self, at: &str, kind: Kind, step: &file::Step) {
        let web = step.path.is_some() || step.body.is_some() || !step.query.is_empty() || !step.headers.is_empty();
        for (there, of, key) in [
            (web, Kind::Web, "path, query, headers or body"),
            (step.sql.is_some() || !step.with.is_empty(), Kind::Sql, "sql or with"),
            (step.find.is_some() || step.rows.is_some(), Kind::Csv, "where or rows"),
            (step.search.is_some(), Kind::Ldap, "search"),
            (step.mail.is_some(), Kind::Smtp, "mail"),
        ] {
            if there && of != kind {
                let wanted = match kind {
                    Kind::Web => "\"path:\"",
                    Kind::Sql => "\"sql:\" and \"with:\"",
                    Kind::Csv => "\"where:\" or \"rows:\"",
                    Kind::Ldap => "\"search:\"",
                    Kind::Smtp => "\"mail:\"",
                };
                self.problem(at, format!("this file's system takes no {key}"), wanted);
            }
        }
    }

    pub(super) fn csv_step(&mut self, at: &str, step: &file::Step, file: &CsvFile) -> What {
        self.known.extend(EACH.map(str::to_owned));
        let find = match (&step.find, &step.rows) {
            (Some(find), None) if !find.is_empty() => {
                for name in find.keys().filter(|name| !file.find_by.contains_key(*name)) {
                    self.problem(
                        &format!("{at}/where/{name}"),
                        "rows are not found by this column",
                        "one of \"csv: find_by:\"",
                    );
                }
                Find::Where(find.iter().map(|(k, v)| (k.clone(), self.tree(&format!("{at}/where/{k}"), v))).collect())
            }
            (None, Some(rows)) => Find::From(Box::new((
                self.leaf(&format!("{at}/rows/from"), &rows.from, "text"),
                self.leaf(&format!("{at}/rows/size"), &rows.size, "text"),
            ))),
            _ => {
                self.problem(
                    at,
                    "it does not say which rows",
                    "either \"where:\" with columns and values, or \"rows:\"",
                );
                Find::Where(Vec::new())
            }
        };
        What::Csv(find)
    }

    pub(super) fn ldap_step(&mut self, at: &str, step: &file::Step) -> What {
        self.known.extend(EACH.map(str::to_owned));
        let Some(search) = &step.search else {
            self.problem(at, "it does not say what is searched for", "\"search:\"");
            return What::Ldap(Box::default());
        };
        let base = self.leaf(&format!("{at}/search/base"), &search.base, "dn");
        let text = self.leaf(&format!("{at}/search/filter"), &search.filter, "filter");
        if let Leaf::Fixed(text) = &text
            && let Err(why) = filter::put_filter(&mut Vec::new(), text)
        {
            self.problem(
                &format!("{at}/search/filter"),
                why,
                "a filter of RFC 4515: (&(objectClass=person)(mobile=138*))",
            );
        }
        if search.attributes.is_empty() || search.attributes.iter().any(|name| name == "*" || name == "dn") {
            let wanted = "the names of attributes; dn comes by itself";
            self.problem(&format!("{at}/search/attributes"), "it does not say what is asked of an entry", wanted);
        }
        What::Ldap(Box::new(LdapStep {
            base,
            scope: search.scope,
            filter: text,
            attributes: search.attributes.clone(),
        }))
    }

    pub(super) fn mail_step(&mut self, at: &str, step: &file::Step) -> What {
        self.known.extend(EACH.map(str::to_owned));
        let Some(MailFile { from, reply_to, to, cc, subject, text, html }) = &step.mail else {
            return What::Mail(None);
        };
        let mut leaf = |key: &str, text: &Option<String>, place: &str| {
            text.as_ref().map(|text| self.leaf(&format!("{at}/mail/{key}"), text, place))
        };
        let (from, reply_to) = (leaf("from", from, "text"), leaf("reply_to", reply_to, "text"));
        let html = leaf("html", html, "html");
        let subject = self.leaf(&format!("{at}/mail/subject"), subject, "text");
        let text = self.leaf(&format!("{at}/mail/text"), text, "text");
        let to = self.tree(&format!("{at}/mail/to"), to);
        let cc = cc.as_ref().map(|cc| self.tree(&format!("{at}/mail/cc"), cc));
        What::Mail(Some(Box::new(MailStep { from, reply_to, to, cc, subject, text, html })))
    }
}
