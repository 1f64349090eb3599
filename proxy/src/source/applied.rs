//! What a gateway serves: each configuration that was loaded is compiled and published here,
//! whatever it was loaded from.

use std::collections::BTreeSet;
use std::sync::Arc;

use refgate_core::config::{GroupConfig, Loaded};
use refgate_core::diagnostic::Diagnostic;
use refgate_core::name::ServiceName;

use crate::gateway::Shared;
use crate::snapshot::Snapshot;
use crate::snapshot::compile::compile;
use crate::status::State;

/// The configuration that is served.
pub(super) struct Applied {
    pub(super) shared: Arc<Shared>,
    /// Faulty services are in it in their last good form.
    config: Option<GroupConfig>,
    /// The services that are in it in their last good form.
    kept: BTreeSet<ServiceName>,
    /// The last good forms that a gateway before this one had.
    inherited: Option<GroupConfig>,
    /// What was found wrong with it as it was read.
    findings: Vec<Diagnostic>,
    /// Snapshots that requests may still hold.
    retired: Vec<Arc<Snapshot>>,
}

impl Applied {
    pub(super) fn nothing(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            config: None,
            kept: BTreeSet::new(),
            inherited: None,
            findings: Vec::new(),
            retired: Vec::new(),
        }
    }

    /// What is served; nothing before the first.
    pub(super) fn config(&self) -> Option<&GroupConfig> {
        self.config.as_ref()
    }

    /// The services that are served in their last good form.
    pub(super) fn kept(&self) -> &BTreeSet<ServiceName> {
        &self.kept
    }

    /// Takes over the last good forms of a gateway before this one.
    pub(super) fn inherit(&mut self, config: GroupConfig) {
        self.inherited = Some(config);
    }

    /// What loading goes on from: what is served, or what was taken over until something is.
    pub(super) fn before(&self) -> Option<&GroupConfig> {
        self.config.as_ref().or(self.inherited.as_ref())
    }

    /// The last holder of a snapshot drops it, and that must not be a request.
    pub(super) fn tidy(&mut self) {
        self.retired.retain(|snapshot| Arc::strong_count(snapshot) > 1);
    }

    /// Serves what was loaded, going on from [`Self::before`].
    pub(super) fn apply(&mut self, loaded: Loaded) {
        let mut config = loaded.config;
        let kept = config.serve_last_good();
        // What changed is known against what was served; against nothing, everything did.
        let changed = loaded.changed.filter(|_| self.config.is_some());
        self.publish(&config, changed.as_ref(), loaded.diagnostics.clone());
        self.findings = loaded.diagnostics;
        self.config = Some(config);
        self.kept = kept;
        self.inherited = None;
    }

    /// Publishes the same configuration anew when a file that a certificate names is another now, or
    /// is there at last: certificates and keys are renewed without a commit.
    pub(super) fn renew(&mut self) {
        if !self.shared.snapshot.load().certificates.are_stale() {
            self.shared.renew_warnings();
            return;
        }
        if let Some(config) = self.config.take() {
            self.publish(&config, Some(&BTreeSet::new()), self.findings.clone());
            self.config = Some(config);
        }
    }

    fn publish(
        &mut self,
        config: &GroupConfig,
        changed: Option<&BTreeSet<ServiceName>>,
        mut diagnostics: Vec<Diagnostic>,
    ) {
        let previous = self.shared.snapshot.load_full();
        let Shared { metrics, checks, resolver, .. } = &*self.shared;
        let compiled = compile(config, &previous, changed, metrics, checks, resolver);
        diagnostics.extend(compiled.findings);
        diagnostics.sort();
        let errors = diagnostics.iter().filter(|finding| finding.is_error()).count();
        let routes = compiled.snapshot.router.len();
        let snapshot = Arc::new(compiled.snapshot);
        self.shared.snapshot.store(Arc::clone(&snapshot));
        previous.end_checks(&snapshot);
        self.retired.push(previous);
        self.shared.metrics.reloads.add(1);
        let (group, commit) = (&self.shared.group, config.commit);
        if errors == 0 {
            tracing::info!(%group, %commit, routes, "configuration applied");
        } else {
            self.shared.metrics.faulty_reloads.add(1);
            tracing::warn!(%group, %commit, routes, errors, "configuration applied in part");
            for finding in diagnostics.iter().filter(|finding| finding.is_error()) {
                tracing::warn!(%group, %commit, code = %finding.code, "{finding}");
            }
        }
        let state = if errors == 0 { State::Healthy } else { State::Degraded };
        self.shared.applied(commit, state, diagnostics);
    }
}
