//! What only the signalling itself tells: a party that calls anew, parts that were not heard, every place of a dialled number.

use super::*;
use crate::{calls::record::PartyRole, numbers::trunks::Source};

fn sip(id: &str) -> Leg {
    let user = id.rsplit_once('/').map_or(id, |(_, user)| user);
    let name = format!("PJSIP/{}", if user == "caller" { "trunk" } else { user });
    Leg { id: id.to_owned(), name, linked: None, sip_call_id: id.split_once('/').map(|(call, _)| call.to_owned()) }
}

fn comes(id: &str) -> Said {
    let caller = Caller { number: Some("13800138000".into()), name: None };
    Said::NewLeg { leg: sip(id), state: LegState::Calling, caller, dialled: None, places: Vec::new(), created: None }
}

fn called(by: &str, to: &str) -> [Said; 2] {
    let caller = Caller::default();
    let leg = sip(to);
    [
        Said::NewLeg { leg, state: LegState::Down, caller, dialled: None, places: Vec::new(), created: None },
        Said::DialBegin { by: Some(sip(by)), to: sip(to), dialled: None, presented: None },
    ]
}

fn answers(by: &str, to: &str, bridge: &str) -> [Said; 3] {
    let enter = |id: &str| Said::BridgeEnter { leg: sip(id), bridge: bridge.to_owned(), kind: BridgeKind::Mixing };
    [Said::DialEnd { by: Some(sip(by)), to: sip(to), status: DialStatus::Answer }, enter(to), enter(by)]
}

fn hang_up(id: &str) -> Said {
    Said::Hangup { leg: sip(id), cause: Some(16), text: None }
}

fn same() -> Said {
    Said::Same { leg: sip("a/caller"), also: sip("b/caller") }
}

impl Desk {
    fn all(&mut self, seconds: u64, feed: Feed, said: impl IntoIterator<Item = Said>) -> &mut Self {
        for one in said {
            self.heard(seconds, feed, one);
        }
        self
    }

    /// A customer talks with 1001, since 2.
    fn with_1001(&mut self) -> &mut Self {
        self.heard(0, Feed::Hep, comes("a/caller")).all(1, Feed::Hep, called("a/caller", "a/1001")).all(
            2,
            Feed::Hep,
            answers("a/caller", "a/1001", "a"),
        )
    }
}

/// 1001 hands the customer to 1002, with whom they talk from 6 to 9.
fn transferred(early: bool, dialogs: bool) -> (Desk, CallId) {
    let mut desk = Desk::new();
    desk.with_1001();
    let id = desk.only();
    let by = sip("a/1001");
    let transfer = Said::BlindTransfer { by, customer: Some(sip("a/caller")), to: Some("1002".into()), success: true };
    if early {
        desk.heard(4, Feed::Hep, same());
    }
    let teller = if dialogs { Feed::Sip } else { Feed::Hep };
    desk.heard(4, teller, comes("b/caller"));
    desk.all(5, teller, called("b/caller", "b/1002"));
    if !early {
        desk.heard(5, Feed::Hep, same());
    }
    let leave = |id: &str| Said::BridgeLeave { leg: sip(id), bridge: "a".to_owned() };
    desk.all(5, Feed::Hep, [leave("a/1001"), leave("a/caller"), transfer]).all(
        6,
        Feed::Hep,
        answers("b/caller", "b/1002", "b"),
    );
    (desk, id)
}

#[test]
fn a_party_that_calls_anew_is_one_leg_however_late_that_is_known() {
    for (early, dialogs) in [(true, false), (false, false), (true, true), (false, true)] {
        let (mut desk, id) = transferred(early, dialogs);
        // The first dialog ends while the customer talks in the second.
        desk.heard(7, Feed::Hep, hang_up("a/1001"));
        if dialogs {
            desk.heard(7, Feed::Sip, hang_up("a/caller"));
        }
        assert_eq!(desk.only(), id);
        let asked = Said::HangupRequest { leg: sip("b/caller"), cause: None };
        desk.heard(9, Feed::Hep, asked).heard(9, Feed::Hep, hang_up("b/caller")).heard(9, Feed::Hep, hang_up("b/1002"));
        let record = desk.book.record(id).unwrap();
        assert_eq!(record.agents, Some(vec!["1001".into(), "1002".into()]), "{early} {dialogs}");
        assert_eq!(record.ended_by, Some(crate::calls::record::EndedBy::Customer), "{early} {dialogs}");
        assert_eq!(record.talk_ms, Some(3000 + 3000), "{early} {dialogs}: {record:?}");
        assert_eq!(record.parties.iter().filter(|p| p.role == PartyRole::Customer).count(), 1);
        assert_eq!(record.parties.len(), 3, "{early} {dialogs}");
        let known = |value: &str| record.ids.iter().any(|id| id.kind == "sip-call-id" && id.value == value);
        assert!(known("a") && known("b"));
        desk.book.tick(at(10 + KEEP_MS / 1000));
        assert_eq!(desk.book.counts().0, 0, "a leg is left");
    }
}

#[test]
fn a_party_of_two_ids_survives_a_restart() {
    let (desk, id) = transferred(true, false);
    let checkpoint = desk.book.checkpoint(id).unwrap();
    let mut desk = Desk::new();
    desk.book.restore(vec![checkpoint]);
    desk.heard(9, Feed::Hep, hang_up("b/caller")).heard(9, Feed::Hep, hang_up("b/1002"));
    desk.heard(9, Feed::Hep, hang_up("a/1001"));
    assert_eq!(desk.book.record(id).unwrap().end, End::Seen);
}

