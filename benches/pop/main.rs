//! `cargo bench --bench pop`: what stands between a switch's event and the agent's screen.
//!
//! Five figures, each with the ground it is judged on, as a table and as JSON in `target/pop-bench.json`:
//!
//! 1. switch event in to pop frame out, warm cache, beside a bare epoll relay that hears the same bytes and sends a frame of the same size
//!    (rounds take turns, medians over the rounds). The milliseconds alone mean nothing: the relay in the same run is the floor;
//! 2. CPU of a call, everything on (durable records too), beside the relay's;
//! 3. memory of an idle agent connection;
//! 4. the same way for callers who never called before, while every business system answers after 0 to 30 s: it is to be flat;
//! 5. instructions of an AMI event from bytes to the book (callgrind, where valgrind is installed; else said as not measured).
//!
//! The first line tells how noisy the machine is: by how much a sleep of 500 µs oversleeps.
//! `POP_ROUNDS`, `POP_CALLS` and `POP_CONNECTIONS` change the sizes; `POP_PROGRAM` names another build to measure.

#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark paces calls and probes the machine by sleeping; no test hangs on it"
)]

mod agents;
mod driver;
mod instructions;
mod relay;

use std::{
    io,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use linecard::daemon::demo::{
    hosts::{Hosts, Mode},
    stage::{Places, Stage, free},
};

use agents::Screen;
use driver::{Callers, Driver, Samples};

/// Seats that take turns; each has a socket of its own.
const SEATS: usize = 200;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let of = |flag: &str| arguments.iter().position(|a| a == flag).and_then(|at| arguments.get(at + 1));
    if let (Some(ami), Some(size)) = (of("--relay"), of("--frame")) {
        relay::run(ami, size.parse().unwrap_or(1200)).unwrap();
    } else if let Some(file) = of("--replay") {
        instructions::replay(Path::new(file));
    } else if arguments.iter().any(|a| a == "--instructions") {
        println!("{:?}", instructions::of_an_event(&std::env::temp_dir()));
    } else if !arguments.iter().any(|a| a == "--bench") {
        println!("this measures for minutes: cargo bench --bench pop");
    } else if let Err(error) = measure() {
        eprintln!("cannot measure: {error}");
        std::process::exit(1);
    }
}

