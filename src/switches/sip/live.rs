//! A SIP switch in the world: sockets, TLS, WebSockets, names. What is said over them is decided in the client machine (`client/`), what it means in the
//! watcher (`watcher.rs`).
//!
//! Everything of one switch runs in the one future of [`run`], on the core thread: no task is spawned, so what is notified comes in the order in
//! which it was heard.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::poll_fn,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _, future::LocalBoxFuture};
use hickory_resolver::{
    TokioResolver,
    config::{NameServerConfig, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
    proto::rr::{RData, Record, RecordType},
};
use tokio::{
    io::{AsyncRead as _, AsyncWrite as _, ReadBuf},
    net::{TcpStream, UdpSocket},
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Message as Frame,
        client::IntoClientRequest as _,
        http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL},
        protocol::WebSocketConfig,
    },
};
use tokio_util::sync::CancellationToken;

use crate::{
    calls::{
        Command,
        command::{Failure, RequestId},
        event::{Event, Feed, Said as Happened},
        face::OpenLeg,
        seats::Places,
    },
    switches::{
        Devices, Heard, Said, hep,
        link::{CONNECT_MS, Reason, SipStats},
        live::{Outlet, Stream, clock, next, secure, sleep_until},
    },
    words::{Mono, Now, certificate::Ends},
};

use super::{
    client::{
        Alarm, Client, Flow, Input, Output, Package, Server, Target, Transport, Watch, WatchId, Why,
        refer::{Lost, Referred},
    },
    dialogs::Knowledge,
    frame::{self, Piece},
    locate::{Ask, Found, Naptr, Search, Srv},
    settings::{ServerSettings, Settings, Watched},
    watcher::{Watcher, subscription},
    wire::{self, Draft, Message},
};

/// A datagram cannot be longer.
const DATAGRAM: usize = 65_535;
/// What one wake-up reads of a stream at most.
const READ: usize = 64 * 1024;
/// What waits to be written to a switch that does not read.
const WRITE_CAP: usize = 1024 * 1024;
/// How soon screens hear that a device is not seen, or is again: nobody reads faster, and each look goes over all devices.
const LOOK_MS: u64 = 250;
/// Until every watch has had its first NOTIFY, or was refused: then what there is now is told as a whole. Whoever is later is unknown meanwhile.
const SETTLE_MS: u64 = 5_000;
/// After a stop, how long the ends of subscriptions are waited for.
const LEAVE: Duration = Duration::from_millis(500);
/// How long an address is believed where nobody says.
const TTL_MS: u64 = 60_000;
/// A name server that has not answered by then is asked once more, or the next one is.
const DNS_TIMEOUT: Duration = Duration::from_millis(1_500);

/// Keeps the feeds of one switch until `stop`: its subscriptions, and what it mirrors. `places`: who sits where, and so whom to watch. `open`: what was
/// up when the last run ended, for the mirror.
pub async fn run(
    settings: Arc<Settings>,
    stats: &SipStats,
    places: watch::Receiver<Places>,
    open: Vec<OpenLeg>,
    out: mpsc::Sender<Said>,
    commands: mpsc::Receiver<Command>,
    stop: CancellationToken,
) {
    let mirrored = async {
        let Some(hep) = &settings.hep else { return };
        let rules = |places: &Places| {
            hep.rules(settings.inside(places.directory.clone()), &settings.declared(), &settings.pairing)
        };
        hep::live::keep(&settings.id, hep, rules, (places.clone(), open), &stats.hep, &out, &stop).await;
    };
    let watched = async {
        match &settings.server {
            Some(server) => {
                let outlet = Outlet::new(settings.id.clone(), Feed::Sip, out.clone(), stats.sip.clone());
                watch_all(settings.clone(), server, outlet, places.clone(), commands, stop.clone()).await;
            }
            // Commands have one reader, who says that nobody can be called here.
            None => {
                let mut outlet = Outlet::new(settings.id.clone(), Feed::Hep, out.clone(), stats.hep.clone());
                let _ = outlet.meanwhile(std::future::pending::<()>(), &mut Some(commands), &stop).await;
            }
        }
    };
    tokio::join!(Box::pin(mirrored), Box::pin(watched));
}

