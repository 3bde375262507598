//! A question to a group of experts by messenger: the answer is on the agent's screen at once and on the ticket, whenever it comes, and strangers' never. The messengers are fakes with a
//! brain, spoken to by the files of the catalogue: they sign what they send, and send it before their own answer, twice, late, or unsigned.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::Mac as _;
use linecard::{
    calls::Directory,
    connectors::{self, Ask, Idempotency, Outcome, Set, hook},
    daemon::demo::story::Story,
    flows::{
        self, Settings, Starter, View,
        answers::live::Post,
        live::{Means, Plans, drive},
        start::Press,
    },
    live,
    records::live::Systems,
    store::{self, Store},
    words::{SystemId, TenantId},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

use crate::{agents::desk::Screen, daemon::Desk, sign_in::Folder, who};

const PROGRAM: &str = env!("CARGO_BIN_EXE_linecard");
const FLOW: &str = include_str!("../config/demo/flows/escalation.yaml");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Slack,
    Feishu,
}

/// A messenger: what was posted there, and what it sends.
pub struct Chat {
    pub kind: Kind,
    pub hooks: SocketAddr,
    posted: Mutex<Vec<Value>>,
    /// Answers the next question before it says that it is posted.
    early: Mutex<Option<&'static str>>,
    events: AtomicUsize,
}

const SLACK: &str = include_str!("../config/connectors/slack.yaml");
const FEISHU: &str = include_str!("../config/connectors/feishu-app.yaml");

