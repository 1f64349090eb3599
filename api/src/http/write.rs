//! The way of every write: preconditions and options in, one change, one answer.

use std::time::Duration;

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use refgate_core::change::{Change, Operation, PlanView, Precondition, Written};
use refgate_core::event::Actor;
use refgate_core::json::merge_patch;
use refgate_core::name::{CommitId, GroupName};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::edge::{self, RequestId};
use super::params::Params;
use super::{Answer, Api, conditional};
use crate::auth::{Principal, Role};
use crate::fleet::convergence::{Convergence, Target};
use crate::metrics::WriteEnd;
use crate::problem::{Kind, Problem};

/// The file of a group that only administrators change.
pub(super) const SETTINGS: &str = "group.json";

/// What every write takes besides its path and body.
#[derive(Clone)]
pub(crate) struct Write {
    pub(crate) dry_run: bool,
    pub(super) wait: Option<Duration>,
    pub(crate) precondition: Precondition,
    pub(super) request_id: RequestId,
    principal: Principal,
}

impl FromRequestParts<Api> for Write {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let mut params = Params::from_request_parts(parts, api).await?;
        let (dry_run, wait) = (params.flag("dry_run")?, params.wait()?);
        let plans = params.text("expect_plan")?;
        params.finish()?;
        // A write of several groups has a plan for each.
        let expect_plan: Vec<String> =
            plans.iter().flat_map(|plans| plans.split(',')).map(str::to_owned).collect();
        // A client whose plan went missing means to be guarded.
        if expect_plan.iter().any(String::is_empty) {
            let detail =
                "the query parameter \"expect_plan\" is the id of a plan, or several with commas";
            return Err(Problem::new(Kind::MalformedRequest, detail));
        }
        let extensions = &parts.extensions;
        let lost = || Problem::new(Kind::Internal, "a write came without token or request id");
        Ok(Self {
            dry_run,
            wait,
            precondition: Precondition {
                expect_plan,
                ..conditional::precondition(&parts.headers)?
            },
            request_id: extensions.get().cloned().ok_or_else(lost)?,
            principal: extensions.get().cloned().ok_or_else(lost)?,
        })
    }
}

/// What came of a write.
pub(crate) enum Done {
    Planned(Box<PlanView>),
    Written(Box<Written>, Option<Convergence>),
}

impl Write {
    /// A write of somebody who is known, without options.
    pub(crate) fn by(principal: Principal, request_id: RequestId) -> Self {
        let precondition = Precondition::default();
        Self { dry_run: false, wait: None, precondition, request_id, principal }
    }

    /// The same write, of which the group must be at this commit.
    pub(crate) fn expecting(mut self, head: Option<CommitId>) -> Self {
        self.precondition.expect_head = head;
        self
    }

    /// Refuses who may not do what a role may.
    pub(super) fn needs(&self, role: Role) -> Result<(), Problem> {
        edge::needs(&self.principal, role)
    }

    /// Makes the change and answers it.
    pub(super) async fn run(self, api: &Api, group: GroupName, operation: Operation) -> Answer {
        self.run_because(api, group, operation, None).await
    }

    /// Makes the change for a reason that goes into the commit.
    pub(super) async fn run_because(
        self,
        api: &Api,
        group: GroupName,
        operation: Operation,
        reason: Option<String>,
    ) -> Answer {
        let done = self.perform(api, group, operation, reason).await?;
        Ok((done.status(), Json(done.body()?)).into_response())
    }

    /// Makes the change, or plans it.
    pub(crate) async fn perform(
        &self,
        api: &Api,
        group: GroupName,
        operation: Operation,
        reason: Option<String>,
    ) -> Result<Done, Problem> {
        let change = self.change(group, operation, reason);
        let done = match self.dry_run {
            true => self.plan(api, change).await,
            false => self.apply(api, change).await,
        };
        done.inspect_err(|_| api.metrics.write(WriteEnd::Refused))
    }

