//! Connections for requests that ask for an upgrade.
//!
//! Pingora waits at once for the node's answer and for the end of the client's request, in no
//! order. When both are there, and it takes an answer of 101 first, the end of the request counts
//! as the end of the upgraded connection, which is closed before a byte went through it. So the
//! socket lets the other side go first: a read that follows a write waits for one turn.

use std::io;
use std::net::SocketAddr as InetAddress;
use std::os::fd::AsRawFd as _;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};

use async_trait::async_trait;
use pingora::connectors::L4Connect;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora::{Error, ErrorType, Result};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Makes such a connection. How long that may take is Pingora's to watch.
#[derive(Debug, Default)]
pub(crate) struct UpgradeConnect {
    socket: OnceLock<i32>,
}

impl UpgradeConnect {
    /// The number of the socket that was made, which Pingora does not tell of sockets that are not
    /// its own.
    pub(crate) fn socket(&self) -> Option<i32> {
        self.socket.get().copied()
    }
}

#[async_trait]
impl L4Connect for UpgradeConnect {
    async fn connect(&self, address: &SocketAddr) -> Result<Stream> {
        let SocketAddr::Inet(address) = address else {
            return Error::e_explain(ErrorType::ConnectError, "nodes have IP addresses");
        };
        match connect(*address).await {
            Ok(socket) => {
                // One try makes one connection.
                let _ = self.socket.set(socket.tcp.as_raw_fd());
                Ok(VirtualSocketStream::new(Box::new(socket)).into())
            }
            Err(error) => {
                Error::e_because(ErrorType::ConnectError, format!("connecting to {address}"), error)
            }
        }
    }
}

async fn connect(address: InetAddress) -> io::Result<Polite> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    Ok(Polite { tcp, wrote: false })
}

/// A socket whose first read after a write waits for one turn.
#[derive(Debug)]
struct Polite {
    tcp: TcpStream,
    wrote: bool,
}

impl VirtualSocket for Polite {
    fn set_socket_option(&self, option: VirtualSockOpt) -> io::Result<()> {
        match option {
            VirtualSockOpt::NoDelay => self.tcp.set_nodelay(true),
            // Upgraded connections have the read timeout of their route.
            _ => Ok(()),
        }
    }
}

impl AsyncRead for Polite {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.wrote) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Polite {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.wrote = true;
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn reads_after_writes_let_others_go_first() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut polite = connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut other, _) = listener.accept().await.unwrap();
        other.write_all(b"ab").await.unwrap();
        polite.tcp.readable().await.unwrap();
        polite.write_all(b"x").await.unwrap();
        let mut byte = [0];
        let first = tokio::select! {
            biased;
            _ = polite.read(&mut byte) => "the read",
            () = std::future::ready(()) => "the other",
        };
        assert_eq!(first, "the other");
        assert_eq!(polite.read(&mut byte).await.unwrap(), 1);
        assert_eq!(&byte, b"a");
    }
}
