//! The order among candidates: rank is data, compared field by field.

use std::cmp::{Ordering, Reverse};

use refgate_core::host::HostPattern;
use refgate_core::pattern::PathPattern;

use super::Candidate;
use super::rule::Rule;

/// How specific a host is: exact, then the longest wildcard, then none.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum HostRank<'c> {
    Exact(&'c str),
    /// Longest first; wildcards of one length that differ never match the same host.
    Wildcard(Reverse<usize>, &'c str),
    Any,
}

fn host_rank(host: Option<&HostPattern>) -> HostRank<'_> {
    match host {
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

/// What two candidates differ in, by the rules of docs/configuration.md, as a person would say of the
/// one that is asked first.
type Step<R> = (&'static str, fn(&Candidate<R>, &Candidate<R>) -> Ordering);

fn steps<R: AsRef<Rule>>() -> [Step<R>; 8] {
    [
        ("a more specific host", |a, b| {
            host_rank(a.host.as_ref()).cmp(&host_rank(b.host.as_ref()))
        }),
        ("a more specific path", |a, b| compare_patterns(&a.path, &b.path)),
        ("a higher priority", |a, b| {
            b.rule().conditions.priority.cmp(&a.rule().conditions.priority)
        }),
        ("named methods", |a, b| {
            let is_open = |of: &Candidate<R>| of.rule().conditions.methods.is_open();
            is_open(a).cmp(&is_open(b))
        }),
        ("more predicates", |a, b| {
            let count = |of: &Candidate<R>| of.rule().conditions.predicates.count();
            count(b).cmp(&count(a))
        }),
        ("a longer regular expression", |a, b| regex_length(&b.path).cmp(&regex_length(&a.path))),
        ("a name that comes first", |a, b| {
            let (a, b) = (a.rule(), b.rule());
            (&a.service, &a.name).cmp(&(&b.service, &b.name))
        }),
        // A route with two expressions that tie: any fixed order will do, it is the same route.
        ("a pattern that comes first", |a, b| a.path.cmp(&b.path)),
    ]
}

/// Which of two candidates is asked first.
pub(crate) fn compare<R: AsRef<Rule>>(a: &Candidate<R>, b: &Candidate<R>) -> Ordering {
    let orders = steps().into_iter().map(|(_, step)| step(a, b));
    orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// What the first of two candidates has before the second.
pub(crate) fn advantage<R: AsRef<Rule>>(
    first: &Candidate<R>,
    second: &Candidate<R>,
) -> Option<&'static str> {
    steps().into_iter().find(|(_, step)| step(first, second).is_lt()).map(|(what, _)| what)
}

fn regex_length(path: &PathPattern) -> usize {
    path.regex().map_or(0, |(_, regex)| regex.as_str().len())
}
