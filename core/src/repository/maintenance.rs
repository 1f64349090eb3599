//! Keeping a repository quick: a thread that now and then has git make few files of many.
//!
//! It deletes nothing that is not stored elsewhere, so that it needs no agreement with whoever
//! writes: handles that do not find an object look for new packs by themselves. It has no input: it
//! runs when enough was written since the last time, on a slow timer for what came in by other
//! doors, and when asked; a run with nothing to do costs little. That it fails ends nothing.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::store::git::{Git, GitError, MaintenanceTask};
use crate::store::{StoreError, quarantine};

/// Changes after which it is time; each makes some five loose objects.
const WRITES: u64 = 1000;

/// The slow timer.
const INTERVAL: Duration = Duration::from_secs(3600);

/// What maintenance did so far, and what there is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct MaintenanceStats {
    /// Runs that ended well.
    pub runs: u64,
    /// Runs that did not.
    pub failures: u64,
    /// Time spent in all runs.
    pub spent: Duration,
    /// Objects that were in a file of their own when it was last counted.
    pub loose_objects: u64,
    /// Packs there were then.
    pub packs: u64,
}

/// The thread; it ends when this goes, and a git that it runs with it.
pub(super) struct Maintenance {
    requests: Option<Sender<Request>>,
    /// Nothing is ever sent: that it closes says to stop.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    stats: Mutex<MaintenanceStats>,
    /// Changes since the last run.
    written: AtomicU64,
    /// Goes up with every run: handles from before may hold packs that are gone.
    generation: AtomicU64,
}

/// A run that is wanted; who wants to wait for it hears how it ended.
type Request = Option<Sender<Result<(), GitError>>>;

impl Maintenance {
    /// Starts the thread for the repository at `path`.
    pub(super) fn start(path: &Path) -> Result<Self, StoreError> {
        let (requests, wanted) = bounded(1);
        let (stop, stopped) = bounded(0);
        let state = Arc::<State>::default();
        let worker = Worker { path: path.to_owned(), state: Arc::clone(&state), wanted, stopped };
        let thread = std::thread::Builder::new()
            .name("refgate-upkeep".to_owned())
            .spawn(move || worker.run())?;
        Ok(Self { requests: Some(requests), stop: Some(stop), thread: Some(thread), state })
    }

    /// None at all, for who works beside a process that has it.
    pub(super) fn none() -> Self {
        Self { requests: None, stop: None, thread: None, state: Arc::default() }
    }

    /// Counts changes that were published.
    pub(super) fn wrote(&self, changes: u64) {
        let before = self.state.written.fetch_add(changes, Ordering::Relaxed);
        if before + changes >= WRITES
            && let Some(requests) = &self.requests
        {
            // Full: a run is wanted already.
            let _ = requests.try_send(None);
        }
    }

    /// Runs now, and waits for the end of it.
    pub(super) fn run(&self) -> Result<(), GitError> {
        let stopped = || GitError::Stopped("maintenance");
        let (answer, answered) = bounded(1);
        let requests = self.requests.as_ref().ok_or_else(stopped)?;
        requests.send(Some(answer)).map_err(|_| stopped())?;
        answered.recv().map_err(|_| stopped())?
    }

    pub(super) fn stats(&self) -> MaintenanceStats {
        *self.state.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes when handles should be opened anew.
    pub(super) fn generation(&self) -> u64 {
        self.state.generation.load(Ordering::Relaxed)
    }
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        self.requests = None;
        self.stop = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("maintenance ended in a panic");
        }
    }
}

struct Worker {
    path: PathBuf,
    state: Arc<State>,
    wanted: Receiver<Request>,
    stopped: Receiver<()>,
}

impl Worker {
    fn run(&self) {
        step_back();
        self.count();
        loop {
            let request = match self.wanted.recv_timeout(INTERVAL) {
                Ok(request) => request,
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let started = Instant::now();
            self.state.written.store(0, Ordering::Relaxed);
            let result = self.tasks();
            self.state.generation.fetch_add(1, Ordering::Relaxed);
            let spent = started.elapsed();
            self.note(|stats| {
                stats.spent += spent;
                match result {
                    Ok(()) => stats.runs += 1,
                    Err(_) => stats.failures += 1,
                }
            });
            self.count();
            match &result {
                Ok(()) => tracing::debug!(?spent, "maintenance has run"),
                Err(GitError::Stopped(_)) => {}
                Err(error) => {
                    let path = self.path.display();
                    let error: &dyn std::error::Error = error;
                    tracing::warn!(error, %path, "maintenance failed and will be tried again");
                }
            }
            if let Some(answer) = request {
                // Whoever asked may have gone.
                let _ = answer.send(result);
            }
        }
    }

    fn tasks(&self) -> Result<(), GitError> {
        quarantine::sweep(&self.path);
        let git = Git::for_repository(&self.path)?;
        let go_on = |pause| self.stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout);
        // One that fails does not keep the others from helping.
        let mut result = Ok(());
        for task in MaintenanceTask::ALL {
            result = result.and(git.maintain(task, &go_on));
        }
        result
    }

    fn note(&self, change: impl FnOnce(&mut MaintenanceStats)) {
        change(&mut self.state.stats.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn count(&self) {
        let objects = self.path.join("objects");
        let names = |folder: &Path| {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned())
        };
        let fans = names(&objects).filter(|name| name.len() == 2);
        let loose = fans.map(|fan| names(&objects.join(fan)).count() as u64).sum();
        let packs = names(&objects.join("pack")).filter(|name| name.ends_with(".pack")).count();
        self.note(|stats| {
            stats.loose_objects = loose;
            stats.packs = packs as u64;
        });
    }
}

/// Lets everything else go first; the processes started by this thread do too.
#[cfg(target_os = "linux")]
fn step_back() {
    // Of no process: of the thread that calls.
    if let Err(error) = rustix::process::setpriority_process(None, 10) {
        tracing::debug!(%error, "maintenance keeps its priority");
    }
}

#[cfg(not(target_os = "linux"))]
fn step_back() {}
