//! Consumers, certificates and global rules: what is accepted, what is refused, what is kept.

use std::collections::BTreeMap;

use refgate_core::Error;
use refgate_core::change::{Operation, Precondition, RollbackTarget, Written};
use refgate_core::config::GroupConfig;
use refgate_core::name::Revision;
use refgate_core::object::{ObjectKind, ObjectName};
use refgate_core::repository::Repository;
use refgate_core::store::GroupReader;
use refgate_core::view::HistoryFilter;
use serde_json::{Value, json};

use crate::support::{Fixture, change, clock, httpbin, name, push};

/// A self-signed certificate in frame only: SEQUENCE {}.
const PEM: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
const SHA: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const SHA_UPPER: &str = "sha256:9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08";
const BCRYPT: &str = "$2y$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy";
const ARGON: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzYWx0$YWJjZGVmZ2hpamtsbW5vcHFyc3R1dg";
/// What must never be repeated.
const PLAIN: &str = "hunter2hunter2";

fn object(kind: ObjectKind, text: &str) -> ObjectName {
    kind.named(text).expect(text)
}

fn certificate(snis: &[&str]) -> Value {
    json!({"snis": snis, "certificate": PEM, "private_key": "$file:///etc/refgate/key.pem"})
}

fn put(f: &Fixture, group: &str, object: &ObjectName, document: Value) -> Result<Written, Error> {
    f.apply(group, Operation::PutObject { object: object.clone(), document })
}

fn copy(f: &Fixture, to: &str, object: &ObjectName, replace: bool) -> Result<Written, Error> {
    let operation = Operation::CopyObject { object: object.clone(), from: name("test"), replace };
    f.apply(to, operation)
}

fn codes(error: &Error) -> Vec<String> {
    error.diagnostics().iter().map(|f| format!("{} {}", f.pointer, f.code)).collect()
}

fn newest_event(f: &Fixture, group: &str) -> Value {
    let filter = HistoryFilter { limit: 1, ..HistoryFilter::default() };
    let page = f.repository.history(&name(group), &filter).expect("history");
    serde_json::to_value(page).expect("a view serialises")[0].clone()
}

/// A service that shows its nodes a certificate needs the group to have it, whichever way it goes.
#[test]
fn certificates_that_upstreams_show_to_nodes_stay() {
    let f = Fixture::new();
    let mut service = httpbin();
    service["runtime"]["upstreams"]["default"]["tls"] = json!({"client_certificate": "gatewy"});
    let pointer = "/upstreams/default/tls/client_certificate unknown_certificate";
    let error = f.put("test", "httpbin", service.clone()).expect_err("there is none");
    assert_eq!(codes(&error), [pointer]);
    let own = object(ObjectKind::Certificate, "gateway");
    put(&f, "test", &own, certificate(&["a.com"])).expect("a certificate");
    let error = f.put("test", "httpbin", service.clone()).expect_err("of another name");
    assert_eq!(codes(&error), [pointer]);
    let hint = error.diagnostics()[0].hint.clone().expect("a hint");
    assert!(hint.contains("gateway"), "{hint}");
    service["runtime"]["upstreams"]["default"]["tls"]["client_certificate"] = json!("gateway");
    f.put("test", "httpbin", service).expect("the group has it");
    let mut faulty =
        json!({"hosts": ["b.com"], "upstreams": {"a": {"tls": {"client_certificate": "gateway"}}}});
    faulty["typo"] = json!(1);
    push(&f, "services/broken/service.json", "{}");
    push(&f, "runtime/broken.json", &faulty.to_string());
    let error = f.apply("test", Operation::DeleteObject { object: own.clone() });
    let error = error.expect_err("it is in use");
    assert_eq!(error.code(), "still_referenced");
    assert_eq!(
        error.to_string(),
        "certificate gateway is still shown to nodes by upstream a of service broken, \
         upstream default of service httpbin"
    );
    let files: Vec<_> = error.diagnostics().iter().map(|found| found.file.as_str()).collect();
    assert_eq!(files, ["runtime/broken.json", "runtime/httpbin.json"]);
    assert_eq!(codes(&error)[1], pointer);
    // Of files that are written together it is told what is wrong with them.
    let files = [("certificates/gateway.json".to_owned(), Value::Null)].into();
    let error = f.apply("test", Operation::Commit { files, message: None }).expect_err("in use");
    assert_eq!(error.code(), "validation_failed");
    f.apply("test", Operation::DeleteService { service: name("broken") }).expect("deleted");
    f.put("test", "httpbin", httpbin()).expect("without");
    f.apply("test", Operation::DeleteObject { object: own }).expect("nobody uses it");
}

