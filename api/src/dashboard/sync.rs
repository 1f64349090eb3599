//! Sync to Other Gateway Group: which version goes where, what it would change there, what stands in
//! its way, and of a first sync the hosts and nodes of the target, all in one form.
//!
//! A conflict is settled where it is shown, each for itself. What was shown is what is done: the
//! write asks for the commit of the target and the content of the source that the preview was made of.

use std::collections::BTreeMap;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use refgate_core::Conflict;
use refgate_core::change::{Operation, Sync, SyncSource};
use refgate_core::diagnostic::Diagnostic;
use refgate_core::diff;
use refgate_core::json::join;
use refgate_core::merge::{OnConflict, Settled};
use refgate_core::name::{CommitId, GroupName, ServiceName};
use refgate_core::view::{GroupView, ServiceView};
use serde_json::{Value, json};

use super::Answer;
use super::editor::{self, Preview};
use super::fields;
use super::form::{self, Faults, Posted, Section, Sections, Summary};
use super::page::{Asked, Frame, Visitor, html_with};
use super::parts::{Badge, service_path};
use super::settings::{of_runtime, service_crumbs};
use super::upstream::empty_upstream;
use super::version::next;
use super::words;
use crate::http::Api;
use crate::http::path::At;
use crate::http::write::Done;
use crate::problem::{Kind, Problem};

/// A group that a version can go to.
struct Target {
    name: String,
    label: String,
    chosen: bool,
}

/// A conflict with the choice that was made.
struct Clash {
    index: usize,
    file: String,
    title: String,
    pointer: String,
    /// The same as people say it.
    place: String,
    base: String,
    ours: String,
    theirs: String,
    take_ours: bool,
    take_theirs: bool,
}

#[derive(Template)]
#[template(path = "sync.html")]
struct SyncPage {
    frame: Frame,
    group: GroupName,
    service: ServiceName,
    badge: Badge,
    /// The number that the content has; nothing: it gets one.
    number: Option<String>,
    version: String,
    /// The version that goes, when it is not what the group has.
    source: String,
    targets: Vec<Target>,
    to: String,
    first: bool,
    sections: Sections,
    clashes: Vec<Clash>,
    /// Of how many of them nothing was chosen yet.
    open: usize,
    reason: String,
    faults: Summary,
    version_faults: Vec<String>,
    preview: Option<Preview>,
    head: String,
    etag: String,
    back: String,
    here: String,
}

/// What the page is made of.
struct Desk {
    group: GroupName,
    service: ServiceName,
    view: ServiceView,
    groups: Vec<GroupView>,
    proposed: Option<String>,
}

impl Desk {
    async fn find(api: &Api, group: GroupName, service: ServiceName) -> Result<Self, Problem> {
        let (g, s) = (group.clone(), service.clone());
        api.store
            .read(move |repository| {
                let view = repository.service(&g, &s)?;
                let proposed = next(view.state.version.is_some(), &repository.versions(&s)?);
                let groups = repository.groups()?;
                Ok::<_, refgate_core::Error>(Self { group: g, service: s, view, groups, proposed })
            })
            .await
    }

    /// What the target gets where it knows nothing of the service yet: the upstreams of the source,
    /// without nodes.
    fn runtime(&self) -> Value {
        let mut upstreams = self.view.runtime["upstreams"].as_object().cloned().unwrap_or_default();
        for upstream in upstreams.values_mut() {
            upstream["nodes"] = json!([]);
        }
        // One that a route names and that nobody has made yet is asked for all the same.
        for route in self.view.routes.as_object().into_iter().flatten().map(|(_, route)| route) {
            let name = route["upstream"].as_str().unwrap_or("default");
            upstreams.entry(name).or_insert_with(empty_upstream);
        }
        json!({"hosts": [], "upstreams": upstreams})
    }

    fn sections(&self, to: &str) -> Vec<Section> {
        let mut sections = vec![
            Section::new(&format!("Hosts in {to}"), vec![fields::hosts("")])
                .help("Hosts and nodes belong to the group and do not travel."),
        ];
        let runtime = self.runtime();
        let upstreams = runtime["upstreams"].as_object().into_iter().flatten();
        for (name, _) in upstreams {
            let prefix = join("/upstreams", name);
            let title = format!("Upstream {name} in {to}");
            let mut fields = vec![fields::nodes(&prefix)];
            fields.extend(fields::connection(&prefix));
            sections.push(Section::new(&title, fields));
        }
        sections
    }

