//! What the control plane asks of a repository.

use std::collections::BTreeMap;

use git2::Oid;
use serde_json::Value;

use super::{Desk, Head, Repository};
use crate::change;
use crate::config::{self, Live, Loaded, runtime_path};
use crate::content::{document_at, lay_over, read_json};
use crate::diagnostic::Diagnostic;
use crate::diff;
use crate::document::{Group, Route, Runtime, Service, Shape};
use crate::error::Error;
use crate::index::{CommitRow, HistoryQuery, VersionRow};
use crate::name::{CommitId, ContentId, GroupName, Revision, RouteName, ServiceName};
use crate::object::{ObjectKind, ObjectName};
use crate::store::objects::EntryKind;
use crate::store::refs;
use crate::version::Version;
use crate::view::{
    CommitView, DiffView, EventView, GroupView, HistoryFilter, MatrixCell, MatrixRow, Object,
    ServiceView, Side, VersionDetail, VersionState, VersionView,
};

impl Repository {
    /// The groups, by name.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub fn groups(&self) -> Result<Vec<GroupView>, Error> {
        self.shared.read(|desk| {
            let groups = refs::groups(desk.git)?;
            groups.iter().map(|(group, _)| group_view(desk, group)).collect()
        })
    }

    /// A group.
    ///
    /// # Errors
    /// When there is none, or the repository cannot be read.
    pub fn group(&self, group: &GroupName) -> Result<GroupView, Error> {
        self.shared.read(|desk| group_view(desk, group))
    }

    /// The commit that a group is at.
    ///
    /// # Errors
    /// When there is none, or the repository cannot be read.
    pub fn head(&self, group: &GroupName) -> Result<CommitId, Error> {
        self.shared.read(|desk| Ok(desk.head(group)?.commit))
    }

    /// The services of a group, by name.
    ///
    /// # Errors
    /// When there is no such group, or the repository cannot be read.
    pub fn services(&self, group: &GroupName) -> Result<Vec<ServiceView>, Error> {
        self.shared.read(|desk| {
            let head = desk.head(group)?;
            let names = service_names(desk, head.tree)?;
            let loaded = desk.loaded(group, head)?;
            let mut touched = desk.index.last_touches(group)?;
            names
                .iter()
                .map(|name| {
                    service_view(desk, group, head, &loaded, name, touched.remove(name.as_str()))
                })
                .collect()
        })
    }

    /// A service of a group.
    ///
    /// # Errors
    /// When there is none, or the repository cannot be read.
    pub fn service(&self, group: &GroupName, service: &ServiceName) -> Result<ServiceView, Error> {
        self.shared.read(|desk| {
            let head = desk.head(group)?;
            if change::content(desk, head.tree, service)?.is_none() {
                return Err(Error::no_service(group, service));
            }
            let loaded = desk.loaded(group, head)?;
            let touched = desk.index.last_touch(group, service)?;
            service_view(desk, group, head, &loaded, service, touched)
        })
    }

    /// The routes of a service of a group, by name.
    ///
    /// # Errors
    /// When there is no such service, or the repository cannot be read.
    pub fn routes(
        &self,
        group: &GroupName,
        service: &ServiceName,
    ) -> Result<BTreeMap<String, Value>, Error> {
        self.shared.read(|desk| {
            let head = desk.head(group)?;
            let content = change::content(desk, head.tree, service)?
                .ok_or_else(|| Error::no_service(group, service))?;
            let routes = change::routes(desk, content)?;
            Ok(routes.into_iter().map(|(name, json)| (name, Route::expand(&json))).collect())
        })
    }

    /// A route of a service of a group.
    ///
    /// # Errors
    /// When there is none, or the repository cannot be read.
    pub fn route(
        &self,
        group: &GroupName,
        service: &ServiceName,
        route: &RouteName,
    ) -> Result<Object, Error> {
        self.shared.read(|desk| {
            let head = desk.head(group)?;
            if change::content(desk, head.tree, service)?.is_none() {
                return Err(Error::no_service(group, service));
            }
            let path = config::route_path(service, route);
            let (id, json) = document_at(&desk.objects, head.tree, &path)?
                .ok_or_else(|| change::no_route(group, service, route))?;
            Ok(Object { value: Route::expand(&json), etag: id.to_string() })
        })
    }

    /// What a group owns about a service; every default where it has said nothing.
    ///
    /// # Errors
    /// When there is no such service, or the repository cannot be read.
    pub fn runtime(&self, group: &GroupName, service: &ServiceName) -> Result<Object, Error> {
        self.shared.read(|desk| {
            let head = desk.head(group)?;
            if change::content(desk, head.tree, service)?.is_none() {
                return Err(Error::no_service(group, service));
            }
            let found = document_at(&desk.objects, head.tree, &runtime_path(service))?;
            let etag = change::runtime_etag(found.as_ref().map(|(id, _)| *id));
            Ok(Object { value: expanded_runtime(found), etag })
        })
    }

    /// The group-owned objects of a kind, by name.
    ///
    /// # Errors
    /// When there is no such group, or the repository cannot be read.
    pub fn objects(
        &self,
        group: &GroupName,
        kind: ObjectKind,
    ) -> Result<BTreeMap<String, Value>, Error> {
        self.shared.read(|desk| {
            let head = desk.head(group)?;
            let folder = desk.objects.find(head.tree, kind.folder())?;
            let Some(folder) = folder.filter(|entry| entry.kind == EntryKind::Folder) else {
                return Ok(BTreeMap::new());
            };
            let mut found = BTreeMap::new();
            for entry in desk.objects.tree(folder.id)? {
                let name = entry.name.strip_suffix(".json").map(|stem| kind.named(stem));
                if let (Some(Ok(name)), EntryKind::File) = (name, entry.kind) {
                    let json = read_json(&desk.objects, entry.id)?;
                    found.insert(name.as_str().to_owned(), kind.expand(&json));
                }
            }
            Ok(found)
        })
    }

    /// A group-owned object.
    ///
    /// # Errors
    /// When there is none, or the repository cannot be read.
    pub fn object(&self, group: &GroupName, object: &ObjectName) -> Result<Object, Error> {
        self.shared.read(|desk| {
            let head = desk.head(group)?;
            let (id, json) = document_at(&desk.objects, head.tree, &object.path())?
                .ok_or_else(|| change::no_object(group, object))?;
            Ok(Object { value: object.kind().expand(&json), etag: id.to_string() })
        })
    }

    /// The matrix: which group runs which version of what.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub fn matrix(&self) -> Result<Vec<MatrixRow>, Error> {
        self.shared.read(|desk| {
            let versions = desk.index.all_versions()?;
            let mut rows: BTreeMap<ServiceName, BTreeMap<GroupName, MatrixCell>> = BTreeMap::new();
            for (group, _) in refs::groups(desk.git)? {
                let head = desk.head(&group)?;
                let loaded = desk.loaded(&group, head)?;
                for service in service_names(desk, head.tree)? {
                    let state = version_state(desk, &group, head.tree, &service)?;
                    let cell = matrix_cell(state, live(&loaded, &service));
                    rows.entry(service).or_default().insert(group.clone(), cell);
                }
            }
            Ok(rows
                .into_iter()
                .map(|(service, groups)| {
                    let known = versions.get(service.as_str());
                    let latest = known.and_then(|all| all.iter().map(|(version, _)| version).max());
                    MatrixRow { latest: latest.cloned(), service, groups }
                })
                .collect())
        })
    }

    /// The row of one service in the matrix.
    ///
    /// # Errors
    /// When no group has it and it has no version, or the repository cannot be read.
    pub fn matrix_row(&self, service: &ServiceName) -> Result<MatrixRow, Error> {
        self.shared.read(|desk| {
            let mut groups = BTreeMap::new();
            for (group, _) in refs::groups(desk.git)? {
                let head = desk.head(&group)?;
                if change::content(desk, head.tree, service)?.is_some() {
                    let state = version_state(desk, &group, head.tree, service)?;
                    let loaded = desk.loaded(&group, head)?;
                    groups.insert(group, matrix_cell(state, live(&loaded, service)));
                }
            }
            let latest = desk.index.versions(service)?.into_iter().next().map(|row| row.version);
            if groups.is_empty() && latest.is_none() {
                return Err(Error::NotFound { what: format!("service {service} in any group") });
            }
            Ok(MatrixRow { service: service.clone(), groups, latest })
        })
    }

    /// The versions of a service, newest first.
    ///
    /// # Errors
    /// When nobody knows the service, or the repository cannot be read.
    pub fn versions(&self, service: &ServiceName) -> Result<Vec<VersionView>, Error> {
        let _ = self.matrix_row(service)?;
        self.shared.read(|desk| version_views(desk, service, desk.index.versions(service)?))
    }

    /// The versions of a service that a group has run, newest first.
    ///
    /// # Errors
    /// When the group does not have the service, or the repository cannot be read.
    pub fn versions_in_group(
        &self,
        group: &GroupName,
        service: &ServiceName,
    ) -> Result<Vec<VersionView>, Error> {
        self.shared.read(|desk| {
            desk.head(group)?;
            if desk.index.last_touch(group, service)?.is_none() {
                return Err(Error::no_service(group, service));
            }
            version_views(desk, service, desk.index.versions_run(group, service)?)
        })
    }

    /// A version of a service with its documents.
    ///
    /// # Errors
    /// When there is none, or the repository cannot be read.
    pub fn version(
        &self,
        service: &ServiceName,
        version: &Version,
    ) -> Result<VersionDetail, Error> {
        self.shared.read(|desk| {
            let row = desk
                .index
                .version(service, version)?
                .ok_or_else(|| Error::no_version(service, version))?;
            let content = row.content;
            let (document, routes) = versioned_documents(desk, content)?;
            let mut views = version_views(desk, service, vec![row])?;
            let version = views.pop().ok_or_else(|| Error::no_version(service, version))?;
            Ok(VersionDetail { version, document, routes })
        })
    }

    /// Events of a group, newest first.
    ///
    /// # Errors
    /// When there is no such group, or the repository cannot be read.
    pub fn history(
        &self,
        group: &GroupName,
        filter: &HistoryFilter,
    ) -> Result<Vec<EventView>, Error> {
        self.shared.read(|desk| {
            desk.head(group)?;
            let query = HistoryQuery {
                service: filter.service.clone(),
                path: filter.path.clone(),
                actor: filter.actor.clone(),
                event: filter.event.clone(),
                since: filter.since,
                until: filter.until,
                before: filter.after,
                limit: filter.limit,
            };
            let rows = desk.index.history(group, &query)?;
            Ok(rows.into_iter().map(|row| event_view(group, row)).collect())
        })
    }

    /// The last commit that wrote a file of a group or took it away: who changed this, and when.
    ///
    /// # Errors
    /// When there is no such group, or the repository cannot be read.
    pub fn last_change(&self, group: &GroupName, path: &str) -> Result<Option<EventView>, Error> {
        self.shared.read(|desk| {
            desk.head(group)?;
            let row = desk.index.last_change(group, path)?;
            Ok(row.map(|row| event_view(group, row)))
        })
    }

    /// A commit of a group with what it changed.
    ///
    /// # Errors
    /// When it is none of the group's, or the repository cannot be read.
    pub fn commit(&self, group: &GroupName, commit: CommitId) -> Result<CommitView, Error> {
        self.shared.read(|desk| {
            desk.head(group)?;
            let row =
                desk.index.commit(group, commit)?.ok_or_else(|| Error::no_commit(group, commit))?;
            let before = match row.revision {
                Revision(1) => None,
                Revision(revision) => desk
                    .index
                    .commit_at(group, Revision(revision - 1))?
                    .map(|parent| desk.tree_of(parent.commit))
                    .transpose()?,
            };
            let after = desk.tree_of(commit)?;
            let changes = diff::changes(&desk.objects, before, Some(after), "")?;
            Ok(CommitView { event: event_view(group, row), changes })
        })
    }

    /// The revision of a commit in a group, if it is one of the group's.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub fn revision(&self, group: &GroupName, commit: CommitId) -> Result<Option<Revision>, Error> {
        self.shared.read(|desk| Ok(desk.index.revision(group, commit)?))
    }

    /// What is different between two versions or groups of a service.
    ///
    /// The runtime is compared only between two groups: a version has none.
    ///
    /// # Errors
    /// When one of the sides does not exist, or the repository cannot be read.
    pub fn diff(&self, service: &ServiceName, from: &Side, to: &Side) -> Result<DiffView, Error> {
        self.shared.read(|desk| {
            let (before, after) = (find_side(desk, service, from)?, find_side(desk, service, to)?);
            let prefix = format!("services/{service}");
            let mut changes =
                diff::changes(&desk.objects, Some(before.0.0), Some(after.0.0), &prefix)?;
            if let (Some(before), Some(after)) = (before.1, after.1) {
                let path = runtime_path(service);
                changes.extend(diff::file_changes(&desk.objects, before, after, &path)?);
            }
            Ok(DiffView { from: from.to_string(), to: to.to_string(), changes })
        })
    }

    /// What would change in `from` if it became what `to` is: of everything that the two hold, or of
    /// the services' content alone, which is what promotion can bring.
    ///
    /// # Errors
    /// When there is no such group, or the repository cannot be read.
    pub fn diff_groups(
        &self,
        from: &GroupName,
        to: &GroupName,
        services_only: bool,
    ) -> Result<DiffView, Error> {
        self.shared.read(|desk| {
            let tree = |group| -> Result<Option<Oid>, Error> {
                let root = desk.head(group)?.tree;
                if !services_only {
                    return Ok(Some(root));
                }
                Ok(desk.objects.find(root, "services")?.map(|entry| entry.id))
            };
            let prefix = if services_only { "services" } else { "" };
            let changes = diff::changes(&desk.objects, tree(from)?, tree(to)?, prefix)?;
            let side = |group: &GroupName| Side::Group(group.clone()).to_string();
            Ok(DiffView { from: side(from), to: side(to), changes })
        })
    }

    /// What a commit of these files would find, laid over the head of `group`: every error, and the
    /// warnings that involve them. Without a group they are laid over nothing but an empty
    /// `group.json`.
    ///
    /// # Errors
    /// When there is no such group, or the repository cannot be read.
    pub fn validate(
        &self,
        group: Option<&GroupName>,
        files: &BTreeMap<String, Value>,
    ) -> Result<Vec<Diagnostic>, Error> {
        self.shared.read(|desk| {
            let (name, previous, tree) = match group {
                Some(group) => {
                    let head = desk.head(group)?;
                    (group.clone(), Some(desk.loaded(group, head)?), head.tree)
                }
                None => {
                    let name = "validate".parse().expect("a well-formed name");
                    let seed = BTreeMap::from([(
                        "group.json".to_owned(),
                        Value::Object(serde_json::Map::new()),
                    )]);
                    let tree = lay_over(&desk.objects, None, &seed, false, &mut Vec::new())?;
                    (name, None, tree)
                }
            };
            let mut findings = Vec::new();
            let tree = lay_over(&desk.objects, Some(tree), files, true, &mut findings)?;
            // What would be committed here; it is not, so that there is no commit to name.
            let commit = CommitId(Oid::ZERO_SHA1);
            let previous = previous.as_ref().map(|loaded| &loaded.config);
            let loaded = config::load(&desk.objects, &name, commit, tree, previous)?;
            findings.extend(loaded.diagnostics);
            findings.sort();
            Ok(findings)
        })
    }
}

