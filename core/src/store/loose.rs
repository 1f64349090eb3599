//! Writing loose objects so that many cost one flush.
//!
//! libgit2 flushes every object on its own, at some milliseconds each. Here they are written into a
//! folder of their own, flushed together, moved to their places, and the moves are flushed together:
//! an object is never found in its place before its bytes are on the disk. The folder stays: making
//! and removing one for each write costs ext4 more than all the rest.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use git2::{ObjectType, Oid};

use super::StoreError;

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

/// Whether the loose file of an object holds these bytes; nothing where there is no such file.
///
/// It is read here, as libgit2 never comes back from a file that is cut short.
pub(super) fn holds(repository: &Path, id: Oid, kind: ObjectType, bytes: &[u8]) -> Option<bool> {
    let name = id.to_string();
    let (fan, rest) = name.split_at(2);
    let file = match File::open(repository.join("objects").join(fan).join(rest)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(_) => return Some(false),
    };
    let mut wanted = format!("{} {}\0", kind.str(), bytes.len()).into_bytes();
    wanted.extend_from_slice(bytes);
    let mut found = Vec::with_capacity(wanted.len());
    // One byte more than wanted is enough to see that it is another.
    let mut decoder = ZlibDecoder::new(file).take(wanted.len() as u64 + 1);
    Some(decoder.read_to_end(&mut found).is_ok() && found == wanted)
}

/// Writes objects into a repository; when this returns, they are on the disk.
///
/// What is in an object's place already is replaced: a crash may have left it cut short.
pub(super) fn write<'b>(
    repository: &Path,
    objects: impl Iterator<Item = (Oid, ObjectType, &'b [u8])>,
) -> Result<(), StoreError> {
    let mut batch = Batch::new(incoming(repository));
    for (id, kind, bytes) in objects {
        batch.put(&id.to_string(), kind, bytes)?;
    }
    if batch.moves.is_empty() {
        return Ok(());
    }
    let root = File::open(&batch.folder).map_err(failed("cannot open", &batch.folder))?;
    flush(&root).map_err(failed("cannot flush", &batch.folder))?;
    batch.publish(&repository.join("objects"))?;
    flush(&root).map_err(failed("cannot flush", &batch.folder))
}

fn failed<'p>(doing: &'static str, path: &'p Path) -> impl FnOnce(io::Error) -> StoreError + 'p {
    move |source| StoreError::File { doing, path: path.to_owned(), source }
}

/// Objects on their way; those that did not arrive go with this.
struct Batch {
    folder: PathBuf,
    name: String,
    /// Where each waits, and the name of its object.
    moves: VecDeque<(PathBuf, String)>,
}

impl Batch {
    fn new(folder: PathBuf) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        Self { folder, name, moves: VecDeque::new() }
    }

    fn put(&mut self, name: &str, kind: ObjectType, bytes: &[u8]) -> Result<(), StoreError> {
        let waiting = self.folder.join(format!("{}-{name}", self.name));
        // Noted first, so that half a file goes too.
        self.moves.push_back((waiting.clone(), name.to_owned()));
        let first = write_one(&waiting, kind, bytes);
        let written = match first {
            // One of a process that had this number before; it cannot be alive.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_file(&waiting).and_then(|()| write_one(&waiting, kind, bytes))
            }
            // Somebody has tidied up.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&self.folder).and_then(|()| write_one(&waiting, kind, bytes))
            }
            other => other,
        };
        written.map_err(failed("cannot write", &waiting))
    }

    /// Moves all to their places.
    fn publish(&mut self, objects: &Path) -> Result<(), StoreError> {
        // In the order in which they were made: what an object names is there before it.
        while let Some((waiting, name)) = self.moves.front() {
            let (fan, rest) = name.split_at(2);
            let folder = objects.join(fan);
            match fs::create_dir(&folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(failed("cannot make", &folder)(error));
                }
                _ => {}
            }
            let place = folder.join(rest);
            match fs::rename(waiting, &place) {
                // Maintenance takes empty folders away.
                Err(error) if error.kind() == io::ErrorKind::NotFound && waiting.exists() => {
                    continue;
                }
                moved => moved.map_err(failed("cannot write", &place))?,
            }
            self.moves.pop_front();
        }
        Ok(())
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        for (waiting, _) in &self.moves {
            // Not there, or the next start takes it away.
            let _ = fs::remove_file(waiting);
        }
    }
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
