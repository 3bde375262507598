//! Webhooks, in: who is believed, what is done, what a stranger learns.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::Duration,
};

use hmac::Mac as _;
use linecard::{
    admin::hooks::{Door, Settings, serve},
    connectors::{self, Connectors, Set, examples, hook::Heard},
    flows::{self, answers::live::Post},
    store::{self, Store},
    watch::Metrics,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use crate::sign_in::Folder;

/// Vendors' ways, with the published vectors where there are some.
const VENDORS: [(&str, &str); 9] = [
    (
        "GitHub and all that sign the body in hex (docs.github.com, Validating webhook deliveries)",
        r#"
  verify: {signature: {value: "'sha256=' ~ (text | hmac_sha256(secret.hook) | hex)", given: "headers['x-hub-signature-256']"}}
  events: [{customers: body.x}]
  examples:
    - name: the vendor's own
      secrets: {hook: "It's a Secret to Everybody"}
      headers: {X-Hub-Signature-256: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17}
      text: "Hello, World!"
      accepted: {}
    - name: one letter more
      secrets: {hook: "It's a Secret to Everybody"}
      headers: {X-Hub-Signature-256: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17}
      text: "Hello, World!!"
    - name: not signed at all
      secrets: {hook: "It's a Secret to Everybody"}
      text: "Hello, World!"
"#,
    ),
    (
        "Standard Webhooks (the specification's vector)",
        r#"
  verify: {standard: {secret: hook}}
  examples:
    - name: the vendor's own
      at: 2021-02-25T15:02:10Z
      secrets: {hook: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}
      headers: {webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek, webhook-timestamp: "1614265330", webhook-signature: "v1a,nope v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="}
      text: '{"test": 2432232314}'
      accepted: {id: msg_p5jXN8AQM9LWM0D4loKWxJek}
    - name: five minutes and ten seconds later
      at: 2021-02-25T15:07:21Z
      secrets: {hook: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}
      headers: {webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek, webhook-timestamp: "1614265330", webhook-signature: "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="}
      text: '{"test": 2432232314}'
"#,
    ),
    (
        "Zendesk: timestamp and body in base64 (developer.zendesk.com, Verifying webhook authenticity; the test secret of that page)",
        r#"
  verify:
    signature:
      value: (headers['x-zendesk-webhook-signature-timestamp'] ~ text) | hmac_sha256(secret.hook) | base64
      given: headers['x-zendesk-webhook-signature']
  time: {value: "headers['x-zendesk-webhook-signature-timestamp']", unit: rfc3339}
  id: body.id
  events:
    - {when: "body.type is startingwith('zen:event-type:user.')", customers: body.detail.id, numbers: body.detail.phone}
  examples:
    - name: a user changed
      secrets: {hook: dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==}
      headers: {X-Zendesk-Webhook-Signature-Timestamp: "2026-01-01T00:00:00Z", X-Zendesk-Webhook-Signature: ufkgXq17R8WLH1eG3mj+dvMpSkqTH3pBryvlQ7HTco8=}
      text: '{"id":"evt-1","type":"zen:event-type:user.updated","detail":{"id":"447"}}'
      accepted: {id: evt-1, customers: ["447"]}
"#,
    ),
    (
        "HubSpot, version 3: method, address, body and time (developers.hubspot.com, Validating requests)",
        r#"
  verify:
    signature:
      value: (method ~ url ~ text ~ headers['x-hubspot-request-timestamp']) | hmac_sha256(secret.hook) | base64
      given: headers['x-hubspot-signature-v3']
  time: {value: "headers['x-hubspot-request-timestamp']", unit: ms}
  each: body
  events: [{when: "item.subscriptionType is startingwith('contact.')", customers: item.objectId}]
  examples:
    - name: two events at once
      url: https://cti.example.com/v1/hooks/hub
      secrets: {hook: app-secret}
      headers: {X-HubSpot-Request-Timestamp: "1767225600000", X-HubSpot-Signature-v3: QOhOVMYG2mBmsGC40r1aoZguwXTA1MVrE4rKtlLE6/8=}
      text: '[{"eventId":100,"subscriptionType":"contact.propertyChange","objectId":123},{"eventId":101,"subscriptionType":"contact.creation","objectId":124}]'
      accepted: {customers: ["123", "124"]}
    - name: at another address
      url: https://other.example.com/v1/hooks/hub
      secrets: {hook: app-secret}
      headers: {X-HubSpot-Request-Timestamp: "1767225600000", X-HubSpot-Signature-v3: QOhOVMYG2mBmsGC40r1aoZguwXTA1MVrE4rKtlLE6/8=}
      text: '[{"eventId":100,"subscriptionType":"contact.propertyChange","objectId":123},{"eventId":101,"subscriptionType":"contact.creation","objectId":124}]'
"#,
    ),
    (
        "a plain token, two of them while one is changed, and a form",
        r#"
  verify: {signature: {value: "[secret.hook, secret.key]", given: query.token}}
  events: [{numbers: body.phone}]
  examples:
    - name: the new one
      url: https://cti.example.com/v1/hooks/cloud?token=new%20one
      secrets: {hook: new one, key: old one}
      headers: {Content-Type: application/x-www-form-urlencoded}
      text: phone=138+0013+8000&x=%E9%99%88
      accepted: {numbers: ["+8613800138000"]}
    - name: the old one
      url: https://cti.example.com/v1/hooks/cloud?token=old%20one
      secrets: {hook: new one, key: old one}
      text: "{}"
      accepted: {}
    - name: none
      secrets: {hook: new one, key: old one}
      text: "{}"
    - name: an empty one
      url: https://cti.example.com/v1/hooks/cloud?token=
      secrets: {hook: new one, key: old one}
      text: "{}"
"#,
    ),
    (
        "WeCom: a GET that wants echostr back, opened (the vendor's sample), and its XML",
        r#"
  verify: {signature: {value: "[secret.hook, query.timestamp, query.nonce, text | between('<Encrypt><![CDATA[', ']]>')] | sort(case_sensitive=true) | join | sha1 | hex", given: query.msg_signature}}
  open: "(text | between('<Encrypt><![CDATA[', ']]>')) | from_base64 | from_aes_cbc(secret.key | from_base64, (secret.key | from_base64)[:16]) | framed('wx5823bf96d3bd56c7')"
  handshake:
    method: GET
    when: query.echostr is string
    verify: {signature: {value: "[secret.hook, query.timestamp, query.nonce, query.echostr] | sort(case_sensitive=true) | join | sha1 | hex", given: query.msg_signature}}
    answer: {text: "query.echostr | from_base64 | from_aes_cbc(secret.key | from_base64, (secret.key | from_base64)[:16]) | framed('wx5823bf96d3bd56c7')"}
  examples:
    - name: the vendor's own
      method: GET
      url: https://cti.example.com/v1/hooks/cloud?msg_signature=5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3&timestamp=1409659589&nonce=263014780&echostr=P9nAzCzyDtyTWESHep1vC5X9xho%2FqYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp%2B4RPcs8TgAE7OaBO%2BFZXvnaqQ%3D%3D
      secrets: {hook: QDG6eK, key: jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C}
      answered: "1616140317555161061"
    - name: another nonce
      method: GET
      url: https://cti.example.com/v1/hooks/cloud?msg_signature=5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3&timestamp=1409659589&nonce=263014781&echostr=P9nAzCzyDtyTWESHep1vC5X9xho%2FqYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp%2B4RPcs8TgAE7OaBO%2BFZXvnaqQ%3D%3D
      secrets: {hook: QDG6eK, key: jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C}
    - name: a message, the vendor's own
      url: https://cti.example.com/v1/hooks/cloud?msg_signature=477715d11cdb4164915debcba66cb864d751f3e6&timestamp=1409659813&nonce=1372623149
      secrets: {hook: QDG6eK, key: jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C}
      text: <xml><ToUserName><![CDATA[wx5823bf96d3bd56c7]]></ToUserName><Encrypt><![CDATA[RypEvHKD8QQKFhvQ6QleEB4J58tiPdvo+rtK1I9qca6aM/wvqnLSV5zEPeusUiX5L5X/0lWfrf0QADHHhGd3QczcdCUpj911L3vg3W/sYYvuJTs3TUUkSUXxaccAS0qhxchrRYt66wiSpGLYL42aM6A8dTT+6k4aSknmPj48kzJs8qLjvd4Xgpue06DOdnLxAUHzM6+kDZ+HMZfJYuR+LtwGc2hgf5gsijff0ekUNXZiqATP7PF5mZxZ3Izoun1s4zG4LUMnvw2r+KqCKIw+3IQH03v+BCA9nMELNqbSf6tiWSrXJB3LAVGUcallcrw8V2t9EL4EhzJWrQUax5wLVMNS0+rUPA3k22Ncx4XXZS9o0MBH27Bo6BpNelZpS+/uh9KsNlY6bHCmJU9p8g7m3fVKn28H3KDYA5Pl/T8Z1ptDAVe0lXdQ2YoyyH2uyPIGHBZZIs2pDBS8R07+qN+E7Q==]]></Encrypt></xml>
      accepted: {}
    - name: the same, which another key cannot open, so that the vendor says it again
      url: https://cti.example.com/v1/hooks/cloud?msg_signature=477715d11cdb4164915debcba66cb864d751f3e6&timestamp=1409659813&nonce=1372623149
      secrets: {hook: QDG6eK, key: kWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C}
      text: <xml><ToUserName><![CDATA[wx5823bf96d3bd56c7]]></ToUserName><Encrypt><![CDATA[RypEvHKD8QQKFhvQ6QleEB4J58tiPdvo+rtK1I9qca6aM/wvqnLSV5zEPeusUiX5L5X/0lWfrf0QADHHhGd3QczcdCUpj911L3vg3W/sYYvuJTs3TUUkSUXxaccAS0qhxchrRYt66wiSpGLYL42aM6A8dTT+6k4aSknmPj48kzJs8qLjvd4Xgpue06DOdnLxAUHzM6+kDZ+HMZfJYuR+LtwGc2hgf5gsijff0ekUNXZiqATP7PF5mZxZ3Izoun1s4zG4LUMnvw2r+KqCKIw+3IQH03v+BCA9nMELNqbSf6tiWSrXJB3LAVGUcallcrw8V2t9EL4EhzJWrQUax5wLVMNS0+rUPA3k22Ncx4XXZS9o0MBH27Bo6BpNelZpS+/uh9KsNlY6bHCmJU9p8g7m3fVKn28H3KDYA5Pl/T8Z1ptDAVe0lXdQ2YoyyH2uyPIGHBZZIs2pDBS8R07+qN+E7Q==]]></Encrypt></xml>
"#,
    ),
    (
        "Microsoft Graph: validationToken as plain text. It proves nothing, so a secret stands in the address (learn.microsoft.com, Receive change notifications through webhooks)",
        r#"
  verify: {token: {secret: hook, query: key}}
  handshake: {when: query.validationToken is string, answer: {text: query.validationToken}}
  examples:
    - name: a new subscription
      url: https://cti.example.com/v1/hooks/cloud?key=a%20secret&validationToken=Validation%3A+Testing+%3Cb%3E
      secrets: {hook: a secret}
      answered: "Validation: Testing <b>"
    - name: from somebody who does not know the address
      url: https://cti.example.com/v1/hooks/cloud?key=&validationToken=Validation
      secrets: {hook: a secret}
    - name: what would tell the secret is not answered
      url: https://cti.example.com/v1/hooks/cloud?key=a%20secret&validationToken=it+is+a+secret
      secrets: {hook: a secret}
"#,
    ),
    (
        "Meta: hub.challenge by GET, proved by hub.verify_token (developers.facebook.com, Webhooks, Getting started)",
        r#"
  verify: {signature: {value: "'sha256=' ~ (text | hmac_sha256(secret.hook) | hex)", given: "headers['x-hub-signature-256']"}}
  handshake: {method: GET, when: "query['hub.mode'] == 'subscribe'", verify: {token: {secret: key, query: hub.verify_token}}, answer: {text: "query['hub.challenge']"}}
  examples:
    - name: a subscription
      method: GET
      url: https://cti.example.com/v1/hooks/cloud?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=meatyhamhock
      secrets: {hook: app-secret, key: meatyhamhock}
      answered: "1158201444"
    - name: with another token
      method: GET
      url: https://cti.example.com/v1/hooks/cloud?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=ham
      secrets: {hook: app-secret, key: meatyhamhock}
    - name: an event by GET is none
      method: GET
      headers: {X-Hub-Signature-256: sha256=ae958d6f00b134dd32b95a9a76bedaaeb068c0949769358355023f7d1a0c580b}
      secrets: {hook: app-secret, key: meatyhamhock}
      text: '{"object":"page"}'
    - name: an event
      headers: {X-Hub-Signature-256: sha256=ae958d6f00b134dd32b95a9a76bedaaeb068c0949769358355023f7d1a0c580b}
      secrets: {hook: app-secret, key: meatyhamhock}
      text: '{"object":"page"}'
      accepted: {}
"#,
    ),
    (
        "Zoom: a token is signed with the secret that signs events, so nobody but Zoom may have it signed (developers.zoom.us, Using webhooks)",
        r#"
  verify: {signature: {value: "'v0=' ~ (('v0:' ~ headers['x-zm-request-timestamp'] ~ ':' ~ text) | hmac_sha256(secret.hook) | hex)", given: "headers['x-zm-signature']"}}
  time: {value: "headers['x-zm-request-timestamp']"}
  handshake:
    when: body.event == 'endpoint.url_validation'
    answer: {json: {plainToken: body.payload.plainToken, encryptedToken: "body.payload.plainToken | hmac_sha256(secret.hook) | hex"}}
  examples:
    - name: every 72 hours
      secrets: {hook: zoom-secret}
      headers: {x-zm-request-timestamp: "1767225600", x-zm-signature: v0=4bf08501e7e63d304401c053020d3a55f58f7e55bafd81def286f9a7110d4a3e}
      text: '{"event":"endpoint.url_validation","payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"},"event_ts":1767225600000}'
      answered: '{"encryptedToken":"b17f0320a1322a509340a1a835b3d9edbc491f0b0790ed2d20d0604d39dfe922","plainToken":"qgg8vlvZRS6UYooatFL8Aw"}'
    - name: not signed
      secrets: {hook: zoom-secret}
      headers: {x-zm-request-timestamp: "1767225600"}
      text: '{"event":"endpoint.url_validation","payload":{"plainToken":"v0:1767225600:{}"},"event_ts":1767225600000}'
    - name: ten minutes later
      at: 2026-01-01T00:10:00Z
      secrets: {hook: zoom-secret}
      headers: {x-zm-request-timestamp: "1767225600", x-zm-signature: v0=4bf08501e7e63d304401c053020d3a55f58f7e55bafd81def286f9a7110d4a3e}
      text: '{"event":"endpoint.url_validation","payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"},"event_ts":1767225600000}'
"#,
    ),
];

const FILE: &str = r#"
connector: cloud
schema: 1
variables:
  hook: {secret: {env: HOOK}}
  key: {secret: {env: HOOK}}
base_url: http://cloud.example
operations:
  finance:
    steps: [{name: f, path: /f, outcome: [{status: [200], when: body.balance is defined, is: ok}]}]
    output: {balance: body.balance}
webhooks:"#;

#[test]
fn vendors_are_believed_by_their_own_vectors_and_nobody_else_is() {
    for (vendor, webhooks) in VENDORS {
        let system = connectors::load_offline("cloud.yaml", &format!("{FILE}{webhooks}"));
        let system = system.unwrap_or_else(|p| panic!("{vendor}: {p:#?}"));
        let results = examples::run(&system);
        assert!(!results.is_empty());
        for result in results {
            assert_eq!(result.result, Ok(()), "{vendor}: {}", result.name);
        }
    }
}

#[test]
fn mistakes_have_their_places() {
    for (webhooks, place) in [
        ("\n  verify: {standard: {secret: nobody}}\n", "webhooks.verify"),
        ("\n  verify: {token: {secret: hook}}\n", "webhooks.verify.token"),
        ("\n  verify: {token: {secret: hook, header: a, query: b}}\n", "webhooks.verify.token"),
        ("\n  verify: {signature: {value: body, given: text}}\n", "webhooks.verify.signature.value"),
        ("\n  verify: {standard: {secret: hook}}\n  id: secret.hook\n", "webhooks.id"),
        (
            "\n  verify: {standard: {secret: hook}}\n  handshake: {when: secret.hook == '', answer: {text: body.x}}\n",
            "webhooks.handshake.when",
        ),
        (
            "\n  verify: {standard: {secret: hook}}\n  handshake: {when: body.x, verify: {token: {secret: no, query: a}}, answer: {json: {a: boddy.x}}}\n",
            "webhooks.handshake.answer.json.a",
        ),
        ("\n  verify: {standard: {secret: hook}}\n  events: [{customers: boddy.id}]\n", "webhooks.events[0].customers"),
    ] {
        let Err(problems) = connectors::load_offline("cloud.yaml", &format!("{FILE}{webhooks}")) else {
            panic!("{webhooks}")
        };
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|told| told.contains(place)), "{webhooks}: {told:?}");
    }
}

