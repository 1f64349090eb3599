//! Writing loose objects so that many cost one flush.
//!
//! libgit2 flushes every object on its own, at some milliseconds each. Here they are written into a
//! folder beside their places, flushed together, moved to their places, and the moves are flushed
//! together: an object is never found in its place before its bytes are on the disk. The folder's
//! name is one that `git prune` knows and clears away after a crash.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use git2::{ObjectType, Oid};

/// Writes objects into the object folder of a repository; when this returns, they are on the disk.
pub(super) fn write<'b>(
    folder: &Path,
    objects: impl Iterator<Item = (Oid, ObjectType, &'b [u8])>,
) -> io::Result<()> {
    let mut objects = objects.peekable();
    if objects.peek().is_none() {
        return Ok(());
    }
    let staging = tempfile::Builder::new()
        .prefix("tmp_objdir-refgate-")
        .permissions(Permissions::from_mode(0o755))
        .tempdir_in(folder)?;
    let mut names = Vec::new();
    for (id, kind, bytes) in objects {
        let name = id.to_string();
        write_one(&staging.path().join(&name), kind, bytes)?;
        names.push(name);
    }
    let root = File::open(folder)?;
    flush(&root)?;
    for name in &names {
        let (fan, rest) = name.split_at(2);
        let place = folder.join(fan);
        match fs::create_dir(&place) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        fs::rename(staging.path().join(name), place.join(rest))?;
    }
    staging.close()?;
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
