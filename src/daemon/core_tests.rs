//! Rooms joined as in life, with no threads: what a real switch said goes in at one end.

use super::*;
use crate::{
    access::Who,
    agents::{
        ScreenId, Told,
        protocol::Resume,
        wire::{Request, Wanted},
    },
    calls::directory::{Agent, AgentsFile, SeatKind},
    connectors::Connectors,
    daemon::replay::{Capture, ReplaySettings, SWITCH, ami_events},
    numbers::{DialOut, OutRule, Plan, TrunkMap, TrunkRow},
    words::Wall,
};

/// The rooms joined, and the other ends of their channels.
fn core(settings: calls::book::Settings) -> (Core, super::super::wiring::OtherEnds) {
    core_with(settings, Connectors::default())
}

fn core_with(settings: calls::book::Settings, systems: Connectors) -> (Core, super::super::wiring::OtherEnds) {
    let directory = settings.directory.clone();
    let limits = crate::agents::Limits::default();
    let screens = Arc::new(Screens::new(&limits));
    let switch: SwitchId = SWITCH.into();
    let roster = Roster::new(1, limits.clone(), None, vec![switch.clone()]);
    let rules = Arc::new(records::Rules::read("rules.yaml", "rules: []\n").unwrap());
    let declared = settings.switches.iter().map(|(id, rules)| (id.clone(), rules.attributes.clone()));
    let desk = Desk::new(rules, Arc::default(), directory.clone()).declaring(declared.collect());
    let (core_ends, ends) = super::super::wiring::channels(std::slice::from_ref(&switch));
    let systems = Arc::new(systems);
    let back = tokio::runtime::Handle::current();
    let customers = Customers::new(systems, &crate::customers::Settings::default(), back, ends.cards.clone());
    let outs = Outs {
        screens,
        commands: core_ends.commands,
        outputs: core_ends.outputs,
        searches: core_ends.searches,
        recordings: core_ends.recordings,
        places: core_ends.places,
    };
    let rooms = (Book::new(settings), roster, desk);
    (Core::new(rooms, customers, directory, vec![switch], Metrics::new().0, outs), ends)
}

fn attach(core: &mut Core, now: Now, screen: u64, agent: &str) {
    let who = Who {
        tenant: "default".into(),
        agent: agent.into(),
        roles: [].into(),
        teams: [].into(),
        device: None,
        expires: Wall(i64::MAX),
    };
    core.heard(now, Heard { screen: ScreenId(screen), what: Told::Attached { who: Arc::new(who) } });
    let resume = Resume { epoch: None, seq: None, active: true };
    core.heard(now, Heard { screen: ScreenId(screen), what: Told::Resume(resume) });
}

/// By which file a system is asked is decided by what is known of the call, and again when its queue and its agents are.
#[tokio::test]
async fn a_call_is_asked_by_the_version_of_its_trunk_queue_and_agent() {
    let bytes = include_bytes!("../../proto-fixtures/asterisk/queue-answered/ami.txt").to_vec();
    let capture = Capture { feed: Feed::Ami, name: "queue-answered".into(), bytes };
    let file = |id: &str, head: &str| {
        // Nobody is there; only who would be asked is looked at.
        let text = format!(
            "connector: {id}\nschema: 1\n{head}\nbase_url: \"http://127.0.0.1:9\"\noperations:\n  customer.by_phone:\n    steps: [{{name: find, path: /x, outcome: [{{status: [200], is: ok}}], records: body}}]\n    fields: {{id: record.id, phone: record.phone}}\n    phones: {{phone: phone}}\n"
        );
        crate::connectors::load("file.yaml", &text).unwrap_or_else(|problems| panic!("{problems:#?}"))
    };
    let lane = async |canary: &str| {
        let set = crate::connectors::Set::new(vec![file("crm", ""), file("crm-next", canary)]);
        let settings = ReplaySettings::plain(&["1001", "1002"].map(str::to_owned), "CN", Some("21")).book;
        let (mut core, _ends) = core_with(settings, Connectors::new(set));
        let (mut now, mut lanes) = (crate::live::now(), Vec::new());
        for event in ami_events(&capture, usize::MAX).unwrap() {
            now = Now { wall: event.at.unwrap_or(now.wall), mono: now.mono.plus_ms(1) };
            let what = FromSwitch::Events(vec![event]);
            core.said(now, Said { switch: SWITCH.into(), feed: Feed::Ami, at: now, what });
            while core.has_work() {
                core.work(now);
            }
            let version = |card: &Card| card.lane.version(&"crm".into()).is_some();
            lanes.extend(core.cards.values().next().map(|(_, card)| version(card)));
        }
        lanes.dedup();
        lanes
    };
    assert_eq!(lane("canary: {of: crm, percent: 100}").await, [true]);
    assert_eq!(lane("canary: {of: crm, percent: 0}").await, [false]);
    assert_eq!(lane("canary: {of: crm, trunks: [PJSIP/nobody]}").await, [false]);
    assert_eq!(lane("canary: {of: crm, queues: [support], agents: ['1001']}").await, [false, true]);
    assert_eq!(lane("canary: {of: crm, queues: [sales], agents: ['1001']}").await, [false]);
    assert_eq!(lane("canary: {of: crm, tenants: [other]}").await, [false]);
}

