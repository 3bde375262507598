//! Answers agents who ask for a recording, serves the players, and goes through what is too old. Runs on the back runtime.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt as _, AsyncSeekExt as _},
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::timeout,
};

use super::{
    Answer, Ask, Keep, Link, Place, Refused, Settings,
    folder::{self, live::Removal},
    http::{Http, Trouble},
    links::{Grant, Links, Use},
    permit,
    range::{self, Span},
    retention::{self, Due, Reached},
    wire::{self, Body, Refusal},
};
use crate::{
    calls::{Record, record::RecordingState},
    live::now,
    private::Private,
    store::{AuditRow, Batch, CallKey, PositionRow, RecordRow, Store, StoreError},
    words::{CallId, SwitchId, TenantId, Wall},
};

/// Asks and fetches that are under way at once; above it they wait in their channels.
const UNDER_WAY: usize = 512;
/// Bytes of a piece.
const PIECE: usize = 64 * 1024;
/// How long the switch's server may be silent in the middle of a recording.
const SILENCE: Duration = Duration::from_secs(30);
/// Records that are looked at in one step of the sweep, and the rest after it: the store has others to serve.
const STEP: usize = 200;
const REST: Duration = Duration::from_millis(20);
/// The name under which the store keeps how far a sweep came; no switch can be called so.
const SWEEP: &str = "recordings/swept";

/// Counters, read by whoever makes metrics of them.
#[derive(Debug, Default)]
pub struct Figures {
    pub links: AtomicU64,
    pub refused: AtomicU64,
    /// Requests of players that were served.
    pub served: AtomicU64,
    /// Requests without a good link.
    pub unknown: AtomicU64,
    /// Turned away because as many were served as may be.
    pub full: AtomicU64,
    /// Good links whose recording was not there.
    pub failed: AtomicU64,
    pub playing: AtomicU64,
    pub bytes: AtomicU64,
    pub removed: AtomicU64,
    pub expired: AtomicU64,
    /// Files that could not be removed in the last sweep.
    pub stuck: AtomicU64,
}

impl Figures {
    /// Every counter with its name.
    pub fn each(&self) -> [(&'static str, u64); 11] {
        let now = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("links", now(&self.links)),
            ("refused", now(&self.refused)),
            ("served", now(&self.served)),
            ("unknown", now(&self.unknown)),
            ("full", now(&self.full)),
            ("failed", now(&self.failed)),
            ("playing", now(&self.playing)),
            ("bytes", now(&self.bytes)),
            ("removed", now(&self.removed)),
            ("expired", now(&self.expired)),
            ("stuck", now(&self.stuck)),
        ]
    }
}

/// Where one switch's recordings come from.
enum Source {
    Folder(PathBuf),
    Http(Http),
}

pub struct Keeper {
    settings: Settings,
    sources: HashMap<SwitchId, (Source, Option<String>)>,
    store: Store,
    links: Mutex<Links>,
    readers: Semaphore,
    pub figures: Figures,
}

impl Keeper {
    /// # Errors
    /// A place cannot be used: its certificates, its password.
    pub fn new(settings: Settings, store: Store) -> Result<Self, String> {
        let source = |place: &Place| match (&place.folder, &place.url) {
            (Some(folder), _) => Ok(Source::Folder(folder.clone())),
            (None, Some(url)) => Http::new(place, url).map(Source::Http),
            (None, None) => Err("it has neither folder nor url".to_owned()),
        };
        let mut sources = HashMap::new();
        for place in &settings.places {
            let source = source(place).map_err(|why| format!("recordings of {}: {why}", place.switch))?;
            if let Source::Folder(folder) = &source
                && let Err(error) = std::fs::read_dir(folder)
            {
                // It may come later, as a mount does.
                tracing::warn!(switch = %place.switch, folder = %folder.display(), %error, "the folder of recordings cannot be read");
            }
            sources.insert(place.switch.clone(), (source, place.prefix.clone()));
        }
        let readers = Semaphore::new(settings.readers);
        Ok(Self { settings, sources, store, links: Mutex::default(), readers, figures: Figures::default() })
    }

    fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A player's request, as the agents' listener read it.
#[derive(Debug)]
pub struct Fetch {
    /// What stands behind `/v1/recordings/`.
    pub id: String,
    pub token: Private<String>,
    /// HEAD: everything but the bytes.
    pub head: bool,
    pub range: Option<String>,
    pub if_range: Option<String>,
    /// The answer, head first. Dropped by whoever has had enough.
    pub pieces: mpsc::Sender<Bytes>,
}

/// Until both channels are closed.
pub async fn keep(
    keeper: Arc<Keeper>,
    mut asks: mpsc::Receiver<Ask>,
    answers: mpsc::Sender<Answer>,
    mut fetches: mpsc::Receiver<Fetch>,
) {
    let mut tasks = JoinSet::new();
    loop {
        let room = tasks.len() < UNDER_WAY;
        tokio::select! {
            Some(ask) = asks.recv(), if room => {
                let (keeper, answers) = (keeper.clone(), answers.clone());
                tasks.spawn(async move {
                    let result = keeper.answer(&ask).await;
                    let _ = answers.send(Answer { token: ask.token, result }).await;
                });
            }
            Some(fetch) = fetches.recv(), if room => {
                let keeper = keeper.clone();
                tasks.spawn(async move { keeper.serve(&fetch).await });
            }
            Some(_) = tasks.join_next() => {}
            else => return,
        }
    }
}

// Links.

impl Keeper {
    /// A link, or why there is none. Both are in the audit before anybody is told.
    async fn answer(&self, ask: &Ask) -> Result<Link, Refused> {
        let judged = self.judge(ask).await;
        let reason = match &judged {
            Ok(grant) if grant.of > 1 => format!("done, {} of {}", grant.recording + 1, grant.of),
            Ok(_) => "done".to_owned(),
            Err(refused) => refused.word().to_owned(),
        };
        let written = self.audit(&ask.asker, ask.call, "recording.link", reason).await;
        let result = judged.and_then(|grant| if written { self.give(grant) } else { Err(Refused::Unavailable) });
        let counter = if result.is_ok() { &self.figures.links } else { &self.figures.refused };
        counter.fetch_add(1, Ordering::Relaxed);
        result
    }

    fn give(&self, grant: Grant) -> Result<Link, Refused> {
        let now = now();
        let ms = self.settings.link_seconds.saturating_mul(1000);
        // 192 bits, from the generator that the kernel seeds.
        let token = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 24]>());
        let link = Link {
            url: Private::new(format!("/v1/recordings/{}?t={token}", grant.id())),
            expires_at: now.wall.plus_ms(i64::try_from(ms).unwrap_or(i64::MAX)),
            recording: grant.recording,
            of: grant.of,
        };
        let given = self.links().give(now.mono, now.mono.plus_ms(ms), &token, grant);
        given.then_some(link).ok_or(Refused::Unavailable)
    }

    async fn judge(&self, ask: &Ask) -> Result<Grant, Refused> {
        let stored;
        let record = match &ask.known {
            Some(record) => record.as_ref(),
            None => {
                stored = self.stored(&ask.asker.tenant, ask.call).await?;
                &stored
            }
        };
        if record.tenant != ask.asker.tenant {
            return Err(Refused::Unknown);
        }
        if !permit::may_hear(&self.settings, &ask.asker, record, &ask.directory) {
            return Err(Refused::NotPermitted);
        }
        let recording = record.recordings.get(ask.recording).ok_or(Refused::Unknown)?;
        let over = matches!(recording.state, RecordingState::Expired | RecordingState::Removed);
        if over || retention::is_too_old(&self.settings, record, now().wall) {
            return Err(Refused::Gone);
        }
        let grant = Grant {
            asker: ask.asker.clone(),
            call: record.call,
            switch: record.switch.clone(),
            recording: ask.recording,
            of: record.recordings.len(),
            name: recording.id.clone(),
        };
        let (source, prefix) = self.sources.get(&record.switch).ok_or(Refused::NoPlace)?;
        let steps = folder::steps(grant.name.expose(), prefix.as_deref()).ok_or(Refused::Unavailable)?;
        if let Source::Folder(folder) = source {
            open(folder, steps).await.map_err(|()| Refused::Unavailable)?;
        }
        Ok(grant)
    }

    async fn stored(&self, tenant: &TenantId, call: CallId) -> Result<Record, Refused> {
        let key = CallKey { tenant: tenant.clone(), call };
        let history = self.store.history(key).await.map_err(|_| Refused::Unavailable)?;
        match history.record {
            Some(row) => serde_json::from_str(row.body.expose()).map_err(|_| Refused::Unavailable),
            None if history.checkpoint.is_some() => Err(Refused::CallUp),
            None => Err(Refused::Unknown),
        }
    }

    /// Whether it is written down.
    async fn audit(&self, asker: &super::Asker, call: CallId, what: &str, reason: String) -> bool {
        let row = AuditRow {
            tenant: asker.tenant.clone(),
            at: now().wall,
            who: asker.agent.to_string(),
            what: what.to_owned(),
            about: call.to_string(),
            reason: Some(reason),
        };
        let batch = Batch { audit: vec![row], ..Batch::default() };
        let written = self.store.submit(batch).await;
        written.inspect_err(|error| tracing::warn!(%error, what, "what was heard is not in the audit")).is_ok()
    }
}

