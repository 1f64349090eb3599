//! Which route takes a request: a plain scan over candidates that stand in order of rank.
//!
//! The rules are in docs/configuration.md; the order among candidates is [`rank`], compared once
//! when a snapshot is compiled. A candidate is one route under one host and one path pattern; a
//! request takes the first that matches it whole.
//!
//! Next: [`rank`] for the order, [`predicate`] for what else a route asks of a request.

pub(crate) mod method;
pub(crate) mod predicate;
pub(crate) mod rank;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use refgate_core::host::HostPattern;
use refgate_core::pattern::PathPattern;

use self::method::MethodSet;
use self::predicate::{Predicates, Request};
use crate::snapshot::Route;

/// A route under one of its service's hosts and one of its path patterns.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// The host that it answers to; nothing: any.
    pub(crate) host: Option<HostPattern>,
    /// The pattern, with the service's path prefix.
    pub(crate) path: PathPattern,
    /// The route.
    pub(crate) route: Arc<Route>,
}

impl Candidate {
    fn is_at(&self, request: &Request<'_>) -> bool {
        self.host.as_ref().is_none_or(|host| host.matches(request.host))
            && self.path.matches(request.path)
    }
}

/// What a route asks of a request beside host and path.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    /// The methods that it takes.
    pub(crate) methods: MethodSet,
    /// Decides between routes of the same host and pattern; higher first.
    pub(crate) priority: i32,
    /// What else must hold.
    pub(crate) predicates: Predicates,
}

/// The candidates of all live services, best first.
#[derive(Debug, Default)]
pub(crate) struct Router {
    candidates: Vec<Arc<Candidate>>,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Routed {
    /// This candidate takes it; see [`Router::candidate`].
    To(usize),
    /// Candidates match but for the method; these are the methods that they take.
    MethodNotAllowed(MethodSet),
    /// Nothing matches.
    NotFound,
}

impl Router {
    /// Puts the candidates in order.
    pub(crate) fn new(mut candidates: Vec<Arc<Candidate>>) -> Self {
        candidates.sort_by(|a, b| rank::compare(a, b));
        Self { candidates }
    }

    /// The candidate that [`Self::find`] named.
    pub(crate) fn candidate(&self, index: usize) -> Option<&Candidate> {
        self.candidates.get(index).map(AsRef::as_ref)
    }

    /// How many candidates there are.
    pub(crate) fn len(&self) -> usize {
        self.candidates.len()
    }

    /// Finds the first candidate that matches the request whole.
    pub(crate) fn find(&self, request: &Request<'_>) -> Routed {
        let mut allowed = MethodSet::NONE;
        for (index, candidate) in self.candidates.iter().enumerate() {
            if !candidate.is_at(request) {
                continue;
            }
            let conditions = &candidate.route.conditions;
            if !conditions.predicates.hold(request) {
                continue;
            }
            if conditions.methods.takes(request.method) {
                return Routed::To(index);
            }
            allowed = allowed.with(conditions.methods);
        }
        if allowed == MethodSet::NONE {
            Routed::NotFound
        } else {
            Routed::MethodNotAllowed(allowed)
        }
    }
}
