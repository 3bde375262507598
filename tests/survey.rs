//! What a customer says of a call afterwards: asked for by a flow, told by a webhook, in the record of that call and from there at a business system. Once, whatever
//! is killed when, and however long after the call.

use std::{path::Path, time::Duration};

use linecard::daemon::demo::{story::Story, survey};
use serde_json::{Value, json};

use crate::{
    daemon::Desk,
    flows::{QUICK, configure},
    who,
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_linecard");

/// A desk on which somebody who talked, however shortly, is asked how it was.
async fn asking(pace: f64) -> Desk {
    let mut desk = Desk::set(pace).await;
    configure(&desk, QUICK);
    let file = desk.stage.settings().join("flows/survey.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("call.talk_ms > 3000"));
    std::fs::write(&file, text.replace("call.talk_ms > 3000", "call.talk_ms > 0")).unwrap();
    desk.start(None).await;
    desk.until("the daemon is logged in", |desk| desk.pbx.logged_in() > 0).await;
    desk
}

/// Rules of a site whose system has an activity of each call.
const RULES: &str = r#"
wait_for_wrapup_ms: 0
rules:
  - name: an activity of each call
    when: {outcome: [answered]}
    do:
      - step: activity
        system: desk
        operation: ticket.create
        inputs:
          title: "Call of {{ customer.name }}"
          text: "{% if line %}{{ line }}{% endif %} Survey: {{ (record.attributes or {})['survey.score'] or '-' }}"
        amend:
          operation: note.add
          from_result: {target: result}
          inputs: {text: "Survey: {{ (record.attributes or {})['survey.score'] or '-' }}"}
  - name: what is only told once
    when: {outcome: [answered]}
    do:
      - step: line
        system: desk
        operation: ticket.create
        inputs: {title: "Line {{ line or 'unknown' }}", text: x}
        amend: {operation: note.add, from_result: {target: result}, inputs: {text: another line}}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_activity_that_a_system_has_of_the_call_is_told_the_answer_and_nothing_else() {
    let mut desk = Desk::set(0.3).await;
    desk.stage.write("rules.yaml", RULES).unwrap();
    configure(&desk, QUICK);
    desk.start(None).await;
    desk.until("the daemon is logged in", |desk| desk.pbx.logged_in() > 0).await;
    let made = |desk: &Desk| -> Vec<(&'static str, u64, String)> {
        desk.hosts.tickets.ledger().into_iter().map(|w| (w.what, w.ticket, w.text)).collect()
    };
    desk.pbx.play(Story::Answered, "13800138000", Some(0));
    desk.until("both tickets are there", |desk| made(desk).len() == 2).await;
    let activity = made(&desk).into_iter().find(|(_, _, text)| text.contains("Survey: -")).unwrap();
    assert_ne!(activity.2, " Survey: -", "the line was known");
    let call = record(&desk)["call"].as_str().unwrap().to_owned();
    kill(&mut desk).await;
    for (score, n) in [(2, 3), (4, 4)] {
        assert_eq!(tell(&desk, &survey::answer(&call, score, "")), "HTTP/1.1 200 OK");
        desk.until("it is told", |desk| made(desk).len() == n).await;
        assert_eq!(made(&desk)[n - 1], ("note", activity.1, format!("Survey: {score}")));
    }
    desk.until("all flows are done", |desk| flows(desk).iter().all(|flow| flow["state"] == "done")).await;
    let outbox = desk.stage.verb(Path::new(PROGRAM), &["outbox", "list", "--json"]).unwrap();
    assert_eq!((made(&desk).len(), outbox.trim()), (4, ""), "nothing else was done, nothing waits");
}

/// The one record, in full.
fn record(desk: &Desk) -> Value {
    let lines = desk.stage.verb(Path::new(PROGRAM), &["records", "list", "--json", "--full"]).unwrap();
    lines.lines().next().map_or(Value::Null, |line| serde_json::from_str(line).unwrap())
}

fn score(desk: &Desk) -> Value {
    record(desk)["attributes"]["survey.score"].clone()
}

fn tell(desk: &Desk, body: &str) -> String {
    survey::tell(desk.stage.places.hooks, body).unwrap()
}

fn unhappy(desk: &Desk) -> Vec<(String, String)> {
    let made = desk.hosts.tickets.ledger().into_iter();
    made.filter(|w| w.subject.starts_with("Unhappy")).map(|w| (w.subject, w.text)).collect()
}

fn flows(desk: &Desk) -> Vec<Value> {
    let lines = desk.stage.verb(Path::new(PROGRAM), &["flows", "list", "--all", "--json"]).unwrap();
    let all = lines.lines().map(|line| serde_json::from_str(line).unwrap());
    all.filter(|flow: &Value| flow["name"] == "survey-result").collect()
}

async fn kill(desk: &mut Desk) {
    desk.child.as_mut().unwrap().kill().unwrap();
    desk.child.take().unwrap().wait().unwrap();
    desk.start(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_in_the_record_of_its_call_and_a_bad_one_is_a_ticket_once() {
    let mut desk = asking(0.3).await;
    desk.pbx.play(Story::Answered, "13800138000", Some(0));
    desk.until("the customer is asked", |desk| desk.hosts.survey.ledger().len() == 1).await;
    let invitation = desk.hosts.survey.ledger()[0].clone();
    // Long after the call: a daemon that has it no more in memory, and to which the switch says nothing more of it.
    kill(&mut desk).await;
    let before = record(&desk);
    assert_eq!(
        (before["call"].as_str().unwrap(), invitation.subject.as_str()),
        (invitation.call.as_str(), "+8613800138000")
    );
    assert!(before["attributes"].is_null() && !before["customer"]["links"].as_array().unwrap().is_empty(), "{before}");

    let bad = survey::answer(&invitation.call, 1, "等太久了");
    assert_eq!(tell(&desk, &bad), "HTTP/1.1 200 OK");
    desk.until("the answer is in the record", |desk| score(desk) == "1").await;
    let after = record(&desk);
    assert_eq!(after["attributes"]["survey.comment"], "等太久了");
    assert_eq!(after["revision"], before["revision"].as_u64().unwrap() + 1);
    let same = |name: &str| assert_eq!(after[name], before[name], "{name}");
    ["customer", "outcome", "talk_ms", "agents", "segments"].iter().for_each(|name| same(name));
    desk.until("the desk has a ticket of it", |desk| unhappy(desk).len() == 1).await;
    let (subject, text) = unhappy(&desk)[0].clone();
    assert_eq!(subject, "Unhappy (1 of 5): 陈静");
    assert!(text.starts_with("等太久了\nAgent: 1001"), "{text}");
    // The flow is that call's, and says what it did.
    desk.until("the flow is done", |desk| flows(desk).iter().all(|flow| flow["state"] == "done")).await;
    assert_eq!((flows(&desk).len(), &flows(&desk)[0]["call"]), (1, &after["call"]));

    // The same event, the same answer in another event, an answer of a call that nobody knows, and one that is no answer.
    assert_eq!(tell(&desk, &bad), "HTTP/1.1 200 OK");
    let again = bad.replace("survey.answered\"", "survey.answered\", \"again\": true");
    assert_eq!(tell(&desk, &again), "HTTP/1.1 200 OK");
    assert_eq!(tell(&desk, &survey::answer("01JD0000000000000000000009", 1, "")), "HTTP/1.1 200 OK");
    assert_eq!(tell(&desk, &survey::answer(&invitation.call, 9, "")), "HTTP/1.1 200 OK");
    desk.until("the second is through", |desk| {
        flows(desk).len() == 2 && flows(desk).iter().all(|f| f["state"] == "done")
    })
    .await;
    assert_eq!(record(&desk), after, "nothing is new");

    // The customer thinks better of it: what was done is done, and no second ticket.
    assert_eq!(tell(&desk, &survey::answer(&invitation.call, 5, "")), "HTTP/1.1 200 OK");
    desk.until("the new answer counts", |desk| score(desk) == "5").await;
    assert!(record(&desk)["attributes"]["survey.comment"].is_null());
    assert_eq!((unhappy(&desk).len(), desk.hosts.survey.ledger().len()), (1, 1));
    let log = std::fs::read_to_string(desk.stage.log()).unwrap();
    assert!(log.contains("an event began no flow: it names no call that is on record here"), "{log}");
    assert!(!log.contains("等太久了"), "what a customer says is in no log");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_written_once_whenever_the_daemon_is_killed() {
    let mut desk = asking(0.3).await;
    desk.pbx.play(Story::Answered, "13800138000", Some(0));
    desk.until("the customer is asked", |desk| desk.hosts.survey.ledger().len() == 1).await;
    let call = desk.hosts.survey.ledger()[0].call.clone();
    // What the switch adds of a call in its last moment is no answer.
    kill(&mut desk).await;
    let mut revision = record(&desk)["revision"].as_u64().unwrap();
    for round in 0..8_u64 {
        let score = 3 + round % 3;
        let wanted = score.to_string();
        assert_eq!(tell(&desk, &survey::answer(&call, score, &format!("round {round}"))), "HTTP/1.1 200 OK");
        // What was told is on disk; from here each moment is one at which it may end.
        tokio::time::sleep(Duration::from_millis(round * 4)).await;
        kill(&mut desk).await;
        desk.until("the answer is in the record", |desk| {
            let now = record(desk);
            now["attributes"]["survey.comment"] == format!("round {round}")
                && now["attributes"]["survey.score"] == wanted.as_str()
        })
        .await;
        desk.until("the flow is done", |desk| flows(desk).iter().all(|flow| flow["state"] == "done")).await;
        revision += 1;
        assert_eq!(record(&desk)["revision"], revision, "one answer is one revision");
    }
    assert_eq!(flows(&desk).len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_while_the_call_is_up_is_on_the_screen_and_in_the_record_of_its_end() {
    let desk = asking(1.0).await;
    let mut agent = who::screen(&desk, "1001").await;
    desk.pbx.play(Story::Answered, "13800138000", Some(0));
    let pop = agent.next_of("pop").await;
    let call = pop["call"].as_str().unwrap().to_owned();
    assert_eq!(tell(&desk, &survey::answer(&call, 4, "")), "HTTP/1.1 200 OK");
    let shown = loop {
        let frame = agent.next().await;
        if frame["attributes"]["survey.score"] == "4" {
            break frame;
        }
    };
    assert_eq!(shown["call"], json!(call));
    desk.until("the call is over", |desk| !record(desk).is_null()).await;
    let written = record(&desk);
    assert_eq!((&written["call"], &written["attributes"]), (&json!(call), &json!({"survey.score": "4"})));
}
