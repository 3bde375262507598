//! The agent's page in a real browser: headless Chromium, driven over the DevTools protocol, against a small daemon that speaks
//! `linecard.v1` in frames that the protocol's schemas accept. `LINECARD_SHOTS=DIR` keeps a picture of every state.

mod sdk;

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use linecard::agents::{pages, protocol};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

/// Longer than anything here may take on a slow machine; nobody waits for it when all is well.
const PATIENCE: Duration = Duration::from_secs(30);
const CALL: &str = "01JD8Z6Q5M0000000000000001";

// The browser.

struct Browser {
    child: Child,
    profile: PathBuf,
    socket: WebSocketStream<TcpStream>,
    session: String,
    next: u64,
    /// Console errors, exceptions and policy violations seen so far.
    complaints: Vec<String>,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

impl Browser {
    async fn start() -> Self {
        let profile =
            std::env::temp_dir().join(format!("linecard-browser-{}-{}", std::process::id(), rand::random::<u32>()));
        let mut child = Command::new("chromium")
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-component-update",
                // As agents' browsers are set where the record's page is to open by itself.
                "--disable-popup-blocking",
            ])
            .args([
                "--disable-background-networking",
                "--disable-sync",
                "--remote-debugging-port=0",
                "--lang=en-US",
                "about:blank",
            ])
            .arg(format!("--user-data-dir={}", profile.display()))
            .stderr(Stdio::piped())
            .spawn()
            .expect("chromium is installed");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = lines
            .find_map(|l| l.ok()?.strip_prefix("DevTools listening on ").map(str::to_owned))
            .expect("chromium says where it listens");
        std::thread::spawn(move || lines.for_each(drop)); // a full pipe would stop it
        let host = url.trim_start_matches("ws://").split('/').next().unwrap();
        let stream = TcpStream::connect(host).await.unwrap();
        let (socket, _) = tokio_tungstenite::client_async(&url, stream).await.unwrap();
        let mut browser = Self { child, profile, socket, session: String::new(), next: 0, complaints: Vec::new() };
        browser.tab().await;
        browser
    }

    /// A new tab, which is driven from now on: (target, session).
    async fn tab(&mut self) -> (String, String) {
        self.session.clear();
        let target = self.send("Target.createTarget", json!({"url": "about:blank"})).await["targetId"].clone();
        let attach = json!({"targetId": target, "flatten": true});
        self.session = self.send("Target.attachToTarget", attach).await["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            self.send(domain, json!({})).await;
        }
        (target.as_str().unwrap().to_owned(), self.session.clone())
    }

    async fn send(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        let mut message = json!({"id": id, "method": method, "params": params});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        self.socket.send(Message::text(message.to_string())).await.unwrap();
        loop {
            let text = timeout(PATIENCE, self.socket.next()).await.expect("the browser answers").unwrap().unwrap();
            let said: Value = serde_json::from_str(text.to_text().unwrap()).unwrap();
            if said["id"] == json!(id) {
                assert!(said["error"].is_null(), "{method}: {}", said["error"]);
                return said["result"].clone();
            }
            self.note(&said);
        }
    }

    fn note(&mut self, said: &Value) {
        let params = &said["params"];
        let bad = match said["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Runtime.consoleAPICalled") => params["type"] == "error",
            Some("Log.entryAdded") => params["entry"]["level"] == "error",
            _ => false,
        };
        if bad {
            self.complaints.push(params.to_string());
        }
    }

    async fn go(&mut self, url: &str) {
        // Shifts are counted from the first frame on, the page's own hands are not needed for it.
        let count = "window.shifts=[];new PerformanceObserver(l=>{for(const e of l.getEntries())shifts.push([e.value,...e.sources.map(s=>(s.node?.parentElement?.outerHTML??'').slice(0,120)+' '+[s.previousRect.x,s.previousRect.y,s.currentRect.x,s.currentRect.y])])}).observe({type:'layout-shift',buffered:true});\
                     document.addEventListener('securitypolicyviolation',e=>console.error('CSP '+e.violatedDirective+' '+e.blockedURI))";
        self.send("Page.addScriptToEvaluateOnNewDocument", json!({"source": count})).await;
        self.send("Page.navigate", json!({"url": url})).await;
        self.until("document.readyState==='complete' && !!document.getElementById('token')").await;
    }

    async fn eval(&mut self, script: &str) -> Value {
        let params = json!({"expression": script, "returnByValue": true, "awaitPromise": true});
        let result = self.send("Runtime.evaluate", params).await;
        assert!(result["exceptionDetails"].is_null(), "{script}: {}", result["exceptionDetails"]);
        result["result"]["value"].clone()
    }

    /// Waits until `condition` holds, looking at every frame the browser draws.
    async fn until(&mut self, condition: &str) {
        let script = format!(
            "new Promise(d=>{{const end=performance.now()+20000,look=()=>{{let ok=false;try{{ok=!!({condition})}}catch{{}}\
             if(ok||performance.now()>end)d(ok);else requestAnimationFrame(look)}};look()}})"
        );
        if self.eval(&script).await != json!(true) {
            let text = self.eval("document.body.innerText").await;
            panic!("never came true: {condition}\ncomplaints: {:?}\nthe page says: {text}", self.complaints);
        }
    }

    /// As `until`, for what comes when callers come: looks again until `seconds` are over.
    async fn within(&mut self, seconds: u64, condition: &str) {
        let end = std::time::Instant::now() + Duration::from_secs(seconds);
        while std::time::Instant::now() < end {
            let look = format!(
                "new Promise(d=>{{const end=performance.now()+5000,look=()=>{{let ok=false;try{{ok=!!({condition})}}catch{{}}\
                 if(ok||performance.now()>end)d(ok);else requestAnimationFrame(look)}};look()}})"
            );
            if self.eval(&look).await == json!(true) {
                return;
            }
        }
        self.until(condition).await;
    }

    async fn click(&mut self, id: &str) {
        let script = format!(
            "(()=>{{const r=document.getElementById('{id}').getBoundingClientRect();return [r.x+r.width/2,r.y+r.height/2]}})()"
        );
        let at = self.eval(&script).await;
        for kind in ["mousePressed", "mouseReleased"] {
            let params = json!({"type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1});
            self.send("Input.dispatchMouseEvent", params).await;
        }
    }

    async fn type_text(&mut self, text: &str) {
        for c in text.chars() {
            self.send("Input.insertText", json!({"text": c.to_string()})).await;
        }
    }

    async fn size(&mut self, width: u32, height: u32) {
        let params = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.send("Emulation.setDeviceMetricsOverride", params).await;
    }

    /// A picture of this state, in four manners, where pictures are wanted.
    async fn shots(&mut self, name: &str) {
        let Some(folder) = std::env::var_os("LINECARD_SHOTS") else { return };
        let before = self.eval("[shifts.length,document.documentElement.dataset.theme]").await;
        for (width, height, theme) in
            [(1440, 820, "light"), (900, 720, "dark"), (320, 640, "light"), (320, 640, "dark")]
        {
            self.size(width, height).await;
            self.eval(&format!("document.documentElement.dataset.theme='{theme}'")).await;
            self.eval("new Promise(d=>requestAnimationFrame(()=>requestAnimationFrame(d))).then(()=>1)").await;
            let picture = self.send("Page.captureScreenshot", json!({"format": "png"})).await;
            use base64::Engine as _;
            let bytes = base64::prelude::BASE64_STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
            std::fs::write(PathBuf::from(&folder).join(format!("{name}-{width}-{theme}.png")), bytes).unwrap();
        }
        self.size(1440, 820).await;
        // What a change of size moved is no shift of the page's own.
        self.eval("new Promise(d=>requestAnimationFrame(()=>requestAnimationFrame(d))).then(()=>1)").await;
        self.eval(&format!("shifts.length={};document.documentElement.dataset.theme={}", before[0], before[1])).await;
    }
}

// The small daemon.

/// Serves the embedded page and one screen at a time; hands the frames of the page to the test, and the test's to the page.
struct Daemon {
    address: String,
    heard: mpsc::Receiver<Value>,
    say: mpsc::Sender<Value>,
    seq: u64,
}

impl Daemon {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let (hear, heard) = mpsc::channel(1024);
        let (say, said) = mpsc::channel::<Value>(1024);
        // One screen at a time has it; pages and recordings are served beside.
        let said = std::sync::Arc::new(tokio::sync::Mutex::new(said));
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (hear, said) = (hear.clone(), said.clone());
                tokio::spawn(async move {
                    let mut start = [0; 4096];
                    let n = stream.peek(&mut start).await.unwrap_or(0);
                    let text = String::from_utf8_lossy(&start[..n]).into_owned();
                    let path = text.split(' ').nth(1).unwrap_or("/").to_owned();
                    if path != "/v1/agent" {
                        let _ = stream.read(&mut start).await;
                        if path.starts_with("/v1/recordings/") {
                            let _ = stream.write_all(&recording(&path)).await;
                            let _ = stream.shutdown().await;
                            return;
                        }
                        let answer = pages::find(&path).map_or(
                            b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec(),
                            |p| {
                                let holders = ["http://127.0.0.1:*".to_owned()];
                                p.answer(pages::Asking {
                                    holders: &holders,
                                    accepts: Some("gzip"),
                                    ..Default::default()
                                })
                            },
                        );
                        let _ = stream.write_all(&answer).await;
                        let _ = stream.shutdown().await;
                        return;
                    }
                    #[allow(clippy::result_large_err, reason = "the shape is tungstenite's")]
                    let choose = |_: &_, mut answer: tokio_tungstenite::tungstenite::handshake::server::Response| {
                        answer.headers_mut().insert("sec-websocket-protocol", protocol::SUBPROTOCOL.parse().unwrap());
                        Ok(answer)
                    };
                    let mut socket = tokio_tungstenite::accept_hdr_async(stream, choose).await.unwrap();
                    let mut said = said.lock().await;
                    loop {
                        tokio::select! {
                            frame = said.recv() => match frame {
                                // A null hangs up, a number closes by that code.
                                Some(Value::Null) | None => break,
                                Some(Value::Number(code)) => {
                                    let code = u16::try_from(code.as_u64().unwrap()).unwrap().into();
                                    let frame = tokio_tungstenite::tungstenite::protocol::CloseFrame { code, reason: "".into() };
                                    let _ = socket.close(Some(frame)).await;
                                    break;
                                }
                                Some(frame) => socket.send(Message::text(frame.to_string())).await.unwrap(),
                            },
                            frame = socket.next() => match frame {
                                Some(Ok(Message::Text(text))) => { let _ = hear.try_send(serde_json::from_str(&text).unwrap()); }
                                Some(Ok(_)) => {}
                                _ => break,
                            },
                        }
                    }
                });
            }
        });
        Self { address, heard, say, seq: 0 }
    }

    /// The next frame of `kind`, which the schema must accept; pings are answered on the way.
    async fn hear(&mut self, kind: &str) -> Value {
        // Pings come all the while: the patience is for the whole of it.
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let heard = tokio::time::timeout_at(end, self.heard.recv());
            let frame = heard.await.unwrap_or_else(|_| panic!("no {kind} came")).unwrap();
            accepted(&frame);
            if frame["type"] == kind {
                return frame;
            }
            if frame["type"] == "ping" {
                self.done(&frame);
            }
        }
    }

    fn say(&mut self, kind: &str, mut frame: Value) {
        let streams = ["pop", "pop.updated", "pop.withdrawn", "call.changed"].contains(&kind);
        self.seq += u64::from(streams);
        frame["type"] = json!(kind);
        frame["seq"] = json!(if streams { self.seq } else { 0 });
        frame["at"] = json!(in_seconds(0));
        accepted(&frame);
        self.say.try_send(frame).unwrap();
    }

    fn done(&mut self, request: &Value) {
        self.say("done", json!({"id": request["id"]}));
    }

    async fn welcome(&mut self) -> Value {
        self.welcome_as(json!([])).await
    }

    async fn welcome_as(&mut self, roles: Value) -> Value {
        self.welcome_with(roles, json!({})).await
    }

    async fn welcome_with(&mut self, roles: Value, more: Value) -> Value {
        assert_eq!(self.hear("authenticate").await["token"], "a.b.c");
        let mut welcome = json!({"epoch": 7, "features": [], "agent": {"id": "1001", "tenant": "default", "name": "Agent Li", "roles": roles}, "ping_ms": 15000,
            "reasons": [{"id": "break"}, {"id": "lunch", "limit_s": 1800}, {"id": "audit", "label": "Quality check"}], "queues": ["callback"], "open": "never"});
        welcome.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.say("welcome", welcome);
        self.hear("resume").await
    }
}

