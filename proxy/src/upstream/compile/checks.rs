//! Health checks of an upstream, from their document to what asks and counts.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use refgate_core::diagnostic::{Code, Diagnostic};
use refgate_core::document::checks::{Status, Threshold};
use refgate_core::document::{self, ActiveChecks, CheckType, Scheme};

use super::Compiler;
use super::tls::server_name;
use crate::upstream::PassHost;
use crate::upstream::checks::probe::{HttpProbe, Probe};
use crate::upstream::checks::{Check, Pace, Passive, Policy};
use crate::upstream::health::{StatusSet, Thresholds};
use crate::upstream::node::Node;
use crate::upstream::peer::Connections;

/// What the checks of all nodes of an upstream have in common.
pub(super) struct Common<'c> {
    pub(super) active: &'c ActiveChecks,
    pub(super) pass_host: &'c PassHost,
    pub(super) connections: &'c Connections,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Compiler<'_> {
    /// What the upstream makes of its nodes' health; nothing without checks.
    pub(super) fn policy(&self, document: &document::Checks) -> Option<Policy> {
        self.checks?;
        document.active.as_ref()?;
        let passive = document.passive.as_ref().map(|passive| {
            // With connections only, no status says anything.
            let statuses = |statuses: &[Status]| match passive.r#type {
                CheckType::Tcp => StatusSet::default(),
                CheckType::Http | CheckType::Https => set(statuses),
            };
            let unhealthy = &passive.unhealthy;
            Passive {
                thresholds: thresholds(
                    passive.healthy.successes,
                    unhealthy.http_failures,
                    unhealthy.tcp_failures,
                    unhealthy.timeouts,
                ),
                good: statuses(&passive.healthy.http_statuses),
                bad: statuses(&unhealthy.http_statuses),
            }
        });
        Some(Policy { panic_threshold: document.panic_threshold.0, passive })
    }

    /// What the checks of the nodes have in common; nothing without active checks, or after a
    /// finding.
    pub(super) fn common<'c>(
        &self,
        document: &'c document::Upstream,
        pass_host: &'c PassHost,
        connections: &'c Connections,
        findings: &mut Vec<Diagnostic>,
    ) -> Option<Common<'c>> {
        let active = document.checks.active.as_ref()?;
        let mut headers = Vec::with_capacity(active.headers.len());
        for (name, value) in &active.headers {
            let pointer = format!("checks/active/headers/{name}");
            let Some(value) = self.resolve(&pointer, value, findings) else { continue };
            match (name.parse(), HeaderValue::from_str(value.trim_end_matches('\n'))) {
                (Ok(name), Ok(value)) => headers.push((name, value)),
                _ => {
                    let message = "what stands here cannot be a header";
                    self.report(&pointer, Code::BadValue, message, findings);
                }
            }
        }
        Some(Common { active, pass_host, connections, headers })
    }

    /// The check of a node, taken over from the snapshot before when it is the same.
    pub(super) fn check(&self, node: &Node, common: &Common<'_>) -> Option<Arc<Check>> {
        let registry = self.checks?;
        if node.weight == 0 {
            return None;
        }
        let active = common.active;
        let tls = common.connections.scheme.is_tls();
        let by_scheme = if tls { CheckType::Https } else { CheckType::Http };
        let http = match active.r#type.unwrap_or(by_scheme) {
            CheckType::Tcp => None,
            CheckType::Http => Some(self.http_probe(node, false, common)?),
            CheckType::Https => Some(self.http_probe(node, true, common)?),
        };
        let probe = Probe {
            node: Arc::clone(&node.state),
            port: active.port,
            timeout: active.timeout.duration(),
            pace: Pace {
                healthy: active.healthy.interval.duration(),
                unhealthy: active.unhealthy.interval.duration(),
                thresholds: thresholds(
                    active.healthy.successes,
                    active.unhealthy.http_failures,
                    active.unhealthy.tcp_failures,
                    active.unhealthy.timeouts,
                ),
            },
            http,
        };
        let before = self.previous.into_iter().flat_map(|before| &before.nodes);
        let previous =
            before.filter(|before| before.key == node.key).find_map(|before| before.check.as_ref());
        Some(registry.check(self.owner, &node.key.to_string(), probe, previous))
    }

    fn http_probe(&self, node: &Node, tls: bool, common: &Common<'_>) -> Option<HttpProbe> {
        let Common { active, pass_host, connections, headers } = common;
        let http2 = connections.only_http2();
        let connections = Connections {
            scheme: match (tls, http2) {
                (false, false) => Scheme::Http,
                (false, true) => Scheme::H2c,
                (true, false) => Scheme::Https,
                (true, true) => Scheme::Grpcs,
            },
            verify: connections.verify && active.https_verify_certificate,
            idle: None,
            ..(*connections).clone()
        };
        let own = (!active.host.is_empty()).then(|| HeaderValue::from_str(&active.host));
        let host = match (own.transpose().ok()?, pass_host) {
            (Some(host), _) => PassHost::Fixed(host),
            (None, PassHost::Fixed(host)) => PassHost::Fixed(host.clone()),
            (None, PassHost::Client | PassHost::Node) => PassHost::Node,
        };
        Some(HttpProbe {
            peer: connections.peer(&server_name(&node.key, &host), &node.key.host),
            path: active.http_path.clone(),
            host: match host {
                PassHost::Fixed(host) => host,
                PassHost::Client | PassHost::Node => node.host.clone(),
            },
            headers: headers.clone(),
            good: set(&active.healthy.http_statuses),
            bad: set(&active.unhealthy.http_statuses),
        })
    }
}

fn set(statuses: &[Status]) -> StatusSet {
    statuses.iter().map(|status| status.0).collect()
}

fn thresholds(
    successes: Threshold,
    http_failures: Threshold,
    tcp_failures: Threshold,
    timeouts: Threshold,
) -> Thresholds {
    Thresholds {
        successes: successes.0,
        http_failures: http_failures.0,
        tcp_failures: tcp_failures.0,
        timeouts: timeouts.0,
    }
}