#[test]
fn what_was_not_heard_makes_an_estimate_and_a_leg_that_is_gone_a_lost_call() {
    let mut desk = Desk::new();
    desk.with_1001().heard(2, Feed::Hep, Said::Unseen { leg: sip("a/caller"), answer: false });
    let id = desk.only();
    desk.heard(5, Feed::Hep, hang_up("a/caller")).heard(5, Feed::Hep, hang_up("a/1001"));
    let record = desk.book.record(id).unwrap();
    assert_eq!((record.quality, record.talk_ms), (Quality::Estimated, Some(3000)));

    let mut desk = Desk::new();
    desk.with_1001().heard(2, Feed::Hep, Said::Unseen { leg: sip("a/1001"), answer: true });
    let id = desk.only();
    desk.heard(50, Feed::Hep, Said::Gone { leg: sip("a/1001") }).heard(
        50,
        Feed::Hep,
        Said::Gone { leg: sip("a/caller") },
    );
    let record = desk.book.record(id).unwrap();
    assert_eq!((record.end, record.outcome, record.answered_at), (End::Lost, Some(Outcome::Answered), None));
    assert_eq!(record.ended_at, Some(at(2).wall));
}

#[test]
fn the_mirror_gives_who_and_why_of_an_end_that_dialog_events_told_first() {
    let mut desk = Desk::new();
    desk.with_1001();
    let id = desk.only();
    let end = |id: &str, cause| Said::Hangup { leg: sip(id), cause, text: None };
    desk.all(5, Feed::Sip, [end("a/caller", None), end("a/1001", None)]);
    let told = |desk: &Desk| {
        let record = desk.book.record(id).unwrap();
        (record.ended_by, record.cause.and_then(|cause| cause.q850))
    };
    // Not the application, for nobody could have told who it was.
    assert_eq!(told(&desk), (None, None));
    desk.heard(5, Feed::Hep, Said::HangupRequest { leg: sip("a/caller"), cause: None });
    desk.all(5, Feed::Hep, [end("a/1001", Some(16)), end("a/caller", Some(16))]);
    assert_eq!(told(&desk), (Some(crate::calls::record::EndedBy::Customer), Some(16)));
    // The first reason counts.
    desk.heard(6, Feed::Sip, end("a/caller", Some(31)));
    assert_eq!(told(&desk).1, Some(16));
}

#[test]
fn a_header_is_an_attribute_by_its_name_in_any_case() {
    let mut settings = settings();
    let mapping =
        crate::files::read::<Mapping>("x.yaml", "{name: ivr.tier, from: {sip-header: X-Tier}}").unwrap().value;
    for rules in settings.switches.values_mut() {
        rules.attributes = Arc::new(Attributes { list: vec![mapping.clone()], recordings: None });
    }
    let mut desk = Desk { book: Book::new(settings), said: Vec::new() };
    let told = |name: &str, value: &str| Said::Variable {
        leg: sip("a/caller"),
        name: name.to_owned(),
        value: value.as_bytes().to_vec().into(),
    };
    desk.with_1001().heard(2, Feed::Hep, told("X-Tier", "no header")).heard(2, Feed::Hep, told("sip:x-tier", "gold"));
    let id = desk.only();
    assert_eq!(desk.book.face(id).unwrap().attributes.get("ivr.tier").map(|v| v.expose().as_str()), Some("gold"));
}

/// The trunk's row decides which of them is the dialled number, and it is said which that was.
#[test]
fn a_row_finds_the_dialled_number_in_its_place_of_the_signalling() {
    let rows = "rows:\n  - {trunk: trunk, dialled_from: [diversion, request-uri], dialled: '4008001234', title: Hotline}\n  - {dialled: '95533', title: Short}\n  - {dialled_from: [to], title: Rest}\n";
    let file = crate::files::read::<crate::numbers::trunks::TrunksFile>("trunks.yaml", rows).unwrap().value;
    let mut settings = settings();
    settings.trunks = Arc::new(TrunkMap::new(file.rows, &Plan::new("CN", Some("21"))));
    let call = |places: &[(Source, &str)]| {
        let mut desk = Desk { book: Book::new(settings.clone()), said: Vec::new() };
        let places: Vec<_> = places.iter().map(|(place, n)| (place.clone(), (*n).into())).collect();
        let dialled = places.first().map(|(_, n): &(Source, crate::private::Private<String>)| n.clone());
        let (leg, caller) = (sip("a/caller"), Caller::default());
        desk.heard(
            0,
            Feed::Hep,
            Said::NewLeg { leg, state: LegState::Calling, caller, dialled, places, created: None },
        );
        let face = desk.book.face(desk.only()).unwrap();
        let dialled = face.dialled.as_ref().and_then(|d| d.key()).unwrap_or_default().to_owned();
        (face.line.as_ref().unwrap().title.clone().unwrap(), dialled, face.dialled_in.as_ref().map(Source::word))
    };
    let told = |title: &str, key: &str, place: &str| (title.to_owned(), key.to_owned(), Some(place.to_owned()));
    let (history, diversion, uri, to) = (Source::HistoryInfo, Source::Diversion, Source::RequestUri, Source::To);
    assert_eq!(
        call(&[(diversion.clone(), "4008001234"), (uri.clone(), "8000"), (to.clone(), "02161234567")]),
        told("Hotline", "+864008001234", "diversion")
    );
    assert_eq!(
        call(&[(uri.clone(), "4008001234"), (to.clone(), "1")]),
        told("Hotline", "+864008001234", "request-uri")
    );
    // Without a word of the row what is believed first counts, and is named.
    assert_eq!(
        call(&[(history, "95533"), (uri.clone(), "8000"), (to.clone(), "1")]),
        told("Short", "95533", "history-info")
    );
    assert_eq!(call(&[(uri, "8000"), (to, "02161234567")]), told("Rest", "+862161234567", "to"));
}
