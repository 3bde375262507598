//! Asking: the cache, one question at a time for the same thing, and a card for each call.
//!
//! The core thread calls [`Customers::ask`] and gets a card at once. Lookups run on the back runtime; each answer is put into the
//! cache and into the calls that wait for it, and the call's card goes out whole. Freshness is decided from `asked_at`; moka's
//! own expiry is only the hard maximum.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use dashmap::DashMap;
use futures_util::FutureExt;
use moka::future::Cache;
use serde_json::{Map, Value};
use tokio::{
    runtime::Handle,
    sync::{Notify, RwLock, mpsc},
};

use crate::{
    connectors::{
        Ask, Connectors, Outcome, Priority, Saw, Seen, Shape,
        beside::{Facts, Lane},
        hook::Heard,
    },
    live::now,
    private::Private,
    words::{CallId, SystemId, TenantId, Wall, trouble::Trouble},
};

use super::{
    Settings,
    asking::{
        self, ATTACH, BLOCKS, BY_ACCOUNT, BY_PHONE, CREATE, Entry, Facts as BlockFacts, Found, GET, Key, Known, Offer,
        Site, Subject, Wanted, candidates, refused,
    },
    card::{Answer, Answered, Away, Candidate, Card, Choice, Looked, Question, Remembered, Way},
    lately::{KEPT_MS, Lately},
    ranking::Own,
};

/// What this room needs of the business systems; [`Connectors`], or a fake with a ledger in tests.
pub trait Systems: Send + Sync + 'static {
    fn systems(&self) -> Vec<SystemId>;
    fn shape(&self, system: &SystemId, operation: &str) -> Option<Shape>;
    /// The shared keys that a system's customers carry, each with the field that holds it.
    fn keys(&self, system: &SystemId) -> Arc<[(Arc<str>, String)]>;
    fn run(&self, ask: Ask) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>>;
    /// The same; what was seen on the way goes into `seen`, where a system can tell it.
    fn run_seen(&self, ask: Ask, seen: Seen) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
        drop(seen);
        self.run(ask)
    }
    /// By which files the systems are asked for a call; `before`: what it had so far.
    fn lane(&self, facts: &dyn Fn() -> Facts, before: &Lane) -> Lane {
        let _ = facts;
        before.clone()
    }
    /// Whether a lane may change with the call's trunk, queue or agents.
    fn wants_facts(&self) -> bool {
        false
    }
    /// Files that may be asked in this system's place.
    fn beside(&self, system: &SystemId) -> Vec<SystemId> {
        let _ = system;
        Vec::new()
    }
    /// Asks a shadow what another was asked and answered.
    fn shadow(&self, ask: Ask, answered: Outcome) {
        drop((ask, answered));
    }
}

impl Systems for Connectors {
    fn systems(&self) -> Vec<SystemId> {
        Connectors::systems(self)
    }
    fn shape(&self, system: &SystemId, operation: &str) -> Option<Shape> {
        Connectors::shape(self, system, operation)
    }
    fn keys(&self, system: &SystemId) -> Arc<[(Arc<str>, String)]> {
        Connectors::keys(self, system)
    }
    fn run(&self, ask: Ask) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
        Box::pin(Connectors::run(self, ask))
    }
    fn run_seen(&self, ask: Ask, seen: Seen) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
        Box::pin(async move { Connectors::run_seen(self, ask, Some(&seen)).await })
    }
    fn lane(&self, facts: &dyn Fn() -> Facts, before: &Lane) -> Lane {
        Connectors::lane(self, facts, before)
    }
    fn wants_facts(&self) -> bool {
        Connectors::wants_facts(self)
    }
    fn beside(&self, system: &SystemId) -> Vec<SystemId> {
        Connectors::beside(self, system)
    }
    fn shadow(&self, ask: Ask, answered: Outcome) {
        Connectors::shadow(self, ask, answered);
    }
}

/// What we wrote down ourselves: the store, or a fake in tests.
pub trait Memory: Send + Sync + 'static {
    /// What was chosen for this number, and the last calls with these customers ([`Candidate::id`]).
    fn recall(&self, tenant: TenantId, number: Option<String>, customers: Vec<String>) -> Recalled;
}

pub type Recalled = Pin<Box<dyn Future<Output = Own> + Send>>;

impl Memory for crate::store::Store {
    fn recall(&self, tenant: TenantId, number: Option<String>, customers: Vec<String>) -> Recalled {
        let store = self.clone();
        Box::pin(async move {
            let read = store.recall(tenant, number.map(Into::into), customers).await;
            let (choice, contacts) = read.unwrap_or_else(|error| {
                tracing::warn!(%error, "our own records cannot be read; the candidates are ranked without them");
                (None, Vec::new())
            });
            let remembered =
                choice.and_then(|row| Some(Remembered { candidate: row.customer?, agent: row.agent, at: row.at }));
            let calls = contacts.into_iter().map(|row| (row.customer, row.at, row.agent)).collect();
            Own { remembered, calls }
        })
    }
}

/// Our own records help to rank, and a choice that was remembered opens the right card; a store that is slower than this is not waited for.
const RECALL: Duration = Duration::from_millis(300);
/// No answer is kept longer than this, whatever a connector's file says.
const HARD_MAXIMUM: Duration = Duration::from_secs(24 * 3600);
/// Calls asked for at one time; beyond it new ones get a card that says so. 500 calls/s for a minute are 30,000.
const CALLS: usize = 100_000;

/// The room's door. Clones share everything.
#[derive(Clone)]
pub struct Customers(Arc<Inner>);

