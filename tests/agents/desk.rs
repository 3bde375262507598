//! One small agents' desk: real shards on loopback, the real roster on a task, and clients that check what they get.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, LazyLock},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use linecard::{
    access::{Keys, Verifier, Who, issue},
    agents::{Ask, Figures, Limits, Output, Roster, Screens, Settings, Told, protocol, shards},
    calls::{
        Change, Directory, Face, What,
        ability::{Abilities, Ability},
        change::{Offer, Role},
        command::Deed,
        directory::{Agent, AgentsFile, SeatKind},
        face::{AgentLeg, CallState, OnCall},
        record::{Direction, Origin},
    },
    live,
    numbers::{Plan, TrunkRow},
    private::Secret,
    words::{CallId, Now},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{mpsc, oneshot},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest},
};
use tokio_util::sync::CancellationToken;

pub const ORIGIN: &str = "https://desk.example.org";
const SECRET: &str = "0123456789abcdef0123456789abcdef";

pub type Connected = Result<WebSocketStream<TcpStream>, Error>;
type Job = Box<dyn FnOnce(&mut Roster, Now) + Send>;

pub struct Desk {
    pub address: std::net::SocketAddr,
    pub stop: CancellationToken,
    screens: Arc<Screens>,
    jobs: mpsc::Sender<(Job, oneshot::Sender<()>)>,
    asks: mpsc::Receiver<Ask>,
    audit: Vec<linecard::agents::Deeds>,
    gone: mpsc::Receiver<()>,
    /// What the switch of the calls declares.
    pub declared: Arc<linecard::calls::Attributes>,
}

impl Desk {
    pub async fn open(change: impl FnOnce(&mut Settings)) -> Self {
        Self::of(change, directory).await
    }

    /// With other people.
    pub async fn with(directory: fn() -> Directory) -> Self {
        Self::of(|_| {}, directory).await
    }

    async fn of(change: impl FnOnce(&mut Settings), directory: fn() -> Directory) -> Self {
        let mut settings: Settings = linecard::files::read(
            "agents.yaml",
            "listen: 127.0.0.1:0\nshards: 2\norigins: [https://desk.example.org]\ntokens:\n  issuer: desk\n  keys: {hs256: {env: UNUSED}}\n",
        )
        .unwrap()
        .value;
        settings.limits = Limits { handshakes_per_s: 100_000, ..Limits::default() };
        change(&mut settings);
        assert_eq!(settings.problems(), []);
        let (limits, full_numbers) = (settings.limits.clone(), settings.full_numbers.clone());
        let states = settings.states.clone();
        let screens = Arc::new(Screens::new(&limits));
        let (heard, mut hears) = mpsc::channel(64);
        let (jobs, mut to_do) = mpsc::channel::<(Job, oneshot::Sender<()>)>(1);
        let (ask, asks) = mpsc::channel(64);
        let (left, gone) = mpsc::channel(2048);
        let stop = CancellationToken::new();
        let shards = shards::open(shards::Door {
            settings: Arc::new(settings),
            verifier: Arc::new(Verifier::new("desk", "linecard", Keys::hs256(&Secret::new(SECRET.into())).unwrap())),
            screens: screens.clone(),
            heard,
            back: tokio::runtime::Handle::current(),
            recordings: None,
            stop: stop.clone(),
        })
        .unwrap();
        let address = shards.address;
        let deliverer = screens.clone();
        tokio::spawn(async move {
            let mut roster = Roster::new(3, limits, full_numbers, vec!["pbx1".into()]);
            roster.states(states);
            let able = |deed| match deed {
                Deed::Hold => Ability::Cannot("the phone's own key does"),
                _ => Ability::Works,
            };
            roster.can(HashMap::from([("pbx1".into(), Abilities::of(able))]));
            loop {
                let told = tokio::select! {
                    Some(heard) = hears.recv() => {
                        let detached = matches!(heard.what, Told::Detached);
                        roster.heard(live::now(), heard, &directory());
                        if detached { let _ = left.try_send(()); }
                        None
                    }
                    Some((job, told)) = to_do.recv() => { job(&mut roster, live::now()); Some(told) }
                    else => return,
                };
                while let Some(output) = roster.drain(live::now()) {
                    match output {
                        Output::Deliver(deliver) => deliverer.deliver(deliver),
                        Output::Close(screen) => deliverer.too_many(screen),
                        Output::Ask(asked) => ask.send(asked).await.unwrap(),
                    }
                }
                if let Some(told) = told {
                    let _ = told.send(());
                }
            }
        });
        Self { address, stop, screens, jobs, asks, audit: Vec::new(), gone, declared: Arc::default() }
    }

