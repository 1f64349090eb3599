//! From the document of an upstream to the form that requests use.
//!
//! What is known about nodes is taken over from the snapshot before, by host and port, and so are
//! their checks; turns of round robin are, as long as the nodes are the same.

mod checks;
mod tls;

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use refgate_core::diagnostic::{Code, Diagnostic};
use refgate_core::document::{self, BalancerType, Scheme};
use smallvec::SmallVec;

use self::tls::server_name;
use super::address::resolver::Resolver;
use super::balancer::{Balancer, HashOn, Turns};
use super::checks::Registry;
use super::keepalive::Keepalive;
use super::node::{Node, NodeKey, NodeState};
use super::peer::{Connections, H2_STREAMS};
use super::retry::RetryPolicy;
use super::{PassHost, Tiers, Times, Upstream};
use crate::certificate::Certificates;
use crate::reference;

/// Compiles one upstream; findings are about `file`.
pub(crate) struct Compiler<'c> {
    pub(crate) file: &'c str,
    /// The upstream's name with its service: what findings and checks are about.
    pub(crate) owner: &'c str,
    /// The same upstream in the snapshot before.
    pub(crate) previous: Option<&'c Upstream>,
    /// Where nodes are checked; nothing when they need not be, because no request comes here.
    pub(crate) checks: Option<&'c Registry>,
    /// The certificates that nodes can be shown.
    pub(crate) certificates: &'c Certificates,
    /// Who is asked for names of nodes.
    pub(crate) resolver: &'c Arc<Resolver>,
}

