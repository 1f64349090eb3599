//! The client's side of a connection: what Pingora reads requests from and writes answers to.
//!
//! A thin layer over TCP or TLS, because three things can only be done here: answers are gathered so
//! that header and a small body leave in one send; a header or a body that trickles in is cut off, and
//! so is a try that takes too long; and the answers that Pingora makes before it hands a request to us
//! (a request line that cannot be read, several `Host` fields, `CONNECT`) are replaced by ours. The
//! proxy reaches it through [`ClientStream::of`].
//!
//! Next: [`super::listener`] makes one for each connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};

use async_trait::async_trait;
use pingora::protocols::l4::stream::Stream as TcpStream;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    Stream, TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::limits::Limits;
use super::pace::Pace;
use super::reading::{Cut, Reading};
use super::taking::Taking;
use super::tls::Encrypted;
use super::write_buffer::WriteBuffer;
use crate::respond;

/// What a client that speaks HTTP/2 says first.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Serves {
    /// Requests to be forwarded.
    Proxy,
    /// Questions about the gateway, which answers in its own words.
    Status,
}

/// What carries the bytes.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the large one is the common one")]
pub(crate) enum Transport {
    /// Nothing between us and the network.
    Plain(TcpStream),
    /// TLS.
    Encrypted(Box<Encrypted>),
}

/// A client's connection.
#[derive(Debug)]
pub(crate) struct ClientStream {
    io: WriteBuffer<Transport>,
    serves: Serves,
    is_http2: bool,
    /// How much of the preface of HTTP/2 is to come yet.
    preface: usize,
    limits: Limits,
    /// Since when the client says nothing, while it need not: before its first request and, in
    /// HTTP/1, between two.
    resting: Option<Instant>,
    /// Whether the proxy holds a request of this connection.
    proxying: AtomicBool,
    /// What the proxy asks of reads of the current request.
    reading: Reading,
    /// The time left for the body of a request, and the number of the request.
    pace: (u32, Pace),
    /// Since when a part of a body is waited for that has [`super::room`] at its node: Pingora, which
    /// does not know which of the two it waits for, has no limit then.
    paused: Option<Instant>,
    /// When the header that is read now must be whole, and after how many requests that was set:
    /// with the next request it is over.
    header_deadline: Option<(u32, Instant)>,
    /// Requests that the proxy has taken, in HTTP/1.
    requests: AtomicU32,
    /// Bytes that were read of the connection.
    came: u64,
    /// How many of them belong to requests that the proxy has taken; [`UNKNOWN`] from the first
    /// one on whose length cannot be told from its header.
    taken: AtomicU64,
    /// Whether the header of the current request is known to be as long as it seems.
    is_plain: bool,
    timer: Option<Pin<Box<Sleep>>>,
    taking: Taking,
}

const UNKNOWN: u64 = u64::MAX;

impl ClientStream {
    /// A connection whose client begins with the preface of HTTP/2 when `is_http2`.
    pub(crate) fn new(
        transport: Transport,
        serves: Serves,
        is_http2: bool,
        limits: &Limits,
    ) -> Self {
        let opened = Instant::now();
        Self {
            io: WriteBuffer::new(transport),
            serves,
            is_http2,
            preface: if is_http2 { PREFACE.len() } else { 0 },
            limits: limits.clone(),
            resting: Some(opened),
            proxying: AtomicBool::new(false),
            reading: Reading::new(),
            pace: (0, Pace::new(limits)),
            paused: None,
            // Pingora waits for the preface without a limit; after it, the limits are those for
            // connections without requests.
            header_deadline: is_http2.then(|| (0, opened + limits.header_timeout)),
            requests: AtomicU32::new(0),
            came: 0,
            taken: AtomicU64::new(0),
            is_plain: false,
            timer: None,
            taking: Taking::new(limits.transfer_timeout),
        }
    }

    /// The client's stream below a session's stream, when it is one of ours.
    pub(crate) fn of(stream: Option<&Stream>) -> Option<&Self> {
        stream?.as_ref().as_any().downcast_ref()
    }

