//! Requests and answers that try to be taken for something else: smuggled, malformed, ambiguous.
//!
//! One law holds for every request of the tables: nodes get exactly the requests that were routed, each
//! well-formed by the letter ([`strict`]), or nothing; and what follows on the connection is answered
//! as itself or not at all.

mod answers;
mod floods;
mod frames;
mod readers;
mod recorder;
mod requests;
mod streams;
mod strict;

use std::time::Duration;

use serde_json::json;

use self::recorder::Recorder;
use crate::repository::Config;
use crate::world::{World, runtime, service};

/// A gateway with a service on `a.test` and another on `b.test`, each with an origin that records.
struct Pair {
    world: World,
    a: Recorder,
    b: Recorder,
}

impl Pair {
    fn new() -> Self {
        let (a, b) = (Recorder::start("a"), Recorder::start("b"));
        let mut files = Vec::new();
        for (name, origin) in [("a", &a), ("b", &b)] {
            let nodes = json!([crate::origin::node(origin.address)]);
            let mut runtime = runtime(json!({"nodes": nodes, "retries": 0}));
            runtime["hosts"] = json!([format!("{name}.test")]);
            files.extend(service(
                name,
                json!({"paths": ["/*"], "websocket": name == "b"}),
                runtime,
            ));
        }
        let config = Config::new();
        config.commit("test", &files);
        let world = World::over_with(config, |options| {
            options.h2c = true;
            // Some requests wait for what never comes.
            options.limits.header_timeout = SHORT;
            options.limits.transfer_timeout = SHORT;
            options.limits.idle_timeout = SHORT;
        });
        Self { world, a, b }
    }

    /// What came to both origins since the last call, but for requests for `/after`.
    fn take(&self) -> Vec<String> {
        let mut seen = self.a.take();
        seen.extend(self.b.take());
        seen.retain(|told| told != AFTER);
        seen
    }
}

/// How long a gateway waits for a client that says no more.
const SHORT: Duration = Duration::from_secs(3);

/// What the origin says of the sound request that follows.
const AFTER: &str = "a GET /after a.test ";
