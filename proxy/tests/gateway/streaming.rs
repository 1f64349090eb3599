//! Bodies pass in both directions as they come: in bounded memory, at the pace of whoever is slower,
//! each part before the next is sent.

use std::future::poll_fn;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use rustls::{ServerConnection, StreamOwned};
use serde_json::json;

use crate::http2::{Connection, run};
use crate::origin;
use crate::program::Program;
use crate::repository::Config;
use crate::tls_origin::Tls;
use crate::world::{World, runtime, service};

const MIB: usize = 1 << 20;

/// Bodies are made of such blocks, each unlike those around it.
const BLOCK: usize = 64 << 10;

/// How much more memory a large body may take than a small one.
const GROWTH: usize = 32 * MIB;

/// What fits between two ends that both wait: buffers of the system and of the gateway.
const ON_THE_WAY: usize = 48 * MIB;

fn block(number: usize) -> Vec<u8> {
    let mut block = vec![number as u8; BLOCK];
    block[..8].copy_from_slice(&(number as u64).to_le_bytes());
    block
}

fn send(to: &mut impl Write, blocks: usize) {
    for number in 0..blocks {
        to.write_all(&block(number)).unwrap();
    }
}

fn receive(from: &mut impl Read, blocks: usize) {
    let mut received = vec![0; BLOCK];
    for number in 0..blocks {
        from.read_exact(&mut received).unwrap();
        assert!(received == block(number), "block {number} of {blocks} is another");
    }
}

/// A node whose connections the test itself serves.
struct Node(TcpListener);

impl Node {
    fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// The connection of a request, whose header has been read.
    fn accept(&self) -> BufReader<TcpStream> {
        let mut stream = patient(self.0.accept().unwrap().0);
        assert!(head(&mut stream).ends_with("HTTP/1.1"));
        stream
    }

    /// Sends the bodies of so many requests back as they come.
    fn echo(&self, sizes: &[usize]) {
        for blocks in sizes {
            let mut from = self.accept();
            let mut to = from.get_ref().try_clone().unwrap();
            let length = blocks * BLOCK;
            let head =
                format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
            to.write_all(head.as_bytes()).unwrap();
            let mut part = vec![0; BLOCK];
            for _ in 0..*blocks {
                from.read_exact(&mut part).unwrap();
                to.write_all(&part).unwrap();
            }
        }
    }
}

/// Waits for long, but not for ever.
fn patient(stream: TcpStream) -> BufReader<TcpStream> {
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    BufReader::new(stream)
}

/// Reads a header; gives its first line.
fn head(stream: &mut impl BufRead) -> String {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        assert_ne!(stream.read_line(&mut line).unwrap(), 0, "closed after {lines:?}");
        if line == "\r\n" {
            return lines.swap_remove(0);
        }
        lines.push(line.trim_end().to_owned());
    }
}

fn connect(address: SocketAddr) -> BufReader<TcpStream> {
    patient(TcpStream::connect(address).unwrap())
}

fn begin(client: &BufReader<TcpStream>, method: &str, headers: &str) {
    let request = format!("{method} / HTTP/1.1\r\nHost: a.com\r\n{headers}\r\n\r\n");
    client.get_ref().write_all(request.as_bytes()).unwrap();
}

/// Sends so many blocks through the gateway and back, both ways at once.
fn there_and_back(gateway: SocketAddr, blocks: usize) {
    let mut client = connect(gateway);
    begin(&client, "PUT", &format!("Content-Length: {}", blocks * BLOCK));
    let mut up = client.get_ref().try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || send(&mut up, blocks));
        assert_eq!(head(&mut client), "HTTP/1.1 200 OK");
        receive(&mut client, blocks);
    });
}

/// The same in HTTP/2.
async fn there_and_back_http2(connection: &Connection, blocks: usize) {
    let mut requests = connection.requests.clone().ready().await.unwrap();
    let request = http::Request::put("http://a.com/").header("content-length", blocks * BLOCK);
    let (answer, up) = requests.send_request(request.body(()).unwrap(), false).unwrap();
    let down = async {
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        receive_http2(answer.into_body(), blocks).await;
    };
    tokio::join!(send_http2(up, blocks), down);
}