/// Keeps the subscriptions until `stop`.
async fn watch_all(
    settings: Arc<Settings>,
    server: &ServerSettings,
    mut outlet: Outlet,
    mut places: watch::Receiver<Places>,
    commands: mpsc::Receiver<Command>,
    stop: CancellationToken,
) {
    let mut commands = Some(commands);
    let known = places.borrow_and_update().clone();
    let client = match settings.client(server) {
        Ok(client) => client,
        // A secret that cannot be had: a person must change something, and restart us.
        Err(why) => {
            outlet.ended(&Reason::Settings(why), clock(), &mut 0);
            let forever = std::future::pending::<()>();
            let _ = outlet.meanwhile(forever, &mut commands, &stop).await;
            return;
        }
    };
    let mut link = Link {
        client: Client::new(client, key()),
        watcher: Watcher::new(settings.ours(known.directory.clone())),
        server: server.clone(),
        settings,
        watches: BTreeMap::new(),
        numbers: 0,
        waiting: BTreeSet::new(),
        settle: None,
        since: clock(),
        look: Some(clock().mono),
        devices: None,
        slots: Vec::new(),
        turn: 0,
        resolving: None,
    };
    link.watch(&known);
    loop {
        link.drain(&mut outlet).await;
        let until = link.deadline();
        tokio::select! {
            heard = link.hear() => link.heard(heard),
            () = sleep_until(until.unwrap_or(Mono(u64::MAX / 2))), if until.is_some() => {}
            changed = places.changed() => {
                if changed.is_err() {
                    // The daemon is on its way down; only the stop is left to wait for.
                    stop.cancelled().await;
                    break;
                }
                let known = places.borrow_and_update().clone();
                link.watcher.translator.reload(link.settings.ours(known.directory.clone()));
                link.watch(&known);
            }
            Some(command) = next(&mut commands) => link.command(&command, &mut outlet),
            resync = outlet.room(), if outlet.owes() => if resync { link.tell(&mut outlet) },
            () = stop.cancelled() => break,
        }
    }
    // Leave as one came: nobody is told of calls any more.
    link.client.take(clock(), Input::Stop);
    let _ = timeout(LEAVE, async {
        while !link.client.is_idle() {
            link.drain(&mut outlet).await;
            let until = link.deadline();
            tokio::select! {
                heard = link.hear() => link.heard(heard),
                () = sleep_until(until.unwrap_or(Mono(u64::MAX / 2))), if until.is_some() => {}
            }
        }
    })
    .await;
    outlet.ended(&Reason::Stopped, link.since, &mut 0);
}

/// What a phone's refusal, or its switch's, is to an agent (RFC 3261, 21.4; RFC 3515, 2.4).
const fn why_not(how: &Referred) -> Failure {
    match how {
        Referred::Accepted | Referred::Failed(Lost::NoAnswer) => Failure::NoAnswer,
        Referred::Failed(Lost::Connection) => Failure::SwitchUnavailable,
        Referred::Failed(Lost::Credentials) => Failure::NotPermitted,
        Referred::Refused(status) => match status {
            401 | 403 | 407 | 603 => Failure::NotPermitted,
            404 | 410 | 480 => Failure::NotRegistered,
            // A phone that is told nothing by a stranger, or does not know the method.
            405 | 420 | 501 => Failure::UnavailableHere,
            408 | 487 => Failure::NoAnswer,
            486 | 600 => Failure::Busy,
            484 | 604 => Failure::UnknownTarget,
            _ => Failure::SwitchUnavailable,
        },
    }
}

fn key() -> [u8; 32] {
    rand::random()
}

struct Link {
    settings: Arc<Settings>,
    server: ServerSettings,
    client: Client,
    watcher: Watcher,
    /// What is watched; a number is never given twice.
    watches: BTreeMap<Watched, WatchId>,
    numbers: u32,
    /// Watches of calls that have not had a NOTIFY since the link is up.
    waiting: BTreeSet<WatchId>,
    /// When what there is is told even if some are waiting.
    settle: Option<Mono>,
    since: Now,
    /// When to look of whom nothing is known and who has no phone: soon after it may have changed, for at a start it changes with each NOTIFY.
    look: Option<Mono>,
    /// As it was told last.
    devices: Option<Devices>,
    slots: Vec<Slot>,
    /// Which of them is looked at first, so that none is always last.
    turn: usize,
    resolving: Option<LocalBoxFuture<'static, (Vec<Target>, u64)>>,
}

/// One flow, under way or up.
struct Slot {
    flow: Flow,
    target: Target,
    /// The target's address.
    at: SocketAddr,
    state: State,
}

enum State {
    Opening(LocalBoxFuture<'static, Result<Conn, String>>),
    Up(Box<Conn>),
}

impl Slot {
    /// What came over it. Nothing is lost where somebody else is quicker: what was read is returned at once.
    fn poll(&mut self, at: usize, cx: &mut Context<'_>) -> Poll<Came> {
        match &mut self.state {
            State::Opening(opening) => opening.poll_unpin(cx).map(|opened| match opened {
                Ok(conn) => Came::Opened(at, conn),
                Err(reason) => Came::Gone(at, reason),
            }),
            State::Up(conn) => conn.poll(at, cx),
        }
    }
}

enum Conn {
    Udp { socket: UdpSocket, buffer: Vec<u8> },
    Stream { stream: Box<dyn Stream>, frames: frame::Stream, buffer: Vec<u8>, unsent: Vec<u8>, local: SocketAddr },
    Ws { socket: Box<WebSocketStream<Box<dyn Stream>>>, local: SocketAddr },
}

/// What came from the world.
enum Came {
    Resolved((Vec<Target>, u64)),
    Opened(usize, Conn),
    Gone(usize, String),
    Datagram(usize, SocketAddr, Vec<u8>),
    Pieces(usize, Vec<Piece>, Option<String>),
    Text(usize, Vec<u8>),
    Pong(usize),
    /// Something was written, or there was nothing to say.
    Nothing,
}

impl Link {
    /// Watches whom the directory, the seats and the file name, from now on.
    fn watch(&mut self, places: &Places) {
        let wanted = self.settings.watched(places);
        let Watcher { dialogs, registrations, .. } = &mut self.watcher;
        self.watches.retain(|known, _| {
            let stays = wanted.contains(known);
            match known {
                _ if stays => {}
                Watched::Dialogs(uri) | Watched::List(uri) => dialogs.forget(uri),
                Watched::Registrations(uri) => registrations.forget(uri),
            }
            stays
        });
        for new in wanted {
            if !self.watches.contains_key(&new) {
                // A list is no device: its members are known once it names them.
                if let Watched::Dialogs(uri) = &new {
                    dialogs.watch(uri);
                }
                self.watches.insert(new, WatchId(self.numbers));
                self.numbers = self.numbers.wrapping_add(1);
            }
        }
        let all = self.watches.iter().map(|(watched, id)| {
            let (uri, package, list) = match watched {
                Watched::Dialogs(uri) => (uri, Package::Dialog, false),
                Watched::List(uri) => (uri, Package::Dialog, true),
                Watched::Registrations(uri) => (uri, Package::Reg, false),
            };
            Watch { id: *id, uri: uri.clone(), package, list, expires_s: None }
        });
        let all = all.collect();
        self.client.take(clock(), Input::Watch(all));
        self.changed();
    }

