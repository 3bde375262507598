//! The index on the clock: walks when they are due, keeps the files, and swaps an index whole when a walk is complete in hand.
//!
//! Two files a system in the folder `index` beside the store, readable by the daemon's account alone: `NAME.numbers` of the last whole walk
//! and `NAME.changed` on top of it. They are written aside, synced and renamed, so that a crash leaves the old or the new. Where a system
//! is taken out, or its index switched off, they are deleted: nobody needs them, and they are people's numbers.

use std::{
    collections::HashSet,
    fs, io,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use serde_json::{Map, Value};
use tokio::task::{JoinSet, spawn_blocking};

use super::{
    super::{
        Ask, Connectors, Outcome, Priority, System,
        page::{Held, Walk as Pages},
    },
    Index, Sizes, Walk, due, from, put,
    table::{Builder, Made, Table},
};
use crate::{
    live::{dice, now},
    words::{SystemId, TenantId, Wall},
};

/// A page takes as long as its file's `deadline_ms` lets it; waiting for a place is part of it, and calls go first.
const PAGE_DEADLINE: Duration = Duration::from_secs(600);

/// One system's index and how its walks went.
#[derive(Default)]
pub struct Shelf {
    index: ArcSwapOption<Index>,
    state: Mutex<State>,
}

#[derive(Clone, Debug, Default)]
struct State {
    loaded: bool,
    walking: Option<Progress>,
    failed: Option<(u32, Wall)>,
    last_error: Option<String>,
}

/// How far a walk is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub pages: u32,
    pub customers: u64,
    /// What the system says that there are.
    pub of: Option<u64>,
}

/// What an admin is told of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub system: SystemId,
    /// `None` until the first walk is complete.
    pub holds: Option<Sizes>,
    /// What happened at the system until then is in it.
    pub known_at: Option<Wall>,
    pub whole_at: Option<Wall>,
    /// Of the last whole walk.
    pub took_ms: Option<u64>,
    pub bytes: usize,
    pub walking: Option<Progress>,
    /// Walks that failed one after the other, and why the last did.
    pub failures: u32,
    pub last_error: Option<String>,
}

impl Shelf {
    #[must_use]
    pub fn index(&self) -> Option<Arc<Index>> {
        self.index.load_full()
    }
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn status(&self, system: &SystemId) -> Status {
        let (index, state) = (self.index(), self.state().clone());
        Status {
            walking: state.walking,
            failures: state.failed.map_or(0, |(times, _)| times),
            last_error: state.last_error,
            ..status_of(system, index.as_deref())
        }
    }
}

fn status_of(system: &SystemId, index: Option<&Index>) -> Status {
    Status {
        system: system.clone(),
        holds: index.map(Index::sizes),
        known_at: index.map(Index::known_at),
        whole_at: index.map(Index::whole_at),
        took_ms: index.and_then(|i| i.whole().made()).map(|m| m.took_ms),
        bytes: index.map_or(0, |i| i.whole().bytes() + i.changed().map_or(0, Table::bytes)),
        walking: None,
        failures: 0,
        last_error: None,
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.holds, self.known_at) {
            (Some(holds), Some(at)) => {
                let age = super::age(now().wall.since(at));
                write!(f, "{} customers, {} numbers, {age} old", holds.customers, holds.numbers)?;
            }
            _ => write!(f, "not read yet")?,
        }
        if let Some(error) = &self.last_error {
            write!(f, "; the last walk failed: {error}")?;
        }
        Ok(())
    }
}

impl Connectors {
    /// Every index there is, in the order of the systems.
    #[must_use]
    pub fn indexes(&self) -> Vec<Status> {
        let mut all: Vec<Status> = self.shelves().iter().map(|shelf| shelf.status(shelf.key())).collect();
        all.sort_by(|a, b| a.system.cmp(&b.system));
        all
    }

    /// Takes the indexes that lie on the disk, for a command that is to answer as the daemon would. One that cannot be read is none.
    pub fn read_indexes(&self, folder: &Path) {
        for system in self.all().iter().filter(|system| system.index.is_some()) {
            if let Ok(Some(index)) = load(folder, &system.id) {
                self.shelves().entry(system.id.clone()).or_default().index.store(Some(Arc::new(index)));
            }
        }
    }
}

/// What lies on the disk of a system's index, for the command line.
#[must_use]
pub fn on_disk(folder: &Path, system: &SystemId) -> Option<Status> {
    load(folder, system).ok().flatten().map(|index| status_of(system, Some(&index)))
}

