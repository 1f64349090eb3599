//! How long connections to nodes live: how many stay open, how many requests one carries.
//!
//! Pingora's pool has one limit for all upstreams together and counts no requests. What an upstream
//! asks for is brought about from outside. A request that finds more in flight at its node than there
//! may be idle connections closes its own behind it, so that no more than these are left over. And a
//! connection that has carried its share is asked to close with its last request.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// What an upstream says about its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keepalive {
    /// Requests in flight at a node up to which a connection stays open behind one.
    pub(crate) in_flight: u32,
    /// Requests that one connection may carry; 0: any number.
    pub(crate) requests: u32,
}

/// Requests that the open connections to a node have carried, by descriptor. A descriptor that is
/// used anew begins anew.
#[derive(Debug, Default)]
pub(crate) struct Carried(Mutex<HashMap<i32, u32>>);

impl Carried {
    /// Counts one more; says how many there were with it.
    pub(crate) fn one_more(&self, connection: i32, reused: bool) -> u32 {
        // A panic while the lock was held could only have lost a count.
        let mut carried = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = carried.entry(connection).or_default();
        *count = if reused { count.saturating_add(1) } else { 1 };
        *count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_connection() {
        let carried = Carried::default();
        assert_eq!(carried.one_more(7, false), 1);
        assert_eq!(carried.one_more(7, true), 2);
        assert_eq!(carried.one_more(8, false), 1);
        assert_eq!(carried.one_more(7, true), 3);
        assert_eq!(carried.one_more(7, false), 1, "another one with the same number");
    }
}
