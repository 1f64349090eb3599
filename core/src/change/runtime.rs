//! Changing what a group owns about a service.

use serde_json::{Map, Value};

use super::Precondition;
use super::draft::Draft;
use crate::config::runtime_path;
use crate::content::document_at;
use crate::error::Error;
use crate::event::Event;
use crate::json;
use crate::name::{GroupName, ServiceName};
use crate::repository::{Desk, Head};

pub(super) fn put(
    desk: &Desk<'_>,
    group: &GroupName,
    head: Head,
    service: &ServiceName,
    document: &Value,
    condition: &Precondition,
) -> Result<Draft, Error> {
    let existing = find(desk, group, head, service, condition)?;
    let mut draft = draft(group, service);
    draft.created = existing.is_none();
    draft.put_object(desk, &runtime_path(service), document)?;
    Ok(draft)
}

pub(super) fn patch(
    desk: &Desk<'_>,
    group: &GroupName,
    head: Head,
    service: &ServiceName,
    patch: &Value,
    condition: &Precondition,
) -> Result<Draft, Error> {
    let existing = find(desk, group, head, service, condition)?;
    let mut document = existing.unwrap_or_else(|| Value::Object(Map::new()));
    json::merge_patch(&mut document, patch);
    let mut draft = draft(group, service);
    draft.put_object(desk, &runtime_path(service), &document)?;
    Ok(draft)
}

fn draft(group: &GroupName, service: &ServiceName) -> Draft {
    let subject = format!("change runtime of {service} in {group}");
    Draft::new(Event::new("runtime.updated", subject).about(service))
}

/// The runtime's document as its file has it; the service must be there.
fn find(
    desk: &Desk<'_>,
    group: &GroupName,
    head: Head,
    service: &ServiceName,
    condition: &Precondition,
) -> Result<Option<Value>, Error> {
    if super::service::content(desk, head.tree, service)?.is_none() {
        return Err(Error::no_service(group, service));
    }
    let found = document_at(&desk.objects, head.tree, &runtime_path(service))?;
    condition.check(
        &format!("runtime of service {service} in group {group}"),
        Some(&etag(found.as_ref().map(|(id, _)| *id))),
    )?;
    Ok(found.map(|(_, json)| json))
}

/// The entity tag of a runtime, which every service of a group has, if only by defaults.
pub(crate) fn etag(file: Option<git2::Oid>) -> String {
    file.map_or_else(|| "default".to_owned(), |id| id.to_string())
}
