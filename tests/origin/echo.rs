//! What a request says, as the JSON fields that httpbin would answer with.
//!
//! Which endpoint shows which fields is decided in `main.rs`.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts as _, Request};
use axum::http::{HeaderMap, Method, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

/// One field of the answer.
pub(crate) enum Show {
    Args,
    Data,
    Files,
    Form,
    Headers,
    Json,
    Method(Method),
    Origin,
    Url,
}

/// A request, read whole.
pub(crate) struct Echo {
    peer: SocketAddr,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl<S: Send + Sync> FromRequest<S> for Echo {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let ConnectInfo(peer) = ConnectInfo::from_request_parts(&mut parts, state)
            .await
            .map_err(IntoResponse::into_response)?;
        let (uri, headers) = (parts.uri.clone(), parts.headers.clone());
        let body = Bytes::from_request(Request::from_parts(parts, body), state)
            .await
            .map_err(IntoResponse::into_response)?;
        Ok(Self { peer, uri, headers, body })
    }
}

impl Echo {
    /// The chosen fields as one JSON object, pretty-printed as httpbin does.
    pub(crate) fn answer(&self, show: &[Show]) -> Response {
        let fields: Map<String, Value> = show
            .iter()
            .map(|field| {
                let (key, value) = self.field(field);
                (key.to_owned(), value)
            })
            .collect();
        let body = format!("{:#}\n", Value::Object(fields));
        ([(header::CONTENT_TYPE, "application/json")], body).into_response()
    }

    fn field(&self, field: &Show) -> (&'static str, Value) {
        match field {
            Show::Args => ("args", pairs(self.uri.query().unwrap_or_default().as_bytes())),
            Show::Data if self.is_form() => ("data", json!("")),
            Show::Data => ("data", String::from_utf8_lossy(&self.body).into()),
            Show::Files => ("files", json!({})),
            Show::Form if self.is_form() => ("form", pairs(&self.body)),
            Show::Form => ("form", json!({})),
            Show::Headers => ("headers", self.shown_headers()),
            Show::Json => ("json", serde_json::from_slice(&self.body).unwrap_or_default()),
            Show::Method(method) => ("method", method.as_str().into()),
            Show::Origin => ("origin", self.origin().into()),
            Show::Url => ("url", self.url().into()),
        }
    }

    fn is_form(&self) -> bool {
        self.header(&header::CONTENT_TYPE)
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
    }

    fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn shown_headers(&self) -> Value {
        let mut shown: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in &self.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            shown
                .entry(title_case(name.as_str()))
                .and_modify(|seen| *seen = format!("{seen},{value}"))
                .or_insert_with(|| value.into_owned());
        }
        json!(shown)
    }

    fn origin(&self) -> String {
        self.header("x-forwarded-for").map_or_else(|| self.peer.ip().to_string(), str::to_owned)
    }

    fn url(&self) -> String {
        let scheme = self.header("x-forwarded-proto").unwrap_or("http");
        let host = self.header(&header::HOST).unwrap_or_default();
        format!("{scheme}://{host}{}", self.uri)
    }
}

/// `x-forwarded-for` as `X-Forwarded-For`: what WSGI makes of header names.
fn title_case(name: &str) -> String {
    name.split('-')
        .map(|word| {
            let mut letters = word.chars();
            letters
                .next()
                .map(|first| first.to_ascii_uppercase())
                .into_iter()
                .chain(letters)
                .collect::<String>()
        })
        .collect::<Vec<_>>()
        .join("-")
}

/// `a=1&b=2&b=3` as `{"a": "1", "b": ["2", "3"]}`.
fn pairs(encoded: &[u8]) -> Value {
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pair in encoded.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()) {
        let (name, value) = match pair.iter().position(|&byte| byte == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &[][..]),
        };
        values.entry(decode(name)).or_default().push(decode(value));
    }
    values
        .into_iter()
        .map(|(name, mut values)| {
            let value = if values.len() == 1 { json!(values.remove(0)) } else { json!(values) };
            (name, value)
        })
        .collect::<Map<_, _>>()
        .into()
}

/// Form decoding: `+` is a space, `%41` is `A`, a broken escape stays as it is.
fn decode(encoded: &[u8]) -> String {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((&byte, after)) = rest.split_first() {
        let escape = (byte == b'%').then(|| after.get(..2)).flatten().and_then(hex);
        match (byte, escape) {
            (_, Some(byte)) => {
                decoded.push(byte);
                rest = &after[2..];
            }
            (b'+', None) => {
                decoded.push(b' ');
                rest = after;
            }
            _ => {
                decoded.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn hex(digits: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(digits).ok()?;
    // `from_str_radix` would take a sign.
    (digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
        .then(|| u8::from_str_radix(digits, 16).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::{decode, pairs, title_case};
    use serde_json::json;

    #[test]
    fn names_are_shown_as_wsgi_shows_them() {
        assert_eq!(title_case("x-forwarded-for"), "X-Forwarded-For");
        assert_eq!(title_case("host"), "Host");
    }

    #[test]
    fn query_and_form_are_decoded() {
        for (encoded, value) in [
            ("", json!({})),
            ("a=1&b=2&b=3", json!({"a": "1", "b": ["2", "3"]})),
            ("q=a+b%20c&flag", json!({"q": "a b c", "flag": ""})),
            ("x=%zz&y=%4", json!({"x": "%zz", "y": "%4"})),
        ] {
            assert_eq!(pairs(encoded.as_bytes()), value, "{encoded}");
        }
        assert_eq!(decode(b"%C3%A9%+1"), "\u{e9}% 1");
    }
}
