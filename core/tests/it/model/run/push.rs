//! Edits as somebody pushes them: trees written with git alone.

use git2::build::TreeUpdateBuilder;
use git2::{FileMode, Oid};
use serde_json::Value;

use crate::model::text::{self, GROUPS};
use crate::model::{Edit, Tree};

/// The tree after an edit, which the model made already: what it has at the edit's places is written.
pub(super) fn pushed(
    git: &git2::Repository,
    old: &git2::Tree<'_>,
    edit: &Edit,
    tree: &Tree,
) -> Oid {
    let mut update = TreeUpdateBuilder::new();
    let mut put = |path: String, json: Option<Value>, as_pushed: bool| match json {
        Some(json) => {
            // Odd on purpose: one line, all defaults written.
            assert!(as_pushed);
            let id = git.blob(json.to_string().as_bytes()).expect("a blob");
            update.upsert(path, id, FileMode::Blob);
        }
        None if old.get_path(path.as_ref()).is_ok() => {
            update.remove(path);
        }
        None => {}
    };
    match edit {
        Edit::Service(service, document) => {
            put(
                format!("services/s{service}/service.json"),
                Some(text::service_json(document)),
                true,
            );
        }
        Edit::Route(service, route, document) => {
            if tree.services.contains_key(service) {
                let json = text::route_json(*service, *route, document);
                put(format!("services/s{service}/routes/r{route}.json"), Some(json), true);
            }
        }
        Edit::Runtime(service, document) => {
            put(format!("runtime/s{service}.json"), Some(text::runtime_json(document)), true);
        }
        Edit::RemoveRuntime(service) => put(format!("runtime/s{service}.json"), None, true),
        Edit::RemoveContent(service) => put(format!("services/s{service}"), None, true),
        Edit::Copy(service, from) => {
            let head = git.find_reference(&format!("refs/heads/{}", GROUPS[*from]));
            let source = head.and_then(|head| head.peel_to_tree()).expect("a head");
            if let Ok(entry) = source.get_path(format!("services/s{service}").as_ref()) {
                let path = format!("services/s{service}");
                return with_folder(git, old, &path, entry.id());
            }
        }
    }
    update.create_updated(git, old).expect("a tree")
}

/// The tree with a whole folder put at `services/<name>`.
fn with_folder(git: &git2::Repository, old: &git2::Tree<'_>, path: &str, folder: Oid) -> Oid {
    let (parent, name) = path.split_once('/').expect("two parts");
    let services =
        old.get_path(parent.as_ref()).ok().and_then(|entry| git.find_tree(entry.id()).ok());
    let mut inner = git.treebuilder(services.as_ref()).expect("a builder");
    inner.insert(name, folder, FileMode::Tree.into()).expect("inserted");
    let mut outer = git.treebuilder(Some(old)).expect("a builder");
    outer.insert(parent, inner.write().expect("written"), FileMode::Tree.into()).expect("inserted");
    outer.write().expect("written")
}
