//! The documents of a group and of a service as things to edit, but for routes ([`super::route`])
//! and upstreams ([`super::upstream`]). Each page loads the thing as it is now and puts it on the
//! desk ([`super::editor`]).

use axum::Extension;
use axum::extract::State;
use refgate_core::change::Operation;
use refgate_core::diagnostic::Diagnostic;
use refgate_core::name::{GroupName, ServiceName};
use refgate_core::repository::Repository;
use serde_json::{Value, json};

use super::editor::{Condition, Editor, NAME, Part, Subject, Terms, is_production};
use super::form::{Faults, Field, Kind, Posted, Section, patch};
use super::page::{Asked, Crumb, Visitor, crumb};
use super::parts::service_path;
use super::{Answer, fields};
use crate::auth::Role;
use crate::http::Api;
use crate::http::path::At;
use crate::problem::{self, Problem};

/// The way to a group's pages.
pub(super) fn group_crumbs(group: &GroupName) -> Vec<Crumb> {
    vec![crumb(group.as_str(), format!("/groups/{group}"))]
}

/// The way to a service's pages.
pub(super) fn service_crumbs(group: &GroupName, service: &ServiceName) -> Vec<Crumb> {
    let mut crumbs = group_crumbs(group);
    crumbs.push(crumb(service.as_str(), service_path(group, service)));
    crumbs
}

/// The field of a name that a new thing gets.
pub(super) fn name_field(posted: &Posted) -> Field {
    Field::new(NAME, "Name", Kind::Name).help("a-z, 0-9 and -").holding(posted.text(NAME))
}

/// What stands for a name that is none, while the rest is judged.
const STAND_IN: &str = "new";

/// The name of a new thing out of a form; a stand-in where it is none, which is told.
pub(super) fn named<T>(posted: &Posted, faults: &mut Faults) -> Option<T>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    named_by(posted, faults, str::parse)
}

/// The same, of a name that is read in a way of its own.
pub(super) fn named_by<T, E: std::fmt::Display>(
    posted: &Posted,
    faults: &mut Faults,
    read: impl Fn(&str) -> Result<T, E>,
) -> Option<T> {
    let typed = posted.text(NAME).trim();
    read(typed)
        .or_else(|error| {
            faults.beside(
                NAME,
                match typed {
                    "" => "It needs a name.".to_owned(),
                    _ => error.to_string(),
                },
            );
            read(STAND_IN)
        })
        .ok()
}

pub(super) fn of_json(asked: &Asked) -> bool {
    asked.text("view") == "json"
}

// Groups.

struct GroupSubject {
    /// The group, unless it is new.
    name: Option<GroupName>,
    before: Value,
    others: Vec<String>,
}

impl Subject for GroupSubject {
    fn sections(&self, _: &Value, posted: &Posted) -> Vec<Section> {
        let mut sections = fields::group(&self.others);
        if self.name.is_some() && self.before["type"] == "ingress" {
            // All else is its controller's.
            sections.truncate(1);
            sections[0].fields.retain(|field| field.pointer == "/type");
        }
        if self.name.is_none() {
            let name = name_field(posted);
            sections[0].fields.insert(0, name);
        }
        sections
    }

    fn operation(
        &self,
        document: Value,
        posted: &Posted,
        faults: &mut Faults,
    ) -> Option<Operation> {
        if self.name.is_some() {
            return Some(Operation::PatchGroup { patch: patch(&self.before, &document) });
        }
        // The desk stands in the group of this name, or of its stand-in.
        named::<GroupName>(posted, faults).map(|_| Operation::CreateGroup { document })
    }

    fn locate(&self, finding: &Diagnostic) -> Option<String> {
        (finding.file == "group.json").then(|| finding.pointer.clone())
    }
}

