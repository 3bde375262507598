use serde_json::json;

use super::super::rules::tests::{DEFAULT, offers, person, record};
use super::*;
use crate::customers::{Candidate, Choice as Chooses, Joined, JoinedBy};

fn desk() -> Desk {
    Desk::new(Arc::new(Rules::read("rules.yaml", DEFAULT).unwrap()), Arc::new(offers()), Arc::default())
}
fn at(ms: i64) -> Now {
    Now { wall: Wall(1_795_347_900_000 + ms), mono: Mono(1_000 * ms.unsigned_abs()) }
}
fn call() -> CallId {
    "01JD0000000000000000000001".parse().unwrap()
}
fn change(what: What) -> Change {
    Change { call: call(), at: at(0), what }
}
fn said(said: Said) -> Command {
    Command { tenant: "default".into(), call: call(), agent: "1001".into(), said }
}
fn notes(text: &str) -> Command {
    said(Said::Notes { text: text.into() })
}
fn found() -> Card {
    Card::of(Answer::Found(Arc::new(person())))
}
fn submits(desk: &mut Desk) -> Vec<(Batch, Vec<Token>)> {
    let mut all = Vec::new();
    while let Some(output) = desk.output() {
        match output {
            Output::Submit { batch, tokens } => all.push((*batch, tokens)),
            other => panic!("{other:?}"),
        }
    }
    all
}
fn stored(batch: &Batch) -> Record {
    serde_json::from_str(batch.records[0].body.expose()).unwrap()
}

#[test]
fn a_call_is_checkpointed_noted_and_written_in_one_batch_at_its_end() {
    let mut desk = desk();
    desk.change(at(0), &change(What::Appeared), None, Some(record(json!({"outcome": null, "ended_at": null}))), None);
    let first = submits(&mut desk);
    assert_eq!((first.len(), first[0].0.checkpoints.len()), (1, 1));
    desk.card(at(1), call(), &found());
    desk.card(at(1), call(), &found());
    assert_eq!(submits(&mut desk).len(), 1, "the same card again costs nothing");
    desk.command(at(2), notes("calls again"), 7);
    let noted = submits(&mut desk);
    assert_eq!((noted[0].0.notes.len(), noted[0].1.as_slice()), (1, &[7][..]));

    desk.change(at(3), &change(What::Ended), None, Some(record(json!({}))), None);
    let end = submits(&mut desk);
    assert_eq!(end.len(), 1);
    let batch = &end[0].0;
    assert_eq!((batch.records.len(), batch.closed.len(), batch.effects[0].puts.len()), (1, 1, 1));
    let written = stored(batch);
    assert_eq!(written.customer.unwrap().links[0].id, "1");
    assert_eq!(written.wrapups[0].notes, Some("calls again".into()));

    let wrapup = Said::WrapUp { disposition: vec!["billing".to_owned()], notes: None, ticket: true };
    desk.command(at(4), said(wrapup), 8);
    let late = submits(&mut desk);
    assert_eq!(late[0].1, [8]);
    assert_eq!(stored(&late[0].0).revision, 2);
    let steps: Vec<&str> = late[0].0.effects[0].puts.iter().map(|put| put.row.step.as_str()).collect();
    assert_eq!(steps, ["call-note", "follow-up"]);
    assert_eq!(late[0].0.effects[0].puts[0].row.due_at, at(4).wall, "it waits no longer");
    assert_eq!(late[0].0.effects[0].puts[0].row.key, batch.effects[0].puts[0].row.key);

    desk.change(at(5), &change(What::Amended), None, Some(record(json!({"revision": 2, "talk_ms": 5}))), None);
    let amended = stored(&submits(&mut desk)[0].0);
    assert_eq!((amended.revision, amended.wrapups.len()), (3, 1));
}

