//! Stories of the book that no recording tells: restarts, snapshots, late facts, asked-for dials, and storms of nonsense.

use std::{collections::HashMap, sync::Arc};

#[path = "stories_attributes.rs"]
mod attributes;
#[path = "stories_dialogs.rs"]
mod dialogs;
#[path = "stories_edges.rs"]
mod edges;
#[path = "stories_mirror.rs"]
mod mirror;
#[path = "stories_verbs.rs"]
mod verbs;

use proptest::prelude::*;

use super::{
    Attributes, Book, Checkpoint, Directory, Event, Feed, Record, Said, What,
    attributes::{Fault, Mapping, Place},
    book::{KEEP_MS, Rules, Settings},
    change::{Role, Withdrawal},
    command::{Dial, RequestId},
    directory::Agent,
    edges::Pair,
    event::{BridgeKind, Caller, DialStatus, Leg, LegState, Snapshot, SnapshotBridge, SnapshotLeg, SnapshotWaiting},
    face::CallState,
    record::{End, Origin, Outcome, Quality, Reference},
};
use crate::{
    numbers::{Plan, TrunkMap},
    words::{CallId, Mono, Now, SwitchId, Wall},
};

fn settings() -> Settings {
    let agent = |id: &str, devices: &[&str]| Agent::new(id).at(devices);
    let rules = Rules {
        tenant: "default".into(),
        zone: None,
        plan: Plan::new("CN", Some("21")),
        trunks: vec!["PJSIP/trunk*".to_owned()],
        internal: vec!["100X".to_owned()],
        attributes: Arc::new(declared()),
        out: Arc::default(),
        pair: Pair::default(),
        mirror: None,
    };
    Settings {
        directory: Arc::new(Directory::new(vec![agent("1001", &["1001", "2001"]), agent("1002", &["1002"])])),
        trunks: Arc::new(TrunkMap::default()),
        switches: HashMap::from([(switch(), rules)]),
        arrival_times: true,
    }
}

/// What the switch's file of these stories declares.
fn declared() -> Attributes {
    let mapping = |yaml: &str| crate::files::read::<Mapping>("x.yaml", yaml).unwrap().value;
    Attributes {
        list: vec![
            mapping("{name: ivr.account, from: {variable: CTI_ACCOUNT}, type: digits, cap: 12, use: account}"),
            mapping("{name: ivr.wish, from: {user-event: {event: Wish, header: Text}}, decode: [base64, gbk]}"),
            mapping("{name: ivr.keyed, from: {digits: {end: '#', at: {context: ivr}}}, type: digits}"),
            mapping("{name: ivr.card, from: {variable: CARD}, use: account, secret: true}"),
            mapping("{name: case, type: {choice: [billing, repair]}, writable: true}"),
        ],
        recordings: Some(crate::files::read("x.yaml", "{uri: 'https://rec.example.com', folder: /rec}").unwrap().value),
    }
}

fn variable(leg_id: &str, name: &str, value: &str) -> Said {
    Said::Variable { leg: leg(leg_id, ""), name: name.into(), value: value.as_bytes().to_vec().into() }
}

fn switch() -> SwitchId {
    "pbx1".into()
}

/// Seconds since some moment.
fn at(seconds: u64) -> Now {
    Now {
        wall: Wall(1_795_347_846_000 + i64::try_from(seconds).unwrap() * 1000),
        mono: Mono(1_000_000_000 + seconds * 1_000_000),
    }
}

/// A book with its changes drained after every event.
struct Desk {
    book: Book,
    said: Vec<(CallId, What)>,
}

impl Desk {
    fn new() -> Self {
        Self { book: Book::new(settings()), said: Vec::new() }
    }
    fn take(&mut self, seconds: u64, said: Said) -> &mut Self {
        self.heard(seconds, Feed::Ami, said)
    }
    fn heard(&mut self, seconds: u64, feed: Feed, said: Said) -> &mut Self {
        self.book.take(at(seconds), &switch(), feed, Event { at: None, said });
        self.drain()
    }
    fn drain(&mut self) -> &mut Self {
        while let Some(change) = self.book.next_change() {
            self.said.push((change.call, change.what));
        }
        self
    }
    fn news(&mut self) -> Vec<What> {
        self.said.drain(..).map(|(_, what)| what).collect()
    }
    fn only(&self) -> CallId {
        let mut open: Vec<CallId> = self.book.open_calls().map(|f| f.call).collect();
        assert_eq!(open.len(), 1);
        open.remove(0)
    }
    /// A customer comes in, waits in `support`, and 1001's phone rings with it.
    fn ringing(&mut self) -> &mut Self {
        self.take(0, new_leg("100.1", "PJSIP/trunk-1", LegState::Calling, "13800138000", "4008001234"))
            .take(1, Said::QueueJoin { leg: leg("100.1", "PJSIP/trunk-1"), queue: "support".into() })
            .take(2, new_leg("100.2", "PJSIP/1001-2", LegState::Down, "1001", "s"))
            .take(2, dial(Some(("100.1", "PJSIP/trunk-1")), ("100.2", "PJSIP/1001-2"), "PJSIP/1001"))
            .take(2, Said::State { leg: leg("100.2", "PJSIP/1001-2"), state: LegState::Ringing })
    }
    fn talking(&mut self) -> &mut Self {
        self.ringing()
            .take(4, Said::State { leg: leg("100.2", "PJSIP/1001-2"), state: LegState::Up })
            .take(4, enter("100.2", "PJSIP/1001-2", "b1"))
            .take(4, enter("100.1", "PJSIP/trunk-1", "b1"))
    }
    fn hang_up(&mut self, seconds: u64) -> &mut Self {
        self.take(seconds, Said::HangupRequest { leg: leg("100.1", "PJSIP/trunk-1"), cause: Some(16) })
            .take(seconds, gone("100.1", "PJSIP/trunk-1", 16))
            .take(seconds, gone("100.2", "PJSIP/1001-2", 16))
    }
}

