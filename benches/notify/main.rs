//! `cargo bench --bench notify`: what a NOTIFY costs from bytes to domain events, in instructions (callgrind), stage by stage.
//!
//! The NOTIFYs are a real Kamailio's (`proto-fixtures/kamailio/inbound-answered`): the phone rings, is answered, hangs up. They are told of a hundred
//! agents' subscriptions, a call a minute each, each call with ids of its own, so that each NOTIFY changes a state; they go the live way: cut from a stream (or taken
//! from a datagram), read, judged, answered by the client machine, and made into the book's events by the watcher.
//!
//! Each stage is run over two numbers of NOTIFYs; what is no NOTIFY (start, subscribing, making the texts) falls out of the difference.

use std::{
    collections::{BTreeMap, VecDeque},
    hint::black_box,
    io,
    process::{Command, Stdio},
    sync::Arc,
    time::Instant,
};

use linecard::{
    calls::{Directory, Event, directory::Agent},
    numbers::Plan,
    switches::{
        inside::Inside,
        sip::{
            client::{Client, Flow, Input, Output, Package, Server, Settings, Target, Transport, Watch, WatchId},
            frame::{Piece, Stream},
            normal,
            translate::Ours,
            verdict,
            watcher::Watcher,
            wire,
        },
    },
    words::{Mono, Now, Wall},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a real Kamailio 5.6.3 told while one call rang, was answered and ended.
const RECORDED: &str = include_str!("../../proto-fixtures/kamailio/inbound-answered/subscriber.jsonl");
const AGENTS: usize = 100;
/// A call a minute at each agent: what was said of the call before is forgotten by then, as on a busy day.
const STEP_MS: u64 = 200;
const HOST: &str = "127.20.0.10";

/// How far a NOTIFY goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Nothing is done with it.
    Made,
    /// Its line ends are looked for and its bytes copied: less can nobody do who reads it.
    Floor,
    Framed,
    Plain,
    Read,
    Judged,
    Answered,
    Told,
    /// The same as `Told`, from a datagram.
    Datagram,
}

