//! Rules that no document can check alone: references between documents and routes that tie.
//!
//! Single values are checked where they are read, in [`crate::document`].

mod conflict;

use std::collections::BTreeMap;

use crate::config::route_path;
use crate::diagnostic::{Code, Diagnostic, did_you_mean};
use crate::document::{Route, Runtime};
use crate::name::{RouteName, ServiceName, UpstreamName};

pub(crate) use conflict::{Claim, Claims, claims};

/// Reports routes whose upstream the runtime does not define.
///
/// A group that has defined no upstream at all has not said yet where requests go: the service
/// waits, not live. Once it names one, a route that names another is an error.
pub(crate) fn upstream_references(
    service: &ServiceName,
    routes: &BTreeMap<RouteName, Route>,
    runtime: &Runtime,
    findings: &mut Vec<Diagnostic>,
) {
    if runtime.upstreams.is_empty() {
        return;
    }
    for (name, route) in routes {
        if runtime.upstreams.contains_key(&route.upstream) {
            continue;
        }
        let known = runtime.upstreams.keys().map(UpstreamName::as_str);
        let hint = did_you_mean(route.upstream.as_str(), known).unwrap_or_else(|| {
            format!("define it in runtime/{service}.json, without nodes if there are none yet")
        });
        let message =
            format!("the runtime of {service} has no upstream {:?}", route.upstream.as_str());
        let finding = Diagnostic::error(
            route_path(service, name),
            "/upstream",
            Code::UnknownUpstream,
            message,
        );
        findings.push(finding.with_hint(hint));
    }
}
