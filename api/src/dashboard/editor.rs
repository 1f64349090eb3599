//! A document on a page: as a form or as JSON, the same document in both; what a save would change
//! before it does; and what somebody else changed meanwhile, with nothing lost that was typed.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use refgate_core::change::{Operation, PlanView, Precondition, Written};
use refgate_core::diagnostic::Diagnostic;
use refgate_core::document;
use refgate_core::json;
use refgate_core::name::GroupName;
use refgate_core::view::GroupView;
use serde_json::Value;

use super::Answer;
use super::form::{self, Faults, Posted, Section, Sections, Summary};
use super::page::{Crumb, Frame, Visitor, html_with};
use super::parts::EventRow;
use super::session::Notice;
use super::words::{self, Changes};
use crate::auth::Role;
use crate::http::Api;
use crate::http::write::Done;
use crate::problem::{Kind, Problem};

/// The field of what a thing is called, which stands in no document.
pub(super) const NAME: &str = "name";

/// What is edited: its fields, and what saving it does.
pub(super) trait Subject {
    /// The fields. What stands beside the document is taken from what was posted.
    fn sections(&self, document: &Value, posted: &Posted) -> Vec<Section>;

    /// Takes over into the document what fields beside it say.
    fn reshape(&self, _document: &mut Value, _posted: &Posted) {}

    /// What saving it does, and beside it what is wrong before anybody is asked. A name that is none
    /// has a stand-in, so that the rest is judged all the same; nothing where there can be none.
    fn operation(&self, document: Value, posted: &Posted, faults: &mut Faults)
    -> Option<Operation>;

    /// The pointer in the document that a finding is about, if it is about the document.
    fn locate(&self, finding: &Diagnostic) -> Option<String>;
}

/// What must hold of the thing when it is saved.
pub(super) enum Condition {
    /// It is the one that was read, by its entity tag.
    Same(String),
    /// There is none.
    Absent,
}

/// A thing on the desk.
pub(super) struct Editor<S> {
    pub(super) subject: S,
    pub(super) group: GroupName,
    pub(super) title: String,
    pub(super) lead: String,
    pub(super) crumbs: Vec<Crumb>,
    /// What it is now.
    pub(super) document: Value,
    pub(super) condition: Condition,
    /// Where to go when it is done.
    pub(super) back: String,
    /// What the button that saves says.
    pub(super) verb: &'static str,
    /// Where it is taken away, if it can be, and what that is called.
    pub(super) delete: Option<Crumb>,
    /// The role that may save it.
    pub(super) role: Role,
    pub(super) terms: Terms,
}

/// On which terms something in a group is edited.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Terms {
    /// Why nobody may save it, whatever the role.
    pub(super) closed: Option<&'static str>,
    /// Whether it is looked at before it is saved: the group is production.
    pub(super) looks_first: bool,
}

impl Terms {
    /// Those of a part of a group.
    pub(super) async fn of(api: &Api, group: &GroupName, part: Part) -> Result<Self, Problem> {
        let name = group.clone();
        let view = api.store.read(move |repository| repository.group(&name)).await?;
        let closed = match part {
            _ if view.document["type"] == "ingress" => Some(
                "This group is of type ingress: it is written by its controller and read-only here.",
            ),
            Part::Content if view.document["promotion"]["direct_edits"] == "runtime-only" => {
                Some("This group takes changes of services by sync and rollback only.")
            }
            Part::Content | Part::Owned => None,
        };
        Ok(Self { closed, looks_first: is_production(&view) })
    }
}

/// Whether a group is production.
pub(super) fn is_production(group: &GroupView) -> bool {
    let env = group.document["labels"]["env"].as_str();
    document::group::is_production(group.name.as_str(), env)
}

/// What of a group is edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// What is versioned and travels.
    Content,
    /// What belongs to the group.
    Owned,
}

