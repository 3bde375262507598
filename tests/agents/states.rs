//! Agents' states over the agents' WebSocket: what each switch is asked for, and that what a switch says is what is shown.

use linecard::{
    agents::{Ask, Available, Kept, Settings, protocol::Availability},
    calls::{
        Directory, Face, What,
        change::{Role, Withdrawal},
        command::{Attend, Attendance, Because, Failure, Made},
        directory::{Agent, AgentsFile},
        event::{Member, Pause, Standing},
        face::{AgentLeg, CallState},
        members::Post,
    },
    live,
    words::{CallId, Now, Wall},
};
use serde_json::{Value, json};

use super::desk::{self, Desk, Screen, face, offer};

const CALL: CallId = CallId(ulid::Ulid(7));

fn post(queue: &str, dynamic: bool, standing: Standing) -> Post {
    let device = "PJSIP/1001".to_owned();
    let member = Member {
        name: "Li Na".into(),
        interface: device.clone(),
        device,
        queue: queue.into(),
        dynamic,
        reasons: true,
        standing,
    };
    Post { switch: "pbx1".into(), member, since: live::now().wall }
}

fn paused(reason: &str) -> Standing {
    Standing::Paused(Pause::new(reason, None))
}

fn teams() -> Directory {
    let of = |id: &str, team: &str, roles: &[&str]| Agent {
        teams: vec![team.to_owned()],
        roles: roles.iter().map(|r| (*r).to_owned()).collect(),
        queues: vec!["callback".to_owned()],
        ..Agent::new(id).at(&[&format!("PJSIP/{id}")])
    };
    let agents = vec![of("1001", "support", &[]), of("1002", "support", &["supervisor"]), of("1003", "sales", &[])];
    Directory::of(AgentsFile { agents, ..AgentsFile::default() })
}

/// What the switch tells of 1001.
async fn told(desk: &Desk, posts: Vec<Post>) {
    desk.roster(move |roster, now| roster.posts(now, &("default".into(), "1001".into()), posts)).await;
}

