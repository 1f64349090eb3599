//! The JSON Schemas for editors: golden files, held to what the reader of the documents says.
//!
//! After a change of documents, `REFGATE_BLESS=1 cargo test -p refgate-core --test it schema`
//! writes `repo-template/schema/` anew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use boon::{Compiler, SchemaIndex, Schemas};
use refgate_core::document::{
    Certificate, Consumer, GlobalRule, Group, Reader, Route, Runtime, Service, Shape, schema,
};
use refgate_core::json;
use serde_json::{Value, json};

/// The schemas, compiled by an implementation that is not ours.
pub(crate) struct Judge {
    schemas: Schemas,
    index: BTreeMap<&'static str, SchemaIndex>,
}

impl Judge {
    pub(crate) fn new() -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        let mut index = BTreeMap::new();
        for (name, schema) in schema::all() {
            let id = schema["$id"].as_str().expect("an id").to_owned();
            compiler.add_resource(&id, schema).expect(name);
            let compiled = compiler
                .compile(&id, &mut schemas)
                .map_err(|error| format!("{error:#}"))
                .expect(name);
            index.insert(name, compiled);
        }
        Self { schemas, index }
    }

    /// What the schema has against a document; nothing if it takes it.
    pub(crate) fn refusal(&self, schema: &str, document: &Value) -> Option<String> {
        let verdict = self.schemas.validate(document, self.index[schema]);
        verdict.err().map(|error| format!("{error:#}"))
    }
}

