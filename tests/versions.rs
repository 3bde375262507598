//! Versions of a vendor's API, over real sockets: a system says which one it is, answers by another one than was asked for, and says that a way of asking ends.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use linecard::{
    connectors::{self, Ask, Connectors, Outcome, Priority, Set, System, version},
    watch::{
        self, Metrics,
        alerts::{
            Rules,
            live::{Switch, Watcher},
        },
    },
    words::Wall,
};
use serde_json::json;

use super::limits::{answer, open, system};

fn load(text: &str) -> System {
    connectors::load("crm.yaml", text).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn file(address: std::net::SocketAddr, version: &str) -> String {
    format!(
        r#"
connector: crm
schema: 1
api: "2026-07"
version: {version}
base_url: "http://{address}"
operations:
  version:
    steps: [{{name: which, path: /about, outcome: [{{status: [200], when: body.version is defined, is: ok}}]}}]
    output: {{version: body.version}}
  orders:
    steps: [{{name: orders, path: "/{{{{ api_version }}}}/orders", query: {{of: "{{{{ customer.id }}}}"}}, outcome: [{{status: [200], is: ok}}]}}]
    output: {{n: "1"}}
"#
    )
}

fn ask(operation: &str) -> Ask {
    Ask {
        tenant: Default::default(),
        system: "crm".into(),
        operation: operation.to_owned(),
        inputs: json!({"customer": {"id": "7"}}).as_object().unwrap().clone(),
        deadline: std::time::Duration::from_secs(5),
        priority: Priority::Pop,
    }
}

#[tokio::test]
async fn each_request_says_which_version_it_wants() {
    let (_keep, is_open) = open();
    let brain = |_, _: &str| answer(200, "", &json!({"version": "2026-07"}));
    let (address, asked) = system(brain, is_open).await;
    let crm = Connectors::new(Set::new(vec![load(&file(address, "{send: {query: v}}"))]));
    assert!(matches!(crm.run(ask("orders")).await, Outcome::Ok(_)));
    assert!(matches!(crm.run(ask("version")).await, Outcome::Ok(_)));
    assert_eq!(asked.paths(), ["/2026-07/orders?of=7&v=2026-07", "/about?v=2026-07"]);
    // In a header it is part of what an example shows.
    let text = file(address, "{send: {header: X-Version}}")
        + "examples:\n  - {name: a, operation: version, exchanges: [{request: {path: /about, headers: {X-Version: \"2026-07\"}}, answer: {status: 200, json: {version: \"2026-07\"}}}], outcome: ok, value: {version: \"2026-07\"}}\n";
    let results = connectors::examples::run(&load(&text));
    assert!(
        results.iter().all(|example| example.result.is_ok()),
        "{:?}",
        results.iter().map(|e| &e.result).collect::<Vec<_>>()
    );
}

#[test]
fn mistakes_of_a_version_have_their_places() {
    let address = "127.0.0.1:9".parse().unwrap();
    let told = |text: &str| -> Vec<String> {
        let Err(problems) = connectors::load("crm.yaml", text) else { return Vec::new() };
        assert!(problems.iter().all(|problem| problem.line > 0), "{problems:#?}");
        problems.iter().map(ToString::to_string).collect()
    };
    let good = file(address, "{send: inline, expect: {from: \"1\", to: \"2\"}}");
    assert_eq!(told(&good), Vec::<String>::new());
    for (text, wanted) in [
        (good.replace("api: \"2026-07\"\n", "").replace("{{ api_version }}", "v1"), "which version that is"),
        (good.replace("{{ api_version }}", "v1"), "no template of the file uses it"),
        (good.replace("output: {version: body.version}", "output: {v: body.version}"), "it says no version"),
        (good.replace("  version:\n", "  check:\n"), "nothing asks which version it is"),
        (file(address, "{send: {header: \"X Version\"}}"), "no name of a header"),
        (good.replace("schema: 1\n", "schema: 1\nvariables: {api_version: {text: x}}\n"), "another name"),
    ] {
        let problems = told(&text);
        assert!(problems.iter().any(|problem| problem.contains(wanted)), "{wanted}: {problems:#?}");
    }
}

#[tokio::test]
async fn a_drift_and_a_sunset_are_told_and_a_good_version_is_not() {
    let (_keep, is_open) = open();
    let turn = Arc::new(AtomicUsize::new(0));
    let state = turn.clone();
    let brain = move |_, path: &str| match (path.contains("/about"), state.load(Ordering::SeqCst)) {
        (true, 0) => answer(200, "", &json!({"version": "6.0.5"})),
        (true, _) => answer(200, "", &json!({"version": "7.0"})),
        (false, 0) => answer(200, "X-Version: 2026-07\r\n", &json!({})),
        (false, _) => {
            let ends = "Deprecation: @1688169599\r\nSunset: Sun, 30 Jun 2024 23:59:59 GMT\r\nLink: <https://vendor.example/end>; rel=\"sunset\"\r\n";
            answer(200, ends, &json!({}))
        }
    };
    let (address, asked) = system(brain, is_open).await;
    let text = file(address, "{answered: X-Version, expect: {from: \"6.0\", to: \"6.1\"}}");
    let crm = Connectors::new(Set::new(vec![load(&text)]));
    let folder = std::env::temp_dir().join(format!("linecard-versions-{}", ulid::Ulid::from_parts(1, rand::random())));
    let (metrics, registry) = Metrics::new();
    let rules = Arc::new(arc_swap::ArcSwap::from_pointee(Rules::read("alerts.yaml", None, &|_| true).unwrap()));
    let asterisk = Arc::new(std::sync::Mutex::new("Asterisk Call Manager/11.0.0".to_owned()));
    let says = asterisk.clone();
    let tried = || version::Range { from: "5".into(), to: "11".into() };
    let switches = move || {
        let versions = vec![(says.lock().unwrap().clone(), Some(tried()))];
        vec![Switch { id: "pbx1".into(), events: 1, versions, ..Switch::default() }]
    };
    let mut watcher = Watcher::new(crm.clone(), metrics, Box::new(switches), rules, &folder);
    let now = |text: &str| Wall(text.parse::<jiff::Timestamp>().unwrap().as_millisecond());
    version::live::look(&crm).await;
    crm.run(ask("orders")).await;
    watcher.look(now("2024-06-01T00:00:00Z")).await;
    assert!(!watch::render(&registry).contains("linecard_alerts{"), "{}", watch::render(&registry));
    assert_eq!(crm.standing()[0].json()["version"]["told"], "6.0.5");
    // It is asked once a day, so only a reload with another file asks it now.
    version::live::look(&crm).await;
    assert_eq!(asked.paths().iter().filter(|path| path.contains("about")).count(), 1);
    turn.store(1, Ordering::SeqCst);
    *asterisk.lock().unwrap() = "Asterisk Call Manager/12.0.0".to_owned();
    crm.swap(Set::new(vec![load(&(text + "# changed\n"))]));
    version::live::look(&crm).await;
    crm.run(ask("orders")).await;
    watcher.look(now("2024-06-01T00:01:00Z")).await;
    let page = watch::render(&registry);
    for line in [
        "linecard_system_version_drift{system=\"crm\"} 1",
        "linecard_alerts{alert=\"version-drift\",subject=\"crm\"} 1",
        "linecard_alerts{alert=\"version-drift\",subject=\"pbx1\"} 1",
        "linecard_alerts{alert=\"deprecated\",subject=\"crm orders\"} 1",
        "linecard_alerts{alert=\"sunset\",subject=\"crm orders\"} 1",
    ] {
        assert!(page.contains(line), "{line}: {page}");
    }
    let shown = crm.standing()[0].json();
    assert_eq!(shown["version"]["drift"], "it is version 7.0; its file expects 6.0 to 6.1");
    assert_eq!(shown["version"]["ends"][0]["sunset"], "2024-06-30T23:59:59.000Z");
    assert_eq!(shown["version"]["ends"][0]["link"], "https://vendor.example/end");
    std::fs::remove_dir_all(folder).unwrap();
}
