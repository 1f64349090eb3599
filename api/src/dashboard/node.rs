//! Hosts: Add, and Upstreams: Add Node: one thing more, or less, in what a group owns about a
//! service. What is added is laid over what is there at that moment, so that two who add lose
//! nothing; what is removed is asked about first.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use refgate_core::change::{Operation, Precondition};
use refgate_core::json::join;
use refgate_core::name::{GroupName, ServiceName, UpstreamName};
use serde_json::{Map, Value};

use super::Answer;
use super::editor::{self, Part, Terms, written_to};
use super::form::{Faults, Posted};
use super::page::{Asked, Visitor};
use super::parts::service_path;
use super::remove::Removal;
use super::service::{self, Typed};
use super::settings::{ServiceAt, of_runtime, service_crumbs};
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

/// Something that is added by a small form.
struct Addition<'a> {
    what: String,
    to: &'a str,
    posted: &'a Posted,
    /// The fields of the form.
    fields: &'static [&'static str],
}

/// Changes the runtime as it is at that moment; in production, after it was asked about.
async fn edit(
    api: &Api,
    visitor: &Visitor,
    group: &GroupName,
    service: &ServiceName,
    addition: Addition<'_>,
    change: impl Fn(&mut Value) -> Result<(), Problem>,
) -> Result<Edit, Problem> {
    let Addition { what, to, posted, fields } = addition;
    let looks_first = Terms::of(api, group, Part::Owned).await?.looks_first;
    if looks_first && posted.text("sure") != "true" {
        let (mut document, tag) = runtime(api, group, service).await?;
        change(&mut document)?;
        let operation = Operation::PutRuntime { service: service.clone(), document };
        let mut plan = visitor.write();
        plan.dry_run = true;
        if let Err(problem) = plan.perform(api, group.clone(), operation.clone(), None).await {
            return Ok(Edit::Refused(problem));
        }
        let carried = fields.iter().map(|name| (*name, posted.text(name).to_owned()));
        let question = Removal {
            title: what,
            lead: "It is served with the next commit.".to_owned(),
            is_grave: false,
            crumbs: service_crumbs(group, service),
            back: to.to_owned(),
            verb: "Add",
            tag,
            carried: carried.chain([("sure", "true".to_owned())]).collect(),
            typed: None,
            operation,
            group: group.clone(),
        };
        return question.ask(api, visitor).await.map(Edit::Done);
    }
    for _ in 0..TRIES {
        let (mut document, tag) = runtime(api, group, service).await?;
        change(&mut document)?;
        let mut write = visitor.write();
        write.precondition = Precondition::same(tag);
        let operation = Operation::PutRuntime { service: service.clone(), document };
        match write.perform(api, group.clone(), operation, posted.given("reason")).await {
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
    let addition = Addition {
        what: format!("Add host {host} to {service}"),
        to: &back,
        posted: &posted,
        fields: &["host"],
    };
    let added = edit(&api, &visitor, &group, &service, addition, |document| {
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
            service::hosts_page(&api, &visitor, group, service, typed, 0).await
        }
    }
}

/// The runtime of a service as it would be, and the tag of what it is now.
async fn runtime(
    api: &Api,
    group: &GroupName,
    service: &ServiceName,
) -> Result<(Value, String), Problem> {
    let (g, s) = (group.clone(), service.clone());
    let found = api.store.read(move |repository| repository.runtime(&g, &s)).await?;
    Ok((found.value, found.etag))
}

async fn host_removal(
    api: &Api,
    (group, service): (GroupName, ServiceName),
    asked: &Asked,
) -> Result<Removal, Problem> {
    let host = asked.text("host");
    let (mut document, tag) = runtime(api, &group, &service).await?;
    let hosts = list(&mut document, "/hosts").filter(|hosts| hosts.iter().any(|one| one == host));
    let Some(hosts) = hosts else {
        let detail = format!("{service} has no host {host} in group {group}");
        return Err(Problem::new(Kind::NotFound, detail));
    };
    hosts.retain(|known| known != host);
    let is_last = hosts.is_empty();
    let lead = match is_last {
        true => "It is the last one. Without any, the service answers to every host.",
        false => "Requests for it do not come to this service any more.",
    };
    Ok(Removal {
        title: format!("Remove host {host}"),
        lead: lead.to_owned(),
        is_grave: is_last,
        crumbs: service_crumbs(&group, &service),
        back: format!("{}/hosts", service_path(&group, &service)),
        verb: "Remove host",
        tag,
        carried: Vec::new(),
        typed: None,
        operation: Operation::PutRuntime { service, document },
        group,
    })
}

pub(super) async fn ask_remove_host(
    State(api): State<Api>,
    visitor: Visitor,
    At(at): ServiceAt,
    asked: Asked,
) -> Answer {
    host_removal(&api, at, &asked).await?.ask(&api, &visitor).await
}

pub(super) async fn remove_host(
    State(api): State<Api>,
    visitor: Visitor,
    At(at): ServiceAt,
    asked: Asked,
    Extension(posted): Extension<Posted>,
) -> Answer {
    host_removal(&api, at, &asked).await?.carry_out(&api, &visitor, &posted).await
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
    let addition = Addition {
        what: format!("Add node {}:{} to {service}", text("host"), text("port")),
        to: &back,
        posted: &posted,
        fields: &["host", "port", "weight", "priority"],
    };
    let added = edit(&api, &visitor, &group, &service, addition, |document| {
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
            service::upstreams_page(&api, &visitor, group, service, typed, 0).await
        }
    }
}

async fn node_removal(
    api: &Api,
    (group, service, upstream): (GroupName, ServiceName, UpstreamName),
    asked: &Asked,
) -> Result<Removal, Problem> {
    let (host, port) = (asked.text("host"), asked.text("port"));
    let pointer = format!("{}/nodes", join("/upstreams", upstream.as_str()));
    let (mut document, tag) = runtime(api, &group, &service).await?;
    let nodes = list(&mut document, &pointer);
    let nodes = nodes.ok_or_else(|| no_upstream(&upstream, &service, &group))?;
    let before = nodes.len();
    nodes.retain(|node| node["host"] != *host || plain(&node["port"]) != port);
    if nodes.len() == before {
        let detail = format!("upstream {upstream} of {service} has no node {host}:{port}");
        return Err(Problem::new(Kind::NotFound, detail));
    }
    let is_last = nodes.is_empty();
    let lead = match is_last {
        true => {
            "It is the last one. Without any, a service whose routes use the upstream takes no \
                 requests here."
        }
        false => {
            "It gets no new requests; those that it has are answered. To keep it at hand, give \
                  it the weight 0 instead."
        }
    };
    Ok(Removal {
        title: format!("Remove node {host}:{port}"),
        lead: lead.to_owned(),
        is_grave: is_last,
        crumbs: service_crumbs(&group, &service),
        back: format!("{}/upstreams", service_path(&group, &service)),
        verb: "Remove node",
        tag,
        carried: Vec::new(),
        typed: None,
        operation: Operation::PutRuntime { service, document },
        group,
    })
}

pub(super) async fn ask_remove(
    State(api): State<Api>,
    visitor: Visitor,
    At(at): UpstreamAt,
    asked: Asked,
) -> Answer {
    node_removal(&api, at, &asked).await?.ask(&api, &visitor).await
}

pub(super) async fn remove(
    State(api): State<Api>,
    visitor: Visitor,
    At(at): UpstreamAt,
    asked: Asked,
    Extension(posted): Extension<Posted>,
) -> Answer {
    node_removal(&api, at, &asked).await?.carry_out(&api, &visitor, &posted).await
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
