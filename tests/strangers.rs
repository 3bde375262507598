//! What strangers, and a switch that lies, get of a watcher at its real UDP socket: no password, no pop, no answer larger than what they sent.

use std::{net::SocketAddr, path::Path};

use linecard::switches::sip::wire::{self, Algorithm, Message, digest};
use serde_json::json;
use tokio::{
    net::{TcpStream, UdpSocket},
    time::timeout,
};
use tokio_tungstenite::{client_async, tungstenite::client::IntoClientRequest};

use crate::{agents::desk::Screen, daemon::Desk};

const PROGRAM: &str = env!("CARGO_BIN_EXE_linecard");
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// A switch that offers dialog events: it challenges, accepts, and says what the test says.
struct Notifier {
    socket: UdpSocket,
    watcher: SocketAddr,
    /// SUBSCRIBEs as they came, by whom they are for.
    asked: Vec<Message>,
}

impl Notifier {
    /// The next that comes. SUBSCRIBEs of the realm `pbx.lab` are accepted, and those for 1002 challenged for another one.
    async fn hear(&mut self) -> Message {
        let mut buffer = vec![0; 65_535];
        let (n, from) = timeout(PATIENCE, self.socket.recv_from(&mut buffer)).await.expect("nothing came").unwrap();
        self.watcher = from;
        let message = wire::read(&buffer[..n]).unwrap();
        if message.method() == Some("SUBSCRIBE") {
            let user = message.request_uri().unwrap().user().to_owned();
            let answer = match (user.as_str(), message.header("Authorization")) {
                ("1001", Some(_)) => "200 OK\r\nExpires: 600\r\nContact: <sip:127.0.0.1>",
                ("1001", None) => "401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"pbx.lab\", nonce=\"n1\"",
                _ => "401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"other.lab\", nonce=\"n2\"",
            };
            self.say(&reply(&message, answer)).await;
            self.asked.push(message.clone());
        }
        message
    }

    /// The subscription to 1001 that stands.
    async fn subscribed(&mut self) -> Message {
        loop {
            let message = self.hear().await;
            let user = message.request_uri().map(|uri| uri.user().to_owned());
            if user.as_deref() == Some("1001") && message.header("Authorization").is_some() {
                return message;
            }
        }
    }

    async fn say(&self, text: &str) {
        self.socket.send_to(text.as_bytes(), self.watcher).await.unwrap();
    }

    /// A NOTIFY of the subscription, and the status that it was answered with.
    async fn notify(&mut self, of: &Message, cseq: u32, body: &str) -> u16 {
        self.say(&notify(of.call_id(), of.from().tag().unwrap(), cseq, body)).await;
        loop {
            let message = self.hear().await;
            if message.status().is_some() && message.cseq() == (cseq, "NOTIFY") {
                return message.status().unwrap();
            }
        }
    }
}

fn reply(request: &Message, status: &str) -> String {
    let header = |name: &str| request.header(name).unwrap().to_owned();
    format!(
        "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {};tag=n\r\nCall-ID: {}\r\nCSeq: {}\r\nContent-Length: 0\r\n\r\n",
        header("Via"),
        header("From"),
        header("To"),
        request.call_id(),
        header("CSeq"),
    )
}

