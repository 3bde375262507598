//! Callers are people. A whole story is played with everything logged that can be logged, and nothing of a person stands in it: no
//! number, no name, no note, no token, no secret.

use std::{net::SocketAddr, path::Path, time::Duration};

use futures_util::{SinkExt, StreamExt};
use linecard::daemon::demo::{hosts::Mode, story::Story};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::daemon::Desk;

const PROGRAM: &str = env!("CARGO_BIN_EXE_linecard");
const PATIENCE: Duration = Duration::from_secs(30);

/// An agent's page, as far as it talks.
pub struct Screen(WebSocketStream<TcpStream>);

impl Screen {
    pub async fn open(at: SocketAddr) -> Self {
        let mut request = format!("ws://{at}/v1/agent").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "linecard.v1".parse().unwrap());
        let socket = TcpStream::connect(at).await.unwrap();
        Self(tokio_tungstenite::client_async(request, socket).await.unwrap().0)
    }

    /// Logged in as this agent, with everything that is there now heard.
    pub async fn of(desk: &Desk, agent: &str) -> Self {
        let token = desk.stage.verb(Path::new(PROGRAM), &["token", "--agent", agent]).unwrap().trim().to_owned();
        let mut screen = Self::open(desk.stage.places.agents).await;
        screen.say(json!({"type": "authenticate", "token": token})).await;
        screen.hear("welcome").await;
        screen.say(json!({"type": "resume"})).await;
        screen.hear("snapshot").await;
        screen
    }

    pub async fn say(&mut self, frame: Value) {
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    /// The next frame of this type; others are passed over.
    pub async fn hear(&mut self, kind: &str) -> Value {
        self.hear_any(&[kind]).await
    }

    /// The next frame of one of these types.
    pub async fn hear_any(&mut self, kinds: &[&str]) -> Value {
        let mut others = Vec::new();
        let next = async {
            loop {
                let Some(Ok(message)) = self.0.next().await else { panic!("closed before {kinds:?}") };
                let Message::Text(text) = message else { continue };
                let frame: Value = serde_json::from_str(&text).unwrap();
                if kinds.iter().any(|kind| frame["type"] == **kind) {
                    return frame;
                }
                others.push(frame);
            }
        };
        let heard = tokio::time::timeout(PATIENCE, next).await;
        heard.unwrap_or_else(|_| panic!("{kinds:?} never came, but {others:#?}"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_person_is_in_the_logs_at_trace_or_in_the_figures() {
    let mut desk = Desk::set(0.1).await;
    let settings = desk.stage.settings().join("linecard.yaml");
    let text = std::fs::read_to_string(&settings).unwrap().replace("level: info", "level: trace");
    assert!(text.contains("level: trace"));
    std::fs::write(&settings, text).unwrap();
    desk.start(None).await;

    let token = desk.stage.verb(Path::new(PROGRAM), &["token", "--agent", "1001"]).unwrap().trim().to_owned();
    let mut screen = Screen::open(desk.stage.places.agents).await;
    screen.say(json!({"type": "authenticate", "token": token})).await;
    screen.hear("welcome").await;
    screen.say(json!({"type": "resume"})).await;
    screen.hear("snapshot").await;

    desk.pbx.play(Story::Answered, "13800138000", Some(0)).unwrap();
    let pop = screen.hear("pop").await;
    let call = pop["call"].clone();
    screen.say(json!({"type": "customer.search", "id": "1", "call": call, "query": "李伟 secretquery"})).await;
    screen.hear("done").await;
    screen.say(json!({"type": "notes.set", "id": "2", "call": call, "text": "secretnote about 陈静"})).await;
    screen.hear("done").await;
    let wrapup = json!({"type": "wrapup.submit", "id": "3", "call": call, "disposition": ["billing"], "notes": "secretwrapup", "ticket": true});
    while screen.hear("call.changed").await["wrapup"].is_null() {}
    screen.say(wrapup).await;
    screen.hear("done").await;
    screen.say(json!({"type": "dial", "id": "4", "number": "13712345678"})).await;
    screen.hear("done").await;
    // Bad input, with something of a person in it.
    screen.say(json!({"type": "notes.set", "id": "5", "call": "secretcall", "text": 13_900_139_000_u64})).await;
    screen.hear("failed").await;
    screen.say(json!({"type": "dial", "id": "6", "number": "secretnumber"})).await;
    screen.hear("failed").await;
    let wrong = format!("{token}x");
    let mut stranger = Screen::open(desk.stage.places.agents).await;
    stranger.say(json!({"type": "authenticate", "token": wrong})).await;
    while let Some(Ok(_)) = stranger.0.next().await {}
    // A connector that fails says why, and not about whom.
    desk.hosts.tickets.set(Mode::Babbles);
    desk.hosts.erp.set(Mode::Babbles);
    // Another agent's: the first one is in the call that was dialled.
    desk.pbx.play(Story::DirectMissed, "13900139000", Some(1)).unwrap();
    desk.until("the calls are written", |d| d.records().len() == 3).await;

    let figures = desk.metrics();
    desk.signal(rustix::process::Signal::TERM);
    desk.child.take().unwrap().wait().unwrap();
    let log = std::fs::read_to_string(desk.stage.log()).unwrap();
    assert!(
        log.lines().filter(|l| l.contains("DEBUG") || l.contains("TRACE")).count() > 10,
        "hardly anything was said: {log}"
    );
    let secrets = std::fs::read_dir(desk.folder.join("secrets")).unwrap();
    let secrets: Vec<String> =
        secrets.map(|f| std::fs::read_to_string(f.unwrap().path()).unwrap()).filter(|s| s.len() > 4).collect();
    let personal = [
        "13800138000",
        "13900139000",
        "13712345678",
        "138****8000",
        "陈静",
        "李伟",
        "secret",
        "12860.50",
        "eyJ",
        &token,
    ];
    for (name, text) in [("the log", &log), ("the figures", &figures)] {
        for line in text.lines() {
            let line = line.replace("/secrets/", "/");
            let found = personal.into_iter().chain(secrets.iter().map(String::as_str)).find(|p| line.contains(p));
            assert_eq!(found, None, "in {name}: {line}");
        }
    }
}
