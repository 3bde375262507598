//! Drafts of connector files: from an answer, an OpenAPI document, a 3CX template. A draft is right as it stands: the engine takes it, its example proves it, and nobody of the sample is in it.

use linecard::connectors::{self, System, draft, examples};
use serde_json::{Value, json};

fn asked(address: &str) -> draft::sample::Asked {
    draft::sample::Asked {
        address: Some(address.to_owned()),
        country: "CN".to_owned(),
        area: Some("571".to_owned()),
        ..Default::default()
    }
}

/// The engine takes it, and its examples pass.
fn proved(text: &str, examples_wanted: usize) -> System {
    let system = connectors::load_offline("draft.yaml", text).unwrap_or_else(|p| panic!("{p:#?}\n{text}"));
    assert!(system.draft, "{text}");
    let results = examples::run(&system);
    assert_eq!(results.len(), examples_wanted, "{text}");
    for result in results {
        assert_eq!(result.result, Ok(()), "{}\n{text}", result.name);
    }
    system
}

fn has(text: &str, wanted: &[&str]) {
    for line in wanted {
        assert!(text.contains(line), "no {line:?} in\n{text}");
    }
}

#[test]
fn a_list_of_people_becomes_a_lookup() {
    let answer = json!({
        "total": 2, "page": {"number": 1, "size": 20},
        "data": {"contacts": [
            {"contactId": 4711, "firstName": "Mei", "lastName": "Lin", "mobilePhone": "138-0013-8000", "faxNumber": "0571-86543210",
             "emails": [{"address": "mei@customer.example", "primary": true}], "company": {"id": 3, "name": "Harbour Tea"},
             "updatedAt": "2026-03-01T08:00:00Z", "orderCount": 12},
            {"contactId": 4712, "firstName": "Bo", "mobilePhone": "13900139000", "faxNumber": null,
             "emails": [], "company": null, "updatedAt": "2026-03-02T08:00:00Z", "orderCount": 0}
        ]}
    });
    let mut asked = asked("https://crm.customer.example:8443/api/v2/people?q=13800138000&fields=all&api_key=s3cret");
    asked.headers = vec![("Accept-Language".to_owned(), "zh".to_owned())];
    let text = draft::sample::draft("harbour", &answer, &asked).unwrap();
    proved(&text, 1);
    has(
        &text,
        &[
            "https://crm.customer.example:8443",
            "path: /api/v2/people",
            "q: \"{{ number.national }}\"  # 90 %: the number of the sample's caller stands here",
            "fields: all",
            "records: body.data.contacts",
            "\"body.data.contacts is sequence\"",
            "id: \"record.contactId | string\"",
            "mobile: record.mobilePhone  # 93 %",
            "((record.firstName) or '') ~ ' ' ~ ((record.lastName | default(none)) or '')",
            "(record.emails | first).address | default(none)",
            "record.company.name | default(none)",
            "query: api_key",
            "env: HARBOUR_KEY",
        ],
    );
    for somebody in ["Mei", "Lin", "mei@", "Tea", "4711", "13900139000", "138-0013", "s3cret", "86543210"] {
        assert!(!text.contains(somebody), "{somebody} is in\n{text}");
    }
}

/// Words that nobody knows: the number that was asked for tells which field is numbers, and a header that nobody knows is held for a secret.
#[test]
fn a_system_in_words_of_its_own_becomes_a_lookup() {
    let answer = json!({"success": true, "data": {"rows": [
        {"beaverNo": "B-1001", "fullName": "陈静", "reach": {"dial": "13800138000", "alt": "0571-87654321"}, "grade": "A"}]}});
    let mut asked = asked("http://127.0.0.1:8798/beaver/v3/animals/search?dial=13800138000&page=20261126");
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    asked.headers = vec![header("X-Beaver-Pass", "gnaw-2026"), header("X-Lodge", "east-7"), header("Api-Version", "3")];
    let text = draft::sample::draft("beaver", &answer, &asked).unwrap();
    proved(&text, 1);
    has(
        &text,
        &[
            "dial: \"{{ number.national }}\"  # 90 %",
            "page: \"20261126\"",
            "id: \"record.beaverNo | string\"  # 40 %",
            "mobile: record.reach.dial  # 92 %: it holds the number that was asked for",
            "phone: record.reach.alt  # 30 %",
            "header: X-Beaver-Pass",
            "# 60 %: the request has this header, and only you know whether it is a secret",
            "X-Lodge: \"\"  # 0 %",
            "Api-Version: \"3\"",
        ],
    );
    for somebody in ["gnaw", "east-7", "陈静", "B-1001", "87654321"] {
        assert!(!text.contains(somebody), "{somebody} is in\n{text}");
    }
    // An answer without anybody: the number is known by itself.
    let nobody = json!({"rows": [{"name": "X", "tel": "0571-87654321"}]});
    let text = draft::sample::draft("x", &nobody, &self::asked("https://crm.example/f?who=13800138000")).unwrap();
    has(&text, &["who: \"{{ number.national }}\"  # 60 %: it can be called: is it the caller's number?"]);
}

