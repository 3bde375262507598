//! The daemon: threads up, signals heard, threads down. What runs beside what is in `wiring.rs`.

use std::{
    collections::{HashMap, HashSet},
    io,
    path::Path,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use arc_swap::ArcSwap;
use prometheus_client::registry::Registry;
use tokio::{
    net::TcpListener,
    runtime::{Builder, Handle},
    signal::unix::{SignalKind, signal},
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    core::{Caller, Core, Found, Outs, Search, Sought},
    house::House,
    load::{self, Loaded},
    logs,
    verbs::{Exit, wrong},
    wiring::{self, Control, CoreEnds},
};
use crate::{
    access,
    admin::{
        self, Readiness,
        console::{Console, Parts},
        hint::{Gate, Hint},
        hooks::Door,
        http::Figures,
    },
    agents::{self, Roster, Screens, shards::live as shards},
    calls::Book,
    connectors::{self, Ask, Connectors, Idempotency, Outcome},
    customers::{self, Customers},
    files::Problem,
    flows,
    live::{instant, now},
    numbers::trunks::unmapped,
    privacy,
    private::Private,
    recordings::{self, live::Keeper},
    records::{
        self, Desk,
        hooks::{self, live::Sender},
    },
    store::{AuditRow, CheckpointRow, EffectRow, Next, Reader, RecordRow, SeatRow, State, Store, StoreError},
    switches::{self, live::Stats},
    watch::{
        self, Metrics, Trace,
        alerts::{
            Rules,
            live::{Switch, Watcher},
        },
    },
    words::{CallId, SwitchId, SystemId, TenantId, Wall},
};

/// How often the core is asked whether it lives; systemd's watchdog is fed only by its answers.
const BEAT: Duration = Duration::from_secs(2);

/// Between two looks at recordings that are too old.
const SWEEP: Duration = Duration::from_secs(86_400);

/// `linecard run`.
pub fn run(folder: &Path) -> Exit {
    let loaded = match load::load(folder, &[]) {
        Ok(loaded) => loaded,
        Err(problems) => return wrong(&problems),
    };
    if let Err(why) = logs::start(&loaded.settings.log) {
        eprintln!("linecard: {why}");
        return Exit::WrongSettings;
    }
    // ring is the one provider in the tree; a second install in a process is refused and means the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match start(loaded) {
        Ok(()) => Exit::Good,
        Err(why) => {
            tracing::error!("{why}");
            eprintln!("linecard: {why}");
            Exit::Failed
        }
    }
}

fn start(loaded: Loaded) -> Result<(), String> {
    let back = Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("back")
        .on_thread_start(crate::live::behind)
        .enable_all()
        .build()
        .map_err(|e| format!("cannot start: {e}"))?;
    let store = Store::open(&loaded.settings.store).map_err(|e| e.to_string())?;
    if let Some(aside) = store.set_aside() {
        tracing::error!(file = %aside.display(), "the store was damaged; it was set aside and a new one begun");
    }
    back.block_on(supervise(loaded, store, back.handle().clone()))
}

