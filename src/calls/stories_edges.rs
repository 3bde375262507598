//! Stories of two switches that tell one call: an edge before the PBX, and the PBX's own mirror.

use super::*;
use crate::{
    calls::{
        edges::{ALONE_MS, Join},
        record::EndedBy,
    },
    numbers::trunks::{Source, TrunksFile},
};

const NUMBER: &str = "13800138000";

fn edge() -> SwitchId {
    "edge1".into()
}

/// What `pbx1` mirrors of itself.
fn mirror() -> SwitchId {
    "pbx1 hep".into()
}

/// `pbx1` with an edge before it, and with a mirror beside it. The hotline's row looks where only signalling shows a number.
fn site(joins: &[Join]) -> Settings {
    let mut settings = settings();
    let rows = "rows:\n  - {dialled_from: [diversion], dialled: '4008001234', title: Hotline}\n";
    let file = crate::files::read::<TrunksFile>("trunks.yaml", rows).unwrap().value;
    settings.trunks = Arc::new(TrunkMap::new(file.rows, &Plan::new("CN", Some("21"))));
    let mapping = |yaml: &str| crate::files::read::<Mapping>("x.yaml", yaml).unwrap().value;
    let pbx = settings.switches.get_mut(&switch()).unwrap();
    pbx.attributes =
        Arc::new(Attributes { list: vec![mapping("{name: ref, from: {variable: REF}}")], recordings: None });
    let before = |name: SwitchId, joins: &[Join], keeps| {
        let (pbx, joins) = (switch(), joins.to_vec());
        let attributes = Attributes { list: vec![mapping("{name: ref, from: {sip-header: X-Ref}}")], recordings: None };
        let rules = Rules {
            tenant: "default".into(),
            zone: None,
            plan: Plan::new("CN", Some("21")),
            trunks: vec!["SIP/trunk".to_owned()],
            internal: Vec::new(),
            attributes: Arc::new(attributes),
            out: Arc::default(),
            pair: Pair::Edge { pbx, joins, keeps },
            mirror: None,
        };
        (name, rules)
    };
    pbx.pair = Pair::Behind(vec![edge(), mirror()]);
    pbx.mirror = Some(mirror());
    settings.switches.extend([before(edge(), joins, true), before(mirror(), &[Join::CallId], false)]);
    settings
}

/// What the two switches say of one call, each in its own order.
struct Two {
    desk: Desk,
}

impl Two {
    fn new(joins: &[Join]) -> Self {
        Self { desk: Desk { book: Book::new(site(joins)), said: Vec::new() } }
    }

    fn say(&mut self, ms: u64, switch: &SwitchId, feed: Feed, said: Said) -> &mut Self {
        self.desk.book.take(later(ms), switch, feed, Event { at: None, said });
        self.desk.drain();
        self
    }

    fn edge(&mut self, ms: u64, said: Said) -> &mut Self {
        self.say(ms, &edge(), Feed::Hep, said)
    }

    fn pbx(&mut self, ms: u64, said: Said) -> &mut Self {
        self.say(ms, &switch(), Feed::Ami, said)
    }

    fn tick(&mut self, ms: u64) -> &mut Self {
        self.desk.book.tick(later(ms));
        self.desk.drain();
        self
    }

    /// The edge hears the INVITE of call `id`.
    fn comes(&mut self, ms: u64, id: &str, number: Option<&str>) -> &mut Self {
        invited(id, number).into_iter().fold(self, |two, said| two.edge(ms, said))
    }

    /// The PBX mirrors it.
    fn mirrored(&mut self, ms: u64, id: &str, number: Option<&str>) -> &mut Self {
        invited(id, number).into_iter().fold(self, |two, said| two.say(ms, &switch(), Feed::Hep, said))
    }

    /// And its end there, asked for by the caller or not.
    fn leaves(&mut self, ms: u64, id: &str, asked: bool) -> &mut Self {
        if asked {
            self.edge(ms, Said::HangupRequest { leg: at_edge(id), cause: None });
        }
        self.edge(ms, Said::Hangup { leg: at_edge(id), cause: None, text: None })
    }

