//! Lines as people type them: what they become, what is shown, how they end.

use clap::CommandFactory;
use clap::error::ErrorKind;
use serde_json::{Value, json};

use super::*;
use crate::client::testing::{Seen, answer, serve};
use crate::output::testing::Memory;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    let words = std::iter::once("refgate").chain(line.split(' '));
    Cli::try_parse_from(args::with_bare_waits(words.map(Into::into)))
}

#[test]
fn the_command_tree_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn lines_that_people_type() {
    for line in [
        "up",
        "up --data-dir /tmp/x --listen 127.0.0.1:0 --gateway test=127.0.0.1:0 --drain-timeout 5",
        "serve --data-dir x",
        "status",
        "status -o json --server http://127.0.0.1:7080",
        "status --problems -g uat,production -g test",
        "status httpbin shop -g uat",
        "group list -o name",
        "group create staging --promote-from test,uat --label env=staging --direct-edits allow",
        "group update uat --description x --if-match abc",
        "group patch uat -p {}",
        "group delete uat --dry-run",
        "service list",
        "service list -g test",
        "service get -g test httpbin",
        "service create -g test httpbin --host test.acme.com --node 127.0.0.1:8081@50 --node \
         [::1]:80 --upstream default --pass-host node --path /headers --method get --route \
         get-headers --wait 5",
        "service create -g test httpbin -f -",
        "service put -g test httpbin -f x.yaml --dry-run",
        "service patch -g test httpbin -p {}",
        "service delete -g test httpbin",
        "route list -g test httpbin",
        "route put -g test httpbin get --path /get --method GET,HEAD --upstream default --priority -5",
        "route patch -g test httpbin get --disable",
        "route delete -g test httpbin get",
        "route test -g test GET http://test.acme.com/get -H x-canary:1 --client 10.0.0.1",
        "runtime get -g uat httpbin",
        "runtime set -g uat httpbin --host uat.acme.com --node 127.0.0.1:8081",
        "runtime put -g uat httpbin -f x.json",
        "runtime patch -g uat httpbin -f -",
        "consumer list -g test",
        "consumer get -g test Mobile_App",
        "consumer put -g test Mobile_App -f app.yaml --dry-run",
        "certificate patch -g test web -p {} --if-match abc",
        "certificate delete -g test web --wait 5",
        "global-rule copy all --from test --to uat,production --replace --reason x",
        "instance list",
        "instance list -g uat -o json",
        "instance remove -g uat gw-1.example.com:9080",
        "events -g uat",
        "events -g uat --after 12 -o json",
        "version list httpbin",
        "version list httpbin -g test",
        "version get httpbin 1.0.0",
        "version create -g test httpbin 1.0.0 -m first",
        "sync httpbin --from test --to uat --version 1.0.0 --on-conflict theirs --reason x",
        "sync httpbin --from test --to uat,production -f runtime.yaml",
        "rollback httpbin -g production --to 1.0.0",
        "rollback -g production --revision 3 --dry-run",
        "history -g uat --service httpbin --actor admin --event version.promoted --since 24h \
         --until 2026-01-31 --limit 5",
        "history -g uat --commit 0123456789abcdef0123456789abcdef01234567",
        "history -g uat --commit 0123456",
        "wait -g uat",
        "wait -g uat --commit 0123456789abcdef0123456789abcdef01234567 --timeout 5",
        "diff httpbin --from 1.0.0 --to group:uat",
        "diff group:uat group:production",
        "diff group:uat group:production --only services -o json",
        "history -g uat --path services/httpbin/routes/get.json",
        "reindex --data-dir x",
        "reindex --repository x/config.git -o json",
        "apply -g test -f config --prune",
        "validate config -g test",
        "token list",
        "token create jane.doe@example.com --role editor -o json",
        "token revoke ci",
        "completions zsh",
        "man pages",
        "login --server http://127.0.0.1:7080",
        "login production --server https://gateway.example.com --token x",
        "login --list -o yaml",
        "use production",
        "logout",
        "status --context production",
        "import openapi - -g test --service pets --with-upstream --dry-run",
        "sync httpbin --from test --to production --yes --wait",
        "runtime set -g production httpbin --enable -y --wait=30",
    ] {
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        if let Err(error) = parse(&line) {
            assert_eq!(error.to_string(), "", "{line}");
        }
    }
}

