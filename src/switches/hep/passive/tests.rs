use super::*;
use crate::{
    calls::{
        Feed, Record,
        event::DialStatus,
        record::{Direction, EndedBy, Outcome, Quality, SegmentKind, SegmentOutcome},
    },
    daemon::replay::{self, ReplaySettings},
    switches::{
        hep::{Net, Trunk},
        inside::Inside,
    },
};
use std::borrow::Cow;

const START: i64 = 1_795_347_000_000;
const CARRIER: &str = "203.0.113.5:5060";
const PHONE: &str = "192.0.2.101:5060";

/// A made-up line on which messages are said at moments, and what is concluded of them.
struct Line {
    passive: Passive,
    events: Vec<Event>,
    now: i64,
}

impl Line {
    fn new() -> Self {
        Self::with(Rules::default())
    }

    fn with(rules: Rules) -> Self {
        let inside = Inside { internal: vec!["100X".to_owned()], ..Inside::default() };
        let rules = Rules { inside, ..rules };
        Self { passive: Passive::new(rules), events: Vec::new(), now: 0 }
    }

    /// A message at a moment, in milliseconds.
    fn say(&mut self, ms: i64, text: &str) -> &mut Self {
        self.between(ms, PHONE, "192.0.2.10:5060", text)
    }

    fn between(&mut self, ms: i64, source: &str, target: &str, text: &str) -> &mut Self {
        self.mirrored(ms, ms, 7, source, target, text)
    }

    fn mirrored(&mut self, arrives: i64, stamp: i64, agent: u32, source: &str, target: &str, text: &str) -> &mut Self {
        self.wait(arrives);
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let text = format!("{}\r\nContent-Length: {}\r\n\r\n{body}", head.trim().replace('\n', "\r\n"), body.len());
        let packet = Packet {
            agent: Some(agent),
            micros: Some((START + stamp) * 1000),
            source: source.parse().ok(),
            target: target.parse().ok(),
            protocol: Some(17),
            correlation: None,
            payload: Cow::Owned(text.into_bytes()),
        };
        let before = self.passive.counts().unreadable;
        self.passive.take(self.mono(), &packet, Some(Wall(START + arrives)));
        assert_eq!(self.passive.counts().unreadable, before, "this is no SIP");
        self.drain();
        self
    }

    fn mono(&self) -> Mono {
        Mono(u64::try_from(self.now).unwrap() * 1000 + 1_000_000)
    }

    fn wait(&mut self, ms: i64) {
        self.now = self.now.max(ms);
        self.passive.tick(Now { wall: Wall(START + self.now), mono: self.mono() });
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(event) = self.passive.next_event() {
            self.events.push(event);
        }
    }

    fn records(&mut self) -> Vec<Record> {
        self.passive.finish();
        self.drain();
        let agents = ["1001", "1002", "1003"].map(str::to_owned);
        let mut settings = ReplaySettings::plain(&agents, "CN", Some("10"));
        for rules in settings.book.switches.values_mut() {
            rules.internal = vec!["100X".to_owned()];
        }
        replay::play(settings, vec![(Feed::Hep, self.events.clone())])
    }

    fn record(&mut self) -> Record {
        let records = self.records();
        let [record] = records.as_slice() else { panic!("{} records: {records:#?}", records.len()) };
        record.clone()
    }
}

/// The Vias of a message on its hop: one for the caller, one more for the proxy's branch `b`.
fn vias(branch: &str) -> String {
    let own = "Via: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bKcaller\n";
    if branch.is_empty() {
        own.to_owned()
    } else {
        format!("Via: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK{branch}\n{own}")
    }
}

fn head(call: &str, cseq: &str, from: &str, to: &str) -> String {
    format!("From: {from}\nTo: {to}\nCall-ID: {call}\nCSeq: {cseq}\n")
}

const CUSTOMER: &str = "\"Li Lei\" <sip:+8613800138000@carrier.example>;tag=c";
const DID: &str = "<sip:+861085551001@pbx.example>";

fn invite(call: &str, branch: &str, user: &str, from: &str, to: &str, more: &str) -> String {
    format!("INVITE sip:{user}@192.0.2.101 SIP/2.0\n{}{}{more}", vias(branch), head(call, "1 INVITE", from, to))
}

fn answer(call: &str, branch: &str, status: &str, from: &str, to: &str, tag: &str) -> String {
    let to = if tag.is_empty() { to.to_owned() } else { format!("{to};tag={tag}") };
    format!("SIP/2.0 {status}\n{}{}", vias(branch), head(call, "1 INVITE", from, &to))
}

fn request(method: &str, call: &str, branch: &str, cseq: u32, from: &str, to: &str, more: &str) -> String {
    let head = head(call, &format!("{cseq} {method}"), from, to);
    format!("{method} sip:x@192.0.2.10 SIP/2.0\n{}{head}{more}", vias(branch))
}

fn with_tag(side: &str, tag: &str) -> String {
    format!("{side};tag={tag}")
}

/// A customer's call that 1001 answers at 3000 ms.
fn answered(line: &mut Line) -> &mut Line {
    line.between(1000, CARRIER, "192.0.2.10:5060", &invite("a", "", "+861085551001", CUSTOMER, DID, ""))
        .say(1001, &answer("a", "", "100 Trying", CUSTOMER, DID, ""))
        .say(1002, &invite("a", "x", "1001", CUSTOMER, DID, ""))
        .say(1010, &answer("a", "x", "180 Ringing", CUSTOMER, DID, "p"))
        .say(1011, &answer("a", "", "180 Ringing", CUSTOMER, DID, "p"))
        .say(3000, &answer("a", "x", "200 OK", CUSTOMER, DID, "p"))
        .say(3001, &answer("a", "", "200 OK", CUSTOMER, DID, "p"))
}