struct Inner {
    systems: Arc<dyn Systems>,
    memory: Option<Arc<dyn Memory>>,
    site: ArcSwap<Site>,
    back: Handle,
    out: mpsc::Sender<Answered>,
    cache: Cache<Key, Arc<Entry>>,
    /// Held for reading while an answer is put into the cache: a change comes before it, and then it is not put there, or after it, and then it is taken out.
    lately: RwLock<Lately>,
    /// Questions on their way. moka lets the first asker ask and the others wait for its answer.
    flights: Cache<Key, Arc<Entry>>,
    calls: Mutex<HashMap<CallId, Session>>,
    counts: DashMap<(SystemId, &'static str), AtomicU64>,
}

struct Session {
    subject: Subject,
    known: HashMap<Key, Known>,
    asked: HashSet<Key>,
    /// Our own records are being read.
    recalling: bool,
    /// Counts cards, so that one that was overtaken is told from its successor.
    version: u64,
    /// What was asked and answered so far; see [`Customers::looked`].
    looked: Vec<Looked>,
    /// Whoever asks apart from any call; such cards do not go to the core.
    aside: Option<Arc<Aside>>,
}

/// Where a card that is no call's goes.
struct Aside {
    /// The newest, and whether more of it is awaited.
    card: Mutex<(Arc<Card>, bool)>,
    changed: Notify,
}

/// How often one question is asked while what it asks for is told to have changed.
const TURNS: u32 = 3;
/// Questions of one call that are explained; more than its systems have operations come only from choosing again and again.
const LOOKED: usize = 64;

impl Customers {
    /// `out` is drained by the core; a full one delays lookups, never calls.
    #[must_use]
    pub fn new(systems: Arc<dyn Systems>, settings: &Settings, back: Handle, out: mpsc::Sender<Answered>) -> Self {
        Self::remembering(systems, None, settings, back, out)
    }

    /// The same with a memory of what agents chose and of whom they spoke with.
    #[must_use]
    pub fn remembering(
        systems: Arc<dyn Systems>,
        memory: Option<Arc<dyn Memory>>,
        settings: &Settings,
        back: Handle,
        out: mpsc::Sender<Answered>,
    ) -> Self {
        let cache = Cache::builder().max_capacity(settings.cache_entries).time_to_live(HARD_MAXIMUM).build();
        let flights = Cache::builder().max_capacity(100_000).time_to_live(Duration::from_secs(60)).build();
        let (calls, lately) = (Mutex::default(), RwLock::default());
        let (site, counts) = (ArcSwap::default(), DashMap::new());
        Self(Arc::new(Inner { systems, memory, site, back, out, cache, lately, flights, calls, counts }))
    }

    /// Puts in place what the site says besides the connector files, for calls from now on.
    pub fn reload(&self, site: Site) {
        self.0.site.store(Arc::new(site));
    }

    /// The card as the cache knows it, at once; what is missing is being asked for and comes through `out`. Asking again for a call
    /// with another number starts anew.
    #[must_use]
    pub fn ask(&self, question: &Question) -> Arc<Card> {
        self.begin(question, None)
    }

    /// Who it is, for somebody who has only so long: from the cache at once, else what the systems said within `budget`; what comes later is in the cache for the
    /// call. No facts beside the customer's own are asked for. `question.call` names the asking and no call.
    pub async fn hint(&self, question: &Question, budget: Duration) -> Arc<Card> {
        let card = Mutex::new((Arc::new(Card::of(Answer::Pending)), true));
        let aside = Arc::new(Aside { card, changed: Notify::new() });
        drop(self.begin(question, Some(aside.clone())));
        let newest = || aside.card.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // A notice that comes before it is awaited is kept.
        let whole = async {
            while newest().1 {
                aside.changed.notified().await;
            }
        };
        let _ = tokio::time::timeout(budget, whole).await;
        self.forget(question.call);
        newest().0
    }

    fn begin(&self, question: &Question, aside: Option<Arc<Aside>>) -> Arc<Card> {
        let inner = &self.0;
        let refused = question.refused.or_else(|| refused(&question.number));
        let number = question.number.key().filter(|_| refused.is_none()).map(str::to_owned);
        // A number without a key is one that was withheld.
        let refused = refused.or(number.is_none().then_some(super::card::NotAsked::Withheld));
        let account = question.account.as_ref().filter(|account| !account.expose().trim().is_empty());
        let mut subject = Subject {
            tenant: question.tenant.clone(),
            number,
            account: account.cloned(),
            refused,
            offers: Vec::new(),
            choice: Choice::Open,
            lane: Lane::NONE,
            site: inner.site.load_full(),
            own: inner.memory.is_none().then(Own::default),
        };
        let mut calls = inner.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.len() >= CALLS && !calls.contains_key(&question.call) {
            let reason = "too many calls are asked for at once".to_owned();
            return Arc::new(Card::of(Answer::Unavailable(Away { trouble: Trouble::Full, reason })));
        }
        let (version, looked) = match calls.get_mut(&question.call) {
            Some(before) => {
                // What an agent said of the call holds whatever number or account comes to be known.
                subject.choice = before.subject.choice.clone();
                subject.lane = before.subject.lane.clone();
                (before.version, std::mem::take(&mut before.looked))
            }
            None => Default::default(),
        };
        subject.lane = inner.systems.lane(&|| question.facts(), &subject.lane);
        subject.offers = inner.offers(question.systems.as_deref(), aside.is_none(), &subject.lane);
        let (known, asked) = (HashMap::new(), HashSet::new());
        let session = Session { subject, known, asked, recalling: false, version, looked, aside };
        calls.insert(question.call, session);
        let next = inner.advance(&mut calls, question.call).expect("the session was put in above");
        drop(calls);
        let card = next.card.clone();
        self.start(question.call, next.start, next.recall, next.card.lane.clone());
        card
    }

    /// Whether a call is asked for by another version now that more is known of it; then it is to be asked for anew.
    #[must_use]
    pub fn moves(&self, call: CallId, question: impl Fn() -> Option<Question>) -> bool {
        if !self.0.systems.wants_facts() {
            return false;
        }
        let calls = self.0.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(session), Some(question)) = (calls.get(&call), question()) else { return false };
        let before = &session.subject.lane;
        self.0.systems.lane(&|| question.facts(), before) != *before
    }

    /// An agent says who it is, that it is none of them, or takes back what was said. The new card comes through `out`.
    pub fn choose(&self, call: CallId, choice: Choice) {
        let mut calls = self.0.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(session) = calls.get_mut(&call) else { return };
        if matches!(choice, Choice::Open)
            && let Some(own) = &mut session.subject.own
        {
            own.remembered = None;
        }
        session.subject.choice = choice;
        self.tell(calls, call);
    }

