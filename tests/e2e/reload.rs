//! Reloading under traffic: while commits change routes, no request fails.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use refgate_tests::stage::Stage;
use refgate_tests::wait::wait_for;
use serde_json::json;

const COMMITS: usize = 40;
const CLIENTS: usize = 4;
/// Of each client: an upper bound, should the commits take long.
const REQUESTS: usize = 20_000;

#[test]
fn no_request_fails_while_commits_change_the_routes() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    let stop = AtomicBool::new(false);
    let answered = AtomicUsize::new(0);
    thread::scope(|scope| -> anyhow::Result<()> {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let gateway = stage.refgate.gateway("test", "test.acme.com");
                let (stop, answered) = (&stop, &answered);
                scope.spawn(move || -> anyhow::Result<()> {
                    for _ in 0..REQUESTS {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        gateway.get("/headers")?.expect(200)?;
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(())
                })
            })
            .collect();
        let changed = change(&stage, &answered);
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            match client.join() {
                Ok(requests) => requests?,
                Err(_) => anyhow::bail!("a client panicked"),
            }
        }
        changed
    })
}

/// Every commit changes something else of the service whose route is being asked for.
fn change(stage: &Stage, answered: &AtomicUsize) -> anyhow::Result<()> {
    let service = "/v1/groups/test/services/httpbin";
    for n in 0..COMMITS {
        match n % 4 {
            0 => {
                let route = json!({"paths": [format!("/anything/{n}")]});
                stage.api("PUT", &format!("{service}/routes/new"), &route)?;
                stage.serves("test", &format!("/anything/{n}"), 200)?;
            }
            1 => {
                let route = json!({"priority": n, "description": format!("change {n}")});
                stage
                    .api("PATCH", &format!("{service}/routes/get-headers"), &route)?
                    .expect(200)?;
            }
            2 => {
                let mut runtime = stage.origin.runtime("test.acme.com");
                runtime["upstreams"]["default"]["nodes"][0]["weight"] = n.into();
                stage.api("PUT", &format!("{service}/runtime"), &runtime)?.expect(200)?;
            }
            _ => {
                let path = format!("{service}/routes/new");
                stage.refgate.api.send("DELETE", &path, &[], "")?.expect(200)?;
                stage.serves("test", &format!("/anything/{}", n - 3), 404)?;
            }
        }
        // Traffic between any two commits, so that each one meets some.
        let before = answered.load(Ordering::Relaxed);
        wait_for("requests between two commits", || {
            let now = answered.load(Ordering::Relaxed);
            anyhow::ensure!(now >= before + CLIENTS, "{now} answered");
            Ok(())
        })?;
    }
    Ok(())
}
