//! What a request that takes long is doing: a line on standard error that goes away by itself.

use std::io::{self, IsTerminal};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use refgate_core::name::GroupName;

/// What takes less than this is over before anybody wonders.
const PATIENCE: Duration = Duration::from_secs(1);

/// A request that runs; the line is gone when it is dropped.
#[derive(Debug)]
pub struct Progress {
    ended: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Begins to watch, where standard error is a terminal. `groups` are those whose gateways the
    /// request waits for.
    #[must_use]
    pub fn begin(groups: &[GroupName]) -> Option<Self> {
        if !io::stderr().is_terminal() {
            return None;
        }
        let (ended, ending) = mpsc::channel();
        let message = waiting_for(groups);
        let watch = move || {
            if ending.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            // A template that cannot be read is a plain spinner.
            let style = ProgressStyle::with_template("{spinner} {msg}, {elapsed}");
            let spinner = ProgressBar::new_spinner().with_elapsed(PATIENCE).with_message(message);
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

/// What somebody waits for, in words.
fn waiting_for(groups: &[GroupName]) -> String {
    match groups {
        [] => "waiting for the control plane".to_owned(),
        groups => {
            let groups: Vec<&str> = groups.iter().map(GroupName::as_str).collect();
            format!("waiting for the gateways of {} to serve it", groups.join(" and "))
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_who_waits_is_told_for_what() {
        let groups = ["uat", "production"].map(|name| name.parse().expect("a name"));
        assert_eq!(waiting_for(&[]), "waiting for the control plane");
        assert_eq!(waiting_for(&groups[..1]), "waiting for the gateways of uat to serve it");
        assert_eq!(
            waiting_for(&groups),
            "waiting for the gateways of uat and production to serve it"
        );
    }
}