/// Everything that lives as long as the daemon, on the back runtime's main task.
async fn supervise(loaded: Loaded, store: Store, back: Handle) -> Result<(), String> {
    let book_settings = loaded.book_settings(true);
    let Loaded { folder, settings, switches: switch_settings, live: reloadable, notes } = loaded;
    for note in &notes {
        tracing::warn!(%note, "the settings are good; this is worth a look");
    }
    let grace = Duration::from_millis(settings.shutdown.grace_ms);
    let (metrics, registry) = Metrics::new();
    let switches: Vec<SwitchId> = switch_settings.iter().map(|s| s.id().clone()).collect();
    let (core_ends, mut ends) = wiring::channels(&switches);

    let offers = Arc::new(load::offers(&reloadable.connectors, reloadable.webhooks.clone()));
    let connectors = Connectors::keeping(reloadable.connectors, settings.tokens_folder());
    let alerts = Arc::new(ArcSwap::from_pointee(reloadable.alerts));
    let customers = Customers::remembering(
        Arc::new(connectors.clone()),
        Some(Arc::new(store.clone())),
        &settings.customers,
        back.clone(),
        ends.cards.clone(),
    );
    customers.reload(load::site(&settings, &reloadable.directory));
    connectors::beside::live::recall(&connectors, &settings.watch_folder());

    // Doors open only now: settings are whole and the store is ours.
    let admin_listener = TcpListener::bind(settings.admin.listen)
        .await
        .map_err(|e| format!("cannot listen on {} (admin): {e}", settings.admin.listen))?;
    let hooks_listener = match settings.hooks.listen {
        None => None,
        Some(at) => Some(TcpListener::bind(at).await.map_err(|e| format!("cannot listen on {at} (hooks): {e}"))?),
    };
    let verifier =
        Arc::new(access::live::verifier(&settings.agents.tokens).map_err(|e| format!("agents.tokens: {e}"))?);
    let keys = back.spawn(access::live::keep(verifier.clone(), settings.agents.tokens.keys.clone()));
    let screens = Arc::new(Screens::new(&settings.agents.limits));
    let doors_stop = CancellationToken::new();
    let keeper = Arc::new(Keeper::new(settings.recordings.clone(), store.clone())?);
    let stall = Duration::from_millis(settings.recordings.stall_ms);
    let shards = shards::open(shards::Door {
        settings: Arc::new(settings.agents.clone()),
        verifier: verifier.clone(),
        screens: screens.clone(),
        heard: ends.heard.clone(),
        back: back.clone(),
        recordings: Some(shards::Recordings { fetches: ends.fetches.0, pieces: wiring::pieces, stall }),
        stop: doors_stop.clone(),
    })
    .map_err(|e| e.to_string())?;

    let plans = flows::live::Plans::default();
    plans.swap(&store, reloadable.flows).await.map_err(|e| e.to_string())?;

    // Open calls of the last run, before the first snapshot.
    let open = store.open_calls().await.map_err(|e| e.to_string())?;
    let seats = store.seats().await.map_err(|e| e.to_string())?;
    let callbacks = store.callbacks().await.map_err(|e| e.to_string())?;
    let states = store.states().await.map_err(|e| e.to_string())?;
    let stats: Vec<Stats> = switch_settings.iter().map(|s| Stats::new(s)).collect();
    let beats = Arc::new(AtomicU64::new(0));

    // The core, on a thread of its own.
    let links_stop = CancellationToken::new();
    let mut roster = Roster::new(
        store.fence(),
        settings.agents.limits.clone(),
        settings.agents.full_numbers.clone(),
        switches.clone(),
    );
    roster.states(settings.agents.states.clone());
    roster.opens(settings.agents.open);
    roster.outcomes(settings.agents.outcomes.clone());
    roster.outcome_required(settings.agents.outcome_required.clone());
    let now = crate::live::now();
    for (key, kept) in states.into_iter().filter_map(super::core::kept_state) {
        roster.recall_state(now, key, kept);
    }
    roster.offer(offers.clone());
    roster.hears(settings.recordings.offered());
    roster.record_views(settings.people.views.iter().cloned());
    roster.can(switch_settings.iter().map(|s| (s.id().clone(), s.abilities())).collect());
    let today = || crate::kpis::Today::new(settings.kpis.clone(), load::edges_of(&switch_settings), now.wall);
    // What is on disk before the core writes its first record; it is read when everything runs.
    let held = Reader::open(&settings.store).and_then(|reader| reader.hold().map(|()| reader));
    let so_far = today();
    let callers = crate::kpis::Callers::new(load::edges_of(&switch_settings));
    let callers_so_far = callers.empty();
    let core_seed = CoreSeed {
        zone: settings.kpis.zone(),
        today: today(),
        callers,
        guarded: reloadable.guarded.clone(),
        flows: plans.clone(),
        places: ends.places.clone(),
        ends: core_ends,
        said: ends.said.clone(),
        commands: std::mem::take(&mut ends.commands),
        switch_settings: switch_settings.clone(),
        stats: stats.clone(),
        book: Book::new(book_settings.clone()),
        roster,
        desk: Desk::new(reloadable.rules.clone(), offers, book_settings.directory.clone())
            .calling_back(settings.callbacks.clone(), callbacks)
            .declaring(
                book_settings.switches.iter().map(|(id, rules)| (id.clone(), rules.attributes.clone())).collect(),
            ),
        customers: customers.clone(),
        directory: book_settings.directory.clone(),
        switches: switches.clone(),
        metrics: metrics.clone(),
        screens: screens.clone(),
        traces: watch::Traces::new(&settings.traces),
        stop: links_stop.clone(),
        open,
        seats,
    };
    let core = thread::Builder::new()
        .name("core".to_owned())
        .spawn(move || core_seed.live())
        .map_err(|e| format!("cannot start the core: {e}"))?;

    let mut tasks = JoinSet::new();
    tasks.spawn(earlier(held, so_far, callers_so_far, ends.control.clone()));
    let clerk_stop = CancellationToken::new();
    let clerk = back.spawn(records::live::clerk(store.clone(), ends.outputs, ends.kept, clerk_stop.clone()));
    let sender = Sender::new(reloadable.webhooks.clone());
    let outbox_stop = CancellationToken::new();
    let delivered = Delivered {
        connectors: connectors.clone(),
        customers: customers.clone(),
        sender: sender.clone(),
        wishes: ends.wishes,
    };
    let outbox = back.spawn(records::live::deliver(
        store.clone(),
        delivered.clone(),
        settings.outbox.clone(),
        outbox_stop.clone(),
    ));
    let sides = super::reconcile::Sides {
        store: settings.store.clone(),
        switches: switch_settings.clone(),
        book: book_settings.clone(),
    };
    tasks.spawn(super::reconcile::nightly(Arc::new(sides), delivered.clone(), settings.reconcile.clone()));
    let post = flows::answers::live::Post::new(store.clone(), reloadable.directory.clone());
    let means = flows::live::Means {
        systems: delivered,
        post: post.clone(),
        plans: plans.clone(),
        settings: settings.flows.clone(),
        tenant: TenantId::default(),
        inscriptions: ends.inscriptions.clone(),
    };
    let flows = back.spawn(flows::live::drive(store.clone(), means, ends.flows.clone(), outbox_stop.clone()));
    tasks.spawn(flows::live::prune(store.clone(), settings.flows.clone()));
    tasks.spawn(searches(customers.clone(), ends.searches, ends.found.clone()));
    tasks.spawn(recordings::live::keep(keeper.clone(), ends.recordings, ends.linked, ends.fetches.1));
    tasks.spawn(sweeps(keeper.clone(), ends.control.clone()));
    tasks.spawn(privacy::live::keep(settings.people.clone(), store.clone()));

    let waiting = Arc::new(Mutex::new(switches.iter().map(|s| format!("switch {s}")).collect::<Vec<_>>()));
    let figures = Arc::new(Page {
        registry,
        metrics: metrics.clone(),
        waiting: waiting.clone(),
        control: ends.control.clone(),
        store: settings.store.clone(),
        hints: Hints {
            settings: settings.admin.route_hint.clone(),
            gate: Gate::new(&settings.admin.route_hint)?,
            customers: customers.clone(),
            audit: store.clone(),
        },
    });
    let admin_stop = CancellationToken::new();
    tasks.spawn({
        let stop = admin_stop.clone();
        async move {
            if let Err(error) = admin::http::serve(admin_listener, figures, stop.cancelled_owned()).await {
                tracing::error!(%error, "the admin's HTTP ended");
            }
        }
    });
    let (reloads, mut reload_asked) = ends.reloads;
    let console = match settings.console.listen {
        None => None,
        Some(at) => {
            let listener = TcpListener::bind(at).await.map_err(|e| format!("cannot listen on {at} (console): {e}"))?;
            let house = House {
                folder: folder.clone(),
                connectors: connectors.clone(),
                waiting: waiting.clone(),
                metrics: metrics.clone(),
                reloads,
                control: ends.control.clone(),
                back: back.clone(),
            };
            let console = Arc::new(Console::new(Parts {
                settings: settings.console.clone(),
                house: Arc::new(house),
                store: settings.store.clone(),
                watch_folder: settings.watch_folder(),
                accounts: reloadable.accounts,
                verifier: verifier.clone(),
                links: stats.clone(),
                switches: switch_settings.clone(),
                connectors: connectors.clone(),
                metrics: metrics.clone(),
                kpis: settings.kpis.clone(),
                directory: reloadable.directory.clone(),
                edges: load::edges_of(&switch_settings),
            })?);
            let (served, stop) = (console.clone(), admin_stop.clone());
            tasks.spawn(async move {
                if let Err(error) = admin::console::http::serve(listener, served, stop.cancelled_owned()).await {
                    tracing::error!(%error, "the console's HTTP ended");
                }
            });
            tracing::info!(%at, "the console is at /admin");
            Some(console)
        }
    };
    for switch in &switch_settings {
        tasks.spawn(super::reconcile::mend(switch.clone(), store.clone(), ends.control.clone()));
        tasks.spawn(super::gaps::watch(switch.clone(), store.clone(), ends.control.clone(), metrics.clone()));
    }
    tasks.spawn(systems(connectors.clone(), ends.control.clone()));
    tasks.spawn(changes(customers.clone(), ends.hooks.1));
    if let Some(listener) = hooks_listener {
        let folder = settings.hooks_folder();
        let door = Door::new(connectors.clone(), &settings.hooks, folder, ends.hooks.0, metrics.clone()).beginning(
            plans.clone(),
            post.clone(),
            store.clone(),
        );
        tasks.spawn(admin::hooks::serve(listener, Arc::new(door), doors_stop.clone().cancelled_owned()));
    }
    tasks.spawn(connectors::index::live::keep(connectors.clone(), settings.index_folder()));
    tasks.spawn(indexes(connectors.clone(), metrics.clone()));
    tasks.spawn(connectors::version::live::keep(connectors.clone()));
    tasks.spawn(connectors::beside::live::keep(connectors.clone(), settings.watch_folder(), {
        let store = store.clone();
        move |event| audited(&store, event)
    }));
    tasks.spawn(connectors::evidence::live::keep(connectors.clone(), settings.watch_folder()));
    let heard = Box::new({
        let stats = stats.clone();
        move || stats.iter().map(seen).collect()
    });
    // What the door shows was read at the start, and a new one takes a restart.
    let tls = settings.agents.tls.as_ref();
    let own = tls.and_then(|tls| Some(("agents' door".to_owned(), crate::live::chain_ends(&tls.certificate)?)));
    let watcher = Watcher::new(connectors.clone(), metrics.clone(), heard, alerts.clone(), &settings.watch_folder())
        .with_certificates(own.into_iter().collect())
        .telling(sender.clone());
    tasks.spawn(watcher.watch());
    tasks.spawn(heartbeat(ends.control.clone(), waiting.clone(), beats.clone()));
    tasks.spawn(count(store.clone(), customers.clone(), screens.clone(), keeper, stats, metrics.clone()));

    notify(&[sd_notify::NotifyState::Ready, sd_notify::NotifyState::Status("running")]);
    tracing::info!(switches = switches.len(), agents = %settings.agents.listen, admin = %settings.admin.listen, "linecard is up");

    let mut terminate = signal(SignalKind::terminate()).map_err(|e| e.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|e| e.to_string())?;
    let mut hangup = signal(SignalKind::hangup()).map_err(|e| e.to_string())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {
                let reloaded = Reloaded { connectors: &connectors, customers: &customers, sender: &sender, alerts: &alerts, plans: &plans, post: &post, store: &store, console: console.as_deref() };
                let _ = reload(&folder, &switch_settings, reloaded, &ends.control, &metrics).await;
            }
            Some(answer) = reload_asked.recv() => {
                let reloaded = Reloaded { connectors: &connectors, customers: &customers, sender: &sender, alerts: &alerts, plans: &plans, post: &post, store: &store, console: console.as_deref() };
                // Who asked may be gone; it is reloaded all the same.
                let _ = answer.send(reload(&folder, &switch_settings, reloaded, &ends.control, &metrics).await);
            }
        }
    }

    notify(&[sd_notify::NotifyState::Stopping, sd_notify::NotifyState::Status("draining")]);
    tracing::info!(grace_ms = settings.shutdown.grace_ms, "stopping: what is in hand is finished first");
    let drained = tokio::time::timeout(grace, async {
        // Nothing more comes in; then the core hands over what it holds, the clerk makes it durable, the outbox settles.
        links_stop.cancel();
        doors_stop.cancel();
        let _ = tokio::task::spawn_blocking(move || shards.join()).await;
        let _ = ends.control.send(Control::Stop).await;
        drop(ends.said);
        let _ = tokio::task::spawn_blocking(move || core.join()).await;
        let _ = clerk.await;
        outbox_stop.cancel();
        let _ = outbox.await;
        let _ = flows.await;
    })
    .await;
    admin_stop.cancel();
    tasks.shutdown().await;
    clerk_stop.cancel();
    keys.abort();
    // The last handle waits for the writer: what it has taken is on disk when this returns.
    drop(store);
    match drained {
        Ok(()) => tracing::info!("stopped"),
        Err(_) => tracing::warn!("the grace is over; what is left goes on at the next start"),
    }
    Ok(())
}

