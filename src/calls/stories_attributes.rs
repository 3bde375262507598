//! Attributes and recordings from first word to record: transfers, merges, two feeds, restarts, agents who write.

use super::*;

fn wish(leg_id: &str, text: &str) -> Said {
    let headers = vec![
        ("Channel".to_owned(), b"PJSIP/x".to_vec().into()),
        ("text".to_owned(), text.as_bytes().to_vec().into()),
        ("Other".to_owned(), b"not mapped".to_vec().into()),
    ];
    Said::UserEvent { leg: leg(leg_id, ""), event: "Wish".into(), headers }
}

fn key(leg_id: &str, digit: char, context: &str) -> Said {
    let place = Place { context: Some(context.into()), exten: Some("s".into()), priority: Some(7) };
    Said::Digit { leg: leg(leg_id, ""), digit: digit.into(), place }
}

fn entered() -> Desk {
    let mut desk = Desk::new();
    desk.take(0, new_leg("100.1", "PJSIP/trunk-1", LegState::Calling, "13800138000", "4008001234"));
    desk
}

fn shown(desk: &Desk, id: CallId) -> Vec<(String, String)> {
    let face = desk.book.face(id).unwrap();
    face.attributes.iter().map(|(name, value)| (name.clone(), value.expose().clone())).collect()
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn what_the_ivr_collected_is_there_before_the_phone_rings_and_stays_to_the_record() {
    let mut desk = entered();
    let id = desk.only();
    for (n, digit) in "8642#".chars().enumerate() {
        desk.take(1 + n as u64, key("100.1", digit, "ivr"));
    }
    desk.take(6, key("100.1", '9', "somewhere-else"));
    desk.take(6, variable("100.1", "CTI_ACCOUNT", "8642")).take(6, wish("100.1", "1cXI/Q=="));
    desk.take(6, variable("100.1", "NOBODY_ASKED", "for it"));
    let all = [pair("ivr.account", "8642"), pair("ivr.keyed", "8642"), pair("ivr.wish", "张三")];
    assert_eq!(shown(&desk, id), all);
    assert_eq!(desk.book.face(id).unwrap().account, Some("8642".into()));
    desk.news();
    // Told again by the other feed, nothing is new.
    desk.heard(6, Feed::Ari, variable("100.1", "CTI_ACCOUNT", "8642"));
    assert_eq!(desk.news(), []);
    // A queue, a phone, a blind transfer to a colleague.
    desk.take(7, Said::QueueJoin { leg: leg("100.1", ""), queue: "support".into() })
        .take(8, new_leg("100.2", "PJSIP/1001-2", LegState::Down, "1001", "s"))
        .take(8, dial(Some(("100.1", "PJSIP/trunk-1")), ("100.2", "PJSIP/1001-2"), "PJSIP/1001"))
        .take(8, Said::State { leg: leg("100.2", ""), state: LegState::Ringing });
    assert!(desk.news().iter().any(|w| matches!(w, What::Offered(_))));
    assert_eq!(shown(&desk, id), all, "they precede the ring");
    desk.take(9, Said::State { leg: leg("100.2", ""), state: LegState::Up })
        .take(9, enter("100.2", "", "b1"))
        .take(9, enter("100.1", "", "b1"))
        .take(12, key("100.1", '7', "ivr"))
        .take(
            13,
            Said::BlindTransfer {
                by: leg("100.2", ""),
                customer: Some(leg("100.1", "")),
                to: Some("1002".into()),
                success: true,
            },
        )
        .take(13, gone("100.2", "", 16))
        .take(14, new_leg("100.3", "PJSIP/1002-3", LegState::Down, "1002", "s"))
        .take(14, dial(Some(("100.1", "")), ("100.3", "PJSIP/1002-3"), "PJSIP/1002"))
        .take(15, Said::State { leg: leg("100.3", ""), state: LegState::Up })
        .take(15, enter("100.3", "", "b2"))
        .take(15, enter("100.1", "", "b2"))
        .take(20, gone("100.1", "", 16))
        .take(20, gone("100.3", "", 16));
    let record = desk.book.record(id).unwrap();
    let written: Vec<_> = record.attributes.iter().map(|(n, v)| pair(n, v.expose())).collect();
    assert_eq!(written, all);
    assert!(record.attribute_faults.is_empty());
}

#[test]
fn what_does_not_decode_or_fit_is_kept_and_marked_and_drives_no_lookup() {
    let mut desk = entered();
    let id = desk.only();
    desk.take(1, variable("100.1", "CTI_ACCOUNT", "86-42")).take(1, wish("100.1", "{{ not base64 }}"));
    let face = desk.book.face(id).unwrap();
    assert_eq!(face.account, None);
    let faults = [("ivr.account".to_owned(), Fault::Misfit), ("ivr.wish".to_owned(), Fault::Undecoded)];
    assert_eq!(face.faults.clone().into_iter().collect::<Vec<_>>(), faults);
    assert_eq!(shown(&desk, id), [pair("ivr.account", "86-42"), pair("ivr.wish", "{{ not base64 }}")]);
    desk.take(2, variable("100.1", "CTI_ACCOUNT", "1234567890123"));
    assert_eq!(desk.book.face(id).unwrap().faults["ivr.account"], Fault::Cut);
    assert_eq!(desk.book.face(id).unwrap().account, None, "a part of an account is another account");
    desk.take(3, variable("100.1", "CTI_ACCOUNT", "8642"));
    assert_eq!(desk.book.face(id).unwrap().account, Some("8642".into()));
    assert_eq!(desk.book.face(id).unwrap().faults.len(), 1);
    // Empty says nothing.
    desk.take(4, variable("100.1", "CTI_ACCOUNT", ""));
    assert_eq!(shown(&desk, id)[0], pair("ivr.account", "8642"));
}

#[test]
fn a_secret_is_looked_up_by_and_is_nowhere_else() {
    let mut desk = entered();
    let id = desk.only();
    desk.take(1, variable("100.1", "CARD", "6222020000000000"));
    let face = desk.book.face(id).unwrap();
    assert_eq!(face.account, Some("6222020000000000".into()));
    assert!(face.attributes.is_empty());
    let kept = serde_json::to_string(&desk.book.checkpoint(id).unwrap()).unwrap();
    let shown = format!("{face:?}") + &format!("{:?}", desk.said);
    for (n, digit) in "77#".chars().enumerate() {
        desk.take(2 + n as u64, key("100.1", digit, "elsewhere"));
    }
    let keys = serde_json::to_string(&desk.book.checkpoint(id).unwrap()).unwrap();
    desk.take(9, gone("100.1", "PJSIP/trunk-1", 16));
    let record = serde_json::to_string(&desk.book.record(id).unwrap()).unwrap();
    for text in [&kept, &shown, &record, &keys] {
        assert!(!text.contains("6222020000000000") && !text.contains("\"keys\""), "{text}");
    }
}

#[test]
fn keys_after_a_hole_make_no_value_because_some_may_be_missing() {
    for hole in [Said::Gap { feed: Feed::Ami }, Said::LinkLost { feed: Feed::Ami }] {
        let mut desk = entered();
        let id = desk.only();
        desk.take(1, key("100.1", '8', "ivr")).take(1, key("100.1", '6', "ivr")).take(2, hole);
        desk.take(3, key("100.1", '4', "ivr")).take(4, key("100.1", '#', "ivr"));
        desk.take(5, Said::QueueJoin { leg: leg("100.1", ""), queue: "support".into() });
        assert_eq!(shown(&desk, id), []);
    }
    let mut desk = entered();
    desk.take(1, key("100.1", '8', "ivr"));
    let checkpoint = desk.book.checkpoint(desk.only()).unwrap();
    let mut again = Desk::new();
    again.book.restore(vec![checkpoint]);
    let id = again.only();
    again.take(2, key("100.1", '6', "ivr")).take(3, key("100.1", '#', "ivr"));
    assert_eq!(shown(&again, id), []);
}

#[test]
fn of_two_calls_that_become_one_the_newest_word_counts_whichever_way_round() {
    for consult_first in [false, true] {
        let mut desk = Desk::new();
        let id = desk.talking().only();
        desk.take(5, variable("100.1", "CTI_ACCOUNT", "1111"));
        desk.take(6, new_leg("110.5", "PJSIP/1001-5", LegState::Calling, "1001", "1002"));
        desk.take(6, variable("110.5", "CTI_ACCOUNT", "2222")).take(6, wish("110.5", "1cXI/Q=="));
        let later = variable("100.1", "CTI_ACCOUNT", "3333");
        if !consult_first {
            desk.take(7, later.clone());
        }
        desk.take(8, enter("110.5", "", "b1"));
        if consult_first {
            desk.take(8, later);
        }
        assert_eq!(shown(&desk, id), [pair("ivr.account", "3333"), pair("ivr.wish", "张三")], "{consult_first}");
    }
}

#[test]
fn a_snapshot_tells_what_was_set_while_nobody_listened() {
    let mut desk = Desk::new();
    let set = |value: &str| {
        vec![
            ("CTI_ACCOUNT".to_owned(), value.as_bytes().to_vec().into()),
            ("MIXMONITOR_FILENAME".to_owned(), b"/rec/a.wav".to_vec().into()),
        ]
    };
    let mut trunk = listed("100.1", "PJSIP/trunk-1", "Dial", "PJSIP/1001");
    trunk.variables = set("new");
    let mut phone = listed("100.2", "PJSIP/1001-2", "AppDial", "(Outgoing Line)");
    phone.variables = set("inherited");
    desk.take(9, snapshot(vec![phone, trunk], true, Some(at(9).mono)));
    let id = desk.only();
    assert_eq!(shown(&desk, id), [pair("ivr.account", "new")]);
    let record = desk.book.record(id).unwrap();
    assert_eq!(record.recordings.len(), 1);
    assert_eq!((record.recordings[0].from, record.recordings[0].to), (None, None), "when it began is not listed");
}

#[test]
fn agents_write_what_the_file_lets_them_and_the_switch_does_not_overwrite_it() {
    let mut desk = Desk::new();
    let id = desk.talking().only();
    desk.news();
    let write = |desk: &mut Desk, seconds, name: &str, value: &str| {
        desk.book.write(at(seconds), id, name, value);
        desk.drain().news()
    };
    assert_eq!(write(&mut desk, 5, "case", "billing"), [What::Informed]);
    assert_eq!(write(&mut desk, 5, "case", "billing"), [], "again");
    assert_eq!(write(&mut desk, 6, "case", "dance"), [], "not one of the choices");
    assert_eq!(write(&mut desk, 6, "ivr.account", "1"), [], "not theirs");
    assert_eq!(write(&mut desk, 6, "nothing", "1"), []);
    assert_eq!(shown(&desk, id), [pair("case", "billing")]);
    let checkpoint = desk.book.checkpoint(id).unwrap();
    assert_eq!(write(&mut desk, 7, "case", ""), [What::Informed]);
    assert_eq!(shown(&desk, id), []);
    write(&mut desk, 8, "case", "repair");
    desk.hang_up(9);
    desk.news();
    assert_eq!(write(&mut desk, 10, "case", "billing"), [What::Informed, What::Amended]);
    assert_eq!(desk.book.record(id).unwrap().attributes["case"].expose(), "billing");
    let mut again = Desk::new();
    again.book.restore(vec![checkpoint]);
    assert_eq!(shown(&again, id), [pair("case", "billing")], "through a restart");
}

#[test]
fn each_recording_is_told_once_with_what_each_feed_can_know() {
    let file = |leg_id: &str, name: &str| variable(leg_id, "MIXMONITOR_FILENAME", name);
    let mut desk = Desk::new();
    let id = desk.talking().only();
    assert!(!desk.book.face(id).unwrap().recorded);
    desk.take(5, file("100.1", "/rec/a b.wav")).heard(5, Feed::Ari, file("100.1", "/rec/a b.wav"));
    desk.take(6, file("100.2", "/rec/agent.wav"));
    let open = desk.book.record(id).unwrap().recordings;
    assert!(desk.book.face(id).unwrap().recorded);
    assert_eq!(open.len(), 2);
    assert_eq!(open[0].state, crate::calls::record::RecordingState::Recording);
    desk.take(7, Said::RecordingStop { leg: leg("100.1", "") });
    desk.hang_up(9);
    let told: Vec<_> = desk
        .book
        .record(id)
        .unwrap()
        .recordings
        .into_iter()
        .map(|r| (r.id.into_inner(), r.from, r.to, r.uri.into_inner(), r.state))
        .collect();
    let recorded = crate::calls::record::RecordingState::Recorded;
    let one = ("a b.wav", 5, 7, "https://rec.example.com/a%20b.wav");
    let two = ("agent.wav", 6, 9, "https://rec.example.com/agent.wav");
    let expected = [one, two]
        .map(|(id, from, to, uri)| (id.to_owned(), Some(at(from).wall), Some(at(to).wall), uri.to_owned(), recorded));
    assert_eq!(told, expected);
    // ARI does not tell of a stop: the end is not known.
    let mut desk = Desk::new();
    let id = desk.talking().only();
    desk.heard(5, Feed::Ari, file("100.1", "/rec/a.wav")).hang_up(9);
    let told = desk.book.record(id).unwrap().recordings;
    assert_eq!((told[0].from, told[0].to), (Some(at(5).wall), None));
    // Which of two was stopped is not told either.
    let mut desk = Desk::new();
    let id = desk.talking().only();
    desk.take(5, file("100.1", "/rec/a.wav")).take(6, file("100.1", "/rec/b.wav"));
    desk.take(7, Said::RecordingStop { leg: leg("100.1", "") }).hang_up(9);
    assert!(desk.book.record(id).unwrap().recordings.iter().all(|r| r.to == Some(at(9).wall)));
}
