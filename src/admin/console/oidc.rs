//! Sign-in at an identity provider: authorization code with PKCE and a nonce (OpenID Connect Core 1.0 section 3.1, RFC 7636, RFC 9700). The provider's document and
//! keys are asked for when somebody signs in, so a daemon starts also while the provider is away, and its new keys need no restart.
//!
//! Written here over the house's own token checks: the kept library (openidconnect 4.1) brings a second family of curves and clocks for what is two requests.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    extract::{ConnectInfo, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    Console,
    settings::{ClientAuth, Oidc, Roles},
    sign_in::random,
};
use crate::{
    access::{Keys, Role},
    connectors::oauth2::{basic, form_urlencoded},
    live::{http_client, now},
    private::Secret,
    words::{
        Wall, percent,
        refusal::{Refusal, code},
    },
};

/// How long somebody may take at the provider.
const PATIENCE_S: u64 = 600;
/// Of one answer of the provider.
const LARGEST: usize = 512 * 1024;
const TIMEOUT: Duration = Duration::from_secs(10);
/// Clocks of provider and daemon may differ so much.
const LEEWAY_S: i64 = 60;

pub(super) struct Provider {
    settings: Oidc,
    secret: Option<Secret>,
    client: reqwest::Client,
    /// Where the provider sends people back to.
    back: String,
}

/// Somebody on the way to the provider: a random text that his own browser keeps, and the daemon nothing. So whoever begins a thousand times takes nobody's place,
/// and a restart or a second daemon behind the same address does not matter. What goes over the wire is made of it, so who sees addresses cannot make it up.
struct Begun(String);

impl Begun {
    /// Comes back in the address. That the browser's makes the same proves that this browser began it.
    fn state(&self) -> String {
        self.made("state")
    }

    /// Comes back in the token (OpenID Connect Core 1.0 section 15.5.2).
    fn nonce(&self) -> String {
        self.made("nonce")
    }

    /// Goes with the code (RFC 7636), so that a code is of no use elsewhere.
    fn verifier(&self) -> String {
        self.made("verifier")
    }

    fn made(&self, what: &str) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{what}.{}", self.0)))
    }
}

fn away(why: impl Into<String>) -> Refusal {
    let why = why.into();
    Refusal::new(code::OIDC_AWAY, format!("the identity provider cannot be asked now: {why}")).with("why", why)
}

fn not_taken(why: impl Into<String>) -> Refusal {
    let why = why.into();
    Refusal::new(code::OIDC_NOT_TAKEN, format!("what the identity provider says is not taken: {why}")).with("why", why)
}

/// What of the provider's document is used.
#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
}

/// What the provider sends back; extra words are its own.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Back {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    error: Option<String>,
}

impl Provider {
    pub(super) fn new(settings: Oidc, public_url: Option<String>) -> Result<Self, String> {
        let secret = settings.client_secret.as_ref().map(|place| place.resolve()).transpose();
        Ok(Self {
            secret: secret.map_err(|why| format!("console.oidc.client_secret: {why}"))?,
            client: http_client(None, TIMEOUT)?,
            back: format!("{}/admin/oidc/back", public_url.unwrap_or_default()),
            settings,
        })
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, url: &str, what: &str) -> Result<T, Refusal> {
        let answer = self.client.get(url).timeout(TIMEOUT).send().await;
        let answer = answer.map_err(|error| away(format!("{what} could not be had: {}", error.without_url())))?;
        if answer.status() != StatusCode::OK {
            return Err(away(format!("{what} could not be had: status {}", answer.status().as_u16())));
        }
        let bytes = body(answer).await.map_err(|why| away(format!("{what}: {why}")))?;
        serde_json::from_slice(&bytes).map_err(|_| away(format!("{what} is not what OpenID Connect says")))
    }

    async fn document(&self) -> Result<Document, Refusal> {
        let url = format!("{}/.well-known/openid-configuration", self.settings.issuer.trim_end_matches('/'));
        let document: Document = self.get(&url, "the provider's document").await?;
        if document.issuer != self.settings.issuer {
            return Err(away(format!(
                "the provider calls itself {:?}: console.oidc.issuer must say the same",
                document.issuer
            )));
        }
        Ok(document)
    }

