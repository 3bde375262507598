//! The sides are read and handed to `reconcile::compare`: each night, by `linecard reconcile run`, and for one call that a person wants mended.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::wiring::Control;
use crate::{
    calls::{
        Book, Record, book,
        missed::{self, Row},
    },
    connectors::{Ask, Idempotency, Priority},
    live::now,
    reconcile::{
        Settings,
        compare::{self, Kind},
    },
    records::{
        hooks,
        live::{Systems, by, inputs},
    },
    store::{Compared, DifferenceRow, EffectFilter, EffectRow, Reader, RecordFilter, State, Store, StoreError},
    switches::{self, asterisk::cdr::live::whole},
    words::{SwitchId, SystemId, TenantId, Wall},
};

/// Around the time that is compared: a call that ended at its edge is in both sides, or in none.
const EDGE_MS: i64 = 3_600_000;
/// Looks, two seconds apart, after which a call that is still not written down will not be.
const MENDS: u8 = 5;
/// For one question to a business system.
const ASK: Duration = Duration::from_secs(30);

/// What came of a comparison, for people.
#[derive(Debug, Serialize)]
pub struct Report {
    pub from: Wall,
    pub to: Wall,
    /// Records of ours that ended in that time.
    pub calls: usize,
    /// Calls in each switch's own records, or why they could not be compared.
    pub switches: BTreeMap<SwitchId, Result<usize, String>>,
    /// Things that were delivered and asked for at their systems, and those of which nobody can say, with why.
    pub asked: usize,
    pub unknown: BTreeMap<String, usize>,
    pub found: Vec<DifferenceRow>,
}

/// Where the sides lie.
pub struct Sides {
    pub store: crate::store::Settings,
    pub switches: Vec<Arc<switches::Settings>>,
    pub book: book::Settings,
}

/// What is read before anybody is asked.
struct Read {
    records: Vec<Record>,
    /// Delivered in that time, or still not delivered, whenever they were born.
    effects: Vec<EffectRow>,
    found: Vec<DifferenceRow>,
    switches: BTreeMap<SwitchId, Result<usize, String>>,
}

impl Sides {
    /// Compares everything of that time and writes down what was found.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn compare<S: Systems>(
        self: &Arc<Self>,
        (from, to): (Wall, Wall),
        systems: Option<&S>,
        settings: &Settings,
    ) -> Result<Report, StoreError> {
        let at = now().wall;
        let this = self.clone();
        let read = tokio::task::spawn_blocking(move || this.read(from, to, at)).await;
        let Read { records, effects, mut found, switches } = read.map_err(|_| StoreError::Closed)??;
        let delivered =
            effects.into_iter().filter(|e| e.state == State::Done && (from..=to).contains(&e.updated_at)).collect();
        let mut answers = Answers::default();
        if let Some(systems) = systems {
            answers.ask(systems, delivered, settings.at_once).await;
            found.append(&mut answers.found);
        }
        let calls = records.iter().filter(|r| r.ended_at.is_some_and(|at| (from..=to).contains(&at))).count();
        let report = Report { from, to, calls, switches, asked: answers.asked, unknown: answers.unknown, found };
        let compared = self.concluded(&report, &answers.whole, at);
        let this = self.clone();
        let written = tokio::task::spawn_blocking(move || Reader::open(&this.store)?.compared(compared)).await;
        written.map_err(|_| StoreError::Closed)??;
        Ok(report)
    }

    /// For the store: what was looked for, so that what is not there any more is known to be gone.
    fn concluded(&self, report: &Report, systems: &BTreeSet<SystemId>, at: Wall) -> Vec<Compared> {
        let switch_kinds = [Kind::Unrecorded, Kind::Unheard, Kind::Ends];
        let read = report.switches.iter().filter(|(_, read)| read.is_ok());
        let of_switches =
            read.flat_map(|(id, _)| switch_kinds.map(|kind| (kind.as_str().to_owned(), Some(id.to_string()))));
        let of_systems = systems
            .iter()
            .flat_map(|id| [Kind::Missing, Kind::Twice].map(|kind| (kind.as_str().to_owned(), Some(id.to_string()))));
        let asked: Vec<(String, Option<String>)> = of_switches.chain(of_systems).collect();
        let tenants: BTreeSet<TenantId> = self
            .switches
            .iter()
            .map(|switch| switch.tenant().clone())
            .chain(report.found.iter().map(|row| row.tenant.clone()))
            .collect();
        let mut all = Vec::new();
        for tenant in tenants {
            let mine = || report.found.iter().filter(|row| row.tenant == tenant);
            let late = Kind::Undelivered.as_str();
            let (undelivered, found) = mine().cloned().partition(|row| row.kind == late);
            let (from, to) = (report.from, report.to);
            all.push(Compared { tenant: tenant.clone(), from, to, at, asked: asked.clone(), found });
            // What waits is looked at whenever it was born.
            let asked = vec![(late.to_owned(), None)];
            all.push(Compared { tenant, from: Wall(0), to: at, at, asked, found: undelivered });
        }
        all
    }

    fn read(&self, from: Wall, to: Wall, at: Wall) -> Result<Read, StoreError> {
        let reader = Reader::open(&self.store)?;
        let (since, until) = (Some(from.plus_ms(-EDGE_MS)), Some(to.plus_ms(EDGE_MS)));
        let filter = RecordFilter { since, until, limit: usize::MAX, ..RecordFilter::default() };
        let rows = reader.records(&filter)?;
        let records: Vec<Record> = rows.iter().filter_map(|row| serde_json::from_str(row.body.expose()).ok()).collect();
        // Delivered in that time, whenever they were born.
        let done = EffectFilter {
            states: vec![State::Done],
            since: Some(from),
            until: Some(to),
            limit: usize::MAX,
            ..EffectFilter::default()
        };
        let open = EffectFilter { limit: usize::MAX, ..EffectFilter::default() };
        let mut effects = reader.effects(&done)?;
        effects.extend(reader.effects(&open)?);
        let mut found: Vec<DifferenceRow> =
            effects.iter().filter_map(|effect| compare::undelivered(effect, at)).collect();
        let mut switches = BTreeMap::new();
        let book = Book::new(self.book.clone());
        for settings in &self.switches {
            let switch = settings.id();
            let Some(rows) = own_records(settings, (from, to)) else { continue };
            let rows = rows.map(missed::calls);
            if let Ok(rows) = &rows {
                let ours: Vec<Record> =
                    records.iter().filter(|r| r.ids.iter().any(|id| id.switch == *switch)).cloned().collect();
                let is_call = |rows: &[Row]| book.missed(switch, rows).is_some();
                found.extend(compare::with_switch(settings.tenant(), switch, (from, to), rows, &ours, is_call));
            }
            switches.insert(switch.clone(), rows.map(|rows| rows.len()));
        }
        Ok(Read { records, effects, found, switches })
    }
}