async fn send_http2(mut up: SendStream<Bytes>, blocks: usize) {
    for number in 0..blocks {
        let mut rest = Bytes::from(block(number));
        while !rest.is_empty() {
            up.reserve_capacity(rest.len());
            let granted = poll_fn(|cx| up.poll_capacity(cx)).await.unwrap().unwrap();
            up.send_data(rest.split_to(granted.min(rest.len())), false).unwrap();
        }
    }
    up.send_data(Bytes::new(), true).unwrap();
}

async fn receive_http2(mut down: RecvStream, blocks: usize) {
    let (mut held, mut number) = (Vec::new(), 0);
    while let Some(part) = down.data().await {
        let part = part.unwrap();
        down.flow_control().release_capacity(part.len()).unwrap();
        held.extend_from_slice(&part);
        while held.len() >= BLOCK {
            assert!(held[..BLOCK] == block(number), "block {number} of {blocks} is another");
            held.drain(..BLOCK);
            number += 1;
        }
    }
    assert_eq!((number, held.len()), (blocks, 0));
}

/// The most memory that the program has had, in bytes.
#[cfg(target_os = "linux")]
fn peak(program: &Program) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() * 1024
}

#[test]
#[cfg(target_os = "linux")]
fn large_bodies_pass_both_ways_in_bounded_memory() {
    // HTTP/2 without optimisation is slow, on both sides of the test.
    let [small, large, large_http2] = [4, 128, 48].map(|size| size * MIB / BLOCK);
    let (node, config) = (Node::new(), Config::new());
    let upstream = runtime(json!({"nodes": [origin::node(node.address())]}));
    config.commit("test", &service("shop", json!({"paths": ["/*"]}), upstream));
    let program = Program::start_with(&config, &["--h2c"]);
    std::thread::scope(|scope| {
        scope.spawn(|| node.echo(&[small, small, large, large_http2]));
        run(async {
            let connection = Connection::plain(program.address).await;
            there_and_back(program.address, small);
            there_and_back_http2(&connection, small).await;
            let before = peak(&program);
            there_and_back(program.address, large);
            let between = peak(&program);
            there_and_back_http2(&connection, large_http2).await;
            let after = peak(&program);
            let peaks = [before, between, after].map(|size| size / MIB);
            println!("{peaks:?} MiB: peak before, after HTTP/1, after HTTP/2");
            // The system counts pages roughly: what grows by nothing may seem to shrink.
            assert!(after.saturating_sub(before) < GROWTH, "{peaks:?} MiB");
        });
    });
}

/// Writes blocks until nobody takes any more for a while; gives how many bytes were taken.
fn fill(stream: &mut TcpStream, blocks: usize) -> usize {
    stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut taken = 0;
    let stopped = loop {
        let (number, from) = (taken / BLOCK, taken % BLOCK);
        if number == blocks {
            break None;
        }
        match stream.write(&block(number)[from..]) {
            Ok(written) => taken += written,
            Err(error) => break Some(error.kind()),
        }
    };
    assert!(matches!(stopped, Some(ErrorKind::WouldBlock | ErrorKind::TimedOut)), "{stopped:?}");
    stream.set_write_timeout(None).unwrap();
    taken
}

/// Writes what is left after [`fill`].
fn rest(stream: &mut TcpStream, blocks: usize, taken: usize) {
    stream.write_all(&block(taken / BLOCK)[taken % BLOCK..]).unwrap();
    for number in taken / BLOCK + 1..blocks {
        stream.write_all(&block(number)).unwrap();
    }
}

const MORE: usize = 2 * ON_THE_WAY / BLOCK;

