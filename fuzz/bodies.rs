//! What each fuzz target does with its bytes, and what has to hold whatever they are; and the seeds, which are what real switches said.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use linecard::{
    calls::{Directory, directory::Agent, event::Event},
    numbers::Plan,
    private::Secret,
    switches::{
        self, asterisk,
        esl::{
            self,
            session::{Login, Session},
            translate::Translator as EslTranslator,
        },
        hep::{
            Rules,
            packet::{Framer, Held, LONGEST, Packet, read},
            passive::Passive,
        },
        inside::Inside,
        link::{self, Session as _},
        sip::{
            client::{Client, Credentials, Flow, Input, Output, Server, Settings, Target, Transport},
            dialog_info as info,
            dialogs::{Dialogs, Notify, Standing, TALKS},
            frame, multipart as parts, reg_info, rlmi,
            translate::{Ours, Translator},
            verdict, wire,
        },
    },
    words::{Mono, Now, Wall},
};

/// What one target does.
pub type Body = fn(&[u8]);

/// The targets by name.
pub const TARGETS: [(&str, Body); 6] =
    [("sip", sip), ("dialog_info", dialog_info), ("multipart", multipart), ("hep", hep), ("ami", ami), ("esl", esl)];

/// One datagram of a stranger, and the same bytes on a stream.
pub fn sip(bytes: &[u8]) {
    if let Ok(message) = wire::read(bytes) {
        let _ = verdict::examine(&message);
        for (name, value) in message.all() {
            let _ = (wire::address(value), wire::via(value), wire::uri(value), message.headers(name).len());
        }
        // What is answered can be read, and answers this.
        let answer = wire::Draft::response(&message, 481, "No", Some(("192.0.2.1", 5060))).to_tag("t").bytes();
        let again = wire::read(&answer).expect("our answer is SIP");
        assert_eq!((again.status(), again.call_id(), again.cseq()), (Some(481), message.call_id(), message.cseq()));
    } else if let Err(refusal) = wire::read_websocket(bytes)
        && let Some(answer) = wire::refuse(bytes, &refusal, Some(("::1", 9)))
    {
        assert!(answer.starts_with(b"SIP/2.0 400 "));
    }
    assert_eq!(cut(bytes, bytes.len()), cut(bytes, bytes.len() / 2), "where a stream is cut does not matter");
    strange(bytes);
}

/// The messages of a stream that is handed over in two pieces; `None`: it broke. How many empty lines make a keepalive may depend on the pieces.
fn cut(bytes: &[u8], at: usize) -> Option<Vec<frame::Piece>> {
    let mut stream = frame::Stream::default();
    let mut all = Vec::new();
    for piece in [&bytes[..at], &bytes[at..]] {
        stream.take(piece);
        while let Some(piece) = stream.next().ok()? {
            all.extend(matches!(piece, frame::Piece::Message(_)).then_some(piece));
        }
        assert!(stream.held() <= 2 * frame::MOST, "a stream holds one message");
    }
    Some(all)
}

/// A watcher answers a stranger with one message at most, that is no larger, and believes nothing.
fn strange(bytes: &[u8]) {
    let credentials =
        Credentials { user: "cti".into(), realm: "pbx.lab".into(), password: Secret::new("pw".to_owned()) };
    let mut client = Client::new(
        Settings {
            server: Server { host: "pbx.lab".into(), port: None, transport: None },
            identity: "sip:cti@pbx.lab".into(),
            credentials: Some(credentials),
            expires_s: 600,
            starts_a_second: 50,
            in_flight: 10,
            agent: "linecard".into(),
        },
        [9; 32],
    );
    let now = Now { wall: Wall(1_795_347_000_000), mono: Mono(1_000) };
    let target = Target { host: "192.0.2.10".into(), port: 5060, transport: Transport::Udp };
    client.take(now, Input::Resolved { targets: vec![target], ttl_ms: 60_000 });
    client.take(now, Input::Connected { flow: Flow(1), host: "192.0.2.1".into(), port: 5060 });
    while client.next(now).is_some() {}
    let from = Input::Received { flow: Some(Flow(1)), host: "203.0.113.9", port: 9, transport: Transport::Udp, bytes };
    client.take(now, from);
    let mut answers = 0;
    while let Some(output) = client.next(now) {
        match output {
            Output::Reply { bytes: answer, .. } => {
                answers += 1;
                assert!(answer.len() <= bytes.len(), "{} bytes answer {}", answer.len(), bytes.len());
            }
            other => panic!("a stranger caused {other:?}"),
        }
    }
    assert!(answers <= 1, "{answers} answers");
}

/// The body of a NOTIFY: dialog-info, and whatever else it may be taken for.
pub fn dialog_info(bytes: &[u8]) {
    let _ = (info::read(bytes, None), rlmi::read(bytes, None), reg_info::read(bytes, Some("gb18030")));
    notified("application/dialog-info+xml", bytes);
}

