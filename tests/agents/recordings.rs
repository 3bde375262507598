//! Recordings over the agents' WebSocket: offered where there is something to hear, and every answer has its code.

use linecard::{
    agents::Ask,
    calls::{Face, What, change::Role, face::AgentLeg},
    recordings::{Link, Offered, Refused},
    words::{CallId, Wall},
};
use serde_json::{Value, json};

use super::desk::{Desk, Screen, face, offer};

const CALL: CallId = CallId(ulid::Ulid(7));

/// 1001 had the call, and it is over; the last frame says what can be done.
async fn over(desk: &Desk, screen: &mut Screen, recorded: bool) -> Vec<Value> {
    let offer = offer("1001", 1, Role::Inbound);
    desk.change(CALL, What::Offered(offer.clone()), &[(&offer, AgentLeg::Ringing)]).await;
    screen.next_of("pop").await;
    desk.change(CALL, What::Established(offer.clone()), &[(&offer, AgentLeg::Talking)]).await;
    assert!(!screen.next_of("call.changed").await["actions"].as_array().unwrap().contains(&json!("recording.link")));
    for what in [What::Cleared { offer: offer.clone() }, What::Ended] {
        desk.change_of(Face { recorded, ..face(CALL, &[]) }, what).await;
    }
    loop {
        let changed = screen.next_of("call.changed").await;
        if changed["state"] == "ended" {
            return changed["actions"].as_array().unwrap().clone();
        }
    }
}

async fn hears(desk: &Desk, own: bool, all: &[&str]) {
    let all = all.iter().map(|role| (*role).to_owned()).collect();
    let offered = Offered { switches: vec!["pbx1".into()], own, all };
    desk.roster(move |roster, _| roster.hears(offered)).await;
}

#[tokio::test]
async fn it_is_offered_where_it_was_recorded_is_served_and_may_be_heard() {
    for (recorded, own, all, offered) in [
        (true, true, &[][..], true),
        (true, false, &["agent"], true),
        (true, false, &["quality"], false),
        (false, true, &[], false),
    ] {
        let desk = Desk::open(|_| {}).await;
        hears(&desk, own, all).await;
        let mut screen = desk.screen("1001").await;
        screen.begin().await;
        let actions = over(&desk, &mut screen, recorded).await;
        assert_eq!(actions.contains(&json!("recording.link")), offered, "{recorded} {own} {all:?}: {actions:?}");
    }
}

#[tokio::test]
async fn the_link_comes_to_who_asked_and_every_refusal_has_its_code() {
    let mut desk = Desk::open(|_| {}).await;
    let mut screen = desk.screen("1001").await;
    screen.begin().await;
    let ask = |id: &str| json!({"type": "recording.link", "id": id, "call": CALL, "recording": 2});
    screen.say(ask("a")).await;
    let Ask::Recording { asker, call, recording, token } = desk.asked().await else { panic!("nobody is asked") };
    assert_eq!((asker.agent.as_str(), asker.roles, call, recording), ("1001", vec!["agent".to_owned()], CALL, 2));
    let link = Link { url: "/v1/recordings/x?t=y".into(), expires_at: Wall(5), recording: 2, of: 3 };
    desk.roster(move |roster, now| roster.linked(now, token, Ok(link))).await;
    let done = screen.next_of("done").await;
    assert_eq!(
        done["link"],
        json!({"url": "/v1/recordings/x?t=y", "expires_at": "1970-01-01T00:00:00.005Z", "recording": 2, "of": 3})
    );
    // The same again is the same answer; nobody is asked twice.
    screen.say(ask("a")).await;
    assert_eq!(screen.next_of("done").await["link"], done["link"]);
    for (id, refused, code) in [
        ("b", Refused::NotPermitted, "not-permitted"),
        ("c", Refused::Unknown, "unknown-recording"),
        ("d", Refused::Gone, "recording-gone"),
        ("e", Refused::CallUp, "call-up"),
        ("f", Refused::NoPlace, "unavailable-here"),
        ("g", Refused::Unavailable, "unavailable"),
    ] {
        screen.say(ask(id)).await;
        let Ask::Recording { token, .. } = desk.asked().await else { panic!("nobody is asked") };
        desk.roster(move |roster, now| roster.linked(now, token, Err(refused))).await;
        let failed = screen.next_of("failed").await;
        assert_eq!((&failed["id"], &failed["code"]), (&json!(id), &json!(code)));
    }
    for bad in [
        json!({"call": "x"}),
        json!({"call": CALL, "recording": 1000}),
        json!({"call": CALL, "recording": -1}),
        json!({}),
    ] {
        let mut frame = json!({"type": "recording.link", "id": "h"});
        frame.as_object_mut().unwrap().extend(bad.as_object().cloned().unwrap());
        screen.say(frame).await;
        assert_eq!(screen.next_of("failed").await["code"], "bad-request", "{bad}");
    }
}
