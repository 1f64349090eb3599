//! Random steps, made to mean something in the state that they meet.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::subsequence;
use refgate_core::merge::OnConflict;

use super::{
    Content, Edit, GroupDocument, Model, RouteDocument, RoutePatch, RuntimeDocument,
    ServiceDocument, Source, Step, Upstream, VARIABLE,
};

pub(super) const SERVICES: [u8; 3] = [0, 1, 2];

/// A number that stands for one that is free, where one is needed.
pub(super) const FREE: u8 = u8::MAX;

/// The step with numbers that mean something in this state, so that most steps are not refused.
pub(super) fn named(model: &Model, step: &Step) -> Step {
    let count = |service: u8| {
        u8::try_from(model.versions.get(&service).map_or(0, BTreeMap::len)).expect("few")
    };
    let free = |service: u8, number: u8| if number == FREE { count(service) } else { number };
    match step.clone() {
        Step::Tag(group, service, number) => Step::Tag(group, service, free(service, number)),
        Step::RollbackService(group, service, number) => {
            Step::RollbackService(group, service, number % (count(service) + 1))
        }
        Step::Sync(target, items, runtime, on_conflict) => {
            Step::Sync(target, sources(model, items), runtime, on_conflict)
        }
        Step::SyncEach(targets, items, on_conflict) => {
            Step::SyncEach(targets, sources(model, items), on_conflict)
        }
        other => other,
    }
}

fn sources(model: &Model, items: Vec<(u8, Source)>) -> Vec<(u8, Source)> {
    let named = |(service, source): (u8, Source)| {
        let count = model.versions.get(&service).map_or(0, BTreeMap::len);
        let count = u8::try_from(count).expect("few");
        let source = match source {
            Source::Version(number) => Source::Version(number % (count + 1)),
            Source::Group(from, Some(FREE)) => {
                let content = model.head(from).services.get(&service);
                let tagged =
                    content.is_some_and(|content| model.number_of(service, content).is_some());
                Source::Group(from, (!tagged).then_some(count))
            }
            other => other,
        };
        (service, source)
    };
    items.into_iter().map(named).collect()
}

/// Two services that two groups run, for the random steps to begin with.
pub(super) fn beginning() -> Vec<Step> {
    let route = RouteDocument {
        enabled: true,
        paths: vec![0, 1],
        methods: vec![0, 1],
        labels: BTreeMap::from([(0, 0)]),
        headers: vec![(0, 0)],
        ..RouteDocument::default()
    };
    let service =
        ServiceDocument { labels: BTreeMap::from([(0, 0)]), ..ServiceDocument::default() };
    let content = Content {
        service: service.into(),
        routes: BTreeMap::from([(0, route.clone().into()), (1, route.into())]),
    };
    let upstreams = BTreeMap::from([(0, Upstream { nodes: 1, pass_node: true })]);
    let runtime = RuntimeDocument { enabled: true, hosts: vec![0], upstreams };
    let first = |service| (service, Source::Group(0, Some(0)));
    vec![
        Step::PutService(0, 0, content.clone(), Some(runtime.clone())),
        Step::PutService(0, 1, content, Some(runtime)),
        Step::Sync(1, vec![first(0), first(1)], None, OnConflict::Abort),
    ]
}

