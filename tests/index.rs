//! The index of numbers and the walk that fills it, against a system with a ledger that lies, and the audit.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use linecard::{
    connectors::{
        self, Ask, Connectors, Outcome, Priority, Saw, Seen, Set,
        index::live::{Status, keep, on_disk, walk},
    },
    words::SystemId,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// A CRM whose own search finds only what is written exactly so.
const CRM: &str = r#"
connector: crm
schema: 1
variables: {url: {text: ""}}
base_url: "{{ url }}"
deadline_ms: 3000
INDEX
operations:
  check:
    steps: [{name: me, path: /me, outcome: [{status: [200], is: ok}]}]
    output: {who: body.who}
  customer.by_phone:
    steps: [{name: who, path: /search, query: {q: "{{ number.raw }}"}, outcome: [{status: [200], is: ok}], records: body}]
    fields: &customer {id: record.id | string, name: record.name, mobile: record.mobile, others: record.others}
    phones: {mobile: 手机, others: 其他}
  customer.get:
    steps: [{name: one, path: "/people/{{ customer.id }}", outcome: [{status: [200], is: ok}], save: {record: body}}]
    output: *customer
  customer.list:
    page: {by: offset, size: 3, total: body.total, pause_ms: 0}
    steps:
      - name: all
        path: /people
        query: {offset: "{{ page.offset }}", limit: "{{ page.size }}", since: "{{ since if since else omit }}"}
        outcome: [{status: [200], when: body.people is defined, is: ok}]
        records: body.people
    fields: {id: record.id | string, mobile: record.mobile, others: record.others}
    phones: {mobile: 手机, others: 其他}
"#;

const OFTEN: &str = "index: {every_s: 10, full_every_s: 86400}";

/// The CRM's own book, and how it behaves.
#[derive(Default)]
struct Book {
    people: Vec<Value>,
    /// Changed since the last reading: what a list with `since` gives.
    changed: Vec<u64>,
    /// Added to the total that is told.
    lie: i64,
    /// Pages still to be refused with 429.
    refuse: u32,
    /// Offsets are not obeyed.
    deaf: bool,
    /// Every request line.
    heard: Vec<String>,
}

impl Book {
    fn seed() -> Self {
        let person = |id: u64, mobile: &str, others: &[&str]| json!({"id": id, "name": format!("c{id}"), "mobile": mobile, "others": others});
        let people = vec![
            person(1, "13800138000", &["0571-8765 4321"]),
            person(2, "138 0013 8000", &[]),
            person(3, "１３９００００８８８８", &[]),
            person(4, "+86-159-0000-2222 转 806", &[]),
            person(5, "(+86) 186-0000-1111", &["021-6888 1234", "0086-13712345678"]),
            person(6, "0575-0013 8000", &["无"]),
            person(7, "13800138001", &[]),
        ];
        Self { people, ..Self::default() }
    }

    fn answer(&mut self, target: &str) -> (u16, String) {
        self.heard.push(target.to_owned());
        let url = reqwest::Url::parse(&format!("http://x{target}")).unwrap();
        let query: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        let body = match url.path() {
            "/me" => json!({"who": "linecard"}),
            "/search" => {
                let asked = query["q"].trim_start_matches("+86").to_owned();
                json!(self.people.iter().filter(|p| p["mobile"] == asked.as_str()).collect::<Vec<_>>())
            }
            "/people" if self.refuse > 0 => {
                self.refuse -= 1;
                return (429, String::new());
            }
            "/people" => {
                let all: Vec<&Value> = match query.contains_key("since") {
                    true => self.people.iter().filter(|p| self.changed.contains(&p["id"].as_u64().unwrap())).collect(),
                    false => self.people.iter().collect(),
                };
                let (offset, limit): (usize, usize) =
                    (query["offset"].parse().unwrap(), query["limit"].parse().unwrap());
                let offset = if self.deaf { 0 } else { offset };
                let total = i64::try_from(all.len()).unwrap() + self.lie;
                json!({"total": total, "people": all.into_iter().skip(offset).take(limit).collect::<Vec<_>>()})
            }
            path => {
                let id = path.strip_prefix("/people/").and_then(|id| id.parse::<u64>().ok());
                match self.people.iter().find(|p| p["id"].as_u64() == id) {
                    Some(person) => person.clone(),
                    None => return (404, String::new()),
                }
            }
        };
        (200, body.to_string())
    }
}

