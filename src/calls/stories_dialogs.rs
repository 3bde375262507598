//! What the book makes of a call that only dialog events told, and what changes when another feed tells of it too.

use super::*;
use crate::calls::record::{Direction, EndedBy, SegmentOutcome};

fn sip(id: &str, user: &str) -> Leg {
    Leg { id: id.to_owned(), name: format!("PJSIP/{user}"), linked: None, sip_call_id: Some("x".to_owned()) }
}

fn sip_leg(id: &str, user: &str, state: LegState) -> Said {
    let caller = Caller { number: Some("13800138000".into()), name: None };
    Said::NewLeg { leg: sip(id, user), state, caller, dialled: None, places: Vec::new(), created: None }
}

fn hang_up(id: &str) -> Said {
    Said::Hangup { leg: sip(id, ""), cause: None, text: None }
}

impl Desk {
    /// A customer rings at 1001; told by `feed`.
    fn offered(&mut self, feed: Feed) -> &mut Self {
        let dial = Said::DialBegin {
            by: Some(sip("x/caller", "trunk")),
            to: sip("x/1001", "1001"),
            dialled: Some("1001".into()),
            presented: None,
        };
        self.heard(0, feed, sip_leg("x/caller", "trunk", LegState::Calling))
            .heard(0, feed, sip_leg("x/1001", "1001", LegState::Down))
            .heard(0, feed, dial)
            .heard(1, feed, Said::State { leg: sip("x/1001", "1001"), state: LegState::Ringing })
    }

    fn taken(&mut self, feed: Feed) -> &mut Self {
        let (by, to) = (Some(sip("x/caller", "trunk")), sip("x/1001", "1001"));
        let enter = |id: &str| Said::BridgeEnter { leg: sip(id, ""), bridge: "x".into(), kind: BridgeKind::Mixing };
        self.heard(3, feed, Said::DialEnd { by, to, status: DialStatus::Answer }).heard(3, feed, enter("x/1001")).heard(
            3,
            feed,
            enter("x/caller"),
        )
    }

    fn over(&mut self, feed: Feed) -> &mut Self {
        self.heard(9, feed, hang_up("x/1001")).heard(9, feed, hang_up("x/caller"))
    }
}

#[test]
fn what_dialog_events_cannot_tell_is_absent() {
    for (feeds, alone) in [(&[Feed::Sip][..], true), (&[Feed::Sip, Feed::Hep], false)] {
        let mut desk = Desk::new();
        feeds.iter().for_each(|feed| {
            desk.offered(*feed);
        });
        let id = desk.only();
        feeds.iter().for_each(|feed| {
            desk.taken(*feed).over(*feed);
        });
        let record = desk.book.record(id).unwrap();
        assert_eq!((record.outcome, record.talk_ms, record.ring_ms), (Some(Outcome::Answered), Some(6000), Some(2000)));
        assert_eq!(
            (record.ended_by, record.hold_ms),
            if alone { (None, None) } else { (Some(EndedBy::Application), Some(0)) }
        );

        let mut desk = Desk::new();
        feeds.iter().for_each(|feed| {
            desk.offered(*feed);
        });
        let id = desk.only();
        feeds.iter().for_each(|feed| {
            desk.over(*feed);
        });
        let record = desk.book.record(id).unwrap();
        let ring = record.segments.iter().find(|s| s.agent.is_some()).unwrap();
        assert_eq!((record.outcome, record.ended_by.is_none()), (Some(Outcome::Unanswered), alone));
        assert_eq!(ring.outcome, if alone { None } else { Some(SegmentOutcome::Cancelled) });
    }
}

