//! Who the client is, behind the proxies that the group trusts, and what the node is told about it.

use std::net::IpAddr;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{FORWARDED, HeaderName, HeaderValue};
use ipnet::IpNet;

use crate::digits::push_address;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The client as the gateway understands it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Client {
    /// Who holds the other end of the connection.
    pub(crate) peer: IpAddr,
    /// Whether that is a proxy that the group trusts.
    pub(crate) peer_is_trusted: bool,
    /// Who made the request.
    pub(crate) address: IpAddr,
}

impl Client {
    /// Finds the client: the rightmost address that is not trusted; when all are, the leftmost.
    pub(crate) fn find(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let peer = peer.to_canonical();
        let is_trusted = |address: IpAddr| trusted.iter().any(|block| block.contains(&address));
        let peer_is_trusted = is_trusted(peer);
        let mut address = peer;
        if peer_is_trusted {
            let lines = headers.get_all(FOR).iter().rev();
            let entries = lines.flat_map(|line| line.to_str().unwrap_or("?").rsplit(','));
            for entry in entries {
                // An entry that is no address ends the walk: what stands left of it was not
                // written by somebody who is trusted.
                let Some(before) = address_of(entry.trim()) else { break };
                address = before;
                if !is_trusted(before) {
                    break;
                }
            }
        }
        Self { peer, peer_is_trusted, address }
    }

    /// Writes the `X-Forwarded-*` fields of the request to the node.
    ///
    /// From a trusted peer they are kept, and the peer is added to the list; from anybody else
    /// they say nothing and are replaced. `host` and `port` are what the client asked for.
    pub(crate) fn announce(
        &self,
        headers: &mut HeaderMap,
        scheme: &'static str,
        host: Option<&HeaderValue>,
        port: u16,
    ) {
        let mut list = Vec::with_capacity(64);
        if self.peer_is_trusted {
            // A line that is no text of ASCII says nothing about addresses.
            let before = headers.get_all(FOR).iter().filter(|line| line.to_str().is_ok());
            for line in before {
                list.extend_from_slice(line.as_bytes());
                list.extend_from_slice(b", ");
            }
        } else {
            headers.remove(FORWARDED);
        }
        push_address(&mut list, self.peer);
        // Texts of header values and an address are a header value.
        if let Ok(list) = HeaderValue::from_maybe_shared(Bytes::from(list)) {
            headers.insert(FOR, list);
        }
        let kept = |headers: &HeaderMap, name| self.peer_is_trusted && headers.contains_key(name);
        if !kept(headers, PROTO) {
            headers.insert(PROTO, HeaderValue::from_static(scheme));
        }
        if !kept(headers, HOST) {
            match host {
                Some(host) => headers.insert(HOST, host.clone()),
                None => headers.remove(HOST),
            };
        }
        if !kept(headers, PORT) {
            headers.insert(PORT, HeaderValue::from(port));
        }
    }
}

/// The address of an entry: bare, or with a port (`192.0.2.1:80`, `[2001:db8::1]:80`).
fn address_of(entry: &str) -> Option<IpAddr> {
    let bare = match entry.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None if entry.bytes().filter(|byte| *byte == b':').count() == 1 => entry.split_once(':')?.0,
        None => entry,
    };
    bare.parse().ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    fn find(peer: &str, lines: &[&str], trusted: &[&str]) -> Client {
        let fields: Vec<_> = lines.iter().map(|line| (FOR, *line)).collect();
        let trusted: Vec<IpNet> = trusted.iter().map(|block| block.parse().unwrap()).collect();
        Client::find(peer.parse().unwrap(), &headers(&fields), &trusted)
    }

    #[test]
    fn the_client_is_the_rightmost_address_that_is_not_trusted() {
        let table: &[(&str, &[&str], &[&str], &str)] = &[
            ("192.0.2.1", &[], &[], "192.0.2.1"),
            ("192.0.2.1", &["198.51.100.7"], &[], "192.0.2.1"),
            ("10.0.0.1", &["198.51.100.7"], &["10.0.0.0/8"], "198.51.100.7"),
            ("10.0.0.1", &["1.1.1.1, 198.51.100.7, 10.0.0.2"], &["10.0.0.0/8"], "198.51.100.7"),
            ("10.0.0.1", &["1.1.1.1", "198.51.100.7", "10.0.0.2"], &["10.0.0.0/8"], "198.51.100.7"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], &["10.0.0.0/8"], "10.0.0.3"),
            ("10.0.0.1", &[], &["10.0.0.0/8"], "10.0.0.1"),
            ("10.0.0.1", &["1.1.1.1, unknown, 10.0.0.2"], &["10.0.0.0/8"], "10.0.0.2"),
            ("10.0.0.1", &["1.1.1.1, unknown"], &["10.0.0.0/8"], "10.0.0.1"),
            ("10.0.0.1", &["1.1.1.1,,10.0.0.2"], &["10.0.0.0/8"], "10.0.0.2"),
            ("10.0.0.1", &["198.51.100.7:5000"], &["10.0.0.0/8"], "198.51.100.7"),
            ("10.0.0.1", &["[2001:db8::7]:5000"], &["10.0.0.0/8"], "2001:db8::7"),
            ("10.0.0.1", &["2001:db8::7"], &["10.0.0.0/8"], "2001:db8::7"),
            ("::ffff:10.0.0.1", &["198.51.100.7"], &["10.0.0.0/8"], "198.51.100.7"),
            ("10.0.0.1", &["::ffff:198.51.100.7"], &["10.0.0.0/8"], "198.51.100.7"),
        ];
        for (peer, lines, trusted, client) in table {
            let found = find(peer, lines, trusted).address;
            assert_eq!(found.to_string(), *client, "{peer} {lines:?} {trusted:?}");
        }
    }

    #[test]
    fn strangers_announce_nothing() {
        let mut forwarded = headers(&[
            (FOR, "1.1.1.1"),
            (PROTO, "https"),
            (HOST, "evil.com"),
            (PORT, "1"),
            (FORWARDED, "for=1.1.1.1"),
        ]);
        let client = Client::find("192.0.2.1".parse().unwrap(), &forwarded, &[]);
        let host = HeaderValue::from_static("a.com:8080");
        client.announce(&mut forwarded, "http", Some(&host), 9080);
        assert_eq!(forwarded[FOR], "192.0.2.1");
        assert_eq!(forwarded[PROTO], "http");
        assert_eq!(forwarded[HOST], "a.com:8080");
        assert_eq!(forwarded[PORT], "9080");
        assert!(!forwarded.contains_key("forwarded"));
    }

    #[test]
    fn trusted_peers_are_believed_and_added() {
        let mut forwarded = headers(&[(FOR, "1.1.1.1"), (FOR, "10.0.0.2"), (PROTO, "https")]);
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let client = Client::find("10.0.0.1".parse().unwrap(), &forwarded, &trusted);
        client.announce(&mut forwarded, "http", None, 9080);
        assert_eq!(forwarded.get_all(FOR).iter().count(), 1);
        assert_eq!(forwarded[FOR], "1.1.1.1, 10.0.0.2, 10.0.0.1");
        assert_eq!(forwarded[PROTO], "https");
        assert!(!forwarded.contains_key(HOST));
        assert_eq!(forwarded[PORT], "9080");
    }
}