    /// Something was written at a system about this number: what is known of it is asked for anew, for calls that are up too.
    pub async fn changed(&self, tenant: &TenantId, number: &str) {
        let inner = &self.0;
        let of = |system| Heard { system, numbers: [Private::new(number.to_owned())].into(), customers: [].into() };
        let heard = inner.systems.systems().into_iter().map(of).collect();
        self.note(heard, true).await;
        for system in inner.systems.systems() {
            let versions = inner.systems.beside(&system).into_iter().map(Some);
            for version in versions.chain([None]) {
                let (tenant, system) = (tenant.clone(), system.clone());
                let subject = Private::new(Box::from(number));
                let key = Key { tenant, system, operation: BY_PHONE, subject, version };
                inner.cache.invalidate(&key).await;
            }
        }
        let up: Vec<CallId> = {
            let mut calls = inner.calls.lock().unwrap_or_else(PoisonError::into_inner);
            let same = |session: &&mut Session| {
                session.subject.tenant == *tenant && session.subject.number.as_deref() == Some(number)
            };
            for session in calls.values_mut().filter(same) {
                session.known.retain(|key, _| key.operation != BY_PHONE);
                session.asked.retain(|key| key.operation != BY_PHONE);
            }
            let same = |session: &Session| {
                session.subject.tenant == *tenant && session.subject.number.as_deref() == Some(number)
            };
            calls.iter().filter(|(_, session)| same(session)).map(|(call, _)| *call).collect()
        };
        for call in up {
            let calls = inner.calls.lock().unwrap_or_else(PoisonError::into_inner);
            self.tell(calls, call);
        }
    }

    /// Systems said that something of these customers or numbers changed there: it is asked for anew, and cards of calls that are up stay as they are until it is known.
    pub async fn heard(&self, heard: &[Heard]) {
        let inner = &self.0;
        self.take_out(heard, true).await;
        let touched = |key: &Key, entry: &Entry| heard.iter().any(|heard| touches(heard, key, entry));
        let again: Vec<(CallId, Vec<Wanted>, Lane)> = {
            let calls = inner.calls.lock().unwrap_or_else(PoisonError::into_inner);
            let wanted = |session: &Session| {
                let known = |key: &Key| session.known.get(key).is_some_and(|known| touched(key, &known.entry));
                session.subject.wanted(&session.known).into_iter().filter(|wanted| known(&wanted.key)).collect()
            };
            calls.iter().map(|(call, session)| (*call, wanted(session), session.subject.lane.clone())).collect()
        };
        for (call, wanted, lane) in again {
            self.start(call, wanted, None, lane);
        }
    }

    /// Something of these customers or numbers was written by us: what was looked up is not shown to the next call. Cards of calls that are up stay as they are: what is
    /// still to be written depends on them, and would follow our own writes for ever.
    pub async fn outdated(&self, heard: &[Heard]) {
        self.take_out(heard, false).await;
    }

    /// `again`: what is on its way is asked once more.
    async fn take_out(&self, heard: &[Heard], again: bool) {
        self.note(heard.into(), again).await;
        let cache = &self.0.cache;
        let touched = |key: &Key, entry: &Entry| heard.iter().any(|heard| touches(heard, key, entry));
        let stale: Vec<Key> =
            cache.iter().filter(|(key, entry)| touched(key, entry)).map(|(key, _)| Key::clone(&key)).collect();
        for key in &stale {
            cache.invalidate(key).await;
        }
    }

