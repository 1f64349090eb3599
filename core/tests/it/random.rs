//! Random documents: writing and reading them back changes nothing, and a merge of random contents
//! is sound or says what is not. The objects that a group owns are made in `random/objects.rs`.

mod objects;

use std::fmt::Debug;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use refgate_core::document::{
    Certificate, Consumer, GlobalRule, Group, Reader, Route, Runtime, Service, Shape,
};
use refgate_core::json;
use refgate_core::merge::OnConflict;
use serde_json::{Map, Value, json};

use crate::schema::Judge;
use crate::support::Fixture;

/// Every form of a document has its meaning, and its text is read as what was written.
/// Editors have nothing against it.
fn one_meaning<T: Shape + Debug + PartialEq>(
    schema: &str,
    document: &Value,
) -> Result<(), TestCaseError> {
    static JUDGE: LazyLock<Judge> = LazyLock::new(Judge::new);
    let read = |value: &Value| {
        let mut findings = Vec::new();
        let read = T::read(value, &mut Reader::new("document.json", &mut findings));
        (read, findings)
    };
    let (typed, findings) = read(document);
    prop_assert_eq!(findings, vec![], "what is made here is sound");
    let (canonical, expanded) = (T::canonical(document), T::expand(document));
    prop_assert_eq!(&T::canonical(&canonical), &canonical);
    prop_assert_eq!(&T::expand(&expanded), &expanded);
    prop_assert_eq!(&T::canonical(&expanded), &canonical);
    prop_assert_eq!(&T::expand(&canonical), &expanded);
    prop_assert_eq!(JUDGE.refusal(schema, document), None);
    for form in [&canonical, &expanded] {
        prop_assert_eq!(JUDGE.refusal(schema, form), None);
        prop_assert_eq!(&read(form).0, &typed);
        let text = json::to_text(form);
        let parsed = json::parse(text.as_bytes()).expect("what was written is JSON");
        prop_assert_eq!(&parsed.value, form);
        prop_assert_eq!(json::to_text(&parsed.value), text);
        // Keys in schema order, whatever the order they came in.
        let mut shuffled = parsed.value;
        shuffled.sort_all_objects();
        prop_assert_eq!(json::to_text(&T::canonical(&shuffled)), json::to_text(&canonical));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(
            proptest::test_runner::FileFailurePersistence::Direct(KEPT),
        )),
        ..ProptestConfig::default()
    })]

    #[test]
    fn groups(document in group()) {
        one_meaning::<Group>("group.json", &document)?;
    }

    #[test]
    fn services(document in service()) {
        one_meaning::<Service>("service.json", &document)?;
    }

    #[test]
    fn routes(document in route()) {
        one_meaning::<Route>("route.json", &document)?;
    }

    #[test]
    fn runtimes(document in runtime()) {
        one_meaning::<Runtime>("runtime.json", &document)?;
    }

    #[test]
    fn consumers(document in objects::consumer()) {
        one_meaning::<Consumer>("consumer.json", &document)?;
    }

    #[test]
    fn certificates(document in objects::certificate()) {
        one_meaning::<Certificate>("certificate.json", &document)?;
    }

    #[test]
    fn global_rules(document in objects::global_rule()) {
        one_meaning::<GlobalRule>("global-rule.json", &document)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 16,
        failure_persistence: Some(Box::new(
            proptest::test_runner::FileFailurePersistence::Direct(KEPT),
        )),
        ..ProptestConfig::default()
    })]

    /// What a sync makes of base, target and version is sound, or the sync says what is not and
    /// leaves the target alone.
    #[test]
    fn merges(base in content(), ours in content(), theirs in content()) {
        let f = Fixture::in_memory();
        let put = |group: &str, content: &Value| f.put(group, "a", content.clone());
        if put("test", &base).is_err() || f.sync("a", "test", "uat", Some("1.0.0")).is_err() {
            // Routes of one service may tie; that is another test's business.
            return Ok(());
        }
        let nodes = json!({"runtime": {"upstreams": {
            "default": {"nodes": [{"host": "127.0.0.1", "port": 8000}]},
            "other": {"nodes": [{"host": "127.0.0.1", "port": 8001}]},
        }}});
        f.patch("uat", "a", nodes).ok();
        if put("uat", &ours).is_err() || put("test", &theirs).is_err() {
            return Ok(());
        }
        let before = (f.heads(), f.service("uat", "a"));
        for side in [OnConflict::Abort, OnConflict::Ours, OnConflict::Theirs] {
            match f.sync_with("a", "test", "uat", Some("1.1.0"), side) {
                Ok(_) => {
                    let group = "uat".parse().expect("a name");
                    let findings = f.repository.validate(Some(&group), &Default::default());
                    let findings = findings.expect("the group is read");
                    prop_assert!(findings.iter().all(|finding| !finding.is_error()), "{:?}", findings);
                    prop_assert_eq!(&f.service("uat", "a")["runtime"], &before.1["runtime"]);
                    return Ok(());
                }
                Err(error) => {
                    prop_assert_eq!(f.heads(), before.0.clone());
                    match error.code() {
                        "promotion_conflict" => {
                            prop_assert_eq!(side, OnConflict::Abort);
                            prop_assert!(!error.conflicts().is_empty());
                        }
                        "validation_failed" => prop_assert!(!error.diagnostics().is_empty()),
                        // The content that was there before, or the same twice.
                        "version_mismatch" => {}
                        other => prop_assert!(false, "{}: {}", other, error),
                    }
                }
            }
        }
    }
}

