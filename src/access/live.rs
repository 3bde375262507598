//! Reads keys: once at the start, and again and again in the background (on the back runtime), so that no agent ever waits
//! at the door for somebody else's web server. Keys that cannot be renewed stay good: an issuer that is down for an hour
//! must not lock everybody out.

use std::{path::Path, sync::Arc, time::Duration};

use super::{KeySource, Keys, Tokens, Verifier, keys::Unfit};

/// Why keys could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    #[error("cannot read the keys: {0}")]
    Secret(String),
    #[error("cannot read {path}: {source}")]
    File { path: String, source: std::io::Error },
    #[error("cannot fetch {url}: {reason}")]
    Fetch { url: String, reason: String },
    #[error(transparent)]
    Unfit(#[from] Unfit),
}

/// A verifier for these settings. Secrets and files are read now; keys behind a URL come with [`keep`], until then tokens are
/// refused as signed by an unknown key.
///
/// # Errors
/// The secret or file is not there or not fit.
pub fn verifier(tokens: &Tokens) -> Result<Verifier, Unread> {
    let keys = match &tokens.keys {
        KeySource::Hs256(secret) => {
            Keys::hs256(&secret.resolve().map_err(|problem| Unread::Secret(problem.to_string()))?)?
        }
        KeySource::JwksFile(path) => from_file(path)?,
        KeySource::JwksUrl(_) => Keys::default(),
    };
    Ok(Verifier::new(&tokens.issuer, &tokens.audience, keys))
}

/// Keeps the keys fresh for as long as it is polled: run it on the back runtime and drop it to stop. Ends at once where
/// there is nothing to renew.
pub async fn keep(verifier: Arc<Verifier>, source: KeySource) {
    let refresh = match source {
        KeySource::Hs256(_) => return,
        KeySource::JwksFile(_) => FILE_EVERY,
        KeySource::JwksUrl(_) => URL_EVERY,
    };
    let mut known = false;
    loop {
        let read = match &source {
            KeySource::JwksUrl(url) => fetch(url).await,
            KeySource::JwksFile(path) => match tokio::fs::read(path).await {
                Ok(bytes) => Ok(bytes),
                Err(source) => Err(Unread::File { path: path.display().to_string(), source }),
            },
            KeySource::Hs256(_) => return,
        };
        match read.and_then(|bytes| Ok((Keys::jwks(&bytes)?, bytes))) {
            Ok((keys, bytes)) => {
                // Replacing forgets who was verified before: only when something changed.
                if verifier.changed(&bytes) {
                    verifier.replace(keys);
                    tracing::info!("token keys read");
                }
                known = true;
            }
            Err(error) => tracing::warn!(%error, kept = known, "token keys not renewed"),
        }
        let mut waited = Duration::ZERO;
        let until = if known { refresh } else { RETRY };
        while waited < until {
            // Spread, so that several daemons do not ask in step.
            let step = RETRY.mul_f64(0.5 + crate::live::dice() / 2.0);
            tokio::time::sleep(step).await;
            waited += step;
            if verifier.take_wanted() {
                break;
            }
        }
    }
}

fn from_file(path: &Path) -> Result<Keys, Unread> {
    let bytes = std::fs::read(path).map_err(|source| Unread::File { path: path.display().to_string(), source })?;
    Ok(Keys::jwks(&bytes)?)
}

async fn fetch(url: &str) -> Result<Vec<u8>, Unread> {
    let failed = |reason: String| Unread::Fetch { url: url.to_owned(), reason };
    let plain = |error: reqwest::Error| failed(error.without_url().to_string());
    let client = reqwest::Client::builder()
        .timeout(FETCH_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(plain)?;
    let mut answer = client.get(url).send().await.map_err(plain)?;
    if answer.status() != reqwest::StatusCode::OK {
        return Err(failed(format!("status {}", answer.status().as_u16())));
    }
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(plain)? {
        if body.len() + part.len() > LARGEST {
            return Err(failed(format!("more than {LARGEST} bytes")));
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

const FILE_EVERY: Duration = Duration::from_secs(60);
const URL_EVERY: Duration = Duration::from_secs(600);
/// The shortest time between two fetches, whatever tokens ask for.
const RETRY: Duration = Duration::from_secs(20);
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes; real key sets are below 10 KiB.
const LARGEST: usize = 256 * 1024;
