//! `cargo bench --bench kpis`: what it costs to answer `/v1/kpis` and `linecard kpis` over a month of 1,000,000 records.
//!
//! Each record is one that a real Asterisk's call left (queue, blind transfer, two agents, 2.1 KB), with its own times, queue, agents and customer. The floor, in the same
//! run over the same rows: SQLite hands each record's text out and it is looked at as JSON once, without which nothing could be counted.
//! The process's peak of memory is told as well: it is to stay flat whatever is asked. `KPIS_RECORDS` changes the size.

#![allow(clippy::disallowed_methods, reason = "a benchmark, no test hangs on its clock")]
// A whole record is one `json!`.
#![recursion_limit = "256"]

use std::{
    collections::BTreeSet,
    error::Error,
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use linecard::{
    calls::{Directory, directory::Agent},
    kpis::{self, Asked, Sight, Site},
    store::{Batch, Reader, RecordRow, Settings as StoreSettings, Store},
    words::{CallId, Wall},
};
use serde::de::IgnoredAny;
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Went<T> = Result<T, Box<dyn Error>>;

/// 2026-11-01 00:00 in Shanghai, where the settings' days begin.
const BEGIN: i64 = 1_793_462_400_000;
const MONTH_MS: i64 = 30 * 86_400_000;
const AGENTS: usize = 2_000;
const QUEUES: usize = 40;
/// Records that are written in one transaction.
const PAGE: usize = 2_000;

fn main() {
    if !std::env::args().any(|a| a == "--bench") {
        return println!("this measures for minutes: cargo bench --bench kpis");
    }
    let size = std::env::var("KPIS_RECORDS").ok().and_then(|v| v.parse().ok()).unwrap_or(1_000_000_usize);
    let folder = std::env::temp_dir().join(format!("linecard-kpis-{}", std::process::id()));
    let told = std::fs::create_dir_all(&folder).map_err(Into::into).and_then(|()| measure(size, &folder));
    let _ = std::fs::remove_dir_all(&folder);
    if let Err(error) = told {
        eprintln!("cannot measure: {error}");
        std::process::exit(1);
    }
}

fn measure(size: usize, folder: &Path) -> Went<()> {
    let store = StoreSettings { path: folder.join("linecard.db"), ..StoreSettings::default() };
    fill(size, &store)?;
    let reader = Reader::open(&store)?;
    let (from, until) = (Wall(BEGIN), Wall(BEGIN + MONTH_MS));
    let floor = quickest(|| {
        let (mut rows, mut bytes) = (0_usize, 0_usize);
        reader.ended(from, until, |ended| {
            rows += usize::from(serde_json::from_str::<IgnoredAny>(black_box(ended.body)).is_ok());
            bytes += ended.body.len();
        })?;
        if rows == size { Ok(bytes) } else { Err(format!("{rows} of {size} records were read").into()) }
    })?;
    println!("| {size} records, {} bytes each | s | of the floor | groups | MB at the peak |", floor.1 / size.max(1));
    println!("|---|---|---|---|---|");
    println!(
        "| the floor: rows out of SQLite, JSON looked at once | {:.2} | 1 | | {} |",
        floor.0.as_secs_f64(),
        peak()
    );

    let directory = Directory::new((0..AGENTS).map(|n| Agent::new(format!("{}", 10_000 + n))).collect());
    let (settings, edges) =
        (kpis::Settings { zone: "Asia/Shanghai".to_owned(), ..kpis::Settings::default() }, BTreeSet::new());
    let site = Site { settings: &settings, directory: &directory, edges: &edges, now: until };
    for (words, by) in [("the month", ""), ("by day and queue", "day,queue"), ("by agent", "agent")] {
        let by = Some(by.to_owned()).filter(|by| !by.is_empty());
        let asked =
            Asked { from: Some("2026-11-01".to_owned()), to: Some("2026-12-01".to_owned()), by, ..Asked::default() };
        let query = asked.read(&settings, until)?;
        let (took, groups) = quickest(|| {
            let answer = kpis::answer(&reader, site, &query, &Sight::All)?;
            if answer.unreadable > 0 {
                return Err(format!("{} records could not be read", answer.unreadable).into());
            }
            Ok(answer.groups.len())
        })?;
        let ratio = took.as_secs_f64() / floor.0.as_secs_f64();
        println!("| {words} | {:.2} | {ratio:.2} | {groups} | {} |", took.as_secs_f64(), peak());
    }
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("\n{cores} cores; the file has {} MB", std::fs::metadata(&store.path)?.len() / 1_000_000);
    Ok(())
}

/// The best of three: what else the machine does only ever adds.
fn quickest<T>(mut run: impl FnMut() -> Went<T>) -> Went<(Duration, T)> {
    let mut best = None;
    for _ in 0..3 {
        let begun = Instant::now();
        let gave = run()?;
        let took = begun.elapsed();
        if best.as_ref().is_none_or(|(least, _)| took < *least) {
            best = Some((took, gave));
        }
    }
    best.ok_or_else(|| "nothing was run".into())
}

/// The most memory that this process has had, in MB.
fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kb = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kb.map_or_else(|| "unknown".to_owned(), |kb| (kb / 1_000).to_string())
}

