//! `config/connectors/ldap.yaml` on a real OpenLDAP, and what a directory may do to whoever asks it.

use linecard::connectors::Outcome;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::RwLock,
};

use crate::real_kinds::{Only, env, load, pages, without};

const FILE: &str = include_str!("../config/connectors/ldap.yaml");

/// Written to by what stops the server; read by all others.
static SERVER: RwLock<()> = RwLock::const_new(());

fn directory(url: &str, user: &str, change: impl Fn(String) -> String) -> Only {
    let file = FILE.replace("\nldap:", &format!("\ntls_ca: {}\nldap:", env("LDAP_CA")));
    let values = [("url", url.to_owned()), ("base", env("LDAP_BASE")), ("user", env(user))];
    Only::new(load(&change(file), &values))
}

fn reader() -> Only {
    directory(&env("LDAP_URL"), "LDAP_READER", |file| file)
}

#[tokio::test]
async fn every_caller_of_the_real_directory_is_found_and_nobody_else() {
    let _up = SERVER.read().await;
    // By StartTLS, and by TLS from the first byte.
    for url in ["LDAP_URL", "LDAPS_URL"] {
        let system = directory(&env(url), "LDAP_READER", |file| file);
        assert_eq!(system.systems.standing()[0].certificate_ends, None);
        for (number, wanted) in [
            ("13800138000", &["C10001", "C10004"][..]),
            ("057187654321", &["C10001"]),
            ("+8613912345678", &["C10002"]),
            ("18600001111", &["C10003"]),
            ("13712345678", &["C10005"]),
            ("13712345679", &["C10005"]),
            ("+442079460958", &["C10006"]),
            ("13800138001", &["C10007"]),
            ("15900002222", &["C10010"]),
            ("13800138002", &[]),
        ] {
            assert_eq!(system.all("customer.by_phone", json!({"number": number}), "id").await, wanted, "{number}");
        }
        assert!(system.systems.standing()[0].certificate_ends.is_some());
    }
    let system = reader();
    let found = system.ok("customer.get", json!({"customer": {"id": "C10005", "type": "customer"}})).await;
    let wanted = json!({"id": "C10005", "name": "陈静", "company": null, "email": "chen.jing@mail.example",
        "mobile": ["0086-13712345678", "13712345679"], "phone": []});
    assert_eq!(found, wanted);
    assert_eq!(system.ok("check", json!({})).await, json!({"base": env("LDAP_BASE")}));
}

#[tokio::test]
async fn a_value_never_becomes_part_of_a_filter() {
    let _up = SERVER.read().await;
    let system = reader();
    for hostile in ["*", "C10001)(uid=*", "*)(|(uid=*", "\\", "\\2a", "(", ")", "&", "\u{0}"] {
        // Somebody's name holds brackets and a star; the star alone finds only that one.
        let found = system.all("customer.search", json!({"text": hostile}), "id").await;
        let wanted: &[&str] = if matches!(hostile, "*" | "(" | ")") { &["C10010"] } else { &[] };
        assert_eq!(found, wanted, "{hostile:?}");
    }
    assert_eq!(system.all("customer.search", json!({"text": "(总部)*"}), "id").await, ["C10010"]);
}

#[tokio::test]
async fn a_long_list_comes_by_the_servers_cookie_and_too_much_at_once_is_said() {
    let _up = SERVER.read().await;
    let (count, ids) = pages(&reader(), 4).await;
    assert_eq!((count, ids.len()), (3, 9), "{ids:?}");
    // An account that is given three at a time: pages are no way around it on this server, and nobody takes three for all.
    let small = directory(&env("LDAP_URL"), "LDAP_SMALL", |file| file.replace("(cn=*{{ text }}*)", "(cn=*)"));
    match small.run("customer.search", json!({"text": "x"})).await {
        Outcome::Broken { reason } => {
            assert_eq!(reason, "ldap has more that fits than it gives at once: ask more exactly, or by pages")
        }
        other => panic!("{other:?}"),
    }
    // A cookie that nobody gave, or of a connection that is gone.
    let page = json!({"offset": 4, "number": 1, "size": 4, "cursor": "99.AQ==", "url": null});
    assert!(matches!(reader().run("customer.list", json!({"page": page})).await, Outcome::Busy { .. }));
}

