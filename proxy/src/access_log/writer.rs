//! The thread that writes an access log.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};

use super::{LogTarget, Message};

/// How long lines are gathered after the first. A writer that waited for each line would have to be
/// woken by each request.
const GATHER: Duration = Duration::from_millis(10);

/// Written at once when there is so much.
const BATCH: usize = 64 << 10;

/// Buffers that grew beyond this are not kept.
const LARGEST_KEPT: usize = 4 << 10;

/// Writes lines to where they belong.
pub(super) struct Writer {
    out: Out,
    dropped: Arc<AtomicU64>,
    /// Whether the last write failed; said once.
    failed: bool,
}

enum Out {
    Stream(Box<dyn Write + Send>),
    File { path: PathBuf, file: File },
}

impl Writer {
    pub(super) fn open(target: LogTarget) -> io::Result<Self> {
        Ok(match target {
            LogTarget::Output => Self::to(Box::new(io::stdout())),
            LogTarget::File(path) => {
                let file = append_to(&path)?;
                Self::of(Out::File { path, file })
            }
        })
    }

    pub(super) fn to(stream: Box<dyn Write + Send>) -> Self {
        Self::of(Out::Stream(stream))
    }

    fn of(out: Out) -> Self {
        Self { out, dropped: Arc::default(), failed: false }
    }

    /// Counts lines that are lost.
    pub(super) fn dropped(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.dropped)
    }

    /// Writes until nobody can send any more, and gives the buffers back.
    pub(super) fn run(&mut self, messages: &Receiver<Message>, used: &Sender<Vec<u8>>) {
        let mut batch = Vec::with_capacity(BATCH);
        while let Ok(first) = messages.recv() {
            let mut lines = 0;
            let mut next = Some(first);
            let mut gathered = false;
            loop {
                match next.take() {
                    Some(Message::Line(mut line)) => {
                        batch.extend_from_slice(&line);
                        lines += 1;
                        line.clear();
                        if line.capacity() <= LARGEST_KEPT {
                            // Enough buffers wait already: this one is freed.
                            let _ = used.try_send(line);
                        }
                        if batch.len() >= BATCH {
                            self.write(&mut batch, &mut lines);
                        }
                    }
                    Some(Message::Flush(done)) => {
                        self.write(&mut batch, &mut lines);
                        // Whoever asked may have lost patience.
                        let _ = done.send(());
                    }
                    None if gathered => break,
                    None => {
                        gathered = true;
                        std::thread::sleep(GATHER);
                    }
                }
                next = messages.try_recv().ok();
            }
            self.write(&mut batch, &mut lines);
        }
    }

    fn write(&mut self, batch: &mut Vec<u8>, lines: &mut u64) {
        if batch.is_empty() {
            return;
        }
        match self.out.write(batch) {
            Ok(()) => self.failed = false,
            Err(error) => {
                self.dropped.fetch_add(*lines, Ordering::Relaxed);
                if !std::mem::replace(&mut self.failed, true) {
                    tracing::warn!(%error, "cannot write the access log");
                }
            }
        }
        batch.clear();
        *lines = 0;
    }
}

impl Out {
    fn write(&mut self, batch: &[u8]) -> io::Result<()> {
        match self {
            Self::Stream(stream) => {
                stream.write_all(batch)?;
                stream.flush()
            }
            Self::File { path, file } => {
                if !is_at(file, path) {
                    *file = append_to(path)?;
                }
                file.write_all(batch)
            }
        }
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Whether the path still leads to the file that is open.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(own), Ok(found)) => (own.dev(), own.ino()) == (found.dev(), found.ino()),
        _ => false,
    }
}
