//! Add Service → Import from OpenAPI: a description of an API as a service, one route for each
//! operation, shown before anything is written.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use refgate_core::change::{Operation, Precondition};
use refgate_core::import::{Import, openapi};
use refgate_core::name::{CommitId, GroupName, ServiceName};

use super::Answer;
use super::editor::{self, Part, Preview, Terms, written_to};
use super::form::{Posted, Summary};
use super::page::{Frame, Visitor, html_with};
use super::parts::service_path;
use super::settings::group_crumbs;
use super::words::plain;
use crate::body::pasted;
use crate::http::Api;
use crate::http::path::At;
use crate::http::write::Done;
use crate::problem::{Kind, Problem};

/// A route that would be made.
struct Row {
    name: String,
    methods: String,
    paths: String,
}

#[derive(Template)]
#[template(path = "import.html")]
struct ImportPage {
    frame: Frame,
    group: GroupName,
    /// The text that was pasted.
    text: String,
    /// The name that the service shall have; empty: the description's.
    name: String,
    with_upstream: bool,
    faults: Summary,
    closed: Option<&'static str>,
    reason: String,
    found: Option<Found>,
}

/// What the description comes to.
struct Found {
    service: String,
    /// Whether the group has a service of this name.
    is_there: bool,
    routes: Vec<Row>,
    /// What could not be carried.
    notes: Vec<String>,
    preview: Option<Preview>,
    head: String,
}

pub(super) async fn show(
    State(api): State<Api>,
    visitor: Visitor,
    At((group,)): At<(GroupName,)>,
) -> Answer {
    page(&api, &visitor, group, &Posted::default(), StatusCode::OK, Vec::new(), None).await
}

async fn page(
    api: &Api,
    visitor: &Visitor,
    group: GroupName,
    posted: &Posted,
    status: StatusCode,
    faults: Vec<String>,
    found: Option<Found>,
) -> Answer {
    let page = ImportPage {
        closed: Terms::of(api, &group, Part::Content).await?.closed,
        reason: posted.text("reason").to_owned(),
        frame: visitor.frame("Import from OpenAPI", "groups", group_crumbs(&group)),
        text: posted.text("document").to_owned(),
        name: posted.text("name").to_owned(),
        with_upstream: posted.get("document").is_none() || posted.text("with_upstream") == "true",
        group,
        faults: Summary::of(faults).led("Nothing was imported."),
        found,
    };
    html_with(status, &page)
}

pub(super) async fn run(
    State(api): State<Api>,
    visitor: Visitor,
    At((group,)): At<(GroupName,)>,
    Extension(posted): Extension<Posted>,
) -> Answer {
    let mut found = None;
    match carry_out(&api, &visitor, &group, &posted, &mut found).await {
        Ok(Some(response)) => Ok(response),
        Ok(None) => page(&api, &visitor, group, &posted, StatusCode::OK, Vec::new(), found).await,
        Err(problem) => {
            let faults = match problem.kind() {
                Kind::ConcurrentUpdate => {
                    vec!["The group changed since the preview. Look at it again.".to_owned()]
                }
                _ => editor::faults(&problem, |_| None).of_form,
            };
            page(&api, &visitor, group, &posted, problem.kind().status(), faults, found).await
        }
    }
}

async fn carry_out(
    api: &Api,
    visitor: &Visitor,
    group: &GroupName,
    posted: &Posted,
    found: &mut Option<Found>,
) -> Result<Option<Response>, Problem> {
    let name = posted.given("name").map(|name| name.parse::<ServiceName>()).transpose();
    let name = name.map_err(|error| Problem::new(Kind::ValidationFailed, error.to_string()))?;
    if posted.given("document").is_none() {
        let detail = "Paste the description first, or choose its file.";
        return Err(Problem::new(Kind::ValidationFailed, detail));
    }
    let document = pasted(posted.text("document"))?;
    let import = openapi::read(&document, name).map_err(Problem::invalid)?;
    let (g, s) = (group.clone(), import.service.clone());
    let known = api.store.read(move |repository| repository.service(&g, &s)).await;
    let is_there = match known {
        Ok(_) => true,
        Err(problem) if problem.kind() == Kind::NotFound => false,
        Err(problem) => return Err(problem),
    };
    let mut write = visitor.write();
    if !is_there {
        write.precondition = Precondition::absent();
    }
    let service = import.service.clone();
    let operation = match is_there {
        true => Operation::PatchService { service, patch: import.patch() },
        false => {
            let with_upstream = posted.text("with_upstream") == "true";
            Operation::PutService { service, document: import.document(with_upstream) }
        }
    };
    let shown = found.insert(told(&import, is_there));
    write.dry_run = true;
    let planned = write.perform(api, group.clone(), operation.clone(), None).await?;
    if let Done::Planned(plan) = planned {
        shown.preview = Some(Preview::of(&plan));
        shown.head = plan.base_commit.map(|commit| commit.to_string()).unwrap_or_default();
    }
    if posted.text("action") != "apply" {
        return Ok(None);
    }
    write.dry_run = false;
    // What was shown is what is done.
    let write = write.expecting(posted.text("expect_head").parse::<CommitId>().ok());
    match write.perform(api, group.clone(), operation, posted.given("reason")).await? {
        Done::Written(written, _) => {
            Ok(Some(written_to(visitor, &service_path(group, &import.service), &written)))
        }
        Done::Planned(_) => Ok(None),
    }
}

fn told(import: &Import, is_there: bool) -> Found {
    let row = |route: &refgate_core::import::ImportedRoute| Row {
        name: route.name.to_string(),
        methods: plain(&route.document["methods"]),
        paths: plain(&route.document["paths"]),
    };
    let note = |note: &refgate_core::import::Note| match note.pointer.as_str() {
        "" => note.message.clone(),
        pointer => format!("{pointer}: {}", note.message),
    };
    Found {
        service: import.service.to_string(),
        is_there,
        routes: import.routes.iter().map(row).collect(),
        notes: import.notes.iter().map(note).collect(),
        preview: None,
        head: String::new(),
    }
}
