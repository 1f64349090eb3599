//! A connection in HTTP/2: its requests beside each other, until it has rested for too long.
//!
//! Pingora would do this as well, but does not see what a client does over several requests. Here those
//! that are taken back and those that are malformed are counted, and a client that does little else is
//! told to calm down and hung up on.
//!
//! Next: [`super::h2_request`] for a request, [`super::client_stream`] for what carries the bytes.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use h2::Reason;
use http::{HeaderMap, HeaderValue};
use pingora::apps::HttpServerApp;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{H2Accept, HttpSession, default_h2_options, handshake};
use pingora::protocols::{
    Digest, GetProxyDigest as _, GetSocketDigest as _, GetTimingDigest as _, Ssl as _,
};
use pingora::server::ShutdownWatch;
use tokio::time::{Instant, sleep_until, timeout};

use super::client_stream::ClientStream;
use super::h2_request::H2Request;
use super::limits::Limits;

/// How many more requests a client may take back early than are answered (CVE-2023-44487 with a pause
/// before each reset, which the limit of the library below does not see).
const MOST_TAKEN_BACK: i32 = 100;

/// A request that is taken back later than this has held one of the connection's streams for so long
/// that no more than those can cost.
const EARLY: Duration = Duration::from_secs(1);

/// How many malformed requests a connection may have. Each is reset or answered 400.
const MOST_MALFORMED: u32 = 32;

/// How much of a body a client may send ahead of the node that takes it, and of all bodies of its connection,
/// in bytes. With the 64 KiB that the protocol begins with, a body waits for the way to the client and
/// back after each of them, and one that no node takes stops all others.
const WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 4 << 20;

/// How long a client may take to hear that it is hung up on.
const GOODBYE: Duration = Duration::from_secs(5);

/// What the requests of a connection have come to.
#[derive(Debug)]
pub(super) struct Calls {
    opened: Instant,
    open: AtomicUsize,
    /// When the last one ended, in milliseconds since `opened`.
    rests: AtomicU64,
    /// Requests taken back early, less those that were answered.
    taken_back: AtomicI32,
}

/// A request, until this is dropped.
#[derive(Debug)]
pub(super) struct Call {
    calls: Arc<Calls>,
    began: Instant,
    answered: bool,
}

impl Calls {
    pub(super) fn new() -> Self {
        Self {
            opened: Instant::now(),
            open: AtomicUsize::new(0),
            rests: AtomicU64::new(0),
            taken_back: AtomicI32::new(0),
        }
    }

    /// One more.
    pub(super) fn begin(self: &Arc<Self>) -> Call {
        self.open.fetch_add(1, Ordering::Relaxed);
        Call { calls: Arc::clone(self), began: Instant::now(), answered: false }
    }

    /// Since when there are none; nothing while there are some.
    fn resting(&self) -> Option<Instant> {
        if self.open.load(Ordering::Acquire) > 0 {
            return None;
        }
        self.opened.checked_add(Duration::from_millis(self.rests.load(Ordering::Relaxed)))
    }

    fn are_mostly_taken_back(&self) -> bool {
        self.taken_back.load(Ordering::Relaxed) > MOST_TAKEN_BACK
    }

    /// Waits until there were none for so long.
    async fn rested(&self, most: Duration) {
        // One timer for the connection: a request only leaves word of when it ended.
        let mut timer = pin!(sleep_until(self.opened + most));
        loop {
            timer.as_mut().await;
            let now = Instant::now();
            let end = self.resting().unwrap_or(now) + most;
            if end <= now {
                return;
            }
            timer.as_mut().reset(end);
        }
    }
}