    /// Where to send somebody.
    async fn begin(&self, begun: &Begun) -> Result<String, Refusal> {
        let document = self.document().await?;
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(begun.verifier()));
        let scope = self.settings.scopes.join(" ");
        let query = form(&[
            ("response_type", "code"),
            ("client_id", &self.settings.client_id),
            ("redirect_uri", &self.back),
            ("scope", &scope),
            ("state", &begun.state()),
            ("nonce", &begun.nonce()),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        let join = if document.authorization_endpoint.contains('?') { '&' } else { '?' };
        Ok(format!("{}{join}{query}", document.authorization_endpoint))
    }

    /// Who came back: the name for the audit, and the role.
    async fn end(&self, at: Wall, begun: &Begun, code: &str) -> Result<(String, Role), Refusal> {
        let (document, verifier) = (self.document().await?, begun.verifier());
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.back),
            ("code_verifier", &verifier),
        ];
        let mut request = self.client.post(&document.token_endpoint).timeout(TIMEOUT);
        match &self.secret {
            Some(secret) if self.settings.client_auth == ClientAuth::Body => {
                fields.extend([("client_id", self.settings.client_id.as_str()), ("client_secret", secret.expose())]);
            }
            Some(secret) => {
                let value = format!("Basic {}", basic(&self.settings.client_id, secret.expose(), false));
                request = request.header(header::AUTHORIZATION, value);
            }
            None => fields.push(("client_id", &self.settings.client_id)),
        }
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(form(&fields));
        let answer = request.send().await;
        let answer = answer.map_err(|error| away(format!("the provider gave no token: {}", error.without_url())))?;
        let status = answer.status();
        let told: Value = serde_json::from_slice(&body(answer).await.map_err(away)?).unwrap_or_default();
        if status != StatusCode::OK {
            let error = told["error"].as_str().filter(|word| word.len() < 40).unwrap_or("no reason");
            return Err(not_taken(format!("it gave no token: status {} ({error})", status.as_u16())));
        }
        let token = told["id_token"].as_str();
        let token = token.ok_or_else(|| not_taken("it gave no id_token: is openid among the scopes?"))?;
        let set: Value = self.get(&document.jwks_uri, "the provider's keys").await?;
        let keys = Keys::jwks(set.to_string().as_bytes()).map_err(|why| away(format!("the provider's keys: {why}")))?;
        let claims = keys.claims(token).map_err(|why| not_taken(why.to_string()))?;
        self.judge(&claims, &begun.nonce(), at)
    }

    /// OpenID Connect Core 1.0 section 3.1.3.7.
    fn judge(&self, claims: &Value, nonce: &str, at: Wall) -> Result<(String, Role), Refusal> {
        let wrong = |what: &str| Err(not_taken(what));
        let seconds = at.0.div_euclid(1000);
        let Oidc { issuer, client_id, name_claim, roles_claim, roles, .. } = &self.settings;
        if claims["iss"] != **issuer {
            return wrong("the token is of another issuer");
        }
        let audience = texts(&claims["aud"]);
        if !audience.contains(&client_id.as_str()) || audience.len() > 1 && claims["azp"] != **client_id {
            return wrong("the token is for another client");
        }
        if claims["exp"].as_i64().is_none_or(|end| end + LEEWAY_S < seconds) {
            return wrong("the token is over");
        }
        if claims["nonce"] != *nonce {
            return wrong("the token belongs to another sign-in");
        }
        let named = claims[name_claim].as_str().or_else(|| claims["sub"].as_str()).unwrap_or_default();
        let name: String = named.chars().filter(|c| !c.is_control()).take(64).collect();
        if name.is_empty() {
            return wrong("the token names nobody");
        }
        let held = texts(&claims[roles_claim]);
        let Some(role) = role(roles, &held) else {
            let says = format!(
                "{name} may not see the console: nothing in the claim \"{roles_claim}\" is a role of console.oidc.roles"
            );
            return Err(Refusal::new(code::OIDC_NO_ROLE, says).with("name", name).with("claim", roles_claim));
        };
        Ok((name, role))
    }
}

