//! From the certificates of a configuration to what handshakes need: references resolved, keys
//! loaded and compared with their certificates.
//!
//! One that cannot be made keeps its last good form, and is tried again with every configuration and
//! whenever a file of it changes. Without a last good form its names are closed if their clients would
//! have to show a certificate.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use pingora::utils::tls::CertKey;
use refgate_core::config::GroupConfig;
use refgate_core::diagnostic::{Code, Diagnostic};
use refgate_core::document;
use refgate_core::name::CertificateName;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig};

use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{Certificate, Certificates, ClientAuthority, ShownToNodes};
use crate::file_state::FileState;
use crate::reference;

/// HTTP/2 where the client can.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why a certificate cannot be used, and where in its document.
struct Fault {
    pointer: &'static str,
    message: String,
}

impl Certificates {
    /// Makes those of `config`, sharing with `previous` what did not change.
    pub(crate) fn compile(
        config: &GroupConfig,
        previous: &Arc<Self>,
        findings: &mut Vec<Diagnostic>,
    ) -> Arc<Self> {
        if previous.is_of(config) {
            return Arc::clone(previous);
        }
        let renew = previous.renew.load(Ordering::Relaxed);
        let mut compiled = Self::default();
        let mut kept: Vec<&CertificateName> = config.objects.faulty_certificates().collect();
        compiled.unfinished = !kept.is_empty();
        for (name, document) in config.objects.certificates() {
            let before = previous.by_name.get(name);
            let unchanged = before.filter(|before| {
                // Files are looked at from time to time, not with every configuration.
                let is_current = || before.files.iter().all(FileState::is_current);
                before.document == *document && (!renew || is_current())
            });
            let made = match unchanged {
                Some(before) => {
                    compiled.files.push(Arc::clone(&before.files));
                    Ok(Arc::clone(before))
                }
                None => {
                    // Before they are read: a change in between is found later.
                    let files = files_of(document);
                    compiled.files.push(Arc::clone(&files));
                    let certificates =
                        || compiled.by_name.values().chain(previous.by_name.values());
                    let known = |pem: &str| {
                        let mut known = certificates().filter_map(|it| it.authority.as_ref());
                        known.find(|known| known.pem == pem).map(Arc::clone)
                    };
                    Certificate::compile(document, files, known).map(Arc::new)
                }
            };
            match made {
                Ok(certificate) => compiled.insert(name.clone(), certificate),
                Err(Fault { pointer, message }) => {
                    let file = format!("certificates/{name}.json");
                    findings.push(Diagnostic::error(file, pointer, Code::BadValue, message));
                    kept.push(name);
                    compiled.unfinished = true;
                }
            }
        }
        for name in kept {
            if let Some(before) = previous.by_name.get(name) {
                compiled.insert(name.clone(), Arc::clone(before));
            } else if let Some((_, document)) =
                config.objects.certificates().find(|(known, _)| *known == name)
            {
                compiled.close(name, document);
            }
        }
        Arc::new(compiled)
    }

    /// Whether these are those of `config` already.
    fn is_of(&self, config: &GroupConfig) -> bool {
        let mut own = self.by_name.iter();
        let is_own = |(name, document): (&CertificateName, &document::Certificate)| {
            own.next().is_some_and(|(own, it)| own == name && it.document == *document)
        };
        !self.unfinished
            && !self.renew.load(Ordering::Relaxed)
            && config.objects.faulty_certificates().next().is_none()
            && config.objects.certificates().all(is_own)
            && own.next().is_none()
    }

    /// Whether a file that a certificate names is another now, or is there at last. If so, the next
    /// configuration looks at all of them.
    pub(crate) fn are_stale(&self) -> bool {
        let stale = !self.files.iter().all(|files| files.iter().all(FileState::is_current));
        if stale {
            self.renew.store(true, Ordering::Relaxed);
        }
        stale
    }
}

fn files_of(document: &document::Certificate) -> Arc<[FileState]> {
    let chain = document.certificate.as_str();
    let texts = [chain, document.private_key.as_str()]
        .into_iter()
        .chain(document.client_ca.as_ref().map(document::certificate::CertificateChain::as_str));
    texts.filter_map(|text| text.strip_prefix("$file://")).map(FileState::of).collect()
}