impl Call {
    /// The client was sent the header of an answer.
    pub(super) fn answered(&mut self) {
        self.answered = true;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let calls = &self.calls;
        if self.answered {
            calls.taken_back.fetch_sub(1, Ordering::Relaxed);
        } else if self.began.elapsed() < EARLY {
            calls.taken_back.fetch_add(1, Ordering::Relaxed);
        }
        let rests = u64::try_from(calls.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        calls.rests.store(rests, Ordering::Relaxed);
        calls.open.fetch_sub(1, Ordering::Release);
    }
}

/// Hands the requests of a connection to `app` until the connection ends; when `shutdown` becomes true
/// the client is asked to end it.
pub(super) async fn serve<A>(
    stream: Box<ClientStream>,
    app: &Arc<A>,
    limits: &Limits,
    shutdown: &mut ShutdownWatch,
) where
    A: HttpServerApp + Send + Sync + 'static,
{
    let digest = Arc::new(Digest {
        ssl_digest: stream.get_ssl_digest(),
        timing_digest: stream.get_timing_digest(),
        proxy_digest: stream.get_proxy_digest(),
        socket_digest: stream.get_socket_digest(),
    });
    let mut options = default_h2_options();
    options.initial_window_size(WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
    let Ok(mut connection) = handshake(stream, Some(options)).await else { return };
    let calls = Arc::new(Calls::new());
    let mut rested = pin!(calls.rested(limits.idle_timeout));
    let (mut malformed, mut draining) = (0, false);
    let stop = shutdown.clone();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = shutdown.wait_for(|stop| *stop), if !draining => {
                connection.graceful_shutdown();
                draining = true;
                continue;
            }
            accepted = HttpSession::from_h2_conn(&mut connection, Arc::clone(&digest)) => accepted,
            // Without a word: a client that is not there any more would not take it.
            () = &mut rested, if !draining => return,
        };
        match accepted {
            // The client is gone, or was told what is wrong with the connection.
            Err(_) | Ok(None) => return,
            Ok(Some(H2Accept::Rejected)) => malformed += 1,
            Ok(Some(H2Accept::Session(mut session))) => {
                if has_stray_space(&session.req_header().headers) {
                    session.shutdown_with_reason(Reason::PROTOCOL_ERROR);
                    malformed += 1;
                } else {
                    let request = H2Request::new(session, limits, calls.begin());
                    let (app, stop) = (Arc::clone(app), stop.clone());
                    tokio::spawn(async move {
                        let session = ServerSession::new_custom(Box::new(request));
                        app.process_new_http(session, &stop).await;
                    });
                }
            }
        }
        if malformed >= MOST_MALFORMED || calls.are_mostly_taken_back() {
            break;
        }
    }
    connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
    let goodbye = async {
        while let Ok(Some(_)) =
            HttpSession::from_h2_conn(&mut connection, Arc::clone(&digest)).await
        {}
    };
    // A client that does not listen is hung up on all the same.
    let _ = timeout(GOODBYE, goodbye).await;
}

/// Whether a value begins or ends with white space, which makes a request malformed (RFC 9113 §8.2.1).
fn has_stray_space(headers: &HeaderMap) -> bool {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    headers
        .values()
        .map(HeaderValue::as_bytes)
        .any(|value| is_space(value.first()) || is_space(value.last()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn early_ends_without_an_answer_add_up() {
        let calls = Arc::new(Calls::new());
        for _ in 0..50 {
            calls.begin().answered();
        }
        for _ in 0..150 {
            assert!(!calls.are_mostly_taken_back());
            drop(calls.begin());
        }
        assert!(!calls.are_mostly_taken_back());
        let late = calls.begin();
        tokio::time::advance(EARLY).await;
        drop(late);
        assert!(!calls.are_mostly_taken_back(), "what took its time is not counted");
        drop(calls.begin());
        assert!(calls.are_mostly_taken_back());
        calls.begin().answered();
        assert!(!calls.are_mostly_taken_back());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_rests_from_its_last_request_on() {
        let calls = Arc::new(Calls::new());
        let second = Duration::from_secs(1);
        let began = Instant::now();
        let requests = async {
            tokio::time::sleep(5 * second).await;
            let (one, two) = (calls.begin(), calls.begin());
            tokio::time::sleep(20 * second).await;
            drop(one);
            tokio::time::sleep(7 * second).await;
            drop(two);
        };
        tokio::join!(requests, calls.rested(10 * second));
        assert_eq!(began.elapsed().as_secs(), 42);
    }

    #[test]
    fn white_space_is_stray_at_the_ends() {
        let stray = |value: &'static str| {
            let headers = [(http::header::COOKIE, HeaderValue::from_static(value))];
            has_stray_space(&headers.into_iter().collect())
        };
        for value in [" a", "a ", "\ta", "a\t", " "] {
            assert!(stray(value), "{value:?}");
        }
        assert!(!stray("a b") && !stray(""));
    }
}