type Shared = Arc<Mutex<Book>>;

async fn crm(book: Book) -> (SocketAddr, Shared) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let book = Arc::new(Mutex::new(book));
    let shared = book.clone();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let book = shared.clone();
            tokio::spawn(async move {
                let (mut request, mut part) = (Vec::new(), [0_u8; 4096]);
                while !request.windows(4).any(|w| w == b"\r\n\r\n") {
                    match socket.read(&mut part).await {
                        Ok(0) | Err(_) => return,
                        Ok(n) => request.extend_from_slice(&part[..n]),
                    }
                }
                let head = String::from_utf8_lossy(&request).into_owned();
                let (status, body) = book.lock().unwrap().answer(head.split(' ').nth(1).unwrap());
                let retry = if status == 429 { "Retry-After: 1\r\n" } else { "" };
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{retry}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = socket.write_all(answer.as_bytes()).await;
            });
        }
    });
    (address, book)
}

fn system_of(file: &str, address: SocketAddr) -> connectors::System {
    let values = BTreeMap::from([("url".to_owned(), format!("http://{address}"))]);
    connectors::load_with("crm.yaml", file, &values).unwrap_or_else(|p| panic!("{p:#?}"))
}

fn connectors(address: SocketAddr, index: &str) -> Connectors {
    Connectors::new(Set::new(vec![system_of(&CRM.replace("INDEX", index), address)]))
}

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("linecard-index-{}-{:x}", std::process::id(), rand::random::<u64>())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Until the index is as wanted; a walk is told nowhere, so the state is looked at.
async fn until(connectors: &Connectors, what: &str, wanted: impl Fn(&Status) -> bool) -> Status {
    let patience = Instant::now() + Duration::from_secs(30);
    loop {
        let status = connectors.indexes().into_iter().next();
        if let Some(status) = status.as_ref().filter(|s| wanted(s)) {
            return status.clone();
        }
        assert!(Instant::now() < patience, "{what}: {status:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn ask(number: &str) -> Ask {
    Ask {
        tenant: "default".into(),
        system: "crm".into(),
        operation: "customer.by_phone".to_owned(),
        inputs: json!({"number": number}).as_object().unwrap().clone(),
        deadline: Duration::from_secs(3),
        priority: Priority::Pop,
    }
}

async fn ids(connectors: &Connectors, number: &str) -> Vec<String> {
    match connectors.run(ask(number)).await {
        Outcome::Ok(Value::Array(list)) => {
            let mut ids: Vec<String> = list.iter().map(|c| c["id"].as_str().unwrap().to_owned()).collect();
            ids.sort();
            ids
        }
        Outcome::Empty => Vec::new(),
        other => panic!("{number}: {other:?}"),
    }
}

#[tokio::test]
async fn numbers_in_any_spelling_are_found_and_what_changed_is_known_after_the_next_walk() {
    let (address, book) = crm(Book::seed()).await;
    let folder = Folder::new();
    let crm = connectors(address, OFTEN);
    // Before there is an index the system's search answers, as well as it can.
    assert_eq!(ids(&crm, "13800138000").await, ["1"]);
    let keeper = tokio::spawn(keep(crm.clone(), folder.0.clone()));
    let status = until(&crm, "the first walk", |s| s.holds.is_some()).await;
    let holds = status.holds.unwrap();
    assert_eq!((holds.customers, holds.numbers, holds.odd), (7, 10, 2));
    for (number, wanted) in [
        ("13800138000", vec!["1", "2"]),
        ("+86 138-0013-8000", vec!["1", "2"]),
        ("057187654321", vec!["1"]),
        ("13900008888", vec!["3"]),
        ("15900002222", vec!["4"]),
        ("+8618600001111", vec!["5"]),
        ("02168881234", vec!["5"]),
        ("13712345678", vec!["5"]),
        ("13800138001", vec!["7"]),
        ("13800138002", vec![]),
        ("057500138000", vec!["6"]),
    ] {
        assert_eq!(ids(&crm, number).await, wanted, "{number}");
    }
    let seen = Seen::default();
    let Outcome::Ok(found) = crm.run_seen(ask("057187654321"), Some(&seen)).await else { panic!("not found") };
    assert_eq!((&found[0]["name"], &found[0]["reason"]), (&json!("c1"), &json!("其他")));
    let seen = seen.lock().unwrap().clone();
    assert!(matches!(seen[0], Saw::Indexed { customers: 1, age_ms: 0..=60_000 }), "{seen:?}");
    assert!(seen.iter().any(|s| matches!(s, Saw::Matched { why: Some(why), .. } if why == "其他")), "{seen:?}");

    // The files are the account's own, and hold the numbers.
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder.0), mode(&folder.0.join("crm.numbers"))), (0o700, 0o600));

    // Deleted, and a number given away: neither is shown, without any walk.
    {
        let mut book = book.lock().unwrap();
        book.people.retain(|p| p["id"] != 1);
        book.people[0]["mobile"] = json!("13700137000");
        book.changed = vec![2];
    }
    assert!(ids(&crm, "13800138000").await.is_empty());
    // What changed is found after the next reading, in whatever spelling.
    let before = status.known_at;
    until(&crm, "a reading of what changed", |s| s.known_at > before).await;
    assert_eq!(ids(&crm, "+8613700137000").await, ["2"]);
    assert!(book.lock().unwrap().heard.iter().any(|h| h.contains("since=20") && h.contains("Z")));

    // A restart: the files are read and no whole walk is made.
    keeper.abort();
    let walks = |book: &Shared| {
        book.lock().unwrap().heard.iter().filter(|h| h.starts_with("/people?") && !h.contains("since")).count()
    };
    let walked = walks(&book);
    let again = connectors(address, OFTEN);
    let keeper = tokio::spawn(keep(again.clone(), folder.0.clone()));
    let status = until(&again, "the index of the last run", |s| s.holds.is_some()).await;
    assert_eq!(ids(&again, "13900008888").await, ["3"]);
    assert_eq!(walks(&book), walked);
    assert_eq!(on_disk(&folder.0, &SystemId::from("crm")).unwrap().holds, status.holds);
    keeper.abort();

    // Switched off: the files go.
    let off = connectors(address, "");
    let keeper = tokio::spawn(keep(off.clone(), folder.0.clone()));
    let patience = Instant::now() + Duration::from_secs(10);
    while folder.0.join("crm.numbers").exists() || folder.0.join("crm.changed").exists() {
        assert!(Instant::now() < patience, "people's numbers are left behind");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(ids(&off, "13900008888").await.is_empty());
    keeper.abort();
}

