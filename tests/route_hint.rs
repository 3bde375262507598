//! A dialplan asks who calls: in time whatever the systems do, and only whoever may.

use std::time::Duration;

use linecard::daemon::demo::hosts::Mode;
use serde_json::json;

use crate::daemon::Desk;

const TOKEN: &str = "only for hints, this one";

async fn desk() -> Desk {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut desk = Desk::set(0.1).await;
    std::fs::write(desk.folder.join("secrets/hints"), TOKEN).unwrap();
    let settings = std::fs::read_to_string(desk.stage.settings().join("linecard.yaml")).unwrap();
    let secrets = desk.folder.join("secrets");
    let sources = "  route_hint:\n    priority: level\n    tags: [company]\n    sources:\n      - {name: pbx1, token: {file: secrets/hints}, from: [127.0.0.0/8]}\n      - {name: far, token: {file: secrets/far}, from: [192.0.2.10]}\n";
    std::fs::write(desk.folder.join("secrets/far"), "a token that is good elsewhere").unwrap();
    let (before, after) = settings.split_once("store:").unwrap();
    let sources = sources.replace("secrets", secrets.to_str().unwrap());
    std::fs::write(desk.stage.settings().join("linecard.yaml"), format!("{before}{sources}store:{after}")).unwrap();
    desk.start(None).await;
    desk
}

/// Status and body of a question.
async fn ask(desk: &Desk, token: Option<&str>, query: &str) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.get(format!("http://{}/v1/route-hint?{query}", desk.stage.places.admin));
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_customer_it_is_before_the_phone_rings() {
    let desk = desk().await;
    let (status, body) = ask(&desk, Some(TOKEN), "from=13800138000&to=4008001234&switch=pbx1").await;
    let hint: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 200, "{body}");
    assert_eq!(
        hint,
        json!({"customer": "found", "agent": "1001", "device": "PJSIP/1001", "extension": "1001", "priority": "A", "tags": ["明湖贸易有限公司"]})
    );
    let text = |query: &'static str| ask(&desk, Some(TOKEN), query);
    assert_eq!(text("from=13800138000&field=extension").await, (200, "1001".to_owned()));
    let (_, form) = text("from=13800138000&format=form").await;
    assert!(form.starts_with("customer=found&agent=1001&device=PJSIP%2F1001&extension=1001&priority=A&"), "{form}");
    // A colleague, nobody, and somebody who hides.
    assert_eq!(text("from=1002&field=customer").await.1, "not-asked");
    assert_eq!(text("from=anonymous&field=customer").await.1, "not-asked");
    assert_eq!(text("from=13999999999&field=customer").await.1, "absent");
    // Who asked is written down, and not about which number.
    let rows = || {
        let store = rusqlite::Connection::open(desk.folder.join("store/linecard.db")).unwrap();
        let sql = "SELECT who || ' ' || what || ' ' || key FROM audit ORDER BY rowid";
        let rows: Vec<String> =
            store.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        rows
    };
    desk.until("the audit has all", |_| rows().len() == 6).await;
    assert_eq!(rows()[0], "pbx1 route-hint 1001");
    assert!(rows().iter().all(|row| !row.contains("138") && !row.contains("139")), "{:?}", rows());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_that_hangs_does_not_keep_a_caller_waiting() {
    let desk = desk().await;
    // Slower than the connector's own deadline: whoever waited for that would say that the system is away.
    for host in [&desk.hosts.erp, &desk.hosts.loyalty, &desk.hosts.orders, &desk.hosts.tickets] {
        host.set(Mode::Slow(Duration::from_secs(60)));
    }
    let (status, body) = ask(&desk, Some(TOKEN), "from=13800138000&to=4008001234").await;
    assert_eq!((status, body.as_str()), (200, r#"{"customer":"pending","tags":[]}"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_ask_or_asks_wrongly_is_told_so_and_nothing_else() {
    let desk = desk().await;
    let good = "from=13800138000";
    for (token, query, status) in [
        (None, good, 401),
        (Some("only for hints, this on"), good, 401),
        (Some("a token that is good elsewhere"), good, 403),
        (Some(TOKEN), "", 400),
        (Some(TOKEN), "from=13800138000&switch=other", 400),
        (Some(TOKEN), "from=13800138000&field=secret", 400),
        (Some(TOKEN), "from=13800138000&format=xml", 400),
        (Some(TOKEN), "from=13800138000&tenant=other", 400),
    ] {
        let (found, body) = ask(&desk, token, query).await;
        assert_eq!(found, status, "{query}: {body}");
        assert!(!body.contains("13800138000") && body.contains("error"), "{body}");
    }
}
