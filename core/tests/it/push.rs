//! The check of a push, asked the way the hook asks it. What git does around it is tested end to end.

mod draft;
mod history;

use std::collections::BTreeMap;

use git2::{ObjectType, Oid};
use refgate_core::change::Operation;
use refgate_core::limits::FILE_BYTES;
use refgate_core::push::{Pusher, Update};
use serde_json::json;

use self::draft::{
    Draft, admin, begins, branch, commit_at, editor, findings, head, moved, object, tag, told,
};
use crate::support::{Fixture, httpbin, name};

const ROUTE: &str = "services/a/routes/get-headers.json";

/// Groups of every kind. In test, `a` is 1.0.0 and `b` has no version; uat has run `a` 1.0.0 and has
/// gone on from it; frozen takes only versions, and has run `a` 1.0.0 before what it runs now.
fn stage() -> Fixture {
    let f = Fixture::in_memory();
    f.put("test", "a", httpbin()).expect("put");
    f.sync("a", "test", "uat", Some("1.0.0")).expect("synced");
    f.apply("frozen", Operation::CreateGroup { document: json!({}) }).expect("created");
    f.apply("edge", Operation::CreateGroup { document: json!({"type": "ingress"}) }).expect("made");
    f.sync("a", "test", "frozen", None).expect("synced");
    f.patch("test", "a", json!({"description": "second"})).expect("patched");
    f.sync("a", "test", "frozen", Some("2.0.0")).expect("synced");
    let rules = json!({"promotion": {"direct_edits": "runtime-only", "from": ["uat"]}});
    f.apply("frozen", Operation::PatchGroup { patch: rules }).expect("patched");
    f.patch("uat", "a", json!({"description": "of uat"})).expect("patched");
    let runtime = json!({"runtime": {"hosts": ["b.acme.com"]}});
    f.put("test", "b", runtime).expect("put");
    f
}

/// What is pushed, by whom, the codes of the errors, and a part of what is told.
type Row<'r> = (&'r str, Vec<Update>, Pusher, &'r [&'r str], &'r str);

/// An id as it is told.
fn short(id: Oid) -> String {
    id.to_string().chars().take(10).collect()
}

/// Each row is asked of the same repository: a check moves nothing.
fn all_are(f: &Fixture, rows: Vec<Row<'_>>) {
    let before = f.heads();
    for (what, updates, pusher, codes, part) in rows {
        let (found, text) = told(f, &pusher, &updates);
        assert_eq!(found, codes, "{what}\n{text}");
        assert!(text.contains(part), "{what}: no {part:?} in\n{text}");
        // What comes from the push is harmless on a terminal and begins no line of its own.
        for line in text.lines() {
            let begins =
                ["error: ", "warning: ", "hint: "].iter().any(|word| line.starts_with(word));
            assert!(begins && !line.contains(char::is_control), "{what}: {line:?}");
        }
    }
    assert_eq!(f.heads(), before);
}