    /// The PBX's channel of the same call.
    fn enters(&mut self, ms: u64, id: &str, number: &str) -> &mut Self {
        self.pbx(ms, new_leg(id, &format!("PJSIP/trunk-{id}"), LegState::Calling, number, "8000"))
    }

    fn call_id(&mut self, ms: u64, id: &str, call_id: &str) -> &mut Self {
        let leg = Leg { sip_call_id: Some(call_id.to_owned()), ..leg(id, &format!("PJSIP/trunk-{id}")) };
        self.pbx(ms, Said::CallId { leg })
    }

    /// It rings at 1001, who takes it, and the caller hangs up.
    fn answered(&mut self, ms: u64, id: &str) -> &mut Self {
        let (customer, agent) = (format!("PJSIP/trunk-{id}"), format!("PJSIP/1001-{id}"));
        let called = format!("{id}9");
        self.pbx(ms, new_leg(&called, &agent, LegState::Down, "", "s"))
            .pbx(ms, dial(Some((id, &customer)), (&called, &agent), "PJSIP/1001"))
            .pbx(ms, Said::State { leg: leg(&called, &agent), state: LegState::Ringing })
            .pbx(ms + 2_000, Said::State { leg: leg(&called, &agent), state: LegState::Up })
            .pbx(ms + 2_000, enter(&called, &agent, "b"))
            .pbx(ms + 2_000, enter(id, &customer, "b"))
            .pbx(ms + 5_000, gone(id, &customer, 16))
            .pbx(ms + 5_000, gone(&called, &agent, 16))
    }

    fn offers(&self) -> usize {
        self.desk.said.iter().filter(|(_, what)| matches!(what, What::Offered(_))).count()
    }

    /// Records as they stand, in the order in which their calls appeared.
    fn records(&self) -> Vec<Record> {
        let appeared = self.desk.said.iter().filter(|(_, what)| *what == What::Appeared).map(|(call, _)| *call);
        let ended = |call: &CallId| self.desk.said.iter().any(|(other, what)| other == call && *what == What::Ended);
        appeared.filter(ended).filter_map(|call| self.desk.book.record(call)).collect()
    }

    /// One call, one pop, one record: the PBX's, with what the edge knows.
    fn one(&self, case: &str) {
        let records = self.records();
        assert_eq!((records.len(), self.offers()), (1, 1), "{case}: {records:#?}");
        let record = &records[0];
        assert_eq!((record.outcome, record.switch.clone()), (Some(Outcome::Answered), switch()), "{case}");
        assert_eq!(
            record.dialled.as_ref().and_then(|n| n.key()),
            Some("+864008001234"),
            "{case}: by the edge's Diversion"
        );
        assert_eq!(record.customer.as_ref().unwrap().withheld, Some(false), "{case}");
        assert_eq!(record.ended_by, Some(EndedBy::Customer), "{case}: the edge saw the BYE");
        assert!(record.ids.iter().any(|id| id.switch == edge() && id.value == "e1"), "{case}");
        assert_eq!(record.related, [], "{case}");
    }
}

fn later(ms: u64) -> Now {
    let start = at(0);
    Now { wall: start.wall.plus_ms(i64::try_from(ms).unwrap()), mono: start.mono.plus_ms(ms) }
}

fn at_edge(id: &str) -> Leg {
    Leg { id: format!("{id}/caller"), name: "SIP/trunk".into(), linked: None, sip_call_id: Some(id.to_owned()) }
}

fn invited(id: &str, number: Option<&str>) -> [Said; 5] {
    invited_as(id, number, id)
}