#[test]
fn lines_that_are_wrong_usage() {
    let table = [
        ("service get httpbin", ErrorKind::MissingRequiredArgument),
        ("service get -g TEST httpbin", ErrorKind::ValueValidation),
        ("service get -g test http_bin", ErrorKind::ValueValidation),
        ("service create -g test a --node 127.0.0.1", ErrorKind::ValueValidation),
        ("service create -g test a --method GET", ErrorKind::MissingRequiredArgument),
        ("route put -g test a b --method FETCH", ErrorKind::ValueValidation),
        ("route test -g test GET /a -H x", ErrorKind::ValueValidation),
        ("consumer put -g test a", ErrorKind::MissingRequiredArgument),
        ("token create ci", ErrorKind::MissingRequiredArgument),
        ("token create ci --role root", ErrorKind::InvalidValue),
        ("token create refgate --role admin", ErrorKind::ValueValidation),
        ("certificate copy web --to uat", ErrorKind::MissingRequiredArgument),
        ("instance remove gw-1", ErrorKind::MissingRequiredArgument),
        ("instance remove -g uat a/b", ErrorKind::ValueValidation),
        ("wait -g uat --timeout 301", ErrorKind::ValueValidation),
        ("rollback -g uat --revision 3 --wait 301", ErrorKind::ValueValidation),
        ("events", ErrorKind::MissingRequiredArgument),
        ("sync a --to uat", ErrorKind::MissingRequiredArgument),
        ("sync a --from test", ErrorKind::MissingRequiredArgument),
        ("sync a --from test --to uat --version 1.0", ErrorKind::ValueValidation),
        ("sync a --from test --to uat --on-conflict mine", ErrorKind::InvalidValue),
        ("sync a --from test --to uat --dry-run --wait 5", ErrorKind::ArgumentConflict),
        ("rollback -g uat", ErrorKind::MissingRequiredArgument),
        ("rollback a -g uat --revision 3", ErrorKind::ArgumentConflict),
        ("rollback -g uat --to 1.0.0", ErrorKind::MissingRequiredArgument),
        ("rollback -g uat --revision 3 --commit x", ErrorKind::ValueValidation),
        ("diff a --from 1.0.0 --to uat", ErrorKind::ValueValidation),
        ("diff a --from 1.0.0", ErrorKind::MissingRequiredArgument),
        ("diff group:uat", ErrorKind::MissingRequiredArgument),
        ("diff a --from 1.0.0 --to 1.1.0 --only services", ErrorKind::MissingRequiredArgument),
        ("reindex --data-dir x --repository y", ErrorKind::ArgumentConflict),
        ("history -g uat --limit 0", ErrorKind::ValueValidation),
        ("history --after 3", ErrorKind::MissingRequiredArgument),
        ("history --commit 0123456", ErrorKind::MissingRequiredArgument),
        ("status --server localhost:7080", ErrorKind::ValueValidation),
        ("up --gateway test=127.0.0.1:9080,tls=here", ErrorKind::ValueValidation),
        ("up --server http://127.0.0.1:7080", ErrorKind::UnknownArgument),
        ("nonsense", ErrorKind::InvalidSubcommand),
    ];
    for (line, kind) in table {
        let error = parse(line).unwrap_err();
        assert_eq!(error.kind(), kind, "{line}: {error}");
        assert_eq!(error.exit_code(), i32::from(failure::USAGE), "{line}");
    }
}

#[test]
fn no_help_shows_the_environment() {
    fn walk(command: &mut clap::Command) {
        for argument in command.get_arguments() {
            assert!(argument.get_env().is_none() || argument.is_hide_env_values_set());
        }
        command.get_subcommands_mut().for_each(walk);
    }
    walk(&mut Cli::command());
}

/// What came of a command: exit code, answer, messages, and what the server was asked.
struct Ran {
    code: u8,
    answers: String,
    messages: String,
    seen: Vec<Seen>,
}

fn run(line: &str, answers: Vec<String>) -> Ran {
    let (address, server) = serve(answers);
    run_at(address, server, line, None)
}

/// The same with somebody at the terminal who types this.
fn run_at(
    address: std::net::SocketAddr,
    server: std::thread::JoinHandle<Vec<Seen>>,
    line: &str,
    typed: Option<&'static str>,
) -> Ran {
    let line = format!("{line} --server http://{address} --token secret");
    let memory = Memory::default();
    let code = parse(&line).unwrap().run_with(|format| match typed {
        Some(typed) => memory.output(format).asking(Box::new(move || Ok(typed.to_owned()))),
        None => memory.output(format),
    });
    let seen = server.join().unwrap();
    Ran { code, answers: memory.answers(), messages: memory.messages(), seen }
}

fn ok(body: &Value) -> String {
    answer("200 OK", "", &body.to_string())
}

fn written() -> Value {
    json!({"group": "test", "commit": "0123456789", "revision": 2, "changed": true, "warnings": []})
}

#[test]
fn friendly_flags_become_one_request() {
    let table = [
        (
            "service create -g test httpbin --host test.acme.com --node 127.0.0.1:8081 --upstream \
             default --pass-host node --path /headers --method GET --route get-headers",
            "PUT /v1/groups/test/services/httpbin",
            json!({
                "routes": {"get-headers":
                    {"paths": ["/headers"], "methods": ["GET"], "upstream": "default"}},
                "runtime": {"hosts": ["test.acme.com"], "upstreams": {"default":
                    {"nodes": [{"host": "127.0.0.1", "port": 8081}], "pass_host": "node"}}}
            }),
        ),
        ("service create -g test httpbin", "PUT /v1/groups/test/services/httpbin", json!({})),
        (
            "route put -g test httpbin get --path /get --priority -1 --header x-canary=1",
            "PUT /v1/groups/test/services/httpbin/routes/get",
            json!({"paths": ["/get"], "priority": -1,
                "match": {"headers": [{"name": "x-canary", "value": "1"}]}}),
        ),
        (
            "route patch -g test httpbin get --disable",
            "PATCH /v1/groups/test/services/httpbin/routes/get",
            json!({"enabled": false}),
        ),
        (
            "runtime set -g uat httpbin --host uat.acme.com --node [::1]:80@0 --enable",
            "PATCH /v1/groups/uat/services/httpbin/runtime",
            json!({"hosts": ["uat.acme.com"], "enabled": true, "upstreams": {"default":
                {"nodes": [{"host": "::1", "port": 80, "weight": 0}]}}}),
        ),
        (
            "group create staging --promote-from test --label env=staging",
            "POST /v1/groups",
            json!({"labels": {"env": "staging"}, "promotion": {"from": ["test"]}, "name": "staging"}),
        ),
        (
            "version create -g test httpbin 1.0.0 -m first",
            "POST /v1/groups/test/services/httpbin/versions",
            json!({"version": "1.0.0", "message": "first"}),
        ),
        (
            "rollback httpbin -g production --to 1.0.0 --reason bad",
            "POST /v1/groups/production/services/httpbin/rollback",
            json!({"version": "1.0.0", "reason": "bad"}),
        ),
        (
            "rollback -g production --revision 3",
            "POST /v1/groups/production/rollback",
            json!({"revision": 3}),
        ),
    ];
    for (line, request, body) in table {
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        let ran = run(&line, vec![ok(&written())]);
        assert_eq!((ran.code, ran.messages.as_str()), (failure::DONE, ""), "{line}");
        assert_eq!(ran.seen[0].line, format!("{request} HTTP/1.1"), "{line}");
        assert_eq!(serde_json::from_str::<Value>(&ran.seen[0].body).unwrap(), body, "{line}");
        let only_create = line.starts_with("service create");
        assert_eq!(ran.seen[0].header("if-none-match").is_some(), only_create, "{line}");
    }
}