#[test]
fn warnings_are_of_what_is_pushed() {
    let f = stage();
    let texts = |draft: Draft| told(&f, &editor("eve"), &[branch(&f, "test", draft.commit())]).1;
    let overlapping = r#"{"paths": ["/headers"]}"#;
    let text = texts(Draft::of(&f, "test").put("services/a/routes/any.json", overlapping));
    assert!(text.contains("[route_overlap]"), "{text}");
    let route = Operation::PutRoute {
        service: name("a"),
        route: name("any"),
        document: json!({"paths": ["/headers"]}),
    };
    f.apply("test", route).expect("put");
    let elsewhere =
        Draft::of(&f, "test").put("services/a/routes/other.json", r#"{"paths": ["/o"]}"#);
    assert_eq!(texts(elsewhere), "");
    let moved = Draft::of(&f, "test").put(
        "runtime/a.json",
        r#"{"upstreams": {"default": {"nodes": [{"host": "a", "port": 80}]}}}"#,
    );
    assert!(texts(moved).contains("[route_overlap]"));
}

#[test]
fn refs() {
    let f = stage();
    let (test, uat) = (head(&f, "test"), head(&f, "uat"));
    let good = Draft::of(&f, "test").put("README.md", "# x\n").commit();
    let absent = moved("refs/heads/test", Some(test), None);
    let rows: Vec<Row<'_>> = vec![
        ("a good commit", vec![branch(&f, "test", good)], editor("eve"), &[], ""),
        (
            "a note",
            vec![begins("refs/notes/commits", good)],
            admin(),
            &["bad_ref"],
            "hint: git push",
        ),
        ("of Refgate", vec![begins("refs/refgate/x", good)], admin(), &["bad_ref"], "no such ref"),
        (
            "a tag of nothing",
            vec![begins("refs/tags/v1", good)],
            admin(),
            &["bad_ref"],
            "<version>",
        ),
        (
            "a tag of no version",
            vec![begins("refs/tags/a/v1", test)],
            admin(),
            &["bad_version"],
            "v1",
        ),
        ("no service", vec![begins("refs/tags/A/1.0.0", test)], admin(), &["bad_name"], "\"A\""),
        ("no group", vec![begins("refs/heads/Test", good)], admin(), &["bad_name"], "\"Test\""),
        ("a folder", vec![begins("refs/heads/test/x", good)], admin(), &["bad_name"], "test/x"),
        ("dots", vec![begins("refs/heads/..", good)], admin(), &["bad_name"], "gateway group"),
        ("control", vec![begins("refs/heads/a\u{1b}[2J", good)], admin(), &["bad_name"], "group"),
        ("for no group", vec![begins("refs/for/A", uat)], admin(), &["bad_name"], "\"A\""),
        ("for an unknown one", vec![begins("refs/for/x", uat)], admin(), &["not_found"], "group x"),
        ("for a group", vec![begins("refs/for/production", uat)], editor("eve"), &[], ""),
        (
            "what no group has",
            vec![begins("refs/for/uat", good)],
            admin(),
            &["not_in_history"],
            "push the branch of its group first",
        ),
        ("a branch goes", vec![absent.clone()], admin(), &["deletion_refused"], "group delete"),
        (
            "a version goes",
            vec![moved("refs/tags/a/1.0.0", Some(test), None)],
            admin(),
            &["deletion_refused"],
            "a version stays",
        ),
        (
            "everything is told",
            vec![absent, begins("refs/notes/x", good), begins("refs/tags/b/0.1.0", good)],
            admin(),
            &["deletion_refused", "bad_ref", "not_in_history"],
            "",
        ),
    ];
    all_are(&f, rows);
}

#[test]
fn history_goes_on() {
    let f = stage();
    let (test, uat) = (head(&f, "test"), head(&f, "uat"));
    let parent = commit_at(&f, "test~1");
    let good = Draft::of(&f, "test").put("README.md", "# x\n").commit();
    let aside = Draft::after(&f, parent).put("README.md", "# y\n").commit();
    let merged = Draft::of(&f, "test").put("README.md", "# y\n").merges(aside).commit();
    let wrong_way = Draft::after(&f, aside).merges(test).commit();
    // Of files that have nothing to do with the group's.
    let foreign = Draft::orphan(&f).put("group.json", "{}").commit();
    let foreign_way = Draft::after(&f, foreign).merges(test).commit();
    let foreign_merged = Draft::of(&f, "test").merges(foreign).commit();
    let broken = Draft::of(&f, "test").put(ROUTE, "{").merges(aside).commit();
    let mended = Draft::after(&f, broken).restore(&f, "services/a", test).commit();
    let unfinished = Draft::of(&f, "test").put(ROUTE, "{").commit();
    let finished = Draft::after(&f, unfinished).restore(&f, "services/a", test).commit();
    let blob = object(&f, ObjectType::Blob, "x");
    let to = |new| vec![branch(&f, "test", new)];
    let in_between = short(broken);
    let rows: Vec<Row<'_>> = vec![
        ("a merge into the group", to(merged), editor("eve"), &[], ""),
        ("of another history", to(foreign_merged), editor("eve"), &[], ""),
        ("into one's own", to(wrong_way), admin(), &["not_first_parent"], "git rebase onto"),
        ("into another history", to(foreign_way), admin(), &["not_first_parent"], "first parents"),
        ("a step back", to(parent), admin(), &["not_fast_forward"], "git pull --rebase"),
        ("aside", to(aside), admin(), &["not_fast_forward"], "never rewritten"),
        ("another history", to(foreign), admin(), &["not_fast_forward"], "never rewritten"),
        ("another group's", to(uat), admin(), &["not_fast_forward"], "never rewritten"),
        (
            "from a head that was",
            vec![moved("refs/heads/test", Some(parent), Some(good))],
            admin(),
            &["not_fast_forward"],
            "git pull",
        ),
        (
            "from no head",
            vec![begins("refs/heads/test", good)],
            admin(),
            &["not_fast_forward"],
            "git pull",
        ),
        ("a file", to(blob), admin(), &["wrong_object"], "this is none"),
        (
            "a tag",
            to(tag(&f, "x", "commit", good)),
            admin(),
            &["wrong_object"],
            "a branch is at a commit",
        ),
        ("a merge that is broken", to(broken), editor("eve"), &["malformed_json"], ROUTE),
        ("and mended later", to(mended), editor("eve"), &["malformed_json"], &in_between),
        ("not finished", to(unfinished), editor("eve"), &["malformed_json"], "routes/get-headers"),
        ("and finished later", to(finished), editor("eve"), &[], ""),
    ];
    all_are(&f, rows);
}

