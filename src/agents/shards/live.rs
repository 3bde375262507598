//! The shards: each a thread with its own runtime, its own listener (SO_REUSEPORT: the kernel spreads the connections) and its own
//! sockets. Nothing here waits for the core, for keys or for another screen.

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use futures_util::StreamExt;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::mpsc,
};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{Role, WebSocketConfig},
    },
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::http::{self, Asked};
use crate::{
    access::{Verifier, Who},
    agents::{
        Heard, Limits, ScreenId, Screens, Settings, Told,
        screen::{
            Closing, Line, Mailbox,
            live::{Around, Shared, farewell, steady, verify},
        },
        wire::{self, Incoming},
    },
    recordings::{
        live::Fetch,
        wire::{Refusal, refusal as wire_of},
    },
};
use bytes::Bytes;

/// Everything the shards are given.
pub struct Door {
    pub settings: Arc<Settings>,
    pub verifier: Arc<Verifier>,
    pub screens: Arc<Screens>,
    /// To the core; made in `daemon/wiring.rs`. When it is full, the screen that speaks waits, nobody else.
    pub heard: mpsc::Sender<Heard>,
    /// The back runtime, for public-key arithmetic.
    pub back: Handle,
    /// To whoever has the recordings; absent where there are none.
    pub recordings: Option<Recordings>,
    /// Stop taking, say farewell (1001), leave.
    pub stop: CancellationToken,
}

/// The way to recordings: the bytes come from the back runtime, for shards read no files.
#[derive(Clone)]
pub struct Recordings {
    /// Made in `daemon/wiring.rs`. When it is full, the player is told to come back.
    pub fetches: mpsc::Sender<Fetch>,
    /// Makes the channel for the pieces of one answer; in `daemon/wiring.rs` too.
    pub pieces: fn() -> (mpsc::Sender<Bytes>, mpsc::Receiver<Bytes>),
    /// How long a player may take for one piece.
    pub stall: Duration,
}

/// The running shards.
pub struct Shards {
    /// Where they really listen (the port, where the settings say 0).
    pub address: SocketAddr,
    threads: Vec<JoinHandle<()>>,
}

impl Shards {
    /// Waits until all have left; call after `stop`.
    pub fn join(self) {
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

/// Why the door did not open. Blames the settings.
#[derive(Debug, thiserror::Error)]
pub enum Shut {
    #[error("cannot listen at {listen}: {source}")]
    Listen { listen: String, source: io::Error },
    #[error("cannot use the certificate or key of agents.tls: {0}")]
    Tls(String),
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

/// Opens the listeners, then starts the threads.
///
/// # Errors
/// The address cannot be had, or the TLS files are not fit.
pub fn open(door: Door) -> Result<Shards, Shut> {
    let listen = door.settings.listen.clone();
    let shut = |source: io::Error| Shut::Listen { listen: listen.clone(), source };
    let mut address: SocketAddr =
        listen.parse().map_err(|_| shut(io::Error::new(io::ErrorKind::InvalidInput, "no address:port")))?;
    let count = match door.settings.shards {
        Some(count) => usize::from(count),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let mut listeners = Vec::new();
    for _ in 0..count.max(1) {
        let listener = bind(address).map_err(&shut)?;
        address = listener.local_addr().map_err(&shut)?;
        listeners.push(listener);
    }
    let tls = door.settings.tls.as_ref().map(|tls| acceptor(&tls.certificate, &tls.key)).transpose()?;
    let door = Arc::new(Inside {
        around: Arc::new(Around { screens: door.screens, verifier: door.verifier, heard: door.heard, back: door.back }),
        settings: door.settings,
        tls,
        recordings: door.recordings,
        stop: door.stop,
    });
    let mut threads = Vec::new();
    for (number, listener) in listeners.into_iter().enumerate() {
        let door = door.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Shut::Thread)?;
        let thread = std::thread::Builder::new()
            .name(format!("shard-{number}"))
            .spawn(move || runtime.block_on(shard(number as u64, listener, door)))
            .map_err(Shut::Thread)?;
        threads.push(thread);
    }
    Ok(Shards { address, threads })
}

struct Inside {
    around: Arc<Around>,
    settings: Arc<Settings>,
    tls: Option<TlsAcceptor>,
    recordings: Option<Recordings>,
    stop: CancellationToken,
}

/// An answer that is not taken by then is not waited for.
const WRITE: Duration = Duration::from_secs(5);
/// A browser that loads a page asks for its files one after the other; who waits longer begins anew.
const NEXT_FILE: Duration = Duration::from_secs(1);
/// Files over one connection.
const FILES: u32 = 100;

/// One shard's own.
struct Shard {
    door: Arc<Inside>,
    wheel: Wheel,
    next: AtomicU64,
    handshakes: AtomicUsize,
    tasks: TaskTracker,
}

async fn shard(number: u64, listener: StdListener, door: Arc<Inside>) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a shard cannot use its listener"),
    };
    let limits = door.settings.limits.clone();
    let shard = Arc::new(Shard {
        wheel: Wheel::new(),
        next: AtomicU64::new(number << 48),
        handshakes: AtomicUsize::new(0),
        door: door.clone(),
        tasks: TaskTracker::new(),
    });
    let tracker = &shard.tasks;
    tracker.spawn(turn(shard.clone(), limits.ping_ms));
    let mut budget = limits.handshakes_per_s;
    let mut refill = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            biased;
            () = door.stop.cancelled() => break,
            _ = refill.tick() => budget = limits.handshakes_per_s,
            // Out of budget, the rest wait in the kernel's backlog: established screens come first.
            accepted = listener.accept(), if budget > 0 => {
                match accepted {
                    Ok((socket, _)) => {
                        budget -= 1;
                        tracker.spawn(serve(shard.clone(), socket));
                    }
                    Err(error) => {
                        // Out of descriptors, mostly: taking the budget away leaves the others time to close.
                        tracing::warn!(%error, "cannot accept");
                        budget = 0;
                    }
                }
            }
        }
    }
    drop(listener);
    shard.wheel.each(|mailbox| mailbox.close(Closing::Away));
    tracker.close();
    let _ = tokio::time::timeout(GRACE, tracker.wait()).await;
}

