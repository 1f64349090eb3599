//! How long connections to nodes live: how many stay open, how many requests one carries.
//!
//! Pingora's pool has one limit for all upstreams together and counts no requests. What an upstream
//! asks for is brought about from outside. A request that finds more in flight at its node than there
//! may be idle connections closes its own behind it, so that no more than these are left over. And a
//! connection that has carried its share is asked to close with its last request.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// What an upstream says about its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keepalive {
    /// Requests in flight at a node up to which a connection stays open behind one.
    pub(crate) in_flight: u32,
    /// Requests that one connection may carry; 0: any number.
    pub(crate) requests: u32,
}

/// Requests that open connections have carried, by descriptor. A descriptor that is used anew begins anew.
///
/// Upstreams share connections, and descriptors are the process's: so there is one of it for all of them.
/// It is a table of tables that are made when they are needed, so that counting takes no lock.
#[derive(Debug)]
pub(crate) struct Carried([OnceLock<Box<[AtomicU32]>>; TABLES]);

const TABLES: usize = 4096;
const TABLE: usize = 4096;

/// What all connections of this process have carried.
pub(crate) static CARRIED: Carried = Carried::new();

impl Carried {
    const fn new() -> Self {
        Self([const { OnceLock::new() }; TABLES])
    }

    /// Counts one more; says how many there were with it. Descriptors beyond 16 million are not counted: each is
    /// at its first.
    pub(crate) fn one_more(&self, connection: i32, reused: bool) -> u32 {
        let number = usize::try_from(connection).unwrap_or(usize::MAX);
        let Some(table) = self.0.get(number / TABLE) else { return 1 };
        let table = table.get_or_init(|| (0..TABLE).map(|_| AtomicU32::new(0)).collect());
        let Some(carried) = table.get(number % TABLE) else { return 1 };
        // Who has a connection has it alone; the pool's own lock puts those before it in order.
        let count = if reused { carried.load(Ordering::Relaxed).saturating_add(1) } else { 1 };
        carried.store(count, Ordering::Relaxed);
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_connection() {
        let carried = Carried::new();
        assert_eq!(carried.one_more(7, false), 1);
        assert_eq!(carried.one_more(7, true), 2);
        assert_eq!(carried.one_more(8, false), 1);
        assert_eq!(carried.one_more(7, true), 3);
        assert_eq!(carried.one_more(7, false), 1, "another one with the same number");
        let far = 70_000;
        assert_eq!((carried.one_more(far, false), carried.one_more(far, true)), (1, 2));
        for none in [-1, i32::MAX] {
            assert_eq!((carried.one_more(none, false), carried.one_more(none, true)), (1, 1));
        }
    }
}
