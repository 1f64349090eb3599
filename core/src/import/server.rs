//! Where an API is, by the `servers` of an OpenAPI document.

use serde_json::{Value, json};

/// What the first server of a document says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Server {
    /// What stands before every path; without a slash at the end.
    pub(super) base: String,
    /// The runtime that reaches it.
    pub(super) runtime: Option<Value>,
    /// What was not carried.
    pub(super) notes: Vec<String>,
}

impl Server {
    /// Reads one element of `servers`.
    pub(super) fn read(server: &Value) -> Self {
        let mut notes = Vec::new();
        let url = server["url"].as_str().unwrap_or("/");
        let Some(url) = filled_in(url, &server["variables"], &mut notes) else {
            notes.push(format!("the server {url} was left out: a variable has no default"));
            return Self { notes, ..Self::default() };
        };
        let url = url.split(['?', '#']).next().unwrap_or_default();
        let (scheme, rest) = match url.split_once("://") {
            Some(("http", rest)) => ("http", rest),
            Some(("https", rest)) => ("https", rest),
            Some((other, _)) => {
                notes.push(format!("the server was left out: {other} is no protocol of a node"));
                return Self { notes, ..Self::default() };
            }
            None => {
                let base = url.trim_end_matches('/');
                let base = if base.is_empty() || base.starts_with('/') {
                    base.to_owned()
                } else {
                    format!("/{base}")
                };
                return Self { base, runtime: None, notes };
            }
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = path.trim_matches('/');
        let base = if path.is_empty() { String::new() } else { format!("/{path}") };
        let authority = authority.rsplit('@').next().unwrap_or_default();
        let usual = if scheme == "http" { 80 } else { 443 };
        let runtime = host_and_port(authority, usual).map(|(host, port)| {
            json!({"upstreams": {"default": {
                "nodes": [{"host": host, "port": port}], "scheme": scheme, "pass_host": "node",
            }}})
        });
        if runtime.is_none() {
            notes.push(format!("the server {url} names no host that a node can have"));
        }
        Self { base, runtime, notes }
    }
}

fn host_and_port(authority: &str, usual: u16) -> Option<(String, u16)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (host, rest.strip_prefix(':'))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port > 0)?,
        None => usual,
    };
    (!host.is_empty()).then(|| (host.to_ascii_lowercase(), port))
}

/// The address with the default of every variable; nothing where one has none.
fn filled_in(url: &str, variables: &Value, notes: &mut Vec<String>) -> Option<String> {
    let mut filled = String::with_capacity(url.len());
    let mut rest = url;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}')?;
        let default = variables[name]["default"].as_str()?;
        notes.push(format!(
            "the server variable {name} is not carried: its default {default} stands"
        ));
        filled.push_str(before);
        filled.push_str(default);
        rest = after;
    }
    filled.push_str(rest);
    Some(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers() {
        let node = |scheme: &str, host: &str, port: u16| {
            Some(json!({"upstreams": {"default": {
                "nodes": [{"host": host, "port": port}], "scheme": scheme, "pass_host": "node",
            }}}))
        };
        let table = [
            ("https://API.example.com/v1/", "/v1", node("https", "api.example.com", 443)),
            ("http://127.0.0.1:8081", "", node("http", "127.0.0.1", 8081)),
            ("http://[::1]:81/a/b", "/a/b", node("http", "::1", 81)),
            ("https://user:secret@x.test", "", node("https", "x.test", 443)),
            ("/v2", "/v2", None),
            ("v2", "/v2", None),
            ("/", "", None),
            ("ws://x.test/v1", "", None),
            ("https://x.test:port/v1", "/v1", None),
            ("https://{region}.x.test/v1", "/v1", node("https", "eu.x.test", 443)),
            ("https://{gone}.x.test/v1", "", None),
            ("https://{gone", "", None),
        ];
        for (url, base, runtime) in table {
            let server =
                Server::read(&json!({"url": url, "variables": {"region": {"default": "eu"}}}));
            assert_eq!((server.base.as_str(), &server.runtime), (base, &runtime), "{url}");
            let told = !server.notes.is_empty();
            assert_eq!(
                told,
                url.contains('{') || url.contains("ws:") || url.contains(":port"),
                "{url}"
            );
        }
    }
}
