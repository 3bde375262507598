//! Verbs on calls over the agents' WebSocket: who may, what is offered, and that nothing goes to a switch that was refused.

use linecard::{
    agents::Ask,
    calls::{
        What,
        change::Role,
        command::{Failure, Made, RequestId, Verb},
        directory::{Agent, AgentsFile},
        face::{AgentLeg, CallState},
    },
    words::CallId,
};
use serde_json::{Value, json};

use super::desk::{self, Desk, Screen, offer};

const CALL: CallId = CallId(ulid::Ulid(7));

/// 1001 has a call: offered, and taken.
async fn talking(desk: &Desk, screen: &mut Screen) -> Value {
    let offer = offer("1001", 1, Role::Inbound);
    desk.change(CALL, What::Offered(offer.clone()), &[(&offer, AgentLeg::Ringing)]).await;
    let pop = screen.next_of("pop").await;
    desk.change(CALL, What::Established(offer.clone()), &[(&offer, AgentLeg::Talking)]).await;
    assert!(words(&pop).contains(&"call.answer".to_owned()));
    screen.next_of("call.changed").await
}

fn words(frame: &Value) -> Vec<String> {
    let actions = frame["actions"].as_array().unwrap().iter();
    actions.map(|word| word.as_str().unwrap().to_owned()).filter(|word| word.starts_with("call.")).collect()
}

fn verb(id: &str, kind: &str, more: Value) -> Value {
    let mut frame = json!({"type": kind, "id": id, "call": CALL});
    frame.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    frame
}

async fn answered(desk: &Desk, request: RequestId, outcome: Result<Made, Failure>) {
    desk.roster(move |roster, now| roster.acted(now, &request, outcome, &desk::directory())).await;
}

#[tokio::test]
async fn what_works_is_offered_and_done_once() {
    let mut desk = Desk::open(|_| {}).await;
    let mut screen = desk.screen("1001").await;
    screen.begin().await;
    let changed = talking(&desk, &mut screen).await;
    // The switch of these tests can do anything but hold.
    let all = ["hangup", "mute", "digits", "transfer", "consult", "park", "record.start", "record.pause"];
    assert_eq!(words(&changed), all.map(|word| format!("call.{word}")));
    screen.say(verb("h", "call.hold", json!({}))).await;
    let refused = screen.next_of("failed").await;
    assert_eq!(
        (&refused["code"], &refused["message"]),
        (&"unavailable-here".into(), &"the phone's own key does".into())
    );

    screen.say(verb("m", "call.mute", json!({}))).await;
    let Ask::Act(errand) = desk.asked().await else { panic!("nothing is done") };
    assert_eq!((errand.call, errand.of.as_str(), &errand.verb), (CALL, "1001", &Verb::Mute));
    // Twice at once: the second is refused, and the same id is the same request.
    screen.say(verb("m2", "call.mute", json!({}))).await;
    assert_eq!(screen.next_of("failed").await["code"], "verb-pending");
    screen.say(verb("m", "call.mute", json!({}))).await;
    screen.say(json!({"type": "ping", "id": "heard"})).await;
    assert_eq!(screen.next_of("done").await["id"], "heard");
    answered(&desk, errand.request, Ok(Made::default())).await;
    let done = screen.next_of("done").await;
    assert_eq!((&done["id"], &done["call"]), (&"m".into(), &CALL.to_string().into()));
    let changed = screen.next_of("call.changed").await;
    assert!(words(&changed).contains(&"call.unmute".to_owned()) && !words(&changed).contains(&"call.mute".to_owned()));

    screen.say(verb("p", "call.park", json!({}))).await;
    let Ask::Act(errand) = desk.asked().await else { panic!("nothing is done") };
    answered(&desk, errand.request, Ok(Made { space: Some("701".to_owned()), ..Made::default() })).await;
    assert_eq!(screen.next_of("done").await["space"], "701");
    screen.say(verb("t", "call.transfer", json!({"to": " 138-0013 8000 "}))).await;
    let Ask::Act(errand) = desk.asked().await else { panic!("nothing is done") };
    assert!(matches!(&errand.verb, Verb::Transfer(to) if to.expose() == "13800138000"));
    answered(&desk, errand.request, Err(Failure::SwitchUnavailable)).await;
    assert_eq!(screen.next_of("failed").await["code"], "switch-unavailable");
    let audit: Vec<String> = desk.audited().into_iter().map(|(who, what, how)| format!("{who} {what} {how}")).collect();
    let expected = [
        "1001 call.hold unavailable-here",
        "1001 call.mute verb-pending",
        "1001 call.mute done",
        "1001 call.park done",
        "1001 call.transfer switch-unavailable",
    ];
    assert_eq!(audit, expected);
}

