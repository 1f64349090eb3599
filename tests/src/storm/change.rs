//! What is changed, what each state of it looks like in the repository, and which answers it admits.
//!
//! Every property is a service of its own with a host of its own, so that each kind of change is
//! told from the others; states are counted up from 0 and never come back by themselves.

use serde_json::{Map, Value, json};

use super::certificate::Certificates;
use super::client::Answer;
use super::origin::{HEALTH, Origin};

/// Something that commits change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Property {
    /// Which upstream a route names.
    Upstream,
    /// Which path a route has, before another one that takes all of them.
    Path,
    /// Whether there is a route.
    Route,
    /// Which nodes an upstream has.
    Nodes,
    /// Which nodes of an upstream are drained.
    Weights,
    /// Which of three services has a host.
    Host,
    /// Which certificate is shown for a name, or none but the default one.
    Certificate,
    /// What does not matter about a service that has a node which is out.
    Checked,
}

/// Origins that properties share; which one answers tells their states apart.
const SHARED: usize = 3;
/// Paths that the route of [`Property::Path`] goes round.
const PATHS: usize = 8;
/// The name that clients of TLS ask for.
pub(crate) const SNI: &str = "tls.storm.test";
/// The host of a service that nobody changes.
pub(crate) const UNTOUCHED: &str = "untouched.storm.test";
/// The name of the origin that is out.
const SICK: &str = "sick";

impl Property {
    /// All of them.
    pub(crate) const ALL: [Self; 8] = [
        Self::Upstream,
        Self::Path,
        Self::Route,
        Self::Nodes,
        Self::Weights,
        Self::Host,
        Self::Certificate,
        Self::Checked,
    ];

    /// Those that an answer tells the state of.
    pub(crate) const ROUTED: [Self; 7] = [
        Self::Upstream,
        Self::Path,
        Self::Route,
        Self::Nodes,
        Self::Weights,
        Self::Host,
        Self::Checked,
    ];

    /// The host to ask.
    pub(crate) fn host(self) -> &'static str {
        match self {
            Self::Upstream => "upstream.storm.test",
            Self::Path => "path.storm.test",
            Self::Route => "route.storm.test",
            Self::Nodes => "nodes.storm.test",
            Self::Weights => "weights.storm.test",
            Self::Host => "moving.host.storm.test",
            Self::Certificate => SNI,
            Self::Checked => "checked.storm.test",
        }
    }

    /// The path to ask for, when this is the newest state; every other time the one before it.
    pub(crate) fn path(self, newest: usize, turn: usize) -> String {
        match self {
            Self::Path => format!("/at/{}", (newest + PATHS - turn % 2) % PATHS),
            _ => format!("/turn/{turn}"),
        }
    }

    /// Whether a state explains the answer to a request for this path.
    pub(crate) fn explains(self, state: usize, path: &str, answer: &Answer) -> bool {
        let origin = answer.origin.as_str();
        let by = |number: usize| answer.status == 200 && origin == shared(number);
        match self {
            Self::Upstream => by(state % SHARED),
            Self::Path => by(usize::from(path != format!("/at/{}", state % PATHS))),
            Self::Route if state % 2 == 1 => answer.status == 404 && origin.is_empty(),
            Self::Route => by(0),
            Self::Nodes => nodes(state).into_iter().any(by),
            Self::Weights => (0..SHARED).any(|number| number != state % SHARED && by(number)),
            Self::Host => by(state % SHARED),
            Self::Certificate => answer.status == 200 && origin == "untouched",
            Self::Checked => answer.status == 200 && origin == "well",
        }
    }
}

fn shared(number: usize) -> &'static str {
    ["zero", "one", "two"][number % SHARED]
}

/// One alone, another one alone, both, and one of them with a third.
fn nodes(state: usize) -> Vec<usize> {
    match state % 4 {
        0 => vec![0],
        1 => vec![1],
        2 => vec![0, 1],
        _ => vec![1, 2],
    }
}

/// What stands behind the gateways.
pub(crate) struct Behind {
    shared: Vec<Origin>,
    /// Of the service that nobody changes.
    pub(crate) untouched: Origin,
    /// Of the service that has a node which is out: the other one.
    pub(crate) well: Origin,
    /// A node that fails its health checks and would answer requests well.
    pub(crate) sick: Origin,
    /// What clients of TLS are shown.
    pub(crate) certificates: Certificates,
}

impl Behind {
    /// Starts the origins and signs the certificates, with keys in this directory.
    pub(crate) fn start(directory: &std::path::Path) -> anyhow::Result<Self> {
        let of = (0..SHARED).map(|number| Origin::start(shared(number), true));
        Ok(Self {
            shared: of.collect::<anyhow::Result<_>>()?,
            untouched: Origin::start("untouched", true)?,
            well: Origin::start("well", true)?,
            sick: Origin::start(SICK, false)?,
            certificates: Certificates::sign(SNI, directory)?,
        })
    }

