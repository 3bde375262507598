//! Recordings over real sockets: a daemon with records in its store and files in a folder (or at a web server with a brain), agents who ask for them on
//! the WebSocket, and players who fetch by range. Whoever may not, and whatever is not what it should be, gets nothing.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use linecard::{
    store::{Batch, RecordRow, Store},
    words::{CallId, Wall},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{daemon::Desk, privacy::Screen};

const PROGRAM: &str = env!("CARGO_BIN_EXE_linecard");
const DAY_MS: i64 = 86_400_000;

/// A desk whose switch is `pbx1`; `place` and what follows go under `recordings:`.
struct House {
    desk: Desk,
    rec: PathBuf,
    calls: u128,
    asked: AtomicUsize,
}

impl House {
    async fn new() -> Self {
        let desk = Desk::set(0.1).await;
        let rec = desk.folder.join("monitor");
        std::fs::create_dir_all(rec.join("2026")).unwrap();
        let settings = desk.stage.settings().join("linecard.yaml");
        let text = std::fs::read_to_string(&settings).unwrap().replace("level: info", "level: trace");
        std::fs::write(&settings, text).unwrap();
        // 1003 supervises the team of all three; 1002 is of another one.
        let agents = desk.stage.settings().join("agents.yaml");
        let text = std::fs::read_to_string(&agents).unwrap();
        let text = text.replace(
            "devices: [PJSIP/1003]\n    teams: [support]",
            "devices: [PJSIP/1003]\n    teams: [support]\n    roles: [supervisor]",
        );
        let text =
            text.replace("devices: [PJSIP/1002]\n    teams: [support]", "devices: [PJSIP/1002]\n    teams: [sales]");
        assert!(text.contains("roles: [supervisor]") && text.contains("teams: [sales]"));
        std::fs::write(&agents, text).unwrap();
        Self { desk, rec, calls: 1, asked: AtomicUsize::new(0) }
    }

    fn settings(&self, recordings: &str) {
        let path = self.desk.stage.settings().join("linecard.yaml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, format!("{text}recordings:\n{recordings}")).unwrap();
    }

    fn folder(&self, more: &str) {
        self.settings(&format!("  places: [{{switch: pbx1, folder: {}}}]\n{more}", self.rec.display()));
    }

    fn file(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.rec.join(name), bytes).unwrap();
    }

    /// Puts records into the store before the daemon has it.
    async fn records(&self, rows: Vec<RecordRow>) {
        let path = self.desk.folder.join("store/linecard.db");
        let settings = linecard::store::Settings { path, ..Default::default() };
        let store = Store::open(&settings).unwrap();
        store.submit(Batch { records: rows, ..Batch::default() }).await.unwrap();
    }

    /// A call that ended so long ago, with these recordings.
    fn call(&mut self, tenant: &str, agents: &[&str], days: i64, recordings: &[(&str, &str)]) -> RecordRow {
        self.calls += 1;
        let call = CallId(ulid::Ulid(self.calls));
        let at = Wall(linecard::live::now().wall.0 - days * DAY_MS - 1_000);
        let list: Vec<Value> =
            recordings.iter().map(|(id, state)| json!({"id": id, "uri": "file:///x", "state": state})).collect();
        let body = json!({"record": 1, "revision": 1, "call": call, "tenant": tenant, "switch": "pbx1", "direction": "inbound", "origin": "phone",
            "outcome": "answered", "end": "seen", "ended_at": at, "agents": agents, "quality": "exact", "recordings": list});
        RecordRow {
            tenant: tenant.into(),
            call,
            revision: 1,
            schema: 1,
            started_at: None,
            ended_at: Some(at),
            direction: None,
            outcome: None,
            queue: None,
            body: body.to_string().into(),
        }
    }

    /// Asks on the agent's screen; the answer.
    async fn ask(&self, screen: &mut Screen, call: &RecordRow, recording: u16) -> Value {
        let id = format!("r{}", self.asked.fetch_add(1, Ordering::Relaxed));
        screen.say(json!({"type": "recording.link", "id": id, "call": call.call, "recording": recording})).await;
        loop {
            let answer = screen.hear_any(&["done", "failed"]).await;
            if answer["id"] == id {
                return answer;
            }
        }
    }

