//! What a connector's file says of bodies: where something stands in them, what kinds there are, in which character set they go out and how answers are read.

use std::{collections::BTreeMap, time::Duration};

use linecard::connectors::{self, Ask, Connectors, Outcome, Priority, Set};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// A file of one operation: `HEAD` between the base address and the operations, `STEP` of its one step.
const FILE: &str = r#"
connector: bodies
schema: 1
variables:
  url: {text: "http://bodies.example/api"}
  key: {secret: {env: LINECARD_TEST_BODIES}}
base_url: "{{ url }}"
HEAD
operations:
  finance:
    steps:
      - name: f
        method: POST
        path: /f
        STEP
        outcome: [{status: [200], is: ok}]
    output: {balance: body}
"#;

fn file(head: &str, step: &str) -> String {
    FILE.replace("HEAD", head).replace("STEP", step)
}

/// What is told of a file that cannot be: each problem as one line.
fn told(text: &str) -> Vec<String> {
    let problems = connectors::load_offline("bodies.yaml", text).err().unwrap_or_default();
    assert!(problems.iter().all(|p| p.line > 0), "{problems:#?}");
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn a_place_that_a_body_does_not_have_is_told_when_the_file_is_read() {
    let sign = |place: &str| format!("sign: {{value: 'secret.key | md5 | hex', body: {place}}}");
    let token = |login: &str| {
        format!(
            "auth: {{session: {{login: {{path: /login, body: {{json: {{}}}}, {login}outcome: [{{status: [200], is: ok}}]}}, token: {{value: body.t, body: /params/1}}}}}}"
        )
    };
    for (head, step, wanted) in [
        (
            sign("/sign"),
            "query: {a: b}",
            "operations.finance.steps[0]: the signature has no place: this request has no body",
        ),
        (
            sign("/sign"),
            "body: {raw: {content_type: text/plain, text: x}}",
            "steps[0].body: the signature has no place: this request's body is a text",
        ),
        (sign("/a/b/sign"), "body: {json: {a: {c: 1}}}", "the body has no place \"/a/b/sign\""),
        (sign("/a/sign"), "body: {json: {a: 7}}", "the body has no place \"/a/sign\""),
        (sign("/a/sign"), "body: {form: {a: 'x {{ url }}'}}", "the body has no place \"/a/sign\""),
        (sign("/a/2"), "body: {json: {a: [1, 2]}}", "the body has no place \"/a/2\""),
        (sign("/sign"), "body: {xml: {r: {a: 1}}}", "XML has one root"),
        (
            token(""),
            "body: {json: {params: [1]}}",
            "the session's token has no place: the body has no place \"/params/1\"",
        ),
        (
            token("sign: {value: \"'x'\", body: /a/b}, "),
            "body: {json: {params: [1, '']}}",
            "auth.session.login.body: the signature has no place",
        ),
    ] {
        let told = told(&file(&head, step));
        assert!(told.iter().any(|t| t.contains(wanted)), "{head} {step}: {told:#?}");
    }
    // The next to last may be there, and what a template makes is seen when it is made.
    for (place, step) in [
        ("/sign", "body: {json: {a: 1}}"),
        ("/a/1/sign", "body: {json: {a: [1, {}]}}"),
        ("/a/b/sign", "body: {json: {a: '{{ customer }}'}}"),
        ("/r/sign", "body: {xml: {r: {a: 1}}}"),
    ] {
        assert_eq!(told(&file(&sign(place), step)), [""; 0], "{place} {step}");
    }
}

/// Where requests of a test end: what each was, and the answer that it gets.
async fn asked(head: &str, step: &str, answer: &str, inputs: Value) -> (Outcome, Vec<u8>) {
    asked_of(&file(head, step), "finance", answer.as_bytes(), inputs).await
}

async fn asked_of(text: &str, operation: &str, answer: &[u8], inputs: Value) -> (Outcome, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let folder = std::env::temp_dir().join(format!("linecard-bodies-{}", ulid::Ulid::new()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("key"), "s3cret").unwrap();
    let text = text.replace("{env: LINECARD_TEST_BODIES}", &format!("{{file: {}/key}}", folder.display()));
    let values = BTreeMap::from([("url".to_owned(), format!("http://{address}/api"))]);
    let system = connectors::load_with("bodies.yaml", &text, &values).unwrap_or_else(|p| panic!("{p:#?}"));
    std::fs::remove_dir_all(&folder).unwrap();
    let connectors = Connectors::new(Set::new(vec![system]));
    let answer = answer.to_vec();
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        loop {
            let mut part = [0_u8; 4096];
            let n = socket.read(&mut part).await.unwrap();
            assert_ne!(n, 0, "half a request: {}", String::from_utf8_lossy(&request));
            request.extend_from_slice(&part[..n]);
            if let Some((head, body)) = halves(&request) {
                let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")?.parse().ok());
                if body.len() >= length.unwrap_or(0) {
                    // An id of ours is repeated, as a server does.
                    let id = String::from_utf8_lossy(body)
                        .split_once("\"id\":")
                        .map(|(_, id)| id.chars().take_while(char::is_ascii_digit).collect::<String>());
                    let answer = match id {
                        Some(id) => String::from_utf8_lossy(&answer).replace("\"ID\"", &id).into_bytes(),
                        None => answer,
                    };
                    socket.write_all(&answer).await.unwrap();
                    return request;
                }
            }
        }
    });
    let ask = Ask {
        tenant: "default".into(),
        system: "bodies".into(),
        operation: operation.to_owned(),
        inputs: inputs.as_object().unwrap().clone(),
        deadline: Duration::from_secs(5),
        priority: Priority::Pop,
    };
    let outcome = connectors.run(ask).await;
    server.abort();
    (outcome, server.await.unwrap_or_default())
}