/// From the customer, or from the phone that has the tag `p`.
fn bye(call: &str, customer: bool) -> String {
    let did = with_tag(DID, "p");
    match customer {
        true => request("BYE", call, "bye", 2, CUSTOMER, &did, ""),
        false => request("BYE", call, "bye", 9, &did, CUSTOMER, ""),
    }
}

#[test]
fn a_customer_s_call_from_end_to_end() {
    let mut line = Line::new();
    answered(&mut line).say(8000, &bye("a", true));
    let record = line.record();
    assert_eq!((record.direction, record.outcome), (Some(Direction::Inbound), Some(Outcome::Answered)));
    assert_eq!((record.ring_ms, record.talk_ms, record.quality), (Some(1990), Some(5000), Quality::Exact));
    assert_eq!(record.ended_by, Some(EndedBy::Customer));
    let customer = record.customer.unwrap();
    assert_eq!((customer.withheld, customer.name), (Some(false), Some("Li Lei".into())));
    assert_eq!(record.trunk.as_deref(), Some("SIP/trunk"));
}

/// The pop does not wait: the ring is told in the very moment in which it is heard.
#[test]
fn what_makes_a_phone_ring_is_told_at_once() {
    let mut line = Line::new();
    line.between(1000, CARRIER, "192.0.2.10:5060", &invite("a", "", "+861085551001", CUSTOMER, DID, ""));
    assert_eq!(line.events, []);
    line.say(1001, &answer("a", "", "100 Trying", CUSTOMER, DID, ""));
    assert!(matches!(&line.events[0].said, Said::NewLeg { leg, .. } if leg.id == "a/caller"));
    line.say(1002, &invite("a", "x", "1001", CUSTOMER, DID, ""));
    line.say(1010, &answer("a", "x", "180 Ringing", CUSTOMER, DID, "p"));
    assert!(matches!(&line.events.last().unwrap().said, Said::State { leg, .. } if leg.id == "a/1001"));
}

#[test]
fn an_invite_that_was_lost_is_made_up_for_by_its_answers() {
    let mut line = Line::new();
    line.say(1010, &answer("a", "x", "180 Ringing", CUSTOMER, "<sip:1001@pbx.example>", "p"))
        .say(3000, &answer("a", "x", "200 OK", CUSTOMER, "<sip:1001@pbx.example>", "p"))
        .say(8000, &bye("a", true));
    let record = line.record();
    assert_eq!(
        (record.outcome, record.talk_ms, record.quality),
        (Some(Outcome::Answered), Some(5000), Quality::Estimated)
    );
    assert_eq!(record.customer.unwrap().withheld, None);
    // Where To is the line's number, the phone's Contact tells whose it is.
    let mut line = Line::new();
    let ok = answer("a", "x", "200 OK", CUSTOMER, DID, "p") + "Contact: <sip:1001@192.0.2.101>\n";
    line.say(3000, &ok).say(8000, &bye("a", false));
    let record = line.record();
    assert_eq!((record.outcome, record.ended_by), (Some(Outcome::Answered), Some(EndedBy::Agent)));
    assert_eq!(record.first_agent, Some("1001".into()));
}

#[test]
fn of_a_call_that_began_before_we_listened_its_end_is_told() {
    let mut line = Line::new();
    line.say(8000, &bye("a", true).replace(DID, "<sip:1001@pbx.example>"));
    assert_eq!(line.records(), []);
    let mut line = Line::new();
    let ok =
        bye("a", true).replace(DID, "<sip:1001@pbx.example>").replace("BYE sip:x@192.0.2.10 SIP/2.0", "SIP/2.0 200 OK");
    let record = line.say(8000, &ok).record();
    assert_eq!((record.quality, record.started_at.is_some()), (Quality::Estimated, true));
    assert_eq!((record.talk_ms, record.answered_at), (None, None));
}

#[test]
fn two_users_are_called_and_one_answers() {
    let mut line = Line::new();
    line.between(1000, CARRIER, "192.0.2.10:5060", &invite("a", "", "8000", CUSTOMER, "<sip:8000@pbx.example>", ""));
    let to = "<sip:8000@pbx.example>";
    for (branch, user) in [("x", "1001"), ("y", "1002")] {
        line.say(1002, &invite("a", branch, user, CUSTOMER, to, ""));
        line.say(1010, &answer("a", branch, "180 Ringing", CUSTOMER, to, user));
    }
    line.say(3000, &answer("a", "y", "200 OK", CUSTOMER, to, "1002"));
    line.say(
        3001,
        &request("CANCEL", "a", "x", 1, CUSTOMER, to, "Reason: SIP;cause=200;text=\"Call completed elsewhere\"\n"),
    );
    line.say(3002, &answer("a", "x", "487 Request Terminated", CUSTOMER, to, "1001"));
    line.say(8000, &request("BYE", "a", "bye", 2, CUSTOMER, &with_tag(to, "1002"), ""));
    let record = line.record();
    assert_eq!((record.outcome, record.first_agent.clone()), (Some(Outcome::Answered), Some("1002".into())));
    let rings: Vec<_> = record.segments.iter().filter(|s| s.kind == SegmentKind::Ring).map(|s| s.outcome).collect();
    assert_eq!(rings, [Some(SegmentOutcome::Elsewhere), Some(SegmentOutcome::Answered)]);
}

