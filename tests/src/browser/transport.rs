//! How the driver is spoken to: with the HTTP client that the other tests have.
//!
//! A browser has a runtime of its own that waits for one step after the other, so a request may block it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use thirtyfour::error::{WebDriverError, WebDriverResult};
use thirtyfour::session::http::{Body, HttpClient};

/// Connections to a driver.
#[derive(Clone)]
pub(super) struct Transport(ureq::Agent);

impl Transport {
    pub(super) fn new() -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .proxy(None)
            .timeout_global(Some(Duration::from_secs(120)))
            .build()
            .new_agent();
        Self(agent)
    }
}

#[async_trait::async_trait]
impl HttpClient for Transport {
    async fn send(
        &self,
        request: http::Request<Body<'_>>,
    ) -> WebDriverResult<http::Response<Bytes>> {
        let failed = |error: ureq::Error| WebDriverError::HttpError(error.to_string());
        let (head, body) = request.into_parts();
        let response = match body {
            Body::Empty => self.0.run(http::Request::from_parts(head, ())),
            Body::Json(json) => self.0.run(http::Request::from_parts(head, json.to_string())),
        };
        let (head, mut body) = response.map_err(failed)?.into_parts();
        // Pictures are larger than what is read at most by itself.
        let read = body.with_config().limit(64 * 1024 * 1024).read_to_vec().map_err(failed)?;
        Ok(http::Response::from_parts(head, read.into()))
    }

    async fn new(&self) -> Arc<dyn HttpClient> {
        Arc::new(Self::new())
    }
}
