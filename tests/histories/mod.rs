//! Made-up histories of a call centre, told by a made-up Asterisk over AMI and ARI, and what the daemon's reading makes of them. The truth is known
//! because we make it (`plot.rs`); each record is held to it.
//!
//! `LINECARD_HISTORIES=20000 cargo test --release --test main -- histories::` plays other and more of them than the usual few hundred. A failing history
//! shrinks to the few deeds that matter and is printed as a tale; it then becomes a test at the end of this file, or a story in `src/calls/stories.rs`.

mod judge;
pub mod pbx;
pub mod plot;
pub mod watch;

use std::collections::BTreeSet;

use linecard::{
    calls::{Feed, Record, Said, record::Direction},
    daemon::replay::{self, Capture},
};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{RngAlgorithm, TestCaseError, TestRng, TestRunner},
};

use judge::{against, lenient, whose};
use pbx::Line;
use plot::{Begin, Deed, Plot, Told, play};
use watch::{Watch, grammar};

/// Runs a property over histories: the same few hundred at every run, or as many others as are asked for.
fn over<S: Strategy>(part: u32, given: &S, holds: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let asked: Option<u32> = std::env::var("LINECARD_HISTORIES").ok().and_then(|n| n.parse().ok());
    let config = ProptestConfig {
        cases: (asked.unwrap_or(256) / part).max(1),
        // A failing history is printed and becomes a test; nothing is written beside the sources.
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    };
    let mut runner = match asked {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    };
    if let Err(failure) = runner.run(given, holds) {
        panic!("{failure}");
    }
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        2 => any::<u8>().prop_map(Deed::Queue),
        1 => Just(Deed::TimeOut),
        5 => any::<u8>().prop_map(Deed::Ring),
        2 => any::<u8>().prop_map(Deed::RingLocal),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(a, b)| Deed::RingBoth(a, b)),
        1 => any::<u8>().prop_map(Deed::Busy),
        7 => any::<u8>().prop_map(Deed::Answer),
        2 => any::<u8>().prop_map(Deed::RingOut),
        2 => any::<u8>().prop_map(Deed::Refuse),
        2 => any::<u8>().prop_map(Deed::PickUp),
        2 => Just(Deed::Hold),
        2 => Just(Deed::Retrieve),
        4 => any::<u8>().prop_map(Deed::Consult),
        4 => Just(Deed::ConsultAnswer),
        1 => Just(Deed::ConsultRefuse),
        1 => Just(Deed::ConsultEnd),
        4 => Just(Deed::HandOver),
        3 => any::<u8>().prop_map(Deed::Blind),
        2 => any::<u8>().prop_map(Deed::BlindQueue),
        2 => Just(Deed::Park),
        3 => any::<u8>().prop_map(Deed::Unpark),
        1 => Just(Deed::Room),
        2 => any::<u8>().prop_map(Deed::Join),
        1 => any::<u8>().prop_map(Deed::Leave),
    ]
}