/// The day until this start, for boards and agents, then who called in the days before it: what was on disk then, read beside everything else.
async fn earlier(
    held: Result<Reader, StoreError>,
    mut today: crate::kpis::Today,
    mut callers: crate::kpis::Callers,
    control: mpsc::Sender<Control>,
) {
    let read = tokio::task::spawn_blocking(move || {
        let (reader, at) = (held?, now().wall);
        if let Some(begins) = today.begins() {
            reader.ended(begins, Wall(i64::MAX), |ended| {
                let Ok(call) = ended.call.parse() else { return };
                let (tenant, ended, body) = (&ended.tenant.into(), ended.at, ended.body);
                today.take(at, crate::kpis::Written { tenant, call, ended, first: true, body });
            })?;
        }
        let tell = |what| drop(control.blocking_send(what));
        tell(Control::Today(Box::new(today)));
        let begins = at.plus_ms(-i64::from(crate::kpis::DAYS) * 86_400_000);
        reader.ended(begins, Wall(i64::MAX), |ended| callers.take(at, &ended.tenant.into(), ended.at, ended.body))?;
        tell(Control::Callers(Box::new(callers)));
        Ok::<_, StoreError>(())
    });
    match read.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "today and who called before are counted from this start on"),
        Err(error) => tracing::warn!(%error, "today and who called before are counted from this start on"),
    }
}

