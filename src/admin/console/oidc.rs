//! Sign-in at an identity provider: authorization code with PKCE and a nonce (OpenID Connect Core 1.0 section 3.1, RFC 7636, RFC 9700). The provider's document and
//! keys are asked for when somebody signs in, so a daemon starts also while the provider is away, and its new keys need no restart.
//!
//! Written here over the house's own token checks: the kept library (openidconnect 4.1) brings a second family of curves and clocks for what is two requests.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    extract::{ConnectInfo, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::Value;
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
    words::Wall,
};

/// How long somebody may take at the provider.
const PATIENCE_MS: i64 = 10 * 60_000;
/// People on their way at once; above it the oldest must begin anew.
const ON_THE_WAY: usize = 1000;
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
    /// By state: what must come back with it.
    sent: Mutex<HashMap<String, Sent>>,
}

struct Sent {
    nonce: String,
    verifier: String,
    until: Wall,
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
            sent: Mutex::default(),
        })
    }

    fn sent(&self) -> std::sync::MutexGuard<'_, HashMap<String, Sent>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, url: &str, what: &str) -> Result<T, String> {
        let answer = self.client.get(url).timeout(TIMEOUT).send().await;
        let answer = answer.map_err(|error| format!("{what} could not be had: {}", error.without_url()))?;
        if answer.status() != StatusCode::OK {
            return Err(format!("{what} could not be had: status {}", answer.status().as_u16()));
        }
        let bytes = body(answer).await.map_err(|why| format!("{what}: {why}"))?;
        serde_json::from_slice(&bytes).map_err(|_| format!("{what} is not what OpenID Connect says"))
    }

    async fn document(&self) -> Result<Document, String> {
        let url = format!("{}/.well-known/openid-configuration", self.settings.issuer.trim_end_matches('/'));
        let document: Document = self.get(&url, "the provider's document").await?;
        if document.issuer != self.settings.issuer {
            return Err(format!(
                "the provider calls itself {:?}: console.oidc.issuer must say the same",
                document.issuer
            ));
        }
        Ok(document)
    }

    /// Where to send somebody, and the state that his browser keeps.
    async fn begin(&self, at: Wall) -> Result<(String, String), String> {
        let document = self.document().await?;
        let (state, nonce, verifier) = (random(), random(), random());
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        let scope = self.settings.scopes.join(" ");
        let query = form(&[
            ("response_type", "code"),
            ("client_id", &self.settings.client_id),
            ("redirect_uri", &self.back),
            ("scope", &scope),
            ("state", &state),
            ("nonce", &nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        let join = if document.authorization_endpoint.contains('?') { '&' } else { '?' };
        let mut sent = self.sent();
        sent.retain(|_, sent| at < sent.until);
        if sent.len() >= ON_THE_WAY
            && let Some(first) = sent.iter().min_by_key(|(_, sent)| sent.until).map(|(state, _)| state.clone())
        {
            sent.remove(&first);
        }
        sent.insert(state.clone(), Sent { nonce, verifier, until: at.plus_ms(PATIENCE_MS) });
        Ok((format!("{}{join}{query}", document.authorization_endpoint), state))
    }

    /// Who came back: the name for the audit, and the role.
    async fn end(&self, at: Wall, state: &str, code: &str) -> Result<(String, Role), String> {
        let sent = self.sent().remove(state).filter(|sent| at < sent.until);
        let sent = sent.ok_or("this sign-in took too long, or was used already: begin anew")?;
        let document = self.document().await?;
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.back),
            ("code_verifier", &sent.verifier),
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
        let answer =
            request.send().await.map_err(|error| format!("the provider gave no token: {}", error.without_url()))?;
        let status = answer.status();
        let told: Value = serde_json::from_slice(&body(answer).await?).unwrap_or_default();
        if status != StatusCode::OK {
            let error = told["error"].as_str().filter(|word| word.len() < 40).unwrap_or("no reason");
            return Err(format!("the provider gave no token: status {} ({error})", status.as_u16()));
        }
        let token = told["id_token"].as_str().ok_or("the provider gave no id_token: is openid among the scopes?")?;
        let set: Value = self.get(&document.jwks_uri, "the provider's keys").await?;
        let keys = Keys::jwks(set.to_string().as_bytes()).map_err(|why| format!("the provider's keys: {why}"))?;
        let claims = keys.claims(token).map_err(|why| format!("the provider's token is not taken: {why}"))?;
        self.judge(&claims, &sent.nonce, at)
    }

    /// OpenID Connect Core 1.0 section 3.1.3.7.
    fn judge(&self, claims: &Value, nonce: &str, at: Wall) -> Result<(String, Role), String> {
        let wrong = |what: &str| Err(format!("the provider's token is not taken: {what}"));
        let seconds = at.0.div_euclid(1000);
        let Oidc { issuer, client_id, name_claim, roles_claim, roles, .. } = &self.settings;
        if claims["iss"] != **issuer {
            return wrong("another issuer");
        }
        let audience = texts(&claims["aud"]);
        if !audience.contains(&client_id.as_str()) || audience.len() > 1 && claims["azp"] != **client_id {
            return wrong("for another client");
        }
        if claims["exp"].as_i64().is_none_or(|end| end + LEEWAY_S < seconds) {
            return wrong("it is over");
        }
        if claims["nonce"] != *nonce {
            return wrong("it belongs to another sign-in");
        }
        let named = claims[name_claim].as_str().or_else(|| claims["sub"].as_str()).unwrap_or_default();
        let name: String = named.chars().filter(|c| !c.is_control()).take(64).collect();
        if name.is_empty() {
            return wrong("it names nobody");
        }
        let held = texts(&claims[roles_claim]);
        let Some(role) = role(roles, &held) else {
            return Err(format!(
                "{name} may not see the console: nothing in the claim \"{roles_claim}\" is a role of console.oidc.roles"
            ));
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

/// Binds the way to the provider to the browser that began it: nobody is signed in by a link that somebody else sends.
const COOKIE: &str = "linecard-oidc";

/// `GET /admin/oidc`.
pub(super) async fn begin(State(console): State<Arc<Console>>) -> Response {
    let Some(provider) = &console.provider else {
        return plain(StatusCode::NOT_FOUND, "there is no identity provider here");
    };
    match provider.begin(now().wall).await {
        Ok((url, state)) => {
            let secure = if console.settings.is_https() { "; Secure" } else { "" };
            let cookie = format!("{COOKIE}={state}; Path=/admin/oidc; Max-Age=600; HttpOnly; SameSite=Lax{secure}");
            let cookie = HeaderValue::from_str(&cookie).expect("letters and digits");
            ([(header::SET_COOKIE, cookie)], Redirect::to(&url)).into_response()
        }
        Err(why) => {
            tracing::warn!(%why, "nobody can sign in at the identity provider");
            plain(StatusCode::BAD_GATEWAY, &format!("You cannot sign in now: {why}."))
        }
    }
}

/// `GET /admin/oidc/back`.
pub(super) async fn back(
    State(console): State<Arc<Console>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    axum::extract::Query(back): axum::extract::Query<Back>,
) -> Response {
    let Some(provider) = &console.provider else {
        return plain(StatusCode::NOT_FOUND, "there is no identity provider here");
    };
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let kept = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let kept: Vec<&str> = kept.filter(|(name, _)| *name == COOKIE).map(|(_, value)| value).collect();
    let state = back.state.unwrap_or_default();
    if state.is_empty() || !kept.contains(&state.as_str()) {
        return plain(StatusCode::BAD_REQUEST, "This sign-in was not begun in this browser. Begin at /admin.");
    }
    let code = match (back.code, back.error) {
        (Some(code), None) => code,
        (_, error) => {
            let word = error.unwrap_or_default();
            let word: String = word.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect();
            return plain(StatusCode::FORBIDDEN, &format!("The identity provider did not let you in ({word})."));
        }
    };
    match provider.end(now().wall, &state, &code).await {
        Ok((who, role)) => {
            let (session, cookie) = console.open(who, role, None);
            if let Err(trouble) = console.note(&session, "console.signed-in", role.as_str(), Some("oidc".into())).await
            {
                return trouble.into_response();
            }
            ([(header::SET_COOKIE, cookie)], Redirect::to("/admin")).into_response()
        }
        Err(why) => {
            tracing::warn!(from = %peer.ip(), %why, "somebody was not let into the console");
            plain(StatusCode::FORBIDDEN, &format!("You are not signed in: {why}."))
        }
    }
}

/// A sentence for whoever looks at a page that is none.
fn plain(status: StatusCode, why: &str) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (status, kind, format!("{why}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
            ("exp", json!(900), "it is over"),
            ("exp", json!("soon"), "it is over"),
            ("nonce", json!("m"), "another sign-in"),
            ("nonce", Value::Null, "another sign-in"),
            ("groups", json!("staff"), "may not see"),
            ("groups", Value::Null, "may not see"),
        ] {
            let mut claims = good.clone();
            claims[claim] = value;
            let told = judged(&claims).unwrap_err();
            assert!(told.contains(why), "{claim}: {told}");
        }
        let mut nameless = good.clone();
        nameless["preferred_username"] = Value::Null;
        assert_eq!(judged(&nameless).unwrap().0, "17");
    }
}