    /// What is on its way is not kept where this touches it.
    async fn note(&self, heard: Arc<[Heard]>, again: bool) {
        if !self.0.lately.write().await.note(now().mono, heard, again) {
            return;
        }
        let this = self.clone();
        self.0.back.spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(KEPT_MS)).await;
                if !this.0.lately.write().await.forget(now().mono) {
                    break;
                }
            }
        });
    }

    /// A person's data was erased: nothing is kept that was looked up for this number ([`crate::numbers::Number::key`]), nor for the customers whom it named. Answers
    /// how many answers went.
    pub async fn forget_number(&self, tenant: &TenantId, number: Private<String>) -> usize {
        let cache = &self.0.cache;
        let mine = || cache.iter().filter(|(key, _)| key.tenant == *tenant);
        let mut heard: HashMap<SystemId, Heard> = HashMap::new();
        for system in self.0.systems.systems() {
            let of = Heard { system: system.clone(), numbers: [number.clone()].into(), customers: BTreeSet::new() };
            let _ = heard.insert(system, of);
        }
        for (key, entry) in mine() {
            let Some(of) = heard.get_mut(&key.system).filter(|of| touches(of, &key, &entry)) else { continue };
            if let Found::Customers(list) = &entry.found {
                of.customers.extend(list.iter().map(|one| one.link.id.clone()));
            }
        }
        self.note(heard.values().cloned().collect(), false).await;
        let touched = |key: &Key, entry: &Entry| heard.get(&key.system).is_some_and(|of| touches(of, key, entry));
        let gone: Vec<Key> =
            mine().filter(|(key, entry)| touched(key, entry)).map(|(key, _)| Key::clone(&key)).collect();
        for key in &gone {
            cache.invalidate(key).await;
        }
        gone.len()
    }

    /// The card as it now is goes out, and what is missing is asked for.
    fn tell(&self, mut calls: MutexGuard<'_, HashMap<CallId, Session>>, call: CallId) {
        let inner = &self.0;
        let Some(next) = inner.advance(&mut calls, call) else { return };
        drop(calls);
        self.start(call, next.start, next.recall, next.card.lane.clone());
        if next.aside {
            return;
        }
        let (out, version, card) = (inner.out.clone(), next.version, next.card);
        // The only failure is a core that has ended.
        inner.back.spawn(async move { drop(out.send(Answered { call, version, card }).await) });
    }

    /// Customers by free text, at every system that can search.
    pub async fn search(&self, tenant: &TenantId, text: &str) -> Vec<Arc<Candidate>> {
        let inner = &self.0;
        let searches = inner.systems.systems().into_iter().filter_map(|system| {
            let shape = inner.systems.shape(&system, "customer.search")?;
            let inputs = Map::from_iter([("text".to_owned(), Value::String(text.to_owned()))]);
            Some(async move {
                let ask = inner.ask_of(tenant, &system, "customer.search", inputs, &shape);
                match inner.run(ask, None).await.0 {
                    Outcome::Ok(value) => candidates(&system, &value, &inner.systems.keys(&system)),
                    _ => Box::default(),
                }
            })
        });
        futures_util::future::join_all(searches).await.into_iter().flatten().collect()
    }

    /// The same for tickets; with customers only theirs, at the systems that have them.
    pub async fn tickets(
        &self,
        tenant: &TenantId,
        text: &str,
        customers: Option<&[Arc<Candidate>]>,
    ) -> Vec<(SystemId, Value)> {
        const SEARCH: &str = "ticket.search";
        let inner = &self.0;
        let searches = inner.systems.systems().into_iter().filter_map(|system| {
            let shape = inner.systems.shape(&system, SEARCH)?;
            let mut inputs = Map::from_iter([("text".to_owned(), Value::String(text.to_owned()))]);
            if let Some(customers) = customers {
                let theirs = customers.iter().find(|record| record.link.system == system.as_str())?;
                inputs.insert("customer".to_owned(), asking::told(theirs));
            }
            Some(async move {
                let ask = inner.ask_of(tenant, &system, SEARCH, inputs, &shape);
                match inner.run(ask, None).await.0 {
                    Outcome::Ok(Value::Array(list)) => list.into_iter().map(|one| (system.clone(), one)).collect(),
                    _ => Vec::new(),
                }
            })
        });
        futures_util::future::join_all(searches).await.into_iter().flatten().collect()
    }

    /// What was asked for this call so far, and what came of it.
    #[must_use]
    pub fn looked(&self, call: CallId) -> Vec<Looked> {
        let calls = self.0.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.get(&call).map(|session| session.looked.clone()).unwrap_or_default()
    }

    /// The same, and forgets it: the card of a call that is over is kept longer than its story.
    #[must_use]
    pub fn take_looked(&self, call: CallId) -> Vec<Looked> {
        let mut calls = self.0.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.get_mut(&call).map(|session| std::mem::take(&mut session.looked)).unwrap_or_default()
    }

    /// The call is over and nobody looks at its card any more.
    pub fn forget(&self, call: CallId) {
        self.0.calls.lock().unwrap_or_else(PoisonError::into_inner).remove(&call);
    }

    /// How often each system gave each outcome.
    #[must_use]
    pub fn counts(&self) -> Vec<(SystemId, &'static str, u64)> {
        self.0.counts.iter().map(|e| (e.key().0.clone(), e.key().1, e.value().load(Ordering::Relaxed))).collect()
    }

    fn start(&self, call: CallId, wanted: Vec<Wanted>, recall: Option<Vec<String>>, lane: Lane) {
        for wanted in wanted {
            let (this, lane) = (self.clone(), lane.clone());
            self.0.back.spawn(async move { this.look_up(call, wanted, lane).await });
        }
        if let Some(customers) = recall {
            let this = self.clone();
            self.0.back.spawn(async move { this.recall(call, customers).await });
        }
    }

    /// Reads what we wrote down ourselves of this call's number and the people found for it.
    async fn recall(self, call: CallId, customers: Vec<String>) {
        let inner = &self.0;
        let asked = {
            let calls = inner.calls.lock().unwrap_or_else(PoisonError::into_inner);
            calls.get(&call).map(|session| (session.subject.tenant.clone(), session.subject.number.clone()))
        };
        let (Some((tenant, number)), Some(memory)) = (asked, &inner.memory) else { return };
        let own = tokio::time::timeout(RECALL, memory.recall(tenant, number, customers)).await;
        let own = own.unwrap_or_else(|_| {
            tracing::warn!(%call, "our own records did not come in time; the candidates are ranked without them");
            Own::default()
        });
        let mut calls = inner.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(session) = calls.get_mut(&call) else { return };
        session.subject.own.get_or_insert(own);
        self.tell(calls, call);
    }

    /// One lookup to its end, and what follows from it for the call.
    async fn look_up(self, call: CallId, wanted: Wanted, lane: Lane) {
        let inner = &self.0;
        let key = wanted.key.clone();
        let began = now().mono;
        let since = inner.lately.read().await.so_far();
        let mut turn = 0;
        let told = loop {
            // Empty where another call's question was on its way already.
            let story: Arc<Mutex<Option<Looked>>> = Arc::default();
            let load = inner.load(wanted.clone(), story.clone(), lane.clone());
            let entry = inner.flights.get_with(key.clone(), load).await;
            inner.flights.invalidate(&key).await;
            turn += 1;
            // Held until the call has it: what is told then finds it there.
            let lately = inner.lately.read().await;
            let overtook = lately.overtook(entry.changes, |heard| touches(heard, &key, &entry));
            // Our own writes are not followed, but that a question was asked before them and this call came after.
            let again = overtook.is_some_and(|again| again || entry.changes < since);
            // Where things change faster than the system answers, an answer that may be old is better than none.
            if again && turn < TURNS {
                continue;
            }
            let own = story.lock().unwrap_or_else(PoisonError::into_inner).take();
            let looked = own.unwrap_or_else(|| told(&key, &entry, Way::Shared { ms: now().mono.since_ms(began) }));
            let mut calls = inner.calls.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(session) = calls.get_mut(&call) else { return };
            session.explain(looked);
            let away = matches!(entry.found, Found::Unavailable(_));
            // A stale answer is worth more than none: it stays, and its age is shown.
            if !(away && session.known.contains_key(&key)) {
                session.known.insert(key, Known { entry, fresh: true });
            }
            break inner.advance(&mut calls, call);
        };
        if let Some(Next { card, version, start, recall, aside }) = told {
            self.start(call, start, recall, card.lane.clone());
            if !aside {
                let _ = inner.out.send(Answered { call, version, card }).await;
            }
        }
    }
}

/// What follows from what is known of a call.
struct Next {
    card: Arc<Card>,
    version: u64,
    /// To be asked.
    start: Vec<Wanted>,
    /// To be read from our own records.
    recall: Option<Vec<String>>,
    /// Whoever asked has it already.
    aside: bool,
}