    /// The groups that it can go to: a version by its number may come to this one, too.
    fn targets(&self, to: &str, source: &str) -> Vec<Target> {
        let takes = |group: &&GroupView| {
            (group.name != self.group || !source.is_empty())
                && group.document["type"] != "ingress"
                && group.damage.is_none()
        };
        let target = |group: &GroupView| {
            let from = &group.document["promotion"]["from"];
            let rule = match from.as_array().is_none_or(Vec::is_empty) {
                true => String::new(),
                false => format!(" (takes what ran in {})", words::plain(from)),
            };
            Target {
                label: format!("{}{rule}", group.name),
                chosen: group.name.as_str() == to,
                name: group.name.to_string(),
            }
        };
        self.groups.iter().filter(takes).map(target).collect()
    }

    /// The group that is most likely meant: one that takes versions from here, and has not this one.
    fn likely(&self) -> String {
        let takes = |group: &&GroupView| group.name != self.group && group.damage.is_none();
        let from_here = |group: &&GroupView| {
            let from = group.document["promotion"]["from"].as_array();
            from.is_some_and(|from| from.iter().any(|name| *name == *self.group.as_str()))
        };
        let open = |group: &&GroupView| {
            group.document["promotion"]["from"].as_array().is_none_or(Vec::is_empty)
                && group.document["type"] != "ingress"
        };
        let groups = || self.groups.iter().filter(takes);
        // A group that feeds nobody else is the end of the way, not the next step.
        let feeds = |group: &&GroupView| {
            self.groups.iter().any(|other| {
                let from = other.document["promotion"]["from"].as_array();
                from.is_some_and(|from| from.iter().any(|name| *name == *group.name.as_str()))
            })
        };
        let found = groups().find(from_here).or_else(|| groups().filter(open).find(feeds));
        let found = found.or_else(|| groups().find(open));
        found.map(|group| group.name.to_string()).unwrap_or_default()
    }
}

/// What is asked for.
struct Order {
    to: String,
    /// The number for content that has none.
    version: String,
    source: String,
    posted: Posted,
    apply: bool,
}

pub(super) async fn show(
    State(api): State<Api>,
    visitor: Visitor,
    At((group, service)): At<(GroupName, ServiceName)>,
    asked: Asked,
) -> Answer {
    let desk = Desk::find(&api, group, service).await?;
    let to = match asked.text("to") {
        "" => desk.likely(),
        to => to.to_owned(),
    };
    let order = Order {
        to,
        version: desk.proposed.clone().unwrap_or_default(),
        source: asked.text("source").to_owned(),
        posted: Posted::default(),
        apply: false,
    };
    page(&api, &visitor, &desk, order).await
}

pub(super) async fn run(
    State(api): State<Api>,
    visitor: Visitor,
    At((group, service)): At<(GroupName, ServiceName)>,
    Extension(posted): Extension<Posted>,
) -> Answer {
    let desk = Desk::find(&api, group, service).await?;
    let text = |name: &str| posted.text(name).trim().to_owned();
    let order = Order {
        to: text("to"),
        version: text("version"),
        source: text("source"),
        apply: posted.text("action") == "apply",
        posted,
    };
    page(&api, &visitor, &desk, order).await
}

/// What came of an order, as far as it can be shown.
#[derive(Default)]
struct Shown {
    status: StatusCode,
    conflicts: Vec<Conflict>,
    preview: Option<Preview>,
    head: String,
    faults: Faults,
}

