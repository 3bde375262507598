//! The still client machine of one switch: told the time and the bytes, drained for what to send and what was notified.
//!
//! It subscribes for each [`Watch`] and keeps the subscription alive (RFC 6665), over one flow at a time: a UDP socket or a connection to one of
//! the targets that the resolver gave (RFC 3263). What it does not know it says: a watch is unknown until its first NOTIFY, and again from the moment
//! its last subscription is gone. The world (sockets, TLS, DNS, the clock) is `live.rs`'s; the flow's number is ours.
//!
//!   - `mod.rs` the doors, the flow, storm control, the probe
//!   - `transaction.rs` requests under way and their timers; answers that are remembered
//!   - `usage.rs` what one SUBSCRIBE set up: dialogs, their times
//!   - `subscribe.rs` what goes out and what its responses come to
//!   - `notify.rs` requests that come in, and what is answered
//!   - `refer.rs` phones that are told to call somebody
//!   - `digest.rs` credentials; `dice.rs` names and jitter; `ticks.rs` (tests) the RFCs' list, line by line
//!
//! Left out: INVITE and ACK (nobody is called by us; a phone is referred), REGISTER with RFC 5626's outbound (a watcher opens its own connections; two edges are two switches
//! of the settings), redirects (a 3xx would move subscriptions to a host that nobody configured), fetching (a watch is for good).

mod dice;
pub mod digest;
mod notify;
pub mod refer;
mod subscribe;
#[cfg(test)]
mod ticks;
#[cfg(test)]
mod traces;
mod transaction;
mod usage;

use std::collections::{BTreeMap, VecDeque};

use super::{
    Table,
    wire::{Draft, Message},
};
use crate::{
    private::Secret,
    words::{Mono, Now},
};
use dice::Dice;
use digest::Nonce;
use refer::{Refer, Referred, Wish};
use transaction::{Memory, Transactions};
use usage::Usage;

/// RFC 3261, 17.1.1.1: an estimate of the round trip, the longest pause between retransmissions, how long a message may live in the network.
pub const T1_MS: u64 = 500;
pub const T2_MS: u64 = 4_000;
/// Timers F, J and N: 64*T1.
pub const GIVE_UP_MS: u64 = 64 * T1_MS;
/// RFC 3261, 18.1.1: a request over this goes over TCP, so that it is not cut into fragments.
pub const LARGE: usize = 1300;
/// When a target is asked again that said never: a person may have changed something.
const LONG_MS: u64 = 3_600_000;
/// First pause after a failure, doubled to the longest. RFC 5626, 4.5 has 30 s and 1800 s, for a hundred thousand phones; a watcher is one, its
/// SUBSCRIBEs are paced by storm control, and a floor that cannot see its calls cannot wait half a minute.
const BACKOFF_MS: (u64, u64) = (2_000, 120_000);
/// How often a flow is tried: CRLF CRLF on streams every 95 to 120 s with 10 s for the answer, UDP every 24 to 29 s (RFC 5626, 4.4).
const STREAM_PROBE_MS: (u64, u64) = (95_000, 120_000);
const PONG_MS: u64 = 10_000;
const DATAGRAM_PROBE_MS: (u64, u64) = (24_000, 29_000);
/// Answers a second to those we know nothing of: an echo of forged requests must not grow into a stream.
const STRANGERS_A_SECOND: u32 = 200;
/// Forks of one SUBSCRIBE (RFC 6665, 4.5.2.2). A person has a few devices; what is above is somebody's game.
const FORKS: usize = 16;

#[derive(Clone, Debug)]
pub struct Settings {
    pub server: Server,
    /// `sip:cti@pbx.lab`: who watches.
    pub identity: String,
    pub credentials: Option<Credentials>,
    /// Seconds asked for where a watch says nothing.
    pub expires_s: u32,
    pub starts_a_second: u32,
    pub in_flight: u32,
    pub agent: String,
}

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub host: String,
    /// Given: no SRV is asked for (RFC 3263, 4.2).
    pub port: Option<u16>,
    /// Given: no NAPTR is asked for.
    pub transport: Option<Transport>,
}