    /// A phone is told to call. Other verbs are not for a watcher.
    fn command(&mut self, command: &Command, outlet: &mut Outlet) {
        let wish = match command {
            Command::Dial(dial) => self.settings.wish(dial).map(|(wish, user)| (wish, user, dial)),
            Command::Act(_) | Command::Attend(_) => Err(Failure::UnavailableHere),
        };
        match wish {
            Ok((wish, user, dial)) => {
                let number = dial.number.expose();
                self.watcher.translator.expect(clock().wall, &user, number, &wish.request);
                self.client.take(clock(), Input::Refer(wish));
            }
            Err(failure) => {
                let request = command.request().clone();
                outlet.must(Heard::Answered { request, result: Err(failure) });
            }
        }
    }

    fn deadline(&self) -> Option<Mono> {
        [self.client.deadline(), self.settle.or(self.look)].into_iter().flatten().min()
    }

    /// Of whom something is known may have changed.
    fn changed(&mut self) {
        self.look.get_or_insert_with(|| clock().mono.plus_ms(LOOK_MS));
    }

    /// Does what the client wants done.
    async fn drain(&mut self, outlet: &mut Outlet) {
        while let Some(output) = self.client.next(clock()) {
            match output {
                Output::Resolve(server) => {
                    // Checked when the file was read.
                    let dns = self.server.name_server().ok().flatten();
                    self.resolving = Some(resolve(server, dns).boxed_local());
                }
                Output::Open { flow, target } => {
                    let Ok(ip) = target.host.parse::<IpAddr>() else {
                        let reason = "its name became no address".to_owned();
                        self.client.take(clock(), Input::Lost { flow, reason });
                        continue;
                    };
                    let at = SocketAddr::new(ip, target.port);
                    let opening = open(self.server.clone(), target.clone(), outlet.certificate()).boxed_local();
                    self.slots.push(Slot { flow, target, at, state: State::Opening(opening) });
                }
                Output::Close { flow } => self.slots.retain(|slot| slot.flow != flow),
                Output::Send { flow, bytes } => self.send(flow, None, bytes).await,
                Output::Reply { flow, host, port, bytes, .. } => {
                    // Only what is ours is answered: nobody can open a connection to us.
                    if let Some(flow) = flow {
                        let back = host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, port));
                        self.send(flow, back, bytes).await;
                    }
                }
                Output::Ping { flow } => self.ping(flow).await,
                Output::Notified { watch, message } => {
                    let wanted = self.watcher.notify(clock().wall, &message);
                    if let Some(fault) = wanted.refused {
                        tracing::warn!(switch = %outlet.switch, ?fault, "the body of a NOTIFY was refused");
                    }
                    if wanted.refresh {
                        tracing::debug!(switch = %outlet.switch, call = message.call_id(), "a NOTIFY was missed: the subscription is refreshed");
                        self.client.take(clock(), Input::Refresh(watch));
                    }
                    let some_unseen = self.devices.as_ref().is_none_or(|devices| !devices.unseen.is_empty());
                    let reg = matches!(self.watched(watch), Some(Watched::Registrations(_)));
                    if some_unseen || reg || wanted.refused.is_some() || wanted.refresh {
                        self.changed();
                    }
                    self.flush(outlet);
                    self.settled(watch, outlet);
                }
                Output::Ended { subscription: of, .. } => {
                    self.changed();
                    self.watcher.lost(clock().wall, &subscription(&of.call_id, Some(&of.tag)));
                    self.flush(outlet);
                }
                Output::Unknown { watch, why } => {
                    if !matches!(why, Why::Unwatched | Why::Connection) {
                        match self.watched(watch) {
                            Some(Watched::Registrations(uri)) => {
                                tracing::warn!(switch = %outlet.switch, watched = uri, ?why, "it is not known whether a phone is registered here");
                            }
                            Some(Watched::Dialogs(uri) | Watched::List(uri)) => {
                                tracing::warn!(switch = %outlet.switch, watched = uri, ?why, "nothing is known of this device: not seen is not idle");
                            }
                            None => {}
                        }
                    }
                    self.settled(watch, outlet);
                }
                Output::Referred { how: Referred::Accepted, .. } => {}
                Output::Referred { request, how } => {
                    self.watcher.translator.forget(&request);
                    outlet.must(Heard::Answered { request: RequestId(request), result: Err(why_not(&how)) });
                }
                Output::Alarm(alarm) => self.alarmed(outlet, &alarm),
                Output::Link(Ok(target)) => {
                    self.changed();
                    self.since = clock();
                    let calls = self.watches.iter().filter(|(w, _)| !matches!(w, Watched::Registrations(_)));
                    self.waiting = calls.map(|(_, id)| *id).collect();
                    self.settle = Some(self.since.mono.plus_ms(SETTLE_MS));
                    outlet.up(format!("{} {}:{}", target.transport.name(), target.host, target.port));
                }
                Output::Link(Err(why)) => {
                    self.settle = None;
                    let at = self.server.host.clone();
                    outlet.ended(&Reason::Unreachable { at, why }, self.since, &mut 0);
                }
            }
        }
        let (counts, bodies) = (self.client.counts(), self.watcher.dialogs.counts.refused);
        let bodies = bodies.iter().sum::<u64>() + self.watcher.registrations.refused;
        outlet.refused(counts.refused + counts.forged + bodies);
        if self.settle.is_some_and(|at| at <= clock().mono) {
            self.settle = None;
            self.tell(outlet);
        }
        if self.settle.is_none() && self.look.is_some_and(|at| at <= clock().mono) {
            self.look = None;
            let all = self.watcher.dialogs.all();
            let unseen = all.filter(|(_, known)| *known == Knowledge::Unknown).map(|(user, _)| format!("SIP/{user}"));
            let unregistered = self.watcher.registrations.unregistered();
            let devices = Devices {
                unseen: unseen.collect(),
                unregistered: unregistered.into_iter().map(|user| format!("SIP/{user}")).collect(),
            };
            if self.devices.as_ref() != Some(&devices) {
                outlet.devices(devices.clone());
                self.devices = Some(devices);
            }
        }
    }

    fn watched(&self, watch: WatchId) -> Option<&Watched> {
        self.watches.iter().find(|(_, id)| **id == watch).map(|(watched, _)| watched)
    }

    fn alarmed(&self, outlet: &Outlet, alarm: &Alarm) {
        let switch = &outlet.switch;
        match alarm {
            Alarm::CredentialsRefused => {
                tracing::error!(%switch, "the switch refuses our user or password: nothing that needs them is tried again until the settings change");
            }
            Alarm::RogueChallenge => {
                tracing::error!(%switch, "somebody asked for credentials of another realm, or in a way that we do not answer: none were given");
            }
            Alarm::PackageNotOffered { watch, offered } => match self.watched(*watch) {
                Some(Watched::Registrations(_)) => {
                    tracing::error!(%switch, offered, "the switch does not offer registration events: \"registrations: true\" asks for them");
                }
                _ => tracing::error!(%switch, offered, "the switch does not offer dialog events"),
            },
        }
    }

    fn flush(&mut self, outlet: &mut Outlet) {
        let events = self.watcher.take();
        if !events.is_empty() {
            outlet.events(events);
        }
    }

    /// One more of whom is known what there is, or that nothing will be.
    fn settled(&mut self, watch: WatchId, outlet: &mut Outlet) {
        if self.waiting.remove(&watch) {
            self.changed();
        }
        if self.waiting.is_empty() && self.settle.take().is_some() {
            self.tell(outlet);
        }
    }

    /// Everything that is there now. Who was waited for in vain is unknown: no call of theirs is gone for not being told. Nor is one that the mirror
    /// alone tells of.
    fn tell(&mut self, outlet: &mut Outlet) {
        let mut snapshot = self.watcher.translator.snapshot();
        let whole = self.waiting.is_empty() && self.settings.hep.is_none();
        snapshot.asked = whole.then(|| clock().mono);
        outlet.events(vec![Event { at: None, said: Happened::Snapshot(snapshot) }]);
    }

    async fn send(&mut self, flow: Flow, back: Option<SocketAddr>, bytes: Vec<u8>) {
        let Some(at) = self.slots.iter().position(|slot| slot.flow == flow) else { return };
        let Some(Slot { at: to, state: State::Up(conn), .. }) = self.slots.get_mut(at) else { return };
        let failed = match &mut **conn {
            Conn::Udp { socket, .. } => {
                let to = back.unwrap_or(*to);
                match socket.send_to(&bytes, to).await {
                    Ok(_) => None,
                    // An answer to nowhere is no word about the server.
                    Err(_) if back.is_some() => None,
                    Err(e) => Some(e.to_string()),
                }
            }
            Conn::Stream { unsent, .. } => {
                unsent.extend_from_slice(&bytes);
                (unsent.len() > WRITE_CAP).then(|| "the switch does not read".to_owned())
            }
            Conn::Ws { socket, .. } => {
                let text = String::from_utf8(bytes).map_or_else(|e| Frame::binary(e.into_bytes()), Frame::text);
                written(socket.send(text)).await
            }
        };
        if let Some(reason) = failed {
            self.gone(at, reason);
        }
    }

    async fn ping(&mut self, flow: Flow) {
        let Some(at) = self.slots.iter().position(|slot| slot.flow == flow) else { return };
        let Some(Slot { state: State::Up(conn), .. }) = self.slots.get_mut(at) else { return };
        let failed = match &mut **conn {
            Conn::Udp { .. } => None,
            Conn::Stream { unsent, .. } => {
                unsent.extend_from_slice(b"\r\n\r\n");
                None
            }
            Conn::Ws { socket, .. } => written(socket.send(Frame::Ping(Vec::new().into()))).await,
        };
        if let Some(reason) = failed {
            self.gone(at, reason);
        }
    }

    fn gone(&mut self, at: usize, reason: String) {
        let flow = self.slots.remove(at).flow;
        self.client.take(clock(), Input::Lost { flow, reason });
    }

    /// The next thing that comes from the world. Cancel-safe: whatever was read is returned. One at a time, and tokio's budget ends a turn in which
    /// there is always one more: a flood does not keep the core from anybody.
    fn poll_heard(&mut self, cx: &mut Context<'_>) -> Poll<Came> {
        if let Some(resolving) = &mut self.resolving
            && let Poll::Ready(found) = resolving.poll_unpin(cx)
        {
            return Poll::Ready(Came::Resolved(found));
        }
        let count = self.slots.len();
        for n in 0..count {
            let at = (self.turn + n) % count;
            if let Some(Poll::Ready(came)) = self.slots.get_mut(at).map(|slot| slot.poll(at, cx)) {
                self.turn = at + 1;
                return Poll::Ready(came);
            }
        }
        Poll::Pending
    }

    async fn hear(&mut self) -> Came {
        poll_fn(|cx| self.poll_heard(cx)).await
    }

    fn heard(&mut self, event: Came) {
        let now = clock();
        match event {
            Came::Nothing => {}
            Came::Resolved((targets, ttl_ms)) => {
                self.resolving = None;
                self.client.take(now, Input::Resolved { targets, ttl_ms });
            }
            Came::Opened(at, conn) => {
                let Some(slot) = self.slots.get_mut(at) else { return };
                let local = match &conn {
                    Conn::Udp { socket, .. } => socket.local_addr().ok(),
                    Conn::Stream { local, .. } | Conn::Ws { local, .. } => Some(*local),
                };
                let flow = slot.flow;
                slot.state = State::Up(Box::new(conn));
                let local = local.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)));
                self.client.take(now, Input::Connected { flow, host: local.ip().to_string(), port: local.port() });
            }
            Came::Gone(at, reason) => self.gone(at, reason),
            Came::Datagram(at, from, bytes) => self.received(at, from, &bytes),
            Came::Text(at, bytes) => {
                let Some(from) = self.peer(at) else { return };
                self.received(at, from, &bytes);
            }
            Came::Pong(at) => {
                if let Some(flow) = self.slots.get(at).map(|slot| slot.flow) {
                    self.client.take(now, Input::Pong { flow });
                }
            }
            Came::Pieces(at, pieces, end) => {
                for piece in pieces {
                    match piece {
                        Piece::Message(bytes) => {
                            let Some(from) = self.peer(at) else { return };
                            self.received(at, from, &bytes);
                        }
                        Piece::Pong => self.heard(Came::Pong(at)),
                        Piece::Ping => {
                            if let Some(Slot { state: State::Up(conn), .. }) = self.slots.get_mut(at)
                                && let Conn::Stream { unsent, .. } = &mut **conn
                            {
                                unsent.extend_from_slice(b"\r\n");
                            }
                        }
                    }
                }
                if let Some(reason) = end {
                    self.gone(at, reason);
                }
            }
        }
    }

    fn peer(&self, at: usize) -> Option<SocketAddr> {
        Some(self.slots.get(at)?.at)
    }

    fn received(&mut self, at: usize, from: SocketAddr, bytes: &[u8]) {
        let Some(slot) = self.slots.get(at) else { return };
        let (flow, transport) = (slot.flow, slot.target.transport);
        let other;
        let host = if from.ip() == slot.at.ip() {
            &slot.target.host
        } else {
            other = from.ip().to_string();
            &other
        };
        self.client.take(clock(), Input::Received { flow: Some(flow), host, port: from.port(), transport, bytes });
    }
}