impl Inner {
    /// `facts`: with the facts that stand beside a customer.
    fn offers(&self, systems: Option<&[SystemId]>, facts: bool, lane: &Lane) -> Vec<Offer> {
        let all = || self.systems.systems();
        let list = systems.map_or_else(all, <[SystemId]>::to_vec);
        list.into_iter()
            .filter_map(|system| {
                let asked = lane.version(&system).unwrap_or(&system);
                let shape = |operation| self.systems.shape(asked, operation);
                let (by_phone, by_account, get) = (shape(BY_PHONE), shape(BY_ACCOUNT), shape(GET));
                let get = get.filter(|get| !get.by.is_empty());
                let blocks: Vec<_> = BLOCKS
                    .iter()
                    .filter(|_| facts)
                    .filter_map(|operation| {
                        let Shape { title, by, .. } = shape(operation)?;
                        Some(BlockFacts { operation, title, by })
                    })
                    .collect();
                let title = [&by_phone, &by_account, &get].into_iter().flatten().find_map(|shape| shape.title.clone());
                let searched = by_phone.is_some() || by_account.is_some() || get.is_some();
                let (attach, create) = (shape(ATTACH).is_some(), shape(CREATE).is_some());
                (searched || !blocks.is_empty()).then(|| Offer {
                    title,
                    by_phone: by_phone.is_some(),
                    by_account: by_account.is_some(),
                    get_by: get.map(|get| get.by).unwrap_or_default(),
                    attach,
                    create,
                    system,
                    blocks,
                })
            })
            .collect()
    }

    /// Takes from the cache what is there, says what has to be asked, and makes the card. An answer from the cache may open
    /// further questions, so it goes round until none is new.
    fn advance(&self, calls: &mut HashMap<CallId, Session>, call: CallId) -> Option<Next> {
        let session = calls.get_mut(&call)?;
        let mut start = Vec::new();
        let at = now().wall;
        loop {
            let mut learned = false;
            for wanted in session.subject.wanted(&session.known) {
                if session.known.contains_key(&wanted.key) || session.asked.contains(&wanted.key) {
                    continue;
                }
                if let Some(known) = self.peek(&wanted.key, at) {
                    let fresh = known.fresh;
                    let way = Way::Cached { age_ms: at.since(known.entry.asked_at), fresh };
                    session.explain(told(&wanted.key, &known.entry, way));
                    session.known.insert(wanted.key.clone(), known);
                    learned = true;
                    if fresh {
                        continue;
                    }
                }
                session.asked.insert(wanted.key.clone());
                start.push(wanted);
            }
            if !learned {
                break;
            }
        }
        session.version += 1;
        let recall = session.subject.recall(&session.known).filter(|_| !session.recalling);
        session.recalling |= recall.is_some();
        let card = Arc::new(session.subject.card(&session.known, at));
        if let Some(aside) = &session.aside {
            let awaited = matches!(card.answer, Answer::Pending) || session.subject.own.is_none();
            *aside.card.lock().unwrap_or_else(PoisonError::into_inner) = (card.clone(), awaited);
            aside.changed.notify_one();
        }
        Some(Next { card, version: session.version, start, recall, aside: session.aside.is_some() })
    }

    fn peek(&self, key: &Key, at: Wall) -> Option<Known> {
        // moka answers a get without waiting but for rare housekeeping; then it is a miss, and the lookup finds it a moment later.
        let entry = self.cache.get(key).now_or_never().flatten()?;
        let cache = self.systems.shape(key.asked(), key.operation)?.cache;
        let age = at.since(entry.asked_at);
        match entry.found {
            Found::Nothing => (age < cache.negative_ms).then_some(Known { entry, fresh: true }),
            _ => (age < cache.stale_ms).then_some(Known { fresh: age < cache.fresh_ms, entry }),
        }
    }

    async fn load(&self, wanted: Wanted, story: Arc<Mutex<Option<Looked>>>, lane: Lane) -> Arc<Entry> {
        let Wanted { key, about } = wanted;
        let changes = self.lately.read().await.so_far();
        let asked_at = now().wall;
        // Somebody else's lookup may have ended between our look at the cache and this flight.
        if let Some(known) = self.peek(&key, asked_at).filter(|k| k.fresh) {
            return known.entry;
        }
        let shape = |system: &SystemId| Some((system.clone(), self.systems.shape(system, key.operation)?));
        // A version that a reload took away is the one in use by now.
        let found = match shape(key.asked()).or_else(|| shape(&key.system)) {
            Some((system, shape)) => {
                let ask = self.ask_of(&key.tenant, &system, key.operation, about.inputs(), &shape);
                let shadows: Vec<Ask> =
                    lane.shadows(&key.system).map(|shadow| Ask { system: shadow.clone(), ..ask.clone() }).collect();
                let (began, seen) = (now().mono, Seen::default());
                let (outcome, late) = self.run(ask, Some(seen.clone())).await;
                shadows.into_iter().for_each(|ask| self.systems.shadow(ask, outcome.clone()));
                let saw = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
                let looked = Looked {
                    system: key.system.clone(),
                    version: key.version.clone(),
                    operation: key.operation.to_owned(),
                    way: Way::Asked { ms: now().mono.since_ms(began) },
                    outcome: outcome.word().to_owned(),
                    reason: outcome.reason().map(str::to_owned),
                    saw,
                };
                *story.lock().unwrap_or_else(PoisonError::into_inner) = Some(looked);
                judged(&key, outcome, late, || self.systems.keys(&system))
            }
            None => Found::Unavailable(Away {
                trouble: Trouble::TakenOut,
                reason: format!("{} was taken out of the settings", key.system),
            }),
        };
        let entry = Arc::new(Entry { asked_at, changes, found });
        if !matches!(entry.found, Found::Unavailable(_)) {
            let lately = self.lately.read().await;
            if lately.overtook(changes, |heard| touches(heard, &key, &entry)).is_none() {
                self.cache.insert(key, entry.clone()).await;
            }
        }
        entry
    }

    fn ask_of(
        &self,
        tenant: &TenantId,
        system: &SystemId,
        operation: &str,
        inputs: Map<String, Value>,
        shape: &Shape,
    ) -> Ask {
        Ask {
            tenant: tenant.clone(),
            system: system.clone(),
            operation: operation.to_owned(),
            inputs,
            deadline: Duration::from_millis(shape.deadline_ms),
            priority: Priority::Pop,
        }
    }

