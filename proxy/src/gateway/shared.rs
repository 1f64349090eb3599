//! What the parts of one gateway share: the snapshot, the status, the counters.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use refgate_core::diagnostic::{Code, Diagnostic};
use refgate_core::name::{CommitId, GroupName};
use tokio::sync::watch;

use super::limits::{Connections, Limits};
use super::streams::Streams;
use crate::access_log::AccessLog;
use crate::metrics::Metrics;
use crate::snapshot::Snapshot;
use crate::status::{GatewayStatus, State};
use crate::upstream::address::resolver::Resolver;
use crate::upstream::checks::{self, NodeHealth, Registry};

/// Shared by the parts of one gateway. The source writes, everybody else reads.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) group: GroupName,
    pub(crate) instance: String,
    /// What requests are served from.
    pub(crate) snapshot: ArcSwap<Snapshot>,
    pub(crate) metrics: Metrics,
    /// The health checks of nodes.
    pub(crate) checks: Registry,
    /// Requests that are served apart from their connections.
    pub(crate) streams: Arc<Streams>,
    pub(crate) limits: Limits,
    /// Who is asked for names of nodes.
    pub(crate) resolver: Arc<Resolver>,
    pub(crate) access_log: Option<Arc<AccessLog>>,
    /// Open connections of each client, while that is limited.
    pub(crate) connections: Arc<Connections>,
    status: watch::Sender<Arc<GatewayStatus>>,
    draining: AtomicBool,
}

impl Shared {
    pub(crate) fn new(
        group: GroupName,
        instance: String,
        limits: Limits,
        resolver: Resolver,
        access_log: Option<Arc<AccessLog>>,
    ) -> Self {
        let status = GatewayStatus {
            instance: instance.clone(),
            group: group.clone(),
            version: env!("CARGO_PKG_VERSION"),
            commit: None,
            state: State::Degraded,
            diagnostics: Vec::new(),
            message: Some("no configuration yet".to_owned()),
            away_since: None,
            started_at: now(),
        };
        Self {
            group,
            instance,
            snapshot: ArcSwap::default(),
            metrics: Metrics::default(),
            checks: Registry::default(),
            streams: Arc::default(),
            limits,
            resolver: Arc::new(resolver),
            access_log,
            connections: Arc::default(),
            status: watch::Sender::new(Arc::new(status)),
            draining: AtomicBool::new(false),
        }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<GatewayStatus>> {
        self.status.subscribe()
    }

    pub(crate) fn status(&self) -> Arc<GatewayStatus> {
        Arc::clone(&self.status.borrow())
    }

    pub(crate) fn metrics_text(&self) -> String {
        let dropped = self.access_log.as_ref().map(|log| log.dropped());
        let mut text = self.metrics.text(&self.group, &self.status(), dropped);
        self.resolver.write_metrics(&self.group, &mut text);
        self.snapshot.load().certificates.write_metrics(&self.group, &mut text);
        checks::write_metrics(&self.group, &self.nodes(), &mut text);
        text
    }

    /// How every node is that is checked, by service, upstream and place.
    pub(crate) fn nodes(&self) -> Vec<NodeHealth> {
        let snapshot = self.snapshot.load_full();
        let nodes = snapshot.upstreams().flat_map(|upstream| &upstream.nodes);
        let checks = nodes.filter_map(|node| node.check.as_ref());
        let mut reports: Vec<NodeHealth> = checks.map(|check| check.report()).collect();
        reports.sort_unstable();
        reports
    }

    /// The configuration of this commit is what requests are served from.
    pub(crate) fn applied(&self, commit: CommitId, state: State, diagnostics: Vec<Diagnostic>) {
        self.change(|status| {
            status.commit = Some(commit);
            status.state = state;
            let before = std::mem::replace(&mut status.diagnostics, diagnostics);
            self.warn_of_expiry(status, &before, Timestamp::now());
            status.message = None;
            status.away_since = None;
        });
    }

    /// Looks at the time again: certificates expire without a commit.
    pub(crate) fn renew_warnings(&self) {
        let now = Timestamp::now();
        let expiring = self.snapshot.load().certificates.expiring(now);
        let status = self.status();
        let known = status.diagnostics.iter().filter(|it| it.code == Code::CertificateExpiry);
        if !known.eq(&expiring) {
            self.change(|status| {
                let before = status.diagnostics.clone();
                status.diagnostics.retain(|finding| finding.code != Code::CertificateExpiry);
                self.warn_of_expiry(status, &before, now);
            });
        }
    }

    /// Puts the warnings of certificates into the diagnostics, and those into the log that were not
    /// there `before`.
    fn warn_of_expiry(&self, status: &mut GatewayStatus, before: &[Diagnostic], now: Timestamp) {
        let expiring = self.snapshot.load().certificates.expiring(now);
        for finding in expiring.iter().filter(|finding| !before.contains(finding)) {
            tracing::warn!(group = %self.group, code = %finding.code, "{finding}");
        }
        status.diagnostics.extend(expiring);
        status.diagnostics.sort();
    }

    /// The branch cannot be followed; what was applied stays.
    pub(crate) fn troubled(&self, message: &str) {
        if self.status().message.as_deref() == Some(message) {
            return;
        }
        tracing::warn!(group = %self.group, reason = message, "cannot follow the configuration");
        self.change(|status| {
            status.state = State::Degraded;
            status.away_since.get_or_insert_with(now);
            status.message = Some(message.to_owned());
        });
    }

    /// The branch can be followed again, and what it says is applied.
    pub(crate) fn untroubled(&self) {
        if self.status().message.is_none() {
            return;
        }
        tracing::info!(group = %self.group, "follows the configuration again");
        self.change(|status| {
            let faulty = status.diagnostics.iter().any(Diagnostic::is_error);
            status.state = if faulty { State::Degraded } else { State::Healthy };
            status.message = None;
            status.away_since = None;
        });
    }

    fn change(&self, change: impl FnOnce(&mut GatewayStatus)) {
        self.status.send_modify(|status| change(Arc::make_mut(status)));
    }

    /// From here on the gateway is not ready any more.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Why requests should not be sent here now, when there is a reason.
    pub(crate) fn unready(&self) -> Option<String> {
        if self.is_draining() {
            return Some("draining".to_owned());
        }
        let status = self.status();
        let waiting = status.commit.is_none();
        waiting.then(|| status.message.clone().unwrap_or_else(|| "no configuration yet".to_owned()))
    }
}

/// This moment, RFC 3339.
fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