/// `mark`: what its headers say.
fn invited_as(id: &str, number: Option<&str>, mark: &str) -> [Said; 5] {
    let caller = Caller { number: number.map(Into::into), name: None };
    let places = vec![(Source::Diversion, "4008001234".into()), (Source::RequestUri, "8000".into())];
    let header = |name: &str, value: &str| Said::Variable {
        leg: at_edge(id),
        name: format!("sip:{name}"),
        value: value.as_bytes().to_vec().into(),
    };
    [
        Said::NewLeg { leg: at_edge(id), state: LegState::Calling, caller, dialled: None, places, created: None },
        Said::CallerId { leg: at_edge(id), caller: Caller::default(), restricted: number.is_none() },
        header("x-ref", &format!("ref-{mark}")),
        header("User-to-User", &format!("uui-{mark}")),
        header("Session-ID", &format!("AB12{mark};remote=00000000000000000000000000000000")),
    ]
}

/// Every key, each spoken of by the edge first, by the PBX first, and told twice by both.
#[test]
fn an_edge_s_call_and_the_pbx_s_are_one_by_each_key_and_in_each_order() {
    let header = |name: &str, value: &str| Said::Variable {
        leg: leg("100.1", ""),
        name: name.to_owned(),
        value: value.as_bytes().to_vec().into(),
    };
    let call_id = Said::CallId { leg: Leg { sip_call_id: Some("e1".to_owned()), ..leg("100.1", "") } };
    let keys = [
        (Join::CallId, Some((Feed::Ami, call_id))),
        (Join::Attribute("ref".to_owned()), Some((Feed::Ami, header("REF", "ref-e1")))),
        (Join::NumberAndTime, None),
    ];
    for (join, told) in keys {
        for order in ["edge first", "pbx first", "edge while it rings", "edge after all"] {
            for twice in [false, true] {
                let mut two = Two::new(std::slice::from_ref(&join));
                let pbx = |two: &mut Two| {
                    two.enters(20, "100.1", NUMBER);
                    if let Some((feed, said)) = &told {
                        two.say(25, &switch(), *feed, said.clone());
                    }
                    if twice {
                        two.enters(20, "100.1", NUMBER);
                    }
                };
                let edge = |two: &mut Two, ms| {
                    for _ in 0..=u8::from(twice) {
                        two.comes(ms, "e1", Some(NUMBER));
                    }
                };
                match order {
                    "edge first" => {
                        edge(&mut two, 0);
                        assert_eq!(two.desk.said, [], "an edge's call alone is no call yet");
                        pbx(&mut two);
                        two.answered(100, "100.1").leaves(5_100, "e1", true);
                    }
                    "pbx first" => {
                        pbx(&mut two);
                        edge(&mut two, 40);
                        two.answered(100, "100.1").leaves(5_100, "e1", true);
                    }
                    "edge while it rings" => {
                        pbx(&mut two);
                        two.answered(100, "100.1");
                        edge(&mut two, 40);
                        two.leaves(5_100, "e1", true);
                    }
                    _ => {
                        pbx(&mut two);
                        two.answered(100, "100.1");
                        edge(&mut two, 40);
                        two.leaves(5_100, "e1", true).tick(6_000);
                    }
                }
                two.tick(5_100 + ALONE_MS).one(&format!("{join:?}, {order}, twice: {twice}"));
                two.tick(70_000 + ALONE_MS);
                assert_eq!(two.desk.book.counts().0, 0, "a leg is left");
                assert!(two.desk.book.boards.values().all(|board| board.keys.is_empty()), "a key is left");
            }
        }
    }
}

/// (outcome, who ended it, whether the dialled number is the edge's) of the only record, which is the edge's.
fn alone(two: &Two) -> (Option<Outcome>, Option<EndedBy>, Option<u64>) {
    let records = two.records();
    let [record] = records.as_slice() else { panic!("{records:#?}") };
    assert_eq!((two.offers(), record.switch.clone(), record.related.len()), (0, edge(), 0));
    assert_eq!(record.customer.as_ref().unwrap().e164.as_ref().unwrap().expose(), "+8613800138000");
    assert_eq!(record.dialled.as_ref().and_then(|n| n.key()), Some("+864008001234"));
    assert_eq!((record.wait_ms, record.ring_ms, record.quality), (None, None, Quality::Exact));
    (record.outcome, record.ended_by, record.talk_ms)
}

