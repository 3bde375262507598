//! A system with a brain for those that cannot run here: it plays what each connector's file has recorded, over a real socket, and lies on request. Whatever it says, a lie is never
//! taken for an answer: nobody is not found by a page of HTML, and nothing was written by an error with status 200.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use linecard::connectors::{self, Ask, Connectors, Idempotency, Outcome, Priority, Set};
use serde_json::{Map, Value};
use tokio::task::JoinSet;

use crate::connectors::{answer, fake};

/// What is said in place of the recorded answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Lie {
    /// None: what is recorded.
    Truth,
    /// A proxy's page.
    Html,
    Empty,
    /// As long as announced, and half of it.
    Half,
    /// It was done, and the line is cut.
    Cut,
    /// "Too many" in five dialects.
    TooMany(u8),
    /// 503 while the system is mended.
    Away,
    /// Status 200, and what it says is that it failed.
    ErrorInside,
    /// Valid JSON of another shape.
    OtherShape,
    /// The system's own crash.
    Crash,
}

const LIES: [Lie; 14] = [
    Lie::Truth,
    Lie::Html,
    Lie::Empty,
    Lie::Half,
    Lie::Cut,
    Lie::TooMany(0),
    Lie::TooMany(1),
    Lie::TooMany(2),
    Lie::TooMany(3),
    Lie::TooMany(4),
    Lie::Away,
    Lie::ErrorInside,
    Lie::OtherShape,
    Lie::Crash,
];

const HTML: &str =
    "<!doctype html><html><head><title>Please sign in</title></head><body><h1>Gateway</h1></body></html>";

impl Lie {
    fn bytes(self, truth: &Value) -> Vec<u8> {
        let more = |status: u16, headers: &str, body: &str| {
            format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            )
            .into_bytes()
        };
        match self {
            Self::Truth => recorded(truth),
            Self::Html => answer(200, "text/html; charset=utf-8", HTML),
            Self::Empty => answer(200, "application/json", ""),
            Self::Half => {
                let whole = recorded(truth);
                let head = whole.windows(4).position(|w| w == b"\r\n\r\n").map_or(0, |at| at + 4);
                let half = head + (whole.len() - head) / 2;
                whole.get(..half).unwrap_or_default().to_vec()
            }
            Self::Cut => Vec::new(),
            Self::TooMany(0) => more(429, "retry-after: 7\r\n", "{\"message\":\"Too many requests\"}"),
            Self::TooMany(1) => more(429, "retry-after: Fri, 31 Dec 2027 23:59:59 GMT\r\n", "slow down"),
            Self::TooMany(2) => more(429, "x-ratelimit-remaining: 0\r\nx-ratelimit-reset: 1900000000\r\n", ""),
            Self::TooMany(3) => {
                more(429, "ratelimit: \"default\";r=0;t=9\r\n", "{\"errors\":[{\"code\":\"rate_limited\"}]}")
            }
            Self::TooMany(_) => answer(429, "text/html", HTML),
            Self::Away => more(503, "retry-after: 30\r\n", "{\"error\":\"maintenance\"}"),
            Self::ErrorInside => more(
                200,
                "",
                "{\"error\":{\"code\":\"X-1\",\"message\":\"internal failure\"},\"errcode\":99999,\"success\":false,\"ok\":false,\"code\":99999,\"status\":\"error\"}",
            ),
            Self::OtherShape => more(200, "", "{\"unexpected\":{\"shape\":[1,2,3]}}"),
            Self::Crash => more(500, "", "{\"error\":\"Internal Server Error\"}"),
        }
    }
}

/// The answer as the file has it.
fn recorded(truth: &Value) -> Vec<u8> {
    let Some(status) = truth["status"].as_u64() else { return Vec::new() };
    let body = match (&truth["json"], &truth["text"]) {
        (Value::Null, Value::String(text)) => text.clone(),
        (Value::Null, _) => String::new(),
        (json, _) => json.to_string(),
    };
    let mut head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    let given = truth["headers"].as_object().cloned().unwrap_or_default();
    if !given.keys().any(|name| name.eq_ignore_ascii_case("content-type")) {
        head += "content-type: application/json\r\n";
    }
    for (name, value) in &given {
        head += &format!("{name}: {}\r\n", value.as_str().unwrap_or_default());
    }
    for (name, value) in truth["cookies"].as_object().into_iter().flatten() {
        head += &format!("set-cookie: {name}={}; path=/\r\n", value.as_str().unwrap_or_default());
    }
    format!("{head}\r\n{body}").into_bytes()
}

