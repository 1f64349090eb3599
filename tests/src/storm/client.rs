//! A client of HTTP/1.1 that repeats nothing: what goes wrong on a connection is seen.

use std::io::{BufRead as _, BufReader, Error, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::origin::{ECHO, NAME};
use crate::wait::DEADLINE;

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// The host.
    pub(crate) host: &'static str,
    /// The path.
    pub(crate) path: String,
    /// What must come back, different for each request.
    pub(crate) echo: String,
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// Which origin answered; empty when it was the gateway.
    pub(crate) origin: String,
    /// What the origin was sent to be given back.
    pub(crate) echo: String,
    /// Whether the connection ends with it.
    pub(crate) last: bool,
}

/// An open connection.
pub(crate) struct Connection<S> {
    stream: BufReader<S>,
}

/// Connects without a handshake.
pub(crate) fn tcp(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    Ok(stream)
}

impl<S: Read + Write> Connection<S> {
    /// HTTP/1.1 over this stream.
    pub(crate) fn over(stream: S) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    /// Sends a request and reads the whole answer.
    pub(crate) fn ask(&mut self, question: &Question) -> std::io::Result<Answer> {
        let Question { host, path, echo } = question;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{ECHO}: {echo}\r\n\r\n");
        self.stream.get_mut().write_all(request.as_bytes())?;
        self.stream.get_mut().flush()?;
        let first = self.line()?;
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| malformed(&first))?;
        let mut answer = Answer { status, origin: String::new(), echo: String::new(), last: false };
        let mut length = None;
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| malformed(&line))?;
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                NAME => value.clone_into(&mut answer.origin),
                ECHO => value.clone_into(&mut answer.echo),
                "connection" => answer.last |= value.eq_ignore_ascii_case("close"),
                "content-length" => length = value.parse().ok(),
                _ => {}
            }
        }
        let length: usize = length.ok_or_else(|| malformed("no length"))?;
        self.stream.read_exact(&mut vec![0; length])?;
        Ok(answer)
    }

    fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        match line.strip_suffix("\r\n") {
            Some(line) => Ok(line.to_owned()),
            None => Err(Error::new(ErrorKind::UnexpectedEof, "the connection was closed")),
        }
    }
}

fn malformed(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("not an answer: {what:?}"))
}
