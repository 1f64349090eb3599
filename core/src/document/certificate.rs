//! `certificates/<name>.json`: what a group's gateways show to clients. Never promoted.
//!
//! The chain is public and may stand in the document; the private key is only ever a reference that
//! the gateway resolves where it runs. The certificate that is named `default` is shown to clients
//! that ask for no name, or for one that no certificate of the group has.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::group::Labels;
use super::reader::repeated;
use super::reference::{GATEWAY_PATTERN, is_gateway_reference};
use super::secret::SecretReference;
use super::{Presence, Reader, Shape, document, or, schema};
use crate::diagnostic::Code;
use crate::host::HostPattern;
use crate::pem::{self, PemError};

document! {
    /// A certificate of a group.
    pub struct Certificate {
        /// What it is for, in a few words for people.
        "description" description: String = or(""),
        /// Free text by free key, for people and filters.
        "labels" labels: Labels = or(json!({})),
        /// The names that clients ask for; at least one.
        "snis" snis: Vec<Sni> = Presence::Required,
        /// The chain, the certificate of the SNIs first.
        "certificate" certificate: CertificateChain = Presence::Required,
        /// The private key, by reference.
        "private_key" private_key: SecretReference = Presence::Required,
        /// The authorities whose certificates clients must show; without it none is asked for.
        "client_ca" client_ca: Option<CertificateChain> = Presence::Absent,
    }
}

/// A name that clients ask for: a host, exact or by wildcard, and no address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sni(HostPattern);

impl Sni {
    /// The hosts that it is.
    #[must_use]
    pub fn host(&self) -> &HostPattern {
        &self.0
    }
}

impl Shape for Sni {
    fn read(json: &Value, at: &mut Reader<'_>) -> Option<Self> {
        let host = HostPattern::read(json, at)?;
        let name = host.to_string();
        if name.starts_with('[') || name.parse::<IpAddr>().is_ok() {
            let message = format!("{name:?} is an address, which no client sends as SNI");
            at.error_with_hint(Code::BadHost, message, "use host names");
            return None;
        }
        Some(Self(host))
    }

    fn check_list(entries: &[Option<Self>], at: &mut Reader<'_>) {
        if entries.is_empty() {
            let hint = "the names that clients ask for, such as api.acme.com or *.acme.com";
            at.error_with_hint(Code::BadValue, "at least one SNI is needed", hint);
        }
        repeated(entries.iter().map(|entry| Some(entry.as_ref()?.0.to_string().into())), at);
    }

    fn expand(json: &Value) -> Value {
        HostPattern::expand(json)
    }

    fn canonical(json: &Value) -> Value {
        HostPattern::canonical(json)
    }

    fn schema() -> Value {
        HostPattern::schema()
    }
}

/// Certificates, a chain or a set of authorities: PEM text, or a reference for the gateway to resolve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateChain(String);

impl CertificateChain {
    /// The text as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Shape for CertificateChain {
    fn read(json: &Value, at: &mut Reader<'_>) -> Option<Self> {
        let text = at.text(json)?;
        public_pem(text, "CERTIFICATE", at).then(|| Self(text.to_owned()))
    }

    fn schema() -> Value {
        schema::text(&chain_pattern())
    }
}

/// What every chain matches, as the end of an alternative.
pub(super) fn chain_pattern() -> String {
    format!("-----BEGIN CERTIFICATE-----|{GATEWAY_PATTERN}")
}

/// Whether a text is a reference, or PEM blocks of one public kind and nothing else; if not, says
/// what is wrong.
pub(super) fn public_pem(text: &str, label: &str, at: &mut Reader<'_>) -> bool {
    if is_gateway_reference(text) {
        return true;
    }
    match pem::check(text, label) {
        Ok(()) => true,
        // What was written is a secret: it is not repeated in the finding.
        Err(PemError::PrivateKey) => {
            at.error_with_hint(
                Code::InlineSecret,
                "there is a private key in the text",
                "take the key out of the repository, and do not use it again",
            );
            false
        }
        Err(error) => {
            let hint = format!(
                "-----BEGIN {label}----- blocks and nothing else, \"$file:///path\" or \"$env://NAME\""
            );
            at.error_with_hint(Code::BadPem, error.to_string(), hint);
            false
        }
    }
}
