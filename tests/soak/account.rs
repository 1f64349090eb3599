//! What was acknowledged, and whether it is there in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use refgate_tests::process::run;
use refgate_tests::stage::{GROUPS, Stage, refgate};

/// Everything that somebody was told has come to pass.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Subjects of pushed commits of test, each of its own, with the file that it wrote.
    pub(crate) pushed: Vec<(String, String)>,
    /// Commits that the API answered with, by group.
    pub(crate) written: Vec<(String, String)>,
    /// Tags that were pushed.
    pub(crate) tagged: Vec<String>,
    /// Promotions that were pushed: service, version and group.
    pub(crate) promoted: Vec<(String, String, String)>,
    /// What else happened, by its name.
    pub(crate) counts: BTreeMap<&'static str, usize>,
}

/// The ledger, whoever panicked while they had it.
pub(crate) fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    /// Counts something.
    pub(crate) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// How much there is of everything.
    pub(crate) fn summary(&self) -> String {
        let mut text = format!(
            "{} commits pushed, {} tags pushed, {} promotions pushed, {} writes of the API",
            self.pushed.len(),
            self.tagged.len(),
            self.promoted.len(),
            self.written.len()
        );
        for (what, count) in &self.counts {
            text.push_str(&format!(", {count} {what}"));
        }
        text
    }

    /// Asks the repository and the control plane for all of it.
    pub(crate) fn settle(&self, stage: &Stage) -> anyhow::Result<()> {
        let git = stage.git();
        let mut faults: Vec<String> = Vec::new();
        let mut subjects: BTreeMap<String, usize> = BTreeMap::new();
        for subject in git.subjects("test")? {
            *subjects.entry(subject).or_default() += 1;
        }
        let files = git.run(&["ls-tree", "-r", "--name-only", "refs/heads/test"])?;
        let files: BTreeSet<&str> = files.lines().collect();
        for (subject, file) in &self.pushed {
            let times = subjects.get(subject).copied().unwrap_or_default();
            if times != 1 || !files.contains(file.as_str()) {
                faults.push(format!("{subject} is there {times} times"));
            }
        }
        let mut commits: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for group in GROUPS {
            let of_group = git.commits(group)?;
            let newest = stage.read(&format!("/v1/groups/{group}"))?;
            if newest["revision"] != of_group.len() {
                faults.push(format!("{group} has {} commits: {newest}", of_group.len()));
            }
            println!("{group}: {} commits", of_group.len());
            commits.insert(group.to_owned(), of_group.into_iter().collect());
        }
        for (group, commit) in &self.written {
            if !commits.get(group).is_some_and(|commits| commits.contains(commit)) {
                faults.push(format!("{commit} is not in {group}"));
            }
        }
        let refs = git.refs()?;
        for tag in &self.tagged {
            if !refs.contains_key(&format!("refs/tags/{tag}")) {
                faults.push(format!("{tag} is gone"));
            }
        }
        for (service, version, group) in &self.promoted {
            let subject = format!("sync {service} {version} to {group}");
            let times = git.subjects(group)?.iter().filter(|found| **found == subject).count();
            if times != 1 {
                faults.push(format!("{subject}: there {times} times"));
            }
        }
        for entry in std::fs::read_dir(stage.data().join("config.git/objects"))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.contains("incoming") || name.contains("tmp_objdir") {
                faults.push(format!("{name} is left"));
            }
        }
        git.fsck()?;
        // Beside the control plane, which still runs.
        check(stage, &mut faults)?;
        for fault in &faults {
            println!("fault: {fault}");
        }
        anyhow::ensure!(faults.is_empty(), "{} faults", faults.len());
        Ok(())
    }
}

fn check(stage: &Stage, faults: &mut Vec<String>) -> anyhow::Result<()> {
    let checked = run(refgate()?.args(["check", "--data-dir"]).arg(stage.data()))?;
    println!("{}", checked.stdout.trim_end());
    if !checked.status.success() {
        faults.push(format!("refgate check: {}", checked.stderr));
    }
    Ok(())
}
