//! Which route takes a request, asked of a group's head.

use anyhow::Result;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::Harness;

const MATCH: &str = "/v1/groups/test/match";

async fn asked(harness: &Harness, question: Value) -> Result<Value> {
    harness.post(MATCH, question).await?.expect(StatusCode::OK)
}

async fn shop() -> Result<Harness> {
    let harness = Harness::new()?;
    let upstreams = json!({"default": {"nodes": [{"host": "127.0.0.1", "port": 80}]}});
    let shop = json!({
        "routes": {
            "order": {"paths": ["/orders/{id}"], "methods": ["GET", "HEAD"]},
            "canary": {"paths": ["/orders/{order}"], "methods": ["GET"], "priority": 5,
                "match": {"headers": [{"name": "x-canary", "value": "1"}], "remote_addrs": ["10.0.0.0/8"]}},
            "secret": {"paths": ["/orders/{id}"], "priority": 9,
                "match": {"headers": [{"name": "x-key", "value": "$env://KEY"}]}},
            "cancel": {"paths": ["/orders/{id}"], "methods": ["DELETE"], "enabled": false},
            "all": {"paths": ["/*"], "methods": ["GET", "PUT"]},
        },
        "runtime": {"hosts": ["shop.acme.com"], "path_prefix": "/v1", "upstreams": upstreams},
    });
    harness.put("/v1/groups/test/services/shop", shop).await?.expect(StatusCode::CREATED)?;
    let other = json!({
        "routes": {"all": {"paths": ["/v1/*"]}},
        "runtime": {"hosts": ["other.acme.com"], "upstreams": upstreams},
    });
    harness.put("/v1/groups/test/services/other", other).await?.expect(StatusCode::CREATED)?;
    let waiting = json!({"routes": {"all": {"paths": ["/*"]}}});
    harness.put("/v1/groups/test/services/waiting", waiting).await?.expect(StatusCode::CREATED)?;
    Ok(harness)
}

/// Service and route of each candidate, with its verdict.
fn verdicts(answer: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let candidates = answer["candidates"].as_array().into_iter().flatten();
    candidates
        .map(|one| {
            format!("{}/{} {}", text(&one["service"]), text(&one["route"]), text(&one["verdict"]))
        })
        .collect()
}

#[tokio::test]
async fn the_winner_and_why_not_the_others() -> Result<()> {
    let harness = shop().await?;
    let question = json!({"method": "GET", "url": "https://Shop.acme.com:8443/v1//orders/%37?x=1"});
    let answer = asked(&harness, question).await?;
    assert_eq!(
        answer["matched"],
        json!({"service": "shop", "route": "order", "host": "shop.acme.com",
            "path": "/v1/orders/{id}", "params": {"id": "7"}, "upstream": "default",
            "forwarded_path": "/orders/7"}),
        "{answer:#}"
    );
    assert_eq!((&answer["status"], &answer["allow"]), (&json!(200), &json!([])));
    assert_eq!(
        verdicts(&answer),
        [
            "shop/secret unknown",
            "shop/canary predicate",
            "shop/order matched",
            "shop/all outranked",
            "shop/cancel disabled",
            "waiting/all not_live",
            "other/all host"
        ]
        .map(str::to_owned),
        "{answer:#}"
    );
    let reasons: Vec<_> = answer["candidates"].as_array().into_iter().flatten().collect();
    assert_eq!(reasons[1]["reason"], "the client 127.0.0.1 is not in 10.0.0.0/8");
    assert_eq!(reasons[3]["reason"], "shop/order has a more specific path");

    let question = json!({"method": "GET", "host": "shop.acme.com", "path": "/v1/orders/7",
        "headers": {"X-Canary": ["1"]}, "client": "10.1.2.3"});
    let answer = asked(&harness, question).await?;
    assert_eq!(answer["matched"]["route"], "canary", "{answer:#}");
    assert_eq!(answer["matched"]["params"], json!({"order": "7"}));
    Ok(())
}

#[tokio::test]
async fn nothing_is_the_same_as_absent_but_for_what_is_asked() -> Result<()> {
    let harness = shop().await?;
    let question = json!({"method": "GET", "path": "/v1/orders/7", "host": null, "headers": null,
        "client": null});
    asked(&harness, question).await?;
    let question = json!({"method": "GET", "path": "/v1/orders/7", "url": null});
    let reply = harness.post("/v1/groups/test/match", question).await?;
    let problem = reply.expect(StatusCode::UNPROCESSABLE_ENTITY)?;
    assert_eq!(problem["diagnostics"][0]["pointer"], "/url", "{problem:#}");
    Ok(())
}

#[tokio::test]
async fn what_no_route_takes() -> Result<()> {
    let harness = shop().await?;
    let answer =
        asked(&harness, json!({"method": "POST", "url": "http://shop.acme.com/v1/x"})).await?;
    assert_eq!((&answer["status"], &answer["matched"]), (&json!(405), &Value::Null), "{answer:#}");
    assert_eq!(answer["allow"], json!(["GET", "PUT"]));
    let answer = asked(&harness, json!({"method": "GET", "url": "/v1/orders/7"})).await?;
    assert_eq!(answer["status"], 404, "{answer:#}");
    assert!(verdicts(&answer).contains(&"shop/order host".to_owned()), "{answer:#}");
    let answer = asked(&harness, json!({"method": "GET", "url": "/../x"})).await?;
    assert_eq!(answer["status"], 400, "{answer:#}");
    assert!(answer["message"].as_str().is_some_and(|message| message.contains("root")));
    Ok(())
}
