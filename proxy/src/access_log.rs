//! The access log: a line of JSON for each request, written off the path of requests.
//!
//! A request makes its line in a buffer that was used before and puts it into a bounded queue; one
//! thread writes what is in the queue, many lines at a time. When the queue is full the line is
//! dropped and counted: a slow disk costs lines, never requests. A file that was moved away or
//! deleted is opened anew at the next write, so that it can be rotated without a signal.
//!
//! Next: [`mod@line`] for what a line says, [`writer`] for the thread.

pub(crate) mod line;
mod writer;

use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use self::line::Entry;
use self::writer::Writer;

/// Lines that wait for the writer; some milliseconds of the fastest traffic there is.
const QUEUE: usize = 8192;

/// How much longer a gateway lives to write what is in the queue.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// Where an access log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard output.
    Output,
    /// A file, which lines are added to.
    File(PathBuf),
}

/// `-` is standard output, anything else a path.
impl FromStr for LogTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("a path is needed, or - for standard output".to_owned()),
            "-" => Ok(Self::Output),
            path => Ok(Self::File(path.into())),
        }
    }
}

/// What the writer is sent.
enum Message {
    Line(Vec<u8>),
    /// Wants to hear when everything before it is written.
    Flush(Sender<()>),
}

/// An access log that is open. Gateways of one process may share it.
#[derive(Debug)]
pub struct AccessLog {
    /// Taken when it is closed.
    lines: Option<Sender<Message>>,
    /// Buffers to be used again.
    spare: Receiver<Vec<u8>>,
    dropped: Arc<AtomicU64>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl AccessLog {
    /// Opens a log and starts the thread that writes it.
    ///
    /// # Errors
    /// When the file cannot be opened, or there are no threads to be had.
    pub fn open(target: LogTarget) -> io::Result<Self> {
        let writer = Writer::open(target)?;
        Self::with(writer, QUEUE)
    }

    fn with(mut writer: Writer, queue: usize) -> io::Result<Self> {
        let (lines, to_write) = bounded(queue);
        let (used, spare) = bounded(queue);
        let dropped = writer.dropped();
        let thread = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || writer.run(&to_write, &used))?;
        Ok(Self { lines: Some(lines), spare, dropped, thread: Mutex::new(Some(thread)) })
    }

    /// Takes a line for a request.
    pub(crate) fn record(&self, entry: &Entry<'_>) {
        let Some(lines) = &self.lines else { return };
        let mut line = self.spare.try_recv().unwrap_or_else(|_| Vec::with_capacity(512));
        entry.write(&mut line);
        if lines.try_send(Message::Line(line)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines that were dropped, because the queue was full or they could not be written.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until everything that was recorded is written, with patience.
    pub(crate) fn flush(&self) {
        let (done, is_done) = bounded(1);
        let flush = Message::Flush(done);
        let sent =
            self.lines.as_ref().is_some_and(|it| it.send_timeout(flush, FLUSH_TIMEOUT).is_ok());
        if sent {
            // A writer that hangs is not worth more of a wait.
            let _ = is_done.recv_timeout(FLUSH_TIMEOUT);
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        // The writer ends when the queue is empty and nobody can add to it.
        self.lines = None;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::line::tests::entry;
    use super::*;

    #[test]
    fn lines_are_written_in_order_and_rotated_files_are_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let log = AccessLog::open(LogTarget::File(path.clone())).unwrap();
        let paths = |path: &std::path::Path| -> Vec<String> {
            let text = std::fs::read_to_string(path).unwrap();
            let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
            lines.map(|json: serde_json::Value| json["path"].as_str().unwrap().to_owned()).collect()
        };
        for path in [b"/1", b"/2"] {
            log.record(&Entry { path, ..entry() });
        }
        log.flush();
        assert_eq!(paths(&path), ["/1", "/2"]);
        let moved = folder.path().join("access.log.1");
        std::fs::rename(&path, &moved).unwrap();
        log.record(&Entry { path: b"/3", ..entry() });
        log.flush();
        assert_eq!(
            (paths(&moved), paths(&path)),
            (vec!["/1".into(), "/2".into()], vec!["/3".into()])
        );
        std::fs::remove_file(&path).unwrap();
        log.record(&Entry { path: b"/4", ..entry() });
        drop(log);
        assert_eq!(paths(&path), ["/4"]);
    }

    #[test]
    fn a_full_queue_costs_lines_and_no_time() {
        let (unblock, blocked) = bounded::<()>(0);
        let writer = Writer::to(Box::new(Blocked(blocked)));
        let log = AccessLog::with(writer, 2).unwrap();
        // The writer takes one and hangs; two wait; the rest has no place.
        for _ in 0..100 {
            log.record(&entry());
        }
        assert!(log.dropped() >= 90, "{}", log.dropped());
        drop(unblock);
        drop(log);
    }

    struct Blocked(Receiver<()>);

    impl io::Write for Blocked {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn targets() {
        assert_eq!("-".parse(), Ok(LogTarget::Output));
        assert_eq!("a.log".parse(), Ok(LogTarget::File("a.log".into())));
        assert!("".parse::<LogTarget>().is_err());
        assert!(AccessLog::open(LogTarget::File("/nowhere/at/all".into())).is_err());
    }
}