    pub async fn roster(&self, job: impl FnOnce(&mut Roster, Now) + Send + 'static) {
        let (told, done) = oneshot::channel();
        self.jobs.send((Box::new(job), told)).await.ok().unwrap();
        done.await.unwrap();
    }

    pub async fn change(&self, call: CallId, what: What, on: &[(&Offer, AgentLeg)]) {
        let face = Face { declared: self.declared.clone(), ..face(call, on) };
        self.change_of(face, what).await;
    }

    pub async fn change_of(&self, face: Face, what: What) {
        let call = face.call;
        self.roster(move |roster, now| {
            roster.change(now, &Change { call, at: now, what }, &face, None, &directory());
        })
        .await;
    }

    pub async fn asked(&mut self) -> Ask {
        loop {
            match tokio::time::timeout(LONG, self.asks.recv()).await.expect("nothing was asked").unwrap() {
                Ask::Audit(deeds) => self.audit.push(deeds),
                // Counted beside everything.
                Ask::Lasted(_) => {}
                other => return other,
            }
        }
    }

    /// What is in the audit up to now.
    pub fn audited(&mut self) -> Vec<(String, &'static str, String)> {
        while let Ok(asked) = self.asks.try_recv() {
            match asked {
                Ask::Audit(deeds) => self.audit.push(deeds),
                Ask::Lasted(_) => {}
                other => panic!("asked: {other:?}"),
            }
        }
        self.audit.drain(..).map(|d| (d.asker.1.to_string(), d.deed.word(), d.result)).collect()
    }

    pub async fn detached(&mut self) {
        tokio::time::timeout(LONG, self.gone.recv()).await.expect("nobody left").unwrap();
    }

    pub fn figures(&self) -> &Figures {
        &self.screens.figures
    }

