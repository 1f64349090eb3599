//! The model's steps as changes that the repository is asked for.

use refgate_core::change::{Operation, RollbackTarget, Sync, SyncSource};
use refgate_core::name::Revision;
use serde_json::{Value, json};

use crate::model::text::{self, GROUPS};
use crate::model::{RoutePatch, Source, Step};
use crate::support::name;

pub(super) fn operation(step: &Step) -> (usize, Operation) {
    let service = |service: &u8| name(&text::service(*service));
    match step {
        Step::PutService(group, s, content, runtime) => {
            let mut document = text::service_json(&content.service.document);
            document["routes"] = text::routes_json(*s, content);
            if let Some(runtime) = runtime {
                document["runtime"] = text::runtime_json(runtime);
            }
            (*group, Operation::PutService { service: service(s), document })
        }
        Step::PatchService(group, s, description, route) => {
            let mut patch = json!({"description": text::description(*description)});
            if let Some((route, priority)) = route {
                let value = priority.map_or(Value::Null, |priority| json!({"priority": priority}));
                patch["routes"] = json!({text::route(*route): value});
            }
            (*group, Operation::PatchService { service: service(s), patch })
        }
        Step::PatchLabel(group, s, key, value) => {
            let patch = json!({"labels": label(*key, *value)});
            (*group, Operation::PatchService { service: service(s), patch })
        }
        Step::DeleteService(group, s) => (*group, Operation::DeleteService { service: service(s) }),
        Step::PutRoute(group, s, route, document) => {
            let document = text::route_json(*s, *route, document);
            let route = name(&text::route(*route));
            (*group, Operation::PutRoute { service: service(s), route, document })
        }
        Step::PatchRoute(group, s, route, patch) => {
            let patch = match patch {
                RoutePatch::Paths(paths) => json!({"paths": text::paths(*s, *route, paths)}),
                RoutePatch::Methods(methods) => json!({"methods": text::methods(methods)}),
                RoutePatch::Priority(priority) => json!({"priority": priority}),
                RoutePatch::Headers(headers) => {
                    json!({"match": {"headers": text::headers(headers)}})
                }
                RoutePatch::Enabled(enabled) => json!({"enabled": enabled}),
                RoutePatch::Label(key, value) => json!({"labels": label(*key, *value)}),
            };
            let route = name(&text::route(*route));
            (*group, Operation::PatchRoute { service: service(s), route, patch })
        }
        Step::DeleteRoute(group, s, route) => {
            let route = name(&text::route(*route));
            (*group, Operation::DeleteRoute { service: service(s), route })
        }
        Step::PutRuntime(group, s, runtime) => {
            let document = text::runtime_json(runtime);
            (*group, Operation::PutRuntime { service: service(s), document })
        }
        Step::PatchRuntime(group, s, enabled, hosts) => {
            let patch = json!({"enabled": enabled, "hosts": text::hosts(hosts)});
            (*group, Operation::PatchRuntime { service: service(s), patch })
        }
        Step::PatchGroup(group, document) => {
            let variable = if document.variable { json!("x") } else { Value::Null };
            let patch =
                json!({"promotion": text::promotion_json(document), "variables": {"v": variable}});
            (*group, Operation::PatchGroup { patch })
        }
        Step::Tag(group, s, number) => {
            let version = text::version(*number);
            (*group, Operation::TagVersion { service: service(s), version, message: None })
        }
        Step::Sync(target, items, runtime, on_conflict) => {
            let source = |source: &Source| match source {
                Source::Version(number) => SyncSource::Version(text::version(*number)),
                Source::Group(group, number) => SyncSource::Group {
                    group: name(GROUPS[*group]),
                    version: number.map(text::version),
                },
            };
            let services = items.iter().map(|(s, from)| (service(s), source(from))).collect();
            let runtime = runtime.as_ref().map(text::runtime_json);
            (
                *target,
                Operation::Sync(Sync {
                    services,
                    runtime,
                    on_conflict: *on_conflict,
                    settled: Default::default(),
                }),
            )
        }
        Step::RollbackService(group, s, number) => {
            let version = text::version(*number);
            (*group, Operation::RollbackService { service: service(s), version })
        }
        Step::RollbackGroup(group, revision) => {
            let to = RollbackTarget::Revision(Revision(*revision));
            (*group, Operation::RollbackGroup { to })
        }
        Step::Push(..) => unreachable!("not asked of the repository"),
        Step::SyncEach(..) => unreachable!("several changes"),
    }
}

fn label(key: u8, value: Option<u8>) -> Value {
    json!({format!("l{key}"): value.map_or(Value::Null, text::label)})
}
