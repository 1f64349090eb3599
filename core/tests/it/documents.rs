//! Documents, bad and good: what is said about each defect, and what is written.

use std::collections::BTreeMap;

use refgate_core::document::{Group, Route, Runtime, Shape, canonical_bytes};
use serde_json::{Value, json};

use crate::support::Fixture;

/// Each row: a file, its text, and the findings as `pointer code` in order.
#[test]
fn findings() {
    let route = "services/a/routes/r.json";
    let runtime = "runtime/a.json";
    let nodes = r#"{"upstreams": {"default": {"nodes": [{"host": "a", "port": 80}]}}}"#;
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
        (route, r#"{"paths": ["/a"], "timeout": {"read": 0}}"#, &["/timeout/read bad_value"]),
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
        (runtime, r#"{"hosts": ["a:80", "*.b.com"]}"#, &["/hosts/0 bad_host"]),
        (runtime, r#"{"path_prefix": "/a/"}"#, &["/path_prefix bad_path"]),
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
            r#"{"upstreams": {"default": {"tls": {"ca": "-----BEGIN"}}}}"#,
            &["/upstreams/default/tls/ca bad_value"],
        ),
        ("services/a/routes/R.json", r#"{"paths": ["/a"]}"#, &[" unexpected_file"]),
        ("services/a/other.json", "{}", &[" unexpected_file"]),
        ("../etc/passwd", "{}", &[" unexpected_file"]),
        ("group.json", r#"{"promotion": {"from": ["Test"]}}"#, &["/promotion/from/0 bad_name"]),
        ("group.json", r#"{"type": "gatway"}"#, &["/type bad_value"]),
        ("group.json", r#"{"variables": {"1": "x"}}"#, &["/variables/1 bad_name"]),
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

/// Each row: two services' routes and hosts, and the code that comes of them.
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
            "route_unreachable",
        ),
        (
            json!({"paths": ["/a"], "match": {"cookies": [{"name": "x", "present": true}]}}),
            json!([]),
            json!({"paths": ["/a"], "priority": 1, "match": {"remote_addrs": []}}),
            json!([]),
            "route_unreachable",
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
            "route_unreachable",
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
        let expected: Vec<&str> = [*expected].into_iter().filter(|code| !code.is_empty()).collect();
        assert_eq!(codes, expected, "{one} {two}");
        for finding in &findings {
            assert!(
                finding.message.contains("a/r") && finding.message.contains("b/r"),
                "{finding}"
            );
        }
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