async fn open(folder: &std::path::Path, steps: Private<Vec<String>>) -> Result<folder::live::Opened, ()> {
    let folder = folder.to_owned();
    let opened = tokio::task::spawn_blocking(move || folder::live::open(&folder, steps.expose())).await;
    match opened {
        Ok(Ok(opened)) => Ok(opened),
        // The name stays out of the log.
        Ok(Err(error)) => {
            tracing::debug!(kind = %error.kind(), "a recording cannot be opened");
            Err(())
        }
        Err(_) => Err(()),
    }
}

// Players.

impl Keeper {
    async fn serve(&self, fetch: &Fetch) {
        let token = fetch.token.expose();
        let used = self.links().take(now().mono, &fetch.id, token);
        let (grant, first) = match used {
            Use::First(grant) => (grant, true),
            Use::Again(grant) => (grant, false),
            Use::Astray(grant) => {
                self.audit(&grant.asker, grant.call, "recording.heard", "not-permitted".to_owned()).await;
                self.figures.unknown.fetch_add(1, Ordering::Relaxed);
                return refuse(fetch, Refusal::Unknown).await;
            }
            Use::Unknown => {
                self.figures.unknown.fetch_add(1, Ordering::Relaxed);
                return refuse(fetch, Refusal::Unknown).await;
            }
        };
        let Ok(_seat) = self.readers.try_acquire() else { return self.full(fetch, first).await };
        if !self.links().plays(&grant) {
            return self.full(fetch, first).await;
        }
        self.figures.playing.fetch_add(1, Ordering::Relaxed);
        if first && !self.audit(&grant.asker, grant.call, "recording.heard", "done".to_owned()).await {
            self.links().unuse(token);
            refuse(fetch, Refusal::Unavailable).await;
        } else {
            let counter = match self.play(fetch, &grant).await {
                Ok(()) => &self.figures.served,
                Err(why) => {
                    refuse(fetch, why).await;
                    &self.figures.failed
                }
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }
        self.figures.playing.fetch_sub(1, Ordering::Relaxed);
        self.links().rests(&grant);
    }

    async fn full(&self, fetch: &Fetch, first: bool) {
        if first {
            self.links().unuse(fetch.token.expose());
        }
        self.figures.full.fetch_add(1, Ordering::Relaxed);
        refuse(fetch, Refusal::Full).await;
    }

    /// `Err`: nothing was sent yet.
    async fn play(&self, fetch: &Fetch, grant: &Grant) -> Result<(), Refusal> {
        let (source, prefix) = self.sources.get(&grant.switch).ok_or(Refusal::Unknown)?;
        let steps = folder::steps(grant.name.expose(), prefix.as_deref()).ok_or(Refusal::Unknown)?;
        let range = fetch.range.as_deref().filter(|_| !fetch.head).and_then(range::read);
        let (id, name) = (grant.id(), grant.name.expose());
        match source {
            Source::Folder(folder) => {
                let opened = open(folder, steps).await.map_err(|()| Refusal::Unknown)?;
                // Of another content than the client has, a part is of no use to it (RFC 9110, section 13.1.5).
                let same = |tag: &String| tag.trim().trim_matches('"') == opened.etag;
                let range = range.filter(|_| fetch.if_range.as_ref().is_none_or(same));
                let span = range.map_or(Span::Whole, |range| range.of(opened.size));
                let body = Body { span, size: opened.size };
                if fetch.pieces.send(wire::head(&body, name, &id, Some(&opened.etag))).await.is_ok() && !fetch.head {
                    self.pour(fetch, opened.file, body.bytes()).await;
                }
            }
            Source::Http(http) => {
                let range = range.filter(|_| fetch.if_range.is_none());
                let asked = http.ask(steps.expose(), fetch.head, range).await;
                let (body, answer) = asked.map_err(|trouble| match trouble {
                    Trouble::Missing => Refusal::Unknown,
                    Trouble::Away | Trouble::Odd => {
                        tracing::warn!(switch = %grant.switch, ?trouble, "the server of recordings gives none");
                        Refusal::Upstream
                    }
                })?;
                if fetch.pieces.send(wire::head(&body, name, &id, None)).await.is_ok() && !fetch.head {
                    self.pass(fetch, answer, body.bytes().1).await;
                }
            }
        }
        Ok(())
    }

    /// A file's bytes. One that became shorter ends early: the length that was told shows it.
    async fn pour(&self, fetch: &Fetch, file: std::fs::File, (first, length): (u64, u64)) {
        let mut file = tokio::fs::File::from_std(file);
        file.set_max_buf_size(PIECE);
        if first > 0 && file.seek(std::io::SeekFrom::Start(first)).await.is_err() {
            return;
        }
        let mut file = file.take(length);
        let mut left = length;
        while left > 0 {
            let mut piece = BytesMut::with_capacity(PIECE);
            while piece.len() < PIECE {
                match file.read_buf(&mut piece).await {
                    Ok(1..) => {}
                    Ok(0) => break,
                    Err(error) => return tracing::warn!(kind = %error.kind(), "a recording cannot be read on"),
                }
            }
            if piece.is_empty() {
                return tracing::debug!("a recording became shorter while it was read");
            }
            left = left.saturating_sub(piece.len() as u64);
            if !self.send(fetch, piece.freeze()).await {
                return;
            }
        }
    }

    /// Another server's bytes, as many as it announced and no more.
    async fn pass(&self, fetch: &Fetch, mut answer: reqwest::Response, length: u64) {
        let mut left = length;
        while left > 0 {
            let Ok(Ok(Some(mut piece))) = timeout(SILENCE, answer.chunk()).await else {
                return tracing::debug!("the server of recordings broke off");
            };
            piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            left = left.saturating_sub(piece.len() as u64);
            if !piece.is_empty() && !self.send(fetch, piece).await {
                return;
            }
        }
    }

    async fn send(&self, fetch: &Fetch, piece: Bytes) -> bool {
        self.figures.bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
        fetch.pieces.send(piece).await.is_ok()
    }
}

async fn refuse(fetch: &Fetch, why: Refusal) {
    let _ = fetch.pieces.send(wire::refusal(why)).await;
}

// What is too old.

/// Who writes a record's new revision: the desk, which may have the call in hand. False: not now.
pub trait Amend: Sync {
    fn amend(&self, row: RecordRow) -> impl Future<Output = bool> + Send;
}

impl Keeper {
    /// Goes through every tenant that keeps recordings for a while only.
    pub async fn sweep(&self, amend: &impl Amend) {
        self.figures.stuck.store(0, Ordering::Relaxed);
        for keep in &self.settings.keep {
            if let Err(error) = self.sweep_tenant(keep, amend).await {
                tracing::warn!(%error, tenant = %keep.tenant, "old recordings could not be gone through; tomorrow again");
            }
        }
    }

