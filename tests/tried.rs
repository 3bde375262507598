//! `linecard connector try`: who writes a file sees at once what is wrong with it, and no secret.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

use crate::connectors::{answer, fake};

/// A folder with a connector file and its secrets.
pub struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Folder {
    pub fn new(files: &[(&str, &str)]) -> Self {
        let path = std::env::temp_dir().join(format!("linecard-try-{}", ulid::Ulid::new()));
        std::fs::create_dir_all(&path).unwrap();
        let folder = Self(path);
        for (name, text) in files {
            let here = folder.0.display().to_string();
            std::fs::write(folder.0.join(name), text.replace("FOLDER", &here)).unwrap();
        }
        folder
    }

    /// What is printed, and the exit code. The process sees these variables of the environment of ours.
    pub async fn tries(&self, file: &str, words: &[&str], variables: &[&str]) -> (String, i32) {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_linecard"));
        command.args(["connector", "try"]).arg(self.0.join(file)).args(words).env_clear();
        command.envs(variables.iter().map(|name| (name, std::env::var(name).unwrap())));
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        (said, output.status.code().unwrap())
    }
}

const PASSWORD: &str = "open-sesame-4711";
const TICKET: &str = "tkt-0123456789abcdef";

const HAMSTER: &str = r#"
connector: hamster
schema: 1
variables: {password: {secret: {file: FOLDER/password}}}
base_url: URL
auth:
  session:
    login:
      path: /open
      body: {json: {user: linecard, pass: "{{ secret.password }}"}}
      outcome: [{when: body.rc == 0, is: ok}, {when: body.rc == 7, is: denied, reason: no such user}]
    token: {value: body.ticket, header: X-Ticket}
sign: {value: (secret.password ~ path ~ query.tel) | md5 | hex, header: X-Sign}
operations:
  customer.by_phone:
    steps:
      - name: find
        path: /people
        query: {tel: "{{ number.national }}"}
        outcome:
          - {status: [200], when: body.rc == 0 and body.hits is sequence, is: ok}
          - {status: [503], is: busy}
        records: body.hits
    fields: {id: record.guid, name: record.label, mobile: record.no}
    phones: {mobile: their mobile}
  note.find:
    steps:
      - {name: look, path: /notes, query: {tel: "{{ key }}"}, outcome: [{when: body.rc == 0, is: ok}], records: body.notes}
    fields: {id: record}
    keep: record == key
  note.add:
    idempotent: {lookup: note.find}
    steps:
      - {name: write, method: POST, path: /notes, query: {tel: x}, body: {json: {words: "{{ text }}"}}, outcome: [{when: body.rc == 0, is: ok}]}
    output: {id: body.no}
"#;

/// The system that the file above was written for, and the requests that it heard.
async fn hamster(change: impl Fn(String) -> String) -> (Folder, Arc<Mutex<Vec<String>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let theirs = heard.clone();
    let system = fake(move |request| {
        theirs.lock().unwrap().push(request.lines().next().unwrap_or_default().to_owned());
        let json = |value: Value| answer(200, "application/json", &value.to_string());
        match request.lines().next().unwrap_or_default() {
            first if first.starts_with("POST /open") && request.contains(PASSWORD) => {
                json(json!({"rc": 0, "ticket": TICKET}))
            }
            first if first.starts_with("POST /open") => json(json!({"rc": 7, "rm": "bad login"})),
            _ if !request.contains(TICKET) => json(json!({"rc": 9})),
            first if first.starts_with("GET /people") => json(json!({"rc": 0, "echo": TICKET, "hits": [
                {"guid": "P-17", "label": "陈静", "no": "138 0013 8000"}, {"guid": "P-18", "label": "李雷", "no": "139 0013 9000"}]})),
            first if first.starts_with("GET /notes") => json(json!({"rc": 0, "notes": []})),
            _ => json(json!({"rc": 0, "no": 1})),
        }
    })
    .await;
    let file = change(HAMSTER.replace("URL", &format!("http://{}", system.address)));
    (Folder::new(&[("password", PASSWORD), ("wrong", "something-else"), ("hamster.yaml", &file)]), heard)
}

/// Each of these stands in the text, in this order.
#[track_caller]
fn in_order(text: &str, wanted: &[&str]) {
    let mut rest = text;
    for part in wanted {
        let Some((_, behind)) = rest.split_once(part) else {
            panic!("\"{part}\" is not there, or not there yet:\n{text}")
        };
        rest = behind;
    }
}

#[tokio::test]
async fn what_was_asked_answered_and_taken_is_told_in_its_order() {
    let (folder, _) = hamster(|file| file).await;
    let by_phone = ["customer.by_phone", "number=13800138000"];
    let (said, code) = folder.tries("hamster.yaml", &by_phone, &[]).await;
    assert_eq!(code, 0, "{said}");
    in_order(
        &said,
        &[
            "13800138000 is read as +8613800138000 (mobile)",
            "1. log in",
            "{\"pass\":\"(secret)\",\"user\":\"linecard\"}",
            "\"ticket\": \"(text, 20 characters)\"",
            "rule 1 (body.rc == 0: ok): holds",
            "the session: got it, as header X-Ticket",
            "2. find",
            "/people?tel=13800138000",
            "X-Sign: (signature)",
            "X-Ticket: (secret)",
            "signed is: (secret)/people13800138000",
            "2. answered 200",
            "\"echo\": \"(secret)\"",
            "rule 1 (status 200, and body.rc == 0 and body.hits is sequence: ok): holds",
            "records of find: 2",
            "record 1, id P-17: taken: their mobile",
            "mobile \"138 0013 8000\" is read as +8613800138000 (mobile)",
            "record 2, id P-18: refused: none of its numbers is the one that was asked for",
            "mobile \"139 0013 9000\" is read as +8613900139000 (mobile)",
            "\nok (",
            "陈静",
        ],
    );
    let (json, _) = folder.tries("hamster.yaml", &[&by_phone[..], &["--json"]].concat(), &[]).await;
    let told: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&told["outcome"], &told["value"][0]["name"]), (&json!("ok"), &json!("陈静")));
    let happened: Vec<&str> =
        told["happened"].as_array().unwrap().iter().map(|h| h["happened"].as_str().unwrap()).collect();
    assert_eq!(
        happened,
        [
            "number",
            "logs-in",
            "asked",
            "answered",
            "tried",
            "logged-in",
            "asked",
            "answered",
            "tried",
            "records",
            "record",
            "record"
        ]
    );
    let (full, _) = folder.tries("hamster.yaml", &[&by_phone[..], &["--full"]].concat(), &[]).await;
    for text in [said, json, full] {
        assert!(!text.contains(PASSWORD) && !text.contains(TICKET), "{text}");
    }
}

