//! A SIP server by its domain alone (RFC 3263): a name server with a brain says NAPTR, SRV and addresses, the first target is dead, the second says 503,
//! and the third is subscribed at.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use linecard::{
    calls::{Directory, Said as Happened, directory::Agent, seats::Places},
    files,
    switches::{self, Heard, LinkState, Settings, live::Stats, sip::frame, sip::wire},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::{mpsc, watch},
};
use tokio_util::sync::CancellationToken;

const A: u16 = 1;
const NAPTR: u16 = 35;
const SRV: u16 = 33;

/// Records by name and type, each as its bytes, and what was asked.
#[derive(Default)]
struct Zone {
    records: HashMap<(String, u16), Vec<Vec<u8>>>,
    asked: Mutex<Vec<(String, u16)>>,
}

/// A name as labels.
fn labels(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        out.push(u8::try_from(label.len()).unwrap());
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    out
}

fn text(text: &str) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

impl Zone {
    fn add(&mut self, name: &str, kind: u16, data: Vec<u8>) {
        self.records.entry((name.to_owned(), kind)).or_default().push(data);
    }

    fn naptr(&mut self, name: &str, order: u16, service: &str, replacement: &str) {
        let numbers = [order.to_be_bytes(), 50_u16.to_be_bytes()].concat();
        self.add(name, NAPTR, [numbers, text("s"), text(service), text(""), labels(replacement)].concat());
    }

    fn srv(&mut self, name: &str, priority: u16, target: &str, port: u16) {
        let numbers = [priority, 0, port].map(u16::to_be_bytes).concat();
        self.add(name, SRV, [numbers, labels(target)].concat());
    }

    /// The answer to one question; what the zone has not is answered by nothing.
    fn answer(&self, query: &[u8]) -> Vec<u8> {
        let (mut name, mut at) = (Vec::new(), 12);
        while query[at] != 0 {
            let end = at + 1 + usize::from(query[at]);
            name.push(String::from_utf8_lossy(&query[at + 1..end]).to_ascii_lowercase());
            at = end;
        }
        let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
        let question = &query[12..at + 5];
        let key = (name.join("."), kind);
        let found = self.records.get(&key).map(Vec::as_slice).unwrap_or_default();
        self.asked.lock().unwrap().push(key);
        let mut out = query[..2].to_vec();
        out.extend([0x85, 0x80, 0, 1, 0, u8::try_from(found.len()).unwrap(), 0, 0, 0, 0]);
        out.extend_from_slice(question);
        for data in found {
            out.extend([0xc0, 12]);
            out.extend([kind, 1].map(u16::to_be_bytes).concat());
            out.extend(60_u32.to_be_bytes());
            out.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            out.extend_from_slice(data);
        }
        out
    }
}

async fn name_server(zone: &Zone, socket: &UdpSocket) {
    let mut buffer = [0; 1500];
    loop {
        let (n, from) = socket.recv_from(&mut buffer).await.unwrap();
        socket.send_to(&zone.answer(&buffer[..n]), from).await.unwrap();
    }
}

/// The next request of a connection.
async fn request(stream: &mut TcpStream, frames: &mut frame::Stream) -> Option<wire::Message> {
    let mut buffer = [0; 4096];
    loop {
        if let Some(frame::Piece::Message(bytes)) = frames.next().unwrap() {
            return Some(wire::read(&bytes).unwrap());
        }
        match stream.read(&mut buffer).await {
            Ok(n) if n > 0 => frames.take(&buffer[..n]),
            _ => return None,
        }
    }
}

/// Says 503 to whatever comes; gives the branches that it heard.
async fn tired(listener: &TcpListener, heard: &Mutex<Vec<String>>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut frames = frame::Stream::default();
        while let Some(request) = request(&mut stream, &mut frames).await {
            heard.lock().unwrap().push(request.branch().unwrap().to_owned());
            let answer = wire::Draft::response(&request, 503, "Tired", None).to_tag("t").header("Retry-After", "600");
            let _ = stream.write_all(&answer.bytes()).await;
        }
    }
}

