//! Who may do what: every endpoint for every role, and the tokens that carry the roles.

use super::*;

/// Calls an endpoint with a token, and a body that does no more than it must.
async fn called(harness: &Harness, method: &Method, path: &str, bearer: &str) -> Result<Reply> {
    let request = Request::builder().method(method).uri(path);
    let request = request.header(header::AUTHORIZATION, bearer);
    harness.send(request.body(Body::from("{}"))?).await
}

#[tokio::test]
async fn every_endpoint_asks_for_a_role() -> Result<()> {
    let harness = Harness::new()?;
    let held = Role::ALL.map(|role| (role, harness.of_role(role.as_str(), role).1));
    let mut seen = [0; 4];
    for endpoint in endpoints() {
        if endpoint.guard == Guard::Open {
            continue;
        }
        let path = sample(endpoint.path);
        // The event stream would not end, and git is asked for a service.
        let queries: &[&str] = match &*path {
            "/config.git/info/refs" => &["?service=git-upload-pack", "?service=git-receive-pack"],
            _ if path.ends_with("/events") => &["?nonsense=1"],
            _ => &[""],
        };
        for query in queries {
            // What is said here again is what the documentation says: fetching and checking in
            // is for gateways, reading for viewers, groups and tokens are for administrators, all else is for editors.
            let reads = endpoint.method == Method::GET;
            let needed = match &*path {
                "/v1/groups/test/snapshot" | "/v1/gateways/test/one" => Role::Gateway,
                "/v1/gateways" if !reads => Role::Gateway,
                "/v1/validate" | "/v1/groups/test/match" | "/config.git/git-upload-pack" => {
                    Role::Viewer
                }
                "/v1/tokens" | "/v1/tokens/ci" => Role::Admin,
                "/v1/groups" | "/v1/groups/test" if !reads => Role::Admin,
                _ if reads && !query.ends_with("git-receive-pack") => Role::Viewer,
                _ => Role::Editor,
            };
            seen[needed as usize] += 1;
            let path = format!("{path}{query}");
            for (role, bearer) in &held {
                let reply = called(&harness, &endpoint.method, &path, bearer).await?;
                let context = format!("{} {path} as {role}: {reply:?}", endpoint.method);
                // Viewers change nothing, and what is said of gateways is waited for.
                let may =
                    *role >= needed && (endpoint.guard != Guard::CheckIn || *role != Role::Viewer);
                assert_eq!(reply.status == StatusCode::FORBIDDEN, !may, "{context}");
                if !may {
                    assert!(reply.text.contains(&format!("needs the role {needed}")), "{context}");
                }
            }
        }
    }
    assert!(seen.into_iter().all(|count| count > 0), "{seen:?}");
    Ok(())
}

#[tokio::test]
async fn the_settings_of_a_group_are_an_administrators() -> Result<()> {
    let harness = Harness::new()?.with_httpbin().await?;
    let (_, editor) = harness.of_role("jane", Role::Editor);
    let call = async |path: &str, body: Value| -> Result<Reply> {
        let request = Request::post(path)
            .header(header::AUTHORIZATION, &editor)
            .header(header::CONTENT_TYPE, "application/json");
        harness.send(request.body(Body::from(body.to_string()))?).await
    };
    let commit = "/v1/groups/test/commit";
    let settings = json!({"files": {"group.json": {"description": "mine"}}});
    call(commit, settings.clone()).await?.expect_problem(StatusCode::FORBIDDEN, "forbidden")?;
    let service = json!({"files": {"services/httpbin/service.json": {"description": "new"}}});
    call(commit, service).await?.expect(StatusCode::OK)?;

    harness.post(commit, settings.clone()).await?.expect(StatusCode::OK)?;
    // As they are they may be named.
    call(commit, settings).await?.expect(StatusCode::OK)?;
    let back = |revision: u64| json!({"revision": revision});
    let rollback = "/v1/groups/test/rollback";
    call(rollback, back(2)).await?.expect_problem(StatusCode::FORBIDDEN, "forbidden")?;
    harness.post(rollback, back(2)).await?.expect(StatusCode::OK)?;
    call(rollback, back(3)).await?.expect(StatusCode::OK)?;
    let head = harness.get("/v1/groups/test/history?limit=1").await?.body;
    assert_eq!(head["items"][0]["actor"], "jane");
    Ok(())
}

