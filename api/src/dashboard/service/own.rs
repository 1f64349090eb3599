//! What a group owns about a service as tabs of it: upstreams and hosts, each with its small form.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use refgate_core::name::{GroupName, ServiceName};
use serde_json::Value;

use super::super::page::{Asked, Frame, Visitor, html_with};
use super::super::parts::Pager;
use super::super::settings::ServiceAt;
use super::super::words::plain;
use super::super::{Answer, PAGE};
use super::{Found, Head, find, frame, texts};
use crate::http::Api;
use crate::http::path::At;

/// Upstreams on a page of them.
const UPSTREAMS: usize = 5;
/// Nodes of an upstream among others; the others are counted.
const NODES: usize = 50;

/// An upstream with its nodes.
pub(super) struct UpstreamCard {
    pub(super) name: String,
    pub(super) scheme: String,
    pub(super) host: &'static str,
    pub(super) balancer: String,
    pub(super) nodes: Vec<NodeRow>,
    /// How it is found out which nodes can take requests.
    pub(super) checks: &'static str,
    /// Nodes that are not shown.
    pub(super) more: usize,
}

pub(super) struct NodeRow {
    pub(super) host: String,
    pub(super) port: String,
    pub(super) weight: String,
    pub(super) priority: String,
}

/// The upstreams, each with at most `most` nodes.
pub(super) fn upstreams_of(runtime: &Value, most: usize) -> Vec<UpstreamCard> {
    let card = |(name, upstream): (&String, &Value)| {
        let nodes = upstream["nodes"].as_array().map_or(&[][..], Vec::as_slice);
        UpstreamCard {
            name: name.clone(),
            scheme: plain(&upstream["scheme"]),
            host: match upstream["pass_host"].as_str() {
                Some("node") => "Specified in the Upstream's Host",
                Some("rewrite") => "Rewritten",
                _ => "The client's host",
            },
            balancer: plain(&upstream["balancer"]["type"]),
            checks: match (&upstream["checks"]["active"], &upstream["checks"]["passive"]) {
                (Value::Object(_), Value::Object(_)) => "asked, and by requests",
                (Value::Object(_), _) => "asked",
                _ => "off",
            },
            more: nodes.len().saturating_sub(most),
            nodes: nodes
                .iter()
                .take(most)
                .map(|node| NodeRow {
                    host: plain(&node["host"]),
                    port: plain(&node["port"]),
                    weight: plain(&node["weight"]),
                    priority: plain(&node["priority"]),
                })
                .collect(),
        }
    };
    runtime["upstreams"].as_object().into_iter().flatten().map(card).collect()
}

/// What was typed into a small form that was refused, and why.
#[derive(Default)]
pub(in super::super) struct Typed {
    pub(in super::super) upstream: String,
    pub(in super::super) host: String,
    pub(in super::super) port: String,
    pub(in super::super) weight: String,
    /// The field and what is wrong with it; no field: with all of it.
    pub(in super::super) faults: Vec<(String, String)>,
}

impl Typed {
    fn status(&self) -> StatusCode {
        if self.faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY }
    }

    fn is_of(&self, upstream: &str) -> bool {
        self.upstream == upstream
    }

    fn faults_of<'a>(&'a self, field: &'a str) -> impl Iterator<Item = &'a str> {
        self.faults.iter().filter(move |(known, _)| known == field).map(|(_, text)| &**text)
    }

    fn is_wrong(&self, field: &str) -> bool {
        self.faults.iter().any(|(known, _)| known == field)
    }

    /// What is wrong with anything but these fields.
    fn others(&self) -> impl Iterator<Item = &str> {
        let own = ["host", "port", "weight"];
        self.faults
            .iter()
            .filter(move |(field, _)| !own.contains(&&**field))
            .map(|(_, text)| &**text)
    }
}

#[derive(Template)]
#[template(path = "service/upstreams.html")]
struct UpstreamsPage {
    frame: Frame,
    head: Head,
    upstreams: Vec<UpstreamCard>,
    typed: Typed,
    /// What stands in the forms of the other upstreams.
    untyped: Typed,
    pager: Pager,
}

pub(in super::super) async fn upstreams(
    State(api): State<Api>,
    visitor: Visitor,
    At((group, service)): ServiceAt,
    asked: Asked,
) -> Answer {
    upstreams_page(&api, &visitor, group, service, Typed::default(), asked.page()).await
}

pub(in super::super) async fn upstreams_page(
    api: &Api,
    visitor: &Visitor,
    group: GroupName,
    service: ServiceName,
    typed: Typed,
    page: usize,
) -> Answer {
    let Found { head, service, .. } = find(api, visitor, &group, &service, "upstreams").await?;
    let mut upstreams = upstreams_of(&service.runtime, NODES);
    let base = format!("{}/upstreams?page=", head.path);
    let pager = Pager::sized(base, page, UPSTREAMS, upstreams.len());
    // The one whose form was refused is shown in any case.
    let shown = page * UPSTREAMS..(page + 1) * UPSTREAMS;
    let mut at = 0..;
    upstreams.retain(|one| {
        at.next().is_some_and(|at: usize| shown.contains(&at)) || typed.is_of(&one.name)
    });
    let status = typed.status();
    html_with(
        status,
        &UpstreamsPage {
            frame: frame(visitor, &head),
            head,
            upstreams,
            typed,
            untyped: Typed::default(),
            pager,
        },
    )
}

#[derive(Template)]
#[template(path = "service/hosts.html")]
struct HostsPage {
    frame: Frame,
    head: Head,
    hosts: Vec<String>,
    pager: Pager,
    prefix: String,
    strip: bool,
    enabled: bool,
    typed: Typed,
}

pub(in super::super) async fn hosts(
    State(api): State<Api>,
    visitor: Visitor,
    At((group, service)): ServiceAt,
    asked: Asked,
) -> Answer {
    hosts_page(&api, &visitor, group, service, Typed::default(), asked.page()).await
}

pub(in super::super) async fn hosts_page(
    api: &Api,
    visitor: &Visitor,
    group: GroupName,
    service: ServiceName,
    typed: Typed,
    page: usize,
) -> Answer {
    let Found { head, service, .. } = find(api, visitor, &group, &service, "hosts").await?;
    let runtime = &service.runtime;
    let hosts = texts(&runtime["hosts"]);
    let page = HostsPage {
        pager: Pager::new(format!("{}/hosts?page=", head.path), page, hosts.len()),
        hosts: hosts.into_iter().skip(page * PAGE).take(PAGE).collect(),
        frame: frame(visitor, &head),
        head,
        prefix: runtime["path_prefix"].as_str().unwrap_or_default().to_owned(),
        strip: runtime["strip_path_prefix"] != false,
        enabled: runtime["enabled"] != false,
        typed,
    };
    html_with(page.typed.status(), &page)
}
