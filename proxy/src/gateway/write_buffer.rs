//! A buffer for writes that takes memory only while something is in it.
//!
//! It gathers small writes like tokio's `BufWriter`, which keeps its memory for as long as the
//! connection is open: most connections rest most of the time.
//!
//! Next: [`super::client_stream`], which has one.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Holds the header and a body of a few kilobytes; larger writes pass it by.
const CAPACITY: usize = 8 << 10;

/// Something to read from and write to, with a buffer for what is written.
#[derive(Debug)]
pub(super) struct WriteBuffer<T> {
    io: T,
    /// Without any memory while it is empty.
    bytes: Vec<u8>,
    /// How many of them have gone on.
    gone: usize,
}

impl<T> WriteBuffer<T> {
    pub(super) fn new(io: T) -> Self {
        Self { io, bytes: Vec::new(), gone: 0 }
    }

    pub(super) fn get_ref(&self) -> &T {
        &self.io
    }
}

impl<T: AsyncWrite + Unpin> WriteBuffer<T> {
    /// Hands on what is held, and gives the memory back.
    fn poll_empty(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.gone < self.bytes.len() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.bytes[self.gone..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.gone += written,
            }
        }
        self.bytes = Vec::new();
        self.gone = 0;
        Poll::Ready(Ok(()))
    }

    /// Makes room for so many bytes; false when they must pass the buffer by.
    fn poll_room(&mut self, cx: &mut Context<'_>, length: usize) -> Poll<io::Result<bool>> {
        if self.bytes.len().saturating_add(length) > CAPACITY {
            ready!(self.poll_empty(cx))?;
        }
        if length >= CAPACITY {
            return Poll::Ready(Ok(false));
        }
        if self.bytes.capacity() == 0 && length > 0 {
            self.bytes.reserve_exact(CAPACITY);
        }
        Poll::Ready(Ok(true))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for WriteBuffer<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for WriteBuffer<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !ready!(self.poll_room(cx, buf.len()))? {
            return Pin::new(&mut self.io).poll_write(cx, buf);
        }
        self.bytes.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = bufs.iter().map(|buf| buf.len()).fold(0, usize::saturating_add);
        if !ready!(self.poll_room(cx, length))? {
            return Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        }
        for buf in bufs {
            self.bytes.extend_from_slice(buf);
        }
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_empty(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_empty(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    async fn read(other: &mut DuplexStream, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        other.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    #[tokio::test]
    async fn small_writes_leave_together_and_no_memory_stays() {
        let (io, mut other) = duplex(64 << 10);
        let mut buffer = WriteBuffer::new(io);
        assert_eq!(buffer.bytes.capacity(), 0);
        buffer.write_all(b"head").await.unwrap();
        let parts = [IoSlice::new(b" and"), IoSlice::new(b" body")];
        assert_eq!(buffer.write_vectored(&parts).await.unwrap(), 9);
        assert_eq!((buffer.bytes.len(), buffer.bytes.capacity()), (13, CAPACITY));
        buffer.flush().await.unwrap();
        assert_eq!(buffer.bytes.capacity(), 0);
        assert_eq!(read(&mut other, 13).await, b"head and body");
    }

    #[tokio::test]
    async fn all_sizes_arrive_in_order_through_a_narrow_pipe() {
        let sizes = [1, CAPACITY - 1, 1, 1, CAPACITY, CAPACITY + 1, 5000, 5000, 0, 3 * CAPACITY, 7];
        let whole: Vec<u8> = (0..sizes.iter().sum::<usize>()).map(|at| (at % 251) as u8).collect();
        let (io, mut other) = duplex(100);
        let mut buffer = WriteBuffer::new(io);
        let send = async {
            let mut rest = &whole[..];
            for size in sizes {
                let part;
                (part, rest) = rest.split_at(size);
                buffer.write_all(part).await.unwrap();
                assert!(buffer.bytes.capacity() <= CAPACITY);
            }
            buffer.shutdown().await.unwrap();
        };
        let (received, ()) = tokio::join!(read(&mut other, whole.len()), send);
        assert!(received == whole);
        assert_eq!(other.read(&mut [0]).await.unwrap(), 0);
    }
}