/// Whose password it is: sent to nobody who names another realm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub user: String,
    pub realm: String,
    pub password: Secret,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    Udp,
    Tcp,
    Tls,
    Ws,
    Wss,
}

impl Transport {
    /// As Via writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Ws => "WS",
            Self::Wss => "WSS",
        }
    }

    /// Where nobody says another one (RFC 3261, 19.1.2; RFC 7118, 5.2.2 has HTTP's).
    #[must_use]
    pub const fn port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }

    #[must_use]
    pub fn is_reliable(self) -> bool {
        self != Self::Udp
    }

    fn contact(self) -> &'static str {
        match self {
            Self::Udp => "",
            Self::Tcp => ";transport=tcp",
            Self::Tls => ";transport=tls",
            // RFC 7118, 5.2.3: `ws` for both, TLS or not.
            Self::Ws | Self::Wss => ";transport=ws",
        }
    }
}

/// One address that the resolver gave, in the order in which they are tried.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// An IP address.
    pub host: String,
    pub port: u16,
    pub transport: Transport,
}

/// Chosen by whoever watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchId(pub u32);

/// What is to be watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    pub id: WatchId,
    /// `sip:1001@pbx.lab`, or a list's.
    pub uri: String,
    pub package: Package,
    /// A resource list (RFC 4662).
    pub list: bool,
    pub expires_s: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Package {
    /// RFC 4235.
    Dialog,
    /// RFC 3680.
    Reg,
}

impl Package {
    #[must_use]
    pub fn event(self) -> &'static str {
        match self {
            Self::Dialog => "dialog",
            Self::Reg => "reg",
        }
    }

    fn body(self) -> &'static str {
        match self {
            Self::Dialog => "application/dialog-info+xml",
            Self::Reg => "application/reginfo+xml",
        }
    }
}

/// One subscription of a watch; a forked SUBSCRIBE has several, each with versions of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subscription {
    pub call_id: String,
    /// The notifier's.
    pub tag: String,
}

/// A flow's number, made here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow(pub u32);

#[derive(Debug)]
pub enum Input<'a> {
    /// All that is to be watched from now on; what is missing is unsubscribed.
    Watch(Vec<Watch>),
    /// The answer to [`Output::Resolve`]; empty: nothing was found.
    Resolved { targets: Vec<Target>, ttl_ms: u64 },
    /// A flow stands; `host` (an address that the peer can reach, not 0.0.0.0) and `port` are our end of it.
    Connected { flow: Flow, host: String, port: u16 },
    /// A flow could not be opened, or is gone.
    Lost { flow: Flow, reason: String },
    /// One message's bytes, and where they came from. `flow`: the one it came over, `None` for a connection that somebody opened to us.
    Received { flow: Option<Flow>, host: &'a str, port: u16, transport: Transport, bytes: &'a [u8] },
    /// The answer to a [`Output::Ping`].
    Pong { flow: Flow },
    /// Whoever reads the bodies missed something: refresh now (RFC 4235, 4.3).
    Refresh(WatchId),
    /// A phone is to call somebody. Answered by [`Output::Referred`]: at once, and where it comes to nothing later once more.
    Refer(Wish),
    /// Unsubscribe everything. [`Client::is_idle`] says when that is done.
    Stop,
}

