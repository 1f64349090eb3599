//! Counters of the control plane in the text format of Prometheus.
//!
//! Few and slow enough for a lock: the control plane answers people and pipelines, the data plane
//! has its own.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use refgate_core::repository::MaintenanceStats;

use crate::fleet::Fleet;

/// The counters; clones count together.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    counters: Arc<Mutex<Counters>>,
}

#[derive(Debug, Default)]
struct Counters {
    requests: BTreeMap<(String, String, u16), u64>,
    seconds: BTreeMap<(String, String), Duration>,
    writes: BTreeMap<&'static str, u64>,
    git: BTreeMap<(&'static str, &'static str), u64>,
    check_ins: u64,
    snapshots: BTreeMap<&'static str, u64>,
    snapshot_bytes: u64,
    git_bytes: BTreeMap<(&'static str, &'static str), u64>,
}

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteEnd {
    /// A commit or a tag was made.
    Changed,
    /// Nothing was to do.
    Unchanged,
    /// It was refused or failed.
    Refused,
    /// It was only planned.
    Planned,
}

/// How a process of git that served a client ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GitEnd {
    /// By itself, well.
    Done,
    /// By itself, with an error; a push that is refused by its hooks is done, not failed.
    Failed,
    /// The request was over a limit or could not be read.
    Refused,
    /// The client left.
    Left,
    /// It took too long, or the server stopped.
    Stopped,
}