/// A switch that hunts: the first phone rings out, the second answers.
#[test]
fn one_user_after_another() {
    let mut line = Line::new();
    line.between(1000, CARRIER, "192.0.2.10:5060", &invite("a", "", "8000", CUSTOMER, DID, ""));
    line.say(1002, &invite("a", "x", "1001", CUSTOMER, DID, ""));
    line.say(1010, &answer("a", "x", "180 Ringing", CUSTOMER, DID, "p1"));
    line.say(9000, &request("CANCEL", "a", "x", 1, CUSTOMER, DID, ""));
    line.say(9001, &answer("a", "x", "487 Request Terminated", CUSTOMER, DID, "p1"));
    line.say(9002, &invite("a", "y", "1002", CUSTOMER, DID, ""));
    line.say(9010, &answer("a", "y", "180 Ringing", CUSTOMER, DID, "p2"));
    line.say(12_000, &answer("a", "y", "200 OK", CUSTOMER, DID, "p2"));
    line.say(15_000, &request("BYE", "a", "bye", 2, CUSTOMER, &with_tag(DID, "p2"), ""));
    let record = line.record();
    let rings: Vec<_> = record.segments.iter().filter(|s| s.kind == SegmentKind::Ring).map(|s| s.outcome).collect();
    assert_eq!(rings, [Some(SegmentOutcome::NoAnswer), Some(SegmentOutcome::Answered)]);
    assert_eq!((record.ring_ms, record.talk_ms), (Some(2990), Some(3000)));
}

#[test]
fn how_a_call_to_us_fails() {
    let rings = |line: &mut Line, rang: bool| {
        line.between(1000, CARRIER, "192.0.2.10:5060", &invite("a", "", "+861085551001", CUSTOMER, DID, ""));
        line.say(1002, &invite("a", "x", "1001", CUSTOMER, DID, ""));
        if rang {
            line.say(1010, &answer("a", "x", "180 Ringing", CUSTOMER, DID, "p"));
        }
    };
    let mut told = Vec::new();
    for (status, rang) in
        [("486 Busy Here", false), ("486 Busy Here", true), ("603 Decline", true), ("480 Gone", false)]
    {
        let mut line = Line::new();
        rings(&mut line, rang);
        line.say(4000, &answer("a", "x", status, CUSTOMER, DID, "p"));
        line.say(4001, &answer("a", "", status, CUSTOMER, DID, "p"));
        let record = line.record();
        told.push((record.outcome.unwrap(), record.ended_by.unwrap()));
    }
    assert_eq!(
        told,
        [
            (Outcome::Busy, EndedBy::Agent),
            (Outcome::Rejected, EndedBy::Agent),
            (Outcome::Rejected, EndedBy::Agent),
            (Outcome::Failed, EndedBy::Switch)
        ]
    );
    // The caller gives up; the CANCEL itself is lost.
    let mut line = Line::new();
    rings(&mut line, true);
    line.say(4000, &answer("a", "x", "487 Request Terminated", CUSTOMER, DID, "p"));
    line.say(4001, &answer("a", "", "487 Request Terminated", CUSTOMER, DID, "p"));
    let record = line.record();
    assert_eq!((record.outcome, record.ended_by), (Some(Outcome::Abandoned), Some(EndedBy::Customer)));
}

/// The first trunk has no room: the second is tried for the same number, and that is one call to it.
#[test]
fn a_second_trunk_is_tried_at_once() {
    let (from, to) = ("<sip:1001@pbx.example>;tag=a", "<sip:13900139000@pbx.example>");
    let mut line = Line::new();
    line.say(1000, &invite("a", "", "13900139000", from, to, ""));
    line.between(1002, "192.0.2.10:5060", CARRIER, &invite("a", "x", "13900139000", from, to, ""));
    line.say(1100, &answer("a", "x", "503 Service Unavailable", from, to, "p"));
    line.between(1110, "192.0.2.10:5060", "198.51.100.5:5060", &invite("a", "y", "13900139000", from, to, ""));
    line.wait(2000);
    line.say(2000, &answer("a", "y", "180 Ringing", from, to, "q"));
    line.say(3000, &answer("a", "y", "200 OK", from, to, "q"));
    line.say(8000, &request("BYE", "a", "bye", 3, from, &with_tag(to, "q"), ""));
    let record = line.record();
    assert_eq!((record.outcome, record.ring_ms, record.talk_ms), (Some(Outcome::Answered), Some(1000), Some(5000)));
}

/// 302: the switch calls where it was sent to.
#[test]
fn a_phone_that_sends_the_call_on() {
    let mut line = Line::new();
    line.between(1000, CARRIER, "192.0.2.10:5060", &invite("a", "", "+861085551001", CUSTOMER, DID, ""));
    line.say(1002, &invite("a", "x", "1001", CUSTOMER, DID, ""));
    line.say(
        1010,
        &(answer("a", "x", "302 Moved Temporarily", CUSTOMER, DID, "p") + "Contact: <sip:1002@pbx.example>\n"),
    );
    line.say(1012, &invite("a", "y", "1002", CUSTOMER, DID, ""));
    line.say(1020, &answer("a", "y", "180 Ringing", CUSTOMER, DID, "q"));
    line.say(3000, &answer("a", "y", "200 OK", CUSTOMER, DID, "q"));
    line.say(8000, &request("BYE", "a", "bye", 2, CUSTOMER, &with_tag(DID, "q"), ""));
    let record = line.record();
    assert_eq!((record.outcome, record.first_agent), (Some(Outcome::Answered), Some("1002".into())));
}

/// An agent's phone that is told 302 calls anew itself, with the same Call-ID.
#[test]
fn a_caller_that_is_sent_elsewhere_calls_again() {
    let from = "<sip:1001@pbx.example>;tag=a";
    let mut line = Line::new();
    line.say(1000, &invite("a", "", "013900139000", from, "<sip:013900139000@pbx.example>", ""));
    line.say(1010, &answer("a", "", "302 Moved Temporarily", from, "<sip:013900139000@pbx.example>", "z"));
    let again = invite("a", "", "13900139000", from, "<sip:013900139000@pbx.example>", "");
    line.say(1020, &again.replace("1 INVITE", "2 INVITE").replace("caller", "caller2"));
    let ok = answer("a", "", "200 OK", from, "<sip:013900139000@pbx.example>", "t");
    line.say(3000, &ok.replace("1 INVITE", "2 INVITE").replace("caller", "caller2"));
    let record =
        line.say(8000, &request("BYE", "a", "bye", 3, from, "<sip:013900139000@pbx.example>;tag=t", "")).record();
    assert_eq!((record.direction, record.outcome), (Some(Direction::Outbound), Some(Outcome::Answered)));
    assert_eq!(record.customer.unwrap().e164, Some("+8613900139000".into()));
}

