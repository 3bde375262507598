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

/// One mirrored message, as HEPv3.
fn packet(at_us: u64, from: [u8; 4], to: [u8; 4], text: &str) -> Vec<u8> {
    let chunk = |kind: u16, value: &[u8]| {
        let length = u16::try_from(value.len() + 6).unwrap();
        [[0, 0], kind.to_be_bytes(), length.to_be_bytes()]
            .concat()
            .into_iter()
            .chain(value.to_vec())
            .collect::<Vec<u8>>()
    };
    let (seconds, micros) = (u32::try_from(at_us / 1_000_000).unwrap(), u32::try_from(at_us % 1_000_000).unwrap());
    let port = 5060_u16.to_be_bytes();
    let head = [chunk(1, &[2]), chunk(2, &[17]), chunk(3, &from), chunk(4, &to), chunk(7, &port), chunk(8, &port)];
    let times = [chunk(9, &seconds.to_be_bytes()), chunk(10, &micros.to_be_bytes()), chunk(11, &[1])];
    let text = text.trim_start().replace('\n', "\r\n") + "Content-Length: 0\r\n\r\n";
    let rest = [chunk(12, &[0, 0, 0, 1]), chunk(15, text.as_bytes())];
    let body = [head.concat(), times.concat(), rest.concat()].concat();
    let length = u16::try_from(body.len() + 6).unwrap();
    [b"HEP3".as_slice(), &length.to_be_bytes(), &body].concat()
}

/// What an Asterisk that was recorded by ARI would have mirrored of its dialogs, made from what ARI tells of each channel: its Call-ID, its times, its caller. Those
/// from the carrier are withheld and were diverted.
fn made(ari: &[u8]) -> Vec<u8> {
    #[derive(Default)]
    struct Channel {
        call_id: String,
        number: String,
        called: String,
        comes: bool,
        begins: u64,
        ends: u64,
    }
    let micros = |text: &serde_json::Value| {
        let text = text.as_str().unwrap().replace("+0000", "Z");
        u64::try_from(text.parse::<jiff::Timestamp>().unwrap().as_microsecond()).unwrap()
    };
    let mut channels: std::collections::BTreeMap<String, Channel> = std::collections::BTreeMap::new();
    for line in ari.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        let Ok(event) = serde_json::from_slice::<serde_json::Value>(line) else { continue };
        let channel = &event["channel"];
        let Some(name) = channel["name"].as_str().filter(|name| name.starts_with("PJSIP/")) else { continue };
        let known = channels.entry(channel["id"].as_str().unwrap().to_owned()).or_insert_with(|| Channel {
            number: channel["caller"]["number"].as_str().unwrap_or_default().to_owned(),
            called: name.trim_start_matches("PJSIP/").split('-').next().unwrap().to_owned(),
            comes: channel["state"] == "Ring",
            begins: micros(&channel["creationtime"]),
            ..Channel::default()
        });
        if let Some(call_id) = channel["protocol_id"].as_str().filter(|id| !id.is_empty()) {
            call_id.clone_into(&mut known.call_id);
        }
        known.ends = micros(&event["timestamp"]);
    }
    let mut packets = Vec::new();
    for channel in channels.values().filter(|channel| !channel.call_id.is_empty()) {
        let (switch, far) = ([192, 0, 2, 1], [192, 0, 2, 9]);
        let (from, to) = if channel.comes { (far, switch) } else { (switch, far) };
        let trunk = channel.comes && channel.called == "trunk";
        let more = if trunk { "Privacy: id\nDiversion: <sip:95533@carrier.example>\n" } else { "" };
        let ends = |method: &str, cseq: u32, tag: &str| {
            format!(
                "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK{}{cseq}\nFrom: <sip:{}@192.0.2.9>;tag=f\nTo: <sip:{}@192.0.2.1>{tag}\nCall-ID: {}\nCSeq: {cseq} {method}\n",
                channel.begins, channel.number, channel.called, channel.call_id
            )
        };
        let invite = format!("INVITE sip:{}@192.0.2.1 SIP/2.0\n{}{more}", channel.called, ends("INVITE", 1, ""));
        packets.push((channel.begins, packet(channel.begins, from, to, &invite)));
        for (ms, status) in [(1, "100 Trying"), (3, "180 Ringing"), (8, "200 OK")] {
            let at = channel.begins + ms * 1000;
            packets.push((at, packet(at, to, from, &format!("SIP/2.0 {status}\n{}", ends("INVITE", 1, ";tag=t")))));
        }
        let bye = format!("BYE sip:x@192.0.2.1 SIP/2.0\n{}", ends("BYE", 2, ";tag=t"));
        packets.push((channel.ends, packet(channel.ends, from, to, &bye)));
    }
    packets.sort_by_key(|(at, _)| *at);
    packets.into_iter().flat_map(|(_, packet)| packet).collect()
}

