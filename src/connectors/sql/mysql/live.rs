//! A MySQL or MariaDB server, asked. As for PostgreSQL: each session is read-only whatever the account may do, a question ends on the server when its time is up, a
//! connection that died is replaced and the question asked again.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use mysql_async::{Conn, Error, Opts, OptsBuilder, Params, SslOpts, prelude::Queryable as _};
use serde_json::{Map, Value as Json};

use super::{
    super::{
        super::{
            run::{Payload, Query, Response, Trouble},
            set::Server,
        },
        BYTES, KEPT, ROWS, state,
    },
    json,
};

/// Connections to one database. Clones share them.
#[derive(Clone)]
pub struct MySql {
    name: Arc<str>,
    opts: Opts,
    idle: Arc<Mutex<Vec<Connection>>>,
}

struct Connection {
    conn: Conn,
    mariadb: bool,
    /// The time-out that the session was given last.
    seconds: u64,
}

/// As for PostgreSQL: would another connection do better?
struct Failed {
    trouble: Trouble,
    stale: bool,
}

impl MySql {
    /// # Errors
    /// A fragment that names what of the file cannot be used.
    pub fn new(name: &str, server: &Server) -> Result<Self, String> {
        let tls = match (server.tls, &server.tls_ca) {
            (false, _) => None,
            (true, None) => Some(SslOpts::default()),
            (true, Some(ca)) => {
                let pem = crate::live::pem(Path::new(ca))?;
                Some(SslOpts::default().with_disable_built_in_roots(true).with_root_certs(vec![pem.into()]))
            }
        };
        // Read-only for all that follows in this session; a SELECT cannot change that. Moments are told in UTC.
        let setup = ["SET SESSION TRANSACTION READ ONLY", "SET time_zone = '+00:00'"];
        let opts = OptsBuilder::default()
            .ip_or_hostname(&server.host)
            .tcp_port(server.port)
            .user(Some(&server.user))
            .pass(server.password.as_ref().map(|password| password.expose()))
            .db_name(Some(&server.database))
            .prefer_socket(false)
            .ssl_opts(tls)
            .init(setup.map(str::to_owned).to_vec());
        Ok(Self { name: name.into(), opts: opts.into(), idle: Arc::default() })
    }

    /// Asks and waits, at most until `deadline`.
    pub async fn send(&self, query: Query, deadline: Instant) -> Result<Response, Trouble> {
        let name = &self.name;
        let in_time = tokio::time::Instant::from_std(deadline);
        loop {
            let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let (mut connection, fresh) = match kept {
                Some(connection) => (connection, false),
                None => {
                    let connect = tokio::time::timeout_at(in_time, self.connect()).await;
                    let late = |_| Trouble::NotSent(format!("{name} cannot be reached in time"));
                    (connect.map_err(late)??, true)
                }
            };
            let left = deadline.saturating_duration_since(Instant::now());
            let asked = tokio::time::timeout_at(in_time, self.ask(&mut connection, &query, left)).await;
            match asked.map_err(|_| Trouble::NoAnswer(format!("{name} did not answer in time")))? {
                Ok(rows) => {
                    let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                    if idle.len() < KEPT {
                        idle.push(connection);
                    }
                    return Ok(Response { status: 0, headers: Vec::new(), body: Payload::Value(rows.into()) });
                }
                Err(failed) if failed.stale && !fresh => {}
                Err(failed) => return Err(failed.trouble),
            }
        }
    }

    async fn connect(&self) -> Result<Connection, Trouble> {
        let trouble = |error: Error| match self.failed(&error).trouble {
            Trouble::NoAnswer(reason) => Trouble::NotSent(reason),
            told => told,
        };
        let mut conn = Conn::new(self.opts.clone()).await.map_err(trouble)?;
        let version: Option<String> = conn.query_first("SELECT VERSION()").await.map_err(trouble)?;
        let mariadb = version.is_some_and(|version| version.contains("MariaDB"));
        Ok(Connection { conn, mariadb, seconds: 0 })
    }