/// Each row: a file, its document, and the findings as `pointer code` in order.
#[test]
fn findings() {
    let consumer = |credential: Value| json!({"credentials": {"main": credential}});
    let at = |rest: &str| format!("/credentials/main{rest}");
    let with = |key: &str, value: &str| {
        let mut document = certificate(&["a.com"]);
        document[key] = json!(value);
        document
    };
    let one = |finding: &str| vec![finding.to_owned()];
    let key_block = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
    let public_key = "-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n";
    let rsa = "-----BEGIN RSA PRIVATE KEY-----\nMAA=\n-----END RSA PRIVATE KEY-----\n";
    let c = "consumers/Mobile_App.json";
    let t = "certificates/a.json";
    let r = "global-rules/a.json";
    let table: Vec<(&str, Value, Vec<String>)> = vec![
        (c, json!({}), vec![]),
        (c, json!([]), one(" wrong_type")),
        (c, json!({"credentails": {}}), one("/credentails unknown_key")),
        (c, json!({"labels": {"a": 1}}), one("/labels/a wrong_type")),
        (c, json!({"plugins": {"jwt": {}}}), one("/plugins/jwt unknown_plugin")),
        (
            c,
            json!({"credentials": {"A": {}}}),
            vec![
                "/credentials/A bad_name".to_owned(),
                "/credentials/A/type missing_key".to_owned(),
            ],
        ),
        (c, consumer(json!(1)), one(&at(" wrong_type"))),
        (c, consumer(json!({"type": "key"})), one(&at("/type bad_value"))),
        (c, consumer(json!({"type": 1})), one(&at("/type wrong_type"))),
        (c, consumer(json!({"type": "key-auth"})), one(&at("/key missing_key"))),
        (c, consumer(json!({"type": "key-auth", "key": PLAIN})), one(&at("/key inline_secret"))),
        (
            c,
            consumer(json!({"type": "key-auth", "key": "sha256:ab"})),
            one(&at("/key inline_secret")),
        ),
        (c, consumer(json!({"type": "key-auth", "key": ""})), one(&at("/key inline_secret"))),
        (
            c,
            consumer(json!({"type": "key-auth", "key": "$env://"})),
            one(&at("/key inline_secret")),
        ),
        (c, consumer(json!({"type": "key-auth", "key": BCRYPT})), one(&at("/key inline_secret"))),
        (c, consumer(json!({"type": "key-auth", "key": SHA})), vec![]),
        (
            c,
            consumer(json!({"type": "key-auth", "key": SHA.to_uppercase()})),
            one(&at("/key inline_secret")),
        ),
        (c, consumer(json!({"type": "key-auth", "key": "$env://KEY"})), vec![]),
        (
            c,
            consumer(json!({"type": "key-auth", "key": SHA, "pasword": PLAIN})),
            one(&at("/pasword unknown_key")),
        ),
        (
            c,
            consumer(json!({"type": "basic-auth", "username": "a", "password": PLAIN})),
            one(&at("/password inline_secret")),
        ),
        (
            c,
            consumer(json!({"type": "basic-auth", "username": "a", "password": SHA})),
            one(&at("/password inline_secret")),
        ),
        (
            c,
            consumer(json!({"type": "basic-auth", "username": "a", "password": "$2y$10$short"})),
            one(&at("/password inline_secret")),
        ),
        (
            c,
            consumer(
                json!({"type": "basic-auth", "username": "a", "password": "$argon2id$v=19$hunter2"}),
            ),
            one(&at("/password inline_secret")),
        ),
        (
            c,
            consumer(json!({"type": "basic-auth", "username": "a:b", "password": BCRYPT})),
            one(&at("/username bad_value")),
        ),
        (
            c,
            consumer(json!({"type": "basic-auth", "username": "", "password": ARGON})),
            one(&at("/username bad_value")),
        ),
        (c, consumer(json!({"type": "basic-auth", "username": "a", "password": BCRYPT})), vec![]),
        (c, consumer(json!({"type": "basic-auth", "username": "a", "password": ARGON})), vec![]),
        (
            c,
            consumer(json!({"type": "basic-auth", "username": "a", "password": "$file:///run/p"})),
            vec![],
        ),
        (
            c,
            consumer(json!({"type": "jwt-auth", "key": "a", "secret": PLAIN})),
            one(&at("/secret inline_secret")),
        ),
        (
            c,
            consumer(json!({"type": "jwt-auth", "key": "a", "secret": SHA})),
            one(&at("/secret inline_secret")),
        ),
        (c, consumer(json!({"type": "jwt-auth", "key": "a"})), one(&at("/secret missing_key"))),
        (c, consumer(json!({"type": "jwt-auth", "key": "a", "secret": "$env://S"})), vec![]),
        (
            c,
            consumer(json!({"type": "jwt-auth", "key": "a", "algorithm": "none"})),
            one(&at("/algorithm bad_value")),
        ),
        (
            c,
            consumer(
                json!({"type": "jwt-auth", "key": "a", "algorithm": "RS256", "public_key": public_key}),
            ),
            vec![],
        ),
        (
            c,
            consumer(
                json!({"type": "jwt-auth", "key": "a", "algorithm": "RS256", "public_key": "$env://P"}),
            ),
            vec![],
        ),
        (
            c,
            consumer(
                json!({"type": "jwt-auth", "key": "a", "algorithm": "RS256", "public_key": rsa}),
            ),
            one(&at("/public_key inline_secret")),
        ),
        (
            c,
            consumer(
                json!({"type": "jwt-auth", "key": "a", "algorithm": "RS256", "secret": "$env://S"}),
            ),
            vec![at("/public_key missing_key"), at("/secret bad_value")],
        ),
        (
            c,
            consumer(json!({"type": "hmac-auth", "key_id": "a", "secret": PLAIN})),
            one(&at("/secret inline_secret")),
        ),
        (c, consumer(json!({"type": "hmac-auth", "key_id": "a", "secret": "$env://S"})), vec![]),
        (t, certificate(&["a.com", "*.a.com"]), vec![]),
        (
            t,
            json!({}),
            vec![
                "/certificate missing_key".to_owned(),
                "/private_key missing_key".to_owned(),
                "/snis missing_key".to_owned(),
            ],
        ),
        (t, certificate(&[]), one("/snis bad_value")),
        (t, certificate(&["a.com", "A.com"]), one("/snis/1 bad_value")),
        (t, certificate(&["a.com:443"]), one("/snis/0 bad_host")),
        (t, certificate(&["a.*"]), one("/snis/0 bad_host")),
        (
            t,
            certificate(&["10.0.0.1", "[::1]"]),
            vec!["/snis/0 bad_host".to_owned(), "/snis/1 bad_host".to_owned()],
        ),
        (t, with("private_key", key_block), one("/private_key inline_secret")),
        (t, with("private_key", PLAIN), one("/private_key inline_secret")),
        (t, with("private_key", ""), one("/private_key inline_secret")),
        (t, with("private_key", "$env://KEY"), vec![]),
        (t, with("client_ca", PEM), vec![]),
        (t, with("client_ca", "$file:///etc/refgate/clients.pem"), vec![]),
        (t, with("client_ca", key_block), one("/client_ca inline_secret")),
        (t, with("client_ca", "clients"), one("/client_ca bad_pem")),
        (t, with("certificate", &format!("{PEM}{key_block}")), one("/certificate inline_secret")),
        (t, with("certificate", PLAIN), one("/certificate bad_pem")),
        (t, with("certificate", public_key), one("/certificate bad_pem")),
        (t, with("certificate", &PEM.replace("MAA=", "MAA")), one("/certificate bad_pem")),
        (t, with("certificate", "$file:///etc/a.pem"), vec![]),
        (t, with("private_key", "$var://inline"), one("/private_key inline_secret")),
        (t, with("private_key", "$var://reference"), vec![]),
        (t, with("private_key", "$var://nothing"), one("/private_key unresolved_variable")),
        (r, json!({"description": "for all", "labels": {"a": "b"}, "plugins": {}}), vec![]),
        (r, json!({"plugins": {"cors": {}}}), one("/plugins/cors unknown_plugin")),
        ("certificates/A.json", certificate(&["a.com"]), one(" bad_name")),
        ("consumers/a.b.json", json!({}), one(" bad_name")),
        ("consumers/a.yaml", json!({}), one(" unexpected_file")),
        ("global-rules/x/y.json", json!({}), one(" unexpected_file")),
    ];
    let f = Fixture::new();
    let group = json!({"variables": {"inline": PLAIN, "reference": "$file:///etc/key.pem"}});
    for (file, document, expected) in table {
        let files = BTreeMap::from([
            ("group.json".to_owned(), group.clone()),
            (file.to_owned(), document.clone()),
        ]);
        let findings = f.repository.validate(None, &files).expect("validated");
        let found: Vec<String> = findings
            .iter()
            .map(|finding| {
                assert_eq!(finding.file, file, "{document}: {finding}");
                assert!(!finding.to_string().contains(PLAIN), "a secret is repeated: {finding}");
                format!("{} {}", finding.pointer, finding.code)
            })
            .collect();
        assert_eq!(found, expected, "{file} {document}: {findings:#?}");
    }
}

