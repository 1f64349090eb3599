//! The gateway's way to a repository that others write and maintain meanwhile.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use refgate_core::change::Operation;
use refgate_core::repository::Repository;
use refgate_core::store::GroupReader;
use serde_json::json;

use crate::support::{Fixture, change, clock, name};

fn packs(repository: &Path) -> BTreeSet<PathBuf> {
    let files = fs::read_dir(repository.join("objects/pack")).expect("a folder");
    files
        .map(|file| file.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "pack"))
        .collect()
}

/// Files of a folder that this process holds although they are gone; nothing where the system does
/// not tell.
fn held(folder: &Path) -> Vec<String> {
    let Ok(open) = fs::read_dir("/proc/self/fd") else { return Vec::new() };
    open.filter_map(|file| fs::read_link(file.ok()?.path()).ok())
        .map(|path| path.display().to_string())
        .filter(|path| path.starts_with(&folder.display().to_string()))
        .filter(|path| path.ends_with(" (deleted)"))
        .collect()
}

/// Maintenance packs what was loose, makes one pack of several, and takes the old ones away: all
/// between two looks of a reader.
#[test]
fn a_reader_goes_on_through_maintenance() {
    let mut f = Fixture::in_memory();
    let group = name("test");
    let mut reader = GroupReader::open(&f.path()).expect("opened");
    let (mut known, mut gone) = (packs(&f.path()), 0);
    for turn in 0..5 {
        for n in 0..10 {
            let document = json!({"description": format!("{turn} {n}")});
            let operation = Operation::PutService { service: name(&format!("s-{n}")), document };
            f.repository.apply(change("test", operation)).expect("written");
        }
        for task in ["loose-objects", "loose-objects", "incremental-repack"] {
            f.git(&["maintenance", "run", "--quiet", &format!("--task={task}")]);
            // Everything is read anew, from whichever files it is in now.
            let head = reader.head(&group).expect("readable").expect("the group");
            let loaded = reader.load(&group, head, None).expect("all objects are found");
            assert_eq!(loaded.config.services.size(), 10);
            let service = loaded.config.services.get("s-9").expect("the last written");
            assert_eq!(service.service.description, format!("{turn} 9"));
            let now = packs(&f.path());
            gone += known.difference(&now).count();
            known = now;
        }
        // The fixture's own handles keep packs as well: another repository on the same files.
        f.repository = Repository::open(&f.path(), clock()).expect("opened");
        reader.head(&group).expect("readable");
        assert_eq!(held(f.folder.path()), Vec::<String>::new());
    }
    assert!(gone > 0, "no pack was ever taken away: {known:?}");
}
