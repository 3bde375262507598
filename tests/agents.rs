//! The agents' WebSocket: what is written down is what is sent. Real shards and sockets on loopback, the real roster, and a
//! schema check of every frame that a client here receives.

pub mod desk;
mod facts;
mod recordings;
mod states;
mod team;
mod typescript;
mod verbs;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use desk::{Desk, Screen, closed, offer, status_of, token};
use linecard::{
    agents::{Ask, Limits, LinkState, protocol},
    calls::record::Reference,
    calls::{
        Attributes, Change, What,
        change::{Role, Withdrawal},
        command::Failure,
        face::AgentLeg,
        seats::{How, Left, Refusal, Sitting, Turn},
    },
    customers::{
        Answer, Block, BlockState, Candidate, Card, Choice, FoundBy, Joined, JoinedBy, Person, Reason, Remembered,
        Shared,
    },
    records::{
        Said,
        callbacks::{Refused, Wish},
    },
    words::CallId,
};

/// `docs/protocol/schemas` is made from the Rust types. After a change of them: `UPDATE_SCHEMAS=1 cargo test schemas`.
#[test]
fn schemas_on_disk_are_those_of_the_types() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protocol/schemas");
    let mut expected = Vec::new();
    for (kind, schema) in protocol::schemas() {
        let name = format!("{kind}.json");
        let text = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            std::fs::write(folder.join(&name), &text).unwrap();
        }
        let found = std::fs::read_to_string(folder.join(&name)).unwrap_or_default();
        assert!(found == text, "{name} is not what the types say; run with UPDATE_SCHEMAS=1");
        expected.push(name);
    }
    let mut on_disk: Vec<String> =
        std::fs::read_dir(&folder).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
    on_disk.sort();
    expected.sort();
    assert_eq!(on_disk, expected, "a schema without a frame");
}

/// So are the SDK's types.
#[test]
fn schemas_are_what_the_sdk_s_types_say() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("web/sdk/frames.d.ts");
    let text = typescript::frames(&protocol::schemas());
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "frames.d.ts is not what the schemas say; run with UPDATE_SCHEMAS=1");
}

/// The AsyncAPI page names every frame once, and no other.
#[test]
fn asyncapi_names_every_frame() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protocol/asyncapi.yaml");
    let page: serde_json::Value = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let messages = page["channels"]["agent"]["messages"].as_object().unwrap();
    let mut named = Vec::new();
    for message in messages.values() {
        let name = message["name"].as_str().unwrap();
        assert_eq!(message["payload"]["$ref"], format!("./schemas/{name}.json"));
        named.push(name);
    }
    let mut kinds: Vec<&str> = protocol::schemas().iter().map(|(kind, _)| *kind).collect();
    named.sort_unstable();
    kinds.sort_unstable();
    assert_eq!(named, kinds);
    let operations = page["operations"].as_object().unwrap();
    let referred: usize = operations.values().map(|o| o["messages"].as_array().unwrap().len()).sum();
    assert_eq!(referred, kinds.len());
}

const CALL: CallId = CallId(ulid::Ulid(7));

fn candidate(id: &str) -> Arc<Person> {
    let link = Reference { system: "erp".into(), kind: "customer".into(), id: id.into() };
    let facts = serde_json::value::to_raw_value(&serde_json::json!({"tier":"gold"})).unwrap();
    Arc::new(Person::alone(Arc::new(Candidate {
        id: id.into(),
        name: Some("Zhang Wei".into()),
        reason: Some("mobile".into()),
        facts: Some(facts.into()),
        ..Candidate::at(link)
    })))
}

