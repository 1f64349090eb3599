//! What unfinished pushes left behind.
//!
//! git puts what is pushed into a folder of its own until the push is accepted, and removes it when it
//! is refused or breaks off. A git that a signal ends, or the machine, leaves the folder. Nothing in
//! it is named by anything; it only takes room.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Longer than any push that still lives leaves its folder untouched: while it is received, the pack
/// in it grows.
const OLD: Duration = Duration::from_secs(3600);

/// Removes the folders that nobody has touched for long. One that cannot be removed stays, with a
/// line in the log: it is in nobody's way.
pub(crate) fn sweep(repository: &Path) {
    let Some(before) = SystemTime::now().checked_sub(OLD) else { return };
    if let Err(error) = sweep_before(&repository.join("objects"), before) {
        tracing::warn!(%error, "cannot look for what unfinished pushes left");
    }
}

fn sweep_before(objects: &Path, before: SystemTime) -> io::Result<()> {
    for entry in fs::read_dir(objects)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // Since git 2.36 as the first, before as the second.
        let left = name.starts_with("tmp_objdir-incoming-") || name.starts_with("incoming-");
        if !left || !entry.file_type()?.is_dir() {
            continue;
        }
        let path = entry.path();
        // What cannot be looked at is changing.
        if touched(&path).map_or(true, |at| at >= before) {
            continue;
        }
        match fs::remove_dir_all(&path) {
            Ok(()) => tracing::info!(path = %path.display(), "removed what a push left"),
            Err(error) => tracing::warn!(path = %path.display(), %error, "cannot remove"),
        }
    }
    Ok(())
}

/// When something in a folder was last made, removed or written.
fn touched(folder: &Path) -> io::Result<SystemTime> {
    let mut last = SystemTime::UNIX_EPOCH;
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        last = last.max(fs::symlink_metadata(&folder)?.modified()?);
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            last = last.max(metadata.modified()?);
            if metadata.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_touches_goes() {
        let objects = tempfile::tempdir().unwrap();
        let file = |path: &str| {
            let path = objects.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        };
        let names = || {
            let entries = fs::read_dir(objects.path()).unwrap();
            let mut names: Vec<_> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        file("tmp_objdir-incoming-a1b2c3/pack/tmp_pack_1");
        file("incoming-x/aa/bb");
        file("aa/bb");
        file("pack/pack-1.pack");
        let all = names();
        sweep_before(objects.path(), SystemTime::now() - OLD).unwrap();
        assert_eq!(names(), all, "a push may still be at it");
        sweep_before(objects.path(), SystemTime::now() + OLD).unwrap();
        assert_eq!(names(), ["aa", "pack"]);
        sweep(objects.path());
    }
}