const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/proptest-regressions/random.txt");

/// An object of which every key may be absent.
fn object(fields: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let fields: Vec<_> = fields
        .into_iter()
        .map(|(key, value)| option::of(value.prop_map(move |value| (key.to_owned(), value))))
        .collect();
    let object = fields.prop_map(|fields| fields.into_iter().flatten().collect::<Map<_, _>>());
    object.prop_map(Value::Object).boxed()
}

/// The object with a key that must be there.
fn with(
    key: &'static str,
    value: BoxedStrategy<Value>,
    rest: BoxedStrategy<Value>,
) -> BoxedStrategy<Value> {
    (value, rest)
        .prop_map(move |(value, mut rest)| {
            rest[key] = value;
            rest
        })
        .boxed()
}

fn one_of(values: &'static [&'static str]) -> BoxedStrategy<Value> {
    select(values).prop_map(Value::from).boxed()
}

fn some_of(values: &'static [&'static str], least: usize) -> BoxedStrategy<Value> {
    subsequence(values, least..=values.len()).prop_shuffle().prop_map(Value::from).boxed()
}

fn flag() -> BoxedStrategy<Value> {
    any::<bool>().prop_map(Value::from).boxed()
}

fn text() -> BoxedStrategy<Value> {
    prop_oneof![Just(String::new()), ".{0,12}"].prop_map(Value::from).boxed()
}

fn labels() -> BoxedStrategy<Value> {
    btree_map(".{0,6}", ".{0,6}", 0..3)
        .prop_map(|labels| labels.into_iter().map(|(key, value)| (key, value.into())).collect())
        .prop_map(Value::Object)
        .boxed()
}

/// Whole, with a fraction, and whole but written with one.
fn seconds() -> BoxedStrategy<Value> {
    prop_oneof![
        (1..100_u32).prop_map(Value::from),
        (1..100_u32).prop_map(|seconds| Value::from(f64::from(seconds))),
        (1e-6..1e6_f64).prop_map(Value::from),
    ]
    .boxed()
}

/// Written with a fraction of nothing now and then.
fn whole(range: RangeInclusive<i64>) -> BoxedStrategy<Value> {
    let written = |(number, fraction): (i64, bool)| match i32::try_from(number) {
        Ok(number) if fraction => Value::from(f64::from(number)),
        _ => Value::from(number),
    };
    (range, any::<bool>()).prop_map(written).boxed()
}

fn number(most: u32) -> BoxedStrategy<Value> {
    whole(0..=i64::from(most))
}

fn group() -> BoxedStrategy<Value> {
    let variables = btree_map("[a-z_][a-z0-9_.-]{0,5}", ".{0,6}", 0..3)
        .prop_map(|all| all.into_iter().map(|(key, value)| (key, value.into())).collect())
        .prop_map(Value::Object)
        .boxed();
    let promotion = object(vec![
        ("from", some_of(&["test", "uat"], 0)),
        ("direct_edits", one_of(&["allow", "runtime-only"])),
    ]);
    let http = object(vec![
        ("trusted_proxies", some_of(&["10.0.0.0/8", "::1", "192.168.1.7/16"], 0)),
        ("encoded_slashes", one_of(&["reject", "keep"])),
    ]);
    object(vec![
        ("http", http),
        ("promotion", promotion),
        ("variables", variables),
        ("labels", labels()),
        ("type", one_of(&["gateway", "ingress"])),
        ("description", text()),
    ])
}

fn service() -> BoxedStrategy<Value> {
    let plugins = Just(json!({})).boxed();
    object(vec![
        ("plugins", plugins),
        ("labels", labels()),
        ("description", text()),
        ("type", one_of(&["http"])),
    ])
}

fn predicates() -> BoxedStrategy<Value> {
    let test = prop_oneof![
        ".{0,6}".prop_map(|value| ("value", Value::from(value))),
        select(vec!["a.*", "[0-9]+"]).prop_map(|regex| ("regex", Value::from(regex))),
        any::<bool>().prop_map(|present| ("present", Value::from(present))),
    ];
    btree_map("[a-z]{1,3}", test, 0..3)
        .prop_map(|all| {
            all.into_iter().map(|(name, (test, of))| json!({"name": name, test: of})).collect()
        })
        .boxed()
}

