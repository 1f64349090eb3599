//! Documents, bad and good: what is said about each defect, and what is written.

use std::collections::BTreeMap;

use refgate_core::change::Operation;
use refgate_core::checkout::Checkout;
use refgate_core::diagnostic::Diagnostic;
use refgate_core::document::{Group, Route, Runtime, Shape, canonical_bytes};
use serde_json::{Value, json};

use crate::support::{Fixture, httpbin};

/// Each row: a file, its text, and the findings as `pointer code` in order.
#[test]
fn findings() {
    let route = "services/a/routes/r.json";
    let runtime = "runtime/a.json";
    let nodes = r#"{"upstreams": {"default": {"nodes": [{"host": "a", "port": 80}]}}}"#;
    let balancer =
        |keys: &str| format!(r#"{{"upstreams": {{"default": {{"balancer": {{{keys}}}}}}}}}"#);
    let long = format!(
        r#"{{"paths": ["/a"], "match": {{"headers": [{{"name": "{}", "value": "1"}}]}}}}"#,
        "a".repeat(257)
    );
    let table: &[(&str, &str, &[&str])] = &[
        ("services/a/service.json", "{", &[" malformed_json"]),
        ("services/a/service.json", "[]", &[" wrong_type"]),
        (
            "services/a/service.json",
            r#"{"type": "http", "type": "http"}"#,
            &["/type duplicate_key"],
        ),
        ("services/a/service.json", r#"{"lables": {}}"#, &["/lables unknown_key"]),
        ("services/a/service.json", r#"{"type": "stream"}"#, &["/type bad_value"]),
        ("services/a/service.json", r#"{"labels": {"a": 1}}"#, &["/labels/a wrong_type"]),
        (
            "services/a/service.json",
            r#"{"plugins": {"jwt": {}}}"#,
            &["/plugins/jwt unknown_plugin"],
        ),
        (route, "{}", &["/paths missing_key"]),
        (route, r#"{"paths": []}"#, &["/paths bad_value"]),
        (route, r#"{"paths": "/a"}"#, &["/paths wrong_type"]),
        (route, r#"{"paths": ["/a*/b", "b", "/c"]}"#, &["/paths/0 bad_path", "/paths/1 bad_path"]),
        (route, r#"{"paths": ["/a", "/a"]}"#, &["/paths/1 bad_value"]),
        (route, r#"{"paths": ["/a"], "methods": ["get"]}"#, &["/methods/0 bad_value"]),
        (route, r#"{"paths": ["/a"], "upstream": "A"}"#, &["/upstream bad_name"]),
        (route, r#"{"paths": ["/a"], "upstream": "defualt"}"#, &["/upstream unknown_upstream"]),
        (route, r#"{"paths": ["/a"], "priority": 1.5}"#, &["/priority bad_value"]),
        (route, r#"{"paths": ["/a"], "priority": -1.0}"#, &[]),
        (route, r#"{"paths": ["/a"], "priority": 1e300}"#, &["/priority bad_value"]),
        (
            runtime,
            r#"{"upstreams": {"default": {"nodes": [{"host": "a", "port": 80.0, "weight": 1e2}],
                "retries": 2.0, "checks": {"active": {"port": 8e3}, "panic_threshold": 50.0}}}}"#,
            &[],
        ),
        (route, r#"{"paths": ["/a"], "timeout": {"read": 0}}"#, &["/timeout/read bad_value"]),
        (route, r#"{"paths": ["/a"], "timeout": null}"#, &["/timeout wrong_type"]),
        (
            route,
            r#"{"paths": ["/a"], "timeout": {"read": null}, "methods": null}"#,
            &["/methods wrong_type", "/timeout/read wrong_type"],
        ),
        (route, r#"{"paths": ["~["]}"#, &["/paths/0 bad_regex"]),
        (
            route,
            r#"{"paths": ["/a"], "match": {"headers": [{"name": "x"}]}}"#,
            &["/match/headers/0 bad_value"],
        ),
        (
            route,
            r#"{"paths": ["/a"], "match": {"headers": [{"name": "x", "value": "1", "regex": "2"}]}}"#,
            &["/match/headers/0 bad_value"],
        ),
        (
            route,
            r#"{"paths": ["/a"], "match": {"query": [{"name": "x", "regex": "("}]}}"#,
            &["/match/query/0/regex bad_regex"],
        ),
        (
            route,
            r#"{"paths": ["/a"], "match": {"remote_addrs": ["10.0.0.0/33"]}}"#,
            &["/match/remote_addrs/0 bad_cidr"],
        ),
        (
            route,
            r#"{"paths": ["/a"], "description": "$var://nope"}"#,
            &["/description unresolved_variable"],
        ),
        (route, &long, &["/match/headers/0/name bad_name"]),
        (runtime, r#"{"hosts": ["a:80", "*.b.com"]}"#, &["/hosts/0 bad_host"]),
        (runtime, r#"{"path_prefix": "/a/"}"#, &["/path_prefix bad_path"]),
        (runtime, r#"{"path_prefix": "a"}"#, &["/path_prefix bad_path"]),
        (runtime, r#"{"path_prefix": "/a b"}"#, &["/path_prefix bad_path"]),
        (runtime, r#"{"path_prefix": "/é"}"#, &["/path_prefix bad_path"]),
        (runtime, r#"{"path_prefix": "/a\\b"}"#, &["/path_prefix bad_path"]),
        (runtime, r#"{"path_prefix": "/a/*"}"#, &["/path_prefix bad_path"]),
        (runtime, r#"{"path_prefix": "/{a}"}"#, &["/path_prefix bad_path"]),
        (runtime, r#"{"path_prefix": "/a?b"}"#, &["/path_prefix bad_path"]),
        (runtime, r#"{"path_prefix": "/%C3%A9/a%20b/~!$&'()+,;=:@-._|"}"#, &[]),
        (runtime, r#"{"upstreams": {"U": {}}}"#, &["/upstreams/U bad_name"]),
        (
            runtime,
            r#"{"upstreams": {"default": {"nodes": [{"host": "http://a"}]}}}"#,
            &[
                "/upstreams/default/nodes/0/host bad_host",
                "/upstreams/default/nodes/0/port missing_key",
            ],
        ),
        (
            runtime,
            r#"{"upstreams": {"default": {"nodes": [{"host": "a", "port": 0}]}}}"#,
            &["/upstreams/default/nodes/0/port bad_value"],
        ),
        (
            runtime,
            r#"{"upstreams": {"default": {"pass_host": "rewrite"}}}"#,
            &["/upstreams/default/upstream_host bad_value"],
        ),
        (
            runtime,
            r#"{"upstreams": {"default": {"retry_on": ["404x"]}}}"#,
            &["/upstreams/default/retry_on/0 bad_value"],
        ),
        (
            runtime,
            r#"{"upstreams": {"default": {"retries": null}, "other": null}}"#,
            &["/upstreams/default/retries wrong_type", "/upstreams/other wrong_type"],
        ),
        (
            runtime,
            r#"{"upstreams": {"default": {"tls": {"ca": "-----BEGIN"}}}}"#,
            &["/upstreams/default/tls/ca bad_pem"],
        ),
        (
            runtime,
            r#"{"upstreams": {"default": {"tls": {"ca": "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"}}}}"#,
            &[],
        ),
        (
            runtime,
            r#"{"upstreams": {"default": {"tls": {"ca": "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"}}}}"#,
            &["/upstreams/default/tls/ca inline_secret"],
        ),
        (runtime, &balancer(r#""type": "chash""#), &["/upstreams/default/balancer missing_key"]),
        (
            runtime,
            &balancer(r#""type": "ewma", "hash_on": "uri""#),
            &["/upstreams/default/balancer bad_value"],
        ),
        (
            runtime,
            &balancer(r#""type": "chash", "hash_on": "header""#),
            &["/upstreams/default/balancer/key bad_value"],
        ),
        (
            runtime,
            &balancer(r#""type": "chash", "hash_on": "uri", "key": "k""#),
            &["/upstreams/default/balancer/key bad_value"],
        ),
        (
            runtime,
            &balancer(r#""type": "chash", "hash_on": "consumer", "key": "k""#),
            &["/upstreams/default/balancer/key bad_value"],
        ),
        (
            runtime,
            &balancer(r#""type": "chash", "hash_on": "header", "key": "x user""#),
            &["/upstreams/default/balancer/key bad_name"],
        ),
        (
            runtime,
            &balancer(r#""type": "chash", "hash_on": "cookie", "key": "a;b""#),
            &["/upstreams/default/balancer/key bad_name"],
        ),
        (
            runtime,
            &balancer(r#""type": "chash", "hash_on": "cookie", "key": " a""#),
            &["/upstreams/default/balancer/key bad_name"],
        ),
        (runtime, &balancer(r#""type": "chash", "hash_on": "header", "key": "X-User""#), &[]),
        (runtime, &balancer(r#""type": "chash", "hash_on": "cookie", "key": "user[id]""#), &[]),
        (runtime, &balancer(r#""type": "chash", "hash_on": "query", "key": "a b&é""#), &[]),
        (runtime, &balancer(r#""type": "chash", "hash_on": "consumer""#), &[]),
        ("services/a/routes/R.json", r#"{"paths": ["/a"]}"#, &[" bad_name"]),
        ("services/a/other.json", "{}", &[" unexpected_file"]),
        ("../etc/passwd", "{}", &[" unexpected_file"]),
        ("group.json", r#"{"promotion": {"from": ["Test"]}}"#, &["/promotion/from/0 bad_name"]),
        ("group.json", r#"{"type": "gatway"}"#, &["/type bad_value"]),
        ("group.json", r#"{"variables": {"1": "x"}}"#, &["/variables/1 bad_name"]),
        (
            "group.json",
            r#"{"variables": {"a": "$var://b", "b": "$env://B", "c": 1}}"#,
            &["/variables/a bad_value", "/variables/c wrong_type"],
        ),
        (runtime, nodes, &[]),
    ];
    let f = Fixture::new();
    for (file, text, expected) in table {
        let mut files = BTreeMap::from([
            ("services/a/service.json".to_owned(), json!({})),
            ("runtime/a.json".to_owned(), Value::String(nodes.to_owned())),
        ]);
        files.insert((*file).to_owned(), Value::String((*text).to_owned()));
        let findings = f.repository.validate(None, &files).expect("validated");
        let found: Vec<String> = findings
            .iter()
            .map(|finding| {
                assert_eq!(finding.file, *file, "{text}: {finding}");
                format!("{} {}", finding.pointer, finding.code)
            })
            .collect();
        assert_eq!(found, *expected, "{file} {text}: {findings:#?}");
    }
}

/// Each row: a file with several defects, and the findings as `pointer code`: none hides another, and
/// nothing is said that only follows from another.
#[test]
fn all_findings_of_a_file_at_once() {
    let table: &[(&str, Value, &[&str])] = &[
        (
            "services/a/routes/r.json",
            json!({"paths": ["$var://nope", "a", "/b", "/b"], "methods": ["GET", "get", "GET"],
                "priority": "x", "upstream": "$var://nope", "match": {
                    "headers": [{"name": "a b", "value": 1}, {"name": "", "regex": "("}],
                    "cookies": [{"name": "$var://nope", "value": "1", "present": "no"}]}}),
            &[
                "/match/cookies/0 bad_value",
                "/match/cookies/0/name unresolved_variable",
                "/match/cookies/0/present wrong_type",
                "/match/headers/0/name bad_name",
                "/match/headers/0/value wrong_type",
                "/match/headers/1/name bad_name",
                "/match/headers/1/regex bad_regex",
                "/methods/1 bad_value",
                "/methods/2 bad_value",
                "/paths/0 unresolved_variable",
                "/paths/1 bad_path",
                "/paths/3 bad_value",
                "/priority wrong_type",
                "/upstream unresolved_variable",
            ],
        ),
        ("services/a/routes/r.json", json!({"paths": ["a"]}), &["/paths/0 bad_path"]),
        (
            "services/a/routes/r.json",
            json!({"paths": ["/a"], "match": {"headers": [{"name": "$var://nope", "value": "1"}]}}),
            &["/match/headers/0/name unresolved_variable"],
        ),
        (
            "runtime/a.json",
            json!({"hosts": ["A.com", 1, "a.com", "$var://nope"], "upstreams": {"default": {
                "nodes": [
                    {"host": "$var://nope", "port": 80}, {"host": "$var://nope", "port": 80},
                    {"host": "a", "port": 80}, {"host": "a", "port": "80"}, {"host": "a", "port": 80}],
                "pass_host": "rewrit", "upstream_host": "a b",
                "balancer": {"type": "chsh", "hash_on": "header"},
                "checks": {"passive": {"type": "tpc"}, "panic_threshold": 101},
                "tls": {"verify": 1, "client_certificate": "No"}}}}),
            &[
                "/hosts/1 wrong_type",
                "/hosts/2 bad_value",
                "/hosts/3 unresolved_variable",
                "/upstreams/default/balancer/type bad_value",
                "/upstreams/default/checks/panic_threshold bad_value",
                "/upstreams/default/checks/passive missing_key",
                "/upstreams/default/checks/passive/type bad_value",
                "/upstreams/default/nodes/0/host unresolved_variable",
                "/upstreams/default/nodes/1/host unresolved_variable",
                "/upstreams/default/nodes/3/port wrong_type",
                "/upstreams/default/nodes/4 bad_value",
                "/upstreams/default/pass_host bad_value",
                "/upstreams/default/tls/client_certificate bad_name",
                "/upstreams/default/tls/verify wrong_type",
            ],
        ),
        (
            "runtime/a.json",
            json!({"upstreams": {"default": {"pass_host": "rewrite", "upstream_host": "$var://nope",
                "checks": {"active": {"http_path": "x", "host": "a b", "timeout": 0,
                    "headers": {"a b": "1", "c": 1, "d": "\n"}}}}}}),
            &[
                "/upstreams/default/checks/active/headers/a b bad_name",
                "/upstreams/default/checks/active/headers/c wrong_type",
                "/upstreams/default/checks/active/headers/d bad_value",
                "/upstreams/default/checks/active/host bad_host",
                "/upstreams/default/checks/active/http_path bad_path",
                "/upstreams/default/checks/active/timeout bad_value",
                "/upstreams/default/upstream_host unresolved_variable",
            ],
        ),
        (
            "runtime/a.json",
            json!({"enabled": 1, "upstreams": {"default": {"tls": {"client_certificate": "gone"}}}}),
            &[
                "/enabled wrong_type",
                "/upstreams/default/tls/client_certificate unknown_certificate",
            ],
        ),
        (
            "certificates/a.json",
            json!({"snis": ["a.com", "10.0.0.1", "A.com", "a b"], "certificate": 1}),
            &[
                "/certificate wrong_type",
                "/private_key missing_key",
                "/snis/1 bad_host",
                "/snis/2 bad_value",
                "/snis/3 bad_host",
            ],
        ),
        (
            "consumers/a.json",
            json!({"labels": 1, "credentials": {
                "a": {"type": "basic-auth", "username": "a:b", "password": "secret"},
                "b": {"type": "jwt-auth", "key": 1, "public_key": "$env://KEY"},
                "c": {"type": "jwt-auth", "key": "c", "algorithm": "HS1", "public_key": "x"}}}),
            &[
                "/credentials/a/password inline_secret",
                "/credentials/a/username bad_value",
                "/credentials/b/key wrong_type",
                "/credentials/b/public_key bad_value",
                "/credentials/b/secret missing_key",
                "/credentials/c/algorithm bad_value",
                "/credentials/c/public_key bad_pem",
                "/labels wrong_type",
            ],
        ),
        (
            "group.json",
            json!({"labels": 1, "promotion": {"from": ["validate"], "direct_edits": "no"}}),
            &[
                "/labels wrong_type",
                "/promotion/direct_edits bad_value",
                "/promotion/from bad_value",
            ],
        ),
    ];
    let f = Fixture::new();
    for (file, document, expected) in table {
        let mut files = BTreeMap::from([
            ("services/a/service.json".to_owned(), json!({})),
            ("runtime/a.json".to_owned(), json!({})),
        ]);
        files.insert((*file).to_owned(), document.clone());
        let findings = f.repository.validate(None, &files).expect("validated");
        let told = findings.iter().map(|found| format!("{} {}", found.pointer, found.code));
        assert_eq!(told.collect::<Vec<_>>(), *expected, "{file}: {findings:#?}");
    }
}

/// Each row: a route, a runtime, and the findings as `file pointer code`: what one names and the other
/// lacks is told, whatever else is wrong with either.
#[test]
fn upstreams_that_are_named_and_not_defined() {
    let (route, runtime) = ("services/a/routes/r.json", "runtime/a.json");
    let unknown = format!("{route} /upstream unknown_upstream");
    let sound = r#"{"paths": ["/a"], "upstream": "main"}"#;
    let faulty = r#"{"paths": "/a", "upstream": "main"}"#;
    let paths = format!("{route} /paths wrong_type");
    let hosts = format!("{runtime} /hosts wrong_type");
    let table: &[(&str, &str, &[&str])] = &[
        (sound, r#"{"upstreams": {"default": {}}}"#, &[&unknown]),
        (faulty, r#"{"upstreams": {"default": {}}}"#, &[&paths, &unknown]),
        (faulty, r#"{"upstreams": {"main": {}}}"#, &[&paths]),
        (r#"{"paths": "/a"}"#, r#"{"upstreams": {"main": {}}}"#, &[&paths, &unknown]),
        (sound, r#"{"hosts": 1, "upstreams": {"default": {}}}"#, &[&hosts, &unknown]),
        (sound, r#"{"hosts": 1, "upstreams": {"main": {}}}"#, &[&hosts]),
        (faulty, r#"{"hosts": 1, "upstreams": {"default": {}}}"#, &[&hosts, &paths, &unknown]),
        (faulty, r#"{"hosts": 1, "upstreams": {}}"#, &[&hosts, &paths]),
        (sound, r#"{"hosts": 1}"#, &[&hosts]),
    ];
    let f = Fixture::new();
    for (of_route, of_runtime, expected) in table {
        let text = |text: &str| Value::String(text.to_owned());
        let files = BTreeMap::from([
            ("services/a/service.json".to_owned(), json!({})),
            (route.to_owned(), text(of_route)),
            (runtime.to_owned(), text(of_runtime)),
        ]);
        let findings = f.repository.validate(None, &files).expect("validated");
        let found: Vec<String> = findings
            .iter()
            .filter(|finding| finding.is_error())
            .map(|finding| format!("{} {} {}", finding.file, finding.pointer, finding.code))
            .collect();
        assert_eq!(found, *expected, "{of_route} {of_runtime}");
    }
}

/// Each row: two services' routes and hosts, and the codes that come of them.
#[test]
fn routes_that_tie() {
    let service = |route: Value, hosts: Value| {
        json!({"route": route, "runtime": {"hosts": hosts,
            "upstreams": {"default": {"nodes": [{"host": "a", "port": 80}]}}}})
    };
    let table: &[(Value, Value, Value, Value, &str)] = &[
        (
            json!({"paths": ["/a"]}),
            json!([]),
            json!({"paths": ["/a"]}),
            json!([]),
            "route_conflict",
        ),
        (
            json!({"paths": ["/a/{x}"]}),
            json!([]),
            json!({"paths": ["/a/{y}"]}),
            json!([]),
            "route_conflict",
        ),
        (json!({"paths": ["/a"]}), json!(["h.com"]), json!({"paths": ["/a"]}), json!([]), ""),
        (
            json!({"paths": ["/a"]}),
            json!(["h.com"]),
            json!({"paths": ["/a"]}),
            json!(["H.com"]),
            "route_conflict",
        ),
        (json!({"paths": ["/a"]}), json!([]), json!({"paths": ["/b"]}), json!([]), ""),
        (json!({"paths": ["/a"]}), json!([]), json!({"paths": ["/a/*"]}), json!([]), ""),
        (
            json!({"paths": ["/a"], "methods": ["GET"]}),
            json!([]),
            json!({"paths": ["/a"], "methods": ["PUT"]}),
            json!([]),
            "",
        ),
        (
            json!({"paths": ["/a"], "methods": ["GET"]}),
            json!([]),
            json!({"paths": ["/a"]}),
            json!([]),
            "route_overlap",
        ),
        (
            json!({"paths": ["/a"], "priority": 1}),
            json!([]),
            json!({"paths": ["/a"]}),
            json!([]),
            "route_overlap route_unreachable",
        ),
        (
            json!({"paths": ["/a"], "match": {"cookies": [{"name": "x", "present": true}]}}),
            json!([]),
            json!({"paths": ["/a"], "priority": 1, "match": {"remote_addrs": []}}),
            json!([]),
            "route_overlap route_unreachable",
        ),
        (
            json!({"paths": ["/a"], "priority": 1, "methods": ["GET"]}),
            json!([]),
            json!({"paths": ["/a"]}),
            json!([]),
            "route_overlap",
        ),
        (
            json!({"paths": ["/a"], "priority": 1, "match": {"query": [{"name": "x", "value": "1"}]}}),
            json!([]),
            json!({"paths": ["/a"], "methods": ["GET"]}),
            json!([]),
            "route_overlap",
        ),
        (
            json!({"paths": ["/a"], "priority": 1, "match": {"remote_addrs": ["10.0.0.0/8"]}}),
            json!([]),
            json!({"paths": ["/a"], "methods": ["GET"], "match": {"remote_addrs": ["10.1.0.0/16"]}}),
            json!([]),
            "route_overlap route_unreachable",
        ),
        (
            json!({"paths": ["/a"], "match": {"headers": [{"name": "x", "value": "1"}]}}),
            json!([]),
            json!({"paths": ["/a"], "match": {"headers": [{"name": "X", "value": "2"}]}}),
            json!([]),
            "",
        ),
        (
            json!({"paths": ["/a"], "match": {"headers": [{"name": "x", "value": "1"}]}}),
            json!([]),
            json!({"paths": ["/a"], "match": {"headers": [{"name": "y", "value": "2"}]}}),
            json!([]),
            "route_conflict",
        ),
        (
            json!({"paths": ["/a"], "match": {"query": [{"name": "x", "present": false}]}}),
            json!([]),
            json!({"paths": ["/a"], "match": {"query": [{"name": "x", "regex": ".*"}]}}),
            json!([]),
            "",
        ),
        (
            json!({"paths": ["/a"], "match": {"remote_addrs": ["10.0.0.0/8"]}}),
            json!([]),
            json!({"paths": ["/a"], "match": {"remote_addrs": ["10.1.0.0/16"]}}),
            json!([]),
            "route_conflict",
        ),
        (
            json!({"paths": ["/a"], "match": {"remote_addrs": ["10.0.0.0/8"]}}),
            json!([]),
            json!({"paths": ["/a"], "match": {"remote_addrs": ["11.0.0.0/8"]}}),
            json!([]),
            "",
        ),
        (
            json!({"paths": ["~/a.*"]}),
            json!([]),
            json!({"paths": ["~/a.*"]}),
            json!([]),
            "route_conflict",
        ),
        (
            json!({"paths": ["~/a.*"]}),
            json!([]),
            json!({"paths": ["~/b.*"]}),
            json!([]),
            "route_overlap",
        ),
        (
            json!({"paths": ["/a"], "enabled": false}),
            json!([]),
            json!({"paths": ["/a"]}),
            json!([]),
            "",
        ),
    ];
    let f = Fixture::new();
    for (one, one_hosts, two, two_hosts, expected) in table {
        let mut files = BTreeMap::new();
        for (name, made) in [
            ("a", service(one.clone(), one_hosts.clone())),
            ("b", service(two.clone(), two_hosts.clone())),
        ] {
            files.insert(format!("services/{name}/service.json"), json!({}));
            files.insert(format!("services/{name}/routes/r.json"), made["route"].clone());
            files.insert(format!("runtime/{name}.json"), made["runtime"].clone());
        }
        let findings = f.repository.validate(None, &files).expect("validated");
        let codes: Vec<&str> = findings.iter().map(|finding| finding.code.as_str()).collect();
        let expected: Vec<&str> = expected.split_whitespace().collect();
        assert_eq!(codes, expected, "{one} {two}");
        for finding in &findings {
            assert!(
                finding.message.contains("a/r") && finding.message.contains("b/r"),
                "{finding}"
            );
        }
    }
}

/// Each row: a path, and the entry that is told with its code: the same of files that are given by
/// their paths and of a tree that has them.
#[test]
fn names_and_places_are_told_alike_by_path_and_in_a_tree() {
    let table = [
        ("services/Bad/service.json", "services/Bad bad_name"),
        ("services/Bad/routes/R.json", "services/Bad bad_name"),
        ("services/a/routes/R.json", "services/a/routes/R.json bad_name"),
        ("services/a/routes/-.json", "services/a/routes/-.json bad_name"),
        ("runtime/A_b.json", "runtime/A_b.json bad_name"),
        ("consumers/a b.json", "consumers/a b.json bad_name"),
        ("certificates/A.json", "certificates/A.json bad_name"),
        ("global-rules/.json", "global-rules/.json bad_name"),
        ("schema/a b.json", "schema/a b.json bad_name"),
        ("services/a/routes/r.yaml", "services/a/routes/r.yaml unexpected_file"),
        ("services/a/other.json", "services/a/other.json unexpected_file"),
        ("runtime/a", "runtime/a unexpected_file"),
        ("notes.txt", "notes.txt unexpected_file"),
    ];
    let f = Fixture::new();
    for (path, expected) in table {
        let told = |findings: Vec<Diagnostic>| {
            let told = findings.into_iter().filter(Diagnostic::is_error);
            told.map(|one| format!("{} {}", one.file, one.code)).collect::<Vec<_>>()
        };
        let files = BTreeMap::from([
            ("services/a/service.json".to_owned(), json!({})),
            (path.to_owned(), json!({"paths": ["/a"]})),
        ]);
        let folder = tempfile::tempdir().expect("a folder");
        for (path, document) in &files {
            let file = folder.path().join(path);
            std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
            std::fs::write(file, document.to_string()).expect("written");
        }
        let by_path = f.repository.validate(None, &files).expect("validated");
        assert_eq!(told(by_path), [expected], "{path}");
        let checkout = Checkout::read(folder.path()).expect("read");
        assert_eq!(told(checkout.validate(None).expect("validated")), [expected], "{path}");
        let operation = Operation::Commit { files, message: None };
        let refused = f.apply("test", operation).expect_err("refused");
        assert_eq!(told(refused.diagnostics().to_vec()), [expected], "{path}");
    }
    let files = ["service.json", "routes/r.json", "routes/s.json"];
    let files = files.map(|file| (format!("services/Bad/{file}"), json!({})));
    let findings = f.repository.validate(None, &BTreeMap::from(files)).expect("validated");
    assert_eq!(findings.len(), 1, "the name is told once: {findings:?}");
}

/// What the contract has and this version has not is told as that, not as a slip of the keyboard.
#[test]
fn stream_services_are_not_served() {
    let scheme = |scheme: &str| json!({"upstreams": {"default": {"scheme": scheme}}});
    let table = [
        ("services/a/service.json", json!({"type": "stream"}), "stream services", "http"),
        ("runtime/a.json", scheme("tcp"), "stream services", "http, https, h2c, grpc, grpcs"),
        ("runtime/a.json", scheme("tls"), "stream services", "http, https, h2c, grpc, grpcs"),
        ("runtime/a.json", scheme("udp"), "stream services", "http, https, h2c, grpc, grpcs"),
        ("runtime/a.json", scheme("htp"), "\"htp\" is not known", "did you mean \"http\"?"),
    ];
    let f = Fixture::new();
    for (file, document, message, hint) in table {
        let mut files = BTreeMap::from([("services/a/service.json".to_owned(), json!({}))]);
        files.insert(file.to_owned(), document);
        let findings = f.repository.validate(None, &files).expect("validated");
        let [finding] = &findings[..] else { unreachable!("one finding: {findings:?}") };
        assert!(finding.message.starts_with(message), "{finding}");
        let told = finding.hint.as_deref().unwrap_or_default();
        assert!(told == hint || told == format!("it serves {hint}"), "{finding}");
    }
}

/// What a group refuses in requests no route of it can wait for, however it comes there.
#[test]
fn encoded_slashes_are_for_groups_that_keep_them() {
    let f = Fixture::new();
    let keep = |group: &str, slashes: &str| {
        let patch = json!({"http": {"encoded_slashes": slashes}});
        f.apply(group, Operation::PatchGroup { patch })
    };
    let told = |refused: refgate_core::Error| {
        let told = refused.diagnostics().iter();
        told.map(|one| format!("{} {} {}", one.file, one.pointer, one.code)).collect::<Vec<_>>()
    };
    let path = "services/httpbin/routes/get-headers.json /paths/1 bad_path".to_owned();
    let prefix = "runtime/httpbin.json /path_prefix bad_path".to_owned();
    let mut service = httpbin();
    service["routes"]["get-headers"]["paths"] = json!(["/a", "/a%2Fb", "~/a%2Fb"]);
    service["runtime"]["path_prefix"] = json!("/x%2Fy");
    let refused = f.put("test", "httpbin", service.clone()).expect_err("refused");
    assert_eq!(told(refused), [prefix.clone(), path.clone()]);

    keep("test", "keep").expect("kept");
    f.put("test", "httpbin", service).expect("taken");
    assert_eq!(f.service("test", "httpbin")["live"], json!(true));
    let refused = f.sync("httpbin", "test", "uat", Some("1.0.0")).expect_err("uat refuses them");
    assert_eq!(told(refused), std::slice::from_ref(&path));
    keep("uat", "keep").expect("kept");
    f.sync("httpbin", "test", "uat", Some("1.0.0")).expect("synced");
    let refused = keep("test", "reject").expect_err("it has some");
    assert_eq!(told(refused), [prefix, path]);
    f.patch("test", "httpbin", json!({"runtime": {"path_prefix": null}, "routes": null}))
        .expect("patched");
    keep("test", "reject").expect("none is left");
}

/// A null takes a key away in a patch, and is nothing that a key can be.
#[test]
fn null_is_for_patches() {
    let f = Fixture::new();
    let mut service = httpbin();
    service["routes"]["get-headers"]["timeout"] = json!({"read": 5});
    service["runtime"]["upstreams"]["default"]["retries"] = json!(2);
    f.put("test", "httpbin", service.clone()).expect("put");
    let patch = json!({
        "routes": {"get-headers": {"timeout": null, "priority": null}},
        "runtime": {"upstreams": {"default": {"retries": null}}}
    });
    assert!(f.patch("test", "httpbin", patch).expect("patched").changed);
    assert!(!f.put("test", "httpbin", httpbin()).expect("put").changed, "it is as if never there");

    let table = [
        ("/routes/get-headers/timeout", "services/httpbin/routes/get-headers.json /timeout"),
        ("/runtime/upstreams/default/retries", "runtime/httpbin.json /upstreams/default/retries"),
        ("/routes/get-headers", "services/httpbin/routes/get-headers.json "),
        ("/routes", "services/httpbin/service.json /routes"),
        ("/runtime", "runtime/httpbin.json "),
    ];
    for (pointer, place) in table {
        let mut with_null = service.clone();
        *with_null.pointer_mut(pointer).expect(pointer) = Value::Null;
        let refused = f.put("test", "httpbin", with_null).expect_err("refused");
        let told = refused.diagnostics().iter();
        let told: Vec<_> =
            told.map(|one| format!("{} {} {}", one.file, one.pointer, one.code)).collect();
        assert_eq!(told, [format!("{place} wrong_type")], "{refused}");
    }
}

/// What is written is canonical: keys in schema order, no defaults; and stays so.
#[test]
fn canonical_form() {
    let written = json!({"upstreams": {"default": {"scheme": "http", "nodes": [{"port": 80, "host": "A",
        "weight": 100}], "timeout": {"read": 5.0, "connect": 6}}}, "hosts": ["Test.Acme.com"], "enabled": true});
    let expected = "{\n  \"hosts\": [\n    \"test.acme.com\"\n  ],\n  \"upstreams\": {\n    \"default\": {\n      \
        \"nodes\": [\n        {\n          \"host\": \"A\",\n          \"port\": 80\n        }\n      ],\n      \
        \"timeout\": {\n        \"read\": 5\n      }\n    }\n  }\n}\n";
    assert_eq!(String::from_utf8_lossy(&canonical_bytes::<Runtime>(&written)), expected);
    let whole = json!({"upstreams": {"default": {"nodes": [{"host": "a", "port": 80.0, "weight": 1e2,
        "priority": -2.0}], "retries": 1.0, "checks": {"active": {"healthy": {"successes": 2.0,
        "http_statuses": [200.0]}}, "panic_threshold": 50.0}}}});
    let written = json!({"upstreams": {"default": {"nodes": [{"host": "a", "port": 80, "priority": -2}],
        "retries": 1, "checks": {"active": {"healthy": {"http_statuses": [200]}}}}}});
    assert_eq!(Runtime::canonical(&whole), written);
    assert_eq!(Runtime::expand(&whole), Runtime::expand(&written));
    let table = [
        json!({"paths": ["/a"]}),
        json!({"match": {"headers": [{"value": "1", "name": "x"}]}, "paths": ["/a"], "priority": 3}),
    ];
    for route in table {
        let canonical = Route::canonical(&route);
        assert_eq!(Route::canonical(&Route::expand(&canonical)), canonical);
        assert_eq!(Route::expand(&canonical), Route::expand(&route));
    }
    assert_eq!(Group::canonical(&Group::expand(&json!({}))), json!({}));
}
