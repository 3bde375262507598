//! The connectors in use: which systems there are now, and the one door through which they are asked.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    files::Problem,
    live::now,
    private::Secret,
    words::{Mono, SystemId},
};
use arc_swap::ArcSwap;
use dashmap::DashMap;
use futures_util::future::BoxFuture;

use super::{
    Ask, Given, Idempotency, Outcome, Priority, Saw, Seen, Set, Standing, System,
    beside::{
        self, Beside, Facts, Kind, Lane,
        compare::Comparison,
        guard::Side,
        live::{Canary, Shown, Trial},
    },
    compile,
    evidence::Ring,
    figures::Figures,
    file,
    index::{self, live::Shelf},
    kept::live::{Folder, Hand},
    limits::{
        breaker::Ended,
        gate::{Pass, Why},
        live::{Limiter, Permit, Turn},
    },
    line::Line,
    oauth2::REFRESH,
    operation,
    run::{Next, Request, Response, Run, Trouble},
    session::{For, Keeper, Login, Session, Step, Way},
    set::SessionAuth,
    sign::{EXAMPLE_SECRET, Stamp},
    sign_in::Asked,
    trail::{Happened, Trail},
    version,
};

/// "Nobody" and "you may not" are believed without asking who we are if the system said so within this time.
const CHECKED_MS: u64 = 60_000;
/// More questions than this are not asked of shadows at a time: what waits behind a slow one is worth nothing.
const SHADOWS: usize = 32;
/// Nobody waits for a shadow.
const SHADOW_DEADLINE: Duration = Duration::from_secs(10);

/// All systems. Clones share one set; [`Connectors::swap`] puts a new one in for all of them, while requests under way
/// finish by the old. Lives on the back runtime.
#[derive(Clone, Default)]
pub struct Connectors {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Where refresh tokens are kept.
    kept: Arc<OnceLock<Folder>>,
    ready: ArcSwap<BTreeMap<SystemId, Arc<Ready>>>,
    counts: DashMap<(SystemId, &'static str, &'static str), AtomicU64>,
    /// The indexes of numbers; they outlive a reload.
    shelves: DashMap<SystemId, Arc<Shelf>>,
    /// Limits and breakers; they too.
    limiters: DashMap<SystemId, Arc<Limiter>>,
    /// What is seen of systems; it too.
    watched: DashMap<SystemId, Arc<Watched>>,
    /// Canaries and shadows, apart: without any nobody looks further.
    beside: ArcSwap<Vec<Arc<Ready>>>,
    /// Canaries by the hash of their files; they too.
    trials: DashMap<(SystemId, String), Arc<Trial>>,
    /// What was compared of shadows, and whether that is news; it too.
    comparisons: DashMap<SystemId, (Comparison, bool)>,
    /// Questions to shadows that are on their way.
    shadowing: AtomicUsize,
}

/// One system with its connections.
struct Ready {
    system: Arc<System>,
    line: Result<Line, String>,
    limiter: Arc<Limiter>,
    /// That of the file beside which this one is, where both ask one host: its quota counts all requests.
    account: Option<Arc<Limiter>>,
    /// Canaries that this file's questions judge: as one, or as the other.
    trials: Vec<(Arc<Trial>, Side)>,
    /// The sign-in, and what requests need that change something.
    doors: [Arc<Door>; 2],
    kept: Arc<OnceLock<Folder>>,
    watched: Arc<Watched>,
    /// Monotonic microseconds: when it last said who we are.
    checked_at: AtomicU64,
}

/// Where one system's session is kept. A login holds `one`, so that there is one at a time, and is a task of its own: an ask whose time is
/// up goes, and the login it began still serves those that come after.
struct Door {
    /// Of how we log in, so that a reload which changes nothing of it keeps the session.
    fingerprint: Option<[u8; 32]>,
    one: Arc<tokio::sync::Mutex<()>>,
    keeper: Mutex<Keeper>,
    hand: Hand,
}

impl Door {
    fn new(system: &System, what: For) -> Self {
        let fingerprint = system.session(what).map(|auth| auth.fingerprint);
        let keeper = Mutex::new(Keeper::new(system.id.as_str()));
        Self { fingerprint, one: Arc::default(), keeper, hand: Hand::default() }
    }

    fn keeper(&self) -> MutexGuard<'_, Keeper> {
        // Nobody panics while holding it, and if so: what it says is still true.
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is seen of one system. Nobody panics while holding any of it, and if so: what it says is still true.
#[derive(Default)]
struct Watched {
    figures: Mutex<Figures>,
    ring: Mutex<Ring>,
    versions: Mutex<version::Seen>,
}

impl Watched {
    fn figures(&self) -> MutexGuard<'_, Figures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn versions(&self) -> MutexGuard<'_, version::Seen> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who is told what happens on the way.
#[derive(Clone, Copy, Default)]
struct Onlookers<'a> {
    seen: Option<&'a Seen>,
    trail: Option<&'a Trail>,
}

impl Onlookers<'_> {
    fn saw(self, saws: impl IntoIterator<Item = Saw>) {
        if let Some(seen) = self.seen {
            seen.lock().unwrap_or_else(PoisonError::into_inner).extend(saws);
        }
    }

    fn tell(self, happened: impl FnOnce() -> Happened) {
        if let Some(trail) = self.trail {
            trail.tell(happened());
        }
    }
}

