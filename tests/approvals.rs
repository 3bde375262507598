//! An approval that is asked for by a messenger's card too: who may decide it there, who may not and hears why, and that one word counts however often, by whom and where buttons are pressed.

use std::{path::Path, sync::Arc, time::Duration};

use serde_json::{Value, json};

use crate::{
    agents::desk::Screen,
    daemon::Desk,
    escalation::{Chat, Kind, desk, flow, step},
    who,
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_linecard");

const FLOW: &str = r#"
flow: pay
schema: 1
title: Pay
on: [button: {}]
inputs: {amount: {type: amount}}
steps:
  - approval:
      name: agree
      amount: inputs.amount
      roles: [{role: supervisor, up_to: "500.00"}, {role: manager}]
      within_ms: 600000
      ask: {system: CHAT, text: "Pay {{ inputs.amount }}?"}
  - step: {name: tell, system: desk, operation: notify, inputs: {text: "paid {{ inputs.amount }}"}, undo: none}
"#;

const AGENTS: &str = r#"
roles: [manager]
agents:
  - {id: "1001", devices: [PJSIP/1001], roles: [manager], ids: {CHAT: U1001}}
  - {id: "1002", devices: [PJSIP/1002], roles: [supervisor], ids: {CHAT: U1002}}
  - {id: "1003", devices: [PJSIP/1003], roles: [manager], ids: {CHAT: U1003}}
  - {id: "1004", devices: [PJSIP/1004], ids: {CHAT: U1004}}
  - {id: "1005", devices: [PJSIP/1005], roles: [manager], ids: {CHAT: U1005}}
  - {id: "1006", devices: [PJSIP/1006], roles: [manager], ids: {CHAT: U1005}}
"#;

/// The two buttons of the card that asks for this amount.
async fn card(chat: &Chat, amount: &str) -> (String, String) {
    let end = std::time::Instant::now() + Duration::from_secs(30);
    loop {
        let posted = chat.posted();
        let text = format!("Pay {amount}?");
        if let Some(card) = posted.iter().find(|post| post.to_string().contains(&text)) {
            let button = |n: usize| match chat.kind {
                Kind::Slack => card["blocks"][1]["elements"][n]["value"].as_str().unwrap().to_owned(),
                Kind::Feishu => {
                    let content: Value = serde_json::from_str(card["content"].as_str().unwrap()).unwrap();
                    content["elements"][1]["actions"][n]["value"]["token"].as_str().unwrap().to_owned()
                }
            };
            return (button(0), button(1));
        }
        assert!(std::time::Instant::now() < end, "no card asks for {amount}: {posted:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Presses, and gives what who pressed is shown.
async fn press(chat: &Chat, who: &str, token: &str) -> String {
    let before = told(chat, who).len();
    let (status, body) = chat.send(&chat.pressed(who, token)).await;
    assert_eq!(status, 200);
    match chat.kind {
        Kind::Feishu => {
            let toast = serde_json::from_str::<Value>(&body).unwrap()["toast"].clone();
            assert_eq!(toast["type"] == "success", ["已同意", "已拒绝"].contains(&toast["content"].as_str().unwrap()));
            toast["content"].as_str().unwrap().to_owned()
        }
        Kind::Slack => {
            assert_eq!(body, "");
            let end = std::time::Instant::now() + Duration::from_secs(30);
            while told(chat, who).len() == before {
                assert!(std::time::Instant::now() < end, "{who} hears nothing");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            told(chat, who).pop().unwrap()
        }
    }
}

fn told(chat: &Chat, who: &str) -> Vec<String> {
    let to_one = |post: &Value| Some(post["text"].as_str()?.to_owned()).filter(|_| post["user"] == who);
    chat.posted().iter().filter_map(to_one).collect()
}

async fn begin(agent: &mut Screen, amount: &str) -> Value {
    agent.say(json!({"type": "flow.start", "id": amount, "name": "pay", "inputs": {"amount": amount}})).await;
    let id = agent.next_of("done").await["flow"].clone();
    flow(agent, &id, |f| f["state"] == "approval").await;
    id
}

fn paid(desk: &Desk) -> Vec<String> {
    desk.hosts.tickets.ledger().into_iter().filter(|w| w.what == "notice").map(|w| w.text).collect()
}

fn audit(desk: &Desk, id: &Value) -> String {
    desk.stage.verb(Path::new(PROGRAM), &["audit", "--about", id.as_str().unwrap(), "--json"]).unwrap()
}

async fn set(kind: Kind) -> (Desk, Arc<Chat>) {
    let (desk, chat) = desk(kind).await;
    desk.stage.write("agents.yaml", &AGENTS.replace("CHAT", chat.name())).unwrap();
    desk.stage.write("flows/pay.yaml", &FLOW.replace("CHAT", chat.name())).unwrap();
    if kind == Kind::Slack {
        // A message a second is Slack's; here many are told.
        let file = desk.stage.settings().join("connectors/slack.yaml");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("requests: 1, per_s: 1"));
        std::fs::write(&file, text.replace("requests: 1, per_s: 1", "requests: 100, per_s: 1")).unwrap();
    }
    (desk, chat)
}

async fn story(kind: Kind) {
    let (mut desk, chat) = set(kind).await;
    desk.start(None).await;
    let mut agent = who::screen(&desk, "1001").await;
    let by = |who: &str| format!("{who} ({})", chat.name());
    let says = |slack: &str, feishu: &str| if kind == Kind::Slack { slack.to_owned() } else { feishu.to_owned() };
    let unknown = says(
        "You are not known here. An administrator puts your id into agents.yaml, under your ids.",
        "系统不认识您：请管理员在 agents.yaml 的 ids 里登记您的 open_id",
    );
    let over = says("This waits for nobody any more.", "已经结束，不用再处理");
    let agreed = says("You agreed to it.", "已同意");

    // Who may not, hears why, and nothing happens.
    let large = begin(&mut agent, "900.00").await;
    let (yes, no) = card(&chat, "900.00").await;
    assert_eq!(chat.send_as(&chat.pressed("U1003", &yes), "a guess").await.0, 404);
    for (who, token, why) in [
        ("U0NOBODY", &yes, unknown.as_str()),
        ("U1005", &yes, unknown.as_str()),
        ("U1004", &yes, "No: your role may not agree to it."),
        ("U1004", &no, "No: your role may not refuse it."),
        ("U1002", &yes, "No: the amount is more than your role may agree to."),
        ("U1001", &yes, "No: who asked for it may not agree to it."),
        ("U1003", &yes.replace("/agree", "/other"), over.as_str()),
        ("U1003", &"approve/01JD8Z6Q5M0000000000000000/agree".to_owned(), over.as_str()),
        ("U1003", &"anything".to_owned(), over.as_str()),
    ] {
        assert_eq!(press(&chat, who, token).await, why, "{who} {token}");
    }
    assert_eq!(paid(&desk), Vec::<String>::new());
    let rows = audit(&desk, &large);
    for row in [
        format!("U0NOBODY@{}", chat.name()),
        "the amount is more than your role may agree to, by".to_owned(),
        "who asked for it may not agree to it, by".to_owned(),
    ] {
        assert!(rows.contains(&row), "{row} is not in {rows}");
    }

    // Who may, decides it once, and a kill right after the answer forgets nothing.
    assert_eq!(press(&chat, "U1003", &yes).await, agreed);
    desk.child.as_mut().unwrap().kill().unwrap();
    desk.child.take().unwrap().wait().unwrap();
    desk.start(None).await;
    desk.until("it is paid", |desk| paid(desk) == ["paid 900.00"]).await;
    let mut agent = who::screen(&desk, "1001").await;
    let decided =
        |what: &str, who: &str| says(&format!("This was already {what} by {who}."), &format!("已由 {who} 处理"));
    for (who, token) in [("U1002", &no), ("U1003", &yes), ("U1003", &no)] {
        assert_eq!(press(&chat, who, token).await, decided("agreed to", &by("1003")));
    }
    let rows = audit(&desk, &large);
    assert!(rows.contains(&format!("done, by {}", chat.name())) && rows.contains("\"1003\""), "{rows}");

    // A card is of its own approval: the old one does nothing to the next. Two at one time are one after the other, and the first one counts.
    let small = begin(&mut agent, "100.00").await;
    let (yes_small, no_small) = card(&chat, "100.00").await;
    assert_eq!(press(&chat, "U1003", &yes).await, decided("agreed to", &by("1003")));
    agent.say(json!({"type": "flow.list", "id": "l"})).await;
    let list = agent.next_of("done").await["flows"]["list"].clone();
    assert!(list.as_array().unwrap().iter().any(|one| one["flow"] == small && one["state"] == "approval"), "{list}");
    let (one, other) = tokio::join!(press(&chat, "U1002", &no_small), press(&chat, "U1003", &yes_small));
    let refused = says("You refused it.", "已拒绝");
    let first = [(&refused, "1002", "refused", "undone"), (&agreed, "1003", "agreed to", "done")];
    let (said, who, what, state) = first[usize::from(other == agreed)];
    let late = if who == "1002" { &other } else { &one };
    assert_eq!([&one, &other].iter().filter(|text| **text == said).count(), 1, "{one} {other}");
    assert_eq!(*late, decided(what, &by(who)));
    let ended = flow(&mut agent, &small, |f| f["state"] == state).await;
    if state == "done" {
        assert_eq!(step(&ended, "agree")["reason"], format!("by {}", by("1003")));
    }

    // The page was first.
    let third = begin(&mut agent, "200.00").await;
    let (yes, _) = card(&chat, "200.00").await;
    let mut boss = who::screen(&desk, "1003").await;
    boss.say(json!({"type": "flow.approve", "id": "y", "flow": third, "step": "agree"})).await;
    boss.next_of("done").await;
    let done = flow(&mut agent, &third, |f| f["state"] == "done").await;
    assert_eq!(
        (&step(&done, "agree")["reason"], &step(&done, "agree-card")["state"]),
        (&json!("by 1003"), &json!("done"))
    );
    assert_eq!(press(&chat, "U1002", &yes).await, decided("agreed to", "1003"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_decided_by_a_slack_card_under_the_rules_of_the_page() {
    story(Kind::Slack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_decided_by_a_feishu_card_under_the_rules_of_the_page() {
    story(Kind::Feishu).await;
}

/// A messenger that is away holds up nobody: the page decides, and the flow goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_cannot_be_sent_holds_up_nothing() {
    let (mut desk, chat) = set(Kind::Feishu).await;
    let nobody = crate::daemon::door();
    desk.stage.write("connectors/feishu-app.yaml", &chat.connector(nobody)).unwrap();
    desk.start(None).await;
    let mut agent = who::screen(&desk, "1001").await;
    let id = begin(&mut agent, "5.00").await;
    let mut boss = who::screen(&desk, "1002").await;
    boss.say(json!({"type": "flow.approve", "id": "y", "flow": id, "step": "agree"})).await;
    boss.next_of("done").await;
    let done = flow(&mut agent, &id, |f| f["state"] == "done").await;
    assert!(["skipped", "failed"].contains(&step(&done, "agree-card")["state"].as_str().unwrap()), "{done}");
    assert_eq!(paid(&desk), ["paid 5.00"]);
}