#[tokio::test]
async fn tokens_come_and_go() -> Result<()> {
    let harness = Harness::new()?;
    let made = harness.post("/v1/tokens", json!({"name": "ci", "role": "editor"})).await?;
    let made = made.expect(StatusCode::CREATED)?;
    let token = made["token"].as_str().context("the token")?.to_owned();
    assert_eq!((&made["name"], &made["role"]), (&json!("ci"), &json!("editor")));
    let again = harness.post("/v1/tokens", json!({"name": "ci", "role": "viewer"})).await?;
    again.expect_problem(StatusCode::CONFLICT, "already_exists")?;

    let bearer = format!("Bearer {token}");
    let service = "/v1/groups/test/services/httpbin";
    let put = async |bearer: &str| -> Result<Reply> {
        let request = Request::put(service).header(header::AUTHORIZATION, bearer);
        harness.send(request.body(Body::from(httpbin().to_string()))?).await
    };
    put(&bearer).await?.expect(StatusCode::CREATED)?;

    let list = harness.get("/v1/tokens").await?;
    assert!(!list.text.contains(&token) && !list.text.contains("sha256"), "{}", list.text);
    let names: Vec<_> =
        list.body["items"].as_array().context("items")?.iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["admin", "ci"]);

    // It is in the repository, so that it outlives the process, and only as a hash.
    let stored = harness.api.store.read(|repository| repository.access_read("tokens.json")).await;
    let stored = stored.map_err(|problem| anyhow::anyhow!("{problem:?}"))?.context("the file")?;
    assert!(Access::from_file(&stored)?.identify(&token).is_some());
    assert!(!String::from_utf8(stored)?.contains(&token));

    let gone = harness.call(Method::DELETE, "/v1/tokens/ci", Value::Null).await?;
    assert_eq!(gone.expect(StatusCode::OK)?, json!({"name": "ci", "revoked": true}));
    put(&bearer).await?.expect_problem(StatusCode::UNAUTHORIZED, "unauthenticated")?;
    let gone = harness.call(Method::DELETE, "/v1/tokens/ci", Value::Null).await?;
    gone.expect_problem(StatusCode::NOT_FOUND, "not_found")?;
    let admin = harness.call(Method::DELETE, "/v1/tokens/admin", Value::Null).await?;
    admin.expect_problem(StatusCode::CONFLICT, "still_referenced")?;
    Ok(())
}

#[tokio::test]
async fn what_is_no_token_is_refused_whole() -> Result<()> {
    let harness = Harness::new()?;
    for (body, pointers) in [
        (json!({}), vec!["", ""]),
        (json!({"name": "a b", "role": "root"}), vec!["/name", "/role"]),
        (json!({"name": "refgate", "role": "admin"}), vec!["/name"]),
        (json!({"name": "refgate-hook", "role": "admin"}), vec!["/name"]),
        (json!({"name": "ci", "role": "viewer", "token": "my-own-token"}), vec!["/token"]),
    ] {
        let reply = harness.post("/v1/tokens", body.clone()).await?;
        let problem =
            reply.expect_problem(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed")?;
        let found = problem["diagnostics"].as_array().context("diagnostics")?;
        let found: Vec<_> = found.iter().map(|one| one["pointer"].clone()).collect();
        assert_eq!(found, pointers, "{body}");
    }
    Ok(())
}

#[tokio::test]
async fn the_hooks_of_this_process_may_read() -> Result<()> {
    let harness = Harness::new()?.with_httpbin().await?;
    let bearer = format!("Bearer {}", harness.api.door.hook_token().reveal());
    let get = async |path: &str| called(&harness, &Method::GET, path, &bearer).await;
    let head = get("/v1/groups/test").await?.expect(StatusCode::OK)?["head"].clone();
    let commit = head.as_str().context("a commit")?;
    let asked = format!("/v1/groups/test/convergence?commit={commit}&wait=0.1");
    let nobody = json!({"commit": commit, "applied": 0, "total": 0, "pending": []});
    assert_eq!(get(&asked).await?.expect(StatusCode::OK)?, nobody);
    assert_eq!(get("/v1/groups/test/convergence").await?.expect(StatusCode::OK)?, nobody);
    for (path, status, code) in [
        (format!("/v1/groups/uat/convergence?commit={commit}"), StatusCode::NOT_FOUND, "not_found"),
        (
            "/v1/groups/test/convergence?commit=x".to_owned(),
            StatusCode::BAD_REQUEST,
            "malformed_request",
        ),
        ("/v1/tokens".to_owned(), StatusCode::FORBIDDEN, "forbidden"),
    ] {
        get(&path).await?.expect_problem(status, code).context(path)?;
    }
    Ok(())
}