/// One question on its way through the limits.
struct Asking<'a> {
    name: &'static str,
    priority: Priority,
    deadline: Instant,
    onlookers: Onlookers<'a>,
    /// Requests sent, and how long they took; waiting for leave does not count.
    sent: u32,
    took: Duration,
    /// Our own limits ended it.
    held: bool,
}

impl Asking<'_> {
    fn ended(&self, outcome: &Outcome) -> Ended {
        let took_ms = ms(self.took);
        match outcome {
            Outcome::Busy { .. } | Outcome::Broken { .. } | Outcome::Unknown { .. } if self.held => Ended::Unasked,
            // Without a request sent it was the login that failed.
            Outcome::Busy { .. } => Ended::Failed,
            _ if self.sent == 0 => Ended::Unasked,
            Outcome::Broken { .. } | Outcome::Unknown { .. } => Ended::Failed,
            _ => Ended::Answered { took_ms, somebody_waits: self.priority == Priority::Pop },
        }
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What a card needs to know of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    pub title: Option<String>,
    pub deadline_ms: u64,
    pub cache: file::Cache,
    /// Shared keys by which it takes another system's customer, best first.
    pub by: Vec<String>,
}

/// Compiles a file with its own values and fetches its secrets.
///
/// # Errors
/// Every problem of the file, unreadable secrets among them; never empty.
pub fn load(file_name: &str, text: &str) -> Result<System, Vec<Problem>> {
    load_with(file_name, text, &BTreeMap::new())
}

/// The same with a site's values for text and choice variables.
///
/// # Errors
/// As [`load`]; a value for a variable that is not there, too.
pub fn load_with(file_name: &str, text: &str, values: &BTreeMap<String, String>) -> Result<System, Vec<Problem>> {
    let secret = |place: &crate::files::SecretRef| -> Result<Secret, String> { place.resolve() };
    let system = compile(file_name, text, &Given { values, secret: &secret, stamp })?;
    match Line::new(&system) {
        Ok(_) => Ok(system),
        Err(found) => Err(vec![Problem {
            file: file_name.to_owned(),
            line: 0,
            column: 0,
            key: String::new(),
            found,
            wanted: "an address and certificates that can be used".to_owned(),
            ..Problem::default()
        }]),
    }
}

/// Compiles a file for its examples: every secret is `(secret)`, nothing is fetched.
///
/// # Errors
/// Every problem of the file; never empty.
pub fn load_offline(file_name: &str, text: &str) -> Result<System, Vec<Problem>> {
    let secret = |_: &crate::files::SecretRef| Ok(Secret::new(EXAMPLE_SECRET.to_owned()));
    compile(file_name, text, &Given { values: &BTreeMap::new(), secret: &secret, stamp: Stamp::example })
}

fn stamp() -> Stamp {
    Stamp { ms: crate::live::now().wall.0, nonce: rand::random() }
}

impl Connectors {
    #[must_use]
    pub fn new(set: Set) -> Self {
        let this = Self::default();
        this.swap(set);
        this
    }

    /// The same for a site whose refresh tokens are kept in `tokens`. Without such a folder one that changes is good until the process ends.
    #[must_use]
    pub fn keeping(set: Set, tokens: PathBuf) -> Self {
        let this = Self::default();
        this.inner.kept.get_or_init(|| Folder(tokens));
        this.swap(set);
        this
    }

    /// Puts a new set in place of the old, whole. A system whose file did not change keeps its connections.
    pub fn swap(&self, set: Set) {
        let old = self.inner.ready.load_full();
        let trials: Vec<(SystemId, SystemId, Arc<Trial>)> =
            set.beside().filter_map(|system| self.trial(system)).collect();
        let ready = set.iter().chain(set.beside()).map(|system| {
            let kept = old.get(&system.id).filter(|r| r.system.hash == system.hash && r.system.at == system.at);
            let doors = [For::All, For::Changes].map(|what| {
                let door = Arc::new(Door::new(system, what));
                let before = kept.map(|kept| kept.door(what));
                match before.filter(|before| before.fingerprint == door.fingerprint) {
                    Some(before) => {
                        before.keeper().reloaded();
                        before.clone()
                    }
                    None => door,
                }
            });
            let watched = self.inner.watched.entry(system.id.clone()).or_default().clone();
            if old.get(&system.id).is_some_and(|old| old.system.hash != system.hash) {
                watched.versions().reloaded();
            }
            let ready = Ready {
                line: match kept {
                    // The secret is in the system, not in the connections: a new key is used at once.
                    Some(kept) => kept.line.clone(),
                    None => Line::new(system),
                },
                system: system.clone(),
                limiter: self.limiter(system),
                account: system.beside.as_ref().and_then(|beside| {
                    let other = set.system(&beside.of).filter(|other| other.at.host() == system.at.host());
                    other.map(|other| self.limiter(other))
                }),
                trials: trials
                    .iter()
                    .filter_map(|(id, of, trial)| match () {
                        () if *id == system.id => Some((trial.clone(), Side::Canary)),
                        () if *of == system.id => Some((trial.clone(), Side::Other)),
                        () => None,
                    })
                    .collect(),
                doors,
                kept: self.inner.kept.clone(),
                watched,
                checked_at: AtomicU64::new(0),
            };
            (system.id.clone(), Arc::new(ready))
        });
        let ready: BTreeMap<SystemId, Arc<Ready>> = ready.collect();
        let beside = ready.values().filter(|ready| ready.system.beside.is_some()).cloned().collect();
        for shadow in set.beside().filter(|system| system.is_shadow()) {
            let mut kept = self.inner.comparisons.entry(shadow.id.clone()).or_default();
            if kept.0.hash != shadow.hash {
                *kept = (Comparison { hash: shadow.hash.clone(), ..Comparison::default() }, true);
            }
        }
        self.inner.trials.retain(|(id, hash), _| set.file(id).is_some_and(|system| system.hash == *hash));
        self.inner.comparisons.retain(|id, _| set.file(id).is_some_and(|system| system.is_shadow()));
        self.inner.ready.store(Arc::new(ready));
        self.inner.beside.store(Arc::new(beside));
    }