/// A NOTIFY with several parts, whole; or the value of a Content-Type, a line's end, and the body.
pub fn multipart(bytes: &[u8]) {
    let message = wire::read(bytes).ok();
    let (content_type, body) = match &message {
        Some(message) => (message.content_type().unwrap_or_default().to_owned(), message.body()),
        None => {
            let end = bytes.iter().position(|b| *b == b'\n').unwrap_or(bytes.len());
            let (line, rest) = bytes.split_at(end);
            (String::from_utf8_lossy(line).trim().to_owned(), rest.get(1..).unwrap_or_default())
        }
    };
    if let Ok(parts) = parts::parts(&content_type, body) {
        let whole: usize = parts.iter().map(|part| part.body.len()).sum();
        assert!(whole <= body.len(), "parts of {whole} bytes in a body of {}", body.len());
    }
    notified(&content_type, body);
}

/// What a watcher makes of it: the same again is no news, an older one neither, and little is kept.
fn notified(content_type: &str, body: &[u8]) {
    let directory = Arc::new(Directory::new(vec![Agent::new("1001").at(&["1001"])]));
    let ours = Ours {
        inside: Inside { switch: "pbx1".into(), directory, ..inside() },
        plan: Plan::new("CN", Some("10")),
        trunk: "SIP/trunk".to_owned(),
    };
    let (mut dialogs, mut translator) = (Dialogs::default(), Translator::new(ours));
    let mut counts = Vec::new();
    for (cseq, standing) in
        [(2, Standing::Active), (2, Standing::Active), (1, Standing::Active), (3, Standing::Terminated)]
    {
        let notify = Notify {
            subscription: "s",
            entity: "sip:1001@pbx.lab",
            cseq: Some(cseq),
            standing,
            content_type: Some(content_type),
            body,
        };
        let now = Wall(1_795_347_000_000 + i64::from(cseq));
        dialogs.notify(now, &notify, &mut |change| translator.change(now, &change));
        counts.push(translator.take().len());
        assert!(dialogs.live().count() <= 8 * TALKS && translator.held() <= 40 * TALKS, "too much is kept");
    }
    assert_eq!((counts[1], counts[2]), (0, 0), "what was told already is no news");
}

fn inside() -> Inside {
    Inside { internal: vec!["100X".to_owned()], ..Inside::default() }
}

/// A stream of mirrored signalling.
pub fn hep(bytes: &[u8]) {
    let whole = packets(bytes, bytes.len());
    assert_eq!(whole, packets(bytes, bytes.len() / 3), "where a stream is cut does not matter");
    let mut passive = Passive::new(Rules { inside: inside(), ..Rules::default() });
    let (mut mono, mut said, mut heard) = (Mono(1_000), 0, 0_usize);
    for packet in whole.iter().map(Vec::as_slice).chain([bytes]) {
        let _ = read(packet, Some(b"a key"));
        mono = mono.plus_ms(20);
        if let Ok(Held::Sip(packet)) = read(packet, None) {
            heard += 1 + packet.payload.len() / 64;
            mirrored(&mut passive, mono, &packet);
        }
        said += drained(&mut passive);
    }
    passive.finish();
    let wall = Wall(1_795_400_000_000);
    passive.tick(Now { wall, mono: mono.plus_ms(24 * 3_600_000) });
    said += drained(&mut passive);
    assert!(said <= 64 * heard, "{said} conclusions of {heard} messages");
    assert_eq!(passive.deadline(), None, "a day later nothing is waited for");
}

fn mirrored(passive: &mut Passive, now: Mono, packet: &Packet<'_>) {
    passive.take(now, packet, Some(Wall(1_795_347_000_000)));
}

fn drained(passive: &mut Passive) -> usize {
    std::iter::from_fn(|| passive.next_event()).count()
}

fn packets(bytes: &[u8], at: usize) -> Vec<Vec<u8>> {
    let (mut framer, mut all) = (Framer::new(), Vec::new());
    for piece in [&bytes[..at], &bytes[at..]] {
        framer.push(piece);
        while let Ok(Some(packet)) = framer.take() {
            all.push(packet.to_vec());
        }
        assert!(framer.waiting() <= LONGEST.max(bytes.len()), "a framer holds one packet");
    }
    all
}

/// What a manager interface says.
pub fn ami(bytes: &[u8]) {
    assert_eq!(managed(bytes, bytes.len()), managed(bytes, bytes.len() / 3), "where a stream is cut does not matter");
}

fn managed(bytes: &[u8], at: usize) -> Vec<Event> {
    let (mut framer, mut all) = (asterisk::ami::Framer::new(), Vec::new());
    for piece in [&bytes[..at], &bytes[at..]] {
        framer.push(piece);
        loop {
            match framer.take() {
                Ok(Some(message)) => all.extend(asterisk::translate_ami::translate(&message)),
                Ok(None) => break,
                // A link ends here.
                Err(_) => return all,
            }
        }
    }
    all
}