/// Whether a request is the one of an exchange: its method, and the end of its path.
fn is(exchange: &Value, request: &str) -> bool {
    let mut words = request.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let wanted = exchange["request"]["path"].as_str().unwrap_or("\u{0}");
    // Both as a URL writes them. A file whose address is a secret tells no path.
    let written = |path: &str| reqwest::Url::parse(&format!("http://x{path}")).map(|url| url.path().to_owned());
    let same = written(path)
        .ok()
        .zip(written(wanted).ok())
        .is_some_and(|(path, wanted)| path.ends_with(&wanted) || wanted == "/");
    exchange["request"]["method"].as_str().unwrap_or("GET") == method && same
}

/// The same value, lists in any order.
fn same(a: &Value, b: &Value) -> bool {
    let sorted = |list: &[Value]| {
        let mut texts: Vec<String> = list.iter().map(Value::to_string).collect();
        texts.sort();
        texts
    };
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => sorted(a) == sorted(b),
        _ => a == b,
    }
}

/// Whether it is the one to the last parameter, as far as the exchange says it.
fn is_just(exchange: &Value, request: &str) -> bool {
    let url = reqwest::Url::parse(&format!("http://x{}", request.split(' ').nth(1).unwrap_or_default()));
    let query: BTreeMap<String, String> = url.map(|url| url.query_pairs().into_owned().collect()).unwrap_or_default();
    let body = request.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    let wanted = &exchange["request"];
    let same_query = wanted["query"].as_object().is_none_or(|wanted| {
        wanted.len() == query.len() && wanted.iter().all(|(k, v)| query.get(k).map(String::as_str) == v.as_str())
    });
    let same_body =
        wanted["json"].is_null() || serde_json::from_str::<Value>(body).is_ok_and(|body| body == wanted["json"]);
    is(exchange, request) && same_query && same_body
}

/// One example of one file with one lie in place of its last answer.
struct Case {
    file: String,
    example: Value,
    lie: Lie,
    /// All exchanges of the file: sign-ins of other examples are found here.
    all: Arc<Vec<Value>>,
    text: Arc<str>,
    system: String,
}

