//! Upstreams of a service in a group as things to edit: parts of the runtime.

use axum::Extension;
use axum::extract::State;
use refgate_core::change::Operation;
use refgate_core::diagnostic::Diagnostic;
use refgate_core::document::{Checks, Shape as _, Upstream};
use refgate_core::json::join;
use refgate_core::name::{GroupName, ServiceName, UpstreamName};
use serde_json::{Map, Value, json};

use super::editor::{Condition, Editor, NAME, Part, Subject, Terms};
use super::form::{Faults, Posted, Section, set};
use super::page::{Asked, Visitor, crumb};
use super::parts::service_path;
use super::remove::Removal;
use super::settings::{ServiceAt, name_field, named, of_json, of_runtime, service_crumbs};
use super::{Answer, fields};
use crate::auth::Role;
use crate::http::Api;
use crate::http::path::{At, Segment};
use crate::problem::{Kind, Problem};

impl Segment for UpstreamName {
    const PARAMETER: &'static str = "upstream";
}

struct UpstreamSubject {
    service: ServiceName,
    /// The upstream, unless it is new.
    upstream: Option<UpstreamName>,
    /// The runtime that it is part of.
    runtime: Value,
}

impl Subject for UpstreamSubject {
    fn sections(&self, document: &Value, posted: &Posted) -> Vec<Section> {
        let mut sections = fields::upstream("", document, posted);
        // Checks that are switched on without more are made so.
        let checks = Checks::expand(&json!({"active": {}, "passive": {}}));
        let defaults = json!({"checks": checks});
        for field in sections.iter_mut().flat_map(|section| &mut section.fields) {
            if field.pointer.starts_with("/checks/") {
                field.default_from(&defaults);
            }
        }
        if self.upstream.is_none() {
            let mut name = name_field(posted);
            if posted.get(NAME).is_none() && self.runtime["upstreams"].get("default").is_none() {
                name = name.holding("default");
            }
            sections.insert(0, Section::new("Upstream", vec![name]));
        }
        sections
    }

    fn reshape(&self, document: &mut Value, posted: &Posted) {
        if posted.text("view") != "form" {
            return;
        }
        for (switch, pointer) in fields::CHECKS {
            let is_on = posted.text(switch) == "true";
            match document.pointer(pointer) {
                Some(_) if !is_on => set(document, pointer, None),
                None if is_on => set(document, pointer, Some(json!({}))),
                _ => {}
            }
        }
    }

    fn operation(
        &self,
        document: Value,
        posted: &Posted,
        faults: &mut Faults,
    ) -> Option<Operation> {
        let name = match &self.upstream {
            Some(upstream) => upstream.clone(),
            None => named::<UpstreamName>(posted, faults)?,
        };
        if self.upstream.is_none() && self.runtime["upstreams"].get(name.as_str()).is_some() {
            faults.beside(NAME, "There is an upstream of this name.");
        }
        let mut runtime = self.runtime.clone();
        set(&mut runtime, &join("/upstreams", name.as_str()), Some(document));
        Some(Operation::PutRuntime { service: self.service.clone(), document: runtime })
    }

    fn locate(&self, finding: &Diagnostic) -> Option<String> {
        let pointer = of_runtime(&self.service, finding)?;
        let rest = pointer.strip_prefix("/upstreams/")?;
        let (name, below) = rest.split_once('/').map_or((rest, ""), |(name, below)| (name, below));
        let ours = self.upstream.as_ref().is_none_or(|upstream| upstream.as_str() == name);
        ours.then(|| if below.is_empty() { String::new() } else { format!("/{below}") })
    }
}

/// An upstream with every default.
pub(super) fn empty_upstream() -> Value {
    Upstream::expand(&json!({"nodes": []}))
}

