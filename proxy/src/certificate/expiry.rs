//! When certificates end: a warning in good time, and a metric for those who watch many.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use refgate_core::diagnostic::{Code, Diagnostic};
use refgate_core::name::{CertificateName, GroupName};

use super::Certificates;

/// How long before its end a certificate is warned of.
const WARNING: Duration = Duration::from_secs(14 * 86_400);

impl Certificates {
    /// A warning for each certificate that has expired or will soon, sorted. The texts do not change
    /// from day to day.
    pub(crate) fn expiring(&self, now: Timestamp) -> Vec<Diagnostic> {
        let limit = now.as_second().saturating_add_unsigned(WARNING.as_secs());
        let soon = self.expiries().filter(|(_, expires)| *expires <= limit);
        let mut warnings: Vec<_> = soon
            .map(|(name, expires)| {
                let verb = if expires < now.as_second() { "expired" } else { "expires" };
                let when = Timestamp::from_second(expires).unwrap_or(Timestamp::MAX);
                let when = when.strftime("%Y-%m-%dT%H:%M:%SZ");
                let message = format!("the certificate {verb} at {when}");
                let file = format!("certificates/{name}.json");
                Diagnostic::error(file, "/certificate", Code::CertificateExpiry, message).warning()
            })
            .collect();
        warnings.sort();
        warnings
    }

    /// When each of them ends, in Prometheus' text format.
    pub(crate) fn write_metrics(&self, group: &GroupName, text: &mut String) {
        if self.expiries().next().is_none() {
            return;
        }
        let metric = "refgate_certificate_expiry_seconds";
        text.push_str("# HELP refgate_certificate_expiry_seconds When a certificate expires, in seconds since 1970.\n");
        text.push_str("# TYPE refgate_certificate_expiry_seconds gauge\n");
        for (name, expires) in self.expiries() {
            let _ =
                writeln!(text, "{metric}{{group=\"{group}\",certificate=\"{name}\"}} {expires}");
        }
    }

    fn expiries(&self) -> impl Iterator<Item = (&CertificateName, i64)> {
        let each = self.by_name.iter();
        each.filter_map(|(name, certificate)| Some((name, certificate.expires?)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rcgen::{CertificateParams, KeyPair};
    use refgate_core::document::{self, Reader, Shape as _};
    use serde_json::json;

    use super::*;
    use crate::certificate::Certificate;

    #[test]
    fn warnings_come_with_time() {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2030, 3, 1);
        let path = folder.path().join("a.key");
        std::fs::write(&path, key.serialize_pem()).unwrap();
        let document = json!({
            "snis": ["a.test"],
            "certificate": params.self_signed(&key).unwrap().pem(),
            "private_key": format!("$file://{}", path.display()),
        });
        let mut findings = Vec::new();
        let document =
            document::Certificate::read(&document, &mut Reader::new("test", &mut findings));
        let certificate = Certificate::of(&document.unwrap());
        let mut certificates = Certificates::default();
        certificates.insert("a".parse().unwrap(), Arc::new(certificate));

        let warnings = |now: &str| -> Vec<String> {
            let found = certificates.expiring(now.parse().unwrap());
            found.into_iter().map(|finding| finding.message).collect()
        };
        assert!(warnings("2030-02-14T23:59:59Z").is_empty());
        let soon = ["the certificate expires at 2030-03-01T00:00:00Z"];
        assert_eq!(warnings("2030-02-15T00:00:00Z"), soon);
        assert_eq!(warnings("2030-03-01T00:00:00Z"), soon);
        let over = ["the certificate expired at 2030-03-01T00:00:00Z"];
        assert_eq!(warnings("2030-03-01T00:00:01Z"), over);
    }
}
