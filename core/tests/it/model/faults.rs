//! What is wrong with a group, and what that means for its services.

use std::collections::BTreeSet;

use super::{File, Group, Service, Tree, VARIABLE};

/// What is wrong with a group, each fault by what makes it the same fault later.
pub(super) fn faults(group: Group, tree: &Tree) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if tree.group.from.contains(&group) {
        found.insert("fed from itself".to_owned());
    }
    for (service, content) in &tree.services {
        let upstreams = tree.runtimes.get(service).map(|file| &file.document.upstreams);
        for (name, File { document: route, .. }) in &content.routes {
            let open =
                route.headers.iter().enumerate().filter(|(_, (_, value))| *value == VARIABLE);
            if !tree.group.variable && open.clone().next().is_some() {
                // A document that is not whole is looked at no further.
                found.extend(open.map(|(at, _)| format!("{service}/{name}: header {at}")));
                continue;
            }
            if route.paths.is_empty() {
                found.insert(format!("{service}/{name}: no path"));
            }
            if let Some(known) = upstreams
                && !known.is_empty()
                && !known.contains_key(&route.upstream)
            {
                found.insert(format!("{service}/{name}: no upstream {}", route.upstream));
            }
        }
    }
    found
}

/// Whether a service takes requests, as the product words it.
pub(super) fn live(group: Group, tree: &Tree, service: Service) -> &'static str {
    let own = format!("{service}/");
    if faults(group, tree).iter().any(|fault| fault.starts_with(&own)) {
        return "invalid";
    }
    let runtime = tree.runtimes.get(&service).map(|file| &file.document);
    let routes = tree.services[&service].routes.values().map(|file| &file.document);
    let mut enabled = routes.filter(|route| route.enabled).peekable();
    let has_nodes = |name: &u8| {
        let upstream = runtime.and_then(|runtime| runtime.upstreams.get(name));
        upstream.is_some_and(|upstream| upstream.nodes > 0)
    };
    if runtime.is_some_and(|runtime| !runtime.enabled) {
        "disabled"
    } else if enabled.peek().is_none() {
        "no_routes"
    } else if enabled.all(|route| has_nodes(&route.upstream)) {
        "live"
    } else {
        "no_nodes"
    }
}