fn route() -> BoxedStrategy<Value> {
    let paths = some_of(&["/", "/a", "/a/*", "/a*", "/b/{id}", "/b/{id}/c/*", "~/[a-z]+"], 1);
    let matches = object(vec![
        ("remote_addrs", some_of(&["10.0.0.0/8", "::1", "127.0.0.1"], 0)),
        ("cookies", predicates()),
        ("query", predicates()),
        ("headers", predicates()),
    ]);
    let timeout = object(vec![("read", seconds()), ("send", seconds()), ("connect", seconds())]);
    let rest = object(vec![
        ("plugins", Just(json!({})).boxed()),
        ("websocket", flag()),
        ("timeout", timeout),
        ("upstream", one_of(&["default", "other"])),
        ("match", matches),
        ("priority", whole(i64::from(i32::MIN)..=i64::from(i32::MAX))),
        ("methods", some_of(&["GET", "HEAD", "PURGE"], 0)),
        ("enabled", flag()),
        ("labels", labels()),
        ("description", text()),
    ]);
    with("paths", paths, rest)
}

fn runtime() -> BoxedStrategy<Value> {
    let upstreams = btree_map("[a-z]{1,3}", upstream(), 0..3)
        .prop_map(|all| Value::Object(all.into_iter().collect()))
        .boxed();
    object(vec![
        ("upstreams", upstreams),
        ("strip_path_prefix", flag()),
        ("path_prefix", one_of(&["", "/api", "/api/v1"])),
        ("hosts", some_of(&["a.com", "B.com", "*.c.Com", "[::1]"], 0)),
        ("enabled", flag()),
    ])
}

fn upstream() -> BoxedStrategy<Value> {
    let node = with(
        "port",
        whole(1..=65_535),
        with(
            "host",
            one_of(&["httpbin.org", "10.0.0.7", "::1", "$env://HOST"]),
            object(vec![
                ("priority", whole(i64::from(i32::MIN)..=i64::from(i32::MAX))),
                ("weight", number(1000)),
            ]),
        ),
    );
    let nodes = vec(node, 0..3)
        .prop_map(|mut nodes| {
            let mut ports = std::collections::BTreeSet::new();
            nodes.retain(|node| ports.insert(node["port"].as_f64().map(f64::to_bits)));
            Value::from(nodes)
        })
        .boxed();
    let authorities = one_of(&["", "$file:///ca.pem", objects::PEM]);
    let balancer = prop_oneof![
        object(vec![("type", one_of(&["roundrobin", "least_conn", "ewma", "p2c"]))]),
        Just(json!({"key": "k", "type": "chash", "hash_on": "header"})),
    ];
    let keepalive =
        object(vec![("requests", number(9)), ("idle_timeout", seconds()), ("size", number(400))]);
    object(vec![
        ("checks", checks()),
        ("max_in_flight", number(9)),
        ("tls", object(vec![("ca", authorities), ("verify", flag())])),
        ("keepalive", keepalive),
        ("timeout", object(vec![("read", seconds()), ("send", seconds()), ("connect", seconds())])),
        ("retry_timeout", prop_oneof![seconds(), Just(json!(0)), Just(json!(0.0))].boxed()),
        ("retry_on", some_of(&["connect", "timeout", "reset", "5xx", "503"], 0)),
        ("retries", number(9)),
        ("balancer", balancer.boxed()),
        ("pass_host", one_of(&["pass", "node"])),
        ("scheme", one_of(&["http", "https", "h2c", "grpc", "grpcs"])),
        ("nodes", nodes),
    ])
}

fn checks() -> BoxedStrategy<Value> {
    let unhealthy = object(vec![
        ("timeouts", number(9)),
        ("http_failures", number(9)),
        ("interval", seconds()),
    ]);
    let active = object(vec![
        ("unhealthy", unhealthy),
        ("healthy", object(vec![("successes", number(9)), ("interval", seconds())])),
        ("timeout", seconds()),
        ("http_path", one_of(&["/", "/health?x=1"])),
        ("type", one_of(&["http", "https", "tcp"])),
    ]);
    let passive = object(vec![("type", one_of(&["http", "tcp"]))]);
    let checks = object(vec![("panic_threshold", number(100))]);
    let checks = with("passive", passive, with("active", active, checks));
    prop_oneof![Just(json!({})), checks].boxed()
}

/// A service whole, without runtime.
fn content() -> BoxedStrategy<Value> {
    (service(), btree_map(select(vec!["r", "s"]), route(), 0..=2))
        .prop_map(|(mut service, routes)| {
            let routes = routes.into_iter().map(|(name, route)| (name.to_owned(), route));
            service["routes"] = Value::Object(routes.collect());
            service
        })
        .boxed()
}