#[test]
fn a_push_brings_so_many_commits_and_no_more() {
    let f = Fixture::in_memory();
    let git = git2::Repository::open_bare(f.path()).expect("opened");
    let mut id = head(&f, "test");
    let tree = git.find_commit(id).expect("a commit").tree_id();
    let most = refgate_core::limits::PUSHED_COMMITS;
    let mut last_good = id;
    for number in 0..=most {
        last_good = id;
        let who = "J <j@x> 1700000000 +0000";
        let text = format!("tree {tree}\nparent {id}\nauthor {who}\ncommitter {who}\n\n{number}\n");
        let odb = git.odb().expect("objects");
        id = odb.write(ObjectType::Commit, text.as_bytes()).expect("written");
    }
    let rows: Vec<Row<'_>> = vec![
        ("as many", vec![branch(&f, "test", last_good)], editor("eve"), &[], ""),
        ("one more", vec![branch(&f, "test", id)], editor("eve"), &["too_large"], "in parts"),
    ];
    all_are(&f, rows);
}

#[test]
fn nobody_says_what_only_refgate_says() {
    let f = stage();
    let test = head(&f, "test");
    let forged = "x\n\nRefgate-Event: version.promoted\nRefgate-Actor: root\n";
    let tip = Draft::of(&f, "test").put("README.md", "1").says(forged).commit();
    let over = Draft::after(&f, tip).put("README.md", "2").commit();
    let cased = "x\n\nrefgate-actor: root\n";
    let cased = Draft::of(&f, "test").says(cased).put("README.md", "3").commit();
    let spoken = "we talk of Refgate-Event: trailers\n\n  Refgate-Actor: such as this\n";
    let spoken = Draft::of(&f, "test").says(spoken).put("README.md", "4").commit();
    let picked = "x\n\n(cherry picked from commit 0123456789012345678901234567890123456789)\n";
    let picked = Draft::of(&f, "test").says(picked).put("README.md", "5").commit();
    let aside = Draft::after(&f, test).says(forged).put("README.md", "6").commit();
    let merge = Draft::of(&f, "test").put("README.md", "6").merges(aside).commit();
    // All that is in test came the right way, and what is said there is true.
    let grown = Draft::after(&f, test).put("README.md", "7").commit();
    let to = |new| vec![branch(&f, "test", new)];
    let code: &[&str] = &["forged_trailer"];
    let in_between = short(tip);
    let rows: Vec<Row<'_>> = vec![
        ("in the newest", to(tip), admin(), code, "git commit --amend"),
        ("before it", to(over), admin(), code, &in_between),
        ("in another case", to(cased), admin(), code, "Refgate-"),
        ("no trailer", to(spoken), admin(), &[], ""),
        ("another trailer", to(picked), admin(), &[], ""),
        ("aside, where it is in no history", to(merge), admin(), &[], ""),
        ("a new group of known ones", vec![branch(&f, "copy", grown)], admin(), &[], ""),
        ("a new group of forged ones", vec![branch(&f, "copy", over)], admin(), code, "Refgate-"),
    ];
    all_are(&f, rows);
}

