//! Counters, and their text for Prometheus.
//!
//! A route's counters are found once, when it is compiled; a request only adds. They outlive
//! snapshots, so that a reload never makes a counter fall.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use refgate_core::name::{GroupName, RouteName, ServiceName};

use crate::status::{GatewayStatus, State};

/// Everything that a gateway counts.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    routes: Mutex<BTreeMap<(ServiceName, RouteName), Arc<RouteCounters>>>,
    /// Requests that no route took.
    pub(crate) unrouted: RouteCounters,
    /// Configurations applied.
    pub(crate) reloads: Counter,
    /// Of these, the ones with errors.
    pub(crate) faulty_reloads: Counter,
    /// Further tries after the first.
    pub(crate) retries: Counter,
}

/// Requests by the class of their status; index 0 is for those that ended without an answer.
#[derive(Debug, Default)]
pub(crate) struct RouteCounters([Counter; 6]);

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

impl RouteCounters {
    /// Counts a request that ended with this status; 0: without an answer.
    pub(crate) fn count(&self, status: u16) {
        let class = usize::from(status / 100);
        self.0[if class < CLASSES.len() { class } else { 0 }].add(1);
    }

    fn write(&self, labels: &str, text: &mut String) {
        for (class, counter) in CLASSES.iter().zip(&self.0) {
            let count = counter.get();
            if count > 0 {
                let _ =
                    writeln!(text, "refgate_requests_total{{{labels},status=\"{class}\"}} {count}");
            }
        }
    }
}

impl Metrics {
    /// The counters of a route.
    pub(crate) fn route(&self, service: &ServiceName, route: &RouteName) -> Arc<RouteCounters> {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(routes.entry((service.clone(), route.clone())).or_default())
    }

    /// All of it in Prometheus' text format.
    pub(crate) fn text(&self, group: &GroupName, status: &GatewayStatus) -> String {
        let mut text = String::from(
            "# HELP refgate_requests_total Requests by route and class of status.\n\
             # TYPE refgate_requests_total counter\n",
        );
        let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        for ((service, route), counters) in &*routes {
            // Names need no escaping.
            let labels = format!("group=\"{group}\",service=\"{service}\",route=\"{route}\"");
            counters.write(&labels, &mut text);
        }
        drop(routes);
        self.unrouted.write(&format!("group=\"{group}\",service=\"\",route=\"\""), &mut text);
        let plain = [
            ("refgate_retries_total", "Further tries at another node.", &self.retries),
            ("refgate_reloads_total", "Configurations applied.", &self.reloads),
            (
                "refgate_reload_errors_total",
                "Configurations applied only in part.",
                &self.faulty_reloads,
            ),
        ];
        for (name, help, counter) in plain {
            let count = counter.get();
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter");
            let _ = writeln!(text, "{name}{{group=\"{group}\"}} {count}");
        }
        let healthy = u8::from(status.state == State::Healthy);
        let _ = writeln!(
            text,
            "# HELP refgate_healthy 1 when the whole configuration is applied.\n\
             # TYPE refgate_healthy gauge\n\
             refgate_healthy{{group=\"{group}\"}} {healthy}"
        );
        if let Some(commit) = status.commit {
            let _ = writeln!(
                text,
                "# HELP refgate_config_info The commit that is served.\n\
                 # TYPE refgate_config_info gauge\n\
                 refgate_config_info{{group=\"{group}\",commit=\"{commit}\"}} 1"
            );
        }
        text
    }
}
