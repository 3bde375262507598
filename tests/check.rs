//! `linecard check`: every mistake of every file in one go, with its place, and nothing started on a wrong folder.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output},
};

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let path =
            std::env::temp_dir().join(format!("linecard-check-{}-{:x}", std::process::id(), rand::random::<u64>()));
        let folder = Self(path);
        for (name, text) in files {
            let file = folder.0.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        folder
    }

    fn linecard(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_linecard"));
        command
            .args(words)
            .arg("--config")
            .arg(&self.0)
            .env_clear()
            .env("CREDENTIALS_DIRECTORY", self.0.join("secrets"));
        command.envs(secrets().map(|name| (name, "k")));
        command.output().unwrap()
    }
}

/// Those that the ready-made connectors want.
fn secrets() -> impl Iterator<Item = String> {
    let files = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/config/connectors")).unwrap();
    files.flat_map(|file| {
        let yaml = fs::read_to_string(file.unwrap().path()).unwrap();
        let names = yaml.split("{secret: {env: ").skip(1).filter_map(|rest| Some(rest.split_once('}')?.0.to_owned()));
        names.collect::<Vec<_>>()
    })
}

const GOOD: &str = "agents:\n  listen: 127.0.0.1:PORT\n  tokens: {issuer: desk, keys: {hs256: {env: NOWHERE}}}\nadmin: {listen: '127.0.0.1:0'}\nstore: {path: /nonexistent/x.db}\n";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn mistakes_of_all_files_are_told_together_and_nothing_is_started() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    let trunks = "rows:\n  - dialled: 4008001234\n    title: Sales\n  - titel: Support\n  - switch: pbx9\n";
    let agents = "agents:\n  - id: '1001'\n    devices: [PJSIP/1001]\n  - id: '1002'\n    devices: [PJSIP/1001]\n";
    let switch = "asterisk:\n  id: pbx1\n  trunks: [PJSIP/trunk]\n  ami: {host: 127.0.0.1, user: linecard, secret: {env: A}, prot: 5038}\n";
    let rules = "rules:\n  - name: x\n    do:\n      - {step: s, operation: note.add, inputs: {text: '{{ record.'}}\n";
    let folder = Folder::new(&[
        ("linecard.yaml", &(GOOD.replace("PORT", &port.to_string()) + "callbacks: {teams: [{teams: [support]}]}\n")),
        ("trunks.yaml", trunks),
        ("agents.yaml", agents),
        ("switches/pbx1.yaml", switch),
        ("rules.yaml", rules),
    ]);
    for verb in [&["check"][..], &["run"][..]] {
        let output = folder.linecard(verb);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{told}");
        for place in [
            "trunks.yaml:2:14: rows[0].dialled: found the number 4008001234; a string is wanted (put it in quotes",
            "trunks.yaml:4:5: rows[1].titel: this key is not known here",
            "agents.yaml:5:15: agents[1].devices[0]: device \"PJSIP/1001\" is agent \"1001\"'s already",
            "switches/pbx1.yaml:4:",
            "rules.yaml:",
            "callbacks.teams: no agent is in the team \"support\"",
            "problems in the settings; nothing was started",
        ] {
            assert!(told.contains(place), "{place:?} is not told:\n{told}");
        }
    }
    // The port was ours all the time: a daemon that had tried to open it would have said so.
    drop(free);
    let json = folder.linecard(&["check", "--json"]);
    let first: serde_json::Value = serde_json::from_str(text(&json.stdout).lines().next().unwrap()).unwrap();
    assert!(first["line"].as_u64().is_some() && first["found"].is_string(), "{first}");
}

