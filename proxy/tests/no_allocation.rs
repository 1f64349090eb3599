//! Finding a route allocates nothing, whatever is found and however.

use std::alloc::System;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderMap, HeaderValue, Method};
use refgate_core::document::{Reader, Route, Runtime, Shape};
use refgate_core::name::RouteName;
use refgate_proxy::{Asked, Routes};
use serde_json::{Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn read<T: Shape>(json: &Value) -> T {
    let mut findings = Vec::new();
    T::read(json, &mut Reader::new("a document", &mut findings)).expect("a sound document")
}

fn routes() -> Routes {
    let named = |test: &str| json!([{"name": "x-a", "value": test}]);
    let documents = json!({
        "exact": {"paths": ["/exact"], "methods": ["GET"]},
        "below": {"paths": ["/below/*"]},
        "within": {"paths": ["/with*"]},
        "parameters": {"paths": ["/users/{user}/posts/{post}", "/{a}/{b}/{c}/{d}/*"]},
        "deep": {"paths": ["/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/{x}"]},
        "regex": {"paths": ["~/regex/[a-z]+[0-9]*"]},
        "header": {"paths": ["/header"], "match": {"headers": named("1, 2")}},
        "no-header": {"paths": ["/header"], "match": {"headers": [{"name": "x-b", "present": false}]}},
        "query": {"paths": ["/query"], "match": {"query": [{"name": "a b", "value": "c d"}]}},
        "cookie": {"paths": ["/cookie"], "match": {"cookies": [{"name": "c", "value": "2"}]}},
        "client": {"paths": ["/client"], "match": {"remote_addrs": ["10.0.0.0/8", "127.0.0.0/8"]}},
        "pattern": {"paths": ["/pattern"], "match": {"headers": [{"name": "x-c", "regex": "[0-9]+"}]}},
    });
    let documents: BTreeMap<RouteName, Route> = documents
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, route)| (name.parse().expect("a name"), read(route)))
        .collect();
    let mut routes = Routes::default();
    let hosts = [json!(["a.com"]), json!(["*.b.com"]), json!([])];
    for (n, hosts) in hosts.iter().enumerate() {
        let name = format!("s{n}").parse().expect("a name");
        routes.put(&name, &documents, &read::<Runtime>(&json!({"hosts": hosts})));
    }
    routes
}

#[test]
fn a_match_allocates_nothing() {
    let routes = routes();
    let mut headers = HeaderMap::new();
    for (name, value) in
        [("x-a", "1"), ("x-a", "2"), ("x-c", "12"), ("cookie", "a=1"), ("cookie", "b; c=2")]
    {
        headers.append(name, HeaderValue::from_static(value));
    }
    let paths = [
        ("/exact", true),
        ("/below/x/y", true),
        ("/within/x", true),
        ("/users/7/posts/8", true),
        ("/1/2/3/4/5/6", true),
        ("/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/7", true),
        ("/regex/abc12", true),
        ("/header", true),
        ("/query?z&a+b=c%20d", true),
        ("/query?a%20b=x", false),
        ("/cookie", true),
        ("/client", true),
        ("/pattern", true),
        ("/none", false),
        ("/a/b", false),
    ];
    for host in ["a.com", "x.y.b.com", "b.com", "other"] {
        for (target, is_taken) in paths {
            let (path, query) = match target.split_once('?') {
                Some((path, query)) => (path, Some(query)),
                None => (target, None),
            };
            let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
            let asked =
                Asked { method: &Method::GET, host, path, query, headers: &headers, client };
            // An expression makes room for its work when a thread first uses it, and keeps it.
            assert_eq!(routes.takes(&asked), is_taken, "{host}{target}");
            let region = Region::new(ALLOCATOR);
            let taken = routes.takes(&asked);
            let change = region.change();
            assert_eq!((change.allocations, change.reallocations), (0, 0), "{host}{target}");
            assert_eq!(taken, is_taken);
        }
    }
}
