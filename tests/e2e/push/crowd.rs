//! Many at once: every acknowledged change is there, once.

use std::collections::BTreeMap;
use std::thread;

use anyhow::Context as _;
use refgate_tests::git::{WorkTree, lost_a_race};
use refgate_tests::stage::{Stage, TOKEN};
use serde_json::json;

use super::{clone, nothing_is_left, push, route, url};

const PUSHES: usize = 64;

/// Commits a new route.
fn commit(tree: &WorkTree, number: usize) -> anyhow::Result<()> {
    let path = format!("services/httpbin/routes/r{number}.json");
    tree.commit(&path, route(&format!("/anything/r{number}")))?;
    Ok(())
}

/// Pushes once; false when others were faster.
fn push_once(tree: &WorkTree) -> anyhow::Result<bool> {
    let ended = push(tree, &["--quiet", "origin", "HEAD:test"])?;
    if ended.status.success() {
        return Ok(true);
    }
    let by_race = lost_a_race(&ended) || ended.stderr.contains("error: 503");
    anyhow::ensure!(by_race, "{}", ended.stderr);
    Ok(false)
}

/// Pushes over whatever others push meanwhile, until it is in.
fn push_until_in(tree: &WorkTree) -> anyhow::Result<()> {
    for _ in 0..1000 {
        if push_once(tree)? {
            return Ok(());
        }
        tree.run(&["pull", "--quiet", "--rebase", "origin", "test"])?;
    }
    anyhow::bail!("it never got in")
}

/// A clone of the first clone, which pushes to where that one does.
fn another(stage: &Stage, name: &str) -> anyhow::Result<WorkTree> {
    let first = stage.scratch().join("clone").display().to_string();
    let tree = WorkTree::clone_of(&first, stage.scratch().join(name), &[])?;
    tree.run(&["remote", "set-url", "origin", &url(stage, TOKEN)])?;
    Ok(tree)
}

/// Works on each in threads of their own; the first error, if there is one.
fn all_at_once<T: Send>(
    works: Vec<impl FnOnce() -> anyhow::Result<T> + Send>,
) -> anyhow::Result<Vec<T>> {
    thread::scope(|scope| {
        let works: Vec<_> = works.into_iter().map(|work| scope.spawn(work)).collect();
        let join = |work: thread::ScopedJoinHandle<'_, anyhow::Result<T>>| {
            work.join().map_err(|_| anyhow::anyhow!("a panic"))?
        };
        works.into_iter().map(join).collect()
    })
}

#[test]
fn sixty_four_pushes_at_once_are_all_in_in_the_end() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    clone(&stage, "clone")?;
    let trees = (0..PUSHES)
        .map(|number| {
            let tree = another(&stage, &format!("clone-{number}"))?;
            commit(&tree, number)?;
            Ok(tree)
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let got_in = all_at_once(trees.iter().map(|tree| || push_once(tree)).collect())?;
    assert!(got_in.contains(&true), "nobody was first");
    // Those that lost go on, some at a time: all together would mostly wait for each other.
    let losers: Vec<&WorkTree> =
        trees.iter().zip(&got_in).filter(|(_, got_in)| !**got_in).map(|(tree, _)| tree).collect();
    let works = losers.chunks(losers.len().div_ceil(3).max(1)).map(|some| {
        move || {
            some.iter().try_for_each(|tree| {
                tree.run(&["pull", "--quiet", "--rebase", "origin", "test"])?;
                push_until_in(tree)
            })
        }
    });
    all_at_once(works.collect())?;
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
    stage.serves("test", "/anything/r63", 200)?;
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
                (0..EACH).try_for_each(|round| {
                    commit(tree, number * EACH + round)?;
                    push_until_in(tree)
                })
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
                let fine = [200, 201, 409].contains(&synced.status);
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
