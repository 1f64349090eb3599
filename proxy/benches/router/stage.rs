//! Services as an API has them, and requests for them.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use refgate_core::document::{Reader, Route, Runtime, Shape};
use refgate_core::name::{RouteName, ServiceName};
use refgate_proxy::Asked;
use serde_json::{Value, json};

/// Resources of one service.
const RESOURCES: usize = 10;

/// Routes of one service: ten of each resource.
pub(crate) const PER_SERVICE: usize = RESOURCES * 10;

/// How services are told apart.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Spread {
    /// Each has a host.
    Hosts,
    /// Each has a path prefix; none has a host.
    OneHost,
}

impl fmt::Display for Spread {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Hosts => "100 a host",
            Self::OneHost => "all on one host",
        })
    }
}

pub(crate) fn service(n: usize) -> ServiceName {
    format!("service-{n:05}").parse().expect("a name")
}

fn read<T: Shape>(json: &Value) -> T {
    let mut findings = Vec::new();
    T::read(json, &mut Reader::new("a document", &mut findings)).expect("a sound document")
}

/// Routes and runtime of a service; `edition` changes one of the routes.
pub(crate) fn documents(
    n: usize,
    spread: Spread,
    edition: usize,
) -> (BTreeMap<RouteName, Route>, Runtime) {
    let mut routes = BTreeMap::new();
    for resource in 0..RESOURCES {
        let base = format!("/api/resource-{resource}");
        let canary = json!({"headers": [{"name": "x-canary", "value": "1"}]});
        let all = [
            ("list", json!({"paths": [base], "methods": ["GET"]})),
            ("list-canary", json!({"paths": [base], "methods": ["GET"], "match": canary})),
            ("create", json!({"paths": [base], "methods": ["POST"]})),
            ("get", json!({"paths": [format!("{base}/{{id}}")], "methods": ["GET"]})),
            ("put", json!({"paths": [format!("{base}/{{id}}")], "methods": ["PUT"]})),
            ("delete", json!({"paths": [format!("{base}/{{id}}")], "methods": ["DELETE"]})),
            ("items", json!({"paths": [format!("{base}/{{id}}/items")], "methods": ["GET"]})),
            ("item", json!({"paths": [format!("{base}/{{id}}/items/{{item}}")]})),
            ("files", json!({"paths": [format!("{base}/files/*")]})),
            ("all", json!({"paths": [format!("{base}/*")], "methods": ["PATCH"]})),
        ];
        for (name, mut json) in all {
            if resource == 0 && name == "list" {
                json["priority"] = json!(edition);
            }
            let name = format!("{name}-{resource}").parse().expect("a name");
            routes.insert(name, read(&json));
        }
    }
    let runtime = match spread {
        Spread::Hosts => json!({"hosts": [host(n)]}),
        Spread::OneHost => json!({"path_prefix": format!("/service-{n}")}),
    };
    (routes, read(&runtime))
}

fn host(n: usize) -> String {
    format!("service-{n}.example.com")
}

/// A request, and whether a route takes it.
pub(crate) struct Request {
    method: Method,
    host: String,
    path: String,
    headers: HeaderMap,
    pub(crate) is_taken: bool,
}

impl Request {
    pub(crate) fn asked(&self) -> Asked<'_> {
        Asked {
            method: &self.method,
            host: &self.host,
            path: &self.path,
            query: None,
            headers: &self.headers,
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        }
    }

    /// Brings the request itself into the cache, where one that was just read is.
    pub(crate) fn touch(&self) {
        let fields = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
        let texts = self.host.bytes().chain(self.path.bytes()).map(usize::from);
        std::hint::black_box(fields.chain(texts).sum::<usize>());
        std::hint::black_box(self.headers.get("x-canary"));
    }

    /// The same for a resource that is not there.
    pub(crate) fn lost(&self) -> Self {
        Self {
            method: self.method.clone(),
            host: self.host.clone(),
            path: self.path.replace("/resource-", "/things-"),
            headers: self.headers.clone(),
            is_taken: false,
        }
    }
}

/// So many requests for routes drawn at random, the same ones each time.
pub(crate) fn requests(count: usize, services: usize, spread: Spread) -> Vec<Request> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut draw = move |below: usize| {
        // SplitMix64.
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ mixed >> 31) as usize % below
    };
    let fields = [
        ("accept", "*/*"),
        ("accept-encoding", "gzip, br"),
        ("user-agent", "bench/1.0"),
        ("authorization", "Bearer 0123456789abcdef0123456789abcdef"),
    ];
    (0..count)
        .map(|_| {
            let (n, resource, id) = (draw(services), draw(RESOURCES), draw(1_000_000));
            let base = format!("/api/resource-{resource}");
            let (method, path) = match draw(9) {
                0 | 1 => (Method::GET, base),
                2 => (Method::POST, base),
                3 => (Method::GET, format!("{base}/{id}")),
                4 => (Method::PUT, format!("{base}/{id}")),
                5 => (Method::DELETE, format!("{base}/{id}")),
                6 => (Method::GET, format!("{base}/{id}/items")),
                7 => (Method::GET, format!("{base}/{id}/items/{}", draw(100))),
                _ => (Method::GET, format!("{base}/files/{id}/report.pdf")),
            };
            let mut headers: HeaderMap = fields
                .iter()
                .map(|(name, value)| {
                    (HeaderName::from_static(name), HeaderValue::from_static(value))
                })
                .collect();
            if draw(10) == 0 {
                headers.insert("x-canary", HeaderValue::from_static("1"));
            }
            let (host, path) = match spread {
                Spread::Hosts => (host(n), path),
                Spread::OneHost => ("example.com".to_owned(), format!("/service-{n}{path}")),
            };
            Request { method, host, path, headers, is_taken: true }
        })
        .collect()
}
