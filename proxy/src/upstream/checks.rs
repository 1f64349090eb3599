//! Health checks: who is asked, how often, and what is kept of it.
//!
//! A [`Check`] belongs to one node of one upstream. It is handed on from snapshot to snapshot as
//! long as node and settings are the same, and its task ends as soon as a snapshot without it is
//! served, even while requests hold an older one. When only settings change, the new check takes over
//! what is thought of the node. Tasks run where the [`Registry`] says.
//!
//! Next: [`crate::upstream::health`] for what outcomes mean, [`probe`] for how a node is asked,
//! `compile/checks.rs` for how documents become this.

pub(crate) mod probe;
mod task;

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use refgate_core::name::GroupName;
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use self::probe::Probe;
pub(crate) use self::task::Pace;
use super::health::{Change, Health, Outcome, StatusSet, Thresholds, Witness};

/// Checks that are under way at once, of all nodes together.
const AT_ONCE: usize = 256;

/// What an upstream makes of its nodes' health.
#[derive(Debug)]
pub(crate) struct Policy {
    /// Percent of healthy nodes below which all are used.
    pub(crate) panic_threshold: u32,
    /// What requests say of nodes.
    pub(crate) passive: Option<Passive>,
}

/// What requests say of nodes.
#[derive(Debug)]
pub(crate) struct Passive {
    pub(crate) thresholds: Thresholds,
    pub(crate) good: StatusSet,
    pub(crate) bad: StatusSet,
}

impl Passive {
    /// What an answer with this status says, if anything.
    pub(crate) fn outcome(&self, status: u16) -> Option<Outcome> {
        judge(&self.good, &self.bad, status)
    }
}

fn judge(good: &StatusSet, bad: &StatusSet, status: u16) -> Option<Outcome> {
    if good.contains(status) {
        Some(Outcome::Good)
    } else {
        bad.contains(status).then_some(Outcome::Status(status))
    }
}

/// The check of one node.
#[derive(Debug)]
pub(crate) struct Check {
    place: Arc<Place>,
    health: Arc<Health>,
    probe: Arc<Probe>,
    task: Option<AbortHandle>,
    /// Its number among those that watch the node.
    number: u64,
}

/// Which node of which upstream.
#[derive(Debug)]
struct Place {
    /// `<service>/<upstream>`.
    owner: String,
    /// `<host>:<port>`.
    node: String,
}

impl Check {
    /// Whether the node should get no requests.
    pub(crate) fn is_out(&self) -> bool {
        self.health.is_out()
    }

    /// What a request says of the node.
    pub(crate) fn met(&self, passive: &Passive, outcome: Outcome) {
        let change = self.health.record(Witness::Request, &passive.thresholds, outcome);
        self.place.tell(change);
    }
}

impl Check {
    /// Asks the node no more. What is thought of it stays, for requests that know the node yet.
    pub(crate) fn end(&self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        self.health.leave(self.number);
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        self.end();
    }
}

impl Place {
    fn tell(&self, change: Option<Change>) {
        let (upstream, node) = (&self.owner, &self.node);
        match change {
            Some(Change::Out(reason)) => tracing::warn!(upstream, node, reason, "node is out"),
            Some(Change::Back) => tracing::info!(upstream, node, "node is back"),
            None => {}
        }
    }
}

/// What the checks of a gateway share.
#[derive(Debug)]
pub(crate) struct Registry {
    runtime: OnceLock<Handle>,
    asking: Arc<Asking>,
}

/// What all probes share.
struct Asking {
    connector: OnceLock<probe::Connector>,
    places: Semaphore,
}

impl std::fmt::Debug for Asking {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Asking").field("places", &self.places).finish_non_exhaustive()
    }
}

impl Default for Registry {
    fn default() -> Self {
        let places = Semaphore::new(AT_ONCE);
        Self {
            runtime: OnceLock::new(),
            asking: Arc::new(Asking { connector: OnceLock::new(), places }),
        }
    }
}

/// How a checked node is, for people and machines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct NodeHealth {
    /// The service.
    pub(crate) service: String,
    /// The upstream of the service.
    pub(crate) upstream: String,
    /// Host and port.
    pub(crate) node: String,
    /// Whether it takes requests.
    pub(crate) healthy: bool,
    /// Why it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// Since when it does not, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<String>,
}

impl Registry {
    /// Where the tasks of checks run. Checks made before have none: nothing is asked.
    pub(crate) fn run_on(&self, runtime: &Handle) {
        // A second runtime would be a second gateway, which has a registry of its own.
        let _ = self.runtime.set(runtime.clone());
    }