/// What a switch is asked, and for which queue.
async fn attends(desk: &mut Desk) -> Attendance {
    loop {
        match desk.asked().await {
            Ask::Attend(attendance) => return attendance,
            Ask::Keep { token: None, .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn answered(desk: &Desk, asked: &Attendance, outcome: Result<(), Failure>) {
    let request = asked.request.clone();
    desk.roster(move |roster, now| roster.attended(now, &request, &outcome.map(|()| Made::default()))).await;
}

/// What is to be kept; then it is.
async fn kept(desk: &mut Desk) -> Kept {
    loop {
        match desk.asked().await {
            Ask::Keep { kept, token: Some(token), .. } => {
                desk.roster(move |roster, now| roster.committed(now, token, true)).await;
                return kept;
            }
            Ask::Keep { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn state(screen: &mut Screen, wanted: &str) -> Value {
    loop {
        let frame = screen.next_of("agent.changed").await;
        if frame["state"] == wanted {
            return frame;
        }
    }
}

fn because(reason: &str) -> Attend {
    Attend::Pause(Because::new(reason).unwrap())
}

/// A call of the queue, taken.
async fn talking(desk: &Desk) {
    let offer = offer("1001", 1, Role::Inbound);
    desk.change(CALL, What::Offered(offer.clone()), &[(&offer, AgentLeg::Ringing)]).await;
    desk.change(CALL, What::Established(offer.clone()), &[(&offer, AgentLeg::Talking)]).await;
}

async fn over(desk: &Desk) {
    desk.change(CALL, What::Cleared { offer: offer("1001", 1, Role::Inbound) }, &[]).await;
}

async fn later(desk: &Desk, ms: u64) {
    desk.roster(move |roster, now| {
        let mut now = now;
        now.mono = now.mono.plus_ms(ms);
        now.wall = now.wall.plus_ms(i64::try_from(ms).unwrap());
        roster.tick(now, &desk::directory());
    })
    .await;
}

fn timed(settings: &mut Settings) {
    settings.states.after_call.queues = [("support".to_owned(), 30)].into();
    settings.states.reasons.iter_mut().for_each(|row| row.limit_s = Some(600));
}

#[tokio::test]
async fn what_is_set_on_the_page_is_asked_of_every_queue_and_done_when_all_did_it() {
    let mut desk = Desk::open(|_| {}).await;
    let mut screen = desk.screen("1001").await;
    let welcome = screen.next().await;
    assert_eq!(welcome["reasons"][1]["id"], "lunch");
    screen.say(json!({"type": "resume"})).await;
    screen.next().await;
    told(&desk, vec![post("callback", true, Standing::Ready), post("support", false, Standing::Ready)]).await;
    let changed = screen.next_of("agent.changed").await;
    assert_eq!((&changed["state"], changed["queues"].as_array().unwrap().len()), (&"ready".into(), 2));
    assert_eq!((&changed["queues"][0]["may_leave"], &changed["queues"][1]["may_leave"]), (&true.into(), &false.into()));

    screen.say(json!({"type": "agent.state", "id": "s", "state": "not-ready", "reason": "lunch"})).await;
    let asked = [attends(&mut desk).await, attends(&mut desk).await];
    assert_eq!(asked.each_ref().map(|a| a.queue.as_str()), ["callback", "support"]);
    assert!(asked.iter().all(|a| a.attend == because("lunch") && a.interface == "PJSIP/1001"));
    // Meanwhile nothing else is begun.
    screen.say(json!({"type": "agent.state", "id": "t", "state": "ready"})).await;
    assert_eq!(screen.next_of("failed").await["code"], "verb-pending");
    told(&desk, vec![post("callback", true, paused("lunch")), post("support", false, Standing::Ready)]).await;
    let half = screen.next_of("agent.changed").await;
    assert_eq!(half["state"], "ready", "calls of one queue still come: {half}");
    answered(&desk, &asked[0], Ok(())).await;
    told(&desk, vec![post("callback", true, paused("lunch")), post("support", false, paused("lunch"))]).await;
    let changed = state(&mut screen, "not-ready").await;
    assert_eq!((&changed["reason"], &changed["queues"][1]["reason"]), (&"lunch".into(), &"lunch".into()));
    answered(&desk, &asked[1], Ok(())).await;
    assert_eq!(kept(&mut desk).await.is.reason.as_deref(), Some("lunch"));
    assert_eq!(screen.next_of("done").await["id"], "s");

    // The phone's own code: kept in step.
    told(&desk, vec![post("callback", true, Standing::Ready), post("support", false, Standing::Ready)]).await;
    state(&mut screen, "ready").await;
    told(&desk, vec![post("callback", true, paused("")), post("support", false, paused(""))]).await;
    let changed = state(&mut screen, "not-ready").await;
    assert_eq!(changed.get("reason"), None);
    // And back from the page, although the phone set it.
    screen.say(json!({"type": "agent.state", "id": "r", "state": "ready"})).await;
    for _ in 0..2 {
        assert_eq!(attends(&mut desk).await.attend, Attend::Resume);
    }
    let audit = desk.audited();
    assert_eq!(
        audit,
        [
            ("1001".to_owned(), "agent.state", "verb-pending".to_owned()),
            ("1001".to_owned(), "agent.state", "done".to_owned())
        ]
    );
}

#[tokio::test]
async fn a_switch_that_refuses_is_told_and_a_reason_that_is_none_is_not_even_asked() {
    let mut desk = Desk::open(|_| {}).await;
    let mut screen = desk.screen("1001").await;
    screen.begin().await;
    told(&desk, vec![post("support", false, Standing::Ready)]).await;
    for (reason, state) in [("holiday", "not-ready"), ("lunch\r\nAction: Logoff", "not-ready"), ("lunch", "ready")] {
        screen
            .say(json!({"type": "agent.state", "id": format!("{reason}{state}"), "state": state, "reason": reason}))
            .await;
        assert_eq!(screen.next_of("failed").await["code"], "invalid-value");
    }
    screen.say(json!({"type": "agent.state", "id": "x", "state": "asleep"})).await;
    assert_eq!(screen.next_of("failed").await["code"], "bad-request");
    screen.say(json!({"type": "agent.state", "id": "y", "state": "not-ready"})).await;
    let asked = attends(&mut desk).await;
    assert_eq!(asked.attend, because("not-ready"));
    answered(&desk, &asked, Err(Failure::NotPermitted)).await;
    assert_eq!(screen.next_of("failed").await["code"], "not-permitted");
    screen.say(json!({"type": "ping", "id": "p"})).await;
    screen.next_of("done").await;
    assert!(desk.audited().contains(&("1001".to_owned(), "agent.state", "not-permitted".to_owned())));
}

#[tokio::test]
async fn after_a_call_ours_is_the_only_pause_that_is_taken_away() {
    let mut desk = Desk::open(timed).await;
    let mut screen = desk.screen("1001").await;
    screen.begin().await;
    told(&desk, vec![post("sales", false, paused("lunch")), post("support", false, Standing::Ready)]).await;
    talking(&desk).await;
    state(&mut screen, "busy").await;
    over(&desk).await;
    // The other queue was paused by somebody, and stays so.
    let asked = attends(&mut desk).await;
    assert_eq!((asked.queue.as_str(), &asked.attend), ("support", &because(Because::AFTER_CALL)));
    let changed = loop {
        let changed = screen.next_of("call.changed").await;
        if changed["wrapup"].is_object() {
            break changed;
        }
    };
    assert!(changed["wrapup"]["ready_at"].is_string() && changed["wrapup"]["may_extend"] == true, "{changed}");
    state(&mut screen, "working-after-call").await;
    answered(&desk, &asked, Ok(())).await;
    told(&desk, vec![post("sales", false, paused("lunch")), post("support", false, paused(Because::AFTER_CALL))]).await;
    let working = screen.next_of("agent.changed").await;
    assert_eq!(
        (&working["state"], &working["queues"][1]["state"]),
        (&"working-after-call".into(), &"working-after-call".into())
    );
    assert!(working["until"].is_string());

    // Before it is over: a minute more.
    screen.say(json!({"type": "wrapup.extend", "id": "e", "call": CALL})).await;
    assert_eq!(screen.next_of("done").await["id"], "e");
    later(&desk, 31_000).await;
    later(&desk, 89_000).await;
    screen.say(json!({"type": "ping", "id": "p"})).await;
    screen.next_of("done").await;
    assert_eq!(desk.audited(), [], "nothing was asked of a switch before 90 s");
    later(&desk, 91_000).await;
    let asked = attends(&mut desk).await;
    assert_eq!((asked.queue.as_str(), &asked.attend), ("support", &Attend::Resume));
    state(&mut screen, "ready").await;
    // The form stays; its time cannot be extended any more.
    screen.say(json!({"type": "wrapup.extend", "id": "f", "call": CALL})).await;
    assert_eq!(screen.next_of("failed").await["code"], "not-offered");
    screen.say(json!({"type": "wrapup.submit", "id": "w", "call": CALL, "disposition": ["other"]})).await;
    assert!(matches!(desk.asked().await, Ask::Record(..)));
}

#[tokio::test]
async fn a_pause_that_somebody_put_over_ours_stays() {
    let mut desk = Desk::open(timed).await;
    let mut screen = desk.screen("1001").await;
    screen.begin().await;
    told(&desk, vec![post("support", false, Standing::Ready)]).await;
    talking(&desk).await;
    over(&desk).await;
    let asked = attends(&mut desk).await;
    answered(&desk, &asked, Ok(())).await;
    told(&desk, vec![post("support", false, paused(Because::AFTER_CALL))]).await;
    told(&desk, vec![post("support", false, paused("audit"))]).await;
    state(&mut screen, "working-after-call").await;
    later(&desk, 31_000).await;
    let changed = state(&mut screen, "not-ready").await;
    assert_eq!(changed["reason"], "audit");
    screen.say(json!({"type": "ping", "id": "p"})).await;
    screen.next_of("done").await;
    while let Ok(asked) = tokio::time::timeout(std::time::Duration::ZERO, desk.asked()).await {
        assert!(matches!(asked, Ask::Keep { .. }), "{asked:?}");
    }
}

#[tokio::test]
async fn a_pause_of_ours_that_a_dead_run_left_is_taken_away() {
    let mut desk = Desk::open(timed).await;
    told(&desk, vec![post("support", false, paused(Because::AFTER_CALL)), post("sales", false, paused("lunch"))]).await;
    let asked = attends(&mut desk).await;
    assert_eq!((asked.queue.as_str(), &asked.attend), ("support", &Attend::Resume));
}

#[tokio::test]
async fn what_comes_after_the_call_comes_with_its_end() {
    let mut desk = Desk::open(timed).await;
    let mut screen = desk.screen("1001").await;
    screen.begin().await;
    told(&desk, vec![post("support", false, Standing::Ready)]).await;
    talking(&desk).await;
    screen.say(json!({"type": "agent.next", "id": "n", "state": "not-ready", "reason": "break"})).await;
    assert_eq!(screen.next_of("done").await["id"], "n");
    let changed = screen.next_of("agent.changed").await;
    assert_eq!(
        (&changed["state"], &changed["next"]),
        (&"busy".into(), &json!({"state": "not-ready", "reason": "break"}))
    );
    screen.say(json!({"type": "agent.next", "id": "m"})).await;
    assert_eq!(screen.next_of("agent.changed").await.get("next"), None, "taken back");
    screen.say(json!({"type": "agent.next", "id": "o", "state": "not-ready", "reason": "break"})).await;
    screen.next_of("agent.changed").await;
    over(&desk).await;
    // With that reason at once, so that no call comes in between.
    let asked = attends(&mut desk).await;
    assert_eq!(asked.attend, because("break"));
    answered(&desk, &asked, Ok(())).await;
    told(&desk, vec![post("support", false, paused("break"))]).await;
    state(&mut screen, "working-after-call").await;
    later(&desk, 31_000).await;
    let changed = state(&mut screen, "not-ready").await;
    assert_eq!(changed["reason"], "break");
    // Longer than this reason allows.
    later(&desk, 700_000).await;
    let overrun = screen.next_of("agent.changed").await;
    assert_eq!((&overrun["state"], &overrun["overrun"]), (&"not-ready".into(), &true.into()));
    loop {
        match desk.asked().await {
            Ask::Overran { key } => return assert_eq!(key.1.as_str(), "1001"),
            Ask::Keep { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn who_logs_off_leaves_what_can_be_left_and_comes_back_to_it() {
    let mut desk = Desk::open(|_| {}).await;
    let mut screen = desk.screen("1001").await;
    screen.begin().await;
    told(&desk, vec![post("callback", true, Standing::Ready), post("support", false, Standing::Ready)]).await;
    screen.say(json!({"type": "agent.state", "id": "o", "state": "logged-off"})).await;
    let asked = [attends(&mut desk).await, attends(&mut desk).await];
    assert_eq!(asked.each_ref().map(|a| a.attend.clone()), [Attend::LogOff, because(Because::LOGGED_OFF)]);
    for one in &asked {
        answered(&desk, one, Ok(())).await;
    }
    told(&desk, vec![post("support", false, paused(Because::LOGGED_OFF))]).await;
    let changed = loop {
        let changed = state(&mut screen, "logged-off").await;
        if changed["queues"].as_array().unwrap().len() == 1 {
            break changed;
        }
    };
    assert_eq!(changed["queues"][0]["state"], "logged-off");
    assert_eq!(kept(&mut desk).await.is.state, Availability::LoggedOff);
    screen.say(json!({"type": "agent.state", "id": "b", "state": "ready"})).await;
    let asked = [attends(&mut desk).await, attends(&mut desk).await];
    let back = Attend::LogOn { name: "Li Na".to_owned() };
    assert_eq!(
        asked.each_ref().map(|a| (a.queue.clone(), a.attend.clone())),
        [("support".to_owned(), Attend::Resume), ("callback".to_owned(), back)]
    );
}

#[tokio::test]
async fn without_a_switch_that_keeps_it_the_state_is_kept_here() {
    let mut desk = Desk::open(timed).await;
    let since = live::now().wall.plus_ms(-60_000);
    desk.roster(move |roster, now| {
        let is = Available { state: Availability::NotReady, reason: Some("meeting".to_owned()) };
        roster.recall_state(now, ("default".into(), "1001".into()), Kept { is, since });
    })
    .await;
    let mut screen = desk.screen("1001").await;
    screen.next().await;
    screen.say(json!({"type": "resume"})).await;
    let snapshot = screen.next().await;
    assert_eq!((&snapshot["agent"]["state"], &snapshot["agent"]["reason"]), (&"not-ready".into(), &"meeting".into()));
    assert!(snapshot["agent"].get("queues").is_none());
    screen.say(json!({"type": "agent.state", "id": "r", "state": "ready"})).await;
    assert_eq!(kept(&mut desk).await.is, Available::default());
    assert_eq!(state(&mut screen, "ready").await["state"], "ready");
}

#[tokio::test]
async fn a_supervisor_sets_the_state_of_an_agent_of_the_team_and_nobody_elses() {
    let mut desk = Desk::with(teams).await;
    let mut boss = desk.screen("1002").await;
    boss.begin().await;
    told(&desk, vec![post("support", false, Standing::Ready)]).await;
    boss.say(json!({"type": "agent.state", "id": "a", "state": "not-ready", "reason": "training", "agent": "1001"}))
        .await;
    let asked = attends(&mut desk).await;
    assert_eq!((asked.agent.as_str(), &asked.attend), ("1001", &because("training")));
    answered(&desk, &asked, Ok(())).await;
    kept(&mut desk).await;
    assert_eq!(boss.next_of("done").await["id"], "a");
    let mut colleague = desk.screen("1003").await;
    colleague.begin().await;
    for (screen, agent) in [(&mut colleague, "1001"), (&mut boss, "1003")] {
        screen.say(json!({"type": "agent.state", "id": "b", "state": "ready", "agent": agent})).await;
        assert_eq!(screen.next_of("failed").await["code"], "not-permitted");
    }
    let audit = desk.audited();
    let told: Vec<_> = audit.iter().map(|(who, _, result)| format!("{who} {result}")).collect();
    assert_eq!(told, ["1002 done", "1003 not-permitted", "1002 not-permitted"]);
}

#[tokio::test]
async fn queues_are_logged_in_to_by_those_whose_they_are() {
    let mut desk = Desk::with(teams).await;
    let mut screen = desk.screen("1001").await;
    assert_eq!(screen.next().await["queues"], json!(["callback"]));
    screen.say(json!({"type": "resume"})).await;
    screen.next().await;
    screen.say(json!({"type": "queue.login", "id": "1", "queue": "sales"})).await;
    assert_eq!(screen.next_of("failed").await["code"], "not-permitted");
    screen.say(json!({"type": "queue.login", "id": "2", "queue": "callback"})).await;
    let asked = attends(&mut desk).await;
    assert_eq!((asked.interface.as_str(), asked.queue.as_str()), ("PJSIP/1001", "callback"));
    assert!(matches!(asked.attend, Attend::LogOn { .. }));
    answered(&desk, &asked, Ok(())).await;
    assert_eq!(screen.next_of("done").await["id"], "2");
    told(&desk, vec![post("callback", true, Standing::Ready), post("support", false, Standing::Ready)]).await;
    screen.say(json!({"type": "queue.logout", "id": "3", "queue": "support"})).await;
    assert_eq!(screen.next_of("failed").await["code"], "not-offered");
    screen.say(json!({"type": "queue.logout", "id": "4", "queue": "callback"})).await;
    assert_eq!(attends(&mut desk).await.attend, Attend::LogOff);
}

fn with_notices() -> Directory {
    let notices =
        [("support".to_owned(), " Deliveries are late. ".to_owned()), ("*".to_owned(), "Drill at 15:00.".to_owned())];
    let agents = ["1001", "1002"].map(|id| Agent::new(id).at(&[&format!("PJSIP/{id}")])).into();
    Directory::of(AgentsFile { notices: notices.into(), agents, ..AgentsFile::default() })
}

#[tokio::test]
async fn a_desk_at_rest_is_told_who_waits_in_its_queues_and_what_is_to_be_read_there() {
    let desk = Desk::with(with_notices).await;
    let later = || desk.roster(|roster, now| roster.tick(Now { mono: now.mono.plus_ms(600), ..now }, &with_notices()));
    let waits = |n: u128, what: What, state: CallState, since: i64| {
        desk.change_of(Face { state, queued_at: Some(Wall(since)), ..face(CallId(ulid::Ulid(n)), &[]) }, what)
    };
    let queued = || What::Queued { queue: "support".to_owned() };
    let mut screen = desk.screen("1001").await;
    screen.begin().await;
    told(&desk, vec![post("support", false, Standing::Ready), post("sales", false, paused("lunch"))]).await;
    screen.say(json!({"type": "queue.watch", "id": "q"})).await;
    assert_eq!(screen.next_of("done").await["id"], "q");
    later().await;
    let first = screen.next_of("queues.changed").await;
    let support = |waiting: u32, since: Option<&str>| {
        let mut queue = json!({"queue": "support", "waiting": waiting, "notice": "Deliveries are late."});
        if let Some(since) = since {
            queue["longest_since"] = json!(since);
        }
        json!([{"queue": "sales", "waiting": 0}, queue])
    };
    assert_eq!((&first["queues"], &first["notice"]), (&support(0, None), &json!("Drill at 15:00.")));
    // Two come within the moment: one frame. Another queue's caller is none of this agent's.
    waits(1, queued(), CallState::Queued, 5_000).await;
    waits(2, queued(), CallState::Queued, 3_000).await;
    later().await;
    assert_eq!(screen.next_of("queues.changed").await["queues"], support(2, Some("1970-01-01T00:00:03.000Z")));
    // While it rings nothing is told; afterwards what is true then, once.
    let rings = offer("1001", 1, Role::Inbound);
    desk.change(CALL, What::Offered(rings.clone()), &[(&rings, AgentLeg::Ringing)]).await;
    waits(2, What::Ended, CallState::Ended, 3_000).await;
    later().await;
    desk.change(CALL, What::Withdrawn { offer: rings, reason: Withdrawal::CallerGone, by: None }, &[]).await;
    desk.change(CALL, What::Ended, &[]).await;
    later().await;
    let next = loop {
        let frame = screen.next().await;
        assert!(
            frame["type"] != "queues.changed" || frame["queues"] == support(1, Some("1970-01-01T00:00:05.000Z")),
            "{frame}"
        );
        if frame["type"] == "queues.changed" {
            break frame;
        }
    };
    assert_eq!(next["seq"], 0, "it is no part of the stream");
    screen.say(json!({"type": "queue.watch", "id": "n", "watch": false})).await;
    assert_eq!(screen.next_of("done").await["id"], "n");
    waits(3, queued(), CallState::Queued, 9_000).await;
    later().await;
    screen.say(json!({"type": "ping", "id": "p"})).await;
    loop {
        let frame = screen.next().await;
        assert_ne!(frame["type"], "queues.changed");
        if frame["id"] == "p" {
            break;
        }
    }
}

/// More desks at rest than are told in one turn of the core: what changes while it goes round reaches them all.
#[tokio::test]
async fn many_desks_at_rest_are_told_in_turns_and_none_is_left_with_what_was() {
    const DESKS: usize = 220;
    fn directory(notice: &str) -> Directory {
        let agents = (0..DESKS).map(|n| Agent::new(format!("{}", 2_000 + n))).collect();
        let notices = [("*".to_owned(), notice.to_owned())].into();
        Directory::of(AgentsFile { notices, agents, ..AgentsFile::default() })
    }
    let desk = Desk::with(|| directory("one")).await;
    let mut turns = 0;
    let mut turn = |notice: &str, stirs: bool| {
        turns += 1;
        let (directory, ms) = (directory(notice), turns * 600);
        desk.roster(move |roster, now| {
            let now = Now { mono: now.mono.plus_ms(ms), ..now };
            if stirs {
                roster.stir_queues(now);
            }
            roster.tick(now, &directory);
        })
    };
    let mut screens = Vec::new();
    for n in 0..DESKS {
        let mut screen = desk.screen(&format!("{}", 2_000 + n)).await;
        screen.begin().await;
        screen.say(json!({"type": "queue.watch", "id": "q"})).await;
        assert_eq!(screen.next_of("done").await["id"], "q");
        screens.push(screen);
    }
    turn("one", false).await;
    turn("one", false).await;
    for screen in &mut screens {
        assert_eq!(screen.next_of("queues.changed").await["notice"], "one");
    }
    turn("two", true).await; // planned for half a second later,
    turn("two", false).await; // the first are told,
    turn("three", true).await; // it changes, and the rest are told that,
    turn("three", false).await; // and the first again.
    turn("three", false).await;
    let mut told_both = 0;
    for screen in &mut screens {
        let mut notice = screen.next_of("queues.changed").await["notice"].clone();
        if notice == "two" {
            told_both += 1;
            notice = screen.next_of("queues.changed").await["notice"].clone();
        }
        assert_eq!(notice, "three");
    }
    assert_eq!(told_both, 200, "in one turn");
}