#[test]
fn refusals_end_with_their_code_and_all_that_was_said() {
    let problem = |status: u16, code: &str| {
        json!({"title": "Refused", "detail": "because", "status": status, "code": code,
            "request_id": "r-1"})
    };
    let table = [
        ("404 Not Found", problem(404, "not_found"), failure::FAILED),
        ("409 Conflict", problem(409, "version_taken"), failure::CONFLICT),
        ("412 Precondition Failed", problem(412, "precondition_failed"), failure::CONFLICT),
        ("422 Unprocessable Content", problem(422, "validation_failed"), failure::FAILED),
    ];
    for (status, body, code) in table {
        let refused = || vec![answer(status, "", &body.to_string())];
        let ran = run("service get -g test httpbin", refused());
        assert_eq!((ran.code, ran.answers.as_str()), (code, ""), "{status}");
        let told = ran.messages.strip_prefix("error: Refused: because\n");
        let told = told.and_then(|told| told.strip_suffix("request id: r-1\n"));
        assert!(told.is_some_and(|told| told.is_empty() || told.starts_with("hint: ")), "{status}");
        let ran = run("service get -g test httpbin -o json", refused());
        assert_eq!(ran.code, code, "{status}");
        assert_eq!(serde_json::from_str::<Value>(&ran.answers).unwrap(), body, "{status}");
    }
}

#[test]
fn a_service_can_be_shown_edited_and_put_back() {
    let service = json!({
        "name": "httpbin", "group": "test", "type": "http", "version": null, "based_on": null,
        "modified": false, "live": true, "live_reason": "live", "description": "", "labels": {},
        "plugins": {}, "routes": {"get": {"paths": ["/get"], "methods": ["GET"]}},
        "runtime": {"hosts": ["a.example"], "upstreams": {"default": {"nodes":
            [{"host": "h", "port": "$var://port"}], "pass_host": "node"}}},
        "commit": "0123456789", "updated_at": "2026-01-02T03:04:05Z", "updated_by": "admin"
    });
    let shown = run("service get -g test httpbin", vec![ok(&service)]);
    assert_eq!(
        shown.answers,
        "name     httpbin\n\
         group    test\n\
         type     http\n\
         version  No Version\n\
         state    live\n\
         enabled  yes\n\
         hosts    a.example\n\
         updated  2026-01-02 03:04:05Z\n\
         by       admin\n\
         commit   0123456789\n\
         \n\
         ROUTE  METHODS  PATHS  UPSTREAM\n\
         get    GET      /get   default\n\
         \n\
         UPSTREAM  NODES          SCHEME  HOST HEADER  BALANCER\n\
         default   h:$var://port  http    the node's   roundrobin\n"
    );
    let json = run("service get -g test httpbin -o json", vec![ok(&service)]).answers;
    let file = tempfile::NamedTempFile::with_suffix(".json").unwrap();
    std::fs::write(file.path(), json).unwrap();
    let line = format!("service put -g uat httpbin -f {}", file.path().display());
    let ran = run(&line, vec![ok(&written())]);
    let sent: Value = serde_json::from_str(&ran.seen[0].body).unwrap();
    let keys: Vec<&str> = sent.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["type", "description", "labels", "plugins", "routes", "runtime"]);

    let line = format!("service put -g uat other -f {}", file.path().display());
    let ran = run(&line, vec![]);
    assert_eq!(ran.code, failure::FAILED);
    assert!(ran.messages.contains("httpbin, not other"), "{}", ran.messages);
}

#[test]
fn who_changed_it_last_is_shown() {
    let last = "updated 2026-01-02 03:04:05Z by admin commit 0123456789";
    for (command, own) in [
        ("route get -g test httpbin get", json!({"paths": ["/get"]})),
        ("runtime get -g test httpbin", json!({"hosts": ["a.com"]})),
        ("consumer get -g test app", json!({"credentials": {}})),
        ("certificate get -g test web", json!({"snis": ["a.com"]})),
        ("global-rule get -g test all", json!({"plugins": {}})),
    ] {
        let mut answer = own;
        answer["commit"] = json!("0123456789");
        answer["updated_at"] = json!("2026-01-02T03:04:05Z");
        answer["updated_by"] = json!("admin");
        let shown = run(command, vec![ok(&answer)]).answers;
        let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(shown.contains(last), "{command}: {shown}");
        let json = run(&format!("{command} -o json"), vec![ok(&answer)]).answers;
        assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), answer, "{command}");
    }
}

