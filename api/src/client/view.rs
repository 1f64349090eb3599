//! The shapes that tables are made of: as much of the API's answers as people are shown.
//!
//! Absent fields take their defaults, so that a server of another age is still readable; with
//! `-o json` the answer is passed on as it came and these types play no part.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::problem::Finding;

/// An answer that is not of the shape that the contract gives it.
#[derive(Debug, thiserror::Error)]
#[error("the answer of the server has an unexpected shape: {0}")]
pub struct ShapeError(#[from] serde_json::Error);

/// Reads a view out of an answer.
///
/// # Errors
/// When a field is of another type than the contract says.
pub fn read<T: DeserializeOwned>(body: &Value) -> Result<T, ShapeError> {
    Ok(T::deserialize(body)?)
}

/// The items of a list.
///
/// # Errors
/// As [`read`].
pub fn items<T: DeserializeOwned>(list: &Value) -> Result<Vec<T>, ShapeError> {
    match list.get("items") {
        Some(items) => read(items),
        None => Ok(Vec::new()),
    }
}

/// A gateway group.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are the words of the API")]
pub struct Group {
    pub name: String,
    pub r#type: String,
    pub description: String,
    pub labels: BTreeMap<String, String>,
    pub variables: BTreeMap<String, Value>,
    pub promotion: Promotion,
    pub head: String,
    pub revision: u64,
    pub services: u64,
    pub instances: Instances,
    pub diagnostics: Vec<Finding>,
    pub damage: Option<String>,
}

/// What may come into a group, and how.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are the words of the API")]
pub struct Promotion {
    pub from: Vec<String>,
    pub direct_edits: String,
}

/// How many gateways of a group are well.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are the words of the API")]
pub struct Instances {
    pub healthy: u64,
    pub total: u64,
}

/// A service in a group.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are the words of the API")]
pub struct Service {
    pub name: String,
    pub group: String,
    pub r#type: String,
    pub version: Option<String>,
    pub based_on: Option<String>,
    pub modified: bool,
    pub live: bool,
    pub live_reason: String,
    pub description: String,
    pub labels: BTreeMap<String, String>,
    pub plugins: BTreeMap<String, Value>,
    pub routes: BTreeMap<String, Route>,
    pub runtime: Option<Runtime>,
    pub commit: Option<String>,
    pub updated_at: Option<String>,
    pub updated_by: Option<String>,
}

/// Who changed a route, a runtime or an object of a group last.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are the words of the API")]
pub struct LastChange {
    pub commit: Option<String>,
    pub updated_at: Option<String>,
    pub updated_by: Option<String>,
}

/// A route of a service; it has a name in lists only, elsewhere the name is its key.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are the words of the API")]
pub struct Route {
    pub name: String,
    pub description: String,
    pub enabled: bool,
    pub paths: Vec<String>,
    pub methods: Vec<String>,
    pub priority: i64,
    pub r#match: BTreeMap<String, Value>,
    pub upstream: String,
}

impl Default for Route {
    fn default() -> Self {
        Self {
            name: String::new(),
            description: String::new(),
            enabled: true,
            paths: Vec::new(),
            methods: Vec::new(),
            priority: 0,
            r#match: BTreeMap::new(),
            upstream: "default".to_owned(),
        }
    }
}

/// Which route takes a request.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[expect(missing_docs, reason = "the fields are the words of the API")]
pub struct RouteTest {
    pub matched: Option<MatchedRoute>,
    pub status: u16,
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub allow: Vec<String>,
    #[serde(default)]
    pub candidates: Vec<RouteCandidate>,
    #[serde(default)]
    pub omitted: u64,
}

/// The route that takes a request.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[expect(missing_docs, reason = "the fields are the words of the API")]
pub struct MatchedRoute {
    pub service: String,
    pub route: String,
    pub host: Option<String>,
    pub path: String,
    #[serde(default)]
    pub params: BTreeMap<String, String>,
    pub upstream: String,
    pub forwarded_path: String,
}

/// A route that was considered for a request.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[expect(missing_docs, reason = "the fields are the words of the API")]
pub struct RouteCandidate {
    pub service: String,
    pub route: String,
    pub host: Option<String>,
    pub path: String,
    pub verdict: String,
    pub reason: String,
}

/// What a group owns about a service.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are the words of the API")]
pub struct Runtime {
    pub enabled: bool,
    pub hosts: Vec<String>,
    pub path_prefix: String,
    pub strip_path_prefix: bool,
    pub upstreams: BTreeMap<String, Upstream>,
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            enabled: true,
            hosts: Vec::new(),
            path_prefix: String::new(),
            strip_path_prefix: true,
            upstreams: BTreeMap::new(),
        }
    }
}