#[test]
fn a_client_that_does_not_read_stops_the_node() {
    let node = Node::new();
    let world = World::with_upstream(json!({"nodes": [origin::node(node.address())]}));
    let mut client = connect(world.gateway.address());
    begin(&client, "GET", "Accept: */*");
    let mut far = node.accept().into_inner();
    let head_of = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", MORE * BLOCK);
    far.write_all(head_of.as_bytes()).unwrap();
    let taken = fill(&mut far, MORE);
    assert!(taken < ON_THE_WAY, "{taken} bytes");
    std::thread::scope(|scope| {
        scope.spawn(move || rest(&mut far, MORE, taken));
        assert_eq!(head(&mut client), "HTTP/1.1 200 OK");
        receive(&mut client, MORE);
    });
}

#[test]
fn a_node_that_does_not_read_stops_the_client() {
    let node = Node::new();
    let world = World::with_upstream(json!({"nodes": [origin::node(node.address())]}));
    let mut client = connect(world.gateway.address());
    begin(&client, "PUT", &format!("Content-Length: {}", MORE * BLOCK));
    let mut far = node.accept();
    let mut up = client.get_ref().try_clone().unwrap();
    let taken = fill(&mut up, MORE);
    assert!(taken < ON_THE_WAY, "{taken} bytes");
    std::thread::scope(|scope| {
        scope.spawn(move || rest(&mut up, MORE, taken));
        receive(&mut far, MORE);
    });
    far.get_ref().write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    assert_eq!(head(&mut client), "HTTP/1.1 204 No Content");
}

fn send_chunk(to: &BufReader<TcpStream>, text: &str) {
    let chunk = format!("{:x}\r\n{text}\r\n", text.len());
    to.get_ref().write_all(chunk.as_bytes()).unwrap();
}

fn receive_chunk(from: &mut BufReader<TcpStream>) -> String {
    let mut size = String::new();
    from.read_line(&mut size).unwrap();
    let mut chunk = vec![0; usize::from_str_radix(size.trim_end(), 16).unwrap() + 2];
    from.read_exact(&mut chunk).unwrap();
    assert_eq!(chunk.split_off(chunk.len() - 2), b"\r\n");
    String::from_utf8(chunk).unwrap()
}

/// Answers a request with this header, sends so many blocks, and only then takes as many.
fn answer_before_reading(node: &Node, head_of: &str, blocks: usize) {
    let mut far = node.accept();
    let mut down = far.get_ref().try_clone().unwrap();
    down.write_all(format!("{head_of}\r\n\r\n").as_bytes()).unwrap();
    send(&mut down, blocks);
    receive(&mut far, blocks);
}

/// Nobody waits for nothing: the client takes the answer while it sends.
#[test]
fn a_node_that_answers_before_it_reads() {
    const BLOCKS: usize = ON_THE_WAY / BLOCK;
    const LENGTH: usize = BLOCKS * BLOCK;
    let node = Node::new();
    let config = Config::new();
    let upstream = runtime(json!({"nodes": [origin::node(node.address())]}));
    config.commit("test", &service("shop", json!({"paths": ["/*"], "websocket": true}), upstream));
    let world = World::over_with(config, |options| options.h2c = true);
    let address = world.gateway.address();
    let body = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {LENGTH}");
    let upgraded = "Connection: Upgrade\r\nUpgrade: websocket";
    let switched = format!("HTTP/1.1 101 Switching Protocols\r\n{upgraded}");
    let websocket = format!(
        "{upgraded}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MTIzNDU2Nzg5MDEyMzQ1Ng=="
    );
    let rows = [("PUT", format!("Content-Length: {LENGTH}"), &body), ("GET", websocket, &switched)];
    for (method, headers, answer) in rows {
        let mut client = connect(address);
        begin(&client, method, &headers);
        let mut up = client.get_ref().try_clone().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| answer_before_reading(&node, answer, BLOCKS));
            assert_eq!(head(&mut client), answer.lines().next().unwrap());
            scope.spawn(move || send(&mut up, BLOCKS));
            receive(&mut client, BLOCKS);
        });
    }
    std::thread::scope(|scope| {
        let (done, taken) = tokio::sync::oneshot::channel();
        let (node, body) = (&node, &body);
        scope.spawn(move || {
            answer_before_reading(node, body, BLOCKS);
            done.send(()).unwrap();
        });
        run(async {
            let connection = Connection::plain(address).await;
            there_and_back_http2(&connection, BLOCKS).await;
            // The connection stays until the node has all that went through it.
            taken.await.unwrap();
        });
    });
}