fn card(answer: Answer) -> Arc<Card> {
    let body = serde_json::value::RawValue::from_string(r#"{"balance":"1286.00"}"#.into()).unwrap();
    Arc::new(Card {
        found_by: Some(FoundBy::Number),
        attach: vec!["erp".into()],
        create: vec!["erp".into()],
        blocks: vec![Block {
            system: "erp".into(),
            kind: "finance".into(),
            title: Some("Balance".into()),
            state: BlockState::Fresh,
            asked_at: None,
            reason: None,
            trouble: None,
            body: Some(body.into()),
        }],
        ..Card::of(answer)
    })
}

#[tokio::test]
async fn who_gets_in() {
    let desk = Desk::open(|settings| settings.limits.authenticate_ms = 300).await;
    // The origin is exact: a table of those that are not it.
    for origin in [
        "http://desk.example.org",
        "https://desk.example.org:443",
        "https://desk.example.org.",
        "https://desk.example.org/",
        "https://DESK.example.org",
        "https://evil.desk.example.org",
        "https://desk.example.org.evil.example",
        "null",
        "",
        "*",
        "https://desk.example.org,https://evil.example",
        "https://desk.example.org https://evil.example",
        "file://",
    ] {
        assert_eq!(status_of(desk.connect("/v1/agent", Some(origin), "linecard.v1").await), 403, "{origin}");
    }
    assert_eq!(status_of(desk.connect("/v1/agent", None, "linecard.v1").await), 403);
    let query = format!("/v1/agent?token={}", token("1001", 60));
    assert_eq!(status_of(desk.connect(&query, Some(desk::ORIGIN), "linecard.v1").await), 400);
    assert_eq!(status_of(desk.connect("/v1/agent", Some(desk::ORIGIN), "other.v1").await), 400);
    assert_eq!(status_of(desk.connect("/v1/other", Some(desk::ORIGIN), "linecard.v1").await), 404);
    // Both ways to show a token.
    let mut by_frame = desk.screen("1001").await;
    assert_eq!(by_frame.next().await["type"], "welcome");
    let protocols = format!("linecard.v1, bearer.{}", token("1002", 60));
    let mut by_protocol = Screen::over(desk.connect("/v1/agent", Some(desk::ORIGIN), &protocols).await);
    let welcome = by_protocol.next().await;
    assert_eq!((&welcome["type"], &welcome["agent"]["id"]), (&"welcome".into(), &"1002".into()));
    assert_eq!((&welcome["agent"]["name"], &welcome["epoch"]), (&"Wang Fang".into(), &3.into()));
    // Tokens that are none.
    for bad in ["", "junk", &token("1001", -1), &token("1001", 60).replace('.', "!")] {
        let mut screen = Screen::over(desk.connect("/v1/agent", Some(desk::ORIGIN), "linecard.v1").await);
        screen.say(serde_json::json!({"type":"authenticate","token":bad})).await;
        assert_eq!(closed(screen).await, 4401);
    }
    let mut hasty = Screen::over(desk.connect("/v1/agent", Some(desk::ORIGIN), "linecard.v1").await);
    hasty.say(serde_json::json!({"type":"resume"})).await;
    assert_eq!(closed(hasty).await, 4401);
    let silent = Screen::over(desk.connect("/v1/agent", Some(desk::ORIGIN), "linecard.v1").await);
    assert_eq!(closed(silent).await, 4408);
    // A fresh token keeps one in; another agent's does not become one.
    by_frame.say(serde_json::json!({"type":"authenticate","token":token("1001", 600),"id":"a"})).await;
    assert_eq!(by_frame.next().await["type"], "done");
    by_frame.say(serde_json::json!({"type":"authenticate","token":token("1002", 600),"id":"b"})).await;
    assert_eq!(by_frame.next().await["code"], "unauthenticated");
    // Going away is said.
    desk.stop.cancel();
    assert_eq!(closed(by_frame).await, 1001);
}

#[tokio::test]
async fn the_page_is_served_with_a_strict_policy() {
    let desk = Desk::open(|_| {}).await;
    let page = desk.get("/").await;
    assert!(page.starts_with("HTTP/1.1 200 OK") && page.trim_end().ends_with("</html>"), "{page}");
    assert!(
        page.contains("content-security-policy: default-src 'none'")
            && page.contains("require-trusted-types-for 'script'")
    );
    assert!(desk.get("/../etc/passwd").await.starts_with("HTTP/1.1 404"));
}

/// What a choice is remembered for, how it is taken back, and how an unknown number becomes somebody's; every frame as its schema says.
#[tokio::test]
async fn choosing_forgetting_attaching_and_creating() {
    let mut desk = Desk::open(|_| {}).await;
    let mut screen = desk.screen("1001").await;
    screen.begin().await;
    let offer = offer("1001", 1, Role::Inbound);
    desk.change(CALL, What::Appeared, &[]).await;
    desk.change(CALL, What::Offered(offer.clone()), &[(&offer, AgentLeg::Ringing)]).await;
    screen.next_of("agent.changed").await;

    // A card with everything that it can say; to its owner, the own customer stands first.
    let at = linecard::live::now().wall;
    let reasons =
        |owner: &str| vec![Reason::LastCall { at, agent: Some("1002".into()) }, Reason::Owner { agent: owner.into() }];
    let joined = |id: &str, by| Joined { candidate: candidate(id).head.clone(), by };
    let one = Person {
        also: vec![joined("7", JoinedBy::Key("customer_no".into())), joined("8", JoinedBy::Name)],
        reasons: reasons("1002"),
        ..(*candidate("1")).clone()
    };
    let two = Person { reasons: reasons("1001"), ..(*candidate("2")).clone() };
    let two = Arc::new(two);
    let ambiguous = (*card(Answer::Ambiguous(vec![Arc::new(one), two.clone()]))).clone();
    let several = Arc::new(ambiguous.clone());
    desk.roster(move |roster, now| roster.card(now, CALL, &several)).await;
    let shown = screen.next_of("pop.updated").await;
    let ids: Vec<&str> =
        shown["card"]["candidates"].as_array().unwrap().iter().map(|c| c["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["2", "1"], "1001's own customer first, on 1001's screen");
    assert_eq!(shown["card"]["candidates"][1]["also"][0]["key"], "customer_no");
    assert_eq!(shown["card"]["candidates"][0]["reasons"][1], serde_json::json!({"kind": "owner", "agent": "1001"}));
    assert!(!shown["actions"].to_string().contains("customer.create"), "{}", shown["actions"]);

    // By a shared number the choice is this call's alone.
    let shared = Arc::new(Card { shared: Some(Shared::Listed), ..ambiguous.clone() });
    desk.roster(move |roster, now| roster.card(now, CALL, &shared)).await;
    assert_eq!(screen.next_of("pop.updated").await["card"]["shared"], "listed");
    screen.say(serde_json::json!({"type":"candidate.choose","id":"c1","call":CALL,"candidate":"7"})).await;
    assert_eq!(
        screen.next_of("pop.updated").await["chosen"],
        "1",
        "chosen by another system's record of the same person"
    );
    assert!(matches!(desk.asked().await, Ask::Choose { choice: Choice::Person(_), .. }));
    let Ask::Record(command, _) = desk.asked().await else { panic!("nothing recorded") };
    assert!(matches!(command.said, Said::Customer { choice: Choice::Person(_), number: None }));

    // What was remembered is said, and goes with one request.
    let remembered = Remembered { candidate: "2".into(), agent: "1002".into(), at };
    let found = Card { answer: Answer::Found(two), remembered: Some(remembered), ..ambiguous };
    desk.roster(move |roster, now| roster.card(now, CALL, &Arc::new(found))).await;
    let shown = screen.next_of("pop.updated").await;
    assert_eq!(shown["card"]["remembered"]["agent"], "1002");
    assert!(shown["actions"].to_string().contains("candidate.forget"));
    screen.say(serde_json::json!({"type":"candidate.forget","id":"c2","call":CALL})).await;
    assert!(screen.next_of("pop.updated").await["chosen"].is_null());
    assert!(matches!(desk.asked().await, Ask::Choose { choice: Choice::Open, .. }));
    let Ask::Record(command, durable) = desk.asked().await else { panic!("nothing recorded") };
    assert!(matches!(command.said, Said::Customer { choice: Choice::Open, number: Some(_) }));
    desk.roster(move |roster, now| roster.committed(now, durable, true)).await;
    assert_eq!(screen.next_of("done").await["id"], "c2");

    // Nobody knows the number: it can be put to somebody who is searched for, or made a customer.
    desk.roster(|roster, now| roster.card(now, CALL, &card(Answer::Absent))).await;
    let shown = screen.next_of("pop.updated").await;
    assert!(["customer.attach", "customer.create"].iter().all(|a| shown["actions"].to_string().contains(a)), "{shown}");
    screen.say(serde_json::json!({"type":"customer.attach","id":"a0","call":CALL,"candidate":"5"})).await;
    assert_eq!(screen.next_of("failed").await["code"], "unknown-candidate");
    screen.say(serde_json::json!({"type":"customer.search","id":"s","call":CALL,"query":"zhang"})).await;
    let Ask::Search { token, .. } = desk.asked().await else { panic!("no search") };
    let list = vec![candidate("5").head.clone()];
    desk.roster(move |roster, now| roster.found(now, token, Ok(list))).await;
    assert_eq!(screen.next_of("done").await["candidates"][0]["id"], "5");
    screen.say(serde_json::json!({"type":"customer.attach","id":"a1","call":CALL,"candidate":"5"})).await;
    assert!(matches!(desk.asked().await, Ask::Choose { choice: Choice::Person(_), .. }));
    let Ask::Record(command, _) = desk.asked().await else { panic!("nothing recorded") };
    assert!(matches!(command.said, Said::Customer { number: None, .. }));
    let Ask::Record(command, durable) = desk.asked().await else { panic!("nothing recorded") };
    let Said::Attach { customer, number } = command.said else { panic!("not attached") };
    assert_eq!((customer.id.as_str(), number.expose().as_str()), ("5", "+8613800138000"));
    desk.roster(move |roster, now| roster.committed(now, durable, true)).await;
    assert_eq!(screen.next_of("done").await["id"], "a1");

    let create = |id: &str, system: &str| serde_json::json!({"type":"customer.create","id":id,"call":CALL,"system":system,"name":"Zhao Min","company":"Lanhai"});
    screen.say(create("n0", "desk")).await;
    assert_eq!(screen.next_of("failed").await["code"], "not-offered");
    screen.say(create("n1", "erp")).await;
    let Ask::Record(command, durable) = desk.asked().await else { panic!("nothing recorded") };
    let Said::Create { fields, .. } = command.said else { panic!("nothing made") };
    assert_eq!(fields.keys().copied().collect::<Vec<_>>(), ["company", "name"]);
    desk.roster(move |roster, now| roster.committed(now, durable, true)).await;
    assert_eq!(screen.next_of("done").await["id"], "n1");
}

#[tokio::test]
async fn a_call_from_ring_to_wrap_up() {
    let mut desk = Desk::open(|_| {}).await;
    let mut screen = desk.screen("1001").await;
    screen.begin().await;
    let offer = offer("1001", 1, Role::Inbound);
    desk.change(CALL, What::Appeared, &[]).await;
    desk.change(CALL, What::Offered(offer.clone()), &[(&offer, AgentLeg::Ringing)]).await;
    let pop = screen.next().await;
    assert_eq!((&pop["type"], &pop["seq"], &pop["role"]), (&"pop".into(), &1.into(), &"inbound".into()));
    assert_eq!(pop["number"]["display"], "13800138000");
    assert_eq!((&pop["title"], &pop["queue"]["label"]), (&"After-sales".into(), &"Support".into()));
    assert_eq!(pop["card"]["answer"]["state"], "pending");
    assert_eq!(screen.next().await["state"], "busy");
    // Found, then several.
    desk.roster(|roster, now| roster.card(now, CALL, &card(Answer::Ambiguous(vec![candidate("1"), candidate("2")]))))
        .await;
    let updated = screen.next().await;
    assert_eq!((&updated["type"], &updated["pop"]), (&"pop.updated".into(), &pop["pop"]));
    assert_eq!(updated["card"]["blocks"][0]["body"]["balance"], "1286.00");
    assert_eq!(updated["actions"][0], "candidate.choose");
    screen.say(serde_json::json!({"type":"candidate.choose","id":"r1","call":CALL,"candidate":"3"})).await;
    assert_eq!(screen.next().await["code"], "unknown-candidate");
    screen.say(serde_json::json!({"type":"candidate.choose","id":"r2","call":CALL,"candidate":"2"})).await;
    assert_eq!(screen.next().await["chosen"], "2");
    let Ask::Choose { choice: Choice::Person(chosen), .. } = desk.asked().await else { panic!("nothing chosen") };
    assert_eq!(chosen.head.id, "2");
    let Ask::Record(command, durable) = desk.asked().await else { panic!("nothing recorded") };
    let Said::Customer { choice: Choice::Person(_), number } = command.said else { panic!("no choice") };
    assert_eq!(number.unwrap().expose(), "+8613800138000", "remembered for the number it was found by");
    // `done` only after it is durable: a ping sent meanwhile is answered first.
    screen.say(serde_json::json!({"type":"ping","id":"p"})).await;
    assert_eq!(screen.next().await["id"], "p");
    desk.roster(move |roster, now| roster.committed(now, durable, true)).await;
    let done = screen.next().await;
    assert_eq!((&done["type"], &done["id"]), (&"done".into(), &"r2".into()));
    // The same id again: the same answer, nothing asked twice.
    screen.say(serde_json::json!({"type":"candidate.choose","id":"r2","call":CALL,"candidate":"1"})).await;
    assert_eq!(screen.next().await, done);
    // Talk, end, wrap up.
    desk.change(CALL, What::Established(offer.clone()), &[(&offer, AgentLeg::Talking)]).await;
    assert_eq!(screen.next().await["leg"], "talking");
    desk.change(CALL, What::Cleared { offer: offer.clone() }, &[]).await;
    let over = screen.next().await;
    assert!(over["leg"].is_null() && over["wrapup"]["until"].is_string(), "{over}");
    assert_eq!(screen.next().await["state"], "working-after-call");
    desk.change(CALL, What::Ended, &[]).await;
    assert_eq!(screen.next().await["state"], "ended");
    screen.say(serde_json::json!({"type":"wrapup.submit","id":"r3","call":CALL,"disposition":["billing","refund"],"notes":"wrong bill","ticket":true})).await;
    let Ask::Record(command, durable) = desk.asked().await else { panic!("nothing recorded") };
    let Said::WrapUp { disposition, ticket: true, .. } = command.said else { panic!("no wrap-up") };
    assert_eq!(disposition, ["billing", "refund"]);
    desk.roster(move |roster, now| roster.committed(now, durable, true)).await;
    assert_eq!(screen.next().await["id"], "r3");
    let gone = screen.next().await;
    assert!(gone["type"] == "call.changed" && gone["wrapup"].is_null() && gone["leg"].is_null(), "{gone}");
    assert_eq!(screen.next().await["state"], "ready");
    // What could not be written down is not done.
    screen.say(serde_json::json!({"type":"notes.set","id":"r4","call":CALL,"text":"late"})).await;
    let Ask::Record(_, durable) = desk.asked().await else { panic!("nothing recorded") };
    desk.roster(move |roster, now| roster.committed(now, durable, false)).await;
    assert_eq!(screen.next().await["code"], "unavailable");
}

/// Who sees half a number could only write half a number back.
#[tokio::test]
async fn what_is_masked_for_an_agent_is_not_theirs_to_change() {
    let mut desk = Desk::open(|settings| settings.full_numbers = Some(vec!["supervisor".into()])).await;
    let offers = linecard::records::Offers {
        systems: [("customer.update".to_owned(), vec!["erp".into()])].into(),
        writable: [("erp".into(), vec!["mobile".to_owned(), "email".to_owned()])].into(),
        hashes: [("erp".into(), String::new())].into(),
        ..Default::default()
    };
    desk.roster(move |roster, _| roster.offer(Arc::new(offers))).await;
    let mut screen = desk.screen("1001").await;
    let welcome = screen.next().await;
    assert_eq!(welcome["systems"], serde_json::json!([{"id": "erp", "tickets": [], "update": ["mobile", "email"]}]));
    screen.say(serde_json::json!({"type": "resume"})).await;
    assert_eq!(screen.next().await["type"], "snapshot");
    let mut one = (*candidate("7").head).clone();
    let facts = serde_json::json!({"mobile": "+86 138 0013 8000", "email": ""});
    one.facts = Some(serde_json::value::to_raw_value(&facts).unwrap().into());
    let known = card(Answer::Found(Arc::new(Person::alone(Arc::new(one)))));
    let li = offer("1001", 1, Role::Inbound);
    for what in [What::Appeared, What::Offered(li.clone())] {
        desk.change(CALL, what, &[(&li, AgentLeg::Ringing)]).await;
    }
    desk.roster(move |roster, now| roster.card(now, CALL, &known)).await;
    let update = |id: &str, name: &str, system: &str| serde_json::json!({"type": "customer.update", "id": id, "call": CALL, "system": system, "fields": {name: "x"}, "was": {name: ""}});
    for (name, system, code) in
        [("mobile", "erp", "not-permitted"), ("points", "erp", "not-offered"), ("email", "crm", "not-offered")]
    {
        screen.say(update(&format!("{name} {system}"), name, system)).await;
        assert_eq!(screen.next_of("failed").await["code"], code, "{name} {system}");
    }
    screen.say(update("good", "email", "erp")).await;
    let Ask::Record(command, durable) = desk.asked().await else { panic!("nothing recorded") };
    let Said::Write(write) = command.said else { panic!("nothing written") };
    assert_eq!((write.operation, write.about.as_str(), write.id.as_str()), ("customer.update", "customer 7", "good"));
    assert_eq!(*write.inputs.expose(), serde_json::json!({"fields": {"email": "x"}, "was": {"email": ""}}));
    desk.roster(move |roster, now| roster.committed(now, durable, true)).await;
    assert_eq!(screen.next_of("done").await["id"], "good");
}

/// Nothing that a viewer without whole numbers is sent has the customer's number in it, in any spelling, and everything still works.
#[tokio::test]
async fn who_may_not_read_whole_numbers_reads_none_anywhere() {
    let mut desk = Desk::open(|settings| settings.full_numbers = Some(vec!["supervisor".into()])).await;
    let mut screen = desk.screen("1001").await;
    screen.begin().await;
    // Wang's token has the role agent, as Li's has; the directory makes Wang a supervisor.
    let mut other = desk.screen("1002").await;
    assert_eq!(other.next().await["agent"]["roles"], serde_json::json!(["agent", "supervisor"]));
    other.say(serde_json::json!({"type":"resume"})).await;
    assert_eq!(other.next().await["type"], "snapshot");

    let person = |id: &str| {
        let mut one = (*candidate(id).head).clone();
        one.reason = Some("main number 138-0013-8000".into());
        one.url = Some("https://crm.example.org/?q=13800138000".into());
        let facts = serde_json::json!({"mobile": "+86 138 0013 8000", "second": 13800138000u64, "fax": "02161230000"});
        one.facts = Some(serde_json::value::to_raw_value(&facts).unwrap().into());
        Arc::new(Person::alone(Arc::new(one)))
    };
    let mut known = (*card(Answer::Ambiguous(vec![person("p-13800138000"), person("p-2")]))).clone();
    let body = r#"{"calls":[{"from":"008613800138000","total":"1286.00"}],"contact":{"phone":"13900139000"}}"#;
    known.blocks[0].body = Some(serde_json::value::RawValue::from_string(body.into()).unwrap().into());
    let known = Arc::new(known);
    let (li, wang) = (offer("1001", 1, Role::Inbound), offer("1002", 2, Role::Inbound));
    let on = [(&li, AgentLeg::Ringing), (&wang, AgentLeg::Ringing)];
    let mut face = desk::face(CALL, &on);
    face.name = Some("ZW 13800138000".into());
    face.attributes.insert("ivr.callback".into(), "13800138000".into());
    face.attributes.insert("ivr.phone".into(), "61230000".into());
    for what in [What::Appeared, What::Offered(li.clone()), What::Offered(wang.clone())] {
        desk.change_of(face.clone(), what).await;
    }
    desk.roster(move |roster, now| {
        roster.recall_notes(CALL, &"1003".into(), "call back at 138 0013 8000".into());
        roster.card(now, CALL, &known);
    })
    .await;

    let mut seen = Vec::new();
    for _ in 0..2 {
        let kind = if seen.is_empty() { "pop" } else { "pop.updated" };
        seen.push(screen.next_of(kind).await);
    }
    let pop = seen[1].clone();
    assert_eq!((&pop["number"]["display"], &pop["number"]["masked"]), (&"138****8000".into(), &true.into()));
    assert_eq!(pop["attributes"]["ivr.account"], "88001234", "what is no number stays");
    assert_eq!(pop["attributes"]["ivr.phone"], "*******0");
    assert_eq!(pop["card"]["blocks"][0]["body"]["calls"][0]["total"], "1286.00");
    assert_eq!(pop["notes"][0]["text"], "call back at 138 **** 8000");
    // The other viewer has it all.
    let whole = other.next_of("pop.updated").await.to_string();
    for part in ["13800138000", "+86 138 0013 8000", "13900139000", "p-13800138000", "61230000"] {
        assert!(whole.contains(part), "{part} is not in {whole}");
    }

    // A search, a choice by the id as it was shown, a new screen, and a dial.
    screen.say(serde_json::json!({"type":"customer.search","id":"s1","call":CALL,"query":"Zhang"})).await;
    let Ask::Search { token, .. } = desk.asked().await else { panic!("no search") };
    desk.roster(move |roster, now| roster.found(now, token, Ok(vec![person("p-13800138000").head.clone()]))).await;
    seen.push(screen.next_of("done").await);
    let id = pop["card"]["candidates"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(id, "p-138****8000");
    screen.say(serde_json::json!({"type":"candidate.choose","id":"c1","call":CALL,"candidate":id})).await;
    let Ask::Choose { choice: Choice::Person(chosen), .. } = desk.asked().await else { panic!("nothing chosen") };
    assert_eq!(chosen.head.id, "p-13800138000");
    let chosen = screen.next_of("pop.updated").await;
    assert_eq!(chosen["chosen"], "p-138****8000");
    seen.push(chosen);
    let Ask::Record(..) = desk.asked().await else { panic!("nothing recorded") };
    let mut second = desk.screen("1001").await;
    assert_eq!(second.next().await["type"], "welcome");
    second.say(serde_json::json!({"type":"resume","active":true})).await;
    seen.push(second.next().await);
    assert_eq!(seen.last().unwrap()["calls"][0]["pop"]["number"]["display"], "138****8000");
    for frame in &seen {
        let text = frame.to_string();
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        assert!(!text.contains("13900139000") && !text.contains("61230000"), "{text}");
        assert!(!digits.contains("13800138000"), "{text}");
    }
    let handle = seen[1]["number"]["handle"].clone();
    desk.change_of(face.clone(), What::Established(li.clone())).await;
    face.agents.clear();
    desk.change_of(face, What::Cleared { offer: li }).await;
    second.say(serde_json::json!({"type":"dial","id":"d1","handle":handle})).await;
    let Ask::Dial(dial) = desk.asked().await else { panic!("no dial") };
    assert_eq!(dial.number.expose(), "13800138000");
}

/// Two colleagues have the call; one writes, both see it, and it is done when it is durable.
#[tokio::test]
async fn an_attribute_is_written_seen_by_all_and_done_when_durable() {
    let mut desk = Desk::open(|_| {}).await;
    let (mut one, mut two) = (desk.screen("1001").await, desk.screen("1002").await);
    one.begin().await;
    two.begin().await;
    let (first, second) = (offer("1001", 1, Role::Inbound), offer("1002", 2, Role::Consult));
    let declared = "[{name: ivr.account, label: Account, from: {variable: A}, type: digits}, {name: case, type: {choice: [billing, repair]}, cap: 10, writable: true}, {name: pin, from: {variable: P}, use: account, secret: true, label: PIN}]";
    desk.declared =
        Arc::new(Attributes { list: linecard::files::read("x.yaml", declared).unwrap().value, recordings: None });
    let on = [(&first, AgentLeg::Holding), (&second, AgentLeg::Ringing)];
    desk.change(CALL, What::Offered(first.clone()), &on).await;
    desk.change(CALL, What::Offered(second.clone()), &on).await;
    let pop = one.next_of("pop").await;
    let fields = serde_json::json!([
        {"name": "ivr.account", "label": "Account", "type": "digits", "cap": 256, "writable": false},
        {"name": "case", "type": "choice", "choices": ["billing", "repair"], "cap": 10, "writable": true},
    ]);
    assert_eq!(pop["fields"], fields, "a secret is nobody's field");
    assert!(pop["actions"].as_array().unwrap().contains(&"attribute.set".into()));
    two.next_of("pop").await;
    let set = |id: &str, name: &str, value: &str| serde_json::json!({"type":"attribute.set","id":id,"call":CALL,"name":name,"value":value});
    for (name, value, code) in [
        ("ivr.account", "1", "unknown-attribute"),
        ("pin", "1", "unknown-attribute"),
        ("nothing", "1", "unknown-attribute"),
        ("case", "dance", "invalid-value"),
        ("case", &"x".repeat(4097), "bad-request"),
        ("", "x", "bad-request"),
    ] {
        one.say(set(&format!("{name}-{}", value.len()), name, value)).await;
        assert_eq!(one.next_of("failed").await["code"], code, "{name}");
    }
    one.say(set("a", "case", "billing")).await;
    for screen in [&mut one, &mut two] {
        let updated = screen.next_of("pop.updated").await;
        assert_eq!(updated["attributes"], serde_json::json!({"case": "billing", "ivr.account": "88001234"}));
    }
    let Ask::Record(command, durable) = desk.asked().await else { panic!("nothing recorded") };
    assert!(matches!(&command.said, Said::Attribute { name, value } if name == "case" && value.expose() == "billing"));
    one.say(serde_json::json!({"type":"ping","id":"p"})).await;
    assert_eq!(one.next().await["id"], "p", "not done before it is durable");
    desk.roster(move |roster, now| roster.committed(now, durable, true)).await;
    let done = one.next_of("done").await;
    assert_eq!(done["id"], "a");
    // Idempotent: the same id does nothing twice.
    one.say(set("a", "case", "repair")).await;
    assert_eq!(one.next().await, done);
    one.say(set("b", "case", "")).await;
    assert_eq!(two.next_of("pop.updated").await["attributes"], serde_json::json!({"ivr.account": "88001234"}));
    // Who does not have the call writes nothing.
    let mut stranger = desk.screen("1003").await;
    stranger.begin().await;
    stranger.say(set("c", "case", "repair")).await;
    assert_eq!(stranger.next_of("failed").await["code"], "unknown-call");
}

/// A seat: refused with who has it, `done` when it is durable, told to every screen, and where a dial begins.
#[tokio::test]
async fn a_seat_is_claimed_and_left() {
    let mut desk = Desk::open(|_| {}).await;
    let mut fixed = desk.screen("1001").await;
    assert_eq!(fixed.next().await["type"], "welcome");
    fixed.say(serde_json::json!({"type":"resume"})).await;
    assert!(fixed.next().await["agent"].get("seat").is_none(), "who sits fixed has no seat to take");

    let mut screen = desk.screen("1003").await;
    assert_eq!(screen.next().await["type"], "welcome");
    screen.say(serde_json::json!({"type":"resume"})).await;
    assert_eq!(screen.next().await["agent"].get("seat"), Some(&serde_json::Value::Null));
    screen.say(serde_json::json!({"type":"dial","id":"d0","number":"13800138000"})).await;
    assert_eq!(screen.next().await["code"], "no-device");

    screen.say(serde_json::json!({"type":"seat.claim","id":"s1","device":"2001"})).await;
    let Ask::Seat { agent, claim: Some(claim), token, .. } = desk.asked().await else { panic!("no claim") };
    assert_eq!((agent.as_str(), claim.device.as_str(), claim.switch), ("1003", "2001", None));
    let taken = Refusal::Taken { by: "1002".into() };
    desk.roster(move |roster, now| roster.no_seat(now, token, &taken, &desk::directory())).await;
    let refused = screen.next().await;
    assert_eq!((&refused["code"], &refused["agent"]), (&"seat-taken".into(), &"1002".into()));
    assert_eq!(refused["name"], "Wang Fang");
    screen.say(serde_json::json!({"type":"seat.claim","id":"s2","device":"2002"})).await;
    let Ask::Seat { token, .. } = desk.asked().await else { panic!("no claim") };
    let sitting = Sitting {
        tenant: "default".into(),
        agent: "1003".into(),
        switch: "pbx1".into(),
        device: "PJSIP/2002".into(),
        from: linecard::live::now().wall,
        how: How::Page,
        queues: std::collections::BTreeSet::new(),
    };
    let turn = Turn { sitting: sitting.clone(), left: None };
    desk.roster(move |roster, now| roster.seated(now, &turn)).await;
    let told = screen.next().await;
    assert_eq!((&told["type"], &told["seat"]["device"]), (&"agent.changed".into(), &"PJSIP/2002".into()));
    // The seat is shown, and not yet promised.
    screen.say(serde_json::json!({"type":"ping","id":"p"})).await;
    assert_eq!(screen.next().await["id"], "p");
    desk.roster(move |roster, now| roster.committed(now, token, true)).await;
    assert_eq!(screen.next().await["id"], "s2");
    screen.say(serde_json::json!({"type":"dial","id":"d1","number":"13800138000"})).await;
    let Ask::Dial(dial) = desk.asked().await else { panic!("no dial") };
    assert_eq!(dial.device, "PJSIP/2002");
    desk.roster(move |roster, now| roster.dialled(now, &dial.request, Err(Failure::Busy))).await;
    assert_eq!(screen.next().await["code"], "busy");

    screen.say(serde_json::json!({"type":"seat.leave","id":"s3"})).await;
    let Ask::Seat { claim: None, token, .. } = desk.asked().await else { panic!("no leave") };
    let left = Some((linecard::live::now().wall, Left::Left));
    desk.roster(move |roster, now| {
        roster.seated(now, &Turn { sitting, left });
        roster.committed(now, token, true);
    })
    .await;
    assert_eq!(screen.next().await.get("seat"), Some(&serde_json::Value::Null));
    assert_eq!(screen.next().await["id"], "s3");
}

#[tokio::test]
async fn dial_is_done_when_the_agents_leg_exists() {
    let mut desk = Desk::open(|_| {}).await;
    let mut screen = desk.screen("1001").await;
    screen.begin().await;
    screen.say(serde_json::json!({"type":"dial","id":"d1","number":"138 0013 8000"})).await;
    let Ask::Dial(dial) = desk.asked().await else { panic!("no dial") };
    // As it was typed: the rules of the switch make digits of it.
    assert_eq!((dial.number.expose().as_str(), dial.device.as_str()), ("138 0013 8000", "PJSIP/1001"));
    screen.say(serde_json::json!({"type":"dial","id":"d2","number":"13800138000"})).await;
    assert_eq!(screen.next().await["code"], "dial-pending");
    desk.change(CALL, What::Appeared, &[]).await;
    desk.change(CALL, What::Launched { request: dial.request.clone() }, &[]).await;
    let done = screen.next().await;
    assert_eq!((&done["id"], &done["call"]), (&"d1".into(), &CALL.to_string().into()));
    screen.say(serde_json::json!({"type":"dial","id":"d3","number":"13800138000"})).await;
    let Ask::Dial(dial) = desk.asked().await else { panic!("no dial") };
    desk.roster(move |roster, now| roster.dialled(now, &dial.request, Err(Failure::NotRegistered))).await;
    assert_eq!(screen.next().await["code"], "not-registered");
    screen.say(serde_json::json!({"type":"dial","id":"d4","number":"138\r\nAction: Logoff"})).await;
    assert_eq!(screen.next().await["code"], "unknown-target");
    // Another agent's handle is nobody's.
    let offer = offer("1002", 1, Role::Inbound);
    desk.change(CALL, What::Offered(offer.clone()), &[(&offer, AgentLeg::Ringing)]).await;
    screen.say(serde_json::json!({"type":"dial","id":"d5","handle":format!("customer@{CALL}")})).await;
    assert_eq!(screen.next().await["code"], "unknown-target");
    screen.say(serde_json::json!({"type":"notes.set","id":"n","call":CALL,"text":"x"})).await;
    assert_eq!(screen.next().await["code"], "unknown-call");
}

/// The row of the line decides what opens, and by role who sees the number; an address never carries a number past the mask.
#[tokio::test]
async fn a_line_says_what_opens_and_who_sees_the_number() {
    let desk = Desk::open(|_| {}).await;
    let mut screen = desk.screen("1001").await;
    screen.begin().await;
    let whole = ("13800138000", false, Some("https://erp.example.com/c/7?p=%2B8613800138000"));
    let hidden = ("138****8000", true, None);
    let masks = [
        (serde_json::json!("none"), whole),
        (serde_json::json!("all"), hidden),
        (serde_json::json!({"except": ["agent"]}), whole),
        (serde_json::json!({"except": ["supervisor"]}), hidden),
    ];
    for (n, (mask, (display, masked, target))) in masks.into_iter().enumerate() {
        let call = CallId(ulid::Ulid(100 + n as u128));
        let offer = offer("1001", 1, Role::Inbound);
        let row = serde_json::json!({"mask": mask, "target": "https://erp.example.com/c/{customer:erp}?p={number}"});
        let mut face = desk::face(call, &[(&offer, AgentLeg::Ringing)]);
        face.line = Some(Arc::new(serde_json::from_value(row).unwrap()));
        let card = card(Answer::Found(candidate("7")));
        desk.roster(move |roster, now| {
            let change = Change { call, at: now, what: What::Offered(offer) };
            roster.change(now, &change, &face, Some(&card), &desk::directory());
        })
        .await;
        let pop = screen.next_of("pop").await;
        assert_eq!((&pop["number"]["display"], &pop["number"]["masked"]), (&display.into(), &masked.into()), "{mask}");
        assert_eq!(pop["target"].as_str(), target, "{mask}");
        assert_eq!(pop["number"]["e164"].is_string(), !masked, "{mask}");
        // Masked or not, it can be dialled.
        assert!(pop["number"]["handle"].is_string(), "{mask}");
    }
}

#[tokio::test]
async fn who_comes_back_gets_what_was_missed() {
    let mut desk = Desk::open(|_| {}).await;
    let mut screen = desk.screen("1001").await;
    screen.begin().await;
    let first = offer("1001", 1, Role::Inbound);
    desk.change(CALL, What::Offered(first.clone()), &[(&first, AgentLeg::Ringing)]).await;
    let pop = screen.next().await;
    screen.next().await;
    drop(screen);
    desk.detached().await;
    let withdrawn = What::Withdrawn { offer: first, reason: Withdrawal::AnsweredElsewhere, by: Some("1002".into()) };
    desk.change(CALL, withdrawn, &[]).await;
    let second = offer("1001", 2, Role::Inbound);
    desk.change(CALL, What::Offered(second.clone()), &[(&second, AgentLeg::Ringing)]).await;
    let mut back = desk.screen("1001").await;
    assert_eq!(back.next().await["type"], "welcome");
    back.say(serde_json::json!({"type":"resume","epoch":3,"seq":pop["seq"]})).await;
    assert_eq!(back.next().await["type"], "resumed");
    let (taken, again) = (back.next().await, back.next().await);
    assert_eq!((&taken["type"], &taken["reason"]), (&"pop.withdrawn".into(), &"answered-elsewhere".into()));
    assert_eq!(taken["by"], serde_json::json!({"agent": "1002", "name": "Wang Fang"}));
    assert_eq!((&again["type"], &again["seq"]), (&"pop".into(), &3.into()));
    assert_ne!(again["pop"], pop["pop"]);
    // Another epoch, or a seq from the future: everything, with what was shown marked.
    for stale in [
        serde_json::json!({"type":"resume","epoch":2,"seq":3}),
        serde_json::json!({"type":"resume","epoch":3,"seq":99}),
    ] {
        back.say(stale).await;
        let snapshot = back.next().await;
        assert_eq!((&snapshot["type"], &snapshot["seq"]), (&"snapshot".into(), &3.into()));
        assert_eq!(
            (&snapshot["calls"][0]["pop"]["pop"], &snapshot["calls"][0]["shown"]),
            (&again["pop"], &true.into())
        );
    }
}

#[tokio::test]
async fn one_of_two_screens_gets_the_pops() {
    let desk = Desk::open(|_| {}).await;
    let mut first = desk.screen("1001").await;
    first.begin().await;
    let mut second = desk.screen("1001").await;
    second.begin().await;
    let changed = first.next().await;
    assert_eq!(
        (&changed["type"], &changed["active"], &changed["screens"]),
        (&"agent.changed".into(), &false.into(), &2.into())
    );
    let offer = offer("1001", 1, Role::Inbound);
    desk.change(CALL, What::Offered(offer.clone()), &[(&offer, AgentLeg::Ringing)]).await;
    assert_eq!(second.next().await["type"], "pop");
    // The other hears of the state and of no call, and may take over.
    assert_eq!(first.next().await["state"], "busy");
    first.say(serde_json::json!({"type":"screen.activate","id":"s"})).await;
    let snapshot = first.next().await;
    assert_eq!((&snapshot["calls"][0]["shown"], &snapshot["agent"]["active"]), (&true.into(), &true.into()));
    assert_eq!(first.next().await["id"], "s");
    // A newer state takes the place of one that was not sent yet.
    let mut told = second.next().await;
    while told["active"] != false {
        told = second.next().await;
    }
    assert_eq!(told["state"], "busy");
    // When the active one goes, the other gets everything.
    drop(first);
    assert_eq!(second.next().await["calls"][0]["pop"]["call"], CALL.to_string());
    // A link that went is told to all.
    let away = LinkState {
        kind: protocol::LinkKind::Switch,
        id: "pbx1".into(),
        up: false,
        reason: Some("connection refused".into()),
    };
    desk.roster(move |roster, now| roster.link(now, away)).await;
    let mut link = second.next().await;
    while link["type"] == "agent.changed" {
        link = second.next().await;
    }
    assert_eq!((&link["type"], &link["up"]), (&"link.changed".into(), &false.into()));
}

/// Not seen is not idle, not registered is not reachable, and the agent is told: by news, and to a page that opens later.
#[tokio::test]
async fn a_phone_that_is_not_seen_or_not_registered_is_said_to_its_agent() {
    let desk = Desk::open(|_| {}).await;
    let mut screen = desk.screen("1001").await;
    screen.begin().await;
    let unseen = |devices: &[&str]| {
        let devices: Vec<_> = devices.iter().map(|d| ("k1".into(), (*d).to_owned())).collect();
        let phones = linecard::agents::Phones { unseen: devices, ..Default::default() };
        BTreeMap::from([(("default".into(), "1001".into()), phones)])
    };
    let (one, two, same) =
        (unseen(&["SIP/1001"]), unseen(&["SIP/1001", "SIP/1009"]), unseen(&["SIP/1001", "SIP/1009"]));
    desk.roster(move |roster, now| roster.phones(now, one)).await;
    let told = screen.next_of("agent.changed").await;
    assert_eq!(told["unseen"], serde_json::json!([{"switch": "k1", "device": "SIP/1001"}]));
    desk.roster(move |roster, now| roster.phones(now, two)).await;
    assert_eq!(screen.next().await["unseen"][1]["device"], "SIP/1009");
    let mut later = desk.screen("1001").await;
    later.say(serde_json::json!({"type": "resume"})).await;
    let snapshot = later.next_of("snapshot").await;
    assert_eq!(snapshot["agent"]["unseen"][0]["device"], "SIP/1001");
    // That there are two screens now.
    assert_eq!(screen.next().await["screens"], 2);
    // The same again is no news.
    desk.roster(move |roster, now| roster.phones(now, same)).await;
    desk.roster(move |roster, now| roster.phones(now, BTreeMap::new())).await;
    assert!(screen.next().await["unseen"].is_null(), "nothing is unseen, and nothing was said in between");
    let off = linecard::agents::Phones { unregistered: vec![("k1".into(), "SIP/1001".into())], ..Default::default() };
    let off = BTreeMap::from([(("default".into(), "1001".into()), off)]);
    desk.roster(move |roster, now| roster.phones(now, off)).await;
    let told = screen.next().await;
    assert_eq!(told["unregistered"], serde_json::json!([{"switch": "k1", "device": "SIP/1001"}]));
    assert!(told["unseen"].is_null());
    let mut third = desk.screen("1001").await;
    third.say(serde_json::json!({"type": "resume"})).await;
    assert_eq!(third.next_of("snapshot").await["agent"]["unregistered"][0]["device"], "SIP/1001");
}

/// Whom to call back: the list on asking, masked where numbers are; what an agent wants of one; a dial by its handle, and by nothing else.
#[tokio::test]
async fn callbacks_are_listed_claimed_and_dialled() {
    let mut desk = Desk::open(|settings| settings.full_numbers = Some(vec!["supervisor".to_owned()])).await;
    let mut screen = desk.screen("1001").await;
    screen.begin().await;
    let id = "01JD8Z6Q5M0000000000000001";
    let callback: linecard::records::Callback = serde_json::from_value(serde_json::json!({
        "id": id, "tenant": "default", "number": "+8613800138000", "name": "Wang 13900139000", "why": "abandoned", "line": "Hotline",
        "queue": null, "zone": null, "since": "2026-11-26T02:00:00.000Z", "last": "2026-11-26T02:05:00.000Z", "count": 2,
        "calls": [], "numbers": [], "customers": [], "attempts": 1, "tried": [], "due": "2026-11-26T02:35:00.000Z",
        "owner": ["1002", "2099-01-01T00:00:00.000Z"], "note": "ask for 13800138000", "over": null}))
    .unwrap();
    screen.say(serde_json::json!({"type": "callback.list", "id": "l1", "most": 1000})).await;
    let Ask::Callbacks { key, screen: of, id: request, most } = desk.asked().await else { panic!("no list") };
    assert_eq!((key.0.as_str(), key.1.as_str(), most), ("default", "1001", 200));
    desk.roster(move |roster, now| {
        roster.callbacks(now, (&key, of, &request), (7, &[&callback]), &desk::directory());
    })
    .await;
    let done = screen.next_of("done").await;
    let shown = &done["callbacks"]["list"][0];
    assert_eq!((&done["id"], &done["callbacks"]["open"]), (&"l1".into(), &7.into()));
    assert_eq!((&shown["callback"], &shown["why"], &shown["owner"]), (&id.into(), &"abandoned".into(), &"1002".into()));
    let text = done.to_string();
    assert!(shown["masked"] == true && !text.contains("13800138000") && !text.contains("13900139000"), "{text}");

    for (kind, wish) in [("claim", Wish::Claim), ("release", Wish::Release), ("close", Wish::Close)] {
        screen.say(serde_json::json!({"type": format!("callback.{kind}"), "id": kind, "callback": id})).await;
        let Ask::Callback { id: of, wish: wanted, token, .. } = desk.asked().await else { panic!("nothing wished") };
        assert_eq!((of.to_string().as_str(), wanted), (id, wish));
        if kind == "close" {
            desk.roster(move |roster, now| roster.no_callback(now, token, Refused::Claimed)).await;
            assert_eq!(screen.next_of("failed").await["code"], "callback-claimed");
        } else {
            desk.roster(move |roster, now| roster.committed(now, token, true)).await;
            assert_eq!(screen.next_of("done").await["id"], kind);
        }
    }

    // A ref alone is no callback: whose it is was not looked at.
    let forged = serde_json::json!({"system": "linecard", "type": "callback", "id": id});
    for (n, (dial, wanted)) in [
        (serde_json::json!({"handle": shown["handle"]}), Some(Reference::callback(id.parse().unwrap()))),
        (serde_json::json!({"number": "02161234567", "ref": forged}), None),
    ]
    .into_iter()
    .enumerate()
    {
        let mut frame = dial;
        frame["type"] = "dial".into();
        frame["id"] = format!("d{n}").into();
        screen.say(frame).await;
        let Ask::Dial(dial) = desk.asked().await else { panic!("no dial") };
        assert_eq!(dial.reference, wanted);
        let request = dial.request;
        desk.roster(move |roster, now| roster.dialled(now, &request, Err(Failure::NotPermitted))).await;
        assert_eq!(screen.next_of("failed").await["code"], "not-permitted");
    }

    // The customer on the line asks for it; one who withholds the number cannot be called.
    screen.say(serde_json::json!({"type": "callback.ask", "id": "a0", "call": CALL})).await;
    assert_eq!(screen.next_of("failed").await["code"], "unknown-call");
    let li = offer("1001", 1, Role::Inbound);
    desk.change(CALL, What::Offered(li.clone()), &[(&li, AgentLeg::Ringing)]).await;
    screen.next_of("pop").await;
    screen.say(serde_json::json!({"type": "callback.ask", "id": "a1", "call": CALL, "note": "after three"})).await;
    let Ask::Record(command, durable) = desk.asked().await else { panic!("nothing recorded") };
    assert!(matches!(command.said, Said::Callback { note: Some(note) } if note.expose() == "after three"));
    desk.roster(move |roster, now| roster.committed(now, durable, true)).await;
    assert_eq!(screen.next_of("done").await["id"], "a1");
}

#[tokio::test]
async fn one_screen_too_many_closes_the_oldest_that_is_not_active() {
    let desk = Desk::open(|settings| settings.limits.screens_per_agent = 2).await;
    let mut active = desk.screen("1001").await;
    active.begin().await;
    // Attached, but it has not asked for the calls: the first stays active.
    let mut idle = desk.screen("1001").await;
    // Two shards: which of two comes first is settled by waiting for the first.
    assert_eq!(idle.next().await["type"], "welcome");
    let mut newest = desk.screen("1001").await;
    assert_eq!(closed(idle).await, 4429);
    newest.begin().await;
    let mut changed = active.next().await;
    while changed["screens"] != 2 {
        changed = active.next().await;
    }
}

#[tokio::test]
async fn junk_is_answered_and_disturbs_nothing() {
    let desk = Desk::open(|_| {}).await;
    let mut screen = desk.screen("1001").await;
    screen.begin().await;
    for (text, code) in [
        ("", "bad-frame"),
        ("{", "bad-frame"),
        ("[]", "bad-frame"),
        (r#"{"type":"dance","id":"1"}"#, "unknown-type"),
        (r#"{"type":"notes.set","id":"2"}"#, "bad-request"),
    ] {
        screen.say_text(text).await;
        assert_eq!(screen.next().await["code"], code, "{text}");
    }
    screen.say_binary(b"\0\xff").await;
    assert_eq!(screen.next().await["code"], "bad-frame");
    screen.say_text(&" ".repeat(70_000)).await;
    assert_eq!(closed(screen).await, 1009);
    assert_eq!(desk.figures().bad_frames.load(std::sync::atomic::Ordering::Relaxed), 6);
}

#[tokio::test]
async fn a_slow_screen_is_closed_and_delays_nobody() {
    let limits = Limits { send_buffer_bytes: 4096, queued_frames: 8, ..Limits::default() };
    let desk = Desk::open(|settings| settings.limits = limits).await;
    let mut slow = desk.screen("1001").await;
    slow.begin().await;
    let mut quick = desk.screen("1002").await;
    quick.begin().await;
    // The slow one reads nothing from here on, until the kernel's buffers and its mailbox are full of pops.
    let mut ordinal = 0;
    while desk.figures().closed_slow.load(std::sync::atomic::Ordering::Relaxed) == 0 {
        ordinal += 1;
        assert!(ordinal < 20_000, "never found to be slow");
        let (a, b) = (offer("1001", ordinal, Role::Inbound), offer("1002", ordinal, Role::Inbound));
        let call = CallId(ulid::Ulid(u128::from(ordinal)));
        desk.change(call, What::Offered(a.clone()), &[(&a, AgentLeg::Ringing)]).await;
        desk.change(call, What::Offered(b.clone()), &[(&b, AgentLeg::Ringing)]).await;
        let pop = quick.next_of("pop").await;
        assert_eq!(pop["call"], call.to_string(), "the quick one missed a pop");
    }
    assert_eq!(closed(slow).await, 1013);
    assert!(!quick.is_closed());
}

#[tokio::test]
async fn five_hundred_come_at_once() {
    let desk = Arc::new(Desk::open(|_| {}).await);
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..500 {
        let desk = desk.clone();
        tasks.spawn(async move {
            let mut screen = desk.screen(&format!("{}", 1000 + n)).await;
            assert_eq!(screen.next().await["type"], "welcome");
            screen
        });
    }
    let screens = tokio::time::timeout(Duration::from_secs(60), tasks.join_all()).await.expect("in time");
    assert_eq!(desk.figures().screens.load(std::sync::atomic::Ordering::Relaxed), screens.len());
}
