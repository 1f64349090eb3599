//! Lines of routes and requests: the index says what the plain scan says, after each change.
//!
//! A line is `+S HOSTS PREFIX PATTERN [OPTIONS]` (a route more for service `S`, which keeps its hosts
//! and prefix from its first line), `-S` (the service is gone), or `? HOST PATH [OPTIONS]`, a request.
//! Of the options a letter each: methods G and P, a header with a value h, with any H, a parameter q.

#![no_main]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderMap, HeaderValue, Method};
use libfuzzer_sys::fuzz_target;
use refgate_core::document::{EncodedSlashes, Reader, Route, Runtime, Shape};
use refgate_core::host::request_host;
use refgate_core::path::normalise;
use refgate_proxy::{Asked, Routes};
use serde_json::{Value, json};

/// Lines of one input that count: more would only make each run slower.
const LINES: usize = 48;

fuzz_target!(|text: &str| {
    let mut routes = Routes::default();
    let mut services: BTreeMap<u8, (Runtime, Vec<Route>)> = BTreeMap::new();
    let mut requests = Vec::new();
    let mut copies = Vec::new();
    for line in text.lines().take(LINES) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["?", host, path, ..] => {
                // What a gateway refuses never comes to the router.
                if let Ok(path) = normalise(path, EncodedSlashes::Keep) {
                    let options = words.get(3).copied().unwrap_or_default();
                    requests.push(Request::of(request_host(host), path.into_owned(), options));
                }
            }
            [put, hosts, prefix, pattern, ..] if put.starts_with('+') => {
                copies.push(routes.clone());
                let service = put.as_bytes().get(1).copied().unwrap_or_default() % 4;
                let options = words.get(4).copied().unwrap_or_default();
                let Some(route) = read::<Route>(&route(pattern, options)) else { continue };
                if !services.contains_key(&service) {
                    let hosts: Vec<&str> =
                        hosts.split(',').filter(|host| !host.is_empty()).collect();
                    let runtime = json!({"hosts": hosts, "path_prefix": prefix});
                    let Some(runtime) = read::<Runtime>(&runtime) else { continue };
                    services.insert(service, (runtime, Vec::new()));
                }
                let Some((runtime, own)) = services.get_mut(&service) else { continue };
                own.push(route);
                let own = own.iter().cloned().enumerate();
                let own = own.map(|(n, route)| (format!("r{n}").parse().expect("a name"), route));
                routes.put(&name(service), &own.collect(), runtime);
            }
            [take] if take.starts_with('-') => {
                copies.push(routes.clone());
                let service = take.as_bytes().get(1).copied().unwrap_or_default() % 4;
                services.remove(&service);
                routes.take(&name(service));
            }
            _ => {}
        }
    }
    copies.push(routes);
    for copy in &copies {
        if let Err(difference) = copy.agrees(requests.iter().map(Request::asked)) {
            panic!("{difference}\n{copy:?}");
        }
    }
});

fn name(service: u8) -> refgate_core::name::ServiceName {
    format!("s{service}").parse().expect("a name")
}

fn read<T: Shape>(json: &Value) -> Option<T> {
    let mut findings = Vec::new();
    let read = T::read(json, &mut Reader::new("a document", &mut findings));
    read.filter(|_| findings.is_empty())
}

fn route(pattern: &str, options: &str) -> Value {
    let has = |letter: char| options.contains(letter);
    let methods = [('G', "GET"), ('P', "POST")];
    let methods: Vec<&str> =
        methods.iter().filter(|(letter, _)| has(*letter)).map(|(_, method)| *method).collect();
    let mut headers = Vec::new();
    headers.extend(has('h').then(|| json!({"name": "x-a", "value": "1"})));
    headers.extend(has('H').then(|| json!({"name": "x-a", "present": true})));
    let query: Vec<Value> =
        has('q').then(|| json!({"name": "q", "value": "1"})).into_iter().collect();
    let priority = options.bytes().filter(|byte| *byte == b'!').count();
    json!({"paths": [pattern], "methods": methods, "priority": priority,
        "match": {"headers": headers, "query": query}})
}

struct Request {
    method: Method,
    host: String,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
}

impl Request {
    fn of(host: String, path: String, options: &str) -> Self {
        let has = |letter: char| options.contains(letter);
        let mut headers = HeaderMap::new();
        if has('h') {
            headers.insert("x-a", HeaderValue::from_static("1"));
        } else if has('H') {
            headers.insert("x-a", HeaderValue::from_static("2"));
        }
        Self {
            method: if has('P') { Method::POST } else { Method::GET },
            host,
            path,
            query: has('q').then(|| "q=1".to_owned()),
            headers,
        }
    }

    fn asked(&self) -> Asked<'_> {
        Asked {
            method: &self.method,
            host: &self.host,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &self.headers,
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        }
    }
}
