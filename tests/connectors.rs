//! Connector files and the engine that runs them: the files' own examples, and what a real socket can do to us.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use linecard::connectors::{self, Ask, Connectors, Idempotency, Outcome, Priority, Saw, Seen, Set, examples};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

const REDMINE: &str = include_str!("../config/connectors/redmine.yaml");

#[test]
fn every_ready_made_connector_proves_its_examples() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/config/connectors");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let system = connectors::load_offline(&path.display().to_string(), &text)
            .unwrap_or_else(|problems| panic!("{problems:#?}"));
        assert!(system.stands_on.is_some(), "{} does not say what it stands on", path.display());
        let results = examples::run(&system);
        assert!(!results.is_empty(), "{} has no examples", path.display());
        for result in results {
            assert_eq!(result.result, Ok(()), "{}: {}", path.display(), result.name);
        }
        files += 1;
    }
    assert!(files > 0);
}

/// The file that integrators copy works as it stands, in both languages.
#[test]
fn the_guides_file_proves_its_examples() {
    for guide in ["connectors.md", "connectors.zh-CN.md"] {
        let text = std::fs::read_to_string(format!("{}/docs/{guide}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let block = |n| text.split("```yaml\n").nth(n).and_then(|rest: &str| rest.split("```").next()).unwrap();
        let file = block(1);
        let system = connectors::load_offline(guide, file).unwrap_or_else(|problems| panic!("{problems:#?}"));
        let results = examples::run(&system);
        assert_eq!(results.len(), 3);
        for result in results {
            assert_eq!(result.result, Ok(()), "{guide}: {}", result.name);
        }
        // The session of the guide, in place of its key.
        let with_session = file.replace("auth: {key: {header: X-Api-Key, secret: key}}\n", block(2));
        assert!(with_session.contains("session_id"), "{guide}");
        connectors::load_offline(guide, &with_session).unwrap_or_else(|problems| panic!("{problems:#?}"));
    }
}

#[test]
fn the_file_of_the_way_to_a_new_connector_proves_its_examples() {
    for page in ["new-connector.md", "new-connector.zh-CN.md"] {
        let text = std::fs::read_to_string(format!("{}/docs/{page}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let file = text.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let system = connectors::load_offline(page, file).unwrap_or_else(|problems| panic!("{problems:#?}"));
        let results = examples::run(&system);
        assert_eq!(results.len(), 2);
        assert!(results.iter().all(|r| r.result.is_ok()), "{page}: {results:?}");
    }
}

#[test]
fn an_example_that_is_wrong_is_told() {
    let text = REDMINE.replace("    outcome: denied", "    outcome: ok");
    let system = connectors::load_offline("redmine.yaml", &text).unwrap();
    let wrong: Vec<_> = examples::run(&system).into_iter().filter(|r| r.result.is_err()).collect();
    assert_eq!(wrong.len(), 1);
    assert!(wrong[0].result.as_ref().unwrap_err().contains("denied"), "{wrong:?}");
}

#[test]
fn three_mistakes_of_a_file_are_told_together_with_their_places() {
    let text = REDMINE
        .replace("is: denied, reason: redmine does not know this key", "is: refused")
        .replace("{header: X-Redmine-API-Key, secret: key}", "{header: X-Redmine-API-Key, secrt: key}")
        .replace("schema: 1\n", "schema: one\n");
    let problems = connectors::load_offline("redmine.yaml", &text).err().unwrap();
    let keys: Vec<&str> = problems.iter().map(|p| p.key.as_str()).collect();
    assert!(keys.contains(&"schema"), "{problems:#?}");
    assert!(keys.iter().any(|k| k.starts_with("auth")), "{problems:#?}");
    assert!(keys.iter().any(|k| k.contains("outcome")), "{problems:#?}");
    assert!(problems.iter().all(|p| p.line > 0), "{problems:#?}");

    // What the shape cannot tell: misspelt names, a write that does not say how it is made safe, an unknown operation.
    let text = REDMINE
        .replace("records: body.issue.journals", "records: body.isue.jornals | frist")
        .replace("    idempotent: {lookup: note.find}\n", "")
        .replace("  tickets.open:\n", "  tickets.opened:\n")
        .replace("key in (record.notes or '')", "kay in (record.notes or '')");
    let problems = connectors::load_offline("redmine.yaml", &text).err().unwrap();
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    for wanted in ["frist", "must say what makes it safe", "tickets.opened", "\"kay\" is not known here"] {
        assert!(told.iter().any(|t| t.contains(wanted)), "{wanted}: {told:#?}");
    }
    assert!(problems.iter().all(|p| p.line > 0), "{told:#?}");
}

/// Robots' and webhooks' addresses are their key.
#[tokio::test]
async fn a_key_stands_in_the_path_where_the_system_wants_it() {
    let file = |auth: &str, path: &str, url: &str| {
        let folder = std::env::temp_dir().join(format!("linecard-path-{}", ulid::Ulid::new()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("key"), "T0/B0/x-1").unwrap();
        let secret = format!("{}/key", folder.display());
        let text = format!(
            "connector: hook\nschema: 1\nvariables: {{user: {{text: '7'}}, key: {{secret: {{file: {secret}}}}}}}\nbase_url: {url}\nauth: {{key: {auth}}}\n\
             operations:\n  check:\n    steps: [{{name: who, path: {path}, outcome: [{{status: [200], is: ok}}]}}]\n    output: {{ok: 'true'}}\n"
        );
        let made = connectors::load_with("hook.yaml", &text, &BTreeMap::new());
        std::fs::remove_dir_all(&folder).unwrap();
        made
    };
    let heard = Arc::new(Mutex::new(Vec::new()));
    let theirs = heard.clone();
    let system = fake(move |request| {
        theirs.lock().unwrap().push(request.split(' ').nth(1).unwrap_or_default().to_owned());
        answer(200, "application/json", "{}")
    })
    .await;
    for (path, wanted) in [("/", "/rest/7/T0/B0/x-1"), ("/a.b?c=1", "/rest/7/T0/B0/x-1/a.b?c=1")] {
        let set = file("{path: '/rest/{{ user }}/', secret: key}", path, &format!("http://{}", system.address));
        let connectors = Connectors::new(Set::new(vec![set.unwrap_or_else(|p| panic!("{p:#?}"))]));
        let asked = Ask { system: "hook".into(), ..ask("check", json!({})) };
        assert_eq!(connectors.run(asked).await, Outcome::Ok(json!({"ok": true})));
        assert_eq!(heard.lock().unwrap().pop().as_deref(), Some(wanted));
    }
    for wrong in ["{path: rest/, secret: key}", "{path: '/a?b/', secret: key}", "{path: /a/, query: key, secret: key}"]
    {
        let problems = file(wrong, "/", "https://hook.example.com").err().unwrap();
        assert!(problems[0].key.starts_with("auth.key"), "{wrong}: {problems:?}");
    }
}

/// The lines that the file keeps for the gateway, against Python's hmac: path and nonce of the examples, `(secret)` as the key.
#[test]
fn kingdees_gateway_is_signed_twice() {
    let text = include_str!("../config/connectors/kingdee.yaml");
    let kept = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix("#   ").filter(|line| line.starts_with(key)));
        line.unwrap_or_else(|| panic!("no {key}"))
    };
    let lines = [kept("headers: "), kept("sign: "), kept("also_sign: ")].join("\n");
    let (head, rest) = text.split_once("auth:\n").unwrap();
    let (_, rest) = rest.split_once("numbers:").unwrap();
    let (rest, _) = rest.split_once("examples:").unwrap();
    let variables = "variables:\n  app: {text: 230185_abcdefghijklmnop}\n  app_secret: {secret: {env: A}}\n  gateway_secret: {secret: {env: B}}\n";
    let head = head.replace("variables:\n", variables);
    let example = r#"
examples:
  - name: both
    operation: check
    outcome: ok
    value: {customers: 1}
    exchanges:
      - request:
          method: POST
          path: /Kingdee.BOS.WebApi.ServicesStub.DynamicFormService.ExecuteBillQuery.common.kdsvc
          headers:
            X-Api-ClientID: "230185"
            X-Kd-Appdata: APPDATA
            X-Api-Signature: API
            X-Kd-Signature: KD
        answer: {status: 200, json: [["C1"]]}
"#;
    let example = example
        .replace("APPDATA", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3LGxpbmVjYXJkLDIwNTIsMA==")
        .replace("API", "ZjJiYTEyYWQyZDc1OTlkNzVlNmZlMjA0YTZmZDJhNTQ5M2EyNjc5N2E1YzdkMWExMmNmOGMxZWY4YjE1MTJlZA==")
        .replace("KD\n", "MGEwMDEyMjM1YzA1ZDEwMWM2NzQ5ZTMzZTBiNjY1Yjk2ZWIzNzg0YmJiYzc4NDFhOTIxZTE3YjI0MzljMzhiZg==\n");
    let text = format!("{head}{lines}\nnumbers:{rest}{example}");
    let system = connectors::load_offline("kingdee.yaml", &text).unwrap_or_else(|p| panic!("{p:#?}\n{text}"));
    let results = examples::run(&system);
    assert_eq!(results.iter().map(|r| r.result.clone()).collect::<Vec<_>>(), [Ok(())]);
}

/// The lines that the file keeps for a certificate in place of a secret hold together with the rest of it.
#[test]
fn salesforce_signs_in_by_what_it_signs_too() {
    let text = include_str!("../config/connectors/salesforce.yaml");
    let (_, grant) = text.split_once("    # grant: ").unwrap();
    let grant = grant.lines().next().unwrap();
    let (head, rest) = text.split_once("    client_secret: secret\n").unwrap();
    let (_, rest) = rest.split_once("numbers:").unwrap();
    let head = head.replace(
        "  secret: {secret: {env: SALESFORCE_SECRET}}\n",
        "  user: {text: cti@example.com}\n  private_key: {secret: {env: K}}\n",
    );
    let text = format!("{head}    grant: {grant}\nnumbers:{rest}");
    let system = connectors::load_offline("salesforce.yaml", &text).unwrap_or_else(|p| panic!("{p:#?}\n{text}"));
    assert_eq!(system.sign_in, "OAuth 2.0, signed statement");
    let results = examples::run(&system);
    assert!(results.len() > 10);
    // Only how it logs in is another.
    let wrong: Vec<_> = results.iter().filter(|r| r.result.is_err()).map(|r| &r.name).collect();
    assert!(wrong.len() <= 1, "{wrong:?}");
}

/// GLPI's application token: with each request to the system, beside its session, and not to a token endpoint of somebody else's.
#[tokio::test]
async fn a_second_secret_goes_with_each_request_to_the_system_alone() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hear = |answer_with: &'static str, heard: &Arc<Mutex<Vec<(String, bool)>>>| {
        let heard = heard.clone();
        fake(move |request| {
            let first = request.lines().next().unwrap_or_default().to_owned();
            heard.lock().unwrap().push((first, request.to_lowercase().contains("app-token: second")));
            answer(200, "application/json", answer_with)
        })
    };
    let elsewhere = hear(r#"{"access_token":"t","expires_in":60}"#, &heard).await;
    let system = hear(r#"{"session":"s","ok":true}"#, &heard).await;
    let folder = std::env::temp_dir().join(format!("linecard-second-{}", ulid::Ulid::new()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("key"), "second").unwrap();
    let auths = [
        "auth: {session: {login: {path: /login, outcome: [{status: [200], is: ok}]}, token: {value: body.session, header: X-Session}}}".to_owned(),
        format!("auth: {{oauth2: {{token_url: 'http://{}/token', client_id: c, client_secret: key}}}}", elsewhere.address),
    ];
    for auth in auths {
        let text = format!(
            "connector: crm\nschema: 1\nvariables: {{key: {{secret: {{file: {}/key}}}}}}\nbase_url: http://{}\n{auth}\nsecret_headers: {{App-Token: key}}\n\
             operations:\n  check:\n    steps: [{{name: who, path: /me, outcome: [{{status: [200], is: ok}}]}}]\n    output: {{ok: body.ok}}\n",
            folder.display(),
            system.address
        );
        let made = connectors::load_with("crm.yaml", &text, &BTreeMap::new()).unwrap_or_else(|p| panic!("{p:#?}"));
        let connectors = Connectors::new(Set::new(vec![made]));
        let asked = Ask { system: "crm".into(), ..ask("check", json!({})) };
        assert_eq!(connectors.run(asked).await, Outcome::Ok(json!({"ok": true})));
    }
    std::fs::remove_dir_all(&folder).unwrap();
    let heard = heard.lock().unwrap();
    let told: Vec<_> = heard.iter().map(|(first, second)| (first.split(' ').nth(1).unwrap(), *second)).collect();
    assert_eq!(told, [("/login", true), ("/me", true), ("/token", false), ("/me", true)]);
    let twice = "connector: a\nschema: 1\nvariables: {k: {secret: {env: K}}}\nbase_url: https://a.example\nheaders: {App-Token: x}\nsecret_headers: {App-Token: k, 'a b': nobody}\noperations: {}\n";
    let problems = connectors::load_offline("a.yaml", twice).err().unwrap();
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    for wanted in ["stands in \"headers:\" too", "no name of a header", "\"nobody\" is no secret variable"] {
        assert!(told.iter().any(|t| t.contains(wanted)), "{wanted}: {told:#?}");
    }
}

/// A system with a brain of one function: the raw request in, the raw answer out; an empty answer drops the connection.
pub struct Fake {
    pub address: SocketAddr,
    pub asked: Arc<AtomicUsize>,
}

pub async fn fake(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Fake {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let (count, answer) = (asked.clone(), Arc::new(answer));
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let (count, answer) = (count.clone(), answer.clone());
            tokio::spawn(async move {
                let mut request = Vec::new();
                let mut part = [0_u8; 4096];
                while let Ok(n) = socket.read(&mut part).await {
                    if n == 0 {
                        return;
                    }
                    request.extend_from_slice(&part[..n]);
                    let text = String::from_utf8_lossy(&request).into_owned();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let length =
                        head.lines().find_map(|l| l.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
                    if body.len() < length.unwrap_or(0) {
                        continue;
                    }
                    count.fetch_add(1, Ordering::SeqCst);
                    let bytes = answer(&text);
                    if bytes == b"never" {
                        std::future::pending::<()>().await;
                    }
                    let _ = socket.write_all(&bytes).await;
                    return;
                }
            });
        }
    });
    Fake { address, asked }
}

pub fn answer(status: u16, kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A small system: tickets, found by call; decimals; XML.
const DESK: &str = r#"
connector: desk
schema: 1
variables: {url: {text: ""}}
base_url: "{{ url }}"
deadline_ms: 2000
concurrency: 2
operations:
  finance:
    steps: [{name: f, path: "/f/{{ customer.id }}", outcome: [{status: [200], when: body.balance is defined, is: ok}]}]
    output: {balance: body.balance, text: body.balance | money, id: body.id}
  orders:
    steps: [{name: o, path: /o, decode: {xml: {lists: [order]}}, outcome: [{status: [200], is: ok}], records: body.orders.order}]
    fields: {no: "record['@no']"}
  loyalty:
    steps: [{name: l, method: POST, path: /l, outcome: [{status: [200], when: body.ok, is: ok}]}]
    output: {ok: body.ok}
  ticket.find:
    one: true
    steps: [{name: look, path: /find, query: {call: "{{ call }}"}, outcome: [{status: [200], is: ok}], records: body}]
    keep: record.call == call
    fields: {id: record.id}
  ticket.create:
    idempotent: {lookup: ticket.find}
    steps: [{name: make, method: POST, path: /make, body: {json: {call: "{{ call }}", title: "{{ title }}"}}, outcome: [{status: [201], is: ok}]}]
    output: {id: body.id}
  notify:
    idempotent: none
    steps: [{name: tell, method: POST, path: /tell, body: {form: {text: "{{ text }}"}}, outcome: [{status: [200], is: ok}]}]
    output: {}
  customer.by_phone:
    steps: [{name: who, path: /who, query: {n: "{{ number.national }}"}, outcome: [{status: [200], is: ok}], records: body}]
    cap: 3
    fields: {id: record.id, phone: record.phone}
    phones: {phone: mobile}
"#;

fn desk(address: SocketAddr) -> Connectors {
    let values = BTreeMap::from([("url".to_owned(), format!("http://{address}"))]);
    let system = connectors::load_with("desk.yaml", DESK, &values).unwrap_or_else(|p| panic!("{p:#?}"));
    Connectors::new(Set::new(vec![system]))
}

fn ask(operation: &str, inputs: Value) -> Ask {
    Ask {
        tenant: "default".into(),
        system: "desk".into(),
        operation: operation.to_owned(),
        inputs: inputs.as_object().unwrap().clone(),
        deadline: Duration::from_millis(1500),
        priority: Priority::Pop,
    }
}

fn finance() -> Ask {
    ask("finance", json!({"customer": {"id": "a/../b?c"}}))
}

/// What an agent opens by a click is where the file says, whatever stands in a record.
#[tokio::test]
async fn a_page_on_a_host_that_the_file_does_not_name_is_no_page() {
    for (link, stays) in [
        ("http://HOST/customers/7", true),
        ("https://evil.example/customers/7", false),
        ("http://HOST@evil.example/", false),
        ("javascript:alert(1)", false),
    ] {
        let system = fake(move |request| {
            let host = request.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().trim();
            let body = json!({"ok": true, "link": link.replace("HOST", host)}).to_string();
            answer(200, "application/json", &body)
        })
        .await;
        let values = BTreeMap::from([("url".to_owned(), format!("http://{}", system.address))]);
        let file = DESK.replace("output: {ok: body.ok}", "output: {ok: body.ok, url: body.link}");
        let desk = connectors::load_with("desk.yaml", &file, &values).unwrap_or_else(|p| panic!("{p:#?}"));
        let outcome = Connectors::new(Set::new(vec![desk])).run(ask("loyalty", json!({"customer": {"id": "7"}}))).await;
        let Outcome::Ok(value) = outcome else { panic!("{outcome:?}") };
        assert_eq!(value["url"].is_string(), stays, "{link}: {value}");
    }
}

#[tokio::test]
async fn decimals_keep_every_digit_and_paths_are_encoded() {
    let system = fake(|request| {
        assert!(request.starts_with("GET /f/a%2F..%2Fb%3Fc HTTP/1.1"), "{request}");
        answer(200, "application/json", r#"{"balance": 12345678901234567.80, "id": 9007199254740993}"#)
    })
    .await;
    let outcome = desk(system.address).run(finance()).await;
    let Outcome::Ok(value) = outcome else { panic!("{outcome:?}") };
    assert_eq!(
        value.to_string(),
        r#"{"balance":12345678901234567.80,"id":9007199254740993,"text":"12345678901234567.80"}"#
    );
}

#[tokio::test]
async fn an_answer_that_is_not_as_promised_is_never_a_success() {
    for (status, kind, body) in [
        (200, "text/html", "<html>error</html>"),
        (200, "application/json", "{\"balance\": "),
        (200, "application/json", "{}"),
        (500, "application/json", "{\"balance\": 1}"),
        (302, "text/plain", ""),
    ] {
        let system = fake(move |_| answer(status, kind, body)).await;
        let outcome = desk(system.address).run(finance()).await;
        assert!(matches!(outcome, Outcome::Broken { .. }), "{status} {body}: {outcome:?}");
        assert!(!outcome.reason().unwrap().contains("balance"), "{outcome:?}");
    }
    let huge = format!("{{\"balance\": \"{}\"}}", "x".repeat(1024 * 1024));
    let system = fake(move |_| answer(200, "application/json", &huge)).await;
    assert!(matches!(desk(system.address).run(finance()).await, Outcome::Broken { .. }));
}

#[tokio::test]
async fn xml_is_read_and_its_bombs_are_refused() {
    let system = fake(|_| answer(200, "text/xml", "<orders><order no=\"1\"/></orders>")).await;
    let outcome = desk(system.address).run(ask("orders", json!({"customer": {"id": 1}}))).await;
    assert_eq!(outcome, Outcome::Ok(json!([{"no": "1"}])));
    let bomb = "<!DOCTYPE x [<!ENTITY a \"aa\"><!ENTITY b \"&a;&a;\">]><orders><order no=\"&b;\"/></orders>";
    let system = fake(move |_| answer(200, "text/xml", bomb)).await;
    let outcome = desk(system.address).run(ask("orders", json!({"customer": {"id": 1}}))).await;
    assert!(outcome.reason().is_some_and(|r| r.contains("DOCTYPE")), "{outcome:?}");
}

#[tokio::test]
async fn unknown_is_only_what_may_have_written() {
    // Nobody listens there any more.
    let gone = crate::daemon::door();
    let tell = || ask("notify", json!({"call": "c", "key": "k", "text": "t"}));
    assert!(matches!(desk(gone).run(tell()).await, Outcome::Busy { .. }));
    // It was sent, and the line broke.
    let drops = fake(|_| Vec::new()).await;
    assert!(matches!(desk(drops.address).run(tell()).await, Outcome::Unknown { .. }));
    assert!(matches!(desk(drops.address).run(finance()).await, Outcome::Busy { .. }));
    // A question by POST writes nothing.
    let loyalty = ask("loyalty", json!({"customer": {"id": 1}}));
    assert!(matches!(desk(drops.address).run(loyalty).await, Outcome::Busy { .. }));
    // It was sent, and nothing came in time.
    let silent = fake(|_| b"never".to_vec()).await;
    let asked = Ask { deadline: Duration::from_millis(200), ..tell() };
    let outcome = desk(silent.address).run(asked).await;
    assert!(matches!(&outcome, Outcome::Unknown { reason } if reason.contains("desk did not answer")), "{outcome:?}");
    assert_eq!(silent.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_found_and_not_done_again() {
    let made = Arc::new(AtomicUsize::new(0));
    let ledger = made.clone();
    // It makes the ticket and drops the answer, as the worst systems do.
    let system = fake(move |request| {
        if request.starts_with("POST /make") {
            ledger.fetch_add(1, Ordering::SeqCst);
            return Vec::new();
        }
        // It obeys no filter, so a foreign ticket comes along.
        match ledger.load(Ordering::SeqCst) {
            0 => answer(200, "application/json", r#"[{"id": 7, "call": "other"}]"#),
            _ => answer(200, "application/json", r#"[{"id": 7, "call": "other"}, {"id": 8, "call": "c1"}]"#),
        }
    })
    .await;
    let desk = desk(system.address);
    assert_eq!(desk.idempotency(&"desk".into(), "ticket.create"), Idempotency::Lookup("ticket.find".to_owned()));
    let create = || ask("ticket.create", json!({"call": "c1", "key": "k", "title": "t", "text": "x"}));
    assert!(matches!(desk.run(create()).await, Outcome::Unknown { .. }));
    assert_eq!(desk.run(create()).await, Outcome::Ok(json!({"id": 8})));
    assert_eq!(desk.run(create()).await, Outcome::Ok(json!({"id": 8})));
    assert_eq!(made.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_filter_that_is_ignored_finds_nobody_and_too_many_are_a_mistake_of_the_file() {
    let by_phone = || ask("customer.by_phone", json!({"number": "13800138000"}));
    let system = fake(|_| {
        answer(
            200,
            "application/json",
            r#"[{"id":1,"phone":"13800138001"},{"id":2,"phone":"0575-0013 8000"},{"id":3,"phone":null}]"#,
        )
    })
    .await;
    let seen = Seen::default();
    assert_eq!(desk(system.address).run_seen(by_phone(), Some(&seen)).await, Outcome::Empty);
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    let refused: Vec<_> = seen.iter().filter(|saw| matches!(saw, Saw::Refused { id: Some(_), .. })).collect();
    assert_eq!((seen.len(), refused.len()), (4, 3), "one answer, and each record that was refused: {seen:?}");
    let system = fake(|_| answer(200, "application/json", r#"[{"id":1,"phone":"+86 138-0013-8000"},{"id":2,"phone":"１３８００１３８０００"},{"id":1,"phone":"13800138000"}]"#)).await;
    let outcome = desk(system.address).run(by_phone()).await;
    let Outcome::Ok(Value::Array(found)) = &outcome else { panic!("{outcome:?}") };
    assert_eq!(found.iter().map(|c| c["id"].as_i64().unwrap()).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(found[0]["reason"], "mobile");
    let system = fake(|_| answer(200, "application/json", r#"[{"id":1},{"id":2},{"id":3},{"id":4}]"#)).await;
    let outcome = desk(system.address).run(by_phone()).await;
    assert!(matches!(&outcome, Outcome::Broken { reason } if reason.contains("filter is not obeyed")), "{outcome:?}");
}

#[tokio::test]
async fn a_system_that_wants_to_be_left_alone_is() {
    let system =
        fake(|_| b"HTTP/1.1 429 X\r\nRetry-After: 30\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()).await;
    let desk = desk(system.address);
    assert_eq!(desk.run(finance()).await, Outcome::RateLimited { wait_ms: Some(30_000) });
    assert!(matches!(desk.run(finance()).await, Outcome::RateLimited { wait_ms: Some(1..=30_000) }));
    assert_eq!(system.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn background_work_leaves_a_place_for_a_ringing_phone() {
    let system = fake(|request| match request.contains("/tell") {
        true => b"never".to_vec(),
        false => answer(200, "application/json", r#"{"balance": 1, "id": 1}"#),
    })
    .await;
    let desk = desk(system.address);
    let slow = Ask { priority: Priority::Background, ..ask("notify", json!({"call": "c", "key": "k", "text": "t"})) };
    let held: Vec<_> = (0..5)
        .map(|_| {
            tokio::spawn({
                let (d, s) = (desk.clone(), slow.clone());
                async move { d.run(s).await }
            })
        })
        .collect();
    // Not a sleep: the pop is answered while all five are under way or waiting, or the test fails.
    assert!(matches!(desk.run(finance()).await, Outcome::Ok(_)));
    held.iter().for_each(|h| h.abort());
}

#[tokio::test]
async fn what_is_missing_or_not_offered_is_said() {
    let gone = crate::daemon::door();
    let desk = desk(gone);
    for (operation, inputs) in [("call.find", json!({"call": "c"})), ("finance", json!({})), ("nonsense", json!({}))] {
        assert!(matches!(desk.run(ask(operation, inputs)).await, Outcome::Invalid { .. }), "{operation}");
    }
    assert!(desk.offers(&"desk".into(), "finance") && !desk.offers(&"desk".into(), "check"));
    let before = desk.file_hash(&"desk".into()).unwrap();
    desk.swap(Set::default());
    assert_eq!((before.len(), desk.systems()), (64, vec![]));
}

/// A system with sessions: they stand in a cookie and, for some of its questions, in a token.
const HALL: &str = r#"
connector: hall
schema: 1
variables:
  url: {text: "http://hall.example"}
  user: {text: linecard}
  password: {secret: {env: LINECARD_TEST_HALL_PASSWORD}}
base_url: "{{ url }}"
deadline_ms: 5000
concurrency: 32
auth:
  session:
    login:
      path: /login
      body: {json: {user: "{{ user }}", password: "{{ secret.password }}"}}
      outcome:
        - {status: [200], when: body.ok, is: ok}
        - {status: [200], when: body.wrong, is: denied, reason: hall refuses the password}
    cookies: [sid]
    token: {value: body.token, PLACE}
    expired: [{status: [200], when: body.error == 'gone'}]
operations:
  check:
    steps: [{name: me, path: /me, outcome: [{status: [200], when: body.me, is: ok}]}]
    output: {me: body.me}
  finance:
    steps: [{name: f, path: /f, outcome: [{status: [200], when: body.balance is defined, is: ok}]}]
    output: {balance: body.balance}
  orders:
    steps:
      - name: o
        for_each: "[1, 2, 3]"
        path: "/o/{{ item }}"
        outcome: [{status: [200], when: body.no is defined, is: ok}]
        records: "[body.no]"
    fields: {no: record}
  notify:
    idempotent: none
    steps: [{name: tell, method: POST, path: /tell, body: {json: {params: {text: "{{ text }}"}}}, outcome: [{status: [200], when: body.told, is: ok}]}]
    output: {}
"#;

const PASSWORD: &str = "correct-horse-battery";

/// What the hall remembers.
#[derive(Default)]
struct Ledger {
    logins: AtomicUsize,
    /// The session that is good now: that of this login.
    good: AtomicUsize,
}

impl Ledger {
    fn logins(&self) -> usize {
        self.logins.load(Ordering::SeqCst)
    }
    /// The system forgets its session.
    fn forget(&self) {
        self.good.store(usize::MAX, Ordering::SeqCst);
    }
}

async fn hall(asked: impl Fn(&str, bool) -> Vec<u8> + Send + Sync + 'static) -> (SocketAddr, Arc<Ledger>) {
    let ledger = Arc::new(Ledger::default());
    let kept = ledger.clone();
    let system = fake(move |request| {
        if request.starts_with("POST /login") {
            let number = kept.logins.fetch_add(1, Ordering::SeqCst) + 1;
            if !request.contains(&format!("{{\"password\":\"{PASSWORD}\",\"user\":\"linecard\"}}")) {
                return answer(200, "application/json", r#"{"wrong": true}"#);
            }
            kept.good.store(number, Ordering::SeqCst);
            let body = format!("{{\"ok\": true, \"token\": \"tok-{number}\"}}");
            return format!(
                "HTTP/1.1 200 X\r\nSet-Cookie: lang=zh; Path=/\r\nSet-Cookie: sid=sid-{number}; Path=/; HttpOnly\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            )
            .into_bytes();
        }
        let good = kept.good.load(Ordering::SeqCst);
        let cookie = request.lines().find_map(|l| l.strip_prefix("cookie: ")).unwrap_or_default();
        asked(request, cookie == format!("sid=sid-{good}"))
    })
    .await;
    (system.address, ledger)
}

fn gone() -> Vec<u8> {
    answer(200, "application/json", r#"{"error": "gone"}"#)
}

fn hall_set(address: SocketAddr, password: &str, place: &str) -> Set {
    let values = BTreeMap::from([("url".to_owned(), format!("http://{address}"))]);
    // A secret of the environment would be one for all tests.
    let folder = std::env::temp_dir().join(format!("linecard-hall-{}", ulid::Ulid::new()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("password");
    std::fs::write(&path, password).unwrap();
    let mut hall = HALL.to_owned();
    if place.starts_with("body:") {
        // The questions have no body that could hold a token.
        hall.replace_range(HALL.find("  check:").unwrap()..HALL.find("  notify:").unwrap(), "");
    }
    let text = hall
        .replace("{env: LINECARD_TEST_HALL_PASSWORD}", &format!("{{file: {}}}", path.display()))
        .replace("PLACE", place);
    let system = connectors::load_with("hall.yaml", &text, &values).unwrap_or_else(|p| panic!("{p:#?}"));
    std::fs::remove_dir_all(&folder).unwrap();
    Set::new(vec![system])
}

fn hall_ask(operation: &str) -> Ask {
    let inputs = json!({"customer": {"id": 1}, "call": "c", "key": "k", "text": "t"});
    Ask { system: "hall".into(), deadline: Duration::from_secs(5), ..ask(operation, inputs) }
}

fn balance(_: &str, good: bool) -> Vec<u8> {
    if good { answer(200, "application/json", r#"{"balance": 1}"#) } else { gone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_login_serves_everybody_and_one_more_when_the_session_is_over() {
    let (address, ledger) = hall(balance).await;
    let hall = Connectors::new(hall_set(address, PASSWORD, "header: X-Token"));
    for round in 1..=3 {
        let asks: Vec<_> = (0..30)
            .map(|_| {
                tokio::spawn({
                    let hall = hall.clone();
                    async move { hall.run(hall_ask("finance")).await }
                })
            })
            .collect();
        for ask in asks {
            assert_eq!(ask.await.unwrap(), Outcome::Ok(json!({"balance": 1})));
        }
        assert_eq!(ledger.logins(), round, "30 asks at once");
        ledger.forget();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_to_everybody_and_tried_once() {
    let (address, ledger) = hall(balance).await;
    let hall = Connectors::new(hall_set(address, "wrong", "header: X-Token"));
    for _ in 0..3 {
        let asks = (0..30).map(|_| hall.run(hall_ask("finance")));
        for outcome in futures_util::future::join_all(asks).await {
            assert!(
                matches!(&outcome, Outcome::Denied { reason } if reason.starts_with("hall refuses the password")),
                "{outcome:?}"
            );
        }
        assert_eq!(ledger.logins(), 1);
    }
}

#[tokio::test]
async fn a_session_outlives_a_reload_that_changes_nothing_and_a_refusal_does_too() {
    let folder = std::env::temp_dir().join(format!("linecard-hall-{}", ulid::Ulid::new()));
    std::fs::create_dir_all(&folder).unwrap();
    let (address, ledger) = hall(balance).await;
    let values = BTreeMap::from([("url".to_owned(), format!("http://{address}"))]);
    let text = HALL
        .replace("{env: LINECARD_TEST_HALL_PASSWORD}", &format!("{{file: {}/p}}", folder.display()))
        .replace("PLACE", "header: X-Token");
    let set = |text: &str, password: &str| {
        std::fs::write(folder.join("p"), password).unwrap();
        Set::new(vec![connectors::load_with("hall.yaml", text, &values).unwrap_or_else(|p| panic!("{p:#?}"))])
    };
    let hall = Connectors::new(set(&text, PASSWORD));
    for _ in 0..3 {
        assert!(matches!(hall.run(hall_ask("finance")).await, Outcome::Ok(_)));
        hall.swap(set(&text, PASSWORD));
    }
    assert_eq!(ledger.logins(), 1);
    // Another password, the same text: whom we are is asked again, and refused once however often it is reloaded.
    for _ in 0..5 {
        hall.swap(set(&text, "wrong"));
        assert!(matches!(hall.run(hall_ask("finance")).await, Outcome::Denied { .. }));
    }
    assert_eq!(ledger.logins(), 2);
    hall.swap(set(&text, PASSWORD));
    assert!(matches!(hall.run(hall_ask("finance")).await, Outcome::Ok(_)));
    hall.swap(set(&text.replace("deadline_ms: 5000", "deadline_ms: 5001"), PASSWORD));
    assert!(matches!(hall.run(hall_ask("finance")).await, Outcome::Ok(_)));
    assert_eq!(ledger.logins(), 4);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn the_token_goes_where_the_file_says_and_nothing_of_the_session_is_shown() {
    for (place, sent) in [
        ("header: Authorization, prefix: \"Bearer \"", "\r\nauthorization: Bearer tok-1\r\n"),
        ("query: access", "POST /tell?access=tok-1 HTTP"),
        ("body: /params/token", r#"{"params":{"text":"t","token":"tok-1"}}"#),
    ] {
        let (address, _) = hall(move |request, good| {
            assert!(good && request.contains(sent), "{request}");
            answer(200, "application/json", r#"{"told": true}"#)
        })
        .await;
        let hall = Connectors::new(hall_set(address, PASSWORD, place));
        assert_eq!(hall.run(hall_ask("notify")).await, Outcome::Ok(json!({})), "{place}");
    }
    // Over and over again: what is said of it names the system and nothing else.
    let (address, ledger) = hall(|_, _| gone()).await;
    let hall = Connectors::new(hall_set(address, PASSWORD, "header: X-Token"));
    for n in 1..=8 {
        let outcome = hall.run(hall_ask("finance")).await;
        let Outcome::AuthExpired { reason } = &outcome else { panic!("{n}: {outcome:?}") };
        assert!(!["sid-", "tok-", PASSWORD].iter().any(|secret| reason.contains(secret)), "{reason}");
    }
    // However often it is asked: five a minute.
    assert_eq!(ledger.logins(), 5);
}

#[tokio::test]
async fn of_several_questions_only_those_are_repeated_whose_session_was_over() {
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let ledger = seen.clone();
    let (address, logins) = hall(move |request, good| {
        let no = request.chars().nth("GET /o/".len()).unwrap_or_default();
        let mut seen = ledger.lock().unwrap();
        let first = !seen.contains(&no);
        seen.push(no);
        // The second of them finds its session gone, as when it ends between two requests.
        if good && !(no == '2' && first) {
            answer(200, "application/json", &format!("{{\"no\": {no}}}"))
        } else {
            gone()
        }
    })
    .await;
    let hall = Connectors::new(hall_set(address, PASSWORD, "header: X-Token"));
    let outcome = hall.run(hall_ask("orders")).await;
    let Outcome::Ok(Value::Array(mut found)) = outcome else { panic!("{outcome:?}") };
    found.sort_by_key(|f| f["no"].as_i64());
    assert_eq!(Value::Array(found), json!([{"no": 1}, {"no": 2}, {"no": 3}]));
    let mut seen = seen.lock().unwrap().clone();
    seen.sort_unstable();
    assert_eq!((seen.as_slice(), logins.logins()), (&['1', '2', '2', '3'][..], 2));
}

#[tokio::test]
async fn a_write_is_repeated_for_its_session_and_for_nothing_else() {
    let told = Arc::new(AtomicUsize::new(0));
    let ledger = told.clone();
    let (address, logins) = hall(move |_, good| {
        if !good {
            return gone();
        }
        // It tells it and drops the answer.
        ledger.fetch_add(1, Ordering::SeqCst);
        Vec::new()
    })
    .await;
    let hall = Connectors::new(hall_set(address, PASSWORD, "header: X-Token"));
    assert!(matches!(hall.run(hall_ask("notify")).await, Outcome::Unknown { .. }));
    logins.forget();
    assert!(matches!(hall.run(hall_ask("notify")).await, Outcome::Unknown { .. }));
    assert_eq!((told.load(Ordering::SeqCst), logins.logins()), (2, 2));
}

#[tokio::test]
async fn a_slow_login_serves_those_who_come_after() {
    let logins = Arc::new(AtomicUsize::new(0));
    let count = logins.clone();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (open, opened) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let (count, mut opened) = (count.clone(), opened.clone());
            tokio::spawn(async move {
                let mut part = [0_u8; 4096];
                let n = socket.read(&mut part).await.unwrap_or(0);
                let bytes = if part[..n].starts_with(b"POST /login") {
                    count.fetch_add(1, Ordering::SeqCst);
                    opened.wait_for(|open| *open).await.unwrap();
                    b"HTTP/1.1 200 X\r\nSet-Cookie: sid=1\r\nContent-Length: 27\r\nConnection: close\r\n\r\n{\"ok\": true, \"token\": \"t\"}  ".to_vec()
                } else {
                    answer(200, "application/json", r#"{"balance": 1}"#)
                };
                let _ = socket.write_all(&bytes).await;
            });
        }
    });
    let hall = Connectors::new(hall_set(address, PASSWORD, "header: X-Token"));
    for _ in 0..3 {
        let hurried = Ask { deadline: Duration::from_millis(100), ..hall_ask("finance") };
        let outcome = hall.run(hurried).await;
        assert!(matches!(&outcome, Outcome::Busy { reason } if reason.contains("did not let us in")), "{outcome:?}");
    }
    open.send(true).unwrap();
    assert!(matches!(hall.run(hall_ask("finance")).await, Outcome::Ok(_)));
    assert_eq!(logins.load(Ordering::SeqCst), 1);
}

#[test]
fn secrets_stand_in_the_login_and_nowhere_else() {
    let file = HALL.replace("PLACE", "header: X-Token");
    assert!(connectors::load_offline("hall.yaml", &file).is_ok());
    for (from, to) in [
        ("path: /login", "path: \"/login/{{ secret.password }}\""),
        ("when: body.wrong", "when: secret.password == body.wrong"),
        ("value: body.token", "value: secret.password"),
        ("when: body.error == 'gone'", "when: secret.password"),
        ("path: /f,", "path: /f, headers: {X-P: \"{{ secret.password }}\"},"),
        ("{me: body.me}", "{me: secret.password}"),
    ] {
        let text = file.replace(from, to);
        assert_ne!(text, file, "{from}");
        let told: Vec<String> = match connectors::load_offline("hall.yaml", &text) {
            Ok(_) => panic!("{to} was taken"),
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        };
        assert!(told.iter().any(|t| t.contains("\"secret\" is not known here")), "{to}: {told:#?}");
    }
    for (from, to, wanted) in [
        ("    cookies: [sid]\n    token: {value: body.token, header: X-Token}\n", "", "nothing of the login is kept"),
        ("header: X-Token}", "header: X-Token, query: t}", "the token has two places"),
        ("header: X-Token}", "body: params}", "the token has two places, or none that can be"),
        ("{status: [200], when: body.error == 'gone'}", "{}", "every answer would be an expired session"),
        ("{status: [200], when: body.ok, is: ok}", "{status: [200], is: empty}", "nothing is a success"),
    ] {
        let text = file.replace(from, to);
        assert_ne!(text, file, "{from}");
        let problems = connectors::load_offline("hall.yaml", &text).err().unwrap_or_default();
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|t| t.contains(wanted)), "{wanted}: {told:#?}");
        assert!(problems.iter().all(|p| p.line > 0), "{told:#?}");
    }
}

/// A system whose token endpoint is another host.
const CLOUD: &str = r#"
connector: cloud
schema: 1
variables:
  url: {text: "http://cloud.example"}
  sso: {text: "http://sso.example"}
  id: {secret: {env: LINECARD_TEST_CLOUD}}
base_url: "{{ url }}"
auth:
  oauth2:
    token_url: "{{ sso }}/oauth2/v2/token"
    client_id: "line card"
    client_secret: id
    MORE
operations:
  finance:
    steps: [{name: f, path: /f, outcome: [{status: [200], when: body.balance is defined, is: ok}]}]
    output: {balance: body.balance}
"#;

/// What the two hosts are asked, in order.
async fn cloud(
    more: &str,
    token: impl Fn(&str, usize) -> Vec<u8> + Send + Sync + 'static,
) -> (Connectors, Arc<Mutex<Vec<String>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (theirs, ours) = (heard.clone(), heard.clone());
    let asked = AtomicUsize::new(0);
    let sso = fake(move |request| {
        theirs.lock().unwrap().push(request.to_owned());
        token(request, asked.fetch_add(1, Ordering::SeqCst) + 1)
    })
    .await;
    let good = AtomicUsize::new(0);
    let system = fake(move |request| {
        ours.lock().unwrap().push(request.to_owned());
        // The first token is over after one answer.
        match (request.contains("authorization: Bearer tok-1\r\n"), good.fetch_add(1, Ordering::SeqCst)) {
            (true, 0) => answer(200, "application/json", r#"{"balance": 1}"#),
            (true, _) => answer(401, "application/json", r#"{"error": "invalid_token"}"#),
            (false, _) => answer(200, "application/json", r#"{"balance": 2}"#),
        }
    })
    .await;
    let folder = std::env::temp_dir().join(format!("linecard-cloud-{}", ulid::Ulid::new()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("secret"), "s:ü").unwrap();
    let text = CLOUD
        .replace("{env: LINECARD_TEST_CLOUD}", &format!("{{file: {}/secret}}", folder.display()))
        .replace("MORE", more);
    let values = BTreeMap::from([
        ("url".to_owned(), format!("http://{}", system.address)),
        ("sso".to_owned(), format!("http://{}", sso.address)),
    ]);
    let set = connectors::load_with("cloud.yaml", &text, &values).unwrap_or_else(|p| panic!("{p:#?}"));
    std::fs::remove_dir_all(&folder).unwrap();
    (Connectors::new(Set::new(vec![set])), heard)
}

fn token(_: &str, number: usize) -> Vec<u8> {
    let body = format!(r#"{{"access_token": "tok-{number}", "token_type": "Bearer", "expires_in": "3599"}}"#);
    answer(200, "application/json", &body)
}

fn cloud_ask() -> Ask {
    Ask { system: "cloud".into(), deadline: Duration::from_secs(5), ..ask("finance", json!({"customer": {"id": 1}})) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_asked_for_once_and_anew_when_it_is_over() {
    for (more, head, form) in [
        ("", "authorization: Basic bGluZStjYXJkOnMlM0ElQzMlQkM=\r\n", "grant_type=client_credentials"),
        (
            "client_auth: body\n    scope: read write\n    more: {audience: \"{{ url }}\"}",
            "",
            "client_id=line%20card&client_secret=s%3A%C3%BC&grant_type=client_credentials&scope=read%20write",
        ),
        ("grant: {password: {user: li, secret: id}}", "", "grant_type=password&password=s%3A%C3%BC&username=li"),
        ("grant: {refresh_token: {secret: id}}", "", "grant_type=refresh_token&refresh_token=s%3A%C3%BC"),
    ] {
        let (cloud, heard) = cloud(more, token).await;
        for balance in [1, 2, 2] {
            assert_eq!(cloud.run(cloud_ask()).await, Outcome::Ok(json!({"balance": balance})), "{more}");
        }
        let heard = std::mem::take(&mut *heard.lock().unwrap());
        let lines: Vec<&str> = heard.iter().map(|request| request.lines().next().unwrap()).collect();
        let (ask, f) = ("POST /oauth2/v2/token HTTP/1.1", "GET /f HTTP/1.1");
        assert_eq!(lines, [ask, f, f, ask, f, f], "{more}");
        assert!(heard[0].contains(head) && heard[0].ends_with(form) || heard[0].contains("audience="), "{}", heard[0]);
        assert!(form.split('&').all(|pair| heard[0].contains(pair)), "{}", heard[0]);
        assert!(heard[1].contains("authorization: Bearer tok-1\r\n") && heard[4].contains("Bearer tok-2\r\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_client_is_told_and_asked_for_once_and_an_error_by_200_is_no_token() {
    let error = |status: u16, body: &'static str| move |_: &str, _: usize| answer(status, "application/json", body);
    for (answered, denied, reason) in [
        (error(401, r#"{"error": "invalid_client"}"#), true, "the client's id or secret is refused"),
        (error(400, r#"{"error": "invalid_grant"}"#), true, "the user or password is refused"),
        (error(403, "no"), true, "the token request is refused"),
        (error(200, r#"{"error": "invalid_client"}"#), false, ""),
        (error(200, r#"{"access_token": ""}"#), false, ""),
    ] {
        let (cloud, heard) = cloud("", answered).await;
        for _ in 0..3 {
            match cloud.run(cloud_ask()).await {
                Outcome::Denied { reason: told } if denied => assert!(told.starts_with(reason), "{told}"),
                Outcome::Broken { .. } if !denied => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(heard.lock().unwrap().len(), 1);
    }
}

#[test]
fn mistakes_of_a_token_endpoint_have_their_places() {
    for (from, to, place) in [
        ("{{ sso }}/oauth2", "sso.example/oauth2", "token_url"),
        ("client_secret: id", "client_secret: url", "client_secret"),
        ("MORE", "grant: {refresh_token: {secret: url}}", "grant"),
        ("MORE", "grant: implicit", "grant"),
    ] {
        let text = CLOUD.replace("{env: LINECARD_TEST_CLOUD}", "{env: PATH}").replacen(from, to, 1).replace("MORE", "");
        let Err(problems) = connectors::load_with("cloud.yaml", &text, &BTreeMap::new()) else { panic!("{to}") };
        assert!(problems.iter().any(|p| p.to_string().contains(place)), "{to}: {problems:#?}");
    }
}

/// A system whose requests are signed. `SIGN` is the signature's formula and place.
const SIGNED: &str = r#"
connector: signed
schema: 1
variables:
  url: {text: "http://signed.example/api"}
  id: {text: "app-1"}
  key: {secret: {env: LINECARD_TEST_HMAC}}
base_url: "{{ url }}"
SIGN
operations:
  finance:
    steps:
      - name: f
        method: POST
        path: /f
        query: {t: "{{ now.ms }}"}
        body: {form: {app: "{{ id }}", biz: "{{ {'no': customer.id} | json_text }}", nonce: "{{ nonce }}", none: "{{ omit }}"}}
        outcome: [{status: [200], when: body.balance is defined, is: ok}]
    output: {balance: body.balance}
examples:
  - name: the clock stands still
    operation: finance
    inputs: {customer: {id: 7}}
    exchanges:
      - request: {method: POST, path: /f, query: {t: "1767225600000"}, text: TEXT}
        answer: {status: 200, json: {balance: 1}}
    outcome: ok
    value: {balance: 1}
"#;

/// The parameters of a query or a form.
pub fn parameters(text: &str) -> BTreeMap<String, String> {
    let decoded = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.bytes();
        while let Some(b) = rest.next() {
            let hex: Vec<u8> = if b == b'%' { rest.by_ref().take(2).collect() } else { Vec::new() };
            bytes.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap_or(b));
        }
        String::from_utf8(bytes).unwrap()
    };
    text.split('&').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (decoded(k), decoded(v))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_signed_as_it_is_sent() {
    use hmac::{Hmac, Mac as _};
    use md5::{Digest as _, Md5};
    type Sha = Hmac<sha2::Sha256>;
    for (n, sign) in [
        "sign: {value: \"(secret.key ~ (form | pairs(equals='', between=''))) | md5 | hex | upper\", body: /sign}",
        "sign: {value: \"(method ~ path ~ query.t ~ body) | hmac_sha256(secret.key) | hex\", header: X-Sign, prefix: 'v1='}",
        "sign: {value: \"(now.ms ~ '\\n' ~ secret.key) | hmac_sha256(secret.key) | base64\", query: sign}",
    ]
    .into_iter()
    .enumerate()
    {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let theirs = heard.clone();
        let system = fake(move |request| {
            theirs.lock().unwrap().push(request.to_owned());
            answer(200, "application/json", r#"{"balance": 1}"#)
        })
        .await;
        let folder = std::env::temp_dir().join(format!("linecard-signed-{}", ulid::Ulid::new()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("secret"), "s3cret").unwrap();
        let text = SIGNED
            .replace("{env: LINECARD_TEST_HMAC}", &format!("{{file: {}/secret}}", folder.display()))
            .replace("SIGN", sign);
        let values = BTreeMap::from([("url".to_owned(), format!("http://{}/api", system.address))]);
        let set = connectors::load_with("signed.yaml", &text, &values).unwrap_or_else(|p| panic!("{p:#?}"));
        std::fs::remove_dir_all(&folder).unwrap();
        let connectors = Connectors::new(Set::new(vec![set]));
        let asked = Ask {
            system: "signed".into(),
            deadline: Duration::from_secs(5),
            ..ask("finance", json!({"customer": {"id": 7}}))
        };
        assert_eq!(connectors.run(asked).await, Outcome::Ok(json!({"balance": 1})), "{sign}");

        let heard = heard.lock().unwrap().pop().unwrap();
        let (head, body) = heard.split_once("\r\n\r\n").unwrap();
        let address = head.split(' ').nth(1).unwrap();
        let query = parameters(address.split_once('?').unwrap().1);
        let form = parameters(body);
        assert_eq!((form["app"].as_str(), form["biz"].as_str(), form["nonce"].len()), ("app-1", r#"{"no":7}"#, 32));
        let mac = |text: String| Sha::new_from_slice(b"s3cret").unwrap().chain_update(text).finalize().into_bytes();
        match n {
            0 => {
                let all: String = form.iter().filter(|(k, _)| *k != "sign").map(|(k, v)| format!("{k}{v}")).collect();
                assert_eq!(form["sign"], hex(&Md5::digest(format!("s3cret{all}"))).to_uppercase());
            }
            1 => {
                let wanted = hex(&mac(format!("POST/api/f{}{body}", query["t"])));
                assert!(head.contains(&format!("x-sign: v1={wanted}")), "{head}");
            }
            _ => {
                use base64::Engine as _;
                let wanted = mac(format!("{}\ns3cret", query["t"]));
                assert_eq!(query["sign"], base64::engine::general_purpose::STANDARD.encode(wanted));
            }
        }
    }
}

/// `GET token?appKey&timestamp&signature`, as YonBIP has it: the login itself is signed.
#[test]
fn a_login_is_signed_and_an_example_of_it_stands_still() {
    let login = "auth:
  session:
    login:
      method: GET
      path: /token
      query: {appKey: '{{ id }}', timestamp: '{{ now.ms }}'}
      sign: {value: \"(query | pairs(equals='', between='')) | hmac_sha256(secret.key) | base64\", query: signature}
      outcome: [{status: [200], when: body.token is defined, is: ok}]
    token: {value: body.token, query: access_token}
sign: {value: \"(secret.key ~ (form | pairs(equals='', between=''))) | md5 | hex\", body: /sign}";
    // md5("(secret)" + the sorted pairs), with Python's hashlib.
    let body =
        "app=app-1&biz=%7B%22no%22%3A7%7D&nonce=00000000000000000000000000000001&sign=b2f45790860a217807bfb8ab1eb44d60";
    let text = SIGNED.replacen("SIGN", login, 1).replace("TEXT", body);
    let system = connectors::load_offline("signed.yaml", &text).unwrap_or_else(|p| panic!("{p:#?}"));
    let results = connectors::examples::run(&system);
    assert!(results.iter().all(|r| r.result.is_ok()), "{results:#?}");

    let open = "  - name: the login
    operation: finance
    logged_in: false
    inputs: {customer: {id: 7}}
    exchanges:
      - request: {method: GET, path: /token, query: {appKey: app-1, timestamp: '1767225600000'}}
        answer: {status: 200, json: {token: t-1}}
      - request: {method: POST, path: /f}
        answer: {status: 200, json: {balance: 1}}
    outcome: ok
    value: {balance: 1}
";
    let system = connectors::load_offline("signed.yaml", &format!("{text}{open}")).unwrap_or_else(|p| panic!("{p:#?}"));
    let results = connectors::examples::run(&system);
    assert!(results.iter().all(|r| r.result.is_ok()), "{results:#?}");
}

#[test]
fn mistakes_of_a_signature_have_their_places() {
    for (sign, wanted) in [
        ("sign: {value: 'body | md5 | hex', body: /sign}", "\"body\" is not known here"),
        ("sign: {value: 'secret.key', header: X-Sign, query: sign}", "the signature has two places"),
        ("sign: {value: 'secret.key | md6'}", "there is no filter \"md6\""),
        ("sign: {value: 'form | pairs', body: sign}", "none that can be"),
        ("headers: {X-Key: '{{ secret.key }}'}", "\"secret\" is not known here"),
    ] {
        let text = SIGNED.replacen("SIGN", sign, 1).replace("TEXT", "''");
        let problems = connectors::load_offline("signed.yaml", &text).err().unwrap_or_default();
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|t| t.contains(wanted)), "{wanted}: {told:#?}");
        assert!(problems.iter().all(|p| p.line > 0), "{told:#?}");
    }
}