    /// The proxy has taken a request: from here on all answers are its own. `length` is that of
    /// header and body together, when it is known.
    pub(crate) fn request_began(&self, length: Option<u64>) {
        let before = self.taken.load(Ordering::Relaxed);
        // Unknown stays unknown: nothing is larger.
        let length = length.filter(|_| self.is_plain);
        let taken = length.map_or(UNKNOWN, |length| before.saturating_add(length));
        self.taken.store(taken, Ordering::Relaxed);
        self.reading.begin();
        self.proxying.store(true, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// The request is over; what follows on the connection is the next one's header.
    pub(crate) fn request_ended(&self) {
        self.reading.begin();
        self.proxying.store(false, Ordering::Relaxed);
    }

    /// Whether nothing was read beyond the requests so far: whatever comes next is still to be read.
    pub(super) fn is_between_requests(&self) -> bool {
        self.came == self.taken.load(Ordering::Relaxed)
    }

    /// Whether Pingora will take the header of the request that begins now as it came.
    pub(super) fn request_begins(&mut self, is_plain: bool) {
        self.is_plain = is_plain;
    }

    /// From here on the client may rest, as long as that is allowed between two requests.
    pub(super) fn rest(&mut self) {
        self.resting = Some(Instant::now());
        self.taking.rest();
    }

    /// A request was answered. Of those that the proxy does not take nobody else says so, and their
    /// connection would be cut when the time for the first header is over.
    pub(super) fn answered(&mut self) {
        if self.serves != Serves::Proxy {
            self.header_deadline = None;
            self.rest();
        }
    }

    /// What the proxy asks of reads.
    pub(crate) fn reading(&self) -> &Reading {
        &self.reading
    }

    /// When a read must fail that waits now, and why if that is of interest.
    fn read_deadline(&mut self) -> Option<(Instant, Option<Cut>)> {
        if self.proxying.load(Ordering::Relaxed) {
            let end = self.reading.deadline().map(|end| (end, Some(Cut::Late)));
            let slow = if self.reading.is_paced() { self.slow_at() } else { None };
            let slow = slow.map(|end| (end, Some(Cut::Slow)));
            end.into_iter().chain(slow).min_by_key(|(end, _)| *end)
        } else if let Some(since) = self.resting.filter(|_| !self.is_http2) {
            since.checked_add(self.limits.idle_timeout).map(|end| (end, None))
        } else {
            self.header_deadline().map(|end| (end, None))
        }
    }

    /// Until when the next part of a body must come.
    fn slow_at(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let slow = self.pace().wait(now);
        if !self.reading.is_watched() {
            return slow;
        }
        let since = *self.paused.get_or_insert(now);
        let pause = since.checked_add(self.limits.transfer_timeout);
        slow.into_iter().chain(pause).min()
    }

    /// The time left for the body of the current request.
    fn pace(&mut self) -> &mut Pace {
        let request = self.requests.load(Ordering::Relaxed);
        if self.pace.0 != request {
            self.pace = (request, Pace::new(&self.limits));
        }
        &mut self.pace.1
    }

    fn header_deadline(&self) -> Option<Instant> {
        let (after, deadline) = self.header_deadline?;
        (after == self.requests.load(Ordering::Relaxed)).then_some(deadline)
    }

    /// The node has no room for more: it is not the client that is waited for.
    fn poll_without_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.paused = None;
        if self.reading.is_paced() {
            self.pace().came(Instant::now(), 0);
        }
        let end = self.reading.deadline();
        self.poll_deadline(cx, end.map(|end| (end, Some(Cut::Late))))
    }

    fn poll_deadline(
        &mut self,
        cx: &mut Context<'_>,
        deadline: Option<(Instant, Option<Cut>)>,
    ) -> Poll<()> {
        let Some((deadline, cut)) = deadline else {
            self.timer = None;
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        let over = timer.as_mut().poll(cx);
        if let (Poll::Ready(()), Some(cut)) = (over, cut) {
            self.reading.cut(cut);
        }
        over
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let proxying = self.proxying.load(Ordering::Relaxed);
        // A header may come without a pause and be late as well.
        if !proxying && self.header_deadline().is_some_and(|deadline| deadline <= Instant::now()) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let late = || io::Error::from(io::ErrorKind::TimedOut);
        let most = match self.reading.poll_room(cx) {
            Poll::Ready(most) => most?,
            Poll::Pending => return self.poll_without_room(cx).map(|()| Err(late())),
        };
        let before = buf.filled().len();
        let read = poll_read_some(Pin::new(&mut self.io), cx, buf, most);
        if read.is_pending() {
            let deadline = self.read_deadline();
            return self.poll_deadline(cx, deadline).map(|()| Err(late()));
        }
        let bytes = buf.filled().len() - before;
        if bytes > 0 {
            self.resting = None;
            self.came += bytes as u64;
        }
        if proxying && self.reading.is_paced() {
            self.pace().came(Instant::now(), bytes);
        }
        self.paused = None;
        self.reading.passes();
        if self.is_http2 {
            self.preface = self.preface.saturating_sub(bytes);
            if self.preface == 0 {
                self.header_deadline = None;
            }
        } else if bytes > 0 && !proxying && self.header_deadline().is_none() {
            let after = self.requests.load(Ordering::Relaxed);
            self.header_deadline = Some((after, Instant::now() + self.limits.header_timeout));
        }
        read
    }
}

/// Reads so many bytes and no more.
fn poll_read_some(
    io: Pin<&mut impl AsyncRead>,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
    most: usize,
) -> Poll<io::Result<()>> {
    if most >= buf.remaining() {
        return io.poll_read(cx, buf);
    }
    let mut part = ReadBuf::new(buf.initialize_unfilled_to(most));
    let read = io.poll_read(cx, &mut part);
    let length = part.filled().len();
    buf.advance(length);
    read
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.serves == Serves::Proxy
            && !self.is_http2
            && !self.proxying.load(Ordering::Relaxed)
            && let Some(answer) = respond::instead_of(buf)
        {
            // The buffer is empty here and larger than the answer: it is taken whole.
            return Pin::new(&mut self.io).poll_write(cx, &answer).map_ok(|_| buf.len());
        }
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.taking.judge(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.taking.judge(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.io).poll_shutdown(cx);
        self.taking.judge(cx, shut)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.taking.judge(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[async_trait]
impl Shutdown for ClientStream {
    async fn shutdown(&mut self) {
        // The client may be gone already; there is nobody left to tell.
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

impl UniqueID for ClientStream {
    fn id(&self) -> UniqueIDType {
        self.io.get_ref().tcp().id()
    }
}

impl Ssl for ClientStream {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        match self.io.get_ref() {
            Transport::Plain(_) => None,
            Transport::Encrypted(encrypted) => Some(Arc::clone(&encrypted.digest)),
        }
    }

    /// Without TLS as well: Pingora asks nothing else to tell HTTP/2 from HTTP/1.
    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.is_http2.then_some(ALPN::H2)
    }
}

impl Peek for ClientStream {}

impl GetTimingDigest for ClientStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.io.get_ref().tcp().get_timing_digest()
    }
}

impl GetProxyDigest for ClientStream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.io.get_ref().tcp().get_proxy_digest()
    }
}

impl GetSocketDigest for ClientStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.io.get_ref().tcp().get_socket_digest()
    }
}

