//! What is seen of business systems: figures, evidence for the vendor, alerts that are told once. Over real sockets; the alerts' time is made up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use linecard::{
    connectors::{self, Ask, Connectors, Priority, Set, evidence},
    records::hooks::{Webhooks, live::Sender},
    watch::{
        self, Metrics,
        alerts::{Rules, live::Watcher},
    },
    words::Wall,
};
use serde_json::json;

use super::limits::{Ledger, answer, good, open, system};

fn file(name: &str, address: std::net::SocketAddr) -> String {
    format!(
        r#"
connector: {name}
schema: 1
# Any environment variable that every process has serves for a secret.
variables: {{key: {{secret: {{env: PATH}}}}}}
base_url: "http://{address}"
auth: {{key: {{header: X-Key, secret: key}}}}
retries: {{most: 0}}
breaker: {{open_s: 0}}
operations:
  finance:
    steps:
      - name: balance
        path: "/people/{{{{ customer.id }}}}/balance"
        query: {{mobile: "{{{{ customer.mobile }}}}"}}
        outcome: [{{status: [200], when: body.balance is defined, is: ok}}]
    output: {{balance: body.balance}}
  notify:
    idempotent: key
    steps: [{{name: tell, method: POST, path: /tell, query: {{text: "{{{{ text }}}}"}}, outcome: [{{status: [200], is: ok}}]}}]
    output: {{}}
"#
    )
}

