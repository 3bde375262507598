//! Sequences of NOTIFYs, real and made up, and what is known after each.

use std::{fmt::Write, fs, path::Path, sync::Arc};

use crate::{
    calls::directory::{Agent, Directory},
    calls::event::Said,
    numbers::Plan,
    switches::inside::Inside,
    words::Wall,
};

use super::{
    dialog_info::{self, Reason, State},
    dialogs::{Dialogs, Knowledge, Notify, Standing, Step},
    translate::{Ours, Translator},
    xml::Fault,
};

/// A subscription to 1001, told NOTIFYs by hand.
struct Desk {
    dialogs: Dialogs,
    cseq: u32,
    now: Wall,
    /// What was said since it was last looked at.
    said: String,
}

impl Desk {
    fn new() -> Self {
        let mut dialogs = Dialogs::default();
        dialogs.watch("sip:1001@pbx.lab");
        Self { dialogs, cseq: 0, now: Wall(1_000_000), said: String::new() }
    }

    fn send(&mut self, subscription: &str, cseq: u32, standing: Standing, kind: Option<&str>, body: &str) -> bool {
        let entity = "sip:1001@pbx.lab";
        let n = Notify { subscription, entity, cseq: Some(cseq), standing, content_type: kind, body: body.as_bytes() };
        let Self { dialogs, said, .. } = self;
        let wanted = dialogs.notify(self.now, &n, &mut |c| note(said, c.talk.key.as_str(), c.talk.state, c.step));
        self.now = self.now.plus_ms(1000);
        wanted.refresh
    }

    /// The next NOTIFY of subscription `s` with these dialogs, each `id[:call-id]=state`.
    fn tell(&mut self, version: u32, state: &str, dialogs: &[&str]) -> bool {
        self.cseq += 1;
        self.tell_as("s", self.cseq, version, state, dialogs)
    }

    fn tell_as(&mut self, subscription: &str, cseq: u32, version: u32, state: &str, dialogs: &[&str]) -> bool {
        let mut body = format!("<dialog-info version='{version}' state='{state}' entity='sip:1001@pbx.lab'>");
        for dialog in dialogs {
            let (name, state) = dialog.split_once('=').unwrap();
            let (id, call) = name.split_once(':').unwrap_or((name, ""));
            let _ = write!(body, "<dialog id='{id}' call-id='{call}'><state>{state}</state></dialog>");
        }
        body.push_str("</dialog-info>");
        self.send(subscription, cseq, Standing::Active, Some("application/dialog-info+xml"), &body)
    }

    fn silence(&mut self) -> bool {
        self.cseq += 1;
        self.send("s", self.cseq, Standing::Active, None, "")
    }

    fn lose(&mut self, subscription: &str) {
        let Self { dialogs, said, .. } = self;
        dialogs.lost(subscription, &mut |c| note(said, c.talk.key.as_str(), c.talk.state, c.step));
    }

    fn said(&mut self) -> String {
        std::mem::take(&mut self.said).trim().to_owned()
    }

    fn known(&self) -> Knowledge {
        self.dialogs.knowledge("1001")
    }
}

fn note(said: &mut String, key: &str, state: Option<State>, step: Step) {
    let word = match step {
        Step::Moved { found: true, .. } => format!("found {state:?}"),
        Step::Moved { .. } => format!("{state:?}"),
        Step::Held(held) => format!("held({held})"),
        other => format!("{other:?}"),
    };
    let word = word.replace("Some(", "").replace(')', "").to_lowercase();
    let _ = write!(said, "{key} {word}, ");
}

#[test]
fn not_seen_is_unknown_and_not_idle() {
    let mut desk = Desk::new();
    assert_eq!(desk.known(), Knowledge::Unknown);
    assert_eq!(desk.dialogs.knowledge("1009"), Knowledge::Unknown);
    // Accepted, not yet allowed.
    desk.send("s", 1, Standing::Pending, None, "");
    assert_eq!(desk.known(), Knowledge::Unknown);
    desk.cseq = 1;
    desk.silence();
    assert_eq!(desk.known(), Knowledge::Idle);
    desk.tell(2, "full", &["a:c1=Early"]);
    assert_eq!((desk.known(), desk.said().as_str()), (Knowledge::Busy(1), "c1 early,"));
    desk.lose("s");
    assert_eq!((desk.known(), desk.said().as_str()), (Knowledge::Unknown, "c1 doubt,"));
    // A new subscription, whose versions begin anew, knows it still.
    desk.tell_as("t", 1, 1, "full", &["a:c1=confirmed"]);
    assert_eq!((desk.known(), desk.said().as_str()), (Knowledge::Busy(1), "c1 seen, c1 confirmed,"));
    desk.lose("t");
    assert_eq!(desk.said(), "c1 doubt,");
    // And the next one does not.
    desk.send("u", 1, Standing::Active, None, "");
    assert_eq!((desk.known(), desk.said().as_str()), (Knowledge::Idle, "c1 gone,"));
    // Its last word counts, and then nothing is known.
    desk.send("u", 2, Standing::Terminated, None, "");
    assert_eq!(desk.known(), Knowledge::Unknown);
}

