//! Follows a group's branch in a repository on disk and publishes what it says.
//!
//! One thread per gateway. File events only wake it: each time it asks the repository where the
//! branch is and compares ids, so that nothing depends on which files a write touches. A slow poll
//! stands behind the events. Loading, compiling and dropping old snapshots happen here, off the path
//! of requests; a burst of events while it is busy becomes one more look.
//!
//! Next: [`watch`] for the events, [`crate::snapshot::compile`] for what is published.

mod watch;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use refgate_core::config::GroupConfig;
use refgate_core::diagnostic::Diagnostic;
use refgate_core::name::{CommitId, ServiceName};
use refgate_core::store::{GroupReader, OpenError, StoreError};

use self::watch::Watch;
use crate::gateway::Shared;
use crate::snapshot::Snapshot;
use crate::snapshot::compile::compile;
use crate::status::State;

/// How long a change may go unnoticed when no event tells of it.
const POLL: Duration = Duration::from_secs(5);

/// The follower of one branch.
pub(crate) struct Source {
    shared: Arc<Shared>,
    path: PathBuf,
    reader: Option<GroupReader>,
    watch: Option<Watch>,
    wake: SyncSender<Wake>,
    woken: Receiver<Wake>,
    /// The configuration that is served, faulty services in their last good form.
    config: Option<GroupConfig>,
    /// The commit that was looked at last.
    seen: Option<CommitId>,
    /// What was found wrong with it as it was read.
    findings: Vec<Diagnostic>,
    /// Snapshots that requests may still hold.
    retired: Vec<Arc<Snapshot>>,
}

/// Why the thread wakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wake {
    /// Something in the repository changed.
    Look,
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
    /// Opens the repository at `path` and applies what it says now.
    ///
    /// # Errors
    /// When there is no repository of ours at `path`. Whatever its content is, is no error.
    pub(crate) fn open(shared: Arc<Shared>, path: PathBuf) -> Result<Self, OpenError> {
        let reader = Some(GroupReader::open(&path)?);
        // One message is enough to make it look; more would only make it look more often.
        let (wake, woken) = sync_channel(1);
        let mut source = Self {
            shared,
            path,
            reader,
            watch: None,
            wake,
            woken,
            config: None,
            seen: None,
            findings: Vec::new(),
            retired: Vec::new(),
        };
        // Watched first, looked at afterwards: a change in between is an event.
        source.look();
        Ok(source)
    }

    /// Follows the branch in a thread of its own.
    pub(crate) fn run(mut self) -> std::io::Result<Running> {
        let wake = self.wake.clone();
        let name = format!("source-{}", self.shared.group);
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            loop {
                match self.woken.recv_timeout(POLL) {
                    Ok(Wake::Look) => self.look(),
                    Err(RecvTimeoutError::Timeout) => {
                        self.look();
                        self.renew();
                    }
                    Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        })?;
        Ok(Running { wake, thread })
    }

    /// Applies what the repository says now, when that is news.
    fn look(&mut self) {
        // The last holder of a snapshot drops it, and that must not be a request.
        self.retired.retain(|snapshot| Arc::strong_count(snapshot) > 1);
        if self.watch.as_ref().is_none_or(|watch| !watch.is_current()) {
            self.watch = Watch::new(&self.path, self.wake.clone())
                .inspect_err(|error| {
                    tracing::debug!(%error, "cannot watch the repository; polling");
                })
                .ok();
            // The files may be others now: the old handle would never see them.
            self.reader = None;
        }
        if let Err(trouble) = self.follow() {
            self.reader = None;
            self.shared.troubled(&trouble.to_string());
        }
    }

    fn follow(&mut self) -> Result<(), Trouble> {
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => GroupReader::open(&self.path)?,
        };
        let head = reader.head(&self.shared.group)?;
        let reader = self.reader.insert(reader);
        let Some(head) = head else { return Err(Trouble::NoBranch) };
        if self.seen == Some(head) {
            self.shared.untroubled();
            return Ok(());
        }
        let loaded = reader.load(&self.shared.group, head, self.config.as_ref())?;
        let mut config = loaded.config;
        for name in &loaded.faulty {
            let last = self.config.as_ref().and_then(|config| config.services.get(name));
            if let Some(last) = last {
                config.keep_last_good(Arc::clone(last));
            }
        }
        self.publish(&config, loaded.changed.as_ref(), loaded.diagnostics.clone());
        self.findings = loaded.diagnostics;
        self.config = Some(config);
        self.seen = Some(head);
        Ok(())
    }

    /// Publishes the same configuration anew when a file that a certificate names is another now, or
    /// is there at last: certificates and keys are renewed without a commit.
    fn renew(&mut self) {
        if !self.shared.snapshot.load().certificates.are_stale() {
            return;
        }
        if let Some(config) = self.config.take() {
            self.publish(&config, Some(&BTreeSet::new()), self.findings.clone());
            self.config = Some(config);
        }
    }

    fn publish(
        &mut self,
        config: &GroupConfig,
        changed: Option<&BTreeSet<ServiceName>>,
        mut diagnostics: Vec<Diagnostic>,
    ) {
        let previous = self.shared.snapshot.load_full();
        let compiled =
            compile(config, &previous, changed, &self.shared.metrics, &self.shared.checks);
        diagnostics.extend(compiled.findings);
        diagnostics.sort();
        let errors = diagnostics.iter().filter(|finding| finding.is_error()).count();
        let routes = compiled.snapshot.router.len();
        self.shared.snapshot.store(Arc::new(compiled.snapshot));
        self.retired.push(previous);
        self.shared.metrics.reloads.add(1);
        let (group, commit) = (&self.shared.group, config.commit);
        if errors == 0 {
            tracing::info!(%group, %commit, routes, "configuration applied");
        } else {
            self.shared.metrics.faulty_reloads.add(1);
            tracing::warn!(%group, %commit, routes, errors, "configuration applied in part");
            for finding in diagnostics.iter().filter(|finding| finding.is_error()) {
                tracing::warn!(%group, %commit, code = %finding.code, "{finding}");
            }
        }
        let state = if errors == 0 { State::Healthy } else { State::Degraded };
        self.shared.applied(commit, state, diagnostics);
    }
}

/// Why the branch cannot be followed at the moment.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Read(#[from] StoreError),
    #[error("the repository has no branch for this group")]
    NoBranch,
}
