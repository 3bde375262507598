//! Webhooks, out: nothing is lost, each call's events come in their order, and nobody is spoken to who is not meant.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::Engine as _;
use hmac::Mac as _;
use linecard::{
    calls::Record,
    connectors::{Ask, Idempotency, Outcome},
    private::Secret,
    records::{
        Delivery,
        hooks::{Webhooks, live::Sender},
        live::{Systems, deliver},
    },
    store::{Batch, EffectSet, Settings, Store},
    words::{SystemId, TenantId, Wall},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_util::sync::CancellationToken;

use crate::{connectors::parameters, sign_in::Folder};

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn hooks(text: &str) -> Arc<Webhooks> {
    let secret = |_: &_| Ok(Secret::new(KEY.to_owned()));
    Arc::new(Webhooks::read("webhooks.yaml", text, &secret).unwrap_or_else(|p| panic!("{p:#?}")))
}

fn record(call: u128, revision: u32, more: Value) -> Record {
    let mut whole = json!({
        "record": 1, "revision": revision, "call": ulid::Ulid(call).to_string(), "tenant": "default", "switch": "pbx1", "direction": "inbound",
        "origin": "phone", "customer": {"raw": "13800138000", "e164": "+8613800138000"}, "dialled": {"e164": "+864008001234", "class": "shared-cost"},
        "queue": "support", "end": "seen", "parties": [], "segments": [], "ids": [], "quality": "exact",
    });
    whole.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    serde_json::from_value(whole).unwrap()
}

/// Everything that one call has told, in its order.
fn story(hooks: &Webhooks, call: u128) -> Vec<EffectSet> {
    use linecard::calls::{
        Change, What,
        change::{Offer, Role},
    };
    let (mut out, at) = (Vec::new(), linecard::live::now());
    let offer = |ordinal, agent: &str| Offer {
        ordinal,
        agent: agent.into(),
        device: format!("PJSIP/{agent}"),
        role: Role::Inbound,
    };
    let up = record(call, 0, json!({}));
    for what in [
        What::Appeared,
        What::Offered(offer(1, "1001")),
        What::Offered(offer(2, "1002")),
        What::Established(offer(2, "1002")),
    ] {
        hooks.change(&Change { call: up.call, at, what }, Some(&up), &mut out);
    }
    let ended = json!({"outcome": "answered", "final_agent": "1002", "agents": ["1002"]});
    hooks.written(&record(call, 1, ended.clone()), true, at.wall, &mut out);
    hooks.wrapped(&record(call, 1, ended.clone()), "1002", r#"{"disposition": ["billing"]}"#, at.wall, &mut out);
    hooks.written(&record(call, 2, ended), false, at.wall, &mut out);
    out
}

const STEPS: [&str; 7] = ["delivered-1", "delivered-2", "established-2", "ended", "record-1", "wrapup", "record-2"];

/// What of an event names its step.
fn step(body: &Value) -> String {
    let data = &body["data"];
    let offer = |word: &str| format!("{word}-{}", if data["agent"] == "1001" { 1 } else { 2 });
    match body["type"].as_str().unwrap() {
        "call.delivered" => offer("delivered"),
        "call.established" => offer("established"),
        "call.record" => format!("record-{}", data["record"]["revision"]),
        other => other.trim_start_matches("call.").to_owned(),
    }
}

#[derive(Default)]
struct Ledger {
    /// Call to its events, each once, in the order in which they were first answered well.
    taken: HashMap<String, Vec<String>>,
    ids: BTreeMap<String, usize>,
    bodies: BTreeMap<String, String>,
}

/// A receiver that lies: of three requests one is refused, cut off, held up too long, or taken and its answer lost.
async fn liar(ledger: Arc<Mutex<Ledger>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut dice = 0_u32;
        while let Ok((mut socket, _)) = listener.accept().await {
            // Not random, so that a failing run is the same again.
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (mood, ledger) = (dice >> 24 & 15, ledger.clone());
            tokio::spawn(async move {
                let Some((head, body)) = whole(&mut socket).await else { return };
                if mood == 1 {
                    return;
                }
                let header = |name: &str| {
                    head.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap_or_default().to_owned()
                };
                let (id, at) = (header("webhook-id"), header("webhook-timestamp"));
                let key = base64::engine::general_purpose::STANDARD.decode(KEY.trim_start_matches("whsec_")).unwrap();
                let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
                mac.update(format!("{id}.{at}.{body}").as_bytes());
                let sign = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
                assert_eq!(header("webhook-signature"), format!("v1,{sign}"));
                assert!(at.parse::<i64>().unwrap().abs_diff(linecard::live::now().wall.0 / 1000) < 60);
                let json: Value = serde_json::from_str(&body).unwrap();
                let status = match mood {
                    2 => 500,
                    3 => 302,
                    4 => {
                        std::future::pending::<()>().await;
                        return;
                    }
                    _ => 200,
                };
                {
                    let mut ledger = ledger.lock().unwrap();
                    *ledger.ids.entry(id.clone()).or_default() += 1;
                    let before = ledger.bodies.entry(id).or_insert_with(|| body.clone());
                    assert_eq!(*before, body, "one id, two bodies");
                    if status == 200 {
                        let call = json["data"]["call"].as_str().unwrap().to_owned();
                        let events = ledger.taken.entry(call).or_default();
                        let step = step(&json);
                        if !events.contains(&step) {
                            events.push(step);
                        }
                    }
                }
                if mood == 5 {
                    return;
                }
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
                let _ = socket.write_all(answer.as_bytes()).await;
            });
        }
    });
    address
}

