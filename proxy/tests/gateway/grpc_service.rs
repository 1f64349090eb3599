//! gRPC with a server and a client that are not ours: every kind of call, errors, deadlines, reloads.

use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use http::uri::PathAndQuery;
use serde_json::{Value, json};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::transport::{
    Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Server, ServerTlsConfig,
};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::encrypted::Authority;
use crate::http2::run;
use crate::origin::{Origin, dead_address, node};
use crate::repository::Config;
use crate::tls_origin::Tls;
use crate::world::{World, runtime, service};

/// The one message of the service, a number and a text.
#[derive(Clone, PartialEq, prost::Message)]
struct Word {
    #[prost(uint32, tag = "1")]
    number: u32,
    #[prost(string, tag = "2")]
    text: String,
}

type Words = ReceiverStream<Result<Word, Status>>;
type Codec = ProstCodec<Word, Word>;

fn word(number: u32, text: &str) -> Word {
    Word { number, text: text.to_owned() }
}

/// The service, routed by path as generated code does it.
#[derive(Clone)]
struct Speech;

impl tower::Service<http::Request<Body>> for Speech {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(Codec::default());
            Ok(match request.uri().path() {
                "/speech.Speech/Say" => grpc.unary(tower::service_fn(say), request).await,
                "/speech.Speech/Count" => {
                    grpc.server_streaming(tower::service_fn(count), request).await
                }
                "/speech.Speech/Sum" => {
                    grpc.client_streaming(tower::service_fn(sum), request).await
                }
                "/speech.Speech/Echo" => grpc.streaming(tower::service_fn(echo), request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

/// Sends the word back, with what the client said beside it; some words are refused.
async fn say(request: Request<Word>) -> Result<Response<Word>, Status> {
    let beside = request.metadata().get("x-beside").cloned();
    let binary = request.metadata().get_bin("x-beside-bin").cloned();
    let word = request.into_inner();
    match word.text.as_str() {
        "fail" => return Err(Status::new(Code::from(word.number as i32), "as you wish: ü")),
        "wait" => std::future::pending().await,
        _ => {}
    }
    let mut answer = Response::new(word);
    if let Some(beside) = beside {
        answer.metadata_mut().insert("x-beside", beside);
    }
    if let Some(binary) = binary {
        answer.metadata_mut().insert_bin("x-beside-bin", binary);
    }
    Ok(answer)
}

async fn count(request: Request<Word>) -> Result<Response<Words>, Status> {
    let (send, words) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        for number in 0..request.get_ref().number {
            if send.send(Ok(word(number, "so far"))).await.is_err() {
                return;
            }
        }
        let _ = send.send(Err(Status::data_loss("that was all"))).await;
    });
    Ok(Response::new(words.into()))
}

async fn sum(request: Request<Streaming<Word>>) -> Result<Response<Word>, Status> {
    let mut words = request.into_inner();
    let mut sum = 0;
    while let Some(word) = words.message().await? {
        sum += word.number;
    }
    Ok(Response::new(word(sum, "sum")))
}

async fn echo(request: Request<Streaming<Word>>) -> Result<Response<Words>, Status> {
    let mut words = request.into_inner();
    let (send, back) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        while let Ok(Some(word)) = words.message().await {
            if send.send(Ok(word)).await.is_err() {
                return;
            }
        }
    });
    Ok(Response::new(back.into()))
}

/// A server on a port of its own, in a thread of its own; over TLS with a certificate and its key.
fn serve(identity: Option<(String, String)>) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let incoming = tonic::transport::server::TcpIncoming::from(listener);
            let mut server = Server::builder();
            if let Some((chain, key)) = identity {
                let tls = ServerTlsConfig::new().identity(Identity::from_pem(chain, key));
                server = server.tls_config(tls).unwrap();
            }
            server.serve_with_incoming(Speech, incoming).await.unwrap();
        });
    });
    address
}

const ROUTE: &str = "services/shop/routes/main.json";

/// How a call goes from client to gateway, and from there to its node.
#[expect(clippy::large_enum_variant, reason = "there are two of them at a time")]
enum Way {
    /// HTTP/2 without TLS, both times.
    Plain,
    /// With TLS: who signed what the gateway shows, and what the node does.
    Encrypted(Authority, Tls),
}

