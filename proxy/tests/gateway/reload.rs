//! Commits while requests run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use refgate_proxy::State;
use serde_json::{Value, json};

use crate::client::Client;
use crate::origin::Origin;
use crate::world::{World, runtime, service};

fn route(path: &str) -> Value {
    json!({"paths": [path]})
}

const ROUTE: &str = "services/shop/routes/main.json";

#[test]
fn commits_are_served_and_no_request_is_lost() {
    let (one, other) = (Origin::start("one"), Origin::start("other"));
    let world = World::with_origin(&one);
    let address = world.gateway.address();
    let stop = AtomicBool::new(false);
    let asked = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = Client::connect(address);
                    let mut asked = 0_u32;
                    while !stop.load(Ordering::Relaxed) {
                        let answer = client.ask("GET", "a.com", "/x");
                        assert_eq!(answer.status, 200, "{answer:?}");
                        asked += 1;
                    }
                    asked
                })
            })
            .collect();
        let mut client = Client::connect(address);
        for turn in 0..30 {
            let origin = if turn % 2 == 0 { &other } else { &one };
            let upstream = json!({"nodes": [origin.node()]});
            let status = world.apply(&[("runtime/shop.json", Some(runtime(upstream)))]);
            assert_eq!(status.state, State::Healthy);
            let wanted = if turn % 2 == 0 { "other" } else { "one" };
            assert_eq!(client.ask("GET", "a.com", "/x").json()["origin"], wanted);
        }
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().unwrap()).sum::<u32>()
    });
    assert!(asked > 30, "{asked}");
}

#[test]
fn bursts_of_commits_end_at_the_last() {
    let origin = Origin::start("one");
    let world = World::with_origin(&origin);
    for number in 0..50 {
        world.config.commit("test", &[(ROUTE, Some(route(&format!("/v{number}"))))]);
    }
    world.apply(&[(ROUTE, Some(route("/last-one")))]);
    assert_eq!(world.get("/last-one").status, 200);
    assert_eq!(world.get("/v49").status, 404);
}

#[test]
fn faulty_services_keep_their_last_good_form() {
    let origin = Origin::start("one");
    let upstream = || runtime(json!({"nodes": [origin.node()]}));
    let mut files = service("shop", route("/shop"), upstream());
    files.extend(service("blog", route("/blog"), upstream()));
    let world = World::new(&files);

    let status = world.apply(&[
        (ROUTE, Some(json!({"paths": ["/a*b"]}))),
        ("services/blog/routes/main.json", Some(route("/news"))),
    ]);
    assert_eq!(status.state, State::Degraded);
    let found: Vec<_> = status.diagnostics.iter().map(|found| found.file.as_str()).collect();
    assert_eq!(found, [ROUTE]);
    assert_eq!(world.get("/shop").status, 200, "as it last was");
    assert_eq!(world.get("/news").status, 200, "the rest moves on");
    assert_eq!(world.get("/blog").status, 404);

    let commit = world.config.commit_texts("test", &[("group.json", Some("{"))]);
    let status = world.serves(&commit);
    assert_eq!((status.state, status.diagnostics.len()), (State::Degraded, 2));
    assert_eq!(world.get("/shop").status, 200, "still as it last was");

    let status = world.apply(&[("group.json", Some(json!({}))), (ROUTE, Some(route("/cart")))]);
    assert_eq!((status.state, &status.diagnostics[..]), (State::Healthy, &[][..]));
    assert_eq!(world.get("/cart").status, 200);
    assert_eq!(world.get("/shop").status, 404);
}

/// One service breaks, and another wants its path in the same commit.
#[test]
fn nobody_takes_the_place_of_a_last_good_form() {
    let (one, other) = (Origin::start("one"), Origin::start("other"));
    let shop = service("shop", route("/shop"), runtime(json!({"nodes": [one.node()]})));
    let world = World::new(&shop);
    let mut files = service("blog", route("/shop"), runtime(json!({"nodes": [other.node()]})));
    files.push((ROUTE, Some(json!({"paths": ["/a*b"]}))));
    let status = world.apply(&files);
    let mut found: Vec<_> = status.diagnostics.iter().map(|found| found.code.as_str()).collect();
    found.sort_unstable();
    assert_eq!((status.state, &found[..]), (State::Degraded, &["bad_path", "route_conflict"][..]));
    assert_eq!(world.get("/shop").json()["origin"], "one");
    let status = world.apply(&[(ROUTE, Some(route("/cart")))]);
    assert_eq!(status.state, State::Healthy, "{status:?}");
    assert_eq!(world.get("/shop").json()["origin"], "other");
    assert_eq!(world.get("/cart").json()["origin"], "one");
}

