//! What groups hold: their settings, services, routes, and what belongs to them.

use serde_json::{Value, json};

use super::{CERTIFICATES, CONSUMERS, GROUPS, ROUTES, RULES, SERVICES, service};
use crate::openapi::operation::{Operation, operation, shape};
use crate::problem::Kind::{AlreadyExists, DirectEditRefused, StillReferenced};

pub(super) fn groups() -> Vec<Operation> {
    const ONE: &str = "/v1/groups/{group}";
    let made = json!({"name": "staging", "description": "Before production",
        "labels": {"env": "staging"}, "promotion": {"from": ["test"]}});
    vec![
        operation(("GET", "/v1/groups"), "listGroups", GROUPS, "The groups").lists(shape("Group")),
        operation(("POST", "/v1/groups"), "createGroup", GROUPS, "A new group")
            .takes(shape("NewGroup"), made)
            .writes()
            .creates()
            .refuses(&[AlreadyExists]),
        operation(("GET", ONE), "getGroup", GROUPS, "One group").reads(shape("Group")),
        operation(("PATCH", ONE), "patchGroup", GROUPS, "Settings of a group, changed")
            .takes_patch(
                "Group",
                json!({"description": "User acceptance", "labels": {"team": "web"}}),
            )
            .writes(),
        operation(("DELETE", ONE), "deleteGroup", GROUPS, "A group, archived")
            .about("Its branch is kept under `refs/archive`. No instance may serve it.")
            .writes()
            .refuses(&[StillReferenced]),
    ]
}

/// A service as the first one is made.
fn httpbin() -> Value {
    json!({
        "description": "echo",
        "routes": {"get-headers": {"paths": ["/headers"], "methods": ["GET"]}},
        "runtime": {
            "hosts": ["test.acme.com"],
            "upstreams": {"default": {"nodes": [{"host": "httpbin.org", "port": 80}], "pass_host": "node"}},
        },
    })
}

pub(super) fn services() -> Vec<Operation> {
    let runtime = httpbin()["runtime"].clone();
    vec![
        operation(
            ("GET", "/v1/groups/{group}/services"),
            "listServices",
            SERVICES,
            "Services of a group",
        )
        .lists(service_read()),
        operation(("GET", service!("")), "getService", SERVICES, "One service, whole")
            .reads(service_read()),
        operation(("PUT", service!("")), "putService", SERVICES, "A service, made or replaced")
            .about("In one commit. Without `runtime` the runtime stays as it is.")
            .takes(shape("Service"), httpbin())
            .writes()
            .creates()
            .refuses(&[DirectEditRefused]),
        operation(("PATCH", service!("")), "patchService", SERVICES, "A service, changed")
            .takes_patch("Service", json!({"description": "echo", "routes": {"get-headers": null}}))
            .writes()
            .refuses(&[DirectEditRefused]),
        operation(("DELETE", service!("")), "deleteService", SERVICES, "A service, taken away")
            .writes()
            .refuses(&[DirectEditRefused]),
        operation(
            ("GET", service!("/runtime")),
            "getRuntime",
            SERVICES,
            "What the group owns about a service",
        )
        .reads(shape("Runtime")),
        operation(("PUT", service!("/runtime")), "putRuntime", SERVICES, "The runtime, replaced")
            .takes(shape("Runtime"), runtime)
            .writes()
            .creates(),
        operation(
            ("PATCH", service!("/runtime")),
            "patchRuntime",
            SERVICES,
            "The runtime, changed",
        )
        .takes_patch("Runtime", json!({"hosts": ["uat.acme.com"]}))
        .writes()
        .creates(),
    ]
}

/// What every read of a service has.
fn service_read() -> Value {
    json!({"allOf": [shape("Service"), {"required": [
        "name", "group", "type", "version", "based_on", "modified", "live", "live_reason", "description",
        "labels", "plugins", "routes", "runtime", "commit", "updated_at", "updated_by",
    ]}]})
}

pub(super) fn routes() -> Vec<Operation> {
    const ONE: &str = service!("/routes/{route}");
    vec![
        operation(("GET", service!("/routes")), "listRoutes", ROUTES, "Routes of a service")
            .lists(shape("NamedRoute")),
        operation(("GET", ONE), "getRoute", ROUTES, "One route").reads(shape("Route")),
        operation(("PUT", ONE), "putRoute", ROUTES, "A route, made or replaced")
            .takes(shape("Route"), json!({"paths": ["/anything/*"], "methods": ["GET", "POST"]}))
            .writes()
            .creates()
            .refuses(&[DirectEditRefused]),
        operation(("PATCH", ONE), "patchRoute", ROUTES, "A route, changed")
            .takes_patch("Route", json!({"priority": 10}))
            .writes()
            .refuses(&[DirectEditRefused]),
        operation(("DELETE", ONE), "deleteRoute", ROUTES, "A route, taken away")
            .writes()
            .refuses(&[DirectEditRefused]),
    ]
}

pub(super) fn objects() -> Vec<Operation> {
    macro_rules! kind {
        ($tag:ident, $document:literal, $collection:literal, $name:literal, $singular:literal,
         $put:expr, $patch:expr, $delete:expr) => {{
            const ALL: &str = concat!("/v1/groups/{group}/", $collection);
            const ONE: &str = concat!("/v1/groups/{group}/", $collection, "/{", $name, "}");
            const COPY: &str = concat!("/v1/groups/{group}/", $collection, "/{", $name, "}/copy");
            vec![
                operation(("GET", ALL), concat!("list", $document, "s"), $tag,
                    concat!("All of a group: ", $collection)).lists(shape(concat!("Named", $document))),
                operation(("GET", ONE), concat!("get", $document), $tag, concat!("One ", $singular))
                    .reads(shape($document)),
                operation(("PUT", ONE), concat!("put", $document), $tag,
                    concat!("A ", $singular, ", made or replaced"))
                    .takes(shape($document), $put).writes().creates(),
                operation(("PATCH", ONE), concat!("patch", $document), $tag,
                    concat!("A ", $singular, ", changed")).takes_patch($document, $patch).writes(),
                operation(("DELETE", ONE), concat!("delete", $document), $tag,
                    concat!("A ", $singular, ", taken away")).writes().refuses($delete),
                operation(("POST", COPY), concat!("copy", $document), $tag,
                    concat!("A ", $singular, " to another group, or to several"))
                    .takes(shape("Copy"), json!({"to": ["uat", "production"], "replace": true}))
                    .writes().creates().answers_each().refuses(&[AlreadyExists]),
            ]
        }};
    }
    let consumer =
        json!({"credentials": {"main": {"type": "key-auth", "key": "$env://MOBILE_APP_KEY"}}});
    let certificate = json!({"snis": ["test.acme.com"], "certificate": "$file:///etc/refgate/web.pem",
        "private_key": "$file:///etc/refgate/web.key"});
    let described = || json!({"description": "of the mobile team"});
    let mut all = kind!(
        CONSUMERS,
        "Consumer",
        "consumers",
        "consumer",
        "consumer",
        consumer,
        described(),
        &[]
    );
    all.extend(kind!(
        CERTIFICATES,
        "Certificate",
        "certificates",
        "certificate",
        "certificate",
        certificate,
        json!({"snis": ["test.acme.com", "*.test.acme.com"]}),
        &[StillReferenced]
    ));
    all.extend(kind!(
        RULES,
        "GlobalRule",
        "global-rules",
        "rule",
        "global rule",
        json!({"description": "for all"}),
        described(),
        &[]
    ));
    all
}
