//! Nodes that speak TLS, with an authority of their own.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pingora::tls::{CertificateDer, PrivateKeyDer, RootCertStore, ServerConfig, TlsAcceptor};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConnection;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// An authority of our own, and a certificate of its for `localhost` and 127.0.0.1.
pub(crate) struct Tls {
    issuer: CertifiedIssuer<'static, KeyPair>,
    authority: NamedTempFile,
    own: (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>),
}

/// A file with this in it.
fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

impl Tls {
    pub(crate) fn new() -> Self {
        pingora::tls::install_default_crypto_provider();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = file(&issuer.pem());
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Self { own: (vec![CertificateDer::from(own.der().to_vec())], key), issuer, authority }
    }

    /// A certificate for clients that are called so, as a document of a group, and its key's file.
    pub(crate) fn client(&self, name: &str) -> (Value, NamedTempFile) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = file(&key.serialize_pem());
        let document = json!({
            "snis": ["gateway.test"], "certificate": certificate.pem(),
            "private_key": format!("$file://{}", key.path().display()),
        });
        (document, key)
    }

    /// Serves clients that have a certificate of the same authority; the answer is their name and
    /// the number of the connection.
    pub(crate) fn serve_known(&self) -> SocketAddr {
        let mut trusted = RootCertStore::empty();
        trusted.add(CertificateDer::from(self.issuer.der().to_vec())).unwrap();
        let verifier = rustls::server::WebPkiClientVerifier::builder(Arc::new(trusted));
        let (chain, key) = &self.own;
        let config = ServerConfig::builder()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(chain.clone(), key.clone_key())
            .unwrap();
        let count = AtomicUsize::new(0);
        serve_tls(config, move |tls| {
            let shown = tls.peer_certificates().unwrap()[0].to_vec();
            let (_, shown) = X509Certificate::from_der(&shown).unwrap();
            let name = shown.subject().iter_common_name().next().unwrap().as_str().unwrap();
            format!("{name} {}", count.fetch_add(1, Ordering::SeqCst))
        })
    }

    /// The file with the authority.
    pub(crate) fn authority_file(&self) -> &std::path::Path {
        self.authority.path()
    }

    /// What a server of ours shows to whoever asks.
    pub(crate) fn server(&self) -> ServerConfig {
        let (chain, key) = &self.own;
        let builder = ServerConfig::builder().with_no_client_auth();
        builder.with_single_cert(chain.clone(), key.clone_key()).unwrap()
    }

    /// A certificate for `localhost` and 127.0.0.1, and its key, as text.
    pub(crate) fn pem(&self) -> (String, String) {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        (own.pem(), key.serialize_pem())
    }

    /// The authority itself, as documents may hold it.
    pub(crate) fn authority_text(&self) -> String {
        self.issuer.pem()
    }

    pub(crate) fn authority(&self) -> String {
        format!("$file://{}", self.authority.path().display())
    }

    /// Serves HTTP/1.1 over TLS; the answer is the name that the client asked the server by.
    pub(crate) fn serve(&self) -> SocketAddr {
        let (chain, key) = &self.own;
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain.clone(), key.clone_key())
            .unwrap();
        serve_tls(config, |tls| tls.server_name().unwrap_or("nobody").to_owned())
    }
}

/// Answers every request of a connection with what `answer` says of the connection.
fn serve_tls(
    config: ServerConfig,
    answer: impl Fn(&ServerConnection) -> String + Send + Sync + 'static,
) -> SocketAddr {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let answer = Arc::new(answer);
    serve(move |tcp| {
        let (acceptor, answer) = (acceptor.clone(), Arc::clone(&answer));
        async move {
            let Ok(mut tls) = acceptor.accept(tcp).await else { return };
            let answer = answer(tls.get_ref().1);
            let mut buffer = vec![0; 4096];
            while tls.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", answer.len());
                let answer = [head.as_bytes(), answer.as_bytes()].concat();
                if tls.write_all(&answer).await.is_err() || tls.flush().await.is_err() {
                    return;
                }
            }
        }
    })
}

/// Accepts connections on a port of its own, in a thread of its own.
pub(crate) fn serve<F>(handle: impl Fn(tokio::net::TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                tokio::spawn(handle(tcp));
            }
        });
    });
    address
}
