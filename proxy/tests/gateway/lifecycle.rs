//! Start, status, drain.

use std::net::TcpListener;

use refgate_proxy::{StartError, State, start};
use serde_json::json;

use crate::client::Client;
use crate::origin::Origin;
use crate::repository::Config;
use crate::world::{World, options, runtime, service};

#[test]
fn taken_ports_are_named() {
    let config = Config::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options = options(&config);
    options.listen = taken.local_addr().unwrap();
    let error = start(options).err().unwrap();
    assert!(matches!(error, StartError::Listen { .. }));
    assert!(error.to_string().contains(&taken.local_addr().unwrap().to_string()), "{error}");
}

#[test]
fn what_is_no_repository_of_ours_is_refused() {
    let config = Config::new();
    let mut options = options(&config);
    options.source = config.folder().join("nowhere").into();
    assert!(matches!(start(options.clone()), Err(StartError::Source(_))));
    options.source = config.folder().to_owned().into();
    assert!(matches!(start(options), Err(StartError::Source(_))));
}

#[test]
fn a_group_without_a_branch_is_waited_for() {
    let world = World::over(Config::new());
    let status = world.gateway.subscribe().borrow().clone();
    assert_eq!((status.commit, status.state), (None, State::Degraded));
    assert!(status.message.as_deref().is_some_and(|message| message.contains("branch")));
    assert_eq!(world.get("/").status, 404);
    assert_eq!(world.status_of("/readyz").status, 503);
    let origin = Origin::start("one");
    let files =
        service("shop", json!({"paths": ["/*"]}), runtime(json!({"nodes": [origin.node()]})));
    let status = world.apply(&files);
    assert_eq!((status.state, status.message.as_deref()), (State::Healthy, None));
    assert_eq!(world.get("/").status, 200);
    assert_eq!(world.status_of("/readyz").status, 200);
}

#[test]
fn machines_can_ask() {
    let origin = Origin::start("one");
    let world = World::with_origin(&origin);
    world.get("/");
    world.get("/status/404");
    assert_eq!(world.client().ask("GET", "a.com", "/..").status, 400);
    assert_eq!(world.status_of("/healthz").status, 200);
    assert_eq!(world.status_of("/readyz").status, 200);
    assert_eq!(world.status_of("/other").status, 404);
    let mut machine = Client::connect(world.gateway.status_address().unwrap());
    let answer = machine.ask_with("POST", "status", "/readyz", &[], "x");
    assert_eq!((answer.status, answer.body.as_str()), (405, "only GET and HEAD\n"));
    let status = world.status_of("/status").json();
    assert_eq!(status["instance"], "test-1");
    assert_eq!(status["group"], "test");
    assert_eq!(status["state"], "healthy");
    assert_eq!(status["diagnostics"], json!([]));
    assert_eq!(status["commit"].as_str().map(str::len), Some(40));
    let commit = status["commit"].as_str().unwrap();
    let lines = [
        "refgate_requests_total{group=\"test\",service=\"shop\",route=\"main\",status=\"2xx\"} 1",
        "refgate_requests_total{group=\"test\",service=\"shop\",route=\"main\",status=\"4xx\"} 1",
        "refgate_requests_total{group=\"test\",service=\"\",route=\"\",status=\"4xx\"} 1",
        "refgate_reloads_total{group=\"test\"} 1",
        &format!("refgate_config_info{{group=\"test\",commit=\"{commit}\"}} 1"),
    ];
    // A request is counted when it is over, which its client may see a moment before.
    crate::world::ask_until(
        || world.status_of("/metrics"),
        |metrics| lines.iter().all(|line| metrics.body.lines().any(|own| own == *line)),
    );
}

#[test]
fn a_drain_finishes_what_is_in_flight() {
    let origin = Origin::start("one");
    let world = World::with_origin(&origin);
    let (address, status) = (world.gateway.address(), world.gateway.status_address().unwrap());
    let mut idle = world.client();
    assert_eq!(idle.ask("GET", "a.com", "/").status, 200);
    let mut busy = world.client();
    busy.send("GET /held HTTP/1.1\r\nHost: a.com\r\n\r\n");
    origin.arrived.recv().unwrap();

    world.gateway.shutdown();
    assert!(idle.is_closed());
    let ready = Client::connect(status).ask("GET", "status", "/readyz");
    assert_eq!((ready.status, ready.body.as_str()), (503, "draining\n"));
    let refused = || std::net::TcpStream::connect(address).is_err();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !refused() {
        assert!(std::time::Instant::now() < end, "it still accepts connections");
    }

    origin.release.send(()).unwrap();
    let answer = busy.receive(false).unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(busy.is_closed());
    world.gateway.join();
}

#[test]
fn a_drain_is_bounded() {
    let origin = Origin::start("one");
    let config = Config::new();
    let files =
        service("shop", json!({"paths": ["/*"]}), runtime(json!({"nodes": [origin.node()]})));
    config.commit("test", &files);
    let mut options = options(&config);
    options.drain_timeout = std::time::Duration::from_millis(100);
    let gateway = start(options).unwrap();
    let mut busy = Client::connect(gateway.address());
    busy.send("GET /held HTTP/1.1\r\nHost: a.com\r\n\r\n");
    origin.arrived.recv().unwrap();
    gateway.shutdown();
    gateway.join();
    assert!(busy.is_closed());
}

#[test]
fn several_gateways_live_in_one_process() {
    let origin = Origin::start("one");
    let config = Config::new();
    let files =
        service("shop", json!({"paths": ["/*"]}), runtime(json!({"nodes": [origin.node()]})));
    config.commit("test", &files);
    config.commit(
        "uat",
        &service("shop", json!({"paths": ["/uat"]}), runtime(json!({"nodes": [origin.node()]}))),
    );
    let test = start(options(&config)).unwrap();
    let mut of_uat = options(&config);
    of_uat.group = "uat".parse().unwrap();
    let uat = start(of_uat).unwrap();
    assert_eq!(Client::connect(test.address()).ask("GET", "a.com", "/x").status, 200);
    assert_eq!(Client::connect(uat.address()).ask("GET", "a.com", "/x").status, 404);
    test.shutdown();
    test.join();
    assert_eq!(Client::connect(uat.address()).ask("GET", "a.com", "/uat").status, 200);
}
