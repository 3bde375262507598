//! A directory, asked: connections that are bound, each with one question at a time. The cookie of a page is good on the connection that gave it, so that one is
//! kept for the next page.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use base64::Engine as _;
use rustls_pki_types::ServerName;
use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::words::certificate::Ends;

use super::{
    super::{
        run::{Payload, Response, Trouble},
        set::Directory,
    },
    Search, Told, ber, bind, result, starttls, trouble,
};

/// What one answer may hold.
const ENTRIES: usize = 10_000;
const BYTES: usize = 4 * 1024 * 1024;
/// Connections kept for the next question; and those kept for a next page, which may never be asked for.
const KEPT: usize = 4;
const PAGED: usize = 4;

/// Connections to one directory. Clones share them.
#[derive(Clone)]
pub struct Ldap {
    name: Arc<str>,
    directory: Arc<Directory>,
    tls: Option<Arc<rustls::ClientConfig>>,
    /// When the directory's certificate ends.
    pub ends: Ends,
    idle: Arc<Mutex<Vec<Connection>>>,
    /// Each with the number that stands in its cookie.
    paged: Arc<Mutex<Vec<(u64, Connection)>>>,
    pages: Arc<AtomicU64>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

struct Connection {
    stream: Box<dyn Stream>,
    number: i32,
    /// What was read and not yet used.
    buffer: Vec<u8>,
}

impl Ldap {
    /// # Errors
    /// A fragment that names what of the file cannot be used.
    pub fn new(name: &str, directory: &Directory) -> Result<Self, String> {
        let tls = match directory.tls {
            true => Some(crate::live::tls(directory.tls_ca.as_deref().map(Path::new))?),
            false => None,
        };
        Ok(Self {
            name: name.into(),
            directory: Arc::new(directory.clone()),
            tls,
            ends: Ends::default(),
            idle: Arc::default(),
            paged: Arc::default(),
            pages: Arc::default(),
        })
    }

    /// Asks and waits, at most until `deadline`.
    pub async fn send(&self, search: Search, deadline: Instant) -> Result<Response, Trouble> {
        let name = &self.name;
        let in_time = tokio::time::Instant::from_std(deadline);
        let cookie = search.page.as_ref().and_then(|(_, cookie)| cookie.as_deref());
        let of_page =
            cookie.and_then(|cookie| cookie.split_once('.')).and_then(|(number, _)| number.parse::<u64>().ok());
        loop {
            let (kept, paged) = match of_page {
                Some(number) => {
                    let mut paged = self.paged.lock().unwrap_or_else(PoisonError::into_inner);
                    let at = paged.iter().position(|(of, _)| *of == number);
                    let lost = || Trouble::NoAnswer(format!("{name} forgot where the list was: it begins anew"));
                    (Some(paged.remove(at.ok_or_else(lost)?).1), true)
                }
                None => (self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop(), false),
            };
            let fresh = kept.is_none();
            let mut connection = match kept {
                Some(connection) => connection,
                None => {
                    let late = |_| Trouble::NotSent(format!("{name} cannot be reached in time"));
                    tokio::time::timeout_at(in_time, self.connect()).await.map_err(late)??
                }
            };
            let left = deadline.saturating_duration_since(Instant::now());
            let asked = tokio::time::timeout_at(in_time, self.ask(&mut connection, &search, left)).await;
            match asked.map_err(|_| Trouble::NoAnswer(format!("{name} did not answer in time")))? {
                Ok((entries, cookie)) => {
                    let cookie = match cookie.as_slice() {
                        [] => {
                            self.keep(connection);
                            Json::Null
                        }
                        bytes => {
                            let number = self.pages.fetch_add(1, Ordering::Relaxed);
                            let mut paged = self.paged.lock().unwrap_or_else(PoisonError::into_inner);
                            if paged.len() == PAGED {
                                paged.remove(0); // the oldest
                            }
                            paged.push((number, connection));
                            let bytes = base64::engine::general_purpose::STANDARD.encode(bytes);
                            format!("{number}.{bytes}").into()
                        }
                    };
                    let body = json!({"entries": entries, "cookie": cookie});
                    return Ok(Response { status: 0, headers: Vec::new(), body: Payload::Value(body) });
                }
                // It was closed while it rested: a new one is another question. A page is good on its own connection only.
                Err(Trouble::NoAnswer(_)) if !fresh && !paged => {}
                Err(trouble) => {
                    // A result that was told leaves the connection as good as it was.
                    if matches!(trouble, Trouble::Told(_)) && !paged {
                        self.keep(connection);
                    }
                    return Err(trouble);
                }
            }
        }
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push(connection);
        }
    }

