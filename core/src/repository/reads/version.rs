//! Versions of services, and where each runs.

use super::{Desk, matrix, of_group, or_damage, versioned_documents};
use crate::change;
use crate::error::Error;
use crate::index::VersionRow;
use crate::name::{ContentId, GroupName, ServiceName};
use crate::repository::Repository;
use crate::store::refs;
use crate::version::Version;
use crate::view::{VersionDetail, VersionView};

impl Repository {
    /// The versions of a service, newest first.
    ///
    /// # Errors
    /// When nobody knows the service, or the repository cannot be read.
    pub fn versions(&self, service: &ServiceName) -> Result<Vec<VersionView>, Error> {
        self.shared.read(|desk| {
            matrix::row(desk, service)?;
            views(desk, service, desk.index.versions(service)?)
        })
    }

    /// The versions of a service that a group has run, newest first.
    ///
    /// # Errors
    /// When the group does not have the service, or the repository cannot be read.
    pub fn versions_in_group(
        &self,
        group: &GroupName,
        service: &ServiceName,
    ) -> Result<Vec<VersionView>, Error> {
        self.shared.read_group(group, |desk, _| {
            if desk.index.last_touch(group, service)?.is_none() {
                return Err(Error::no_service(group, service));
            }
            views(desk, service, desk.index.versions_run(group, service)?)
        })
    }

    /// A version of a service with its documents.
    ///
    /// # Errors
    /// When there is none, or the repository cannot be read.
    pub fn version(
        &self,
        service: &ServiceName,
        version: &Version,
    ) -> Result<VersionDetail, Error> {
        self.shared.read(|desk| {
            let row = desk
                .index
                .version(service, version)?
                .ok_or_else(|| Error::no_version(service, version))?;
            let content = row.content;
            let (document, routes) = versioned_documents(desk, content)?;
            let mut views = views(desk, service, vec![row])?;
            let version = views.pop().ok_or_else(|| Error::no_version(service, version))?;
            Ok(VersionDetail { version, document, routes })
        })
    }
}

/// Versions with the groups that run them. Of a group that is too damaged to tell, nothing is told
/// here; the matrix names it.
fn views(
    desk: &Desk<'_>,
    service: &ServiceName,
    rows: Vec<VersionRow>,
) -> Result<Vec<VersionView>, Error> {
    let mut runs: Vec<(GroupName, ContentId)> = Vec::new();
    for (group, _) in refs::groups(desk.git)? {
        let content = of_group(&group, || change::content(desk, desk.head(&group)?.tree, service));
        if let Ok(Some(content)) = or_damage(content)? {
            runs.push((group, content));
        }
    }
    Ok(rows
        .into_iter()
        .map(|row| VersionView {
            service: service.clone(),
            version: row.version,
            commit: row.commit,
            content: row.content,
            created_at: row.created_at,
            created_by: row.created_by,
            message: row.message,
            groups: runs
                .iter()
                .filter(|(_, content)| *content == row.content)
                .map(|(group, _)| group.clone())
                .collect(),
        })
        .collect())
}
