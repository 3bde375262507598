use super::*;

pub(in crate::records) const DEFAULT: &str = include_str!("../../config/rules.yaml");

pub(in crate::records) fn record(more: Value) -> Record {
    let mut value = json!({
        "record": 1, "revision": 1, "call": "01JD0000000000000000000001", "tenant": "default", "switch": "pbx1",
        "direction": "inbound", "origin": "phone", "outcome": "answered", "end": "seen", "quality": "exact",
        "customer": {"raw": "13800138000", "e164": "+8613800138000", "class": "mobile"},
        "started_at": "2026-11-22T11:44:00.000Z", "ended_at": "2026-11-22T11:45:00.000Z",
        "first_agent": "1001", "final_agent": "1001", "agents": ["1001"],
    });
    for (name, new) in more.as_object().unwrap() {
        value[name] = new.clone();
    }
    serde_json::from_value(value).unwrap()
}

pub(in crate::records) fn person() -> Person {
    Person::alone(std::sync::Arc::new(candidate()))
}

fn candidate() -> Candidate {
    serde_json::from_value(
        json!({"id": "redmine:customer:1", "link": {"system": "redmine", "type": "customer", "id": "1"},
        "name": "C10001", "reason": null, "url": null, "facts": {"code": "C10001", "balance": "12800.50"}}),
    )
    .unwrap()
}

pub(in crate::records) fn offers() -> Offers {
    let both: Vec<SystemId> = vec!["desk".into(), "redmine".into()];
    let operations = ["ticket.create", "note.add"];
    Offers { systems: operations.map(|name| (name.to_owned(), both.clone())).into(), ..Offers::default() }
}

fn effects(rules: &Rules, known: &Known<'_>) -> Value {
    let (set, left_out) = rules.effects(known, &offers());
    assert_eq!(left_out, [""; 0]);
    set.puts
        .iter()
        .map(|put| {
            let inputs: Value = serde_json::from_str(put.row.inputs.expose()).unwrap();
            let amend = put.amend.as_ref().map(|amend| amend.operation.clone());
            json!({"step": put.row.step, "system": put.row.system, "operation": put.row.operation, "inputs": inputs,
                "due": put.row.due_at, "amend": amend})
        })
        .collect()
}

const NOW: Wall = Wall(1_795_347_900_000);

fn known<'a>(record: &'a Record, ids: &'a HashMap<String, String>) -> Known<'a> {
    let (customer, wrapup, line) = (None, None, Some("Hotline"));
    Known {
        now: NOW,
        record,
        customer,
        tickets: &[],
        wrapup,
        wrapped: false,
        asked: false,
        line,
        lane: &Lane::NONE,
        agent_ids: ids,
    }
}

#[test]
fn an_answered_call_is_noted_on_the_newest_open_ticket_after_the_wrap_up() {
    let rules = Rules::read("rules.yaml", DEFAULT).unwrap();
    let (record, customer) = (record(json!({})), person());
    let ids = HashMap::from([("redmine".to_owned(), "7".to_owned())]);
    let wait = Known { customer: Some(&customer), ..known(&record, &ids) };
    let waiting = effects(&rules, &wait);
    assert_eq!(waiting[0]["due"], "2026-11-22T11:46:00.000Z", "the end and a minute");
    assert_eq!(waiting[0]["inputs"]["target"], json!({"id": "1", "type": "customer"}));

    let wrapup = WrapUp {
        agent: "1001".into(),
        disposition: vec!["billing".to_owned(), "refund".to_owned()],
        notes: Some("pays friday".into()),
        ms: None,
    };
    let tickets = [json!({"id": "12", "type": "ticket"}), json!({"id": "11", "type": "ticket"})];
    let done = effects(&rules, &Known { tickets: &tickets, wrapup: Some(&wrapup), wrapped: true, ..wait });
    let text =
        "Call 01JD0000000000000000000001 (inbound, Hotline) with agent 1001\nResult: billing / refund\npays friday";
    let facts = json!({"id": "1", "type": "customer", "system": "redmine", "name": "C10001", "code": "C10001", "balance": "12800.50"});
    let wanted = json!([{"step": "call-note", "system": "redmine", "operation": "note.add", "amend": "note.add", "due": NOW,
        "inputs": {"target": {"id": "12", "type": "ticket"}, "private": false, "text": text, "customer": facts, "agent": "1001",
            "agent_id": "7", "number": "+8613800138000", "at": "2026-11-22T11:45:00.000Z"}}]);
    assert_eq!(done, wanted);
}

#[test]
fn an_abandoned_call_of_a_stranger_gets_one_follow_up_ticket_at_once() {
    let rules = Rules::read("rules.yaml", DEFAULT).unwrap();
    let more = json!({"outcome": "abandoned", "agents": [], "first_agent": null, "final_agent": null});
    let (record, ids) = (record(more), HashMap::new());
    // Asked for as well: the same step, so one ticket.
    let made = effects(&rules, &Known { asked: true, ..known(&record, &ids) });
    let text = "Call 01JD0000000000000000000001 on Hotline: abandoned\nNumber: +8613800138000";
    let wanted = json!([{"step": "follow-up", "system": "desk", "operation": "ticket.create", "amend": "note.add", "due": NOW,
        "inputs": {"title": "Follow up: +8613800138000", "text": text, "number": "+8613800138000", "at": "2026-11-22T11:45:00.000Z"}}]);
    assert_eq!(made, wanted);
}

