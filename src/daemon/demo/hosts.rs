//! The demo's business systems on sockets, and the ways in which they can let people down: slow, silent after acting, refusing, dead.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, header, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use crate::live;

use super::{
    mail::Mails,
    systems::{Reply, Request, System, World, Written},
};

/// How a system behaves. It may change at any time; a request keeps the mode it came in with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Well,
    /// This long before it acts, and again before it answers.
    Slow(Duration),
    /// It does what it was asked and closes the connection without a word.
    DropsAnswers,
    /// 503 to everything, with a Retry-After of a second; nothing is done.
    Refuses,
    /// An HTML page with status 200 in place of an answer; nothing is done.
    Babbles,
    /// Nobody listens and every connection is cut.
    Dead,
}

/// One business system on its port. It lives as long as this value.
pub struct Host {
    system: System,
    address: SocketAddr,
    world: Arc<Mutex<World>>,
    mode: watch::Sender<Mode>,
    task: JoinHandle<()>,
}

impl Host {
    /// Listens at `at` (port 0: any free port).
    ///
    /// # Errors
    /// The address cannot be had.
    pub async fn start(system: System, at: SocketAddr) -> io::Result<Host> {
        let listener = TcpListener::bind(at).await?;
        let address = listener.local_addr()?;
        let world = Arc::new(Mutex::new(World::default()));
        let (mode, modes) = watch::channel(Mode::Well);
        let task = tokio::spawn(serve(system, listener, address, Arc::clone(&world), modes));
        Ok(Host { system, address, world, mode, task })
    }

