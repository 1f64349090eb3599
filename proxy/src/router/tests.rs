//! The routing rules of docs/configuration.md, one table each, from documents to decisions.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use refgate_core::document::{self, Reader, Shape};
use serde_json::{Value, json};

use super::method::RequestMethod;
use super::predicate::Request;
use super::{Routed, Router};
use crate::certificate::Certificates;
use crate::metrics::Metrics;
use crate::snapshot::Route;
use crate::snapshot::compile::{Means, Parts};
use crate::upstream::checks::Registry;

/// A router over `{"service": {"runtime": {…}, "routes": {"route": {…}}}}`. An upstream is put in
/// where the runtime has none; `"live": false` on a service is what core would have found.
fn router(services: &Value) -> Router<Route> {
    let mut router = Router::default();
    for (name, service) in services.as_object().unwrap() {
        let mut findings = Vec::new();
        let mut runtime = service["runtime"].clone();
        if runtime.is_null() {
            runtime = json!({});
        }
        runtime["upstreams"] = json!({"default": {"nodes": [{"host": "127.0.0.1", "port": 80}]}});
        let runtime = document::Runtime::read(&runtime, &mut Reader::new(name, &mut findings));
        let routes: BTreeMap<_, _> = service["routes"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(route, json)| {
                let read = document::Route::read(json, &mut Reader::new(route, &mut findings));
                (route.parse().unwrap(), read.unwrap_or_else(|| panic!("{findings:?}")))
            })
            .collect();
        let runtime = runtime.unwrap();
        let name = name.parse().unwrap();
        let live = service["live"].as_bool().unwrap_or(true);
        let parts = Parts { name: &name, routes: &routes, runtime: &runtime, live };
        let (metrics, checks) = (Metrics::default(), Registry::default());
        let certificates = Certificates::default();
        let resolver = &std::sync::Arc::default();
        let certificates = &certificates;
        let means = Means { metrics: &metrics, checks: &checks, certificates, resolver };
        let compiled = parts.compile(None, means, &mut findings);
        assert_eq!(findings, []);
        for candidate in compiled.unwrap().routes.values().flat_map(|route| route.iter()) {
            router.insert(candidate);
        }
    }
    router
}

/// Asks `GET host/path?query | Header: value | from 10.0.0.1`; the answer is `service/route`,
/// `404`, or `405` with what `Allow` says.
fn ask(router: &Router<Route>, request: &str) -> String {
    let mut parts = request.split(" | ");
    let (method, target) = parts.next().unwrap().split_once(' ').unwrap();
    let slash = target.find('/').unwrap();
    let (host, origin) = target.split_at(slash);
    let (path, query) = match origin.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (origin, None),
    };
    let mut headers = HeaderMap::new();
    let mut client = "192.0.2.1";
    for part in parts {
        if let Some(address) = part.strip_prefix("from ") {
            client = address;
        } else {
            let (name, value) = part.split_once(": ").unwrap();
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
    }
    let method = RequestMethod::of(&method.parse().unwrap());
    let client = client.parse().unwrap();
    match router.find(&Request { host, path, query, method, headers: &headers, client }) {
        Routed::To(candidate) => {
            let rule = candidate.rule();
            format!("{}/{}", rule.service, rule.name)
        }
        Routed::MethodNotAllowed(allowed) => {
            format!("405 {}", allowed.allow().unwrap().to_str().unwrap())
        }
        Routed::NotFound => "404".to_owned(),
    }
}

fn check(services: &Value, requests: &[(&str, &str)]) {
    let router = router(services);
    for (request, answer) in requests {
        assert_eq!(ask(&router, request), *answer, "{request}");
    }
}

/// One service `s` on any host with these routes.
fn check_routes(routes: Value, requests: &[(&str, &str)]) {
    check(&json!({"s": {"routes": routes}}), requests);
}

