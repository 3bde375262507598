//! One story for each trap that the recordings of a real Asterisk 22 hold: what the switch says, and what the record or the pop says of it.
//!
//! [`TRAPS`] quotes each trap in the words of the notes taken from the recordings; the numbered ones are "order and naming quirks", the others what
//! the notes say of ids, of what only one feed tells, of a link that comes back, and of the limits of AMI. A story first shows that the recording
//! does say the odd thing, so that no story outlives its trap.

use std::{collections::BTreeMap, fs, path::Path};

use linecard::{
    calls::{
        Feed, Record, Said, What,
        event::{Caller, Leg, LegState},
        record::{End, EndedBy, Outcome, Quality, SegmentKind, SegmentOutcome},
    },
    daemon::{
        demo::events::State,
        replay::{self, Capture, ReplaySettings},
    },
};
use serde_json::Value;

use crate::histories::{
    pbx::{Line, Pbx, Room},
    watch::Watch,
};

type Trap = (&'static str, &'static str, fn());

const TRAPS: &[Trap] = &[
    ("1", "Answer() in the dialplan costs 0.5 s before the next step", answer_is_no_ivr),
    (
        "2",
        "No-answer in a queue: AgentRingNoAnswer comes BEFORE DialEnd, and DialEnd comes TWICE (NOANSWER, then CANCEL). Abandon: DialEnd CANCEL twice, no AgentRingNoAnswer, then QueueCallerAbandon, QueueCallerLeave",
        a_dial_ends_twice,
    ),
    ("3", "AgentRingNoAnswer.RingTime is milliseconds; AgentConnect.RingTime whole seconds", units_differ),
    (
        "4",
        "A 486 of an agent gives DialEnd NOANSWER; only the Hangup of that leg says Cause=17",
        a_refusal_looks_like_no_answer,
    ),
    ("5", "Queue timeout emits QueueCallerAbandon for a caller who is still on the line", an_overflow_is_no_abandon),
    (
        "6",
        "QueueCallerLeave comes before AgentConnect; BridgeEnter of the agent before that of the caller; both orders occur for BridgeLeave, Hangup and Cdr",
        orders_that_nobody_promises,
    ),
    (
        "7",
        "REFER: Unhold of the transferer without an earlier Hold. The agent is free at the transfer event: the Hangup can come seconds later",
        a_transferer_is_free_at_the_transfer,
    ),
    ("8", "After a transfer the second agent has no queue events at all", no_queue_events_after_a_transfer),
    (
        "9",
        "AgentComplete.TalkTime contains hold and consultation. Hold/Unhold name the channel that holds, MusicOnHoldStart the one that hears. MusicOnHoldStart also comes in queues",
        music_is_no_hold,
    ),
    (
        "10",
        "A DialEnd can name another DestChannel than its DialBegin, and a dialled leg can end with Cause=26 and no DialEnd at all",
        a_pickup_answers_another_dial,
    ),
    (
        "11",
        "Originate: OriginateResponse at the AGENT's answer. Failure: timeout without any DialEnd. The agent channel's CallerIDNum is the customer: take the agent from the channel name",
        an_originate_answers_early,
    ),
    (
        "12",
        "The DID is in Exten of the first Newchannel only. After Set(CALLERID(num)) the original caller is in the first Newchannel only",
        the_first_event_knows_the_did,
    ),
    (
        "13",
        "<unknown> is AMI's empty number (in QueueEntry.CallerIDName it is unknown, in ARI it is \"\")",
        unknown_is_no_number,
    ),
    (
        "14",
        "Withheld numbers: AMI and ARI give the full number and NO channel field says restricted",
        withheld_is_not_always_told,
    ),
    (
        "15",
        "MemberName differs between queues for the same Interface. Local members: the interface is Local/1001@ctx/n",
        a_member_s_name_is_nobody,
    ),
    ("16", "CDR: BillableSeconds count the wait; an abandoned call has BillableSeconds=4, NO ANSWER", cdr_is_no_truth),
    ("17", "TestEvent comes with read=all. Unknown events must be ignored silently", unknown_events_change_nothing),
    ("18", "The default is no Timestamp header. Keep the time of arrival", without_stamps_the_arrival_counts),
    ("ids: Uniqueid", "not a number: lc-call-1 is legal", an_id_is_no_number),
    ("ids: Uniqueid again", "The counter starts at 0 again after a restart", an_id_comes_again_after_a_restart),
    (
        "ids: Linkedid",
        "legs that were dialled separately start with a Linkedid of their own; it changes without an event; BridgeEnter can still carry the old one; the Hangup has the new one",
        a_linkedid_changes_silently,
    ),
    ("ids: Dest", "in Originate and ARI dials there is only Dest*, no Channel/Uniqueid", an_originate_has_no_dialler),
    (
        "ids: bridge",
        "new bridge after a blind transfer; at an attended transfer either party may be the one that moves",
        either_party_moves,
    ),
    ("ids: LocalBridge", "the only event that links ;1 and ;2 besides the name", local_halves_are_one_by_their_name),
    ("ids: protocol_id", "empty in ChannelCreated of the first moment, filled later", a_call_id_comes_later),
    ("ids: Call-ID", "not in any AMI event of the call", ami_knows_no_call_id),
    ("ids: plumbing", "Drop Local halves, CBAnn and feature-code calls", plumbing_is_nobody),
    ("feeds: queues", "ARI shows a queue call as channels with app_name Queue", ari_tells_a_queue_by_its_application),
    (
        "feeds: stop",
        "ChannelDestroyed events during core restart now came on ARI and not on AMI",
        a_stop_is_told_on_ari_alone,
    ),
    ("feeds: lag", "ARI and AMI tell the same a few milliseconds apart, either first", two_feeds_are_one_story),
    ("resync: answer", "Not recoverable: moment of the answer", an_adopted_call_has_no_answer),
    ("resync: hold", "Not recoverable: hold state", a_hold_across_a_cut_is_not_invented),
    (
        "resync: queue",
        "Not recoverable: queue of a talking call other than ApplicationData; a caller who is being served is not in QueueStatus",
        a_served_caller_is_not_waiting,
    ),
    ("resync: transfers", "Not recoverable: transfer history", a_transfer_in_the_dark_is_no_entry),
    ("resync: DID", "Not recoverable: DID after a Goto (Status has DNID)", the_did_is_in_status_alone),
    ("resync: events", "reading events all the while: they come in between", an_end_among_the_lists_counts),
    ("resync: crash", "After SIGKILL both get nothing but the TCP end", a_crash_says_nothing),
    ("resync: ARI", "ARI does not replay missed events", what_ari_missed_stays_missing),
    ("AMI: text", "Values may hold any text of the caller; header names repeat", a_caller_s_text_is_only_text),
    (
        "16.28",
        "the caller's Hangup in b has Cause=16 (22: 0) and comes before the agent leg's",
        version_16_says_it_otherwise,
    ),
];