/// What a flow writes of a call and the word to the flow are one transaction; where the record does not take it, the word says so.
#[tokio::test]
async fn a_record_and_the_word_to_the_flow_that_it_is_written_are_one_batch() {
    let bytes = include_bytes!("../../proto-fixtures/asterisk/queue-answered/ami.txt").to_vec();
    let capture = Capture { feed: Feed::Ami, name: "queue-answered".into(), bytes };
    let mut settings = ReplaySettings::plain(&["1001", "1002"].map(str::to_owned), "CN", Some("21")).book;
    let mapping = serde_saphyr::from_str("{name: survey.score, flows: true, type: digits}").unwrap();
    let attributes = Arc::new(calls::Attributes { list: vec![mapping], recordings: None });
    settings.switches.get_mut(&SwitchId::from(SWITCH)).unwrap().attributes = attributes;
    let (mut core, mut ends) = core(settings);
    let (mut now, mut call) = (crate::live::now(), None);
    let wish = |call: CallId, step: &str, score: &str| Inscription {
        tenant: "default".into(),
        call,
        id: "01FLOW".to_owned(),
        flow: "survey-result".to_owned(),
        step: step.to_owned(),
        values: [("survey.score".to_owned(), score.into())].into(),
    };
    let mut batches = |core: &mut Core| {
        core.flush();
        let mut all = Vec::new();
        while let Ok(output) = ends.outputs.try_recv() {
            if let records::Output::Submit { batch, .. } = output {
                all.push(*batch);
            }
        }
        all
    };
    let said = |batch: &Batch| -> Vec<flows::Said> {
        batch.flow_words.iter().map(|row| flows::Word::of(row).unwrap().said).collect()
    };
    for event in ami_events(&capture, usize::MAX).unwrap() {
        now = Now { wall: event.at.unwrap_or(now.wall), mono: now.mono.plus_ms(1) };
        let what = FromSwitch::Events(vec![event]);
        core.said(now, Said { switch: SWITCH.into(), feed: Feed::Ami, at: now, what });
        while core.has_work() {
            core.work(now);
        }
        // In the middle of it: there is no record yet, and the call goes on with it.
        if call.is_none() {
            call = core.book.open_calls().next().map(|face| face.call);
            if let Some(call) = call {
                batches(&mut core);
                core.inscribe(now, wish(call, "early", "3"));
                let written = batches(&mut core);
                let word = written.iter().find(|batch| !batch.flow_words.is_empty()).unwrap();
                assert_eq!(said(word), [flows::Said::Written { step: "early".to_owned() }]);
                assert_eq!(word.notes.len(), 1, "what makes it durable is in the same batch");
                assert_eq!(core.book.face(call).unwrap().attributes["survey.score"], "3".into());
            }
        }
    }
    let call = call.unwrap();
    let score = |batch: &Batch| -> Option<String> {
        let record: calls::Record = serde_json::from_str(batch.records.first()?.body.expose()).unwrap();
        record.attributes.get("survey.score").map(|value| value.expose().clone())
    };
    let ended: Vec<_> = batches(&mut core).iter().filter_map(&score).collect();
    assert_eq!(ended.last().map(String::as_str), Some("3"));

    // The book knows it no longer, the desk does.
    now = Now { mono: now.mono.plus_ms(120_000), ..now };
    core.tick(now);
    assert!(core.book.face(call).is_none());
    core.inscribe(now, wish(call, "late", "5"));
    let late = batches(&mut core);
    assert_eq!(late.len(), 1);
    assert_eq!(
        (score(&late[0]).as_deref(), said(&late[0])),
        (Some("5"), vec![flows::Said::Written { step: "late".to_owned() }])
    );
    core.inscribe(now, wish(call, "wrong", "many"));
    let refused = batches(&mut core);
    assert!(matches!(&said(&refused[0])[..], [flows::Said::Unwritten { why, .. }] if why.contains("not of its type")));
    assert!(refused[0].records.is_empty() && core.inscribing.is_empty());
}

