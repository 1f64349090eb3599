//! A commit pushed to `refs/for/<group>`: which version of a service it means.

use crate::change::{self, Operation, Sync, SyncSource};
use crate::error::Error;
use crate::merge::{OnConflict, Settled};
use crate::name::{CommitId, ServiceName};
use crate::repository::Repository;
use crate::store::refs;

/// A service as it is at a commit, which shall come to another group.
#[derive(Debug, Clone)]
pub struct Promotion {
    /// The commit.
    pub commit: CommitId,
    /// The service.
    pub service: ServiceName,
    /// The number that its content has or shall get.
    pub version: Option<String>,
    /// Who wins where the target was edited too.
    pub on_conflict: OnConflict,
}

impl Promotion {
    /// The sync that does it.
    ///
    /// # Errors
    /// When the service is not at the commit, or its content there is neither what a group has now
    /// nor a version.
    pub fn operation(self, repository: &Repository) -> Result<Operation, Error> {
        let source = self.source(repository)?;
        Ok(Operation::Sync(Sync {
            services: vec![(self.service, source)],
            runtime: None,
            on_conflict: self.on_conflict,
            settled: Settled::new(),
        }))
    }

    fn source(&self, repository: &Repository) -> Result<SyncSource, Error> {
        let Self { commit, service, version, .. } = self;
        repository.read(|desk| {
            let content = change::content(desk, desk.tree_of(*commit)?, service)?.ok_or_else(|| {
                Error::NotFound { what: format!("service {service} in commit {commit}") }
            })?;
            for (group, head) in refs::groups(desk.git)? {
                let of_this_group = desk.index.commit(&group, *commit)?.is_some();
                if of_this_group
                    && change::content(desk, desk.tree_of(head)?, service)? == Some(content)
                {
                    return Ok(SyncSource::Group { group, version: version.clone() });
                }
            }
            let Some(row) = desk.index.version_of(service, content)? else {
                return Err(Error::Malformed {
                    reason: format!(
                        "{service} at commit {commit} is no version, and its group has gone on since: \
                         push the group's newest commit, or tag this one as <service>/<version> first"
                    ),
                });
            };
            match version.as_deref().map(str::parse).transpose().map_err(Error::BadVersion)? {
                Some(given) if given != row.version => Err(Error::VersionMismatch {
                    service: service.clone(),
                    version: row.version,
                    given,
                }),
                _ => Ok(SyncSource::Version(row.version.to_string())),
            }
        })
    }
}
