//! Three-way merge by meaning on the model's own maps.

use std::collections::{BTreeMap, BTreeSet};

use refgate_core::merge::OnConflict;
use serde_json::{Value, json};

use super::{Content, RouteDocument, Service, ServiceDocument, text};

/// What both sides changed differently, as the product tells it, and what that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Clash {
    pub(super) told: Value,
    /// What the thing is: `file`, `value`, `label`, `header` or `set`.
    pub(super) thing: &'static str,
    /// What both did to it: `edit/edit`, or with `add` or `delete`; the target's side first.
    pub(super) how: &'static str,
}

/// What came of a merge.
pub(super) struct Merged {
    pub(super) content: Content,
    pub(super) clashes: Vec<Clash>,
    /// What is of both sides now: `file`, `set` or `headers`.
    pub(super) joined: Vec<&'static str>,
}

/// Merges base, ours and theirs.
pub(super) fn merge(
    name: Service,
    sides: [Option<&Content>; 3],
    on_conflict: OnConflict,
) -> Merged {
    let theirs_wins = on_conflict == OnConflict::Theirs;
    let mut all = Clashes { service: name, theirs_wins, found: vec![], joined: vec![] };
    let file = Place::file(format!("services/{}/service.json", text::service(name)));
    let documents = sides.map(|side| side.map(|side| &side.service.document));
    let merged = all.deep(&file, documents, text::service_json, service);
    let mut routes = BTreeMap::new();
    let names: BTreeSet<u8> =
        sides.iter().flatten().flat_map(|side| side.routes.keys()).copied().collect();
    for route_name in names {
        let documents = sides.map(|side| {
            side.and_then(|side| side.routes.get(&route_name)).map(|file| &file.document)
        });
        let path =
            format!("services/{}/routes/{}.json", text::service(name), text::route(route_name));
        let json = |document: &RouteDocument| text::route_json(name, route_name, document);
        let merged = all.deep(&Place::file(path), documents, json, |all, place, both| {
            route(all, place, &both, route_name)
        });
        routes.extend(merged.map(|route| (route_name, route.into())));
    }
    let merged = Content { service: merged.expect("both sides have it").into(), routes };
    // What comes to one side's documents is that side, as its files are written.
    let [_, ours, theirs] = sides;
    let same = [theirs, ours].into_iter().flatten().find(|side| same_documents(side, &merged));
    let content = same.cloned().unwrap_or(merged);
    Merged { content, clashes: all.found, joined: all.joined }
}

fn same_documents(a: &Content, b: &Content) -> bool {
    let documents = |content: &Content| -> Vec<_> {
        content.routes.iter().map(|(name, file)| (*name, file.document.clone())).collect()
    };
    a.service.document == b.service.document && documents(a) == documents(b)
}

/// A file, and a place in it.
struct Place {
    file: String,
    pointer: String,
    thing: &'static str,
}

impl Place {
    fn file(file: String) -> Self {
        Self { file, pointer: String::new(), thing: "file" }
    }

    fn at(&self, pointer: impl Into<String>, thing: &'static str) -> Self {
        Self { file: self.file.clone(), pointer: pointer.into(), thing }
    }
}

struct Clashes {
    service: Service,
    theirs_wins: bool,
    found: Vec<Clash>,
    joined: Vec<&'static str>,
}

/// Base, ours, theirs.
type Sides<'v, T> = [Option<&'v T>; 3];

/// What both sides have, and the base perhaps.
struct Both<'v, T> {
    base: Option<&'v T>,
    ours: &'v T,
    theirs: &'v T,
}

impl<'v, T> Both<'v, T> {
    fn part<U>(&self, part: impl Fn(&'v T) -> &'v U) -> Both<'v, U> {
        Both { base: self.base.map(&part), ours: part(self.ours), theirs: part(self.theirs) }
    }

    fn sides(&self) -> Sides<'v, T> {
        [self.base, Some(self.ours), Some(self.theirs)]
    }
}

impl Clashes {
    /// One value: whoever changed it.
    fn value<T: Clone + PartialEq>(
        &mut self,
        place: &Place,
        sides: Sides<'_, T>,
        json: impl Fn(&T) -> Value,
    ) -> Option<T> {
        self.deep(place, sides, json, |_, _, _| None)
    }