#[test]
fn what_answers_look_like_elsewhere() {
    let cases: [(Value, &[&str]); 4] = [
        (json!([{"id": "a-1", "name": "X", "phone": "0571-87654321"}]), &["records: body\n", "phone: record.phone"]),
        (
            json!({"code": 0, "data": {"客户编号": "K1", "姓名": "某", "手机": "13800138000", "余额": "12.50"}}),
            &[
                "records: \"[body.data]\"",
                "name: \"record['姓名']\"",
                "mobile: \"record['手机']\"",
                "balance: \"record['余额'] | money\"",
            ],
        ),
        (
            json!({"items": [{"uuid": "u", "displayName": "X", "phones": [{"type": "work", "number": "+86 138 0013 8000"}]}]}),
            &["records: \"body['items']\"", "phone: \"(record.phones | first).number\""],
        ),
        // Nothing is called an id: said, and still a file that holds together.
        (json!({"rows": [{"name": "X", "tel": "13800138000"}]}), &["# 0 %: nothing looks like an id"]),
    ];
    for (answer, wanted) in cases {
        let text = draft::sample::draft("x", &answer, &asked("https://crm.example/find?tel=00138000")).unwrap();
        proved(&text, 1);
        has(&text, wanted);
    }
    let text = draft::sample::draft(
        "x",
        &json!([{"id": 1, "name": "X", "tel": "13800138000"}]),
        &asked("https://crm.example/people/+8613800138000/card"),
    )
    .unwrap();
    has(&text, &["path: \"/people/{{ number.e164 }}/card\""]);
    let text = draft::sample::draft(
        "x",
        &json!([{"id": 1, "name": "X", "tel": "13800138000"}]),
        &asked("https://crm.example/f?end=00138000"),
    )
    .unwrap();
    has(&text, &["end: \"{{ number.national[-8:] }}\""]);
}

#[test]
fn what_is_no_answer_of_people_is_said() {
    let no = |answer: Value, address: &str| draft::sample::draft("x", &answer, &asked(address)).unwrap_err();
    assert!(no(json!({"ok": true}), "https://h.example/").contains("no customers"));
    assert!(
        no(json!([{"id": 1, "name": "X"}]), "https://h.example/")
            .contains("no field of the answer holds phone numbers")
    );
    assert!(no(json!([{"id": 1, "name": "X", "tel": "13800138000"}]), "h.example/people").contains("no whole one"));
    // Depth, width and words that would be templates.
    let deep = (0..200).fold(json!([{"id": 1, "name": "X", "tel": "13800138000"}]), |inner, _| json!({"d": inner}));
    assert!(draft::sample::draft("x", &deep, &asked("https://h.example/")).is_err());
    let odd =
        json!([{"id": 1, "na'me": "X", "name": "{{ 7 * 7 }}", "tel": "13800138000", "'~secret~'": "13800138000"}]);
    let text =
        draft::sample::draft("x", &odd, &asked("https://h.example/{{%7B1%7D}}?a={{%20secret%20}}&#: b=1")).unwrap();
    proved(&text, 1);
}

const OPENAPI: &str = r##"
openapi: 3.0.3
info: {title: Harbour CRM, version: "2"}
servers: [{url: "https://api.harbour.example/v2/"}]
paths:
  /me: {get: {summary: The current user, responses: {"200": {content: {application/json: {schema: {type: object}}}}}}}
  /contacts:
    get:
      summary: Find contacts
      parameters:
        - {$ref: "#/components/parameters/Phone"}
        - {name: limit, in: query, schema: {type: integer}}
      responses:
        "200": {content: {application/json: {schema: {$ref: "#/components/schemas/Page"}}}}
  /contacts/{id}: {get: {responses: {"200": {description: one}}}}
  /tickets: {post: {summary: Open a ticket, responses: {"201": {description: made}}}}
components:
  parameters: {Phone: {name: phone, in: query, schema: {type: string}}}
  securitySchemes: {token: {type: http, scheme: bearer}}
  schemas:
    Page: {type: object, properties: {contacts: {type: array, items: {$ref: "#/components/schemas/Contact"}}, next: {type: string}}}
    Contact:
      allOf:
        - {type: object, properties: {id: {type: integer}, name: {type: string}, mobile_phone: {type: string}}}
        - {type: object, properties: {email: {type: string, format: email}, parent: {$ref: "#/components/schemas/Contact"}}}
"##;