/// Two seconds of a tone, of 8000 samples a second; nothing behind a token that ran out.
fn recording(path: &str) -> Vec<u8> {
    if !path.ends_with("?t=good") {
        return b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec();
    }
    let samples = (0..16_000_i32).flat_map(|n| i16::try_from((n % 16) * 500 - 4000).unwrap().to_le_bytes());
    let mut wav =
        b"RIFF\x24\x7d\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\0\x7d\0\0".to_vec();
    wav.extend(samples);
    let mut out = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: audio/wav\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        wav.len()
    )
    .into_bytes();
    out.extend(wav);
    out
}

fn accepted(frame: &Value) {
    let kind = frame["type"].as_str().expect("a frame has a type");
    let schema =
        protocol::schemas().into_iter().find(|(name, _)| *name == kind).unwrap_or_else(|| panic!("no frame {kind}")).1;
    let schema = jsonschema::validator_for(&schema).unwrap();
    let wrong: Vec<String> = schema.iter_errors(frame).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(wrong.is_empty(), "{kind}: {wrong:?}");
}

fn in_seconds(s: i64) -> String {
    linecard::live::now().wall.plus_ms(s * 1000).to_string()
}

fn links(up: bool) -> Value {
    json!([{"kind": "switch", "id": "pbx1", "up": up, "since": in_seconds(-3)}, {"kind": "system", "id": "erp", "up": true, "since": in_seconds(-900)}])
}
fn agent(state: &str) -> Value {
    json!({"agent": "1001", "state": state, "active": true, "screens": 1})
}
fn pop(card: Value) -> Value {
    json!({"pop": format!("{CALL}-1"), "call": CALL, "role": "inbound", "device": "PJSIP/1001", "direction": "inbound", "origin": "phone", "title": "After-sales",
        "queue": {"id": "support", "label": "Support"}, "number": {"display": "13800138000", "e164": "+8613800138000", "class": "mobile", "masked": false, "handle": "h1"},
        "waited_since": in_seconds(-42), "attributes": {"ivr.account": "88001234", "ivr.language": "English"}, "card": card, "actions": ["notes.set"]})
}
fn block(system: &str, kind: &str, title: &str, state: &str, body: Value) -> Value {
    let mut block = json!({"system": system, "kind": kind, "title": title, "state": state});
    if !body.is_null() {
        block["asked_at"] = json!(in_seconds(-1));
        block["body"] = body;
    }
    block
}
fn pending() -> Value {
    let b = |s, k, t| block(s, k, t, "pending", Value::Null);
    json!({"answer": {"state": "pending"}, "candidates": [], "blocks": [b("erp", "finance", "Finance"), b("orders", "orders", "Orders"), b("desk", "tickets.open", "Open tickets"), b("loyalty", "loyalty", "Loyalty")]})
}
fn person(id: &str, name: &str, reason: &str) -> Value {
    json!({"id": format!("erp:customer:{id}"), "link": {"system": "erp", "type": "customer", "id": id}, "name": name, "reason": reason})
}
fn filled() -> Value {
    let mut loyalty = block("loyalty", "loyalty", "Loyalty", "unavailable", Value::Null);
    loyalty["reason"] = json!("loyalty did not answer within 3000 ms");
    json!({"answer": {"state": "found"}, "candidates": [person("C1", "Zhang Wei <b>&", "mobile")], "blocks": [
        block("erp", "finance", "Finance", "fresh", json!({"balance": "1286.00", "currency": "CNY"})),
        block("orders", "orders", "Orders", "stale", json!([{"id": "O1", "status": "late", "title": "Washer 10 kg", "total": "3299.00", "currency": "CNY"}, {"id": "O2", "status": "shipped", "title": "Filter x 2", "total": "258.00", "currency": "CNY"}])),
        block("desk", "tickets.open", "Open tickets", "absent", Value::Null), loyalty]})
}
fn changed(leg: Option<&str>, state: &str, extra: Value) -> Value {
    let mut frame = json!({"pop": format!("{CALL}-1"), "call": CALL, "state": state, "role": "inbound", "since": in_seconds(0), "started_at": in_seconds(-50), "agents": [], "actions": []});
    if let Some(leg) = leg {
        frame["leg"] = json!(leg);
    }
    frame.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    frame
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn page_against_recorded_frames() {
    let mut daemon = Daemon::start().await;
    let mut browser = Browser::start().await;
    browser.size(1440, 820).await;
    browser.go(&daemon.address.clone()).await;
    browser.eval("document.getElementById('token').focus()").await;
    browser.type_text("a.b.c").await;
    browser.click("enter").await;
    daemon.welcome().await;
    daemon.say("snapshot", json!({"agent": agent("ready"), "links": links(true), "calls": []}));
    browser.until("desk.dataset.is==='idle' && desk.checkVisibility()").await;
    assert_eq!(browser.eval("document.documentElement.lang").await, "en");
    browser.shots("1-idle").await;

    // Whom to call back, while the desk rests: dialled by its handle, taken, and what a colleague has is theirs.
    let entry = |id: &str, name: Option<&str>, owner: Option<&str>| {
        let mut entry = json!({"callback": id, "display": "13800138000", "masked": false, "handle": format!("callback@{id}"), "why": "abandoned",
            "line": "After-sales", "since": in_seconds(-700), "last": in_seconds(-600), "count": 2, "attempts": 1, "due": in_seconds(-60)});
        entry["name"] = json!(name);
        entry["owner"] = json!(owner);
        entry.as_object_mut().unwrap().retain(|_, v| !v.is_null());
        entry
    };
    let (one, two) = ("01JD8Z6Q5M0000000000000007", "01JD8Z6Q5M0000000000000008");
    let list = daemon.hear("callback.list").await;
    let both = json!({"open": 2, "list": [entry(one, Some("Wang Fang"), None), entry(two, None, Some("1002"))]});
    daemon.say("done", json!({"id": list["id"], "callbacks": both}));
    browser.until("facts.textContent.includes('To call back: 2') && facts.textContent.includes('Wang Fang') && facts.textContent.includes('1002 has it')").await;
    assert_eq!(browser.eval("facts.querySelectorAll('.list button').length").await, 3, "one of them is a colleague's");
    browser.shots("1b-call-back").await;
    browser.eval(&format!("facts.querySelector('[data-key=\"{one} dial\"]').click()")).await;
    let dial = daemon.hear("dial").await;
    assert_eq!(dial["handle"], format!("callback@{one}"));
    daemon
        .say("failed", json!({"id": dial["id"], "code": "not-permitted", "message": "the switch does not permit it"}));
    let list = daemon.hear("callback.list").await;
    daemon.say("done", json!({"id": list["id"], "callbacks": both}));
    browser.eval(&format!("facts.querySelector('[data-key=\"{one} claim\"]').click()")).await;
    let claim = daemon.hear("callback.claim").await;
    assert_eq!(claim["callback"], one);
    daemon.done(&claim);
    let list = daemon.hear("callback.list").await;
    daemon.say(
        "done",
        json!({"id": list["id"], "callbacks": {"open": 1, "list": [entry(one, Some("Wang Fang"), Some("1001"))]}}),
    );
    browser.until("facts.textContent.includes('Give back') && !facts.textContent.includes('has it')").await;
    browser.eval(&format!("facts.querySelector('[data-key=\"{one} close\"]').click()")).await;
    let close = daemon.hear("callback.close").await;
    daemon.done(&close);
    let list = daemon.hear("callback.list").await;
    daemon.say("done", json!({"id": list["id"], "callbacks": {"open": 0, "list": []}}));
    browser.until("!facts.textContent.includes('To call back')").await;

    // The state and its menu: by keys, done when the switch did it, kept in step with what is set elsewhere.
    assert_eq!(browser.eval("state.textContent").await, "Ready");
    browser.click("state").await;
    browser.until("document.activeElement.dataset.key==='ready ' && document.activeElement.getAttribute('aria-checked')==='true'").await;
    browser
        .eval("document.activeElement.dispatchEvent(new KeyboardEvent('keydown',{key:'ArrowDown',bubbles:true}))")
        .await;
    browser.until("document.activeElement.textContent==='Break'").await;
    browser.shots("1a-state").await;
    browser.eval("states.querySelector('[data-key=\"not-ready audit\"]').click()").await;
    let set = daemon.hear("agent.state").await;
    assert_eq!((&set["state"], &set["reason"]), (&json!("not-ready"), &json!("audit")));
    daemon.say("failed", json!({"id": set["id"], "code": "not-permitted", "message": "the switch does not permit it"}));
    browser.until("document.getElementById('states-says').textContent==='This is not allowed.' && document.getElementById('states-box').open").await;
    browser.eval("states.querySelector('[data-key=\"not-ready lunch\"]').click()").await;
    let set = daemon.hear("agent.state").await;
    assert_eq!(set["reason"], "lunch");
    daemon.done(&set);
    browser.until("!document.getElementById('states-box').open && document.activeElement.id==='state'").await;
    let queue = |state: &str| json!([{"switch": "pbx1", "queue": "callback", "state": state, "since": in_seconds(-2000), "may_leave": true}]);
    let mut away = agent("not-ready");
    away.as_object_mut().unwrap().extend(
        json!({"reason": "lunch", "since": in_seconds(-1801), "until": in_seconds(-1), "overrun": true, "queues": queue("not-ready")}).as_object().unwrap().clone(),
    );
    daemon.say("agent.changed", away);
    browser.until("state.textContent.startsWith('Not ready, Lunch · 30:0') && state.textContent.endsWith('over time') && state.className==='red'").await;
    browser.click("state").await;
    browser.until("states.querySelector('[data-key=\"queue callback\"]').getAttribute('aria-checked')==='true'").await;
    browser.shots("1a-overrun").await;
    browser.eval("states.querySelector('[data-key=\"queue callback\"]').click()").await;
    let left = daemon.hear("queue.logout").await;
    assert_eq!(left["queue"], "callback");
    daemon.done(&left);
    browser.until("!document.getElementById('states-box').open").await;
    daemon.say("agent.changed", agent("ready"));
    browser.until("state.textContent==='Ready'").await;
    browser.eval("document.activeElement.blur()").await;
    browser.eval("shifts.length=0").await;

    // It rings: the number and the line at once, the rest when it comes, and nothing takes the focus.
    let focus = browser.eval("document.activeElement.tagName+document.activeElement.id").await;
    daemon.say("pop", pop(pending()));
    browser.until("desk.dataset.is==='ringing' && number.textContent==='13800138000' && line.textContent.includes('After-sales')").await;
    assert_eq!(browser.eval("document.querySelectorAll('.block.pending').length").await, 4);
    browser.shots("2-ringing-pending").await;
    daemon.say("pop.updated", pop(filled()));
    browser
        .until(
            "document.getElementById('name').textContent==='Zhang Wei <b>&' && facts.textContent.includes('1,286.00')",
        )
        .await;
    assert_eq!(
        browser.eval("[...facts.querySelectorAll('.block')].map(b=>b.classList[1]).join()").await,
        "fresh,stale,absent,unavailable"
    );
    assert_eq!(browser.eval("document.activeElement.tagName+document.activeElement.id").await, focus);
    browser.shots("3-ringing-filled").await;

    // Typing goes on while the card changes under it.
    daemon.say("call.changed", changed(Some("talking"), "talking", json!({"answered_at": in_seconds(0)})));
    browser.until("desk.dataset.is==='talking'").await;
    browser.eval("document.getElementById('notes').focus()").await;
    browser.type_text("Wants Monday, ").await;
    daemon.say("pop.updated", pop(pending()));
    browser.type_text("张老师").await;
    daemon.say("pop.updated", pop(filled()));
    browser.until("facts.textContent.includes('1,286.00')").await;
    assert_eq!(
        browser.eval("[notes.value,notes.selectionStart,document.activeElement.id]").await,
        json!(["Wants Monday, 张老师", 17, "notes"])
    );
    // "Saved" comes with `done` and not before.
    let mut request = daemon.hear("notes.set").await;
    while request["text"] != "Wants Monday, 张老师" {
        daemon.done(&request);
        request = daemon.hear("notes.set").await;
    }
    assert_eq!(browser.eval("saved.textContent").await, "Kept here");
    daemon.done(&request);
    browser.until("saved.textContent==='Saved'").await;
    browser.shots("4-talking").await;

    // What can be done to the call is offered, and nothing else; a target is asked for where there is to be one.
    let offered = json!(["call.hangup", "call.mute", "call.transfer", "call.consult"]);
    daemon.say(
        "call.changed",
        changed(Some("talking"), "talking", json!({"answered_at": in_seconds(-1), "actions": offered})),
    );
    browser.until("verbs.children.length===4").await;
    assert_eq!(
        browser
            .eval("[...verbs.children].map(b=>b.textContent).join()+[...verbs.children].map(b=>b.tabIndex).join('')")
            .await,
        "Mute,Transfer,Consult,Hang up0-1-1-1"
    );
    browser.shots("4-verbs").await;
    browser.eval("verbs.children[1].click()").await;
    browser.until("to.open && document.activeElement.id==='target'").await;
    browser.type_text("1002").await;
    browser.click("to-go").await;
    let transfer = daemon.hear("call.transfer").await;
    assert_eq!((&transfer["to"], &transfer["call"]), (&json!("1002"), &json!(CALL)));
    daemon.say(
        "failed",
        json!({"id": transfer["id"], "code": "unknown-target", "message": "there is no such extension"}),
    );
    browser
        .until("document.getElementById('to-says').textContent==='There is no such number or extension.' && to.open")
        .await;
    browser.click("to-go").await;
    let transfer = daemon.hear("call.transfer").await;
    daemon.done(&transfer);
    browser.until("!to.open").await;
    browser
        .eval("dispatchEvent(new KeyboardEvent('keydown',{key:'F8',shiftKey:true,bubbles:true,cancelable:true}))")
        .await;
    let hang_up = daemon.hear("call.hangup").await;
    assert_eq!(hang_up["call"], json!(CALL));
    daemon.say("failed", json!({"id": hang_up["id"], "code": "switch-unavailable", "message": "the switch is away"}));
    browser.until("document.getElementById('alert').textContent.includes('phone system is away')").await;
    daemon.say("call.changed", changed(Some("talking"), "talking", json!({"answered_at": in_seconds(-1)})));
    browser.until("verbs.children.length===0").await;
    browser.eval("document.getElementById('notes').focus()").await;
    assert_eq!(browser.eval("shifts").await, json!([]), "the page moved by itself");

    // The switch goes away: the screen says so and the clock is guessed.
    let mut away = links(false)[0].clone();
    away["reason"] = json!("connection lost");
    daemon.say("link.changed", away);
    browser.until("desk.dataset.away==='yes' && clock.textContent.startsWith('≈')").await;
    browser.shots("5-link-away").await;
    daemon.say("link.changed", links(true)[0].clone());
    browser.until("desk.dataset.away==='no'").await;

    // Our own connection breaks: words are kept, and the same request goes out again with its id.
    browser.type_text("!").await;
    let lost = daemon.hear("notes.set").await;
    daemon.say.try_send(Value::Null).unwrap();
    browser.until("desk.dataset.away==='yes' && saved.textContent==='Kept here, sent when back'").await;
    assert_eq!(daemon.welcome().await["seq"], daemon.seq);
    daemon.say("resumed", json!({"agent": agent("busy"), "links": links(true)}));
    let again = daemon.hear("notes.set").await;
    assert_eq!((&again["id"], &again["text"]), (&lost["id"], &lost["text"]));
    daemon.done(&again);
    browser.until("saved.textContent==='Saved' && desk.dataset.away==='no'").await;

    // Several people have the number: nothing is chosen until a person does.
    let (mut one, mut two) = (person("C1", "Zhang Wei", "main number"), person("C2", "Wang Fang", "second number"));
    one["also"] =
        json!([{"link": {"system": "desk", "type": "contact", "id": "9"}, "by": "key", "key": "customer_no"}]);
    one["reasons"] = json!([{"kind": "open-tickets", "count": 2}, {"kind": "last-call", "at": in_seconds(-90_000), "agent": "1001"}, {"kind": "owner", "agent": "1001"}]);
    two["also"] = json!([{"link": {"system": "desk", "type": "contact", "id": "8"}, "by": "name"}]);
    let waiting: Vec<Value> = pending()["blocks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|b| {
            let mut b = b.clone();
            b["state"] = json!("ambiguous");
            b
        })
        .collect();
    let several = |state: &str, list: Value| json!({"answer": {"state": state}, "candidates": list, "blocks": waiting, "found_by": "number"});
    daemon.say("pop.updated", pop(several("ambiguous", json!([one, two]))));
    browser.until("document.querySelectorAll('[role=option]').length===3 && !document.querySelector('[aria-selected=true][role=option]')").await;
    let rows = browser
        .eval("[...document.querySelectorAll('[role=option]')].map(o=>o.innerText.replace(/\\s+/g,' ').trim())")
        .await;
    let first = rows[0].as_str().unwrap();
    assert!(
        first.starts_with("1 Zhang Wei main number; open tickets: 2; last call ")
            && first.ends_with(", you; your customer erp + desk"),
        "{rows}"
    );
    assert_eq!(rows[1], "2 Wang Fang second number erp + desk (same name)");
    let more = browser.eval("more.textContent").await;
    assert!(more.as_str().unwrap().ends_with("Account88001234LanguageEnglish"), "{more}");
    browser.shots("6-ambiguous").await;
    browser.eval("document.querySelector('[role=option]').focus()").await;
    for kind in ["keyDown", "keyUp"] {
        browser
            .send(
                "Input.dispatchKeyEvent",
                json!({"type": kind, "key": "2", "code": "Digit2", "windowsVirtualKeyCode": 50}),
            )
            .await;
    }
    let chosen = daemon.hear("candidate.choose").await;
    assert_eq!(chosen["candidate"], "erp:customer:C2");
    daemon.done(&chosen);

    // Chosen: the strip has the name, the others stay in sight, and one click takes it back.
    let mut frame = pop(several("found", json!([two, one])));
    frame["card"]["blocks"] = filled()["blocks"].clone();
    frame["chosen"] = json!("erp:customer:C2");
    frame["actions"] = json!(["candidate.choose", "candidate.forget", "notes.set"]);
    daemon.say("pop.updated", frame.clone());
    browser.until("document.getElementById('name').textContent==='Wang Fang' && document.querySelector('[role=option][aria-selected=true]').textContent.includes('Wang Fang')").await;
    browser.shots("6b-chosen").await;
    browser.eval("[...document.querySelectorAll('.who-is h2 button')].find(b=>b.textContent==='Undo').click()").await;
    let undone = daemon.hear("candidate.forget").await;
    assert_eq!(undone["call"], CALL);
    daemon.done(&undone);
    frame.as_object_mut().unwrap().remove("chosen");
    frame["card"]["remembered"] = json!({"agent": "1002", "at": "2026-03-12T08:00:00.000Z"});
    daemon.say("pop.updated", frame);
    browser.until("document.querySelector('.who-is h2').textContent.includes('chosen by 1002, Mar 12')").await;
    browser.shots("6c-remembered").await;
    // A shared number, and one of which nobody was asked, say so.
    let mut shared = several("ambiguous", json!([one]));
    shared["shared"] = json!("listed");
    daemon.say("pop.updated", pop(shared));
    browser.until("document.querySelector('.who-is').textContent.includes('Shared number')").await;
    browser.shots("6d-shared").await;
    daemon.say("pop.updated", pop(json!({"answer": {"state": "not-asked", "reason": "an internal number", "why": "internal"}, "candidates": [], "blocks": []})));
    browser.until("document.getElementById('name').textContent==='Colleague' && facts.textContent.includes('No system was asked')").await;

    // What agents may write stands beside the notes; what the caller gave has the label of the switch's file.
    let mut given = pop(filled());
    given["fields"] = json!([{"name": "ivr.account", "label": "Contract", "type": "digits", "cap": 12, "writable": false},
        {"name": "case.kind", "label": "Kind of case", "type": "choice", "choices": ["repair", "billing"], "cap": 12, "writable": true},
        {"name": "case.ref", "type": "text", "cap": 20, "writable": true}]);
    given["actions"] = json!(["notes.set", "attribute.set"]);
    daemon.say("pop.updated", given.clone());
    browser
        .until("given.querySelectorAll('select,input').length===2 && more.textContent.includes('Contract88001234')")
        .await;
    browser
        .eval("(()=>{const s=given.querySelector('select');s.value='billing';s.dispatchEvent(new Event('change'))})()")
        .await;
    let set = daemon.hear("attribute.set").await;
    assert_eq!((&set["call"], &set["name"], &set["value"]), (&json!(CALL), &json!("case.kind"), &json!("billing")));
    daemon.say("failed", json!({"id": set["id"], "code": "invalid-value", "message": "not of its type"}));
    browser.until("given.querySelector('select').getAttribute('aria-invalid')==='true'").await;
    // A colleague writes meanwhile: the field under the hand keeps what is typed in it.
    browser.eval("given.querySelector('input').focus()").await;
    browser.type_text("RMA 7").await;
    given["attributes"]["case.kind"] = json!("repair");
    given["attributes"]["case.ref"] = json!("other");
    daemon.say("pop.updated", given);
    browser.until("given.querySelector('select').value==='repair'").await;
    assert_eq!(browser.eval("given.querySelector('input').value").await, "RMA 7");
    browser.shots("6e-attributes").await;

    // Nobody knows the number: a customer is made of it, or it is put to one who is searched for.
    let mut frame = pop(
        json!({"answer": {"state": "absent"}, "candidates": [], "blocks": pending()["blocks"].as_array().unwrap().iter().map(|b| { let mut b = b.clone(); b["state"] = json!("absent"); b }).collect::<Vec<_>>(), "attach": ["erp"], "create": ["erp", "crm"]}),
    );
    frame["actions"] = json!(["customer.search", "customer.attach", "customer.create", "notes.set"]);
    daemon.say("pop.updated", frame.clone());
    browser.until("document.getElementById('name').textContent==='No customer found'").await;
    browser.shots("7-absent").await;
    browser
        .eval("[...document.querySelectorAll('.who-is button')].find(b=>b.textContent==='New customer').click()")
        .await;
    browser.until("maker.open && document.activeElement.id==='make-name'").await;
    browser.type_text("赵敏").await;
    // The card comes again under the form: what was typed stays, and so does the hand.
    daemon.say("pop.updated", frame.clone());
    browser.type_text(" Min").await;
    browser.eval("document.getElementById('make-company').value='Lanhai Trading';document.getElementById('make-system').value='crm'").await;
    browser.shots("7b-new-customer").await;
    browser.eval("make.requestSubmit()").await;
    let create = daemon.hear("customer.create").await;
    assert_eq!(
        (&create["name"], &create["company"], &create["system"]),
        (&json!("赵敏 Min"), &json!("Lanhai Trading"), &json!("crm"))
    );
    daemon.done(&create);
    browser.until("!maker.open && facts.textContent.includes('赵敏 Min is being created at crm')").await;
    browser
        .eval("[...document.querySelectorAll('.who-is button')].find(b=>b.textContent==='Find customer').click()")
        .await;
    browser.until("panel.open && document.activeElement.id==='query'").await;
    browser.type_text("wang").await;
    browser.eval("ask.requestSubmit()").await;
    let search = daemon.hear("customer.search").await;
    daemon.say("done", json!({"id": search["id"], "candidates": [person("C2", "Wang Fang", "")]}));
    browser.until("results.textContent.includes('Wang Fang')").await;
    browser.shots("7c-attach").await;
    browser.eval("[...results.querySelectorAll('button')].find(b=>b.textContent==='Add number').click()").await;
    let attach = daemon.hear("customer.attach").await;
    assert_eq!((&attach["candidate"], &attach["call"]), (&json!("erp:customer:C2"), &json!(CALL)));
    daemon.done(&attach);
    browser.until("!panel.open && facts.textContent.includes('being added to this customer')").await;

    // Chinese, every word of it, and the wrap-up.
    browser.click("lang").await;
    browser
        .until("document.documentElement.lang==='zh-CN' && document.getElementById('name').textContent==='未找到客户'")
        .await;
    daemon.say("pop.updated", pop(filled()));
    daemon.say(
        "call.changed",
        changed(None, "ended", json!({"wrapup": {"since": in_seconds(0), "until": in_seconds(1800), "ready_at": in_seconds(40), "may_extend": true}})),
    );
    browser.until("desk.dataset.is==='wrapup' && word.textContent==='整理' && !done.hidden").await;
    browser.shots("8-wrapup-zh").await;

    // The call was recorded: its link is asked for by a click, anew when its time ran out, and nothing is left of it when the call is done.
    let recorded = json!({"wrapup": {"since": in_seconds(0), "until": in_seconds(1800), "ready_at": in_seconds(40), "may_extend": true}, "actions": ["recording.link"]});
    daemon.say("call.changed", changed(None, "ended", recorded));
    browser.until("verbs.textContent==='听录音' && document.getElementById('heard').hidden").await;
    browser.eval("verbs.querySelector('[data-key=\"recording.link\"]').click()").await;
    let first = daemon.hear("recording.link").await;
    assert_eq!((&first["call"], &first["recording"]), (&json!(CALL), &json!(0)));
    let link = |token: &str, n: u32, s: i64| json!({"url": format!("/v1/recordings/{CALL}-{n}?t={token}"), "expires_at": in_seconds(s), "recording": n, "of": 2});
    daemon.say("done", json!({"id": first["id"], "link": link("late", 0, -1)}));
    let again = daemon.hear("recording.link").await;
    daemon.say("done", json!({"id": again["id"], "link": link("good", 0, 600)}));
    browser.until("Math.round(audio.duration)===2 && document.getElementById('heard').checkVisibility()").await;
    browser.shots("8a-listen-zh").await;
    browser.eval("document.querySelector('[data-key=\"heard 1\"]').click()").await;
    let second = daemon.hear("recording.link").await;
    assert_eq!(second["recording"], 1);
    daemon.say("done", json!({"id": second["id"], "link": link("good", 1, 600)}));
    browser.until("audio.src.includes('-1?t=good') && audio.duration>1").await;
    browser.complaints.retain(|said| !said.contains("/v1/recordings/") || !said.contains("404"));
    browser.eval("outcome.focus()").await;
    browser.type_text("billing › refund").await;
    browser.click("ticket").await;
    browser.click("done").await;
    let wrapup = daemon.hear("wrapup.submit").await;
    assert_eq!(
        (&wrapup["disposition"], &wrapup["ticket"], &wrapup["notes"]),
        (&json!(["billing", "refund"]), &json!(true), &json!("Wants Monday, 张老师!"))
    );
    daemon.done(&wrapup);
    browser.until("desk.dataset.is==='idle' && document.getElementById('name').textContent==='等待来电'").await;
    browser.until("document.getElementById('heard').hidden && !audio.hasAttribute('src')").await;

    // Dialling, and a second screen that took over.
    browser.click("find").await;
    browser.until("panel.open && document.activeElement.id==='query'").await;
    browser.type_text("02161234567").await;
    browser.click("dial").await;
    let dial = daemon.hear("dial").await;
    assert_eq!(dial["number"], "02161234567");
    daemon
        .say("failed", json!({"id": dial["id"], "code": "not-registered", "message": "the device is not registered"}));
    browser.until("document.getElementById('panel-says').textContent==='您的话机没有连上。'").await;
    browser.shots("9-dial-zh").await;
    let mut elsewhere = agent("ready");
    elsewhere["active"] = json!(false);
    daemon.say("agent.changed", elsewhere);
    browser.until("desk.dataset.is==='elsewhere' && here.checkVisibility()").await;
    browser.click("here").await;
    let activate = daemon.hear("screen.activate").await;
    daemon.done(&activate);

    // A phone of which the switch tells nothing: said, and gone again when it is seen.
    let mut blind = agent("ready");
    blind["unseen"] = json!([{"switch": "pbx1", "device": "SIP/1001"}]);
    daemon.say("agent.changed", blind.clone());
    browser.until("document.getElementById('links').textContent.includes('看不到话机 1001')").await;
    browser.shots("9b-unseen").await;
    // One that is not registered cannot ring; that nothing is known of its calls is then no news.
    blind["unregistered"] = json!([{"switch": "pbx1", "device": "SIP/1001"}]);
    daemon.say("agent.changed", blind);
    browser.until("document.getElementById('links').textContent.includes('话机 1001 未注册') && !document.getElementById('links').textContent.includes('看不到')").await;
    browser.until("document.getElementById('status').textContent.includes('话机 1001 未注册')").await;
    browser.shots("9c-unregistered").await;
    daemon.say("agent.changed", agent("ready"));
    browser.until("!document.getElementById('links').textContent.includes('1001')").await;

    // A hot desk: the control is there for who takes a seat, and says who sits there.
    assert_eq!(browser.eval("document.getElementById('seat').checkVisibility()").await, json!(false));
    let mut person = agent("ready");
    person["seat"] = Value::Null;
    daemon.say("agent.changed", person.clone());
    browser.until("desk.dataset.is==='idle' && document.getElementById('seat').checkVisibility() && document.getElementById('seat').textContent==='还没有工位'").await;
    browser.click("seat").await;
    browser.type_text("2001").await;
    browser.click("take").await;
    let claim = daemon.hear("seat.claim").await;
    assert_eq!(claim["device"], "2001");
    let taken = json!({"id": claim["id"], "code": "seat-taken", "message": "the seat is taken", "agent": "1002", "name": "Wang Fang"});
    daemon.say("failed", taken);
    browser.until("document.getElementById('seat-says').textContent==='Wang Fang坐在那里。'").await;
    browser.shots("10-seat").await;
    browser.click("take").await;
    let claim = daemon.hear("seat.claim").await;
    person["seat"] = json!({"switch": "pbx1", "device": "PJSIP/2001", "since": in_seconds(0), "how": "page"});
    daemon.say("agent.changed", person);
    daemon.done(&claim);
    browser.until("document.getElementById('seat').textContent==='工位PJSIP/2001' && !desks.open").await;
    browser.click("seat").await;
    browser.click("rise").await;
    let leave = daemon.hear("seat.leave").await;
    daemon.done(&leave);

    assert_eq!(browser.eval("desk.scrollWidth<=innerWidth").await, json!(true));
    browser.size(320, 640).await;
    assert_eq!(browser.eval("desk.scrollWidth<=innerWidth").await, json!(true), "320 px scrolls sideways");
    assert_eq!(browser.complaints, Vec::<String>::new());
}

