//! The daemon at an event socket: pops, records, click-to-dial, a connection that breaks, a password that is wrong.

use serde_json::{Value, json};

use super::socket::{EventSocket, PASSWORD, Phone};
use crate::{daemon::Desk, privacy::Screen};

/// A site whose only switch is this one.
async fn site(password: &str) -> (Desk, EventSocket) {
    let desk = Desk::set(0.1).await;
    let socket = EventSocket::start().await;
    let file = format!(
        "freeswitch:\n  id: fs1\n  country: CN\n  area: \"21\"\n  trunks: [gateway/carrier]\n  internal: [\"100X\"]\n  attributes:\n    - {{name: ivr.account, from: {{variable: cti_account}}}}\n    - {{name: crm.ref, from: {{sip-header: x-account}}}}\n  recordings: {{folder: /var/rec}}\n  event_socket: {{host: 127.0.0.1, port: {}, secret: {{file: secrets/fs}}}}\n  dial: {{context: default}}\n",
        socket.address.port()
    );
    std::fs::write(desk.folder.join("secrets/fs"), password).unwrap();
    std::fs::remove_file(desk.stage.settings().join("switches/pbx1.yaml")).unwrap();
    desk.stage.write("switches/fs1.yaml", &file).unwrap();
    // Its answers are written into an attribute of the demo's switch.
    std::fs::remove_file(desk.stage.settings().join("flows/survey-result.yaml")).unwrap();
    let agents = std::fs::read_to_string(desk.stage.settings().join("agents.yaml")).unwrap();
    desk.stage
        .write(
            "agents.yaml",
            &agents
                .replace("PJSIP/", "sofia/")
                .replace("devices: [sofia/1003]", "devices: [sofia/1003]\n    roles: [supervisor]"),
        )
        .unwrap();
    (desk, socket)
}

const UP: &str = "linecard_link_up{switch=\"fs1\",feed=\"esl\"} 1";

