//! Commits as a client could make them, good and bad: objects are written past every check of git.

use std::collections::BTreeMap;

use git2::{ObjectType, Oid, Repository};
use refgate_core::name::ObjectId;
use refgate_core::push::{Finding, Push, Pusher, Update, check, lines};

use crate::support::{Fixture, clock};

/// A commit to be: the files of another one, with some changed.
pub(super) struct Draft {
    git: Repository,
    files: BTreeMap<Vec<u8>, (u32, Oid)>,
    parents: Vec<Oid>,
    message: String,
}

const FILE: u32 = 0o100_644;

/// Mode and id by name.
type Files<'n> = BTreeMap<&'n [u8], (u32, Oid)>;

/// The files of a tree; names may be longer than libgit2 would walk.
fn walk(git: &Repository, tree: Oid, folder: &[u8], files: &mut BTreeMap<Vec<u8>, (u32, Oid)>) {
    for entry in &git.find_tree(tree).expect("a tree") {
        let path = [folder, entry.name_bytes()].concat();
        if entry.kind() == Some(ObjectType::Tree) {
            walk(git, entry.id(), &[&path[..], b"/"].concat(), files);
        } else {
            files.insert(path, (u32::try_from(entry.filemode()).expect("a mode"), entry.id()));
        }
    }
}

impl Draft {
    /// Follows the head of a group.
    pub(super) fn of(f: &Fixture, group: &str) -> Self {
        let head = head(f, group);
        Self::after(f, head)
    }

    /// Follows a commit.
    pub(super) fn after(f: &Fixture, parent: Oid) -> Self {
        let git = Repository::open_bare(f.path()).expect("the repository");
        let mut files = BTreeMap::new();
        let tree = git.find_commit(parent).expect("a commit").tree_id();
        walk(&git, tree, b"", &mut files);
        Self { git, files, parents: vec![parent], message: "a change\n".to_owned() }
    }

    /// Follows nothing, and has no files.
    pub(super) fn orphan(f: &Fixture) -> Self {
        let git = Repository::open_bare(f.path()).expect("the repository");
        Self { git, files: BTreeMap::new(), parents: Vec::new(), message: "begin\n".to_owned() }
    }

    pub(super) fn put(self, path: &str, text: &str) -> Self {
        self.put_as(FILE, path.as_bytes(), text.as_bytes())
    }

    pub(super) fn put_as(mut self, mode: u32, path: &[u8], bytes: &[u8]) -> Self {
        let id = self.write(ObjectType::Blob, bytes);
        self.files.insert(path.to_vec(), (mode, id));
        self
    }

    /// An entry that is another commit.
    pub(super) fn submodule(mut self, path: &str) -> Self {
        self.files.insert(path.into(), (0o160_000, self.parents[0]));
        self
    }

    /// Takes away what is at the path, or below it.
    pub(super) fn without(mut self, path: &str) -> Self {
        let below = format!("{path}/");
        self.files.retain(|file, _| file != path.as_bytes() && !file.starts_with(below.as_bytes()));
        self
    }

    /// What another commit has below a folder, in the place of what is there.
    pub(super) fn restore(mut self, f: &Fixture, folder: &str, from: Oid) -> Self {
        self = self.without(folder);
        let below = format!("{folder}/");
        let other = Self::after(f, from).files.into_iter();
        self.files.extend(other.filter(|(file, _)| file.starts_with(below.as_bytes())));
        self
    }

    pub(super) fn says(mut self, message: &str) -> Self {
        message.clone_into(&mut self.message);
        self
    }

    /// One more parent, after those that it has.
    pub(super) fn merges(mut self, other: Oid) -> Self {
        self.parents.push(other);
        self
    }

    pub(super) fn commit(self) -> Oid {
        let files = self.files.iter().map(|(path, entry)| (path.as_slice(), *entry)).collect();
        let tree = self.tree(files);
        let parents: String = self.parents.iter().map(|id| format!("parent {id}\n")).collect();
        let who = "Jane <jane@example.com> 1700000000 +0000";
        let message = &self.message;
        let text = format!("tree {tree}\n{parents}author {who}\ncommitter {who}\n\n{message}");
        self.write(ObjectType::Commit, text.as_bytes())
    }