/// Keeps the indexes of all systems that want one, for as long as the daemon runs. Readiness does not wait for it: until an index is there the
/// systems' own searches answer.
pub async fn keep(connectors: Connectors, folder: PathBuf) {
    let mut clock = tokio::time::interval(Duration::from_secs(1));
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut walks = JoinSet::new();
    let mut kept: Option<HashSet<SystemId>> = None;
    loop {
        clock.tick().await;
        while walks.try_join_next().is_some() {}
        let systems: Vec<_> = connectors.all().into_iter().filter(|system| system.index.is_some()).collect();
        let wanted: HashSet<SystemId> = systems.iter().map(|system| system.id.clone()).collect();
        if kept.as_ref() != Some(&wanted) {
            connectors.shelves().retain(|id, _| wanted.contains(id));
            let (folder, names) = (folder.clone(), wanted.iter().map(name).collect());
            if let Ok(Err(error)) = spawn_blocking(move || tidy(&folder, &names)).await {
                tracing::warn!(%error, "an index of numbers that nobody wants any more could not be deleted");
            }
            kept = Some(wanted);
        }
        for system in systems {
            let shelf = connectors.shelves().entry(system.id.clone()).or_default().clone();
            if !shelf.state().loaded {
                let (folder, id) = (folder.clone(), system.id.clone());
                match spawn_blocking(move || load(&folder, &id)).await {
                    Ok(Ok(index)) => shelf.index.store(index.map(Arc::new)),
                    Ok(Err(why)) => {
                        tracing::warn!(system = %system.id, why, "the index of numbers on the disk cannot be used; it is read anew");
                    }
                    Err(_) => {}
                }
                shelf.state().loaded = true;
            }
            let Some(settings) = system.index else { continue };
            let failed = shelf.state().failed;
            let walk = due(shelf.index().as_deref(), &settings, &from(&system), failed, now().wall);
            let Some(walk) = walk.filter(|_| shelf.state().walking.is_none()) else { continue };
            shelf.state().walking = Some(Progress::default());
            let (connectors, folder) = (connectors.clone(), folder.clone());
            walks.spawn(async move {
                let under_way = UnderWay(shelf.clone());
                let outcome = one(&connectors, &system, &shelf, walk, folder).await;
                drop(under_way);
                let mut state = shelf.state();
                match outcome {
                    Ok(()) => (state.failed, state.last_error) = (None, None),
                    Err(why) => {
                        tracing::warn!(system = %system.id, why, "the index of numbers could not be read; the one that is there stays");
                        let times = state.failed.map_or(0, |(times, _)| times).saturating_add(1);
                        state.failed = Some((times, now().wall));
                        state.last_error = Some(why);
                    }
                }
            });
        }
    }
}

/// Whatever becomes of a walk, it is over.
struct UnderWay(Arc<Shelf>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.state().walking = None;
    }
}

/// One walk to its end: in memory, on the disk, and only then in use.
async fn one(
    connectors: &Connectors,
    system: &Arc<System>,
    shelf: &Arc<Shelf>,
    what: Walk,
    folder: PathBuf,
) -> Result<(), String> {
    let list = system.operation("customer.list").ok_or("customer.list is not offered any more")?;
    let begun = now();
    let mut builder = Builder::default();
    let since = match what {
        Walk::Whole => None,
        Walk::Since(at) => Some(at),
    };
    let progress = |progress| shelf.state().walking = Some(progress);
    walk(connectors, system, since, |record| put(&mut builder, system, &list.phones, record), progress).await?;
    let ended = now();
    let made = Made { from: from(system), at: begun.wall, took_ms: ended.mono.since_ms(begun.mono) };
    let (index, write_whole) = match (what, shelf.index()) {
        (Walk::Since(_), Some(before)) => {
            let table = builder.finish(made)?;
            before.with(&table)?
        }
        (_, before) => {
            let table = builder.finish(made)?;
            if table.customers() == 0 && before.as_ref().is_some_and(|b| b.sizes().customers > 0) {
                return Err("it gives nobody where there were customers before".to_owned());
            }
            (Index::new(table, None), true)
        }
    };
    let (index, id) = (Arc::new(index), system.id.clone());
    let written = index.clone();
    let saved = spawn_blocking(move || save(&folder, &id, &written, write_whole)).await;
    match saved {
        Ok(Ok(())) => {}
        // It is good for this run of the daemon all the same.
        Ok(Err(error)) => {
            tracing::error!(system = %system.id, %error, "the index of numbers cannot be kept on the disk")
        }
        Err(_) => return Err("writing it ended by itself".to_owned()),
    }
    let Sizes { customers, numbers, odd } = index.sizes();
    let took_ms = ended.mono.since_ms(begun.mono);
    match what {
        Walk::Whole => {
            tracing::info!(system = %system.id, customers, numbers, odd, took_ms, "the index of numbers was read anew")
        }
        Walk::Since(_) => {
            tracing::debug!(system = %system.id, customers, numbers, odd, took_ms, "the index of numbers was brought up to date")
        }
    }
    shelf.index.store(Some(index));
    Ok(())
}

