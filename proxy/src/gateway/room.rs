//! Whether a node takes more of a body that is long.
//!
//! Pingora speaks HTTP/1 to a node one way at a time: while it waits for the node to take a part of a
//! request, it reads nothing of the answer. A node that answers while the body comes, and reads no
//! further before its answer is taken, would wait for us as we for it. So a part is read from the
//! client only when the node's socket has room for it, and what Pingora writes never waits.
//!
//! The socket is Pingora's, which tells its number and nothing more. A second selector watches that,
//! in the selector of the runtime.
//!
//! Next: [`super::reading`], through which reads from the client come here.

use std::future::Future as _;
use std::io;
use std::os::fd::RawFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Token};
use tokio::io::unix::AsyncFd;
use tokio::time::Sleep;

/// How much of a body goes to a node before it is worth a selector: what Pingora holds for another
/// try, and less than what two sockets hold between them.
pub(crate) const FROM: u64 = 64 << 10;

/// How much is read at once while the node answers: a socket that says that it has room has that
/// much.
const PART: usize = 16 << 10;

const NODE: Token = Token(0);

/// Watches the room in the socket of a node.
#[derive(Debug)]
pub(crate) struct Room {
    selector: AsyncFd<mio::Poll>,
    events: Events,
    node: RawFd,
    /// How long the node may neither take nor say anything.
    patience: Duration,
    /// Runs while there is no room.
    full: Option<Pin<Box<Sleep>>>,
    /// Whether a part is on its way to the socket.
    passing: bool,
    answers: bool,
}

impl Room {
    /// Watches the socket `node`. Must be called inside a runtime's context.
    ///
    /// # Errors
    /// When the system has no more descriptors to give.
    pub(crate) fn new(node: RawFd, patience: Duration, answers: bool) -> io::Result<Self> {
        let selector = mio::Poll::new()?;
        selector.registry().register(&mut SourceFd(&node), NODE, Interest::WRITABLE)?;
        #[expect(
            deprecated,
            reason = "the selector owns its descriptor; what replaces this is unsafe"
        )]
        let selector = AsyncFd::with_interest(selector, tokio::io::Interest::READABLE)?;
        let events = Events::with_capacity(1);
        Ok(Self { selector, events, node, patience, full: None, passing: false, answers })
    }

    /// The node has begun its answer, or goes on with it.
    pub(crate) fn answers(&mut self) {
        self.answers = true;
        self.full = None;
    }

    /// A part was read and is on its way to the node.
    pub(crate) fn passes(&mut self) {
        self.passing = true;
    }

    /// Waits until a part can be read; gives how large it may be.
    ///
    /// # Errors
    /// When the node has taken nothing for too long.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if std::mem::take(&mut self.passing) {
            // One turn for what was read to be written: until then the socket has room for it.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            if self.has_room() {
                self.full = None;
                return Poll::Ready(Ok(if self.answers { PART } else { usize::MAX }));
            }
            match self.selector.poll_read_ready(cx) {
                Poll::Ready(Ok(mut ready)) => ready.clear_ready(),
                // The runtime ends.
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => break,
            }
        }
        let patience = self.patience;
        let full = self.full.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        full.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Whether the socket takes more, or has an error to tell when it is written to.
    fn has_room(&mut self) -> bool {
        let poll = self.selector.get_mut();
        // Registering anew is how to be told of what has not changed.
        let mut node = SourceFd(&self.node);
        let told = poll
            .registry()
            .reregister(&mut node, NODE, Interest::WRITABLE)
            .and_then(|()| poll.poll(&mut self.events, Some(Duration::ZERO)));
        // An error: the socket is gone, which Pingora will notice.
        told.is_err() || !self.events.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::os::fd::AsRawFd as _;

    use tokio::io::AsyncReadExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let one = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (one, listener.accept().await.unwrap().0)
    }

    /// Writes until nothing more is taken; gives how much was.
    fn fill(stream: &TcpStream) -> usize {
        let part = [0; 64 << 10];
        std::iter::from_fn(|| stream.try_write(&part).ok()).sum()
    }

    #[tokio::test]
    async fn a_socket_that_is_full_has_room_when_something_was_taken() {
        let (node, mut other) = pair().await;
        let mut room = Room::new(node.as_raw_fd(), Duration::from_secs(60), false).unwrap();
        let mut next = async || poll_fn(|cx| room.poll(cx)).await.unwrap();
        assert_eq!(next().await, usize::MAX);
        node.writable().await.unwrap();
        let mut taken = fill(&node);
        let mut bytes = vec![0; 64 << 10];
        tokio::select! {
            biased;
            _ = next() => panic!("it is full"),
            () = std::future::ready(()) => {}
        }
        let take = async {
            while taken > 0 {
                taken -= other.read(&mut bytes).await.unwrap();
            }
        };
        tokio::join!(take, next());
        room.passes();
        room.answers();
        assert_eq!(poll_fn(|cx| room.poll(cx)).await.unwrap(), PART);
        drop(node);
        assert!(poll_fn(|cx| room.poll(cx)).await.is_ok(), "there is nothing to wait for");
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends() {
        let (node, _other) = pair().await;
        node.writable().await.unwrap();
        fill(&node);
        let patience = Duration::from_secs(60);
        let mut room = Room::new(node.as_raw_fd(), patience, false).unwrap();
        let began = tokio::time::Instant::now();
        let error = poll_fn(|cx| room.poll(cx)).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed().as_secs()), (io::ErrorKind::TimedOut, 60));
    }
}
