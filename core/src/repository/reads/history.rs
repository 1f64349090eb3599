//! Events of a group, and what each changed.

use crate::diff;
use crate::error::Error;
use crate::index::{CommitRow, HistoryQuery};
use crate::name::{CommitId, GroupName, Revision};
use crate::repository::Repository;
use crate::view::{CommitView, EventView, HistoryFilter};

impl Repository {
    /// Events of a group, newest first.
    ///
    /// # Errors
    /// When there is no such group, or the repository cannot be read.
    pub fn history(
        &self,
        group: &GroupName,
        filter: &HistoryFilter,
    ) -> Result<Vec<EventView>, Error> {
        self.shared.read_group(group, |desk, _| {
            let query = HistoryQuery {
                service: filter.service.clone(),
                path: filter.path.clone(),
                actor: filter.actor.clone(),
                event: filter.event.clone(),
                since: filter.since,
                until: filter.until,
                before: filter.after,
                limit: filter.limit,
                ..HistoryQuery::default()
            };
            let rows = desk.index.history(group, &query)?;
            Ok(rows.into_iter().map(|row| EventView::of(group, row)).collect())
        })
    }

    /// Events of a group that come after a revision, oldest first, at most `limit`.
    ///
    /// # Errors
    /// When there is no such group, or the repository cannot be read.
    pub fn events_after(
        &self,
        group: &GroupName,
        after: Revision,
        limit: usize,
    ) -> Result<Vec<EventView>, Error> {
        self.shared.read_group(group, |desk, _| {
            let mut events = Vec::new();
            let mut revision = after;
            while events.len() < limit {
                revision = Revision(revision.0.saturating_add(1));
                let Some(row) = desk.index.commit_at(group, revision)? else { break };
                events.push(EventView::of(group, row));
            }
            Ok(events)
        })
    }

    /// The last commit that wrote a file of a group or took it away: who changed this, and when.
    ///
    /// # Errors
    /// When there is no such group, or the repository cannot be read.
    pub fn last_change(&self, group: &GroupName, path: &str) -> Result<Option<EventView>, Error> {
        self.shared.read_group(group, |desk, _| {
            let row = desk.index.last_change(group, path)?;
            Ok(row.map(|row| EventView::of(group, row)))
        })
    }

    /// A commit of a group with what it changed.
    ///
    /// # Errors
    /// When it is none of the group's, or the repository cannot be read.
    pub fn commit(&self, group: &GroupName, commit: CommitId) -> Result<CommitView, Error> {
        self.shared.read_group(group, |desk, _| {
            let row =
                desk.index.commit(group, commit)?.ok_or_else(|| Error::no_commit(group, commit))?;
            let before = match row.revision {
                Revision(1) => None,
                Revision(revision) => desk
                    .index
                    .commit_at(group, Revision(revision - 1))?
                    .map(|parent| desk.tree_of(parent.commit))
                    .transpose()?,
            };
            let after = desk.tree_of(commit)?;
            let changes = diff::changes(&desk.objects, before, Some(after), "")?;
            Ok(CommitView { event: EventView::of(group, row), changes })
        })
    }

    /// The revision of a commit in a group, if it is one of the group's.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub fn revision(&self, group: &GroupName, commit: CommitId) -> Result<Option<Revision>, Error> {
        self.shared.read(|desk| Ok(desk.index.revision(group, commit)?))
    }
}

impl EventView {
    /// A commit as it is told.
    pub(crate) fn of(group: &GroupName, row: CommitRow) -> Self {
        Self {
            commit: row.commit,
            revision: row.revision,
            group: group.clone(),
            event: row.event,
            actor: row.actor,
            author: row.author,
            at: row.at,
            subject: row.subject,
            service: row.service,
            version: row.version,
            from_group: row.from_group,
            reason: row.reason,
            request_id: row.request_id,
        }
    }
}