#[test]
fn what_is_written_goes_by_the_file_that_the_card_was_asked_by() {
    use crate::connectors::beside::{Beside, Facts, Kind, Lane};
    let mut desk = desk();
    desk.change(at(0), &change(What::Appeared), None, Some(record(json!({"outcome": null, "ended_at": null}))), None);
    let file = serde_saphyr::from_str("{of: redmine, percent: 100}").unwrap();
    let (id, canary) = ("redmine-next".into(), Beside::new(&"redmine-next".into(), Kind::Canary, &file).unwrap());
    let lane = Lane::of([(&id, &canary)].into_iter(), &Facts::default(), &Lane::NONE);
    desk.card(at(1), call(), &Card { lane, ..found() });
    desk.change(at(2), &change(What::Ended), None, Some(record(json!({}))), None);
    let (batch, _) = submits(&mut desk).pop().unwrap();
    let row = &batch.effects[0].puts[0].row;
    assert_eq!((row.system.as_str(), row.version.as_ref()), ("redmine", Some(&id)));
    // The key is the system's, whichever file writes it.
    assert_eq!(row.key, crate::store::effect_key(&row.tenant, row.call, &"redmine".into(), &row.step));
}

#[test]
fn after_a_restart_what_was_said_is_asked_back_before_the_end_is_written() {
    let mut old = desk();
    old.change(at(0), &change(What::Appeared), None, Some(record(json!({"outcome": null, "ended_at": null}))), None);
    old.card(at(1), call(), &found());
    old.command(at(2), notes("before the restart"), 1);
    let batches = submits(&mut old);
    let row = batches[1].0.checkpoints[0].clone();
    let note = batches[2].0.notes[0].clone();

    let mut new = desk();
    let open = new.restore(vec![row.clone()]);
    assert_eq!((open.len(), open[0].switch.as_str()), (1, "pbx1"));
    assert_eq!(new.unseen(&"pbx1".into()), [call()]);
    let Some(Output::Load(key)) = new.output() else { panic!("it asks what the agents said") };
    new.change(at(9), &change(What::Ended), None, Some(record(json!({}))), None);
    assert!(new.output().is_none(), "the end waits");
    let history = History { checkpoint: Some(row), notes: vec![note], ..History::default() };
    new.loaded(at(9), &key, Ok(history));
    let end = submits(&mut new);
    let written = stored(&end[0].0);
    assert_eq!(written.wrapups[0].notes, Some("before the restart".into()));
    assert_eq!(written.customer.unwrap().links.len(), 1, "the customer is known from the checkpoint");
    assert_eq!(new.unseen(&"pbx1".into()), []);
}

#[test]
fn a_restored_call_that_its_switch_forgot_ends_as_lost() {
    let mut old = desk();
    let up = json!({"ended_at": null, "answered_at": "2026-11-22T11:44:30.000Z"});
    old.change(at(0), &change(What::Appeared), None, Some(record(up)), None);
    let row = submits(&mut old)[0].0.checkpoints[0].clone();
    let mut new = desk();
    new.restore(vec![row.clone()]);
    let Some(Output::Load(key)) = new.output() else { panic!() };
    new.loaded(at(8), &key, Ok(History { checkpoint: Some(row), ..History::default() }));
    new.lost(at(9), call());
    let end = submits(&mut new);
    let written = stored(&end[0].0);
    assert_eq!((written.end, written.quality), (End::Lost, Quality::Estimated));
    assert_eq!(written.ended_at, written.answered_at);
    assert_eq!(end[0].0.closed.len(), 1);
}

/// As the store has it, in its fourth revision.
fn fourth(body: Value) -> RecordRow {
    RecordRow {
        tenant: "default".into(),
        call: call(),
        revision: 4,
        schema: 1,
        started_at: None,
        ended_at: None,
        direction: None,
        outcome: None,
        queue: None,
        body: json_text(&record(body)),
    }
}

#[test]
fn words_for_a_call_long_gone_wait_for_the_store_and_for_no_call_are_refused() {
    let mut desk = desk();
    desk.command(at(0), notes("late"), 1);
    let Some(Output::Load(key)) = desk.output() else { panic!() };
    let row = fourth(json!({}));
    desk.loaded(at(1), &key, Ok(History { record: Some(row), ..History::default() }));
    let written = submits(&mut desk);
    assert_eq!((stored(&written[0].0).revision, written[0].1.as_slice()), (5, &[1][..]));

    let mut desk = self::desk();
    desk.command(at(0), notes("x"), 2);
    desk.output();
    desk.loaded(at(1), &key, Ok(History::default()));
    assert!(matches!(desk.output(), Some(Output::Refused { token: 2, .. })));
    assert_eq!(desk.counts(), (0, 0));
    // Another tenant's call is no call.
    desk.change(at(0), &change(What::Appeared), None, Some(record(json!({}))), None);
    desk.output();
    desk.command(at(2), Command { tenant: "other".into(), ..notes("x") }, 3);
    assert!(matches!(desk.output(), Some(Output::Refused { token: 3, .. })));
}

