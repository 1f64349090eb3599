//! `runtime/<service>.json`: what a group owns about a service. Never promoted.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::certificate::{CertificateChain, chain_pattern};
use super::checks::Checks;
use super::reader::repeated;
use super::reference::GATEWAY_PATTERN;
use super::retry_on::RetryOn;
use super::route::is_header_name;
use super::value::{SecondsOrNone, keyword};
use super::{Presence, Reader, Seconds, Shape, document, or, schema};
use crate::diagnostic::Code;
use crate::host::HostPattern;
use crate::name::{CertificateName, UpstreamName};
use crate::pattern::check_literal;

document! {
    /// The runtime of a service in a group.
    pub struct Runtime {
        /// Whether the service takes requests in this group.
        "enabled" enabled: bool = or(true),
        /// Hosts that the service answers to, exact or `*.example.com`, without port; empty: any.
        "hosts" hosts: Vec<HostPattern> = or(json!([])),
        /// Put before every path of the service; begins with `/` and does not end in one.
        "path_prefix" path_prefix: PathPrefix = or(""),
        /// Whether the prefix is taken off again before forwarding.
        "strip_path_prefix" strip_path_prefix: bool = or(true),
        /// Where requests go, by the name that routes use.
        "upstreams" upstreams: BTreeMap<UpstreamName, Upstream> = or(json!({})),
    }
}

document! {
    /// A set of nodes and how they are spoken to.
    pub struct Upstream {
        /// Where requests go; empty: the service waits, not live.
        "nodes" nodes: Vec<Node> = or(json!([])),
        /// The protocol spoken to the nodes.
        "scheme" scheme: Scheme = or("http"),
        /// Which host name the nodes are told.
        "pass_host" pass_host: PassHost = or("pass"),
        /// The host name that `"pass_host": "rewrite"` tells them.
        "upstream_host" upstream_host: String = or(""),
        /// How a node is chosen.
        "balancer" balancer: Balancer = or(json!({})),
        /// Further tries after the first; absent: one for each other node.
        "retries" retries: Option<u32> = Presence::Absent,
        /// What makes another try.
        "retry_on" retry_on: Vec<RetryOn> = or(json!(["connect"])),
        /// Time for all tries together, in seconds; 0: no limit.
        "retry_timeout" retry_timeout: SecondsOrNone = or(0),
        /// Times of one try, in seconds.
        "timeout" timeout: Timeout = or(json!({})),
        /// Idle connections to the nodes.
        "keepalive" keepalive: Keepalive = or(json!({})),
        /// TLS to the nodes.
        "tls" tls: UpstreamTls = or(json!({})),
        /// How many requests may be in flight at once; 0: any number. More are answered 503.
        "max_in_flight" max_in_flight: u32 = or(0),
        /// Health checks.
        "checks" checks: Checks = or(json!({})),
    }
    check host_told(pass_host, upstream_host);
}

document! {
    /// One place where requests go.
    pub struct Node {
        /// A host name or IP address, or a reference for the gateway to resolve.
        "host" host: NodeHost = Presence::Required,
        /// The port, from 1 to 65535.
        "port" port: u16 = Presence::Required,
        /// The node's share among its tier; 0: drained.
        "weight" weight: u32 = or(100),
        /// The node's tier; a lower one is used only when no node of the higher ones can be.
        "priority" priority: i32 = or(0),
    }
    check_list no_node_twice;
}

keyword! {
    /// The protocol spoken to nodes.
    pub enum Scheme {
        /// HTTP/1.1.
        Http = "http",
        /// HTTP over TLS; HTTP/2 when the node offers it.
        Https = "https",
        /// HTTP/2 without TLS.
        H2c = "h2c",
        /// gRPC: HTTP/2 without TLS.
        Grpc = "grpc",
        /// gRPC over TLS.
        Grpcs = "grpcs",
    }
    not_served "stream services and their schemes": "tcp", "tls", "udp";
}

impl Scheme {
    /// The port that a host name without one means.
    #[must_use]
    pub fn default_port(self) -> u16 {
        if self.is_tls() { 443 } else { 80 }
    }

    /// Whether the nodes are spoken to over TLS.
    #[must_use]
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Grpcs)
    }
}

keyword! {
    /// Which host name the nodes are told.
    pub enum PassHost {
        /// The client's.
        Pass = "pass",
        /// The node's, with the port when it is not the scheme's default.
        Node = "node",
        /// `upstream_host`.
        Rewrite = "rewrite",
    }
}

