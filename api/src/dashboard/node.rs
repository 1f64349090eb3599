//! Hosts: Add, and Upstreams: Add Node: one thing more, or less, in what a group owns about a
//! service. Each is laid over what is there at that moment, so that two who add lose nothing.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use refgate_core::change::{Operation, Precondition};
use refgate_core::json::join;
use refgate_core::name::{GroupName, ServiceName, UpstreamName};
use serde_json::{Map, Value};

use super::Answer;
use super::editor::{self, written_to};
use super::form::{Faults, Posted};
use super::page::Visitor;
use super::parts::service_path;
use super::service::{self, Typed};
use super::settings::of_runtime;
use super::upstream::no_upstream;
use super::words::plain;
use crate::http::Api;
use crate::http::path::At;
use crate::http::write::Done;
use crate::problem::{Kind, Problem};

/// Times that a write is laid over what came between.
const TRIES: usize = 5;

/// What came of it.
enum Edit {
    Done(Response),
    Refused(Problem),
}

/// Changes the runtime as it is at that moment.
async fn edit(
    api: &Api,
    visitor: &Visitor,
    group: &GroupName,
    service: &ServiceName,
    to: &str,
    change: impl Fn(&mut Value) -> Result<(), Problem>,
) -> Result<Edit, Problem> {
    for _ in 0..TRIES {
        let (g, s) = (group.clone(), service.clone());
        let found = api.store.read(move |repository| repository.runtime(&g, &s)).await?;
        let mut document = found.value;
        change(&mut document)?;
        let mut write = visitor.write();
        write.precondition = Precondition::same(found.etag);
        let operation = Operation::PutRuntime { service: service.clone(), document };
        match write.perform(api, group.clone(), operation, None).await {
            Ok(Done::Written(written, _)) => {
                return Ok(Edit::Done(written_to(visitor, to, &written)));
            }
            Ok(Done::Planned(_)) => break,
            Err(problem) if problem.kind() == Kind::PreconditionFailed => {}
            Err(problem) => return Ok(Edit::Refused(problem)),
        }
    }
    let detail = "the runtime changed again and again meanwhile; try again";
    Err(Problem::new(Kind::ConcurrentUpdate, detail))
}

fn list<'v>(document: &'v mut Value, pointer: &str) -> Option<&'v mut Vec<Value>> {
    document.pointer_mut(pointer)?.as_array_mut()
}

pub(super) async fn add_host(
    State(api): State<Api>,
    visitor: Visitor,
    At((group, service)): At<(GroupName, ServiceName)>,
    Extension(posted): Extension<Posted>,
) -> Answer {
    let host = posted.text("host").trim().to_owned();
    let back = format!("{}/hosts", service_path(&group, &service));
    let added = edit(&api, &visitor, &group, &service, &back, |document| {
        if let Some(hosts) = list(document, "/hosts") {
            hosts.push(host.clone().into());
        }
        Ok(())
    });
    match added.await? {
        Edit::Done(response) => Ok(response),
        Edit::Refused(problem) => {
            let faults = editor::faults(&problem, |finding| of_runtime(&service, finding));
            let typed = Typed { host, faults: told(&faults), ..Typed::default() };
            service::hosts_page(&api, &visitor, group, service, typed).await
        }
    }
}

pub(super) async fn remove_host(
    State(api): State<Api>,
    visitor: Visitor,
    At((group, service)): At<(GroupName, ServiceName)>,
    Extension(posted): Extension<Posted>,
) -> Answer {
    let host = Value::from(posted.text("host"));
    let back = format!("{}/hosts", service_path(&group, &service));
    let removed = edit(&api, &visitor, &group, &service, &back, |document| {
        if let Some(hosts) = list(document, "/hosts") {
            hosts.retain(|known| *known != host);
        }
        Ok(())
    });
    match removed.await? {
        Edit::Done(response) => Ok(response),
        Edit::Refused(problem) => Err(problem),
    }
}

type UpstreamAt = At<(GroupName, ServiceName, UpstreamName)>;

pub(super) async fn add(
    State(api): State<Api>,
    visitor: Visitor,
    At((group, service, upstream)): UpstreamAt,
    Extension(posted): Extension<Posted>,
) -> Answer {
    let text = |name: &str| posted.text(name).trim().to_owned();
    let mut node = Map::from_iter([("host".to_owned(), Value::from(text("host")))]);
    for key in ["port", "weight", "priority"] {
        let text = text(key);
        if let Ok(number) = text.parse::<i64>() {
            node.insert(key.to_owned(), number.into());
        } else if !text.is_empty() {
            node.insert(key.to_owned(), text.into());
        }
    }
    let node = Value::Object(node);
    let pointer = format!("{}/nodes", join("/upstreams", upstream.as_str()));
    let back = format!("{}/upstreams", service_path(&group, &service));
    let added = edit(&api, &visitor, &group, &service, &back, |document| {
        let nodes = list(document, &pointer);
        nodes.ok_or_else(|| no_upstream(&upstream, &service, &group))?.push(node.clone());
        Ok(())
    });
    match added.await? {
        Edit::Done(response) => Ok(response),
        Edit::Refused(problem) => {
            let faults = editor::faults(&problem, |finding| of_runtime(&service, finding));
            let typed = Typed {
                upstream: upstream.to_string(),
                host: text("host"),
                port: text("port"),
                weight: text("weight"),
                faults: told(&faults),
            };
            service::upstreams_page(&api, &visitor, group, service, typed).await
        }
    }
}

pub(super) async fn remove(
    State(api): State<Api>,
    visitor: Visitor,
    At((group, service, upstream)): UpstreamAt,
    Extension(posted): Extension<Posted>,
) -> Answer {
    let (host, port) = (posted.text("host").to_owned(), posted.text("port").to_owned());
    let pointer = format!("{}/nodes", join("/upstreams", upstream.as_str()));
    let back = format!("{}/upstreams", service_path(&group, &service));
    let removed = edit(&api, &visitor, &group, &service, &back, |document| {
        let nodes = list(document, &pointer);
        nodes
            .ok_or_else(|| no_upstream(&upstream, &service, &group))?
            .retain(|node| node["host"] != *host || plain(&node["port"]) != port);
        Ok(())
    });
    match removed.await? {
        Edit::Done(response) => Ok(response),
        Edit::Refused(problem) => Err(problem),
    }
}

/// Each fault with the last part of its pointer: the field of the small form.
fn told(faults: &Faults) -> Vec<(String, String)> {
    let field = |pointer: &str| {
        let last = pointer.rsplit('/').next().unwrap_or_default();
        let last = if last.parse::<usize>().is_ok() { "host" } else { last };
        last.to_owned()
    };
    let of_fields = faults.of_fields.iter();
    let mut told: Vec<_> =
        of_fields.map(|(pointer, message)| (field(pointer), message.clone())).collect();
    told.extend(faults.of_form.iter().map(|message| (String::new(), message.clone())));
    told
}