#[test]
fn the_order_is_the_cseq_s_and_a_body_may_come_twice() {
    let mut desk = Desk::new();
    desk.silence();
    assert!(desk.tell_as("s", 4, 3, "full", &["a:c1=confirmed"]), "one was lost");
    assert_eq!(desk.said(), "c1 confirmed,");
    desk.tell_as("s", 3, 2, "full", &["a:c1=early"]);
    desk.tell_as("s", 4, 3, "full", &["a:c1=terminated"]);
    assert_eq!((desk.said().as_str(), desk.dialogs.counts.stale), ("", 2));
    // A later NOTIFY with an older document is older.
    desk.tell_as("s", 5, 3, "full", &["a:c1=terminated"]);
    assert_eq!((desk.said().as_str(), desk.dialogs.counts.stale), ("", 3));
    desk.tell_as("s", 6, 4, "full", &["a:c1=Confirmed"]);
    assert_eq!(desk.said(), "");
}

/// FreeSWITCH counts versions for several subscriptions; Kamailio uses one up for a NOTIFY without a body.
#[test]
fn a_version_may_jump_where_nothing_was_lost() {
    let mut desk = Desk::new();
    desk.silence();
    desk.tell(7, "full", &["a:c1=early"]);
    assert!(!desk.tell(12, "full", &["a:c1=confirmed"]));
    assert_eq!(desk.said(), "c1 early, c1 confirmed,");
    // A partial one tells only what changed since the one that is missing.
    assert!(desk.tell(14, "partial", &["b:c2=early"]));
    assert_eq!((desk.said().as_str(), desk.dialogs.counts.gaps), ("c2 early, c1 doubt,", 0));
    // A lost NOTIFY makes what moved meanwhile doubtful (trace notify-lost-version-gap).
    desk.cseq += 1;
    assert!(desk.tell(16, "full", &["a:c1=terminated", "b:c2=early"]));
    assert_eq!((desk.said().as_str(), desk.dialogs.counts.gaps), ("c1 doubt, c1 terminated,", 1));
}

#[test]
fn what_is_over_stays_over_however_often_it_is_listed() {
    let mut desk = Desk::new();
    // In the first body it is an old one, later it is a call that nobody took.
    desk.tell(1, "full", &["a:c1=terminated"]);
    assert_eq!(desk.said(), "");
    desk.tell(2, "full", &["a:c1=terminated", "b:c2=terminated"]);
    assert_eq!(desk.said(), "c2 terminated,");
    for version in 3..100 {
        desk.tell(version, "full", &["a:c1=terminated", "b:c2=terminated", "d:c4=terminated", "e:c5=terminated"]);
    }
    assert_eq!(desk.said(), "c4 terminated, c5 terminated,");
    // Another watcher lags: what it tells is no news.
    desk.tell(100, "full", &["f:c6=confirmed"]);
    desk.tell(101, "full", &["f:c6=terminated"]);
    desk.said();
    desk.send("late", 1, Standing::Active, None, "");
    for (n, state) in [(2, "early"), (3, "confirmed"), (4, "terminated")] {
        desk.tell_as("late", n, n, "full", &[&format!("f:c6={state}")]);
    }
    assert_eq!((desk.said().as_str(), desk.known()), ("", Knowledge::Idle));
}

#[test]
fn two_watchers_are_one_truth() {
    let mut desk = Desk::new();
    desk.silence();
    desk.send("t", 1, Standing::Active, None, "");
    desk.tell(2, "full", &["a:c1=early"]);
    // The other one knows of no call yet: that is a lag, not an end.
    assert_eq!(desk.known(), Knowledge::Busy(1));
    desk.tell_as("t", 2, 2, "full", &["a:c1=early"]);
    desk.lose("s");
    assert_eq!((desk.said().as_str(), desk.known()), ("c1 early,", Knowledge::Busy(1)));
    desk.tell_as("t", 3, 3, "full", &["a:c1=terminated"]);
    assert_eq!(desk.said(), "c1 terminated,");
}

