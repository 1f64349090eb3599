//! The index over repositories that are made by hand, and over files that are no index.

use std::io::{Read, Seek, SeekFrom, Write};

use git2::{Oid, Repository, Signature, Time};

use super::*;
use crate::name::{CommitId, GroupName};
use crate::store::objects::{EntryKind, Objects};

/// A bare repository, in which commits are made as git makes them, and the index beside it.
struct Fixture {
    folder: tempfile::TempDir,
    git: Repository,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.git");
        crate::store::create_repository(&path).unwrap();
        let git = crate::store::open_for_writing(&path).unwrap();
        Self { folder, git }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("config.index")
    }

    fn open(&self) -> Index {
        Index::open(&self.path(), self.git.path()).unwrap()
    }

    /// A commit of `group` that has these files and no others.
    fn commit(&self, group: &str, parent: Option<Oid>, files: &[(&str, &str)]) -> Oid {
        let objects = Objects::new(&self.git).unwrap();
        let edits = files.iter().map(|(path, text)| {
            let blob = objects.make_blob(text.as_bytes()).unwrap();
            ((*path).to_owned(), Some((EntryKind::File, blob)))
        });
        let tree = objects.edit(None, &edits.collect()).unwrap();
        objects.store().unwrap();
        let tree = self.git.find_tree(tree).unwrap();
        let who = Signature::new("ana", "ana@acme.com", &Time::new(1_700_000_000, 0)).unwrap();
        let parent = parent.map(|parent| self.git.find_commit(parent).unwrap());
        let parents: Vec<_> = parent.iter().collect();
        let id = self.git.commit(None, &who, &who, "by hand", &tree, &parents).unwrap();
        self.point(group, id);
        id
    }

    fn point(&self, group: &str, at: Oid) {
        self.git.reference(&format!("refs/heads/{group}"), at, true, "").unwrap();
    }

    /// Three commits: the file twice, its folder gone.
    fn with_history() -> (Self, [Oid; 3]) {
        let fixture = Self::new();
        let first = fixture.commit("test", None, &[(ROUTE, "1"), ("runtime/a.json", "{}")]);
        let second = fixture.commit("test", Some(first), &[(ROUTE, "2"), ("runtime/a.json", "{}")]);
        let third = fixture.commit("test", Some(second), &[("runtime/a.json", "{}")]);
        (fixture, [first, second, third])
    }
}

const ROUTE: &str = "services/a/routes/r.json";

fn group() -> GroupName {
    "test".parse().unwrap()
}

fn history(index: &Index, path: Option<&str>, service: Option<&str>) -> Vec<u64> {
    let query = HistoryQuery {
        path: path.map(str::to_owned),
        service: service.map(|name| name.parse().unwrap()),
        limit: 100,
        ..Default::default()
    };
    index.history(&group(), &query).unwrap().into_iter().map(|row| row.revision.0).collect()
}

/// The index is current and right, however it was before.
fn assert_right(fixture: &Fixture, index: &Index, commits: &[Oid]) {
    index.catch_up(&fixture.git).unwrap();
    for (position, commit) in commits.iter().enumerate() {
        let row = index.commit(&group(), CommitId(*commit)).unwrap().unwrap();
        assert_eq!(row.revision.0, position as u64 + 1);
    }
    let revisions: Vec<u64> = (1..=commits.len() as u64).rev().collect();
    assert_eq!(history(index, None, None), revisions);
}

#[test]
fn each_commit_tells_its_files() {
    let (fixture, commits) = Fixture::with_history();
    let index = fixture.open();
    assert_right(&fixture, &index, &commits);
    for (path, service, wanted) in [
        (Some(ROUTE), None, vec![3, 2, 1]),
        (Some("runtime/a.json"), None, vec![1]),
        (None, Some("a"), vec![3, 2, 1]),
        (Some("runtime/a.json"), Some("a"), vec![1]),
        (Some("runtime/b.json"), None, vec![]),
        (Some(ROUTE), Some("b"), vec![]),
    ] {
        assert_eq!(history(&index, path, service), wanted, "{path:?} {service:?}");
    }
    let last = index.last_change(&group(), ROUTE).unwrap().unwrap();
    assert_eq!(last.commit.0, commits[2]);
}

