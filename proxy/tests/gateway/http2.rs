//! HTTP/2 with clients: over TLS by agreement, without TLS where the listener takes it.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::client::Client;
use crate::encrypted::{self, Authority};
use crate::origin::Origin;
use crate::repository::Config;
use crate::world::{World, runtime, service};

/// Runs a test on a runtime of its own, for a time that it never needs.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), test).await.unwrap() })
}

/// A connection, and what ends with it.
pub(crate) struct Connection {
    pub(crate) requests: SendRequest<Bytes>,
    pub(crate) ended: tokio::task::JoinHandle<Result<(), h2::Error>>,
}

impl Connection {
    pub(crate) async fn over(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (requests, connection) = h2::client::handshake(io).await.unwrap();
        Self { requests, ended: tokio::spawn(connection) }
    }

    pub(crate) async fn plain(address: SocketAddr) -> Self {
        let tcp = TcpStream::connect(address).await.unwrap();
        // As clients do; or small frames wait for what was sent before them to be acknowledged.
        tcp.set_nodelay(true).unwrap();
        Self::over(tcp).await
    }

    /// Sends a request, and its body in parts; gives status and body of the answer.
    pub(crate) async fn ask(
        &self,
        method: &str,
        url: &str,
        parts: &[&'static str],
    ) -> (u16, Value) {
        let mut requests = self.requests.clone().ready().await.unwrap();
        let request = http::Request::builder().method(method).uri(url).body(()).unwrap();
        let (answer, mut sender) = requests.send_request(request, parts.is_empty()).unwrap();
        for (index, part) in parts.iter().enumerate() {
            let last = index + 1 == parts.len();
            // The other side may have had enough.
            if sender.send_data(Bytes::from_static(part.as_bytes()), last).is_err() {
                break;
            }
        }
        read(answer.await.unwrap()).await
    }

    /// Sends the header of a request that has a body.
    pub(crate) async fn begin(
        &self,
        method: &str,
        url: &str,
    ) -> (SendStream<Bytes>, ResponseFuture) {
        let mut requests = self.requests.clone().ready().await.unwrap();
        let request = http::Request::builder().method(method).uri(url).body(()).unwrap();
        let (answer, sender) = requests.send_request(request, false).unwrap();
        (sender, answer)
    }
}

/// Status and body of an answer.
pub(crate) async fn read(answer: http::Response<RecvStream>) -> (u16, Value) {
    let status = answer.status().as_u16();
    let mut stream = answer.into_body();
    let mut body = Vec::new();
    while let Some(part) = stream.data().await {
        let part = part.unwrap();
        stream.flow_control().release_capacity(part.len()).unwrap();
        body.extend_from_slice(&part);
    }
    (status, serde_json::from_slice(&body).unwrap())
}

/// A gateway with one route, whose listener takes HTTP/2 without TLS.
fn h2c(route: &Value, origin: &Origin) -> World {
    let config = Config::new();
    let upstream = runtime(json!({"nodes": [origin.node()]}));
    config.commit("test", &service("shop", route.clone(), upstream));
    World::over_with(config, |options| options.h2c = true)
}

#[test]
fn over_tls_by_agreement() {
    let (authority, origin) = (Authority::new(), Origin::start("one"));
    let document = authority.document("exact", &["a.test", "b.test"]);
    let world = encrypted::world(&origin, &[("certificates/exact.json", document)]);
    let address = world.gateway.tls_address().unwrap();
    run(async {
        let config = Arc::new(authority.client(&[b"h2", b"http/1.1"]));
        let connector = tokio_rustls::TlsConnector::from(config);
        let tcp = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("a.test").unwrap();
        let tls = connector.connect(name, tcp).await.unwrap();
        assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let connection = Connection::over(tls).await;
        let asked = (0..20).map(|number| {
            let connection = &connection;
            async move {
                let url = format!("https://b.test/{number}?x");
                let (status, told) = connection.ask("POST", &url, &["some ", "body"]).await;
                assert_eq!((status, &told["body"]), (200, &json!("some body")));
                assert_eq!(told["target"], format!("/{number}?x"));
                assert_eq!(told["headers"]["x-forwarded-host"], "b.test");
                assert_eq!(told["headers"]["x-forwarded-proto"], "https");
                assert_eq!(told["headers"]["x-forwarded-for"], "127.0.0.1");
            }
        });
        for ask in asked {
            ask.await;
        }
        assert_eq!(connection.ask("GET", "https://a.test/..", &[]).await.0, 400);
        assert_eq!(connection.ask("GET", "https://a.test/status/404", &[]).await.0, 404);
        // A drain lets the client know, and ends the connection. The client's own goodbye may come
        // too late.
        world.gateway.shutdown();
        let _ = connection.ended.await.unwrap();
    });
    world.gateway.join();
}

#[test]
fn the_body_of_a_refused_request_is_taken() {
    let world = h2c(&json!({"paths": ["/here"]}), &Origin::start("one"));
    run(async {
        let connection = Connection::plain(world.gateway.address()).await;
        let (mut body, answer) = connection.begin("POST", "http://a.test/nowhere").await;
        body.send_data(Bytes::from_static(b"one part"), false).unwrap();
        assert_eq!(read(answer.await.unwrap()).await.0, 404);
        // Had the stream been reset behind the answer, that would be here before the next answer is.
        assert_eq!(connection.ask("GET", "http://a.test/here", &[]).await.0, 200);
        body.send_data(Bytes::from_static(b"and another"), true).unwrap();
    });
}

#[test]
fn the_authority_is_what_routes_see_as_host() {
    let host = json!({"headers": [{"name": "host", "value": "a.test:81"}]});
    let world = h2c(&json!({"paths": ["/*"], "match": host}), &Origin::start("one"));
    run(async {
        let connection = Connection::plain(world.gateway.address()).await;
        for (authority, status) in [("a.test:81", 200), ("a.test", 404)] {
            let url = format!("http://{authority}/x");
            assert_eq!(connection.ask("GET", &url, &[]).await.0, status, "{authority}");
        }
    });
}

#[test]
fn a_host_that_asks_for_certificates_is_not_reached_by_another_name() {
    let (authority, origin) = (Authority::new(), Origin::start("one"));
    let mut closed = authority.document("closed", &["closed.test"]);
    closed["client_ca"] = closed["certificate"].clone();
    let documents = [
        ("certificates/exact.json", closed),
        ("certificates/open.json", authority.document("open", &["open.test"])),
    ];
    let world = encrypted::world(&origin, &documents);
    let address = world.gateway.tls_address().unwrap();
    run(async {
        let connector = tokio_rustls::TlsConnector::from(Arc::new(authority.client(&[b"h2"])));
        let tcp = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("open.test").unwrap();
        let connection = Connection::over(connector.connect(name, tcp).await.unwrap()).await;
        assert_eq!(connection.ask("GET", "https://open.test/", &[]).await.0, 200);
        let (status, told) = connection.ask("GET", "https://closed.test/", &[]).await;
        assert_eq!((status, &told["error"]), (421, &json!("misdirected_request")));
    });
}

#[test]
fn without_tls_where_the_listener_takes_it() {
    let world = h2c(&json!({"paths": ["/*"]}), &Origin::start("one"));
    run(async {
        let connection = Connection::plain(world.gateway.address()).await;
        let (status, told) = connection.ask("POST", "http://a.test/x", &["body"]).await;
        assert_eq!((status, &told["body"]), (200, &json!("body")));
        assert_eq!(told["headers"]["x-forwarded-proto"], "http");
        assert_eq!(told["headers"]["x-forwarded-host"], "a.test");
    });
    // Whoever speaks HTTP/1 is not asked twice, even when its first words begin like the preface.
    assert_eq!(world.get("/").status, 200);
    let mut slow = world.client();
    for byte in b"P" {
        slow.stream.get_mut().write_all(&[*byte]).unwrap();
    }
    let answer = {
        slow.send("OST / HTTP/1.1\r\nHost: a.com\r\nContent-Length: 1\r\n\r\nx");
        slow.receive(false).unwrap()
    };
    assert_eq!(answer.status, 200);
    let mut old = Client::connect(world.gateway.address());
    old.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(old.receive(false).unwrap().status, 200);
}

#[test]
fn other_listeners_take_http1_alone() {
    let world = World::with_origin(&Origin::start("one"));
    let mut client = world.client();
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_eq!(client.receive(false).unwrap().status, 400);
}
