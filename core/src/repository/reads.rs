//! What the control plane asks of a repository, a file for each noun.
//!
//! A question about one group fails when that group is damaged, and names it. A question about all
//! of them leaves a damaged one out as far as it cannot be read, and names it beside the answer.

mod diff;
mod group;
mod history;
mod matrix;
mod mirror;
mod object;
mod route;
mod service;
mod validate;
mod version;

use git2::Oid;
use serde_json::Value;

use super::{Desk, Head, Shared};
use crate::change;
use crate::config::{Live, Loaded};
use crate::content::document_at;
use crate::document::{Route, Service, Shape};
use crate::error::Error;
use crate::name::{ContentId, GroupName, ServiceName};
use crate::view::{LastChange, VersionState};

impl Shared {
    /// Reads one group at its head; what is damaged meanwhile is the group.
    fn read_group<R>(
        &self,
        group: &GroupName,
        read: impl FnOnce(&Desk<'_>, Head) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.read(|desk| of_group(group, || read(desk, desk.head(group)?)))
    }
}

/// Does what reads a group; an object that is damaged is then the group's.
pub(crate) fn of_group<R>(
    group: &GroupName,
    read: impl FnOnce() -> Result<R, Error>,
) -> Result<R, Error> {
    read().map_err(|error| error.of_group(group))
}

/// Either what was read of a group, or what is damaged about it.
fn or_damage<R>(read: Result<R, Error>) -> Result<Result<R, String>, Error> {
    match read {
        Ok(read) => Ok(Ok(read)),
        Err(Error::Damaged { damage, .. }) => Ok(Err(damage)),
        Err(other) => Err(other),
    }
}

fn service_names(desk: &Desk<'_>, tree: Oid) -> Result<Vec<ServiceName>, Error> {
    let Some(folder) = desk.objects.find(tree, "services")? else { return Ok(Vec::new()) };
    let entries = desk.objects.tree(folder.id)?;
    let mut names: Vec<ServiceName> =
        entries.iter().filter_map(|entry| entry.name.parse().ok()).collect();
    names.sort();
    Ok(names)
}

/// The content of a service in a group's tree; that there is none is an error.
fn content_of(
    desk: &Desk<'_>,
    group: &GroupName,
    tree: Oid,
    service: &ServiceName,
) -> Result<ContentId, Error> {
    change::content(desk, tree, service)?.ok_or_else(|| Error::no_service(group, service))
}

/// A service that is not sound serves nothing from this commit.
fn live(loaded: &Loaded, service: &ServiceName) -> Live {
    loaded.config.services.get(service).map_or(Live::Invalid, |service| service.live())
}

fn version_state(
    desk: &Desk<'_>,
    group: &GroupName,
    tree: Oid,
    service: &ServiceName,
) -> Result<VersionState, Error> {
    let content = content_of(desk, group, tree, service)?;
    if let Some(row) = desk.index.version_of(service, content)? {
        let version = Some(row.version);
        return Ok(VersionState { based_on: version.clone(), version, modified: false });
    }
    let based_on = desk.index.based_on(group, service)?.map(|row| row.version);
    Ok(VersionState { version: None, modified: based_on.is_some(), based_on })
}

/// `service.json` and the routes by name, with every default filled in.
fn versioned_documents(desk: &Desk<'_>, content: ContentId) -> Result<(Value, Value), Error> {
    let document = document_at(&desk.objects, content.0, "service.json")?;
    let json = document.map(|(_, json)| json).filter(Value::is_object).unwrap_or_else(empty_object);
    let routes = change::routes(desk, content)?;
    let routes = routes.into_iter().map(|(name, json)| (name, Route::expand(&json))).collect();
    Ok((Service::expand(&json), Value::Object(routes)))
}

/// Who changed a file of a group last, from the index: however long the history is.
fn last_change(desk: &Desk<'_>, group: &GroupName, path: &str) -> Result<LastChange, Error> {
    let row = desk.index.last_change(group, path)?;
    Ok(row.map_or_else(LastChange::default, |row| LastChange {
        commit: Some(row.commit),
        updated_at: Some(row.at),
        updated_by: Some(row.actor),
    }))
}

fn empty_object() -> Value {
    Value::Object(serde_json::Map::new())
}