fn leg(id: &str, name: &str) -> Leg {
    Leg { id: id.to_owned(), name: name.to_owned(), linked: None, sip_call_id: None }
}

fn new_leg(id: &str, name: &str, state: LegState, number: &str, dialled: &str) -> Said {
    Said::NewLeg {
        leg: leg(id, name),
        state,
        caller: Caller { number: Some(number.into()), name: None },
        dialled: Some(dialled.into()).filter(|d: &crate::private::Private<String>| d.expose() != "s"),
        places: Vec::new(),
        created: None,
    }
}

fn dial(by: Option<(&str, &str)>, to: (&str, &str), number: &str) -> Said {
    Said::DialBegin {
        by: by.map(|(id, name)| leg(id, name)),
        to: leg(to.0, to.1),
        dialled: Some(number.into()),
        presented: None,
    }
}

fn enter(id: &str, name: &str, bridge: &str) -> Said {
    Said::BridgeEnter { leg: leg(id, name), bridge: bridge.into(), kind: BridgeKind::Mixing }
}

fn gone(id: &str, name: &str, cause: u16) -> Said {
    Said::Hangup { leg: leg(id, name), cause: Some(cause), text: None }
}

fn listed(id: &str, name: &str, application: &str, data: &str) -> SnapshotLeg {
    SnapshotLeg {
        leg: leg(id, name),
        state: LegState::Up,
        created: Some(at(0).wall),
        caller: Caller { number: Some("13800138000".into()), name: None },
        connected: Caller::default(),
        dialled: Some("4008001234".into()),
        application: application.into(),
        data: data.into(),
        variables: Vec::new(),
    }
}

/// Lists that are newer than everything heard.
const LATE: Option<Mono> = Some(Mono(u64::MAX));

fn snapshot(legs: Vec<SnapshotLeg>, bridged: bool, asked: Option<Mono>) -> Said {
    let names = legs.iter().map(|l| l.leg.id.clone()).collect();
    let bridges = bridged.then(|| SnapshotBridge { id: "b1".into(), kind: BridgeKind::Mixing, legs: names });
    Said::Snapshot(Snapshot {
        feed: Feed::Ami,
        legs,
        bridges: bridges.into_iter().collect(),
        asked: asked.or(LATE),
        waiting: Vec::new(),
    })
}

fn call_in_talk() -> Vec<SnapshotLeg> {
    vec![
        listed("100.1", "PJSIP/trunk-1", "Queue", "support,,,,120"),
        listed("100.2", "PJSIP/1001-2", "AppQueue", "(Outgoing Line)"),
    ]
}

/// What is committed, as it comes back from disk.
fn durable(checkpoint: &Checkpoint) -> Checkpoint {
    serde_json::from_str(&serde_json::to_string(checkpoint).unwrap()).unwrap()
}

#[test]
fn a_restart_finds_the_same_call_and_counts_offers_on() {
    let mut before = Desk::new();
    let id = before.talking().only();
    let kept = durable(&before.book.checkpoint(id).unwrap());

    let mut after = Desk::new();
    after.book.restore(vec![kept.clone(), kept]);
    assert_eq!(after.drain().news(), []);
    assert_eq!(after.only(), id);
    after.take(60, snapshot(call_in_talk(), true, None));
    assert_eq!(after.news(), [], "nothing new happened to anybody");
    assert_eq!(after.book.face(id).unwrap().agents[0].offer.ordinal, 1);

    after.take(70, new_leg("170.3", "PJSIP/1002-3", LegState::Down, "1002", "s"));
    after.take(70, dial(Some(("100.1", "PJSIP/trunk-1")), ("170.3", "PJSIP/1002-3"), "1002"));
    after.take(70, Said::State { leg: leg("170.3", "PJSIP/1002-3"), state: LegState::Ringing });
    assert!(matches!(&after.news()[..], [What::Offered(o)] if o.ordinal == 2));
    after.take(71, gone("170.3", "PJSIP/1002-3", 0)).hang_up(72);
    assert!(matches!(
        &after.news()[..],
        [What::Withdrawn { reason: Withdrawal::CallerGone, .. }, What::Cleared { .. }, What::Ended]
    ));
    let record = after.book.record(id).unwrap();
    assert_eq!((record.quality, record.end, record.outcome), (Quality::Estimated, End::Seen, Some(Outcome::Answered)));
    assert_eq!(record.customer.unwrap().e164.unwrap().expose(), "+8613800138000");
}

#[test]
fn what_ended_while_we_were_away_is_lost_and_says_what_was_known() {
    let mut before = Desk::new();
    let id = before.talking().only();
    let kept = durable(&before.book.checkpoint(id).unwrap());
    let mut after = Desk::new();
    after.book.restore(vec![kept]);
    after.take(60, snapshot(Vec::new(), false, None));
    assert!(matches!(&after.news()[..], [What::Cleared { .. }, What::Ended]));
    let record = after.book.record(id).unwrap();
    assert_eq!((record.end, record.outcome, record.ended_by), (End::Lost, Some(Outcome::Answered), None));
    assert_eq!(record.quality, Quality::Estimated);
    assert_eq!(after.book.open_calls().count(), 0);
}