impl Chat {
    pub async fn open(kind: Kind, hooks: SocketAddr) -> (Arc<Self>, SocketAddr) {
        let (posted, early, events) = (Mutex::default(), Mutex::default(), AtomicUsize::new(0));
        let chat = Arc::new(Self { kind, hooks, posted, early, events });
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let at = listener.local_addr().unwrap();
        let serving = chat.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let chat = serving.clone();
                tokio::spawn(async move { chat.guest(stream).await });
            }
        });
        (chat, at)
    }

    pub const fn name(&self) -> &'static str {
        match self.kind {
            Kind::Slack => "slack",
            Kind::Feishu => "feishu-app",
        }
    }

    /// The catalogue's file, with this address and the secrets of the stage.
    pub fn connector(&self, at: SocketAddr) -> String {
        let (text, base) = match self.kind {
            Kind::Slack => (SLACK, "https://slack.com/api"),
            Kind::Feishu => (FEISHU, "https://{{ host }}/open-apis"),
        };
        assert!(text.contains(base));
        let text = text.replace(base, &format!("http://{at}"));
        let secret = |text: String, name: &str| text.replace(&format!("{{env: {name}}}"), "{file: secrets/chat}");
        ["SLACK_TOKEN", "SLACK_SIGNING_SECRET", "FEISHU_APP_SECRET", "FEISHU_ENCRYPT_KEY", "FEISHU_VERIFICATION_TOKEN"]
            .into_iter()
            .fold(text, secret)
    }

    pub fn posted(&self) -> Vec<Value> {
        self.posted.lock().unwrap().clone()
    }

    fn id(n: usize) -> String {
        format!("1767225400.{n:06}")
    }

    /// Somebody's reply to the nth message.
    pub fn reply(&self, n: usize, who: &str, text: &str) -> Value {
        let event = format!("Ev{}", self.events.fetch_add(1, Ordering::Relaxed));
        match self.kind {
            Kind::Slack => {
                json!({"type": "event_callback", "event_id": event, "event": {"type": "message", "channel": "C0123456789", "user": who, "text": text, "thread_ts": Self::id(n)}})
            }
            Kind::Feishu => {
                json!({"schema": "2.0", "header": {"event_id": event, "event_type": "im.message.receive_v1"}, "event": {
                    "sender": {"sender_id": {"open_id": who}, "sender_type": "user"},
                    "message": {"chat_id": "oc_0123456789abcdef0123456789abcdef", "message_type": "text", "root_id": Self::id(n), "content": json!({"text": text}).to_string()},
                }})
            }
        }
    }

    /// Somebody presses a button.
    pub fn pressed(&self, who: &str, token: &str) -> Value {
        let event = format!("Ev{}", self.events.fetch_add(1, Ordering::Relaxed));
        match self.kind {
            Kind::Slack => {
                json!({"payload": {"type": "block_actions", "trigger_id": event, "user": {"id": who}, "actions": [{"type": "button", "value": token}]}})
            }
            Kind::Feishu => json!({"schema": "2.0", "header": {"event_id": event, "event_type": "card.action.trigger"},
                "event": {"operator": {"open_id": who}, "action": {"tag": "button", "value": {"token": token}}}}),
        }
    }

    /// As the messenger sends it; answers what it is told.
    pub async fn send(&self, event: &Value) -> (u16, String) {
        self.send_as(event, SECRET).await
    }

    pub async fn send_as(&self, event: &Value, secret: &str) -> (u16, String) {
        let seconds = (live::now().wall.0 / 1000).to_string();
        let (body, headers) = match self.kind {
            Kind::Slack => {
                let (body, kind) = match event.get("payload") {
                    Some(payload) => {
                        let form: String = payload.to_string().bytes().map(|b| format!("%{b:02X}")).collect();
                        (format!("payload={form}"), "application/x-www-form-urlencoded")
                    }
                    None => (event.to_string(), "application/json"),
                };
                let mut mac = hmac::Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
                mac.update(format!("v0:{seconds}:{body}").as_bytes());
                let sign = hex(&mac.finalize().into_bytes());
                (
                    body,
                    format!(
                        "Content-Type: {kind}\r\nX-Slack-Request-Timestamp: {seconds}\r\nX-Slack-Signature: v0={sign}"
                    ),
                )
            }
            Kind::Feishu => {
                let body = json!({"encrypt": closed(secret, &event.to_string())}).to_string();
                let sign = hex(&Sha256::digest(format!("{seconds}n{secret}{body}")));
                (
                    body,
                    format!(
                        "X-Lark-Request-Timestamp: {seconds}\r\nX-Lark-Request-Nonce: n\r\nX-Lark-Signature: {sign}"
                    ),
                )
            }
        };
        let request = format!(
            "POST /v1/hooks/{} HTTP/1.1\r\nHost: cti\r\n{headers}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.name(),
            body.len()
        );
        let mut stream = TcpStream::connect(self.hooks).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    async fn guest(&self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        loop {
            let head = loop {
                if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
                    break end + 4;
                }
                if !matches!(stream.read_buf(&mut bytes).await, Ok(n) if n > 0) {
                    return;
                }
            };
            let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
            let length = text.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
            let length: usize = length.map_or(0, |n| n.parse().unwrap());
            while bytes.len() < head + length {
                if !matches!(stream.read_buf(&mut bytes).await, Ok(n) if n > 0) {
                    return;
                }
            }
            let body: Value = serde_json::from_slice(&bytes[head..head + length]).unwrap_or_default();
            bytes.drain(..head + length);
            let answer = self.answer(text.split(' ').nth(1).unwrap(), body).await.to_string();
            let whole = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{answer}",
                answer.len()
            );
            if stream.write_all(whole.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    async fn answer(&self, path: &str, body: Value) -> Value {
        if path.contains("tenant_access_token") {
            return json!({"code": 0, "tenant_access_token": "t-1", "expire": 7200});
        }
        if path.contains("auth.test") {
            return json!({"ok": true, "user": "linecard", "user_id": "U0BOT"});
        }
        let n = {
            let mut posted = self.posted.lock().unwrap();
            posted.push(body);
            posted.len() - 1
        };
        let early = self.early.lock().unwrap().take();
        if let Some(text) = early {
            assert_eq!(self.send(&self.reply(n, "U0EXPERT01", text)).await.0, 200);
        }
        match self.kind {
            Kind::Slack => json!({"ok": true, "channel": "C0123456789", "ts": Self::id(n)}),
            Kind::Feishu => {
                json!({"code": 0, "data": {"message_id": Self::id(n), "chat_id": "oc_0123456789abcdef0123456789abcdef"}})
            }
        }
    }
}

/// Signs and encrypts everything in these tests.
const SECRET: &str = "the messenger's secret";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn closed(secret: &str, text: &str) -> String {
    use aes::cipher::{BlockEncryptMut as _, KeyIvInit as _, block_padding::Pkcs7};
    let iv = *b"0123456789abcdef";
    let cipher = cbc::Encryptor::<aes::Aes256>::new_from_slices(&Sha256::digest(secret), &iv).unwrap();
    let mut all = iv.to_vec();
    all.extend(cipher.encrypt_padded_vec_mut::<Pkcs7>(text.as_bytes()));
    STANDARD.encode(all)
}

/// A desk whose experts sit at this messenger.
pub async fn desk(kind: Kind) -> (Desk, Arc<Chat>) {
    let desk = Desk::set(3.0).await;
    let hooks = desk.stage.places.hooks;
    let (chat, at) = Chat::open(kind, hooks).await;
    std::fs::write(desk.folder.join("secrets/chat"), SECRET).unwrap();
    desk.stage.write("rules.yaml", "rules: []\n").unwrap();
    desk.stage.write(&format!("connectors/{}.yaml", chat.name()), &chat.connector(at)).unwrap();
    let agents = include_str!("../config/demo/agents.yaml");
    let ids = "ids: {erp: u-wang, desk: wang}";
    assert!(agents.contains(ids));
    desk.stage
        .write(
            "agents.yaml",
            &agents.replace(ids, &format!("ids: {{erp: u-wang, desk: wang, {}: U0EXPERT01}}", chat.name())),
        )
        .unwrap();
    desk.stage
        .write("flows/escalation.yaml", &FLOW.replace("system: chat", &format!("system: {}", chat.name())))
        .unwrap();
    let quick = FLOW.replace("flow: escalation", "flow: quick").replace("1800000", "400");
    desk.stage.write("flows/quick.yaml", &quick.replace("system: chat", &format!("system: {}", chat.name()))).unwrap();
    let file = desk.stage.settings().join("linecard.yaml");
    let more = "\nflows: {deadline_ms: 2000, quiet_ms: 300, backoff_ms: 20, backoff_cap_ms: 200}\n";
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("level: info"));
    std::fs::write(&file, text.replace("level: info", "level: trace") + more).unwrap();
    (desk, chat)
}

