//! `refgate validate` on files alone: no control plane is there to be asked.

use std::fs;
use std::path::Path;

use clap::Parser;
use serde_json::Value;

use crate::command::{Cli, failure};
use crate::output::testing::Memory;

/// Exit code, answers and messages of a command.
fn run(arguments: &[&str]) -> (u8, String, String) {
    let memory = Memory::default();
    // Whoever asks this server fails.
    let line = ["refgate"].into_iter().chain(arguments.iter().copied());
    let line = line.chain(["--server", "http://127.0.0.1:1"]);
    let cli = Cli::try_parse_from(line).unwrap_or_else(|error| panic!("{error}"));
    let code = cli.run_with(|format| memory.output(format));
    (code, memory.answers(), memory.messages())
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn tree() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "group.json", "{}");
    write(root.path(), "services/a/service.json", "{}");
    write(root.path(), "services/a/routes/r.json", "{\"paths\": [\"/a\"]}");
    root
}

#[test]
fn a_sound_directory() {
    let root = tree();
    let (code, answers, messages) = run(&["validate", root.path().to_str().unwrap()]);
    assert_eq!((code, &*answers, &*messages), (failure::DONE, "", "3 files: valid\n"));
}

#[test]
fn findings_have_a_line_and_a_column_and_the_way_to_the_file() {
    let root = tree();
    write(
        root.path(),
        "services/a/routes/r.json",
        "{\n  \"paths\": [\n    \"get\"\n  ],\n  \"x\": 1\n}\n",
    );
    write(root.path(), "notes.txt", "");
    let folder = root.path().to_str().unwrap();
    let (code, answers, messages) = run(&["validate", folder]);
    assert_eq!(code, failure::FAILED);
    assert_eq!(messages, "3 files: 3 errors\n");
    let lines: Vec<&str> = answers.lines().collect();
    assert!(
        lines[0].starts_with(&format!("error: {folder}/notes.txt: nothing has its place")),
        "{answers}"
    );
    assert!(lines[1].starts_with("hint: the tree holds"), "{answers}");
    let route = format!("error: {folder}/services/a/routes/r.json");
    assert!(lines[2].starts_with(&format!("{route}:3:5 /paths/0: ")), "{answers}");
    assert!(lines[3].starts_with(&format!("{route}:5:3 /x: unknown key")), "{answers}");

    let (code, answers, _) = run(&["validate", folder, "-o", "json"]);
    let verdict: Value = serde_json::from_str(&answers).unwrap();
    assert_eq!((code, &verdict["valid"]), (failure::FAILED, &Value::Bool(false)));
    let path = &verdict["diagnostics"][1];
    assert_eq!(path["file"], "services/a/routes/r.json");
    assert_eq!((&path["line"], &path["column"]), (&3.into(), &5.into()));
    assert_eq!(verdict["diagnostics"][0]["line"], Value::Null);
    assert_eq!(run(&["validate", folder, "-o", "name"]).1, "notes.txt\nservices/a/routes/r.json\n");
}

#[test]
fn many_findings_are_counted() {
    let root = tree();
    for number in 0..60 {
        write(root.path(), &format!("services/a/routes/r{number}.json"), "{");
    }
    let (_, answers, messages) = run(&["validate", root.path().to_str().unwrap()]);
    assert_eq!(answers.lines().count(), 51);
    assert!(answers.ends_with("error: and 10 more errors\n"), "{answers}");
    assert_eq!(messages, "63 files: 60 errors\n");
}

#[test]
fn single_files_services_and_yaml() {
    let root = tree();
    let route = root.path().join("services/a/routes/r.json");
    let route = route.to_str().unwrap();
    // A file of a tree is judged in its tree, and what is wrong with others is not told.
    write(root.path(), "services/b/service.json", "[]");
    let (code, _, messages) = run(&["validate", route]);
    assert_eq!((code, &*messages), (failure::DONE, "1 file: valid\n"));
    let (code, _, messages) = run(&["validate", route, "-o", "name"]);
    assert_eq!((code, &*messages), (failure::DONE, ""));
    fs::remove_dir_all(root.path().join("services/b")).unwrap();
    write(root.path(), "runtime/a.json", "{\n\"hosts\": [\"a:1\"]}");
    let runtime = root.path().join("runtime/a.json");
    let runtime = runtime.to_str().unwrap();
    let (code, answers, _) = run(&["validate", runtime]);
    assert_eq!(code, failure::FAILED);
    assert!(answers.contains(&format!("{runtime}:2:11 /hosts/0: ")), "{answers}");

    let whole = root.path().join("whole.yaml");
    fs::write(&whole, "name: b\nroutes:\n  r:\n    paths: [/b]\n").unwrap();
    let (code, answers, _) = run(&["validate", whole.to_str().unwrap()]);
    assert_eq!((code, &*answers), (failure::DONE, ""));
    // What is wrong in a file without a place in a tree is told by the place that it would get.
    fs::write(&whole, "name: b\nroutes:\n  r:\n    paths: [b]\n").unwrap();
    let (_, answers, _) = run(&["validate", whole.to_str().unwrap()]);
    assert!(answers.starts_with("error: services/b/routes/r.json /paths/0: "), "{answers}");

    // A directory of YAML is no clone, but can be applied.
    write(root.path(), "runtime/a.json", "{}");
    fs::remove_file(&whole).unwrap();
    fs::remove_file(route).unwrap();
    write(root.path(), "services/a/routes/r.yaml", "paths: [b]\n");
    let folder = root.path().to_str().unwrap();
    let (code, answers, _) = run(&["validate", folder]);
    assert_eq!(code, failure::FAILED);
    assert!(
        answers.starts_with(&format!("error: {folder}/services/a/routes/r.json /paths/0: ")),
        "{answers}"
    );
    git2_like_clone(root.path());
    let (_, answers, _) = run(&["validate", folder]);
    assert!(answers.contains("r.yaml: nothing has its place here"), "{answers}");
}

/// What makes a directory a clone to the eye.
fn git2_like_clone(root: &Path) {
    write(root, ".git/HEAD", "ref: refs/heads/test\n");
}

#[test]
fn what_cannot_be_judged_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    let (code, _, messages) = run(&["validate", root.path().to_str().unwrap()]);
    assert_eq!(code, failure::FAILED);
    assert!(messages.contains("no document"), "{messages}");
    let (code, _, messages) = run(&["validate", root.path().join("gone.json").to_str().unwrap()]);
    assert_eq!(code, failure::FAILED);
    assert!(messages.contains("gone.json"), "{messages}");
}
