//! The command on a clone, with no control plane anywhere: the pre-commit hook of the template's
//! README with the real git, and standard input.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use refgate_core::template;

const REFGATE: &str = env!("CARGO_BIN_EXE_refgate");

/// A clone of a group as a new repository has it, with the hook that its README shows.
struct Clone(tempfile::TempDir);

impl Clone {
    fn new() -> Self {
        let clone = Self(tempfile::tempdir().expect("a directory"));
        clone.git(&["init", "--quiet", "--initial-branch=test", "."]);
        for (path, text) in template::FILES {
            clone.write(path, text);
        }
        clone.write("group.json", "{}\n");
        let readme = fs::read_to_string(clone.0.path().join("README.md")).expect("the README");
        let (_, rest) = readme.split_once("```sh\n").expect("the README shows a script");
        let (script, _) = rest.split_once("```").expect("the script ends");
        clone.write(".git/hooks/pre-commit", script);
        let hook = clone.0.path().join(".git/hooks/pre-commit");
        fs::set_permissions(hook, fs::Permissions::from_mode(0o755)).expect("chmod +x");
        clone
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is made");
        fs::write(path, text).expect("the file is written");
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        // The hook finds the program that is tested, and nothing of who runs the tests.
        let folder = Path::new(REFGATE).parent().expect("a folder").display();
        let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
        Command::new(program)
            .args(arguments)
            .current_dir(self.0.path())
            .env_clear()
            .env("PATH", path)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", "a")
            .env("GIT_AUTHOR_EMAIL", "a@example.com")
            .env("GIT_COMMITTER_NAME", "a")
            .env("GIT_COMMITTER_EMAIL", "a@example.com")
            .output()
            .expect(program)
    }

    fn git(&self, arguments: &[&str]) {
        let ended = self.run("git", arguments);
        assert!(ended.status.success(), "{arguments:?}: {}", said(&ended));
    }

    /// Commits what is staged; what was said comes back, and whether it was committed.
    fn commit(&self) -> (bool, String) {
        let ended = self.run("git", &["commit", "--quiet", "-m", "a change"]);
        (ended.status.success(), said(&ended))
    }
}

fn said(ended: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&ended.stdout), text(&ended.stderr))
}

#[test]
fn the_hook_of_the_readme_judges_what_is_staged() {
    let clone = Clone::new();
    clone.git(&["add", "."]);
    let (committed, said) = clone.commit();
    assert!(committed, "{said}");

    let route = "services/a/routes/r.json";
    clone.write("services/a/service.json", "{}\n");
    clone.write(route, "{\n  \"paths\": [\n    \"a\"\n  ]\n}\n");
    clone.git(&["add", "."]);
    let (committed, said) = clone.commit();
    assert!(!committed && said.contains(&format!("error: {route}:3:5 /paths/0: ")), "{said}");

    // Mended on the disk alone: what is staged is still at fault.
    clone.write(route, "{\"paths\": [\"/a\"]}");
    assert!(!clone.commit().0);
    // Sound, but not as the API writes it.
    clone.git(&["add", "."]);
    let (committed, said) = clone.commit();
    assert!(!committed && said.contains("1 not in canonical form"), "{said}");

    let formatted = clone.run(REFGATE, &["fmt", "."]);
    assert_eq!(String::from_utf8_lossy(&formatted.stdout), format!("{route}\n"));
    clone.git(&["add", "."]);
    // What is at fault but not staged is nobody's business.
    clone.write("services/a/routes/later.json", "{");
    let (committed, said) = clone.commit();
    assert!(committed, "{said}");
    let all = clone.run(REFGATE, &["validate", "."]);
    assert!(
        !all.status.success() && self::said(&all).contains("later.json:1:1"),
        "{}",
        self::said(&all)
    );
}

#[test]
fn editors_pipe_documents_through_fmt() {
    let format = |arguments: &[&str], text: &str| {
        let mut child = Command::new(REFGATE)
            .args(["fmt", "-", "--stdin-path", "services/a/routes/r.json"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut input = child.stdin.take().expect("a pipe");
        input.write_all(text.as_bytes()).expect("it is read");
        drop(input);
        let ended = child.wait_with_output().expect("it ends");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (ended.status.code(), text(ended.stdout), text(ended.stderr))
    };
    let canonical = "{\n  \"paths\": [\n    \"/ä\"\n  ]\n}\n";
    for (arguments, text, code, out) in [
        (&[][..], "{\"paths\":[\"/ä\"]}", 0, canonical),
        (&[], canonical, 0, canonical),
        (&["--check"], canonical, 0, ""),
        (&["--check"], "{\"paths\":[\"/ä\"]}", 1, ""),
        (&[], "{\"paths\":[", 1, ""),
    ] {
        let (ended, answer, messages) = format(arguments, text);
        assert_eq!((ended, &*answer), (Some(code), out), "{text}: {messages}");
    }
    let (_, _, messages) = format(&[], "{\n\"paths\": x}");
    assert!(
        messages.starts_with("error: services/a/routes/r.json:2:10: not valid JSON"),
        "{messages}"
    );
}
