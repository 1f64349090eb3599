//! The index says what the plain scan says: on random tables and requests, and after any changes.
//!
//! The law itself is [`history`]; here are the histories that it is tried on. `proxy/fuzz` makes others.

mod history;

use std::collections::BTreeSet;

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use refgate_core::name::ServiceName;
use serde_json::{Value, json};

use self::history::{History, Sent};
use super::routes::Answer;

/// Few letters, so that patterns and requests meet: texts that continue each other, parameters
/// beside text, wildcards after a slash and within a segment, all below each other.
fn pattern() -> impl Strategy<Value = String> {
    let segment = || select(vec!["a", "b", "ab", "aab", "{x}", "{y}"]);
    let text = || select(vec!["a", "b", "ab", "aab"]);
    let body = |segments: Vec<&str>| {
        let mut names = 0;
        segments.iter().fold(String::new(), |path, segment| match *segment {
            "{x}" | "{y}" => {
                names += 1;
                format!("{path}/{}{names}}}", &segment[..2])
            }
            text => format!("{path}/{text}"),
        })
    };
    let end = select(vec!["", "", "/", "/*"]);
    prop_oneof![
        8 => (vec(segment(), 1..5), end.clone()).prop_map(move |(segments, end)| body(segments) + end),
        4 => (vec(text(), 1..4), select(vec!["*", "a*", "/a*"])).prop_map(move |(segments, end)| body(segments) + end),
        1 => (8..24_usize, select(vec!["", "/*", "/{x}", "*", "/{x}/a"]))
            .prop_map(|(depth, end)| "/a".repeat(depth) + end),
        2 => select(vec!["/", "/*", "/a*", "/{x}", "/{x}/*"]).prop_map(str::to_owned),
        2 => select(vec!["~/a.*", "~/[ab]+", "~/a/[^/]+", "~.*", "~/(a|ab)/.*", "~/b?", "~/[ab]+/.*", "~"])
            .prop_map(str::to_owned),
    ]
}

fn conditions() -> impl Strategy<Value = Value> {
    let header = select(vec![
        json!({"name": "x-a", "value": "1"}),
        json!({"name": "x-a", "present": true}),
        json!({"name": "x-a", "present": false}),
        json!({"name": "X-B", "regex": "[0-9]+"}),
    ]);
    let query =
        select(vec![json!({"name": "q", "value": "1"}), json!({"name": "q", "present": true})]);
    let cookie =
        select(vec![json!({"name": "c", "value": "1"}), json!({"name": "c", "regex": ".*"})]);
    let blocks = select(vec!["10.0.0.0/8", "2001:db8::/32"]);
    (vec(header, 0..2), vec(query, 0..2), vec(cookie, 0..2), vec(blocks, 0..2)).prop_map(
        |(headers, query, cookies, remote_addrs)| {
            json!({"headers": headers, "query": query, "cookies": cookies, "remote_addrs": remote_addrs})
        },
    )
}

fn route() -> impl Strategy<Value = Value> {
    let methods = prop_oneof![
        2 => Just(vec![]),
        3 => proptest::sample::subsequence(vec!["GET", "POST", "PUT", "PURGE"], 1..3),
    ];
    let conditions = prop_oneof![2 => Just(json!({})), 1 => conditions()];
    // A route has each path once.
    let paths = vec(pattern(), 1..5).prop_map(|paths| paths.into_iter().collect::<BTreeSet<_>>());
    (paths, methods, -1..2, conditions, prop::bool::weighted(0.95)).prop_map(
        |(paths, methods, priority, conditions, enabled)| {
            json!({"paths": paths, "methods": methods, "priority": priority, "match": conditions, "enabled": enabled})
        },
    )
}

const HOSTS: [&str; 8] =
    ["a.com", "*.com", "*.a.com", "*.b.a.com", "b.a.com", "c.b.a.com", "[::1]", "*.b"];

