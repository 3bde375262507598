//! Mirrored signalling gives the right record: as it was recorded from a real Kamailio, said twice by two mirrors, out of order, and with packets lost.

use std::{
    fs,
    path::{Path, PathBuf},
};

use linecard::{
    calls::{
        Record,
        event::Feed,
        record::{Direction, Outcome},
    },
    daemon::replay::{self, Capture},
    switches::hep::packet::Framer,
};

use crate::fixtures::{Run, all_right, assert_same, misses, runs_of};

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-fixtures/kamailio");
    let mut found: Vec<PathBuf> = fs::read_dir(root).unwrap().map(|e| e.unwrap().path()).collect();
    found.sort();
    found
}

/// The runs that have nothing but mirrored signalling.
fn runs() -> Vec<Run> {
    let with = folders().into_iter().filter(|f| f.join("expected.json").exists());
    with.flat_map(|folder| runs_of(&folder, |feed| feed.starts_with("hep="))).collect()
}

fn packets(capture: &Capture) -> Vec<Vec<u8>> {
    let (mut framer, mut packets) = (Framer::new(), Vec::new());
    framer.push(&capture.bytes);
    while let Some(packet) = framer.take().unwrap() {
        packets.push(packet.to_vec());
    }
    packets
}

/// The same run with its packets changed.
fn changed(run: &Run, change: impl FnOnce(Vec<Vec<u8>>) -> Vec<Vec<u8>>) -> Vec<Record> {
    let [capture] = run.captures.as_slice() else { panic!("{} has several captures", run.name) };
    let bytes = change(packets(capture)).concat();
    let capture = Capture { feed: Feed::Hep, name: capture.name.clone(), bytes };
    replay::run(run.settings.clone(), &[capture]).unwrap()
}

/// Those whose packets lie back to back.
fn streams() -> impl Iterator<Item = Run> {
    runs().into_iter().filter(|run| run.captures.iter().all(|c| c.name.ends_with(".bin")))
}

/// When the agent heard the packet, in microseconds: chunks 9 and 10, which these recordings have.
fn stamp(packet: &[u8]) -> u64 {
    let chunk = |kind: u8| {
        let at = packet.windows(6).position(|w| w == [0, 0, 0, kind, 0, 10]).unwrap();
        u64::from(u32::from_be_bytes(packet[at + 6..at + 10].try_into().unwrap()))
    };
    chunk(9) * 1_000_000 + chunk(10)
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

#[test]
fn every_recorded_scenario_gives_the_right_record() {
    let runs = runs();
    all_right(&runs);
    assert!(runs.len() >= 26, "only {} runs found", runs.len());
}

/// Dialog events beside it make one call of the two, and take nothing from it.
#[test]
fn mirrored_signalling_and_dialog_events_are_one_call() {
    let is = |run: &Run, feed: Feed| run.captures.iter().any(|c| c.feed == feed);
    let with = folders().into_iter().filter(|f| f.join("expected.json").exists());
    let both =
        with.flat_map(|folder| runs_of(&folder, |_| true)).filter(|run| is(run, Feed::Hep) && is(run, Feed::Sip));
    let runs: Vec<Run> = both.collect();
    all_right(&runs);
    assert!(runs.len() >= 20, "only {} runs found", runs.len());
}

/// OPTIONS only, packets that are none, and what is no HEP at all.
#[test]
fn packets_without_a_call_give_no_record() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-fixtures/kamailio/synthetic-hep-edge-cases");
    let settings = replay::ReplaySettings::plain(&["1001".to_owned()], "CN", Some("10"));
    let mut count = 0;
    for file in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
        let capture = Capture { feed: Feed::Hep, name: String::new(), bytes: fs::read(&file).unwrap() };
        assert_eq!(replay::run(settings.clone(), &[capture]), Ok(Vec::new()), "{}", file.display());
        count += 1;
    }
    assert!(count > 30);
}

/// Two mirrors tell the same messages, the second a little later.
#[test]
fn the_same_records_when_two_mirrors_tell_the_same() {
    for run in streams() {
        let once = replay::run(run.settings.clone(), &run.captures).unwrap();
        let doubled = changed(&run, |packets| packets.into_iter().flat_map(|p| [p.clone(), p]).collect());
        assert_same(&run.name, &once, &doubled);
        let behind = changed(&run, |packets| {
            let late = packets.iter().cloned().map(|p| (stamp(&p) + 30_000, p));
            let mut all: Vec<(u64, Vec<u8>)> = packets.iter().cloned().map(|p| (stamp(&p), p)).chain(late).collect();
            all.sort_by_key(|(at, _)| *at);
            all.into_iter().map(|(_, p)| p).collect()
        });
        assert_same(&run.name, &once, &behind);
    }
}

/// Each packet comes up to 50 ms later than it was mirrored.
#[test]
fn the_same_records_out_of_order() {
    let mut wrong = Vec::new();
    for run in streams() {
        for seed in 1..=20 {
            let mut dice = Dice(seed);
            let records = changed(&run, |packets| {
                let mut all: Vec<(u64, Vec<u8>)> =
                    packets.into_iter().map(|p| (stamp(&p) + dice.roll(50_000), p)).collect();
                all.sort_by_key(|(at, _)| *at);
                all.into_iter().map(|(_, p)| p).collect()
            });
            wrong.extend(misses(&run, &records).into_iter().map(|miss| format!("{} seed {seed}: {miss}", run.name)));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong[..wrong.len().min(30)].join("\n"));
}

/// One packet in twenty is lost. No customer's call is told twice, and none that was answered is told as anything else.
#[test]
fn with_packets_lost_no_call_is_told_twice() {
    let customers = |records: &[Record]| records.iter().filter(|r| r.direction != Some(Direction::Internal)).count();
    let (mut wrong, mut told, mut all) = (Vec::new(), 0, 0);
    for run in streams() {
        let whole = replay::run(run.settings.clone(), &run.captures).unwrap();
        for seed in 1..=40 {
            let mut dice = Dice(seed);
            let records = changed(&run, |packets| packets.into_iter().filter(|_| dice.roll(20) != 0).collect());
            all += customers(&whole);
            told += customers(&records).min(customers(&whole));
            if customers(&records) > customers(&whole) {
                wrong.push(format!(
                    "{} seed {seed}: {} calls, not {}",
                    run.name,
                    customers(&records),
                    customers(&whole)
                ));
            }
            for record in records.iter().filter(|r| r.outcome.is_some_and(|o| o != Outcome::Answered)) {
                let same = |r: &&Record| r.ids.iter().any(|id| id.kind == "sip-call-id" && record.ids.contains(id));
                let truth = whole.iter().find(same).and_then(|r| r.outcome);
                if truth == Some(Outcome::Answered) && record.direction == Some(Direction::Inbound) {
                    wrong.push(format!("{} seed {seed}: {:?}, and it was answered", run.name, record.outcome));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong[..wrong.len().min(30)].join("\n"));
    assert!(told * 100 >= all * 99, "{told} of {all} calls were told");
}
