//! A PostgreSQL server, asked. A connection of our own keeps what it has prepared; one that died is replaced, and because nothing is written the question is asked
//! again.
//!
//! Two locks hold the door: the session and each transaction are read-only (`default_transaction_read_only`, `begin read only`), whatever the role may do. The
//! session's time-out is what is left of the deadline, so a question that nobody waits for any more ends there too.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    io,
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::BytesMut;
use futures_util::{StreamExt as _, future::join3};
use rustls_pki_types::ServerName;
use serde_json::Value as Json;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::{
    Client, Config, NoTls, Socket,
    config::SslMode,
    tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream},
    types::{Format, IsNull, Kind, ToSql, Type},
};

use crate::words::certificate::Ends;

use super::super::{
    super::{
        run::{Payload, Query, Response, Trouble},
        set::Server,
    },
    BYTES, KEPT, ROWS, state,
};
use super::{as_json, text};

/// Connections to one database. Clones share them.
#[derive(Clone)]
pub struct Postgres {
    name: Arc<str>,
    config: Arc<Config>,
    tls: Option<Arc<rustls::ClientConfig>>,
    /// When the server's certificate ends.
    pub ends: Ends,
    idle: Arc<Mutex<Vec<Connection>>>,
}

struct Connection {
    client: Client,
    prepared: HashMap<String, Prepared>,
    _driver: Driver,
}

/// What reads and writes the socket; it ends with its connection, also while the server is silent.
struct Driver(tokio::task::JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Clone)]
struct Prepared {
    statement: tokio_postgres::Statement,
    names: Vec<String>,
}

/// Why a question failed: what it is for the asker, and whether another connection may do better.
struct Failed {
    trouble: Trouble,
    stale: bool,
}

impl Postgres {
    /// # Errors
    /// A fragment that names what of the file cannot be used.
    pub fn new(name: &str, server: &Server) -> Result<Self, String> {
        let mut config = Config::new();
        config.host(&server.host).port(server.port).user(&server.user).dbname(&server.database);
        config
            .application_name("linecard")
            .options("-c default_transaction_read_only=on -c timezone=UTC -c datestyle=ISO");
        config.ssl_mode(if server.tls { SslMode::Require } else { SslMode::Disable });
        if let Some(password) = &server.password {
            config.password(password.expose());
        }
        let tls = match server.tls {
            true => Some(crate::live::tls(server.tls_ca.as_deref().map(Path::new))?),
            false => None,
        };
        Ok(Self { name: name.into(), config: Arc::new(config), tls, ends: Ends::default(), idle: Arc::default() })
    }

    /// Asks and waits, at most until `deadline`.
    pub async fn send(&self, query: Query, deadline: Instant) -> Result<Response, Trouble> {
        let name = &self.name;
        let late = |sent: bool| match sent {
            true => Trouble::NoAnswer(format!("{name} did not answer in time")),
            false => Trouble::NotSent(format!("{name} cannot be reached in time")),
        };
        let in_time = tokio::time::Instant::from_std(deadline);
        loop {
            let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let (mut connection, fresh) = match kept {
                Some(connection) if connection.client.is_closed() => continue,
                Some(connection) => (connection, false),
                None => {
                    let connect = tokio::time::timeout_at(in_time, self.connect()).await;
                    (connect.map_err(|_| late(false))??, true)
                }
            };
            let left = deadline.saturating_duration_since(Instant::now());
            let asked = tokio::time::timeout_at(in_time, self.ask(&mut connection, &query, left)).await;
            match asked.map_err(|_| late(true))? {
                Ok(rows) => {
                    let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                    if idle.len() < KEPT {
                        idle.push(connection);
                    }
                    return Ok(Response { status: 0, headers: Vec::new(), body: Payload::Value(rows.into()) });
                }
                // The server was started anew meanwhile, or a table was changed: with a new connection it is another question.
                Err(failed) if failed.stale && !fresh => {}
                Err(failed) => return Err(failed.trouble),
            }
        }
    }

    async fn connect(&self) -> Result<Connection, Trouble> {
        let trouble = |error: tokio_postgres::Error| match self.failed(&error).trouble {
            // Before a question nothing was sent.
            Trouble::NoAnswer(reason) => Trouble::NotSent(reason),
            told => told,
        };
        let (client, driver) = match &self.tls {
            Some(tls) => {
                let (client, connection) =
                    self.config.connect(Tls(tls.clone(), self.ends.clone())).await.map_err(trouble)?;
                (client, tokio::spawn(async move { drop(connection.await) }))
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await.map_err(trouble)?;
                (client, tokio::spawn(async move { drop(connection.await) }))
            }
        };
        Ok(Connection { client, prepared: HashMap::new(), _driver: Driver(driver) })
    }