impl Metrics {
    /// A panic while counting loses a count, not the counters.
    fn lock(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an answer. `route` is the pattern, never the path: labels must stay few.
    pub fn request(&self, method: &Method, route: &str, status: StatusCode, took: Duration) {
        let method = match method.as_str() {
            known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known,
            _ => "other",
        };
        let (method, route) = (method.to_owned(), route.to_owned());
        let mut counters = self.lock();
        *counters.seconds.entry((method.clone(), route.clone())).or_default() += took;
        *counters.requests.entry((method, route, status.as_u16())).or_default() += 1;
    }

    /// Counts a write.
    pub fn write(&self, end: WriteEnd) {
        let outcome = match end {
            WriteEnd::Changed => "changed",
            WriteEnd::Unchanged => "unchanged",
            WriteEnd::Refused => "refused",
            WriteEnd::Planned => "planned",
        };
        *self.lock().writes.entry(outcome).or_default() += 1;
    }

    /// Counts a check-in of a gateway.
    pub fn check_in(&self) {
        self.lock().check_ins += 1;
    }

    /// Counts an answer to a gateway that fetches: `sent`, with its bytes, or `unchanged`.
    pub fn snapshot(&self, outcome: &'static str, bytes: usize) {
        let mut counters = self.lock();
        *counters.snapshots.entry(outcome).or_default() += 1;
        counters.snapshot_bytes += bytes as u64;
    }

    /// Counts a process of git, such as `upload-pack`, and the bytes from and to its client.
    pub fn git(&self, service: &'static str, end: GitEnd, received: u64, sent: u64) {
        let outcome = match end {
            GitEnd::Done => "done",
            GitEnd::Failed => "failed",
            GitEnd::Refused => "refused",
            GitEnd::Left => "left",
            GitEnd::Stopped => "stopped",
        };
        let mut counters = self.lock();
        *counters.git.entry((service, outcome)).or_default() += 1;
        *counters.git_bytes.entry((service, "received")).or_default() += received;
        *counters.git_bytes.entry((service, "sent")).or_default() += sent;
    }

    /// The page.
    #[must_use]
    pub fn render(&self, fleet: &Fleet, maintenance: &MaintenanceStats) -> String {
        let mut page = String::new();
        let counters = self.lock();
        let mut family = |name: &str, help: &str, kind: &str, samples: &[(String, String)]| {
            let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (labels, value) in samples {
                let _ = match labels.as_str() {
                    "" => writeln!(page, "{name} {value}"),
                    labels => writeln!(page, "{name}{{{labels}}} {value}"),
                };
            }
        };
        let requests = counters.requests.iter().map(|((method, route, status), count)| {
            let labels = format!(r#"method="{method}",route="{route}",status="{status}""#);
            (labels, count.to_string())
        });
        let help = "Requests answered by the control plane.";
        family("refgate_http_requests_total", help, "counter", &requests.collect::<Vec<_>>());
        let seconds = counters.seconds.iter().map(|((method, route), took)| {
            let labels = format!(r#"method="{method}",route="{route}""#);
            (labels, took.as_secs_f64().to_string())
        });
        let help = "Time spent on the requests, until the answer began.";
        family("refgate_http_request_seconds_total", help, "counter", &seconds.collect::<Vec<_>>());
        let writes = counters.writes.iter();
        let writes = writes.map(|(end, count)| (format!(r#"outcome="{end}""#), count.to_string()));
        let help = "Changes asked for, by how they ended.";
        family("refgate_writes_total", help, "counter", &writes.collect::<Vec<_>>());
        let processes = counters.git.iter().map(|((service, outcome), count)| {
            (format!(r#"service="{service}",outcome="{outcome}""#), count.to_string())
        });
        let help = "Processes of git that served clones, fetches and pushes, by how they ended.";
        family("refgate_git_processes_total", help, "counter", &processes.collect::<Vec<_>>());
        let bytes = counters.git_bytes.iter().map(|((service, direction), count)| {
            (format!(r#"service="{service}",direction="{direction}""#), count.to_string())
        });
        let help = "Bytes that git read from clients and wrote to them.";
        family("refgate_git_bytes_total", help, "counter", &bytes.collect::<Vec<_>>());
        let mut instances: BTreeMap<(String, String), u64> = BTreeMap::new();
        for instance in fleet.instances(None) {
            let state = instance.state.as_str().to_owned();
            *instances.entry((instance.group.to_string(), state)).or_default() += 1;
        }
        let instances = instances.iter().map(|((group, state), count)| {
            (format!(r#"group="{group}",state="{state}""#), count.to_string())
        });
        let help = "Known gateway instances, by group and state.";
        family("refgate_gateway_instances", help, "gauge", &instances.collect::<Vec<_>>());
        let of = |value: String| [(String::new(), value)];
        let help = "Check-ins of gateways of other processes.";
        family("refgate_check_ins_total", help, "counter", &of(counters.check_ins.to_string()));
        let snapshots = counters.snapshots.iter();
        let snapshots =
            snapshots.map(|(end, count)| (format!(r#"outcome="{end}""#), count.to_string()));
        let help = "Answers to gateways that fetch their configuration.";
        family("refgate_snapshots_total", help, "counter", &snapshots.collect::<Vec<_>>());
        let help = "Bytes of the configurations sent to gateways.";
        let bytes = of(counters.snapshot_bytes.to_string());
        family("refgate_snapshot_bytes_total", help, "counter", &bytes);
        let help = "Runs of the repository's maintenance, by how they ended.";
        let runs = [("done", maintenance.runs), ("failed", maintenance.failures)]
            .map(|(outcome, count)| (format!(r#"outcome="{outcome}""#), count.to_string()));
        family("refgate_maintenance_runs_total", help, "counter", &runs);
        let help = "Time spent on the repository's maintenance.";
        let spent = of(maintenance.spent.as_secs_f64().to_string());
        family("refgate_maintenance_seconds_total", help, "counter", &spent);
        let help = "Objects of the repository in a file of their own, when they were last counted.";
        let loose = of(maintenance.loose_objects.to_string());
        family("refgate_repository_loose_objects", help, "gauge", &loose);
        let help = "Packs of the repository, when they were last counted.";
        let packs = of(maintenance.packs.to_string());
        family("refgate_repository_packs", help, "gauge", &packs);
        page
    }
}
