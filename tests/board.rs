//! A supervisor's board over the real daemon: callers who wait, the day as it goes, and the same day after a kill.

use std::path::Path;

use linecard::daemon::demo::story::Story;
use serde_json::{Value, json};

use crate::{daemon::Desk, privacy::Screen};

const PROGRAM: &str = env!("CARGO_BIN_EXE_linecard");

/// What comes until one is so.
async fn until(screen: &mut Screen, so: impl Fn(&Value) -> bool) -> Value {
    loop {
        let board = screen.hear("board.changed").await;
        if so(&board) {
            return board;
        }
    }
}

async fn look(desk: &Desk) -> Screen {
    let mut screen = Screen::of(desk, "1002").await;
    screen.say(json!({"type": "board.watch", "id": "b"})).await;
    screen.hear("done").await;
    screen
}

fn support(board: &Value) -> Value {
    let queues = board["queues"].as_array().unwrap();
    queues.iter().find(|queue| queue["queue"] == "support").cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_sees_who_waits_and_its_day_survives_a_kill() {
    let mut desk = Desk::set(0.3).await;
    let agents = desk.stage.settings().join("agents.yaml");
    let text = std::fs::read_to_string(&agents).unwrap();
    std::fs::write(&agents, text.replace("name: Agent Wang\n", "name: Agent Wang\n    roles: [supervisor]\n")).unwrap();
    desk.start(None).await;
    let mut screen = look(&desk).await;
    let empty = until(&mut screen, |board| board["complete"] == true).await;
    assert_eq!(empty["hours"], json!([]));
    desk.pbx.play(Story::Answered, "13911112222", Some(0)).unwrap();
    let waits = until(&mut screen, |board| support(board)["waiting"] == 1).await;
    assert!(support(&waits)["longest_since"].is_string(), "{waits:#}");
    assert!(!waits.to_string().contains("13911112222"), "a customer's number is on the board");
    let talks = until(&mut screen, |board| board["calls"]["talking"] == 1).await;
    assert_eq!(support(&talks)["waiting"], 0);
    let over = until(&mut screen, |board| support(board)["offered"] == 1).await;
    let today = |board: &Value| {
        let queue = support(board);
        ["offered", "answered", "in_time", "abandoned"].map(|of| queue[of].as_u64().unwrap())
    };
    assert_eq!((today(&over), over["calls"]["talking"].as_u64()), ([1, 1, 1, 0], Some(0)));
    desk.until("the call is written", |desk| desk.records().len() == 1).await;

    let mut child = desk.child.take().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    desk.start(None).await;
    let mut screen = look(&desk).await;
    let again = until(&mut screen, |board| board["complete"] == true).await;
    assert_eq!((today(&again), again["hours"].as_array().map(Vec::len)), ([1, 1, 1, 0], Some(1)));
    // And it goes on: nothing is counted twice.
    desk.pbx.play(Story::Answered, "13911113333", Some(0)).unwrap();
    let next = until(&mut screen, |board| support(board)["offered"] != 1).await;
    assert_eq!(today(&next), [2, 2, 2, 0]);
    // The command line tells the same.
    desk.until("the second is written", |desk| desk.records().len() == 2).await;
    let told = desk.stage.verb(Path::new(PROGRAM), &["kpis", "--queue", "support", "--json"]).unwrap();
    let told: Value = serde_json::from_str(&told).unwrap();
    let level = told["whole"].as_array().unwrap().iter().find(|figure| figure["figure"] == "service_level").unwrap();
    assert_eq!((&level["n"], &level["value"]), (&json!(2), &json!(1.0)));
}
