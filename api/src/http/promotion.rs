//! Sync: a version of a service, or several services, to another group or to several.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use refgate_core::change::{Operation, Sync, SyncSource};
use refgate_core::diagnostic::{Code, Diagnostic};
use refgate_core::json::join;
use refgate_core::merge::OnConflict;
use refgate_core::name::{GroupName, ServiceName};
use refgate_core::version::Version;
use serde_json::{Map, Value, json};

use super::path::At;
use super::write::Write;
use super::{Answer, Api};
use crate::body::Document;
use crate::body::fields::{Field, Fields, parsed, wrong_type};
use crate::problem::Problem;

/// One service of a group, as it is there.
pub(super) async fn service(
    State(api): State<Api>,
    At((group, service)): At<(GroupName, ServiceName)>,
    write: Write,
    body: Document,
) -> Answer {
    let mut fields = Fields::of(body.0);
    let version = fields.optional::<String>("version");
    let runtime = runtime(&mut fields);
    let services = || Some(vec![(service, SyncSource::Group { group, version })]);
    let order = Order::read(fields, runtime, services)?;
    order.run_one(&api, &write).await
}

/// A version by its number, wherever it runs or ran.
pub(super) async fn version(
    State(api): State<Api>,
    At((service, version)): At<(ServiceName, Version)>,
    write: Write,
    body: Document,
) -> Answer {
    let mut fields = Fields::of(body.0);
    let runtime = runtime(&mut fields);
    let services = || Some(vec![(service, SyncSource::Version(version.to_string()))]);
    let order = Order::read(fields, runtime, services)?;
    order.run_one(&api, &write).await
}

/// Several services of a group: all or none in each target.
pub(super) async fn services(
    State(api): State<Api>,
    At((group,)): At<(GroupName,)>,
    write: Write,
    body: Document,
) -> Answer {
    let mut fields = Fields::of(body.0);
    let services = fields.required::<Services>("services");
    let order = Order::read(fields, None, || {
        let source = |version| SyncSource::Group { group: group.clone(), version };
        let services = services?.0.into_iter();
        Some(services.map(|(service, version)| (service, source(version))).collect())
    })?;
    order.run_all(&api, &write).await
}

fn runtime(fields: &mut Fields) -> Option<Value> {
    fields.optional::<Map<String, Value>>("runtime").map(Value::Object)
}

/// What to bring where.
struct Order {
    to: Targets,
    sync: Sync,
    reason: Option<String>,
}

impl Order {
    /// Reads the keys that every kind of sync takes; the rest the kind has read.
    fn read(
        mut fields: Fields,
        runtime: Option<Value>,
        services: impl FnOnce() -> Option<Vec<(ServiceName, SyncSource)>>,
    ) -> Result<Self, Problem> {
        let to = fields.required::<Targets>("to");
        let on_conflict = fields.optional::<OnConflict>("on_conflict").unwrap_or_default();
        let reason = fields.optional::<String>("reason");
        fields.finish(|| {
            let sync = Sync { services: services()?, runtime, on_conflict };
            Some(Self { to: to?, sync, reason })
        })
    }

    /// To one group: a write. To a list: results.
    async fn run_one(self, api: &Api, write: &Write) -> Answer {
        match self.to {
            Targets::One(group) => {
                let operation = Operation::Sync(self.sync);
                write.clone().run_because(api, group, operation, self.reason).await
            }
            Targets::Many(_) => self.run_all(api, write).await,
        }
    }

    /// To every target for itself: one that refuses keeps no other from taking.
    async fn run_all(self, api: &Api, write: &Write) -> Answer {
        let targets = match self.to {
            Targets::One(group) => vec![group],
            Targets::Many(groups) => groups,
        };
        let mut results = Vec::with_capacity(targets.len());
        for group in targets {
            let operation = Operation::Sync(self.sync.clone());
            let reason = self.reason.clone();
            match write.perform(api, group.clone(), operation, reason).await {
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

/// `to`: a group, or a list of groups.
enum Targets {
    One(GroupName),
    Many(Vec<GroupName>),
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

/// `services`: names, each with a version or `null`.
struct Services(Vec<(ServiceName, Option<String>)>);

impl Field for Services {
    fn read(value: Value, pointer: &str) -> Result<Self, Diagnostic> {
        let object = Map::read(value, pointer)?;
        if object.is_empty() {
            let message = "at least one service is needed";
            return Err(Diagnostic::error("", pointer, Code::BadValue, message));
        }
        let mut services = Vec::with_capacity(object.len());
        for (name, version) in object {
            let pointer = join(pointer, &name);
            let name = parsed(Value::String(name), &pointer, Code::BadName)?;
            let version = match version {
                Value::Null => None,
                version => Some(String::read(version, &pointer)?),
            };
            services.push((name, version));
        }
        Ok(Self(services))
    }
}

impl Field for OnConflict {
    fn read(value: Value, pointer: &str) -> Result<Self, Diagnostic> {
        match String::read(value, pointer)?.as_str() {
            "abort" => Ok(Self::Abort),
            "theirs" => Ok(Self::Theirs),
            "ours" => Ok(Self::Ours),
            other => {
                let message = format!("{other:?} is not a way to settle conflicts");
                Err(Diagnostic::error("", pointer, Code::BadValue, message)
                    .with_hint("abort, theirs or ours"))
            }
        }
    }
}