pub(super) fn step() -> BoxedStrategy<Step> {
    let some_route = proptest::option::of((route(), proptest::option::weighted(0.8, 0..3_u8)));
    prop_oneof![
        4 => (group(), service(), content(), proptest::option::of(runtime()))
            .prop_map(|(g, s, content, runtime)| Step::PutService(g, s, content, runtime)),
        2 => (group(), service(), 0..3_u8, some_route)
            .prop_map(|(g, s, description, route)| Step::PatchService(g, s, description, route)),
        1 => (group(), service(), 0..2_u8, label())
            .prop_map(|(g, s, key, value)| Step::PatchLabel(g, s, key, value)),
        1 => (group(), service()).prop_map(|(g, s)| Step::DeleteService(g, s)),
        2 => (group(), service(), route(), route_document())
            .prop_map(|(g, s, r, document)| Step::PutRoute(g, s, r, document)),
        4 => (group(), service(), route(), route_patch())
            .prop_map(|(g, s, r, patch)| Step::PatchRoute(g, s, r, patch)),
        2 => (group(), service(), route()).prop_map(|(g, s, r)| Step::DeleteRoute(g, s, r)),
        2 => (group(), service(), runtime()).prop_map(|(g, s, runtime)| Step::PutRuntime(g, s, runtime)),
        2 => (group(), service(), any::<bool>(), hosts())
            .prop_map(|(g, s, enabled, hosts)| Step::PatchRuntime(g, s, enabled, hosts)),
        3 => (group(), group_document()).prop_map(|(g, document)| Step::PatchGroup(g, document)),
        4 => (group(), service(), number()).prop_map(|(g, s, v)| Step::Tag(g, s, v)),
        6 => (pair(), items(), proptest::option::weighted(0.2, runtime()), on_conflict())
            .prop_map(|((from, to), items, runtime, on_conflict)| {
                Step::Sync(to, items_of(from, items), runtime, on_conflict)
            }),
        3 => (group(), items(), on_conflict()).prop_map(|(from, items, on_conflict)| {
            let targets = (0..3).filter(|to| *to != from).collect();
            Step::SyncEach(targets, items_of(from, items), on_conflict)
        }),
        4 => (group(), service(), 0..6_u8).prop_map(|(g, s, v)| Step::RollbackService(g, s, v)),
        3 => (group(), 0..12_u64).prop_map(|(g, revision)| Step::RollbackGroup(g, revision)),
        4 => (group(), vec(edit(), 1..3)).prop_map(|(g, edits)| Step::Push(g, edits)),
    ]
    .boxed()
}

/// The items, each that comes from a group coming from this one.
fn items_of(from: usize, items: Vec<(u8, Source)>) -> Vec<(u8, Source)> {
    let of = |source| match source {
        Source::Group(_, number) => Source::Group(from, number),
        version @ Source::Version(_) => version,
    };
    items.into_iter().map(|(service, source)| (service, of(source))).collect()
}

/// Two groups: where something comes from, and where it goes.
pub(super) fn pair() -> impl Strategy<Value = (usize, usize)> {
    prop_oneof![
        7 => Just((0, 1)),
        2 => Just((1, 0)),
        2 => Just((1, 2)),
        1 => Just((0, 2)),
    ]
}

pub(super) fn route() -> impl Strategy<Value = u8> {
    prop_oneof![4 => Just(0), 3 => Just(1), 2 => Just(2)]
}

pub(super) fn label() -> impl Strategy<Value = Option<u8>> {
    proptest::option::weighted(0.7, 0..3_u8)
}

fn group_document() -> impl Strategy<Value = GroupDocument> {
    let from = subsequence(vec![0, 1, 2], 0..2);
    (from, proptest::bool::weighted(0.2), proptest::bool::weighted(0.7))
        .prop_map(|(from, runtime_only, variable)| GroupDocument { from, runtime_only, variable })
}

fn number() -> impl Strategy<Value = u8> {
    prop_oneof![4 => Just(FREE), 1 => 0..4_u8]
}

pub(super) fn group() -> impl Strategy<Value = usize> {
    prop_oneof![4 => Just(0), 4 => Just(1), 1 => Just(2)]
}

pub(super) fn service() -> impl Strategy<Value = u8> {
    prop_oneof![6 => Just(0), 3 => Just(1), 1 => Just(2)]
}

fn items() -> impl Strategy<Value = Vec<(u8, Source)>> {
    let source = || {
        prop_oneof![
            6 => number().prop_map(|number| Source::Group(0, Some(number))),
            1 => Just(Source::Group(0, None)),
            2 => (0..6_u8).prop_map(Source::Version),
        ]
    };
    prop_oneof![
        4 => (service(), source()).prop_map(|item| vec![item]),
        1 => (source(), source()).prop_map(|(first, second)| vec![(0, first), (1, second)]),
    ]
}

