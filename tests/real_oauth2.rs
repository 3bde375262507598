//! Sign-in on a real OAuth 2.0 server (Glewlwyd 2.7 of Debian 12). Needs what `tests/servers/oauth2/setup.sh` writes into `oauth2.env`; it
//! fails, and does not skip, where that is absent.

use std::{
    collections::BTreeMap,
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use linecard::connectors::{self, Ask, Connectors, Outcome, Priority, Set};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::sign_in::{Folder, sign_in, site};

/// The system that is asked is the server itself: it tells whoever has a token what another token is.
const FILE: &str = r#"
connector: cloud
schema: 1
variables:
  url: {text: "http://cloud.example"}
  server: {text: "http://cloud.example"}
  key: {secret: {file: FOLDER/secret}}
base_url: "{{ url }}/api/oidc"
auth:
  oauth2:
    token_url: "{{ url }}/api/oidc/token"
    scope: crm
    AUTH
operations:
  check:
    steps:
      - name: what is this token
        method: POST
        path: /introspect
        body: {form: {token: nothing}}
        outcome: [{status: [200], when: body.active is defined, is: ok}]
    output: {active: body.active}
"#;

pub fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: source oauth2.env, or use tests/run"))
}

/// One test at a time: Glewlwyd 2.7 with SQLite loses an answer when it signs several people in at once (7 of 25 runs of the two files side by side: an empty 200, "Error
/// join_json_string_array" in its log; 0 of 40 one after the other).
pub async fn alone() -> tokio::sync::MutexGuard<'static, ()> {
    static GLEWLWYD: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    GLEWLWYD.lock().await
}

fn text(folder: &Folder, auth: &str, url: &str) -> String {
    let auth = auth.replace("USER", &env("OAUTH2_USER"));
    let text = FILE.replace("FOLDER", &folder.0.display().to_string()).replace("AUTH", &auth);
    text.replacen("http://cloud.example", url, 1).replacen("http://cloud.example", &env("OAUTH2_URL"), 1)
}

fn system(folder: &Folder, auth: &str, secret: &str, url: &str) -> Connectors {
    folder.write("secret", secret);
    let text = text(folder, auth, url);
    let system = connectors::load_with("cloud.yaml", &text, &BTreeMap::new()).unwrap_or_else(|p| panic!("{p:#?}"));
    Connectors::keeping(Set::new(vec![system]), folder.0.join("data/tokens"))
}

async fn check(system: &Connectors) -> Outcome {
    let ask = Ask {
        tenant: "default".into(),
        system: "cloud".into(),
        operation: "check".to_owned(),
        inputs: serde_json::Map::new(),
        deadline: Duration::from_secs(5),
        priority: Priority::Pop,
    };
    system.run(ask).await
}

fn good() -> Outcome {
    Outcome::Ok(json!({"active": false}))
}

