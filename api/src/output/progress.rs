//! What a request that takes long is doing: a line on standard error that goes away by itself.

use std::io::{self, IsTerminal};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// What takes less than this is over before anybody wonders.
const PATIENCE: Duration = Duration::from_secs(1);

/// A request that runs; the line is gone when it is dropped.
#[derive(Debug)]
pub struct Progress {
    ended: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Begins to watch, where standard error is a terminal.
    #[must_use]
    pub fn begin() -> Option<Self> {
        if !io::stderr().is_terminal() {
            return None;
        }
        let (ended, ending) = mpsc::channel();
        let watch = move || {
            if ending.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            // A template that cannot be read is a plain spinner.
            let style =
                ProgressStyle::with_template("{spinner} waiting for the control plane, {elapsed}");
            let spinner = ProgressBar::new_spinner().with_elapsed(PATIENCE);
            if let Ok(style) = style {
                spinner.set_style(style);
            }
            spinner.enable_steady_tick(Duration::from_millis(120));
            // Only the end of the request is ever told.
            let _ = ending.recv();
            spinner.finish_and_clear();
        };
        let thread = std::thread::Builder::new().name("progress".to_owned()).spawn(watch).ok()?;
        Some(Self { ended: Some(ended), thread: Some(thread) })
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.ended.take());
        if let Some(thread) = self.thread.take() {
            // It wrote a line at most: how it ended changes nothing.
            let _ = thread.join();
        }
    }
}