/// The next `flow.changed` of this flow that is so.
pub async fn flow(screen: &mut Screen, id: &Value, so: impl Fn(&Value) -> bool) -> Value {
    loop {
        let frame = screen.next_of("flow.changed").await;
        if frame["flow"] == *id && so(&frame) {
            return frame;
        }
    }
}

pub fn step<'a>(frame: &'a Value, name: &str) -> &'a Value {
    frame["steps"].as_array().unwrap().iter().find(|step| step["step"] == name).unwrap()
}

async fn ask(screen: &mut Screen, name: &str, id: &str, call: &Value, question: &str) -> Value {
    let inputs = json!({"question": question});
    screen.say(json!({"type": "flow.start", "id": id, "name": name, "call": call, "inputs": inputs})).await;
    screen.next_of("done").await["flow"].clone()
}

fn notes(desk: &Desk) -> Vec<String> {
    desk.hosts.tickets.ledger().into_iter().filter(|w| w.what == "note").map(|w| w.text).collect()
}

async fn story(kind: Kind) {
    let (mut desk, chat) = desk(kind).await;
    desk.start(None).await;
    desk.until("the daemon is logged in", |desk| desk.pbx.logged_in() > 0).await;
    let mut agent = who::screen(&desk, "1001").await;
    desk.pbx.play(Story::Answered, "13800138000", Some(0));
    let call = loop {
        let frame = agent.next().await;
        if frame["card"]["answer"]["state"] == "found" {
            break frame["call"].clone();
        }
    };

    // The answer is there before the messenger says that the question is.
    *chat.early.lock().unwrap() = Some("at once: <b>three</b> days");
    let first = ask(&mut agent, "escalation", "a", &call, "When is the refund there?").await;
    let done = flow(&mut agent, &first, |f| f["state"] == "done").await;
    let answer = json!({"text": "at once: <b>three</b> days", "name": "Agent Wang"});
    assert_eq!(step(&done, "expert")["answer"], answer);
    assert_eq!(
        notes(&desk),
        ["Asked the experts: When is the refund there?\nAgent Wang answered: at once: <b>three</b> days"]
    );
    assert!(chat.posted()[0].to_string().contains("1001 asks: When is the refund there?"));
    // It is over, and stays in sight as long as the call.
    agent.say(json!({"type": "flow.list", "id": "l"})).await;
    let list = agent.next_of("done").await["flows"]["list"].clone();
    assert_eq!(step(&list[0], "expert")["answer"], answer);

    let shown = |more: &[&str]| {
        desk.stage.verb(Path::new(PROGRAM), &[&["flows", "show", first.as_str().unwrap()], more].concat()).unwrap()
    };
    assert!(!shown(&[]).contains("at once:") && shown(&["--full"]).contains("at once:"));

    // It waits; a kill forgets nothing of it, and what is no answer is none.
    let second = ask(&mut agent, "escalation", "b", &call, "And by bank?").await;
    let waits = flow(&mut agent, &second, |f| step(f, "expert")["state"] == "answer").await;
    assert!(waits["state"] == "running" && step(&waits, "expert")["until"].is_string(), "{waits}");
    desk.child.as_mut().unwrap().kill().unwrap();
    desk.child.take().unwrap().wait().unwrap();
    desk.start(None).await;
    let mut agent = who::screen(&desk, "1001").await;
    let reply = chat.reply(1, "U0EXPERT02", "five days");
    let mut program = chat.reply(1, "U0BOT", "I take note");
    match kind {
        Kind::Slack => program["event"]["bot_id"] = json!("B1"),
        Kind::Feishu => program["event"]["sender"]["sender_type"] = json!("app"),
    }
    assert_eq!(chat.send_as(&reply, "a guess").await.0, 404);
    for other in
        [program, chat.reply(0, "U0EXPERT02", "to the first one"), chat.reply(7, "U0EXPERT02", "to nothing of ours")]
    {
        assert_eq!(chat.send(&other).await.0, 200);
    }
    assert_eq!(chat.send(&reply).await.0, 200);
    assert_eq!(chat.send(&reply).await.0, 200);
    assert_eq!(chat.send(&chat.reply(1, "U0EXPERT03", "no, six")).await.0, 200);
    let done = flow(&mut agent, &second, |f| f["state"] == "done").await;
    assert_eq!(step(&done, "expert")["answer"], json!({"text": "five days", "name": "U0EXPERT02"}));
    assert_eq!(notes(&desk)[1..], ["Asked the experts: And by bank?\nU0EXPERT02 answered: five days"]);
    let audit = desk.stage.verb(Path::new(PROGRAM), &["audit", "--about", second.as_str().unwrap(), "--json"]).unwrap();
    assert!(audit.contains("\"flow.answer\"") && audit.contains(&format!("U0EXPERT02@{}", chat.name())), "{audit}");

    // Nobody answers in time: the ticket says so, and who comes too late changes nothing.
    let third = ask(&mut agent, "quick", "c", &call, "Anybody?").await;
    let done = flow(&mut agent, &third, |f| f["state"] == "done").await;
    assert_eq!(step(&done, "expert")["reason"], "nobody answered in time");
    assert_eq!(chat.send(&chat.reply(2, "U0EXPERT02", "me")).await.0, 200);
    assert_eq!(notes(&desk)[2..], ["Asked the experts: Anybody?\nNobody answered within half an hour."]);

    // Stopped while it waits.
    let fourth = ask(&mut agent, "escalation", "d", &call, "Never mind?").await;
    flow(&mut agent, &fourth, |f| step(f, "expert")["state"] == "answer").await;
    agent.say(json!({"type": "flow.stop", "id": "stop", "flow": fourth})).await;
    agent.next_of("done").await;
    flow(&mut agent, &fourth, |f| f["state"] == "undone").await;
    assert_eq!(chat.send(&chat.reply(3, "U0EXPERT02", "too late")).await.0, 200);
    assert_eq!((notes(&desk).len(), chat.posted().len()), (3, 4));
    // Whatever was logged, nothing of what people said, nor who said it.
    let log = std::fs::read_to_string(desk.stage.log()).unwrap();
    assert!(log.len() > 1_000);
    for said in ["five days", "at once:", "When is the refund", "U0EXPERT", SECRET] {
        assert!(!log.contains(said), "{said:?} is in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_experts_answer_by_slack_is_on_the_screen_and_on_the_ticket_whenever_it_comes() {
    story(Kind::Slack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_experts_answer_by_feishu_is_on_the_screen_and_on_the_ticket_whenever_it_comes() {
    story(Kind::Feishu).await;
}

/// A messenger that only counts.
#[derive(Clone, Default)]
struct Quiet(Arc<AtomicUsize>);

impl Systems for Quiet {
    fn idempotency(&self, _: &TenantId, _: &SystemId, _: &str) -> Idempotency {
        Idempotency::Key
    }
    fn offers(&self, _: &SystemId, _: &str) -> bool {
        true
    }
    async fn ask(&self, ask: Ask) -> Outcome {
        let id = match ask.system.as_str() {
            "chat" => ask.inputs["text"].as_str().unwrap().to_owned(),
            _ => self.0.fetch_add(1, Ordering::Relaxed).to_string(),
        };
        Outcome::Ok(json!({"id": id}))
    }
}

const MANY: &str = r#"
flow: many
schema: 1
title: Many
on: [button: {}]
inputs: {question: {type: text}}
steps:
  - step: {name: ask, system: chat, operation: notify, inputs: {text: "{{ inputs.question }}"}, save: question, undo: none}
  - answer: {name: expert, system: chat, to: question.id, within_ms: 86400000, save: expert}
  - step: {name: tell, system: desk, operation: notify, inputs: {text: "{{ expert.text }}"}, undo: none}
"#;

/// As many wait, over a restart; each answer finds its own at once.
async fn so_many(wanted: usize) {
    let folder = Folder::new();
    let file = |name: &str, text: &str| connectors::load_offline(name, text).unwrap_or_else(|e| panic!("{e:?}"));
    let set = Set::new(vec![
        file("chat.yaml", include_str!("../config/demo/connectors/chat.yaml")),
        file("desk.yaml", include_str!("../config/demo/connectors/desk.yaml")),
    ]);
    let plan = Arc::new(
        flows::read("many.yaml", MANY, &set, &std::collections::BTreeSet::new()).unwrap_or_else(|p| panic!("{p:#?}")),
    );
    let settings = store::Settings { path: folder.0.join("store.db"), ..store::Settings::default() };
    let mut store = Store::open(&settings).unwrap();
    let plans = Plans::default();
    plans.swap(&store, vec![plan.clone()]).await.unwrap();
    let starter = Starter::new(vec![plan]);
    let press = |n: usize| Press {
        tenant: TenantId::default(),
        agent: "1001".into(),
        roles: Vec::new(),
        flow: "many".to_owned(),
        request: n.to_string(),
        inputs: json!({"question": format!("m{n}")}).as_object().unwrap().clone().into(),
    };
    let rows = (0..wanted)
        .map(|n| starter.pressed(press(n), None, Value::Null, &Directory::default(), live::now().wall).unwrap());
    store.submit(store::Batch { flows: rows.collect(), ..store::Batch::default() }).await.unwrap();
    let (systems, chat, tenant) = (Quiet::default(), SystemId::from("chat"), TenantId::default());
    let mut waits: BTreeMap<String, bool> = BTreeMap::new();
    let told = |n: usize, text: &str| hook::Answer {
        key: format!("m{n}"),
        text: text.to_owned(),
        who: "u".to_owned(),
        name: None,
    };
    for life in 0..2 {
        let (post, stop) = (Post::new(store.clone(), Arc::default()), CancellationToken::new());
        let means = Means {
            systems: systems.clone(),
            plans: plans.clone(),
            settings: Settings::default(),
            tenant: tenant.clone(),
            inscriptions: tokio::sync::mpsc::channel(1).0,
            post: post.clone(),
        };
        let (news, mut heard) = mpsc::channel::<View>(256);
        let began = Instant::now();
        let driving = tokio::spawn(drive(store.clone(), means, news, stop.clone()));
        if life == 0 {
            while waits.len() < wanted {
                let view = heard.recv().await.unwrap();
                let waiting = view.steps.iter().any(|step| step.state == flows::view::StepState::Answer);
                if waiting {
                    waits.insert(view.flow, true);
                }
            }
            println!("{wanted} wait after {:?}", began.elapsed());
        } else {
            let drain = tokio::spawn(async move { while heard.recv().await.is_some() {} });
            let mut slowest = Duration::ZERO;
            let many = wanted.min(200);
            for n in 0..many {
                let asked = Instant::now();
                post.arrive(
                    &tenant,
                    &chat,
                    &format!("e{n}"),
                    &[told(n * (wanted / many), "yes")],
                    true,
                    live::now().wall,
                )
                .await
                .unwrap();
                while systems.0.load(Ordering::Relaxed) <= n {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    assert!(asked.elapsed() < Duration::from_secs(60), "answer {n} of {wanted} was not heard");
                }
                if n == 0 {
                    println!("the first answer after the restart went on after {:?}", began.elapsed());
                } else {
                    slowest = slowest.max(asked.elapsed());
                }
            }
            println!(
                "after a restart among {wanted}, {many} answers; the slowest went on after {slowest:?}; the whole took {:?}",
                began.elapsed()
            );
            stop.cancel();
            driving.await.unwrap();
            drain.abort();
            break;
        }
        stop.cancel();
        driving.await.unwrap();
        drop(post);
        drop(store);
        store = Store::open(&settings).unwrap();
    }
    assert_eq!(systems.0.load(Ordering::Relaxed), wanted.min(200), "each answer is one flow's");
    let open = store.flows_open(wanted + 1).await.unwrap().len();
    assert_eq!(open, wanted - wanted.min(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_finds_its_flow_after_a_restart() {
    so_many(300).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_finds_its_flow_among_ten_thousand() {
    so_many(10_000).await;
}

/// A desk that answers when it is let.
#[derive(Clone, Default)]
struct Slow(Arc<tokio::sync::Notify>);

impl Systems for Slow {
    fn idempotency(&self, _: &TenantId, _: &SystemId, _: &str) -> Idempotency {
        Idempotency::Key
    }
    fn offers(&self, _: &SystemId, _: &str) -> bool {
        true
    }
    async fn ask(&self, ask: Ask) -> Outcome {
        if ask.system.as_str() == "desk" {
            self.0.notified().await;
        }
        Outcome::Ok(json!({"id": "m1"}))
    }
}

/// What came in time counts, though another branch of the flow was under way until after it.
#[tokio::test]
async fn an_answer_in_time_is_not_lost_to_a_slow_neighbour() {
    const FLOW: &str = r#"
flow: two
schema: 1
title: Two
on: [button: {}]
steps:
  - step: {name: ask, system: chat, operation: notify, inputs: {text: who}, save: question, undo: none}
  - parallel:
      - answer: {name: expert, system: chat, to: question.id, within_ms: 400}
      - step: {name: slow, system: desk, operation: notify, inputs: {text: t}, undo: none}
"#;
    let folder = Folder::new();
    let file = |name: &str, text: &str| connectors::load_offline(name, text).unwrap_or_else(|e| panic!("{e:?}"));
    let set = Set::new(vec![
        file("chat.yaml", include_str!("../config/demo/connectors/chat.yaml")),
        file("desk.yaml", include_str!("../config/demo/connectors/desk.yaml")),
    ]);
    let none = std::collections::BTreeSet::new();
    let plan = Arc::new(flows::read("two.yaml", FLOW, &set, &none).unwrap_or_else(|p| panic!("{p:#?}")));
    let settings = store::Settings { path: folder.0.join("store.db"), ..store::Settings::default() };
    let store = Store::open(&settings).unwrap();
    let plans = Plans::default();
    plans.swap(&store, vec![plan.clone()]).await.unwrap();
    let tenant = TenantId::from("acme");
    let press = Press {
        tenant: tenant.clone(),
        agent: "1001".into(),
        roles: Vec::new(),
        flow: "two".to_owned(),
        request: "r".to_owned(),
        inputs: serde_json::Map::new().into(),
    };
    let row = Starter::new(vec![plan]).pressed(press, None, Value::Null, &Directory::default(), live::now().wall);
    store.submit(store::Batch { flows: vec![row.unwrap()], ..store::Batch::default() }).await.unwrap();
    let (systems, post, stop) = (Slow::default(), Post::new(store.clone(), Arc::default()), CancellationToken::new());
    let means = Means {
        systems: systems.clone(),
        plans,
        settings: Settings::default(),
        tenant: TenantId::default(),
        inscriptions: mpsc::channel(1).0,
        post: post.clone(),
    };
    let (news, mut heard) = mpsc::channel::<View>(256);
    let driving = tokio::spawn(drive(store.clone(), means, news, stop.clone()));
    let waits = |view: &View| view.steps.iter().any(|step| step.state == flows::view::StepState::Answer);
    while !waits(&heard.recv().await.unwrap()) {}
    let told = hook::Answer { key: "m1".to_owned(), text: "me".to_owned(), who: "u".to_owned(), name: None };
    // The door is of no tenant; the flow is of another than its own.
    post.arrive(&TenantId::default(), &"chat".into(), "e", &[told], true, live::now().wall).await.unwrap();
    // Time itself: the answer's is over before the neighbour is done.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    systems.0.notify_one();
    let mut view = heard.recv().await.unwrap();
    while !["done", "undone"].contains(&view.state.as_str()) {
        view = heard.recv().await.unwrap();
    }
    assert_eq!((view.state.as_str(), view.reason), ("done", None));
    stop.cancel();
    driving.await.unwrap();
}

/// What nobody waits for is held for a day, and then gone.
#[tokio::test]
async fn answers_that_nobody_waits_for_are_forgotten() {
    let folder = Folder::new();
    let settings = store::Settings { path: folder.0.join("store.db"), ..store::Settings::default() };
    let store = Store::open(&settings).unwrap();
    let post = Post::new(store.clone(), Arc::default());
    let (tenant, chat, at) = (TenantId::default(), SystemId::from("chat"), live::now().wall);
    let told = hook::Answer { key: "k".to_owned(), text: "t".to_owned(), who: "u".to_owned(), name: None };
    post.arrive(&tenant, &chat, "e", &[told.clone(), told], true, at).await.unwrap();
    assert_eq!(store.forget_words(at).await.unwrap(), 0);
    assert_eq!(store.forget_words(at.plus_ms(1)).await.unwrap(), 2);
}
