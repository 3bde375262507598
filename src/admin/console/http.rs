//! The console's listener: the page, signing in, and all of `/v1`.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Json, Redirect, Response},
    routing::get,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{
    Console,
    api::{Api, Line, Told},
    flows, kpis, links, oidc, people, reads,
    sign_in::{self, Credentials, SignedIn},
    tried, trunks, undelivered,
};
use crate::{
    access::Right,
    admin::hint::Hint,
    agents::pages,
    kpis::Asked,
    numbers::trunks::unmapped,
    words::refusal::{Refusal, code},
};

/// Serves until `stop` completes.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    console: Arc<Console>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let service = router(console).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(stop).await
}

/// Who may what, and what is there: the list of everything.
#[must_use]
pub fn api() -> Api<Console> {
    let line = |right, says| Line { says, right };
    let see = |says| line(Right::See, says);
    let work = |says| line(Right::Work, says);
    let change = |says| line(Right::Change, says);
    let audit = |says| line(Right::Audit, says);
    let mut api = Api::default();
    let (signed_in, credentials, told) = (api.schema::<SignedIn>(), api.schema::<Credentials>(), api.schema::<Told>());
    let json_of =
        |schema: &Value, says: &str| json!({"description": says, "content": {"application/json": {"schema": schema}}});
    let ends = |says: &str| json_of(&told, says);
    let session = json!({
        "get": {"summary": "Who is signed in, and how one can be", "operationId": "get_v1_session", "security": [],
            "responses": {"200": json_of(&signed_in, "it is so")}},
        "post": {"summary": "Sign in with an account", "operationId": "post_v1_session", "security": [],
            "parameters": [{"name": "X-Linecard", "in": "header", "required": true, "schema": {"type": "string"}}],
            "requestBody": {"required": true, "content": {"application/json": {"schema": credentials}}},
            "responses": {"200": json_of(&signed_in, "signed in; the cookie comes with it"), "400": ends("no name and password"),
                "401": ends("one of both is wrong"), "403": ends("the header is not there"), "429": ends("too many tries"), "503": ends("a part is away")}},
        "delete": {"summary": "Sign out of the console", "operationId": "delete_v1_session", "security": [],
            "parameters": [{"name": "X-Linecard", "in": "header", "required": true, "schema": {"type": "string"}}],
            "responses": {"200": json_of(&signed_in, "signed out"), "403": ends("the header is not there"), "503": ends("a part is away")}},
    });
    let asked = api.parameters::<Asked>();
    let figures = json!({"get": {"summary": "The same as CSV, UTF-8 with its mark", "operationId": "get_v1_kpis_csv", "parameters": asked,
        "responses": {"200": {"description": "the table", "content": {"text/csv": {"schema": {"type": "string"}}}},
            "400": ends("the question cannot be meant"), "401": ends("nobody is signed in"), "403": ends("whoever is signed in may not"), "503": ends("the disk")}}});
    let csv = json!({"get": {"summary": "The rows of trunks.yaml as CSV, UTF-8 with its mark", "operationId": "get_v1_trunks_csv",
        "responses": {"200": {"description": "the table", "content": {"text/csv": {"schema": {"type": "string"}}}},
            "401": ends("nobody is signed in"), "403": ends("whoever is signed in may not"), "404": ends("not for one tenant"), "422": ends("trunks.yaml is not right"), "503": ends("the disk")}}});
    api.other("/v1/session", get(sign_in::who).post(sign_in::sign_in).delete(sign_in::sign_out), session)
        .get("/v1/overview", see("What is wrong, counted"), reads::overview)
        .get("/v1/links", see("Each link to a switch: how it stands and what came over it"), reads::links)
        .post(
            "/v1/links/{switch}/{feed}/probe",
            change("Asks a switch whether it answers, over a connection of its own"),
            links::probe,
        )
        .get(
            "/v1/connectors",
            see("Each business system: figures of five minutes, limits, breakers, versions beside it"),
            reads::connectors,
        )
        .get("/v1/connectors/hour", see("How each system stood in the last hour, a point a minute"), reads::hour)
        .get("/v1/connectors/{id}/evidence", see("The last failing requests of a system, masked"), reads::evidence)
        .post(
            "/v1/connectors/{id}/try",
            change("Asks a system by an operation that reads, with inputs of one's own; answers are shown as shapes"),
            tried::attempt,
        )
        .get(
            "/v1/connectors/{id}/comparison",
            see("What a shadow answers differently, field by field, and how often"),
            reads::comparison,
        )
        .post("/v1/canaries/{id}/stop", change("No new call is asked by this file"), reads::stop)
        .post("/v1/canaries/{id}/resume", change("It goes on, with fresh figures"), reads::resume)
        .get(
            "/v1/agents",
            see("Agents: how each stands, with phones, pages and queues, and why nothing would pop"),
            people::agents,
        )
        .get("/v1/queues", see("Queues: who waits, who is in them, today"), people::queues)
        .get("/v1/records", see("Calls that were written down, newest first, masked"), reads::records)
        .get("/v1/records/{call}", see("One call: its record, and what became of it at each system"), reads::record)
        .get("/v1/undelivered", see("What is not delivered: newest first"), undelivered::list)
        .get(
            "/v1/undelivered/{key}",
            see("One of it: what is to be sent, the answers, the tries; masked"),
            undelivered::one,
        )
        .post("/v1/undelivered/retry", work("Tries these again now"), undelivered::retry)
        .post("/v1/undelivered/drop", work("Gives these up, with a reason"), undelivered::give_up)
        .get("/v1/flows", see("Flows that are not over, newest first"), flows::list)
        .get("/v1/flows/{id}", see("One flow: its steps and its tasks, masked"), flows::one)
        .post("/v1/flows/{id}/stop", work("Ends it, and takes back what was done"), flows::stop)
        .post(
            "/v1/flows/{id}/tasks/{task}",
            work("What a person found out: take, done, not-done, again"),
            flows::settle,
        )
        .get(
            "/v1/kpis",
            see("What the calls of a time come to, each figure with its definition (docs/kpis.md)"),
            kpis::answer,
        )
        .get("/v1/alerts", see("What fires now"), reads::alerts)
        .get(
            "/v1/differences",
            see("What our records, the switches and the business systems tell differently"),
            reads::differences,
        )
        .get("/v1/audit", audit("Who did what, newest first"), reads::audit)
        .get(
            "/v1/trunks/changes/{revision}",
            audit("What a change of trunks.yaml changed: rows before and after"),
            trunks::changes,
        )
        .get("/v1/settings", audit("Each key of linecard.yaml that counts, and where it came from"), reads::settings)
        .get("/v1/trunks", see("The rows of trunks.yaml, the revision, what is worth a look"), trunks::shown)
        .get("/v1/trunks/calls", see("How many calls of seven days each row takes"), trunks::calls)
        .post(
            "/v1/trunks/check",
            see("Whether these rows would be right, and what would change in the file"),
            trunks::check,
        )
        .post("/v1/trunks/try", see("What a call would come to by these rows; nothing is written"), trunks::attempt)
        .post(
            "/v1/trunks/apply",
            change("Writes these rows, if the file is still the one they were made from"),
            trunks::apply,
        )
        .post(
            "/v1/trunks/read-csv",
            see("A table as a spreadsheet saves it, as rows; nothing is written"),
            trunks::read_csv,
        )
        .get("/v1/trunks/history", see("Versions of trunks.yaml, newest first"), trunks::history)
        .get("/v1/trunks/history/{revision}", see("One version, and what it would change now"), trunks::version)
        .post("/v1/trunks/roll-back", change("Puts a version back"), trunks::roll_back)
        .other("/v1/kpis.csv", get(kpis::csv), figures)
        .other("/v1/trunks.csv", get(trunks::csv), csv)
}