#[test]
fn how_a_call_of_ours_fails() {
    let (from, to) = ("<sip:1001@pbx.example>;tag=a", "<sip:13900139000@pbx.example>");
    let mut told = Vec::new();
    for (status, rang) in [("486 Busy Here", false), ("603 Decline", true), ("408 Timeout", true), ("503 No", false)] {
        let mut line = Line::new();
        line.say(1000, &invite("a", "", "13900139000", from, to, ""));
        line.between(1002, "192.0.2.10:5060", CARRIER, &invite("a", "x", "13900139000", from, to, ""));
        if rang {
            line.say(1500, &answer("a", "x", "183 Session Progress", from, to, "p"));
        }
        line.say(4000, &answer("a", "x", status, from, to, "p"));
        line.say(4001, &answer("a", "", status, from, to, "p"));
        told.push(line.record().outcome.unwrap());
    }
    assert_eq!(told, [Outcome::Busy, Outcome::Rejected, Outcome::NoAnswer, Outcome::Failed]);
}

#[test]
fn a_hold_by_update_and_by_an_old_phone_s_zero_address() {
    let sdp = |lines: &str| format!("Content-Type: application/sdp\n\nv=0\r\nm=audio 4000 RTP/AVP 8\r\n{lines}\r\n");
    let did = with_tag(DID, "p");
    let mut line = Line::new();
    answered(&mut line);
    let answers = |method: &str, cseq: u32| {
        format!("SIP/2.0 200 OK\n{}{}", vias("u"), head("a", &format!("{cseq} {method}"), &did, CUSTOMER))
    };
    line.say(4000, &request("UPDATE", "a", "u", 10, &did, CUSTOMER, &sdp("a=inactive")));
    line.say(4001, &answers("UPDATE", 10));
    line.say(5000, &request("UPDATE", "a", "u2", 11, &did, CUSTOMER, &sdp("a=sendrecv")));
    line.say(5001, &answers("UPDATE", 11));
    line.say(6000, &request("INVITE", "a", "u3", 12, &did, CUSTOMER, &sdp("c=IN IP4 0.0.0.0")));
    line.say(6001, &answers("INVITE", 12));
    // Refused: the hold goes on.
    line.say(6500, &request("INVITE", "a", "u4", 13, &did, CUSTOMER, &sdp("a=sendrecv")));
    line.say(6501, &answers("INVITE", 13).replace("200 OK", "491 Request Pending"));
    // Somebody on hold listens: that is no hold of his.
    line.say(6600, &request("INVITE", "a", "u5", 3, CUSTOMER, &did, &sdp("a=recvonly")));
    line.say(7000, &bye("a", false));
    let record = line.record();
    assert_eq!((record.hold_ms, record.talk_ms), (Some(2000), Some(2000)));
}

/// The answer is heard on each hop, and the customer's side answers `sendrecv` to everything (RFC 3264, 6.1 would have `recvonly`).
#[test]
fn a_hold_is_not_undone_by_its_own_answer_on_another_hop() {
    let sdp = |way: &str| format!("Content-Type: application/sdp\n\nv=0\r\nm=audio 4000 RTP/AVP 8\r\na={way}\r\n");
    let did = with_tag(DID, "p");
    let mut line = Line::new();
    answered(&mut line);
    for (at, cseq, way) in [(4000, 10, "sendonly"), (6000, 11, "sendrecv")] {
        let (near, far) = (format!("n{cseq}"), format!("n{cseq} f{cseq}"));
        for (late, branch) in [(0, &near), (1, &far)] {
            line.say(at + late, &request("INVITE", "a", branch, cseq, &did, CUSTOMER, &sdp(way)));
        }
        for (late, branch) in [(5, &far), (6, &near)] {
            let head = head("a", &format!("{cseq} INVITE"), &did, CUSTOMER);
            line.say(at + late, &format!("SIP/2.0 200 OK\n{}{head}{}", vias(branch), sdp("sendrecv")));
        }
    }
    line.say(7000, &bye("a", false));
    let record = line.record();
    assert_eq!((record.hold_ms, record.talk_ms), (Some(2000), Some(2000)));
}

/// The phone says BYE as soon as its REFER is accepted, before the target answers.
#[test]
fn a_blind_transfer_by_a_phone_that_does_not_wait() {
    let did = with_tag(DID, "p");
    let mut line = Line::new();
    answered(&mut line);
    line.say(
        4000,
        &request(
            "REFER",
            "a",
            "r",
            10,
            &did,
            CUSTOMER,
            "Refer-To: <sip:1002@pbx.example>\nReferred-By: <sip:1001@pbx.example>\n",
        ),
    );
    line.say(4010, &format!("SIP/2.0 202 Accepted\n{}{}", vias("r"), head("a", "10 REFER", &did, CUSTOMER)));
    line.say(4020, &bye("a", false));
    let (from, to) = ("\"Li Lei\" <sip:+8613800138000@carrier.example>;tag=n", "<sip:1002@pbx.example>");
    line.between(
        4100,
        CARRIER,
        "192.0.2.10:5060",
        &invite("b", "", "1002", from, to, "Referred-By: <sip:1001@pbx.example>\n"),
    );
    line.say(4101, &answer("b", "", "100 Trying", from, to, ""));
    line.say(4110, &invite("b", "y", "1002", from, to, "Referred-By: <sip:1001@pbx.example>\n"));
    line.say(4120, &answer("b", "y", "180 Ringing", from, to, "q"));
    line.say(6000, &answer("b", "y", "200 OK", from, to, "q"));
    line.say(9000, &request("BYE", "b", "bye", 2, from, &with_tag(to, "q"), ""));
    let record = line.record();
    assert_eq!((record.outcome, record.ended_by), (Some(Outcome::Answered), Some(EndedBy::Customer)));
    assert_eq!(record.agents, Some(vec!["1001".into(), "1002".into()]));
    let transfer = &record.transfers.unwrap()[0];
    assert_eq!((transfer.from.as_str(), transfer.to.expose().as_str(), transfer.certain), ("1001", "1002", true));
    assert_eq!(record.talk_ms, Some(1020 + 3000));
}