#[test]
fn who_gives_up_at_the_edge_is_a_call_of_its_own_once_nobody_else_can_have_it() {
    let mut two = Two::new(&[Join::CallId, Join::NumberAndTime]);
    two.comes(0, "e1", Some(NUMBER)).leaves(2_000, "e1", true).tick(2_000 + ALONE_MS - 1);
    assert_eq!(two.desk.said, [], "the PBX may still speak of it");
    assert_eq!(two.desk.book.deadline(), Some(later(2_000 + ALONE_MS).mono));
    two.tick(2_000 + ALONE_MS);
    assert_eq!(alone(&two), (Some(Outcome::Abandoned), Some(EndedBy::Customer), Some(0)));
    two.leaves(9_000, "e1", true).tick(80_000);
    assert_eq!(
        (two.records().len(), two.desk.book.counts().0),
        (0, 0),
        "told again it is not shown again, and it is forgotten"
    );
    let ends = two.desk.said.iter().filter(|(_, what)| *what == What::Ended).count();
    assert_eq!(ends, 1);
}

#[test]
fn what_became_of_a_call_behind_the_edge_is_not_made_up() {
    let mut two = Two::new(&[Join::CallId]);
    let up = Said::State { leg: at_edge("e1"), state: LegState::Up };
    two.comes(0, "e1", Some(NUMBER)).edge(1_000, up).leaves(9_000, "e1", true).tick(20_000);
    assert_eq!(alone(&two), (None, Some(EndedBy::Customer), None));
    // Of a call that began before we listened the PBX may know all.
    let mut two = Two::new(&[Join::CallId]);
    let enter = Said::BridgeEnter { leg: at_edge("e1"), bridge: "e1".into(), kind: BridgeKind::Mixing };
    two.edge(0, enter).leaves(0, "e1", true).tick(20_000);
    assert_eq!(two.desk.said, []);
}

#[test]
fn the_pbx_alone_is_as_it_always_was() {
    let mut two = Two::new(&[Join::CallId, Join::NumberAndTime]);
    two.enters(0, "100.1", NUMBER).answered(100, "100.1").tick(20_000);
    let records = two.records();
    assert_eq!(
        (records.len(), two.offers(), records[0].related.len(), records[0].outcome),
        (1, 1, 0, Some(Outcome::Answered))
    );
}

/// No key says that they are one; time and number say that they may be. One of them is the customer's call.
#[test]
fn calls_that_may_be_one_are_linked_and_only_one_of_them_counts() {
    for number in [Some(NUMBER), None] {
        let mut two = Two::new(&[Join::Attribute("ref".to_owned())]);
        two.comes(0, "e1", number).enters(20, "100.1", NUMBER).answered(100, "100.1").leaves(5_100, "e1", true);
        two.tick(5_100 + ALONE_MS);
        let records = two.records();
        let [pbx, other] = records.as_slice() else { panic!("{records:#?}") };
        assert_eq!((pbx.switch.clone(), other.switch.clone(), two.offers()), (switch(), edge(), 1));
        let link =
            |record: &Record| (record.related[0].call, record.related[0].relation.clone(), record.related[0].certain);
        assert_eq!((link(pbx), link(other)), ((other.call, "edge".into(), false), (pbx.call, "edge".into(), false)));
        let aside = |record: &Record| two.desk.book.face(record.call).unwrap().aside;
        assert_eq!((aside(pbx), aside(other), pbx.revision), (false, true, 2));
    }
    // Somebody else who called at that time is a customer of their own.
    let mut two = Two::new(&[Join::Attribute("ref".to_owned())]);
    two.comes(0, "e1", Some("13900139000"))
        .enters(20, "100.1", NUMBER)
        .answered(100, "100.1")
        .leaves(5_100, "e1", true);
    two.tick(5_100 + ALONE_MS);
    let records = two.records();
    assert!(records.len() == 2 && records.iter().all(|record| record.related.is_empty()), "{records:#?}");
}