async fn others(api: &Api, but: Option<&GroupName>) -> Result<Vec<String>, Problem> {
    let groups = api.store.read(Repository::groups).await?;
    let others = groups.into_iter().filter(|group| but != Some(&group.name));
    Ok(others.map(|group| group.name.to_string()).collect())
}

async fn group_desk(api: &Api, name: GroupName) -> Result<Editor<GroupSubject>, Problem> {
    let others = others(api, Some(&name)).await?;
    let asked = name.clone();
    let view = api.store.read(move |repository| repository.group(&asked)).await?;
    let looks_first = is_production(&view);
    let mut document = view.document;
    if let Value::Object(fields) = &mut document {
        fields.shift_remove("name");
    }
    Ok(Editor {
        subject: GroupSubject { name: Some(name.clone()), before: document.clone(), others },
        title: format!("Settings of {name}"),
        lead: match document["type"] == "ingress" {
            true => "This group is written by its controller: only its type can be changed here.",
            false => "",
        }
        .to_owned(),
        crumbs: group_crumbs(&name),
        document,
        condition: Condition::Same(view.etag),
        back: format!("/groups/{name}"),
        verb: "Save",
        delete: Some(crumb("Delete this group", format!("/groups/{name}/delete"))),
        role: Role::Admin,
        terms: Terms { closed: None, looks_first },
        group: name,
    })
}

async fn new_group_desk(api: &Api, posted: &Posted) -> Result<Editor<GroupSubject>, Problem> {
    let others = others(api, None).await?;
    let document = json!({
        "description": "", "type": "gateway", "labels": {}, "variables": {},
        "promotion": {"from": [], "direct_edits": "allow"},
        "http": {"trusted_proxies": [], "encoded_slashes": "reject"},
    });
    // Whether the name is one, the form is told before anything is done with it.
    let name = posted.text(NAME).trim().parse();
    let name: GroupName = name
        .or_else(|_| STAND_IN.parse())
        .map_err(|error| Problem::new(problem::Kind::Internal, format!("{error}")))?;
    Ok(Editor {
        subject: GroupSubject { name: None, before: document.clone(), others },
        title: "Add gateway group".to_owned(),
        lead: "A group is a branch of the configuration repository: the gateways of a group share \
               one configuration."
            .to_owned(),
        crumbs: Vec::new(),
        document,
        condition: Condition::Absent,
        back: match posted.text(NAME).trim() == name.as_str() {
            true => format!("/groups/{name}"),
            // There is none yet.
            false => "/".to_owned(),
        },
        verb: "Add group",
        delete: None,
        role: Role::Admin,
        terms: Terms::default(),
        group: name,
    })
}

pub(super) async fn new_group(State(api): State<Api>, visitor: Visitor, asked: Asked) -> Answer {
    new_group_desk(&api, &Posted::default()).await?.show(&visitor, of_json(&asked))
}

pub(super) async fn create_group(
    State(api): State<Api>,
    visitor: Visitor,
    Extension(posted): Extension<Posted>,
) -> Answer {
    new_group_desk(&api, &posted).await?.take(&api, &visitor, &posted).await
}

pub(super) async fn group(
    State(api): State<Api>,
    visitor: Visitor,
    At((group,)): At<(GroupName,)>,
    asked: Asked,
) -> Answer {
    group_desk(&api, group).await?.show(&visitor, of_json(&asked))
}

pub(super) async fn save_group(
    State(api): State<Api>,
    visitor: Visitor,
    At((group,)): At<(GroupName,)>,
    Extension(posted): Extension<Posted>,
) -> Answer {
    group_desk(&api, group).await?.take(&api, &visitor, &posted).await
}

// The versioned part of a service, but for its routes.

struct ServiceSubject {
    service: ServiceName,
    before: Value,
}

impl Subject for ServiceSubject {
    fn sections(&self, _: &Value, _: &Posted) -> Vec<Section> {
        fields::service()
    }

