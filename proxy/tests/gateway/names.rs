//! Nodes that are named by DNS: addresses are followed, and kept while DNS fails.

use std::collections::BTreeSet;
use std::net::{IpAddr, TcpListener};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::nameserver::Nameserver;
use crate::origin::Origin;
use crate::repository::Config;
use crate::world::{World, ask_until, runtime, service};

const NAME: &str = "origin.test";

/// Origins on several addresses and one port.
fn origins<const N: usize>(names: [(&'static str, &str); N]) -> (u16, [Origin; N]) {
    let addresses: Vec<IpAddr> = names.iter().map(|(_, ip)| ip.parse().unwrap()).collect();
    // A port that is free on one address may be taken on another.
    let listeners = std::iter::repeat_with(|| {
        let first = TcpListener::bind((addresses[0], 0)).unwrap();
        let port = first.local_addr().unwrap().port();
        let others = addresses[1..].iter().map(|ip| TcpListener::bind((*ip, port)));
        let others: Result<Vec<_>, _> = others.collect();
        others.map(|others| std::iter::once(first).chain(others).collect::<Vec<_>>())
    });
    let listeners = listeners.take(100).find_map(Result::ok).unwrap();
    let port = listeners[0].local_addr().unwrap().port();
    let mut listeners = listeners.into_iter();
    (port, names.map(|(name, _)| Origin::start_on(name, listeners.next().unwrap())))
}

fn world(server: &Nameserver, port: u16) -> World {
    let config = Config::new();
    let nodes = json!([{"host": NAME, "port": port}]);
    let upstream = runtime(json!({"nodes": nodes, "timeout": {"connect": 5}}));
    config.commit("test", &service("shop", json!({"paths": ["/*"]}), upstream));
    World::over_with(config, |options| options.nameservers = vec![server.address])
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn counter(world: &World, name: &str) -> u64 {
    let metrics = world.status_of("/metrics").body;
    let line = metrics.lines().find(|line| line.starts_with(&format!("{name}{{"))).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Asks the name until an origin of this name answers; all others answer well, too.
fn answered_by(world: &World, origin: &str) {
    ask_until(
        || {
            let answer = world.get("/");
            assert_eq!(answer.status, 200);
            answer
        },
        |answer| answer.json()["origin"] == *origin,
    );
}

#[test]
fn addresses_are_followed_and_the_last_ones_kept() {
    let server = Nameserver::start();
    let (port, [_one, _two]) = origins([("one", "127.0.0.1"), ("two", "127.0.0.2")]);
    server.set(NAME, 1, &[ip("127.0.0.1")]);
    let world = world(&server, port);
    answered_by(&world, "one");
    server.set(NAME, 1, &[ip("127.0.0.2")]);
    answered_by(&world, "two");

    type Trouble = fn(&Nameserver);
    let troubles: [Trouble; 3] = [
        |server| server.fail(NAME),
        |server| server.remove(NAME),
        |server| server.set(NAME, 1, &[]),
    ];
    for trouble in troubles {
        let failures = counter(&world, "refgate_dns_failures_total");
        trouble(&server);
        let end = Instant::now() + Duration::from_secs(30);
        while counter(&world, "refgate_dns_failures_total") == failures {
            assert_eq!(world.get("/").json()["origin"], "two");
            assert!(Instant::now() < end, "no lookup has failed");
        }
        assert_eq!(world.get("/").json()["origin"], "two");
        server.set(NAME, 1, &[ip("127.0.0.1")]);
        answered_by(&world, "one");
        server.set(NAME, 1, &[ip("127.0.0.2")]);
        answered_by(&world, "two");
    }
}

#[test]
fn addresses_are_renewed_without_requests() {
    let server = Nameserver::start();
    let (port, [_one, _two]) = origins([("one", "127.0.0.1"), ("two", "127.0.0.2")]);
    server.set(NAME, 1, &[ip("127.0.0.1")]);
    let world = world(&server, port);
    answered_by(&world, "one");
    server.set(NAME, 3600, &[ip("127.0.0.2")]);
    let lookups = counter(&world, "refgate_dns_lookups_total");
    let end = Instant::now() + Duration::from_secs(30);
    while counter(&world, "refgate_dns_lookups_total") == lookups {
        assert!(Instant::now() < end, "nobody asks");
    }
    // The very next request, or nearly: the answer may be on its way.
    answered_by(&world, "two");
}

#[test]
fn all_addresses_of_both_families_take_turns() {
    let server = Nameserver::start();
    let origins = [("one", "127.0.0.1"), ("two", "127.0.0.2"), ("six", "::1")];
    let (port, _origins) = self::origins(origins);
    server.set(NAME, 60, &[ip("::1"), ip("127.0.0.1"), ip("127.0.0.2")]);
    let world = world(&server, port);
    for _ in 0..3 {
        let seen: BTreeSet<String> =
            (0..3).map(|_| world.get("/").json()["origin"].to_string()).collect();
        assert_eq!(seen.len(), 3, "{seen:?}");
    }
    assert_eq!(counter(&world, "refgate_dns_lookups_total"), 1, "one answer serves for its time");
}

#[test]
fn names_that_do_not_exist_are_bad_gateways_until_they_do() {
    let server = Nameserver::start();
    let (port, [_one]) = origins([("one", "127.0.0.1")]);
    let world = world(&server, port);
    let answer = world.get("/");
    assert_eq!((answer.status, &answer.json()["error"]), (502, &json!("bad_gateway")));
    assert!(counter(&world, "refgate_dns_failures_total") >= 1);
    server.set(NAME, 1, &[ip("127.0.0.1")]);
    ask_until(|| world.get("/"), |answer| answer.status == 200);
}

#[test]
fn only_requests_before_the_first_answer_wait() {
    let server = Nameserver::start();
    let (port, [_one]) = origins([("one", "127.0.0.1")]);
    server.silence(NAME);
    let world = world(&server, port);
    std::thread::scope(|scope| {
        let mut client = world.client();
        let waiting = scope.spawn(move || client.ask("GET", "a.com", "/"));
        let end = Instant::now() + Duration::from_secs(30);
        while server.asked() == 0 {
            assert!(Instant::now() < end, "nobody asks");
            std::thread::yield_now();
        }
        // What was not answered is asked again by the resolver, within the client's patience or not.
        server.set(NAME, 1, &[ip("127.0.0.1")]);
        let answer = waiting.join().unwrap();
        assert!(matches!(answer.status, 200 | 502), "{answer:?}");
    });
    ask_until(|| world.get("/"), |answer| answer.status == 200);
    server.silence(NAME);
    let asked = server.asked();
    let end = Instant::now() + Duration::from_secs(30);
    while server.asked() == asked {
        assert_eq!(world.get("/").status, 200);
        assert!(Instant::now() < end, "nobody asks");
    }
    assert_eq!(world.get("/").status, 200);
}
