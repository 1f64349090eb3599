//! Which route takes a request.
//!
//! The rules are in docs/configuration.md; the order among candidates is [`rank`]. A candidate is one
//! route under one host and one path pattern; a request takes the first that matches it whole. The
//! plain meaning of that is [`reference`](mod@reference), a scan; what serves requests is an index:
//! hosts here, paths in [`host`], both in tables whose copies share what did not change ([`table`]).
//! Finding allocates nothing, whatever is found.
//!
//! Next: [`rank`] for the order, [`host`] for the index, [`predicate`] for what else a route asks of
//! a request, [`explain`] for why a route does not get a request.

mod bucket;
pub(crate) mod capture;
pub(crate) mod explain;
mod host;
#[cfg(test)]
mod law;
pub(crate) mod method;
pub(crate) mod predicate;
pub(crate) mod rank;
pub(crate) mod reference;
pub(crate) mod routes;
pub(crate) mod rule;
mod table;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use refgate_core::host::HostPattern;
use refgate_core::limits::HOST_BYTES;
use refgate_core::pattern::PathPattern;

use self::bucket::Search;
use self::host::HostIndex;
use self::method::MethodSet;
use self::predicate::Request;
use self::rule::Rule;
use self::table::Table;

/// A route under one of its service's hosts and one of its path patterns.
#[derive(Debug)]
pub(crate) struct Candidate<R> {
    /// The host that it answers to; nothing: any.
    pub(crate) host: Option<HostPattern>,
    /// The pattern, with the service's path prefix.
    pub(crate) path: PathPattern,
    /// The route.
    pub(crate) route: Arc<R>,
}

impl<R: AsRef<Rule>> Candidate<R> {
    /// What the route asks.
    pub(crate) fn rule(&self) -> &Rule {
        (*self.route).as_ref()
    }

    /// Whether a request is at its host and path.
    pub(crate) fn is_at(&self, host: &str, path: &str) -> bool {
        self.host.as_ref().is_none_or(|own| own.matches(host)) && self.path.matches(path)
    }
}

/// The candidates of all live services. A copy costs little, and a change of a copy little more than
/// what is changed.
#[derive(Debug)]
pub(crate) struct Router<R> {
    exact: Table<Arc<HostIndex<R>>>,
    /// By what stands after `*.`.
    wildcard: Table<Arc<HostIndex<R>>>,
    /// How many wildcards there are of each length.
    suffixes: Vec<u32>,
    any: Arc<HostIndex<R>>,
    candidates: usize,
}

/// What became of a request.
#[derive(Debug)]
pub(crate) enum Routed<'t, R> {
    /// This candidate takes it.
    To(&'t Arc<Candidate<R>>),
    /// Candidates match but for the method; these are the methods that they take.
    MethodNotAllowed(MethodSet),
    /// Nothing matches.
    NotFound,
}

impl<R> Routed<'_, R> {
    /// No candidate takes the request, and these are the methods of those that almost would.
    fn refused(allowed: MethodSet) -> Self {
        if allowed == MethodSet::NONE { Self::NotFound } else { Self::MethodNotAllowed(allowed) }
    }
}

impl<R> Default for Router<R> {
    fn default() -> Self {
        Self {
            exact: Table::default(),
            wildcard: Table::default(),
            suffixes: Vec::new(),
            any: Arc::new(HostIndex::new("")),
            candidates: 0,
        }
    }
}

impl<R> Clone for Router<R> {
    fn clone(&self) -> Self {
        Self {
            exact: self.exact.clone(),
            wildcard: self.wildcard.clone(),
            suffixes: self.suffixes.clone(),
            any: Arc::clone(&self.any),
            candidates: self.candidates,
        }
    }
}

/// The path that is forwarded for one that matched: without so many bytes at its beginning. A regular
/// expression may match in the middle of a segment; what is forwarded is a path all the same.
pub(crate) fn forwarded(path: &str, strip: usize) -> Cow<'_, str> {
    match path.get(strip..) {
        Some(rest) if rest.starts_with('/') => rest.into(),
        Some(rest) => format!("/{rest}").into(),
        None => path.into(),
    }
}

