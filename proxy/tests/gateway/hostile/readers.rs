//! Clients that ask for much and take little or nothing of it: each is given up, and so is its request.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use refgate_proxy::Limits;
use serde_json::json;

use super::frames::{Frames, SETTINGS, WINDOW_UPDATE};
use crate::repository::Config;
use crate::world::{World, runtime, service};

const SHORT: Duration = Duration::from_millis(500);

/// A gateway before an origin whose answers have no end, and word of each answer that was broken off.
fn endless() -> (World, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (broken_off, word) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let broken_off = broken_off.clone();
            std::thread::spawn(move || {
                let mut stream = stream.unwrap();
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                    head.push(byte[0]);
                }
                let part = [b"8000\r\n", &[b'x'; 0x8000][..], b"\r\n"].concat();
                let begin = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                let mut sent = stream.write_all(begin);
                while sent.is_ok() {
                    sent = stream.write_all(&part);
                }
                // Nobody may wait for it any more.
                let _ = broken_off.send(());
            });
        }
    });
    let config = Config::new();
    let upstream = runtime(json!({"nodes": [crate::origin::node(address)], "retries": 0}));
    config.commit("test", &service("shop", json!({"paths": ["/*"]}), upstream));
    let world = World::over_with(config, |options| {
        options.h2c = true;
        options.limits = Limits { transfer_timeout: SHORT, ..Limits::default() };
    });
    (world, word)
}

/// Waits until an answer was broken off and its client hung up on.
fn given_up(world: &World, word: &Receiver<()>) {
    word.recv_timeout(Duration::from_secs(30)).expect("the origin may go on");
    crate::world::ask_until(
        || world.status_of("/metrics"),
        |metrics| metrics.body.contains("\nrefgate_connections{group=\"test\"} 0\n"),
    );
}

#[test]
fn one_that_reads_nothing() {
    let (world, word) = endless();
    let mut client = TcpStream::connect(world.gateway.address()).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
    given_up(&world, &word);
    drop(client);
}

#[test]
fn one_that_reads_drop_by_drop() {
    let (world, word) = endless();
    let mut client = TcpStream::connect(world.gateway.address()).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
    let drops = std::thread::spawn(move || {
        while client.read(&mut [0; 8]).is_ok_and(|read| read > 0) {
            std::thread::park_timeout(SHORT / 50);
        }
    });
    given_up(&world, &word);
    drop(drops);
}

#[test]
fn one_of_http2_that_reads_nothing() {
    let (world, word) = endless();
    let mut client = Frames::connect(world.gateway.address());
    // As much as it likes, as far as windows go.
    client.frame(SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]);
    client.frame(WINDOW_UPDATE, 0, 0, &0x7000_0000u32.to_be_bytes());
    client.get(1, "/");
    given_up(&world, &word);
    drop(client);
}

#[test]
fn one_of_http2_that_opens_no_window() {
    let (world, word) = endless();
    let mut client = Frames::connect(world.gateway.address());
    client.frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    client.get(1, "/");
    assert_eq!(client.answer(1), None);
    assert_eq!(client.reset, [1]);
    word.recv_timeout(Duration::from_secs(30)).expect("the origin may go on");
    // Nor bit by bit.
    client.get(3, "/");
    for _ in 0..1000 {
        client.frame(WINDOW_UPDATE, 0, 3, &1u32.to_be_bytes());
        if word.recv_timeout(SHORT / 10).is_ok() {
            return;
        }
    }
    panic!("the origin may go on");
}
