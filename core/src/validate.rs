//! Rules that no document can check alone: references between documents and routes that tie.
//!
//! Single values are checked where they are read, in [`crate::document`].

mod conflict;
mod pair;
mod standing;

use std::collections::BTreeSet;

use crate::config::{GroupObjects, route_path, runtime_path};
use crate::diagnostic::{Code, Diagnostic, did_you_mean};
use crate::name::{CertificateName, RouteName, ServiceName, UpstreamName};

pub(crate) use conflict::{Claim, Claims, claims};
pub(crate) use standing::settle;

/// Reports upstreams that show their nodes a certificate which the group does not have; says whether
/// there is none.
pub(crate) fn certificate_references<'n>(
    service: &ServiceName,
    named: impl IntoIterator<Item = (&'n UpstreamName, CertificateName)>,
    objects: &GroupObjects,
    findings: &mut Vec<Diagnostic>,
) -> bool {
    let known = findings.len();
    for (upstream, certificate) in named {
        if objects.has_certificate(&certificate) {
            continue;
        }
        let names = objects.certificates().map(|(name, _)| name.as_str());
        let hint = did_you_mean(certificate.as_str(), names)
            .unwrap_or_else(|| format!("add certificates/{certificate}.json to the group"));
        let message = format!("the group has no certificate {:?}", certificate.as_str());
        let pointer = format!("/upstreams/{upstream}/tls/client_certificate");
        let file = runtime_path(service);
        let finding = Diagnostic::error(file, pointer, Code::UnknownCertificate, message);
        findings.push(finding.with_hint(hint));
    }
    findings.len() == known
}

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
