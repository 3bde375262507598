//! `cargo bench --bench lookup`: what it costs to know who is calling, without the business systems' own time.
//!
//! 1. A cached card: nanoseconds and instructions from a number to the whole card, `customer.by_phone` and two blocks in the cache.
//! 2. Memory of 1,000,000 cached customers: what the process grows by, with the customer alone and with two blocks each.
//! 3. Passing a system's limits, nanoseconds of a question with one request (breaker, two windows, a place, what the answer says), beside the floor of
//!    the same run: one lock and the clock read three times, without which nobody could tell how often was asked.
//! 4. The index of numbers: bytes of a number in memory and on disk for 1,000,000, time to find one, to make, write and read it.
//!
//! Each in a process of its own, with the daemon's allocator. `LOOKUP_CUSTOMERS` changes the size.

#![allow(clippy::disallowed_methods, reason = "a benchmark, no test hangs on its clock")]

use std::{
    collections::HashMap,
    future::Future,
    hint::black_box,
    io,
    pin::Pin,
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use linecard::{
    connectors::{
        Ask, Outcome, Priority, Shape,
        file::Cache,
        index::table::{Builder, Made, Table},
        limits::{
            Limits,
            breaker::Ended,
            file::{BreakerFile, RetriesFile},
            gate,
            hints::{Hints, Told},
            live::Limiter,
            window::Rate,
        },
    },
    customers::{Answered, BlockState, Customers, Question, Settings, Systems},
    numbers::{Number, Plan},
    words::{CallId, SystemId, TenantId, Wall},
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let of = |flag: &str| arguments.iter().position(|a| a == flag).and_then(|at| arguments.get(at + 1)).cloned();
    let size = std::env::var("LOOKUP_CUSTOMERS").ok().and_then(|v| v.parse().ok()).unwrap_or(1_000_000_usize);
    match of("--child").as_deref() {
        Some("cards") => println!("{}", cards(size.min(20_000), 400_000)),
        Some("loop") => drop(cards(100, of("--times").and_then(|n| n.parse().ok()).unwrap_or(1))),
        Some("cache") => println!("{}", cache(size, of("--blocks").as_deref() == Some("2"))),
        Some("limits") => println!("{}", limits(2_000_000)),
        Some("index") => println!("{}", index(size)),
        _ if !arguments.iter().any(|a| a == "--bench") => {
            println!("this measures for minutes: cargo bench --bench lookup")
        }
        _ => {
            if let Err(error) = measure(size) {
                eprintln!("cannot measure: {error}");
                std::process::exit(1);
            }
        }
    }
}

fn measure(size: usize) -> io::Result<()> {
    let child = |words: &[&str]| -> io::Result<Value> {
        let output = Command::new(std::env::current_exe()?).args(words).stderr(Stdio::inherit()).output()?;
        serde_json::from_slice(&output.stdout).map_err(|e| io::Error::other(format!("{words:?} gave no figures: {e}")))
    };
    let cards = child(&["--child", "cards"])?;
    let instructions = instructions()?;
    let limits = child(&["--child", "limits"])?;
    let index = child(&["--child", "index"])?;
    let plain = child(&["--child", "cache"])?;
    let blocks = child(&["--child", "cache", "--blocks", "2"])?;
    println!("| figure | |");
    println!("|---|---|");
    println!("| a cached card (customer and two blocks), ns | {} |", cards["card_ns"]);
    match instructions {
        Some(n) => println!("| the same, instructions | {n} |"),
        None => println!("| the same, instructions | not measured: valgrind is not installed |"),
    }
    println!("| passing the limits, ns; floor | {}; {} |", limits["pass_ns"], limits["floor_ns"]);
    println!("| bytes of a cached customer, {size} of them | {} |", plain["bytes_each"]);
    println!("| bytes of a cached customer with two blocks | {} |", blocks["bytes_each"]);
    println!(
        "| bytes of a number in the index, {size} of them: the table, the process, the file | {}, {}, {} |",
        index["table_bytes_each"], index["process_bytes_each"], index["file_bytes_each"]
    );
    println!("| finding a number: there, not there, ns | {}, {} |", index["hit_ns"], index["miss_ns"]);
    println!(
        "| making the index from read records, writing it as bytes, reading it, ms | {}, {}, {} |",
        index["build_ms"], index["write_ms"], index["read_ms"]
    );
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("\n{cores} cores, {}, {}", line_of("/proc/cpuinfo", "model name"), line_of("/proc/meminfo", "MemTotal"));
    Ok(())
}

fn line_of(file: &str, name: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix(name)).and_then(|l| l.split_once(':'));
    line.map_or_else(|| format!("{name} unknown"), |(_, value)| value.trim().to_owned())
}