    /// What came of it; and where the time was over before an answer, that it was.
    async fn run(&self, ask: Ask, seen: Option<Seen>) -> (Outcome, Option<Trouble>) {
        let (system, operation, deadline) = (ask.system.clone(), ask.operation.clone(), ask.deadline);
        let asked = match seen {
            Some(seen) => self.systems.run_seen(ask, seen),
            None => self.systems.run(ask),
        };
        let asked = tokio::time::timeout(deadline, asked).await;
        let late = asked.is_err().then(|| Trouble::Late { seconds: deadline.as_millis().div_ceil(1_000) as u64 });
        let outcome = asked.unwrap_or_else(|_| Outcome::Busy {
            reason: format!("{system} did not answer within {} ms", deadline.as_millis()),
        });
        self.counts.entry((system.clone(), outcome.word())).or_default().fetch_add(1, Ordering::Relaxed);
        match &outcome {
            Outcome::Ok(_) | Outcome::Empty | Outcome::NotFound => {}
            other => {
                tracing::warn!(%system, operation, outcome = other.word(), reason = other.reason(), "a lookup gave no answer")
            }
        }
        (outcome, late)
    }
}

impl Session {
    fn explain(&mut self, looked: Looked) {
        if self.looked.len() < LOOKED {
            self.looked.push(looked);
        }
    }
}

/// Whether what a system answered is about somebody of whom it now says that they changed.
fn touches(heard: &Heard, key: &Key, entry: &Entry) -> bool {
    if heard.system != key.system {
        return false;
    }
    let subject = &**key.subject.expose();
    let id = |id: &str| heard.customers.contains(id);
    let of = match key.operation {
        BY_PHONE | BY_ACCOUNT => heard.numbers.iter().any(|number| number.expose() == subject),
        // `customer:7`; a shared key (`member_no=7`) is not known to the sender.
        _ => subject.split_once(':').is_some_and(|(_, subject)| id(subject)),
    };
    of || matches!(&entry.found, Found::Customers(list) if list.iter().any(|one| id(&one.link.id)))
}

/// What an entry that was not asked for by this call says.
fn told(key: &Key, entry: &Entry, way: Way) -> Looked {
    let (outcome, reason) = match &entry.found {
        Found::Customers(_) | Found::Facts(_) => ("ok", None),
        Found::Nothing => ("empty", None),
        Found::Unavailable(away) => ("unavailable", Some(away.reason.clone())),
    };
    let saw = match &entry.found {
        Found::Customers(list) => {
            let matched =
                |c: &Arc<Candidate>| Saw::Matched { id: Some(Private::new(c.link.id.clone())), why: c.reason.clone() };
            list.iter().map(matched).collect()
        }
        _ => Vec::new(),
    };
    Looked {
        system: key.system.clone(),
        version: key.version.clone(),
        operation: key.operation.to_owned(),
        way,
        outcome: outcome.to_owned(),
        reason,
        saw,
    }
}