/// What was sent on a WebSocket, or why it was not. A peer that does not read is none to wait for.
async fn written<E: ToString>(sending: impl Future<Output = Result<(), E>>) -> Option<String> {
    match timeout(Duration::from_secs(2), sending).await {
        Ok(sent) => sent.err().map(|e| e.to_string()),
        Err(_) => Some("the switch does not read".to_owned()),
    }
}

impl Conn {
    /// One step of a flow that is up.
    fn poll(&mut self, at: usize, cx: &mut Context<'_>) -> Poll<Came> {
        match self {
            Conn::Udp { socket, buffer } => {
                let mut read = ReadBuf::new(buffer);
                match ready!(socket.poll_recv_from(cx, &mut read)) {
                    Ok(from) => Poll::Ready(Came::Datagram(at, from, read.filled().to_vec())),
                    // What an earlier datagram met (port unreachable): the timers see to it.
                    Err(_) => {
                        cx.waker().wake_by_ref();
                        Poll::Pending
                    }
                }
            }
            Conn::Stream { stream, frames, buffer, unsent, .. } => {
                let gone = || Came::Gone(at, "the switch closed the connection".to_owned());
                while !unsent.is_empty() {
                    match Pin::new(&mut *stream).poll_write(cx, unsent) {
                        Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(gone()),
                        Poll::Ready(Ok(n)) => drop(unsent.drain(..n)),
                        Poll::Pending => break,
                    }
                }
                let mut read = ReadBuf::new(buffer);
                let piece = match ready!(Pin::new(stream).poll_read(cx, &mut read)) {
                    Ok(()) if read.filled().is_empty() => return Poll::Ready(gone()),
                    Ok(()) => read.filled(),
                    Err(e) => return Poll::Ready(Came::Gone(at, closed(&e.to_string()))),
                };
                frames.take(piece);
                let mut pieces = Vec::new();
                let broken = loop {
                    match frames.next() {
                        Ok(Some(piece)) => pieces.push(piece),
                        Ok(None) => break None,
                        Err(broken) => break Some(format!("the switch sent {broken}")),
                    }
                };
                Poll::Ready(Came::Pieces(at, pieces, broken))
            }
            Conn::Ws { socket, .. } => Poll::Ready(match ready!(socket.poll_next_unpin(cx)) {
                Some(Ok(Frame::Text(text))) => Came::Text(at, text.as_bytes().to_vec()),
                Some(Ok(Frame::Binary(bytes))) => Came::Text(at, bytes.to_vec()),
                Some(Ok(Frame::Pong(_))) => Came::Pong(at),
                Some(Ok(Frame::Ping(_) | Frame::Frame(_))) => Came::Nothing,
                Some(Ok(Frame::Close(_))) | None => Came::Gone(at, "the switch closed the connection".to_owned()),
                Some(Err(e)) => Came::Gone(at, closed(&e.to_string())),
            }),
        }
    }
}

