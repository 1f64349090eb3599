//! Origins that say who answers, and count.
//!
//! A thread for each connection, and no limit to its life: every connection that a gateway makes
//! anew is one that it lost.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use serde_json::{Value, json};

/// The path that health checks ask for.
pub(crate) const HEALTH: &str = "/healthz";
/// The field that says who answered.
pub(crate) const NAME: &str = "x-origin";
/// The field that comes back as it was sent.
pub(crate) const ECHO: &str = "x-echo";

/// A server on a port of its own, for as long as the process lives.
#[derive(Debug)]
pub(crate) struct Origin {
    port: u16,
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    connections: AtomicUsize,
    requests: AtomicU64,
    checks: AtomicU64,
}

impl Origin {
    /// Starts one that calls itself `name` and is well or not when it is asked.
    pub(crate) fn start(name: &str, well: bool) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let seen = Arc::<Seen>::default();
        let (name, counts) = (name.to_owned(), Arc::clone(&seen));
        std::thread::spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                let (name, counts) = (name.clone(), Arc::clone(&counts));
                // It ends with its connection.
                std::thread::spawn(move || serve(stream, &name, well, &counts));
            }
        });
        Ok(Self { port, seen })
    }

    /// It as a node of an upstream.
    pub(crate) fn node(&self, weight: usize) -> Value {
        json!({"host": "127.0.0.1", "port": self.port, "weight": weight})
    }

    /// How many connections have carried a request that was no health check.
    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// How many requests came that were no health checks.
    pub(crate) fn requests(&self) -> u64 {
        self.seen.requests.load(Ordering::SeqCst)
    }

    /// How many health checks came.
    pub(crate) fn checks(&self) -> u64 {
        self.seen.checks.load(Ordering::SeqCst)
    }
}

/// Answers one connection until it ends; whoever is hung up on learns it at the other end.
fn serve(stream: TcpStream, name: &str, well: bool, seen: &Seen) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let mut first = true;
    loop {
        let Some((line, echo)) = request(&mut stream)? else { return Ok(()) };
        let check = line.split(' ').nth(1) == Some(HEALTH);
        if check {
            seen.checks.fetch_add(1, Ordering::SeqCst);
        } else {
            seen.requests.fetch_add(1, Ordering::SeqCst);
            if std::mem::take(&mut first) {
                seen.connections.fetch_add(1, Ordering::SeqCst);
            }
        }
        let status = if check && !well { "500 Unwell" } else { "200 OK" };
        let answer = format!(
            "HTTP/1.1 {status}\r\n{NAME}: {name}\r\n{ECHO}: {echo}\r\nContent-Length: {}\r\n\r\n{name}",
            name.len()
        );
        stream.get_mut().write_all(answer.as_bytes())?;
    }
}

/// The first line of a request without a body and what it wants back; nothing at the end.
fn request(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<(String, String)>> {
    let (mut first, mut echo, mut line) = (String::new(), String::new(), String::new());
    if stream.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end().split_once(": ") {
            None => return Ok(Some((first, echo))),
            Some((field, value)) if field.eq_ignore_ascii_case(ECHO) => value.clone_into(&mut echo),
            Some(_) => {}
        }
    }
}
