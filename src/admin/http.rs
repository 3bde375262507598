//! `/healthz` (this process answers), `/readyz` (switches attached, store open), `/metrics`, `/v1/calls/{call}/trace` (why a call popped or
//! did not, with numbers masked), and `/v1/trunks/unmapped` (numbers that were called and have no row).

use std::{pin::Pin, sync::Arc};

use axum::{
    Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Json, Response},
    routing::get,
};
use tokio::net::TcpListener;

use super::Readiness;
use crate::{numbers::trunks::unmapped::Line, watch::Trace, words::CallId};

/// What the pages are made from; asked at each request.
pub trait Figures: Send + Sync + 'static {
    fn metrics(&self) -> String;
    fn readiness(&self) -> Readiness;
    /// The story of a call, up or ended; `None` where none is kept.
    fn trace(&self, call: CallId) -> Pin<Box<dyn Future<Output = Option<Trace>> + Send + '_>>;
    /// Numbers that were called and have no row in trunks.yaml, most called first.
    fn unmapped(&self) -> Vec<Line>;
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
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/v1/calls/{call}/trace", get(trace))
        .route("/v1/trunks/unmapped", get(unmapped))
        .with_state(figures);
    axum::serve(listener, router).with_graceful_shutdown(stop).await
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

async fn trace(State(figures): State<Arc<dyn Figures>>, Path(call): Path<String>) -> Response {
    let wrong = |status: StatusCode, why: &str| (status, Json(serde_json::json!({"error": why}))).into_response();
    let Ok(call) = call.parse::<CallId>() else {
        return wrong(StatusCode::BAD_REQUEST, "this is no call id: 26 letters and digits, from linecard records list");
    };
    match figures.trace(call).await {
        Some(trace) => Json(trace.json(false)).into_response(),
        None => wrong(StatusCode::NOT_FOUND, "no story of this call is kept"),
    }
}
