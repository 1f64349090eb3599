//! Who is at fault where routes tie, and what is served meanwhile: a last good form keeps what it
//! claims, and what was claimed before comes first.

use std::collections::BTreeSet;

use refgate_core::config::{GroupConfig, Loaded};
use refgate_core::mirror::{Mirror, Saved};
use refgate_core::store::GroupReader;
use serde_json::{Value, json};

use crate::support::{Fixture, name, push, push_all};

const NODES: &str = r#"{"upstreams": {"default": {"nodes": [{"host": "a", "port": 80}]}}}"#;

/// A service with a route for each path.
fn service(paths: &[&str]) -> Value {
    let runtime: Value = serde_json::from_str(NODES).expect("JSON");
    let routes: serde_json::Map<String, Value> = paths
        .iter()
        .enumerate()
        .map(|(n, path)| (format!("r{n}"), json!({"paths": [path]})))
        .collect();
    json!({"routes": routes, "runtime": runtime})
}

/// A gateway of the group test.
struct Gateway {
    reader: GroupReader,
    served: Option<GroupConfig>,
}

impl Gateway {
    fn new(f: &Fixture) -> Self {
        Self { reader: GroupReader::open(&f.path()).expect("opened"), served: None }
    }

    /// Loads the head; the services at fault, and the codes of the errors with their files.
    fn follow(&mut self) -> (Vec<String>, Vec<String>) {
        let head = self.reader.head(&name("test")).expect("read").expect("a head");
        let loaded = self.reader.load(&name("test"), head, self.served.as_ref()).expect("loaded");
        self.take(loaded)
    }

    fn take(&mut self, loaded: Loaded) -> (Vec<String>, Vec<String>) {
        let Loaded { mut config, diagnostics, faulty, .. } = loaded;
        config.serve_last_good();
        self.served = Some(config);
        let errors = diagnostics.iter().filter(|finding| finding.is_error());
        let errors = errors.map(|finding| format!("{} {}", finding.file, finding.code));
        (faulty.iter().map(ToString::to_string).collect(), errors.collect())
    }

    /// What each service serves.
    fn paths(&self) -> Vec<String> {
        let services = self.served.iter().flat_map(|config| config.services.values());
        let paths = services.flat_map(|service| {
            let routes = service.routes.values().flat_map(|route| &route.paths);
            routes.map(|path| format!("{} {path}", service.name))
        });
        paths.collect()
    }
}

#[test]
fn a_last_good_form_keeps_what_it_claims() {
    let f = Fixture::new();
    f.put("test", "zz", service(&["/x"])).expect("put");
    let mut gateway = Gateway::new(&f);
    assert_eq!(gateway.follow().0, [""; 0]);
    // One takes the path of the other in the very change that breaks it.
    push_all(
        &f,
        &[
            ("services/zz/service.json", Some("{\"typo\": 1}")),
            ("services/yy/service.json", Some("{}")),
            ("services/yy/routes/r.json", Some("{\"paths\": [\"/x\"]}")),
            ("runtime/yy.json", Some(NODES)),
        ],
    );
    let (faulty, errors) = gateway.follow();
    assert_eq!(faulty, ["yy", "zz"]);
    assert_eq!(
        errors,
        ["services/yy/routes/r.json route_conflict", "services/zz/service.json unknown_key"]
    );
    assert_eq!(gateway.paths(), ["zz /x"]);
    // It stays so, whatever else changes, and whatever is looked at again.
    push(&f, "services/other/service.json", "{}");
    assert_eq!(gateway.follow().0, ["yy", "zz"]);
    push(&f, "group.json", "{\"variables\": {\"a\": \"b\"}}");
    push(&f, "unexpected", "");
    assert_eq!(gateway.follow().0, ["yy", "zz"]);
    let moved = gateway.served.as_ref().map(GroupConfig::elsewhere);
    gateway.served = moved;
    assert_eq!(gateway.follow().0, ["yy", "zz"]);
    assert_eq!(gateway.paths(), ["zz /x"]);
    // The control plane has seen it sound, too, and lets nobody else on its place.
    let refused = f.put("test", "xx", service(&["/x"])).expect_err("refused");
    let [finding] = refused.diagnostics() else { unreachable!("{refused}") };
    assert_eq!(finding.code.as_str(), "route_conflict");
    let hint = finding.hint.as_deref().unwrap_or_default();
    assert!(hint.contains("zz is at fault itself"), "{hint}");

    // Whichever of the two gives way, the other is served.
    let mended = gateway.served.clone();
    push(&f, "services/zz/service.json", "{}");
    assert_eq!(gateway.follow().0, ["yy"]);
    assert_eq!(gateway.paths(), ["zz /x"]);
    gateway.served = mended;
    push(&f, "services/zz/service.json", "{\"typo\": 1}");
    push(&f, "services/yy/routes/r.json", "{\"paths\": [\"/y\"]}");
    assert_eq!(gateway.follow().0, ["zz"]);
    assert_eq!(gateway.paths(), ["yy /y", "zz /x"]);
}

