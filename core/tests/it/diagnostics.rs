//! `docs/diagnostics.md`: every code with an example that really gives it, and every limit.
//!
//! After a change of codes, messages or limits, `REFGATE_BLESS=1 cargo test -p refgate-core --test
//! it diagnostics` writes it anew.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use refgate_core::change::{Operation, SyncSource};
use refgate_core::diagnostic::{Code, Diagnostic, Severity};
use refgate_core::limits;
use refgate_core::merge::OnConflict;
use serde_json::Value;

use crate::support::{Fixture, httpbin, name, sync_operation};

const HEAD: &str = "\
# Findings

<!-- Made of the codes, messages and limits by `core/tests/it/diagnostics.rs`; do not edit by hand. -->

What Refgate finds in documents, whichever way they came. A finding has a `code` that does not change, a `severity`, the `file`
and the `pointer` (RFC 6901) of the place, a `message` and often a `hint`. An `error` refuses the change; a `warning` lets it pass.
All findings are told, in the order of files. `refgate validate` and `POST /v1/validate` ask without writing.
";

const LIMITS: &str = "
## Limits

| what | at most | over it |
|---|---|---|
";

/// What to do, and the text of one file that gives the finding among sound ones; no file where it
/// takes a change or a tree made by hand.
fn example(code: Code) -> (&'static str, &'static str, &'static str) {
    const SERVICE: &str = "services/shop/service.json";
    const ROUTE: &str = "services/shop/routes/list.json";
    const RUNTIME: &str = "runtime/shop.json";
    const CERTIFICATE: &str = "certificates/shop.json";
    match code {
        Code::MalformedJson => ("Correct the text.", ROUTE, r#"{"paths": ["/a"]"#),
        Code::UnknownKey => {
            ("Correct the key, or take it away.", ROUTE, r#"{"paths": ["/a"], "method": []}"#)
        }
        Code::DuplicateKey => {
            ("Keep one of the two.", ROUTE, r#"{"paths": ["/a"], "paths": ["/b"]}"#)
        }
        Code::WrongType => {
            ("Write the type that the message asks for.", ROUTE, r#"{"paths": "/a"}"#)
        }
        Code::MissingKey => ("Add the key.", ROUTE, "{}"),
        Code::BadName => (
            "Rename it; lower-case letters, digits and dashes are always right.",
            RUNTIME,
            r#"{"upstreams": {"My_Nodes": {"nodes": []}}}"#,
        ),
        Code::BadValue => (
            "Write a value that the message allows.",
            ROUTE,
            r#"{"paths": ["/a"], "timeout": {"read": 0}}"#,
        ),
        Code::BadPath => (
            "Write the path in its normal form; `*` stands at the end only, a parameter is a whole segment.",
            ROUTE,
            r#"{"paths": ["/a/../b"]}"#,
        ),
        Code::BadRegex => (
            "Correct the expression. There is no look-around, and it matches the whole value.",
            ROUTE,
            r#"{"paths": ["~/a("]}"#,
        ),
        Code::BadCidr => (
            "Write an address or a block such as `10.0.0.0/8`.",
            ROUTE,
            r#"{"paths": ["/a"], "match": {"remote_addrs": ["10.0.0.0/40"]}}"#,
        ),
        Code::BadHost => (
            "Write a host name without scheme, port and path; `*.` stands at the beginning only.",
            RUNTIME,
            r#"{"hosts": ["shop.acme.com:80"]}"#,
        ),
        Code::UnknownPlugin => (
            "Correct the name of the plugin, or take it away.",
            SERVICE,
            r#"{"plugins": {"teleport": {}}}"#,
        ),
        Code::UnknownUpstream => (
            "Correct the name, or define the upstream in the group's runtime of the service.",
            ROUTE,
            r#"{"paths": ["/a"], "upstream": "defualt"}"#,
        ),
        Code::UnknownCertificate => (
            "Correct the name, or add the certificate to the group first.",
            RUNTIME,
            r#"{"upstreams": {"default": {"tls": {"client_certificate": "shpo"}}}}"#,
        ),
        Code::UnresolvedVariable => (
            "Add the variable to `variables` in the `group.json` of the group. A sync to a group that lacks one is refused before it starts.",
            RUNTIME,
            r#"{"upstreams": {"default": {"nodes": [{"host": "$var://shop-host", "port": 80}]}}}"#,
        ),
        Code::RouteConflict => (
            "Tell the two apart: by host, path, methods, predicates or priority.",
            "services/shop/routes/other.json",
            r#"{"paths": ["/list"]}"#,
        ),
        Code::RouteOverlap => (
            "Nothing, when it is meant: the order of routes decides.",
            "services/shop/routes/other.json",
            r#"{"paths": ["/list"], "methods": ["GET"]}"#,
        ),
        Code::RouteUnreachable => (
            "Give the route that takes nothing the higher priority, or take it away.",
            "services/shop/routes/other.json",
            r#"{"paths": ["/list"], "priority": 10}"#,
        ),
        Code::InlineSecret => (
            "Put the secret where the gateway finds it, and write `$env://NAME` or `$file:///path`.",
            CERTIFICATE,
            r#"{"snis": ["shop.acme.com"], "certificate": "$file:///etc/shop.crt", "private_key": "-----BEGIN PRIVATE KEY-----"}"#,
        ),
        Code::TooLarge => {
            ("Divide it; see the limits below.", SERVICE, "(a file of more than 1048576 bytes)")
        }
        Code::UnexpectedFile => (
            "Move it to where documents are, or take it away.",
            "services/shop/route/list.json",
            "{}",
        ),
        Code::BadPem => (
            "Write the PEM blocks of the chain, the certificate of the SNIs first, or a reference.",
            CERTIFICATE,
            r#"{"snis": ["a.acme.com"], "certificate": "MIIB", "private_key": "$env://SHOP_KEY"}"#,
        ),
        Code::SniConflict => (
            "Keep the SNI in one of the two certificates.",
            CERTIFICATE,
            r#"{"snis": ["acme.com"], "certificate": "$env://SHOP", "private_key": "$env://SHOP_KEY"}"#,
        ),
        Code::CredentialConflict => (
            "Give every consumer credentials of its own.",
            "consumers/shop.json",
            r#"{"credentials": {"key": {"type": "key-auth", "key": "$env://ANA_KEY"}}}"#,
        ),
        Code::MissingFile => (
            "Add the file: a service has a `service.json`, a group a `group.json`; `{}` will do.",
            "",
            "",
        ),
        Code::CertificateExpiry => {
            ("Renew it. A file that the document names is taken when it changes.", "", "")
        }
        Code::RuntimeKept => {
            ("Nothing, or change the runtime of the target itself: a sync never does.", "", "")
        }
    }
}

/// The findings about a sound service with one file laid over it.
fn findings(f: &Fixture, file: &str, text: &str) -> Vec<Diagnostic> {
    let text = match text.starts_with('(') {
        true => " ".repeat(limits::FILE_BYTES + 1),
        false => text.to_owned(),
    };
    let node = r#"{"upstreams": {"default": {"nodes": [{"host": "127.0.0.1", "port": 80}]}}}"#;
    let files: BTreeMap<String, Value> = [
        ("services/shop/service.json", "{}"),
        ("services/shop/routes/list.json", r#"{"paths": ["/list"]}"#),
        ("runtime/shop.json", node),
        (
            "certificates/acme.json",
            r#"{"snis": ["acme.com"], "certificate": "$env://ACME", "private_key": "$env://ACME_KEY"}"#,
        ),
        (
            "consumers/ana.json",
            r#"{"credentials": {"key": {"type": "key-auth", "key": "$env://ANA_KEY"}}}"#,
        ),
        (file, &text),
    ]
    .into_iter()
    .map(|(file, text)| (file.to_owned(), Value::String(text.to_owned())))
    .collect();
    f.repository.validate(None, &files).expect("validated")
}

fn describe(f: &Fixture, code: Code, text: &mut String) -> std::fmt::Result {
    let (remedy, file, example) = example(code);
    write!(text, "\n## `{code}`\n\n{}\n\nWhat to do: {remedy}\n", code.description())?;
    if file.is_empty() {
        return Ok(());
    }
    let all = findings(f, file, example);
    let found = all.iter().find(|found| found.code == code);
    let found = found.unwrap_or_else(|| unreachable!("{code}: the example gives {all:?}"));
    let severity = match found.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    write!(text, "\n```text\n{file}\n    {example}\n\n{severity}: {}", found.file)?;
    if !found.pointer.is_empty() {
        write!(text, " {}", found.pointer)?;
    }
    writeln!(text, "\n    {}", found.message)?;
    if let Some(hint) = &found.hint {
        writeln!(text, "    hint: {hint}")?;
    }
    writeln!(text, "```")
}

fn reference() -> String {
    let f = Fixture::new();
    let mut text = String::from(HEAD);
    for code in Code::ALL {
        describe(&f, *code, &mut text).expect("a string takes everything");
    }
    text.push_str(LIMITS);
    for limits::Limit { what, most, unit, told } in limits::ALL {
        let told = match told {
            limits::Told::Finding(code) => format!("[`{code}`](#{code})"),
            limits::Told::Refusal(code) => format!("[`{code}`](api.md#refusals)"),
        };
        let most = format!("{most} {unit}");
        writeln!(text, "| {what} | {} | {told} |", most.trim_end()).expect("a string");
    }
    text
}

#[test]
fn diagnostics_reference_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/diagnostics.md");
    let reference = reference();
    if std::env::var_os("REFGATE_BLESS").is_some() {
        std::fs::write(&path, &reference).expect("written");
        return;
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = written.lines().zip(reference.lines()).position(|(a, b)| a != b);
    assert!(
        written == reference,
        "{} is not current (line {:?}); write it anew with REFGATE_BLESS=1",
        path.display(),
        differs.map(|line| line + 1)
    );
}

/// What no files can show: it is about a change, or about a tree that is made by hand.
#[test]
fn a_runtime_that_is_there_is_kept_with_a_warning() {
    let f = Fixture::new();
    f.put("test", "httpbin", httpbin()).expect("put");
    f.sync("httpbin", "test", "uat", Some("1.0.0")).expect("synced");
    let Operation::Sync(mut sync) = sync_operation("httpbin", "test", None, OnConflict::Abort)
    else {
        unreachable!("a sync")
    };
    sync.runtime = Some(serde_json::json!({"hosts": ["other.acme.com"]}));
    f.patch("test", "httpbin", serde_json::json!({"description": "new"})).expect("patched");
    let source = SyncSource::Group { group: name("test"), version: Some("1.1.0".to_owned()) };
    sync.services = vec![(name("httpbin"), source)];
    let written = f.apply("uat", Operation::Sync(sync)).expect("synced");
    let written = serde_json::to_value(written).expect("serialises");
    assert_eq!(written["warnings"][0]["code"], "runtime_kept", "{written}");
}

#[test]
fn a_variable_that_is_lacking_is_told_with_its_group() {
    let f = Fixture::new();
    let mut service = httpbin();
    service["labels"] = serde_json::json!({"owner": "$var://owner"});
    let refused = f.put("test", "httpbin", service).expect_err("refused");
    let messages: Vec<_> = refused.diagnostics().iter().map(|found| &found.message).collect();
    assert_eq!(messages, ["group test has no variable \"owner\""]);
}
