//! Certificates that take turns, the one that stands behind them, and clients who look at them.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};

use super::change::SNI;
use super::client::tcp;

/// Those that take turns; after the last one there is none for a while.
const TURNS: usize = 3;

/// A connection of TLS.
pub(crate) type Encrypted = StreamOwned<ClientConnection, TcpStream>;

/// Signed by one authority, all for the same name.
pub(crate) struct Certificates {
    /// The last one is the default.
    signed: Vec<Signed>,
    client: ClientConfig,
}

struct Signed {
    pem: String,
    der: Vec<u8>,
    key: PathBuf,
}

impl Certificates {
    /// Signs them for `name`, with their keys in this directory.
    pub(crate) fn sign(name: &str, directory: &Path) -> anyhow::Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let mut signed = Vec::new();
        for number in 0..=TURNS {
            let pair = KeyPair::generate()?;
            let params = CertificateParams::new(vec![name.to_owned()])?;
            let certificate = params.signed_by(&pair, &authority)?;
            let key = directory.join(format!("{number}.key"));
            std::fs::write(&key, pair.serialize_pem())?;
            signed.push(Signed { pem: certificate.pem(), der: certificate.der().to_vec(), key });
        }
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // A session that is resumed shows no certificate.
        client.resumption = Resumption::disabled();
        Ok(Self { signed, client })
    }

    /// The one that is shown when none is named; no state changes it.
    pub(crate) fn standing(&self) -> Value {
        let default = &self.signed[TURNS];
        document(default, "default.storm.test")
    }

    /// The one of a state, or nothing.
    pub(crate) fn document(&self, state: usize) -> Option<Value> {
        let number = state % (TURNS + 1);
        (number < TURNS).then(|| document(&self.signed[number], SNI))
    }

    /// Whether a state explains that this one was shown.
    pub(crate) fn explains(&self, state: usize, shown: &[u8]) -> bool {
        self.signed[state % (TURNS + 1)].der == shown
    }

    /// Connects, shakes hands for the name, and looks at what is shown.
    pub(crate) fn connect(&self, address: SocketAddr) -> anyhow::Result<(Encrypted, Vec<u8>)> {
        let name = ServerName::try_from(SNI)?;
        let connection = ClientConnection::new(Arc::new(self.client.clone()), name)?;
        let mut stream = StreamOwned::new(connection, tcp(address)?);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        let shown = stream.conn.peer_certificates().and_then(|chain| chain.first());
        let shown = shown.context("no certificate was shown")?.to_vec();
        Ok((stream, shown))
    }

    /// What clients of HTTP/2 connect with.
    pub(crate) fn http2(&self) -> ClientConfig {
        let mut client = self.client.clone();
        client.alpn_protocols = vec![b"h2".to_vec()];
        client
    }
}

fn document(signed: &Signed, sni: &str) -> Value {
    json!({
        "snis": [sni], "certificate": signed.pem,
        "private_key": format!("$file://{}", signed.key.display()),
    })
}
