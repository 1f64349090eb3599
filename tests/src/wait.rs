//! The one place that polls.
//!
//! A test never sleeps for "long enough": it waits until a value is as it should
//! be, and only a broken program makes it wait for the whole deadline.

use std::time::{Duration, Instant};

/// Far beyond what anything takes on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Polls `probe` until it answers `Ok`, at most [`DEADLINE`] long; the error of the
/// last try is the reason given.
pub fn wait_for<T>(what: &str, mut probe: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let started = Instant::now();
    loop {
        match probe() {
            Ok(value) => return Ok(value),
            Err(reason) if started.elapsed() > DEADLINE => {
                return Err(reason.context(format!("waited {DEADLINE:?} for {what}")));
            }
            Err(_) => std::thread::sleep(POLL_INTERVAL),
        }
    }
}