/// To a number that is not mirrored: the sipfrag says that it was answered, the customer's leg goes on unseen until the phone's BYE.
#[test]
fn a_transfer_to_somebody_who_is_not_seen() {
    let did = with_tag(DID, "p");
    let mut line = Line::new();
    answered(&mut line);
    line.say(4000, &request("REFER", "a", "r", 10, &did, CUSTOMER, "Refer-To: <sip:13700137000@pbx.example>\n"));
    line.say(4010, &format!("SIP/2.0 202 Accepted\n{}{}", vias("r"), head("a", "10 REFER", &did, CUSTOMER)));
    let fragment = "Event: refer;id=10\nContent-Type: message/sipfrag\n\nSIP/2.0 200 OK\r\n";
    line.say(6000, &request("NOTIFY", "a", "n", 5, CUSTOMER, &did, fragment));
    line.say(6100, &bye("a", false));
    let record = line.record();
    assert_eq!((record.outcome, record.final_agent), (Some(Outcome::Answered), Some("1001".into())));
    assert_eq!(record.transfers.unwrap()[0].to.expose(), "13700137000");
}

#[test]
fn who_calls_is_believed_of_those_who_are_trusted() {
    let trusted = || Rules { trusted: vec![Net::read("203.0.113.0/24").unwrap()], ..Rules::default() };
    let number = |rules: Rules, from: &str, more: &str| {
        let mut line = Line::with(rules);
        line.between(1000, CARRIER, "192.0.2.10:5060", &invite("a", "", "1001", from, "<sip:1001@pbx.example>", more));
        line.say(1010, &answer("a", "", "180 Ringing", from, "<sip:1001@pbx.example>", "p"));
        let customer = line.record().customer.unwrap();
        (customer.raw.map(|raw| raw.expose().clone()), customer.withheld)
    };
    let from = "<sip:4008001234@carrier.example>;tag=c";
    let asserted = "P-Asserted-Identity: <sip:1234@carrier.example>, <tel:+8613800138000>\n";
    let shown = |n: &str| (Some(n.to_owned()), Some(false));
    assert_eq!(number(trusted(), from, asserted), shown("+8613800138000"));
    assert_eq!(number(Rules::default(), from, asserted), shown("4008001234"));
    assert_eq!(
        number(trusted(), from, "Remote-Party-ID: <sip:13800138000@c.example>;party=calling\n"),
        shown("13800138000")
    );
    let anonymous = "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=c";
    assert_eq!(number(trusted(), anonymous, asserted), shown("+8613800138000"));
    // Privacy is asked for: the number is nowhere, although it was told.
    let withheld = (None, Some(true));
    assert_eq!(number(trusted(), anonymous, &format!("{asserted}Privacy: id;critical\n")), withheld);
    assert_eq!(number(Rules::default(), anonymous, ""), withheld);
    assert_eq!(number(Rules::default(), from, "Privacy: none\n"), shown("4008001234"));
}

#[test]
fn every_place_of_a_dialled_number_is_told() {
    let mut line = Line::new();
    let more = "Diversion: <sip:4008001234@c.example>;reason=unconditional, <sip:95533@c.example>;reason=no-answer\nHistory-Info: <sip:+861085551001@c.example;cause=302>;index=1.1, <sip:4009009009@c.example>;index=1\nP-Called-Party-ID: <sip:+861085551009@pbx.example>\n";
    line.between(1000, CARRIER, "192.0.2.10:5060", &invite("a", "", "pilot", CUSTOMER, DID, more));
    line.say(1001, &answer("a", "", "100 Trying", CUSTOMER, DID, ""));
    let Said::NewLeg { dialled, places, .. } = &line.events[0].said else { panic!("{:?}", line.events[0]) };
    let places: Vec<(String, &str)> = places.iter().map(|(p, n)| (p.word(), n.expose().as_str())).collect();
    let told = [
        ("history-info", "4009009009"),
        ("diversion", "95533"),
        ("p-called-party-id", "+861085551009"),
        ("request-uri", "pilot"),
        ("to", "+861085551001"),
    ];
    assert_eq!(places, told.map(|(p, n)| (p.to_owned(), n)));
    assert_eq!(dialled.as_ref().map(|d| d.expose().as_str()), Some("4009009009"));
}

