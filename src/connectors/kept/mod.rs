//! Refresh tokens that change with each use (RFC 6749 section 6, RFC 9700 section 4.14): what is kept of a sign-in, so that it outlives the daemon.
//!
//! The new token is on the disk before anything is asked with the answer that brought it. What remains is the moment in which the system has taken the old token and we do
//! not hold its answer yet: then the old one is tried once more, and where that is refused an administrator signs in again.
//! A token is kept for one endpoint, client and first token: if the file names others, it is another's and is not sent.

pub mod live;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::private::{Private, Secret};

use super::{Outcome, System};

/// How a grant comes to its refresh token.
pub struct Refresh {
    /// What the settings give; without it somebody signs in first.
    pub first: Option<Secret>,
    /// SHA-256 of whose token it is, hex.
    pub of: String,
}

impl Refresh {
    /// `whose`: endpoint and client.
    #[must_use]
    pub fn new(first: Option<Secret>, whose: [&str; 2]) -> Self {
        let mut hash = Sha256::new();
        for part in whose.into_iter().chain([first.as_ref().map_or("", Secret::expose)]) {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        let of = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
        Self { first, of }
    }
}

/// As it lies on the disk.
#[derive(Serialize, Deserialize)]
struct Line {
    of: String,
    refresh_token: Private<String>,
}

fn written(of: &str, token: &Secret) -> String {
    let line = Line { of: of.to_owned(), refresh_token: Private::new(token.expose().to_owned()) };
    serde_json::to_string(&line).unwrap_or_default()
}

/// The token, if it is one of this sign-in.
fn read(text: &str, of: &str) -> Option<Secret> {
    let line: Line = serde_json::from_str(text).ok()?;
    (line.of == of).then(|| Secret::new(line.refresh_token.into_inner()))
}

/// What a call is told while nobody has signed in.
fn nobody(system: &System) -> Outcome {
    let id = &system.id;
    Outcome::Denied { reason: format!("nobody has signed in at {id}: linecard connector sign-in {id}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_that_of_one_client_at_one_endpoint() {
        let secret = |text: &str| Some(Secret::new(text.to_owned()));
        let of = Refresh::new(secret("first"), ["https://a.example/token", "app"]).of;
        let text = written(&of, &Secret::new("kept".to_owned()));
        assert_eq!(read(&text, &of).unwrap().expose(), "kept");
        for other in [
            Refresh::new(secret("second"), ["https://a.example/token", "app"]),
            Refresh::new(secret("first"), ["https://b.example/token", "app"]),
            Refresh::new(secret("first"), ["https://a.example/tokena", "pp"]),
            Refresh::new(None, ["https://a.example/token", "app"]),
        ] {
            assert_eq!(read(&text, &other.of), None);
        }
        assert_eq!(read("{\"of\": 1", &of), None);
    }
}