/// What an event socket says: as events, and to a session that logs in.
pub fn esl(bytes: &[u8]) {
    let whole = spoken(bytes, bytes.len());
    assert_eq!(whole, spoken(bytes, bytes.len() / 3), "where a stream is cut does not matter");
    let text = "freeswitch: {id: fs1, trunks: [sofia/trunk], event_socket: {host: h, secret: {env: A}}, attributes: \
        [{name: a, from: {variable: sip_from_user}}, {name: b, from: {sip-header: x-b}}, {name: c, from: {user-event: {event: 'a::b', header: C}}}]}";
    let switches::Settings::FreeSwitch(settings) = linecard::files::read("x.yaml", text).expect("it is good").value
    else {
        panic!("this is no FreeSWITCH")
    };
    let now = |ms: u64| Now { wall: Wall(1_795_347_000_000), mono: Mono(ms * 1_000) };
    let login = || Login { user: None, secret: Secret::new("x".to_owned()) };
    for mut session in
        [Session::hears(&settings, login(), now(1)), Session::asks(Arc::new(settings.clone()), login(), now(1))]
    {
        session
            .read(now(1), b"Content-Type: auth/request\n\nContent-Type: command/reply\nReply-Text: +OK accepted\n\n");
        session.read(now(2), bytes);
        session.closed();
        let mut said = 0;
        loop {
            match session.poll(now(3)) {
                link::Output::Wait(_) | link::Output::Failed(_) => break,
                _ => said += 1,
            }
        }
        // One question a channel at most, and the questions of a login.
        assert!(said <= 16 + bytes.len(), "{said} outputs of {} bytes", bytes.len());
    }
}

fn spoken(bytes: &[u8], at: usize) -> Vec<Event> {
    let (mut framer, mut translator) =
        (esl::frame::Framer::new(), EslTranslator::new(vec!["sofia/trunk".into()], Arc::default()));
    for piece in [&bytes[..at], &bytes[at..]] {
        framer.push(piece);
        loop {
            match framer.take() {
                // A body that is no event is one event less.
                Ok(Some(frame)) => drop(esl::heard(&mut translator, &frame)),
                Ok(None) => break,
                Err(_) => return translator.drain(),
            }
        }
    }
    let _ = framer.end();
    translator.drain()
}

/// A target's seeds, by names that are the same at every run.
///
/// # Panics
/// Where the fixtures cannot be read.
#[must_use]
pub fn seeds(target: &str, fixtures: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut seeds = BTreeMap::new();
    let mut files = |folder: &str, ending: &str| {
        let folder = fixtures.join(folder);
        for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())).flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(ending) {
                seeds.insert(name, fs::read(entry.path()).expect("a fixture can be read"));
            }
        }
    };
    match target {
        "sip" => {
            files("torture/rfc4475", ".dat");
            files("torture/rfc5118", ".dat");
            told(fixtures, |_| true, &mut seeds);
        }
        "dialog_info" => {
            files("torture/rfc4235", ".xml");
            files("kamailio/synthetic-dialog-info", ".xml");
        }
        "multipart" => told(fixtures, |text| text.contains("multipart/"), &mut seeds),
        "hep" => {
            files("kamailio/synthetic-hep-edge-cases", ".bin");
            for (scenario, path) in recorded(fixtures) {
                if let Ok(bytes) = fs::read(path.join("hep.bin")) {
                    seeds.insert(format!("{scenario}.bin"), bytes);
                }
            }
        }
        "ami" => captures(fixtures, "asterisk", &["ami.txt"], &mut seeds),
        "esl" => captures(fixtures, "freeswitch", &["esl-plain.txt", "esl-json.txt"], &mut seeds),
        other => panic!("there is no target {other}"),
    }
    seeds
}

/// These files of each recorded scenario.
fn captures(fixtures: &Path, of: &str, names: &[&str], seeds: &mut BTreeMap<String, Vec<u8>>) {
    let folder = fixtures.join(of);
    for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())).flatten() {
        for name in names {
            if let Ok(bytes) = fs::read(entry.path().join(name)) {
                seeds.insert(format!("{}-{name}", entry.file_name().to_string_lossy()), bytes);
            }
        }
    }
}

fn recorded(fixtures: &Path) -> BTreeMap<String, std::path::PathBuf> {
    let folder = fixtures.join("kamailio");
    let all = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())).flatten();
    all.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path())).collect()
}

/// What real Kamailios told their watchers: of each scenario the messages that came in.
fn told(fixtures: &Path, is: impl Fn(&str) -> bool, seeds: &mut BTreeMap<String, Vec<u8>>) {
    for (scenario, path) in recorded(fixtures) {
        let Ok(lines) = fs::read_to_string(path.join("subscriber.jsonl")) else { continue };
        for (n, line) in lines.lines().enumerate() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
            if let Some(text) = line["msg"].as_str().filter(|text| line["dir"] == "in" && is(text)) {
                seeds.insert(format!("{scenario}-{n}"), text.as_bytes().to_vec());
            }
        }
    }
}