/// What a gateway keeps for its next start is what it serves.
#[test]
fn what_is_kept_outlives_a_restart() {
    let f = Fixture::new();
    f.put("test", "zz", service(&["/x"])).expect("put");
    let mut gateway = Gateway::new(&f);
    gateway.follow();
    push_all(
        &f,
        &[
            ("services/zz/service.json", Some("{\"typo\": 1}")),
            ("services/aa/service.json", Some("{}")),
            ("services/aa/routes/r.json", Some("{\"paths\": [\"/x\"]}")),
            ("runtime/aa.json", Some(NODES)),
        ],
    );
    assert_eq!(gateway.follow().0, ["aa", "zz"]);
    let kept = BTreeSet::from([name("zz")]);
    let config = gateway.served.as_ref().expect("served");
    let saved = Saved::of_repository(&f.path(), config, &kept).expect("saved");
    let (mirror, good) = Mirror::restore(name("test"), saved).expect("restored");
    let mut again = Gateway::new(&f);
    let loaded = mirror.load(good.as_ref()).expect("loaded").expect("a commit");
    assert_eq!(again.take(loaded).0, ["aa", "zz"]);
    assert_eq!(again.paths(), ["zz /x"]);
    // Beside the repository the same: it has none of the objects that were kept.
    let mut beside = Gateway::new(&f);
    beside.served = good.as_ref().map(GroupConfig::elsewhere);
    assert_eq!(beside.follow().0, ["aa", "zz"]);
    assert_eq!(beside.paths(), ["zz /x"]);
}

/// Each row: services before, services after, who is at fault, and what is served.
#[test]
fn who_was_there_first_stays() {
    type Services<'s> = &'s [(&'s str, &'s [&'s str])];
    let table: &[(Services<'_>, Services<'_>, &[&str], &[&str])] = &[
        // One that changes elsewhere keeps its place before one that comes.
        (&[("b", &["/x"])], &[("a", &["/x"]), ("b", &["/x", "/z"])], &["a"], &["b /x", "b /z"]),
        // Two that come together: the later by name.
        (&[], &[("a", &["/x"]), ("b", &["/x"])], &["b"], &["a /x"]),
        // They change places.
        (
            &[("a", &["/x"]), ("b", &["/y"])],
            &[("a", &["/y"]), ("b", &["/x"])],
            &[],
            &["a /y", "b /x"],
        ),
        // One moves on, and another takes its place.
        (&[("a", &["/x"])], &[("a", &["/y"]), ("b", &["/x"])], &[], &["a /y", "b /x"]),
        // One would move on, but may not: what it has is not free.
        (
            &[("b", &["/y"]), ("c", &["/x"])],
            &[("a", &["/x"]), ("b", &["/y"]), ("c", &["/y"])],
            &["a", "c"],
            &["b /y", "c /x"],
        ),
        // It ties with itself.
        (&[("a", &["/x"])], &[("a", &["/y", "/y"]), ("b", &["/x"])], &["a", "b"], &["a /x"]),
    ];
    for (before, after, faulty, served) in table {
        let f = Fixture::new();
        for (service_name, paths) in *before {
            f.put("test", service_name, service(paths)).expect("put");
        }
        let mut gateway = Gateway::new(&f);
        gateway.follow();
        let mut files = Vec::new();
        for (service_name, paths) in *after {
            files.push((format!("services/{service_name}/service.json"), "{}".to_owned()));
            files.push((format!("runtime/{service_name}.json"), NODES.to_owned()));
            for (n, path) in paths.iter().enumerate() {
                let file = format!("services/{service_name}/routes/r{n}.json");
                files.push((file, json!({"paths": [path]}).to_string()));
            }
        }
        let files: Vec<_> =
            files.iter().map(|(path, text)| (path.as_str(), Some(text.as_str()))).collect();
        push_all(&f, &files);
        assert_eq!(gateway.follow().0, *faulty, "{before:?} {after:?}");
        assert_eq!(gateway.paths(), *served, "{before:?} {after:?}");
    }
}

/// A service whose certificate goes keeps its place as well.
#[test]
fn a_lack_of_a_certificate_gives_no_place_away() {
    let f = Fixture::new();
    let certificate = json!({
        "snis": ["a.com"], "certificate": "$env://CHAIN", "private_key": "$env://KEY"
    });
    push(&f, "certificates/mtls.json", &certificate.to_string());
    let mut user = service(&["/x"]);
    user["runtime"]["upstreams"]["default"]["tls"] = json!({"client_certificate": "mtls"});
    f.put("test", "zz", user).expect("put");
    let mut gateway = Gateway::new(&f);
    assert_eq!(gateway.follow().0, [""; 0]);
    push(&f, "certificates/mtls.json", "{");
    f.put("test", "other", json!({})).expect("put");
    assert_eq!(gateway.follow().0, [""; 0], "it is there, if not sound");
    push_all(
        &f,
        &[
            ("certificates/mtls.json", None),
            ("services/aa/service.json", Some("{}")),
            ("services/aa/routes/r.json", Some("{\"paths\": [\"/x\"]}")),
            ("runtime/aa.json", Some(NODES)),
        ],
    );
    let (faulty, errors) = gateway.follow();
    assert_eq!(faulty, ["aa", "zz"]);
    assert_eq!(
        errors,
        ["runtime/zz.json unknown_certificate", "services/aa/routes/r.json route_conflict"]
    );
    assert_eq!(gateway.paths(), ["zz /x"]);
}
