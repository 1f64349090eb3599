//! A group away from its repository: what is received, checked, loaded and kept.

use std::collections::BTreeSet;

use refgate_core::change::Operation;
use refgate_core::config::{GroupConfig, Loaded};
use refgate_core::mirror::{Mirror, MirrorError, Saved, Update};
use refgate_core::name::{GroupName, ServiceName};
use refgate_core::store::GroupReader;
use serde_json::json;

use crate::support::{Fixture, httpbin, name, push};

/// What a gateway serves of a commit, the last good forms of services at fault among it.
struct Served {
    config: GroupConfig,
    kept: BTreeSet<ServiceName>,
}

fn serve(loaded: Loaded) -> Served {
    let mut config = loaded.config;
    let kept = config.serve_last_good();
    Served { config, kept }
}

/// As it is written and read again on its way.
fn sent(update: &Update) -> Update {
    serde_json::from_slice(&serde_json::to_vec(update).expect("written")).expect("read")
}

fn routes(config: &GroupConfig) -> serde_json::Value {
    let services = config.services.iter();
    services
        .map(|(name, service)| {
            let routes = service.routes.keys().map(ToString::to_string).collect::<Vec<_>>();
            (name.to_string(), json!([routes, service.content, service.runtime.hosts.len()]))
        })
        .collect()
}

#[test]
fn updates_lead_where_the_repository_is() {
    let f = Fixture::in_memory();
    let group: GroupName = name("test");
    let mut mirror = Mirror::new(group.clone()).expect("a mirror");
    let mut reader = GroupReader::open(&f.path()).expect("a reader");
    let mut served: Option<Served> = None;
    let steps: Vec<Box<dyn Fn()>> = vec![
        Box::new(|| ()),
        Box::new(|| drop(f.put("test", "httpbin", httpbin()).expect("created"))),
        Box::new(|| drop(f.put("test", "other", json!({})).expect("created"))),
        Box::new(|| {
            f.patch("test", "httpbin", json!({"routes": {"x": {"paths": ["/x"]}}}))
                .expect("patched");
        }),
        Box::new(|| {
            f.apply("test", Operation::DeleteService { service: name("other") }).expect("deleted");
        }),
        // What no check lets through: a fault, and things that are no documents.
        Box::new(|| push(&f, "services/httpbin/routes/x.json", "{\"paths\": 7}\n")),
        Box::new(|| push(&f, "services/httpbin/routes/y.json/z", "text")),
        Box::new(|| push(&f, "consumers/app.json", "{}\n")),
        Box::new(|| push(&f, "group.json", "{\"type\": 7}\n")),
        Box::new(|| push(&f, "services/new/service.json", "{}\n")),
    ];
    for (n, step) in steps.iter().enumerate() {
        step();
        let since = mirror.commit();
        let update = f.repository.update(&group, since).expect("an update");
        assert_eq!(update.since, since, "step {n}");
        assert!(n == 0 || update.files.len() <= 3, "step {n}: {:?}", update.files.keys());
        mirror.take(sent(&update)).expect("taken");

        let previous = served.take().map(|served| served.config);
        let head = reader.head(&group).expect("read").expect("a head");
        let beside = reader.load(&group, head, previous.as_ref()).expect("loaded");
        let away = mirror.load(previous.as_ref()).expect("loaded").expect("a commit");
        assert_eq!(away.diagnostics, beside.diagnostics, "step {n}");
        assert_eq!(routes(&away.config), routes(&beside.config), "step {n}");
        let now = serve(away);
        mirror.settle(&now.config, &now.kept).expect("settled");

        // What is kept, by either, is what is served, whatever is at fault.
        let by_repository = Saved::of_repository(&f.path(), &now.config, &now.kept);
        let mut by_repository = by_repository.expect("saved");
        let saved = mirror.save().expect("saved").expect("a commit");
        by_repository.head.revision = saved.head.revision;
        if let Some(good) = &mut by_repository.good {
            good.revision = saved.head.revision;
        }
        assert_eq!(saved, by_repository, "step {n}");
        let (again, good) = Mirror::restore(group.clone(), saved).expect("restored");
        let restored = again.load(good.as_ref()).expect("loaded").expect("a commit");
        let restored = serve(restored);
        assert_eq!(routes(&restored.config), routes(&now.config), "step {n}");
        assert_eq!(restored.kept, now.kept, "step {n}");
        served = Some(now);
    }
    let kept = served.expect("served").kept;
    assert_eq!(kept, BTreeSet::from([name("httpbin")]));
}

#[test]
fn a_commit_that_is_not_known_is_told_whole() {
    let f = Fixture::in_memory();
    let group: GroupName = name("test");
    let other = f.repository.head(&name("uat")).expect("a head");
    for since in [None, Some(other), Some(name(&"1".repeat(40)))] {
        let update = f.repository.update(&group, since).expect("an update");
        assert!(update.since.is_none() && update.files.contains_key("group.json"));
    }
    assert!(f.repository.update(&name("nowhere"), None).is_err());
}

#[test]
fn what_is_not_what_its_ids_say_is_refused() {
    let f = Fixture::in_memory();
    f.put("test", "httpbin", httpbin()).expect("created");
    let whole = f.repository.update(&name("test"), None).expect("an update");
    let route = "services/httpbin/routes/get-headers.json";
    let refused = |change: &dyn Fn(&mut Update)| {
        let mut update = whole.clone();
        change(&mut update);
        let mut mirror = Mirror::new(name("test")).expect("a mirror");
        let error = mirror.take(update).expect_err("refused");
        assert_eq!(mirror.commit(), None);
        error
    };
    let altered = refused(&|update| {
        let file = update.files.get_mut(route).expect("the route");
        file.text = Some("{}\n".to_owned());
    });
    assert!(matches!(&altered, MirrorError::Content { path, .. } if path == route), "{altered}");
    let lost = refused(&|update| drop(update.files.remove(route)));
    assert!(matches!(lost, MirrorError::Incomplete { .. }), "{lost}");
    let empty = refused(&|update| {
        update.files.get_mut(route).expect("the route").text = None;
    });
    assert!(matches!(empty, MirrorError::Content { .. }), "{empty}");
    let elsewhere = refused(&|update| update.group = name("uat"));
    assert!(matches!(elsewhere, MirrorError::Group(_)), "{elsewhere}");
    let unknown = refused(&|update| update.since = Some(update.commit));
    assert!(matches!(unknown, MirrorError::Since), "{unknown}");
}
