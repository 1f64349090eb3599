//! The client's side of a connection: what Pingora reads requests from and writes answers to.
//!
//! A thin layer over Pingora's TCP stream, because three things can only be done here: answers are
//! gathered so that header and a small body leave in one send; a request header that trickles in is
//! cut off; and the answers that Pingora makes before it hands a request to us (a request line that
//! cannot be read, several `Host` fields, `CONNECT`) are replaced by ours. The proxy reaches it
//! through [`ClientStream::of`].
//!
//! Next: [`super::listener`] makes one for each connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use pingora::protocols::l4::stream::Stream as TcpStream;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufWriter, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::respond;

/// Holds the header and a body of a few kilobytes; larger bodies pass it by.
const WRITE_BUFFER: usize = 8 << 10;

/// How long the header of one request may take from its first byte to its last.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Serves {
    /// Requests to be forwarded.
    Proxy,
    /// Questions about the gateway, which answers in its own words.
    Status,
}

/// A client's connection.
#[derive(Debug)]
pub(crate) struct ClientStream {
    io: BufWriter<TcpStream>,
    serves: Serves,
    opened: Instant,
    /// Whether the proxy holds a request of this connection.
    proxying: AtomicBool,
    /// When a read of the current request must fail, in milliseconds since `opened`; 0: never.
    deadline: AtomicU64,
    header_deadline: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl ClientStream {
    pub(crate) fn new(stream: TcpStream, serves: Serves) -> Self {
        Self {
            io: BufWriter::with_capacity(WRITE_BUFFER, stream),
            serves,
            opened: Instant::now(),
            proxying: AtomicBool::new(false),
            deadline: AtomicU64::new(0),
            header_deadline: None,
            timer: None,
        }
    }

    /// The client's stream below a session's stream, when it is one of ours.
    pub(crate) fn of(stream: Option<&Stream>) -> Option<&Self> {
        stream?.as_ref().as_any().downcast_ref()
    }

    /// The proxy has taken a request: from here on all answers are its own.
    pub(crate) fn request_began(&self) {
        self.proxying.store(true, Ordering::Relaxed);
    }

    /// The request is over; what follows on the connection is the next one's header.
    pub(crate) fn request_ended(&self) {
        self.disarm();
        self.proxying.store(false, Ordering::Relaxed);
    }

    /// Makes reads from the client fail at `deadline`.
    ///
    /// Pingora watches the client while it waits for a node, so that this is what cuts a running
    /// try at a moment that is independent of the times between two reads from the node.
    pub(crate) fn arm(&self, deadline: std::time::Instant) {
        let after = Instant::from_std(deadline).saturating_duration_since(self.opened);
        let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX).max(1);
        self.deadline.store(millis, Ordering::Relaxed);
    }

    /// Takes back [`Self::arm`].
    pub(crate) fn disarm(&self) {
        self.deadline.store(0, Ordering::Relaxed);
    }

    fn read_deadline(&mut self) -> Option<Instant> {
        if self.proxying.load(Ordering::Relaxed) {
            self.header_deadline = None;
            match self.deadline.load(Ordering::Relaxed) {
                0 => None,
                millis => Some(self.opened + Duration::from_millis(millis)),
            }
        } else {
            self.header_deadline
        }
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.read_deadline() else {
            self.timer = None;
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx)
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if read.is_pending() {
            return match self.poll_deadline(cx) {
                Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                Poll::Pending => Poll::Pending,
            };
        }
        let began = buf.filled().len() > before;
        if began && self.header_deadline.is_none() && !self.proxying.load(Ordering::Relaxed) {
            self.header_deadline = Some(Instant::now() + HEADER_TIMEOUT);
        }
        read
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.serves == Serves::Proxy
            && !self.proxying.load(Ordering::Relaxed)
            && let Some(answer) = respond::instead_of(buf)
        {
            // The buffer is empty here and larger than the answer: it is taken whole.
            return Pin::new(&mut self.io).poll_write(cx, &answer).map_ok(|_| buf.len());
        }
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[async_trait]
impl Shutdown for ClientStream {
    async fn shutdown(&mut self) {
        // The client may be gone already; there is nobody left to tell.
        let _ = AsyncWriteExt::shutdown(&mut self.io).await;
    }
}

impl UniqueID for ClientStream {
    fn id(&self) -> UniqueIDType {
        self.io.get_ref().id()
    }
}

impl Ssl for ClientStream {}
impl Peek for ClientStream {}

impl GetTimingDigest for ClientStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.io.get_ref().get_timing_digest()
    }
}

impl GetProxyDigest for ClientStream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.io.get_ref().get_proxy_digest()
    }
}

impl GetSocketDigest for ClientStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.io.get_ref().get_socket_digest()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn pair() -> (TcpStream, ClientStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        (client, ClientStream::new(accepted.into(), Serves::Proxy))
    }

    async fn read(stream: &mut ClientStream) -> io::Result<usize> {
        stream.read(&mut [0; 64]).await
    }

    // Time stands still but for timers: when all else waits, it jumps to the next one.
    #[tokio::test(start_paused = true)]
    async fn headers_that_trickle_in_are_cut_off() {
        let (mut client, mut stream) = pair().await;
        let began = Instant::now();
        for _ in 0..3 {
            client.write_all(b"GET").await.unwrap();
            assert_eq!(read(&mut stream).await.unwrap(), 3);
            tokio::time::sleep(Duration::from_secs(8)).await;
        }
        let error = read(&mut stream).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), HEADER_TIMEOUT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_are_served_may_take_their_time() {
        let (mut client, mut stream) = pair().await;
        client.write_all(b"GET").await.unwrap();
        assert_eq!(read(&mut stream).await.unwrap(), 3);
        stream.request_began();
        let late = tokio::time::timeout(HEADER_TIMEOUT * 3, read(&mut stream)).await;
        assert!(late.is_err(), "nothing but the test's own patience ended it: {late:?}");
        stream.arm(Instant::now().into_std() + Duration::from_secs(5));
        let error = read(&mut stream).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        stream.disarm();
        let late = tokio::time::timeout(HEADER_TIMEOUT * 3, read(&mut stream)).await;
        assert!(late.is_err(), "{late:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn idle_connections_have_no_deadline_of_ours() {
        let (mut client, mut stream) = pair().await;
        client.write_all(b"GET").await.unwrap();
        read(&mut stream).await.unwrap();
        stream.request_began();
        let _ = tokio::time::timeout(Duration::from_secs(1), read(&mut stream)).await;
        stream.request_ended();
        let late = tokio::time::timeout(HEADER_TIMEOUT * 3, read(&mut stream)).await;
        assert!(late.is_err(), "{late:?}");
    }
}
