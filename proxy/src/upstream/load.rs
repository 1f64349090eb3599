//! How many requests an upstream has in flight, for its limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Requests in flight of one upstream. Counted only while there is a limit: requests that began
/// before one was set are not among them.
#[derive(Debug, Default)]
pub(crate) struct Load(AtomicU32);

/// A request in flight, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Load>);

impl Load {
    /// A place for one more request; nothing when there are `limit` already.
    pub(crate) fn take(self: &Arc<Self>, limit: u32) -> Option<Place> {
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        // Made first, so that it is given back whatever comes next.
        let place = Place(Arc::clone(self));
        (before < limit).then_some(place)
    }

    /// Requests in flight.
    #[cfg(test)]
    pub(crate) fn in_flight(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_places_as_the_limit_says() {
        let load = Arc::new(Load::default());
        let first = load.take(2).expect("a place");
        let second = load.take(2).expect("a place");
        assert!(load.take(2).is_none());
        assert_eq!(load.in_flight(), 2, "what is refused takes no place");
        assert!(load.take(3).is_some());
        drop(first);
        assert!(load.take(2).is_some());
        drop(second);
        assert_eq!(load.in_flight(), 0);
    }
}