/// Asterisk: one id for ever, no call-id. With two watchers that lag behind each other.
#[test]
fn a_constant_id_is_one_call_a_cycle() {
    let mut desk = Desk::new();
    let mut cycles = Vec::new();
    desk.tell(0, "full", &["1001=terminated"]);
    desk.tell_as("t", 1, 0, "full", &["1001=terminated"]);
    for (n, states) in
        [["early", "confirmed", "terminated"], ["confirmed", "confirmed", "terminated"]].iter().enumerate()
    {
        for (m, state) in states.iter().enumerate() {
            let version = u32::try_from(n * 3 + m + 1).unwrap();
            desk.tell(version, "full", &[&format!("1001={state}")]);
        }
        cycles.push(desk.dialogs.live().count());
        for (m, state) in states.iter().enumerate() {
            let version = u32::try_from(n * 3 + m + 1).unwrap();
            desk.tell_as("t", version + 1, version, "full", &[&format!("1001={state}")]);
        }
    }
    assert_eq!(desk.said(), "1001 early, 1001 confirmed, 1001 terminated, 1001 confirmed, 1001 terminated,");
    assert_eq!(cycles, [0, 0]);
}

/// RFC 4235 section 6.1: the fork that was not taken ends in the body in which the other one is up.
#[test]
fn forks_of_one_call_are_one() {
    let mut desk = Desk::new();
    desk.silence();
    desk.tell(1, "partial", &["x:c=early"]);
    desk.tell(2, "partial", &["x:c=terminated", "y:c=confirmed"]);
    desk.tell(3, "partial", &["y:c=terminated"]);
    assert_eq!(desk.said(), "c early, c confirmed, c terminated,");
}

/// Trace phone-publishes-partial-and-full: the phone's partial bodies come as full ones.
#[test]
fn missing_from_a_full_body_is_over_only_from_those_who_know_better() {
    let mut desk = Desk::new();
    desk.silence();
    desk.tell(2, "full", &["a:c1=confirmed"]);
    desk.tell(3, "full", &["b:c2=early"]);
    desk.tell(4, "full", &["a:c1=confirmed", "b:c2=terminated"]);
    desk.tell(5, "full", &[]);
    assert_eq!(desk.said(), "c1 confirmed, c2 early, c2 terminated, c1 terminated,");
    desk.tell(6, "partial", &["d:c3=early"]);
    desk.tell(7, "partial", &["e:c4=early"]);
    desk.tell(8, "full", &["e:c4=early"]);
    assert_eq!(desk.said(), "c3 early, c4 early, c3 doubt, c3 terminated,");
}

/// Trace switch-restart-subscription-kept.
#[test]
fn silence_where_there_were_calls_is_no_end() {
    let mut desk = Desk::new();
    desk.silence();
    desk.tell(2, "full", &["a:c1=confirmed"]);
    assert!(desk.silence(), "ask again");
    assert_eq!((desk.said().as_str(), desk.known()), ("c1 confirmed, c1 doubt,", Knowledge::Unknown));
    assert!(!desk.tell(4, "full", &["b:c2=early"]));
    assert_eq!((desk.said().as_str(), desk.known()), ("c2 early, c1 gone,", Knowledge::Busy(1)));
}