/// A peer that just goes is not worth the libraries' long words for it.
fn closed(why: &str) -> String {
    let gone = ["close_notify", "closing handshake"].iter().any(|word| why.contains(word));
    if gone { "the switch closed the connection".to_owned() } else { why.to_owned() }
}

/// The targets of a server (RFC 3263), and how long they may be believed. None: there are none, or nobody answered.
async fn resolve(server: Server, dns: Option<SocketAddr>) -> (Vec<Target>, u64) {
    let mut search = Search::new(server);
    // Made anew for each search: the file it reads may have changed, and what was found is kept by the client for its time.
    let resolver = resolver(dns);
    let work = async {
        while let Some(ask) = search.ask() {
            let found = match &resolver {
                Ok(resolver) => look_up(resolver, &ask).await,
                Err(_) => Found::default(),
            };
            let found = match &ask {
                // What only the system knows by other ways than DNS.
                Ask::Address(name) if found.addresses.is_empty() && dns.is_none() => system(name).await,
                _ => found,
            };
            search.take(&ask, found, &mut |most| rand::random_range(0..=most));
        }
    };
    match timeout(Duration::from_millis(2 * CONNECT_MS), work).await {
        Ok(()) => search.targets(),
        Err(_) => (Vec::new(), TTL_MS),
    }
}