fn size(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

fn measure() -> io::Result<()> {
    let (rounds, calls, connections) =
        (size("POP_ROUNDS", 5).max(1), size("POP_CALLS", 1500).max(100), size("POP_CONNECTIONS", 18_000));
    let (sleep_p50, sleep_p99) = oversleep();
    println!("sleep of 500 us overslept by p50 {sleep_p50} us, p99 {sleep_p99} us (a busy machine judges only ratios)");

    // The fakes for lookups; the switch itself is told the time by the driver.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let preferred = Places::preferred();
    let hosts = runtime.block_on(Hosts::start(preferred))?;
    let mut ours = Driver::listen(SEATS)?;
    let folder = std::env::temp_dir().join(format!("linecard-bench-{}", std::process::id()));
    let places = Places {
        agents: free(preferred.agents)?,
        admin: free(preferred.admin)?,
        hooks: free(preferred.hooks)?,
        console: free(preferred.console)?,
        ami: ours.address(),
        erp: hosts.erp.address(),
        loyalty: hosts.loyalty.address(),
        orders: hosts.orders.address(),
        desk: hosts.tickets.address(),
        survey: hosts.survey.address(),
        mail: hosts.mails.address(),
    };
    let stage = Stage::set(&folder, places)?;
    let idle = connections.min(agents::room());
    stage.write("agents.yaml", &agents::file(SEATS, idle))?;
    // What a business system costs is not what is measured here: records are written, tickets are not.
    stage.write("rules.yaml", "rules: []\n")?;
    let program = std::env::var("POP_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_linecard").to_owned());
    let daemon = Reaped(stage.start(Path::new(&program))?);
    ours.greet()?;
    let patience = Instant::now() + Duration::from_secs(30);
    while !stage.ready() {
        if Instant::now() > patience {
            return Err(io::Error::other(format!(
                "the daemon is not ready; see {}: {}",
                stage.log().display(),
                stage.get("/readyz").unwrap_or_default()
            )));
        }
        ours.serve_actions(Duration::from_millis(20))?;
    }
    let mut screens = Vec::with_capacity(SEATS);
    for seat in 0..SEATS {
        screens.push(Screen::web_socket(places.agents, seat, &agents::token(&agents::seat_name(seat)))?);
    }

    // Warm: the customer is found and every screen has had a pop.
    let warm = ours.round(&mut screens, SEATS + 100, Callers::Known)?;
    let Some(frame) = warm.last_frame.clone().filter(|f| f.contains("陈静")) else {
        return Err(io::Error::other(format!("the pop does not know the customer: {:?}", warm.last_frame)));
    };

    let mut floor = Driver::listen(SEATS)?;
    let relay = Reaped(
        Command::new(std::env::current_exe()?)
            .args(["--relay", &floor.address().to_string(), "--frame", &frame.len().to_string()])
            .stdout(Stdio::piped())
            .spawn()?,
    );
    let mut relay = relay;
    let door = relay::address(&mut relay.0)?;
    floor.greet()?;
    let mut floor_screens = Vec::with_capacity(SEATS);
    for seat in 0..SEATS {
        floor_screens.push(Screen::plain(door, seat)?);
    }
    floor.round(&mut floor_screens, SEATS + 100, Callers::Known)?;

    let (mut linecard, mut bare) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        // They take turns in who goes first, so that neither always meets the warmer machine.
        for turn in [round % 2, (round + 1) % 2] {
            if turn == 0 {
                linecard.push(Round::of(&mut ours, &mut screens, calls, Callers::Known, daemon.0.id())?);
            } else {
                bare.push(Round::of(&mut floor, &mut floor_screens, calls, Callers::Known, relay.0.id())?);
            }
        }
        println!("round {} of {rounds}: linecard {}, relay {}", round + 1, linecard[round], bare[round]);
    }
    let (us, them) = (Round::median(&linecard), Round::median(&bare));

    let memory = agents::memory(places.agents, daemon.0.id(), idle, || ours.serve_actions(Duration::ZERO))?;
    // After the connections were weighed: what it leaves in the heap would carry some of them.
    let swept = sweep(&hosts, &mut ours, &mut screens, rounds, calls / 3, daemon.0.id())?;
    let instructions = instructions::of_an_event(&folder)?;
    drop((daemon, relay, screens, floor_screens));
    std::fs::remove_dir_all(&folder)?;

    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let report = serde_json::json!({
        "machine": {"cores": cores, "cpu": cpu_name(), "sleep_500us_over_p50_us": sleep_p50, "sleep_500us_over_p99_us": sleep_p99},
        "rounds": rounds, "calls_a_round": calls, "pop_frame_bytes": frame.len(),
        "linecard": us.json(), "relay": them.json(),
        "ratio_p50": us.p50 / them.p50, "ratio_p99": us.p99 / them.p99,
        "new_callers_by_delay_of_the_systems": swept.iter().map(|(delay, round)| {
            serde_json::json!({"delay_ms": delay.as_millis() as u64, "round": round.json()})
        }).collect::<Vec<_>>(),
        "idle_connections": memory.connections, "bytes_an_idle_connection": memory.bytes,
        "connects_a_second": memory.connects_a_second,
        "instructions_an_ami_event": instructions,
    });
    println!();
    println!("| figure | linecard | bare relay | ratio | goal |");
    println!("|---|---|---|---|---|");
    println!("| event in to pop out, p50 us | {:.0} | {:.0} | {:.2} | 1.5 |", us.p50, them.p50, us.p50 / them.p50);
    println!("| p90 us | {:.0} | {:.0} | {:.2} | |", us.p90, them.p90, us.p90 / them.p90);
    println!("| p99 us | {:.0} | {:.0} | {:.2} | 2.0 |", us.p99, them.p99, us.p99 / them.p99);
    println!("| CPU of a call, us (durable record and all) | {:.0} | {:.0} | | |", us.cpu, them.cpu);
    println!("| bytes of an idle connection ({} held) | {} | | | 4096 |", memory.connections, memory.bytes);
    let first = swept.first().map_or(1.0, |(_, round)| round.p50);
    for (delay, round) in &swept {
        let (seconds, ratio) = (delay.as_secs_f64(), round.p50 / first);
        println!(
            "| new callers, systems answer after {seconds} s: p50 us (p99 {:.0}); ratio to 0 s | {:.0} | | {ratio:.2} | 1.2 |",
            round.p99, round.p50
        );
    }
    match instructions {
        Some(n) => println!("| instructions of an AMI event, bytes to book | {n} | | | |"),
        None => println!("| instructions of an AMI event | not measured: valgrind is not installed | | | |"),
    }
    println!("\n{cores} cores, {}", cpu_name());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/pop-bench.json");
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    std::fs::write(&path, format!("{report:#}\n"))?;
    println!("the same as JSON: {}", path.display());
    Ok(())
}

