//! A real Kamailio as an edge before the real Asterisk: the carrier calls the one, phones hang at the other, both mirror their signalling, and AMI tells of the
//! channels. However many tell of a call, the customer is one call, pops once and has one record.

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
    phones::{ASTERISK, KAMAILIO, Phones},
    screen::Protocol,
    site::Site,
    stories::settle,
    switch::Asterisk,
    wait::until,
};

/// 1001's direct line, as Asterisk's dialplan has it.
const LINE: &str = "02161234567";
/// Behind this one is somebody whom nobody watches.
const ELSEWHERE: &str = "02161239999";
/// The number that was called first.
const DIVERSION: &str = "      Diversion: <sip:4008001234@carrier.example>;reason=unconditional\n";

/// The way out through the edge: what an agent dials behind an 8.
const TRUNK: &str = "[trunk-edge]\ntype = endpoint\ncontext = from-trunk\ndisallow = all\nallow = alaw,ulaw\naors = trunk-edge\ndirect_media = no\n\
                     [trunk-edge]\ntype = aor\ncontact = sip:127.20.0.10:5060";
const DIALLED: &str = "[agents](+)\nexten => _8X.,1,Dial(PJSIP/${EXTEN:1}@trunk-edge,60)\n same => n,Hangup()";

pub struct Edge {
    kamailio: PathBuf,
    /// Up as long as this is.
    _asterisk: Asterisk,
    /// The carrier before the edge, and phones behind it that are not the PBX's.
    outside: Phones,
    phones: Phones,
    site: Site,
}

/// One story.
type Play = fn(&mut Edge) -> Result<(), String>;

/// In the order in which they are played.
pub const ALL: &[(&str, Play)] = &[
    ("edge-answered-is-one-call", answered),
    ("edge-given-up-while-it-rings-is-one-call", given_up),
    ("edge-given-up-where-nobody-watches-is-the-edge-s-call", elsewhere),
    ("edge-daemon-killed-mid-call-is-one-call", killed),
    ("edge-call-out-is-the-agent-s-call", out),
    ("mirror-beside-ami-knows-who-withholds", withheld),
    ("edge-and-mirror-beside-ari-are-one-call", by_ari),
];

impl Edge {
    pub fn set(logs: &Path, protocol: &Arc<Protocol>) -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let home = |name: &str, folder: &str| env::var(name).map_or_else(|_| root.join(folder), PathBuf::from);
        let kamailio = home("KAMAILIO_HOME", ".cache/kamailio");
        setup(&kamailio, "up")?;
        let more = [("pjsip.conf", TRUNK), ("extensions.conf", DIALLED)]
            .map(|(file, text)| (file.to_owned(), text.to_owned()));
        let asterisk = Asterisk::start(&home("ASTERISK_HOME", ".cache/asterisk"), logs, &more)?;
        for module in ["res_hep", "res_hep_pjsip"] {
            asterisk.say(&format!("module load {module}.so"))?;
        }
        let mut edge = Self {
            kamailio,
            _asterisk: asterisk,
            outside: Phones::new(KAMAILIO, logs)?,
            phones: Phones::new(ASTERISK, logs)?,
            site: Site::at_edge(logs, protocol)?,
        };
        edge.site.say(&["check"])?;
        edge.site.start(&[])?;
        edge.watched()?;
        Ok(edge)
    }

    /// All three links of both switches are up.
    fn watched(&self) -> Result<(), String> {
        until("all feeds to be up", Duration::from_secs(20), || {
            let (_, text) = self.site.admin("/metrics").ok()?;
            let up = text.lines().filter(|l| l.starts_with("linecard_link_up{") && l.ends_with(" 1"));
            (up.count() == 3).then_some(())
        })
    }

    /// Distinct pops at 1001 since `mark`.
    fn pops(&self, mark: usize) -> Result<BTreeSet<String>, String> {
        let frames = self.site.look("1001")?.since(mark);
        Ok(frames.iter().filter(|f| f["type"] == "pop").filter_map(|f| f["pop"].as_str().map(str::to_owned)).collect())
    }

    /// The only record, and that it popped so often.
    fn one(&mut self, mark: usize, pops: usize) -> Result<Value, String> {
        let records = settle(&mut self.site, 1)?;
        // Long enough for an edge's call to be taken for one of its own, were it not the PBX's.
        let later = until("a second record", Duration::from_secs(8), || {
            self.site.new_records().ok().filter(|more| !more.is_empty())
        });
        if let Ok(more) = later {
            return Err(format!("a customer is two calls: {records:#?} and {more:#?}"));
        }
        let shown = self.pops(mark)?;
        match records.as_slice() {
            [record] if shown.len() == pops => Ok(record.clone()),
            [_] => Err(format!("{} pops, not {pops}: {shown:?}", shown.len())),
            _ => Err(format!("not one record: {records:#?}")),
        }
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        setup(&self.kamailio, "down").ok();
    }
}

