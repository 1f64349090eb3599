//! Gateway groups.

use axum::extract::State;
use axum::http::HeaderMap;
use refgate_core::change::Operation;
use refgate_core::diagnostic::{Code, Diagnostic};
use refgate_core::name::GroupName;
use refgate_core::repository::Repository;
use refgate_core::view::GroupView;
use serde_json::Value;

use super::page::PageParams;
use super::params::NoParams;
use super::path::At;
use super::write::Write;
use super::{Answer, Api, conditional};
use crate::body::Document;
use crate::body::fields::{parsed, wrong_type};
use crate::problem::{Kind, Problem};

/// A group with the instances that serve it, which only the control plane knows.
fn with_instances(api: &Api, group: &GroupView) -> Result<Value, Problem> {
    let mut value = serde_json::to_value(group).map_err(|error| Problem::internal(&error))?;
    let counts = api.fleet.counts(&group.name);
    value["instances"] = serde_json::to_value(counts).map_err(|error| Problem::internal(&error))?;
    Ok(value)
}

pub(super) async fn list(State(api): State<Api>, page: PageParams) -> Answer {
    let groups = api.store.read(Repository::groups).await?;
    let groups = groups.iter().map(|group| with_instances(&api, group));
    let groups = groups.collect::<Result<Vec<_>, _>>()?;
    page.cut(groups, |group| group["name"].as_str().unwrap_or_default().to_owned())
}

pub(super) async fn get(
    State(api): State<Api>,
    At((name,)): At<(GroupName,)>,
    _: NoParams,
    headers: HeaderMap,
) -> Answer {
    let group = api.store.read(move |repository| repository.group(&name)).await?;
    conditional::respond(&headers, &group.etag, &with_instances(&api, &group)?)
}

/// The body is `group.json` with the name beside its keys.
pub(super) async fn create(State(api): State<Api>, write: Write, body: Document) -> Answer {
    let (name, document) = take_name(body.0)?;
    write.run(&api, name, Operation::CreateGroup { document }).await
}

pub(super) async fn patch(
    State(api): State<Api>,
    At((name,)): At<(GroupName,)>,
    write: Write,
    body: Document,
) -> Answer {
    write.run(&api, name, Operation::PatchGroup { patch: body.0 }).await
}

pub(super) async fn delete(
    State(api): State<Api>,
    At((name,)): At<(GroupName,)>,
    write: Write,
) -> Answer {
    unserved(&api, &name)?;
    write.run(&api, name, Operation::DeleteGroup).await
}

/// Refuses what takes a group away from gateways. The repository does not know who serves a group;
/// this process does, some time after its start: of groups made since, at once.
pub(crate) fn unserved(api: &Api, name: &GroupName) -> Result<(), Problem> {
    let instances = api.fleet.counts(name).total;
    if instances > 0 {
        let detail = format!(
            "gateway instances serve the group {name} ({instances}): stop them first, and take away those that are lost"
        );
        return Err(Problem::new(Kind::StillReferenced, detail));
    }
    match api.fleet.gathering().filter(|_| api.heads.had(name)) {
        None => Ok(()),
        Some(time) => {
            let detail = format!(
                "the control plane has just started, and gateways that serve the group {name} may not have checked in yet: try again in {} s",
                time.as_secs() + 1
            );
            Err(Problem::unavailable_for(time, detail))
        }
    }
}

fn take_name(body: Value) -> Result<(GroupName, Value), Problem> {
    let refuse = |finding| Problem::invalid(vec![finding]);
    let Value::Object(mut document) = body else {
        return Err(refuse(wrong_type("", "an object", &body)));
    };
    let Some(name) = document.shift_remove("name") else {
        let message = "the key \"name\" is missing";
        return Err(refuse(Diagnostic::error("", "", Code::MissingKey, message)));
    };
    let name = parsed(name, "/name", Code::BadName).map_err(refuse)?;
    Ok((name, Value::Object(document)))
}