/// What an agent types goes to the switch as its rules write it, or not at all.
#[tokio::test]
async fn the_switch_is_told_the_digits_of_its_rules() {
    let mut settings = ReplaySettings::plain(&["1001".to_owned()], "CN", Some("21")).book;
    let switch: SwitchId = SWITCH.into();
    let rules = settings.switches.get_mut(&switch).unwrap();
    let foreign = OutRule { to: Some(vec!["foreign".to_owned()]), refuse: true, ..OutRule::default() };
    let nine = OutRule { access: "9".to_owned(), ..OutRule::default() };
    rules.out = Arc::new(DialOut::new(&[foreign, nine], &rules.plan).unwrap());
    let (mut core, mut ends) = core(settings);
    let dial = |number: &str| calls::command::Dial {
        request: calls::command::RequestId("lc-1".to_owned()),
        tenant: "default".into(),
        switch: switch.clone(),
        agent: "1001".into(),
        device: "PJSIP/1001".to_owned(),
        number: number.into(),
        reference: None,
    };
    assert_eq!(core.written(&dial("+86 138-0013-8000")).as_deref(), Ok("913800138000"));
    assert_eq!(core.written(&dial("0085221234567")), Err(Failure::NotPermitted));
    assert_eq!(core.written(&dial("106575550012345")), Err(Failure::NotDialable));
    assert_eq!(core.written(&dial("1380013800")), Err(Failure::NotDialable));
    assert_eq!(core.written(&dial("转")), Err(Failure::UnknownTarget));
    core.asked(crate::live::now(), Ask::Dial(dial("+86 138-0013-8000")));
    let Some(Command::Dial(sent)) = ends.commands.get_mut(&switch).unwrap().recv().await else {
        panic!("nothing sent")
    };
    assert_eq!(sent.number.expose(), "913800138000");
    core.asked(crate::live::now(), Ask::Dial(dial("0085221234567")));
    assert!(ends.commands.get_mut(&switch).unwrap().try_recv().is_err(), "what is refused does not go to the switch");
}

/// Who gave up is in the list; a dial for it goes to the customer, names it, and keeps a colleague from dialling too; who was talked with is out of it.
#[tokio::test]
async fn a_caller_who_gave_up_is_called_back_by_one_agent() {
    let bytes = include_bytes!("../../proto-fixtures/asterisk/queue-abandoned/ami.txt").to_vec();
    let capture = Capture { feed: Feed::Ami, name: "queue-abandoned".into(), bytes };
    let settings = ReplaySettings::plain(&["1001", "1002"].map(str::to_owned), "CN", Some("21")).book;
    let switch: SwitchId = SWITCH.into();
    let (mut core, mut ends) = core(settings);
    let mut now = crate::live::now();
    for event in ami_events(&capture, usize::MAX).unwrap() {
        now = Now { wall: event.at.unwrap_or(now.wall), mono: now.mono.plus_ms(1) };
        let what = FromSwitch::Events(vec![event]);
        core.said(now, Said { switch: switch.clone(), feed: Feed::Ami, at: now, what });
    }
    while core.has_work() {
        core.work(now);
    }
    let tenant: TenantId = "default".into();
    let (open, list) = core.desk.callbacks().list(&tenant, &[], 10);
    let (id, number) = (list[0].id, list[0].number.clone());
    assert_eq!((open, list[0].count, list[0].why), (1, 1, callbacks::Why::Abandoned));
    let dial = |agent: &str, reference| calls::command::Dial {
        request: calls::command::RequestId(format!("lc-{agent}")),
        tenant: tenant.clone(),
        switch: switch.clone(),
        agent: agent.into(),
        device: format!("PJSIP/{agent}"),
        number: Private::default(),
        reference: Some(reference),
    };
    let it = calls::record::Reference::callback;
    core.asked(now, Ask::Dial(dial("1001", it(id))));
    core.asked(now, Ask::Dial(dial("1002", it(id))));
    core.asked(now, Ask::Dial(dial("1001", it(CallId(ulid::Ulid::nil())))));
    let commands = ends.commands.get_mut(&switch).unwrap();
    let Some(Command::Dial(sent)) = commands.recv().await else { panic!("nothing sent") };
    assert_eq!((sent.agent.as_str(), &sent.reference), ("1001", &Some(it(id))));
    let plan = Plan::new("CN", Some("21"));
    assert!(plan.read(sent.number.expose()).same_line(&plan.read(number.expose())));
    assert!(commands.try_recv().is_err(), "it is 1001's, and the other one is over");
    let owner = core.desk.callbacks().list(&tenant, &[], 1).1[0].owner(now.wall).unwrap().0.clone();
    assert_eq!(owner.as_str(), "1001");
    // The store is told of each step in the order in which it was taken.
    core.settle(now, None);
    core.flush();
    let mut rows = Vec::new();
    while let Ok(output) = ends.outputs.try_recv() {
        if let records::Output::Submit { batch, .. } = output {
            // The call's record and what is owed to its caller are one transaction.
            assert!(rows.is_empty() && batch.callbacks.len() == batch.records.len() || batch.records.is_empty());
            rows.extend(batch.callbacks);
        }
    }
    let rules = Arc::new(records::Rules::read("rules.yaml", "rules: []\n").unwrap());
    let again = Desk::new(rules, Arc::default(), Arc::default())
        .calling_back(callbacks::Settings::default(), vec![rows.pop().unwrap()]);
    let list = again.callbacks().list(&tenant, &[], 10).1;
    assert_eq!((list[0].id, list[0].owner(now.wall).map(|o| o.0.as_str())), (id, Some("1001")), "and after a restart");
}

