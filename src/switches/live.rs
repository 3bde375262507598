//! One door to all kinds of switches: the closed list, once more, for what touches the world; and what every link of them needs.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::Ordering::{self, Relaxed},
    },
    time::Duration,
};

use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    Devices, Heard, LinkState, Said, Settings, Tls, asterisk, esl,
    link::{self, LinkStats, Output, Reason, SipStats},
    sip,
};
use crate::{
    calls::{
        Command,
        command::Failure,
        event::{Event, Feed},
        face::OpenLeg,
        seats::Places,
    },
    files::SecretRef,
    private::Secret,
    words::{Mono, Now, SwitchId, Wall, certificate::Ends},
};

/// What must not be dropped (link states, answers) while the core's channel is full.
const OWED_CAP: usize = 1024;

/// The counters of one switch. Clones share them.
#[derive(Clone, Debug)]
pub enum Stats {
    Asterisk { switch: SwitchId, feeds: Vec<Feed>, links: Arc<LinkStats> },
    FreeSwitch { switch: SwitchId, link: Arc<link::Stats> },
    Sip { switch: SwitchId, feeds: Vec<Feed>, links: Arc<SipStats> },
}

/// How one link stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Logged in, and its snapshot was told.
    pub up: bool,
    /// Absent: it never was otherwise.
    pub since: Option<Wall>,
    /// When it told something last.
    pub heard_at: Option<Wall>,
    /// Why it was down last.
    pub reason: Option<Reason>,
    /// What the other end says it is.
    pub version: String,
}

/// One link's figures at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    pub events: u64,
    pub dropped: u64,
    pub connects: u64,
    pub resyncs: u64,
    pub refused: u64,
    pub unknown: u64,
    pub unregistered: u64,
}

impl Stats {
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        match settings {
            Settings::Asterisk(s) => {
                let hep = s.hep.is_some().then_some(Feed::Hep);
                let feeds = [s.ami.is_some().then_some(Feed::Ami), s.ari.is_some().then_some(Feed::Ari), hep];
                Self::Asterisk {
                    switch: s.id.clone(),
                    feeds: feeds.into_iter().flatten().collect(),
                    links: Arc::default(),
                }
            }
            Settings::FreeSwitch(s) => Self::FreeSwitch { switch: s.id.clone(), link: Arc::default() },
            Settings::Sip(s) => {
                let feeds = [s.server.is_some().then_some(Feed::Sip), s.hep.is_some().then_some(Feed::Hep)];
                Self::Sip { switch: s.id.clone(), feeds: feeds.into_iter().flatten().collect(), links: Arc::default() }
            }
        }
    }

    /// Each link with its figures.
    #[must_use]
    pub fn each(&self) -> Vec<(SwitchId, Feed, Counts)> {
        let counts = |link: &link::Stats| Counts {
            events: link.events.load(Ordering::Relaxed),
            dropped: link.dropped.load(Ordering::Relaxed),
            connects: link.connects.load(Ordering::Relaxed),
            resyncs: link.resyncs.load(Ordering::Relaxed),
            refused: link.refused.load(Ordering::Relaxed),
            unknown: link.unknown.load(Ordering::Relaxed),
            unregistered: link.unregistered.load(Ordering::Relaxed),
        };
        self.links().into_iter().map(|(feed, link)| (self.switch().clone(), feed, counts(link))).collect()
    }

    /// How each link stands, in the order of [`Stats::each`].
    #[must_use]
    pub fn standing(&self) -> Vec<Standing> {
        let at = |ms: i64| (ms > 0).then_some(Wall(ms));
        let standing = |link: &link::Stats| Standing {
            up: link.up.load(Ordering::Relaxed),
            since: at(link.since.load(Ordering::Relaxed)),
            heard_at: at(link.heard_at.load(Ordering::Relaxed)),
            reason: link.last_reason(),
            version: link.version(),
        };
        self.links().into_iter().map(|(_, link)| standing(link)).collect()
    }

    #[must_use]
    pub const fn switch(&self) -> &SwitchId {
        match self {
            Self::FreeSwitch { switch, .. } | Self::Sip { switch, .. } | Self::Asterisk { switch, .. } => switch,
        }
    }

    fn links(&self) -> Vec<(Feed, &link::Stats)> {
        match self {
            Self::FreeSwitch { link, .. } => vec![(Feed::Esl, &**link)],
            Self::Sip { feeds, links, .. } => {
                let of = |feed: &Feed| if *feed == Feed::Hep { &links.hep } else { &links.sip };
                feeds.iter().map(|feed| (*feed, &**of(feed))).collect()
            }
            Self::Asterisk { feeds, links, .. } => {
                let of = |feed: &Feed| match feed {
                    Feed::Ari => &links.ari,
                    Feed::Hep => &links.hep,
                    _ => &links.ami,
                };
                feeds.iter().map(|feed| (*feed, &**of(feed))).collect()
            }
        }
    }

    /// When the first of the certificates ends that its links showed.
    #[must_use]
    pub fn certificate_ends(&self) -> Option<Wall> {
        self.links().into_iter().filter_map(|(_, link)| link.certificate.at()).min()
    }

    /// What the switch said it is, over each link that says it, with the first and the last version that were tried (`docs/asterisk.md`, `docs/freeswitch.md`). Of AMI
    /// it is the protocol's own: 5 is Asterisk 16, 11 is 22.
    #[must_use]
    pub fn versions(&self) -> Vec<(String, (&'static str, &'static str))> {
        let tried = |feed| match feed {
            Feed::Ami => Some(("5", "11")),
            Feed::Ari => Some(("22", "22")),
            Feed::Esl => Some(("1.10", "1.10")),
            Feed::Sip | Feed::Hep => None,
        };
        let said = self.links().into_iter().filter_map(|(feed, link)| Some((link.version(), tried(feed)?)));
        said.filter(|(version, _)| !version.is_empty()).collect()
    }
}

