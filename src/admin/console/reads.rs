//! What the console shows and does not change, and canaries, which it stops.

use std::{collections::BTreeMap, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Console, Done, InForce,
    api::{Ask, Nothing, Trouble},
    links,
    tried::{ReadOperation, reads},
    whole_site,
};
use crate::{
    connectors::beside::{
        Kind,
        compare::Comparison,
        live::{Stopped, comparison as compared, resume as goes_on, stop_by},
    },
    connectors::evidence::live::read as evidence_of,
    live::now,
    records::list,
    store::{AuditFilter, EffectFilter, RecordFilter, State, no_record},
    switches::link::Reason,
    watch::{hour::Point, systems::Firing},
    words::{
        CallId, SystemId, TenantId, Wall,
        refusal::{Refusal, code},
    },
};

/// What is wrong, counted: the numbers beside the pages' names. Who sees one tenant is told that one's; of links, systems, alerts and numbers without a row, nothing.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Overview {
    /// Links to switches, and those of them that are up.
    pub links: usize,
    pub links_up: usize,
    /// What the daemon waits for, in words.
    pub waiting_for: Vec<String>,
    /// Business systems that failed or are left alone now.
    pub systems: usize,
    pub systems_bad: usize,
    /// Effects that nobody delivers any more by himself: given up, or for a person.
    pub given_up: u64,
    /// Effects that are still to be delivered.
    pub under_way: u64,
    pub oldest_due: Option<Wall>,
    pub flows_open: u64,
    pub flows_person: u64,
    pub alerts: usize,
    pub differences: u64,
    /// Numbers that were called and have no row.
    pub unmapped: usize,
    pub open_calls: u64,
}

pub(super) async fn overview(console: Arc<Console>, ask: Ask<Nothing, Nothing>) -> Result<Overview, Trouble> {
    let tenant = ask.who.tenant.clone();
    let site = tenant.is_none();
    let stats = console.read(move |reader| reader.stats_of(tenant.as_ref())).await?;
    let count =
        |states: &[State]| stats.outbox.iter().filter(|(state, _)| states.contains(state)).map(|(_, n)| n).sum();
    // The site's own is not told to who sees one tenant, and not counted for them.
    let links = if site { links_of(&console) } else { Vec::new() };
    let systems = if site { systems_of(&console) } else { Vec::new() };
    Ok(Overview {
        links: links.len(),
        links_up: links.iter().filter(|link| link.up).count(),
        waiting_for: if site { console.house.waiting_for() } else { Vec::new() },
        systems: systems.len(),
        systems_bad: systems.iter().filter(|system| system.bad.is_some()).count(),
        given_up: count(&[State::Dead, State::Person]),
        under_way: count(&[State::Waiting, State::Claimed, State::Later]),
        oldest_due: stats.oldest_due,
        flows_open: stats.flows_open,
        flows_person: stats.flows_person,
        alerts: if site { console.metrics.systems.firing().len() } else { 0 },
        differences: stats.differences.iter().map(|(_, n)| n).sum(),
        unmapped: if site { console.house.unmapped().len() } else { 0 },
        open_calls: stats.open_calls,
    })
}

/// One connection to a switch.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Link {
    pub switch: String,
    /// `ami`, `ari`, `esl`, `sip`, `hep`.
    pub feed: &'static str,
    /// It can be probed (`POST /v1/links/{switch}/{feed}/probe`).
    pub asks: bool,
    pub up: bool,
    /// Since when it is so; absent: it never was otherwise since the start.
    pub since: Option<Wall>,
    /// Why it was down last, in words.
    pub reason: Option<String>,
    /// The same as one word that stays the same, and what stands in its sentence.
    pub because: Option<&'static str>,
    pub values: BTreeMap<&'static str, String>,
    /// When it told something last.
    pub heard_at: Option<Wall>,
    /// What the other end says it is.
    pub version: Option<String>,
    /// Since the start.
    pub events: u64,
    pub dropped: u64,
    pub connects: u64,
    pub resyncs: u64,
    pub refused: u64,
    /// Devices that are watched and of which nothing is known, and those without a phone.
    pub unknown: u64,
    pub unregistered: u64,
}

