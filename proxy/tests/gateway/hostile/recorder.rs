//! An origin that records, byte by byte, what it is sent, and says in its answers what it understood.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::strict::{self, Read, Unframed};

/// An origin on a port of its own.
pub(crate) struct Recorder {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Recorder {
    pub(crate) fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let seen = Arc::clone(&shared);
                std::thread::spawn(move || serve(name, stream.unwrap(), &seen));
            }
        });
        Self { address, seen }
    }

    /// What came since the last call: requests, and whatever was none.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

fn serve(name: &str, mut stream: TcpStream, seen: &Mutex<Vec<String>>) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match strict::read(&bytes, Unframed::Empty, false) {
            Ok(Read::Whole(request, taken)) => {
                bytes.drain(..taken);
                let told = match strict::described(&request) {
                    Ok(told) => format!("{name} {told}"),
                    Err(what) => format!("{name} got no request: {what}"),
                };
                seen.lock().unwrap().push(told.clone());
                let body = if request.line.starts_with("HEAD ") { "" } else { &told };
                let answer =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", told.len());
                if stream.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
            Ok(Read::Part) => match stream.read(&mut buffer) {
                // A message that breaks off is none: its end never came.
                Ok(0) | Err(_) => return,
                Ok(read) => bytes.extend_from_slice(&buffer[..read]),
            },
            Err(what) => {
                let bytes = bytes.escape_ascii();
                seen.lock().unwrap().push(format!("{name} got no request: {what}: {bytes}"));
                return;
            }
        }
    }
}
