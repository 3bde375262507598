//! `/healthz` (this process answers), `/readyz` (switches attached, store open), `/metrics`.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Json, Response},
    routing::get,
};
use tokio::net::TcpListener;

use super::Readiness;

/// What the pages are made from; asked at each request.
pub trait Figures: Send + Sync + 'static {
    fn metrics(&self) -> String;
    fn readiness(&self) -> Readiness;
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
        .with_state(figures);
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}

async fn ready(State(figures): State<Arc<dyn Figures>>) -> Response {
    let readiness = figures.readiness();
    let status = if readiness.waiting_for.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness)).into_response()
}

async fn metrics(State(figures): State<Arc<dyn Figures>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], figures.metrics()).into_response()
}