#[test]
fn a_snapshot_adopts_what_it_finds_once_and_loses_what_is_gone() {
    let mut desk = Desk::new();
    desk.take(9, snapshot(call_in_talk(), true, None));
    let news = desk.news();
    assert!(matches!(&news[0], What::Appeared), "{news:?}");
    assert!(news.iter().any(|w| matches!(w, What::Established(o) if o.agent.as_str() == "1001")), "{news:?}");
    let id = desk.only();
    assert_eq!(desk.book.face(id).unwrap().queue.as_deref(), Some("support"));
    assert_eq!(desk.book.face(id).unwrap().state, CallState::Talking);
    desk.take(10, snapshot(call_in_talk(), true, None));
    assert_eq!(desk.news(), [], "the same list again");
    desk.hang_up(20);
    let record = desk.book.record(id).unwrap();
    assert_eq!(record.started_at, Some(at(0).wall));
    assert_eq!((record.answered_at, record.talk_ms, record.quality), (None, None, Quality::Estimated));
    assert_eq!(record.agents.unwrap().len(), 1);
}

/// A switch that refuses the list of its channels (a manager account without the right) has not said that they are gone.
#[test]
fn without_a_list_nobody_is_gone() {
    let mut desk = Desk::new();
    desk.take(1, snapshot(call_in_talk(), true, None));
    let id = desk.only();
    let refused = Snapshot { feed: Feed::Ami, legs: vec![], bridges: vec![], asked: None, waiting: vec![] };
    desk.take(2, Said::Snapshot(refused));
    assert_eq!(desk.book.open_calls().count(), 1, "the call goes on");
    desk.take(3, snapshot(vec![], false, None));
    assert_eq!((desk.book.open_calls().count(), desk.book.record(id).unwrap().end), (0, End::Lost));
}

#[test]
fn a_caller_who_waits_is_adopted_into_the_queue() {
    let mut desk = Desk::new();
    let waiting = vec![SnapshotWaiting { leg: "100.1".into(), queue: "support".into(), wait_ms: Some(3000) }];
    let legs = vec![listed("100.1", "PJSIP/trunk-1", "Queue", "support,,,,120")];
    desk.take(9, Said::Snapshot(Snapshot { feed: Feed::Ami, legs, bridges: Vec::new(), asked: LATE, waiting }));
    assert_eq!(desk.news(), [What::Appeared, What::Queued { queue: "support".into() }]);
    let id = desk.only();
    desk.take(12, Said::HangupRequest { leg: leg("100.1", ""), cause: None }).take(12, gone("100.1", "", 0));
    assert_eq!(desk.book.record(id).unwrap().outcome, Some(Outcome::Abandoned));
}

#[test]
fn a_call_heard_of_since_the_lists_were_asked_for_is_not_lost() {
    let mut desk = Desk::new();
    desk.ringing();
    desk.take(3, snapshot(Vec::new(), false, Some(at(1).mono)));
    assert_eq!(desk.book.open_calls().count(), 1);
    desk.take(9, snapshot(Vec::new(), false, Some(at(8).mono)));
    assert_eq!(desk.book.open_calls().count(), 0);
}

#[test]
fn a_dial_that_was_asked_for_is_known_by_its_first_leg() {
    let mut desk = Desk::new();
    let reference = Reference { system: "redmine".into(), kind: "ticket".into(), id: "7".into() };
    desk.book.expect(
        at(0),
        Dial {
            request: RequestId("lc-1".into()),
            tenant: "default".into(),
            switch: switch(),
            agent: "1001".into(),
            device: "PJSIP/1001".into(),
            number: "13800138000".into(),
            reference: Some(reference.clone()),
        },
    );
    desk.take(1, new_leg("lc-1", "PJSIP/1001-1", LegState::Down, "1001", "s"));
    assert_eq!(desk.news(), [What::Appeared, What::Launched { request: RequestId("lc-1".into()) }]);
    let face = desk.book.face(desk.only()).unwrap();
    assert_eq!((face.origin, face.reference.as_ref()), (Origin::ClickToDial, Some(&reference)));
    assert_eq!(face.customer.as_ref().unwrap().e164.as_ref().unwrap().expose(), "+8613800138000");
    let id = face.call;
    desk.take(1, dial(None, ("lc-1", "PJSIP/1001-1"), "1001"));
    desk.take(2, Said::State { leg: leg("lc-1", ""), state: LegState::Ringing });
    assert!(matches!(&desk.news()[..], [What::Offered(o)] if o.role == Role::Outbound));
    desk.take(9, gone("lc-1", "", 19));
    assert!(matches!(&desk.news()[..], [What::Withdrawn { reason: Withdrawal::NoAnswer, .. }, What::Ended]));
    let record = desk.book.record(id).unwrap();
    assert_eq!((record.outcome, record.origin), (Some(Outcome::AgentUnreached), Origin::ClickToDial));
    assert_eq!(record.reference, Some(reference));
}

#[test]
fn two_phones_of_one_agent_are_one_offer_and_the_colleague_s_is_taken_back() {
    let mut desk = Desk::new();
    desk.ringing();
    desk.news();
    for (id, name) in [("100.3", "PJSIP/2001-3"), ("100.4", "PJSIP/1002-4")] {
        desk.take(2, new_leg(id, name, LegState::Down, "x", "s"))
            .take(2, dial(Some(("100.1", "PJSIP/trunk-1")), (id, name), name))
            .take(2, Said::State { leg: leg(id, name), state: LegState::Ringing });
    }
    assert!(matches!(&desk.news()[..], [What::Offered(o)] if o.agent.as_str() == "1002" && o.ordinal == 2));
    desk.take(4, Said::State { leg: leg("100.3", ""), state: LegState::Up });
    desk.take(4, Said::DialEnd { by: None, to: leg("100.2", ""), status: DialStatus::Cancel });
    desk.take(4, Said::DialEnd { by: None, to: leg("100.4", ""), status: DialStatus::Cancel });
    desk.take(4, enter("100.3", "", "b1")).take(4, enter("100.1", "", "b1"));
    let news = desk.news();
    assert!(
        matches!(&news[..], [
            What::Withdrawn { offer, reason: Withdrawal::AnsweredElsewhere, by: Some(by) },
            What::Established(o)
        ] if offer.agent.as_str() == "1002" && by.as_str() == "1001" && o.agent.as_str() == "1001"),
        "{news:?}"
    );
}

