//! Consumers, certificates and global rules of a group: listed, added, changed, removed. One
//! implementation for the three.

use askama::Template;
use axum::Extension;
use axum::extract::{RawPathParams, State};
use axum::http::{Method, Uri};
use refgate_core::change::Operation;
use refgate_core::diagnostic::Diagnostic;
use refgate_core::name::GroupName;
use refgate_core::object::{ObjectKind, ObjectName};
use serde_json::{Value, json};

use super::editor::{Condition, Editor, Part, Subject, Terms};
use super::form::{Faults, Posted, Section};
use super::group::Head;
use super::page::{Asked, Frame, Visitor, crumb, html};
use super::parts::Pager;
use super::remove::Removal;
use super::settings::{group_crumbs, name_field, named_by};
use super::{Answer, fields};
use crate::auth::Role;
use crate::http::path::At;
use crate::http::{Api, Endpoint, Guard, endpoint};
use crate::problem::{Kind, Problem};

/// The pages of a kind, by the folder that its objects are in.
pub(super) fn pages(folder: &'static str) -> [Endpoint; 7] {
    const READ: Guard = Guard::Page(Role::Viewer);
    const WRITE: Guard = Guard::Page(Role::Editor);
    let [all, new, one, gone] = match folder {
        "consumers" => [
            "/groups/{group}/consumers",
            "/groups/{group}/consumers/~new",
            "/groups/{group}/consumers/{name}",
            "/groups/{group}/consumers/{name}/delete",
        ],
        "certificates" => [
            "/groups/{group}/certificates",
            "/groups/{group}/certificates/~new",
            "/groups/{group}/certificates/{name}",
            "/groups/{group}/certificates/{name}/delete",
        ],
        _ => [
            "/groups/{group}/global-rules",
            "/groups/{group}/global-rules/~new",
            "/groups/{group}/global-rules/{name}",
            "/groups/{group}/global-rules/{name}/delete",
        ],
    };
    [
        endpoint(Method::GET, all, READ, list),
        endpoint(Method::GET, new, WRITE, add),
        endpoint(Method::POST, new, WRITE, create),
        endpoint(Method::GET, one, READ, show),
        endpoint(Method::POST, one, WRITE, save),
        endpoint(Method::GET, gone, WRITE, ask_delete),
        endpoint(Method::POST, gone, WRITE, delete),
    ]
}

/// A row of the list.
struct Row {
    name: String,
    description: String,
    /// What matters of it, in a few words.
    about: String,
}

#[derive(Template)]
#[template(path = "objects.html")]
struct ObjectsPage {
    frame: Frame,
    head: Head,
    folder: &'static str,
    noun: &'static str,
    why: &'static str,
    about: &'static str,
    rows: Vec<Row>,
    /// Whether there is any at all.
    is_empty: bool,
    query: String,
    pager: Pager,
    may_edit: bool,
}

/// The kind that a page is about: its folder is the third part of the path.
fn kind(uri: &Uri) -> Result<ObjectKind, Problem> {
    let folder = uri.path().split('/').nth(3).and_then(ObjectKind::of_folder);
    folder.ok_or_else(|| Problem::new(Kind::NotFound, "there is nothing at this path"))
}

fn name(kind: ObjectKind, params: &RawPathParams) -> Result<ObjectName, Problem> {
    let text = params.iter().find(|(name, _)| *name == "name").map_or("", |(_, text)| text);
    kind.named(text).map_err(|error| Problem::new(Kind::NotFound, error.to_string()))
}