impl Case {
    /// What is wrong with what came of it.
    async fn play(self) -> Result<(), String> {
        let own: Vec<Value> = self.example["exchanges"].as_array().cloned().unwrap_or_default();
        let (last, lie, all) = (own.len() - 1, self.lie, self.all.clone());
        let used = Arc::new(Mutex::new(vec![false; own.len()]));
        let strange = Arc::new(Mutex::new(Vec::<String>::new()));
        let told = strange.clone();
        let heard = Mutex::new(BTreeMap::<String, usize>::new());
        let host = fake(move |request| {
            let mut used = used.lock().unwrap();
            let line = request.lines().next().unwrap_or_default();
            // Whoever asks again hears the same again, lies too.
            let again = heard.lock().unwrap().get(request).copied();
            let next = |fits: fn(&Value, &str) -> bool| {
                own.iter().enumerate().position(|(n, one)| !used[n] && fits(one, request))
            };
            let had = |fits: fn(&Value, &str) -> bool| own.iter().rposition(|one| fits(one, request));
            // A sign-in before it, or a look at who we are, as another example has it.
            let good = |exchange: &Value| exchange["answer"]["status"].as_u64().is_some_and(|s| s < 400);
            let other = |fits: fn(&Value, &str) -> bool| all.iter().find(|one| fits(one, request) && good(one));
            let at = next(is_just).or(again).or_else(|| next(is)).or_else(|| had(is_just));
            let at = at.or_else(|| had(is).filter(|_| other(is_just).is_none()));
            if let Some(at) = at {
                heard.lock().unwrap().insert(request.to_owned(), at);
                used[at] = true;
                return if at == last { lie.bytes(&own[at]["answer"]) } else { recorded(&own[at]["answer"]) };
            }
            match other(is_just).or_else(|| other(is)) {
                Some(exchange) => recorded(&exchange["answer"]),
                None => {
                    told.lock().unwrap().push(line.to_owned());
                    answer(404, "text/plain", "not recorded")
                }
            }
        })
        .await;
        let at = format!("http://{}", host.address);
        let text: String = self
            .text
            .lines()
            .map(|line| {
                let key = line.trim_start();
                let address =
                    key.starts_with("base_url:") || key.starts_with("token_url:") || key.starts_with("instance:");
                match line.find("https://").filter(|_| address) {
                    Some(from) => {
                        let rest = line.get(from + 8..).unwrap_or_default();
                        let path = rest.find(['/', '"']).and_then(|end| rest.get(end..)).unwrap_or_default();
                        format!("{}{at}{path}\n", line.get(..from).unwrap_or_default())
                    }
                    None if address => line.replace("{{ url }}", &at) + "\n",
                    None => line.to_owned() + "\n",
                }
            })
            .collect();
        let system = connectors::load_offline(&self.file, &text).map_err(|problems| format!("{problems:?}"))?;
        let connectors = Connectors::new(Set::new(vec![system]));
        let operation = self.example["operation"].as_str().unwrap_or_default().to_owned();
        let can = connectors.idempotency(&self.system.as_str().into(), &operation);
        let ask = Ask {
            tenant: linecard::words::TenantId::default(),
            system: self.system.as_str().into(),
            operation,
            inputs: self.example["inputs"].as_object().cloned().unwrap_or_default(),
            // Long enough for an answer on a busy machine; too short to wait for what a liar promises.
            deadline: Duration::from_secs(if self.lie == Lie::Truth { 20 } else { 2 }),
            priority: Priority::Pop,
        };
        let outcome = connectors.run(ask).await;
        let strange = strange.lock().unwrap().clone();
        let wrong = |wanted: &str| Err(format!("{wanted}; it is {outcome:?} (not recorded: {strange:?})"));
        if self.lie == Lie::Truth {
            let word = self.example["outcome"].as_str().unwrap_or_default().replace('_', "-");
            return match &outcome {
                // "Nobody" is believed when the system knows us; not every file has recorded how that is asked.
                other if word == "empty" && !matches!(other, Outcome::Ok(_)) => Ok(()),
                // Questions that go out side by side are answered in any order.
                Outcome::Ok(value) if word == "ok" && self.example.get("value").is_some_and(|it| same(it, value)) => {
                    Ok(())
                }
                other if word != "ok" && other.word() == word => Ok(()),
                _ => wrong(&word),
            };
        }
        let answered = matches!(outcome, Outcome::Ok(_) | Outcome::Empty | Outcome::NotFound);
        if answered {
            return wrong("no answer is to be made of it");
        }
        match self.lie {
            Lie::TooMany(_) | Lie::Away
                if matches!(outcome, Outcome::Denied { .. } | Outcome::Invalid { .. } | Outcome::Conflict { .. }) =>
            {
                wrong("later is not never")
            }
            Lie::Cut
                if can != Idempotency::Read && !matches!(outcome, Outcome::Unknown { .. } | Outcome::Busy { .. }) =>
            {
                wrong("nobody knows whether it was written")
            }
            _ => Ok(()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_lie_of_any_system_is_taken_for_an_answer() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/config/connectors");
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text: Arc<str> = std::fs::read_to_string(&path).unwrap().into();
        let file: Value = linecard::files::read::<Value>("connector", &text).unwrap_or_else(|p| panic!("{p:?}")).value;
        if file.get("base_url").is_none() {
            continue;
        }
        let examples = file["examples"].as_array().cloned().unwrap_or_default();
        let well = examples.iter().filter(|example| example["outcome"] == "ok");
        let all: Vec<Value> = well.filter_map(|e| e["exchanges"].as_array()).flatten().cloned().collect();
        let all = Arc::new(all);
        for example in examples {
            let answers = ["ok", "empty"].contains(&example["outcome"].as_str().unwrap_or_default());
            let exchanges = example["exchanges"].as_array().map_or(0, Vec::len);
            // Lists come in pages, which the index asks for one by one.
            if !answers || exchanges == 0 || example["operation"] == "customer.list" {
                continue;
            }
            let last = example["exchanges"].as_array().and_then(|list| list.last()).map(|one| &one["answer"]);
            let short = last.is_none_or(|answer| {
                answer["json"].is_null() && answer["text"].as_str().unwrap_or_default().is_empty()
            });
            for lie in LIES {
                // There is no half of nothing.
                if lie == Lie::Half && short {
                    continue;
                }
                cases.push(Case {
                    file: path.file_name().unwrap().to_string_lossy().into_owned(),
                    example: example.clone(),
                    lie,
                    all: all.clone(),
                    text: text.clone(),
                    system: file["connector"].as_str().unwrap_or_default().to_owned(),
                });
            }
        }
    }
    let count = cases.len();
    assert!(count > 1_000, "{count} cases are too few to mean anything");
    let mut wrong: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    // What is true has the file's own time; lies may come late.
    let (truths, lies): (Vec<Case>, Vec<Case>) = cases.into_iter().partition(|case| case.lie == Lie::Truth);
    for (at_once, cases) in [(4, truths), (32, lies)] {
        let mut tasks = JoinSet::new();
        let mut cases = cases.into_iter();
        loop {
            for case in cases.by_ref().take(at_once - tasks.len()) {
                let name = format!("{}: {}", case.file, case.example["name"].as_str().unwrap_or_default());
                let lie = format!("{:?}", case.lie);
                tasks.spawn(async move { (name, lie, case.play().await) });
            }
            let Some(done) = tasks.join_next().await else { break };
            let (name, lie, result) = done.unwrap();
            if let Err(why) = result {
                wrong.entry(name).or_default().insert(lie, why.into());
            }
        }
    }
    assert!(wrong.is_empty(), "{} of the {count} cases: {:#?}", wrong.values().map(Map::len).sum::<usize>(), wrong);
}
