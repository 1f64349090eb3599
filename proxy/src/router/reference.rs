//! The plain meaning of the routing rules: a scan over all candidates in order of rank.
//!
//! Nothing serves requests with it. The index is held to it by tests and by fuzzing.

use std::sync::Arc;

use super::method::MethodSet;
use super::predicate::Request;
use super::rule::Rule;
use super::{Candidate, Routed, rank};

/// Candidates, best first.
#[derive(Debug)]
pub(crate) struct Reference<R> {
    candidates: Vec<Arc<Candidate<R>>>,
}

impl<R: AsRef<Rule>> Reference<R> {
    /// Puts the candidates in order.
    pub(crate) fn new(mut candidates: Vec<Arc<Candidate<R>>>) -> Self {
        candidates.sort_by(|a, b| rank::compare(a, b));
        Self { candidates }
    }

    /// Finds the first candidate that matches the request whole.
    pub(crate) fn find(&self, request: &Request<'_>) -> Routed<'_, R> {
        let mut allowed = MethodSet::NONE;
        for candidate in &self.candidates {
            if !candidate.is_at(request.host, request.path) {
                continue;
            }
            let conditions = &candidate.rule().conditions;
            if !conditions.predicates.hold(request) {
                continue;
            }
            if conditions.methods.takes(request.method) {
                return Routed::To(candidate);
            }
            allowed = allowed.with(conditions.methods);
        }
        Routed::refused(allowed)
    }
}