/// A connector that wants a customer by a key which no other gives would never be asked; a shared number that is none would share nothing.
#[test]
fn a_key_that_nobody_gives_and_a_shared_number_that_is_none_are_told() {
    let connector = |id: &str, keys: &str, by: &str| {
        format!(
            "connector: {id}\nschema: 1\nbase_url: http://127.0.0.1:9\n{keys}operations:\n  customer.by_phone:\n    steps:\n      - name: s\n        path: /c\n\
             \x20       outcome: [{{status: [200], when: body, is: ok}}]\n        records: body\n    fields: {{id: record.id, code: record.code, phone: record.phone}}\n\
             \x20   phones: {{phone: phone}}\n  loyalty:\n    by: [{by}]\n    steps:\n      - name: p\n        path: '/p/{{{{ customer.id }}}}'\n\
             \x20       outcome: [{{status: [200], when: body, is: ok}}]\n    output: {{points: body.points}}\n"
        )
    };
    let files = |first: &str, second: &str| {
        let main = GOOD.replace("PORT", "0") + "customers: {shared: ['4008001234', reception]}\n";
        Folder::new(&[("linecard.yaml", &main), ("connectors/crm.yaml", first), ("connectors/points.yaml", second)])
    };
    let folder =
        files(&connector("crm", "keys: {customer_no: code}\n", "customer_no"), &connector("points", "", "member_no"));
    let output = folder.linecard(&["check"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{told}");
    assert!(
        told.contains("connectors/points.yaml") && told.contains("loyalty takes a customer by \"member_no\""),
        "{told}"
    );
    assert!(told.contains("keys that are given: customer_no"), "{told}");
    assert!(told.contains("customers.shared[1]") && !told.contains("customers.shared[0]"), "{told}");
    // A key whose field no customer operation maps.
    let folder = files(
        &connector("crm", "keys: {customer_no: number}\n", "customer_no"),
        &connector("points", "", "customer_no"),
    );
    let told = text(&folder.linecard(&["check"]).stderr);
    assert!(
        told.contains("connectors/crm.yaml:4:") && told.contains("no customer operation maps \"number\""),
        "{told}"
    );
}

#[test]
fn the_example_folder_passes_and_its_defaults_are_the_programs() {
    let folder = Folder::new(&[]);
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("config"), &folder.0);
    fs::remove_dir_all(folder.0.join("demo")).unwrap();
    for (name, secret) in [("ami", "x"), ("ari", "x"), ("token", "0123456789abcdef0123456789abcdef")] {
        fs::create_dir_all(folder.0.join("secrets")).unwrap();
        fs::write(folder.0.join("secrets").join(name), secret).unwrap();
    }
    let main = folder.0.join("linecard.yaml");
    let defaults = fs::read_to_string(&main).unwrap();
    let tokens = "agents:\n  tokens: {issuer: desk, keys: {hs256: {credential: token}}}";
    fs::write(&main, defaults.replacen("agents:", tokens, 1)).unwrap();
    let output = folder.linecard(&["check"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(
        text(&output.stdout).starts_with("good: 4 switch(es), 3 trunk row(s), 3 agent(s)"),
        "{}",
        text(&output.stdout)
    );
    // What the file says is what the program does without it.
    let whole = linecard::daemon::load::settings(&folder.0, &[]).unwrap();
    fs::write(&main, tokens).unwrap();
    let bare = linecard::daemon::load::settings(&folder.0, &[]).unwrap();
    assert_eq!(format!("{whole:?}"), format!("{bare:?}"));
    let built: linecard::daemon::settings::Settings = linecard::files::read("linecard.yaml", tokens).unwrap().value;
    assert_eq!(format!("{built:?}"), format!("{bare:?}"), "config/linecard.yaml and the program's own defaults differ");
    // The lines for the switch name the mapped variable and no password.
    let lines = text(&folder.linecard(&["check", "--manager-conf"]).stdout);
    assert!(lines.contains("CTI_ACCOUNT") && lines.contains("eventfilter"), "{lines}");
}

#[test]
fn a_wrong_variable_and_a_missing_folder_are_told() {
    let folder = Folder::new(&[("linecard.yaml", &GOOD.replace("PORT", "0"))]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_linecard"));
    let output =
        command.arg("check").arg("--config").arg(&folder.0).env("LINECARD__ADMIN__LISTNE", "x").output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output.stderr).contains("listne"), "{}", text(&output.stderr));
    let output =
        Command::new(env!("CARGO_BIN_EXE_linecard")).args(["check", "--config", "/nonexistent"]).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output.stderr).contains("there is no folder /nonexistent"));
    // Wrong usage is 2.
    assert_eq!(Command::new(env!("CARGO_BIN_EXE_linecard")).arg("fly").output().unwrap().status.code(), Some(2));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target)
        } else {
            let _bytes = fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Two files of one system: what only both together show, and the words of the command line.
#[test]
fn a_canary_is_stopped_and_resumed_by_the_command_line_and_a_shadow_is_read() {
    let file = |id: &str, more: &str, operation: &str| {
        format!(
            "connector: {id}\nschema: 1\n{more}\nbase_url: 'http://127.0.0.1:1'\noperations:\n  {operation}:\n    steps: [{{name: who, path: /me, outcome: [{{status: [200], is: ok}}]}}]\n    output: {{version: \"1\"}}\n"
        )
    };
    let canary = file("crm-next", "canary: {of: crm, percent: 10, queues: [sales]}", "check");
    let folder = Folder::new(&[
        ("connectors/crm.yaml", &file("crm", "", "check")),
        ("connectors/crm-next.yaml", &file("crm-next", "canary: {of: crm, percent: 10}", "version")),
        ("connectors/crm-shadow.yaml", &file("crm-shadow", "shadow: {of: erp, percent: 10}", "check")),
    ]);
    let store = folder.0.join("x.db");
    let settings = GOOD.replace("PORT", "0").replace("/nonexistent/x.db", &store.display().to_string());
    fs::write(folder.0.join("linecard.yaml"), settings).unwrap();
    let wrong = folder.linecard(&["connector", "canary", "list"]);
    let told = text(&wrong.stderr);
    assert_eq!(wrong.status.code(), Some(78), "{told}");
    for there in ["crm-next.yaml", "does not offer check", "crm-shadow.yaml", "a shadow of \"erp\"", "crm"] {
        assert!(told.contains(there), "{there}: {told}");
    }
    fs::write(folder.0.join("connectors/crm-next.yaml"), canary).unwrap();
    fs::write(
        folder.0.join("connectors/crm-shadow.yaml"),
        file("crm-shadow", "shadow: {of: crm, percent: 10}", "check"),
    )
    .unwrap();
    drop(linecard::store::Store::open(&linecard::store::Settings { path: store, ..Default::default() }).unwrap());
    let said = |words: &[&str]| {
        let output = folder.linecard(words);
        (output.status.success(), text(&output.stdout) + &text(&output.stderr))
    };
    let list = || said(&["connector", "canary", "list"]).1;
    assert_eq!(list().trim(), "crm-next         in the place of crm for 10 % of queue sales");
    let (good, told) = said(&["connector", "canary", "resume", "crm-next"]);
    assert!(!good && told.contains("crm-next is not stopped"), "{told}");
    let (good, told) = said(&["connector", "canary", "stop", "crm-next", "--why", "the vendor called"]);
    assert!(good && told.contains("crm-next is stopped"), "{told}");
    assert!(list().contains(": the vendor called"), "{}", list());
    assert!(said(&["connector", "canary", "resume", "crm-next"]).0);
    assert!(!list().contains("stopped"));
    let (_, audit) = said(&["audit", "--what", "canary*"]);
    let at = |word: &str| audit.find(word).unwrap_or_else(|| panic!("{word}: {audit}"));
    assert!(at("canary.resume") < at("canary.stop"), "{audit}");
    let (good, told) = said(&["connector", "canary", "stop", "crm-shadow", "--why", "x"]);
    assert!(!good && told.contains("no connector \"crm-shadow\" is a canary; there are: crm-next"), "{told}");
    // What the daemon compared, of this file and of no earlier one.
    let compare = || said(&["connector", "compare", "crm-shadow"]).1;
    assert_eq!(compare().trim(), "nothing was compared with crm-shadow yet");
    let yaml = fs::read_to_string(folder.0.join("connectors/crm-shadow.yaml")).unwrap();
    let hash = linecard::connectors::load_offline("crm-shadow.yaml", &yaml).unwrap().hash;
    let kept = |hash: &str| {
        let at = "2026-11-26T12:00:00.000Z";
        let text = format!(
            r#"{{"hash":"{hash}","operations":{{"orders":{{"asked":9,"same":5,"unanswered":1}}}},"differences":[{{"operation":"orders","field":"[].state","how":"another text","times":3,"first":"{at}","last":"{at}"}}],"passed_over":2}}"#
        );
        fs::create_dir_all(folder.0.join("watch")).unwrap();
        fs::write(folder.0.join("watch/crm-shadow.compared.json"), text).unwrap();
    };
    kept("of another file");
    assert_eq!(compare().trim(), "nothing was compared with crm-shadow yet");
    kept(&hash);
    let told = compare();
    for there in ["orders: 9 asked, 8 answered by both, 5 the same", "3  [].state", "another text", "2 questions were"]
    {
        assert!(told.contains(there), "{there}: {told}");
    }
    // Both are asked by the probe, for a wrong key is to be seen before a caller meets it.
    let (good, told) = said(&["check", "--probe"]);
    assert!(!good && told.contains("connector crm-next: busy") && told.contains("connector crm: busy"), "{told}");
}

/// Whether the daemon runs or not: what it kept of failing requests and of how systems stand.
#[test]
fn what_was_kept_of_systems_is_read_without_the_daemon() {
    let desk = "connector: desk\nschema: 1\nbase_url: 'http://127.0.0.1:1'\noperations:\n  check:\n    steps: [{name: who, path: /me, outcome: [{status: [200], is: ok}]}]\n    output: {}\n";
    let failure = r#"{"at":"2026-11-26T12:00:00.000Z","operation":"finance","step":"balance","method":"GET","path":"/f/{{ customer.id }}","query":["q"],"status":503,"outcome":"busy","reason":"desk answered","took_ms":42}"#;
    let standing =
        r#"{"at":"2026-11-26T12:00:02.000Z","systems":[{"system":"desk","operations":{"finance":{"asked":3}}}]}"#;
    let folder = Folder::new(&[
        ("connectors/desk.yaml", desk),
        ("watch/desk.jsonl", &format!("{failure}\nhalf a li")),
        ("watch/standing.json", standing),
    ]);
    let store = folder.0.join("x.db").display().to_string();
    let settings = GOOD.replace("PORT", "0").replace("/nonexistent/x.db", &store);
    fs::write(folder.0.join("linecard.yaml"), settings).unwrap();
    let told = folder.linecard(&["evidence", "desk"]);
    let out = text(&told.stdout);
    assert!(told.status.success(), "{}", text(&told.stderr));
    for there in [
        "finance, step \"balance\", 42 ms",
        "GET /f/{{ customer.id }}",
        "(parameters: q)",
        "answered  503",
        "busy: desk answered",
    ] {
        assert!(out.contains(there), "{there}: {out}");
    }
    let json = text(&folder.linecard(&["evidence", "desk", "--json"]).stdout);
    assert_eq!(json.lines().collect::<Vec<_>>(), [failure]);
    let nobody = folder.linecard(&["evidence", "crm"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(text(&nobody.stderr).contains("there are: desk"), "{}", text(&nobody.stderr));
    let list = text(&folder.linecard(&["connector", "list", "--json"]).stdout);
    assert!(list.contains(r#""standing":{"operations":{"finance":{"asked":3}},"system":"desk"}"#), "{list}");
    // A mistake in the rules of alerts is told like any other.
    fs::write(folder.0.join("alerts.yaml"), "to: [desk]\nrules: [{id: a, signal: error-rate}]\n").unwrap();
    let told = folder.linecard(&["check"]);
    let out = text(&told.stdout) + &text(&told.stderr);
    assert_eq!(told.status.code(), Some(78), "{out}");
    assert!(out.contains("alerts.yaml:1") && out.contains("alerts.yaml:2"), "{out}");
}
