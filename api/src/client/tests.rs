//! The client against a server of a few lines.

use std::net::{SocketAddr, TcpListener};

use super::testing::{answer, serve};
use super::*;

fn client(address: SocketAddr, token: Option<&str>) -> Client {
    let server = format!("http://{address}").parse().unwrap();
    Client::new(server, token.map(|token| token.parse().unwrap()))
}

fn group() -> Endpoint {
    Endpoint::group(&"uat".parse().unwrap())
}

#[test]
fn a_write_carries_token_preconditions_and_options() {
    let created = answer("201 Created", "etag: \"e1\"\r\n", "{\"group\": \"uat\"}");
    let (address, server) = serve(vec![created]);
    let options = WriteOptions {
        dry_run: true,
        wait: Some(5),
        waits_for: Vec::new(),
        if_match: Some("e0".to_owned()),
        expect_plan: vec!["a".to_owned(), "b".to_owned()],
        only_create: true,
    };
    let answered =
        client(address, Some("secret")).put(&group(), &json!({"a": 1}), &options).unwrap();
    assert_eq!(
        answered,
        Answer { status: 201, etag: Some("\"e1\"".to_owned()), body: json!({"group": "uat"}) }
    );
    let seen = server.join().unwrap().remove(0);
    assert_eq!(seen.line, "PUT /v1/groups/uat?dry_run=true&wait=5&expect_plan=a%2Cb HTTP/1.1");
    assert_eq!(seen.header("authorization"), Some("Bearer secret"));
    assert_eq!(seen.header("if-match"), Some("\"e0\""));
    assert_eq!(seen.header("if-none-match"), Some("*"));
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(seen.body, "{\"a\":1}");
}

#[test]
fn a_patch_is_a_merge_patch_and_a_delete_has_no_body() {
    let ok = || answer("200 OK", "", "{}");
    let (address, server) = serve(vec![ok(), ok()]);
    let client = client(address, None);
    client.patch(&group(), &json!({}), &WriteOptions::default()).unwrap();
    client.delete(&group(), &WriteOptions::default()).unwrap();
    let seen = server.join().unwrap();
    assert_eq!(seen[0].line, "PATCH /v1/groups/uat HTTP/1.1");
    assert_eq!(seen[0].header("content-type"), Some("application/merge-patch+json"));
    assert_eq!(seen[0].header("authorization"), None);
    assert_eq!(seen[1].line, "DELETE /v1/groups/uat HTTP/1.1");
    assert_eq!(seen[1].body, "");
}

#[test]
fn lists_are_read_to_their_end() {
    let page = |items: &str, next: &str| {
        answer("200 OK", "", &format!("{{\"items\": {items}, \"next\": {next}}}"))
    };
    let (address, server) =
        serve(vec![page("[1, 2]", "\"a b\""), page("[3]", "7"), page("[4]", "null")]);
    let list = client(address, None).list(&Endpoint::groups(), None).unwrap();
    assert_eq!(list, json!({"items": [1, 2, 3, 4], "next": null}));
    let lines: Vec<String> = server.join().unwrap().into_iter().map(|seen| seen.line).collect();
    assert_eq!(
        lines,
        [
            "GET /v1/groups HTTP/1.1",
            "GET /v1/groups?after=a%20b HTTP/1.1",
            "GET /v1/groups?after=7 HTTP/1.1"
        ]
    );
}

#[test]
fn a_limit_ends_a_list_and_keeps_its_cursor() {
    let page =
        |items: &str| answer("200 OK", "", &format!("{{\"items\": {items}, \"next\": \"n\"}}"));
    let (address, server) = serve(vec![page("[1, 2]"), page("[3]")]);
    let list = client(address, None).list(&Endpoint::groups(), Some(3)).unwrap();
    assert_eq!(list, json!({"items": [1, 2, 3], "next": "n"}));
    let lines: Vec<String> = server.join().unwrap().into_iter().map(|seen| seen.line).collect();
    assert_eq!(
        lines,
        ["GET /v1/groups?limit=3 HTTP/1.1", "GET /v1/groups?limit=1&after=n HTTP/1.1"]
    );
}

#[test]
fn an_empty_page_with_a_cursor_does_not_go_on_for_ever() {
    let (address, server) = serve(vec![answer("200 OK", "", "{\"items\": [], \"next\": \"x\"}")]);
    let list = client(address, None).list(&Endpoint::groups(), None).unwrap();
    assert_eq!(list, json!({"items": [], "next": "x"}));
    server.join().unwrap();
}

#[test]
fn a_refusal_keeps_what_the_server_says() {
    let body = json!({
        "type": "about:blank", "title": "Version taken", "status": 409, "code": "version_taken",
        "detail": "1.0.0 names other content", "request_id": "r-1"
    });
    let headers = "content-type: application/problem+json\r\nretry-after: 3\r\n";
    let (address, server) = serve(vec![answer("409 Conflict", headers, &body.to_string())]);
    let error = client(address, None).get(&group()).unwrap_err();
    let ClientError::Refused(problem) = error else { unreachable!("{error:?}") };
    assert_eq!(problem.code, "version_taken");
    assert_eq!(problem.to_string(), "Version taken: 1.0.0 names other content");
    assert_eq!(problem.retry_after, Some(3));
    assert_eq!(problem.body, body);
    assert!(problem.is_conflict());
    server.join().unwrap();
}

#[test]
fn what_is_no_refgate_is_told_apart() {
    let gateway = "{\"error\": \"route_not_found\", \"message\": \"x\", \"request_id\": \"y\"}";
    for (status, body) in [
        ("404 Not Found", gateway),
        ("502 Bad Gateway", "<html>"),
        ("500 Oops", ""),
        ("200 OK", "hello"),
    ] {
        let (address, server) = serve(vec![answer(status, "", body)]);
        let error = client(address, None).get(&group()).unwrap_err();
        assert!(matches!(error, ClientError::NotRefgate { .. }), "{status}: {error:?}");
        server.join().unwrap();
    }
    let (address, server) = serve(vec![answer("200 OK", "", "{}")]);
    let error = client(address, None).list(&Endpoint::groups(), None).unwrap_err();
    assert!(matches!(error, ClientError::NotRefgate { status: 200, .. }), "{error:?}");
    server.join().unwrap();
}

#[test]
fn the_token_is_not_carried_to_another_address() {
    let elsewhere = answer("307 Temporary Redirect", "location: http://evil.example/\r\n", "");
    let (address, server) = serve(vec![elsewhere]);
    let error = client(address, Some("secret")).get(&group()).unwrap_err();
    assert!(
        matches!(&error, ClientError::Redirected { location, .. } if location == "http://evil.example/"),
        "{error:?}"
    );
    assert_eq!(server.join().unwrap().len(), 1);
}

#[test]
fn nobody_listening_is_told_apart_from_a_broken_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = client(address, None).get(&group()).unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!("cannot reach the control plane at http://{address}: connection refused")
    );

    let (address, server) = serve(vec![String::new()]);
    let error = client(address, None).get(&group()).unwrap_err();
    assert!(matches!(error, ClientError::Interrupted { .. }), "{error:?}");
    server.join().unwrap();
}
