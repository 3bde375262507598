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
