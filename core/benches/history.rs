//! The index over a long history, one line per figure.
//!
//! `cargo bench -p refgate-core --bench history [-- COMMITS SERVICES]`: one group with so many small
//! commits (100,000) over so many services (200), brought in by git itself as a push brings them.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use refgate_core::name::GroupName;
use refgate_core::repository::Repository;
use refgate_core::view::HistoryFilter;

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|text| text.parse().ok()).collect();
    let commits = numbers.first().copied().unwrap_or(100_000);
    let services = numbers.get(1).copied().unwrap_or(200);
    let folder = tempfile::Builder::new()
        .prefix("refgate-bench-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .expect("a folder");
    let path = folder.path().join("config.git");
    drop(open(&path));

    let made = timed(|| import(&path, commits, services));
    println!("{commits} commits over {services} services: made in {:.1} s", made.as_secs_f64());

    let mut repository = None;
    let caught_up = timed(|| repository = Some(open(&path)));
    println!("catch up with all of them: {:.2} s", caught_up.as_secs_f64());
    let repository = repository.expect("opened");
    let rebuilt = timed(|| repository.reindex().expect("made anew"));
    println!("rebuild: {:.2} s (budget 60 s)", rebuilt.as_secs_f64());
    drop(repository);

    let mut repository = None;
    let opened = timed(|| repository = Some(open(&path)));
    println!("open with a current index: {:.1} ms (budget 1000 ms)", milliseconds(opened));
    let repository = repository.expect("opened");
    let bytes: u64 = ["index", "index-wal"]
        .iter()
        .filter_map(|name| path.with_extension(name).metadata().ok())
        .map(|data| data.len())
        .sum();
    println!("index on the disk: {} MiB", bytes >> 20);

    let group: GroupName = "test".parse().expect("a name");
    let service = |n: usize| service_name(n * 7 % services).parse().expect("a name");
    let ask = |filter: HistoryFilter| repository.history(&group, &filter).expect("asked").len();
    report("history of one service, whole", |n| {
        let filter =
            HistoryFilter { service: Some(service(n)), limit: usize::MAX, ..Default::default() };
        assert!(ask(filter) >= commits / services);
    });
    report("history of one service, a page of 100", |n| {
        ask(HistoryFilter { service: Some(service(n)), limit: 100, ..Default::default() });
    });
    report("history of one route, a page of 100", |n| {
        let path = format!("services/{}/routes/get.json", service_name(n * 7 % services));
        let filter = HistoryFilter { path: Some(path), limit: 100, ..Default::default() };
        assert!(ask(filter) >= (commits / services).min(100));
    });
    report("last change of one route", |n| {
        let path = format!("services/{}/routes/get.json", service_name(n * 7 % services));
        assert!(repository.last_change(&group, &path).expect("asked").is_some());
    });
    report("history of an actor who did nothing", |_| {
        let actor = Some("nobody".to_owned());
        assert_eq!(ask(HistoryFilter { actor, limit: 100, ..Default::default() }), 0);
    });
    report("head of a group (nothing new)", |_| {
        repository.head(&group).expect("asked");
    });
}

fn open(path: &Path) -> Repository {
    Repository::open_or_create(path, Arc::new(jiff::Timestamp::now)).expect("opened")
}

fn service_name(n: usize) -> String {
    format!("service-{n:05}")
}

/// Puts all services in with the first commit and changes a route with each one after.
fn import(path: &Path, commits: usize, services: usize) {
    let mut git = Command::new("git")
        .arg("--git-dir")
        .arg(path)
        .args(["-c", "core.fsync=none", "fast-import", "--quiet"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("git runs");
    let mut out = BufWriter::new(git.stdin.take().expect("a pipe"));
    let mut commit = |n: usize, files: &[(String, String)]| -> std::io::Result<()> {
        let event = "\n\nRefgate-Event: route.updated\nRefgate-Actor: bench\n";
        let message = format!("update route get ({n}){event}Refgate-Request-Id: r-{n}\n");
        let at = 1_700_000_000 + n;
        writeln!(
            out,
            "commit refs/heads/test\ncommitter bench <bench@refgate.invalid> {at} +0000"
        )?;
        write!(out, "data {}\n{message}", message.len())?;
        if n == 0 {
            writeln!(out, "from refs/heads/test^0")?;
        }
        for (path, text) in files {
            write!(out, "M 100644 inline {path}\ndata {}\n{text}\n", text.len())?;
        }
        Ok(())
    };
    let route = |n: usize, priority: usize| {
        let name = service_name(n);
        let text = format!("{{\n  \"paths\": [\"/{name}/*\"],\n  \"priority\": {priority}\n}}\n");
        (format!("services/{name}/routes/get.json"), text)
    };
    let all: Vec<_> = (0..services)
        .flat_map(|n| {
            [(format!("services/{}/service.json", service_name(n)), "{}\n".to_owned()), route(n, 0)]
        })
        .collect();
    commit(0, &all).expect("written");
    for n in 1..commits {
        commit(n, &[route(n % services, n)]).expect("written");
    }
    out.into_inner().expect("written");
    assert!(git.wait().expect("git ends").success());
}

fn timed(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn report(what: &str, work: impl Fn(usize)) {
    let mut times: Vec<Duration> = (0..100).map(|n| timed(|| work(n))).collect();
    times.sort();
    println!(
        "{what}: p50 {:.3} ms, worst {:.3} ms",
        milliseconds(times[times.len() / 2]),
        milliseconds(times[times.len() - 1])
    );
}