/// Keeps the links of one switch until `stop`. `places`: who sits where; a switch that is asked for each device watches those. `open`: what was up when
/// the last run ended, for a feed without a list of its own.
pub async fn run(
    settings: Arc<Settings>,
    stats: Stats,
    places: watch::Receiver<Places>,
    open: Vec<OpenLeg>,
    out: mpsc::Sender<Said>,
    commands: mpsc::Receiver<Command>,
    stop: CancellationToken,
) {
    match (&*settings, stats) {
        (Settings::Asterisk(s), Stats::Asterisk { links, .. }) => {
            asterisk::run(Arc::new(s.clone()), links, places, out, commands, stop).await;
        }
        (Settings::FreeSwitch(s), Stats::FreeSwitch { link, .. }) => {
            Box::pin(esl::live::run(Arc::new(s.clone()), link, out, commands, stop)).await;
        }
        (Settings::Sip(s), Stats::Sip { links, .. }) => {
            Box::pin(sip::live::run(Arc::new(s.clone()), &links, places, open, out, commands, stop)).await;
        }
        // The counters are made from the same settings.
        (Settings::Asterisk(_) | Settings::FreeSwitch(_) | Settings::Sip(_), _) => {}
    }
}

/// For `check --probe`: who answers, and what we may do there. `Err` is why it cannot be used.
pub async fn probe(settings: &Settings) -> Vec<Result<String, String>> {
    match settings {
        Settings::Asterisk(s) => asterisk::probe(s).await,
        Settings::FreeSwitch(s) => esl::live::probe(s).await,
        Settings::Sip(s) => sip::live::probe(s).await,
    }
}

/// The same of one link, over a connection of its own that ends with it. `None`: there is nobody to ask, for mirrored signalling only comes in.
pub async fn probe_link(settings: &Settings, feed: Feed) -> Option<Vec<Result<String, String>>> {
    match (settings, feed) {
        (_, Feed::Hep) => None,
        (Settings::Asterisk(s), _) => Some(asterisk::probe_link(s, feed).await),
        (Settings::FreeSwitch(s), _) => Some(esl::live::probe(s).await),
        (Settings::Sip(s), _) => Some(sip::live::probe(s).await),
    }
}

/// For `check --manager-conf`: the lines the switch needs so that we see just what the settings want.
#[must_use]
pub fn conf_lines(settings: &Settings) -> String {
    match settings {
        Settings::Asterisk(s) => asterisk::manager_conf_lines(s) + &asterisk::ari_conf_lines(s),
        Settings::FreeSwitch(s) => esl::directory_lines(s),
        Settings::Sip(_) => String::new(),
    }
}