fn links_of(console: &Console) -> Vec<Link> {
    let all = console.links.iter().flat_map(|stats| stats.standing().into_iter().zip(stats.each()));
    all.map(|(standing, (switch, feed, counts))| Link {
        switch: switch.to_string(),
        feed: feed.as_str(),
        asks: links::asks(feed),
        up: standing.up,
        since: standing.since,
        reason: standing.reason.as_ref().map(ToString::to_string),
        because: standing.reason.as_ref().map(Reason::word),
        values: standing.reason.as_ref().map(Reason::values).unwrap_or_default(),
        heard_at: standing.heard_at,
        version: Some(standing.version).filter(|version| !version.is_empty()),
        events: counts.events,
        dropped: counts.dropped,
        connects: counts.connects,
        resyncs: counts.resyncs,
        refused: counts.refused,
        unknown: counts.unknown,
        unregistered: counts.unregistered,
    })
    .collect()
}

pub(super) async fn links(console: Arc<Console>, ask: Ask<Nothing, Nothing>) -> Result<Vec<Link>, Trouble> {
    whole_site(&ask.who)?;
    Ok(links_of(&console))
}

/// One business system, or a file beside it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct System {
    pub id: String,
    pub title: Option<String>,
    /// Why it is not well, in a few words; absent: it is, or nobody asked it.
    pub bad: Option<String>,
    /// Of five minutes.
    pub asked: u64,
    pub failed: u64,
    /// Breakers, limits, figures by operation, clock, version, certificate, versions beside it (docs/watch.md).
    pub standing: Value,
    /// What of it can be tried (`POST /v1/connectors/{id}/try`).
    pub reads: Vec<ReadOperation>,
}

fn systems_of(console: &Console) -> Vec<System> {
    let standing = console.connectors.standing().into_iter();
    let mut systems: Vec<System> = standing
        .map(|one| {
            let (asked, failed) = one
                .figures
                .values()
                .fold((0, 0), |(asked, failed), figure| (asked + figure.asked(), failed + figure.failed()));
            let shown = one.json();
            let open = shown["breakers"].as_array().into_iter().flatten().find(|breaker| breaker["state"] != "closed");
            let bad = match open {
                Some(breaker) => Some(breaker["why"].as_str().unwrap_or("it is left alone for a while").to_owned()),
                // A failure is a slip; half of all are not.
                None if failed > 0 && failed * 2 >= asked => Some(format!("{failed} of {asked} questions failed")),
                None => None,
            };
            System {
                id: one.system.to_string(),
                title: console.connectors.title(&one.system),
                bad,
                asked,
                failed,
                standing: shown,
                reads: reads(console, &one.system),
            }
        })
        .collect();
    systems.sort_by(|a, b| (b.bad.is_some(), b.failed, &a.id).cmp(&(a.bad.is_some(), a.failed, &b.id)));
    systems
}

pub(super) async fn connectors(console: Arc<Console>, ask: Ask<Nothing, Nothing>) -> Result<Vec<System>, Trouble> {
    whole_site(&ask.who)?;
    Ok(systems_of(&console))
}

/// A system's last hour, oldest first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SystemHour {
    pub id: String,
    pub points: Vec<Point>,
}

pub(super) async fn hour(console: Arc<Console>, ask: Ask<Nothing, Nothing>) -> Result<Vec<SystemHour>, Trouble> {
    whole_site(&ask.who)?;
    let all = console.metrics.hour.all().into_iter();
    Ok(all.map(|(system, points)| SystemHour { id: system.to_string(), points }).collect())
}