fn load(name: &str, address: std::net::SocketAddr) -> connectors::System {
    connectors::load(&format!("{name}.yaml"), &file(name, address)).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn finance() -> Ask {
    let inputs = json!({"customer": {"id": "C-4711-0815", "name": "陈静", "mobile": "13800138000"}});
    Ask {
        tenant: Default::default(),
        system: "desk".into(),
        operation: "finance".to_owned(),
        inputs: inputs.as_object().unwrap().clone(),
        deadline: Duration::from_secs(5),
        priority: Priority::Pop,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_gets_what_failed_and_nobodys_data() {
    let (_keep, is_open) = open();
    let brain = |before, _: &str| match before {
        0 => {
            let body = json!({"error": {"code": "E_LOCK", "message": "客户 陈静 (13800138000) is locked by \"李雷\""}, "owner": "李雷"});
            answer(423, "X-Request-Id: r-17\r\nSet-Cookie: session=abc\r\n", &body)
        }
        1 => None,
        _ => good(),
    };
    let (address, _) = system(brain, is_open).await;
    let desk = Connectors::new(Set::new(vec![load("desk", address)]));
    for _ in 0..3 {
        desk.run(finance()).await;
    }
    let folder = tempfile();
    let kept = tokio::spawn(evidence::live::keep(desk.clone(), folder.clone()));
    let failures = loop {
        let failures = evidence::live::read(&folder, &"desk".into()).unwrap();
        if !failures.is_empty() {
            break failures;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    kept.abort();
    assert_eq!(failures.len(), 2, "{failures:#?}");
    let text = serde_json::to_string(&failures).unwrap();
    for there in
        ["E_LOCK", "423", "r-17", "/people/{{ customer.id }}/balance", "\"query\":[\"mobile\"]", "is locked by", "busy"]
    {
        assert!(text.contains(there), "{there}: {text}");
    }
    let path = std::env::var("PATH").unwrap();
    for nobody in ["陈静", "李雷", "13800138000", "4711", "session", path.as_str()] {
        assert!(!text.contains(nobody), "{nobody}: {text}");
    }
    assert_eq!((failures[1].status, failures[1].body.is_none()), (None, true));
    // And how it stands, for the command line.
    let standing = evidence::live::standing(&folder).unwrap();
    let finance = &standing["systems"][0]["operations"]["finance"];
    assert_eq!((finance["asked"].as_u64(), finance["failed"].as_u64()), (Some(3), Some(2)), "{standing}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_told_once_over_a_restart_and_then_that_it_is_over() {
    let ill = Arc::new(AtomicBool::new(true));
    let (_keep, is_open) = open();
    let state = ill.clone();
    let brain = move |_, _: &str| if state.load(Ordering::SeqCst) { answer(500, "", &json!({})) } else { good() };
    let (address, _) = system(brain, is_open.clone()).await;
    // The messenger is away at first.
    let away = Arc::new(AtomicBool::new(true));
    let gone = away.clone();
    let brain = move |_, _: &str| if gone.load(Ordering::SeqCst) { answer(503, "", &json!({})) } else { good() };
    let (chat, told) = system(brain, is_open).await;
    let connectors = Connectors::new(Set::new(vec![load("desk", address), load("chat", chat)]));
    let text = "rules:\n  - {id: error-rate, signal: error-rate, above: 20, minimum: 5, for_s: 60, clear_s: 120, only: [desk], to: [chat]}\n";
    let rules = Rules::read("alerts.yaml", Some(text), &|_| true).unwrap();
    let folder = tempfile();
    let watcher = |connectors: &Connectors| {
        let (metrics, registry) = Metrics::new();
        let rules = Arc::new(arc_swap::ArcSwap::from_pointee(rules.clone()));
        (Watcher::new(connectors.clone(), metrics, Box::new(Vec::new), rules, &folder), registry)
    };
    for _ in 0..10 {
        connectors.run(finance()).await;
    }
    let (mut first, registry) = watcher(&connectors);
    first.look(Wall(0)).await;
    assert_eq!(told.count(), 0);
    first.look(Wall(61_000)).await;
    assert_eq!(told.count(), 1, "it was away");
    let page = watch::render(&registry);
    for line in [
        "linecard_alerts{alert=\"error-rate\",subject=\"desk finance\"} 1",
        "linecard_system_success_ratio{system=\"desk\",operation=\"finance\"} 0.0",
        "linecard_system_asked{system=\"desk\",operation=\"finance\",outcome=\"broken\"} 10",
        "linecard_system_left_alone{system=\"desk\",operation=\"\"} 0",
    ] {
        assert!(page.contains(line), "{line}: {page}");
    }
    drop(first);
    away.store(false, Ordering::SeqCst);
    let (mut second, _) = watcher(&connectors);
    for n in 7..30 {
        second.look(Wall(n * 10_000)).await;
    }
    let paths = |told: &Ledger| told.paths().into_iter().skip(1).collect::<Vec<_>>();
    assert_eq!(paths(&told).len(), 1, "{:?}", paths(&told));
    assert!(
        paths(&told)[0].contains("alert%3A%20error-rate%3A%20desk%20finance%3A%2010%20of%2010%20questions%20failed")
    );
    ill.store(false, Ordering::SeqCst);
    for _ in 0..60 {
        connectors.run(finance()).await;
    }
    for n in 30..60 {
        second.look(Wall(n * 10_000)).await;
    }
    assert_eq!(paths(&told).len(), 2, "{:?}", paths(&told));
    assert!(paths(&told)[1].contains("over%3A%20error-rate"), "{:?}", paths(&told));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_and_a_webhook_are_told_too_each_by_its_own_way() {
    let (_keep, is_open) = open();
    let (address, _) = system(|_, _: &str| answer(500, "", &json!({})), is_open.clone()).await;
    let (post, mails) = system(|_, _: &str| good(), is_open.clone()).await;
    let mail = format!(
        r#"
connector: mail
schema: 1
base_url: "http://{post}"
operations:
  mail.send:
    idempotent: key
    steps: [{{name: send, method: POST, path: /send, query: {{to: "{{{{ to }}}}", subject: "{{{{ subject }}}}", key: "{{{{ key }}}}"}}, outcome: [{{status: [200], is: ok}}]}}]
    output: {{}}
"#
    );
    let mail = connectors::load("mail.yaml", &mail).unwrap();
    let connectors = Connectors::new(Set::new(vec![load("desk", address), mail]));
    // The receiver is away the first time.
    let away = |n, _: &str| if n == 0 { None } else { answer(204, "", &json!({})) };
    let (receiver, events) = system(away, is_open).await;
    let text =
        format!("webhooks: [{{name: ops, url: 'http://{receiver}/alerts', secret: {{env: A}}}}]\nallow: [127.0.0.1]\n");
    let secret = |_: &_| Ok(linecard::private::Secret::new("a secret of sixteen bytes".to_owned()));
    let hooks = Arc::new(Webhooks::read("webhooks.yaml", &text, &secret).unwrap());
    let text = "to: [{mail: 'ops@example.com, boss@example.com', by: mail}, {webhook: ops}]\nrules:\n  - {id: error-rate, signal: error-rate, above: 20, minimum: 5, for_s: 0, clear_s: 120}\n";
    let rules = Rules::read("alerts.yaml", Some(text), &|_| true).unwrap();
    let folder = tempfile();
    let (metrics, _) = Metrics::new();
    let rules = Arc::new(arc_swap::ArcSwap::from_pointee(rules));
    let mut watcher =
        Watcher::new(connectors.clone(), metrics, Box::new(Vec::new), rules, &folder).telling(Sender::new(hooks));
    for _ in 0..10 {
        connectors.run(finance()).await;
    }
    watcher.look(Wall(0)).await;
    let [path] = &mails.paths()[..] else { panic!("{:?}", mails.paths()) };
    assert!(path.contains("to=ops%40example.com%2C%20boss%40example.com"), "{path}");
    assert!(path.contains("subject=alert%3A%20error-rate%3A%20desk%20finance"), "{path}");
    assert_eq!(events.paths(), ["/alerts"]);
    let kept = std::fs::read_to_string(folder.join("alerts.json")).unwrap();
    assert!(kept.contains("\"webhook\":\"ops\""), "{kept}");
    // What was told is not told again, what was not is.
    watcher.look(Wall(10_000)).await;
    watcher.look(Wall(20_000)).await;
    assert_eq!((mails.count(), events.paths().len()), (1, 2));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn mistakes_of_rules_have_their_places_and_the_ready_ones_have_none() {
    let all = Rules::read("alerts.yaml", None, &|_| false).unwrap();
    assert!(all.rules.len() >= 9 && all.rules.iter().all(|rule| rule.to.is_empty()));
    let text = r#"
to: [chat, {mail: nobody, by: mail}, {mail: ops@example.com, by: chat}, {webhook: ops}]
zone: Mars/Base
rules:
  - {id: a, signal: error-rate}
  - {id: a, signal: error-rate, above: 5, to: [mail], hours: [{from: "9", to: "18:00"}]}
"#;
    let problems = Rules::read("alerts.yaml", Some(text), &|_| false).unwrap_err();
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    for wanted in [
        "\"chat\" offers notify",
        "\"mail\" offers notify",
        "no address",
        "\"chat\" offers mail.send",
        "no webhook \"ops\"",
        "no time zone",
        "does not say what is bad",
        "no id",
        "\"9\"",
    ] {
        assert!(told.iter().any(|t| t.contains(wanted)), "{wanted}: {told:#?}");
    }
    assert!(problems.iter().all(|p| p.line > 0), "{told:#?}");
    assert!(Rules::read("alerts.yaml", Some("rules: [{id: a, signal: moon, above: 1}]"), &|_| true).is_err());
}

fn tempfile() -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("linecard-watch-{}", ulid::Ulid::from_parts(1, rand::random())));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
