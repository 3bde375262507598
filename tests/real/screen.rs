//! An agent's screen: a WebSocket client that keeps every frame and holds each against the written protocol.

use std::{
    collections::HashMap,
    fs, io,
    net::TcpStream,
    path::Path,
    sync::{
        Arc, Condvar, Mutex,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{
    Error, Message, WebSocket, client, client::IntoClientRequest as _, http::HeaderValue,
};

/// The JSON Schemas of `docs/protocol/schemas`, by frame type.
pub struct Protocol(HashMap<String, jsonschema::Validator>);

impl Protocol {
    pub fn read() -> Result<Arc<Self>, String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protocol/schemas");
        let mut all = HashMap::new();
        for file in fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?.flatten() {
            let text = fs::read_to_string(file.path()).map_err(|e| e.to_string())?;
            let schema: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
            let name = file.file_name().to_string_lossy().trim_end_matches(".json").to_owned();
            all.insert(name, jsonschema::validator_for(&schema).map_err(|e| e.to_string())?);
        }
        Ok(Arc::new(Self(all)))
    }

    fn fault(&self, frame: &Value) -> Option<String> {
        let kind = frame["type"].as_str().unwrap_or_default();
        let Some(schema) = self.0.get(kind) else { return Some(format!("a frame of the unknown type `{kind}`")) };
        schema.iter_errors(frame).next().map(|e| format!("`{kind}` breaks its schema at {}: {e}", e.instance_path()))
    }
}

#[derive(Default)]
struct Heard {
    frames: Vec<Value>,
    /// Breaches of the protocol; must stay empty.
    faults: Vec<String>,
    closed: Option<String>,
}

pub struct Screen {
    pub agent: String,
    heard: Arc<(Mutex<Heard>, Condvar)>,
    say: Option<SyncSender<String>>,
    reader: Option<JoinHandle<()>>,
    requests: u32,
}

/// Where a screen was in its stream, to come back to.
#[derive(Clone, Copy)]
pub struct Place {
    epoch: u64,
    seq: u64,
}

impl Screen {
    /// Connects, hands over the token, and begins the stream (at `place`, or anew).
    pub fn open(
        port: u16,
        agent: &str,
        token: &str,
        protocol: &Arc<Protocol>,
        place: Option<Place>,
    ) -> Result<Self, String> {
        let stream = TcpStream::connect(("127.0.0.1", port)).map_err(|e| format!("no agents' door on {port}: {e}"))?;
        let mut request = format!("ws://127.0.0.1:{port}/v1/agent").into_client_request().map_err(|e| e.to_string())?;
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("linecard.v1"));
        stream.set_read_timeout(Some(Duration::from_secs(5))).map_err(|e| e.to_string())?;
        let (socket, _) = client(request, stream).map_err(|e| format!("the agents' door refused the upgrade: {e}"))?;
        // The reader thread also writes; it looks for something to say this often.
        socket.get_ref().set_read_timeout(Some(Duration::from_millis(20))).map_err(|e| e.to_string())?;
        let heard = Arc::new((Mutex::new(Heard::default()), Condvar::new()));
        // A story says a handful of things.
        let (say, said) = sync_channel(64);
        let reader = std::thread::spawn({
            let (heard, protocol) = (heard.clone(), protocol.clone());
            move || read(socket, &said, &heard, &protocol)
        });
        let screen = Self { agent: agent.to_owned(), heard, say: Some(say), reader: Some(reader), requests: 0 };
        screen.send(&json!({"type": "authenticate", "token": token}))?;
        screen.await_frame(0, "welcome", |f| f["type"] == "welcome")?;
        screen.send(&match place {
            Some(place) => json!({"type": "resume", "epoch": place.epoch, "seq": place.seq}),
            None => json!({"type": "resume"}),
        })?;
        screen.await_frame(0, "snapshot or resumed", |f| f["type"] == "snapshot" || f["type"] == "resumed")?;
        Ok(screen)
    }

    /// How many frames have come; a mark to look from.
    pub fn mark(&self) -> usize {
        self.heard().frames.len()
    }

    /// All frames since `mark`.
    pub fn since(&self, mark: usize) -> Vec<Value> {
        self.heard().frames.get(mark..).map(<[Value]>::to_vec).unwrap_or_default()
    }

    /// Breaches of the protocol so far.
    pub fn faults(&self) -> Vec<String> {
        self.heard().faults.clone()
    }

    pub fn place(&self) -> Option<Place> {
        let heard = self.heard();
        let epoch = heard.frames.iter().find(|f| f["type"] == "welcome")?["epoch"].as_u64()?;
        Some(Place { epoch, seq: heard.frames.iter().filter_map(|f| f["seq"].as_u64()).max()? })
    }

    /// The first frame since `mark` that `is` it.
    pub fn await_frame(&self, mark: usize, what: &str, is: impl Fn(&Value) -> bool) -> Result<Value, String> {
        self.await_place(mark, what, is).map(|(_, frame)| frame)
    }

    /// The same, with its place among the frames.
    pub fn await_place(&self, mark: usize, what: &str, is: impl Fn(&Value) -> bool) -> Result<(usize, Value), String> {
        let at_most = Duration::from_secs(20);
        let start = Instant::now();
        let mut heard = self.heard();
        let mut from = mark;
        loop {
            if let Some((at, found)) = heard.frames.iter().enumerate().skip(from).find(|(_, f)| is(f)) {
                return Ok((at, found.clone()));
            }
            from = from.max(heard.frames.len());
            let Some(left) = at_most.checked_sub(start.elapsed()).filter(|_| heard.closed.is_none()) else {
                let last: Vec<_> =
                    heard.frames.iter().skip(mark).map(|f| f["type"].as_str().unwrap_or("?").to_owned()).collect();
                let pop =
                    heard.frames.iter().skip(mark).rfind(|f| f["type"].as_str().is_some_and(|t| t.starts_with("pop")));
                let last = format!("{last:?}; the last pop: {}", pop.map(Value::to_string).unwrap_or_default());
                let closed = heard.closed.clone().map(|why| format!("; closed: {why}")).unwrap_or_default();
                return Err(format!("screen {} never saw {what}; since then came {last}{closed}", self.agent));
            };
            heard = self.heard.1.wait_timeout(heard, left).map_err(|_| "the reader died")?.0;
        }
    }

    /// Asks for something and waits for `done` or `failed`.
    pub fn ask(&mut self, kind: &str, body: Value) -> Result<Value, String> {
        let id = self.begin(kind, body)?;
        self.answer(&id)
    }

    /// The same without waiting: the request's id, for [`Screen::answer`].
    pub fn begin(&mut self, kind: &str, mut body: Value) -> Result<String, String> {
        self.requests += 1;
        let id = format!("r{}", self.requests);
        body["type"] = kind.into();
        body["id"] = id.clone().into();
        self.send(&body)?;
        Ok(id)
    }

    pub fn answer(&self, id: &str) -> Result<Value, String> {
        self.await_frame(0, &format!("an answer to {id}"), |f| {
            f["id"] == id && (f["type"] == "done" || f["type"] == "failed")
        })
    }

    fn send(&self, frame: &Value) -> Result<(), String> {
        let sent = self.say.as_ref().map(|say| say.try_send(frame.to_string()));
        match sent {
            Some(Ok(())) => Ok(()),
            Some(Err(TrySendError::Full(_))) => Err("64 frames wait to be said".to_owned()),
            _ => Err(format!("screen {} is closed", self.agent)),
        }
    }

    fn heard(&self) -> std::sync::MutexGuard<'_, Heard> {
        self.heard.0.lock().expect("the reader does not panic while it holds the lock")
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.say.take();
        if let Some(reader) = self.reader.take() {
            reader.join().ok();
        }
    }
}