async fn whole(socket: &mut tokio::net::TcpStream) -> Option<(String, String)> {
    let (mut request, mut part) = (Vec::new(), [0_u8; 8192]);
    loop {
        let n = socket.read(&mut part).await.ok().filter(|n| *n > 0)?;
        request.extend_from_slice(&part[..n]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|l| l.to_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
        if body.len() >= length.unwrap_or(0) {
            return Some((head.to_owned(), body.to_owned()));
        }
    }
}

#[derive(Clone)]
struct Told(Sender);

impl Systems for Told {
    fn idempotency(&self, _: &TenantId, _: &SystemId, _: &str) -> Idempotency {
        Idempotency::Key
    }
    fn offers(&self, _: &SystemId, _: &str) -> bool {
        false
    }
    async fn ask(&self, ask: Ask) -> Outcome {
        self.0.send(&ask).await
    }
}

fn open(folder: &Path) -> Store {
    Store::open(&Settings { path: folder.join("linecard.db"), ..Settings::default() }).unwrap()
}

fn delivery() -> Delivery {
    Delivery {
        per_system: 16,
        backoff_ms: 5,
        backoff_cap_ms: 20,
        quiet_ms: 20,
        deadline_ms: 300,
        grace_ms: 0,
        ..Delivery::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_lies_gets_everything_in_the_order_of_each_call_through_kills_too() {
    let (folder, ledger) = (Folder::new(), Arc::new(Mutex::new(Ledger::default())));
    let address = liar(ledger.clone()).await;
    // One that nobody answers at: it must hold up nothing.
    let text = format!(
        "webhooks:\n  - {{name: dead, url: 'http://127.0.0.1:1/', secret: {{env: A}}}}\n  - {{name: liar, url: 'http://{address}/calls', secret: {{env: A}}}}\nallow: ['127.0.0.1']\n"
    );
    let hooks = hooks(&text);
    let calls = 25_u128;
    let store = open(&folder.0);
    for call in 1..=calls {
        store.submit(Batch { effects: story(&hooks, call), ..Batch::default() }).await.unwrap();
    }
    // Told again after a crash, as a replay would: the same events, and no more of them.
    store.submit(Batch { effects: story(&hooks, 1), ..Batch::default() }).await.unwrap();
    drop(store);
    let whole =
        |ledger: &Ledger| ledger.taken.len() as u128 == calls && ledger.taken.values().all(|e| e.len() == STEPS.len());
    for life in 0.. {
        assert!(life < 400, "{:?}", ledger.lock().unwrap().taken);
        let (store, stop) = (open(&folder.0), CancellationToken::new());
        let task = tokio::spawn(deliver(store.clone(), Told(Sender::new(hooks.clone())), delivery(), stop.clone()));
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        // The first lives end in the middle of their work.
        for _ in 0..if life < 5 { 10 } else { 100 } {
            tick.tick().await;
            if whole(&ledger.lock().unwrap()) {
                break;
            }
        }
        task.abort();
        let _ = task.await;
        drop(store);
        if whole(&ledger.lock().unwrap()) {
            break;
        }
    }
    let ledger = ledger.lock().unwrap();
    for (call, events) in &ledger.taken {
        assert_eq!(events, &STEPS, "{call}");
    }
    assert_eq!(ledger.ids.len(), STEPS.len() * usize::try_from(calls).unwrap(), "one id for each event, for ever");
    assert!(ledger.ids.values().any(|times| *times > 1), "it lied");
}

#[tokio::test(flavor = "multi_thread")]
async fn private_addresses_names_that_lead_there_and_redirects_are_not_followed() {
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let address = liar(ledger.clone()).await;
    let ping = async |url: &str, allow: &str| {
        let text = format!("webhooks: [{{name: x, url: '{url}', secret: {{env: A}}}}]\nallow: [{allow}]\n");
        Sender::new(hooks(&text)).ping("x").await.unwrap().0
    };
    let port = address.port();
    for url in ["http://127.0.0.1", "http://[::ffff:127.0.0.1]", "http://0.0.0.0"] {
        let outcome = ping(&format!("{url}:{port}/"), "").await;
        assert!(matches!(&outcome, Outcome::Denied { reason } if reason.contains("private")), "{url}: {outcome:?}");
    }
    let outcome = ping(&format!("http://localhost:{port}/"), "'127.0.0.1'").await;
    assert!(matches!(outcome, Outcome::Busy { .. }), "what is allowed is a name, not what it means: {outcome:?}");
    // An address written as one number is read as the one it is.
    for url in ["http://2130706433", "http://0x7f.1", "http://0177.0.0.1", "http://[::ffff:7f00:1]"] {
        let outcome = ping(&format!("{url}:{port}/"), "").await;
        assert!(matches!(&outcome, Outcome::Denied { reason } if reason.contains("private")), "{url}: {outcome:?}");
    }
    assert!(ledger.lock().unwrap().ids.is_empty(), "nobody was spoken to");
    assert!(Sender::new(hooks("webhooks: []\n")).ping("x").await.is_err());

    let redirects = crate::connectors::fake(move |_| {
        format!(
            "HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:{port}/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        .into_bytes()
    })
    .await;
    let outcome = ping(&format!("http://localhost:{}/", redirects.address.port()), "localhost").await;
    assert!(matches!(&outcome, Outcome::Busy { reason } if reason.contains("redirects")), "{outcome:?}");
    assert!(ledger.lock().unwrap().ids.is_empty());
    let gone = crate::connectors::fake(|_| crate::connectors::answer(410, "text/plain", "")).await;
    let outcome = ping(&format!("http://localhost:{}/", gone.address.port()), "localhost").await;
    assert!(matches!(outcome, Outcome::Invalid { .. }));
    let good = crate::connectors::fake(|_| crate::connectors::answer(204, "text/plain", "")).await;
    assert_eq!(
        ping(&format!("http://localhost:{}/", good.address.port()), "localhost").await,
        Outcome::Ok(json!({"status": 204}))
    );
}

#[test]
fn zammad_is_told_in_its_own_words() {
    let hooks =
        hooks("webhooks: [{name: z, url: 'https://z.example/api/v1/cti/{token}', token: {env: A}, format: zammad}]\n");
    let sent = |effects: &[EffectSet]| -> Vec<(String, BTreeMap<String, String>)> {
        let puts = effects.iter().flat_map(|set| &set.puts);
        puts.map(|put| {
            let inputs: Value = serde_json::from_str(put.row.inputs.expose()).unwrap();
            let request =
                linecard::records::hooks::request(&hooks.list[0], inputs.as_object().unwrap(), &put.row.key, Wall(0));
            assert_eq!(request.headers, [("Content-Type", "application/x-www-form-urlencoded".to_owned())]);
            (put.row.step.clone(), parameters(&request.body))
        })
        .collect()
    };
    let told = sent(&story(&hooks, 1));
    let event = |n: usize| -> Vec<(&str, &str)> { told[n].1.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect() };
    let call = ulid::Ulid(1).to_string();
    let base = |event, user| {
        vec![
            ("callId", call.as_str()),
            ("direction", "in"),
            ("event", event),
            ("from", "8613800138000"),
            ("queue", "support"),
            ("to", "864008001234"),
            ("user[]", user),
        ]
    };
    assert_eq!(event(0), base("newCall", "1001"));
    // The second phone that rings is the same call: one key, and what was sent stays.
    assert_eq!(
        told.iter().map(|(step, _)| step.as_str()).collect::<Vec<_>>(),
        ["new-call", "new-call", "established-2", "ended"]
    );
    let mut answer = base("answer", "1002");
    answer.insert(0, ("answeringNumber", "1002"));
    assert_eq!(event(2), answer);
    let mut hangup = base("hangup", "");
    hangup.pop();
    hangup.insert(0, ("answeringNumber", "1002"));
    hangup.insert(2, ("cause", "normalClearing"));
    assert_eq!(event(3), hangup);

    let mut out = Vec::new();
    let missed = json!({"outcome": "abandoned", "customer": {"withheld": true}});
    hooks.written(&record(2, 1, missed), true, Wall(0), &mut out);
    let told = sent(&out);
    assert_eq!((told[0].1["cause"].as_str(), told[0].1["from"].as_str()), ("cancel", "anonymous"));
    let mut out = Vec::new();
    hooks.written(&record(3, 1, json!({"direction": "internal", "customer": null})), true, Wall(0), &mut out);
    assert!(out.is_empty(), "a call inside the house is no customer's");
}

#[test]
fn only_what_is_wanted_is_told_and_only_of_ones_own_tenant() {
    let text = "webhooks:\n  - {name: a, url: 'https://a.example/', secret: {env: A}, events: [missed]}\n  - {name: b, url: 'https://b.example/', secret: {env: A}, tenant: other}\n";
    let hooks = hooks(text);
    assert!(story(&hooks, 1).is_empty());
    let mut out = Vec::new();
    hooks.written(&record(1, 1, json!({"outcome": "abandoned"})), true, Wall(0), &mut out);
    let words: Vec<&str> = out.iter().flat_map(|set| &set.puts).map(|put| put.row.operation.as_str()).collect();
    assert_eq!(words, ["call.missed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_verbs_tell_what_waits_and_try_one() {
    let good = crate::connectors::fake(|request| {
        assert!(request.contains("webhook.ping") && request.contains("webhook-signature: v1,"), "{request}");
        crate::connectors::answer(204, "text/plain", "")
    })
    .await;
    let folder = Folder::new();
    let store = folder.0.join("linecard.db");
    folder.write("key", KEY);
    folder.write(
        "linecard.yaml",
        &format!(
            "store: {{path: {}}}\nagents: {{tokens: {{issuer: desk, keys: {{hs256: {{env: PATH}}}}}}}}\n",
            store.display()
        ),
    );
    folder.write(
        "webhooks.yaml",
        &format!(
            "webhooks: [{{name: crm, url: 'http://localhost:{}/', secret: {{file: {}/key}}}}]\nallow: [localhost]\n",
            good.address.port(),
            folder.0.display(),
        ),
    );
    let linecard = |words: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_linecard"));
        let done = command.arg("webhook").args(words).arg("--config").arg(&folder.0).output().unwrap();
        (done.status.code(), String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned())
    };
    let (code, said) = linecard(&["ping", "crm"]);
    assert!(code == Some(0) && said.starts_with("crm: 204 after "), "{said}");
    let (code, said) = linecard(&["ping", "erp"]);
    assert!(code == Some(1) && said.contains("webhooks are: crm"), "{said}");
    // Two wait; a ticket that waits too is none of them.
    let hooks = hooks("webhooks: [{name: crm, url: 'https://crm.example/', secret: {env: A}, events: [delivered]}]\n");
    open(&folder.0).submit(Batch { effects: story(&hooks, 1), ..Batch::default() }).await.unwrap();
    let (_, said) = linecard(&["list", "--json"]);
    let rows: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.iter().map(|row| row["operation"].as_str().unwrap()).collect::<Vec<_>>(), ["call.delivered"; 2]);
    let (_, said) = linecard(&["show", rows[0]["key"].as_str().unwrap(), "--json"]);
    assert!(said.contains("webhook:crm") && !said.contains("13800138000"), "numbers are masked: {said}");
}
