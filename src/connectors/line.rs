//! What carries a system's requests: connections over HTTP, to a database, a directory or a mail server, or a table in memory.

use std::time::Instant;

use crate::words::Wall;

use super::{
    csv::live::Csv,
    http::Http,
    ldap::live::Ldap,
    run::{Request, Response, Trouble},
    set::{At, Database, System},
    smtp::live::Smtp,
    sql::{live::Sql, mysql::live::MySql, postgres::live::Postgres},
};

/// Connections to one system. Clones share them.
#[derive(Clone)]
pub enum Line {
    Web(Http),
    Sql(Sql),
    Postgres(Postgres),
    MySql(MySql),
    Csv(Csv),
    Ldap(Ldap),
    Smtp(Smtp),
}

impl Line {
    /// # Errors
    /// A fragment that names what of the file cannot be used.
    pub fn new(system: &System) -> Result<Self, String> {
        match &system.at {
            At::Web(web) => Ok(Self::Web(Http::new(system.id.as_str(), web)?)),
            At::Sql(Database::Sqlite { path }) => Ok(Self::Sql(Sql::new(system.id.as_str(), path))),
            At::Sql(Database::Postgres(server)) => Ok(Self::Postgres(Postgres::new(system.id.as_str(), server)?)),
            At::Sql(Database::MySql(server)) => Ok(Self::MySql(MySql::new(system.id.as_str(), server)?)),
            At::Csv(spec) => Ok(Self::Csv(Csv::new(system.id.as_str(), spec))),
            At::Ldap(directory) => Ok(Self::Ldap(Ldap::new(system.id.as_str(), directory)?)),
            At::Smtp(server) => Ok(Self::Smtp(Smtp::new(system.id.as_str(), server)?)),
        }
    }

    /// When the certificate ends that the system last showed; not known of what shows none, and of MySQL.
    #[must_use]
    pub fn certificate_ends(&self) -> Option<Wall> {
        match self {
            Self::Web(http) => http.ends.at(),
            Self::Postgres(server) => server.ends.at(),
            Self::Ldap(directory) => directory.ends.at(),
            Self::Smtp(server) => server.ends.at(),
            Self::Sql(_) | Self::MySql(_) | Self::Csv(_) => None,
        }
    }

    /// Asks and waits, at most until `deadline`.
    pub async fn send(&self, request: Request, deadline: Instant) -> Result<Response, Trouble> {
        match (self, request) {
            (Self::Web(http), Request::Web(request)) => http.send(request, deadline).await,
            (Self::Sql(sql), Request::Sql(query)) => sql.send(query, deadline).await,
            (Self::Postgres(server), Request::Sql(query)) => server.send(query, deadline).await,
            (Self::MySql(server), Request::Sql(query)) => server.send(query, deadline).await,
            (Self::Csv(csv), Request::Csv(rows)) => csv.send(rows, deadline).await,
            (Self::Ldap(ldap), Request::Ldap(search)) => ldap.send(search, deadline).await,
            (Self::Smtp(smtp), Request::Mail(mail)) => smtp.send(mail.mail, deadline).await,
            // A file's steps are all of its system's kind: `compile` sees to it.
            _ => Err(Trouble::NotSent("this request is of another kind than its system".to_owned())),
        }
    }
}
