//! Loose objects: written so that many cost one flush, and read so that a damaged one is told.
//!
//! libgit2 never comes back from reading a file that is cut short, which a crash of another program
//! or a bad disk can leave. So what may be loose is read here, and libgit2 is asked for the rest.
//!
//! libgit2 also flushes every object on its own, at some milliseconds each. Here they are written into a
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
use super::wide::WIDE;

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

/// The file of a loose object below the folder `objects`, if there is one.
fn open(objects: &Path, id: Oid) -> Result<Option<File>, StoreError> {
    let name = id.to_string();
    let (fan, rest) = name.split_at(2);
    let path = objects.join(fan).join(rest);
    match File::open(&path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("cannot read", &path)(error)),
    }
}

fn damaged(id: Oid, what: &str) -> StoreError {
    StoreError::Damaged(format!(
        "object {id} {what}; `refgate check` tells what needs it, and a copy of the repository has it"
    ))
}

/// Longest header of a loose object: a kind, a space, a size, a zero.
const HEADER: usize = 32;

/// The kind and the size that a loose object says it has.
fn header(id: Oid, from: &mut impl io::Read) -> Result<(ObjectType, usize), StoreError> {
    let mut text = Vec::new();
    let mut byte = [0];
    while text.len() < HEADER {
        match from.read_exact(&mut byte) {
            Ok(()) if byte == [0] => break,
            Ok(()) => text.push(byte[0]),
            Err(_) => return Err(damaged(id, "cannot be unpacked")),
        }
    }
    std::str::from_utf8(&text)
        .ok()
        .and_then(|text| text.split_once(' '))
        .and_then(|(kind, size)| Some((ObjectType::from_str(kind)?, size.parse().ok()?)))
        .ok_or_else(|| damaged(id, "has no header"))
}

/// Kind and bytes of an object, where it is loose.
///
/// # Errors
/// When the file is damaged: cut short, or not what the id names.
pub(super) fn read(objects: &Path, id: Oid) -> Result<Option<(ObjectType, Vec<u8>)>, StoreError> {
    let Some(file) = open(objects, id)? else { return Ok(None) };
    let mut decoder = ZlibDecoder::new(file);
    let (kind, size) = header(id, &mut decoder)?;
    // Not trusted for making room: the file may say anything.
    let mut bytes = Vec::with_capacity(size.min(1 << 20));
    let read = decoder.take((size as u64).saturating_add(1)).read_to_end(&mut bytes);
    if read.is_err() || bytes.len() != size {
        return Err(damaged(id, "is cut short or damaged"));
    }
    if Oid::hash_object(kind, &bytes)? != id {
        return Err(damaged(id, "holds other bytes than its name says"));
    }
    Ok(Some((kind, bytes)))
}

/// The size of an object, where it is loose; nothing of it is unpacked but the header.
pub(super) fn size(objects: &Path, id: Oid) -> Result<Option<usize>, StoreError> {
    let Some(file) = open(objects, id)? else { return Ok(None) };
    Ok(Some(header(id, &mut ZlibDecoder::new(file))?.1))
}

/// Whether the loose file of an object holds these bytes; nothing where there is no such file.
pub(super) fn holds(repository: &Path, id: Oid, kind: ObjectType, bytes: &[u8]) -> Option<bool> {
    match read(&repository.join("objects"), id) {
        Ok(found) => found.map(|(found, content)| found == kind && content == bytes),
        Err(_) => Some(false),
    }
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
    // A wide tree is mostly ids, which do not get smaller: trying takes longer than all the rest of
    // a change. Everything else as git does it: it is small and read soon.
    let wide = kind == ObjectType::Tree && bytes.len() >= WIDE;
    let compression = if wide { Compression::none() } else { Compression::fast() };
    let mut encoder = ZlibEncoder::new(io::BufWriter::new(file), compression);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with one loose object, and the object's file.
    fn stored(kind: ObjectType, bytes: &[u8]) -> (tempfile::TempDir, Oid, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("objects")).expect("made");
        prepare(folder.path()).expect("prepared");
        let id = Oid::hash_object(kind, bytes).expect("an id");
        write(folder.path(), [(id, kind, bytes)].into_iter()).expect("written");
        let name = id.to_string();
        let (fan, rest) = name.split_at(2);
        let file = folder.path().join("objects").join(fan).join(rest);
        (folder, id, file)
    }

    fn overwrite(file: &Path, bytes: &[u8]) {
        fs::remove_file(file).expect("it was there");
        fs::write(file, bytes).expect("written");
    }

    #[test]
    fn what_is_written_is_read() {
        let wide = vec![b'x'; WIDE];
        for (kind, bytes) in [
            (ObjectType::Blob, &b""[..]),
            (ObjectType::Blob, b"{}\n"),
            (ObjectType::Tree, b""),
            (ObjectType::Tree, &wide),
        ] {
            let (folder, id, _file) = stored(kind, bytes);
            let objects = folder.path().join("objects");
            assert_eq!(read(&objects, id).expect("read"), Some((kind, bytes.to_vec())));
            assert_eq!(size(&objects, id).expect("read"), Some(bytes.len()));
            assert_eq!(holds(folder.path(), id, kind, bytes), Some(true));
            let absent = Oid::hash_object(kind, b"another").expect("an id");
            assert_eq!(read(&objects, absent).expect("read"), None);
        }
    }

    #[test]
    fn a_damaged_file_is_told_wherever_it_is_damaged() {
        let bytes = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\nsubject\n";
        let (folder, id, file) = stored(ObjectType::Commit, bytes);
        let objects = folder.path().join("objects");
        let whole = fs::read(&file).expect("read");
        // The checksum of the stream, its last four bytes, says nothing that the id does not.
        for length in 0..whole.len() - 4 {
            overwrite(&file, &whole[..length]);
            assert!(read(&objects, id).is_err(), "cut to {length} bytes");
            assert_eq!(holds(folder.path(), id, ObjectType::Commit, bytes), Some(false));
        }
        for place in 0..whole.len() {
            let mut other = whole.clone();
            other[place] ^= 0x40;
            overwrite(&file, &other);
            // Never other bytes than those that the id stands for.
            if let Ok(found) = read(&objects, id) {
                assert_eq!(found, Some((ObjectType::Commit, bytes.to_vec())), "byte {place}");
            }
        }
    }

    #[test]
    fn a_size_that_is_not_true_is_told() {
        for size in ["0", "3", "5", "18446744073709551615", "99999999999999999999999999999999999"] {
            let (folder, id, file) = stored(ObjectType::Blob, b"four");
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
            write!(encoder, "blob {size}\0four").expect("written");
            overwrite(&file, &encoder.finish().expect("written"));
            let objects = folder.path().join("objects");
            assert!(read(&objects, id).is_err(), "{size}");
        }
    }
}