#[test]
fn what_was_said_of_a_consultation_is_said_of_the_call_it_became_part_of() {
    let mut desk = desk();
    let into: CallId = "01JD0000000000000000000002".parse().unwrap();
    let other = record(json!({"call": into.to_string(), "ended_at": null}));
    desk.change(at(0), &change(What::Appeared), None, Some(record(json!({"ended_at": null}))), None);
    desk.change(at(0), &Change { call: into, ..change(What::Appeared) }, None, Some(other.clone()), None);
    desk.command(at(1), notes("colleague asks"), 1);
    submits(&mut desk);
    desk.change(at(2), &change(What::Absorbed { into }), None, None, None);
    let moved = submits(&mut desk);
    assert_eq!(moved[0].0.closed[0].call, call());
    assert_eq!(moved[1].0.notes[0].call, into);
    desk.command(at(3), notes("late word"), 2);
    assert_eq!(submits(&mut desk)[0].0.notes[0].call, into);
}

#[test]
fn memory_is_bounded() {
    let mut desk = desk();
    for n in 0..(KEEP + 500) {
        let id = CallId(ulid::Ulid::from_parts(1, n as u128));
        let record = record(json!({"call": id.to_string()}));
        desk.change(at(0), &Change { call: id, ..change(What::Appeared) }, None, Some(record.clone()), None);
        desk.change(at(0), &Change { call: id, ..change(What::Ended) }, None, Some(record), None);
        while desk.output().is_some() {}
    }
    assert!(desk.counts().0 <= KEEP + 1, "{:?}", desk.counts());
    desk.command(at(i64::try_from(KEEP_MS).unwrap() + 1), notes("x"), 1);
    assert_eq!(desk.counts().0, 1, "only the one that is asked back");
}

#[test]
fn what_agents_wrote_into_attributes_is_in_every_revision_and_survives_a_restart() {
    let mut old = desk();
    let up = json!({"outcome": null, "ended_at": null, "attributes": {"ivr.account": "1"}, "attribute_faults": {"case": "misfit"}});
    old.change(at(0), &change(What::Appeared), None, Some(record(up)), None);
    let attribute = |name: &str, value: &str| Said::Attribute { name: name.into(), value: value.into() };
    old.command(at(1), said(attribute("case", "billing")), 1);
    old.command(at(2), said(attribute("gone", "x")), 2);
    old.command(at(3), Command { agent: "1002".into(), ..said(attribute("case", "repair")) }, 3);
    old.command(at(4), said(attribute("gone", "")), 4);
    let batches = submits(&mut old);
    assert_eq!(batches.iter().map(|(_, tokens)| tokens.len()).sum::<usize>(), 4, "each is answered when it is durable");
    let mut notes: Vec<NoteRow> = batches.iter().flat_map(|(batch, _)| batch.notes.clone()).collect();
    // As the store keeps them: the newest of each agent.
    notes.sort_by_key(|note| std::cmp::Reverse(note.at));
    let mut agents = std::collections::HashSet::new();
    notes.retain(|note| agents.insert(note.agent.clone()));
    let row = batches[0].0.checkpoints[0].clone();

    let mut new = desk();
    new.restore(vec![row.clone()]);
    let Some(Output::Load(key)) = new.output() else { panic!("it asks what the agents said") };
    let history = History { checkpoint: Some(row), notes, ..History::default() };
    new.loaded(at(9), &key, Ok(history));
    let end = json!({"attributes": {"ivr.account": "1", "case": "billing"}, "attribute_faults": {"case": "misfit"}});
    new.change(at(9), &change(What::Ended), None, Some(record(end)), None);
    let written = stored(&submits(&mut new)[0].0);
    let all: Vec<_> = written.attributes.iter().map(|(name, value)| (name.as_str(), value.expose().as_str())).collect();
    assert_eq!(all, [("case", "repair"), ("ivr.account", "1")], "the last who wrote");
    assert!(written.attribute_faults.is_empty());
    // Long after the end too.
    new.command(at(20), said(attribute("case", "billing")), 5);
    let late = submits(&mut new);
    assert_eq!((stored(&late[0].0).attributes["case"].expose().as_str(), late[0].1.as_slice()), ("billing", &[5][..]));
}

