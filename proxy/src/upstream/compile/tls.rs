//! How nodes are connected to: the certificates to trust, the one to show, the name to verify.

use std::sync::Arc;

use pingora::protocols::tls::CaType;
use pingora::tls::{CertificateDer, RootCertStore};
use pingora::utils::tls::WrappedX509;
use refgate_core::diagnostic::{Code, Diagnostic};
use refgate_core::document;
use refgate_core::document::reference::is_gateway_reference;
use refgate_core::name::CertificateName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Compiler;
use crate::certificate::ShownToNodes;
use crate::upstream::PassHost;
use crate::upstream::node::NodeKey;
use crate::upstream::peer::Connections;

impl Compiler<'_> {
    /// How its nodes are connected to; nothing after a finding.
    pub(super) fn connections(
        &self,
        document: &document::Upstream,
        findings: &mut Vec<Diagnostic>,
    ) -> Option<Connections> {
        let ca = match document.tls.ca.chain() {
            None => None,
            Some(chain) => {
                let text = self.resolve("tls/ca", chain.as_str(), findings)?.into_owned();
                match certificates(&text) {
                    Ok(certificates) => Some((certificates, text)),
                    Err(reason) => {
                        let named = if is_gateway_reference(chain.as_str()) {
                            chain.as_str()
                        } else {
                            "what stands here"
                        };
                        let message = format!("{named} has no usable certificates: {reason}");
                        self.report("tls/ca", Code::BadValue, message, findings);
                        return None;
                    }
                }
            }
        };
        let shown = match document.tls.client_certificate() {
            None => None,
            Some(name) => match self.certificate(&name) {
                Some(shown) => Some(Arc::clone(shown)),
                None => {
                    let message = format!("the certificate {name} cannot be used");
                    self.report("tls/client_certificate", Code::BadValue, message, findings);
                    return None;
                }
            },
        };
        let keepalive = &document.keepalive;
        // One request for a connection is none kept.
        let kept = keepalive.size > 0 && keepalive.requests != 1;
        Some(Connections {
            scheme: document.scheme,
            verify: document.tls.verify,
            ca,
            shown,
            idle: kept.then(|| keepalive.idle_timeout.duration()),
        })
    }

    fn certificate(&self, name: &CertificateName) -> Option<&Arc<ShownToNodes>> {
        self.certificates.get(name)?.shown_to_nodes.as_ref()
    }
}

/// The name that a node's certificate must be valid for.
///
/// The host that the node is told, when the group says which; else the node's own. Never the
/// client's: a client must not choose against which name a node is verified. An address is a name
/// too, for Pingora takes an empty one as leave not to verify.
pub(super) fn server_name(key: &NodeKey, pass_host: &PassHost) -> String {
    match pass_host {
        PassHost::Client | PassHost::Node => key.host.clone(),
        PassHost::Fixed(host) => {
            let host = host.to_str().unwrap_or(&key.host);
            match host.strip_prefix('[') {
                Some(rest) => rest.split(']').next().unwrap_or(rest).to_owned(),
                None => host.split(':').next().unwrap_or(host).to_owned(),
            }
        }
    }
}

/// The certificates of a PEM text. They are tried out here, because what Pingora cannot parse ends
/// its task.
fn certificates(pem: &str) -> Result<Arc<CaType>, String> {
    let mut trusted = RootCertStore::empty();
    let mut certificates = Vec::new();
    for block in x509_parser::pem::Pem::iter_from_buffer(pem.as_bytes()) {
        let block = block.map_err(|error| error.to_string())?;
        if block.label != "CERTIFICATE" {
            return Err(format!("it holds a {}", block.label));
        }
        let wrapped = WrappedX509::try_new(block.contents.clone(), |der: &Vec<u8>| {
            X509Certificate::from_der(der).map(|(_, certificate)| certificate)
        });
        certificates.push(wrapped.map_err(|error| error.to_string())?);
        trusted.add(CertificateDer::from(block.contents)).map_err(|error| error.to_string())?;
    }
    if certificates.is_empty() {
        return Err("there are none in it".to_owned());
    }
    Ok(certificates.into())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn names_that_certificates_are_for() {
        let key = NodeKey { host: "node.test".to_owned(), port: 443 };
        let fixed = |host| PassHost::Fixed(HeaderValue::from_static(host));
        assert_eq!(server_name(&key, &PassHost::Node), "node.test");
        assert_eq!(server_name(&key, &PassHost::Client), "node.test");
        assert_eq!(server_name(&key, &fixed("api.test:8443")), "api.test");
        assert_eq!(server_name(&key, &fixed("[::1]:8443")), "::1");
    }
}
