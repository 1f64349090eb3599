//! Many at once: every acknowledged change is there, once.

use std::collections::BTreeMap;
use std::thread;

use anyhow::Context as _;
use refgate_tests::git::WorkTree;
use refgate_tests::stage::Stage;
use serde_json::json;

use super::{clone, nothing_is_left, push, route};

const PUSHES: usize = 64;

/// Commits a new route and pushes it until it is in, over whatever others have pushed meanwhile.
fn push_until_in(tree: &WorkTree, number: usize) -> anyhow::Result<()> {
    tree.commit(&format!("services/httpbin/routes/r{number}.json"), route(&format!("/r{number}")))?;
    for _ in 0..1000 {
        let ended = push(tree, &["--quiet", "origin", "HEAD:test"])?;
        if ended.status.success() {
            return Ok(());
        }
        let lost = [
            "fetch first",
            "non-fast-forward",
            "[not_fast_forward]",
            "cannot lock ref",
            "failed to update ref",
            "too many",
            "503",
        ];
        let by_race = lost.iter().any(|word| ended.stderr.contains(word));
        anyhow::ensure!(by_race, "{number}: {}", ended.stderr);
        tree.run(&["pull", "--quiet", "--rebase", "origin", "test"])?;
    }
    anyhow::bail!("{number} never got in")
}

#[test]
fn sixty_four_pushes_at_once_are_all_in_in_the_end() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    let trees = (0..PUSHES)
        .map(|number| clone(&stage, &format!("clone-{number}")))
        .collect::<anyhow::Result<Vec<_>>>()?;
    thread::scope(|scope| {
        let pushes: Vec<_> = trees
            .iter()
            .enumerate()
            .map(|(number, tree)| scope.spawn(move || push_until_in(tree, number)))
            .collect();
        for one in pushes {
            one.join().map_err(|_| anyhow::anyhow!("a panic"))??;
        }
        anyhow::Ok(())
    })?;
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for subject in stage.git().subjects("test")? {
        *times.entry(subject).or_default() += 1;
    }
    for number in 0..PUSHES {
        let subject = format!("change services/httpbin/routes/r{number}.json");
        assert_eq!(times.get(&subject), Some(&1), "{subject}");
    }
    let routes = stage.read("/v1/groups/test/services/httpbin")?["routes"].clone();
    assert_eq!(routes.as_object().map(serde_json::Map::len), Some(PUSHES + 1));
    let group = stage.read("/v1/groups/test")?;
    assert_eq!(group["revision"], PUSHES + 2);
    stage.serves("test", "/r0", 404).or_else(|_| stage.serves("test", "/r0", 200))?;
    nothing_is_left(&stage.data())?;
    stage.git().fsck()
}

#[test]
fn pushes_race_the_api_and_syncs() -> anyhow::Result<()> {
    const EACH: usize = 8;
    let stage = Stage::with_httpbin()?;
    let trees = (0..3)
        .map(|number| clone(&stage, &format!("clone-{number}")))
        .collect::<anyhow::Result<Vec<_>>>()?;
    thread::scope(|scope| {
        let mut workers = Vec::new();
        for (number, tree) in trees.iter().enumerate() {
            workers.push(scope.spawn(move || {
                (0..EACH).try_for_each(|round| push_until_in(tree, number * EACH + round))
            }));
        }
        let stage = &stage;
        workers.push(scope.spawn(move || {
            (0..3 * EACH).try_for_each(|round| {
                let route = json!({"paths": [format!("/api/{round}")]});
                let path = format!("/v1/groups/test/services/httpbin/routes/api-{round}");
                stage.api("PUT", &path, &route)?.expect(201)?;
                Ok(())
            })
        }));
        workers.push(scope.spawn(move || {
            (0..EACH).try_for_each(|round| {
                // What is synced is what test had at a moment; a number is not given twice.
                let synced = stage.sync("test", "uat", Some(&format!("1.{round}.0")))?;
                let fine = [200, 409].contains(&synced.status);
                anyhow::ensure!(fine, "{synced:?}");
                Ok(())
            })
        }));
        for worker in workers {
            worker.join().map_err(|_| anyhow::anyhow!("a panic"))??;
        }
        anyhow::Ok(())
    })?;
    let routes = stage.read("/v1/groups/test/services/httpbin")?["routes"].clone();
    let routes = routes.as_object().context("routes")?;
    assert_eq!(routes.len(), 1 + 6 * EACH, "{:?}", routes.keys());
    let commits = stage.git().commits("test")?;
    assert_eq!(commits.len(), 2 + 6 * EACH);
    assert_eq!(stage.read("/v1/groups/test")?["revision"], 2 + 6 * EACH);
    let data = stage.data().display().to_string();
    let check = stage.refgate.client(&["check", "--data-dir", &data])?;
    assert_eq!(check.code(), 0, "{check:?}");
    stage.git().fsck()
}