    fn trial(&self, system: &System) -> Option<(SystemId, SystemId, Arc<Trial>)> {
        let beside = system.beside.as_ref().filter(|beside| beside.kind == Kind::Canary)?;
        let fresh = || Arc::new(Trial::new(beside.guard, beside.of.clone()));
        let trial = self.inner.trials.entry((system.id.clone(), system.hash.clone())).or_insert_with(fresh).clone();
        Some((system.id.clone(), beside.of.clone(), trial))
    }

    /// By which files a call's questions are asked. `before`: what it had so far.
    #[must_use]
    pub fn lane(&self, facts: &dyn Fn() -> Facts, before: &Lane) -> Lane {
        let beside = self.inner.beside.load();
        if beside.is_empty() {
            return before.clone();
        }
        let on = beside.iter().filter(|ready| !ready.is_stopped());
        let files = on.filter_map(|ready| Some((&ready.system.id, ready.system.beside.as_ref()?)));
        Lane::of(files, &facts(), before)
    }

    /// Whether a call's lane may change with its queue, trunk or agents.
    #[must_use]
    pub fn wants_facts(&self) -> bool {
        let beside = self.inner.beside.load();
        !beside.is_empty() && beside::wants_facts(beside.iter().filter_map(|ready| ready.system.beside.as_ref()))
    }

    /// Whether this file may be asked; of a canary that is stopped, not for anything new.
    #[must_use]
    pub fn goes(&self, system: &SystemId, operation: &str) -> bool {
        let ready = self.inner.ready.load();
        ready.get(system).is_some_and(|ready| !ready.is_stopped() && ready.system.operation(operation).is_some())
    }

    /// Asks a shadow what was answered by the other, and keeps how they differ. Nobody waits for it.
    pub fn shadow(&self, ask: Ask, answered: Outcome) {
        let inner = &self.inner;
        let Some(ready) = inner.ready.load().get(&ask.system).cloned() else { return };
        let offers = ready.system.operation(&ask.operation).is_some_and(|operation| !operation.spec.writes);
        if !offers || !ready.system.is_shadow() {
            return;
        }
        if inner.shadowing.fetch_add(1, Ordering::Relaxed) >= SHADOWS {
            inner.shadowing.fetch_sub(1, Ordering::Relaxed);
            if let Some(mut kept) = inner.comparisons.get_mut(&ask.system) {
                (kept.0.passed_over, kept.1) = (kept.0.passed_over + 1, true);
            }
            return;
        }
        let this = self.clone();
        tokio::spawn(async move {
            let (system, operation) = (ask.system.clone(), ask.operation.clone());
            let ask = Ask { priority: Priority::Background, deadline: SHADOW_DEADLINE, ..ask };
            let outcome = this.run(ask).await;
            this.inner.shadowing.fetch_sub(1, Ordering::Relaxed);
            if let Some(mut kept) = this.inner.comparisons.get_mut(&system) {
                kept.0.add(&operation, &answered, &outcome, now().wall);
                kept.1 = true;
            }
        });
    }

    /// Canaries in use, stopped ones too.
    #[must_use]
    pub fn canaries(&self) -> Vec<Canary> {
        let beside = self.inner.beside.load();
        let canaries = beside.iter().filter_map(|ready| {
            let (trial, _) = ready.trials.iter().find(|(_, side)| *side == Side::Canary)?;
            let of = ready.system.beside.as_ref()?.of.clone();
            Some(Canary { id: ready.system.id.clone(), of, hash: ready.system.hash.clone(), trial: trial.clone() })
        });
        canaries.collect()
    }

    /// Shadows in use, with the hashes of their files.
    #[must_use]
    pub fn shadows(&self) -> Vec<(SystemId, String)> {
        let beside = self.inner.beside.load();
        let shadows = beside.iter().filter(|ready| ready.system.is_shadow());
        shadows.map(|ready| (ready.system.id.clone(), ready.system.hash.clone())).collect()
    }

    /// What an earlier run compared.
    pub fn compared(&self, shadow: &SystemId, kept: Comparison) {
        self.inner.comparisons.insert(shadow.clone(), (kept, false));
    }

    /// What was compared since the last time somebody asked.
    #[must_use]
    pub fn new_comparisons(&self) -> Vec<(SystemId, Comparison)> {
        let news = self.inner.comparisons.iter_mut().filter_map(|mut kept| {
            let (id, news) = (kept.key().clone(), std::mem::take(&mut kept.1));
            news.then(|| (id, kept.0.clone()))
        });
        news.collect()
    }

