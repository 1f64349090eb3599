//! Connections to nodes in HTTP/1 without TLS that rest between two requests.
//!
//! Pingora's own pool has a task for each connection that rests, started and ended with each request.
//! Here all of them ring one bell, and one task looks after them: it closes those that their node
//! has closed or said something on, and those that have rested for too long.
//!
//! How many there are is decided in front of it, see [`super::keepalive`].

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, Weak};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use pingora::protocols::Stream;
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// How many connections rest at most; further ones are closed behind their request.
const MOST: usize = 8192;

/// When there is nothing to look after, it is looked for that late.
const LONG: Duration = Duration::from_secs(3600);

/// What connections that are interchangeable have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// Stands for all that is asked of the connection, see [`super::peer::NodePeer`].
    pub(crate) pool: u64,
    pub(crate) address: SocketAddr,
}

/// The connections of one gateway.
#[derive(Debug)]
pub(crate) struct IdleConnections {
    resting: Arc<Mutex<Resting>>,
    bell: Arc<Bell>,
    /// What connections ring the bell with.
    waker: Waker,
    looked_after: Once,
}

#[derive(Debug)]
struct Resting {
    connections: HashMap<Key, Vec<Connection>>,
    count: usize,
    /// When they are looked at next, if no bell rings.
    due: Instant,
}

struct Connection {
    stream: Stream,
    /// How long it may rest.
    until: Instant,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("until", &self.until).finish_non_exhaustive()
    }
}

/// Rings when something happens on a connection that rests.
#[derive(Debug, Default)]
struct Bell(Notify);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.notify_one();
    }
}

impl Default for IdleConnections {
    fn default() -> Self {
        let bell = Arc::<Bell>::default();
        let waker = Waker::from(Arc::clone(&bell));
        let resting = Resting { connections: HashMap::new(), count: 0, due: Instant::now() + LONG };
        Self { resting: Arc::new(Mutex::new(resting)), bell, waker, looked_after: Once::new() }
    }
}

impl IdleConnections {
    /// A connection that nothing has come on since it was put in; the one that was last.
    pub(crate) fn take(&self, key: Key) -> Option<Stream> {
        loop {
            let mut connection = {
                let mut resting = lock(&self.resting);
                let connection = resting.connections.get_mut(&key)?.pop()?;
                resting.count -= 1;
                connection
            };
            // The bell is not for the answer that will come on it.
            if connection.may_rest(Instant::now(), Waker::noop()) {
                return Some(connection.stream);
            }
        }
    }

    /// Lets a connection rest. Must be called inside a runtime's context.
    pub(crate) fn put(&self, key: Key, stream: Stream, most: Duration) {
        let now = Instant::now();
        let mut connection = Connection { stream, until: now + most };
        if !connection.may_rest(now, &self.waker) {
            return;
        }
        self.looked_after.call_once(|| {
            tokio::spawn(look_after(Arc::downgrade(&self.resting), Arc::clone(&self.bell)));
        });
        let mut resting = lock(&self.resting);
        if resting.count >= MOST {
            return;
        }
        if connection.until < resting.due {
            self.bell.0.notify_one();
        }
        resting.count += 1;
        resting.connections.entry(key).or_default().push(connection);
    }
}

impl Drop for IdleConnections {
    fn drop(&mut self) {
        // Who looks after them ends when nobody has them any more.
        self.bell.0.notify_one();
    }
}

impl Connection {
    /// Whether its time is not over and nothing has come on it, not even its end. What comes later
    /// wakes `waker`.
    fn may_rest(&mut self, now: Instant, waker: &Waker) -> bool {
        let mut byte = [0];
        let mut buf = ReadBuf::new(&mut byte);
        let mut cx = Context::from_waker(waker);
        now < self.until && Pin::new(&mut self.stream).poll_read(&mut cx, &mut buf).is_pending()
    }
}

impl Resting {
    /// Takes out what may rest no longer.
    fn sort_out(&mut self, waker: &Waker) -> Vec<Connection> {
        let now = Instant::now();
        self.due = now + LONG;
        let (mut gone, due) = (Vec::new(), &mut self.due);
        self.connections.retain(|_, connections| {
            gone.extend(connections.extract_if(.., |connection| {
                let stays = connection.may_rest(now, waker);
                if stays {
                    *due = (*due).min(connection.until);
                }
                !stays
            }));
            !connections.is_empty()
        });
        self.count -= gone.len();
        gone
    }
}