#[test]
fn a_node_with_tls_that_answers_before_it_reads() {
    const BLOCKS: usize = ON_THE_WAY / 2 / BLOCK;
    let (node, tls) = (Node::new(), Tls::new());
    let nodes = json!([origin::node(node.address())]);
    let trust = json!({"ca": tls.authority()});
    let world = World::with_upstream(json!({"nodes": nodes, "scheme": "https", "tls": trust}));
    let mut client = connect(world.gateway.address());
    begin(&client, "PUT", &format!("Content-Length: {}", BLOCKS * BLOCK));
    let mut up = client.get_ref().try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let tcp = patient(node.0.accept().unwrap().0).into_inner();
            let session = ServerConnection::new(Arc::new(tls.server())).unwrap();
            let mut far = BufReader::new(StreamOwned::new(session, tcp));
            assert!(head(&mut far).ends_with("HTTP/1.1"));
            let head_of = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", BLOCKS * BLOCK);
            far.get_mut().write_all(head_of.as_bytes()).unwrap();
            send(far.get_mut(), BLOCKS);
            receive(&mut far, BLOCKS);
        });
        scope.spawn(move || send(&mut up, BLOCKS));
        assert_eq!(head(&mut client), "HTTP/1.1 200 OK");
        receive(&mut client, BLOCKS);
    });
}

#[test]
fn a_node_that_takes_nothing_has_failed() {
    let (node, config) = (Node::new(), Config::new());
    let nodes = json!({"nodes": [origin::node(node.address())], "timeout": {"send": 0.2}});
    config.commit("test", &service("shop", json!({"paths": ["/*"]}), runtime(nodes)));
    let world = World::over_with(config, |options| options.h2c = true);
    run(async {
        let connection = Connection::plain(world.gateway.address()).await;
        let (up, answer) = connection.begin("PUT", "http://a.com/").await;
        let status = tokio::select! {
            // The end of the stream may follow at once.
            biased;
            answer = answer => answer.unwrap().status(),
            () = send_http2(up, MORE) => panic!("all of it was taken"),
        };
        assert_eq!(status, 504);
    });
}

#[test]
fn events_arrive_one_by_one() {
    let node = Node::new();
    let world = World::with_upstream(json!({"nodes": [origin::node(node.address())]}));
    let mut client = connect(world.gateway.address());
    begin(&client, "GET", "Accept: text/event-stream");
    let far = node.accept();
    let head_of =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    far.get_ref().write_all(head_of.as_bytes()).unwrap();
    assert_eq!(head(&mut client), "HTTP/1.1 200 OK", "the header does not wait for an event");
    for number in 0..100 {
        let event = format!("id: {number}\ndata: {}\n\n", "x".repeat(number));
        send_chunk(&far, &event);
        assert_eq!(receive_chunk(&mut client), event);
    }
    far.get_ref().write_all(b"0\r\n\r\n").unwrap();
    assert_eq!(receive_chunk(&mut client), "");
}

#[test]
fn a_conversation_in_one_request() {
    let node = Node::new();
    let world = World::with_upstream(json!({"nodes": [origin::node(node.address())]}));
    let mut client = connect(world.gateway.address());
    begin(&client, "POST", "Transfer-Encoding: chunked");
    let mut far = node.accept();
    far.get_ref().write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    assert_eq!(head(&mut client), "HTTP/1.1 200 OK", "the answer does not wait for the body");
    for number in 0..100 {
        let (said, answered) = (format!("question {number}"), format!("answer {number}"));
        send_chunk(&client, &said);
        assert_eq!(receive_chunk(&mut far), said);
        send_chunk(&far, &answered);
        assert_eq!(receive_chunk(&mut client), answered);
    }
}