pub(super) fn on_conflict() -> impl Strategy<Value = OnConflict> {
    prop_oneof![
        3 => Just(OnConflict::Abort),
        2 => Just(OnConflict::Theirs),
        3 => Just(OnConflict::Ours),
    ]
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        1 => (service(), service_document()).prop_map(|(s, document)| Edit::Service(s, document)),
        3 => (service(), route(), route_document()).prop_map(|(s, r, document)| Edit::Route(s, r, document)),
        2 => (service(), runtime()).prop_map(|(s, runtime)| Edit::Runtime(s, runtime)),
        1 => service().prop_map(Edit::RemoveContent),
        1 => service().prop_map(Edit::RemoveRuntime),
        3 => (service(), group()).prop_map(|(s, from)| Edit::Copy(s, from)),
    ]
}

pub(super) fn content() -> BoxedStrategy<Content> {
    let routes = btree_map(route(), route_document().prop_map(Into::into), 0..4);
    (service_document(), routes)
        .prop_map(|(service, routes)| Content { service: service.into(), routes })
        .boxed()
}

fn service_document() -> impl Strategy<Value = ServiceDocument> {
    (0..2_u8, labels()).prop_map(|(description, labels)| ServiceDocument { description, labels })
}

pub(super) fn route_document() -> BoxedStrategy<RouteDocument> {
    let upstream = prop_oneof![12 => Just(0), 1 => Just(1)];
    let enabled = proptest::bool::weighted(0.9);
    (enabled, list(1), list(0), 0..2_u8, labels(), predicates(), upstream)
        .prop_map(|(enabled, paths, methods, priority, labels, headers, upstream)| RouteDocument {
            enabled,
            paths,
            methods,
            priority,
            labels,
            headers,
            upstream,
        })
        .boxed()
}

fn labels() -> impl Strategy<Value = BTreeMap<u8, u8>> {
    btree_map(0..2_u8, 0..2_u8, 0..2)
}

pub(super) fn route_patch() -> BoxedStrategy<RoutePatch> {
    prop_oneof![
        list(1).prop_map(RoutePatch::Paths),
        list(0).prop_map(RoutePatch::Methods),
        (0..3_u8).prop_map(RoutePatch::Priority),
        predicates().prop_map(RoutePatch::Headers),
        any::<bool>().prop_map(RoutePatch::Enabled),
        (0..2_u8, label()).prop_map(|(key, value)| RoutePatch::Label(key, value)),
    ]
    .boxed()
}

/// Some of two or three things, in any order.
pub(super) fn list(least: usize) -> impl Strategy<Value = Vec<u8>> {
    let of_two = subsequence(vec![0, 1], least..=2).prop_shuffle();
    prop_oneof![3 => of_two, 1 => subsequence(vec![0, 1, 2], least..=3).prop_shuffle()]
}

pub(super) fn predicates() -> impl Strategy<Value = Vec<(u8, u8)>> {
    let value = prop_oneof![9 => 0..3_u8, 1 => Just(VARIABLE)];
    btree_map(0..2_u8, value, 0..3).prop_map(|all| all.into_iter().collect()).prop_shuffle()
}

pub(super) fn runtime() -> BoxedStrategy<RuntimeDocument> {
    let upstream = |share| {
        let settings = (0..2_u8, any::<bool>());
        let upstream = settings.prop_map(|(nodes, pass_node)| Upstream { nodes, pass_node });
        proptest::option::weighted(share, upstream)
    };
    (proptest::bool::weighted(0.9), hosts(), upstream(0.9), upstream(0.4))
        .prop_map(|(enabled, hosts, first, second)| {
            let named = [(0, first), (1, second)].into_iter();
            let upstreams = named.filter_map(|(name, upstream)| Some((name, upstream?))).collect();
            RuntimeDocument { enabled, hosts, upstreams }
        })
        .boxed()
}

fn hosts() -> impl Strategy<Value = Vec<u8>> {
    subsequence(vec![0, 1], 0..=2)
}
