//! Routes of a service as things to edit, and away with them.

use axum::Extension;
use axum::extract::State;
use refgate_core::change::Operation;
use refgate_core::diagnostic::Diagnostic;
use refgate_core::name::{GroupName, RouteName, ServiceName};
use serde_json::{Value, json};

use super::editor::{Condition, Editor, Part, Subject, Terms};
use super::form::{Faults, Posted, Section};
use super::page::{Asked, Visitor, crumb};
use super::parts::service_path;
use super::remove::Removal;
use super::settings::{ServiceAt, name_field, named, of_json, service_crumbs};
use super::{Answer, fields};
use crate::auth::Role;
use crate::http::Api;
use crate::http::path::At;
use crate::problem::Problem;

struct RouteSubject {
    service: ServiceName,
    /// The route, unless it is new.
    route: Option<RouteName>,
    upstreams: Vec<String>,
}

impl Subject for RouteSubject {
    fn sections(&self, _: &Value, posted: &Posted) -> Vec<Section> {
        let mut sections = fields::route("", &self.upstreams);
        if self.route.is_none() {
            sections[0].fields.insert(0, name_field(posted));
        }
        sections
    }

    fn operation(
        &self,
        document: Value,
        posted: &Posted,
        faults: &mut Faults,
    ) -> Option<Operation> {
        let route = match &self.route {
            Some(route) => route.clone(),
            None => named(posted, faults)?,
        };
        Some(Operation::PutRoute { service: self.service.clone(), route, document })
    }

    fn locate(&self, finding: &Diagnostic) -> Option<String> {
        let folder = format!("services/{}/routes/", self.service);
        let name = finding.file.strip_prefix(&folder)?.strip_suffix(".json")?;
        let ours = self.route.as_ref().is_none_or(|route| route.as_str() == name);
        ours.then(|| finding.pointer.clone())
    }
}

async fn route_desk(
    api: &Api,
    group: GroupName,
    service: ServiceName,
    route: Option<RouteName>,
) -> Result<Editor<RouteSubject>, Problem> {
    let (g, s, r) = (group.clone(), service.clone(), route.clone());
    let (runtime, found) = api
        .store
        .read(move |repository| {
            let runtime = repository.runtime(&g, &s)?;
            let route = r.map(|route| repository.route(&g, &s, &route)).transpose()?;
            Ok::<_, refgate_core::Error>((runtime, route))
        })
        .await?;
    let back = format!("{}/routes", service_path(&group, &service));
    let upstreams = runtime.value["upstreams"].as_object();
    let upstreams: Vec<String> =
        upstreams.into_iter().flatten().map(|(name, _)| name.clone()).collect();
    let mut crumbs = service_crumbs(&group, &service);
    crumbs.push(crumb("Routes", &*back));
    let (title, verb, delete, document, condition) = match (&route, found) {
        (Some(route), Some(found)) => {
            let delete = crumb("Delete this route", format!("{back}/{route}/delete"));
            let title = format!("Route {route}");
            (title, "Save", Some(delete), found.value, Condition::Same(found.etag))
        }
        _ => {
            let first = upstreams.first().map_or("default", String::as_str);
            let document = json!({"enabled": true, "paths": [], "methods": [], "priority": 0,
                "match": {}, "upstream": first, "websocket": false, "plugins": {}});
            ("Add route".to_owned(), "Add route", None, document, Condition::Absent)
        }
    };
    let subject = RouteSubject { service, route, upstreams };
    let lead = "Routes are versioned and travel between groups.".to_owned();
    let (role, terms) = (Role::Editor, Terms::of(api, &group, Part::Content).await?);
    Ok(Editor {
        subject,
        group,
        title,
        lead,
        crumbs,
        document,
        condition,
        back,
        verb,
        delete,
        role,
        terms,
    })
}

pub(super) async fn add(
    State(api): State<Api>,
    visitor: Visitor,
    At((group, service)): ServiceAt,
    asked: Asked,
) -> Answer {
    route_desk(&api, group, service, None).await?.show(&visitor, of_json(&asked))
}

pub(super) async fn create(
    State(api): State<Api>,
    visitor: Visitor,
    At((group, service)): ServiceAt,
    Extension(posted): Extension<Posted>,
) -> Answer {
    route_desk(&api, group, service, None).await?.take(&api, &visitor, &posted).await
}

type RouteAt = At<(GroupName, ServiceName, RouteName)>;

pub(super) async fn show(
    State(api): State<Api>,
    visitor: Visitor,
    At((group, service, route)): RouteAt,
    asked: Asked,
) -> Answer {
    route_desk(&api, group, service, Some(route)).await?.show(&visitor, of_json(&asked))
}

pub(super) async fn save(
    State(api): State<Api>,
    visitor: Visitor,
    At((group, service, route)): RouteAt,
    Extension(posted): Extension<Posted>,
) -> Answer {
    route_desk(&api, group, service, Some(route)).await?.take(&api, &visitor, &posted).await
}

async fn removal(api: &Api, at: (GroupName, ServiceName, RouteName)) -> Result<Removal, Problem> {
    let (group, service, route) = at;
    let (g, s, r) = (group.clone(), service.clone(), route.clone());
    let found = api.store.read(move |repository| repository.route(&g, &s, &r)).await?;
    Ok(Removal {
        title: format!("Delete route {route} of {service}"),
        lead: format!(
            "It goes from {group}. What it took goes to the next route that matches, or is answered \
             404. Other groups keep it until a version without it is synced to them."
        ),
        is_grave: false,
        crumbs: service_crumbs(&group, &service),
        back: format!("{}/routes", service_path(&group, &service)),
        verb: "Delete route",
        tag: found.etag,
        carried: Vec::new(),
        typed: None,
        operation: Operation::DeleteRoute { service, route },
        group,
    })
}

pub(super) async fn ask_delete(
    State(api): State<Api>,
    visitor: Visitor,
    At(at): RouteAt,
) -> Answer {
    removal(&api, at).await?.ask(&api, &visitor).await
}

pub(super) async fn delete(
    State(api): State<Api>,
    visitor: Visitor,
    At(at): RouteAt,
    Extension(posted): Extension<Posted>,
) -> Answer {
    removal(&api, at).await?.carry_out(&api, &visitor, &posted).await
}
