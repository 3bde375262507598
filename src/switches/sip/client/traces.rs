//! The machine against what a real Kamailio said to a watcher: what came in is fed, what goes out is compared in kind.
//!
//! A recording's Call-IDs, tags, branches and addresses are the recorder's. What comes in is rewritten to ours; what goes out must be the same
//! request or answer: method or status, CSeq, Expires, target, whether credentials are in it. The recorder sent its refreshes when the scenario
//! wanted; they are asked for at those moments. It answered each challenge anew, so the kept nonce is taken away before each of its requests.

use std::{collections::BTreeMap, fs, path::Path};

use super::*;
use crate::{switches::sip::wire, words::Wall};

const CTI: &str = "pw-cti";

/// One line of a recording.
struct Line {
    at: Now,
    out: bool,
    text: String,
    peer: (String, u16),
    local: (String, u16),
    transport: Transport,
}

fn lines(name: &str) -> Vec<Line> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-fixtures/kamailio").join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut lines = Vec::new();
    for line in text.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let Some(text) = value["msg"].as_str().filter(|m| !m.trim().is_empty()) else { continue };
        let ms = (value["t"].as_f64().unwrap() * 1000.0) as i64;
        let end = |key: &str| {
            let (host, port) = value[key].as_str().unwrap().rsplit_once(':').unwrap();
            (host.to_owned(), port.parse().unwrap())
        };
        lines.push(Line {
            at: Now { wall: Wall(ms), mono: Mono((ms as u64 - 1_795_000_000_000) * 1000) },
            out: value["dir"] == "out",
            text: text.to_owned(),
            peer: end("peer"),
            local: end("local"),
            transport: match value["transport"].as_str().unwrap() {
                "udp" => Transport::Udp,
                "tcp" => Transport::Tcp,
                "tls" => Transport::Tls,
                "ws" => Transport::Ws,
                "wss" => Transport::Wss,
                other => panic!("{other}"),
            },
        });
    }
    lines
}

/// What a message is, for comparing.
fn kind(text: &str) -> String {
    let m = wire::read(text.as_bytes()).unwrap();
    let what = m
        .method()
        .map_or_else(|| m.status().unwrap().to_string(), |method| format!("{method} {}", m.request_uri().unwrap()));
    let expires = m.method().and_then(|_| m.header("Expires")).map_or(String::new(), |e| format!(" expires {e}"));
    let signed = if m.header("Authorization").is_some() { " signed" } else { "" };
    format!("{what}, {} {}{expires}{signed}", m.cseq().0, m.cseq().1)
}

/// One Call-ID of a recording, played.
#[derive(Debug, Default)]
struct Played {
    /// Recorded and ours, where they differ.
    differ: Vec<(String, String)>,
    /// What only we said.
    more: Vec<String>,
    /// Notified, with the length of the body.
    bodies: Vec<usize>,
    unknown: Vec<Why>,
    alarms: Vec<Alarm>,
}

struct Play {
    client: Client,
    played: Played,
    /// What we said and the recorder has not said yet.
    said: VecDeque<String>,
    /// Recorded words to ours.
    words: BTreeMap<String, String>,
}

impl Play {
    fn drain(&mut self, now: Now, line: &Line) {
        while let Some(output) = self.client.next(now) {
            match output {
                Output::Resolve(_) => {
                    let target = Target { host: line.peer.0.clone(), port: line.peer.1, transport: line.transport };
                    self.client.take(now, Input::Resolved { targets: vec![target], ttl_ms: 60_000 });
                }
                Output::Open { flow, .. } => {
                    let (host, port) = line.local.clone();
                    self.client.take(now, Input::Connected { flow, host, port });
                }
                Output::Send { bytes, .. } | Output::Reply { bytes, .. } => {
                    self.said.push_back(String::from_utf8(bytes).unwrap());
                }
                Output::Notified { message, .. } => self.played.bodies.push(message.body().len()),
                Output::Unknown { why, .. } => self.played.unknown.push(why),
                Output::Alarm(alarm) => self.played.alarms.push(alarm),
                Output::Ended { .. }
                | Output::Close { .. }
                | Output::Ping { .. }
                | Output::Link(_)
                | Output::Referred { .. } => {}
            }
        }
    }

    /// Runs the machine's own timers up to here.
    fn run_to(&mut self, line: &Line) {
        while let Some(at) = self.client.deadline().filter(|at| *at < line.at.mono) {
            let wall = line.at.wall;
            self.drain(Now { wall, mono: at }, line);
        }
    }