#[derive(Debug)]
pub enum Output {
    Resolve(Server),
    Open {
        flow: Flow,
        target: Target,
    },
    Close {
        flow: Flow,
    },
    /// Over this flow.
    Send {
        flow: Flow,
        bytes: Vec<u8>,
    },
    /// Back to where a request came from: out of this flow's socket, or over the connection that somebody opened to us.
    Reply {
        flow: Option<Flow>,
        host: String,
        port: u16,
        transport: Transport,
        bytes: Vec<u8>,
    },
    /// CRLF CRLF on a stream, a ping frame on a WebSocket.
    Ping {
        flow: Flow,
    },
    /// A NOTIFY that belongs to a subscription of ours, answered already. Its body may be empty.
    Notified {
        watch: WatchId,
        message: Box<Message>,
    },
    /// This subscription tells no more. Without others of the same watch, what it told is unknown from now on.
    Ended {
        watch: WatchId,
        subscription: Subscription,
        why: Why,
    },
    /// Nothing is known of this watch.
    Unknown {
        watch: WatchId,
        why: Why,
    },
    /// What became of a wish, by its name.
    Referred {
        request: String,
        how: Referred,
    },
    /// Somebody must look: without personal data.
    Alarm(Alarm),
    /// The flow stands, or why there is none.
    Link(Result<Target, String>),
}

/// Why nothing is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The flow is gone.
    Connection,
    /// The notifier forgot the subscription (481, 408 of ours).
    Forgotten,
    /// Accepted, and no NOTIFY followed (Timer N).
    Silent,
    /// It ran out, and refreshing it failed.
    Expired,
    /// The notifier ended it, with its reason.
    Terminated(String),
    /// The final status, with its words.
    Refused(u16, String),
    /// Nobody answered.
    NoAnswer,
    /// No credentials for the one who asked, or a wrong password.
    Credentials,
    /// It is not watched any more.
    Unwatched,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// Our password was refused: nothing that needs it is tried again until the settings change.
    CredentialsRefused,
    /// Somebody asked for credentials of another realm, or in a way that we do not answer.
    RogueChallenge,
    /// This event package is not offered; what is.
    PackageNotOffered { watch: WatchId, offered: String },
}

/// What was seen, for `/metrics`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub sent: u64,
    pub retransmitted: u64,
    pub notified: u64,
    /// NOTIFYs that came again and were answered from memory.
    pub repeated: u64,
    /// NOTIFYs that belong to nothing of ours (481).
    pub forged: u64,
    /// NOTIFYs older than one already taken (500).
    pub late: u64,
    /// Messages that were refused, for any reason.
    pub refused: u64,
    /// Refusals that nobody was told of: too large, too many, or none owed.
    pub unanswered: u64,
    /// Subscriptions that stand now.
    pub active: u64,
}

pub struct Client {
    settings: Settings,
    dice: Dice,
    watches: BTreeMap<WatchId, Watched>,
    usages: Table<String, Usage>,
    /// By Call-ID.
    refers: Table<String, Refer>,
    transactions: Transactions,
    memory: Memory,
    timers: BTreeMap<(Mono, u64), Timer>,
    serial: u64,
    out: VecDeque<Output>,
    /// Watches whose SUBSCRIBE waits for its turn.
    queue: VecDeque<WatchId>,
    pace: Pace,
    link: Link,
    /// The stream beside a UDP flow, for requests that are too large for it.
    large: Large,
    targets: Vec<Target>,
    next_target: usize,
    targets_until: Mono,
    /// Targets that said 503 with Retry-After, and until when they are left alone (RFC 3261, 21.5.4).
    avoid: Vec<(Target, Mono)>,
    failures: u32,
    flows: u32,
    nonce: Option<Nonce>,
    /// The password was refused.
    locked: bool,
    stopping: bool,
    strangers: (Mono, u32),
    counts: Counts,
}

struct Watched {
    watch: Watch,
    /// The Call-ID of its usage.
    usage: Option<String>,
    /// In the queue, so that it is there once.
    queued: bool,
    /// Seconds to ask for: larger after a 423.
    expires_s: u32,
    tries: u32,
    /// When it is tried again.
    again: Option<Mono>,
}

/// Storm control: at most so many a second and so many without an answer; a 503 halves both, successes give them back one by one.
struct Pace {
    a_second: u32,
    in_flight: u32,
    next: Mono,
    /// 503 with Retry-After: the host is left alone.
    quiet_until: Mono,
    good: u32,
    /// The moment for which a timer is set, so that there is one.
    timer: Mono,
}

