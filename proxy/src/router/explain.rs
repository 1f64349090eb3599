//! Why a route gets a request, and why the others do not: a group's configuration, without a gateway.
//!
//! The answer comes from the same rules, ranks and predicates that requests are routed by. Values that
//! only a gateway knows (`$env://`, `$file://`) are not looked up: a route that depends on one is told
//! as unknown. The work is one pass over the group's routes; nothing here is on the path of requests.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::sync::Arc;

use refgate_core::config::{GroupConfig, Live, ServiceConfig};
use refgate_core::document;
use refgate_core::host::HostPattern;
use refgate_core::name::{RouteName, ServiceName, UpstreamName};
use refgate_core::pattern::PathPattern;
use serde::Serialize;

use super::predicate::{Failed, Request, Test, cookie, cookies, header, parameter};
use super::routes::Asked;
use super::rule::{Conditions, Rule, Unresolved};
use super::{Candidate, capture, forwarded, rank};

/// Which route gets a request, and what became of others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The route that gets it.
    pub matched: Option<Matched>,
    /// 200 for a route, else what the gateway answers: 404 or 405.
    pub status: u16,
    /// The methods that `Allow` names, with 405.
    pub allow: Vec<&'static str>,
    /// Routes in question: those at the request's host and path in the order in which they are asked,
    /// then those that come near.
    pub candidates: Vec<Considered>,
    /// How many more there are.
    pub omitted: usize,
}

/// The route that gets a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Matched {
    /// Its service.
    pub service: ServiceName,
    /// The route.
    pub route: RouteName,
    /// The host that it answers to; nothing: any.
    pub host: Option<String>,
    /// Its path pattern, with the service's path prefix.
    pub path: String,
    /// What the path has in the place of its parameters, in order.
    pub params: serde_json::Map<String, serde_json::Value>,
    /// The upstream that the request goes to.
    pub upstream: UpstreamName,
    /// The path that is forwarded.
    pub forwarded_path: String,
}

/// A route under one host and one pattern, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Considered {
    /// Its service.
    pub service: ServiceName,
    /// The route.
    pub route: RouteName,
    /// The host that it answers to; nothing: any.
    pub host: Option<String>,
    /// Its path pattern, with the service's path prefix.
    pub path: String,
    /// What became of it.
    pub verdict: Verdict,
    /// The same in words.
    pub reason: String,
}

/// What became of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It gets the request.
    Matched,
    /// It would, but for a better one.
    Outranked,
    /// It takes other methods.
    Method,
    /// One of its predicates does not hold.
    Predicate,
    /// Whether it matches is known to a gateway only.
    Unknown,
    /// The route is switched off.
    Disabled,
    /// Its service is not live.
    NotLive,
    /// Its pattern does not match the path.
    Path,
    /// It answers to another host.
    Host,
}

/// A route under one host and one pattern, as documents say it.
struct Place<'c> {
    service: &'c Arc<ServiceConfig>,
    name: &'c RouteName,
    document: &'c document::Route,
    host: Option<&'c HostPattern>,
    path: PathPattern,
}

/// A live candidate at the request's host and path.
struct Contender<'c> {
    place: Place<'c>,
    candidate: Candidate<Rule>,
    unresolved: Vec<Unresolved>,
}

