//! Short stories of a few steps, so that a run comes to what single random steps rarely come to: both
//! sides of a sync changed in the same place, in each of the ways in which that can be.

use proptest::prelude::*;
use refgate_core::merge::OnConflict;

use super::steps::{
    FREE, content, group, label, list, on_conflict, pair, predicates, route, route_document,
    route_patch, runtime, service, step,
};
use super::{
    Edit, Group, GroupDocument, Route, RouteDocument, RoutePatch, Service, Source, Step, VARIABLE,
};

/// Boxed, as all that is large here: strategies are nested by value, and a test's stack is small.
pub(super) fn episode() -> BoxedStrategy<Vec<Step>> {
    let one = step().prop_map(|step| vec![step]);
    prop_oneof![
        6 => one,
        16 => conflict(),
        8 => both_sides(),
        3 => both_sides_of_both(),
        1 => strangers(),
        2 => chain(),
        1 => locked(),
        1 => numbered(),
        1 => gated(),
        1 => lacking(),
        1 => since_then(),
    ]
    .boxed()
}

/// A change of one route, made in one of two groups.
#[derive(Debug, Clone)]
enum Touch {
    Patch(RoutePatch),
    Put(RouteDocument),
    /// As somebody pushes it, not canonical.
    Push(RouteDocument),
    Delete,
    /// Of the service's own document.
    Label(u8, Option<u8>),
}

impl Touch {
    fn step(self, group: Group, service: Service, route: Route) -> Step {
        match self {
            Self::Patch(patch) => Step::PatchRoute(group, service, route, patch),
            Self::Put(document) => Step::PutRoute(group, service, route, document),
            Self::Push(document) => Step::Push(group, vec![Edit::Route(service, route, document)]),
            Self::Delete => Step::DeleteRoute(group, service, route),
            Self::Label(key, value) => Step::PatchLabel(group, service, key, value),
        }
    }
}

/// One thing as the last version had it, and what the target and the source make of it: a conflict.
fn conflict() -> BoxedStrategy<Vec<Step>> {
    let sides = prop_oneof![
        Just([Some(0), Some(1), Some(2)]),
        Just([Some(0), None, Some(1)]),
        Just([Some(0), Some(1), None]),
        Just([None, Some(1), Some(2)]),
    ];
    let make: fn(Option<u8>) -> Touch = |value| match value {
        Some(priority) => Touch::Put(RouteDocument {
            enabled: true,
            paths: vec![0],
            priority,
            ..RouteDocument::default()
        }),
        None => Touch::Delete,
    };
    let header: fn(Option<u8>) -> Touch = |value| {
        Touch::Patch(RoutePatch::Headers(value.map(|value| (1, value)).into_iter().collect()))
    };
    let thing = prop_oneof![
        2 => Just(make),
        3 => Just(header),
        2 => Just((|value| Touch::Label(1, value)) as fn(_) -> _),
        2 => Just((|value| Touch::Patch(RoutePatch::Label(1, value))) as fn(_) -> _),
    ];
    (pair(), service(), route(), thing, sides, on_conflict())
        .prop_map(|((from, to), service, route, touch, sides, on_conflict)| {
            let [base, ours, theirs] = sides.map(touch);
            vec![
                base.step(from, service, route),
                sync(from, to, &[service], OnConflict::Theirs),
                ours.step(to, service, route),
                theirs.step(from, service, route),
                sync(from, to, &[service], on_conflict),
            ]
        })
        .boxed()
}

/// Changes of the same thing, one in the target and one in the source.
fn twins() -> BoxedStrategy<(Touch, Touch)> {
    let two = |one: BoxedStrategy<Touch>| (one.clone(), one);
    let patch = |patch: BoxedStrategy<RoutePatch>| patch.prop_map(Touch::Patch).boxed();
    let priority = (0..4_u8).prop_map(RoutePatch::Priority).boxed();
    let paths = list(1).prop_map(RoutePatch::Paths).boxed();
    let methods = list(0).prop_map(RoutePatch::Methods).boxed();
    let headers = predicates().prop_map(RoutePatch::Headers).boxed();
    let label = |make: fn(u8, Option<u8>) -> Touch| {
        (0..2_u8, label(), label())
            .prop_map(move |(key, one, other)| (make(key, one), make(key, other)))
    };
    let own_label = label(Touch::Label);
    let route_label = label(|key, value| Touch::Patch(RoutePatch::Label(key, value)));
    let any = || {
        prop_oneof![
            4 => route_patch().prop_map(Touch::Patch),
            2 => route_document().prop_map(Touch::Put),
            1 => route_document().prop_map(Touch::Push),
        ]
    };
    prop_oneof![
        3 => two(patch(priority)),
        3 => two(patch(paths)),
        4 => two(patch(methods)),
        4 => two(patch(headers)),
        2 => route_label,
        2 => own_label,
        1 => (Just(Touch::Delete), any()),
        1 => (any(), Just(Touch::Delete)),
        2 => (any(), any()),
        1 => (route_document().prop_map(Touch::Put), route_document().prop_map(Touch::Push)),
    ]
    .boxed()
}

fn sync(from: Group, to: Group, services: &[Service], on_conflict: OnConflict) -> Step {
    let item = |service: &Service| (*service, Source::Group(from, Some(FREE)));
    Step::Sync(to, services.iter().map(item).collect(), None, on_conflict)
}