#[test]
fn who_picks_up_has_the_call_as_inbound_and_who_takes_it_out_of_the_parking_lot_as_handed_over() {
    let offered = |news: Vec<What>| {
        let roles = news.into_iter().filter_map(|what| match what {
            What::Established(offer) => Some((offer.agent.to_string(), offer.role)),
            _ => None,
        });
        roles.collect::<Vec<_>>()
    };
    // 1002 dials a feature code, and is put in the place of the phone that rings.
    let mut desk = Desk::new();
    desk.ringing()
        .take(5, new_leg("200.1", "PJSIP/1002-3", LegState::Calling, "1002", "*81001"))
        .take(5, Said::State { leg: leg("200.1", "PJSIP/1002-3"), state: LegState::Up })
        .take(6, gone("100.2", "PJSIP/1001-2", 26))
        .take(6, enter("200.1", "PJSIP/1002-3", "b1"))
        .take(6, enter("100.1", "PJSIP/trunk-1", "b1"));
    let news = desk.news();
    let elsewhere = |what: &What| matches!(what, What::Withdrawn { reason: Withdrawal::AnsweredElsewhere, .. });
    assert!(news.iter().any(elsewhere), "{news:?}");
    assert_eq!(offered(news), vec![("1002".to_owned(), Role::Inbound)]);
    // 1001 has the customer parked; 1002 dials the place.
    let mut desk = Desk::new();
    let parked = |bridge: &str| Said::BridgeEnter {
        leg: leg("100.1", "PJSIP/trunk-1"),
        bridge: bridge.into(),
        kind: BridgeKind::Parking,
    };
    desk.talking()
        .take(6, parked("lot"))
        .take(6, gone("100.2", "PJSIP/1001-2", 16))
        .take(8, new_leg("200.1", "PJSIP/1002-3", LegState::Calling, "1002", "701"))
        .take(8, Said::State { leg: leg("200.1", "PJSIP/1002-3"), state: LegState::Up })
        .take(9, enter("100.1", "PJSIP/trunk-1", "b2"))
        .take(9, enter("200.1", "PJSIP/1002-3", "b2"));
    assert_eq!(offered(desk.news()), vec![("1001".to_owned(), Role::Inbound), ("1002".to_owned(), Role::Transfer)]);
    assert_eq!(desk.book.open_calls().count(), 1, "parked, the call went on");
}

#[test]
fn a_colleague_asked_without_hold_is_part_of_the_call_from_the_transfer_on() {
    let mut desk = Desk::new();
    let id = desk.talking().only();
    desk.take(10, new_leg("110.5", "PJSIP/1001-5", LegState::Calling, "1001", "1002"))
        .take(10, new_leg("110.6", "PJSIP/1002-6", LegState::Down, "1002", "s"))
        .take(10, dial(Some(("110.5", "PJSIP/1001-5")), ("110.6", "PJSIP/1002-6"), "1002"));
    assert_eq!(desk.book.open_calls().count(), 2);
    desk.take(11, Said::State { leg: leg("110.6", ""), state: LegState::Up })
        .take(11, enter("110.6", "", "b2"))
        .take(11, enter("110.5", "", "b2"));
    desk.news();
    desk.take(
        15,
        Said::AttendedTransfer {
            first: leg("100.2", ""),
            second: leg("110.5", ""),
            customer: Some(leg("100.1", "")),
            target: Some(leg("110.6", "")),
            success: true,
        },
    );
    let news = desk.news();
    assert!(news.contains(&What::Absorbed { into: id }), "{news:?}");
    desk.take(15, enter("110.6", "", "b1")).take(15, gone("100.2", "", 16)).take(15, gone("110.5", "", 16));
    // Who has the customer now may know from whom.
    let had = &desk.book.face(id).unwrap().had;
    assert!(had.len() == 1 && had[0].agent.as_str() == "1001" && had[0].from < had[0].to, "{had:?}");
    desk.take(20, gone("110.6", "", 16)).take(20, gone("100.1", "", 16));
    let record = desk.book.record(id).unwrap();
    assert_eq!(record.agents.unwrap().iter().map(ToString::to_string).collect::<Vec<_>>(), ["1001", "1002"]);
    assert_eq!(record.transfers.unwrap().len(), 1);
}

/// 1001 with two customers on hold, 100.1 first, and a colleague asked.
fn two_held_and_one_asked() -> (Desk, CallId, CallId) {
    let mut desk = Desk::new();
    let first = desk.talking().take(5, Said::Hold { leg: leg("100.2", "") }).only();
    desk.take(6, new_leg("106.3", "PJSIP/trunk-3", LegState::Calling, "13900139000", "4008001234"))
        .take(6, new_leg("106.4", "PJSIP/1001-4", LegState::Down, "1001", "s"))
        .take(6, dial(Some(("106.3", "")), ("106.4", ""), "1001"))
        .take(7, Said::State { leg: leg("106.4", ""), state: LegState::Up })
        .take(7, enter("106.4", "", "b2"))
        .take(7, enter("106.3", "", "b2"));
    let second = desk.book.open_calls().map(|f| f.call).find(|c| *c != first).unwrap();
    desk.take(9, Said::Hold { leg: leg("106.4", "") });
    (desk, first, second)
}

