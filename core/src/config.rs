//! The proven configuration of a group at a commit, made from its tree.
//!
//! Loading does work in proportion to what changed since a configuration loaded before:
//! a service whose content and runtime are the same objects keeps its [`Arc`]. What is found wrong
//! is told in full; a service or object at fault is left out, so that the rest can be used without
//! it.

mod load;
mod object;
mod read;
mod survey;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use git2::Oid;

use crate::diagnostic::Diagnostic;
use crate::document::{Group, Route, Runtime, Service};
use crate::name::{CommitId, ContentId, GroupName, RouteName, ServiceName};
use crate::validate::{Claim, Claims};

pub(crate) use load::load;
pub use object::GroupObjects;
pub(crate) use read::{check_runtime, content_errors};

/// A group whose every document is sound.
#[derive(Debug, Clone)]
pub struct GroupConfig {
    /// The group.
    pub name: GroupName,
    /// The commit that the configuration is of.
    pub commit: CommitId,
    /// `group.json`.
    pub group: Arc<Group>,
    /// The sound services. Copies share what is the same in them.
    pub services: Services,
    /// The sound consumers, certificates and global rules.
    pub objects: GroupObjects,
    basis: Basis,
    claims: Claims,
    /// The last good forms of services that were left out. They keep what they claim: gateways go on
    /// serving them.
    kept: Services,
    /// Services that show their nodes a certificate of the group.
    certificate_users: CertificateUsers,
}

type CertificateUsers = rpds::RedBlackTreeSetSync<ServiceName>;

/// Services by name, cheap to copy and to change a little.
pub type Services = rpds::RedBlackTreeMapSync<ServiceName, Arc<ServiceConfig>>;

/// What a configuration was loaded from, as far as the next load can go on from it.
#[derive(Debug, Clone, Default)]
struct Basis {
    /// `group.json`, when it was sound.
    group_file: Option<Oid>,
    /// The file that the group was read from; an earlier one while that of the tree is at fault.
    group_file_in_use: Option<Oid>,
    /// The folders of services and runtimes, when every entry had its place.
    folders: Option<Folders>,
    /// Services that were left out, to be read again.
    faulty: BTreeSet<ServiceName>,
    /// What is there for people and their editors, when it was as it should be.
    extras: Option<Vec<Oid>>,
}

/// The folders that have an entry for each service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Folders {
    services: Option<Oid>,
    runtime: Option<Oid>,
}

impl GroupConfig {
    /// The last form of a service that was good, whether it is now or not.
    fn last_good(&self, service: &ServiceName) -> Option<&Arc<ServiceConfig>> {
        self.services.get(service).or_else(|| self.kept.get(service))
    }

    /// Serves the services that were left out as faulty in their last good forms, those that have one;
    /// says which.
    pub fn serve_last_good(&mut self) -> BTreeSet<ServiceName> {
        for (name, service) in &self.kept {
            self.services.insert_mut(name.clone(), Arc::clone(service));
        }
        self.kept.keys().cloned().collect()
    }

    /// The same, to go on from with objects that are elsewhere: everything is read there, and what is
    /// at fault there is known in its last good form.
    #[must_use]
    pub fn elsewhere(&self) -> Self {
        let mut config = self.clone();
        config.basis.folders = None;
        config.objects.forget_folders();
        config
    }

    /// The services that were left out as faulty and have no last good form.
    pub(crate) fn lost(&self) -> impl Iterator<Item = &ServiceName> {
        self.basis.faulty.iter().filter(|name| !self.kept.contains_key(*name))
    }

    /// The `group.json` that [`Self::group`] was read from; nothing when it never was sound.
    pub(crate) fn group_file_in_use(&self) -> Option<Oid> {
        self.basis.group_file_in_use
    }
}