    async fn connect(&self) -> Result<Connection, Trouble> {
        let Directory { host, port, wrapped, login, .. } = &*self.directory;
        let name = &self.name;
        let unreached = |_| Trouble::NotSent(format!("{name} cannot be reached"));
        let socket = TcpStream::connect((host.as_str(), *port)).await.map_err(unreached)?;
        let mut connection = Connection { stream: Box::new(socket), number: 0, buffer: Vec::new() };
        if let Some(tls) = &self.tls {
            if !wrapped {
                self.succeeds(&mut connection, starttls).await?;
                // What was told in the clear behind the answer is not to be believed.
                connection.buffer.clear();
            }
            let domain = ServerName::try_from(host.clone())
                .map_err(|_| Trouble::Unusable(format!("{name}'s host is no name that a certificate can have")))?;
            let untrusted = |_| Trouble::NotSent(format!("{name}'s certificate is not believed, or it speaks no TLS"));
            let stream = tokio_rustls::TlsConnector::from(tls.clone()).connect(domain, connection.stream);
            let stream = stream.await.map_err(untrusted)?;
            self.ends.shook(stream.get_ref().1);
            connection.stream = Box::new(stream);
        }
        if let Some((user, password)) = login {
            self.succeeds(&mut connection, |number| bind(number, user, password.expose())).await?;
        }
        Ok(connection)
    }

    /// One request that is answered by a result and nothing else.
    async fn succeeds(&self, connection: &mut Connection, request: impl FnOnce(i32) -> Vec<u8>) -> Result<(), Trouble> {
        let name = &self.name;
        let number = connection.next();
        let broke = |why: String| Trouble::NotSent(format!("{name} cannot be asked: {why}"));
        connection.write(&request(number)).await.map_err(broke)?;
        let message = connection.read().await.map_err(broke)?;
        match result(&message).map_err(broke)? {
            (of, code) if of == number => trouble(name, code).map_or(Ok(()), Err),
            // Number 0: it says goodbye (RFC 4511, 4.4.1).
            _ => Err(Trouble::NotSent(format!("{name} ended the conversation"))),
        }
    }

    async fn ask(
        &self,
        connection: &mut Connection,
        search: &Search,
        left: Duration,
    ) -> Result<(Vec<Json>, Vec<u8>), Trouble> {
        let name = &self.name;
        let number = connection.next();
        let seconds = i32::try_from(left.as_secs() + 1).unwrap_or(i32::MAX);
        let most = i32::try_from(ENTRIES + 1).unwrap_or(i32::MAX);
        let request = search.request(number, seconds, most);
        let request = request.map_err(|why| {
            Trouble::Told(super::super::Outcome::Invalid {
                reason: format!("cannot make the request \"{}\": {why}", search.step),
            })
        })?;
        let broke = |why: String| Trouble::NoAnswer(format!("{name} broke off: {why}"));
        connection.write(&request).await.map_err(broke)?;
        let (mut entries, mut size) = (Vec::new(), 0);
        loop {
            let message = connection.read().await.map_err(broke)?;
            size += message.len();
            let unusable = |why: String| Trouble::Unusable(format!("{name}'s answer cannot be used: {why}"));
            match search.read(&message, number).map_err(unusable)? {
                Some(Told::Entry(entry)) => entries.push(entry),
                Some(Told::Done { code, cookie }) => {
                    return trouble(name, code).map_or(Ok((entries, cookie)), Err);
                }
                Some(Told::Elsewhere) => {}
                None if result(&message).is_ok_and(|(of, _)| of == 0) => {
                    return Err(broke("it ended the conversation".to_owned()));
                }
                None => {}
            }
            if entries.len() > ENTRIES || size > BYTES {
                return Err(unusable(format!("it is larger than {ENTRIES} entries or {BYTES} bytes")));
            }
        }
    }
}

impl Connection {
    fn next(&mut self) -> i32 {
        self.number = self.number.checked_add(1).unwrap_or(1);
        self.number
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        let written = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        written.await.map_err(|_| "the connection is gone".to_owned())
    }

    /// The inside of the next message.
    async fn read(&mut self) -> Result<Vec<u8>, String> {
        loop {
            if let Some((element, taken)) = ber::first(&self.buffer)? {
                if element.tag != 0x30 {
                    return Err("it does not speak LDAP".to_owned());
                }
                let inside = element.inside.to_vec();
                self.buffer.drain(..taken);
                return Ok(inside);
            }
            self.buffer.reserve(16 * 1024);
            if !self.stream.read_buf(&mut self.buffer).await.is_ok_and(|count| count > 0) {
                return Err("the connection is gone".to_owned());
            }
        }
    }
}