#[test]
fn calls_that_nobody_watched_are_written_once_with_their_effects_and_the_place_in_one_batch() {
    let mut desk = desk();
    let gap = || (record(json!({"quality": "gap", "agents": ["1001"]})), Some("Hotline".to_owned()));
    let place = || PositionRow { tenant: "default".into(), switch: "pbx1".into(), body: "{}".into() };
    assert_eq!(desk.missed(at(0), vec![gap()], Some(place())), [call()]);
    assert!(desk.knows(call()));
    let written = submits(&mut desk);
    assert_eq!(written.len(), 1, "one transaction");
    let batch = &written[0].0;
    assert_eq!((batch.records.len(), batch.effects.len(), batch.positions.len()), (1, 1, 1));
    assert_eq!((stored(batch).quality, stored(batch).revision), (Quality::Gap, 1));
    assert_eq!(desk.missed(at(1), vec![gap()], Some(place())), []);
    let again = submits(&mut desk);
    assert_eq!((again[0].0.records.len(), again[0].0.positions.len()), (0, 1));
    // The customer who was found, and an agent's words, belong to it as to any call.
    desk.card(at(2), call(), &found());
    assert_eq!(stored(&submits(&mut desk)[0].0).customer.unwrap().links.len(), 1);
    desk.command(at(3), notes("called back"), 1);
    let noted = stored(&submits(&mut desk)[0].0);
    assert_eq!((noted.quality, noted.wrapups.len()), (Quality::Gap, 1));
}

/// The customer of `found()`, with the same person's record at the desk.
fn at_two_systems() -> Person {
    let link = crate::calls::record::Reference { system: "desk".into(), kind: "contact".into(), id: "9".into() };
    let joined = Joined { candidate: Arc::new(Candidate::at(link)), by: JoinedBy::Name };
    Person { also: vec![joined], ..person() }
}

#[test]
fn a_choice_is_written_for_the_call_and_for_the_number_and_undone_for_both() {
    let mut desk = desk();
    desk.change(at(0), &change(What::Appeared), None, Some(record(json!({"ended_at": null}))), None);
    submits(&mut desk);
    let chosen = |choice| said(Said::Customer { choice, number: Some("+8613800138000".into()) });
    desk.command(at(1), chosen(Chooses::Person(Arc::new(at_two_systems()))), 1);
    let batch = &submits(&mut desk)[0].0;
    let row = &batch.choices[0];
    assert_eq!((row.customer.as_deref(), row.number.expose().as_str()), (Some("redmine:customer:1"), "+8613800138000"));
    assert_eq!((batch.audit[0].what.as_str(), batch.notes[0].kind.as_str()), ("customer.chosen", "customer"));
    let note = batch.notes[0].clone();

    desk.change(at(2), &change(What::Ended), None, Some(record(json!({}))), None);
    let end = &submits(&mut desk)[0].0;
    let links = stored(end).customer.unwrap().links;
    assert_eq!(
        links.iter().map(|l| l.system.as_str()).collect::<Vec<_>>(),
        ["redmine", "desk"],
        "wherever it is known"
    );
    let spoken: Vec<&str> = end.contacts.iter().map(|row| row.customer.as_str()).collect();
    assert_eq!(spoken, ["redmine:customer:1", "desk:contact:9"]);
    assert_eq!(end.contacts[0].agent, Some("1001".into()));

    desk.command(at(3), chosen(Chooses::Open), 2);
    let undone = &submits(&mut desk)[0].0;
    assert_eq!((undone.choices[0].customer.as_deref(), undone.audit[0].what.as_str()), (None, "customer.forgotten"));
    assert!(stored(undone).customer.unwrap().links.is_empty() && undone.effects[0].puts.is_empty());

    // Read back after a restart: the choice stands as it was written, both records of it.
    let row = RecordRow {
        tenant: "default".into(),
        call: call(),
        revision: 2,
        schema: 1,
        started_at: None,
        ended_at: None,
        direction: None,
        outcome: None,
        queue: None,
        body: json_text(&record(json!({}))),
    };
    let mut new = self::desk();
    new.command(at(9), notes("late"), 3);
    let Some(Output::Load(key)) = new.output() else { panic!() };
    new.loaded(at(9), &key, Ok(History { record: Some(row), notes: vec![note], ..History::default() }));
    assert_eq!(stored(&submits(&mut new)[0].0).customer.unwrap().links.len(), 2);
}