/// A switch's own records around a time; `None`: it keeps none that are read here.
fn own_records(settings: &switches::Settings, (from, to): (Wall, Wall)) -> Option<Result<Vec<Row>, String>> {
    let switches::Settings::Asterisk(asterisk) = settings else { return None };
    let records = asterisk.records.as_ref()?;
    let Some(zone) = records.zone(&asterisk.zone) else {
        return Some(Err(format!("the time zone {} is not known here", asterisk.zone)));
    };
    let around = (from.plus_ms(-EDGE_MS), to.plus_ms(EDGE_MS));
    Some(match whole(records, &zone, around) {
        Ok((rows, compressed)) => {
            // What was written last before that time is of the edge alone.
            let of_it = compressed.iter().filter(|file| file.at >= from);
            let names: Vec<String> = of_it.map(|file| file.path.display().to_string()).collect();
            match names.is_empty() {
                true => Ok(rows),
                false => Err(format!("a part of that time is compressed and not read: {}", names.join(", "))),
            }
        }
        Err(error) => Err(format!("cannot read {}: {error}", records.path().display())),
    })
}

/// What the business systems say of what was delivered to them.
#[derive(Debug, Default)]
struct Answers {
    found: Vec<DifferenceRow>,
    asked: usize,
    unknown: BTreeMap<String, usize>,
    /// Systems that answered every question.
    whole: BTreeSet<SystemId>,
}

impl Answers {
    async fn ask<S: Systems>(&mut self, systems: &S, delivered: Vec<EffectRow>, at_once: usize) {
        // What was amended is looked for as it was written first: its key is the base's.
        let mut torn: BTreeSet<SystemId> = BTreeSet::new();
        let mut questions = Vec::new();
        let mut lookups: HashMap<(SystemId, String), Option<String>> = HashMap::new();
        // A webhook's receiver holds nothing that we could look for.
        // What was erased says nothing to look for.
        let told =
            |effect: &EffectRow| effect.inputs.expose() != "{}" && !effect.system.as_str().starts_with(hooks::PREFIX);
        for effect in delivered.into_iter().filter(told) {
            // The version that wrote it has it.
            let at = by(&effect).clone();
            let lookup = lookups.entry((at.clone(), effect.operation.clone())).or_insert_with(|| {
                match systems.idempotency(&effect.tenant, &at, &effect.operation) {
                    Idempotency::Lookup(operation) => Some(operation),
                    _ => None,
                }
            });
            match (&*lookup, inputs(&effect)) {
                (Some(operation), Ok(inputs)) => questions.push((effect, operation.clone(), inputs)),
                _ => {
                    *self
                        .unknown
                        .entry(format!("{}: {} cannot be looked for", effect.system, effect.operation))
                        .or_default() += 1;
                }
            }
        }
        self.whole = questions.iter().map(|(effect, ..)| effect.system.clone()).collect();
        let mut questions = questions.into_iter();
        let mut flying = FuturesUnordered::new();
        loop {
            for (effect, operation, inputs) in questions.by_ref().take(at_once.max(1).saturating_sub(flying.len())) {
                let ask = Ask {
                    tenant: effect.tenant.clone(),
                    system: by(&effect).clone(),
                    operation,
                    inputs,
                    deadline: ASK,
                    priority: Priority::Background,
                };
                let systems = systems.clone();
                flying.push(async move { (effect, systems.ask(ask).await) });
            }
            let Some((effect, outcome)) = flying.next().await else { break };
            self.asked += 1;
            match compare::delivered(&effect, &outcome) {
                Ok(difference) => self.found.extend(difference),
                Err(why) => {
                    torn.insert(effect.system.clone());
                    *self.unknown.entry(format!("{}: {why}", effect.system)).or_default() += 1;
                }
            }
        }
        self.whole.retain(|system| !torn.contains(system));
    }
}

