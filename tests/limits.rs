//! Limits, retries and the breaker over real sockets, against a system with a brain: it counts for itself, says 429 in every dialect, blocks, is slow, dies and comes back.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use linecard::connectors::{self, Ask, Connectors, Outcome, Priority, Set};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::watch,
};

/// What came, and when.
#[derive(Default)]
pub struct Ledger {
    came: Mutex<Vec<(Instant, String)>>,
}

impl Ledger {
    pub fn count(&self) -> usize {
        self.came.lock().unwrap().len()
    }
    fn times(&self) -> Vec<Instant> {
        self.came.lock().unwrap().iter().map(|(at, _)| *at).collect()
    }
    pub fn paths(&self) -> Vec<String> {
        self.came.lock().unwrap().iter().map(|(_, path)| path.clone()).collect()
    }
}

/// `brain`: how many came before, and the path; nothing: it hangs up. Answers go out while `open` is true.
pub async fn system(
    brain: impl Fn(usize, &str) -> Option<String> + Send + Sync + 'static,
    open: watch::Receiver<bool>,
) -> (SocketAddr, Arc<Ledger>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let ledger = Arc::new(Ledger::default());
    let (kept, brain) = (ledger.clone(), Arc::new(brain));
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let (ledger, brain, mut open) = (kept.clone(), brain.clone(), open.clone());
            tokio::spawn(async move {
                let mut request = Vec::new();
                let mut part = [0_u8; 4096];
                while !request.windows(4).any(|w| w == b"\r\n\r\n") {
                    match socket.read(&mut part).await {
                        Ok(n) if n > 0 => request.extend_from_slice(&part[..n]),
                        _ => return,
                    }
                }
                let text = String::from_utf8_lossy(&request).into_owned();
                let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
                let before = {
                    let mut came = ledger.came.lock().unwrap();
                    came.push((Instant::now(), path.clone()));
                    came.len() - 1
                };
                let answer = brain(before, &path);
                open.wait_for(|open| *open).await.unwrap();
                if let Some(answer) = answer {
                    let _ = socket.write_all(answer.as_bytes()).await;
                }
            });
        }
    });
    (address, ledger)
}

pub fn answer(status: u16, headers: &str, body: &serde_json::Value) -> Option<String> {
    let body = body.to_string();
    let length = body.len();
    Some(format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    ))
}

pub fn good() -> Option<String> {
    answer(200, "", &json!({"balance": "1.00", "login": "linecard", "id": 7}))
}

/// A file with these lines in it.
fn file(address: SocketAddr, more: &str) -> String {
    format!(
        r#"
connector: desk
schema: 1
base_url: "http://{address}"
concurrency: 32
deadline_ms: 8000
{more}
operations:
  check:
    steps:
      - {{name: who, path: /me, outcome: [{{when: body.login is defined, is: ok}}]}}
    output: {{login: body.login}}
  finance:
    steps:
      - name: balance
        path: /finance
        outcome:
          - {{when: body.errcode == 130101, is: rate_limited, blocked_ms: 1200}}
          - {{status: [200], when: body.balance is defined, is: ok}}
    output: {{balance: body.balance}}
  note.add:
    idempotent: none
    steps:
      - {{name: note, method: POST, path: /note, body: {{json: {{}}}}, outcome: [{{status: [200], is: ok}}]}}
    output: {{id: body.id}}
"#
    )
}

fn desk(address: SocketAddr, more: &str) -> Connectors {
    let text = file(address, more);
    let system = connectors::load("desk.yaml", &text).unwrap_or_else(|problems| panic!("{problems:#?}"));
    Connectors::new(Set::new(vec![system]))
}

fn ask(operation: &str, deadline_ms: u64) -> Ask {
    let inputs = json!({"customer": {"id": "7"}, "call": "c", "key": "k", "target": {"id": "7"}, "text": "t"});
    Ask {
        tenant: Default::default(),
        system: "desk".into(),
        operation: operation.to_owned(),
        inputs: inputs.as_object().unwrap().clone(),
        deadline: Duration::from_millis(deadline_ms),
        priority: Priority::Pop,
    }
}

