//! What of the world every live file needs and no still file may have: the clock, the dice, how business systems are reached by HTTP, whose certificates are believed, and how a small file is kept.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, LazyLock},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::{
    files::public,
    words::{Mono, Now, Wall},
};

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

/// What is spoken to by another protocol than HTTP: with `tls_ca` (PEM) no other root is believed, else those that HTTP believes.
///
/// # Errors
/// A fragment that says what of the certificates cannot be used.
pub fn tls(tls_ca: Option<&Path>) -> Result<Arc<rustls::ClientConfig>, String> {
    use rustls_pki_types::{CertificateDer, pem::PemObject as _};
    use rustls_platform_verifier::BuilderVerifierExt as _;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("cannot prepare TLS: {e}"))?;
    let builder = match tls_ca {
        None => builder.with_platform_verifier().map_err(|e| format!("cannot read the system's certificates: {e}"))?,
        Some(path) => {
            let wrong = || format!("{} holds no certificate", path.display());
            let mut roots = rustls::RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(&pem(path)?) {
                roots.add(certificate.map_err(|_| wrong())?).map_err(|_| wrong())?;
            }
            if roots.is_empty() {
                return Err(wrong());
            }
            builder.with_root_certificates(roots)
        }
    };
    Ok(Arc::new(builder.with_no_client_auth()))
}

/// Writes a small file whole or not at all, for the owner's eyes: aside first, on the disk, then in the old one's place.
///
/// # Errors
/// The disk refuses.
pub fn keep_file(file: &Path, text: &str) -> std::io::Result<()> {
    use std::{fs, os::unix::fs::DirBuilderExt as _};
    if let Some(folder) = file.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let aside = file.with_extension("new");
    fs::write(&aside, text)?;
    fs::File::open(&aside)?.sync_all()?;
    fs::rename(aside, file)
}

/// When the first of a file's certificates ends that ends.
#[must_use]
pub fn chain_ends(path: &Path) -> Option<Wall> {
    use rustls_pki_types::{CertificateDer, pem::PemObject as _};
    let chain = CertificateDer::pem_file_iter(path).ok()?;
    chain.filter_map(|one| crate::words::certificate::ends(&one.ok()?)).min()
}

/// The bytes of a PEM file.
///
/// # Errors
/// A fragment that names the file.
pub fn pem(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
}

/// For the world outside: no redirect is followed, no proxy of the environment is taken, and with `tls_ca` (PEM) no other root is believed.
///
/// # Errors
/// A fragment that says what of the certificates cannot be used.
pub fn http_client(tls_ca: Option<&Path>, connect: Duration) -> Result<reqwest::Client, String> {
    client(tls_ca, connect, false, None)
}

/// The same; with `unpack` answers may come compressed (not where ranges of bytes are asked for, which would be ranges of something else), and a name leads
/// to a private address only where `private` says so of it. What a name means is decided where the connection is made, so that an answer of the name server
/// that changes in between changes nothing. An address that is written as one is asked of nobody, and not held back here.
///
/// # Errors
/// As [`http_client`].
pub fn http_client_guarded(
    tls_ca: Option<&Path>,
    connect: Duration,
    unpack: bool,
    private: impl Fn(&str) -> bool + Send + Sync + 'static,
) -> Result<reqwest::Client, String> {
    client(tls_ca, connect, unpack, Some(Arc::new(Guard(private))))
}

/// Names, and what of their addresses may be spoken to.
struct Guard<F>(F);

impl<F: Fn(&str) -> bool + Send + Sync> Resolve for Guard<F> {
    fn resolve(&self, name: Name) -> Resolving {
        let private = (self.0)(&name.as_str().to_ascii_lowercase());
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let good: Vec<SocketAddr> = found.filter(|at| private || public(at.ip())).collect();
            if good.is_empty() {
                return Err("this name has no address that may be spoken to".into());
            }
            let addresses: Addrs = Box::new(good.into_iter());
            Ok(addresses)
        })
    }
}

fn client(
    tls_ca: Option<&Path>,
    connect: Duration,
    unpack: bool,
    names: Option<Arc<dyn Resolve>>,
) -> Result<reqwest::Client, String> {
    // ring is the one provider in the tree; a second install in a process is refused and means the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(connect)
        .pool_idle_timeout(Duration::from_secs(30))
        .no_proxy()
        .tls_info(true)
        .gzip(unpack)
        .deflate(unpack)
        .brotli(unpack)
        .user_agent(concat!("linecard/", env!("CARGO_PKG_VERSION")));
    if let Some(names) = names {
        builder = builder.dns_resolver(names);
    }
    if let Some(path) = tls_ca {
        let shown = path.display();
        let roots =
            reqwest::Certificate::from_pem_bundle(&pem(path)?).map_err(|_| format!("{shown} holds no certificate"))?;
        builder = builder.tls_certs_only(roots);
    }
    builder.build().map_err(|e| format!("cannot prepare connections: {}", e.without_url()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_leads_to_a_private_address_only_where_it_may() {
        let guard = Guard(|host: &str| host == "localhost");
        assert!(guard.resolve("LocalHost".parse().unwrap()).await.is_ok());
        let guard = Guard(|_: &str| false);
        let Err(refused) = guard.resolve("localhost".parse().unwrap()).await else { panic!("127.0.0.1 is private") };
        assert!(refused.to_string().contains("may be spoken to"), "{refused}");
    }
}
