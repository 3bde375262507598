//! The console's HTTP at the real daemon: who is let in and may what, trunk mappings checked, tried, applied and taken back, and the document that describes it.

use std::{path::Path, time::Duration};

use linecard::{
    access::{self, Who},
    daemon::demo::{stage::TOKEN_SECRET, story::Story, systems::ERP_KEY},
    private::Secret,
    store::{self, AuditRow, Reader},
};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::{daemon::Desk, privacy::Screen};

const PROGRAM: &str = env!("CARGO_BIN_EXE_linecard");

/// One browser, or one program.
pub struct Browser {
    client: reqwest::Client,
    pub base: String,
    cookie: Option<String>,
}

impl Browser {
    pub fn new(desk: &Desk) -> Self {
        let client = linecard::live::http_client(None, Duration::from_secs(20)).unwrap();
        Self { client, base: format!("http://{}", desk.stage.places.console), cookie: None }
    }

    pub async fn signed_in(desk: &Desk, name: &str) -> Self {
        let mut browser = Self::new(desk);
        let answer = browser.post("/v1/session", json!({"name": name, "password": "linecard-demo"})).await;
        assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
        browser.keep(&answer);
        browser
    }

    pub fn keep(&mut self, answer: &Response) {
        let cookie = answer.headers()["set-cookie"].to_str().unwrap();
        assert!(cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Lax"), "{cookie}");
        self.cookie = Some(cookie.split(';').next().unwrap().to_owned());
    }

    pub fn asked(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        let request = self.client.request(method, url);
        match &self.cookie {
            Some(cookie) => request.header("Cookie", cookie),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> Response {
        self.asked(Method::GET, path).send().await.unwrap()
    }

    pub async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.unwrap()
    }

    pub async fn post(&self, path: &str, body: Value) -> Response {
        self.asked(Method::POST, path).header("X-Linecard", "1").json(&body).send().await.unwrap()
    }

    /// Status and answer.
    pub async fn told(&self, path: &str, body: Value) -> (u16, Value) {
        let answer = self.post(path, body).await;
        (answer.status().as_u16(), answer.json().await.unwrap())
    }
}

async fn desk() -> Desk {
    let mut desk = Desk::set(0.3).await;
    desk.start(None).await;
    desk
}

fn trunks(desk: &Desk) -> String {
    std::fs::read_to_string(desk.stage.settings().join("trunks.yaml")).unwrap()
}

/// The rows as the page has them: each with the row that it was.
fn rows(table: &Value) -> Vec<Value> {
    let rows = table["rows"].as_array().unwrap().iter().enumerate();
    rows.map(|(was, cells)| json!({"was": was, "cells": cells})).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_let_in_and_may_what() {
    let desk = desk().await;
    let nobody = Browser::new(&desk);
    assert_eq!(nobody.json("/v1/session").await["ways"], json!(["password"]));
    for path in ["/v1/overview", "/v1/links", "/v1/trunks", "/v1/audit", "/v1/settings", "/v1/trunks.csv"] {
        assert_eq!(nobody.get(path).await.status(), 401, "{path}");
    }
    assert_eq!(nobody.post("/v1/trunks/apply", json!({})).await.status(), 401);
    let wrong = nobody.post("/v1/session", json!({"name": "admin", "password": "linecard-dem0"})).await;
    assert_eq!(wrong.status(), 401);
    assert!(!wrong.headers().contains_key("set-cookie"));

    let admin = Browser::signed_in(&desk, "admin").await;
    let auditor = Browser::signed_in(&desk, "auditor").await;
    let supervisor = Browser::signed_in(&desk, "supervisor").await;
    assert_eq!(auditor.json("/v1/session").await["rights"], json!(["see", "audit"]));
    for (path, statuses) in
        [("/v1/overview", [200, 200, 200]), ("/v1/audit", [200, 403, 200]), ("/v1/settings", [200, 403, 200])]
    {
        for (browser, status) in [&admin, &supervisor, &auditor].into_iter().zip(statuses) {
            assert_eq!(browser.get(path).await.status(), status, "{path}");
        }
    }
    // What changes something: by right, by the header, from our own page. The right comes first, so that nothing is read for who may not.
    for (path, statuses) in [("/v1/trunks/apply", [400, 403, 403]), ("/v1/undelivered/retry", [400, 400, 403])] {
        for (browser, status) in [&admin, &supervisor, &auditor].into_iter().zip(statuses) {
            assert_eq!(browser.post(path, json!({"keys": []})).await.status(), status, "{path}");
        }
    }
    let plain = admin.asked(Method::POST, "/v1/undelivered/retry").json(&json!({"keys": ["x"]})).send().await.unwrap();
    assert_eq!(plain.status(), 403, "without the header");
    let origin = |origin: String| {
        let request =
            admin.asked(Method::POST, "/v1/undelivered/retry").header("X-Linecard", "1").header("Origin", origin);
        request.json(&json!({"keys": ["0123456789"]})).send()
    };
    assert_eq!(origin("https://evil.example".to_owned()).await.unwrap().status(), 403);
    let ours = origin(admin.base.clone()).await.unwrap();
    assert_eq!(ours.status(), 200);
    assert_eq!(ours.json::<Value>().await.unwrap()["done"], 0);

    let out = admin.asked(Method::DELETE, "/v1/session").header("X-Linecard", "1").send().await.unwrap();
    assert_eq!(out.status(), 200);
    assert_eq!(admin.get("/v1/overview").await.status(), 401);
    let deeds = auditor.json("/v1/audit?who=admin&what=console.*").await;
    let words: Vec<&str> = deeds.as_array().unwrap().iter().map(|deed| deed["what"].as_str().unwrap()).collect();
    assert_eq!(words, ["console.signed-out", "console.signed-in"]);

    let settings = auditor.json("/v1/settings").await;
    let of = |key: &str| settings.as_array().unwrap().iter().find(|one| one["key"] == key).unwrap().clone();
    assert_eq!(
        (of("console.listen")["from"].clone(), of("traces.keep_days")["from"].clone()),
        (json!("linecard.yaml"), json!("default"))
    );
    assert_eq!((of("connectors")["value"].clone(), of("connectors")["from"].clone()), (json!("{}"), json!("default")));
    assert_eq!(of("people.views")["value"], "[]");

    // Whoever is taken out is out with the next reload.
    desk.stage.verb(Path::new(PROGRAM), &["account", "remove", "supervisor"]).unwrap();
    desk.signal(rustix::process::Signal::HUP);
    desk.until("the reload was taken", |d| d.metrics().contains("linecard_reloads_total{kind=\"good\"} 1")).await;
    assert_eq!(supervisor.get("/v1/overview").await.status(), 401);
    assert_eq!(auditor.get("/v1/overview").await.status(), 200);
    // And so is who has another password: here the hash that was the supervisor's.
    let file = desk.stage.settings().join("accounts.yaml");
    let hash = |text: &str, name: &str| {
        text.lines().find(|l| l.contains(name)).unwrap().split("password: ").nth(1).unwrap().to_owned()
    };
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace(&hash(&text, "auditor"), &hash(&text, "admin"))).unwrap();
    desk.signal(rustix::process::Signal::HUP);
    desk.until("it was taken too", |d| d.metrics().contains("linecard_reloads_total{kind=\"good\"} 2")).await;
    assert_eq!(auditor.get("/v1/overview").await.status(), 401);
}

/// A token of the agents' issuer.
fn token(roles: &[&str], tenant: &str, teams: &[&str]) -> String {
    let own = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
    let now = linecard::live::now().wall;
    let who = Who {
        tenant: tenant.into(),
        agent: "report".into(),
        roles: own(roles),
        teams: own(teams),
        device: None,
        expires: now.plus_ms(60_000),
    };
    let token = access::issue(&Secret::new(TOKEN_SECRET.to_owned()), "linecard-demo", "linecard", &who, now);
    format!("Bearer {}", token.expose())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_brings_its_token_and_sees_its_tenant() {
    let desk = desk().await;
    let browser = Browser::new(&desk);
    let asked =
        |path: &'static str, token: String| browser.asked(Method::GET, path).header("Authorization", token).send();
    assert_eq!(asked("/v1/records", token(&["supervisor"], "default", &[])).await.unwrap().status(), 200);
    assert_eq!(asked("/v1/records", token(&[], "default", &[])).await.unwrap().status(), 403);
    assert_eq!(asked("/v1/records", "Bearer x.y.z".to_owned()).await.unwrap().status(), 401);
    let figures = asked("/v1/kpis?by=agent", token(&["supervisor"], "default", &[])).await.unwrap();
    assert_eq!(figures.status(), 200);
    let definitions = figures.json::<Value>().await.unwrap()["definitions"].clone();
    assert!(definitions[0]["text"]["en"].is_string() && definitions[0]["text"]["zh"].is_string(), "{definitions}");
    assert_eq!(asked("/v1/kpis?by=weather", token(&["supervisor"], "default", &[])).await.unwrap().status(), 400);
    let table = asked("/v1/kpis.csv", token(&["auditor"], "default", &[])).await.unwrap();
    assert_eq!(table.headers()["content-type"], "text/csv; charset=utf-8");
    // Bytes, for reading it as text takes the mark away.
    let bytes = table.bytes().await.unwrap();
    assert!(bytes.starts_with("\u{feff}from,to,figure,".as_bytes()), "Excel knows UTF-8 by its mark");
    // The site's own is no tenant's.
    assert_eq!(asked("/v1/links", token(&["admin"], "default", &[])).await.unwrap().status(), 404);
    let other = asked("/v1/records", token(&["admin"], "other", &[])).await.unwrap();
    assert_eq!(other.json::<Value>().await.unwrap()["records"], json!([]));
    let count = async |tenant: &str| {
        let told = asked("/v1/overview", token(&["supervisor"], tenant, &[])).await.unwrap();
        told.json::<Value>().await.unwrap()
    };
    for tenant in ["other", "default"] {
        let overview = count(tenant).await;
        for name in ["links", "systems", "systems_bad", "alerts", "unmapped"] {
            assert_eq!(overview[name], 0, "{tenant} {name}: {overview}");
        }
        assert_eq!(overview["waiting_for"], json!([]));
    }
    // What others do pushes nothing of a tenant's out of its list.
    let path = desk.folder.join("store/linecard.db");
    let reader = Reader::open(&store::Settings { path, ..store::Settings::default() }).unwrap();
    for (tenant, who) in [("other", "mine"), ("default", "theirs"), ("default", "theirs")] {
        let (who, what, about) = (who.to_owned(), "test.done".to_owned(), "-".to_owned());
        let at = linecard::live::now().wall;
        reader.note(AuditRow { tenant: tenant.into(), at, who, what, about, reason: None }).unwrap();
    }
    let deeds = asked("/v1/audit?what=test.*&limit=2", token(&["auditor"], "other", &[])).await.unwrap();
    let deeds = deeds.json::<Value>().await.unwrap();
    let whose: Vec<&str> = deeds.as_array().unwrap().iter().map(|deed| deed["who"].as_str().unwrap()).collect();
    assert_eq!(whose, ["mine"]);
}

/// One agent as the console tells it.
async fn agent(browser: &Browser, id: &str) -> Value {
    browser.json(&format!("/v1/agents?agent={id}")).await["agents"][0].clone()
}

/// The words of what stands between an agent and a pop.
fn obstacles(agent: &Value) -> Vec<&str> {
    agent["obstacles"].as_array().unwrap().iter().map(|one| one["is"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn why_nothing_pops_for_an_agent_is_told_and_queues_as_the_board_has_them() {
    let mut desk = Desk::set(0.3).await;
    let file = desk.stage.settings().join("agents.yaml");
    let mut text = std::fs::read_to_string(&file).unwrap();
    text += "  - id: \"1009\"\n    name: Agent Zhao\n    devices: [\"1001\"]\n    tenant: other\n";
    std::fs::write(&file, text).unwrap();
    desk.start(None).await;
    let admin = Browser::signed_in(&desk, "admin").await;
    let li = agent(&admin, "1001").await;
    assert_eq!(
        (&li["name"], &li["pages"], &li["phones"][0]["device"]),
        (&json!("Agent Li"), &json!(0), &json!("PJSIP/1001"))
    );
    assert_eq!(li["phones"][0]["state"], "not-told", "AMI tells nothing of phones");
    assert!(obstacles(&li).contains(&"no-page"), "{li:#}");
    // Where the file names a phone by its extension alone, the switch means who has the whole name.
    let zhao = agent(&admin, "1009").await;
    let shared = zhao["obstacles"].as_array().unwrap().iter().find(|one| one["is"] == "shared").unwrap();
    assert_eq!(shared, &json!({"is": "shared", "switch": "pbx1", "device": "1001", "agent": "1001"}), "{zhao:#}");
    assert!(!obstacles(&li).contains(&"shared"), "{li:#}");

    // With a page nothing is in the way any more; a call that is up is told, and its number is masked.
    let mut screen = Screen::of(&desk, "1001").await;
    let li = agent(&admin, "1001").await;
    assert_eq!((&li["page_active"], &li["pages"]), (&json!(true), &json!(1)));
    assert!(li["page_since"].is_string() && !obstacles(&li).contains(&"no-page"), "{li:#}");
    desk.pbx.play(Story::Answered, "13911112222", Some(0)).unwrap();
    screen.hear("pop").await;
    let li = agent(&admin, "1001").await;
    assert_eq!((&li["state"], &li["phones"][0]["state"]), (&json!("busy"), &json!("in-use")), "{li:#}");
    assert_eq!(li["call"]["number"]["display"], "139****2222", "{li:#}");
    assert!(!li.to_string().contains("13911112222"));
    drop(screen);

    // Queues: the board's figures, and who is in one. The demo's switch has its three agents in it.
    let queue = admin.json("/v1/queues?queue=support").await[0].clone();
    assert_eq!(queue["members"], 3, "{queue:#}");
    let mut places: Vec<&str> =
        queue["places"].as_array().unwrap().iter().map(|p| p["agent"].as_str().unwrap()).collect();
    places.sort_unstable();
    assert_eq!(places, ["1001", "1002", "1003"]);
    desk.until("the call is written", |desk| desk.records().len() == 1).await;
    let whole = admin.json("/v1/queues").await;
    let support = whole.as_array().unwrap().iter().find(|queue| queue["queue"] == "support").unwrap();
    assert_eq!((&support["offered"], &support["waiting"], &support["places"]), (&json!(1), &json!(0), &json!([])));
    // Whom agents.yaml does not have is told of: nothing ever pops there.
    let mut stranger = Screen::open(desk.stage.places.agents).await;
    let token = desk.stage.verb(Path::new(PROGRAM), &["token", "--agent", "1077"]).unwrap().trim().to_owned();
    stranger.say(json!({"type": "authenticate", "token": token})).await;
    stranger.hear("welcome").await;
    assert_eq!(admin.json("/v1/agents").await["strangers"][0]["agent"], "1077");

    // A link that is away is in everybody's way.
    desk.pbx.restart(Duration::from_secs(3));
    desk.until("readiness names the switch", |d| d.stage.get("/readyz").is_ok_and(|a| a.contains("switch pbx1"))).await;
    let wang = agent(&admin, "1002").await;
    assert!(obstacles(&wang).contains(&"switch-away"), "{wang:#}");
    assert_eq!(wang["phones"][0]["state"], "switch-away");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_token_sees_its_agents_and_its_queues_alone() {
    let mut desk = Desk::set(0.3).await;
    let file = desk.stage.settings().join("agents.yaml");
    let mut text = std::fs::read_to_string(&file).unwrap();
    text += "  - id: \"2009\"\n    devices: [PJSIP/2009]\n    tenant: other\n    teams: [theirs]\n";
    std::fs::write(&file, text).unwrap();
    desk.start(None).await;
    let browser = Browser::new(&desk);
    let asked = |path: &'static str, token: String| {
        let asked = browser.asked(Method::GET, path).header("Authorization", token).send();
        async { asked.await.unwrap().json::<Value>().await.unwrap() }
    };
    let ids = |told: &Value| -> Vec<String> {
        told["agents"].as_array().unwrap().iter().map(|one| one["agent"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&asked("/v1/agents", token(&["admin"], "other", &[])).await), ["2009"]);
    assert_eq!(ids(&asked("/v1/agents?find=wang", token(&["supervisor"], "default", &["support"])).await), ["1002"]);
    assert!(ids(&asked("/v1/agents", token(&["supervisor"], "other", &["nobodys"])).await).is_empty());
    let queues = asked("/v1/queues?queue=support", token(&["supervisor"], "default", &["support"])).await;
    assert_eq!(queues[0]["places"].as_array().unwrap().len(), 3);
    assert_eq!(asked("/v1/queues?queue=support", token(&["admin"], "other", &[])).await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_waits() {
    let desk = desk().await;
    let browser = Browser::new(&desk);
    let mut last = 0;
    for _ in 0..7 {
        last = browser.post("/v1/session", json!({"name": "admin", "password": "wrong wrong"})).await.status().as_u16();
        if last == 429 {
            break;
        }
        assert_eq!(last, 401);
    }
    assert_eq!(last, 429);
    let log = std::fs::read_to_string(desk.stage.log()).unwrap();
    assert!(!log.contains("wrong wrong"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trunk_mapping_is_checked_tried_applied_and_taken_back() {
    let desk = desk().await;
    let admin = Browser::signed_in(&desk, "admin").await;
    let before = trunks(&desk);
    let table = admin.json("/v1/trunks").await;
    let revision = table["revision"].clone();
    assert_eq!(table["problems"], json!([]));
    let mut edited = rows(&table);
    edited[1]["cells"]["title"] = json!("Direct line # 1");
    edited.insert(0, json!({"cells": {"dialled": "95O01", "title": "Bank"}}));

    // The letter O: told at its row and column, and nothing is taken.
    let (status, checked) = admin.told("/v1/trunks/check", json!({"revision": revision, "rows": edited})).await;
    assert_eq!(status, 200, "{checked}");
    assert_eq!(
        (checked["problems"][0]["row"].clone(), checked["problems"][0]["column"].clone()),
        (json!(0), json!("dialled"))
    );
    assert_eq!(checked["problems"][0]["code"], "no-number", "{checked:#}");
    let mut twice = rows(&table);
    twice.push(json!({"cells": {"dialled": "4008001234"}}));
    let (_, told) = admin.told("/v1/trunks/check", json!({"revision": revision, "rows": twice})).await;
    let fault = &told["problems"][0];
    assert_eq!((&fault["code"], &fault["values"]), (&json!("never-wins"), &json!({"row": "1"})), "{told:#}");
    let (status, told) = admin.told("/v1/trunks/apply", json!({"revision": revision, "rows": edited})).await;
    assert_eq!(status, 422);
    assert_eq!(told["problems"][0]["key"], "rows[0].dialled");
    assert_eq!(trunks(&desk), before);

    edited[0]["cells"]["dialled"] = json!("95001");
    let proposed = json!({"revision": revision, "rows": edited});
    let (_, checked) = admin.told("/v1/trunks/check", proposed.clone()).await;
    assert_eq!(
        (checked["problems"].clone(), checked["kept"].clone(), checked["late"].clone()),
        (json!([]), json!(true), json!(false))
    );
    let signs: Vec<&Value> = checked["diff"].as_array().unwrap().iter().filter(|line| line["sign"] != " ").collect();
    assert_eq!(signs.len(), 4, "two new lines, and one for another: {signs:?}");

    // A call by the rows that are not applied yet: they take it, the ERP is asked, and nothing is written.
    let call = json!({"from": "13800138000", "to": "95001"});
    let (status, played) = admin.told("/v1/trunks/try", json!({"call": call, "rows": edited})).await;
    assert_eq!((status, played["row"].clone()), (200, json!(1)), "{played}");
    assert_eq!(played["pop"]["title"], "Bank");
    assert!(played["lines"].as_array().unwrap().len() > 3);
    let (_, played) = admin.told("/v1/trunks/try", json!({"call": call})).await;
    assert_ne!(played["row"], json!(1));
    assert_eq!(admin.told("/v1/trunks/try", json!({"call": {"from": "1", "switch": "pbx9"}})).await.0, 400);
    assert!(desk.records().is_empty());

    let (status, applied) =
        admin.told("/v1/trunks/apply", json!({"revision": revision, "rows": edited, "why": "the bank's line"})).await;
    assert_eq!(status, 200, "{applied}");
    let after = trunks(&desk);
    assert!(after.contains("95001") && after.contains("\"Direct line # 1\""), "{after}");
    for remark in before.lines().filter(|line| line.trim_start().starts_with('#')) {
        assert!(after.contains(remark), "{remark} is gone");
    }
    assert!(desk.metrics().contains("linecard_reloads_total{kind=\"good\"} 1"), "the daemon took it");

    // Who read it before that is told, and so is who comes after somebody with an editor.
    assert_eq!(admin.told("/v1/trunks/apply", proposed.clone()).await.0, 409);
    let current = admin.json("/v1/trunks").await["revision"].clone();
    std::fs::write(desk.stage.settings().join("trunks.yaml"), format!("{after}# by hand\n")).unwrap();
    assert_eq!(admin.told("/v1/trunks/apply", json!({"revision": current, "rows": edited})).await.0, 409);

    let history = admin.json("/v1/trunks/history").await;
    let whose: Vec<&str> = history.as_array().unwrap().iter().map(|v| v["who"].as_str().unwrap()).collect();
    assert_eq!(whose, ["admin", "the file"]);
    assert_eq!(history[0]["why"], "the bank's line");
    let first = history[1]["revision"].as_str().unwrap();
    assert!(admin.json(&format!("/v1/trunks/history/{first}")).await["diff"].as_array().unwrap().len() > 3);
    let now = admin.json("/v1/trunks").await["revision"].clone();
    let (status, told) = admin.told("/v1/trunks/roll-back", json!({"to": first, "revision": now})).await;
    assert_eq!(status, 200, "{told}");
    assert_eq!(trunks(&desk), before, "to the letter");
    // What lay there by hand is in the history too.
    assert_eq!(admin.json("/v1/trunks/history").await.as_array().unwrap().len(), 4);
    let auditor = Browser::signed_in(&desk, "auditor").await;
    let deeds = auditor.json("/v1/audit?what=trunks.*").await;
    let words: Vec<&str> = deeds.as_array().unwrap().iter().map(|deed| deed["what"].as_str().unwrap()).collect();
    assert_eq!(words, ["trunks.rolled-back", "trunks.applied", "trunks.tried", "trunks.tried", "trunks.tried"]);
    // What was changed is told row by row, by the deed's own moment too.
    let applied = &deeds[1];
    let changes = |at: &str| format!("/v1/trunks/changes/{}{at}", applied["about"].as_str().unwrap());
    for at in [String::new(), format!("?at={}", applied["at"].as_str().unwrap())] {
        let told = auditor.json(&changes(&at)).await;
        assert_eq!(told["rows"][0]["was"], Value::Null, "{told:#}");
        assert_eq!(told["rows"].as_array().unwrap().len(), 2, "{told:#}");
        let cell = &told["rows"][1]["cells"][0];
        assert_eq!((&cell["column"], &cell["after"]), (&json!("title"), &json!("Direct line # 1")));
        assert_ne!(cell["before"], cell["after"]);
        assert!(told["diff"].as_array().unwrap().len() > 3);
    }
    let back = auditor.json(&format!("/v1/trunks/changes/{}", deeds[0]["about"].as_str().unwrap())).await;
    assert!(back["rows"].as_array().unwrap().iter().any(|row| row["row"].is_null()), "{back:#}");
    assert_eq!(auditor.get("/v1/trunks/changes/0123").await.status(), 404);
    let supervisor = Browser::signed_in(&desk, "supervisor").await;
    assert_eq!(supervisor.get(&changes("")).await.status(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_probed_over_a_connection_of_its_own() {
    let desk = desk().await;
    let admin = Browser::signed_in(&desk, "admin").await;
    let auditor = Browser::signed_in(&desk, "auditor").await;
    let path = "/v1/links/pbx1/ami/probe";
    assert_eq!(auditor.post(path, json!({})).await.status(), 403);
    let link = || async { admin.json("/v1/links").await[0].clone() };
    let before = link().await;
    assert_eq!(before["asks"], true);
    let (status, told) = admin.told(path, json!({})).await;
    assert_eq!((status, told["answers"].clone()), (200, json!(true)), "{told}");
    let said = told["said"].to_string();
    assert!(said.contains("logged in as") && said.contains("may place calls: yes"), "{said}");
    assert!(told["took_ms"].is_u64());
    let after = link().await;
    assert_eq!((&after["connects"], &after["up"]), (&before["connects"], &json!(true)), "the link did not notice");
    assert_eq!(admin.json("/v1/audit?what=link.probed").await[0]["about"], "pbx1 ami");
    let (status, told) = admin.told("/v1/links/pbx1/hep/probe", json!({})).await;
    assert_eq!((status, told["code"].clone()), (404, json!("no-link")), "{told}");
    assert_eq!(told["values"], json!({"switch": "pbx1", "feed": "hep"}));

    desk.pbx.restart(Duration::from_secs(5));
    desk.until("the switch is away", |d| d.stage.get("/readyz").is_ok_and(|a| a.starts_with("HTTP/1.1 503"))).await;
    let (status, told) = admin.told(path, json!({})).await;
    assert_eq!((status, told["answers"].clone()), (200, json!(false)), "{told}");
    assert!(told["said"][0].as_str().unwrap().starts_with("cannot use AMI: "), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_is_tried_by_what_reads_and_nobody_is_in_the_answer() {
    let desk = desk().await;
    let admin = Browser::signed_in(&desk, "admin").await;
    let systems = admin.json("/v1/connectors").await;
    let erp = systems.as_array().unwrap().iter().find(|system| system["id"] == "erp").unwrap();
    let reads = erp["reads"].as_array().unwrap();
    let by_phone = reads.iter().find(|read| read["operation"] == "customer.by_phone").unwrap();
    assert_eq!(by_phone["needs"], json!(["number"]));
    assert!(!reads.iter().any(|read| read["operation"] == "note.add"), "{reads:?}");

    let tried = json!({"operation": "customer.by_phone", "inputs": {"number": "13800138000"}});
    let (status, told) = admin.told("/v1/connectors/erp/try", tried.clone()).await;
    assert_eq!((status, &told["outcome"]), (200, &json!("ok")), "{told:#}");
    let words: Vec<&str> =
        told["happened"].as_array().unwrap().iter().map(|one| one["happened"].as_str().unwrap()).collect();
    for word in ["number", "asked", "answered", "record"] {
        assert!(words.contains(&word), "{word} in {words:?}");
    }
    let record = told["happened"].as_array().unwrap().iter().find(|one| one["happened"] == "record").unwrap();
    assert!(record["fields"]["name"].as_str().is_some_and(|text| text.ends_with("characters)")), "{record:#}");
    assert!(told["value"].is_array(), "{told:#}");
    let text = told.to_string();
    assert!(!text.contains(ERP_KEY), "a secret");
    for name in ["王", "Wang", "Lanhai"] {
        assert!(!text.contains(name), "{name} in {told:#}");
    }

    // Not what writes, not what is not told, and not by everybody.
    let told = |body: Value| admin.told("/v1/connectors/erp/try", body);
    assert_eq!(told(json!({"operation": "note.add", "inputs": {}})).await.0, 400);
    assert_eq!(told(json!({"operation": "customer.by_phone"})).await.0, 400);
    let more = json!({"operation": "customer.by_phone", "inputs": {"number": "13800138000", "name": "x"}});
    assert_eq!(told(more).await.0, 400);
    assert_eq!(admin.told("/v1/connectors/nobody/try", tried.clone()).await.0, 404);
    let supervisor = Browser::signed_in(&desk, "supervisor").await;
    assert_eq!(supervisor.told("/v1/connectors/erp/try", tried).await.0, 403);
    let deeds = admin.json("/v1/audit?what=connector.tried").await;
    assert_eq!(deeds.as_array().unwrap().len(), 1, "{deeds:#}");
    assert_eq!((&deeds[0]["about"], &deeds[0]["reason"]), (&json!("erp"), &json!("customer.by_phone")));
    assert!(!deeds.to_string().contains("13800138000"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_shadow_answers_differently_is_told_field_by_field() {
    let desk = desk().await;
    let admin = Browser::signed_in(&desk, "admin").await;
    assert_eq!(admin.get("/v1/connectors/erp/comparison").await.status(), 404, "it stands beside nothing");
    let folder = desk.stage.settings().join("connectors");
    let erp = std::fs::read_to_string(folder.join("erp.yaml")).unwrap();
    let name = erp.lines().find(|line| line.trim_start().starts_with("name:")).unwrap();
    let shadow = erp
        .replace("connector: erp\n", "connector: erp-next\nshadow: {of: erp, percent: 100}\n")
        .replace(name, &name.replace("record.name", "\"'Shadowy Ltd'\""));
    std::fs::write(folder.join("erp-next.yaml"), shadow).unwrap();
    desk.signal(rustix::process::Signal::HUP);
    desk.until("the reload was taken", |d| d.metrics().contains("linecard_reloads_total{kind=\"good\"} 1")).await;
    desk.pbx.play(Story::DirectMissed, "13800138000", Some(0)).unwrap();
    let end = std::time::Instant::now() + Duration::from_secs(30);
    let told = loop {
        let told = admin.json("/v1/connectors/erp-next/comparison").await;
        if told["differences"].as_array().is_some_and(|all| !all.is_empty()) {
            break told;
        }
        assert!(std::time::Instant::now() < end, "nothing was compared: {told:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let first = &told["differences"][0];
    assert_eq!((&first["operation"], &first["field"]), (&json!("customer.by_phone"), &json!("[].name")), "{told:#}");
    assert!(told["operations"]["customer.by_phone"]["asked"].as_u64() >= Some(1), "{told:#}");
    assert!(!told.to_string().contains("Shadowy"), "no value is told: {told:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_row_says_how_many_calls_it_took() {
    let desk = desk().await;
    let admin = Browser::signed_in(&desk, "admin").await;
    // After-sales, then a number that only the last row takes.
    desk.pbx.play(Story::Abandoned, "13800138000", None).unwrap();
    desk.until("the call is written", |d| d.records().len() == 1).await;
    desk.pbx.play(Story::DirectMissed, "13800138000", Some(0)).unwrap();
    desk.until("both are written", |d| d.records().len() == 2).await;
    let told = admin.json("/v1/trunks/calls").await;
    let table = admin.json("/v1/trunks").await;
    assert_eq!((&told["revision"], &told["days"]), (&table["revision"], &json!(7)));
    assert_eq!(told["calls"].as_array().unwrap().len(), table["rows"].as_array().unwrap().len());
    let all: u64 = told["calls"].as_array().unwrap().iter().map(|calls| calls.as_u64().unwrap()).sum();
    assert_eq!((all, &told["calls"][0]), (2, &json!(1)), "{told}");
    assert_eq!(desk.records().iter().filter(|one| one["line"] == table["rows"][0]["title"]).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spreadsheet_goes_out_and_comes_in() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let desk = desk().await;
    let admin = Browser::signed_in(&desk, "admin").await;
    let csv = admin.get("/v1/trunks.csv").await.text().await.unwrap();
    let csv = csv.replace("Direct line 1001", "直线");
    let (gbk, ..) = encoding_rs::GBK.encode(csv.trim_start_matches('\u{feff}'));
    let (status, read) = admin.told("/v1/trunks/read-csv", json!({"base64": STANDARD.encode(&gbk)})).await;
    assert_eq!(status, 200, "{read}");
    let title = read["rows"].as_array().unwrap().iter().find(|row| row["was"] == 1).unwrap()["cells"]["title"].clone();
    assert_eq!(title, "直线");
    let (status, told) =
        admin.told("/v1/trunks/read-csv", json!({"base64": STANDARD.encode("dialled\n4.00E+09\n")})).await;
    assert_eq!((status, told["problems"][0]["line"].clone()), (422, json!(2)));
    assert_eq!(admin.told("/v1/trunks/read-csv", json!({"base64": "?"})).await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_file_cannot_be_written_nothing_changes_and_it_is_said() {
    let desk = desk().await;
    let admin = Browser::signed_in(&desk, "admin").await;
    let table = admin.json("/v1/trunks").await;
    // A folder in the place of the file that would be written aside: no account may write over that, not even root.
    std::fs::create_dir(desk.stage.settings().join("trunks.yaml.new")).unwrap();
    std::fs::create_dir(desk.stage.settings().join("trunks.new")).unwrap();
    let before = trunks(&desk);
    let mut edited = rows(&table);
    edited[1]["cells"]["title"] = json!("Another");
    let (status, told) = admin.told("/v1/trunks/apply", json!({"revision": table["revision"], "rows": edited})).await;
    assert_eq!(status, 503, "{told}");
    assert!(told["error"].as_str().unwrap().contains("nothing was changed"), "{told}");
    assert_eq!(trunks(&desk), before);
    let history = admin.json("/v1/trunks/history").await;
    assert_eq!(history.as_array().unwrap().len(), 1, "what never lay there was never a version: {history}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_names_every_request_and_its_references_lead_somewhere() {
    let desk = desk().await;
    let document = Browser::new(&desk).json("/v1/openapi.json").await;
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let text = document.to_string();
    let references = text.split("\"#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap());
    for name in references {
        assert!(schemas.contains_key(name), "{name}");
    }
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap().iter().filter(|(key, _)| *key != "servers") {
            assert!(operation["summary"].as_str().is_some_and(|says| says.len() > 8), "{method} {path}");
            assert!(operation["responses"]["200"].is_object(), "{method} {path}");
        }
    }
    for path in ["/v1/session", "/v1/trunks/apply", "/v1/undelivered/{key}", "/v1/trunks.csv"] {
        assert!(document["paths"][path].is_object(), "{path}");
    }
}