#[test]
fn an_object_is_written_read_patched_and_removed() {
    let f = Fixture::new();
    let app = object(ObjectKind::Consumer, "Mobile_App");
    let document = json!({"credentials": {"z": {"key": SHA_UPPER, "type": "key-auth"},
        "j": {"type": "jwt-auth", "secret": "$env://S", "key": "k", "algorithm": "HS256"}}, "description": ""});
    let written = put(&f, "test", &app, document.clone()).expect("written");
    assert!(written.changed && written.created);
    let event = newest_event(&f, "test");
    assert_eq!(event["event"], "consumer.created");
    assert_eq!(event["subject"], "add consumer Mobile_App to test");
    let text = f.git(&["show", "test:consumers/Mobile_App.json"]);
    let canonical = json!({"credentials": {"j": {"type": "jwt-auth", "key": "k", "secret": "$env://S"},
        "z": {"type": "key-auth", "key": SHA}}});
    assert_eq!(text, format!("{canonical:#}\n"));
    assert!(!put(&f, "test", &app, document).expect("the same").changed);

    let group = name("test");
    let read = f.repository.object(&group, &app).expect("there");
    assert_eq!(read.value["credentials"]["j"]["algorithm"], "HS256");
    assert_eq!((&read.value["labels"], &read.value["plugins"]), (&json!({}), &json!({})));
    let listed = f.repository.objects(&group, ObjectKind::Consumer).expect("listed");
    assert_eq!(listed.into_iter().collect::<Vec<_>>(), [("Mobile_App".to_owned(), read.value)]);
    assert!(f.repository.objects(&group, ObjectKind::GlobalRule).expect("none").is_empty());

    let patch = json!({"credentials": {"j": null}, "labels": {"team": "mobile"}});
    let mut patched = change("test", Operation::PatchObject { object: app.clone(), patch });
    patched.precondition = Precondition::same("0".repeat(40));
    let refused = f.repository.apply(patched.clone()).expect_err("changed since");
    assert_eq!(refused.code(), "precondition_failed");
    patched.precondition = Precondition::same(read.etag);
    assert!(f.repository.apply(patched).expect("patched").changed);
    assert_eq!(newest_event(&f, "test")["event"], "consumer.updated");
    let read = f.repository.object(&group, &app).expect("there").value;
    assert_eq!(read["labels"]["team"], "mobile");
    assert!(read["credentials"].get("j").is_none());

    let create = Operation::PutObject { object: app.clone(), document: json!({}) };
    let mut create = change("test", create);
    create.precondition = Precondition::absent();
    let refused = f.repository.apply(create).expect_err("there already");
    assert_eq!(refused.code(), "precondition_failed");

    let delete = || Operation::DeleteObject { object: app.clone() };
    assert!(f.apply("test", delete()).expect("removed").changed);
    assert_eq!(newest_event(&f, "test")["event"], "consumer.deleted");
    for refused in [
        f.apply("test", delete()).expect_err("gone"),
        f.apply("test", Operation::PatchObject { object: app.clone(), patch: json!({}) })
            .expect_err("gone"),
        f.repository.object(&group, &app).expect_err("gone"),
    ] {
        assert_eq!(refused.code(), "not_found");
    }
}