fn group_view(desk: &Desk<'_>, group: &GroupName) -> Result<GroupView, Error> {
    let head = desk.head(group)?;
    let document = document_at(&desk.objects, head.tree, "group.json")?;
    let empty = Value::Object(serde_json::Map::new());
    let json = document.map(|(_, json)| json).filter(Value::is_object).unwrap_or(empty);
    let mut revision = desk.index.revision(group, head.commit)?;
    if revision.is_none() {
        // The group moved after the index had caught up for this read.
        desk.index.catch_up(desk.git)?;
        revision = desk.index.revision(group, head.commit)?;
    }
    Ok(GroupView {
        name: group.clone(),
        document: Group::expand(&json),
        head: head.commit,
        revision: revision.unwrap_or(Revision(0)),
        services: service_names(desk, head.tree)?.len(),
        etag: change::group_etag(head),
    })
}

fn service_names(desk: &Desk<'_>, tree: Oid) -> Result<Vec<ServiceName>, Error> {
    let Some(folder) = desk.objects.find(tree, "services")? else { return Ok(Vec::new()) };
    let entries = desk.objects.tree(folder.id)?;
    let mut names: Vec<ServiceName> =
        entries.iter().filter_map(|entry| entry.name.parse().ok()).collect();
    names.sort();
    Ok(names)
}

