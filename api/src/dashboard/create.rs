//! Add Service → Add Manually: the whole of a new service on one page, with its first upstream and,
//! if one likes, its first route.

use axum::Extension;
use axum::extract::State;
use refgate_core::change::Operation;
use refgate_core::diagnostic::{Code, Diagnostic};
use refgate_core::json::join;
use refgate_core::name::{GroupName, ServiceName};
use serde_json::{Map, Value, json};

use super::Answer;
use super::editor::{Condition, Editor, Part, Subject, Terms};
use super::fields;
use super::form::{Faults, Field, Kind, Posted, Section, set};
use super::page::{Asked, Visitor};
use super::parts::service_path;
use super::settings::{group_crumbs, name_field, named, of_json};
use super::upstream::empty_upstream;
use crate::auth::Role;
use crate::http::Api;
use crate::http::path::At;
use crate::problem::Problem;

/// The key of the first route while it has no name.
const UNNAMED: &str = "first-route";

struct NewService;

impl Subject for NewService {
    fn sections(&self, document: &Value, posted: &Posted) -> Vec<Section> {
        let upstream = first(&document["runtime"]["upstreams"]).unwrap_or("default").to_owned();
        let route = first(&document["routes"]).unwrap_or(UNNAMED).to_owned();
        let at_upstream = join("/runtime/upstreams", &upstream);
        let at_route = join("/routes", &route);
        let mut service = vec![
            name_field(posted),
            Field::new("/type", "Type", Kind::Select(vec![("http".into(), "HTTP".into())])),
            Field::new("/description", "Description", Kind::Text),
        ];
        let mut sections = Vec::new();
        sections.push(Section::new("Service", std::mem::take(&mut service)));
        let named = Field::new("upstream_name", "Upstream name", Kind::Name).holding(&upstream);
        let nodes = vec![named, fields::nodes(&at_upstream)];
        sections.push(Section::new("Upstream", nodes));
        let connection = fields::connection(&at_upstream);
        sections.push(Section::new("Connection configuration", connection));
        sections.push(Section::new("Hosts", vec![fields::hosts("/runtime")]));
        let name = if route == UNNAMED { "" } else { &route };
        let mut fields = vec![
            Field::lead(
                "first_route",
                "Add First Route",
                posted,
                first(&document["routes"]).is_some(),
            ),
            Field::new("route_name", "Route name", Kind::Name)
                .help("a-z, 0-9 and -")
                .holding(posted.get("route_name").unwrap_or(name)),
        ];
        fields.extend(fields::basics(&at_route));
        sections.push(Section::new("First route", fields));
        sections
    }

    fn reshape(&self, document: &mut Value, posted: &Posted) {
        if posted.text("view") != "form" {
            return;
        }
        let upstream = posted.text("upstream_name").trim();
        rename(&mut document["runtime"]["upstreams"], upstream);
        rename(&mut document["routes"], posted.text("route_name").trim());
        let (Some(route), Some(upstream)) = (
            first(&document["routes"]).map(str::to_owned),
            first(&document["runtime"]["upstreams"]).map(str::to_owned),
        ) else {
            return;
        };
        let pointer = join(&join("/routes", &route), "upstream");
        set(document, &pointer, Some(upstream.into()));
    }

    fn operation(
        &self,
        mut document: Value,
        posted: &Posted,
        faults: &mut Faults,
    ) -> Option<Operation> {
        let service: ServiceName = named(posted, faults)?;
        if posted.text("view") == "form" {
            if posted.text("first_route") != "true" {
                document["routes"] = json!({});
            } else if posted.text("route_name").trim().is_empty() {
                faults.beside("route_name", "A route needs a name.");
            }
        }
        Some(Operation::PutService { service, document })
    }

    fn locate(&self, finding: &Diagnostic) -> Option<String> {
        let parts: Vec<&str> = finding.file.split('/').collect();
        let pointer = match parts[..] {
            ["services", _, "service.json"] => finding.pointer.clone(),
            ["services", _, "routes", route] => {
                let route = route.strip_suffix(".json")?;
                format!("{}{}", join("/routes", route), finding.pointer)
            }
            ["runtime", _] => format!("/runtime{}", finding.pointer),
            _ => return None,
        };
        if finding.code == Code::BadName && pointer.matches('/').count() == 2 {
            return Some("route_name".to_owned());
        }
        if finding.code == Code::BadName && pointer.matches('/').count() == 3 {
            return Some("upstream_name".to_owned());
        }
        Some(pointer)
    }
}

/// The first key of an object.
fn first(value: &Value) -> Option<&str> {
    value.as_object()?.keys().next().map(String::as_str)
}

/// Calls the first entry of an object so.
fn rename(value: &mut Value, name: &str) {
    let Some(object) = value.as_object_mut() else { return };
    let Some(old) = object.keys().next().cloned() else { return };
    if name.is_empty() || name == old {
        return;
    }
    let mut renamed = Map::new();
    for (key, value) in std::mem::take(object) {
        renamed.insert(if key == old { name.to_owned() } else { key }, value);
    }
    *object = renamed;
}

async fn desk(api: &Api, group: GroupName, posted: &Posted) -> Result<Editor<NewService>, Problem> {
    let back = match posted.text("name").trim().parse::<ServiceName>() {
        Ok(service) => service_path(&group, &service),
        Err(_) => format!("/groups/{group}"),
    };
    Ok(Editor {
        subject: NewService,
        title: "Add Service manually".to_owned(),
        lead: format!(
            "It comes to stand in {group} in the No Version state. It gets a version when it is \
             synced to another group."
        ),
        crumbs: group_crumbs(&group),
        document: json!({
            "type": "http", "description": "",
            "routes": {UNNAMED: {"paths": [], "methods": [], "upstream": "default"}},
            "runtime": {"hosts": [], "upstreams": {"default": empty_upstream()}},
        }),
        condition: Condition::Absent,
        back,
        verb: "Add service",
        delete: None,
        role: Role::Editor,
        terms: Terms::of(api, &group, Part::Content).await?,
        group,
    })
}

pub(super) async fn show(
    State(api): State<Api>,
    visitor: Visitor,
    At((group,)): At<(GroupName,)>,
    asked: Asked,
) -> Answer {
    desk(&api, group, &Posted::default()).await?.show(&visitor, of_json(&asked))
}

pub(super) async fn save(
    State(api): State<Api>,
    visitor: Visitor,
    At((group,)): At<(GroupName,)>,
    Extension(posted): Extension<Posted>,
) -> Answer {
    desk(&api, group, &posted).await?.take(&api, &visitor, &posted).await
}
