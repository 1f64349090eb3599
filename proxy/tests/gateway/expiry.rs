//! Certificates that end soon: warned of, measured, and served on.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use refgate_proxy::State;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::repository::Config;
use crate::world::World;

const DAY: u64 = 86_400;

/// The document of a certificate that ends so many seconds after 1970.
fn document(folder: &TempDir, name: &str, ends: u64) -> Value {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![format!("{name}.test")]).unwrap();
    params.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(ends);
    let path = folder.path().join(format!("{name}.key"));
    std::fs::write(&path, key.serialize_pem()).unwrap();
    json!({
        "snis": [format!("{name}.test")],
        "certificate": params.self_signed(&key).unwrap().pem(),
        "private_key": format!("$file://{}", path.display()),
    })
}

#[test]
fn certificates_that_end_soon_are_warned_of() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let folder = TempDir::new().unwrap();
    let config = Config::new();
    let ends = [("far", now + 15 * DAY), ("soon", now + 13 * DAY), ("over", now - DAY)];
    let [far, soon, over] = ends.map(|(name, ends)| Some(document(&folder, name, ends)));
    let path = |name: &str| format!("certificates/{name}.json");
    let files = [
        ("certificates/far.json", far),
        ("certificates/soon.json", soon),
        ("certificates/over.json", over),
    ];
    config.commit("test", &files);
    let world = World::over(config);

    let status = world.wait(|status| status.commit.is_some());
    assert_eq!(status.state, State::Healthy);
    let told: Vec<_> =
        status.diagnostics.iter().map(|it| (it.file.clone(), it.is_error())).collect();
    assert_eq!(told, [(path("over"), false), (path("soon"), false)]);
    assert!(status.diagnostics.iter().all(|it| it.code.as_str() == "certificate_expiry"));
    assert!(status.diagnostics[0].message.starts_with("the certificate expired at "));
    assert!(status.diagnostics[1].message.starts_with("the certificate expires at "));
    let metrics = world.status_of("/metrics").body;
    for (name, ends) in ends {
        let metric = "refgate_certificate_expiry_seconds";
        let line = format!("{metric}{{group=\"test\",certificate=\"{name}\"}} {ends}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }

    // Renewed, and gone.
    let renewed = Some(document(&folder, "soon", now + 90 * DAY));
    let status =
        world.apply(&[("certificates/soon.json", renewed), ("certificates/over.json", None)]);
    assert_eq!(status.diagnostics, []);
}
