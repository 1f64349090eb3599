//! Making, changing and removing services whole.

use git2::Oid;
use serde_json::{Map, Value};

use super::Precondition;
use super::draft::Draft;
use crate::config::{route_path, runtime_path, service_path};
use crate::content::{document_at, read_json};
use crate::diagnostic::{Code, Diagnostic};
use crate::error::Error;
use crate::event::Event;
use crate::json::{self, join};
use crate::name::{ContentId, GroupName, RouteName, ServiceName};
use crate::repository::{Desk, Head};
use crate::store::objects::EntryKind;

/// Keys of a service as it is read that are derived: accepted in writes, so that what was read can
/// be written back, and ignored.
const DERIVED: [&str; 8] = [
    "version",
    "based_on",
    "modified",
    "live",
    "live_reason",
    "commit",
    "updated_at",
    "updated_by",
];

pub(super) fn put(
    desk: &Desk<'_>,
    group: &GroupName,
    head: Head,
    service: &ServiceName,
    document: &Value,
    condition: &Precondition,
) -> Result<Draft, Error> {
    let existing = content(desk, head.tree, service)?;
    check(desk, group, head, service, condition)?;
    let verb = if existing.is_some() { "update" } else { "create" };
    let event =
        Event::new(&format!("service.{verb}d"), format!("{verb} service {service} in {group}"));
    let mut draft = Draft::new(event.about(service));
    draft.created = existing.is_none();
    if let Some(object) = object(document, group, service, &mut draft) {
        write_whole(desk, service, object, existing, &mut draft)?;
    }
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
    let existing = content(desk, head.tree, service)?;
    check(desk, group, head, service, condition)?;
    let Some(mut document) = whole(desk, head.tree, service)? else {
        return Err(Error::no_service(group, service));
    };
    json::merge_patch(&mut document, patch);
    let event = Event::new("service.updated", format!("update service {service} in {group}"));
    let mut draft = Draft::new(event.about(service));
    if let Some(object) = object(&document, group, service, &mut draft) {
        if !object.contains_key("runtime") {
            draft.remove(runtime_path(service));
        }
        write_whole(desk, service, object, existing, &mut draft)?;
    }
    Ok(draft)
}

pub(super) fn delete(
    desk: &Desk<'_>,
    group: &GroupName,
    head: Head,
    service: &ServiceName,
    condition: &Precondition,
) -> Result<Draft, Error> {
    check(desk, group, head, service, condition)?;
    if content(desk, head.tree, service)?.is_none() {
        return Err(Error::no_service(group, service));
    }
    let event = Event::new("service.deleted", format!("delete service {service} from {group}"));
    let mut draft = Draft::new(event.about(service));
    draft.remove(format!("services/{service}"));
    draft.remove(runtime_path(service));
    Ok(draft)
}

/// Compares the conditions of a change that is about the service as a whole.
pub(super) fn check(
    desk: &Desk<'_>,
    group: &GroupName,
    head: Head,
    service: &ServiceName,
    condition: &Precondition,
) -> Result<(), Error> {
    let etag = etag(desk, head.tree, service)?;
    condition.check(&format!("service {service} in group {group}"), etag.as_deref())
}

/// The request's document as an object without what is derived.
fn object(
    document: &Value,
    group: &GroupName,
    service: &ServiceName,
    draft: &mut Draft,
) -> Option<Map<String, Value>> {
    let file = service_path(service);
    let Value::Object(object) = document else {
        let message = "a service is an object";
        draft.findings.push(Diagnostic::error(file, "", Code::WrongType, message));
        return None;
    };
    let mut object = object.clone();
    for key in DERIVED {
        object.shift_remove(key);
    }
    for (key, expected) in [("name", service.as_str()), ("group", group.as_str())] {
        if let Some(given) = object.shift_remove(key)
            && given != expected
        {
            let message =
                format!("{key} is {expected:?} by the address of the request, not {given}");
            let finding = Diagnostic::error(&file, join("", key), Code::BadValue, message);
            draft.findings.push(finding.with_hint("leave it out"));
        }
    }
    Some(object)
}