#[test]
fn several_services_in_one_file_are_one_commit_on_the_head_that_was_read() {
    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    std::fs::write(file.path(), "name: a\nroutes: {new: {paths: [/n]}}\n---\nname: b\n").unwrap();
    let line = format!("apply -g test -f {} -m both", file.path().display());
    let missing = json!({"title": "Not found", "status": 404, "code": "not_found"});
    let ran = run(
        &line,
        vec![
            ok(&json!({"name": "test", "head": "h1"})),
            ok(&json!({"name": "a", "routes": {"old": {}, "new": {}}})),
            answer("404 Not Found", "", &missing.to_string()),
            ok(&written()),
        ],
    );
    assert_eq!(ran.messages, "");
    assert_eq!(ran.answers, "test: 3 files applied (revision 2, commit 01234567)\n");
    assert_eq!(ran.seen[3].line, "POST /v1/groups/test/commit HTTP/1.1");
    assert_eq!(
        serde_json::from_str::<Value>(&ran.seen[3].body).unwrap(),
        json!({
            "files": {
                "services/a/service.json": {},
                "services/a/routes/new.json": {"paths": ["/n"]},
                "services/a/routes/old.json": null,
                "services/b/service.json": {}
            },
            "expect_head": "h1", "message": "both"
        })
    );
}

#[test]
fn validation_findings_are_the_answer_and_a_failure() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("group.json"), "{\"x\": 1, \"x\": 2}").unwrap();
    let verdict = json!({"valid": false, "diagnostics": [{"severity": "error", "code":
        "unknown_key", "file": "group.json", "pointer": "/x", "message": "no such key",
        "hint": null}]});
    let line = format!("validate {} -g uat", root.path().display());
    let ran = run(&line, vec![ok(&verdict)]);
    assert_eq!(ran.code, failure::FAILED);
    assert_eq!(ran.answers, "error: group.json:1:10 /x: no such key [unknown_key]\n");
    assert_eq!(ran.messages, "1 file: 1 error\n");
    assert_eq!(
        serde_json::from_str::<Value>(&ran.seen[0].body).unwrap(),
        json!({"files": {"group.json": "{\"x\": 1, \"x\": 2}"}, "group": "uat"})
    );
}

/// Three groups of which uat has a gateway behind, and so many services that are well, beside one that
/// is not live, one that was changed and one that waits.
fn much() -> [Value; 3] {
    let group = |name: &str, from: &[&str]| {
        json!({"name": name, "revision": 7, "head": format!("{name}-head"), "services": 300,
            "instances": {"healthy": 1, "total": 1}, "promotion": {"from": from}})
    };
    let cell = |version: &str| json!({"version": version, "based_on": version, "live": true});
    let row = |name: &str, uat: Value, production: Value| {
        json!({"service": name, "latest": "1.1.0",
        "groups": {"test": cell("1.1.0"), "uat": uat, "production": production}})
    };
    let mut rows: Vec<Value> = (0..297)
        .map(|number| row(&format!("well-{number}"), cell("1.0.0"), cell("1.0.0")))
        .collect();
    let dead = json!({"version": "1.0.0", "live": false, "live_reason": "no_nodes"});
    rows.push(row("dead", dead, cell("1.0.0")));
    let changed = json!({"version": null, "based_on": "1.0.0", "modified": true, "live": true});
    rows.push(row("edited", changed, cell("1.0.0")));
    rows.push(row("waits", cell("1.1.0"), cell("1.0.0")));
    let gateway = |group: &str, commit: &str| {
        json!({"instance": format!("{group}-1"),
        "group": group, "state": "healthy", "commit": commit})
    };
    let gateways = [
        gateway("production", "production-head"),
        gateway("test", "test-head"),
        gateway("uat", "before"),
    ];
    [
        json!({"items": [group("production", &["uat"]), group("test", &[]), group("uat", &[])]}),
        json!({"items": rows, "next": null}),
        json!({"items": gateways, "next": null}),
    ]
}

#[test]
fn status_is_of_all_or_of_problems_alone() {
    let answers = || much().iter().map(ok).collect::<Vec<_>>();
    let all = run("status", answers());
    assert_eq!(all.answers.lines().count(), 4 + 1 + 301 + 1 + 4 + 1 + 4, "{}", all.answers);
    let attention = "! uat: 1 gateway not healthy, or not at the head\n\
                     ! uat: not live: dead\n\
                     ~ uat: changed since their version: edited\n\
                     > production may take from uat: waits 1.1.0\n";
    assert!(all.answers.ends_with(attention), "{}", all.answers);

    let problems = run("status --problems", answers());
    let expected = "GROUP  REVISION  HEAD      SERVICES  GATEWAYS\n\
                    uat    7         uat-head  300       1/1 healthy\n\
                    \n\
                    SERVICE  LATEST  test   uat                                         production\n\
                    dead     1.1.0   1.1.0  1.0.0 (not live: an upstream has no nodes)  1.0.0\n\
                    edited   1.1.0   1.1.0  1.0.0 + changes                             1.0.0\n\
                    waits    1.1.0   1.1.0  1.1.0                                       1.0.0\n\
                    \n\
                    GATEWAY  GROUP  STATE    SERVES\n\
                    uat-1    uat    healthy  before\n\
                    \n";
    assert_eq!(problems.answers, format!("{expected}{attention}"));

    let json = run("status --problems -o json", answers()).answers;
    let json: Value = serde_json::from_str(&json).unwrap();
    let names = |list: &str, key: &str| -> Vec<Value> {
        json[list]["items"].as_array().unwrap().iter().map(|item| item[key].clone()).collect()
    };
    assert_eq!(names("groups", "name"), ["uat"]);
    assert_eq!(names("services", "service"), ["dead", "edited", "waits"]);
    assert_eq!(names("gateways", "instance"), ["uat-1"]);
}

