//! Stories on real servers: phones and a carrier (sipp), a real Asterisk, a real Redmine, the daemon as a process of its own, agents at
//! their screens. `tests/run` starts this in a network namespace with the Redmine running.
//!
//! A program of its own, because the stories share one switch and follow one another; it counts like any test program.
//!
//!     cargo test --release --features real-servers --test real -- [words: only stories whose names contain one] [--drivers] [--by-hand]
//!
//! `--drivers` plays the calls with nobody watching: phones, carrier and switch alone. `--by-hand` plays none and does what it is told; see [`byhand`].

mod byhand;
mod cable;
mod callbacks;
mod edge;
mod expected;
mod ferry;
mod hands;
mod http;
mod phones;
mod proxy;
mod redmine;
mod screen;
mod site;
mod softphone;
mod states;
mod stories;
mod switch;
mod verbs;
mod wait;

use std::{env, fs, path::PathBuf, process::ExitCode, time::Instant};

use site::{Feed, Site};

/// Everything the stories play on.
pub struct Stage {
    pub asterisk: switch::Asterisk,
    pub phones: phones::Phones,
    pub redmine: redmine::Redmine,
    /// One by AMI, one by ARI, one by both.
    pub sites: Vec<Site>,
}

impl Stage {
    fn set(drivers_only: bool) -> Result<Self, String> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let logs = root.join(".cache/check/real");
        fs::create_dir_all(&logs).map_err(|e| format!("{}: {e}", logs.display()))?;
        let home = env::var("ASTERISK_HOME").map_or_else(|_| root.join(".cache/asterisk"), PathBuf::from);
        let redmine = redmine::Redmine::from_env()?;
        let protocol = screen::Protocol::read()?;
        let (mut sites, mut lines) = (Vec::new(), Vec::new());
        if !drivers_only {
            for feed in [Feed::Ami, Feed::Ari, Feed::Both] {
                let site = Site::new(feed, &home, &logs, &redmine, &protocol)?;
                site.say(&["check"])?;
                if feed == Feed::Both {
                    lines = site.switch_lines()?;
                }
                sites.push(site);
            }
        }
        let asterisk = switch::Asterisk::start(&home, &logs, &lines)?;
        for site in &mut sites {
            site.start(&[])?;
        }
        Ok(Self { asterisk, phones: phones::Phones::new(phones::ASTERISK, &logs)?, redmine, sites })
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    if words.iter().any(|w| w == "--by-hand") {
        return byhand::serve().map_or_else(
            |why| {
                eprintln!("{why}");
                ExitCode::FAILURE
            },
            |()| ExitCode::SUCCESS,
        );
    }
    let drivers_only = words.iter().any(|w| w == "--drivers");
    let words: Vec<&String> = words.iter().filter(|w| !w.starts_with('-')).collect();
    let chosen: Vec<_> =
        stories::ALL.iter().filter(|s| words.is_empty() || words.iter().any(|w| s.name.contains(w.as_str()))).collect();
    let wanted = |name: &str| words.is_empty() || words.iter().any(|w| name.contains(w.as_str()));
    let acts: Vec<_> = proxy::ALL.iter().filter(|(name, _)| wanted(name)).collect();
    let edges: Vec<_> = edge::ALL.iter().filter(|(name, _)| wanted(name)).collect();
    println!("\nrunning {} tests", chosen.len() + acts.len() + edges.len());
    let start = Instant::now();
    let (mut passed, mut failures) = (0, Vec::new());
    let stage = if chosen.is_empty() { None } else { Some(Stage::set(drivers_only)) };
    match stage.transpose() {
        Err(why) => failures.extend(chosen.iter().map(|story| (story.name, why.clone()))),
        Ok(None) => {}
        Ok(Some(mut stage)) => {
            for story in &chosen {
                let began = Instant::now();
                let result = story.play(&mut stage);
                let word = if result.is_ok() { "ok" } else { "FAILED" };
                println!("test real::{} ... {word} ({:.1} s)", story.name, began.elapsed().as_secs_f64());
                match result {
                    Ok(()) => passed += 1,
                    Err(why) => {
                        println!("    {why}");
                        failures.push((story.name, why));
                    }
                }
            }
            for site in &stage.sites {
                println!("{}", in_words(site));
            }
        }
    }
    // The Asterisk has left by now: the proxy has the machine to itself; and then the two stand one before the other.
    let logs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".cache/check/real");
    passed += play(&acts, || proxy::Proxy::set(&logs, &screen::Protocol::read()?), &mut failures);
    passed += play(&edges, || edge::Edge::set(&logs, &screen::Protocol::read()?), &mut failures);
    if !failures.is_empty() {
        println!("\nfailures:\n");
        for (name, why) in &failures {
            println!("---- real::{name}\n    {why}\n");
        }
    }
    let word = if failures.is_empty() { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {word}. {passed} passed; {} failed; 0 ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        failures.len(),
        stories::ALL.len() + proxy::ALL.len() + edge::ALL.len() - chosen.len() - acts.len() - edges.len(),
        start.elapsed().as_secs_f64()
    );
    ExitCode::from(u8::from(!failures.is_empty()))
}

/// A story's name, and how it is played on its stage.
type Act<S> = (&'static str, fn(&mut S) -> Result<(), String>);

/// Plays stories one after the other on a stage that is made for them. Gives how many passed.
fn play<S>(
    acts: &[&Act<S>],
    set: impl FnOnce() -> Result<S, String>,
    failures: &mut Vec<(&'static str, String)>,
) -> usize {
    if acts.is_empty() {
        return 0;
    }
    let logs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".cache/check/real");
    let stage = fs::create_dir_all(&logs).map_err(|e| e.to_string()).and_then(|()| set());
    let mut stage = match stage {
        Ok(stage) => stage,
        Err(why) => {
            failures.extend(acts.iter().map(|(name, _)| (*name, why.clone())));
            return 0;
        }
    };
    let mut passed = 0;
    for (name, act) in acts {
        let began = Instant::now();
        let result = act(&mut stage);
        let word = if result.is_ok() { "ok" } else { "FAILED" };
        println!("test real::{name} ... {word} ({:.1} s)", began.elapsed().as_secs_f64());
        match result {
            Ok(()) => passed += 1,
            Err(why) => {
                println!("    {why}");
                failures.push((name, why));
            }
        }
    }
    passed
}

/// How fast the pops were.
fn in_words(site: &Site) -> String {
    let mut lags = site.lags.clone();
    lags.sort_unstable();
    let at = |percent: usize| lags.get(lags.len().saturating_sub(1) * percent / 100).copied().unwrap_or(0);
    format!(
        "from ring to pop [{}]: {} pops, p50 {} ms, p90 {} ms, max {} ms",
        site.feed.name(),
        lags.len(),
        at(50),
        at(90),
        at(100)
    )
}