#[tokio::test]
async fn who_may_not_is_denied_and_who_cannot_be_trusted_is_told_nothing() {
    let _up = SERVER.read().await;
    let run = async |system: Only| system.run("check", json!({})).await;
    let denied = |outcome: Outcome| match outcome {
        Outcome::Denied { reason } => reason,
        other => panic!("{other:?}"),
    };
    let (url, ldaps) = (env("LDAP_URL"), env("LDAPS_URL"));
    let wrong = directory(&url, "LDAP_READER", |file| file.replace("{env: LDAP_PASSWORD}", "{env: LDAP_BASE}"));
    assert_eq!(denied(run(wrong).await), "ldap does not let us in (result 49)");
    let clear = |file: String| {
        file.replace("secret: password}", "secret: password, tls: false}")
            .replace(&format!("tls_ca: {}\n", env("LDAP_CA")), "")
    };
    assert_eq!(
        denied(run(directory(&url, "LDAP_READER", clear)).await),
        "ldap wants TLS before anything is told (result 13)"
    );
    for url in [&url, &ldaps] {
        let stranger = directory(url, "LDAP_READER", |file| file.replace(&env("LDAP_CA"), &env("SMTP_CA")));
        let outcome = run(stranger).await;
        assert!(matches!(&outcome, Outcome::Busy { reason } if reason.contains("certificate")), "{outcome:?}");
    }
    // What is not shown is not there.
    let secret = directory(&url, "LDAP_READER", |file| {
        file.replace("base: \"{{ base | safe }}\", scope: base", "base: \"ou=secret,dc=biz,dc=example\", scope: base")
    });
    assert_eq!(run(secret).await, Outcome::NotFound);
    let bytes = directory(&url, "LDAP_READER", |file| {
        file.replace("attributes: &attributes [", "attributes: &attributes [jpegPhoto, ")
    });
    match bytes.run("customer.get", json!({"customer": {"id": "C10001"}})).await {
        Outcome::Broken { reason } => assert!(reason.contains("\"jpegPhoto\" holds bytes"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_directory_that_was_started_anew_is_asked_as_before() {
    let system = reader();
    let get = json!({"customer": {"id": "C10001"}});
    {
        let _up = SERVER.read().await;
        futures_util::future::join_all((0..8).map(|_| system.ok("customer.get", get.clone()))).await;
    }
    without("LDAP", &SERVER, async || {
        let outcome = system.run("customer.get", get.clone()).await;
        assert!(matches!(outcome, Outcome::Busy { .. }), "{outcome:?}");
    })
    .await;
    let _up = SERVER.read().await;
    assert_eq!(system.ok("customer.get", get).await["id"], "C10001");
}

#[tokio::test]
async fn who_speaks_no_ldap_or_endless_ldap_is_refused() {
    let answer = async |bytes: Vec<u8>| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ldap://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut asked = [0; 512];
                let _ = socket.read(&mut asked).await;
                let _ = socket.write_all(&bytes).await;
            }
        });
        let system = directory(&url, "LDAP_READER", |file| file);
        system.run("check", json!({})).await
    };
    let deep: Vec<u8> =
        (0..200_000_u32).rev().flat_map(|n| [&[0x30, 0x83][..], &(n * 5).to_be_bytes()[1..]].concat()).collect();
    for (bytes, what) in [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "a web server"),
        (vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff], "a message of 4 GiB"),
        (vec![0x30, 0x05, 0x02, 0x01, 0x00, 0x78, 0x00], "a goodbye"),
        (deep, "a message that goes deep"),
        (Vec::new(), "nothing"),
    ] {
        let outcome = answer(bytes).await;
        assert!(matches!(&outcome, Outcome::Busy { .. }), "{what}: {outcome:?}");
    }
}