#[test]
fn an_openapi_document_becomes_a_lookup_and_a_check() {
    let document = serde_saphyr::from_str(OPENAPI).unwrap();
    let text = draft::openapi::draft("harbour", &document, "CN", None).unwrap();
    let system = proved(&text, 1);
    assert!(system.operation("check").is_some());
    has(
        &text,
        &[
            "title: \"Harbour CRM\"",
            "https://api.harbour.example/v2",
            "customer.by_phone:  # 85 %: GET /contacts takes \"phone\"",
            "records: body.contacts",
            "mobile: record.mobile_phone",
            "prefix: \"Bearer \"",
            "# Not drafted: POST /tickets (Open a ticket) may be ticket.create.",
        ],
    );
    // A schema that holds itself for ever, and a document that is none.
    let endless = serde_saphyr::from_str(
        &OPENAPI.replace("allOf:\n", "allOf:\n        - {$ref: \"#/components/schemas/Contact\"}\n"),
    )
    .unwrap();
    proved(&draft::openapi::draft("harbour", &endless, "CN", None).unwrap(), 1);
    assert!(draft::openapi::draft("x", &json!({"a": 1}), "CN", None).unwrap_err().contains("no OpenAPI"));
    let people =
        json!({"paths": {"/contacts": {"get": {"parameters": [{"name": "phone", "in": "query"}], "responses": {}}}}});
    let why = draft::openapi::draft("x", &people, "CN", None).unwrap_err();
    assert!(why.contains("GET /contacts has no name and number"), "{why}");
}

const TEMPLATE: &str = r#"<?xml version="1.0"?>
<Crm xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" Country="US" Name="Harbour" Version="3" SupportsEmojis="false">
  <Number Prefix="Plus" MaxLength="" />
  <Connection MaxConcurrentRequests="2" />
  <Parameters>
    <Parameter Name="BaseUrl" Type="String" Title="Server" Default="https://crm.harbour.example/" />
    <Parameter Name="AccountName" Type="String" Title="Account" Default="main" />
    <Parameter Name="ApiKey" Type="Password" Title="Key" Default="" />
  </Parameters>
  <Authentication Type="No" />
  <Scenarios>
    <Scenario Id="" Type="REST">
      <Request Url="[BaseUrl]api/[AccountName]/contacts?number=[Number]&amp;kind=person" RequestType="Get" ResponseType="Json">
        <Headers><Value Key="x-api-key" Type="String">[ApiKey]</Value></Headers>
      </Request>
      <Rules><Rule Type="Any">contacts.id</Rule></Rules>
      <Variables>
        <Variable Name="ContactId" Path="contacts.id" />
        <Variable Name="First" Path="contacts.name.first" />
        <Variable Name="Last" Path="contacts.name.last" />
        <Variable Name="Mobile" Path="contacts.phones.0.number" />
      </Variables>
      <Outputs AllowEmpty="false">
        <Output Type="ContactUrl" Value="[BaseUrl]contacts/[ContactId]" />
        <Output Type="FirstName" Value="[First]" />
        <Output Type="LastName" Value="[Last]" />
        <Output Type="PhoneMobile" Value="[Mobile]" />
        <Output Type="EntityId" Value="[ContactId]" />
      </Outputs>
    </Scenario>
    <Scenario Id="ReportCall" Type="REST"><Request Url="[BaseUrl]calls" RequestType="Post" /></Scenario>
  </Scenarios>
</Crm>"#;

#[test]
fn a_3cx_template_becomes_a_lookup_and_says_what_it_left_out() {
    let text = draft::template::draft("harbour", TEMPLATE, "CN", None).unwrap();
    proved(&text, 1);
    has(
        &text,
        &[
            "# Not carried over: the scenario \"ReportCall\".",
            "https://crm.harbour.example",
            "path: \"/api/{{ p_account_name }}/contacts\"",
            "number: \"{{ number.e164 }}\"  # 90 %: the template asks with a plus",
            "p_account_name: {text: main}",
            "header: x-api-key",
            "id: \"record.id | string\"",
            "record.phones[0].number",
            "((record.name.first | default(none)) or '')",
        ],
    );
    let no = |from: &str, to: &str| draft::template::draft("x", &TEMPLATE.replace(from, to), "CN", None).unwrap_err();
    assert!(no("<Crm ", "<Other ").contains("template"));
    assert!(no("[Number]", "[Unknown]").contains("expression"));
    assert!(no("number=[Number]", "number=1").contains("does not ask for [Number]"));
    assert!(no("RequestType=\"Get\" ResponseType", "RequestType=\"Post\" ResponseType").contains("Post"));
    assert!(no("Type=\"PhoneMobile\"", "Type=\"Title\"").contains("no number back"));
    assert!(draft::template::draft("x", "<!DOCTYPE a [<!ENTITY b \"c\">]><Crm>&b;</Crm>", "CN", None).is_err());
}