#[test]
fn what_is_no_index_is_made_anew() {
    let (fixture, commits) = Fixture::with_history();
    let path = fixture.path();
    let good = {
        assert_right(&fixture, &fixture.open(), &commits);
        std::fs::read(&path).unwrap()
    };
    let sql = |text: &'static str| {
        move |path: &Path| Connection::open(path).unwrap().execute_batch(text).unwrap()
    };
    type Harm = Box<dyn Fn(&Path)>;
    let write = |bytes: Vec<u8>| move |path: &Path| std::fs::write(path, &bytes).unwrap();
    let harms: Vec<(&str, Harm)> = vec![
        ("absent", Box::new(|path| std::fs::remove_file(path).unwrap())),
        ("empty", Box::new(write(Vec::new()))),
        ("garbage", Box::new(write(b"no database at all, but long enough for one".repeat(200)))),
        ("half of it", Box::new(write(good[..good.len() / 2].to_vec()))),
        ("one page of it", Box::new(write(good[..4096].to_vec()))),
        ("a layout of another age", Box::new(sql("PRAGMA user_version = 1"))),
        ("a table less", Box::new(sql("DROP TABLE files"))),
        ("another table", Box::new(sql("ALTER TABLE commits ADD COLUMN more"))),
        ("a foreign value", Box::new(sql("UPDATE heads SET commit_id = 'x'"))),
        ("commits that its head does not have", Box::new(sql("DELETE FROM heads"))),
    ];
    for (what, harm) in harms {
        harm(&path);
        let index = fixture.open();
        index.catch_up(&fixture.git).unwrap_or_else(|error| unreachable!("{what}: {error}"));
        assert_right(&fixture, &index, &commits);
        drop(index);
        assert!(path.metadata().unwrap().len() > 0, "{what}: on the disk again");
    }
}

#[test]
fn damage_that_a_query_meets_is_mended_too() {
    let (fixture, commits) = Fixture::with_history();
    assert_right(&fixture, &fixture.open(), &commits);
    let mut file = std::fs::OpenOptions::new().read(true).write(true).open(fixture.path()).unwrap();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    let index = fixture.open();
    index.catch_up(&fixture.git).unwrap();
    drop(index);
    // All but the pages that opening and catching up read: the first, and the table of heads.
    file.seek(SeekFrom::Start(2 * 4096)).unwrap();
    file.write_all(&vec![0x5a; bytes.len() - 2 * 4096]).unwrap();
    let index = fixture.open();
    assert_eq!(history(&index, None, Some("a")), [3, 2, 1]);
    assert_right(&fixture, &index, &commits);
}

#[test]
fn the_index_of_another_repository_is_brought_in_step() {
    let (other, _) = Fixture::with_history();
    let other_index = other.open();
    other_index.catch_up(&other.git).unwrap();
    drop(other_index);

    let fixture = Fixture::new();
    std::fs::copy(other.path(), fixture.path()).unwrap();
    let mine = fixture.commit("test", None, &[("runtime/b.json", "{}")]);
    let index = fixture.open();
    assert_right(&fixture, &index, &[mine]);
    assert_eq!(history(&index, None, Some("a")), [0; 0]);
    assert_eq!(history(&index, Some(ROUTE), None), [0; 0]);
    assert_eq!(history(&index, Some("runtime/b.json"), None), [1]);
}

#[test]
fn an_index_ahead_of_its_repository_goes_back() {
    let (fixture, [first, second, third]) = Fixture::with_history();
    let index = fixture.open();
    assert_right(&fixture, &index, &[first, second, third]);
    fixture.point("test", first);
    assert_right(&fixture, &index, &[first]);
    assert_eq!(history(&index, Some(ROUTE), None), [1]);
    // Another way on from there.
    let other = fixture.commit("test", Some(first), &[(ROUTE, "other")]);
    assert_right(&fixture, &index, &[first, other]);
    assert!(index.commit(&group(), CommitId(second)).unwrap().is_none());
    assert_eq!(history(&index, Some(ROUTE), None), [2, 1]);
    // A group that went, with an index that was not looking.
    drop(index);
    fixture.git.find_reference("refs/heads/test").unwrap().delete().unwrap();
    let index = fixture.open();
    index.catch_up(&fixture.git).unwrap();
    assert_eq!(history(&index, None, None), [0; 0]);
}

#[test]
fn a_long_history_is_folded_in_pieces() {
    let fixture = Fixture::new();
    let mut commits: Vec<Oid> = Vec::new();
    for n in 0..100 {
        let text = n.to_string();
        commits.push(fixture.commit("test", commits.last().copied(), &[(ROUTE, &text)]));
    }
    let index = fixture.open();
    assert_right(&fixture, &index, &commits);
    index.rebuild(&fixture.git).unwrap();
    assert_right(&fixture, &index, &commits);
    assert_eq!(history(&index, Some(ROUTE), None).len(), 100);
}

#[test]
fn where_nothing_can_be_written_it_is_in_memory() {
    let (fixture, commits) = Fixture::with_history();
    // A folder stands where the file should be, which holds for root too.
    std::fs::create_dir(fixture.path()).unwrap();
    let index = fixture.open();
    assert_right(&fixture, &index, &commits);
    assert!(index.rebuild(&fixture.git).is_err(), "asked for by name, it is no success");
}
