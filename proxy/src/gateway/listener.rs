//! A listening socket and its accept loop.
//!
//! Pingora's own services bind when they run, own the signals of the process and wait minutes
//! before they stop; a gateway binds before it starts, lives beside others in one process and
//! drains as soon as nothing is in flight. So the loop is ours, and Pingora gets the connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pingora::apps::HttpServerApp;
use pingora::protocols::l4::listener::Listener as Acceptor;
use pingora::protocols::l4::socket::SocketAddr as Peer;
use pingora::protocols::l4::stream::Stream as TcpStream;
use pingora::protocols::{GetSocketDigest as _, Ssl as _, TcpKeepalive};
use pingora::server::ShutdownWatch;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::client_stream::{ClientStream, PREFACE, Serves, Transport};
use super::limits::{Counted, Limits};
use super::{Shared, http1, http2, tls};

const BACKLOG: u32 = 4096;

/// Clients that vanish without a word are noticed after about two minutes.
const KEEPALIVE: TcpKeepalive = TcpKeepalive {
    idle: Duration::from_secs(60),
    interval: Duration::from_secs(15),
    count: 4,
    user_timeout: Duration::ZERO,
};

/// Held by everything that keeps a connection open; when the last one is dropped, all are closed.
pub(crate) type KeptOpen = mpsc::Sender<()>;

/// What clients speak to a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// HTTP/1.
    Http1,
    /// HTTP/1, or HTTP/2 from the first byte on.
    Http1OrHttp2,
    /// TLS, and in it what client and gateway agree on.
    Tls,
}

/// A socket that listens.
pub(crate) struct Listener {
    acceptor: Acceptor,
    address: SocketAddr,
    serves: Serves,
    speaks: Speaks,
}

impl Listener {
    /// Binds and listens. Must be called inside a runtime's context.
    pub(crate) fn bind(address: SocketAddr, serves: Serves, speaks: Speaks) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener: TcpListener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        Ok(Self { acceptor: listener.into(), address, serves, speaks })
    }

    /// Where it listens; the port is known even when 0 was asked for.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Hands every connection to `app` until `shutdown` is true.
    pub(crate) async fn serve<A>(
        self,
        app: Arc<A>,
        shared: Arc<Shared>,
        mut shutdown: ShutdownWatch,
        open: KeptOpen,
    ) where
        A: HttpServerApp + Send + Sync + 'static,
    {
        let (serves, speaks) = (self.serves, self.speaks);
        loop {
            let accepted = tokio::select! {
                accepted = self.acceptor.accept() => accepted,
                // An error means that the gateway is gone, which is a reason to stop as well.
                _ = shutdown.wait_for(|stop| *stop) => return,
            };
            match accepted {
                Ok(mut stream) => {
                    let Ok(counted) = self.admit(&stream, &shared) else {
                        shared.metrics.refused_connections.add(1);
                        continue;
                    };
                    // A connection without these options is slower or stays longer, no more.
                    let _ = stream.set_nodelay();
                    let _ = stream.set_keepalive(&KEEPALIVE);
                    let (app, open) = (Arc::clone(&app), open.clone());
                    let mut shutdown = shutdown.clone();
                    let shared = Arc::clone(&shared);
                    let counted = (counted, Open::new(&shared, serves));
                    tokio::spawn(async move {
                        let opened = ready(stream, serves, speaks, &shared).await;
                        match opened {
                            Some(stream) if stream.selected_alpn_proto().is_some() => {
                                let limits = shared.limits.clone();
                                drop(shared);
                                let (stream, shutdown) = (Box::new(stream), &mut shutdown);
                                // In a box, as the handshake below.
                                Box::pin(http2::serve(stream, &app, &limits, shutdown)).await;
                            }
                            Some(stream) => {
                                drop(shared);
                                http1::serve(Box::new(stream), &app, &mut shutdown).await;
                            }
                            None => {}
                        }
                        drop((counted, open));
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

    /// Counts a connection where its client has a limit; an error when the client is at it.
    fn admit(&self, stream: &TcpStream, shared: &Shared) -> Result<Option<Counted>, ()> {
        let Some(most) = shared.limits.connections_per_client else { return Ok(None) };
        let digest = stream.get_socket_digest();
        let peer = digest.as_ref().and_then(|digest| digest.peer_addr());
        match (self.serves, peer) {
            (Serves::Proxy, Some(Peer::Inet(peer))) => {
                shared.connections.admit(peer.ip(), most).map(Some).ok_or(())
            }
            _ => Ok(None),
        }
    }
}

/// A connection for requests, as long as it is open, in the metrics.
struct Open(Option<Arc<Shared>>);

impl Open {
    fn new(shared: &Arc<Shared>, serves: Serves) -> Self {
        Self((serves == Serves::Proxy).then(|| {
            shared.metrics.opened_connections.add(1);
            Arc::clone(shared)
        }))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(shared) = &self.0 {
            shared.metrics.closed_connections.add(1);
        }
    }
}

/// Brings a connection to where requests begin; nothing when that fails.
async fn ready(
    mut tcp: TcpStream,
    serves: Serves,
    speaks: Speaks,
    shared: &Shared,
) -> Option<ClientStream> {
    let (transport, is_http2) = match speaks {
        Speaks::Http1 => (Transport::Plain(tcp), false),
        Speaks::Http1OrHttp2 => {
            let is_http2 = begins_http2(&mut tcp, &shared.limits).await.ok()?;
            (Transport::Plain(tcp), is_http2)
        }
        // In a box: the task of a connection is as large as the largest thing that it waits for.
        Speaks::Tls => match Box::pin(tls::accept(tcp, shared)).await {
            Ok(encrypted) => {
                let is_http2 = encrypted.stream.get_ref().1.alpn_protocol() == Some(b"h2");
                (Transport::Encrypted(Box::new(encrypted)), is_http2)
            }
            Err(error) => {
                shared.metrics.failed_handshakes.add(1);
                tracing::debug!(group = %shared.group, %error, "no TLS connection");
                return None;
            }
        },
    };
    Some(ClientStream::new(transport, serves, is_http2, &shared.limits))
}

/// Whether what the client says first is the preface of HTTP/2. It stays to be read.
async fn begins_http2(tcp: &mut TcpStream, limits: &Limits) -> io::Result<bool> {
    let mut bytes = [0; PREFACE.len()];
    // A client that says nothing may wait as long as between two requests.
    let mut length = timeout(limits.idle_timeout, tcp.read(&mut bytes)).await??;
    let rest = async {
        while length < bytes.len() && PREFACE.starts_with(&bytes[..length]) {
            match tcp.read(&mut bytes[length..]).await? {
                0 => break,
                read => length += read,
            }
        }
        io::Result::Ok(())
    };
    timeout(limits.header_timeout, rest).await??;
    tcp.rewind(&bytes[..length]);
    Ok(&bytes[..length] == PREFACE)
}

fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
