//! What clients may take of a gateway: bytes, times, connections.
//!
//! Times and sizes are enforced where requests are read ([`super::client_stream`],
//! [`crate::forward`]); connections of one client are counted here.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The limits of a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest body of a request, in bytes; nothing: any.
    pub body: Option<u64>,
    /// Connections that one client may hold at a time; nothing: any number.
    pub connections_per_client: Option<NonZeroU32>,
    /// How long the header of a request may take from its first byte to its last.
    pub header_timeout: Duration,
    /// How long a connection may rest between requests. Whole seconds, at least 1.
    pub idle_timeout: Duration,
    /// How long a client may take between two parts of a body, sending or taking it.
    pub transfer_timeout: Duration,
    /// Bytes of a request's body that a second of waiting is given for, after a first
    /// `transfer_timeout`; nothing: bodies may come as slowly as they like.
    pub min_body_rate: Option<NonZeroU32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: None,
            connections_per_client: None,
            header_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            transfer_timeout: Duration::from_secs(60),
            min_body_rate: NonZeroU32::new(500),
        }
    }
}

/// Counts the connections of each client.
#[derive(Debug, Default)]
pub(crate) struct Connections(Mutex<HashMap<IpAddr, u32>>);

/// A connection that counts until this is dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    connections: Arc<Connections>,
    client: IpAddr,
}

impl Connections {
    /// Counts one more connection of a client, unless it has `most` already.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr, most: NonZeroU32) -> Option<Counted> {
        let client = client_of(address);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(client).or_insert(0);
        if *count >= most.get() {
            return None;
        }
        *count += 1;
        Some(Counted { connections: Arc::clone(self), client })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.connections.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.client);
            }
        }
    }
}

/// Who counts as one client: an IPv4 address, or a /64 of IPv6, which is what one site is given.
fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let site = u128::from(address) & (u128::MAX << 64);
            IpAddr::V6(Ipv6Addr::from(site))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_have_so_many_connections_and_no_more() {
        let connections = Arc::new(Connections::default());
        let most = NonZeroU32::new(2).unwrap();
        let admit = |address: &str| connections.admit(address.parse().unwrap(), most);
        let (one, two) = (admit("192.0.2.1"), admit("::ffff:192.0.2.1"));
        assert!(one.is_some() && two.is_some());
        assert!(admit("192.0.2.1").is_none());
        assert!(admit("192.0.2.2").is_some());
        drop(one);
        assert!(admit("192.0.2.1").is_some());
        let site = [admit("2001:db8::1"), admit("2001:db8::2")];
        assert!(admit("2001:db8::3").is_none());
        assert!(admit("2001:db8:0:1::3").is_some());
        drop((two, site));
        assert!(connections.0.lock().unwrap().is_empty());
    }
}
