//! Whether a file is still the one that was read.

use std::os::unix::fs::MetadataExt as _;

/// What a file was like when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileState {
    path: String,
    /// Device, inode, size, and time of the last change in nanoseconds; nothing when it is not there.
    state: Option<(u64, u64, u64, i64, i64)>,
}

impl FileState {
    /// What it is like now. To be asked before reading: a change in between is found later.
    pub(crate) fn of(path: &str) -> Self {
        let found = std::fs::metadata(path).ok();
        let state = found.map(|it| (it.dev(), it.ino(), it.size(), it.mtime(), it.mtime_nsec()));
        Self { path: path.to_owned(), state }
    }

    pub(crate) fn is_current(&self) -> bool {
        Self::of(&self.path) == *self
    }
}