/// One thing changed in target and source, and a sync; before it, perhaps, one that makes them agree,
/// and after it, perhaps, one that settles what the first refused.
fn both_sides() -> BoxedStrategy<Vec<Step>> {
    let settled = prop_oneof![Just(None), on_conflict().prop_map(Some)];
    (pair(), service(), route(), twins(), any::<bool>(), on_conflict(), settled)
        .prop_map(|((from, to), service, route, (ours, theirs), agree, on_conflict, settled)| {
            let first = agree.then(|| sync(from, to, &[service], OnConflict::Theirs));
            let last = settled.map(|side| sync(from, to, &[service], side));
            let middle = [
                ours.step(to, service, route),
                theirs.step(from, service, route),
                sync(from, to, &[service], on_conflict),
            ];
            first.into_iter().chain(middle).chain(last).collect()
        })
        .boxed()
}

/// The same with both services, which come together or not at all.
fn both_sides_of_both() -> BoxedStrategy<Vec<Step>> {
    (pair(), route(), twins(), twins(), any::<bool>(), on_conflict())
        .prop_map(
            |((from, to), route, (ours, theirs), (ours_too, theirs_too), agree, on_conflict)| {
                let first = agree.then(|| sync(from, to, &[0, 1], OnConflict::Theirs));
                let rest = [
                    ours.step(to, 0, route),
                    theirs.step(from, 0, route),
                    ours_too.step(to, 1, route),
                    theirs_too.step(from, 1, route),
                    sync(from, to, &[0, 1], on_conflict),
                ];
                first.into_iter().chain(rest).collect()
            },
        )
        .boxed()
}

/// Two groups made a service of the same name, each on its own.
fn strangers() -> BoxedStrategy<Vec<Step>> {
    (pair(), content(), content(), on_conflict())
        .prop_map(|((from, to), theirs, ours, on_conflict)| {
            vec![
                Step::PutService(from, 2, theirs, None),
                Step::PutService(to, 2, ours, None),
                sync(from, to, &[2], on_conflict),
            ]
        })
        .boxed()
}

/// A change on its way through all groups.
fn chain() -> BoxedStrategy<Vec<Step>> {
    (service(), route(), route_patch(), on_conflict())
        .prop_map(|(service, route, patch, on_conflict)| {
            vec![
                Step::PatchRoute(0, service, route, patch),
                sync(0, 1, &[service], on_conflict),
                sync(1, 2, &[service], on_conflict),
            ]
        })
        .boxed()
}

/// A group that takes only versions: no change by hand but of what it owns; sync and rollback go on.
fn locked() -> BoxedStrategy<Vec<Step>> {
    let rules =
        |runtime_only| GroupDocument { runtime_only, variable: true, ..GroupDocument::default() };
    (pair(), service(), route(), twins(), runtime(), 0..3_u8)
        .prop_map(move |((from, to), service, route, (ours, theirs), runtime, number)| {
            vec![
                Step::PatchGroup(to, rules(true)),
                ours.step(to, service, route),
                Step::PutRuntime(to, service, runtime),
                theirs.step(from, service, route),
                sync(from, to, &[service], OnConflict::Theirs),
                Step::RollbackService(to, service, number),
                Step::PatchGroup(to, rules(false)),
            ]
        })
        .boxed()
}

/// A sync that gives no number, or one that may be taken, or not the content's.
fn numbered() -> BoxedStrategy<Vec<Step>> {
    (pair(), service(), route(), route_patch(), proptest::option::of(0..4_u8))
        .prop_map(|((from, to), service, route, patch, number)| {
            let items = vec![(service, Source::Group(from, number))];
            vec![
                Step::PatchRoute(from, service, route, patch),
                Step::Sync(to, items.clone(), None, OnConflict::Theirs),
                sync(from, to, &[service], OnConflict::Theirs),
                Step::Sync(to, items, None, OnConflict::Theirs),
            ]
        })
        .boxed()
}

/// Two services straight into a group that takes only what has run in another.
fn gated() -> BoxedStrategy<Vec<Step>> {
    let rules = GroupDocument { from: vec![1], variable: true, ..GroupDocument::default() };
    (route(), route_patch(), on_conflict())
        .prop_map(move |(route, patch, on_conflict)| {
            let items = [0, 1].map(|service| (service, Source::Group(0, Some(FREE))));
            vec![
                Step::PatchGroup(2, rules.clone()),
                Step::PatchRoute(0, 1, route, patch),
                sync(0, 2, &[0, 1], on_conflict),
                Step::SyncEach(vec![2, 1], items.to_vec(), on_conflict),
                sync(0, 2, &[0, 1], on_conflict),
            ]
        })
        .boxed()
}

/// Two services of which one needs a variable that the target lacks, and then has.
fn lacking() -> BoxedStrategy<Vec<Step>> {
    let rules = |variable| GroupDocument { variable, ..GroupDocument::default() };
    (pair(), route(), on_conflict())
        .prop_map(move |((from, to), route, on_conflict)| {
            let headers = RoutePatch::Headers(vec![(0, VARIABLE)]);
            vec![
                Step::PatchGroup(to, rules(false)),
                Step::PatchGroup(from, rules(true)),
                Step::PatchRoute(from, 1, route, headers),
                sync(from, to, &[0, 1], on_conflict),
                Step::PatchGroup(to, rules(true)),
                sync(from, to, &[0, 1], on_conflict),
            ]
        })
        .boxed()
}

/// A group put back to before one of its services.
fn since_then() -> BoxedStrategy<Vec<Step>> {
    (group(), content(), 1..4_u64)
        .prop_map(|(group, content, revision)| {
            vec![Step::PutService(group, 2, content, None), Step::RollbackGroup(group, revision)]
        })
        .boxed()
}