/// One agent of a team, as the daemon tells of them.
fn member(agent: &str, name: &str, more: Value) -> Value {
    let mut member = json!({"agent": agent, "name": name, "state": "ready", "here": true, "actions": []});
    member.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    member
}

/// A supervisor sees the team, and does to a call what works there: the list stands still while it changes, and the menu says who notices.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supervisor_and_the_team() {
    let mut daemon = Daemon::start().await;
    let mut browser = Browser::start().await;
    browser.size(1440, 820).await;
    browser.go(&daemon.address.clone()).await;
    browser.eval("document.getElementById('token').focus()").await;
    browser.type_text("a.b.c").await;
    browser.click("enter").await;
    daemon.welcome_as(json!(["supervisor"])).await;
    daemon.say("snapshot", json!({"agent": agent("ready"), "links": links(true), "calls": []}));
    browser.until("desk.dataset.is==='idle' && crew.checkVisibility()").await;
    browser.click("crew").await;
    let talks = |leg: &str, since: i64, actions: Value| {
        let number = json!({"display": "13800138000", "e164": "+8613800138000", "class": "mobile", "masked": false});
        let call = json!({"call": CALL, "leg": leg, "role": "inbound", "title": "After-sales", "number": number, "name": "Wang Fang"});
        json!({"state": "busy", "since": in_seconds(since), "call": call, "actions": actions})
    };
    let all = json!(["call.listen", "call.whisper", "call.barge", "call.take", "agent.state"]);
    let list = daemon.hear("team.list").await;
    let team = json!([
        member("1002", "Chen Jing", talks("talking", -75, all.clone())),
        member("1003", "Zhao Min <i>", json!({})),
        member("1004", "Li Qiang", json!({"here": false})),
        member("1005", "Sun Li", talks("ringing", -4, json!([]))),
        member("1006", "Zhou Jie", json!({"state": "working-after-call", "since": in_seconds(-31)})),
        member("1007", "Wu Gang", json!({"unseen": true})),
        member(
            "1008",
            "He Ping",
            json!({"state": "not-ready", "reason": "lunch", "overrun": true, "since": in_seconds(-2400), "actions": ["agent.state"]})
        ),
    ]);
    daemon.say("done", json!({"id": list["id"], "team": {"agents": 7, "list": team}}));
    browser.until("document.getElementById('team').open && document.querySelectorAll('.member').length===7").await;
    let rows = browser.eval("[...document.querySelectorAll('.member')].map(r=>r.innerText.replace(/\\s+/g,' ').trim().replace(/ \\d+:\\d\\d$/,''))").await;
    assert_eq!(
        rows,
        json!([
            "Talking Chen Jing After-sales · Wang Fang 13800138000",
            "Ready Zhao Min <i>",
            "No page open Li Qiang",
            "Ringing Sun Li After-sales · Wang Fang 13800138000",
            "Wrap-up Zhou Jie",
            "Phone not seen Wu Gang",
            "Not ready, Lunch He Ping"
        ])
    );
    browser.until("/^1:(1[5-9]|2\\d)$/.test(document.querySelector('.member .since').textContent)").await;
    assert_eq!(browser.eval("[...document.querySelectorAll('.member .more')].map(b=>b.checkVisibility({visibilityProperty:true})).join()").await, "true,false,false,false,false,false,true");
    browser.shots("11-team").await;
    browser.eval("shifts.length=0").await;

    // What can be done, and who notices; arrows go round, Escape leaves the list open and gives the focus back.
    browser.eval("document.querySelector('[data-key=\"1002\"]').click()").await;
    browser.until("document.getElementById('menu').matches(':popover-open') && document.activeElement.textContent.startsWith('Listen')").await;
    assert_eq!(
        browser
            .eval("[...document.getElementById('menu').children].map(b=>b.innerText.replace(/\\s+/g,' ')).join('; ')")
            .await,
        "Listen Nobody notices; Whisper Only the agent hears you; Join in Both hear you; Take over The customer comes to your phone, the agent is free; Set to: Ready After this call; Set to: Not ready After this call; Set to: Logged off After this call"
    );
    browser.shots("11b-team-menu").await;
    let key = |key: &str| {
        format!(
            "document.activeElement.dispatchEvent(new KeyboardEvent('keydown',{{key:'{key}',bubbles:true,cancelable:true}}))"
        )
    };
    browser.eval(&key("ArrowUp")).await;
    browser.until("document.activeElement.textContent.startsWith('Set to: Logged off')").await;
    browser.eval(&key("Escape")).await;
    browser.until("!document.getElementById('menu').matches(':popover-open') && document.getElementById('team').open && document.activeElement.dataset.key==='1002'").await;

    // News come under the hand: the row changes in its place, and what no longer works is not offered any more.
    browser.eval("document.querySelector('[data-key=\"1002\"]').click()").await;
    browser.until("document.getElementById('menu').matches(':popover-open')").await;
    browser
        .eval("[...document.getElementById('menu').children].find(b=>b.textContent.startsWith('Join')).click()")
        .await;
    let barge = daemon.hear("call.barge").await;
    assert_eq!(barge["agent"], "1002");
    browser.until("document.getElementById('team-says').textContent==='Your phone rings first'").await;
    daemon.done(&barge);
    browser.until("document.getElementById('team-says').textContent.startsWith('All hear each other')").await;
    browser.eval("document.querySelector('[data-key=\"1002\"]').click()").await;
    browser.until("document.getElementById('menu').matches(':popover-open')").await;
    daemon.say(
        "team.changed",
        member("1002", "Chen Jing", json!({"state": "working-after-call", "since": in_seconds(0)})),
    );
    browser.until("!document.getElementById('menu').matches(':popover-open') && document.querySelector('.member').innerText.includes('Wrap-up')").await;
    daemon.say("team.changed", member("1009", "Stranger", json!({})));
    daemon.say("team.changed", member("1003", "Zhao Min <i>", talks("talking", -2, all)));
    browser.until("document.querySelectorAll('.member')[1].innerText.includes('Talking') && document.querySelectorAll('.member').length===7").await;
    assert_eq!(browser.eval("shifts").await, json!([]), "the list moved by itself");
    browser.eval("document.querySelector('[data-key=\"1003\"]').click()").await;
    browser.until("document.getElementById('menu').matches(':popover-open')").await;
    browser.eval("document.getElementById('menu').children[0].click()").await;
    let listen = daemon.hear("call.listen").await;
    daemon.say("failed", json!({"id": listen["id"], "code": "unavailable-here", "message": "the switch cannot"}));
    browser.until("document.getElementById('team-says').textContent==='The phone system cannot do this.'").await;

    // A state is forced; the one that is there is not offered.
    browser.eval("document.querySelector('[data-key=\"1008\"]').click()").await;
    browser.until("[...document.getElementById('menu').children].map(b=>b.textContent).join()==='Set to: Ready,Set to: Logged off'").await;
    browser.eval("document.getElementById('menu').children[0].click()").await;
    let forced = daemon.hear("agent.state").await;
    assert_eq!((&forced["agent"], &forced["state"]), (&json!("1008"), &json!("ready")));
    daemon.done(&forced);
    browser.until("document.getElementById('team-says').textContent==='He Ping is told.'").await;

    // Our connection breaks: the list is asked for anew. Then in Chinese, and nobody looks any more.
    daemon.say.try_send(Value::Null).unwrap();
    daemon.welcome_as(json!(["supervisor"])).await;
    daemon.say("resumed", json!({"agent": agent("ready"), "links": links(true)}));
    let list = daemon.hear("team.list").await;
    daemon.say("done", json!({"id": list["id"], "team": {"agents": 300, "list": [member("1002", "陈静", talks("holding", -75, json!(["call.take"])))]}}));
    browser.until("document.querySelectorAll('.member').length===1 && document.getElementById('team-more').textContent.includes('first 1')").await;
    browser.click("lang").await;
    browser.until("document.querySelector('.member').innerText.includes('保持') && document.getElementById('team-title').textContent==='班组：300人'").await;
    browser.shots("11c-team-zh").await;
    browser.click("team-shut").await;
    assert_eq!(daemon.hear("team.list").await["watch"], false);
    browser.size(320, 640).await;
    assert_eq!(browser.eval("desk.scrollWidth<=innerWidth").await, json!(true), "320 px scrolls sideways");
    assert_eq!(browser.complaints, Vec::<String>::new());
}

