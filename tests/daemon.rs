//! The daemon as its admin lives with it: ready and watchdog told to systemd, reload whole or not at all, figures, a stop that drains.

use std::{
    net::SocketAddr,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use linecard::daemon::demo::{
    hosts::Hosts,
    live::Pbx,
    people::CALLERS,
    stage::{Places, Stage},
    story::Story,
    switch::Settings,
};
use rustix::process::{Pid, Signal, kill_process};

const PROGRAM: &str = env!("CARGO_BIN_EXE_linecard");
/// Longer than anything here may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// An address on loopback where nobody listens, by TCP or UDP, and which nobody else is given: below the range out of which the
/// system serves port 0 and every caller's own end (32768 and up on Linux), so that none of the tests beside this one gets it
/// between this look and the daemon's own hand on it, nor while a daemon is started again.
pub fn door() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(24_001);
    loop {
        let at = SocketAddr::from(([127, 0, 0, 1], NEXT.fetch_add(1, Ordering::Relaxed)));
        assert!(at.port() < 32_768, "every port below the system's own range was given away");
        if std::net::TcpListener::bind(at).is_ok() && std::net::UdpSocket::bind(at).is_ok() {
            return at;
        }
    }
}

/// A daemon with its fakes, in a folder of its own.
pub struct Desk {
    pub stage: Stage,
    pub pbx: Pbx,
    pub hosts: Hosts,
    pub folder: PathBuf,
    pub child: Option<Child>,
}

impl Drop for Desk {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Desk {
    /// All but the daemon; the stories' times are multiplied with `pace`.
    pub async fn set(pace: f64) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let folder =
            std::env::temp_dir().join(format!("linecard-daemon-{}-{:x}", std::process::id(), rand::random::<u64>()));
        let pbx = Pbx::start(Settings { pace, ..Settings::default() }, 7, any).await.unwrap();
        let places = || Places {
            agents: door(),
            admin: door(),
            hooks: door(),
            console: door(),
            ami: pbx.address(),
            erp: door(),
            loyalty: door(),
            orders: door(),
            desk: door(),
            survey: door(),
            mail: door(),
        };
        // A door that was free when it was looked at was taken once when it was to be opened (AddrInUse, 2026-11-27): then others are taken.
        let (hosts, places) = loop {
            let places = places();
            match Hosts::start(places).await {
                Ok(hosts) => break (hosts, places),
                Err(taken) if taken.kind() == std::io::ErrorKind::AddrInUse => {}
                Err(other) => panic!("{other}"),
            }
        };
        let stage = Stage::set(&folder, places).unwrap();
        Self { stage, pbx, hosts, folder, child: None }
    }

    pub async fn start(&mut self, notify: Option<&Path>) {
        self.spawn(notify);
        self.until("it is ready", |desk| desk.stage.ready()).await;
    }

