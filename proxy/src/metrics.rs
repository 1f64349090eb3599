//! Counters, and their text for Prometheus.
//!
//! A route's counters are found once, when it is compiled; a request only adds. They outlive
//! snapshots, so that a reload never makes a counter fall.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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
    /// Connections taken for requests.
    pub(crate) opened_connections: Counter,
    /// Of these, the ones that are over.
    pub(crate) closed_connections: Counter,
    /// Connections that were closed because their client had enough.
    pub(crate) refused_connections: Counter,
    /// Connections that did not come to speak TLS.
    pub(crate) failed_handshakes: Counter,
}

/// What is counted of one route's requests.
#[derive(Debug, Default)]
pub(crate) struct RouteCounters {
    /// By the class of their status; index 0 is for those that ended without an answer.
    classes: [Counter; 6],
    /// By the time that they took: how many were within each of [`BOUNDS`] but not the one before,
    /// and how many were beyond the last.
    times: [Counter; BOUNDS.len() + 1],
    /// What they took together, in microseconds.
    time: Counter,
}

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

/// Microseconds, and the same in seconds as it is written.
const BOUNDS: [(u64, &str); 14] = [
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (5_000_000, "5"),
    (10_000_000, "10"),
];

const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

impl RouteCounters {
    /// Counts a request that ended with this status; 0: without an answer.
    pub(crate) fn count(&self, status: u16, took: Duration) {
        let class = usize::from(status / 100);
        self.classes[if class < CLASSES.len() { class } else { 0 }].add(1);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.times[BOUNDS.partition_point(|(bound, _)| *bound < micros)].add(1);
        self.time.add(micros);
    }

    fn write_classes(&self, labels: &str, text: &mut String) {
        for (class, counter) in CLASSES.iter().zip(&self.classes) {
            let count = counter.get();
            if count > 0 {
                let _ =
                    writeln!(text, "refgate_requests_total{{{labels},status=\"{class}\"}} {count}");
            }
        }
    }

    fn write_times(&self, labels: &str, text: &mut String) {
        let mut count = 0;
        let bounds = BOUNDS.iter().map(|(_, bound)| *bound).chain(["+Inf"]);
        let counts: Vec<u64> = self.times.iter().map(Counter::get).collect();
        if counts.iter().all(|count| *count == 0) {
            return;
        }
        let name = "refgate_request_duration_seconds";
        for (bound, more) in bounds.zip(counts) {
            count += more;
            let _ = writeln!(text, "{name}_bucket{{{labels},le=\"{bound}\"}} {count}");
        }
        let micros = self.time.get();
        let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
        let _ = writeln!(text, "{name}_sum{{{labels}}} {seconds}.{rest:06}");
        let _ = writeln!(text, "{name}_count{{{labels}}} {count}");
    }
}

impl Metrics {
    /// The counters of a route.
    pub(crate) fn route(&self, service: &ServiceName, route: &RouteName) -> Arc<RouteCounters> {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(routes.entry((service.clone(), route.clone())).or_default())
    }

