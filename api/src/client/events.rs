//! Server-sent events, read one by one as they come.

use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use serde_json::Value;
use ureq::http::header;

use super::endpoint::Endpoint;
use super::{Client, ClientError};

/// How long a stream may be silent: the server says something every 15 seconds.
const SILENCE: Duration = Duration::from_secs(45);
/// The longest line that is read; the data of an event is one.
const MAX_LINE_BYTES: u64 = 64 << 20;

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Happening {
    /// Which kind of event.
    pub kind: String,
    /// What to send as the last event that is known; of commits alone.
    pub id: Option<String>,
    /// What is told of it.
    pub data: Value,
}

/// A stream that is open. It ends when the server ends it.
pub struct EventStream {
    lines: BufReader<Box<dyn Read>>,
    server: String,
}

impl Client {
    /// Opens a stream of events. With the id of the last event that is known, those since come
    /// first.
    ///
    /// # Errors
    /// When there is no answer, or a refusal.
    pub fn follow(
        &self,
        endpoint: &Endpoint,
        last_known: &str,
    ) -> Result<EventStream, ClientError> {
        let request = self
            .begin(&ureq::http::Method::GET, endpoint)
            .header(header::ACCEPT, "text/event-stream, application/problem+json")
            .header("last-event-id", last_known)
            .body(())
            .map_err(ureq::Error::from);
        let sent = request.and_then(|request| {
            let timed = self.agent.configure_request(request);
            self.agent.run(timed.timeout_per_read(Some(SILENCE)).build())
        });
        let mut response = sent.map_err(|error| self.failed(&error))?;
        let media = response.headers().get(header::CONTENT_TYPE);
        let is_stream =
            media.is_some_and(|media| media.as_bytes().starts_with(b"text/event-stream"));
        if response.status().is_success() && is_stream {
            let body: Box<dyn Read> = Box::new(response.into_body().into_reader());
            return Ok(EventStream {
                lines: BufReader::new(body),
                server: self.server.to_string(),
            });
        }
        let bytes = self.bytes(&mut response)?;
        match self.answer(response.status(), response.headers(), &bytes) {
            Ok(answer) => Err(self.not_refgate(answer.status)),
            Err(error) => Err(error),
        }
    }
}

impl EventStream {
    /// Waits for the next event; `None` is the end.
    ///
    /// # Errors
    /// When the connection breaks or falls silent, or what came is no event.
    pub fn next_event(&mut self) -> Result<Option<Happening>, ClientError> {
        let (mut kind, mut id, mut data) = (String::new(), None, String::new());
        loop {
            let Some(line) = self.line()? else { return Ok(None) };
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                // An event without data is none.
                "" if line.is_empty() && data.is_empty() => kind.clear(),
                "" if line.is_empty() => {
                    let data =
                        serde_json::from_str(&data).map_err(super::view::ShapeError::from)?;
                    return Ok(Some(Happening { kind, id, data }));
                }
                "event" => value.clone_into(&mut kind),
                "id" => id = Some(value.to_owned()),
                "data" => data.push_str(value),
                // Comments, and what later servers may say.
                _ => {}
            }
        }
    }

    fn line(&mut self) -> Result<Option<String>, ClientError> {
        let mut line = Vec::new();
        let read = (&mut self.lines).take(MAX_LINE_BYTES).read_until(b'\n', &mut line);
        read.map_err(|error| ClientError::Interrupted {
            server: self.server.clone(),
            reason: error.to_string(),
        })?;
        if line.pop() != Some(b'\n') {
            return Ok(None);
        }
        let line = String::from_utf8_lossy(&line);
        Ok(Some(line.trim_end_matches('\r').to_owned()))
    }
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("EventStream").field("server", &self.server).finish_non_exhaustive()
    }
}
