//! No page is larger than 200 KB, however much there is.

use std::collections::BTreeMap;

use super::*;

/// Bytes that a page may have.
const MOST: usize = 200_000;
const GROUPS: usize = 14;
const SERVICES: usize = 60;
const ROUTES: usize = 1_500;

fn wide_service() -> BTreeMap<String, Value> {
    let hosts: Vec<String> = (0..200).map(|index| format!("h{index}.acme.com")).collect();
    let nodes: Vec<Value> =
        (0..150).map(|index| json!({"host": format!("10.1.2.{index}"), "port": 8080})).collect();
    let upstreams: Map<String, Value> =
        (0..20).map(|index| (format!("u{index}"), json!({"nodes": nodes}))).collect();
    let many: Vec<Value> = (0..500)
        .map(|index| json!({"host": format!("node-{index}.acme.com"), "port": 80}))
        .collect();
    let upstreams: Map<String, Value> =
        upstreams.into_iter().chain([("large".to_owned(), json!({"nodes": many}))]).collect();
    let route = |index: usize| {
        let path = format!("services/wide/routes/route-{index}.json");
        let document = json!({"paths": [format!("/some/path/to/thing/{index}")],
            "methods": ["GET", "POST"], "upstream": "u0", "description": "what it is \"for\" & why"});
        (path, document)
    };
    let mut files: BTreeMap<String, Value> = (0..ROUTES).map(route).collect();
    files.insert("services/wide/service.json".to_owned(), json!({"description": "many routes"}));
    let runtime = json!({"hosts": hosts, "upstreams": upstreams});
    files.insert("runtime/wide.json".to_owned(), runtime);
    files
}

#[tokio::test]
async fn no_page_is_larger_than_it_may_be() -> Result<()> {
    let browser = Browser::signed_in().await?.with_httpbin()?;
    let mut names = vec!["test".to_owned(), "uat".to_owned(), "production".to_owned()];
    for index in names.len()..GROUPS {
        let name = format!("group-number-{index}");
        browser.apply(&name, Operation::CreateGroup { document: json!({}) })?;
        names.push(name);
    }
    for name in &names {
        let mut files = BTreeMap::new();
        for index in 0..SERVICES {
            let service = format!("a-service-of-some-name-{index}");
            files.insert(format!("services/{service}/service.json"), json!({"description": "one"}));
            let document = json!({"paths": [format!("/{index}/*")]});
            files.insert(format!("services/{service}/routes/all.json"), document);
            let node = json!({"host": "127.0.0.1", "port": 8080});
            let runtime = json!({"upstreams": {"default": {"nodes": [node]}}});
            files.insert(format!("runtime/{service}.json"), runtime);
        }
        browser.apply(name, Operation::Commit { files, message: None })?;
    }
    let consumers = (0..200).map(|index| {
        let document = json!({"description": "somebody", "labels": {"team": "a"}});
        (format!("consumers/consumer-{index}.json"), document)
    });
    let files = consumers.collect();
    browser.apply("test", Operation::Commit { files, message: None })?;
    browser.apply("test", Operation::Commit { files: wide_service(), message: None })?;
    let head = browser.repository.head(&"test".parse()?)?;

    let wide = "/groups/test/services/wide";
    for path in [
        "/".to_owned(),
        "/?groups=2&page=2".to_owned(),
        "/history".to_owned(),
        "/gateways".to_owned(),
        "/compare?service=wide".to_owned(),
        "/compare?from=group:test&to=group:uat".to_owned(),
        "/compare?from=group:test&to=group:uat&page=3".to_owned(),
        "/groups/test".to_owned(),
        "/groups/test/consumers".to_owned(),
        "/groups/test/history".to_owned(),
        "/groups/test/rollback?revision=2".to_owned(),
        format!("/groups/test/commits/{head}"),
        format!("/groups/test/commits/{head}?page=5"),
        wide.to_owned(),
        format!("{wide}/routes"),
        format!("{wide}/routes?page=30"),
        format!("{wide}/routes/~new"),
        format!("{wide}/upstreams"),
        format!("{wide}/upstreams?page=2"),
        format!("{wide}/upstreams/u3"),
        format!("{wide}/upstreams/large"),
        format!("{wide}/hosts"),
        format!("{wide}/versions"),
        format!("{wide}/history"),
        format!("{wide}/json"),
        format!("{wide}/sync?to=uat"),
        format!("{wide}/delete"),
    ] {
        let page = browser.page(&path).await?;
        assert!(page.len() < MOST, "{path}: {} bytes", page.len());
    }

    // What a page leaves out is reached from it.
    let routes = browser.page(&format!("{wide}/routes?q=thing/1499")).await?;
    assert!(routes.contains("route-1499"), "{}", words(&routes));
    let overview = browser.page("/?groups=2").await?;
    assert!(words(&overview).contains("13–14 of 14"), "{}", words(&overview));
    let file = browser.get(&format!("{wide}/json?as=file")).await?;
    assert_eq!(file.headers["content-disposition"], "attachment; filename=\"wide.json\"");
    let whole: Value = serde_json::from_str(&file.text)?;
    assert_eq!(whole["routes"].as_object().map(Map::len), Some(ROUTES));
    Ok(())
}