/// From accept to the end. The handshake is boxed and gone before the steady phase: a task keeps the size of its largest future.
async fn serve(shard: Arc<Shard>, socket: TcpStream) {
    shard.handshakes.fetch_add(1, Ordering::Relaxed);
    prepare(&socket, &shard.door.settings.limits);
    match &shard.door.tls {
        None => {
            let socket = Arc::new(socket);
            attend(&shard, Shared(socket.clone()), Some(socket)).await;
        }
        Some(tls) => {
            let wait = Duration::from_millis(shard.door.settings.limits.authenticate_ms);
            if let Ok(Ok(socket)) = Box::pin(tokio::time::timeout(wait, tls.accept(socket))).await {
                attend(&shard, socket, None).await;
            }
        }
    }
    shard.handshakes.fetch_sub(1, Ordering::Relaxed);
}

/// Greets, and gives the steady phase a task of its own, so that this one's frame goes.
async fn attend<S>(shard: &Shard, socket: S, plain: Option<Arc<TcpStream>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    match Box::pin(greet(shard, socket, plain)).await {
        Some(Greeted::Screen((ws, screen, who, mailbox))) => {
            shard.tasks.spawn(steady(ws, shard.door.around.clone(), screen, who, mailbox));
        }
        Some(Greeted::Player(socket, pieces, stall)) => {
            let stop = shard.door.stop.clone();
            shard.tasks.spawn(async move {
                let play = pass(socket, pieces, stall);
                tokio::select! {
                    () = stop.cancelled() => {}
                    _ = tokio::time::timeout(LONGEST_PLAY, play) => {}
                }
            });
        }
        None => {}
    }
}

/// Writes what comes as fast as the player takes it, and no faster. One that stalls is let go: it may ask again from where it was.
async fn pass<S: AsyncRead + AsyncWrite + Unpin>(mut socket: S, mut pieces: mpsc::Receiver<Bytes>, stall: Duration) {
    while let Some(piece) = pieces.recv().await {
        if !matches!(tokio::time::timeout(stall, socket.write_all(&piece)).await, Ok(Ok(()))) {
            return;
        }
    }
    let _ = tokio::time::timeout(Duration::from_secs(5), socket.shutdown()).await;
}

/// Who came in.
#[allow(clippy::large_enum_variant, reason = "it is taken apart at once: a box would only move the bytes")]
enum Greeted<S> {
    Screen(Accepted<S>),
    Player(S, mpsc::Receiver<Bytes>, Duration),
}

type Accepted<S> = (WebSocketStream<S>, ScreenId, Arc<Who>, Arc<Mailbox>);