#[test]
fn groups_are_made_and_changed_by_those_who_may() {
    let f = stage();
    let fresh = |document: Option<&str>| {
        let draft = Draft::orphan(&f).put("README.md", "# new\n");
        let draft = document.into_iter().fold(draft, |draft, text| draft.put("group.json", text));
        vec![branch(&f, "new", draft.commit())]
    };
    let changed = Draft::of(&f, "test").put("group.json", "{\"description\": \"mine\"}\n").commit();
    let back = Draft::after(&f, changed).restore(&f, "group.json", head(&f, "test"));
    let original = f.git(&["show", "test:group.json"]);
    let hidden = back.put("group.json", &original).commit();
    let gone = Draft::of(&f, "test").without("group.json").commit();
    // The rules count as they are before the change.
    let open = Draft::of(&f, "frozen").put("group.json", "{}").commit();
    let opened_and_edited = Draft::after(&f, open).put(ROUTE, "{\"paths\": [\"/x\"]}").commit();
    let at_once = Draft::of(&f, "frozen")
        .put("group.json", "{}")
        .put(ROUTE, "{\"paths\": [\"/x\"]}")
        .commit();
    let branch_of_test = branch(&f, "copy", head(&f, "test"));
    let gated = Draft::after(&f, head(&f, "test"))
        .put("group.json", "{\"promotion\": {\"from\": [\"uat\"]}}")
        .commit();
    let to = |new| vec![branch(&f, "test", new)];
    let eve = || editor("eve");
    let in_between = short(changed);
    let rows: Vec<Row<'_>> = vec![
        ("by an editor", fresh(Some("{}")), eve(), &["forbidden"], "ask an administrator"),
        ("by an administrator", fresh(Some("{}")), admin(), &[], ""),
        ("without group.json", fresh(None), admin(), &["missing_file"], "an empty object"),
        ("with a broken one", fresh(Some("{")), admin(), &["malformed_json"], "group.json:1:1"),
        ("with a wrong one", fresh(Some("{\"type\": \"x\"}")), admin(), &["bad_value"], "/type"),
        ("of another's commits", vec![branch_of_test], admin(), &[], ""),
        (
            "by its own rules",
            vec![branch(&f, "new", gated)],
            admin(),
            &["promotion_gate"],
            "a 2.0.0 never did",
        ),
        ("an editor changes it", to(changed), eve(), &["forbidden"], "only administrators"),
        ("an administrator does", to(changed), admin(), &[], ""),
        ("an editor hides it", to(hidden), eve(), &["forbidden"], &in_between),
        ("an editor drops it", to(gone), eve(), &["forbidden", "missing_file"], "only admin"),
        ("dropped", to(gone), admin(), &["missing_file"], "group.json"),
        ("opened, then edited", vec![branch(&f, "frozen", opened_and_edited)], admin(), &[], ""),
        (
            "opened and edited at once",
            vec![branch(&f, "frozen", at_once)],
            admin(),
            &["direct_edit_refused"],
            "frozen",
        ),
    ];
    all_are(&f, rows);
}