impl Certificate {
    fn compile(
        document: &document::Certificate,
        files: Arc<[FileState]>,
        known: impl Fn(&str) -> Option<Arc<ClientAuthority>>,
    ) -> Result<Self, Fault> {
        let chain = resolve("/certificate", document.certificate.as_str())?;
        let chain = certificates("/certificate", &chain)?;
        let key = resolve("/private_key", document.private_key.as_str())?;
        let fault = |pointer, message: &str| Fault { pointer, message: message.to_owned() };
        // The reason could repeat a part of the text.
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|_| fault("/private_key", "what it stands for is no private key in PEM"))?;
        let expires = chain.first().and_then(|leaf| {
            let (_, leaf) = X509Certificate::from_der(leaf).ok()?;
            Some(leaf.validity().not_after.timestamp())
        });
        let shown_to_nodes = ShownToNodes::new(&chain, &key).map(Arc::new);
        let pair = CertifiedKey::from_der(chain, key, provider()).map_err(|error| {
            let message = format!("the private key cannot be used with the certificate: {error}");
            fault("/private_key", &message)
        })?;
        let authority = match &document.client_ca {
            Some(authority) => {
                let pem = resolve("/client_ca", authority.as_str())?;
                let authority = known(&pem).map(Ok);
                Some(authority.unwrap_or_else(|| ClientAuthority::new(pem).map(Arc::new))?)
            }
            None => None,
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(provider()))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| fault("", &error.to_string()))?;
        let builder = match &authority {
            Some(authority) => builder.with_client_cert_verifier(Arc::clone(&authority.verifier)),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        // Tickets of its own: a session goes on only with the certificate and the authority that it
        // began with. Without chance to make them from, every handshake is a whole one.
        if let Ok(tickets) = ring::Ticketer::new() {
            config.ticketer = tickets;
        }
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Self {
            document: document.clone(),
            files,
            config: Arc::new(config),
            authority,
            shown_to_nodes,
            expires,
        })
    }
}

#[cfg(test)]
impl Certificate {
    /// As its document says.
    pub(super) fn of(document: &document::Certificate) -> Self {
        let made = Self::compile(document, files_of(document), |_| None);
        made.unwrap_or_else(|fault| panic!("{}: {}", fault.pointer, fault.message))
    }
}

impl ShownToNodes {
    /// Nothing when Pingora could not parse it, which would end its task.
    fn new(chain: &[CertificateDer<'static>], key: &PrivateKeyDer<'static>) -> Option<Self> {
        let key = key.secret_der().to_vec();
        PrivateKeyDer::try_from(key.clone()).ok()?;
        for certificate in chain {
            X509Certificate::from_der(certificate).ok()?;
        }
        let chain: Vec<Vec<u8>> = chain.iter().map(|certificate| certificate.to_vec()).collect();
        let mut hasher = DefaultHasher::new();
        (&chain, &key).hash(&mut hasher);
        let hash = hasher.finish();
        Some(Self { pair: Arc::new(CertKey::new(chain, key)), hash })
    }
}

impl ClientAuthority {
    fn new(pem: String) -> Result<Self, Fault> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let fault = |message: String| Fault { pointer: "/client_ca", message };
        let mut trusted = RootCertStore::empty();
        for certificate in certificates("/client_ca", &pem)? {
            trusted.add(certificate).map_err(|error| fault(error.to_string()))?;
        }
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(trusted), Arc::clone(provider()));
        let verifier = verifier.build().map_err(|error| fault(error.to_string()))?;
        Ok(Self { id: NEXT.fetch_add(1, Ordering::Relaxed), pem, verifier })
    }
}

fn resolve(pointer: &'static str, text: &str) -> Result<String, Fault> {
    let value = reference::resolve(text);
    value.map(Into::into).map_err(|error| Fault { pointer, message: error.to_string() })
}

fn certificates(pointer: &'static str, pem: &str) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let fault = || Fault {
        pointer,
        message: "what it stands for is not one or more certificates in PEM".to_owned(),
    };
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let certificates = certificates.map_err(|_| fault())?;
    if certificates.is_empty() { Err(fault()) } else { Ok(certificates) }
}

fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(ring::default_provider()))
}
