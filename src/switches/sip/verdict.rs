//! What a readable message may still do wrong, and the answer owed (RFC 3261, 8.2; RFC 4475).
//!
//! `wire::read` refuses what cannot be read. Here is what can be read and must not be acted on. A method that a watcher does not serve gets
//! the same answer whatever its headers ask for (405 or 501: RFC 3261, 8.2.1 looks at the method first), so extensions, the
//! version and the scheme of the Request-URI are only held against the methods that are served.

use super::{
    dialog_info,
    normal::Known,
    wire::{self, Message, Refusal},
};

/// What we answer other than by 405 or 501.
pub const SERVED: [&str; 2] = ["NOTIFY", "OPTIONS"];
/// Methods of the RFCs; others are 501 (RFC 3261, 21.5.2).
pub const METHODS: [&str; 14] = [
    "ACK",
    "BYE",
    "CANCEL",
    "INFO",
    "INVITE",
    "MESSAGE",
    "NOTIFY",
    "OPTIONS",
    "PRACK",
    "PUBLISH",
    "REFER",
    "REGISTER",
    "SUBSCRIBE",
    "UPDATE",
];
/// Extensions a NOTIFY may require of us (RFC 4662, 4.4).
const EXTENSIONS: [&str; 1] = ["eventlist"];

/// Reads and judges the bytes of one datagram, or of one message of a stream.
pub fn judge(bytes: &[u8]) -> Result<Message, Refusal> {
    let message = wire::read(bytes)?;
    examine(&message)?;
    Ok(message)
}

/// Judges a file: one message, or a dialog-info document as a NOTIFY brings it. No answer is owed for a body: its NOTIFY is answered by 200 before it
/// is read.
pub fn judge_file(bytes: &[u8]) -> Result<(), Refusal> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    if text.first() != Some(&b'<') {
        return judge(bytes).map(|_| ());
    }
    match dialog_info::read(bytes, None) {
        Ok(_) => Ok(()),
        Err(fault) => Err(Refusal { status: None, reason: format!("no dialog-info document: {fault}") }),
    }
}

/// Judges a message that was read.
pub fn examine(message: &Message) -> Result<(), Refusal> {
    let answered = message.method().is_some_and(|m| m != "ACK");
    let refuse =
        |status: u16, reason: &str| Err(Refusal { status: answered.then_some(status), reason: reason.to_owned() });
    if let Some(method) = message.method() {
        let (_, of) = message.cseq();
        if of != method {
            return refuse(400, "CSeq names another method than the request");
        }
    } else if message.headers("Via").len() > 1 {
        // RFC 3261, 8.1.3.3: it was meant for somebody else.
        return refuse(400, "a response with more than one Via");
    }
    let (mut forwards, mut expires, mut least) = (0, 0, 0);
    for (name, value) in message.known() {
        let (seen, most) = match name {
            Known::MAX_FORWARDS => (&mut forwards, 255),
            Known::EXPIRES => (&mut expires, u64::from(u32::MAX)),
            Known::MIN_EXPIRES => (&mut least, u64::from(u32::MAX)),
            Known::CONTACT => {
                contacts(value).or_else(|why| refuse(400, why))?;
                continue;
            }
            _ => continue,
        };
        *seen += 1;
        if *seen > 1 {
            return refuse(400, &format!("two {}", name.name()));
        }
        if number(value).is_none_or(|n| n > most) {
            return refuse(400, &format!("{} is no number in its range", name.name()));
        }
    }
    if !message.method().is_some_and(|m| SERVED.contains(&m)) {
        return Ok(());
    }
    if !message.version().eq_ignore_ascii_case("SIP/2.0") {
        return refuse(505, "a version other than SIP/2.0");
    }
    if !message.is_for_us() {
        return refuse(416, "a Request-URI of a scheme other than sip, sips and tel");
    }
    if !unsupported(message).is_empty() {
        return refuse(420, "it requires what is not supported");
    }
    Ok(())
}