fn read(
    mut socket: WebSocket<TcpStream>,
    said: &Receiver<String>,
    heard: &(Mutex<Heard>, Condvar),
    protocol: &Protocol,
) {
    let closed = loop {
        match said.try_recv() {
            Ok(text) => {
                if let Err(e) = socket.send(Message::text(text)) {
                    break e.to_string();
                }
            }
            Err(std::sync::mpsc::TryRecvError::Empty) => {}
            Err(std::sync::mpsc::TryRecvError::Disconnected) => {
                socket.close(None).ok();
                break "by us".to_owned();
            }
        }
        match socket.read() {
            Ok(Message::Text(text)) => {
                let mut heard_now = heard.0.lock().expect("nobody panics while holding the lock");
                match serde_json::from_str::<Value>(&text) {
                    Ok(frame) => {
                        heard_now.faults.extend(protocol.fault(&frame));
                        let last = heard_now.frames.iter().filter_map(|f| f["seq"].as_u64()).max().unwrap_or(0);
                        let seq = frame["seq"].as_u64().unwrap_or(0);
                        if seq != 0 && seq <= last {
                            heard_now.faults.push(format!("seq {seq} after {last}"));
                        }
                        heard_now.frames.push(frame);
                    }
                    Err(e) => heard_now.faults.push(format!("a frame that is no JSON: {e}")),
                }
                heard.1.notify_all();
            }
            Ok(Message::Close(frame)) => break format!("{frame:?}"),
            Ok(_) => {}
            Err(Error::Io(e)) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(e) => break e.to_string(),
        }
    };
    heard.0.lock().expect("nobody panics while holding the lock").closed = Some(closed);
    heard.1.notify_all();
}