/// All pages of `customer.list` from the first to the last, behind everything else that is asked of the system: `each` record once, and
/// after every page how far it is.
///
/// # Errors
/// Why the list could not be read whole; no personal data is in it.
pub async fn walk(
    connectors: &Connectors,
    system: &System,
    since: Option<Wall>,
    mut each: impl FnMut(&Map<String, Value>),
    mut progress: impl FnMut(Progress),
) -> Result<(), String> {
    let page = system.operation("customer.list").and_then(|list| list.page.as_ref());
    let plan = page.ok_or_else(|| format!("{} does not offer customer.list", system.id))?.plan;
    let mut pages = Pages::new(plan);
    let mut inputs = Map::new();
    if let Some(since) = since {
        // Whole seconds: some systems read no others.
        let since = jiff::Timestamp::from_millisecond(since.0).map_err(|_| "the clock is out of its range")?;
        inputs.insert("since".to_owned(), format!("{since:.0}").into());
    }
    let mut so_far = Progress::default();
    loop {
        inputs.insert("page".to_owned(), pages.turn().to_json());
        let ask = Ask {
            tenant: TenantId::default(),
            system: system.id.clone(),
            operation: "customer.list".to_owned(),
            inputs: inputs.clone(),
            deadline: PAGE_DEADLINE,
            priority: Priority::Background,
        };
        let seen = match connectors.run(ask).await {
            Outcome::Ok(value) => Held::from_json(value).ok_or("a page came that is none")?,
            Outcome::Empty => Held::default(),
            // Past the end; a first page that is not there is a mistake of the file.
            Outcome::NotFound if pages.so_far().0 > 0 => Held::default(),
            trouble => {
                let wait = pages.troubled(&trouble)?;
                // A little more, each time another: systems that went away together must not be asked together.
                tokio::time::sleep(Duration::from_millis(wait).mul_f64(1.0 + dice() / 10.0)).await;
                continue;
            }
        };
        let told = pages.told(&seen)?;
        for record in told.new.iter().filter_map(|at| seen.records.get(*at)?.as_ref()) {
            each(record);
            so_far.customers += 1;
        }
        (so_far.pages, so_far.of) = pages.so_far();
        progress(so_far);
        if told.done {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(pages.pause_ms())).await;
    }
}

/// The id as a file's name.
pub(crate) fn name(system: &SystemId) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    system.as_str().bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02x}") }).collect()
}

fn load(folder: &Path, system: &SystemId) -> Result<Option<Index>, String> {
    let read = |suffix: &str| match fs::read(folder.join(format!("{}{suffix}", name(system)))) {
        Ok(bytes) => Table::from_bytes(&bytes).map(Some).map_err(str::to_owned),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    };
    let Some(whole) = read(NUMBERS)? else { return Ok(None) };
    let at = whole.made().map(|m| m.at);
    // What a crash left behind of before this whole walk is no news.
    let changed = read(CHANGED)?.filter(|changed| {
        changed.made().zip(whole.made()).is_some_and(|(c, w)| c.from == w.from) && changed.made().map(|m| m.at) >= at
    });
    Ok(Some(Index::new(whole, changed)))
}

const NUMBERS: &str = ".numbers";
const CHANGED: &str = ".changed";

fn save(folder: &Path, system: &SystemId, index: &Index, whole: bool) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let path = |suffix: &str| folder.join(format!("{}{suffix}", name(system)));
    if whole {
        write(&path(NUMBERS), &index.whole().to_bytes())?;
    }
    match index.changed() {
        Some(changed) => write(&path(CHANGED), &changed.to_bytes())?,
        None => match fs::remove_file(path(CHANGED)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        },
    }
    fs::File::open(folder)?.sync_all()
}

/// Aside, synced, and then in its place; for the daemon's account alone.
pub(in super::super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let aside = path.with_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&aside, path)
}

/// Deletes what belongs to no system that wants an index.
fn tidy(folder: &Path, names: &HashSet<String>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let file = entry.file_name().to_string_lossy().into_owned();
        let owner = [NUMBERS, CHANGED, ".new"].iter().find_map(|suffix| file.strip_suffix(suffix));
        if owner.is_some_and(|owner| !names.contains(owner)) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