#[test]
fn one_sni_is_one_certificates() {
    let f = Fixture::new();
    let one = object(ObjectKind::Certificate, "one");
    let two = object(ObjectKind::Certificate, "two");
    put(&f, "test", &one, certificate(&["a.com", "*.b.com"])).expect("one");
    put(&f, "test", &two, certificate(&["x.b.com", "c.com"]))
        .expect("two: more specific is another");
    let refused = put(&f, "test", &two, certificate(&["c.com", "*.B.com"])).expect_err("taken");
    assert_eq!(codes(&refused), ["/snis/1 sni_conflict"]);
    let message = &refused.diagnostics()[0].message;
    assert!(message.contains("one") && message.contains("two"), "{message}");
    put(&f, "uat", &two, certificate(&["*.b.com"])).expect("another group");

    // In one commit an SNI can move from the one to the other.
    let files = BTreeMap::from([
        (one.path(), certificate(&["a.com"])),
        (two.path(), certificate(&["*.b.com"])),
    ]);
    f.apply("test", Operation::Commit { files, message: None }).expect("moved");
    assert_eq!(newest_event(&f, "test")["event"], "certificate.updated");
    f.apply("test", Operation::DeleteObject { object: two }).expect("removed");
    put(&f, "test", &one, certificate(&["*.b.com"])).expect("free again");
}