#[test]
fn nothing_is_written_to_a_customer_who_became_a_guess() {
    let mut desk = desk();
    desk.change(at(0), &change(What::Appeared), None, Some(record(json!({"ended_at": null}))), None);
    desk.card(at(1), call(), &found());
    let other = Arc::new(at_two_systems());
    desk.card(at(2), call(), &Card::of(Answer::Ambiguous(vec![Arc::new(person()), other])));
    submits(&mut desk);
    desk.change(at(3), &change(What::Ended), None, Some(record(json!({}))), None);
    let end = &submits(&mut desk)[0].0;
    assert!(stored(end).customer.unwrap().links.is_empty());
    assert!(end.effects[0].puts.is_empty() && end.contacts.is_empty());
}

#[test]
fn a_number_is_attached_or_made_a_customer_by_an_effect_that_stays_the_same() {
    let mut desk = desk();
    desk.change(at(0), &change(What::Appeared), None, Some(record(json!({"ended_at": null}))), None);
    submits(&mut desk);
    let create = |name: &str| {
        let fields = super::super::Fields::from([("name", name.into())]);
        said(Said::Create { system: "redmine".into(), number: "+8613700137000".into(), fields })
    };
    desk.command(at(1), create("Zhao Min"), 1);
    let made = submits(&mut desk);
    let put = &made[0].0.effects[0].puts[0];
    assert_eq!((put.row.operation.as_str(), made[0].1.as_slice()), ("customer.create", &[1][..]));
    let inputs: Value = serde_json::from_str(put.row.inputs.expose()).unwrap();
    assert_eq!(
        (&inputs["number"], &inputs["name"], &inputs["agent"]),
        (&json!("+8613700137000"), &json!("Zhao Min"), &json!("1001"))
    );
    // Once in a call, whoever asks.
    desk.command(at(2), Command { agent: "linecard".into(), ..create("") }, 2);
    assert!(matches!(desk.output(), Some(Output::Refused { token: 2, .. })));
    // The end's effects hold it too: what a set leaves out would be withdrawn.
    desk.change(at(3), &change(What::Ended), None, Some(record(json!({}))), None);
    let end = &submits(&mut desk)[0].0.effects[0];
    assert_eq!(end.puts.iter().filter(|p| p.row.key == put.row.key && p.content == put.content).count(), 1);

    // After a restart it is known that it was asked for.
    let (note, key) = (made[0].0.notes[0].clone(), put.row.key.clone());
    let mut new = self::desk();
    new.command(at(9), create("Zhao Min"), 3);
    let Some(Output::Load(call)) = new.output() else { panic!() };
    let row = CheckpointRow {
        tenant: "default".into(),
        call: self::call(),
        switch: "pbx1".into(),
        schema: 1,
        opened_at: Wall(1),
        body: json_text(&Paper { record: Some(record(json!({"ended_at": null}))), ..Paper::default() }),
    };
    new.loaded(at(9), &call, Ok(History { checkpoint: Some(row), notes: vec![note], ..History::default() }));
    assert!(matches!(new.output(), Some(Output::Refused { token: 3, .. })), "{:?}", new.output());
    new.change(at(10), &change(What::Ended), None, Some(record(json!({}))), None);
    let end = submits(&mut new);
    assert!(end[0].0.effects[0].puts.iter().any(|p| p.row.key == key));

    let attach = Said::Attach { customer: person().head, number: "+8613700137000".into() };
    desk.command(at(11), said(attach), 4);
    let attached = &submits(&mut desk)[0].0.effects[0].puts;
    let put = attached.iter().find(|p| p.row.operation == "customer.attach").unwrap();
    let inputs: Value = serde_json::from_str(put.row.inputs.expose()).unwrap();
    assert_eq!((&inputs["customer"]["id"], &inputs["customer"]["code"]), (&json!("1"), &json!("C10001")));
}

