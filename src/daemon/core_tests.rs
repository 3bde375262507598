//! Rooms joined as in life, with no threads: what a real switch said goes in at one end.

use super::*;
use crate::{
    access::Who,
    agents::{ScreenId, Told, protocol::Resume},
    connectors::Connectors,
    daemon::replay::{Capture, ReplaySettings, SWITCH, ami_events},
    words::Wall,
};

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
    let mut core = Core::new(rooms, customers, directory, vec![switch.clone()], Metrics::new().0, outs);

    let mut now = crate::live::now();
    for (screen, agent) in [(1, "1001"), (2, "1002")] {
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
