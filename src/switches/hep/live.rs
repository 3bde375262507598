//! The receiver of mirrored signalling: HEPv3 over UDP and TCP on one port. Nothing is ever answered.
//!
//! Runs in the one future of its switch, on the core thread, as every link does: what is mirrored comes in the order in which it was heard.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use futures_util::{FutureExt as _, future::LocalBoxFuture};
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream, UdpSocket},
    sync::{mpsc, watch},
};
use tokio_util::sync::CancellationToken;

use crate::{
    calls::{
        event::{Event, Feed},
        face::OpenLeg,
        seats::Places,
    },
    switches::{
        Said,
        link::{Reason, Stats},
        live::{Outlet, clock, sleep_until},
    },
    words::{Mono, SwitchId},
};

use super::{
    Door, Rules, Settings,
    packet::{self, Framer, Held, Refusal},
    passive::Passive,
};

/// A burst of 50 packets a call at 500 calls/s is 25,000 packets: the kernel keeps them while the core is busy.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;
/// Datagrams taken in one turn; then the core may run.
const TURN: usize = 256;
/// Agents that may be connected by TCP at once.
const STREAMS: usize = 64;
const READ: usize = 64 * 1024;

/// Receives what a switch's `hep` section asks for until `stop`. `known`: who sits where, and what was up when the last run ended.
pub async fn keep(
    switch: &SwitchId,
    settings: &Settings,
    rules: impl Fn(&Places) -> Rules,
    known: (watch::Receiver<Places>, Vec<OpenLeg>),
    stats: &Arc<Stats>,
    out: &mpsc::Sender<Said>,
    stop: &CancellationToken,
) {
    match settings.door() {
        Ok(door) => run(switch.clone(), door, rules, known, stats.clone(), out.clone(), stop.clone()).await,
        Err(why) => tracing::error!(%switch, why, "mirrored signalling is not received"),
    }
}

/// Receives until `stop`. A port that cannot be had is told, and tried again by a restart only.
pub async fn run(
    switch: SwitchId,
    door: Door,
    rules: impl Fn(&Places) -> Rules,
    (mut places, open): (watch::Receiver<Places>, Vec<OpenLeg>),
    stats: Arc<Stats>,
    out: mpsc::Sender<Said>,
    stop: CancellationToken,
) {
    let mut outlet = Outlet::new(switch, Feed::Hep, out, stats.clone());
    let began = clock();
    let mut commands = None;
    let (udp, tcp) = match listen(door.listen).await {
        Ok(both) => both,
        Err(why) => {
            outlet.ended(&Reason::Settings(format!("cannot listen on {} (HEP): {why}", door.listen)), began, &mut 0);
            let _ = outlet.meanwhile(std::future::pending::<()>(), &mut commands, &stop).await;
            return;
        }
    };
    outlet.up(format!("HEP on {}", door.listen));
    let mut mirror =
        Mirror { door, stats, passive: Passive::new(rules(&places.borrow_and_update())), told: HashSet::new() };
    mirror.passive.restore(clock(), open);
    let mut streams: Vec<Sender> = Vec::new();
    let mut last = false;
    let mut buffer = vec![0; packet::LONGEST];
    loop {
        let until = mirror.passive.deadline();
        tokio::select! {
            got = udp.recv_from(&mut buffer) => {
                let mut got = got.ok();
                for _ in 0..TURN {
                    let Some((n, from)) = got.take() else { break };
                    mirror.datagram(from, buffer.get(..n).unwrap_or_default());
                    got = udp.try_recv_from(&mut buffer).ok();
                }
            }
            Ok((stream, from)) = tcp.accept() => {
                if mirror.door.lets(from.ip()) && streams.len() < STREAMS {
                    streams.push(Sender { stream, frames: Framer::new(), buffer: vec![0; READ] });
                } else {
                    mirror.refused(&"a stranger, or too many connections");
                }
            }
            (at, n) = read(&mut streams) => match streams.get_mut(at) {
                Some(sender) if n > 0 => {
                    let piece = sender.buffer.get(..n).unwrap_or_default();
                    sender.frames.push(piece);
                    if !mirror.stream(&mut sender.frames) {
                        drop(streams.swap_remove(at));
                    }
                }
                _ => drop((at < streams.len()).then(|| streams.swap_remove(at))),
            },
            () = sleep_until(until.unwrap_or(Mono(u64::MAX / 2))), if until.is_some() => mirror.passive.tick(clock()),
            // There is no list to ask for: what was lost is a hole, and the next message of each call goes on.
            _ = outlet.room(), if outlet.owes() => {}
            // When the sender is gone the daemon is on its way down; only the stop is left to wait for.
            changed = places.changed(), if !last => match changed {
                Ok(()) => mirror.passive.reload(rules(&places.borrow_and_update())),
                Err(_) => last = true,
            },
            () = stop.cancelled() => break,
        }
        let events: Vec<Event> = std::iter::from_fn(|| mirror.passive.next_event()).collect();
        if !events.is_empty() {
            outlet.events(events);
        }
    }
    outlet.ended(&Reason::Stopped, began, &mut 0);
}

