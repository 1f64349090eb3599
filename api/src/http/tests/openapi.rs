//! The document of the API: whole, true, and as it is in `docs/reference/openapi.json`.
//!
//! That every answer is one that it tells of is checked where every test sends its requests
//! ([`Harness::send`]). After a change, `REFGATE_BLESS=1 cargo test -p refgate --lib openapi` writes
//! the reference anew.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::openapi::testing::{check, escaped};
use crate::openapi::{is_told, whole};

/// Every operation: method, path, what the document says of it, and where.
fn operations() -> Result<Vec<(Method, String, &'static Value, String)>> {
    let mut all = Vec::new();
    for (path, methods) in whole()["paths"].as_object().context("paths")? {
        for (method, told) in methods.as_object().context("methods")? {
            let place = format!("/paths/{}/{method}", escaped(path));
            all.push((method.to_ascii_uppercase().parse()?, path.clone(), told, place));
        }
    }
    Ok(all)
}

/// The parameters of an operation, those that are shared among them.
fn parameters(told: &Value) -> Vec<&Value> {
    let all = told["parameters"].as_array().into_iter().flatten();
    let shared = |one: &Value| one["$ref"].as_str()?.strip_prefix('#').map(str::to_owned);
    all.map(|one| shared(one).and_then(|place| whole().pointer(&place)).unwrap_or(one)).collect()
}

#[test]
fn every_endpoint_is_told_and_nothing_else() -> Result<()> {
    let told: BTreeSet<_> =
        operations()?.into_iter().map(|(m, path, ..)| (path, m.to_string())).collect();
    let there = endpoints().into_iter().filter(is_told);
    let there: BTreeSet<_> = there.map(|e| (e.path.to_owned(), e.method.to_string())).collect();
    assert_eq!(told, there, "operations, endpoints");
    Ok(())
}

#[test]
fn every_operation_is_told_whole() -> Result<()> {
    let mut ids = BTreeSet::new();
    for (method, path, told, _) in operations()? {
        let context = format!("{method} {path}");
        let id = told["operationId"].as_str().context("an id")?;
        assert!(ids.insert(id), "{context}: the id {id} stands twice");
        assert!(told["summary"].as_str().is_some_and(|text| !text.is_empty()), "{context}");
        let (mut named, mut unique) = (BTreeSet::new(), BTreeSet::new());
        for parameter in parameters(told) {
            let name =
                parameter["name"].as_str().with_context(|| format!("{context}: {parameter}"))?;
            assert!(parameter["description"].is_string(), "{context}: {name}");
            assert!(unique.insert((name, parameter["in"].as_str())), "{context}: {name} twice");
            if parameter["in"] == "path" {
                named.insert(name);
            }
        }
        let in_path: BTreeSet<_> =
            path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        assert_eq!(named, in_path, "{context}");
        let takes_body = [Method::POST, Method::PUT, Method::PATCH].contains(&method);
        assert_eq!(told["requestBody"].is_object(), takes_body, "{context}");
    }
    Ok(())
}

/// Every `$ref` leads somewhere, and every component is referred to.
#[test]
fn references_lead_to_components() -> Result<()> {
    fn collect<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str));
                object.values().for_each(|below| collect(below, found));
            }
            Value::Array(items) => items.iter().for_each(|below| collect(below, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    collect(whole(), &mut found);
    for link in &found {
        let pointer = link.strip_prefix('#').context("a link")?;
        assert!(whole().pointer(pointer).is_some(), "{link}");
    }
    for kind in ["parameters", "headers", "responses", "schemas"] {
        for name in whole()["components"][kind].as_object().context(kind)?.keys() {
            let link = format!("#/components/{kind}/{name}");
            assert!(found.contains(&*link), "nothing refers to {link}");
        }
    }
    Ok(())
}

#[test]
fn examples_are_what_they_are_examples_of() -> Result<()> {
    for (method, path, told, place) in operations()? {
        let content = told["requestBody"]["content"].as_object().into_iter().flatten();
        for (content_type, media) in content {
            let schema = format!("{place}/requestBody/content/{}/schema", escaped(content_type));
            let example = &media["examples"]["one"]["value"];
            check(&schema, example).with_context(|| format!("{method} {path}"))?;
        }
    }
    for (name, schema) in whole()["components"]["schemas"].as_object().context("schemas")? {
        for example in schema["examples"].as_array().into_iter().flatten() {
            check(&format!("/components/schemas/{name}"), example)?;
        }
    }
    Ok(())
}

/// The check that every test's answers go through does refuse.
#[test]
fn an_answer_that_is_not_told_is_found() -> Result<()> {
    let headers = |content_type: &str, tag: bool| -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        headers.insert("x-request-id", "r-1".parse()?);
        headers.insert(header::CONTENT_TYPE, content_type.parse()?);
        if tag {
            headers.insert(header::ETAG, "\"a\"".parse()?);
        }
        Ok(headers)
    };
    let group = json!({"name": "a", "description": "", "type": "gateway", "labels": {}, "variables": {},
        "promotion": {"from": [], "direct_edits": "allow"}, "http": {}, "head": "0".repeat(40), "revision": 1,
        "services": 0, "diagnostics": [], "damage": null, "instances": {"healthy": 0, "total": 0}});
    let (mut more, mut less) = (group.clone(), group.clone());
    more["instances"]["lost"] = json!(0);
    less["head"] = json!("abc");
    let problem = |code: &str| {
        json!({"type": "urn:x", "title": "x", "status": 404, "detail": "x",
        "code": code, "request_id": "r-1"})
    };
    let (json, failed) = ("application/json", "application/problem+json");
    let table = [
        (true, 200, json, true, group.clone()),
        (false, 200, json, true, more),
        (false, 200, json, true, less),
        (false, 200, json, false, group.clone()),
        (false, 200, "text/json", true, group.clone()),
        (false, 201, json, true, group),
        (true, 404, failed, false, problem("not_found")),
        (false, 404, failed, false, problem("version_taken")),
        (false, 418, failed, false, problem("not_found")),
    ];
    for (index, (told, status, content_type, tag, body)) in table.into_iter().enumerate() {
        let (status, headers) = (StatusCode::from_u16(status)?, headers(content_type, tag)?);
        let answer = (status, &headers, &*body.to_string());
        let verdict = check_answer(&Method::GET, "/v1/groups/a", answer);
        assert_eq!(verdict.is_ok(), told, "{index}: {verdict:?}");
    }
    Ok(())
}