/// Whose device it is says the directory: nobody has to list extensions a second time.
#[test]
fn an_agents_device_is_one_of_us_by_the_directory() {
    let agent = crate::calls::directory::Agent::new("li").at(&["8001"]);
    let directory = std::sync::Arc::new(crate::calls::Directory::new(vec![agent]));
    let inside = Inside { directory, ..Inside::default() };
    let mut line = Line { passive: Passive::new(Rules { inside, ..Rules::default() }), events: Vec::new(), now: 0 };
    line.between(1000, CARRIER, "192.0.2.10:5060", &invite("a", "", "8001", CUSTOMER, DID, ""));
    line.say(1001, &answer("a", "", "180 Ringing", CUSTOMER, DID, "p"));
    let names: Vec<&str> = line
        .events
        .iter()
        .filter_map(|e| match &e.said {
            Said::NewLeg { leg, .. } => Some(leg.name.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(names, ["SIP/trunk", "SIP/8001"]);
}

#[test]
fn wanted_headers_are_told_and_no_others() {
    let headers = ["X-Account", "User-to-User"].map(str::to_owned).to_vec();
    let mut line = Line::with(Rules { headers, ..Rules::default() });
    let more =
        "x-account: 8800, 1234\nX-Account: second\nX-Other: no\nUser-to-User: 4c696e65;encoding=hex;purpose=isdn\n";
    line.between(1000, CARRIER, "192.0.2.10:5060", &invite("a", "", "1001", CUSTOMER, DID, more));
    line.say(1001, &answer("a", "", "100 Trying", CUSTOMER, DID, ""));
    let told: Vec<(&str, &[u8])> = line
        .events
        .iter()
        .filter_map(|e| match &e.said {
            Said::Variable { name, value, .. } => Some((name.as_str(), value.expose().as_slice())),
            _ => None,
        })
        .collect();
    assert_eq!(told, [("sip:X-Account", b"8800, 1234".as_slice()), ("sip:User-to-User", b"Line")]);
}

/// Two agents: one clock is an hour slow, the other right.
#[test]
fn a_clock_that_is_off_is_put_right() {
    let mut line = Line::new();
    line.between(1000, CARRIER, "192.0.2.10:5060", &invite("a", "", "+861085551001", CUSTOMER, DID, ""));
    line.mirrored(1002, 1002 - 3_600_000, 8, PHONE, PHONE, &invite("a", "x", "1001", CUSTOMER, DID, ""));
    line.mirrored(1011, 1010 - 3_600_000, 8, PHONE, PHONE, &answer("a", "x", "180 Ringing", CUSTOMER, DID, "p"));
    line.say(3000, &answer("a", "x", "200 OK", CUSTOMER, DID, "p"));
    // And one that was never set.
    line.mirrored(8000, 4_000_000_000, 9, PHONE, PHONE, &bye("a", true));
    let record = line.record();
    assert_eq!((record.ring_ms, record.talk_ms), (Some(1990), Some(5000)));
    assert_eq!(line.passive.skews(), 2);
}

#[test]
fn what_is_not_heard_of_again_is_lost() {
    let mut line = Line::new();
    answered(&mut line);
    line.wait(13 * 3_600_000);
    let record = line.record();
    assert_eq!((record.outcome, record.end), (Some(Outcome::Answered), crate::calls::record::End::Lost));
    assert_eq!(line.passive.counts().lost, 1);
    assert!(line.passive.calls.is_empty() && line.passive.ages.is_empty());
}

/// INVITEs that nobody answers are no calls, and take no more room than they may; a call that is answered meanwhile is whole.
#[test]
fn a_flood_of_invites_makes_no_call_and_takes_no_more_than_its_room() {
    let mut line = Line::new();
    for n in 0..30_000 {
        line.say(n / 20, &invite(&format!("flood{n}"), "", "1001", CUSTOMER, DID, ""));
    }
    line.now = 0;
    answered(&mut line).say(8000, &bye("a", true));
    assert!(line.passive.calls.len() <= FRESH + 2 && line.passive.ages.len() <= FRESH + 2);
    assert_eq!(line.record().talk_ms, Some(5000));
    line.wait(100_000);
    assert!(line.passive.calls.is_empty() && line.passive.ages.is_empty() && line.passive.fresh.len() <= FRESH);
}

/// Nor do answers that nobody asked for fill the book.
#[test]
fn a_flood_of_answers_to_nothing_is_bounded() {
    let mut line = Line::new();
    for n in 0..5_000 {
        line.say(n / 20, &answer(&format!("flood{n}"), "x", "180 Ringing", CUSTOMER, "<sip:1001@pbx.example>", "p"));
    }
    line.wait(400);
    answered(&mut line).say(8000, &bye("a", true));
    assert_eq!((line.passive.headless, line.passive.counts().headless), (HEADLESS, HEADLESS as u64));
    line.wait(9000);
    assert!(line.events.iter().any(|e| matches!(&e.said, Said::Hangup { leg, .. } if leg.id == "a/caller")));
    line.wait(1_000_000);
    assert_eq!((line.passive.headless, line.passive.calls.len()), (0, 0));
}

/// The switch answers by itself: keys, a voice, its own queue.
#[test]
fn a_call_that_the_switch_itself_answers() {
    let mut line = Line::new();
    line.between(1000, CARRIER, "192.0.2.10:5060", &invite("a", "", "95533", CUSTOMER, "<sip:95533@pbx.example>", ""));
    line.say(1010, &answer("a", "", "200 OK", CUSTOMER, "<sip:95533@pbx.example>", "ivr"));
    line.say(9000, &request("BYE", "a", "bye", 2, CUSTOMER, "<sip:95533@pbx.example>;tag=ivr", ""));
    let record = line.record();
    assert_eq!((record.outcome, record.ended_by), (Some(Outcome::SelfService), Some(EndedBy::Customer)));
}

/// Phones of big registrars have random names; who was called stands in To, or is known from the registration.
#[test]
fn a_phone_is_known_by_where_it_registered() {
    let mut line = Line::new();
    line.say(10, "REGISTER sip:pbx.example SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.101;branch=z9hG4bKr\nFrom: <sip:1001@pbx.example>;tag=r\nTo: <sip:1001@pbx.example>\nCall-ID: r\nCSeq: 1 REGISTER\nContact: <sip:x7f3a@192.0.2.101>\n");
    line.between(1000, CARRIER, "192.0.2.10:5060", &invite("a", "", "+861085551001", CUSTOMER, DID, ""));
    line.say(1002, &invite("a", "x", "x7f3a", CUSTOMER, DID, ""));
    line.say(1010, &answer("a", "x", "180 Ringing", CUSTOMER, DID, "p"));
    line.say(3000, &answer("a", "x", "200 OK", CUSTOMER, DID, "p"));
    line.say(8000, &bye("a", true));
    assert_eq!(line.record().first_agent, Some("1001".into()));
}

/// The far ends have names of their own where their addresses are given.
#[test]
fn a_trunk_is_known_by_its_address() {
    let trunks = vec![Trunk { name: "trunk-bj".to_owned(), at: vec![Net::read("203.0.113.5").unwrap()] }];
    let mut line = Line::with(Rules { trunks, ..Rules::default() });
    // Even one that calls itself like one of ours.
    let from = "<sip:1003@carrier.example>;tag=c";
    line.between(1000, CARRIER, "192.0.2.10:5060", &invite("a", "", "1001", from, "<sip:1001@pbx.example>", ""));
    line.say(1010, &answer("a", "", "180 Ringing", from, "<sip:1001@pbx.example>", "p"));
    let record = line.record();
    assert_eq!((record.direction, record.trunk.as_deref()), (Some(Direction::Inbound), Some("SIP/trunk-bj")));
}

#[test]
fn what_final_answers_say() {
    let of = |why, rang| {
        let v = verdict(why, rang, Reason::default());
        (v.status, v.refused, v.cause)
    };
    assert_eq!(of(Why::Status(486), true), (DialStatus::Busy, true, Some(17)));
    assert_eq!(of(Why::Status(480), true), (DialStatus::NoAnswer, false, Some(18)));
    assert_eq!(of(Why::Status(404), false), (DialStatus::Unavailable, false, Some(1)));
    assert_eq!(of(Why::Status(503), false), (DialStatus::Congestion, false, Some(41)));
    assert_eq!(of(Why::Elsewhere, true).2, Some(26));
}

/// At an edge that names its carriers, what comes from elsewhere is the PBX's call out, whatever number of ours it shows; a carrier's call is not.
#[test]
fn an_edge_tells_a_call_out_by_where_it_comes_from() {
    let trunks = || vec![Trunk { name: "trunk-bj".to_owned(), at: vec![Net::read("203.0.113.5").unwrap()] }];
    let ours = "<sip:02161234567@192.0.2.20>;tag=p";
    let out = "<sip:13800138000@192.0.2.10>";
    let play = |closed: bool| {
        let mut line = Line::with(Rules { trunks: trunks(), closed, ..Rules::default() });
        line.between(1000, "192.0.2.20:5060", "192.0.2.10:5060", &invite("o", "", "13800138000", ours, out, ""))
            .between(1001, "192.0.2.10:5060", CARRIER, &invite("o", "x", "13800138000", ours, out, ""))
            .between(2000, CARRIER, "192.0.2.10:5060", &answer("o", "x", "200 OK", ours, out, "c"))
            .between(2001, "192.0.2.10:5060", "192.0.2.20:5060", &answer("o", "", "200 OK", ours, out, "c"))
            .say(5000, &request("BYE", "o", "bye", 2, ours, &with_tag(out, "c"), ""));
        line.records().iter().map(|record| record.direction).collect::<Vec<_>>()
    };
    assert_eq!(play(true), [Some(Direction::Outbound)]);
    assert_ne!(play(false), [Some(Direction::Outbound)], "nothing else tells them apart");
    let mut line = Line::with(Rules { trunks: trunks(), closed: true, ..Rules::default() });
    answered(&mut line).say(8000, &bye("a", true));
    assert_eq!(line.record().direction, Some(Direction::Inbound));
}

/// The daemon is killed and comes back: what the book had written down, and a reader that was told of it, with the messages from then on.
struct Again {
    book: crate::calls::Book,
    settings: ReplaySettings,
    line: Line,
}

impl Again {
    fn after(line: &mut Line) -> Self {
        line.drain();
        let mut settings = ReplaySettings::plain(&["1001", "1002"].map(str::to_owned), "CN", Some("10"));
        for rules in settings.book.switches.values_mut() {
            rules.internal = vec!["100X".to_owned()];
        }
        let mut first = Again { book: crate::calls::Book::new(settings.book.clone()), settings, line: Line::new() };
        first.hear(std::mem::take(&mut line.events));
        let open: Vec<_> = first.book.open_calls().map(|face| face.call).collect();
        let written = open.iter().map(|call| first.book.checkpoint(*call).unwrap()).collect();
        let settings = first.settings;
        let mut again = Again { book: crate::calls::Book::new(settings.book.clone()), settings, line: Line::new() };
        again.book.restore(written);
        let open = again.book.open_legs(&again.settings.switch);
        again.line.now = line.now + 500;
        let now = Now { wall: Wall(START + again.line.now), mono: again.line.mono() };
        again.line.passive.restore(now, open);
        again
    }

    fn hear(&mut self, events: Vec<Event>) {
        for event in events {
            let wall = event.at.unwrap_or(Wall(START + self.line.now));
            let now = Now { wall, mono: Mono(u64::try_from(wall.0).unwrap() * 1000) };
            self.book.take(now, &self.settings.switch, Feed::Hep, event);
        }
    }

    /// The records of all calls that ended, or were changed, since.
    fn records(&mut self) -> Vec<Record> {
        self.line.passive.finish();
        self.line.drain();
        let events = std::mem::take(&mut self.line.events);
        self.hear(events);
        let mut ended = std::collections::BTreeMap::new();
        while let Some(change) = self.book.next_change() {
            if let Some(record) = self.book.record(change.call) {
                ended.insert(change.call, record);
            }
        }
        assert_eq!(self.book.open_calls().count(), 0, "a call is left open");
        ended.into_values().collect()
    }

    fn record(&mut self) -> Record {
        let records = self.records();
        let [record] = records.as_slice() else { panic!("{} records: {records:#?}", records.len()) };
        record.clone()
    }
}

#[test]
fn a_call_of_before_a_restart_ends_by_its_bye_whoever_says_it() {
    for customer in [true, false] {
        let mut line = Line::new();
        answered(&mut line);
        let mut again = Again::after(&mut line);
        again.line.say(8000, &bye("a", customer));
        let record = again.record();
        let by = if customer { EndedBy::Customer } else { EndedBy::Agent };
        assert_eq!((record.end, record.outcome), (crate::calls::record::End::Seen, Some(Outcome::Answered)));
        assert_eq!((record.ended_by, record.quality), (Some(by), Quality::Estimated));
        assert_eq!(record.agents, Some(vec!["1001".into()]));
        assert_eq!(record.ended_at, Some(Wall(START + 8000)));
    }
}

#[test]
fn a_call_that_rang_at_a_restart_is_answered_after_it() {
    let mut line = Line::new();
    line.between(1000, CARRIER, "192.0.2.10:5060", &invite("a", "", "+861085551001", CUSTOMER, DID, ""))
        .say(1001, &invite("a", "x", "1001", CUSTOMER, DID, ""))
        .say(1010, &answer("a", "x", "180 Ringing", CUSTOMER, DID, "p"));
    let mut again = Again::after(&mut line);
    again.line.say(3000, &answer("a", "x", "200 OK", CUSTOMER, DID, "p"));
    again.line.say(3001, &answer("a", "", "200 OK", CUSTOMER, DID, "p")).say(9000, &bye("a", true));
    let record = again.record();
    assert_eq!((record.outcome, record.ended_by), (Some(Outcome::Answered), Some(EndedBy::Customer)));
    assert_eq!((record.end, record.agents), (crate::calls::record::End::Seen, Some(vec!["1001".into()])));
}

/// A call of ours, whose other end is a number that nobody here has.
#[test]
fn a_call_of_ours_goes_on_after_a_restart_and_a_hold_in_it_is_its_own() {
    let (from, to) = ("<sip:1001@pbx.example>;tag=a", "<sip:13900139000@pbx.example>");
    let there = with_tag(to, "p");
    let mut line = Line::new();
    line.say(1000, &invite("a", "", "13900139000", from, to, ""));
    line.between(1002, "192.0.2.10:5060", CARRIER, &invite("a", "x", "13900139000", from, to, ""));
    line.say(3000, &answer("a", "x", "200 OK", from, to, "p")).say(3001, &answer("a", "", "200 OK", from, to, "p"));
    let mut again = Again::after(&mut line);
    let sdp = "Content-Type: application/sdp\n\nv=0\r\nm=audio 4000 RTP/AVP 8\r\na=sendonly\r\n";
    again.line.say(5000, &request("INVITE", "a", "h", 5, from, &there, sdp));
    let ok = format!("SIP/2.0 200 OK\n{}{}", vias("h"), head("a", "5 INVITE", from, &there));
    again.line.say(5001, &ok).say(8000, &request("BYE", "a", "b", 9, &there, from, ""));
    let holds = |e: &&Event| matches!(&e.said, Said::Hold { leg } if leg.id == "a/caller");
    again.line.wait(8100);
    assert_eq!(again.line.events.iter().filter(holds).count(), 1, "{:?}", again.line.events);
    let record = again.record();
    assert_eq!((record.direction, record.outcome), (Some(Direction::Outbound), Some(Outcome::Answered)));
    assert_eq!((record.ended_by, record.agents), (Some(EndedBy::Customer), Some(vec!["1001".into()])));
}

#[test]
fn a_silent_call_is_lost_when_its_session_ran_out_or_after_the_longest_silence() {
    let hour = 3_600_000;
    // With a timer of half an hour that is refreshed once; without one; with a shorter silence in the settings.
    let cases = [(Some(1800), None, 2 * 1_800_000 + 32_000), (None, None, 12 * hour), (None, Some(hour), hour)];
    for (session, silence, lasts) in cases {
        let mut line =
            Line::with(Rules { silence_ms: silence.map(|ms| u64::try_from(ms).unwrap()), ..Rules::default() });
        answered(&mut line);
        let timer = session.map(|s: u32| format!("Session-Expires: {s};refresher=uac\n")).unwrap_or_default();
        let did = with_tag(DID, "p");
        let refresh = |line: &mut Line, at: i64, cseq: u32| {
            let branch = format!("u{cseq}");
            line.say(at - 1, &request("UPDATE", "a", &branch, cseq, CUSTOMER, &did, ""));
            let head = head("a", &format!("{cseq} UPDATE"), CUSTOMER, &did);
            line.say(at, &format!("SIP/2.0 200 OK\n{}{head}{timer}", vias(&branch))).wait(at + 100);
        };
        refresh(&mut line, 3005, 2);
        let mut end = 3005;
        if session.is_some() {
            end += 1_800_000;
            refresh(&mut line, end, 3);
        }
        let silent = 3005 + lasts;
        line.wait(silent - 1000);
        let gone = |e: &Event| matches!(e.said, Said::Gone { .. });
        assert!(!line.events.iter().any(gone), "{session:?} {silence:?}: too soon");
        line.wait(silent + 1000);
        assert_eq!(line.events.iter().filter(|e| gone(e)).count(), 2, "{session:?} {silence:?}");
        let record = line.record();
        assert_eq!((record.end, record.outcome), (crate::calls::record::End::Lost, Some(Outcome::Answered)));
        assert!(record.ended_at <= Some(Wall(START + end)), "it ends where it was heard last: {record:?}");
    }
}