fn ways() -> [Way; 2] {
    [Way::Plain, Way::Encrypted(Authority::new(), Tls::new())]
}

impl Way {
    fn serve(&self) -> SocketAddr {
        match self {
            Self::Plain => serve(None),
            Self::Encrypted(_, tls) => serve(Some(tls.pem())),
        }
    }

    fn upstream(&self, address: SocketAddr) -> Value {
        match self {
            Self::Plain => json!({"nodes": [node(address)], "scheme": "grpc"}),
            Self::Encrypted(_, tls) => json!({
                "nodes": [node(address)], "scheme": "grpcs", "tls": {"ca": tls.authority()},
            }),
        }
    }

    /// A gateway to such an upstream.
    fn world(&self, upstream: Value) -> World {
        let config = Config::new();
        let route = json!({"paths": ["/speech.Speech/*"]});
        let mut files = service("shop", route, runtime(upstream));
        if let Self::Encrypted(authority, _) = self {
            files.push(("certificates/a.json", Some(authority.document("a", &["a.test"]))));
        }
        config.commit("test", &files);
        World::over_with(config, |options| match self {
            Self::Plain => options.h2c = true,
            Self::Encrypted(..) => options.tls_listen = Some("127.0.0.1:0".parse().unwrap()),
        })
    }

    /// A gateway to a server.
    fn to_server(&self) -> World {
        self.world(self.upstream(self.serve()))
    }

    async fn client(&self, world: &World) -> Client {
        let endpoint = match self {
            Self::Plain => {
                Endpoint::from_shared(format!("http://{}", world.gateway.address())).unwrap()
            }
            Self::Encrypted(authority, _) => {
                let address = world.gateway.tls_address().unwrap();
                let trusted = Certificate::from_pem(authority.pem());
                let tls = ClientTlsConfig::new().ca_certificate(trusted).domain_name("a.test");
                let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap();
                endpoint.tls_config(tls).unwrap()
            }
        };
        Client(tonic::client::Grpc::new(endpoint.connect().await.unwrap()))
    }
}

struct Client(tonic::client::Grpc<Channel>);

fn path(method: &str) -> PathAndQuery {
    format!("/speech.Speech/{method}").parse().unwrap()
}

impl Client {
    async fn say(&mut self, request: Request<Word>) -> Result<Response<Word>, Status> {
        self.0.ready().await.unwrap();
        self.0.unary(request, path("Say"), Codec::default()).await
    }
}

#[test]
fn every_kind_of_call_passes() {
    for way in ways() {
        let world = way.to_server();
        run(async {
            let mut client = way.client(&world).await;
            let mut request = Request::new(word(1, "héllo"));
            request.metadata_mut().insert("x-beside", "1".parse().unwrap());
            let bytes = tonic::metadata::MetadataValue::from_bytes(&[0, 255]);
            request.metadata_mut().insert_bin("x-beside-bin", bytes.clone());
            let answer = client.say(request).await.unwrap();
            assert_eq!(answer.metadata().get("x-beside").unwrap(), "1");
            assert_eq!(answer.metadata().get_bin("x-beside-bin").unwrap(), bytes);
            assert_eq!(answer.into_inner(), word(1, "héllo"));

            let many = Request::new(word(1000, ""));
            client.0.ready().await.unwrap();
            let counted = client.0.server_streaming(many, path("Count"), Codec::default()).await;
            let mut counted: Streaming<Word> = counted.unwrap().into_inner();
            for number in 0..1000 {
                assert_eq!(counted.message().await.unwrap(), Some(word(number, "so far")));
            }
            let end = counted.message().await.unwrap_err();
            assert_eq!((end.code(), end.message()), (Code::DataLoss, "that was all"));

            let words = Request::new(tokio_stream::iter(0..1000).map(|number| word(number, "")));
            client.0.ready().await.unwrap();
            let sum =
                client.0.client_streaming(words, path("Sum"), Codec::default()).await.unwrap();
            assert_eq!(sum.into_inner(), word(499_500, "sum"));
        });
    }
}