/// What an edge told already has had something done for it: of the PBX's own record of it only the record is written.
#[test]
fn nothing_is_done_for_a_call_that_may_be_another_s() {
    let puts = |related: Value| {
        let mut desk = desk();
        let gap = record(json!({"quality": "gap", "agents": ["1001"], "related": related}));
        let place = PositionRow { tenant: "default".into(), switch: "pbx1".into(), body: "{}".into() };
        desk.missed(at(0), vec![(gap, None)], Some(place));
        submits(&mut desk);
        desk.card(at(1), call(), &found());
        let written = submits(&mut desk);
        (written[0].0.records.len(), written[0].0.effects[0].puts.len())
    };
    let edge = json!([{"call": call().to_string(), "relation": "edge", "certain": false}]);
    assert_eq!((puts(json!([])), puts(edge)), ((1, 1), (1, 0)));
}

/// What became of a recording is written by whoever removed it, unless the call is in hand here: then the next look comes to it.
#[test]
fn another_hand_writes_a_record_only_while_the_desk_has_it_not() {
    let mut desk = desk();
    desk.change(at(0), &change(What::Appeared), None, Some(record(json!({"outcome": null, "ended_at": null}))), None);
    desk.change(at(3), &change(What::Ended), None, Some(record(json!({}))), None);
    let row = submits(&mut desk).pop().unwrap().0.records.remove(0);
    let amended = RecordRow { revision: row.revision + 1, ..row };
    assert!(desk.ended(&"default".into(), call()).is_some() && desk.ended(&"other".into(), call()).is_none());
    assert!(!desk.amended(amended.clone()) && submits(&mut desk).is_empty());
    // Long after its end it is put away.
    let later = at(3 + i64::try_from(KEEP_MS).unwrap() + 1);
    desk.forget(later);
    assert!(desk.ended(&"default".into(), call()).is_none());
    assert!(desk.amended(amended.clone()));
    assert_eq!(submits(&mut desk)[0].0.records, [amended]);
}

#[test]
fn webhooks_are_told_in_the_order_in_which_it_happened_and_nothing_else_is_withdrawn() {
    let text = "webhooks: [{name: w, url: 'https://w.example/', secret: {env: A}}]\n";
    let secret = |_: &crate::files::SecretRef| Ok(crate::private::Secret::new("0123456789abcdef".to_owned()));
    let webhooks = Arc::new(super::super::hooks::Webhooks::read("webhooks.yaml", text, &secret).unwrap());
    let rules = Arc::new(Rules::read("rules.yaml", DEFAULT).unwrap());
    let mut desk = Desk::new(rules, Arc::new(Offers { webhooks, ..offers() }), Arc::default());
    let up = || Some(record(json!({"outcome": null, "ended_at": null})));
    let offer = crate::calls::change::Offer {
        ordinal: 1,
        agent: "1001".into(),
        device: "PJSIP/1001".to_owned(),
        role: crate::calls::change::Role::Inbound,
    };
    desk.change(at(0), &change(What::Appeared), None, up(), None);
    desk.change(at(1), &change(What::Offered(offer.clone())), None, up(), None);
    desk.change(at(2), &change(What::Established(offer)), None, up(), None);
    desk.change(at(3), &change(What::Ended), None, Some(record(json!({}))), None);
    let wrapup = Said::WrapUp { disposition: vec!["billing".to_owned()], notes: None, ticket: false };
    desk.command(at(4), said(wrapup), 8);
    let sets: Vec<EffectSet> = submits(&mut desk).into_iter().flat_map(|(batch, _)| batch.effects).collect();
    let told: Vec<&EffectSet> = sets.iter().filter(|set| set.adds).collect();
    let steps: Vec<&str> = told.iter().map(|set| set.puts[0].row.step.as_str()).collect();
    // Of what was wrapped up, whenever it is told: the same is the same event.
    let wrapped = "wrapup-1001-d38c1d00314023ed";
    assert_eq!(steps, ["delivered-1", "established-1", "ended", "record-1", wrapped, "record-2"]);
    // A line of their own: a ticket of the same call waits for none of them.
    assert!(told.iter().all(|set| set.call == told[0].call && set.call.call != call()));
    assert!(sets.iter().filter(|set| !set.adds).all(|set| set.call.call == call()));
}

