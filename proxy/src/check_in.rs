//! Tells a control plane how this gateway is: after every change, and every ten seconds.
//!
//! Only the last word counts: while one check-in is on its way, everything that happens becomes one
//! more. A control plane that is away costs nothing but a line in the log.

use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;

use crate::control_plane::ControlPlane;
use crate::control_plane::client::{Client, ClientError};
use crate::gateway::Shared;

/// How often, when nothing happens.
const PERIOD: Duration = Duration::from_secs(10);
/// How soon again, when one failed: the control plane may be starting.
const AGAIN: Duration = Duration::from_secs(2);

/// How long the end may be held up.
const PARTING: Duration = Duration::from_secs(2);

/// Check-ins that go on until they are stopped.
pub(crate) struct CheckIns {
    shared: Arc<Shared>,
    client: Arc<Mutex<Client>>,
    task: JoinHandle<()>,
}

impl CheckIns {
    pub(crate) fn start(
        shared: Arc<Shared>,
        target: ControlPlane,
        runtime: &Handle,
    ) -> Result<Self, ClientError> {
        let client = Arc::new(Mutex::new(Client::new(target)?));
        let task = runtime.spawn(run(Arc::clone(&shared), Arc::clone(&client)));
        Ok(Self { shared, client, task })
    }

    /// Stops, and says goodbye. Blocks for some seconds where the control plane does not answer; one
    /// that was away a moment ago is not asked.
    pub(crate) fn stop(self) {
        self.task.abort();
        if self.shared.status().away_since.is_some() {
            return;
        }
        // The last check-in may be on its way: after a goodbye it would come as somebody new.
        let begun = Instant::now();
        let mut client = loop {
            match self.client.try_lock() {
                Ok(client) => break client,
                Err(TryLockError::Poisoned(client)) => break client.into_inner(),
                Err(TryLockError::WouldBlock) if begun.elapsed() > PARTING => return,
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        if let Err(error) = client.goodbye(&self.shared.group, &self.shared.instance) {
            tracing::debug!(%error, "cannot say goodbye to the control plane");
        }
    }
}

async fn run(shared: Arc<Shared>, client: Arc<Mutex<Client>>) {
    let mut statuses = shared.subscribe();
    let mut failed = false;
    loop {
        let status = Arc::clone(&statuses.borrow_and_update());
        let asked = Arc::clone(&client);
        let said = spawn_blocking(move || {
            asked.lock().unwrap_or_else(PoisonError::into_inner).check_in(&status)
        });
        // A panic in there has been reported; the next one may do.
        let Ok(said) = said.await else { return };
        match &said {
            Ok(()) if failed => {
                tracing::info!(group = %shared.group, "checks in with the control plane again");
            }
            Err(error) if !failed => {
                tracing::warn!(group = %shared.group, %error, "cannot check in with the control plane");
            }
            _ => {}
        }
        failed = said.is_err();
        let pause = if failed { AGAIN } else { PERIOD };
        tokio::select! {
            changed = statuses.changed(), if !failed => {
                if changed.is_err() {
                    return;
                }
            }
            () = sleep(pause) => {}
        }
    }
}
