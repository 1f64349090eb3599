//! A small HTTP/1.1 origin that tells what it was asked, and misbehaves when asked to.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};

/// An origin on a port of its own.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    /// Says that a request for `/held` has arrived.
    pub(crate) arrived: Receiver<()>,
    /// Lets one request for `/held` go on.
    pub(crate) release: Sender<()>,
    /// Requests seen.
    pub(crate) seen: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
}

struct Held {
    arrived: Sender<()>,
    release: Mutex<Receiver<()>>,
}

impl Origin {
    pub(crate) fn start(name: &'static str) -> Self {
        Self::start_on(name, TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub(crate) fn start_on(name: &'static str, listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let (arrived_in, arrived) = channel();
        let (release, release_out) = channel();
        let held = Arc::new(Held { arrived: arrived_in, release: Mutex::new(release_out) });
        let seen = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&seen);
        let open = Arc::new(AtomicUsize::new(0));
        let still_open = Arc::clone(&open);
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let (held, counter) = (Arc::clone(&held), Arc::clone(&counter));
                let open = Arc::clone(&still_open);
                open.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    // A client that leaves ends the conversation, whatever it was about.
                    let _ = serve(name, number, &stream.unwrap(), &held, &counter);
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, arrived, release, seen, open }
    }

    pub(crate) fn node(&self) -> Value {
        node(self.address)
    }

    /// Connections that are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    pub(crate) fn seen(&self) -> usize {
        self.seen.load(Ordering::Relaxed)
    }
}

pub(crate) fn node(address: SocketAddr) -> Value {
    json!({"host": address.ip().to_string(), "port": address.port()})
}

/// An address where nobody listens.
pub(crate) fn dead_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

fn read(stream: &mut BufReader<&TcpStream>) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_owned(), value.to_owned()));
    }
    let mut request = Request { method, target, headers, body: Vec::new() };
    if let Some(length) = request.header("content-length") {
        let mut body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut body)?;
        request.body = body;
    } else if request.header("transfer-encoding").is_some() {
        loop {
            let mut size = String::new();
            stream.read_line(&mut size)?;
            let size = usize::from_str_radix(size.trim_end(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            stream.read_exact(&mut chunk)?;
            if size == 0 {
                break;
            }
            request.body.extend_from_slice(&chunk[..size]);
        }
    }
    Ok(Some(request))
}

fn serve(
    name: &str,
    number: usize,
    stream: &TcpStream,
    held: &Held,
    seen: &AtomicUsize,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    while let Some(request) = read(&mut reader)? {
        seen.fetch_add(1, Ordering::Relaxed);
        let path = request.target.split('?').next().unwrap_or("");
        let mut status = 200;
        let is_last = request.header("connection") == Some("close");
        let mut extra = if is_last { "Connection: close\r\n" } else { "" };
        match path {
            "/held" => {
                held.arrived.send(()).unwrap();
                held.release.lock().unwrap().recv().unwrap();
            }
            "/never" => {
                // Until the other side gives up.
                let _ = reader.read(&mut [0]);
                return Ok(());
            }
            "/paused" => {
                // The second half of the body comes later than any time for all tries here.
                writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n12")?;
                let until = std::time::Instant::now() + std::time::Duration::from_millis(700);
                while let Some(left) = until.checked_duration_since(std::time::Instant::now()) {
                    std::thread::park_timeout(left);
                }
                writer.write_all(b"34")?;
                continue;
            }
            "/reset" => return Ok(()),
            "/trickle" => {
                writer.write_all(b"HTTP/1.1 200 OK\r\n")?;
                for _ in 0.. {
                    writer.write_all(b"X-More: 1\r\n")?;
                    std::thread::park_timeout(std::time::Duration::from_millis(20));
                }
            }
            "/upgrade" => {
                writer.write_all(
                    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
                )?;
                let mut message = [0; 4];
                reader.read_exact(&mut message)?;
                return writer.write_all(&message);
            }
            "/hop" => extra = "Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\n",
            "/last" => extra = "X-Last: 1\r\n",
            _ => {
                if let Some(code) = path.strip_prefix("/status/") {
                    status = code.parse().unwrap();
                }
            }
        }
        let headers: Map<String, Value> = request
            .headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), Value::from(value.as_str())))
            .collect();
        let body = json!({
            "origin": name,
            "connection": number,
            "method": request.method,
            "target": request.target,
            "headers": headers,
            "body": String::from_utf8_lossy(&request.body),
        })
        .to_string();
        let head = format!(
            "HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\n{extra}Content-Length: {}\r\n\r\n",
            body.len()
        );
        writer.write_all(head.as_bytes())?;
        if request.method != "HEAD" {
            writer.write_all(body.as_bytes())?;
        }
        if is_last {
            return Ok(());
        }
        if path == "/last" {
            // The connection looks open, and is closed with the next request unread.
            let mut byte = [0];
            let _ = stream.peek(&mut byte);
            return Ok(());
        }
    }
    Ok(())
}
