//! A Pingora proxy that does nothing but proxy: no routing, no log, no metrics. What it
//! costs is the floor that the gateway is measured against (`gateway.py`).
//!
//! `empty-proxy LISTEN UPSTREAM [TLS_LISTEN CHAIN KEY]`: HTTP/1.1 on the one address, HTTP/2 or
//! HTTP/1.1 over TLS on the other, with the certificate of these files.

use std::net::SocketAddr;

use anyhow::Context as _;
use async_trait::async_trait;
use pingora::listeners::tls::TlsSettings;
use pingora::proxy::{ProxyHttp, Session, http_proxy_service};
use pingora::server::Server;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;

/// The gateway uses the same allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Empty {
    upstream: SocketAddr,
}

#[async_trait]
impl ProxyHttp for Empty {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn upstream_peer(
        &self,
        _session: &mut Session,
        _ctx: &mut Self::CTX,
    ) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (listen, upstream, tls) = match arguments[..] {
        [listen, upstream] => (listen, upstream, None),
        [listen, upstream, tls, chain, key] => (listen, upstream, Some((tls, chain, key))),
        _ => anyhow::bail!("usage: empty-proxy LISTEN UPSTREAM [TLS_LISTEN CHAIN KEY]"),
    };
    let upstream = upstream.parse().with_context(|| format!("{upstream}: not an address"))?;
    let configuration = ServerConf {
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, configuration);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, Empty { upstream });
    service.add_tcp(listen);
    if let Some((listen, chain, key)) = tls {
        let mut settings = TlsSettings::intermediate(chain, key)?;
        settings.enable_h2();
        service.add_tls_with_settings(listen, None, settings);
    }
    server.add_service(service);
    server.run_forever()
}
