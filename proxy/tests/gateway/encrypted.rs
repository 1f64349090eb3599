//! TLS with clients: which certificate they are shown, what they must show, and how both change.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use refgate_proxy::State;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::Client;
use crate::origin::Origin;
use crate::repository::Config;
use crate::world::{World, runtime, service};

/// An authority, and a folder for what it signs.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer, folder: TempDir::new().unwrap() }
    }

    fn sign(&self, names: &[&str]) -> (rcgen::Certificate, KeyPair) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer);
        (certificate.unwrap(), key)
    }

    /// Its certificate, as text.
    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// The document of a certificate for `snis`, whose key is in `<file>.key`.
    pub(crate) fn document(&self, file: &str, snis: &[&str]) -> Value {
        let (certificate, key) = self.sign(snis);
        let path = self.path(&format!("{file}.key"));
        std::fs::write(&path, key.serialize_pem()).unwrap();
        json!({
            "snis": snis, "certificate": certificate.pem(),
            "private_key": format!("$file://{}", path.display()),
        })
    }

    /// What a client of the authority trusts and offers.
    pub(crate) fn client(&self, protocols: &[&[u8]]) -> ClientConfig {
        let mut config = self.builder().with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|it| it.to_vec()).collect();
        config
    }

    fn builder(&self) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots)
    }

    /// The same with a certificate that `by` signed.
    fn client_with_certificate(&self, by: &Self) -> ClientConfig {
        let (certificate, key) = by.sign(&["client.test"]);
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let chain = vec![certificate.der().clone()];
        self.builder().with_client_auth_cert(chain, key).unwrap()
    }
}

pub(crate) type Encrypted = StreamOwned<ClientConnection, TcpStream>;