#[test]
fn what_may_be_in_a_tree() {
    let f = stage();
    let large = vec![b' '; FILE_BYTES + 1];
    let just = [b"{}".to_vec(), vec![b' '; FILE_BYTES - 2]].concat();
    let on = || Draft::of(&f, "test");
    let long = format!("services/a/{}", vec!["x".repeat(63); 64].join("/"));
    let long_name = format!("services/{}/service.json", "x".repeat(4096));
    let consumers = on().put("consumers/Alice.json", "{}").put("consumers/alice.json", "{}");
    let text = b"x".as_slice();
    let trees: Vec<(&str, Draft, &[&str], &str)> = vec![
        (
            "a link",
            on().put_as(0o120_000, b"services/a/routes/x.json", b"/etc/passwd"),
            &["unexpected_file"],
            "symbolic links",
        ),
        (
            "a link at the top",
            on().put_as(0o120_000, b"README.md", b"group.json"),
            &["unexpected_file"],
            "symbolic links",
        ),
        (
            "a link to itself",
            on().put_as(0o120_000, b"services/loop", b"../services"),
            &["unexpected_file"],
            "services/loop",
        ),
        (
            "a link for group.json",
            on().put_as(0o120_000, b"group.json", b"README.md"),
            &["unexpected_file", "missing_file"],
            "symbolic links",
        ),
        ("another repository", on().submodule("services/sub"), &["unexpected_file"], "submodules"),
        (
            "another repository, declared",
            on().submodule("sub").put(".gitmodules", "[submodule]"),
            &["unexpected_file", "unexpected_file"],
            "submodules",
        ),
        (
            "a program",
            on().put_as(0o100_755, ROUTE.as_bytes(), b"{}"),
            &["unexpected_file"],
            "executable",
        ),
        ("attributes", on().put(".gitattributes", "* filter=x"), &["unexpected_file"], ".gitattr"),
        (
            "attributes below",
            on().put("services/a/.gitattributes", "*"),
            &["unexpected_file"],
            "services/a/.gitattributes",
        ),
        ("a file of no kind", on().put("notes.txt", "x"), &["unexpected_file"], "notes.txt"),
        (
            "a folder of no kind",
            on().put("x/y.json", "{}"),
            &["unexpected_file"],
            "error: test: x:",
        ),
        (
            "a service that is a file",
            on().put("services/x", "{}"),
            &["unexpected_file"],
            "services/x",
        ),
        (
            "a file in a service",
            on().put("services/a/x.json", "{}"),
            &["unexpected_file"],
            "a/x.json",
        ),
        (
            "a folder in routes",
            on().put("services/a/routes/x/y.json", "{}"),
            &["unexpected_file"],
            "routes/x",
        ),
        (
            "another kind of file",
            on().put("services/a/routes/x.yaml", "x: y"),
            &["unexpected_file"],
            "x.yaml",
        ),
        ("a service of no name", on().put("services/A/service.json", "{}"), &["bad_name"], "\"A\""),
        ("a route of no name", on().put("services/a/routes/X.json", "{}"), &["bad_name"], "\"X\""),
        ("a step up", on().put("services/../service.json", "{}"), &["bad_name"], "\"..\""),
        ("a step up at the top", on().put("../x", "{}"), &["unexpected_file"], ".."),
        (".git", on().put(".git/config", "[core]"), &["unexpected_file"], ".git"),
        (
            "control characters",
            on().put("services/a\u{1b}[2Jb/service.json", "{}"),
            &["bad_name"],
            "services/",
        ),
        (
            "a line of one's own",
            on().put("services/a\nerror: x/service.json", "{}"),
            &["bad_name"],
            "services/",
        ),
        (
            "not UTF-8",
            on().put_as(0o100_644, b"services/\xff\xfe/service.json", b"{}"),
            &["bad_name"],
            "services/",
        ),
        ("a deep path", on().put(&long, "{}"), &["unexpected_file"], "services/a/x"),
        ("a long name", on().put(&long_name, "{}"), &["bad_name"], "services/xxx"),
        ("names that differ in case", consumers, &["bad_name"], "differ only in case"),
        ("so do schemas", on().put("schema/Route.json", "{}"), &["bad_name"], "schema/Route.json"),
        ("a large file", on().put_as(0o100_644, ROUTE.as_bytes(), &large), &["too_large"], "1 MiB"),
        ("a large README", on().put_as(0o100_644, b"README.md", &large), &["too_large"], "README"),
        (
            "a large schema",
            on().put_as(0o100_644, b"schema/route.json", &large),
            &["too_large"],
            "schema/route.json",
        ),
        (
            "a large consumer",
            on().put_as(0o100_644, b"consumers/x.json", &large),
            &["too_large"],
            "consumers/x.json",
        ),
        (
            "a large group.json",
            on().put_as(0o100_644, b"group.json", &large),
            &["too_large"],
            "group.json",
        ),
        ("the largest file", on().put_as(0o100_644, b"consumers/x.json", &just), &[], ""),
        ("a runtime without a service", on().put("runtime/later.json", "{}"), &[], "warning: test"),
        (
            "schemas, a README and settings",
            on().put("schema/x.json", "{").put("README.md", "# x").put_as(
                0o100_644,
                b".editorconfig",
                text,
            ),
            &[],
            "",
        ),
    ];
    for (what, draft, codes, part) in trees {
        let id = draft.commit();
        all_are(&f, vec![(what, vec![branch(&f, "test", id)], admin(), codes, part)]);
        // What has no place stays out for good, even if a later commit takes it away again.
        if codes.iter().all(|code| ["unexpected_file", "bad_name", "too_large"].contains(code)) {
            let mut mended = Draft::after(&f, id);
            for path in
                f.git(&["ls-tree", "--name-only", "-z", &id.to_string()]).split_terminator('\0')
            {
                mended = mended.without(path);
            }
            for top in f.git(&["ls-tree", "--name-only", "test"]).lines() {
                mended = match top.contains('.') {
                    true => mended.put(top, &f.git(&["show", &format!("test:{top}")])),
                    false => mended.restore(&f, top, head(&f, "test")),
                };
            }
            let update = vec![branch(&f, "test", mended.commit())];
            let place = if codes.is_empty() { String::new() } else { short(id) };
            all_are(&f, vec![(what, update, admin(), codes, &place)]);
        }
    }
}