/// What people do together: whole turns, and single deeds that fit or do not.
fn turn() -> impl Strategy<Value = Vec<Deed>> {
    let a = any::<u8>;
    prop_oneof![
        12 => deed().prop_map(|deed| vec![deed]),
        2 => (a(), a()).prop_map(|(q, x)| vec![Deed::Queue(q), Deed::Ring(x), Deed::Answer(0)]),
        1 => (a(), a()).prop_map(|(q, x)| vec![Deed::Queue(q), Deed::RingLocal(x), Deed::Answer(0)]),
        2 => a().prop_map(|x| vec![Deed::Ring(x), Deed::Answer(0)]),
        1 => (a(), a()).prop_map(|(x, y)| vec![Deed::RingBoth(x, y), Deed::Answer(y)]),
        1 => (a(), a(), a()).prop_map(|(p, x, q)| vec![
            Deed::Queue(p), Deed::Ring(x), Deed::RingOut(0), Deed::Queue(q), Deed::Ring(x)
        ]),
        2 => Just(vec![Deed::Hold, Deed::Retrieve]),
        3 => a().prop_map(|x| vec![Deed::Consult(x), Deed::ConsultAnswer, Deed::HandOver]),
        1 => a().prop_map(|x| vec![Deed::Consult(x), Deed::ConsultRefuse, Deed::Retrieve]),
        1 => a().prop_map(|x| vec![Deed::Consult(x), Deed::ConsultAnswer, Deed::ConsultEnd, Deed::Retrieve]),
        2 => a().prop_map(|x| vec![Deed::Blind(x), Deed::Answer(0)]),
        1 => (a(), a()).prop_map(|(x, y)| vec![Deed::Blind(x), Deed::RingOut(0), Deed::Ring(y), Deed::Answer(0)]),
        2 => (a(), a()).prop_map(|(q, x)| vec![Deed::BlindQueue(q), Deed::Ring(x), Deed::Answer(0)]),
        2 => a().prop_map(|x| vec![Deed::Park, Deed::Unpark(x)]),
        1 => (a(), a(), a()).prop_map(|(x, y, z)| vec![Deed::Room, Deed::Join(x), Deed::Join(y), Deed::Leave(z)]),
        1 => (a(), a(), a()).prop_map(|(q, x, y)| vec![Deed::Queue(q), Deed::Ring(x), Deed::PickUp(y)]),
        1 => (a(), a()).prop_map(|(x, y)| vec![Deed::Ring(x), Deed::PickUp(y)]),
        1 => (a(), a(), a()).prop_map(|(q, x, y)| vec![
            Deed::Queue(q), Deed::Busy(x), Deed::Ring(y), Deed::Refuse(0), Deed::Ring(x), Deed::Answer(0)
        ]),
        1 => (a(), a()).prop_map(|(q, x)| vec![Deed::Queue(q), Deed::RingBoth(x, q), Deed::TimeOut, Deed::Ring(x)]),
        1 => Just(vec![Deed::CustomerEnds]),
        1 => Just(vec![Deed::AgentEnds]),
        1 => Just(vec![Deed::SwitchEnds]),
    ]
}

fn plot() -> impl Strategy<Value = Plot> {
    let begin = prop_oneof![
        8 => (any::<bool>(), any::<bool>()).prop_map(|(known, ivr)| Begin::Inbound { known, ivr }),
        2 => any::<u8>().prop_map(Begin::Outbound),
        1 => any::<u8>().prop_map(Begin::ClickToDial),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(a, b)| Begin::Internal(a, b)),
    ];
    // A second at least lies between two deeds of a call: what people do, they do not do twice in half a second.
    let gap = || 1_000_u16..9_000;
    let deed = |(gap, turn): (u16, Vec<Deed>)| turn.into_iter().map(move |deed| (gap, deed)).collect::<Vec<_>>();
    (0_u16..30_000, begin, proptest::collection::vec((gap(), turn()), 0..14))
        .prop_map(move |(start, begin, turns)| Plot { start, begin, deeds: turns.into_iter().flat_map(deed).collect() })
}

fn history() -> impl Strategy<Value = Vec<Plot>> {
    proptest::collection::vec(plot(), 1..4)
}

/// Which feeds are heard.
const FEEDS: [&[Feed]; 3] = [&[Feed::Ami], &[Feed::Ari], &[Feed::Ami, Feed::Ari]];

/// Plays all lines to a watcher of some feeds; the second feed lags by some lines, and by 300 ms at most.
fn heard(told: &Told, feeds: &[Feed], lag: usize, twice: bool) -> Watch {
    let mut watch = Watch::new();
    let lines = &told.pbx.lines;
    let mut next = 0;
    let hear = |watch: &mut Watch, feed: Feed, line: &Line| {
        for _ in 0..if twice { 2 } else { 1 } {
            watch.hear(feed, line);
        }
    };
    for n in 0..=lines.len() {
        let due = |next: usize| match lines.get(n) {
            Some(line) => next + lag < n || lines[next].ms + 300 < line.ms,
            None => true,
        };
        while next < n && due(next) {
            for feed in feeds.iter().skip(1) {
                hear(&mut watch, *feed, &lines[next]);
            }
            next += 1;
        }
        if let Some(line) = lines.get(n) {
            hear(&mut watch, feeds[0], line);
        }
    }
    watch
}

