//! What goes on at the same time.

use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use refgate_tests::git::{WorkTree, git, lost_a_race};
use refgate_tests::process::{Ended, run};
use refgate_tests::stage::{Stage, TOKEN};
use serde_json::json;

use crate::SERVICES;
use crate::account::{Ledger, lock};

/// Somebody who works until it is over.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Worker {
    /// Pushes commits to test, and tags now and then.
    Pusher {
        /// Past the control plane.
        by_path: bool,
    },
    /// Pushes to `refs/for/uat`.
    Promoter,
    /// Writes by the API.
    Writer,
    /// Syncs by the API.
    Syncer,
    /// Clones and fetches.
    Fetcher,
    /// Packs the repository.
    Keeper,
    /// Asks a gateway.
    Guest,
}

impl Worker {
    /// Those who are there.
    pub(crate) const ALL: [Self; 9] = [
        Self::Pusher { by_path: false },
        Self::Pusher { by_path: false },
        Self::Pusher { by_path: true },
        Self::Promoter,
        Self::Writer,
        Self::Syncer,
        Self::Fetcher,
        Self::Keeper,
        Self::Guest,
    ];

    /// Works until it is over.
    pub(crate) fn run(
        self,
        number: usize,
        stage: &Stage,
        ledger: &Mutex<Ledger>,
        over: &AtomicBool,
    ) -> anyhow::Result<()> {
        let address = format!("{}/config.git", stage.refgate.api.base());
        let by_http = address.replacen("://", &format!("://x:{TOKEN}@"), 1);
        let by_path = stage.data().join("config.git").display().to_string();
        let place = Place { number, stage, ledger, over };
        match self {
            Self::Pusher { by_path: true } => place.push(&by_path),
            Self::Pusher { by_path: false } => place.push(&by_http),
            Self::Promoter => place.promote(&by_http),
            Self::Writer => place.write(),
            Self::Syncer => place.sync(),
            Self::Fetcher => place.fetch(&by_http),
            Self::Keeper => place.keep(),
            Self::Guest => place.visit(),
        }
    }
}

/// Where a worker works.
struct Place<'a> {
    number: usize,
    stage: &'a Stage,
    ledger: &'a Mutex<Ledger>,
    over: &'a AtomicBool,
}