#[test]
fn everything_that_is_wrong_is_told_with_its_place() {
    let f = stage();
    let draft = Draft::of(&f, "test")
        .put(ROUTE, "{\n  \"paths\": [\n    \"get\"\n  ],\n  \"method\": []\n}\n")
        .put("services/a/service.json", "{\n  \"description\": 1\n}\n")
        .put("services/b/routes/x.json", "{\"paths\": [\"/x\"], \"upstream\": \"other\"}\n")
        .put("services/c/service.json", "{")
        .put("runtime/b.json", "{\n  \"hosts\": [\"-\"]\n}\n")
        .put("consumers/joe.json", "{\"credentials\": {\"k\": {}}}\n")
        .put("notes.txt", "x");
    let (codes, text) = told(&f, &editor("eve"), &[branch(&f, "test", draft.commit())]);
    for part in [
        "error: test: services/a/routes/get-headers.json:3:5 /paths/0: ",
        "error: test: services/a/routes/get-headers.json:5:3 /method: ",
        "hint: did you mean \"methods\"?",
        "error: test: services/a/service.json:2:18 /description: ",
        "error: test: services/c/service.json:1:1: ",
        "error: test: runtime/b.json:2:13 /hosts/0: ",
        "error: test: consumers/joe.json:1:23 /credentials/k",
        "error: test: notes.txt: ",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(codes.len() >= 7, "{text}");

    // Not more than can be read.
    let draft = (0..80).fold(Draft::of(&f, "test"), |draft, number| {
        draft.put(&format!("consumers/c{number}.json"), "[]")
    });
    let update = branch(&f, "test", draft.commit());
    let found = findings(&f, &editor("eve"), &[update]);
    let lines = refgate_core::push::lines(&found, 50);
    assert_eq!(lines.iter().filter(|line| line.starts_with("error: test:")).count(), 50);
    assert_eq!(lines.last().map(String::as_str), Some("error: and 30 more"));
}

#[test]
fn a_group_that_is_unsound_can_be_mended_and_goes_no_further() {
    let f = stage();
    let broken = Draft::of(&f, "test").put(ROUTE, "{").put("services/b/service.json", "[").commit();
    f.git(&["update-ref", "refs/heads/test", &broken.to_string()]);
    let one = Draft::of(&f, "test").put("services/b/service.json", "{}").commit();
    let other = Draft::of(&f, "test").put("README.md", "x").commit();
    let worse = Draft::of(&f, "test").put("runtime/b.json", "{").commit();
    let to = |new| vec![branch(&f, "test", new)];
    all_are(
        &f,
        vec![
            ("half mended", to(one), editor("eve"), &[], ""),
            ("something else", to(other), editor("eve"), &[], ""),
            ("worse", to(worse), editor("eve"), &["malformed_json"], "runtime/b.json"),
        ],
    );
}

#[test]
fn what_comes_to_a_group_comes_the_right_way() {
    let f = stage();
    let (first, second) = (commit_at(&f, "a/1.0.0"), commit_at(&f, "a/2.0.0"));
    let bring = |group: &str, from| {
        let id = Draft::of(&f, group).restore(&f, "services/a", from).commit();
        vec![branch(&f, group, id)]
    };
    let edited = Draft::of(&f, "frozen").put(ROUTE, "{\"paths\": [\"/x\"]}").commit();
    let reverted = Draft::after(&f, edited).restore(&f, "services/a", second).commit();
    let new = Draft::of(&f, "frozen").put("services/n/service.json", "{}").commit();
    let gone = Draft::of(&f, "frozen").without("services/a").without("runtime/a.json").commit();
    let runtime = Draft::of(&f, "frozen").put("runtime/a.json", "{\"hosts\": [\"f.acme.com\"]}");
    let runtime = runtime.put("consumers/joe.json", "{}").commit();
    // A version of which uat has never run the content.
    let uncommon = f.sync("a", "uat", "test", Some("3.0.0"));
    uncommon.expect("synced");
    let third = commit_at(&f, "a/3.0.0");
    let by_hand = Draft::of(&f, "production").restore(&f, "services/a", first);
    let by_hand = by_hand.put(ROUTE, "{\"paths\": [\"/by-hand\"]}").commit();
    let to = |group, new| vec![branch(&f, group, new)];
    let eve = || editor("eve");
    let rows: Vec<Row<'_>> = vec![
        ("an edit", to("frozen", edited), eve(), &["direct_edit_refused"], "frozen"),
        ("an edit, reverted", to("frozen", reverted), eve(), &["direct_edit_refused"], "frozen"),
        ("a new service", to("frozen", new), eve(), &["direct_edit_refused"], "frozen"),
        ("a service goes", to("frozen", gone), eve(), &["direct_edit_refused"], "frozen"),
        ("what the group owns", to("frozen", runtime), eve(), &[], ""),
        ("a version it had", bring("frozen", first), eve(), &[], ""),
        ("a version from uat", bring("frozen", third), eve(), &[], ""),
        ("a version from uat, again", bring("production", third), eve(), &[], ""),
        (
            "one that uat never ran",
            bring("production", second),
            eve(),
            &["promotion_gate"],
            "a 2.0.0",
        ),
        ("an edit", to("production", by_hand), eve(), &[], ""),
        (
            "of a controller",
            to("edge", Draft::of(&f, "edge").put("services/x/service.json", "{}").commit()),
            admin(),
            &["read_only_group"],
            "edge",
        ),
    ];
    all_are(&f, rows);
}