/// What the core thread is made of. All of it may cross to that thread; nothing of it comes back.
struct CoreSeed {
    flows: flows::live::Plans,
    zone: jiff::tz::TimeZone,
    today: crate::kpis::Today,
    callers: crate::kpis::Callers,
    guarded: Arc<crate::calls::guard::Guarded>,
    places: tokio::sync::watch::Receiver<crate::calls::seats::Places>,
    ends: CoreEnds,
    said: mpsc::Sender<switches::Said>,
    commands: std::collections::HashMap<SwitchId, mpsc::Receiver<crate::calls::Command>>,
    switch_settings: Vec<Arc<switches::Settings>>,
    stats: Vec<Stats>,
    book: Book,
    roster: Roster,
    desk: Desk,
    customers: Customers,
    directory: Arc<crate::calls::Directory>,
    switches: Vec<SwitchId>,
    metrics: Metrics,
    screens: Arc<Screens>,
    traces: watch::Traces,
    stop: CancellationToken,
    open: Vec<CheckpointRow>,
    seats: Vec<SeatRow>,
}

impl CoreSeed {
    fn live(self) {
        let runtime =
            Builder::new_current_thread().enable_all().build().expect("a thread and a timer are to be had at start");
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, self.turn());
    }

    async fn turn(mut self) {
        let mut links = JoinSet::new();
        let CoreEnds {
            mut said,
            mut heard,
            mut cards,
            mut kept,
            mut found,
            mut linked,
            mut flows,
            mut inscriptions,
            mut wishes,
            mut control,
            outputs,
            searches,
            recordings,
            commands,
            places,
        } = self.ends;
        let outs = Outs { screens: self.screens, commands, outputs, searches, recordings, places };
        let rooms = (self.book, self.roster, self.desk);
        let mut core = Core::new(rooms, self.customers, self.directory, self.switches, self.metrics, outs);
        core.traces = self.traces;
        core.guard.reload(self.guarded);
        core.flows = self.flows;
        core.zone = self.zone;
        core.today = self.today;
        core.callers = self.callers;
        core.restore(now(), self.open, self.seats);
        for (settings, stats) in self.switch_settings.iter().zip(&self.stats) {
            let Some(commands) = self.commands.remove(settings.id()) else { continue };
            links.spawn_local(switches::live::run(
                settings.clone(),
                stats.clone(),
                self.places.clone(),
                core.open_legs(settings.id()),
                self.said.clone(),
                commands,
                self.stop.clone(),
            ));
        }
        drop(self.said);
        loop {
            let deadline = core.deadline().map(instant);
            let unsent = core.unsent() > 0;
            // Switches first: a pop is what everybody waits for. The others are short, and none can starve them for long.
            tokio::select! {
                biased;
                Some(said) = said.recv() => core.said(now(), said),
                Some(heard) = heard.recv() => core.heard(now(), heard),
                Some(answered) = cards.recv() => core.answered(now(), answered),
                Some(answer) = kept.recv() => core.kept(now(), answer),
                Some((token, list)) = found.recv() => core.found(now(), token, list),
                Some(answer) = linked.recv() => core.linked(now(), answer),
                Some(view) = flows.recv() => core.flow(now(), view),
                Some(wish) = inscriptions.recv() => core.inscribe(now(), wish),
                Some(told) = wishes.recv() => core.wish(now(), told),
                order = control.recv() => match order {
                    Some(Control::Reload { book, rules, offers, guarded }) => core.reload(now(), *book, rules, offers, guarded),
                    Some(Control::Today(earlier)) => core.earlier(now(), *earlier),
                    Some(Control::Callers(earlier)) => core.called(now(), *earlier),
                    Some(Control::System { id, up, reason }) => core.system(now(), id, up, reason),
                    Some(Control::Trace(call, answer)) => {
                        let _ = answer.send(core.trace(call));
                    }
                    Some(Control::Hint(caller, answer)) => {
                        let _ = answer.send(core.asking(&caller));
                    }
                    Some(Control::Where(tenant, agent, switch, answer)) => {
                        let _ = answer.send(core.device_of(&tenant, &agent, &switch));
                    }
                    Some(Control::People(of, answer)) => {
                        let _ = answer.send(core.people(&of));
                    }
                    Some(Control::Queues(tenant, of, answer)) => {
                        let _ = answer.send(core.queues(now(), tenant.as_ref(), of.as_deref()));
                    }
                    Some(Control::Unknown { switch, calls, answer }) => {
                        let _ = answer.send(core.unknown(&switch, calls));
                    }
                    Some(Control::Missed { switch, calls, position }) => core.missed(now(), &switch, &calls, position),
                    Some(Control::Amend(row, answer)) => {
                        let _ = answer.send(core.amended(now(), *row));
                    }
                    Some(Control::Beat(answer)) => {
                        let _ = answer.send(core.beat(now()));
                    }
                    Some(Control::Stop) | None => break,
                },
                () = at(deadline) => core.tick(now()),
                // One change after the other, and between two the links may read.
                () = tokio::task::yield_now(), if core.has_work() => core.work(now()),
                () = tokio::time::sleep(Duration::from_millis(20)), if unsent => core.flush(),
            }
        }
        // Links have been told to stop; what they said before is still in the channel.
        while links.join_next().await.is_some() {}
        while let Ok(last) = said.try_recv() {
            core.said(now(), last);
        }
        core.last(now());
        while core.has_work() {
            core.work(now());
        }
        while core.unsent() > 0 {
            // The clerk drains while we wait; his answers need no hearing any more.
            while kept.try_recv().is_ok() {}
            core.flush();
            tokio::task::yield_now().await;
        }
    }
}

