//! A supervisor's look at their team: who is told what of whom, and for how long.

use linecard::{
    agents::{
        Ask, LinkState, Roster,
        protocol::{Board, BoardQueue},
    },
    calls::{
        Directory, What,
        ability::{Abilities, Ability},
        change::Role,
        command::Deed,
        directory::{Agent, AgentsFile},
        face::{AgentLeg, CallState},
    },
    numbers::TrunkRow,
    words::{CallId, Now},
};
use serde_json::{Value, json};

use super::desk::{self, Desk, Screen, offer};

const CALL: CallId = CallId(ulid::Ulid(7));

fn of(id: &str, teams: &[&str], roles: &[&str]) -> Agent {
    Agent {
        name: Some(format!("Agent {id}")),
        teams: teams.iter().map(|t| (*t).to_owned()).collect(),
        roles: roles.iter().map(|r| (*r).to_owned()).collect(),
        ..Agent::new(id).at(&[&format!("PJSIP/{id}")])
    }
}

fn teams() -> Directory {
    let deskless = Agent { devices: Vec::new(), ..of("1005", &["support"], &["supervisor"]) };
    Directory::of(AgentsFile {
        agents: vec![
            of("1001", &["support"], &[]),
            of("1002", &["support", "night"], &["supervisor"]),
            of("1003", &["sales"], &["supervisor"]),
            of("1004", &["support"], &[]),
            deskless,
            Agent { tenant: "other".into(), ..of("2001", &["support"], &[]) },
        ],
        ..AgentsFile::default()
    })
}

/// News are gathered for a moment; it is over.
async fn a_moment(desk: &Desk) {
    desk.roster(|roster, now| roster.tick(Now { mono: now.mono.plus_ms(250), ..now }, &teams())).await;
}

async fn list(screen: &mut Screen, id: &str) -> Value {
    screen.say(json!({"type": "team.list", "id": id})).await;
    let done = screen.next_of("done").await;
    assert_eq!(done["id"], id);
    done["team"].clone()
}

async fn begun(desk: &Desk, agent: &str) -> Screen {
    let mut screen = desk.screen(agent).await;
    screen.begin().await;
    screen
}

/// Everything that came up to now.
async fn so_far(screen: &mut Screen, id: &str) -> Vec<Value> {
    screen.say(json!({"type": "ping", "id": id})).await;
    let mut all = Vec::new();
    loop {
        let frame = screen.next().await;
        if frame["type"] == "done" && frame["id"] == id {
            return all;
        }
        all.push(frame);
    }
}