    /// Ours for what the recorder said: its names become ours in what comes in.
    fn pair(&mut self, recorded: &str) {
        let Some(ours) = self.said.pop_front() else {
            self.played.differ.push((kind(recorded), "nothing".into()));
            return;
        };
        if kind(recorded) != kind(&ours) {
            self.played.differ.push((kind(recorded), kind(&ours)));
        }
        let (a, b) = (wire::read(recorded.as_bytes()).unwrap(), wire::read(ours.as_bytes()).unwrap());
        if a.method().is_some() {
            let names = |m: &Message| {
                [m.call_id().to_owned(), m.from().tag().unwrap().to_owned(), m.via().branch.clone().unwrap()]
            };
            self.words.extend(names(&a).into_iter().zip(names(&b)));
        }
    }
}

/// All calls of a recording, in their order. `password`: whether it is the right one for this call.
fn play(name: &str) -> Vec<Played> {
    let mut calls: Vec<(String, Vec<Line>)> = Vec::new();
    for line in lines(name) {
        let call = wire::read(line.text.as_bytes()).unwrap().call_id().to_owned();
        match calls.iter_mut().find(|(id, _)| *id == call) {
            Some((_, lines)) => lines.push(line),
            None => calls.push((call, vec![line])),
        }
    }
    calls.into_iter().map(|(_, lines)| play_call(&lines)).collect()
}

fn play_call(lines: &[Line]) -> Played {
    let first = wire::read(lines[0].text.as_bytes()).unwrap();
    let settings = Settings {
        server: Server { host: "pbx.lab".into(), port: None, transport: None },
        identity: "sip:cti@pbx.lab".into(),
        credentials: Some(Credentials {
            user: "cti".into(),
            realm: "pbx.lab".into(),
            password: Secret::new(CTI.into()),
        }),
        expires_s: 120,
        starts_a_second: 50,
        in_flight: 10,
        agent: "linecard".into(),
    };
    let mut play = Play {
        client: Client::new(settings, [1; 32]),
        played: Played::default(),
        said: VecDeque::new(),
        words: BTreeMap::new(),
    };
    let expires = first.header("Expires").unwrap().parse().unwrap();
    let watch = Watch {
        id: WatchId(1),
        uri: first.request_uri().unwrap().to_string(),
        package: if first.header("Event") == Some("reg") { Package::Reg } else { Package::Dialog },
        list: first.header("Supported") == Some("eventlist"),
        expires_s: Some(expires),
    };
    for (n, line) in lines.iter().enumerate() {
        play.run_to(line);
        if line.out {
            let recorded = wire::read(line.text.as_bytes()).unwrap();
            let bare = recorded.method() == Some("SUBSCRIBE") && recorded.header("Authorization").is_none();
            if n == 0 {
                play.client.take(line.at, Input::Watch(vec![watch.clone()]));
            } else if bare {
                play.client.nonce = None;
                let input = match recorded.header("Expires") {
                    Some("0") => Input::Watch(Vec::new()),
                    _ => Input::Refresh(WatchId(1)),
                };
                play.client.take(line.at, input);
            }
            play.drain(line.at, line);
            play.pair(&line.text);
        } else {
            let mut text = line.text.clone();
            for (theirs, ours) in &play.words {
                text = text.replace(theirs, ours);
            }
            let flow = match &play.client.link {
                Link::Up(up) => Some(up.flow),
                _ => None,
            };
            // The true length of what was rewritten: names of another length change the head only.
            let (host, port) = &line.peer;
            let input = Input::Received { flow, host, port: *port, transport: line.transport, bytes: text.as_bytes() };
            play.client.take(line.at, input);
            play.drain(line.at, line);
        }
    }
    play.played.more = play.said.iter().map(|text| kind(text)).collect();
    play.played
}

/// Recordings in which the machine says what the recorder said, and nothing else.
#[test]
fn a_real_kamailio_is_watched_as_recorded_over_every_transport() {
    for (name, bodies) in [
        ("inbound-answered/subscriber.jsonl", 4),
        ("inbound-answered/subscriber-tcp.jsonl", 4),
        ("inbound-answered/subscriber-tls.jsonl", 4),
        ("inbound-answered/subscriber-ws.jsonl", 4),
        ("inbound-answered/subscriber-wss.jsonl", 4),
        ("digest-sha256/subscriber.jsonl", 1),
        ("subscribe-refresh-unsubscribe/subscriber.jsonl", 5),
        ("rls-list/subscriber.jsonl", 0),
        ("reg-event/subscriber.jsonl", 0),
        ("switch-restart-subscription-kept/subscriber.jsonl", 7),
    ] {
        let all = play(name);
        assert_eq!(all.len(), 1, "{name}");
        let played = &all[0];
        assert!(played.differ.is_empty() && played.more.is_empty() && played.alarms.is_empty(), "{name}: {played:?}");
        assert!(played.bodies.len() >= bodies, "{name}: {played:?}");
    }
}

