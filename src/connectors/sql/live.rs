//! Databases, asked: connections that cannot write, values sent beside the statement, answers of bounded size, never longer than the deadline.

use std::{
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use rusqlite::{Connection, InterruptHandle, OpenFlags, types::ValueRef};
use serde_json::{Map, Value as Json};

use super::{
    super::{
        Outcome,
        run::{Payload, Query, Response, Trouble},
    },
    BYTES, KEPT, ROWS,
};

/// Connections to one database.
#[derive(Clone)]
pub struct Sql {
    name: String,
    path: PathBuf,
    /// Each with the number of the file that it reads (inode).
    idle: Arc<Mutex<Vec<(Connection, u64)>>>,
}

impl Sql {
    #[must_use]
    pub fn new(name: &str, path: &str) -> Self {
        Self { name: name.to_owned(), path: PathBuf::from(path), idle: Arc::default() }
    }

    /// Asks and waits, at most until `deadline`.
    pub async fn send(&self, query: Query, deadline: Instant) -> Result<Response, Trouble> {
        let name = self.name.clone();
        if Instant::now() >= deadline {
            return Err(Trouble::NotSent(format!("no time was left to ask {name}")));
        }
        let (this, began) = (self.clone(), Instant::now());
        let stop: Arc<Mutex<Option<InterruptHandle>>> = Arc::default();
        let handle = stop.clone();
        let asked = tokio::task::spawn_blocking(move || this.ask(&query, deadline, &handle));
        match tokio::time::timeout_at(tokio::time::Instant::from_std(deadline), asked).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Trouble::NoAnswer(format!("the question to {name} was given up"))),
            Err(_) => {
                if let Some(handle) = &*stop.lock().unwrap_or_else(PoisonError::into_inner) {
                    handle.interrupt();
                }
                let within = deadline.saturating_duration_since(began).as_millis();
                Err(Trouble::NoAnswer(format!("{name} did not answer within {within} ms")))
            }
        }
    }

    fn ask(
        &self,
        query: &Query,
        deadline: Instant,
        stop: &Mutex<Option<InterruptHandle>>,
    ) -> Result<Response, Trouble> {
        let name = &self.name;
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let not_there = || Trouble::NotSent(format!("{name} cannot be opened"));
        let file = std::fs::metadata(&self.path).map_err(|_| not_there())?.ino();
        // The file may have been replaced by a newer one since.
        let connection = match kept.filter(|(_, read)| *read == file) {
            Some((connection, _)) => connection,
            None => self.open().map_err(|_| not_there())?,
        };
        *stop.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection.get_interrupt_handle());
        if Instant::now() >= deadline {
            return Err(Trouble::NotSent(format!("no time was left to ask {name}")));
        }
        let answer = self.rows(&connection, query);
        *stop.lock().unwrap_or_else(PoisonError::into_inner) = None;
        // One that failed may be of a file that is no longer there.
        if answer.is_ok() {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < KEPT {
                idle.push((connection, file));
            }
        }
        answer
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(
            &self.path,
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        connection.busy_timeout(std::time::Duration::from_secs(1))?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    }

    fn rows(&self, connection: &Connection, query: &Query) -> Result<Response, Trouble> {
        let name = &self.name;
        let (text, order) = query.statement.written(|n, _| format!("?{n}"));
        let mut statement = connection.prepare_cached(&text).map_err(|e| self.trouble(&e))?;
        for (n, parameter) in order.iter().enumerate() {
            let value = query.with.iter().find(|(name, _)| name == parameter).map_or(&Json::Null, |(_, value)| value);
            let bound = match value {
                Json::Null => statement.raw_bind_parameter(n + 1, rusqlite::types::Null),
                Json::Bool(b) => statement.raw_bind_parameter(n + 1, *b),
                Json::Number(number) => match number.as_i64() {
                    Some(i) => statement.raw_bind_parameter(n + 1, i),
                    // As it is written: a column of numbers compares it as a number, and no digit is lost.
                    None => statement.raw_bind_parameter(n + 1, number.to_string()),
                },
                Json::String(text) => statement.raw_bind_parameter(n + 1, text),
                Json::Array(_) | Json::Object(_) => {
                    let reason = format!("the parameter \"{parameter}\" is neither text nor number");
                    return Err(Trouble::Told(Outcome::Invalid { reason }));
                }
            };
            bound.map_err(|e| self.trouble(&e))?;
        }
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut rows = statement.raw_query();
        let (mut list, mut size) = (Vec::new(), 0);
        while let Some(row) = rows.next().map_err(|e| self.trouble(&e))? {
            let mut map = Map::new();
            for (n, column) in columns.iter().enumerate() {
                let value = match row.get_ref(n).map_err(|e| self.trouble(&e))? {
                    ValueRef::Null => Json::Null,
                    ValueRef::Integer(i) => i.into(),
                    ValueRef::Real(f) => serde_json::Number::from_f64(f).map_or(Json::Null, Json::Number),
                    ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned().into(),
                    ValueRef::Blob(_) => {
                        let reason =
                            format!("{name}'s column \"{column}\" holds bytes: leave it out, or make text of it");
                        return Err(Trouble::Unusable(reason));
                    }
                };
                size += column.len() + value.as_str().map_or(8, str::len);
                if map.insert(column.clone(), value).is_some() {
                    return Err(Trouble::Unusable(format!(
                        "{name} gives two columns \"{column}\": name one otherwise (AS)"
                    )));
                }
            }
            list.push(Json::Object(map));
            if list.len() > ROWS || size > BYTES {
                return Err(Trouble::Unusable(format!("{name}'s answer is larger than {ROWS} rows or {BYTES} bytes")));
            }
        }
        Ok(Response { status: 0, headers: Vec::new(), body: Payload::Value(list.into()) })
    }

    /// The library's words may repeat values; its codes do not.
    fn trouble(&self, error: &rusqlite::Error) -> Trouble {
        use rusqlite::ErrorCode;
        let name = &self.name;
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Trouble::Told(Outcome::Busy { reason: format!("{name} is locked by somebody who writes") })
            }
            Some(ErrorCode::OperationInterrupted) => Trouble::NoAnswer(format!("{name} did not answer in time")),
            Some(ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied | ErrorCode::ReadOnly) => {
                Trouble::Told(Outcome::Denied { reason: format!("{name} does not let us read this") })
            }
            Some(ErrorCode::CannotOpen | ErrorCode::SystemIoFailure) => {
                Trouble::NotSent(format!("{name} cannot be opened"))
            }
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                Trouble::Unusable(format!("{name} is no database, or a damaged one"))
            }
            // The statement is the file's own; what SQLite says of it names tables and columns, and no values.
            _ => Trouble::Unusable(format!("{name} does not take the statement: {}", said(error))),
        }
    }
}

fn said(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(text)) => text.clone(),
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        _ => "it is none of SQLite's".to_owned(),
    }
}