/// Hosts, path prefix and routes of a service.
fn service() -> impl Strategy<Value = Value> {
    let hosts = prop_oneof![
        1 => Just(vec![]),
        1 => proptest::sample::subsequence(HOSTS.to_vec(), 1..4),
    ];
    let prefix = select(vec!["", "", "", "/a", "/a/b", "/ab", "/%C3%A9"]);
    (hosts, prefix, vec(route(), 1..7)).prop_map(|(hosts, path_prefix, routes)| {
        let runtime = json!({"hosts": hosts, "path_prefix": path_prefix});
        json!({"runtime": runtime, "routes": routes})
    })
}

fn sent() -> impl Strategy<Value = Sent> {
    let host = prop_oneof![
        6 => select(vec!["a.com", "x.com", "b.a.com", "x.a.com", "x.y.a.com", "c.b.a.com", "x.b.a.com", "[::1]", "org"])
            .prop_map(str::to_owned),
        1 => "[ab.]{0,6}(\\.com|\\.a\\.com|)",
        1 => Just("x.".repeat(200) + "a.com"),
    ];
    let path = prop_oneof![
        6 => vec(select(vec!["a", "b", "ab", "a", "b", "aab", "x", "%C3%A9", "aa"]), 1..5)
            .prop_map(|segments| segments.iter().fold(String::new(), |path, segment| path + "/" + segment)),
        2 => "(/[ab]{0,2}){0,5}/?".prop_map(|path: String| format!("/{}", path.trim_start_matches('/'))),
        1 => (7..26_usize, select(vec!["", "/", "/x", "b", "/a/b"]))
            .prop_map(|(depth, end)| "/a".repeat(depth) + end),
    ];
    let path = (path, select(vec!["", "", "/"])).prop_map(|(path, end)| path + end);
    let method = select(vec!["GET", "GET", "POST", "PUT", "PURGE", "BREW"]);
    let query = proptest::option::of(select(vec!["q=1", "q=2", "q", "p=1&q=1", "%71=1"]));
    let header = select(vec![
        ("x-a", "1"),
        ("x-a", "2"),
        ("x-b", "12"),
        ("cookie", "c=1"),
        ("cookie", "b; c=2"),
    ]);
    let client = select(vec!["10.1.2.3", "2001:db8::1", "192.0.2.1"]);
    (method, host, path, query, vec(header, 0..3), client).prop_map(
        |(method, host, path, query, fields, client)| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            Sent {
                method: method.parse().unwrap(),
                host,
                path,
                query: query.map(str::to_owned),
                headers,
                client: client.parse().unwrap(),
            }
        },
    )
}

/// A service changes: put or taken out.
fn change() -> impl Strategy<Value = (usize, Option<Value>)> {
    (0..6_usize, prop_oneof![4 => service().prop_map(Some), 1 => Just(None)])
}

fn apply(history: &mut History, (number, service): &(usize, Option<Value>)) {
    let name: ServiceName = format!("s{number}").parse().unwrap();
    match service {
        Some(service) => assert!(history.put(&name, service), "{service}"),
        None => history.take(&name),
    }
}

fn changes_and_requests() -> impl Strategy<Value = (Vec<(usize, Option<Value>)>, Vec<Sent>)> {
    (vec(change(), 1..12), vec(sent(), 32))
}

proptest! {
    #![proptest_config(Config { cases: 200, ..Config::default() })]

    #[test]
    fn index_and_scan_agree((changes, sent) in changes_and_requests()) {
        let mut history = History::default();
        for change in &changes {
            apply(&mut history, change);
        }
        history.holds(&sent).map_err(TestCaseError::fail)?;
    }
}

/// The law is about something: its requests meet routes, other methods, and nothing.
#[test]
fn requests_of_the_law_meet_routes() {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let (mut found, mut other_method, mut none) = (0, 0, 0);
    for _ in 0..100 {
        let (changes, sent) = changes_and_requests().new_tree(&mut runner).unwrap().current();
        let mut history = History::default();
        for change in &changes {
            apply(&mut history, change);
        }
        for sent in &sent {
            match history.last().find(&sent.asked()) {
                Answer::To(..) => found += 1,
                Answer::MethodNotAllowed(_) => other_method += 1,
                Answer::NotFound => none += 1,
            }
        }
    }
    assert!(found > 600 && other_method > 200 && none > 600, "{found} {other_method} {none}");
}
