//! Consistent hashing by weighted rendezvous: every node draws from the key, the best draw wins.
//!
//! Taking a node away moves only its own keys, and each to the node that drew second best; weights
//! need no ring of points. The hash is fixed, so that all gateways choose alike.

use std::net::IpAddr;

use http::HeaderName;

use crate::router::predicate::{Request, cookie, cookies, header, parameter};
use crate::upstream::node::{Node, NodeKey};

/// What the hash is taken of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HashOn {
    Header(HeaderName),
    Cookie(String),
    Query(String),
    /// The client's address.
    RemoteAddr,
    /// The consumer whose request it is.
    Consumer,
    /// Path and query.
    Uri,
}

impl HashOn {
    /// The hash of the request's key. A request without one goes by its client's address, so that
    /// such requests do not all meet at one node.
    pub(crate) fn hash(&self, request: &Request<'_>) -> u64 {
        let found = match self {
            Self::Header(name) => header(request.headers, name).map(|value| hash(value.as_bytes())),
            Self::Cookie(name) => {
                cookie(&cookies(request.headers), name).map(|value| hash(value.as_bytes()))
            }
            Self::Query(name) => parameter(request.query, name).map(|value| hash(value.as_bytes())),
            // Requests are nobody's as long as no plugin finds out whose they are.
            Self::RemoteAddr | Self::Consumer => None,
            Self::Uri => {
                let path = extend(OFFSET, request.path.as_bytes());
                Some(match request.query {
                    Some(query) => extend(extend(path, b"?"), query.as_bytes()),
                    None => path,
                })
            }
        };
        found.unwrap_or_else(|| match request.client {
            IpAddr::V4(address) => hash(&address.octets()),
            IpAddr::V6(address) => hash(&address.octets()),
        })
    }
}

pub(super) fn choose(nodes: &[Node], eligible: &[usize], hash: u64) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for &index in eligible {
        let node = nodes.get(index)?;
        let draw = draw(hash, &node.key, node.weight);
        if best.is_none_or(|(_, most)| draw > most) {
            best = Some((index, draw));
        }
    }
    best.map(|(index, _)| index)
}

/// `-weight / ln(u)` for a `u` between 0 and 1 that key and node decide: the largest of such draws
/// falls to each node in proportion to its weight.
fn draw(key: u64, node: &NodeKey, weight: u32) -> f64 {
    let node = extend(extend(OFFSET, node.host.as_bytes()), &node.port.to_be_bytes());
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what a float holds")]
    let unit = ((mix(key ^ mix(node)) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -f64::from(weight) / unit.ln()
}

/// FNV-1a.
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0100_0000_01b3;

fn extend(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}

fn hash(bytes: &[u8]) -> u64 {
    extend(OFFSET, bytes)
}

/// The finaliser of splitmix64: every bit of the input moves every bit of the output.
fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::router::method::RequestMethod;
    use crate::upstream::tests::nodes;

    fn keys() -> impl Iterator<Item = u64> {
        (0..10_000_u32).map(|key| hash(key.to_string().as_bytes()))
    }

    /// A request without what is hashed goes by its client's address, and no request has a consumer.
    #[test]
    fn what_a_request_lacks_is_its_clients_address() {
        let headers = HeaderMap::new();
        let of = |on: &HashOn, client: &str| {
            on.hash(&Request {
                host: "a.com",
                path: "/",
                query: None,
                method: RequestMethod::of(&http::Method::GET),
                headers: &headers,
                client: client.parse().expect("an address"),
            })
        };
        for client in ["10.0.0.7", "10.0.0.8", "2001:db8::1"] {
            let address = of(&HashOn::RemoteAddr, client);
            for on in [
                HashOn::Consumer,
                HashOn::Header(HeaderName::from_static("x-user")),
                HashOn::Cookie("user".to_owned()),
                HashOn::Query("user".to_owned()),
            ] {
                assert_eq!(of(&on, client), address, "{on:?} {client}");
            }
        }
        assert_ne!(of(&HashOn::Consumer, "10.0.0.7"), of(&HashOn::Consumer, "10.0.0.8"));
    }

    #[test]
    fn shares_follow_weights() {
        let nodes = nodes(&[100, 200, 100]);
        let mut counts = [0_u32; 3];
        for key in keys() {
            counts[choose(&nodes, &[0, 1, 2], key).expect("a node")] += 1;
        }
        for (count, share) in counts.into_iter().zip([2500, 5000, 2500]) {
            assert!(count.abs_diff(share) < 250, "{counts:?}");
        }
    }

    #[test]
    fn a_lost_node_moves_only_its_own_keys() {
        let nodes = nodes(&[100, 100, 100, 100]);
        for key in keys() {
            let before = choose(&nodes, &[0, 1, 2, 3], key);
            let after = choose(&nodes, &[0, 1, 3], key);
            assert!(before == after || before == Some(2));
        }
    }
}