/// The last failing requests.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Evidence {
    /// Newest first: what is known to be harmless of request and answer (docs/watch.md).
    pub failures: Vec<Value>,
}

pub(super) async fn evidence(console: Arc<Console>, ask: Ask<Nothing, Nothing>) -> Result<Evidence, Trouble> {
    whole_site(&ask.who)?;
    let id = SystemId::from(ask.place("id"));
    if !console.connectors.files().contains(&id) {
        return Err(no_connector(&id));
    }
    // What lies beside the store: the ring in memory gives its new ones to whoever writes them there, and to nobody else.
    let folder = console.watch_folder.clone();
    let read = tokio::task::spawn_blocking(move || evidence_of(&folder, &id)).await;
    let failures = read.map_err(Trouble::ended)?.map_err(|error| Trouble::unread("the evidence", error))?;
    let mut failures: Vec<Value> = failures.into_iter().map(|failure| json!(failure)).collect();
    failures.reverse();
    Ok(Evidence { failures })
}

/// Why.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Why {
    /// Stands in the audit; no names and numbers of customers.
    #[schemars(length(min = 1, max = 400), regex(pattern = r"\S"))]
    pub why: String,
}

impl Why {
    pub(super) fn said(&self) -> Result<String, Trouble> {
        let why = self.why.trim();
        match why.chars().count() {
            1..=400 => Ok(why.to_owned()),
            _ => {
                let says = "why: a reason of 1 to 400 characters, for the audit";
                Err(Trouble::Wrong(Refusal::new(code::NO_REASON, says).with("most", 400)))
            }
        }
    }
}

pub(super) fn no_connector(system: &SystemId) -> Trouble {
    let why = Refusal::new(code::NO_CONNECTOR, format!("no connector is called {system}"));
    Trouble::Missing(why.with("system", system))
}

fn unwritten(says: String, error: &std::io::Error) -> Trouble {
    Trouble::Away(Refusal::new(code::UNWRITTEN, says).with("why", error))
}

fn beside(console: &Console, id: &str, kind: Kind) -> Result<SystemId, Trouble> {
    let id = SystemId::from(id);
    let all = console.connectors.standing();
    let is = |one: &&crate::connectors::Standing| {
        one.system == id && one.beside.as_ref().is_some_and(|beside| beside.kind == kind)
    };
    if all.iter().any(|one| is(&one)) {
        Ok(id)
    } else {
        let code = match kind {
            Kind::Canary => code::NO_CANARY,
            Kind::Shadow => code::NO_SHADOW,
        };
        let why = Refusal::new(code, format!("no connector {id} is a {}", kind.as_str()));
        Err(Trouble::Missing(why.with("id", id)))
    }
}

/// What differs between a shadow's answers and those of the file it stands beside, most often first. Where and how, and no value.
pub(super) async fn comparison(console: Arc<Console>, ask: Ask<Nothing, Nothing>) -> Result<Comparison, Trouble> {
    whole_site(&ask.who)?;
    let id = beside(&console, ask.place("id"), Kind::Shadow)?;
    let (folder, hash) = (console.watch_folder.clone(), console.connectors.file_hash(&id).unwrap_or_default());
    let read = tokio::task::spawn_blocking(move || compared(&folder, &id)).await;
    let mut comparison = read.map_err(Trouble::ended)?.filter(|kept| kept.hash == hash).unwrap_or_default();
    comparison.differences.sort_by_key(|difference| std::cmp::Reverse(difference.times));
    Ok(comparison)
}

pub(super) async fn stop(console: Arc<Console>, ask: Ask<Nothing, Why>) -> Result<Done, Trouble> {
    whole_site(&ask.who)?;
    let (id, reason) = (beside(&console, ask.place("id"), Kind::Canary)?, ask.body.said()?);
    let hash = console.connectors.file_hash(&id).unwrap_or_default();
    let stop = Stopped { at: now().wall, reason: reason.clone(), hash };
    stop_by(&console.watch_folder, &id, &stop)
        .map_err(|error| unwritten(format!("it cannot be stopped: {error}"), &error))?;
    console.note(&ask.who, "canary.stop", id.as_str(), Some(reason)).await?;
    Ok(Done { done: format!("{id} is stopped: within two seconds new calls are asked by the other file") })
}

