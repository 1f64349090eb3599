//! What an operation wants: an edit of the tree, and what to say about it.

use git2::Oid;
use serde_json::Value;

use super::plan::Gate;
use super::{OutcomeKind, ServiceOutcome, Written};
use crate::content::Place;
use crate::diagnostic::Diagnostic;
use crate::error::Error;
use crate::event::Event;
use crate::name::{CommitId, Revision, ServiceName};
use crate::repository::Desk;
use crate::store::objects::{Edits, EntryKind};
use crate::version::Version;

/// The keys of [`crate::view::LastChange`].
pub(crate) const LAST_CHANGE: [&str; 3] = ["commit", "updated_at", "updated_by"];

/// How a change reaches the versioned part of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// By hand.
    Edit,
    /// As a version: by sync or rollback.
    Version,
}

/// An edit of a group's tree that an operation wants.
pub(crate) struct Draft {
    pub(crate) change: TreeChange,
    pub(crate) way: Way,
    pub(crate) event: Event,
    /// Tags to make before the commit.
    pub(crate) tags: Vec<NewTag>,
    pub(crate) gates: Vec<Gate>,
    /// Findings of the operation itself; an error refuses it.
    pub(crate) findings: Vec<Diagnostic>,
    pub(crate) services: Vec<ServiceOutcome>,
    /// What came of the group as a whole, where it is put back.
    pub(crate) whole: Option<OutcomeKind>,
    /// Of a rollback: what it leaves behind.
    pub(crate) later: Option<Later>,
    /// Whether the object is made by this.
    pub(crate) created: bool,
}

/// What came after the state that is put back, and leaves the head with the rollback.
#[derive(Debug, Clone)]
pub(crate) struct Later {
    /// Of this service only its content, which alone is put back; nothing for the whole group.
    pub(crate) service: Option<ServiceName>,
    /// The last revision that had the state.
    pub(crate) than: Revision,
}

/// What happens to the tree.
pub(crate) enum TreeChange {
    /// These paths change.
    Edits(Edits),
    /// This tree takes its place.
    Whole(Oid),
    /// The group goes.
    Archive,
}

/// A version tag to be made.
#[derive(Debug, Clone)]
pub(crate) struct NewTag {
    pub(crate) service: ServiceName,
    pub(crate) version: Version,
    pub(crate) commit: CommitId,
    pub(crate) message: Option<String>,
}

impl Draft {
    pub(crate) fn new(event: Event) -> Self {
        Self {
            change: TreeChange::Edits(Edits::new()),
            way: Way::Edit,
            event,
            tags: Vec::new(),
            gates: Vec::new(),
            findings: Vec::new(),
            services: Vec::new(),
            whole: None,
            later: None,
            created: false,
        }
    }

    /// The edits, of a draft that changes paths.
    pub(crate) fn edits(&mut self) -> &mut Edits {
        if !matches!(self.change, TreeChange::Edits(_)) {
            self.change = TreeChange::Edits(Edits::new());
        }
        match &mut self.change {
            TreeChange::Edits(edits) => edits,
            TreeChange::Whole(_) | TreeChange::Archive => unreachable!("made to be edits above"),
        }
    }

    /// Puts a document at a path, in canonical form.
    pub(crate) fn put(&mut self, desk: &Desk<'_>, path: &str, json: &Value) -> Result<(), Error> {
        let Some(place) = Place::of(path) else {
            self.findings.push(crate::content::misplaced(path));
            return Ok(());
        };
        let blob = desk.objects.make_blob(&place.bytes(json))?;
        self.edits().insert(path.to_owned(), Some((EntryKind::File, blob)));
        Ok(())
    }

    /// The same for a document that was asked for as an object of the API: who changed it last is
    /// shown with it and not written, so that what was read can be written back.
    pub(crate) fn put_object(
        &mut self,
        desk: &Desk<'_>,
        path: &str,
        json: &Value,
    ) -> Result<(), Error> {
        let Value::Object(object) = json else { return self.put(desk, path, json) };
        let mut object = object.clone();
        object.retain(|key, _| !LAST_CHANGE.contains(&key.as_str()));
        self.put(desk, path, &Value::Object(object))
    }

    /// Takes the file or folder at a path away.
    pub(crate) fn remove(&mut self, path: impl Into<String>) {
        self.edits().insert(path.into(), None);
    }
}

impl Written {
    /// The one service that the change was about, for answers that speak of one.
    #[must_use]
    pub fn service(&self) -> Option<&ServiceOutcome> {
        self.services.first()
    }
}
