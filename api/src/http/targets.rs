//! `to`: the group, or the list of groups, that a promotion or a copy goes to.

use axum::Json;
use axum::response::IntoResponse;
use refgate_core::change::Operation;
use refgate_core::diagnostic::{Code, Diagnostic};
use refgate_core::json::join;
use refgate_core::name::GroupName;
use serde_json::{Value, json};

use super::write::Write;
use super::{Answer, Api};
use crate::body::fields::{Field, wrong_type};

/// Where to.
pub(super) enum Targets {
    One(GroupName),
    Many(Vec<GroupName>),
}

impl Targets {
    /// To one group: a write. To a list: results.
    pub(super) async fn write(
        self,
        api: &Api,
        write: &Write,
        operation: Operation,
        reason: Option<String>,
    ) -> Answer {
        match self {
            Self::One(group) => write.clone().run_because(api, group, operation, reason).await,
            Self::Many(_) => self.write_each(api, write, operation, reason).await,
        }
    }

    /// To every group for itself: one that refuses keeps no other from taking.
    pub(super) async fn write_each(
        self,
        api: &Api,
        write: &Write,
        operation: Operation,
        reason: Option<String>,
    ) -> Answer {
        let targets = match self {
            Self::One(group) => vec![group],
            Self::Many(groups) => groups,
        };
        write.precondition.is_of_one(targets.len(), "groups")?;
        // What is not there is no answer of a target.
        let brought = operation.clone();
        api.store.read(move |repository| repository.check_source(&brought)).await?;
        let mut results = Vec::with_capacity(targets.len());
        for group in targets {
            match write.perform(api, group.clone(), operation.clone(), reason.clone()).await {
                Ok(done) => results.extend(done.bodies()?),
                Err(problem) => {
                    let error = problem.to_json(&write.request_id.0);
                    results.push(json!({"group": group, "error": error}));
                }
            }
        }
        Ok(Json(json!({"results": results})).into_response())
    }
}

impl Field for Targets {
    fn read(value: Value, pointer: &str) -> Result<Self, Diagnostic> {
        let items = match value {
            Value::Array(items) if !items.is_empty() => items,
            Value::String(_) => return GroupName::read(value, pointer).map(Self::One),
            other => return Err(wrong_type(pointer, "a group or a list of groups", &other)),
        };
        let mut groups = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let pointer = join(pointer, &index.to_string());
            let group = GroupName::read(item, &pointer)?;
            if groups.contains(&group) {
                let message = format!("the group {group} stands twice");
                return Err(Diagnostic::error("", pointer, Code::BadValue, message));
            }
            groups.push(group);
        }
        Ok(Self::Many(groups))
    }
}