async fn listen(at: SocketAddr) -> std::io::Result<(UdpSocket, TcpListener)> {
    let udp = UdpSocket::bind(at).await?;
    let _ = socket2::SockRef::from(&udp).set_recv_buffer_size(RECEIVE_BUFFER);
    Ok((udp, TcpListener::bind(at).await?))
}

/// A capture agent that sends by TCP.
struct Sender {
    stream: TcpStream,
    frames: Framer,
    buffer: Vec<u8>,
}

/// Which of them sent, and how much; 0: it is gone. Cancel-safe.
async fn read(streams: &mut [Sender]) -> (usize, usize) {
    let mut all: Vec<LocalBoxFuture<'_, (usize, usize)>> = Vec::with_capacity(streams.len());
    for (at, sender) in streams.iter_mut().enumerate() {
        all.push(async move { (at, sender.stream.read(&mut sender.buffer).await.unwrap_or(0)) }.boxed_local());
    }
    if all.is_empty() {
        return std::future::pending().await;
    }
    futures_util::future::select_all(all).await.0
}

struct Mirror {
    door: Door,
    stats: Arc<Stats>,
    passive: Passive,
    /// Refusals that were logged: each kind once, for a stranger can send as many as he likes.
    told: HashSet<String>,
}

impl Mirror {
    fn datagram(&mut self, from: SocketAddr, bytes: &[u8]) {
        if self.door.lets(from.ip()) {
            self.packet(bytes);
        } else {
            self.refused(&"a sender that \"from\" does not name");
        }
    }

    /// `false`: what follows is no HEP, close it.
    fn stream(&mut self, frames: &mut Framer) -> bool {
        loop {
            match frames.take() {
                Ok(Some(packet)) => {
                    let packet = packet.to_vec();
                    self.packet(&packet);
                }
                Ok(None) => return true,
                Err(refusal) => {
                    self.refused(&refusal);
                    return false;
                }
            }
        }
    }

    fn packet(&mut self, bytes: &[u8]) {
        let read: Result<Held<'_>, Refusal> =
            packet::read(bytes, self.door.key.as_ref().map(|k| k.expose().as_bytes()));
        match read {
            Ok(Held::Sip(packet)) => {
                let now = clock();
                self.passive.take(now.mono, &packet, Some(now.wall));
            }
            Ok(Held::Skipped(_)) => {}
            Err(refusal) => self.refused(&refusal),
        }
    }

    fn refused(&mut self, why: &dyn std::fmt::Display) {
        self.stats.refused.fetch_add(1, Relaxed);
        let why = why.to_string();
        if self.told.len() < 32 && !self.told.contains(&why) {
            tracing::warn!(why, "mirrored signalling was refused; this is told once, and counted");
            self.told.insert(why);
        }
    }
}
