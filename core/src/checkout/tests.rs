//! Directories as they lie around: what is told of them is what a push would be told.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use super::*;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) -> &Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is made");
        fs::write(path, text).expect("the file is written");
        self
    }

    /// A group with one sound service.
    fn sound() -> Self {
        let folder = Self::new();
        folder
            .write("group.json", "{}")
            .write("README.md", "read me")
            .write(".editorconfig", "")
            .write("schema/route.json", "{}")
            .write("services/a/service.json", "{}")
            .write("services/a/routes/r.json", r#"{"paths": ["/a"]}"#)
            .write("runtime/a.json", r#"{"upstreams": {"default": {"nodes": []}}}"#);
        folder
    }

    fn cloned(self, branch: &str) -> Self {
        let mut options = git2::RepositoryInitOptions::new();
        options.initial_head(branch).external_template(false);
        git2::Repository::init_opts(self.0.path(), &options).expect("a repository");
        self
    }

    fn checkout(&self) -> Checkout {
        Checkout::read(self.0.path()).expect("the directory is read")
    }

    /// The findings as `file pointer code`.
    fn findings(&self) -> Vec<String> {
        let findings = self.checkout().validate(None).expect("the files are judged");
        let told = findings.iter().map(|finding| {
            let Diagnostic { file, pointer, code, .. } = finding;
            format!("{file} {pointer} {code}")
        });
        told.collect()
    }
}

#[test]
fn a_sound_tree_has_no_findings_and_its_documents_are_known() {
    let folder = Folder::sound();
    folder.write(".git/anything", "of git");
    fs::create_dir_all(folder.path("empty/folders")).expect("folders");
    assert_eq!(folder.findings(), Vec::<String>::new());
    let checkout = folder.checkout();
    assert_eq!(
        checkout.documents().collect::<Vec<_>>(),
        ["group.json", "runtime/a.json", "services/a/routes/r.json", "services/a/service.json"]
    );
    assert_eq!(checkout.text("group.json"), Some(&b"{}"[..]));
    assert_eq!(checkout.text("nothing"), None);
}

#[test]
fn what_has_no_place_is_told() {
    let folder = Folder::sound();
    folder
        .write("notes.txt", "")
        .write(".gitattributes", "")
        .write("src/deep/main.rs", "")
        .write("module/.git/HEAD", "")
        .write("services/a/notes.md", "")
        .write("services/Big/service.json", "{}")
        .write("services/a/routes/deeper/r.json", "{}")
        .write("runtime/a.yaml", "")
        .write("schema/a b.json", "");
    symlink("../group.json", folder.path("runtime/b.json")).expect("a link");
    symlink("services", folder.path("link")).expect("a link");
    symlink(".", folder.path("services/a/loop")).expect("a link");
    fs::write(folder.0.path().join(OsStr::from_bytes(b"services/\xff.json")), "").expect("a file");
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.path("group.json"), executable).expect("a mode");
    assert_eq!(
        folder.findings(),
        [
            ".gitattributes  unexpected_file",
            "group.json  unexpected_file",
            "group.json  missing_file",
            "link  unexpected_file",
            "module  unexpected_file",
            "notes.txt  unexpected_file",
            "runtime/a.yaml  unexpected_file",
            "runtime/b.json  unexpected_file",
            "schema/a b.json  bad_name",
            "services/Big  bad_name",
            "services/a/loop  unexpected_file",
            "services/a/notes.md  unexpected_file",
            "services/a/routes/deeper  unexpected_file",
            "services/\u{fffd}.json  bad_name",
            "src  unexpected_file",
        ]
    );
}

#[test]
fn documents_are_judged_together() {
    let folder = Folder::sound();
    folder
        .write("group.json", r#"{"variables": {"path": "/v"}}"#)
        .write("services/a/routes/r.json", r#"{"paths": ["$var://path"], "upstream": "gone"}"#)
        .write("services/b/routes/r.json", r#"{"paths": ["$var://nope"]}"#)
        .write("consumers/App.json", "[]")
        .write("runtime/c.json", "{");
    assert_eq!(
        folder.findings(),
        [
            "consumers/App.json  wrong_type",
            "runtime/c.json  malformed_json",
            "services/a/routes/r.json /upstream unknown_upstream",
            "services/b/routes/r.json /paths/0 unresolved_variable",
            "services/b/service.json  missing_file",
        ]
    );
}

#[test]
fn a_file_that_is_too_large_is_told_with_its_size() {
    let folder = Folder::sound();
    folder.write("services/a/service.json", vec![b' '; 3 << 20]);
    let findings = folder.checkout().validate(None).expect("judged");
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].message, "the file has 3145728 bytes; 1 MiB is the limit");
    assert_eq!(folder.checkout().text("services/a/service.json"), None);
}

#[test]
fn the_group_is_the_one_asked_for_or_the_branch() {
    let folder = Folder::sound().cloned("uat");
    folder.write("group.json", r#"{"promotion": {"from": ["uat"]}}"#);
    assert_eq!(folder.findings(), ["group.json /promotion/from bad_value"]);
    let test: GroupName = "test".parse().expect("a name");
    assert_eq!(folder.checkout().validate(Some(&test)).expect("judged"), []);
}

#[test]
fn only_a_clone_must_be_whole() {
    let folder = Folder::new();
    folder.write("services/a/service.json", "{}");
    let findings = folder.checkout().validate(None).expect("judged");
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(!findings[0].is_error() && findings[0].file == "group.json");
    let clone = folder.cloned("test");
    let findings = clone.checkout().validate(None).expect("judged");
    assert!(findings[0].is_error() && clone.checkout().is_clone(), "{findings:?}");
    assert!(Folder::new().cloned("test").checkout().is_empty());
}

#[test]
fn what_git_ignores_is_ignored() {
    let folder = Folder::sound().cloned("test");
    folder
        .write(".git/info/exclude", ".vscode/\n*.swp\nnode_modules\n")
        .write(".vscode/settings.json", "{}")
        .write("services/a/routes/.r.json.swp", "")
        .write("node_modules/x/y.js", "")
        .write("tracked.swp", "");
    let git = git2::Repository::open(folder.0.path()).expect("a repository");
    let mut index = git.index().expect("an index");
    index.add_path(Path::new("tracked.swp")).expect("added");
    index.write().expect("written");
    assert_eq!(folder.findings(), ["tracked.swp  unexpected_file"]);
}

#[test]
fn documents_alone_are_judged_as_a_group_of_their_own() {
    let files = BTreeMap::from([
        ("services/a/service.json".to_owned(), json!({})),
        ("services/a/routes/r.json".to_owned(), json!("{\"paths\": [\"a\"]}")),
        ("elsewhere.json".to_owned(), json!({})),
    ]);
    let findings = validate_documents(&files).expect("judged");
    let told: Vec<_> = findings.iter().map(|finding| finding.code).collect();
    assert_eq!(told, [Code::UnexpectedFile, Code::BadPath]);
}

#[test]
fn what_cannot_be_read_is_an_error() {
    let folder = Folder::new();
    let error = Checkout::read(&folder.path("nowhere")).expect_err("nothing is there");
    assert!(error.to_string().contains("nowhere"), "{error}");
}