/// A verb goes to the switch with the legs it is about; on a call that is over, and with no switch to ask, nothing is sent. All of it is in the audit.
#[tokio::test]
async fn a_verb_names_the_legs_of_the_call_and_is_audited() {
    let bytes = include_bytes!("../../proto-fixtures/asterisk/queue-answered/ami.txt").to_vec();
    let capture = Capture { feed: Feed::Ami, name: "queue-answered".into(), bytes };
    let events = ami_events(&capture, usize::MAX).unwrap();
    let (mut core, mut ends) =
        core(ReplaySettings::plain(&["1001".to_owned(), "1002".to_owned()], "CN", Some("21")).book);
    let switch: SwitchId = SWITCH.into();
    let works = calls::ability::Abilities::of(|_| calls::ability::Ability::Works);
    core.roster.can(HashMap::from([(switch.clone(), works)]));
    let mut now = crate::live::now();
    attach(&mut core, now, 1, "1001");
    let ask = |core: &mut Core, now: Now, id: &str, deed: calls::command::Deed, call: CallId| {
        let what = Wanted::Verb(deed, crate::agents::protocol::CallVerb { call });
        let request = Request { id: id.to_owned(), what };
        core.heard(now, Heard { screen: ScreenId(1), what: Told::Request(request) });
    };
    let mut asked = None;
    for event in events {
        now = Now { wall: event.at.unwrap_or(now.wall), mono: now.mono.plus_ms(1) };
        let what = FromSwitch::Events(vec![event]);
        core.said(now, Said { switch: switch.clone(), feed: Feed::Ami, at: now, what });
        let talks = |face: &Face| face.agents.iter().any(|on| on.state == calls::face::AgentLeg::Talking);
        let talking = core.book.open_calls().find(|face| talks(face)).map(|face| face.call);
        if let (Some(call), None) = (talking, asked) {
            asked = Some(call);
            ask(&mut core, now, "1", calls::command::Deed::HangUp, call);
            ask(&mut core, now, "2", calls::command::Deed::HangUp, call);
        }
    }
    let call = asked.expect("1001 talked");
    let commands = ends.commands.get_mut(&switch).unwrap();
    let Ok(Command::Act(act)) = commands.try_recv() else { panic!("nothing sent") };
    assert!(act.own.name.starts_with("PJSIP/1001-"), "{act:?}");
    assert!(act.with.as_ref().is_some_and(|with| with.name.starts_with("PJSIP/trunk-")), "{act:?}");
    assert_eq!((act.verb.clone(), act.call), (Verb::HangUp, call));
    let what = FromSwitch::Answered { request: act.request, result: Ok(calls::command::Made::default()) };
    core.said(now, Said { switch: switch.clone(), feed: Feed::Ami, at: now, what });
    ask(&mut core, now, "3", calls::command::Deed::HangUp, call);
    assert!(commands.try_recv().is_err(), "twice at once, and a call that is over: nothing is sent");
    // The book has forgotten it, and a switch that is not there is asked for nothing.
    let errand = |request: &str, call| agents::Errand {
        request: calls::command::RequestId(request.to_owned()),
        asker: ("default".into(), "1001".into()),
        call,
        of: "1001".into(),
        device: String::new(),
        verb: Verb::HangUp,
    };
    assert_eq!(core.act(now, errand("lc-9", call)), Err(Failure::CallOver));
    while core.has_work() {
        core.work(now);
    }
    let mut audit = Vec::new();
    while let Ok(output) = ends.outputs.try_recv() {
        if let records::Output::Submit { batch, .. } = output {
            audit.extend(batch.audit.into_iter().filter(|row| row.what.starts_with("call.")));
        }
    }
    let told: Vec<_> = audit.iter().map(|row| (row.who.as_str(), row.reason.as_deref().unwrap())).collect();
    assert_eq!(told, [("1001", "verb-pending"), ("1001", "done"), ("1001", "call-over")]);
    assert!(audit.iter().all(|row| row.about == call.to_string()));
}