/// What became of a canary, into the audit.
fn audited(store: &Store, connectors::beside::live::Event::Stopped(canary, reason): connectors::beside::live::Event) {
    let (tenant, at) = (TenantId::default(), now().wall);
    let (who, what, about) = ("guard".to_owned(), "canary.stopped".to_owned(), canary.to_string());
    let row = AuditRow { tenant, at, who, what, about, reason: Some(reason) };
    let store = store.clone();
    tokio::spawn(async move {
        if let Err(error) = store.submit(crate::store::Batch { audit: vec![row], ..Default::default() }).await {
            tracing::warn!(%error, "that a canary was stopped is not in the audit");
        }
    });
}

/// A switch, as whoever watches sees it.
fn seen(stats: &Stats) -> Switch {
    let version = |(version, (from, to)): (String, (&str, &str))| {
        (version, Some(connectors::version::Range { from: from.to_owned(), to: to.to_owned() }))
    };
    Switch {
        id: stats.switch().to_string(),
        events: stats.each().iter().map(|(.., link)| link.events).sum(),
        versions: stats.versions().into_iter().map(version).collect(),
        certificate_ends: stats.certificate_ends(),
    }
}

async fn at(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// What takes new settings while it runs.
struct Reloaded<'a> {
    connectors: &'a Connectors,
    customers: &'a Customers,
    sender: &'a Sender,
    alerts: &'a ArcSwap<Rules>,
    plans: &'a flows::live::Plans,
    post: &'a flows::answers::live::Post,
    store: &'a Store,
    console: Option<&'a Console>,
}