fn service_view(
    desk: &Desk<'_>,
    group: &GroupName,
    head: Head,
    loaded: &Loaded,
    service: &ServiceName,
    touched: Option<CommitRow>,
) -> Result<ServiceView, Error> {
    let content = change::content(desk, head.tree, service)?
        .ok_or_else(|| Error::no_service(group, service))?;
    let (document, routes) = versioned_documents(desk, content)?;
    let runtime = document_at(&desk.objects, head.tree, &runtime_path(service))?;
    let live_reason = live(loaded, service);
    Ok(ServiceView {
        name: service.clone(),
        group: group.clone(),
        state: version_state(desk, group, head.tree, service)?,
        live: live_reason == Live::Live,
        live_reason,
        document,
        routes,
        runtime: expanded_runtime(runtime),
        commit: touched.as_ref().map(|row| row.commit),
        updated_at: touched.as_ref().map(|row| row.at),
        updated_by: touched.map(|row| row.actor),
        etag: change::service_etag(desk, head.tree, service)?.unwrap_or_default(),
    })
}

fn matrix_cell(state: VersionState, live_reason: Live) -> MatrixCell {
    MatrixCell { state, live: live_reason == Live::Live, live_reason }
}

/// A service that is not sound serves nothing from this commit.
fn live(loaded: &Loaded, service: &ServiceName) -> Live {
    loaded.config.services.get(service).map_or(Live::Invalid, |service| service.live())
}