impl Compiler<'_> {
    /// The compiled form, or nothing after at least one finding.
    pub(crate) fn upstream(
        &self,
        document: &document::Upstream,
        findings: &mut Vec<Diagnostic>,
    ) -> Option<Upstream> {
        let host = self.pass_host(document, findings);
        let connections = self.connections(document, findings);
        let (host, connections) = (host?, connections?);
        let nodes: Vec<Option<Node>> = document
            .nodes
            .iter()
            .enumerate()
            .map(|(index, node)| self.node(index, node, &host, &connections, findings))
            .collect();
        let known = findings.len();
        let common = self.common(document, &host, &connections, findings);
        if findings.len() > known {
            return None;
        }
        let mut nodes: Vec<Node> = nodes.into_iter().collect::<Option<_>>()?;
        if let Some(common) = common {
            for node in &mut nodes {
                node.check = self.check(node, &common);
            }
        }
        let tiers = tiers(&nodes);
        let others = tiers.iter().map(SmallVec::len).sum::<usize>().saturating_sub(1);
        let retries = document.retries.unwrap_or(u32::try_from(others).unwrap_or(u32::MAX));
        let within = document.retry_timeout.0.map(document::Seconds::duration);
        let times = &document.timeout;
        Some(Upstream {
            balancer: self.balancer(&document.balancer, &nodes, findings)?,
            retry: RetryPolicy::new(retries, within, &document.retry_on),
            times: Times {
                connect: times.connect.duration(),
                send: times.send.duration(),
                read: times.read.duration(),
            },
            http2: connections.only_http2(),
            plain: connections.scheme == Scheme::Http,
            keepalive: keepalive(&document.keepalive, &connections),
            health: self.policy(&document.checks).map(Box::new),
            limit: document.max_in_flight,
            load: self.previous.map_or_else(Arc::default, |before| Arc::clone(&before.load)),
            shown: document.tls.client_certificate().zip(connections.shown).map(Box::new),
            host,
            tiers,
            nodes,
        })
    }

    fn pass_host(
        &self,
        document: &document::Upstream,
        findings: &mut Vec<Diagnostic>,
    ) -> Option<PassHost> {
        match document.pass_host {
            document::PassHost::Pass => Some(PassHost::Client),
            document::PassHost::Node => Some(PassHost::Node),
            document::PassHost::Rewrite => {
                let text = self.resolve("upstream_host", &document.upstream_host, findings)?;
                match HeaderValue::from_str(&text) {
                    Ok(host) if !host.is_empty() => Some(PassHost::Fixed(host)),
                    _ => {
                        let message =
                            format!("what {} stands for is no host name", document.upstream_host);
                        self.report("upstream_host", Code::BadHost, message, findings);
                        None
                    }
                }
            }
        }
    }

    fn node(
        &self,
        index: usize,
        document: &document::Node,
        pass_host: &PassHost,
        connections: &Connections,
        findings: &mut Vec<Diagnostic>,
    ) -> Option<Node> {
        let pointer = format!("nodes/{index}/host");
        let host = self.resolve(&pointer, document.host.as_str(), findings)?;
        if host.parse::<IpAddr>().is_err() && !refgate_core::host::is_host_name(&host) {
            let written = document.host.as_str();
            let message = format!("what {written} stands for is no host name or IP address");
            self.report(&pointer, Code::BadHost, message, findings);
            return None;
        }
        let key = NodeKey { host: host.into_owned(), port: document.port };
        let known =
            self.previous.and_then(|before| before.nodes.iter().find(|node| node.key == key));
        let state = match known {
            Some(node) => Arc::clone(&node.state),
            None => Arc::new(NodeState::new(&key, self.resolver)),
        };
        Some(Node {
            weight: document.weight,
            priority: document.priority,
            host: HeaderValue::from_str(&host_header(&key, connections.scheme)).ok()?,
            peer: connections.peer(&server_name(&key, pass_host), &key.host),
            check: None,
            state,
            key,
        })
    }

    fn balancer(
        &self,
        document: &document::Balancer,
        nodes: &[Node],
        findings: &mut Vec<Diagnostic>,
    ) -> Option<Balancer> {
        Some(match document.r#type {
            BalancerType::Roundrobin => Balancer::RoundRobin(self.turns(nodes)),
            BalancerType::LeastConn => Balancer::LeastConnections(Default::default()),
            BalancerType::Ewma => Balancer::Ewma(Default::default()),
            BalancerType::P2c => Balancer::PowerOfTwo(Default::default()),
            BalancerType::Chash => {
                let key = || document.key.clone().unwrap_or_default();
                let on = match document.hash_on {
                    Some(document::HashOn::Header) => match key().parse::<HeaderName>() {
                        Ok(name) => HashOn::Header(name),
                        Err(_) => {
                            let message = format!("{:?} is not a header name", key());
                            self.report("balancer/key", Code::BadName, message, findings);
                            return None;
                        }
                    },
                    Some(document::HashOn::Cookie) => HashOn::Cookie(key()),
                    Some(document::HashOn::Query) => HashOn::Query(key()),
                    Some(document::HashOn::RemoteAddr) => HashOn::RemoteAddr,
                    Some(document::HashOn::Uri) => HashOn::Uri,
                    Some(document::HashOn::Consumer) => HashOn::Consumer,
                    None => {
                        let message = "a consistent hash needs hash_on";
                        self.report("balancer", Code::MissingKey, message, findings);
                        return None;
                    }
                };
                Balancer::ConsistentHash(on)
            }
        })
    }

    fn turns(&self, nodes: &[Node]) -> Arc<Turns> {
        let identity = |node: &Node| (node.key.clone(), node.weight, node.priority);
        if let Some(before) = self.previous
            && let Balancer::RoundRobin(turns) = &before.balancer
            && before.nodes.iter().map(identity).eq(nodes.iter().map(identity))
        {
            return Arc::clone(turns);
        }
        Arc::new(Turns::new(nodes.len()))
    }

    fn resolve<'t>(
        &self,
        pointer: &str,
        text: &'t str,
        findings: &mut Vec<Diagnostic>,
    ) -> Option<std::borrow::Cow<'t, str>> {
        reference::resolve(text)
            .map_err(|error| self.report(pointer, Code::BadValue, error.to_string(), findings))
            .ok()
    }

    fn report(
        &self,
        pointer: &str,
        code: Code,
        message: impl Into<String>,
        findings: &mut Vec<Diagnostic>,
    ) {
        let name = self.owner.rsplit('/').next().unwrap_or(self.owner);
        let pointer = format!("/upstreams/{name}/{pointer}");
        findings.push(Diagnostic::error(self.file, pointer, code, message));
    }
}

/// The requests that the connections which stay open can have carried at once.
fn keepalive(document: &document::Keepalive, connections: &Connections) -> Keepalive {
    let streams = if connections.only_http2() { u32::from(H2_STREAMS) } else { 1 };
    Keepalive { in_flight: document.size.saturating_mul(streams), requests: document.requests }
}

/// Positions of nodes that are not drained, by priority, the highest first.
fn tiers(nodes: &[Node]) -> Tiers {
    let mut priorities: Vec<i32> =
        nodes.iter().filter(|node| node.weight > 0).map(|node| node.priority).collect();
    priorities.sort_unstable_by(|a, b| b.cmp(a));
    priorities.dedup();
    let tier = |priority: i32| {
        let in_tier = |(index, node): (usize, &Node)| {
            (node.weight > 0 && node.priority == priority).then_some(index)
        };
        nodes.iter().enumerate().filter_map(in_tier).collect()
    };
    priorities.into_iter().map(tier).collect()
}