fn setup(home: &Path, verb: &str) -> Result<(), String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/kamailio/setup.sh");
    let mut command = Command::new(script);
    command.arg(verb).env("KAMAILIO_HOME", home).env("KAMAILIO_DEFINES", "WITH_EDGE");
    let out = command.output().map_err(|e| e.to_string())?;
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    if out.status.success() { Ok(()) } else { Err(format!("kamailio {verb}: {told}")) }
}

/// What must stand in a record, by paths.
fn says(record: &Value, wanted: &[(&str, Value)]) -> Result<(), String> {
    for (path, value) in wanted {
        let found = path.split('.').try_fold(record, |at, key| at.get(key)).unwrap_or(&Value::Null);
        if found != value {
            return Err(format!("{path} is {found}, not {value}: {record:#}"));
        }
    }
    Ok(())
}

/// The record is the PBX's and has the edge's dialog among its ids.
fn joined(record: &Value) -> Result<(), String> {
    let ids = record["ids"].as_array().cloned().unwrap_or_default();
    if ids.iter().any(|id| id["switch"] == "edge1" && id["kind"] == "sip-call-id") {
        return says(record, &[("switch", "pbx1".into())]);
    }
    Err(format!("the edge's call is not in it: {record:#}"))
}

fn answered(edge: &mut Edge) -> Result<(), String> {
    edge.phones.register(&["1001"])?;
    let agent = edge.phones.phone("1001", "uas_answer", 1, &[("RING_MS", "1500")])?;
    let mark = edge.site.look("1001")?.mark();
    let caller =
        edge.outside.customer("13800138000", LINE, "trunk_call", &[("PRIVACY", DIVERSION), ("TALK_MS", "3000")])?;
    // The pop does not wait for the edge, and the edge was quicker: its first frame has the number that was called first.
    let screen = edge.site.look("1001")?;
    let pop = screen.await_frame(mark, "the pop", |frame| frame["type"] == "pop")?;
    if pop["title"] != "Hotline" {
        return Err(format!("the first frame does not know the line: {pop:#}"));
    }
    caller.done()?;
    agent.done()?;
    let record = edge.one(mark, 1)?;
    joined(&record)?;
    says(
        &record,
        &[
            ("direction", "inbound".into()),
            ("outcome", "answered".into()),
            ("customer.e164", "+8613800138000".into()),
            ("customer.withheld", false.into()),
            ("dialled.e164", "+864008001234".into()),
            ("ended_by", "customer".into()),
            ("quality", "exact".into()),
        ],
    )?;
    let call = record["call"].as_str().unwrap_or_default();
    let told = edge.site.say(&["explain", "--call", call])?;
    if told.contains("edge1 had it too: found by call-id") && told.contains("(by diversion)") {
        return Ok(());
    }
    Err(format!("explain does not say how they were joined: {told}"))
}

fn given_up(edge: &mut Edge) -> Result<(), String> {
    edge.phones.register(&["1001"])?;
    let agent = edge.phones.phone("1001", "uas_noanswer", 1, &[])?;
    let mark = edge.site.look("1001")?.mark();
    let caller =
        edge.outside.customer("13800138000", LINE, "trunk_cancel", &[("PRIVACY", DIVERSION), ("TALK_MS", "2000")])?;
    caller.done()?;
    agent.done()?;
    let record = edge.one(mark, 1)?;
    joined(&record)?;
    says(
        &record,
        &[("outcome", "abandoned".into()), ("ended_by", "customer".into()), ("dialled.e164", "+864008001234".into())],
    )
}

fn elsewhere(edge: &mut Edge) -> Result<(), String> {
    let other = edge.outside.phone("1003", "uas_noanswer", 1, &[])?;
    let mark = edge.site.look("1001")?.mark();
    let caller = edge.outside.customer("13800138000", ELSEWHERE, "trunk_cancel", &[("TALK_MS", "1500")])?;
    caller.done()?;
    other.done()?;
    let record = edge.one(mark, 0)?;
    says(
        &record,
        &[
            ("switch", "edge1".into()),
            ("direction", "inbound".into()),
            ("outcome", "abandoned".into()),
            ("customer.e164", "+8613800138000".into()),
            ("dialled.e164", "+862161239999".into()),
            ("trunk", "SIP/carrier".into()),
            ("ended_by", "customer".into()),
            ("related", Value::Null),
        ],
    )
}