impl Transport {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Encrypted(encrypted) => encrypted.stream.get_ref().0,
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Encrypted(encrypted) => Pin::new(&mut encrypted.stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Encrypted(encrypted) => Pin::new(&mut encrypted.stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Encrypted(encrypted) => Pin::new(&mut encrypted.stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Encrypted(encrypted) => Pin::new(&mut encrypted.stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Encrypted(encrypted) => {
                Pin::new(&mut encrypted.stream).poll_write_vectored(cx, bufs)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Encrypted(encrypted) => encrypted.stream.is_write_vectored(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncReadExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

    async fn pair() -> (TcpStream, ClientStream) {
        pair_of(false).await
    }

    async fn pair_of(is_http2: bool) -> (TcpStream, ClientStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let transport = Transport::Plain(accepted.into());
        (client, ClientStream::new(transport, Serves::Proxy, is_http2, &Limits::default()))
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
        stream.request_began(None);
        let late = tokio::time::timeout(HEADER_TIMEOUT * 3, read(&mut stream)).await;
        assert!(late.is_err(), "nothing but the test's own patience ended it: {late:?}");
        stream.reading().arm(Instant::now().into_std() + Duration::from_secs(5));
        let error = read(&mut stream).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        stream.reading().disarm();
        let late = tokio::time::timeout(HEADER_TIMEOUT * 3, read(&mut stream)).await;
        assert!(late.is_err(), "{late:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_that_trickle_in_are_cut_off() {
        let (mut client, mut stream) = pair().await;
        for _ in 0..2 {
            stream.request_began(None);
            stream.reading().pace(true);
            let began = Instant::now();
            let error = loop {
                client.write_all(&[b'x'; 50]).await.unwrap();
                assert_eq!(read(&mut stream).await.unwrap(), 50);
                let second = Duration::from_secs(1);
                // Nothing comes in this second, but it is waited for.
                if let Ok(read) = tokio::time::timeout(second, read(&mut stream)).await {
                    break read.unwrap_err();
                }
            };
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert_eq!(stream.reading().was_cut(), Some(Cut::Slow));
            // A minute, and a second for every 500 bytes.
            assert_eq!(began.elapsed().as_secs(), 66);
            stream.request_ended();
            assert_eq!(stream.reading().was_cut(), None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn idle_connections_have_no_deadline_of_ours() {
        let (mut client, mut stream) = pair().await;
        client.write_all(b"GET").await.unwrap();
        read(&mut stream).await.unwrap();
        stream.request_began(None);
        let _ = tokio::time::timeout(Duration::from_secs(1), read(&mut stream)).await;
        stream.request_ended();
        let late = tokio::time::timeout(HEADER_TIMEOUT * 3, read(&mut stream)).await;
        assert!(late.is_err(), "{late:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn clients_may_not_rest_for_ever() {
        for served in [false, true] {
            let (mut client, mut stream) = pair().await;
            if served {
                client.write_all(b"GET").await.unwrap();
                assert_eq!(read(&mut stream).await.unwrap(), 3);
                stream.request_began(None);
                stream.request_ended();
                stream.rest();
            }
            let began = Instant::now();
            assert_eq!(read(&mut stream).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
            assert_eq!(began.elapsed().as_secs(), Limits::default().idle_timeout.as_secs());
        }
    }

    #[tokio::test]
    async fn what_was_read_is_known_to_belong_to_requests() {
        let (mut client, mut stream) = pair().await;
        assert!(stream.is_between_requests());
        stream.request_begins(true);
        client.write_all(b"onetwothree").await.unwrap();
        let mut bytes = [0; 6];
        stream.read_exact(&mut bytes).await.unwrap();
        stream.request_began(Some(3));
        assert!(!stream.is_between_requests(), "two has been read");
        stream.request_began(Some(3));
        assert!(stream.is_between_requests());
        stream.read_exact(&mut bytes[..5]).await.unwrap();
        stream.request_begins(false);
        stream.request_began(Some(5));
        assert!(!stream.is_between_requests(), "nobody knows any more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_is_for_one_header() {
        let (mut client, mut stream) = pair().await;
        for _ in 0..3 {
            client.write_all(b"GET").await.unwrap();
            assert_eq!(read(&mut stream).await.unwrap(), 3);
            stream.request_began(None);
            stream.request_ended();
            tokio::time::sleep(HEADER_TIMEOUT * 2).await;
        }
        client.write_all(b"GET").await.unwrap();
        assert_eq!(read(&mut stream).await.unwrap(), 3);
        client.write_all(b"GET").await.unwrap();
        tokio::time::sleep(HEADER_TIMEOUT * 2).await;
        assert_eq!(read(&mut stream).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn http2_has_a_deadline_for_its_preface_alone() {
        let (mut client, mut stream) = pair_of(true).await;
        client.write_all(&PREFACE[..10]).await.unwrap();
        assert_eq!(read(&mut stream).await.unwrap(), 10);
        assert_eq!(read(&mut stream).await.unwrap_err().kind(), io::ErrorKind::TimedOut);

        let (mut client, mut stream) = pair_of(true).await;
        client.write_all(PREFACE).await.unwrap();
        assert_eq!(read(&mut stream).await.unwrap(), PREFACE.len());
        let late = tokio::time::timeout(HEADER_TIMEOUT * 3, read(&mut stream)).await;
        assert!(late.is_err(), "{late:?}");
    }
}