#[test]
fn a_wrong_password_is_tried_once() {
    let all = play("digest-challenge/subscriber.jsonl");
    let wrong = &all[0];
    assert!(wrong.differ.is_empty() && wrong.more.is_empty(), "{wrong:?}");
    assert_eq!(
        (&*wrong.alarms, &*wrong.unknown),
        ([Alarm::CredentialsRefused].as_slice(), [Why::Credentials].as_slice())
    );
    assert!(all[1].alarms.is_empty() && !all[1].bodies.is_empty(), "{:?}", all[1]);
}

#[test]
fn errors_of_the_subscription_are_taken_as_they_are_meant() {
    let all = play("subscribe-errors/subscriber.jsonl");
    let [brief, completion, sla, nobody, cut, accept, unknown, _fetch] = all.as_slice() else {
        panic!("{}", all.len())
    };
    // 423: the recorder stopped; we ask once more with the 30 s that were wanted.
    assert_eq!(brief.more, ["SUBSCRIBE sip:1001@pbx.lab, 3 SUBSCRIBE expires 30 signed"]);
    for refused in [completion, sla] {
        let offered = Alarm::PackageNotOffered { watch: WatchId(1), offered: "reg, dialog".into() };
        assert_eq!((&*refused.alarms, &*refused.more), ([offered].as_slice(), [].as_slice()));
        assert_eq!(refused.unknown, [Why::Refused(489, "Bad Event".into())]);
    }
    for good in [nobody, cut, accept] {
        assert!(good.differ.is_empty() && good.more.is_empty() && good.bodies == [0], "{good:?}");
    }
    // 481 at the refresh: unknown, and subscribed anew with another Call-ID.
    assert_eq!(unknown.unknown, [Why::Forgotten]);
    assert!(
        unknown.more.len() == 1 && unknown.more[0].starts_with("SUBSCRIBE sip:1001@pbx.lab, 1 SUBSCRIBE expires 120"),
        "{unknown:?}"
    );
}

#[test]
fn a_subscription_that_runs_out_is_had_anew() {
    // The recorder let it run out; we refresh in time, and nobody answers that in the recording.
    let all = play("subscription-expires/subscriber.jsonl");
    assert!(!all[0].differ.is_empty() || !all[0].more.is_empty(), "{all:?}");
    assert_eq!(all[0].bodies.len(), 1, "{all:?}");
}

#[test]
fn a_lost_notify_kills_the_subscription_and_the_refresh_finds_out() {
    let all = play("notify-lost-version-gap/subscriber.jsonl");
    assert!(all[0].differ.is_empty(), "{all:?}");
    assert_eq!((all[0].bodies.len(), &*all[0].unknown), (3, [Why::Forgotten].as_slice()));
    assert_eq!(all[0].more.len(), 1, "subscribed anew: {all:?}");
}

#[test]
fn a_notify_that_was_overtaken_is_answered_500_and_not_taken() {
    // The recorder answered 200; RFC 3261, 12.2.2 wants 500.
    let all = play("notify-lost-then-retransmitted/subscriber.jsonl");
    assert_eq!(all[0].differ, [("200, 3 NOTIFY".to_owned(), "500, 3 NOTIFY".to_owned())]);
    assert_eq!(all[0].bodies.len(), 3, "{all:?}");
}

#[test]
fn after_a_restart_the_watch_is_unknown_until_it_is_told_anew() {
    let all = play("switch-restart-subscription-lost/subscriber.jsonl");
    assert_eq!(all[0].unknown, [Why::Forgotten]);
    assert!(all[0].differ.is_empty() && all[1].differ.is_empty() && all[1].more.is_empty(), "{all:?}");
    for name in ["stream-connection-lost/subscriber.jsonl", "stream-connection-lost/subscriber-tcp.jsonl"] {
        for played in play(name) {
            assert!(played.differ.is_empty() && played.more.is_empty(), "{name}: {played:?}");
        }
    }
}
