//! What of the world every live file needs and no still file may have: the clock, the dice, and how business systems are reached by HTTP.

use std::{
    path::Path,
    sync::LazyLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::words::{Mono, Now, Wall};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// This moment, for a still machine. Monotonic time counts from the first call in this process.
#[must_use]
pub fn now() -> Now {
    let wall =
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX));
    let mono = u64::try_from(START.elapsed().as_micros()).unwrap_or(u64::MAX);
    Now { wall: Wall(wall), mono: Mono(mono) }
}

/// The tokio instant at which `deadline` is reached.
#[must_use]
pub fn instant(deadline: Mono) -> tokio::time::Instant {
    tokio::time::Instant::from_std(*START + Duration::from_micros(deadline.0))
}

/// Puts the calling thread behind the core and the shards when all want the processor: on two busy cores a commit or a lookup would
/// otherwise run in front of a pop. Linux keeps niceness by thread (setpriority(2), notes); where a sandbox forbids it nothing is lost.
pub fn behind() {
    let _ = rustix::process::setpriority_process(None, 5);
}

/// Dice for jitter: a number in `0.0..1.0`, handed to still code that spreads retries.
#[must_use]
pub fn dice() -> f64 {
    rand::random()
}

/// For the world outside: no redirect is followed, no proxy of the environment is taken, and with `tls_ca` (PEM) no other root is believed.
///
/// # Errors
/// A fragment that says what of the certificates cannot be used.
pub fn http_client(tls_ca: Option<&Path>, connect: Duration) -> Result<reqwest::Client, String> {
    // ring is the one provider in the tree; a second install in a process is refused and means the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(connect)
        .pool_idle_timeout(Duration::from_secs(30))
        .no_proxy()
        .user_agent(concat!("linecard/", env!("CARGO_PKG_VERSION")));
    if let Some(path) = tls_ca {
        let shown = path.display();
        let pem = std::fs::read(path).map_err(|e| format!("cannot read {shown}: {e}"))?;
        let roots = reqwest::Certificate::from_pem_bundle(&pem).map_err(|_| format!("{shown} holds no certificate"))?;
        builder = builder.tls_certs_only(roots);
    }
    builder.build().map_err(|e| format!("cannot prepare connections: {}", e.without_url()))
}
