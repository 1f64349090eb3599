//! A repository, a gateway that follows it, and what tests wait for.

use std::sync::Arc;
use std::time::Duration;

use refgate_proxy::{Gateway, GatewayOptions, GatewayStatus, Limits, start};
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::origin::Origin;
use crate::repository::Config;

/// Far beyond what anything here should take.
const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) gateway: Gateway,
}

pub(crate) fn options(config: &Config) -> GatewayOptions {
    GatewayOptions {
        group: "test".parse().unwrap(),
        source: config.path().into(),
        listen: "127.0.0.1:0".parse().unwrap(),
        h2c: false,
        tls_listen: None,
        status_listen: Some("127.0.0.1:0".parse().unwrap()),
        instance: "test-1".to_owned(),
        drain_timeout: DEADLINE,
        limits: Limits::default(),
        nameservers: Vec::new(),
        access_log: None,
    }
}

impl World {
    /// A gateway over a group with these files.
    pub(crate) fn new(files: &[(&str, Option<Value>)]) -> Self {
        let config = Config::new();
        config.commit("test", files);
        Self::over(config)
    }

    pub(crate) fn over(config: Config) -> Self {
        Self::over_with(config, |_| {})
    }

    /// A gateway with other options than the usual ones.
    pub(crate) fn over_with(config: Config, change: impl FnOnce(&mut GatewayOptions)) -> Self {
        let mut options = options(&config);
        change(&mut options);
        let gateway = start(options).unwrap();
        Self { config, gateway }
    }

    /// A gateway with one service on all hosts and paths, whose upstream is `upstream`.
    pub(crate) fn with_upstream(upstream: Value) -> Self {
        Self::new(&service("shop", json!({"paths": ["/*"]}), runtime(upstream)))
    }

    /// The same with one origin.
    pub(crate) fn with_origin(origin: &Origin) -> Self {
        Self::with_upstream(json!({"nodes": [origin.node()]}))
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.gateway.address())
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        self.client().ask("GET", "a.com", target)
    }

    pub(crate) fn status_of(&self, path: &str) -> Answer {
        Client::connect(self.gateway.status_address().unwrap()).ask("GET", "status", path)
    }

    /// Commits, and waits until the gateway says that it serves the commit.
    pub(crate) fn apply(&self, files: &[(&str, Option<Value>)]) -> Arc<GatewayStatus> {
        let commit = self.config.commit("test", files);
        self.serves(&commit)
    }

    pub(crate) fn serves(&self, commit: &str) -> Arc<GatewayStatus> {
        self.wait(|status| status.commit.is_some_and(|own| own.to_string() == *commit))
    }

    /// Waits until the gateway's status is as wanted.
    pub(crate) fn wait(&self, wanted: impl Fn(&GatewayStatus) -> bool) -> Arc<GatewayStatus> {
        wait(&self.gateway, wanted)
    }
}

pub(crate) fn wait(
    gateway: &Gateway,
    wanted: impl Fn(&GatewayStatus) -> bool,
) -> Arc<GatewayStatus> {
    let mut status = gateway.subscribe();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let found = tokio::time::timeout(DEADLINE, status.wait_for(|status| wanted(status))).await;
        let found = found.map(|found| Arc::clone(&found.unwrap()));
        found.unwrap_or_else(|_| panic!("still {:?}", gateway.subscribe().borrow()))
    })
}

/// The files of a service with one route.
pub(crate) fn service(
    name: &str,
    route: Value,
    runtime: Value,
) -> Vec<(&'static str, Option<Value>)> {
    // Paths live as long as the test program does.
    let path = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    vec![
        (path(format!("services/{name}/service.json")), Some(json!({}))),
        (path(format!("services/{name}/routes/main.json")), Some(route)),
        (path(format!("runtime/{name}.json")), Some(runtime)),
    ]
}

pub(crate) fn runtime(upstream: Value) -> Value {
    json!({"upstreams": {"default": upstream}})
}

/// Asks until the answer is as wanted.
pub(crate) fn ask_until(
    mut ask: impl FnMut() -> Answer,
    wanted: impl Fn(&Answer) -> bool,
) -> Answer {
    let end = std::time::Instant::now() + DEADLINE;
    loop {
        let answer = ask();
        if wanted(&answer) {
            return answer;
        }
        assert!(std::time::Instant::now() < end, "still {answer:?}");
        std::thread::yield_now();
    }
}