/// Between us and the server: counts the token requests.
async fn counted() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (url, count) = (format!("http://{}", listener.local_addr().unwrap()), Arc::new(AtomicUsize::new(0)));
    let seen = count.clone();
    tokio::spawn(async move {
        while let Ok((ours, _)) = listener.accept().await {
            let theirs = TcpStream::connect(env("OAUTH2_URL").strip_prefix("http://").unwrap()).await.unwrap();
            let (mut from, mut to) = ours.into_split();
            let (mut back, mut out) = theirs.into_split();
            let seen = seen.clone();
            tokio::spawn(async move { tokio::io::copy(&mut back, &mut to).await });
            tokio::spawn(async move {
                let mut part = vec![0_u8; 65_536];
                while let Ok(n @ 1..) = from.read(&mut part).await {
                    let asked = String::from_utf8_lossy(&part[..n]).matches("POST /api/oidc/token ").count();
                    seen.fetch_add(asked, Ordering::SeqCst);
                    if out.write_all(&part[..n]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    (url, count)
}

/// No redirect is followed: where a browser is sent is what we want to know.
fn client() -> reqwest::Client {
    linecard::live::http_client(None, Duration::from_secs(5)).unwrap()
}

async fn form(path: &str, who: Option<&str>, pairs: &[(&str, &str)]) -> (u16, Value) {
    let encoded: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{name}={}", linecard::words::percent(value))).collect();
    let mut request = client()
        .post(format!("{}/api/oidc/{path}", env("OAUTH2_URL")))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(encoded.join("&"));
    if let Some(client) = who {
        request = request.basic_auth(client, Some(env("OAUTH2_SECRET")));
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_a_client_proves_itself_is_taken_and_many_questions_need_one_token() {
    let _alone = alone().await;
    let (secret, key) = (env("OAUTH2_SECRET"), std::fs::read_to_string(env("OAUTH2_KEY")).unwrap());
    let shared = "client_id: shared\n    client_secret: key\n    client_auth: client_secret_jwt";
    for (auth, secret) in [
        ("client_id: basic\n    client_secret: key\n    client_auth: basic_plain", &secret),
        ("client_id: body\n    client_secret: key\n    client_auth: body", &secret),
        (shared, &secret),
        (
            "client_id: signing\n    client_auth: {private_key_jwt: {key: key, claims: {aud: \"{{ server }}/api/oidc/token\"}}}",
            &key,
        ),
        (
            "client_id: basic\n    client_secret: key\n    client_auth: basic_plain\n    grant: {password: {user: USER, secret: pw}}",
            &secret,
        ),
    ] {
        let (folder, (url, tokens)) = (Folder::new(), counted().await);
        folder.write("pw", &env("OAUTH2_PASSWORD"));
        let password = format!("  pw: {{secret: {{file: {}/pw}}}}\nbase_url:", folder.0.display());
        folder.write("secret", secret);
        // What is signed names the server; the counter between us is not it.
        let url = if auth == shared { env("OAUTH2_URL") } else { url };
        let text = text(&folder, auth, &url).replacen("base_url:", &password, 1);
        let loaded = connectors::load_with("cloud.yaml", &text, &BTreeMap::new()).unwrap_or_else(|p| panic!("{p:#?}"));
        let system = Connectors::new(Set::new(vec![loaded]));
        let all = futures_util::future::join_all((0..6).map(|_| check(&system))).await;
        assert!(all.iter().all(|one| *one == good()), "{auth}: {all:?}");
        if auth != shared {
            assert_eq!(tokens.load(Ordering::SeqCst), 1, "{auth}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_told_and_neither_repeated_nor_shown() {
    let _alone = alone().await;
    let (folder, (url, tokens)) = (Folder::new(), counted().await);
    let auth = "client_id: basic\n    client_secret: key\n    client_auth: basic_plain";
    let system = system(&folder, auth, &env("OAUTH2_WRONG"), &url);
    for _ in 0..3 {
        let Outcome::Denied { reason } = check(&system).await else { panic!("it must be refused") };
        assert!(!reason.contains(&env("OAUTH2_WRONG")) && reason.contains("refused"), "{reason}");
    }
    assert_eq!(tokens.load(Ordering::SeqCst), 1);
}

/// This server gives each refresh token for one use.
#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_of_one_use_lasts_through_restarts_and_a_used_or_revoked_one_is_told() {
    let _alone = alone().await;
    let user = [("username", env("OAUTH2_USER")), ("password", env("OAUTH2_PASSWORD"))];
    let user: Vec<(&str, &str)> = user.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let begin = [("grant_type", "password"), ("scope", "crm")];
    let (status, given) = form("token", Some("basic"), &[&begin[..], &user].concat()).await;
    assert_eq!(status, 200, "{given}");
    let first = given["refresh_token"].as_str().unwrap().to_owned();

    let folder = Folder::new();
    let auth = "client_id: basic\n    client_secret: cs\n    client_auth: basic_plain\n    grant: {refresh_token: {secret: key}}";
    folder.write("cs", &env("OAUTH2_SECRET"));
    let secret = format!("  cs: {{secret: {{file: {}/cs}}}}\nbase_url:", folder.0.display());
    let start = |folder: &Folder| {
        folder.write("secret", &first);
        let text = text(folder, auth, &env("OAUTH2_URL")).replacen("base_url:", &secret, 1);
        let system = connectors::load_with("cloud.yaml", &text, &BTreeMap::new()).unwrap_or_else(|p| panic!("{p:#?}"));
        Connectors::keeping(Set::new(vec![system]), folder.0.join("data/tokens"))
    };
    std::fs::create_dir_all(folder.0.join("data")).unwrap();
    let kept = || -> Value {
        serde_json::from_str(&std::fs::read_to_string(folder.0.join("data/tokens/cloud.token")).unwrap()).unwrap()
    };
    let mut tokens = vec![first.clone()];
    for _ in 0..3 {
        assert_eq!(check(&start(&folder)).await, good());
        tokens.push(kept()["refresh_token"].as_str().unwrap().to_owned());
    }
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), 4, "each use gave another one");

    let last = kept()["refresh_token"].as_str().unwrap().to_owned();
    let (status, _) = form("revoke", Some("basic"), &[("token", &last), ("token_type_hint", "refresh_token")]).await;
    assert_eq!(status, 200);
    let Outcome::Denied { reason } = check(&start(&folder)).await else { panic!("it was revoked") };
    assert!(reason.contains("somebody must sign in again") && !reason.contains(&last), "{reason}");
    // A daemon that lost its disk begins with the first again, which was used.
    std::fs::remove_file(folder.0.join("data/tokens/cloud.token")).unwrap();
    assert!(matches!(check(&start(&folder)).await, Outcome::Denied { .. }));
}

/// Authorization code with PKCE: the verb, and we are the browser of the user.
#[tokio::test(flavor = "multi_thread")]
async fn an_administrators_sign_in_gives_a_token_that_works() {
    let _alone = alone().await;
    let (folder, server) = (Folder::new(), env("OAUTH2_URL"));
    folder.write("secret", &env("OAUTH2_SECRET"));
    let auth = format!(
        "client_id: body\n    client_secret: key\n    client_auth: body\n    grant: {{authorization_code: {{authorize_url: \"{server}/api/oidc/auth\", redirect: \"http://127.0.0.1:18765/back\"}}}}"
    );
    site(&folder, &text(&folder, &auth, &server));
    let (mut verb, mut lines, asked) = sign_in(&folder);

    let browser = client();
    let account = json!({"username": env("OAUTH2_USER"), "password": env("OAUTH2_PASSWORD")});
    let answer = browser.post(format!("{server}/api/auth/")).json(&account).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let grant = browser.put(format!("{server}/api/auth/grant/body")).header("Cookie", &cookie);
    assert_eq!(grant.json(&json!({"scope": "crm"})).send().await.unwrap().status(), 200);
    let query: Vec<String> =
        asked.iter().map(|(name, value)| format!("{name}={}", linecard::words::percent(value))).collect();
    let address = format!("{server}/api/oidc/auth?{}&g_continue", query.join("&"));
    let answer = browser.get(address).header("Cookie", &cookie).send().await.unwrap();
    let back = answer.headers()["location"].to_str().unwrap().to_owned();
    assert!(back.starts_with("http://127.0.0.1:18765/back?"), "{back}");
    let mut input = verb.stdin.take().unwrap();
    input.write_all(format!("{back}\n").as_bytes()).unwrap();
    let said: Vec<String> = lines.by_ref().collect();
    assert!(verb.wait().unwrap().success(), "{said:?}");

    let system = connectors::load("cloud.yaml", &text(&folder, &auth, &server)).unwrap_or_else(|p| panic!("{p:#?}"));
    let system = Connectors::keeping(Set::new(vec![system]), folder.0.join("data/tokens"));
    assert_eq!(check(&system).await, good());
}