fn ids(team: &Value) -> Vec<&str> {
    team["list"].as_array().unwrap().iter().map(|m| m["agent"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn supervisors_see_who_of_their_teams_talks_and_what_they_can_do() {
    let desk = Desk::with(teams).await;
    let (mut agent, mut supervisor) = (begun(&desk, "1001").await, begun(&desk, "1002").await);
    agent.say(json!({"type": "team.list", "id": "1"})).await;
    assert_eq!(agent.next_of("failed").await["code"], "not-permitted");

    let team = list(&mut supervisor, "1").await;
    assert_eq!(
        (&team["agents"], ids(&team)),
        (&json!(3), vec!["1001", "1004", "1005"]),
        "not 1002, sales, or a tenant's"
    );
    let idle =
        json!({"agent": "1001", "name": "Agent 1001", "state": "ready", "here": true, "actions": ["agent.state"]});
    assert_eq!(team["list"][0], idle);
    assert_eq!(team["list"][1]["here"], false);

    // It rings, is taken and held within a moment: one frame, of how it is.
    let it = offer("1001", 1, Role::Inbound);
    desk.change(CALL, What::Offered(it.clone()), &[(&it, AgentLeg::Ringing)]).await;
    desk.change(CALL, What::Established(it.clone()), &[(&it, AgentLeg::Talking)]).await;
    a_moment(&desk).await;
    let news = so_far(&mut supervisor, "a").await;
    assert_eq!(news.len(), 1, "{news:?}");
    let (news, call) = (&news[0], &news[0]["call"]);
    assert_eq!(
        (&news["type"], &news["agent"], &news["state"]),
        (&json!("team.changed"), &json!("1001"), &json!("busy"))
    );
    assert_eq!((&call["call"], &call["leg"]), (&json!(CALL.to_string()), &json!("talking")));
    assert_eq!((&call["title"], &call["queue"]), (&json!("After-sales"), &json!("Support")));
    assert_eq!(call["number"]["display"], "13800138000");
    assert!(call["number"]["handle"].is_null() && news["since"].is_string());
    assert_eq!(news["actions"], json!(["call.listen", "call.whisper", "call.barge", "call.take", "agent.state"]));

    // Held, and over: each is told; nothing is when nothing happened.
    desk.change(CALL, What::Held { agent: "1001".into() }, &[(&it, AgentLeg::Holding)]).await;
    a_moment(&desk).await;
    assert_eq!(supervisor.next_of("team.changed").await["call"]["leg"], "holding");
    let mut face = desk::face(CALL, &[]);
    face.state = CallState::Ended;
    desk.change_of(face, What::Cleared { offer: it }).await;
    a_moment(&desk).await;
    let over = supervisor.next_of("team.changed").await;
    assert_eq!((&over["state"], &over["actions"]), (&json!("working-after-call"), &json!(["agent.state"])));
    assert!(over["call"].is_null() && over["since"].is_string());
    a_moment(&desk).await;
    assert_eq!(so_far(&mut supervisor, "b").await, Vec::<Value>::new());

    // Who went away is told too, and after "no more" nothing is.
    drop(agent);
    let mut desk = desk;
    desk.detached().await;
    a_moment(&desk).await;
    assert_eq!(supervisor.next_of("team.changed").await["here"], false);
    supervisor.say(json!({"type": "team.list", "id": "2", "watch": false})).await;
    supervisor.next_of("done").await;
    let _agent = begun(&desk, "1004").await;
    a_moment(&desk).await;
    assert_eq!(so_far(&mut supervisor, "c").await, Vec::<Value>::new());
}

#[tokio::test]
async fn only_what_works_there_is_offered_and_only_to_whose_team_it_is() {
    let desk = Desk::with(teams).await;
    let (mut own, mut other, mut deskless) =
        (begun(&desk, "1002").await, begun(&desk, "1003").await, begun(&desk, "1005").await);
    assert_eq!(ids(&list(&mut other, "1").await), Vec::<&str>::new());
    list(&mut own, "1").await;
    list(&mut deskless, "1").await;
    desk.roster(|roster, _| {
        let able = |deed| match deed {
            Deed::Listen | Deed::Take => Ability::Works,
            _ => Ability::Cannot("not here"),
        };
        roster.can([("pbx1".into(), Abilities::of(able))].into());
    })
    .await;
    let it = offer("1001", 1, Role::Inbound);
    let mut face = desk::face(CALL, &[(&it, AgentLeg::Ringing)]);
    let hidden = json!({"title": "After-sales", "mask": "all"});
    face.line = Some(std::sync::Arc::new(serde_json::from_value::<TrunkRow>(hidden).unwrap()));
    face.name = Some("13800138000".into());
    desk.change_of(face.clone(), What::Offered(it.clone())).await;
    a_moment(&desk).await;
    assert_eq!(own.next_of("team.changed").await["actions"], json!(["agent.state"]), "what rings is not listened to");
    face.agents[0].state = AgentLeg::Talking;
    desk.change_of(face, What::Established(it)).await;
    a_moment(&desk).await;
    let news = own.next_of("team.changed").await;
    assert_eq!(news["actions"], json!(["call.listen", "call.take", "agent.state"]));
    assert_eq!(
        (&news["call"]["number"]["display"], &news["call"]["name"]),
        (&json!("138****8000"), &json!("138****8000"))
    );
    let without = so_far(&mut deskless, "a").await;
    assert_eq!(
        without.last().unwrap()["actions"],
        json!(["agent.state"]),
        "nothing can ring at who has no phone there"
    );
    assert_eq!(so_far(&mut other, "a").await, Vec::<Value>::new());
}

/// A thousand agents change at once: each is told, two hundred in a turn, and other news of the core go in between.
#[tokio::test]
async fn a_thousand_changes_at_once_are_told_in_turns() {
    fn crowd() -> Directory {
        let agents = (0..1000).map(|n| of(&format!("a{n:04}"), &["support"], &[]));
        let supervisor = of("1002", &["support"], &["supervisor"]);
        Directory::of(AgentsFile { agents: agents.chain([supervisor]).collect(), ..AgentsFile::default() })
    }
    let desk = Desk::with(crowd).await;
    let mut supervisor = begun(&desk, "1002").await;
    let team = list(&mut supervisor, "1").await;
    assert_eq!((&team["agents"], ids(&team).len()), (&json!(1000), 200));
    let told = desk_frames(&desk, |roster, now| {
        for n in 0..1000 {
            let it = offer(&format!("a{n:04}"), 1, Role::Inbound);
            let call = CallId(ulid::Ulid(100 + n));
            let change = linecard::calls::Change { call, at: now, what: What::Offered(it.clone()) };
            roster.change(now, &change, &desk::face(call, &[(&it, AgentLeg::Ringing)]), None, &crowd());
        }
        while roster.drain(now).is_some() {}
        let mut turns = Vec::new();
        let mut at = Now { mono: now.mono.plus_ms(250), ..now };
        loop {
            roster.tick(at, &crowd());
            let told = std::iter::from_fn(|| roster.drain(at)).count();
            if told == 0 {
                return turns;
            }
            turns.push(told);
            at.mono = at.mono.plus_ms(10);
        }
    })
    .await;
    assert_eq!(told, [200; 5]);
    // A link's news still come.
    desk.roster(|roster, now| {
        let link = LinkState {
            kind: linecard::agents::protocol::LinkKind::Switch,
            id: "pbx1".into(),
            up: false,
            reason: None,
        };
        roster.link(now, link);
    })
    .await;
    supervisor.next_of("link.changed").await;
}

/// What a job at the roster gives back.
async fn desk_frames<T: Send + 'static>(
    desk: &Desk,
    job: impl FnOnce(&mut linecard::agents::Roster, Now) -> T + Send + 'static,
) -> T {
    let (give, have) = tokio::sync::oneshot::channel();
    desk.roster(move |roster, now| drop(give.send(job(roster, now)))).await;
    have.await.unwrap()
}

#[tokio::test]
async fn a_board_is_told_what_is_true_while_a_supervisor_looks() {
    let mut desk = Desk::with(teams).await;
    let (mut agent, mut supervisor) = (begun(&desk, "1001").await, begun(&desk, "1002").await);
    agent.say(json!({"type": "board.watch", "id": "1"})).await;
    assert_eq!(agent.next_of("failed").await["code"], "not-permitted");
    supervisor.say(json!({"type": "board.watch", "id": "1"})).await;
    assert_eq!(supervisor.next_of("done").await["id"], "1");
    a_moment(&desk).await;
    let Ask::Board(tenants) = desk.asked().await else { panic!("it is no board") };
    assert_eq!(tenants, ["default".into()]);

    let queue = |waiting| BoardQueue { queue: "support".to_owned(), waiting, ..BoardQueue::default() };
    let told = |waiting| [("default".into(), Board { queues: vec![queue(waiting)], ..Board::default() })].into();
    let boards = told(2);
    desk.roster(move |roster, now| roster.board(now, boards, &teams())).await;
    let board = supervisor.next_of("board.changed").await;
    assert_eq!((&board["queues"][0]["waiting"], &board["seq"]), (&json!(2), &json!(0)));
    // 1001 has a page open; 1004 and 1005 have none, and 1002 is no agent of their own.
    assert_eq!(board["agents"], json!({"ready": 1, "busy": 0, "after_call": 0, "not_ready": 0, "away": 2}));

    // Without news it is told again, so that its age shows; with news sooner.
    let later =
        |ms| move |roster: &mut Roster, now: Now| roster.tick(Now { mono: now.mono.plus_ms(ms), ..now }, &teams());
    desk.roster(later(1_000)).await;
    desk.roster(|roster, now| roster.stir(now)).await;
    a_moment(&desk).await;
    assert!(matches!(desk.asked().await, Ask::Board(_)));

    supervisor.say(json!({"type": "board.watch", "id": "2", "watch": false})).await;
    assert_eq!(supervisor.next_of("done").await["id"], "2");
    let boards = told(3);
    desk.roster(move |roster, now| roster.board(now, boards, &teams())).await;
    assert_eq!(so_far(&mut supervisor, "p").await, Vec::<Value>::new());
}
