//! What two claims come to: a tie, an overlap that their order decides, or nothing.
//!
//! Who is compared with whom is said by [`super::conflict`].

use std::collections::{BTreeMap, BTreeSet};

use super::conflict::Claimant;
use crate::config::{ServiceConfig, route_path};
use crate::diagnostic::{Code, Diagnostic};
use crate::document::{Predicate, Route, Test};
use crate::name::{RouteName, ServiceName};

/// More pairs than anybody reads; a pathological group must not hold up its own repair.
const MAX_FOUND: usize = crate::limits::ROUTE_PAIRS;

/// What is found about pairs of routes, of each pair and code once.
#[derive(Default)]
pub(super) struct Found {
    conflicts: Pairs,
    /// Overlaps with what was not there before, or not like this.
    new: Pairs,
    /// Overlaps as they were.
    known: Pairs,
}

type Pairs = BTreeMap<(RouteName, ServiceName, RouteName, Code), Diagnostic>;

impl Found {
    /// Compares a claim that comes anew with one that is there.
    pub(super) fn compare(
        &mut self,
        new: &Claimant,
        there: &Claimant,
        old: Option<&ServiceConfig>,
    ) {
        if new.claim().host != there.claim().host {
            return;
        }
        let (Some(first), Some(second)) = (new.route(), there.route()) else { return };
        let (pattern, other) = (&new.claim().pattern, &there.claim().pattern);
        let same = pattern == other;
        let overlaps = if new.is_other_than(old)
            || there.service.name == new.service.name && there.is_other_than(old)
        {
            &mut self.new
        } else {
            &mut self.known
        };
        let regexes = pattern.regex().is_some() && other.regex().is_some();
        // Nobody reads more, but a tie is looked for all the same.
        let may_overlap = same || regexes && overlaps.len() < MAX_FOUND;
        if !may_overlap || !can_match_the_same_request(first, second) {
            return;
        }
        let rank =
            |route: &Route| (route.priority, route.methods.is_empty(), route.matches.count());
        let tie = same && rank(first) == rank(second);
        let pairs = if tie { &mut self.conflicts } else { overlaps };
        if pairs.len() >= MAX_FOUND {
            return;
        }
        let told = if tie { conflict(new, there) } else { overlap(new, there) };
        for finding in told {
            let (service, route) = there.id();
            let (service, route) = (service.clone(), route.clone());
            let pair = (new.claim().route.clone(), service, route, finding.code);
            pairs.entry(pair).or_insert(finding);
        }
    }

    /// Whether any pair ties.
    pub(super) fn ties(&self) -> bool {
        !self.conflicts.is_empty()
    }

    /// The findings, those first that somebody must see.
    pub(super) fn findings(self) -> impl Iterator<Item = Diagnostic> {
        let Self { conflicts, new, known } = self;
        [conflicts, new, known].into_iter().flat_map(Pairs::into_values).take(MAX_FOUND)
    }
}

/// What is told of two claims that tie.
fn conflict(new: &Claimant, there: &Claimant) -> Vec<Diagnostic> {
    let (pattern, host) = (&new.claim().pattern, new.host());
    let message = format!(
        "routes {} and {} both match {pattern} on {host}, with the same rank",
        new.title(),
        there.title()
    );
    let mut hint = "give them different hosts, paths, methods, predicates or priorities".to_owned();
    if there.is_kept() {
        let service = &there.id().0;
        hint.push_str(&format!(
            "; {service} is at fault itself and keeps what its last good form has"
        ));
    }
    vec![of_pair(new, there, Code::RouteConflict, message, &hint)]
}

