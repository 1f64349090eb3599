//! What clients may take of a gateway: slow ones, large ones, many connections of one.

use std::io::Read as _;
use std::num::NonZeroU32;
use std::time::Duration;

use refgate_proxy::Limits;
use serde_json::json;

use crate::client::Client;
use crate::http2::{Connection, run};
use crate::origin::Origin;
use crate::repository::Config;
use crate::world::{World, ask_until, runtime, service};

const SHORT: Duration = Duration::from_millis(200);

fn world(origin: &Origin, limits: Limits) -> World {
    let config = Config::new();
    let upstream = runtime(json!({"nodes": [origin.node()]}));
    config.commit("test", &service("shop", json!({"paths": ["/*"]}), upstream));
    World::over_with(config, |options| {
        options.limits = limits;
        options.h2c = true;
    })
}

#[test]
fn bodies_have_a_largest_size() {
    let origin = Origin::start("one");
    let world = world(&origin, Limits { body: Some(8), ..Limits::default() });
    let post = |head: &str, body: &str| {
        let mut client = world.client();
        client.send(&format!("POST / HTTP/1.1\r\nHost: a.com\r\n{head}\r\n\r\n{body}"));
        let answer = client.receive(false).unwrap();
        if answer.status != 200 {
            assert_eq!(answer.json()["error"], "payload_too_large");
            assert!(client.is_closed(), "what is left of the body is not a request");
        }
        answer.status
    };
    assert_eq!(post("Content-Length: 8", "12345678"), 200);
    assert_eq!(post("Transfer-Encoding: chunked", "8\r\n12345678\r\n0\r\n\r\n"), 200);
    let seen = origin.seen();
    assert_eq!(post("Content-Length: 9", ""), 413, "it is not waited for");
    assert_eq!(origin.seen(), seen);
    assert_eq!(post("Transfer-Encoding: chunked", "8\r\n12345678\r\n1\r\n9\r\n0\r\n\r\n"), 413);
    run(async {
        let connection = Connection::plain(world.gateway.address()).await;
        let url = "http://a.com/";
        assert_eq!(connection.ask("POST", url, &["1234", "5678"]).await.0, 200);
        let (status, told) = connection.ask("POST", url, &["1234", "5678", "9"]).await;
        assert_eq!((status, &told["error"]), (413, &json!("payload_too_large")));
        assert_eq!(connection.ask("GET", url, &[]).await.0, 200, "the others go on");
    });
}

#[test]
fn headers_must_come_in_time() {
    let origin = Origin::start("one");
    let world = world(&origin, Limits { header_timeout: SHORT, ..Limits::default() });
    let mut client = world.client();
    client.send("GET / HTTP/1.1\r\nHost: a.com\r\nX-Slow: ");
    let begun = std::time::Instant::now();
    // However fast it goes on: there is one deadline for the whole of it.
    std::thread::scope(|scope| {
        let mut trickle = client.stream.get_ref().try_clone().unwrap();
        scope.spawn(move || while std::io::Write::write_all(&mut trickle, b"x").is_ok() {});
        assert!(client.is_closed());
    });
    assert!(begun.elapsed() >= SHORT);
    // The same of the first words of HTTP/2.
    let mut client = world.client();
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r");
    assert!(client.is_closed());
    assert_eq!(world.get("/").status, 200);
}

#[test]
fn the_time_for_a_header_begins_anew_on_the_status_listener() {
    let origin = Origin::start("one");
    let world = world(&origin, Limits { header_timeout: SHORT, ..Limits::default() });
    let mut client = Client::connect(world.gateway.status_address().unwrap());
    let begun = std::time::Instant::now();
    while begun.elapsed() < 2 * SHORT {
        assert_eq!(client.ask("GET", "status", "/healthz").status, 200);
    }
}

#[test]
fn bodies_must_go_on() {
    let origin = Origin::start("one");
    let world = world(&origin, Limits { transfer_timeout: SHORT, ..Limits::default() });
    let mut client = world.client();
    client.send("POST / HTTP/1.1\r\nHost: a.com\r\nContent-Length: 9\r\n\r\n1");
    let answer = client.receive(false).unwrap();
    assert_eq!((answer.status, &answer.json()["error"]), (408, &json!("request_timeout")));
    assert!(client.is_closed());
    run(async {
        let connection = Connection::plain(world.gateway.address()).await;
        let (mut sender, answer) = connection.begin("POST", "http://a.com/").await;
        sender.send_data("1".into(), false).unwrap();
        let (status, told) = crate::http2::read(answer.await.unwrap()).await;
        assert_eq!((status, &told["error"]), (408, &json!("request_timeout")));
        assert_eq!(connection.ask("GET", "http://a.com/", &[]).await.0, 200, "the others go on");
    });
}