/// Head, upgrade, token: all within one deadline.
async fn greet<S>(shard: &Shard, mut socket: S, plain: Option<Arc<TcpStream>>) -> Option<Greeted<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let door = &shard.door;
    let figures = &door.around.screens.figures;
    let limits = &door.settings.limits;
    let deadline = tokio::time::Instant::now() + Duration::from_millis(limits.authenticate_ms);
    let mut buffer = Vec::with_capacity(1024);
    let mut files = 0_u32;
    let (answer, token, head) = loop {
        // Sockets that wait for a next question take the places of screens and of files: only while few wait.
        let few = shard.handshakes.load(Ordering::Relaxed) < limits.handshakes_per_s as usize / 2;
        match http::judge(&buffer, &door.settings, few && files < FILES) {
            Asked::More => {
                let until = if files == 0 { deadline } else { deadline.min(tokio::time::Instant::now() + NEXT_FILE) };
                match tokio::time::timeout_at(until, socket.read_buf(&mut buffer)).await {
                    Ok(Ok(1..)) => {}
                    Err(_) if files == 0 => {
                        figures.authenticate_timeouts.fetch_add(1, Ordering::Relaxed);
                        return None;
                    }
                    Ok(_) | Err(_) => return None,
                }
            }
            Asked::File { answer, head } => {
                let wrote = tokio::time::timeout(WRITE, socket.write_all(&answer)).await;
                if !matches!(wrote, Ok(Ok(()))) {
                    return None;
                }
                buffer.drain(..head);
                files += 1;
            }
            Asked::Upgrade { answer, token, head } => break (answer, token, head),
            Asked::Answer(answer) => {
                if !answer.starts_with(b"HTTP/1.1 200") && !answer.starts_with(b"HTTP/1.1 304") {
                    figures.refused_request.fetch_add(1, Ordering::Relaxed);
                }
                return refuse(socket, &answer).await;
            }
            Asked::Recording(wanted) => {
                let Some(recordings) = &door.recordings else {
                    return refuse(socket, &wire_of(Refusal::Unknown)).await;
                };
                let (to, pieces) = (recordings.pieces)();
                let http::Wanted { id, token, head, range, if_range } = wanted;
                let fetch = Fetch { id, token, head, range, if_range, pieces: to };
                if recordings.fetches.try_send(fetch).is_err() {
                    return refuse(socket, &wire_of(Refusal::Full)).await;
                }
                return Some(Greeted::Player(socket, pieces, recordings.stall));
            }
            Asked::ForeignOrigin(answer) => {
                figures.refused_origin.fetch_add(1, Ordering::Relaxed);
                return refuse(socket, &answer).await;
            }
        }
    };
    let open = figures.screens.load(Ordering::Relaxed) + shard.handshakes.load(Ordering::Relaxed);
    if open > limits.screens as usize {
        figures.refused_full.fetch_add(1, Ordering::Relaxed);
        return refuse(socket, &http::full()).await;
    }
    tokio::time::timeout_at(deadline, socket.write_all(&answer)).await.ok()?.ok()?;
    let rest = buffer.split_off(head);
    drop(buffer);
    let mut ws = if rest.is_empty() {
        WebSocketStream::from_raw_socket(socket, Role::Server, Some(small())).await
    } else {
        WebSocketStream::from_partially_read(socket, rest, Role::Server, Some(small())).await
    };
    let token = match token {
        Some(token) => token,
        None => match tokio::time::timeout_at(deadline, ws.next()).await {
            Err(_) => {
                figures.authenticate_timeouts.fetch_add(1, Ordering::Relaxed);
                farewell(ws, 4408, "no token in time").await;
                return None;
            }
            Ok(Some(Ok(Message::Text(text)))) => match wire::read(text.as_str()) {
                Ok(Incoming::Authenticate(first)) => first.token,
                _ => {
                    figures.refused_token.fetch_add(1, Ordering::Relaxed);
                    farewell(ws, 4401, "the first frame is authenticate").await;
                    return None;
                }
            },
            Ok(Some(Ok(_))) => {
                figures.refused_token.fetch_add(1, Ordering::Relaxed);
                farewell(ws, 4401, "the first frame is authenticate").await;
                return None;
            }
            Ok(_) => return None,
        },
    };
    match verify(&door.around, token.expose()).await {
        Ok(who) => {
            let screen = ScreenId(shard.next.fetch_add(1, Ordering::Relaxed));
            let mailbox = door.around.screens.open(screen, who.expires, plain.map(|socket| socket as Arc<dyn Line>));
            let attached = Heard { screen, what: Told::Attached { who: who.clone() } };
            if tokio::time::timeout_at(deadline, door.around.heard.send(attached)).await.is_ok_and(|sent| sent.is_ok())
            {
                figures.accepted.fetch_add(1, Ordering::Relaxed);
                shard.wheel.add(&mailbox);
                return Some(Greeted::Screen((ws, screen, who, mailbox)));
            }
            door.around.screens.close(screen);
            figures.refused_full.fetch_add(1, Ordering::Relaxed);
            farewell(ws, Closing::Full.code(), Closing::Full.reason()).await;
        }
        Err(refused) => {
            figures.refused_token.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(reason = %refused, "token refused");
            farewell(ws, 4401, "token refused").await;
        }
    }
    None
}