/// Accepts a subscription and tells of a phone that rings.
async fn good(listener: &TcpListener, heard: &Mutex<Vec<String>>) {
    let (mut stream, from) = listener.accept().await.unwrap();
    let mut frames = frame::Stream::default();
    while let Some(request) = request(&mut stream, &mut frames).await {
        if request.method() != Some("SUBSCRIBE") {
            continue;
        }
        heard.lock().unwrap().push(request.branch().unwrap().to_owned());
        let contact = format!("<sip:{};transport=tcp>", listener.local_addr().unwrap());
        let answer = wire::Draft::response(&request, 200, "OK", None).to_tag("good").header("Expires", "600");
        stream.write_all(&answer.header("Contact", &contact).bytes()).await.unwrap();
        if request.header("Expires") == Some("0") {
            continue;
        }
        let body = "<dialog-info xmlns='urn:ietf:params:xml:ns:dialog-info' version='1' state='full' entity='sip:1001@pbx.test'>\
            <dialog id='d' call-id='c@x' direction='recipient'><state>early</state>\
            <remote><identity>sip:13800138000@carrier.test</identity></remote></dialog></dialog-info>";
        let notify = wire::Draft::request("NOTIFY", &format!("sip:linecard@{from}"))
            .header("Via", "SIP/2.0/TCP 127.0.0.1;branch=z9hG4bKn1")
            .header("From", "<sip:1001@pbx.test>;tag=good")
            .header("To", &format!("<sip:linecard@pbx.test>;tag={}", request.from_tag().unwrap()))
            .header("Call-ID", request.call_id())
            .header("CSeq", "1 NOTIFY")
            .header("Contact", &contact)
            .header("Event", "dialog")
            .header("Subscription-State", "active;expires=600")
            .body("application/dialog-info+xml", body.as_bytes());
        stream.write_all(&notify.bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn the_next_target_of_srv_is_used_when_the_first_is_dead_and_the_second_says_503() {
    let tired_at = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let good_at = TcpListener::bind("127.0.0.1:0").await.unwrap();
    // Nobody listens there any more.
    let dead = crate::daemon::door();
    let dns = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut zone = Zone::default();
    zone.naptr("pbx.test", 20, "SIP+D2U", "_sip._udp.pbx.test");
    zone.naptr("pbx.test", 10, "SIP+D2T", "_tcp.pbx.test");
    zone.srv("_tcp.pbx.test", 30, "c.pbx.test", good_at.local_addr().unwrap().port());
    zone.srv("_tcp.pbx.test", 10, "a.pbx.test", dead.port());
    zone.srv("_tcp.pbx.test", 20, "b.pbx.test", tired_at.local_addr().unwrap().port());
    for host in ["a", "b", "c"] {
        zone.add(&format!("{host}.pbx.test"), A, vec![127, 0, 0, 1]);
    }

    let text = format!(
        "sip: {{id: edge1, domain: pbx.test, server: {{host: pbx.test, transport: auto, dns: '{}'}}}}",
        dns.local_addr().unwrap()
    );
    let settings = files::read::<Settings>("sip.yaml", &text).unwrap_or_else(|p| panic!("{p:?}")).value;
    let stats = Stats::new(&settings);
    let directory = Arc::new(Directory::new(vec![Agent::new("1001").at(&["1001"])]));
    let (_places, places) = watch::channel(Places { directory, ..Places::default() });
    let (out, mut said) = mpsc::channel(64);
    let (_asks, commands) = mpsc::channel(1);
    let stop = CancellationToken::new();
    let (unwilling, willing) = (Mutex::default(), Mutex::default());

    let link = switches::live::run(Arc::new(settings), stats, places, Vec::new(), out, commands, stop.clone());
    let story = async {
        let mut ups = Vec::new();
        loop {
            match said.recv().await.expect("the link runs").what {
                Heard::Link(LinkState::Up { version }) => ups.push(version),
                // The phone that rings, told by the third: it rang before we looked.
                Heard::Events(events) if events.iter().any(|e| matches!(e.said, Happened::Found(_))) => break,
                _ => {}
            }
        }
        stop.cancel();
        ups
    };
    let world = async {
        tokio::join!(name_server(&zone, &dns), tired(&tired_at, &unwilling), good(&good_at, &willing));
    };
    let all = async {
        tokio::select! {
            (ups, ()) = async { tokio::join!(story, link) } => ups,
            () = world => unreachable!("servers serve for ever"),
        }
    };
    let ups = tokio::time::timeout(Duration::from_secs(20), Box::pin(all)).await.expect("the third target is found");

    let at = |listener: &TcpListener| format!("TCP {}", listener.local_addr().unwrap());
    assert_eq!(ups, [at(&tired_at), at(&good_at)]);
    let (unwilling, willing) = (unwilling.into_inner().unwrap(), willing.into_inner().unwrap());
    assert!(
        unwilling.len() == 1 && !willing.is_empty() && !willing.contains(&unwilling[0]),
        "a new transaction at each"
    );
    let asked = zone.asked.into_inner().unwrap();
    let has = |name: &str, kind: u16| asked.contains(&(name.to_owned(), kind));
    assert!(has("pbx.test", NAPTR) && has("_tcp.pbx.test", SRV) && has("a.pbx.test", A), "{asked:?}");
    assert!(!has("pbx.test", A), "the domain itself is no server");
}