/// A company's calls show one number: which is which is not guessed, and there are no more customers than calls.
#[test]
fn two_calls_of_one_number_at_one_time_are_not_joined_by_it() {
    let mut two = Two::new(&[Join::CallId, Join::NumberAndTime]);
    two.comes(0, "e1", Some(NUMBER)).comes(100, "e2", Some(NUMBER));
    two.enters(120, "100.1", NUMBER).enters(220, "100.2", NUMBER).answered(300, "100.1").answered(300, "100.2");
    let ids =
        |two: &Two| two.records().iter().flat_map(|record| record.ids.clone()).filter(|id| id.switch == edge()).count();
    assert_eq!(ids(&two), 0);
    // The PBX is asked for its Call-IDs, and says them late.
    two.call_id(6_000, "100.1", "e1").call_id(6_000, "100.2", "e2");
    two.leaves(6_100, "e1", true).leaves(6_100, "e2", true).tick(20_000);
    assert_eq!((ids(&two), two.records().len()), (2, 2));
}

#[test]
fn what_the_pbx_mirrors_adds_to_its_calls_and_makes_none() {
    // AMI gives the number of a caller who withholds it; the signalling knows.
    let mut two = Two::new(&[]);
    two.mirrored(0, "e1", None).enters(10, "100.1", NUMBER);
    assert_eq!(two.desk.book.face(two.desk.only()).unwrap().customer.as_ref().unwrap().key(), Some("+8613800138000"));
    two.call_id(12, "100.1", "e1").answered(100, "100.1");
    let records = two.records();
    let customer = records[0].customer.as_ref().unwrap();
    assert_eq!((records.len(), two.offers(), customer.withheld, customer.raw.is_none()), (1, 1, Some(true), true));
    assert_eq!(records[0].dialled.as_ref().and_then(|n| n.key()), Some("+864008001234"));
    let end = |id: &str| Said::Hangup { leg: at_edge(id), cause: None, text: None };
    two.say(5_100, &switch(), Feed::Hep, end("e1"));
    // What belongs to no channel is nobody's call.
    two.mirrored(7_000, "e2", Some(NUMBER)).tick(9_000);
    two.say(10_000, &switch(), Feed::Hep, end("e2")).tick(80_000);
    assert_eq!(two.desk.said.iter().filter(|(_, what)| *what == What::Appeared).count(), 1);
    assert_eq!(two.desk.book.counts().0, 0);
}

#[test]
fn a_restart_in_between_makes_no_second_call() {
    for (key, tells) in [(Join::CallId, "INVITE"), (Join::CallId, "end"), (Join::NumberAndTime, "end")] {
        let mut two = Two::new(std::slice::from_ref(&key));
        two.comes(0, "e1", Some(NUMBER)).enters(20, "100.1", NUMBER).call_id(21, "100.1", "e1");
        let call = two.desk.only();
        let checkpoint = durable(&two.desk.book.checkpoint(call).unwrap());
        let mut two = Two::new(std::slice::from_ref(&key));
        two.desk.book.restore(vec![checkpoint]);
        let mut listed = listed("100.1", "PJSIP/trunk-100.1", "Queue", "support");
        listed.leg.linked = None;
        two.pbx(3_000, snapshot(vec![listed], false, Some(later(2_900).mono)));
        if tells == "INVITE" {
            // The edge hears its answer, or a second hop.
            two.comes(3_100, "e1", Some(NUMBER));
        }
        two.pbx(5_000, gone("100.1", "PJSIP/trunk-100.1", 16));
        two.leaves(5_000, "e1", true).tick(20_000);
        let record = two.desk.book.record(call).unwrap();
        assert_eq!(record.dialled.as_ref().and_then(|n| n.key()), Some("+864008001234"), "{key:?} {tells}");
        let other = two.desk.said.iter().filter(|(other, what)| *other != call && *what == What::Appeared).count();
        assert_eq!((other, record.related.len()), (0, 0), "{key:?} {tells}");
    }
}