    fn limiter(&self, system: &System) -> Arc<Limiter> {
        let fresh = || Arc::new(Limiter::new(system.id.clone(), &system.limits));
        let limiter = self.inner.limiters.entry(system.id.clone()).or_insert_with(fresh).clone();
        limiter.refit(&system.limits);
        limiter
    }

    /// How each system stands: its breakers and how much of its limits is used.
    #[must_use]
    pub fn standing(&self) -> Vec<Standing> {
        let ready = self.inner.ready.load();
        let at = now().mono;
        let standing = ready.iter().map(|(system, ready)| {
            let (figures, apart_ms) = {
                let mut figures = ready.watched.figures();
                (figures.now(at), figures.apart_ms(at))
            };
            let (breakers, used) = (ready.limiter.standing(), ready.limiter.used());
            let version = ready.watched.versions().shown(&ready.system.version, at);
            let beside = ready.system.beside.as_ref().map(|beside| self.shown(ready, beside, at));
            let certificate_ends = ready.line.as_ref().ok().and_then(Line::certificate_ends);
            Standing { system: system.clone(), breakers, used, figures, apart_ms, version, certificate_ends, beside }
        });
        standing.collect()
    }

    fn shown(&self, ready: &Ready, beside: &Beside, at: Mono) -> Shown {
        let trial = ready.trials.iter().find(|(_, side)| *side == Side::Canary).map(|(trial, _)| trial);
        Shown {
            kind: beside.kind,
            of: beside.of.clone(),
            calls: beside.calls(),
            stopped: trial.and_then(|trial| trial.stopped()).map(|(stopped, _)| stopped),
            asked: trial.map(|trial| trial.asked(at)),
            differing: self.inner.comparisons.get(&ready.system.id).map(|kept| kept.0.differing()),
        }
    }

    /// A system's failing requests as lines of JSON, if there are new ones since the last time.
    #[must_use]
    pub fn evidence(&self, system: &SystemId) -> Option<String> {
        self.inner.watched.get(system)?.ring().lines()
    }

    /// What an earlier run kept of them.
    pub fn remember(&self, system: &SystemId, ring: Ring) {
        if let Some(watched) = self.inner.watched.get(system) {
            *watched.ring() = ring;
        }
    }

    /// Systems that say which version they are and are to be asked for it now.
    #[must_use]
    pub fn unprobed(&self) -> Vec<SystemId> {
        let (ready, at) = (self.inner.ready.load(), now().mono);
        let due = ready.values().filter(|ready| ready.system.operation("version").is_some());
        due.filter(|ready| ready.watched.versions().due(at)).map(|ready| ready.system.id.clone()).collect()
    }

    /// What came of asking one of them.
    pub fn probed(&self, system: &SystemId, outcome: &Outcome) {
        if let Some(ready) = self.inner.ready.load().get(system) {
            let at = now();
            ready.watched.versions().probed(outcome, at.mono, at.wall);
        }
    }

    #[must_use]
    pub fn offers(&self, system: &SystemId, operation: &str) -> bool {
        self.inner.ready.load().get(system).is_some_and(|r| r.system.operation(operation).is_some())
    }

    /// In the order of their ids; none of those beside another.
    #[must_use]
    pub fn systems(&self) -> Vec<SystemId> {
        let ready = self.inner.ready.load();
        ready.values().filter(|ready| ready.system.beside.is_none()).map(|ready| ready.system.id.clone()).collect()
    }

    /// Canaries and shadows of this system.
    #[must_use]
    pub fn beside(&self, system: &SystemId) -> Vec<SystemId> {
        let beside = self.inner.beside.load();
        let of = beside.iter().filter(|ready| ready.system.beside.as_ref().is_some_and(|beside| beside.of == *system));
        of.map(|ready| ready.system.id.clone()).collect()
    }

    /// All files in use, also those beside another.
    #[must_use]
    pub fn files(&self) -> Vec<SystemId> {
        self.inner.ready.load().keys().cloned().collect()
    }

    /// What agents see as the system's name.
    #[must_use]
    pub fn title(&self, system: &SystemId) -> Option<String> {
        self.inner.ready.load().get(system)?.system.title.clone()
    }

    /// Title, deadline and cache times of an operation; `None` if it is not offered.
    #[must_use]
    pub fn shape(&self, system: &SystemId, operation: &str) -> Option<Shape> {
        let ready = self.inner.ready.load();
        let operation = ready.get(system)?.system.operation(operation)?;
        let (title, by) = (operation.title.clone(), operation.by.clone());
        Some(Shape { title, deadline_ms: operation.deadline_ms, cache: operation.cache, by })
    }

    /// The shared keys that a system's customers carry, each with the field that holds it.
    #[must_use]
    pub fn keys(&self, system: &SystemId) -> Arc<[(Arc<str>, String)]> {
        self.inner.ready.load().get(system).map_or_else(|| Arc::from([]), |ready| ready.system.keys.clone())
    }

    /// [`Idempotency::None`] also for what is not offered.
    #[must_use]
    pub fn idempotency(&self, system: &SystemId, operation: &str) -> Idempotency {
        let ready = self.inner.ready.load();
        let operation = ready.get(system).and_then(|r| r.system.operation(operation));
        operation.map_or(Idempotency::None, |o| o.idempotency.clone())
    }

    /// SHA-256 of the file's text, in hex: what an effect was made from.
    #[must_use]
    pub fn file_hash(&self, system: &SystemId) -> Option<String> {
        self.inner.ready.load().get(system).map(|r| r.system.hash.clone())
    }

