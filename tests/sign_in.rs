//! Sign-in at business systems beyond a key and a password: statements that we sign, refresh tokens that change, CSRF tokens.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use linecard::connectors::{self, Ask, Connectors, Outcome, Priority, Set, System, examples};
use serde_json::{Value, json};

use crate::connectors::{Fake, answer, fake, parameters};

/// A folder of its own, gone with the test.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("linecard-sign-in-{}", ulid::Ulid::new()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
    pub fn write(&self, name: &str, text: &str) -> &Self {
        std::fs::write(self.0.join(name), text).unwrap();
        self
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The file with its secret in `folder/secret`.
fn system(file: &str, folder: &Path, url: &str) -> System {
    let text = file.replace("{env: SECRET}", &format!("{{file: {}/secret}}", folder.display()));
    let values = BTreeMap::from([("url".to_owned(), url.to_owned())]);
    connectors::load_with("cloud.yaml", &text, &values).unwrap_or_else(|p| panic!("{p:#?}\n{text}"))
}

fn finance() -> Ask {
    Ask {
        tenant: "default".into(),
        system: "cloud".into(),
        operation: "finance".to_owned(),
        inputs: json!({"customer": {"id": 1}}).as_object().unwrap().clone(),
        deadline: Duration::from_secs(5),
        priority: Priority::Pop,
    }
}

const CLOUD: &str = r#"
connector: cloud
schema: 1
variables:
  url: {text: "http://cloud.example"}
  user: {text: "linecard@example.com"}
  key: {secret: {env: SECRET}}
base_url: "{{ url }}"
auth:
  oauth2:
    token_url: "{{ url }}/token"
    AUTH
operations:
  finance:
    steps: [{name: f, path: /f, outcome: [{status: [200], when: body.balance is defined, is: ok}]}]
    output: {balance: body.balance}
"#;

fn openssl(folder: &Folder, arguments: &str) {
    let done =
        Command::new("openssl").args(arguments.split(' ')).current_dir(&folder.0).output().expect("openssl runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// What the token endpoint was asked for. Each of its tokens is good for one answer.
async fn endpoint() -> (Fake, Arc<Mutex<Vec<BTreeMap<String, String>>>>) {
    let forms = Arc::new(Mutex::new(Vec::new()));
    let (heard, used) = (forms.clone(), Mutex::new(0));
    let fake = fake(move |request| {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let (mut heard, mut used) = (heard.lock().unwrap(), used.lock().unwrap());
        if head.starts_with("POST /token ") {
            heard.push(parameters(body));
            let token = format!(r#"{{"access_token": "t-{}", "expires_in": 3600}}"#, heard.len());
            return answer(200, "application/json", &token);
        }
        let good = head.contains(&format!("authorization: Bearer t-{}\r\n", *used + 1));
        *used += usize::from(good);
        if good { answer(200, "application/json", r#"{"balance": 1}"#) } else { answer(401, "text/plain", "") }
    })
    .await;
    (fake, forms)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_signed_for_a_token_is_verified_by_another_library_and_new_each_time() {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation};
    let folder = Folder::new();
    openssl(&folder, "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.pem");
    openssl(&folder, "rsa -in rsa.pem -traditional -out rsa1.pem");
    openssl(&folder, "pkey -in rsa.pem -pubout -out rsa.pub");
    openssl(&folder, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ec.pem");
    openssl(&folder, "ec -in ec.pem -out ec1.pem");
    openssl(&folder, "pkey -in ec.pem -pubout -out ec.pub");
    folder.write("shared", "s3cret");
    let read = |name: &str| std::fs::read(folder.0.join(name)).unwrap();
    let rsa = || DecodingKey::from_rsa_pem(&read("rsa.pub")).unwrap();
    let ec = || DecodingKey::from_ec_pem(&read("ec.pub")).unwrap();
    let grant = "client_id: app-1\n    grant: {jwt_bearer: {key: key, ALG header: {kid: k-1}, claims: {sub: \"{{ user }}\", scope: [a, b], urn:n: 7}}}";
    let client = "client_id: app-1\n    client_auth: {private_key_jwt: {key: key, ALG header: {kid: k-1}, claims: {aud: \"{{ url }}\"}}}";
    let shared = "client_id: app-1\n    client_auth: client_secret_jwt\n    client_secret: key";
    for (file, algorithm, key, auth) in [
        ("rsa.pem", Algorithm::RS256, rsa(), grant),
        ("rsa1.pem", Algorithm::RS256, rsa(), grant),
        ("ec.pem", Algorithm::ES256, ec(), grant),
        ("ec1.pem", Algorithm::ES256, ec(), client),
        ("rsa.pem", Algorithm::RS256, rsa(), client),
        ("shared", Algorithm::HS256, DecodingKey::from_secret(b"s3cret"), shared),
    ] {
        let (cloud, forms) = endpoint().await;
        let url = format!("http://{}", cloud.address);
        std::fs::copy(folder.0.join(file), folder.0.join("secret")).unwrap();
        let alg = format!("algorithm: {algorithm:?},");
        let auth = auth.replace("ALG", if algorithm == Algorithm::RS256 { "" } else { &alg });
        let system = Connectors::new(Set::new(vec![system(&CLOUD.replace("AUTH", &auth), &folder.0, &url)]));
        for _ in 0..2 {
            assert_eq!(system.run(finance()).await, Outcome::Ok(json!({"balance": 1})), "{file} {auth}");
        }
        let forms = std::mem::take(&mut *forms.lock().unwrap());
        assert_eq!(forms.len(), 2);
        let as_grant = auth.contains("jwt_bearer:");
        let mut ids = Vec::new();
        for form in &forms {
            let name = if as_grant { "assertion" } else { "client_assertion" };
            let mut how = Validation::new(algorithm);
            let audience = if auth.contains("aud:") { url.clone() } else { format!("{url}/token") };
            how.set_audience(&[audience]);
            how.set_issuer(&["app-1"]);
            let said = jsonwebtoken::decode::<Value>(&form[name], &key, &how).unwrap_or_else(|e| panic!("{e} {file}"));
            assert_eq!(said.header.kid.as_deref(), (algorithm != Algorithm::HS256).then_some("k-1"));
            let claims = said.claims;
            assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 180);
            let wanted: Vec<(&str, &str)> = if as_grant {
                assert_eq!((&claims["sub"], &claims["urn:n"]), (&json!("linecard@example.com"), &json!(7)));
                assert_eq!(claims["scope"], json!(["a", "b"]));
                vec![("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")]
            } else {
                assert_eq!(claims["sub"], "app-1");
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                vec![("grant_type", "client_credentials"), ("client_assertion_type", kind)]
            };
            assert!(wanted.iter().all(|(name, value)| form[*name] == *value), "{form:?}");
            assert_eq!(form.len(), wanted.len() + 1, "{form:?}");
            ids.push(claims["jti"].as_str().unwrap().to_owned());
        }
        assert_ne!(ids[0], ids[1]);
    }
}

#[test]
fn mistakes_of_a_signed_statement_have_their_places_and_show_no_key() {
    let folder = Folder::new();
    folder.write("secret", "s3cret");
    for (auth, place) in [
        ("grant: {jwt_bearer: {key: key}}", "grant.jwt_bearer.key"),
        ("grant: {jwt_bearer: {key: user}}", "grant"),
        ("grant: {jwt_bearer: {key: key, algorithm: HS256, claims: {sub: \"{{ nobody }}\"}}}", "claims.sub"),
        ("grant: {jwt_bearer: {key: key, algorithm: HS256, lives_s: 0}}", "lives_s"),
        ("client_auth: {private_key_jwt: {key: key, algorithm: ES256}}\n    client_id: a", "client_auth.key"),
        ("client_auth: client_secret_jwt\n    client_id: a", "client_auth"),
        ("client_auth: {private_key_jwt: {key: key, algorithm: HS256}}", "client_id"),
        ("client_secret: key", "client_id"),
    ] {
        let text = CLOUD.replace("AUTH", auth);
        let text = text.replace("{env: SECRET}", &format!("{{file: {}/secret}}", folder.0.display()));
        let Err(problems) = connectors::load_with("cloud.yaml", &text, &BTreeMap::new()) else { panic!("{auth}") };
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|told| told.contains(place)), "{auth}: {told:?}");
        assert!(!told.concat().contains("s3cret"), "{told:?}");
    }
}

/// In the examples of a file the clock stands still and nothing is signed, so that what is said can be written down.
#[test]
fn an_example_shows_what_is_said() {
    let example = r#"
examples:
  - name: a token first
    operation: finance
    inputs: {customer: {id: 7}}
    logged_in: false
    exchanges:
      - request: {method: POST, path: /token, text: "assertion=eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.CLAIMS.%28secret%29&grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"}
        answer: {status: 200, json: {access_token: t, expires_in: 3600}}
      - request: {path: /f, headers: {Authorization: Bearer t}}
        answer: {status: 200, json: {balance: 1}}
    outcome: ok
    value: {balance: 1}
"#;
    use base64::Engine as _;
    let claims = r#"{"aud":"http://cloud.example/token","exp":1767225780,"iat":1767225600,"iss":"app-1","jti":"00000000000000000000000000000001"}"#;
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims);
    let auth = "client_id: app-1\n    grant: {jwt_bearer: {key: key}}";
    let text = CLOUD.replace("AUTH", auth) + &example.replace("CLAIMS", &claims);
    let system = connectors::load_offline("cloud.yaml", &text).unwrap();
    let results = examples::run(&system);
    assert_eq!(results.len(), 1);
    assert_eq!(results[0].result, Ok(()));
}

/// A token endpoint and a system in one, whose refresh tokens are good once: `r-0` from the settings or a sign-in, then `r-1`, ... A reuse of one revokes all.
#[derive(Default)]
struct Rotating {
    /// How often a refresh token was taken.
    given: usize,
    revoked: bool,
    /// The next access token is taken for one that is over.
    expired: bool,
    /// The next answer is lost after the token was taken.
    lose: bool,
    /// More of the token's answer.
    more: String,
    /// Where the token must lie when the first question comes.
    file: Option<PathBuf>,
    heard: Vec<String>,
    challenge: String,
}

async fn rotating(more: &str) -> (Fake, Arc<Mutex<Rotating>>) {
    let state = Arc::new(Mutex::new(Rotating { more: more.to_owned(), ..Rotating::default() }));
    let theirs = state.clone();
    let fake = fake(move |request| {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let mut this = theirs.lock().unwrap();
        this.heard.push(head.lines().next().unwrap().to_owned());
        if !head.starts_with("POST /token ") {
            let token = format!("authorization: Bearer t-{}\r\n", this.given);
            if let Some(file) = &this.file {
                assert!(
                    std::fs::read_to_string(file).unwrap().contains(&format!("\"r-{}\"", this.given)),
                    "not kept yet"
                );
            }
            let good = head.contains(&token) && !this.revoked && !std::mem::take(&mut this.expired);
            return if good {
                answer(200, "application/json", r#"{"balance": 1}"#)
            } else {
                answer(401, "text/plain", "")
            };
        }
        let form = parameters(body);
        let good = match form["grant_type"].as_str() {
            "refresh_token" => form["refresh_token"] == format!("r-{}", this.given) && !this.revoked,
            "authorization_code" => {
                use base64::Engine as _;
                use sha2::Digest as _;
                let digest = sha2::Sha256::digest(&form["code_verifier"]);
                this.revoked = false;
                form["code"] == "c/1"
                    && base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest) == this.challenge
            }
            other => panic!("{other}"),
        };
        if !good {
            this.revoked = true;
            return answer(
                400,
                "application/json",
                r#"{"error": "invalid_grant", "error_description": "r-0 is secret"}"#,
            );
        }
        this.given += 1;
        if std::mem::take(&mut this.lose) {
            return Vec::new();
        }
        let given = this.given;
        let text = format!(
            r#"{{"access_token": "t-{given}", "expires_in": 3600, "refresh_token": "r-{given}" {}}}"#,
            this.more
        );
        answer(200, "application/json", &text)
    })
    .await;
    (fake, state)
}

const FIRST: &str = "client_id: app-1\n    grant: {refresh_token: {secret: key}}";

fn keeping(auth: &str, folder: &Folder, url: &str) -> Connectors {
    folder.write("secret", "r-0");
    let system = system(&CLOUD.replace("AUTH", auth), &folder.0, url);
    Connectors::keeping(Set::new(vec![system]), folder.0.join("tokens"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_that_changes_is_kept_before_it_is_needed_and_outlives_the_process() {
    use std::os::unix::fs::PermissionsExt as _;
    let (folder, (fake, state)) = (Folder::new(), rotating("").await);
    let url = format!("http://{}", fake.address);
    let file = folder.0.join("tokens/cloud.token");
    state.lock().unwrap().file = Some(file.clone());
    // As if it had been killed at each of these moments: nothing but the disk goes on.
    for process in 1..4 {
        let cloud = keeping(FIRST, &folder, &url);
        let all = futures_util::future::join_all((0..8).map(|_| cloud.run(finance()))).await;
        assert!(all.iter().all(|one| *one == Outcome::Ok(json!({"balance": 1}))), "{all:?}");
        assert_eq!(state.lock().unwrap().given, process, "eight questions, one refresh");
    }
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(folder.0.join("tokens")).unwrap().permissions().mode() & 0o777, 0o700);
    // Another client's file does not send it anywhere.
    let other = keeping(&FIRST.replace("app-1", "app-2"), &folder, &url);
    assert!(matches!(other.run(finance()).await, Outcome::Denied { .. }));
    assert_eq!(state.lock().unwrap().given, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_lost_asks_for_a_new_sign_in_and_says_so() {
    let (folder, (fake, state)) = (Folder::new(), rotating("").await);
    let cloud = keeping(FIRST, &folder, &format!("http://{}", fake.address));
    state.lock().unwrap().lose = true;
    assert!(matches!(cloud.run(finance()).await, Outcome::Busy { .. }));
    let Outcome::Denied { reason } = cloud.run(finance()).await else { panic!("the old token was refused") };
    assert!(reason.contains("somebody must sign in again") && !reason.contains("r-0"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_takes_no_token_costs_no_session() {
    let (folder, (fake, state)) = (Folder::new(), rotating("").await);
    let cloud = keeping(FIRST, &folder, &format!("http://{}", fake.address));
    // A folder where the file should be written aside.
    std::fs::create_dir_all(folder.0.join("tokens/cloud.new")).unwrap();
    assert_eq!(cloud.run(finance()).await, Outcome::Ok(json!({"balance": 1})));
    assert!(!folder.0.join("tokens/cloud.token").exists());
    // The token is over; by now the disk has room.
    std::fs::remove_dir(folder.0.join("tokens/cloud.new")).unwrap();
    state.lock().unwrap().expired = true;
    assert_eq!(cloud.run(finance()).await, Outcome::Ok(json!({"balance": 1})));
    assert!(std::fs::read_to_string(folder.0.join("tokens/cloud.token")).unwrap().contains("\"r-2\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_leads_to_its_instance_and_nowhere_else() {
    let instance = fake(|request| {
        assert!(
            request.starts_with("GET /data/f HTTP/1.1") && request.contains("authorization: Bearer t-1\r\n"),
            "{request}"
        );
        answer(200, "application/json", r#"{"balance": 2}"#)
    })
    .await;
    for allowed in [true, false] {
        let folder = Folder::new();
        let (fake, state) = rotating(&format!(r#", "instance_url": "http://{}""#, instance.address)).await;
        let host = if allowed { instance.address.to_string() } else { "api.example.com".to_owned() };
        let auth = format!("{FIRST}\n    base: {{value: \"body.instance_url ~ '/data'\", hosts: [\"{host}\"]}}");
        let cloud = keeping(&auth, &folder, &format!("http://{}", fake.address));
        match cloud.run(finance()).await {
            Outcome::Ok(value) if allowed => assert_eq!(value, json!({"balance": 2})),
            Outcome::Broken { reason } if !allowed => assert!(reason.contains("does not allow"), "{reason}"),
            other => panic!("{other:?}"),
        }
        // The old refresh token is used up either way.
        assert!(std::fs::read_to_string(folder.0.join("tokens/cloud.token")).unwrap().contains("\"r-1\""));
        assert_eq!(state.lock().unwrap().heard.len(), 1);
    }
}

/// A settings folder with this connector, its store in `data`.
pub fn site(folder: &Folder, connector: &str) {
    for name in ["connectors", "data"] {
        std::fs::create_dir_all(folder.0.join(name)).unwrap();
    }
    let store = folder.0.join("data/x.db");
    let tokens = "agents: {tokens: {issuer: desk, keys: {hs256: {env: PATH}}}}";
    folder.write("connectors/cloud.yaml", connector);
    folder.write("linecard.yaml", &format!("store: {{path: {}}}\n{tokens}\n", store.display()));
}

type Lines = std::iter::MapWhile<
    std::io::Lines<std::io::BufReader<std::process::ChildStdout>>,
    fn(std::io::Result<String>) -> Option<String>,
>;

/// The verb under way: what it prints from here on, and what its address asks for.
pub fn sign_in(folder: &Folder) -> (std::process::Child, Lines, BTreeMap<String, String>) {
    use std::{
        io::{BufRead as _, BufReader},
        process::Stdio,
    };
    let mut verb = Command::new(env!("CARGO_BIN_EXE_linecard"))
        .args(["connector", "sign-in", "cloud", "--config"])
        .arg(&folder.0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let ok: fn(std::io::Result<String>) -> Option<String> = Result::ok;
    let mut lines = BufReader::new(verb.stdout.take().unwrap()).lines().map_while(ok);
    let address = lines.find(|line| line.starts_with("http://")).expect("an address is printed");
    let asked = parameters(address.split_once('?').unwrap().1);
    (verb, lines, asked)
}

/// The verb, with us as the administrator's browser and terminal.
#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_signs_in_by_a_browser_or_by_pasting() {
    use std::io::Write as _;
    for paste in [false, true] {
        let (folder, (fake, state)) = (Folder::new(), rotating("").await);
        let url = format!("http://{}", fake.address);
        let auth = format!(
            "client_id: app-1\n    scope: all offline_access\n    grant: {{authorization_code: {{authorize_url: \"{url}/authorize\", more: {{prompt: consent}}}}}}"
        );
        let text = CLOUD
            .replace("AUTH", &auth)
            .replace("http://cloud.example", &url)
            .replace("  key: {secret: {env: SECRET}}\n", "");
        site(&folder, &text);
        let daemon = Connectors::keeping(
            Set::new(vec![connectors::load("cloud.yaml", &text).unwrap()]),
            folder.0.join("data/tokens"),
        );
        let Outcome::Denied { reason } = daemon.run(finance()).await else { panic!("nobody signed in") };
        assert!(reason.contains("linecard connector sign-in cloud"), "{reason}");

        let (mut verb, mut lines, asked) = sign_in(&folder);
        assert_eq!(
            (asked["client_id"].as_str(), asked["scope"].as_str(), asked["prompt"].as_str()),
            ("app-1", "all offline_access", "consent")
        );
        assert_eq!((asked["response_type"].as_str(), asked["code_challenge_method"].as_str()), ("code", "S256"));
        state.lock().unwrap().challenge.clone_from(&asked["code_challenge"]);
        let back = format!("{}?code=c%2F1&state={}", asked["redirect_uri"], asked["state"]);
        let mut input = verb.stdin.take().unwrap();
        if paste {
            input.write_all(format!("{back}\n").as_bytes()).unwrap();
        } else {
            let browser = linecard::live::http_client(None, Duration::from_secs(5)).unwrap();
            let get = |address: String| async { browser.get(address).send().await.unwrap().status().as_u16() };
            assert_eq!(get(format!("{}favicon.ico", asked["redirect_uri"])).await, 404);
            assert_eq!(get(back.replace("state=", "state=x")).await, 404);
            assert_eq!(get(back).await, 200);
        }
        let said: Vec<String> = lines.by_ref().collect();
        assert!(verb.wait().unwrap().success(), "{said:?}");
        assert!(said.last().unwrap().contains("signed in") && !said.concat().contains("r-1"), "{said:?}");
        // What was refused is forgotten at once, without a reload.
        assert_eq!(daemon.run(finance()).await, Outcome::Ok(json!({"balance": 1})));
        assert_eq!(state.lock().unwrap().given, 2, "one by the code, one by the refresh token");
    }
}

/// As SAP Gateway does it: user and password with every request, and for writes a token that is fetched with its cookies.
const GATEWAY: &str = r#"
connector: cloud
schema: 1
variables:
  url: {text: "http://cloud.example"}
  key: {secret: {env: SECRET}}
base_url: "{{ url }}"
AUTH
csrf:
  fetch:
    path: /svc/
    headers: {X-CSRF-Token: Fetch}
    outcome: [{status: [200], when: "headers['x-csrf-token'] is defined", is: ok}]
  cookies: ["SAP_SESSIONID_*", sap-usercontext]
  token: {value: "headers['x-csrf-token']", header: X-CSRF-Token}
  refused: [{status: [403], when: "headers['x-csrf-token'] | lower == 'required'"}]
operations:
  finance:
    steps: [{name: f, path: /f, outcome: [{status: [200], when: body.balance is defined, is: ok}]}]
    output: {balance: body.balance}
  ticket.create:
    idempotent: none
    steps:
      - {name: create, method: POST, path: /svc/tickets, body: {json: {title: "{{ title }}"}}, outcome: [{status: [201], when: body.id is defined, is: ok}]}
    output: {id: body.id | string}
"#;
const BASIC: &str = "auth: {basic: {user: li, secret: key}}";

#[derive(Default)]
struct Gateway {
    /// Which token is good; fetching gives it.
    token: u32,
    /// No token is ever good.
    never: bool,
    tickets: usize,
    heard: Vec<String>,
    /// Bearer tokens given, and how many fetches one is good for.
    bearer: u32,
    stale: bool,
}

async fn gateway() -> (Fake, Arc<Mutex<Gateway>>) {
    let state = Arc::new(Mutex::new(Gateway { token: 1, ..Gateway::default() }));
    let theirs = state.clone();
    let fake = fake(move |request| {
        let head = request.split_once("\r\n\r\n").unwrap().0.to_lowercase();
        let mut this = theirs.lock().unwrap();
        let line = head.lines().next().unwrap().trim_end_matches(" http/1.1").to_owned();
        this.heard.push(line.clone());
        if line == "post /token" {
            (this.bearer, this.stale) = (this.bearer + 1, false);
            let token = format!(r#"{{"access_token": "b-{}", "expires_in": 3600}}"#, this.bearer);
            return answer(200, "application/json", &token);
        }
        // "li:pass".
        let basic = head.contains("authorization: basic bgk6cgfzcw==\r\n");
        if !basic && (this.stale || !head.contains(&format!("authorization: bearer b-{}\r\n", this.bearer))) {
            return answer(401, "text/plain", "");
        }
        let token = this.token;
        match line.as_str() {
            "get /f" => answer(200, "application/json", r#"{"balance": 1}"#),
            "get /svc/" => {
                assert!(head.contains("x-csrf-token: fetch\r\n"), "{head}");
                let cookies = format!("Set-Cookie: SAP_SESSIONID_S4H_100=s{token}; path=/\r\nSet-Cookie: sap-usercontext=sap-client=100; path=/\r\nSet-Cookie: other=1");
                let text = format!("HTTP/1.1 200 OK\r\nX-CSRF-Token: T{token}\r\n{cookies}\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}");
                text.into_bytes()
            }
            "post /svc/tickets" => {
                let cookie = format!("cookie: sap_sessionid_s4h_100=s{token}; sap-usercontext=sap-client=100\r\n");
                let good = head.contains(&format!("x-csrf-token: t{token}\r\n")) && head.contains(&cookie);
                if !good || this.never {
                    return b"HTTP/1.1 403 Forbidden\r\nX-CSRF-Token: Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec();
                }
                this.tickets += 1;
                answer(201, "application/json", &format!(r#"{{"id": {}}}"#, this.tickets))
            }
            other => panic!("{other}"),
        }
    })
    .await;
    (fake, state)
}

fn ticket() -> Ask {
    let inputs = json!({"call": "c", "key": "k", "title": "t", "text": "x"});
    Ask { operation: "ticket.create".to_owned(), inputs: inputs.as_object().unwrap().clone(), ..finance() }
}

fn heard(state: &Mutex<Gateway>) -> Vec<String> {
    std::mem::take(&mut state.lock().unwrap().heard)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_csrf_token_is_fetched_for_writes_and_anew_when_it_is_refused() {
    let (folder, (fake, state)) = (Folder::new(), gateway().await);
    folder.write("secret", "pass");
    let text = GATEWAY.replace("AUTH", BASIC);
    let system = Connectors::new(Set::new(vec![system(&text, &folder.0, &format!("http://{}", fake.address))]));
    let (fetch, post) = ("get /svc/", "post /svc/tickets");
    assert_eq!(system.run(finance()).await, Outcome::Ok(json!({"balance": 1})));
    assert_eq!(heard(&state), ["get /f"]);
    for id in ["1", "2"] {
        assert_eq!(system.run(ticket()).await, Outcome::Ok(json!({"id": id})));
    }
    assert_eq!(heard(&state), [fetch, post, post]);
    // Over: fetched anew, once, and the ticket is made once.
    state.lock().unwrap().token = 2;
    let both = futures_util::future::join(system.run(ticket()), system.run(ticket())).await;
    assert!(matches!(both, (Outcome::Ok(_), Outcome::Ok(_))), "{both:?}");
    assert_eq!(state.lock().unwrap().tickets, 4);
    // Whether the second of them was refused too, or found the new token there, is a matter of moments.
    let asked = heard(&state);
    assert_eq!(asked.iter().filter(|line| *line == fetch).count(), 1, "{asked:?}");
    // One that is refused whatever is fetched ends after one more try.
    state.lock().unwrap().never = true;
    assert!(matches!(system.run(ticket()).await, Outcome::AuthExpired { .. }));
    assert_eq!(heard(&state), [post, fetch, post]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_csrf_token_is_fetched_by_who_is_signed_in() {
    let (folder, (fake, state)) = (Folder::new(), gateway().await);
    folder.write("secret", "x");
    let auth = "auth: {oauth2: {token_url: \"{{ url }}/token\", client_id: a, client_secret: key}}";
    let text = GATEWAY.replace("AUTH", auth);
    let system = Connectors::new(Set::new(vec![system(&text, &folder.0, &format!("http://{}", fake.address))]));
    let (token, fetch, post) = ("post /token", "get /svc/", "post /svc/tickets");
    assert_eq!(system.run(ticket()).await, Outcome::Ok(json!({"id": "1"})));
    assert_eq!(heard(&state), [token, fetch, post]);
    // Both are over: the sign-in shows first, then the token.
    (state.lock().unwrap().stale, state.lock().unwrap().token) = (true, 2);
    assert_eq!(system.run(ticket()).await, Outcome::Ok(json!({"id": "2"})));
    assert_eq!(heard(&state), [post, token, post, fetch, post]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_not_tried_by_fetching_tokens() {
    let (folder, (fake, state)) = (Folder::new(), gateway().await);
    folder.write("secret", "wrong");
    let text = GATEWAY.replace("AUTH", BASIC);
    let system = Connectors::new(Set::new(vec![system(&text, &folder.0, &format!("http://{}", fake.address))]));
    for _ in 0..3 {
        assert!(matches!(system.run(ticket()).await, Outcome::Denied { .. }));
    }
    assert_eq!(heard(&state), ["get /svc/"]);
}

#[test]
fn an_example_fetches_its_csrf_token() {
    let example = r#"
examples:
  - name: a token first
    operation: ticket.create
    inputs: {call: c, key: k, title: t, text: x}
    logged_in: false
    exchanges:
      - request: {path: /svc/, headers: {X-CSRF-Token: Fetch}}
        answer: {status: 200, headers: {X-CSRF-Token: T1}, cookies: {SAP_SESSIONID_A: s, sap-usercontext: u}, json: {}}
      - request: {method: POST, path: /svc/tickets, headers: {X-CSRF-Token: T1, Cookie: SAP_SESSIONID_A=s; sap-usercontext=u}, json: {title: t}}
        answer: {status: 201, json: {id: 5}}
    outcome: ok
    value: {id: "5"}
  - name: an open one, which is over
    operation: ticket.create
    inputs: {call: c, key: k, title: t, text: x}
    exchanges:
      - request: {method: POST, path: /svc/tickets, headers: {X-CSRF-Token: (secret)}}
        answer: {status: 403, headers: {X-CSRF-Token: Required}}
      - request: {path: /svc/}
        answer: {status: 200, json: {}}
    outcome: broken
"#;
    let system = connectors::load_offline("cloud.yaml", &(GATEWAY.replace("AUTH", BASIC) + example)).unwrap();
    let results = examples::run(&system);
    assert_eq!(results.len(), 2);
    for result in results {
        assert_eq!(result.result, Ok(()), "{}", result.name);
    }
    // A token in a page: between what stands before and after it.
    let page = GATEWAY.replace("AUTH", BASIC).replace(
        "outcome: [{status: [200], when: \"headers['x-csrf-token'] is defined\", is: ok}]",
        "decode: text\n    outcome: [{status: [200], is: ok}]",
    );
    let page = page.replace(
        "value: \"headers['x-csrf-token']\"",
        "value: \"body | between('csrf-token\\\" content=\\\"', '\\\"')\"",
    );
    let example = "\nexamples:\n  - name: page\n    operation: ticket.create\n    inputs: {call: c, key: k, title: t, text: x}\n    logged_in: false\n    exchanges:\n      - request: {path: /svc/}\n        answer: {status: 200, cookies: {SAP_SESSIONID_A: s, sap-usercontext: u}, text: '<meta name=\"csrf-token\" content=\"T+9\" />'}\n      - request: {method: POST, path: /svc/tickets, headers: {X-CSRF-Token: T+9}}\n        answer: {status: 201, json: {id: 5}}\n    outcome: ok\n    value: {id: \"5\"}\n";
    let system = connectors::load_offline("cloud.yaml", &(page + example)).unwrap_or_else(|p| panic!("{p:#?}"));
    assert_eq!(examples::run(&system)[0].result, Ok(()));
}