pub fn open() -> (watch::Sender<bool>, watch::Receiver<bool>) {
    watch::channel(true)
}

async fn all(desk: &Connectors, asks: impl Iterator<Item = Ask>) -> Vec<Outcome> {
    futures_util::future::join_all(asks.map(|ask| desk.run(ask))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_that_blocks_is_never_brought_to_it() {
    // Its own count: the ninth within a second, and it blocks for good.
    let blocked = Arc::new(AtomicUsize::new(0));
    let (seen, came) = (blocked.clone(), Mutex::new(Vec::new()));
    let (_keep, open) = open();
    let (address, ledger) = system(
        move |_, _| {
            let mut came = came.lock().unwrap();
            let now = Instant::now();
            came.retain(|at: &Instant| now.duration_since(*at) < Duration::from_secs(1));
            came.push(now);
            if came.len() > 8 {
                seen.fetch_add(1, Ordering::SeqCst);
                return answer(403, "", &json!({}));
            }
            good()
        },
        open,
    )
    .await;
    let desk = desk(address, "limits: {windows: [{requests: 8, per_s: 1}, {requests: 4, per_s: 60, burst: 30}]}");
    let outcomes = all(&desk, (0..20).map(|_| ask("finance", 8_000))).await;
    assert!(outcomes.iter().all(|o| matches!(o, Outcome::Ok(_))), "{outcomes:?}");
    assert_eq!(blocked.load(Ordering::SeqCst), 0);
    // A reload in between forgets nothing.
    desk.swap(Set::new(vec![
        connectors::load(
            "desk.yaml",
            &file(address, "limits: {windows: [{requests: 8, per_s: 1}, {requests: 4, per_s: 60, burst: 30}]}"),
        )
        .unwrap(),
    ]));
    let outcomes = all(&desk, (0..10).map(|_| ask("finance", 8_000))).await;
    assert!(outcomes.iter().all(|o| matches!(o, Outcome::Ok(_))), "{outcomes:?}");
    assert_eq!((blocked.load(Ordering::SeqCst), ledger.count()), (0, 30));
    // The bucket of thirty is empty: who has no time is told at once, without a request.
    let begun = Instant::now();
    let told = desk.run(ask("finance", 500)).await;
    assert!(matches!(told, Outcome::RateLimited { wait_ms: Some(500..) }), "{told:?}");
    assert!(begun.elapsed() < Duration::from_millis(400));
    assert_eq!(ledger.count(), 30);
    let used = &desk.standing()[0].used;
    assert!(used.iter().any(|used| used.of == 30 && used.used >= 29), "{used:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn enough_is_understood_in_every_dialect() {
    fn date(ahead_s: u64) -> String {
        let at = jiff::Timestamp::now() + Duration::from_secs(ahead_s);
        at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }
    let hint = |key: &str, hint: &str| format!("limits: {{hints: {{{key}: {hint}}}}}");
    type Refusal = Box<dyn Fn() -> Option<String> + Send + Sync>;
    let refuse = |headers: &'static str| -> Refusal { Box::new(move || answer(429, headers, &json!({}))) };
    let cases: Vec<(&str, String, Refusal)> = vec![
        ("seconds", String::new(), refuse("Retry-After: 1\r\n")),
        (
            "a date, by a clock that is two hours ahead",
            String::new(),
            Box::new(|| {
                let headers = format!("Date: {}\r\nRetry-After: {}\r\n", date(7_200), date(7_201));
                answer(429, &headers, &json!({}))
            }),
        ),
        (
            "the draft",
            hint("dialect", "ietf"),
            refuse("RateLimit: \"a\";r=9, \"b\";r=0;t=1\r\nRateLimit-Policy: \"b\";q=10;w=1\r\n"),
        ),
        ("the older draft", hint("dialect", "ratelimit"), refuse("RateLimit-Remaining: 0\r\nRateLimit-Reset: 1\r\n")),
        (
            "X- with milliseconds since 1970",
            hint("dialect", "x_ratelimit"),
            Box::new(|| {
                let at = jiff::Timestamp::now().as_millisecond() + 1_000;
                answer(429, &format!("X-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: {at}\r\n"), &json!({}))
            }),
        ),
        (
            "the body",
            hint("wait", "{value: body.retry_after_ms, unit: ms}"),
            Box::new(|| answer(429, "", &json!({"retry_after_ms": 1_000}))),
        ),
        ("a header of its own", hint("wait", "{header: X-Wait, unit: ms}"), refuse("X-Wait: 1000\r\n")),
        ("a block, said with 200", String::new(), Box::new(|| answer(200, "", &json!({"errcode": 130101})))),
        ("no time at all", String::new(), refuse("")),
        ("503 with a time", String::new(), Box::new(|| answer(503, "Retry-After: 1\r\n", &json!({})))),
    ];
    let plays = cases.into_iter().map(|(name, more, refusal)| async move {
        let (_keep, open) = open();
        let (address, ledger) = system(move |before, _| if before == 0 { refusal() } else { good() }, open).await;
        let desk = desk(address, &more);
        let outcome = desk.run(ask("finance", 5_000)).await;
        assert!(matches!(outcome, Outcome::Ok(_)), "{name}: {outcome:?}");
        let times = ledger.times();
        assert_eq!(times.len(), 2, "{name}");
        assert!(times[1] - times[0] >= Duration::from_millis(990), "{name}: {:?}", times[1] - times[0]);
    });
    futures_util::future::join_all(plays).await;
}

#[tokio::test]
async fn a_wait_that_is_too_long_is_told_at_once_and_to_everybody() {
    let (_keep, open) = open();
    let (address, ledger) = system(|_, _| answer(429, "Retry-After: 30\r\n", &json!({})), open).await;
    let desk = desk(address, "");
    let begun = Instant::now();
    for _ in 0..3 {
        let outcome = desk.run(ask("finance", 5_000)).await;
        assert!(matches!(outcome, Outcome::RateLimited { wait_ms: Some(20_000..=30_000) }), "{outcome:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(ledger.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_is_tried_again_and_a_write_that_is_not_safe_is_not() {
    // Hangs up on the first, is busy at the second.
    let (_keep, is_open) = open();
    let brain = |before, _: &str| match before {
        0 => None,
        1 => answer(503, "", &json!({})),
        _ => good(),
    };
    let (address, ledger) = system(brain, is_open).await;
    let outcome = desk(address, "").run(ask("finance", 8_000)).await;
    assert!(matches!(outcome, Outcome::Ok(_)), "{outcome:?}");
    assert_eq!(ledger.count(), 3);

    let (_keep, is_open) = open();
    let (address, ledger) = system(|_, _| answer(503, "", &json!({})), is_open).await;
    let desk = desk(address, "breaker: {open_s: 0}");
    let outcome = desk.run(ask("note.add", 8_000)).await;
    assert!(matches!(outcome, Outcome::Busy { .. }), "{outcome:?}");
    assert_eq!(ledger.count(), 1);
    // A system in trouble is not asked three times for each question: a tenth more, and three.
    let outcomes = all(&desk, (0..100).map(|_| ask("finance", 8_000))).await;
    assert!(outcomes.iter().all(|o| matches!(o, Outcome::Busy { .. })));
    assert!((102..=1 + 100 + 10 + 3).contains(&ledger.count()), "{}", ledger.count());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_system_is_left_alone_and_one_question_finds_it_again() {
    let dead = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let (gate, is_open) = open();
    let asleep = dead.clone();
    let (address, ledger) =
        system(move |_, _| if asleep.load(Ordering::SeqCst) { None } else { good() }, is_open).await;
    let desk = desk(address, "breaker: {minimum: 4, open_s: 1}\nretries: {most: 0}");
    for _ in 0..4 {
        let outcome = desk.run(ask("finance", 8_000)).await;
        assert!(matches!(outcome, Outcome::Busy { .. }), "{outcome:?}");
    }
    let Outcome::Busy { reason } = desk.run(ask("finance", 8_000)).await else { panic!() };
    assert!(reason.starts_with("desk is not asked until 20") && reason.contains("4 of the last 4"), "{reason}");
    assert_eq!(ledger.count(), 4);
    let (_, shown) = desk.standing()[0].breakers[0].clone();
    assert_eq!(shown.state, "open");
    assert!(shown.since.is_some() && shown.until.is_some());

    // It comes back, slowly: thirty ask when the time is over, and one request is on its way, the cheap one.
    dead.store(false, Ordering::SeqCst);
    gate.send(false).unwrap();
    let until = shown.until.unwrap();
    let (again, asked) = (desk.clone(), ledger.clone());
    let first = tokio::spawn(async move {
        loop {
            let outcome = again.run(ask("finance", 8_000)).await;
            if asked.count() > 4 {
                return outcome;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    while ledger.count() == 4 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(jiff::Timestamp::now().as_millisecond() >= until.0 - 5);
    let others = all(&desk, (0..30).map(|_| ask("finance", 8_000))).await;
    for outcome in others {
        let Outcome::Busy { reason } = outcome else { panic!("{outcome:?}") };
        assert!(reason.starts_with("desk is being tried again"), "{reason}");
    }
    assert_eq!(ledger.paths()[4..], ["/me".to_owned()]);
    gate.send(true).unwrap();
    let first = first.await.unwrap();
    assert!(matches!(first, Outcome::Ok(_)), "{first:?}");
    assert!(matches!(desk.run(ask("finance", 8_000)).await, Outcome::Ok(_)));
    assert_eq!(desk.standing()[0].breakers[0].1.state, "closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_with_a_breaker_of_its_own_does_not_take_the_system_with_it() {
    let (_keep, is_open) = open();
    let (address, ledger) =
        system(|_, path| if path == "/finance" { answer(500, "", &json!({})) } else { good() }, is_open).await;
    let more = "retries: {most: 0}";
    let text = file(address, more).replace("  finance:\n", "  finance:\n    breaker: {minimum: 3}\n");
    let desk = Connectors::new(Set::new(vec![connectors::load("desk.yaml", &text).unwrap()]));
    for _ in 0..10 {
        assert!(!matches!(desk.run(ask("finance", 8_000)).await, Outcome::Ok(_)));
        assert!(matches!(desk.run(ask("check", 8_000)).await, Outcome::Ok(_)));
    }
    assert_eq!(ledger.paths().iter().filter(|path| *path == "/finance").count(), 3);
    let states: Vec<_> = desk.standing()[0].breakers.iter().map(|(name, shown)| (*name, shown.state)).collect();
    assert_eq!(states, [(None, "closed"), (Some("finance"), "open")]);
}

#[test]
fn mistakes_of_limits_have_their_places() {
    let address = "127.0.0.1:1".parse().unwrap();
    let more = r#"
limits:
  windows: [{requests: 0, per_s: 1}, {requests: 2, per_s: 1, kept_for_pops: 2}]
  cost: body.cost | itn
  hints: {remaining: {header: X, value: body.x}, reset: {value: bdy.x}}
breaker: {failed_percent: 101}
retries: {most: 50}
"#;
    let shares = "\n    limits: {with: customer.serach}\n    steps:";
    let text =
        file(address, more).replace("is: ok}]}}", "is: ok, blocked_ms: 5}]}}").replacen("\n    steps:", shares, 1);
    let text =
        text.replace("when: body.login is defined, is: ok", "when: body.login is defined, is: ok, blocked_ms: 5");
    let problems = connectors::load_offline("desk.yaml", &text).err().unwrap();
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    for wanted in [
        "a window that cannot be",
        "2 are not enough for one request of background work",
        "no filter \"itn\"",
        "the hint stands nowhere, or in two places",
        "\"bdy\" is not known here",
        "a breaker that cannot be",
        "there are no windows to share",
        "more than anybody waits for",
        "nothing was asked too often",
    ] {
        assert!(told.iter().any(|t| t.contains(wanted)), "{wanted}: {told:#?}");
    }
    assert!(problems.iter().all(|p| p.line > 0), "{told:#?}");
}