    /// How many asks ended how: system, operation, [`Outcome::word`], count since the start.
    #[must_use]
    pub fn counts(&self) -> Vec<(SystemId, &'static str, &'static str, u64)> {
        let counts = self.inner.counts.iter();
        counts.map(|e| (e.key().0.clone(), e.key().1, e.key().2, e.value().load(Ordering::Relaxed))).collect()
    }

    /// Runs one operation to its end, never longer than the ask's deadline or the file's. A write with a lookup looks first, so
    /// after [`Outcome::Unknown`] it may be run again; without lookup or key it must not be.
    pub async fn run(&self, ask: Ask) -> Outcome {
        self.run_seen(ask, None).await
    }

    /// The same, and what was seen on the way goes into `seen`.
    pub async fn run_seen(&self, ask: Ask, seen: Option<&Seen>) -> Outcome {
        self.run_before(ask, Onlookers { seen, trail: None }).await
    }

    /// The same, and everything that happens is told to `trail`; without its leave nothing is sent that changes something.
    pub async fn try_out(&self, ask: Ask, trail: &Trail) -> Outcome {
        if let Some(ready) = self.inner.ready.load().get(&ask.system) {
            trail.knows(ready.system.secrets.iter());
        }
        self.run_before(ask, Onlookers { seen: None, trail: Some(trail) }).await
    }

    async fn run_before(&self, ask: Ask, onlookers: Onlookers<'_>) -> Outcome {
        let Some(ready) = self.inner.ready.load().get(&ask.system).cloned() else {
            return Outcome::Invalid { reason: format!("there is no system {}", ask.system) };
        };
        let Some(operation) = ready.system.operation(&ask.operation) else {
            return Outcome::Invalid { reason: format!("{} does not offer {}", ask.system, ask.operation) };
        };
        let name = operation.spec.name;
        if operation.spec.writes && ready.system.is_shadow() {
            return Outcome::Invalid { reason: format!("{} is a shadow, and a shadow never writes", ask.system) };
        }
        let begun = Instant::now();
        let deadline = begun + ask.deadline.min(Duration::from_millis(operation.deadline_ms));
        let outcome = match self.by_index(&ready, &ask, name, deadline, onlookers).await {
            Some(outcome) => outcome,
            None => ready.run(&ask, name, deadline, onlookers).await,
        };
        if outcome.reason().is_some() {
            tracing::debug!(system = %ask.system, operation = name, outcome = outcome.word(), reason = outcome.reason(), "a business system did not do it");
        }
        let (took_ms, at) = (ms(begun.elapsed()), now().mono);
        ready.watched.figures().ended(name, outcome.word(), took_ms, at);
        for (trial, side) in &ready.trials {
            trial.saw(*side, name, &outcome, took_ms, at);
        }
        self.count(ask.system, name, &outcome);
        outcome
    }

    fn count(&self, system: SystemId, name: &'static str, outcome: &Outcome) {
        self.inner.counts.entry((system, name, outcome.word())).or_default().fetch_add(1, Ordering::Relaxed);
    }

    /// The system, if its file takes webhooks.
    #[must_use]
    pub fn hooked(&self, system: &SystemId) -> Option<Arc<System>> {
        let system = self.inner.ready.load().get(system)?.system.clone();
        (system.hooks.is_some() && system.beside.is_none()).then_some(system)
    }

    pub(super) fn shelves(&self) -> &DashMap<SystemId, Arc<Shelf>> {
        &self.inner.shelves
    }

    pub(super) fn all(&self) -> Vec<Arc<System>> {
        self.inner.ready.load().values().map(|ready| ready.system.clone()).collect()
    }

    /// `customer.by_phone` through the index of numbers; `None` where the system's own search decides.
    async fn by_index(
        &self,
        ready: &Arc<Ready>,
        ask: &Ask,
        name: &'static str,
        deadline: Instant,
        onlookers: Onlookers<'_>,
    ) -> Option<Outcome> {
        let settings = ready.system.index.filter(|_| name == "customer.by_phone")?;
        let index = self.inner.shelves.get(&ask.system)?.index()?;
        let asked = index::line(&ready.system.numbers.read(ask.inputs.get("number")?.as_str()?))?;
        let hits = index.find(&asked);
        let at = now().wall;
        onlookers.saw([Saw::Indexed { customers: hits.len(), age_ms: at.since(index.known_at()) }]);
        let search = match index::way(hits.len(), settings.search, index::current(&index, &settings, at)) {
            index::Way::Search => return None,
            index::Way::Nobody => return Some(Outcome::Empty),
            index::Way::ById { search } => search,
        };
        let gets = hits.into_iter().map(|hit| {
            let customer = serde_json::json!({"id": hit.id, "type": hit.kind});
            let inputs = serde_json::Map::from_iter([("customer".to_owned(), customer)]);
            let ask = Ask { operation: "customer.get".to_owned(), inputs, ..ask.clone() };
            async move { ready.run(&ask, "customer.get", deadline, onlookers).await }
        });
        let searched = async {
            match search {
                true => Some(ready.run(ask, name, deadline, onlookers).await),
                false => None,
            }
        };
        let (answers, searched) = futures_util::future::join(futures_util::future::join_all(gets), searched).await;
        for answer in &answers {
            self.count(ask.system.clone(), "customer.get", answer);
        }
        let (mut found, saws) = index::still_have(&ready.system, &asked, answers)?;
        onlookers.saw(saws);
        match searched {
            Some(Outcome::Ok(serde_json::Value::Array(more))) => index::join(&mut found, more),
            Some(Outcome::Empty | Outcome::NotFound) | None => {}
            // The search's word is not known, so neither is whether there are more.
            Some(trouble) => return Some(trouble),
        }
        // Nobody is left: the number may be somebody else's by now, and the search decides.
        let found: Vec<_> = found.into_iter().map(serde_json::Value::Object).collect();
        (!found.is_empty()).then_some(Outcome::Ok(found.into()))
    }
}