/// All of `/v1` over HTTP: the console's, and what the other doors of the daemon take. `docs/protocol/openapi.json` is this.
#[must_use]
pub fn document() -> Value {
    described(&mut api()).1
}

/// What is asked at other doors, with the address that each has where nothing is said.
fn described(api: &mut Api<Console>) -> (Router<Arc<Console>>, Value) {
    let (hint, unmapped) = (api.schema::<Hint>(), api.schema::<unmapped::Line>());
    let answer = |schema: Value| json!({"200": {"description": "it is so", "content": {"application/json": {"schema": schema}}}});
    let text = |name: &str, place: &str, needed: bool| json!({"name": name, "in": place, "required": needed, "schema": {"type": "string"}});
    let at = |port: u16, says: &str| json!([{"url": format!("http://127.0.0.1:{port}"), "description": says}]);
    let admin = at(9090, "admin.listen of linecard.yaml; who reaches it may ask, except where a token is wanted");
    let (router, mut document) = std::mem::take(api).done();
    let dropped = json!({"type": "object", "properties": {"dropped": {"type": "integer"}}, "required": ["dropped"]});
    let sentence = json!({"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]});
    let wrong = json!({"description": "why not", "content": {"application/json": {"schema": sentence}}});
    let others = [
        (
            "/v1/calls/{call}/trace",
            json!({"servers": admin, "get": {"summary": "Why a call popped or did not, masked", "operationId": "get_v1_calls_call_trace",
            "security": [], "parameters": [text("call", "path", true)], "responses": answer(json!({"type": "object"}))}}),
        ),
        (
            "/v1/trunks/unmapped",
            json!({"servers": admin, "get": {"summary": "Numbers that were called and have no row, most called first",
            "operationId": "get_v1_trunks_unmapped", "security": [], "responses": answer(json!({"type": "array", "items": unmapped}))}}),
        ),
        (
            "/v1/route-hint",
            json!({"servers": admin, "get": {"summary": "Who calls, for a dialplan, within the budget (docs/route-hint.md)", "operationId": "get_v1_route_hint",
            "security": [{"source": []}], "parameters": [text("from", "query", true), text("to", "query", false), text("switch", "query", false), text("trunk", "query", false),
                text("format", "query", false), text("field", "query", false)],
            "responses": {"200": answer(hint)["200"], "400": wrong, "401": wrong, "403": wrong}}}),
        ),
        (
            "/v1/people/forget",
            json!({"servers": admin, "post": {"summary": "What was looked up for a number is dropped; from this machine alone", "operationId": "post_v1_people_forget",
            "security": [], "requestBody": {"required": true, "content": {"application/json": {"schema": {"type": "object",
                "properties": {"tenant": {"type": "string"}, "number": {"type": "string"}}, "required": ["tenant", "number"], "additionalProperties": false}}}},
            "responses": {"200": answer(dropped)["200"], "400": wrong, "403": wrong}}}),
        ),
        (
            "/v1/hooks/{connector}",
            json!({"servers": at(9091, "hooks.listen of linecard.yaml"), "post": {"summary": "A business system says that something changed (docs/webhooks.md)",
            "operationId": "post_v1_hooks_connector", "security": [], "parameters": [text("connector", "path", true)],
            "responses": {"200": {"description": "it is that system, and it was taken"}, "404": {"description": "anything else"}, "429": {"description": "too much at once"}, "503": {"description": "come later"}}}}),
        ),
    ];
    for (path, operation) in others {
        document["paths"][path] = operation;
    }
    document["components"]["securitySchemes"]["source"] = json!({"type": "http", "scheme": "bearer", "description": "a source of admin.route_hint; basic authentication is taken too"});
    (router, document)
}

fn router(console: Arc<Console>) -> Router {
    let (router, document) = described(&mut api());
    let document = Arc::new(document);
    router
        .route(
            "/v1/openapi.json",
            get(move || {
                let document = document.clone();
                async move { Json((*document).clone()) }
            }),
        )
        .route("/", get(|| async { Redirect::to("/admin") }))
        .route("/admin", get(page))
        .route("/admin/oidc", get(oidc::begin))
        .route("/admin/oidc/back", get(oidc::back))
        .route("/web/{*path}", get(page))
        .fallback(|| async {
            super::api::refused(
                StatusCode::NOT_FOUND,
                Refusal::new(
                    code::NOTHING_HERE,
                    "there is nothing here; the page is /admin, the rest is in /v1/openapi.json",
                ),
            )
        })
        .method_not_allowed_fallback(|| async {
            let why = Refusal::new(code::NOT_THIS_WAY, "not in this way; /v1/openapi.json says how");
            super::api::refused(StatusCode::METHOD_NOT_ALLOWED, why)
        })
        .with_state(console)
}

/// A file of the page.
async fn page(headers: HeaderMap, request: Request) -> Response {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(page) = pages::find_console(request.uri().path()) else {
        return super::api::refused(StatusCode::NOT_FOUND, Refusal::new(code::NOTHING_HERE, "there is no such file"));
    };
    let mut answer = HeaderMap::new();
    for (name, value) in page.headers(&[]) {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(&value)) {
            answer.insert(name, value);
        }
    }
    if page.known_by(text(header::IF_NONE_MATCH)) {
        return (StatusCode::NOT_MODIFIED, answer).into_response();
    }
    if text(header::ACCEPT_ENCODING).is_some_and(pages::takes_gzip) {
        answer.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        return (answer, page.small.as_slice()).into_response();
    }
    (answer, page.body).into_response()
}
