//! File events of a repository: a wake-up when refs may have moved. Control planes listen to them too.
//!
//! A branch moves by a rename in `refs/heads`; packing refs changes `packed-refs` in the repository's
//! folder. Group names have no slash, so no deeper folder matters.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

/// A watch on a repository; ends when it is dropped.
pub struct Watch {
    _watcher: RecommendedWatcher,
    folders: Vec<(PathBuf, Identity)>,
}

/// Which folder a path meant when the watch began.
type Identity = (u64, u64);

impl Watch {
    /// Calls `wake` whenever a ref of the repository may have moved; it must not block.
    ///
    /// # Errors
    /// When the system does not watch its folders.
    pub fn new(repository: &Path, wake: impl Fn() + Send + 'static) -> Result<Self, notify::Error> {
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                // Reading refs makes events as well; following those would never end.
                let is_read =
                    matches!(&event, Ok(event) if matches!(event.kind, EventKind::Access(_)));
                if !is_read {
                    wake();
                }
            })?;
        let mut folders = Vec::new();
        for folder in [repository.join("refs/heads"), repository.to_owned()] {
            watcher.watch(&folder, RecursiveMode::NonRecursive)?;
            let identity = identity(&folder)?;
            folders.push((folder, identity));
        }
        Ok(Self { _watcher: watcher, folders })
    }

    /// Whether the watched folders are still the ones that their paths mean.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.folders.iter().all(|(path, known)| identity(path).is_ok_and(|now| now == *known))
    }
}

fn identity(folder: &Path) -> std::io::Result<Identity> {
    std::fs::metadata(folder).map(|found| (found.dev(), found.ino()))
}
