//! Commits that change everything under load, and whether every request was answered as one of the
//! configurations says that were in force while it ran.
//!
//! Two gateways: that of `refgate up`, which reads the repository, and one of its own process, which asks
//! the control plane and says on its status listener how nodes are. Commits come through the API, at
//! deadlines. From the ground up: [`origin`] (who answers), [`client`] (HTTP/1.1), [`certificate`] (TLS),
//! [`change`] (what is changed), [`ledger`] (what was true when), [`load`] and [`http2`] (who asks),
//! [`scene`] (what is started and watched). `make soak-reload` runs it for a minute,
//! `tests/e2e/reload.rs` for some commits.

mod certificate;
mod change;
mod client;
mod http2;
mod ledger;
mod load;
mod origin;
mod scene;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use change::Property;
use ledger::{Ledger, Verdicts};
use load::{Guest, Manner};
use scene::Scene;

/// Who asks each gateway.
const GUESTS: [Manner; 7] = [
    Manner::Plain,
    Manner::Plain,
    Manner::Untouched,
    Manner::Untouched,
    Manner::Handshakes,
    Manner::Encrypted,
    Manner::Http2,
];

/// How much of it.
#[derive(Debug, Clone, Copy)]
pub struct Storm {
    /// How many commits.
    pub commits: usize,
    /// How many of them in a second.
    pub rate: f64,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    commits: usize,
    writing: Duration,
    longest: Duration,
    verdicts: Verdicts,
    /// What else is wrong.
    harm: Vec<String>,
    /// Connections of the origin that nobody touched, and of how many clients at once.
    untouched: (usize, usize),
    /// Connections of a node of a service of which all but its nodes' addresses changed.
    kept: usize,
    /// Health checks of the node that is out.
    checks: u64,
}

impl Report {
    /// An error that tells all that is wrong.
    pub fn sound(&self) -> anyhow::Result<()> {
        let Verdicts { failed, misrouted, faults, .. } = &self.verdicts;
        let wrong: Vec<&String> = faults.iter().chain(&self.harm).collect();
        anyhow::ensure!(*failed == 0 && *misrouted == 0 && wrong.is_empty(), "{self}\n{wrong:#?}");
        Ok(())
    }

    /// Commits in a second, as they were acknowledged.
    pub fn rate(&self) -> f64 {
        self.commits as f64 / self.writing.as_secs_f64()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdicts { good, certain, failed, misrouted, handshakes, .. } = &self.verdicts;
        let answered = good - handshakes;
        write!(
            out,
            "{} commits in {:.1} s ({:.1}/s), each served {:.0} ms after its acknowledgement at the latest\n\
             {answered} requests and {handshakes} handshakes as they should be ({certain} of them with one \
             configuration that may have answered), {failed} failed, {misrouted} misrouted\n\
             untouched upstream: {} connections for {} clients; upstream with other weights, retries and hosts: {}; \
             {} health checks of the node that is out",
            self.commits,
            self.writing.as_secs_f64(),
            self.rate(),
            self.longest.as_secs_f64() * 1000.0,
            self.untouched.0,
            self.untouched.1,
            self.kept,
            self.checks,
        )
    }
}

impl Storm {
    /// Starts everything, and lets it go until the last commit is served.
    pub fn run(self) -> anyhow::Result<Report> {
        let scene = Scene::start()?;
        let ledger = Ledger::new(scene.prepare()?, scene.gateways.len());
        let behind = &scene.behind;
        let sick = behind.sick.requests();
        let over = AtomicBool::new(false);
        let (writing, mut harm) = thread::scope(|scope| {
            let mut number = 0;
            for gateway in scene.gateways.iter().enumerate() {
                for manner in GUESTS {
                    number += 1;
                    let (ledger, over) = (&ledger, &over);
                    let guest = Guest { number, manner, gateway, behind, ledger, over };
                    scope.spawn(move || guest.run());
                }
            }
            let watch = scope.spawn(|| scene.watch(&ledger, &over));
            let started = Instant::now();
            // Each property has a writer of its own, so that a write that takes long holds up no other.
            let writers: Vec<_> = Property::ALL
                .into_iter()
                .enumerate()
                .map(|turn| {
                    let (scene, ledger) = (&scene, &ledger);
                    scope.spawn(move || self.write(turn, started, scene, ledger))
                })
                .collect();
            let written = writers.into_iter().try_for_each(joined);
            let writing = started.elapsed();
            let settled = written.and_then(|()| scene.settle(&ledger));
            over.store(true, Ordering::Relaxed);
            let mut harm = watch.join().unwrap_or_else(|_| vec!["the watch panicked".to_owned()]);
            harm.extend(settled.err().map(|error| format!("{error:#}")));
            (writing, harm)
        });
        let came = behind.sick.requests() - sick;
        if came > 0 {
            harm.push(format!("{came} requests reached the node that is out"));
        }
        let asking = |manner: Manner| GUESTS.iter().filter(|it| **it == manner).count();
        let clients = scene.gateways.len() * asking(Manner::Untouched);
        let untouched = (behind.untouched.connections(), clients);
        if untouched.0 > clients {
            harm.push(format!("{} connections to a node that nobody touched", untouched.0));
        }
        // In HTTP/2 an answer is whole before its connection is free again: some more, but not with
        // every commit.
        let at_once = GUESTS.iter().map(|manner| manner.at_once()).sum::<usize>();
        let (kept, most) = (behind.well.connections(), 2 * scene.gateways.len() * at_once);
        if kept > most {
            harm.push(format!("{kept} connections to a node that stayed, for {most} at the most"));
        }
        let (commits, longest) = ledger.commits();
        Ok(Report {
            commits,
            writing,
            longest,
            verdicts: ledger.verdicts(),
            harm,
            untouched,
            kept,
            checks: behind.sick.checks(),
        })
    }

    /// Changes one property, whose turn it is first by its number, at its deadlines.
    fn write(
        self,
        (first, property): (usize, Property),
        started: Instant,
        scene: &Scene,
        ledger: &Ledger,
    ) -> anyhow::Result<()> {
        for number in (first..self.commits).step_by(Property::ALL.len()) {
            let due = started + Duration::from_secs_f64(number as f64 / self.rate);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let state = ledger.begin(property);
            let written = scene.commit(scene.behind.changed(property, state))?;
            ledger.acknowledge(property, &written.0, written.1);
        }
        Ok(())
    }
}

/// What a thread came to.
fn joined(thread: thread::ScopedJoinHandle<'_, anyhow::Result<()>>) -> anyhow::Result<()> {
    thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a thread panicked")))
}