    /// Writes a tree; folders are written first.
    fn tree(&self, files: Files<'_>) -> Oid {
        let mut folders: BTreeMap<&[u8], Files<'_>> = BTreeMap::new();
        let mut entries: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let entry = |mode: u32, name: &[u8], id: Oid| {
            [format!("{mode:o} ").as_bytes(), name, b"\0", id.as_bytes()].concat()
        };
        for (path, (mode, id)) in files {
            match path.iter().position(|byte| *byte == b'/') {
                Some(slash) => {
                    let folder = folders.entry(&path[..slash]).or_default();
                    folder.insert(&path[slash + 1..], (mode, id));
                }
                None => entries.push((path.to_vec(), entry(mode, path, id))),
            }
        }
        for (name, files) in folders {
            let id = self.tree(files);
            entries.push(([name, b"/"].concat(), entry(0o40_000, name, id)));
        }
        entries.sort();
        let bytes: Vec<u8> = entries.into_iter().flat_map(|(_, bytes)| bytes).collect();
        self.write(ObjectType::Tree, &bytes)
    }

    fn write(&self, kind: ObjectType, bytes: &[u8]) -> Oid {
        self.git.odb().expect("objects").write(kind, bytes).expect("written")
    }
}

/// Writes any object.
pub(super) fn object(f: &Fixture, kind: ObjectType, text: &str) -> Oid {
    let git = Repository::open_bare(f.path()).expect("the repository");
    git.odb().expect("objects").write(kind, text.as_bytes()).expect("written")
}

/// A tag object.
pub(super) fn tag(f: &Fixture, name: &str, kind: &str, of: Oid) -> Oid {
    let text = format!(
        "object {of}\ntype {kind}\ntag {name}\ntagger Jane <jane@example.com> 1700000000 +0000\n\nx\n"
    );
    object(f, ObjectType::Tag, &text)
}

/// The commit of a revision.
pub(super) fn commit_at(f: &Fixture, revision: &str) -> Oid {
    let id = f.git(&["rev-parse", &format!("{revision}^{{commit}}")]);
    Oid::from_str(id.trim()).expect("an id")
}

pub(super) fn head(f: &Fixture, group: &str) -> Oid {
    commit_at(f, &format!("refs/heads/{group}"))
}

fn id(oid: Oid) -> ObjectId {
    oid.to_string().parse().expect("an id")
}

/// A branch of a group moves from its head, or begins.
pub(super) fn branch(f: &Fixture, group: &str, new: Oid) -> Update {
    let reference = format!("refs/heads/{group}");
    let git = Repository::open_bare(f.path()).expect("the repository");
    let old = git.refname_to_id(&reference).ok().map(id);
    Update { reference, old, new: Some(id(new)) }
}

/// A ref moves as given.
pub(super) fn moved(reference: &str, old: Option<Oid>, new: Option<Oid>) -> Update {
    Update { reference: reference.to_owned(), old: old.map(id), new: new.map(id) }
}

/// A ref begins.
pub(super) fn begins(reference: &str, new: Oid) -> Update {
    moved(reference, None, Some(new))
}

pub(super) fn editor(name: &str) -> Pusher {
    Pusher { name: name.to_owned(), may_manage_groups: false }
}

pub(super) fn admin() -> Pusher {
    Pusher { name: "root".to_owned(), may_manage_groups: true }
}

/// What is found in a push; one that is good is noted, and nothing is moved.
pub(super) fn findings(f: &Fixture, pusher: &Pusher, updates: &[Update]) -> Vec<Finding> {
    let push = Push {
        updates: updates.to_vec(),
        pusher: pusher.clone(),
        request_id: Some(format!("push-of-{}", pusher.name)),
        quarantine: None,
    };
    check(&f.path(), &push, clock()()).expect("checked")
}

/// The codes of the errors in a push, and all that is told.
pub(super) fn told(f: &Fixture, pusher: &Pusher, updates: &[Update]) -> (Vec<String>, String) {
    let findings = findings(f, pusher, updates);
    let errors = findings.iter().filter(|finding| finding.is_error());
    let codes = errors.map(|finding| finding.code().to_owned()).collect();
    (codes, lines(&findings, 50).join("\n"))
}

/// A push that must be taken: checked, and its refs moved as git would.
pub(super) fn push(f: &Fixture, pusher: &Pusher, updates: &[Update]) {
    let (codes, text) = told(f, pusher, updates);
    assert_eq!(codes, [""; 0], "{text}");
    for update in updates {
        let new = update.new.expect("nothing goes").to_string();
        f.git(&["update-ref", &update.reference, &new]);
    }
}