/// What goes from a link to the core, and what is done when the core does not keep up: events are dropped and counted, and once there is
/// room again a gap is told and a snapshot taken. What must not be lost waits here.
pub(super) struct Outlet {
    pub switch: SwitchId,
    feed: Feed,
    out: mpsc::Sender<Said>,
    stats: Arc<link::Stats>,
    owed: VecDeque<Said>,
    /// Events were dropped since the last snapshot was asked for.
    hole: bool,
    /// The core was told that this link is up.
    up: bool,
    down_told: bool,
    /// A second connection beside the one that hears: whether it is up is for the log alone.
    beside: bool,
}

impl Outlet {
    pub fn new(switch: SwitchId, feed: Feed, out: mpsc::Sender<Said>, stats: Arc<link::Stats>) -> Self {
        Self {
            switch,
            feed,
            out,
            stats,
            owed: VecDeque::new(),
            hole: false,
            up: false,
            down_told: false,
            beside: false,
        }
    }

    /// For a connection that only carries commands.
    pub fn beside(self) -> Self {
        Self { beside: true, ..self }
    }

    pub fn events(&mut self, events: Vec<Event>) {
        let count = events.len() as u64;
        // Behind what is owed nothing may overtake.
        if self.hole || !self.owed.is_empty() {
            self.hole = true;
            self.stats.dropped.fetch_add(count, Relaxed);
            return;
        }
        match self.out.try_send(self.said(Heard::Events(events))) {
            Ok(()) => {
                self.stats.heard_at.store(clock().wall.0, Relaxed);
                self.stats.events.fetch_add(count, Relaxed)
            }
            Err(_) => {
                tracing::warn!(switch = %self.switch, feed = ?self.feed, "the core does not keep up: events are dropped until it does");
                self.hole = true;
                self.stats.dropped.fetch_add(count, Relaxed)
            }
        };
    }

    /// What must arrive, if late.
    pub fn must(&mut self, what: Heard) {
        let said = self.said(what);
        let late = match self.owed.is_empty() {
            true => self.out.try_send(said).err().map(|e| match e {
                mpsc::error::TrySendError::Full(said) | mpsc::error::TrySendError::Closed(said) => said,
            }),
            false => Some(said),
        };
        if let Some(said) = late {
            if self.owed.len() == OWED_CAP {
                self.owed.pop_front();
            }
            self.owed.push_back(said);
        }
    }

    /// Where it is written down when the other end's certificate ends.
    pub fn certificate(&self) -> Ends {
        self.stats.certificate.clone()
    }

    /// How much came in and was refused, since the start.
    pub fn refused(&self, count: u64) {
        self.stats.refused.store(count, Relaxed);
    }

    /// Of whom nothing is known and who has no phone, all of them.
    pub fn devices(&mut self, devices: Devices) {
        self.stats.unknown.store(devices.unseen.len() as u64, Relaxed);
        self.stats.unregistered.store(devices.unregistered.len() as u64, Relaxed);
        self.must(Heard::Devices(devices));
    }

    pub fn up(&mut self, version: String) {
        tracing::info!(switch = %self.switch, feed = ?self.feed, version, commands = self.beside, "the link is up");
        self.stats.up.store(true, Relaxed);
        self.stats.since.store(clock().wall.0, Relaxed);
        self.stats.connects.fetch_add(1, Relaxed);
        self.stats.is(&version);
        (self.up, self.down_told) = (true, false);
        if !self.beside {
            self.must(Heard::Link(LinkState::Up { version }));
        }
    }

    /// The link is down, or did not come up; the first time in a row it is told.
    pub fn ended(&mut self, reason: &Reason, began: Now, attempt: &mut u32) {
        if self.up && clock().mono.since_ms(began.mono) >= link::GOOD_MS {
            *attempt = 0;
        }
        let news = !self.down_told || self.stats.last_reason().as_ref() != Some(reason);
        self.stats.failed(reason);
        if self.up {
            self.stats.since.store(clock().wall.0, Relaxed);
        }
        if self.up && !self.beside {
            self.must(Heard::Events(vec![link::lost(self.feed)]));
        }
        self.up = false;
        if news {
            self.down_told = true;
            if *reason == Reason::Stopped {
                tracing::info!(switch = %self.switch, feed = ?self.feed, commands = self.beside, "the link is closed: {reason}");
            } else {
                tracing::warn!(switch = %self.switch, feed = ?self.feed, commands = self.beside, "the link is down: {reason}");
            }
            if !self.beside {
                self.must(Heard::Link(LinkState::Down { reason: reason.to_string() }));
            }
        }
    }