const STAGES: [(Stage, &str); 9] = [
    (Stage::Made, "made"),
    (Stage::Floor, "floor: memchr over its lines, memcpy of its bytes"),
    (Stage::Framed, "cut from a stream"),
    (Stage::Plain, "and its head made plain"),
    (Stage::Read, "and read"),
    (Stage::Judged, "and judged"),
    (Stage::Answered, "cut from a stream, taken by the client machine and answered"),
    (Stage::Told, "all: and told as the book's events"),
    (Stage::Datagram, "all, from a datagram"),
];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|a| a == "--stage") {
        let stage = STAGES[arguments[at + 1].parse::<usize>().unwrap()].0;
        let calls = arguments[at + 2].parse().unwrap();
        assert!(run(stage, &mut Bench::new(calls)) < usize::MAX);
        return;
    }
    if !arguments.iter().any(|a| a == "--bench") {
        return println!("this measures for a minute: cargo bench --bench notify");
    }
    let mut bench = Bench::new(1);
    let bytes: usize = bench.calls.iter().flatten().map(Vec::len).sum::<usize>() / bench.per_call();
    let events = run(Stage::Told, &mut bench);
    println!("a NOTIFY of a state that changed: {bytes} bytes, {:.1} events", events as f64 / bench.per_call() as f64);
    println!("\n| what is done with it | instructions |\n|---|---|");
    let mut nothing = 0;
    for (at, (stage, words)) in STAGES.into_iter().enumerate() {
        match counted(at) {
            Ok(Some(n)) if stage == Stage::Made => nothing = n,
            Ok(Some(n)) => println!("| {words} | {} |", n.saturating_sub(nothing)),
            Ok(None) => println!("| {words} | not measured: valgrind is not installed |"),
            Err(error) => println!("| {words} | not measured: {error} |"),
        }
    }
    let mut rounds: Vec<f64> = (0..7)
        .map(|_| {
            let mut bench = Bench::new(20_000);
            let notifies = bench.per_call() * 20_000;
            let begun = Instant::now();
            run(Stage::Told, &mut bench);
            begun.elapsed().as_secs_f64() * 1e9 / notifies as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    println!("\n| all, in ns, median of 7 (least, most) | {:.0} ({:.0}, {:.0}) |", rounds[3], rounds[0], rounds[6]);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = info
        .lines()
        .find_map(|l| l.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown CPU", |(_, name)| name.trim());
    println!("\n{cores} cores, {cpu}");
}

/// Instructions of a NOTIFY at this stage. `None` where there is no valgrind.
fn counted(stage: usize) -> io::Result<Option<u64>> {
    let known = Command::new("valgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !known.is_ok_and(|status| status.success()) {
        return Ok(None);
    }
    let mut counted = Vec::new();
    for calls in [100_u64, 600] {
        let run = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(std::env::current_exe()?)
            .args(["--stage", &stage.to_string(), &calls.to_string()])
            .output()?;
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        let collected =
            said.lines().find_map(|l| l.split("Collected :").nth(1)).and_then(|n| n.trim().parse::<u64>().ok());
        let Some(collected) = collected.filter(|_| run.status.success()) else {
            return Err(io::Error::other(format!("callgrind says nothing: {said}")));
        };
        counted.push(collected);
    }
    Ok(Some((counted[1] - counted[0]) / (500 * recorded().len() as u64)))
}

/// One watcher with its subscriptions, and what it will be told.
struct Bench {
    client: Client,
    watcher: Watcher,
    flow: Flow,
    /// The NOTIFYs of each call, in their order.
    calls: Vec<Vec<Vec<u8>>>,
}

impl Bench {
    fn new(calls: usize) -> Self {
        let settings = Settings {
            server: Server { host: HOST.into(), port: Some(5060), transport: Some(Transport::Tcp) },
            identity: "sip:cti@pbx.lab".into(),
            credentials: None,
            expires_s: 86_400,
            starts_a_second: 1_000,
            in_flight: 1_000,
            agent: "linecard".into(),
        };
        let agents = (0..AGENTS).map(|n| (1001 + n).to_string()).map(|name| Agent::new(&*name).at(&[&name])).collect();
        let ours = Ours {
            inside: Inside { switch: "bench".into(), directory: Arc::new(Directory::new(agents)), ..Inside::default() },
            plan: Plan::new("CN", Some("10")),
            trunk: "SIP/trunk".into(),
        };
        let mut client = Client::new(settings, [7; 32]);
        let mut watcher = Watcher::new(ours);
        let uris: Vec<String> = (0..AGENTS).map(|n| format!("sip:{}@pbx.lab", 1001 + n)).collect();
        let watches = uris.iter().enumerate().map(|(n, uri)| Watch {
            id: WatchId(u32::try_from(n).unwrap()),
            uri: uri.clone(),
            package: Package::Dialog,
            list: false,
            expires_s: None,
        });
        uris.iter().for_each(|uri| watcher.dialogs.watch(uri));
        let (flow, tags) = subscribed(&mut client, watches.collect());
        let calls = (0..calls).map(|call| told(call, &tags)).collect();
        Self { client, watcher, flow, calls }
    }

    fn per_call(&self) -> usize {
        recorded().len()
    }
}

fn at(ms: u64) -> Now {
    Now { wall: Wall(1_795_347_038_000 + i64::try_from(ms).unwrap()), mono: Mono(ms * 1000) }
}

/// The recorded NOTIFYs that have a body.
fn recorded() -> Vec<String> {
    let lines = RECORDED.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines
        .filter(|line| line["dir"] == "in")
        .map(|line| line["msg"].as_str().unwrap().to_owned())
        .filter(|text| text.starts_with("NOTIFY ") && text.contains("<dialog-info"))
        .collect()
}

/// Ids of a subscription: Call-ID and our tag, by the user that is watched.
type Tags = BTreeMap<String, (String, String)>;

/// Lets the client subscribe, over one stream.
fn subscribed(client: &mut Client, watches: Vec<Watch>) -> (Flow, Tags) {
    let (mut up, mut tags, mut ms) = (Flow(0), Tags::new(), 0);
    client.take(at(0), Input::Watch(watches));
    while ms < 1_000 {
        ms += 1;
        while let Some(output) = client.next(at(ms)) {
            match output {
                Output::Resolve(_) => {
                    let target = Target { host: HOST.into(), port: 5060, transport: Transport::Tcp };
                    client.take(at(ms), Input::Resolved { targets: vec![target], ttl_ms: 86_400_000 });
                }
                Output::Open { flow, .. } => {
                    up = flow;
                    client.take(at(ms), Input::Connected { flow, host: "127.20.0.30".into(), port: 53280 });
                }
                Output::Send { bytes, .. } => {
                    let request = wire::read(&bytes).unwrap();
                    let user = request.to().uri.user().to_owned();
                    tags.insert(user, (request.call_id().to_owned(), request.from().tag().unwrap().to_owned()));
                    let answer = wire::Draft::response(&request, 200, "OK", None)
                        .to_tag("kamailio")
                        .header("Expires", "86400")
                        .header("Contact", "<sip:127.20.0.10:5060;transport=tcp>")
                        .bytes();
                    client.take(at(ms), received(up, Transport::Tcp, &answer));
                }
                _ => {}
            }
        }
    }
    assert_eq!(tags.len(), AGENTS);
    (up, tags)
}

fn received(flow: Flow, transport: Transport, bytes: &[u8]) -> Input<'_> {
    Input::Received { flow: Some(flow), host: HOST, port: 5060, transport, bytes }
}

/// What is told of one call: the recorded words with ids of our own.
fn told(call: usize, tags: &Tags) -> Vec<Vec<u8>> {
    let user = (1001 + call % AGENTS).to_string();
    let (id, tag) = &tags[&user];
    let told = recorded();
    told.iter()
        .enumerate()
        .map(|(n, text)| {
            let number = call / AGENTS * told.len() + n + 2;
            let caller = format!("+86138{call:08}");
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let body = body
                .replace("1-25125@127.20.0.200", &format!("1-{call:05}@127.20.0.200"))
                .replace("sip:1001@", &format!("sip:{user}@"))
                .replace("+8613800138000", &caller)
                // The first body was the second thing told, and so on.
                .replace(&format!("version=\"{}\" state", n + 2), &format!("version=\"{number}\" state"));
            let lines: Vec<String> = head
                .split("\r\n")
                .map(|line| match line.split_once(": ").unwrap_or((line, "")) {
                    ("Via", _) => format!(
                        "Via: SIP/2.0/TCP 127.20.0.10;branch=z9hG4bK{call:08x}.{n}ef17793000000000000000000000000.0"
                    ),
                    ("To", _) => format!("To: <sip:cti@pbx.lab>;tag={tag}"),
                    ("From", _) => format!("From: <sip:{user}@pbx.lab>;tag=kamailio"),
                    ("CSeq", _) => format!("CSeq: {number} NOTIFY"),
                    ("Call-ID", _) => format!("Call-ID: {id}"),
                    ("Content-Length", _) => format!("Content-Length: {}", body.len()),
                    ("Subscription-State", _) => "Subscription-State: active;expires=86300".to_owned(),
                    _ => line.to_owned(),
                })
                .collect();
            format!("{}\r\n\r\n{body}", lines.join("\r\n")).into_bytes()
        })
        .collect()
}

/// All NOTIFYs, so far. Gives how many events came of them.
fn run(stage: Stage, bench: &mut Bench) -> usize {
    let (mut stream, mut copy, mut events, mut ms) = (Stream::default(), Vec::new(), 0, 1_000);
    let calls = std::mem::take(&mut bench.calls);
    // All phones at once, each call a state after another.
    for some in calls.chunks(AGENTS) {
        for n in 0..some.first().map_or(0, Vec::len) {
            for bytes in some.iter().filter_map(|call| call.get(n)) {
                ms += STEP_MS;
                events += one(stage, bench, bytes, &mut stream, &mut copy, at(ms));
            }
        }
    }
    if stage >= Stage::Told {
        assert!(events >= calls.len() * 3, "{events} events of {} calls", calls.len());
    }
    events
}

fn one(stage: Stage, bench: &mut Bench, bytes: &[u8], stream: &mut Stream, copy: &mut Vec<u8>, now: Now) -> usize {
    match stage {
        Stage::Made => return 0,
        Stage::Floor => {
            copy.clear();
            copy.extend_from_slice(black_box(bytes));
            return memchr::memchr_iter(b'\n', black_box(copy)).count().min(1) - 1;
        }
        Stage::Datagram => {
            let bytes = bytes.to_vec();
            bench.client.take(now, received(bench.flow, Transport::Tcp, &bytes));
            return drained(stage, bench, now);
        }
        _ => {}
    }
    stream.take(bytes);
    let mut events = 0;
    while let Ok(Some(Piece::Message(bytes))) = stream.next() {
        match stage {
            Stage::Plain => drop(black_box(normal::plain(&bytes))),
            Stage::Read => drop(black_box(wire::read(&bytes))),
            Stage::Judged => drop(black_box(verdict::judge(&bytes))),
            Stage::Answered | Stage::Told => {
                bench.client.take(now, received(bench.flow, Transport::Tcp, &bytes));
                events += drained(stage, bench, now);
            }
            _ => {}
        }
    }
    events
}

/// Does what the client wants done, as `live.rs` does.
fn drained(stage: Stage, bench: &mut Bench, now: Now) -> usize {
    let mut events = 0;
    let mut notified = VecDeque::new();
    while let Some(output) = bench.client.next(now) {
        match output {
            Output::Notified { message, .. } => notified.push_back(message),
            Output::Send { bytes, .. } | Output::Reply { bytes, .. } => {
                assert!(black_box(bytes).starts_with(b"SIP/2.0 200 "))
            }
            _ => {}
        }
    }
    assert_eq!(notified.len(), 1, "a NOTIFY was not taken");
    if stage >= Stage::Told {
        for message in notified {
            let wanted = bench.watcher.notify(now.wall, &message);
            assert!(!wanted.refresh && wanted.refused.is_none());
            let all: Vec<Event> = bench.watcher.take();
            events += black_box(all).len();
        }
    }
    events
}
