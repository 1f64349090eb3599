//! The dashboard of a running control plane: signing in, the first page, a page that is told of what
//! others do, and the page of a commit. What every page does is tested beside its code.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use refgate_tests::http::Client;
use refgate_tests::stage::{Stage, TOKEN};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// Signs in; gives the cookie that a browser would keep.
fn sign_in(stage: &Stage) -> Result<String> {
    let nobody = Client::new(stage.refgate.api.base());
    let first = nobody.get("/")?.expect(303)?;
    ensure!(first.header("location") == Some("/login"), "{first:?}");
    nobody.get("/login")?.expect(200)?;
    nobody.send("POST", "/login", &[FORM], "token=wrong-token")?.expect(401)?;
    let entered = nobody.send("POST", "/login", &[FORM], &format!("token={TOKEN}"))?.expect(303)?;
    let cookie = entered.header("set-cookie").context("a cookie")?;
    Ok(cookie.split(';').next().unwrap_or_default().to_owned())
}

#[test]
fn somebody_signs_in_and_sees_what_runs_where() -> Result<()> {
    let stage = Stage::with_httpbin()?;
    let cookie = sign_in(&stage)?;
    let browser = Client::new(stage.refgate.api.base()).with("cookie", &cookie);
    let page = browser.get("/")?.expect(200)?;
    ensure!(page.text.contains(r#"data-service="httpbin""#), "{}", page.text);
    ensure!(page.text.contains("1/1 healthy"), "its gateways are seen: {}", page.text);
    let head = stage.read("/v1/groups/test")?["head"].as_str().context("a head")?.to_owned();
    let commit = browser.get(&format!("/groups/test/commits/{head}"))?.expect(200)?;
    ensure!(commit.text.contains("1 of 1 gateways"), "{}", commit.text);
    // The token of the API opens no page, and the session opens no API.
    stage.refgate.api.get("/")?.expect(303)?;
    browser.get("/v1/groups")?.expect(401)?;
    Ok(())
}

#[test]
fn a_page_that_is_open_is_told_of_a_commit() -> Result<()> {
    let mut stage = Stage::with_httpbin()?;
    let cookie = sign_in(&stage)?;
    let address = stage.refgate.api.base().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    write!(stream, "GET /live HTTP/1.1\r\nhost: {address}\r\ncookie: {cookie}\r\n\r\n")?;
    let mut lines = BufReader::new(stream).lines();
    let mut next = || -> Result<String> {
        loop {
            let line = lines.next().context("the stream goes on")??;
            if let Some(data) = line.strip_prefix("data: ") {
                return Ok(data.to_owned());
            }
        }
    };
    next()?;
    stage.give_runtime("test")?;
    stage.refgate.client(&["runtime", "set", "-g", "test", "httpbin", "--host", "b.acme.com"])?;
    let head = stage.read("/v1/groups/test")?["head"].as_str().context("a head")?.to_owned();
    while !next()?.contains(&head) {}
    // A stream that is open keeps nobody from stopping.
    stage.refgate.process().terminate()?;
    while lines.next().is_some_and(|line| line.is_ok()) {}
    Ok(())
}