#[test]
fn who_is_found_was_there_before_and_nobody_else_is_lost() {
    let mut desk = Desk::new();
    desk.offered(Feed::Sip);
    let first = desk.only();
    let found = |id: &str, user: &str, application: &str| {
        Said::Found(SnapshotLeg { leg: sip(id, user), ..listed("", "", application, "") })
    };
    let enter = |id: &str| Said::BridgeEnter { leg: sip(id, ""), bridge: "y".into(), kind: BridgeKind::Mixing };
    desk.heard(5, Feed::Sip, found("y/caller", "trunk", ""))
        .heard(5, Feed::Sip, found("y/1002", "1002", "AppDial"))
        .heard(5, Feed::Sip, enter("y/1002"))
        .heard(5, Feed::Sip, enter("y/caller"));
    assert_eq!(desk.book.open_calls().count(), 2);
    let second = desk.book.open_calls().map(|f| f.call).find(|call| *call != first).unwrap();
    desk.heard(9, Feed::Sip, hang_up("y/1002")).heard(9, Feed::Sip, hang_up("y/caller"));
    let record = desk.book.record(second).unwrap();
    assert_eq!((record.direction, record.outcome), (Some(Direction::Inbound), Some(Outcome::Answered)));
    assert_eq!((record.answered_at, record.talk_ms, record.quality), (None, None, Quality::Estimated));
}

#[test]
fn a_doubt_counts_unless_another_feed_watches() {
    let doubt = || Said::Doubt { leg: sip("x/1001", "1001") };
    for (feeds, outcome, quality) in [
        (&[Feed::Sip][..], None, Quality::Estimated),
        (&[Feed::Sip, Feed::Hep], Some(Outcome::Unanswered), Quality::Exact),
    ] {
        let mut desk = Desk::new();
        feeds.iter().for_each(|feed| {
            desk.offered(*feed);
        });
        let id = desk.only();
        desk.heard(2, Feed::Sip, doubt()).over(Feed::Sip);
        let record = desk.book.record(id).unwrap();
        assert_eq!((record.outcome, record.quality, record.end), (outcome, quality, End::Seen), "{feeds:?}");
        // Whether it was answered meanwhile nobody knows.
        assert_eq!(record.talk_ms, outcome.map(|_| 0));
    }
}

#[test]
fn what_is_gone_is_lost_unless_another_feed_watches() {
    let gone = |id: &str| Said::Gone { leg: sip(id, "") };
    let mut desk = Desk::new();
    let id = desk.offered(Feed::Sip).taken(Feed::Sip).only();
    desk.heard(9, Feed::Sip, gone("x/1001")).heard(9, Feed::Sip, gone("x/caller"));
    let record = desk.book.record(id).unwrap();
    assert_eq!((record.end, record.outcome, record.ended_by), (End::Lost, Some(Outcome::Answered), None));

    let mut desk = Desk::new();
    let id = desk.offered(Feed::Hep).offered(Feed::Sip).taken(Feed::Hep).only();
    desk.heard(5, Feed::Sip, gone("x/1001")).heard(5, Feed::Sip, gone("x/caller"));
    assert_eq!(desk.only(), id);
    desk.over(Feed::Hep);
    assert_eq!(desk.book.record(id).unwrap().end, End::Seen);
    // Nor is a feed a witness that was lost itself.
    let mut desk = Desk::new();
    let id = desk.offered(Feed::Hep).offered(Feed::Sip).taken(Feed::Hep).only();
    desk.heard(4, Feed::Hep, Said::LinkLost { feed: Feed::Hep });
    desk.heard(5, Feed::Sip, gone("x/1001")).heard(5, Feed::Sip, gone("x/caller"));
    assert_eq!(desk.book.record(id).unwrap().end, End::Lost);
}

#[test]
fn somebody_of_whom_nothing_is_known_is_no_customer() {
    let mut desk = Desk::new();
    let caller = Said::NewLeg {
        leg: Leg { id: "x/caller".into(), name: "SIP/".into(), ..Leg::default() },
        state: LegState::Calling,
        caller: Caller::default(),
        dialled: None,
        places: Vec::new(),
        created: None,
    };
    desk.heard(0, Feed::Sip, caller).offered(Feed::Sip);
    let id = desk.only();
    assert!(desk.news().iter().any(|w| matches!(w, What::Offered(offer) if offer.agent.as_str() == "1001")));
    let record = desk.taken(Feed::Sip).over(Feed::Sip).book.record(id).unwrap();
    assert_eq!((record.direction, record.outcome, record.customer), (None, Some(Outcome::Answered), None));
    assert_eq!((record.trunk, record.ring_ms, record.talk_ms), (None, Some(2000), Some(6000)));
    assert_eq!(record.parties.iter().filter(|p| p.device.is_none()).count(), 1);
}
