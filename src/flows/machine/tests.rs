//! The machine alone: what it asks for when, what it takes back, what it leaves to people.

use proptest::prelude::*;

use serde_json::json;

use super::*;
use crate::flows::{
    compile,
    word::{Said, Word},
};

const TEXT: &str = r#"
flow: refund
schema: 1
title: {en: Refund, zh: 退款}
on: [{button: {}}]
inputs:
  order: {type: text}
  amount: {type: amount, max: "50000"}
steps:
  - step: {name: verify, system: orders, operation: orders, inputs: {customer: "{{ customer }}"}, save: known,
           require: [{that: "result and (result | selectattr('id', 'equalto', inputs.order) | list)", otherwise: the order is not this customer's}]}
  - approval: {name: agree, when: "inputs.amount | float > 500", amount: inputs.amount, roles: [{role: supervisor, up_to: "5000"}, {role: manager}], within_ms: 3600000}
  - step: {name: ticket, system: desk, operation: ticket.create, inputs: {title: "Refund {{ inputs.order }}", text: "{{ inputs.amount }}"}, save: ticket,
           undo: {operation: ticket.close, inputs: {target: "{{ ticket }}", text: "{{ reason }}"}}}
  - parallel:
      - step: {name: freeze, system: orders, operation: refund.freeze, inputs: {order: "{{ inputs.order }}", amount: "{{ inputs.amount }}"}, save: frozen,
               undo: {operation: refund.unfreeze, inputs: {order: "{{ inputs.order }}", target: "{{ frozen }}"}}}
      - step: {name: finance, system: chat, operation: notify, inputs: {text: "{{ inputs.order }}"}, may_fail: true, undo: none}
  - step: {name: pay, system: bank, operation: refund.pay, inputs: {order: "{{ inputs.order }}", amount: "{{ inputs.amount }}", target: "{{ frozen }}"}, undo: none, pivot: true}
  - step: {name: note, system: desk, operation: note.add, inputs: {target: "{{ ticket }}", text: paid}, undo: none}
"#;

fn plan() -> Plan {
    compile::again("refund.yaml", TEXT).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn run(plan: &Plan, sum: &str) -> Run {
    let inputs = serde_json::from_value(json!({"order": "A-1", "amount": sum})).unwrap();
    let cause = Cause {
        trigger: "button".into(),
        agent: Some("1001".into()),
        customer: json!({"id": "7"}),
        inputs,
        ..Cause::default()
    };
    Run::new(id(&"default".into(), "refund", sum), plan, "default".into(), None, cause, Wall(0))
}

fn can(system: &SystemId, operation: &str) -> Idempotency {
    match (system.as_str(), operation) {
        ("bank" | "chat", _) => Idempotency::None,
        (_, "orders") => Idempotency::Read,
        _ => Idempotency::Key,
    }
}

fn good(operation: &str) -> Outcome {
    match operation {
        "orders" => Outcome::Ok(json!([{"id": "A-1"}])),
        other => Outcome::Ok(json!({"id": format!("{other}-1"), "type": "x"})),
    }
}

/// Plays it to where nothing can be sent; `say` answers each step (`operation` or `undo operation`). Gives what was sent, in order.
fn play(run: &mut Run, plan: &Plan, now: &mut Wall, mut say: impl FnMut(&str) -> Outcome) -> Vec<String> {
    let mut sent = Vec::new();
    for _ in 0..200 {
        let wanted = run.turn(plan, *now, can);
        if wanted.is_empty() {
            // Whatever is to be tried later is tried now.
            let due = run.row(*now).due_at.filter(|due| due.0 < now.0 + 60_000 && *due > *now);
            match due {
                Some(due) => *now = due,
                None => return sent,
            }
            continue;
        }
        for one in wanted {
            sent.push(one.operation.to_owned());
            // A restart at this very moment must know of it.
            let stored: Run = serde_json::from_str(run.row(*now).body.expose()).unwrap();
            let marks = if one.undo { &stored.undos } else { &stored.marks };
            assert!(matches!(&marks[&one.path], Mark::Trying(t) if t.sent), "{} was sent and is not on disk", one.path);
            let can = can(&one.system, one.operation);
            let answered = Answered { path: one.path, undo: one.undo, outcome: say(one.operation), can, dice: 0.5 };
            run.answered(plan, answered, *now, &Settings::default());
        }
    }
    panic!("it never comes to rest");
}

fn word(who: &str, role: &str, said: Said) -> Word {
    Word::here(who.into(), vec![role.into()], said)
}

#[test]
fn all_goes_well() {
    let (plan, mut now) = (plan(), Wall(1));
    let mut run = run(&plan, "129.00");
    let sent = play(&mut run, &plan, &mut now, good);
    assert_eq!(sent, ["orders", "ticket.create", "refund.freeze", "notify", "refund.pay", "note.add"]);
    assert_eq!((run.state(), run.row(now).open, run.row(now).due_at), ("done", false, None));
    assert_eq!(run.marks["agree"], Mark::Skipped);
}

#[test]
fn a_step_that_fails_takes_back_what_was_done_last_first_and_says_why() {
    let (plan, mut now) = (plan(), Wall(1));
    let mut run = run(&plan, "129.00");
    let sent = play(&mut run, &plan, &mut now, |operation| match operation {
        "refund.pay" => Outcome::Invalid { reason: "no such account".into() },
        other => good(other),
    });
    assert_eq!(sent[4..], ["refund.pay", "refund.unfreeze", "ticket.close"]);
    assert_eq!(run.state(), "undone");
    let stop = run.stop.as_ref().unwrap();
    assert_eq!((stop.step.as_deref(), stop.reason.as_str()), (Some("pay"), "invalid: no such account"));
}

#[test]
fn what_cannot_be_known_is_never_sent_again_and_a_person_has_all_that_is_needed() {
    let (plan, mut now) = (plan(), Wall(1));
    for (how, after, state) in [
        (Settled::Done, &["note.add"][..], "done"),
        (Settled::NotDone, &["refund.unfreeze", "ticket.close"][..], "undone"),
        (Settled::Again, &["refund.pay", "note.add"][..], "done"),
    ] {
        let mut run = run(&plan, "129.00");
        let lost = Outcome::Unknown { reason: "no answer".into() };
        let sent =
            play(
                &mut run,
                &plan,
                &mut now,
                |operation| if operation == "refund.pay" { lost.clone() } else { good(operation) },
            );
        assert_eq!(sent.iter().filter(|sent| *sent == "refund.pay").count(), 1);
        assert_eq!((run.state(), run.row(now).person, run.row(now).due_at), ("person", true, None));
        let task = run.open_tasks().next().unwrap();
        assert_eq!(
            (task.kind, task.system.as_str(), task.inputs.expose()["order"].as_str()),
            (TaskKind::Decide, "bank", Some("A-1"))
        );
        let done: Vec<_> =
            task.done.iter().map(|d| (d.operation.as_str(), d.id.as_ref().unwrap().expose().as_str())).collect();
        assert_eq!(
            done,
            [("ticket.create", "ticket.create-1"), ("refund.freeze", "refund.freeze-1"), ("notify", "notify-1")]
        );
        let settle = Said::Settle { task: 1, how, note: None, result: None };
        run.hear(&plan, &word("boss", "supervisor", settle.clone()), now).unwrap();
        assert_eq!(play(&mut run, &plan, &mut now, good), after);
        assert_eq!(run.state(), state);
        assert!(run.hear(&plan, &word("boss", "supervisor", settle), now).is_err());
    }
}

#[test]
fn an_undo_that_fails_is_a_persons_and_the_others_go_on() {
    let (plan, mut now) = (plan(), Wall(1));
    let mut run = run(&plan, "129.00");
    let sent = play(&mut run, &plan, &mut now, |operation| match operation {
        "refund.pay" => Outcome::Invalid { reason: "closed".into() },
        "refund.unfreeze" => Outcome::Conflict { reason: "paid out by hand".into() },
        other => good(other),
    });
    assert_eq!(sent[5..], ["refund.unfreeze", "ticket.close"]);
    assert_eq!(run.state(), "person");
    let task = run.open_tasks().next().unwrap();
    assert_eq!(
        (task.kind, task.operation.as_str(), task.reason.as_str()),
        (TaskKind::Undo, "refund.unfreeze", "conflict: paid out by hand")
    );
    assert_eq!(task.inputs.expose()["target"]["id"], "refund.freeze-1");
    run.hear(&plan, &word("boss", "x", Said::Settle { task: 1, how: Settled::Done, note: None, result: None }), now)
        .unwrap();
    assert!(play(&mut run, &plan, &mut now, good).is_empty());
    assert_eq!(run.state(), "undone");
}

#[test]
fn four_eyes_and_amounts_by_role() {
    let (plan, mut now) = (plan(), Wall(1));
    let mut run = run(&plan, "5000.01");
    assert_eq!(play(&mut run, &plan, &mut now, good), ["orders"]);
    assert_eq!((run.state(), run.approvers(&plan).len()), ("approval", 2));
    let agree = || Said::Approve { step: "agree".into() };
    for (who, role, why) in [
        ("1001", "manager", "who asked for it may not agree to it"),
        ("1002", "agent", "your role may not agree to it"),
        ("1002", "supervisor", "the amount is more than your role may agree to"),
    ] {
        assert_eq!(run.hear(&plan, &word(who, role, agree()), now), Err(why));
    }
    assert!(play(&mut run, &plan, &mut now, good).is_empty());
    run.hear(&plan, &word("1002", "manager", agree()), now).unwrap();
    assert_eq!(play(&mut run, &plan, &mut now, good).len(), 5);
    assert_eq!(run.state(), "done");
}

#[test]
fn a_refusal_and_silence_end_it() {
    let (plan, mut now) = (plan(), Wall(1));
    let mut refused = run(&plan, "600");
    play(&mut refused, &plan, &mut now, good);
    refused.hear(&plan, &word("1002", "supervisor", Said::Refuse { step: "agree".into(), why: None }), now).unwrap();
    assert!(play(&mut refused, &plan, &mut now, good).is_empty());
    assert_eq!((refused.state(), refused.stop.as_ref().unwrap().reason.as_str()), ("undone", "it was refused"));
    let mut silent = run(&plan, "600");
    play(&mut silent, &plan, &mut now, good);
    now = now.plus_ms(3_600_000);
    assert!(play(&mut silent, &plan, &mut now, good).is_empty());
    assert_eq!((silent.state(), silent.stop.as_ref().unwrap().reason.as_str()), ("undone", "nobody agreed in time"));
}

#[test]
fn behind_the_pivot_nothing_is_taken_back() {
    let (plan, mut now) = (plan(), Wall(1));
    let mut run = run(&plan, "10");
    let sent = play(&mut run, &plan, &mut now, |operation| match operation {
        "note.add" => Outcome::Invalid { reason: "the ticket is closed".into() },
        other => good(other),
    });
    assert_eq!(sent.last().unwrap(), "note.add");
    assert_eq!((run.state(), run.open_tasks().next().unwrap().kind), ("person", TaskKind::Finish));
    assert_eq!(
        run.hear(&plan, &word("1001", "agent", Said::Stop { why: None }), now),
        Err("there is no way back any more")
    );
    run.hear(&plan, &word("boss", "x", Said::Settle { task: 1, how: Settled::NotDone, note: None, result: None }), now)
        .unwrap();
    assert!(play(&mut run, &plan, &mut now, good).is_empty());
    assert_eq!(run.state(), "done");
}

#[test]
fn an_order_of_somebody_else_ends_before_anything_is_written() {
    let (plan, mut now) = (plan(), Wall(1));
    let mut run = run(&plan, "10");
    let sent = play(&mut run, &plan, &mut now, |_| Outcome::Ok(json!([{"id": "B-2"}])));
    assert_eq!(sent, ["orders"]);
    assert_eq!(
        (run.state(), run.stop.as_ref().unwrap().reason.as_str()),
        ("undone", "the order is not this customer's")
    );
}

#[test]
fn a_list_is_gone_through_in_order_bounded_and_what_it_saved_is_a_list_behind_it() {
    let text = r#"
flow: many
schema: 1
title: Many
on: [{button: {}}]
inputs: {orders: {type: list}}
steps:
  - for_each:
      name: each
      in: inputs.orders
      as: order
      most: 3
      steps:
        - step: {name: freeze, system: orders, operation: refund.freeze, inputs: {order: "{{ order }}", amount: "1"}, save: frozen,
                 undo: {operation: refund.unfreeze, inputs: {order: "{{ order }}", target: "{{ frozen }}"}}}
  - step: {name: tell, system: chat, operation: notify, inputs: {text: "{{ frozen | map(attribute='id') | join(', ') }}"}, undo: none}
"#;
    let plan = compile::again("many.yaml", text).unwrap();
    let made = |orders: &[&str]| {
        let inputs = serde_json::from_value(json!({"orders": orders})).unwrap();
        Run::new("1".into(), &plan, "default".into(), None, Cause { inputs, ..Cause::default() }, Wall(0))
    };
    let mut now = Wall(1);
    let mut run = made(&["A", "B", "C"]);
    let mut n = 0;
    let mut told = Vec::new();
    let mut seen = |run: &mut Run, fails: bool| {
        for _ in 0..20 {
            for one in run.turn(&plan, now, can) {
                n += 1;
                told.push(format!(
                    "{} {}{}",
                    one.operation,
                    one.inputs.get("order").or(one.inputs.get("text")).unwrap(),
                    one.inputs.get("target").map_or(String::new(), |t| t["id"].to_string())
                ));
                let outcome = match (one.operation, fails) {
                    ("notify", true) => Outcome::Invalid { reason: "no".into() },
                    _ => Outcome::Ok(json!({"id": format!("f{n}")})),
                };
                let can = can(&one.system, one.operation);
                run.answered(
                    &plan,
                    Answered { path: one.path, undo: one.undo, outcome, can, dice: 0.0 },
                    now,
                    &Settings::default(),
                );
            }
        }
    };
    seen(&mut run, true);
    assert_eq!(
        told,
        [
            r#"refund.freeze "A""#,
            r#"refund.freeze "B""#,
            r#"refund.freeze "C""#,
            r#"notify "f1, f2, f3""#,
            r#"refund.unfreeze "C""f3""#,
            r#"refund.unfreeze "B""f2""#,
            r#"refund.unfreeze "A""f1""#,
        ]
    );
    assert_eq!(run.state(), "undone");
    let mut long = made(&["A", "B", "C", "D"]);
    assert!(play(&mut long, &plan, &mut now, good).is_empty());
    assert_eq!(long.stop.as_ref().unwrap().reason, "4 items, and at most 3 are taken");
}

proptest! {
    /// Whatever the systems answer, and killed after any request: it comes to rest; a write that cannot be looked for is sent once
    /// at most; what was done and is not kept is undone or a person's.
    #[test]
    fn it_always_comes_to_rest_and_nothing_is_silent(words in prop::collection::vec(0_u8..8, 80), kills in prop::collection::vec(prop::bool::weighted(0.1), 80)) {
        let (plan, settings) = (plan(), Settings::default());
        let mut run = run(&plan, "129.00");
        let mut now = Wall(1);
        // What the systems have: by key, how often it was acted on.
        let mut acted: BTreeMap<(String, String), u32> = BTreeMap::new();
        let (mut words, mut kills) = (words.into_iter(), kills.into_iter());
        let mut rest = false;
        for _ in 0..400 {
            let wanted = run.turn(&plan, now, can);
            if wanted.is_empty() {
                match run.row(now).due_at {
                    Some(due) if due > now => { now = due; continue; }
                    _ => { rest = true; break; }
                }
            }
            let disk = run.row(now);
            let killed = kills.next().unwrap_or(false);
            for one in wanted {
                let (outcome, does) = match words.next().unwrap_or(0) {
                    0..=2 => (good(one.operation), true),
                    3 => (Outcome::Unknown { reason: "lost".into() }, true),
                    4 => (Outcome::Unknown { reason: "lost".into() }, false),
                    5 => (Outcome::Busy { reason: "away".into() }, false),
                    6 => (Outcome::Invalid { reason: "no".into() }, false),
                    _ => (Outcome::RateLimited { wait_ms: Some(5) }, false),
                };
                let key = (one.operation.to_owned(), one.inputs["key"].as_str().unwrap().to_owned());
                if does {
                    let times = acted.entry(key).or_default();
                    // A system that keeps keys does nothing twice.
                    *times = if can(&one.system, one.operation) == Idempotency::None { *times + 1 } else { 1 };
                }
                if !killed {
                    let can = can(&one.system, one.operation);
                    run.answered(&plan, Answered { path: one.path, undo: one.undo, outcome, can, dice: 0.5 }, now, &settings);
                }
            }
            if killed {
                run = Run::of(&disk, now, &settings).unwrap();
            }
        }
        prop_assert!(rest, "it never comes to rest: {}", run.state());
        prop_assert!(acted.iter().all(|((operation, _), times)| *times == 1 || operation == "orders"), "{acted:?}");
        let has = |operation: &str| acted.keys().any(|(of, _)| of == operation);
        match run.state() {
            "done" => prop_assert!(has("refund.pay") && has("refund.freeze") && !has("refund.unfreeze")),
            "undone" => {
                prop_assert!(!has("refund.pay"));
                prop_assert!(!has("refund.freeze") || has("refund.unfreeze"));
                prop_assert!(!has("ticket.create") || has("ticket.close"));
            }
            "person" => prop_assert!(run.open_tasks().count() > 0),
            other => prop_assert!(false, "it rests as {other}"),
        }
    }
}

const RESULT: &str = r#"
flow: result
schema: 1
title: Result
on: [{webhook: survey}]
call: event.call
steps:
  - record: {name: score, attributes: {survey.score: "{{ event.score }}", survey.comment: "{{ event.comment or '' }}"}, may_fail: MAY}
  - step: {name: tell, when: "event.score == 1", system: chat, operation: notify, inputs: {text: bad}, undo: none}
"#;

fn result(may: &str, call: Option<&str>) -> (Plan, Run) {
    let text = RESULT.replace("MAY", may);
    let plan = compile::again("result.yaml", &text).unwrap_or_else(|problems| panic!("{problems:?}"));
    let cause = Cause {
        trigger: "webhook".into(),
        event: json!({"call": call, "score": 5, "comment": null}),
        ..Cause::default()
    };
    let call = call.map(|call| call.parse().unwrap());
    let run = Run::new(id(&"default".into(), "result", "e-1"), &plan, "default".into(), call, cause, Wall(0));
    (plan, run)
}

const CALL: &str = "01JD0000000000000000000001";

fn linecard(row: crate::store::FlowWordRow) -> Word {
    Word::of(&row).unwrap()
}

#[test]
fn what_goes_into_the_record_is_asked_until_the_word_is_there_that_it_is_written() {
    let (plan, mut run) = result("false", Some(CALL));
    assert!(run.turn(&plan, Wall(1), can).is_empty());
    let wish = run.inscriptions().pop().unwrap();
    let values: Vec<(&str, &str)> = wish.values.iter().map(|(n, v)| (n.as_str(), v.expose().as_str())).collect();
    assert_eq!(values, [("survey.comment", ""), ("survey.score", "5")]);
    assert_eq!((wish.call.to_string(), wish.step.as_str()), (CALL.to_owned(), "score"));
    // It waits, and asks the same again later: after a kill, too.
    let row = run.row(Wall(1));
    assert_eq!((row.open, row.due_at), (true, Some(Wall(5_001))));
    assert!(run.turn(&plan, Wall(5_000), can).is_empty() && run.inscriptions().is_empty());
    let mut run = Run::of(&row, Wall(2), &Settings::default()).unwrap();
    assert!(run.turn(&plan, Wall(5_001), can).is_empty());
    assert_eq!(run.inscriptions(), std::slice::from_ref(&wish));

    let word = linecard(wish.written(Wall(6_000)));
    run.hear(&plan, &word, Wall(6_000)).unwrap();
    assert!(run.turn(&plan, Wall(6_000), can).is_empty() && run.inscriptions().is_empty());
    assert_eq!((run.state(), &run.marks["tell"]), ("done", &Mark::Skipped));
    // The same word of a second batch says nothing more.
    assert_eq!(wish.written(Wall(7)).id, wish.written(Wall(8)).id);
    assert!(run.hear(&plan, &word, Wall(6_001)).is_err());
}

#[test]
fn a_record_that_does_not_take_it_ends_the_flow_unless_it_may_fail() {
    for (may, state) in [("false", "undone"), ("true", "done")] {
        let (plan, mut run) = result(may, Some(CALL));
        run.turn(&plan, Wall(1), can);
        let wish = run.inscriptions().pop().unwrap();
        let word = linecard(wish.refused("there is no such call".into(), Wall(2)));
        run.hear(&plan, &word, Wall(2)).unwrap();
        run.turn(&plan, Wall(2), can);
        assert_eq!(run.state(), state);
    }
    // Somebody stops it while it waits: it comes to rest, and what is written stands.
    let (plan, mut run) = result("false", Some(CALL));
    run.turn(&plan, Wall(1), can);
    let wish = run.inscriptions().pop().unwrap();
    run.hear(&plan, &self::word("boss", "supervisor", Said::Stop { why: None }), Wall(2)).unwrap();
    run.turn(&plan, Wall(2), can);
    assert_eq!(run.state(), "undone");
    assert!(run.hear(&plan, &linecard(wish.written(Wall(3))), Wall(3)).is_err());
    // Without a call there is no record.
    let (plan, mut run) = result("false", None);
    run.turn(&plan, Wall(1), can);
    assert!(run.inscriptions().is_empty());
    assert_eq!((run.state(), run.stop.unwrap().reason.as_str()), ("undone", "it is about no call"));
}
