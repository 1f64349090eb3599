//! Who changed what, and what sets groups apart.

use refgate_core::change::Operation;
use refgate_core::view::HistoryFilter;
use serde_json::json;

use crate::support::{Fixture, httpbin, name};

const ROUTE: &str = "services/httpbin/routes/get-headers.json";

#[test]
fn every_object_tells_who_changed_it_last() {
    let f = Fixture::new();
    f.put("test", "httpbin", httpbin()).expect("put");
    let patch = Operation::PatchRoute {
        service: name("httpbin"),
        route: name("get-headers"),
        patch: json!({"priority": 3}),
    };
    let written = f.apply("test", patch).expect("patched");
    f.patch("test", "httpbin", json!({"description": "new"})).expect("patched");

    let last = |path: &str| f.repository.last_change(&name("test"), path).expect("asked");
    let of_route = last(ROUTE).expect("a change");
    assert_eq!((of_route.event.as_str(), of_route.actor.as_str()), ("route.updated", "ana"));
    let written = serde_json::to_value(written).expect("serialises");
    assert_eq!(written["commit"], json!(of_route.commit));
    for (path, event) in [
        ("services/httpbin/service.json", Some("service.updated")),
        ("runtime/httpbin.json", Some("service.created")),
        ("group.json", Some("group.created")),
        ("services/httpbin", None),
        ("runtime/other.json", None),
    ] {
        assert_eq!(last(path).map(|found| found.event).as_deref(), event, "{path}");
    }

    let delete = Operation::DeleteRoute { service: name("httpbin"), route: name("get-headers") };
    f.apply("test", delete).expect("deleted");
    let filter = HistoryFilter { path: Some(ROUTE.to_owned()), limit: 10, ..Default::default() };
    let events = f.repository.history(&name("test"), &filter).expect("asked");
    let events: Vec<_> = events.iter().map(|event| event.event.as_str()).collect();
    assert_eq!(events, ["route.deleted", "route.updated", "service.created"]);
}

#[test]
fn groups_differ_in_services_or_in_what_is_their_own() {
    let f = Fixture::new();
    f.put("test", "httpbin", httpbin()).expect("put");
    f.sync("httpbin", "test", "uat", Some("1.0.0")).expect("synced");
    let diff = |services_only| {
        let diff = f.repository.diff_groups(&name("test"), &name("uat"), services_only);
        let changes = diff.expect("compared").changes;
        let mut files: Vec<_> = changes.into_iter().map(|change| change.file).collect();
        files.dedup();
        files
    };
    assert_eq!(diff(true), [""; 0]);
    assert_eq!(diff(false), ["group.json", "runtime/httpbin.json"]);
    let description = json!({"routes": {"get-headers": {"description": "new"}}});
    f.patch("test", "httpbin", description).expect("patched");
    f.put("test", "other", json!({})).expect("put");
    assert_eq!(diff(true), [ROUTE, "services/other/service.json"]);
}
