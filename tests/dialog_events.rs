//! What a real Kamailio told its watchers gives the right record: over each transport, by several watchers side by side, when every NOTIFY comes twice, and in
//! pieces. Asterisk's hints too.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use linecard::{
    calls::{Record, event::Feed},
    daemon::replay::{self, Capture},
};

use crate::fixtures::{Run, all_right, assert_same, runs_of};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-fixtures").join(name)
}

/// The runs that have nothing but dialog events.
fn runs() -> Vec<Run> {
    let mut folders: Vec<PathBuf> = fs::read_dir(folder("kamailio")).unwrap().map(|e| e.unwrap().path()).collect();
    folders.sort();
    let with = folders.into_iter().filter(|f| f.join("expected.json").exists());
    with.flat_map(|folder| runs_of(&folder, |feed| feed.starts_with("sip="))).collect()
}

/// The same run with its captures changed.
fn changed(run: &Run, change: impl Fn(&str) -> String) -> Vec<Record> {
    let change =
        |c: &Capture| Capture { bytes: change(std::str::from_utf8(&c.bytes).unwrap()).into_bytes(), ..c.clone() };
    replay::run(run.settings.clone(), &run.captures.iter().map(change).collect::<Vec<_>>()).unwrap()
}

fn logs() -> Vec<Run> {
    runs().into_iter().filter(|run| run.captures.iter().all(|c| c.name.ends_with(".jsonl"))).collect()
}

#[test]
fn every_recorded_scenario_gives_the_right_record() {
    let runs = runs();
    all_right(&runs);
    assert_eq!(runs.len(), 42);
}

#[test]
fn the_same_records_when_every_notify_comes_twice() {
    for run in logs() {
        let once = replay::run(run.settings.clone(), &run.captures).unwrap();
        let twice = changed(&run, |text| text.lines().flat_map(|line| [line, line]).collect::<Vec<_>>().join("\n"));
        assert_same(&run.name, &once, &twice);
    }
}

/// Two watchers with subscriptions of their own, of which one lags behind the other.
#[test]
fn the_same_records_when_two_watchers_tell_the_same() {
    for run in logs() {
        let once = replay::run(run.settings.clone(), &run.captures).unwrap();
        let other = |c: &Capture| {
            let text = std::str::from_utf8(&c.bytes).unwrap().replace("Call-ID: ", "Call-ID: other-");
            Capture { bytes: text.into_bytes(), ..c.clone() }
        };
        let both: Vec<Capture> = run.captures.iter().cloned().chain(run.captures.iter().map(other)).collect();
        assert_same(&run.name, &once, &replay::run(run.settings.clone(), &both).unwrap());
    }
}

#[test]
fn the_same_events_in_pieces() {
    for run in logs() {
        let captures: Vec<&Capture> = run.captures.iter().collect();
        let whole = replay::sip_events(&run.settings, &captures, usize::MAX).unwrap();
        for step in [1, 7, 1460] {
            let pieces = replay::sip_events(&run.settings, &captures, step).unwrap();
            assert!(pieces == whole, "{} in pieces of {step}", run.name);
        }
    }
}

#[test]
fn ids_are_the_same_at_every_run() {
    let ids = |run: &Run| -> BTreeSet<String> {
        let records = replay::run(run.settings.clone(), &run.captures).unwrap();
        records.iter().map(|r| r.call.to_string()).collect()
    };
    for run in runs() {
        assert_eq!(ids(&run), ids(&run), "{}", run.name);
    }
}

/// Wherever the capture is cut: no call is told that was not there, and none as over that was not seen to end.
#[test]
fn cut_anywhere_nothing_is_told_that_was_not_seen() {
    for run in logs().iter().filter(|run| run.captures.len() == 1) {
        let whole = replay::run(run.settings.clone(), &run.captures).unwrap();
        let lines = std::str::from_utf8(&run.captures[0].bytes).unwrap().lines().count();
        for keep in 0..lines {
            let cut = changed(run, |text| text.lines().take(keep).collect::<Vec<_>>().join("\n"));
            assert!(cut.len() <= whole.len(), "{} after {keep}", run.name);
            for record in &cut {
                let Some(truth) = whole.iter().find(|r| r.call == record.call) else {
                    panic!("{} after {keep}: a call that is none", run.name)
                };
                assert!(record.outcome.is_none() || record.outcome == truth.outcome, "{} after {keep}", run.name);
                assert!(record.talk_ms <= truth.talk_ms.or(record.talk_ms), "{} after {keep}", run.name);
            }
        }
    }
}

