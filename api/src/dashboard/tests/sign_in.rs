//! Signing in and out, what keeps others out, and what roles see.

use std::sync::Arc;

use super::*;

#[tokio::test]
async fn a_token_opens_and_leaving_closes() -> Result<()> {
    let mut browser = Browser::new()?;
    let token = browser.admin.reveal().to_owned();
    let next = "/groups/test";
    let reply = browser.post_raw("/login", &[("token", &token), ("next", next)], &[]).await?;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    assert_eq!(reply.headers["location"], next);
    let cookie = reply.headers[header::SET_COOKIE].to_str()?.to_owned();
    for part in
        ["refgate_session=", "; Path=/", "; HttpOnly", "; SameSite=Strict", "; Max-Age=43200"]
    {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"));
    assert!(!cookie.contains(&token), "the token itself is not in the cookie");

    browser.sign_in(&token).await?;
    assert!(words(&browser.page("/").await?).contains("Overview"));
    let reply = browser.submit_from(&browser.page("/").await?, "/logout", &[]).await?;
    assert_eq!(reply.headers["location"], "/login");
    assert!(reply.headers[header::SET_COOKIE].to_str()?.contains("Max-Age=0"));
    assert_eq!(browser.get("/").await?.status, StatusCode::SEE_OTHER, "the session is over");

    let behind_tls = [("x-forwarded-proto", "https")];
    let reply = browser.post_raw("/login", &[("token", &token)], &behind_tls).await?;
    assert!(reply.headers[header::SET_COOKIE].to_str()?.ends_with("; Secure"));
    for elsewhere in ["https://evil.test/", "//evil.test", "/\\evil.test"] {
        let fields = [("token", &*token), ("next", elsewhere)];
        let reply = browser.post_raw("/login", &fields, &[]).await?;
        assert_eq!(reply.headers["location"], "/", "{elsewhere}");
    }
    Ok(())
}

#[tokio::test]
async fn wrong_tokens_are_counted() -> Result<()> {
    let mut browser = Browser::new()?;
    let gateway = browser.become_one_of(Role::Gateway).await?;
    for token in ["", "wrong-token-here", "<script>", gateway.reveal()] {
        let reply = browser.post_raw("/login", &[("token", token)], &[]).await?;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{token}");
        assert!(reply.headers.get(header::SET_COOKIE).is_none());
        assert!(reply.text.contains("<h2>Sign in</h2>"));
    }
    for _ in 4..10 {
        let reply = browser.post_raw("/login", &[("token", "wrong-token")], &[]).await?;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    }
    let token = browser.admin.reveal().to_owned();
    let reply = browser.post_raw("/login", &[("token", &token)], &[]).await?;
    assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS, "even with the right one");
    let wait: u64 = reply.headers[header::RETRY_AFTER].to_str()?.parse()?;
    assert!((1..=60).contains(&wait), "{wait}");
    Ok(())
}

#[tokio::test]
async fn only_our_own_forms_write() -> Result<()> {
    let browser = Browser::signed_in().await?.with_httpbin()?;
    let before = browser.repository.head(&"test".parse()?)?;
    let page = browser.page("/groups/test/services/httpbin/hosts").await?;
    let csrf = form(&page, "/logout")?.remove(0).1;
    for page in pages().into_iter().filter(|page| page.method == Method::POST) {
        if !matches!(page.guard, Guard::Page(_)) {
            continue;
        }
        let path = sample(page.path);
        for fields in [&[][..], &[("csrf", "")], &[("csrf", "wrong")]] {
            let reply = browser.post_raw(&path, fields, &[]).await?;
            assert_eq!(reply.status, StatusCode::FORBIDDEN, "{path} {fields:?}");
        }
        for headers in [
            [("origin", "https://evil.test")],
            [("origin", "null")],
            [("origin", "http://refgate.test:81")],
            [("sec-fetch-site", "cross-site")],
            [("sec-fetch-site", "same-site")],
        ] {
            let reply = browser.post_raw(&path, &[("csrf", &csrf)], &headers).await?;
            assert_eq!(reply.status, StatusCode::FORBIDDEN, "{path} {headers:?}");
        }
    }
    let token = browser.admin.reveal();
    let headers = [("origin", "https://evil.test")];
    let reply = browser.post_raw("/login", &[("token", token)], &headers).await?;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert_eq!(browser.repository.head(&"test".parse()?)?, before);

    let path = "/groups/test/services/httpbin/hosts";
    let fields = [("csrf", &*csrf), ("host", "more.acme.com")];
    let headers = [("origin", "http://refgate.test"), ("sec-fetch-site", "same-origin")];
    let reply = browser.post_raw(path, &fields, &headers).await?;
    assert_eq!(reply.status, StatusCode::SEE_OTHER, "{reply:?}");
    let headers = [("origin", "https://gate.acme.com"), ("x-forwarded-host", "gate.acme.com")];
    let fields = [("csrf", &*csrf), ("host", "third.acme.com")];
    let reply = browser.post_raw(path, &fields, &headers).await?;
    assert_eq!(reply.status, StatusCode::SEE_OTHER, "behind a proxy");
    Ok(())
}

#[tokio::test]
async fn a_token_that_is_revoked_takes_its_sessions_along() -> Result<()> {
    let mut browser = Browser::new()?;
    browser.become_one_of(Role::Editor).await?;
    browser.page("/").await?;
    let mut access = Access::clone(&browser.api.door.access());
    access.remove("editor");
    browser.api.door.change(access);
    assert_eq!(browser.get("/").await?.status, StatusCode::SEE_OTHER);
    let mut request = browser.request(Method::GET, "/").body(Body::empty())?;
    request.headers_mut().insert("hx-request", "true".parse()?);
    let reply = browser.send(request).await?;
    assert_eq!(reply.status, StatusCode::NO_CONTENT, "a part of a page is no place to sign in");
    assert_eq!(reply.headers["hx-redirect"], "/login");
    Ok(())
}

