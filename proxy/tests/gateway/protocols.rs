//! Other protocols to nodes: TLS, HTTP/2, WebSocket.

use std::net::SocketAddr;
use std::sync::Arc;

use pingora::apps::http_app::{HttpServer, ServeHttp};
use pingora::apps::{HttpServerOptions, ServerApp};
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::protocols::l4::listener::Listener;
use serde_json::{Value, json};
use std::io::Read as _;

use crate::origin::{Origin, node};
use crate::tls_origin::Tls;
use crate::world::{World, runtime, service};

#[test]
fn nodes_are_verified() {
    let tls = Tls::new();
    let address = tls.serve();
    let by_name = json!({"host": "localhost", "port": address.port()});
    let upstream = |node: &Value, tls: Value| {
        // The name is one of both address families; the node listens on one.
        json!({"nodes": [node], "scheme": "https", "pass_host": "node", "tls": tls})
    };
    let ca = tls.authority();
    let world = World::with_upstream(upstream(&by_name, json!({})));
    assert_eq!(world.get("/").status, 502, "its authority is unknown");
    let apply = |upstream: Value| {
        let status = world.apply(&[("runtime/shop.json", Some(runtime(upstream)))]);
        assert!(status.diagnostics.is_empty(), "{status:?}");
        world.get("/")
    };
    let answer = apply(upstream(&by_name, json!({"ca": &ca})));
    assert_eq!((answer.status, answer.body.as_str()), (200, "localhost"));
    let answer = apply(upstream(&by_name, json!({"ca": tls.authority_text()})));
    assert_eq!((answer.status, answer.body.as_str()), (200, "localhost"));
    let another = Tls::new().authority_text();
    assert_eq!(apply(upstream(&by_name, json!({"ca": another}))).status, 502, "of another one");
    let both = json!({"ca": another + &tls.authority_text()});
    assert_eq!(apply(upstream(&by_name, both)).status, 200);
    let answer = apply(upstream(&by_name, json!({})));
    assert_eq!(answer.status, 502, "connections of other settings are not shared");
    let answer = apply(upstream(&by_name, json!({"verify": false})));
    assert_eq!((answer.status, answer.body.as_str()), (200, "localhost"));
    let answer = apply(upstream(&node(address), json!({"ca": &ca})));
    assert_eq!((answer.status, answer.body.as_str()), (200, "nobody"), "addresses are verified");
    let mut other = upstream(&node(address), json!({"ca": &ca}));
    other["pass_host"] = json!("rewrite");
    other["upstream_host"] = json!("other.test");
    assert_eq!(apply(other.clone()).status, 502, "the certificate is for another name");
    other["upstream_host"] = json!("localhost");
    assert_eq!(apply(other).body, "localhost");
}

/// Tells the version of the request and some of its headers.
struct Tell;

#[async_trait::async_trait]
impl ServeHttp for Tell {
    async fn response(&self, session: &mut ServerSession) -> http::Response<Vec<u8>> {
        let request = session.req_header();
        let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
        let body = json!({
            "version": format!("{:?}", request.version),
            "authority": request.uri.authority().map(ToString::to_string),
            "te": header("te"),
        });
        http::Response::builder()
            .header("Content-Length", body.to_string().len())
            .body(body.to_string().into_bytes())
            .unwrap()
    }
}

fn serve_h2c() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = HttpServer::new_app(Tell);
    let mut options = HttpServerOptions::default();
    options.h2c = true;
    server.server_options = Some(options);
    let server = Arc::new(server);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = Listener::from(tokio::net::TcpListener::from_std(listener).unwrap());
            let (_stop, stopped) = tokio::sync::watch::channel(false);
            loop {
                let stream: Stream = Box::new(listener.accept().await.unwrap());
                let (server, stopped) = (Arc::clone(&server), stopped.clone());
                tokio::spawn(async move { server.process_new(stream, &stopped).await });
            }
        });
    });
    address
}

#[test]
fn nodes_can_speak_http2() {
    let address = serve_h2c();
    for scheme in ["h2c", "grpc"] {
        let upstream = json!({"nodes": [node(address)], "scheme": scheme, "pass_host": "node"});
        let world = World::with_upstream(upstream);
        let mut client = world.client();
        for _ in 0..3 {
            let answer = client.ask_with("GET", "a.com", "/", &["TE: trailers"], "");
            let json = answer.json();
            assert_eq!(json["version"], "HTTP/2.0");
            assert_eq!(json["authority"], address.to_string());
            assert_eq!(json["te"], "trailers");
        }
        assert!(client.ask("GET", "a.com", "/").json()["te"].is_null());
    }
}

const HANDSHAKE: &str = "GET /upgrade HTTP/1.1\r\nHost: a.com\r\nConnection: Upgrade\r\n\
                         Upgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n";

#[test]
fn websockets_pass_where_the_route_lets_them() {
    let origin = Origin::start("one");
    let route = |websocket: bool| json!({"paths": ["/*"], "websocket": websocket});
    let upstream = runtime(json!({"nodes": [origin.node()]}));
    let world = World::new(&service("shop", route(true), upstream));
    let mut client = world.client();
    client.send(HANDSHAKE);
    let answer = client.receive(false).unwrap();
    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("upgrade"), Some("websocket"));
    client.send("ping");
    let mut echo = [0; 4];
    client.stream.read_exact(&mut echo).unwrap();
    assert_eq!(&echo, b"ping");
    assert!(client.is_closed());

    world.apply(&[("services/shop/routes/main.json", Some(route(false)))]);
    let mut client = world.client();
    client.send(&HANDSHAKE.replace("/upgrade", "/"));
    let answer = client.receive(false).unwrap();
    assert_eq!(answer.status, 200, "a request like any other");
    assert!(answer.json()["headers"]["upgrade"].is_null());
    let mut client = world.client();
    client.send(HANDSHAKE);
    assert_eq!(client.receive(false).unwrap().status, 502, "nobody asked the node to switch");
}
