//! Who serves a commit: the same question that a write asks with `?wait=`, for a commit that came
//! another way, such as by push.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use refgate_core::name::{CommitId, GroupName};
use tokio::time::Instant;

use super::params::Params;
use super::path::At;
use super::{Answer, Api};
use crate::fleet::convergence::Target;
use crate::problem::{Kind, Problem};

pub(super) async fn get(
    State(api): State<Api>,
    At((group,)): At<(GroupName,)>,
    mut params: Params,
) -> Answer {
    let commit = params.parsed::<CommitId>("commit")?;
    let wait = params.wait()?.unwrap_or(Duration::ZERO);
    params.finish()?;
    let name = group.clone();
    let target = api.store.read(move |repository| {
        let Some(commit) = commit else {
            let view = repository.group(&name)?;
            return Ok(Target { group: name, commit: view.head, revision: view.revision });
        };
        match repository.revision(&name, commit)? {
            Some(revision) => Ok(Target { group: name, commit, revision }),
            None => {
                let detail = format!("the group {name} has no commit {commit}");
                Err(Problem::new(Kind::NotFound, detail))
            }
        }
    });
    let target = target.await?;
    let deadline = Instant::now() + wait;
    let draining = api.draining.subscribe();
    let convergence = api.fleet.converge(&api.store, &target, deadline, draining).await;
    Ok(Json(convergence).into_response())
}
