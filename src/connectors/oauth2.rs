//! `auth: oauth2`, as the session that it is: one request to the token endpoint, whose answer's token goes with every request until it is over (RFC 6749, RFC 6750).
//!
//! Everything that a session has holds for it: one token request at a time, a refusal is not repeated soon, an expired token is asked for anew once.
//! A refresh token that changes with each use is kept (`kept`); the first one of a sign-in in a browser comes by `sign_in`.
//! Left out: the implicit grant, which nobody should use any more (RFC 9700 section 2.1.2), and devices without a browser (RFC 8628).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::file::{Body, ClientAuth, Expired, Grant, Is, Login, Method, Oauth2Auth, Rule, SessionAuth, Token};

/// Under which the client's credentials for HTTP basic authentication stand among the secrets.
pub const BASIC: &str = "oauth2 basic";

/// How the statement of the grant and that of the client are called in the form (RFC 7521 sections 4.1 and 4.2).
pub const ASSERTION: &str = "assertion";
pub const CLIENT_ASSERTION: &str = "client_assertion";
pub const REFRESH: &str = "refresh_token";

/// What the token request sees besides the secrets.
pub const SEES: [&str; 7] = ["secret", ASSERTION, CLIENT_ASSERTION, REFRESH, "code", "redirect_uri", "code_verifier"];

/// Which token request it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    Use,
    /// The one that gives the code of a sign-in away.
    SignIn,
}

/// A token is given up a little before its time, for the way there and clocks that differ: 5 %. RFC 6749 section 5.1 recommends `expires_in`; who does not say it is
/// asked anew each hour.
const LIVES: &str = "((body.expires_in | default(3600, true)) | int) * 950";