async fn refuse<S: AsyncWrite + AsyncRead + Unpin, T>(mut socket: S, answer: &[u8]) -> Option<T> {
    let _ = tokio::time::timeout(WRITE, async {
        socket.write_all(answer).await?;
        socket.shutdown().await
    })
    .await;
    None
}

/// 139 KB a connection by default, under 3 with these: the library fills its read buffer with zeros at the first read.
fn small() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(1024)
        .write_buffer_size(0)
        .max_write_buffer_size(256 * 1024)
        .max_message_size(Some(LARGEST))
        .max_frame_size(Some(LARGEST))
}

fn prepare(socket: &TcpStream, limits: &Limits) {
    let raw = SockRef::from(socket);
    // None of these failing is a reason not to serve.
    let _ = raw.set_tcp_nodelay(true);
    let _ = raw.set_tcp_user_timeout(Some(Duration::from_millis(limits.tcp_user_timeout_ms)));
    let _ = raw.set_send_buffer_size(limits.send_buffer_bytes as usize);
}

fn bind(address: SocketAddr) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn acceptor(certificate: &std::path::Path, key: &std::path::Path) -> Result<TlsAcceptor, Shut> {
    let wrong =
        |path: &std::path::Path, error: &dyn std::fmt::Display| Shut::Tls(format!("{}: {error}", path.display()));
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| wrong(certificate, &error))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(certificate, &error))?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| wrong(certificate, &error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Pings spread evenly: one timer for all screens of a shard, not one for each.
struct Wheel {
    slots: Mutex<(usize, Vec<Vec<Weak<Mailbox>>>)>,
}

impl Wheel {
    fn new() -> Self {
        Self { slots: Mutex::new((0, vec![Vec::new(); SLOTS])) }
    }

    fn add(&self, mailbox: &Arc<Mailbox>) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        // The slot that was just served: the first ping comes after a whole turn.
        let at = slots.0;
        slots.1[at].push(Arc::downgrade(mailbox));
    }

    fn each(&self, mut visit: impl FnMut(&Mailbox)) {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.1.iter().flatten().filter_map(Weak::upgrade).for_each(|mailbox| visit(&mailbox));
    }

    fn advance(&self) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.0 = (slots.0 + 1) % SLOTS;
        let at = slots.0;
        slots.1[at].retain(|mailbox| {
            let Some(mailbox) = mailbox.upgrade() else { return false };
            mailbox.ping();
            true
        });
    }
}

async fn turn(shard: Arc<Shard>, ping_ms: u64) {
    let every = Duration::from_millis((ping_ms / SLOTS as u64).max(1));
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut expiry = tokio::time::interval(EXPIRY_EVERY);
    loop {
        tokio::select! {
            () = shard.door.stop.cancelled() => return,
            _ = ticks.tick() => shard.wheel.advance(),
            _ = expiry.tick() => {
                let now = crate::live::now().wall;
                shard.wheel.each(|mailbox| if mailbox.expired(now) { mailbox.close(Closing::Expired) });
                shard.door.around.verifier.forget_expired(now);
            }
        }
    }
}

/// With the default of 55 s, a second each.
const SLOTS: usize = 55;
/// A token that expired is worth nothing 5 s later.
const EXPIRY_EVERY: Duration = Duration::from_secs(5);
/// The kernel caps it at somaxconn (4096 on current Linux); tokio's own bind asks for 1024.
const BACKLOG: i32 = 4096;
/// Bytes of a frame or message; agents type, they do not upload.
const LARGEST: usize = 64 * 1024;
/// One answer to a player; whoever plays longer asks again from where it is.
const LONGEST_PLAY: Duration = Duration::from_secs(3_600);
/// For farewells at the end.
const GRACE: Duration = Duration::from_secs(4);