    #[must_use]
    pub fn system(&self) -> System {
        self.system
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// The system loses what was written to it last, as after a copy of yesterday was put back; false: it has nothing to lose.
    pub fn lose(&self) -> bool {
        locked(&self.world).lose()
    }

    /// Everything that was written here, whatever became of the answers.
    #[must_use]
    pub fn ledger(&self) -> Vec<Written> {
        locked(&self.world).ledger().to_vec()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn locked(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(
    system: System,
    listener: TcpListener,
    address: SocketAddr,
    world: Arc<Mutex<World>>,
    mut modes: watch::Receiver<Mode>,
) {
    let mut listener = Some(listener);
    let mut guests = JoinSet::new();
    loop {
        tokio::select! {
            accepted = accept(listener.as_ref()) => {
                if let Ok(stream) = accepted {
                    guests.spawn(guest(system, stream, Arc::clone(&world), modes.clone()));
                }
            }
            Some(_) = guests.join_next() => {}
            changed = modes.changed() => {
                if changed.is_err() {
                    return;
                }
                let dead = *modes.borrow_and_update() == Mode::Dead;
                if dead {
                    listener = None;
                    guests.shutdown().await;
                } else if listener.is_none() {
                    match TcpListener::bind(address).await {
                        Ok(again) => listener = Some(again),
                        Err(error) => {
                            tracing::error!(system = system.id(), %error, "a simulated system cannot listen again");
                            return;
                        }
                    }
                }
            }
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

/// A connection was closed without an answer, on purpose.
#[derive(Debug, thiserror::Error)]
#[error("silent on purpose")]
struct Silent;

async fn guest(system: System, stream: TcpStream, world: Arc<Mutex<World>>, modes: watch::Receiver<Mode>) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mode = *modes.borrow();
        let world = Arc::clone(&world);
        async move { answer(system, mode, request, &world).await }
    });
    // A guest who goes away in the middle, and our own silence, both end in an error here: that is how it should be.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    system: System,
    mode: Mode,
    request: hyper::Request<Incoming>,
    world: &Mutex<World>,
) -> Result<hyper::Response<Full<Bytes>>, Silent> {
    if mode == Mode::Refuses {
        let mut reply = respond(&Reply { status: 503, kind: "text/plain", body: "later, please".into() });
        reply.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        return Ok(reply);
    }
    if mode == Mode::Babbles {
        let page = "<html><title>Maintenance</title>back soon</html>";
        return Ok(respond(&Reply { status: 200, kind: "text/html", body: page.into() }));
    }
    let (head, body) = request.into_parts();
    // No connector sends a megabyte; a page that does is refused like any other bad request.
    let body = Limited::new(body, 1 << 20).collect().await.map_err(|_| Silent)?.to_bytes();
    let text = |name: header::HeaderName| head.headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let request = Request {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: query(head.uri.query().unwrap_or_default()),
        key: text(header::HeaderName::from_static("x-api-key")),
        authorization: text(header::AUTHORIZATION),
        body: body.to_vec(),
    };
    // The page for people is always there at once.
    let patient = request.path == "/";
    if let (Mode::Slow(by), false) = (mode, patient) {
        tokio::time::sleep(by).await;
    }
    let reply = locked(world).answer(system, &request, live::now());
    match mode {
        Mode::Slow(by) if !patient => tokio::time::sleep(by).await,
        Mode::DropsAnswers if !patient => return Err(Silent),
        _ => {}
    }
    Ok(respond(&reply))
}

fn respond(reply: &Reply) -> hyper::Response<Full<Bytes>> {
    let mut response = hyper::Response::new(Full::new(Bytes::from(reply.body.clone())));
    *response.status_mut() = hyper::StatusCode::from_u16(reply.status).unwrap_or(hyper::StatusCode::OK);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(reply.kind));
    response
}

/// `a=b&c=d`, percent-decoded.
fn query(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(k, v)| (decoded(k), decoded(v))).collect()
}

fn decoded(text: &str) -> String {
    String::from_utf8_lossy(&crate::words::unpercent(&text.replace('+', " "))).into_owned()
}

/// All five, and a mail server, on their ports.
pub struct Hosts {
    pub erp: Host,
    pub loyalty: Host,
    pub orders: Host,
    pub tickets: Host,
    pub survey: Host,
    pub mails: Mails,
}

impl Hosts {
    #[must_use]
    pub fn all(&self) -> [&Host; 5] {
        [&self.erp, &self.loyalty, &self.orders, &self.tickets, &self.survey]
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// What comes back until the other side closes.
    async fn ask(address: SocketAddr, text: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(text.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    fn post(key: &str) -> String {
        let body = format!(r#"{{"subject":"s","key":"{key}"}}"#);
        format!(
            "POST /api/tickets HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{body}",
            super::super::systems::DESK_TOKEN,
            body.len()
        )
    }

    #[tokio::test]
    async fn each_mode_lets_down_in_its_own_way_and_the_ledger_knows_what_was_done() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let host = Host::start(System::Tickets, any).await.unwrap();
        let at = host.address();
        assert!(ask(at, &post("well")).await.unwrap().starts_with("HTTP/1.1 201"));
        host.set(Mode::DropsAnswers);
        assert_eq!(ask(at, &post("dropped")).await.unwrap_or_default(), "");
        host.set(Mode::Refuses);
        let refused = ask(at, &post("refused")).await.unwrap();
        assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("retry-after: 1"), "{refused}");
        host.set(Mode::Babbles);
        assert!(ask(at, &post("babbled")).await.unwrap().contains("<html>"));
        host.set(Mode::Dead);
        while ask(at, &post("dead")).await.is_ok() {
            tokio::task::yield_now().await;
        }
        host.set(Mode::Slow(Duration::from_millis(5)));
        let slow = loop {
            match ask(at, &post("slow")).await {
                Ok(answer) => break answer,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        assert!(slow.starts_with("HTTP/1.1 201"));
        let keys: Vec<String> = host.ledger().into_iter().map(|w| w.key).collect();
        assert_eq!((keys[0].as_str(), keys[1].as_str(), keys.last().unwrap().as_str()), ("well", "dropped", "slow"));
        assert!(!keys.iter().any(|k| k == "refused" || k == "babbled"));
    }

    #[test]
    fn a_query_is_decoded() {
        let q = query("phone=%2B86138&name=%E7%8E%8B+x&odd=%zz&flag");
        assert_eq!(
            (q["phone"].as_str(), q["name"].as_str(), q["odd"].as_str(), q["flag"].as_str()),
            ("+86138", "王 x", "%zz", "")
        );
    }
}