    async fn link(&self, screen: &mut Screen, call: &RecordRow) -> String {
        let answer = self.ask(screen, call, 0).await;
        answer["link"]["url"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    fn at(&self) -> SocketAddr {
        self.desk.stage.places.agents
    }

    /// Who did what about a call, oldest first.
    fn audit(&self, call: &RecordRow) -> Vec<String> {
        let words = ["audit", "--about", &call.call.to_string(), "--json"];
        let said = self.desk.stage.verb(Path::new(PROGRAM), &words).unwrap();
        let rows = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut rows: Vec<String> = rows
            .map(|row| {
                let word = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
                format!("{} {} {}", word("who"), word("what"), word("reason"))
            })
            .collect();
        rows.reverse();
        rows
    }

    fn record(&self, call: &RecordRow) -> Value {
        let said =
            self.desk.stage.verb(Path::new(PROGRAM), &["records", "show", &call.call.to_string(), "--json"]).unwrap();
        serde_json::from_str(&said).unwrap()
    }
}

/// An answer over HTTP: status, headers in lower case, body.
#[derive(Debug)]
struct Got {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

async fn ask(at: SocketAddr, method: &str, path: &str, headers: &str) -> Got {
    let mut socket = TcpStream::connect(at).await.unwrap();
    socket.write_all(format!("{method} {path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n").as_bytes()).await.unwrap();
    let mut all = Vec::new();
    tokio::time::timeout(Duration::from_secs(30), socket.read_to_end(&mut all)).await.unwrap().unwrap();
    read(&all)
}

fn read(all: &[u8]) -> Got {
    let end =
        all.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(all)));
    let head = String::from_utf8(all[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.filter_map(|line| line.split_once(": ")).map(|(k, v)| (k.to_ascii_lowercase(), v.to_owned()));
    Got { status, headers: headers.collect(), body: all[end + 4..].to_vec() }
}

async fn get(at: SocketAddr, path: &str, range: &str) -> Got {
    let range = if range.is_empty() { String::new() } else { format!("range: {range}\r\n") };
    ask(at, "GET", path, &range).await
}

/// Bytes of which no two stretches are alike.
fn sound(length: usize) -> Vec<u8> {
    (0_u32..).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).take(length).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_talked_and_who_supervises_hears_a_call_whole_and_by_ranges() {
    let mut house = House::new().await;
    let bytes = sound(300_001);
    house.file("2026/one.wav", &bytes);
    house.file("two.mp3", b"ID3");
    let call = house.call("default", &["1001"], 0, &[("2026/one.wav", "recorded"), ("two.mp3", "recorded")]);
    let foreign = house.call("other", &["1001"], 0, &[("two.mp3", "recorded")]);
    house.records(vec![call.clone(), foreign.clone()]).await;
    house.folder("");
    house.desk.start(None).await;
    let mut one = Screen::of(&house.desk, "1001").await;
    let mut two = Screen::of(&house.desk, "1002").await;
    let mut three = Screen::of(&house.desk, "1003").await;

    // Who may ask.
    let answer = house.ask(&mut one, &call, 0).await;
    assert_eq!((&answer["link"]["recording"], &answer["link"]["of"]), (&json!(0), &json!(2)), "{answer}");
    let until: Wall = serde_json::from_value(answer["link"]["expires_at"].clone()).unwrap();
    let left = until.since(linecard::live::now().wall);
    assert!((500_000..=600_000).contains(&left), "{left}");
    let url = answer["link"]["url"].as_str().unwrap().to_owned();
    assert!(url.starts_with(&format!("/v1/recordings/{}-0?t=", call.call)) && !url.contains("one"), "{url}");
    assert_eq!(house.ask(&mut two, &call, 0).await["code"], "not-permitted");
    assert_eq!(house.ask(&mut one, &call, 2).await["code"], "unknown-recording");
    for screen in [&mut one, &mut three] {
        assert_eq!(house.ask(screen, &foreign, 0).await["code"], "unknown-recording", "another tenant's call");
    }
    let supervised = house.link(&mut three, &call).await;

    // What a player gets.
    let at = house.at();
    let whole = get(at, &url, "").await;
    assert_eq!((whole.status, whole.body == bytes), (200, true));
    for (name, value) in [
        ("content-type", "audio/wav"),
        ("content-length", "300001"),
        ("accept-ranges", "bytes"),
        ("cache-control", "private, no-store"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(whole.header(name), value, "{name}");
    }
    assert_eq!(whole.header("content-disposition"), format!("inline; filename=\"{}-0.wav\"", call.call));
    for (range, first, last) in [
        ("bytes=0-0", 0, 0),
        ("bytes=100000-199999", 100_000, 199_999),
        ("bytes=300000-", 300_000, 300_000),
        ("bytes=-70000", 230_001, 300_000),
        ("bytes=299990-400000", 299_990, 300_000),
    ] {
        let part = get(at, &url, range).await;
        assert_eq!(
            (part.status, part.header("content-range")),
            (206, &*format!("bytes {first}-{last}/300001")),
            "{range}"
        );
        assert_eq!(part.header("content-length"), (last - first + 1).to_string());
        assert!(part.body == bytes[first..=last], "{range}");
    }
    for range in ["bytes=0-4,10-14", "bytes=5-2", "seconds=1-2"] {
        let all = get(at, &url, range).await;
        assert_eq!((all.status, all.body.len()), (200, 300_001), "{range}");
    }
    for range in ["bytes=300001-", "bytes=-0"] {
        let none = get(at, &url, range).await;
        assert_eq!((none.status, none.header("content-range"), none.body.len()), (416, "bytes */300001", 0), "{range}");
    }
    let head = ask(at, "HEAD", &url, "range: bytes=5-9\r\n").await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, "300001", 0));
    let tag = whole.header("etag").to_owned();
    let goes_on = ask(at, "GET", &url, &format!("range: bytes=5-9\r\nif-range: {tag}\r\n")).await;
    assert_eq!((goes_on.status, goes_on.body.len()), (206, 5));
    let changed = ask(at, "GET", &url, "range: bytes=5-9\r\nif-range: \"another\"\r\n").await;
    assert_eq!((changed.status, changed.body.len()), (200, 300_001));
    assert_eq!(get(at, &supervised, "bytes=0-3").await.body, bytes[..4]);

    // A link is for its own recording, and for nothing else.
    let cut: String = url.chars().take(url.len() - 1).collect();
    let astray = url.replace("-0?", "-1?");
    for path in
        [&*astray, &*astray, &cut, "/v1/recordings/", "/v1/recordings/x?t=", "/v1/recordings/../linecard.yaml?t=x"]
    {
        let got = get(at, path, "").await;
        assert_eq!((got.status, got.body.len()), (404, 0), "{path}");
    }
    assert_eq!(ask(at, "POST", &url, "").await.status, 405);
    assert_eq!(
        house.audit(&call),
        [
            "1001 recording.link done, 1 of 2",
            "1002 recording.link not-permitted",
            "1001 recording.link unknown-recording",
            "1003 recording.link done, 1 of 2",
            "1001 recording.heard done",
            "1003 recording.heard done",
            "1001 recording.heard not-permitted",
        ]
    );
    let log = std::fs::read_to_string(house.desk.stage.log()).unwrap();
    let token = url.split("?t=").nth(1).unwrap();
    assert!(!log.contains(token) && !log.contains("one.wav"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_lead_elsewhere_and_what_is_no_file_give_nothing() {
    let mut house = House::new().await;
    std::fs::write(house.desk.folder.join("secret.wav"), b"secret").unwrap();
    symlink(house.desk.folder.join("secret.wav"), house.rec.join("link.wav")).unwrap();
    symlink(house.desk.folder.join("secrets"), house.rec.join("door")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(house.rec.join("pipe.wav")).status().unwrap().success());
    house.file("odd.html", b"<script>");
    let names = [
        "../secret.wav",
        "2026/../../secret.wav",
        "/../secret.wav",
        "link.wav",
        "door/tokens",
        "pipe.wav",
        "2026",
        "none.wav",
        "a\0.wav",
        "",
    ];
    let mut rows: Vec<RecordRow> =
        names.iter().map(|name| house.call("default", &["1001"], 0, &[(name, "recorded")])).collect();
    let odd = house.call("default", &["1001"], 0, &[("odd.html", "recorded")]);
    let gone = house.call("default", &["1001"], 0, &[("odd.html", "removed")]);
    let old = house.call("default", &["1001"], 40, &[("odd.html", "recorded")]);
    rows.extend([odd.clone(), gone.clone(), old.clone()]);
    house.records(rows.clone()).await;
    house.folder("  keep: [{days: 30}]\n  readers: 2\n");
    house.desk.start(None).await;
    let mut one = Screen::of(&house.desk, "1001").await;
    for (name, call) in names.iter().zip(&rows) {
        let answer = house.ask(&mut one, call, 0).await;
        assert_eq!(answer["code"], "unavailable", "{name:?}: {answer}");
    }
    for call in [&gone, &old] {
        assert_eq!(house.ask(&mut one, call, 0).await["code"], "recording-gone");
    }
    // What is no sound is for no page to show.
    let url = house.link(&mut one, &odd).await;
    let got = get(house.at(), &url, "").await;
    assert_eq!((got.status, got.header("content-type")), (200, "application/octet-stream"));
    assert!(
        got.header("content-disposition").starts_with("attachment;")
            && got.header("content-security-policy").contains("sandbox")
    );
    // A file that goes away, or becomes shorter than it was told to be, between the link and the player.
    std::fs::remove_file(house.rec.join("odd.html")).unwrap();
    assert_eq!(get(house.at(), &url, "").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_players_are_let_go_and_there_are_no_more_than_may_be() {
    let mut house = House::new().await;
    // More than all buffers on the way together.
    let size = 64 << 20;
    std::fs::File::create(house.rec.join("long.wav")).unwrap().set_len(size).unwrap();
    let call = house.call("default", &["1001"], 0, &[("long.wav", "recorded")]);
    house.records(vec![call.clone()]).await;
    house.folder("  readers: 2\n  stall_ms: 700\n");
    house.desk.start(None).await;
    let mut one = Screen::of(&house.desk, "1001").await;
    let url = house.link(&mut one, &call).await;
    let begin = |url: String| {
        let at = house.at();
        async move {
            let mut socket = TcpStream::connect(at).await.unwrap();
            socket.write_all(format!("GET {url} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
            let mut head = [0; 64];
            socket.read_exact(&mut head).await.unwrap();
            socket
        }
    };
    let mut slow = [begin(url.clone()).await, begin(url.clone()).await];
    let full = get(house.at(), &url, "").await;
    assert_eq!((full.status, full.header("retry-after")), (503, "5"));
    house.desk.until("both were let go", |d| d.metrics().contains("linecard_recordings{kind=\"served\"} 2\n")).await;
    for socket in &mut slow {
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest).await;
        assert!((rest.len() as u64) < size, "it was sent whole to who did not read");
    }
    let whole = get(house.at(), &url, "bytes=-5").await;
    assert_eq!((whole.status, whole.body.len()), (206, 5), "there is room again");
    // A file that becomes shorter while it is read: the answer ends, and its length says that it is not whole.
    let mut socket = begin(url.clone()).await;
    std::fs::File::options().write(true).open(house.rec.join("long.wav")).unwrap().set_len(1 << 20).unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(30), socket.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!((rest.len() as u64) < size);
}

/// A web server of recordings with a brain; each request's head is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Good,
    IgnoresRanges,
    OtherRange,
    NoLength,
    Redirects,
    Short,
    Long,
    Missing,
}

struct Upstream {
    at: SocketAddr,
    mode: Arc<Mutex<Mode>>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Upstream {
    async fn start(bytes: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (mode, heads) = (Arc::new(Mutex::new(Mode::Good)), Arc::new(Mutex::new(Vec::new())));
        let (mode_now, all) = (mode.clone(), heads.clone());
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") && socket.read_buf(&mut head).await.unwrap_or(0) > 0 {}
                let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
                let range =
                    head.split("\r\nrange: bytes=").nth(1).and_then(|r| r.split("\r\n").next()).map(str::to_owned);
                all.lock().unwrap().push(head.clone());
                let mode = *mode_now.lock().unwrap();
                let answer = Self::answer(mode, &bytes, range.as_deref(), head.starts_with("head"));
                let _ = socket.write_all(&answer).await;
            }
        });
        Self { at, mode, heads }
    }

    fn answer(mode: Mode, bytes: &[u8], range: Option<&str>, head: bool) -> Vec<u8> {
        let size = bytes.len();
        let part = range.filter(|_| mode != Mode::IgnoresRanges).map(|range| {
            let (first, last) = range.split_once('-').unwrap();
            match first.parse::<usize>() {
                Ok(first) => (first, last.parse().unwrap_or(size - 1).min(size - 1)),
                Err(_) => (size - last.parse::<usize>().unwrap(), size - 1),
            }
        });
        let evil = "set-cookie: stolen=1\r\nx-evil: 1\r\ncontent-type: text/html\r\nconnection: close\r\n";
        let out = match (mode, part) {
            (Mode::Missing, _) => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".into(),
            (Mode::Redirects, _) => {
                "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/x\r\ncontent-length: 0\r\n\r\n".into()
            }
            (Mode::NoLength, _) => format!("HTTP/1.1 200 OK\r\n{evil}\r\n"),
            (_, Some((first, _))) if first >= size => {
                format!(
                    "HTTP/1.1 416 Range Not Satisfiable\r\ncontent-range: bytes */{size}\r\ncontent-length: 0\r\n\r\n"
                )
            }
            (Mode::OtherRange, Some((first, last))) => {
                format!(
                    "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes {}-{last}/{size}\r\n{evil}\r\n",
                    first + 1
                )
            }
            (_, Some((first, last))) => {
                let length = last - first + 1;
                format!(
                    "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes {first}-{last}/{size}\r\ncontent-length: {length}\r\n{evil}\r\n"
                )
            }
            (_, None) => format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n{evil}\r\n"),
        };
        let mut out = out.into_bytes();
        let sent = part.map_or(bytes, |(first, last)| bytes.get(first..=last).unwrap_or_default());
        match mode {
            _ if head => {}
            Mode::Missing | Mode::Redirects => {}
            Mode::Short => out.extend(&sent[..sent.len() / 2]),
            Mode::Long => out.extend(sent.iter().chain(sent)),
            _ => out.extend(sent),
        }
        out
    }

    fn now(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_s_recordings_are_passed_on_and_nothing_it_says_is() {
    let mut house = House::new().await;
    let bytes = sound(200_000);
    let upstream = Upstream::start(bytes.clone()).await;
    let call = house.call("default", &["1001"], 0, &[("var/rec/2026/a b#1.mp3", "recorded")]);
    let outside = house.call("default", &["1001"], 0, &[("etc/passwd", "recorded")]);
    house.records(vec![call.clone(), outside.clone()]).await;
    std::fs::write(house.desk.folder.join("secrets/rec"), "open sesame").unwrap();
    house.settings(&format!(
        "  places: [{{switch: pbx1, url: \"http://{}/calls\", user: linecard, password: {{file: {}/secrets/rec}}, prefix: /var/rec}}]\n",
        upstream.at,
        house.desk.folder.display()
    ));
    house.desk.start(None).await;
    let mut one = Screen::of(&house.desk, "1001").await;
    assert_eq!(house.ask(&mut one, &outside, 0).await["code"], "unavailable");
    assert!(upstream.heads.lock().unwrap().is_empty(), "nobody asks before somebody listens");
    let url = house.link(&mut one, &call).await;
    let at = house.at();

    let whole = get(at, &url, "").await;
    assert_eq!((whole.status, whole.body == bytes, whole.header("content-type")), (200, true, "audio/mpeg"));
    let part = get(at, &url, "bytes=1000-").await;
    assert_eq!(
        (part.status, part.header("content-range"), part.body == bytes[1000..]),
        (206, "bytes 1000-199999/200000", true)
    );
    let last = get(at, &url, "bytes=-10").await;
    assert_eq!((last.status, last.body == bytes[199_990..]), (206, true));
    let head = ask(at, "HEAD", &url, "").await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, "200000", 0));
    let none = get(at, &url, "bytes=200000-").await;
    assert_eq!((none.status, none.header("content-range")), (416, "bytes */200000"));
    for got in [&whole, &part, &last, &head, &none] {
        assert!(!got.headers.contains_key("set-cookie") && !got.headers.contains_key("x-evil"), "{got:?}");
    }
    let heads = upstream.heads.lock().unwrap().clone();
    assert!(
        heads
            .iter()
            .all(|head| head.contains(" /calls/2026/a%20b%231.mp3 http/1.1\r\n")
                && head.contains("authorization: basic ")),
        "{heads:?}"
    );
    assert!(heads.iter().all(|head| !head.contains("?t=") && head.contains("accept-encoding: identity")));

    upstream.now(Mode::IgnoresRanges);
    let all = get(at, &url, "bytes=5-9").await;
    assert_eq!((all.status, all.body == bytes), (200, true));
    upstream.now(Mode::Long);
    let cut = get(at, &url, "bytes=0-99").await;
    assert_eq!((cut.status, cut.body == bytes[..100]), (206, true), "what is beyond the length is not sent");
    upstream.now(Mode::Short);
    let short = get(at, &url, "").await;
    assert_eq!((short.status, short.header("content-length"), short.body.len() < 200_000), (200, "200000", true));
    for (mode, range, status) in [
        (Mode::OtherRange, "bytes=5-9", 502),
        (Mode::NoLength, "", 502),
        (Mode::Redirects, "", 502),
        (Mode::Missing, "", 404),
    ] {
        upstream.now(mode);
        assert_eq!(get(at, &url, range).await.status, status);
    }
    let log = std::fs::read_to_string(house.desk.stage.log()).unwrap();
    assert!(!log.contains("a b#1") && !log.contains("a%20b") && !log.contains("sesame"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_is_removed_and_the_record_says_so() {
    let mut house = House::new().await;
    let days = |n: u64| SystemTime::now() - Duration::from_secs(n * 86_400);
    let aged = |name: &str, age: u64| {
        house.file(name, b"RIFF");
        std::fs::File::options().write(true).open(house.rec.join(name)).unwrap().set_modified(days(age)).unwrap();
    };
    for (name, age) in [
        ("old.wav", 40),
        ("young.wav", 3),
        ("again.wav", 3),
        ("kept.wav", 40),
        ("nobody.wav", 400),
        ("2026/old.wav", 40),
        ("left.wav", 40),
    ] {
        aged(name, age);
    }
    std::fs::write(house.desk.folder.join("outside.wav"), b"x").unwrap();
    let old = house.call(
        "default",
        &["1001"],
        40,
        &[("old.wav", "recorded"), ("2026/old.wav", "lost"), ("gone.wav", "recorded")],
    );
    let again = house.call(
        "default",
        &["1001"],
        40,
        &[("again.wav", "recorded"), ("../outside.wav", "recorded"), ("2026", "recorded")],
    );
    let young = house.call("default", &["1001"], 3, &[("young.wav", "recorded")]);
    let left = house.call("default", &["1001"], 50, &[("left.wav", "expired")]);
    // Of a tenant that keeps for ever.
    let kept = house.call("other", &["1001"], 40, &[("kept.wav", "recorded")]);
    house.records(vec![old.clone(), again.clone(), young.clone(), kept.clone(), left.clone()]).await;
    house.folder("  keep: [{tenant: default, days: 30, remove: true}]\n");
    house.desk.start(None).await;
    let states = |house: &House, call: &RecordRow| -> Vec<String> {
        let record = house.record(call);
        let list = record["recordings"].as_array().unwrap().iter();
        list.map(|r| r["state"].as_str().unwrap_or_default().to_owned()).collect()
    };
    house.desk.until("the sweep was done", |d| d.metrics().contains("linecard_recordings{kind=\"removed\"} 4\n")).await;
    assert_eq!(states(&house, &old), ["removed", "removed", "removed"]);
    assert_eq!(states(&house, &again), ["expired", "expired", "expired"]);
    assert_eq!(
        (states(&house, &young), states(&house, &kept)),
        (vec!["recorded".to_owned()], vec!["recorded".to_owned()])
    );
    assert_eq!(states(&house, &left), ["removed"], "what was left before is removed now");
    assert_eq!(house.record(&old)["revision"], 2);
    let there = |name: &str| house.rec.join(name).exists();
    assert!(!there("old.wav") && !there("2026/old.wav") && !there("left.wav") && there("2026"));
    assert!(there("young.wav") && there("again.wav") && there("kept.wav") && there("nobody.wav"));
    assert!(house.desk.folder.join("outside.wav").exists());
    // The store had each step; an agent is told that it is gone.
    let mut one = Screen::of(&house.desk, "1001").await;
    assert_eq!(house.ask(&mut one, &old, 0).await["code"], "recording-gone");
    assert!(house.ask(&mut one, &young, 0).await["link"]["url"].is_string());
    assert!(std::fs::read_to_string(house.desk.stage.log()).unwrap().contains("old recordings were gone through"));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_places_are_told_before_anything_opens() {
    let house = House::new().await;
    house.settings("  places: [{switch: pbx9, folder: rec}, {switch: pbx1, url: \"ftp://x\"}]\n  keep: [{days: 0}]\n");
    let told = house.desk.stage.verb(Path::new(PROGRAM), &["check"]).unwrap_err().to_string();
    for key in [
        "recordings.places[0].switch",
        "recordings.places[0].folder",
        "recordings.places[1].url",
        "recordings.keep[0].days",
    ] {
        assert!(told.contains(key), "{key} is not in: {told}");
    }
    let house = House::new().await;
    house.folder("");
    let probe = || house.desk.stage.verb(Path::new(PROGRAM), &["check", "--probe"]);
    let said = probe().unwrap_or_else(|told| told.to_string());
    assert!(said.contains(&format!("recordings of pbx1: {} is there", house.rec.display())), "{said}");
    std::fs::remove_dir_all(&house.rec).unwrap();
    // It fails and says why; what it says is its output.
    let output = std::process::Command::new(PROGRAM)
        .args(["check", "--probe", "--config"])
        .arg(house.desk.stage.settings())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("monitor cannot be read by this account"), "{output:?}");
}