/// What the reader has against a document.
fn findings(schema: &str, document: &Value) -> Vec<String> {
    fn read<T: Shape>(document: &Value) -> Vec<String> {
        let mut findings = Vec::new();
        T::read(document, &mut Reader::new("document.json", &mut findings));
        findings.iter().map(|finding| format!("{} {}", finding.pointer, finding.code)).collect()
    }
    match schema {
        "group.json" => read::<Group>(document),
        "service.json" => read::<Service>(document),
        "route.json" => read::<Route>(document),
        "runtime.json" => read::<Runtime>(document),
        "consumer.json" => read::<Consumer>(document),
        "certificate.json" => read::<Certificate>(document),
        "global-rule.json" => read::<GlobalRule>(document),
        other => vec![format!("there is no schema {other}")],
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../repo-template/schema")
}

#[test]
fn the_files_of_the_template_are_up_to_date() {
    let bless = std::env::var_os("REFGATE_BLESS").is_some();
    for (name, schema) in schema::all() {
        let (path, text) = (folder().join(name), json::to_text(&schema));
        if bless {
            std::fs::create_dir_all(folder()).expect("a folder");
            std::fs::write(&path, &text).expect("the file is written");
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(there == text, "{name} is not up to date: run this test with REFGATE_BLESS=1");
    }
    let known: Vec<_> = schema::all().into_iter().map(|(name, _)| name).collect();
    for file in std::fs::read_dir(folder()).expect("the folder") {
        let name = file.expect("an entry").file_name();
        assert!(known.iter().any(|known| name == *known), "{name:?} is no schema");
    }
}

#[test]
fn every_key_is_described() {
    fn check(schema: &Value, place: &str) {
        for (key, below) in schema["properties"].as_object().into_iter().flatten() {
            let place = format!("{place}/{key}");
            let text = below["description"].as_str().unwrap_or_default();
            assert!(text.len() > 5, "{place} says nothing of itself");
            assert!(!text.contains(['`', '[']), "{place} has marks: {text}");
            check(below, &place);
        }
        for key in ["items", "additionalProperties"] {
            if let Some(below) = schema.get(key) {
                check(below, &format!("{place}/{key}"));
            }
        }
        for below in schema["anyOf"].as_array().into_iter().flatten() {
            check(below, place);
        }
    }
    for (name, schema) in schema::all() {
        assert!(schema["description"].is_string() && schema["properties"].is_object(), "{name}");
        check(&schema, name);
    }
}

#[test]
fn what_is_sound_is_taken() {
    let hash = "0".repeat(64);
    let certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    let table = [
        ("group.json", json!({})),
        (
            "group.json",
            json!({"type": "ingress", "labels": {"any key": ""}, "variables": {"a.b": "$x"},
            "promotion": {"from": ["test"], "direct_edits": "runtime-only"},
            "http": {"trusted_proxies": ["10.0.0.0/8", "::1"], "encoded_slashes": "keep"}}),
        ),
        ("service.json", json!({"type": "http", "description": "$var://x", "plugins": {}})),
        (
            "route.json",
            json!({"paths": ["/", "/a/*", "/users/{id}", "~^/a[0-9]+$", "/%C3%A9"],
            "methods": ["GET", "PURGE"], "priority": -1, "timeout": {"read": 0.5}, "upstream": "a-1",
            "match": {"headers": [{"name": "x", "value": ""}], "cookies": [{"name": "x", "present": false}],
                      "query": [{"name": "x", "regex": "(?i)a"}], "remote_addrs": ["2001:db8::/32"]}}),
        ),
        (
            "runtime.json",
            json!({"hosts": ["a.com", "*.A.com", "[::1]", "10.0.0.1"], "path_prefix": "/a/b",
            "upstreams": {"default": {"nodes": [{"host": "$env://HOST", "port": 1, "weight": 0, "priority": -1},
                {"host": "::1", "port": 65535}], "retry_on": ["5xx", "503"], "retry_timeout": 0,
                "balancer": {"type": "chash", "hash_on": "uri"}, "max_in_flight": 100,
                "checks": {"active": {"type": "https", "headers": {"X-A": "b"}}, "passive": {}},
                "tls": {"ca": "$file:///ca.pem"}}}}),
        ),
        ("runtime.json", json!({"path_prefix": ""})),
        ("runtime.json", json!({"path_prefix": "/%C3%A9/a%20b/~!$&'()+,;=:@-._|\"<>[]^`"})),
        (
            "consumer.json",
            json!({"credentials": {
            "a": {"type": "key-auth", "key": format!("sha256:{hash}")},
            "b": {"type": "basic-auth", "username": "u", "password": "$env://PASSWORD"},
            "c": {"type": "jwt-auth", "key": "k", "algorithm": "EdDSA", "public_key": "$file:///k.pem"},
            "d": {"type": "hmac-auth", "key_id": "k", "secret": "$file:///s"}}}),
        ),
        (
            "certificate.json",
            json!({"snis": ["a.com", "*.a.com"], "certificate": "$file:///c.pem",
            "private_key": "$env://KEY"}),
        ),
        ("global-rule.json", json!({"description": "x", "plugins": {}})),
    ];
    let judge = Judge::new();
    for (schema, document) in table {
        assert_eq!(findings(schema, &document), Vec::<String>::new(), "{document}");
        assert_eq!(judge.refusal(schema, &document), None, "{document}");
    }
    // Of PEM the schema knows the first line; whether the rest is sound is for the reader.
    let chain = json!({"snis": ["a"], "certificate": certificate, "private_key": "$env://KEY"});
    assert_eq!(judge.refusal("certificate.json", &chain), None);
}

#[test]
fn what_the_reader_refuses_for_its_shape_the_schema_refuses() {
    let upstream = |upstream: Value| json!({"upstreams": {"default": upstream}});
    let node = |node: Value| json!({"upstreams": {"default": {"nodes": [node]}}});
    let header = |predicate: Value| json!({"paths": ["/"], "match": {"headers": [predicate]}});
    let credential = |credential: Value| json!({"credentials": {"a": credential}});
    let table = [
        ("group.json", json!([])),
        ("group.json", json!({"$schema": "../schema/group.json"})),
        ("group.json", json!({"type": "gatewy"})),
        ("group.json", json!({"promotion": {"from": ["$var://x"]}})),
        ("group.json", json!({"promotion": {"from": ["Test"]}})),
        ("group.json", json!({"promotion": {"direct_edit": "allow"}})),
        ("group.json", json!({"variables": {"a b": "x"}})),
        ("group.json", json!({"variables": {"a": 1}})),
        ("group.json", json!({"http": {"trusted_proxies": ["here"]}})),
        ("service.json", json!({"lables": {}})),
        ("service.json", json!({"labels": {"a": 1}})),
        ("service.json", json!({"type": "stream"})),
        ("service.json", json!({"plugins": {"x": {}}})),
        ("route.json", json!({})),
        ("route.json", json!({"paths": "/a"})),
        ("route.json", json!({"paths": ["a"]})),
        ("route.json", json!({"paths": ["/a b"]})),
        ("route.json", json!({"paths": ["/"], "methods": ["get"]})),
        ("route.json", json!({"paths": ["/"], "priority": 1.5})),
        ("route.json", json!({"paths": ["/"], "priority": "1"})),
        ("route.json", json!({"paths": ["/"], "enabled": "yes"})),
        ("route.json", json!({"paths": ["/"], "timeout": {"read": 0}})),
        ("route.json", json!({"paths": ["/"], "timeout": {"raed": 1}})),
        ("route.json", json!({"paths": ["/"], "timeout": null})),
        ("route.json", json!({"paths": ["/"], "timeout": {"read": null}})),
        ("route.json", json!({"paths": ["/"], "upstream": "A"})),
        ("route.json", header(json!({"name": "x"}))),
        ("route.json", header(json!({"value": "x"}))),
        ("route.json", header(json!({"name": "x", "value": "1", "present": true}))),
        ("route.json", header(json!({"name": "", "value": "1"}))),
        ("runtime.json", json!({"hosts": ["a:80"]})),
        ("runtime.json", json!({"path_prefix": "/a/"})),
        ("runtime.json", json!({"path_prefix": "/"})),
        ("runtime.json", json!({"path_prefix": "a"})),
        ("runtime.json", json!({"path_prefix": "/a b"})),
        ("runtime.json", json!({"path_prefix": "/é"})),
        ("runtime.json", json!({"path_prefix": "/a\\b"})),
        ("runtime.json", json!({"path_prefix": "/a*"})),
        ("runtime.json", json!({"upstreams": {"U": {}}})),
        ("runtime.json", upstream(json!({"scheme": "ftp"}))),
        ("runtime.json", upstream(json!({"retry_on": ["404x"]}))),
        ("runtime.json", upstream(json!({"retry_on": ["+503"]}))),
        ("runtime.json", upstream(json!({"retries": -1}))),
        ("runtime.json", upstream(json!({"retries": null}))),
        ("runtime.json", upstream(json!({"checks": {"active": null}}))),
        ("runtime.json", upstream(json!({"checks": {"active": {"typ": "http"}}}))),
        ("runtime.json", upstream(json!({"checks": {"active": {"timeout": 0}}}))),
        ("runtime.json", upstream(json!({"checks": {"panic_threshold": 101}}))),
        ("runtime.json", upstream(json!({"max_in_flight": -1}))),
        ("runtime.json", upstream(json!({"balancer": {"type": "random"}}))),
        ("runtime.json", upstream(json!({"tls": {"ca": "/etc/ssl/ca.pem"}}))),
        ("runtime.json", node(json!({"host": "a"}))),
        ("runtime.json", node(json!({"host": "http://a", "port": 80}))),
        ("runtime.json", node(json!({"host": "a", "port": 0}))),
        ("runtime.json", node(json!({"host": "a", "port": 65536}))),
        ("runtime.json", node(json!({"host": "a", "port": "$var://port"}))),
        ("consumer.json", credential(json!({}))),
        ("consumer.json", credential(json!({"type": "oauth"}))),
        ("consumer.json", credential(json!({"type": "key-auth", "key": "secret"}))),
        ("consumer.json", credential(json!({"type": "key-auth"}))),
        (
            "consumer.json",
            credential(json!({"type": "basic-auth", "username": "u", "password": "p"})),
        ),
        (
            "consumer.json",
            credential(json!({"type": "hmac-auth", "key_id": "", "secret": "$env://S"})),
        ),
        ("consumer.json", json!({"credentials": {"A": {"type": "key-auth", "key": "$env://K"}}})),
        ("certificate.json", json!({"snis": ["a"], "certificate": "$env://C"})),
        ("certificate.json", json!({"snis": ["a"], "certificate": "x", "private_key": "$env://K"})),
        (
            "certificate.json",
            json!({"snis": ["a"], "certificate": "$env://C", "private_key": "-----BEGIN PRIVATE KEY-----"}),
        ),
        ("global-rule.json", json!({"plugins": {"x": {}}})),
    ];
    let judge = Judge::new();
    for (schema, document) in table {
        assert_ne!(findings(schema, &document), Vec::<String>::new(), "{document}");
        assert!(judge.refusal(schema, &document).is_some(), "{schema} takes {document}");
    }
    // What is told by the checks of a whole document.
    let table = [
        ("route.json", json!({"paths": []})),
        ("route.json", json!({"paths": ["/a", "/a"]})),
        ("route.json", json!({"paths": ["/a"], "methods": ["GET", "GET"]})),
        ("runtime.json", json!({"hosts": ["a.com", "a.com"]})),
        (
            "certificate.json",
            json!({"snis": [], "certificate": "$env://C", "private_key": "$env://K"}),
        ),
    ];
    for (schema, document) in table {
        assert!(judge.refusal(schema, &document).is_some(), "{schema} takes {document}");
    }
}

#[test]
fn a_variable_may_stand_wherever_a_text_may_but_in_the_group() {
    let table = [
        ("service.json", json!({"type": "$var://x"})),
        (
            "route.json",
            json!({"paths": ["$var://x"], "methods": ["$var://x"], "upstream": "$var://x"}),
        ),
        (
            "runtime.json",
            json!({"hosts": ["$var://x"], "path_prefix": "$var://x", "upstreams": {"default": {
            "nodes": [{"host": "$var://x", "port": 80}], "scheme": "$var://x", "retry_on": ["$var://x"]}}}),
        ),
        ("consumer.json", json!({"credentials": {"a": {"type": "key-auth", "key": "$var://x"}}})),
        (
            "certificate.json",
            json!({"snis": ["$var://x"], "certificate": "$var://x", "private_key": "$var://x"}),
        ),
    ];
    let judge = Judge::new();
    for (schema, document) in table {
        assert_eq!(judge.refusal(schema, &document), None, "{document}");
    }
    let key = json!({"upstreams": {"$var://x": {}}});
    assert!(judge.refusal("runtime.json", &key).is_some());
}

#[test]
fn the_template_holds_to_its_schemas() {
    let judge = Judge::new();
    for (name, document) in refgate_core::template::groups() {
        assert_eq!(judge.refusal("group.json", &document), None, "{name}");
    }
}