/// The records, once there are so many.
async fn records(desk: &Desk, count: usize) -> Vec<Value> {
    desk.until("the calls are written", |d| d.records().len() == count).await;
    desk.records()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_pops_and_is_written_with_what_the_channel_said() {
    let (mut desk, socket) = site(PASSWORD).await;
    desk.start(None).await;
    desk.until("the link is up", |d| d.metrics().contains(UP)).await;
    let mut screen = Screen::of(&desk, "1001").await;
    let (_, agent) =
        socket.call("13800138000", "02161234567", "1001", &[("cti_account", "88001"), ("sip_h_X-Account", "crm-7")]);
    let pop = screen.hear("pop").await;
    assert_eq!((&pop["number"]["e164"], &pop["device"]), (&json!("+8613800138000"), &json!("sofia/1001")), "{pop:#}");
    assert_eq!(pop["attributes"], json!({"crm.ref": "crm-7", "ivr.account": "88001"}), "{pop:#}");
    assert_eq!(pop["title"], "Direct line 1001");
    socket.answer(&agent);
    while screen.hear("call.changed").await["state"] != "talking" {}
    socket.hang_up(&agent);
    let records = records(&desk, 1).await;
    let record = &records[0];
    for (key, wanted) in [
        ("switch", json!("fs1")),
        ("direction", json!("inbound")),
        ("outcome", json!("answered")),
        ("ended_by", json!("agent")),
        ("end", json!("seen")),
        ("quality", json!("exact")),
    ] {
        assert_eq!(record[key], wanted, "{key}: {record:#}");
    }
    assert_eq!(socket.channels(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_calls_the_agent_s_phone_first_and_says_what_became_of_it() {
    let (mut desk, socket) = site(PASSWORD).await;
    socket.phone("1001", Phone::Answers);
    desk.start(None).await;
    desk.until("the link is up", |d| d.metrics().contains(UP)).await;
    let mut screen = Screen::of(&desk, "1001").await;
    let reference = json!({"system": "desk", "type": "ticket", "id": "47,1}"});
    screen.say(json!({"type": "dial", "id": "1", "number": "138-0013-8001", "ref": reference})).await;
    let done = screen.hear("done").await;
    assert!(done["call"].is_string(), "{done:#}");
    let pop = screen.hear("pop").await;
    assert_eq!((&pop["origin"], &pop["ref"]["id"]), (&json!("click-to-dial"), &json!("47,1}")), "{pop:#}");
    let asked = socket.ledger();
    let [line] = asked.as_slice() else { panic!("{asked:?}") };
    assert!(
        line.starts_with("originate {origination_uuid=lc-") && line.ends_with("}user/1001 13800138001 XML default"),
        "{line}"
    );
    assert!(line.contains(",linecard_ref=desk:ticket:47%2C1%7D}"), "{line}");
    socket.until("the customer is called", |s| s.channels().len() == 2).await;
    // Another is called meanwhile: the first is in a call.
    screen.say(json!({"type": "dial", "id": "2", "number": "13800138002"})).await;
    assert_eq!(screen.hear("failed").await["code"], "agent-in-call");
    let mut other = Screen::of(&desk, "1002").await;
    other.say(json!({"type": "dial", "id": "1", "number": "13800138002"})).await;
    assert_eq!(other.hear("failed").await["code"], "not-registered");
    // Whether the channel or the job's end is heard first is chance: the agent is told once, and the record is the same.
    socket.phone("1002", Phone::Busy);
    other.say(json!({"type": "dial", "id": "3", "number": "13800138003"})).await;
    desk.until("the busy phone is written", |d| d.records().iter().any(|r| r["outcome"] == "agent-unreached")).await;
    socket.phone("1002", Phone::Rings);
    other.say(json!({"type": "dial", "id": "2", "number": "13800138004\n\napi fsctl shutdown"})).await;
    // The answer to the busy one may stand before it.
    let mut last = other.hear("failed").await;
    while last["id"] != "2" {
        last = other.hear("failed").await;
    }
    assert_eq!(last["code"], "unknown-target", "{last:#}");
    assert_eq!(socket.ledger().len(), 3, "nothing was sent for what cannot be dialled: {:?}", socket.ledger());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_connection_is_made_again_and_what_was_missed_is_said() {
    let (mut desk, socket) = site(PASSWORD).await;
    // It is up before anybody looks.
    let (_, before) = socket.call("13900139000", "02161234567", "1002", &[]);
    socket.answer(&before);
    desk.start(None).await;
    desk.until("the link is up", |d| d.metrics().contains(UP)).await;
    let (caller, agent) = socket.call("13800138000", "02161234567", "1001", &[]);
    socket.answer(&agent);
    desk.until("it is heard", |d| d.metrics().contains("linecard_calls_open 2")).await;
    socket.tear();
    socket.forget(&caller);
    desk.until("the link was made again", |d| {
        d.metrics().contains(UP) && d.metrics().contains("linecard_link_reconnects{switch=\"fs1\",feed=\"esl\"} 2")
    })
    .await;
    let lost = records(&desk, 1).await;
    assert_eq!(
        (&lost[0]["end"], &lost[0]["customer"]["raw"]),
        (&json!("lost"), &json!("138****8000")),
        "{:#}",
        lost[0]
    );
    socket.hang_up(&before);
    let all = records(&desk, 2).await;
    let seen = all.iter().find(|r| r["customer"]["raw"] == "139****9000").unwrap_or_else(|| panic!("{all:#?}"));
    assert_eq!((&seen["end"], &seen["outcome"]), (&json!("seen"), &json!("answered")), "{seen:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_said_and_not_tried_again_at_once() {
    let (mut desk, socket) = site("wrong").await;
    desk.spawn(None);
    let refused = "linecard_link_up{switch=\"fs1\",feed=\"esl\"} 0";
    desk.until("it is refused", |d| {
        d.metrics().contains(refused)
            && std::fs::read_to_string(d.stage.log()).unwrap().contains("the switch refused the user or the password")
    })
    .await;
    // A person must change something: the next try is seconds away.
    assert_eq!(socket.logins(), 2, "one of each connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_s_status_is_kept_in_step_with_the_page() {
    let (mut desk, socket) = site(PASSWORD).await;
    socket.agent("1001@default", "On Break");
    desk.start(None).await;
    desk.until("the link is up", |d| d.metrics().contains(UP)).await;
    let mut screen = Screen::of(&desk, "1001").await;
    async fn until(screen: &mut Screen, state: &str) -> Value {
        loop {
            let frame = screen.hear_any(&["agent.changed", "snapshot"]).await;
            let agent = if frame["type"] == "snapshot" { frame["agent"].clone() } else { frame };
            if agent["state"] == state {
                return agent;
            }
        }
    }
    /// A request and what comes of it: its answer and the new state, in any order. Whoever asks again before the answer is told to wait.
    async fn ask(screen: &mut Screen, id: &str, state: &str, reason: Option<&str>) {
        screen.say(json!({"type": "agent.state", "id": id, "state": state, "reason": reason})).await;
        let (mut done, mut changed) = (false, false);
        while !(done && changed) {
            let frame = screen.hear_any(&["agent.changed", "snapshot", "done", "failed"]).await;
            assert_ne!(frame["type"], "failed", "{frame:#}");
            let agent = if frame["type"] == "snapshot" { &frame["agent"] } else { &frame };
            done |= frame["type"] == "done" && frame["id"] == id;
            changed |= agent["state"] == state && reason.is_none_or(|reason| agent["reason"] == reason);
        }
    }
    // What was so before we came: shown once more, or told when the list is there.
    screen.say(json!({"type": "resume"})).await;
    let agent = until(&mut screen, "not-ready").await;
    assert_eq!(agent["queues"][0]["queue"], "support", "{agent:#}");
    ask(&mut screen, "1", "ready", None).await;
    assert_eq!(socket.status("1001@default"), "Available");
    // The reason is kept here, because the switch keeps none.
    ask(&mut screen, "2", "not-ready", Some("lunch")).await;
    assert_eq!(socket.status("1001@default"), "On Break");
    assert_eq!(socket.ledger().pop().unwrap(), "callcenter_config agent set status 1001@default 'On Break'");
    // At the switch, by somebody else; and off.
    socket.agent("1001@default", "Available");
    until(&mut screen, "ready").await;
    ask(&mut screen, "3", "logged-off", None).await;
    assert_eq!(socket.status("1001@default"), "Logged Out");
    // A place in a queue stands in the switch's settings: who has it has it, and nobody gets another by asking.
    screen.say(json!({"type": "queue.login", "id": "4", "queue": "support"})).await;
    let had = screen.hear_any(&["done", "failed"]).await;
    assert_eq!((&had["id"], &had["type"]), (&"4".into(), &"done".into()), "{had:#}");
    screen.say(json!({"type": "queue.login", "id": "5", "queue": "sales"})).await;
    let failed = screen.hear("failed").await;
    assert_eq!(failed["id"], "5", "{failed:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_asks_of_a_call_is_done_at_the_switch() {
    let (mut desk, socket) = site(PASSWORD).await;
    socket.phone("1003", Phone::Answers);
    desk.start(None).await;
    desk.until("the link is up", |d| d.metrics().contains(UP)).await;
    let mut screen = Screen::of(&desk, "1001").await;
    let mut other = Screen::of(&desk, "1002").await;
    let mut boss = Screen::of(&desk, "1003").await;
    let (customer, agent) = socket.call("13800138000", "02161234567", "1001", &[]);
    let call = screen.hear("pop").await["call"].clone();
    socket.answer(&agent);
    while screen.hear("call.changed").await["state"] != "talking" {}
    // Each verb: asked once, said to the switch in these words, and answered.
    for (n, (verb, more, line)) in [
        ("call.hold", json!({}), format!("uuid_hold {agent}")),
        ("call.retrieve", json!({}), format!("uuid_hold off {agent}")),
        ("call.mute", json!({}), format!("uuid_audio {agent} start read mute 1")),
        ("call.unmute", json!({}), format!("uuid_audio {agent} stop")),
        ("call.digits", json!({"digits": "12#"}), format!("uuid_send_dtmf {customer} 12#")),
        ("call.record.start", json!({}), format!("uuid_record {agent} start /var/rec/")),
        ("call.record.pause", json!({}), format!("uuid_record {agent} mask /var/rec/")),
        ("call.record.resume", json!({}), format!("uuid_record {agent} unmask /var/rec/")),
        ("call.record.stop", json!({}), format!("uuid_record {agent} stop /var/rec/")),
    ]
    .into_iter()
    .enumerate()
    {
        let mut frame = json!({"type": verb, "id": format!("v{n}"), "call": call});
        frame.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        screen.say(frame).await;
        // What the switch tells of it and the answer come in any order.
        let leg = match verb {
            "call.hold" => Some("holding"),
            "call.retrieve" => Some("talking"),
            _ => None,
        };
        let (mut answered, mut told) = (false, leg.is_none());
        while !(answered && told) {
            let frame = screen.hear_any(&["done", "failed", "call.changed"]).await;
            assert_ne!(frame["type"], "failed", "{verb}: {frame:#}");
            answered |= frame["type"] == "done";
            told |= leg.is_some_and(|leg| frame["leg"] == leg);
        }
        let last = socket.ledger().pop().unwrap();
        assert!(last.starts_with(&line), "{verb}: {last}, not {line}");
    }
    let asked = socket.ledger().len();
    for verb in ["call.consult", "call.transfer"] {
        screen.say(json!({"type": verb, "id": verb, "call": call, "to": "1002\n\napi fsctl shutdown now"})).await;
        assert_eq!(screen.hear_any(&["done", "failed"]).await["type"], "failed", "{verb}");
    }
    assert_eq!(socket.ledger().len(), asked, "nothing was sent: {:?}", socket.ledger());
    // A supervisor hears it without being in it.
    boss.say(json!({"type": "call.listen", "id": "l", "agent": "1001"})).await;
    let done = boss.hear_any(&["done", "failed"]).await;
    assert_eq!(done["type"], "done", "{done:#}");
    assert!(
        socket.ledger().pop().unwrap().ends_with(&format!("user/1003 &eavesdrop({agent})")),
        "{:?}",
        socket.ledger()
    );
    // And the call goes to a colleague, whose hanging up ends it.
    screen.say(json!({"type": "call.transfer", "id": "t", "call": call, "to": "1002"})).await;
    assert_eq!(screen.hear_any(&["done", "failed"]).await["type"], "done");
    assert_eq!(socket.ledger().pop().unwrap(), format!("uuid_transfer {customer} 1002 XML default"));
    let pop = other.hear("pop").await;
    assert_eq!(pop["call"], call, "{pop:#}");
    socket.answer(&socket.leg_of("1002"));
    while other.hear("call.changed").await["state"] != "talking" {}
    other.say(json!({"type": "call.hangup", "id": "h", "call": call})).await;
    assert_eq!(other.hear_any(&["done", "failed"]).await["type"], "done");
    desk.until("it is written", |d| d.records().iter().any(|r| r["call"] == call)).await;
    let record = desk.records().into_iter().find(|r| r["call"] == call).unwrap();
    assert_eq!(
        (&record["agents"], &record["customer"]["raw"]),
        (&json!(["1001", "1002"]), &json!("138****8000")),
        "{record:#}"
    );
    let heard = record["segments"].as_array().unwrap().iter().find(|s| s["kind"] == "monitor");
    assert_eq!(heard.map(|s| &s["agent"]), Some(&json!("1003")), "{record:#}");
}