async fn list(
    State(api): State<Api>,
    visitor: Visitor,
    At((group,)): At<(GroupName,)>,
    uri: Uri,
    asked: Asked,
) -> Answer {
    let kind = kind(&uri)?;
    let head = Head::of(&api, &group, kind.folder()).await?;
    let query = asked.text("q").to_owned();
    let base =
        format!("/groups/{group}/{}?q={}&page=", kind.folder(), super::overview::encoded(&query));
    let name = group.clone();
    let objects = api.store.read(move |repository| repository.objects(&name, kind)).await?;
    let is_empty = objects.is_empty();
    let rows = objects.into_iter().map(|(name, document)| Row {
        name,
        description: document["description"].as_str().unwrap_or_default().to_owned(),
        about: about(kind, &document),
    });
    let found = |row: &Row| [&row.name, &row.about].iter().any(|text| text.contains(&query));
    let rows: Vec<Row> = rows.filter(found).collect();
    let (why, column) = match kind {
        ObjectKind::Consumer => {
            ("A consumer is somebody who calls services, known by credentials.", "Credentials")
        }
        ObjectKind::Certificate => {
            ("A certificate is what gateways show to clients that speak TLS.", "Names")
        }
        ObjectKind::GlobalRule => {
            ("A global rule has plugins that run for every request of the group.", "Plugins")
        }
    };
    html(&ObjectsPage {
        frame: visitor.frame(
            format!("{} of {group}", kind.folder()),
            "groups",
            group_crumbs(&group),
        ),
        may_edit: visitor.may_edit() && !head.read_only,
        head,
        folder: kind.folder(),
        noun: kind.noun(),
        why,
        about: column,
        is_empty,
        pager: Pager::new(base, asked.page(), rows.len()),
        rows: asked.part(rows),
        query,
    })
}

fn about(kind: ObjectKind, document: &Value) -> String {
    let keys = |key: &str| -> String {
        let names = document[key].as_object().into_iter().flatten().map(|(name, _)| name.as_str());
        names.collect::<Vec<_>>().join(", ")
    };
    match kind {
        ObjectKind::Consumer => keys("credentials"),
        ObjectKind::GlobalRule => keys("plugins"),
        ObjectKind::Certificate => super::words::plain(&document["snis"]),
    }
}

struct ObjectSubject {
    kind: ObjectKind,
    /// The object, unless it is new.
    object: Option<ObjectName>,
}

