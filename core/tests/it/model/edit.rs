//! Changes by hand, on one tree.

use std::collections::BTreeMap;

use super::{Refusal, RoutePatch, RuntimeDocument, Service, Step, Tree};

pub(super) fn edit_tree(tree: &mut Tree, step: &Step) -> Result<(), Refusal> {
    match step {
        Step::PutService(_, service, content, runtime) => {
            tree.services.insert(*service, content.clone());
            let runtime = runtime.clone().map(|runtime| (*service, runtime.into()));
            tree.runtimes.extend(runtime);
        }
        Step::PatchService(_, service, description, route) => {
            let content = tree.services.get_mut(service).ok_or("not_found")?;
            content.service.document.description = *description;
            if let Some((route, priority)) = route {
                match priority {
                    None => drop(content.routes.remove(route)),
                    // Without a path there, the route is none.
                    Some(priority) => {
                        content.routes.entry(*route).or_default().document.priority = *priority;
                    }
                }
            }
            written_whole(tree, *service);
        }
        Step::PatchLabel(_, service, key, value) => {
            let content = tree.services.get_mut(service).ok_or("not_found")?;
            put_label(&mut content.service.document.labels, *key, *value);
            written_whole(tree, *service);
        }
        Step::DeleteService(_, service) => {
            tree.services.remove(service).ok_or("not_found")?;
            tree.runtimes.remove(service);
        }
        Step::PutRoute(_, service, route, document) => {
            let content = tree.services.get_mut(service).ok_or("not_found")?;
            content.routes.insert(*route, document.clone().into());
        }
        Step::PatchRoute(_, service, route, patch) => {
            let content = tree.services.get_mut(service).ok_or("not_found")?;
            let file = content.routes.get_mut(route).ok_or("not_found")?;
            match patch.clone() {
                RoutePatch::Paths(paths) => file.document.paths = paths,
                RoutePatch::Methods(methods) => file.document.methods = methods,
                RoutePatch::Priority(priority) => file.document.priority = priority,
                RoutePatch::Headers(headers) => file.document.headers = headers,
                RoutePatch::Enabled(enabled) => file.document.enabled = enabled,
                RoutePatch::Label(key, value) => put_label(&mut file.document.labels, key, value),
            }
            file.as_pushed = false;
        }
        Step::DeleteRoute(_, service, route) => {
            let content = tree.services.get_mut(service).ok_or("not_found")?;
            content.routes.remove(route).ok_or("not_found")?;
        }
        Step::PutRuntime(_, service, runtime) => {
            tree.services.get(service).ok_or("not_found")?;
            tree.runtimes.insert(*service, runtime.clone().into());
        }
        Step::PatchRuntime(_, service, enabled, hosts) => {
            tree.services.get(service).ok_or("not_found")?;
            let fresh = || RuntimeDocument { enabled: true, ..RuntimeDocument::default() }.into();
            let file = tree.runtimes.entry(*service).or_insert_with(fresh);
            file.document.enabled = *enabled;
            file.document.hosts.clone_from(hosts);
            file.as_pushed = false;
        }
        Step::PatchGroup(_, document) => tree.group = document.clone(),
        _ => unreachable!("not an edit by hand"),
    }
    Ok(())
}

fn put_label(labels: &mut BTreeMap<u8, u8>, key: u8, value: Option<u8>) {
    match value {
        Some(value) => drop(labels.insert(key, value)),
        None => drop(labels.remove(&key)),
    }
}

/// A patch of a service writes it whole, in canonical form.
fn written_whole(tree: &mut Tree, service: Service) {
    if let Some(content) = tree.services.get_mut(&service) {
        content.service.as_pushed = false;
        content.routes.values_mut().for_each(|route| route.as_pushed = false);
    }
    if let Some(runtime) = tree.runtimes.get_mut(&service) {
        runtime.as_pushed = false;
    }
}
