//! A shop: services in every state that the dashboard tells of, and people who put them there.

use anyhow::Context as _;
use refgate_tests::http::Client;
use refgate_tests::stage::Stage;
use serde_json::{Value, json};

/// Somebody with a token.
struct Person {
    client: Client,
}

/// Fills the stage; the token of Jane, who releases.
pub(super) fn open(stage: &Stage) -> anyhow::Result<String> {
    let (jane_token, jane) = person(stage, "jane", "admin")?;
    let (_, omar) = person(stage, "omar", "editor")?;
    let (_, pipeline) = person(stage, "pipeline", "editor")?;

    jane.patches("/v1/groups/production", &json!({"labels": {"region": "eu-west"}}))?;
    for (service, description, path) in [
        ("catalog", "Products, prices and stock", "/products"),
        ("checkout", "From the basket to the order", "/checkout"),
        ("orders", "What was bought, and where it is now", "/orders"),
        ("payments", "Cards, invoices and refunds", "/payments"),
    ] {
        pipeline.adds(service, description, path)?;
    }
    // Everywhere, and the same.
    pipeline.releases("catalog", "2.3.0", &["uat", "production"])?;
    // On its way: production is behind.
    pipeline.releases("checkout", "1.3.0", &["uat", "production"])?;
    let shipping = json!({"paths": ["/checkout/{basket}/shipping"], "methods": ["GET", "PUT"]});
    omar.puts("test", "checkout", "shipping", &shipping)?;
    pipeline.releases("checkout", "1.4.0", &["uat", "production"])?;
    let vouchers = json!({"paths": ["/checkout/{basket}/vouchers"], "methods": ["POST", "DELETE"]});
    omar.puts("test", "checkout", "vouchers", &vouchers)?;
    omar.changes("test", "checkout", "write", &json!({"methods": ["POST", "PUT", "PATCH"]}))?;
    pipeline.releases("checkout", "1.5.0", &["uat"])?;
    // Rolled back.
    pipeline.releases("payments", "3.1.0", &["uat", "production"])?;
    let refunds = json!({"paths": ["/payments/{id}/refunds"], "methods": ["GET", "POST"]});
    omar.puts("test", "payments", "refunds", &refunds)?;
    pipeline.releases("payments", "3.2.0", &["uat", "production"])?;
    let back = json!({"version": "3.1.0", "reason": "PAY-88: refunds time out since 3.2.0"});
    jane.posts("/v1/groups/production/services/payments/rollback", &back)?;
    // Changed by hand where the next version changes it too.
    pipeline.releases("orders", "1.0.0", &["uat", "production"])?;
    let by_hand =
        json!({"timeout": {"read": 20}, "description": "Slow while the archive is moved"});
    jane.changes("uat", "orders", "read", &by_hand)?;
    let in_test = json!({"timeout": {"read": 5}, "description": "The orders of one customer"});
    omar.changes("test", "orders", "read", &in_test)?;
    // New, and not anywhere else; and one that waits for its nodes.
    omar.adds("search", "Full text over the catalog", "/search")?;
    pipeline.adds("storefront", "The pages that customers see", "/*")?;
    let sync = json!({"to": "uat", "version": "0.9.0"});
    pipeline.posts("/v1/groups/test/services/storefront/sync", &sync)?;
    Ok(jane_token)
}

fn person(stage: &Stage, name: &str, role: &str) -> anyhow::Result<(String, Person)> {
    let made = stage.api("POST", "/v1/tokens", &json!({"name": name, "role": role}))?;
    let made = made.expect(201)?.body()?;
    let token = made["token"].as_str().context("a token")?.to_owned();
    let client = Client::new(stage.refgate.api.base());
    let client = client.with("authorization", &format!("Bearer {token}"));
    Ok((token, Person { client }))
}

/// Where a service runs in a group, and under which host.
fn runtime(group: &str, service: &str) -> Value {
    let network = match group {
        "test" => 10,
        "uat" => 20,
        _ => 30,
    };
    // The same service has the same last parts everywhere, as networks that people plan do.
    let place = service.len();
    let host = match group {
        "production" => "shop.acme.com".to_owned(),
        group => format!("shop.{group}.acme.com"),
    };
    let nodes: Vec<Value> = (11..13)
        .map(|last| json!({"host": format!("10.{network}.{place}.{last}"), "port": 8080}))
        .collect();
    json!({"hosts": [host], "upstreams": {"default": {"nodes": nodes}}})
}

impl Person {
    fn adds(&self, service: &str, description: &str, path: &str) -> anyhow::Result<()> {
        let one = format!("{}/{{id}}", path.trim_end_matches("/*"));
        let document = json!({
            "description": description,
            "routes": {
                "read": {"paths": [path, one], "methods": ["GET"]},
                "write": {"paths": [one], "methods": ["POST", "PUT"]},
            },
            "runtime": runtime("test", service),
        });
        let path = format!("/v1/groups/test/services/{service}");
        self.client.json("PUT", &path, &document)?.expect(201)?;
        Ok(())
    }

    fn puts(
        &self,
        group: &str,
        service: &str,
        route: &str,
        document: &Value,
    ) -> anyhow::Result<()> {
        let path = format!("/v1/groups/{group}/services/{service}/routes/{route}");
        self.client.json("PUT", &path, document)?.expect(201)?;
        Ok(())
    }

    fn changes(
        &self,
        group: &str,
        service: &str,
        route: &str,
        patch: &Value,
    ) -> anyhow::Result<()> {
        self.patches(&format!("/v1/groups/{group}/services/{service}/routes/{route}"), patch)
    }

    fn patches(&self, path: &str, patch: &Value) -> anyhow::Result<()> {
        let headers = [("content-type", "application/merge-patch+json")];
        self.client.send("PATCH", path, &headers, &patch.to_string())?.expect(200)?;
        Ok(())
    }

    fn posts(&self, path: &str, body: &Value) -> anyhow::Result<()> {
        let answer = self.client.json("POST", path, body)?;
        anyhow::ensure!(matches!(answer.status, 200 | 201), "{path}: {}", answer.text);
        Ok(())
    }

    /// What stands in test goes to the groups, one after the other, as this version.
    fn releases(&self, service: &str, version: &str, groups: &[&str]) -> anyhow::Result<()> {
        let mut from = "test";
        for group in groups {
            let mut body = json!({"to": group});
            if from == "test" {
                body["version"] = version.into();
            }
            let there = format!("/v1/groups/{group}/services/{service}");
            let is_new = self.client.get(&there)?.status == 404;
            self.posts(&format!("/v1/groups/{from}/services/{service}/sync"), &body)?;
            if is_new {
                let document = runtime(group, service);
                self.client.json("PUT", &format!("{there}/runtime"), &document)?.expect(200)?;
            }
            from = group;
        }
        Ok(())
    }
}
