//! What verbs do to calls, as 22.10.1 tells it: the switch's own attended transfer, legs that only listen, and legs that fetch a call.

use super::*;
use crate::calls::{change::Role, face::AgentLeg};

fn id(desk: &Desk) -> CallId {
    desk.only()
}

/// 1001 talks, and asks 1002 by the switch's own transfer: a Local channel, and one leg of 1001 that goes into its bridge.
fn asking(desk: &mut Desk) {
    desk.talking()
        .take(6, Said::Hold { leg: leg("100.2", "PJSIP/1001-2") })
        .take(7, new_leg("100.3", "Local/1002@agents-0;1", LegState::Down, "", ""))
        .take(7, new_leg("100.4", "Local/1002@agents-0;2", LegState::Calling, "", "1002"))
        .take(7, enter("100.3", "Local/1002@agents-0;1", "b2"))
        .take(7, new_leg("100.5", "PJSIP/1002-5", LegState::Down, "1002", "s"))
        .take(7, Said::BridgeLeave { leg: leg("100.2", "PJSIP/1001-2"), bridge: "b1".into() })
        .take(7, enter("100.2", "PJSIP/1001-2", "b2"))
        .take(7, dial(Some(("100.4", "Local/1002@agents-0;2")), ("100.5", "PJSIP/1002-5"), "PJSIP/1002"))
        .take(7, Said::State { leg: leg("100.5", "PJSIP/1002-5"), state: LegState::Ringing });
}

#[test]
fn the_switchs_own_attended_transfer_is_a_consultation() {
    let mut desk = Desk::new();
    asking(&mut desk);
    let call = id(&desk);
    let part = |desk: &Desk, agent: &str| desk.book.face(call).unwrap().part_of(&agent.into()).cloned().unwrap();
    assert_eq!((part(&desk, "1001").state, part(&desk, "1001").asking), (AgentLeg::Holding, true));
    assert_eq!((part(&desk, "1002").state, part(&desk, "1002").offer.role), (AgentLeg::Ringing, Role::Consult));
    let hand = desk.book.hand(call, &"1001".into()).unwrap();
    assert_eq!(
        (hand.own.name.as_str(), hand.with.unwrap().id.as_str()),
        ("PJSIP/1001-2", "100.1"),
        "the customer waits"
    );
    desk.take(9, Said::State { leg: leg("100.5", "PJSIP/1002-5"), state: LegState::Up })
        .take(9, enter("100.5", "PJSIP/1002-5", "b3"))
        .take(9, enter("100.4", "Local/1002@agents-0;2", "b3"));
    assert_eq!(part(&desk, "1002").state, AgentLeg::Talking);
    desk.news();
    // Back to the customer.
    desk.take(11, Said::BridgeLeave { leg: leg("100.2", "PJSIP/1001-2"), bridge: "b2".into() })
        .take(11, enter("100.2", "PJSIP/1001-2", "b1"))
        .take(11, Said::Unhold { leg: leg("100.2", "PJSIP/1001-2") })
        .take(11, gone("100.3", "Local/1002@agents-0;1", 16))
        .take(11, gone("100.4", "Local/1002@agents-0;2", 16))
        .take(11, gone("100.5", "PJSIP/1002-5", 16));
    assert_eq!((part(&desk, "1001").state, part(&desk, "1001").asking), (AgentLeg::Talking, false));
    assert!(desk.book.hand(call, &"1002".into()).is_none());
    desk.hang_up(20);
    assert!(desk.book.hand(call, &"1001".into()).is_none(), "what is over has no legs to act on");
    let record = serde_json::to_value(desk.book.record(call).unwrap()).unwrap();
    let consult = record["segments"].as_array().unwrap().iter().find(|s| s["kind"] == "consult").unwrap();
    assert_eq!((&consult["agent"], &record["agents"]), (&"1001".into(), &serde_json::json!(["1001"])));
}