/// A switch that lets flows write two attributes.
fn declaring(desk: Desk) -> Desk {
    let mapping = |yaml: &str| serde_saphyr::from_str(yaml).unwrap();
    let list = vec![
        mapping("{name: survey.score, flows: true, type: {choice: [\"1\", \"5\"]}}"),
        mapping("{name: survey.comment, flows: true, cap: 20}"),
        mapping("{name: ivr.account, from: {variable: A}}"),
    ];
    desk.declaring([("pbx1".into(), Arc::new(Attributes { list, recordings: None }))].into())
}

fn told(values: &[(&str, &str)]) -> Command {
    let values = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    Command { agent: super::super::by_flow("survey-result"), ..said(Said::Told(values)) }
}

fn refusal(desk: &mut Desk) -> (String, bool) {
    match desk.output() {
        Some(Output::Refused { reason, passes, .. }) => (reason, passes),
        other => panic!("{other:?}"),
    }
}

/// What the store has of a call that was over long ago, of a customer with two records.
fn history(more: Value) -> History {
    let customer = json!({"raw": "13800138000", "e164": "+8613800138000", "class": "mobile", "name": "Chen Jing",
        "links": [{"system": "redmine", "type": "customer", "id": "1"}, {"system": "erp", "type": "customer", "id": "7"}]});
    let mut whole = json!({"revision": 4, "customer": customer});
    whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let row = fourth(whole);
    History { record: Some(row), ..History::default() }
}

#[test]
fn a_flow_writes_what_is_declared_once_and_the_record_loses_nothing_by_it() {
    let mut desk = declaring(desk());
    desk.command(at(1), told(&[("survey.score", "5"), ("survey.comment", "quick")]), 1);
    let Some(Output::Load(key)) = desk.output() else { panic!("it is asked for") };
    desk.loaded(at(2), &key, Ok(history(json!({}))));
    let first = submits(&mut desk);
    let (batch, tokens) = &first[0];
    let written = stored(batch);
    assert_eq!((written.revision, tokens.as_slice()), (5, &[1][..]));
    assert_eq!(written.attributes["survey.score"], "5".into());
    let links: Vec<String> = written.customer.unwrap().links.into_iter().map(|link| link.system).collect();
    assert_eq!(links, ["redmine", "erp"], "who the customer is was known by the record alone");
    assert!(written.wrapups.is_empty(), "no agent said anything");
    assert!(batch.effects.iter().all(|set| set.adds), "less is known than at the end: nothing is withdrawn for it");

    // The same again is the same, by memory and by the store.
    desk.command(at(3), told(&[("survey.score", "5"), ("survey.comment", "quick")]), 2);
    assert_eq!(submits(&mut desk), [(Batch::default(), vec![2])]);
    let mut new = declaring(self::desk());
    new.command(at(4), told(&[("survey.score", "5")]), 3);
    new.output();
    let known = History { notes: batch.notes.clone(), ..history(json!({})) };
    new.loaded(at(5), &key, Ok(known));
    assert_eq!(submits(&mut new), [(Batch::default(), vec![3])]);

    // A better answer counts, an empty one takes back.
    desk.command(at(6), told(&[("survey.score", "1"), ("survey.comment", "")]), 4);
    let better = submits(&mut desk);
    let attributes = stored(&better[0].0).attributes;
    assert_eq!((attributes.len(), &attributes["survey.score"]), (1, &"1".into()));
}