/// A customer is sent outside as somebody outside is dialled, and to colleagues and codes of the switch at any hour.
#[tokio::test]
async fn a_target_outside_is_held_to_what_a_dial_is() {
    let bytes = include_bytes!("../../proto-fixtures/asterisk/queue-answered/ami.txt").to_vec();
    let capture = Capture { feed: Feed::Ami, name: "queue-answered".into(), bytes };
    let plan = Plan::new("CN", Some("21"));
    let mut settings = ReplaySettings::plain(&["1001".to_owned(), "1002".to_owned()], "CN", Some("21")).book;
    let switch: SwitchId = SWITCH.into();
    let rules = settings.switches.get_mut(&switch).unwrap();
    let trunk = Some("PJSIP/trunk".to_owned());
    let out = OutRule { access: "9".to_owned(), trunk, per_second: Some(2), ..OutRule::default() };
    rules.out = Arc::new(DialOut::new(&[out], &plan).unwrap());
    let (mut core, mut ends) = core(settings);
    let mut now = crate::live::now();
    let mut talking = None;
    for event in ami_events(&capture, usize::MAX).unwrap() {
        now = Now { wall: event.at.unwrap_or(now.wall), mono: now.mono.plus_ms(1) };
        let what = FromSwitch::Events(vec![event]);
        core.said(now, Said { switch: switch.clone(), feed: Feed::Ami, at: now, what });
        let talks = |face: &&Face| face.agents.iter().any(|on| on.state == calls::face::AgentLeg::Talking);
        talking = core.book.open_calls().find(talks).map(|face| (face.call, face.agents[0].offer.agent.clone()));
        if talking.is_some() {
            break;
        }
    }
    let (call, agent) = talking.expect("somebody talked");
    // Hours of no day.
    let never = calls::hours::Hours { days: Some(Vec::new()), from: "00:00".to_owned(), to: "00:01".to_owned() };
    let rules = |hours| {
        let settings = calls::guard::Settings { hours, per_second: 0, ..calls::guard::Settings::default() };
        Arc::new(Guarded::new(settings, "13800138000\n95588\n", &Plan::new("CN", Some("21"))).unwrap())
    };
    let mut sent = |core: &mut Core, consult: bool, to: &str| {
        let to = Target::new(to).unwrap();
        let errand = agents::Errand {
            request: calls::command::RequestId("lc-9".to_owned()),
            asker: ("default".into(), agent.clone()),
            call,
            of: agent.clone(),
            device: String::new(),
            verb: if consult { Verb::Consult(to) } else { Verb::Transfer(to) },
        };
        core.act(now, errand)?;
        match ends.commands.get_mut(&switch).unwrap().try_recv() {
            Ok(Command::Act(Act { verb: Verb::Transfer(to) | Verb::Consult(to), .. })) => Ok(to.expose().to_owned()),
            other => panic!("{other:?}"),
        }
    };
    core.guard.reload(rules(None));
    for consult in [false, true] {
        assert_eq!(sent(&mut core, consult, "013800138000"), Err(Failure::BlockedNumber));
        assert_eq!(sent(&mut core, consult, "95588"), Err(Failure::BlockedNumber), "short, and outside all the same");
        assert_eq!(sent(&mut core, consult, "+8613800138001").as_deref(), Ok("913800138001"));
    }
    assert_eq!(sent(&mut core, true, "13800138001"), Err(Failure::TooManyCalls), "two a second on this trunk");
    core.guard.reload(rules(Some(never)));
    assert_eq!(sent(&mut core, false, "13800138001"), Err(Failure::ForbiddenHours));
    for inside in ["1002", "8000", "*72", "110"] {
        assert_eq!(sent(&mut core, true, inside).as_deref(), Ok(inside));
    }
}

/// Each call to a number without a row is counted; the number is kept once.
#[tokio::test]
async fn a_number_without_a_row_is_counted_and_kept_once() {
    let mut settings = ReplaySettings::plain(&["1001".to_owned()], "CN", Some("21")).book;
    settings.trunks = Arc::new(TrunkMap::new(
        vec![TrunkRow { dialled: Some("4008005678".to_owned()), ..TrunkRow::default() }],
        &Plan::new("CN", Some("21")),
    ));
    let (mut core, _ends) = core(settings);
    let now = crate::live::now();
    for (n, dialled) in ["4008001234", "4008001234", "4008005678"].into_iter().enumerate() {
        let leg = calls::event::Leg {
            id: format!("100.{n}"),
            name: format!("PJSIP/trunk-{n}"),
            ..calls::event::Leg::default()
        };
        let caller = calls::event::Caller { number: Some("13800138000".into()), name: None };
        let state = calls::event::LegState::Calling;
        let said = calls::event::Said::NewLeg {
            leg,
            state,
            caller,
            dialled: Some(dialled.into()),
            places: Vec::new(),
            created: None,
        };
        let events = vec![calls::event::Event { at: None, said }];
        core.said(now, Said { switch: SWITCH.into(), feed: Feed::Ami, at: now, what: FromSwitch::Events(events) });
    }
    assert_eq!(core.metrics.unmapped.get(), 2);
    let lines = core.metrics.unmapped_lines.lock().unwrap().lines();
    assert_eq!(lines.iter().map(|l| (l.dialled.as_str(), l.calls)).collect::<Vec<_>>(), [("+864008001234", 2)]);
    assert_eq!(lines[0].trunk.as_deref(), Some("PJSIP/trunk"));
}

