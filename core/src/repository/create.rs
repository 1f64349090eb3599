//! Making a configuration repository, and the access data that live in it.

use std::path::Path;

use git2::Oid;

use super::{Clock, Desk, Repository};
use crate::change::{Change, Operation, Precondition};
use crate::error::Error;
use crate::event::Actor;
use crate::name::GroupName;
use crate::store::objects::{Edits, EntryKind};
use crate::store::refs::{self, Moved};
use crate::store::{self, OpenError, StoreError, commit};
use crate::template;

impl Repository {
    /// Opens the repository at `path`; where nothing is, makes one with the groups of the template.
    ///
    /// A repository whose making was interrupted is completed.
    ///
    /// # Errors
    /// When something is there that is not ours, or the place cannot be used.
    pub fn open_or_create(path: &Path, clock: Clock) -> Result<Self, Error> {
        if !path.exists() {
            store::create_repository(path)?;
        }
        let repository = Self::open(path, clock)?;
        if repository.is_unfinished()? {
            for (group, document) in template::groups() {
                repository.seed(group, document)?;
            }
            repository.access_write(SEEDED, b"")?;
        }
        Ok(repository)
    }

    fn is_unfinished(&self) -> Result<bool, Error> {
        Ok(self.access_read(SEEDED)?.is_none())
    }

    fn seed(&self, group: GroupName, document: serde_json::Value) -> Result<(), Error> {
        let change = Change {
            group,
            operation: Operation::CreateGroup { document },
            actor: Actor::named("refgate"),
            request_id: "init".to_owned(),
            reason: None,
            precondition: Precondition::default(),
        };
        match self.apply(change) {
            Ok(_) | Err(Error::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A file of the access data, which no client sees.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub fn access_read(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        self.shared.with_handle(|handle| {
            let desk = Desk::new(&self.shared, handle)?;
            let Some(head) = refs::access_head(handle)? else { return Ok(None) };
            let tree = commit::find(handle, head)?.tree_id();
            Ok(desk.objects.file(tree, name)?)
        })
    }

    /// Writes a file of the access data.
    ///
    /// # Errors
    /// When the repository cannot be written, or others write it all the time.
    pub fn access_write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        self.shared.with_handle(|handle| {
            for _ in 0..ACCESS_TRIES {
                let desk = Desk::new(&self.shared, handle)?;
                let head = refs::access_head(handle)?;
                let old_tree = head
                    .map(|head| commit::find(handle, head).map(|commit| commit.tree_id()))
                    .transpose()?;
                let new = write_file(&desk, old_tree, head, name, bytes)?;
                if refs::move_access(handle, head, new)? == Moved::Yes {
                    return Ok(());
                }
            }
            Err(Error::ConcurrentUpdate {
                reason: "the access data change all the time".to_owned(),
            })
        })
    }
}

/// Says that the template's groups were made; a group that was deleted since stays deleted.
const SEEDED: &str = "seeded";

const ACCESS_TRIES: usize = 16;

fn write_file(
    desk: &Desk<'_>,
    tree: Option<Oid>,
    parent: Option<Oid>,
    name: &str,
    bytes: &[u8],
) -> Result<Oid, StoreError> {
    let blob = desk.objects.make_blob(bytes)?;
    let edits = Edits::from([(name.to_owned(), Some((EntryKind::File, blob)))]);
    let tree = desk.objects.edit(tree, &edits)?;
    let author = Actor::named("refgate");
    let message = format!("change {name}\n");
    let commit =
        commit::make_commit(&desk.objects, tree, parent, &author, desk.now, desk.now, &message)?;
    desk.objects.store()?;
    Ok(commit)
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}