#[test]
fn calls_outlive_reloads_of_all_that_they_came_through() {
    let way = Way::Plain;
    let world = way.to_server();
    let other = Origin::start("other");
    run(async {
        let mut client = way.client(&world).await;
        let (send, words) = tokio::sync::mpsc::channel(1);
        client.0.ready().await.unwrap();
        let words = Request::new(ReceiverStream::new(words));
        let back = client.0.streaming(words, path("Echo"), Codec::default()).await;
        let mut back: Streaming<Word> = back.unwrap().into_inner();
        for turn in 0..10 {
            send.send(word(turn, "said")).await.unwrap();
            assert_eq!(back.message().await.unwrap(), Some(word(turn, "said")));
            let route = (turn % 2 == 1).then(|| json!({"paths": ["/elsewhere"]}));
            let nodes = runtime(json!({"nodes": [other.node()]}));
            let files = [(ROUTE, route), ("runtime/shop.json", Some(nodes))];
            let commit = world.config.commit("test", &files);
            let mut status = world.gateway.subscribe();
            let applied = status
                .wait_for(|status| status.commit.is_some_and(|own| own.to_string() == commit));
            drop(applied.await.unwrap());
            let gone = client.say(Request::new(word(0, ""))).await.unwrap_err();
            assert_eq!(gone.code(), Code::Unimplemented, "the route is gone: {gone}");
        }
        drop(send);
        assert_eq!(back.message().await.unwrap(), None, "it ends well");
    });
}

#[test]
fn statuses_pass_as_they_are() {
    for way in ways() {
        let world = way.to_server();
        run(async {
            let mut client = way.client(&world).await;
            for code in 1..=16 {
                let error = client.say(Request::new(word(code, "fail"))).await.unwrap_err();
                let told = (error.code(), error.message());
                assert_eq!(told, (Code::from(code as i32), "as you wish: ü"));
            }
            // The client's deadline ends the call; the connection lives on.
            let mut late = Request::new(word(0, "wait"));
            late.set_timeout(Duration::from_millis(100));
            let error = client.say(late).await.unwrap_err();
            assert!(matches!(error.code(), Code::Cancelled | Code::DeadlineExceeded), "{error}");
            assert!(client.say(Request::new(word(0, "on"))).await.is_ok());
        });
    }
}

/// What a call is told that gets no answer of a server.
fn refused(way: &Way, upstream: Value, word: Word) -> Code {
    let world = way.world(upstream);
    run(async {
        let error = way.client(&world).await.say(Request::new(word)).await.unwrap_err();
        assert!(error.metadata().contains_key("x-request-id"), "it is the gateway's own answer");
        error.code()
    })
}

#[test]
fn failures_of_a_server_are_told_in_its_words() {
    for way in ways() {
        let said = || word(0, "");
        assert_eq!(refused(&way, way.upstream(dead_address()), said()), Code::Unavailable);
        let mut drained = way.upstream(dead_address());
        drained["nodes"][0]["weight"] = json!(0);
        assert_eq!(refused(&way, drained, said()), Code::Unavailable);
        let mut slow = way.upstream(way.serve());
        slow["timeout"] = json!({"read": 0.1});
        assert_eq!(refused(&way, slow, word(0, "wait")), Code::DeadlineExceeded);
    }
    // A server whose certificate nobody vouches for, one without TLS, and one that speaks no HTTP/2.
    let way = Way::Encrypted(Authority::new(), Tls::new());
    let stranger = Tls::new();
    for address in [serve(Some(stranger.pem())), serve(None), stranger.serve()] {
        assert_eq!(refused(&way, way.upstream(address), word(0, "")), Code::Unavailable);
    }
    let Way::Encrypted(_, own) = &way else { return };
    assert_eq!(refused(&way, way.upstream(own.serve()), word(0, "")), Code::Unavailable);
}

#[test]
fn long_conversations_pass_where_each_side_waits_for_the_other() {
    const WORDS: u32 = 64;
    for way in ways() {
        let world = way.to_server();
        run(async {
            let mut client = way.client(&world).await;
            client.0.ready().await.unwrap();
            let long = "x".repeat(64 << 10);
            let said = long.clone();
            let words = tokio_stream::iter(0..WORDS).map(move |number| word(number, &said));
            let back = client.0.streaming(Request::new(words), path("Echo"), Codec::default());
            let mut back: Streaming<Word> = back.await.unwrap().into_inner();
            for number in 0..WORDS {
                let word = back.message().await.unwrap().unwrap();
                assert_eq!((word.number, word.text.len()), (number, long.len()));
            }
            assert_eq!(back.message().await.unwrap(), None);
        });
    }
}