#[test]
fn status_is_of_what_is_named() {
    let [groups, services, gateways] = much();
    let production = ok(&groups["items"][0]);
    let waits = ok(&services["items"][299]);
    let ran = run("status waits -g production", vec![production, waits, ok(&gateways)]);
    let lines: Vec<&str> = ran.seen.iter().map(|seen| seen.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "GET /v1/groups/production HTTP/1.1",
            "GET /v1/services/waits HTTP/1.1",
            "GET /v1/gateways HTTP/1.1",
        ]
    );
    assert_eq!(
        ran.answers,
        "GROUP       REVISION  HEAD      SERVICES  GATEWAYS     PROMOTE FROM\n\
         production  7         producti  300       1/1 healthy  uat\n\
         \n\
         SERVICE  LATEST  production\n\
         waits    1.1.0   1.0.0\n\
         \n\
         GATEWAY       GROUP       STATE    SERVES\n\
         production-1  production  healthy  producti (head)\n\
         \n\
         > production may take from uat: waits 1.1.0\n"
    );

    let elsewhere = json!({"service": "new", "latest": null,
        "groups": {"test": {"version": null, "live": true}}});
    let production = ok(&groups["items"][0]);
    let ran = run("status new -g production", vec![production, ok(&elsewhere), ok(&gateways)]);
    assert_eq!(ran.messages, "none of these services is in production\n");
    let missing = json!({"title": "Not found", "status": 404, "code": "not_found"});
    let ran = run("status -g gone", vec![answer("404 Not Found", "", &missing.to_string())]);
    assert_eq!((ran.code, ran.answers.as_str()), (failure::FAILED, ""));
}

#[test]
fn a_history_without_a_group_is_that_of_all() {
    let groups = ok(
        &json!({"items": [{"name": "test"}, {"name": "bad", "damage": "x"}, {"name": "uat"}], "next": null}),
    );
    let event = |group: &str, revision: u64, at: &str| {
        json!({"group": group, "revision": revision, "at": at, "subject": format!("s{revision}"),
            "actor": "jane", "commit": "c".repeat(40)})
    };
    let test = [event("test", 4, "2026-01-01T00:00:04Z"), event("test", 3, "2026-01-01T00:00:01Z")];
    let uat = [event("uat", 9, "2026-01-01T00:00:02Z")];
    let page = |items: &[Value]| ok(&json!({"items": items, "next": null}));
    let ran = run("history --limit 2", vec![groups, page(&test), page(&uat)]);
    assert_eq!(ran.seen[1].line, "GET /v1/groups/test/history?limit=3 HTTP/1.1");
    assert_eq!(ran.seen[2].line, "GET /v1/groups/uat/history?limit=3 HTTP/1.1");
    let shown: Vec<&str> = ran.answers.lines().collect();
    assert_eq!(shown.len(), 3, "{}", ran.answers);
    assert!(
        shown[1].starts_with("test   4") && shown[2].starts_with("uat    9"),
        "{}",
        ran.answers
    );
    assert!(ran.messages.contains("there is more"), "{}", ran.messages);
}

#[test]
fn commits_are_as_short_as_tables_show_them() {
    let commit = |letter: &str| letter.repeat(40);
    let page = |letters: &[&str], next: Option<&str>| {
        let items: Vec<Value> =
            letters.iter().map(|letter| json!({"commit": commit(letter)})).collect();
        ok(&json!({"items": items, "next": next}))
    };
    let shown = || ok(&json!({"commit": commit("c"), "subject": "update a", "revision": 1}));
    let ran = run("history -g uat --commit CCCCCCC", vec![page(&["a", "b"], None)]);
    assert_eq!(ran.code, failure::FAILED);
    assert!(
        ran.messages.contains("uat has no commit that begins with ccccccc"),
        "{}",
        ran.messages
    );
    let ran = run("history -g uat --commit ccccccc", vec![page(&["a", "c"], None), shown()]);
    let line = format!("GET /v1/groups/uat/commits/{} HTTP/1.1", commit("c"));
    assert_eq!(ran.seen[1].line, line);
    assert_eq!(ran.code, failure::DONE, "{}", ran.messages);
    let ran = run("history -g uat --commit ccccccc", vec![page(&["c", "c"], None)]);
    assert!(ran.messages.contains("give more of it"), "{}", ran.messages);
    let ran = run("rollback -g uat --commit ccccccc", vec![page(&["c"], None), ok(&written())]);
    assert_eq!(ran.seen[1].body, format!("{{\"commit\":\"{}\"}}", commit("c")));
}

#[test]
fn somebody_waits_for_gateways() {
    let convergence = |pending: Value| {
        ok(&json!({"commit": "0123456789", "applied": 1, "total": 2, "pending": pending}))
    };
    let ran = run("wait -g uat --timeout 5", vec![convergence(json!(["gw-2"]))]);
    assert_eq!(ran.seen[0].line, "GET /v1/groups/uat/convergence?wait=5 HTTP/1.1");
    assert_eq!(ran.answers, "uat: 01234567 is served by 1 of 2 gateways, not yet by gw-2\n");
    assert_eq!(ran.code, failure::FAILED);
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let ran = run(&format!("wait -g uat --commit {commit}"), vec![convergence(json!([]))]);
    let line = format!("GET /v1/groups/uat/convergence?commit={commit}&wait=60 HTTP/1.1");
    assert_eq!((ran.code, ran.seen[0].line.as_str()), (failure::DONE, line.as_str()));
}

#[test]
fn a_version_is_shown_with_its_content() {
    let version = json!({"service": "a", "version": "1.0.0", "groups": ["uat"], "type": "http",
        "created_at": "2026-01-02T03:04:05Z", "created_by": "jane", "commit": "c", "content": "t",
        "description": "what it does", "plugins": {"cors": {}},
        "routes": {"get": {"paths": ["/get"], "methods": ["GET"]}}});
    assert_eq!(
        run("version get a 1.0.0", vec![ok(&version)]).answers,
        "service      a\nversion      1.0.0\nruns in      uat\ncreated      2026-01-02 03:04:05Z\n\
         by           jane\ncommit       c\ncontent      t\ntype         http\n\
         description  what it does\nplugins      cors\n\n\
         ROUTE  METHODS  PATHS  UPSTREAM\nget    GET      /get   default\n"
    );
}