    pub async fn connect(&self, path: &str, origin: Option<&str>, protocols: &str) -> Connected {
        let mut request = format!("ws://{}{path}", self.address).into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", protocols.parse().unwrap());
        if let Some(origin) = origin {
            request.headers_mut().insert("Origin", origin.parse().unwrap());
        }
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        // Small, so that a client that does not read is soon found out.
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&self.address.into()).unwrap();
        socket.set_nonblocking(true).unwrap();
        let socket = TcpStream::from_std(socket.into()).unwrap();
        client_async(request, socket).await.map(|(ws, _)| ws)
    }

    /// A screen that has shown its token.
    pub async fn screen(&self, agent: &str) -> Screen {
        let mut screen = Screen::over(self.connect("/v1/agent", Some(ORIGIN), "linecard.v1").await);
        screen.say(serde_json::json!({"type":"authenticate","token":token(agent, 60)})).await;
        screen
    }

    pub async fn get(&self, path: &str) -> String {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: desk\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

pub struct Screen {
    ws: WebSocketStream<TcpStream>,
    closed: bool,
}

impl Screen {
    pub fn over(connected: Connected) -> Self {
        Self { ws: connected.unwrap(), closed: false }
    }

    pub async fn say(&mut self, frame: serde_json::Value) {
        self.say_text(&frame.to_string()).await;
    }

    pub async fn say_text(&mut self, text: &str) {
        self.ws.send(Message::text(text)).await.unwrap();
    }

    pub async fn say_binary(&mut self, bytes: &'static [u8]) {
        self.ws.send(Message::binary(bytes)).await.unwrap();
    }

    /// Welcome and an empty snapshot.
    pub async fn begin(&mut self) {
        assert_eq!(self.next().await["type"], "welcome");
        self.say(serde_json::json!({"type":"resume"})).await;
        assert_eq!(self.next().await["type"], "snapshot");
    }

    /// The next frame of this kind, read as fast as a browser would: what else comes is thrown away unread, for who floods himself with news and holds each
    /// against its schema is closed as too slow on a busy machine.
    pub async fn skim(&mut self, kind: &str) -> serde_json::Value {
        let kind = format!("\"type\":\"{kind}\"");
        loop {
            let message = tokio::time::timeout(LONG, self.ws.next()).await.expect("no frame came");
            match message {
                Some(Ok(Message::Text(text))) if text.as_str().contains(&kind) => {
                    return serde_json::from_str(text.as_str()).unwrap();
                }
                Some(Ok(Message::Text(_) | Message::Ping(_) | Message::Pong(_))) => {}
                other => {
                    self.closed = true;
                    panic!("closed instead of a frame: {other:?}");
                }
            }
        }
    }

    /// The next frame, valid by its schema.
    pub async fn next(&mut self) -> serde_json::Value {
        loop {
            let message = tokio::time::timeout(LONG, self.ws.next()).await.expect("no frame came");
            match message {
                Some(Ok(Message::Text(text))) => {
                    let frame: serde_json::Value = serde_json::from_str(text.as_str()).unwrap();
                    let kind = frame["type"].as_str().unwrap();
                    let problems: Vec<String> = SCHEMAS[kind].iter_errors(&frame).map(|e| e.to_string()).collect();
                    assert!(problems.is_empty(), "{problems:?} in {frame}");
                    return frame;
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => {
                    self.closed = true;
                    panic!("closed instead of a frame: {other:?}");
                }
            }
        }
    }

    pub async fn next_of(&mut self, kind: &str) -> serde_json::Value {
        loop {
            let frame = self.next().await;
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    pub const fn is_closed(&self) -> bool {
        self.closed
    }
}

/// The close code; frames before it are read and forgotten.
pub async fn closed(mut screen: Screen) -> u16 {
    loop {
        match tokio::time::timeout(LONG, screen.ws.next()).await.expect("not closed") {
            Some(Ok(Message::Close(frame))) => return frame.unwrap().code.into(),
            Some(Ok(_)) => {}
            other => panic!("gone without a word: {other:?}"),
        }
    }
}

pub fn status_of(connected: Connected) -> u16 {
    match connected {
        Err(Error::Http(answer)) => answer.status().as_u16(),
        Err(other) => panic!("{other}"),
        Ok(_) => 101,
    }
}

pub fn token(agent: &str, seconds: i64) -> String {
    let now = live::now().wall;
    let who = Who {
        tenant: "default".into(),
        agent: agent.into(),
        roles: ["agent".to_owned()].into(),
        teams: [].into(),
        device: None,
        expires: now.plus_ms(seconds * 1000),
    };
    issue(&Secret::new(SECRET.into()), "desk", "linecard", &who, now).into_inner()
}

pub fn offer(agent: &str, ordinal: u32, role: Role) -> Offer {
    Offer { ordinal, agent: agent.into(), device: format!("PJSIP/{agent}"), role }
}

pub fn face(call: CallId, on: &[(&Offer, AgentLeg)]) -> Face {
    let plan = Plan::new("CN", Some("10"));
    let now = live::now().wall;
    let row: TrunkRow =
        serde_json::from_value(serde_json::json!({"title":"After-sales","queue_label":"Support"})).unwrap();
    Face {
        places: 0,
        edges: Vec::new(),
        aside: false,
        recorded: false,
        had: Vec::new(),
        call,
        tenant: "default".into(),
        switch: "pbx1".into(),
        direction: Some(Direction::Inbound),
        origin: Origin::Phone,
        reference: None,
        customer: Some(plan.read("13800138000")),
        name: None,
        dialled: Some(plan.read("4008001234")),
        dialled_in: None,
        presented: None,
        trunk: Some("PJSIP/trunk".into()),
        line: Some(Arc::new(row)),
        queue: Some("support".into()),
        started_at: Some(now),
        queued_at: Some(now),
        answered_at: None,
        ended_at: None,
        state: if on.is_empty() { CallState::Queued } else { CallState::Ringing },
        agents: on
            .iter()
            .map(|(o, state)| OnCall { offer: (*o).clone(), state: *state, since: Some(now), asking: false })
            .collect(),
        attributes: BTreeMap::from([("ivr.account".to_owned(), "88001234".into())]),
        faults: BTreeMap::new(),
        account: None,
        declared: Arc::default(),
    }
}

pub fn directory() -> Directory {
    let agent =
        |id: &str, name: &str| Agent { name: Some(name.into()), ..Agent::new(id).at(&[&format!("PJSIP/{id}")]) };
    let login = Agent { seat: SeatKind::Login, ..Agent::new("1003") };
    let supervisor = Agent { roles: vec!["supervisor".into()], ..agent("1002", "Wang Fang") };
    let agents = vec![agent("1001", "Li Na"), supervisor, login];
    Directory::of(AgentsFile { seats: vec!["PJSIP/20*".into()], agents, ..AgentsFile::default() })
}

static SCHEMAS: LazyLock<HashMap<&'static str, jsonschema::Validator>> = LazyLock::new(|| {
    protocol::schemas()
        .into_iter()
        .map(|(kind, schema)| (kind, jsonschema::draft202012::new(&schema).unwrap()))
        .collect()
});

/// Nothing here takes a second; a machine under load may.
const LONG: Duration = Duration::from_secs(30);
