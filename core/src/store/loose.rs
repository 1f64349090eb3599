//! Writing loose objects so that many cost one flush.
//!
//! libgit2 flushes every object on its own, at some milliseconds each. Here they are written into a
//! folder of their own, flushed together, moved to their places, and the moves are flushed together:
//! an object is never found in its place before its bytes are on the disk. The folder stays: making
//! and removing one for each write costs ext4 more than all the rest.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use git2::{ObjectType, Oid};

/// Where objects wait in a repository until they are flushed.
fn incoming(repository: &Path) -> PathBuf {
    repository.join("refgate/incoming")
}

/// Makes a repository ready for [`write()`], and clears away what a crash left behind.
pub(super) fn prepare(repository: &Path) -> io::Result<()> {
    let folder = incoming(repository);
    fs::create_dir_all(&folder)?;
    let long_ago = SystemTime::now() - Duration::from_secs(3600);
    for entry in fs::read_dir(&folder)? {
        let entry = entry?;
        // A file of this hour may be on its way in another process.
        if entry.metadata()?.modified()? < long_ago {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Writes objects into a repository; when this returns, they are on the disk.
pub(super) fn write<'b>(
    repository: &Path,
    objects: impl Iterator<Item = (Oid, ObjectType, &'b [u8])>,
) -> io::Result<()> {
    static BATCH: AtomicU64 = AtomicU64::new(0);
    let batch = format!("{}-{}", std::process::id(), BATCH.fetch_add(1, Ordering::Relaxed));
    let folder = incoming(repository);
    let mut moves = Vec::new();
    for (id, kind, bytes) in objects {
        let name = id.to_string();
        let (fan, rest) = name.split_at(2);
        let waiting = folder.join(format!("{batch}-{name}"));
        write_one(&waiting, kind, bytes)?;
        moves.push((waiting, repository.join("objects").join(fan), rest.to_owned()));
    }
    if moves.is_empty() {
        return Ok(());
    }
    let root = File::open(&folder)?;
    flush(&root)?;
    for (waiting, place, name) in moves {
        match fs::create_dir(&place) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        fs::rename(waiting, place.join(name))?;
    }
    flush(&root)
}

fn write_one(path: &Path, kind: ObjectType, bytes: &[u8]) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o444).open(path)?;
    // What git itself uses for loose objects: they are small and read soon.
    let mut encoder = ZlibEncoder::new(io::BufWriter::new(file), Compression::fast());
    write!(encoder, "{} {}\0", kind.str(), bytes.len())?;
    encoder.write_all(bytes)?;
    encoder.finish()?.flush()
}

/// Waits until everything written to the file system that holds `folder` is on the disk.
#[cfg(target_os = "linux")]
fn flush(folder: &File) -> io::Result<()> {
    Ok(rustix::fs::syncfs(folder)?)
}

/// Waits until everything written is on its way to the disk; without `syncfs`, all file systems.
#[cfg(not(target_os = "linux"))]
fn flush(folder: &File) -> io::Result<()> {
    rustix::fs::sync();
    folder.sync_all()
}
