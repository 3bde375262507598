//! Who is it, with the whole daemon and systems that keep a ledger: several systems in one card, a choice that is remembered, a number that is put to
//! a customer or made one, once, whatever happens in between.

use std::path::Path;

use linecard::daemon::demo::{hosts::Mode, story::Story, systems::Written};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{client_async, tungstenite::client::IntoClientRequest};

use crate::{agents::desk::Screen, daemon::Desk};

const PROGRAM: &str = env!("CARGO_BIN_EXE_linecard");

pub async fn screen(desk: &Desk, agent: &str) -> Screen {
    let token = desk.stage.verb(Path::new(PROGRAM), &["token", "--agent", agent, "--ttl", "1h"]).unwrap();
    screen_with(desk, token.trim()).await
}

pub async fn screen_with(desk: &Desk, token: &str) -> Screen {
    let mut request = format!("ws://{}/v1/agent", desk.stage.places.agents).into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", "linecard.v1".parse().unwrap());
    let stream = TcpStream::connect(desk.stage.places.agents).await.unwrap();
    let mut screen = Screen::over(client_async(request, stream).await.map(|(socket, _)| socket));
    screen.say(json!({"type": "authenticate", "token": token})).await;
    screen.begin().await;
    screen
}

/// The next pop of a call whose card says so.
async fn card(screen: &mut Screen, so: impl Fn(&Value) -> bool) -> Value {
    loop {
        let frame = screen.next().await;
        let kind = frame["type"].as_str().unwrap_or_default().to_owned();
        if ["pop", "pop.updated"].contains(&kind.as_str()) && so(&frame["card"]) {
            return frame;
        }
    }
}

fn settled(card: &Value) -> bool {
    card["blocks"].as_array().unwrap().iter().all(|b| b["state"] != "pending") && card["answer"]["state"] != "pending"
}

fn made(desk: &Desk, what: &str) -> Vec<Written> {
    desk.hosts.erp.ledger().into_iter().filter(|w| w.what == what).collect()
}