#[test]
fn every_trap_of_the_notes_has_its_story() {
    for number in 1..=18 {
        assert_eq!(TRAPS.iter().filter(|(n, ..)| *n == number.to_string()).count(), 1, "trap {number}");
    }
    for part in ["ids", "feeds", "resync", "AMI", "16.28"] {
        assert!(TRAPS.iter().any(|(n, ..)| n.starts_with(part)), "{part}");
    }
    let mut wrong = Vec::new();
    for (number, sentence, story) in TRAPS {
        assert!(!sentence.is_empty());
        // Each under its own number, so that a failure says whose it is.
        if let Err(why) = std::panic::catch_unwind(story) {
            let why =
                why.downcast_ref::<String>().cloned().or_else(|| why.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            wrong.push(format!("trap {number}, \"{sentence}\": {}", why.unwrap_or_default()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

// ---------------------------------------------------------------------- the numbered ones

fn answer_is_no_ivr() {
    let said = ami("queue-answered");
    let answer = said.iter().position(|m| m["Event"] == "Newexten" && m["Application"] == "Answer").unwrap();
    let next = said[answer + 1..].iter().find(|m| m["Event"] == "Newexten").unwrap();
    let pause = stamp(next) - stamp(&said[answer]);
    assert!((0.4..0.8).contains(&pause), "{pause}");
    for feed in [&["ami"][..], &["ari"]] {
        let record = only("queue-answered", feed);
        assert!(!record.segments.iter().any(|s| s.kind == SegmentKind::Ivr));
        // The wait begins in the queue, not at the Answer().
        let queue = record.segments.iter().find(|s| s.kind == SegmentKind::Queue).unwrap();
        assert!(queue.from.unwrap().0 - record.started_at.unwrap().0 > 400);
        assert_eq!(record.wait_ms, Some(record.answered_at.unwrap().since(queue.from.unwrap())));
    }
}

fn a_dial_ends_twice() {
    let said = ami("rna-then-other");
    let first = said.iter().find(|m| m["Event"] == "AgentRingNoAnswer").unwrap()["DestUniqueid"].clone();
    let of: Vec<String> = said
        .iter()
        .filter(|m| {
            m.get("DestUniqueid") == Some(&first) && ["AgentRingNoAnswer", "DialEnd"].contains(&m["Event"].as_str())
        })
        .map(|m| format!("{} {}", m["Event"], m.get("DialStatus").map_or("", String::as_str)))
        .collect();
    assert_eq!(of, ["AgentRingNoAnswer ", "DialEnd NOANSWER", "DialEnd CANCEL"]);
    for feed in [&["ami"][..], &["ari"]] {
        assert_eq!(
            rings(&only("rna-then-other", feed)),
            [("1001", SegmentOutcome::NoAnswer), ("1002", SegmentOutcome::Answered)]
        );
    }
    assert_eq!(withdrawn("rna-then-other"), ["1001 NoAnswer"]);

    let said = ami("queue-abandoned");
    let names: Vec<&str> = said
        .iter()
        .map(|m| m["Event"].as_str())
        .filter(|e| ["AgentRingNoAnswer", "DialEnd", "QueueCallerAbandon", "QueueCallerLeave"].contains(e))
        .collect();
    assert_eq!(names, ["DialEnd", "DialEnd", "QueueCallerAbandon", "QueueCallerLeave"]);
    let record = only("queue-abandoned", &["ami"]);
    assert_eq!(record.outcome, Some(Outcome::Abandoned));
    assert_eq!(rings(&record), [("1001", SegmentOutcome::Cancelled)]);
    assert_eq!(withdrawn("queue-abandoned"), ["1001 CallerGone"]);
}

fn units_differ() {
    let said = ami("rna-then-other");
    let of = |event: &str| said.iter().find(|m| m["Event"] == event).unwrap()["RingTime"].parse::<u64>().unwrap();
    assert!((7_000..9_000).contains(&of("AgentRingNoAnswer")) && of("AgentConnect") <= 2);
    let record = only("rna-then-other", &["ami"]);
    let lengths: Vec<u64> = record
        .segments
        .iter()
        .filter(|s| s.kind == SegmentKind::Ring)
        .map(|s| s.to.unwrap().since(s.from.unwrap()))
        .collect();
    assert!((7_500..8_500).contains(&lengths[0]) && (1_200..1_800).contains(&lengths[1]), "{lengths:?}");
    assert_eq!(record.ring_ms, Some(lengths[1]));
}

fn a_refusal_looks_like_no_answer() {
    let said = ami("busy-overflow");
    let refused =
        said.iter().find(|m| m["Event"] == "AgentRingNoAnswer" && m["RingTime"] == "0").unwrap()["DestUniqueid"]
            .clone();
    let dial = said.iter().find(|m| m["Event"] == "DialEnd" && m["DestUniqueid"] == refused).unwrap();
    let hangup = said.iter().find(|m| m["Event"] == "Hangup" && m["Uniqueid"] == refused).unwrap();
    assert_eq!((dial["DialStatus"].as_str(), hangup["Cause"].as_str()), ("NOANSWER", "17"));
    let record = only("busy-overflow", &["ami"]);
    assert_eq!(rings(&record)[0], ("1001", SegmentOutcome::Busy));
}

fn an_overflow_is_no_abandon() {
    let said = ami("busy-overflow");
    let abandon = said.iter().position(|m| m["Event"] == "QueueCallerAbandon").unwrap();
    assert!(said[abandon..].iter().any(|m| m["Event"] == "AgentConnect"));
    let record = only("busy-overflow", &["ami"]);
    let queues: Vec<_> = record.segments.iter().filter(|s| s.kind == SegmentKind::Queue).collect();
    assert_eq!(queues[0].outcome, Some(SegmentOutcome::Overflow));
    assert_eq!(queues[1].outcome, Some(SegmentOutcome::Answered));
    assert_eq!((record.outcome, record.queue.as_deref()), (Some(Outcome::Answered), Some("sales")));
}

fn orders_that_nobody_promises() {
    let said = ami("queue-answered");
    let at = |event: &str| said.iter().position(|m| m["Event"] == event).unwrap();
    assert!(at("QueueCallerLeave") < at("AgentConnect"));
    let enters: Vec<&str> =
        said.iter().filter(|m| m["Event"] == "BridgeEnter").map(|m| m["Channel"].as_str()).collect();
    assert!(enters[0].starts_with("PJSIP/1001") && enters[1].starts_with("PJSIP/trunk"), "{enters:?}");
    // Turned round, each pair: the same record but for the stamps of the two.
    let told =
        |record: &Record| format!("{:?} {:?} {:?} {:?}", record.outcome, record.ended_by, record.agents, kinds(record));
    let once = only("queue-answered", &["ami"]);
    for event in ["BridgeEnter", "BridgeLeave", "Hangup"] {
        let turned = changed("queue-answered", |mut messages| {
            let places: Vec<usize> =
                (0..messages.len()).filter(|n| messages[*n].starts_with(&format!("Event: {event}\r"))).collect();
            messages.swap(places[0], places[1]);
            messages
        });
        assert_eq!(told(&turned), told(&once), "{event}");
    }
    let early = changed("queue-answered", |mut messages| {
        let cdrs: Vec<String> = messages.iter().filter(|m| m.starts_with("Event: Cdr\r")).cloned().collect();
        assert!(!cdrs.is_empty());
        messages.retain(|m| !m.starts_with("Event: Cdr\r"));
        messages.extend(cdrs);
        messages
    });
    assert_eq!(told(&early), told(&once));
}

fn a_transferer_is_free_at_the_transfer() {
    let said = ami("blind-transfer");
    let unhold = said.iter().position(|m| m["Event"] == "Unhold").unwrap();
    assert!(!said[..unhold].iter().any(|m| m["Event"] == "Hold"));
    for feed in [&["ami"][..], &["ari"]] {
        let record = only("blind-transfer", feed);
        assert_eq!(record.hold_ms, Some(0));
        assert!(!record.segments.iter().any(|s| s.kind == SegmentKind::Hold));
    }
    // In `park` the phone says BYE 2.6 s after its REFER.
    let said = ami("park");
    let (refer, bye) = (
        said.iter().find(|m| m["Event"] == "BlindTransfer").unwrap(),
        said.iter().find(|m| m["Event"] == "Hangup" && m["Channel"].starts_with("PJSIP/1001")).unwrap(),
    );
    assert!(stamp(bye) - stamp(refer) > 2.0);
    let freed = changes("park")
        .into_iter()
        .find(|(_, what)| matches!(what, What::Cleared { offer } if offer.agent.as_str() == "1001"));
    assert_eq!(freed.unwrap().0, "BlindTransfer");
}

fn no_queue_events_after_a_transfer() {
    let said = ami("blind-transfer");
    let agent =
        |m: &&BTreeMap<String, String>| m["Event"].starts_with("Agent") && m["DestChannel"].starts_with("PJSIP/1002");
    assert_eq!(said.iter().filter(agent).count(), 0);
    let record = only("blind-transfer", &["ami"]);
    let second = record.segments.iter().filter(|s| s.kind == SegmentKind::Ring).nth(1).unwrap();
    assert_eq!((second.agent.as_ref().unwrap().as_str(), second.queue.as_deref()), ("1002", None));
    assert_eq!((record.queue.as_deref(), record.final_agent.unwrap().as_str()), (Some("support"), "1002"));
}

fn music_is_no_hold() {
    let said = ami("attended-transfer");
    let complete = said.iter().find(|m| m["Event"] == "AgentComplete").unwrap();
    assert!(complete["TalkTime"].parse::<u64>().unwrap() >= 5);
    let (hold, music) =
        (find(&said, "Hold"), said.iter().filter(|m| m["Event"] == "MusicOnHoldStart").collect::<Vec<_>>());
    assert!(hold["Channel"].starts_with("PJSIP/1001"));
    assert!(
        music.len() == 2 && music.iter().all(|m| m["Channel"].starts_with("PJSIP/trunk")),
        "in the queue, and held"
    );
    let record = only("attended-transfer", &["ami"]);
    let talk = record.segments.iter().find(|s| s.kind == SegmentKind::Talk).unwrap();
    assert!((1_800..2_300).contains(&talk.to.unwrap().since(talk.from.unwrap())));
    assert!((3_000..3_600).contains(&record.hold_ms.unwrap()));
    // A call that was never held heard music in its queue.
    assert!(ami("queue-answered").iter().any(|m| m["Event"] == "MusicOnHoldStart"));
    assert_eq!(only("queue-answered", &["ami"]).hold_ms, Some(0));
}

fn a_pickup_answers_another_dial() {
    for folder in ["pickup", "pickup-local-member"] {
        let said = ami(folder);
        let begun =
            said.iter().find(|m| m["Event"] == "DialBegin" && m["DestChannel"].starts_with("PJSIP/1001")).unwrap();
        let ends: Vec<&str> = said
            .iter()
            .filter(|m| m["Event"] == "DialEnd" && m["DestChannel"].starts_with("PJSIP"))
            .map(|m| m["DestChannel"].as_str())
            .collect();
        assert!(ends.len() == 1 && ends[0].starts_with("PJSIP/1002"), "{ends:?}");
        let hangup = said.iter().find(|m| m["Event"] == "Hangup" && m["Uniqueid"] == begun["DestUniqueid"]).unwrap();
        assert_eq!(hangup["Cause"], "26");
        for feed in [&["ami"][..], &["ari"], &["ami", "ari"]] {
            let record = only(folder, feed);
            assert_eq!(rings(&record), [("1001", SegmentOutcome::Elsewhere)]);
            assert_eq!(record.agents.clone().unwrap()[0].as_str(), "1002");
        }
        assert_eq!(withdrawn(folder), ["1001 AnsweredElsewhere"]);
        let established: Vec<String> = changes(folder)
            .into_iter()
            .filter_map(|(_, what)| match what {
                What::Established(offer) => Some(format!("{} {:?}", offer.agent, offer.role)),
                _ => None,
            })
            .collect();
        assert_eq!(established, ["1002 Inbound"]);
    }
}

fn an_originate_answers_early() {
    let said = ami("click-to-dial-ami");
    let answer = said.iter().position(|m| m["Event"] == "OriginateResponse").unwrap();
    let far =
        said.iter().position(|m| m["Event"] == "DialBegin" && m["DestChannel"].starts_with("PJSIP/trunk")).unwrap();
    assert!(answer < far);
    let own = said
        .iter()
        .rfind(|m| m["Event"] == "NewCallerid" && m["Uniqueid"] == "lc-call-1" && m["CallerIDNum"] == "13800138000");
    assert!(own.is_some_and(|m| m["Channel"].starts_with("PJSIP/1001")), "the agent's leg says the customer's number");
    let record = only("click-to-dial-ami", &["ami"]);
    assert_eq!(record.agents.clone().unwrap()[0].as_str(), "1001");
    assert_eq!(customer(&record).as_deref(), Some("13800138000"));
    // The answer is the customer's, two seconds and more after the agent's.
    let up = stamp(&said[answer]);
    assert!(record.answered_at.unwrap().0 as f64 / 1000.0 - up > 1.5);

    let said = ami("click-to-dial-no-answer");
    assert!(!said.iter().any(|m| m["Event"] == "DialEnd" && m["DestUniqueid"] == "lc-call-3"));
    let records = records("click-to-dial-no-answer", &["ami"]);
    let told: Vec<_> = records.iter().map(|r| (r.outcome, r.ended_by)).collect();
    let unreached = Some(Outcome::AgentUnreached);
    assert_eq!(told, [(unreached, Some(EndedBy::Agent)), (unreached, Some(EndedBy::Switch))]);
}

fn the_first_event_knows_the_did() {
    let said = ami("direct-inbound");
    let extens: Vec<&str> = said
        .iter()
        .filter(|m| m["Event"] == "Newexten" || m["Event"] == "Newchannel")
        .filter(|m| m["Channel"].starts_with("PJSIP/trunk"))
        .map(|m| m["Exten"].as_str())
        .collect();
    assert!(extens[0] == "02161234567" && extens.last() == Some(&"1001"), "{extens:?}");
    for feed in [&["ami"][..], &["ari"]] {
        let dialled = only("direct-inbound", feed).dialled.unwrap();
        assert_eq!(dialled.raw.unwrap().expose(), "02161234567");
    }
    // The dialplan sets another number on the agent's leg.
    let said = ami("outbound");
    assert_eq!(said.iter().find(|m| m["Event"] == "Newchannel").unwrap()["CallerIDNum"], "1001");
    assert_eq!(find(&said, "NewCallerid")["CallerIDNum"], "02161234500");
    let record = only("outbound", &["ami"]);
    assert_eq!(record.presented.unwrap().raw.unwrap().expose(), "02161234500");
    assert_eq!(record.agents.unwrap()[0].as_str(), "1001");
}

fn unknown_is_no_number() {
    let said = ami("anonymous");
    assert!(said.iter().any(|m| m["Event"] == "Newchannel" && m["CallerIDNum"] == "<unknown>"));
    for feed in [&["ami"][..], &["ari"]] {
        let records = records("anonymous", feed);
        assert_eq!(customer(&records[1]), None);
    }
    assert!(find(&ami("queue-answered"), "Newchannel")["CallerIDName"] == "<unknown>");
    assert!(only("queue-answered", &["ami"]).customer.unwrap().name.is_none());
    let entry = ami_file("resync-midcall", "ami-2.txt").into_iter().find(|m| m["Event"] == "QueueEntry").unwrap();
    assert_eq!(entry["CallerIDName"], "unknown");
    let adopted = replay::run(settings(), &[capture("resync-midcall", "ami-2.txt", Feed::Ami)]).unwrap();
    assert!(adopted.iter().all(|r| r.customer.as_ref().is_none_or(|c| c.name.is_none())));
}

fn withheld_is_not_always_told() {
    let said = ami("anonymous");
    let first = find(&said, "Newchannel");
    assert_eq!(first["CallerIDNum"], "+8613800138000", "the caller withheld it");
    assert!(
        !said.iter().any(|m| m.get("CID-CallingPres").is_some_and(|p| !p.starts_with('0'))
            && m["Channel"].starts_with("PJSIP/trunk"))
    );
    let record = &records("anonymous", &["ami"])[0];
    assert_eq!(record.customer.as_ref().unwrap().withheld, None, "absent: this feed cannot tell");
    // Where a NewCallerid tells, the number is nowhere.
    let mut pbx = Pbx::new(1);
    let trunk = pbx.make("PJSIP/trunk", None, State::Ring, "13800138000", "4008001234");
    let mut watch = Watch::new();
    watch.hear(Feed::Ami, &pbx.lines[0]);
    let c = &pbx.channels[trunk];
    let text = format!(
        "Event: NewCallerid\r\nChannel: {}\r\nUniqueid: {}\r\nLinkedid: {}\r\nCallerIDNum: 13800138000\r\nCID-CallingPres: 32 (Presentation Prohibited, Not Screened)\r\n\r\n",
        c.name, c.uniqueid, c.linkedid
    );
    watch.hear(Feed::Ami, &Line { ms: 10, ami: text, ari: String::new() });
    watch.end();
    let record = watch.records.into_values().next().unwrap();
    assert_eq!(record.customer.as_ref().unwrap().withheld, Some(true));
    assert!(!serde_json::to_string(&record).unwrap().contains("13800138000"));
}

fn a_member_s_name_is_nobody() {
    let said = ami("queue-members");
    let mut names: Vec<&str> = said
        .iter()
        .filter(|m| m.get("Interface").is_some_and(|i| i == "PJSIP/1002"))
        .filter_map(|m| m.get("MemberName").map(String::as_str))
        .collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names, ["Agent 1002", "Agent Wang"], "one phone, two queues");
    // Who it is comes from the channel, through a Local member too.
    let said = ami("sales-local");
    assert!(find(&said, "AgentCalled")["Interface"].starts_with("Local/1001@"));
    for folder in ["sales-local", "queue-answered"] {
        assert_eq!(only(folder, &["ami"]).agents.unwrap()[0].as_str(), "1001");
    }
}

fn cdr_is_no_truth() {
    let said = ami("queue-abandoned");
    let cdr = find(&said, "Cdr");
    assert_eq!((cdr["BillableSeconds"].as_str(), cdr["Disposition"].as_str()), ("4", "NO ANSWER"));
    let record = only("queue-abandoned", &["ami"]);
    assert_eq!((record.talk_ms, record.outcome), (Some(0), Some(Outcome::Abandoned)));
    same_without("queue-abandoned", "Cdr");
}

fn unknown_events_change_nothing() {
    assert!(ami("queue-answered").iter().filter(|m| m["Event"] == "TestEvent").count() > 5);
    same_without("queue-answered", "TestEvent");
    let strange = changed("queue-answered", |messages| {
        messages
            .into_iter()
            .flat_map(|m| [m, "Event: NobodyKnows\r\nChannel: PJSIP/trunk-00000000\r\nUniqueid: 1\r\n\r\n".into()])
            .collect()
    });
    assert_eq!(essence(&strange), essence(&only("queue-answered", &["ami"])));
}

fn without_stamps_the_arrival_counts() {
    let mut settings = settings();
    let bare = without_stamps("queue-answered");
    let times = |records: Vec<Record>| {
        records.into_iter().map(|r| (r.started_at.is_some(), r.talk_ms.is_some())).collect::<Vec<_>>()
    };
    assert_eq!(
        times(replay::run(settings.clone(), std::slice::from_ref(&bare)).unwrap()),
        [(false, false)],
        "a replay invents none"
    );
    settings.book.arrival_times = true;
    assert_eq!(times(replay::run(settings, &[bare]).unwrap()), [(true, true)]);
}

// ---------------------------------------------------------------------- ids

fn an_id_is_no_number() {
    assert!(ami("click-to-dial-ami").iter().any(|m| m.get("Uniqueid").is_some_and(|id| id == "lc-call-1")));
    for feed in [&["ami"][..], &["ami", "ari"]] {
        let record = only("click-to-dial-ami", feed);
        assert!(record.ids.iter().any(|id| id.kind == "uniqueid" && id.value == "lc-call-1"));
    }
}

fn an_id_comes_again_after_a_restart() {
    let mut watch = Watch::new();
    let mut first = Pbx::new(1);
    let trunk = first.make("PJSIP/trunk", None, State::Ring, "13800138000", "4008001234");
    let id = first.channels[trunk].uniqueid.clone();
    first.lines.iter().for_each(|line| watch.hear(Feed::Ami, line));
    watch.tell(Feed::Ami, Said::LinkLost { feed: Feed::Ami });
    // The same second, another process: it counts from 0.
    let mut second = Pbx::new(1);
    second.at(900);
    watch.take(Feed::Ami, second.snapshot(Feed::Ami));
    let trunk = second.make("PJSIP/trunk", None, State::Ring, "13900139000", "4008005678");
    assert_eq!(second.channels[trunk].uniqueid, id);
    second.asks(trunk, 16);
    second.hangup(trunk, 16);
    second.lines.iter().for_each(|line| watch.hear(Feed::Ami, line));
    watch.end();
    let told: Vec<_> = watch.records.values().map(|r| (r.end, r.quality, customer(r).unwrap())).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.contains(&(End::Lost, Quality::Estimated, "13800138000".into())), "{told:?}");
    assert!(told.contains(&(End::Seen, Quality::Exact, "13900139000".into())), "{told:?}");
}

fn a_linkedid_changes_silently() {
    let said = ami("pickup");
    let of = |event: &str| {
        let mine = |m: &&BTreeMap<String, String>| {
            m["Event"] == event && m.get("Channel").is_some_and(|c| c.starts_with("PJSIP/1002"))
        };
        said.iter().find(mine).unwrap()["Linkedid"].clone()
    };
    let caller = find(&said, "Newchannel")["Linkedid"].clone();
    assert!(of("Newchannel") != caller && of("BridgeEnter") != caller && of("Hangup") == caller);
    for feed in [&["ami"][..], &["ari"], &["ami", "ari"]] {
        assert_eq!(records("pickup", feed).len(), 1);
        assert_eq!(records("attended-transfer", feed).len(), 1);
    }
    assert!(ari("pickup").iter().all(|e| e["channel"]["linkedid"].is_null()));
}

fn an_originate_has_no_dialler() {
    let said = ami("click-to-dial-ami");
    let begin = find(&said, "DialBegin");
    assert!(!begin.contains_key("Uniqueid") && begin["DestUniqueid"] == "lc-call-1");
    for folder in ["click-to-dial-ami", "click-to-dial-ari", "click-to-dial-ari-app"] {
        for feed in [&["ami"][..], &["ari"]] {
            let record = only(folder, feed);
            assert_eq!(serde_json::to_value(record.direction).unwrap(), "outbound", "{folder}");
            assert_eq!(record.agents.unwrap()[0].as_str(), "1001", "{folder}");
        }
    }
}

fn either_party_moves() {
    let end = |folder: &str| {
        let said = ami(folder);
        let transfer = find(&said, "AttendedTransfer").clone();
        (
            transfer["DestBridgeUniqueid"] == transfer["OrigBridgeUniqueid"],
            transfer["DestBridgeUniqueid"] == transfer["SecondBridgeUniqueid"],
        )
    };
    assert_eq!(end("attended-transfer"), (true, false), "the colleague comes to the caller");
    assert_eq!(end("attended-transfer-direct"), (false, true), "the caller goes to the colleague");
    for folder in ["attended-transfer", "attended-transfer-direct"] {
        for feed in [&["ami"][..], &["ari"]] {
            let record = only(folder, feed);
            let t = &record.transfers.as_ref().unwrap()[0];
            assert_eq!((t.from.as_str(), t.to.expose().as_str()), ("1001", "1002"), "{folder}");
            let talks = record.segments.iter().filter(|s| s.kind == SegmentKind::Talk).count();
            assert_eq!(talks, 2, "{folder}: each had the customer once");
        }
    }
    let said = ami("blind-transfer");
    let bridges: std::collections::BTreeSet<&str> =
        said.iter().filter(|m| m["Event"] == "BridgeEnter").map(|m| m["BridgeUniqueid"].as_str()).collect();
    assert_eq!(bridges.len(), 2);
    assert_eq!(records("blind-transfer", &["ami"]).len(), 1);
}

fn local_halves_are_one_by_their_name() {
    assert!(ami("sales-local").iter().any(|m| m["Event"] == "LocalBridge"));
    same_without("sales-local", "LocalBridge");
    // ARI has no such event at all.
    assert_eq!(only("sales-local", &["ari"]).agents.unwrap()[0].as_str(), "1001");
}

fn a_call_id_comes_later() {
    let created = ari("queue-answered").into_iter().find(|e| e["type"] == "ChannelCreated").unwrap();
    assert_eq!(created["channel"]["protocol_id"], "");
    let record = only("queue-answered", &["ari"]);
    assert_eq!(record.ids.iter().filter(|id| id.kind == "sip-call-id").count(), 2);
}

fn ami_knows_no_call_id() {
    assert!(only("queue-answered", &["ami"]).ids.iter().all(|id| id.kind != "sip-call-id"));
    assert!(only("queue-answered", &["ari"]).ids.iter().all(|id| id.kind != "linkedid"));
    let both = only("queue-answered", &["ami", "ari"]);
    assert!(["linkedid", "sip-call-id"].iter().all(|kind| both.ids.iter().any(|id| id.kind == *kind)));
}

fn plumbing_is_nobody() {
    assert_eq!(records("queue-members", &["ami"]).len(), 0, "feature codes");
    let announcer = |m: &BTreeMap<String, String>| m.values().any(|v| v.contains("CBAnn/8001"));
    assert!(ami("conference").iter().any(announcer));
    for folder in ["conference", "sales-local"] {
        for record in records(folder, &["ami"]) {
            assert!(
                record.parties.iter().all(|p| p.device.as_ref().is_none_or(|d| d.starts_with("PJSIP/"))),
                "{folder}"
            );
        }
    }
}

// ---------------------------------------------------------------------- two feeds

fn ari_tells_a_queue_by_its_application() {
    let said = ari("queue-answered");
    assert!(
        said.iter()
            .any(|e| e["dialplan_app"] == "Queue" && e["dialplan_app_data"].as_str().unwrap().starts_with("support,"))
    );
    assert!(!said.iter().any(|e| e["type"].as_str().is_some_and(|t| t.starts_with("Queue"))));
    let record = only("queue-answered", &["ari"]);
    assert_eq!(record.queue.as_deref(), Some("support"));
    // After a blind transfer ARI says the old queue once more.
    let record = only("blind-transfer", &["ari"]);
    assert_eq!(record.segments.iter().filter(|s| s.kind == SegmentKind::Queue).count(), 1);
}

fn a_stop_is_told_on_ari_alone() {
    assert!(!ami("restart").iter().any(|m| m["Event"] == "Hangup"));
    assert!(ari("restart").iter().any(|e| e["type"] == "ChannelDestroyed"));
    let end = |feeds: &[&str]| {
        let record = only("restart", feeds);
        (record.end, record.ended_by)
    };
    assert_eq!(end(&["ami"]), (End::Lost, None));
    assert_eq!(end(&["ari"]), (End::Seen, Some(EndedBy::Switch)));
    assert_eq!(end(&["ami", "ari"]), (End::Seen, Some(EndedBy::Switch)), "lost on one feed, ended on the other");
}

fn two_feeds_are_one_story() {
    // Either may be first: AMI's lines with ARI's just before, and with ARI's just behind.
    let (pbx, _, _) = answered_call();
    for order in [[Feed::Ami, Feed::Ari], [Feed::Ari, Feed::Ami]] {
        let mut watch = Watch::new();
        for line in &pbx.lines {
            order.iter().for_each(|feed| watch.hear(*feed, line));
        }
        let record = watch.records.values().next().unwrap();
        assert_eq!((watch.records.len(), record.quality), (1, Quality::Exact));
        let offered = watch.said.iter().filter(|(_, what)| matches!(what, What::Offered(_))).count();
        assert_eq!(offered, 1, "one pop");
    }
}

// ---------------------------------------------------------------------- a link that comes back

fn an_adopted_call_has_no_answer() {
    let records = replay::run(settings(), &[capture("resync-midcall", "ami-2.txt", Feed::Ami)]).unwrap();
    let talking = records.iter().find(|r| r.agents.as_ref().is_some_and(|a| !a.is_empty())).unwrap();
    assert_eq!((talking.outcome, talking.quality), (Some(Outcome::Answered), Quality::Estimated));
    let unknown = (talking.answered_at, talking.talk_ms, talking.hold_ms, talking.wait_ms, talking.ring_ms);
    assert_eq!(unknown, (None, None, None, None, None));
    assert!(talking.started_at.is_some(), "the switch says when it made the channel");
}

fn a_hold_across_a_cut_is_not_invented() {
    let (mut pbx, trunk, phone) = answered_call_open();
    let talk = pbx.lines.len();
    pbx.at(8_000);
    pbx.hold(phone);
    pbx.at(9_000);
    let snapshot = pbx.snapshot(Feed::Ami);
    let held = pbx.lines.len();
    pbx.at(12_000);
    pbx.asks(trunk, 16);
    pbx.hangup(trunk, 16);
    pbx.hangup(phone, 16);
    // The hold fell into the hole.
    let mut watch = Watch::new();
    pbx.lines[..talk].iter().for_each(|line| watch.hear(Feed::Ami, line));
    watch.tell(Feed::Ami, Said::LinkLost { feed: Feed::Ami });
    watch.take(Feed::Ami, snapshot);
    pbx.lines[held..].iter().for_each(|line| watch.hear(Feed::Ami, line));
    let record = watch.records.values().next().unwrap();
    assert!(!record.segments.iter().any(|s| s.kind == SegmentKind::Hold));
    assert_eq!((record.quality, record.outcome), (Quality::Estimated, Some(Outcome::Answered)));
}

fn a_served_caller_is_not_waiting() {
    let lists = ami_file("resync-midcall", "ami-2.txt");
    let waiting: Vec<&str> =
        lists.iter().filter(|m| m["Event"] == "QueueEntry").map(|m| m["Uniqueid"].as_str()).collect();
    let served = lists
        .iter()
        .find(|m| m["Event"] == "CoreShowChannel" && !m["BridgeId"].is_empty() && m["Application"] == "Queue")
        .unwrap();
    assert!(!waiting.contains(&served["Uniqueid"].as_str()) && served["ApplicationData"].starts_with("support,"));
    let records = replay::run(settings(), &[capture("resync-midcall", "ami-2.txt", Feed::Ami)]).unwrap();
    let talking = records.iter().find(|r| r.outcome == Some(Outcome::Answered)).unwrap();
    assert_eq!(talking.queue.as_deref(), Some("support"));
}

fn a_transfer_in_the_dark_is_no_entry() {
    let (mut pbx, trunk, phone) = answered_call_open();
    let talk = pbx.lines.len();
    pbx.at(8_000);
    pbx.blind_transfer(phone, trunk, "1002");
    pbx.leave(trunk);
    pbx.hangup(phone, 16);
    let second = pbx.make("PJSIP/1002", Some(trunk), State::Down, "1002", "s");
    pbx.run(second, "AppDial", "(Outgoing Line)");
    pbx.state(second, State::Up);
    pbx.connect(second, trunk);
    let snapshot = pbx.snapshot(Feed::Ami);
    let back = pbx.lines.len();
    pbx.at(12_000);
    pbx.asks(trunk, 16);
    pbx.hangup(trunk, 16);
    pbx.hangup(second, 16);
    let mut watch = Watch::new();
    pbx.lines[..talk].iter().for_each(|line| watch.hear(Feed::Ami, line));
    watch.tell(Feed::Ami, Said::LinkLost { feed: Feed::Ami });
    watch.take(Feed::Ami, snapshot);
    pbx.lines[back..].iter().for_each(|line| watch.hear(Feed::Ami, line));
    let record = watch.records.values().next().unwrap();
    assert_eq!(record.transfers.as_deref(), Some(&[][..]));
    let agents: Vec<&str> = record.agents.iter().flatten().map(|a| a.as_str()).collect();
    assert_eq!(agents, ["1001", "1002"], "whom the list shows with the customer had the customer");
    assert_eq!(record.quality, Quality::Estimated);
}

fn the_did_is_in_status_alone() {
    let lists = ami_file("resync-midcall", "ami-2.txt");
    let status = lists.iter().find(|m| m["Event"] == "Status" && m["DNID"] == "4008005678").unwrap();
    assert!(status["Channel"].starts_with("PJSIP/trunk"));
    let records = replay::run(settings(), &[capture("resync-midcall", "ami-2.txt", Feed::Ami)]).unwrap();
    assert!(records.iter().all(|r| r.dialled.as_ref().unwrap().raw.as_ref().unwrap().expose() == "4008005678"));
}

fn an_end_among_the_lists_counts() {
    use linecard::{
        switches::asterisk::{ami::Framer, snapshot::AmiLists},
        words::{Mono, Now, Wall},
    };
    let mut lists = AmiLists::new(Now { wall: Wall(0), mono: Mono(0) });
    let text = "Event: CoreShowChannel\r\nChannel: PJSIP/trunk-1\r\nUniqueid: 1795347846.0\r\nChannelState: 6\r\n\r\n\
        Event: Hangup\r\nUniqueid: 1795347846.0\r\n\r\nEvent: CoreShowChannelsComplete\r\nEventList: Complete\r\n\r\n";
    let mut framer = Framer::new();
    framer.push(text.as_bytes());
    let _ = lists.item(0, &framer.take().unwrap().unwrap());
    lists.meanwhile(&framer.take().unwrap().unwrap());
    let _ = lists.item(0, &framer.take().unwrap().unwrap());
    assert!(lists.finish().legs.is_empty());
}

fn a_crash_says_nothing() {
    let last = ami("crash");
    assert!(!last.iter().any(|m| m["Event"] == "Hangup" || m["Event"] == "Shutdown"));
    assert!(!ari("crash").iter().any(|e| e["type"] == "ChannelDestroyed"));
    for feed in [&["ami"][..], &["ari"]] {
        let record = only("crash", feed);
        assert_eq!(
            (record.end, record.ended_by, record.cause, record.quality),
            (End::Lost, None, None, Quality::Estimated)
        );
        assert_eq!(record.outcome, Some(Outcome::Answered), "what was known stays");
    }
}

fn what_ari_missed_stays_missing() {
    let (pbx, _, _) = answered_call();
    let ring = pbx.lines.iter().position(|l| l.ami.contains("Event: AgentConnect")).unwrap();
    let mut watch = Watch::new();
    pbx.lines[..ring - 4].iter().for_each(|line| watch.hear(Feed::Ari, line));
    watch.tell(Feed::Ari, Said::LinkLost { feed: Feed::Ari });
    let mut empty = Pbx::new(1);
    empty.at(60_000);
    watch.take(Feed::Ari, empty.snapshot(Feed::Ari));
    let record = watch.records.values().next().unwrap();
    assert_eq!((record.end, record.outcome, record.quality), (End::Lost, None, Quality::Estimated));
}

// ---------------------------------------------------------------------- others

fn a_caller_s_text_is_only_text() {
    use linecard::switches::asterisk::{ami::Framer, translate_ami::translate};
    let name = "Event: Hangup Uniqueid: 7";
    let text = format!(
        "Event: Newchannel\r\nChannel: PJSIP/trunk-1\r\nChannelState: 4\r\nCallerIDNum: 1\r\nCallerIDName: {name}\r\nExten: 9\r\nUniqueid: 5.0\r\n\
         ChanVariable: A=1\r\nChanVariable: Uniqueid=6.0\r\n\r\n"
    );
    let mut framer = Framer::new();
    framer.push(text.as_bytes());
    let said = translate(&framer.take().unwrap().unwrap()).unwrap().said;
    let leg = Leg { id: "5.0".into(), name: "PJSIP/trunk-1".into(), ..Leg::default() };
    let caller = Caller { number: Some("1".into()), name: Some(name.into()) };
    assert_eq!(
        said,
        Said::NewLeg {
            leg,
            state: LegState::Calling,
            caller,
            dialled: Some("9".into()),
            places: Vec::new(),
            created: None
        }
    );
    assert!(framer.take().unwrap().is_none());
}

fn version_16_says_it_otherwise() {
    let cause = |folder: &str| {
        let said = ami(folder);
        let ends: Vec<(String, String)> = said
            .iter()
            .filter(|m| m["Event"] == "Hangup")
            .map(|m| (m["Channel"].split('-').next().unwrap().to_owned(), m["Cause"].clone()))
            .collect();
        ends
    };
    assert_eq!(cause("queue-abandoned-16")[0], ("PJSIP/trunk".into(), "16".into()));
    assert_eq!(cause("queue-abandoned")[0].0, "PJSIP/1001");
    let told = |folder: &str| {
        let record = only(folder, &["ami"]);
        format!("{:?} {:?} {:?} {:?}", record.outcome, record.ended_by, record.queue, kinds(&record))
    };
    assert_eq!(told("queue-abandoned-16"), told("queue-abandoned"));
}

// ---------------------------------------------------------------------- how they are read

fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-fixtures/asterisk").join(name)
}

fn capture(name: &str, file: &str, feed: Feed) -> Capture {
    Capture { feed, name: file.to_owned(), bytes: fs::read(folder(name).join(file)).unwrap() }
}

fn settings() -> ReplaySettings {
    ReplaySettings::plain(&["1001", "1002", "1003"].map(str::to_owned), "CN", Some("21"))
}

fn records(name: &str, feeds: &[&str]) -> Vec<Record> {
    let captures: Vec<Capture> = feeds
        .iter()
        .map(|feed| match *feed {
            "ari" => capture(name, "ari.jsonl", Feed::Ari),
            _ => capture(name, "ami.txt", Feed::Ami),
        })
        .collect();
    let mut records = replay::run(settings(), &captures).unwrap();
    records.sort_by_key(|r| r.started_at);
    records
}

fn only(name: &str, feeds: &[&str]) -> Record {
    let mut records = records(name, feeds);
    assert_eq!(records.len(), 1, "{name} {feeds:?}");
    records.remove(0)
}

fn essence(record: &Record) -> String {
    serde_json::to_string(record).unwrap()
}

fn kinds(record: &Record) -> Vec<(SegmentKind, Option<SegmentOutcome>)> {
    record.segments.iter().map(|s| (s.kind, s.outcome)).collect()
}

fn rings(record: &Record) -> Vec<(&str, SegmentOutcome)> {
    let rings = record.segments.iter().filter(|s| s.kind == SegmentKind::Ring);
    rings.map(|s| (s.agent.as_ref().map_or("", |a| a.as_str()), s.outcome.unwrap())).collect()
}

fn customer(record: &Record) -> Option<String> {
    Some(record.customer.as_ref()?.raw.as_ref()?.expose().clone())
}

/// The events of a recording, first values of their headers.
fn ami(name: &str) -> Vec<BTreeMap<String, String>> {
    ami_file(name, "ami.txt")
}

fn ami_file(name: &str, file: &str) -> Vec<BTreeMap<String, String>> {
    messages(name, file)
        .iter()
        .map(|message| {
            let mut headers = BTreeMap::new();
            for (key, value) in message.lines().filter_map(|l| l.split_once(':')) {
                headers.entry(key.to_owned()).or_insert_with(|| value.trim().to_owned());
            }
            headers
        })
        .filter(|headers| headers.contains_key("Event"))
        .collect()
}

fn messages(name: &str, file: &str) -> Vec<String> {
    let bytes = fs::read(folder(name).join(file)).unwrap();
    String::from_utf8_lossy(&bytes).split_inclusive("\r\n\r\n").map(str::to_owned).collect()
}

fn ari(name: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder(name).join("ari.jsonl")).unwrap();
    text.lines().filter(|l| !l.trim().is_empty()).map(|l| serde_json::from_str(l).unwrap()).collect()
}

fn find<'a>(said: &'a [BTreeMap<String, String>], event: &str) -> &'a BTreeMap<String, String> {
    said.iter().find(|m| m["Event"] == event).unwrap()
}