#[test]
fn rule_1_hosts() {
    let service =
        |hosts: Value| json!({"runtime": {"hosts": hosts}, "routes": {"r": {"paths": ["/*"]}}});
    check(
        &json!({
            "any": service(json!([])),
            "wild": service(json!(["*.acme.com"])),
            "longer": service(json!(["*.eu.acme.com"])),
            "exact": service(json!(["api.eu.acme.com", "acme.com"])),
        }),
        &[
            ("GET api.eu.acme.com/", "exact/r"),
            ("GET x.eu.acme.com/", "longer/r"),
            ("GET a.b.eu.acme.com/", "longer/r"),
            ("GET eu.acme.com/", "wild/r"),
            ("GET www.acme.com/", "wild/r"),
            ("GET acme.com/", "exact/r"),
            ("GET notacme.com/", "any/r"),
            ("GET other.org/", "any/r"),
            ("GET /", "any/r"),
        ],
    );
}

#[test]
fn rule_1_comes_before_rule_2() {
    check(
        &json!({
            "exact": {"runtime": {"hosts": ["a.com"]}, "routes": {"r": {"paths": ["/*"]}}},
            "any": {"routes": {"r": {"paths": ["/x"]}}},
        }),
        &[("GET a.com/x", "exact/r"), ("GET b.com/x", "any/r"), ("GET b.com/y", "404")],
    );
}

#[test]
fn rule_2_patterns() {
    check_routes(
        json!({
            "exact": {"paths": ["/a"]},
            "below": {"paths": ["/a/*"]},
            "begins": {"paths": ["/a*"]},
            "parameter": {"paths": ["/a/{x}"]},
            "literal-then-parameter": {"paths": ["/a/b/{y}"]},
            "parameter-then-literal": {"paths": ["/a/{x}/c"]},
            "parameter-then-all": {"paths": ["/a/{x}/*"]},
            "deep": {"paths": ["/a/b/c"]},
            "regex": {"paths": ["~/a/.*", "~/z[0-9]+"]},
            "all": {"paths": ["/*"]},
        }),
        &[
            ("GET /a", "s/exact"),
            ("GET /a/", "s/below"),
            ("GET /a/b", "s/parameter"),
            ("GET /a/b/c", "s/deep"),
            ("GET /a/b/d", "s/literal-then-parameter"),
            ("GET /a/x/c", "s/parameter-then-literal"),
            ("GET /a/x/d", "s/parameter-then-all"),
            ("GET /a/x/d/e", "s/parameter-then-all"),
            ("GET /ab", "s/begins"),
            ("GET /b", "s/all"),
            ("GET /z7", "s/all"),
        ],
    );
}

#[test]
fn rule_2_regular_expressions_come_last() {
    check_routes(
        json!({
            "regex": {"paths": ["~/a/[a-z]+"], "priority": 100},
            "prefix": {"paths": ["/a/b*"]},
        }),
        &[
            ("GET /a/bc", "s/prefix"),
            ("GET /a/xy", "s/regex"),
            ("GET /a/xy/", "404"),
            ("GET /a/1", "404"),
        ],
    );
}

#[test]
fn rule_3_priority_only_within_a_pattern() {
    check_routes(
        json!({
            "low": {"paths": ["/a/{x}"], "methods": ["GET"]},
            "high": {"paths": ["/a/{y}"], "priority": 1},
            "shorter": {"paths": ["/a/*"], "priority": 100},
        }),
        &[("GET /a/b", "s/high"), ("GET /a/", "s/shorter")],
    );
}

#[test]
fn rule_3_priority_decides_between_regular_expressions() {
    check_routes(
        json!({
            "long": {"paths": ["~/abcdef|/[a-z]+"]},
            "short": {"paths": ["~/[a-z]+"], "priority": 1},
        }),
        &[("GET /xyz", "s/short")],
    );
}

#[test]
fn rule_4_named_methods() {
    check_routes(
        json!({
            "open": {"paths": ["/a"], "match": {"headers": [{"name": "x", "present": true}]}},
            "get": {"paths": ["/a"], "methods": ["GET"]},
        }),
        &[("GET /a | x: 1", "s/get"), ("POST /a | x: 1", "s/open"), ("POST /a", "405 GET")],
    );
}