/// Each dialog of a B2BUA looks like a call of its own. Beside ARI, which says whose they are, they add to its calls and make none, in each recorded scenario; beside
/// AMI alone, of which these recordings have no Call-IDs, they change nothing.
#[test]
fn what_an_asterisk_mirrors_adds_to_its_calls_and_makes_none() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-fixtures/asterisk");
    let mut folders: Vec<PathBuf> = fs::read_dir(root).unwrap().map(|e| e.unwrap().path()).collect();
    folders.sort();
    let (mut joined, mut seen) = (0, 0);
    for folder in folders.iter().filter(|folder| folder.join("ari.jsonl").exists()) {
        let hep = Capture {
            feed: Feed::Hep,
            name: "made".to_owned(),
            bytes: made(&fs::read(folder.join("ari.jsonl")).unwrap()),
        };
        for run in runs_of(folder, |feed| feed == "ari=ari.jsonl" || feed == "ami=ami.txt") {
            let alone = replay::run(run.settings.clone(), &run.captures).unwrap();
            let captures: Vec<Capture> = run.captures.iter().cloned().chain([hep.clone()]).collect();
            let both = replay::run(run.settings.clone(), &captures).unwrap();
            seen += 1;
            if run.captures.iter().all(|capture| capture.feed == Feed::Ami) {
                assert_same(&run.name, &alone, &both);
                continue;
            }
            // Nobody but the caller is another for it.
            let rest = |records: &[Record]| -> Vec<Record> {
                let mut records = records.to_vec();
                records.iter_mut().for_each(|record| {
                    record.customer = None;
                    record.ended_by = None;
                    record.parties.iter_mut().for_each(|party| party.number = None);
                });
                records
            };
            assert_same(&run.name, &rest(&alone), &rest(&both));
            for record in both.iter().filter(|r| r.direction == Some(Direction::Inbound)) {
                let before = alone.iter().find(|old| old.call == record.call).and_then(|old| old.customer.clone());
                let customer = record.customer.clone().unwrap();
                joined += usize::from(customer.withheld == Some(true) && customer.raw.is_none());
                assert!(customer.withheld == Some(true) || Some(customer) == before, "{}", run.name);
            }
        }
    }
    assert!(seen > 60 && joined > 40, "{joined} calls were joined in {seen} runs");
}

/// The whole daemon, told by a mirror alone: it is stopped while a call is up, and comes back before the BYE.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_a_mirror_alone_tells_of_goes_on_after_a_restart() {
    let mut desk = crate::daemon::Desk::set(0.3).await;
    let door = crate::daemon::door();
    let key = desk.folder.join("hep.key");
    fs::write(&key, "lab-hep-key").unwrap();
    desk.stage
        .write(
            "switches/mirror.yaml",
            &format!(
                "sip:\n  id: m1\n  domain: pbx.lab\n  internal: [\"100X\"]\n  hep: {{listen: \"{door}\", from: [\"127.0.0.1\"], key: {{file: {}}}}}\n",
                key.display()
            ),
        )
        .unwrap();
    desk.stage.write("agents.yaml", "agents:\n  - {id: \"1001\", devices: [\"1001\"]}\n").unwrap();
    let bytes =
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-fixtures/kamailio/inbound-answered/hep.bin"))
            .unwrap();
    let packets = packets(&Capture { feed: Feed::Hep, name: String::new(), bytes });
    let end = packets.iter().position(|p| p.windows(8).any(|w| w == b"BYE sip:")).unwrap();
    let mirror = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let send = |packets: &[Vec<u8>]| {
        for packet in packets {
            mirror.send_to(packet, door).unwrap();
        }
    };
    let up = |desk: &crate::daemon::Desk| desk.metrics().contains("linecard_link_up{switch=\"m1\",feed=\"hep\"} 1");
    let events = |desk: &crate::daemon::Desk| {
        let text = desk.metrics();
        let line = text.lines().find(|l| l.starts_with("linecard_link_events{switch=\"m1\",feed=\"hep\"}"));
        line.and_then(|l| l.rsplit(' ').next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    desk.start(None).await;
    desk.until("the mirror is listened to", up).await;
    send(&packets[..end]);
    // A call with two legs that are up is a dozen events.
    desk.until("the call is told", |desk| events(desk) >= 8).await;
    desk.signal(rustix::process::Signal::TERM);
    assert!(desk.child.take().unwrap().wait().unwrap().success());
    assert_eq!(desk.records().len(), 0, "it is not over");

    desk.start(None).await;
    desk.until("the mirror is listened to", up).await;
    send(&packets[end..]);
    desk.until("the call is written down", |desk| !desk.records().is_empty()).await;
    let record = &desk.records()[0];
    assert_eq!(
        (&record["end"], &record["ended_by"], &record["outcome"]),
        (&"seen".into(), &"customer".into(), &"answered".into())
    );
    assert_eq!(
        (&record["agents"], &record["quality"]),
        (&serde_json::json!(["1001"]), &"estimated".into()),
        "{record}"
    );
    assert_eq!(record["customer"]["e164"], "+861******8000");
}
