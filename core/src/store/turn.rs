//! Waiting for one's turn, where several processes would do the same work at once.
//!
//! The files stay, and are not named like locks of git: that one is there says nothing, that a process holds
//! it does. What keeps the repository whole is the comparison with which each ref moves. A turn is for what no
//! single ref can tell: that two refs do not say the same.

use std::fs::{File, OpenOptions};

use git2::Repository;

use super::StoreError;

/// Notes about pushes: each waits, so that nobody has to make an entry again and again.
pub(crate) const PUSHES: &str = "pushes.turn";

/// Numbers of versions: a content has one, and its tags are different refs.
pub(crate) const VERSIONS: &str = "versions.turn";

/// Waits for a turn at one kind of work; it lasts as long as the file that comes back, or the process.
pub(crate) fn wait(repository: &Repository, work: &str) -> Result<File, StoreError> {
    let folder = repository.path().join("refgate");
    std::fs::create_dir_all(&folder)?;
    let file = folder.join(work);
    let turn = OpenOptions::new().create(true).truncate(false).write(true).open(file)?;
    turn.lock()?;
    Ok(turn)
}
