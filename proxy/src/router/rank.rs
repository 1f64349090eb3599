//! The order among candidates: rank is data, compared field by field.

use std::cmp::{Ordering, Reverse};

use refgate_core::host::HostPattern;
use refgate_core::pattern::PathPattern;

use super::Candidate;

/// How specific a host is: exact, then the longest wildcard, then none.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum HostRank<'c> {
    Exact(&'c str),
    /// Longest first; wildcards of one length that differ never match the same host.
    Wildcard(Reverse<usize>, &'c str),
    Any,
}

fn host_rank(candidate: &Candidate) -> HostRank<'_> {
    match &candidate.host {
        Some(HostPattern::Exact(host)) => HostRank::Exact(host),
        Some(HostPattern::Wildcard(suffix)) => HostRank::Wildcard(Reverse(suffix.len()), suffix),
        None => HostRank::Any,
    }
}

/// Among plain patterns by the pattern; all regular expressions are alike here, after them.
fn compare_patterns(a: &PathPattern, b: &PathPattern) -> Ordering {
    match (a.regex(), b.regex()) {
        (Some(_), Some(_)) => Ordering::Equal,
        _ => a.cmp(b),
    }
}

/// Which of two candidates is asked first, by the rules of docs/configuration.md.
pub(crate) fn compare(a: &Candidate, b: &Candidate) -> Ordering {
    let (of_a, of_b) = (&a.route.conditions, &b.route.conditions);
    let by = |a: usize, b: usize| b.cmp(&a);
    host_rank(a)
        .cmp(&host_rank(b))
        .then_with(|| compare_patterns(&a.path, &b.path))
        .then_with(|| of_b.priority.cmp(&of_a.priority))
        .then_with(|| of_a.methods.is_open().cmp(&of_b.methods.is_open()))
        .then_with(|| by(of_a.predicates.count(), of_b.predicates.count()))
        .then_with(|| by(regex_length(&a.path), regex_length(&b.path)))
        .then_with(|| a.route.service.cmp(&b.route.service))
        .then_with(|| a.route.name.cmp(&b.route.name))
        // A route with two expressions that tie: any fixed order will do, it is the same route.
        .then_with(|| a.path.cmp(&b.path))
}

fn regex_length(path: &PathPattern) -> usize {
    path.regex().map_or(0, |(_, regex)| regex.as_str().len())
}