/// Another company's system: pages of records, each of which tries to lead the page away that opened it.
async fn records() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (hear, heard) = mpsc::channel(64);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut start = [0; 4096];
            let n = stream.read(&mut start).await.unwrap_or(0);
            let text = String::from_utf8_lossy(&start[..n]).into_owned();
            let path = text.split(' ').nth(1).unwrap_or("/").to_owned();
            let body = "<!doctype html><link rel=icon href=data:,><script>for(const w of [opener,opener.parent,opener.top])\
                try{w.location='http://127.0.0.1/away'}catch{};fetch('/tried')</script>";
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length:";
            let _ = stream.write_all(format!("{head} {}\r\n\r\n{body}", body.len()).as_bytes()).await;
            let _ = hear.send(path).await;
        }
    });
    (address, heard)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tickets_customers_data_and_the_records_own_page() {
    let (erp, mut opened) = records().await;
    let mut daemon = Daemon::start().await;
    let mut browser = Browser::start().await;
    browser.size(1440, 820).await;
    browser.go(&daemon.address.clone()).await;
    browser.eval("document.getElementById('token').focus()").await;
    browser.type_text("a.b.c").await;
    browser.click("enter").await;
    let systems = json!([{"id": "desk", "tickets": ["search", "comment", "assign", "escalate"]}, {"id": "erp", "tickets": [], "update": ["email", "company"]}]);
    daemon.welcome_with(json!([]), json!({"systems": systems, "open": "answered"})).await;
    daemon.say("snapshot", json!({"agent": agent("ready"), "links": links(true), "calls": []}));
    browser.until("desk.dataset.is==='idle'").await;

    let mut mary = person("C1", "Mary Jones", "mobile");
    mary["url"] = json!(format!("{erp}/C1"));
    mary["facts"] = json!({"id": "C1", "name": "Mary Jones", "email": "", "company": "Jones Ltd"});
    let tickets = block(
        "desk",
        "tickets.open",
        "Open tickets",
        "fresh",
        json!([
        {"id": "12", "type": "ticket", "subject": "Washer leaks", "state": "open", "url": format!("{erp}/t12")},
        {"id": "11", "type": "ticket", "subject": "Elsewhere", "state": "open", "url": "javascript:alert(1)"}]),
    );
    let card = json!({"answer": {"state": "found"}, "candidates": [mary], "blocks": [tickets]});
    daemon.say("pop", pop(card.clone()));
    browser.until("facts.textContent.includes('Washer leaks')").await;
    // What is no address of the web is no link.
    let links = browser.eval("[...facts.querySelectorAll('.row a')].map(a=>[a.href,a.rel,a.target].join(' '))").await;
    assert_eq!(links, json!([format!("{erp}/t12 noopener noreferrer _blank")]));
    assert_eq!(browser.eval("page.href").await, format!("{erp}/C1"));
    assert!(opened.try_recv().is_err(), "nothing opens while the phone rings");

    browser.eval("facts.querySelector('[data-key=\"ticket desk 12\"]').click()").await;
    browser.until("ticketing.open && document.activeElement.tagName==='SELECT'").await;
    let offered = browser.eval("[...ticketing.querySelectorAll('option')].map(o=>o.value).join()").await;
    assert_eq!(offered, "comment,assign,escalate");
    browser.eval("ticketing.querySelector('textarea').focus()").await;
    browser.type_text("She wants it <today>").await;
    browser.shots("10-ticket").await;
    browser.eval("ticketing.querySelector('form').requestSubmit()").await;
    let comment = daemon.hear("ticket.comment").await;
    assert_eq!(
        (&comment["ticket"], &comment["text"]),
        (&json!({"system": "desk", "id": "12"}), &json!("She wants it <today>"))
    );
    daemon.done(&comment);
    browser.until("!ticketing.open && desk.querySelector('.wish.accepted')").await;
    let wish = json!({"call": CALL, "wish": "k1", "what": "note.add", "system": "desk", "ticket": "12"});
    let became = |state: &str, reason: Value| {
        let mut wish = wish.clone();
        wish["state"] = json!(state);
        wish["reason"] = reason;
        wish
    };
    daemon.say("wish.changed", became("later", json!("busy: no connection")));
    browser.until("desk.querySelector('.wish.later')?.textContent.includes('no connection')").await;
    daemon.say("wish.changed", became("done", Value::Null));
    browser.until("desk.querySelectorAll('.wish').length===1 && desk.querySelector('.wish.done')?.textContent.includes('#12')").await;
    browser.eval("facts.querySelector('[data-key=\"ticket desk 12\"]').click()").await;
    browser.eval("{const s=ticketing.querySelector('select');s.value='escalate';s.onchange()}").await;
    browser.eval("{const [text,,priority]=ticketing.querySelectorAll('textarea,input');text.value='stands still';priority.value='urgent'}").await;
    browser.eval("ticketing.querySelector('form').requestSubmit()").await;
    let escalate = daemon.hear("ticket.escalate").await;
    assert_eq!((&escalate["text"], &escalate["priority"]), (&json!("stands still"), &json!("urgent")));
    daemon.say("failed", json!({"id": escalate["id"], "code": "not-offered", "message": "not there"}));
    browser.until("ticketing.open && ticketing.querySelector('.says').textContent.length>3").await;

    // What is known of the customer: only what was changed is sent, with what was shown.
    browser.eval("desk.querySelector('[data-key=\"customer edit\"]').click()").await;
    browser.until("editor.open && !ticketing.open && document.activeElement.tagName==='INPUT'").await;
    browser.type_text("mary@mail.example").await;
    browser.shots("11-customer").await;
    browser.eval("editor.querySelector('form').requestSubmit()").await;
    let update = daemon.hear("customer.update").await;
    assert_eq!((&update["fields"], &update["was"]), (&json!({"email": "mary@mail.example"}), &json!({"email": ""})));
    daemon.done(&update);
    browser.until("!editor.open && desk.querySelectorAll('.wish').length===2").await;

    // A ticket that no card shows.
    browser.click("find").await;
    browser.until("panel.open && !document.getElementById('search-tickets').hidden").await;
    browser.type_text("leaks").await;
    browser.click("search-tickets").await;
    let search = daemon.hear("ticket.search").await;
    assert_eq!((&search["query"], &search["call"]), (&json!("leaks"), &json!(CALL)));
    daemon.say("done", json!({"id": search["id"], "tickets": [{"system": "desk", "id": "9", "subject": "Old leaks", "state": "closed"}]}));
    browser.until("results.textContent.includes('#9 Old leaks') && results.querySelector('button')").await;
    browser.click("shut").await;

    // The agent answers: the record's page opens, once, and cannot reach back; the next call's comes into the same tab.
    daemon.say("call.changed", changed(Some("talking"), "talking", json!({})));
    let heard = async |opened: &mut mpsc::Receiver<String>| {
        timeout(PATIENCE, opened.recv()).await.unwrap_or_else(|_| Some("nothing".to_owned())).unwrap()
    };
    assert_eq!(heard(&mut opened).await, "/C1");
    assert_eq!(heard(&mut opened).await, "/tried");
    // The new tab lies over the page, which is not drawn meanwhile.
    browser.send("Page.bringToFront", json!({})).await;
    daemon.say("pop.updated", pop(card.clone()));
    daemon.say("call.changed", changed(None, "ended", json!({})));
    browser.until("desk.dataset.is==='idle'").await;
    let second = "01JD8Z6Q5M0000000000000002";
    let mut next = pop(card);
    (next["call"], next["pop"]) = (json!(second), json!(format!("{second}-1")));
    next["target"] = json!(format!("{erp}/line"));
    daemon.say("pop", next.clone());
    let mut talk = changed(Some("talking"), "talking", json!({}));
    (talk["call"], talk["pop"]) = (next["call"].clone(), next["pop"].clone());
    daemon.say("call.changed", talk);
    assert_eq!(heard(&mut opened).await, "/line", "the line's target goes before the customer's page");
    assert_eq!(heard(&mut opened).await, "/tried");
    browser.send("Page.bringToFront", json!({})).await;
    browser.until(&format!("location.href==={}", json!(daemon.address))).await;
    let targets = browser.send("Target.getTargets", json!({})).await;
    let pages =
        targets["targetInfos"].as_array().unwrap().iter().filter(|t| t["url"].as_str().unwrap().starts_with(&erp));
    assert_eq!(pages.count(), 1, "{targets}");
    assert_eq!(browser.complaints, Vec::<String>::new());
}