/// Questions that pass at once, as nearly all do.
fn limits(times: u32) -> Value {
    let second = |requests| Rate { requests, per_us: 1_000_000, burst: None, kept: 1 };
    let bucket = Rate { burst: Some(10_000_000), ..second(10_000_000) };
    let plan = gate::Plan {
        places: 4,
        logins: false,
        windows: vec![second(10_000_000), bucket],
        own: Default::default(),
        shares: Default::default(),
    };
    let limits = Limits {
        plan,
        hints: Hints::default(),
        retries: RetriesFile::default(),
        breaker: BreakerFile::default(),
        breakers: Default::default(),
    };
    let limiter = Arc::new(Limiter::new("crm".into(), &limits));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let deadline = Instant::now() + Duration::from_secs(600);
    let each = |begun: Instant| begun.elapsed().as_nanos() as u64 / u64::from(times);
    let pass_ns = runtime.block_on(async {
        let begun = Instant::now();
        for _ in 0..times {
            let turn = limiter.knock("customer.by_phone").expect("it does not fail");
            let permit = limiter.pass("customer.by_phone", Priority::Pop, deadline).await.expect("there is room");
            let pass = permit.pass().expect("it was given");
            drop(permit);
            limiter.told(pass, &Told::default());
            turn.ended(Ended::Answered { took_ms: 20, somebody_waits: true });
        }
        each(begun)
    });
    let lock = Mutex::new(0_u64);
    let begun = Instant::now();
    for _ in 0..times {
        for _ in 0..2 {
            black_box(linecard::live::now());
        }
        *black_box(&lock).lock().expect("nobody panics") += black_box(linecard::live::now()).mono.0;
    }
    json!({"pass_ns": pass_ns, "floor_ns": each(begun)})
}

/// A business system that answers at once, each number with a customer of its own.
struct Desk {
    blocks: bool,
    asked: AtomicU64,
}

impl Systems for Desk {
    fn systems(&self) -> Vec<SystemId> {
        vec!["crm".into()]
    }
    fn shape(&self, _: &SystemId, operation: &str) -> Option<Shape> {
        let day = 24 * 3_600_000;
        let offered = operation == "customer.by_phone" || self.blocks && ["finance", "orders"].contains(&operation);
        offered.then_some(Shape {
            title: None,
            deadline_ms: 3_000,
            cache: Cache { fresh_ms: day, stale_ms: day, negative_ms: day },
            by: Vec::new(),
        })
    }
    fn keys(&self, _: &SystemId) -> Arc<[(Arc<str>, String)]> {
        Arc::from([])
    }
    fn run(&self, ask: Ask) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
        let n = self.asked.fetch_add(1, Ordering::Relaxed);
        let value = match ask.operation.as_str() {
            "customer.by_phone" => {
                let number = ask.inputs.get("number").and_then(Value::as_str).unwrap_or_default();
                json!([{
                    "id": n.to_string(), "name": "王小明", "url": format!("https://redmine.example/issues/{n}"), "reason": "手机",
                    "code": format!("C{n}"), "mobile": number, "landline": "0571-8765 4321", "company": "杭州青禾贸易有限公司",
                    "tier": "金卡", "points": "12850", "credit": "50000.00", "balance": "12800.50",
                }])
            }
            "finance" => json!({"credit": "50000.00", "balance": "12800.50", "currency": "CNY"}),
            _ => json!((0..3).map(|i| json!({"id": (n + i).to_string(), "no": format!("SO-2025-{n:06}"), "what": "无线扫码枪", "amount": "6800.00", "state": "confirmed", "at": "2025-03-02T08:00:00Z"})).collect::<Vec<_>>()),
        };
        Box::pin(std::future::ready(Outcome::Ok(value)))
    }
}

fn number(n: usize) -> Number {
    // Fictitious: a block of mobiles that is not given out.
    Plan::new("CN", None).read(&format!("138{n:08}"))
}

/// Customers 0..count in the cache, each asked once.
fn warm(runtime: &tokio::runtime::Runtime, count: usize, blocks: bool) -> Customers {
    // One answer for the customer and one for each block; a full channel only makes a lookup wait.
    let (out, mut answers) = mpsc::channel::<Answered>(4_096);
    let desk = Arc::new(Desk { blocks, asked: AtomicU64::new(0) });
    let settings = Settings { cache_entries: 10_000_000, ..Settings::default() };
    let customers = Customers::new(desk, &settings, runtime.handle().clone(), out);
    let kept = customers.clone();
    runtime.block_on(async move {
        let mut at = 0;
        let mut open: HashMap<CallId, ()> = HashMap::new();
        while at < count || !open.is_empty() {
            while at < count && open.len() < 1_000 {
                let call = CallId(ulid::Ulid(at as u128));
                drop(kept.ask(&question(call, number(at))));
                open.insert(call, ());
                at += 1;
            }
            let Some(answered) = answers.recv().await else { break };
            if answered.card.blocks.iter().all(|b| b.state == BlockState::Fresh)
                && open.remove(&answered.call).is_some()
            {
                kept.forget(answered.call);
            }
        }
        // Whoever is still to send finds an open channel; the benchmark sends nothing new.
        tokio::spawn(async move { while answers.recv().await.is_some() {} });
    });
    customers
}