#[test]
fn bodies_must_come_fast_enough() {
    let origin = Origin::start("one");
    // No pause is too long in itself: the time for the first bytes is used up by all of them.
    let limits = Limits {
        transfer_timeout: SHORT * 2,
        min_body_rate: NonZeroU32::new(1_000_000),
        ..Limits::default()
    };
    let world = world(&origin, limits);
    let pause = || std::thread::park_timeout(SHORT / 10);
    let mut client = world.client();
    client.send("POST / HTTP/1.1\r\nHost: a.com\r\nContent-Length: 9999999\r\n\r\n1");
    std::thread::scope(|scope| {
        let mut trickle = client.stream.get_ref().try_clone().unwrap();
        scope.spawn(move || {
            while std::io::Write::write_all(&mut trickle, b"x").is_ok() {
                pause();
            }
        });
        let answer = client.receive(false).unwrap();
        assert_eq!((answer.status, &answer.json()["error"]), (408, &json!("request_timeout")));
        // What is written to it may be answered with a reset.
        assert!(client.is_closed());
        let _ = client.stream.get_ref().shutdown(std::net::Shutdown::Both);
    });
    run(async {
        let connection = Connection::plain(world.gateway.address()).await;
        let (mut sender, answer) = connection.begin("POST", "http://a.com/").await;
        let trickle = tokio::task::spawn_blocking(move || {
            while sender.send_data("x".into(), false).is_ok() {
                pause();
            }
        });
        let (status, told) = crate::http2::read(answer.await.unwrap()).await;
        assert_eq!((status, &told["error"]), (408, &json!("request_timeout")));
        trickle.await.unwrap();
        // What comes at once is never too slow.
        assert_eq!(connection.ask("POST", "http://a.com/", &["some", "body"]).await.0, 200);
    });
}

#[test]
fn connections_that_were_upgraded_are_no_bodies() {
    let origin = Origin::start("one");
    let config = Config::new();
    let upstream = runtime(json!({"nodes": [origin.node()]}));
    config.commit("test", &service("chat", json!({"paths": ["/*"], "websocket": true}), upstream));
    let world = World::over_with(config, |options| {
        options.limits = Limits { body: Some(1), transfer_timeout: SHORT, ..Limits::default() };
    });
    let mut client = world.client();
    client.send(
        "GET /upgrade HTTP/1.1\r\nHost: a.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    assert_eq!(client.receive(false).unwrap().status, 101);
    let stream = client.stream.get_ref();
    stream.set_read_timeout(Some(SHORT * 3)).unwrap();
    let silence = client.stream.read(&mut [0]).unwrap_err();
    assert_eq!(silence.kind(), std::io::ErrorKind::WouldBlock, "both sides may be silent");
    client.stream.get_ref().set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    client.send("ping");
    let mut echo = [0; 4];
    client.stream.read_exact(&mut echo).unwrap();
    assert_eq!(&echo, b"ping");
}

#[test]
fn connections_may_rest_only_so_long() {
    let origin = Origin::start("one");
    let idle_timeout = Duration::from_secs(1);
    let world = world(&origin, Limits { idle_timeout, ..Limits::default() });
    let mut client = world.client();
    assert_eq!(client.ask("GET", "a.com", "/").status, 200);
    assert!(client.is_closed());
    let mut silent = world.client();
    assert!(silent.is_closed());
    run(async {
        let connection = Connection::plain(world.gateway.address()).await;
        assert_eq!(connection.ask("GET", "http://a.com/", &[]).await.0, 200);
        // The gateway hangs up without a word of HTTP/2.
        let _ = connection.ended.await.unwrap();
    });
}

#[test]
fn one_client_has_so_many_connections() {
    let origin = Origin::start("one");
    let most = NonZeroU32::new(2);
    let world = world(&origin, Limits { connections_per_client: most, ..Limits::default() });
    let (mut one, mut two) = (world.client(), world.client());
    for client in [&mut one, &mut two] {
        assert_eq!(client.ask("GET", "a.com", "/").status, 200);
    }
    assert!(world.client().is_closed());
    let metrics = world.status_of("/metrics").body;
    assert!(metrics.contains("refgate_connections_refused_total{group=\"test\"} 1"), "{metrics}");
    drop(one);
    // The gateway may hear of the end a moment later.
    let end = std::time::Instant::now() + Duration::from_secs(30);
    while is_refused(&mut world.client()) {
        assert!(std::time::Instant::now() < end, "the place is not free");
    }
    assert_eq!(two.ask("GET", "a.com", "/").status, 200);
    ask_until(|| world.status_of("/readyz"), |answer| answer.status == 200);
}

fn is_refused(client: &mut Client) -> bool {
    use std::io::Write as _;
    let request = b"GET / HTTP/1.1\r\nHost: a.com\r\n\r\n";
    let sent = client.stream.get_mut().write_all(request);
    sent.is_err() || client.is_closed()
}