/// The PBX's link is away for a while, or for the whole call.
#[test]
fn a_link_that_is_cut_in_between_makes_no_second_call() {
    let mut two = Two::new(&[Join::CallId]);
    two.comes(0, "e1", Some(NUMBER)).enters(20, "100.1", NUMBER).call_id(21, "100.1", "e1");
    two.pbx(1_000, Said::LinkLost { feed: Feed::Ami }).leaves(3_000, "e1", true).tick(20_000);
    two.pbx(21_000, snapshot(Vec::new(), false, Some(later(20_900).mono)));
    let records = two.records();
    assert_eq!((records.len(), records[0].end, records[0].switch.clone()), (1, End::Lost, switch()), "{records:#?}");

    // It was shown alone, and then the PBX comes back and has it still.
    let mut two = Two::new(&[Join::CallId]);
    two.comes(0, "e1", Some(NUMBER)).leaves(3_000, "e1", true).tick(3_000 + ALONE_MS);
    two.enters(20_000, "100.1", NUMBER).call_id(20_001, "100.1", "e1").answered(20_100, "100.1");
    let records = two.records();
    let related: Vec<_> = records.iter().map(|record| (record.related.len(), record.related[0].certain)).collect();
    assert_eq!(related, [(1, true), (1, true)]);
    let aside: Vec<bool> = records.iter().map(|r| two.desk.book.face(r.call).unwrap().aside).collect();
    assert_eq!(aside, [true, false]);
}

/// What an agent calls passes the edge on its way out, which cannot always tell from where it came.
#[test]
fn a_call_out_through_the_edge_is_the_agent_s_call() {
    let mut two = Two::new(&[Join::CallId]);
    let (agent, trunk) = (("100.1", "PJSIP/1001-1"), ("100.2", "PJSIP/trunk-2"));
    two.pbx(0, new_leg(agent.0, agent.1, LegState::Calling, "1001", NUMBER))
        .pbx(5, new_leg(trunk.0, trunk.1, LegState::Down, "", ""))
        .pbx(5, dial(Some(agent), trunk, "13800138000@trunk"));
    let leg = Leg { sip_call_id: Some("e1".to_owned()), ..leg(trunk.0, trunk.1) };
    two.comes(10, "e1", Some("02161234567")).pbx(12, Said::CallId { leg });
    two.pbx(4_000, gone(trunk.0, trunk.1, 16)).pbx(4_000, gone(agent.0, agent.1, 16)).leaves(4_000, "e1", false);
    two.tick(20_000);
    let records = two.records();
    assert_eq!((records.len(), records[0].direction), (1, Some(crate::calls::record::Direction::Outbound)));
    assert_eq!(records[0].customer.as_ref().unwrap().e164.as_ref().unwrap().expose(), "+8613800138000");
}

/// One of a few calls: what the edge and the PBX say of it and when, in milliseconds from its begin.
#[derive(Clone, Debug)]
struct Made {
    begin: u64,
    at_edge: Option<u64>,
    at_pbx: Option<u64>,
    /// When its Call-ID is known at the PBX.
    known: Option<u64>,
    /// Each word comes twice.
    twice: bool,
}

