//! The simulated switch, played whole: what its stories look like from the wire.

use std::collections::{BTreeMap, BTreeSet};

use crate::words::{Mono, Now, Wall};

use super::{
    story::Story,
    switch::{Output, Settings, Switch},
};

const START: i64 = 1_795_347_846_000;

fn at(ms: u64) -> Now {
    Now { wall: Wall(START + i64::try_from(ms).unwrap()), mono: Mono(ms * 1000) }
}

type Event = BTreeMap<String, String>;

/// A switch with one client, and all that the client was told.
struct Scene {
    switch: Switch,
    said: String,
    closed: bool,
    ms: u64,
}

impl Scene {
    fn new(seed: u64) -> Scene {
        let mut scene =
            Scene { switch: Switch::new(Settings::default(), seed, at(0)), said: String::new(), closed: false, ms: 0 };
        scene.switch.connected(1, at(0));
        scene.act("Action: Login\r\nActionID: 1\r\nUsername: linecard\r\nSecret: demo\r\nEvents: on\r\n\r\n");
        scene
    }

    fn act(&mut self, bytes: &str) {
        self.switch.received(1, bytes.as_bytes(), at(self.ms));
        self.drain();
    }

    fn drain(&mut self) -> Option<Mono> {
        let (outputs, next) = self.switch.poll(at(self.ms));
        for output in outputs {
            match output {
                Output::Send { bytes, .. } => self.said.push_str(std::str::from_utf8(&bytes).unwrap()),
                Output::Close { .. } => self.closed = true,
            }
        }
        next
    }

    /// Until nothing more is due.
    fn play_out(&mut self) {
        while let Some(next) = self.drain() {
            self.ms = self.ms.max(next.0.div_ceil(1000));
        }
    }

    fn messages(&self) -> Vec<Event> {
        let pairs = |block: &str| -> Event {
            block.lines().filter_map(|l| l.split_once(": ")).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
        };
        self.said.split("\r\n\r\n").map(pairs).filter(|m| !m.is_empty()).collect()
    }

    fn names(&self) -> Vec<String> {
        self.messages().iter().filter_map(|m| m.get("Event").cloned()).collect()
    }
}

#[test]
fn every_story_is_whole_every_channel_made_hangs_up_and_the_ledger_knows_the_outcome() {
    for seed in 1..20 {
        for story in Story::ALL {
            let mut scene = Scene::new(seed);
            let linkedid = scene.switch.play(story, "13800138000", None, at(0)).unwrap();
            scene.play_out();
            let (mut made, mut gone) = (BTreeSet::new(), BTreeSet::new());
            let (mut built, mut torn) = (BTreeSet::new(), BTreeSet::new());
            for message in scene.messages() {
                let id = |key: &str| message[key].clone();
                match message.get("Event").map(String::as_str) {
                    Some("Newchannel") => assert!(made.insert(id("Uniqueid"))),
                    Some("Hangup") => assert!(gone.insert(id("Uniqueid"))),
                    Some("BridgeCreate") => assert!(built.insert(id("BridgeUniqueid"))),
                    Some("BridgeDestroy") => assert!(torn.insert(id("BridgeUniqueid"))),
                    _ => {}
                }
            }
            assert_eq!(made, gone, "{story:?} {seed}");
            assert_eq!(built, torn, "{story:?} {seed}");
            let [truth] = scene.switch.ledger() else { panic!("one call was played") };
            assert_eq!(truth.linkedid, linkedid);
            assert_eq!(made, truth.uniqueids.iter().cloned().collect());
            let (outcome, agents) = match story {
                Story::Abandoned | Story::DirectMissed => ("abandoned", 0),
                Story::OutboundBusy => ("busy", 0),
                Story::BlindTransfer | Story::AttendedTransfer => ("answered", 2),
                _ => ("answered", 1),
            };
            assert_eq!((truth.outcome, truth.agents.len()), (Some(outcome), agents), "{story:?}");
            assert!(truth.ended.is_some() && truth.end_shown && !truth.cut);
            assert_eq!(scene.switch.free_seats().len(), 3);
        }
    }
}

