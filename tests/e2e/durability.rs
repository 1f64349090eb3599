//! What was acknowledged survives: the process is killed at random points between and
//! within writes, started again on the same directory, and everything it said yes to is
//! there.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use refgate_tests::git::Git;
use refgate_tests::http::Client;
use refgate_tests::stage::{GROUPS, Refgate};
use refgate_tests::wait::wait_for;
use serde_json::{Value, json};
use tempfile::TempDir;

const ROUNDS: usize = 6;

/// A change that was answered with success.
struct Acknowledged {
    group: String,
    commit: String,
    /// A file of the group's branch that the change wrote, and what stands in it.
    file: String,
    contains: String,
    /// A tag that the change made.
    tag: Option<String>,
}

#[derive(Default)]
struct Journal(Mutex<Vec<Acknowledged>>, AtomicUsize);

impl Journal {
    fn note(&self, answer: &Value, file: String, contains: &str, tag: Option<String>) {
        let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
        if let Ok(mut entries) = self.0.lock() {
            entries.push(Acknowledged {
                group: text("group"),
                commit: text("commit"),
                file,
                contains: contains.to_owned(),
                tag,
            });
        }
        self.1.fetch_add(1, Ordering::SeqCst);
    }

    fn count(&self) -> usize {
        self.1.load(Ordering::SeqCst)
    }
}

#[test]
fn every_acknowledged_change_survives_sigkill() -> anyhow::Result<()> {
    let directory = TempDir::new()?;
    let data = directory.path().join("refgate-data");
    let git = Git::at(data.join("config.git"));
    let journal = Journal::default();
    let mut chance = Chance::new();
    for round in 0..ROUNDS {
        let mut refgate = Refgate::up(&data).with_context(|| format!("round {round}"))?;
        check(&git, &journal).with_context(|| format!("after kill {round}, {chance}"))?;
        if round == 0 {
            seed(&refgate.api)?;
        }
        let enough = journal.count() + 3 + chance.below(20);
        let moment = Duration::from_micros(chance.below(15_000) as u64);
        thread::scope(|scope| -> anyhow::Result<()> {
            for writer in 0..3 {
                let (api, journal) = (refgate.api.clone(), &journal);
                scope.spawn(move || write_until_it_dies(&api, journal, round, writer));
            }
            let written = wait_for("writes to be acknowledged", || {
                anyhow::ensure!(journal.count() >= enough, "{} of {enough}", journal.count());
                Ok(())
            });
            // Not to wait for something: to strike at any point within a write.
            thread::sleep(moment);
            refgate.process().kill()?;
            written
        })
        .with_context(|| format!("round {round}, {chance}"))?;
    }
    let refgate = Refgate::up(&data)?;
    check(&git, &journal).with_context(|| format!("at the end, {chance}"))?;
    // Nothing was left behind that is in the way of the next write.
    put_route(&refgate.api, "alpha", "after-all", "/after-all")?;
    for group in GROUPS {
        let groups = refgate.api.get(&format!("/v1/groups/{group}"))?.expect(200)?.body()?;
        assert_eq!(groups["head"], git.refs()?[&format!("refs/heads/{group}")]);
    }
    assert_no_locks(&data.join("config.git"))
}

/// What a kill in the middle of moving a ref leaves behind, made by hand to be sure of it.
#[test]
fn a_lock_that_a_killed_process_left_is_in_nobodys_way() -> anyhow::Result<()> {
    let directory = TempDir::new()?;
    let data = directory.path().join("refgate-data");
    let mut refgate = Refgate::up(&data)?;
    seed(&refgate.api)?;
    refgate.process().kill()?;
    let refs = data.join("config.git/refs");
    fs::write(refs.join("heads/test.lock"), "0123456789")?;
    fs::create_dir_all(refs.join("tags/beta"))?;
    fs::write(refs.join("tags/beta/1.0.0.lock"), "")?;

    let refgate = Refgate::up(&data)?;
    put_route(&refgate.api, "beta", "second", "/beta/second")?;
    let sync = json!({"to": "uat", "version": "1.0.0"});
    refgate.api.json("POST", "/v1/groups/test/services/beta/sync", &sync)?.expect(201)?;
    assert_no_locks(&data.join("config.git"))?;
    Git::at(data.join("config.git")).fsck()
}