    /// All of it in Prometheus' text format; with the lines that the access log lost, if there is one.
    pub(crate) fn text(
        &self,
        group: &GroupName,
        status: &GatewayStatus,
        lost_lines: Option<u64>,
    ) -> String {
        let routes: Vec<(String, Arc<RouteCounters>)> = {
            let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
            let of = |((service, route), counters): (&(ServiceName, RouteName), &Arc<_>)| {
                // Names need no escaping.
                let labels = format!("group=\"{group}\",service=\"{service}\",route=\"{route}\"");
                (labels, Arc::clone(counters))
            };
            routes.iter().map(of).collect()
        };
        let unrouted = format!("group=\"{group}\",service=\"\",route=\"\"");
        let all = || {
            let routes = routes.iter().map(|(labels, counters)| (labels, counters.as_ref()));
            routes.chain([(&unrouted, &self.unrouted)])
        };
        let mut text = String::from(
            "# HELP refgate_requests_total Requests by route and class of status.\n\
             # TYPE refgate_requests_total counter\n",
        );
        all().for_each(|(labels, counters)| counters.write_classes(labels, &mut text));
        text.push_str(
            "# HELP refgate_request_duration_seconds From the first byte of a request to the last \
             of its answer.\n\
             # TYPE refgate_request_duration_seconds histogram\n",
        );
        all().for_each(|(labels, counters)| counters.write_times(labels, &mut text));
        let plain = [
            ("refgate_retries_total", "Further tries at another node.", &self.retries),
            ("refgate_reloads_total", "Configurations applied.", &self.reloads),
            (
                "refgate_reload_errors_total",
                "Configurations applied only in part.",
                &self.faulty_reloads,
            ),
        ];
        let connections = [
            (
                "refgate_connections_total",
                "Connections taken for requests.",
                &self.opened_connections,
            ),
            (
                "refgate_connections_refused_total",
                "Connections closed because their client had too many.",
                &self.refused_connections,
            ),
            (
                "refgate_tls_handshake_failures_total",
                "Connections without a finished TLS handshake.",
                &self.failed_handshakes,
            ),
        ];
        for (name, help, counter) in plain.into_iter().chain(connections) {
            let count = counter.get();
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter");
            let _ = writeln!(text, "{name}{{group=\"{group}\"}} {count}");
        }
        // Read in this order, so that the difference is never below zero.
        let closed = self.closed_connections.get();
        let open = self.opened_connections.get().saturating_sub(closed);
        let _ = writeln!(
            text,
            "# HELP refgate_connections Connections for requests that are open.\n\
             # TYPE refgate_connections gauge\n\
             refgate_connections{{group=\"{group}\"}} {open}"
        );
        if let Some(lost) = lost_lines {
            let _ = writeln!(
                text,
                "# HELP refgate_access_log_dropped_total Lines that the access log had to drop.\n\
                 # TYPE refgate_access_log_dropped_total counter\n\
                 refgate_access_log_dropped_total{{group=\"{group}\"}} {lost}"
            );
        }
        let healthy = u8::from(status.state == State::Healthy);
        let _ = writeln!(
            text,
            "# HELP refgate_healthy 1 when the whole configuration is applied.\n\
             # TYPE refgate_healthy gauge\n\
             refgate_healthy{{group=\"{group}\"}} {healthy}"
        );
        let up = u8::from(status.away_since.is_none());
        let _ = writeln!(
            text,
            "# HELP refgate_source_up 1 while the source of the configuration can be followed.\n\
             # TYPE refgate_source_up gauge\n\
             refgate_source_up{{group=\"{group}\"}} {up}"
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_a_histogram() {
        let counters = RouteCounters::default();
        let mut text = String::new();
        counters.write_times("a=\"b\"", &mut text);
        assert_eq!(text, "", "routes without requests say nothing");
        for micros in [0, 500, 501, 9_999_999, 10_000_001] {
            counters.count(200, Duration::from_micros(micros));
        }
        counters.write_times("a=\"b\"", &mut text);
        let lines: Vec<&str> = text.lines().collect();
        let line = |bound: &str| {
            format!("refgate_request_duration_seconds_bucket{{a=\"b\",le=\"{bound}\"}}")
        };
        assert_eq!(lines[0], format!("{} 2", line("0.0005")));
        assert_eq!(lines[1], format!("{} 3", line("0.001")));
        assert_eq!(lines[13], format!("{} 4", line("10")));
        assert_eq!(lines[14], format!("{} 5", line("+Inf")));
        assert_eq!(lines[15], "refgate_request_duration_seconds_sum{a=\"b\"} 20.001001");
        assert_eq!(lines[16], "refgate_request_duration_seconds_count{a=\"b\"} 5");
    }
}
