//! Calls through a real Kamailio, seen by its dialog events: one daemon subscribes over UDP, TCP, TLS, WS and WSS at once, each as a switch of its own, and once
//! more over UDP with the mirrored signalling beside it (HEP): two feeds, one call. So every call is told six times.
//!
//! What a record must say stands beside the recorded capture of the same scenario, for dialog events alone and with the mirror.

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
    expected::Expected,
    ferry::Ferry,
    phones::{KAMAILIO, Phones},
    screen::{Protocol, Screen},
    site::{FERRY, Site, WATCHERS},
    softphone::{Dialog, Softphone},
    stories::settle,
    wait::until,
};

const DID: &str = "+861085551001";

/// Who calls, as the carrier writes it.
const CUSTOMER: &str = "\"Wang Fang\" <sip:+8613800138000@carrier.lab>";

pub struct Proxy {
    home: PathBuf,
    /// The switch's own address for UDP.
    at: String,
    phones: Phones,
    site: Site,
    /// The way of `k-udp`.
    ferry: Ferry,
    /// Softphones so far: each has a port of its own.
    softphones: u16,
}

/// One story.
type Play = fn(&mut Proxy) -> Result<(), String>;

/// In the order in which they are played.
pub const ALL: &[(&str, Play)] = &[
    ("sip-answered-over-each-transport", answered),
    ("sip-cancelled-over-each-transport", cancelled),
    ("sip-busy-over-each-transport", busy),
    ("sip-unanswered-over-each-transport", unanswered),
    ("sip-forked-over-each-transport", forked),
    ("sip-held-over-each-transport", held),
    ("sip-blind-transfer-over-each-transport", blind),
    ("sip-attended-transfer-over-each-transport", attended),
    ("sip-phone-registers-and-leaves", registers),
    ("sip-click-to-dial-by-refer", referred),
    ("sip-notify-comes-late", late),
    ("sip-notify-is-lost", lost),
    ("sip-proxy-crashed-mid-call", crashed),
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
        let at = fact("UDP");
        let mut proxy = Self {
            ferry: Ferry::open(FERRY, at.parse().map_err(|_| format!("KAMAILIO_UDP is {at}"))?)?,
            phones: Phones::new(KAMAILIO, logs)?,
            site: Site::at_proxy(logs, &fact, protocol)?,
            softphones: 0,
            home,
            at,
        };
        proxy.site.say(&["check", "--probe"])?;
        proxy.site.start(&[])?;
        // Each agent is watched over each transport before the first call.
        let known = |t: &&&str| {
            proxy.site.admin("/metrics").is_ok_and(|(_, text)| {
                figure(&text, "devices_unknown", t) == Some(0.0) && figure(&text, "link_reconnects", t) == Some(1.0)
            })
        };
        until("every subscription to stand", Duration::from_secs(20), || {
            (WATCHERS.iter().filter(known).count() == WATCHERS.len()).then_some(())
        })?;
        Ok(proxy)
    }

    /// A phone of `user` at the last part of its address; `rings`: how long, until it is answered.
    fn softphone(&mut self, user: &str, host: u8, rings: Option<u64>) -> Result<Softphone, String> {
        self.softphones += 1;
        Softphone::open(user, &format!("127.20.0.{host}:{}", 5200 + self.softphones), &self.at, rings)
    }

    /// An agent's phone, registered.
    fn agent(&mut self, agent: &str, rings_ms: u64) -> Result<Softphone, String> {
        let host = 100 + agent.bytes().last().map_or(0, |b| b - b'0');
        let phone = self.softphone(agent, host, Some(rings_ms))?;
        phone.register(false)?;
        Ok(phone)
    }

    /// The customer at the carrier.
    fn carrier(&mut self) -> Result<Softphone, String> {
        self.softphone("+8613800138000", 200, None)
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

/// One figure of a watcher's subscriptions.
fn figure(metrics: &str, name: &str, watcher: &str) -> Option<f64> {
    let switch = format!("k-{watcher}\"");
    let line = metrics
        .lines()
        .find(|l| l.starts_with(&format!("linecard_{name}{{")) && l.contains(&switch) && l.contains("\"sip\""))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// What people do for so long: talk, wait.
fn pass(ms: u64) {
    std::thread::park_timeout(Duration::from_millis(ms));
}

fn dials(customer: &Softphone) -> Result<Dialog, String> {
    customer.call(CUSTOMER, &format!("sip:{DID}@127.20.0.10"))
}

/// Where each agent's screen was.
struct Marks(Vec<usize>);

impl Marks {
    fn of(proxy: &Proxy) -> Self {
        Self(proxy.site.screens.iter().map(Screen::mark).collect())
    }

    /// What an agent was shown since.
    fn frames(&self, proxy: &Proxy, agent: &str) -> Vec<Value> {
        let screens = proxy.site.screens.iter().zip(&self.0);
        screens.filter(|(screen, _)| screen.agent == agent).flat_map(|(screen, mark)| screen.since(*mark)).collect()
    }

    fn popped(&self, proxy: &Proxy, agent: &str) -> BTreeSet<String> {
        let pops = self.frames(proxy, agent).into_iter().filter(|f| f["type"] == "pop");
        pops.filter_map(|f| f["call"].as_str().map(str::to_owned)).collect()
    }

    /// Each of the watchers pops at the agent's WebSocket.
    fn pops(&self, proxy: &Proxy, agent: &str) -> Result<(), String> {
        let all = WATCHERS.len();
        until(&format!("{all} pops at {agent}"), Duration::from_secs(10), || {
            (self.popped(proxy, agent).len() >= all).then_some(())
        })
        .map_err(|e| format!("{e}; there are {}", self.popped(proxy, agent).len()))
    }

    /// So many frames of a kind came to an agent, one for each watcher that is meant.
    fn count(
        &self,
        proxy: &Proxy,
        agent: &str,
        what: &str,
        count: usize,
        is: impl Fn(&Value) -> bool,
    ) -> Result<(), String> {
        let found = self.frames(proxy, agent).iter().filter(|f| is(f)).count();
        if found == count { Ok(()) } else { Err(format!("{found} times {what} at {agent}, not {count}")) }
    }
}

/// What each watcher wrote down is what is expected of it.
fn judge(proxy: &mut Proxy, but: &[&str], expected: &dyn Fn(&str) -> Result<Expected, String>) -> Result<(), String> {
    let each: Vec<(&str, Expected)> = WATCHERS.iter().map(|w| Ok((*w, expected(w)?))).collect::<Result<_, String>>()?;
    let mut wrong = Vec::new();
    // What the mirror adds to an end that was told already comes as an amendment.
    let right = until("right records", Duration::from_secs(10), || {
        let records = proxy.site.new_records().ok()?;
        wrong.clear();
        for (watcher, expected) in &each {
            let own: Vec<Value> = records.iter().filter(|r| r["switch"] == format!("k-{watcher}")).cloned().collect();
            let misses = expected.misses(&own, but);
            wrong.extend(misses.into_iter().map(|what| format!("[{watcher}] {what}")));
        }
        wrong.is_empty().then_some(())
    });
    let written = settle(&mut proxy.site, each.iter().map(|(_, expected)| expected.count()).sum());
    if right.is_ok() {
        written?;
    }
    for screen in &proxy.site.screens {
        wrong.extend(screen.faults().into_iter().map(|f| format!("screen {}: {f}", screen.agent)));
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n    ")) }
}

/// As the scenario was recorded.
fn recorded(scenario: &str) -> impl Fn(&str) -> Result<Expected, String> {
    move |watcher| Expected::read("kamailio", scenario, if watcher == "hep" { "hep+sip" } else { "sip" })
}

/// The agent's phone is told to call, and does; the one of six watchers that was asked knows it for the click, the others for a call of the agent.
fn referred(proxy: &mut Proxy) -> Result<(), String> {
    let marks = Marks::of(proxy);
    let agent = proxy.agent("1001", 300)?;
    let customer = proxy.phones.carrier("uas_answer", &[("RING_MS", "500")])?;
    let ask = |proxy: &mut Proxy, number: &str| {
        let asked = serde_json::json!({"type": "dial", "number": number});
        proxy.site.screen("1001")?.begin("dial", asked)
    };
    let id = ask(proxy, "13800138000")?;
    let call = agent.follow_stranger("sip:1001@pbx.lab")?;
    marks.pops(proxy, "1001")?;
    let answer = proxy.site.look("1001")?.answer(&id)?;
    if answer["type"] != "done" {
        return Err(format!("the dial was answered by {answer}"));
    }
    pass(1500);
    agent.hang_up(call)?;
    customer.done()?;
    let records = settle(&mut proxy.site, WATCHERS.len())?;
    let clicked: Vec<&Value> = records.iter().filter(|r| r["origin"] == "click-to-dial").collect();
    if clicked.len() != 1 || clicked[0]["call"] != answer["call"] {
        return Err(format!("{} records are of a click, not that of {}", clicked.len(), answer["call"]));
    }
    if records.iter().any(|r| r["direction"] != "outbound" || r["outcome"] != "answered") {
        return Err(format!("not an answered call of the agent: {records:?}"));
    }
    // Without a phone there is nobody to tell.
    agent.unregister()?;
    let id = ask(proxy, "13800138000")?;
    let answer = proxy.site.look("1001")?.answer(&id)?;
    if answer["code"] != "not-registered" {
        return Err(format!("a dial without a phone was answered by {answer}"));
    }
    Ok(())
}

fn withdrawn(frame: &Value) -> bool {
    frame["type"] == "pop.withdrawn"
}

fn answered(proxy: &mut Proxy) -> Result<(), String> {
    let marks = Marks::of(proxy);
    proxy.phones.register(&["1001"])?;
    let agent = proxy.phones.phone("1001", "uas_answer", 1, &[("RING_MS", "1000")])?;
    let caller = proxy.phones.customer(CUSTOMER, DID, "trunk_call", &[("TALK_MS", "2000")])?;
    marks.pops(proxy, "1001")?;
    caller.done()?;
    agent.done()?;
    judge(proxy, &["cause.q850"], &recorded("inbound-answered"))
}

fn cancelled(proxy: &mut Proxy) -> Result<(), String> {
    let marks = Marks::of(proxy);
    proxy.phones.register(&["1001"])?;
    let agent = proxy.phones.phone("1001", "uas_noanswer", 1, &[])?;
    let caller = proxy.phones.customer(CUSTOMER, DID, "trunk_cancel", &[("TALK_MS", "2000")])?;
    marks.pops(proxy, "1001")?;
    caller.done()?;
    agent.done()?;
    judge(proxy, &[], &recorded("inbound-cancelled"))?;
    marks.count(proxy, "1001", "a pop withdrawn", WATCHERS.len(), withdrawn)
}

fn busy(proxy: &mut Proxy) -> Result<(), String> {
    let marks = Marks::of(proxy);
    proxy.phones.register(&["1001"])?;
    let agent = proxy.phones.phone("1001", "uas_busy", 1, &[("CODE", "486")])?;
    let caller = proxy.phones.customer(CUSTOMER, DID, "trunk_reject", &[("CODE", "486")])?;
    caller.done()?;
    agent.done()?;
    judge(proxy, &[], &recorded("inbound-busy"))?;
    // It did not ring.
    marks.count(proxy, "1001", "a pop", 0, |f| f["type"] == "pop")
}

/// The switch gives up after 8 s.
fn unanswered(proxy: &mut Proxy) -> Result<(), String> {
    let marks = Marks::of(proxy);
    proxy.phones.register(&["1001"])?;
    let agent = proxy.phones.phone("1001", "uas_noanswer", 1, &[])?;
    let caller = proxy.phones.customer(CUSTOMER, DID, "trunk_reject", &[("CODE", "408")])?;
    marks.pops(proxy, "1001")?;
    caller.done()?;
    agent.done()?;
    judge(proxy, &[], &recorded("inbound-unanswered"))?;
    marks.count(proxy, "1001", "a pop withdrawn", WATCHERS.len(), withdrawn)
}

/// Two phones of one agent ring; one answers, and the switch takes the call from the other.
fn forked(proxy: &mut Proxy) -> Result<(), String> {
    let marks = Marks::of(proxy);
    let (first, customer) = (proxy.agent("1001", 1000)?, proxy.carrier()?);
    let other = proxy.softphone("1001", 111, None)?;
    other.register(true)?;
    let call = dials(&customer)?;
    other.cancelled()?;
    marks.pops(proxy, "1001")?;
    pass(2000);
    customer.hang_up(call)?;
    drop(first);
    judge(proxy, &[], &recorded("inbound-forked-two-devices"))?;
    // Two phones of one agent are one pop that stays.
    marks.count(proxy, "1001", "a pop", WATCHERS.len(), |f| f["type"] == "pop")?;
    marks.count(proxy, "1001", "a pop withdrawn", 0, withdrawn)
}

/// The agent holds the customer and hangs up at the end. Dialog events say `confirmed` all the time.
fn held(proxy: &mut Proxy) -> Result<(), String> {
    let marks = Marks::of(proxy);
    let (agent, customer) = (proxy.agent("1001", 300)?, proxy.carrier()?);
    dials(&customer)?;
    let mut call = agent.taken(0)?;
    marks.pops(proxy, "1001")?;
    pass(700);
    agent.offer(&mut call, "sendonly")?;
    pass(1200);
    agent.offer(&mut call, "sendrecv")?;
    pass(600);
    agent.hang_up(call)?;
    judge(proxy, &[], &recorded("hold-by-agent"))?;
    marks.count(proxy, "1001", "a hold", 1, |f| f["type"] == "call.changed" && f["leg"] == "holding")
}

/// 1001 holds the customer and sends them to 1002 (REFER).
fn blind(proxy: &mut Proxy) -> Result<(), String> {
    let marks = Marks::of(proxy);
    let (first, second, customer) = (proxy.agent("1001", 300)?, proxy.agent("1002", 800)?, proxy.carrier()?);
    let mut outside = dials(&customer)?;
    let mut call = first.taken(0)?;
    marks.pops(proxy, "1001")?;
    pass(800);
    first.offer(&mut call, "sendonly")?;
    pass(400);
    first.refer(&mut call, "sip:1002@pbx.lab", None)?;
    let new = customer.follow(&mut outside, CUSTOMER)?;
    second.taken(0)?;
    marks.pops(proxy, "1002")?;
    pass(1400);
    first.hang_up(call)?;
    pass(1000);
    customer.hang_up(new)?;
    judge(proxy, &[], &recorded("blind-transfer-refer"))
}

/// 1001 asks 1002, who then has the customer in the place of the question (REFER with Replaces).
fn attended(proxy: &mut Proxy) -> Result<(), String> {
    let marks = Marks::of(proxy);
    let (first, second, customer) = (proxy.agent("1001", 300)?, proxy.agent("1002", 800)?, proxy.carrier()?);
    let mut outside = dials(&customer)?;
    let mut call = first.taken(0)?;
    marks.pops(proxy, "1001")?;
    pass(800);
    first.offer(&mut call, "sendonly")?;
    pass(300);
    let mut asked = first.call("<sip:1001@pbx.lab>", "sip:1002@pbx.lab")?;
    marks.pops(proxy, "1002")?;
    pass(800);
    first.offer(&mut asked, "sendonly")?;
    pass(300);
    first.refer(&mut call, "sip:1002@pbx.lab", Some(&asked))?;
    let new = customer.follow(&mut outside, CUSTOMER)?;
    pass(200);
    second.hang_up(second.taken(0)?)?;
    pass(1400);
    first.hang_up(call)?;
    pass(1000);
    customer.hang_up(new)?;
    judge(proxy, &[], &recorded("attended-transfer-replaces"))
}

/// An agent's phone leaves and comes back: each watcher tells its agent that none is registered, and that one is again.
fn registers(proxy: &mut Proxy) -> Result<(), String> {
    let phone = proxy.agent("1003", 1000)?;
    let screen = proxy.site.screens.iter().find(|s| s.agent == "1003").ok_or("no screen of 1003")?;
    for _ in 0..2 {
        let mark = screen.mark();
        phone.unregister()?;
        screen.await_frame(mark, "that no phone is registered, from each watcher", |f| {
            let told = f["unregistered"].as_array().into_iter().flatten();
            let devices = told.filter(|d| d["device"] == "SIP/1003");
            f["type"] == "agent.changed" && devices.count() == WATCHERS.len()
        })?;
        let mark = screen.mark();
        phone.register(false)?;
        screen.await_frame(mark, "that a phone is registered again", |f| {
            f["type"] == "agent.changed" && f["unregistered"].is_null()
        })?;
    }
    until("the figures to say so", Duration::from_secs(5), || {
        let (_, text) = proxy.site.admin("/metrics").ok()?;
        WATCHERS.iter().all(|t| figure(&text, "devices_unregistered", t) == Some(0.0)).then_some(())
    })?;
    let faults = screen.faults();
    if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
}

/// What reaches a watcher of whom nothing is lost, where the recorded scenario is about one of whom something is.
const SEEN: &str = r#"{"direction": "inbound", "outcome": "answered", "end": "seen", "customer.e164": "+8613800138000",
    "dialled.e164": "+861085551001", "agents": ["1001"], "hold_ms": {"absent": true}, "ended_by": {"absent": true}}"#;

/// `early` is lost on its way to one watcher and comes, said again, behind `confirmed`: the call pops when it is answered, and goes on as it was.
fn late(proxy: &mut Proxy) -> Result<(), String> {
    let marks = Marks::of(proxy);
    let (_agent, customer) = (proxy.agent("1001", 500)?, proxy.carrier()?);
    let mark = proxy.ferry.mark();
    let mut answered = false;
    proxy.ferry.lose(move |text| {
        answered |= text.starts_with("NOTIFY") && text.contains(">confirmed<");
        !answered && text.starts_with("NOTIFY") && text.contains(">early<")
    });
    let call = dials(&customer)?;
    marks.pops(proxy, "1001")?;
    pass(4000);
    customer.hang_up(call)?;
    let early = |text: &&String| text.starts_with("NOTIFY") && text.contains(">early<");
    if proxy.ferry.mend() == 0 || proxy.ferry.since(mark).iter().filter(early).count() == 0 {
        return Err("no NOTIFY was late".to_owned());
    }
    judge(proxy, &[], &|watcher| match watcher {
        "udp" | "hep" => recorded("notify-lost-then-retransmitted")(watcher),
        _ => Expected::nothing_of(1).and(SEEN),
    })?;
    // The late word is no news.
    marks.count(proxy, "1001", "a pop", WATCHERS.len(), |f| f["type"] == "pop")
}

/// `confirmed` never reaches one watcher. The switch gives up, and forgets the subscription without a word: only a refresh is told (481).
fn lost(proxy: &mut Proxy) -> Result<(), String> {
    let marks = Marks::of(proxy);
    let (_agent, customer) = (proxy.agent("1001", 300)?, proxy.carrier()?);
    let from = proxy.ferry.mark();
    proxy.ferry.lose(|text| text.starts_with("NOTIFY") && text.contains(">confirmed<"));
    let call = dials(&customer)?;
    marks.pops(proxy, "1001")?;
    pass(1500);
    customer.hang_up(call)?;
    forgotten(proxy, from)?;
    if proxy.ferry.mend() == 0 {
        return Err("no NOTIFY was lost".to_owned());
    }
    judge(proxy, &[], &|watcher| match watcher {
        "udp" => recorded("notify-lost-version-gap")(watcher),
        _ => Expected::nothing_of(1).and(if watcher == "hep" { "" } else { SEEN }),
    })?;
    // It watches again: the next call is told.
    let marks = Marks::of(proxy);
    let call = dials(&customer)?;
    marks.pops(proxy, "1001")?;
    customer.hang_up(call)?;
    judge(proxy, &[], &|watcher| Expected::nothing_of(1).and(if watcher == "hep" { "" } else { SEEN }))
}

/// The switch forgot `k-udp`'s subscription to 1001, which a refresh was told (481), and has it again.
fn forgotten(proxy: &Proxy, mark: usize) -> Result<(), String> {
    let of = |text: &str, header: &str, wanted: &str| {
        text.lines().any(|line| line.strip_prefix(header).is_some_and(|value| value.contains(wanted)))
    };
    until("k-udp to be told that it is forgotten, and to watch again", Duration::from_secs(20), || {
        let passed = proxy.ferry.since(mark);
        let mut rest = passed.iter().skip_while(|text| {
            !(text.starts_with("SIP/2.0 481") && of(text, "CSeq:", "SUBSCRIBE") && of(text, "To:", "sip:1001@"))
        });
        // Its registrations are watched too, and forgotten with it.
        let new = rest.find(|text| {
            text.starts_with("NOTIFY") && of(text, "Event:", "dialog") && of(text, "From:", "sip:1001@")
        })?;
        let id = new.lines().find_map(|line| line.strip_prefix("Call-ID:"))?.trim();
        rest.find(|text| text.starts_with("SIP/2.0 200") && of(text, "CSeq:", "NOTIFY") && of(text, "Call-ID:", id))
            .map(drop)
    })
}

/// The proxy dies with a call up and comes back without memory. Connections are made again; over UDP a refresh is answered by 481. The call goes on
/// between the phones, and only the mirror hears its end. The next call is seen by all.
fn crashed(proxy: &mut Proxy) -> Result<(), String> {
    let marks = Marks::of(proxy);
    let (agent, customer) = (proxy.agent("1001", 300)?, proxy.carrier()?);
    let call = dials(&customer)?;
    marks.pops(proxy, "1001")?;
    pass(1000);
    let from = proxy.ferry.mark();
    setup(&proxy.home, "crash")?;
    setup(&proxy.home, "up")?;
    for watcher in WATCHERS.iter().filter(|w| !["udp", "hep"].contains(w)) {
        until(&format!("the connection over {watcher}"), Duration::from_secs(20), || {
            let text = proxy.site.admin("/metrics").ok()?.1;
            let known = figure(&text, "devices_unknown", watcher) == Some(0.0);
            figure(&text, "link_reconnects", watcher).filter(|n| *n >= 2.0 && known)
        })?;
    }
    customer.hang_up(call)?;
    forgotten(proxy, from)?;
    agent.register(false)?;
    let marks = Marks::of(proxy);
    let call = dials(&customer)?;
    marks.pops(proxy, "1001")?;
    pass(800);
    customer.hang_up(call)?;
    // How long the first was talked in is this run's own.
    judge(proxy, &["talk_ms"], &recorded("switch-restart-subscription-lost"))
}
