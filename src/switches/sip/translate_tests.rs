//! What a site's phones do, told by NOTIFYs of each, and the calls that the book makes of it. What a real switch told is in `tests/dialog_events.rs`.

use std::{collections::HashMap, sync::Arc};

use crate::{
    calls::{
        Book, Record, What,
        book::{Rules, Settings},
        directory::{Agent, Directory},
        edges::Pair,
        event::{Event, Feed, Said},
        record::{Direction, End, EndedBy, Outcome, Quality, SegmentOutcome},
    },
    numbers::{Class, Plan, TrunkMap},
    words::{Mono, Now, SwitchId, Wall},
};

use super::{
    dialogs::{Dialogs, Notify, Standing},
    translate::{Ours, Translator},
};

/// A site with agents 1001 to 1003, each watched by a subscription of its own.
struct Site {
    dialogs: Dialogs,
    translator: Translator,
    book: Book,
    now: Wall,
    records: Vec<Record>,
}

impl Site {
    fn new() -> Self {
        let agents = ["1001", "1002", "1003"].map(|id| Agent::new(id).at(&[id]));
        let rules = Rules {
            tenant: "default".into(),
            zone: None,
            plan: Plan::new("CN", Some("10")),
            trunks: vec!["trunk*".to_owned()],
            internal: vec!["600".to_owned()],
            attributes: Arc::default(),
            out: Arc::default(),
            pair: Pair::default(),
            mirror: None,
        };
        let settings = Settings {
            directory: Arc::new(Directory::new(agents.to_vec())),
            trunks: TrunkMap::default().into(),
            switches: HashMap::from([(switch(), rules)]),
            arrival_times: false,
        };
        let ours = Ours::of(&settings, &switch()).unwrap();
        let mut site = Self {
            dialogs: Dialogs::default(),
            translator: Translator::new(ours),
            book: Book::new(settings),
            now: Wall(1_795_347_038_000),
            records: Vec::new(),
        };
        for user in ["1001", "1002", "1003"] {
            site.body(user, "");
        }
        site
    }

    /// A NOTIFY of `user`'s with one dialog, a tenth of a second after the last.
    fn tell(&mut self, user: &str, id: &str, direction: &str, remote: &str, local: &str, state: &str) -> &mut Self {
        let body = format!(
            "<dialog-info state='partial' entity='sip:{user}@x'><dialog id='{id}' call-id='{id}' direction='{direction}'>\
             <state>{state}</state><remote><identity>sip:{remote}@x</identity></remote>\
             <local><identity>sip:{local}@x</identity></local></dialog></dialog-info>"
        );
        self.body(user, &body)
    }

    fn body(&mut self, user: &str, body: &str) -> &mut Self {
        let entity = format!("sip:{user}@x");
        let n = Notify {
            subscription: user,
            entity: &entity,
            cseq: None,
            standing: Standing::Active,
            content_type: Some("application/dialog-info+xml").filter(|_| !body.is_empty()),
            body: body.as_bytes(),
        };
        let Self { dialogs, translator, now, .. } = self;
        dialogs.notify(*now, &n, &mut |change| translator.change(*now, &change));
        self.now = self.now.plus_ms(100);
        let events = self.translator.take();
        self.hear(events)
    }

    fn hear(&mut self, events: Vec<Event>) -> &mut Self {
        for event in events {
            let now = Now { wall: self.now, mono: Mono(u64::try_from(self.now.0).unwrap() * 1000) };
            self.book.take(now, &switch(), Feed::Sip, event);
        }
        while let Some(change) = self.book.next_change() {
            if matches!(change.what, What::Ended) {
                self.records.extend(self.book.record(change.call));
            }
        }
        self
    }

    fn open(&self) -> usize {
        self.book.open_calls().count()
    }
}

fn switch() -> SwitchId {
    "pbx1".into()
}

const N: &str = "13800138000";
const DID: &str = "+861085551001";

#[test]
fn two_of_us_through_a_back_to_back_user_agent_are_one_call() {
    for swapped in [false, true] {
        let mut site = Site::new();
        for state in ["early", "confirmed", "terminated"] {
            let mut halves = [("1001", "a", "initiator", "1002"), ("1002", "b", "recipient", "1001")];
            if swapped {
                halves.reverse();
            }
            for (user, id, direction, remote) in halves {
                site.tell(user, id, direction, remote, user, state);
            }
        }
        let [record] = site.records.as_slice() else { panic!("{swapped} {:#?}", site.records) };
        assert_eq!((record.direction, record.outcome), (Some(Direction::Internal), Some(Outcome::Answered)));
        assert_eq!((record.parties.len(), site.open()), (2, 0));
    }
}

