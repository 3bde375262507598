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
    flows, oidc, reads,
    sign_in::{self, Credentials, SignedIn},
    trunks, undelivered,
};
use crate::{access::Right, agents::pages};

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
        "delete": {"summary": "Sign out", "operationId": "delete_v1_session", "security": [],
            "parameters": [{"name": "X-Linecard", "in": "header", "required": true, "schema": {"type": "string"}}],
            "responses": {"200": json_of(&signed_in, "signed out"), "403": ends("the header is not there"), "503": ends("a part is away")}},
    });
    let csv = json!({"get": {"summary": "The rows of trunks.yaml as CSV, UTF-8 with its mark", "operationId": "get_v1_trunks_csv",
        "responses": {"200": {"description": "the table", "content": {"text/csv": {"schema": {"type": "string"}}}},
            "401": ends("nobody is signed in"), "403": ends("whoever is signed in may not"), "404": ends("not for one tenant"), "422": ends("trunks.yaml is not right"), "503": ends("the disk")}}});
    api.other("/v1/session", get(sign_in::who).post(sign_in::sign_in).delete(sign_in::sign_out), session)
        .get("/v1/overview", see("What is wrong, counted"), reads::overview)
        .get("/v1/links", see("Each link to a switch: how it stands and what came over it"), reads::links)
        .get(
            "/v1/connectors",
            see("Each business system: figures of five minutes, limits, breakers, versions beside it"),
            reads::connectors,
        )
        .get("/v1/connectors/{id}/evidence", see("The last failing requests of a system, masked"), reads::evidence)
        .post("/v1/canaries/{id}/stop", change("No new call is asked by this file"), reads::stop)
        .post("/v1/canaries/{id}/resume", change("It goes on, with fresh figures"), reads::resume)
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
        .get("/v1/alerts", see("What fires now"), reads::alerts)
        .get(
            "/v1/differences",
            see("What our records, the switches and the business systems tell differently"),
            reads::differences,
        )
        .get("/v1/audit", audit("Who did what, newest first"), reads::audit)
        .get("/v1/settings", audit("Each key of linecard.yaml that counts, and where it came from"), reads::settings)
        .get("/v1/trunks", see("The rows of trunks.yaml, the revision, what is worth a look"), trunks::shown)
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
        .other("/v1/trunks.csv", get(trunks::csv), csv)
}

fn router(console: Arc<Console>) -> Router {
    let (router, document) = api().done();
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
                "there is nothing here; the page is /admin, the rest is in /v1/openapi.json",
            )
        })
        .method_not_allowed_fallback(|| async {
            super::api::refused(StatusCode::METHOD_NOT_ALLOWED, "not in this way; /v1/openapi.json says how")
        })
        .with_state(console)
}

/// A file of the page.
async fn page(headers: HeaderMap, request: Request) -> Response {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(page) = pages::find(request.uri().path()).filter(|page| page.path != "/") else {
        return super::api::refused(StatusCode::NOT_FOUND, "there is no such file");
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