    fn change(&self, group: GroupName, operation: Operation, reason: Option<String>) -> Change {
        Change {
            group,
            operation,
            actor: Actor::named(&self.principal.name),
            request_id: self.request_id.0.to_string(),
            reason,
            precondition: self.precondition.clone(),
        }
    }

    /// The same write, after it was made sure that it leaves the settings of the group as they
    /// are, or comes from one who may change them.
    pub(crate) async fn sparing_settings(
        self,
        api: &Api,
        group: &GroupName,
        operation: &Operation,
    ) -> Result<Self, Problem> {
        let Err(refused) = self.needs(Role::Admin) else { return Ok(self) };
        let change = self.change(group.clone(), operation.clone(), None);
        let plan = api.store.read(move |repository| repository.plan(&change)).await?;
        if plan.changes.iter().any(|change| change.file == SETTINGS) {
            return Err(refused);
        }
        // What was looked at is what is written.
        let head = self.precondition.expect_head.or(plan.base_commit);
        Ok(self.expecting(head))
    }

    async fn plan(&self, api: &Api, change: Change) -> Result<Done, Problem> {
        let plan = api.store.read(move |repository| repository.plan(&change)).await?;
        api.metrics.write(WriteEnd::Planned);
        Ok(Done::Planned(Box::new(plan)))
    }

    async fn apply(&self, api: &Api, change: Change) -> Result<Done, Problem> {
        let written = api.store.write(move |repository| repository.apply(change)).await?;
        api.metrics.write(if written.changed { WriteEnd::Changed } else { WriteEnd::Unchanged });
        api.heads.look();
        let convergence = match self.wait {
            Some(wait) => Some(converge(api, &written, wait).await),
            None => None,
        };
        Ok(Done::Written(Box::new(written), convergence))
    }
}

async fn converge(api: &Api, written: &Written, wait: Duration) -> Convergence {
    let (group, commit, revision) = (written.group.clone(), written.commit, written.revision);
    let target = Target { group, commit, revision };
    let deadline = Instant::now() + wait;
    api.fleet.converge(&api.store, &target, deadline, api.draining.subscribe()).await
}

impl Done {
    fn status(&self) -> StatusCode {
        match self {
            Self::Written(written, _) if written.created => StatusCode::CREATED,
            _ => StatusCode::OK,
        }
    }

    /// The answer of a write that is about one thing at most.
    fn body(&self) -> Result<Value, Problem> {
        match self {
            Self::Planned(plan) => Ok(json!({"dry_run": true, "plan": to_value(plan)?})),
            Self::Written(written, convergence) => {
                let mut body = to_value(written)?;
                if let Some(service) = written.services.first() {
                    merge_patch(&mut body, &to_value(service)?);
                } else if let Some(outcome) = written.whole {
                    body["outcome"] = to_value(&outcome)?;
                    body["service"] = Value::Null;
                    body["version"] = Value::Null;
                }
                if let Some(convergence) = convergence {
                    body["convergence"] = to_value(convergence)?;
                }
                Ok(body)
            }
        }
    }

    /// The same, one for each service that it is about; one where it is about something else.
    pub(super) fn bodies(self) -> Result<Vec<Value>, Problem> {
        let Self::Written(mut written, convergence) = self else { return Ok(vec![self.body()?]) };
        if written.services.is_empty() {
            return Ok(vec![Self::Written(written, convergence).body()?]);
        }
        let services = std::mem::take(&mut written.services);
        let each = services.into_iter().map(|service| {
            let written = Written { services: vec![service], ..Written::clone(&written) };
            Self::Written(Box::new(written), convergence.clone()).body()
        });
        each.collect()
    }
}

fn to_value<T: serde::Serialize>(value: &T) -> Result<Value, Problem> {
    serde_json::to_value(value).map_err(|error| Problem::internal(&error))
}