document! {
    /// How a node is chosen among those of the tier.
    pub struct Balancer {
        /// The method of choosing a node.
        "type" r#type: BalancerType = or("roundrobin"),
        /// What a consistent hash is taken of.
        "hash_on" hash_on: Option<HashOn> = Presence::Absent,
        /// The name of the header, cookie or query parameter to hash.
        "key" key: Option<String> = Presence::Absent,
    }
    check only_hashes_hash(r#type);
    check hash_key(r#type, hash_on, key);
}

keyword! {
    /// A method of choosing a node.
    pub enum BalancerType {
        /// Smooth weighted round robin.
        Roundrobin = "roundrobin",
        /// Consistent hash.
        Chash = "chash",
        /// The node with the fewest requests in flight for its weight.
        LeastConn = "least_conn",
        /// The node with the lowest moving average of latency.
        Ewma = "ewma",
        /// The less loaded of two nodes taken by chance.
        P2c = "p2c",
    }
}

keyword! {
    /// What a consistent hash is taken of.
    pub enum HashOn {
        /// The header that `key` names.
        Header = "header",
        /// The cookie that `key` names.
        Cookie = "cookie",
        /// The query parameter that `key` names.
        Query = "query",
        /// The client's address.
        RemoteAddr = "remote_addr",
        /// The consumer. This version knows none of a request, so that it goes by the client's address.
        Consumer = "consumer",
        /// The path and query.
        Uri = "uri",
    }
}

document! {
    /// Times of one try.
    pub struct Timeout {
        /// For connecting, in seconds.
        "connect" connect: Seconds = or(6),
        /// Between two writes, in seconds.
        "send" send: Seconds = or(60),
        /// Between two reads, in seconds.
        "read" read: Seconds = or(60),
    }
}

document! {
    /// Idle connections to the nodes of an upstream.
    pub struct Keepalive {
        /// How many are kept for each node; 0: none.
        "size" size: u32 = or(320),
        /// How long one is kept, in seconds.
        "idle_timeout" idle_timeout: Seconds = or(60),
        /// How many requests one may carry, in HTTP/1.1; 0: any number.
        "requests" requests: u32 = or(1000),
    }
}

document! {
    /// TLS to the nodes of an upstream.
    pub struct UpstreamTls {
        /// Whether the node's certificate must be valid for its name.
        "verify" verify: bool = or(true),
        /// The authorities to trust in the place of the system's: PEM certificates, or a reference to
        /// them; empty: the system's.
        "ca" ca: Authorities = or(""),
        /// Name of the group's certificate to show to the node; empty: none is shown.
        "client_certificate" client_certificate: String = or(""),
    }
    check shown(client_certificate);
}

/// Certificates of authorities, or none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authorities(Option<CertificateChain>);

impl Authorities {
    /// The certificates, when there are any.
    #[must_use]
    pub fn chain(&self) -> Option<&CertificateChain> {
        self.0.as_ref()
    }
}

impl Shape for Authorities {
    fn read(json: &Value, at: &mut Reader<'_>) -> Option<Self> {
        match json.as_str() {
            Some("") => Some(Self(None)),
            _ => CertificateChain::read(json, at).map(|chain| Self(Some(chain))),
        }
    }

    fn schema() -> Value {
        schema::text(&format!("^$|{}", chain_pattern()))
    }
}

/// Where a node is: a host name, an IP address, or a `$env://` or `$file://` reference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeHost(String);

impl NodeHost {
    /// The host as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Shape for NodeHost {
    fn read(json: &Value, at: &mut Reader<'_>) -> Option<Self> {
        let text = at.text(json)?;
        let reference = super::reference::is_gateway_reference(text);
        if reference || text.parse::<IpAddr>().is_ok() || crate::host::is_host_name(text) {
            return Some(Self(text.to_owned()));
        }
        at.error_with_hint(
            Code::BadHost,
            format!("{text:?} is not a host name or IP address"),
            "write the port in \"port\" and no scheme: \"httpbin.org\", \"10.0.0.7\", \"::1\"",
        );
        None
    }

    fn schema() -> Value {
        schema::text(&format!("^[A-Za-z0-9_.:-]+$|{GATEWAY_PATTERN}"))
    }
}

/// What stands before every path of a service: empty, or a normal path that does not end in `/`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathPrefix(String);

impl PathPrefix {
    /// The prefix as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Shape for PathPrefix {
    fn read(json: &Value, at: &mut Reader<'_>) -> Option<Self> {
        let text = at.text(json)?;
        if text.len() > crate::limits::PATH_PREFIX_BYTES {
            let most = crate::limits::PATH_PREFIX_BYTES;
            at.error(Code::BadPath, format!("the path prefix is longer than {most} bytes"));
            return None;
        }
        let checked = if text.is_empty() {
            Ok(())
        } else if text.ends_with('/') {
            Err("it ends in '/'".to_owned())
        } else if text.contains(['*', '{', '}']) {
            Err("it is literal: no '*', no '{' and no '}'".to_owned())
        } else {
            check_literal(text)
        };
        if let Err(reason) = checked {
            let message = format!("{text:?} is not a path prefix: {reason}");
            let hint = "write it as requests have it in their paths, such as /api";
            at.error_with_hint(Code::BadPath, message, hint);
            return None;
        }
        at.takes_path(text).then(|| Self(text.to_owned()))
    }

    fn schema() -> Value {
        schema::text(r##"^(/[!"$-)+->@-\[\]-z|~]*[!"$-)+-.0->@-\[\]-z|~])?$"##)
    }
}

impl Runtime {
    /// The runtime of a service whose group has said nothing about it.
    #[must_use]
    pub fn empty() -> Self {
        let mut findings = Vec::new();
        Self::read(&json!({}), &mut Reader::new("runtime", &mut findings))
            .expect("every key of a runtime has a default")
    }
}

fn no_node_twice(nodes: &[Option<Node>], at: &mut Reader<'_>) {
    let address = |node: &Node| format!("{} {}", node.host.as_str(), node.port).into();
    repeated(nodes.iter().map(|node| node.as_ref().map(address)), at);
}

/// The host that nodes are told is given where it is used, and nowhere else.
fn host_told(
    _: &Map<String, Value>,
    pass_host: &PassHost,
    upstream_host: &str,
    at: &mut Reader<'_>,
) {
    let rewrites = *pass_host == PassHost::Rewrite;
    at.below("upstream_host", |at| {
        if rewrites && upstream_host.is_empty() {
            at.error(Code::BadValue, "\"pass_host\": \"rewrite\" needs an upstream_host");
        } else if !rewrites && !upstream_host.is_empty() {
            let message = "upstream_host is used only with \"pass_host\": \"rewrite\"";
            at.error(Code::BadValue, message);
        } else if rewrites && !is_host_and_port(upstream_host) {
            at.error(Code::BadHost, format!("{upstream_host:?} is not a host name"));
        }
    });
}

fn shown(_: &Map<String, Value>, client_certificate: &str, at: &mut Reader<'_>) {
    if client_certificate.is_empty() {
        return;
    }
    if let Err(error) = client_certificate.parse::<CertificateName>() {
        at.below("client_certificate", |at| at.error(Code::BadName, error.to_string()));
    }
}

impl UpstreamTls {
    /// The certificate of the group that is shown to the node.
    #[must_use]
    pub fn client_certificate(&self) -> Option<CertificateName> {
        // What is no name was a finding.
        self.client_certificate.parse().ok()
    }
}

impl Runtime {
    /// The certificates of the group that are shown to nodes, with the upstreams that name them.
    pub fn client_certificates(&self) -> impl Iterator<Item = (&UpstreamName, CertificateName)> {
        let named = |(upstream, settings): (_, &Upstream)| {
            settings.tls.client_certificate().map(|certificate| (upstream, certificate))
        };
        self.upstreams.iter().filter_map(named)
    }
}

/// What only a consistent hash uses stands with it alone.
fn only_hashes_hash(object: &Map<String, Value>, r#type: &BalancerType, at: &mut Reader<'_>) {
    let told = ["hash_on", "key"].iter().any(|key| object.contains_key(*key));
    if *r#type != BalancerType::Chash && told {
        at.error(Code::BadValue, "hash_on and key are used only with \"type\": \"chash\"");
    }
}

/// A consistent hash needs what it is taken of.
fn hash_key(
    _: &Map<String, Value>,
    r#type: &BalancerType,
    hash_on: &Option<HashOn>,
    key: &Option<String>,
    at: &mut Reader<'_>,
) {
    if *r#type != BalancerType::Chash {
        return;
    }
    let key = key.as_deref().unwrap_or_default();
    let refused = match hash_on {
        None => {
            at.error_with_hint(
                Code::MissingKey,
                "a consistent hash needs hash_on",
                "one of header, cookie, query, remote_addr, consumer, uri",
            );
            return;
        }
        Some(HashOn::Header | HashOn::Cookie | HashOn::Query) if key.is_empty() => {
            Some((Code::BadValue, "hash_on needs a key".to_owned()))
        }
        Some(HashOn::Header) if !is_header_name(key) => {
            Some((Code::BadName, format!("{key:?} is not a header name")))
        }
        Some(HashOn::Cookie) if !is_cookie_name(key) => {
            Some((Code::BadName, format!("{key:?} is not a cookie name")))
        }
        // Every text can be the name of a query parameter, escaped.
        Some(HashOn::Header | HashOn::Cookie | HashOn::Query) => None,
        Some(HashOn::RemoteAddr | HashOn::Consumer | HashOn::Uri) if !key.is_empty() => {
            Some((Code::BadValue, "hash_on takes no key".to_owned()))
        }
        Some(HashOn::RemoteAddr | HashOn::Consumer | HashOn::Uri) => None,
    };
    if let Some((code, message)) = refused {
        at.below("key", |at| at.error(code, message));
    }
}

/// Whether a cookie that is sent can have this name: browsers take more than RFC 6265 has servers
/// send.
fn is_cookie_name(text: &str) -> bool {
    text.trim() == text && !text.contains(['=', ';']) && !text.chars().any(char::is_control)
}

pub(super) fn is_host_and_port(text: &str) -> bool {
    if super::reference::is_gateway_reference(text) {
        return true;
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') && !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host_is_fine = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => crate::host::is_host_name(host),
    };
    host_is_fine && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}
