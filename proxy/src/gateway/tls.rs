//! TLS with clients: from an accepted connection to an encrypted one.
//!
//! The client says first which host it wants; only then is decided, by the snapshot of this moment,
//! which certificate it is shown and what it must show itself. What a connection has proven is
//! remembered in the digest that Pingora hands to its requests.
//!
//! Next: [`crate::certificate`] for the certificates, [`super::client_stream`] for what reads and
//! writes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use pingora::protocols::l4::stream::Stream as TcpStream;
use pingora::protocols::tls::SslDigest;
use rustls::server::Acceptor;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::Shared;
use crate::certificate::Certificate;

/// How long a handshake may take from the connection on.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A fatal alert, `unrecognized_name` (RFC 6066 §3), in a record of its own. Nothing is encrypted yet.
const UNKNOWN_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// A connection that is encrypted.
#[derive(Debug)]
pub(crate) struct Encrypted {
    pub(crate) stream: TlsStream<TcpStream>,
    pub(crate) digest: Arc<SslDigest>,
}

/// Why there is no encrypted connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("no certificate for {0:?}")]
    UnknownName(String),
    #[error("the handshake took too long")]
    Late,
    #[error(transparent)]
    Failed(#[from] io::Error),
}

/// Shakes hands with a client.
pub(crate) async fn accept(tcp: TcpStream, shared: &Shared) -> Result<Encrypted, HandshakeError> {
    let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake(tcp, shared));
    handshake.await.unwrap_or(Err(HandshakeError::Late))
}

async fn handshake(tcp: TcpStream, shared: &Shared) -> Result<Encrypted, HandshakeError> {
    let mut start = LazyConfigAcceptor::new(Acceptor::default(), tcp).await?;
    let name = start.client_hello().server_name().map(str::to_ascii_lowercase);
    let certificate = shared.snapshot.load().certificates.find(name.as_deref()).map(Arc::clone);
    let Some(certificate) = certificate else {
        refuse(&mut start.io).await?;
        return Err(HandshakeError::UnknownName(name.unwrap_or_default()));
    };
    let stream = start.into_stream(Arc::clone(&certificate.config)).await?;
    let digest = Arc::new(digest(&stream, &certificate));
    Ok(Encrypted { stream, digest })
}

async fn refuse(io: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    io.write_all(&UNKNOWN_NAME).await?;
    io.shutdown().await
}

/// Of a connection Pingora shows requests in HTTP/2 the digest and nothing else. Its `cert_digest`,
/// which is of no use otherwise, holds the id of the authority that vouched for the client.
fn digest(stream: &TlsStream<TcpStream>, certificate: &Certificate) -> SslDigest {
    let session = stream.get_ref().1;
    let cipher = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
    let version = session.protocol_version().and_then(|version| version.as_str());
    let proven = certificate.authority.as_ref().map(|authority| authority.id.to_be_bytes());
    SslDigest::new(
        cipher.unwrap_or_default(),
        version.unwrap_or_default(),
        None,
        None,
        proven.map(Vec::from).unwrap_or_default(),
    )
}

/// Whether a connection has proven what [`crate::certificate::Certificates::asked_for`] asks for.
pub(crate) fn has_proven(digest: Option<&SslDigest>, authority: u64) -> bool {
    digest.is_some_and(|digest| digest.cert_digest == authority.to_be_bytes())
}
