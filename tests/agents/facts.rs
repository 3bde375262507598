//! What a pop says beside the customer, and what agents see of their own day.

use linecard::{
    agents::{
        Ask, DayOf,
        protocol::{CalledBefore, MyCsat},
    },
    calls::{
        Face, What,
        change::Role,
        face::{AgentLeg, CallState, Had},
    },
    words::{CallId, Wall},
};
use serde_json::json;

use super::{
    CALL,
    desk::{Desk, face, offer},
};

/// Another caller of the same queue, as they stand now.
async fn other(desk: &Desk, n: u128, what: What, state: CallState) {
    desk.change_of(Face { state, ..face(CallId(ulid::Ulid(n)), &[]) }, what).await;
}

#[tokio::test]
async fn a_pop_says_how_many_wait_who_had_them_before_and_how_often_they_called() {
    let desk = Desk::open(|_| {}).await;
    let mut screen = desk.screen("1001").await;
    screen.begin().await;
    for n in 1..=3 {
        other(&desk, n, What::Queued { queue: "support".to_owned() }, CallState::Queued).await;
    }
    other(&desk, 1, What::Ended, CallState::Ended).await;
    let inbound = offer("1001", 1, Role::Inbound);
    desk.change(CALL, What::Offered(inbound.clone()), &[(&inbound, AgentLeg::Ringing)]).await;
    let pop = screen.next().await;
    assert_eq!(
        (&pop["queue"]["waiting"], &pop["called_before"], &pop["had_by"]),
        (&json!(2), &json!(null), &json!(null))
    );
    assert_eq!(screen.next().await["state"], "busy");
    // Read after the start: who sees the call already is told.
    let before = CalledBefore { days: 7, calls: 1, last_at: Some(Wall(0)) };
    desk.roster(move |roster, now| {
        assert!(roster.lacks_before(CALL));
        roster.called_before(now, CALL, before);
        assert!(!roster.lacks_before(CALL));
    })
    .await;
    let updated = screen.next().await;
    assert_eq!(updated["type"], "pop.updated");
    assert_eq!(updated["called_before"], json!({"days": 7, "calls": 1, "last_at": "1970-01-01T00:00:00.000Z"}));
    // Handed on: the next agent sees from whom, and for how long.
    let mut second = desk.screen("1002").await;
    second.begin().await;
    let transfer = offer("1002", 2, Role::Transfer);
    let had = |agent: &str, to: Option<i64>| Had {
        agent: agent.into(),
        name: Some("Li Na".to_owned()),
        from: Some(Wall(1_000)),
        to: to.map(Wall),
    };
    let now = face(CALL, &[(&transfer, AgentLeg::Ringing)]);
    let told = Face { had: vec![had("1001", Some(73_000)), had("1003", None)], answered_at: Some(Wall(1_000)), ..now };
    desk.change_of(told, What::Offered(transfer)).await;
    let pop = second.next_of("pop").await;
    assert_eq!(
        pop["had_by"],
        json!([{"agent": "1001", "name": "Li Na", "ms": 72_000}, {"agent": "1003", "name": "Li Na"}])
    );
    assert_eq!((&pop["queue"]["waiting"], &pop["called_before"]["calls"]), (&json!(null), &json!(1)));
}

#[tokio::test]
async fn a_wrap_up_is_not_taken_without_the_outcome_that_its_queue_requires() {
    let mut desk = Desk::open(|_| {}).await;
    let mut screen = desk.screen("1001").await;
    screen.begin().await;
    desk.roster(|roster, _| roster.outcome_required(vec!["support".to_owned()])).await;
    let inbound = offer("1001", 1, Role::Inbound);
    desk.change(CALL, What::Offered(inbound.clone()), &[(&inbound, AgentLeg::Ringing)]).await;
    assert_eq!(screen.next().await["outcome_required"], true);
    desk.change(CALL, What::Established(inbound.clone()), &[(&inbound, AgentLeg::Talking)]).await;
    desk.change(CALL, What::Cleared { offer: inbound }, &[]).await;
    screen.say(json!({"type": "wrapup.submit", "id": "w1", "call": CALL, "disposition": []})).await;
    assert_eq!(screen.next_of("failed").await["code"], "outcome-required");
    screen.say(json!({"type": "wrapup.submit", "id": "w2", "call": CALL, "disposition": ["repair"]})).await;
    assert!(matches!(desk.asked().await, Ask::Record(..)), "it was not written down");
}

#[tokio::test]
async fn an_agent_s_own_day_is_in_the_snapshot_and_told_when_it_changes() {
    let desk = Desk::open(|_| {}).await;
    let mut screen = desk.screen("1001").await;
    screen.next_of("welcome").await;
    screen.say(json!({"type": "resume"})).await;
    let snapshot = screen.next().await;
    assert!(snapshot["agent"]["today"].is_null(), "the day before the start is not read yet: {snapshot}");
    let tell = |until: i64, days: Vec<(&'static str, (u64, u64))>| {
        let day = |(calls, handling_ms)| DayOf { calls, handling_ms, csat: MyCsat { good: 1, of: calls } };
        desk.roster(move |roster, now| {
            let key = |agent: &str| ("default".into(), agent.into());
            roster.days(now, Wall(until), true, days.into_iter().map(|(agent, of)| (key(agent), day(of))));
        })
    };
    let until = 4_102_444_800_000;
    tell(until, Vec::new()).await;
    let none = json!({"calls": 0, "handling_ms": 0, "csat": {"good": 0, "of": 0}, "until": "2100-01-01T00:00:00.000Z"});
    assert_eq!(screen.next().await["today"], none, "it was read, and there was nothing");
    tell(until, vec![("1002", (1, 1_000))]).await;
    tell(until, vec![("1001", (2, 240_000))]).await;
    assert_eq!(
        screen.next().await["today"],
        json!({"calls": 2, "handling_ms": 240_000, "csat": {"good": 1, "of": 2}, "until": "2100-01-01T00:00:00.000Z"})
    );
    // After midnight a colleague's first call: these are yesterday's.
    tell(until + 86_400_000, vec![("1002", (1, 1_000))]).await;
    assert_eq!(
        screen.next().await["today"],
        json!({"calls": 0, "handling_ms": 0, "csat": {"good": 0, "of": 0}, "until": "2100-01-02T00:00:00.000Z"})
    );
}
