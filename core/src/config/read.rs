//! Reading documents out of a tree, with the group's variables put in.

use std::collections::BTreeMap;

use git2::Oid;
use serde_json::Value;

use super::{
    GroupObjects, GroupParts, Live, ServiceConfig, live, route_path, runtime_path, service_path,
    survey,
};
use crate::diagnostic::{Code, Diagnostic};
use crate::document::reference::{resolve_variables, uses_variables};
use crate::document::{EncodedSlashes, Group, Reader, Route, Runtime, Service, Shape, parse_file};
use crate::json::MAX_FILE_BYTES;
use crate::name::{CertificateName, ContentId, GroupName, RouteName, ServiceName, UpstreamName};
use crate::path::ENCODED_SLASH;
use crate::pattern::PathPattern;
use crate::store::StoreError;
use crate::store::objects::{EntryKind, Objects};
use crate::validate;

/// Reads `group.json`; nothing comes back when anything is wrong with it.
pub(super) fn read_group(
    objects: &Objects<'_>,
    name: &GroupName,
    id: Oid,
    findings: &mut Vec<Diagnostic>,
) -> Result<Option<Group>, StoreError> {
    let before = findings.len();
    let Some(json) = read_json(objects, "group.json", id, findings)? else { return Ok(None) };
    let mut at = Reader::new("group.json", findings);
    let group = Group::read(&json, &mut at);
    Group::check(&json, name, &mut at);
    Ok(group.filter(|_| findings.len() == before))
}

/// Whether a file is not too large; its size is found without reading it.
pub(super) fn fits(
    objects: &Objects<'_>,
    path: &str,
    id: Oid,
    findings: &mut Vec<Diagnostic>,
) -> Result<bool, StoreError> {
    let size = objects.blob_size(id)?;
    if size > MAX_FILE_BYTES {
        let message = format!("the file has {size} bytes; 1 MiB is the limit");
        findings.push(Diagnostic::error(path, "", Code::TooLarge, message));
    }
    Ok(size <= MAX_FILE_BYTES)
}

fn read_json(
    objects: &Objects<'_>,
    path: &str,
    id: Oid,
    findings: &mut Vec<Diagnostic>,
) -> Result<Option<Value>, StoreError> {
    if !fits(objects, path, id, findings)? {
        return Ok(None);
    }
    Ok(parse_file(path, &objects.blob(id)?, findings))
}

/// Reads a document with the group's variables put in; says whether it uses any.
pub(super) fn read_document<T: Shape>(
    objects: &Objects<'_>,
    path: &str,
    id: Oid,
    group: &Group,
    findings: &mut Vec<Diagnostic>,
) -> Result<Option<(T, bool)>, StoreError> {
    Ok(read_or_json(objects, path, id, group, findings)?.ok())
}

/// The same; of a document that cannot be used, its JSON comes back if it is any.
fn read_or_json<T: Shape>(
    objects: &Objects<'_>,
    path: &str,
    id: Oid,
    group: &Group,
    findings: &mut Vec<Diagnostic>,
) -> Result<Result<(T, bool), Value>, StoreError> {
    let Some(json) = read_json(objects, path, id, findings)? else {
        return Ok(Err(Value::Null));
    };
    Ok(typed(path, json, group, findings))
}

/// The document that JSON is, with the group's variables put in.
fn typed<T: Shape>(
    path: &str,
    mut json: Value,
    group: &Group,
    findings: &mut Vec<Diagnostic>,
) -> Result<(T, bool), Value> {
    let mut at = Reader::new(path, findings).in_group(group);
    let uses_variables = uses_variables(&json);
    if uses_variables {
        resolve_variables(&mut json, &group.variables, &mut at);
    }
    let read = T::read(&json, &mut at).filter(|_| at.is_resolved());
    read.map(|document| (document, uses_variables)).ok_or(json)
}

/// What is wrong with a runtime that a group is given and does not take.
pub(crate) fn check_runtime(
    service: &ServiceName,
    json: &Value,
    group: &Group,
    findings: &mut Vec<Diagnostic>,
) {
    let path = runtime_path(service);
    // What it reads is of no use here: the findings are.
    let _ = typed::<Runtime>(&path, json.clone(), group, findings);
}