fn asked(desk: &mut Desk) {
    desk.take(10, new_leg("110.5", "PJSIP/1001-5", LegState::Calling, "1001", "1002"))
        .take(10, new_leg("110.6", "PJSIP/1002-6", LegState::Down, "1002", "s"))
        .take(10, dial(Some(("110.5", "")), ("110.6", ""), "1002"))
        .take(11, Said::State { leg: leg("110.6", ""), state: LegState::Up })
        .take(11, enter("110.6", "", "b3"))
        .take(11, enter("110.5", "", "b3"));
}

fn kinds(desk: &Desk, call: CallId) -> Vec<String> {
    let record = desk.book.record(call).unwrap();
    record.segments.iter().map(|s| format!("{:?} {:?}", s.kind, s.agent)).collect()
}

#[test]
fn of_two_customers_on_hold_the_one_held_last_is_asked_about_until_the_transfer_tells() {
    let (mut desk, first, second) = two_held_and_one_asked();
    asked(&mut desk);
    assert_eq!(desk.book.open_calls().count(), 2);
    let consults = |desk: &Desk, call| kinds(desk, call).iter().any(|s| s.starts_with("Consult"));
    assert_eq!((consults(&desk, first), consults(&desk, second)), (false, true));
    desk.news();
    // It is the first customer who is handed over.
    desk.take(
        15,
        Said::AttendedTransfer {
            first: leg("100.2", ""),
            second: leg("110.5", ""),
            customer: Some(leg("100.1", "")),
            target: Some(leg("110.6", "")),
            success: true,
        },
    );
    desk.take(15, enter("110.6", "", "b1")).take(15, gone("100.2", "", 16)).take(15, gone("110.5", "", 16));
    let news = desk.news();
    let cleared = |what: &What| matches!(what, What::Cleared { offer } if offer.agent.as_str() == "1002");
    assert!(news.iter().any(cleared), "the second customer's card goes from the colleague's screen: {news:?}");
    assert_eq!((consults(&desk, first), consults(&desk, second)), (true, false));
    desk.take(20, gone("110.6", "", 16)).take(20, gone("100.1", "", 16));
    desk.take(21, gone("106.4", "", 16)).take(21, gone("106.3", "", 16));
    let agents =
        |call| desk.book.record(call).unwrap().agents.unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!((agents(first), agents(second)), (vec!["1001".to_owned(), "1002".into()], vec!["1001".to_owned()]));
    let number = |call| desk.book.record(call).unwrap().customer.unwrap().raw.unwrap().expose().clone();
    assert_eq!((number(first), number(second)), ("13800138000".to_owned(), "13900139000".into()));
}

#[test]
fn who_retrieves_one_customer_asks_about_the_other() {
    let (mut desk, first, second) = two_held_and_one_asked();
    desk.take(9, Said::Unhold { leg: leg("106.4", "") });
    asked(&mut desk);
    assert!(kinds(&desk, first).iter().any(|s| s.starts_with("Consult")));
    assert!(!kinds(&desk, second).iter().any(|s| s.starts_with("Consult")));
}

#[test]
fn who_is_called_out_to_while_a_customer_waits_is_another_customer() {
    let mut desk = Desk::new();
    desk.take(0, new_leg("100.1", "PJSIP/1001-1", LegState::Calling, "1001", "913800138000"))
        .take(0, new_leg("100.2", "PJSIP/trunk-2", LegState::Down, "", "s"))
        .take(0, dial(Some(("100.1", "")), ("100.2", ""), "13800138000@trunk"))
        .take(2, Said::State { leg: leg("100.2", ""), state: LegState::Up })
        .take(2, enter("100.1", "", "b1"))
        .take(2, enter("100.2", "", "b1"))
        .take(5, Said::Hold { leg: leg("100.1", "") });
    let first = desk.only();
    desk.take(6, new_leg("106.3", "PJSIP/1001-3", LegState::Calling, "1001", "913900139000"))
        .take(6, new_leg("106.4", "PJSIP/trunk-4", LegState::Down, "", "s"))
        .take(6, dial(Some(("106.3", "")), ("106.4", ""), "13900139000@trunk"))
        .take(7, Said::State { leg: leg("106.4", ""), state: LegState::Up })
        .take(7, enter("106.3", "", "b2"))
        .take(7, enter("106.4", "", "b2"));
    assert_eq!(desk.book.open_calls().count(), 2);
    // Handed to each other they are one call, and the customer is the one who was called first.
    desk.take(
        9,
        Said::AttendedTransfer {
            first: leg("100.1", ""),
            second: leg("106.3", ""),
            customer: Some(leg("100.2", "")),
            target: Some(leg("106.4", "")),
            success: true,
        },
    );
    assert_eq!(desk.only(), first);
    let face = desk.book.face(first).unwrap();
    assert_eq!(face.customer.as_ref().unwrap().raw.as_ref().unwrap().expose(), "13800138000");
}