    pub fn owes(&self) -> bool {
        self.hole || !self.owed.is_empty()
    }

    /// Waits for room in the channel and uses it. `true`: all is told up to the hole, take a snapshot now. Cancel-safe.
    pub async fn room(&mut self) -> bool {
        let Ok(permit) = self.out.clone().reserve_owned().await else {
            // The core is gone; so are we, soon. Nothing is owed to nobody.
            self.owed.clear();
            self.hole = false;
            return std::future::pending().await;
        };
        if let Some(said) = self.owed.pop_front() {
            permit.send(said);
            return false;
        }
        let hole = std::mem::take(&mut self.hole);
        if hole {
            permit.send(self.said(Heard::Events(vec![link::gap(self.feed)])));
            self.stats.resyncs.fetch_add(1, Relaxed);
        }
        hole
    }

    /// Waits out `ms` between two tries.
    pub async fn rest(&mut self, ms: u64, commands: &mut Option<mpsc::Receiver<Command>>, stop: &CancellationToken) {
        let _ = self.meanwhile(tokio::time::sleep(Duration::from_millis(ms)), commands, stop).await;
    }

    /// Waits for `work` while there is no link: commands are refused, what is owed is told.
    pub async fn meanwhile<T>(
        &mut self,
        work: impl Future<Output = T>,
        commands: &mut Option<mpsc::Receiver<Command>>,
        stop: &CancellationToken,
    ) -> Result<T, Reason> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                Some(command) = next(commands) => {
                    let request = command.request().clone();
                    self.must(Heard::Answered { request, result: Err(Failure::SwitchUnavailable) });
                }
                // A hole needs no snapshot now: the next connection begins with one.
                _ = self.room(), if self.owes() => {}
                () = stop.cancelled() => return Err(Reason::Stopped),
            }
        }
    }

    fn said(&self, what: Heard) -> Said {
        Said { switch: self.switch.clone(), feed: self.feed, at: clock(), what }
    }
}

/// What one wake-up reads at most. 64 KiB hold the AMI events of about 30 calls at 500 calls/s.
pub(super) const READ: usize = 64 * 1024;
/// What waits to be written to a switch that does not read; more than all commands of a busy hour.
const WRITE_CAP: usize = 1024 * 1024;

/// Where a switch is reached.
pub(super) struct Door<'a> {
    pub host: &'a str,
    pub port: u16,
    pub tls: Option<&'a Tls>,
    pub secret: &'a SecretRef,
}

/// Keeps one connection until `stop`; `begin` makes the machine of each. Each command is answered once.
pub(super) async fn keep<M: link::Session>(
    door: Door<'_>,
    begin: impl Fn(Secret) -> M,
    mut outlet: Outlet,
    mut commands: Option<mpsc::Receiver<Command>>,
    stop: CancellationToken,
) {
    let mut attempt = 0;
    let ends = outlet.certificate();
    while !stop.is_cancelled() {
        let began = clock();
        let opened = match door.secret.resolve() {
            Ok(secret) => {
                match outlet.meanwhile(connect(door.host, door.port, door.tls, &ends), &mut commands, &stop).await {
                    Ok(Ok(stream)) => Ok((stream, secret)),
                    Ok(Err(reason)) | Err(reason) => Err(reason),
                }
            }
            Err(why) => Err(Reason::Settings(why)),
        };
        let reason = match opened {
            Ok((stream, secret)) => serve(stream, begin(secret), &mut outlet, &mut commands, &stop).await,
            Err(reason) => reason,
        };
        outlet.ended(&reason, began, &mut attempt);
        outlet
            .rest(link::backoff_ms(attempt, reason.needs_a_person(), crate::live::dice()), &mut commands, &stop)
            .await;
        attempt = attempt.saturating_add(1);
    }
}