#[test]
fn a_list_tells_of_its_members() {
    let mut desk = Desk::new();
    let part = |cid: &str, user: &str, version: u32, state: &str| {
        format!(
            "--b\r\nContent-ID: <{cid}>\r\nContent-Type: application/dialog-info+xml\r\n\r\n<dialog-info version='{version}' state='full' \
             entity='sip:{user}@x'><dialog id='d' call-id='{user}'><state>{state}</state></dialog></dialog-info>\r\n"
        )
    };
    let list = |version: u32, full: bool, members: &str, parts: &str| {
        format!(
            "--b\r\nContent-ID: <r>\r\nContent-Type: application/rlmi+xml\r\n\r\n<list uri='sip:l@x' xmlns='urn:ietf:params:xml:ns:rlmi' \
             version='{version}' fullState='{full}'>{members}</list>\r\n{parts}--b--"
        )
    };
    let member = |user: &str, cid: &str, state: &str| {
        format!("<resource uri='sip:{user}@x'><instance id='i' state='{state}' cid='{cid}'/></resource>")
    };
    let kind = Some("multipart/related;type=\"application/rlmi+xml\";boundary=b");
    let send = |desk: &mut Desk, cseq, body: &str| desk.send("l", cseq, Standing::Active, kind, body);
    // Members without an instance: nothing is known of them.
    send(&mut desk, 1, &list(0, true, "<resource uri='sip:1001@x'/><resource uri='sip:1002@x'/>", ""));
    assert_eq!((desk.known(), desk.dialogs.knowledge("1002")), (Knowledge::Unknown, Knowledge::Unknown));
    send(&mut desk, 2, &list(1, false, &member("1001", "1", "active"), &part("1", "1001", 2, "early")));
    assert_eq!((desk.said().as_str(), desk.known()), ("1001 early,", Knowledge::Busy(1)));
    // A state was skipped while the server gathered: it may have been answered.
    send(&mut desk, 3, &list(2, false, &member("1001", "1", "active"), &part("1", "1001", 4, "terminated")));
    assert_eq!(desk.said(), "1001 doubt, 1001 terminated,");
    // At a refresh the members' versions begin anew.
    let both = member("1001", "1", "active") + &member("1002", "2", "active");
    let parts = part("1", "1001", 1, "terminated") + &part("2", "1002", 1, "confirmed");
    send(&mut desk, 4, &list(3, true, &both, &parts));
    assert_eq!((desk.said().as_str(), desk.dialogs.knowledge("1002")), ("1002 confirmed,", Knowledge::Busy(1)));
    send(&mut desk, 5, &list(4, false, &member("1002", "", "terminated"), ""));
    assert_eq!((desk.said().as_str(), desk.dialogs.knowledge("1002")), ("1002 doubt,", Knowledge::Unknown));
    // A list that is cut off changes nothing, and is counted.
    send(&mut desk, 6, "--b\r\n\r\n<list");
    assert_eq!((desk.said().as_str(), desk.dialogs.counts.refused.iter().sum::<u64>()), ("", 1));
}

#[test]
fn nothing_grows_without_bound() {
    let mut desk = Desk::new();
    desk.silence();
    for n in 0..40_u32 {
        let many: Vec<String> = (0..100).map(|m| format!("d:{n}-{m}=early")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        desk.tell(n + 2, "full", &many);
    }
    assert_eq!(desk.dialogs.live().count(), super::dialogs::TALKS);
    assert!(desk.dialogs.counts.crowded > 0);
}

fn fixtures(folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-fixtures").join(folder);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let read =
        |path: &std::path::PathBuf| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap());
    files.iter().map(read).filter(|(name, _)| name.ends_with(".xml")).collect()
}

#[test]
fn the_documents_of_the_rfc_are_read() {
    let all = fixtures("torture/rfc4235");
    assert_eq!(all.len(), 11);
    for (name, bytes) in &all {
        let info = dialog_info::read(bytes, None).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert!(info.version.is_some(), "{name}");
        for end in 0..bytes.len() {
            assert!(
                dialog_info::read(&bytes[..end], None).is_err() || bytes[end..].trim_ascii().is_empty(),
                "{name} {end}"
            );
        }
    }
    let one = |name: &str| dialog_info::read(&all.iter().find(|(n, _)| n.contains(name)).unwrap().1, None).unwrap();
    let replaced = one("-15");
    assert_eq!(
        (replaced.dialogs[0].event, replaced.dialogs[1].state),
        (Some(Reason::Replaced), Some(State::Confirmed))
    );
    assert_eq!(replaced.dialogs[1].replaces.as_deref(), Some("a84b4c76e66710"));
    assert_eq!(replaced.dialogs[1].referred_by.as_deref(), Some("sip:bob-is-not-here@vm.example.net"));
    assert_eq!(replaced.dialogs[1].local.rendering, Some(true));
    assert_eq!(replaced.dialogs[1].remote.identity.as_deref(), Some("sip:cjones@example.net"));
}