fn refund(state: &str, steps: Value, more: Value) -> Value {
    let mut frame = json!({"flow": "01JD8Z6Q5M00000000000000F1", "name": "refund", "title": {"en": "Refund", "zh": "退款"}, "state": state, "call": CALL,
        "agent": "1001", "since": in_seconds(-3), "steps": steps, "actions": []});
    frame.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    frame
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flows_under_the_call_and_what_waits_for_a_supervisor() {
    let mut daemon = Daemon::start().await;
    let mut browser = Browser::start().await;
    browser.size(1440, 820).await;
    browser.go(&daemon.address.clone()).await;
    browser.eval("document.getElementById('token').focus()").await;
    browser.type_text("a.b.c").await;
    browser.click("enter").await;
    daemon.welcome_as(json!(["supervisor"])).await;
    daemon.say("snapshot", json!({"agent": agent("ready"), "links": links(true), "calls": []}));
    let list = daemon.hear("flow.list").await;
    let offer = json!({"name": "refund", "title": {"en": "Refund", "zh": "退款"}, "inputs": [
        {"name": "amount", "type": "amount", "label": {"en": "Amount", "zh": "金额"}, "required": true},
        {"name": "reason", "type": "choice", "label": {}, "required": true, "choices": ["damaged", "late"]}]});
    // What waits for a supervisor stands on the desk while it rests: with all that is needed.
    let task = json!({"task": 1, "kind": "decide", "step": "pay", "system": "bank", "operation": "refund.pay", "key": "k-7", "reason": "unknown: no answer <b>",
        "inputs": {"order": "SO-9", "amount": "129.00", "key": "k-7"}, "at": in_seconds(-60),
        "done": [{"step": "freeze", "system": "orders", "operation": "refund.freeze", "id": "F-3", "at": in_seconds(-90)}]});
    let waits = refund(
        "person",
        json!([{"step": "pay", "state": "person", "reason": "unknown: no answer"}]),
        json!({"agent": "1002", "actions": ["flow.task"], "tasks": [task]}),
    );
    daemon.say("done", json!({"id": list["id"], "flows": {"offers": [offer], "list": [waits]}}));
    browser.until("facts.textContent.includes('Nobody knows whether this was done') && facts.textContent.includes('refund.freeze · orders #F-3') && facts.textContent.includes('order: SO-9')").await;
    browser.shots("12-flow-task").await;
    browser.eval("facts.querySelector('[data-key$=\"1 again\"]').click()").await;
    let said = daemon.hear("flow.task").await;
    assert_eq!((&said["what"], &said["task"]), (&json!("again"), &json!(1)));
    daemon.done(&said);
    daemon.say("flow.changed", refund("done", json!([{"step": "pay", "state": "done"}]), json!({"agent": "1002"})));
    browser.until("!facts.textContent.includes('Nobody knows')").await;

    // Under a call: a button, a form for what must be told, and each step as it goes.
    daemon.say("pop", pop(filled()));
    browser.until("desk.querySelector('[data-key=\"flow refund\"]')?.textContent==='Refund'").await;
    browser.eval("desk.querySelector('[data-key=\"flow refund\"]').click()").await;
    browser.until("flow.open && document.activeElement.name==='amount'").await;
    browser.type_text("900.00").await;
    browser.shots("12a-flow-form").await;
    browser.eval("flow.querySelector('form').requestSubmit()").await;
    let start = daemon.hear("flow.start").await;
    assert_eq!(
        (&start["name"], &start["call"], &start["inputs"]),
        (&json!("refund"), &json!(CALL), &json!({"amount": "900.00", "reason": "damaged"}))
    );
    daemon.say("failed", json!({"id": start["id"], "code": "invalid-input", "message": "amount is more than 500"}));
    browser.until("flow.querySelector('.says').textContent==='One of the answers does not fit.'").await;
    browser.eval("flow.querySelector('form').requestSubmit()").await;
    let start = daemon.hear("flow.start").await;
    daemon.say("done", json!({"id": start["id"], "flow": "01JD8Z6Q5M00000000000000F1"}));
    browser.until("!flow.open").await;
    let steps = json!([{"step": "verify", "title": {"en": "The order is this customer's", "zh": "核对订单"}, "state": "done"}, {"step": "agree", "state": "approval"}, {"step": "ticket", "state": "open"}]);
    daemon.say("flow.changed", refund("approval", steps, json!({"agent": "1002", "amount": "900.00", "actions": ["flow.approve", "flow.refuse", "flow.stop"], "approvers": [{"role": "supervisor"}]})));
    browser.until("desk.querySelectorAll('.step').length===3 && desk.querySelector('.step.approval .source').textContent==='waits' && desk.textContent.includes('900.00')").await;
    browser.shots("12b-flow-steps").await;
    browser.eval("desk.querySelector('[data-key$=\" approve\"]').click()").await;
    let agreed = daemon.hear("flow.approve").await;
    assert_eq!((&agreed["flow"], &agreed["step"]), (&json!("01JD8Z6Q5M00000000000000F1"), &json!("agree")));
    daemon.done(&agreed);
    browser.click("lang").await;
    browser.until("desk.textContent.includes('核对订单') && desk.querySelector('.step.approval .source').textContent==='等待'").await;
    browser.size(320, 640).await;
    assert_eq!(browser.eval("desk.scrollWidth<=innerWidth").await, json!(true), "320 px scrolls sideways");
    assert_eq!(browser.complaints, Vec::<String>::new());
}

/// The whole way: an agent asks a group of experts from the page, and what one of them says by Slack stands there, as text.
#[tokio::test(flavor = "multi_thread")]
async fn an_experts_answer_appears_under_the_call() {
    let (mut desk, chat) = crate::escalation::desk(crate::escalation::Kind::Slack).await;
    desk.start(None).await;
    desk.until("the daemon is logged in", |desk| desk.pbx.logged_in() > 0).await;
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_linecard"));
    let token = desk.stage.verb(program, &["token", "--agent", "1001", "--ttl", "1h"]).unwrap();
    let mut browser = Browser::start().await;
    browser.size(1440, 900).await;
    browser.go(&format!("http://{}", desk.stage.places.agents)).await;
    browser.eval("document.getElementById('token').focus()").await;
    browser.type_text(token.trim()).await;
    browser.click("enter").await;
    browser.until("desk.checkVisibility()").await;
    desk.pbx.play(linecard::daemon::demo::story::Story::Answered, "13800138000", Some(0));
    browser.until("desk.querySelector('[data-key=\"flow escalation\"]')?.textContent==='Ask the experts'").await;
    browser.eval("desk.querySelector('[data-key=\"flow escalation\"]').click()").await;
    browser.until("flow.open && document.activeElement.name==='question'").await;
    browser.type_text("When does a refund by bank arrive?").await;
    browser.eval("flow.querySelector('form').requestSubmit()").await;
    browser.until("desk.querySelector('.step.answer .source')?.textContent==='waits for an answer'").await;
    browser.shots("12c-flow-asked").await;
    let text = "Three working days.\n<img src=x onerror=alert(1)>";
    assert_eq!(chat.send(&chat.reply(0, "U0EXPERT01", text)).await.0, 200);
    browser.until("desk.querySelector('.reply b')?.textContent==='Agent Wang'").await;
    assert_eq!(browser.eval("desk.querySelector('.reply span').textContent").await, json!(text));
    browser
        .until("desk.textContent.includes('Note on the ticket') && desk.querySelectorAll('.step.done').length===5")
        .await;
    browser.shots("12d-flow-answered").await;
    assert_eq!(browser.eval("desk.querySelector('.reply img')").await, Value::Null);
    // Another look at the page, and it is still there.
    browser.eval("location.reload()").await;
    browser
        .until("document.readyState==='complete' && document.querySelector('.reply b')?.textContent==='Agent Wang'")
        .await;
    assert_eq!(browser.complaints, Vec::<String>::new());
}

/// `linecard demo` as a newcomer starts it, on a folder of its own.
struct Demo {
    child: Child,
    folder: PathBuf,
    page: String,
    tickets: String,
    token: String,
}

impl Drop for Demo {
    fn drop(&mut self) {
        // The demo ends its daemon when it is told to stop.
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        }
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Demo {
    fn start() -> Self {
        let folder =
            std::env::temp_dir().join(format!("linecard-demo-{}-{}", std::process::id(), rand::random::<u32>()));
        let mut child = Command::new(env!("CARGO_BIN_EXE_linecard"))
            .arg("demo")
            .arg("--data")
            .arg(&folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut demo = Self {
            folder,
            page: String::new(),
            tickets: String::new(),
            token: String::new(),
            child: Command::new("true").spawn().unwrap(),
        };
        let out = child.stdout.take().unwrap();
        let _ = std::mem::replace(&mut demo.child, child).wait();
        for line in BufReader::new(out).lines() {
            let line = line.unwrap();
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                [.., "page", url] => demo.page = (*url).to_owned(),
                [.., "made", url] => demo.tickets = (*url).to_owned(),
                // 1001 gets the most calls: an own call has room at 1003.
                ["1003", token] => demo.token = (*token).to_owned(),
                [start, ..] if start.starts_with("Ctrl-C") => break,
                _ => {}
            }
        }
        assert!(!demo.token.is_empty() && !demo.page.is_empty(), "the demo printed no page or no token");
        demo
    }

    async fn ticket_page(&self) -> String {
        let host = self.tickets.trim_start_matches("http://").trim_end_matches('/');
        let mut socket = TcpStream::connect(host).await.unwrap();
        socket
            .write_all(format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let mut page = String::new();
        socket.read_to_string(&mut page).await.unwrap();
        page
    }
}

/// The first half hour of a newcomer, in a minute: the token from the demo's lines, a call with its facts, notes, a ticket, a dial.
#[tokio::test]
async fn page_on_the_demo() {
    let demo = Demo::start();
    let mut browser = Browser::start().await;
    browser.size(1440, 820).await;
    browser.go(demo.page.trim_end_matches('/')).await;
    browser.eval("document.getElementById('token').focus()").await;
    browser.type_text(&demo.token).await;
    browser.click("enter").await;
    browser.until("desk.checkVisibility()").await;

    // An own call first: it is there from ring to wrap-up. A caller may have come between looking and dialling: then once more, after him.
    let own = "number.textContent.includes('13800138000')";
    for turn in 1.. {
        browser.within(90, "['idle','wrapup'].includes(desk.dataset.is)").await;
        if browser.eval("desk.dataset.is").await == json!("wrapup") {
            browser.click("done").await;
            browser.until("desk.dataset.is!=='wrapup'").await;
        }
        browser.within(90, "desk.dataset.is==='idle'").await;
        browser.eval("shifts.length=0; query.value=''").await;
        browser.click("find").await;
        browser.until("panel.open && document.activeElement.id==='query'").await;
        browser.type_text("13800138000").await;
        browser.click("dial").await;
        browser
            .within(
                120,
                &format!(
                    "desk.dataset.is==='talking' && {own} || ['talking','wrapup'].includes(desk.dataset.is) && !{own}"
                ),
            )
            .await;
        if browser.eval(own).await == json!(true) {
            break;
        }
        assert!(turn < 5, "each time somebody else called");
    }
    browser.shots("d1-talking").await;
    browser.until("!facts.querySelector('.block.pending') && facts.querySelector('.block.fresh')").await;
    browser.eval("document.getElementById('notes').focus()").await;
    browser.type_text("Asked for the invoice of June.").await;
    browser.until("saved.textContent==='Saved'").await;

    // The far end hangs up; the outcome and a ticket, said at once: the next caller may ring any moment.
    browser.within(60, "desk.dataset.is==='wrapup'").await;
    let say = "outcome.value='billing › invoice'; outcome.dispatchEvent(new Event('input',{bubbles:true}));\
               if(!ticket.checked)ticket.click(); document.getElementById('done').click(); desk.dataset.is";
    assert_eq!(browser.eval(say).await, "wrapup");
    browser.until("desk.dataset.is!=='wrapup'").await;
    // Written to the business system once, with what was said.
    let mut page = demo.ticket_page().await;
    let end = std::time::Instant::now() + PATIENCE;
    while !page.contains("invoice of June") && std::time::Instant::now() < end {
        browser.eval("new Promise(d=>setTimeout(d,200))").await;
        page = demo.ticket_page().await;
    }
    assert!(page.contains("invoice of June"), "no ticket or note says what the agent wrote: {page}");

    // A caller by the queue, as they come.
    // One of the demo's callers withholds the number, and may be the first.
    let told = "['ringing','talking'].includes(desk.dataset.is) && line.textContent.length>0 && (number.textContent.length>0 || document.getElementById('name').textContent==='Withheld')";
    browser.within(120, told).await;
    browser.shots("d2-caller").await;
    browser.click("lang").await;
    browser.until("document.documentElement.lang==='zh-CN'").await;
    assert_eq!(browser.complaints, Vec::<String>::new());
}
