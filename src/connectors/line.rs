//! What carries a system's requests: connections over HTTP, or to a database.

use std::time::Instant;

use super::{
    http::Http,
    run::{Request, Response, Trouble},
    set::{At, Database, System},
    sql::{live::Sql, mysql::live::MySql, postgres::live::Postgres},
};

/// Connections to one system. Clones share them.
#[derive(Clone)]
pub enum Line {
    Web(Http),
    Sql(Sql),
    Postgres(Postgres),
    MySql(MySql),
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
        }
    }

    /// Asks and waits, at most until `deadline`.
    pub async fn send(&self, request: Request, deadline: Instant) -> Result<Response, Trouble> {
        match (self, request) {
            (Self::Web(http), Request::Web(request)) => http.send(request, deadline).await,
            (Self::Sql(sql), Request::Sql(query)) => sql.send(query, deadline).await,
            (Self::Postgres(server), Request::Sql(query)) => server.send(query, deadline).await,
            (Self::MySql(server), Request::Sql(query)) => server.send(query, deadline).await,
            // A file's steps are all of its system's kind: `compile` sees to it.
            _ => Err(Trouble::NotSent("this request is of another kind than its system".to_owned())),
        }
    }
}