#[tokio::test]
async fn why_a_rule_does_not_hold_is_told() {
    let by_phone = ["customer.by_phone", "number=13800138000"];
    let (folder, _) = hamster(|file| file.replace("body.hits is sequence", "body.people is sequence")).await;
    let (said, code) = folder.tries("hamster.yaml", &by_phone, &[]).await;
    assert_eq!(code, 1, "{said}");
    in_order(
        &said,
        &[
            "rule 1 (status 200, and body.rc == 0 and body.people is sequence: ok): no (body.people is not there; body.rc is 0)",
            "rule 2 (status 503: busy): no, the status is 200",
            "so: no rule holds; by its status it is broken",
            "\nbroken: ",
        ],
    );
    // A field that is not there, and where.
    let (folder, _) = hamster(|file| file.replace("record.label", "record.label.first")).await;
    let (said, _) = folder.tries("hamster.yaml", &by_phone, &[]).await;
    in_order(
        &said,
        &["does not fit: name: is undefined: record.label.first (record.label.first is not there)", "\nbroken: "],
    );
    // A request that cannot be made.
    let (folder, _) = hamster(|file| file.replace("number.national", "number.local")).await;
    let (said, _) = folder.tries("hamster.yaml", &by_phone, &[]).await;
    in_order(&said, &["does not fit: find: tel: \"number.local\" is undefined", "\ninvalid: "]);
    // A refused login says what the system said, and the other one is never sent.
    let (folder, heard) = hamster(|file| file.replace("FOLDER/password", "FOLDER/wrong")).await;
    let (said, _) = folder.tries("hamster.yaml", &by_phone, &[]).await;
    in_order(
        &said,
        &[
            "\"rm\": \"bad login\"",
            "rule 1 (body.rc == 0: ok): no (body.rc is 7)",
            "rule 2 (body.rc == 7: denied): holds",
            "\ndenied: no such user",
        ],
    );
    assert!(!said.contains("something-else"), "{said}");
    assert_eq!(heard.lock().unwrap().len(), 1);
    let (said, code) = folder.tries("hamster.yaml", &["customer.get"], &[]).await;
    assert_eq!((said.contains("it offers: customer.by_phone, note.find, note.add"), code), (true, 1), "{said}");
}

#[tokio::test]
async fn what_changes_something_is_shown_and_sent_only_when_that_is_said() {
    let (folder, heard) = hamster(|file| file).await;
    let words = ["note.add", "target={\"id\": \"P-17\"}", "text=about the invoice"];
    let (said, code) = folder.tries("hamster.yaml", &words, &[]).await;
    assert_eq!(code, 1, "{said}");
    in_order(
        &said,
        &[
            "note.find looks",
            "GET http",
            "it was not",
            "POST http",
            "{\"words\":\"about the invoice\"}",
            "not sent",
            "--write",
        ],
    );
    assert!(!heard.lock().unwrap().iter().any(|first| first.starts_with("POST /notes")));
    let (said, code) = folder.tries("hamster.yaml", &[&words[..], &["--write"]].concat(), &[]).await;
    assert_eq!(code, 0, "{said}");
    in_order(&said, &["it was not", "POST http", "rule 1 (body.rc == 0: ok): holds", "\"id\": 1"]);
    assert_eq!(heard.lock().unwrap().iter().filter(|first| first.starts_with("POST /notes")).count(), 1);
}

#[tokio::test]
async fn tables_are_told_of_in_their_own_words() {
    let file = |place: &str, list: &str| {
        format!(
            "connector: shop\nschema: 1\n{place}\noperations:\n  customer.list:\n    page: {{by: offset, size: 2}}\n    steps: [{{name: all, {list}}}]\n    fields: {{id: record.id, mobile: record.no}}\n    phones: {{mobile: mobile}}\n"
        )
    };
    let csv = file(
        "csv: {path: FOLDER/people.csv, find_by: {no: number}}",
        "rows: {from: '{{ page.offset }}', size: '{{ page.size }}'}, records: body.rows",
    );
    let folder = Folder::new(&[("people.csv", "id,no\n1,13800138000\n2,13900139000\n3,x\n"), ("shop.yaml", &csv)]);
    let (said, code) = folder.tries("shop.yaml", &["customer.list", "--pages", "9"], &[]).await;
    assert_eq!(code, 0, "{said}");
    // Pages overlap by one record.
    in_order(
        &said,
        &[
            "1. all",
            "rows where {\"from\":0,\"size\":2}",
            "page 1: 2 records, 2 of them new",
            "rows where {\"from\":1,\"size\":2}",
            "page 2: 2 records, 1 of them new",
            "and it is the last one",
            "\"mobile\": \"x\"",
        ],
    );
}