/// The rules look at what is known, and long after the end less is: what changes by that alone is nobody's news.
#[test]
fn long_after_the_end_only_what_the_words_change_is_done() {
    let rules = r#"
rules:
  - name: a ticket of each call, by its line
    when: {outcome: [answered]}
    do: [{step: line, system: desk, operation: ticket.create, inputs: {title: "{{ line or '-' }}", text: x}}]
  - name: the activity, with what was said of it
    when: {outcome: [answered]}
    do:
      - step: activity
        system: desk
        operation: ticket.create
        inputs: {title: t, text: "{{ record.attributes['survey.score'] or '-' }}"}
        amend: {operation: note.add, from_result: {target: result}, inputs: {text: "Survey: {{ record.attributes['survey.score'] }}"}}
  - name: unhappy
    when: {if: "record.attributes['survey.score'] == '1'"}
    do: [{step: unhappy, system: desk, operation: ticket.create, inputs: {title: t, text: x}}]
"#;
    let rules = Arc::new(Rules::read("rules.yaml", rules).unwrap());
    let mut desk = declaring(Desk::new(rules, Arc::new(offers()), Arc::default()));
    desk.command(at(1), told(&[("survey.score", "1")]), 1);
    let Some(Output::Load(key)) = desk.output() else { panic!("it is asked for") };
    desk.loaded(at(2), &key, Ok(history(json!({}))));
    let steps = |desk: &mut Desk| -> (Vec<String>, bool) {
        let (batch, _) = submits(desk).pop().unwrap();
        let set = &batch.effects[0];
        (set.puts.iter().map(|put| put.row.step.clone()).collect(), set.adds)
    };
    assert_eq!(steps(&mut desk), (vec!["activity".to_owned(), "unhappy".to_owned()], true));
    desk.command(at(3), told(&[("survey.score", "5")]), 2);
    assert_eq!(steps(&mut desk), (vec!["activity".to_owned()], true));
    desk.command(at(4), told(&[("survey.comment", "quick")]), 3);
    assert_eq!(steps(&mut desk), (Vec::new(), true));
}

#[test]
fn what_a_record_cannot_take_is_refused_for_good_and_what_passes_is_not() {
    let known = || {
        let mut desk = declaring(desk());
        desk.change(at(0), &change(What::Appeared), None, Some(record(json!({"ended_at": null}))), None);
        submits(&mut desk);
        desk
    };
    for (values, wanted) in [
        (&[("survey.score", "5"), ("survey.sum", "5")][..], "the attribute survey.sum is none that"),
        (&[("ivr.account", "5")][..], "the attribute ivr.account is none that"),
        (
            &[("survey.score", "7")][..],
            "the attribute survey.score was given a value that is too long or not of its type",
        ),
        (&[("survey.comment", "more than twenty characters")][..], "the attribute survey.comment was given"),
    ] {
        let mut desk = known();
        desk.command(at(1), told(values), 1);
        let (reason, passes) = refusal(&mut desk);
        assert!(reason.starts_with(wanted) && !passes, "{reason}");
        assert!(desk.output().is_none(), "all or nothing");
    }
    let asked = |answer: Result<History, StoreError>| {
        let mut desk = declaring(desk());
        desk.command(at(1), told(&[("survey.score", "5")]), 1);
        let Some(Output::Load(key)) = desk.output() else { panic!() };
        desk.loaded(at(2), &key, answer);
        refusal(&mut desk)
    };
    assert_eq!(asked(Ok(History::default())), (NO_CALL.to_owned(), false));
    let (reason, passes) = asked(Ok(history(json!({"erased_at": "2026-11-26T10:00:00Z"}))));
    assert!(reason.contains("erased") && !passes, "{reason}");
    assert!(asked(Err(StoreError::Busy)).1);
    // And to begin with, such a call is not on record.
    assert!(super::super::known(&history(json!({"erased_at": "2026-11-26T10:00:00Z"}))).is_none());
    assert!(super::super::known(&History::default()).is_none());
    assert_eq!(super::super::known(&history(json!({}))).unwrap().customer.unwrap().links.len(), 2);
}

#[test]
fn a_call_that_is_up_is_on_record_with_whom_the_card_found() {
    let mut desk = desk();
    desk.change(at(0), &change(What::Appeared), None, Some(record(json!({"ended_at": null}))), None);
    desk.card(at(1), call(), &found());
    let row = submits(&mut desk).pop().unwrap().0.checkpoints[0].clone();
    let known = super::super::known(&History { checkpoint: Some(row), ..History::default() }).unwrap();
    assert_eq!(known.customer.unwrap().links[0].id, "1");
}