const SECRET: &str = "a shared secret";

/// What follows an answer to a survey.
const SURVEY: &str = r#"
flow: survey
schema: 1
title: A survey was answered
on: [webhook: cloud]
when: event.score is defined
inputs:
  score: {type: text, from: "{{ event.score }}"}
steps:
  - step: {name: look, system: cloud, operation: finance, inputs: {customer: {id: "{{ event.who }}"}}}
"#;

/// A door as the daemon opens it, and who is told.
async fn door(folder: &Path, room: usize) -> (SocketAddr, mpsc::Receiver<Heard>) {
    let (address, told, _) = door_and_store(folder, room).await;
    (address, told)
}

async fn door_and_store(folder: &Path, room: usize) -> (SocketAddr, mpsc::Receiver<Heard>, Store) {
    std::fs::write(folder.join("secret"), SECRET).unwrap();
    let webhooks = r#"
  verify: {signature: {value: "text | hmac_sha256(secret.hook) | hex", given: "headers['x-sign']"}}
  time: {value: "headers['x-at']"}
  id: body.id
  events: [{customers: body.who}]
  handshake: {when: body.challenge is defined, answer: {text: body.challenge}}
"#;
    let text = format!("{FILE}{webhooks}").replace("{env: HOOK}", &format!("{{file: {}/secret}}", folder.display()));
    let system = connectors::load_with("cloud.yaml", &text, &BTreeMap::new()).unwrap_or_else(|p| panic!("{p:#?}"));
    let set = Set::new(vec![system]);
    let plan = flows::read("survey.yaml", SURVEY, &set, &BTreeSet::new()).unwrap_or_else(|p| panic!("{p:#?}"));
    let store = Store::open(&store::Settings {
        path: folder.join(format!("{:x}.db", rand::random::<u64>())),
        ..store::Settings::default()
    });
    let (store, plans) = (store.unwrap(), flows::live::Plans::default());
    plans.swap(&store, vec![Arc::new(plan)]).await.unwrap();
    let (out, told) = mpsc::channel(room);
    let door = Door::new(Connectors::new(set), &Settings::default(), folder.join("hooks"), out, Metrics::new().0)
        .beginning(plans, Post::new(store.clone(), Arc::default()), store.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, Arc::new(door), std::future::pending()));
    (address, told, store)
}