fn fail(told: &Told, what: &str, wrong: &[String], records: &[&Record]) -> Result<(), TestCaseError> {
    if wrong.is_empty() {
        return Ok(());
    }
    let records: Vec<String> = records.iter().map(|r| judge::brief(r)).collect();
    Err(TestCaseError::fail(format!("{what}:\n  {}\n{}\n{}", wrong.join("\n  "), told.tale, records.join("\n"))))
}

fn right(told: &Told, watch: &Watch, feeds: &[Feed]) -> Vec<String> {
    let mut wrong = grammar(&watch.said);
    let records: Vec<&Record> = watch.records.values().collect();
    if records.len() != told.truths.len() {
        wrong.push(format!("{} records of {} calls", records.len(), told.truths.len()));
    }
    for (n, truth) in told.truths.iter().enumerate() {
        let mine = whose(truth, &records);
        match mine.as_slice() {
            [record] => {
                let misses = against(truth, record, feeds);
                wrong.extend(misses.into_iter().map(|miss| format!("call {n}: {miss}")));
                wrong.extend(judge::withdrawals(truth, record, &watch.said).map(|miss| format!("call {n}: {miss}")));
            }
            _ => wrong.push(format!("call {n}: {} records", mine.len())),
        }
    }
    if watch.open() > 0 {
        wrong.push(format!("{} faces are open at the end", watch.open()));
    }
    wrong
}

fn watched(plots: &[Plot], seed: u64) -> Result<(), TestCaseError> {
    let told = play(plots, seed, &[]);
    for feeds in FEEDS {
        let lag = usize::try_from(seed % 5).unwrap();
        let watch = heard(&told, feeds, lag, false);
        let records: Vec<&Record> = watch.records.values().collect();
        fail(&told, &format!("{feeds:?}"), &right(&told, &watch, feeds), &records)?;
        let doubled = heard(&told, feeds, lag, true);
        let plain = |watch: &Watch| watch.records.values().map(judge::essence).collect::<BTreeSet<_>>();
        if plain(&watch) != plain(&doubled) {
            let records: Vec<&Record> = doubled.records.values().collect();
            fail(&told, &format!("{feeds:?}, everything twice"), &["other records".to_owned()], &records)?;
        }
    }
    Ok(())
}

/// The link is cut at one moment and comes again at a later one, both in thousandths of the history.
fn torn(plots: &[Plot], seed: u64, cut: i64, back: i64) -> Result<(), TestCaseError> {
    let whole = play(plots, seed, &[]);
    let end = whole.pbx.lines.last().map_or(0, |l| l.ms) + 1_000;
    let (cut, back) = (end * cut / 1_000, end * (cut + (1_000 - cut) * back / 1_000) / 1_000);
    let told = play(plots, seed, &[back]);
    let (again, ami, ari) = &told.snapshots[0];
    let lines = &told.pbx.lines;
    let gone = lines.iter().position(|l| l.ms >= cut).unwrap_or(lines.len()).min(*again);
    let snapshot = |feed: Feed| if feed == Feed::Ari { ari.clone() } else { ami.clone() };
    for feeds in FEEDS {
        let mut watch = Watch::new();
        let hear = |watch: &mut Watch, lines: &[Line]| {
            for line in lines {
                for feed in feeds {
                    watch.hear(*feed, line);
                }
            }
        };
        hear(&mut watch, &lines[..gone]);
        for feed in feeds {
            watch.tell(*feed, Said::LinkLost { feed: *feed });
        }
        for feed in feeds {
            watch.take(*feed, snapshot(*feed));
        }
        hear(&mut watch, &lines[*again..]);
        let mut wrong = Vec::new();
        if watch.open() > 0 {
            wrong.push(format!("{} faces are open at the end", watch.open()));
        }
        watch.end();
        wrong.extend(grammar(&watch.said));
        wrong.extend(judged(&told, &watch, feeds, cut, back));
        let records: Vec<&Record> = watch.records.values().collect();
        fail(&told, &format!("{feeds:?}, cut at {cut}, back at {back}"), &wrong, &records)?;
    }
    // One of two feeds is cut: the other watches on, and nothing is missing.
    for feed in [Feed::Ami, Feed::Ari] {
        let mut watch = Watch::new();
        for (n, line) in lines.iter().enumerate() {
            if n == gone {
                watch.tell(feed, Said::LinkLost { feed });
            }
            if n == *again {
                watch.take(feed, snapshot(feed));
            }
            for heard in [Feed::Ari, Feed::Ami] {
                if heard != feed || n < gone || n >= *again {
                    watch.hear(heard, line);
                }
            }
        }
        let records: Vec<&Record> = watch.records.values().collect();
        let wrong = right(&told, &watch, FEEDS[2]);
        fail(&told, &format!("{feed:?} alone cut at {cut}, back at {back}"), &wrong, &records)?;
    }
    Ok(())
}

