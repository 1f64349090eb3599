//! An origin whose health and manners can be changed while it runs.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use serde_json::Value;

/// Answers `/health` with one status and everything else with another.
pub(crate) struct Moody {
    pub(crate) address: SocketAddr,
    mood: Arc<Mood>,
}

struct Mood {
    name: &'static str,
    health: AtomicU16,
    work: AtomicU16,
    asked: AtomicUsize,
    worked: AtomicUsize,
}

impl Moody {
    pub(crate) fn start(name: &'static str) -> Self {
        Self::start_on(name, TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub(crate) fn start_on(name: &'static str, listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let mood = Arc::new(Mood {
            name,
            health: AtomicU16::new(200),
            work: AtomicU16::new(200),
            asked: AtomicUsize::new(0),
            worked: AtomicUsize::new(0),
        });
        let shared = Arc::clone(&mood);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mood = Arc::clone(&shared);
                std::thread::spawn(move || {
                    // A client that leaves ends the conversation.
                    let _ = serve(&stream.unwrap(), &mood);
                });
            }
        });
        Self { address, mood }
    }

    pub(crate) fn node(&self) -> Value {
        crate::origin::node(self.address)
    }

    /// From now on it answers checks with this status.
    pub(crate) fn health(&self, status: u16) {
        self.mood.health.store(status, Ordering::SeqCst);
    }

    /// From now on it answers requests with this status.
    pub(crate) fn work(&self, status: u16) {
        self.mood.work.store(status, Ordering::SeqCst);
    }

    /// Checks so far.
    pub(crate) fn asked(&self) -> usize {
        self.mood.asked.load(Ordering::SeqCst)
    }

    /// Requests so far, without checks.
    pub(crate) fn worked(&self) -> usize {
        self.mood.worked.load(Ordering::SeqCst)
    }
}

fn serve(stream: &TcpStream, mood: &Mood) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line.trim_end().is_empty() {
                break;
            }
            head.push(line.trim_end().to_ascii_lowercase());
        }
        let is_check = head.first().is_some_and(|line| line.starts_with("get /health"));
        let status = if is_check {
            mood.asked.fetch_add(1, Ordering::SeqCst);
            mood.health.load(Ordering::SeqCst)
        } else {
            mood.worked.fetch_add(1, Ordering::SeqCst);
            mood.work.load(Ordering::SeqCst)
        };
        let body = format!("{{\"origin\": \"{}\"}}", mood.name);
        write!(
            &*stream,
            "HTTP/1.1 {status} Whatever\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
    }
}