/// Connects and shakes hands.
pub(crate) fn connect(
    address: SocketAddr,
    name: &str,
    config: &ClientConfig,
) -> std::io::Result<Encrypted> {
    let tcp = TcpStream::connect(address)?;
    tcp.set_read_timeout(Some(Duration::from_secs(30)))?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connection = ClientConnection::new(Arc::new(config.clone()), name).unwrap();
    let mut stream = StreamOwned::new(connection, tcp);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

fn alert(error: &std::io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

/// What the client was shown.
fn shown(stream: &Encrypted) -> CertificateDer<'static> {
    stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
}

/// A gateway with TLS, a service on every host, and these certificates.
pub(crate) fn world(origin: &Origin, certificates: &[(&'static str, Value)]) -> World {
    let config = Config::new();
    let mut files =
        service("shop", json!({"paths": ["/*"]}), runtime(json!({"nodes": [origin.node()]})));
    files.extend(certificates.iter().map(|(path, document)| (*path, Some(document.clone()))));
    config.commit("test", &files);
    World::over_with(config, |options| {
        options.tls_listen = Some("127.0.0.1:0".parse().unwrap());
    })
}

fn tls(world: &World) -> SocketAddr {
    world.gateway.tls_address().unwrap()
}

const EXACT: &str = "certificates/exact.json";
const WILDCARD: &str = "certificates/wildcard.json";
const DEFAULT: &str = "certificates/default.json";

#[test]
fn certificates_are_chosen_by_name() {
    let (authority, origin) = (Authority::new(), Origin::start("one"));
    let certificates = [
        (EXACT, authority.document("exact", &["a.test", "B.test"])),
        (WILDCARD, authority.document("wildcard", &["*.a.test"])),
        (DEFAULT, authority.document("default", &["c.test"])),
    ];
    let world = world(&origin, &certificates);
    assert_eq!(world.gateway.subscribe().borrow().state, State::Healthy);
    let config = authority.client(&[]);
    let of = |name: &str| shown(&connect(tls(&world), name, &config).unwrap());
    assert_eq!(of("a.test"), of("b.test"));
    assert_eq!(of("x.a.test"), of("y.a.test"));
    assert_ne!(of("a.test"), of("x.a.test"));
    assert_ne!(of("a.test"), of("c.test"));
    let mut client = Client::over(connect(tls(&world), "a.test", &config).unwrap());
    for _ in 0..3 {
        let told =
            client.ask_with("POST", "a.test", "/x", &["X-Forwarded-Proto: http"], "body").json();
        assert_eq!(told["headers"]["x-forwarded-proto"], "https");
        assert_eq!(told["headers"]["x-forwarded-port"], tls(&world).port().to_string());
        assert_eq!((&told["target"], &told["body"]), (&json!("/x"), &json!("body")));
    }
    // Whoever asks for another name is shown the default one, which is not for that name.
    let error = connect(tls(&world), "d.test", &config).unwrap_err();
    assert!(error.to_string().contains("not valid for name"), "{error}");

    world.apply(&[(DEFAULT, None)]);
    let error = connect(tls(&world), "d.test", &config).unwrap_err();
    assert_eq!(alert(&error), Some(AlertDescription::UnrecognisedName), "{error}");
    assert!(connect(tls(&world), "a.test", &config).is_ok());
    crate::world::ask_until(
        || world.status_of("/metrics"),
        |metrics| metrics.body.contains("refgate_tls_handshake_failures_total{group=\"test\"} 2"),
    );
}

#[test]
fn old_versions_are_refused() {
    let (authority, origin) = (Authority::new(), Origin::start("one"));
    let world = world(&origin, &[(EXACT, authority.document("exact", &["a.test"]))]);
    let mut config = authority.client(&[]);
    let only_12 = ClientConfig::builder_with_provider(Arc::clone(config.crypto_provider()))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(authority.issuer.der().clone()).unwrap();
    config = only_12.with_root_certificates(roots).with_no_client_auth();
    let stream = connect(tls(&world), "a.test", &config).unwrap();
    assert_eq!(stream.conn.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_2));
    drop(stream);

    // A hello of TLS 1.1: version, random, no session, one cipher suite, no compression.
    let hello = [&[3, 2][..], &[7; 32], &[0, 0, 2, 0xc0, 0x13, 1, 0]].concat();
    let length = u8::try_from(hello.len()).unwrap();
    let handshake = [&[1, 0, 0, length][..], &hello].concat();
    let record = [&[22, 3, 1, 0, length + 4][..], &handshake].concat();
    let mut old = TcpStream::connect(tls(&world)).unwrap();
    old.write_all(&record).unwrap();
    let mut answer = Vec::new();
    old.read_to_end(&mut answer).unwrap();
    assert_eq!(answer.first(), Some(&21), "an alert: {answer:?}");
}

#[test]
fn a_changed_certificate_is_shown_at_once_and_old_connections_live_on() {
    let (authority, origin) = (Authority::new(), Origin::start("one"));
    let world = world(&origin, &[(EXACT, authority.document("exact", &["a.test"]))]);
    let config = authority.client(&[]);
    let old = connect(tls(&world), "a.test", &config).unwrap();
    let before = shown(&old);
    let mut old = Client::over(old);
    assert_eq!(old.ask("GET", "a.test", "/").status, 200);
    let status = world.apply(&[(EXACT, Some(authority.document("renewed", &["a.test"])))]);
    assert_eq!(status.state, State::Healthy);
    // The same client has tickets of the old certificate.
    let new = connect(tls(&world), "a.test", &config).unwrap();
    assert_ne!(shown(&new), before);
    assert_eq!(old.ask("GET", "a.test", "/").status, 200);
    assert_eq!(Client::over(new).ask("GET", "a.test", "/").status, 200);
}

#[test]
fn sessions_go_on_with_the_same_certificate() {
    let (authority, origin) = (Authority::new(), Origin::start("one"));
    let world = world(&origin, &[(EXACT, authority.document("exact", &["a.test"]))]);
    let config = authority.client(&[]);
    let kind = |config: &ClientConfig| {
        let mut client = Client::over(connect(tls(&world), "a.test", config).unwrap());
        // Tickets come after the handshake.
        assert_eq!(client.ask("GET", "a.test", "/").status, 200);
        client.stream.get_ref().conn.handshake_kind().unwrap()
    };
    assert_eq!(kind(&config), rustls::HandshakeKind::Full);
    assert_eq!(kind(&config), rustls::HandshakeKind::Resumed);
    world.apply(&[(
        "runtime/shop.json",
        Some(runtime(json!({"nodes": [origin.node()], "retries": 0}))),
    )]);
    assert_eq!(kind(&config), rustls::HandshakeKind::Resumed, "it is the same certificate");
}

#[test]
fn a_certificate_that_cannot_be_used_keeps_its_last_good_form() {
    let (authority, origin) = (Authority::new(), Origin::start("one"));
    let good = authority.document("exact", &["a.test"]);
    let world = world(&origin, &[(EXACT, good.clone())]);
    let config = authority.client(&[]);
    let before = shown(&connect(tls(&world), "a.test", &config).unwrap());
    let other = authority.document("other", &["a.test"]);
    let mut missing = good.clone();
    missing["private_key"] = json!("$file:///nowhere/at/all");
    let mut unfit = good.clone();
    unfit["private_key"] = other["private_key"].clone();
    let path = authority.path("no-key");
    std::fs::write(&path, "secret words").unwrap();
    let mut no_key = good.clone();
    no_key["private_key"] = json!(format!("$file://{}", path.display()));
    let mut no_chain = good.clone();
    no_chain["certificate"] = json!("$env://REFGATE_TEST_NOT_SET");
    let faulty = [
        (missing, "/private_key"),
        (unfit, "/private_key"),
        (no_key, "/private_key"),
        (no_chain, "/certificate"),
    ];
    for (document, pointer) in faulty {
        let status = world.apply(&[(EXACT, Some(document))]);
        assert_eq!(status.state, State::Degraded);
        let [finding] = &status.diagnostics[..] else { panic!("{status:?}") };
        assert_eq!((finding.file.as_str(), finding.pointer.as_str()), (EXACT, pointer));
        assert!(!finding.message.contains("secret"), "{finding:?}");
        assert_eq!(shown(&connect(tls(&world), "a.test", &config).unwrap()), before);
    }
    // A document that core refuses keeps it as well.
    let mut strange = good.clone();
    strange["unknown"] = json!(1);
    assert_eq!(world.apply(&[(EXACT, Some(strange))]).state, State::Degraded);
    assert_eq!(shown(&connect(tls(&world), "a.test", &config).unwrap()), before);
    assert_eq!(world.apply(&[(EXACT, Some(good))]).state, State::Healthy);
    world.apply(&[(EXACT, None)]);
    assert!(connect(tls(&world), "a.test", &config).is_err());
}

#[test]
fn files_are_read_again_when_they_change() {
    let (authority, origin) = (Authority::new(), Origin::start("one"));
    let mut document = authority.document("exact", &["a.test"]);
    let (chain, key) = (authority.path("exact.pem"), authority.path("exact.key"));
    std::fs::remove_file(&key).unwrap();
    document["certificate"] = json!(format!("$file://{}", chain.display()));
    let world = world(&origin, &[(EXACT, document)]);
    assert_eq!(world.gateway.subscribe().borrow().state, State::Degraded);
    let config = authority.client(&[]);
    assert!(connect(tls(&world), "a.test", &config).is_err());
    let write = || {
        let (certificate, pair) = authority.sign(&["a.test"]);
        std::fs::write(&key, pair.serialize_pem()).unwrap();
        std::fs::write(&chain, certificate.pem()).unwrap();
    };
    write();
    let status = world.wait(|status| status.state == State::Healthy);
    assert!(status.diagnostics.is_empty());
    let first = shown(&connect(tls(&world), "a.test", &config).unwrap());
    write();
    let end = std::time::Instant::now() + Duration::from_secs(30);
    while shown(&connect(tls(&world), "a.test", &config).unwrap()) == first {
        assert!(std::time::Instant::now() < end, "still the old certificate");
    }
}

#[test]
fn hosts_may_ask_clients_for_certificates() {
    let (authority, clients, origin) = (Authority::new(), Authority::new(), Origin::start("one"));
    let mut closed = authority.document("closed", &["closed.test"]);
    closed["client_ca"] = json!(clients.issuer.pem());
    let open = authority.document("open", &["open.test"]);
    let world = world(&origin, &[(EXACT, closed.clone()), (WILDCARD, open)]);
    let ask = |sni: &str, host: &str, config: &ClientConfig| -> std::io::Result<u16> {
        let mut stream = connect(tls(&world), sni, config)?;
        stream.write_all(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes())?;
        let mut line = [0; 12];
        stream.read_exact(&mut line)?;
        Ok(std::str::from_utf8(&line[9..]).unwrap().parse().unwrap())
    };
    let nobody = authority.client(&[]);
    let stranger = authority.client_with_certificate(&authority);
    let known = authority.client_with_certificate(&clients);
    assert_eq!(ask("closed.test", "closed.test", &known).unwrap(), 200);
    for config in [&nobody, &stranger] {
        let error = ask("closed.test", "closed.test", config).unwrap_err();
        assert!(alert(&error).is_some(), "{error}");
        assert_eq!(ask("open.test", "open.test", config).unwrap(), 200);
    }
    // What was not proven on this connection is not served on it, however it is asked for.
    assert_eq!(ask("open.test", "closed.test", &nobody).unwrap(), 421);
    assert_eq!(ask("open.test", "CLOSED.test:443", &nobody).unwrap(), 421);
    assert_eq!(ask("open.test", "closed.test", &known).unwrap(), 421);
    assert_eq!(ask("closed.test", "open.test", &known).unwrap(), 200);
    let answer = world.client().ask("GET", "closed.test", "/");
    assert_eq!((answer.status, &answer.json()["error"]), (421, &json!("misdirected_request")));

    // A connection counts for the authority that vouched for it, not for the one that came after.
    let mut old = Client::over(connect(tls(&world), "closed.test", &known).unwrap());
    assert_eq!(old.ask("GET", "closed.test", "/").status, 200);
    closed["client_ca"] = json!(authority.issuer.pem());
    world.apply(&[(EXACT, Some(closed))]);
    assert_eq!(old.ask("GET", "closed.test", "/").status, 421);
    assert_eq!(ask("closed.test", "closed.test", &stranger).unwrap(), 200);
    assert!(ask("closed.test", "closed.test", &known).is_err());
}

#[test]
fn hosts_that_ask_for_certificates_are_closed_while_their_own_cannot_be_used() {
    let (authority, clients, origin) = (Authority::new(), Authority::new(), Origin::start("one"));
    let mut closed = authority.document("closed", &["closed.a.test"]);
    closed["client_ca"] = json!(clients.issuer.pem());
    let open = authority.document("open", &["*.a.test"]);
    let (key, away) = (authority.path("closed.key"), authority.path("away"));
    std::fs::rename(&key, &away).unwrap();
    let world = world(&origin, &[(EXACT, closed), (WILDCARD, open)]);
    world.wait(|status| status.state == State::Degraded);
    let nobody = authority.client(&[]);
    // The certificate of all of `*.a.test` is not shown, as its clients would have to show nothing.
    let error = connect(tls(&world), "closed.a.test", &nobody).unwrap_err();
    assert_eq!(alert(&error), Some(AlertDescription::UnrecognisedName));
    let mut over_another = Client::over(connect(tls(&world), "open.a.test", &nobody).unwrap());
    assert_eq!(over_another.ask("GET", "closed.a.test", "/").status, 421);
    assert_eq!(over_another.ask("GET", "open.a.test", "/").status, 200);
    assert_eq!(world.client().ask("GET", "closed.a.test", "/").status, 421);

    std::fs::rename(&away, &key).unwrap();
    world.wait(|status| status.state == State::Healthy);
    let known = authority.client_with_certificate(&clients);
    let mut proven = Client::over(connect(tls(&world), "closed.a.test", &known).unwrap());
    assert_eq!(proven.ask("GET", "closed.a.test", "/").status, 200);
}