fn killed(edge: &mut Edge) -> Result<(), String> {
    edge.phones.register(&["1001"])?;
    let agent = edge.phones.phone("1001", "uas_answer", 1, &[("RING_MS", "1000")])?;
    let mark = edge.site.look("1001")?.mark();
    let caller =
        edge.outside.customer("13800138000", LINE, "trunk_call", &[("PRIVACY", DIVERSION), ("TALK_MS", "6000")])?;
    let screen = edge.site.look("1001")?;
    screen.await_frame(mark, "the talk", |frame| frame["type"] == "call.changed" && frame["state"] == "talking")?;
    edge.site.kill();
    edge.site.start(&[])?;
    edge.watched()?;
    caller.done()?;
    agent.done()?;
    // On the new screen it stands in the snapshot; it does not pop again.
    let record = edge.one(0, 0)?;
    joined(&record)?;
    says(
        &record,
        &[
            ("outcome", "answered".into()),
            ("dialled.e164", "+864008001234".into()),
            ("agents", serde_json::json!(["1001"])),
        ],
    )
}

fn out(edge: &mut Edge) -> Result<(), String> {
    edge.phones.register(&["1001"])?;
    let carrier = edge.outside.carrier("uas_answer", &[("RING_MS", "1000")])?;
    let mark = edge.site.look("1001")?.mark();
    let agent = edge.phones.dial("1001", "813800138000", "agent_call", &[("TALK_MS", "2000")])?;
    agent.done()?;
    carrier.done()?;
    let record = edge.one(mark, 1)?;
    joined(&record)?;
    says(
        &record,
        &[
            ("direction", "outbound".into()),
            ("outcome", "answered".into()),
            ("customer.e164", "+8613800138000".into()),
            ("ended_by", "agent".into()),
        ],
    )
}

/// The same once more with ARI in AMI's place, which says Call-IDs unasked.
fn by_ari(edge: &mut Edge) -> Result<(), String> {
    edge.site.stop()?;
    let (file, secret) = (edge.site.folder.join("switches/pbx1.yaml"), edge.site.folder.join("ari.secret"));
    let wrong = |error: std::io::Error| format!("{}: {error}", file.display());
    fs::write(&secret, "linecard-ari").map_err(wrong)?;
    let ari = format!(
        "  ari: {{url: \"http://127.0.0.1:8088\", app: edge, user: linecard, secret: {{file: {}}}}}",
        secret.display()
    );
    let text = fs::read_to_string(&file).map_err(wrong)?;
    let lines = text.lines().map(|line| if line.starts_with("  ami:") { ari.as_str() } else { line });
    fs::write(&file, lines.map(|line| format!("{line}\n")).collect::<String>()).map_err(wrong)?;
    edge.site.start(&[])?;
    edge.watched()?;
    answered(edge)?;
    withheld(edge)
}

/// Straight to the Asterisk, which gives the number to AMI as if it were not withheld.
fn withheld(edge: &mut Edge) -> Result<(), String> {
    edge.phones.register(&["1001"])?;
    let agent = edge.phones.phone("1001", "uas_answer", 1, &[("RING_MS", "1500")])?;
    let mark = edge.site.look("1001")?.mark();
    let asserted = "      P-Asserted-Identity: <sip:13800138000@127.0.0.2>\n      Privacy: id\n";
    let from = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";
    let caller = edge.phones.customer(from, LINE, "trunk_call", &[("PRIVACY", asserted), ("TALK_MS", "2000")])?;
    caller.done()?;
    agent.done()?;
    let record = edge.one(mark, 1)?;
    says(
        &record,
        &[("customer.class", "anonymous".into()), ("customer.withheld", true.into()), ("outcome", "answered".into())],
    )?;
    let frames = edge.site.look("1001")?.since(mark);
    let shown = frames.iter().filter(|f| f["type"] == "pop").find(|f| f.to_string().contains("13800138000"));
    match shown {
        None => Ok(()),
        Some(frame) => Err(format!("a number that is withheld popped: {frame:#}")),
    }
}