/// The index of a host, made where there is none.
fn index_of<'t, R>(
    table: &'t mut Table<Arc<HostIndex<R>>>,
    name: &str,
) -> &'t mut Arc<HostIndex<R>> {
    let is_meant = |index: &Arc<HostIndex<R>>| *index.name == *name;
    table.get_or_insert(host::hash(name.as_bytes()), is_meant, || Arc::new(HostIndex::new(name)))
}

fn find_index<'t, R>(table: &'t Table<Arc<HostIndex<R>>>, name: &str) -> Option<&'t HostIndex<R>> {
    let hash = host::hash(name.as_bytes());
    table.get(hash, |index| *index.name == *name).map(AsRef::as_ref)
}

impl<R: AsRef<Rule>> Router<R> {
    /// How many candidates there are.
    pub(crate) fn len(&self) -> usize {
        self.candidates
    }

    /// Enters a candidate.
    pub(crate) fn insert(&mut self, candidate: &Arc<Candidate<R>>) {
        let index = match &candidate.host {
            Some(HostPattern::Exact(name)) => index_of(&mut self.exact, name),
            Some(HostPattern::Wildcard(suffix)) => index_of(&mut self.wildcard, suffix),
            None => &mut self.any,
        };
        if let Some(HostPattern::Wildcard(suffix)) = &candidate.host
            && index.candidates == 0
        {
            if self.suffixes.len() <= suffix.len() {
                self.suffixes.resize(suffix.len() + 1, 0);
            }
            self.suffixes[suffix.len()] += 1;
        }
        Arc::make_mut(index).insert(candidate);
        self.candidates += 1;
    }

    /// Takes out exactly this candidate; one that is not there is no error.
    pub(crate) fn remove(&mut self, candidate: &Arc<Candidate<R>>) {
        let (table, name) = match &candidate.host {
            Some(HostPattern::Exact(name)) => (&mut self.exact, name),
            Some(HostPattern::Wildcard(suffix)) => (&mut self.wildcard, suffix),
            None => {
                let before = self.any.candidates;
                Arc::make_mut(&mut self.any).remove(candidate);
                self.candidates -= before - self.any.candidates;
                return;
            }
        };
        let hash = host::hash(name.as_bytes());
        let is_meant = |index: &Arc<HostIndex<R>>| *index.name == **name;
        let Some(index) = table.get_mut(hash, is_meant) else { return };
        let before = index.candidates;
        Arc::make_mut(index).remove(candidate);
        let left = index.candidates;
        self.candidates -= before - left;
        if left == 0 {
            table.remove(hash, is_meant);
            if let Some(HostPattern::Wildcard(suffix)) = &candidate.host {
                self.suffixes[suffix.len()] -= 1;
            }
        }
    }

    /// Finds the first candidate that matches the request whole.
    pub(crate) fn find(&self, request: &Request<'_>) -> Routed<'_, R> {
        let mut search = Search { request, allowed: MethodSet::NONE };
        match self.search(&mut search) {
            Some(candidate) => Routed::To(candidate),
            None => Routed::refused(search.allowed),
        }
    }

    fn search(&self, search: &mut Search<'_>) -> Option<&Arc<Candidate<R>>> {
        let host = search.request.host;
        if !self.exact.is_empty()
            && host.len() <= HOST_BYTES
            && let Some(index) = find_index(&self.exact, host)
            && let Some(candidate) = index.find(search)
        {
            return Some(candidate);
        }
        if !self.wildcard.is_empty() {
            // The longest suffix first; before each of them stands one label or more.
            let dots = host.bytes().enumerate().skip(1).filter(|(_, byte)| *byte == b'.');
            for (dot, _) in dots {
                let suffix = &host[dot + 1..];
                if self.suffixes.get(suffix.len()).is_some_and(|hosts| *hosts > 0)
                    && let Some(index) = find_index(&self.wildcard, suffix)
                    && let Some(candidate) = index.find(search)
                {
                    return Some(candidate);
                }
            }
        }
        self.any.find(search)
    }
}
