//! Which warnings a write is told: those that involve what it wrote.

use std::collections::BTreeMap;

use refgate_core::Error;
use refgate_core::change::{Operation, Written};
use refgate_core::diagnostic::Diagnostic;
use serde_json::{Value, json};

use crate::support::{Fixture, name};

fn runtime(hosts: &[&str]) -> Value {
    json!({"hosts": hosts, "upstreams": {"default": {"nodes": [{"host": "a", "port": 80}]}}})
}

/// Routes of which `get` and `any` overlap, and `other` overlaps with nothing.
fn shop() -> Value {
    let routes = json!({
        "get": {"paths": ["/x"], "methods": ["GET"]},
        "any": {"paths": ["/x"]},
        "other": {"paths": ["/y"]},
    });
    json!({"routes": routes, "runtime": runtime(&["shop.acme.com"])})
}

/// The warnings as `code: the pair`.
fn told(warnings: &[Diagnostic]) -> Vec<String> {
    let told = warnings.iter().map(|warning| {
        let is_route = |word: &&str| word.contains('/') && !word.starts_with(['/', '~']);
        let words = warning.message.split([' ', ':']);
        let routes: Vec<_> = words.filter(is_route).collect();
        format!("{} {}", warning.code, routes.join(" "))
    });
    told.collect()
}

fn warned(written: Result<Written, Error>) -> Vec<String> {
    told(&written.expect("written").warnings)
}

#[test]
fn a_write_is_told_what_involves_it() {
    let f = Fixture::new();
    let within = "route_overlap shop/get shop/any";
    let (mine, theirs) = ("route_overlap top/all shop/any", "route_overlap top/all shop/get");
    let (no_any, no_get) =
        ("route_unreachable shop/any top/all", "route_unreachable shop/get top/all");
    assert_eq!(warned(f.put("test", "shop", shop())), [within]);
    let top = json!({"routes": {"all": {"paths": ["/x"], "priority": 5}},
        "runtime": runtime(&["shop.acme.com"])});
    assert_eq!(warned(f.put("test", "top", top)), [mine, theirs, no_any, no_get]);

    let (get, any) = ("shop/get", "shop/any");
    let of = |route: &str, with: &[&str]| -> Vec<String> {
        with.iter().map(|other| format!("route_overlap {route} {other}")).collect()
    };
    let shadow = |route: &str| format!("route_unreachable {route} top/all");
    let within = of(get, &[any]);
    let with_top = |route: &str| [of(route, &["top/all"]), vec![shadow(route)]].concat();
    let edit = |route: &str| json!({"routes": {route: {"description": "new"}}});
    let table = [
        ("shop", edit("other"), vec![]),
        ("shop", json!({"description": "new"}), vec![]),
        ("shop", edit("get"), [of(get, &[any, "top/all"]), vec![shadow(get)]].concat()),
        ("shop", edit("any"), [with_top(any), within.clone()].concat()),
        ("shop", json!({"runtime": {"path_prefix": "/p"}}), within.clone()),
        (
            "shop",
            json!({"runtime": {"path_prefix": null}}),
            [with_top(any), of(get, &[any, "top/all"]), vec![shadow(get)]].concat(),
        ),
        ("shop", json!({"routes": {"get": {"enabled": false}}}), vec![]),
    ];
    for (service, patch, expected) in table {
        let files = match &patch["routes"] {
            Value::Null => None,
            routes => {
                let change = routes.as_object().expect("an object").iter();
                Some(
                    change
                        .map(|(route, patch)| {
                            let mut document = f.service("test", service)["routes"][route].clone();
                            refgate_core::json::merge_patch(&mut document, patch);
                            (format!("services/{service}/routes/{route}.json"), document)
                        })
                        .collect::<BTreeMap<_, _>>(),
                )
            }
        };
        if let Some(files) = files {
            let found = f.repository.validate(Some(&name("test")), &files).expect("validated");
            assert_eq!(told(&found), expected, "{service} {patch}");
        }
        assert_eq!(warned(f.patch("test", service, patch.clone())), expected, "{service} {patch}");
    }
}

/// What a variable stands for is written in `group.json`.
#[test]
fn a_variable_is_part_of_what_it_stands_in() {
    let f = Fixture::new();
    let variables = |path: &str| {
        let patch = json!({"variables": {"path": path}});
        f.apply("test", Operation::PatchGroup { patch })
    };
    assert_eq!(warned(variables("/a")), Vec::<String>::new());
    let mut service = shop();
    service["routes"]["get"]["paths"] = json!(["$var://path"]);
    assert_eq!(warned(f.put("test", "shop", service)), Vec::<String>::new());
    assert_eq!(warned(variables("/x")), ["route_overlap shop/get shop/any"]);
    let patch = json!({"labels": {"a": "b"}});
    assert_eq!(warned(f.apply("test", Operation::PatchGroup { patch })), Vec::<String>::new());
}

/// However many overlaps a service has, those of a new route are told, and a tie is found.
#[test]
fn many_overlaps_hide_neither_new_ones_nor_ties() {
    let f = Fixture::in_memory();
    let routes: serde_json::Map<String, Value> =
        (0..40).map(|n| (format!("r{n}"), json!({"paths": [format!("~/{n}/.*")]}))).collect();
    let service = json!({"routes": routes, "runtime": runtime(&[])});
    assert_eq!(warned(f.put("test", "many", service)).len(), 100);
    let warnings = warned(f.patch("test", "many", json!({"routes": {"new": {"paths": ["~/n"]}}})));
    assert_eq!(warnings.len(), 40, "{warnings:?}");
    assert!(warnings.iter().all(|warning| warning.contains("many/new")), "{warnings:?}");
    let same = json!({"routes": {"z": {"paths": ["~/7/.*"]}}});
    let refused = f.patch("test", "many", same).expect_err("refused");
    assert_eq!(told(refused.diagnostics()), ["route_conflict many/z many/r7"]);
    // Of a service that comes with both, the tie is told too.
    let mut routes = routes;
    routes.insert("z".to_owned(), json!({"paths": ["~/7/.*"]}));
    let service = json!({"routes": routes, "runtime": runtime(&["h.com"])});
    let refused = f.put("test", "other", service).expect_err("refused");
    assert_eq!(told(refused.diagnostics()), ["route_conflict other/z other/r7"]);
}
