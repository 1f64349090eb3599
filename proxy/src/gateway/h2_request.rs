//! A request in HTTP/2, with the limits that Pingora has for HTTP/1 alone: how long a client may pause
//! in a body, how slowly a body may come, and the end of a running try.
//!
//! Pingora's own session does the work; reads are wrapped. To Pingora it is a session of a protocol
//! that it does not know, without anything that only such protocols have.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Digest;
use pingora::protocols::http::HttpTask;
use pingora::protocols::http::custom::CustomMessageWrite;
use pingora::protocols::http::custom::server::Session;
use pingora::protocols::http::v2::server::HttpSession;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::{Error, ErrorType, OrErr as _, Result};
use tokio::time::{Instant, timeout_at};
use tokio_stream::Stream;

use super::http2::Call;
use super::limits::Limits;
use super::pace::Pace;
use super::reading::{Cut, Reading};

/// A request in HTTP/2.
pub(super) struct H2Request {
    session: HttpSession,
    reading: Arc<Reading>,
    pace: Pace,
    /// How long the client may pause in a body.
    read_timeout: Option<Duration>,
    call: Call,
}

/// Stops the client's clock when it is not waited for any more, for whatever reason.
struct Waiting<'p>(&'p mut Pace);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.came(Instant::now(), 0);
    }
}

impl Drop for H2Request {
    fn drop(&mut self) {
        if self.session.response_written().is_some() {
            self.call.answered();
        }
    }
}

impl H2Request {
    pub(super) fn new(mut session: HttpSession, limits: &Limits, call: Call) -> Self {
        let reading = Arc::new(Reading::new());
        // Where the proxy finds it.
        session.req_header_mut().extensions_mut().insert(Arc::clone(&reading));
        Self { session, reading, pace: Pace::new(limits), read_timeout: None, call }
    }

    async fn read(&mut self) -> Result<Option<Bytes>> {
        let Self { session, reading, pace, read_timeout, .. } = self;
        let end = reading.deadline();
        if reading.is_watched() {
            let room = poll_fn(|cx| reading.poll_room(cx));
            let room =
                async { room.await.or_err(ErrorType::ReadTimedout, "the node takes nothing") };
            limited(room, end, Cut::Late, reading).await?;
        }
        let now = Instant::now();
        if !reading.is_paced() {
            let read = limited(session.read_body_bytes(), end, Cut::Late, reading).await;
            reading.passes();
            return read;
        }
        let pause = read_timeout.and_then(|pause| now.checked_add(pause));
        let slow = [pace.wait(now), pause].into_iter().flatten().min();
        let (until, cut) = match (end, slow) {
            (Some(end), Some(slow)) if slow < end => (Some(slow), Cut::Slow),
            (Some(end), _) => (Some(end), Cut::Late),
            (None, slow) => (slow, Cut::Slow),
        };
        let waiting = Waiting(pace);
        let read = limited(session.read_body_bytes(), until, cut, reading).await;
        if let Ok(Some(bytes)) = &read {
            waiting.0.came(Instant::now(), bytes.len());
            reading.passes();
        }
        read
    }
}

async fn limited<T>(
    read: impl Future<Output = Result<T>>,
    until: Option<Instant>,
    cut: Cut,
    reading: &Reading,
) -> Result<T> {
    let Some(until) = until else { return read.await };
    match timeout_at(until, read).await {
        Ok(read) => read,
        Err(_) => {
            reading.cut(cut);
            Error::e_explain(ErrorType::ReadTimedout, "while waiting for the client")
        }
    }
}

#[async_trait]
impl Session for H2Request {
    fn req_header(&self) -> &RequestHeader {
        self.session.req_header()
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        self.session.req_header_mut()
    }

    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        self.read().await
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        self.session.drain_request_body().await
    }

    async fn write_response_header(
        &mut self,
        answer: Box<ResponseHeader>,
        end: bool,
    ) -> Result<()> {
        self.session.write_response_header(answer, end)
    }

    async fn write_response_header_ref(
        &mut self,
        answer: &ResponseHeader,
        end: bool,
    ) -> Result<()> {
        self.session.write_response_header_ref(answer, end)
    }

    async fn write_body(&mut self, data: Bytes, end: bool) -> Result<()> {
        self.session.write_body(data, end).await
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        self.session.write_trailers(trailers)
    }

    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        self.session.response_duplex_vec(tasks).await
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.read_timeout = timeout;
    }

    fn get_read_timeout(&self) -> Option<Duration> {
        self.read_timeout
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.session.set_write_timeout(timeout);
    }

    fn get_write_timeout(&self) -> Option<Duration> {
        self.session.get_write_timeout()
    }

    fn set_total_drain_timeout(&mut self, timeout: Option<Duration>) {
        self.session.set_total_drain_timeout(timeout);
    }

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        self.session.get_total_drain_timeout()
    }

    fn request_summary(&self) -> String {
        self.session.request_summary()
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.session.response_written()
    }

    async fn shutdown(&mut self, _code: u32, _context: &str) {
        self.session.shutdown();
    }

    fn is_body_done(&mut self) -> bool {
        self.session.is_body_done()
    }

    async fn finish(&mut self) -> Result<()> {
        self.session.finish()
    }

    fn is_body_empty(&mut self) -> bool {
        self.session.is_body_empty()
    }

    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        if !no_body_expected && !self.session.is_body_done() {
            return self.read().await;
        }
        let end = self.reading.deadline();
        limited(self.session.read_body_or_idle(true), end, Cut::Late, &self.reading).await
    }

    fn body_bytes_sent(&self) -> usize {
        self.session.body_bytes_sent()
    }

    fn body_bytes_read(&self) -> usize {
        self.session.body_bytes_read()
    }

    fn digest(&self) -> Option<&Digest> {
        self.session.digest()
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        self.session.digest_mut()
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.session.client_addr()
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.session.server_addr()
    }

    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        self.session.pseudo_raw_h1_request_header()
    }

    fn enable_retry_buffering(&mut self) {
        self.session.enable_retry_buffering();
    }

    fn retry_buffer_truncated(&self) -> bool {
        self.session.retry_buffer_truncated()
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        self.session.get_retry_buffer()
    }

    async fn finish_custom(&mut self) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_reader(
        &mut self,
    ) -> Option<Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>> {
        None
    }

    fn restore_custom_message_reader(
        &mut self,
        _reader: Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>,
    ) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        None
    }

    fn restore_custom_message_writer(
        &mut self,
        _writer: Box<dyn CustomMessageWrite>,
    ) -> Result<()> {
        Ok(())
    }
}