/// A hand-over whose holds nobody sees (phones that hold by themselves, or a switch that does not tell): the consultation is a call of its own
/// until the bridges meet.
#[tokio::test]
async fn a_consultation_that_proves_to_be_the_customers_call_leaves_no_pop_behind() {
    let bytes = include_bytes!("../../proto-fixtures/asterisk/attended-transfer/ami.txt").to_vec();
    let capture = Capture { feed: Feed::Ami, name: "attended-transfer".into(), bytes };
    let mut events = ami_events(&capture, usize::MAX).unwrap();
    events.retain(|e| !matches!(e.said, calls::event::Said::Hold { .. } | calls::event::Said::Unhold { .. }));

    let seats = ["1001", "1002", "1003"].map(str::to_owned);
    let settings = ReplaySettings::plain(&seats, "CN", Some("21")).book;
    let switch: SwitchId = SWITCH.into();
    let limits = crate::agents::Limits::default();
    let (mut core, _ends) = core(settings);

    let mut now = crate::live::now();
    for (screen, agent) in [(1, "1001"), (2, "1002")] {
        attach(&mut core, now, screen, agent);
    }
    let mut most = 0;
    for event in events {
        now = Now { wall: event.at.unwrap_or(now.wall), mono: now.mono.plus_ms(1) };
        core.said(
            now,
            Said { switch: switch.clone(), feed: Feed::Ami, at: now, what: FromSwitch::Events(vec![event]) },
        );
        most = most.max(core.roster.figures().1);
    }
    assert!(most >= 2, "both agents had it on their screens");
    assert_eq!(core.book.open_calls().count(), 0);
    while core.has_work() {
        core.work(now);
    }
    // After the wrap-up nobody has anything left of it.
    let later = Now { mono: now.mono.plus_ms(10 * limits.wrapup_ms), ..now };
    core.tick(later);
    core.tick(later);
    assert_eq!(core.roster.figures().1, 0);
}

/// A core with hot desks, on a store of its own: what the clerk would write is written.
struct Hot {
    core: Core,
    ends: super::super::wiring::OtherEnds,
    store: crate::store::Store,
    now: Now,
}

impl Hot {
    async fn open(path: &std::path::Path) -> Self {
        let mut settings = ReplaySettings::plain(&[], "CN", Some("21")).book;
        let agents = ["li", "wang"].map(|id| Agent {
            seat: SeatKind::Login,
            name: Some(format!("Agent {id}")),
            ..Agent::new(id)
        });
        let file = AgentsFile { seats: vec!["PJSIP/20*".into()], agents: agents.to_vec(), ..AgentsFile::default() };
        settings.directory = Arc::new(Directory::of(file));
        settings.arrival_times = true;
        let directory = settings.directory.clone();
        let store =
            crate::store::Store::open(&crate::store::Settings { path: path.to_owned(), ..Default::default() }).unwrap();
        let limits = crate::agents::Limits::default();
        let switch: SwitchId = SWITCH.into();
        let roster = Roster::new(store.fence(), limits.clone(), None, vec![switch.clone()]);
        let rules = Arc::new(records::Rules::read("rules.yaml", "rules: []\n").unwrap());
        let desk = Desk::new(rules, Arc::default(), directory.clone());
        let (core_ends, ends) = super::super::wiring::channels(std::slice::from_ref(&switch));
        let back = tokio::runtime::Handle::current();
        let customers = Customers::new(
            Arc::new(Connectors::default()),
            &crate::customers::Settings::default(),
            back,
            ends.cards.clone(),
        );
        let screens = Arc::new(Screens::new(&limits));
        let outs = Outs {
            screens,
            commands: core_ends.commands,
            outputs: core_ends.outputs,
            searches: core_ends.searches,
            recordings: core_ends.recordings,
            places: core_ends.places,
        };
        let rooms = (Book::new(settings), roster, desk);
        let mut core = Core::new(rooms, customers, directory, vec![switch], Metrics::new().0, outs);
        let now = crate::live::now();
        core.restore(now, store.open_calls().await.unwrap(), store.seats().await.unwrap());
        Self { core, ends, store, now }
    }

    fn later(&mut self, ms: u64) {
        let wall = self.now.wall.plus_ms(i64::try_from(ms).unwrap());
        self.now = Now { wall, mono: self.now.mono.plus_ms(ms) };
    }

    fn screen(&mut self, screen: u64, agent: &str) {
        let who = Who {
            tenant: "default".into(),
            agent: agent.into(),
            roles: [].into(),
            teams: [].into(),
            device: None,
            expires: Wall(i64::MAX),
        };
        self.core.heard(self.now, Heard { screen: ScreenId(screen), what: Told::Attached { who: Arc::new(who) } });
    }

    fn claim(&mut self, screen: u64, device: &str) {
        self.later(10);
        let what = Wanted::SeatClaim(SeatClaim { device: device.to_owned(), switch: None });
        let request = Request { id: format!("{screen} {device} {}", self.now.wall), what };
        self.core.heard(self.now, Heard { screen: ScreenId(screen), what: Told::Request(request) });
    }

    /// The clerk's work: everything that waits goes to disk.
    async fn write(&mut self) {
        while self.core.has_work() {
            self.core.work(self.now);
        }
        self.core.flush();
        while let Ok(output) = self.ends.outputs.try_recv() {
            if let records::Output::Submit { batch, tokens } = output {
                self.store.submit(*batch).await.unwrap();
                for token in tokens {
                    self.core.kept(self.now, Kept::Done(token));
                }
            }
        }
    }

    fn hears(&mut self, said: calls::event::Said) {
        self.later(10);
        let what = FromSwitch::Events(vec![calls::Event { at: None, said }]);
        self.core.said(self.now, Said { switch: SWITCH.into(), feed: Feed::Ami, at: self.now, what });
    }