#[test]
fn tags() {
    let f = stage();
    let test = head(&f, "test");
    let blob = object(&f, ObjectType::Blob, "x");
    let tree = Oid::from_str(f.git(&["rev-parse", "test^{tree}"]).trim()).expect("an id");
    let of = |name: &str, id| vec![begins(&format!("refs/tags/{name}"), id)];
    let annotated = tag(&f, "b/0.1.0", "commit", test);
    let renamed = tag(&f, "b/0.2.0", "commit", test);
    let of_tag = tag(&f, "b/0.1.0", "tag", annotated);
    let aside = Draft::of(&f, "test").put("services/b/service.json", "{\"description\":\"x\"}");
    let aside = aside.commit();
    let taken = Oid::from_str(f.git(&["rev-parse", "refs/tags/a/1.0.0"]).trim()).expect("an id");
    let broken = Draft::of(&f, "test").put("services/b/service.json", "[").commit();
    let broken = Draft::after(&f, broken).put("services/b/service.json", "{}").commit();
    let broken_commit = commit_at(&f, &format!("{broken}~1"));
    let together = |first: Update, second: Update| vec![first, second];
    let eve = || editor("eve");
    let rows: Vec<Row<'_>> = vec![
        ("light", of("b/0.1.0", test), eve(), &[], ""),
        ("annotated", of("b/0.1.0", annotated), eve(), &[], ""),
        ("of an older commit", of("b/0.1.0", test), eve(), &[], ""),
        ("of another name", of("b/0.1.0", renamed), eve(), &["bad_tag"], "\"b/0.2.0\""),
        ("of a tag", of("b/0.1.0", of_tag), eve(), &["wrong_object"], "git tag"),
        ("of a file", of("b/0.1.0", blob), eve(), &["wrong_object"], "a tag of a commit"),
        ("of a folder", of("b/0.1.0", tree), eve(), &["wrong_object"], "a tag of a commit"),
        (
            "of a folder, annotated",
            of("b/0.1.0", tag(&f, "b/0.1.0", "tree", tree)),
            eve(),
            &["wrong_object"],
            "a tag of a commit",
        ),
        ("nowhere in history", of("b/0.1.0", aside), eve(), &["not_in_history"], "push the branch"),
        ("no such service", of("c/0.1.0", test), eve(), &["not_found"], "no service c"),
        ("taken", of("a/1.0.0", test), eve(), &["version_taken"], "versions never move"),
        (
            "moved",
            vec![moved("refs/tags/a/1.0.0", Some(taken), Some(test))],
            admin(),
            &["version_taken"],
            "versions never move",
        ),
        (
            "of a numbered content",
            of("a/3.0.0", test),
            eve(),
            &["content_already_versioned"],
            "2.0.0",
        ),
        (
            "two of one content",
            together(begins("refs/tags/b/0.1.0", test), begins("refs/tags/b/0.2.0", test)),
            eve(),
            &["content_already_versioned"],
            "0.1.0",
        ),
        (
            "with its branch",
            together(begins("refs/tags/b/0.1.0", aside), branch(&f, "test", aside)),
            eve(),
            &[],
            "",
        ),
        (
            "with a branch that is refused",
            together(
                begins("refs/tags/b/0.1.0", aside),
                moved("refs/heads/test", None, Some(aside)),
            ),
            eve(),
            &["not_fast_forward", "not_in_history"],
            "",
        ),
        (
            "of what is not sound",
            together(begins("refs/tags/b/0.1.0", broken_commit), branch(&f, "test", broken)),
            eve(),
            &["malformed_json"],
            "services/b/service.json",
        ),
    ];
    all_are(&f, rows);
    let f = stage();
    let before = begins("refs/tags/b/0.1.0-rc.1", head(&f, "test"));
    assert_eq!(told(&f, &editor("eve"), &[before]).0, [""; 0], "a number before the first");
}