/// Pops of callers whom nobody was asked about before, at each delay of the business systems: rounds take turns, medians over the rounds.
fn sweep(
    hosts: &Hosts,
    driver: &mut Driver,
    screens: &mut [Screen],
    rounds: usize,
    calls: usize,
    pid: u32,
) -> io::Result<Vec<(Duration, Round)>> {
    let delays = [0, 100, 1_000, 5_000, 30_000].map(Duration::from_millis);
    let mut all: Vec<Vec<Round>> = vec![Vec::new(); delays.len()];
    for _ in 0..rounds {
        for (delay, rounds) in delays.iter().zip(&mut all) {
            // It waits before it acts and again before it answers.
            let mode = if delay.is_zero() { Mode::Well } else { Mode::Slow(*delay / 2) };
            hosts.all().iter().for_each(|host| host.set(mode));
            rounds.push(Round::of(driver, screens, calls, Callers::New, pid)?);
        }
    }
    hosts.all().iter().for_each(|host| host.set(Mode::Well));
    Ok(delays.into_iter().zip(all.iter().map(|rounds| Round::median(rounds))).collect())
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

/// One round's figures, in microseconds.
#[derive(Clone, Copy)]
struct Round {
    p50: f64,
    p90: f64,
    p99: f64,
    cpu: f64,
}

impl Round {
    fn of(driver: &mut Driver, screens: &mut [Screen], calls: usize, callers: Callers, pid: u32) -> io::Result<Round> {
        let before = cpu_of(pid)?;
        let Samples { mut us, .. } = driver.round(screens, calls, callers)?;
        let cpu = cpu_of(pid)? - before;
        us.sort_by(f64::total_cmp);
        let at = |q: f64| us[((us.len() - 1) as f64 * q) as usize];
        Ok(Round { p50: at(0.5), p90: at(0.9), p99: at(0.99), cpu: cpu / calls as f64 })
    }

    fn median(rounds: &[Round]) -> Round {
        let of = |pick: fn(&Round) -> f64| {
            let mut all: Vec<f64> = rounds.iter().map(pick).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        Round { p50: of(|r| r.p50), p90: of(|r| r.p90), p99: of(|r| r.p99), cpu: of(|r| r.cpu) }
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({"p50_us": self.p50, "p90_us": self.p90, "p99_us": self.p99, "cpu_us_a_call": self.cpu})
    }
}

impl std::fmt::Display for Round {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "p50 {:.0} p99 {:.0} us, {:.0} us CPU a call", self.p50, self.p99, self.cpu)
    }
}

/// User and system time of a process so far, in microseconds; the kernel counts it in ticks of 10 ms.
fn cpu_of(pid: u32) -> io::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in brackets may hold anything; the fields count from behind it.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    Ok((ticks(11) + ticks(12)) * 10_000.0)
}

/// By how many microseconds a sleep of 500 µs is too long: median and 99th percentile of 1,000.
fn oversleep() -> (u128, u128) {
    let mut over: Vec<u128> = (0..1000)
        .map(|_| {
            let start = Instant::now();
            std::thread::sleep(Duration::from_micros(500));
            start.elapsed().as_micros().saturating_sub(500)
        })
        .collect();
    over.sort_unstable();
    (over[500], over[990])
}

fn cpu_name() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|l| l.strip_prefix("model name"));
    model.and_then(|l| l.split_once(':')).map_or_else(|| "unknown CPU".into(), |(_, name)| name.trim().to_owned())
}
