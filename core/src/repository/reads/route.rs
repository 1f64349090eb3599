//! Routes of a service.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{content_of, last_change};
use crate::change;
use crate::config;
use crate::content::document_at;
use crate::document::{Route, Shape};
use crate::error::Error;
use crate::name::{GroupName, RouteName, ServiceName};
use crate::repository::Repository;
use crate::view::Object;

impl Repository {
    /// The routes of a service of a group, by name.
    ///
    /// # Errors
    /// When there is no such service, or the repository cannot be read.
    pub fn routes(
        &self,
        group: &GroupName,
        service: &ServiceName,
    ) -> Result<BTreeMap<String, Value>, Error> {
        self.shared.read_group(group, |desk, head| {
            let routes = change::routes(desk, content_of(desk, group, head.tree, service)?)?;
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
        self.shared.read_group(group, |desk, head| {
            content_of(desk, group, head.tree, service)?;
            let path = config::route_path(service, route);
            let (id, json) = document_at(&desk.objects, head.tree, &path)?
                .ok_or_else(|| change::no_route(group, service, route))?;
            let last = last_change(desk, group, &path)?;
            Ok(Object { value: Route::expand(&json), last, etag: id.to_string() })
        })
    }
}
