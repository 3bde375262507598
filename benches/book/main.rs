//! `cargo bench --bench book`: what an AMI event costs from bytes to the book, in nanoseconds and in instructions.
//!
//! Two captures of different length are replayed; what is not an event (settings, the first snapshot) falls out of the difference. The calls are
//! the demo's stories, one after another: queue, transfer, hold, click-to-dial.

#[path = "../pop/instructions.rs"]
mod instructions;

use std::{path::Path, time::Instant};

use linecard::{
    calls::event::Feed,
    daemon::replay::{self, Capture, ReplaySettings},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|a| a == "--replay") {
        return instructions::replay(Path::new(&arguments[at + 1]));
    }
    if !arguments.iter().any(|a| a == "--bench") {
        return println!("this measures for a minute: cargo bench --bench book");
    }
    let folder = std::env::temp_dir().join(format!("linecard-book-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for two captures");
    let counted = instructions::of_an_event(&folder);
    // Nothing but the two captures lies there.
    let _ = std::fs::remove_dir_all(&folder);

    let captures = [200, 1_000].map(instructions::capture);
    let mut rounds: Vec<f64> = (0..7)
        .map(|_| {
            let [few, many] = captures.each_ref().map(|text| timed(text));
            (many.1 - few.1) * 1e9 / (many.0 - few.0)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    println!("| an AMI event, bytes to book and record | |");
    println!("|---|---|");
    println!("| nanoseconds, median of 7 (least, most) | {:.0} ({:.0}, {:.0}) |", rounds[3], rounds[0], rounds[6]);
    match counted {
        Ok(Some(n)) => println!("| instructions | {n} |"),
        Ok(None) => println!("| instructions | not measured: valgrind is not installed |"),
        Err(error) => println!("| instructions | not measured: {error} |"),
    }
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = info
        .lines()
        .find_map(|l| l.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown CPU", |(_, name)| name.trim());
    println!("\n{cores} cores, {cpu}");
}

/// Events of a capture, and seconds to make its records.
fn timed(text: &str) -> (f64, f64) {
    let events = text.matches("\r\n\r\n").count();
    let capture = Capture { feed: Feed::Ami, name: "capture".into(), bytes: text.as_bytes().to_vec() };
    let agents = ["1001", "1002", "1003"].map(str::to_owned);
    let settings = ReplaySettings::plain(&agents, "CN", Some("21"));
    let begun = Instant::now();
    let records = replay::run(settings, &[capture]).expect("the demo's own calls can be replayed");
    let took = begun.elapsed().as_secs_f64();
    assert!(!records.is_empty());
    (events as f64, took)
}