#[test]
fn instances_are_listed_and_removed() {
    let instance = json!({"instance": "gw-1", "group": "uat", "version": "0.1.0", "state": "lost",
        "commit": "0123456789", "last_seen": "2026-01-02T03:04:05Z"});
    let list = json!({"items": [instance], "next": null});
    let ran = run("instance list -g uat", vec![ok(&json!({"name": "uat"})), ok(&list)]);
    assert_eq!(ran.seen[1].line, "GET /v1/gateways?group=uat HTTP/1.1");
    assert_eq!(
        ran.answers,
        "INSTANCE  GROUP  STATE  SERVES    VERSION  PROBLEM\n\
         gw-1      uat    lost   01234567  0.1.0    not heard of since 2026-01-02 03:04:05Z\n"
    );
    let removed = json!({"group": "uat", "instance": "gw-1", "removed": true});
    let ran = run("instance remove -g uat gw-1", vec![ok(&removed)]);
    assert_eq!(ran.seen[0].line, "DELETE /v1/gateways/uat/gw-1 HTTP/1.1");
    assert_eq!(ran.answers, "uat: instance gw-1 removed\n");
}

#[test]
fn events_are_followed_over_a_connection_that_breaks() {
    let stream = |events: &str| answer("200 OK", "content-type: text/event-stream\r\n", events);
    let commit = |revision: u64| {
        let data = json!({"revision": revision, "commit": format!("commit-{revision}"),
            "subject": "update a", "actor": "jane", "at": "2026-01-02T03:04:05Z"});
        format!("event: commit\nid: {revision}\ndata: {data}\n\n")
    };
    let gateway = |seen: &str| {
        let data = json!({"instance": "gw-1", "state": "healthy", "last_seen": seen});
        format!("event: gateway\ndata: {data}\n\n")
    };
    let gone = json!({"title": "Not found", "status": 404, "code": "not_found"});
    let answers = || {
        vec![
            ok(&json!({"name": "uat", "revision": 7})),
            stream(&format!(": hello\n\n{}{}", gateway("1"), commit(8))),
            // What was told is not told again, and half an event is none.
            stream(&format!("{}{}event: commit\nid: 10\nda", gateway("2"), commit(9))),
            answer("503 Service Unavailable", "", "not yet"),
            answer("404 Not Found", "", &gone.to_string()),
        ]
    };
    let ran = run("events -g uat -o json", answers());
    let lines: Vec<Value> =
        ran.answers.lines().take(3).map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<(&Value, &Value)> =
        lines.iter().map(|line| (&line["event"], &line["id"])).collect();
    let (gateway, commit) = (json!("gateway"), json!("commit"));
    let (eight, nine) = (json!("8"), json!("9"));
    assert_eq!(told, [(&gateway, &Value::Null), (&commit, &eight), (&commit, &nine)]);
    let known: Vec<_> = ran.seen.iter().map(|seen| seen.header("last-event-id")).collect();
    assert_eq!(known, [None, Some("7"), Some("8"), Some("9"), Some("9")]);
    assert_eq!(ran.code, failure::FAILED);

    let table = run("events -g uat", answers()).answers;
    let commits: Vec<&str> = table.lines().filter(|line| line.contains("commit")).collect();
    assert_eq!(
        commits,
        [
            "2026-01-02 03:04:05Z  commit       r8 update a (jane, commit-8)",
            "2026-01-02 03:04:05Z  commit       r9 update a (jane, commit-9)",
        ]
    );
    let ran = run("events -g uat --after 3", vec![answer("200 OK", "", "{}")]);
    assert_eq!(ran.seen[0].header("last-event-id"), Some("3"));
    assert!(ran.messages.contains("not as a Refgate control plane"), "{}", ran.messages);
}

#[test]
fn groups_are_compared_as_a_whole() {
    let change = json!({
        "file": "services/x/routes/y.json", "pointer": "/timeout/read", "op": "changed",
        "from": 60, "to": 10
    });
    let body = json!({"from": "group:uat", "to": "group:test", "changes": [change]});
    let ran = run("diff group:uat group:test --only services", vec![ok(&body)]);
    assert_eq!(ran.code, failure::DONE, "{}", ran.messages);
    assert_eq!(ran.seen[0].line, "GET /v1/groups/uat/diff?to=test&services_only=true HTTP/1.1");
    assert_eq!(
        ran.answers,
        "~ route y of x  (services/x/routes/y.json)\n    ~ timeout › read: 60 → 10\n"
    );
    let host = json!({"file": "runtime/x.json", "pointer": "/enabled", "op": "changed",
        "from": true, "to": false});
    let body = json!({"changes": [host, body["changes"][0]]});
    let runtime = "~ hosts and upstreams of x  (runtime/x.json)\n    ~ enabled: true → false\n";
    let all = run("diff group:uat group:test", vec![ok(&body)]);
    assert_eq!(all.answers, format!("{}{runtime}", ran.answers), "what travels comes first");
    let ran = run("diff group:uat group:test --only runtime", vec![ok(&body)]);
    assert_eq!(ran.seen[0].line, "GET /v1/groups/uat/diff?to=test HTTP/1.1");
    assert_eq!(ran.answers, runtime);
    let mixed = parse("diff httpbin group:test").unwrap().run_with(Output::standard);
    assert_eq!(mixed, failure::USAGE);
}

