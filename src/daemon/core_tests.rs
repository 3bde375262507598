//! Rooms joined as in life, with no threads: what a real switch said goes in at one end.

use super::*;
use crate::{
    access::Who,
    agents::{ScreenId, Told, protocol::Resume},
    connectors::Connectors,
    daemon::replay::{Capture, ReplaySettings, SWITCH, ami_events},
    numbers::{DialOut, OutRule, Plan, TrunkMap, TrunkRow},
    words::Wall,
};

/// The rooms joined, and the other ends of their channels.
fn core(settings: calls::book::Settings) -> (Core, super::super::wiring::OtherEnds) {
    let directory = settings.directory.clone();
    let limits = crate::agents::Limits::default();
    let screens = Arc::new(Screens::new(&limits));
    let switch: SwitchId = SWITCH.into();
    let roster = Roster::new(1, limits.clone(), None, vec![switch.clone()]);
    let rules = Arc::new(records::Rules::read("rules.yaml", "rules: []\n").unwrap());
    let desk = Desk::new(rules, Arc::default(), directory.clone());
    let (core_ends, ends) = super::super::wiring::channels(std::slice::from_ref(&switch));
    let systems = Arc::new(Connectors::default());
    let back = tokio::runtime::Handle::current();
    let customers = Customers::new(systems, &crate::customers::Settings::default(), back, ends.cards.clone());
    let outs = Outs { screens, commands: core_ends.commands, outputs: core_ends.outputs, searches: core_ends.searches };
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
    core.asked(crate::live::now(), Ask::Dial(Command::Dial(dial("+86 138-0013-8000"))));
    let Some(Command::Dial(sent)) = ends.commands.get_mut(&switch).unwrap().recv().await else {
        panic!("nothing sent")
    };
    assert_eq!(sent.number.expose(), "913800138000");
    core.asked(crate::live::now(), Ask::Dial(Command::Dial(dial("0085221234567"))));
    assert!(ends.commands.get_mut(&switch).unwrap().try_recv().is_err(), "what is refused does not go to the switch");
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
        let said = calls::event::Said::NewLeg { leg, state, caller, dialled: Some(dialled.into()), created: None };
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