#[tokio::test]
async fn a_list_that_lies_leaves_the_index_as_it_was_and_is_told() {
    let (address, book) = crm(Book::seed()).await;
    let folder = Folder::new();
    let crm = connectors(address, OFTEN);
    let keeper = tokio::spawn(keep(crm.clone(), folder.0.clone()));
    let good = until(&crm, "the first walk", |s| s.holds.is_some()).await;
    keeper.abort();
    let first = fs::read(folder.0.join("crm.numbers")).unwrap();
    type Lie = fn(&mut Book);
    let lies: [(&str, Lie); 4] = [
        ("there are 17 and gave 7", |book| book.lie = 10),
        ("not obeyed", |book| book.deaf = true),
        ("nobody where there were customers", |book| book.people.clear()),
        ("no rule of the file fits", |book| book.people[3] = json!({"name": "no id"})),
    ];
    for (told, lie) in lies {
        {
            let mut book = book.lock().unwrap();
            *book = Book::seed();
            lie(&mut book);
        }
        // Another address in the file is another system to the index: a whole walk is due at once.
        let other = connectors(address, &format!("{OFTEN}\nheaders: {{X-Try: \"{}\"}}", told.len()));
        let keeper = tokio::spawn(keep(other.clone(), folder.0.clone()));
        let status = until(&other, told, |s| s.failures > 0).await;
        let why = status.last_error.clone().unwrap();
        assert!(why.contains(told) || why.contains("\"id\""), "{told}: {why}");
        assert_eq!(status.holds, good.holds, "{told}");
        assert_eq!(fs::read(folder.0.join("crm.numbers")).unwrap(), first, "{told}");
        keeper.abort();
    }
}

