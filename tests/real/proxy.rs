//! Calls through a real Kamailio, seen by its dialog events: one daemon subscribes over UDP, TCP, TLS, WS and WSS at once, each as a switch of its own, so
//! that every call is told five times. The UDP one hears the mirrored signalling too (HEP): two feeds, one call.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use serde_json::Value;

use crate::{
    phones::{KAMAILIO, Phones},
    screen::{Protocol, Screen},
    site::{Site, TRANSPORTS},
    stories::settle,
    wait::until,
};

const DID: &str = "+861085551001";

pub struct Proxy {
    home: PathBuf,
    phones: Phones,
    site: Site,
}

/// One story.
type Play = fn(&mut Proxy) -> Result<(), String>;

/// In the order in which they are played.
pub const ALL: &[(&str, Play)] = &[
    ("sip-answered-over-each-transport", answered),
    ("sip-cancelled-over-each-transport", cancelled),
    ("sip-busy-over-each-transport", busy),
    ("sip-proxy-crashed-and-back", crashed),
];

impl Proxy {
    pub fn set(logs: &Path, protocol: &Arc<Protocol>) -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let home = env::var("KAMAILIO_HOME").map_or_else(|_| root.join(".cache/kamailio"), PathBuf::from);
        setup(&home, "up")?;
        let facts = fs::read_to_string(home.join("kamailio.env")).map_err(|e| format!("kamailio.env: {e}"))?;
        let fact = |name: &str| {
            let key = format!("KAMAILIO_{name}=");
            facts.lines().find_map(|line| line.strip_prefix(&key)).unwrap_or_default().trim_matches('"').to_owned()
        };
        let mut proxy =
            Self { phones: Phones::new(KAMAILIO, logs)?, site: Site::at_proxy(logs, &fact, protocol)?, home };
        proxy.site.say(&["check", "--probe"])?;
        proxy.site.start(&[])?;
        // Each agent is watched over each transport before the first call.
        let known = |t: &&&str| {
            proxy.site.admin("/metrics").is_ok_and(|(_, text)| {
                figure(&text, "devices_unknown", t) == Some(0.0) && figure(&text, "link_reconnects", t) == Some(1.0)
            })
        };
        until("every subscription to stand", Duration::from_secs(20), || {
            (TRANSPORTS.iter().filter(known).count() == TRANSPORTS.len()).then_some(())
        })?;
        Ok(proxy)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        setup(&self.home, "down").ok();
    }
}

fn setup(home: &Path, verb: &str) -> Result<(), String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/kamailio/setup.sh");
    let out = Command::new(script).arg(verb).env("KAMAILIO_HOME", home).output().map_err(|e| e.to_string())?;
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    if out.status.success() { Ok(()) } else { Err(format!("kamailio {verb}: {told}")) }
}

