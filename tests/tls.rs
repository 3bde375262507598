//! TLS for real: a certificate authority of the test's own, an AMI behind TLS, and the agents' door with a certificate.

use std::{fs, net::SocketAddr, path::Path, path::PathBuf, process::Command, sync::Arc, time::Duration};

use linecard::{
    daemon::demo::{live::Pbx, switch::Settings as PbxSettings},
    files,
    switches::{self, Heard, LinkState, Said, live::Stats},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, rustls};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(20);

pub struct Folder(PathBuf);

impl Folder {
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// `ca.pem`, and `cert.pem` with `key.pem` for pbx.example.com, signed by it; `other.pem` is an authority that signed nothing.
fn authority() -> Folder {
    authority_of("DNS:pbx.example.com")
}

/// The same for another name.
pub fn authority_of(name: &str) -> Folder {
    let folder =
        Folder(std::env::temp_dir().join(format!("linecard-tls-{}-{:x}", std::process::id(), rand::random::<u64>())));
    fs::create_dir_all(&folder.0).unwrap();
    let openssl = |words: &str| {
        let output =
            Command::new("openssl").args(words.split(' ')).current_dir(&folder.0).output().expect("openssl is there");
        assert!(output.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=ca"));
    openssl(&format!("req -x509 {key} -keyout other.key -out other.pem -days 2 -subj /CN=other"));
    openssl(&format!("req {key} -keyout key.pem -out csr.pem -subj /CN=pbx -addext subjectAltName={name}"));
    openssl(
        "x509 -req -in csr.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 2 -copy_extensions copy",
    );
    folder
}

/// TLS in front of the simulated Asterisk.
async fn behind_tls(folder: &Path, pbx: SocketAddr) -> SocketAddr {
    let chain = CertificateDer::pem_file_iter(folder.join("cert.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut tls) = acceptor.accept(socket).await else { return };
                let mut plain = TcpStream::connect(pbx).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut tls, &mut plain).await;
            });
        }
    });
    address
}