#[test]
fn one_credential_is_one_consumers() {
    let f = Fixture::new();
    let (ana, ben) = (object(ObjectKind::Consumer, "ana"), object(ObjectKind::Consumer, "ben"));
    let key = json!({"type": "key-auth", "key": SHA});
    let basic = json!({"type": "basic-auth", "username": "ana", "password": BCRYPT});
    put(&f, "test", &ana, json!({"credentials": {"k": key, "b": basic}})).expect("ana");
    let jwt = json!({"type": "jwt-auth", "key": "ana", "secret": "$env://S"});
    put(&f, "test", &ben, json!({"credentials": {"j": jwt}})).expect("another kind of key");
    let both = json!({"credentials": {"x": key, "y": basic}});
    let refused = put(&f, "test", &ben, both).expect_err("taken");
    assert_eq!(
        codes(&refused),
        ["/credentials/x/key credential_conflict", "/credentials/y/username credential_conflict"]
    );
    let twice = json!({"credentials": {"x": jwt, "y": jwt}});
    let refused = put(&f, "test", &ben, twice).expect_err("twice");
    assert_eq!(codes(&refused), ["/credentials/y/key credential_conflict"]);
}

#[test]
fn copies_are_asked_for_and_do_not_write_over() {
    let f = Fixture::new();
    let web = object(ObjectKind::Certificate, "web");
    let refused = copy(&f, "uat", &web, false).expect_err("not there");
    assert_eq!(refused.code(), "not_found");
    put(&f, "test", &web, certificate(&["a.com"])).expect("written");
    let copied = copy(&f, "uat", &web, false).expect("copied");
    assert!(copied.created && copied.changed);
    let event = newest_event(&f, "uat");
    assert_eq!(
        (&event["event"], &event["subject"], &event["from_group"]),
        (
            &json!("certificate.created"),
            &json!("copy certificate web from test to uat"),
            &json!("test")
        )
    );
    let again = copy(&f, "uat", &web, false).expect("the same");
    assert!(!again.created && !again.changed);

    put(&f, "uat", &web, certificate(&["uat.a.com"])).expect("uat's own");
    let refused = copy(&f, "uat", &web, false).expect_err("another one");
    assert_eq!(refused.code(), "already_exists");
    assert!(copy(&f, "uat", &web, true).expect("replaced").changed);
    assert_eq!(newest_event(&f, "uat")["event"], "certificate.updated");
    assert_eq!(copy(&f, "test", &web, true).expect_err("itself").code(), "malformed_request");

    // What the copy needs, the target must have.
    f.apply("test", Operation::PatchGroup { patch: json!({"variables": {"key": "$env://KEY"}}) })
        .expect("a variable");
    let mut document = certificate(&["a.com"]);
    document["private_key"] = json!("$var://key");
    put(&f, "test", &web, document).expect("written");
    let refused = copy(&f, "uat", &web, true).expect_err("uat has no such variable");
    assert_eq!(codes(&refused), ["/private_key unresolved_variable"]);
}