    /// The daemon, ready or not.
    pub fn spawn(&mut self, notify: Option<&Path>) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.stage.log()).unwrap();
        let mut command = Command::new(PROGRAM);
        command.args(["run", "--config"]).arg(self.stage.settings()).stdout(Stdio::null()).stderr(log);
        if let Some(socket) = notify {
            command.env("NOTIFY_SOCKET", socket).env("WATCHDOG_USEC", "3000000");
        }
        self.child = Some(command.spawn().unwrap());
    }

    /// Asks again until it is so; what the daemon said stands in the panic.
    pub async fn until(&self, what: &str, so: impl Fn(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !so(self) {
            let log = || std::fs::read_to_string(self.stage.log()).unwrap_or_default();
            assert!(Instant::now() < end, "it never came true that {what}; the daemon says:\n{}", log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.as_ref().unwrap().id()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    pub fn metrics(&self) -> String {
        self.stage.get("/metrics").unwrap_or_default()
    }

    pub fn records(&self) -> Vec<serde_json::Value> {
        let lines = self.stage.verb(Path::new(PROGRAM), &["records", "list", "--json"]).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_hears_ready_watchdog_and_stopping_and_a_reload_is_whole_or_nothing() {
    let mut desk = Desk::set(0.3).await;
    let socket = desk.folder.join("notify");
    let systemd = UnixDatagram::bind(&socket).unwrap();
    systemd.set_read_timeout(Some(PATIENCE)).unwrap();
    let hear = |word: &str| {
        let mut bytes = [0; 512];
        loop {
            let n = systemd.recv(&mut bytes).unwrap_or_else(|e| panic!("{word} never came: {e}"));
            if String::from_utf8_lossy(&bytes[..n]).contains(word) {
                return;
            }
        }
    };
    desk.start(Some(&socket)).await;
    hear("READY=1");
    hear("WATCHDOG=1");

    // A wrong file changes nothing.
    let trunks = std::fs::read_to_string(desk.stage.settings().join("trunks.yaml")).unwrap();
    desk.stage.write("trunks.yaml", "rows:\n  - titel: x\n").unwrap();
    desk.signal(Signal::HUP);
    hear("RELOADING=1");
    hear("READY=1");
    desk.until("the reload was refused", |d| d.metrics().contains("linecard_reloads_total{kind=\"refused\"} 1")).await;
    assert!(std::fs::read_to_string(desk.stage.log()).unwrap().contains("trunks.yaml:2:5: rows[0].titel"));
    // A good one is taken.
    desk.stage.write("trunks.yaml", &trunks).unwrap();
    desk.signal(Signal::HUP);
    desk.until("the reload was taken", |d| d.metrics().contains("linecard_reloads_total{kind=\"good\"} 1")).await;

    for name in [
        "linecard_link_up{switch=\"pbx1\",feed=\"ami\"} 1",
        "linecard_link_resyncs",
        "linecard_outbox{state=\"waiting\"}",
        "linecard_outbox_oldest_seconds",
        "linecard_agents 0",
        "linecard_pops_total",
    ] {
        desk.until(name, |d| d.metrics().contains(name)).await;
    }
    desk.signal(Signal::TERM);
    hear("STOPPING=1");
    assert!(desk.child.take().unwrap().wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_with_a_call_up_drains_and_the_next_run_goes_on_with_the_same_call() {
    let mut desk = Desk::set(0.3).await;
    desk.start(None).await;
    desk.pbx.play(Story::Answered, CALLERS[0], Some(0)).unwrap();
    let open = |n: &str| format!("linecard_calls_open {n}\n");
    desk.until("a call is up and was offered", |d| {
        d.metrics().contains(&open("1")) && !d.metrics().contains("linecard_pops_total 0\n")
    })
    .await;
    desk.signal(Signal::TERM);
    assert!(desk.child.take().unwrap().wait().unwrap().success());
    assert_eq!(desk.records(), Vec::<serde_json::Value>::new(), "the call is not over");
    desk.start(None).await;
    assert!(std::fs::read_to_string(desk.stage.log()).unwrap().contains("calls=1"), "the open call was not taken over");
    desk.until("the call is written", |d| d.records().len() == 1).await;
    let record = desk.records().remove(0);
    assert_eq!((&record["end"], &record["direction"]), (&"seen".into(), &"inbound".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_that_is_away_is_named_and_a_taken_port_is_told() {
    let mut desk = Desk::set(0.3).await;
    desk.start(None).await;
    desk.pbx.restart(Duration::from_secs(3));
    desk.until("readiness names the switch", |d| {
        d.stage.get("/readyz").is_ok_and(|a| a.starts_with("HTTP/1.1 503") && a.contains("switch pbx1"))
    })
    .await;
    assert!(desk.stage.get("/healthz").unwrap().starts_with("HTTP/1.1 200"));
    desk.until("it comes back by itself", |d| d.stage.ready()).await;
    // A second daemon on the same folder: the store is taken, and it says so.
    let second = Command::new(PROGRAM).args(["run", "--config"]).arg(desk.stage.settings()).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("in use"), "{}", String::from_utf8_lossy(&second.stderr));
}

/// The second call of a customer is answered from the cache before anything of it is written: its record knows who it was all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_names_the_customer_also_when_the_answer_was_in_the_cache() {
    let mut desk = Desk::set(0.3).await;
    desk.start(None).await;
    for n in 1..=2 {
        desk.pbx.play(Story::DirectMissed, CALLERS[0], Some(0)).unwrap();
        desk.until("the call is written", |d| d.records().len() == n).await;
        for record in desk.records() {
            assert_eq!(record["customer"]["links"][0]["type"], "customer", "call {n}: {record:#}");
        }
    }
}

/// "Why did nothing pop": of a call that was, of one that is up, and of one that is made up.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_explained_before_during_and_after() {
    let mut desk = Desk::set(0.3).await;
    let explain = |desk: &Desk, args: &[&str]| {
        let whole = [&["explain"], args].concat();
        desk.stage.verb(Path::new(PROGRAM), &whole).unwrap_or_else(|why| panic!("{args:?}: {why}"))
    };
    // Made up, with nobody to ask but the business systems: 1007's number is one digit off, 1001 is the caller.
    let told = explain(&desk, &["--from", "13800138000", "--to", "400 800 1234"]);
    for line in [
        "number    13800138000  mobile  +8613800138000",
        "row       1: \"4008001234\" of trunks.yaml: After-sales",
        "asked     erp customer.by_phone: ok in ",
        "matched 1001: phone",
        "refused 1007: none of its numbers is the one that was asked for",
        "offered ",
        "1001 at PJSIP/1001 (inbound): pop to 1 screen",
        "pop       After-sales",
    ] {
        assert!(told.contains(line), "no \"{line}\" in\n{told}");
    }
    let told = explain(&desk, &["--from", "anonymous", "--to", "95588", "--agent", "1002"]);
    assert!(told.contains("withheld: nobody is looked up") && !told.contains("asked "), "{told}");
    // What was keyed goes before the number that called.
    let told = explain(&desk, &["--from", "13800138000", "--to", "4008001234", "--account", "88001003"]);
    assert!(told.contains("asked     erp customer.by_account: ok in ") && told.contains("matched 1003"), "{told}");
    // Where the number stood is named.
    let places = ["--place", "diversion=4008001234", "--place", "request-uri=8000"];
    let told = explain(&desk, &[&["--from", "13800138000"], &places[..]].concat());
    assert!(told.contains("(by diversion)") && told.contains("row       1: \"4008001234\""), "{told}");
    let json: serde_json::Value =
        serde_json::from_str(&explain(&desk, &["--json", "--from", "13800138000", "--to", "4008001234"])).unwrap();
    assert_eq!((&json["line"]["row"], &json["pop"]["type"]), (&1.into(), &"pop.updated".into()), "{json:#}");

    // During: nobody has a page open.
    desk.start(None).await;
    desk.pbx.play(Story::Answered, CALLERS[0], Some(0)).unwrap();
    desk.until("the call is up and was offered", |d| !d.metrics().contains("linecard_pops_total 0\n")).await;
    let open = desk.stage.verb(Path::new(PROGRAM), &["records", "list", "--open", "--json"]).unwrap();
    let open: serde_json::Value = serde_json::from_str(open.lines().next().expect("one call is up")).unwrap();
    let call = open["call"].as_str().unwrap().to_owned();
    let live = explain(&desk, &["--call", &call]);
    assert!(live.contains("had no page open when the phone rang"), "{live}");
    assert!(!live.contains("outcome"), "it is up: {live}");
    // After: the store tells it, and only with --full the number.
    desk.until("the call is written", |d| d.records().len() == 1).await;
    let end = Instant::now() + PATIENCE;
    let mut past = String::new();
    while !past.contains("outcome   answered") {
        assert!(Instant::now() < end, "the story never came to the store: {past}");
        past = explain(&desk, &["--call", &call]);
    }
    assert!(past.contains("talks ") && past.contains("matched "), "{past}");
    let number = CALLERS[0];
    assert!(!past.contains(number), "{past}");
    assert!(explain(&desk, &["--call", &call, "--full"]).contains(number));
    let http = desk.stage.get(&format!("/v1/calls/{call}/trace")).unwrap();
    assert!(http.starts_with("HTTP/1.1 200") && !http.contains(number), "{http}");
    let none = desk.stage.get("/v1/calls/01JD0000000000000000000001/trace").unwrap();
    assert!(none.starts_with("HTTP/1.1 404"), "{none}");
}

/// One answer with its body, off the socket.
async fn answer(socket: &mut tokio::net::TcpStream) -> (String, Vec<u8>) {
    use tokio::io::AsyncReadExt as _;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await.unwrap();
    (head, body)
}

/// A page is some thirty files; a browser has them over the few connections that it opens, and none of these stays.
#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_page_come_over_one_connection_that_does_not_stay() {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
        time::timeout,
    };
    let mut desk = Desk::set(0.3).await;
    desk.start(None).await;
    let at = desk.stage.places.agents;
    let get = |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nHost: {at}\r\n{more}\r\n");
    let mut socket = TcpStream::connect(at).await.unwrap();
    // The second question is there before the first one is answered.
    let both = get("/web/app.js", "") + &get("/web/say.js", "");
    socket.write_all(both.as_bytes()).await.unwrap();
    for file in ["web/app.js", "web/say.js"] {
        let (head, body) = answer(&mut socket).await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && !head.contains("connection:"), "{head}");
        assert_eq!(body, std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap(), "{file}");
    }
    // A body that nobody reads, a wish, and what is no file: then it is over.
    for (path, more) in [("/web/say.js", "Connection: close\r\n"), ("/web/say.js", "Content-Length: 3\r\n"), ("/x", "")]
    {
        let mut socket = TcpStream::connect(at).await.unwrap();
        socket.write_all((get("/web/keys.js", "") + &get(path, more)).as_bytes()).await.unwrap();
        answer(&mut socket).await;
        let (head, _) = answer(&mut socket).await;
        assert!(head.to_ascii_lowercase().contains("\r\nconnection: close\r\n"), "{head}");
        assert_eq!(timeout(PATIENCE, socket.read(&mut [0])).await.unwrap().unwrap(), 0, "{path}");
    }
    // Who asks for no more is let go, long before it would be one that never said who it is.
    let begun = Instant::now();
    assert_eq!(timeout(PATIENCE, socket.read(&mut [0])).await.unwrap().unwrap(), 0);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    // A socket may upgrade after it had a file.
    let mut socket = TcpStream::connect(at).await.unwrap();
    socket.write_all(get("/web/say.js", "").as_bytes()).await.unwrap();
    answer(&mut socket).await;
    let request = format!("ws://{at}/v1/agent");
    let mut request = tokio_tungstenite::tungstenite::client::IntoClientRequest::into_client_request(request).unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", "linecard.v1".parse().unwrap());
    tokio_tungstenite::client_async(request, socket).await.unwrap();
}
