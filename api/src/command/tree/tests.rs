//! Trees and whole services, read from files.

use super::*;

fn source(path: &str) -> Source {
    Source::Path(PathBuf::from(path))
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn a_whole_service_becomes_files() {
    let document = json!({
        "name": "httpbin", "group": "test", "version": null, "live": true, "commit": "c",
        "description": "x", "routes": {"get": {"paths": ["/get"]}}, "runtime": {"hosts": ["a"]}
    });
    let whole = WholeService::read(&source("x.json"), document).unwrap();
    let name = whole.name_or_stem(&source("other.json")).unwrap();
    assert_eq!(name.as_str(), "httpbin");
    let expected: Files = [
        ("services/httpbin/service.json".to_owned(), json!({"description": "x"})),
        ("services/httpbin/routes/get.json".to_owned(), json!({"paths": ["/get"]})),
        ("runtime/httpbin.json".to_owned(), json!({"hosts": ["a"]})),
    ]
    .into();
    assert_eq!(whole.files(&name), expected);
}

#[test]
fn the_name_of_a_service_is_in_it_or_on_the_file() {
    let nameless = WholeService::read(&source("x"), json!({})).unwrap();
    assert_eq!(nameless.name_or_stem(&source("a/shop.yaml")).unwrap().as_str(), "shop");
    assert!(nameless.name_or_stem(&Source::Stdin).is_err());
    assert!(nameless.name_or_stem(&source("Not A Name.yaml")).is_err());
    assert!(WholeService::read(&source("x"), json!({"name": "Not A Name"})).is_err());
    assert!(WholeService::read(&source("x"), json!([])).is_err());
}

#[test]
fn a_directory_is_read_like_a_tree() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "README.md", "# ours");
    write(root.path(), "schema/route.json", "{}");
    write(root.path(), ".git/config", "");
    write(root.path(), "group.json", "{\"description\": \"x\"}");
    write(root.path(), "services/a/service.yaml", "description: y\n");
    write(root.path(), "services/a/routes/get.json", "{\"paths\": [\"/get\"]}");
    let files = directory(root.path(), false).unwrap();
    let expected: Files = [
        ("group.json".to_owned(), json!({"description": "x"})),
        ("services/a/service.json".to_owned(), json!({"description": "y"})),
        ("services/a/routes/get.json".to_owned(), json!({"paths": ["/get"]})),
    ]
    .into();
    assert_eq!(files, expected);
    assert_eq!(services_of(&files), ["a".parse().unwrap()]);

    let raw = directory(root.path(), true).unwrap();
    assert_eq!(raw["group.json"], "{\"description\": \"x\"}");
    assert_eq!(raw["services/a/service.json"], json!({"description": "y"}));
}

#[test]
fn what_has_no_place_in_a_tree_is_named() {
    let table: &[(&[&str], &str)] = &[
        (&["services/a/notes.txt"], "notes.txt"),
        (&["group.json", "group.yaml"], "group.yaml"),
        (&[], "no document"),
    ];
    for (files, part) in table {
        let root = tempfile::tempdir().unwrap();
        for file in *files {
            write(root.path(), file, "{}");
        }
        let error = directory(root.path(), false).unwrap_err().to_string();
        assert!(error.contains(part), "{files:?}: {error}");
    }
}

#[test]
fn a_lone_file_has_its_place_by_its_path() {
    let table = [
        ("x/services/a/service.yaml", Some("services/a/service.json")),
        ("services/a/routes/b.json", Some("services/a/routes/b.json")),
        ("runtime/a.json", Some("runtime/a.json")),
        ("group.json", Some("group.json")),
        ("httpbin.yaml", None),
    ];
    for (path, inside) in table {
        assert_eq!(place(Path::new(path)).as_deref(), inside, "{path}");
    }
}

#[test]
fn routes_that_are_gone_are_removed() {
    let mut files: Files = [("services/a/routes/new.json".to_owned(), json!({}))].into();
    let current = json!({"routes": {"old": {}, "new": {}}});
    remove_missing_routes(&mut files, &"a".parse().unwrap(), &current);
    assert_eq!(files["services/a/routes/old.json"], Value::Null);
    assert_eq!(files["services/a/routes/new.json"], json!({}));
}
