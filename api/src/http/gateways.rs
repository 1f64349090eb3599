//! The gateway instances: the list, and how those of other processes come onto it and off it.

use std::fmt;
use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use refgate_core::diagnostic::{Code, Diagnostic};
use refgate_core::name::{CommitId, GroupName};
use refgate_proxy::State as Reported;
use serde_json::{Value, json};

use super::page::PageParams;
use super::params::{NoParams, Params};
use super::path::{At, Segment};
use super::{Answer, Api};
use crate::body::Document;
use crate::body::fields::{Field, Fields, parsed, wrong_type};
use crate::fleet::remote::CheckIn;
use crate::problem::{Kind, Problem};

/// Findings of an instance that are kept.
const FINDINGS: usize = 100;
/// Bytes of them.
const FINDINGS_BYTES: usize = 64 << 10;

pub(super) async fn list(State(api): State<Api>, mut params: Params) -> Answer {
    let group = params.parsed::<GroupName>("group")?;
    let page = PageParams::take(&mut params)?;
    params.finish()?;
    // No name has a slash, so this sorts by group first, as the fleet does.
    page.cut(api.fleet.instances(group.as_ref()), |one| format!("{}/{}", one.group, one.instance))
}

/// What an instance says of itself. The answer is the instance as it is listed.
pub(super) async fn check_in(State(api): State<Api>, _: NoParams, body: Document) -> Answer {
    let mut fields = Fields::of(body.0);
    let instance = fields.required::<InstanceName>("instance");
    let group = fields.required::<GroupName>("group");
    let version = fields.required::<Line>("version");
    let commit = fields.optional::<CommitId>("commit");
    let state = fields.required::<ReportedState>("state");
    let diagnostics = fields.optional::<Findings>("diagnostics").unwrap_or_default();
    let message = fields.optional::<Line>("message");
    let started_at = fields.optional::<Line>("started_at");
    let said = fields.finish(|| {
        Some(CheckIn {
            instance: instance?.0,
            group: group?,
            version: version?.0,
            commit,
            state: state?.0,
            diagnostics: diagnostics.0,
            message: message.map(|line| line.0),
            started_at: started_at.map(|line| line.0),
        })
    })?;
    if !api.heads.has(&said.group) {
        let detail =
            format!("there is no group {}; /v1/groups lists those that there are", said.group);
        return Err(Problem::new(Kind::NotFound, detail));
    }
    if api.fleet.is_local(&said.group, &said.instance) {
        let detail = format!(
            "an instance of the name {} runs in this process: give the other one another name",
            said.instance
        );
        return Err(Problem::new(Kind::AlreadyExists, detail));
    }
    let (instance, is_new) = api
        .fleet
        .remote()
        .check_in(said)
        .map_err(|error| Problem::new(Kind::Unavailable, error.to_string()))?;
    api.metrics.check_in();
    if is_new {
        tracing::info!(group = %instance.group, instance = instance.instance, "gateway checks in");
    }
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(instance)).into_response())
}

/// Forgets an instance: it says goodbye, or somebody clears away one that will not come again.
pub(super) async fn remove(
    State(api): State<Api>,
    At((group, instance)): At<(GroupName, InstanceName)>,
    _: NoParams,
) -> Answer {
    forget(&api, &group, &instance)?;
    Ok(Json(json!({"group": group, "instance": instance.0, "removed": true})).into_response())
}

/// Forgets an instance that has checked in.
pub(crate) fn forget(api: &Api, group: &GroupName, instance: &InstanceName) -> Result<(), Problem> {
    let InstanceName(instance) = instance;
    if api.fleet.is_local(group, instance) {
        let detail = format!(
            "the instance {instance} runs in this process: it goes when this control plane stops"
        );
        return Err(Problem::new(Kind::StillReferenced, detail));
    }
    if !api.fleet.remote().remove(group, instance) {
        let detail = format!(
            "no instance {instance} of the group {group} has checked in; /v1/gateways lists those that have"
        );
        return Err(Problem::new(Kind::NotFound, detail));
    }
    tracing::info!(%group, instance, "gateway forgotten");
    Ok(())
}

/// The name of an instance: it stands in paths, tables and metrics.
pub(crate) struct InstanceName(String);

impl fmt::Display for InstanceName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl FromStr for InstanceName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:@".contains(&byte);
        let sound = (1..=128).contains(&text.len()) && text.bytes().all(known);
        let rule = "a name of an instance is 1 to 128 letters, digits, `-`, `_`, `.`, `:`, `@`";
        sound.then(|| Self(text.to_owned())).ok_or(rule)
    }
}

impl Segment for InstanceName {
    const PARAMETER: &'static str = "instance";
}

impl Field for InstanceName {
    fn read(value: Value, pointer: &str) -> Result<Self, Diagnostic> {
        parsed(value, pointer, Code::BadName)
    }
}

/// A short text.
struct Line(String);

impl Field for Line {
    fn read(value: Value, pointer: &str) -> Result<Self, Diagnostic> {
        let text = String::read(value, pointer)?;
        if text.len() <= 4096 {
            return Ok(Self(text));
        }
        Err(Diagnostic::error("", pointer, Code::TooLarge, "the text is over 4096 bytes"))
    }
}

struct ReportedState(Reported);

impl Field for ReportedState {
    fn read(value: Value, pointer: &str) -> Result<Self, Diagnostic> {
        match value.as_str() {
            Some("healthy") => Ok(Self(Reported::Healthy)),
            Some("degraded") => Ok(Self(Reported::Degraded)),
            _ => {
                let message = "an instance says that it is healthy or degraded";
                Err(Diagnostic::error("", pointer, Code::BadValue, message))
            }
        }
    }
}

/// Findings as the instance tells them: which codes there are is its version's business.
#[derive(Default)]
struct Findings(Vec<Value>);

impl Field for Findings {
    fn read(value: Value, pointer: &str) -> Result<Self, Diagnostic> {
        match value {
            Value::Array(mut found) if found.iter().all(Value::is_object) => {
                found.truncate(FINDINGS);
                let mut bytes = 0;
                found.retain(|finding| {
                    bytes += finding.to_string().len();
                    bytes <= FINDINGS_BYTES
                });
                Ok(Self(found))
            }
            other => Err(wrong_type(pointer, "a list of findings", &other)),
        }
    }
}