async fn page(api: &Api, visitor: &Visitor, desk: &Desk, order: Order) -> Answer {
    let Desk { group, service, view, .. } = desk;
    let mut sections = Vec::new();
    let mut runtime = None;
    let mut shown = Shown::default();
    if let Ok(to) = order.to.parse::<GroupName>() {
        let (t, s) = (to.clone(), service.clone());
        let known = api.store.read(move |repository| repository.service(&t, &s)).await;
        if known.is_err_and(|problem| problem.kind() == Kind::NotFound) {
            let mut document = desk.runtime();
            sections = desk.sections(&order.to);
            if order.posted.get("first").is_some_and(|first| first == order.to) {
                shown.faults = form::read(&sections, &order.posted, &mut document);
            }
            runtime = Some(document);
        }
        match carry_out(api, visitor, desk, &order, to, runtime.clone(), &mut shown).await {
            Ok(Some(response)) => return Ok(response),
            Ok(None) => {}
            Err(problem) => {
                let located = |finding: &Diagnostic| of_runtime(service, finding);
                let faults = editor::faults(&problem, located);
                shown.status = problem.kind().status();
                shown.faults.join(faults);
            }
        }
    } else if !order.to.is_empty() {
        shown.faults.of_form.push("Choose the group to sync to.".to_owned());
        shown.status = StatusCode::UNPROCESSABLE_ENTITY;
    }
    let document = runtime.unwrap_or_default();
    let first = !sections.is_empty();
    let of_version = shown.faults.of_fields.extract_if(.., |(field, _)| field == "version");
    let version_faults: Vec<String> = of_version.map(|(_, message)| message).collect();
    let mut faults = form::show(&mut sections, &document, &shown.faults).led("Nothing was synced.");
    for fault in &version_faults {
        faults.also("version", "Version", fault);
    }
    let number = match order.source.as_str() {
        "" => view.state.version.as_ref().map(ToString::to_string),
        source => Some(source.to_owned()),
    };
    let clashes = clashes(&shown.conflicts, &order.posted);
    let page = SyncPage {
        open: match order.posted.beginning("conflict/").next() {
            Some(_) => clashes.iter().filter(|one| !one.take_ours && !one.take_theirs).count(),
            // They are shown for the first time.
            None => 0,
        },
        frame: visitor.frame(format!("Sync {service}"), "groups", service_crumbs(group, service)),
        group: group.clone(),
        service: service.clone(),
        badge: match order.source.as_str() {
            "" => Badge::of(&view.state),
            source => Badge::text(source),
        },
        number,
        version: order.version.clone(),
        targets: desk.targets(&order.to, &order.source),
        first,
        sections: Sections(sections),
        clashes,
        reason: order.posted.text("reason").to_owned(),
        faults,
        version_faults,
        preview: shown.preview,
        head: shown.head,
        etag: view.etag.clone(),
        back: service_path(group, service),
        here: format!("{}/sync", service_path(group, service)),
        source: order.source,
        to: order.to,
    };
    html_with(shown.status, &page)
}