fn lock(resting: &Mutex<Resting>) -> MutexGuard<'_, Resting> {
    // Whatever panicked left counts and lists as they were before or after a whole step.
    resting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Closes connections that may rest no longer, until there is nobody who has any.
async fn look_after(resting: Weak<Mutex<Resting>>, bell: Arc<Bell>) {
    let waker = Waker::from(Arc::clone(&bell));
    loop {
        let Some(all) = resting.upgrade() else { return };
        let (gone, due) = {
            let mut resting = lock(&all);
            (resting.sort_out(&waker), resting.due)
        };
        drop(all);
        // Closing is a call to the system each: nobody should wait for the lock meanwhile.
        drop(gone);
        tokio::select! {
            () = bell.0.notified() => {}
            () = sleep_until(due) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const LONG_ENOUGH: Duration = Duration::from_secs(60);

    /// A connection as the gateway makes them, and the node's end of it.
    async fn pair() -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let one = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let other = listener.accept().await.unwrap().0;
        (Box::new(pingora::protocols::l4::stream::Stream::from(one)), other)
    }

    fn key(pool: u64) -> Key {
        Key { pool, address: ([127, 0, 0, 1], 80).into() }
    }

    fn count(idle: &IdleConnections) -> usize {
        lock(&idle.resting).count
    }

    /// Lets others run until so many are left; a test that waits for ever fails by its time.
    async fn until_left(idle: &IdleConnections, left: usize) {
        while count(idle) != left {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn the_last_one_comes_first_and_only_under_its_own_key() {
        let idle = IdleConnections::default();
        let mut nodes = Vec::new();
        for _ in 0..2 {
            let (stream, node) = pair().await;
            idle.put(key(1), stream, LONG_ENOUGH);
            nodes.push(node);
        }
        assert!(idle.take(key(2)).is_none());
        let mut last = idle.take(key(1)).unwrap();
        last.write_all(b"x").await.unwrap();
        last.flush().await.unwrap();
        let mut byte = [0];
        nodes[1].read_exact(&mut byte).await.unwrap();
        assert!(idle.take(key(1)).is_some());
        assert!(idle.take(key(1)).is_none());
        assert_eq!(count(&idle), 0);
    }

    #[tokio::test]
    async fn what_a_node_closes_or_says_something_on_is_gone() {
        let idle = IdleConnections::default();
        let (closed, node) = pair().await;
        let (spoken, mut other) = pair().await;
        let (quiet, _third) = pair().await;
        for stream in [closed, spoken, quiet] {
            idle.put(key(1), stream, LONG_ENOUGH);
        }
        drop(node);
        until_left(&idle, 2).await;
        other.write_all(b"HTTP/1.1 408 \r\n\r\n").await.unwrap();
        until_left(&idle, 1).await;
        assert!(idle.take(key(1)).is_some());
    }

    #[tokio::test]
    async fn what_was_closed_before_is_not_put_in() {
        let idle = IdleConnections::default();
        let (mut stream, node) = pair().await;
        drop(node);
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
        idle.put(key(1), stream, LONG_ENOUGH);
        assert_eq!(count(&idle), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn rests_end() {
        let idle = IdleConnections::default();
        let mut nodes = Vec::new();
        for seconds in [30, 10, 20] {
            let (stream, node) = pair().await;
            idle.put(key(1), stream, Duration::from_secs(seconds));
            nodes.push(node);
        }
        let began = Instant::now();
        for (left, seconds) in [(2, 10), (1, 20), (0, 30)] {
            while count(&idle) != left {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            assert_eq!(began.elapsed().as_secs(), seconds);
        }
        let (stream, _node) = pair().await;
        idle.put(key(1), stream, Duration::ZERO);
        assert_eq!(count(&idle), 0);
    }

    #[tokio::test]
    async fn nobody_looks_after_what_is_gone() {
        let idle = IdleConnections::default();
        let (stream, mut node) = pair().await;
        idle.put(key(1), stream, LONG_ENOUGH);
        let bell = Arc::downgrade(&idle.bell);
        drop(idle);
        assert_eq!(node.read(&mut [0]).await.unwrap(), 0, "the connection is closed");
        while bell.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
    }
}