#[test]
fn rule_5_more_predicates() {
    let headers = |count: usize| {
        let named = |index| json!({"name": format!("x-{index}"), "present": true});
        json!({"headers": (0..count).map(named).collect::<Vec<_>>()})
    };
    check_routes(
        json!({
            "none": {"paths": ["/a"]},
            "one": {"paths": ["/a"], "match": headers(1)},
            "two": {"paths": ["/a"], "match": headers(2)},
            "three": {"paths": ["/a"], "match": {
                "headers": [{"name": "x-0", "present": true}],
                "query": [{"name": "q", "value": "1"}],
                "remote_addrs": ["10.0.0.0/8", "192.0.2.0/24"],
            }},
        }),
        &[
            ("GET /a", "s/none"),
            ("GET /a | x-0: 1", "s/one"),
            ("GET /a | x-0: 1 | x-1: 1", "s/two"),
            ("GET /a?q=1 | x-0: 1 | x-1: 1", "s/three"),
            ("GET /a?q=1 | x-0: 1 | x-1: 1 | from 198.51.100.1", "s/two"),
        ],
    );
}

#[test]
fn rule_6_longer_expression_then_names() {
    check(
        &json!({
            "b": {"routes": {"r": {"paths": ["~/[a-z]+"]}, "q": {"paths": ["~/[a-z]*"]}}},
            "a": {"routes": {"r": {"paths": ["~/[a-z]+"]}}},
            "c": {"routes": {"long": {"paths": ["~/[a-c][a-z]*"]}}},
        }),
        &[("GET /abc", "c/long"), ("GET /xyz", "a/r"), ("GET /", "b/q")],
    );
}

#[test]
fn the_next_candidate_is_asked_when_the_best_fails() {
    check(
        &json!({
            "exact": {"runtime": {"hosts": ["a.com"]}, "routes": {
                "canary": {"paths": ["/x"], "match": {"headers": [{"name": "x-canary", "value": "1"}]}},
                "post": {"paths": ["/x"], "methods": ["POST"]},
            }},
            "wild": {"runtime": {"hosts": ["*.com"]}, "routes": {
                "get": {"paths": ["/x"], "methods": ["GET"]},
            }},
            "any": {"routes": {"all": {"paths": ["/*"], "methods": ["PUT"]}}},
        }),
        &[
            ("GET a.com/x | x-canary: 1", "exact/canary"),
            ("POST a.com/x", "exact/post"),
            ("GET a.com/x", "wild/get"),
            ("PUT a.com/x", "any/all"),
            ("DELETE a.com/x", "405 GET, POST, PUT"),
            ("DELETE a.com/y", "405 PUT"),
            ("BREW a.com/x", "405 GET, POST, PUT"),
        ],
    );
}

#[test]
fn what_fails_for_more_than_its_method_allows_nothing() {
    check_routes(
        json!({
            "r": {"paths": ["/a"], "methods": ["GET"], "match": {"query": [{"name": "q", "value": "1"}]}},
        }),
        &[("POST /a?q=1", "405 GET"), ("POST /a?q=2", "404"), ("GET /a", "404")],
    );
}

#[test]
fn get_does_not_imply_head_and_open_routes_take_every_method() {
    check_routes(
        json!({"get": {"paths": ["/a"], "methods": ["GET"]}, "open": {"paths": ["/b"]}}),
        &[
            ("HEAD /a", "405 GET"),
            ("HEAD /b", "s/open"),
            ("BREW /b", "s/open"),
            ("get /b", "s/open"),
            ("get /a", "405 GET"),
        ],
    );
}

#[test]
fn predicates_on_headers() {
    let value = |value: &str| json!([{"name": "X-A", "value": value}]);
    let on = |path: &str, headers: Value| json!({"paths": [path], "match": {"headers": headers}});
    check_routes(
        json!({
            "value": on("/value", value("1")),
            "list": on("/list", value("1, 2")),
            "regex": on("/regex", json!([{"name": "x-a", "regex": "[0-9]+"}])),
            "present": on("/present", json!([{"name": "x-a", "present": true}])),
            "absent": on("/absent", json!([{"name": "x-a", "present": false}])),
            "both": on("/both", json!([{"name": "x-a", "value": "1"}, {"name": "x-b", "value": "2"}])),
        }),
        &[
            ("GET /value | x-a: 1", "s/value"),
            ("GET /value | x-a: 1 | x-a: 2", "404"),
            ("GET /list | x-a: 1 | x-a: 2", "s/list"),
            ("GET /regex | x-a: 12", "s/regex"),
            ("GET /regex | x-a: 12b", "404"),
            ("GET /present | x-a: ", "s/present"),
            ("GET /present", "404"),
            ("GET /absent", "s/absent"),
            ("GET /absent | x-a: ", "404"),
            ("GET /both | x-a: 1 | x-b: 2", "s/both"),
            ("GET /both | x-a: 1", "404"),
        ],
    );
}