fn version_state(
    desk: &Desk<'_>,
    group: &GroupName,
    tree: Oid,
    service: &ServiceName,
) -> Result<VersionState, Error> {
    let content =
        change::content(desk, tree, service)?.ok_or_else(|| Error::no_service(group, service))?;
    if let Some(row) = desk.index.version_of(service, content)? {
        let version = Some(row.version);
        return Ok(VersionState { based_on: version.clone(), version, modified: false });
    }
    let based_on = desk.index.based_on(group, service)?.map(|row| row.version);
    Ok(VersionState { version: None, modified: based_on.is_some(), based_on })
}

/// `service.json` and the routes by name, with every default filled in.
fn versioned_documents(desk: &Desk<'_>, content: ContentId) -> Result<(Value, Value), Error> {
    let document = document_at(&desk.objects, content.0, "service.json")?;
    let empty = Value::Object(serde_json::Map::new());
    let json = document.map(|(_, json)| json).filter(Value::is_object).unwrap_or(empty);
    let routes = change::routes(desk, content)?;
    let routes = routes.into_iter().map(|(name, json)| (name, Route::expand(&json))).collect();
    Ok((Service::expand(&json), Value::Object(routes)))
}

fn expanded_runtime(found: Option<(Oid, Value)>) -> Value {
    let json = found.map_or_else(|| Value::Object(serde_json::Map::new()), |(_, json)| json);
    Runtime::expand(&json)
}