fn any_made() -> impl Strategy<Value = Made> {
    let maybe = |most: u64| proptest::option::weighted(0.8, 0..most);
    (0u64..4_000, maybe(1_000), maybe(1_000), maybe(6_000), any::<bool>())
        .prop_map(|(begin, at_edge, at_pbx, known, twice)| Made { begin, at_edge, at_pbx, known, twice })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Calls overlap as they like, each side speaks when it likes, says all twice or leaves a call out: a customer is one call and each phone rings once.
    /// Where callers show one number and no Call-ID tells, there may be fewer customers than calls, and never more.
    #[test]
    fn however_two_switches_speak_a_customer_is_one_call(
        made in proptest::collection::vec(any_made(), 1..5), same in any::<bool>(), by_number in any::<bool>(),
    ) {
        let joins = if by_number { vec![Join::CallId, Join::NumberAndTime] } else { vec![Join::CallId] };
        let mut events: Vec<(u64, SwitchId, Feed, Said)> = Vec::new();
        for (n, call) in made.iter().enumerate() {
            let number = if same { NUMBER.to_owned() } else { format!("1380013800{n}") };
            let (id, call_id) = (format!("100.{}", n + 1), format!("e{n}"));
            let times = 1 + u64::from(call.twice);
            if let Some(at) = call.at_edge {
                let at = call.begin + at;
                for word in 0..times {
                    events.extend(invited(&call_id, Some(&number)).map(|said| (at + word, edge(), Feed::Hep, said)));
                    let end = Said::Hangup { leg: at_edge(&call_id), cause: None, text: None };
                    events.push((at + 12_000 + word, edge(), Feed::Hep, end));
                }
            }
            if let Some(at) = call.at_pbx {
                let (at, channel) = (call.begin + at, format!("PJSIP/trunk-{id}"));
                let (called, phone) = (format!("{id}9"), format!("PJSIP/1001-{id}"));
                for word in 0..times {
                    let mut say = |ms: u64, said| events.push((at + ms + word, switch(), Feed::Ami, said));
                    say(0, new_leg(&id, &channel, LegState::Calling, &number, "8000"));
                    say(100, new_leg(&called, &phone, LegState::Down, "", "s"));
                    say(100, dial(Some((&id, &channel)), (&called, &phone), "PJSIP/1001"));
                    say(110, Said::State { leg: leg(&called, &phone), state: LegState::Ringing });
                    if let Some(known) = call.known {
                        let leg = Leg { sip_call_id: Some(call_id.clone()), ..leg(&id, &channel) };
                        say(known, Said::CallId { leg });
                    }
                    say(12_000, gone(&id, &channel, 16));
                    say(12_000, gone(&called, &phone, 16));
                }
            }
        }
        events.sort_by_key(|(ms, ..)| *ms);
        let mut two = Two::new(&joins);
        for (ms, switch, feed, said) in events {
            two.tick(ms).say(ms, &switch, feed, said);
        }
        two.tick(30_000);
        let rang = made.iter().filter(|call| call.at_pbx.is_some()).count();
        prop_assert_eq!(two.offers(), rang);
        let records = two.records();
        let counts = |record: &&Record| !two.desk.book.face(record.call).unwrap().aside;
        let customers = records.iter().filter(counts).count();
        let calls = made.iter().filter(|call| call.at_pbx.is_some() || call.at_edge.is_some()).count();
        prop_assert!(rang <= customers && customers <= calls, "{} of {}: {:#?}", customers, calls, records);
        prop_assert!(same || customers == calls, "{} of {}: {:#?}", customers, calls, records);
        // Who is linked is linked from both sides.
        for record in &records {
            for other in &record.related {
                let back = records.iter().find(|r| r.call == other.call).map(|r| r.related.iter().any(|b| b.call == record.call));
                prop_assert_eq!(back, Some(true));
            }
        }
        two.tick(120_000);
        prop_assert_eq!(two.desk.book.counts().0, 0);
    }
}

/// The PBX was not watched; its own records tell of the call when it is back. The edge's record has had something done for it.
#[test]
fn what_an_edge_told_alone_is_no_second_customer_in_the_pbx_s_own_records() {
    use crate::calls::missed::{Disposition, Row};
    let mut two = Two::new(&[Join::CallId]);
    two.comes(700, "e1", Some(NUMBER)).leaves(3_000, "e1", true).tick(20_000);
    let edges = two.records().remove(0).call;
    let row = |number: &str, start: u64| Row {
        id: "1795347846.1".into(),
        linked: None,
        channel: "PJSIP/trunk-1".into(),
        other: String::new(),
        number: Some(number.into()),
        dialled: Some("8000".into()),
        application: "Queue".into(),
        data: "support".to_owned().into(),
        start: at(start).wall,
        end: at(start + 3).wall,
        disposition: Disposition::Other,
    };
    let related = |number: &str, start| two.desk.book.missed(&switch(), &[row(number, start)]).unwrap().0.related;
    let told = related(NUMBER, 0);
    assert_eq!((told.len(), told[0].call, told[0].certain), (1, edges, false));
    assert_eq!((related("13900139000", 0).len(), related(NUMBER, 60).len()), (0, 0));
}

