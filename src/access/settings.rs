//! Which tokens are taken.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::files::SecretRef;

/// The issuer's side of the agreement.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// What `iss` must say.
    pub issuer: String,
    /// What `aud` must say or contain.
    #[serde(default = "linecard")]
    pub audience: String,
    pub keys: KeySource,
}

/// Where the keys come from; exactly one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KeySource {
    /// A shared secret of at least 32 bytes, for HS256.
    Hs256(SecretRef),
    /// A JWKS document with the issuer's public keys (RS256, ES256); read again every minute.
    JwksFile(PathBuf),
    /// The same, fetched in the background every ten minutes, and soon after a token names a key that is not known. `https`,
    /// or `http` to this very machine.
    JwksUrl(String),
}

impl Tokens {
    /// What is wrong beyond the shape: key (below `tokens`), found, wanted.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String, &'static str)> {
        let mut problems = Vec::new();
        if self.issuer.is_empty() {
            problems.push(("issuer", "empty".to_owned(), "the issuer's name, exactly as its tokens have it in iss"));
        }
        if let KeySource::JwksUrl(url) = &self.keys
            && !url.starts_with("https://")
            && !["http://127.0.0.1", "http://localhost", "http://[::1]"]
                .iter()
                .any(|own| url.strip_prefix(own).is_some_and(|rest| rest.starts_with([':', '/'])))
        {
            problems.push(("keys", format!("{url:?}"), "https://...; plain http only to this machine"));
        }
        problems
    }
}

fn linecard() -> String {
    "linecard".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_urls_are_https_or_our_own() {
        let problems = |url: &str| {
            Tokens { issuer: "desk".into(), audience: linecard(), keys: KeySource::JwksUrl(url.into()) }
                .problems()
                .len()
        };
        assert_eq!(problems("https://sso.example.org/jwks"), 0);
        assert_eq!(problems("http://127.0.0.1:8080/jwks"), 0);
        assert_eq!(problems("http://localhost/jwks"), 0);
        assert_eq!(problems("http://localhost.example.org/jwks"), 1);
        assert_eq!(problems("http://sso.example.org/jwks"), 1);
        assert_eq!(problems("file:///etc/passwd"), 1);
    }
}