fn stamp(message: &BTreeMap<String, String>) -> f64 {
    message["Timestamp"].parse().unwrap()
}

/// A recording's messages changed, and the record that comes of it.
fn changed(name: &str, change: impl FnOnce(Vec<String>) -> Vec<String>) -> Record {
    let bytes = change(messages(name, "ami.txt")).concat().into_bytes();
    let mut records = replay::run(settings(), &[Capture { feed: Feed::Ami, name: name.to_owned(), bytes }]).unwrap();
    assert_eq!(records.len(), 1);
    records.remove(0)
}

fn same_without(name: &str, event: &str) {
    let line = format!("Event: {event}\r");
    let less = changed(name, |mut messages| {
        messages.retain(|m| !m.starts_with(&line));
        messages
    });
    assert_eq!(essence(&less), essence(&only(name, &["ami"])));
}

fn without_stamps(name: &str) -> Capture {
    let lines = String::from_utf8_lossy(&fs::read(folder(name).join("ami.txt")).unwrap()).into_owned();
    let bare: String = lines.split_inclusive('\n').filter(|l| !l.starts_with("Timestamp: ")).collect();
    Capture { feed: Feed::Ami, name: name.to_owned(), bytes: bare.into_bytes() }
}

/// What the book concludes of a recording, each with the event after which it did.
fn changes(name: &str) -> Vec<(String, What)> {
    let mut watch = Watch::new();
    let mut all = Vec::new();
    for message in messages(name, "ami.txt").into_iter().filter(|m| m.starts_with("Event: ")) {
        let event = message.lines().next().unwrap().trim_start_matches("Event: ").to_owned();
        let before = watch.said.len();
        watch.hear(Feed::Ami, &Line { ms: 0, ami: message, ari: String::new() });
        all.extend(watch.said[before..].iter().map(|(_, what)| (event.clone(), what.clone())));
    }
    all
}

