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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::access::token::tests::{JWKS, NOW, signed_by_the_set};

    /// A web server that gives one answer, and the first line it was asked with.
    async fn answers(body: &'static str, status: &'static str) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        let asked = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.windows(4).any(|w| w == b"\r\n\r\n") {
                assert!(socket.read_buf(&mut head).await.unwrap() > 0);
            }
            let answer =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
            socket.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned()
        });
        (url, asked)
    }

    fn by(source: KeySource) -> (Arc<Verifier>, KeySource) {
        let tokens = Tokens { issuer: "desk".into(), audience: "linecard".into(), keys: source.clone() };
        (Arc::new(verifier(&tokens).unwrap()), source)
    }

    #[tokio::test]
    async fn keys_behind_a_url_are_fetched_in_the_background_and_then_count() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (url, asked) = answers(JWKS, "200 OK").await;
        let (verifier, source) = by(KeySource::JwksUrl(url));
        let token = signed_by_the_set();
        assert!(verifier.verify(&token, NOW).is_err(), "no key yet");
        let keeper = tokio::spawn(keep(verifier.clone(), source));
        assert_eq!(asked.await.unwrap(), "GET /jwks HTTP/1.1");
        while verifier.verify(&token, NOW).is_err() {
            tokio::task::yield_now().await;
        }
        assert_eq!(verifier.verify(&token, NOW).unwrap().agent.as_str(), "1001");
        keeper.abort();
    }

    #[tokio::test]
    async fn an_issuer_that_answers_badly_says_why_and_where() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        for (body, status, why) in [
            ("busy", "503 Service Unavailable", "status 503"),
            ("", "302 Found\r\nLocation: http://127.0.0.1:1/", "status 302"),
        ] {
            let (url, _asked) = answers(body, status).await;
            let error = fetch(&url).await.unwrap_err().to_string();
            assert!(error.contains(&url) && error.contains(why), "{error}");
        }
        let (verifier, _) = by(KeySource::JwksUrl("http://127.0.0.1:1/".into()));
        assert!(verifier.verify(&signed_by_the_set(), NOW).is_err());
        let missing = KeySource::JwksFile(PathBuf::from("/nowhere/keys.json"));
        let tokens = Tokens { issuer: "desk".into(), audience: "linecard".into(), keys: missing };
        assert!(super::verifier(&tokens).err().unwrap().to_string().contains("/nowhere/keys.json"));
    }
}