pub(super) async fn resume(console: Arc<Console>, ask: Ask<Nothing, Nothing>) -> Result<Done, Trouble> {
    whole_site(&ask.who)?;
    let id = beside(&console, ask.place("id"), Kind::Canary)?;
    match goes_on(&console.watch_folder, &id) {
        Ok(true) => {}
        Ok(false) => {
            let why = Refusal::new(code::NOT_STOPPED, format!("{id} is not stopped"));
            return Err(Trouble::Late(why.with("id", id)));
        }
        Err(error) => return Err(unwritten(format!("it cannot go on: {error}"), &error)),
    }
    console.note(&ask.who, "canary.resume", id.as_str(), None).await?;
    Ok(Done { done: format!("{id} goes on") })
}

/// Which calls.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Records {
    /// `answered`, `abandoned`, ...
    pub outcome: Option<String>,
    /// Began at or after this moment (RFC 3339).
    pub since: Option<Wall>,
    pub until: Option<Wall>,
    /// At most 500; absent: 100.
    pub limit: Option<u16>,
}

/// One call in a list.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RecordLine {
    pub call: CallId,
    /// The record, masked (docs/rules.md).
    pub record: Value,
    /// Its journal: one word for each system.
    pub systems: Vec<Journal>,
}

/// What became of a call at one system, all of its effects in a word: the worst.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Journal {
    pub system: SystemId,
    pub state: State,
}

/// How bad a state is for somebody who asks whether all is written.
fn worse(state: State) -> u8 {
    match state {
        State::Dead => 7,
        State::Person => 6,
        State::Later => 5,
        State::Claimed => 4,
        State::Waiting => 3,
        State::Done => 2,
        State::Dropped => 1,
        State::Withdrawn => 0,
    }
}

fn journal(rows: &[list::EffectLine]) -> Vec<Journal> {
    let mut systems: Vec<Journal> = Vec::new();
    for row in rows {
        match systems.iter_mut().find(|journal| journal.system == row.system) {
            Some(known) if worse(row.state) > worse(known.state) => known.state = row.state,
            Some(_) => {}
            None => systems.push(Journal { system: row.system.clone(), state: row.state }),
        }
    }
    systems.sort_by(|a, b| a.system.cmp(&b.system));
    systems
}

/// Calls, newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RecordList {
    pub records: Vec<RecordLine>,
    /// There are more than were asked for.
    pub more: bool,
}

pub(super) async fn records(console: Arc<Console>, ask: Ask<Records, Nothing>) -> Result<RecordList, Trouble> {
    let Records { outcome, since, until, limit } = ask.query;
    let limit = usize::from(limit.unwrap_or(100).clamp(1, 500));
    let tenant = ask.who.tenant.clone();
    console
        .read(move |reader| {
            let filter = RecordFilter { tenant: tenant.clone(), outcome, since, until, limit: limit + 1 };
            let mut rows = reader.records(&filter)?;
            let more = rows.len() > limit;
            rows.truncate(limit);
            let mut records = Vec::with_capacity(rows.len());
            for row in rows {
                let filter = EffectFilter {
                    tenant: tenant.clone(),
                    call: Some(row.call),
                    states: State::ALL.to_vec(),
                    limit: 200,
                    ..EffectFilter::default()
                };
                let systems = journal(&list::outbox_list(reader, &filter)?);
                let mut record: Value = serde_json::from_str(row.body.expose()).unwrap_or_default();
                list::mask(&mut record);
                records.push(RecordLine { call: row.call, record, systems });
            }
            Ok(RecordList { records, more })
        })
        .await
}