    /// The files of every property in state 0, and of what does not change.
    pub(crate) fn files(&self) -> Map<String, Value> {
        let mut files = Map::new();
        for property in Property::ALL {
            files.extend(self.changed(property, 0));
        }
        let all = json!({"paths": ["/*"]});
        for service in
            ["nodes", "weights", "checked", "host-zero", "host-one", "host-two", "untouched"]
        {
            files.insert(file_of(service, "all"), all.clone());
            files.insert(format!("services/{service}/service.json"), json!({}));
        }
        let others = json!({"paths": ["/at/*"], "upstream": "one"});
        files.insert(file_of("path", "others"), others);
        let each = self.each();
        for service in ["upstream", "path", "route"] {
            let host = format!("{service}.storm.test");
            files.insert(runtime_of(service), json!({"hosts": [host], "upstreams": each}));
            files.insert(format!("services/{service}/service.json"), json!({}));
        }
        let mut untouched = upstream(vec![self.untouched.node(100)]);
        untouched["keepalive"] = kept();
        let hosts = [UNTOUCHED, SNI];
        let runtime = json!({"hosts": hosts, "upstreams": {"default": untouched}});
        files.insert(runtime_of("untouched"), runtime);
        files.insert("certificates/default.json".to_owned(), self.certificates.standing());
        files
    }

    /// What a commit writes that brings this state; null takes a file away.
    pub(crate) fn changed(&self, property: Property, state: usize) -> Vec<(String, Value)> {
        let by_default = |nodes: Vec<Value>| json!({"default": upstream(nodes)});
        match property {
            Property::Upstream => {
                let route = json!({"paths": ["/*"], "upstream": shared(state)});
                vec![(file_of("upstream", "all"), route)]
            }
            Property::Path => {
                let route =
                    json!({"paths": [format!("/at/{}", state % PATHS)], "upstream": "zero"});
                vec![(file_of("path", "one"), route)]
            }
            Property::Route => {
                let route = json!({"paths": ["/*"], "upstream": "zero", "priority": state / 2});
                let there = state.is_multiple_of(2);
                vec![(file_of("route", "all"), if there { route } else { Value::Null })]
            }
            Property::Nodes => {
                let nodes = nodes(state).into_iter().map(|number| self.shared[number].node(100));
                let upstreams = by_default(nodes.collect());
                let runtime = json!({"hosts": [property.host()], "upstreams": upstreams});
                vec![(runtime_of("nodes"), runtime)]
            }
            Property::Weights => {
                let weight = |number: usize| match (number + SHARED - state % SHARED) % SHARED {
                    0 => 0,
                    distance => distance * 50 + state % 7,
                };
                let node = |(number, origin): (usize, &Origin)| origin.node(weight(number));
                let nodes = self.shared.iter().enumerate().map(node).collect();
                let upstreams = by_default(nodes);
                let runtime = json!({"hosts": [property.host()], "upstreams": upstreams});
                vec![(runtime_of("weights"), runtime)]
            }
            Property::Host => self.host(state),
            Property::Certificate => {
                let document = self.certificates.document(state).unwrap_or(Value::Null);
                vec![("certificates/moving.json".to_owned(), document)]
            }
            Property::Checked => {
                let mut nodes = upstream(vec![self.well.node(100 + state), self.sick.node(100)]);
                // A busy machine answers late; only what the node says counts.
                let unhealthy = json!({"http_failures": 1, "tcp_failures": 0, "timeouts": 0});
                nodes["checks"] = json!({
                    "active": {"http_path": HEALTH, "timeout": 10, "unhealthy": unhealthy},
                    "panic_threshold": 0,
                });
                nodes["keepalive"] = kept();
                nodes["retries"] = json!(state % 2);
                let also = format!("s{state}.checked.storm.test");
                let runtime =
                    json!({"hosts": [property.host(), also], "upstreams": {"default": nodes}});
                vec![(runtime_of("checked"), runtime)]
            }
        }
    }

    /// The host is named by one service, by another one, or by neither: then the third has it,
    /// which takes all names there. One commit moves it from one to the other.
    fn host(&self, state: usize) -> Vec<(String, Value)> {
        let moving = Property::Host.host();
        let service = |number: usize| {
            let hosts = match number {
                2 => json!(["*.host.storm.test"]),
                _ if number == state % SHARED => json!([moving]),
                _ => json!([format!("{}.elsewhere.test", shared(number))]),
            };
            let upstreams = json!({"default": upstream(vec![self.shared[number].node(100)])});
            let runtime = json!({"hosts": hosts, "upstreams": upstreams});
            (runtime_of(&format!("host-{}", shared(number))), runtime)
        };
        (0..SHARED).map(service).collect()
    }

    /// An upstream for each shared origin, by its name.
    fn each(&self) -> Value {
        let each = self.shared.iter().enumerate();
        each.map(|(number, origin)| (shared(number).to_owned(), upstream(vec![origin.node(100)])))
            .collect::<Map<_, _>>()
            .into()
    }
}

/// Connections that nothing but a reload could end.
fn kept() -> Value {
    json!({"requests": 0, "idle_timeout": 3600})
}

fn upstream(nodes: Vec<Value>) -> Value {
    json!({"nodes": nodes})
}

fn file_of(service: &str, route: &str) -> String {
    format!("services/{service}/routes/{route}.json")
}

fn runtime_of(service: &str) -> String {
    format!("runtime/{service}.json")
}
