//! OpenAPI documents as services.

use axum::http::StatusCode;
use serde_json::json;

use super::Harness;

const PATH: &str = "/v1/groups/test/import/openapi";

fn pets() -> serde_json::Value {
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Pet Store", "version": "1"},
        "servers": [{"url": "http://127.0.0.1:8081/v1"}],
        "security": [],
        "paths": {
            "/pets": {"get": {"operationId": "listPets"}, "post": {}},
            "/pets/{id}": {"get": {}}
        }
    })
}

#[tokio::test]
async fn a_document_is_planned_made_and_made_again() -> anyhow::Result<()> {
    let harness = Harness::new()?;
    let body = json!({"document": pets(), "with_upstream": true});
    let plan = harness.post(&format!("{PATH}?dry_run=true"), body.clone()).await?;
    let plan = plan.expect(StatusCode::OK)?;
    assert_eq!(plan["import"]["service"], "pet-store");
    assert_eq!(plan["import"]["notes"][0]["pointer"], "/security");
    assert!(plan["plan"]["changes"].as_array().is_some_and(|changes| changes.len() >= 4), "{plan}");
    let service = "/v1/groups/test/services/pet-store";
    harness.get(service).await?.expect_problem(StatusCode::NOT_FOUND, "not_found")?;

    let made = harness.post(PATH, body.clone()).await?.expect(StatusCode::CREATED)?;
    assert_eq!((&made["changed"], &made["group"]), (&json!(true), &json!("test")));
    let found = harness.get(service).await?.expect(StatusCode::OK)?;
    assert_eq!(found["routes"]["list-pets"]["paths"], json!(["/v1/pets"]));
    assert_eq!(found["routes"]["get-pets-id"]["methods"], json!(["GET"]));
    assert_eq!(found["runtime"]["upstreams"]["default"]["nodes"][0]["port"], 8081);

    // What people did since stays, nodes included.
    let patch = json!({"routes": {"own": {"paths": ["/own"]}}, "runtime": {"hosts": ["pets.test"],
        "upstreams": {"default": {"nodes": [{"host": "127.0.0.1", "port": 9}]}}}});
    harness.call(axum::http::Method::PATCH, service, patch).await?.expect(StatusCode::OK)?;
    let again = harness.post(PATH, body).await?.expect(StatusCode::OK)?;
    assert_eq!(again["changed"], false);
    let found = harness.get(service).await?.expect(StatusCode::OK)?;
    assert_eq!(found["routes"].as_object().map(serde_json::Map::len), Some(4));
    assert_eq!(found["runtime"]["upstreams"]["default"]["nodes"][0]["port"], 9);
    Ok(())
}

#[tokio::test]
async fn what_is_refused() -> anyhow::Result<()> {
    let harness = Harness::new()?;
    for (body, pointer) in [
        (json!({}), ""),
        (json!({"document": {"swagger": "2.0"}}), "/document/swagger"),
        (json!({"document": pets(), "service": "No Name"}), "/service"),
        (json!({"document": pets(), "upstream": true}), "/upstream"),
    ] {
        let reply = harness.post(PATH, body.clone()).await?;
        let problem =
            reply.expect_problem(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed")?;
        assert_eq!(problem["diagnostics"][0]["pointer"], pointer, "{body}");
    }
    let path = "/v1/groups/nowhere/import/openapi";
    let reply = harness.post(path, json!({"document": pets()})).await?;
    reply.expect_problem(StatusCode::NOT_FOUND, "not_found")?;
    Ok(())
}