    /// The same, but what both changed may still come together.
    fn deep<T: Clone + PartialEq>(
        &mut self,
        place: &Place,
        sides: Sides<'_, T>,
        json: impl Fn(&T) -> Value,
        together: impl FnOnce(&mut Self, &Place, Both<'_, T>) -> Option<T>,
    ) -> Option<T> {
        let [base, ours, theirs] = sides;
        if ours == theirs || theirs == base {
            return ours.cloned();
        }
        if ours == base {
            return theirs.cloned();
        }
        if let (Some(ours), Some(theirs)) = (ours, theirs)
            && let Some(merged) = together(self, place, Both { base, ours, theirs })
        {
            if merged != *ours && merged != *theirs {
                self.joined.push(place.thing);
            }
            return Some(merged);
        }
        let how = match (base, ours, theirs) {
            (None, ..) => "add/add",
            (_, None, _) => "delete/edit",
            (.., None) => "edit/delete",
            _ => "edit/edit",
        };
        let [was, mine, other] = sides.map(|side| side.map_or(Value::Null, &json));
        let told = json!({"service": text::service(self.service), "file": place.file,
            "pointer": place.pointer, "base": was, "ours": mine, "theirs": other});
        self.found.push(Clash { told, thing: place.thing, how });
        if self.theirs_wins { theirs.cloned() } else { ours.cloned() }
    }

    /// One value that is always there.
    fn plain<T: Clone + PartialEq>(
        &mut self,
        place: &Place,
        both: &Both<'_, T>,
        json: impl Fn(&T) -> Value,
    ) -> T {
        self.value(place, both.sides(), json).expect("both have it")
    }

    /// A set; where the empty one means anything, it is not the set of nothing, nor is none at all.
    fn set(
        &mut self,
        place: &Place,
        both: &Both<'_, Vec<u8>>,
        json: impl Fn(&Vec<u8>) -> Value,
    ) -> Vec<u8> {
        let united = |_: &mut Self, _: &Place, Both { base, ours, theirs }: Both<'_, Vec<u8>>| {
            let base = base?;
            let stays = |item: &&u8| ours.contains(item) && theirs.contains(item);
            let mut merged: Vec<u8> = base.iter().filter(stays).copied().collect();
            let either: BTreeSet<u8> = ours.iter().chain(theirs).copied().collect();
            merged.extend(either.into_iter().filter(|item| !base.contains(item)));
            let open = [base, ours, theirs, &merged].into_iter().any(Vec::is_empty);
            (!open).then_some(merged)
        };
        self.deep(place, both.sides(), json, united).expect("both have it")
    }

    fn labels(&mut self, place: &Place, both: &Both<'_, BTreeMap<u8, u8>>) -> BTreeMap<u8, u8> {
        let sides = both.sides();
        let keys: BTreeSet<u8> =
            sides.iter().flatten().flat_map(|side| side.keys()).copied().collect();
        let mut merged = BTreeMap::new();
        for key in keys {
            let at = place.at(format!("/labels/l{key}"), "label");
            let value =
                self.value(&at, sides.map(|side| side?.get(&key)), |value| text::label(*value));
            merged.extend(value.map(|value| (key, value)));
        }
        merged
    }
}

fn service(
    all: &mut Clashes,
    place: &Place,
    both: Both<'_, ServiceDocument>,
) -> Option<ServiceDocument> {
    let labels = all.labels(place, &both.part(|side| &side.labels));
    let description = all.plain(
        &place.at("/description", "value"),
        &both.part(|side| &side.description),
        |description| text::description(*description).into(),
    );
    Some(ServiceDocument { description, labels })
}

fn route(
    all: &mut Clashes,
    place: &Place,
    both: &Both<'_, RouteDocument>,
    name: u8,
) -> Option<RouteDocument> {
    let value = |key| place.at(key, "value");
    let set = |key| place.at(key, "set");
    let owner = all.service;
    Some(RouteDocument {
        labels: all.labels(place, &both.part(|side| &side.labels)),
        enabled: all
            .plain(&value("/enabled"), &both.part(|side| &side.enabled), |flag| json!(flag)),
        paths: all.set(&set("/paths"), &both.part(|side| &side.paths), |paths| {
            text::paths(owner, name, paths)
        }),
        methods: all.set(&set("/methods"), &both.part(|side| &side.methods), |methods| {
            text::methods(methods)
        }),
        priority: all
            .plain(&value("/priority"), &both.part(|side| &side.priority), |number| json!(number)),
        headers: headers(
            all,
            &place.at("/match/headers", "headers"),
            &both.part(|side| &side.headers),
        ),
        upstream: all.plain(&value("/upstream"), &both.part(|side| &side.upstream), |name| {
            json!(text::upstream(*name))
        }),
    })
}

type Predicates = Vec<(u8, u8)>;

/// Predicates by name: those of the base in its order, then the new ones by name. A place is told by where
/// the target has the predicate; what it lacks is counted on from there.
fn headers(all: &mut Clashes, place: &Place, both: &Both<'_, Predicates>) -> Predicates {
    let by_name = |all: &mut Clashes, place: &Place, both: Both<'_, Predicates>| {
        let lists = both.sides();
        let names = lists
            .map(|list| -> Vec<u8> { list.into_iter().flatten().map(|entry| entry.0).collect() });
        let [known, ours, theirs] = &names;
        let either: BTreeSet<u8> = ours.iter().chain(theirs).copied().collect();
        let new = either.into_iter().filter(|name| !known.contains(name));
        let mut counted = ours.clone();
        for name in theirs.iter().chain(known) {
            if !counted.contains(name) {
                counted.push(*name);
            }
        }
        let merged = known.iter().copied().chain(new).filter_map(|name| {
            let index = counted.iter().position(|known| *known == name).expect("all are counted");
            let at = place.at(format!("/match/headers/{index}"), "header");
            let find = lists.map(|list| list?.iter().find(|entry| entry.0 == name));
            all.value(&at, find, |entry| text::header(*entry))
        });
        Some(merged.collect())
    };
    all.deep(place, both.sides(), |list| text::headers(list), by_name).expect("both have them")
}