#[test]
fn of_two_phones_the_one_that_was_decided_last_says_why_nobody_answered() {
    let mut desk = Desk::new();
    desk.take(0, new_leg("100.1", "PJSIP/trunk-1", LegState::Calling, "13800138000", "02161230000"));
    for (id, name) in [("100.2", "PJSIP/1001-2"), ("100.3", "PJSIP/1002-3")] {
        desk.take(1, new_leg(id, name, LegState::Down, "x", "s"))
            .take(1, dial(Some(("100.1", "")), (id, name), name))
            .take(1, Said::State { leg: leg(id, name), state: LegState::Ringing });
    }
    let id = desk.only();
    // The second refuses, the first rings on for a while.
    desk.take(3, Said::DialEnd { by: None, to: leg("100.3", ""), status: DialStatus::Busy })
        .take(3, gone("100.3", "", 17));
    desk.take(20, Said::DialEnd { by: None, to: leg("100.2", ""), status: DialStatus::NoAnswer });
    desk.take(20, gone("100.2", "", 0)).take(20, gone("100.1", "", 0));
    assert_eq!(desk.book.record(id).unwrap().outcome, Some(Outcome::Unanswered));
}

#[test]
fn a_queue_that_a_transfer_leads_into_is_not_waited_in_for_the_answer_before() {
    let mut desk = Desk::new();
    desk.take(0, new_leg("100.1", "PJSIP/trunk-1", LegState::Calling, "13800138000", "02161230000"))
        .take(1, new_leg("100.2", "PJSIP/1001-2", LegState::Down, "1001", "s"))
        .take(1, dial(Some(("100.1", "")), ("100.2", ""), "1001"))
        .take(1, Said::State { leg: leg("100.2", ""), state: LegState::Ringing })
        .take(4, Said::State { leg: leg("100.2", ""), state: LegState::Up })
        .take(4, enter("100.2", "", "b1"))
        .take(4, enter("100.1", "", "b1"));
    let id = desk.only();
    let queue = "support".to_owned();
    desk.take(9, gone("100.2", "", 16)).take(9, Said::QueueJoin { leg: leg("100.1", ""), queue });
    desk.take(15, gone("100.1", "", 16));
    assert_eq!(desk.book.record(id).unwrap().wait_ms, Some(3_000));
}

/// ARI tells a queue by its application, and tells it once more at a REFER (trace d). After the link came back that is no new queue either.
#[test]
fn a_queue_told_again_after_a_snapshot_is_no_second_queue() {
    let mut desk = Desk::new();
    let waiting = vec![SnapshotWaiting { leg: "100.1".into(), queue: "support".into(), wait_ms: None }];
    let legs = vec![listed("100.1", "PJSIP/trunk-1", "Queue", "support,,,,120")];
    let lists = Snapshot { feed: Feed::Ari, legs, bridges: Vec::new(), asked: LATE, waiting };
    desk.heard(9, Feed::Ari, Said::Snapshot(lists));
    let id = desk.only();
    desk.heard(10, Feed::Ari, new_leg("100.2", "PJSIP/1001-2", LegState::Down, "1001", "s"));
    desk.heard(10, Feed::Ari, dial(Some(("100.1", "")), ("100.2", ""), "1001"));
    desk.heard(12, Feed::Ari, Said::State { leg: leg("100.2", ""), state: LegState::Up });
    desk.heard(12, Feed::Ari, enter("100.2", "", "b1")).heard(12, Feed::Ari, enter("100.1", "", "b1"));
    let again = Said::Application { leg: leg("100.1", ""), name: "Queue".into(), data: "support,,,,120".into() };
    desk.heard(15, Feed::Ari, again);
    let queues = desk.book.record(id).unwrap().segments.into_iter().filter(|s| s.queue.is_some() && s.agent.is_none());
    assert_eq!(queues.count(), 1);
}

#[test]
fn a_late_fact_amends_the_record_and_what_is_over_is_forgotten() {
    let mut desk = Desk::new();
    let id = desk.talking().only();
    desk.hang_up(9);
    assert_eq!(desk.book.record(id).unwrap().revision, 1);
    desk.news();
    let value = variable("100.1", "CTI_ACCOUNT", "8642");
    desk.take(10, value.clone()).take(10, value);
    assert_eq!(desk.news(), [What::Informed, What::Amended]);
    let record = desk.book.record(id).unwrap();
    assert_eq!(record.revision, 2);
    assert_eq!(record.attributes["ivr.account"].expose(), "8642");

    assert_eq!(desk.book.deadline(), Some(at(9).mono.plus_ms(KEEP_MS)));
    desk.book.tick(at(10 + KEEP_MS / 1000));
    assert_eq!((desk.book.counts().0, desk.book.deadline()), (0, None));
    assert!(desk.book.record(id).is_none());
    desk.take(80, gone("100.1", "PJSIP/trunk-1", 16));
    assert_eq!(desk.book.counts().0, 0, "a late end brings nothing back");
}

#[test]
fn a_reload_gives_later_calls_the_new_directory() {
    let mut desk = Desk::new();
    let mut other = settings();
    other.directory = Arc::new(Directory::default());
    desk.book.reload(other);
    desk.talking();
    assert!(!desk.news().iter().any(|w| matches!(w, What::Offered(_))));
}

#[test]
fn a_hole_is_said_in_the_record() {
    let mut desk = Desk::new();
    let id = desk.talking().only();
    desk.take(5, Said::Gap { feed: Feed::Ami }).hang_up(9);
    assert_eq!(desk.book.record(id).unwrap().quality, Quality::Estimated);
}

const NAMES: [&str; 8] = [
    "PJSIP/trunk-1",
    "PJSIP/1001-2",
    "PJSIP/1002-3",
    "Local/1001@q-1;1",
    "Local/1001@q-1;2",
    "PJSIP/2001-6",
    "CBAnn/1-7",
    "SIP/",
];