/// Says who gets a request in this configuration, and tells of at most `limit` candidates.
#[must_use]
pub fn explain(config: &GroupConfig, asked: &Asked<'_>, limit: usize) -> Explanation {
    let request = &asked.request();
    let mut contenders = Vec::new();
    let mut near = Vec::new();
    for service in config.services.values() {
        let live = service.live();
        for place in places(service) {
            let is_host = place.host.is_none_or(|host| host.matches(request.host));
            let is_path = place.path.matches(request.path);
            let (verdict, reason) = match (is_host, is_path) {
                (true, true) if live != Live::Live => (Verdict::NotLive, not_live(&place, live)),
                (true, true) if !place.document.enabled => {
                    (Verdict::Disabled, "the route is switched off".to_owned())
                }
                (true, true) => {
                    contenders.push(Contender::of(place));
                    continue;
                }
                (true, false) => (Verdict::Path, "its pattern does not match the path".to_owned()),
                (false, true) => {
                    let own = place.host.map(ToString::to_string).unwrap_or_default();
                    (Verdict::Host, format!("it answers to {own}, not to {:?}", request.host))
                }
                (false, false) => continue,
            };
            near.push((nearness(verdict, &place, request), verdict, place, reason));
        }
    }
    contenders.sort_by(|a, b| rank::compare(&a.candidate, &b.candidate));
    near.sort_by(|(a, .., of_a, _), (b, .., of_b, _)| {
        a.cmp(b).then_with(|| of_a.path.cmp(&of_b.path))
    });

    let mut explanation = Explanation {
        matched: None,
        status: 404,
        allow: Vec::new(),
        omitted: (contenders.len() + near.len()).saturating_sub(limit),
        candidates: Vec::new(),
    };
    let mut allowed = super::MethodSet::NONE;
    let mut winner: Option<&Contender<'_>> = None;
    for contender in &contenders {
        let (mut verdict, mut reason) = contender.judge(request);
        if verdict == Verdict::Method {
            allowed = allowed.with(contender.candidate.rule().conditions.methods);
        }
        if verdict == Verdict::Matched {
            if let Some(winner) = winner {
                verdict = Verdict::Outranked;
                let has = rank::advantage(&winner.candidate, &contender.candidate);
                reason = match (has, std::ptr::eq(winner.place.document, contender.place.document))
                {
                    (_, true) => "the same route matches by another pattern".to_owned(),
                    (Some(has), false) => {
                        let Rule { service, name, .. } = &*winner.candidate.route;
                        format!("{service}/{name} has {has}")
                    }
                    (None, false) => "another one comes first".to_owned(),
                };
            } else {
                winner = Some(contender);
            }
        }
        explanation.candidates.push(contender.place.considered(verdict, reason));
    }
    let near =
        near.into_iter().map(|(_, verdict, place, reason)| place.considered(verdict, reason));
    explanation.candidates.extend(near.take(limit));
    if let Some(winner) = winner {
        explanation.status = 200;
        explanation.matched = Some(winner.matched(request));
        // The one that matters is told, however many come before it.
        let position = explanation.candidates.iter().position(|it| it.verdict == Verdict::Matched);
        if let Some(position) = position.filter(|position| *position >= limit && limit > 0) {
            explanation.candidates.swap(limit - 1, position);
        }
    } else if allowed != super::MethodSet::NONE {
        explanation.status = 405;
        explanation.allow = allowed.names().collect();
    }
    explanation.candidates.truncate(limit);
    explanation
}

/// All candidates of a service, those that are switched off as well.
fn places(service: &Arc<ServiceConfig>) -> impl Iterator<Item = Place<'_>> {
    let prefix = service.runtime.path_prefix.as_str();
    let hosts = &service.runtime.hosts;
    service.routes.iter().flat_map(move |(name, document)| {
        let paths = document.paths.iter().flat_map(move |path| path.below(prefix));
        paths.flat_map(move |path| {
            let any = hosts.is_empty().then_some(None);
            any.into_iter().chain(hosts.iter().map(Some)).map(move |host| Place {
                service,
                name,
                document,
                host,
                path: path.clone(),
            })
        })
    })
}

/// How near a candidate comes, the nearest first: by its verdict, then by how much of its text the path
/// begins with.
fn nearness(verdict: Verdict, place: &Place<'_>, request: &Request<'_>) -> (u8, Reverse<usize>) {
    let order = match verdict {
        Verdict::NotLive | Verdict::Disabled => 0,
        Verdict::Path => 1,
        _ => 2,
    };
    let text = place.path.as_str().bytes();
    let common = text.zip(request.path.bytes()).take_while(|(a, b)| a == b).count();
    (order, Reverse(common))
}

fn not_live(place: &Place<'_>, live: Live) -> String {
    let why = match live {
        Live::Disabled => "is switched off in this group",
        Live::NoRoutes => "has no route that is switched on",
        Live::NoNodes => "has an upstream without nodes in this group",
        Live::Live | Live::Invalid | Live::Damaged => "is not live",
    };
    format!("the service {} {why}", place.service.name)
}