/// One call.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RecordShown {
    /// Masked (docs/rules.md).
    pub record: Value,
    pub effects: Vec<list::EffectLine>,
}

pub(super) async fn record(console: Arc<Console>, ask: Ask<Nothing, Nothing>) -> Result<RecordShown, Trouble> {
    let call = ask.place("call").parse::<CallId>();
    let call =
        call.map_err(|_| Trouble::Wrong(Refusal::new(code::CALL_ID, "a call's id has 26 letters and digits")))?;
    let tenant = ask.who.tenant.clone();
    console
        .read(move |reader| {
            let row = reader.record(call)?;
            if tenant.as_ref().is_some_and(|tenant| *tenant != row.tenant) {
                return Err(no_record(call));
            }
            let mut record: Value = serde_json::from_str(row.body.expose()).unwrap_or_default();
            list::mask(&mut record);
            let (call, states) = (Some(call), State::ALL.to_vec());
            let filter = EffectFilter { tenant, call, states, limit: 500, ..EffectFilter::default() };
            let mut effects = list::outbox_list(reader, &filter)?;
            effects.reverse();
            Ok(RecordShown { record, effects })
        })
        .await
}

/// What fires.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Alert {
    /// Its id in alerts.yaml, or of those that are built in.
    pub alert: String,
    /// What people call it, by language; empty where the rule has none.
    pub title: BTreeMap<String, String>,
    /// Of which system or switch.
    pub subject: String,
}

pub(super) async fn alerts(console: Arc<Console>, ask: Ask<Nothing, Nothing>) -> Result<Vec<Alert>, Trouble> {
    whole_site(&ask.who)?;
    let firing = console.metrics.systems.firing().into_iter();
    Ok(firing.map(|Firing { alert, title, subject }| Alert { alert, title, subject }).collect())
}

/// Which differences.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Differences {
    /// Those that were mended or accepted too.
    #[serde(default)]
    pub all: bool,
}

pub(super) async fn differences(console: Arc<Console>, ask: Ask<Differences, Nothing>) -> Result<Vec<Value>, Trouble> {
    let (all, tenant) = (ask.query.all, ask.who.tenant.clone());
    let rows = console.read(move |reader| reader.differences(tenant.as_ref(), all, 1000)).await?;
    Ok(rows.into_iter().map(|row| json!(row)).collect())
}

/// Whose deeds.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deeds {
    pub who: Option<String>,
    /// A word of the audit; with a `*` behind it, all that begin so.
    pub what: Option<String>,
    /// A call, an effect, a revision.
    pub about: Option<String>,
    /// At most 1000; absent: 200.
    pub limit: Option<u16>,
}

/// One line of the audit.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Deed {
    pub tenant: TenantId,
    pub at: Wall,
    pub who: String,
    pub what: String,
    pub about: String,
    pub reason: Option<String>,
}

pub(super) async fn audit(console: Arc<Console>, ask: Ask<Deeds, Nothing>) -> Result<Vec<Deed>, Trouble> {
    let Deeds { who, what, about, limit } = ask.query;
    let tenant = ask.who.tenant.clone();
    let filter = AuditFilter { tenant, who, what, about, limit: u32::from(limit.unwrap_or(200).clamp(1, 1000)) };
    let rows = console.read(move |reader| reader.audit(&filter)).await?.into_iter();
    Ok(rows
        .map(|row| Deed {
            tenant: row.tenant,
            at: row.at,
            who: row.who,
            what: row.what,
            about: row.about,
            reason: row.reason,
        })
        .collect())
}

pub(super) async fn settings(console: Arc<Console>, ask: Ask<Nothing, Nothing>) -> Result<Vec<InForce>, Trouble> {
    whole_site(&ask.who)?;
    let house = console.house.clone();
    let told = tokio::task::spawn_blocking(move || house.in_force()).await;
    told.map_err(Trouble::ended)?.map_err(Trouble::Unfit)
}
