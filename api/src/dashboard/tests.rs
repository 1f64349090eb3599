//! Pages as a browser asks for them: what all have in common here, the rest by subject below.

mod forms;
mod sign_in;
mod size;
mod walk;

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use refgate_core::change::{Change, Operation, Precondition};
use refgate_core::event::Actor;
use refgate_core::repository::Repository;
use serde_json::{Map, Value, json};
use tower::ServiceExt;

use super::pages;
use crate::auth::{Access, Role, Token};
use crate::blocking::Store;
use crate::fleet::Fleet;
use crate::http::{Api, Guard, router};
use crate::server::accept::Peer;

/// A control plane over a new repository, and somebody who looks at it.
struct Browser {
    api: Api,
    repository: Repository,
    admin: Token,
    cookie: Option<String>,
    _directory: tempfile::TempDir,
}

/// A page, read whole.
#[derive(Debug)]
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Browser {
    /// Somebody who is not signed in.
    fn new() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let clock = std::sync::Arc::new(jiff::Timestamp::now);
        let repository = Repository::open_or_create(&directory.path().join("config.git"), clock)?;
        let admin = Token::generate();
        let mut access = Access::default();
        access.set_admin(admin.hash(), "2026-01-01T00:00:00Z");
        let api = Api::new(Store::new(repository.clone()), Fleet::of([]), access);
        Ok(Self { api, repository, admin, cookie: None, _directory: directory })
    }

    /// The administrator.
    async fn signed_in() -> Result<Self> {
        let mut browser = Self::new()?;
        let token = browser.admin.reveal().to_owned();
        browser.sign_in(&token).await?;
        Ok(browser)
    }

    async fn sign_in(&mut self, token: &str) -> Result<()> {
        let reply = self.post_raw("/login", &[("token", token)], &[]).await?;
        ensure!(reply.status == StatusCode::SEE_OTHER, "{reply:?}");
        let cookie = reply.headers.get(header::SET_COOKIE).context("a cookie")?.to_str()?;
        self.cookie = Some(cookie.split(';').next().unwrap_or_default().to_owned());
        Ok(())
    }

    /// Somebody else looks now: a new token of this role.
    async fn become_one_of(&mut self, role: Role) -> Result<Token> {
        let token = Token::generate();
        let mut access = Access::clone(&self.api.door.access());
        access.add(role.as_str(), token.hash(), role, "2026-01-01T00:00:00Z");
        self.api.door.change(access);
        if role > Role::Gateway && role < Role::Admin {
            let text = token.reveal().to_owned();
            self.sign_in(&text).await?;
        }
        Ok(token)
    }

    async fn send(&self, mut request: Request<Body>) -> Result<Reply> {
        request.extensions_mut().insert(Peer(IpAddr::from([127, 0, 0, 1])));
        let response = router(self.api.clone()).oneshot(request).await?;
        let (parts, body) = response.into_parts();
        let text = String::from_utf8(to_bytes(body, 1 << 24).await?.to_vec())?;
        Ok(Reply { status: parts.status, headers: parts.headers, text })
    }

    fn request(&self, method: Method, path: &str) -> axum::http::request::Builder {
        let request =
            Request::builder().method(method).uri(path).header(header::HOST, "refgate.test");
        match &self.cookie {
            Some(cookie) => request.header(header::COOKIE, cookie),
            None => request,
        }
    }

    async fn get(&self, path: &str) -> Result<Reply> {
        self.send(self.request(Method::GET, path).body(Body::empty())?).await
    }

    /// A page that must be there.
    async fn page(&self, path: &str) -> Result<String> {
        let reply = self.get(path).await?;
        ensure!(reply.status == StatusCode::OK, "{path}: {reply:?}");
        Ok(reply.text)
    }

    async fn post_raw(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Result<Reply> {
        let pairs = fields.iter().map(|(name, value)| {
            let encoded = |text: &str| super::overview::encoded(text);
            format!("{}={}", encoded(name), encoded(value))
        });
        let body = pairs.collect::<Vec<_>>().join("&");
        let mut request = self
            .request(Method::POST, path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body))?).await
    }

    /// Sends the form of a page as a browser without scripts would: with every field as it stands,
    /// but those that are filled in here.
    async fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Result<Reply> {
        let page = self.page(path).await?;
        self.submit_from(&page, path, fields).await
    }

    async fn submit_from(&self, page: &str, path: &str, fields: &[(&str, &str)]) -> Result<Reply> {
        let form = form(page, path)?;
        let mut all: Vec<(String, String)> = form
            .into_iter()
            .filter(|(name, _)| !fields.iter().any(|(given, _)| given == name))
            .collect();
        all.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let all: Vec<(&str, &str)> = all.iter().map(|(name, value)| (&**name, &**value)).collect();
        let (_, action) = form_at(page, path)?;
        self.post_raw(&action, &all, &[]).await
    }

    /// Does what the form does and gives the page that it leads to.
    async fn done(&self, path: &str, fields: &[(&str, &str)]) -> Result<(String, String)> {
        let reply = self.submit(path, fields).await?;
        self.follow(reply).await
    }

    async fn follow(&self, reply: Reply) -> Result<(String, String)> {
        ensure!(reply.status == StatusCode::SEE_OTHER, "{}: {}", reply.status, words(&reply.text));
        let to = reply.headers.get(header::LOCATION).context("a location")?.to_str()?.to_owned();
        let page = self.page(&to).await?;
        Ok((to, page))
    }

    /// Does something that is no page's business.
    fn apply(&self, group: &str, operation: Operation) -> Result<()> {
        self.repository.apply(Change {
            group: group.parse()?,
            operation,
            actor: Actor::named("somebody"),
            request_id: "test".to_owned(),
            reason: None,
            precondition: Precondition::default(),
        })?;
        Ok(())
    }

    /// The service `httpbin` in the group `test`.
    fn with_httpbin(self) -> Result<Self> {
        let document = json!({
            "description": "echo",
            "routes": {"get-headers": {"paths": ["/headers"], "methods": ["GET"]}},
            "runtime": {"hosts": ["test.acme.com"], "upstreams": {"default": {
                "nodes": [{"host": "127.0.0.1", "port": 8081}], "pass_host": "node"}}},
        });
        self.apply("test", Operation::PutService { service: "httpbin".parse()?, document })?;
        Ok(self)
    }
}