/// What would be done.
#[derive(Template)]
#[template(path = "parts/preview.html")]
pub(super) struct Preview {
    pub(super) changes: Changes,
    pub(super) warnings: Vec<String>,
    /// The rules that were asked: whether each let it pass, and why.
    pub(super) gates: Vec<(bool, String)>,
    pub(super) outcome: String,
    pub(super) group: String,
    /// What a rollback leaves behind, the newest first.
    later: Vec<EventRow>,
    /// How many more there are.
    more: usize,
}

/// Events that a preview is shown with at the most.
const LATER: usize = 10;

impl askama::filters::HtmlSafe for Preview {}

impl Preview {
    pub(super) fn of(plan: &PlanView) -> Self {
        let later = plan.later.as_deref().unwrap_or_default();
        Self {
            later: later.iter().take(LATER).cloned().map(EventRow::of).collect(),
            more: later.len().saturating_sub(LATER),
            changes: Changes::of(&plan.changes),
            warnings: plan.warnings.iter().map(finding).collect(),
            gates: plan.gates.iter().map(|gate| (gate.passed, gate.message.clone())).collect(),
            outcome: plan.outcome.clone(),
            group: plan.group.to_string(),
        }
    }
}

#[derive(Template)]
#[template(path = "editor.html")]
struct EditorPage<'a> {
    frame: Frame,
    title: &'a str,
    lead: &'a str,
    sections: Sections,
    as_json: bool,
    /// The document as text.
    text: String,
    /// The document that was read, as text.
    base: String,
    /// The document as it is shown, as text.
    shown: String,
    tag: &'a str,
    faults: Summary,
    reason: &'a str,
    preview: Option<Preview>,
    stale: Option<Changes>,
    back: &'a str,
    verb: &'a str,
    delete: Option<&'a Crumb>,
    closed: Option<&'static str>,
    may_edit: bool,
    /// Whether it can be saved as it stands: it was looked at, where that comes first.
    may_save: bool,
    /// What was looked at.
    looked_at: String,
}

/// How a document is shown.
struct Shown<'a> {
    status: StatusCode,
    document: &'a Value,
    /// The text in the place of the document's, when it could not be read.
    text: Option<&'a str>,
    base: &'a Value,
    as_json: bool,
    faults: Faults,
    preview: Option<Preview>,
    stale: Option<Changes>,
}

impl<'a> Shown<'a> {
    fn new(document: &'a Value, base: &'a Value, as_json: bool) -> Self {
        Self {
            status: StatusCode::OK,
            document,
            text: None,
            base,
            as_json,
            faults: Faults::default(),
            preview: None,
            stale: None,
        }
    }

    fn refused(mut self, status: StatusCode, faults: Faults) -> Self {
        (self.status, self.faults) = (status, faults);
        self
    }
}

impl<S: Subject> Editor<S> {
    /// The page as it is when somebody comes to it.
    pub(super) fn show(&self, visitor: &Visitor, as_json: bool) -> Answer {
        self.page(visitor, &Posted::default(), Shown::new(&self.document, &self.document, as_json))
    }

    fn page(&self, visitor: &Visitor, posted: &Posted, shown: Shown<'_>) -> Answer {
        let mut sections = self.subject.sections(shown.document, posted);
        form::fold(&mut sections, shown.document);
        let mut faults = form::show(&mut sections, shown.document, &shown.faults);
        form::keep_typed(&mut sections, posted, &shown.faults);
        if shown.as_json {
            // Only the name is no part of the document; all else stands in the text.
            for section in &mut sections {
                section.fields.retain(|field| field.pointer == NAME);
            }
            sections.retain(|section| !section.fields.is_empty());
            faults = Summary::of(shown.faults.of_form.iter().cloned());
            for (pointer, message) in &shown.faults.of_fields {
                let id = if pointer == NAME { "fname" } else { "document" };
                faults.also(id, pointer, message);
            }
        }
        let tag = match &self.condition {
            Condition::Same(tag) => tag,
            Condition::Absent => "",
        };
        let may_edit = visitor.principal.role >= self.role && self.terms.closed.is_none();
        let may_save = may_edit && (!self.terms.looks_first || shown.preview.is_some());
        let text = shown.text.map_or_else(|| words::pretty(shown.document), str::to_owned);
        let page = EditorPage {
            frame: visitor.frame(
                if faults.is_empty() {
                    self.title.clone()
                } else {
                    format!("Error: {}", self.title)
                },
                "groups",
                self.crumbs.clone(),
            ),
            title: &self.title,
            lead: &self.lead,
            sections: Sections(sections),
            as_json: shown.as_json,
            text,
            base: shown.base.to_string(),
            shown: shown.document.to_string(),
            tag,
            faults: faults.led("Nothing was saved."),
            reason: posted.text("reason"),
            preview: shown.preview,
            stale: shown.stale,
            back: &self.back,
            verb: self.verb,
            delete: self.delete.as_ref().filter(|_| may_edit),
            closed: self.terms.closed,
            may_edit,
            may_save,
            looked_at: words::digest(shown.document),
        };
        html_with(shown.status, &page)
    }