fn judged(told: &Told, watch: &Watch, feeds: &[Feed], cut: i64, back: i64) -> Vec<String> {
    let records: Vec<&Record> = watch.records.values().collect();
    let mut wrong = Vec::new();
    for (n, truth) in told.truths.iter().enumerate() {
        let mine = whose(truth, &records);
        let seen = truth.start < cut - 100 || truth.end > back + 100;
        // ARI says nothing that ties legs which all came while nobody listened to those that went.
        let most = if feeds == [Feed::Ari] && !truth.handed.is_empty() { 2 } else { 1 };
        if mine.len() > most || seen && mine.is_empty() {
            wrong.push(format!("call {n}: {} records", mine.len()));
        }
        for record in mine {
            let misses = match truth.end < cut - 100 || truth.start > back + 100 {
                true => against(truth, record, feeds),
                false => lenient(truth, record, feeds, cut, back),
            };
            wrong.extend(misses.into_iter().map(|miss| format!("call {n}: {miss}")));
        }
    }
    // A consultation whose customer's hold fell into the hole looks like a call among us.
    let strangers = records.iter().filter(|r| !told.truths.iter().any(|t| !whose(t, &[r]).is_empty()));
    for record in strangers {
        let alone = record.direction.is_none_or(|d| d == Direction::Internal)
            && told.truths.iter().any(|t| record.ids.iter().any(|id| t.all.contains(&id.value)));
        if !alone {
            wrong.push(format!("a record of nobody: {}", judge::brief(record)));
        }
    }
    wrong
}

/// The switch dies, and nothing more comes.
fn crashed(plots: &[Plot], seed: u64, cut: i64) -> Result<(), TestCaseError> {
    let told = play(plots, seed, &[]);
    let lines = &told.pbx.lines;
    let cut = (lines.last().map_or(0, |l| l.ms) + 1_000) * cut / 1_000;
    for feeds in FEEDS {
        let mut watch = Watch::new();
        for line in lines.iter().take_while(|l| l.ms < cut) {
            for feed in feeds {
                watch.hear(*feed, line);
            }
        }
        for feed in feeds {
            watch.tell(*feed, Said::LinkLost { feed: *feed });
        }
        watch.end();
        let mut wrong = grammar(&watch.said);
        wrong.extend(judged(&told, &watch, feeds, cut, i64::MAX - 1_000));
        let records: Vec<&Record> = watch.records.values().collect();
        fail(&told, &format!("{feeds:?}, dead at {cut}"), &wrong, &records)?;
    }
    Ok(())
}

/// One event in twenty is dropped and each hole is told; then a list shows that all is over.
fn holed(plots: &[Plot], seed: u64) -> Result<(), TestCaseError> {
    let told = play(plots, seed, &[i64::MAX / 4]);
    let (_, ami, ari) = &told.snapshots[0];
    for feeds in FEEDS {
        let mut watch = Watch::new();
        let mut dice = seed | 1;
        for line in &told.pbx.lines {
            for feed in feeds {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                match (dice >> 33).is_multiple_of(20) {
                    true => watch.tell(*feed, Said::Gap { feed: *feed }),
                    false => watch.hear(*feed, line),
                }
            }
        }
        for feed in feeds {
            watch.take(*feed, if *feed == Feed::Ari { ari.clone() } else { ami.clone() });
        }
        watch.end();
        let mut wrong = grammar(&watch.said);
        let records: Vec<&Record> = watch.records.values().collect();
        for (n, truth) in told.truths.iter().enumerate() {
            for record in whose(truth, &records) {
                let misses = lenient(truth, record, feeds, -1, i64::MAX - 1_000);
                wrong.extend(misses.into_iter().map(|miss| format!("call {n}: {miss}")));
            }
        }
        fail(&told, &format!("{feeds:?}, 5 % dropped"), &wrong, &records)?;
    }
    Ok(())
}