    fn operation(&self, document: Value, _: &Posted, _: &mut Faults) -> Option<Operation> {
        let patch = patch(&self.before, &document);
        Some(Operation::PatchService { service: self.service.clone(), patch })
    }

    fn locate(&self, finding: &Diagnostic) -> Option<String> {
        let file = format!("services/{}/service.json", self.service);
        (finding.file == file).then(|| finding.pointer.clone())
    }
}

async fn service_desk(
    api: &Api,
    group: GroupName,
    service: ServiceName,
) -> Result<Editor<ServiceSubject>, Problem> {
    let (g, s) = (group.clone(), service.clone());
    let view = api.store.read(move |repository| repository.service(&g, &s)).await?;
    Ok(Editor {
        title: format!("Settings of {service}"),
        lead: "This part is versioned and travels between groups.".to_owned(),
        crumbs: service_crumbs(&group, &service),
        condition: Condition::Same(view.etag),
        back: service_path(&group, &service),
        verb: "Save",
        delete: None,
        role: Role::Editor,
        terms: Terms::of(api, &group, Part::Content).await?,
        subject: ServiceSubject { service, before: view.document.clone() },
        document: view.document,
        group,
    })
}

pub(super) type ServiceAt = At<(GroupName, ServiceName)>;

pub(super) async fn service(
    State(api): State<Api>,
    visitor: Visitor,
    At((group, service)): ServiceAt,
    asked: Asked,
) -> Answer {
    service_desk(&api, group, service).await?.show(&visitor, of_json(&asked))
}

pub(super) async fn save_service(
    State(api): State<Api>,
    visitor: Visitor,
    At((group, service)): ServiceAt,
    Extension(posted): Extension<Posted>,
) -> Answer {
    service_desk(&api, group, service).await?.take(&api, &visitor, &posted).await
}

// What a group owns about a service.

struct RuntimeSubject {
    service: ServiceName,
}

impl Subject for RuntimeSubject {
    fn sections(&self, _: &Value, _: &Posted) -> Vec<Section> {
        fields::runtime()
    }

    fn operation(&self, document: Value, _: &Posted, _: &mut Faults) -> Option<Operation> {
        Some(Operation::PutRuntime { service: self.service.clone(), document })
    }

    fn locate(&self, finding: &Diagnostic) -> Option<String> {
        of_runtime(&self.service, finding)
    }
}

/// The pointer of a finding in the runtime of a service.
pub(super) fn of_runtime(service: &ServiceName, finding: &Diagnostic) -> Option<String> {
    (finding.file == format!("runtime/{service}.json")).then(|| finding.pointer.clone())
}

async fn runtime_desk(
    api: &Api,
    group: GroupName,
    service: ServiceName,
) -> Result<Editor<RuntimeSubject>, Problem> {
    let (g, s) = (group.clone(), service.clone());
    let found = api.store.read(move |repository| repository.runtime(&g, &s)).await?;
    Ok(Editor {
        title: format!("{service} in {group}"),
        lead: "This part belongs to the group and is never promoted.".to_owned(),
        crumbs: service_crumbs(&group, &service),
        document: found.value,
        condition: Condition::Same(found.etag),
        back: format!("{}/hosts", service_path(&group, &service)),
        verb: "Save",
        delete: None,
        role: Role::Editor,
        terms: Terms::of(api, &group, Part::Owned).await?,
        subject: RuntimeSubject { service },
        group,
    })
}

pub(super) async fn runtime(
    State(api): State<Api>,
    visitor: Visitor,
    At((group, service)): ServiceAt,
    asked: Asked,
) -> Answer {
    runtime_desk(&api, group, service).await?.show(&visitor, of_json(&asked))
}

pub(super) async fn save_runtime(
    State(api): State<Api>,
    visitor: Visitor,
    At((group, service)): ServiceAt,
    Extension(posted): Extension<Posted>,
) -> Answer {
    runtime_desk(&api, group, service).await?.take(&api, &visitor, &posted).await
}
