//! HTTP: health for whoever watches the process, numbers for Prometheus.

mod alive;
mod limited;

use super::inbox::Inbox;
use super::journal;
use super::numbers::Exporter;
use crate::config::HttpLimits;
use alive::Alive;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use limited::Limited;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// What the pages show.
struct Pages {
    exporter: Arc<Exporter>,
    /// Why new calls are not welcome at present; none if they are.
    not_ready: NotReady,
    alive: Alive,
}

pub type NotReady = Box<dyn Fn() -> Option<String> + Send + Sync>;

/// Serves the pages, and looks at their numbers in the journal's name.
pub fn serve(
    (http, limits): (TcpListener, HttpLimits),
    exporter: Exporter,
    (not_ready, inbox): (NotReady, Inbox),
    runtime: &Handle,
) -> JoinHandle<std::io::Result<()>> {
    let exporter = Arc::new(exporter);
    journal::watch(runtime, Arc::clone(&exporter));
    let http = Limited::new(http, limits.timeout, limits.connections);
    let pages = Pages { exporter, not_ready, alive: Alive::new(inbox, limits.engine_silent) };
    runtime.spawn(async move { axum::serve(http, router(pages)).await })
}

/// `/healthz`: the process lives, and its engine does. `/readyz`: it takes new calls. `/metrics`: Prometheus' text format.
fn router(pages: Pages) -> Router {
    let pages = Arc::new(pages);
    let (ready, healthy, metrics) = (Arc::clone(&pages), Arc::clone(&pages), pages);
    Router::new()
        .route("/", get(|| async { "Tierline. Try /metrics, /healthz and /readyz.\n" }))
        .route("/healthz", get(move || async move { health(&healthy) }))
        .route("/readyz", get(move || async move { readiness(&ready).await }))
        .route("/metrics", get(move || async move { numbers(&metrics).await }))
}

fn health(pages: &Pages) -> (StatusCode, String) {
    match pages.alive.silent() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(time) => {
            let said = format!("the engine has not answered for {} s\n", time.as_secs());
            (StatusCode::SERVICE_UNAVAILABLE, said)
        }
    }
}

async fn readiness(pages: &Arc<Pages>) -> impl IntoResponse + use<> {
    let pages = Arc::clone(pages);
    // It waits for the engine's thread too.
    let not_ready = tokio::task::spawn_blocking(move || (pages.not_ready)()).await;
    match not_ready.unwrap_or_else(|_| Some("it cannot be told".to_owned())) {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

async fn numbers(pages: &Arc<Pages>) -> impl IntoResponse + use<> {
    let pages = Arc::clone(pages);
    // Collecting waits for the engine's thread for a moment: not on a thread that serves others.
    let text = tokio::task::spawn_blocking(move || pages.exporter.render()).await;
    // No numbers are no scrape: with an empty page all that is watched would seem to be well.
    let status = if text.is_ok() { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
    (status, [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text.unwrap_or_default())
}
