//! `/v1/session`: who is signed in, signing in and out. A cookie that scripts cannot read; whatever changes something needs a header besides, which a page from
//! elsewhere cannot send.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Json, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Console,
    api::{Doorkeeper, refused},
};
use crate::{
    access::{Right, Role, Session},
    live::now,
    private::Secret,
    words::{
        TenantId,
        refusal::{Refusal, code},
    },
};

/// What the page shows before anybody is signed in, and then.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SignedIn {
    /// Absent: nobody is.
    pub who: Option<String>,
    pub role: Option<Role>,
    pub rights: Vec<Right>,
    /// Sees this tenant alone; absent: the whole site.
    pub tenant: Option<TenantId>,
    /// Ways to sign in here: `password`, `oidc`. None: `linecard account add` makes the first account.
    pub ways: Vec<&'static str>,
    pub version: &'static str,
}

/// Name and password of accounts.yaml.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    pub name: String,
    #[schemars(with = "String")]
    pub password: Secret,
}

/// Keeps the token of who is signed in.
const COOKIE: &str = "linecard";

impl Console {
    /// A cookie that scripts cannot read; one without text and seconds ends it. `Lax`: with `Strict` nobody would be signed in behind an identity provider's redirect.
    pub(super) fn sealed(&self, name: &str, text: &str, seconds: u64) -> HeaderValue {
        let (prefix, secure) = self.seal();
        let text = format!("{prefix}{name}={text}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
        HeaderValue::from_str(&text).expect("letters, digits and signs of a cookie")
    }

    /// The text of such a cookie.
    pub(super) fn unsealed<'a>(&self, headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
        let (prefix, _) = self.seal();
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(key, _)| key.strip_prefix(prefix) == Some(name)).map(|(_, text)| text)
    }

    /// What stands before and after where TLS is. The prefix is the browser's promise that nobody but this very host over TLS has set it.
    pub(super) fn seal(&self) -> (&'static str, &'static str) {
        if self.settings.is_https() { ("__Host-", "; Secure") } else { ("", "") }
    }

    fn token<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        self.unsealed(headers, COOKIE)
    }

    pub(super) fn session(&self, headers: &HeaderMap) -> Option<Arc<Session>> {
        self.token(headers).and_then(|token| self.sessions().find(now().wall, token))
    }

    /// Opens a session; the answer carries the cookie.
    pub(super) fn open(&self, who: String, role: Role, tenant: Option<TenantId>) -> (Arc<Session>, HeaderValue) {
        let seconds = u64::from(self.settings.session_h) * 3600;
        let token = random();
        let at = now().wall;
        let until = at.plus_ms(i64::try_from(seconds * 1000).unwrap_or(i64::MAX));
        let session = self.sessions().open(at, &token, Session { who, role, tenant, teams: None, until });
        (session, self.sealed(COOKIE, &token, seconds))
    }

    /// Whose address a try to sign in is counted for.
    pub(super) fn asker(&self, peer: SocketAddr, headers: &HeaderMap) -> IpAddr {
        let told = || {
            let last = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
            last.rsplit(',').next()?.trim().parse().ok()
        };
        let told = if self.settings.behind_proxy { told() } else { None };
        told.unwrap_or_else(|| peer.ip().to_canonical())
    }

    pub(super) fn shown(&self, session: Option<&Session>) -> SignedIn {
        let mut ways = Vec::new();
        if !self.accounts.load().is_empty() {
            ways.push("password");
        }
        if self.settings.oidc.is_some() {
            ways.push("oidc");
        }
        SignedIn {
            who: session.map(|session| session.who.clone()),
            role: session.map(|session| session.role),
            rights: session.map_or_else(Vec::new, |session| session.role.rights().to_vec()),
            tenant: session.and_then(|session| session.tenant.clone()),
            ways,
            version: env!("CARGO_PKG_VERSION"),
        }
    }

    /// A request that changes something comes from our own page, or from a program.
    pub(super) fn ours(&self, headers: &HeaderMap) -> bool {
        let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let own = |origin: &str| match &self.settings.public_url {
            Some(url) => origin == url,
            None => text(header::HOST).is_some_and(|host| origin == format!("http://{host}")),
        };
        headers.get("x-linecard").is_some() && text(header::ORIGIN).is_none_or(own)
    }
}

/// 32 random bytes as text.
pub(super) fn random() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

