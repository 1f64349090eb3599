//! Three-way merge by meaning on the model's own maps.

use std::collections::{BTreeMap, BTreeSet};

use refgate_core::merge::OnConflict;

use super::{Content, RouteDocument, ServiceDocument};

/// The merged content, and whether both sides changed one thing differently.
pub(super) fn merge(
    base: Option<&Content>,
    ours: &Content,
    theirs: &Content,
    on_conflict: OnConflict,
) -> (Content, bool) {
    let mut all = Clashes { theirs_wins: on_conflict == OnConflict::Theirs, found: false };
    let before = base.map(|base| &base.service.document);
    let (mine, other) = (&ours.service.document, &theirs.service.document);
    let service = all.deep(before, Some(mine), Some(other), service);
    let mut routes = BTreeMap::new();
    let names = ours.routes.keys().chain(theirs.routes.keys());
    for name in
        names.chain(base.iter().flat_map(|base| base.routes.keys())).collect::<BTreeSet<_>>()
    {
        let document =
            |content: &Content| content.routes.get(name).map(|file| file.document.clone());
        let (before, mine, other) = (base.and_then(document), document(ours), document(theirs));
        let route = all.deep(before.as_ref(), mine.as_ref(), other.as_ref(), route);
        routes.extend(route.map(|route| (*name, route.into())));
    }
    let merged = Content { service: service.expect("both sides have it").into(), routes };
    // What comes to one side's documents is that side, as its files are written.
    let result = [theirs, ours].into_iter().find(|side| same_documents(side, &merged));
    (result.cloned().unwrap_or(merged), all.found)
}

fn same_documents(a: &Content, b: &Content) -> bool {
    let documents = |content: &Content| -> Vec<_> {
        content.routes.iter().map(|(name, file)| (*name, file.document.clone())).collect()
    };
    a.service.document == b.service.document && documents(a) == documents(b)
}

struct Clashes {
    theirs_wins: bool,
    found: bool,
}

impl Clashes {
    /// One value: whoever changed it.
    fn value<T: Clone + PartialEq>(
        &mut self,
        base: Option<&T>,
        ours: Option<&T>,
        theirs: Option<&T>,
    ) -> Option<T> {
        self.deep(base, ours, theirs, |_, _, _, _| None)
    }

    /// The same, but what both changed may still come together.
    fn deep<T: Clone + PartialEq>(
        &mut self,
        base: Option<&T>,
        ours: Option<&T>,
        theirs: Option<&T>,
        together: impl FnOnce(&mut Self, &T, &T, &T) -> Option<T>,
    ) -> Option<T> {
        if ours == theirs || theirs == base {
            return ours.cloned();
        }
        if ours == base {
            return theirs.cloned();
        }
        if let (Some(base), Some(ours), Some(theirs)) = (base, ours, theirs)
            && let Some(merged) = together(self, base, ours, theirs)
        {
            return Some(merged);
        }
        self.found = true;
        if self.theirs_wins { theirs.cloned() } else { ours.cloned() }
    }

    fn plain<T: Clone + PartialEq>(&mut self, base: &T, ours: &T, theirs: &T) -> T {
        self.value(Some(base), Some(ours), Some(theirs)).expect("all three are there")
    }

    /// A set; where the empty one means anything, it is not the set of nothing.
    fn set(&mut self, base: &Vec<u8>, ours: &Vec<u8>, theirs: &Vec<u8>) -> Vec<u8> {
        let united = |_: &mut Self, base: &Vec<u8>, ours: &Vec<u8>, theirs: &Vec<u8>| {
            let stays = |item: &&u8| ours.contains(item) && theirs.contains(item);
            let mut merged: Vec<u8> = base.iter().filter(stays).copied().collect();
            let either: BTreeSet<u8> = ours.iter().chain(theirs).copied().collect();
            merged.extend(either.into_iter().filter(|item| !base.contains(item)));
            let open = [base, ours, theirs, &merged].into_iter().any(Vec::is_empty);
            (!open).then_some(merged)
        };
        self.deep(Some(base), Some(ours), Some(theirs), united).expect("all three are there")
    }
}

fn service(
    all: &mut Clashes,
    base: &ServiceDocument,
    ours: &ServiceDocument,
    theirs: &ServiceDocument,
) -> Option<ServiceDocument> {
    let mut labels = BTreeMap::new();
    let keys = base.labels.keys().chain(ours.labels.keys()).chain(theirs.labels.keys());
    for key in keys.collect::<BTreeSet<_>>() {
        let [base, ours, theirs] = [base, ours, theirs].map(|side| side.labels.get(key));
        labels.extend(all.value(base, ours, theirs).map(|value| (*key, value)));
    }
    let description = all.plain(&base.description, &ours.description, &theirs.description);
    Some(ServiceDocument { description, labels })
}

fn route(
    all: &mut Clashes,
    base: &RouteDocument,
    ours: &RouteDocument,
    theirs: &RouteDocument,
) -> Option<RouteDocument> {
    Some(RouteDocument {
        enabled: all.plain(&base.enabled, &ours.enabled, &theirs.enabled),
        paths: all.set(&base.paths, &ours.paths, &theirs.paths),
        methods: all.set(&base.methods, &ours.methods, &theirs.methods),
        priority: all.plain(&base.priority, &ours.priority, &theirs.priority),
        headers: headers(all, base, ours, theirs),
        upstream: all.plain(&base.upstream, &ours.upstream, &theirs.upstream),
    })
}

/// Predicates by name: those of the base in its order, then the new ones by name.
fn headers(
    all: &mut Clashes,
    base: &RouteDocument,
    ours: &RouteDocument,
    theirs: &RouteDocument,
) -> Vec<(u8, u8)> {
    let by_name =
        |all: &mut Clashes, base: &Vec<(u8, u8)>, ours: &Vec<(u8, u8)>, theirs: &Vec<(u8, u8)>| {
            let find =
                |list: &[(u8, u8)], name: u8| list.iter().find(|entry| entry.0 == name).copied();
            let either: BTreeSet<u8> = ours.iter().chain(theirs).map(|entry| entry.0).collect();
            let known: Vec<u8> = base.iter().map(|entry| entry.0).collect();
            let new = either.into_iter().filter(|name| !known.contains(name));
            let order: Vec<u8> = known.iter().copied().chain(new).collect();
            let merged = order.into_iter().filter_map(|name| {
                let sides = [base, ours, theirs].map(|list| find(list, name));
                all.value(sides[0].as_ref(), sides[1].as_ref(), sides[2].as_ref())
            });
            Some(merged.collect())
        };
    all.deep(Some(&base.headers), Some(&ours.headers), Some(&theirs.headers), by_name)
        .expect("all three are there")
}