pub(super) fn read_service(
    objects: &Objects<'_>,
    name: &ServiceName,
    content: Oid,
    runtime_file: Option<Oid>,
    (group, owned): (&Group, &GroupObjects),
    findings: &mut Vec<Diagnostic>,
) -> Result<Option<ServiceConfig>, StoreError> {
    let before = findings.len();
    let mut found = Parts::default();
    found.read(objects, name, content, group, findings)?;
    let mut uses_variables = found.uses_variables;
    let path = runtime_path(name);
    let runtime = match runtime_file {
        None => Ok(Runtime::empty()),
        Some(id) => {
            read_or_json::<Runtime>(objects, &path, id, group, findings)?.map(|(runtime, uses)| {
                uses_variables |= uses;
                runtime
            })
        }
    };
    // Which upstreams are defined, and what is named, can be told of documents that are wrong elsewhere.
    let told = runtime.as_ref().err().map(upstreams_defined).unwrap_or_default();
    let defined = match &runtime {
        Ok(runtime) => {
            let named = runtime.client_certificates();
            validate::certificate_references(name, named, owned, findings);
            runtime.upstreams.keys().collect()
        }
        Err(_) => {
            let named =
                told.iter().filter_map(|(upstream, shown)| Some((upstream, shown.clone()?)));
            validate::certificate_references(name, named, owned, findings);
            told.keys().collect()
        }
    };
    let sound = found.routes.iter().map(|(name, route)| (name, &route.upstream));
    validate::upstream_references(name, sound.chain(&found.faulty), &defined, findings);
    let runtime = runtime.ok();
    let (Some(service), Some(runtime)) = (found.service, runtime) else { return Ok(None) };
    if findings[before..].iter().any(Diagnostic::is_error) {
        return Ok(None);
    }
    let takes = GroupParts {
        variables: uses_variables,
        encoded_slashes: has_encoded_slash(&found.routes, &runtime),
    };
    let claims = if live(&found.routes, &runtime) == Live::Live {
        validate::claims(&found.routes, &runtime)
    } else {
        Vec::new()
    };
    let warnings = findings.split_off(before);
    Ok(Some(ServiceConfig {
        name: name.clone(),
        content: ContentId(content),
        service,
        routes: found.routes,
        runtime,
        runtime_file,
        takes,
        claims,
        warnings,
    }))
}

fn has_encoded_slash(routes: &BTreeMap<RouteName, Route>, runtime: &Runtime) -> bool {
    let paths = routes.values().flat_map(|route| &route.paths).map(PathPattern::as_str);
    paths.chain([runtime.path_prefix.as_str()]).any(|path| path.contains(ENCODED_SLASH))
}

/// The upstreams that the JSON of a runtime defines, with the certificates that they name.
fn upstreams_defined(runtime: &Value) -> BTreeMap<UpstreamName, Option<CertificateName>> {
    let defined = runtime.get("upstreams").and_then(Value::as_object);
    let each = defined.into_iter().flatten().filter_map(|(name, upstream)| {
        let shown = upstream.pointer("/tls/client_certificate").and_then(Value::as_str);
        Some((name.parse().ok()?, shown.and_then(|shown| shown.parse().ok())))
    });
    each.collect()
}

/// The upstream that the JSON of a route names.
fn upstream_named(route: &Value) -> Option<UpstreamName> {
    Route::expand(route).get("upstream")?.as_str()?.parse().ok()
}

/// What is wrong with the versioned files of a service wherever they may come to; documents with
/// variables, which a group must give, are read where they come to one.
pub(crate) fn content_errors(
    objects: &Objects<'_>,
    name: &ServiceName,
    content: ContentId,
) -> Result<Vec<Diagnostic>, StoreError> {
    let mut findings = Vec::new();
    let mut somewhere = Group::empty();
    somewhere.http.encoded_slashes = EncodedSlashes::Keep;
    Parts::default().read(objects, name, content.0, &somewhere, &mut findings)?;
    findings.retain(|finding| finding.is_error() && finding.code != Code::UnresolvedVariable);
    findings.sort();
    Ok(findings)
}

/// The versioned files of a service, as far as they could be read.
#[derive(Default)]
struct Parts {
    service: Option<Service>,
    routes: BTreeMap<RouteName, Route>,
    /// Routes that cannot be used, with the upstreams that they name all the same.
    faulty: BTreeMap<RouteName, UpstreamName>,
    uses_variables: bool,
}

impl Parts {
    fn read(
        &mut self,
        objects: &Objects<'_>,
        name: &ServiceName,
        content: Oid,
        group: &Group,
        findings: &mut Vec<Diagnostic>,
    ) -> Result<(), StoreError> {
        let folder = format!("services/{name}");
        let mut has_service_file = false;
        let mut route_files: Vec<(RouteName, Oid)> = Vec::new();
        for entry in objects.tree(content)? {
            match (entry.name.as_str(), entry.kind) {
                ("service.json", EntryKind::File) => {
                    has_service_file = true;
                    let path = service_path(name);
                    let read = read_document(objects, &path, entry.id, group, findings)?;
                    if let Some((service, uses)) = read {
                        self.service = Some(service);
                        self.uses_variables |= uses;
                    }
                }
                ("routes", EntryKind::Folder) => {
                    for file in objects.tree(entry.id)? {
                        let route =
                            survey::document_name(&format!("{folder}/routes"), &file, findings);
                        route_files.extend(route.map(|route| (route, file.id)));
                    }
                }
                _ => survey::unexpected(&format!("{folder}/{}", entry.name), &entry, findings),
            }
        }
        if !has_service_file {
            let finding =
                Diagnostic::error(service_path(name), "", Code::MissingFile, "the file is missing");
            findings.push(finding.with_hint("an empty object, {}, is a valid service.json"));
        }
        for (route, id) in route_files {
            let path = route_path(name, &route);
            match read_or_json::<Route>(objects, &path, id, group, findings)? {
                Ok((document, uses)) => {
                    self.uses_variables |= uses;
                    self.routes.insert(route, document);
                }
                Err(json) => self.faulty.extend(upstream_named(&json).map(|named| (route, named))),
            }
        }
        Ok(())
    }
}