fn question(call: CallId, number: Number) -> Question {
    Question::by_number(TenantId::default(), call, number)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads are to be had")
}

/// Nanoseconds from a question to the whole card and the call forgotten again.
fn cards(count: usize, times: usize) -> Value {
    let runtime = runtime();
    let customers = warm(&runtime, count, true);
    let questions: Vec<Question> =
        (0..count).map(|n| question(CallId(ulid::Ulid(n as u128)), number(n.wrapping_mul(7_919) % count))).collect();
    let mut rounds = Vec::new();
    for _ in 0..5 {
        let begun = Instant::now();
        for n in 0..times {
            let question = &questions[n % count];
            let card = black_box(customers.ask(question));
            assert!(
                card.blocks.len() == 3 && card.blocks[2].state == BlockState::Fresh,
                "the card is not from the cache"
            );
            customers.forget(question.call);
        }
        rounds.push(begun.elapsed().as_nanos() / times.max(1) as u128);
        if times < 1_000 {
            break;
        }
    }
    rounds.sort_unstable();
    json!({"card_ns": rounds[rounds.len() / 2]})
}

/// Instructions of one cached card: two loops of different length, so that all else falls out of the difference.
fn instructions() -> io::Result<Option<u64>> {
    let known = Command::new("valgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !known.is_ok_and(|status| status.success()) {
        return Ok(None);
    }
    let mut counted = Vec::new();
    for times in ["100", "900"] {
        let run = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(std::env::current_exe()?)
            .args(["--child", "loop", "--times", times])
            .output()?;
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        let collected =
            said.lines().find_map(|l| l.split("Collected :").nth(1)).and_then(|n| n.trim().parse::<u64>().ok());
        counted.push(collected.ok_or_else(|| io::Error::other(format!("callgrind says nothing: {said}")))?);
    }
    Ok(Some(counted[1].saturating_sub(counted[0]) / 800))
}

fn cache(count: usize, blocks: bool) -> Value {
    let runtime = runtime();
    let before = resident();
    let customers = warm(&runtime, count, blocks);
    // Threads keep freed memory for themselves for a moment; what is left is what the cache holds.
    std::thread::sleep(std::time::Duration::from_secs(3));
    let grown = resident().saturating_sub(before);
    drop(customers);
    json!({"bytes_each": grown / count})
}

fn index(count: usize) -> Value {
    let before = resident();
    let begun = Instant::now();
    let mut builder = Builder::default();
    for n in 0..count {
        builder.customer("customer", &(100_000 + n).to_string());
        // Nine of ten write a mobile, with or without spaces; the tenth a landline.
        let scattered = n.wrapping_mul(7_919) % 100_000_000;
        let (key, spelled) = match n % 10 {
            0 => (
                format!("+8621{:08}", 60_000_000 + scattered % 10_000_000),
                format!("021-{:04} {:04}", 6_000 + scattered / 100_000, scattered % 10_000),
            ),
            1..=4 => {
                (format!("+86138{scattered:08}"), format!("138 {:04} {:04}", scattered / 10_000, scattered % 10_000))
            }
            _ => (format!("+86139{scattered:08}"), format!("139{scattered:08}")),
        };
        builder.number("mobile", Some(&key), &spelled);
    }
    let made = Made { from: "bench".to_owned(), at: Wall(0), took_ms: 0 };
    let table = builder.finish(made).expect("a million fits");
    let build_ms = begun.elapsed().as_millis();
    let begun = Instant::now();
    let bytes = table.to_bytes();
    let write_ms = begun.elapsed().as_millis();
    let begun = Instant::now();
    let read = Table::from_bytes(&bytes).expect("it was written a moment ago");
    let read_ms = begun.elapsed().as_millis();
    let file = bytes.len();
    drop((bytes, read));
    let grown = resident().saturating_sub(before);
    let keys = |prefix: &str| -> Vec<String> {
        (0..200_000_usize)
            .map(|n| format!("{prefix}{:08}", (n * 104_729 % count.max(1)).wrapping_mul(7_919) % 100_000_000))
            .collect()
    };
    let time = |keys: &[String]| {
        let begun = Instant::now();
        let found: usize = keys.iter().map(|key| black_box(&table).find(key).count()).sum();
        (begun.elapsed().as_nanos() / keys.len() as u128, found)
    };
    let (hit_ns, found) = time(&keys("+86139"));
    let (miss_ns, none) = time(&keys("+86150"));
    assert!(found > 50_000 && none == 0, "{found} {none}");
    json!({
        "table_bytes_each": table.bytes() / count, "process_bytes_each": grown / count, "file_bytes_each": file / count,
        "hit_ns": hit_ns, "miss_ns": miss_ns, "build_ms": build_ms, "write_ms": write_ms, "read_ms": read_ms,
    })
}

/// Bytes of this process that lie in memory.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}
