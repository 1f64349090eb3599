//! The state directory: what is served, kept on disk, so that a gateway starts while its source is
//! away.
//!
//! One file for each group, written whole beside its place, flushed, and moved there: whoever reads
//! finds all of one configuration or all of another. It is written by a thread of its own, and not
//! more often than leaves it mostly at rest: of many commits in a row the last one counts.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use refgate_core::config::GroupConfig;
use refgate_core::mirror::{Mirror, Saved};
use refgate_core::name::GroupName;
use serde::{Deserialize, Serialize};

/// The form of the file.
const FORMAT: u32 = 1;
/// The rest after writing, at the least.
const REST: Duration = Duration::from_millis(500);
/// The same after a failure.
const REST_AFTER_FAILURE: Duration = Duration::from_secs(10);
/// The rest after writing, in times of what writing took.
const REST_TIMES: u32 = 10;

/// Where the state of one group lies.
#[derive(Debug, Clone)]
pub(super) struct StateFile {
    folder: PathBuf,
    path: PathBuf,
}

#[derive(Serialize)]
struct Written<'s> {
    format: u32,
    saved: &'s Saved,
}

#[derive(Deserialize)]
struct Found {
    format: u32,
    saved: Saved,
}

/// Why a state is not used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it is not what was written: {0}")]
    Damaged(#[from] serde_json::Error),
    #[error("it has the form {0}, which this version does not know")]
    Format(u32),
    #[error("it is not whole: {0}")]
    Mirror(#[from] refgate_core::mirror::MirrorError),
}

impl StateFile {
    /// The state of a group in a directory, which is made where it is not there.
    pub(super) fn within(folder: &Path, group: &GroupName) -> io::Result<Self> {
        // Not for everybody: it is what the repository holds.
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        Ok(Self { folder: folder.to_owned(), path: folder.join(format!("{group}.json")) })
    }

    /// What was kept, ready to be loaded, with the last good forms of what was at fault. A state
    /// that cannot be used is told and ignored.
    pub(super) fn restore(&self, group: &GroupName) -> Option<(Mirror, Option<GroupConfig>)> {
        match self.read(group) {
            Ok(restored) => Some(restored),
            Err(Unusable::Io(error)) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                let path = self.path.display();
                tracing::warn!(%group, %path, %error, "the kept configuration is ignored");
                None
            }
        }
    }

    fn read(&self, group: &GroupName) -> Result<(Mirror, Option<GroupConfig>), Unusable> {
        let found: Found = serde_json::from_reader(BufReader::new(File::open(&self.path)?))?;
        if found.format != FORMAT {
            return Err(Unusable::Format(found.format));
        }
        Ok(Mirror::restore(group.clone(), found.saved)?)
    }

    fn write(&self, saved: &Saved) -> io::Result<()> {
        // Another instance may use the directory too; then the last one to write counts.
        let beside = self.path.with_extension(format!("json.{}", std::process::id()));
        let written = self.write_to(&beside, saved).and_then(|()| {
            fs::rename(&beside, &self.path)?;
            File::open(&self.folder)?.sync_all()
        });
        if written.is_err() {
            let _ = fs::remove_file(&beside);
        }
        written
    }

    fn write_to(&self, path: &Path, saved: &Saved) -> io::Result<()> {
        let file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        let mut out = BufWriter::new(file);
        serde_json::to_writer(&mut out, &Written { format: FORMAT, saved })?;
        out.flush()?;
        out.get_ref().sync_all()
    }
}

/// Makes what is to be kept; in the thread that writes it.
pub(super) type Job = Box<dyn FnOnce() -> Result<Saved, String> + Send>;

/// The thread that writes.
pub(super) struct Keeper {
    shared: Arc<(Mutex<Slot>, Condvar)>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Slot {
    job: Option<Job>,
    writes: bool,
    rests_until: Option<Instant>,
    failed: bool,
    stops: bool,
}

impl Keeper {
    pub(super) fn start(file: StateFile, group: GroupName) -> io::Result<Self> {
        let shared = Arc::<(Mutex<Slot>, Condvar)>::default();
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name(format!("state-{group}"))
            .spawn(move || keep(&of_thread, &file, &group))?;
        Ok(Self { shared, thread })
    }

    /// Whether it would write at once.
    pub(super) fn is_free(&self) -> bool {
        let slot = lock(&self.shared.0);
        let rests = slot.rests_until.is_some_and(|until| Instant::now() < until);
        slot.job.is_none() && !slot.writes && !rests
    }

    /// Whether the last writing failed; says so once.
    pub(super) fn has_failed(&self) -> bool {
        std::mem::take(&mut lock(&self.shared.0).failed)
    }

    /// Has this written next, in the place of what waited for it.
    pub(super) fn keep(&self, job: Job) {
        lock(&self.shared.0).job = Some(job);
        self.shared.1.notify_one();
    }

    /// Ends once what waits is written.
    pub(super) fn stop(self) {
        lock(&self.shared.0).stops = true;
        self.shared.1.notify_one();
        // A panic in there has been reported by the panic hook.
        let _ = self.thread.join();
    }
}

fn keep((slot, changed): &(Mutex<Slot>, Condvar), file: &StateFile, group: &GroupName) {
    loop {
        let job = {
            let mut slot = lock(slot);
            loop {
                if let Some(job) = slot.job.take() {
                    slot.writes = true;
                    break job;
                }
                if slot.stops {
                    return;
                }
                slot = changed.wait(slot).unwrap_or_else(PoisonError::into_inner);
            }
        };
        let begun = Instant::now();
        let written = job().and_then(|saved| file.write(&saved).map_err(|error| error.to_string()));
        let failed = written.is_err();
        if let Err(error) = written {
            let path = file.path.display();
            tracing::warn!(%group, %path, error, "the configuration could not be kept");
        }
        let mut slot = lock(slot);
        slot.writes = false;
        slot.failed = failed;
        let least = if failed { REST_AFTER_FAILURE } else { REST };
        slot.rests_until = Some(Instant::now() + least.max(begun.elapsed() * REST_TIMES));
    }
}

fn lock(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
