//! The door for git, as far as it is HTTP; with git itself on the other side it is tested end to
//! end.

use super::*;

const ADVERTISEMENT: &str = "/config.git/info/refs?service=git-upload-pack";

fn basic(harness: &Harness) -> String {
    use base64::Engine as _;
    let pair = format!("anybody:{}", harness.token.reveal());
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

fn request(method: &str, path: &str, authorization: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path).header(header::AUTHORIZATION, authorization)
}

#[tokio::test]
async fn an_advertisement_is_what_gits_own_server_says() -> Result<()> {
    let harness = Harness::new()?;
    let authorization = basic(&harness);
    for (service, protocol, begins) in [
        ("upload-pack", None, "001e# service=git-upload-pack\n0000"),
        ("upload-pack", Some("version=1"), "001e# service=git-upload-pack\n0000000eversion 1\n"),
        ("upload-pack", Some("version=2"), "000eversion 2\n"),
        ("upload-pack", Some("version=2 --x"), "001e# service=git-upload-pack\n0000"),
        ("receive-pack", None, "001f# service=git-receive-pack\n0000"),
        ("receive-pack", Some("version=2"), "001f# service=git-receive-pack\n0000"),
    ] {
        let path = format!("/config.git/info/refs?service=git-{service}");
        let mut request = request("GET", &path, &authorization);
        if let Some(version) = protocol {
            request = request.header("git-protocol", version);
        }
        let reply = harness.send(request.body(Body::empty())?).await?;
        let context = format!("{service} {protocol:?} {reply:?}");
        assert_eq!(reply.status, StatusCode::OK, "{context}");
        assert!(reply.text.starts_with(begins), "{context}");
        let media = format!("application/x-git-{service}-advertisement");
        assert_eq!(reply.headers[header::CONTENT_TYPE], media);
        assert_eq!(reply.headers[header::CACHE_CONTROL], "no-cache, max-age=0, must-revalidate");
        assert_eq!(reply.headers[header::PRAGMA], "no-cache");
        assert!(reply.headers.contains_key(header::EXPIRES));
        if protocol != Some("version=2") || service == "receive-pack" {
            assert!(reply.text.contains("refs/heads/test"), "{context}");
        }
        // Access data are nobody's business, and neither is what a client does not need.
        assert!(!reply.text.contains("refs/refgate"), "{context}");
        assert!(!reply.text.contains("allow-any-sha1-in-want"), "{context}");
        assert_eq!(reply.text.contains("push-options"), service == "receive-pack", "{context}");
    }
    Ok(())
}

#[tokio::test]
async fn nothing_else_of_the_repository_is_reachable() -> Result<()> {
    let harness = Harness::new()?;
    let authorization = basic(&harness);
    for path in [
        "/config.git",
        "/config.git/",
        "/config.git/HEAD",
        "/config.git/config",
        "/config.git/objects/info/packs",
        "/config.git/refs/refgate/access",
        "/config.git/../config.git/HEAD",
        "/config.git/%2e%2e/admin-token",
        "/config.git/git-upload-archive",
        "/config.git//info/refs?service=git-upload-pack",
    ] {
        let known = request("GET", path, &authorization).body(Body::empty())?;
        harness.send(known).await?.expect_text(StatusCode::NOT_FOUND, "not_found").context(path)?;
        let nobody = Request::get(path).body(Body::empty())?;
        let reply = harness.send(nobody).await?;
        assert_eq!(reply.headers[header::WWW_AUTHENTICATE], r#"Basic realm="refgate""#);
        reply.expect_text(StatusCode::UNAUTHORIZED, "unauthenticated")?;
    }
    for path in ["/config.git/info/refs", "/config.git/info/refs?service=git-upload-archive"] {
        let request = request("GET", path, &authorization).body(Body::empty())?;
        let told = harness.send(request).await?.expect_text(StatusCode::FORBIDDEN, "forbidden")?;
        assert!(told.contains("smart protocol"), "{told}");
    }
    Ok(())
}

#[tokio::test]
async fn a_request_that_is_not_gits_is_refused_by_name() -> Result<()> {
    let harness = Harness::new()?;
    let authorization = basic(&harness);
    let (upload, receive) =
        ("application/x-git-upload-pack-request", "application/x-git-receive-pack-request");
    let table: [(&str, &str, &str, &[u8], StatusCode); 7] = [
        ("upload-pack", "text/plain", "", b"0000", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("upload-pack", receive, "", b"0000", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("upload-pack", upload, "br", b"0000", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("upload-pack", upload, "gzip", b"0000", StatusCode::BAD_REQUEST),
        ("upload-pack", upload, "", b"xxxxnonsense", StatusCode::BAD_REQUEST),
        ("receive-pack", receive, "", b"zzzz", StatusCode::BAD_REQUEST),
        // What git sends to find out whether its token is good.
        ("receive-pack", receive, "", b"0000", StatusCode::OK),
    ];
    for (service, media, encoding, body, status) in table {
        let mut request = request("POST", &format!("/config.git/git-{service}"), &authorization)
            .header(header::CONTENT_TYPE, media);
        if !encoding.is_empty() {
            request = request.header(header::CONTENT_ENCODING, encoding);
        }
        let reply = harness.send(request.body(Body::from(body))?).await?;
        let context = format!("{service} {media} {encoding} {:?}", String::from_utf8_lossy(body));
        assert_eq!(reply.status, status, "{context} {reply:?}");
        // What git says of its troubles is for the log.
        assert!(!reply.text.contains("fatal"), "{context} {reply:?}");
    }
    let page = harness.get("/metrics").await?.text;
    for sample in [
        r#"refgate_git_processes_total{service="upload-pack",outcome="failed"} 1"#,
        r#"refgate_git_processes_total{service="upload-pack",outcome="refused"} 1"#,
        r#"refgate_git_processes_total{service="receive-pack",outcome="done"} 1"#,
    ] {
        assert!(page.contains(sample), "{sample} in {page}");
    }
    Ok(())
}

#[tokio::test]
async fn a_server_without_time_starts_nothing() -> Result<()> {
    let harness = Harness::new()?;
    harness.api.cut_off().await;
    let request = request("GET", ADVERTISEMENT, &basic(&harness)).body(Body::empty())?;
    let reply = harness.send(request).await?;
    assert!(reply.headers.contains_key(header::RETRY_AFTER), "{reply:?}");
    reply.expect_text(StatusCode::SERVICE_UNAVAILABLE, "unavailable")?;
    Ok(())
}
