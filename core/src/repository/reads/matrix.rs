//! The matrix: which group runs which version of what.

use std::collections::{BTreeMap, BTreeSet};

use super::{Desk, live, of_group, or_damage, service_names, version_state};
use crate::change;
use crate::config::Live;
use crate::error::Error;
use crate::name::{GroupName, ServiceName};
use crate::repository::Repository;
use crate::store::refs;
use crate::view::{DamagedGroup, MatrixCell, MatrixPage, MatrixRow};

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

    /// The row of one service in the matrix.
    ///
    /// # Errors
    /// When no group has it and it has no version, or the repository cannot be read.
    pub fn matrix_row(&self, service: &ServiceName) -> Result<MatrixRow, Error> {
        self.shared.read(|desk| row(desk, service))
    }
}

/// Rows of the services that are wanted.
fn page(
    desk: &Desk<'_>,
    wanted: impl Fn(&ServiceName) -> bool,
    offset: usize,
    limit: usize,
) -> Result<MatrixPage, Error> {
    let mut names = BTreeSet::new();
    let mut damaged = BTreeMap::new();
    for (group, _) in refs::groups(desk.git)? {
        let read = of_group(&group, || service_names(desk, desk.head(&group)?.tree));
        match or_damage(read)? {
            Ok(all) => names.extend(all.into_iter().filter(&wanted)),
            Err(damage) => {
                damaged.insert(group, damage);
            }
        }
    }
    let total = names.len();
    let mut rows = Vec::new();
    for name in names.into_iter().skip(offset).take(limit) {
        let row = row(desk, &name)?;
        let of_row = row.damaged.iter().cloned();
        damaged.extend(of_row.map(|DamagedGroup { group, damage }| (group, damage)));
        rows.push(row);
    }
    let damaged = damaged.into_iter();
    let damaged = damaged.map(|(group, damage)| DamagedGroup { group, damage }).collect();
    Ok(MatrixPage { rows, total, damaged })
}

/// The row of one service.
pub(super) fn row(desk: &Desk<'_>, service: &ServiceName) -> Result<MatrixRow, Error> {
    let mut groups = BTreeMap::new();
    let damaged = each_group(desk, service, |group, cell| {
        groups.insert(group.clone(), cell);
    })?;
    let latest = desk.index.versions(service)?.into_iter().next().map(|row| row.version);
    if groups.is_empty() && latest.is_none() {
        // A group that cannot be read may have it.
        return Err(match damaged.into_iter().next() {
            Some(DamagedGroup { group, damage }) => Error::Damaged { group, damage },
            None => Error::NotFound { what: format!("service {service} in any group") },
        });
    }
    Ok(MatrixRow { service: service.clone(), groups, latest, damaged })
}

/// Takes the cell of every group that has a service; gives back the groups that are damaged, of which
/// as much is taken as can be read.
fn each_group(
    desk: &Desk<'_>,
    service: &ServiceName,
    mut take: impl FnMut(&GroupName, MatrixCell),
) -> Result<Vec<DamagedGroup>, Error> {
    let mut damaged = Vec::new();
    for (group, _) in refs::groups(desk.git)? {
        let read = of_group(&group, || {
            let head = desk.head(&group)?;
            if change::content(desk, head.tree, service)?.is_none() {
                return Ok(());
            }
            // Which version a service is can be told from the names of objects alone.
            let loaded = or_damage(of_group(&group, || Ok(desk.loaded(&group, head)?)))?;
            let state = version_state(desk, &group, head.tree, service)?;
            let live_reason = loaded.as_ref().map_or(Live::Damaged, |loaded| live(loaded, service));
            let live = live_reason == Live::Live;
            take(&group, MatrixCell { state, live, live_reason });
            match loaded {
                Ok(_) => Ok(()),
                Err(damage) => Err(Error::Damaged { group: group.clone(), damage }),
            }
        });
        if let Err(damage) = or_damage(read)? {
            damaged.push(DamagedGroup { group, damage });
        }
    }
    Ok(damaged)
}
