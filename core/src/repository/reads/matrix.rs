//! The matrix: which group runs which version of what.

use std::collections::{BTreeMap, BTreeSet};

use super::{Desk, live, of_group, or_damage, service_names, version_state};
use crate::change;
use crate::config::Live;
use crate::error::Error;
use crate::name::{GroupName, ServiceName};
use crate::repository::Repository;
use crate::store::refs;
use crate::version::Version;
use crate::view::{DamagedGroup, Matrix, MatrixCell, MatrixPage, MatrixRow};

impl Repository {
    /// The matrix: which group runs which version of what.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub fn matrix(&self) -> Result<Matrix, Error> {
        self.shared.read(|desk| {
            let versions = desk.index.all_versions()?;
            let mut rows: BTreeMap<ServiceName, BTreeMap<GroupName, MatrixCell>> = BTreeMap::new();
            let damaged = each_group(desk, None, |group, service, cell| {
                rows.entry(service).or_default().insert(group.clone(), cell);
            })?;
            let newest = |service: &ServiceName| -> Option<Version> {
                let known = versions.get(service.as_str())?;
                known.iter().map(|(version, _)| version).max().cloned()
            };
            let rows = rows.into_iter().map(|(service, groups)| {
                let latest = newest(&service);
                MatrixRow { service, groups, latest, damaged: Vec::new() }
            });
            Ok(Matrix { rows: rows.collect(), damaged })
        })
    }

    /// A part of the matrix: of the services whose name holds `text`, by name, `limit` from the one
    /// at `offset` on. Costs the names of all services and the cells of those that are shown.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub fn matrix_page(
        &self,
        text: &str,
        offset: usize,
        limit: usize,
    ) -> Result<MatrixPage, Error> {
        self.shared.read(|desk| {
            let mut names = BTreeSet::new();
            let mut damaged = BTreeMap::new();
            for (group, _) in refs::groups(desk.git)? {
                let read = of_group(&group, || service_names(desk, desk.head(&group)?.tree));
                match or_damage(read)? {
                    Ok(all) => {
                        names.extend(all.into_iter().filter(|name| name.as_str().contains(text)));
                    }
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

/// The row of one service.
pub(super) fn row(desk: &Desk<'_>, service: &ServiceName) -> Result<MatrixRow, Error> {
    let mut groups = BTreeMap::new();
    let damaged = each_group(desk, Some(service), |group, _, cell| {
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

/// Takes the cells of every group, of one service or of all; gives back the groups that are damaged,
/// of which there are as many cells as can be read.
fn each_group(
    desk: &Desk<'_>,
    only: Option<&ServiceName>,
    mut take: impl FnMut(&GroupName, ServiceName, MatrixCell),
) -> Result<Vec<DamagedGroup>, Error> {
    let mut damaged = Vec::new();
    for (group, _) in refs::groups(desk.git)? {
        let read = of_group(&group, || {
            let head = desk.head(&group)?;
            let services = match only {
                Some(only) if change::content(desk, head.tree, only)?.is_none() => return Ok(()),
                Some(only) => vec![only.clone()],
                None => service_names(desk, head.tree)?,
            };
            // Which version a service is can be told from the names of objects alone.
            let loaded = or_damage(of_group(&group, || Ok(desk.loaded(&group, head)?)))?;
            for service in services {
                let state = version_state(desk, &group, head.tree, &service)?;
                let live_reason =
                    loaded.as_ref().map_or(Live::Damaged, |loaded| live(loaded, &service));
                let live = live_reason == Live::Live;
                take(&group, service, MatrixCell { state, live, live_reason });
            }
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