/// One NOTIFY of each capture is lost: what is told then is less, never other.
#[test]
fn a_lost_notify_makes_no_other_truth() {
    let mut wrong = Vec::new();
    for run in logs().iter().filter(|run| run.captures.len() == 1) {
        let whole = replay::run(run.settings.clone(), &run.captures).unwrap();
        let lines = std::str::from_utf8(&run.captures[0].bytes).unwrap().lines().count();
        for lost in 0..lines {
            let rest = |text: &str| {
                let kept = text.lines().enumerate().filter(|(n, _)| *n != lost).map(|(_, line)| line);
                kept.collect::<Vec<_>>().join("\n")
            };
            for record in &changed(run, rest) {
                let id = |r: &Record| r.ids.iter().find(|id| id.kind == "sip-call-id").map(|id| id.value.clone());
                let truth = whole.iter().find(|r| r.call == record.call || id(r) == id(record));
                let Some(truth) = truth.map(|truth| truth.outcome) else {
                    wrong.push(format!("{} without {lost}: a call that is none", run.name));
                    continue;
                };
                if record.outcome.is_some() && record.outcome != truth {
                    wrong.push(format!("{} without {lost}: {:?}, not {truth:?}", run.name, record.outcome));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Hints: a constant id, no call-id, nobody at the other end. One call of each phone, of unknown direction, without a customer.
#[test]
fn asterisk_s_hints_are_calls_of_which_little_is_known() {
    let notify = |n: u32, state: &str| {
        let body = format!(
            "<?xml version=\\\"1.0\\\"?><dialog-info xmlns=\\\"urn:ietf:params:xml:ns:dialog-info\\\" version=\\\"{n}\\\" state=\\\"full\\\" \
             entity=\\\"sip:1001@127.0.0.1:5060\\\"><dialog id=\\\"1001\\\"><state>{state}</state></dialog></dialog-info>"
        );
        let length = body.replace('\\', "").len();
        format!(
            "{{\"t\": {}.5, \"dir\": \"in\", \"msg\": \"NOTIFY sip:w@127.0.0.3 SIP/2.0\\r\\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK{n}\\r\\n\
             From: <sip:1001@127.0.0.1>;tag=a\\r\\nTo: <sip:w@127.0.0.1>;tag=b\\r\\nCall-ID: c\\r\\nCSeq: {} NOTIFY\\r\\nEvent: dialog\\r\\n\
             Contact: <sip:127.0.0.1>\\r\\nMax-Forwards: 70\\r\\nSubscription-State: active;expires=600\\r\\n\
             Content-Type: application/dialog-info+xml\\r\\nContent-Length: {length}\\r\\n\\r\\n{body}\"}}\n",
            1_795_347_000 + n,
            n + 1
        )
    };
    let states = ["terminated", "early", "confirmed", "terminated", "early", "terminated", "confirmed"];
    let text: String = (0..).zip(states).map(|(n, state)| notify(n, state)).collect();
    let capture = Capture { feed: Feed::Sip, name: "hints".to_owned(), bytes: text.into_bytes() };
    let settings = replay::ReplaySettings::plain(&["1001".to_owned()], "CN", Some("10"));
    let records = replay::run(settings, &[capture]).unwrap();
    let told: Vec<serde_json::Value> = records.iter().map(|r| serde_json::to_value(r).unwrap()).collect();
    assert_eq!(told.len(), 3, "{told:#?}");
    for (record, (outcome, end)) in
        told.iter().zip([("answered", "seen"), ("unanswered", "seen"), ("answered", "lost")])
    {
        assert_eq!((&record["outcome"], &record["end"]), (&outcome.into(), &end.into()), "{record:#}");
        for key in ["direction", "customer", "dialled", "trunk", "ended_by", "cause", "hold_ms"] {
            assert_eq!(record.get(key), None, "{key}: {record:#}");
        }
        assert_eq!(record["parties"][1]["agent"], "1001", "{record:#}");
    }
    assert_eq!((&told[0]["ring_ms"], &told[0]["talk_ms"]), (&1000.into(), &1000.into()));
    assert_eq!(told[2].get("ring_ms"), None);
}
