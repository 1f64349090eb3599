//! What was acknowledged survives: the process is killed at random points between and
//! within writes, versions and syncs, alone and in batches, and started again on the same
//! directory. Everything it said yes to is there, once; refs only went forward.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use refgate_tests::git::Git;
use refgate_tests::http::Client;
use refgate_tests::process::run;
use refgate_tests::stage::{GROUPS, Refgate, refgate as refgate_command};
use refgate_tests::wait::wait_for;
use serde_json::{Value, json};
use tempfile::TempDir;

const ROUNDS: usize = 8;

/// Writers of a round: one syncs, one makes versions, the others fill batches.
const WRITERS: usize = 6;

/// A change that was answered with success.
struct Acknowledged {
    group: String,
    commit: String,
    request: String,
    /// Whether it is a commit; a version alone is a tag.
    is_commit: bool,
    /// A file of the group's branch that the change wrote, and what stands in it.
    file: String,
    contains: String,
    /// A tag that the change made.
    tag: Option<String>,
}

#[derive(Default)]
struct Journal(Mutex<Vec<Acknowledged>>, AtomicUsize);

impl Journal {
    fn note(&self, acknowledged: Acknowledged) {
        if let Ok(mut entries) = self.0.lock() {
            entries.push(acknowledged);
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
    let mut refs = BTreeMap::new();
    for round in 0..ROUNDS {
        let mut refgate = Refgate::up(&data).with_context(|| format!("round {round}"))?;
        check(&git, &journal, &mut refs)
            .with_context(|| format!("after kill {round}, {chance}"))?;
        if round == 0 {
            seed(&refgate.api)?;
        }
        let enough = journal.count() + 3 + chance.below(20);
        let moment = Duration::from_micros(chance.below(15_000) as u64);
        thread::scope(|scope| -> anyhow::Result<()> {
            for writer in 0..WRITERS {
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
            written?;
            // As the kill left it, before anything is tidied up.
            check(&git, &journal, &mut refs)
        })
        .with_context(|| format!("round {round}, {chance}"))?;
    }
    let refgate = Refgate::up(&data)?;
    check(&git, &journal, &mut refs).with_context(|| format!("at the end, {chance}"))?;
    // Nothing was left behind that is in the way of the next write.
    put_route(&refgate.api, "alpha", "after-all", "/after-all")?;
    let verdict = run(refgate_command()?.args(["check", "-o", "json", "--data-dir"]).arg(&data))?;
    anyhow::ensure!(verdict.code() == 0, "{}{}", verdict.stdout, verdict.stderr);
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
    for service in ["alpha", "beta", "gamma"] {
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

/// Writes routes, and two writers versions as well, until the process is gone. A request
/// without an answer is not noted: it may or may not have happened.
fn write_until_it_dies(api: &Client, journal: &Journal, round: usize, writer: usize) {
    for n in 0.. {
        if write_once(api, journal, round, writer, n).is_err() {
            return;
        }
    }
}

fn write_once(
    api: &Client,
    journal: &Journal,
    round: usize,
    writer: usize,
    n: usize,
) -> anyhow::Result<()> {
    let service = ["beta", "gamma"].get(writer).copied().unwrap_or("alpha");
    let route = format!("r{round}-{writer}-{n}");
    let path = format!("/{service}/{route}");
    let file = format!("services/{service}/routes/{route}.json");
    let version = format!("{round}.{n}.0");
    let ask = |what: &str, method: &str, target: &str, body: &Value, is_commit: bool| {
        let request = format!("{what}-{route}");
        let answer =
            api.clone().with("x-request-id", &request).json(method, target, body)?.expect(201)?;
        let answer = answer.body()?;
        let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
        journal.note(Acknowledged {
            group: text("group"),
            commit: text("commit"),
            request,
            is_commit,
            file: file.clone(),
            contains: path.clone(),
            tag: (what != "put").then(|| format!("{service}/{version}")),
        });
        anyhow::Ok(())
    };
    let of_service = format!("/v1/groups/test/services/{service}");
    let document = json!({"paths": [path]});
    ask("put", "PUT", &format!("{of_service}/routes/{route}"), &document, true)?;
    match service {
        "beta" => {
            let sync = json!({"to": "uat", "version": version});
            ask("sync", "POST", &format!("{of_service}/sync"), &sync, true)
        }
        "gamma" => {
            let tag = json!({"version": version});
            ask("tag", "POST", &format!("{of_service}/versions"), &tag, false)
        }
        _ => Ok(()),
    }
}

/// Compares the repository with the journal and with the refs as they were, and keeps the refs.
fn check(git: &Git, journal: &Journal, refs: &mut BTreeMap<String, String>) -> anyhow::Result<()> {
    git.fsck()?;
    let before = std::mem::replace(refs, git.refs()?);
    for (name, old) in &before {
        let now = refs.get(name).with_context(|| format!("{name} is gone"))?;
        if name.starts_with("refs/tags/") {
            anyhow::ensure!(now == old, "{name} moved from {old} to {now}");
        } else {
            git.run(&["merge-base", "--is-ancestor", old, now])
                .with_context(|| format!("{name} did not go forward"))?;
        }
    }
    let entries = journal.0.lock().map_err(|_| anyhow::anyhow!("a writer panicked"))?;
    for group in GROUPS {
        // First-parent history that contains every acknowledged commit: refs only went forward.
        let format = "--format=%H %(trailers:key=Refgate-Request-Id,valueonly,separator=)";
        let log = git.run(&["log", "--first-parent", format, &format!("refs/heads/{group}")])?;
        let mut history: HashMap<&str, Vec<&str>> = HashMap::new();
        for (commit, request) in log.lines().filter_map(|line| line.split_once(' ')) {
            history.entry(request).or_default().push(commit);
        }
        let commits: Vec<&str> = history.values().flatten().copied().collect();
        let files = git.run(&["ls-tree", "-r", "--name-only", group])?;
        for entry in entries.iter().filter(|entry| entry.group == group) {
            let (request, commit) = (&entry.request, entry.commit.as_str());
            if entry.is_commit {
                let made = history.get(request.as_str()).map_or(&[][..], Vec::as_slice);
                anyhow::ensure!(
                    made == [commit],
                    "{group}: {request} said {commit}, made {made:?}"
                );
            } else {
                anyhow::ensure!(commits.contains(&commit), "{group} lost {commit}");
            }
            anyhow::ensure!(
                files.lines().any(|file| file == entry.file),
                "{group} lost {}",
                entry.file
            );
            if let Some(tag) = &entry.tag {
                anyhow::ensure!(refs.contains_key(&format!("refs/tags/{tag}")), "lost tag {tag}");
            }
        }
        // Nothing is there twice either of what nobody got an answer to.
        let twice = history.iter().find(|(request, made)| **request != "init" && made.len() > 1);
        anyhow::ensure!(twice.is_none_or(|(request, _)| request.is_empty()), "twice: {twice:?}");
    }
    // What was written last stands for what is in the files; each costs a process.
    for entry in entries.iter().rev().take(5) {
        let text = git.file(&entry.commit, &entry.file)?;
        anyhow::ensure!(text.contains(&entry.contains), "{}: {text}", entry.file);
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
