//! `cargo bench --bench flood`: 20,000 hostile UDP packets a second while 50 calls a second run.
//!
//! The real daemon watches a made-up SIP switch by UDP and hears mirrored signalling by HEP. The switch plays calls at 200 phones as a real Kamailio's NOTIFYs
//! say them (and repeats what is not answered, as RFC 3261 wants), each phone's agent has a WebSocket. First without, then with the flood: malformed
//! messages of RFC 4475, forged NOTIFYs (right Call-ID with a wrong tag, and the other way round), requests that nobody serves, garbage, to the daemon's SIP
//! socket; garbage, HEP 1 and 2, wrong keys to its HEP port; from a stranger's address and some from the switch's own.
//!
//! Told are the calls without a pop or a record, the pop's way with and without the flood, and what strangers were answered. `FLOOD_SECONDS`, `FLOOD_PACKETS`
//! and `FLOOD_CALLS` change the sizes. Everything is on loopback.

#![allow(clippy::disallowed_methods, reason = "a benchmark paces packets and calls by sleeping; no test hangs on it")]

#[path = "../pop/agents.rs"]
#[allow(dead_code, reason = "the pop's benchmark has screens of its own kind")]
mod agents;
mod flooder;
mod switch;

use std::{
    collections::HashMap,
    fs, io,
    net::UdpSocket,
    path::Path,
    process::Child,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use futures_util::{SinkExt as _, StreamExt as _};
use linecard::daemon::demo::{
    hosts::Hosts,
    stage::{Places, Stage, free},
};
use tokio_tungstenite::{
    client_async,
    tungstenite::{Message as Frame, client::IntoClientRequest as _},
};

use switch::Switch;

const SEATS: usize = 200;
const KEY: &str = "mirror-key";

fn main() {
    if !std::env::args().any(|a| a == "--bench") {
        return println!("this measures for a minute: cargo bench --bench flood");
    }
    if let Err(error) = measure() {
        eprintln!("cannot measure: {error}");
        std::process::exit(1);
    }
}

fn size(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// When the pop of a call came to its screen, by the caller's number and the seat.
type Pops = Arc<Mutex<HashMap<(String, usize), Instant>>>;

fn measure() -> io::Result<()> {
    let (seconds, packets, calls) = (size("FLOOD_SECONDS", 20), size("FLOOD_PACKETS", 20_000), size("FLOOD_CALLS", 50));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let preferred = Places::preferred();
    let hosts = runtime.block_on(Hosts::start(preferred))?;
    let folder = std::env::temp_dir().join(format!("linecard-flood-{}", std::process::id()));
    let places = Places {
        agents: free(preferred.agents)?,
        admin: free(preferred.admin)?,
        hooks: free(preferred.hooks)?,
        console: free(preferred.console)?,
        ami: preferred.ami,
        erp: hosts.erp.address(),
        loyalty: hosts.loyalty.address(),
        orders: hosts.orders.address(),
        desk: hosts.tickets.address(),
        survey: hosts.survey.address(),
        mail: hosts.mails.address(),
    };
    let stage = Stage::set(&folder, places)?;
    let mut switch = Switch::open(SEATS)?;
    let hep = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
    stage.write("agents.yaml", &seats())?;
    stage.write("rules.yaml", "rules: []\n")?;
    fs::remove_file(stage.settings().join("switches/pbx1.yaml"))?;
    // They write into what the demo's switch declares, and cost what is not measured here.
    fs::remove_dir_all(stage.settings().join("flows"))?;
    fs::write(folder.join("secrets/mirror"), KEY)?;
    stage.write(
        "switches/edge1.yaml",
        &format!(
            "sip:\n  id: edge1\n  domain: pbx.lab\n  area: \"21\"\n  server: {{host: 127.0.0.1, port: {}, transport: udp}}\n  starts_a_second: 500\n  in_flight: 200\n  \
             hep: {{listen: \"{hep}\", from: [\"{}\"], key: {{file: secrets/mirror}}}}\n",
            switch.address().port(),
            flooder::MIRROR,
        ),
    )?;
    let daemon = Reaped(stage.start(Path::new(env!("CARGO_BIN_EXE_linecard")))?);
    let patience = Instant::now() + Duration::from_secs(30);
    while !(switch.subscribed() == SEATS && stage.ready()) {
        if Instant::now() > patience {
            let ready = stage.get("/readyz").unwrap_or_default();
            let log = fs::read_to_string(stage.log()).unwrap_or_default();
            return Err(io::Error::other(format!("not ready, {} of {SEATS}: {ready}\n{log}", switch.subscribed())));
        }
        switch.serve(Duration::from_millis(20))?;
    }
    let pops = Pops::default();
    runtime.block_on(screens(&stage, &pops))?;

    // Warm, and not counted: connections and caches.
    let warm = switch.round(calls, 2, 0)?;
    settle(&mut switch, &pops, warm.len())?;
    let quiet = switch.round(calls, seconds, 1)?;
    settle(&mut switch, &pops, quiet.len())?;
    let idle = cpu_of(daemon.0.id())?;
    let running = Arc::new(AtomicBool::new(true));
    let flood = flooder::start(switch.peer(), hep, switch.victim(), packets, running.clone());
    let begun = Instant::now();
    let stormy = switch.round(calls, seconds, 2)?;
    let took = begun.elapsed().as_secs_f64();
    running.store(false, Relaxed);
    let cpu = (cpu_of(daemon.0.id())? - idle) / 1e6 / took;
    let flood = flood.join().map_err(|_| io::Error::other("the flooder fell"))??;
    settle(&mut switch, &pops, stormy.len())?;

    let pops = pops.lock().unwrap().clone();
    let expected = warm.len() + quiet.len() + stormy.len();
    let recorded = recorded(&stage, expected, &mut switch)?;
    let (calm, storm) = (Way::of(&quiet, &pops), Way::of(&stormy, &pops));
    println!("| figure | without | with the flood | ratio |\n|---|---|---|---|");
    println!("| calls played, a second {calls} | {} | {} | |", quiet.len(), stormy.len());
    println!("| calls without a pop | {} | {} | |", calm.lost, storm.lost);
    println!("| NOTIFY out to pop in, p50 us | {:.0} | {:.0} | {:.2} |", calm.p50, storm.p50, storm.p50 / calm.p50);
    println!("| p99 us | {:.0} | {:.0} | {:.2} |", calm.p99, storm.p99, storm.p99 / calm.p99);
    println!("| NOTIFYs said again | {} | {} | |", switch.repeated[1], switch.repeated[2]);
    println!("| hostile packets a second | | {:.0} | |", flood.packets as f64 / took);
    println!("| bytes from strangers, and to them | | {}, {} | |", flood.bytes, flood.answered);
    println!("| CPU of the daemon, of one core | | {:.0} % | |", cpu * 100.0);
    println!(
        "| packets the kernel dropped, SIP and HEP | | {}, {} | |",
        drops(switch.peer().port()),
        drops(hep.port())
    );
    println!("| records of {expected} calls | {recorded} | | |");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("\n{cores} cores for daemon, switch, screens and flood together");
    drop(daemon);
    if calm.lost + storm.lost > 0 || recorded != expected || flood.answered > flood.bytes {
        return Err(io::Error::other(format!(
            "calls were lost, or strangers got more than they sent; see {}",
            stage.log().display()
        )));
    }
    fs::remove_dir_all(&folder)?;
    Ok(())
}

fn seats() -> String {
    let each = (0..SEATS).map(agents::seat_name).map(|name| format!("  - {{id: \"{name}\", devices: [SIP/{name}]}}\n"));
    format!("agents:\n{}", each.collect::<String>())
}

/// Every seat's WebSocket, upgraded and with its snapshot in hand.
async fn screens(stage: &Stage, pops: &Pops) -> io::Result<()> {
    for seat in 0..SEATS {
        let token = agents::token(&agents::seat_name(seat));
        let mut request =
            format!("ws://{}/v1/agent", stage.places.agents).into_client_request().map_err(io::Error::other)?;
        let protocols =
            format!("{}, {}{token}", linecard::agents::protocol::SUBPROTOCOL, linecard::agents::protocol::BEARER);
        request.headers_mut().insert("sec-websocket-protocol", protocols.parse().map_err(io::Error::other)?);
        let stream = tokio::net::TcpStream::connect(stage.places.agents).await?;
        stream.set_nodelay(true)?;
        let (mut socket, _) = client_async(request, stream).await.map_err(io::Error::other)?;
        socket.send(Frame::text(r#"{"type":"resume"}"#)).await.map_err(io::Error::other)?;
        loop {
            match socket.next().await {
                Some(Ok(Frame::Text(text))) if text.contains("\"type\":\"snapshot\"") => break,
                Some(Ok(_)) => {}
                _ => return Err(io::Error::other("a screen was closed")),
            }
        }
        let pops = pops.clone();
        tokio::spawn(async move {
            while let Some(Ok(frame)) = socket.next().await {
                let now = Instant::now();
                let Frame::Text(text) = frame else { continue };
                if text.contains("\"type\":\"pop\"")
                    && let Some(number) = switch::number_in(&text)
                {
                    pops.lock().unwrap().entry((number, seat)).or_insert(now);
                }
            }
        });
    }
    Ok(())
}

/// Until no call is up any more and what was to pop has popped, or five seconds passed.
fn settle(switch: &mut Switch, pops: &Pops, calls: usize) -> io::Result<()> {
    let patience = Instant::now() + Duration::from_secs(5);
    while switch.waits() || pops.lock().unwrap().len() < calls && Instant::now() < patience {
        switch.serve(Duration::from_millis(5))?;
        if Instant::now() > patience {
            break;
        }
    }
    switch.serve(Duration::from_millis(500))
}

/// Records in the store, once there are as many as calls or ten seconds passed.
fn recorded(stage: &Stage, expected: usize, switch: &mut Switch) -> io::Result<usize> {
    let patience = Instant::now() + Duration::from_secs(10);
    loop {
        let limit = (2 * expected).to_string();
        let program = Path::new(env!("CARGO_BIN_EXE_linecard"));
        let listed = stage.verb(program, &["records", "list", "--json", "--full", "--limit", &limit])?;
        let found = listed.lines().filter(|line| switch::number_in(line).is_some()).count();
        if found >= expected || Instant::now() > patience {
            return Ok(found);
        }
        switch.serve(Duration::from_millis(200))?;
    }
}

/// The pop's way over a round, in microseconds.
struct Way {
    p50: f64,
    p99: f64,
    lost: usize,
}

impl Way {
    fn of(round: &[switch::Call], pops: &HashMap<(String, usize), Instant>) -> Self {
        let came = |call: &switch::Call| {
            let at = pops.get(&(call.number.clone(), call.seat))?;
            Some(at.saturating_duration_since(call.rang).as_secs_f64() * 1e6)
        };
        let mut us: Vec<f64> = round.iter().filter_map(came).collect();
        us.sort_by(f64::total_cmp);
        let at = |q: f64| us.get(((us.len().max(1) - 1) as f64 * q) as usize).copied().unwrap_or(f64::NAN);
        Self { p50: at(0.5), p99: at(0.99), lost: round.len() - us.len() }
    }
}

/// Datagrams that the kernel dropped at this port because nobody read them in time.
fn drops(port: u16) -> u64 {
    let table = fs::read_to_string("/proc/net/udp").unwrap_or_default();
    let of = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let local = u16::from_str_radix(fields.get(1)?.rsplit(':').next()?, 16).ok()?;
        (local == port).then_some(fields.last()?.parse::<u64>().ok()?)
    };
    table.lines().filter_map(of).sum()
}

/// A process that does not outlive the measurement.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        // One that already ended cannot be killed; it is reaped all the same.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// User and system time of a process so far, in microseconds; the kernel counts it in ticks of 10 ms.
fn cpu_of(pid: u32) -> io::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in brackets may hold anything; the fields count from behind it.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    Ok((ticks(11) + ticks(12)) * 10_000.0)
}