/// The system's name servers, or the one that the file names.
fn resolver(dns: Option<SocketAddr>) -> Result<TokioResolver, String> {
    let mut builder = match dns {
        Some(at) => {
            let mut server = NameServerConfig::udp_and_tcp(at.ip());
            server.connections.iter_mut().for_each(|connection| connection.port = at.port());
            let servers = ResolverConfig::from_name_servers(vec![server]);
            TokioResolver::builder_with_config(servers, TokioRuntimeProvider::default())
        }
        None => TokioResolver::builder_tokio().map_err(|e| e.to_string())?,
    };
    let options = builder.options_mut();
    (options.timeout, options.attempts) = (DNS_TIMEOUT, 1);
    // An address of the internal network is what a switch has.
    options.deny_answers.clear();
    builder.build().map_err(|e| e.to_string())
}

async fn look_up(resolver: &TokioResolver, ask: &Ask) -> Found {
    let mut found = Found { ttl_ms: TTL_MS, ..Found::default() };
    let mut ttl_s = None;
    let mut note = |records: &[Record]| ttl_s = records.iter().map(|record| record.ttl).min();
    let absolute = |name: &str| format!("{name}.");
    match ask {
        Ask::Address(name) => {
            if let Ok(lookup) = resolver.lookup_ip(name.as_str()).await {
                note(lookup.as_lookup().answers());
                found.addresses = lookup.iter().collect();
            }
        }
        Ask::Srv(name) => {
            if let Ok(lookup) = resolver.srv_lookup(absolute(name)).await {
                note(lookup.answers());
                found.srv = lookup
                    .answers()
                    .iter()
                    .filter_map(|record| match &record.data {
                        RData::SRV(srv) => Some(Srv {
                            priority: srv.priority,
                            weight: srv.weight,
                            port: srv.port,
                            target: srv.target.to_ascii(),
                        }),
                        _ => None,
                    })
                    .collect();
            }
        }
        Ask::Naptr(name) => {
            if let Ok(lookup) = resolver.lookup(absolute(name), RecordType::NAPTR).await {
                note(lookup.answers());
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                found.naptr = lookup
                    .answers()
                    .iter()
                    .filter_map(|record| match &record.data {
                        RData::NAPTR(naptr) => Some(Naptr {
                            order: naptr.order,
                            preference: naptr.preference,
                            flags: text(&naptr.flags),
                            service: text(&naptr.services),
                            replacement: naptr.replacement.to_ascii(),
                        }),
                        _ => None,
                    })
                    .collect();
            }
        }
    }
    if let Some(seconds) = ttl_s {
        found.ttl_ms = u64::from(seconds) * 1000;
    }
    found
}

