//! A listening socket and its accept loop.
//!
//! Pingora's own services bind when they run, own the signals of the process and wait minutes
//! before they stop; a gateway binds before it starts, lives beside others in one process and
//! drains as soon as nothing is in flight. So the loop is ours, and Pingora gets the connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pingora::apps::ServerApp;
use pingora::protocols::l4::listener::Listener as Acceptor;
use pingora::protocols::{Stream, TcpKeepalive};
use pingora::server::ShutdownWatch;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;

use super::client_stream::{ClientStream, Serves};

const BACKLOG: u32 = 4096;

/// Clients that vanish without a word are noticed after about two minutes.
const KEEPALIVE: TcpKeepalive = TcpKeepalive {
    idle: Duration::from_secs(60),
    interval: Duration::from_secs(15),
    count: 4,
    user_timeout: Duration::ZERO,
};

/// Held by everything that keeps a connection open; when the last one is dropped, all are closed.
pub(crate) type Open = mpsc::Sender<()>;

/// A socket that listens.
pub(crate) struct Listener {
    acceptor: Acceptor,
    address: SocketAddr,
    serves: Serves,
}

impl Listener {
    /// Binds and listens. Must be called inside a runtime's context.
    pub(crate) fn bind(address: SocketAddr, serves: Serves) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener: TcpListener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        Ok(Self { acceptor: listener.into(), address, serves })
    }

    /// Where it listens; the port is known even when 0 was asked for.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Hands every connection to `app` until `shutdown` is true.
    pub(crate) async fn serve<A>(self, app: Arc<A>, mut shutdown: ShutdownWatch, open: Open)
    where
        A: ServerApp + Send + Sync + 'static,
    {
        loop {
            let accepted = tokio::select! {
                accepted = self.acceptor.accept() => accepted,
                // An error means that the gateway is gone, which is a reason to stop as well.
                _ = shutdown.wait_for(|stop| *stop) => return,
            };
            match accepted {
                Ok(mut stream) => {
                    // A connection without these options is slower or stays longer, no more.
                    let _ = stream.set_nodelay();
                    let _ = stream.set_keepalive(&KEEPALIVE);
                    let stream = ClientStream::new(stream, self.serves);
                    let (app, shutdown, open) = (app.clone(), shutdown.clone(), open.clone());
                    tokio::spawn(async move {
                        let mut next: Option<Stream> = Some(Box::new(stream));
                        while let Some(stream) = next {
                            next = app.process_new(stream, &shutdown).await;
                        }
                        drop(open);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, address = %self.address, "cannot accept a connection");
                    if !is_about_one_connection(&error) {
                        // Out of descriptors or memory: accepting again at once would spin.
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        }
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