/// Cut into pieces of any size, the bytes are the same events.
fn chunked(plots: &[Plot], seed: u64, step: usize) -> Result<(), TestCaseError> {
    let told = play(plots, seed, &[]);
    let bytes: Vec<u8> = told.pbx.lines.iter().flat_map(|l| l.ami.bytes()).collect();
    let capture = Capture { feed: Feed::Ami, name: "made up".into(), bytes };
    let whole = replay::ami_events(&capture, usize::MAX).unwrap();
    prop_assert!(!whole.is_empty());
    prop_assert!(replay::ami_events(&capture, step).unwrap() == whole, "in pieces of {}", step);
    Ok(())
}

#[test]
fn every_history_gives_the_truth_over_each_feed_and_both() {
    over(1, &(history(), any::<u64>()), |(plots, seed)| watched(&plots, seed));
}

#[test]
fn a_link_that_was_cut_anywhere_leaves_nothing_wrong() {
    let given = (history(), any::<u64>(), 0_i64..1_000, 0_i64..1_000);
    over(2, &given, |(plots, seed, cut, back)| torn(&plots, seed, cut, back));
}

#[test]
fn a_switch_that_dies_anywhere_leaves_nothing_wrong() {
    over(4, &(history(), any::<u64>(), 0_i64..1_000), |(plots, seed, cut)| crashed(&plots, seed, cut));
}

#[test]
fn events_dropped_anywhere_leave_nothing_wrong() {
    over(4, &(history(), any::<u64>()), |(plots, seed)| holed(&plots, seed));
}

#[test]
fn bytes_cut_anywhere_are_the_same_history() {
    over(8, &(history(), any::<u64>(), 1_usize..3_000), |(plots, seed, step)| chunked(&plots, seed, step));
}

/// An agent with two customers on hold asks about the one held first; either way of the transfer, whatever Linkedid it says.
#[test]
fn two_customers_of_one_agent_stay_two_records() {
    let inbound = |start: u16, deeds: &[(u16, Deed)]| Plot {
        start,
        begin: Begin::Inbound { known: true, ivr: false },
        deeds: deeds.to_vec(),
    };
    let first = [
        (1_000, Deed::Ring(0)),
        (1_000, Deed::Answer(0)),
        (2_000, Deed::Hold),
        (6_000, Deed::Consult(1)),
        (1_000, Deed::ConsultAnswer),
        (1_000, Deed::HandOver),
        (3_000, Deed::CustomerEnds),
    ];
    let second = [(2_000, Deed::Ring(0)), (1_000, Deed::Answer(0)), (1_000, Deed::Hold), (12_000, Deed::AgentEnds)];
    let plots = [inbound(0, &first), inbound(4_000, &second)];
    for seed in 0..64_u64 {
        watched(&plots, seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)).unwrap();
    }
}

/// The deeds that the property is about do happen, each in many histories.
#[test]
fn the_histories_are_rich() {
    let mut runner = TestRunner::deterministic();
    let mut seen: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
    for seed in 0..400 {
        let plots = history().new_tree(&mut runner).unwrap().current();
        let told = play(&plots, seed, &[]);
        let deeds: BTreeSet<String> = told
            .tale
            .lines()
            .filter_map(|l| l.split_once(": "))
            .map(|(_, deed)| deed.split(['(', ' ']).next().unwrap().to_owned())
            .collect();
        for deed in deeds {
            *seen.entry(deed).or_default() += 1;
        }
    }
    assert_eq!(seen.len(), 4 + 27, "{seen:?}");
    assert!(seen.values().all(|n| *n >= 10), "{seen:?}");
}