/// What a link with these TLS settings comes to first.
async fn first_state(folder: &Path, to: &str, tls: &str) -> LinkState {
    let secret = folder.join("secret");
    fs::write(&secret, "demo").unwrap();
    let text = format!(
        "asterisk:\n  id: pbx1\n  trunks: ['PJSIP/trunk*']\n  {to}, user: linecard, secret: {{file: {}}}, tls: {{{tls}}}}}\n",
        secret.display()
    );
    let settings: switches::Settings = files::read("pbx1.yaml", &text).unwrap().value;
    let (out, mut said) = mpsc::channel::<Said>(64);
    let (_commands, receiver) = mpsc::channel(1);
    let stop = CancellationToken::new();
    let (_nobody, places) = tokio::sync::watch::channel(linecard::calls::seats::Places::default());
    let stats = Stats::new(&settings);
    let seen = stats.clone();
    let link = switches::live::run(Arc::new(settings.clone()), stats, places, Vec::new(), out, receiver, stop.clone());
    let heard = async {
        loop {
            if let Heard::Link(state) = said.recv().await.expect("the link lives").what {
                // The authority signs for two days.
                let days = seen.certificate_ends().map(|end| (end.0 - linecard::live::now().wall.0) / 3_600_000);
                assert_eq!(days.is_some(), matches!(state, LinkState::Up { .. }), "{state:?}");
                assert!(days.is_none_or(|hours| (46..=48).contains(&hours)), "{days:?}");
                return state;
            }
        }
    };
    tokio::select! {
        state = tokio::time::timeout(PATIENCE, heard) => state.expect("the link says something"),
        () = link => panic!("the link ended by itself"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_ends_soon_is_an_alert_whoever_has_it() {
    use linecard::{
        connectors::{self, Ask, Connectors, Outcome, Priority, Set},
        watch::{
            self, Metrics,
            alerts::{
                Rules,
                live::{Switch, Watcher},
            },
        },
        words::Wall,
    };
    let folder = authority_of("IP:127.0.0.1");
    let (_keep, is_open) = super::limits::open();
    let (desk, _) = super::limits::system(|_, _: &str| super::limits::good(), is_open).await;
    let address = behind_tls(folder.path(), desk).await;
    let text = format!(
        "connector: crm\nschema: 1\nbase_url: \"https://{address}\"\ntls_ca: {}\noperations:\n  check:\n    steps: [{{name: who, path: /me, outcome: [{{status: [200], is: ok}}]}}]\n    output: {{login: body.login}}\n",
        folder.path().join("ca.pem").display()
    );
    let crm = Connectors::new(Set::new(vec![connectors::load("crm.yaml", &text).unwrap()]));
    let ask = Ask {
        tenant: Default::default(),
        system: "crm".into(),
        operation: "check".to_owned(),
        inputs: serde_json::Map::new(),
        deadline: PATIENCE,
        priority: Priority::Pop,
    };
    assert_eq!(crm.standing()[0].certificate_ends, None);
    let outcome = crm.run(ask).await;
    assert!(matches!(outcome, Outcome::Ok(_)), "{outcome:?}");
    // Ours, as the door shows it; a switch's; the system's.
    let own = linecard::live::chain_ends(&folder.path().join("cert.pem")).unwrap();
    assert_eq!(crm.standing()[0].certificate_ends, Some(own));
    let switches = move || vec![Switch { id: "pbx1".into(), certificate_ends: Some(own), ..Switch::default() }];
    let (metrics, registry) = Metrics::new();
    let rules = Arc::new(arc_swap::ArcSwap::from_pointee(Rules::read("alerts.yaml", None, &|_| true).unwrap()));
    let kept = folder.path().join("watch");
    let mut watcher = Watcher::new(crm, metrics, Box::new(switches), rules, &kept)
        .with_certificates(vec![("agents' door".to_owned(), own)]);
    let before = |days: i64| Wall(own.0 - days * 86_400_000);
    watcher.look(before(30)).await;
    assert!(!watch::render(&registry).contains("linecard_alerts{"));
    watcher.look(before(20)).await;
    let page = watch::render(&registry);
    let line = format!("linecard_system_certificate_end_seconds{{system=\"crm\"}} {}", own.0 / 1000);
    assert!(page.contains(&line), "{line}: {page}");
    for subject in ["agents' door", "pbx1 certificate", "crm certificate"] {
        let line = format!("linecard_alerts{{alert=\"certificate\",subject=\"{subject}\"}} 1");
        assert!(page.contains(&line), "{line}: {page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ami_over_tls_comes_up_with_the_right_authority_and_name_and_not_otherwise() {
    let folder = authority();
    let pbx = Pbx::start(PbxSettings::default(), 1, SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let to = format!("ami: {{host: 127.0.0.1, port: {}", behind_tls(&folder.0, pbx.address()).await.port());
    comes_up_only_with_the_right_authority_and_name(&folder.0, &to).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ari_over_tls_comes_up_with_the_right_authority_and_name_and_not_otherwise() {
    let folder = authority();
    let to = format!("ari: {{url: 'https://127.0.0.1:{}'", behind_tls(&folder.0, ari().await).await.port());
    comes_up_only_with_the_right_authority_and_name(&folder.0, &to).await;
}

/// As much of ARI as a link asks for on a switch where nothing happens: events by WebSocket, who it is, and empty lists.
async fn ari() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut head = [0; 64];
                let n = socket.peek(&mut head).await.unwrap_or(0);
                if head[..n].starts_with(b"GET /ari/events?") {
                    let mut events = tokio_tungstenite::accept_async(socket).await.unwrap();
                    while let Some(Ok(_)) = futures_util::StreamExt::next(&mut events).await {}
                    return;
                }
                let mut asked = Vec::new();
                while socket.read_buf(&mut asked).await.is_ok_and(|n| n > 0) {
                    if !asked.windows(4).any(|w| w == b"\r\n\r\n") {
                        continue;
                    }
                    let info = asked.starts_with(b"GET /ari/asterisk/info");
                    let body = if info { r#"{"system":{"version":"22.10.1"}}"# } else { "[]" };
                    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                    socket.write_all(answer.as_bytes()).await.unwrap();
                    asked.clear();
                }
            });
        }
    });
    address
}

async fn comes_up_only_with_the_right_authority_and_name(folder: &Path, to: &str) {
    let file = |name: &str| folder.join(name).display().to_string();
    let good = format!("ca_file: {}, server_name: pbx.example.com", file("ca.pem"));
    assert!(matches!(first_state(folder, to, &good).await, LinkState::Up { .. }));
    for wrong in [
        format!("ca_file: {}, server_name: pbx.example.com", file("other.pem")),
        format!("ca_file: {}, server_name: other.example.com", file("ca.pem")),
    ] {
        let state = first_state(folder, to, &wrong).await;
        assert!(matches!(&state, LinkState::Down { reason } if reason.contains("TLS")), "{wrong}: {state:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agents_door_speaks_tls() {
    let folder = authority();
    let door = crate::agents::desk::Desk::open(|settings| {
        settings.tls =
            Some(linecard::agents::Tls { certificate: folder.0.join("cert.pem"), key: folder.0.join("key.pem") });
    })
    .await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.0.join("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let socket = TcpStream::connect(door.address).await.unwrap();
    let name = ServerName::try_from("pbx.example.com").unwrap();
    let mut tls = TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap();
    tls.write_all(b"GET / HTTP/1.1\r\nHost: pbx.example.com\r\n\r\n").await.unwrap();
    let mut page = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, tls.read_to_end(&mut page)).await.expect("an answer comes");
    assert!(page.starts_with(b"HTTP/1.1 200 OK"), "{}", String::from_utf8_lossy(&page));
}