#[tokio::test]
async fn a_call_that_is_not_yours_or_over_is_let_alone() {
    let mut desk = Desk::open(|_| {}).await;
    let (mut screen, mut stranger) = (desk.screen("1001").await, desk.screen("1003").await);
    screen.begin().await;
    stranger.begin().await;
    talking(&desk, &mut screen).await;
    stranger.say(verb("x", "call.hangup", json!({}))).await;
    assert_eq!(stranger.next_of("failed").await["code"], "unknown-call");
    for kind in ["call.complete", "call.cancel", "call.conference", "call.retrieve", "call.answer", "call.pickup"] {
        screen.say(verb(kind, kind, json!({}))).await;
        let code = screen.next_of("failed").await["code"].clone();
        assert!(["not-offered", "bad-request"].contains(&code.as_str().unwrap()), "{kind}: {code}");
    }
    let gone = offer("1001", 1, Role::Inbound);
    let mut face = desk::face(CALL, &[]);
    face.state = CallState::Ended;
    desk.change_of(face, What::Cleared { offer: gone }).await;
    screen.next_of("call.changed").await;
    screen.say(verb("late", "call.hangup", json!({}))).await;
    assert_eq!(screen.next_of("failed").await["code"], "call-over");
    assert!(desk.audited().iter().all(|(_, _, result)| result != "done"));
}

/// Every text that could reach a switch, with what would break out of a line there: a typed failure, and nothing is asked of anybody.
#[tokio::test]
async fn nothing_with_a_line_end_in_it_is_asked_of_a_switch() {
    let mut desk = Desk::open(|_| {}).await;
    let mut screen = desk.screen("1001").await;
    screen.begin().await;
    talking(&desk, &mut screen).await;
    let long = "1".repeat(65);
    let junk =
        ["", " ", "\r\n", "1002\r\nAction: Command", "1002\n", "1002\0", "1002\t", "1002,1", "${X}", "座席", &long];
    for (n, text) in junk.iter().enumerate() {
        for (kind, field) in [("call.transfer", "to"), ("call.consult", "to"), ("call.digits", "digits")] {
            screen.say(verb(&format!("{kind}{n}"), kind, json!({field: text}))).await;
            let failed = screen.next_of("failed").await;
            assert!(
                ["unknown-target", "bad-request"].contains(&failed["code"].as_str().unwrap()),
                "{kind} {text:?} {failed}"
            );
        }
        screen.say(json!({"type": "call.listen", "id": format!("l{n}"), "agent": text})).await;
        screen.next_of("failed").await;
        screen.say(json!({"type": "call.pickup", "id": format!("k{n}"), "agent": text})).await;
        screen.next_of("failed").await;
    }
    assert!(desk.audited().iter().all(|(_, _, result)| result != "done"));
}