/// The strongest that is there.
fn role(roles: &Roles, held: &[&str]) -> Option<Role> {
    let of = |role| match role {
        Role::Admin => &roles.admin,
        Role::Supervisor => &roles.supervisor,
        Role::Auditor => &roles.auditor,
    };
    Role::ALL.into_iter().find(|role| of(*role).iter().any(|value| held.contains(&value.as_str())))
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(one) => vec![one],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn form(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", form_urlencoded(value))).collect();
    pairs.join("&")
}

async fn body(mut answer: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(|error| error.without_url().to_string())? {
        if bytes.len() + part.len() > LARGEST {
            return Err(format!("more than {LARGEST} bytes"));
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

/// Keeps a [`Begun`]: nobody is signed in by a link that somebody else sends.
const COOKIE: &str = "linecard-oidc";
/// Tells the page why somebody was turned away. The page reads it, says it in its reader's language, and throws it away.
const REFUSED: &str = "linecard-refused";
/// Characters of each value there: a browser takes 4 KiB of a cookie, and a character may be nine bytes of it.
const LONGEST: usize = 100;

impl Console {
    /// To the door, where the page says why.
    fn turned_away(&self, from: IpAddr, why: &Refusal) -> Response {
        // Not the sentence: it may name somebody.
        let (what, detail) = (why.code, ["why", "claim", "error"].iter().find_map(|name| why.values.get(name)));
        // Anybody may come by with a state that nobody gave.
        if why.code == code::OIDC_NOT_BEGUN {
            tracing::debug!(%from, what, "somebody was not let into the console by the identity provider");
        } else {
            tracing::warn!(%from, what, detail, "somebody was not let into the console by the identity provider");
        }
        let values = why.values.iter().map(|(name, value)| (*name, value.chars().take(LONGEST).collect::<String>()));
        let told = json!({"code": why.code, "values": values.collect::<std::collections::BTreeMap<_, _>>()});
        let (_, secure) = self.seal();
        let cookie = format!("{REFUSED}={}; Path=/admin; Max-Age=60; SameSite=Lax{secure}", percent(&told.to_string()));
        let cookie = HeaderValue::from_str(&cookie).expect("percent-encoded");
        ([(header::SET_COOKIE, cookie)], Redirect::to("/admin")).into_response()
    }
}

/// `GET /admin/oidc`.
pub(super) async fn begin(
    State(console): State<Arc<Console>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    let Some(provider) = &console.provider else { return StatusCode::NOT_FOUND.into_response() };
    let from = console.asker(peer, &headers);
    let begun = Begun(random());
    match provider.begin(&begun).await {
        Ok(url) => {
            ([(header::SET_COOKIE, console.sealed(COOKIE, &begun.0, PATIENCE_S))], Redirect::to(&url)).into_response()
        }
        Err(why) => console.turned_away(from, &why),
    }
}

/// `GET /admin/oidc/back`.
pub(super) async fn back(
    State(console): State<Arc<Console>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    axum::extract::Query(back): axum::extract::Query<Back>,
) -> Response {
    let Some(provider) = &console.provider else { return StatusCode::NOT_FOUND.into_response() };
    let from = console.asker(peer, &headers);
    let kept = console.unsealed(&headers, COOKIE).filter(|text| !text.is_empty()).map(|text| Begun(text.to_owned()));
    let begun = kept.filter(|begun| back.state.as_deref() == Some(&*begun.state()));
    let Some(begun) = begun else {
        let says = "this sign-in was not begun in this browser, or too long ago: begin anew";
        return console.turned_away(from, &Refusal::new(code::OIDC_NOT_BEGUN, says));
    };
    let mut answer = console.comes_back(provider, from, &begun, back).await;
    // Good once.
    answer.headers_mut().append(header::SET_COOKIE, console.sealed(COOKIE, "", 0));
    answer
}

impl Console {
    async fn comes_back(&self, provider: &Provider, from: IpAddr, begun: &Begun, back: Back) -> Response {
        let code = match (back.code, back.error) {
            (Some(code), None) => code,
            (_, error) => {
                let word = error.unwrap_or_default();
                let word: String = word.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect();
                let says = format!("the identity provider did not let you in ({word})");
                return self.turned_away(from, &Refusal::new(code::OIDC_DENIED, says).with("error", word));
            }
        };
        match provider.end(now().wall, begun, &code).await {
            Ok((who, role)) => {
                let (session, cookie) = self.open(who, role, None);
                if let Err(trouble) = self.note(&session, "console.signed-in", role.as_str(), Some("oidc".into())).await
                {
                    return trouble.into_response();
                }
                ([(header::SET_COOKIE, cookie)], Redirect::to("/admin")).into_response()
            }
            Err(why) => self.turned_away(from, &why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider() -> Provider {
        let settings = r#"{"issuer": "https://sso.example.com", "client_id": "linecard", "roles_claim": "groups", "roles": {"admin": ["cti-admins"]}}"#;
        Provider::new(serde_json::from_str(settings).unwrap(), Some("https://cti.example.com".to_owned())).unwrap()
    }

    #[test]
    fn a_token_is_judged_claim_by_claim() {
        let good = json!({
            "iss": "https://sso.example.com", "aud": ["linecard"], "exp": 1000, "nonce": "n", "sub": "17",
            "preferred_username": "lin", "groups": ["staff", "cti-admins"],
        });
        let at = Wall(1_000_000);
        let judged = |claims: &Value| provider().judge(claims, "n", at);
        assert_eq!(judged(&good).unwrap(), ("lin".to_owned(), Role::Admin));
        for (claim, value, why) in [
            ("iss", json!("https://sso.example.org"), "another issuer"),
            ("aud", json!("other"), "another client"),
            ("aud", json!(["linecard", "other"]), "another client"),
            ("exp", json!(900), "is over"),
            ("exp", json!("soon"), "is over"),
            ("nonce", json!("m"), "another sign-in"),
            ("nonce", Value::Null, "another sign-in"),
            ("groups", json!("staff"), "may not see"),
            ("groups", Value::Null, "may not see"),
        ] {
            let mut claims = good.clone();
            claims[claim] = value;
            let told = judged(&claims).unwrap_err().says;
            assert!(told.contains(why), "{claim}: {told}");
        }
        let mut nameless = good.clone();
        nameless["preferred_username"] = Value::Null;
        assert_eq!(judged(&nameless).unwrap().0, "17");
    }
}