impl Ready {
    fn is_stopped(&self) -> bool {
        self.trials.iter().any(|(trial, side)| *side == Side::Canary && trial.is_stopped())
    }

    async fn run(
        self: &Arc<Self>,
        ask: &Ask,
        name: &'static str,
        deadline: Instant,
        onlookers: Onlookers<'_>,
    ) -> Outcome {
        let at = now().mono.0;
        let turn = match self.limiter.knock(name) {
            Ok(turn) => turn,
            Err(outcome) => return outcome,
        };
        let turn = if turn.probe && name != "check" && self.system.operation("check").is_some() {
            // "Who am I?" is cheaper to ask of a system that may still be in trouble.
            let outcome =
                self.ask(turn, "check", &Default::default(), ask.priority, deadline, Onlookers::default()).await;
            match (self.limiter.knock(name), outcome) {
                (Ok(turn), _) => turn,
                (Err(outcome), _) => return outcome,
            }
        } else {
            turn
        };
        let outcome = self.ask(turn, name, &ask.inputs, ask.priority, deadline, onlookers).await;
        match outcome {
            // A system may serve a wrong key as a stranger who sees nothing: before "nobody" is believed, it says who we are.
            Outcome::Empty | Outcome::NotFound | Outcome::Denied { .. } if name != "check" && !self.known(at) => {
                match self.check(ask.priority, deadline, onlookers).await {
                    // Empty by a rule of the file: it knows us and has nothing yet.
                    Some(Outcome::Ok(_) | Outcome::Empty) | None => outcome,
                    // Not even the address where it says who we are is there: that is no word about a customer.
                    Some(Outcome::NotFound) => {
                        Outcome::Broken { reason: format!("{} says neither this nor who we are", self.system.id) }
                    }
                    Some(other) => other,
                }
            }
            outcome => outcome,
        }
    }

    /// Did the system say lately who we are?
    fn known(&self, at: u64) -> bool {
        let checked = self.checked_at.load(Ordering::Relaxed);
        checked > 0 && Mono(at).since_ms(Mono(checked)) < CHECKED_MS
    }

    async fn check(
        self: &Arc<Self>,
        priority: Priority,
        deadline: Instant,
        onlookers: Onlookers<'_>,
    ) -> Option<Outcome> {
        self.system.operation("check")?;
        onlookers.tell(|| Happened::ChecksWhoWeAre);
        let turn = match self.limiter.knock("check") {
            Ok(turn) => turn,
            Err(outcome) => return Some(outcome),
        };
        let trail = Onlookers { seen: None, ..onlookers };
        Some(self.ask(turn, "check", &Default::default(), priority, deadline, trail).await)
    }

    /// One operation that the breaker let through.
    async fn ask(
        self: &Arc<Self>,
        turn: Turn,
        name: &'static str,
        inputs: &serde_json::Map<String, serde_json::Value>,
        priority: Priority,
        deadline: Instant,
        onlookers: Onlookers<'_>,
    ) -> Outcome {
        let took = Duration::ZERO;
        let mut asking = Asking { name, priority, deadline, onlookers, sent: 0, took, held: false };
        let outcome = self.exchange(inputs, &mut asking).await;
        turn.ended(asking.ended(&outcome));
        if name == "check" && matches!(outcome, Outcome::Ok(_)) {
            self.checked_at.store(now().mono.0.max(1), Ordering::Relaxed);
        }
        outcome
    }

