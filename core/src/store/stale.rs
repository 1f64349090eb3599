//! Locks that a killed process left behind.
//!
//! git and libgit2 lock a ref with a file beside it, for milliseconds. A process that is killed in
//! between leaves the file there, and nobody could ever move that ref again. Whoever opens the
//! repository for writing therefore looks for such files: one that stays as it is for a second has
//! no owner. A file that changes or goes in that time is somebody's work and is left alone.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Far longer than any lock of a ref is held.
const PATIENCE: Duration = Duration::from_secs(1);

/// An age that no lock of a ref reaches while somebody works with it.
const OLD: Duration = Duration::from_secs(10);

/// Takes away the locks of refs that nobody holds.
pub(super) fn release(repository: &Path) -> io::Result<()> {
    release_after(repository, PATIENCE)
}

fn release_after(repository: &Path, patience: Duration) -> io::Result<()> {
    let mut found = Vec::new();
    find(&repository.join("refs"), &mut found)?;
    let packed = repository.join("packed-refs.lock");
    if let Some(id) = identity(&packed)? {
        found.push((packed, id));
    }
    if found.is_empty() {
        return Ok(());
    }
    std::thread::sleep(patience);
    for (path, id) in found {
        if identity(&path)? == Some(id) {
            tracing::warn!(path = %path.display(), "taking away the lock of a process that is gone");
            absent_is_fine(fs::remove_file(&path))?;
        }
    }
    Ok(())
}

/// The locks that have stood for longer than one is ever held.
pub(crate) fn old_locks(repository: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    find(&repository.join("refs"), &mut found)?;
    let packed = repository.join("packed-refs.lock");
    if let Some(id) = identity(&packed)? {
        found.push((packed, id));
    }
    let mut old = Vec::new();
    for (path, _) in found {
        let written = absent_is_fine(fs::symlink_metadata(&path).and_then(|data| data.modified()))?;
        // A time in the future is a clock that was set, not a lock that is old.
        if written.and_then(|at| at.elapsed().ok()).is_some_and(|age| age > OLD) {
            old.push(path);
        }
    }
    Ok(old)
}

/// Which file it is, and when it was last written.
type Identity = (u64, u64, i64, i64);

fn identity(path: &Path) -> io::Result<Option<Identity>> {
    let of = |file: Metadata| (file.dev(), file.ino(), file.mtime(), file.mtime_nsec());
    absent_is_fine(fs::symlink_metadata(path).map(of))
}

fn find(folder: &Path, found: &mut Vec<(PathBuf, Identity)>) -> io::Result<()> {
    // Folders of refs come and go beside us.
    let Some(entries) = absent_is_fine(fs::read_dir(folder))? else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "lock")
            && let Some(id) = identity(&path)?
        {
            found.push((path, id));
        }
    }
    Ok(())
}

fn absent_is_fine<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_locks_without_an_owner_go() -> io::Result<()> {
        let repository = tempfile::tempdir()?;
        let tags = repository.path().join("refs/tags/shop");
        fs::create_dir_all(&tags)?;
        for file in ["1.0.0.lock", "1.0.0"] {
            fs::write(tags.join(file), "")?;
        }
        fs::write(repository.path().join("packed-refs.lock"), "")?;
        release_after(repository.path(), Duration::ZERO)?;
        assert!(!tags.join("1.0.0.lock").exists() && tags.join("1.0.0").exists());
        assert!(!repository.path().join("packed-refs.lock").exists());
        Ok(())
    }

    #[test]
    fn a_lock_that_was_written_anew_is_another_one() -> io::Result<()> {
        let repository = tempfile::tempdir()?;
        let lock = repository.path().join("packed-refs.lock");
        fs::write(&lock, "")?;
        let first = identity(&lock)?;
        fs::write(&lock, "more")?;
        let touched = fs::File::open(&lock)?;
        touched.set_modified(std::time::SystemTime::UNIX_EPOCH)?;
        assert_ne!(identity(&lock)?, first);
        Ok(())
    }
}