impl Doorkeeper for Console {
    fn admit(&self, headers: &HeaderMap, right: Right, writes: bool) -> Result<Arc<Session>, Box<Response>> {
        let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let session = match bearer.and_then(|text| text.strip_prefix("Bearer ")) {
            Some(token) => {
                let who = self.verifier.verify(token.trim(), now().wall);
                let who = who.map_err(|why| {
                    let refusal = Refusal::new(code::TOKEN, format!("this token is not taken: {why}"));
                    Box::new(refused(StatusCode::UNAUTHORIZED, refusal.with("why", why)))
                })?;
                let Some(role) = Role::among(&who.roles) else {
                    let why = "this token has no role that the console knows: admin, supervisor, auditor";
                    return Err(Box::new(refused(StatusCode::FORBIDDEN, Refusal::new(code::NO_ROLE, why))));
                };
                let (tenant, teams, until) = (Some(who.tenant.clone()), Some(who.teams.clone()), who.expires);
                Arc::new(Session { who: who.agent.to_string(), role, tenant, teams, until })
            }
            None => {
                let Some(session) = self.session(headers) else {
                    let why = Refusal::new(code::NOT_SIGNED_IN, "nobody is signed in; open /admin");
                    return Err(Box::new(refused(StatusCode::UNAUTHORIZED, why)));
                };
                if writes && !self.ours(headers) {
                    let why =
                        "what changes something comes from the console's own page, or with the header X-Linecard: 1";
                    return Err(Box::new(refused(StatusCode::FORBIDDEN, Refusal::new(code::NOT_OURS, why))));
                }
                session
            }
        };
        if !session.role.may(right) {
            let role = session.role.as_str();
            let why = Refusal::new(code::OTHER_ROLE, format!("you are signed in as {role}; this takes another role"));
            return Err(Box::new(refused(StatusCode::FORBIDDEN, why.with("role", role))));
        }
        Ok(session)
    }
}

/// `GET /v1/session`.
pub(super) async fn who(State(console): State<Arc<Console>>, headers: HeaderMap) -> Response {
    let session = console.session(&headers);
    ([(header::CACHE_CONTROL, "no-store")], Json(console.shown(session.as_deref()))).into_response()
}

/// `POST /v1/session`.
pub(super) async fn sign_in(
    State(console): State<Arc<Console>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Response {
    if !console.ours(&headers) {
        return refused(StatusCode::FORBIDDEN, Refusal::new(code::NOT_OURS, NOT_OURS));
    }
    let Ok(Credentials { name, password }) = serde_json::from_slice(&body) else {
        let why = "{\"name\": ..., \"password\": ...} is wanted";
        return refused(StatusCode::BAD_REQUEST, Refusal::new(code::NO_CREDENTIALS, why));
    };
    if console.accounts.load().is_empty() {
        let why = "nobody has an account here yet: linecard account add NAME --role admin";
        return refused(StatusCode::UNAUTHORIZED, Refusal::new(code::NO_ACCOUNTS, why));
    }
    let from = console.asker(peer, &headers);
    if name.chars().count() > 64 || password.expose().len() > 4 * crate::access::accounts::LONGEST {
        return refused(StatusCode::UNAUTHORIZED, Refusal::new(code::WRONG_PASSWORD, WRONG));
    }
    // In line: whoever guesses in parallel waits for his own answers.
    let Ok(_turn) = console.checks.acquire().await else {
        return refused(StatusCode::SERVICE_UNAVAILABLE, Refusal::new(code::STOPPING, "the daemon is stopping"));
    };
    if let Some(seconds) = console.sessions().wait(now().wall, &name, from) {
        let why = Refusal::new(code::WAIT, format!("too many wrong passwords; try again in {seconds} s"));
        let mut answer = refused(StatusCode::TOO_MANY_REQUESTS, why.with("seconds", seconds));
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        return answer;
    }
    let accounts = console.accounts.load_full();
    let asked = name.clone();
    let found = tokio::task::spawn_blocking(move || {
        accounts.check(&asked, &password).map(|account| (account.role, account.tenant.clone()))
    });
    let found = found.await.ok().flatten();
    console.sessions().tried(now().wall, &name, from, found.is_some());
    match found {
        Some((role, tenant)) => {
            let (session, cookie) = console.open(name, role, tenant);
            if let Err(trouble) =
                console.note(&session, "console.signed-in", role.as_str(), Some("password".into())).await
            {
                return trouble.into_response();
            }
            ([(header::SET_COOKIE, cookie)], Json(console.shown(Some(&session)))).into_response()
        }
        None => {
            // Not the name: people type passwords into that field.
            tracing::warn!(%from, "somebody was not let into the console");
            refused(StatusCode::UNAUTHORIZED, Refusal::new(code::WRONG_PASSWORD, WRONG))
        }
    }
}

const WRONG: &str = "name or password is wrong";
const NOT_OURS: &str = "the header X-Linecard: 1, and no page from elsewhere";

/// `DELETE /v1/session`.
pub(super) async fn sign_out(State(console): State<Arc<Console>>, headers: HeaderMap) -> Response {
    if !console.ours(&headers) {
        return refused(StatusCode::FORBIDDEN, Refusal::new(code::NOT_OURS, NOT_OURS));
    }
    let closed = console.token(&headers).and_then(|token| console.sessions().close(token));
    if let Some(session) = closed
        && let Err(trouble) = console.note(&session, "console.signed-out", session.role.as_str(), None).await
    {
        return trouble.into_response();
    }
    ([(header::SET_COOKIE, console.sealed(COOKIE, "", 0))], Json(console.shown(None))).into_response()
}