    async fn exchange(
        self: &Arc<Self>,
        inputs: &serde_json::Map<String, serde_json::Value>,
        asking: &mut Asking<'_>,
    ) -> Outcome {
        let line = match &self.line {
            Ok(line) => line,
            Err(reason) => return Outcome::Broken { reason: format!("{}: {reason}", self.system.id) },
        };
        let trail = asking.onlookers.trail;
        let mut run = match Run::new(&self.system, asking.name, inputs) {
            Ok(run) => run.telling(trail),
            Err(outcome) => return outcome,
        };
        let safe = self.system.operation(asking.name).is_some_and(|o| o.idempotency != Idempotency::None);
        let mut retries = 0;
        loop {
            match run.next() {
                Next::Done(outcome) => {
                    let safe = safe && !asking.held && run.may_go_on();
                    if let Some(pause) = self.limiter.again(&outcome, retries, safe, asking.deadline) {
                        retries += 1;
                        asking.onlookers.tell(|| Happened::AsksAgain { pause_ms: ms(pause) });
                        tokio::time::sleep(pause).await;
                        run.goes_on();
                        continue;
                    }
                    asking.onlookers.saw(run.seen());
                    return outcome;
                }
                Next::LogIn { what, over } => {
                    let session = self.session(what, over, asking.deadline, trail).await;
                    run.logged_in(what, session);
                }
                Next::Send(_) if run.changes() && trail.is_some_and(|trail| !trail.writes) => {
                    asking.onlookers.tell(|| Happened::NotSent);
                    return Outcome::Invalid { reason: "it was not sent: it would change something".to_owned() };
                }
                Next::Send(requests) => {
                    // What has begun to write is not left half done because somebody else came: it goes with the phones.
                    let priority = if run.wrote() { Priority::Pop } else { asking.priority };
                    let sent = requests.into_iter().map(|request| self.send(line, request, asking, priority));
                    let begun = Instant::now();
                    let answers = futures_util::future::join_all(sent).await;
                    let (mut passes, mut results, mut waited) = (Vec::new(), Vec::new(), Duration::ZERO);
                    let mut times = Vec::new();
                    if let Some(trail) = trail {
                        trail.took(answers.iter().map(|(_, _, left, took)| (ms(*took), ms(*left))).collect());
                    }
                    for (pass, result, left, took) in answers {
                        times.push(took);
                        asking.sent += u32::from(pass[0].is_some());
                        asking.held |= matches!(result, Err(Trouble::Held(_)));
                        waited = waited.max(left);
                        if let Ok(response) = &result {
                            self.watched.versions().answer(
                                asking.name,
                                &self.system.version,
                                &response.headers,
                                now().mono,
                            );
                        }
                        passes.push(pass);
                        results.push(result);
                    }
                    asking.took += begun.elapsed().saturating_sub(waited);
                    run.answers(results);
                    for (at, told) in run.told() {
                        let limiters = [Some(&self.limiter), self.account.as_ref()];
                        for (limiter, pass) in limiters.into_iter().zip(passes.get(at).into_iter().flatten()) {
                            if let (Some(limiter), Some(pass)) = (limiter, pass) {
                                limiter.told(*pass, &told);
                            }
                        }
                        if let Some(date) = told.date {
                            let at = now();
                            self.watched.figures().clock(date, at.wall, at.mono);
                        }
                    }
                    for (at, failing) in run.failed() {
                        let took = times.get(at).copied().map_or(0, ms);
                        self.watched.ring().add(failing.masked(now().wall, asking.name, took, inputs));
                    }
                }
            }
        }
    }

    /// One request, when it may go; with it how long it waited for that, and how long the system took.
    async fn send(
        &self,
        line: &Line,
        request: Request,
        asking: &Asking<'_>,
        priority: Priority,
    ) -> ([Option<Pass>; 2], Result<Response, Trouble>, Duration, Duration) {
        let begun = Instant::now();
        let permits = async {
            let own = self.limiter.pass(asking.name, priority, asking.deadline).await?;
            let account = match &self.account {
                Some(account) => Some(account.pass(asking.name, priority, asking.deadline).await?),
                None => None,
            };
            Ok((own, account))
        };
        let permits = permits.await;
        let waited = begun.elapsed();
        match permits {
            Ok((own, account)) => {
                let answer = line.send(request, asking.deadline).await;
                let passes = [own.pass(), account.as_ref().and_then(Permit::pass)];
                (passes, answer, waited, begun.elapsed().saturating_sub(waited))
            }
            Err(why) => ([None, None], Err(Trouble::Held(self.held(why))), waited, Duration::ZERO),
        }
    }

    fn held(&self, why: Why) -> Outcome {
        match why {
            Why::Enough { wait_ms } => Outcome::RateLimited { wait_ms: Some(wait_ms) },
            Why::Full => Outcome::Busy { reason: format!("no place was free in time to ask {}", self.system.id) },
        }
    }

    fn door(&self, what: For) -> &Arc<Door> {
        let [all, changes] = &self.doors;
        match what {
            For::All => all,
            For::Changes => changes,
        }
    }

