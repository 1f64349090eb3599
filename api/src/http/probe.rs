//! What machines ask without a token: alive, ready, how much.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use serde_json::json;

use super::params::NoParams;
use super::{Answer, Api};
use crate::auth::TOKENS_FILE;
use crate::problem::{Kind, Problem};

/// A repository that takes longer to say one thing is not ready.
const PATIENCE: Duration = Duration::from_secs(5);

/// The process answers.
pub(super) async fn health(_: NoParams) -> Answer {
    Ok(Json(json!({"status": "ok"})).into_response())
}

/// The process takes work: it is not stopping, and the repository can be read.
pub(super) async fn ready(State(api): State<Api>, _: NoParams) -> Answer {
    if *api.draining.borrow() {
        return Err(Problem::new(
            Kind::Unavailable,
            "the control plane is stopping; ask again when it has started",
        ));
    }
    let check = api.store.read(|repository| repository.access_read(TOKENS_FILE));
    match tokio::time::timeout(PATIENCE, check).await {
        Ok(Ok(_)) => Ok(Json(json!({"status": "ready"})).into_response()),
        _ => Err(Problem::new(
            Kind::Unavailable,
            "the configuration repository cannot be read; `refgate check` says what is wrong with it",
        )),
    }
}

/// Counters for Prometheus.
pub(super) async fn metrics(State(api): State<Api>, _: NoParams) -> Answer {
    let content_type = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Ok((content_type, api.metrics.render(&api.fleet, &api.store.maintenance())).into_response())
}