/// One figure of the subscriptions over a transport.
fn figure(metrics: &str, name: &str, transport: &str) -> Option<f64> {
    let switch = format!("k-{transport}\"");
    let line = metrics
        .lines()
        .find(|l| l.starts_with(&format!("linecard_{name}{{")) && l.contains(&switch) && l.contains("\"sip\""))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// Distinct calls that were popped since `mark`.
fn popped(screen: &Screen, mark: usize) -> BTreeSet<String> {
    let pops = screen.since(mark);
    pops.iter().filter(|f| f["type"] == "pop").filter_map(|f| f["call"].as_str().map(str::to_owned)).collect()
}

fn pops(proxy: &Proxy, mark: usize, count: usize) -> Result<(), String> {
    let screen = proxy.site.look("1001")?;
    until(&format!("{count} pops"), Duration::from_secs(10), || (popped(screen, mark).len() >= count).then_some(()))
        .map_err(|e| format!("{e}; there are {}", popped(screen, mark).len()))
}

/// One record of each switch, and what all of them say.
fn records(proxy: &mut Proxy) -> Result<Vec<Value>, String> {
    let records = settle(&mut proxy.site, TRANSPORTS.len())?;
    let switches: BTreeSet<&str> = records.iter().filter_map(|r| r["switch"].as_str()).collect();
    if records.len() != TRANSPORTS.len() || switches.len() != TRANSPORTS.len() {
        return Err(format!("not one record a switch: {records:#?}"));
    }
    for record in &records {
        let is = |key: &str, value: &str| record[key] == value;
        let by = record["customer"]["e164"] == "+8613800138000" && record["dialled"]["e164"] == DID;
        if !is("direction", "inbound") || !is("end", "seen") || !by {
            return Err(format!("not the customer's call as it was: {record:#}"));
        }
        // What dialog events do not tell is told by the mirror alone.
        let mirrored = is("switch", "k-udp");
        if !mirrored && (!record["ended_by"].is_null() || !record["hold_ms"].is_null() || !record["queue"].is_null()) {
            return Err(format!("dialog events do not tell this: {record:#}"));
        }
    }
    Ok(records)
}

fn answered(proxy: &mut Proxy) -> Result<(), String> {
    proxy.phones.register(&["1001"])?;
    let agent = proxy.phones.phone("1001", "uas_answer", 1, &[("RING_MS", "1500")])?;
    let mark = proxy.site.look("1001")?.mark();
    let caller = proxy.phones.customer("13800138000", DID, "trunk_call", &[("TALK_MS", "3000")])?;
    pops(proxy, mark, TRANSPORTS.len())?;
    caller.done()?;
    agent.done()?;
    for record in records(proxy)? {
        let agents = serde_json::json!(["1001"]);
        if record["outcome"] != "answered" || record["agents"] != agents {
            return Err(format!("not answered by 1001: {record:#}"));
        }
        if record["switch"] == "k-udp" && (record["ended_by"] != "customer" || record["quality"] != "exact") {
            return Err(format!("the mirror told who ended it: {record:#}"));
        }
    }
    Ok(())
}

fn cancelled(proxy: &mut Proxy) -> Result<(), String> {
    proxy.phones.register(&["1001"])?;
    let agent = proxy.phones.phone("1001", "uas_noanswer", 1, &[])?;
    let mark = proxy.site.look("1001")?.mark();
    let caller = proxy.phones.customer("13800138000", DID, "trunk_cancel", &[("TALK_MS", "2000")])?;
    pops(proxy, mark, TRANSPORTS.len())?;
    caller.done()?;
    agent.done()?;
    for record in records(proxy)? {
        // Who gave up is told by the mirror alone.
        let outcome = if record["switch"] == "k-udp" { "abandoned" } else { "unanswered" };
        if record["outcome"] != outcome {
            return Err(format!("not {outcome}: {record:#}"));
        }
    }
    let screen = proxy.site.look("1001")?;
    let gone = screen.since(mark).iter().filter(|f| f["type"] == "pop.withdrawn").count();
    if gone == TRANSPORTS.len() { Ok(()) } else { Err(format!("{gone} pops were withdrawn")) }
}

fn busy(proxy: &mut Proxy) -> Result<(), String> {
    proxy.phones.register(&["1001"])?;
    let agent = proxy.phones.phone("1001", "uas_busy", 1, &[("CODE", "486")])?;
    let mark = proxy.site.look("1001")?.mark();
    let caller = proxy.phones.customer("13800138000", DID, "trunk_reject", &[("CODE", "486")])?;
    caller.done()?;
    agent.done()?;
    for record in records(proxy)? {
        if record["outcome"] == "answered" {
            return Err(format!("nobody answered: {record:#}"));
        }
    }
    let shown = popped(proxy.site.look("1001")?, mark).len();
    if shown == 0 { Ok(()) } else { Err(format!("a phone that did not ring popped {shown} times")) }
}

/// The proxy dies and comes back without memory: connections are made again, and the next call is seen by whoever watches again.
fn crashed(proxy: &mut Proxy) -> Result<(), String> {
    setup(&proxy.home, "crash")?;
    setup(&proxy.home, "up")?;
    // Over UDP nothing tells that the proxy forgot us until a refresh is answered by 481.
    for transport in TRANSPORTS.iter().filter(|t| **t != "udp") {
        until(&format!("the connection over {transport}"), Duration::from_secs(20), || {
            let text = proxy.site.admin("/metrics").ok()?.1;
            let known = figure(&text, "devices_unknown", transport) == Some(0.0);
            figure(&text, "link_reconnects", transport).filter(|n| *n >= 2.0 && known)
        })?;
    }
    proxy.phones.register(&["1001"])?;
    let agent = proxy.phones.phone("1001", "uas_answer", 1, &[("RING_MS", "1500")])?;
    let mark = proxy.site.look("1001")?.mark();
    let caller = proxy.phones.customer("13800138000", DID, "trunk_call", &[("TALK_MS", "2000")])?;
    // The mirror needs no subscription: k-udp pops too.
    pops(proxy, mark, TRANSPORTS.len())?;
    caller.done()?;
    agent.done()
}