enum Link {
    Down { again: Option<Mono> },
    Resolving,
    Opening { flow: Flow, target: Target },
    Up(Up),
}

struct Up {
    flow: Flow,
    target: Target,
    /// What stands in Via and Contact.
    host: String,
    port: Option<u16>,
    heard: Mono,
    /// The server answers pings; one that never did is no less alive.
    pongs: bool,
    pong_due: Option<Mono>,
    probe: Mono,
}

enum Large {
    None,
    /// The branches of what waits for it.
    Opening {
        flow: Flow,
        waiting: Vec<String>,
    },
    Up {
        flow: Flow,
    },
    Refused,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Timer {
    Retransmit(String),
    GiveUp(String),
    Refresh(Subscription),
    Expire(Subscription),
    Silent(String),
    Refer(String),
    Again(WatchId),
    Forget,
    Pump,
    Probe,
    Pong,
    Reconnect,
}

impl Client {
    /// `key`: 32 random bytes.
    #[must_use]
    pub fn new(settings: Settings, key: [u8; 32]) -> Self {
        let pace = Pace {
            a_second: settings.starts_a_second.max(1),
            in_flight: settings.in_flight.max(1),
            next: Mono(0),
            quiet_until: Mono(0),
            good: 0,
            timer: Mono(0),
        };
        Self {
            settings,
            dice: Dice::new(key),
            watches: BTreeMap::new(),
            usages: Table::default(),
            refers: Table::default(),
            transactions: Transactions::default(),
            memory: Memory::default(),
            timers: BTreeMap::new(),
            serial: 0,
            out: VecDeque::new(),
            queue: VecDeque::new(),
            pace,
            link: Link::Down { again: None },
            large: Large::None,
            targets: Vec::new(),
            next_target: 0,
            targets_until: Mono(0),
            avoid: Vec::new(),
            failures: 0,
            flows: 0,
            nonce: None,
            locked: false,
            stopping: false,
            strangers: (Mono(0), 0),
            counts: Counts::default(),
        }
    }

    /// The one door in.
    pub fn take(&mut self, now: Now, input: Input<'_>) {
        let now = now.mono;
        match input {
            Input::Watch(watches) => self.watch(now, watches),
            Input::Resolved { targets, ttl_ms } => self.resolved(now, targets, ttl_ms),
            Input::Connected { flow, host, port } => self.connected(now, flow, host, port),
            Input::Lost { flow, reason } => self.flow_lost(now, flow, &reason),
            Input::Received { flow, host, port, transport, bytes } => {
                self.received(now, flow, (host, port, transport), bytes);
            }
            Input::Pong { flow } => self.pong(now, flow),
            Input::Refresh(watch) => self.refresh_watch(now, watch),
            Input::Refer(wish) => self.refer(now, wish),
            Input::Stop => self.stop(now),
        }
        self.pump(now);
    }

    /// What is to be done now; `None`: nothing more until [`Client::deadline`].
    pub fn next(&mut self, now: Now) -> Option<Output> {
        self.fire(now.mono);
        self.out.pop_front()
    }

    /// When something happens by itself.
    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        self.timers.keys().next().map(|(at, _)| *at)
    }