/// An upstream of a service in a group.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are the words of the API")]
pub struct Upstream {
    pub nodes: Vec<Node>,
    pub scheme: Option<String>,
    pub pass_host: Option<String>,
    pub upstream_host: String,
    pub balancer: Balancer,
}

/// A node of an upstream. Its numbers may be written as references.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are the words of the API")]
pub struct Node {
    pub host: String,
    pub port: Value,
    pub weight: Value,
    pub priority: Value,
}

impl Default for Node {
    fn default() -> Self {
        let number = |number: u32| Value::from(number);
        Self { host: String::new(), port: number(0), weight: number(100), priority: number(0) }
    }
}

/// How an upstream chooses among its nodes.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are the words of the API")]
pub struct Balancer {
    pub r#type: Option<String>,
}

/// One row of the matrix.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are the words of the API")]
pub struct MatrixRow {
    pub service: String,
    pub groups: BTreeMap<String, Cell>,
    pub latest: Option<String>,
}

/// A service in one group of the matrix.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are the words of the API")]
pub struct Cell {
    pub version: Option<String>,
    pub based_on: Option<String>,
    pub modified: bool,
    pub live: bool,
    pub live_reason: Option<String>,
}

/// A version of a service.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are the words of the API")]
pub struct Version {
    pub service: String,
    pub version: String,
    pub commit: String,
    pub content: String,
    pub created_at: String,
    pub created_by: String,
    pub message: Option<String>,
    pub groups: Vec<String>,
}

/// One commit of a group, as the thing that happened.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are the words of the API")]
pub struct Event {
    pub commit: String,
    pub revision: u64,
    pub group: String,
    pub event: String,
    pub actor: Option<String>,
    pub author: Option<Value>,
    pub at: String,
    pub subject: String,
    pub service: Option<String>,
    pub version: Option<String>,
    pub from_group: Option<String>,
    pub reason: Option<String>,
    pub request_id: Option<String>,
    pub changes: Vec<Change>,
}

/// One semantic change of a document.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are the words of the API")]
pub struct Change {
    pub file: String,
    pub pointer: String,
    pub op: String,
    pub from: Value,
    pub to: Value,
}

/// What a write did.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are the words of the API")]
pub struct Write {
    pub group: String,
    pub commit: String,
    pub revision: Option<u64>,
    pub changed: bool,
    pub warnings: Vec<Finding>,
    #[serde(flatten)]
    pub service: ServiceOutcome,
    pub services: Vec<ServiceOutcome>,
    pub convergence: Option<Convergence>,
}

/// What a sync or a rollback did to a service.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are the words of the API")]
pub struct ServiceOutcome {
    pub service: Option<String>,
    pub version: Option<String>,
    pub outcome: Option<String>,
}

/// Which gateways serve a commit.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are the words of the API")]
pub struct Convergence {
    pub commit: String,
    pub applied: u64,
    pub total: u64,
    pub pending: Vec<Value>,
}

/// What a write would do.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are the words of the API")]
pub struct Plan {
    pub group: String,
    pub base_commit: Option<String>,
    pub outcome: Option<String>,
    pub changes: Vec<Change>,
    pub warnings: Vec<Finding>,
    pub gates: Vec<Gate>,
    pub later: Vec<Event>,
}

/// One rule that a promotion has to pass.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are the words of the API")]
pub struct Gate {
    pub gate: String,
    pub passed: bool,
    pub message: String,
}

/// A gateway instance.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are the words of the API")]
pub struct Gateway {
    pub instance: String,
    pub group: String,
    pub version: String,
    pub commit: Option<String>,
    pub state: String,
    pub diagnostics: Vec<Finding>,
    pub message: Option<String>,
    pub started_at: Option<String>,
    pub last_seen: Option<String>,
}