/// Trunks, agents, connectors and rules again, all or nothing. Switches and linecard.yaml need a restart; a change there is said.
async fn reload(
    folder: &Path,
    running: &[Arc<switches::Settings>],
    parts: Reloaded<'_>,
    control: &mpsc::Sender<Control>,
    metrics: &Metrics,
) -> Result<(), Vec<Problem>> {
    notify(&[
        sd_notify::NotifyState::Reloading,
        sd_notify::NotifyState::monotonic_usec_now().unwrap_or(sd_notify::NotifyState::Status("reloading")),
    ]);
    let path = folder.to_owned();
    let loaded = tokio::task::spawn_blocking(move || load::load(&path, &[])).await;
    let (outcome, result) = match loaded {
        Ok(Ok(loaded)) => {
            let same =
                loaded.switches.len() == running.len() && loaded.switches.iter().zip(running).all(|(a, b)| a == b);
            if !same {
                tracing::warn!("a switch file changed: that takes a restart; the rest is reloaded");
            }
            let mut book = loaded.book_settings(true);
            if !same {
                // The book keeps the switches that run.
                book.switches = load::rules_of(running);
            }
            let rules = loaded.live.rules.clone();
            let offers = Arc::new(load::offers(&loaded.live.connectors, loaded.live.webhooks.clone()));
            if let Err(error) = parts.plans.swap(parts.store, loaded.live.flows).await {
                tracing::error!(%error, "the disk took no flows: those that ran go on");
            }
            parts.customers.reload(load::site(&loaded.settings, &loaded.live.directory));
            parts.connectors.swap(loaded.live.connectors);
            if let Some(console) = parts.console {
                console.reload(loaded.live.accounts, loaded.live.directory.clone());
            }
            parts.post.reload(loaded.live.directory.clone());
            parts.sender.reload(loaded.live.webhooks);
            parts.alerts.store(Arc::new(loaded.live.alerts));
            let guarded = loaded.live.guarded.clone();
            let _ = control.send(Control::Reload { book: Box::new(book), rules, offers, guarded }).await;
            tracing::info!("settings were reloaded");
            ("good", Ok(()))
        }
        Ok(Err(problems)) => {
            for problem in &problems {
                tracing::error!(%problem, "the settings are wrong");
            }
            tracing::error!(problems = problems.len(), "nothing was reloaded; what ran goes on");
            ("refused", Err(problems))
        }
        Err(error) => {
            tracing::error!(%error, "the reload ended by itself; what ran goes on");
            ("failed", Err(Vec::new()))
        }
    };
    metrics.reloads.get_or_create(&watch::Kind { kind: outcome.to_owned() }).inc();
    notify(&[sd_notify::NotifyState::Ready, sd_notify::NotifyState::Status("running")]);
    result
}

/// The outbox's way to the systems: what it writes about a number makes what is known of that number old.
#[derive(Clone)]
struct Delivered {
    connectors: Connectors,
    customers: Customers,
    sender: Sender,
    wishes: mpsc::Sender<records::wishes::Told>,
}

impl records::live::Systems for Delivered {
    fn idempotency(&self, tenant: &TenantId, system: &SystemId, operation: &str) -> Idempotency {
        if system.as_str().starts_with(hooks::PREFIX) {
            return Idempotency::Key;
        }
        records::live::Systems::idempotency(&self.connectors, tenant, system, operation)
    }
    fn told(&self, row: &EffectRow, next: &Next) {
        let webhook = row.system.as_str().starts_with(hooks::PREFIX);
        let Some(told) = records::wishes::became(row, next).filter(|_| !webhook) else { return };
        // Who asked for it sees what it made of the customer's tickets. Not so what rules write: a card that follows our own writes would change what is to be
        // written (the newest ticket is another then), and so on without end.
        if matches!(next, Next::Done { .. })
            && let Some(changed) = records::wishes::changed(row)
        {
            let customers = self.customers.clone();
            tokio::spawn(async move { customers.heard(&[changed]).await });
        }
        if self.wishes.try_send(told).is_err() {
            tracing::debug!(call = %row.call, "too much was told at once of what was written; this is not shown");
        }
    }
    fn offers(&self, system: &SystemId, operation: &str) -> bool {
        self.connectors.offers(system, operation)
    }
    async fn ask(&self, ask: Ask) -> Outcome {
        if ask.system.as_str().starts_with(hooks::PREFIX) {
            return self.sender.send(&ask).await;
        }
        let about = [customers::ATTACH, customers::CREATE].contains(&ask.operation.as_str());
        let number = ask.inputs.get("number").and_then(|n| n.as_str()).filter(|_| about).map(str::to_owned);
        let changes =
            ["ticket.", "note.add", connectors::operation::UPDATE].iter().any(|it| ask.operation.starts_with(it));
        let changed = changes.then(|| records::wishes::of_customer(&ask.system, &ask.inputs)).flatten();
        let tenant = ask.tenant.clone();
        let outcome = self.connectors.run(ask).await;
        if let Some(changed) = changed {
            self.customers.outdated(&[changed]).await;
        }
        // Also where it is not sure that it was done: looking again costs a question.
        if let Some(number) = number {
            self.customers.changed(&tenant, &number).await;
        }
        outcome
    }
    fn goes(&self, version: &SystemId, operation: &str) -> bool {
        self.connectors.goes(version, operation)
    }
}

/// Once at the start and then every day: what is too old to be kept.
async fn sweeps(keeper: Arc<Keeper>, control: mpsc::Sender<Control>) {
    let mut clock = tokio::time::interval(SWEEP);
    loop {
        clock.tick().await;
        keeper.sweep(&Amender(control.clone())).await;
    }
}

/// The desk's way to a record: what is in hand there is written there.
struct Amender(mpsc::Sender<Control>);

impl recordings::live::Amend for Amender {
    async fn amend(&self, row: RecordRow) -> bool {
        let (answer, taken) = oneshot::channel();
        self.0.send(Control::Amend(Box::new(row), answer)).await.is_ok() && taken.await.unwrap_or(false)
    }
}

async fn searches(
    customers: Customers,
    mut asked: mpsc::Receiver<Search>,
    found: mpsc::Sender<(agents::Token, Found)>,
) {
    while let Some(search) = asked.recv().await {
        let (customers, found) = (customers.clone(), found.clone());
        tokio::spawn(async move {
            let query = search.query.expose();
            let list = match &search.what {
                Sought::Customers => Found::Customers(customers.search(&search.tenant, query).await),
                Sought::Tickets(of) => Found::Tickets(customers.tickets(&search.tenant, query, of.as_deref()).await),
            };
            let _ = found.send((search.token, list)).await;
        });
    }
}