    /// Takes what the form sent: shows the other view, what would change, or saves.
    pub(super) async fn take(&self, api: &Api, visitor: &Visitor, posted: &Posted) -> Answer {
        let base: Value =
            serde_json::from_str(posted.text("base")).unwrap_or_else(|_| self.document.clone());
        let as_json = posted.text("view") == "json";
        // The fields are those of what was shown, which may hold what stood in the JSON view only.
        let shown: Value =
            serde_json::from_str(posted.text("shown")).unwrap_or_else(|_| base.clone());
        let mut typed = shown.clone();
        let mut faults = Faults::default();
        if as_json {
            let text = posted.text("document");
            match json::parse(text.as_bytes()) {
                Ok(parsed) => {
                    typed = parsed.value;
                    let twice = parsed.duplicates.into_iter();
                    let twice = twice.map(|pointer| (pointer, "This key stands twice.".to_owned()));
                    faults.of_fields.extend(twice);
                }
                Err(error) => {
                    faults.of_form.push(format!("The text is {error}."));
                    let mut shown = Shown::new(&base, &base, true);
                    shown.text = Some(text);
                    let status = StatusCode::UNPROCESSABLE_ENTITY;
                    return self.page(visitor, posted, shown.refused(status, faults));
                }
            }
        } else {
            let mut sections = self.subject.sections(&shown, posted);
            form::fold(&mut sections, &shown);
            faults = form::read(&sections, posted, &mut typed);
        }
        self.subject.reshape(&mut typed, posted);
        let shown = Shown::new(&typed, &base, as_json);
        match posted.text("action") {
            "json" | "form" if !faults.is_empty() => {
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                return self.page(visitor, posted, shown.refused(status, faults));
            }
            "json" => return self.page(visitor, posted, Shown { as_json: true, ..shown }),
            "form" => return self.page(visitor, posted, Shown { as_json: false, ..shown }),
            _ => {}
        }
        if base != self.document && faults.is_empty() {
            return self.stale(visitor, posted, &base, &typed, as_json);
        }
        let operation = self.subject.operation(typed.clone(), posted, &mut faults);
        if !faults.is_empty() {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            if let Some(operation) = operation {
                faults.join(self.further(api, visitor, operation).await);
            }
            return self.page(visitor, posted, shown.refused(status, faults));
        }
        let Some(operation) = operation else {
            return Err(Problem::new(Kind::Internal, "a form that is sound does nothing"));
        };
        let is_seen = !self.terms.looks_first || posted.text("looked_at") == words::digest(&typed);
        let mut write = visitor.write();
        write.dry_run = posted.text("action") == "preview" || !is_seen;
        write.precondition = self.precondition();
        let done = write.perform(api, self.group.clone(), operation, posted.given("reason")).await;
        match done {
            Ok(Done::Planned(plan)) => {
                let preview = Some(Preview::of(&plan));
                self.page(visitor, posted, Shown { preview, ..shown })
            }
            Ok(Done::Written(written, _)) => Ok(written_to(visitor, &self.back, &written)),
            Err(problem) => {
                let faults = self.faults(&problem);
                let status = problem.kind().status();
                self.page(visitor, posted, shown.refused(status, faults))
            }
        }
    }

