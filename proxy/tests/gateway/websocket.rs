//! WebSocket with a client and a server that are not ours: messages both ways, over TLS and without,
//! while configurations come and go.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use refgate_proxy::{AccessLog, LogTarget};
use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::handshake::client::Response;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Bytes, ClientRequestBuilder, Error, HandshakeError, Message, WebSocket};

use crate::encrypted::{self, Authority};
use crate::origin::Origin;
use crate::repository::Config;
use crate::websocket_server::{COUNTED, WebSocketServer};
use crate::world::{World, ask_until, runtime, service};

const ROUTE: &str = "services/shop/routes/main.json";
const RUNTIME: &str = "runtime/shop.json";

fn route(path: &str) -> Value {
    json!({"paths": [path], "websocket": true})
}

fn files(node: &Value) -> Vec<(&'static str, Option<Value>)> {
    service("shop", route("/*"), runtime(json!({"nodes": [node]})))
}

fn tcp(world: &World) -> TcpStream {
    let stream = TcpStream::connect(world.gateway.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// A WebSocket over a connection to the gateway.
fn open<S: Read + Write>(stream: S, target: &str) -> (WebSocket<S>, Response) {
    let url = format!("ws://a.test{target}").parse().unwrap();
    let request = ClientRequestBuilder::new(url).with_sub_protocol("chat.v2");
    let opened = tungstenite::client(request, stream);
    opened.unwrap_or_else(|error| panic!("{}", error))
}

/// What the gateway answers in the place of a WebSocket.
fn refused(world: &World, target: &str) -> Response {
    match tungstenite::client(format!("ws://a.test{target}"), tcp(world)) {
        Err(HandshakeError::Failure(Error::Http(answer))) => *answer,
        other => panic!("{other:?}"),
    }
}

fn says<S: Read + Write>(socket: &mut WebSocket<S>, message: Message) {
    let answer = socket.read().unwrap();
    assert!(answer == message, "{answer:.60?} is not {message:.60?}");
}

fn echoes<S: Read + Write>(socket: &mut WebSocket<S>, message: Message) {
    socket.send(message.clone()).unwrap();
    says(socket, message);
}

/// All that two sides have to say to each other, to the client's last word.
fn talk<S: Read + Write>(mut socket: WebSocket<S>, server: &WebSocketServer) {
    echoes(&mut socket, Message::text("héllo"));
    echoes(&mut socket, Message::text(""));
    echoes(&mut socket, Message::binary(vec![0, 255, 10, 13]));
    for size in [125, 126, 65_535, 65_536, 4 << 20] {
        echoes(&mut socket, Message::binary(vec![7; size]));
    }
    // Each side may ask the other whether it is there.
    socket.send(Message::Ping(Bytes::from_static(b"client"))).unwrap();
    says(&mut socket, Message::Pong(Bytes::from_static(b"client")));
    socket.send(Message::text("ping")).unwrap();
    says(&mut socket, Message::Ping(Bytes::from_static(b"server")));
    says(&mut socket, Message::binary(&b"server"[..]));
    // The server speaks without being asked each time, the client without waiting for answers.
    socket.send(Message::text("count")).unwrap();
    for number in 0..COUNTED {
        says(&mut socket, Message::text(number.to_string()));
    }
    for number in 0..COUNTED {
        socket.send(Message::text(number.to_string())).unwrap();
    }
    for number in 0..COUNTED {
        says(&mut socket, Message::text(number.to_string()));
    }
    let goodbye = CloseFrame { code: CloseCode::Library(4001), reason: "that is all".into() };
    socket.close(Some(goodbye.clone())).unwrap();
    says(&mut socket, Message::Close(Some(goodbye.clone())));
    let end = socket.read().unwrap_err();
    assert!(matches!(end, Error::ConnectionClosed), "{end}");
    assert_eq!(server.closed.recv().unwrap(), Some(goodbye));
}

#[test]
fn two_sides_talk_as_if_nobody_were_between_them() {
    let server = WebSocketServer::start();
    let world = World::new(&files(&server.node()));
    let (socket, answer) = open(tcp(&world), "/chat?room=1");
    assert_eq!(answer.status(), 101);
    assert_eq!(answer.headers()["x-server"], "echo");
    assert_eq!(answer.headers()["sec-websocket-protocol"], "chat.v2");
    assert!(answer.headers().contains_key("x-request-id"));
    let asked = server.opened.recv().unwrap();
    assert_eq!(asked.uri(), "/chat?room=1");
    assert_eq!(asked.headers()["host"], "a.test");
    assert_eq!(asked.headers()["x-forwarded-proto"], "http");
    assert_eq!(asked.headers()["x-forwarded-for"], "127.0.0.1");
    talk(socket, &server);
}

#[test]
fn over_tls_as_well() {
    let (authority, origin) = (Authority::new(), Origin::start("one"));
    let server = WebSocketServer::start();
    let document = authority.document("exact", &["a.test"]);
    let world = encrypted::world(&origin, &[("certificates/exact.json", document)]);
    world.apply(&files(&server.node()));
    let address = world.gateway.tls_address().unwrap();
    // Browsers offer both; of a connection for a WebSocket they offer HTTP/1.1 alone.
    for protocols in [&[][..], &[&b"http/1.1"[..]]] {
        let config = authority.client(protocols);
        let stream = encrypted::connect(address, "a.test", &config).unwrap();
        let (socket, answer) = open(stream, "/");
        assert_eq!(answer.status(), 101);
        assert_eq!(server.opened.recv().unwrap().headers()["x-forwarded-proto"], "https");
        talk(socket, &server);
    }
}

#[test]
fn the_server_may_end_it_too() {
    let server = WebSocketServer::start();
    let world = World::new(&files(&server.node()));
    let (mut socket, _) = open(tcp(&world), "/");
    socket.send(Message::text("close")).unwrap();
    let words = CloseFrame { code: CloseCode::Library(4002), reason: "enough".into() };
    says(&mut socket, Message::Close(Some(words.clone())));
    let end = socket.read().unwrap_err();
    assert!(matches!(end, Error::ConnectionClosed), "{end}");
    assert_eq!(server.closed.recv().unwrap(), Some(words));
    // A side that vanishes takes the other with it, in either direction.
    let (mut socket, _) = open(tcp(&world), "/");
    socket.send(Message::text("leave")).unwrap();
    let end = socket.read().unwrap_err();
    assert!(matches!(end, Error::Protocol(_) | Error::Io(_)), "{end}");
    assert_eq!(server.closed.recv().unwrap(), None);
    let (socket, _) = open(tcp(&world), "/");
    drop(socket);
    assert_eq!(server.closed.recv().unwrap(), None);
    let none = "refgate_connections{group=\"test\"} 0";
    ask_until(|| world.status_of("/metrics"), |metrics| metrics.body.contains(none));
}

#[test]
fn it_outlives_reloads_of_all_that_it_came_through() {
    let (server, other) = (WebSocketServer::start(), Origin::start("other"));
    let world = World::new(&files(&server.node()));
    let (mut socket, _) = open(tcp(&world), "/");
    let mut said = 0;
    let mut talk = |socket: &mut WebSocket<TcpStream>| {
        said += 1;
        echoes(socket, Message::text(said.to_string()));
        echoes(socket, Message::binary(vec![1; 100_000]));
    };
    let nodes = |node: Value| Some(runtime(json!({"nodes": [node]})));
    for turn in 0..20 {
        talk(&mut socket);
        // Half of a message is on its way while the configuration changes.
        socket.write(Message::text("half")).unwrap();
        let path = format!("/v{turn}");
        world.apply(&[(ROUTE, Some(json!({"paths": [&path]}))), (RUNTIME, nodes(other.node()))]);
        assert_eq!(world.get(&path).json()["origin"], "other", "the route and the node are others");
        assert_eq!(world.get("/").status, 404);
        socket.flush().unwrap();
        says(&mut socket, Message::text("half"));
        talk(&mut socket);
        world.apply(&[(ROUTE, None)]);
        assert_eq!(world.get(&path).status, 404, "the route is gone");
        talk(&mut socket);
        world.apply(&[("services/shop/service.json", None), (RUNTIME, None)]);
        assert_eq!(world.get(&path).status, 404, "the service is gone");
        talk(&mut socket);
        let again = [
            ("services/shop/service.json", Some(json!({}))),
            (ROUTE, Some(route("/again"))),
            (RUNTIME, nodes(other.node())),
        ];
        world.apply(&again);
        assert_eq!(world.get("/again").status, 200, "it is there again, elsewhere");
    }
    let reloads = format!("refgate_reloads_total{{group=\"test\"}} {}", 1 + 20 * 4);
    let page = world.status_of("/metrics").body;
    assert!(page.contains(&reloads), "{page}");
    talk(&mut socket);
    assert_eq!(server.opened.try_iter().count(), 1, "it is one connection all along");
    socket.close(None).unwrap();
    says(&mut socket, Message::Close(None));
    assert_eq!(server.closed.recv().unwrap(), None);
}

#[test]
fn other_routes_do_not_know_of_it() {
    let origin = Origin::start("one");
    let server = WebSocketServer::start();
    let mut files = files(&server.node());
    let closed = json!({"paths": ["/closed/*"]});
    files.extend(service("closed", closed, runtime(json!({"nodes": [origin.node()]}))));
    let world = World::new(&files);
    let answer = refused(&world, "/closed/x");
    assert_eq!(answer.status(), 200, "the node is asked as by anybody else");
    let told = world.client().ask_with(
        "GET",
        "a.test",
        "/closed/x",
        &["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"],
        "",
    );
    let headers = told.json()["headers"].clone();
    assert_eq!((&headers["upgrade"], &headers["connection"]), (&Value::Null, &Value::Null));
    assert_eq!(refused(&world, "/../x").status(), 400);
    // Only what the protocol is for: nothing else is upgraded, route or no route.
    let told = world.client().ask_with(
        "GET",
        "a.test",
        "/closed/x",
        &["Connection: Upgrade", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"],
        "",
    );
    assert_eq!(told.status, 200);
    assert!(told.json()["headers"]["upgrade"].is_null(), "{told:?}");
    assert_eq!(server.opened.try_iter().count(), 0);
}

#[test]
fn one_is_one_request() {
    let server = WebSocketServer::start();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("access.log");
    let config = Config::new();
    let commit = config.commit("test", &files(&server.node()));
    let world = World::over_with(config, |options| {
        let log = AccessLog::open(LogTarget::File(path.clone())).unwrap();
        options.access_log = Some(Arc::new(log));
    });
    let (mut socket, _) = open(tcp(&world), "/chat?token=secret");
    echoes(&mut socket, Message::binary(vec![1; 100_000]));
    world.apply(&[(ROUTE, Some(route("/other")))]);
    echoes(&mut socket, Message::text("x"));
    let one = "refgate_connections{group=\"test\"} 1";
    ask_until(|| world.status_of("/metrics"), |metrics| metrics.body.contains(one));
    socket.close(None).unwrap();
    says(&mut socket, Message::Close(None));
    let labels = "group=\"test\",service=\"shop\",route=\"main\"";
    let counted = format!("refgate_requests_total{{{labels},status=\"1xx\"}} 1");
    ask_until(|| world.status_of("/metrics"), |metrics| metrics.body.contains(&counted));
    world.gateway.shutdown();
    world.gateway.join();
    let text = std::fs::read_to_string(&path).unwrap();
    let line: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert_eq!((&line["status"], &line["path"]), (&json!(101), &json!("/chat")));
    assert_eq!((&line["service"], &line["commit"]), (&json!("shop"), &json!(commit)));
    assert_eq!(line["node"], server.address.to_string());
    assert!(line["bytes"].as_u64().unwrap() > 100_000, "what the server said: {line}");
    assert!(line["upstream_ms"].as_f64().unwrap() <= line["duration_ms"].as_f64().unwrap());
}