#[test]
fn who_withholds_the_number_is_anonymous() {
    let mut site = Site::new();
    site.tell("1001", "a", "recipient", "anonymous", DID, "early");
    site.tell("1001", "a", "recipient", "anonymous", DID, "terminated");
    let customer = site.records[0].customer.as_ref().unwrap();
    assert_eq!((customer.class, customer.withheld, customer.raw.is_none()), (Some(Class::Anonymous), Some(true), true));
    assert_eq!(site.records[0].direction, Some(Direction::Inbound));
}

#[test]
fn one_caller_at_two_extensions_is_one_call_and_at_two_dids_two() {
    let mut site = Site::new();
    site.tell("1001", "a", "recipient", N, "1001", "early").tell("1002", "b", "recipient", N, "1002", "early");
    assert_eq!(site.open(), 1);
    site.tell("1002", "b", "recipient", N, "1002", "confirmed").tell("1001", "a", "recipient", N, "1001", "terminated");
    site.tell("1002", "b", "recipient", N, "1002", "terminated");
    let [record] = site.records.as_slice() else { panic!("{:#?}", site.records) };
    assert_eq!(record.first_agent.as_ref().unwrap().as_str(), "1002");
    assert_eq!(record.transfers.as_deref(), Some(&[][..]));
    let ring = record.segments.iter().find(|s| s.agent.as_ref().is_some_and(|a| a.as_str() == "1001")).unwrap();
    assert_eq!(ring.outcome, Some(SegmentOutcome::Elsewhere));

    let mut site = Site::new();
    site.tell("1001", "a", "recipient", N, DID, "confirmed").tell(
        "1002",
        "b",
        "recipient",
        N,
        "+861085551002",
        "early",
    );
    assert_eq!(site.open(), 2);
    // Nor is a caller without a number anybody else who has none.
    let mut site = Site::new();
    site.tell("1001", "a", "recipient", "anonymous", "1001", "confirmed");
    site.tell("1002", "b", "recipient", "anonymous", "1002", "early");
    assert_eq!(site.open(), 2);
}

#[test]
fn the_customer_of_an_outbound_call_is_handed_on_too() {
    let mut site = Site::new();
    site.tell("1001", "a", "initiator", "013800138000", "1001", "early");
    site.tell("1001", "a", "initiator", "013800138000", "1001", "confirmed");
    site.tell("1002", "b", "recipient", "+8613800138000", "1002", "early");
    site.tell("1002", "b", "recipient", "+8613800138000", "1002", "confirmed");
    site.tell("1001", "a", "initiator", "013800138000", "1001", "terminated");
    assert_eq!((site.open(), site.records.len()), (1, 0));
    site.tell("1002", "b", "recipient", "+8613800138000", "1002", "terminated");
    let [record] = site.records.as_slice() else { panic!("{:#?}", site.records) };
    assert_eq!((record.direction, record.outcome), (Some(Direction::Outbound), Some(Outcome::Answered)));
    let agents: Vec<&str> = record.agents.as_ref().unwrap().iter().map(|a| a.as_str()).collect();
    assert_eq!(agents, ["1001", "1002"]);
    let transfers = record.transfers.as_ref().unwrap();
    assert_eq!((transfers.len(), transfers[0].certain), (1, false));
}

#[test]
fn a_customer_who_comes_back_from_an_unanswered_transfer_is_still_there() {
    let mut site = Site::new();
    site.tell("1001", "a", "recipient", N, DID, "confirmed").tell("1002", "b", "recipient", N, "1002", "early");
    site.tell("1002", "b", "recipient", N, "1002", "terminated");
    assert_eq!((site.open(), site.records.len()), (1, 0));
    site.tell("1001", "a", "recipient", N, DID, "terminated");
    let record = &site.records[0];
    assert_eq!((record.talk_ms, record.transfers.as_ref().unwrap().len()), (Some(300), 0));
}

