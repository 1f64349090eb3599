//! What is different: between two versions or groups of a service, and between two groups.

use git2::Oid;

use super::{Desk, content_of, of_group};
use crate::config::runtime_path;
use crate::diff;
use crate::error::Error;
use crate::name::{ContentId, GroupName, ServiceName};
use crate::repository::Repository;
use crate::view::{DiffView, Side};

impl Repository {
    /// What is different between two versions or groups of a service.
    ///
    /// The runtime is compared only between two groups: a version has none.
    ///
    /// # Errors
    /// When one of the sides does not exist, or the repository cannot be read.
    pub fn diff(&self, service: &ServiceName, from: &Side, to: &Side) -> Result<DiffView, Error> {
        self.shared.read(|desk| {
            let (before, after) = (find_side(desk, service, from)?, find_side(desk, service, to)?);
            let prefix = format!("services/{service}");
            let mut changes =
                diff::changes(&desk.objects, Some(before.0.0), Some(after.0.0), &prefix)?;
            if let (Some(before), Some(after)) = (before.1, after.1) {
                let path = runtime_path(service);
                changes.extend(diff::file_changes(&desk.objects, before, after, &path)?);
            }
            Ok(DiffView { from: from.to_string(), to: to.to_string(), changes })
        })
    }

    /// What would change in `from` if it became what `to` is: of everything that the two hold, or of
    /// the services' content alone, which is what promotion can bring.
    ///
    /// # Errors
    /// When there is no such group, or the repository cannot be read.
    pub fn diff_groups(
        &self,
        from: &GroupName,
        to: &GroupName,
        services_only: bool,
    ) -> Result<DiffView, Error> {
        self.shared.read(|desk| {
            let tree = |group| {
                of_group(group, || {
                    let root = desk.head(group)?.tree;
                    if !services_only {
                        return Ok(Some(root));
                    }
                    Ok(desk.objects.find(root, "services")?.map(|entry| entry.id))
                })
            };
            let prefix = if services_only { "services" } else { "" };
            let changes = diff::changes(&desk.objects, tree(from)?, tree(to)?, prefix)?;
            let side = |group: &GroupName| Side::Group(group.clone()).to_string();
            Ok(DiffView { from: side(from), to: side(to), changes })
        })
    }
}

/// The content of a side and, of a group, the runtime's file (if it has one).
fn find_side(
    desk: &Desk<'_>,
    service: &ServiceName,
    side: &Side,
) -> Result<(ContentId, Option<Option<Oid>>), Error> {
    match side {
        Side::Version(version) => {
            let row = desk.index.version(service, version)?;
            let row = row.ok_or_else(|| Error::no_version(service, version))?;
            Ok((row.content, None))
        }
        Side::Group(group) => of_group(group, || {
            let head = desk.head(group)?;
            let content = content_of(desk, group, head.tree, service)?;
            let runtime = desk.objects.find(head.tree, &runtime_path(service))?;
            Ok((content, Some(runtime.map(|entry| entry.id))))
        }),
    }
}
