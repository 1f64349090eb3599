//! Random steps, made to mean something in the state that they meet.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::subsequence;
use refgate_core::merge::OnConflict;

use super::{
    Content, Edit, Model, RouteDocument, RoutePatch, RuntimeDocument, ServiceDocument, Source,
    Step, Upstream,
};

pub(super) const SERVICES: [u8; 2] = [0, 1];

/// A number that stands for one that is free, where one is needed.
const FREE: u8 = u8::MAX;

/// The step with numbers that mean something in this state, so that most steps are not refused.
pub(super) fn named(model: &Model, step: &Step) -> Step {
    let count = |service: u8| {
        u8::try_from(model.versions.get(&service).map_or(0, BTreeMap::len)).expect("few")
    };
    let known = |service: u8, number: u8| number % (count(service) + 1);
    let free = |service: u8, number: u8| if number == FREE { count(service) } else { number };
    match step.clone() {
        Step::Tag(group, service, number) => Step::Tag(group, service, free(service, number)),
        Step::RollbackService(group, service, number) => {
            Step::RollbackService(group, service, known(service, number))
        }
        Step::Sync(target, items, runtime, on_conflict) => {
            let items = items.into_iter().map(|(service, source)| {
                let source = match source {
                    Source::Version(number) => Source::Version(known(service, number)),
                    Source::Group(from, Some(FREE)) => {
                        let content = model.head(from).services.get(&service);
                        let tagged = content
                            .is_some_and(|content| model.number_of(service, content).is_some());
                        Source::Group(from, (!tagged).then(|| count(service)))
                    }
                    other => other,
                };
                (service, source)
            });
            Step::Sync(target, items.collect(), runtime, on_conflict)
        }
        other => other,
    }
}

/// A service that two groups run, for the random steps to begin with.
pub(super) fn beginning() -> Vec<Step> {
    let route = RouteDocument {
        enabled: true,
        paths: vec![0, 1],
        methods: vec![0, 1],
        ..RouteDocument::default()
    };
    let content = Content {
        service: ServiceDocument::default().into(),
        routes: BTreeMap::from([(0, route.clone().into()), (1, route.into())]),
    };
    let upstreams = BTreeMap::from([(0, Upstream { nodes: 1, pass_node: true })]);
    let runtime = RuntimeDocument { enabled: true, hosts: vec![0], upstreams };
    vec![
        Step::PutService(0, 0, content, Some(runtime)),
        Step::Sync(1, vec![(0, Source::Group(0, Some(0)))], None, OnConflict::Abort),
    ]
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let route = 0..2_u8;
    let some_route =
        proptest::option::of((route.clone(), proptest::option::weighted(0.8, 0..3_u8)));
    prop_oneof![
        4 => (group(), service(), content(), proptest::option::of(runtime()))
            .prop_map(|(g, s, content, runtime)| Step::PutService(g, s, content, runtime)),
        2 => (group(), service(), 0..3_u8, some_route)
            .prop_map(|(g, s, description, route)| Step::PatchService(g, s, description, route)),
        1 => (group(), service()).prop_map(|(g, s)| Step::DeleteService(g, s)),
        4 => (group(), service(), route.clone(), route_document())
            .prop_map(|(g, s, r, document)| Step::PutRoute(g, s, r, document)),
        12 => (group(), service(), route.clone(), route_patch())
            .prop_map(|(g, s, r, patch)| Step::PatchRoute(g, s, r, patch)),
        2 => (group(), service(), route).prop_map(|(g, s, r)| Step::DeleteRoute(g, s, r)),
        2 => (group(), service(), runtime()).prop_map(|(g, s, runtime)| Step::PutRuntime(g, s, runtime)),
        2 => (group(), service(), any::<bool>(), hosts())
            .prop_map(|(g, s, enabled, hosts)| Step::PatchRuntime(g, s, enabled, hosts)),
        1 => (group(), subsequence(vec![0, 1, 2], 0..2), proptest::bool::weighted(0.3))
            .prop_map(|(g, from, only)| Step::PatchGroup(g, from, only)),
        3 => (group(), service(), number()).prop_map(|(g, s, v)| Step::Tag(g, s, v)),
        16 => (group(), group(), items(), proptest::option::weighted(0.2, runtime()), on_conflict())
            .prop_map(|(to, from, items, runtime, on_conflict)| {
                let from = if from == to { 1 - to.min(1) } else { from };
                let items = items.into_iter().map(|(service, source)| (service, match source {
                    Source::Group(_, number) => Source::Group(from, number),
                    version @ Source::Version(_) => version,
                }));
                Step::Sync(to, items.collect(), runtime, on_conflict)
            }),
        4 => (group(), service(), 0..6_u8).prop_map(|(g, s, v)| Step::RollbackService(g, s, v)),
        2 => (group(), 0..12_u64).prop_map(|(g, revision)| Step::RollbackGroup(g, revision)),
        6 => (group(), vec(edit(), 1..3)).prop_map(|(g, edits)| Step::Push(g, edits)),
    ]
}

