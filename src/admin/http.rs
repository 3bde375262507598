//! `/healthz` (this process answers), `/readyz` (switches attached, store open), `/metrics`, `/v1/calls/{call}/trace` (why a call popped or
//! did not, with numbers masked), `/v1/trunks/unmapped` (numbers that were called and have no row), `/v1/route-hint` (who calls, for a dialplan), and
//! `/v1/people/forget` (what was looked up for a number is dropped).

use std::{
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
};

use axum::{
    Router,
    extract::{ConnectInfo, Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Json, Response},
    routing::{get, post},
};
use serde::Deserialize;
use tokio::net::TcpListener;

use super::{
    Readiness,
    hint::{self, Format, Gate, Hint, Refusal},
};
use crate::{
    numbers::trunks::unmapped::Line,
    private::Private,
    watch::Trace,
    words::{CallId, TenantId},
};

/// What the pages are made from; asked at each request.
pub trait Figures: Send + Sync + 'static {
    fn metrics(&self) -> String;
    fn readiness(&self) -> Readiness;
    /// The story of a call, up or ended; `None` where none is kept.
    fn trace(&self, call: CallId) -> Pin<Box<dyn Future<Output = Option<Trace>> + Send + '_>>;
    /// Numbers that were called and have no row in trunks.yaml, most called first.
    fn unmapped(&self) -> Vec<Line>;
    /// Drops what was looked up for a number; answers how many answers went.
    fn forget(&self, tenant: TenantId, number: Private<String>) -> Pin<Box<dyn Future<Output = usize> + Send + '_>>;
    /// Who may ask for hints.
    fn gate(&self) -> &Gate;
    /// What is known of a caller within the budget; `Err` is what is wrong with the question.
    fn hint(
        &self,
        asker: (String, TenantId),
        query: hint::Query,
    ) -> Pin<Box<dyn Future<Output = Result<Hint, String>> + Send + '_>>;
}

/// Serves until `stop` completes.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    figures: Arc<dyn Figures>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let here = listener.local_addr()?.ip();
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/v1/calls/{call}/trace", get(trace))
        .route("/v1/trunks/unmapped", get(unmapped))
        .route("/v1/route-hint", get(route_hint))
        .route("/v1/people/forget", post(move |state, peer, body| forget(here, state, peer, body)))
        .with_state(figures)
        .into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}

/// Whose data was erased (`linecard people erase`).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Forget {
    tenant: TenantId,
    number: Private<String>,
}

/// For this machine alone, whatever address the admin's HTTP has. It costs whoever is forgotten a look-up at the next call, and nothing else.
async fn forget(
    here: IpAddr,
    State(figures): State<Arc<dyn Figures>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    body: String,
) -> Response {
    if !peer.ip().to_canonical().is_loopback() && peer.ip() != here {
        return wrong(StatusCode::FORBIDDEN, "only from this machine");
    }
    // What was wrong is told without what stood in it.
    let Ok(Forget { tenant, number }) = serde_json::from_str(&body) else {
        return wrong(StatusCode::BAD_REQUEST, "{\"tenant\": ..., \"number\": ...} is wanted");
    };
    Json(serde_json::json!({"dropped": figures.forget(tenant, number).await})).into_response()
}

async fn ready(State(figures): State<Arc<dyn Figures>>) -> Response {
    let readiness = figures.readiness();
    let status = if readiness.waiting_for.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness)).into_response()
}

async fn unmapped(State(figures): State<Arc<dyn Figures>>) -> Json<Vec<Line>> {
    Json(figures.unmapped())
}

async fn metrics(State(figures): State<Arc<dyn Figures>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], figures.metrics()).into_response()
}

async fn route_hint(
    State(figures): State<Arc<dyn Figures>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    query: Result<Query<hint::Query>, QueryRejection>,
) -> Response {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let asker = match figures.gate().admits(authorization, peer.ip()) {
        Ok(asker) => (asker.name.to_owned(), asker.tenant.clone()),
        Err(Refusal::Unknown) => {
            let ask = [(header::WWW_AUTHENTICATE, "Basic realm=\"linecard route hints\"")];
            let why = "a source of admin.route_hint and its token: Authorization: Bearer TOKEN, or basic with the source's name";
            return (StatusCode::UNAUTHORIZED, ask, Json(serde_json::json!({"error": why}))).into_response();
        }
        Err(Refusal::Elsewhere) => return wrong(StatusCode::FORBIDDEN, "this token is not good from this address"),
    };
    // What was wrong with the query is told without what stood in it.
    let Ok(Query(query)) = query else {
        return wrong(
            StatusCode::BAD_REQUEST,
            "from=CALLER, and perhaps to=, switch=, trunk=, format=json or form, field=; each once",
        );
    };
    let (format, field) = (query.format, query.field.clone());
    let hint = match figures.hint(asker, query).await {
        Ok(hint) => hint,
        Err(why) => return wrong(StatusCode::BAD_REQUEST, &why),
    };
    let never = (header::CACHE_CONTROL, "no-store");
    match (field.map(|name| hint.field(&name)), format) {
        (Some(None), _) => wrong(
            StatusCode::BAD_REQUEST,
            "field is one of customer, agent, device, extension, priority, language, tags",
        ),
        (Some(Some(value)), _) => ([never, (header::CONTENT_TYPE, "text/plain; charset=utf-8")], value).into_response(),
        (None, Format::Json) => ([never], Json(hint)).into_response(),
        (None, Format::Form) => {
            ([never, (header::CONTENT_TYPE, "application/x-www-form-urlencoded")], hint.form()).into_response()
        }
    }
}

fn wrong(status: StatusCode, why: &str) -> Response {
    (status, Json(serde_json::json!({"error": why}))).into_response()
}

async fn trace(State(figures): State<Arc<dyn Figures>>, Path(call): Path<String>) -> Response {
    let Ok(call) = call.parse::<CallId>() else {
        return wrong(StatusCode::BAD_REQUEST, "this is no call id: 26 letters and digits, from linecard records list");
    };
    match figures.trace(call).await {
        Some(trace) => Json(trace.json(false)).into_response(),
        None => wrong(StatusCode::NOT_FOUND, "no story of this call is kept"),
    }
}