#[test]
fn group_owned_objects_are_listed_shown_and_copied() {
    let key = json!({"type": "key-auth", "key": "$env://KEY"});
    let list = json!({"items": [{"name": "App", "description": "phones",
        "credentials": {"main": key}}], "next": null});
    let ran = run("consumer list -g test", vec![ok(&list)]);
    assert_eq!(ran.seen[0].line, "GET /v1/groups/test/consumers HTTP/1.1");
    assert_eq!(ran.answers, "NAME  CREDENTIALS      DESCRIPTION\nApp   main (key-auth)  phones\n");
    let certificate = json!({"description": "", "labels": {}, "snis": ["a.com", "*.a.com"],
        "certificate": "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
        "private_key": "$file:///key.pem"});
    let ran = run("certificate get -g test web", vec![ok(&certificate)]);
    assert_eq!(
        ran.answers,
        "name         web\ngroup        test\nsnis         a.com, *.a.com\n\
         certificate  1 PEM block\nprivate_key  $file:///key.pem\n"
    );
    let ran = run("global-rule copy all --from test --to uat --replace", vec![ok(&written())]);
    assert_eq!(ran.seen[0].line, "POST /v1/groups/test/global-rules/all/copy HTTP/1.1");
    assert_eq!(ran.seen[0].body, r#"{"to":"uat","replace":true}"#);
    assert_eq!(ran.answers, "test: global rule all copied (revision 2, commit 01234567)\n");
    let ran = run("certificate get -g test Web", vec![]);
    assert_eq!(ran.code, failure::USAGE);
    assert!(ran.messages.contains("certificate name"), "{}", ran.messages);
}

fn plan() -> Value {
    let change = json!({
        "file": "services/httpbin/routes/get.json", "pointer": "/priority", "op": "changed",
        "from": 0, "to": 5
    });
    json!({"dry_run": true, "plan": {"id": "plan-1", "group": "live", "base_commit": "0123456789",
        "outcome": "changed", "changes": [change], "warnings": [], "gates": []}})
}

fn asked(line: &str, answers: Vec<String>, typed: &'static str) -> Ran {
    let (address, server) = serve(answers);
    run_at(address, server, line, Some(typed))
}

#[test]
fn production_is_changed_after_a_question_only() {
    let live = || ok(&json!({"name": "live", "labels": {"env": "production"}}));
    let line = "route patch -g live httpbin get --priority 5";
    let ran = asked(line, vec![live(), ok(&plan()), ok(&written())], "yes\n");
    assert_eq!(ran.code, failure::DONE, "{}", ran.messages);
    assert_eq!(ran.messages, "Change live (route get of httpbin)? [y/N] ");
    assert_eq!(
        ran.answers,
        "plan for live on commit 01234567: changed\n\
         ~ route get of httpbin  (services/httpbin/routes/get.json)\n    ~ priority: 0 → 5\n\
         test: route get of httpbin updated (revision 2, commit 01234567)\n"
    );
    let path = "PATCH /v1/groups/live/services/httpbin/routes/get";
    let lines: Vec<&str> = ran.seen.iter().map(|seen| seen.line.as_str()).collect();
    let dry = format!("{path}?dry_run=true HTTP/1.1");
    // What was shown is what is done.
    let pinned = format!("{path}?expect_plan=plan-1 HTTP/1.1");
    assert_eq!(lines, ["GET /v1/groups/live HTTP/1.1", &dry, &pinned]);

    let moved = json!({"title": "Moved", "status": 409, "code": "concurrent_update",
        "detail": "the group has changed"});
    let moved = answer("409 Conflict", "", &moved.to_string());
    let ran = asked(line, vec![live(), ok(&plan()), moved], "y\n");
    assert_eq!(ran.code, failure::CONFLICT);
    assert!(ran.messages.contains("look again"), "{}", ran.messages);

    for typed in ["n\n", "\n", "", "Yep\n"] {
        let ran = asked(line, vec![live(), ok(&plan())], typed);
        assert_eq!(ran.code, failure::FAILED, "{typed:?}");
        assert!(ran.messages.ends_with("nothing was changed\n"), "{}", ran.messages);
    }
}

#[test]
fn what_is_not_asked() {
    let test = || ok(&json!({"name": "test", "labels": {"env": "test"}}));
    let line = "route patch -g test httpbin get --priority 5";
    let ran = asked(line, vec![test(), ok(&written())], "n\n");
    assert_eq!((ran.code, ran.messages.as_str()), (failure::DONE, ""), "another group");
    let live = || ok(&json!({"name": "live", "labels": {"env": "production"}}));
    let there = json!({"dry_run": true, "plan": {"group": "live", "base_commit": "0123456789",
        "outcome": "already_current", "changes": [], "warnings": [], "gates": [], "id": "plan-1"}});
    let line = "sync httpbin --from test --to live";
    let ran = asked(line, vec![live(), ok(&there), ok(&written())], "n\n");
    assert_eq!((ran.code, ran.messages.as_str()), (failure::DONE, ""), "it is there already");
    let line = "route patch -g production httpbin get --priority 5";
    for flag in ["--yes", "-y", "--dry-run"] {
        let ran = asked(&format!("{line} {flag}"), vec![ok(&written())], "n\n");
        assert_eq!(ran.code, failure::DONE, "{flag}");
    }
    let ran = run(line, vec![ok(&written())]);
    assert_eq!((ran.code, ran.messages.as_str()), (failure::DONE, ""), "nobody is there");
}

#[test]
fn a_group_called_production_is_production() {
    let group = || ok(&json!({"name": "production"}));
    // Programs that read the answer get the answer alone.
    let line = "sync httpbin --from uat --to test,production -o json";
    let test = ok(&json!({"name": "test"}));
    let ran = asked(line, vec![test, group(), ok(&written())], "y\n");
    assert_eq!(ran.code, failure::DONE, "{}", ran.messages);
    assert_eq!(ran.messages, "Change production (service httpbin)? [y/N] ");
    assert_eq!(serde_json::from_str::<Value>(&ran.answers).unwrap(), written());
}

#[test]
fn wait_takes_a_number_or_none() {
    let lines = [
        ("runtime set -g test a --enable --wait", "60"),
        ("runtime set -g test a --enable --wait=5", "5"),
        ("runtime set -g test a --enable --wait 5", "5"),
        ("runtime set --wait a -g test --enable", "60"),
        ("runtime set --wait 5 a -g test --enable", "5"),
    ];
    let after = ["sync", "--", "--wait", "a"].map(std::ffi::OsString::from);
    assert_eq!(args::with_bare_waits(after.clone()), after, "these are names");
    for (flag, query) in lines {
        let ran = run(flag, vec![ok(&written())]);
        let line = format!("PATCH /v1/groups/test/services/a/runtime?wait={query} HTTP/1.1");
        assert_eq!(ran.seen[0].line, line, "{flag}");
    }
}

#[test]
fn answers_as_yaml() {
    let body = json!({"name": "test", "head": "0", "labels": {"env": "x y"}});
    let ran = run("group get test -o yaml", vec![ok(&body)]);
    assert_eq!(ran.answers, "name: test\nhead: \"0\"\nlabels:\n  env: x y\n");
    let ran = run("group list -o yaml", vec![ok(&json!({"items": [body], "next": null}))]);
    assert!(ran.answers.starts_with("items:\n  - name: test\n"), "{}", ran.answers);
    let ran = run("sync a --from test --to uat -o yaml", vec![ok(&written())]);
    assert!(ran.answers.contains("\nrevision: 2\n"), "{}", ran.answers);
}

#[test]
fn an_openapi_document_is_sent_and_what_is_not_carried_is_told() {
    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    std::fs::write(file.path(), "openapi: 3.0.0\npaths: {/a: {get: {responses: {200: {}}}}}\n")
        .unwrap();
    let mut body = written();
    body["import"] = json!({"service": "pets",
        "routes": [{"name": "get-a", "methods": ["GET"], "paths": ["/a"]}],
        "notes": [{"pointer": "/security", "message": "security is not carried"}]});
    let line =
        format!("import openapi {} -g test --service pets --with-upstream", file.path().display());
    let ran = run(&line, vec![answer("201 Created", "", &body.to_string())]);
    assert_eq!(ran.seen[0].line, "POST /v1/groups/test/import/openapi HTTP/1.1");
    assert_eq!(
        serde_json::from_str::<Value>(&ran.seen[0].body).unwrap(),
        json!({"document": {"openapi": "3.0.0", "paths": {"/a": {"get": {"responses": {"200": {}}}}}},
            "service": "pets", "with_upstream": true})
    );
    assert_eq!(
        ran.answers,
        "ROUTE  METHODS  PATHS\nget-a  GET      /a\n\n\
         test: service pets created (revision 2, commit 01234567)\n"
    );
    assert_eq!(ran.messages, "note: /security: security is not carried\n");
}

#[test]
fn servers_are_kept_used_and_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("contexts.json");
    let keep = |line: &str| {
        let memory = Memory::default();
        let line = format!("{line} --contexts {}", file.display());
        let code = parse(&line).unwrap().run_with(|format| memory.output(format));
        (code, memory.answers(), memory.messages())
    };
    let groups = json!({"items": [{"name": "test"}], "next": null});
    let mut addresses = Vec::new();
    for name in ["here", "there"] {
        let (address, server) = serve(vec![ok(&groups)]);
        let (code, answers, messages) =
            keep(&format!("login {name} --server http://{address} --token rg_{name}"));
        assert_eq!((code, answers.as_str()), (failure::DONE, ""), "{messages}");
        assert!(!messages.contains("rg_"), "{messages}");
        let seen = server.join().unwrap();
        assert_eq!(seen[0].header("authorization"), Some(&*format!("Bearer rg_{name}")));
        addresses.push(address);
    }
    let (code, answers, _) = keep("login --list");
    assert_eq!(code, failure::DONE);
    let expected = [
        "NAME SERVER IN USE".to_owned(),
        format!("here http://{}", addresses[0]),
        format!("there http://{} yes", addresses[1]),
    ];
    let lines = answers.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    assert_eq!(lines.collect::<Vec<_>>(), expected);
    assert!(!keep("login --list -o json").1.contains("rg_"));

    assert_eq!(keep("use here").0, failure::DONE);
    assert!(keep("login --list -o json").1.contains("\"current\": true"));
    assert_eq!(keep("use nowhere").0, failure::USAGE);
    assert_eq!(keep("logout").0, failure::DONE);
    assert_eq!(keep("logout here").0, failure::USAGE, "it is forgotten already");
    assert_eq!(keep("status --context here").0, failure::USAGE);

    // A token that the server does not know is not kept.
    let refused = json!({"title": "No", "status": 401, "code": "unauthenticated"});
    let (address, _server) = serve(vec![answer("401 Unauthorized", "", &refused.to_string())]);
    let before = std::fs::read_to_string(&file).unwrap();
    let (code, _, messages) = keep(&format!("login there --server http://{address} --token rg_x"));
    assert_eq!(code, failure::FAILED);
    assert!(messages.contains("does not know this token"), "{messages}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
}

#[test]
fn every_command_has_a_page() {
    let directory = tempfile::tempdir().unwrap();
    let pages = directory.path().join("man1");
    let line = format!("man {}", pages.display());
    assert_eq!(parse(&line).unwrap().run_with(Output::standard), failure::DONE);
    for page in ["refgate.1", "refgate-sync.1", "refgate-import-openapi.1"] {
        assert!(pages.join(page).is_file(), "{page}");
    }
}
