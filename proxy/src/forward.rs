//! One request, from the client to a node and back: our side of Pingora's proxy.
//!
//! Pingora reads a request and calls the hooks below. Each is a few lines that call the step that
//! knows, see [`steps`]; the state of a request between the steps is [`exchange::Exchange`]. Requests
//! to nodes in HTTP/1 without TLS are answered within `request_filter`, see [`relay`]. For the others
//! Pingora calls, for each try, `upstream_peer`, `upstream_request_filter`,
//! `upstream_response_filter`, `response_filter`. At the end comes `logging`, always. Failures go
//! through `fail_to_connect` or `error_while_proxy`, where another try is decided on, and end in
//! `fail_to_proxy`.
//!
//! Next: [`target`] for what is asked for, [`framing`] for where it ends, [`client`] for who asks,
//! [`hop`] for fields of one connection, [`crate::respond`] for answers that we make.

mod client;
mod exchange;
mod framing;
mod hop;
mod relay;
mod steps;
mod target;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Version;
use pingora::connectors::{ConnectorOptions, TransportConnector};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::Digest;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};

use self::exchange::Exchange;
use crate::gateway::Shared;
use crate::gateway::client_stream::ClientStream;
use crate::respond;
use crate::upstream::idle::IdleConnections;

/// Serves the requests of one gateway.
pub(crate) struct Forwarder {
    shared: Arc<Shared>,
    /// What makes the connections that [`relay`] uses.
    connector: TransportConnector,
    /// Those of them that rest.
    idle: IdleConnections,
}

impl Forwarder {
    pub(crate) fn new(shared: Arc<Shared>, conf: &ServerConf) -> Self {
        let connector = TransportConnector::new(Some(ConnectorOptions::from_server_conf(conf)));
        Self { shared, connector, idle: IdleConnections::default() }
    }
}

fn client_stream(session: &Session) -> Option<&ClientStream> {
    ClientStream::of(session.stream())
}

#[async_trait]
impl ProxyHttp for Forwarder {
    type CTX = Exchange;

    fn new_ctx(&self) -> Exchange {
        Exchange::new(self.shared.snapshot.load_full())
    }

    /// None: the default set compresses answers, switched off, at a cost to every request.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, ctx: &mut Exchange) -> Result<bool> {
        if let Err((refusal, allow)) = self.accept(session, ctx) {
            respond::refuse(session, refusal, allow, &ctx.id).await?;
            return Ok(true);
        }
        if !relay::takes(session, ctx) {
            return Ok(false);
        }
        self.relay(session, ctx).await?;
        Ok(true)
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Exchange,
    ) -> Result<()> {
        self.body_came(session, ctx, body.as_ref(), end_of_stream)
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
    ) -> Result<Box<HttpPeer>> {
        let this = self.next_try(session, ctx).await?;
        let (node, _) = ctx.node()?;
        Ok(this.peer(&node.peer))
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        reused: bool,
        _peer: &HttpPeer,
        connection: i32,
        _digest: Option<&Digest>,
        ctx: &mut Exchange,
    ) -> Result<()> {
        ctx.connected(connection, reused)
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Exchange,
    ) -> Result<()> {
        let upgrades = ctx.upgrade.is_some();
        let (route, _) = ctx.route()?;
        if route.upstream.http2 && request.version != Version::HTTP_2 && !upgrades {
            // By TLS the two sides agreed on something else, or on nothing.
            let error = Error::explain(ErrorType::H2Error, "the node does not speak HTTP/2");
            return Err(error.into_up());
        }
        hop::edit(request, |version, headers| steps::address(session, ctx, version, headers))?;
        if let Some(target) = &ctx.target {
            request.set_raw_path(target.as_bytes())?;
        }
        // In HTTP/2 Pingora takes the answer while it waits.
        let is_http1 = request.version == Version::HTTP_11 && !upgrades;
        ctx.connection = ctx.connection.filter(|_| is_http1);
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        answer: &mut ResponseHeader,
        ctx: &mut Exchange,
    ) -> Result<()> {
        self.answer_came(session, ctx, answer)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        answer: &mut ResponseHeader,
        ctx: &mut Exchange,
    ) -> Result<()> {
        self.answer_goes(session, ctx, answer)
    }

    fn response_body_filter(
        &self,
        session: &mut Session,
        _body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Exchange,
    ) -> Result<Option<Duration>> {
        self.answers(session, ctx, end_of_stream);
        Ok(None)
    }

    fn fail_to_connect(
        &self,
        session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut Exchange,
        error: Box<Error>,
    ) -> Box<Error> {
        steps::was_refused(session, ctx, error)
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        ctx: &mut Exchange,
        client_reused: bool,
    ) -> Box<Error> {
        steps::failed(session, ctx, error, client_reused)
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Exchange,
    ) -> FailToProxy {
        let error_code = self.give_up(session, ctx, error).await;
        FailToProxy { error_code, can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Exchange) {
        self.record(session, ctx, error);
    }

    /// [`Exchange::log`] tells of errors, with more than Pingora knows.
    fn suppress_error_log(&self, _session: &Session, _ctx: &Exchange, _error: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        _ctx: &Exchange,
        _error: &Error,
        _context: ProxyWarnLogContext,
    ) -> bool {
        true
    }
}