#[tokio::test]
async fn a_system_that_has_enough_in_the_middle_is_waited_for_and_calls_go_first() {
    let (address, book) = crm(Book { refuse: 1, ..Book::seed() }).await;
    let crm = connectors(address, "");
    let system = system_of(&CRM.replace("INDEX", ""), address);
    let mut seen = Vec::new();
    let begun = Instant::now();
    let mut pages = 0;
    walk(&crm, &system, None, |r| seen.push(r["id"].as_str().unwrap().to_owned()), |p| pages = p.pages).await.unwrap();
    assert_eq!(seen, ["1", "2", "3", "4", "5", "6", "7"]);
    assert!(begun.elapsed() >= Duration::from_secs(1), "Retry-After is obeyed");
    assert_eq!(pages, 4, "{:?}", book.lock().unwrap().heard);

    // A reading under way, and a phone rings: it is answered between two pages of a system that takes one request at a time.
    let slow = CRM.replace("INDEX", "concurrency: 1").replace("pause_ms: 0", "pause_ms: 50");
    let crm = Connectors::new(Set::new(vec![system_of(&slow, address)]));
    let system = system_of(&slow, address);
    book.lock().unwrap().heard.clear();
    let (mut at, answered) = (0, Mutex::new(None));
    let walking = walk(&crm, &system, None, |_| {}, |p| at = p.pages);
    let ringing = async {
        tokio::time::sleep(Duration::from_millis(60)).await;
        let found = ids(&crm, "13800138000").await;
        *answered.lock().unwrap() = Some(found);
    };
    let (walked, ()) = tokio::join!(walking, ringing);
    assert_eq!((walked, answered.into_inner().unwrap()), (Ok(()), Some(vec!["1".to_owned()])));
    assert_eq!(at, 4);
    let heard = book.lock().unwrap().heard.clone();
    let call = heard.iter().position(|h| h.starts_with("/search")).unwrap();
    let last = heard.iter().rposition(|h| h.starts_with("/people?")).unwrap();
    assert!(call < last, "the call waited for the whole walk: {heard:?}");
}

#[tokio::test]
async fn an_index_that_decides_alone_spares_the_system_and_one_that_never_does_finds_the_new() {
    let (address, book) = crm(Book::seed()).await;
    for (search, asked, new) in [("stale", 0, false), ("missed", 1, true), ("always", 1, true)] {
        *book.lock().unwrap() = Book::seed();
        let folder = Folder::new();
        let crm = connectors(address, &format!("index: {{every_s: 3600, search: {search}}}"));
        let keeper = tokio::spawn(keep(crm.clone(), folder.0.clone()));
        until(&crm, search, |s| s.holds.is_some()).await;
        book.lock().unwrap().people.push(json!({"id": 8, "name": "c8", "mobile": "13700137000", "others": []}));
        book.lock().unwrap().people.push(json!({"id": 9, "name": "c9", "mobile": "13800138001", "others": []}));
        let searches = |book: &Shared| book.lock().unwrap().heard.iter().filter(|h| h.starts_with("/search")).count();
        assert_eq!(ids(&crm, "13700137000").await, if new { vec!["8"] } else { vec![] }, "{search}");
        assert_eq!(searches(&book), asked, "{search}");
        // Who got a number that somebody else has already: only a search at every call can tell.
        let both = if search == "always" { vec!["7", "9"] } else { vec!["7"] };
        assert_eq!(ids(&crm, "13800138001").await, both, "{search}");
        keeper.abort();
    }
}