    /// What else is wrong with a form that cannot be saved, so that all of it is told at once.
    async fn further(&self, api: &Api, visitor: &Visitor, operation: Operation) -> Faults {
        let mut plan = visitor.write();
        plan.dry_run = true;
        match plan.perform(api, self.group.clone(), operation, None).await {
            Err(problem) if !problem.diagnostics().is_empty() => {
                faults(&problem, |finding| self.subject.locate(finding))
            }
            _ => Faults::default(),
        }
    }

    /// Somebody else saved it meanwhile: shows what they changed, with what was typed laid over it.
    fn stale(
        &self,
        visitor: &Visitor,
        posted: &Posted,
        base: &Value,
        typed: &Value,
        as_json: bool,
    ) -> Answer {
        let merged = form::rebase(base, typed, &self.document);
        let changes = refgate_core::diff::documents(base, &self.document, &self.title);
        let mut shown = Shown::new(&merged, &self.document, as_json);
        shown.status = StatusCode::CONFLICT;
        shown.stale = Some(Changes::of(&changes));
        self.page(visitor, posted, shown)
    }

    fn precondition(&self) -> Precondition {
        match &self.condition {
            Condition::Same(tag) => Precondition::same(tag),
            Condition::Absent => Precondition::absent(),
        }
    }

    fn faults(&self, problem: &Problem) -> Faults {
        let taken = matches!(problem.kind(), Kind::PreconditionFailed | Kind::AlreadyExists);
        if taken && matches!(self.condition, Condition::Absent) {
            let of_fields = vec![("name".to_owned(), problem.detail().to_owned())];
            return Faults { of_fields, of_form: Vec::new() };
        }
        faults(problem, |finding| self.subject.locate(finding))
    }
}

/// What is wrong, each where `locate` says, the rest beside all.
pub(super) fn faults(problem: &Problem, locate: impl Fn(&Diagnostic) -> Option<String>) -> Faults {
    let mut faults = Faults::default();
    for finding in problem.diagnostics().iter().filter(|finding| finding.is_error()) {
        match locate(finding) {
            Some(pointer) => faults.of_fields.push((pointer, message(finding))),
            None => faults.of_form.push(self::finding(finding)),
        }
    }
    if problem.diagnostics().is_empty() {
        faults.of_form.push(match problem.kind() {
            Kind::PreconditionFailed | Kind::ConcurrentUpdate => {
                format!(
                    "{}. Nothing was saved; save again to lay your change over it.",
                    problem.detail()
                )
            }
            _ => problem.detail().to_owned(),
        });
    }
    faults
}

/// A finding without its place.
fn message(finding: &Diagnostic) -> String {
    match &finding.hint {
        Some(hint) => format!("{} ({hint})", finding.message),
        None => finding.message.clone(),
    }
}

/// A finding with its place, for people.
pub(super) fn finding(finding: &Diagnostic) -> String {
    let place = match finding.file.as_str() {
        "" => finding.pointer.clone(),
        file => format!("{} {}", words::title(file), finding.pointer),
    };
    match place.trim() {
        "" => message(finding),
        place => format!("{place}: {}", message(finding)),
    }
}

/// Goes on after a write, and tells of it.
pub(super) fn written_to(visitor: &Visitor, to: &str, written: &Written) -> Response {
    visitor.go(to, notice(written))
}

/// What is told of a write.
pub(super) fn notice(written: &Written) -> Notice {
    let Written { group, commit, revision, changed, warnings, .. } = written;
    let (text, link) = match changed {
        true => {
            let link = format!("/groups/{group}/commits/{commit}");
            (
                format!("Saved in {group} as revision {revision}."),
                Some((link, "See the commit".into())),
            )
        }
        false => ("Nothing was different, so nothing was saved.".to_owned(), None),
    };
    Notice { text, link, warnings: warnings.iter().map(finding).collect() }
}
