//! Lines of routes and requests: the law of the router holds for the history that they tell.
//!
//! A line is `+S HOSTS PREFIX PATTERN [OPTIONS]` (a route more for service `S`, which keeps its hosts
//! and prefix from its first line), `-S` (the service is gone), or `? HOST PATH [OPTIONS]`, a request.
//! Of the options a letter each: methods G and P, a header with a value h, with any H, a header by
//! pattern r, a parameter q, a cookie c, addresses of clients a; `!` is one more of priority.

#![no_main]

#[path = "../../src"]
mod product {
    #[expect(dead_code, reason = "the router has more uses")]
    pub(crate) mod router;
}
#[path = "../../src/router/law/history.rs"]
mod history;

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use libfuzzer_sys::fuzz_target;
use refgate_core::document::EncodedSlashes;
use refgate_core::host::request_host;
use refgate_core::name::ServiceName;
use refgate_core::path::normalise;
use serde_json::{Value, json};

use self::history::{History, Sent};
use self::product::router;

/// Lines of one input that count: more would only make each run slower.
const LINES: usize = 48;

fuzz_target!(|text: &str| {
    let mut history = History::default();
    let mut services: BTreeMap<u8, Value> = BTreeMap::new();
    let mut requests = Vec::new();
    for line in text.lines().take(LINES) {
        let words: Vec<&str> = line.split(' ').collect();
        let options = |at: usize| words.get(at).copied().unwrap_or_default();
        match words[..] {
            ["?", host, path, ..] => {
                // What a gateway refuses never comes to the router.
                if let Ok(path) = normalise(path, EncodedSlashes::Keep) {
                    requests.push(sent(request_host(host), path.into_owned(), options(3)));
                }
            }
            [put, hosts, prefix, pattern, ..] if put.starts_with('+') => {
                let number = number(put);
                let mut service = services.get(&number).cloned().unwrap_or_else(|| {
                    let hosts: Vec<&str> =
                        hosts.split(',').filter(|host| !host.is_empty()).collect();
                    json!({"runtime": {"hosts": hosts, "path_prefix": prefix}, "routes": []})
                });
                if let Some(routes) = service["routes"].as_array_mut() {
                    routes.push(route(pattern, options(4)));
                }
                if history.put(&name(number), &service) {
                    services.insert(number, service);
                }
            }
            [take] if take.starts_with('-') => {
                services.remove(&number(take));
                history.take(&name(number(take)));
            }
            _ => {}
        }
    }
    if let Err(difference) = history.holds(&requests) {
        panic!("{difference}");
    }
});

/// Which of four services a line is about.
fn number(word: &str) -> u8 {
    word.as_bytes().get(1).copied().unwrap_or_default() % 4
}

fn name(service: u8) -> ServiceName {
    format!("s{service}").parse().expect("a name")
}

fn route(pattern: &str, options: &str) -> Value {
    let has = |letter: char| options.contains(letter);
    let methods = [('G', "GET"), ('P', "POST")];
    let methods: Vec<&str> =
        methods.iter().filter(|(letter, _)| has(*letter)).map(|(_, method)| *method).collect();
    let mut headers = Vec::new();
    headers.extend(has('h').then(|| json!({"name": "x-a", "value": "1"})));
    headers.extend(has('H').then(|| json!({"name": "x-a", "present": true})));
    headers.extend(has('r').then(|| json!({"name": "x-b", "regex": "[0-9]+"})));
    let one = |letter: char, test: Value| -> Vec<Value> {
        has(letter).then_some(test).into_iter().collect()
    };
    let query = one('q', json!({"name": "q", "value": "1"}));
    let cookies = one('c', json!({"name": "c", "value": "1"}));
    let clients = one('a', json!("10.0.0.0/8"));
    let priority = options.bytes().filter(|byte| *byte == b'!').count();
    json!({"paths": [pattern], "methods": methods, "priority": priority,
        "match": {"headers": headers, "query": query, "cookies": cookies, "remote_addrs": clients}})
}

fn sent(host: String, path: String, options: &str) -> Sent {
    let has = |letter: char| options.contains(letter);
    let fields =
        [('h', "x-a", "1"), ('H', "x-a", "2"), ('r', "x-b", "12"), ('c', "cookie", "b; c=1")];
    let mut headers = HeaderMap::new();
    for (letter, name, value) in fields {
        if has(letter) {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
    }
    Sent {
        method: if has('P') { Method::POST } else { Method::GET },
        host,
        path,
        query: has('q').then(|| "q=1".to_owned()),
        headers,
        client: if has('a') { [10, 0, 0, 1] } else { [192, 0, 2, 1] }.into(),
    }
}