/// An SBC is a B2BUA: it has a dialog with the carrier and one with the PBX, and mirrors both. The inner one is found by its Call-ID, the outer one by the caller.
#[test]
fn both_dialogs_of_an_sbc_are_the_pbx_s_call() {
    for order in [[0, 1, 2], [1, 0, 2], [2, 1, 0], [1, 2, 0]] {
        let mut two = Two::new(&[Join::CallId, Join::NumberAndTime]);
        for (at, step) in (0..).zip(order) {
            match step {
                0 => drop(two.comes(at * 10, "e1", Some(NUMBER))),
                // Of the inner dialog nothing is known but that it is there.
                1 => {
                    let inner = Leg { name: "SIP/0216".to_owned(), ..at_edge("e9") };
                    let (state, caller) = (LegState::Calling, Caller::default());
                    let said =
                        Said::NewLeg { leg: inner, state, caller, dialled: None, places: Vec::new(), created: None };
                    two.edge(at * 10, said);
                }
                _ => drop(two.enters(at * 10, "100.1", NUMBER).call_id(at * 10 + 1, "100.1", "e9")),
            }
        }
        two.answered(100, "100.1").leaves(5_100, "e1", true).leaves(5_100, "e9", false).tick(5_100 + ALONE_MS);
        two.one(&format!("{order:?}"));
    }
}

/// The caller's number found a call that had begun a moment before; its own comes later, with its Call-ID.
#[test]
fn a_guess_by_the_number_is_taken_back_when_a_key_says_otherwise() {
    let mut two = Two::new(&[Join::CallId, Join::NumberAndTime]);
    two.enters(0, "100.1", NUMBER).comes(10, "e2", Some(NUMBER)).enters(20, "100.2", NUMBER).call_id(21, "100.2", "e2");
    two.answered(100, "100.1").answered(100, "100.2").leaves(5_100, "e2", true).tick(5_100 + ALONE_MS);
    let told: Vec<_> = two
        .records()
        .iter()
        .map(|r| {
            (r.dialled.as_ref().and_then(|n| n.key().map(str::to_owned)), r.ids.iter().any(|id| id.switch == edge()))
        })
        .collect();
    assert_eq!(told, [(Some("8000".to_owned()), false), (Some("+864008001234".to_owned()), true)]);
}

/// Behind an SBC the PBX's dialog has another Call-ID, and the headers that both mirror say that it is the same call.
#[test]
fn headers_that_both_mirror_join_an_edge_s_call_and_the_pbx_s() {
    for join in [Join::SessionId, Join::Uui, Join::Header("X-REF".to_owned())] {
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut two = Two::new(std::slice::from_ref(&join));
            for (at, step) in (0..).zip(order) {
                match step {
                    0 => drop(two.comes(at * 10, "e1", Some(NUMBER))),
                    1 => invited_as("p1", Some(NUMBER), "e1").into_iter().for_each(|said| {
                        two.say(at * 10, &switch(), Feed::Hep, said);
                    }),
                    _ => drop(two.enters(at * 10, "100.1", NUMBER).call_id(at * 10 + 1, "100.1", "p1")),
                }
            }
            let end = Said::Hangup { leg: at_edge("p1"), cause: None, text: None };
            two.answered(100, "100.1").leaves(5_100, "e1", true).say(5_100, &switch(), Feed::Hep, end);
            two.tick(5_100 + ALONE_MS).one(&format!("{join:?} {order:?}"));
            two.tick(70_000 + ALONE_MS);
            assert_eq!(two.desk.book.counts().0, 0);
            assert!(two.desk.book.boards.values().all(|board| board.keys.is_empty()), "a key is left");
        }
    }
}