#[test]
fn what_the_notifier_says_of_the_end_is_believed() {
    let end = |event: &str, answered: bool| {
        let mut site = Site::new();
        site.tell("1001", "a", "recipient", N, DID, "early");
        if answered {
            site.tell("1001", "a", "recipient", N, DID, "confirmed");
        }
        let body = format!(
            "<dialog-info version='99' state='partial' entity='sip:1001@x'><dialog id='a' call-id='a'><state {event}>terminated</state>\
             </dialog></dialog-info>"
        );
        site.body("1001", &body);
        let record = &site.records[0];
        (record.outcome.unwrap(), record.ended_by, record.cause.as_ref().and_then(|c| c.q850))
    };
    assert_eq!(end("", true), (Outcome::Answered, None, None));
    assert_eq!(end("event='remote-bye'", true), (Outcome::Answered, Some(EndedBy::Customer), None));
    assert_eq!(end("event='local-bye'", true), (Outcome::Answered, Some(EndedBy::Agent), None));
    assert_eq!(end("", false), (Outcome::Unanswered, None, None));
    assert_eq!(end("event='cancelled'", false), (Outcome::Abandoned, Some(EndedBy::Customer), None));
    assert_eq!(end("code='487'", false), (Outcome::Abandoned, Some(EndedBy::Customer), None));
    assert_eq!(end("event='rejected' code='603'", false), (Outcome::Rejected, Some(EndedBy::Agent), Some(21)));
    assert_eq!(end("event='timeout'", false), (Outcome::Unanswered, None, None));
    assert_eq!(end("event='error'", false), (Outcome::Unanswered, None, None));
}

#[test]
fn a_call_that_was_there_before_us_has_no_answer_and_no_length() {
    let mut site = Site::new();
    site.dialogs.lost("1001", &mut |_| {});
    site.tell("1001", "a", "recipient", N, DID, "confirmed");
    assert_eq!(site.open(), 1);
    site.tell("1001", "a", "recipient", N, DID, "terminated");
    let record = &site.records[0];
    assert_eq!((record.outcome, record.answered_at, record.talk_ms), (Some(Outcome::Answered), None, None));
    assert_eq!((record.quality, record.end), (Quality::Estimated, End::Seen));
}

/// After a restart of ours the book knows calls from the store, and the phones tell what there is now.
#[test]
fn a_snapshot_goes_on_with_what_lives_and_loses_the_rest() {
    let mut before = Site::new();
    before.tell("1001", "a", "recipient", N, DID, "confirmed").tell(
        "1002",
        "b",
        "recipient",
        "02161234567",
        DID,
        "confirmed",
    );
    let open: Vec<_> = before.book.open_calls().map(|face| face.call).collect();
    let kept: Vec<_> = open.iter().filter_map(|call| before.book.checkpoint(*call)).collect();
    assert_eq!(kept.len(), 2);
    let mut site = Site::new();
    site.dialogs.lost("1001", &mut |_| {});
    site.book.restore(kept);
    site.tell("1001", "a", "recipient", N, DID, "confirmed");
    let mut snapshot = site.translator.snapshot();
    // All that are watched have told.
    snapshot.asked = Some(Mono(u64::MAX));
    let mut snapshot = site.translator.snapshot();
    // All that are watched have told.
    snapshot.asked = Some(Mono(u64::MAX));
    assert_eq!((snapshot.legs.len(), snapshot.bridges.len()), (2, 1));
    site.hear(vec![Event { at: None, said: Said::Snapshot(snapshot) }]);
    assert_eq!((site.open(), site.records.len()), (1, 1));
    assert_eq!(site.records[0].end, End::Lost);
    assert!(open.contains(&site.book.open_calls().next().unwrap().call));
    site.tell("1001", "a", "recipient", N, DID, "terminated");
    assert_eq!((site.open(), site.records[1].outcome), (0, Some(Outcome::Answered)));
}

#[test]
fn nothing_is_kept_of_what_is_over() {
    let mut site = Site::new();
    for n in 0..2_000 {
        let id = format!("c{n}");
        for state in ["early", "confirmed", "terminated"] {
            site.tell("1001", &id, "recipient", N, DID, state);
        }
    }
    assert_eq!(site.open(), 0);
    assert!(site.translator.held() < 500, "{}", site.translator.held());
    assert_eq!(site.records.len(), 2_000);
}