fn seed(api: &Client) -> anyhow::Result<()> {
    for service in ["alpha", "beta"] {
        let document = json!({
            "routes": {"first": {"paths": [format!("/{service}")]}},
            "runtime": {"upstreams": {"default": {"nodes": [{"host": "127.0.0.1", "port": 9}]}}},
        });
        api.json("PUT", &format!("/v1/groups/test/services/{service}"), &document)?.expect(201)?;
    }
    Ok(())
}

fn put_route(api: &Client, service: &str, route: &str, path: &str) -> anyhow::Result<Value> {
    let document = json!({"paths": [path]});
    let target = format!("/v1/groups/test/services/{service}/routes/{route}");
    api.json("PUT", &target, &document)?.expect(201)?.body()
}

/// Writes routes, and one writer versions as well, until the process is gone. A request
/// without an answer is not noted: it may or may not have happened.
fn write_until_it_dies(api: &Client, journal: &Journal, round: usize, writer: usize) {
    for n in 0.. {
        let service = if writer == 0 { "beta" } else { "alpha" };
        let route = format!("r{round}-{writer}-{n}");
        let path = format!("/{service}/{route}");
        let Ok(answer) = put_route(api, service, &route, &path) else {
            return;
        };
        journal.note(&answer, format!("services/{service}/routes/{route}.json"), &path, None);
        if writer != 0 {
            continue;
        }
        let version = format!("{round}.{n}.0");
        let sync = json!({"to": "uat", "version": version});
        let synced =
            api.json("POST", "/v1/groups/test/services/beta/sync", &sync).and_then(|answer| {
                anyhow::ensure!(answer.status < 300, "{}", answer.text);
                answer.body()
            });
        let Ok(answer) = synced else {
            return;
        };
        let file = format!("services/beta/routes/{route}.json");
        journal.note(&answer, file, &path, Some(format!("beta/{version}")));
    }
}

fn check(git: &Git, journal: &Journal) -> anyhow::Result<()> {
    git.fsck()?;
    let entries = journal.0.lock().map_err(|_| anyhow::anyhow!("a writer panicked"))?;
    let tags = git.refs()?;
    for group in GROUPS {
        // First-parent history that contains every acknowledged commit: refs only went forward.
        let history = git.commits(group)?;
        let files = git.run(&["ls-tree", "-r", "--name-only", group])?;
        for entry in entries.iter().filter(|entry| entry.group == group) {
            anyhow::ensure!(history.contains(&entry.commit), "{group} lost {}", entry.commit);
            anyhow::ensure!(
                files.lines().any(|file| file == entry.file),
                "{group} lost {}",
                entry.file
            );
            let text = git.file(&entry.commit, &entry.file)?;
            anyhow::ensure!(text.contains(&entry.contains), "{}: {text}", entry.file);
            if let Some(tag) = &entry.tag {
                anyhow::ensure!(tags.contains_key(&format!("refs/tags/{tag}")), "lost tag {tag}");
            }
        }
    }
    Ok(())
}

fn assert_no_locks(directory: &Path) -> anyhow::Result<()> {
    for entry in directory.read_dir()? {
        let path = entry?.path();
        if path.is_dir() {
            assert_no_locks(&path)?;
        } else {
            anyhow::ensure!(
                path.extension().is_none_or(|extension| extension != "lock"),
                "left behind: {}",
                path.display()
            );
        }
    }
    Ok(())
}

/// Random enough to strike at different points; it says where it started.
struct Chance {
    seed: u64,
    state: u64,
}

impl Chance {
    fn new() -> Self {
        let seed =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| now.as_nanos() as u64 | 1);
        Self { seed, state: seed }
    }

    fn below(&mut self, limit: usize) -> usize {
        // xorshift64
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from(self.state % limit as u64).unwrap_or(0)
    }
}

impl std::fmt::Display for Chance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "seed {}", self.seed)
    }
}
