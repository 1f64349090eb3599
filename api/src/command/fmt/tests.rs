//! `refgate fmt` on real files.

use std::os::unix::fs::{PermissionsExt, symlink};

use clap::Parser;

use super::*;
use crate::command::Cli;
use crate::output::testing::Memory;

const UGLY: &str = "{\"enabled\": true, \"paths\": [\"/a\"]}";
const CANONICAL: &str = "{\n  \"paths\": [\n    \"/a\"\n  ]\n}\n";

struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        tree.write("group.json", "{}\n");
        tree.write("README.md", "  as it is");
        tree.write("schema/route.json", "{ }");
        tree.write("services/a/service.json", "{}\n");
        tree.write("services/a/routes/r.json", UGLY);
        tree
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.0.path().join(path)).unwrap()
    }

    fn path(&self, path: &str) -> String {
        self.0.path().join(path).display().to_string()
    }
}

/// Exit code, answers and messages.
fn run(arguments: &[&str]) -> (u8, String, String) {
    let memory = Memory::default();
    let line = ["refgate", "fmt"].into_iter().chain(arguments.iter().copied());
    let cli = Cli::try_parse_from(line).unwrap_or_else(|error| panic!("{error}"));
    let code = cli.run_with(|format| memory.output(format));
    (code, memory.answers(), memory.messages())
}

#[test]
fn a_directory_is_checked_then_formatted_then_in_form() {
    let tree = Tree::new();
    let (root, route) = (tree.path(""), tree.path("services/a/routes/r.json"));
    let (code, answers, messages) = run(&["--check", &root]);
    assert_eq!((code, answers), (failure::FAILED, format!("{route}\n")));
    assert_eq!(messages, "3 files: 1 not in canonical form\n");
    assert_eq!(tree.read("services/a/routes/r.json"), UGLY);

    fs::set_permissions(&route, fs::Permissions::from_mode(0o640)).unwrap();
    let (code, answers, messages) = run(&[&root]);
    assert_eq!((code, answers), (failure::DONE, format!("{route}\n")));
    assert_eq!(messages, "3 files: 1 formatted\n");
    assert_eq!(tree.read("services/a/routes/r.json"), CANONICAL);
    assert_eq!(fs::metadata(&route).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(
        (tree.read("README.md"), tree.read("schema/route.json")),
        ("  as it is".into(), "{ }".into())
    );
    let beside = fs::read_dir(tree.0.path().join("services/a/routes")).unwrap().count();
    assert_eq!(beside, 1, "no file is left beside it");

    let (code, answers, _) = run(&["--check", &root]);
    assert_eq!((code, &*answers), (failure::DONE, ""));
}

#[test]
fn what_would_lose_something_is_told_and_left_and_the_rest_goes_on() {
    let tree = Tree::new();
    let broken = "{\n  \"paths\": [\"/a\",],\n}\n";
    let twice = "{\"a\": 1,\n \"a\": 2}";
    tree.write("runtime/a.json", broken);
    tree.write("consumers/App.json", twice);
    let (code, answers, messages) = run(&[&tree.path("")]);
    assert_eq!(code, failure::FAILED);
    assert_eq!(answers, format!("{}\n", tree.path("services/a/routes/r.json")));
    assert!(messages.contains("runtime/a.json:2:18: not valid JSON"), "{messages}");
    assert!(
        messages.contains("consumers/App.json:2:2 /a: the key stands here twice"),
        "{messages}"
    );
    assert!(messages.ends_with("5 files: 1 formatted, 2 left as they are\n"), "{messages}");
    assert_eq!((&*tree.read("runtime/a.json"), &*tree.read("consumers/App.json")), (broken, twice));
}

#[test]
fn files_are_known_by_their_place() {
    let tree = Tree::new();
    let route = tree.path("services/a/routes/r.json");
    let (code, answers, _) = run(&[&route, &tree.path("group.json")]);
    assert_eq!((code, answers), (failure::DONE, format!("{route}\n")));
    assert_eq!(tree.read("services/a/routes/r.json"), CANONICAL);
    tree.write("elsewhere.json", "{ }");
    symlink(&route, tree.path("runtime.json")).unwrap();
    for path in ["elsewhere.json", "README.md", "schema/route.json", "gone.json", "runtime.json"] {
        let (code, answers, messages) = run(&[&tree.path(path)]);
        assert_eq!((code, &*answers), (failure::FAILED, ""), "{path}: {messages}");
    }
    assert_eq!(tree.read("elsewhere.json"), "{ }");
}

#[test]
fn standard_input_needs_its_place_and_is_alone() {
    for arguments in [
        &["-"][..],
        &["-", ".", "--stdin-path", "group.json"],
        &[".", "--stdin-path", "group.json"],
    ] {
        assert_eq!(run(arguments).0, failure::USAGE, "{arguments:?}");
    }
    let (code, _, messages) = run(&["-", "--stdin-path", "elsewhere.json"]);
    assert_eq!(code, failure::FAILED, "{messages}");
}

#[test]
fn a_folder_that_cannot_be_written_loses_nothing() {
    let tree = Tree::new();
    let route = tree.0.path().join("services/a/routes/r.json");
    assert!(replace(&route.join("not-a-folder"), b"x").is_err());
    assert!(replace(&tree.0.path().join("gone.json"), b"x").is_err());
    assert_eq!(fs::read_dir(tree.0.path()).unwrap().count(), 4, "nothing is left behind");
    assert_eq!(tree.read("services/a/routes/r.json"), UGLY);
}