fn version_views(
    desk: &Desk<'_>,
    service: &ServiceName,
    rows: Vec<VersionRow>,
) -> Result<Vec<VersionView>, Error> {
    let mut runs: Vec<(GroupName, ContentId)> = Vec::new();
    for (group, _) in refs::groups(desk.git)? {
        let head = desk.head(&group)?;
        runs.extend(change::content(desk, head.tree, service)?.map(|content| (group, content)));
    }
    Ok(rows
        .into_iter()
        .map(|row| VersionView {
            service: service.clone(),
            version: row.version,
            commit: row.commit,
            content: row.content,
            created_at: row.created_at,
            created_by: row.created_by,
            message: row.message,
            groups: runs
                .iter()
                .filter(|(_, content)| *content == row.content)
                .map(|(group, _)| group.clone())
                .collect(),
        })
        .collect())
}

fn event_view(group: &GroupName, row: CommitRow) -> EventView {
    EventView {
        commit: row.commit,
        revision: row.revision,
        group: group.clone(),
        event: row.event,
        actor: row.actor,
        author: row.author,
        at: row.at,
        subject: row.subject,
        service: row.service,
        version: row.version,
        from_group: row.from_group,
        reason: row.reason,
        request_id: row.request_id,
    }
}

/// The content of a side and, of a group, the runtime's file (if it has one).
fn find_side(
    desk: &Desk<'_>,
    service: &ServiceName,
    side: &Side,
) -> Result<(ContentId, Option<Option<Oid>>), Error> {
    match side {
        Side::Version(version) => {
            let row = desk.index.version(service, version)?;
            let row = row.ok_or_else(|| Error::no_version(service, version))?;
            Ok((row.content, None))
        }
        Side::Group(group) => {
            let head = desk.head(group)?;
            let content = change::content(desk, head.tree, service)?
                .ok_or_else(|| Error::no_service(group, service))?;
            let runtime = desk.objects.find(head.tree, &runtime_path(service))?;
            Ok((content, Some(runtime.map(|entry| entry.id))))
        }
    }
}