/// What is told of two claims whose order decides.
fn overlap(new: &Claimant, there: &Claimant) -> Vec<Diagnostic> {
    let (pattern, host) = (&new.claim().pattern, new.host());
    let warning = |code, message, hint| of_pair(new, there, code, message, hint).warning();
    let message = format!(
        "routes {} and {} overlap at {pattern} on {host}; their order decides",
        new.title(),
        there.title()
    );
    let mut told = vec![warning(Code::RouteOverlap, message, "nothing to do when that is meant")];
    let shadows = |one: &Claimant, other: &Claimant| {
        let both = one.route().zip(other.route());
        one.claim().pattern == other.claim().pattern
            && both.is_some_and(|(a, b)| leaves_nothing(a, b))
    };
    for (one, other) in [(new, there), (there, new)] {
        if shadows(one, other) {
            let message = format!(
                "route {} never takes a request at {pattern} on {host}: route {} takes them all \
                 before it",
                other.title(),
                one.title()
            );
            let hint = "give it the higher priority, or take it away";
            told.push(warning(Code::RouteUnreachable, message, hint));
        }
    }
    told
}

/// A finding about two claims, at the one that comes anew.
fn of_pair(
    new: &Claimant,
    there: &Claimant,
    code: Code,
    message: String,
    hint: &str,
) -> Diagnostic {
    let file = route_path(&new.service.name, &new.claim().route);
    let involved = new.files().chain(there.files()).filter(|other| *other != file);
    let involved: BTreeSet<String> = involved.collect();
    Diagnostic::error(file, "/paths", code, message).with_hint(hint).involving(involved)
}

/// Whether `a`, of the same host and pattern as `b`, comes before it and takes whatever `b` would.
fn leaves_nothing(a: &Route, b: &Route) -> bool {
    let rank = |route: &Route| (route.priority, !route.methods.is_empty(), route.matches.count());
    let methods = a.methods.is_empty()
        || !b.methods.is_empty() && b.methods.iter().all(|method| a.methods.contains(method));
    let within = |nets: &[ipnet::IpNet], net| nets.iter().any(|other| other.contains(net));
    let addresses = a.matches.remote_addrs.is_empty()
        || !b.matches.remote_addrs.is_empty()
            && b.matches.remote_addrs.iter().all(|net| within(&a.matches.remote_addrs, net));
    // What `a` asks for has been asked for by `b` in the same words: more is not decided here.
    let asked = |a: &[Predicate], b: &[Predicate]| a.iter().all(|test| b.contains(test));
    rank(a) > rank(b)
        && methods
        && addresses
        && asked(&a.matches.headers, &b.matches.headers)
        && asked(&a.matches.query, &b.matches.query)
        && asked(&a.matches.cookies, &b.matches.cookies)
}

/// Whether methods and predicates leave a request that both routes take.
fn can_match_the_same_request(a: &Route, b: &Route) -> bool {
    let methods = a.methods.is_empty()
        || b.methods.is_empty()
        || a.methods.iter().any(|method| b.methods.contains(method));
    let addresses = |a: &[ipnet::IpNet], b: &[ipnet::IpNet]| {
        a.is_empty()
            || b.is_empty()
            || a.iter().any(|x| b.iter().any(|y| x.contains(y) || y.contains(x)))
    };
    methods
        && addresses(&a.matches.remote_addrs, &b.matches.remote_addrs)
        && !exclude(&a.matches.headers, &b.matches.headers, str::eq_ignore_ascii_case)
        && !exclude(&a.matches.query, &b.matches.query, |x, y| x == y)
        && !exclude(&a.matches.cookies, &b.matches.cookies, |x, y| x == y)
}

/// Whether two lists of predicates cannot hold together: different exact values of one name, or
/// absence against anything else of that name.
fn exclude(a: &[Predicate], b: &[Predicate], same_name: impl Fn(&str, &str) -> bool) -> bool {
    a.iter().any(|x| {
        b.iter().filter(|y| same_name(&x.name, &y.name)).any(|y| match (&x.test, &y.test) {
            (Test::Present(false), Test::Present(false)) => false,
            (Test::Present(false), _) | (_, Test::Present(false)) => true,
            (Test::Value(x), Test::Value(y)) => x != y,
            _ => false,
        })
    })
}