fn any_leg() -> impl Strategy<Value = Leg> {
    (0usize..NAMES.len(), 0u8..3, proptest::option::of(0usize..NAMES.len())).prop_map(|(i, generation, linked)| Leg {
        id: format!("{}.{i}", 1_795_347_800 + u32::from(generation)),
        name: NAMES[i].to_owned(),
        linked: linked.map(|l| format!("{}.{l}", 1_795_347_800 + u32::from(generation))),
        sip_call_id: None,
    })
}

fn any_state() -> impl Strategy<Value = LegState> {
    prop_oneof![Just(LegState::Down), Just(LegState::Calling), Just(LegState::Ringing), Just(LegState::Up)]
}

fn any_said() -> impl Strategy<Value = Said> {
    let bridge = || prop_oneof![Just("b1".to_owned()), Just("b2".to_owned())];
    let queue = || prop_oneof![Just("support".to_owned()), Just("sales".to_owned())];
    let status = prop_oneof![
        Just(DialStatus::Answer),
        Just(DialStatus::Cancel),
        Just(DialStatus::NoAnswer),
        Just(DialStatus::Busy)
    ];
    prop_oneof![
        4 => (any_leg(), any_state()).prop_map(|(leg, state)| Said::NewLeg {
            leg,
            state,
            caller: Caller { number: Some("13800138000".into()), name: None },
            dialled: Some("4008001234".into()),
            places: Vec::new(), created: None,
        }),
        2 => (any_leg(), any_state()).prop_map(|(leg, state)| Said::State { leg, state }),
        2 => (proptest::option::of(any_leg()), any_leg()).prop_map(|(by, to)| Said::DialBegin {
            by,
            to,
            dialled: Some("1001".into()),
            presented: None
        }),
        2 => (any_leg(), status).prop_map(|(to, status)| Said::DialEnd { by: None, to, status }),
        3 => (any_leg(), bridge()).prop_map(|(leg, bridge)| Said::BridgeEnter { leg, bridge, kind: BridgeKind::Mixing }),
        2 => (any_leg(), bridge()).prop_map(|(leg, bridge)| Said::BridgeLeave { leg, bridge }),
        1 => any_leg().prop_map(|leg| Said::Hold { leg }),
        1 => any_leg().prop_map(|leg| Said::Unhold { leg }),
        1 => (any_leg(), queue()).prop_map(|(leg, queue)| Said::QueueJoin { leg, queue }),
        1 => (any_leg(), queue()).prop_map(|(leg, queue)| Said::QueueLeave { leg, queue }),
        1 => (any_leg(), any_leg(), queue()).prop_map(|(leg, agent, queue)| Said::AgentCalled { leg, agent, queue }),
        1 => any_leg().prop_map(|leg| Said::Application { leg, name: "Queue".into(), data: "support,,".into() }),
        1 => (any_leg(), any_leg()).prop_map(|(by, customer)| Said::BlindTransfer {
            by,
            customer: Some(customer),
            to: Some("1002".into()),
            success: true
        }),
        1 => (any_leg(), any_leg(), any_leg(), any_leg()).prop_map(|(first, second, customer, target)| {
            Said::AttendedTransfer { first, second, customer: Some(customer), target: Some(target), success: true }
        }),
        1 => any_leg().prop_map(|leg| Said::HangupRequest { leg, cause: None }),
        1 => any_leg().prop_map(|leg| Said::Found(SnapshotLeg { leg, ..listed("", "", "", "") })),
        1 => any_leg().prop_map(|leg| Said::Doubt { leg }),
        1 => any_leg().prop_map(|leg| Said::CallId { leg: Leg { sip_call_id: Some("x".to_owned()), ..leg } }),
        1 => any_leg().prop_map(|leg| Said::Gone { leg }),
        3 => any_leg().prop_map(|leg| Said::Hangup { leg, cause: Some(16), text: None }),
        1 => (any_leg(), any_leg()).prop_map(|(leg, also)| Said::Same { leg, also }),
        1 => (any_leg(), any::<bool>()).prop_map(|(leg, answer)| Said::Unseen { leg, answer }),
        1 => (proptest::collection::vec(any_leg(), 0..4), any::<bool>()).prop_map(|(legs, bridged)| {
            let legs = legs.into_iter().map(|l| SnapshotLeg { leg: l, ..listed("", "", "Queue", "support") }).collect();
            snapshot(legs, bridged, None)
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever is said in whatever order: each call that appears ends or is absorbed once, each offer is opened before it is closed and
    /// closed once, nothing is left behind, and a checkpoint survives the way to disk.
    #[test]
    fn a_storm_leaves_no_call_open_and_no_pop_behind(
        events in proptest::collection::vec((any_said(), 0usize..4), 0..60)
    ) {
        let mut desk = Desk::new();
        for (n, (said, feed)) in events.into_iter().enumerate() {
            let seconds = u64::try_from(n).unwrap();
            desk.heard(seconds, [Feed::Ami, Feed::Ari, Feed::Sip, Feed::Hep][feed], said);
            let open: Vec<CallId> = desk.book.open_calls().map(|f| f.call).filter(|_| n % 16 == 15).collect();
            for call in open {
                let checkpoint = desk.book.checkpoint(call).unwrap();
                prop_assert_eq!(durable(&checkpoint), checkpoint);
                let record = desk.book.record(call).unwrap();
                let text = serde_json::to_string(&record).unwrap();
                prop_assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
            }
        }
        desk.book.lose_all(at(100), &switch());
        desk.drain();
        let mut open: HashMap<CallId, (Vec<u32>, u32)> = HashMap::new();
        let mut ended: Vec<CallId> = Vec::new();
        for (call, what) in &desk.said {
            match what {
                What::Appeared => prop_assert!(open.insert(*call, (Vec::new(), 0)).is_none()),
                What::Offered(offer) => {
                    let (offers, last) = open.get_mut(call).expect("a call has appeared before it is offered");
                    prop_assert!(offer.ordinal > *last);
                    offers.push(offer.ordinal);
                    *last = offer.ordinal;
                }
                What::Withdrawn { offer, .. } | What::Cleared { offer } => {
                    let (offers, _) = open.get_mut(call).expect("an open call");
                    let before = offers.len();
                    offers.retain(|o| *o != offer.ordinal);
                    prop_assert_eq!(offers.len() + 1, before, "{:?}", offer);
                }
                What::Absorbed { into } => {
                    // Open offers go on under the other id, numbered after its own.
                    let (offers, last) = open.remove(call).expect("an open call");
                    let (kept, first) = open.get_mut(into).expect("the call that is left");
                    kept.extend(offers.into_iter().map(|o| o + *first));
                    *first += last;
                }
                What::Ended => {
                    open.remove(call);
                    prop_assert!(!ended.contains(call));
                    ended.push(*call);
                }
                _ => {}
            }
        }
        prop_assert!(open.is_empty(), "left open: {:?}", open);
        desk.book.tick(at(1000));
        prop_assert_eq!(desk.book.counts().0, 0);
        prop_assert_eq!(desk.book.deadline(), None);
    }
}

/// Rows as a file says them.
fn trunks(yaml: &str) -> Arc<TrunkMap> {
    let file =
        crate::files::read::<crate::numbers::TrunksFile>("trunks.yaml", yaml).unwrap_or_else(|p| panic!("{p:?}"));
    Arc::new(TrunkMap::new(file.value.rows, &Plan::new("CN", Some("21"))))
}

/// The carrier sends the pilot of the trunk; which line was called is in a variable that comes a moment later.
#[test]
fn a_variable_says_which_line_was_called() {
    let mut desk = Desk::new();
    let rows = "rows:\n  - {dialled_from: ['attribute:ivr.account', extension], dialled: '4008001234', title: After-sales}\n  - {title: Pilot}\n";
    desk.book.reload(Settings { trunks: trunks(rows), ..settings() });
    desk.take(0, new_leg("100.1", "PJSIP/trunk-1", LegState::Calling, "13800138000", "8000"));
    let title = |desk: &Desk| {
        let face = desk.book.face(desk.only()).unwrap();
        (face.line.as_ref().unwrap().title.clone().unwrap(), face.dialled.as_ref().unwrap().key().unwrap().to_owned())
    };
    assert_eq!(title(&desk), ("Pilot".to_owned(), "8000".to_owned()));
    desk.news();
    let variable = |value: &str| Said::Variable {
        leg: leg("100.1", "PJSIP/trunk-1"),
        name: "CTI_ACCOUNT".into(),
        value: value.as_bytes().to_vec().into(),
    };
    desk.take(0, variable("4008001234"));
    assert_eq!(title(&desk), ("After-sales".to_owned(), "+864008001234".to_owned()));
    assert!(desk.news().contains(&What::Informed));
    // It is settled: what comes later changes nothing, and nothing is said again.
    desk.take(1, Said::QueueJoin { leg: leg("100.1", "PJSIP/trunk-1"), queue: "support".into() });
    desk.take(1, Said::State { leg: leg("100.1", "PJSIP/trunk-1"), state: LegState::Up });
    assert_eq!(title(&desk), ("After-sales".to_owned(), "+864008001234".to_owned()));
    assert!(!desk.news().contains(&What::Informed));
}

/// A trunk from another city: who calls there with seven digits calls from that city.
#[test]
fn a_line_reads_its_callers_by_its_own_area() {
    let mut desk = Desk::new();
    let rows = "rows:\n  - {trunk: trunk, area: '592', dialled: '5051234', title: Xiamen}\n";
    desk.book.reload(Settings { trunks: trunks(rows), ..settings() });
    desk.take(0, new_leg("100.1", "PJSIP/trunk-1", LegState::Calling, "2061234", "5051234"));
    let face = desk.book.face(desk.only()).unwrap();
    let key = |number: &Option<crate::numbers::Number>| number.as_ref().unwrap().key().unwrap().to_owned();
    assert_eq!((key(&face.customer), key(&face.dialled)), ("+865922061234".to_owned(), "+865925051234".to_owned()));
}

/// The digits that give a line are none of the customer's number.
#[test]
fn an_access_digit_is_not_written_down() {
    let mut settings = settings();
    let rule = crate::numbers::OutRule { access: "9".to_owned(), ..Default::default() };
    let rules = settings.switches.get_mut(&switch()).unwrap();
    rules.out = Arc::new(crate::numbers::DialOut::new(&[rule], &rules.plan).unwrap());
    let mut desk = Desk { book: Book::new(settings), said: Vec::new() };
    desk.take(0, new_leg("100.1", "PJSIP/1001-1", LegState::Calling, "1001", "9013800138000"));
    desk.take(1, new_leg("100.2", "PJSIP/trunk-2", LegState::Down, "", "s"));
    desk.take(1, dial(Some(("100.1", "PJSIP/1001-1")), ("100.2", "PJSIP/trunk-2"), "9013800138000@trunk"));
    let customer = desk.book.face(desk.only()).unwrap().customer.clone().unwrap();
    assert_eq!(customer.raw.as_ref().map(|r| r.expose().as_str()), Some("013800138000"));
    assert_eq!(customer.key(), Some("+8613800138000"));
}