/// The order of the recording `a-queue-answered`, without the events that say how phones and queues feel in between.
#[test]
fn an_answered_queue_call_tells_its_events_in_the_recorded_order() {
    let mut scene = Scene::new(1);
    scene.switch.play(Story::Answered, "13800138000", None, at(0)).unwrap();
    scene.play_out();
    let quiet = ["DeviceStateChange", "ExtensionStatus", "QueueMemberStatus", "Newexten", "VarSet", "FullyBooted"];
    let names: Vec<String> = scene.names().into_iter().filter(|n| !quiet.contains(&n.as_str())).collect();
    assert_eq!(
        names,
        [
            "Newchannel",
            "Newstate",
            "QueueCallerJoin",
            "MusicOnHoldStart",
            "Newchannel",
            "AgentCalled",
            "DialBegin",
            "NewConnectedLine",
            "Newstate",
            "NewConnectedLine",
            "DialState",
            "Newstate",
            "DialEnd",
            "MusicOnHoldStop",
            "QueueCallerLeave",
            "AgentConnect",
            "BridgeCreate",
            "BridgeEnter",
            "BridgeEnter",
            "HangupRequest",
            "BridgeLeave",
            "BridgeLeave",
            "AgentComplete",
            "SoftHangupRequest",
            "BridgeDestroy",
            "Hangup",
            "Hangup",
        ]
    );
}

#[test]
fn the_lists_show_what_is_up_and_end_with_complete() {
    let mut scene = Scene::new(3);
    let call = scene.switch.play(Story::Answered, "", None, at(0)).unwrap();
    scene.ms = 1_000;
    scene.drain();
    scene.said.clear();
    scene.act("Action: CoreShowChannels\r\nActionID: c\r\n\r\nAction: QueueStatus\r\nActionID: q\r\n\r\n");
    let messages = scene.messages();
    let of = |name: &str| messages.iter().filter(|m| m.get("Event").is_some_and(|e| e == name)).collect::<Vec<_>>();
    let channels = of("CoreShowChannel");
    assert_eq!(channels.len(), 2);
    assert!(channels.iter().all(|c| c["Linkedid"] == call && c["ActionID"] == "c"));
    assert_eq!(channels[0]["CallerIDNum"], "<unknown>");
    assert_eq!(channels[0]["ApplicationData"], "support,,,,120");
    assert_eq!(of("QueueEntry")[0]["Uniqueid"], call);
    assert_eq!(of("QueueMember").len(), 3);
    for (end, items) in [("CoreShowChannelsComplete", "2"), ("QueueStatusComplete", "5")] {
        assert_eq!((of(end)[0]["EventList"].as_str(), of(end)[0]["ListItems"].as_str()), ("Complete", items));
    }
}

#[test]
fn click_to_dial_takes_the_asked_for_channel_id_and_answers_at_the_agents_answer() {
    let originate = "Action: Originate\r\nActionID: t2\r\nChannel: PJSIP/1001\r\nContext: click2dial\r\nExten: 13800138000\r\n\
        Priority: 1\r\nCallerID: \"Click to dial\" <13800138000>\r\nAsync: true\r\nChannelId: lc-call-1\r\n\
        Variable: CTI_REF=order-4711\r\n\r\n";
    let mut scene = Scene::new(4);
    scene.act(originate);
    scene.play_out();
    let messages = scene.messages();
    let responses: Vec<&Event> =
        messages.iter().filter(|m| m.get("Event").is_some_and(|e| e == "OriginateResponse")).collect();
    assert_eq!((responses[0]["Response"].as_str(), responses[0]["Uniqueid"].as_str()), ("Success", "lc-call-1"));
    let answer = scene.said.find("Message: Originate successfully queued").unwrap();
    assert!(answer < scene.said.find("Event: Newchannel").unwrap());
    let truth = &scene.switch.ledger()[0];
    assert_eq!((truth.linkedid.as_str(), truth.direction, truth.outcome), ("lc-call-1", "outbound", Some("answered")));

    // A phone that is in a call refuses.
    let mut scene = Scene::new(4);
    scene.switch.play(Story::Answered, "13800138000", Some(0), at(0)).unwrap();
    scene.act(originate);
    scene.play_out();
    assert_eq!(scene.switch.ledger()[1].outcome, Some("agent-unreached"));
    assert!(scene.said.contains("Response: Failure"));
}

#[test]
fn a_restart_takes_every_call_without_a_hangup_and_ids_count_from_0() {
    let mut scene = Scene::new(5);
    let first = scene.switch.play(Story::Answered, "13800138000", None, at(0)).unwrap();
    assert_eq!(first, "1795347846.0");
    scene.ms = 6_000;
    scene.drain();
    scene.switch.restart(at(scene.ms));
    scene.play_out();
    assert!(scene.closed && !scene.names().contains(&"Hangup".to_owned()));
    let truth = scene.switch.ledger()[0].clone();
    assert!(truth.cut && truth.ended == Some(at(6_000).wall) && !truth.end_shown);
    let again = scene.switch.play(Story::Direct, "13800138000", None, at(7_000)).unwrap();
    assert_eq!(again, "1795347853.0");
}