    async fn ask(&self, connection: &mut Connection, query: &Query, left: Duration) -> Result<Vec<Json>, Failed> {
        let prepared = self.prepared(connection, query).await?;
        let parameters: Vec<Parameter> = prepared
            .names
            .iter()
            .zip(prepared.statement.params())
            .map(|(name, kind)| {
                let value = query.with.get(name).unwrap_or(&Json::Null);
                Parameter(text(value, matches!(kind.kind(), Kind::Array(_))))
            })
            .collect();
        let client = &connection.client;
        let begin = format!("begin read only; set local statement_timeout = {}", left.as_millis().max(1));
        // One way there and back: the three are polled, and so sent, in this order.
        let rows = async {
            let rows = client.query_raw(&prepared.statement, &parameters).await.map_err(|e| self.failed(&e))?;
            let mut rows = std::pin::pin!(rows);
            let (mut list, mut size) = (Vec::new(), 0);
            while let Some(row) = rows.next().await {
                let row = row.map_err(|e| self.failed(&e))?;
                let row: &str = row.try_get(0).map_err(|e| self.failed(&e))?;
                size += row.len();
                if list.len() == ROWS || size > BYTES {
                    let name = &self.name;
                    let reason = format!("{name}'s answer is larger than {ROWS} rows or {BYTES} bytes");
                    return Err(Failed { trouble: Trouble::Unusable(reason), stale: false });
                }
                let row = serde_json::from_str(row).map_err(|_| Failed {
                    trouble: Trouble::Unusable(format!("{}'s row is no JSON", self.name)),
                    stale: false,
                })?;
                list.push(row);
            }
            Ok(list)
        };
        let (begun, rows, ended) = join3(client.batch_execute(&begin), rows, client.batch_execute("rollback")).await;
        begun.map_err(|e| self.failed(&e))?;
        let rows = rows?;
        ended.map_err(|e| self.failed(&e))?;
        Ok(rows)
    }

    /// The statement as this connection knows it: first by itself, so that it is one statement and its columns are known, then as JSON.
    async fn prepared(&self, connection: &mut Connection, query: &Query) -> Result<Prepared, Failed> {
        let (statement, order) = query.statement.written(|n, _| format!("${n}"));
        if let Some(prepared) = connection.prepared.get(&statement) {
            return Ok(prepared.clone());
        }
        let names: Vec<String> = order.into_iter().map(str::to_owned).collect();
        let plain = connection.client.prepare(&statement).await.map_err(|e| self.failed(&e))?;
        let unusable = |reason: String| Failed { trouble: Trouble::Unusable(reason), stale: false };
        for (n, column) in plain.columns().iter().enumerate() {
            let (name, column_name) = (&self.name, column.name());
            if matches!(*column.type_(), Type::BYTEA | Type::BYTEA_ARRAY) {
                let what = format!("{name}'s column \"{column_name}\" holds bytes: leave it out, or make text of it");
                return Err(unusable(what));
            }
            if plain.columns().iter().take(n).any(|other| other.name() == column_name) {
                return Err(unusable(format!("{name} gives two columns \"{column_name}\": name one otherwise (AS)")));
            }
        }
        let json = connection.client.prepare(&as_json(&statement, ROWS)).await.map_err(|e| self.failed(&e))?;
        let prepared = Prepared { statement: json, names };
        connection.prepared.insert(statement, prepared.clone());
        Ok(prepared)
    }

    fn failed(&self, error: &tokio_postgres::Error) -> Failed {
        let name = &self.name;
        let Some(error) = error.as_db_error() else {
            let reason = match error.is_closed() {
                true => format!("{name} closed the connection"),
                false => format!("{name} cannot be reached, or broke off"),
            };
            return Failed { trouble: Trouble::NoAnswer(reason), stale: true };
        };
        let state = error.code().code();
        // Shut down, crashed, starting; a prepared statement whose tables were changed (0A000, 26000).
        let stale = matches!(state, "57P01" | "57P02" | "57P03" | "0A000" | "26000") || state.starts_with("08");
        Failed { trouble: state::trouble(name, state, error.message()), stale }
    }
}

/// A value as text. `None` is NULL.
#[derive(Debug)]
struct Parameter(Option<String>);

impl ToSql for Parameter {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        let Some(text) = &self.0 else { return Ok(IsNull::Yes) };
        out.extend_from_slice(text.as_bytes());
        Ok(IsNull::No)
    }
    fn accepts(_: &Type) -> bool {
        true
    }
    fn to_sql_checked(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        self.to_sql(kind, out)
    }
    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }
}

/// rustls for tokio-postgres.
struct Tls(Arc<rustls::ClientConfig>, Ends);

impl MakeTlsConnect<Socket> for Tls {
    type Stream = Stream;
    type TlsConnect = Handshake;
    type Error = rustls_pki_types::InvalidDnsNameError;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Handshake, Self::Error> {
        Ok(Handshake(self.0.clone(), ServerName::try_from(domain.to_owned())?, self.1.clone()))
    }
}

struct Handshake(Arc<rustls::ClientConfig>, ServerName<'static>, Ends);

impl TlsConnect<Socket> for Handshake {
    type Stream = Stream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        let connector = tokio_rustls::TlsConnector::from(self.0);
        Box::pin(async move {
            let stream = connector.connect(self.1, socket).await?;
            self.2.shook(stream.get_ref().1);
            Ok(Stream(Box::new(stream)))
        })
    }
}

struct Stream(Box<tokio_rustls::client::TlsStream<Socket>>);

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

impl TlsStream for Stream {
    /// None: SCRAM without channel binding, behind a certificate that was verified.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(cx, out)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(cx)
    }
}