#[tokio::test]
async fn roles_see_what_they_may_do() -> Result<()> {
    let mut browser = Browser::signed_in().await?.with_httpbin()?;
    let csrf = |page: &str| -> Result<String> { Ok(form(page, "/logout")?.remove(0).1) };
    for role in [Role::Viewer, Role::Editor] {
        browser.become_one_of(role).await?;
        let token = csrf(&browser.page("/").await?)?;
        for page in pages() {
            let Guard::Page(needed) = page.guard else { continue };
            if page.path == "/live" || needed <= role {
                continue;
            }
            let path = sample(page.path);
            let reply = match page.method {
                Method::POST => browser.post_raw(&path, &[("csrf", &token)], &[]).await?,
                _ => browser.get(&path).await?,
            };
            assert_eq!(reply.status, StatusCode::FORBIDDEN, "{role} {} {path}", page.method);
        }
    }
    browser.become_one_of(Role::Viewer).await.ok();
    let mut access = Access::default();
    let viewer = Token::generate();
    access.add("looker", viewer.hash(), Role::Viewer, "2026-01-01T00:00:00Z");
    browser.api.door.change(access);
    browser.sign_in(viewer.reveal()).await?;
    for path in [
        "/",
        "/groups/test",
        "/groups/test/services/httpbin",
        "/groups/test/services/httpbin/hosts",
        "/groups/test/services/httpbin/upstreams",
        "/groups/test/services/httpbin/versions",
        "/groups/test/services/httpbin/routes/get-headers",
    ] {
        let page = browser.page(path).await?;
        for link in ["/sync", "/services/~new", "/rollback", "Add Node", "nodes/remove"] {
            assert!(!page.contains(link), "{path}: {link}");
        }
    }
    // Documents are looked at in their forms, which cannot be sent.
    for path in [
        "/groups/test/settings",
        "/groups/test/services/httpbin/settings",
        "/groups/test/services/httpbin/runtime",
        "/groups/test/services/httpbin/upstreams/default",
        "/groups/test/services/httpbin/routes/get-headers",
    ] {
        let page = browser.page(path).await?;
        assert!(words(&page).contains("allows looking"), "{path}: {}", words(&page));
        assert!(!page.contains(r#"value="save""#), "{path}");
        assert!(page.contains(r#"<fieldset class="card" disabled>"#), "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn the_theme_is_remembered() -> Result<()> {
    let browser = Browser::signed_in().await?;
    assert!(browser.page("/").await?.contains(r#"data-theme="auto""#));
    let page = browser.page("/history").await?;
    let reply = browser.submit_from(&page, "/theme", &[("theme", "dark")]).await?;
    assert_eq!(reply.headers["location"], "/history");
    let cookie = reply.headers[header::SET_COOKIE].to_str()?;
    assert!(cookie.starts_with("refgate_theme=dark;"), "{cookie}");
    let both = format!("{}; refgate_theme=dark", browser.cookie.as_deref().unwrap_or_default());
    let request = Request::get("/").header(header::COOKIE, both).body(Body::empty())?;
    assert!(browser.send(request).await?.text.contains(r#"data-theme="dark""#));
    Ok(())
}

#[tokio::test]
async fn what_was_typed_outlives_a_session() -> Result<()> {
    let mut browser = Browser::signed_in().await?.with_httpbin()?;
    let path = "/groups/test/services/httpbin/routes/get-headers";
    let page = browser.page(path).await?;
    // The control plane was started anew: it knows nobody.
    browser.api.sessions = Arc::default();
    let typed = "a \"text\"\n\nof <lines>";
    let fields = [("action", "save"), ("/description", "kept"), ("/paths", "/headers\n/more")];
    let reply = browser.submit_from(&page, path, &fields).await?;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    assert!(words(&reply.text).contains("What you typed is kept"), "{}", words(&reply.text));

    let reply = browser.submit_from(&reply.text, "/login", &[("token", "wrong")]).await?;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "and it is kept after a slip, too");
    let token = browser.admin.reveal().to_owned();
    let reply = browser.submit_from(&reply.text, "/login", &[("token", &token)]).await?;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(words(&reply.text).contains("has not been saved yet"), "{}", words(&reply.text));
    let cookie = reply.headers.get(header::SET_COOKIE).context("a cookie")?.to_str()?;
    browser.cookie = Some(cookie.split(';').next().unwrap_or_default().to_owned());
    let reply = browser.submit_from(&reply.text, path, &[]).await?;
    browser.follow(reply).await?;
    let route =
        browser.repository.route(&"test".parse()?, &"httpbin".parse()?, &"get-headers".parse()?)?;
    assert_eq!(route.value["description"], "kept");
    assert_eq!(route.value["paths"], json!(["/headers", "/more"]));

    // What another site sends is not kept, and neither are leaving and looks.
    browser.cookie = None;
    let evil = [("sec-fetch-site", "cross-site")];
    let reply = browser.post_raw(path, &[("/description", typed)], &evil).await?;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    for path in ["/logout", "/theme"] {
        let reply = browser.post_raw(path, &[("next", "/")], &[]).await?;
        assert_eq!(reply.headers["location"], "/login", "{path}");
    }
    Ok(())
}