fn signed(body: &str) -> String {
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect()
}

fn request(line: &str, body: &str, sign: &str, at: i64) -> String {
    let length = body.len();
    format!(
        "{line} HTTP/1.1\r\nHost: cti.example\r\nX-Sign: {sign}\r\nX-At: {at}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

async fn send(address: SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let _ = socket.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    // All but the date.
    let text = String::from_utf8(answer).unwrap();
    text.lines().filter(|line| !line.starts_with("date:")).collect::<Vec<_>>().join("\n")
}

fn seconds() -> i64 {
    linecard::live::now().wall.0 / 1000
}

const LINE: &str = "POST /v1/hooks/cloud";

fn event(id: u32) -> String {
    let body = format!(r#"{{"id": {id}, "who": "7"}}"#);
    request(LINE, &body, &signed(&body), seconds())
}

fn customers(heard: &Heard) -> BTreeSet<String> {
    heard.customers.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_taken_once_however_often_it_comes_and_across_restarts() {
    let folder = Folder::new();
    let (address, mut told) = door(&folder.0, 64).await;
    let same = event(1);
    let all = futures_util::future::join_all((0..8).map(|_| send(address, &same))).await;
    assert!(all.iter().all(|answer| answer.starts_with("HTTP/1.1 200")), "{all:?}");
    assert_eq!(customers(&told.recv().await.unwrap()), BTreeSet::from(["7".to_owned()]));
    assert!(told.try_recv().is_err(), "eight deliveries are one event");
    // A torn write at the end of the file.
    use std::io::Write as _;
    let ids = folder.0.join("hooks/cloud.ids");
    std::fs::OpenOptions::new().append(true).open(&ids).unwrap().write_all(b"torn").unwrap();
    let (address, mut told) = door(&folder.0, 64).await;
    assert!(send(address, &same).await.starts_with("HTTP/1.1 200"));
    assert!(told.try_recv().is_err());
    assert!(send(address, &event(2)).await.starts_with("HTTP/1.1 200"));
    assert!(told.recv().await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_begins_a_flow_once_and_before_its_sender_is_told() {
    let folder = Folder::new();
    let (address, _told, store) = door_and_store(&folder.0, 64).await;
    let answered = |id: u32, score: u32| {
        let body = format!(r#"{{"id": {id}, "who": "7", "score": "{score}"}}"#);
        request(LINE, &body, &signed(&body), seconds())
    };
    let first = answered(1, 5);
    for sent in [&first, &first, &event(2), &answered(3, 2)] {
        assert!(send(address, sent).await.starts_with("HTTP/1.1 200"));
    }
    let begun = store.flows_open(10).await.unwrap();
    let mut scores: Vec<String> = begun
        .iter()
        .map(|row| {
            serde_json::from_str::<serde_json::Value>(row.body.expose()).unwrap()["cause"]["inputs"]["score"]
                .to_string()
        })
        .collect();
    scores.sort();
    assert_eq!(
        scores,
        ["\"2\"", "\"5\""],
        "one for each answer: the same event twice is one, and the second has no score"
    );
    // A flow that nothing can begin is a mistake of its file.
    let wrong = SURVEY.replace("webhook: cloud", "webhook: nobody");
    let problems = flows::read("survey.yaml", &wrong, &Set::default(), &BTreeSet::new()).err().unwrap();
    assert!(problems.iter().any(|p| p.to_string().contains("webhooks:")), "{problems:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_learns_nothing() {
    let folder = Folder::new();
    let (address, mut told) = door(&folder.0, 64).await;
    let (body, at) = (r#"{"id": 1, "who": "7"}"#, seconds());
    let sign = signed(body);
    let mut answers = BTreeSet::new();
    for request in [
        request(LINE, body, "", at),
        request(LINE, body, &sign.replace('a', "b"), at),
        request(LINE, body, &sign, at - 301),
        request(LINE, body, &sign, at + 301),
        request(LINE, body, &sign, -9_000_000_000_000_000_000),
        request("POST /v1/hooks/nobody", body, &sign, at),
        request("POST /v1/hooks/../cloud", body, &sign, at),
        request("POST /", body, &sign, at),
        request("GET /v1/hooks/cloud", body, &sign, at),
        request(LINE, &format!("{body} "), &sign, at),
    ] {
        answers.insert(send(address, &request).await);
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    let answer = answers.pop_first().unwrap();
    assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("content-length: 0"), "{answer}");
    assert!(told.try_recv().is_err());
    // More than a body may have is not read to its end.
    let large = "x".repeat(1024 * 1024 + 1);
    assert!(!send(address, &request(LINE, &large, &signed(&large), at)).await.starts_with("HTTP/1.1 200"));
    assert!(told.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_handed_on_is_to_come_again_and_then_is_taken() {
    let folder = Folder::new();
    let (address, mut told) = door(&folder.0, 1).await;
    assert!(send(address, &event(1)).await.starts_with("HTTP/1.1 200"));
    let later = send(address, &event(2)).await;
    assert!(later.starts_with("HTTP/1.1 503") && later.contains("retry-after: 10"), "{later}");
    assert!(told.recv().await.is_some());
    assert!(send(address, &event(2)).await.starts_with("HTTP/1.1 200"));
    assert!(told.recv().await.is_some());
}

/// What the address gives back is a text or JSON, never a page; to nobody but that system; and it is no event.
#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_is_answered_to_that_system_and_to_nobody_else() {
    let folder = Folder::new();
    let (address, mut told) = door(&folder.0, 64).await;
    let body = r#"{"challenge": "<script>alert(1)</script>"}"#;
    let sent = request(LINE, body, &signed(body), seconds());
    for _ in 0..2 {
        let answer = send(address, &sent).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("<script>alert(1)</script>"), "{answer}");
        assert!(answer.contains("content-type: text/plain; charset=utf-8\n"), "{answer}");
        assert!(answer.contains("x-content-type-options: nosniff"), "{answer}");
    }
    let long = format!(r#"{{"challenge": "{}"}}"#, "x".repeat(5_000));
    let bare = send(address, &request(LINE, "{}", "", seconds())).await;
    for refused in [
        request(LINE, body, "", seconds()),
        request(LINE, body, &signed(body), seconds() - 400),
        request(LINE, &long, &signed(&long), seconds()),
        request("GET /v1/hooks/cloud", body, &signed(body), seconds()),
    ] {
        assert_eq!(send(address, &refused).await, bare);
    }
    assert!(told.try_recv().is_err() && !folder.0.join("hooks").exists());
}

/// Those who connect and say nothing take their places, and only theirs.
#[tokio::test(flavor = "multi_thread")]
async fn many_silent_connections_hold_up_nobody_who_comes_within_the_bound() {
    let folder = Folder::new();
    let (address, mut told) = door(&folder.0, 64).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let answer = tokio::time::timeout(Duration::from_secs(5), send(address, &event(1))).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(told.recv().await.is_some());
}