async fn upstream_desk(
    api: &Api,
    group: GroupName,
    service: ServiceName,
    upstream: Option<UpstreamName>,
) -> Result<Editor<UpstreamSubject>, Problem> {
    let (g, s) = (group.clone(), service.clone());
    let runtime = api.store.read(move |repository| repository.runtime(&g, &s)).await?;
    let back = format!("{}/upstreams", service_path(&group, &service));
    let mut crumbs = service_crumbs(&group, &service);
    crumbs.push(crumb("Upstreams", &*back));
    let (title, verb, delete, document) = match &upstream {
        Some(name) => {
            let found = runtime.value["upstreams"].get(name.as_str()).cloned();
            let document = found.ok_or_else(|| no_upstream(name, &service, &group))?;
            let delete = crumb("Delete this upstream", format!("{back}/{name}/delete"));
            (format!("Upstream {name}"), "Save", Some(delete), document)
        }
        None => ("Add upstream".to_owned(), "Add upstream", None, empty_upstream()),
    };
    Ok(Editor {
        role: Role::Editor,
        terms: Terms::of(api, &group, Part::Owned).await?,
        subject: UpstreamSubject { service, upstream, runtime: runtime.value },
        group,
        title,
        lead: "Upstreams belong to the group and are never promoted.".to_owned(),
        crumbs,
        document,
        condition: Condition::Same(runtime.etag),
        back,
        verb,
        delete,
    })
}

/// What is said of an upstream that is not there.
pub(super) fn no_upstream(
    upstream: &UpstreamName,
    service: &ServiceName,
    group: &GroupName,
) -> Problem {
    let detail = format!("there is no upstream {upstream} of service {service} in group {group}");
    Problem::new(Kind::NotFound, detail)
}

pub(super) async fn add(
    State(api): State<Api>,
    visitor: Visitor,
    At((group, service)): ServiceAt,
    asked: Asked,
) -> Answer {
    upstream_desk(&api, group, service, None).await?.show(&visitor, of_json(&asked))
}

pub(super) async fn create(
    State(api): State<Api>,
    visitor: Visitor,
    At((group, service)): ServiceAt,
    Extension(posted): Extension<Posted>,
) -> Answer {
    upstream_desk(&api, group, service, None).await?.take(&api, &visitor, &posted).await
}

type UpstreamAt = At<(GroupName, ServiceName, UpstreamName)>;

pub(super) async fn show(
    State(api): State<Api>,
    visitor: Visitor,
    At((group, service, upstream)): UpstreamAt,
    asked: Asked,
) -> Answer {
    upstream_desk(&api, group, service, Some(upstream)).await?.show(&visitor, of_json(&asked))
}

pub(super) async fn save(
    State(api): State<Api>,
    visitor: Visitor,
    At((group, service, upstream)): UpstreamAt,
    Extension(posted): Extension<Posted>,
) -> Answer {
    upstream_desk(&api, group, service, Some(upstream)).await?.take(&api, &visitor, &posted).await
}

async fn removal(
    api: &Api,
    (group, service, upstream): (GroupName, ServiceName, UpstreamName),
) -> Result<Removal, Problem> {
    let (g, s) = (group.clone(), service.clone());
    let runtime = api.store.read(move |repository| repository.runtime(&g, &s)).await?;
    if runtime.value["upstreams"].get(upstream.as_str()).is_none() {
        return Err(no_upstream(&upstream, &service, &group));
    }
    let gone = Map::from_iter([(upstream.to_string(), Value::Null)]);
    Ok(Removal {
        title: format!("Delete upstream {upstream} of {service}"),
        lead: format!("It goes from {group} with its nodes. Other groups keep theirs."),
        is_grave: false,
        crumbs: service_crumbs(&group, &service),
        back: format!("{}/upstreams", service_path(&group, &service)),
        verb: "Delete upstream",
        tag: runtime.etag,
        carried: Vec::new(),
        typed: None,
        operation: Operation::PatchRuntime { service, patch: json!({"upstreams": gone}) },
        group,
    })
}

pub(super) async fn ask_delete(
    State(api): State<Api>,
    visitor: Visitor,
    At(at): UpstreamAt,
) -> Answer {
    removal(&api, at).await?.ask(&api, &visitor).await
}

pub(super) async fn delete(
    State(api): State<Api>,
    visitor: Visitor,
    At(at): UpstreamAt,
    Extension(posted): Extension<Posted>,
) -> Answer {
    removal(&api, at).await?.carry_out(&api, &visitor, &posted).await
}