/// The session of a token endpoint at `path`.
#[must_use]
pub fn session(auth: &Oauth2Auth, path: &str, what: For) -> SessionAuth {
    let secret = |name: &str| json!(format!("{{{{ secret['{name}'] }}}}"));
    let mut form: BTreeMap<String, Value> =
        auth.more.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let mut put = |name: &str, value: Value| drop(form.insert(name.to_owned(), value));
    match &auth.grant {
        Grant::ClientCredentials => put("grant_type", json!("client_credentials")),
        Grant::Password(password) => {
            put("grant_type", json!("password"));
            put("username", json!(password.user));
            put("password", secret(&password.secret));
        }
        Grant::JwtBearer(_) => {
            put("grant_type", json!("urn:ietf:params:oauth:grant-type:jwt-bearer"));
            put(ASSERTION, json!("{{ assertion }}"));
        }
        Grant::AuthorizationCode(_) if what == For::SignIn => {
            put("grant_type", json!("authorization_code"));
            for name in ["code", "redirect_uri", "code_verifier"] {
                put(name, json!(format!("{{{{ {name} }}}}")));
            }
        }
        Grant::RefreshToken(_) | Grant::AuthorizationCode(_) => {
            put("grant_type", json!("refresh_token"));
            put(REFRESH, json!("{{ refresh_token }}"));
        }
    }
    // What was signed in for was said in the browser.
    if let Some(scope) = auth.scope.as_ref().filter(|_| !matches!(auth.grant, Grant::AuthorizationCode(_))) {
        put("scope", json!(scope));
    }
    let mut headers = BTreeMap::from([("Accept".to_owned(), "application/json".to_owned())]);
    match (&auth.client_secret, &auth.client_auth) {
        (_, ClientAuth::PrivateKeyJwt(_) | ClientAuth::ClientSecretJwt) => {
            put("client_assertion_type", json!("urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
            put(CLIENT_ASSERTION, json!("{{ client_assertion }}"));
        }
        (Some(_), ClientAuth::Basic | ClientAuth::BasicPlain) => {
            headers.insert("Authorization".to_owned(), format!("Basic {{{{ secret['{BASIC}'] }}}}"));
        }
        (Some(name), ClientAuth::Body) => {
            put("client_id", json!(auth.client_id));
            put("client_secret", secret(name));
        }
        // Who signs as the grant says by that who it is.
        (None, _) if matches!(auth.grant, Grant::JwtBearer(_)) => {}
        (None, _) => put("client_id", json!(auth.client_id)),
    }
    let rule = |status: &[u16], when: Option<&str>, is: Is, reason: Option<&str>| Rule {
        status: Some(status.to_vec()),
        when: when.map(str::to_owned),
        is,
        reason: reason.map(str::to_owned),
        wait_ms: None,
        blocked_ms: None,
    };
    // RFC 6749 section 5.2. Who answers an error by 200 fits none of these, and is broken.
    let refused = |error: &str, reason: &str| {
        rule(&[400, 401, 403], Some(&format!("body.error == '{error}'")), Is::Denied, Some(reason))
    };
    let invalid_grant = match &auth.grant {
        Grant::JwtBearer(_) => "what is said or the key is refused",
        // RFC 6749 section 5.2: expired, revoked, or used up by an answer that was lost.
        Grant::RefreshToken(_) => "the refresh token is refused: somebody must sign in again and give another one",
        Grant::AuthorizationCode(_) => {
            "the sign-in is over: an administrator must sign in again (linecard connector sign-in)"
        }
        _ => "the user or password is refused",
    };
    // Not every server says why: of a used or revoked token Glewlwyd 2.7 says nothing.
    let refused_else = match &auth.grant {
        Grant::RefreshToken(_) | Grant::AuthorizationCode(_) => {
            "the token request is refused; perhaps somebody must sign in again"
        }
        _ => "the token request is refused",
    };
    let outcome = vec![
        rule(&[200], Some("body.access_token is string and body.access_token != ''"), Is::Ok, None),
        refused("invalid_client", "the client's id or secret is refused"),
        refused("invalid_grant", invalid_grant),
        refused("invalid_scope", "the scope is refused"),
        refused("unauthorized_client", "this client may not use this grant"),
        refused("unsupported_grant_type", "this grant is not offered"),
        rule(&[400, 401, 403], None, Is::Denied, Some(refused_else)),
        rule(&[429], None, Is::RateLimited, None),
        rule(&[500, 502, 503, 504], None, Is::Busy, Some("the token endpoint is busy")),
    ];
    SessionAuth {
        login: Login {
            method: Method::Post,
            path: path.to_owned(),
            headers,
            query: BTreeMap::new(),
            body: Some(Body::Form(form)),
            sign: None,
            decode: None,
            charset: Some("utf-8".to_owned()),
            answer_charset: None,
            outcome,
            deadline_ms: None,
        },
        cookies: Vec::new(),
        token: Some(Token {
            value: "body.access_token".to_owned(),
            header: Some("Authorization".to_owned()),
            query: None,
            body: None,
            prefix: "Bearer ".to_owned(),
        }),
        lives_ms: Some(LIVES.to_owned()),
        base: auth.base.clone(),
        // RFC 6750 section 3.1: `invalid_token` is 401. Systems that say it otherwise add rules of their own.
        expired: std::iter::once(Expired { status: Some(vec![401]), when: None })
            .chain(auth.expired.iter().cloned())
            .collect(),
    }
}

/// The client's credentials as HTTP basic authentication has them: id and secret form-encoded first (RFC 6749 section 2.3.1), or `plain`.
#[must_use]
pub fn basic(id: &str, secret: &str, plain: bool) -> String {
    use base64::Engine as _;
    let encoded = |text: &str| if plain { text.to_owned() } else { form_urlencoded(text) };
    base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret)))
}

/// As `application/x-www-form-urlencoded` has it.
#[must_use]
pub fn form_urlencoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, b| {
        match b {
            b' ' => out.push('+'),
            b if b.is_ascii_alphanumeric() || b"*-._".contains(&b) => out.push(char::from(b)),
            b => out.push_str(&format!("%{b:02X}")),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_form_encoded_before_base64() {
        // RFC 6749 section 2.3.1's own example.
        assert_eq!(basic("s6BhdRkqt3", "gX1fBat3bV", false), "czZCaGRSa3F0MzpnWDFmQmF0M2JW");
        use base64::Engine as _;
        let decoded = base64::engine::general_purpose::STANDARD.decode(basic("a b", "p:ä+/", false)).unwrap();
        assert_eq!(String::from_utf8(decoded).unwrap(), "a+b:p%3A%C3%A4%2B%2F");
        assert_eq!(basic("a", "b c", true), "YTpiIGM=");
    }
}