impl Place<'_> {
    fn rounds(&self) -> impl Iterator<Item = usize> {
        (0..).take_while(|_| !self.over.load(Ordering::Relaxed))
    }

    fn clone(&self, url: &str, name: &str) -> anyhow::Result<WorkTree> {
        let directory = self.stage.scratch().join(format!("{name}-{}", self.number));
        WorkTree::clone_of(url, directory, &["--branch", "test"])
    }

    fn push(&self, url: &str) -> anyhow::Result<()> {
        let tree = self.clone(url, "pusher")?;
        for round in self.rounds() {
            let name = format!("p{}-{round}", self.number);
            let service = format!("s{}", (round + self.number) % SERVICES);
            let file = format!("services/{service}/routes/{name}.json");
            let route = json!({"paths": [format!("/{name}")], "methods": ["GET"]});
            tree.commit(&file, format!("{route:#}\n"))?;
            let subject = format!("change {file}");
            loop {
                let ended = tree.ended(&["push", "--quiet", "origin", "HEAD:test"])?;
                if ended.status.success() {
                    let mut ledger = lock(self.ledger);
                    ledger.pushed.push((subject, file));
                    break;
                }
                must_be_a_race(&ended)?;
                lock(self.ledger).count("pushes that lost a race");
                if self.over.load(Ordering::Relaxed) {
                    return Ok(());
                }
                tree.run(&["pull", "--quiet", "--rebase", "origin", "test"])?;
            }
            if round % 5 == 4 {
                let tag = format!("{service}/0.{}.{round}", self.number);
                tree.run(&["tag", "-m", "soak", &tag])?;
                let ended = tree.ended(&["push", "--quiet", "origin", &tag])?;
                let mut ledger = lock(self.ledger);
                match ended.status.success() {
                    true => ledger.tagged.push(tag),
                    // Somebody may have numbered the same content.
                    false if ended.stderr.contains("[content_already_versioned]") => {
                        ledger.count("tags refused");
                    }
                    false => anyhow::bail!("{tag}: {}", ended.stderr),
                }
            }
        }
        Ok(())
    }

    fn promote(&self, url: &str) -> anyhow::Result<()> {
        let tree = self.clone(url, "promoter")?;
        for round in self.rounds() {
            tree.run(&["fetch", "--quiet", "origin"])?;
            let service = format!("s{}", round % SERVICES);
            let version = format!("2.0.{round}");
            let options = [format!("service={service}"), format!("version={version}")];
            let ended = tree.ended(&[
                "push",
                "-o",
                &options[0],
                "-o",
                &options[1],
                "origin",
                "origin/test:refs/for/uat",
            ])?;
            let promoted = format!("{service} {version} was promoted to uat");
            let mut ledger = lock(self.ledger);
            if ended.status.success() && ended.stderr.contains(&promoted) {
                ledger.promoted.push((service, version, "uat".to_owned()));
            } else if ended.status.success() {
                ledger.count("promotions that changed nothing");
            } else {
                // Others number the same content, or the group has gone on since the fetch.
                let known = ["[version_mismatch]", "[malformed_request]", "[concurrent_update]"];
                let known = known.iter().any(|code| ended.stderr.contains(code));
                anyhow::ensure!(known, "{}", ended.stderr);
                ledger.count("promotions refused");
            }
        }
        Ok(())
    }

    fn write(&self) -> anyhow::Result<()> {
        for round in self.rounds() {
            let path = format!("/v1/groups/test/services/s{}/routes/a-{round}", round % SERVICES);
            let route = json!({"paths": [format!("/a-{round}")], "methods": ["GET"]});
            let answer = self.stage.api("PUT", &path, &route)?;
            let written = answer.expect(201)?.body()?;
            let mut ledger = lock(self.ledger);
            let commit = written["commit"].as_str().unwrap_or_default().to_owned();
            ledger.written.push(("test".to_owned(), commit));
            drop(ledger);
            // So that those who push get in, too.
            thread::sleep(Duration::from_secs(2));
        }
        Ok(())
    }

    fn sync(&self) -> anyhow::Result<()> {
        for round in self.rounds() {
            let service = round % SERVICES;
            let path = format!("/v1/groups/test/services/s{service}/sync");
            let body = json!({"to": "uat", "version": format!("1.0.{round}")});
            let answer = self.stage.api("POST", &path, &body)?;
            let mut ledger = lock(self.ledger);
            match answer.status {
                200 | 201 => {
                    let written = answer.body()?;
                    if written["changed"] == true {
                        let commit = written["commit"].as_str().unwrap_or_default().to_owned();
                        ledger.written.push(("uat".to_owned(), commit));
                    }
                    ledger.count("syncs");
                }
                409 => ledger.count("syncs refused"),
                _ => anyhow::bail!("{answer:?}"),
            }
            drop(ledger);
            thread::sleep(Duration::from_millis(500));
        }
        Ok(())
    }

    fn fetch(&self, url: &str) -> anyhow::Result<()> {
        let tree = self.clone(url, "fetcher")?;
        for round in self.rounds() {
            tree.run(&["fetch", "--quiet", "--tags", "origin"])?;
            lock(self.ledger).count("fetches");
            if round % 10 == 9 {
                let place = self.stage.scratch().join("shallow");
                let clone = WorkTree::clone_of(url, &place, &["--depth", "3"])?;
                clone.run(&["fsck", "--no-progress"])?;
                std::fs::remove_dir_all(place)?;
                lock(self.ledger).count("clones");
            }
            thread::sleep(Duration::from_millis(500));
        }
        tree.run(&["fsck", "--no-progress"])?;
        Ok(())
    }

    /// The tasks that the control plane has, far more often than it would.
    fn keep(&self) -> anyhow::Result<()> {
        let path = self.stage.data().join("config.git");
        let of_repository = |arguments: &[&str]| -> Command {
            let mut command = git();
            command.arg("--git-dir").arg(&path).args(["-c", "core.fsync=all"]).args(arguments);
            command
        };
        for round in self.rounds() {
            let task = match round % 4 {
                0 => of_repository(&["maintenance", "run", "--quiet", "--task=loose-objects"]),
                1 => of_repository(&["maintenance", "run", "--quiet", "--task=incremental-repack"]),
                2 => of_repository(&["maintenance", "run", "--quiet", "--task=commit-graph"]),
                _ => of_repository(&["pack-refs", "--prune"]),
            };
            let mut task = task;
            let ended = run(&mut task)?;
            // The control plane does the same: one of the two waits for its next turn.
            let taken = ended.stderr.contains("lock");
            anyhow::ensure!(ended.status.success() || taken, "{task:?}: {}", ended.stderr);
            lock(self.ledger).count("rounds of maintenance");
            thread::sleep(Duration::from_secs(2));
        }
        Ok(())
    }

    fn visit(&self) -> anyhow::Result<()> {
        let gateway = self.stage.refgate.gateway("test", "test.acme.com");
        for _ in self.rounds() {
            gateway.get("/headers")?.expect(200)?;
            lock(self.ledger).count("requests served");
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

/// That others were faster is no fault; everything else is.
fn must_be_a_race(push: &Ended) -> anyhow::Result<()> {
    anyhow::ensure!(lost_a_race(push), "{}", push.stderr);
    Ok(())
}