/// Edits that make the service what `object` says; routes that it does not name go.
fn write_whole(
    desk: &Desk<'_>,
    service: &ServiceName,
    mut object: Map<String, Value>,
    existing: Option<ContentId>,
    draft: &mut Draft,
) -> Result<(), Error> {
    if let Some(existing) = existing
        && let Some(routes) = desk.objects.find(existing.0, "routes")?
        && routes.kind == EntryKind::Folder
    {
        for entry in desk.objects.tree(routes.id)? {
            draft.remove(format!("services/{service}/routes/{}", entry.name));
        }
    }
    match object.shift_remove("runtime") {
        None => {}
        Some(runtime) => draft.put(desk, &runtime_path(service), &runtime)?,
    }
    let file = service_path(service);
    match object.shift_remove("routes") {
        None => {}
        Some(Value::Object(routes)) => {
            for (name, route) in routes {
                match name.parse::<RouteName>() {
                    Ok(name) => draft.put(desk, &route_path(service, &name), &route)?,
                    Err(error) => draft.findings.push(Diagnostic::error(
                        &file,
                        join("/routes", &name),
                        Code::BadName,
                        error.to_string(),
                    )),
                }
            }
        }
        Some(_) => draft.findings.push(
            Diagnostic::error(&file, "/routes", Code::WrongType, "an object is needed here")
                .with_hint("routes by name: {\"get-headers\": {\"paths\": [\"/headers\"]}}"),
        ),
    }
    draft.put(desk, &file, &Value::Object(object))
}

/// The content of a service in a group's tree.
pub(crate) fn content(
    desk: &Desk<'_>,
    tree: Oid,
    service: &ServiceName,
) -> Result<Option<ContentId>, Error> {
    let entry = desk.objects.find(tree, &format!("services/{service}"))?;
    Ok(entry.filter(|entry| entry.kind == EntryKind::Folder).map(|entry| ContentId(entry.id)))
}

/// A service whole, as its files have it: `{…service.json, routes, runtime}`.
pub(crate) fn whole(
    desk: &Desk<'_>,
    tree: Oid,
    service: &ServiceName,
) -> Result<Option<Value>, Error> {
    let Some(content) = content(desk, tree, service)? else { return Ok(None) };
    let mut object = match document_at(&desk.objects, content.0, "service.json")? {
        Some((_, Value::Object(object))) => object,
        _ => Map::new(),
    };
    object.insert("routes".to_owned(), Value::Object(routes(desk, content)?));
    if let Some((_, runtime)) = document_at(&desk.objects, tree, &runtime_path(service))? {
        object.insert("runtime".to_owned(), runtime);
    }
    Ok(Some(Value::Object(object)))
}

/// The routes of a content by name, as their files have them.
pub(crate) fn routes(desk: &Desk<'_>, content: ContentId) -> Result<Map<String, Value>, Error> {
    let mut routes = Map::new();
    if let Some(folder) = desk.objects.find(content.0, "routes")?
        && folder.kind == EntryKind::Folder
    {
        for entry in desk.objects.tree(folder.id)? {
            if let Some(name) = entry.name.strip_suffix(".json") {
                routes.insert(name.to_owned(), read_json(&desk.objects, entry.id)?);
            }
        }
    }
    Ok(routes)
}

/// The entity tag of a service: what of it can be written, its content and its runtime.
pub(crate) fn etag(
    desk: &Desk<'_>,
    tree: Oid,
    service: &ServiceName,
) -> Result<Option<String>, Error> {
    let Some(content) = content(desk, tree, service)? else { return Ok(None) };
    let runtime = desk.objects.find(tree, &runtime_path(service))?;
    let short = |id: Oid| id.to_string()[..16].to_owned();
    let runtime = runtime.map_or_else(|| "default".to_owned(), |entry| short(entry.id));
    Ok(Some(format!("{}-{runtime}", short(content.0))))
}
