//! Follows the configuration of a group and publishes what it says.
//!
//! One thread per gateway. Whatever wakes it, it asks its origin what there is now: [`repository`] is
//! a branch on disk, woken by file events with a slow poll behind them; [`remote`] is a control
//! plane, woken by its answers. Loading, compiling and dropping old snapshots happen here, off the
//! path of requests; a burst of events while it is busy becomes one more look. What is served is kept
//! for the next start, see [`state`].
//!
//! Next: [`applied`] for what is done with a configuration, [`crate::snapshot::compile`] for what is
//! published.

mod applied;
mod remote;
mod repository;
mod state;
pub(crate) mod watch;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use refgate_core::mirror::Saved;
use refgate_core::name::{CommitId, ServiceName};
use refgate_core::store::OpenError;

use self::applied::Applied;
use self::remote::{News, RemoteOrigin};
use self::repository::RepositoryOrigin;
use self::state::{Job, Keeper, StateFile};
use crate::control_plane::ControlPlane;
use crate::gateway::{Shared, StartError};

/// How long a change may go unnoticed when no event tells of it.
const POLL: Duration = Duration::from_secs(5);
/// How soon it is tried again to keep what is served.
const KEEP: Duration = Duration::from_millis(500);

/// Where a gateway's configuration comes from, and where it is kept.
#[derive(Debug, Clone)]
pub struct SourceOptions {
    /// Where it comes from.
    pub from: SourceFrom,
    /// The directory in which the last good configuration is kept, for a start without the source.
    pub state_dir: Option<PathBuf>,
    /// The control plane that is told how the gateway is.
    pub check_in: Option<ControlPlane>,
}

/// What the configuration is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceFrom {
    /// A configuration repository on disk.
    Repository(PathBuf),
    /// A control plane elsewhere.
    ControlPlane(ControlPlane),
}

impl From<PathBuf> for SourceOptions {
    /// A repository, and nothing else.
    fn from(path: PathBuf) -> Self {
        Self { from: SourceFrom::Repository(path), state_dir: None, check_in: None }
    }
}

/// The follower of one group.
pub(crate) struct Source {
    applied: Applied,
    origin: Origin,
    keeper: Option<Keeper>,
    /// What the state directory has.
    kept: Option<Kept>,
    wake: SyncSender<Wake>,
    woken: Receiver<Wake>,
}

enum Origin {
    Repository(RepositoryOrigin),
    Remote(Box<RemoteOrigin>),
}

/// A configuration, as far as keeping it again would make no difference.
type Kept = (CommitId, BTreeSet<ServiceName>);

/// Why the thread wakes.
pub(crate) enum Wake {
    /// Something in the repository changed.
    Look,
    /// The control plane answered.
    News(Box<News>),
    /// The gateway stops.
    Stop,
}

/// A follower that runs.
pub(crate) struct Running {
    wake: SyncSender<Wake>,
    thread: JoinHandle<()>,
}

impl Running {
    /// Stops the thread and waits for its end.
    pub(crate) fn stop(self) {
        // A full channel means that it is about to look; it takes the stop after that.
        let _ = self.wake.send(Wake::Stop);
        let _ = self.thread.join();
    }
}