async fn system(name: &str) -> Found {
    let found = tokio::net::lookup_host((name, 0)).await;
    let addresses: BTreeSet<IpAddr> = found.into_iter().flatten().map(|at| at.ip()).collect();
    Found { addresses: addresses.into_iter().collect(), ttl_ms: TTL_MS, ..Found::default() }
}

async fn open(server: ServerSettings, target: Target, ends: Ends) -> Result<Conn, String> {
    let work = async {
        let ip: IpAddr = target.host.parse().map_err(|_| "no address".to_owned())?;
        let to = SocketAddr::new(ip, target.port);
        if target.transport == Transport::Udp {
            return datagrams(to).await.map_err(|e| e.to_string());
        }
        let tcp = TcpStream::connect(to).await.map_err(|e| e.to_string())?;
        let _ = tcp.set_nodelay(true);
        let local = tcp.local_addr().map_err(|e| e.to_string())?;
        let stream: Box<dyn Stream> = match target.transport {
            Transport::Tls | Transport::Wss => {
                secure(&server.tls.clone().unwrap_or_default(), &server.host, tcp, &ends).await?
            }
            _ => Box::new(tcp),
        };
        if !matches!(target.transport, Transport::Ws | Transport::Wss) {
            let frames = frame::Stream::default();
            return Ok(Conn::Stream { stream, frames, buffer: vec![0; READ], unsent: Vec::new(), local });
        }
        let scheme = if target.transport == Transport::Wss { "wss" } else { "ws" };
        let url = format!("{scheme}://{}:{}{}", server.host, target.port, server.path);
        let mut request = url.into_client_request().map_err(|e| e.to_string())?;
        // RFC 7118, 4.1.
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("sip"));
        let config = WebSocketConfig::default().max_message_size(Some(frame::MOST)).max_frame_size(Some(frame::MOST));
        let (socket, _) = client_async_with_config(request, stream, Some(config)).await.map_err(|e| e.to_string())?;
        Ok(Conn::Ws { socket: Box::new(socket), local })
    };
    match timeout(Duration::from_millis(CONNECT_MS), work).await {
        Ok(done) => done,
        Err(_) => Err(format!("no answer within {} s", CONNECT_MS / 1000)),
    }
}

/// A socket at the address from which `to` is reached, so that Contact and Via name one that the switch can answer to.
async fn datagrams(to: SocketAddr) -> std::io::Result<Conn> {
    let any: IpAddr = if to.is_ipv4() { [0, 0, 0, 0].into() } else { [0_u16; 8].into() };
    let way = UdpSocket::bind((any, 0)).await?;
    way.connect(to).await?;
    let socket = UdpSocket::bind((way.local_addr()?.ip(), 0)).await?;
    // A switch that starts tells thousands of states at once.
    let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(4 * 1024 * 1024);
    Ok(Conn::Udp { socket, buffer: vec![0; DATAGRAM] })
}

/// For `check --probe`, and when somebody asks by hand: who answers OPTIONS there (RFC 3261, 11), over a connection of its own.
pub async fn probe(settings: &Settings) -> Vec<Result<String, String>> {
    let Some(server) = &settings.server else { return Vec::new() };
    let client = match settings.client(server) {
        Ok(client) => client,
        Err(why) => return vec![Err(format!("cannot use SIP: {why}"))],
    };
    let (targets, _) = resolve(client.server, server.name_server().ok().flatten()).await;
    let Some(target) = targets.first().cloned() else {
        return vec![Err(format!("cannot use SIP: no address of {}", server.host))];
    };
    let at = format!("{} {}:{}", target.transport.name(), target.host, target.port);
    let answered = async {
        let conn = open(server.clone(), target.clone(), Ends::default()).await?;
        let asked = timeout(Duration::from_millis(CONNECT_MS), options(conn, &target, &client.identity)).await;
        asked.map_err(|_| format!("no answer to OPTIONS within {} s", CONNECT_MS / 1000))?
    };
    match answered.await {
        Ok(said) => vec![Ok(format!("SIP: {at} answers OPTIONS with {said}"))],
        Err(why) => vec![Err(format!("cannot use SIP: {at}: {why}"))],
    }
}