#[test]
fn predicates_on_queries_cookies_and_addresses() {
    check_routes(
        json!({
            "query": {"paths": ["/query"], "match": {"query": [{"name": "a b", "value": "c d"}]}},
            "empty": {"paths": ["/empty"], "match": {"query": [{"name": "k", "value": ""}]}},
            "cookie": {"paths": ["/cookie"], "match": {"cookies": [{"name": "c", "value": "%20"}]}},
            "address": {"paths": ["/address"], "match": {"remote_addrs": ["10.0.0.0/8", "2001:db8::/32"]}},
        }),
        &[
            ("GET /query?a+b=c%20d", "s/query"),
            ("GET /query?a%20b=c+d&a+b=x", "s/query"),
            ("GET /query?a+b=x&a+b=c+d", "404"),
            ("GET /empty?k", "s/empty"),
            ("GET /empty?k=", "s/empty"),
            ("GET /empty", "404"),
            ("GET /cookie | Cookie: a=1 | Cookie: c=%20", "s/cookie"),
            ("GET /cookie | Cookie: c=+", "404"),
            ("GET /cookie | Cookie: C=%20", "404"),
            ("GET /address | from 10.1.2.3", "s/address"),
            ("GET /address | from 2001:db8::1", "s/address"),
            ("GET /address | from 192.0.2.1", "404"),
        ],
    );
}

#[test]
fn path_prefixes_rank_as_part_of_the_path() {
    check(
        &json!({
            "api": {"runtime": {"path_prefix": "/api"}, "routes": {
                "root": {"paths": ["/"]},
                "below": {"paths": ["/*"]},
                "regex": {"paths": ["~/v[0-9]+/.*"]},
            }},
            "plain": {"routes": {"users": {"paths": ["/api/users"]}, "all": {"paths": ["/{first}/*"]}}},
        }),
        &[
            ("GET /api", "api/root"),
            ("GET /api/", "api/root"),
            ("GET /api/x", "api/below"),
            ("GET /api/users", "plain/users"),
            ("GET /api/v1/x", "api/below"),
            ("GET /other/x", "plain/all"),
            ("GET /apix", "404"),
        ],
    );
}

#[test]
fn stripped_prefixes() {
    let router = router(&json!({
        "strip": {"runtime": {"path_prefix": "/api"}, "routes": {"r": {"paths": ["/", "/*"]}}},
        "keep": {"runtime": {"path_prefix": "/raw", "strip_path_prefix": false},
                 "routes": {"r": {"paths": ["/*"]}}},
        "regex": {"runtime": {"path_prefix": "/re"}, "routes": {"r": {"paths": ["~.*"]}}},
    }));
    let method = RequestMethod::of(&http::Method::GET);
    let headers = HeaderMap::new();
    let client = "192.0.2.1".parse().unwrap();
    for (path, forwarded) in [
        ("/api", "/"),
        ("/api/", "/"),
        ("/api/x/y", "/x/y"),
        ("/raw/x", "/raw/x"),
        ("/re", "/"),
        ("/re/x", "/x"),
        ("/rex@y", "/x@y"),
    ] {
        let request = Request { host: "", path, query: None, method, headers: &headers, client };
        let Routed::To(candidate) = router.find(&request) else { panic!("{path}") };
        assert_eq!(candidate.route.forwarded(path), forwarded);
    }
}

#[test]
fn services_that_are_not_live_shadow_nobody() {
    check(
        &json!({
            "dead": {"live": false, "routes": {"r": {"paths": ["/a"]}}},
            "live": {"routes": {"off": {"paths": ["/a"], "enabled": false}, "on": {"paths": ["/*"]}}},
        }),
        &[("GET /a", "live/on")],
    );
}