    async fn sweep_tenant(&self, keep: &Keep, amend: &impl Amend) -> Result<(), StoreError> {
        let until = retention::cutoff(keep, now().wall);
        let last = self.store.position(keep.tenant.clone(), SWEEP.into()).await?;
        let mut from = (Reached::next(last.as_deref(), keep), None);
        // In the order of time: the first is the earliest.
        let mut stuck: Option<Wall> = None;
        let (mut removed, mut expired) = (0, 0);
        loop {
            let rows = self.store.ended_after(keep.tenant.clone(), from, until, STEP).await?;
            let Some(last) = rows.last() else { break };
            from = (last.ended_at.unwrap_or(until), Some(last.call));
            for row in &rows {
                let Some((switch, due)) = retention::due(row, keep.remove) else { continue };
                let states = self.let_go(&switch, &due, keep.remove, until).await;
                let all = states.len() == due.len();
                let amended = retention::amended(row, &states);
                let news = amended.is_some();
                let written = match amended {
                    Some(amended) => amend.amend(amended).await,
                    None => true,
                };
                if news && written {
                    let count = |state| states.iter().filter(|(_, s)| *s == state).count() as u64;
                    removed += count(RecordingState::Removed);
                    expired += count(RecordingState::Expired);
                }
                if !all || !written {
                    stuck = stuck.or(row.ended_at);
                    self.figures.stuck.fetch_add(1, Ordering::Relaxed);
                }
            }
            tokio::time::sleep(REST).await;
        }
        self.figures.removed.fetch_add(removed, Ordering::Relaxed);
        self.figures.expired.fetch_add(expired, Ordering::Relaxed);
        if removed + expired > 0 || stuck.is_some() {
            tracing::info!(tenant = %keep.tenant, removed, expired, left = stuck.is_some(), "old recordings were gone through");
        }
        // Where something was left, the next sweep begins there.
        let until = stuck.map_or(until, |at| at.plus_ms(-1));
        let body = serde_json::to_string(&Reached { until, removed: keep.remove }).unwrap_or_default();
        let position = PositionRow { tenant: keep.tenant.clone(), switch: SWEEP.into(), body };
        self.store.submit(Batch { positions: vec![position], ..Batch::default() }).await
    }

