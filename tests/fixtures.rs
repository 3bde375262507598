//! What real switches said gives the right record: whole and byte by byte, however it is cut, and when everything is said twice.
//!
//! Each folder of `proto-fixtures/asterisk` has an `expected.json`: runs of feeds, and for each record what must stand at dotted paths. A value is
//! compared as it is or by `near`/`by`, `absent`, `any`, `one_of`, `has`, `none`, `all`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use linecard::{
    calls::{
        Event, Record,
        event::{Feed, Said, Snapshot},
        record::{Direction, Quality},
    },
    daemon::replay::{self, Capture, ReplaySettings},
    switches::asterisk::ami::Framer,
    words::Mono,
};
use serde_json::Value;

/// One run of one scenario.
pub struct Run {
    pub name: String,
    pub settings: ReplaySettings,
    pub captures: Vec<Capture>,
    pub records: Vec<Value>,
}

/// Plays these runs and holds each record to what is expected.
pub fn all_right(runs: &[Run]) {
    let mut wrong = Vec::new();
    for run in runs {
        let records = replay::run(run.settings.clone(), &run.captures).unwrap();
        wrong.extend(misses(run, &records).into_iter().map(|miss| format!("{}: {miss}", run.name)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_recorded_scenario_gives_the_right_record() {
    let runs = runs();
    all_right(&runs);
    assert!(runs.len() >= 98, "only {} runs found", runs.len());
}

#[test]
fn the_same_records_byte_by_byte() {
    for run in runs() {
        for capture in run.captures.iter().filter(|c| c.feed == Feed::Ami) {
            let whole = replay::ami_events(capture, usize::MAX).unwrap();
            for step in [1, 7, 1460] {
                assert!(replay::ami_events(capture, step).unwrap() == whole, "{} in pieces of {step}", run.name);
            }
        }
    }
}

/// Each kind of message that was ever recorded, cut in two at every offset.
#[test]
fn the_framer_may_be_cut_anywhere() {
    let mut seen = BTreeSet::new();
    for run in runs() {
        for capture in run.captures.iter().filter(|c| c.feed == Feed::Ami) {
            let text = capture.bytes.as_slice();
            let mut from = 0;
            while let Some(length) = text[from..].windows(4).position(|w| w == b"\r\n\r\n") {
                let message = &text[from..from + length + 4];
                from += length + 4;
                let first = message.split(|b| *b == b'\r').next().unwrap_or_default();
                if !seen.insert(first.to_vec()) {
                    continue;
                }
                let mut framer = Framer::new();
                framer.push(message);
                let whole = headers(&mut framer);
                for at in 0..message.len() {
                    let mut framer = Framer::new();
                    framer.push(&message[..at]);
                    let mut cut = headers(&mut framer);
                    framer.push(&message[at..]);
                    cut.extend(headers(&mut framer));
                    assert_eq!(cut, whole, "cut at {at} of {}", String::from_utf8_lossy(first));
                }
            }
        }
    }
    assert!(seen.len() > 40, "only {} kinds of message", seen.len());
}

#[test]
fn the_same_records_when_every_event_is_doubled() {
    for run in runs() {
        let once = replay::run(run.settings.clone(), &run.captures).unwrap();
        let doubled = streams(&run, |events| events.into_iter().flat_map(|e| [e.clone(), e]).collect());
        assert_same(&run.name, &once, &replay::play(run.settings.clone(), doubled));
    }
}

/// Two watchers side by side tell the same story with a lag.
#[test]
fn the_same_records_when_two_watchers_tell_the_same() {
    for run in runs() {
        let once = replay::run(run.settings.clone(), &run.captures).unwrap();
        let mut both = streams(&run, |events| events);
        both.extend(streams(&run, |events| events));
        assert_same(&run.name, &once, &replay::play(run.settings.clone(), both));
    }
}

#[test]
fn ids_are_the_same_at_every_run_and_over_every_feed() {
    let ids = |records: &[Record]| records.iter().map(|r| r.call.to_string()).collect::<BTreeSet<_>>();
    let mut by_folder: std::collections::BTreeMap<String, BTreeSet<String>> = std::collections::BTreeMap::new();
    // A client that came in the middle adopts calls by the whole second, and may begin with another leg.
    for run in runs().into_iter().filter(|r| !r.name.starts_with("resync-midcall ami-2")) {
        let found = ids(&replay::run(run.settings.clone(), &run.captures).unwrap());
        let folder = run.name.split(' ').next().unwrap().to_owned();
        let known = by_folder.entry(folder).or_insert_with(|| found.clone());
        assert_eq!(*known, found, "{}", run.name);
    }
}

/// Without `timestampevents=yes` there is no time in a capture, and then none in the record; all else stands.
#[test]
fn a_capture_without_times_gives_a_record_without_times() {
    let mut count = 0;
    for run in runs().into_iter().filter(|r| r.name.ends_with(" ami") && !is_cut(&r.name)) {
        let timed = replay::run(run.settings.clone(), &run.captures).unwrap();
        let bare = streams(&run, |events| events.into_iter().map(|e| Event { at: None, ..e }).collect());
        let bare = replay::play(run.settings.clone(), bare);
        assert_eq!(bare.len(), timed.len(), "{}", run.name);
        for (a, b) in timed.iter().zip(&bare) {
            let times = (b.started_at, b.answered_at, b.ended_at, b.segments.iter().find_map(|s| s.from.or(s.to)));
            assert_eq!(times, (None, None, None, None), "{}", run.name);
            assert!(b.talk_ms.is_none_or(|ms| ms == 0 && a.talk_ms == Some(0)), "{}", run.name);
            let told = |r: &Record| (r.outcome, r.end, r.ended_by, r.queue.clone(), r.agents.clone(), r.direction);
            assert_eq!(told(a), told(b), "{}", run.name);
            count += 1;
        }
    }
    assert!(count >= 22, "only {count} records");
}

/// Whether the switch went away in it: without times nothing says which of two captures came first.
fn is_cut(name: &str) -> bool {
    name.starts_with("crash") || name.starts_with("restart")
}

/// What the switch promises no order for: who leaves a bridge first, which hangup comes first, who enters first (facts of the
/// recordings: both orders occur).
#[test]
fn the_same_records_when_neighbours_without_an_order_change_places() {
    let mut swapped = 0;
    for run in runs() {
        let once = replay::run(run.settings.clone(), &run.captures).unwrap();
        let turned = streams(&run, |mut events| {
            let mut at = 0;
            while at + 1 < events.len() {
                if free(&events[at], &events[at + 1]) {
                    events.swap(at, at + 1);
                    swapped += 1;
                    at += 1;
                }
                at += 1;
            }
            events
        });
        assert_same(&run.name, &once, &replay::play(run.settings.clone(), turned));
    }
    assert!(swapped > 100, "only {swapped} pairs");
}

fn free(a: &Event, b: &Event) -> bool {
    match (&a.said, &b.said) {
        (Said::BridgeEnter { leg: x, bridge: a, .. }, Said::BridgeEnter { leg: y, bridge: b, .. })
        | (Said::BridgeLeave { leg: x, bridge: a }, Said::BridgeLeave { leg: y, bridge: b }) => x.id != y.id && a == b,
        (Said::Hangup { leg: x, .. }, Said::Hangup { leg: y, .. }) => x.id != y.id,
        _ => false,
    }
}

/// One event in twenty is lost, as where a reader could not keep up; then the hole is told and a list of what is there taken. No call is
/// told twice, and nothing that is told is wrong.
#[test]
fn with_events_lost_and_a_snapshot_behind_nothing_is_told_that_was_not() {
    let mut wrong = Vec::new();
    let mut told = (0, 0);
    for run in runs().iter().filter(|r| r.captures.len() == 1) {
        let whole = replay::run(run.settings.clone(), &run.captures).unwrap();
        for seed in 0..20_u64 {
            let holed = streams(run, |events| {
                let mut dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
                let mut kept = Vec::new();
                let mut hole = false;
                for event in events {
                    dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    if (dice >> 33).is_multiple_of(20) && !matches!(event.said, Said::Snapshot(_)) {
                        hole = true;
                        continue;
                    }
                    let at = event.at;
                    kept.push(event);
                    if std::mem::take(&mut hole) {
                        kept.push(Event { at, said: Said::Gap { feed: run.captures[0].feed } });
                    }
                }
                let feed = run.captures[0].feed;
                let nothing = Snapshot {
                    feed,
                    legs: Vec::new(),
                    bridges: Vec::new(),
                    asked: Some(Mono(u64::MAX)),
                    waiting: Vec::new(),
                };
                kept.push(Event { at: None, said: Said::Snapshot(nothing) });
                kept
            });
            for record in replay::play(run.settings.clone(), holed) {
                let linked = |r: &Record| {
                    r.ids
                        .iter()
                        .filter(|id| id.kind == "linkedid" || id.kind == "uniqueid")
                        .map(|id| id.value.clone())
                        .collect::<BTreeSet<_>>()
                };
                let mine = linked(&record);
                let Some(truth) = whole.iter().find(|r| !linked(r).is_disjoint(&mine)) else { continue };
                // A colleague who is asked while nobody heard the hold: an internal call, which is what was seen.
                if record.direction == Some(Direction::Internal) && truth.direction != record.direction {
                    continue;
                }
                told.0 += 1;
                told.1 += usize::from(record.outcome.is_some());
                let agents = record.agents.clone().unwrap_or_default();
                let known = truth.agents.clone().unwrap_or_default();
                if record.outcome.is_some() && record.outcome != truth.outcome
                    || agents.iter().any(|agent| !known.contains(agent))
                    || record.quality == Quality::Exact && record.outcome != truth.outcome
                {
                    wrong.push(format!(
                        "{} seed {seed}: {:?} {agents:?} {:?}, not {:?} {known:?}",
                        run.name, record.outcome, record.quality, truth.outcome
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} wrong:\n{}", wrong.len(), told.0, wrong[..wrong.len().min(20)].join("\n"));
    assert!(told.1 * 2 > told.0, "{told:?}: too little is told");
}

fn streams(run: &Run, mut change: impl FnMut(Vec<Event>) -> Vec<Event>) -> Vec<(Feed, Vec<Event>)> {
    run.captures.iter().map(|c| (c.feed, change(replay::events(&run.settings, c).unwrap()))).collect()
}

pub fn assert_same(name: &str, a: &[Record], b: &[Record]) {
    let text = |records: &[Record]| {
        let mut lines: Vec<String> =
            records.iter().map(|r| serde_json::to_string(&Record { revision: 1, ..r.clone() }).unwrap()).collect();
        lines.sort();
        lines.join("\n")
    };
    assert_eq!(text(a), text(b), "{name}");
}

fn headers(framer: &mut Framer) -> Vec<Vec<(String, String)>> {
    let mut out = Vec::new();
    while let Some(m) = framer.take().unwrap() {
        out.push(m.iter().map(|(k, v)| (k.into_owned(), v.into_owned())).collect());
    }
    out
}

fn runs() -> Vec<Run> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-fixtures/asterisk");
    let mut folders: Vec<PathBuf> = fs::read_dir(&root).unwrap().map(|e| e.unwrap().path()).collect();
    folders.sort();
    folders.iter().flat_map(|folder| runs_of(folder, |_| true)).collect()
}

/// The runs of one folder of which each feed is wanted.
pub fn runs_of(folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<Run> {
    let expected: Value = serde_json::from_slice(&fs::read(folder.join("expected.json")).unwrap()).unwrap();
    let text = |run: &Value, key: &str, default: &str| run[key].as_str().unwrap_or(default).to_owned();
    let one = |run: &Value| {
        let agents: Vec<String> = text(run, "agents", "").split(',').map(str::to_owned).collect();
        let captures = run["feeds"].as_array().unwrap().iter().map(|f| {
            let (feed, file) = replay::feed(f.as_str().unwrap()).unwrap();
            Capture { feed, name: file.to_owned(), bytes: fs::read(folder.join(file)).unwrap() }
        });
        Run {
            name: format!("{} {}", folder.file_name().unwrap().to_string_lossy(), text(run, "name", "")),
            settings: ReplaySettings::plain(&agents, &text(run, "country", "CN"), Some(&text(run, "area", "21"))),
            captures: captures.collect(),
            records: run["records"].as_array().unwrap().clone(),
        }
    };
    let all = |run: &&Value| run["feeds"].as_array().unwrap().iter().all(|f| wanted(f.as_str().unwrap()));
    expected["runs"].as_array().unwrap().iter().filter(all).map(one).collect()
}

/// What is wrong in one run, as lines.
pub fn misses(run: &Run, records: &[Record]) -> Vec<String> {
    let mut got: Vec<Value> = records.iter().map(|r| serde_json::to_value(r).unwrap()).collect();
    got.sort_by_key(|r| r["started_at"].as_str().unwrap_or_default().to_owned());
    let mut out = Vec::new();
    if got.len() != run.records.len() {
        out.push(format!("{} records, {} expected", got.len(), run.records.len()));
    }
    for (i, (want, record)) in run.records.iter().zip(&got).enumerate() {
        for (path, value) in want.as_object().unwrap() {
            let found = at(record, path);
            if !matches(value, found) {
                out.push(format!("record {i} {path}: want {value}, got {}", found.unwrap_or(&Value::Null)));
            }
        }
    }
    out
}

fn at<'a>(record: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(record, |value, key| value.get(key)).filter(|v| !v.is_null())
}

fn matches(want: &Value, got: Option<&Value>) -> bool {
    let fits = |tests: &Value, item: &Value| tests.as_object().unwrap().iter().all(|(k, v)| matches(v, at(item, k)));
    let items = || got.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if let Some(tests) = want.as_object() {
        for (word, value) in tests {
            return match word.as_str() {
                "all" => value.as_array().unwrap().iter().all(|w| matches(w, got)),
                "near" => match (value.as_f64(), want["by"].as_f64(), got.and_then(Value::as_f64)) {
                    (Some(near), Some(by), Some(got)) => (got - near).abs() <= by,
                    _ => false,
                },
                "by" => continue,
                "absent" => got.is_none(),
                "any" => got.is_some(),
                "one_of" => value.as_array().unwrap().iter().any(|w| w == got.unwrap_or(&Value::Null)),
                "has" => items().iter().any(|item| fits(value, item)),
                "none" => !items().iter().any(|item| fits(value, item)),
                other => panic!("unknown test \"{other}\""),
            };
        }
    }
    if let Some(list) = want.as_array()
        && list.first().is_some_and(Value::is_object)
    {
        return items().len() == list.len() && list.iter().zip(items()).all(|(w, g)| fits(w, g));
    }
    want == got.unwrap_or(&Value::Null)
}

/// The comparison itself can fail: a wrong value, a missing record, a forbidden item.
#[test]
fn the_comparison_can_fail() {
    let record = serde_json::json!({"a": {"b": 5}, "list": [{"kind": "ring"}]});
    let fails = [
        ("a.b", serde_json::json!({"near": 1, "by": 3})),
        ("a.b", serde_json::json!({"absent": true})),
        ("a.c", serde_json::json!({"any": true})),
        ("a.b", serde_json::json!({"one_of": [4, null]})),
        ("list", serde_json::json!({"has": {"kind": "talk"}})),
        ("list", serde_json::json!({"none": {"kind": "ring"}})),
        ("list", serde_json::json!([{"kind": "ring"}, {"kind": "ring"}])),
        ("a.b", serde_json::json!(6)),
    ];
    for (path, want) in fails {
        assert!(!matches(&want, at(&record, path)), "{path} {want}");
    }
    assert!(matches(&serde_json::json!({"one_of": [4, null]}), at(&record, "a.c")));
}

/// What the caller keyed in and the dialplan told, by every way it can be mapped, over each feed and both, also with every event doubled: the stamps of the
/// recording prove the copies of keys.
#[test]
fn attributes_and_recordings_of_a_recorded_ivr() {
    let yaml = "asterisk:
  id: pbx1
  trunks: [PJSIP/trunk*]
  ami: {host: 127.0.0.1, user: u, secret: {env: NO}}
  recordings: {folder: /var/spool/asterisk/monitor, uri: 'https://rec.example.com'}
  attributes:
    - {name: by.variable, from: {variable: CTI_ACCOUNT}, type: digits, use: account}
    - {name: by.event, from: {user-event: {event: CustomerData, header: Account}}}
    - {name: not.of.the.switch, from: {user-event: {event: CustomerData, header: Uniqueid}}}
    - {name: by.keys, from: {digits: {max: 4}}}
    - {name: by.keys.here, from: {digits: {at: {context: from-trunk, exten: '95533', priority: 2}}}}
    - {name: by.keys.elsewhere, from: {digits: {at: {context: from-trunk, priority: 3}}}}
    - {name: secret, from: {variable: ACCT}, use: account, secret: true}
";
    let read = linecard::files::read::<linecard::switches::Settings>("x.yaml", yaml).unwrap();
    assert_eq!(read.value.problems(&read), []);
    let linecard::switches::Settings::Asterisk(settings) = &read.value else { panic!("this is no Asterisk") };
    let declared = std::sync::Arc::new(settings.declared());
    let all = serde_json::json!({"by.event": "8642", "by.keys": "8642", "by.keys.here": "8642", "by.variable": "8642"});
    let mut seen = 0;
    for mut run in runs().into_iter().filter(|r| r.name.starts_with("ivr-data ")) {
        for rules in run.settings.book.switches.values_mut() {
            rules.attributes = declared.clone();
        }
        let once = replay::run(run.settings.clone(), &run.captures).unwrap();
        let doubled = streams(&run, |events| events.into_iter().flat_map(|e| [e.clone(), e]).collect());
        for records in [&once, &replay::play(run.settings.clone(), doubled)] {
            let [record] = records.as_slice() else { panic!("{}: {} records", run.name, records.len()) };
            let record = serde_json::to_value(record).unwrap();
            assert_eq!(record["attributes"], all, "{}", run.name);
            assert_eq!(record.get("attribute_faults"), None);
            let recordings = record["recordings"].as_array().unwrap();
            assert_eq!(recordings.len(), 1, "{recordings:?}");
            assert_eq!(recordings[0]["uri"], "https://rec.example.com/1795348034.0.wav");
            assert_eq!(recordings[0]["state"], "recorded");
            // It went on until the caller's end, which only AMI proves.
            let to = if run.name.ends_with(" ari") { &Value::Null } else { &record["ended_at"] };
            assert_eq!(recordings[0].get("to").unwrap_or(&Value::Null), to, "{}", run.name);
        }
        seen += 1;
    }
    assert_eq!(seen, 3);
}