impl Source {
    /// Opens the source and applies what it says now; when it says nothing, what was kept.
    ///
    /// # Errors
    /// When there is no repository of ours and nothing was kept, or the state directory or what is
    /// needed to ask a control plane cannot be used. Whatever the configuration is, and whether a
    /// control plane answers, is no error.
    pub(crate) fn open(shared: Arc<Shared>, options: SourceOptions) -> Result<Self, StartError> {
        let state = options.state_dir.map(|folder| {
            StateFile::within(&folder, &shared.group)
                .map_err(|reason| StartError::State { folder, reason })
        });
        let state = state.transpose()?;
        // One message is enough to make it look; more would only make it look more often.
        let (wake, woken) = sync_channel(1);
        let group = shared.group.clone();
        let mut applied = Applied::nothing(shared);
        let origin = match options.from {
            SourceFrom::Repository(path) => {
                let opened =
                    RepositoryOrigin::open(&mut applied, path, state.as_ref(), wake.clone());
                Origin::Repository(opened?)
            }
            SourceFrom::ControlPlane(target) => {
                let opened = RemoteOrigin::open(&mut applied, target, state.as_ref());
                let opened = opened.map_err(|error| match error {
                    remote::OpenError::Client(error) => StartError::ControlPlane(error),
                    remote::OpenError::Store(error) => OpenError::Store(error).into(),
                });
                Origin::Remote(Box::new(opened?))
            }
        };
        let keeper = state.map(|file| Keeper::start(file, group));
        let keeper = keeper.transpose().map_err(StartError::Threads)?;
        let mut source = Self { applied, origin, keeper, kept: None, wake, woken };
        let restored = match &source.origin {
            Origin::Repository(origin) => origin.restored(),
            Origin::Remote(remote) => remote.restored(),
        };
        source.kept = source.served().filter(|(commit, _)| Some(*commit) == restored);
        Ok(source)
    }

    /// Follows the source in a thread of its own.
    pub(crate) fn run(mut self) -> std::io::Result<Running> {
        let wake = self.wake.clone();
        let group = self.applied.shared.group.clone();
        if let Origin::Remote(remote) = &mut self.origin {
            remote.run(group.clone(), wake.clone())?;
        }
        let thread = std::thread::Builder::new().name(format!("source-{group}"));
        let thread = thread.spawn(move || self.follow())?;
        Ok(Running { wake, thread })
    }

    fn follow(mut self) {
        let mut renewed = Instant::now();
        loop {
            let waits = if self.keep() { POLL } else { KEEP };
            let woken = self.woken.recv_timeout(waits);
            self.applied.tidy();
            match (woken, &mut self.origin) {
                (Ok(Wake::News(news)), Origin::Remote(remote)) => {
                    remote.take(&mut self.applied, *news);
                }
                (Ok(Wake::Look) | Err(RecvTimeoutError::Timeout), Origin::Repository(origin)) => {
                    origin.look(&mut self.applied);
                }
                (Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected), _) => break,
                _ => {}
            }
            if renewed.elapsed() >= POLL {
                self.applied.renew();
                renewed = Instant::now();
            }
        }
        // What is served last is what the next start begins with.
        if let Some((job, _)) = self.to_keep()
            && let Some(keeper) = &self.keeper
        {
            keeper.keep(job);
        }
        if let Some(keeper) = self.keeper.take() {
            keeper.stop();
        }
    }

    /// Has what is served kept, if it is not and can be now; says whether there is nothing left to
    /// do.
    fn keep(&mut self) -> bool {
        let Some(keeper) = &self.keeper else { return true };
        if keeper.has_failed() {
            self.kept = None;
        }
        let Some(now) = self.served() else { return true };
        if self.kept.as_ref() == Some(&now) {
            return true;
        }
        if !keeper.is_free() {
            return false;
        }
        if let Some((job, now)) = self.to_keep()
            && let Some(keeper) = &self.keeper
        {
            keeper.keep(job);
            self.kept = Some(now);
        }
        true
    }

    fn served(&self) -> Option<Kept> {
        self.applied.config().map(|config| (config.commit, self.applied.kept().clone()))
    }

    /// What makes a state of what is served, where that is not what is kept.
    fn to_keep(&self) -> Option<(Job, Kept)> {
        let now = self.served().filter(|now| self.kept.as_ref() != Some(now))?;
        let config = self.applied.config()?.clone();
        let kept = now.1.clone();
        let job: Job = match &self.origin {
            Origin::Repository(origin) => {
                let path = origin.path().to_owned();
                Box::new(move || {
                    Saved::of_repository(&path, &config, &kept).map_err(|error| error.to_string())
                })
            }
            Origin::Remote(remote) => {
                let saved = remote.save().map_err(|error| error.to_string());
                Box::new(move || saved?.ok_or_else(|| "there is no commit yet".to_owned()))
            }
        };
        Some((job, now))
    }
}