fn halves(request: &[u8]) -> Option<(String, &[u8])> {
    let at = request.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some((String::from_utf8_lossy(&request[..at]).into_owned(), &request[at + 4..]))
}

fn http(status: u16, kind: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn customer() -> Value {
    json!({"customer": {"id": 7, "name": "陈静 <\"&'>"}})
}

/// Each kind as it goes over the line, and its good answer.
#[tokio::test]
async fn every_kind_of_body_is_sent_as_its_standard_has_it() {
    let name = "陈静 <\"&'>";
    for (step, answer, head, body, balance) in [
        (
            "body: {json: {FilterString: {json_text: {no: '{{ customer.id }}', in: [{json_text: '{{ customer.name }}'}]}}, none: {json_text: '{{ omit }}'}}}",
            http(200, "application/json", "{\"a\": 1}"),
            "content-type: application/json",
            json!({"FilterString": json!({"no": 7, "in": [json!(name).to_string()]}).to_string()}).to_string(),
            json!({"a": 1}),
        ),
        (
            "body: {form: {biz: {json_text: {so_ids: ['{{ customer.id }}']}}}}",
            http(200, "application/json", "{\"a\": 1}"),
            "content-type: application/x-www-form-urlencoded",
            "biz=%7B%22so_ids%22%3A%5B7%5D%7D".to_owned(),
            json!({"a": 1}),
        ),
        (
            "body: {xmlrpc: {method: customer.get, params: ['{{ customer.id }}', '{{ customer.name }}', '{{ omit }}']}}",
            http(200, "text/xml", "<methodResponse><params><param><value><double>1.50</double></value></param></params></methodResponse>"),
            "content-type: text/xml",
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><methodCall><methodName>customer.get</methodName><params><param><value><int>7</int></value></param>\
            <param><value><string>陈静 &lt;&quot;&amp;&apos;&gt;</string></value></param></params></methodCall>".to_owned(),
            serde_json::from_str("{\"result\": 1.50}").unwrap(),
        ),
        (
            "body: {soap: {action: 'urn:{{ customer.id }}', namespaces: {t: urn:t}, body: {'t:Get': {'t:z': '{{ customer.id }}', 't:a': '{{ customer.name }}'}}}}",
            http(200, "text/xml", "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body><GetResponse><r>1</r></GetResponse></s:Body></s:Envelope>"),
            "soapaction: \"urn:7\"",
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:t=\"urn:t\"><soap:Body><t:Get>\
            <t:z>7</t:z><t:a>陈静 &lt;&quot;&amp;&apos;&gt;</t:a></t:Get></soap:Body></soap:Envelope>".to_owned(),
            json!({"GetResponse": {"r": "1"}}),
        ),
        (
            "body: {graphql: {query: 'query C($id: ID!) { customer(id: $id) { balance } }', variables: {id: '{{ customer.name }}'}, operation: C}}",
            http(200, "application/json", "{\"data\": {\"customer\": null}}"),
            "content-type: application/json",
            json!({"query": "query C($id: ID!) { customer(id: $id) { balance } }", "variables": {"id": name}, "operationName": "C"}).to_string(),
            json!({"data": {"customer": null}}),
        ),
        (
            "decode: form\n        body: {xml: {r: {z: 1, a: '{{ customer.id }}'}}}",
            http(200, "text/plain", "balance=1%20000&list=a&list=b"),
            "content-type: application/xml",
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><r><z>1</z><a>7</a></r>".to_owned(),
            json!({"balance": "1 000", "list": ["a", "b"]}),
        ),
    ] {
        let (outcome, request) = asked("", step, &answer, customer()).await;
        let (sent_head, sent) = halves(&request).unwrap();
        assert!(sent_head.starts_with("POST /api/f HTTP/1.1") && sent_head.contains(&format!("\r\n{head}")), "{step}: {sent_head}");
        assert_eq!(String::from_utf8_lossy(sent), body, "{step}");
        assert_eq!(outcome, Outcome::Ok(json!({"balance": balance})), "{step}");
    }
}

#[tokio::test]
async fn parameters_in_the_address_are_a_form_to_a_signature_and_no_body() {
    let sign = "sign: {value: \"(form | pairs(equals='', between='')) ~ secret.key | md5 | hex\", body: /sign}";
    let step = "query: {v: 1}\n        body: {query: {app: 'a b', id: '{{ customer.id }}', none: '{{ omit }}'}}";
    let get = file(sign, step).replace("method: POST", "method: GET");
    let (outcome, request) = asked_of(&get, "finance", http(200, "application/json", "1").as_bytes(), customer()).await;
    assert_eq!(outcome, Outcome::Ok(json!({"balance": 1})));
    let (head, body) = halves(&request).unwrap();
    // md5("s3cret"), with Python's hashlib: a filter binds closer than `~`.
    let signature = "appa bid733e1b232a4e6fa0028a6670753749a17".replace(' ', "%20");
    assert!(head.starts_with(&format!("GET /api/f?app=a%20b&id=7&sign={signature}&v=1 HTTP/1.1")), "{head}");
    assert!(body.is_empty() && !head.contains("content-type"), "{head}");
    let told = told(&file(sign, step));
    assert!(told.iter().any(|t| t.contains("steps[0].body: this request has a body")), "{told:#?}");
}

#[tokio::test]
async fn a_call_by_json_rpc_has_an_id_of_its_own_and_takes_no_other_answer() {
    let step = "body: {jsonrpc: {method: call, params: {id: '{{ customer.id }}'}}}";
    let good = http(200, "application/json", "{\"jsonrpc\": \"2.0\", \"result\": {\"a\": 1}, \"id\": \"ID\"}        ");
    let mut ids = Vec::new();
    for _ in 0..2 {
        let (outcome, request) = asked("", step, &good, customer()).await;
        assert!(matches!(&outcome, Outcome::Ok(value) if value["balance"]["result"] == json!({"a": 1})), "{outcome:?}");
        let (_, body) = halves(&request).unwrap();
        let call: Value = serde_json::from_slice(body).unwrap();
        assert_eq!(
            (&call["jsonrpc"], &call["method"], &call["params"]),
            (&json!("2.0"), &json!("call"), &json!({"id": 7}))
        );
        ids.push(call["id"].as_u64().unwrap());
    }
    assert_ne!(ids[0], ids[1]);
    let other = http(200, "application/json", "{\"jsonrpc\": \"2.0\", \"result\": 1, \"id\": 0}");
    let (outcome, _) = asked("", step, &other, customer()).await;
    assert!(matches!(&outcome, Outcome::Broken { reason } if reason.contains("its id is not ours")), "{outcome:?}");
}

/// The rule of the file says that status 200 is good, and it is not.
#[tokio::test]
async fn a_fault_is_never_a_success() {
    let soap = "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body><s:Fault><faultcode>s:Server</faultcode><faultstring>secret words</faultstring></s:Fault></s:Body></s:Envelope>";
    let xmlrpc = "<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>3</int></value></member><member><name>faultString</name><value>secret words</value></member></struct></value></fault></methodResponse>";
    for (step, answer, when) in [
        ("body: {soap: {body: {}}}", http(200, "text/xml", soap), "body.fault.code == 'Server'"),
        ("body: {soap: {version: '1.2', body: {}}}", http(200, "text/xml", soap), "'words' in body.fault.reason"),
        ("body: {xmlrpc: {method: m}}", http(200, "text/xml", xmlrpc), "body.fault.code == 3"),
        (
            "body: {jsonrpc: {method: m}}",
            http(200, "application/json", "{\"error\": {\"code\": 100}, \"id\": \"ID\"}          "),
            "body.error.code == 100",
        ),
        (
            "body: {graphql: {query: '{ a }'}}",
            http(200, "application/json", "{\"errors\": [{\"message\": \"secret words\"}]}"),
            "body.errors",
        ),
    ] {
        let (outcome, _) = asked("", step, &answer, customer()).await;
        assert!(
            matches!(&outcome, Outcome::Broken { reason } if reason.ends_with("it is a fault")),
            "{step}: {outcome:?}"
        );
        let denied = file("", step).replace("outcome: [", &format!("outcome: [{{when: \"{when}\", is: denied}}, "));
        let (outcome, _) = asked_of(&denied, "finance", answer.as_bytes(), customer()).await;
        assert!(matches!(outcome, Outcome::Denied { .. }), "{step}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_key_goes_into_the_body_where_the_file_says() {
    let head = "auth: {key: {secret: key, body: /params/1}}";
    let step = "body: {xmlrpc: {method: m, params: [db, '', x]}}";
    let answer =
        http(200, "text/xml", "<methodResponse><params><param><value>ok</value></param></params></methodResponse>");
    let (outcome, request) = asked(head, step, &answer, customer()).await;
    assert_eq!(outcome, Outcome::Ok(json!({"balance": {"result": "ok"}})));
    let (_, body) = halves(&request).unwrap();
    assert!(
        String::from_utf8_lossy(body)
            .contains("<string>db</string></value></param><param><value><string>s3cret</string>")
    );
    for (step, wanted) in [
        ("body: {xmlrpc: {method: m, params: [db]}}", "the body has no place \"/params/1\""),
        ("query: {a: b}", "the key has no place: this request has no body"),
        ("body: {json: {params: {json_text: {'1': x}}}}", "the body has no place \"/params/1\""),
    ] {
        let told = told(&file(head, step));
        assert!(told.iter().any(|t| t.contains(wanted)), "{step}: {told:#?}");
    }
}

#[test]
fn mistakes_of_bodies_have_their_places() {
    for (step, wanted) in [
        ("body: {graphql: {query: '{ a(id: \"{{ customer.id }}\") }'}}", "body.graphql.query: a query is no template"),
        ("body: {soap: {namespaces: {soap: urn:x}, body: {}}}", "namespaces.soap: this cannot be a prefix"),
        ("body: {soap: {version: '2.0', body: {}}}", "body.soap.version"),
        ("body: {jsonrpc: {method: m, params: 7}}", "these are no parameters"),
        ("body: {json: {a: 1}}\n        decode: jsonrpc", "decode: this request is no call by JSON-RPC"),
        ("body: {json: {a: {json_text: '{{ custmer }}'}}}", "body.json.a.json_text: \"custmer\" is not known here"),
        ("body: {xmlrpc: {method: '{{ nobody }}', params: []}}", "\"nobody\" is not known here"),
    ] {
        let told = told(&file("", step));
        assert!(told.iter().any(|t| t.contains(wanted)), "{step}: {told:#?}");
    }
}

/// A text in GBK as bytes.
fn gbk(text: &str) -> Vec<u8> {
    encoding_rs::GBK.encode(text).0.into_owned()
}

/// What goes out, by kind, with the bytes of 陈静 as Python's codec has them: B3 C2 BE B2.
#[tokio::test]
async fn a_request_in_gbk_is_gbk_and_says_so_and_is_signed_as_it_is() {
    use md5::{Digest as _, Md5};
    let head = "charset: gbk\nsign: {value: \"[body, secret.key] | bytes | md5 | hex\", header: X-Sign}";
    let customer = || json!({"customer": {"id": 7, "name": "陈静"}});
    for (step, kind, body) in [
        ("body: {json: {name: '{{ customer.name }}'}}", "application/json; charset=GBK", gbk("{\"name\":\"陈静\"}")),
        (
            "body: {form: {name: '{{ customer.name }}'}}",
            "application/x-www-form-urlencoded; charset=GBK",
            b"name=%B3%C2%BE%B2".to_vec(),
        ),
        (
            "body: {xml: {name: '{{ customer.name }}'}}",
            "application/xml; charset=GBK",
            gbk("<?xml version=\"1.0\" encoding=\"GBK\"?><name>陈静</name>"),
        ),
        (
            "body: {raw: {content_type: text/plain, text: 'x {{ customer.name }}'}}",
            "text/plain; charset=GBK",
            gbk("x 陈静"),
        ),
        (
            "charset: utf-8\n        body: {raw: {content_type: text/plain, text: '{{ customer.name }}'}}",
            "text/plain; charset=UTF-8",
            "陈静".into(),
        ),
    ] {
        // The answer says nothing of its character set.
        let answer =
            [http(200, "application/json", "").replace("Length: 0", "Length: 6").into_bytes(), gbk("\"陈静\"")]
                .concat();
        let (outcome, request) = asked_of(&file(head, step), "finance", &answer, customer()).await;
        let (sent_head, sent) = halves(&request).unwrap();
        assert_eq!(sent, body, "{step}");
        assert!(sent_head.contains(&format!("content-type: {kind}\r\n")), "{step}: {sent_head}");
        let signed = Md5::digest([&body[..], b"s3cret"].concat());
        let signed: String = signed.iter().map(|b| format!("{b:02x}")).collect();
        assert!(sent_head.contains(&format!("x-sign: {signed}")), "{step}: {sent_head}");
        if step.starts_with("body") {
            assert_eq!(outcome, Outcome::Ok(json!({"balance": "陈静"})), "{step}");
        }
    }
    // Nothing is sent for somebody whose name the set does not have; nobody's name is repeated.
    let rare = json!({"customer": {"id": 7, "name": "\u{20BB7}"}});
    for step in [
        "body: {json: {name: '{{ customer.name }}'}}",
        "body: {form: {name: '{{ customer.name }}'}}",
        "query: {name: '{{ customer.name }}'}",
    ] {
        let (outcome, request) = asked("charset: gbk", step, &http(200, "application/json", "1"), rare.clone()).await;
        assert!(
            matches!(&outcome, Outcome::Invalid { reason } if reason.ends_with("GBK does not have one of its characters")),
            "{outcome:?}"
        );
        assert!(request.is_empty());
    }
    let (outcome, request) = asked(
        "charset: gb18030",
        "body: {form: {name: '{{ customer.name }}'}}",
        &http(200, "application/json", "1"),
        rare,
    )
    .await;
    assert_eq!((outcome, halves(&request).unwrap().1), (Outcome::Ok(json!({"balance": 1})), &b"name=%954%B25"[..]));
}

#[tokio::test]
async fn an_answer_is_read_in_the_character_set_that_the_file_names_though_its_header_lies() {
    let inside = |bytes: Vec<u8>, kind: &str| {
        [
            format!(
                "HTTP/1.1 200 X\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                bytes.len()
            )
            .into_bytes(),
            bytes,
        ]
        .concat()
    };
    let marked = [&b"\xef\xbb\xbf"[..], "\"陈静\"".as_bytes()].concat();
    for (head, step, answer) in [
        ("answer_charset: gbk", "", inside(gbk("\"陈静\""), "application/json; charset=utf-8")),
        ("", "answer_charset: gbk", inside(gbk("\"陈静\""), "application/json; charset=utf-8")),
        ("", "", inside(gbk("\"陈静\""), "application/json;charset=\"GB2312\"")),
        ("answer_charset: gbk", "", inside(marked.clone(), "application/json; charset=gbk")),
        ("", "decode: {xml: {}}", inside(gbk("<?xml version=\"1.0\" encoding=\"GBK\"?><a>陈静</a>"), "text/xml")),
        ("answer_charset: gbk", "decode: form", inside(b"name=%B3%C2%BE%B2".to_vec(), "text/plain")),
    ] {
        let (outcome, _) = asked_of(&file(head, step), "finance", &answer, customer()).await;
        let Outcome::Ok(value) = &outcome else { panic!("{head} {step}: {outcome:?}") };
        assert!(value.to_string().contains("陈静"), "{head} {step}: {value}");
    }
    for (head, step, wanted) in [
        ("charset: gbq", "", "charset: \"gbq\" is no character set"),
        ("", "charset: utf-16le", "steps[0].charset: nothing is sent in UTF-16LE"),
        ("answer_charset: ''", "", "answer_charset: \"\" is no character set"),
        (
            "charset: gbk\nsign: {value: '(secret.key ~ body) | md5 | hex', header: X}",
            "body: {json: {}}",
            "sign.value: body is bytes in this character set",
        ),
        (
            "charset: gbk\nauth: {session: {login: {path: /l, body: {json: {}}, sign: {value: '(body ~ secret.key) | md5 | hex', header: X}, outcome: [{status: [200], is: ok}]}, cookies: [c]}}",
            "",
            "auth.session.login.sign.value: body is bytes in this character set",
        ),
    ] {
        let told = told(&file(head, step));
        assert!(told.iter().any(|t| t.contains(wanted)), "{head} {step}: {told:#?}");
    }
}

/// The examples inside a file are written as people read them, and go the same way.
#[test]
fn an_example_in_another_character_set_is_written_as_text() {
    let examples = "charset: gbk\nexamples:
  - name: gbk
    operation: finance
    inputs: {customer: {name: 陈静}}
    exchanges:
      - request: {method: POST, path: /f, json: {name: 陈静}}
        answer: {status: 200, json: 周敏}
    outcome: ok
    value: {balance: 周敏}";
    let system =
        connectors::load_offline("bodies.yaml", &file(examples, "body: {json: {name: '{{ customer.name }}'}}"))
            .unwrap_or_else(|p| panic!("{p:#?}"));
    let results = connectors::examples::run(&system);
    assert!(results.len() == 1 && results[0].result.is_ok(), "{results:#?}");
}

#[tokio::test]
async fn rows_by_position_and_codes_become_customers() {
    let text = file("tables: {kinds: {A: 企业, B: 个人}}", "body: {json: {}}")
        .replace("finance:", "customer.search:")
        .replace(
            "outcome: [{status: [200], is: ok}]",
            "outcome: [{status: [200], is: ok}]\n        records: body | columns(['id', 'name', 'kind'])",
        )
        .replace(
            "output: {balance: body}",
            "fields: {id: record.id, name: record.name, kind: record.kind | table(kinds)}",
        );
    let answer = |rows: &str| http(200, "application/json", rows);
    let search = || json!({"text": "陈"});
    let (outcome, _) =
        asked_of(&text, "customer.search", answer("[[1, \"陈静\", \"B\"], [2, \"陈氏\", \"C\"]]").as_bytes(), search())
            .await;
    assert_eq!(
        outcome,
        Outcome::Ok(json!([{"id": 1, "name": "陈静", "kind": "个人"}, {"id": 2, "name": "陈氏", "kind": "C"}]))
    );
    let (outcome, _) = asked_of(&text, "customer.search", answer("[[1, \"陈静\"]]").as_bytes(), search()).await;
    assert!(
        matches!(&outcome, Outcome::Broken { reason } if reason.ends_with("a row has 2 values where 3 were asked for")),
        "{outcome:?}"
    );
    let told = told(&text.replace("table(kinds)", "table(kind)"));
    assert!(told.iter().any(|t| t.contains("\"kind\" is not known here")), "{told:#?}");
}