impl Subject for ObjectSubject {
    fn sections(&self, _: &Value, posted: &Posted) -> Vec<Section> {
        let mut sections = match self.kind {
            ObjectKind::Consumer => fields::consumer(),
            ObjectKind::Certificate => fields::certificate(),
            ObjectKind::GlobalRule => fields::global_rule(),
        };
        if self.object.is_none() {
            let mut name = name_field(posted);
            if self.kind == ObjectKind::Consumer {
                name = name.help("A-Z, a-z, 0-9, - and _, at most 256.");
            }
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
        let object = match &self.object {
            Some(object) => object.clone(),
            None => named_by(posted, faults, |text| self.kind.named(text))?,
        };
        Some(Operation::PutObject { object, document })
    }

    fn locate(&self, finding: &Diagnostic) -> Option<String> {
        let ours = match &self.object {
            Some(object) => finding.file == object.path(),
            None => finding.file.starts_with(self.kind.folder()),
        };
        ours.then(|| finding.pointer.clone())
    }
}

async fn desk(
    api: &Api,
    group: GroupName,
    kind: ObjectKind,
    object: Option<ObjectName>,
) -> Result<Editor<ObjectSubject>, Problem> {
    let back = format!("/groups/{group}/{}", kind.folder());
    let noun = kind.noun();
    let (title, verb, document, condition, delete) = match &object {
        Some(object) => {
            let (asked, which) = (group.clone(), object.clone());
            let found = api.store.read(move |repository| repository.object(&asked, &which)).await?;
            let path = format!("{back}/{}/delete", object.as_str());
            let delete = crumb(format!("Delete this {noun}"), path);
            let title = format!("{noun} {}", object.as_str());
            (title, "Save", found.value, Condition::Same(found.etag), Some(delete))
        }
        None => {
            let document = match kind {
                ObjectKind::Consumer => json!({"credentials": {}, "plugins": {}}),
                ObjectKind::Certificate => {
                    json!({"snis": [], "certificate": "", "private_key": ""})
                }
                ObjectKind::GlobalRule => json!({"plugins": {}}),
            };
            (format!("Add {noun}"), "Add", document, Condition::Absent, None)
        }
    };
    let mut crumbs = group_crumbs(&group);
    crumbs.push(crumb(format!("{noun}s"), &*back));
    let subject = ObjectSubject { kind, object };
    let lead = "This belongs to the group and is never promoted.".to_owned();
    let (role, terms) = (Role::Editor, Terms::of(api, &group, Part::Owned).await?);
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

async fn add(
    State(api): State<Api>,
    visitor: Visitor,
    At((group,)): At<(GroupName,)>,
    uri: Uri,
    asked: Asked,
) -> Answer {
    let as_json = asked.text("view") == "json";
    desk(&api, group, kind(&uri)?, None).await?.show(&visitor, as_json)
}

async fn create(
    State(api): State<Api>,
    visitor: Visitor,
    At((group,)): At<(GroupName,)>,
    uri: Uri,
    Extension(posted): Extension<Posted>,
) -> Answer {
    desk(&api, group, kind(&uri)?, None).await?.take(&api, &visitor, &posted).await
}

async fn show(
    State(api): State<Api>,
    visitor: Visitor,
    At((group,)): At<(GroupName,)>,
    uri: Uri,
    params: RawPathParams,
    asked: Asked,
) -> Answer {
    let kind = kind(&uri)?;
    let object = name(kind, &params)?;
    let as_json = asked.text("view") == "json";
    desk(&api, group, kind, Some(object)).await?.show(&visitor, as_json)
}

async fn save(
    State(api): State<Api>,
    visitor: Visitor,
    At((group,)): At<(GroupName,)>,
    uri: Uri,
    params: RawPathParams,
    Extension(posted): Extension<Posted>,
) -> Answer {
    let kind = kind(&uri)?;
    let object = name(kind, &params)?;
    desk(&api, group, kind, Some(object)).await?.take(&api, &visitor, &posted).await
}

async fn removal(
    api: &Api,
    group: GroupName,
    uri: &Uri,
    params: &RawPathParams,
) -> Result<Removal, Problem> {
    let kind = kind(uri)?;
    let object = name(kind, params)?;
    let (asked, which) = (group.clone(), object.clone());
    let found = api.store.read(move |repository| repository.object(&asked, &which)).await?;
    let noun = kind.noun();
    let follows = match kind {
        ObjectKind::Consumer => "Its credentials open nothing any more.",
        ObjectKind::Certificate => "Clients of its names are shown another certificate, or none.",
        ObjectKind::GlobalRule => "Its plugins run no longer.",
    };
    let back = format!("/groups/{group}/{}", kind.folder());
    let mut crumbs = group_crumbs(&group);
    crumbs.push(crumb(format!("{noun}s"), &*back));
    Ok(Removal {
        title: format!("Delete {noun} {}", object.as_str()),
        lead: format!("It goes from {group}. {follows}"),
        is_grave: false,
        crumbs,
        back,
        verb: "Delete",
        tag: found.etag,
        carried: Vec::new(),
        typed: None,
        operation: Operation::DeleteObject { object },
        group,
    })
}

async fn ask_delete(
    State(api): State<Api>,
    visitor: Visitor,
    At((group,)): At<(GroupName,)>,
    uri: Uri,
    params: RawPathParams,
) -> Answer {
    removal(&api, group, &uri, &params).await?.ask(&api, &visitor).await
}

async fn delete(
    State(api): State<Api>,
    visitor: Visitor,
    At((group,)): At<(GroupName,)>,
    uri: Uri,
    params: RawPathParams,
    Extension(posted): Extension<Posted>,
) -> Answer {
    removal(&api, group, &uri, &params).await?.carry_out(&api, &visitor, &posted).await
}
