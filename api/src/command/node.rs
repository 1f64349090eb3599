//! A node as it is typed: `host:port@weight`.

use std::net::Ipv6Addr;
use std::str::FromStr;

use serde_json::{Value, json};

/// One node of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSpec {
    /// Name or address, an IPv6 address without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Share of the traffic; `None` is the usual one.
    pub weight: Option<u32>,
}

/// Why a text is not a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NodeSpecError {
    /// Begins like a URL.
    #[error("a node is HOST:PORT, without `http://` (the scheme is given with --scheme)")]
    Url,
    /// No port.
    #[error("a node is HOST:PORT or HOST:PORT@WEIGHT: the port is missing")]
    NoPort,
    /// No host.
    #[error("a node is HOST:PORT or HOST:PORT@WEIGHT: the host is missing")]
    NoHost,
    /// A port that is none.
    #[error("a port is a number from 1 to 65535")]
    Port,
    /// A weight that is none.
    #[error("a weight is a whole number, 0 takes no traffic")]
    Weight,
    /// An IPv6 address whose end cannot be told from its port.
    #[error("an IPv6 address stands in brackets: [::1]:80")]
    Brackets,
    /// Brackets around something else.
    #[error("only an IPv6 address stands in brackets")]
    NotIpv6,
    /// Characters that no host has.
    #[error("a host is a name or an address, without spaces or `/`")]
    Host,
}

impl NodeSpec {
    /// The node as it stands in a document.
    #[must_use]
    pub fn document(&self) -> Value {
        match self.weight {
            Some(weight) => json!({"host": self.host, "port": self.port, "weight": weight}),
            None => json!({"host": self.host, "port": self.port}),
        }
    }
}

impl FromStr for NodeSpec {
    type Err = NodeSpecError;

    fn from_str(text: &str) -> Result<Self, NodeSpecError> {
        if text.contains("://") {
            return Err(NodeSpecError::Url);
        }
        let (address, weight) = match text.rsplit_once('@') {
            Some((address, weight)) => {
                (address, Some(weight.parse().map_err(|_| NodeSpecError::Weight)?))
            }
            None => (text, None),
        };
        let (host, port) = match address.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or(NodeSpecError::Brackets)?;
                host.parse::<Ipv6Addr>().map_err(|_| NodeSpecError::NotIpv6)?;
                (host, port.strip_prefix(':').ok_or(NodeSpecError::NoPort)?)
            }
            None => {
                let (host, port) = address.rsplit_once(':').ok_or(NodeSpecError::NoPort)?;
                if host.contains(':') {
                    return Err(NodeSpecError::Brackets);
                }
                (host, port)
            }
        };
        if host.is_empty() {
            return Err(NodeSpecError::NoHost);
        }
        let unfit = |character: char| {
            character.is_whitespace() || character.is_control() || "/?#@\\".contains(character)
        };
        if host.contains(unfit) {
            return Err(NodeSpecError::Host);
        }
        let port = match port.parse() {
            Ok(0) | Err(_) => return Err(NodeSpecError::Port),
            Ok(port) => port,
        };
        Ok(Self { host: host.to_owned(), port, weight })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes() {
        type Expected = Result<(&'static str, u16, Option<u32>), NodeSpecError>;
        let table: &[(&str, Expected)] = &[
            ("httpbin.org:80", Ok(("httpbin.org", 80, None))),
            ("127.0.0.1:8081@50", Ok(("127.0.0.1", 8081, Some(50)))),
            ("drained:1@0", Ok(("drained", 1, Some(0)))),
            ("[::1]:80", Ok(("::1", 80, None))),
            ("[fe80::1]:65535@7", Ok(("fe80::1", 65535, Some(7)))),
            ("::1:80", Err(NodeSpecError::Brackets)),
            ("[::1", Err(NodeSpecError::Brackets)),
            ("[::1]", Err(NodeSpecError::NoPort)),
            ("[::1]80", Err(NodeSpecError::NoPort)),
            ("[host]:80", Err(NodeSpecError::NotIpv6)),
            ("http://a:80", Err(NodeSpecError::Url)),
            ("httpbin.org", Err(NodeSpecError::NoPort)),
            ("httpbin.org@5", Err(NodeSpecError::NoPort)),
            (":80", Err(NodeSpecError::NoHost)),
            ("", Err(NodeSpecError::NoPort)),
            ("a:0", Err(NodeSpecError::Port)),
            ("a:65536", Err(NodeSpecError::Port)),
            ("a:", Err(NodeSpecError::Port)),
            ("a:http", Err(NodeSpecError::Port)),
            ("a:80@", Err(NodeSpecError::Weight)),
            ("a:80@-1", Err(NodeSpecError::Weight)),
            ("a:80@1.5", Err(NodeSpecError::Weight)),
            ("a b:80", Err(NodeSpecError::Host)),
            ("a/b:80", Err(NodeSpecError::Host)),
            ("user@a:80@5", Err(NodeSpecError::Host)),
        ];
        for (text, expected) in table {
            let node = text.parse::<NodeSpec>();
            let seen = node.as_ref().map(|node| (node.host.as_str(), node.port, node.weight));
            assert_eq!(seen.map_err(|error| *error), *expected, "{text:?}");
        }
    }

    #[test]
    fn the_usual_weight_is_not_written() {
        let document = |text: &str| text.parse::<NodeSpec>().map(|node| node.document());
        assert_eq!(document("a:80"), Ok(json!({"host": "a", "port": 80})));
        assert_eq!(document("a:80@0"), Ok(json!({"host": "a", "port": 80, "weight": 0})));
    }
}