#[test]
fn an_index_on_a_file_that_cannot_carry_it_is_a_mistake_with_its_place() {
    for (from, to, told) in [
        (", since: \"{{ since if since else omit }}\"", "", "index.every_s: customer.list cannot tell what changed"),
        ("    output: *customer", "    output: {id: record.id}", "it does not give \"mobile\""),
        ("every_s: 10", "every_s: 1", "all the time"),
        ("    page: {by: offset, size: 3, total: body.total, pause_ms: 0}\n", "", "how it comes in pages"),
        ("size: 3", "size: 1", "2 to 10000"),
        ("total: body.total", "total: body.totl | firts", "firts"),
        ("by: offset", "by: {cursor: cursr}", "\"cursr\" is not known here"),
    ] {
        let text = CRM.replace("INDEX", OFTEN).replace(from, to);
        let problems = connectors::load_offline("crm.yaml", &text).err().unwrap_or_else(|| panic!("{told}"));
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(lines.iter().any(|l| l.contains(told) && l.starts_with("crm.yaml:")), "{told}: {lines:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_names_what_is_wrong_and_says_how_it_went() {
    let (address, book) = crm(Book::seed()).await;
    let folder = Folder::new();
    fs::create_dir_all(folder.0.join("connectors")).unwrap();
    let settings = "agents:\n  tokens: {issuer: desk, keys: {hs256: {env: NOWHERE}}}\n";
    fs::write(
        folder.0.join("linecard.yaml"),
        format!("{settings}connectors: {{crm: {{url: \"http://{address}\"}}}}\n"),
    )
    .unwrap();
    fs::write(folder.0.join("connectors/crm.yaml"), CRM.replace("INDEX", "")).unwrap();
    let audit = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_linecard"));
        command.args(["numbers", "audit"]).args(words).arg("--config").arg(&folder.0).env_clear();
        async move {
            let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
            (output.status.code(), text(output.stdout), text(output.stderr))
        }
    };
    let (code, csv, said) = audit(&["crm"]).await;
    assert_eq!(code, Some(0), "{said}");
    let lines: Vec<String> = csv.lines().map(|l| l.split(',').take(6).collect::<Vec<_>>().join(",")).collect();
    assert_eq!(
        lines,
        [
            "problem,customer,type,field,written,number",
            "unreadable,6,customer,mobile,0575-0013 8000,",
            "unreadable,6,customer,others,无,",
            "shared,1,customer,mobile,13800138000,+8613800138000",
            "shared,2,customer,mobile,138 0013 8000,+8613800138000",
            "extension,4,customer,mobile,+86-159-0000-2222 转 806,+8615900002222",
            "full-width,3,customer,mobile,１３９００００８８８８,+8613900008888",
        ],
        "{csv}"
    );
    assert_eq!(said, "7 customers, 11 numbers: 2 unreadable, 1 shared, 1 with an extension, 1 in full-width digits\n");
    let (_, json, counts) = audit(&["crm", "--json"]).await;
    let first: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!((&first["problem"], &first["written"]), (&json!("unreadable"), &json!("0575-0013 8000")));
    assert_eq!(serde_json::from_str::<Value>(&counts).unwrap()["shared"], 1);
    let (_, excel, _) = audit(&["crm", "--excel"]).await;
    assert!(excel.starts_with('\u{feff}') && excel.contains("'+8613800138000") && excel.contains("\r\n"), "{excel}");

    // A list that is not whole prints nothing; nor does a connector that is not there.
    book.lock().unwrap().lie = 3;
    let (code, csv, said) = audit(&["crm"]).await;
    assert_eq!((code, csv.as_str()), (Some(1), ""));
    assert!(said.contains("could not be read whole") && said.contains("gave 7"), "{said}");
    let (code, _, said) = audit(&["odoo"]).await;
    assert!(code == Some(1) && said.contains("connectors are: crm"), "{said}");
    assert_eq!(audit(&[]).await.0, Some(2));
    fs::write(folder.0.join("connectors/crm.yaml"), "connector: crm\n").unwrap();
    assert_eq!(audit(&["crm"]).await.0, Some(78));
}

#[tokio::test]
async fn a_damaged_file_is_read_anew_and_what_a_crash_left_is_no_harm() {
    let (address, book) = crm(Book::seed()).await;
    let folder = Folder::new();
    let first = connectors(address, OFTEN);
    let keeper = tokio::spawn(keep(first.clone(), folder.0.clone()));
    until(&first, "the first walk", |s| s.holds.is_some()).await;
    keeper.abort();
    let file = folder.0.join("crm.numbers");
    let good = fs::read(&file).unwrap();
    for damage in [0, good.len() / 2, good.len() - 1] {
        let mut wrong = good.clone();
        wrong[damage] ^= 0x20;
        fs::write(&file, &wrong).unwrap();
        fs::write(folder.0.join("crm.new"), b"half a fi").unwrap();
        let walks = book.lock().unwrap().heard.len();
        let again = connectors(address, OFTEN);
        let keeper = tokio::spawn(keep(again.clone(), folder.0.clone()));
        until(&again, "a walk in place of the damaged file", |s| s.holds.is_some()).await;
        assert_eq!(ids(&again, "13900008888").await, ["3"]);
        assert!(book.lock().unwrap().heard.len() > walks + 2, "it was not read anew");
        assert_ne!(fs::read(&file).unwrap(), wrong);
        keeper.abort();
    }
}

/// Each kind of page through the same code as a live request, on the examples of a file.
#[test]
fn every_kind_of_page_is_proved_by_examples_of_a_file() {
    let file = |by: &str, query: &str, pages: &str| {
        format!(
            r#"
connector: crm
schema: 1
variables: {{key: {{secret: {{env: K}}}}}}
base_url: https://crm.example/api
auth: {{key: {{query: key, secret: key}}}}
operations:
  customer.list:
    page: {{by: {by}, size: 2}}
    steps: [{{name: l, path: /people, query: {{{query}}}, outcome: [{{status: [200], is: ok}}], records: body.people}}]
    keep: record.name != "x"
    fields: {{id: record.id, name: record.name}}
    phones: {{name: nonsense}}
examples:
  - name: all of it
    operation: customer.list
    exchanges: {pages}
    outcome: ok
    value: [{{id: 1, name: a}}, {{id: 3, name: c}}]
"#
        )
    };
    let a_to_c = |first: &str, second: &str, headers: &str, next: &str| {
        format!(
            r#"[{{request: {first}, answer: {{status: 200, headers: {headers}, json: {{people: [{{id: 1, name: a}}, {{id: 2, name: x}}]{next}}}}}}},
                {{request: {second}, answer: {{status: 200, json: {{people: [{{id: 3, name: c}}]}}}}}}]"#
        )
    };
    let results = |text: &str| {
        let system = connectors::load_offline("crm.yaml", text).unwrap_or_else(|p| panic!("{p:#?}\n{text}"));
        connectors::examples::run(&system).remove(0).result
    };
    let number = a_to_c("{path: /people, query: {p: '0'}}", "{path: /people, query: {p: '1'}}", "{}", "");
    assert_eq!(results(&file("{number: 0}", "p: \"{{ page.number }}\"", &number)), Ok(()));
    let cursor = a_to_c("{path: /people, query: {}}", "{path: /people, query: {after: c2}}", "{}", ", next: c2");
    let query = "after: \"{{ page.cursor if page.cursor else omit }}\"";
    assert_eq!(results(&file("{cursor: body.next}", query, &cursor)), Ok(()));
    for next in ["people?skip=2", "/api/people?skip=2", "https://crm.example/api/people?skip=2", "?skip=2"] {
        let pages =
            a_to_c("{path: /people}", "{path: '/people?skip=2', query: {}}", "{}", &format!(", next: '{next}'"));
        assert_eq!(results(&file("{next_url: body.next}", "top: 2", &pages)), Ok(()), "{next}");
        let header = format!("{{Link: '<x>; rel=prev, <{next}>; rel=\"next\"'}}");
        let pages = a_to_c("{path: /people}", "{path: '/people?skip=2', query: {}}", &header, "");
        assert_eq!(results(&file("link", "top: 2", &pages)), Ok(()), "{next}");
    }
    let elsewhere = a_to_c("{path: /people}", "{path: /people}", "{}", ", next: 'https://evil.example/api/people'");
    let why = results(&file("{next_url: body.next}", "top: 2", &elsewhere)).unwrap_err();
    assert!(why.contains("another host"), "{why}");
    // A page that the system does not obey: the second is the first.
    let deaf = "[{request: {path: /people}, answer: &same {status: 200, json: {people: [{id: 1, name: a}, {id: 3, name: c}]}}}, {request: {path: /people}, answer: *same}]";
    let why = results(&file("{number: 1}", "p: 1", deaf)).unwrap_err();
    assert!(why.contains("not obeyed"), "{why}");
}