    /// What became of each recording of a call that is too old. One that is not in the answer could not be removed now.
    async fn let_go(&self, switch: &SwitchId, due: &[Due], remove: bool, before: Wall) -> Vec<(usize, RecordingState)> {
        let mut states = Vec::with_capacity(due.len());
        for due in due {
            let place = self.sources.get(switch).filter(|_| remove);
            let target = place.and_then(|(source, prefix)| match source {
                Source::Folder(folder) => Some((folder.clone(), folder::steps(due.name.expose(), prefix.as_deref())?)),
                Source::Http(_) => None,
            });
            let Some((folder, steps)) = target else {
                states.push((due.at, RecordingState::Expired));
                continue;
            };
            let gone = tokio::task::spawn_blocking(move || folder::live::remove(&folder, steps.expose(), before)).await;
            match gone {
                Ok(Ok(Removal::Removed | Removal::Missing)) => states.push((due.at, RecordingState::Removed)),
                // Not a file of this call alone, or none at all: it is left, and not served.
                Ok(Ok(Removal::Younger | Removal::NotAFile)) => states.push((due.at, RecordingState::Expired)),
                Ok(Err(error)) => {
                    tracing::warn!(%switch, kind = %error.kind(), "an old recording cannot be removed; tomorrow again");
                }
                Err(_) => {}
            }
        }
        states
    }
}