/// A node's host, with the port when it is not the scheme's default.
fn host_header(key: &NodeKey, scheme: Scheme) -> String {
    let host = if key.host.contains(':') { format!("[{}]", key.host) } else { key.host.clone() };
    if key.port == scheme.default_port() { host } else { format!("{host}:{}", key.port) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::upstream::tests::from_json;

    #[test]
    fn hosts_that_nodes_are_told() {
        let table = [
            ("httpbin.org", 80, Scheme::Http, "httpbin.org"),
            ("httpbin.org", 8080, Scheme::Http, "httpbin.org:8080"),
            ("httpbin.org", 443, Scheme::Https, "httpbin.org"),
            ("httpbin.org", 80, Scheme::Https, "httpbin.org:80"),
            ("httpbin.org", 443, Scheme::Grpcs, "httpbin.org"),
            ("10.0.0.7", 80, Scheme::H2c, "10.0.0.7"),
            ("::1", 80, Scheme::Http, "[::1]"),
            ("::1", 81, Scheme::Http, "[::1]:81"),
        ];
        for (host, port, scheme, told) in table {
            let key = NodeKey { host: host.to_owned(), port };
            assert_eq!(host_header(&key, scheme), told);
        }
    }

    #[test]
    fn tiers_are_by_priority_without_the_drained() {
        let node = |port: u16, weight: u32, priority: i32| json!({"host": "127.0.0.1", "port": port, "weight": weight, "priority": priority});
        let nodes = json!([node(1, 1, 0), node(2, 1, 5), node(3, 0, 5), node(4, 1, 0)]);
        let upstream = from_json(&json!({ "nodes": nodes }));
        let tiers: Vec<Vec<usize>> = upstream.tiers.iter().map(|tier| tier.to_vec()).collect();
        assert_eq!(tiers, [vec![1], vec![0, 3]]);
        assert_eq!(upstream.retry.retries, 2);
    }

    #[test]
    fn what_is_known_is_taken_over() {
        let document = |weight: u32, read: u32| {
            let node = |port: u16| json!({"host": "127.0.0.1", "port": port, "weight": weight});
            json!({"nodes": [node(1), node(2)], "timeout": {"read": read}})
        };
        let compile = |document: serde_json::Value, previous: &Upstream| {
            use document::{Reader, Shape};
            let mut findings = Vec::new();
            let read = document::Upstream::read(&document, &mut Reader::new("", &mut findings));
            let owner = "test/default";
            Compiler {
                file: "",
                owner,
                previous: Some(previous),
                checks: None,
                certificates: &Certificates::default(),
                resolver: &Arc::default(),
            }
            .upstream(&read.expect("a sound document"), &mut findings)
            .expect("it compiles")
        };
        let turns = |upstream: &Upstream| match &upstream.balancer {
            Balancer::RoundRobin(turns) => Arc::clone(turns),
            other => panic!("{other:?}"),
        };
        let first = from_json(&document(100, 60));
        let second = compile(document(100, 30), &first);
        let third = compile(document(50, 30), &second);
        assert!(Arc::ptr_eq(&turns(&first), &turns(&second)));
        assert!(!Arc::ptr_eq(&turns(&second), &turns(&third)));
        for (before, after) in first.nodes.iter().zip(&third.nodes) {
            assert!(Arc::ptr_eq(&before.state, &after.state));
            assert!(before.peer.shares_with(&after.peer));
        }
    }

    #[test]
    fn what_the_gateway_lacks_is_a_finding() {
        use document::{Reader, Shape};
        let compile = |json: serde_json::Value| {
            let mut findings = Vec::new();
            let read = document::Upstream::read(&json, &mut Reader::new("", &mut findings));
            let owner = "shop/default";
            let compiled = Compiler {
                file: "runtime/shop.json",
                owner,
                previous: None,
                checks: None,
                certificates: &Certificates::default(),
                resolver: &Arc::default(),
            }
            .upstream(&read.expect("a sound document"), &mut findings);
            assert!(compiled.is_none());
            let secret = std::env::var("PWD").expect("a shell's variable");
            for finding in &findings {
                assert!(!finding.message.contains(&secret), "{finding}");
            }
            findings.into_iter().map(|finding| finding.pointer).collect::<Vec<_>>()
        };
        let host = "$env://REFGATE_TEST_NOT_SET";
        let nodes = json!([{"host": host, "port": 80}, {"host": "$env://PWD", "port": 80}]);
        let found = compile(json!({ "nodes": nodes }));
        assert_eq!(found, ["/upstreams/default/nodes/0/host", "/upstreams/default/nodes/1/host"]);
        let found = compile(json!({"tls": {"ca": "$file:///nowhere"}}));
        assert_eq!(found, ["/upstreams/default/tls/ca"]);
        let found = compile(json!({"tls": {"ca": "$env://PWD"}}));
        assert_eq!(found, ["/upstreams/default/tls/ca"]);
        let empty = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        assert_eq!(compile(json!({"tls": {"ca": empty}})), ["/upstreams/default/tls/ca"]);
    }
}
