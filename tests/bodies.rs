//! What a connector's file says of bodies: where something stands in them, what kinds there are, in which character set they go out and how answers are read.

use linecard::connectors;

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
