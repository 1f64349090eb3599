//! The matrix: which group runs which version of what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Desk, live, of_group, or_damage, service_names};
use crate::change;
use crate::config::{Live, Loaded};
use crate::error::Error;
use crate::name::{GroupName, ServiceName};
use crate::repository::{Head, Repository};
use crate::store::refs;
use crate::view::{DamagedGroup, MatrixCell, MatrixPage, MatrixRow, VersionState};

impl Repository {
    /// A part of the matrix, which group runs which version of what: by name, `limit` services after
    /// the one called `after`. Costs the names of all services and the cells of those that it has.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub fn matrix(&self, after: Option<&str>, limit: usize) -> Result<MatrixPage, Error> {
        let wanted = |name: &ServiceName| after.is_none_or(|after| name.as_str() > after);
        self.shared.read(|desk| page(desk, wanted, 0, limit))
    }

    /// The same of the services whose name holds `text`: `limit` from the one at `offset` on.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub fn matrix_page(
        &self,
        text: &str,
        offset: usize,
        limit: usize,
    ) -> Result<MatrixPage, Error> {
        let wanted = |name: &ServiceName| name.as_str().contains(text);
        self.shared.read(|desk| page(desk, wanted, offset, limit))
    }

    /// The rows of these services in the matrix; of those that no group has, empty ones.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub fn matrix_rows(&self, services: &[ServiceName]) -> Result<Vec<MatrixRow>, Error> {
        self.shared.read(|desk| {
            let (columns, _) = columns(desk)?;
            services.iter().map(|service| row_of(desk, &columns, service)).collect()
        })
    }

    /// The row of one service in the matrix.
    ///
    /// # Errors
    /// When no group has it and it has no version, or the repository cannot be read.
    pub fn matrix_row(&self, service: &ServiceName) -> Result<MatrixRow, Error> {
        self.shared.read(|desk| row(desk, service))
    }
}

/// A group as all rows find it.
struct Column {
    group: GroupName,
    head: Head,
    /// Its configuration, or what of it cannot be read.
    loaded: Result<Arc<Loaded>, String>,
}

/// The groups, and those of which not even the head can be read.
fn columns(desk: &Desk<'_>) -> Result<(Vec<Column>, BTreeMap<GroupName, String>), Error> {
    let (mut columns, mut damaged) = (Vec::new(), BTreeMap::new());
    for (group, _) in refs::groups(desk.git)? {
        let head = match or_damage(of_group(&group, || desk.head(&group)))? {
            Ok(head) => head,
            Err(damage) => {
                damaged.insert(group, damage);
                continue;
            }
        };
        let loaded = or_damage(of_group(&group, || Ok(desk.loaded(&group, head)?)))?;
        columns.push(Column { group, head, loaded });
    }
    Ok((columns, damaged))
}

/// Rows of the services that are wanted.
fn page(
    desk: &Desk<'_>,
    wanted: impl Fn(&ServiceName) -> bool,
    offset: usize,
    limit: usize,
) -> Result<MatrixPage, Error> {
    let (columns, mut damaged) = columns(desk)?;
    let mut names = BTreeSet::new();
    for Column { group, head, .. } in &columns {
        match or_damage(of_group(group, || service_names(desk, head.tree)))? {
            Ok(all) => names.extend(all.into_iter().filter(&wanted)),
            Err(damage) => {
                damaged.insert(group.clone(), damage);
            }
        }
    }
    let total = names.len();
    let mut rows = Vec::new();
    for name in names.into_iter().skip(offset).take(limit) {
        let row = row_of(desk, &columns, &name)?;
        let of_row = row.damaged.iter().cloned();
        damaged.extend(of_row.map(|DamagedGroup { group, damage }| (group, damage)));
        rows.push(row);
    }
    Ok(MatrixPage { rows, total, damaged: told(damaged) })
}

fn told(damaged: BTreeMap<GroupName, String>) -> Vec<DamagedGroup> {
    damaged.into_iter().map(|(group, damage)| DamagedGroup { group, damage }).collect()
}

/// The row of one service.
pub(super) fn row(desk: &Desk<'_>, service: &ServiceName) -> Result<MatrixRow, Error> {
    let (columns, damaged) = columns(desk)?;
    let mut row = row_of(desk, &columns, service)?;
    row.damaged.extend(told(damaged));
    if row.groups.is_empty() && row.latest.is_none() {
        // A group that cannot be read may have it.
        return Err(match row.damaged.into_iter().next() {
            Some(DamagedGroup { group, damage }) => Error::Damaged { group, damage },
            None => Error::NotFound { what: format!("service {service} in any group") },
        });
    }
    Ok(row)
}

/// The cells of a service. Groups that are damaged are told, and of them as much is taken as can be
/// read: which version a service is can be told from the names of objects alone.
fn row_of(desk: &Desk<'_>, columns: &[Column], service: &ServiceName) -> Result<MatrixRow, Error> {
    let versions = desk.index.versions(service)?;
    let (mut groups, mut damaged) = (BTreeMap::new(), Vec::new());
    for Column { group, head, loaded } in columns {
        let read = of_group(group, || {
            let Some(content) = change::content(desk, head.tree, service)? else { return Ok(()) };
            let state = match versions.iter().find(|row| row.content == content) {
                Some(row) => VersionState {
                    version: Some(row.version.clone()),
                    based_on: Some(row.version.clone()),
                    modified: false,
                },
                None => {
                    let based_on = desk.index.based_on(group, service)?.map(|row| row.version);
                    VersionState { version: None, modified: based_on.is_some(), based_on }
                }
            };
            let live_reason = loaded.as_ref().map_or(Live::Damaged, |loaded| live(loaded, service));
            let live = live_reason == Live::Live;
            groups.insert(group.clone(), MatrixCell { state, live, live_reason });
            match loaded {
                Ok(_) => Ok(()),
                Err(damage) => Err(Error::Damaged { group: group.clone(), damage: damage.clone() }),
            }
        });
        if let Err(damage) = or_damage(read)? {
            damaged.push(DamagedGroup { group: group.clone(), damage });
        }
    }
    let latest = versions.into_iter().next().map(|row| row.version);
    Ok(MatrixRow { service: service.clone(), groups, latest, damaged })
}