/// Supervisors hear the agents of their teams and nobody else's; colleagues pick up what rings in their team.
#[tokio::test]
async fn teams_decide_whose_calls_are_heard_and_fetched() {
    fn of(id: &str, teams: &[&str], roles: &[&str]) -> Agent {
        Agent {
            teams: teams.iter().map(|t| (*t).to_owned()).collect(),
            roles: roles.iter().map(|r| (*r).to_owned()).collect(),
            ..Agent::new(id).at(&[&format!("PJSIP/{id}")])
        }
    }
    fn teams() -> linecard::calls::Directory {
        linecard::calls::Directory::of(AgentsFile {
            agents: vec![
                of("1001", &["support"], &[]),
                of("1002", &["support"], &["supervisor"]),
                of("1003", &["sales"], &["supervisor"]),
                of("1004", &["support"], &[]),
            ],
            ..AgentsFile::default()
        })
    }
    let mut desk = Desk::with(teams).await;
    let mut screen = desk.screen("1001").await;
    screen.begin().await;
    talking(&desk, &mut screen).await;
    for (agent, code) in [("1003", "not-permitted"), ("1004", "not-permitted"), ("1001", "not-permitted")] {
        let mut other = desk.screen(agent).await;
        assert_eq!(other.next().await["type"], "welcome");
        other.say(json!({"type": "resume"})).await;
        for kind in ["call.listen", "call.whisper", "call.barge", "call.take"] {
            other.say(json!({"type": kind, "id": kind, "agent": "1001"})).await;
            assert_eq!(other.next_of("failed").await["code"], code, "{agent} {kind}");
        }
    }
    let mut supervisor = desk.screen("1002").await;
    supervisor.begin().await;
    supervisor.say(json!({"type": "call.listen", "id": "1", "agent": "1001"})).await;
    let Ask::Act(errand) = desk.asked().await else { panic!("nothing is done") };
    assert_eq!((errand.of.as_str(), errand.device.as_str(), errand.verb), ("1001", "PJSIP/1002", Verb::Listen));
    assert!(errand.request.0.starts_with(RequestId::EAR), "whose leg only listens is nobody's call");
    supervisor.say(json!({"type": "call.listen", "id": "2", "agent": "1004"})).await;
    assert_eq!(supervisor.next_of("failed").await["code"], "call-over", "1004 talks with nobody");

    let (rings, ringing) = (offer("1001", 1, Role::Inbound), CallId(ulid::Ulid(8)));
    desk.change(ringing, What::Offered(rings.clone()), &[(&rings, AgentLeg::Ringing)]).await;
    screen.next_of("pop").await;
    let mut stranger = desk.screen("1003").await;
    stranger.begin().await;
    stranger.say(json!({"type": "call.pickup", "id": "p", "agent": "1001"})).await;
    assert_eq!(stranger.next_of("failed").await["code"], "not-permitted");
    supervisor.say(json!({"type": "call.pickup", "id": "p", "agent": "1001"})).await;
    let Ask::Act(errand) = desk.asked().await else { panic!("nothing is done") };
    assert_eq!((errand.call, errand.of.as_str(), errand.verb), (ringing, "1001", Verb::Pickup));
    let audit = desk.audited();
    assert!(audit.contains(&("1003".to_owned(), "call.take", "not-permitted".to_owned())), "{audit:?}");
}

#[tokio::test]
async fn what_is_done_by_hand_is_counted_for_the_call_and_answered_when_it_is_durable() {
    let mut desk = Desk::open(|_| {}).await;
    let mut screen = desk.screen("1001").await;
    screen.begin().await;
    talking(&desk, &mut screen).await;
    screen.say(json!({"type": "ops.count", "id": "c1", "call": CALL, "kind": "number-copied"})).await;
    let Ask::ByHand { key, call, kind, count, token } = desk.asked().await else { panic!("it is no count") };
    assert_eq!(
        (key.1.as_str(), call, serde_json::to_value(kind).unwrap(), count),
        ("1001", CALL, json!("number-copied"), 1)
    );
    desk.roster(move |roster, now| roster.committed(now, token, true)).await;
    assert_eq!(screen.next_of("done").await["id"], "c1");
    // The same request again is the same count.
    screen.say(json!({"type": "ops.count", "id": "c1", "call": CALL, "kind": "number-copied"})).await;
    assert_eq!(screen.next_of("done").await["id"], "c1");
    for (id, frame, code) in [
        ("c2", json!({"call": CALL, "kind": "coffee-made"}), "bad-request"),
        ("c3", json!({"call": CALL, "kind": "record-opened", "count": 0}), "bad-request"),
        ("c4", json!({"call": CallId(ulid::Ulid(8)), "kind": "record-opened"}), "unknown-call"),
    ] {
        let mut frame = frame;
        frame.as_object_mut().unwrap().extend([("type".to_owned(), json!("ops.count")), ("id".to_owned(), json!(id))]);
        screen.say(frame).await;
        let failed = screen.next_of("failed").await;
        assert_eq!((failed["id"].as_str(), failed["code"].as_str()), (Some(id), Some(code)));
    }
}