#[test]
fn an_answered_call_of_a_stranger_and_an_internal_one_ask_for_nothing() {
    let rules = Rules::read("rules.yaml", DEFAULT).unwrap();
    let ids = HashMap::new();
    for more in [json!({}), json!({"direction": "internal", "outcome": "no-answer"})] {
        let record = record(more);
        assert_eq!(effects(&rules, &known(&record, &ids)), json!([]));
    }
}

#[test]
fn every_condition_counts() {
    let ids = HashMap::new();
    let record = record(json!({"queue": "support"}));
    let wrapup = WrapUp {
        agent: "1001".into(),
        disposition: vec!["billing".to_owned(), "refund".to_owned()],
        notes: None,
        ms: None,
    };
    for (when, wanted) in [
        ("{}", true),
        ("{queue: [support]}", true),
        ("{queue: [sales]}", false),
        ("{tenant: [default]}", true),
        ("{tenant: [other]}", false),
        ("{disposition: [billing]}", true),
        ("{disposition: [billing/refund]}", true),
        ("{disposition: [bill]}", false),
        ("{customer: known}", false),
        ("{customer: unknown}", true),
        ("{ticket_asked: true}", false),
        ("{ticket_asked: false}", true),
        ("{if: record.agents | length > 1}", false),
        ("{if: record.queue == 'support'}", true),
        // It cannot be evaluated for this call: the rule does not hold, and nothing breaks.
        ("{if: record.talk_ms > 'x' + 1}", false),
    ] {
        let text = format!(
            "rules:\n  - name: x\n    when: {when}\n    do:\n      - {{step: s, operation: ticket.create, inputs: {{title: t, text: x}}}}\n"
        );
        let rules = Rules::read("rules.yaml", &text).unwrap();
        let made = effects(&rules, &Known { wrapup: Some(&wrapup), ..known(&record, &ids) });
        assert_eq!(made.as_array().unwrap().len(), usize::from(wanted), "{when}");
    }
}

#[test]
fn mistakes_of_a_rules_file_are_told_with_their_places() {
    let text = "rules:\n  - name: x\n    when: {if: 'record.('}\n    do:\n      - step: a\n        operation: ticket.make\n        inputs: {}\n      - step: b\n        operation: note.add\n        inputs:\n          text: '{{ oh'\n";
    let problems = Rules::read("rules.yaml", text).unwrap_err();
    let said: Vec<String> = problems.iter().map(|p| format!("{}:{} {}", p.line, p.key, p.found)).collect();
    assert_eq!(said.len(), 4, "{said:?}");
    assert!(said[0].starts_with("3:rules[0].when.if syntax error"), "{said:?}");
    assert!(said[1].starts_with("11:rules[0].do[1].inputs.text syntax error"), "{said:?}");
    assert_eq!(said[2], "6:rules[0].do[0].operation there is no operation ticket.make that writes");
    assert_eq!(said[3], "9:rules[0].do[1].operation note.add needs the input target");
    assert_eq!(Rules::read("rules.yaml", "rules: []\nwait: 5\n").unwrap_err()[0].line, 2);
}

#[test]
fn a_ticket_is_looked_for_first_only_where_its_customer_is_known_there() {
    let text = "rules:\n  - name: x\n    do:\n      - step: s\n        system: redmine\n        operation: ticket.create\n        instead: {append: {}, reopen: {days: 3}}\n        inputs: {title: t, text: x}\n";
    let rules = Rules::read("rules.yaml", text).unwrap();
    let named: Vec<&str> = rules.named().map(|(_, operation)| operation).collect();
    assert_eq!(named, ["ticket.create", "tickets.open", "note.add", "tickets.closed", "ticket.reopen"]);
    let (record, customer, ids) = (record(json!({})), person(), HashMap::new());
    let instead = json!({"append": {}, "reopen": {"days": 3}});
    let made = effects(&rules, &Known { customer: Some(&customer), ..known(&record, &ids) });
    assert_eq!((&made[0]["operation"], &made[0]["inputs"]["instead"]), (&json!("ticket.create"), &instead));
    let stranger = effects(&rules, &known(&record, &ids));
    assert!(stranger[0]["inputs"].get("instead").is_none(), "{stranger}");
}

#[test]
fn what_cannot_be_meant_by_instead_is_told_with_its_place() {
    for (step, wanted) in [
        (
            "operation: note.add, instead: {append: {}}, inputs: {target: t, text: x}",
            "nothing can be done instead of note.add",
        ),
        ("operation: ticket.create, instead: {}, inputs: {title: t, text: x}", "neither append nor reopen"),
        ("operation: ticket.create, instead: {append: {if: 'ticket.('}}, inputs: {title: t, text: x}", "syntax error"),
        ("operation: ticket.create, instead: {reopen: {}}, inputs: {title: t, text: x}", "days"),
        ("operation: ticket.create, instead: {append: {days: 0}}, inputs: {title: t, text: x}", "0"),
        ("operation: ticket.create, instead: {append: {}}, inputs: {title: t, text: x, target: y}", "the input target"),
    ] {
        let text = format!("rules:\n  - name: x\n    do:\n      - {{step: s, {step}}}\n");
        let problems = Rules::read("rules.yaml", &text).unwrap_err();
        let said: Vec<String> = problems.iter().map(|p| format!("{} {}", p.key, p.found)).collect();
        assert!(said[0].starts_with("rules[0].do[0]") && said[0].contains(wanted), "{said:?}");
    }
}
