//! The router by itself, one line per figure.
//!
//! `cargo bench -p refgate-proxy --bench router [-- ROUTES…]`: with so many routes (100, 10,000,
//! 100,000), once spread over hosts and once all on one. What is measured is in docs/performance.md.

mod stage;

use std::alloc::System;
use std::hint::black_box;
use std::time::{Duration, Instant};

use refgate_proxy::Routes;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use crate::stage::{PER_SERVICE, Request, Spread, documents, requests, service};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Requests drawn at random: many more than any cache holds.
const RANDOM: usize = 400_000;

/// Requests that come again and again.
const HOT: usize = 16;

/// Requests between two looks at the clock.
const TOGETHER: usize = 16;

/// Changes of one route.
const CHANGES: usize = 200;

fn main() {
    let asked: Vec<usize> = std::env::args().filter_map(|text| text.parse().ok()).collect();
    let sizes = if asked.is_empty() { vec![100, 10_000, 100_000] } else { asked };
    for size in sizes {
        for spread in [Spread::Hosts, Spread::OneHost] {
            measure(size, spread);
        }
    }
}

fn measure(size: usize, spread: Spread) {
    let services = (size / PER_SERVICE).max(1);
    let count = services * PER_SERVICE;
    let figure = |what: &str, value: String| println!("{count} routes, {spread}: {what} {value}");

    let all: Vec<_> = (0..services).map(|n| documents(n, spread, 0)).collect();
    let before = Region::new(ALLOCATOR);
    let started = Instant::now();
    let mut routes = Routes::default();
    for (n, (documents, runtime)) in all.iter().enumerate() {
        routes.put(&service(n), documents, runtime);
    }
    let built = started.elapsed();
    let change = before.change();
    let held = change.bytes_allocated.saturating_sub(change.bytes_deallocated);
    assert_eq!(routes.len(), count, "each route is one candidate");
    drop(all);
    figure("build", format!("{:.1} ms", built.as_secs_f64() * 1e3));
    figure("memory", format!("{} bytes a route", held / count));

    let random = requests(RANDOM, services, spread);
    let hot = &random[..HOT];
    figure("match, the same requests", per_match(&routes, hot, RANDOM / HOT));
    figure("match, random requests", per_match(&routes, &random, 1));
    figure("match, random requests one by one", one_by_one(&routes, &random));
    let lost: Vec<Request> = random.iter().take(HOT * 64).map(Request::lost).collect();
    figure("no match", per_match(&routes, &lost, RANDOM / lost.len()));
    changes(&routes, services, spread, figure);
}

/// The mean over all requests, and how often they made the allocator work.
fn per_match(routes: &Routes, requests: &[Request], times: usize) -> String {
    let mut spent = Duration::ZERO;
    let mut allocations = 0;
    for _ in 0..times {
        for few in requests.chunks(TOGETHER) {
            few.iter().for_each(Request::touch);
            let region = Region::new(ALLOCATOR);
            let started = Instant::now();
            for request in few {
                assert_eq!(routes.takes(black_box(&request.asked())), request.is_taken);
            }
            spent += started.elapsed();
            let change = region.change();
            allocations += change.allocations + change.reallocations;
        }
    }
    assert_eq!(allocations, 0, "a match allocates nothing");
    let each = spent.as_nanos() as f64 / (requests.len() * times) as f64;
    format!("{each:.0} ns (budget 1000), no allocation")
}

/// Each request by its own clock, what the clock costs included.
fn one_by_one(routes: &Routes, requests: &[Request]) -> String {
    let mut times: Vec<Duration> = requests
        .iter()
        .map(|request| {
            request.touch();
            let started = Instant::now();
            black_box(routes.takes(black_box(&request.asked())));
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    let at = |share: f64| times[(times.len() as f64 * share) as usize].as_nanos();
    format!("p50 {} ns, p99 {} ns, p99.9 {} ns", at(0.5), at(0.99), at(0.999))
}

/// One changed route: its service is put in anew beside all others, then the old copy is dropped.
fn changes(routes: &Routes, services: usize, spread: Spread, figure: impl Fn(&str, String)) {
    let mut current = routes.clone();
    let (mut made, mut dropped) = (Vec::new(), Vec::new());
    for n in 0..CHANGES {
        let changed = (n * 7919) % services;
        let (documents, runtime) = documents(changed, spread, 1 + n);
        let started = Instant::now();
        let mut next = current.clone();
        next.put(&service(changed), &documents, &runtime);
        made.push(started.elapsed());
        let old = std::mem::replace(&mut current, next);
        let started = Instant::now();
        drop(old);
        dropped.push(started.elapsed());
    }
    for (what, mut times) in [("one changed route", made), ("drop of the copy before", dropped)] {
        times.sort_unstable();
        let at = |share: f64| times[(CHANGES as f64 * share) as usize].as_secs_f64() * 1e3;
        figure(what, format!("p50 {:.3} ms, p99 {:.3} ms", at(0.5), at(0.99)));
    }
}