fn fill(size: usize, settings: &StoreSettings) -> Went<()> {
    let store = Store::open(settings)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    for page in (0..size).step_by(PAGE) {
        let records = (page..size.min(page + PAGE)).map(|n| record(n, size)).collect();
        runtime.block_on(store.submit(Batch { records, ..Batch::default() }))?;
    }
    Ok(())
}

fn record(n: usize, size: usize) -> RecordRow {
    let begun = BEGIN + (MONTH_MS - 400_000) * n as i64 / size as i64;
    let at = |ms: i64| Wall(begun + ms);
    // A spread that no figure of a real centre would lack: waits, talks and who gives up differ from call to call.
    let spread = (n as i64).wrapping_mul(2_654_435_761).rem_euclid(10_007);
    let (wait, talk) = (500 + spread % 40_000, 1_000 + spread * 7 % 300_000);
    let (answered, ended) = (wait + 500, wait + 500 + talk);
    let queue = format!("queue-{}", n % QUEUES);
    let (one, two) = (format!("{}", 10_000 + n % AGENTS), format!("{}", 10_000 + (n * 7 + 1) % AGENTS));
    let call = CallId(ulid::Ulid::from_parts(begun.unsigned_abs(), n as u128));
    let mut ids = Vec::new();
    for id in 0..3 {
        ids.push(
            json!({"switch": "pbx-ari", "kind": "uniqueid", "value": format!("{}.{}", begun / 1_000, n * 3 + id)}),
        );
        ids.push(json!({"switch": "pbx-ari", "kind": "sip-call-id", "value": format!("ef242e2d-4933-4a86-acb8-{:012x}", n * 3 + id)}));
        ids.push(json!({"switch": "pbx-ari", "kind": "bridge", "value": format!("1727191c-3240-42a0-84e7-{:012x}", n * 3 + id)}));
    }
    let customer = n % (size / 3 + 1);
    let body: Value = json!({
        "record": 1, "revision": 1, "call": call.to_string(), "tenant": "default", "switch": "pbx-ari", "direction": "inbound", "origin": "phone",
        "customer": {"raw": "13800138000", "e164": "+8613800138000", "class": "mobile", "name": "C10001",
            "links": [{"system": "redmine", "type": "customer", "id": customer.to_string()}]},
        "dialled": {"raw": "4008001234", "e164": "+864008001234", "class": "shared-cost"}, "trunk": "PJSIP/trunk", "line": "After-sales",
        "zone": "Asia/Shanghai", "outcome": "answered", "end": "seen", "ended_by": "customer", "cause": {"q850": 16, "raw": "Normal Clearing"},
        "queue": queue, "started_at": at(0), "answered_at": at(answered), "ended_at": at(ended),
        "wait_ms": wait, "ring_ms": 1_004, "talk_ms": talk, "hold_ms": 0, "first_agent": one, "final_agent": two, "agents": [one, two],
        "parties": [{"id": "p1", "role": "customer", "device": "PJSIP/trunk", "number": "13800138000"},
            {"id": "p2", "role": "agent", "agent": one, "device": format!("PJSIP/{one}"), "number": one},
            {"id": "p3", "role": "agent", "agent": two, "device": format!("PJSIP/{two}"), "number": two}],
        "transfers": [{"kind": "blind", "from": one, "to": two, "at": at(answered + talk / 3), "certain": true}],
        "segments": [{"kind": "queue", "party": "p1", "queue": queue, "from": at(500), "to": at(answered), "outcome": "answered"},
            {"kind": "ring", "party": "p2", "agent": one, "queue": queue, "from": at(wait), "to": at(answered), "outcome": "answered"},
            {"kind": "talk", "party": "p2", "agent": one, "from": at(answered), "to": at(answered + talk / 3)},
            {"kind": "queue", "party": "p1", "queue": "sales", "from": at(answered + talk / 3), "to": at(answered + talk / 2), "outcome": "answered"},
            {"kind": "ring", "party": "p3", "agent": two, "queue": "sales", "from": at(answered + talk / 3), "to": at(answered + talk / 2), "outcome": "answered"},
            {"kind": "talk", "party": "p3", "agent": two, "from": at(answered + talk / 2), "to": at(ended)}],
        "attributes": {"survey.score": (1 + spread % 5).to_string()}, "ids": ids, "quality": "exact",
    });
    RecordRow {
        tenant: "default".into(),
        call,
        revision: 1,
        schema: 1,
        started_at: Some(at(0)),
        ended_at: Some(at(ended)),
        direction: Some("inbound".to_owned()),
        outcome: Some("answered".to_owned()),
        queue: Some(queue),
        body: body.to_string().into(),
    }
}