    /// Nothing is subscribed and nothing under way: after [`Input::Stop`], the process may go.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.usages.is_empty() && self.transactions.is_empty()
    }

    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts { active: self.usages.values().map(|u| u.dialogs.len() as u64).sum(), ..self.counts }
    }

    fn timer(&mut self, at: Mono, timer: Timer) {
        self.serial += 1;
        self.timers.insert((at, self.serial), timer);
    }

    fn fire(&mut self, now: Mono) {
        let mut any = false;
        while let Some(entry) = self.timers.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let timer = entry.remove();
            any = true;
            match timer {
                Timer::Retransmit(branch) => self.retransmit(now, &branch),
                Timer::GiveUp(branch) => self.give_up(now, &branch),
                Timer::Refresh(s) => self.refresh_due(now, &s),
                Timer::Expire(s) => self.expire_due(now, &s),
                Timer::Silent(call) => self.silent(now, &call),
                Timer::Refer(call) => self.refer_due(now, &call),
                Timer::Again(id) => self.again(now, id),
                Timer::Forget => {
                    if let Some(at) = self.memory.forget(now) {
                        self.timer(at, Timer::Forget);
                    }
                }
                Timer::Pump => {}
                Timer::Probe => self.probe(now),
                Timer::Pong => self.pong_missing(now),
                Timer::Reconnect => self.reconnect(now),
            }
        }
        if any {
            self.pump(now);
        }
    }

    fn watch(&mut self, now: Mono, watches: Vec<Watch>) {
        let wanted: BTreeMap<WatchId, Watch> = watches.into_iter().map(|w| (w.id, w)).collect();
        let gone: Vec<WatchId> =
            self.watches.iter().filter(|(id, w)| wanted.get(id) != Some(&w.watch)).map(|(id, _)| *id).collect();
        for id in gone {
            self.unwatch(now, id);
        }
        for (id, watch) in wanted {
            if self.watches.contains_key(&id) {
                continue;
            }
            let expires_s = watch.expires_s.unwrap_or(self.settings.expires_s).max(1);
            self.watches.insert(id, Watched { watch, usage: None, queued: false, expires_s, tries: 0, again: None });
            self.enqueue(id);
        }
        if matches!(self.link, Link::Down { again: None }) && !self.watches.is_empty() {
            self.reconnect(now);
        }
    }

    fn enqueue(&mut self, id: WatchId) {
        if let Some(watched) = self.watches.get_mut(&id).filter(|w| !w.queued && w.usage.is_none()) {
            watched.queued = true;
            watched.again = None;
            self.queue.push_back(id);
        }
    }

    fn again(&mut self, now: Mono, id: WatchId) {
        if self.watches.get(&id).is_some_and(|w| w.again.is_some_and(|at| at <= now)) {
            self.enqueue(id);
        }
    }

    /// Tries this watch again in `ms`, give or take a quarter.
    fn later(&mut self, now: Mono, id: WatchId, ms: u64) {
        let at = now.plus_ms(self.dice.between(ms - ms / 4, ms + ms / 4));
        if let Some(watched) = self.watches.get_mut(&id) {
            watched.again = Some(at);
            self.timer(at, Timer::Again(id));
        }
    }

    fn backoff(&mut self, tries: u32) -> u64 {
        let most = BACKOFF_MS.0.saturating_mul(1 << tries.min(16)).min(BACKOFF_MS.1);
        self.dice.between(most / 2, most)
    }

    /// Sends what may be sent now.
    fn pump(&mut self, now: Mono) {
        if !matches!(self.link, Link::Up(_)) || self.stopping {
            return;
        }
        while !self.queue.is_empty() {
            if self.transactions.starting() >= self.pace.in_flight as usize {
                // An answer or a timeout makes room.
                return;
            }
            let due = self.pace.next.max(self.pace.quiet_until);
            if due > now {
                if self.pace.timer != due {
                    self.pace.timer = due;
                    self.timer(due, Timer::Pump);
                }
                return;
            }
            let Some(id) = self.queue.pop_front() else { return };
            let Some(watched) = self.watches.get_mut(&id).filter(|w| w.queued) else { continue };
            watched.queued = false;
            if self.subscribe(now, id) {
                self.pace.next = now.max(self.pace.next).plus_ms(1000 / u64::from(self.pace.a_second));
            }
        }
    }

    // The flow.

    fn reconnect(&mut self, now: Mono) {
        match self.link {
            Link::Down { again } if again.is_none_or(|at| at <= now) => {}
            _ => return,
        }
        if self.next_target < self.targets.len() && now < self.targets_until {
            self.open(now);
        } else {
            self.link = Link::Resolving;
            self.out.push_back(Output::Resolve(self.settings.server.clone()));
        }
    }

    fn resolved(&mut self, now: Mono, targets: Vec<Target>, ttl_ms: u64) {
        if !matches!(self.link, Link::Resolving) {
            return;
        }
        // No answer is not kept at all; the longest that one is believed is an hour.
        self.targets_until = now.plus_ms(ttl_ms.clamp(1_000, LONG_MS));
        self.targets = targets;
        self.next_target = 0;
        if self.targets.is_empty() {
            self.out.push_back(Output::Link(Err("no address was found".into())));
            self.down(now);
        } else {
            self.open(now);
        }
    }

    /// The next target that may be asked; without one, a pause.
    fn open(&mut self, now: Mono) {
        let avoided = |t: &Target| self.avoid.iter().any(|(other, until)| other == t && *until > now);
        let skipped = self.targets.iter().skip(self.next_target).take_while(|t| avoided(t)).count();
        self.next_target += skipped;
        let Some(target) = self.targets.get(self.next_target).cloned() else { return self.down(now) };
        self.next_target += 1;
        let flow = self.new_flow();
        self.out.push_back(Output::Open { flow, target: target.clone() });
        self.link = Link::Opening { flow, target };
    }

    fn new_flow(&mut self) -> Flow {
        self.flows = self.flows.wrapping_add(1);
        Flow(self.flows)
    }

    /// All targets failed: wait, then ask the resolver again.
    fn down(&mut self, now: Mono) {
        let wait = self.backoff(self.failures);
        self.failures = self.failures.saturating_add(1);
        let at = now.plus_ms(wait);
        self.next_target = self.targets.len();
        self.link = Link::Down { again: Some(at) };
        self.timer(at, Timer::Reconnect);
    }

    fn connected(&mut self, now: Mono, flow: Flow, host: String, port: u16) {
        if matches!(&self.large, Large::Opening { flow: f, .. } if *f == flow) {
            if let Large::Opening { waiting, .. } = std::mem::replace(&mut self.large, Large::Up { flow }) {
                for bytes in waiting.iter().filter_map(|branch| self.transactions.over(branch, flow, true)) {
                    self.out.push_back(Output::Send { flow, bytes });
                }
            }
            return;
        }
        let Link::Opening { flow: opening, target } = &self.link else { return };
        if *opening != flow {
            return;
        }
        let target = target.clone();
        // RFC 7118, 5: a browser does not know its address; nor does anybody need it, answers come back over the connection.
        let (host, port) = match target.transport {
            Transport::Ws | Transport::Wss => (format!("{}.invalid", self.dice.name()), None),
            _ if host.contains(':') => (format!("[{host}]"), Some(port)),
            _ => (host, Some(port)),
        };
        self.out.push_back(Output::Link(Ok(target.clone())));
        self.nonce = None;
        self.pace.quiet_until = Mono(0);
        self.link = Link::Up(Up { flow, target, host, port, heard: now, pongs: false, pong_due: None, probe: now });
        self.next_probe(now);
        let waiting: Vec<WatchId> = self.watches.keys().copied().collect();
        for id in waiting {
            self.enqueue(id);
        }
    }

    fn flow_lost(&mut self, now: Mono, flow: Flow, reason: &str) {
        match &self.large {
            Large::Opening { flow: f, .. } if *f == flow => {
                // RFC 3261, 18.1.1: refused, so it goes over UDP after all.
                if let Large::Opening { waiting, .. } = std::mem::replace(&mut self.large, Large::Refused)
                    && let Link::Up(up) = &self.link
                {
                    let flow = up.flow;
                    for bytes in waiting.iter().filter_map(|branch| self.transactions.over(branch, flow, false)) {
                        self.out.push_back(Output::Send { flow, bytes });
                    }
                }
                return;
            }
            Large::Up { flow: f } if *f == flow => {
                self.large = Large::None;
                return;
            }
            _ => {}
        }
        match &self.link {
            Link::Opening { flow: f, .. } if *f == flow => {}
            Link::Up(up) if up.flow == flow => self.failures = 0,
            _ => return,
        }
        self.lose(now, reason);
    }

    /// The flow is of no use: everything over it is unknown, the next target is tried.
    fn lose(&mut self, now: Mono, reason: &str) {
        if let Large::Opening { flow, .. } | Large::Up { flow } = std::mem::replace(&mut self.large, Large::None) {
            self.out.push_back(Output::Close { flow });
        }
        if matches!(self.link, Link::Up(_)) {
            self.out.push_back(Output::Link(Err(reason.to_owned())));
        }
        self.link = Link::Down { again: None };
        self.transactions.clear();
        self.refers_lost();
        let calls: Vec<String> = self.usages.keys().cloned().collect();
        for call in calls {
            self.drop_usage(&call, &Why::Connection);
        }
        for (_, watched) in self.watches.iter_mut() {
            watched.again = None;
            watched.tries = 0;
        }
        if self.stopping {
            return;
        }
        if self.next_target < self.targets.len() && now < self.targets_until {
            self.open(now);
        } else {
            self.down(now);
        }
    }

    fn next_probe(&mut self, now: Mono) {
        let Link::Up(up) = &mut self.link else { return };
        let (from, to) = if up.target.transport.is_reliable() { STREAM_PROBE_MS } else { DATAGRAM_PROBE_MS };
        up.probe = now.plus_ms(self.dice.between(from, to));
        let at = up.probe;
        self.timer(at, Timer::Probe);
    }

    /// A stream is pinged. A server over UDP is asked for its OPTIONS: STUN is answered by few, and any answer shows that it is there.
    fn probe(&mut self, now: Mono) {
        let Link::Up(up) = &mut self.link else { return };
        if up.probe > now {
            return;
        }
        if up.target.transport.is_reliable() {
            up.pong_due = Some(now.plus_ms(PONG_MS));
            self.out.push_back(Output::Ping { flow: up.flow });
            self.timer(now.plus_ms(PONG_MS), Timer::Pong);
        } else {
            self.options(now);
        }
        self.next_probe(now);
    }

    fn pong(&mut self, now: Mono, flow: Flow) {
        if let Link::Up(up) = &mut self.link
            && up.flow == flow
        {
            up.heard = now;
            up.pongs = true;
            up.pong_due = None;
        }
    }

    fn pong_missing(&mut self, now: Mono) {
        let Link::Up(up) = &self.link else { return };
        let silent = up.heard.plus_ms(PONG_MS) <= now;
        if up.pongs && silent && up.pong_due.is_some_and(|at| at <= now) {
            let flow = up.flow;
            self.out.push_back(Output::Close { flow });
            self.lose(now, "the server did not answer a ping");
        }
    }

    fn stop(&mut self, now: Mono) {
        self.stopping = true;
        self.queue.clear();
        let ids: Vec<WatchId> = self.watches.keys().copied().collect();
        for id in ids {
            self.unwatch(now, id);
        }
    }

    fn unwatch(&mut self, now: Mono, id: WatchId) {
        let Some(watched) = self.watches.remove(&id) else { return };
        if let Some(call) = watched.usage {
            self.unsubscribe(now, &call);
        }
        self.out.push_back(Output::Unknown { watch: id, why: Why::Unwatched });
    }

    /// A request of ours, but for what its kind adds.
    fn draft(&self, up: &Up, (method, uri): (&str, &str), branch: &str) -> Draft {
        let port = up.port.map_or_else(String::new, |p| format!(":{p}"));
        let via = format!("SIP/2.0/{} {}{port};branch={branch};rport", up.target.transport.name(), up.host);
        Draft::request(method, uri).header("Via", &via).header("Max-Forwards", "70")
    }

    fn contact(&self, up: &Up) -> String {
        let user = super::wire::uri(&self.settings.identity).and_then(|u| u.user).unwrap_or_else(|| "linecard".into());
        let port = up.port.map_or_else(String::new, |p| format!(":{p}"));
        format!("<sip:{user}@{}{port}{}>", up.host, up.target.transport.contact())
    }
}
