//! gRPC as it is on the wire: HTTP/2 on both sides, frames that stream, trailers, status 200.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use serde_json::{Value, json};

use crate::origin::{dead_address, node};
use crate::repository::Config;
use crate::tls_origin::serve;
use crate::world::{World, ask_until, runtime, service};

/// A server whose `Say` sends back every message as it comes, `Fail` refuses at once, and `Wait`
/// never answers.
fn server() -> SocketAddr {
    serve(|tcp| async move {
        let mut connection = h2::server::handshake(tcp).await.unwrap();
        while let Some(Ok((request, respond))) = connection.accept().await {
            tokio::spawn(handle(request, respond));
        }
    })
}

async fn handle(request: Request<RecvStream>, mut respond: h2::server::SendResponse<Bytes>) {
    if request.method() == http::Method::GET {
        let sick = request.uri().path() == "/sick";
        assert_eq!(request.uri().authority().unwrap(), "health.test");
        let answer = Response::builder().status(if sick { 503 } else { 200 });
        respond.send_response(answer.body(()).unwrap(), true).unwrap();
        return;
    }
    let header = |name: &str| request.headers().get(name).cloned();
    assert_eq!(header("te").unwrap(), "trailers");
    let answer = Response::builder().header("content-type", header("content-type").unwrap());
    match request.uri().path() {
        "/echo.Echo/Say" => {
            let mut send = respond.send_response(answer.body(()).unwrap(), false).unwrap();
            let mut body = request.into_body();
            let mut count = 0;
            while let Some(Ok(message)) = body.data().await {
                body.flow_control().release_capacity(message.len()).unwrap();
                count += message.len();
                send.send_data(message, false).unwrap();
            }
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            trailers.insert("x-bytes", count.to_string().parse().unwrap());
            send.send_trailers(trailers).unwrap();
        }
        "/echo.Echo/Fail" => {
            let answer = answer.header("grpc-status", "5").header("grpc-message", "no such thing");
            respond.send_response(answer.body(()).unwrap(), true).unwrap();
        }
        _ => std::future::pending().await,
    }
}

/// A gateway that speaks HTTP/2 to its clients.
fn world(upstream: Value) -> World {
    let config = Config::new();
    let route = json!({"paths": ["/echo.Echo/*"], "methods": ["POST"]});
    config.commit("test", &service("shop", route, runtime(upstream)));
    World::over_with(config, |options| options.h2c = true)
}

fn upstream(address: SocketAddr) -> Value {
    json!({"nodes": [node(address)], "scheme": "grpc"})
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let deadline = std::time::Duration::from_secs(30);
    runtime.block_on(async { tokio::time::timeout(deadline, future).await.unwrap() })
}

async fn connect(address: SocketAddr) -> SendRequest<Bytes> {
    let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
    let (client, connection) = h2::client::handshake(tcp).await.unwrap();
    tokio::spawn(connection);
    client.ready().await.unwrap()
}

/// Begins a call.
fn call(
    client: &mut SendRequest<Bytes>,
    method: &str,
    kind: &str,
) -> (h2::client::ResponseFuture, SendStream<Bytes>) {
    let request = Request::post(format!("http://a.com/echo.Echo/{method}"))
        .header("te", "trailers")
        .header("content-type", kind);
    client.send_request(request.body(()).unwrap(), false).unwrap()
}

/// A call with one message: status, the header's `grpc-status`, and the rest.
async fn answer(address: SocketAddr, method: &str, kind: &str) -> Response<RecvStream> {
    let mut client = connect(address).await;
    let (answer, mut send) = call(&mut client, method, kind);
    send.send_data(Bytes::from_static(b"\0\0\0\0\0"), true).unwrap();
    answer.await.unwrap()
}

#[test]
fn messages_stream_both_ways_and_trailers_follow() {
    let world = world(upstream(server()));
    block_on(async {
        let mut client = connect(world.gateway.address()).await;
        let (answer, mut send) = call(&mut client, "Say", "application/grpc+proto");
        let first = Bytes::from_static(b"\0\0\0\0\x05first");
        send.send_data(first.clone(), false).unwrap();
        // The answer begins, and the first message is back, before the second one is sent.
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "application/grpc+proto");
        assert!(answer.headers().get("grpc-status").is_none());
        let mut body = answer.into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), first);
        let second = Bytes::from(vec![b'x'; 10_000]);
        send.send_data(second.clone(), true).unwrap();
        let mut back = Vec::new();
        while let Some(message) = body.data().await {
            let message = message.unwrap();
            body.flow_control().release_capacity(message.len()).unwrap();
            back.extend_from_slice(&message);
        }
        assert_eq!(back, second);
        let trailers = body.trailers().await.unwrap().unwrap();
        assert_eq!(trailers["grpc-status"], "0");
        assert_eq!(trailers["x-bytes"], "10010");
    });
}

#[test]
fn nodes_are_checked_in_their_own_protocol() {
    let address = server();
    let checked = |path: &str| {
        let pace = json!({"interval": 0.01, "successes": 1});
        let active = json!({"http_path": path, "host": "health.test", "healthy": pace,
            "unhealthy": {"interval": 0.01, "http_failures": 1}});
        let mut upstream = upstream(address);
        upstream["checks"] = json!({ "active": active });
        upstream
    };
    let world = world(checked("/sick"));
    let wait = |healthy: bool| {
        let status = || world.status_of("/status");
        ask_until(status, |status| status.json()["nodes"][0]["healthy"] == healthy);
    };
    wait(false);
    world.apply(&[("runtime/shop.json", Some(runtime(checked("/well"))))]);
    wait(true);
}

#[test]
fn refusals_of_the_server_pass_as_they_are() {
    let world = world(upstream(server()));
    block_on(async {
        let answer = answer(world.gateway.address(), "Fail", "application/grpc").await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["grpc-status"], "5");
        assert_eq!(answer.headers()["grpc-message"], "no such thing");
        assert!(answer.into_body().is_end_stream());
    });
}

/// What a call that the gateway itself refuses is told.
fn refused(upstream: Value, path: &str) -> (String, String) {
    let world = world(upstream);
    block_on(async {
        let answer = answer(world.gateway.address(), path, "application/grpc").await;
        assert_eq!(answer.status(), 200);
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), "application/grpc");
        assert!(!header("x-request-id").is_empty());
        let told = (header("grpc-status"), header("grpc-message"));
        assert!(answer.into_body().is_end_stream(), "the header is all there is");
        told
    })
}

#[test]
fn refusals_of_the_gateway_are_grpc_too() {
    let message = "the upstream could not be reached or gave no valid answer";
    assert_eq!(refused(upstream(dead_address()), "Say"), ("14".to_owned(), message.to_owned()));
    let mut drained = upstream(dead_address());
    drained["nodes"][0]["weight"] = json!(0);
    assert_eq!(refused(drained, "Say").0, "14");
    let mut slow = upstream(server());
    slow["timeout"] = json!({"read": 0.1});
    assert_eq!(refused(slow, "Wait").0, "4");
    let message = "no route matches this host and path";
    let elsewhere = refused(upstream(dead_address()), "../other.Other/Say");
    assert_eq!(elsewhere, ("12".to_owned(), message.to_owned()));
}

#[test]
fn other_clients_of_the_same_service_are_answered_in_http() {
    let world = world(upstream(dead_address()));
    block_on(async {
        let answer = answer(world.gateway.address(), "Say", "application/json").await;
        assert_eq!(answer.status(), 502);
        assert_eq!(answer.headers()["content-type"], "application/json");
        let body = answer.into_body().data().await.unwrap().unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["error"], "bad_gateway");
    });
}
