//! Sync: a version of a service, or several services, to another group or to several.

use axum::extract::State;
use refgate_core::Error;
use refgate_core::change::{Operation, Sync, SyncSource};
use refgate_core::diagnostic::{Code, Diagnostic};
use refgate_core::json::join;
use refgate_core::merge::{OnConflict, Settled};
use refgate_core::name::{CommitId, GroupName, ServiceName};
use refgate_core::version::Version;
use serde_json::{Map, Value};

use super::path::At;
use super::targets::Targets;
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

/// A version by its number, wherever it runs or ran. The body may repeat the number, as bodies of the other
/// syncs have it.
pub(super) async fn version(
    State(api): State<Api>,
    At((service, version)): At<(ServiceName, Version)>,
    write: Write,
    body: Document,
) -> Answer {
    let mut fields = Fields::of(body.0);
    let given = fields.optional::<String>("version");
    let runtime = runtime(&mut fields);
    let source = SyncSource::Version(version.to_string());
    let order = Order::read(fields, runtime, || Some(vec![(service.clone(), source)]))?;
    match given.as_deref().map(str::parse::<Version>).transpose().map_err(Error::BadVersion)? {
        Some(given) if given != version => {
            Err(Error::VersionMismatch { service, version, given }.into())
        }
        _ => order.run_one(&api, &write).await,
    }
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
    /// The commit that the target must be at; of one target only.
    expect_head: Option<CommitId>,
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
        let expect_head = fields.optional::<CommitId>("expect_head");
        if expect_head.is_some() && matches!(to, Some(Targets::Many(_))) {
            let message = "several groups are not at one commit";
            let refusal = Diagnostic::error("", "/expect_head", Code::BadValue, message);
            fields.refuse(refusal.with_hint("sync to one group at a time, or leave it out"));
        }
        let settled = fields.optional::<Settlements>("settled").unwrap_or_default().0;
        if !settled.is_empty() && matches!(to, Some(Targets::Many(_))) {
            let message = "several groups have conflicts of their own";
            let refusal = Diagnostic::error("", "/settled", Code::BadValue, message);
            fields.refuse(refusal.with_hint("sync to one group at a time, or use on_conflict"));
        }
        fields.finish(|| {
            let sync = Sync { services: services()?, runtime, on_conflict, settled };
            Some(Self { to: to?, sync, reason, expect_head })
        })
    }

    /// To one group: a write. To a list: results.
    async fn run_one(self, api: &Api, write: &Write) -> Answer {
        let write = write.clone().expecting(self.expect_head);
        self.to.write(api, &write, Operation::Sync(self.sync), self.reason).await
    }

    /// To every target for itself, and results for each.
    async fn run_all(self, api: &Api, write: &Write) -> Answer {
        write.precondition.is_of_one(self.sync.services.len(), "services")?;
        let write = write.clone().expecting(self.expect_head);
        self.to.write_each(api, &write, Operation::Sync(self.sync), self.reason).await
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

/// `settled`: conflicts by file and pointer, each with the side that is taken.
#[derive(Default)]
struct Settlements(Settled);

impl Field for Settlements {
    fn read(value: Value, pointer: &str) -> Result<Self, Diagnostic> {
        let Value::Array(items) = value else {
            return Err(wrong_type(pointer, "a list of settled conflicts", &value));
        };
        let mut settled = Settled::new();
        for (index, item) in items.into_iter().enumerate() {
            let at = join(pointer, &index.to_string());
            let mut item = Map::read(item, &at)?;
            let mut take = |key: &str| {
                item.shift_remove(key).ok_or_else(|| {
                    let message = format!("the key {key:?} is missing");
                    Diagnostic::error("", &at, Code::MissingKey, message)
                        .with_hint("file and pointer as the conflict has them, and take")
                })
            };
            let file = String::read(take("file")?, &join(&at, "file"))?;
            let place = String::read(take("pointer")?, &join(&at, "pointer"))?;
            let side = Side::read(take("take")?, &join(&at, "take"))?;
            if let Some(key) = item.keys().next() {
                let message = format!("there is no key {key:?} here");
                let finding = Diagnostic::error("", join(&at, key), Code::UnknownKey, message);
                return Err(finding.with_hint("known keys: file, pointer, take"));
            }
            if settled.insert((file, place), side.0).is_some() {
                let message = "this conflict is settled twice";
                let finding = Diagnostic::error("", at, Code::BadValue, message);
                return Err(finding.with_hint("keep one of them"));
            }
        }
        Ok(Self(settled))
    }
}

/// The side that is taken at one place.
struct Side(OnConflict);

impl Field for Side {
    fn read(value: Value, pointer: &str) -> Result<Self, Diagnostic> {
        match OnConflict::read(value, pointer)? {
            OnConflict::Abort => {
                let message = "a conflict is settled by one side";
                let finding = Diagnostic::error("", pointer, Code::BadValue, message);
                Err(finding.with_hint("theirs (the version) or ours (the group)"))
            }
            side => Ok(Self(side)),
        }
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
