//! An object of one group is gone: the answers about all groups name it, those about the others go on.

use std::fs;

use super::*;

#[tokio::test]
async fn a_damaged_group_is_named_and_stops_nobody_else() -> Result<()> {
    let harness = Harness::new()?.with_httpbin().await?;
    harness.put("/v1/groups/uat/services/shop", httpbin()).await?.expect(StatusCode::CREATED)?;
    let group = harness.get("/v1/groups/test").await?.expect(StatusCode::OK)?;
    assert_eq!((&group["damage"], &group["diagnostics"]), (&Value::Null, &json!([])));
    let matrix = harness.get("/v1/services").await?.expect(StatusCode::OK)?;
    assert_eq!(matrix.get("damaged"), None);
    let head = group["head"].as_str().context("a head")?.to_owned();
    let Harness { api, _directory: directory, .. } = harness;
    drop(api);
    let (fan, rest) = head.split_at(2);
    fs::remove_file(directory.path().join("config.git/objects").join(fan).join(rest))?;
    let harness = Harness::over(directory, [])?;

    let groups = harness.get("/v1/groups").await?.expect(StatusCode::OK)?;
    let groups = groups["items"].as_array().context("a list")?;
    assert_eq!(groups.len(), 3);
    for group in groups {
        let damage = group["damage"].as_str();
        assert_eq!(damage.is_some_and(|damage| damage.contains(&head)), group["name"] == "test");
        assert!(group["promotion"]["from"].is_array() && group["instances"].is_object());
    }
    let matrix = harness.get("/v1/services").await?.expect(StatusCode::OK)?;
    assert_eq!(matrix["items"][0]["service"], "shop");
    assert_eq!(matrix["damaged"][0]["group"], "test");
    let row = harness.get("/v1/services/shop").await?.expect(StatusCode::OK)?;
    assert_eq!(
        (&row["groups"]["uat"]["live"], &row["damaged"][0]["group"]),
        (&json!(true), &json!("test"))
    );
    harness.get("/v1/services/shop/versions").await?.expect(StatusCode::OK)?;

    let whole = StatusCode::INTERNAL_SERVER_ERROR;
    let of_test = "/v1/groups/test/services/httpbin";
    for reply in [
        harness.get("/v1/groups/test").await?,
        harness.get("/v1/groups/test/services").await?,
        harness.get(of_test).await?,
        harness.get("/v1/groups/test/history").await?,
        harness.put(of_test, httpbin()).await?,
        harness.post(&format!("{of_test}/sync"), json!({"to": "uat", "version": "1.0.0"})).await?,
        harness.get("/v1/services/httpbin").await?,
    ] {
        let problem = reply.expect_problem(whole, "damaged")?;
        let detail = problem["detail"].as_str().context("a detail")?;
        for part in ["group test is damaged", &head, "refgate check"] {
            assert!(detail.contains(part), "{detail}");
        }
    }
    harness
        .put("/v1/groups/uat/services/shop/routes/get-headers", json!({"paths": ["/x"]}))
        .await?
        .expect(StatusCode::OK)?;
    Ok(())
}