/// Every body may come as YAML, none as something else, and none is read carelessly.
#[tokio::test]
async fn every_body_is_json_or_yaml() -> Result<()> {
    let harness = Harness::new()?.with_httpbin().await?;
    for (method, path, told, _) in operations()? {
        if !told["requestBody"].is_object() {
            continue;
        }
        let table = [
            ("text/plain", "{}", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            ("application/yaml", "a: [", StatusCode::BAD_REQUEST),
            ("application/yaml", "a: 1\na: 2\n", StatusCode::UNPROCESSABLE_ENTITY),
            ("application/json", "{", StatusCode::BAD_REQUEST),
        ];
        for (content_type, text, status) in table {
            let request = harness.request(&method, &sample(&path));
            let request = request.header(header::CONTENT_TYPE, content_type).body(text.into())?;
            let reply = harness.send(request).await?;
            assert_eq!(reply.status, status, "{method} {path} {content_type} {reply:?}");
        }
    }
    let yaml = "paths:\n  - /headers\nmethods: [GET, HEAD]\n";
    let request =
        harness.request(&Method::PUT, "/v1/groups/test/services/httpbin/routes/get-headers");
    let request = request.header(header::CONTENT_TYPE, "application/yaml").body(yaml.into())?;
    assert_eq!(harness.send(request).await?.expect(StatusCode::OK)?["changed"], true);
    Ok(())
}

/// What can be read as one thing has an entity tag; the examples of paths are all there.
#[tokio::test]
async fn every_object_has_an_entity_tag() -> Result<()> {
    let harness = Harness::new()?.with_httpbin().await?;
    let service = "/v1/groups/test/services/httpbin";
    harness.post(&format!("{service}/versions"), json!({"version": "1.0.0"})).await?;
    let consumer = json!({"credentials": {"a": {"type": "key-auth", "key": "$env://KEY"}}});
    harness.put("/v1/groups/test/consumers/app", consumer).await?.expect(StatusCode::CREATED)?;
    let certificate =
        json!({"snis": ["a.com"], "certificate": "$env://C", "private_key": "$env://K"});
    harness
        .put("/v1/groups/test/certificates/web", certificate)
        .await?
        .expect(StatusCode::CREATED)?;
    harness
        .put("/v1/groups/test/global-rules/all", json!({}))
        .await?
        .expect(StatusCode::CREATED)?;
    let head = harness.get("/v1/groups/test").await?.body["head"].clone();
    let (mut objects, head) = (0, head.as_str().context("a head")?.to_owned());
    for (method, path, told, _) in operations()? {
        if method != Method::GET || told["responses"].get("304").is_none() {
            continue;
        }
        let path = sample(&path).replace(&"0".repeat(40), &head);
        let reply = harness.get(&path).await?;
        let tag = reply.etag().with_context(|| path.clone())?;
        reply.expect(StatusCode::OK)?;
        let again = harness.request(&method, &path).header(header::IF_NONE_MATCH, tag);
        let again = harness.send(again.body(Body::empty())?).await?;
        assert_eq!(again.status, StatusCode::NOT_MODIFIED, "{path}");
        objects += 1;
    }
    assert_eq!(objects, 11, "a new object: name it here");
    Ok(())
}

#[tokio::test]
async fn the_document_and_the_page_are_for_everybody() -> Result<()> {
    let harness = Harness::new()?;
    let open = |path: &str| Request::get(path).body(Body::empty());
    let reply = harness.send(open("/v1/openapi.json")?).await?;
    assert_eq!(&reply.expect(StatusCode::OK)?, whole());
    let page = harness.send(open("/docs")?).await?;
    assert_eq!(page.status, StatusCode::OK);
    let policy = page.headers[header::CONTENT_SECURITY_POLICY].to_str()?;
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    for (.., told, _) in operations()? {
        let id = told["operationId"].as_str().context("an id")?;
        assert!(page.text.contains(&format!("<article id=\"{id}\">")), "{id}");
    }
    for outside in ["<script", "http://", "https://", "style=", "url("] {
        let outside = page.text.replace("http://test.acme.com", "").contains(outside);
        assert!(!outside, "the page is whole in itself");
    }
    for link in page.text.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(page.text.contains(&format!("id=\"{link}\"")), "nothing is at #{link}");
    }
    Ok(())
}

#[test]
fn the_reference_is_the_document() -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/openapi.json");
    let text = format!("{:#}\n", whole());
    if std::env::var_os("REFGATE_BLESS").is_some() {
        std::fs::write(&path, &text)?;
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    let how = "REFGATE_BLESS=1 cargo test -p refgate --lib openapi";
    assert!(there == text, "docs/reference/openapi.json is not true any more: {how}");
    Ok(())
}
