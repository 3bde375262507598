//! What lies between a business system and us: compressed answers, bombs among them, and HTTP/2 where the server has it.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use linecard::connectors::{self, Ask, Connectors, Outcome, Priority, Set};
use miniz_oxide::{
    MZFlush,
    deflate::{core::CompressorOxide, stream::deflate},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::{TlsAcceptor, rustls};

const FILE: &str = r#"
connector: line
schema: 1
variables: {url: {text: ""}}
base_url: "{{ url }}"
MORE
operations:
  finance:
    steps: [{name: f, path: /f, outcome: [{status: [200], is: ok}]}]
    output: {answer: body}
"#;

fn connectors(url: String, more: &str) -> Connectors {
    let values = BTreeMap::from([("url".to_owned(), url)]);
    let system =
        connectors::load_with("line.yaml", &FILE.replace("MORE", more), &values).unwrap_or_else(|p| panic!("{p:#?}"));
    Connectors::new(Set::new(vec![system]))
}

async fn finance(connectors: &Connectors) -> Outcome {
    let ask = Ask {
        tenant: "default".into(),
        system: "line".into(),
        operation: "finance".to_owned(),
        inputs: json!({"customer": {"id": 7}}).as_object().unwrap().clone(),
        deadline: Duration::from_secs(20),
        priority: Priority::Pop,
    };
    connectors.run(ask).await
}

/// One answer over a socket: its head, and then each part as often as is said, as long as somebody reads.
async fn answered(encoding: &str, parts: Vec<(Vec<u8>, usize)>) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let line = connectors(format!("http://{}", listener.local_addr().unwrap()), "");
    let head = format!(
        "HTTP/1.1 200 X\r\nContent-Type: application/json\r\nContent-Encoding: {encoding}\r\nConnection: close\r\n\r\n"
    );
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(socket.read_u8().await.unwrap());
        }
        let request = String::from_utf8(request).unwrap();
        let accepts = request.lines().find_map(|l| l.strip_prefix("accept-encoding: ")).unwrap();
        assert!(["gzip", "deflate", "br"].iter().all(|kind| accepts.contains(kind)), "{accepts}");
        socket.write_all(head.as_bytes()).await.unwrap();
        for (part, times) in parts {
            for _ in 0..times {
                if socket.write_all(&part).await.is_err() {
                    return;
                }
            }
        }
    });
    finance(&line).await
}

/// Raw deflate (RFC 1951) that ends at a byte and depends on nothing before it; with `last` it ends the stream.
fn deflated(text: &[u8], last: bool) -> Vec<u8> {
    let mut state = CompressorOxide::default();
    state.set_format_and_level(miniz_oxide::DataFormat::Raw, 6);
    let mut out = vec![0; text.len() + 64];
    let result = deflate(&mut state, text, &mut out, if last { MZFlush::Finish } else { MZFlush::Full });
    assert_eq!(result.bytes_consumed, text.len());
    out.truncate(result.bytes_written);
    out
}

/// A stored block of brotli (RFC 7932, section 9.2) and its empty last one.
fn brotli(text: &[u8]) -> Vec<u8> {
    let head = u32::try_from(text.len() - 1).unwrap() << 4 | 1 << 20;
    [&head.to_le_bytes()[..3], text, &[3]].concat()
}

const GZIP: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
const ZLIB: [u8; 2] = [0x78, 0x9c];

#[tokio::test]
async fn compressed_answers_are_read_and_torn_ones_are_none() {
    let text = json!({"name": "陈静", "list": vec!["的"; 500]}).to_string().into_bytes();
    let crc = text.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    });
    let adler = text.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65521;
        (a, (b + a) % 65521)
    });
    let gzip = [&GZIP[..], &deflated(&text, true), &(!crc).to_le_bytes(), &(text.len() as u32).to_le_bytes()].concat();
    let zlib = [&ZLIB[..], &deflated(&text, true), &(adler.1 << 16 | adler.0).to_be_bytes()].concat();
    for (encoding, bytes) in [("gzip", gzip), ("deflate", zlib), ("br", brotli(&text))] {
        let whole: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(
            answered(encoding, vec![(bytes.clone(), 1)]).await,
            Outcome::Ok(json!({"answer": whole})),
            "{encoding}"
        );
        let half = bytes[..bytes.len() / 2].to_vec();
        let outcome = answered(encoding, vec![(half, 1)]).await;
        assert!(matches!(outcome, Outcome::Busy { .. } | Outcome::Broken { .. }), "{encoding}: {outcome:?}");
        let outcome = answered(encoding, vec![(text.clone(), 1)]).await;
        assert!(matches!(outcome, Outcome::Busy { .. } | Outcome::Broken { .. }), "{encoding}: {outcome:?}");
    }
}

/// Most memory that this process ever had, in MiB.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() / 1024
}

/// 2 GiB of spaces in 2 MB.
#[tokio::test]
async fn a_bomb_is_left_unread_after_the_first_mebibyte() {
    let spaces = deflated(&vec![b' '; 1 << 20], false);
    assert!(spaces.len() < 2048, "{}", spaces.len());
    for (encoding, head) in [("gzip", &GZIP[..]), ("deflate", &ZLIB[..])] {
        let before = peak();
        let outcome = answered(encoding, vec![(head.to_vec(), 1), (spaces.clone(), 2048)]).await;
        assert!(
            matches!(&outcome, Outcome::Broken { reason } if reason.contains("larger than 1048576 bytes")),
            "{encoding}: {outcome:?}"
        );
        // Other tests of this process may take some too.
        assert!(peak() - before < 256, "{encoding}: from {before} to {} MiB", peak());
    }
}

/// A TLS server on 127.0.0.1 that offers these protocols and answers with the version that was spoken.
#[tokio::test]
async fn http_2_is_spoken_where_a_tls_server_has_it() {
    let folder = crate::tls::authority_of("IP:127.0.0.1");
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(folder.path().join("cert.pem")).unwrap().map(Result::unwrap).collect();
    for (offers, spoken) in [(&["h2", "http/1.1"][..], "HTTP/2.0"), (&["http/1.1"], "HTTP/1.1"), (&[], "HTTP/1.1")] {
        let key = PrivateKeyDer::from_pem_file(folder.path().join("key.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain.clone(), key)
            .unwrap();
        config.alpn_protocols = offers.iter().map(|name| name.as_bytes().to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let tls = acceptor.accept(socket).await.unwrap();
                let answer = |request: hyper::Request<hyper::body::Incoming>| async move {
                    let version = json!(format!("{:?}", request.version())).to_string();
                    request.into_body().collect().await.unwrap();
                    let response = hyper::Response::builder().header("content-type", "application/json");
                    Ok::<_, Infallible>(response.body(Full::new(bytes::Bytes::from(version))).unwrap())
                };
                let service = hyper::service::service_fn(answer);
                tokio::spawn(async move {
                    let _ = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(tls), service)
                        .await;
                });
            }
        });
        let ca = folder.path().join("ca.pem");
        let line = connectors(format!("https://{address}"), &format!("tls_ca: {}", ca.display()));
        for _ in 0..3 {
            assert_eq!(finance(&line).await, Outcome::Ok(json!({"answer": spoken})), "{offers:?}");
        }
        // By HTTP/2 many questions share it.
        if spoken == "HTTP/2.0" {
            let many = futures_util::future::join_all((0..4).map(|_| finance(&line))).await;
            assert!(many.iter().all(|outcome| matches!(outcome, Outcome::Ok(_))));
            assert_eq!(connections.load(Ordering::SeqCst), 1);
        }
    }
}