#[test]
fn double_says_every_event_twice_and_delay_keeps_the_order() {
    let mut scene = Scene::new(6);
    scene.switch.double(true);
    scene.switch.play(Story::DirectMissed, "13800138000", None, at(0)).unwrap();
    scene.play_out();
    let count = |name: &str| scene.names().iter().filter(|n| *n == name).count();
    assert_eq!((count("Newchannel"), count("Hangup")), (4, 4));

    let mut scene = Scene::new(6);
    scene.switch.delay(500);
    scene.switch.play(Story::DirectMissed, "13800138000", None, at(0)).unwrap();
    scene.drain();
    assert!(!scene.said.contains("Newchannel"));
    scene.switch.delay(0);
    scene.play_out();
    assert!(scene.said.find("Newchannel").unwrap() < scene.said.find("Hangup").unwrap());
}

#[test]
fn a_mask_and_filters_narrow_what_a_client_hears() {
    let play = |setup: &str| {
        let mut scene = Scene::new(7);
        scene.act(setup);
        scene.said.clear();
        scene.switch.play(Story::Answered, "13800138000", None, at(0)).unwrap();
        scene.play_out();
        scene.names().into_iter().collect::<BTreeSet<_>>()
    };
    let only = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(
        play(
            "Action: Filter\r\nOperation: Add\r\nFilter: Event: Newchannel\r\n\r\nAction: Filter\r\nOperation: Add\r\nMatchCriteria: name(Hangup)\r\nFilter: \r\n\r\n"
        ),
        only(&["Newchannel", "Hangup"])
    );
    assert!(!play("Action: Filter\r\nOperation: Add\r\nFilter: !Event: VarSet\r\n\r\n").contains("VarSet"));
    assert!(!play("Action: Events\r\nEventMask: call\r\n\r\n").contains("AgentCalled"));
    assert_eq!(play("Action: Events\r\nEventMask: off\r\n\r\n"), only(&[]));
}

#[test]
fn a_wrong_secret_is_refused_and_the_link_closed() {
    let mut scene = Scene::new(8);
    scene.switch.connected(2, at(0));
    scene.said.clear();
    scene.switch.received(2, b"Action: Ping\r\n\r\nAction: Login\r\nUsername: linecard\r\nSecret: x\r\n\r\n", at(0));
    scene.drain();
    assert!(scene.said.contains("Permission denied") && scene.said.contains("Authentication failed"));
    assert!(scene.closed);
    assert_eq!(scene.switch.logged_in(), 1);
}

fn word<T: serde::Serialize>(value: T) -> String {
    serde_json::to_value(value).unwrap().as_str().unwrap_or_default().to_owned()
}

/// The fake and the book were written apart from each other, both after the recordings: where they agree, the fake is
/// shaped like the real thing.
#[test]
fn the_book_makes_of_every_story_what_the_ledger_knows() {
    for (seed, double) in (1..15).flat_map(|seed| [(seed, false), (seed, true)]) {
        for story in Story::ALL {
            let mut scene = Scene::new(seed);
            scene.switch.double(double);
            scene.switch.play(story, "13800138000", None, at(0)).unwrap();
            scene.play_out();
            let truth = &scene.switch.ledger()[0];
            let seats = ["1001", "1002", "1003"].map(str::to_owned);
            let settings = crate::daemon::replay::ReplaySettings::plain(&seats, "CN", Some("21"));
            let capture = crate::daemon::replay::Capture {
                feed: crate::calls::event::Feed::Ami,
                name: "the fake".into(),
                bytes: scene.said.clone().into_bytes(),
            };
            let records = crate::daemon::replay::run(settings, &[capture]).unwrap();
            let story = format!("{story:?}, seed {seed}, double {double}");
            let [record] = records.as_slice() else { panic!("{story}: {} records", records.len()) };
            assert_eq!(word(record.outcome), truth.outcome.unwrap(), "{story}");
            assert_eq!(word(record.direction), truth.direction, "{story}");
            assert_eq!(record.agents.clone().unwrap_or_default(), truth.agents, "{story}");
            assert_eq!(record.queue, truth.queue, "{story}");
            assert_eq!((word(record.end), word(record.quality)), ("seen".to_owned(), "exact".to_owned()), "{story}");
            assert!(record.ids.iter().any(|id| id.kind == "linkedid" && id.value == truth.linkedid), "{story}");
            let customer = record.customer.as_ref().and_then(|c| c.e164.clone());
            assert_eq!(customer.map(|c| c.expose().clone()).as_deref(), Some("+8613800138000"), "{story}");
        }
    }
}
