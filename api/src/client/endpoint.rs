//! Paths of the API, each segment escaped.

use std::time::Duration;

use refgate_core::name::{CommitId, GroupName, RouteName, ServiceName};
use refgate_core::object::ObjectName;
use refgate_core::version::Version;

/// Path and query of one request, without the address of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    path: String,
    query: String,
}

impl Endpoint {
    fn at(segments: &[&str]) -> Self {
        let mut path = String::from("/v1");
        for segment in segments {
            path.push('/');
            escape(segment, &mut path);
        }
        Self { path, query: String::new() }
    }

    /// All groups.
    #[must_use]
    pub fn groups() -> Self {
        Self::at(&["groups"])
    }

    /// One group.
    #[must_use]
    pub fn group(group: &GroupName) -> Self {
        Self::at(&["groups", group.as_str()])
    }

    /// Something that belongs to a group: `services`, `history`, `sync`, `rollback`, `commit`.
    #[must_use]
    pub fn of_group(group: &GroupName, what: &str) -> Self {
        Self::at(&["groups", group.as_str(), what])
    }

    /// An OpenAPI document that becomes a service of a group.
    #[must_use]
    pub fn import_openapi(group: &GroupName) -> Self {
        Self::at(&["groups", group.as_str(), "import", "openapi"])
    }

    /// One commit of a group.
    #[must_use]
    pub fn commit(group: &GroupName, commit: &str) -> Self {
        Self::at(&["groups", group.as_str(), "commits", commit])
    }

    /// One service in a group.
    #[must_use]
    pub fn service(group: &GroupName, service: &ServiceName) -> Self {
        Self::at(&["groups", group.as_str(), "services", service.as_str()])
    }

    /// Something that belongs to a service in a group: `runtime`, `versions`, `sync`, `rollback`.
    #[must_use]
    pub fn of_service(group: &GroupName, service: &ServiceName, what: &str) -> Self {
        Self::at(&["groups", group.as_str(), "services", service.as_str(), what])
    }

    /// One route of a service in a group.
    #[must_use]
    pub fn route(group: &GroupName, service: &ServiceName, route: &RouteName) -> Self {
        let (group, service) = (group.as_str(), service.as_str());
        Self::at(&["groups", group, "services", service, "routes", route.as_str()])
    }

    /// One consumer, certificate or global rule of a group.
    #[must_use]
    pub fn object(group: &GroupName, object: &ObjectName) -> Self {
        Self::at(&["groups", group.as_str(), object.kind().folder(), object.as_str()])
    }

    /// Its copies in other groups.
    #[must_use]
    pub fn object_copy(group: &GroupName, object: &ObjectName) -> Self {
        Self::at(&["groups", group.as_str(), object.kind().folder(), object.as_str(), "copy"])
    }

    /// The matrix of services and groups.
    #[must_use]
    pub fn matrix() -> Self {
        Self::at(&["services"])
    }

    /// The row of one service in the matrix.
    #[must_use]
    pub fn matrix_row(service: &ServiceName) -> Self {
        Self::at(&["services", service.as_str()])
    }

    /// Something of a service across all groups: `versions`, `diff`.
    #[must_use]
    pub fn across(service: &ServiceName, what: &str) -> Self {
        Self::at(&["services", service.as_str(), what])
    }

    /// One version of a service.
    #[must_use]
    pub fn version(service: &ServiceName, version: &Version) -> Self {
        Self::at(&["services", service.as_str(), "versions", &version.to_string()])
    }

    /// The promotion of an existing version.
    #[must_use]
    pub fn version_sync(service: &ServiceName, version: &Version) -> Self {
        Self::at(&["services", service.as_str(), "versions", &version.to_string(), "sync"])
    }

    /// Checks documents without writing.
    #[must_use]
    pub fn validate() -> Self {
        Self::at(&["validate"])
    }

    /// Which gateways of a group serve a commit, or will within a time.
    #[must_use]
    pub fn convergence(group: &GroupName, commit: &CommitId, wait: Duration) -> Self {
        Self::of_group(group, "convergence")
            .query("commit", &commit.to_string())
            .query("wait", &wait.as_secs().to_string())
    }

    /// All tokens.
    #[must_use]
    pub fn tokens() -> Self {
        Self::at(&["tokens"])
    }

    /// One token.
    #[must_use]
    pub fn token(name: &str) -> Self {
        Self::at(&["tokens", name])
    }

    /// Gateway instances.
    #[must_use]
    pub fn gateways() -> Self {
        Self::at(&["gateways"])
    }

    /// One instance of a group.
    #[must_use]
    pub fn gateway(group: &GroupName, instance: &str) -> Self {
        Self::at(&["gateways", group.as_str(), instance])
    }

    /// The same with one more query parameter.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push(if self.query.is_empty() { '?' } else { '&' });
        escape(name, &mut self.query);
        self.query.push('=');
        escape(value, &mut self.query);
        self
    }

    /// The same with a query parameter where there is a value for it.
    #[must_use]
    pub fn query_if<T: std::fmt::Display>(self, name: &str, value: Option<&T>) -> Self {
        match value {
            Some(value) => self.query(name, &value.to_string()),
            None => self,
        }
    }

    /// What stands in the request line.
    #[must_use]
    pub fn target(&self) -> String {
        format!("{}{}", self.path, self.query)
    }
}

/// Percent-encodes everything but the unreserved characters of RFC 3986.
fn escape(text: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_and_values_are_escaped() {
        let group = "uat".parse().expect("a name");
        let endpoint = Endpoint::commit(&group, "a/b?c")
            .query("since", "2026-01-02T03:04:05+01:00")
            .query_if("actor", Some(&"Ä & b"))
            .query_if::<String>("event", None);
        assert_eq!(
            endpoint.target(),
            "/v1/groups/uat/commits/a%2Fb%3Fc?since=2026-01-02T03%3A04%3A05%2B01%3A00&actor=%C3%84%20%26%20b"
        );
    }

    #[test]
    fn a_pre_release_is_one_segment() {
        let service = "httpbin".parse().expect("a name");
        let version = "1.0.0-rc.1".parse().expect("a version");
        assert_eq!(
            Endpoint::version_sync(&service, &version).target(),
            "/v1/services/httpbin/versions/1.0.0-rc.1/sync"
        );
    }
}
