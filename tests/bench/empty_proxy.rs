//! A Pingora proxy that does nothing but proxy: no routing, no log, no metrics. What it
//! costs is the floor that the gateway is measured against (`gateway.sh`).
//!
//! `empty-proxy LISTEN UPSTREAM`, for example `empty-proxy 127.0.0.1:8001 127.0.0.1:8000`.

use std::net::SocketAddr;

use anyhow::Context as _;
use async_trait::async_trait;
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
    let mut arguments = std::env::args().skip(1);
    let mut address = || -> anyhow::Result<SocketAddr> {
        let argument = arguments.next().context("usage: empty-proxy LISTEN UPSTREAM")?;
        argument.parse().with_context(|| format!("{argument}: not an address"))
    };
    let (listen, upstream) = (address()?, address()?);
    let configuration = ServerConf {
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, configuration);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, Empty { upstream });
    service.add_tcp(&listen.to_string());
    server.add_service(service);
    server.run_forever()
}