fn withdrawn(name: &str) -> Vec<String> {
    let taken = |(_, what): (String, What)| match what {
        What::Withdrawn { offer, reason, .. } => Some(format!("{} {reason:?}", offer.agent)),
        _ => None,
    };
    changes(name).into_iter().filter_map(taken).collect()
}

/// A queue call that 1001 answers; it goes on.
fn answered_call_open() -> (Pbx, usize, usize) {
    let mut pbx = Pbx::new(1);
    let trunk = pbx.make("PJSIP/trunk", None, State::Ring, "13800138000", "4008001234");
    pbx.state(trunk, State::Up);
    pbx.at(500);
    pbx.join(trunk, "support");
    let phone = pbx.make("PJSIP/1001", Some(trunk), State::Down, "1001", "s");
    pbx.agent_event("AgentCalled", trunk, phone, "support", "Priority", 1);
    pbx.dial_begin(Some(trunk), phone, "PJSIP/1001");
    pbx.run(phone, "AppQueue", "(Outgoing Line)");
    pbx.dial_rings(Some(trunk), phone);
    pbx.at(3_000);
    pbx.state(phone, State::Up);
    pbx.dial_end(Some(trunk), phone, "ANSWER");
    pbx.out_of_queue(trunk, "support");
    pbx.agent_event("AgentConnect", trunk, phone, "support", "HoldTime", 2);
    let bridge = pbx.bridge(Room::Talk);
    pbx.enter(phone, bridge, None);
    pbx.enter(trunk, bridge, None);
    (pbx, trunk, phone)
}

fn answered_call() -> (Pbx, usize, usize) {
    let (mut pbx, trunk, phone) = answered_call_open();
    pbx.at(9_000);
    pbx.asks(trunk, 16);
    pbx.hangup(trunk, 16);
    pbx.hangup(phone, 16);
    (pbx, trunk, phone)
}