    async fn ask(&self, connection: &mut Connection, query: &Query, left: Duration) -> Result<Vec<Json>, Failed> {
        let name = &self.name;
        let failed = |error: Error| self.failed(&error);
        let unusable = |reason: String| Failed { trouble: Trouble::Unusable(reason), stale: false };
        // In whole seconds, so that it is seldom told anew. MariaDB 10.1 counts seconds, MySQL 5.7 milliseconds.
        let seconds = left.as_secs() + 1;
        if connection.seconds != seconds {
            let set = match connection.mariadb {
                true => format!("SET SESSION max_statement_time = {seconds}"),
                false => format!("SET SESSION max_execution_time = {}", seconds * 1000),
            };
            connection.conn.query_drop(set).await.map_err(failed)?;
            connection.seconds = seconds;
        }
        // Its parameters have places and no names; one that comes twice is told twice.
        let (statement, _) = query.statement.written(|_, _| "?".to_owned());
        let values = query.statement.places().map(|place| value(query.with.get(place).unwrap_or(&Json::Null)));
        let values: Vec<_> = values.collect();
        let parameters = if values.is_empty() { Params::Empty } else { Params::Positional(values) };
        let mut rows = connection.conn.exec_iter(statement, parameters).await.map_err(failed)?;
        let columns = rows.columns().unwrap_or_else(|| Arc::from([]));
        for (n, column) in columns.iter().enumerate() {
            if columns.iter().take(n).any(|other| other.name_ref() == column.name_ref()) {
                let column = column.name_str();
                return Err(unusable(format!("{name} gives two columns \"{column}\": name one otherwise (AS)")));
            }
        }
        let (mut list, mut size) = (Vec::new(), 0);
        while let Some(row) = rows.next().await.map_err(failed)? {
            let mut map = Map::new();
            for (column, value) in columns.iter().zip(row.unwrap_raw()) {
                let column_name = column.name_str();
                let value = json(column, value.unwrap_or(mysql_async::Value::NULL))
                    .map_err(|why| unusable(format!("{name}'s column \"{column_name}\" {why}")))?;
                size += column_name.len() + value.as_str().map_or(8, str::len);
                map.insert(column_name.into_owned(), value);
            }
            if list.len() == ROWS || size > BYTES {
                return Err(unusable(format!("{name}'s answer is larger than {ROWS} rows or {BYTES} bytes")));
            }
            list.push(Json::Object(map));
        }
        rows.drop_result().await.map_err(failed)?;
        Ok(list)
    }

    fn failed(&self, error: &Error) -> Failed {
        let name = &self.name;
        match error {
            Error::Server(error) => {
                let state = state::mysql(error.code, &error.state);
                // Shut down (1053, 1927: killed), a prepared statement that is no longer known (1243).
                let stale = matches!(error.code, 1053 | 1243 | 1927) || error.state.starts_with("08");
                Failed { trouble: state::trouble(name, state, &error.message), stale }
            }
            _ => Failed { trouble: Trouble::NoAnswer(format!("{name} cannot be reached, or broke off")), stale: true },
        }
    }
}

fn value(json: &Json) -> mysql_async::Value {
    match json {
        Json::Null => mysql_async::Value::NULL,
        Json::Bool(b) => mysql_async::Value::Int((*b).into()),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(i), _) => mysql_async::Value::Int(i),
            (_, Some(u)) => mysql_async::Value::UInt(u),
            // As it is written: compared with a decimal it is one, and no digit is lost.
            _ => mysql_async::Value::Bytes(number.to_string().into_bytes()),
        },
        Json::String(text) => mysql_async::Value::Bytes(text.clone().into_bytes()),
        // A document, for JSON_TABLE and the like.
        other => mysql_async::Value::Bytes(other.to_string().into_bytes()),
    }
}