/// Judges each business system by what its operations came to in the last second, and tells the core (and so every screen) when one
/// went or came back. A system that nobody asked stays as it was.
async fn systems(connectors: Connectors, control: mpsc::Sender<Control>) {
    let mut clock = tokio::time::interval(Duration::from_secs(1));
    let mut last: HashMap<(SystemId, &'static str, &'static str), u64> = HashMap::new();
    let mut down: HashSet<SystemId> = HashSet::new();
    loop {
        clock.tick().await;
        let mut seen: HashMap<SystemId, (bool, Option<&'static str>)> = HashMap::new();
        // Of a canary that is away its guard hears, and of a shadow nobody need know.
        let known = connectors.systems();
        for (system, operation, outcome, n) in connectors.counts() {
            if !known.contains(&system) {
                continue;
            }
            if last.insert((system.clone(), operation, outcome), n).unwrap_or(0) >= n {
                continue;
            }
            let (good, bad) = seen.entry(system).or_default();
            match outcome {
                "busy" | "broken" | "unknown" | "denied" | "auth-expired" | "rate-limited" => *bad = Some(outcome),
                _ => *good = true,
            }
        }
        for (system, (good, bad)) in seen {
            let told = match bad {
                _ if good && down.remove(&system) => Control::System { id: system.to_string(), up: true, reason: None },
                Some(outcome) if !good && down.insert(system.clone()) => {
                    tracing::warn!(%system, outcome, "a business system gives no answers");
                    Control::System { id: system.to_string(), up: false, reason: Some(outcome.to_owned()) }
                }
                _ => continue,
            };
            if control.send(told).await.is_err() {
                return;
            }
        }
    }
}

/// Asks the core for a sign of life; feeds the watchdog and readiness with the answer.
async fn heartbeat(control: mpsc::Sender<Control>, waiting: Arc<Mutex<Vec<String>>>, beats: Arc<AtomicU64>) {
    let every = sd_notify::watchdog_enabled().map_or(BEAT, |limit| (limit / 3).min(BEAT));
    let mut clock = tokio::time::interval(every);
    loop {
        clock.tick().await;
        let (ask, answer) = oneshot::channel();
        if control.send(Control::Beat(ask)).await.is_err() {
            return;
        }
        let Ok(list) = answer.await else { return };
        *waiting.lock().unwrap_or_else(PoisonError::into_inner) = list;
        beats.fetch_add(1, Ordering::Relaxed);
        notify(&[sd_notify::NotifyState::Watchdog]);
    }
}

/// What business systems say has changed is asked for anew. Gathered a little: one look through the cache serves all of it.
async fn changes(customers: Customers, mut told: mpsc::Receiver<connectors::hook::Heard>) {
    let mut heard = Vec::new();
    while told.recv_many(&mut heard, wiring::HOOKS).await > 0 {
        customers.heard(&heard).await;
        heard.clear();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What the indexes of numbers hold, into the figures.
async fn indexes(connectors: Connectors, metrics: Metrics) {
    let mut clock = tokio::time::interval(Duration::from_secs(5));
    let whole = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    loop {
        clock.tick().await;
        for index in connectors.indexes() {
            let label = watch::System { system: index.system.to_string() };
            metrics.index_failures.get_or_create(&label).set(whole(u64::from(index.failures)));
            let (Some(holds), Some(at)) = (index.holds, index.known_at) else { continue };
            metrics.index_customers.get_or_create(&label).set(whole(holds.customers as u64));
            metrics.index_numbers.get_or_create(&label).set(whole(holds.numbers as u64));
            metrics.index_unreadable.get_or_create(&label).set(whole(holds.odd as u64));
            metrics.index_age_seconds.get_or_create(&label).set(whole(now().wall.since(at) / 1000));
            metrics.index_walk_seconds.get_or_create(&label).set(whole(index.took_ms.unwrap_or(0) / 1000));
        }
    }
}

/// Rooms' own counters into the figures, once a second.
async fn count(
    store: Store,
    customers: Customers,
    screens: Arc<Screens>,
    keeper: Arc<Keeper>,
    stats: Vec<Stats>,
    metrics: Metrics,
) {
    let mut clock = tokio::time::interval(Duration::from_secs(1));
    let whole = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    loop {
        clock.tick().await;
        for (switch, feed, link) in stats.iter().flat_map(Stats::each) {
            let label = watch::Link { switch: switch.to_string(), feed: feed.as_str().to_owned() };
            metrics.link_events.get_or_create(&label).set(whole(link.events));
            metrics.link_dropped.get_or_create(&label).set(whole(link.dropped));
            metrics.link_reconnects.get_or_create(&label).set(whole(link.connects));
            metrics.devices_unknown.get_or_create(&label).set(whole(link.unknown));
            metrics.devices_unregistered.get_or_create(&label).set(whole(link.unregistered));
            metrics.link_refused.get_or_create(&label).set(whole(link.refused));
            metrics.link_resyncs.get_or_create(&label).set(whole(link.resyncs));
        }
        for (system, outcome, n) in customers.counts() {
            let label = watch::Lookup { system: system.to_string(), outcome: outcome.to_owned() };
            metrics.lookups.get_or_create(&label).set(whole(n));
        }
        for (kind, n) in keeper.figures.each() {
            metrics.recordings.get_or_create(&watch::Kind { kind: kind.to_owned() }).set(whole(n));
        }
        metrics.screens.set(whole(screens.figures.screens.load(Ordering::Relaxed) as u64));
        if let Ok(figures) = store.stats().await {
            for state in State::ALL {
                let n = figures.outbox.iter().find(|(s, _)| *s == state).map_or(0, |(_, n)| *n);
                metrics.outbox.get_or_create(&watch::State { state: state.as_str().to_owned() }).set(whole(n));
            }
            let oldest = figures.oldest_due.map_or(0, |due| now().wall.since(due) / 1000);
            metrics.outbox_oldest_seconds.set(whole(oldest));
            metrics.flows_open.set(whole(figures.flows_open));
            metrics.flows_person.set(whole(figures.flows_person));
            for kind in crate::reconcile::compare::Kind::ALL {
                let n = figures.differences.iter().find(|(k, _)| k == kind.as_str()).map_or(0, |(_, n)| *n);
                metrics.consistency(kind.as_str()).set(whole(n));
            }
        }
    }
}

struct Page {
    registry: Registry,
    metrics: Metrics,
    waiting: Arc<Mutex<Vec<String>>>,
    control: mpsc::Sender<Control>,
    store: crate::store::Settings,
    hints: Hints,
}

/// What route hints are made of.
struct Hints {
    settings: admin::hint::Settings,
    gate: Gate,
    customers: Customers,
    audit: Store,
}

impl Page {
    /// Until the budget is over: asks the core what to ask, and the customers room.
    async fn hinted(&self, (name, tenant): (String, TenantId), query: admin::hint::Query) -> Result<Hint, String> {
        let until = tokio::time::Instant::now() + Duration::from_millis(self.hints.settings.budget_ms);
        let id = CallId(ulid::Ulid::from_parts(u64::try_from(now().wall.0).unwrap_or(0), rand::random()));
        let (switch, trunk) = (query.switch.map(SwitchId::from), query.trunk);
        let caller = Caller { tenant: tenant.clone(), switch, trunk, from: query.from, to: query.to, id };
        let (answer, asked) = oneshot::channel();
        let asking = async {
            self.control.send(Control::Hint(Box::new(caller), answer)).await.ok()?;
            asked.await.ok()
        };
        let asking = match tokio::time::timeout_at(until, asking).await {
            Ok(Some(Some(asking))) => asking,
            Ok(Some(None)) => return Err("switch: the tenant of this token has no such switch".to_owned()),
            Ok(None) | Err(_) => {
                return Ok(Hint::new(&customers::Card::of(customers::Answer::Pending), None, &self.hints.settings));
            }
        };
        let left = until.saturating_duration_since(tokio::time::Instant::now());
        let card = self.hints.customers.hint(&asking.question, left).await;
        let mut hint = Hint::new(&card, asking.language.as_deref(), &self.hints.settings);
        if let Some(agent) = hint.agent.clone() {
            let (answer, place) = oneshot::channel();
            let asked = async {
                self.control.send(Control::Where(tenant.clone(), agent, asking.switch, answer)).await.ok()?;
                place.await.ok().flatten()
            };
            // The core answers in microseconds; were it stuck, the caller would not wait for it.
            hint.at(tokio::time::timeout(Duration::from_millis(20), asked).await.ok().flatten());
        }
        let about = hint.agent.as_ref().map_or_else(|| hint.customer.to_owned(), ToString::to_string);
        let row = AuditRow { tenant, at: now().wall, who: name, what: "route-hint".to_owned(), about, reason: None };
        let store = self.hints.audit.clone();
        tokio::spawn(async move {
            if let Err(error) = store.submit(crate::store::Batch { audit: vec![row], ..Default::default() }).await {
                tracing::warn!(%error, "a route hint is not in the audit");
            }
        });
        Ok(hint)
    }
}

impl Figures for Page {
    fn gate(&self) -> &Gate {
        &self.hints.gate
    }
    fn hint(
        &self,
        asker: (String, TenantId),
        query: admin::hint::Query,
    ) -> Pin<Box<dyn Future<Output = Result<Hint, String>> + Send + '_>> {
        Box::pin(self.hinted(asker, query))
    }
    fn metrics(&self) -> String {
        watch::render(&self.registry)
    }
    fn unmapped(&self) -> Vec<unmapped::Line> {
        self.metrics.unmapped_lines.lock().unwrap_or_else(PoisonError::into_inner).lines()
    }
    fn forget(&self, tenant: TenantId, number: Private<String>) -> Pin<Box<dyn Future<Output = usize> + Send + '_>> {
        Box::pin(async move { self.hints.customers.forget_number(&tenant, number).await })
    }
    fn readiness(&self) -> Readiness {
        Readiness { waiting_for: self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clone() }
    }
    fn trace(&self, call: CallId) -> Pin<Box<dyn Future<Output = Option<Trace>> + Send + '_>> {
        Box::pin(async move {
            let (ask, answer) = oneshot::channel();
            if self.control.send(Control::Trace(call, ask)).await.is_ok()
                && let Ok(Some(trace)) = answer.await
                && trace.outcome.is_none()
            {
                return Some(trace);
            }
            let store = self.store.clone();
            let read = tokio::task::spawn_blocking(move || {
                let body = Reader::open(&store).and_then(|reader| reader.trace(call)).ok()?;
                serde_json::from_str(body.expose()).ok()
            });
            read.await.ok().flatten()
        })
    }
}

/// Tells systemd, where there is one.
fn notify(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(%error, "systemd was not told");
    }
}