    fn leg(id: &str, name: &str) -> calls::event::Leg {
        calls::event::Leg { id: id.into(), name: name.into(), linked: None, sip_call_id: None }
    }

    /// A customer's call rings at this device.
    fn rings(&mut self, n: u32, device: &str) -> CallId {
        let (a, b) = (format!("{n}00.1"), format!("{n}00.2"));
        let before: Vec<CallId> = self.core.book.open_calls().map(|face| face.call).collect();
        let caller = || calls::event::Caller { number: Some("13800138000".into()), name: None };
        self.hears(calls::event::Said::NewLeg {
            leg: Self::leg(&a, "PJSIP/trunk-1"),
            state: calls::event::LegState::Calling,
            caller: caller(),
            dialled: Some("4008001234".into()),
            places: Vec::new(),
            created: None,
        });
        self.hears(calls::event::Said::NewLeg {
            leg: Self::leg(&b, &format!("{device}-2")),
            state: calls::event::LegState::Down,
            caller: caller(),
            dialled: None,
            places: Vec::new(),
            created: None,
        });
        self.hears(calls::event::Said::DialBegin {
            by: Some(Self::leg(&a, "PJSIP/trunk-1")),
            to: Self::leg(&b, &format!("{device}-2")),
            dialled: Some(device.to_owned().into()),
            presented: None,
        });
        self.hears(calls::event::Said::State {
            leg: Self::leg(&b, &format!("{device}-2")),
            state: calls::event::LegState::Ringing,
        });
        let fresh = self.core.book.open_calls().map(|face| face.call).find(|call| !before.contains(call));
        fresh.unwrap()
    }

    fn on(&self, call: CallId) -> Vec<String> {
        self.core.book.face(call).unwrap().agents.iter().map(|on| on.offer.agent.to_string()).collect()
    }

    fn sits(&self, agent: &str) -> Option<String> {
        self.core.book.seats().of(&TenantId::default(), &agent.into()).map(|s| s.device.clone())
    }
}

