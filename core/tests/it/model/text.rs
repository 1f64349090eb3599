//! The model's documents as the product's: names, JSON with every default, files as pushed.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    Content, GroupDocument, Number, RouteDocument, RuntimeDocument, ServiceDocument, VARIABLE,
};

pub(super) const GROUPS: [&str; 3] = ["test", "uat", "production"];

pub(super) fn service(service: u8) -> String {
    format!("s{service}")
}

pub(super) fn route(route: u8) -> String {
    format!("r{route}")
}

pub(super) fn version(number: Number) -> String {
    format!("1.{number}.0")
}

/// Every path names its service and route, so that routes never tie.
pub(super) fn paths(service: u8, route: u8, paths: &[u8]) -> Value {
    paths.iter().map(|path| format!("/s{service}/r{route}/p{path}")).collect()
}

pub(super) fn methods(methods: &[u8]) -> Value {
    methods.iter().map(|method| ["GET", "HEAD", "PUT"][usize::from(*method)]).collect()
}

pub(super) fn headers(headers: &[(u8, u8)]) -> Value {
    headers.iter().copied().map(header).collect()
}

pub(super) fn header((name, value): (u8, u8)) -> Value {
    let value = if value == VARIABLE { "$var://v".to_owned() } else { value.to_string() };
    json!({"name": format!("h{name}"), "value": value})
}

pub(super) fn label(value: u8) -> Value {
    value.to_string().into()
}

fn labels(labels: &BTreeMap<u8, u8>) -> Value {
    labels
        .iter()
        .map(|(key, value)| (format!("l{key}"), label(*value)))
        .collect::<Map<_, _>>()
        .into()
}

pub(super) fn description(description: u8) -> String {
    if description == 0 { String::new() } else { format!("d{description}") }
}

pub(super) fn hosts(hosts: &[u8]) -> Value {
    hosts.iter().map(|host| format!("h{host}.acme.com")).collect()
}

pub(super) fn upstream(name: u8) -> &'static str {
    ["default", "other"][usize::from(name)]
}

pub(super) fn promotion_json(group: &GroupDocument) -> Value {
    let from: Vec<&str> = group.from.iter().map(|group| GROUPS[*group]).collect();
    let direct_edits = if group.runtime_only { "runtime-only" } else { "allow" };
    json!({"from": from, "direct_edits": direct_edits})
}

pub(super) fn variables_json(group: &GroupDocument) -> Value {
    if group.variable { json!({"v": "x"}) } else { json!({}) }
}

pub(super) fn service_json(document: &ServiceDocument) -> Value {
    json!({"type": "http", "description": description(document.description),
        "labels": labels(&document.labels), "plugins": {}})
}

pub(super) fn route_json(service: u8, route: u8, document: &RouteDocument) -> Value {
    json!({
        "description": "", "labels": labels(&document.labels), "enabled": document.enabled,
        "paths": paths(service, route, &document.paths), "methods": methods(&document.methods),
        "priority": document.priority,
        "match": {"headers": headers(&document.headers), "query": [], "cookies": [], "remote_addrs": []},
        "upstream": upstream(document.upstream), "websocket": false, "plugins": {},
    })
}

pub(super) fn routes_json(service: u8, content: &Content) -> Value {
    let routes = content
        .routes
        .iter()
        .map(|(name, file)| (route(*name), route_json(service, *name, &file.document)));
    Value::Object(routes.collect())
}

pub(super) fn runtime_json(document: &RuntimeDocument) -> Value {
    let upstreams: Map<String, Value> = document
        .upstreams
        .iter()
        .map(|(name, settings)| {
            let node = |n| json!({"host": "127.0.0.1", "port": 8000 + u16::from(n), "weight": 100, "priority": 0});
            let nodes: Vec<Value> = (0..settings.nodes).map(node).collect();
            let pass_host = if settings.pass_node { "node" } else { "pass" };
            let json = json!({
                "nodes": nodes, "scheme": "http", "pass_host": pass_host, "upstream_host": "",
                "balancer": {"type": "roundrobin"}, "retry_on": ["connect"], "retry_timeout": 0,
                "timeout": {"connect": 6, "send": 60, "read": 60},
                "keepalive": {"size": 320, "idle_timeout": 60, "requests": 1000},
                "tls": {"verify": true, "ca": "", "client_certificate": ""}, "max_in_flight": 0,
                "checks": {"panic_threshold": 50},
            });
            (upstream(*name).to_owned(), json)
        })
        .collect();
    json!({"enabled": document.enabled, "hosts": hosts(&document.hosts), "path_prefix": "",
        "strip_path_prefix": true, "upstreams": upstreams})
}
