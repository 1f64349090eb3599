//! Making, changing, removing and copying group-owned objects.
//!
//! Promotion never touches them: a copy from another group is asked for by name, and does not
//! write over what the group has unless that is asked for too.

use serde_json::Value;

use super::Precondition;
use super::draft::Draft;
use crate::content::{Place, document_at};
use crate::diagnostic::Code;
use crate::error::Error;
use crate::event::Event;
use crate::json;
use crate::name::GroupName;
use crate::object::ObjectName;
use crate::repository::{Desk, Head, of_group};

pub(super) fn put(
    desk: &Desk<'_>,
    group: &GroupName,
    head: Head,
    object: &ObjectName,
    document: &Value,
    condition: &Precondition,
) -> Result<Draft, Error> {
    let exists = find(desk, group, head, object, condition)?.is_some();
    let mut draft = draft(group, object, exists);
    draft.put_object(desk, &object.path(), document)?;
    Ok(draft)
}

pub(super) fn patch(
    desk: &Desk<'_>,
    group: &GroupName,
    head: Head,
    object: &ObjectName,
    patch: &Value,
    condition: &Precondition,
) -> Result<Draft, Error> {
    let Some(mut document) = find(desk, group, head, object, condition)? else {
        return Err(no_object(group, object));
    };
    json::merge_patch(&mut document, patch);
    let mut draft = draft(group, object, true);
    draft.put_object(desk, &object.path(), &document)?;
    Ok(draft)
}

pub(super) fn delete(
    desk: &Desk<'_>,
    group: &GroupName,
    head: Head,
    object: &ObjectName,
    condition: &Precondition,
) -> Result<Draft, Error> {
    if find(desk, group, head, object, condition)?.is_none() {
        return Err(no_object(group, object));
    }
    let kind = format!("{}.deleted", object.kind().event());
    let mut draft = Draft::new(Event::new(&kind, format!("remove {object} from {group}")));
    draft.remove(object.path());
    Ok(draft)
}

/// Why an object cannot go: where something names it, that is what is told.
pub(super) fn of_delete(object: &ObjectName, error: Error) -> Error {
    let Error::Invalid(mut diagnostics) = error else { return error };
    let mut users = Vec::new();
    for finding in diagnostics.iter_mut().filter(|one| one.code == Code::UnknownCertificate) {
        let upstream = finding.pointer.split('/').nth(2).unwrap_or_default();
        let place = Place::of(&finding.file);
        if let Some(service) = place.as_ref().and_then(Place::service) {
            users.push(format!("upstream {upstream} of service {service}"));
        }
        finding.message = format!("the upstream shows its nodes {object}");
        finding.hint = Some("name another one, or none, before it goes".to_owned());
    }
    if users.is_empty() {
        return Error::Invalid(diagnostics);
    }
    let reason = format!("{object} is still shown to nodes by {}", users.join(", "));
    Error::StillReferenced { reason, diagnostics }
}

/// Brings an object as another group has it. References in it stay references: what they name is
/// the target's own.
pub(super) fn copy(
    desk: &Desk<'_>,
    group: &GroupName,
    head: Head,
    object: &ObjectName,
    from: &GroupName,
    replace: bool,
    condition: &Precondition,
) -> Result<Draft, Error> {
    if from == group {
        let reason = format!("{object} is in group {group} already: name another group");
        return Err(Error::Malformed { reason });
    }
    let document = source(desk, object, from)?;
    let existing = find(desk, group, head, object, condition)?;
    let form = |json: &Value| Place::Object(object.clone()).canonical(json);
    let differs = existing.as_ref().is_some_and(|existing| form(existing) != form(&document));
    if differs && !replace {
        let what = format!("another {object} in group {group}");
        return Err(Error::AlreadyExists { what });
    }
    let mut draft = draft(group, object, existing.is_some());
    draft.event.subject = format!("copy {object} from {from} to {group}");
    draft.event.from_group = Some(from.to_string());
    if existing.is_none() || differs {
        draft.put(desk, &object.path(), &document)?;
    }
    Ok(draft)
}

/// What a group has to be copied.
pub(super) fn source(
    desk: &Desk<'_>,
    object: &ObjectName,
    from: &GroupName,
) -> Result<Value, Error> {
    of_group(from, || {
        let found = document_at(&desk.objects, desk.head(from)?.tree, &object.path())?;
        found.map(|(_, document)| document).ok_or_else(|| no_object(from, object))
    })
}

fn draft(group: &GroupName, object: &ObjectName, exists: bool) -> Draft {
    let event = object.kind().event();
    let event = if exists {
        Event::new(&format!("{event}.updated"), format!("change {object} in {group}"))
    } else {
        Event::new(&format!("{event}.created"), format!("add {object} to {group}"))
    };
    let mut draft = Draft::new(event);
    draft.created = !exists;
    draft
}

/// The object's document as its file has it.
fn find(
    desk: &Desk<'_>,
    group: &GroupName,
    head: Head,
    object: &ObjectName,
    condition: &Precondition,
) -> Result<Option<Value>, Error> {
    let found = document_at(&desk.objects, head.tree, &object.path())?;
    let etag = found.as_ref().map(|(id, _)| id.to_string());
    condition.check(&format!("{object} in group {group}"), etag.as_deref())?;
    Ok(found.map(|(_, json)| json))
}

pub(crate) fn no_object(group: &GroupName, object: &ObjectName) -> Error {
    Error::NotFound { what: format!("{object} in group {group}") }
}
