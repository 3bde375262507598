//! Where the console listens, and who may sign in.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::files::SecretRef;

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where browsers find `/admin`, and programs `/v1`. Plain HTTP: loopback, or behind a proxy that ends TLS. Absent: there is no console.
    pub listen: Option<SocketAddr>,
    /// How people reach it from outside: `https://cti.example.com`. Needed for an identity provider, and where `listen` is no loopback.
    pub public_url: Option<String>,
    /// A proxy of ours stands before it, so who asks is the last address in `X-Forwarded-For`.
    pub behind_proxy: bool,
    /// How long somebody stays signed in.
    pub session_h: u32,
    /// An identity provider (OpenID Connect); beside it, accounts.yaml counts.
    pub oidc: Option<Oidc>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { listen: None, public_url: None, behind_proxy: false, session_h: 12, oidc: None }
    }
}

/// Sign-in by authorization code with PKCE (RFC 6749, RFC 7636; OpenID Connect Core 1.0).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    /// As its tokens have it in `iss`; below it lies `/.well-known/openid-configuration`.
    pub issuer: String,
    pub client_id: String,
    /// Absent: a public client; PKCE protects the code.
    #[serde(default)]
    pub client_secret: Option<SecretRef>,
    /// How the secret is shown: `basic` (RFC 6749 section 2.3.1), or `body` for providers that read it there.
    #[serde(default)]
    pub client_auth: ClientAuth,
    #[serde(default = "scopes")]
    pub scopes: Vec<String>,
    /// The claim of the ID token that names somebody in the audit.
    #[serde(default = "name")]
    pub name_claim: String,
    /// The claim with roles or groups: a text or a list of texts.
    #[serde(default = "roles")]
    pub roles_claim: String,
    /// What in it makes somebody an admin, a supervisor, an auditor. Who is none of them is not let in.
    #[serde(default)]
    pub roles: Roles,
}

/// Where a client's secret stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAuth {
    #[default]
    Basic,
    Body,
}

/// Values of the roles' claim; each role is one of its own name where nothing is said.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Roles {
    pub admin: Vec<String>,
    pub supervisor: Vec<String>,
    pub auditor: Vec<String>,
}

impl Default for Roles {
    fn default() -> Self {
        let own = |name: &str| vec![name.to_owned()];
        Self { admin: own("admin"), supervisor: own("supervisor"), auditor: own("auditor") }
    }
}

fn scopes() -> Vec<String> {
    ["openid", "profile"].map(str::to_owned).to_vec()
}

fn name() -> String {
    "preferred_username".to_owned()
}

fn roles() -> String {
    "roles".to_owned()
}

impl Settings {
    /// The scheme and host under which browsers have the page.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.public_url.as_deref().is_some_and(|url| url.starts_with("https://"))
    }

    /// What is wrong beyond the shape: key (below `console`), found, wanted.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String, &'static str)> {
        let mut problems = Vec::new();
        if let Some(url) = &self.public_url {
            let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            if rest.is_none_or(|host| host.is_empty() || host.contains(['/', '?', '#', '@', ' '])) {
                let wanted = "scheme and host, nothing behind them: https://cti.example.com";
                problems.push(("public_url", format!("{url:?}"), wanted));
            } else if !self.is_https() && !own(url) {
                problems.push(("public_url", format!("{url:?}"), "https://...; plain http only to this machine"));
            }
        }
        if let Some(listen) = self.listen.filter(|at| !at.ip().is_loopback() && !self.is_https()) {
            let wanted = "a loopback address; or public_url: https://..., and a proxy there that ends TLS: passwords go this way";
            problems.push(("listen", listen.to_string(), wanted));
        }
        if !(1..=720).contains(&self.session_h) {
            problems.push(("session_h", self.session_h.to_string(), "1 to 720 hours"));
        }
        if let Some(oidc) = &self.oidc {
            if self.public_url.is_none() {
                let wanted = "public_url, for the provider sends people back to it";
                problems.push(("oidc", "there is no public_url".to_owned(), wanted));
            }
            if !oidc.issuer.starts_with("https://") && !own(&oidc.issuer) {
                let wanted = "https://...; plain http only to this machine";
                problems.push(("oidc.issuer", format!("{:?}", oidc.issuer), wanted));
            }
            if !oidc.scopes.iter().any(|scope| scope == "openid") {
                problems.push((
                    "oidc.scopes",
                    format!("{:?}", oidc.scopes),
                    "openid, and what your provider needs for roles",
                ));
            }
        }
        problems
    }
}

/// An address of this very machine.
fn own(url: &str) -> bool {
    let hosts = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
    hosts.iter().any(|host| url.strip_prefix(host).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/'])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> Vec<&'static str> {
        let settings: Settings = serde_json::from_str(text).unwrap();
        settings.problems().into_iter().map(|(key, ..)| key).collect()
    }

    #[test]
    fn passwords_never_go_in_the_clear() {
        assert!(wrong("{}").is_empty());
        assert_eq!(wrong(r#"{"listen": "0.0.0.0:7781"}"#), ["listen"]);
        assert!(wrong(r#"{"listen": "0.0.0.0:7781", "public_url": "https://cti.example.com"}"#).is_empty());
        assert_eq!(wrong(r#"{"public_url": "http://cti.example.com"}"#), ["public_url"]);
        assert_eq!(wrong(r#"{"public_url": "https://cti.example.com/x"}"#), ["public_url"]);
        assert_eq!(
            wrong(r#"{"oidc": {"issuer": "http://sso.example.com", "client_id": "x"}}"#),
            ["oidc", "oidc.issuer"]
        );
        let good =
            r#"{"public_url": "http://localhost:7781", "oidc": {"issuer": "http://127.0.0.1:1/x", "client_id": "x"}}"#;
        assert!(wrong(good).is_empty());
    }
}