fn number() -> impl Strategy<Value = u8> {
    prop_oneof![4 => Just(FREE), 1 => 0..4_u8]
}

fn group() -> impl Strategy<Value = usize> {
    prop_oneof![4 => Just(0), 4 => Just(1), 1 => Just(2)]
}

fn service() -> impl Strategy<Value = u8> {
    prop_oneof![5 => Just(0), 1 => Just(1)]
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

fn on_conflict() -> impl Strategy<Value = OnConflict> {
    prop_oneof![Just(OnConflict::Abort), Just(OnConflict::Theirs), Just(OnConflict::Ours)]
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        1 => (service(), service_document()).prop_map(|(s, document)| Edit::Service(s, document)),
        3 => (service(), 0..2_u8, route_document()).prop_map(|(s, r, document)| Edit::Route(s, r, document)),
        2 => (service(), runtime()).prop_map(|(s, runtime)| Edit::Runtime(s, runtime)),
        1 => service().prop_map(Edit::RemoveContent),
        1 => service().prop_map(Edit::RemoveRuntime),
        3 => (service(), group()).prop_map(|(s, from)| Edit::Copy(s, from)),
    ]
}

fn content() -> impl Strategy<Value = Content> {
    let routes = btree_map(0..2_u8, route_document().prop_map(Into::into), 0..4);
    (service_document(), routes)
        .prop_map(|(service, routes)| Content { service: service.into(), routes })
}

fn service_document() -> impl Strategy<Value = ServiceDocument> {
    (0..2_u8, btree_map(0..2_u8, 0..2_u8, 0..2))
        .prop_map(|(description, labels)| ServiceDocument { description, labels })
}

fn route_document() -> impl Strategy<Value = RouteDocument> {
    let upstream = prop_oneof![12 => Just(0), 1 => Just(1)];
    (proptest::bool::weighted(0.9), list(1), list(0), 0..2_u8, predicates(), upstream).prop_map(
        |(enabled, paths, methods, priority, headers, upstream)| RouteDocument {
            enabled,
            paths,
            methods,
            priority,
            headers,
            upstream,
        },
    )
}

fn route_patch() -> impl Strategy<Value = RoutePatch> {
    prop_oneof![
        list(1).prop_map(RoutePatch::Paths),
        list(0).prop_map(RoutePatch::Methods),
        (0..3_u8).prop_map(RoutePatch::Priority),
        predicates().prop_map(RoutePatch::Headers),
        any::<bool>().prop_map(RoutePatch::Enabled),
    ]
}

/// Some of three things, in any order.
fn list(least: usize) -> impl Strategy<Value = Vec<u8>> {
    subsequence(vec![0, 1, 2], least..=3).prop_shuffle()
}

fn predicates() -> impl Strategy<Value = Vec<(u8, u8)>> {
    btree_map(0..2_u8, 0..2_u8, 0..3).prop_map(|all| all.into_iter().collect()).prop_shuffle()
}

fn runtime() -> impl Strategy<Value = RuntimeDocument> {
    let upstream = |share| {
        let settings = (0..2_u8, any::<bool>());
        let upstream = settings.prop_map(|(nodes, pass_node)| Upstream { nodes, pass_node });
        proptest::option::weighted(share, upstream)
    };
    (proptest::bool::weighted(0.9), hosts(), upstream(0.9), upstream(0.4)).prop_map(
        |(enabled, hosts, first, second)| {
            let named = [(0, first), (1, second)].into_iter();
            let upstreams = named.filter_map(|(name, upstream)| Some((name, upstream?))).collect();
            RuntimeDocument { enabled, hosts, upstreams }
        },
    )
}

fn hosts() -> impl Strategy<Value = Vec<u8>> {
    subsequence(vec![0, 1], 0..=2)
}