/// Each sequence is a subscription of its own; what must be known after each step stands in its steps.csv.
#[test]
fn made_up_sequences_give_what_their_steps_say() {
    let files = fixtures("kamailio/synthetic-dialog-info");
    let wanted = [
        ("partial-conformant", "|c1 early|c2 trying|c1 confirmed|c2 terminated|c1 terminated", 0, Knowledge::Idle),
        ("partial-gap", "found c1 early|c2 early, c1 doubt|c1 terminated", 0, Knowledge::Busy(1)),
        ("old-version-after-new", "found c1 confirmed||", 0, Knowledge::Busy(1)),
        (
            "constant-id-asterisk",
            "|1001 early|1001 confirmed|1001 held(true|1001 terminated|1001 confirmed",
            0,
            Knowledge::Busy(1),
        ),
        ("dummy-dialog-idle", "|", 0, Knowledge::Idle),
        ("other-prefix-and-case", "found x confirmed", 0, Knowledge::Busy(1)),
        ("hostile-xml", "||", 3, Knowledge::Unknown),
    ];
    for (sequence, steps, refused, known) in wanted {
        let mut desk = Desk::new();
        let mut told = Vec::new();
        let mut calls = std::collections::BTreeSet::new();
        let mine = files.iter().filter(|(name, _)| name.starts_with(sequence));
        for (n, (_, body)) in mine.enumerate() {
            let n = u32::try_from(n).unwrap() + 1;
            let body = String::from_utf8_lossy(body);
            let kind = Some("application/dialog-info+xml");
            let refresh = desk.send("s", n, Standing::Active, kind, &body);
            assert_eq!(refresh, sequence == "partial-gap" && n == 2, "{sequence} {n}");
            let said = desk.said();
            calls.extend(said.split(' ').next().map(str::to_owned));
            told.push(said.trim_end_matches(',').to_owned());
        }
        let steps: Vec<String> = steps
            .split('|')
            .map(|step| match step.strip_prefix("found ") {
                Some(rest) => rest.replacen(' ', " found ", 1),
                None => step.to_owned(),
            })
            .collect();
        assert_eq!(told, steps, "{sequence}");
        assert_eq!((desk.dialogs.counts.refused.iter().sum::<u64>(), desk.known()), (refused, known), "{sequence}");
    }
}

#[test]
fn hostile_bodies_are_refused_and_counted_by_their_fault() {
    let mut desk = Desk::new();
    for (_, body) in fixtures("kamailio/synthetic-dialog-info").iter().filter(|(name, _)| name.starts_with("hostile")) {
        desk.cseq += 1;
        let body = String::from_utf8_lossy(body).into_owned();
        desk.send("s", desk.cseq, Standing::Active, Some("application/dialog-info+xml"), &body);
    }
    let count = |fault| desk.dialogs.counts.refused[Fault::ALL.iter().position(|f| *f == fault).unwrap()];
    assert_eq!((count(Fault::Dtd), count(Fault::Depth), count(Fault::Broken)), (1, 1, 1));
}

/// Any bytes spoilt, anywhere: nothing panics, and the truth of before stays or moves by what can be read.
#[test]
fn spoilt_bodies_are_no_trouble() {
    let mut dice = 1_u64;
    let mut roll = |n: usize| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(dice >> 33).unwrap() % n
    };
    let agent = Agent::new("1001").at(&["1001"]);
    let ours = Ours {
        inside: Inside { switch: "pbx1".into(), directory: Arc::new(Directory::new(vec![agent])), ..Inside::default() },
        plan: Plan::new("CN", Some("10")),
        trunk: "SIP/trunk".to_owned(),
    };
    let all: Vec<_> =
        fixtures("torture/rfc4235").into_iter().chain(fixtures("kamailio/synthetic-dialog-info")).collect();
    let mut dialogs = Dialogs::default();
    let mut translator = Translator::new(ours);
    let mut events = 0;
    for n in 0..4_000_u32 {
        let mut body = all[roll(all.len())].1.clone();
        for _ in 0..roll(4) {
            let at = roll(body.len());
            body[at] = [b'<', b'>', b'"', b'&', 0, 0xff, b'/', b'0'][roll(8)];
        }
        let n = Notify {
            subscription: ["s", "t"][roll(2)],
            entity: "sip:1001@x",
            cseq: Some(n),
            standing: [Standing::Active, Standing::Active, Standing::Pending, Standing::Terminated][roll(4)],
            content_type: Some("application/dialog-info+xml"),
            body: &body,
        };
        dialogs.notify(Wall(i64::from(n.cseq.unwrap()) * 1000), &n, &mut |change| translator.change(Wall(0), &change));
        events += translator.take().iter().filter(|e| matches!(e.said, Said::NewLeg { .. })).count();
    }
    assert!(events > 10, "{events}");
}