/// A seat is refused while its owner is there, taken over when nobody is, kept over a restart; and a call stays with who had it, whoever sits down
/// meanwhile.
#[tokio::test]
async fn hot_desks_from_claim_to_restart() {
    let folder =
        std::env::temp_dir().join(format!("linecard-seats-{}-{:x}", std::process::id(), rand::random::<u64>()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("linecard.db");
    let mut hot = Hot::open(&path).await;
    hot.screen(1, "li");
    hot.screen(2, "wang");
    hot.claim(1, "2001");
    hot.claim(2, "PJSIP/2001");
    assert_eq!((hot.sits("li").as_deref(), hot.sits("wang")), (Some("PJSIP/2001"), None));
    let call = hot.rings(1, "PJSIP/2001");
    assert_eq!(hot.on(call), ["li"]);
    // Li goes; the call still rings, so li is there. Then nobody is: but not at once, a page may be reloading.
    hot.core.heard(hot.now, Heard { screen: ScreenId(1), what: Told::Detached });
    hot.claim(2, "2001");
    assert_eq!(hot.sits("wang"), None);
    hot.hears(calls::event::Said::Hangup { leg: Hot::leg("100.2", "PJSIP/2001-2"), cause: Some(0), text: None });
    hot.later(60_000);
    hot.claim(2, "2001");
    assert_eq!(hot.sits("wang"), None, "gone for a minute only");
    hot.later(61_000);
    hot.claim(2, "2001");
    assert_eq!((hot.sits("li"), hot.sits("wang").as_deref()), (None, Some("PJSIP/2001")));
    hot.hears(calls::event::Said::Hangup { leg: Hot::leg("100.1", "PJSIP/trunk-1"), cause: Some(16), text: None });

    // Wang talks; then li logs in at that phone by the switch's queue. Wang's call stays wang's, in the record too.
    let call = hot.rings(2, "PJSIP/2001");
    for leg in [Hot::leg("200.1", "PJSIP/trunk-1"), Hot::leg("200.2", "PJSIP/2001-2")] {
        hot.hears(calls::event::Said::State { leg: leg.clone(), state: calls::event::LegState::Up });
        hot.hears(calls::event::Said::BridgeEnter { leg, bridge: "b".into(), kind: calls::event::BridgeKind::Mixing });
    }
    let member = calls::event::Member {
        name: "Agent li".into(),
        device: "PJSIP/2001".into(),
        interface: "PJSIP/2001".into(),
        queue: "support".into(),
        dynamic: true,
        reasons: true,
        standing: calls::event::Standing::Ready,
    };
    hot.hears(calls::event::Said::LoggedOn(member.clone()));
    assert_eq!((hot.sits("li").as_deref(), hot.sits("wang")), (Some("PJSIP/2001"), None));
    // Links that watch each device are told where somebody sits.
    let taken = |hot: &Hot| hot.ends.places.borrow().taken.iter().map(|(_, seat)| seat.clone()).collect::<Vec<_>>();
    assert_eq!(taken(&hot), ["PJSIP/2001"]);
    assert_eq!(hot.on(call), ["wang"]);
    let next = hot.rings(3, "PJSIP/2001");
    assert_eq!(hot.on(next), ["li"]);
    hot.write().await;

    // Killed here: everything goes on, with the same people.
    drop(hot);
    let mut hot = Hot::open(&path).await;
    hot.later(300_000);
    assert_eq!(taken(&hot), ["PJSIP/2001"]);
    assert_eq!((hot.sits("li").as_deref(), hot.sits("wang")), (Some("PJSIP/2001"), None));
    assert_eq!((hot.on(call), hot.on(next)), (vec!["wang".to_owned()], vec!["li".to_owned()]));
    hot.hears(calls::event::Said::Members(vec![member.clone()]));
    for leg in ["200.2", "200.1"] {
        hot.hears(calls::event::Said::Hangup { leg: Hot::leg(leg, ""), cause: Some(16), text: None });
    }
    let record = hot.core.book.record(call).unwrap();
    assert_eq!(record.agents, Some(vec!["wang".into()]));
    assert!(record.parties.iter().any(|p| p.agent == Some("wang".into())));
    assert!(record.parties.iter().all(|p| p.agent != Some("li".into())));
    // Logged out at the switch while we were away: the next list says so.
    hot.hears(calls::event::Said::Members(Vec::new()));
    assert_eq!((hot.sits("li"), taken(&hot)), (None, Vec::new()));
    hot.write().await;

    let reader =
        crate::store::Reader::open(&crate::store::Settings { path: path.clone(), ..Default::default() }).unwrap();
    assert_eq!(reader.seats().unwrap(), []);
    let told: Vec<(String, String, Option<String>, bool)> =
        reader.sat(10).unwrap().into_iter().map(|r| (r.agent.to_string(), r.how, r.why, r.to > Some(r.from))).collect();
    let row = |agent: &str, how: &str, why: &str| (agent.to_owned(), how.to_owned(), Some(why.to_owned()), true);
    assert_eq!(
        told,
        [row("li", "queue", "logged-out"), row("wang", "page", "taken-over"), row("li", "page", "taken-over")]
    );
    drop(hot);
    std::fs::remove_dir_all(folder).unwrap();
}

/// Who has a page open is there: ready, busy with a call, and working after it are counted apart, by days, also while a state lasts, up to a stop.
#[tokio::test]
async fn how_long_agents_are_in_which_states_is_kept_by_days() {
    let folder =
        std::env::temp_dir().join(format!("linecard-times-{}-{:x}", std::process::id(), rand::random::<u64>()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("linecard.db");
    let mut hot = Hot::open(&path).await;
    // Ten minutes before midnight.
    let midnight = hot.now.wall.plus_ms(86_400_000 - hot.now.wall.0 % 86_400_000);
    hot.later(midnight.plus_ms(-600_000).since(hot.now.wall));
    hot.screen(1, "li");
    let began = hot.now.wall;
    hot.claim(1, "2001");
    for _ in 0..5 {
        hot.later(60_000);
        hot.core.tick(hot.now);
    }
    let call = hot.rings(1, "PJSIP/2001");
    assert_eq!(hot.on(call), ["li"]);
    let rang = hot.now.wall;
    hot.later(900_000);
    for leg in ["100.2", "100.1"] {
        hot.hears(calls::event::Said::Hangup { leg: Hot::leg(leg, ""), cause: Some(16), text: None });
    }
    let over = hot.now.wall;
    hot.later(30_000);
    hot.core.last(hot.now);
    let ended = hot.now.wall;
    hot.write().await;
    let reader =
        crate::store::Reader::open(&crate::store::Settings { path: path.clone(), ..Default::default() }).unwrap();
    let day = |at: Wall| at.to_string().get(..10).unwrap().to_owned();
    let rows = reader.times(&day(began), "9999").unwrap();
    assert!(rows.iter().all(|row| row.agent.as_str() == "li"), "wang is not there: {rows:?}");
    let of = |day: &str, state: &str| {
        rows.iter().filter(|row| row.day == day && row.state == state).map(|row| row.ms).sum::<u64>()
    };
    let (first, second) = (day(began), day(ended));
    assert_ne!(first, second);
    // The phone rings when the switch says so, some steps of ten milliseconds before.
    let near = |a: u64, b: u64| assert!(a.abs_diff(b) <= 50, "{a} is not about {b}: {rows:?}");
    near(of(&first, "ready"), rang.since(began));
    near(of(&first, "busy"), midnight.since(rang));
    near(of(&second, "busy"), over.since(midnight));
    near(of(&second, "ready") + of(&second, "working-after-call"), ended.since(over));
    let all: u64 = rows.iter().map(|row| row.ms).sum();
    assert_eq!(all, ended.since(began), "every moment is counted once");
    drop(hot);
    std::fs::remove_dir_all(folder).unwrap();
}