/// git makes a tag only after its push was accepted.
#[test]
fn a_content_whose_number_is_on_its_way_gets_no_other() {
    let f = stage();
    let tip = head(&f, "test");
    let update = begins("refs/tags/b/1.0.0", tip);
    assert_eq!(told(&f, &editor("eve"), std::slice::from_ref(&update)).0, [""; 0]);
    let number = |version: &str| Operation::TagVersion {
        service: name("b"),
        version: version.to_owned(),
        message: None,
    };
    let refused = f.apply("test", number("2.0.0")).expect_err("another number is on its way");
    assert_eq!(refused.code(), "concurrent_update");
    let other = begins("refs/tags/b/3.0.0", tip);
    assert_eq!(told(&f, &editor("bo"), &[other]).0, ["concurrent_update"]);
    assert_eq!(told(&f, &editor("eve"), &[update]).0, [""; 0], "the same one, tried again");
    f.git(&["update-ref", "refs/tags/b/1.0.0", &tip.to_string()]);
    let refused = f.apply("test", number("2.0.0")).expect_err("it has a number");
    assert_eq!(refused.code(), "content_already_versioned");
}

#[test]
fn consumers_of_one_name_but_for_case_come_in_by_no_door() {
    let f = Fixture::in_memory();
    let put = |consumer: &str| {
        let object = refgate_core::object::ObjectName::Consumer(name(consumer));
        f.apply("test", Operation::PutObject { object, document: json!({}) })
    };
    put("Alice").expect("put");
    let refused = put("alice").expect_err("refused");
    let found: BTreeMap<_, _> = refused
        .diagnostics()
        .iter()
        .map(|found| (found.file.clone(), found.code.as_str()))
        .collect();
    assert_eq!(found, BTreeMap::from([("consumers/alice.json".to_owned(), "bad_name")]));
    put("Alice").expect("the same again");
    put("bob").expect("another");
    // In the place of the other one it may come.
    let swapped = Draft::of(&f, "test").without("consumers/Alice.json");
    let swapped = swapped.put("consumers/alice.json", "{}").commit();
    all_are(&f, vec![("swapped", vec![branch(&f, "test", swapped)], editor("eve"), &[], "")]);
}
