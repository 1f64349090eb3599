//! Who changed what, and what sets groups apart.

use refgate_core::change::Operation;
use refgate_core::event::Actor;
use refgate_core::name::{GroupName, RouteName, ServiceName};
use refgate_core::object::ObjectName;
use refgate_core::view::HistoryFilter;
use serde_json::json;

use crate::support::{Fixture, change, httpbin, name};

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

/// Who changed what last: of a route, a runtime and an object, each for itself, and what was read is
/// written back as it is.
#[test]
fn what_is_read_says_who_changed_it_last() {
    let f = Fixture::new();
    f.put("test", "httpbin", httpbin()).expect("put");
    let (group, service) = (name::<GroupName>("test"), name::<ServiceName>("httpbin"));
    let consumer = ObjectName::Consumer(name("app"));
    let put = Operation::PutObject { object: consumer.clone(), document: json!({}) };
    let made = f.apply("test", put).expect("made").commit;
    let route = name::<RouteName>("get-headers");
    let patch =
        |patch| Operation::PatchRoute { service: service.clone(), route: route.clone(), patch };
    let mut change = change("test", patch(json!({"priority": 7})));
    change.actor = Actor::named("bo");
    let changed = f.repository.apply(change).expect("changed").commit;

    let read = f.repository.route(&group, &service, &route).expect("the route");
    let (commit, by) = (read.last.commit, read.last.updated_by.as_deref());
    assert_eq!((commit, by), (Some(changed), Some("bo")));
    let runtime = f.repository.runtime(&group, &service).expect("the runtime");
    assert_eq!(runtime.last.updated_by.as_deref(), Some("ana"));
    assert!(runtime.last.commit.is_some_and(|commit| commit != changed && commit != made));
    let object = f.repository.object(&group, &consumer).expect("the consumer");
    assert_eq!(object.last.commit, Some(made));

    let document = serde_json::to_value(&read).expect("serialises");
    assert_eq!(document["commit"], changed.to_string());
    assert_eq!(document["priority"], 7);
    let again = [
        Operation::PutRoute { service: service.clone(), route: route.clone(), document },
        Operation::PutRuntime {
            service: service.clone(),
            document: serde_json::to_value(&runtime).expect("serialises"),
        },
        Operation::PutObject {
            object: consumer,
            document: serde_json::to_value(&object).expect("serialises"),
        },
        patch(json!({"commit": "what it was", "updated_by": "nobody"})),
    ];
    for operation in again {
        assert!(!f.apply("test", operation).expect("written back").changed);
    }
}
