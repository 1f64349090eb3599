//! A connection in HTTP/1: its requests one after the other, and the rests between them.
//!
//! Pingora would do this as well, but makes all that a request needs before the request is there, some
//! twenty kilobytes: for as long as the client rests. Here a connection rests with nothing but itself,
//! and Pingora gets the first bytes of each request together with the connection. Only when it may
//! hold bytes of the next request already, it is Pingora that waits.
//!
//! Next: [`super::client_stream`] for how long rests may take, [`crate::forward`] for requests.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::BytesMut;
use pingora::apps::{HttpPersistentSettings, HttpServerApp};
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use tokio::io::AsyncReadExt as _;

use super::client_stream::ClientStream;

/// What is read of a request at first; most headers are smaller.
const FIRST_READ: usize = 4 << 10;

/// Hands the requests of a connection to `app` until the connection ends or `shutdown` is true.
pub(super) async fn serve<A>(
    mut stream: Box<ClientStream>,
    app: &Arc<A>,
    shutdown: &mut ShutdownWatch,
) where
    A: HttpServerApp + Send + Sync + 'static,
{
    let mut settings: Option<HttpPersistentSettings> = None;
    loop {
        let begin = if stream.is_between_requests() {
            let Some(begin) = next_request(&mut stream, shutdown).await else { return };
            Some(begin)
        } else {
            None
        };
        stream.request_begins(begin.as_deref().is_some_and(is_plain));
        let mut session = ServerSession::new_http1(stream);
        match settings.take() {
            Some(settings) => settings.apply_to_session(&mut session),
            // As long as nobody says for how long; without, the first request would be the last.
            None => session.set_keepalive(Some(60)),
        }
        if let Some(begin) = begin {
            session.set_pipelined_prefix(begin);
        }
        let Some(reused) = app.process_new_http(session, shutdown).await else { return };
        let (reused, kept) = reused.consume();
        settings = kept;
        // It is the one that was put in.
        let Ok(own) = reused.into_any().downcast() else { return };
        stream = own;
        stream.answered();
    }
}

/// Waits for the first bytes of a request; nothing when there will be none.
async fn next_request(stream: &mut ClientStream, shutdown: &mut ShutdownWatch) -> Option<BytesMut> {
    stream.rest();
    let begin = poll_fn(|cx| {
        // Made anew at each look, so that a connection that rests does not hold it.
        let mut bytes = BytesMut::with_capacity(FIRST_READ);
        let read = pin!(stream.read_buf(&mut bytes)).poll(cx);
        match read {
            Poll::Ready(Ok(read)) => Poll::Ready((read > 0).then_some(bytes)),
            // The client is gone, or has rested for too long: there is nothing to answer.
            Poll::Ready(Err(_)) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    });
    tokio::select! {
        // A request that is there already is served.
        biased;
        begin = begin => begin,
        _ = shutdown.wait_for(|stop| *stop) => None,
    }
}

/// Whether a request line is there as a whole, and of such bytes that Pingora changes nothing in it:
/// some it would escape, and the header would look longer than it was.
fn is_plain(begin: &[u8]) -> bool {
    let mut spaces = 0;
    for (index, byte) in begin.iter().enumerate() {
        match byte {
            b'\r' => return spaces == 2 && begin.get(index + 1) == Some(&b'\n'),
            b' ' => spaces += 1,
            b'"' | b'<' | b'>' | b'`' | b'\\' | b'^' | b'{' | b'|' | b'}' => return false,
            b'!'..=b'~' => {}
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pingora_might_escape_is_not_plain() {
        assert!(is_plain(b"GET /a%20b?c=[d]&e='f' HTTP/1.1\r\nHost: a\r\n"));
        for line in [
            "GET /a HTTP/1.1",
            "GET /a b HTTP/1.1\r\n",
            "GET /a HTTP/1.1\n",
            "\r\nGET /",
            "GET /a HTTP/1.1\rb HTTP/1.1\r\n",
        ] {
            assert!(!is_plain(line.as_bytes()), "{line:?}");
        }
        for byte in (0..=b' ').chain(0x7f..=0xff).chain(*b"\"<>") {
            assert!(!is_plain(&[b"GET /", &[byte][..], b" HTTP/1.1\r\n"].concat()), "{byte}");
        }
    }
}