impl Place<'_> {
    fn considered(&self, verdict: Verdict, reason: String) -> Considered {
        Considered {
            service: self.service.name.clone(),
            route: self.name.clone(),
            host: self.host.map(ToString::to_string),
            path: self.path.to_string(),
            verdict,
            reason,
        }
    }
}

/// Values stand for themselves, but for those that only a gateway knows.
fn value(text: &str) -> Result<Cow<'_, str>, String> {
    if text.starts_with("$env://") || text.starts_with("$file://") {
        return Err(format!("only a gateway knows what {text} stands for"));
    }
    Ok(Cow::Borrowed(text))
}

impl<'c> Contender<'c> {
    fn of(place: Place<'c>) -> Self {
        let mut unresolved = Vec::new();
        let conditions = Conditions::of(place.document, &value, &mut unresolved);
        let (service, name) = (place.service.name.clone(), place.name.clone());
        let route = Arc::new(Rule { service, name, conditions });
        let candidate = Candidate { host: place.host.cloned(), path: place.path.clone(), route };
        Self { place, candidate, unresolved }
    }

    fn judge(&self, request: &Request<'_>) -> (Verdict, String) {
        let conditions = &self.candidate.rule().conditions;
        if let Some(failed) = conditions.predicates.failed(request) {
            return (Verdict::Predicate, why_failed(conditions, failed, request));
        }
        if !conditions.methods.takes(request.method) {
            let names: Vec<_> = conditions.methods.names().collect();
            return (Verdict::Method, format!("it takes {} only", names.join(", ")));
        }
        match self.unresolved.first() {
            Some(unresolved) => (Verdict::Unknown, unresolved.reason.clone()),
            None => (Verdict::Matched, "it is the first that matches".to_owned()),
        }
    }

    fn matched(&self, request: &Request<'_>) -> Matched {
        let runtime = &self.place.service.runtime;
        let strip = if runtime.strip_path_prefix { runtime.path_prefix.as_str().len() } else { 0 };
        let params = capture::parameters(&self.candidate.path, request.path);
        Matched {
            service: self.place.service.name.clone(),
            route: self.place.name.clone(),
            host: self.place.host.map(ToString::to_string),
            path: self.place.path.to_string(),
            params: params.map(|(name, value)| (name.to_owned(), value.into())).collect(),
            upstream: self.place.document.upstream.clone(),
            forwarded_path: forwarded(request.path, strip).into_owned(),
        }
    }
}

fn why_failed(conditions: &Conditions, failed: Failed, request: &Request<'_>) -> String {
    let predicates = &conditions.predicates;
    let told = |kind: &str, name: &str, test: Option<&Test>, sent: Option<&str>| {
        let has = match sent {
            Some(sent) => format!("the {kind} {name} is {sent:?}"),
            None => format!("the {kind} {name} is missing"),
        };
        match test {
            Some(Test::Value(wanted)) => format!("{has}, it must be {wanted:?}"),
            Some(Test::Regex(regex)) => format!("{has}, it must match {:?}", regex.as_str()),
            Some(Test::Present(false)) => format!("{has}, it must not be there"),
            Some(Test::Present(true)) | None => has,
        }
    };
    match failed {
        Failed::Client => {
            let blocks: Vec<String> =
                predicates.remote_addrs.iter().map(ToString::to_string).collect();
            format!("the client {} is not in {}", request.client, blocks.join(", "))
        }
        Failed::Header(index) => {
            let Some((name, test)) = predicates.headers.get(index) else { return String::new() };
            told("header", name.as_str(), Some(test), header(request.headers, name).as_deref())
        }
        Failed::Query(index) => {
            let Some((name, test)) = predicates.query.get(index) else { return String::new() };
            told("query parameter", name, Some(test), parameter(request.query, name).as_deref())
        }
        Failed::Cookie(index) => {
            let Some((name, test)) = predicates.cookies.get(index) else { return String::new() };
            told("cookie", name, Some(test), cookie(&cookies(request.headers), name))
        }
    }
}
