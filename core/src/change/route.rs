//! Making, changing and removing single routes.

use serde_json::Value;

use super::Precondition;
use super::draft::Draft;
use crate::config::route_path;
use crate::content::document_at;
use crate::error::Error;
use crate::event::Event;
use crate::json;
use crate::name::{GroupName, RouteName, ServiceName};
use crate::repository::{Desk, Head};

pub(super) fn put(
    desk: &Desk<'_>,
    group: &GroupName,
    head: Head,
    service: &ServiceName,
    route: &RouteName,
    document: &Value,
    condition: &Precondition,
) -> Result<Draft, Error> {
    let exists = find(desk, group, head, service, route, condition)?.is_some();
    let (kind, subject) = if exists {
        ("route.updated", format!("change route {route} of {service} in {group}"))
    } else {
        ("route.created", format!("add route {route} to {service} in {group}"))
    };
    let mut draft = Draft::new(Event::new(kind, subject).about(service));
    draft.created = !exists;
    draft.put_object(desk, &route_path(service, route), document)?;
    Ok(draft)
}

pub(super) fn patch(
    desk: &Desk<'_>,
    group: &GroupName,
    head: Head,
    service: &ServiceName,
    route: &RouteName,
    patch: &Value,
    condition: &Precondition,
) -> Result<Draft, Error> {
    let Some(mut document) = find(desk, group, head, service, route, condition)? else {
        return Err(no_route(group, service, route));
    };
    json::merge_patch(&mut document, patch);
    let subject = format!("change route {route} of {service} in {group}");
    let mut draft = Draft::new(Event::new("route.updated", subject).about(service));
    draft.put_object(desk, &route_path(service, route), &document)?;
    Ok(draft)
}

pub(super) fn delete(
    desk: &Desk<'_>,
    group: &GroupName,
    head: Head,
    service: &ServiceName,
    route: &RouteName,
    condition: &Precondition,
) -> Result<Draft, Error> {
    if find(desk, group, head, service, route, condition)?.is_none() {
        return Err(no_route(group, service, route));
    }
    let subject = format!("remove route {route} from {service} in {group}");
    let mut draft = Draft::new(Event::new("route.deleted", subject).about(service));
    draft.remove(route_path(service, route));
    Ok(draft)
}

/// The route's document as its file has it; the service must be there.
fn find(
    desk: &Desk<'_>,
    group: &GroupName,
    head: Head,
    service: &ServiceName,
    route: &RouteName,
    condition: &Precondition,
) -> Result<Option<Value>, Error> {
    if super::service::content(desk, head.tree, service)?.is_none() {
        return Err(Error::no_service(group, service));
    }
    let found = document_at(&desk.objects, head.tree, &route_path(service, route))?;
    let etag = found.as_ref().map(|(id, _)| id.to_string());
    condition
        .check(&format!("route {route} of service {service} in group {group}"), etag.as_deref())?;
    Ok(found.map(|(_, json)| json))
}

pub(crate) fn no_route(group: &GroupName, service: &ServiceName, route: &RouteName) -> Error {
    Error::NotFound { what: format!("route {route} of service {service} in group {group}") }
}
