//! A WebSocket server that sends back what it hears, and does what some words ask of it.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};

use serde_json::Value;
use tungstenite::handshake::server::{Request, Response};
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Bytes, Message};

use crate::origin::node;

/// Messages of a `count`.
pub(crate) const COUNTED: usize = 100;

pub(crate) struct WebSocketServer {
    pub(crate) address: SocketAddr,
    /// The handshake of each connection, as it came.
    pub(crate) opened: Receiver<Request>,
    /// How each connection ended: with which words, if it was with any.
    pub(crate) closed: Receiver<Option<CloseFrame>>,
}

impl WebSocketServer {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (open, opened) = channel();
        let (close, closed) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (open, close) = (open.clone(), close.clone());
                std::thread::spawn(move || {
                    // Who listens may be gone; then nobody wants to know.
                    let _ = close.send(serve(stream.unwrap(), &open));
                });
            }
        });
        Self { address, opened, closed }
    }

    pub(crate) fn node(&self) -> Value {
        node(self.address)
    }
}

#[expect(clippy::result_large_err, reason = "the library's own")]
fn serve(stream: TcpStream, open: &Sender<Request>) -> Option<CloseFrame> {
    let agree = |request: &Request, mut answer: Response| {
        if let Some(protocol) = request.headers().get("sec-websocket-protocol") {
            answer.headers_mut().insert("sec-websocket-protocol", protocol.clone());
        }
        answer.headers_mut().insert("x-server", "echo".parse().unwrap());
        open.send(request.clone()).unwrap();
        Ok(answer)
    };
    let mut socket = tungstenite::accept_hdr(stream, agree).ok()?;
    let mut words = None;
    loop {
        // A close is told before the connection ends.
        let Ok(message) = socket.read() else { return words };
        let done = match &message {
            Message::Text(text) if *text == "count" => {
                (0..COUNTED).try_for_each(|number| socket.send(Message::text(number.to_string())))
            }
            Message::Text(text) if *text == "ping" => {
                socket.send(Message::Ping(Bytes::from_static(b"server")))
            }
            Message::Text(text) if *text == "leave" => return None,
            Message::Text(text) if *text == "close" => socket.close(Some(CloseFrame {
                code: CloseCode::Library(4002),
                reason: "enough".into(),
            })),
            Message::Pong(payload) => socket.send(Message::Binary(payload.clone())),
            Message::Close(frame) => {
                words = frame.clone();
                Ok(())
            }
            Message::Text(_) | Message::Binary(_) => socket.send(message),
            Message::Ping(_) | Message::Frame(_) => Ok(()),
        };
        if done.is_err() {
            return words;
        }
    }
}