/// Plans, shows what is in the way, and does it when that was asked for.
async fn carry_out(
    api: &Api,
    visitor: &Visitor,
    desk: &Desk,
    order: &Order,
    to: GroupName,
    runtime: Option<Value>,
    shown: &mut Shown,
) -> Result<Option<Response>, Problem> {
    if !shown.faults.of_fields.is_empty() {
        return Ok(None);
    }
    let mut settled = settled(&order.posted);
    let source = match order.source.as_str() {
        "" => SyncSource::Group {
            group: desk.group.clone(),
            version: match &desk.view.state.version {
                Some(version) => Some(version.to_string()),
                None => Some(order.version.clone()).filter(|version| !version.is_empty()),
            },
        },
        version => SyncSource::Version(version.to_owned()),
    };
    let operation = |settled: Settled| {
        Operation::Sync(Sync {
            services: vec![(desk.service.clone(), source.clone())],
            runtime: runtime.clone(),
            on_conflict: OnConflict::Abort,
            settled,
        })
    };
    let mut plan = visitor.write();
    plan.dry_run = true;
    let reason = order.posted.given("reason");
    // All conflicts stay on the page, those that are settled too.
    let mut planned = plan.perform(api, to.clone(), operation(Settled::new()), None).await;
    if let Err(problem) = &planned {
        shown.conflicts = problem.conflicts().to_vec();
    }
    // What was settled before the target changed may be no conflict any more.
    settled.retain(|(file, pointer), _| {
        shown.conflicts.iter().any(|one| one.file == *file && one.pointer == *pointer)
    });
    if !settled.is_empty() {
        planned = plan.perform(api, to.clone(), operation(settled.clone()), None).await;
    }
    let planned = match planned {
        Ok(Done::Planned(planned)) => planned,
        Ok(Done::Written(..)) => return Ok(None),
        Err(problem) if problem.kind() == Kind::PromotionConflict => {
            shown.status = StatusCode::CONFLICT;
            return Ok(None);
        }
        Err(problem) if is_of_version(&problem) => {
            shown.status = problem.kind().status();
            let fault = ("version".to_owned(), problem.detail().to_owned());
            shown.faults.of_fields.push(fault);
            return Ok(None);
        }
        Err(problem) => return Err(problem),
    };
    shown.preview = Some(Preview::of(&planned));
    shown.head = planned.base_commit.map(|commit| commit.to_string()).unwrap_or_default();
    if !order.apply {
        return Ok(None);
    }
    let previewed = order.posted.text("expect_head").parse::<CommitId>().ok();
    if order.posted.get("etag").is_some_and(|etag| etag != desk.view.etag) {
        let fault = "The service changed here since the preview. Look at it again before you sync.";
        shown.faults.of_form.push(fault.to_owned());
        shown.status = StatusCode::CONFLICT;
        return Ok(None);
    }
    let write = visitor.write().expecting(previewed);
    match write.perform(api, to.clone(), operation(settled), reason).await {
        Ok(Done::Written(written, _)) => {
            let mut notice = editor::notice(&written);
            if let Some(outcome) = written.services.first() {
                let title = format!("{} {}", outcome.service, outcome.version);
                let (t, s) = (to.clone(), desk.service.clone());
                let now = api.store.read(move |repository| repository.service(&t, &s)).await?;
                let is_whole = now.state.version.as_ref() == Some(&outcome.version);
                let revision = written.revision;
                notice.text = match (written.changed, is_whole) {
                    (true, true) => format!("{title} is in {to}, as revision {revision}."),
                    (true, false) => format!(
                        "{title} came to {to} as revision {revision}, beside what {to} keeps of its own."
                    ),
                    (false, _) => {
                        format!("{title} brings nothing new to {to}, which stays as it is.")
                    }
                };
            }
            Ok(Some(visitor.go(&service_path(&to, &desk.service), notice)))
        }
        Ok(Done::Planned(_)) => Ok(None),
        Err(problem) if problem.kind() == Kind::ConcurrentUpdate => {
            let fault =
                format!("{to} changed since the preview, which is new now. Look at it again.");
            shown.faults.of_form.push(fault);
            shown.status = StatusCode::CONFLICT;
            Ok(None)
        }
        Err(problem) => Err(problem),
    }
}

/// Whether a problem is about the number, beside whose field it is told.
fn is_of_version(problem: &Problem) -> bool {
    matches!(
        problem.kind(),
        Kind::BadVersion | Kind::VersionTaken | Kind::VersionRequired | Kind::VersionMismatch
    )
}

/// The choices that were made, by file and pointer.
fn settled(posted: &Posted) -> Settled {
    let mut places: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    for (rest, text) in posted.beginning("conflict/") {
        if let Some((index, key)) = rest.split_once('/') {
            let place = places.entry(index).or_default();
            match key {
                "file" => place.0 = text,
                "pointer" => place.1 = text,
                _ => {}
            }
        }
    }
    let chosen = places.into_iter().filter_map(|(index, (file, pointer))| {
        let winner = match posted.text(&format!("choice/{index}")) {
            "ours" => OnConflict::Ours,
            "theirs" => OnConflict::Theirs,
            _ => return None,
        };
        Some(((file.to_owned(), pointer.to_owned()), winner))
    });
    chosen.collect()
}

fn clashes(conflicts: &[Conflict], posted: &Posted) -> Vec<Clash> {
    let settled = settled(posted);
    let text = |value: &Value| match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) if text.is_empty() => "empty".to_owned(),
        Value::String(text) => text.clone(),
        other => words::pretty(other),
    };
    let clash = |(index, conflict): (usize, &Conflict)| {
        let chosen = settled.get(&(conflict.file.clone(), conflict.pointer.clone()));
        Clash {
            index,
            title: words::title(&conflict.file),
            file: conflict.file.clone(),
            place: diff::place(&conflict.pointer),
            pointer: conflict.pointer.clone(),
            base: text(&conflict.base),
            ours: text(&conflict.ours),
            theirs: text(&conflict.theirs),
            take_ours: chosen == Some(&OnConflict::Ours),
            take_theirs: chosen == Some(&OnConflict::Theirs),
        }
    };
    conflicts.iter().enumerate().map(clash).collect()
}