    /// The check of a node of `owner`: `previous`, when that is the same.
    pub(crate) fn check(
        &self,
        owner: &str,
        node: &str,
        probe: Probe,
        previous: Option<&Arc<Check>>,
    ) -> Arc<Check> {
        if let Some(previous) = previous
            && previous.probe.is_same(&probe)
        {
            return Arc::clone(previous);
        }
        let place = Arc::new(Place { owner: owner.to_owned(), node: node.to_owned() });
        let health = previous.map_or_else(Arc::default, |previous| Arc::clone(&previous.health));
        let number = health.enter();
        let probe = Arc::new(probe);
        let task = self.runtime.get().map(|runtime| {
            let (place, health) = (Arc::clone(&place), Arc::clone(&health));
            let (probe, asking) = (Arc::clone(&probe), Arc::clone(&self.asking));
            let offset = task::offset(&(&*place.owner, &*place.node));
            let run = async move {
                let ask = async || {
                    // An older check runs on until nothing has it any more, and must not contradict.
                    if !health.heeds(number) {
                        return None;
                    }
                    probe.ask(&asking).await.filter(|_| health.heeds(number))
                };
                let tell = |change| place.tell(change);
                task::run(&health, &probe.pace, offset, ask, tell).await;
            };
            runtime.spawn(run).abort_handle()
        });
        Arc::new(Check { place, health, probe, task, number })
    }
}

/// How nodes are, in Prometheus' text format.
pub(crate) fn write_metrics(group: &GroupName, nodes: &[NodeHealth], text: &mut String) {
    if nodes.is_empty() {
        return;
    }
    text.push_str(
        "# HELP refgate_node_healthy 1 when a node that is checked takes requests.\n\
         # TYPE refgate_node_healthy gauge\n",
    );
    for NodeHealth { service, upstream, node, healthy, .. } in nodes {
        let healthy = u8::from(*healthy);
        // Neither names nor hosts have anything to escape.
        let _ = writeln!(
            text,
            "refgate_node_healthy{{group=\"{group}\",service=\"{service}\",\
             upstream=\"{upstream}\",node=\"{node}\"}} {healthy}"
        );
    }
}

impl Check {
    /// How the node is.
    pub(crate) fn report(&self) -> NodeHealth {
        let (service, upstream) = self.place.owner.split_once('/').unwrap_or_default();
        let out = self.health.out();
        NodeHealth {
            service: service.to_owned(),
            upstream: upstream.to_owned(),
            node: self.place.node.clone(),
            healthy: out.is_none(),
            since: out.as_ref().map(|out| out.since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
            reason: out.map(|out| out.reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::upstream::Upstream;
    use crate::upstream::tests::compile;

    fn upstream(registry: &Registry, previous: Option<&Upstream>, json: &Value) -> Upstream {
        compile(json, previous, Some(registry))
    }

    fn document(weight: u32, interval: f64) -> Value {
        let node = |port: u16| json!({"host": "127.0.0.1", "port": port, "weight": weight});
        let mut drained = node(9);
        drained["weight"] = json!(0);
        let healthy = json!({"interval": interval});
        json!({
            "nodes": [node(1), drained], "checks": {"active": {"type": "tcp", "healthy": healthy}},
        })
    }

    fn check(upstream: &Upstream) -> &Arc<Check> {
        upstream.nodes[0].check.as_ref().expect("the node is checked")
    }

    #[tokio::test]
    async fn checks_live_as_long_as_a_snapshot_has_them() {
        let registry = Registry::default();
        registry.run_on(&Handle::current());
        let first = upstream(&registry, None, &document(100, 60.0));
        assert!(first.nodes[1].check.is_none(), "drained nodes are left alone");
        let second = upstream(&registry, Some(&first), &document(50, 60.0));
        assert!(Arc::ptr_eq(check(&first), check(&second)), "a weight is no matter of the check");
        let third = upstream(&registry, Some(&second), &document(50, 30.0));
        assert!(!Arc::ptr_eq(check(&second), check(&third)));
        assert!(Arc::ptr_eq(&check(&second).health, &check(&third).health));
        let old = Arc::downgrade(&check(&first).probe);
        drop(first);
        assert_eq!(old.upgrade().map(|probe| probe.timeout), Some(Duration::from_secs(1)));
        drop(second);
        while old.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
        // A request may hold what is replaced: its checks end all the same.
        check(&third).end();
        while Arc::strong_count(&check(&third).probe) > 1 {
            tokio::task::yield_now().await;
        }
        let last = Arc::downgrade(&check(&third).probe);
        let without =
            upstream(&registry, Some(&third), &json!({"nodes": document(50, 1.0)["nodes"]}));
        assert!(without.nodes[0].check.is_none() && without.health.is_none());
        drop(third);
        while last.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
    }
}