/// One connection from its first byte to its end.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin, M: link::Session>(
    stream: S,
    mut session: M,
    outlet: &mut Outlet,
    commands: &mut Option<mpsc::Receiver<Command>>,
    stop: &CancellationToken,
) -> Reason {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut buffer = vec![0; READ];
    let mut unsent: Vec<u8> = Vec::new();
    loop {
        let until = loop {
            match session.poll(clock()) {
                Output::Send(bytes) => unsent.extend_from_slice(&bytes),
                Output::Events(events) => outlet.events(events),
                Output::Up { version } => outlet.up(version),
                Output::Answered { request, result } => outlet.must(Heard::Answered { request, result }),
                Output::Note(text) => tracing::warn!(switch = %outlet.switch, feed = M::SPOKEN, "{text}"),
                Output::Failed(reason) => return reason,
                Output::Wait(until) => break until,
            }
        };
        if unsent.len() > WRITE_CAP {
            // It answers but does not read: not a peer we can use. The session never learns of it, so its dials end by their deadline.
            session.closed();
            continue;
        }
        tokio::select! {
            read = reader.read(&mut buffer) => match read {
                Ok(0) | Err(_) => session.closed(),
                Ok(n) => session.read(clock(), buffer.get(..n).unwrap_or_default()),
            },
            wrote = writer.write(&unsent), if !unsent.is_empty() => match wrote {
                Ok(0) | Err(_) => session.closed(),
                Ok(n) => drop(unsent.drain(..n)),
            },
            () = sleep_until(until) => {}
            Some(command) = next(commands) => session.command(clock(), &command),
            resync = outlet.room(), if outlet.owes() => if resync { session.resync(clock()) },
            () = stop.cancelled() => {
                let _ = timeout(Duration::from_millis(200), writer.write_all(M::GOODBYE)).await;
                return Reason::Stopped;
            }
        }
    }
}

/// The next command; never, where this link has none to read. A closed channel is never read again.
pub(super) async fn next(commands: &mut Option<mpsc::Receiver<Command>>) -> Option<Command> {
    match commands {
        Some(receiver) => match receiver.recv().await {
            Some(command) => Some(command),
            None => {
                *commands = None;
                std::future::pending().await
            }
        },
        None => std::future::pending().await,
    }
}

/// This moment. As [`crate::live::now`], by tokio's clock, which tests can hold.
pub(super) fn clock() -> Now {
    crate::live::now()
}

pub(super) async fn sleep_until(until: Mono) {
    tokio::time::sleep_until(crate::live::instant(until)).await;
}

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// TCP, and TLS over it where the settings say so.
pub(super) async fn connect(host: &str, port: u16, tls: Option<&Tls>, ends: &Ends) -> Result<Box<dyn Stream>, Reason> {
    let at = format!("{host}:{port}");
    let unreachable = |why: String| Reason::Unreachable { at: at.clone(), why };
    let work = async {
        let tcp = TcpStream::connect((host, port)).await.map_err(|e| unreachable(e.to_string()))?;
        let _ = tcp.set_nodelay(true);
        match tls {
            Some(tls) => secure(tls, host, tcp, ends).await.map_err(|why| Reason::Tls { at: at.clone(), why }),
            None => Ok(Box::new(tcp) as Box<dyn Stream>),
        }
    };
    match timeout(Duration::from_millis(link::CONNECT_MS), work).await {
        Ok(done) => done,
        Err(_) => Err(unreachable(format!("no answer within {} s", link::CONNECT_MS / 1000))),
    }
}

/// TLS over a connection to `host`.
///
/// # Errors
/// Why it does not come about.
pub(super) async fn secure(tls: &Tls, host: &str, tcp: TcpStream, ends: &Ends) -> Result<Box<dyn Stream>, String> {
    let name = tls.server_name.as_deref().unwrap_or(host);
    let name = ServerName::try_from(name.to_owned()).map_err(|e| e.to_string())?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(trust(tls)?));
    let stream = connector.connect(name, tcp).await.map_err(|e| e.to_string())?;
    ends.shook(stream.get_ref().1);
    Ok(Box::new(stream))
}

/// Whom TLS trusts: the authorities in the settings' file, and nobody else.
pub(super) fn trust(tls: &Tls) -> Result<rustls::ClientConfig, String> {
    let mut roots = rustls::RootCertStore::empty();
    let at = tls.ca_file.display();
    for certificate in CertificateDer::pem_file_iter(&tls.ca_file).map_err(|e| format!("cannot read {at}: {e}"))? {
        let certificate = certificate.map_err(|e| format!("cannot read {at}: {e}"))?;
        // A bundle has certificates that nobody understands any more; those are left out.
        let _ = roots.add(certificate);
    }
    if roots.is_empty() {
        return Err(format!("{at} holds no certificate"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
