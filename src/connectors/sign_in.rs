//! An administrator's sign-in in a browser: authorization code (RFC 6749 section 4.1) with PKCE (RFC 7636), the answer at a loopback address (RFC 8252 section 7.3) or pasted.
//! It gives the refresh token that `grant: authorization_code` lives on.

use base64::Engine as _;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::{private::Secret, words::percent};

use super::{
    System,
    kept::Refresh,
    set::{Auth, SessionAuth},
    wire::decoded,
};

/// What the file says of it.
pub struct SignIn {
    pub authorize_url: String,
    /// As it is registered at the system.
    pub redirect: String,
    /// Parameters of the authorize address, with the client's id and the scope.
    pub parameters: Vec<(String, String)>,
    /// The token request that gives the code away.
    pub(super) exchange: SessionAuth,
}

/// What a file without a redirect of its own uses: any port of the loopback.
pub const LOOPBACK: &str = "http://127.0.0.1/";

/// One sign-in under way.
pub struct Asked<'a> {
    pub system: &'a System,
    pub(super) refresh: &'a Refresh,
    pub(super) exchange: &'a SessionAuth,
    sign_in: &'a SignIn,
    /// Where the browser comes back to.
    redirect: String,
    state: String,
    verifier: String,
}

/// How a system's sign-in is done: its redirect address.
///
/// # Errors
/// It is not done in a browser.
pub fn redirect(system: &System) -> Result<&str, String> {
    Ok(&of(system)?.0.redirect)
}

fn of(system: &System) -> Result<(&SignIn, &Refresh), String> {
    let Auth::Session(auth) = &system.auth else { return Err(format!("{} has no sign-in", system.id)) };
    let both = auth.sign_in.as_deref().zip(auth.refresh.as_ref());
    both.ok_or_else(|| format!("the sign-in at {} is not done in a browser (grant: authorization_code)", system.id))
}

impl<'a> Asked<'a> {
    /// `state` and `verifier`: dice.
    ///
    /// # Errors
    /// This system's sign-in is not done in a browser.
    pub fn new(system: &'a System, redirect: String, state: [u8; 32], verifier: [u8; 32]) -> Result<Self, String> {
        let (sign_in, refresh) = of(system)?;
        let (state, verifier) = (encoded(&state), encoded(&verifier));
        Ok(Self { system, refresh, exchange: &sign_in.exchange, sign_in, redirect, state, verifier })
    }

    /// What to open in a browser.
    #[must_use]
    pub fn address(&self) -> String {
        let challenge = challenge(&self.verifier);
        let ours = [
            ("response_type", "code"),
            ("redirect_uri", &self.redirect),
            ("state", &self.state),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        let more = self.sign_in.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let pairs: Vec<String> =
            more.chain(ours).map(|(name, value)| format!("{}={}", percent(name), percent(value))).collect();
        let between = if self.sign_in.authorize_url.contains('?') { '&' } else { '?' };
        format!("{}{between}{}", self.sign_in.authorize_url, pairs.join("&"))
    }

    /// What the token request is told, from the address that the browser was sent to.
    ///
    /// # Errors
    /// It is another sign-in's, or the system refused.
    pub fn answered(&self, address: &str) -> Result<Vec<(&'static str, Secret)>, String> {
        let query = address.trim().split_once('?').map_or("", |(_, query)| query);
        let query = query.split(['#', ' ']).next().unwrap_or_default();
        let find = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| decoded(value))
        };
        let state = find("state").unwrap_or_default();
        if !bool::from(state.as_bytes().ct_eq(self.state.as_bytes())) {
            return Err("this is no answer to this sign-in".to_owned());
        }
        if let Some(error) = find("error") {
            let plain: String = error.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(64).collect();
            return Err(format!("the system refused: {plain}"));
        }
        let code = find("code").filter(|code| !code.is_empty()).ok_or("the answer has no code")?;
        let secret = |text: &str| Secret::new(text.to_owned());
        Ok(vec![
            ("code", secret(&code)),
            ("redirect_uri", secret(&self.redirect)),
            ("code_verifier", secret(&self.verifier)),
        ])
    }
}

/// RFC 7636, section 4.2.
fn challenge(verifier: &str) -> String {
    encoded(&Sha256::digest(verifier))
}

fn encoded(bytes: &[u8]) -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_the_rfc() {
        // RFC 7636, appendix B.
        assert_eq!(
            challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }
}
