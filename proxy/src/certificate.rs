//! The certificates of a group, ready for handshakes: which one a client is shown, and what the
//! client must show.
//!
//! They are part of the snapshot. A certificate that did not change keeps its compiled form, and with
//! it the tickets of its clients; one that did change has new tickets, so that no client goes on with
//! what the old one vouched for. Next: [`compile`] for how they are made, [`expiry`] for when they end, [`crate::gateway`]'s `tls`
//! for the handshake.

pub(crate) mod compile;
mod expiry;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use pingora::utils::tls::CertKey;
use refgate_core::document;
use refgate_core::host::HostPattern;
use refgate_core::name::CertificateName;
use rustls::ServerConfig;

use crate::file_state::FileState;

/// The name of the certificate for clients that ask for no name, or for an unknown one.
const DEFAULT: &str = "default";

/// The certificates of a snapshot.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    by_name: BTreeMap<CertificateName, Arc<Certificate>>,
    exact: HashMap<String, Entry>,
    /// By what stands behind `*.`.
    wildcard: HashMap<String, Entry>,
    default: Option<Entry>,
    /// Whether any of them asks clients for a certificate.
    asks_clients: bool,
    /// Files that the certificates of the configuration are made of, or cannot be made of.
    files: Vec<Arc<[FileState]>>,
    /// Whether some are not those of the configuration, but their last good form, or none.
    unfinished: bool,
    /// Whether a file was seen to have changed.
    renew: AtomicBool,
}

/// What a name stands for: nothing when its clients would have to show a certificate and it cannot be
/// said which. Such a name is closed: what is shown for others is not shown for it.
type Entry = Option<Arc<Certificate>>;

/// The authority of closed names, which vouches for nobody.
const NOBODY: u64 = 0;

/// A certificate that compiled.
pub(crate) struct Certificate {
    /// What it was made of.
    document: document::Certificate,
    files: Arc<[FileState]>,
    /// How connections are served with it.
    pub(crate) config: Arc<ServerConfig>,
    /// Whose certificates clients must show.
    pub(crate) authority: Option<Arc<ClientAuthority>>,
    /// When it expires, in seconds since 1970; nothing when it does not say so legibly.
    expires: Option<i64>,
    /// The same certificate and its key, for nodes that ask for one.
    pub(crate) shown_to_nodes: Option<Arc<ShownToNodes>>,
}

/// A certificate and its key for nodes that ask for one.
pub(crate) struct ShownToNodes {
    pub(crate) pair: Arc<CertKey>,
    /// A hash of all of it, by which connections that show it are told from others.
    pub(crate) hash: u64,
}

/// Keys stay out of the log.
impl fmt::Debug for ShownToNodes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ShownToNodes").finish_non_exhaustive()
    }
}

/// Keys stay out of the log.
impl fmt::Debug for Certificate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Certificate").field("snis", &self.document.snis).finish_non_exhaustive()
    }
}

/// Authorities whose certificates clients must show.
pub(crate) struct ClientAuthority {
    /// Tells it from all others of this process. Equal ones are shared and have the same.
    pub(crate) id: u64,
    pem: String,
    verifier: Arc<dyn rustls::server::danger::ClientCertVerifier>,
}

impl Certificates {
    /// The certificate for a client that asks for `sni`, in lower case: exact, then the longest
    /// wildcard, then the default.
    pub(crate) fn find(&self, sni: Option<&str>) -> Option<&Arc<Certificate>> {
        self.entry(sni)?.as_ref()
    }

    fn entry(&self, name: Option<&str>) -> Option<&Entry> {
        let named = name.and_then(|sni| {
            self.exact.get(sni).or_else(|| {
                let suffixes = sni.match_indices('.').filter(|(at, _)| *at > 0);
                suffixes.filter_map(|(at, _)| self.wildcard.get(&sni[at + 1..])).next()
            })
        });
        named.or(self.default.as_ref())
    }

    /// What a connection must have proven for a request to `host`: the id of an authority.
    pub(crate) fn asked_for(&self, host: &str) -> Option<u64> {
        if !self.asks_clients {
            return None;
        }
        match self.entry(Some(host))? {
            Some(certificate) => certificate.authority.as_ref().map(|authority| authority.id),
            None => Some(NOBODY),
        }
    }

    /// Whether each certificate has the same compiled form as there.
    pub(crate) fn are_those_of(&self, other: &Self) -> bool {
        let same = |((name, own), (other_name, other)): ((_, _), (_, _))| {
            name == other_name && Arc::ptr_eq(own, other)
        };
        self.by_name.len() == other.by_name.len()
            && self.by_name.iter().zip(&other.by_name).all(same)
    }

    /// The certificate of this name.
    pub(crate) fn get(&self, name: &CertificateName) -> Option<&Arc<Certificate>> {
        self.by_name.get(name)
    }

    fn insert(&mut self, name: CertificateName, certificate: Arc<Certificate>) {
        self.asks_clients |= certificate.authority.is_some();
        self.enter(&name, &certificate.document.snis, &Some(Arc::clone(&certificate)));
        self.by_name.insert(name, certificate);
    }

    /// A certificate that cannot be used and has no last good form. When its clients would have to show
    /// one, nobody is served under its names: they must not be open to all in the meantime.
    fn close(&mut self, name: &CertificateName, document: &document::Certificate) {
        if document.client_ca.is_some() {
            self.asks_clients = true;
            self.enter(name, &document.snis, &None);
        }
    }

    fn enter(&mut self, name: &CertificateName, snis: &[document::Sni], entry: &Entry) {
        for sni in snis {
            let (map, key) = match sni.host() {
                HostPattern::Exact(host) => (&mut self.exact, host),
                HostPattern::Wildcard(suffix) => (&mut self.wildcard, suffix),
            };
            // A certificate in its last good form may name what has moved to another since.
            map.entry(key.clone()).or_insert_with(|| entry.clone());
        }
        if name.as_str() == DEFAULT {
            self.default = Some(entry.clone());
        }
    }
}
