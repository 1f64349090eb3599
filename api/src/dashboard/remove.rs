//! Before something is taken away, or added to production at one click: what follows from it, what it
//! would change, and why it is done.

use askama::Template;
use axum::http::StatusCode;
use refgate_core::change::{Operation, Precondition};
use refgate_core::name::GroupName;

use super::Answer;
use super::editor::{self, Preview, written_to};
use super::form::{Posted, Summary};
use super::page::{Crumb, Frame, Visitor, html_with};
use crate::http::Api;
use crate::http::write::Done;
use crate::problem::{Kind, Problem};

/// Something that is to be taken away, or to be asked about in the same way.
pub(super) struct Removal {
    pub(super) group: GroupName,
    pub(super) title: String,
    /// What follows from it.
    pub(super) lead: String,
    /// Whether that is more than one would think.
    pub(super) is_grave: bool,
    pub(super) crumbs: Vec<Crumb>,
    /// Where to go when it is done, or not done.
    pub(super) back: String,
    /// What the button says.
    pub(super) verb: &'static str,
    /// The entity tag of what it is taken from.
    pub(super) tag: String,
    /// What the form carries along that asks.
    pub(super) carried: Vec<(&'static str, String)>,
    /// What has to be typed before, if anything.
    pub(super) typed: Option<String>,
    pub(super) operation: Operation,
}

#[derive(Template)]
#[template(path = "remove.html")]
struct RemovalPage<'a> {
    frame: Frame,
    removal: &'a Removal,
    faults: Summary,
    preview: Option<Preview>,
    reason: &'a str,
}

impl Removal {
    /// The page that asks.
    pub(super) async fn ask(self, api: &Api, visitor: &Visitor) -> Answer {
        self.page(api, visitor, &Posted::default(), StatusCode::OK, Summary::default()).await
    }

    /// Does it, when what was shown is what there is, and goes on; else asks again.
    pub(super) async fn carry_out(self, api: &Api, visitor: &Visitor, posted: &Posted) -> Answer {
        let refused = |text: &str| Summary::of([text.to_owned()]).led("Nothing was removed.");
        if posted.text("tag") != self.tag {
            let faults = refused("It changed since it was shown. This is how it is now.");
            return self.page(api, visitor, posted, StatusCode::CONFLICT, faults).await;
        }
        if self.typed.as_ref().is_some_and(|typed| posted.text("confirm").trim() != typed) {
            let mut faults = Summary::default().led("Nothing was removed.");
            faults.also("confirm", "The name", "What was typed is another.");
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return self.page(api, visitor, posted, status, faults).await;
        }
        let mut write = visitor.write();
        write.precondition = Precondition::same(&self.tag);
        let (operation, reason) = (self.operation.clone(), posted.given("reason"));
        match write.perform(api, self.group.clone(), operation, reason).await {
            Ok(Done::Written(written, _)) => Ok(written_to(visitor, &self.back, &written)),
            Ok(Done::Planned(_)) => {
                Err(Problem::new(Kind::Internal, "a removal was planned, not done"))
            }
            Err(problem) => {
                let faults = told(&problem);
                self.page(api, visitor, posted, problem.kind().status(), faults).await
            }
        }
    }

    async fn page(
        &self,
        api: &Api,
        visitor: &Visitor,
        posted: &Posted,
        status: StatusCode,
        mut faults: Summary,
    ) -> Answer {
        let mut plan = visitor.write();
        plan.dry_run = true;
        let planned = plan.perform(api, self.group.clone(), self.operation.clone(), None).await;
        let preview = match planned {
            Ok(Done::Planned(plan)) => Some(Preview::of(&plan)),
            Ok(Done::Written(..)) => None,
            Err(problem) => {
                if faults.is_empty() {
                    faults = told(&problem);
                }
                None
            }
        };
        let page = RemovalPage {
            frame: visitor.frame(&self.title, "groups", self.crumbs.clone()),
            removal: self,
            faults,
            preview,
            reason: posted.text("reason"),
        };
        html_with(status, &page)
    }
}

fn told(problem: &Problem) -> Summary {
    Summary::of(editor::faults(problem, |_| None).of_form).led("It cannot be removed.")
}