fn contacts(value: &str) -> Result<(), &'static str> {
    for contact in wire::each_of(value).filter(|c| *c != "*") {
        let mut expires = None;
        wire::address_checked(contact, |name, value| {
            if expires.is_none() && name.eq_ignore_ascii_case("expires") {
                expires = Some(number(value.as_deref().unwrap_or_default()));
            }
        })
        .ok_or("a Contact that is no address")?;
        if expires.is_some_and(|n| n.is_none_or(|n| n > u64::from(u32::MAX))) {
            return Err("a Contact whose expires is no number in its range");
        }
    }
    Ok(())
}

/// What the request requires and we do not have: the value of Unsupported. Proxy-Require is not ours to judge (RFC 3261, 20.29).
#[must_use]
pub fn unsupported(message: &Message) -> Vec<&str> {
    if message.known().all(|(name, _)| name != Known::REQUIRE) {
        return Vec::new();
    }
    let mut all = message.headers("Require");
    all.retain(|option| !option.is_empty() && !EXTENSIONS.iter().any(|e| e.eq_ignore_ascii_case(option)));
    all
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::{Path, PathBuf},
    };

    use super::*;

    struct Row {
        file: String,
        verdict: String,
        answer: String,
        bytes: Vec<u8>,
    }

    /// The messages and documents of the folder. `LINECARD_TORTURE` names another one, with messages that may
    /// not be kept here.
    fn torture() -> Vec<Row> {
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-fixtures/torture");
        let folder = std::env::var_os("LINECARD_TORTURE").map_or(ours, PathBuf::from);
        let manifest = fs::read_to_string(folder.join("MANIFEST.tsv")).unwrap();
        let rows = manifest.lines().skip(1).map(|l| l.split('\t').collect::<Vec<_>>());
        rows.map(|r| Row {
            file: r[0].into(),
            verdict: r[4].into(),
            answer: r[5].into(),
            bytes: fs::read(folder.join(r[0])).unwrap(),
        })
        .collect()
    }

    #[test]
    fn every_torture_message_gets_its_verdict() {
        let mut wrong = Vec::new();
        let rows = torture();
        assert!(rows.len() > 40);
        for Row { file, verdict, answer, bytes } in rows {
            let got = judge_file(&bytes);
            let good = match (&*verdict, &got) {
                ("accept", Ok(_)) | ("either", _) => true,
                ("drop", Err(refusal)) => refusal.status.is_none(),
                ("reject", Err(_)) if answer == "-" => true,
                ("reject", Err(Refusal { status: Some(status), .. })) => answer.contains(&status.to_string()),
                _ => false,
            };
            if !good {
                wrong.push(format!("{file}: {verdict} {answer}, got {:?}", got));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn what_hides_in_the_messages_is_read_right() {
        let of = |name: &str| {
            let row = torture().into_iter().find(|r| r.file.ends_with(name)).unwrap();
            judge(&row.bytes).unwrap()
        };
        let m = of("intmeth.dat");
        assert_eq!(m.method(), Some("!interesting-Method0123456789_*+`.%indeed'~"));
        assert_eq!(m.to().display.as_deref(), Some("BEL:\u{7} NUL:\0 DEL:\u{7f}"));
        assert_eq!(m.from().params.get("fromParam''~+*_!.-%"), Some("работающий"));
        assert_eq!(m.header("extensionHeader-!.%*+_`'~"), Some("\u{feff}大停電"));
        let m = of("longreq.dat");
        assert_eq!((m.headers("Via").len(), m.via().host.as_str()), (34, "sip33.example.com"));
        assert_eq!(m.body().len(), 150);
        let m = of("port-ambiguous.dat");
        assert_eq!(
            (m.request_uri().unwrap().host.as_str(), m.request_uri().unwrap().port),
            ("2001:db8::10:5070", None)
        );
        let m = of("port-unambiguous.dat");
        assert_eq!(
            (m.request_uri().unwrap().host.as_str(), m.request_uri().unwrap().port),
            ("2001:db8::10", Some(5070))
        );
        assert_eq!(of("via-received-param-with-delim.dat").via().params.get("received"), Some("[2001:db8::9:255]"));
        assert_eq!(of("unreason.dat").reason(), "= 2**3 * 5**2 но сто девяносто девять - простое");
        assert_eq!(of("escnull.dat").to().uri.user(), "null-\0-null");
        assert_eq!(of("ipv4-mapped-ipv6.dat").body().len(), 236);
        let (one, two) = (of("cparam01.dat"), of("cparam02.dat"));
        let address = |m: &Message| wire::address(m.header("Contact").unwrap()).unwrap();
        assert!(address(&one).params.has("unknownparam") && address(&two).uri.params.has("unknownparam"));
    }

    /// Messages of RFC 4475 that the folder does not hold, by what is wrong with them.
    #[test]
    fn other_known_slips() {
        let with = |start: &str, change: (&str, &str)| {
            format!("{start}\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nMax-Forwards: 70\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\nl: 0\r\n\r\n").replacen(change.0, change.1, 1)
        };
        let status = |text: String| judge(text.as_bytes()).err().map(|r| r.status);
        let options = "OPTIONS sip:a@b SIP/2.0";
        assert_eq!(status(with(options, ("", ""))), None);
        for (start, from, to, expected) in [
            ("OPTIONS sip:a@b SIP/7.0", "", "", Some(505)),
            ("OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0", "", "", Some(416)),
            ("OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0", "", "", Some(416)),
            ("OPTIONS sip:a@b; lr SIP/2.0", "", "", Some(400)),
            ("OPTIONS sip:a@b", "", "", None),
            (options, "l: 0", "l: 0\r\nl: 1", Some(400)),
            (options, "To: <sip:c@d>", "To: \"Mr. J. User <sip:c@d>", Some(400)),
            (options, "Max-Forwards: 70", "Max-Forwards: 300", Some(400)),
            (options, "Max-Forwards: 70", "Expires: 1\r\nExpires: 1", Some(400)),
            (options, "Call-ID: x\r\n", "", Some(400)),
            (options, "CSeq: 1 OPTIONS", "CSeq: 1OPTIONS", Some(400)),
            (options, "CSeq: 1 OPTIONS", "CSeq: 4294967296 OPTIONS", Some(400)),
            ("SIP/2.0 200 OK", "Via: ", "Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1\r\nVia: ", None),
        ] {
            assert_eq!(status(with(start, (from, to))), Some(expected), "{start} {to}");
        }
        // Rest of a datagram behind Content-Length: another message, ignored (RFC 4475, 3.1.1.8).
        assert_eq!(status(with(options, ("", "")) + "INVITE sip:x@y SIP/2.0\r\n\r\n"), None);
        // What is not served is 405 whatever else it wants: judged as it is (RFC 3261, 8.2.1).
        let invite =
            with("INVITE sip:a@b SIP/7.0", ("CSeq: 1 OPTIONS", "CSeq: 1 INVITE\r\nRequire: nothingSupportsThis"));
        assert_eq!(status(invite), None);
    }

    /// Mutations are in tests/fuzz.rs.
    #[test]
    fn no_message_takes_long() {
        assert!(judge_file(b"\xef\xbb\xbf <dialog-info").is_err());
        let signs = b"\r\n \t:;,<>\"\\()@?=%[]\0\xff/0";
        // The worst that a message can do to each reader: 64 KiB of nothing but what it looks for.
        let start = std::time::Instant::now();
        for sign in signs.iter().chain(b"ab") {
            for name in ["Via", "From", "Contact", "Require", "X", "Content-Length"] {
                let mut bytes = format!("OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nFrom: <sip:a@b>\r\nTo: <sip:a@b>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n{name}: ").into_bytes();
                bytes.extend(std::iter::repeat_n(*sign, 64 * 1024));
                if let Ok(message) = judge(&bytes) {
                    let _ = (message.headers("Via"), message.headers("Contact"), unsupported(&message));
                }
            }
        }
        // Wide, for the machine is shared: a reader that took the square of it would be at this for an hour.
        assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
    }
}