#[test]
fn who_was_asked_and_gets_the_customer_has_the_call() {
    let mut desk = Desk::new();
    asking(&mut desk);
    let call = id(&desk);
    desk.take(9, Said::State { leg: leg("100.5", "PJSIP/1002-5"), state: LegState::Up })
        .take(9, enter("100.5", "PJSIP/1002-5", "b3"))
        .take(9, enter("100.4", "Local/1002@agents-0;2", "b3"))
        .take(11, Said::BridgeLeave { leg: leg("100.3", "Local/1002@agents-0;1"), bridge: "b2".into() })
        .take(11, enter("100.3", "Local/1002@agents-0;1", "b1"))
        .take(
            11,
            Said::AttendedTransfer {
                first: leg("100.2", "PJSIP/1001-2"),
                second: leg("100.2", "PJSIP/1001-2"),
                customer: Some(leg("100.1", "PJSIP/trunk-1")),
                target: Some(leg("100.3", "Local/1002@agents-0;1")),
                success: true,
            },
        )
        .take(11, gone("100.2", "PJSIP/1001-2", 16));
    let face = desk.book.face(call).unwrap();
    assert!(face.part_of(&"1001".into()).is_none());
    let taker = face.part_of(&"1002".into()).unwrap();
    assert_eq!((taker.state, taker.offer.role), (AgentLeg::Talking, Role::Transfer));
}

#[test]
fn who_listens_has_no_call() {
    let mut desk = Desk::new();
    desk.talking();
    let call = id(&desk);
    let ear = format!("{}01", RequestId::EAR);
    desk.take(6, new_leg(&ear, "PJSIP/1002-9", LegState::Down, "1002", "s"))
        .take(6, dial(None, (&ear, "PJSIP/1002-9"), "PJSIP/1002"))
        .take(7, Said::State { leg: leg(&ear, "PJSIP/1002-9"), state: LegState::Up })
        .take(7, Said::Listen { leg: leg("100.2", "PJSIP/1001-2"), by: leg(&ear, "PJSIP/1002-9") });
    assert_eq!(id(&desk), call, "no second call");
    assert!(desk.book.face(call).unwrap().part_of(&"1002".into()).is_none());
    desk.take(9, gone(&ear, "PJSIP/1002-9", 16)).hang_up(12);
    let record = serde_json::to_value(desk.book.record(call).unwrap()).unwrap();
    assert!(record["segments"].as_array().unwrap().iter().any(|s| s["kind"] == "monitor" && s["agent"] == "1002"));
    assert_eq!(record["agents"], serde_json::json!(["1001"]));
    let listener = serde_json::json!({"id": "p3", "role": "supervisor", "agent": "1002", "device": "PJSIP/1002"});
    assert_eq!(record["parties"].as_array().unwrap().last().unwrap(), &listener);
}

#[test]
fn who_fetches_a_call_has_it_from_the_first_ring() {
    for (had, role) in [(false, Role::Inbound), (true, Role::Transfer)] {
        let mut desk = Desk::new();
        if had {
            desk.talking()
        } else {
            desk.ringing()
        };
        let call = id(&desk);
        let request = RequestId("lc-take".to_owned());
        desk.book.expect_in(at(5), &request, if had { "100.1" } else { "100.2" });
        desk.take(6, new_leg("lc-take", "PJSIP/1002-9", LegState::Down, "1002", "s"))
            .take(6, Said::State { leg: leg("lc-take", "PJSIP/1002-9"), state: LegState::Ringing });
        let part = desk.book.face(call).unwrap().part_of(&"1002".into()).cloned().unwrap();
        assert_eq!((part.state, part.offer.role), (AgentLeg::Ringing, role));
        assert_eq!(id(&desk), call, "one call");
    }
}

#[test]
fn a_parked_call_has_the_leg_that_waits() {
    let mut desk = Desk::new();
    desk.talking();
    let call = id(&desk);
    assert!(desk.book.parked(call).is_none());
    let lot = Said::BridgeEnter { leg: leg("100.1", "PJSIP/trunk-1"), bridge: "lot".into(), kind: BridgeKind::Parking };
    desk.take(6, Said::BridgeLeave { leg: leg("100.1", "PJSIP/trunk-1"), bridge: "b1".into() })
        .take(6, lot)
        .take(6, gone("100.2", "PJSIP/1001-2", 16));
    assert_eq!(desk.book.parked(call).unwrap().own.id, "100.1");
    let face = desk.book.face(call).unwrap();
    assert!(face.agents.is_empty() && face.state == CallState::Held);
}
