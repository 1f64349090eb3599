//! Rules that no document can check alone: references between documents and routes that tie.
//!
//! Single values are checked where they are read, in [`crate::document`].

mod conflict;

use std::collections::BTreeSet;

use crate::config::route_path;
use crate::diagnostic::{Code, Diagnostic, did_you_mean};
use crate::name::{RouteName, ServiceName, UpstreamName};

pub(crate) use conflict::{Claim, Claims, claims};

/// Reports routes whose upstream the runtime does not define.
///
/// A group that has defined no upstream at all has not said yet where requests go: the service
/// waits, not live. Once it names one, a route that names another is an error.
pub(crate) fn upstream_references<'n>(
    service: &ServiceName,
    routes: impl IntoIterator<Item = (&'n RouteName, &'n UpstreamName)>,
    defined: &BTreeSet<&UpstreamName>,
    findings: &mut Vec<Diagnostic>,
) {
    if defined.is_empty() {
        return;
    }
    for (name, upstream) in routes {
        if defined.contains(upstream) {
            continue;
        }
        let known = defined.iter().map(|name| name.as_str());
        let hint = did_you_mean(upstream.as_str(), known).unwrap_or_else(|| {
            format!("define it in runtime/{service}.json, without nodes if there are none yet")
        });
        let message = format!("the runtime of {service} has no upstream {:?}", upstream.as_str());
        let finding = Diagnostic::error(
            route_path(service, name),
            "/upstream",
            Code::UnknownUpstream,
            message,
        );
        findings.push(finding.with_hint(hint));
    }
}
