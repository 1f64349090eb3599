//! `make soak`: everything that writes to a repository or reads it, at the same time, for a while.
//!
//! Clones push, over HTTP and by path, branches, tags and promotions; the API writes and syncs; others
//! clone and fetch; maintenance packs; a gateway serves. In the end every change that was acknowledged
//! must be there exactly once, and `refgate check` and git must find no fault. The argument is how many
//! seconds it runs (600). [`work`] is what the workers do, [`account`] what is asked in the end.

mod account;
mod work;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use refgate_tests::stage::Stage;
use serde_json::json;

use crate::account::Ledger;
use crate::work::Worker;

/// Services that are changed.
const SERVICES: usize = 16;

fn main() -> anyhow::Result<()> {
    let seconds = match std::env::args().nth(1) {
        Some(text) => text.parse().with_context(|| format!("{text:?} is no number of seconds"))?,
        None => 600,
    };
    let stage = Stage::with_httpbin()?;
    for number in 0..SERVICES {
        let service = json!({"routes": {}, "runtime": {"hosts": [format!("s{number}.acme.com")]}});
        stage.api("PUT", &format!("/v1/groups/test/services/s{number}"), &service)?.expect(201)?;
    }
    let ledger = Mutex::new(Ledger::default());
    let over = AtomicBool::new(false);
    let started = Instant::now();
    let failed = thread::scope(|scope| {
        let workers: Vec<_> = Worker::ALL
            .iter()
            .enumerate()
            .map(|(number, worker)| {
                let (stage, ledger, over) = (&stage, &ledger, &over);
                scope.spawn(move || {
                    let done = worker.run(number, stage, ledger, over);
                    // One that fails ends it all: nothing after it would mean anything.
                    if done.is_err() {
                        over.store(true, Ordering::Relaxed);
                    }
                    done.with_context(|| format!("{worker:?} {number}"))
                })
            })
            .collect();
        let mut told = 0;
        while !over.load(Ordering::Relaxed) && started.elapsed() < Duration::from_secs(seconds) {
            thread::sleep(Duration::from_millis(200));
            if started.elapsed().as_secs() / 60 > told {
                told += 1;
                println!("after {told} min: {}", account::lock(&ledger).summary());
            }
        }
        over.store(true, Ordering::Relaxed);
        let ended = workers.into_iter().map(|worker| {
            worker.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a worker panicked")))
        });
        ended.filter_map(Result::err).collect::<Vec<_>>()
    });
    let ledger = ledger.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    println!("ran {} s: {}", started.elapsed().as_secs(), ledger.summary());
    for error in &failed {
        println!("failed: {error:?}");
    }
    ledger.settle(&stage)?;
    anyhow::ensure!(failed.is_empty(), "{} workers failed", failed.len());
    println!("sound: every acknowledged change is there exactly once");
    Ok(())
}