fn notify(call_id: &str, tag: &str, cseq: u32, body: &str) -> String {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/dialog-info+xml\r\n" };
    format!(
        "NOTIFY sip:cti@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK{call_id}{cseq};rport\r\nMax-Forwards: 70\r\n\
         From: <sip:1001@pbx.lab>;tag=n\r\nTo: <sip:cti@pbx.lab>;tag={tag}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} NOTIFY\r\n\
         Contact: <sip:127.0.0.1>\r\nEvent: dialog\r\nSubscription-State: active;expires=600\r\n{kind}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// 1001 is rung by a number.
fn rings(call: &str, number: &str, prolog: &str, more: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>{prolog}<dialog-info xmlns=\"urn:ietf:params:xml:ns:dialog-info\" version=\"1\" state=\"full\" \
         entity=\"sip:1001@pbx.lab\"><dialog id=\"{call}\" call-id=\"{call}\" direction=\"recipient\"><state>early</state>\
         <remote><identity>sip:{number}@carrier.lab</identity></remote>{more}</dialog></dialog-info>"
    )
}

async fn set() -> (Desk, Notifier) {
    let mut desk = Desk::set(0.3).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    std::fs::write(desk.folder.join("sip.secret"), "the watcher's own").unwrap();
    let secret = desk.folder.join("sip.secret");
    desk.stage
        .write(
            "switches/sip.yaml",
            &format!(
                "sip:\n  id: sip1\n  domain: pbx.lab\n  server: {{host: 127.0.0.1, port: {port}, transport: udp}}\n  user: cti\n  \
                 secret: {{file: {}}}\n",
                secret.display()
            ),
        )
        .unwrap();
    let agents = "agents:\n  - {id: \"1001\", devices: [\"1001\"]}\n  - {id: \"1002\", devices: [\"1002\"]}\n";
    desk.stage.write("agents.yaml", agents).unwrap();
    let watcher = SocketAddr::from(([127, 0, 0, 1], 9));
    let mut notifier = Notifier { socket, watcher, asked: Vec::new() };
    // It is ready before anybody answers its SUBSCRIBEs.
    desk.start(None).await;
    notifier.asked.clear();
    (desk, notifier)
}

async fn screen(desk: &Desk) -> Screen {
    let token = desk.stage.verb(Path::new(PROGRAM), &["token", "--agent", "1001", "--ttl", "1h"]).unwrap();
    let mut request = format!("ws://{}/v1/agent", desk.stage.places.agents).into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", "linecard.v1".parse().unwrap());
    let stream = TcpStream::connect(desk.stage.places.agents).await.unwrap();
    let mut screen = Screen::over(client_async(request, stream).await.map(|(socket, _)| socket));
    screen.say(json!({"type": "authenticate", "token": token.trim()})).await;
    screen.begin().await;
    screen
}

/// What was refused on the way to the watcher, as the metrics have it.
fn refused(desk: &Desk) -> u64 {
    let text = desk.metrics();
    let line = text.lines().find(|l| l.starts_with("linecard_link_refused{") && l.contains("\"sip1\",feed=\"sip\""));
    line.and_then(|l| l.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_of_another_realm_gets_no_credentials() {
    let (desk, mut notifier) = set().await;
    let other = |m: &Message| m.request_uri().unwrap().user() == "1002";
    let subscribe = notifier.subscribed().await;
    // Nobody challenges 1002's before it was heard.
    while !notifier.asked.iter().any(other) {
        notifier.hear().await;
    }
    // Ours gets what it can compute, and nothing that it does not know.
    let signed = subscribe.header("Authorization").unwrap();
    let uri = subscribe.request_uri().unwrap().as_str();
    let user = ("cti", "pbx.lab", "the watcher's own");
    let answer = digest(Algorithm::Md5, user, ("SUBSCRIBE", uri), "n1", None).unwrap();
    assert!(signed.contains(&format!("response=\"{answer}\"")) && signed.contains("realm=\"pbx.lab\""), "{signed}");
    desk.until("the other realm is told of", |desk| {
        std::fs::read_to_string(desk.stage.log()).unwrap().contains("credentials of another realm")
    })
    .await;
    // What came since, and what was repeated.
    assert_eq!(notifier.notify(&subscribe, 1, "").await, 200);
    for message in notifier.asked.iter().filter(|m| other(m)) {
        // Those of the realm that we know may come before anybody asks.
        let given = message.header("Authorization").unwrap_or_default();
        assert!(
            !given.contains("other.lab") && !given.contains("n2"),
            "a stranger's realm was given credentials: {given}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_notify_is_481_and_pops_nothing_and_refused_bodies_are_counted() {
    let (desk, mut notifier) = set().await;
    let mut screen = screen(&desk).await;
    let subscribe = notifier.subscribed().await;
    assert_eq!(notifier.notify(&subscribe, 1, "").await, 200);

    // A stranger who guesses the Call-ID, or knows it and not our tag.
    let stranger = UdpSocket::bind("127.0.0.9:0").await.unwrap();
    stranger.connect(notifier.watcher).await.unwrap();
    let forged = rings("forged", "13900139000", "", "");
    let mut buffer = vec![0; 65_535];
    for (call_id, tag) in [("guess", "guess"), (subscribe.call_id(), "guess")] {
        let sent = notify(call_id, tag, 2, &forged);
        stranger.send(sent.as_bytes()).await.unwrap();
        let n = timeout(PATIENCE, stranger.recv(&mut buffer)).await.expect("no answer").unwrap();
        assert_eq!(wire::read(&buffer[..n]).unwrap().status(), Some(481));
        assert!(n <= sent.len(), "{n} bytes for {}", sent.len());
    }
    let before = refused(&desk);

    // The switch itself says what is not read: answered, for another answer may end the subscription, and counted.
    let dtd = "<!DOCTYPE dialog-info SYSTEM \"http://127.0.0.1/x.dtd\">";
    let entity = "<!DOCTYPE dialog-info [<!ENTITY a \"13900139000\"><!ENTITY b \"&a;&a;\">]>";
    let deep = format!("{}{}", "<x>".repeat(64), "</x>".repeat(64));
    let bodies = [
        rings("dtd", "13900139000", dtd, ""),
        rings("entity", "&b;", entity, ""),
        rings("undeclared", "&a;", "", ""),
        rings("deep", "13900139000", "", &deep),
        rings("many", "13900139000", "", &"<x/>".repeat(9_000)),
        rings("cut", "13900139000", "", "").replace("</dialog-info>", ""),
    ];
    for (cseq, body) in (2..).zip(&bodies) {
        assert_eq!(notifier.notify(&subscribe, cseq, body).await, 200, "{body:.100}");
    }
    desk.until("all are counted", |desk| refused(desk) >= before.max(2) + bodies.len() as u64).await;

    // The first pop that comes is of the first call that there was.
    assert_eq!(notifier.notify(&subscribe, 20, &rings("true", "13800138000", "", "")).await, 200);
    let pop = screen.next_of("pop").await;
    assert_eq!(pop["number"]["e164"], "+8613800138000", "{pop}");
}

/// Whoever is unknown gets at most as many bytes as were sent, whatever it is.
#[tokio::test(flavor = "multi_thread")]
async fn no_answer_is_larger_than_what_a_stranger_sent() {
    let (_desk, mut notifier) = set().await;
    notifier.subscribed().await;
    let stranger = UdpSocket::bind("127.0.0.9:0").await.unwrap();
    stranger.connect(notifier.watcher).await.unwrap();
    let request = |method: &str, branch: usize, more: &str| {
        format!(
            "{method} sip:a SIP/2.0\r\nVia: SIP/2.0/UDP a;rport;branch=z9hG4bK{branch}\r\nMax-Forwards: 1\r\nFrom: <sip:a>;tag=a\r\nTo: <sip:a>\r\n\
             Call-ID: {branch}\r\nCSeq: 1 {method}\r\n{more}\r\n"
        )
    };
    let mut sent: Vec<(String, String)> = Vec::new();
    for (n, method) in
        ["OPTIONS", "INVITE", "BYE", "CANCEL", "SUBSCRIBE", "MESSAGE", "INFO", "NOTIFY", "PUBLISH", "FOO"]
            .iter()
            .enumerate()
    {
        sent.push((format!("{n}"), request(method, n, "Require: nothing-of-ours\r\n")));
        sent.push((format!("{}", n + 100), request(method, n + 100, "")));
        // Room enough for any answer.
        let subject = format!("Subject: {}\r\n", "s".repeat(600));
        sent.push((format!("{}", n + 300), request(method, n + 300, &subject)));
        sent.push((format!("{}", n + 200), request(method, n + 200, "X: 1\r\n").replace(";rport", "")));
    }
    let rubbish = [
        "INVITE",
        "\r\n\r\n",
        "SIP/2.0 200 OK\r\n\r\n",
        "NOTIFY sip:a SIP/2.0\r\nVia: a\r\n\r\n",
        "\u{0}\u{0}\u{0}\u{0}",
    ];
    sent.extend(rubbish.iter().map(|text| (String::new(), (*text).to_owned())));
    for (_, text) in &sent {
        stranger.send(text.as_bytes()).await.unwrap();
    }
    // To this one an answer is certain, and what was owed to the others has come before it.
    let last = notify("last", "guess", 1, &rings("forged", "13900139000", "", ""));
    stranger.send(last.as_bytes()).await.unwrap();
    let (mut buffer, mut answers) = (vec![0; 65_535], 0);
    loop {
        let n = timeout(PATIENCE, stranger.recv(&mut buffer)).await.expect("no answer").unwrap();
        let answer = wire::read(&buffer[..n]).unwrap();
        if answer.call_id() == "last" {
            assert_eq!(answer.status(), Some(481));
            break;
        }
        let (_, request) = sent.iter().find(|(id, _)| id == answer.call_id()).expect("an answer to nothing");
        assert!(n <= request.len(), "{n} bytes for {}: {request}", request.len());
        answers += 1;
    }
    assert!(answers > 0, "nobody was answered: this shows nothing");
}