/// Each night, until the daemon ends.
pub async fn nightly<S: Systems>(sides: Arc<Sides>, systems: S, settings: Settings) {
    while let Some(at) = settings.next(now().wall) {
        // In steps: the clock of the wall may be set meanwhile.
        while let left @ 1.. = at.since(now().wall) {
            tokio::time::sleep(Duration::from_millis(left.min(60_000))).await;
        }
        let Some(day) = settings.day(None, now().wall) else { return };
        match sides.compare(day, settings.ask_systems.then_some(&systems), &settings).await {
            Ok(report) => {
                tracing::info!(
                    calls = report.calls,
                    asked = report.asked,
                    differences = report.found.len(),
                    "the night's comparison is done: `linecard reconcile list`"
                );
                for (switch, why) in report.switches.iter().filter_map(|(id, read)| Some((id, read.as_ref().err()?))) {
                    tracing::warn!(%switch, why, "its own records could not be compared");
                }
            }
            Err(error) => tracing::warn!(%error, "the night's comparison failed"),
        }
    }
}

/// What a person wants mended at one switch: its rows are read again and given to the core, which writes the record and what follows from it.
pub async fn mend(settings: Arc<switches::Settings>, store: Store, control: mpsc::Sender<Control>) {
    if !matches!(&*settings, switches::Settings::Asterisk(asterisk) if asterisk.records.is_some()) {
        return;
    }
    let switch = settings.id().clone();
    let mut clock = tokio::time::interval(Duration::from_secs(2));
    let mut tries: HashMap<String, u8> = HashMap::new();
    loop {
        clock.tick().await;
        let Ok(wanted) = store.wanted(switch.clone()).await else { continue };
        for row in wanted {
            let tried = tries.entry(row.id.clone()).or_default();
            *tried += 1;
            let done = match mended(&settings, &row, &store, &control).await {
                Ok(true) => Ok(()),
                // On its way; the next look sees it.
                Ok(false) if *tried < MENDS => continue,
                Ok(false) => Err("the daemon does not take it for a call".to_owned()),
                Err(why) => Err(why),
            };
            tries.remove(&row.id);
            if let Err(why) = &done {
                tracing::warn!(%switch, difference = row.id, why, "a difference could not be mended; it is open again");
            }
            if let Err(error) = store.mended(row, done.is_ok()).await {
                tracing::warn!(%switch, %error, "what was mended cannot be written down");
            }
        }
    }
}

/// Where the rows of a call that we do not have lie.
#[derive(Deserialize)]
struct Place {
    channel: String,
    from: Wall,
    to: Wall,
}

/// Whether the call is written down by now, by whomever; if not, its rows are given to the core once more.
async fn mended(
    settings: &Arc<switches::Settings>,
    row: &DifferenceRow,
    store: &Store,
    control: &mpsc::Sender<Control>,
) -> Result<bool, String> {
    let place: Place =
        row.place.as_deref().and_then(|text| serde_json::from_str(text).ok()).ok_or("it has no place")?;
    let of = settings.clone();
    let rows = tokio::task::spawn_blocking(move || own_records(&of, (place.from, place.to)))
        .await
        .map_err(|_| "reading broke off".to_owned())?
        .ok_or("the switch keeps no records")??;
    let call = missed::calls(rows).into_iter().find(|rows| missed::ids(rows).any(|id| id == place.channel));
    let calls = vec![call.ok_or("the switch's records do not have it any more")?];
    let known = super::gaps::known(store, settings.id(), &calls).await.map_err(|e| e.to_string())?;
    if calls.iter().any(|rows| missed::ids(rows).any(|id| known.contains(id))) {
        return Ok(true);
    }
    let sent = Control::Missed { switch: settings.id().clone(), calls, position: None };
    control.send(sent).await.map_err(|_| "the daemon is stopping".to_owned())?;
    Ok(false)
}