/// The status that comes back, whichever: a server that refuses is there.
async fn options(mut conn: Conn, target: &Target, identity: &str) -> Result<String, String> {
    let local = match &conn {
        Conn::Udp { socket, .. } => socket.local_addr().map_err(|e| e.to_string())?,
        Conn::Stream { local, .. } | Conn::Ws { local, .. } => *local,
    };
    let server = SocketAddr::new(target.host.parse().map_err(|_| "no address".to_owned())?, target.port);
    let (call, tag, branch) = (random(), random(), random());
    let request = Draft::request("OPTIONS", &format!("sip:{server}"))
        .header("Via", &format!("SIP/2.0/{} {local};branch=z9hG4bK{branch};rport", target.transport.name()))
        .header("Max-Forwards", "70")
        .header("From", &format!("<{identity}>;tag={tag}"))
        .header("To", &format!("<sip:{server}>"))
        .header("Call-ID", &call)
        .header("CSeq", "1 OPTIONS")
        .header("Accept", "application/sdp")
        .bytes();
    let wrote = |e: std::io::Error| closed(&e.to_string());
    match &mut conn {
        Conn::Udp { socket, .. } => drop(socket.send_to(&request, server).await.map_err(wrote)?),
        Conn::Stream { unsent, .. } => unsent.extend_from_slice(&request),
        Conn::Ws { socket, .. } => {
            let text = String::from_utf8(request.clone()).map_err(|_| "no text".to_owned())?;
            socket.send(Frame::text(text)).await.map_err(|e| closed(&e.to_string()))?;
        }
    }
    // Over UDP it is said again, at growing distances (RFC 3261, 17.1.2.2).
    let mut pause = Duration::from_millis(500);
    loop {
        let Ok(came) = timeout(pause, poll_fn(|cx| conn.poll(0, cx))).await else {
            pause *= 2;
            if let Conn::Udp { socket, .. } = &conn {
                socket.send_to(&request, server).await.map_err(wrote)?;
            }
            continue;
        };
        let (heard, gone): (Vec<Message>, Option<String>) = match came {
            Came::Datagram(_, from, bytes) if from == server => (wire::read(&bytes).into_iter().collect(), None),
            Came::Text(_, bytes) => (wire::read_websocket(&bytes).into_iter().collect(), None),
            Came::Pieces(_, pieces, broken) => {
                let messages = pieces.iter().filter_map(|piece| match piece {
                    Piece::Message(bytes) => wire::read(bytes).ok(),
                    Piece::Ping | Piece::Pong => None,
                });
                (messages.collect(), broken)
            }
            Came::Gone(_, why) => (Vec::new(), Some(why)),
            _ => (Vec::new(), None),
        };
        let ours = heard.iter().find(|message| message.call_id() == call && message.status() >= Some(200));
        if let Some((message, status)) = ours.and_then(|message| Some((message, message.status()?))) {
            let name = message.header("Server").or_else(|| message.header("User-Agent"));
            let name =
                name.map_or_else(String::new, |name| format!(" ({})", name.chars().take(80).collect::<String>()));
            return Ok(format!("{status} {}{name}", message.reason()));
        }
        if let Some(why) = gone {
            return Err(why);
        }
    }
}

fn random() -> String {
    format!("{:032x}", rand::random::<u128>())
}

#[cfg(test)]
mod probe_tests {
    use super::*;

    async fn probed(server: SocketAddr) -> Vec<Result<String, String>> {
        let text = format!(
            "id: pbx2\ndomain: pbx.example.com\nserver: {{host: {}, port: {}, transport: udp}}\n",
            server.ip(),
            server.port()
        );
        let settings = crate::files::read::<Settings>("pbx2.yaml", &text).unwrap().value;
        probe(&settings).await
    }

    #[tokio::test]
    async fn a_server_that_refuses_options_is_there_and_a_lost_datagram_is_said_again() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let answers = async {
            let mut buffer = [0; 2048];
            let (first, _) = server.recv_from(&mut buffer).await.unwrap();
            let first = buffer[..first].to_vec();
            let (n, from) = server.recv_from(&mut buffer).await.unwrap();
            assert_eq!(first, &buffer[..n], "the same, once more");
            let asked = wire::read(&buffer[..n]).unwrap();
            assert_eq!((asked.method(), asked.cseq()), (Some("OPTIONS"), (1, "OPTIONS")));
            let answer = Draft::response(&asked, 403, "Forbidden", None).to_tag("x").header("Server", "Proxy 9");
            // Neither a stranger's answer nor one to another question counts.
            let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            other.send_to(&Draft::response(&asked, 200, "OK", None).to_tag("y").bytes(), from).await.unwrap();
            server.send_to(&answer.bytes(), from).await.unwrap();
        };
        let (told, ()) = tokio::join!(probed(server.local_addr().unwrap()), answers);
        let at = server.local_addr().unwrap();
        assert_eq!(told, [Ok(format!("SIP: UDP {at} answers OPTIONS with 403 Forbidden (Proxy 9)"))]);
    }

    #[tokio::test]
    async fn who_does_not_answer_is_told_in_time() {
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let told = probed(silent.local_addr().unwrap()).await;
        assert!(matches!(&told[..], [Err(why)] if why.contains("no answer to OPTIONS within")), "{told:?}");
    }
}
