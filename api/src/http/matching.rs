//! Which route of a group would take a request, and why the others would not.
//!
//! The head of the group is asked, by the rules that its gateways route by; no gateway need run. The
//! request is brought into normal form as a gateway does it; one that a gateway would refuse is told
//! with its status, 400, like any other answer.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::response::IntoResponse;
use refgate_core::diagnostic::{Code, Diagnostic};
use refgate_core::host::request_host;
use refgate_core::json::join;
use refgate_core::name::GroupName;
use refgate_core::path;
use refgate_proxy::{Asked, explain};
use serde_json::{Map, Value, json};

use super::params::NoParams;
use super::path::At;
use super::{Answer, Api};
use crate::body::Document;
use crate::body::fields::{Fields, wrong_type};

/// The candidates that are told at most.
const CANDIDATES: usize = 50;

pub(super) async fn explained(
    State(api): State<Api>,
    At((group,)): At<(GroupName,)>,
    _: NoParams,
    body: Document,
) -> Answer {
    let question = Question::read(body.0)?;
    let work = api.store.read(move |repository| {
        let config = repository.config(&group)?;
        let slashes = config.group.http.encoded_slashes;
        let path = match path::normalise(&question.path, slashes) {
            Ok(path) => path,
            Err(refusal) => {
                return Ok::<_, refgate_core::Error>(json!({
                    "matched": null, "status": 400, "message": refusal.to_string(),
                    "allow": [], "candidates": [], "omitted": 0,
                }));
            }
        };
        let asked = Asked {
            method: &question.method,
            host: &question.host,
            path: &path,
            query: question.query.as_deref(),
            headers: &question.headers,
            client: question.client,
        };
        Ok(json!(explain(&config, &asked, CANDIDATES)))
    });
    Ok(Json(work.await?).into_response())
}

/// A request that somebody asks about.
#[derive(Debug, PartialEq)]
struct Question {
    method: Method,
    /// In lower case, without port.
    host: String,
    /// As sent.
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    client: IpAddr,
}

impl Question {
    fn read(body: Value) -> Result<Self, crate::problem::Problem> {
        // One of the two is there, and so has a value.
        let empty = ["url", "path"].into_iter().filter(|key| body.get(key) == Some(&Value::Null));
        let empty: Vec<_> = empty.map(|key| join("", key)).collect();
        let mut fields = Fields::of(body);
        for pointer in &empty {
            fields.refuse(wrong_type(pointer, "a string", &Value::Null));
        }
        let method = fields.required::<String>("method");
        let (url, host) = (fields.optional::<String>("url"), fields.optional::<String>("host"));
        let path = fields.optional::<String>("path");
        let headers = fields.optional::<Map<String, Value>>("headers").unwrap_or_default();
        let client = fields.optional::<String>("client");
        let mut refuse = |pointer: String, code, message: String| {
            fields.refuse(Diagnostic::error("", pointer, code, message));
        };
        let method = method.and_then(|text| match Method::from_bytes(text.as_bytes()) {
            Ok(method) => Some(method),
            Err(_) => {
                refuse("/method".into(), Code::BadValue, format!("{text:?} is not a method"));
                None
            }
        });
        let target = match (url, path) {
            (Some(url), None) => match split(&url) {
                Some((authority, target)) => {
                    Some((authority.map(str::to_owned), target.to_owned()))
                }
                None => {
                    let message =
                        format!("{url:?} is no http URL, and no path that begins with '/'");
                    refuse("/url".into(), Code::BadValue, message);
                    None
                }
            },
            (None, Some(path)) => Some((None, path)),
            (Some(_), Some(_)) => {
                refuse("/path".into(), Code::BadValue, "the path stands in the url already".into());
                None
            }
            (None, None) => {
                let message = "what is asked for is missing: \"url\", or \"path\" with \"host\"";
                refuse(String::new(), Code::MissingKey, message.into());
                None
            }
        };
        if let (Some(_), Some((Some(_), _))) = (&host, &target) {
            refuse("/host".into(), Code::BadValue, "the host stands in the url already".into());
        }
        let mut fields_sent = HeaderMap::new();
        for (name, value) in headers {
            let pointer = join("/headers", &name);
            let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
                refuse(pointer, Code::BadName, format!("{name:?} is not the name of a header"));
                continue;
            };
            let values = match value {
                Value::Array(values) => values,
                one => vec![one],
            };
            for value in values {
                match value.as_str().map(HeaderValue::from_str) {
                    Some(Ok(value)) => {
                        fields_sent.append(name.clone(), value);
                    }
                    _ => {
                        let message = "a header is a string, or a list of strings".to_owned();
                        refuse(pointer.clone(), Code::BadValue, message);
                    }
                }
            }
        }
        let client = match client.as_deref().map(str::parse) {
            None => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            Some(Ok(address)) => Some(address),
            Some(Err(_)) => {
                refuse("/client".into(), Code::BadValue, "it is not an IP address".into());
                None
            }
        };
        fields.finish(|| {
            let (authority, target) = target?;
            let target = target.split('#').next().unwrap_or_default();
            let (path, query) = match target.split_once('?') {
                Some((path, query)) => (path, Some(escaped(query))),
                None => (target, None),
            };
            Some(Self {
                method: method?,
                host: request_host(&authority.or(host).unwrap_or_default()),
                path: if path.is_empty() { "/".to_owned() } else { escaped(path) },
                query,
                headers: fields_sent,
                client: client?,
            })
        })
    }
}

/// Authority and target of a URL; a path alone has no authority.
fn split(url: &str) -> Option<(Option<&str>, &str)> {
    if url.starts_with('/') {
        return Some((None, url));
    }
    let (scheme, rest) = url.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    // A query may follow the host at once; a client asks for `/` then.
    let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().filter(|host| !host.is_empty())?;
    Some((Some(host), target))
}

/// What a client sends of a text that people type: spaces and letters that are not ASCII are escaped.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii() && byte != b' ' {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}
