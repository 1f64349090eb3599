//! The candidates of one host and one path pattern, in order.

use std::sync::Arc;

use super::method::MethodSet;
use super::predicate::Request;
use super::rule::Rule;
use super::{Candidate, rank};

/// A candidate, with what decides about most requests at hand.
#[derive(Debug)]
pub(super) struct Entry<R> {
    methods: MethodSet,
    /// Whether it asks nothing of a request but host, path and method.
    is_plain: bool,
    pub(super) candidate: Arc<Candidate<R>>,
}

impl<R> Clone for Entry<R> {
    fn clone(&self) -> Self {
        Self { candidate: Arc::clone(&self.candidate), ..*self }
    }
}

/// A request that looks for its candidate, and what was seen on the way.
#[derive(Debug)]
pub(super) struct Search<'r> {
    pub(super) request: &'r Request<'r>,
    /// The methods of candidates that match but for their method.
    pub(super) allowed: MethodSet,
}

impl<R: AsRef<Rule>> Entry<R> {
    pub(super) fn new(candidate: &Arc<Candidate<R>>) -> Self {
        let conditions = &candidate.rule().conditions;
        Self {
            methods: conditions.methods,
            is_plain: conditions.predicates.count() == 0,
            candidate: Arc::clone(candidate),
        }
    }

    /// Whether it takes a request that is at its host and path.
    pub(super) fn takes(&self, search: &mut Search<'_>) -> bool {
        if !self.is_plain && !self.candidate.rule().conditions.predicates.hold(search.request) {
            return false;
        }
        let takes = self.methods.takes(search.request.method);
        if !takes {
            search.allowed = search.allowed.with(self.methods);
        }
        takes
    }
}

/// Puts a candidate among others of the same host and pattern, or among expressions of one host.
pub(super) fn enter<R: AsRef<Rule>>(entries: &mut Vec<Entry<R>>, candidate: &Arc<Candidate<R>>) {
    let is_before = |entry: &Entry<R>| rank::compare(&entry.candidate, candidate).is_le();
    let position = entries.partition_point(is_before);
    entries.insert(position, Entry::new(candidate));
}

/// Takes out exactly this candidate.
pub(super) fn withdraw<R>(entries: &mut Vec<Entry<R>>, candidate: &Arc<Candidate<R>>) -> bool {
    let position = entries.iter().position(|entry| Arc::ptr_eq(&entry.candidate, candidate));
    if let Some(position) = position {
        entries.remove(position);
    }
    position.is_some()
}

/// The first of them that takes the request.
pub(super) fn first<'t, R: AsRef<Rule>>(
    entries: &'t [Entry<R>],
    search: &mut Search<'_>,
) -> Option<&'t Arc<Candidate<R>>> {
    entries.iter().find(|entry| entry.takes(search)).map(|entry| &entry.candidate)
}