fn names(card: &Value) -> Vec<&str> {
    card["candidates"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_one_number_are_two_people_and_a_choice_is_remembered_and_forgotten() {
    let mut desk = Desk::set(0.3).await;
    desk.start(None).await;
    desk.until("the daemon is logged in", |desk| desk.pbx.logged_in() > 0).await;
    let mut screen = screen(&desk, "1001").await;

    // Three systems know two people each; two people are shown, each with its systems, and the one with an open order stands first.
    desk.pbx.play(Story::Answered, "02088886666", Some(0));
    let pop = card(&mut screen, |card| settled(card) && card["answer"]["state"] == "ambiguous").await;
    let list = &pop["card"]["candidates"];
    assert_eq!(names(&pop["card"]), ["王芳", "王军"], "{list}");
    let systems = |c: &Value| {
        let also = c["also"].as_array().unwrap().iter().map(|a| format!("{} by {}", a["link"]["system"], a["key"]));
        format!("{} {}", c["link"]["system"], also.collect::<Vec<_>>().join(" ")).replace('"', "")
    };
    assert_eq!(systems(&list[0]), "erp orders by customer_no desk by customer_no");
    assert_eq!(list[0]["reasons"][0], json!({"kind": "open-orders", "count": 1}));
    let asked = |block: &Value| !block["body"].is_null();
    assert!(!pop["card"]["blocks"].as_array().unwrap().iter().any(asked), "nothing is asked of a guess: {pop}");

    // The second one, and every system's facts are his: the loyalty scheme was asked by the key that the ERP gave.
    let call = pop["call"].clone();
    screen.say(json!({"type": "candidate.choose", "id": "c", "call": call, "candidate": "erp:customer:1005"})).await;
    let pop = card(&mut screen, |card| card["answer"]["state"] == "found" && settled(card)).await;
    assert_eq!((names(&pop["card"]), &pop["chosen"]), (vec!["王军", "王芳"], &json!("erp:customer:1005")));
    let loyalty = pop["card"]["blocks"].as_array().unwrap().iter().find(|b| b["kind"] == "loyalty").unwrap().clone();
    assert_eq!((&loyalty["system"], &loyalty["body"]["points"]), (&json!("loyalty"), &json!("0")), "{loyalty}");
    desk.until("the record is written", |desk| !desk.records().is_empty()).await;
    desk.until("the record has the chosen one at each system", |desk| {
        desk.records()[0]["customer"]["links"].as_array().is_some_and(|links| links.len() == 3)
    })
    .await;

    // The next call of this number opens his card, says why, and one request takes it back.
    desk.pbx.play(Story::Answered, "+862088886666", Some(0));
    let pop = card(&mut screen, |card| card["answer"]["state"] == "found" && settled(card)).await;
    assert_eq!((names(&pop["card"]), &pop["card"]["remembered"]["agent"]), (vec!["王军", "王芳"], &json!("1001")));
    assert_eq!(pop["card"]["candidates"][0]["reasons"][0]["kind"], "chosen");
    screen.say(json!({"type": "candidate.forget", "id": "f", "call": pop["call"]})).await;
    let pop = card(&mut screen, |card| card["answer"]["state"] == "ambiguous").await;
    assert!(pop["card"]["remembered"].is_null());

    // And it stays forgotten, also over a restart.
    desk.until("both calls are over", |desk| desk.records().len() == 2).await;
    desk.signal(Signal::TERM);
    desk.child.take().unwrap().wait().unwrap();
    desk.start(None).await;
    desk.until("the daemon is logged in", |desk| desk.pbx.logged_in() > 0).await;
    let mut screen = self::screen(&desk, "1001").await;
    desk.pbx.play(Story::Answered, "02088886666", Some(0));
    let pop = card(&mut screen, settled).await;
    assert_eq!(pop["card"]["answer"]["state"], "ambiguous");
    // Whom somebody talked with last stands first now: that was the one chosen in the first call.
    let first = &pop["card"]["candidates"][0];
    let kinds: Vec<&str> = first["reasons"].as_array().unwrap().iter().map(|r| r["kind"].as_str().unwrap()).collect();
    assert!(names(&pop["card"])[0] == "王芳" && kinds.contains(&"open-orders"), "an open order is stronger: {first}");
    let second = &pop["card"]["candidates"][1]["reasons"];
    assert!(second.to_string().contains("last-call"), "{second}");
}

/// `done` means that it will be made, whatever comes: the ERP does it and never says so, the daemon is killed, and there is one.
#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_made_once_of_an_unknown_number_through_a_lost_answer_and_a_kill() {
    let mut desk = Desk::set(0.4).await;
    let linecard = desk.stage.settings().join("linecard.yaml");
    let settings = std::fs::read_to_string(&linecard).unwrap();
    std::fs::write(linecard, settings + "outbox: {quiet_ms: 500, backoff_ms: 100, backoff_cap_ms: 500}\n").unwrap();
    desk.start(None).await;
    desk.until("the daemon is logged in", |desk| desk.pbx.logged_in() > 0).await;
    let mut screen = screen(&desk, "1001").await;
    desk.pbx.play(Story::Answered, "13700137000", Some(0));
    let pop = card(&mut screen, |card| settled(card) && card["answer"]["state"] == "absent").await;
    assert!(pop["actions"].to_string().contains("customer.create"), "{pop}");
    assert!(made(&desk, "customer").is_empty(), "a lookup makes nobody");

    desk.hosts.erp.set(Mode::DropsAnswers);
    let create = json!({"type": "customer.create", "id": "n", "call": pop["call"], "name": "Zhao Min"});
    screen.say(create.clone()).await;
    assert_eq!(screen.next_of("done").await["id"], "n");
    desk.signal(Signal::KILL);
    desk.child.take().unwrap().wait().unwrap();
    let before = made(&desk, "customer").len();
    assert!(before <= 1);

    desk.start(None).await;
    desk.hosts.erp.set(Mode::Well);
    desk.until("the customer is there", |desk| made(desk, "customer").len() == 1).await;
    // Nothing of it is done again: what waits is settled before we look.
    desk.until("nothing waits for the ERP", |desk| {
        desk.stage.verb(Path::new(PROGRAM), &["outbox", "list", "--json"]).unwrap().trim().is_empty()
    })
    .await;
    let made = made(&desk, "customer");
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!((made[0].subject.as_str(), made[0].text.as_str()), ("Zhao Min", "+8613700137000"));

    // The next pop of this number is right: what the cache knew of nobody is gone.
    let mut screen = self::screen(&desk, "1001").await;
    desk.until("the daemon is logged in", |desk| desk.pbx.logged_in() > 0).await;
    desk.until("the first call is over", |desk| desk.pbx.up() == 0).await;
    desk.pbx.play(Story::Answered, "13700137000", Some(0)).unwrap();
    let pop = card(&mut screen, |card| card["answer"]["state"] == "found").await;
    assert_eq!(names(&pop["card"]), ["Zhao Min"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_number_is_put_to_a_customer_and_the_pop_follows() {
    let mut desk = Desk::set(0.4).await;
    desk.start(None).await;
    desk.until("the daemon is logged in", |desk| desk.pbx.logged_in() > 0).await;
    let mut screen = screen(&desk, "1001").await;
    desk.pbx.play(Story::Answered, "13700137000", Some(0));
    let pop = card(&mut screen, |card| settled(card) && card["answer"]["state"] == "absent").await;
    screen.say(json!({"type": "customer.search", "id": "s", "call": pop["call"], "query": "jones"})).await;
    assert_eq!(screen.next_of("done").await["candidates"][0]["id"], "erp:customer:1003");
    let attach = json!({"type": "customer.attach", "id": "a", "call": pop["call"], "candidate": "erp:customer:1003"});
    screen.say(attach.clone()).await;
    // The same request again is one: the answer may have been lost.
    screen.say(attach).await;
    assert_eq!(screen.next_of("done").await["id"], "a");
    desk.until("the number stands at the customer", |desk| made(desk, "phone").len() == 1).await;
    desk.until("the record has the customer", |desk| {
        desk.records().first().is_some_and(|r| r["customer"]["links"][0]["id"] == "1003")
    })
    .await;
    let phones = made(&desk, "phone");
    assert_eq!((phones.len(), phones[0].ticket, phones[0].text.as_str()), (1, 1003, "+8613700137000"));
    desk.until("the first call is over", |desk| desk.pbx.up() == 0).await;
    desk.pbx.play(Story::Answered, "13700137000", Some(0));
    let pop = card(&mut screen, |card| card["answer"]["state"] == "found").await;
    assert_eq!(names(&pop["card"]), ["Mary Jones"]);
}

/// `create_after_s` of the line: after the talk, once, and not for a caller who is known or hangs up sooner.
#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_makes_customers_makes_one_after_the_talk_and_only_of_the_unknown() {
    let mut desk = Desk::set(0.4).await;
    let trunks = "rows:\n  - {title: Hotline, connectors: [erp], no_match: {create_after_s: 1}}\n";
    desk.stage.write("trunks.yaml", trunks).unwrap();
    desk.start(None).await;
    desk.until("the daemon is logged in", |desk| desk.pbx.logged_in() > 0).await;
    desk.pbx.play(Story::Answered, "13700137000", Some(0)).unwrap();
    desk.pbx.play(Story::Answered, "13800138000", Some(1)).unwrap();
    desk.pbx.play(Story::Abandoned, "13600136000", Some(2)).unwrap();
    desk.until("the customer is there", |desk| !made(desk, "customer").is_empty()).await;
    desk.until("all three calls are written", |desk| desk.records().len() == 3).await;
    let made = made(&desk, "customer");
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!((made[0].text.as_str(), made[0].subject.contains("+8613700137000")), ("+8613700137000", true));
}

/// Who is nobody's customer is said once: no customer is made, and the record says why it has none. It can be taken back after the call.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_says_that_only_the_call_is_kept_and_takes_it_back() {
    let mut desk = Desk::set(0.4).await;
    let trunks = "rows:\n  - {title: Hotline, connectors: [erp], no_match: {create_after_s: 1}}\n";
    desk.stage.write("trunks.yaml", trunks).unwrap();
    desk.start(None).await;
    desk.until("the daemon is logged in", |desk| desk.pbx.logged_in() > 0).await;
    let mut screen = screen(&desk, "1001").await;
    desk.pbx.play(Story::Answered, "13700137000", Some(0));
    let pop = card(&mut screen, |card| card["answer"]["state"] == "absent").await;
    assert!(pop["actions"].to_string().contains("candidate.choose"), "{pop}");
    let call = pop["call"].clone();
    screen.say(json!({"type": "candidate.choose", "id": "l", "call": call, "candidate": null})).await;
    assert_eq!(screen.next_of("done").await["id"], "l");
    let nobody = |desk: &Desk| desk.records().first().map(|record| record["customer"]["nobody"].clone());
    desk.until("the record is written", |desk| nobody(desk).is_some()).await;
    assert_eq!(nobody(&desk), Some(json!(true)));
    assert!(made(&desk, "customer").is_empty(), "an agent said that there is none to be made");
    screen.say(json!({"type": "candidate.forget", "id": "u", "call": call})).await;
    assert_eq!(screen.next_of("done").await["id"], "u");
    desk.until("the record says nothing of it any more", |desk| nobody(desk) == Some(json!(null))).await;
}

/// Our own lines, a hidden number: nobody is asked, and the card says why. What is no answer is not shown as "nobody".
#[tokio::test(flavor = "multi_thread")]
async fn own_numbers_and_hidden_ones_are_not_looked_up_and_the_card_says_why() {
    let mut desk = Desk::set(0.3).await;
    desk.start(None).await;
    desk.until("the daemon is logged in", |desk| desk.pbx.logged_in() > 0).await;
    let mut screen = screen(&desk, "1001").await;
    for (n, (number, why)) in [("02161234567", "own"), ("", "withheld"), ("1003", "internal")].into_iter().enumerate() {
        desk.pbx.play(Story::Answered, number, Some(0)).unwrap();
        let pop = card(&mut screen, |card| card["answer"]["state"] != "pending").await;
        assert_eq!(pop["card"]["answer"]["why"], why, "{number}: {}", pop["card"]["answer"]);
        assert!(!pop["actions"].to_string().contains("customer.create"), "{number}");
        desk.until("the call is over", |desk| desk.records().len() == n + 1 && desk.pbx.up() == 0).await;
    }
    let asked =
        desk.metrics().lines().filter(|l| l.starts_with("linecard_lookups")).map(str::to_owned).collect::<Vec<_>>();
    assert!(asked.iter().all(|line| line.ends_with(" 0")), "{asked:?}");
}

/// Everything that is said on a ticket is said once, and who asked hears what became of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_finds_a_ticket_writes_on_it_gives_it_away_and_hears_what_became_of_it() {
    let mut desk = Desk::set(0.4).await;
    let linecard = desk.stage.settings().join("linecard.yaml");
    let settings = std::fs::read_to_string(&linecard).unwrap();
    std::fs::write(linecard, settings + "outbox: {quiet_ms: 500, backoff_ms: 100, backoff_cap_ms: 500}\n").unwrap();
    desk.start(None).await;
    desk.until("the daemon is logged in", |desk| desk.pbx.logged_in() > 0).await;
    let written = |desk: &Desk, what: &str| -> Vec<Written> {
        desk.hosts.tickets.ledger().into_iter().filter(|w| w.what == what).collect()
    };
    // Missed twice: one ticket, and the second call stands on it.
    for n in 1..=2 {
        desk.pbx.play(Story::Abandoned, "+442079460123", None);
        desk.until("the record is written", |desk| desk.records().len() == n).await;
        desk.until("the ticket desk has heard of it", |desk| desk.hosts.tickets.ledger().len() == n).await;
    }
    let ledger: Vec<_> = desk.hosts.tickets.ledger().iter().map(|w| (w.what, w.ticket)).collect();
    assert_eq!(ledger, [("ticket", 1), ("note", 1)]);

    let mut screen = screen(&desk, "1001").await;
    desk.pbx.play(Story::Answered, "+442079460123", Some(0));
    let pop = card(&mut screen, |card| settled(card) && card["answer"]["state"] == "found").await;
    let call = pop["call"].clone();
    let block = pop["card"]["blocks"].as_array().unwrap().iter().find(|b| b["kind"] == "tickets.open").unwrap().clone();
    let at = format!("http://{}/#1", desk.stage.places.desk);
    assert_eq!((&block["body"][0]["id"], &block["body"][0]["url"]), (&json!("1"), &json!(at)), "{block}");
    screen.say(json!({"type": "ticket.search", "id": "s", "call": call, "query": "missed call", "theirs": true})).await;
    let found = screen.next_of("done").await["tickets"].clone();
    assert_eq!((&found[0]["id"], &found[0]["system"]), (&json!("1"), &json!("desk")), "{found}");

    // The desk does it and never says so, and the daemon is killed: there is one comment.
    desk.hosts.tickets.set(Mode::DropsAnswers);
    let ticket = json!({"system": "desk", "id": "1"});
    let comment =
        json!({"type": "ticket.comment", "id": "c", "call": call, "ticket": ticket, "text": "she wants it today"});
    screen.say(comment.clone()).await;
    assert_eq!(screen.next_of("done").await["id"], "c");
    desk.signal(Signal::KILL);
    desk.child.take().unwrap().wait().unwrap();
    desk.start(None).await;
    desk.hosts.tickets.set(Mode::Well);
    let mut screen = self::screen(&desk, "1001").await;
    // A page that was never answered says the same again.
    screen.say(comment).await;
    while screen.next().await["id"] != "c" {}
    desk.until("the comment is there", |desk| written(desk, "note").len() == 2).await;
    desk.until("nothing waits for the desk", |desk| {
        desk.stage.verb(Path::new(PROGRAM), &["outbox", "list", "--json"]).unwrap().trim().is_empty()
    })
    .await;
    let notes = written(&desk, "note");
    assert_eq!((notes.len(), notes[1].text.as_str()), (2, "she wants it today"), "{notes:?}");

    desk.until("the daemon is logged in", |desk| desk.pbx.logged_in() > 0).await;
    desk.until("the call is over", |desk| desk.pbx.up() == 0).await;
    desk.pbx.play(Story::Answered, "+442079460123", Some(0));
    let pop = card(&mut screen, |card| settled(card) && card["answer"]["state"] == "found").await;
    let call = pop["call"].clone();
    let ask = |kind: &str, more: Value| {
        let mut frame = json!({"type": kind, "id": kind, "call": call, "ticket": ticket});
        frame.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        frame
    };
    for (kind, more, what) in [
        ("ticket.assign", json!({"to": "1002"}), "assign"),
        ("ticket.escalate", json!({"text": "the shop stands still", "priority": "urgent"}), "escalate"),
        ("ticket.reopen", json!({"text": "again"}), "reopen"),
    ] {
        screen.say(ask(kind, more)).await;
        assert_eq!(screen.next_of("done").await["id"], kind);
        // A busy machine lets a question fail, which is tried again.
        let told = loop {
            let told = screen.next_of("wish.changed").await;
            if told["state"] != "later" {
                break told;
            }
        };
        assert_eq!(
            (&told["what"], &told["state"], &told["ticket"]),
            (&json!(kind), &json!("done"), &json!("1")),
            "{told}"
        );
        assert_eq!(written(&desk, what).len(), 1, "{kind}");
    }
    assert_eq!(
        (written(&desk, "assign")[0].subject.as_str(), written(&desk, "escalate")[0].subject.as_str()),
        ("wang", "urgent")
    );
    // The card follows: the block of tickets is asked for anew.
    let shown =
        |card: &Value| card["blocks"].as_array().is_some_and(|b| b.iter().any(|b| b["body"][0]["assigned"] == "wang"));
    card(&mut screen, shown).await;

    // Nobody who is no colleague, no ticket of others, and no colleague whom the desk does not know.
    for (kind, more, code) in [
        ("ticket.assign", json!({"to": "1003"}), "unknown-target"),
        ("ticket.comment", json!({"text": "x", "ticket": {"system": "desk", "id": "4711"}}), "unknown-target"),
        ("ticket.comment", json!({"text": "x", "call": "01JD0000000000000000000001"}), "unknown-call"),
        ("ticket.comment", json!({"text": " "}), "bad-request"),
    ] {
        let mut frame = ask(kind, more);
        frame["id"] = json!(format!("{kind} {code}"));
        screen.say(frame).await;
        assert_eq!(screen.next_of("failed").await["code"], code, "{kind}");
    }
    let audit = desk.stage.verb(Path::new(PROGRAM), &["audit", "--what", "ticket.*", "--json"]).unwrap();
    assert!(audit.contains("ticket.assign") && audit.contains("ticket 1 at desk"), "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customers_data_is_changed_and_nobody_elses_change_written_over() {
    let mut desk = Desk::set(0.4).await;
    desk.start(None).await;
    desk.until("the daemon is logged in", |desk| desk.pbx.logged_in() > 0).await;
    let mut screen = screen(&desk, "1001").await;
    desk.pbx.play(Story::Answered, "+442079460123", Some(0));
    let pop = card(&mut screen, |card| settled(card) && card["answer"]["state"] == "found").await;
    let call = pop["call"].clone();
    let update = |id: &str, fields: Value, was: Value| json!({"type": "customer.update", "id": id, "call": call, "system": "erp", "fields": fields, "was": was});
    screen.say(update("u", json!({"email": "mary@mail.example"}), json!({"email": ""}))).await;
    assert_eq!(screen.next_of("done").await["id"], "u");
    let told = screen.next_of("wish.changed").await;
    assert_eq!((&told["what"], &told["state"]), (&json!("customer.update"), &json!("done")), "{told}");
    let changed = made(&desk, "update");
    assert_eq!(
        (changed.len(), changed[0].ticket, changed[0].text.as_str()),
        (1, 1006, r#"{"email":"mary@mail.example"}"#)
    );
    // The pop follows.
    let has = |card: &Value| card["candidates"][0]["facts"]["email"] == "mary@mail.example";
    card(&mut screen, has).await;

    // A colleague's card that still shows none: nothing is written over, and it is said why.
    screen
        .say(update("stale", json!({"email": "old@mail.example", "company": "Jones & Sons"}), json!({"email": ""})))
        .await;
    assert_eq!(screen.next_of("done").await["id"], "stale");
    let told = screen.next_of("wish.changed").await;
    assert_eq!(told["state"], "refused");
    assert!(told["reason"].as_str().unwrap().contains("somebody else changed \"email\""), "{told}");
    assert_eq!(made(&desk, "update").len(), 1);

    for (id, fields, code) in [("level", json!({"level": "A"}), "not-offered"), ("nothing", json!({}), "bad-request")] {
        screen.say(update(id, fields, json!({}))).await;
        assert_eq!(screen.next_of("failed").await["code"], code);
    }
}
