//! Services of a group, each whole, and what the group owns about them.

use git2::Oid;
use serde_json::Value;

use super::{
    Desk, Head, content_of, empty_object, last_change, live, service_names, version_state,
    versioned_documents,
};
use crate::change;
use crate::config::{Live, Loaded, runtime_path};
use crate::content::document_at;
use crate::document::{Runtime, Shape};
use crate::error::Error;
use crate::index::CommitRow;
use crate::name::{GroupName, ServiceName};
use crate::repository::Repository;
use crate::view::{Object, ServiceView, ServicesPage};

impl Repository {
    /// The services of a group, by name.
    ///
    /// # Errors
    /// When there is no such group, or the repository cannot be read.
    pub fn services(&self, group: &GroupName) -> Result<Vec<ServiceView>, Error> {
        self.shared.read_group(group, |desk, head| {
            let names = service_names(desk, head.tree)?;
            let loaded = desk.loaded(group, head)?;
            let mut touched = desk.index.last_touches(group)?;
            names
                .iter()
                .map(|name| view(desk, group, head, &loaded, name, touched.remove(name.as_str())))
                .collect()
        })
    }

    /// A page of the services of a group, by name: `limit` after the one called `after`, and whether
    /// there are more. No other is read.
    ///
    /// # Errors
    /// When there is no such group, or the repository cannot be read.
    pub fn services_after(
        &self,
        group: &GroupName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<ServiceView>, bool), Error> {
        self.shared.read_group(group, |desk, head| {
            let mut names = service_names(desk, head.tree)?;
            names.retain(|name| after.is_none_or(|after| name.as_str() > after));
            let more = names.len() > limit;
            names.truncate(limit);
            let loaded = desk.loaded(group, head)?;
            let mut touched = desk.index.last_touches(group)?;
            let views = names
                .iter()
                .map(|name| view(desk, group, head, &loaded, name, touched.remove(name.as_str())));
            Ok((views.collect::<Result<_, Error>>()?, more))
        })
    }

    /// A part of the services of a group: of those whose name holds `text`, by name, `limit` from the
    /// one at `offset` on.
    ///
    /// # Errors
    /// When there is no such group, or the repository cannot be read.
    pub fn services_page(
        &self,
        group: &GroupName,
        text: &str,
        offset: usize,
        limit: usize,
    ) -> Result<ServicesPage, Error> {
        self.shared.read_group(group, |desk, head| {
            let mut names = service_names(desk, head.tree)?;
            names.retain(|name| name.as_str().contains(text));
            let total = names.len();
            let loaded = desk.loaded(group, head)?;
            let shown = names.iter().skip(offset).take(limit);
            let services = shown.map(|name| {
                let touched = desk.index.last_touch(group, name)?;
                view(desk, group, head, &loaded, name, touched)
            });
            Ok(ServicesPage { services: services.collect::<Result<_, Error>>()?, total })
        })
    }

    /// A service of a group.
    ///
    /// # Errors
    /// When there is none, or the repository cannot be read.
    pub fn service(&self, group: &GroupName, service: &ServiceName) -> Result<ServiceView, Error> {
        self.shared.read_group(group, |desk, head| {
            content_of(desk, group, head.tree, service)?;
            let loaded = desk.loaded(group, head)?;
            let touched = desk.index.last_touch(group, service)?;
            view(desk, group, head, &loaded, service, touched)
        })
    }

    /// What a group owns about a service; every default where it has said nothing.
    ///
    /// # Errors
    /// When there is no such service, or the repository cannot be read.
    pub fn runtime(&self, group: &GroupName, service: &ServiceName) -> Result<Object, Error> {
        self.shared.read_group(group, |desk, head| {
            content_of(desk, group, head.tree, service)?;
            let path = runtime_path(service);
            let found = document_at(&desk.objects, head.tree, &path)?;
            let etag = change::runtime_etag(found.as_ref().map(|(id, _)| *id));
            let last = last_change(desk, group, &path)?;
            Ok(Object { value: expanded_runtime(found), last, etag })
        })
    }
}

fn view(
    desk: &Desk<'_>,
    group: &GroupName,
    head: Head,
    loaded: &Loaded,
    service: &ServiceName,
    touched: Option<CommitRow>,
) -> Result<ServiceView, Error> {
    let content = content_of(desk, group, head.tree, service)?;
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

fn expanded_runtime(found: Option<(Oid, Value)>) -> Value {
    Runtime::expand(&found.map_or_else(empty_object, |(_, json)| json))
}