/// Where the form of a page that goes to `path` stands, and its address with the query.
fn form_at(page: &str, path: &str) -> Result<(usize, String)> {
    let action = format!(r#"action="{}"#, path.split('?').next().unwrap_or_default());
    let ends = |at: &usize| page[at + action.len()..].starts_with(['"', '?']);
    let begin = page.match_indices(&action).map(|(at, _)| at).find(ends);
    let begin = begin.with_context(|| format!("no form for {path}"))?;
    let address = page[begin..].split('"').nth(1).context("an address")?;
    Ok((begin, unescaped(address)))
}

/// Name and value of every field of the form of a page that goes to `path`.
fn form(page: &str, path: &str) -> Result<Vec<(String, String)>> {
    let (begin, _) = form_at(page, path)?;
    let form = page[begin..].split("</form>").next().unwrap_or_default();
    let mut fields = Vec::new();
    for tag in form.split('<').skip(1) {
        let name = attribute(tag, "name");
        if let (true, Some(name)) = (tag.starts_with("input "), &name) {
            let checks = tag.contains(r#"type="checkbox""#) || tag.contains(r#"type="radio""#);
            if !checks || tag.contains(" checked") {
                fields.push((name.clone(), attribute(tag, "value").unwrap_or_default()));
            }
        } else if let (true, Some(name)) = (tag.starts_with("textarea "), &name) {
            let text = tag.split_once('>').map_or("", |(_, text)| text);
            let text = text.strip_prefix('\n').unwrap_or(text);
            fields.push((name.clone(), unescaped(text)));
        } else if let (true, Some(name)) = (tag.starts_with("select "), &name) {
            let after = &form[form.find(tag).unwrap_or_default()..];
            let options = after.split("</select>").next().unwrap_or_default();
            let options = options.split("<option").skip(1);
            let chosen = options.clone().find(|option| option.contains(" selected"));
            if let Some(option) = chosen.or_else(|| options.clone().next()) {
                fields.push((name.clone(), attribute(option, "value").unwrap_or_default()));
            }
        }
    }
    Ok(fields)
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let tag = tag.split_once('>').map_or(tag, |(tag, _)| tag);
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split_once('"').map(|(value, _)| unescaped(value))
}

fn unescaped(text: &str) -> String {
    let named = [("&#34;", "\""), ("&#39;", "'"), ("&#60;", "<"), ("&#62;", ">"), ("&#38;", "&")];
    named.iter().fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

/// The words of a page without its tags.
fn words(page: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for letter in page.chars() {
        match letter {
            '<' => inside = true,
            '>' => {
                inside = false;
                text.push(' ');
            }
            letter if !inside => text.push(letter),
            _ => {}
        }
    }
    unescaped(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// A path of the table with names in the place of its parameters.
fn sample(path: &str) -> String {
    path.replace("{group}", "test")
        .replace("{service}", "httpbin")
        .replace("{route}", "get-headers")
        .replace("{upstream}", "default")
        .replace("{name}", "thing")
        .replace("{commit}", &"0".repeat(40))
        .replace("{hash}", "0")
        .replace("{file}", "x")
}

#[test]
fn whatever_a_thing_is_called_its_page_is_reached() {
    let pages = pages();
    let segments = |path: &'static str| path.split('/').collect::<Vec<_>>();
    for page in &pages {
        let taken = segments(page.path);
        for (at, word) in taken.iter().enumerate() {
            let named = |other: &crate::http::Endpoint| {
                let other = segments(other.path);
                other[..at.min(other.len())] == taken[..at]
                    && other.get(at).is_some_and(|other| other.starts_with('{'))
            };
            let is_name = refgate_core::object::ObjectKind::Consumer.named(word).is_ok();
            let shadows = is_name && pages.iter().any(named);
            assert!(!shadows, "{} takes the place of something called {word}", page.path);
        }
    }
}

#[tokio::test]
async fn nobody_sees_a_page_without_signing_in() -> Result<()> {
    let browser = Browser::new()?.with_httpbin()?;
    for page in pages() {
        let Guard::Page(_) = page.guard else { continue };
        let path = sample(page.path);
        let context = format!("{} {path}", page.method);
        let reply = match page.method {
            Method::POST => browser.post_raw(&path, &[("csrf", "")], &[]).await?,
            _ => browser.get(&path).await?,
        };
        assert_eq!(reply.status, StatusCode::SEE_OTHER, "{context}: {reply:?}");
        let to = reply.headers.get(header::LOCATION).context("a location")?.to_str()?;
        assert!(to.starts_with("/login"), "{context}: {to}");
        assert!(reply.text.is_empty(), "{context}");
    }
    let reply = browser.get("/groups/test?q=a&page=2").await?;
    let to = reply.headers.get(header::LOCATION).context("a location")?.to_str()?;
    assert_eq!(to, "/login?next=/groups/test%3Fq%3Da%26page%3D2");
    Ok(())
}

#[tokio::test]
async fn every_page_answers_whoever_is_signed_in() -> Result<()> {
    let browser = Browser::signed_in().await?.with_httpbin()?;
    let object = |kind: &str| -> Result<_> {
        let kind = refgate_core::object::ObjectKind::of_folder(kind).context("a kind")?;
        Ok(kind.named("thing")?)
    };
    let certificate = json!({"snis": ["a.test"], "certificate": "$file:///a.pem",
        "private_key": "$file:///a.key"});
    for (kind, document) in
        [("consumers", json!({})), ("certificates", certificate), ("global-rules", json!({}))]
    {
        browser.apply("test", Operation::PutObject { object: object(kind)?, document })?;
    }
    let head = browser.repository.head(&"test".parse()?)?;
    for page in pages() {
        let parts = ["/live", "/compare/services", "/assets/{hash}/{file}"];
        if page.method != Method::GET || parts.contains(&page.path) {
            continue;
        }
        let mut path = sample(page.path).replace(&"0".repeat(40), &head.to_string());
        // What is removed stands in the query.
        path += match path.rsplit_once('/') {
            Some((before, "remove")) if before.ends_with("hosts") => "?host=test.acme.com",
            Some((_, "remove")) => "?host=127.0.0.1&port=8081",
            _ => "",
        };
        let reply = browser.get(&path).await?;
        assert_eq!(reply.status, StatusCode::OK, "{path}: {}", words(&reply.text));
        let kind = reply.headers.get(header::CONTENT_TYPE).context("a type")?;
        assert_eq!(kind, "text/html; charset=utf-8", "{path}");
        let policy = reply.headers.get(header::CONTENT_SECURITY_POLICY).context("a policy")?;
        assert!(policy.to_str()?.starts_with("default-src 'none'; script-src 'self'"), "{path}");
        assert_eq!(reply.headers["cache-control"], "no-store", "{path}");
        assert_eq!(reply.headers["x-content-type-options"], "nosniff", "{path}");
        let head = reply.text.split("<body").next().unwrap_or_default();
        assert!(head.contains("<title>") && head.contains(r#"<html lang="en""#), "{path}");
        // What the policy would refuse does not stand there in the first place.
        for inline in [" style=\"", " onclick=", "<style", "javascript:", "<script>"] {
            assert!(!reply.text.contains(inline), "{path}: {inline}");
        }
        assert_eq!(reply.text.matches("<h1").count(), 1, "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_not_there_is_a_page_that_says_so() -> Result<()> {
    let browser = Browser::signed_in().await?;
    for path in [
        "/groups/nowhere",
        "/groups/NOT A NAME",
        "/groups/test/services/nothing",
        "/groups/test/services/nothing/sync",
        "/groups/test/services/nothing/routes/~new",
        "/groups/test/services/nothing/upstreams/default",
        "/groups/test/consumers/nobody",
        "/groups/nowhere/services/~new",
        &format!("/groups/test/commits/{}", "0".repeat(40)),
    ] {
        let reply = browser.get(&path.replace(' ', "%20")).await?;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{path}");
        assert!(reply.text.contains("<h1>Not found</h1>"), "{path}: {}", words(&reply.text));
    }
    Ok(())
}

#[tokio::test]
async fn assets_are_kept_by_browsers_for_good() -> Result<()> {
    let browser = Browser::new()?;
    let page = browser.page("/login").await?;
    for (file, kind) in [
        ("style.css", "text/css"),
        ("refgate.js", "text/javascript"),
        ("htmx.js", "text/javascript"),
    ] {
        let at = page.find(file).context(file)?;
        let begin = page[..at].rfind("/assets/").context("an address")?;
        let path = &page[begin..at + file.len()];
        let reply = browser.get(path).await?;
        assert_eq!(reply.status, StatusCode::OK, "{path}");
        assert!(reply.headers["content-type"].to_str()?.starts_with(kind));
        assert_eq!(reply.headers["cache-control"], "public, max-age=31536000, immutable");
        assert!(!reply.text.is_empty());
    }
    let reply = browser.get("/assets/0123456789abcdef/style.css").await?;
    assert_eq!(reply.status, StatusCode::NOT_FOUND, "another content has another address");
    Ok(())
}

#[tokio::test]
async fn what_people_write_is_text_and_nothing_else() -> Result<()> {
    let browser = Browser::signed_in().await?.with_httpbin()?;
    let evil = r#"<script>alert("1")</script>'"#;
    let patch = json!({
        "description": evil, "labels": {evil: evil},
        "routes": {"get-headers": {"description": evil, "labels": {"a": evil}}},
    });
    let service = "httpbin".parse()?;
    browser.apply("test", Operation::PatchService { service, patch })?;
    let patch = json!({"description": evil, "labels": {"a": evil}, "variables": {"v": evil}});
    browser.apply("test", Operation::PatchGroup { patch })?;
    let object = refgate_core::object::ObjectKind::Consumer.named("thing")?;
    let document = json!({"description": evil, "labels": {"a": evil}});
    browser.apply("test", Operation::PutObject { object, document })?;
    let mut shown = 0;
    let head = browser.repository.head(&"test".parse()?)?;
    for page in pages().into_iter().filter(|page| page.method == Method::GET) {
        if page.path == "/live" || page.path.starts_with("/assets") {
            continue;
        }
        let path = sample(page.path).replace(&"0".repeat(40), &head.to_string());
        for path in [
            path.clone(),
            format!("{path}?q=%3Cscript%3Ealert&service=%3Cscript%3Ealert&view=json"),
        ] {
            let text = browser.get(&path).await?.text;
            assert!(!text.contains("<script>alert"), "{path}");
            shown += usize::from(text.contains("&#60;script&#62;alert"));
        }
    }
    assert!(shown > 15, "it is shown on {shown} pages, as text");
    Ok(())
}

#[tokio::test]
async fn pages_of_many_services_stay_small() -> Result<()> {
    let browser = Browser::signed_in().await?;
    let mut files = std::collections::BTreeMap::new();
    for number in 0..2000 {
        let name = format!("service-with-a-rather-long-name-{number:04}");
        files.insert(format!("services/{name}/service.json"), json!({"description": "x"}));
        let route = json!({"paths": [format!("/{name}/*")]});
        files.insert(format!("services/{name}/routes/all.json"), route);
    }
    for group in ["test", "uat", "production"] {
        browser.apply(group, Operation::Commit { files: files.clone(), message: None })?;
    }
    for path in ["/", "/?q=name-1", "/groups/test", "/groups/test?page=40", "/history"] {
        let page = browser.page(path).await?;
        assert!(page.len() < 200_000, "{path}: {}", page.len());
    }
    let first = browser.page("/").await?;
    assert!(first.contains("1–50 of 2000") && first.contains("name-0049"), "{}", words(&first));
    assert!(!first.contains("name-0050"));
    let last = browser.page("/?page=40").await?;
    assert!(last.contains("name-1999") && last.contains("1951–2000 of 2000"));
    let found = browser.page("/?q=name-1999").await?;
    assert!(found.contains("name-1999") && !found.contains("name-1998"));
    let none = browser.page("/groups/test?q=nothing").await?;
    assert!(words(&none).contains("No service has “nothing” in its name."));
    let beyond = browser.page("/?page=4000").await?;
    assert!(!beyond.contains("name-0001"));
    // The page of a commit of this size is cut too.
    let head = browser.repository.head(&"test".parse()?)?;
    let commit = browser.page(&format!("/groups/test/commits/{head}")).await?;
    assert!(commit.len() < 300_000, "{}", commit.len());
    Ok(())
}

/// A document as a form shows it in its JSON view.
fn document(page: &str) -> Result<Map<String, Value>> {
    let at = page.find(r#"id="document""#).context("a JSON view")?;
    let text = page[at..].split_once('>').context("a text")?.1;
    let text = text.split("</textarea>").next().unwrap_or_default();
    Ok(serde_json::from_str(&unescaped(text))?)
}