#[test]
fn rollback_and_promotion_know_whose_they_are() {
    let f = Fixture::new();
    let patch = json!({"promotion": {"direct_edits": "runtime-only"}});
    f.put("test", "httpbin", httpbin()).expect("a service");
    let rule = object(ObjectKind::GlobalRule, "all");
    put(&f, "test", &rule, json!({"description": "one"})).expect("written");
    let then = newest_event(&f, "test")["revision"].as_u64().map(Revision).expect("a revision");
    f.sync("httpbin", "test", "uat", Some("1.0.0")).expect("promoted");
    assert_eq!(f.repository.object(&name("uat"), &rule).expect_err("stays").code(), "not_found");

    f.apply("uat", Operation::PatchGroup { patch }).expect("runtime-only");
    put(&f, "uat", &rule, json!({"description": "uat's own"}))
        .expect("objects are the group's own");

    put(&f, "test", &rule, json!({"description": "two"})).expect("changed");
    let app = object(ObjectKind::Consumer, "app");
    put(&f, "test", &app, json!({})).expect("made since");
    let back = Operation::RollbackGroup { to: RollbackTarget::Revision(then) };
    let plan = f.repository.plan(&change("test", back.clone())).expect("planned");
    let changes = serde_json::to_value(&plan.changes).expect("changes serialise");
    let all = changes.as_array().cloned().unwrap_or_default();
    let told: Vec<String> = all
        .iter()
        .map(|change| format!("{} {}{}", change["op"], change["file"], change["pointer"]))
        .collect();
    assert_eq!(
        told,
        [
            r#""removed" "consumers/app.json""""#,
            r#""changed" "global-rules/all.json""/description""#
        ]
    );
    f.apply("test", back).expect("rolled back");
    let read = f.repository.object(&name("test"), &rule).expect("there").value;
    assert_eq!(read["description"], "one");
    assert!(f.repository.object(&name("test"), &app).is_err());
}

/// A push can bring what the API would refuse: services go on, the object is left out and told.
#[test]
fn a_faulty_object_leaves_services_alone() {
    let f = Fixture::new();
    f.put("test", "httpbin", httpbin()).expect("a service");
    let web = object(ObjectKind::Certificate, "web");
    put(&f, "test", &web, certificate(&["a.com"])).expect("written");
    let mut reader = GroupReader::open(&f.path()).expect("a reader");
    let mut load = |previous: Option<&GroupConfig>| {
        let head = reader.head(&name("test")).expect("readable").expect("a head");
        reader.load(&name("test"), head, previous).expect("loaded")
    };
    let before = load(None);
    assert_eq!(before.config.objects.certificates().count(), 1);

    push(&f, &web.path(), r#"{"snis": ["a.com"], "private_key": "secret"}"#);
    push(&f, "consumers/app.json", "{}");
    push(&f, "consumers/no name.json", "{}");
    for previous in [None, Some(&before.config)] {
        let loaded = load(previous);
        let told: Vec<String> = loaded
            .diagnostics
            .iter()
            .map(|f| format!("{} {} {}", f.file, f.pointer, f.code))
            .collect();
        assert_eq!(
            told,
            [
                "certificates/web.json /certificate missing_key",
                "certificates/web.json /private_key inline_secret",
                "consumers/no name.json  bad_name",
            ]
        );
        assert!(loaded.faulty.is_empty() && !loaded.group_faulty);
        assert_eq!(loaded.config.services.size(), 1);
        assert_eq!(loaded.config.objects.certificates().count(), 0);
        assert_eq!(loaded.config.objects.consumers().count(), 1);
        // The next load tells it again, and it is mended step by step.
        assert_eq!(load(Some(&loaded.config)).diagnostics, loaded.diagnostics);
    }
    let repository = Repository::open(&f.path(), clock()).expect("opened");
    let operation = Operation::PutObject { object: web, document: certificate(&["b.com"]) };
    repository.apply(change("test", operation)).expect("mended beside another fault");
}