#[test]
fn references_that_this_gateway_lacks_are_faults_of_their_service() {
    let origin = Origin::start("one");
    let world = World::with_origin(&origin);
    let host = world.config.folder().join("host");
    let node =
        json!({"host": format!("$file://{}", host.display()), "port": origin.address.port()});
    let file = ("runtime/shop.json", Some(runtime(json!({"nodes": [node]}))));
    let status = world.apply(&[file]);
    assert_eq!(status.state, State::Degraded);
    assert_eq!(status.diagnostics[0].pointer, "/upstreams/default/nodes/0/host");
    assert_eq!(world.get("/").status, 200, "as it last was");
    std::fs::write(&host, "127.0.0.1\n").unwrap();
    // The next commit, whatever it is about, resolves again what could not be.
    let status = world.apply(&[("group.json", Some(json!({"description": "x"})))]);
    assert_eq!(status.state, State::Healthy, "{status:?}");
    assert_eq!(world.get("/").status, 200);
}

#[test]
fn deleted_services_are_gone_at_once() {
    let origin = Origin::start("one");
    let world = World::with_origin(&origin);
    assert_eq!(world.get("/").status, 200);
    world.apply(&[
        ("services/shop/service.json", None),
        (ROUTE, None),
        ("runtime/shop.json", None),
    ]);
    assert_eq!(world.get("/").status, 404);
}

#[test]
fn pooled_connections_survive_a_reload() {
    let origin = Origin::start("one");
    let world = World::with_origin(&origin);
    let mut client = world.client();
    let before = client.ask("GET", "a.com", "/").json()["connection"].clone();
    let upstream = json!({"nodes": [origin.node()], "timeout": {"read": 30}});
    world.apply(&[("runtime/shop.json", Some(runtime(upstream))), (ROUTE, Some(route("/*")))]);
    let after = client.ask("GET", "a.com", "/").json()["connection"].clone();
    assert_eq!(before, after);
}

#[test]
fn a_request_keeps_its_configuration_to_the_end() {
    let origin = Origin::start("one");
    let world = World::with_origin(&origin);
    let mut busy = world.client();
    busy.send("GET /held HTTP/1.1\r\nHost: a.com\r\n\r\n");
    origin.arrived.recv().unwrap();
    world.apply(&[(ROUTE, Some(route("/other")))]);
    assert_eq!(world.get("/held").status, 404);
    origin.release.send(()).unwrap();
    assert_eq!(busy.receive(false).unwrap().status, 200);
}

#[test]
fn packed_refs_change_nothing() {
    let origin = Origin::start("one");
    let world = World::with_origin(&origin);
    world.config.pack("test");
    assert_eq!(world.get("/").status, 200);
    world.apply(&[(ROUTE, Some(route("/packed")))]);
    world.config.pack("test");
    assert_eq!(world.get("/packed").status, 200);
    let status = world.apply(&[(ROUTE, Some(route("/again")))]);
    assert_eq!(status.state, State::Healthy);
    assert_eq!(world.get("/again").status, 200);
}

/// `git pack-refs --all` moves every ref into one file: a change of files, and of nothing else.
#[test]
fn git_packs_refs_and_objects_and_nothing_is_applied_anew() {
    let origin = Origin::start("one");
    let world = World::with_origin(&origin);
    let mut seen = world.gateway.subscribe();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let watcher = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut told = Vec::new();
        while !stopped.load(Ordering::Relaxed) {
            runtime.block_on(seen.changed()).unwrap();
            told.push(Arc::clone(&seen.borrow_and_update()));
        }
        told
    });
    for turn in 0..10 {
        world.config.git(&["pack-refs", "--all"]);
        assert!(!world.config.path().join("refs/heads/test").exists());
        world.config.git(&["maintenance", "run", "--quiet", "--task=loose-objects"]);
        world.config.git(&["maintenance", "run", "--quiet", "--task=incremental-repack"]);
        world.apply(&[(ROUTE, Some(route(&format!("/v{turn}"))))]);
        assert_eq!(world.get(&format!("/v{turn}")).status, 200);
        // What came of a look in between would have been counted by now: looks come one by one.
        let counted = format!("refgate_reloads_total{{group=\"test\"}} {}", turn + 2);
        let page = world.status_of("/metrics").body;
        assert!(page.contains(&counted), "{counted}: {page}");
    }
    stop.store(true, Ordering::Relaxed);
    world.apply(&[(ROUTE, Some(route("/last")))]);
    let told = watcher.join().unwrap();
    for status in &told {
        assert!(status.state == State::Healthy && status.message.is_none(), "{status:?}");
    }
    assert!(told.windows(2).all(|two| two[0].commit != two[1].commit), "{told:?}");
}

#[test]
fn a_repository_that_disappears_is_missed_and_found_again() {
    let origin = Origin::start("one");
    let world = World::with_origin(&origin);
    let (path, away) = (world.config.path(), world.config.folder().join("away.git"));
    std::fs::rename(&path, &away).unwrap();
    world.wait(|status| status.state == State::Degraded && status.message.is_some());
    assert_eq!(world.get("/").status, 200);
    std::fs::rename(&away, &path).unwrap();
    world.wait(|status| status.state == State::Healthy);
    world.apply(&[(ROUTE, Some(route("/back")))]);
    assert_eq!(world.get("/back").status, 200);
}