/// One service in a group.
#[derive(Debug)]
pub struct ServiceConfig {
    /// The service.
    pub name: ServiceName,
    /// The identity of its versioned content.
    pub content: ContentId,
    /// `service.json`.
    pub service: Service,
    /// Its routes.
    pub routes: BTreeMap<RouteName, Route>,
    /// What the group owns about it; every default where the group has said nothing.
    pub runtime: Runtime,
    runtime_file: Option<Oid>,
    takes: GroupParts,
    /// Which hosts and patterns its routes claim; none when it is not live.
    pub(crate) claims: Vec<Claim>,
    pub(crate) warnings: Vec<Diagnostic>,
}

/// The parts of `group.json` that the meaning of a service can depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct GroupParts {
    variables: bool,
    encoded_slashes: bool,
}

impl GroupParts {
    /// Those that are not the same in two documents.
    fn that_differ(one: &Group, other: &Group) -> Self {
        Self {
            variables: one.variables != other.variables,
            encoded_slashes: one.http.encoded_slashes != other.http.encoded_slashes,
        }
    }

    /// Whether any part is one of both.
    fn meet(self, other: Self) -> bool {
        self.variables && other.variables || self.encoded_slashes && other.encoded_slashes
    }
}

/// Whether a service takes requests in a group, and if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Live {
    /// It does.
    Live,
    /// It is switched off here.
    Disabled,
    /// It has no enabled route.
    NoRoutes,
    /// An upstream that an enabled route uses has no node here.
    NoNodes,
    /// Its documents are not sound; gateways keep its last good form.
    Invalid,
    /// An object of the group cannot be read; gateways keep what they serve.
    Damaged,
}

impl ServiceConfig {
    /// Whether the service takes requests.
    #[must_use]
    pub fn live(&self) -> Live {
        live(&self.routes, &self.runtime)
    }

    /// The file of what the group owns about it, where there is one.
    pub(crate) fn runtime_file(&self) -> Option<Oid> {
        self.runtime_file
    }

    /// Whether variables of the group are put into it.
    pub(crate) fn uses_variables(&self) -> bool {
        self.takes.variables
    }

    /// The routes that are switched on.
    pub fn enabled_routes(&self) -> impl Iterator<Item = (&RouteName, &Route)> {
        self.routes.iter().filter(|(_, route)| route.enabled)
    }
}

fn live(routes: &BTreeMap<RouteName, Route>, runtime: &Runtime) -> Live {
    let mut enabled = routes.values().filter(|route| route.enabled).peekable();
    let has_nodes = |route: &Route| {
        runtime.upstreams.get(&route.upstream).is_some_and(|upstream| !upstream.nodes.is_empty())
    };
    if !runtime.enabled {
        Live::Disabled
    } else if enabled.peek().is_none() {
        Live::NoRoutes
    } else if enabled.all(has_nodes) {
        Live::Live
    } else {
        Live::NoNodes
    }
}

/// What came of loading a group.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The sound part.
    pub config: GroupConfig,
    /// Every error, and the warnings about what was read anew; sorted.
    pub diagnostics: Vec<Diagnostic>,
    /// The services that were left out.
    pub faulty: BTreeSet<ServiceName>,
    /// The services that may be others than in the configuration loaded before, the faulty ones
    /// among them; nothing: any may.
    pub changed: Option<BTreeSet<ServiceName>>,
    /// Whether `group.json` is at fault; then `config.group` is the one loaded before, or all
    /// defaults.
    pub group_faulty: bool,
}

/// Path of a service's `service.json`.
#[must_use]
pub fn service_path(service: &ServiceName) -> String {
    format!("services/{service}/service.json")
}

/// Path of a route's file.
#[must_use]
pub fn route_path(service: &ServiceName, route: &RouteName) -> String {
    format!("services/{service}/routes/{route}.json")
}

/// Path of what a group owns about a service.
#[must_use]
pub fn runtime_path(service: &ServiceName) -> String {
    format!("runtime/{service}.json")
}