    /// The session there is, or the one that a login gives now. Boxed, for what a login needs may itself be asked for here.
    fn session(
        self: &Arc<Self>,
        what: For,
        over: Option<u64>,
        deadline: Instant,
        trail: Option<&Trail>,
    ) -> BoxFuture<'_, Result<Arc<Session>, Outcome>> {
        let trail = trail.cloned();
        Box::pin(async move {
            let door = self.door(what);
            let (way, waited) = {
                let keeper = door.keeper();
                (keeper.ask(over, keeper.ended(), now().mono), keeper.ended())
            };
            match way {
                Way::Use(session) => {
                    if let Some(trail) = &trail {
                        trail.tell(Happened::SessionIsOpen { of: what.into() });
                    }
                    return Ok(session);
                }
                Way::No(outcome) => {
                    let refresh = self.system.session(what).is_some_and(|auth| auth.refresh.is_some());
                    if !refresh || !door.hand.anew(self.kept.get(), &self.system.id).await {
                        if let Some(trail) = &trail {
                            trail.not_logged_in(what, &outcome);
                        }
                        return Err(outcome);
                    }
                    door.keeper().anew();
                }
                Way::LogIn { .. } => {}
            }
            let ready = self.clone();
            let login = tokio::spawn(async move {
                let door = ready.door(what);
                let _one = door.one.lock().await;
                // Somebody may have logged in while we waited for our turn.
                let way = door.keeper().ask(over, waited, now().mono);
                match way {
                    Way::Use(session) => Ok(session),
                    Way::No(outcome) => Err(outcome),
                    Way::LogIn { number } => ready.log_in(what, number, trail.as_ref()).await,
                }
            });
            match tokio::time::timeout_at(tokio::time::Instant::from_std(deadline), login).await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(Outcome::Busy { reason: format!("the login at {} was given up", self.system.id) }),
                Err(_) => Err(Outcome::Busy { reason: format!("{} did not let us in in time", self.system.id) }),
            }
        })
    }

    /// One request of a login, in its turn where the system's limits count them.
    async fn ask_login(&self, line: &Line, request: Request, deadline: Instant) -> Result<Response, Trouble> {
        let permit = match self.limiter.counts_logins() {
            true => Some(self.limiter.pass(operation::LOGIN.name, Priority::Pop, deadline).await),
            false => None,
        };
        match &permit {
            Some(Err(why)) => Err(Trouble::Held(self.held(*why))),
            _ => line.send(request, deadline).await,
        }
    }

    /// The requests of a login, and what has to be kept of it.
    async fn log_in_with(
        self: &Arc<Self>,
        what: For,
        line: &Line,
        auth: &SessionAuth,
        number: u64,
        trail: Option<&Trail>,
    ) -> Result<Session, Outcome> {
        let hand = &self.door(what).hand;
        let taken = match &auth.refresh {
            None => None,
            Some(refresh) => Some((refresh, hand.take(self.kept.get(), &self.system, refresh).await?)),
        };
        let told: Vec<_> = taken.iter().map(|(_, taken)| (REFRESH, taken.token.clone())).collect();
        let mut login = Login::of(&self.system, what, auth, &told).telling(trail);
        let deadline = Instant::now() + Duration::from_millis(auth.login.deadline_ms);
        loop {
            match login.next() {
                Step::Send(request) => {
                    let begun = Instant::now();
                    let answer = self.ask_login(line, request, deadline).await;
                    if let Some(trail) = trail {
                        trail.took(vec![(ms(begun.elapsed()), 0)]);
                    }
                    login.answer(answer);
                }
                Step::SignIn { over } => login.signed_in(self.session(For::All, over, deadline, trail).await),
                Step::Done => break,
            }
        }
        if let (Some((refresh, taken)), Some(token)) = (taken, login.refresh()) {
            hand.keep(taken, &self.system, refresh, token).await;
        }
        login.session(number, now().mono)
    }

    async fn log_in(self: &Arc<Self>, what: For, number: u64, trail: Option<&Trail>) -> Result<Arc<Session>, Outcome> {
        let id = &self.system.id;
        let (Ok(line), Some(auth)) = (&self.line, self.system.session(what)) else {
            return Err(Outcome::Broken { reason: format!("{id} has no login") });
        };
        let onlookers = Onlookers { seen: None, trail };
        onlookers.tell(|| Happened::LogsIn { of: what.into() });
        let result = self.log_in_with(what, line, auth, number, trail).await;
        if let Some(trail) = trail {
            match &result {
                Ok(session) => trail.logged_in(what, auth, session),
                Err(outcome) => trail.not_logged_in(what, outcome),
            }
        }
        let at = now().mono;
        let refused = result.as_ref().err().cloned();
        let mut keeper = self.door(what).keeper();
        if let Some((outcome, wait_ms)) = keeper.ends(result, at) {
            tracing::warn!(system = %id, outcome = outcome.word(), reason = outcome.reason(), next_try_ms = wait_ms, "a business system does not let us in");
        }
        match (refused, keeper.ask(None, number, at)) {
            (None, Way::Use(session)) => {
                tracing::debug!(system = %id, login = number, "logged in at a business system");
                Ok(session)
            }
            (Some(outcome), _) => Err(outcome),
            (None, _) => Err(Outcome::Broken { reason: format!("{id}'s session is over as it begins") }),
        }
    }
}

/// The end of a sign-in in a browser: gives the code away and keeps the refresh token that comes for it.
///
/// # Errors
/// Why there is nothing to keep, or why it cannot be kept; no code and no token is in it.
pub async fn signed_in(asked: &Asked<'_>, told: &[(&'static str, Secret)], tokens: PathBuf) -> Result<(), String> {
    let line = Line::new(asked.system)?;
    let mut login = Login::of(asked.system, For::All, asked.exchange, told);
    let deadline = Instant::now() + Duration::from_millis(asked.exchange.login.deadline_ms);
    while let Step::Send(request) = login.next() {
        login.answer(line.send(request, deadline).await);
    }
    let token = login.refresh();
    let session = login.session(1, now().mono);
    if let (Err(outcome), None) = (&session, &token) {
        return Err(format!("{}: {}", outcome.word(), outcome.reason().unwrap_or_default()));
    }
    let token = token.ok_or_else(|| {
        let id = &asked.system.id;
        format!("{id} gave no refresh token: its file must ask for one (scope offline_access, or more: access_type: offline)")
    })?;
    let (id, of) = (asked.system.id.clone(), asked.refresh.of.clone());
    let kept = tokio::task::spawn_blocking(move || Folder(tokens).put(&id, &of, &token)).await;
    let kept = kept.unwrap_or_else(|e| Err(std::io::Error::other(e)));
    kept.map_err(|error| format!("the token cannot be kept: {error}"))?;
    // The sign-in itself is good and kept; what is wrong with the answer is the file's.
    session.map(drop).map_err(|outcome| format!("{}: {}", outcome.word(), outcome.reason().unwrap_or_default()))
}