/// An outcome as the card knows it. What is no clear answer is "could not be asked", never "nobody".
fn judged(
    key: &Key,
    outcome: Outcome,
    late: Option<Trouble>,
    keys: impl FnOnce() -> Arc<[(Arc<str>, String)]>,
) -> Found {
    match outcome {
        Outcome::Ok(Value::Null) | Outcome::Empty | Outcome::NotFound => Found::Nothing,
        Outcome::Ok(value) if [BY_PHONE, BY_ACCOUNT, GET].contains(&key.operation) => {
            let list = candidates(&key.system, &value, &keys());
            if list.is_empty() { Found::Nothing } else { Found::Customers(list) }
        }
        Outcome::Ok(Value::Array(list)) if list.is_empty() => Found::Nothing,
        Outcome::Ok(value) => match serde_json::value::to_raw_value(&value) {
            Ok(body) => Found::Facts(Arc::from(body)),
            Err(_) => Found::Unavailable(Away {
                trouble: Trouble::Broken,
                reason: format!("{} gave an answer that cannot be shown", key.system),
            }),
        },
        other => Found::Unavailable(Away {
            trouble: late.or(other.trouble()).unwrap_or(Trouble::Unknown),
            reason: other.reason().unwrap_or("no answer").to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        customers::{BlockState, NotAsked},
        numbers::Plan,
    };
    use std::sync::atomic::AtomicUsize;
    use tokio::sync::Semaphore;

    /// A business system with a ledger: it answers when it is let.
    struct Desk {
        asked: AtomicUsize,
        gate: Semaphore,
        cache: (u64, u64, u64),
        answer: Mutex<Outcome>,
        hang: bool,
    }

    impl Desk {
        fn new(answer: Outcome, cache: (u64, u64, u64)) -> Self {
            let gate = Semaphore::new(0);
            Self { asked: AtomicUsize::new(0), gate, cache, answer: Mutex::new(answer), hang: false }
        }
    }

    impl Systems for Desk {
        fn systems(&self) -> Vec<SystemId> {
            vec!["crm".into()]
        }
        fn shape(&self, _: &SystemId, operation: &str) -> Option<Shape> {
            let (fresh_ms, stale_ms, negative_ms) = self.cache;
            let cache = crate::connectors::file::Cache { fresh_ms, stale_ms, negative_ms };
            ["customer.by_phone", "tickets.open"].contains(&operation).then_some(Shape {
                title: None,
                deadline_ms: 3_000,
                cache,
                by: Vec::new(),
            })
        }
        fn keys(&self, _: &SystemId) -> Arc<[(Arc<str>, String)]> {
            Arc::from([])
        }
        fn run(&self, ask: Ask) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
            Box::pin(async move {
                self.asked.fetch_add(1, Ordering::SeqCst);
                if self.hang {
                    std::future::pending::<()>().await;
                }
                self.gate.acquire().await.expect("the gate is never closed").forget();
                match ask.operation.as_str() {
                    "customer.by_phone" => self.answer.lock().unwrap().clone(),
                    _ => Outcome::Ok(serde_json::json!([{"subject": "Washer leaks"}])),
                }
            })
        }
    }

    fn customer() -> Outcome {
        Outcome::Ok(serde_json::json!([{"id": "7", "name": "Zhang Wei", "mobile": "138 0013 8000"}]))
    }

    fn room(desk: Desk) -> (Arc<Desk>, Customers, mpsc::Receiver<Answered>) {
        let desk = Arc::new(desk);
        let (out, cards) = mpsc::channel(64);
        (desk.clone(), Customers::new(desk, &Settings::default(), Handle::current(), out), cards)
    }

    fn question(call: u128, number: &str) -> Question {
        let number = Plan::new("CN", Some("21")).read(number);
        Question {
            tenant: TenantId::default(),
            call: CallId(ulid::Ulid(call)),
            number,
            account: None,
            systems: None,
            refused: None,
            around: super::super::Around::default(),
        }
    }

    async fn card_of(cards: &mut mpsc::Receiver<Answered>, call: u128) -> Arc<Card> {
        loop {
            let answered = cards.recv().await.unwrap();
            if answered.call == CallId(ulid::Ulid(call)) {
                return answered.card;
            }
        }
    }

    #[tokio::test]
    async fn a_hundred_calls_of_one_number_are_one_question() {
        let (desk, customers, mut cards) = room(Desk::new(customer(), (60_000, 60_000, 60_000)));
        for call in 0..100 {
            let card = customers.ask(&question(call, if call % 2 == 0 { "13800138000" } else { "+86 138 0013 8000" }));
            assert!(matches!(card.answer, Answer::Pending));
        }
        desk.gate.add_permits(2);
        let mut filled = HashSet::new();
        while filled.len() < 100 {
            let answered = cards.recv().await.unwrap();
            if answered.card.blocks.iter().all(|b| b.state == BlockState::Fresh) {
                assert!(matches!(&answered.card.answer, Answer::Found(c) if c.head.link.id == "7"));
                filled.insert(answered.call);
            }
        }
        // One by phone, one for the tickets; and the next call has all of it at once.
        assert_eq!(desk.asked.load(Ordering::SeqCst), 2);
        let ways: Vec<Way> =
            (0..100).flat_map(|call| customers.looked(CallId(ulid::Ulid(call)))).map(|looked| looked.way).collect();
        assert_eq!(ways.iter().filter(|way| matches!(way, Way::Asked { .. })).count(), 2, "{ways:?}");
        assert_eq!(ways.len(), 200, "each call can tell of both its questions");
        let card = customers.ask(&question(1000, "13800138000"));
        assert!(matches!(card.answer, Answer::Found(_)));
        assert_eq!(card.blocks.len(), 2);
        assert!(card.blocks.iter().all(|b| b.state == BlockState::Fresh));
        assert_eq!(desk.asked.load(Ordering::SeqCst), 2);
        let looked = customers.looked(CallId(ulid::Ulid(1000)));
        assert!(looked.iter().all(|l| matches!(l.way, Way::Cached { fresh: true, .. }) && l.outcome == "ok"));
        assert_eq!((looked.len(), customers.take_looked(CallId(ulid::Ulid(1000))).len()), (2, 2));
        assert_eq!(customers.looked(CallId(ulid::Ulid(1000))), []);
    }

    #[tokio::test]
    async fn a_stale_answer_shows_at_once_and_is_asked_again() {
        let (desk, customers, mut cards) = room(Desk::new(customer(), (0, 60_000, 60_000)));
        desk.gate.add_permits(2);
        drop(customers.ask(&question(1, "13800138000")));
        while card_of(&mut cards, 1).await.blocks.iter().any(|b| b.state != BlockState::Fresh) {}
        let card = customers.ask(&question(2, "13800138000"));
        assert!(matches!(card.answer, Answer::Found(_)));
        assert!(card.blocks.iter().all(|b| b.state == BlockState::Stale), "{:?}", card.blocks);
        *desk.answer.lock().unwrap() = Outcome::Busy { reason: "crm is away".into() };
        desk.gate.add_permits(2);
        let card = card_of(&mut cards, 2).await;
        assert!(matches!(card.answer, Answer::Found(_)), "what is known stays when the system goes away");
    }

    #[tokio::test]
    async fn what_a_system_says_has_changed_is_asked_for_anew_and_the_card_stays_until_then() {
        let (desk, customers, mut cards) = room(Desk::new(customer(), (60_000, 60_000, 60_000)));
        desk.gate.add_permits(2);
        drop(customers.ask(&question(1, "13800138000")));
        while card_of(&mut cards, 1).await.blocks.iter().any(|b| b.state != BlockState::Fresh) {}
        drop(customers.ask(&question(2, "13900139000")));
        desk.gate.add_permits(1);
        card_of(&mut cards, 2).await;
        let before = desk.asked.load(Ordering::SeqCst);
        let heard = |system: &str, ids: &[&str], number: &str| Heard {
            system: system.into(),
            customers: ids.iter().map(|id| (*id).to_owned()).collect(),
            numbers: [number].iter().filter(|n| !n.is_empty()).map(|n| Private::new((*n).to_owned())).collect(),
        };
        // Somebody else's, and another system's.
        customers.heard(&[heard("crm", &["70"], ""), heard("erp", &["7"], "+8613800138000")]).await;
        assert_eq!(desk.asked.load(Ordering::SeqCst), before);
        // By id: who they are and their facts are asked for, of the call that shows them; the card was never without them.
        *desk.answer.lock().unwrap() = Outcome::Ok(serde_json::json!([{"id": "7", "name": "Zhang Li"}]));
        customers.heard(&[heard("crm", &["7"], "")]).await;
        desk.gate.add_permits(8);
        loop {
            let card = card_of(&mut cards, 1).await;
            let Answer::Found(person) = &card.answer else { panic!("{:?}", card.answer) };
            if person.head.name.as_ref().is_some_and(|name| name.expose() == "Zhang Li") {
                break;
            }
        }
        // By number: a caller who was known as somebody is asked for, once.
        let asked = desk.asked.load(Ordering::SeqCst);
        customers.heard(&[heard("crm", &[], "+8613900139000")]).await;
        while desk.asked.load(Ordering::SeqCst) == asked {
            card_of(&mut cards, 2).await;
        }
    }

    /// The question is on its way, something is written, and then the system answers as it was before.
    #[tokio::test]
    async fn an_answer_from_before_a_change_is_not_believed() {
        let (desk, customers, mut cards) = room(Desk::new(Outcome::Empty, (60_000, 60_000, 60_000)));
        let asked = async |n: usize| {
            while desk.asked.load(Ordering::SeqCst) < n {
                tokio::task::yield_now().await;
            }
        };
        drop(customers.ask(&question(1, "13800138000")));
        asked(1).await;
        customers.changed(&TenantId::default(), "+8613800138000").await;
        desk.gate.add_permits(1);
        asked(2).await;
        *desk.answer.lock().unwrap() = customer();
        desk.gate.add_permits(2);
        while !matches!(card_of(&mut cards, 1).await.answer, Answer::Found(_)) {}
        assert!(matches!(customers.ask(&question(2, "13800138000")).answer, Answer::Found(_)));
        assert_eq!(desk.asked.load(Ordering::SeqCst), 3, "the second answer is kept, and the tickets are one");
        // What we wrote ourselves does not change the card of the call that is up; the next call is not told what was before.
        *desk.answer.lock().unwrap() = Outcome::Empty;
        drop(customers.ask(&question(3, "13900139000")));
        asked(4).await;
        let number = || [Private::new("+8613900139000".to_owned())].into();
        let heard = || Heard { system: "crm".into(), customers: [].into(), numbers: number() };
        customers.outdated(&[heard()]).await;
        desk.gate.add_permits(1);
        assert!(matches!(card_of(&mut cards, 3).await.answer, Answer::Absent));
        assert!(matches!(customers.ask(&question(4, "13900139000")).answer, Answer::Pending));
        asked(5).await;
        // Nor is one who comes after it, while the old question is still on its way.
        customers.outdated(&[heard()]).await;
        assert!(matches!(customers.ask(&question(5, "13900139000")).answer, Answer::Pending));
        desk.gate.add_permits(1);
        asked(6).await;
        *desk.answer.lock().unwrap() = customer();
        desk.gate.add_permits(2);
        while !matches!(card_of(&mut cards, 5).await.answer, Answer::Found(_)) {}
    }

    #[tokio::test]
    async fn nobody_is_believed_for_a_while_and_away_never() {
        let (desk, customers, mut cards) = room(Desk::new(Outcome::Empty, (60_000, 60_000, 60_000)));
        desk.gate.add_permits(10);
        drop(customers.ask(&question(1, "13900139000")));
        assert!(matches!(card_of(&mut cards, 1).await.answer, Answer::Absent));
        assert!(matches!(customers.ask(&question(2, "13900139000")).answer, Answer::Absent));
        assert_eq!(desk.asked.load(Ordering::SeqCst), 1);
        *desk.answer.lock().unwrap() = Outcome::Broken { reason: "an HTML page with status 200".into() };
        drop(customers.ask(&question(3, "13700137000")));
        assert!(
            matches!(&card_of(&mut cards, 3).await.answer, Answer::Unavailable(away) if away.reason.contains("HTML") && away.trouble == Trouble::Broken)
        );
        assert!(matches!(customers.ask(&question(4, "13700137000")).answer, Answer::Pending));
        card_of(&mut cards, 4).await;
        assert_eq!(desk.asked.load(Ordering::SeqCst), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_system_that_hangs_is_unavailable_after_its_deadline() {
        let mut desk = Desk::new(customer(), (1, 1, 1));
        desk.hang = true;
        let (_, customers, mut cards) = room(desk);
        drop(customers.ask(&question(1, "13800138000")));
        let card = card_of(&mut cards, 1).await;
        assert!(
            matches!(&card.answer, Answer::Unavailable(away) if away.reason == "crm did not answer within 3000 ms" && away.trouble == Trouble::Late { seconds: 3 })
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_hint_has_its_budget_and_nothing_of_it_reaches_the_core() {
        let (desk, customers, mut cards) = room(Desk::new(customer(), (60_000, 60_000, 60_000)));
        let budget = Duration::from_millis(300);
        let began = tokio::time::Instant::now();
        let late = customers.hint(&question(1, "13800138000"), budget).await;
        assert!(matches!(late.answer, Answer::Pending) && began.elapsed() == budget);
        // What comes after all is there for the next who asks, at once.
        desk.gate.add_permits(1);
        let soon = customers.hint(&question(2, "13800138000"), budget).await;
        assert!(matches!(&soon.answer, Answer::Found(c) if c.head.link.id == "7"));
        let began = tokio::time::Instant::now();
        let cached = customers.hint(&question(3, "13800138000"), budget).await;
        assert!(matches!(cached.answer, Answer::Found(_)) && began.elapsed().is_zero());
        // Its facts were not asked for, and nobody was told.
        assert_eq!(desk.asked.load(Ordering::SeqCst), 1);
        assert!(cards.try_recv().is_err());
        assert_eq!(customers.looked(CallId(ulid::Ulid(3))), []);
    }

    #[tokio::test]
    async fn a_withheld_number_is_not_looked_up() {
        let (desk, customers, _cards) = room(Desk::new(customer(), (1, 1, 1)));
        let card = customers.ask(&question(1, "sip:anonymous@anonymous.invalid"));
        assert!(matches!(&card.answer, Answer::NotAsked(NotAsked::Withheld)));
        assert_eq!(desk.asked.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a_choice_among_several_brings_that_ones_blocks() {
        let two = Outcome::Ok(serde_json::json!([{"id": "7"}, {"id": "8"}]));
        let (desk, customers, mut cards) = room(Desk::new(two, (60_000, 60_000, 60_000)));
        desk.gate.add_permits(2);
        drop(customers.ask(&question(1, "13800138000")));
        let Answer::Ambiguous(list) = card_of(&mut cards, 1).await.answer.clone() else { panic!("two are ambiguous") };
        customers.choose(CallId(ulid::Ulid(1)), Choice::Person(list[1].clone()));
        loop {
            let card = card_of(&mut cards, 1).await;
            assert!(matches!(&card.answer, Answer::Found(c) if c.head.link.id == "8"));
            if card.blocks.iter().all(|b| b.state == BlockState::Fresh) {
                break;
            }
        }
        customers.forget(CallId(ulid::Ulid(1)));
    }
}
