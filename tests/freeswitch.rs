//! What a real FreeSWITCH said over its event socket gives the right record: plain and JSON, byte by byte, cut anywhere, and when every frame comes twice.

mod live;
mod socket;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use linecard::{
    calls::{Record, event::Feed},
    daemon::replay::{self, Capture},
    switches::esl::{
        event::Event,
        frame::{Framer, Kind},
    },
};

use crate::fixtures::{Run, all_right, assert_same, runs_of};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-fixtures/freeswitch")
}

fn runs() -> Vec<Run> {
    let mut folders: Vec<PathBuf> = fs::read_dir(root()).unwrap().map(|e| e.unwrap().path()).collect();
    folders.sort();
    let with = folders.into_iter().filter(|folder| folder.join("expected.json").exists());
    with.flat_map(|folder| runs_of(&folder, |_| true)).collect()
}

/// The frames of a capture, each with its bytes.
fn frames(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut framer = Framer::new();
    framer.push(bytes);
    let mut all = Vec::new();
    while let Some(frame) = framer.take().unwrap() {
        all.push([frame.head, b"\n\n", frame.body].concat());
    }
    all
}

#[test]
fn every_recorded_scenario_gives_the_right_record() {
    let runs = runs();
    all_right(&runs);
    assert_eq!(runs.len(), 51);
}

#[test]
fn the_same_events_byte_by_byte() {
    for run in runs() {
        for capture in &run.captures {
            let whole = replay::esl_events(&run.settings, capture, usize::MAX).unwrap();
            for step in [1, 7, 1460] {
                let pieces = replay::esl_events(&run.settings, capture, step).unwrap();
                assert!(pieces == whole, "{} in pieces of {step}", run.name);
            }
        }
    }
}

#[test]
fn the_same_records_when_every_frame_comes_twice() {
    for run in runs() {
        let once = replay::run(run.settings.clone(), &run.captures).unwrap();
        let twice = |c: &Capture| {
            let bytes =
                frames(&c.bytes).iter().flat_map(|frame| [frame.as_slice(), frame]).collect::<Vec<_>>().concat();
            Capture { bytes, ..c.clone() }
        };
        let twice: Vec<Record> =
            replay::run(run.settings.clone(), &run.captures.iter().map(twice).collect::<Vec<_>>()).unwrap();
        assert_same(&run.name, &once, &twice);
    }
}

/// Each kind of frame that was ever recorded, cut in two at every offset.
#[test]
fn the_framer_may_be_cut_anywhere() {
    let mut seen = BTreeSet::new();
    for run in runs() {
        for frame in run.captures.iter().flat_map(|c| frames(&c.bytes)) {
            let mut framer = Framer::new();
            framer.push(&frame);
            let whole = framer.take().unwrap().map(|f| (f.kind(), f.body.to_vec())).unwrap();
            let name = match whole.0 {
                Kind::Plain => Event::plain(&whole.1).unwrap().get("Event-Name").map(|name| name.into_owned()),
                _ => None,
            };
            if !seen.insert(format!("{:?} {name:?}", whole.0)) {
                continue;
            }
            for at in 0..frame.len() {
                let mut framer = Framer::new();
                framer.push(&frame[..at]);
                assert!(framer.take().unwrap().is_none(), "{name:?} is whole at {at} of {}", frame.len());
                framer.push(&frame[at..]);
                let cut = framer.take().unwrap().map(|f| (f.kind(), f.body.to_vec())).unwrap();
                assert_eq!(cut, whole, "{name:?} cut at {at}");
            }
        }
    }
    assert!(seen.len() >= 20, "{seen:?}");
}

/// A reader that lagged was killed: what the switch says of it stands inside a body that never ends.
#[test]
fn why_a_listener_was_killed_is_found() {
    for (file, whole) in [("esl-plain-tail-mid-frame.txt", false), ("esl-plain-tail-frame-boundary.txt", true)] {
        let bytes = fs::read(root().join("listener-overflow").join(file)).unwrap();
        let mut framer = Framer::new();
        framer.push(&bytes);
        let mut notice = None;
        while let Some(frame) = framer.take().unwrap() {
            if frame.kind() == Kind::Disconnect {
                notice = Some(String::from_utf8_lossy(frame.body).into_owned());
            }
        }
        assert_eq!(notice.is_some(), whole, "{file}");
        let told = notice.or_else(|| framer.end()).unwrap();
        assert!(told.contains("lost events"), "{file}: {told}");
    }
}

/// Agents' states make no record (agent-status).
#[test]
fn what_is_no_call_makes_no_record() {
    for file in ["esl-plain.txt", "esl-json.txt"] {
        let bytes = fs::read(root().join("agent-status").join(file)).unwrap();
        let capture = Capture { feed: Feed::Esl, name: file.to_owned(), bytes };
        let settings = replay::ReplaySettings::plain(&["2001".to_owned()], "CN", Some("21"));
        assert_eq!(replay::run(settings, &[capture]).unwrap(), []);
    }
}
